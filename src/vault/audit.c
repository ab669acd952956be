/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* audit.c: the audit trail: who did what, when, why, in a chain that shows any change.
 *
 *   entry 1 ──hash──► entry 2 ──hash──► entry 3        hash n = SHA-256(hash n-1 ‖ bytes of entry n)
 *                                          └─► STORE/vault/audit-heads: "3 TIME HASH SIGNATURE"
 *
 * Entries lie in the index, written and synced before what they tell of happens.  Each commit's newest hash is
 * also appended, signed, to a file outside the index, so that an index put back to an older state shows.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/index.pb-c.h"
#include "vault/parts.h"

static const char head_key[] = "audit";
#define HEADS_FILE  "vault/audit-heads"
#define HEADS_BYTES (256u << 20)
#define HEAD_SIGNED 160 /* "NUMBER TIME HASH" */

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

enum rc audit_load(struct vault *v, struct error *err)
{
	uint8_t *bytes;
	size_t len;
	memset(&v->head, 0, sizeof v->head);
	enum rc rc =
		index_get(v->index, INDEX_META, head_key, sizeof head_key - 1, &bytes, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	head_message *m = callspan__index__audit_head__unpack(NULL, len, bytes);
	free(bytes);
	if (!m || m->hash.len != sizeof v->head.hash) {
		rc = error_set(err, RC_DAMAGED, "the head of the audit trail is damaged");
	} else {
		v->head.number = m->number;
		v->head.time_us = m->time_us;
		memcpy(v->head.hash, m->hash.data, sizeof v->head.hash);
	}
	callspan__index__audit_head__free_unpacked(m, NULL);
	return rc;
}

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
	m.time_us = clock_real_ns() / 1000;
	m.person = text_or_empty(e->person);
	m.role = text_or_empty(e->role);
	m.action = text_or_empty(e->action);
	m.purpose = text_or_empty(e->purpose);
	m.reference = text_or_empty(e->reference);
	m.outcome = text_or_empty(e->outcome);
	m.detail = text_or_empty(e->detail);
	m.prev = (ProtobufCBinaryData){ sizeof prev, prev };
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

static void put_head(struct vault *v, struct index_batch *b)
{
	head_message m;
	callspan__index__audit_head__init(&m);
	uint8_t bytes[64];
	m.number = v->head.number;
	m.time_us = v->head.time_us;
	m.hash = (ProtobufCBinaryData){ sizeof v->head.hash, v->head.hash };
	ASSERT(callspan__index__audit_head__get_packed_size(&m) <= sizeof bytes);
	size_t len = callspan__index__audit_head__pack(&m, bytes);
	index_batch_put(b, INDEX_META, head_key, sizeof head_key - 1, bytes, len);
}

static enum rc publish_head(struct vault *v, struct error *err)
{
	char path[STORE_PATH], hash[65], sig_hex[129], text[HEAD_SIGNED], line[HEAD_SIGNED + 132];
	uint8_t sig[64];
	keys_hex(hash, v->head.hash, 32);
	int n = snprintf(text, sizeof text, "%" PRIu64 " %" PRId64 " %s", v->head.number,
			 v->head.time_us, hash);
	sign_bytes(sig, text, (size_t)n, &v->keys.heads);
	keys_hex(sig_hex, sig, sizeof sig);
	n = snprintf(line, sizeof line, "%s %s\n", text, sig_hex);
	disk_path(path, v->store, HEADS_FILE);
	return disk_append(path, line, (size_t)n, err);
}

/* Entries were chained on and not written.  When the head cannot be read back either, no entry can follow it:
 * the next one shows as a break. */
static void reload_head(struct vault *v)
{
	struct error err;
	if (audit_load(v, &err) != RC_OK)
		memset(&v->head, 0, sizeof v->head);
}

enum rc audit_commit(struct vault *v, struct index_batch *b, struct error *err)
{
	bool pending = v->head.pending;
	v->head.pending = false;
	if (pending)
		put_head(v, b);
	enum rc rc = index_batch_commit(b, err);
	if (rc == RC_OK && pending)
		return publish_head(v, err);
	if (rc != RC_OK)
		reload_head(v);
	return rc;
}

void audit_drop(struct vault *v, struct index_batch *b)
{
	index_batch_drop(b);
	if (v->head.pending)
		reload_head(v);
}

enum rc audit_write(struct vault *v, const struct audit_entry *e, struct error *err)
{
	struct index_batch *b = index_batch_new(v->index);
	audit_note(v, b, e);
	return audit_commit(v, b, err);
}

/* ---- walking and checking --------------------------------------------------------------------- */

/* One entry as it lies in the index against where the chain stands. */
static const char *entry_fault(const entry_message *m, uint64_t number, const uint8_t prev[32])
{
	if (!m)
		return "cannot be read";
	if (m->number != number)
		return "is missing, or out of its place";
	if (m->prev.len != 32 || memcmp(m->prev.data, prev, 32) != 0)
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
	};
	return each(ctx, &e, hash);
}

enum rc audit_walk(struct vault *v, audit_each each, void *ctx, struct error *err)
{
	struct index_cursor *c = index_cursor_new(v->index, INDEX_AUDIT, NULL, 0, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	uint8_t hash[32] = { 0 };
	uint64_t number = 0;
	bool more = true;
	enum rc rc = RC_OK;
	while (more && rc == RC_OK && index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		entry_message *m = callspan__index__audit_entry__unpack(NULL, value_len, value);
		const char *fault = entry_fault(m, ++number, hash);
		uint8_t expected[8];
		catalogue_be64(expected, (int64_t)number);
		if (!fault && (key_len != 8 || memcmp(key, expected, 8) != 0))
			fault = "is missing, or out of its place";
		if (fault)
			rc = error_set(err, RC_DAMAGED, "audit entry %" PRIu64 " %s", number,
				       fault);
		chain_hash(hash, hash, value, value_len);
		if (rc == RC_OK)
			more = hand_over(m, hash, each, ctx);
		callspan__index__audit_entry__free_unpacked(m, NULL);
	}
	index_cursor_free(c);
	if (rc == RC_OK && more &&
	    (number != v->head.number || memcmp(hash, v->head.hash, 32) != 0))
		rc = error_set(err, RC_DAMAGED,
			       "the audit trail ends at entry %" PRIu64 ", which is not its head",
			       number);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}

/* The file of heads beside the chain: `next` is the line to be compared. */
struct heads {
	const struct vault *v;
	char *rest;
	uint64_t line, number; /* of the line in hand; number 0: none */
	uint8_t hash[32];
	const char *fault;
};

/* "NUMBER TIME HASH SIGNATURE" */
static const char *read_head(struct heads *h, char *line)
{
	uint8_t sig[64];
	char *hash, *signature = strrchr(line, ' ');
	if (!signature)
		return "is not a head";
	*signature++ = '\0';
	if (!keys_unhex(sig, sizeof sig, signature) ||
	    !sign_verify(sig, line, strlen(line), h->v->keys.heads.public_key))
		return "has a wrong signature";
	hash = strrchr(line, ' ');
	uint64_t number = strtoull(line, NULL, 10);
	if (!hash || !keys_unhex(h->hash, 32, hash + 1))
		return "is not a head";
	if (number <= h->number)
		return "is older than the one before it";
	h->number = number;
	return NULL;
}

static void next_head(struct heads *h)
{
	char *line = h->fault ? NULL : strtok_r(NULL, "\n", &h->rest);
	if (!line) {
		h->number = 0;
		return;
	}
	h->line++;
	h->fault = read_head(h, line);
	if (h->fault)
		h->number = 0;
}

static bool compare_head(void *ctx, const struct audit_entry *e, const uint8_t hash[32])
{
	struct heads *h = ctx;
	if (h->number != e->number)
		return true;
	if (memcmp(h->hash, hash, 32) != 0)
		h->fault = "is of another chain than the audit trail";
	else
		next_head(h);
	return !h->fault;
}

enum rc audit_check(struct vault *v, struct error *err)
{
	char path[STORE_PATH], *text;
	size_t len;
	disk_path(path, v->store, HEADS_FILE);
	enum rc rc = disk_read(path, HEADS_BYTES, &text, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND
			       ? error_set(err, RC_DAMAGED, "the file of audit heads is gone")
			       : rc;
	struct heads h = { .v = v, .rest = text };
	next_head(&h);
	if (!h.number && !h.fault)
		h.fault = "is missing";
	rc = h.fault ? RC_OK : audit_walk(v, compare_head, &h, err);
	if (rc == RC_OK && h.fault)
		rc = error_set(err, RC_DAMAGED, "line %" PRIu64 " of the audit heads %s", h.line,
			       h.fault);
	else if (rc == RC_OK && h.number)
		rc = error_set(err, RC_DAMAGED,
			       "the audit trail was put back: it ends before entry %" PRIu64
			       ", whose head is signed",
			       h.number);
	free(text);
	return rc;
}
