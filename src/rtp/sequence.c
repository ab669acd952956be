/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sequence.c: see sequence.h.  Runs on the capture thread; pure arithmetic on a stream's own
 * numbers. */
#include "rtp/sequence.h"

static bool seen_get(const struct numbering *n, unsigned behind)
{
	return n->seen[behind >> 6] >> (behind & 63) & 1;
}

static void seen_set(struct numbering *n, unsigned behind)
{
	n->seen[behind >> 6] |= UINT64_C(1) << (behind & 63);
}

static void seen_clear(struct numbering *n, unsigned behind)
{
	n->seen[behind >> 6] &= ~(UINT64_C(1) << (behind & 63));
}

static void advance(struct numbering *n, unsigned by)
{
	n->max += by;
	if (by >= SEQUENCE_WINDOW) {
		n->seen[0] = n->seen[1] = 0;
	} else if (by >= 64) {
		n->seen[1] = n->seen[0] << (by - 64);
		n->seen[0] = 0;
	} else {
		n->seen[1] = n->seen[1] << by | n->seen[0] >> (64 - by);
		n->seen[0] <<= by;
	}
	seen_set(n, 0);
}

/* How a number stands to a numbering: what A.1 calls udelta, and the same backwards. */
static unsigned ahead_of(const struct numbering *n, uint16_t number)
{
	return (uint16_t)(number - (uint16_t)n->max);
}

static unsigned behind_of(const struct numbering *n, uint16_t number)
{
	return (uint16_t)((uint16_t)n->max - number);
}

static enum sequence_verdict note_behind(struct numbering *n, unsigned behind, uint64_t *extended)
{
	*extended = n->max - behind;
	if (seen_get(n, behind))
		return SEQUENCE_DUPLICATE;
	seen_set(n, behind);
	if (*extended < n->min)
		n->min = *extended;
	return SEQUENCE_REORDERED;
}

static uint64_t span(const struct numbering *n)
{
	return n->max - n->min + 1;
}

/* The numbering before is open until the new one has run for a whole window. */
static bool before_is_open(const struct numbering *now, const struct sequence_past *past)
{
	return past->has_before && now->max - now->min < SEQUENCE_WINDOW;
}

/* A jump: the next number up that ends in `number`, so extended numbers never fall. */
static void restart(struct numbering *now, struct sequence_past *past, uint16_t number)
{
	if (past->has_before)
		past->expected += span(&past->before);
	past->before = *now;
	past->has_before = true;
	now->max += ahead_of(now, number);
	now->min = now->max;
	now->seen[0] = 1;
	now->seen[1] = 0;
}

enum sequence_verdict sequence_note(struct numbering *now, struct sequence_past *past,
				    uint16_t number, uint64_t *extended)
{
	unsigned ahead = ahead_of(now, number), behind = behind_of(now, number);

	if (behind < SEQUENCE_WINDOW)
		return note_behind(now, behind, extended);
	if (ahead < SEQUENCE_DROPOUT) {
		advance(now, ahead);
		*extended = now->max;
		return SEQUENCE_GAP;
	}
	if (before_is_open(now, past)) {
		ahead = ahead_of(&past->before, number);
		behind = behind_of(&past->before, number);
		if (behind < SEQUENCE_WINDOW)
			return note_behind(&past->before, behind, extended);
		if (ahead < SEQUENCE_WINDOW) {
			struct numbering stray = *now;
			*now = past->before;
			past->before = stray;
			advance(now, ahead);
			*extended = now->max;
			return SEQUENCE_RESTART;
		}
	}
	restart(now, past, number);
	*extended = now->max;
	return SEQUENCE_RESTART;
}

bool sequence_seen(const struct numbering *now, const struct sequence_past *past, uint16_t number)
{
	unsigned behind = behind_of(now, number);

	if (behind < SEQUENCE_WINDOW && seen_get(now, behind))
		return true;
	if (!before_is_open(now, past))
		return false;
	behind = behind_of(&past->before, number);
	return behind < SEQUENCE_WINDOW && seen_get(&past->before, behind);
}

void sequence_follow(struct numbering *now, struct sequence_past *past,
		     const struct numbering *other)
{
	past->expected += span(now) + (past->has_before ? span(&past->before) : 0);
	past->has_before = false;
	now->max += ahead_of(now, (uint16_t)other->max);
	now->min = now->max + 1;
	now->seen[0] = now->seen[1] = UINT64_MAX;
}

uint64_t sequence_expected(const struct numbering *now, const struct sequence_past *past)
{
	return past->expected + (past->has_before ? span(&past->before) : 0) + span(now);
}

void sequence_undo(struct numbering *now, uint16_t number)
{
	unsigned behind = behind_of(now, number);
	if (behind < SEQUENCE_WINDOW)
		seen_clear(now, behind);
}

void sequence_settle(struct numbering *now)
{
	uint64_t known = SEQUENCE_WINDOW; /* bits of the window that still tell something */

	if (!(now->seen[0] | now->seen[1]))
		return;
	while (!(now->seen[0] & 1)) {
		now->seen[0] = now->seen[0] >> 1 | now->seen[1] << 63;
		now->seen[1] >>= 1;
		now->max--;
		known--;
	}
	while (now->max - now->min < known && !seen_get(now, (unsigned)(now->max - now->min)))
		now->min++;
}
