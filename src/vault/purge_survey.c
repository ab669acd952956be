/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* purge_survey.c: which recordings are due.  Walks keys and timers; reads no call's row. */
#include <stdlib.h>
#include <string.h>

#include "store/disposal.pb-c.h"
#include "vault/holds.h"
#include "vault/purge.h"

/* ---- what is held ------------------------------------------------------------------------------ */

struct held {
	struct uuid *ids; /* owned, sorted */
	size_t count;
};

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct uuid));
}

static bool is_held(const struct held *h, const struct uuid *id)
{
	return h->count && bsearch(id, h->ids, h->count, sizeof *h->ids, by_id);
}

/* ---- what is due ------------------------------------------------------------------------------- */

static struct purge_class *class_of(struct purge_survey *s, const char *name)
{
	unsigned i = 0;
	while (i < s->classes_count && strcmp(s->classes[i].name, name) != 0)
		i++;
	if (i == DISPOSAL_CLASSES)
		return &s->classes
				[i -
				 1]; /* more than a policy may have: the last stands for the rest */
	if (i == s->classes_count)
		snprintf(s->classes[s->classes_count++].name, sizeof s->classes[0].name, "%s",
			 name);
	return &s->classes[i];
}

static void add(struct purge_survey *s, const struct catalogue_timer *t)
{
	struct purge_class *c = class_of(s, t->class);
	if (!c->count || t->start_us < c->oldest_us)
		c->oldest_us = t->start_us;
	if (!c->count || t->start_us > c->newest_us)
		c->newest_us = t->start_us;
	c->count++;
	c->bytes += t->bytes;
	s->due++;
	s->bytes += t->bytes;
}

static uint64_t count_all(struct vault *v)
{
	struct index_cursor *c = index_cursor_new(v->index, INDEX_BY_TIME, NULL, 0, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	uint64_t n = 0;
	while (index_cursor_next(c, &key, &key_len, &value, &value_len))
		n++;
	index_cursor_free(c);
	return n;
}

enum rc purge_survey(struct vault *v, struct purge_survey *s, struct error *err)
{
	struct held held;
	struct catalogue_timer t;
	const uint8_t *key, *value;
	size_t key_len, value_len;
	memset(s, 0, sizeof *s);
	s->until_us = vault_now_us(v);
	s->total = count_all(v);
	held.ids = holds_all(v, &held.count);
	struct index_cursor *c = index_cursor_new(v->index, INDEX_EXPIRY, NULL, 0, false);
	while (index_cursor_next(c, &key, &key_len, &value, &value_len) &&
	       catalogue_timer(&t, key, key_len, value, value_len) && t.expiry_us <= s->until_us) {
		if (is_held(&held, &t.id))
			s->held++;
		else
			add(s, &t);
	}
	index_cursor_free(c);
	free(held.ids);
	return index_health(v->index, err);
}

size_t purge_survey_next(struct vault *v, int64_t until_us, uint8_t at[24], struct uuid *ids,
			 size_t most)
{
	struct held held;
	struct catalogue_timer t;
	const uint8_t *key, *value;
	size_t key_len, value_len, n = 0;
	held.ids = holds_all(v, &held.count);
	struct index_cursor *c = index_cursor_new(v->index, INDEX_EXPIRY, at, 24, false);
	while (n < most && index_cursor_next(c, &key, &key_len, &value, &value_len) &&
	       catalogue_timer(&t, key, key_len, value, value_len) && t.expiry_us <= until_us) {
		if (memcmp(key, at, 24) == 0)
			continue; /* where the last batch ended */
		memcpy(at, key, 24);
		if (!is_held(&held, &t.id))
			ids[n++] = t.id;
	}
	index_cursor_free(c);
	free(held.ids);
	return n;
}

/* ---- what is remembered ------------------------------------------------------------------------ */

static const char memory_key[] = "purge";

void purge_memory_get(struct vault *v, struct purge_memory *m)
{
	uint8_t *value;
	size_t len;
	struct error ignored; /* index_health() keeps it */
	memset(m, 0, sizeof *m);
	if (index_get(v->index, INDEX_META, memory_key, sizeof memory_key - 1, &value, &len,
		      &ignored) != RC_OK)
		return;
	Callspan__Disposal__PurgeRow *row = callspan__disposal__purge_row__unpack(NULL, len, value);
	free(value);
	if (!row)
		return;
	m->last_us = row->last_us;
	m->destroyed = row->destroyed;
	m->held = row->held;
	m->refused_us = row->refused_us;
	snprintf(m->refused, sizeof m->refused, "%s", row->refused);
	callspan__disposal__purge_row__free_unpacked(row, NULL);
}

void purge_memory_put(struct index_batch *b, const struct purge_memory *m)
{
	struct purge_memory copy = *m;
	Callspan__Disposal__PurgeRow row;
	uint8_t value[512];
	callspan__disposal__purge_row__init(&row);
	row.last_us = copy.last_us;
	row.destroyed = copy.destroyed;
	row.held = copy.held;
	row.refused_us = copy.refused_us;
	row.refused = copy.refused;
	ASSERT(callspan__disposal__purge_row__get_packed_size(&row) <= sizeof value);
	size_t len = callspan__disposal__purge_row__pack(&row, value);
	index_batch_put(b, INDEX_META, memory_key, sizeof memory_key - 1, value, len);
}
