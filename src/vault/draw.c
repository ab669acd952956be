/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* draw.c: see draw.h.  On the vault's thread. */
#include "vault/draw.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"

struct ticket {
	uint8_t hash[32];
	struct uuid id;
};

/* The first of one line, in order. */
struct line {
	struct ticket *tickets; /* owned; room for as many as are drawn */
	size_t held, room;
};

struct draw {
	uint64_t seed;
	size_t count;
	struct table *by_line; /* key of a line -> its index; NULL until there is a line */
	struct line *lines;    /* owned */
	size_t lines_count;
};

struct draw *draw_new(uint64_t seed, size_t count)
{
	struct draw *d = calloc(1, sizeof *d);
	ASSERT(d && count && count <= DRAW_MOST);
	d->seed = seed;
	d->count = count;
	return d;
}

void draw_free(struct draw *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->lines_count; i++)
		free(d->lines[i].tickets);
	free(d->lines);
	table_free(d->by_line);
	free(d);
}

size_t draw_lines(const struct draw *d)
{
	return d->by_line ? d->lines_count : 0;
}

static struct line *new_line(struct draw *d)
{
	d->lines = realloc(d->lines, (d->lines_count + 1) * sizeof *d->lines);
	ASSERT(d->lines);
	d->lines[d->lines_count] = (struct line){ 0 };
	return &d->lines[d->lines_count++];
}

/* NULL: there are too many. */
static struct line *line_of(struct draw *d, const uint8_t key[PARTY_KEY])
{
	uint64_t words[PARTY_KEY / 8];
	if (!key)
		return d->lines_count ? &d->lines[0] : new_line(d);
	if (!d->by_line)
		d->by_line = table_new(PARTY_KEY / 8, DRAW_LINES);
	memcpy(words, key, sizeof words);
	uint32_t at = table_find(d->by_line, words);
	if (at != TABLE_NONE)
		return &d->lines[at];
	if (d->lines_count == DRAW_LINES || !table_put(d->by_line, words, (uint32_t)d->lines_count))
		return NULL;
	return new_line(d);
}

static int in_order(const struct ticket *a, const struct ticket *b)
{
	int order = memcmp(a->hash, b->hash, sizeof a->hash);
	return order ? order : memcmp(a->id.b, b->id.b, sizeof a->id.b);
}

/* The first place whose ticket comes not before this one. */
static size_t place_of(const struct line *l, const struct ticket *t)
{
	size_t low = 0, high = l->held;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (in_order(&l->tickets[middle], t) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void keep(struct line *l, size_t count, const struct ticket *t)
{
	size_t at = place_of(l, t);
	if (at == count)
		return;
	if (at < l->held && uuid_equal(&l->tickets[at].id, &t->id))
		return; /* offered twice */
	if (l->held == l->room && l->room < count) {
		l->room = l->room ? 2 * l->room : 8;
		l->room = l->room < count ? l->room : count;
		l->tickets = realloc(l->tickets, l->room * sizeof *l->tickets);
		ASSERT(l->tickets);
	}
	l->held += l->held < count;
	memmove(&l->tickets[at + 1], &l->tickets[at], (l->held - at - 1) * sizeof *l->tickets);
	l->tickets[at] = *t;
}

bool draw_offer(struct draw *d, const struct uuid *id, const uint8_t line[PARTY_KEY])
{
	char text[24 + UUID_TEXT], name[UUID_TEXT];
	struct ticket t = { .id = *id };
	struct line *l = line_of(d, line);
	if (!l)
		return false;
	int len = snprintf(text, sizeof text, "%" PRIu64 " %s", d->seed, uuid_text(id, name));
	digest_sha256(t.hash, text, (size_t)len);
	keep(l, d->count, &t);
	return true;
}

struct uuid *draw_result(struct draw *d, size_t *count)
{
	size_t total = 0, n = 0;
	for (size_t i = 0; i < d->lines_count; i++)
		total += d->lines[i].held;
	struct uuid *ids = calloc(total + 1, sizeof *ids);
	struct table *seen = table_new(2, (uint32_t)total + 1);
	ASSERT(ids && seen);
	for (size_t i = 0; i < d->lines_count; i++) {
		for (size_t k = 0; k < d->lines[i].held; k++) {
			uint64_t words[2];
			memcpy(words, d->lines[i].tickets[k].id.b, sizeof words);
			if (table_find(seen, words) != TABLE_NONE)
				continue;
			(void)table_put(seen, words, 0);
			ids[n++] = d->lines[i].tickets[k].id;
		}
	}
	table_free(seen);
	*count = n;
	return ids;
}
