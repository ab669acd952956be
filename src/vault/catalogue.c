/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* catalogue.c: calls in the index, and everything that points at them.
 *
 *   calls          id                                   -> CallRow
 *   by_time        be64 start ‖ id                      -> (nothing)
 *   by_party       keyed hash ‖ be64 start ‖ id         -> (nothing)
 *   conversations  conversation ‖ be64 start ‖ id       -> (nothing)
 *   expiry         be64 expiry ‖ id                     -> (nothing), ended calls only
 *
 * A row and its pointers change in one batch; the row remembers under which keys it stands.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/holds.h"
#include "vault/parts.h"

#define ID_DIGITS 32
#define ID_PREFIX 8

void catalogue_be64(uint8_t out[8], int64_t v)
{
	uint64_t u = v < 0 ? 0 : (uint64_t)v;
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(u >> (56 - 8 * i));
}

enum rc catalogue_get(struct vault *v, const struct uuid *id, struct call **out, struct error *err)
{
	uint8_t *row;
	size_t len;
	enum rc rc = index_get(v->index, INDEX_CALLS, id->b, sizeof id->b, &row, &len, err);
	if (rc != RC_OK)
		return rc;
	*out = call_row_unpack(row, len);
	free(row);
	return *out ? RC_OK : error_set(err, RC_DAMAGED, "a call's row is damaged: reindex");
}

enum rc catalogue_named(struct vault *v, const struct uuid *id, struct call **out,
			struct error *err)
{
	enum rc rc = catalogue_get(v, id, out, err);

	if (rc == RC_NOT_FOUND)
		rc = error_set(err, RC_DAMAGED,
			       "the index points at a call that is not there: reindex");
	return rc;
}

void catalogue_open(struct vault *v, struct call *c)
{
	struct segment *s;
	struct call_keys keys;
	struct error err;
	if (c->opened || !c->sealed || segments_open(v, c->segment, &s, &err) != RC_OK)
		return;
	if (segment_keys(s, c->slot, NULL, &v->keys.metadata, &keys, &err) == RC_OK)
		(void)call_row_open(c, &keys);
	forget_bytes(&keys, sizeof keys);
}

static void add_parties(const struct vault *v, struct call *c, const char *party)
{
	uint8_t keys[4][PARTY_KEY];
	unsigned n = party_keys(v, party, keys);
	for (unsigned i = 0; i < n; i++) {
		bool known = false;
		for (unsigned k = 0; k < c->parties_count && !known; k++)
			known = memcmp(c->parties[k], keys[i], PARTY_KEY) == 0;
		if (!known)
			memcpy(c->parties[c->parties_count++], keys[i], PARTY_KEY);
	}
}

void catalogue_parties(const struct vault *v, struct call *c)
{
	c->parties_count = 0;
	add_parties(v, c, c->r.from);
	add_parties(v, c, c->r.to);
}

int64_t catalogue_expiry(struct vault *v, const struct call *c)
{
	return catalogue_expiry_by(v, &v->applied, c);
}

int64_t catalogue_expiry_by(struct vault *v, const struct policy *p, const struct call *c)
{
	if (c->r.state != CALL_ENDED)
		return 0;
	int64_t from_us = c->r.end_us ? c->r.end_us : c->r.start_us;
	if (c->r.imported && !c->r.retain_from_call && c->r.imported_us)
		from_us = c->r.imported_us;
	int64_t expiry_us = policy_expiry_us(p, c->class, from_us),
		grace_us = holds_grace_us(v, &c->r.id);
	return expiry_us > grace_us ? expiry_us : grace_us;
}

/* ---- what points at a row ---------------------------------------------------------------------- */

typedef void (*write_key)(struct index_batch *b, enum index_family f, const void *key, size_t len);

static void put_empty(struct index_batch *b, enum index_family f, const void *key, size_t len)
{
	index_batch_put(b, f, key, len, NULL, 0);
}

static void write_expiry(struct index_batch *b, const struct uuid *id, const struct call_filed *f,
			 write_key write)
{
	uint8_t key[24];
	catalogue_be64(key, f->expiry_us);
	memcpy(key + 8, id->b, 16);
	if (f->expiry_us)
		write(b, INDEX_EXPIRY, key, sizeof key);
}

/* The others: they stand by what is known of the call itself. */
static void write_pointers(struct index_batch *b, const struct uuid *id, const struct call_filed *f,
			   write_key write)
{
	uint8_t key[40];
	catalogue_be64(key, f->start_us);
	memcpy(key + 8, id->b, 16);
	write(b, INDEX_BY_TIME, key, 24);
	catalogue_be64(key + 16, f->start_us);
	memcpy(key + 24, id->b, 16);
	memcpy(key, f->conversation.b, 16);
	if (!uuid_is_nil(&f->conversation))
		write(b, INDEX_CONVERSATIONS, key, 40);
	for (unsigned i = 0; i < f->parties_count; i++) {
		memcpy(key, f->parties[i], PARTY_KEY);
		write(b, INDEX_BY_PARTY, key, 40);
	}
}

static bool same_places(const struct call_filed *a, const struct call_filed *b)
{
	return a->filed == b->filed && a->start_us == b->start_us &&
	       uuid_equal(&a->conversation, &b->conversation) &&
	       a->parties_count == b->parties_count &&
	       memcmp(a->parties, b->parties, a->parties_count * sizeof a->parties[0]) == 0;
}

/* Usually only a row changes (a call that goes on), or its timer too (one that ends, or is to live longer). */
void catalogue_put(struct index_batch *b, struct call *c, const struct call_keys *keys)
{
	size_t len;
	uint8_t *row = call_row_pack(c, keys, &len);
	const struct call_filed was = c->filed;
	struct call_filed now = { .filed = true,
				  .start_us = c->r.start_us,
				  .expiry_us = c->expiry_us,
				  .conversation = c->r.conversation,
				  .parties_count = c->parties_count };
	memcpy(now.parties, c->parties, sizeof now.parties);
	index_batch_put(b, INDEX_CALLS, c->r.id.b, sizeof c->r.id.b, row, len);
	free(row);
	c->filed = now;
	if (was.expiry_us != now.expiry_us) {
		write_expiry(b, &c->r.id, &was, index_batch_delete);
		write_expiry(b, &c->r.id, &now, put_empty);
	}
	if (same_places(&was, &now))
		return;
	if (was.filed)
		write_pointers(b, &c->r.id, &was, index_batch_delete);
	write_pointers(b, &c->r.id, &now, put_empty);
}

/* ---- by id or prefix ----------------------------------------------------------------------------- */

/* Hex digits of an id without dashes; 0 when it is none. */
static size_t id_digits(const char *text, char digits[ID_DIGITS + 1])
{
	size_t n = 0;
	for (; *text; text++) {
		char c = *text >= 'A' && *text <= 'F' ? (char)(*text - 'A' + 'a') : *text;
		if (c == '-')
			continue;
		if (n == ID_DIGITS || !strchr("0123456789abcdef", c))
			return 0;
		digits[n++] = c;
	}
	digits[n] = '\0';
	return n;
}

static bool has_prefix(const uint8_t *id, const char *digits, size_t n)
{
	char hex[ID_DIGITS + 1];
	keys_hex(hex, id, ID_DIGITS / 2);
	return memcmp(hex, digits, n) == 0;
}

enum rc catalogue_find(struct vault *v, const char *id, struct uuid *out, struct error *err)
{
	char digits[ID_DIGITS + 1], from_hex[ID_DIGITS + 1];
	size_t n = id_digits(id, digits);
	if (n < ID_PREFIX)
		return error_set(err, RC_USAGE,
				 "not an id: give a UUID or at least its first 8 characters");
	memset(from_hex, '0', ID_DIGITS);
	from_hex[ID_DIGITS] = '\0';
	memcpy(from_hex, digits, n);
	uint8_t from[16];
	ASSERT(keys_unhex(from, sizeof from, from_hex));

	struct index_cursor *c = index_cursor_new(v->index, INDEX_CALLS, from, sizeof from, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	unsigned found = 0;
	while (found < 2 && index_cursor_next(c, &key, &key_len, &value, &value_len) &&
	       key_len == sizeof out->b && has_prefix(key, digits, n)) {
		if (found++ == 0)
			memcpy(out->b, key, sizeof out->b);
	}
	index_cursor_free(c);
	if (found == 1)
		return RC_OK;
	return error_set(err, RC_USAGE,
			 found ? "more than one recording begins so: give more of the id"
			       : "no such recording");
}
