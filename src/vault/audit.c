/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* audit.c: the audit trail: who did what, when, why, in a chain that shows any change.
 *
 *   entry 1 ──hash──► entry 2 ──hash──► entry 3        hash n = SHA-256(hex(hash n-1) ‖ " " ‖ text of entry n)
 *                        │                 └─► STORE/vault/audit-head: "head 3 TIME HASH SIGNATURE", at each commit
 *                        └─► STORE/vault/audit-heads: "anchor 2 TIME HASH SIGNATURE", each hour
 *
 * Entries lie in the index as JSON text, written and synced before what they tell of happens.  Each commit's newest
 * hash is signed and overwrites a small file outside the index, so that an index put back to an older state shows.
 * Anchors are such heads that are kept for ever, here and elsewhere; each entry names the anchor that was signed
 * before it, so that a line taken out of their file shows too.
 *
 * A crash between commit and overwriting leaves the signed head one commit short, and no more: the next to open the
 * vault signs it again, and nothing is committed before that is done.  A signed head that contradicts the trail
 * in any other way is told of by an entry, which going on never heals.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/index.pb-c.h"
#include "vault/entry.h"
#include "vault/heads.h"
#include "vault/ledger.h"

static const char head_key[] = "audit";
static const char rebuilt[] = "index-rebuilt"; /* the one action that may begin a chain above 1 */
#define HOUR_US   (INT64_C(3600) * 1000000)
#define WALK_PAGE 2000 /* entries between two turns */

typedef Callspan__Index__AuditHead head_message;

static bool same_mark(const struct audit_mark *a, const struct audit_mark *b)
{
	return a->number == b->number && memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

static struct audit_mark mark_of(const struct audit_head *h)
{
	struct audit_mark m = { .number = h->number, .time_us = h->time_us };
	memcpy(m.hash, h->hash, sizeof m.hash);
	return m;
}

/* Stand at the newest committed entry. */
static void go_back(struct audit_head *h)
{
	h->number = h->committed.number;
	h->time_us = h->committed.time_us;
	memcpy(h->hash, h->committed.hash, sizeof h->hash);
	h->pending = false;
}

/* ---- opening -------------------------------------------------------------------------------------- */

/* Sign what is owed. */
static enum rc publish(struct vault *v, struct error *err)
{
	if (!v->head.owed)
		return RC_OK;
	enum rc rc = heads_put(v, &v->head.committed, err);
	v->head.owed = rc != RC_OK;
	return rc;
}

static void dispute(struct audit_head *h, const struct audit_mark *found)
{
	uint64_t last = h->committed.number;
	if (!found->number)
		snprintf(h->disputed, sizeof h->disputed,
			 "the signed head is gone or not signed by this store; the trail ends at "
			 "entry %" PRIu64,
			 last);
	else
		snprintf(h->disputed, sizeof h->disputed,
			 "the %s was put back: the signed head is of entry %" PRIu64
			 ", the trail ends at entry %" PRIu64,
			 found->number < last ? "signed head" : "trail", found->number, last);
	log_error("audit-disputed", "what=\"%s\"", h->disputed);
}

/* The signed head against the trail's. */
static enum rc settle(struct vault *v, struct error *err)
{
	struct audit_mark found;
	struct error later;
	struct audit_head *h = &v->head;
	enum rc rc = heads_get(v, &found, err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	h->owed = !same_mark(&found, &h->committed);
	if (h->owed && !same_mark(&found, &h->before))
		dispute(h, &found);
	/* Where that fails (a broken disk) it stays owed, and is signed before the next commit. */
	else if (publish(v, &later) != RC_OK)
		log_warning("audit-head", "what=\"%s\"", later.text);
	return RC_OK;
}

/* An anchor that was signed after the newest commit is known by its file alone. */
static enum rc load_anchor(struct vault *v, struct error *err)
{
	struct audit_mark last;
	enum rc rc = heads_last_anchor(v, &last, err);
	if (rc == RC_OK && same_mark(&last, &v->head.committed))
		v->head.anchor = last;
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static bool take_head(struct audit_head *h, const head_message *m)
{
	if (!m || m->hash.len != 32 || (m->before && m->before_hash.len != 32))
		return false;
	h->committed.number = m->number;
	h->committed.time_us = m->time_us;
	memcpy(h->committed.hash, m->hash.data, 32);
	h->before.number = m->before;
	if (m->before)
		memcpy(h->before.hash, m->before_hash.data, 32);
	h->anchor.number = m->anchor;
	h->anchor.time_us = m->anchor_us;
	h->outside_failed = m->outside_failed;
	h->outside_us = m->outside_us;
	go_back(h);
	return true;
}

enum rc audit_load(struct vault *v, struct error *err)
{
	uint8_t *bytes;
	size_t len;
	memset(&v->head, 0, sizeof v->head);
	enum rc rc =
		index_get(v->index, INDEX_META, head_key, sizeof head_key - 1, &bytes, &len, err);
	if (rc == RC_OK) {
		head_message *m = callspan__index__audit_head__unpack(NULL, len, bytes);
		free(bytes);
		if (!take_head(&v->head, m))
			rc = error_set(err, RC_DAMAGED, "the head of the audit trail is damaged");
		callspan__index__audit_head__free_unpacked(m, NULL);
	}
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	rc = settle(v, err);
	return rc == RC_OK ? load_anchor(v, err) : rc;
}

enum rc audit_dispute(struct vault *v, struct error *err)
{
	char detail[sizeof v->head.disputed];
	if (!v->head.disputed[0])
		return RC_OK;
	memcpy(detail, v->head.disputed, sizeof detail);
	v->head.owed = false; /* what is signed anew is the entry that tells */
	enum rc rc = audit_write(
		v, &(struct audit_entry){ .action = AUDIT_DISPUTED, .detail = detail }, err);
	if (rc == RC_OK)
		v->head.disputed[0] = '\0';
	return rc;
}

/* Where two heads can be read, the newer; it is made the newest of both files, for the chain is to go on from it. */
enum rc audit_take_up(struct vault *v, struct error *err)
{
	struct audit_mark head, anchor;
	struct audit_head *h = &v->head;
	char line[HEADS_LINE];
	memset(h, 0, sizeof *h);
	enum rc rc = heads_get(v, &head, err);
	if (rc == RC_OK || rc == RC_NOT_FOUND)
		rc = heads_last_anchor(v, &anchor, err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	rc = RC_OK;
	h->committed = head.number >= anchor.number ? head : anchor;
	go_back(h);
	if (!same_mark(&head, &h->committed))
		rc = heads_put(v, &h->committed, err);
	if (rc == RC_OK && !same_mark(&anchor, &h->committed)) {
		anchor = h->committed;
		anchor.time_us = vault_now_us(v);
		heads_line(v, "anchor", &anchor, line);
		rc = heads_append(v, line, err);
	}
	h->anchor = anchor;
	return rc;
}

/* ---- writing -------------------------------------------------------------------------------------- */

uint64_t audit_note(struct vault *v, struct index_batch *b, const struct audit_entry *given)
{
	static char text[ENTRY_TEXT]; /* one thread uses a vault */
	uint8_t key[8];
	struct audit_entry e = *given;
	e.number = v->head.number + 1;
	e.time_us = vault_now_us(v);
	e.after = v->head.anchor.number;
	size_t len = entry_write(text, &e);
	catalogue_be64(key, (int64_t)e.number);
	index_batch_put(b, INDEX_AUDIT, key, sizeof key, text, len);
	entry_hash(v->head.hash, v->head.hash, text, len);
	v->head.number = e.number;
	v->head.time_us = e.time_us;
	v->head.pending = true;
	return e.number;
}

static void put_head(struct vault *v, struct index_batch *b, struct audit_mark *before)
{
	struct audit_head *h = &v->head;
	head_message m;
	callspan__index__audit_head__init(&m);
	uint8_t bytes[192];
	m.number = h->number;
	m.time_us = h->time_us;
	m.hash = (ProtobufCBinaryData){ 32, h->hash };
	m.before = before->number;
	m.before_hash = (ProtobufCBinaryData){ 32, before->hash };
	m.anchor = h->anchor.number;
	m.anchor_us = h->anchor.time_us;
	m.outside_failed = h->outside_failed;
	m.outside_us = h->outside_us;
	ASSERT(callspan__index__audit_head__get_packed_size(&m) <= sizeof bytes);
	size_t len = callspan__index__audit_head__pack(&m, bytes);
	index_batch_put(b, INDEX_META, head_key, sizeof head_key - 1, bytes, len);
}

void audit_put_head(struct vault *v, struct index_batch *b)
{
	put_head(v, b, &v->head.committed);
}

/* A request is one thread's, from start to end; others may write while it has stepped out. */
static _Thread_local uint64_t written;

uint64_t audit_written(void)
{
	return written;
}

enum rc audit_commit(struct vault *v, struct index_batch *b, struct error *err)
{
	struct audit_head *h = &v->head;
	bool pending = h->pending;
	h->pending = false;
	enum rc rc = pending ? publish(v, err) : RC_OK;
	if (rc == RC_OK && pending)
		audit_put_head(v, b);
	if (rc == RC_OK)
		rc = ledger_append(v, b, err);
	if (rc == RC_OK)
		rc = index_batch_commit(b, err);
	else
		index_batch_drop(b);
	ledger_settle(v, rc == RC_OK);
	if (rc != RC_OK) {
		go_back(h);
		return rc;
	}
	if (!pending)
		return RC_OK;
	written += h->number - h->committed.number;
	h->before = h->committed;
	h->committed = mark_of(h);
	h->owed = true;
	return publish(v, err);
}

void audit_drop(struct vault *v, struct index_batch *b)
{
	index_batch_drop(b);
	ledger_settle(v, false);
	if (v->head.pending)
		go_back(&v->head);
}

enum rc audit_write(struct vault *v, const struct audit_entry *e, struct error *err)
{
	struct index_batch *b = index_batch_new(v->index);
	audit_note(v, b, e);
	return audit_commit(v, b, err);
}

/* ---- anchors -------------------------------------------------------------------------------------- */

static void send_outside(struct vault *v, const char *line)
{
	struct audit_head *h = &v->head;
	struct error err;
	if (!v->head_file)
		return;
	if (heads_send_outside(v->head_file, line, &err) == RC_OK) {
		h->outside_failed = 0;
		h->outside_us = vault_now_us(v);
		return;
	}
	h->outside_failed++;
	log_error("audit-outside", "failed=%" PRIu64 " what=\"%s\"", h->outside_failed, err.text);
}

/* Remember the anchor, and how it went outside; where that fails, its file still tells. */
static enum rc keep_anchor(struct vault *v, struct error *err)
{
	struct index_batch *b = index_batch_new(v->index);
	put_head(v, b, &v->head.before);
	return index_batch_commit(b, err);
}

enum rc audit_anchor(struct vault *v, struct error *err)
{
	struct audit_head *h = &v->head;
	char line[HEADS_LINE];
	ASSERT(!h->pending);
	bool fresh = h->number != h->anchor.number;
	struct audit_mark m = mark_of(h);
	m.time_us = fresh ? vault_now_us(v) : h->anchor.time_us;
	if (!fresh && !(v->head_file && h->outside_failed))
		return RC_OK;
	heads_line(v, "anchor", &m, line);
	enum rc rc = fresh ? heads_append(v, line, err) : RC_OK;
	if (rc != RC_OK)
		return rc;
	h->anchor = m;
	if (fresh)
		journal_anchor(v->store, &m, line);
	send_outside(v, line);
	return keep_anchor(v, err);
}

enum rc audit_hourly(struct vault *v, struct error *err)
{
	const struct audit_head *h = &v->head;
	int64_t age = vault_now_us(v) - h->anchor.time_us;
	/* A clock that was set back does not put it off. */
	if (h->number == h->anchor.number || (age >= 0 && age < HOUR_US))
		return RC_OK;
	return audit_anchor(v, err);
}

/* ---- reading -------------------------------------------------------------------------------------- */

/* Where a walk along the chain stands: what comes next, and the hash it follows. */
struct chain {
	uint64_t number;
	uint8_t hash[32];
};

/* The first entry of a trail whose index was lost goes on from a head that was signed. */
static void begin_chain(struct chain *at, const struct audit_entry *e)
{
	at->number = 1;
	memset(at->hash, 0, sizeof at->hash);
	if (!e->action || strcmp(e->action, rebuilt) != 0 || !e->follows)
		return;
	at->number = e->number;
	memcpy(at->hash, e->follows, sizeof at->hash);
}

static bool key_is(const uint8_t *key, size_t len, uint64_t number)
{
	uint8_t expected[8];
	catalogue_be64(expected, (int64_t)number);
	return len == sizeof expected && memcmp(key, expected, sizeof expected) == 0;
}

/* The chain's end against its head. */
static enum rc check_end(struct vault *v, const struct chain *at, struct error *err)
{
	if (at->number == v->head.number + 1 && memcmp(at->hash, v->head.hash, 32) == 0)
		return RC_OK;
	return error_set(err, RC_DAMAGED,
			 "the audit trail ends at entry %" PRIu64
			 ", which is not its head: entry %" PRIu64,
			 at->number - 1, v->head.number);
}

struct walk {
	struct vault *v;
	audit_each each;
	void *ctx;
	uint64_t last; /* that `each` sees */
	struct chain at;
	bool begun, over;
};

static enum rc walk_entry(struct walk *w, struct entry *x, const uint8_t *key, size_t key_len,
			  const char *text, size_t len, struct error *err)
{
	struct chain *at = &w->at;
	bool good = entry_read(x, text, len);
	if (good && !w->begun)
		begin_chain(at, &x->e);
	w->begun = true;
	if (!good)
		return error_set(err, RC_DAMAGED,
				 "audit entry %" PRIu64 " is not as it was written", at->number);
	if (x->e.number != at->number || !key_is(key, key_len, at->number))
		return error_set(err, RC_DAMAGED,
				 "audit entry %" PRIu64 " is missing, or out of its place",
				 at->number);
	entry_hash(at->hash, at->hash, text, len);
	at->number++;
	w->over = x->e.number <= w->last && !w->each(w->ctx, &x->e, at->hash);
	return RC_OK;
}

/* RC_END: that was the last page. */
static enum rc walk_page(struct walk *w, struct error *err)
{
	uint8_t start[8];
	catalogue_be64(start, (int64_t)w->at.number);
	struct index_cursor *c = index_cursor_new(w->v->index, INDEX_AUDIT, w->begun ? start : NULL,
						  sizeof start, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	struct entry x = { 0 };
	enum rc rc = RC_OK;
	for (unsigned n = 0; rc == RC_OK && n < WALK_PAGE; n++) {
		if (w->over || !index_cursor_next(c, &key, &key_len, &value, &value_len))
			rc = RC_END;
		else
			rc = walk_entry(w, &x, key, key_len, (const char *)value, value_len, err);
	}
	index_cursor_free(c);
	entry_free(&x);
	return rc;
}

enum rc audit_walk(struct vault *v, const struct request *q, audit_each each, void *ctx,
		   struct error *err)
{
	struct walk w = {
		.v = v, .each = each, .ctx = ctx, .last = v->head.number, .at = { .number = 1 }
	};
	enum rc rc = walk_page(&w, err);
	while (rc == RC_OK) {
		rc = q ? requests_rest(q, err) : RC_OK;
		if (rc == RC_OK)
			rc = walk_page(&w, err);
	}
	if (rc == RC_END)
		rc = w.over ? RC_OK : check_end(v, &w.at, err);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}

enum rc audit_read(struct vault *v, uint64_t from, bool down, audit_each each, void *ctx,
		   struct error *err)
{
	uint8_t start[8];
	catalogue_be64(start, (int64_t)from);
	struct index_cursor *c =
		index_cursor_new(v->index, INDEX_AUDIT, from ? start : NULL, sizeof start, down);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	struct entry x = { 0 };
	bool more = true;
	enum rc rc = RC_OK;
	while (more && rc == RC_OK && index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		if (entry_read(&x, (const char *)value, value_len) &&
		    key_is(key, key_len, x.e.number))
			more = each(ctx, &x.e, NULL);
		else
			rc = error_set(err, RC_DAMAGED,
				       "an audit entry is damaged: callspan audit verify tells "
				       "which");
	}
	index_cursor_free(c);
	entry_free(&x);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}

enum rc audit_text(struct vault *v, uint64_t number, char **text, size_t *len, struct error *err)
{
	uint8_t key[8], *value;
	catalogue_be64(key, (int64_t)number);
	enum rc rc = index_get(v->index, INDEX_AUDIT, key, sizeof key, &value, len, err);
	if (rc == RC_OK)
		*text = (char *)value;
	return rc;
}
