/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* hold.c: a hold <-> its row.  See hold.h.  On the vault's thread. */
#include "vault/hold.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/hold.pb-c.h"
#include "vault/holds.h"
#include "vault/ledger.h"

typedef Callspan__Hold__HoldRow row_message;

static const char *const state_names[] = { "active", "release-asked", "ending", "released" };
static const char *const kind_names[] = { "calls", "party", "conversation" };

const char *hold_state_name(enum hold_state s)
{
	return state_names[s];
}

const char *hold_kind_name(enum hold_kind k)
{
	return kind_names[k];
}

const char *hold_name(const struct hold *h, char name[HOLD_NAME])
{
	snprintf(name, HOLD_NAME, "H-%" PRIu64, h->number);
	return name;
}

/* ---- keys ------------------------------------------------------------------------------------------------- */

static void id_key(uint8_t key[17], char kind, const struct uuid *id)
{
	key[0] = (uint8_t)kind;
	memcpy(key + 1, id->b, sizeof id->b);
}

static void number_key(uint8_t key[9], uint64_t number)
{
	key[0] = 'n';
	catalogue_be64(key + 1, (int64_t)number);
}

/* Rows are never deleted, so the newest number is the largest that was ever given. */
static uint64_t newest_number(struct vault *v)
{
	uint8_t from[9];
	const uint8_t *key, *value;
	size_t key_len, value_len;
	uint64_t n = 0;
	number_key(from, INT64_MAX);
	struct index_cursor *c = index_cursor_new(v->index, INDEX_HOLDS, from, sizeof from, true);
	if (index_cursor_next(c, &key, &key_len, &value, &value_len) && key_len == sizeof from &&
	    key[0] == 'n') {
		for (size_t i = 1; i < key_len; i++)
			n = n << 8 | key[i];
	}
	index_cursor_free(c);
	return n;
}

enum rc hold_new(struct vault *v, enum hold_kind kind, struct hold *h, struct error *err)
{
	int64_t now_us = vault_now_us(v);
	*h = (struct hold){ .kind = kind, .added_us = now_us, .id = uuid_v7(now_us * 1000) };
	h->number = newest_number(v) + 1;
	return index_health(v->index, err);
}

/* ---- both ways ------------------------------------------------------------------------------------------------- */

/* What a row message points at. */
struct row_out {
	row_message m;
	struct hold h; /* a copy: the message wants to be able to change what it points at */
	ProtobufCBinaryData conversations[HOLD_CONVERSATIONS], keys[2];
};

static void fill_texts(row_message *m, struct hold *h)
{
	m->reason = h->reason;
	m->reference = h->reference;
	m->release_reason = h->release_reason;
	m->by = h->by;
	m->asked_by = h->asked_by;
	m->released_by = h->released_by;
}

static void fill(struct row_out *o, const struct hold *from)
{
	struct hold *h = &o->h;
	row_message *m = &o->m;
	*h = *from;
	callspan__hold__hold_row__init(m);
	m->id = (ProtobufCBinaryData){ sizeof h->id.b, h->id.b };
	m->number = h->number;
	m->kind = h->kind;
	m->state = h->state;
	m->standing = h->standing;
	m->since_us = h->since_us;
	m->until_us = h->until_us;
	m->matter = h->matter;
	m->party = (ProtobufCBinaryData){ h->sealed_len, h->sealed };
	m->added_us = h->added_us;
	m->asked_us = h->asked_us;
	m->released_us = h->released_us;
	m->released_calls = h->released_calls;
	fill_texts(m, h);
	for (unsigned i = 0; i < h->conversations_count; i++)
		o->conversations[i] = (ProtobufCBinaryData){ 16, h->conversations[i].b };
	for (unsigned i = 0; i < h->party_keys_count; i++)
		o->keys[i] = (ProtobufCBinaryData){ PARTY_KEY, h->party_keys[i] };
	m->conversations = o->conversations;
	m->n_conversations = h->conversations_count;
	m->party_keys = o->keys;
	m->n_party_keys = h->party_keys_count;
}

void hold_put(struct vault *v, struct index_batch *b, const struct hold *h)
{
	struct row_out o;
	uint8_t key[17], number[9];
	char name[HOLD_NAME];
	fill(&o, h);
	size_t len = callspan__hold__hold_row__get_packed_size(&o.m);
	uint8_t *row = malloc(len);
	ASSERT(row);
	callspan__hold__hold_row__pack(&o.m, row);
	id_key(key, 'm', &h->id);
	ledger_put(v, b, INDEX_HOLDS, key, sizeof key, row, len);
	free(row);
	number_key(number, h->number);
	ledger_put(v, b, INDEX_HOLDS, number, sizeof number, h->id.b, sizeof h->id.b);
	holds_name(v, b, &h->id, hold_name(h, name));
	id_key(key, 'a', &h->id);
	if (h->state == HOLD_ENDED)
		ledger_delete(v, b, INDEX_HOLDS, key, sizeof key);
	else
		ledger_put(v, b, INDEX_HOLDS, key, sizeof key, NULL, 0);
}

#define TAKE(to, from) snprintf((to), sizeof(to), "%s", (from))

static void take_texts(struct hold *h, const row_message *m)
{
	TAKE(h->reason, m->reason);
	TAKE(h->reference, m->reference);
	TAKE(h->release_reason, m->release_reason);
	TAKE(h->by, m->by);
	TAKE(h->asked_by, m->asked_by);
	TAKE(h->released_by, m->released_by);
}

static bool take(struct hold *h, const row_message *m)
{
	*h = (struct hold){ .number = m->number,
			    .kind = (enum hold_kind)m->kind,
			    .state = (enum hold_state)m->state,
			    .standing = m->standing,
			    .since_us = m->since_us,
			    .until_us = m->until_us,
			    .matter = m->matter,
			    .sealed_len = m->party.len,
			    .added_us = m->added_us,
			    .asked_us = m->asked_us,
			    .released_us = m->released_us,
			    .released_calls = m->released_calls };
	if (m->id.len != 16 || m->party.len > sizeof h->sealed || m->kind > HOLD_CONVERSATION ||
	    m->state > HOLD_ENDED || m->n_conversations > HOLD_CONVERSATIONS || m->n_party_keys > 2)
		return false;
	memcpy(h->id.b, m->id.data, 16);
	if (m->party.len)
		memcpy(h->sealed, m->party.data, m->party.len);
	take_texts(h, m);
	for (size_t i = 0; i < m->n_conversations; i++) {
		if (m->conversations[i].len != 16)
			return false;
		memcpy(h->conversations[h->conversations_count++].b, m->conversations[i].data, 16);
	}
	for (size_t i = 0; i < m->n_party_keys; i++) {
		if (m->party_keys[i].len != PARTY_KEY)
			return false;
		memcpy(h->party_keys[h->party_keys_count++], m->party_keys[i].data, PARTY_KEY);
	}
	return true;
}

enum rc hold_get(struct vault *v, const struct uuid *id, struct hold *h, struct error *err)
{
	uint8_t key[17], *row;
	size_t len;
	*h = (struct hold){ 0 };
	id_key(key, 'm', id);
	enum rc rc = index_get(v->index, INDEX_HOLDS, key, sizeof key, &row, &len, err);
	if (rc != RC_OK)
		return rc;
	row_message *m = callspan__hold__hold_row__unpack(NULL, len, row);
	free(row);
	bool good = m && take(h, m);
	callspan__hold__hold_row__free_unpacked(m, NULL);
	return good ? RC_OK : error_set(err, RC_DAMAGED, "a hold's row is damaged: reindex");
}

/* ---- finding ------------------------------------------------------------------------------------------------------ */

/* 12 of "H-12" or "h-12"; 0: it is no such name. */
static uint64_t read_name(const char *name)
{
	char *end;
	if ((name[0] != 'H' && name[0] != 'h') || name[1] != '-' || name[2] < '1' || name[2] > '9')
		return 0;
	uint64_t n = strtoull(name + 2, &end, 10);
	return *end || n > INT64_MAX ? 0 : n;
}

enum rc hold_find(struct vault *v, const char *name, struct hold *h, struct error *err)
{
	uint8_t key[9], *value;
	size_t len;
	struct uuid id;
	uint64_t number = name ? read_name(name) : 0;
	if (!number)
		return error_set(err, RC_USAGE, "which hold? A name as H-12 is wanted");
	number_key(key, number);
	enum rc rc = index_get(v->index, INDEX_HOLDS, key, sizeof key, &value, &len, err);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_USAGE, "there is no hold H-%" PRIu64, number);
	if (rc != RC_OK)
		return rc;
	bool good = len == sizeof id.b;
	if (good)
		memcpy(id.b, value, sizeof id.b);
	free(value);
	rc = good ? hold_get(v, &id, h, err) : RC_NOT_FOUND;
	return rc == RC_NOT_FOUND
		       ? error_set(err, RC_DAMAGED, "the row of H-%" PRIu64 " is missing", number)
		       : rc;
}

/* The ids of 'n' stand in the value, those of 'a' in the key. */
static enum rc next_hold(struct vault *v, struct index_cursor *c, bool all, struct hold *h,
			 struct error *err)
{
	const uint8_t *key, *value;
	size_t key_len, value_len;
	struct uuid id;
	if (!index_cursor_next(c, &key, &key_len, &value, &value_len) ||
	    key[0] != (all ? 'n' : 'a'))
		return RC_END;
	if (all ? value_len != 16 : key_len != 17)
		return error_set(err, RC_DAMAGED, "a hold's row is damaged: reindex");
	memcpy(id.b, all ? value : key + 1, sizeof id.b);
	return hold_get(v, &id, h, err);
}

enum rc hold_walk(struct vault *v, bool all, hold_each each, void *ctx, struct error *err)
{
	struct hold h;
	enum rc rc;
	struct index_cursor *c = index_cursor_new(v->index, INDEX_HOLDS, all ? "n" : "a", 1, false);
	while ((rc = next_hold(v, c, all, &h, err)) == RC_OK && each(ctx, &h))
		;
	index_cursor_free(c);
	if (rc == RC_OK || rc == RC_END)
		return index_health(v->index, err);
	return rc == RC_NOT_FOUND ? error_set(err, RC_DAMAGED, "a hold's row is missing") : rc;
}

static bool count_one(void *ctx, const struct uuid *call)
{
	(void)call;
	++*(size_t *)ctx;
	return true;
}

size_t hold_count(struct vault *v, const struct hold *h)
{
	size_t n = 0;
	holds_calls(v, &h->id, count_one, &n);
	return n;
}

/* ---- whose calls ------------------------------------------------------------------------------------------------- */

/* The keys that a call of this party must have one of: of the whole, and of the longest tail that has a key. */
static void match_keys(const struct vault *v, struct hold *h, const char *party)
{
	uint8_t keys[4][PARTY_KEY];
	unsigned n = party_keys(v, party, keys);
	h->party_keys_count = n > 2 ? 2 : n;
	memcpy(h->party_keys, keys, sizeof h->party_keys);
}

enum rc hold_seal(struct vault *v, struct hold *h, const char *party, struct error *err)
{
	uint32_t number;
	size_t len = strlen(party);
	if (len >= PARTY_TEXT)
		return error_set(err, RC_USAGE, "party: it is too long");
	enum rc rc = matter_new(v, &number, err);
	if (rc == RC_OK)
		rc = matter_seal(v, number, &h->id, party, len, h->sealed, err);
	if (rc != RC_OK)
		return rc;
	h->matter = number + 1;
	h->sealed_len = len + MATTER_OVERHEAD;
	match_keys(v, h, party);
	return RC_OK;
}

enum rc hold_party(struct vault *v, const struct hold *h, char party[PARTY_TEXT], struct error *err)
{
	party[0] = '\0';
	if (!h->matter || !h->sealed_len)
		return RC_OK;
	enum rc rc = matter_open(v, h->matter - 1, &h->id, h->sealed, h->sealed_len, party, err);
	party[rc == RC_OK ? h->sealed_len - MATTER_OVERHEAD : 0] = '\0';
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}
