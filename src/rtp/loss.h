/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* loss.h: runs of sequence numbers that never came.
 *
 * A gap is noted when a packet comes ahead of its turn, and closed by those that come late after
 * all: from its ends, or from within, which leaves two.  The newest LOSS_OPEN gaps can still be
 * closed; older ones are counted as they stand, so a packet that comes later than so many gaps
 * leaves its run as long as it was.  A jump of the numbering is no loss.
 *
 *   1 2 . . . 6 . . 9     gaps 3-5, 7-8      4 comes late: 3-3, 5-5, 7-8
 *
 * Touched only when a packet is out of order.  Runs on the capture thread.
 */
#ifndef CALLSPAN_RTP_LOSS_H
#define CALLSPAN_RTP_LOSS_H

#include "base/rc.h"

#define LOSS_OPEN 8

struct loss {
	struct {
		uint64_t first; /* extended sequence number */
		uint64_t count;
	} open[LOSS_OPEN];      /* oldest first */
	uint64_t lowest;        /* number of this numbering */
	uint64_t runs, longest; /* of those that are closed for good */
	uint32_t open_count;
};

/* The numbering begins, or begins anew after a jump, with `sequence`. */
void loss_begin(struct loss *l, uint64_t sequence);
/* A packet came `ahead` (> 1) of the highest before it. */
void loss_gap(struct loss *l, uint64_t sequence, uint64_t ahead);
/* A packet came late. */
void loss_late(struct loss *l, uint64_t sequence);
/* Nothing above `highest` is part of the stream any more. */
void loss_cut(struct loss *l, uint64_t highest);

uint64_t loss_runs(const struct loss *l);
uint64_t loss_longest(const struct loss *l);

#endif
