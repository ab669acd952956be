/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* hold_pick.c: which calls a hold takes when it is made.  See hold.h.
 *
 *   by_party       keyed hash ‖ be64 start ‖ id     under the party as it was given, and under its longest tail
 *   conversations  conversation ‖ be64 start ‖ id
 *
 * A tail of another length than has a key names more calls than are meant, so each call's own parties are looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/access.h"
#include "vault/hold.h"

#define POINTER 40 /* 16 bytes, be64 time, id */

void hold_picks_free(struct hold_picks *p)
{
	free(p->ids);
	*p = (struct hold_picks){ 0 };
}

enum rc hold_pick_add(struct hold_picks *p, const struct uuid *id, struct error *err)
{
	if (p->count == HOLD_CALLS)
		return error_set(err, RC_FAILED,
				 "these are more than %d recordings: narrow the time with --since "
				 "and --until",
				 HOLD_CALLS);
	if (p->count == p->room) {
		p->room = p->room ? 2 * p->room : 64;
		p->ids = realloc(p->ids, p->room * sizeof *p->ids);
		ASSERT(p->ids);
	}
	p->ids[p->count++] = *id;
	return RC_OK;
}

static int by_id(const void *a, const void *b)
{
	return memcmp(((const struct uuid *)a)->b, ((const struct uuid *)b)->b, 16);
}

/* Each once, in order. */
static void settle(struct hold_picks *p)
{
	size_t kept = 0;
	if (p->count)
		qsort(p->ids, p->count, sizeof *p->ids, by_id);
	for (size_t i = 0; i < p->count; i++) {
		if (!kept || !uuid_equal(&p->ids[kept - 1], &p->ids[i]))
			p->ids[kept++] = p->ids[i];
	}
	p->count = kept;
}

/* What is wanted of the calls that a family names. */
struct picking {
	struct vault *v;
	const struct request *q; /* NULL: whoever asks may know of all */
	const char *party;       /* NULL: whoever spoke */
	int64_t until_us;
	struct hold_picks *picks;
};

static bool wanted(const struct picking *w, struct call *c)
{
	if (w->party) {
		catalogue_open(w->v, c);
		/* Who spoke may not be known any more; then the hash decides. */
		if (c->opened && !party_matches(w->party, c->r.from) &&
		    !party_matches(w->party, c->r.to))
			return false;
	}
	return !w->q || access_sees(w->q, c);
}

static enum rc pick_one(const struct picking *w, const struct uuid *id, struct error *err)
{
	struct call *c;
	enum rc rc = catalogue_named(w->v, id, &c, err);
	if (rc != RC_OK)
		return rc;
	if (wanted(w, c))
		rc = hold_pick_add(w->picks, id, err);
	call_row_free(c);
	return rc;
}

static enum rc walk(const struct picking *w, enum index_family family, const uint8_t prefix[16],
		    int64_t since_us, struct error *err)
{
	uint8_t from[POINTER] = { 0 }, until[8];
	const uint8_t *key, *value;
	size_t key_len, value_len;
	enum rc rc = RC_OK;
	memcpy(from, prefix, 16);
	catalogue_be64(from + 16, since_us);
	catalogue_be64(until, w->until_us);
	struct index_cursor *c = index_cursor_new(w->v->index, family, from, sizeof from, false);
	while (rc == RC_OK && index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		struct uuid id;
		if (key_len != POINTER || memcmp(key, prefix, 16) != 0 ||
		    memcmp(key + 16, until, sizeof until) > 0)
			break;
		memcpy(id.b, key + 24, sizeof id.b);
		rc = pick_one(w, &id, err);
	}
	index_cursor_free(c);
	return rc == RC_OK ? index_health(w->v->index, err) : rc;
}

enum rc hold_pick_party(const struct request *q, const char *party, int64_t since_us,
			int64_t until_us, struct hold_picks *p, struct error *err)
{
	const struct picking w = {
		.v = q->v, .q = q, .party = party, .until_us = until_us, .picks = p
	};
	uint8_t keys[4][PARTY_KEY];
	unsigned n = party_keys(q->v, party, keys);
	enum rc rc = RC_OK;
	for (unsigned i = 0; i < n && i < 2 && rc == RC_OK; i++)
		rc = walk(&w, INDEX_BY_PARTY, keys[i], since_us, err);
	settle(p);
	return rc;
}

enum rc hold_pick_conversation(struct vault *v, const struct request *q,
			       const struct uuid *conversation, struct hold_picks *p,
			       struct error *err)
{
	const struct picking w = { .v = v, .q = q, .until_us = INT64_MAX, .picks = p };
	enum rc rc = walk(&w, INDEX_CONVERSATIONS, conversation->b, 0, err);
	settle(p);
	return rc;
}
