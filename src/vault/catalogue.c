/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* catalogue.c: calls in the index, and everything that points at them.
 *
 *   calls          id                                   -> CallRow
 *   by_time        be64 start ‖ id                      -> (nothing)
 *   by_party       keyed hash ‖ be64 start ‖ id         -> (nothing)
 *   conversations  conversation ‖ be64 start ‖ id       -> (nothing)
 *   expiry         be64 expiry ‖ id                     -> be64 start ‖ be64 bytes ‖ class, ended calls only:
 *                                                          so a purge can be foretold without reading rows
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

#define TIME_KEY  (8 + 16) /* a time, an id */
#define WALK_PAGE 1000     /* keys between two turns */

/* Those behind `seen` (behind nothing when its id is zero), which becomes the last one seen.  RC_END: that was the last page. */
static enum rc walk_page(struct vault *v, enum index_family family, uint8_t seen[TIME_KEY],
			 const uint8_t until[8], catalogue_each_time each, void *ctx,
			 struct error *err)
{
	const uint8_t *key, *value;
	size_t key_len, value_len;
	struct uuid id;
	enum rc rc = RC_OK;
	struct index_cursor *c = index_cursor_new(v->index, family, seen, TIME_KEY, false);
	for (unsigned n = 0; rc == RC_OK && n < WALK_PAGE; n++) {
		if (!index_cursor_next(c, &key, &key_len, &value, &value_len) ||
		    key_len != TIME_KEY || memcmp(key, until, 8) > 0) {
			rc = RC_END;
		} else if (memcmp(key, seen, TIME_KEY) != 0) {
			memcpy(seen, key, TIME_KEY);
			memcpy(id.b, key + 8, sizeof id.b);
			rc = each(ctx, catalogue_from_be64(key), &id, err);
		}
	}
	index_cursor_free(c);
	return rc;
}

enum rc catalogue_walk_times(struct vault *v, const struct request *q, enum index_family family,
			     int64_t since_us, int64_t until_us, catalogue_each_time each,
			     void *ctx, struct error *err)
{
	uint8_t seen[TIME_KEY] = { 0 }, until[8];
	catalogue_be64(seen, since_us);
	catalogue_be64(until, until_us);
	enum rc rc = walk_page(v, family, seen, until, each, ctx, err);
	while (rc == RC_OK) {
		rc = q ? requests_rest(q, err) : RC_OK;
		if (rc == RC_OK)
			rc = walk_page(v, family, seen, until, each, ctx, err);
	}
	return rc == RC_END ? RC_OK : rc;
}

struct call_walk {
	struct vault *v;
	catalogue_each each;
	void *ctx;
};

static enum rc walk_one(void *ctx, int64_t us, const struct uuid *id, struct error *err)
{
	const struct call_walk *w = ctx;
	struct call *call = NULL;
	(void)us;
	enum rc rc = catalogue_named(w->v, id, &call, err);
	if (rc != RC_OK)
		return rc;
	rc = w->each(w->ctx, call, err);
	call_row_free(call);
	return rc;
}

enum rc catalogue_walk(struct vault *v, const struct request *q, int64_t since_us, int64_t until_us,
		       catalogue_each each, void *ctx, struct error *err)
{
	struct call_walk w = { v, each, ctx };
	enum rc rc =
		catalogue_walk_times(v, q, INDEX_BY_TIME, since_us, until_us, walk_one, &w, err);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}

void catalogue_open(struct vault *v, struct call *c)
{
	struct call_keys keys;
	struct error err;
	if (c->opened || !c->sealed)
		return;
	if (segments_peek(v, c->segment, c->slot, &keys, &err) == RC_OK)
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

/* All but its timer: they stand by what is known of the call itself. */
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

#define TIMER_KEY 24

static void timer_key(uint8_t key[TIMER_KEY], const struct uuid *id, int64_t expiry_us)
{
	catalogue_be64(key, expiry_us);
	memcpy(key + 8, id->b, 16);
}

static void put_timer(struct index_batch *b, const struct call *c)
{
	uint8_t key[TIMER_KEY], value[16 + sizeof c->class];
	size_t len = strlen(c->class);
	if (!c->expiry_us)
		return;
	timer_key(key, &c->r.id, c->expiry_us);
	catalogue_be64(value, c->r.start_us);
	catalogue_be64(value + 8, (int64_t)c->stored_bytes);
	memcpy(value + 16, c->class, len);
	index_batch_put(b, INDEX_EXPIRY, key, sizeof key, value, 16 + len);
}

int64_t catalogue_from_be64(const uint8_t p[8])
{
	uint64_t u = 0;
	for (int i = 0; i < 8; i++)
		u = u << 8 | p[i];
	return (int64_t)u;
}

bool catalogue_timer(struct catalogue_timer *t, const uint8_t *key, size_t key_len,
		     const uint8_t *value, size_t value_len)
{
	memset(t, 0, sizeof *t);
	if (key_len != TIMER_KEY)
		return false;
	t->expiry_us = catalogue_from_be64(key);
	memcpy(t->id.b, key + 8, 16);
	if (value_len < 16 || value_len - 16 >= sizeof t->class)
		return value_len == 0;
	t->start_us = catalogue_from_be64(value);
	t->bytes = (uint64_t)catalogue_from_be64(value + 8);
	memcpy(t->class, value + 16, value_len - 16);
	return true;
}

static void delete_timer(struct index_batch *b, const struct uuid *id, int64_t expiry_us)
{
	uint8_t key[TIMER_KEY];
	timer_key(key, id, expiry_us);
	if (expiry_us)
		index_batch_delete(b, INDEX_EXPIRY, key, sizeof key);
}

/* ---- removing ---------------------------------------------------------------------------------- */

#define PARTY_POINTER 40

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, PARTY_POINTER);
}

/* They lie all over the family: in order, deleting them costs a third. */
static void remove_parties(struct index_batch *b, const struct catalogue_gone *gone, size_t n)
{
	uint8_t(*keys)[PARTY_POINTER] = malloc((n * CALL_PARTIES + 1) * sizeof *keys);
	size_t count = 0;
	ASSERT(keys);
	for (size_t i = 0; i < n; i++) {
		for (unsigned p = 0; p < gone[i].filed->parties_count; p++) {
			memcpy(keys[count], gone[i].filed->parties[p], PARTY_KEY);
			catalogue_be64(keys[count] + 16, gone[i].filed->start_us);
			memcpy(keys[count++] + 24, gone[i].id->b, 16);
		}
	}
	qsort(keys, count, sizeof *keys, by_bytes);
	for (size_t i = 0; i < count; i++)
		index_batch_delete(b, INDEX_BY_PARTY, keys[i], sizeof keys[i]);
	free(keys);
}

void catalogue_remove(struct index_batch *b, const struct catalogue_gone *gone, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct call_filed but_parties = *gone[i].filed;
		uint8_t recorded[17] = { 'r' };
		but_parties.parties_count = 0;
		write_pointers(b, gone[i].id, &but_parties, index_batch_delete);
		delete_timer(b, gone[i].id, but_parties.expiry_us);
		index_batch_delete(b, INDEX_CALLS, gone[i].id->b, sizeof gone[i].id->b);
		memcpy(recorded + 1, gone[i].id->b, 16);
		index_batch_delete(b, INDEX_META, recorded, sizeof recorded);
	}
	remove_parties(b, gone, n);
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
	if (was.expiry_us != now.expiry_us)
		delete_timer(b, &c->r.id, was.expiry_us);
	put_timer(b, c);
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

enum rc catalogue_find_in(struct vault *v, enum index_family f, const char *lead, const char *text,
			  struct uuid *out, struct error *err)
{
	char digits[ID_DIGITS + 1], from_hex[ID_DIGITS + 1];
	size_t n = id_digits(text, digits), before = strlen(lead);
	if (n < ID_PREFIX)
		return error_set(err, RC_USAGE,
				 "not an id: give a UUID or at least its first 8 characters");
	memset(from_hex, '0', ID_DIGITS);
	from_hex[ID_DIGITS] = '\0';
	memcpy(from_hex, digits, n);
	uint8_t from[24];
	ASSERT(before <= sizeof from - 16 && keys_unhex(from + before, 16, from_hex));
	for (size_t i = 0; i < before; i++)
		from[i] = (uint8_t)lead[i];

	struct index_cursor *c = index_cursor_new(v->index, f, from, before + 16, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	unsigned found = 0;
	while (found < 2 && index_cursor_next(c, &key, &key_len, &value, &value_len) &&
	       key_len == before + 16 && memcmp(key, lead, before) == 0 &&
	       has_prefix(key + before, digits, n)) {
		if (found++ == 0)
			memcpy(out->b, key + before, sizeof out->b);
	}
	index_cursor_free(c);
	if (found == 1)
		return RC_OK;
	return error_set(err, RC_USAGE,
			 found ? "more than one recording begins so: give more of the id"
			       : "no such recording");
}

enum rc catalogue_find(struct vault *v, const char *id, struct uuid *out, struct error *err)
{
	return catalogue_find_in(v, INDEX_CALLS, "", id, out, err);
}
