/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policies.c: see policies.h.  On the vault's thread. */
#include "vault/policies.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/holds.h"

#define IN_FORCE      "policy.yaml"
#define APPLIED       "vault/policy.applied"
#define NEXT          "vault/policy.next"
#define CALLS_A_BATCH 2000

static const char seen_key[] = "policy"; /* in INDEX_META: hash of the policy last seen */
static const char mark[] =
	"policy-applying"; /* in INDEX_META: hash of the policy that is being applied */

static const struct policies_limits usual = { .calls_a_batch = CALLS_A_BATCH, .commits = 0 };

/* ---- reading ------------------------------------------------------------------------------------ */

/* A file of STORE and, where `text` is not NULL, its bytes.  A policy that cannot be read is the store's fault, not that of
 * whoever asks.  On failure `into` is what it was. */
static enum rc read_file(const struct vault *v, const char *name, struct policy *into, char **text,
			 size_t *len, struct error *err)
{
	char path[STORE_PATH], *bytes;
	size_t count;
	disk_path(path, v->store, name);
	enum rc rc = disk_read(path, POLICY_BYTES, &bytes, &count, err);
	if (rc != RC_OK)
		return rc;
	struct policy *p = malloc(sizeof *p);
	ASSERT(p);
	rc = policy_parse(p, bytes, count, path, err);
	if (rc == RC_OK)
		*into = *p;
	free(p);
	if (rc != RC_OK || !text) {
		free(bytes);
		return rc == RC_USAGE ? RC_FAILED : rc;
	}
	*text = bytes;
	*len = count;
	return RC_OK;
}

static void look(const struct vault *v, struct stat *st)
{
	char path[STORE_PATH];
	disk_path(path, v->store, IN_FORCE);
	if (stat(path, st) != 0)
		memset(st, 0, sizeof *st);
}

enum rc policies_load(struct vault *v, struct error *err)
{
	look(v, &v->policy_file);
	enum rc rc = read_file(v, IN_FORCE, &v->policy, NULL, NULL, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_FAILED : rc;
	rc = read_file(v, APPLIED, &v->applied, NULL, NULL, err);
	if (rc == RC_NOT_FOUND)
		v->applied = v->policy; /* policies_settle() keeps a copy */
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

/* ---- the trail ---------------------------------------------------------------------------------- */

static void remember(struct index_batch *b, const char *hash)
{
	index_batch_put(b, INDEX_META, seen_key, sizeof seen_key - 1, hash, strlen(hash));
}

void policies_remember(struct vault *v, struct index_batch *b)
{
	remember(b, v->policy.hash);
}

/* The policy is a file that its owner edits; that it is another than the last time, the audit trail tells. */
static enum rc note_edited(struct vault *v, const char *hash, struct error *err)
{
	uint8_t *seen;
	size_t len;
	char detail[192];
	enum rc rc =
		index_get(v->index, INDEX_META, seen_key, sizeof seen_key - 1, &seen, &len, err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	if (rc == RC_NOT_FOUND)
		len = 0;
	bool same = len == strlen(hash) && memcmp(seen, hash, len) == 0;
	snprintf(detail, sizeof detail, "from=%.*s to=%s", len ? (int)len : 7,
		 len ? (const char *)seen : "unknown", hash);
	if (rc == RC_OK)
		free(seen);
	if (same)
		return RC_OK;
	struct index_batch *b = index_batch_new(v->index);
	remember(b, hash);
	audit_note(v, b, &(struct audit_entry){ .action = "policy-changed", .detail = detail });
	return audit_commit(v, b, err);
}

/* ---- what another one makes of recordings ------------------------------------------------------------ */

typedef enum rc (*each_ended)(void *ctx, struct call *c, struct error *err);

static enum rc walk_ended(struct vault *v, each_ended each, void *ctx, struct error *err)
{
	struct index_cursor *at = index_cursor_new(v->index, INDEX_CALLS, NULL, 0, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	enum rc rc = RC_OK;
	while (rc == RC_OK && index_cursor_next(at, &key, &key_len, &value, &value_len)) {
		struct call *c = call_row_unpack(value, value_len);
		if (!c)
			rc = error_set(err, RC_DAMAGED, "a call's row is damaged: reindex");
		else if (c->r.state == CALL_ENDED)
			rc = each(ctx, c, err);
		call_row_free(c);
	}
	index_cursor_free(at);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}

struct weighing {
	struct vault *v;
	const struct policy *to;
	struct policies_effect *sum;
	int64_t now_us;
};

static enum rc weigh(void *ctx, struct call *c, struct error *err)
{
	struct weighing *w = ctx;
	int64_t until_us = catalogue_expiry_by(w->v, w->to, c);
	bool held = false, over = until_us <= w->now_us && c->expiry_us > w->now_us;
	enum rc rc = over ? holds_held(w->v, &c->r.id, &held, err) : RC_OK;
	w->sum->longer += until_us > c->expiry_us;
	w->sum->shorter += until_us < c->expiry_us;
	w->sum->same += until_us == c->expiry_us;
	w->sum->expired += over;
	w->sum->held += held;
	w->sum->unknown += !policy_class_find(w->to, c->class);
	return rc;
}

enum rc policies_effect(struct vault *v, const struct policy *to, struct policies_effect *out,
			struct error *err)
{
	struct weighing w = { .v = v, .to = to, .sum = out, .now_us = vault_now_us(v) };
	memset(out, 0, sizeof *out);
	return walk_ended(v, weigh, &w, err);
}

/* ---- applying ---------------------------------------------------------------------------------------- */

struct retiming {
	struct vault *v;
	const struct policies_limits *limits;
	struct index_batch *batch;
	unsigned in_batch, commits;
	uint64_t changed;
};

static enum rc retime(void *ctx, struct call *c, struct error *err)
{
	struct retiming *t = ctx;
	int64_t until_us = catalogue_expiry(t->v, c);
	if (until_us == c->expiry_us)
		return RC_OK;
	c->expiry_us = until_us;
	catalogue_put(t->batch, c, NULL);
	t->changed++;
	if (++t->in_batch < t->limits->calls_a_batch)
		return RC_OK;
	t->in_batch = 0;
	enum rc rc = index_batch_commit(t->batch, err);
	t->batch = index_batch_new(t->v->index);
	return rc == RC_OK && ++t->commits == t->limits->commits ? RC_AGAIN : rc;
}

/* Every ended call's expiry; what was done before is found right. */
static enum rc retime_all(struct vault *v, const struct policies_limits *limits, uint64_t *changed,
			  struct error *err)
{
	struct retiming t = { .v = v, .limits = limits, .batch = index_batch_new(v->index) };
	enum rc rc = walk_ended(v, retime, &t, err);
	*changed = t.changed;
	if (rc == RC_OK)
		return index_batch_commit(t.batch, err);
	index_batch_drop(t.batch);
	return rc;
}

/* policy.yaml first: while policy.next is there, all of this can be done again.  It names numbers: whom it was kept from, it
 * is kept from. */
static enum rc put_in_force(struct vault *v, const struct policy *p, const char *text, size_t len,
			    struct error *err)
{
	char next[STORE_PATH], path[STORE_PATH], dir[STORE_PATH];
	struct stat st;
	look(v, &st);
	disk_path(path, v->store, IN_FORCE);
	enum rc rc = disk_replace(path, text, len, st.st_mode ? st.st_mode & 0777 : 0644, err);
	if (rc != RC_OK)
		return rc;
	disk_path(next, v->store, NEXT);
	disk_path(path, v->store, APPLIED);
	disk_path(dir, v->store, "vault");
	if (rename(next, path) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	v->policy = v->applied = *p;
	v->policy_fault.text[0] = '\0';
	look(v, &v->policy_file);
	return disk_sync_dir(dir, err);
}

/* The policy that the mark means, where it is not in its place yet. */
static enum rc install(struct vault *v, const char *hash, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	struct policy *p = malloc(sizeof *p);
	ASSERT(p);
	enum rc rc = read_file(v, NEXT, p, &text, &len, err);
	if (rc == RC_OK && strcmp(p->hash, hash) == 0)
		rc = put_in_force(v, p, text, len, err);
	free(text);
	free(p);
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static enum rc note_done(struct vault *v, const char *hash, uint64_t changed, struct error *err)
{
	char detail[128];
	struct index_batch *b = index_batch_new(v->index);
	snprintf(detail, sizeof detail, "to=%s recordings=%" PRIu64, v->applied.hash, changed);
	index_batch_delete(b, INDEX_META, mark, sizeof mark - 1);
	policies_remember(v, b);
	audit_note(v, b,
		   &(struct audit_entry){ .action = "policy-apply",
					  .outcome = strcmp(v->applied.hash, hash) == 0 ? "done"
											: "failed",
					  .detail = detail });
	return audit_commit(v, b, err);
}

/* Go on from the mark to the end; without a mark there is nothing to do. */
static enum rc finish(struct vault *v, const struct policies_limits *limits, struct error *err)
{
	uint8_t *value;
	size_t len;
	char hash[65];
	uint64_t changed;
	enum rc rc = index_get(v->index, INDEX_META, mark, sizeof mark - 1, &value, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	snprintf(hash, sizeof hash, "%.*s", (int)(len < 64 ? len : 64), (const char *)value);
	free(value);
	v->applying = true;
	rc = install(v, hash, err);
	if (rc == RC_OK)
		rc = retime_all(v, limits, &changed, err);
	return rc == RC_OK ? note_done(v, hash, changed, err) : rc;
}

static enum rc begin(struct vault *v, const struct person *who, const char *hash,
		     const struct policies_effect *e, struct error *err)
{
	char detail[384];
	struct index_batch *b = index_batch_new(v->index);
	snprintf(detail, sizeof detail,
		 "from=%s to=%s longer=%" PRIu64 " shorter=%" PRIu64 " same=%" PRIu64
		 " expired=%" PRIu64 " held=%" PRIu64,
		 v->applied.hash, hash, e->longer, e->shorter, e->same, e->expired, e->held);
	index_batch_put(b, INDEX_META, mark, sizeof mark - 1, hash, strlen(hash));
	audit_note(v, b,
		   &(struct audit_entry){ .person = who->name,
					  .role = people_role_name(who->role),
					  .action = "policy-apply",
					  .outcome = "granted",
					  .detail = detail });
	return audit_commit(v, b, err);
}

enum rc policies_apply(struct vault *v, const struct person *who, const char *text, size_t len,
		       const struct policies_effect *effect, const struct policies_limits *limits,
		       struct error *err)
{
	char next[STORE_PATH], hash[65];
	uint8_t digest[32];
	digest_sha256(digest, text, len);
	keys_hex(hash, digest, sizeof digest);
	disk_path(next, v->store, NEXT);
	enum rc rc = disk_replace(next, text, len, 0600, err);
	if (rc == RC_OK)
		rc = begin(v, who, hash, effect, err);
	return rc == RC_OK ? finish(v, limits ? limits : &usual, err) : rc;
}

/* ---- opening, and each request ------------------------------------------------------------------------------------------ */

/* A store that was made before copies were kept: the periods that count are those of its policy. */
static enum rc keep_copy(struct vault *v, struct error *err)
{
	char path[STORE_PATH], detail[96], *text;
	struct stat st;
	size_t len;
	disk_path(path, v->store, APPLIED);
	if (lstat(path, &st) == 0)
		return RC_OK;
	enum rc rc = read_file(v, IN_FORCE, &v->applied, &text, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_FAILED : rc;
	snprintf(detail, sizeof detail, "from=unknown to=%s", v->applied.hash);
	rc = audit_write(v,
			 &(struct audit_entry){
				 .action = "policy-apply", .outcome = "granted", .detail = detail },
			 err);
	if (rc == RC_OK)
		rc = disk_replace(path, text, len, 0600, err);
	free(text);
	return rc;
}

enum rc policies_settle(struct vault *v, struct error *err)
{
	char next[STORE_PATH];
	enum rc rc = finish(v, &usual, err);
	if (rc == RC_OK)
		rc = keep_copy(v, err);
	if (rc != RC_OK)
		return rc;
	disk_path(next, v->store, NEXT);
	(void)unlink(next); /* of an apply that was killed before it began */
	return note_edited(v, v->policy.hash, err);
}

bool policies_edited(const struct vault *v)
{
	struct stat st;
	const struct stat *was = &v->policy_file;
	look(v, &st);
	return st.st_ino != was->st_ino || st.st_size != was->st_size ||
	       st.st_mtim.tv_sec != was->st_mtim.tv_sec ||
	       st.st_mtim.tv_nsec != was->st_mtim.tv_nsec;
}

enum rc policies_resume(struct vault *v, struct error *err)
{
	return v->applying ? finish(v, &usual, err) : RC_OK;
}

/* The trail has it first. */
enum rc policies_reload(struct vault *v, struct error *err)
{
	struct stat st;
	struct policy *p = malloc(sizeof *p);
	ASSERT(p);
	look(v, &st);
	enum rc rc = read_file(v, IN_FORCE, p, NULL, NULL, err);
	if (rc == RC_OK)
		rc = note_edited(v, p->hash, err);
	if (rc == RC_OK) {
		v->policy = *p;
		v->policy_file = st;
		v->policy_fault.text[0] = '\0';
	} else {
		v->policy_fault = *err;
	}
	free(p);
	return rc == RC_NOT_FOUND ? RC_FAILED : rc;
}
