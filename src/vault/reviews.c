/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reviews.c: a review <-> its row, and its note.  See reviews.h.  On the vault's thread. */
#include "vault/reviews.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/review.pb-c.h"
#include "vault/grants.h"
#include "vault/ledger.h"

typedef Callspan__Review__ReviewRow row_message;

#define GCM_TAG 16

/* ---- names ------------------------------------------------------------------------------------------------- */

enum rc reviews_number(struct vault *v, struct index_batch *b, char letter, uint64_t *number,
		       struct error *err)
{
	const uint8_t key[2] = { '#', (uint8_t)letter };
	uint8_t *value, next[8];
	size_t len = 0;
	enum rc rc = index_get(v->index, INDEX_REVIEWS, key, sizeof key, &value, &len, err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	*number = 1 + (rc == RC_OK && len == 8 ? (uint64_t)catalogue_from_be64(value) : 0);
	if (rc == RC_OK)
		free(value);
	catalogue_be64(next, (int64_t)*number);
	ledger_put(v, b, INDEX_REVIEWS, key, sizeof key, next, sizeof next);
	return RC_OK;
}

uint64_t reviews_read_name(char letter, const char *name)
{
	char *end;
	if (!name || (name[0] != letter && name[0] != letter + ('a' - 'A')) || name[1] != '-' ||
	    name[2] < '1' || name[2] > '9')
		return 0;
	uint64_t n = strtoull(name + 2, &end, 10);
	return *end || n > INT64_MAX ? 0 : n;
}

/* ---- keys --------------------------------------------------------------------------------------------------- */

static void row_key(uint8_t key[9], uint64_t number)
{
	key[0] = 'v';
	catalogue_be64(key + 1, (int64_t)number);
}

static void call_key(uint8_t key[25], const struct uuid *call, uint64_t number)
{
	key[0] = 'c';
	memcpy(key + 1, call->b, 16);
	catalogue_be64(key + 17, (int64_t)number);
}

static void end_key(uint8_t key[17], int64_t until_us, uint64_t number)
{
	key[0] = 'e';
	catalogue_be64(key + 1, until_us);
	catalogue_be64(key + 9, (int64_t)number);
}

/* ---- both ways ------------------------------------------------------------------------------------------------ */

static void fill(row_message *m, struct review *r)
{
	callspan__review__review_row__init(m);
	m->number = r->number;
	m->call = (ProtobufCBinaryData){ 16, r->call.b };
	m->sample = r->sample;
	m->score = r->score;
	m->by = r->by;
	m->added_us = r->added_us;
	if (r->note_len) {
		m->nonce = (ProtobufCBinaryData){ sizeof r->nonce, r->nonce };
		m->note = (ProtobufCBinaryData){ r->note_len, r->note };
	}
	m->person = r->person;
	m->until_us = r->until_us;
	m->given = r->given;
	m->matter = r->matter;
	if (r->has_audio_key)
		m->audio_key = (ProtobufCBinaryData){ sizeof r->audio_key, r->audio_key };
}

void reviews_put(struct vault *v, struct index_batch *b, const struct review *r)
{
	struct review copy = *r; /* the message wants to be able to change what it points at */
	row_message m;
	uint8_t key[9], call[25], end[17];
	fill(&m, &copy);
	size_t len = callspan__review__review_row__get_packed_size(&m);
	uint8_t *row = malloc(len);
	ASSERT(row);
	callspan__review__review_row__pack(&m, row);
	row_key(key, r->number);
	call_key(call, &r->call, r->number);
	end_key(end, r->until_us, r->number);
	ledger_put(v, b, INDEX_REVIEWS, key, sizeof key, row, len);
	ledger_put(v, b, INDEX_REVIEWS, call, sizeof call, NULL, 0);
	if (r->given == GIVEN_RUNS)
		ledger_put(v, b, INDEX_REVIEWS, end, sizeof end, NULL, 0);
	else if (r->given == GIVEN_OVER)
		ledger_delete(v, b, INDEX_REVIEWS, end, sizeof end);
	free(row);
}

static bool fixed(void *to, size_t len, const ProtobufCBinaryData *from)
{
	if (from->len != len)
		return false;
	memcpy(to, from->data, len);
	return true;
}

static bool take(struct review *r, const row_message *m)
{
	*r = (struct review){ .number = m->number,
			      .sample = m->sample,
			      .score = m->score,
			      .added_us = m->added_us,
			      .note_len = m->note.len,
			      .until_us = m->until_us,
			      .given = (enum review_given)m->given,
			      .matter = m->matter,
			      .has_audio_key = m->audio_key.len > 0 };
	if (!fixed(r->call.b, 16, &m->call) || m->given > GIVEN_OVER ||
	    m->note.len > sizeof r->note)
		return false;
	snprintf(r->by, sizeof r->by, "%s", m->by);
	snprintf(r->person, sizeof r->person, "%s", m->person);
	if (r->note_len && !fixed(r->nonce, sizeof r->nonce, &m->nonce))
		return false;
	if (r->note_len)
		memcpy(r->note, m->note.data, r->note_len);
	return !r->has_audio_key || fixed(r->audio_key, sizeof r->audio_key, &m->audio_key);
}

static enum rc get(struct vault *v, uint64_t number, struct review *r, struct error *err)
{
	uint8_t key[9], *row;
	size_t len;
	*r = (struct review){ 0 };
	row_key(key, number);
	enum rc rc = index_get(v->index, INDEX_REVIEWS, key, sizeof key, &row, &len, err);
	if (rc != RC_OK)
		return rc;
	row_message *m = callspan__review__review_row__unpack(NULL, len, row);
	free(row);
	bool good = m && take(r, m);
	callspan__review__review_row__free_unpacked(m, NULL);
	return good ? RC_OK : error_set(err, RC_DAMAGED, "a review's row is damaged: reindex");
}

/* A row that the index itself names. */
static enum rc get_named(struct vault *v, uint64_t number, struct review *r, struct error *err)
{
	enum rc rc = get(v, number, r, err);
	return rc == RC_NOT_FOUND
		       ? error_set(err, RC_DAMAGED, "the row of V-%" PRIu64 " is missing", number)
		       : rc;
}

enum rc reviews_find(struct vault *v, const char *name, struct review *r, struct error *err)
{
	uint64_t number = reviews_read_name('V', name);
	if (!number)
		return error_set(err, RC_USAGE, "which review? A name as V-9 is wanted");
	enum rc rc = get(v, number, r, err);
	return rc == RC_NOT_FOUND
		       ? error_set(err, RC_USAGE, "there is no review V-%" PRIu64, number)
		       : rc;
}

/* The number stands at the end of every key. */
static enum rc walk(struct vault *v, const uint8_t *prefix, size_t prefix_len, size_t key_len,
		    reviews_each each, void *ctx, struct error *err)
{
	struct review r;
	const uint8_t *key, *value;
	size_t len, value_len;
	enum rc rc = RC_OK;
	bool more = true;
	struct index_cursor *c =
		index_cursor_new(v->index, INDEX_REVIEWS, prefix, prefix_len, false);
	while (rc == RC_OK && more && index_cursor_next(c, &key, &len, &value, &value_len) &&
	       len == key_len && memcmp(key, prefix, prefix_len) == 0) {
		rc = get_named(v, (uint64_t)catalogue_from_be64(key + len - 8), &r, err);
		if (rc == RC_OK)
			more = each(ctx, &r);
	}
	index_cursor_free(c);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}

enum rc reviews_walk(struct vault *v, const struct uuid *call, reviews_each each, void *ctx,
		     struct error *err)
{
	uint8_t key[25];
	if (!call)
		return walk(v, (const uint8_t *)"v", 1, 9, each, ctx, err);
	call_key(key, call, 0);
	return walk(v, key, 17, sizeof key, each, ctx, err);
}

struct due {
	int64_t before_us;
	struct review *r;
	bool found;
};

static bool take_due(void *ctx, const struct review *r)
{
	struct due *d = ctx;
	d->found = r->until_us < d->before_us;
	if (d->found)
		*d->r = *r;
	return false; /* the first ends first */
}

enum rc reviews_due(struct vault *v, int64_t before_us, struct review *r, struct error *err)
{
	struct due d = { .before_us = before_us, .r = r };
	enum rc rc = walk(v, (const uint8_t *)"e", 1, 17, take_due, &d, err);
	return rc == RC_OK && !d.found ? RC_END : rc;
}

/* ---- the note --------------------------------------------------------------------------------------------------- */

static void note_key(uint8_t key[32], const struct call_keys *keys)
{
	static const char label[] = "review note";
	hmac_sha256(key, keys->metadata, label, sizeof label - 1);
}

/* What it belongs to: its call and its number. */
static void note_place(uint8_t out[24], const struct review *r)
{
	memcpy(out, r->call.b, 16);
	catalogue_be64(out + 16, (int64_t)r->number);
}

void reviews_seal_note(struct review *r, const char *note, const struct call_keys *keys)
{
	uint8_t key[32], place[24];
	size_t len = strlen(note);
	ASSERT(len <= REVIEW_NOTE);
	note_key(key, keys);
	note_place(place, r);
	random_bytes(r->nonce, sizeof r->nonce);
	gcm_seal(r->note, (const uint8_t *)note, len, key, r->nonce, place, sizeof place);
	r->note_len = len + GCM_TAG;
	forget_bytes(key, sizeof key);
}

void reviews_note(struct vault *v, const struct review *r, char note[REVIEW_NOTE + 1])
{
	struct call *c = NULL;
	struct segment *s;
	struct call_keys keys = { 0 };
	struct error ignored;
	uint8_t key[32], place[24];
	note[0] = '\0';
	if (r->note_len < GCM_TAG || catalogue_get(v, &r->call, &c, &ignored) != RC_OK)
		return;
	if (segments_open(v, c->segment, &s, &ignored) == RC_OK &&
	    segment_keys(s, c->slot, NULL, &v->keys.metadata, &keys, &ignored) == RC_OK) {
		note_key(key, &keys);
		note_place(place, r);
		bool good = gcm_open((uint8_t *)note, r->note, r->note_len, key, r->nonce, place,
				     sizeof place);
		note[good ? r->note_len - GCM_TAG : 0] = '\0';
		forget_bytes(key, sizeof key);
	}
	forget_bytes(&keys, sizeof keys);
	call_row_free(c);
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

struct forgetting {
	struct vault *v;
	struct index_batch *b;
	enum rc rc;
	struct error *err;
};

static bool forget_one(void *ctx, const struct review *r)
{
	struct forgetting *f = ctx;
	uint8_t key[9], call[25], end[17];
	f->rc = grants_destroy(f->v, r, f->err);
	row_key(key, r->number);
	call_key(call, &r->call, r->number);
	end_key(end, r->until_us, r->number);
	ledger_delete(f->v, f->b, INDEX_REVIEWS, key, sizeof key);
	ledger_delete(f->v, f->b, INDEX_REVIEWS, call, sizeof call);
	if (r->given == GIVEN_RUNS)
		ledger_delete(f->v, f->b, INDEX_REVIEWS, end, sizeof end);
	return f->rc == RC_OK;
}

enum rc reviews_forget(struct vault *v, struct index_batch *b, const struct uuid *call,
		       struct error *err)
{
	struct forgetting f = { .v = v, .b = b, .rc = RC_OK, .err = err };
	enum rc rc = reviews_walk(v, call, forget_one, &f, err);
	return rc == RC_OK ? f.rc : rc;
}
