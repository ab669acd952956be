/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sequence.h: extended sequence numbers, duplicates, and how many packets there should have been.
 *
 * RFC 3550, A.1, with two changes.  No packet is ever refused: a jump begins a new numbering at
 * once, and the span so far is remembered as complete.  And the numbering before a jump stays open
 * for a while, so that its stragglers and mirrored copies are still known, and one stray packet
 * does not tear the stream in two.
 *
 *   ... 997 998 999 | 41210 41211 999 41212 ...
 *       before        now         '--- a duplicate, by `before`
 */
#ifndef CALLSPAN_RTP_SEQUENCE_H
#define CALLSPAN_RTP_SEQUENCE_H

#include "base/rc.h"

#define SEQUENCE_WINDOW  128  /* packets within which a duplicate is recognised */
#define SEQUENCE_DROPOUT 3000 /* a larger step forward is a jump (RFC 3550's MAX_DROPOUT) */

/* One run of numbers.  Bit n of `seen` (128 bits): max - n came. */
struct numbering {
	uint64_t max, min; /* extended: cycles << 16 | sequence number */
	uint64_t seen[2];
};

struct sequence_past {
	struct numbering before;
	bool has_before;
	uint64_t expected; /* packets that the numberings before `before` had room for */
};

enum sequence_verdict {
	SEQUENCE_AHEAD,     /* higher than all before */
	SEQUENCE_GAP,       /* the same, and numbers before it have not come */
	SEQUENCE_REORDERED, /* lower, and new */
	SEQUENCE_DUPLICATE,
	SEQUENCE_RESTART /* a jump, to a new numbering or back to the one before */
};

/* Ready for a stream whose first packet has `first`; its cycle is 1. */
static inline void sequence_begin(struct numbering *now, uint16_t first)
{
	now->min = UINT64_C(0x10000) | first;
	now->max = now->min - 1;
	now->seen[0] = now->seen[1] = 0;
}

/* Note a packet that is due next, and give its extended number.  False: it is another. */
static inline bool sequence_next(struct numbering *now, uint16_t number, uint64_t *extended)
{
	if (UNLIKELY((uint16_t)(number - (uint16_t)now->max) != 1))
		return false;
	now->seen[1] = now->seen[1] << 1 | now->seen[0] >> 63;
	now->seen[0] = now->seen[0] << 1 | 1;
	*extended = ++now->max;
	return true;
}

/* Note a packet that is not. */
enum sequence_verdict sequence_note(struct numbering *now, struct sequence_past *past,
				    uint16_t number, uint64_t *extended);

/* Has a number come, as far as the window tells? */
bool sequence_seen(const struct numbering *now, const struct sequence_past *past, uint16_t number);

/* Go on behind what another numbering of the same sender has: what came up to there counts as seen,
 * and not as lost. */
void sequence_follow(struct numbering *now, struct sequence_past *past,
		     const struct numbering *other);

/* How many packets there should have been. */
uint64_t sequence_expected(const struct numbering *now, const struct sequence_past *past);

/* Undo a packet noted a short while ago (it came after the end of the call); after the last one,
 * settle. */
void sequence_undo(struct numbering *now, uint16_t number);
void sequence_settle(struct numbering *now);

#endif
