/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* samples.c: a sample <-> its row.  See reviews.h.  On the vault's thread. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/review.pb-c.h"
#include "vault/ledger.h"
#include "vault/reviews.h"

typedef Callspan__Review__SampleRow row_message;

static void row_key(uint8_t key[9], uint64_t number)
{
	key[0] = 's';
	catalogue_be64(key + 1, (int64_t)number);
}

static void fill(row_message *m, struct sample *s)
{
	callspan__review__sample_row__init(m);
	m->number = s->number;
	m->by = s->by;
	m->drawn_us = s->drawn_us;
	m->purpose = s->purpose;
	m->since_us = s->since_us;
	m->until_us = s->until_us;
	m->group = s->group;
	m->min_duration_s = s->min_duration_s;
	m->count = s->count;
	m->per_person = s->per_person;
	m->seed = s->seed;
	m->eligible = s->eligible;
	m->lines = s->lines;
}

void samples_put(struct vault *v, struct index_batch *b, const struct sample *s)
{
	struct sample copy = *s;
	row_message m;
	uint8_t key[9];
	fill(&m, &copy);
	ProtobufCBinaryData *calls = calloc(s->calls_count + 1, sizeof *calls);
	ASSERT(calls);
	for (size_t i = 0; i < s->calls_count; i++)
		calls[i] = (ProtobufCBinaryData){ 16, s->calls[i].b };
	m.calls = calls;
	m.n_calls = s->calls_count;
	size_t len = callspan__review__sample_row__get_packed_size(&m);
	uint8_t *row = malloc(len);
	ASSERT(row);
	callspan__review__sample_row__pack(&m, row);
	row_key(key, s->number);
	ledger_put(v, b, INDEX_REVIEWS, key, sizeof key, row, len);
	free(row);
	free(calls);
}

void samples_free(struct sample *s)
{
	free(s->calls);
	*s = (struct sample){ 0 };
}

static bool take(struct sample *s, const row_message *m)
{
	*s = (struct sample){ .number = m->number,
			      .drawn_us = m->drawn_us,
			      .since_us = m->since_us,
			      .until_us = m->until_us,
			      .min_duration_s = m->min_duration_s,
			      .count = m->count,
			      .seed = m->seed,
			      .eligible = m->eligible,
			      .lines = m->lines,
			      .per_person = m->per_person };
	snprintf(s->by, sizeof s->by, "%s", m->by);
	snprintf(s->purpose, sizeof s->purpose, "%s", m->purpose);
	snprintf(s->group, sizeof s->group, "%s", m->group);
	s->calls = calloc(m->n_calls + 1, sizeof *s->calls);
	ASSERT(s->calls);
	for (; s->calls_count < m->n_calls; s->calls_count++) {
		if (m->calls[s->calls_count].len != 16)
			return false;
		memcpy(s->calls[s->calls_count].b, m->calls[s->calls_count].data, 16);
	}
	return true;
}

static enum rc unpack(const uint8_t *row, size_t len, struct sample *s, struct error *err)
{
	row_message *m = callspan__review__sample_row__unpack(NULL, len, row);
	*s = (struct sample){ 0 };
	bool good = m && take(s, m);
	callspan__review__sample_row__free_unpacked(m, NULL);
	if (good)
		return RC_OK;
	samples_free(s);
	return error_set(err, RC_DAMAGED, "a sample's row is damaged: reindex");
}

enum rc samples_find(struct vault *v, const char *name, struct sample *s, struct error *err)
{
	uint8_t key[9], *row;
	size_t len;
	uint64_t number = reviews_read_name('S', name);
	if (!number)
		return error_set(err, RC_USAGE, "which sample? A name as S-3 is wanted");
	row_key(key, number);
	enum rc rc = index_get(v->index, INDEX_REVIEWS, key, sizeof key, &row, &len, err);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_USAGE, "there is no sample S-%" PRIu64, number);
	if (rc != RC_OK)
		return rc;
	rc = unpack(row, len, s, err);
	free(row);
	return rc;
}

enum rc samples_walk(struct vault *v, samples_each each, void *ctx, struct error *err)
{
	const uint8_t *key, *value;
	size_t key_len, value_len;
	enum rc rc = RC_OK;
	bool more = true;
	struct index_cursor *c = index_cursor_new(v->index, INDEX_REVIEWS, "s", 1, false);
	while (rc == RC_OK && more && index_cursor_next(c, &key, &key_len, &value, &value_len) &&
	       key_len == 9 && key[0] == 's') {
		struct sample s;
		rc = unpack(value, value_len, &s, err);
		if (rc != RC_OK)
			break;
		more = each(ctx, &s);
		samples_free(&s);
	}
	index_cursor_free(c);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}
