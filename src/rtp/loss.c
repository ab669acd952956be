/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* loss.c: see loss.h.  Runs on the capture thread. */
#include "rtp/loss.h"

#include <string.h>

#define STRAGGLER 128 /* further below: of a numbering before a jump */

void loss_begin(struct loss *l, uint64_t sequence)
{
	l->lowest = sequence;
}

static void remove_open(struct loss *l, uint32_t at)
{
	l->open_count--;
	memmove(&l->open[at], &l->open[at + 1], (l->open_count - at) * sizeof l->open[0]);
}

/* The oldest gap will not be closed any more. */
static void settle_oldest(struct loss *l)
{
	l->runs++;
	if (l->open[0].count > l->longest)
		l->longest = l->open[0].count;
	remove_open(l, 0);
}

/* Put a gap where it belongs by its numbers. */
static void insert(struct loss *l, uint64_t first, uint64_t count)
{
	if (l->open_count == LOSS_OPEN)
		settle_oldest(l);
	uint32_t at = l->open_count;
	while (at > 0 && l->open[at - 1].first > first)
		at--;
	memmove(&l->open[at + 1], &l->open[at], (l->open_count - at) * sizeof l->open[0]);
	l->open[at].first = first;
	l->open[at].count = count;
	l->open_count++;
}

void loss_gap(struct loss *l, uint64_t sequence, uint64_t ahead)
{
	insert(l, sequence - ahead + 1, ahead - 1);
}

void loss_late(struct loss *l, uint64_t sequence)
{
	if (sequence < l->lowest && l->lowest - sequence <= STRAGGLER) {
		if (l->lowest - sequence > 1)
			insert(l, sequence + 1, l->lowest - sequence - 1);
		l->lowest = sequence;
		return;
	}
	for (uint32_t i = 0; i < l->open_count; i++) {
		uint64_t first = l->open[i].first, count = l->open[i].count;
		if (sequence < first || sequence - first >= count)
			continue;
		uint64_t below = sequence - first, above = count - below - 1;
		remove_open(l, i);
		if (below)
			insert(l, first, below);
		if (above)
			insert(l, sequence + 1, above);
		return;
	}
}

void loss_cut(struct loss *l, uint64_t highest)
{
	while (l->open_count > 0 && l->open[l->open_count - 1].first > highest)
		l->open_count--;
}

uint64_t loss_runs(const struct loss *l)
{
	return l->runs + l->open_count;
}

uint64_t loss_longest(const struct loss *l)
{
	uint64_t longest = l->longest;
	for (uint32_t i = 0; i < l->open_count; i++)
		if (l->open[i].count > longest)
			longest = l->open[i].count;
	return longest;
}
