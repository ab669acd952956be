/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_write_off.c: giving up a segment whose files are lost for good.
 *
 * What is in a segment that is not there is neither heard nor destroyed: each purge says so, and so does an exchange of keys.
 * If it is only out of reach it comes back.  If it does not, a controller says so:
 *
 *   its files are not there -> its recordings, and what keeps them, are looked up -> audit -> disposal_destroy(), as "lost"
 *     -> its row goes, and the one file that may be left of it
 *
 * The recordings are on record as any that were destroyed: registered backups follow, and copies of the segment that turn up
 * later are destroyed.
 *
 *   guard                                                          --yes goes past it
 *   its files are there                                            no
 *   something keeps recordings of it                               yes
 *   there is no file of any segment (a disk that is not mounted)   yes
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vault/disposal.h"
#include "vault/holds.h"
#include "vault/reclaim.h"

#define REASON      "reason"
#define REASON_TEXT 200
#define NUMBER      6     /* a run of so many digits may be a number */
#define LOOK_A_TURN 20000 /* rows, before others have theirs */

struct lost {
	const struct request *q;
	struct vault *v;
	const char *name, *reason;
	struct segment_row row;
	struct uuid *ids; /* owned: its recordings */
	size_t count, room;
	size_t kept;                 /* of them something keeps */
	json_t *keepers;             /* owned: names of these, each once */
	bool bare;                   /* no segment is there at all */
	uint8_t (*named)[PARTY_KEY]; /* owned: parties that the reason may name */
	size_t named_count;
};

/* ---- the words --------------------------------------------------------------------------------- */

enum rc req_write_off_check(const struct request *q, struct error *err)
{
	const char *reason = requests_text(q, REASON);
	if (!requests_text(q, "segment"))
		return error_set(err, RC_USAGE, "which segment? Its name is wanted");
	if (!reason || strspn(reason, " \t") == strlen(reason))
		return error_set(err, RC_USAGE, "reason: say how it was lost");
	if (strlen(reason) > REASON_TEXT)
		return error_set(err, RC_USAGE, "reason: at most %d bytes", REASON_TEXT);
	for (const char *p = reason; *p; p++) {
		if (iscntrl((unsigned char)*p))
			return error_set(err, RC_USAGE, "reason: one line of text is wanted");
	}
	return RC_OK;
}

/* The next run of digits, with what people put between them; 0: no more. */
static size_t next_number(const char **at, char digits[REASON_TEXT + 1])
{
	size_t n = 0;
	*at += strcspn(*at, "0123456789");
	for (; **at && strchr("0123456789 -.()/+", **at); ++*at) {
		if (isdigit((unsigned char)**at))
			digits[n++] = **at;
	}
	digits[n] = '\0';
	return n;
}

/* Keys of the numbers that stand in the reason.  The clear ones of the recordings are lost with them. */
static void name_parties(struct lost *l)
{
	char digits[REASON_TEXT + 1];
	const char *at = l->reason;
	size_t len;
	l->named = calloc(4 * REASON_TEXT, sizeof *l->named);
	ASSERT(l->named);
	while ((len = next_number(&at, digits))) {
		if (len < NUMBER)
			continue;
		party_key(l->v, digits, len, l->named[l->named_count++]);
		party_key(l->v, digits + len - NUMBER, NUMBER, l->named[l->named_count++]);
	}
}

static bool reason_names(const struct lost *l, const struct call *c)
{
	for (unsigned i = 0; i < c->filed.parties_count; i++) {
		for (size_t k = 0; k < l->named_count; k++) {
			if (memcmp(c->filed.parties[i], l->named[k], PARTY_KEY) == 0)
				return true;
		}
	}
	return false;
}

/* ---- what is lost ------------------------------------------------------------------------------ */

static enum rc find(struct lost *l, struct error *err)
{
	enum rc rc = strlen(l->name) < SEGMENT_NAME ? segments_get(l->v, l->name, &l->row, err)
						    : RC_NOT_FOUND;
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_USAGE, "no segment has this name: verify tells which do");
	if (rc == RC_OK && !segments_missing(l->v, l->name, &l->row))
		return error_set(err, RC_FAILED,
				 "the files of segment %s are there: only what is lost is written "
				 "off, purge and erase destroy the rest",
				 l->name);
	return rc;
}

/* Is there no segment at all?  RC_FAILED: no folder either. */
static enum rc look_around(struct lost *l, struct error *err)
{
	char path[STORE_PATH];
	const struct dirent *e;
	disk_path(path, l->v->store, "vault/segments");
	DIR *d = opendir(path);
	if (!d)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	l->bare = true;
	while (l->bare && (e = readdir(d))) {
		const char *ext = strrchr(e->d_name, '.');
		l->bare = !ext || (strcmp(ext, ".seg") != 0 && strcmp(ext, ".keys") != 0);
	}
	closedir(d);
	return RC_OK;
}

static void add_keepers(struct lost *l, const struct uuid *id)
{
	size_t i;
	json_t *name, *names = holds_names(l->v, id);
	json_array_foreach(names, i, name)
	{
		size_t k = 0;
		while (k < json_array_size(l->keepers) &&
		       !json_equal(json_array_get(l->keepers, k), name))
			k++;
		if (k == json_array_size(l->keepers))
			json_array_append(l->keepers, name);
	}
	json_decref(names);
}

static enum rc add_call(struct lost *l, const struct call *c, struct error *err)
{
	bool held = false;
	if (reason_names(l, c))
		return error_set(err, RC_USAGE,
				 "reason: it names a party of a recording, and it stays");
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 256;
		l->ids = realloc(l->ids, l->room * sizeof *l->ids);
		ASSERT(l->ids);
	}
	l->ids[l->count++] = c->r.id;
	enum rc rc = holds_held(l->v, &c->r.id, &held, err);
	l->kept += held;
	if (rc == RC_OK && held)
		add_keepers(l, &c->r.id);
	return rc;
}

/* Rows behind *at, which moves on; *more: there are others behind these. */
static enum rc look_through(struct lost *l, struct uuid *at, bool *more, struct error *err)
{
	const uint8_t *key, *value;
	size_t key_len, value_len, n = 0;
	enum rc rc = RC_OK;
	struct index_cursor *cursor =
		index_cursor_new(l->v->index, INDEX_CALLS, at->b, sizeof at->b, false);
	while (rc == RC_OK && n < LOOK_A_TURN &&
	       index_cursor_next(cursor, &key, &key_len, &value, &value_len)) {
		n++;
		if (key_len != sizeof at->b || memcmp(key, at->b, key_len) == 0)
			continue; /* where the last turn ended */
		memcpy(at->b, key, key_len);
		struct call *c = call_row_unpack(value, value_len);
		if (c && strcmp(c->segment, l->name) == 0)
			rc = add_call(l, c, err);
		call_row_free(c);
	}
	index_cursor_free(cursor);
	*more = n == LOOK_A_TURN;
	return rc == RC_OK ? index_health(l->v->index, err) : rc;
}

/* No list tells which recordings live in a segment: all rows are looked at. */
static enum rc collect(struct lost *l, struct error *err)
{
	struct uuid at = { { 0 } };
	bool more = true;
	enum rc rc = RC_OK;
	name_parties(l);
	while (rc == RC_OK && more) {
		rc = look_through(l, &at, &more, err);
		if (rc == RC_OK && more)
			rc = requests_rest(l->q, err); /* nothing of the vault is held here */
	}
	return rc;
}

/* ---- may it go? -------------------------------------------------------------------------------- */

static void keepers_text(const struct lost *l, char *text, size_t room)
{
	const char *names[16];
	size_t i = 0;
	for (; i < json_array_size(l->keepers) && i < 16; i++)
		names[i] = json_string_value(json_array_get(l->keepers, i));
	requests_choices(names, i, text, room);
	if (!*text)
		snprintf(text, room, "a request");
}

static enum rc guards(const struct lost *l, struct error *err)
{
	char keepers[200], kept[256] = "";
	if (json_is_true(json_object_get(l->q->body, "yes")) || (!l->kept && !l->bare))
		return RC_OK;
	keepers_text(l, keepers, sizeof keepers);
	if (l->kept)
		snprintf(kept, sizeof kept, ", %zu of them kept by %s", l->kept, keepers);
	return error_set(err, RC_REFUSED,
			 "segment %s is not there, with %zu recordings%s%s: if they are lost for "
			 "good, say --yes",
			 l->name, l->count, kept,
			 l->bare ? "; nor is any other in vault/segments: is its disk mounted?"
				 : "");
}

/* ---- the act ----------------------------------------------------------------------------------- */

static void note(const struct lost *l, struct index_batch *b, const char *outcome,
		 const char *detail)
{
	audit_note(l->v, b,
		   &(struct audit_entry){ .person = l->q->person.name,
					  .role = people_role_name(l->q->person.role),
					  .action = "segment-write-off",
					  .outcome = outcome,
					  .detail = detail });
}

static enum rc begin(const struct lost *l, struct error *err)
{
	char detail[768], keepers[200], kept[256] = "";
	struct index_batch *b = index_batch_new(l->v->index);
	keepers_text(l, keepers, sizeof keepers);
	if (l->kept)
		snprintf(kept, sizeof kept, " kept=%zu (%s)", l->kept, keepers);
	snprintf(detail, sizeof detail, "%s: recordings=%zu%s%s reason=%s", l->name, l->count, kept,
		 l->bare ? " no-other-is-there" : "", l->reason);
	note(l, b, "granted", detail);
	return audit_commit(l->v, b, err);
}

static enum rc destroy(const struct lost *l, struct disposal_sum *sum, struct error *err)
{
	enum rc rc = RC_OK;
	for (size_t at = 0; at < l->count && rc == RC_OK; at += DISPOSAL_BATCH) {
		size_t n = l->count - at < DISPOSAL_BATCH ? l->count - at : DISPOSAL_BATCH;
		rc = disposal_destroy(l->v, l->ids + at, n, DISPOSAL_LOST, &l->q->person, sum, err);
	}
	if (rc == RC_OK && sum->failed)
		rc = error_set(err, RC_FAILED, "%s", sum->first.text);
	return rc;
}

/* What is known of the segment goes, and what is left of its files.  *unknown: recordings that an index which was lost took
 * with it. */
static enum rc conclude(struct lost *l, const struct disposal_sum *sum, uint64_t *unknown,
			struct error *err)
{
	char detail[SEGMENT_NAME + 128];
	enum rc rc = segments_get(l->v, l->name, &l->row, err);
	if (rc != RC_OK)
		return rc;
	*unknown = l->row.calls;
	struct index_batch *b = index_batch_new(l->v->index);
	l->row.pending = SEGMENT_GOING;
	l->row.done = true;
	segments_put(b, l->name, &l->row);
	snprintf(detail, sizeof detail, "%s: recordings=%" PRIu64 " unknown=%" PRIu64, l->name,
		 sum->destroyed, *unknown);
	note(l, b, "done", detail);
	rc = audit_commit(l->v, b, err);
	return rc == RC_OK ? reclaim_finish(l->v, l->name, err) : rc;
}

static enum rc write_off(struct lost *l, struct error *err)
{
	struct disposal_sum sum = { 0 };
	uint64_t unknown = 0;
	segments_forget_open(l->v);
	enum rc rc = begin(l, err);
	if (rc == RC_OK)
		rc = destroy(l, &sum, err);
	if (rc == RC_OK)
		rc = conclude(l, &sum, &unknown, err);
	if (rc == RC_OK)
		requests_reply(l->q,
			       json_pack("{s:s, s:I, s:I, s:I}", "segment", l->name, "recordings",
					 (json_int_t)sum.destroyed, "kept", (json_int_t)l->kept,
					 "unknown", (json_int_t)unknown));
	return rc;
}

enum rc req_write_off(const struct request *q, struct error *err)
{
	struct lost l = { .q = q,
			  .v = q->v,
			  .name = requests_text(q, "segment"),
			  .reason = requests_text(q, REASON),
			  .keepers = json_array() };
	enum rc rc = look_around(&l, err);
	if (rc == RC_OK)
		rc = find(&l, err);
	if (rc == RC_OK)
		rc = collect(&l, err);
	/* Others had their turn meanwhile. */
	if (rc == RC_OK)
		rc = find(&l, err);
	if (rc == RC_OK)
		rc = guards(&l, err);
	if (rc == RC_OK)
		rc = write_off(&l, err);
	json_decref(l.keepers);
	free(l.named);
	free(l.ids);
	return rc;
}
