/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_audit.c: the audit trail as replies: listed, checked, anchored, exported.
 *
 * A list shows entries as they lie there and costs what it shows; that they are what was written, audit-verify tells.  It rests
 * after each page (turn.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/audit_check.h"
#include "vault/heads.h"

#define DAY_US      (INT64_C(86400) * 1000000)
#define BEYOND      10000
#define ID_AT_LEAST 8
#define PAGE        1000 /* entries between two turns */

/* SHA-256 of the PEM that openssl reads: by it people know the key that signs heads. */
static void key_hash(const struct vault *v, char hex[65])
{
	char pem[SIGN_PEM];
	uint8_t digest[32];
	sign_public_pem(v->keys.heads.public_key, pem);
	digest_sha256(digest, pem, strlen(pem));
	keys_hex(hex, digest, sizeof digest);
}

json_t *req_audit_json(const struct vault *v)
{
	char hex[65], key[65];
	const struct audit_head *h = &v->head;
	keys_hex(hex, h->hash, 32);
	key_hash(v, key);
	json_t *o = json_pack("{s:I, s:s, s:s, s:I}", "entries", (json_int_t)h->number, "head", hex,
			      "key", key, "anchored", (json_int_t)h->anchor.number);
	ASSERT(o);
	json_object_set_new(o, "anchored_at", call_json_time(h->anchor.time_us));
	json_object_set_new(o, "outside", call_json_text(v->head_file));
	json_object_set_new(o, "outside_failed", json_integer((json_int_t)h->outside_failed));
	json_object_set_new(o, "outside_written", call_json_time(h->outside_us));
	return o;
}

/* ---- list ------------------------------------------------------------------------------------------------ */

struct listing {
	const struct request *q;
	int64_t since_us, until_us;
	const char *person, *action, *call; /* NULL: any */
	size_t limit;                       /* 0: all */
	uint64_t from, before; /* the first to be shown; those below this number, 0: all */
	size_t count, printed;
	unsigned beyond; /* entries in a row that are older than is asked for */
	uint64_t at;     /* where the next page begins; 0: there is none */
	unsigned looked; /* at so many entries of this page */
};

static bool text_is(const char *wanted, const char *text)
{
	return !wanted || strcmp(wanted, text ? text : "") == 0;
}

static bool matches(const struct listing *l, const struct audit_entry *e)
{
	char id[UUID_TEXT] = "";
	if (e->time_us < l->since_us || e->time_us > l->until_us ||
	    (l->before && e->number >= l->before))
		return false;
	if (l->call && e->call)
		(void)uuid_text(e->call, id);
	return text_is(l->person, e->person) && text_is(l->action, e->action) &&
	       (!l->call || strncmp(id, l->call, strlen(l->call)) == 0);
}

/* Was that the page's last entry?  The next page begins with `next`. */
static bool page_ends(struct listing *l, uint64_t next)
{
	bool ends = ++l->looked >= PAGE;
	l->at = ends ? next : 0;
	return ends;
}

static enum rc read_pages(struct listing *l, uint64_t from, bool down, audit_each each,
			  struct error *err)
{
	struct vault *v = l->q->v;
	enum rc rc = audit_read(v, from, down, each, l, err);
	while (rc == RC_OK && l->at) {
		from = l->at;
		l->at = l->looked = 0;
		rc = requests_rest(l->q, err);
		if (rc == RC_OK)
			rc = audit_read(v, from, down, each, l, err);
	}
	l->at = l->looked = 0;
	return rc;
}

/* Down from the newest: which is the oldest that is shown?  Entries are in order of time but for clocks that were set: a day
 * and many entries further nothing is looked for. */
static bool look_back(void *ctx, const struct audit_entry *e, const uint8_t hash[32])
{
	struct listing *l = ctx;
	(void)hash;
	l->beyond = e->time_us < l->since_us - DAY_US ? l->beyond + 1 : 0;
	if (matches(l, e)) {
		l->from = e->number;
		l->count++;
	}
	bool more = l->beyond < BEYOND && (!l->limit || l->count < l->limit);
	return more && !page_ends(l, e->number - 1);
}

static bool print_entry(void *ctx, const struct audit_entry *e, const uint8_t hash[32])
{
	struct listing *l = ctx;
	char call[UUID_TEXT];
	(void)hash;
	if ((l->before && e->number >= l->before) || (l->limit && l->printed >= l->limit))
		return false;
	if (!matches(l, e))
		return !page_ends(l, e->number + 1);
	json_t *o = json_object();
	json_object_set_new(o, "number", json_integer((json_int_t)e->number));
	json_object_set_new(o, "time", call_json_time(e->time_us));
	json_object_set_new(o, "person", call_json_text(e->person));
	json_object_set_new(o, "role", call_json_text(e->role));
	json_object_set_new(o, "action", call_json_text(e->action));
	json_object_set_new(o, "call",
			    e->call ? json_string(uuid_text(e->call, call)) : json_null());
	json_object_set_new(o, "purpose", call_json_text(e->purpose));
	json_object_set_new(o, "reference", call_json_text(e->reference));
	json_object_set_new(o, "outcome", call_json_text(e->outcome));
	json_object_set_new(o, "detail", call_json_text(e->detail));
	l->printed++;
	return requests_reply(l->q, o) && !page_ends(l, e->number + 1);
}

static enum rc read_filters(const struct request *q, struct listing *l, struct error *err)
{
	size_t before = 0;
	enum rc rc = requests_time(q, "since", &l->since_us, err);
	if (rc == RC_OK)
		rc = requests_time(q, "until", &l->until_us, err);
	if (rc == RC_OK)
		rc = requests_count(q, "limit", &l->limit, err);
	if (rc == RC_OK)
		rc = requests_count(q, "before", &before, err);
	l->before = before;
	l->person = requests_text(q, "person");
	l->action = requests_text(q, "action");
	l->call = requests_text(q, "call");
	if (rc == RC_OK && l->call && strlen(l->call) < ID_AT_LEAST)
		rc = error_set(err, RC_USAGE, "call: an id or its first %d characters are wanted",
			       ID_AT_LEAST);
	return rc;
}

enum rc req_audit_list(const struct request *q, struct error *err)
{
	struct listing l = { .q = q, .since_us = 0, .until_us = INT64_MAX };
	enum rc rc = read_filters(q, &l, err);
	if (rc != RC_OK)
		return rc;
	if (l.limit || l.since_us > 0) {
		rc = read_pages(&l, l.before ? l.before - 1 : 0, true, look_back, err);
		if (rc != RC_OK || !l.count)
			return rc;
	}
	return read_pages(&l, l.from, false, print_entry, err);
}

/* ---- verify ---------------------------------------------------------------------------------------------- */

/* "NUMBER HASH", "HASH". */
static bool read_head(const char *text, struct audit_mark *m)
{
	int at = 0;
	memset(m, 0, sizeof *m);
	if (sscanf(text, "%19[0-9]%*1[ ]%n", (char[20]){ 0 }, &at) == 1 && at) {
		m->number = strtoull(text, NULL, 10);
		if (!m->number)
			return false;
	}
	return keys_unhex(m->hash, sizeof m->hash, text + at);
}

struct noted {
	struct audit_noted *heads; /* owned */
	size_t count;
};

static struct audit_noted *add_noted(struct noted *n)
{
	if ((n->count & (n->count - 1)) == 0) {
		n->heads = reallocarray(n->heads, n->count ? 2 * n->count : 1, sizeof *n->heads);
		ASSERT(n->heads);
	}
	struct audit_noted *fresh = &n->heads[n->count++];
	memset(fresh, 0, sizeof *fresh);
	return fresh;
}

/* Each line an anchor that this store has signed; what a crash has left of the last one is none. */
static enum rc read_noted(struct vault *v, const char *text, uint64_t number, struct noted *n,
			  struct error *err)
{
	char line[HEADS_LINE];
	for (const char *end; (end = strchr(text, '\n')); text = end + 1, number++) {
		size_t len = (size_t)(end - text);
		if (!len)
			continue;
		snprintf(line, sizeof line, "%.*s", len < sizeof line ? (int)len : 0, text);
		struct audit_noted *head = add_noted(n);
		head->line = number;
		const char *fault = heads_fault(v, "anchor", line, &head->mark);
		if (fault)
			return error_set(err, RC_DAMAGED,
					 "line %" PRIu64 " of the file of heads %s (of this store)",
					 number, fault);
	}
	return n->count ? RC_OK : error_set(err, RC_USAGE, "the file holds no heads");
}

static enum rc read_given(const struct request *q, struct noted *n, struct error *err)
{
	const char *head = requests_text(q, "head"), *heads = requests_text(q, "heads");
	size_t line = 1;
	if (head && heads)
		return error_set(err, RC_USAGE, "either a head or a file of heads is wanted");
	if (head && !read_head(head, &add_noted(n)->mark))
		return error_set(err, RC_USAGE,
				 "head: \"NUMBER HASH\" is wanted, or the hash alone (64 hex "
				 "digits)");
	enum rc rc = requests_count(q, "line", &line, err);
	return rc == RC_OK && heads ? read_noted(q->v, heads, line, n, err) : rc;
}

enum rc req_audit_verify(const struct request *q, struct error *err)
{
	struct noted noted = { 0 };
	struct audit_verdict verdict;
	enum rc rc = read_given(q, &noted, err);
	if (rc == RC_OK)
		rc = audit_check(q->v, q, noted.heads, noted.count, &verdict, err);
	free(noted.heads);
	if (rc != RC_OK)
		return rc;
	json_t *o = req_audit_json(q->v);
	uint64_t entries = q->v->head.number;
	json_object_set_new(o, "missing", json_integer((json_int_t)verdict.missing));
	json_object_set_new(o, "anchored", json_integer((json_int_t)verdict.anchored));
	json_object_set_new(o, "unanchored",
			    json_integer((json_int_t)(entries - verdict.anchored)));
	requests_reply(q, o);
	return rc;
}

/* ---- anchor ---------------------------------------------------------------------------------------------- */

static enum rc note(const struct request *q, const char *action, const char *outcome,
		    const char *detail, struct error *err)
{
	return audit_write(q->v,
			   &(struct audit_entry){ .person = q->person.name,
						  .role = people_role_name(q->person.role),
						  .action = action,
						  .outcome = outcome,
						  .detail = detail },
			   err);
}

/* Its entry is the newest that it covers. */
enum rc req_audit_anchor(const struct request *q, struct error *err)
{
	struct vault *v = q->v;
	enum rc rc = note(q, "audit-anchor", "granted", NULL, err);
	if (rc == RC_OK)
		rc = audit_anchor(v, err);
	if (rc == RC_OK)
		requests_reply(q, req_audit_json(v));
	if (rc == RC_OK && v->head_file && v->head.outside_failed)
		rc = error_set(err, RC_FAILED,
			       "the head is signed, but could not be written to %.300s",
			       v->head_file);
	return rc;
}

/* ---- export ---------------------------------------------------------------------------------------------- */

struct writing {
	FILE *to;
	const struct vault *v;
	char *rest; /* of audit-heads */
	char *line; /* its next line, NULL: no more */
	uint64_t next, entries, anchors;
};

static void next_line(struct writing *w)
{
	struct audit_mark m;
	w->line = strtok_r(NULL, "\n", &w->rest);
	/* What is no anchor is written where it stands: whoever checks the export finds it. */
	if (w->line && !heads_fault(w->v, "anchor", w->line, &m))
		w->next = m.number;
}

static void write_anchors(struct writing *w, uint64_t upto)
{
	for (; w->line && w->next <= upto; next_line(w)) {
		fprintf(w->to, "%s\n", w->line);
		w->anchors++;
	}
}

static bool write_entry(void *ctx, const struct audit_entry *e, const uint8_t hash[32])
{
	struct writing *w = ctx;
	char hex[65];
	/* Anchors of entries that were lost tell nothing to whoever has no more than the export. */
	while (!w->entries && w->line && w->next + 1 < e->number)
		next_line(w);
	write_anchors(w, e->number - 1);
	keys_hex(hex, hash, 32);
	fprintf(w->to, "%s %.*s\n", hex, (int)e->text_len, e->text);
	w->entries++;
	write_anchors(w, e->number);
	return !ferror(w->to);
}

static enum rc write_trail(const struct request *q, struct writing *w, struct error *err)
{
	struct vault *v = q->v;
	char pem[SIGN_PEM], *heads;
	enum rc rc = heads_read(v, &heads, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_DAMAGED : rc;
	w->rest = heads;
	next_line(w);
	sign_public_pem(v->keys.heads.public_key, pem);
	fprintf(w->to, "callspan audit export 1\n%s", pem);
	rc = audit_walk(v, q, write_entry, w, err);
	write_anchors(w, UINT64_MAX);
	free(heads);
	if ((fflush(w->to) != 0 || ferror(w->to)) && rc == RC_OK)
		rc = error_errno(err, RC_FAILED, errno, "the export could not be written");
	return rc;
}

static enum rc write_export(const struct request *q, int fd, struct writing *w, struct error *err)
{
	int own = dup(fd);
	w->to = own < 0 ? NULL : fdopen(own, "w");
	if (!w->to) {
		enum rc rc = error_errno(err, RC_FAILED, errno, "the file to export to");
		if (own >= 0)
			close(own);
		return rc;
	}
	/* Signed up to its end. */
	enum rc rc = audit_anchor(q->v, err);
	if (rc == RC_OK)
		rc = write_trail(q, w, err);
	(void)fclose(w->to);
	return rc;
}

enum rc req_audit_export_check(const struct request *q, struct error *err)
{
	if (json_is_integer(json_object_get(q->body, "fd")))
		return RC_OK;
	return error_set(err, RC_USAGE, "a file to export to is wanted");
}

enum rc req_audit_export(const struct request *q, struct error *err)
{
	struct writing w = { .v = q->v };
	struct error second;
	char hash[65], head[65], detail[192];
	uint64_t bytes;
	int fd = (int)json_integer_value(json_object_get(q->body, "fd"));
	enum rc rc = note(q, "audit-export", "granted", NULL, err);
	if (rc != RC_OK)
		return rc;
	keys_hex(head, q->v->head.hash, 32);
	rc = write_export(q, fd, &w, err);
	if (rc != RC_OK) {
		if (note(q, "audit-export", rc == RC_DAMAGED ? "damaged" : "failed", err->text,
			 &second) != RC_OK)
			*err = second;
		return rc;
	}
	vault_step_out(q->v);
	disk_hash(fd, &bytes, hash);
	vault_step_in(q->v);
	snprintf(detail, sizeof detail, "entries=%" PRIu64 "%s%s", w.entries,
		 *hash ? " sha256=" : "", hash);
	rc = note(q, "audit-export", "done", detail, err);
	if (rc != RC_OK)
		return rc;
	json_t *o = json_pack("{s:I, s:I, s:s}", "entries", (json_int_t)w.entries, "anchors",
			      (json_int_t)w.anchors, "head", head);
	json_object_set_new(o, "bytes", *hash ? json_integer((json_int_t)bytes) : json_null());
	json_object_set_new(o, "sha256", call_json_text(hash));
	requests_reply(q, o);
	return RC_OK;
}
