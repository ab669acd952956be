/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* audit.c: the audit trail: who did what, when, why, in a chain that shows any change.
 *
 *   entry 1 ──hash──► entry 2 ──hash──► entry 3        hash n = SHA-256(hash n-1 ‖ bytes of entry n)
 *                                          └─► STORE/vault/audit-heads: "3 TIME HASH SIGNATURE"
 *
 * Entries lie in the index, written and synced before what they tell of happens.  Each commit's newest hash is
 * also appended, signed, to a file outside the index, so that an index put back to an older state shows.  Each
 * entry names the head that was signed before it, so that a line taken out of that file shows too.
 *
 * A crash between commit and append leaves the file one line short, and no more: the next to open the vault
 * appends that line, and nothing is committed before it stands there.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/index.pb-c.h"
#include "vault/ledger.h"
#include "vault/parts.h"

static const char head_key[] = "audit";
#define HEADS_FILE  "vault/audit-heads"
#define HEADS_BYTES (256u << 20)
#define HEAD_SIGNED 160                        /* "NUMBER TIME HASH" */
static const char rebuilt[] = "index-rebuilt"; /* the one action that may begin a chain above 1 */

typedef Callspan__Index__AuditEntry entry_message;
typedef Callspan__Index__AuditHead head_message;

static char *text_or_empty(const char *s)
{
	static char empty[1];
	union {
		const char *in;
		char *out;
	} u = { .in = s };
	return s ? u.out : empty;
}

/* ---- signed heads -------------------------------------------------------------------------------- */

struct signed_head {
	uint64_t number;
	uint8_t hash[32];
};

/* "NUMBER TIME HASH SIGNATURE"; NULL, or what is wrong with it.  The line is cut up. */
static const char *head_fault(const struct vault *v, char *line, struct signed_head *out)
{
	uint8_t sig[64];
	char *signature = strrchr(line, ' ');
	if (!signature)
		return "is not a head";
	*signature++ = '\0';
	if (!keys_unhex(sig, sizeof sig, signature) ||
	    !sign_verify(sig, line, strlen(line), v->keys.heads.public_key))
		return "has a wrong signature";
	const char *hash = strrchr(line, ' ');
	out->number = strtoull(line, NULL, 10);
	if (!hash || !keys_unhex(out->hash, 32, hash + 1))
		return "is not a head";
	return NULL;
}

/* The line of the head as it stands now. */
static void make_line(struct vault *v, char line[AUDIT_LINE])
{
	char hash[65], sig_hex[129], text[HEAD_SIGNED];
	uint8_t sig[64];
	keys_hex(hash, v->head.hash, 32);
	int n = snprintf(text, sizeof text, "%" PRIu64 " %" PRId64 " %s", v->head.number,
			 v->head.time_us, hash);
	sign_bytes(sig, text, (size_t)n, &v->keys.heads);
	keys_hex(sig_hex, sig, sizeof sig);
	snprintf(line, AUDIT_LINE, "%s %s\n", text, sig_hex);
}

/* Append what is owed to the file of heads. */
static enum rc publish(struct vault *v, struct error *err)
{
	char path[STORE_PATH];
	if (!v->head.owed[0])
		return RC_OK;
	disk_path(path, v->store, HEADS_FILE);
	enum rc rc = disk_append_line(path, v->head.owed, strlen(v->head.owed), err);
	if (rc == RC_OK)
		v->head.owed[0] = '\0';
	return rc;
}

/* The newest line of the file; RC_NOT_FOUND: there is none, or it is not ours. */
static enum rc newest_head(struct vault *v, struct signed_head *out, struct error *err)
{
	char path[STORE_PATH], line[AUDIT_LINE];
	memset(out, 0, sizeof *out);
	disk_path(path, v->store, HEADS_FILE);
	enum rc rc = disk_last_line(path, line, sizeof line, err);
	return rc == RC_OK && head_fault(v, line, out) ? RC_NOT_FOUND : rc;
}

/* One commit short is what a crash leaves; anything else is audit_check()'s to tell. */
static enum rc settle_debt(struct vault *v, struct error *err)
{
	struct signed_head newest;
	struct error later;
	const struct audit_head *h = &v->head;
	enum rc rc = newest_head(v, &newest, err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	if (newest.number != h->before || memcmp(newest.hash, h->before_hash, 32) != 0)
		return RC_OK;
	make_line(v, v->head.owed);
	/* Where that fails (a full disk) it stays owed, and stands before the next commit. */
	if (publish(v, &later) != RC_OK)
		log_warning("audit-heads", "what=\"%s\"", later.text);
	return RC_OK;
}

enum rc audit_load(struct vault *v, struct error *err)
{
	uint8_t *bytes;
	size_t len;
	struct audit_head *h = &v->head;
	memset(h, 0, sizeof *h);
	enum rc rc =
		index_get(v->index, INDEX_META, head_key, sizeof head_key - 1, &bytes, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	head_message *m = callspan__index__audit_head__unpack(NULL, len, bytes);
	free(bytes);
	if (!m || m->hash.len != 32 || (m->before && m->before_hash.len != 32)) {
		rc = error_set(err, RC_DAMAGED, "the head of the audit trail is damaged");
	} else {
		h->number = h->signed_number = m->number;
		h->time_us = m->time_us;
		memcpy(h->hash, m->hash.data, 32);
		memcpy(h->signed_hash, m->hash.data, 32);
		h->before = m->before;
		if (m->before)
			memcpy(h->before_hash, m->before_hash.data, 32);
	}
	callspan__index__audit_head__free_unpacked(m, NULL);
	return rc == RC_OK ? settle_debt(v, err) : rc;
}

enum rc audit_take_up(struct vault *v, struct error *err)
{
	struct signed_head newest;
	struct audit_head *h = &v->head;
	enum rc rc = newest_head(v, &newest, err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	memset(h, 0, sizeof *h);
	h->number = h->signed_number = newest.number;
	memcpy(h->hash, newest.hash, 32);
	memcpy(h->signed_hash, newest.hash, 32);
	return RC_OK;
}

/* ---- writing -------------------------------------------------------------------------------------- */

static void chain_hash(uint8_t out[32], const uint8_t prev[32], const uint8_t *bytes, size_t len)
{
	uint8_t *both = malloc(32 + len);
	ASSERT(both);
	memcpy(both, prev, 32);
	memcpy(both + 32, bytes, len);
	digest_sha256(out, both, 32 + len);
	free(both);
}

uint64_t audit_note(struct vault *v, struct index_batch *b, const struct audit_entry *e)
{
	entry_message m;
	callspan__index__audit_entry__init(&m);
	uint8_t prev[32], id[16], key[8];
	memcpy(prev, v->head.hash, sizeof prev);
	m.number = v->head.number + 1;
	m.time_us = vault_now_us(v);
	m.person = text_or_empty(e->person);
	m.role = text_or_empty(e->role);
	m.action = text_or_empty(e->action);
	m.purpose = text_or_empty(e->purpose);
	m.reference = text_or_empty(e->reference);
	m.outcome = text_or_empty(e->outcome);
	m.detail = text_or_empty(e->detail);
	m.prev = (ProtobufCBinaryData){ sizeof prev, prev };
	m.after = v->head.signed_number;
	if (e->call) {
		memcpy(id, e->call->b, sizeof id);
		m.call = (ProtobufCBinaryData){ sizeof id, id };
	}
	size_t len = callspan__index__audit_entry__get_packed_size(&m);
	uint8_t *bytes = malloc(len);
	ASSERT(bytes);
	callspan__index__audit_entry__pack(&m, bytes);
	catalogue_be64(key, (int64_t)m.number);
	index_batch_put(b, INDEX_AUDIT, key, sizeof key, bytes, len);
	chain_hash(v->head.hash, prev, bytes, len);
	free(bytes);
	v->head.number = m.number;
	v->head.time_us = m.time_us;
	v->head.pending = true;
	return m.number;
}

void audit_put_head(struct vault *v, struct index_batch *b)
{
	head_message m;
	callspan__index__audit_head__init(&m);
	uint8_t bytes[160];
	m.number = v->head.number;
	m.time_us = v->head.time_us;
	m.hash = (ProtobufCBinaryData){ 32, v->head.hash };
	m.before = v->head.signed_number;
	m.before_hash = (ProtobufCBinaryData){ 32, v->head.signed_hash };
	ASSERT(callspan__index__audit_head__get_packed_size(&m) <= sizeof bytes);
	size_t len = callspan__index__audit_head__pack(&m, bytes);
	index_batch_put(b, INDEX_META, head_key, sizeof head_key - 1, bytes, len);
}

/* Entries were chained on and not written: back to the newest committed. */
static void go_back(struct vault *v)
{
	v->head.number = v->head.signed_number;
	memcpy(v->head.hash, v->head.signed_hash, 32);
	v->head.pending = false;
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
		go_back(v);
		return rc;
	}
	if (!pending)
		return RC_OK;
	h->before = h->signed_number;
	memcpy(h->before_hash, h->signed_hash, 32);
	h->signed_number = h->number;
	memcpy(h->signed_hash, h->hash, 32);
	make_line(v, h->owed);
	return publish(v, err);
}

void audit_drop(struct vault *v, struct index_batch *b)
{
	index_batch_drop(b);
	ledger_settle(v, false);
	if (v->head.pending)
		go_back(v);
}

enum rc audit_write(struct vault *v, const struct audit_entry *e, struct error *err)
{
	struct index_batch *b = index_batch_new(v->index);
	audit_note(v, b, e);
	return audit_commit(v, b, err);
}

/* ---- walking and checking --------------------------------------------------------------------- */

/* Where a walk along the chain stands: what comes next, and the hash it follows. */
struct chain {
	uint64_t number;
	uint8_t hash[32];
};

/* The first entry of a trail whose index was lost goes on from a head that was signed. */
static void begin_chain(struct chain *at, const entry_message *m)
{
	at->number = 1;
	memset(at->hash, 0, sizeof at->hash);
	if (!m || strcmp(m->action, rebuilt) != 0 || m->prev.len != 32)
		return;
	at->number = m->number;
	memcpy(at->hash, m->prev.data, 32);
}

/* One entry as it lies in the index against where the chain stands. */
static const char *entry_fault(const entry_message *m, const struct chain *at, const uint8_t *key,
			       size_t key_len)
{
	uint8_t expected[8];
	catalogue_be64(expected, (int64_t)at->number);
	if (!m)
		return "cannot be read";
	if (m->number != at->number || key_len != 8 || memcmp(key, expected, 8) != 0)
		return "is missing, or out of its place";
	if (m->prev.len != 32 || memcmp(m->prev.data, at->hash, 32) != 0)
		return "does not follow the one before it";
	return NULL;
}

static bool hand_over(const entry_message *m, const uint8_t hash[32], audit_each each, void *ctx)
{
	struct uuid call;
	if (m->call.len == sizeof call.b)
		memcpy(call.b, m->call.data, sizeof call.b);
	const struct audit_entry e = {
		.number = m->number,
		.time_us = m->time_us,
		.person = m->person,
		.role = m->role,
		.action = m->action,
		.purpose = m->purpose,
		.reference = m->reference,
		.outcome = m->outcome,
		.detail = m->detail,
		.call = m->call.len == sizeof call.b ? &call : NULL,
		.after = m->after,
		.prev = m->prev.data,
	};
	return each(ctx, &e, hash);
}

enum rc audit_walk(struct vault *v, audit_each each, void *ctx, struct error *err)
{
	struct index_cursor *c = index_cursor_new(v->index, INDEX_AUDIT, NULL, 0, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	struct chain at = { 0 };
	uint64_t last = 0;
	bool more = true;
	enum rc rc = RC_OK;
	while (more && rc == RC_OK && index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		entry_message *m = callspan__index__audit_entry__unpack(NULL, value_len, value);
		if (!last)
			begin_chain(&at, m);
		const char *fault = entry_fault(m, &at, key, key_len);
		if (fault)
			rc = error_set(err, RC_DAMAGED, "audit entry %" PRIu64 " %s", at.number,
				       fault);
		chain_hash(at.hash, at.hash, value, value_len);
		last = at.number++;
		if (rc == RC_OK)
			more = hand_over(m, at.hash, each, ctx);
		callspan__index__audit_entry__free_unpacked(m, NULL);
	}
	index_cursor_free(c);
	if (rc == RC_OK && more &&
	    (last != v->head.number || memcmp(at.hash, v->head.hash, 32) != 0))
		rc = error_set(err, RC_DAMAGED,
			       "the audit trail ends at entry %" PRIu64 ", which is not its head",
			       last);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}

/* The file of heads beside the chain: `next` is the line to be compared. */
struct heads {
	const struct vault *v;
	char *rest;
	uint64_t line;
	struct signed_head next; /* number 0: no more */
	uint64_t newest;         /* number of the last line that fits the chain */
	uint64_t lacking;        /* a head that entries follow, and no line has; 0: none */
	uint64_t missing;        /* entries that were lost with an index */
	bool begun;
	const char *fault;
};

static void next_head(struct heads *h)
{
	uint64_t before = h->next.number;
	char *line = h->fault ? NULL : strtok_r(NULL, "\n", &h->rest);
	if (!line) {
		h->next.number = 0;
		return;
	}
	h->line++;
	h->fault = head_fault(h->v, line, &h->next);
	if (!h->fault && h->next.number <= before)
		h->fault = "is older than the one before it";
	if (h->fault)
		h->next.number = 0;
}

/* The line of the head in hand is this entry's: do they agree? */
static void compare_hash(struct heads *h, uint64_t number, const uint8_t hash[32])
{
	if (memcmp(h->next.hash, hash, 32) != 0) {
		h->fault = "is of another chain than the audit trail";
		return;
	}
	h->newest = number;
	next_head(h);
}

/* Heads of entries that were lost: the last of them is what the first entry goes on from. */
static void skip_lost(struct heads *h, const struct audit_entry *first)
{
	h->begun = true;
	h->missing = first->number - 1;
	while (h->next.number && h->next.number < h->missing)
		next_head(h);
	if (h->next.number && h->next.number == h->missing)
		compare_hash(h, h->missing, first->prev);
}

static bool compare_head(void *ctx, const struct audit_entry *e, const uint8_t hash[32])
{
	struct heads *h = ctx;
	if (!h->begun)
		skip_lost(h, e);
	if (!h->fault && e->after && h->newest != e->after)
		h->lacking = e->after;
	else if (!h->fault && h->next.number == e->number)
		compare_hash(h, e->number, hash);
	return !h->fault && !h->lacking;
}

/* The last line must be the index's head, but for one that could not be written yet. */
static enum rc heads_verdict(const struct heads *h, struct error *err)
{
	const struct audit_head *head = &h->v->head;
	if (h->fault)
		return error_set(err, RC_DAMAGED, "line %" PRIu64 " of the audit heads %s", h->line,
				 h->fault);
	if (h->next.number)
		return error_set(err, RC_DAMAGED,
				 "the audit trail was put back: it ends before entry %" PRIu64
				 ", whose head is signed",
				 h->next.number);
	uint64_t lacking = h->lacking;
	if (!lacking && h->newest != (head->owed[0] ? head->before : head->number))
		lacking = head->number;
	if (lacking)
		return error_set(err, RC_DAMAGED,
				 "the head of audit entry %" PRIu64
				 " is missing from the file of audit heads",
				 lacking);
	return RC_OK;
}

enum rc audit_check(struct vault *v, uint64_t *missing, struct error *err)
{
	char path[STORE_PATH], *text;
	size_t len;
	disk_path(path, v->store, HEADS_FILE);
	enum rc rc = disk_read(path, HEADS_BYTES, &text, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND
			       ? error_set(err, RC_DAMAGED, "the file of audit heads is gone")
			       : rc;
	/* What a crash left of a line is none. */
	char *end = memrchr(text, '\n', len);
	*(end ? end : text) = '\0';
	struct heads h = { .v = v, .rest = text };
	next_head(&h);
	if (!h.next.number && !h.fault)
		h.fault = "is missing";
	rc = h.fault ? RC_OK : audit_walk(v, compare_head, &h, err);
	if (rc == RC_OK)
		rc = heads_verdict(&h, err);
	if (missing)
		*missing = h.missing;
	free(text);
	return rc;
}
