/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* inquiry_find.c: all calls of a party, whoever asks: what a request freezes is not a matter of what its keeper may see.
 *
 * A party is found as by `calls --party`: by the whole number and by its longest tail that has a key, for the same number
 * may have been signalled with another prefix.  On the vault's thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "vault/inquiry.h"

struct finding {
	struct vault *v;
	const inquiry_person *who;
	struct uuid *ids; /* owned */
	size_t count, room;
};

static enum rc add(struct finding *f, const struct uuid *id, struct error *err)
{
	/* Each call may be found twice. */
	if (f->count == (size_t)2 * INQUIRY_CALLS)
		return error_set(err, RC_FAILED,
				 "more than %d calls are of this party: say which with --since and "
				 "--until",
				 INQUIRY_CALLS);
	if (f->count == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->ids = realloc(f->ids, f->room * sizeof *f->ids);
		ASSERT(f->ids);
	}
	f->ids[f->count++] = *id;
	return RC_OK;
}

/* A call that the index names under a key of the party: is it the party's? */
static enum rc look_at(struct finding *f, const struct uuid *id, struct error *err)
{
	struct call *c;
	enum rc rc = catalogue_named(f->v, id, &c, err);
	if (rc != RC_OK)
		return rc;
	catalogue_open(f->v, c);
	if (c->opened &&
	    (party_matches(f->who->party, c->r.from) || party_matches(f->who->party, c->r.to)))
		rc = add(f, id, err);
	call_row_free(c);
	return rc;
}

/* Keys PARTY_KEY ‖ be64 time ‖ id, oldest first. */
static enum rc walk(struct finding *f, const uint8_t party[PARTY_KEY], struct error *err)
{
	uint8_t from[PARTY_KEY + 8];
	const uint8_t *key, *value;
	size_t key_len, value_len;
	memcpy(from, party, PARTY_KEY);
	catalogue_be64(from + PARTY_KEY, f->who->since_us);
	struct index_cursor *c =
		index_cursor_new(f->v->index, INDEX_BY_PARTY, from, sizeof from, false);
	enum rc rc = RC_OK;
	while (rc == RC_OK && index_cursor_next(c, &key, &key_len, &value, &value_len) &&
	       key_len == PARTY_KEY + 24 && memcmp(key, party, PARTY_KEY) == 0) {
		struct uuid id;
		struct bytes b = bytes_over(key + PARTY_KEY, 8);
		uint64_t high = bytes_u32(&b);
		int64_t start_us = (int64_t)(high << 32 | bytes_u32(&b));
		if (f->who->until_us && start_us > f->who->until_us)
			break;
		memcpy(id.b, key + PARTY_KEY + 8, sizeof id.b);
		rc = look_at(f, &id, err);
	}
	index_cursor_free(c);
	return rc == RC_OK ? index_health(f->v->index, err) : rc;
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct uuid));
}

static void drop_doubles(struct finding *f)
{
	size_t kept = 0;
	if (f->count)
		qsort(f->ids, f->count, sizeof *f->ids, by_id);
	for (size_t i = 0; i < f->count; i++) {
		if (!kept || !uuid_equal(&f->ids[kept - 1], &f->ids[i]))
			f->ids[kept++] = f->ids[i];
	}
	f->count = kept;
}

enum rc inquiry_find(struct vault *v, const inquiry_person *who, struct uuid **ids, size_t *count,
		     struct error *err)
{
	char plain[PARTY_TEXT];
	uint8_t key[PARTY_KEY];
	struct finding f = { .v = v, .who = who };
	bool digits = party_plain(who->party, plain);
	size_t len = strlen(plain), tail = len >= 9 ? 9 : len >= 6 ? 6 : 4;
	party_key(v, plain, len, key);
	enum rc rc = walk(&f, key, err);
	if (rc == RC_OK && digits && len > tail) {
		party_key(v, plain + len - tail, tail, key);
		rc = walk(&f, key, err);
	}
	drop_doubles(&f);
	if (rc == RC_OK && f.count > INQUIRY_CALLS)
		rc = error_set(
			err, RC_FAILED,
			"%zu calls are of this party, and a request holds %d: say which with "
			"--since and --until",
			f.count, INQUIRY_CALLS);
	if (rc != RC_OK) {
		free(f.ids);
		return rc;
	}
	*ids = f.ids;
	*count = f.count;
	return RC_OK;
}
