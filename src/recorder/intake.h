/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* intake.h: what a capture thread sends to signalling, and in which order signalling takes it.
 *
 *   dialogs   SIP that makes, changes or ends calls; what media tells.  Dropped last
 *   rest      other SIP: REGISTER, OPTIONS and the like
 *   pieces    fragments and TCP segments
 *
 * What several threads saw comes together in the order of the packets' times.  But a flood of the rest must not keep
 * calls waiting: while a ring beside the dialogs' is more than half full, signalling is behind, and dialogs go first.
 *
 * Single-producer rings: the capture thread puts, the signalling thread takes.
 */
#ifndef CALLSPAN_RECORDER_INTAKE_H
#define CALLSPAN_RECORDER_INTAKE_H

#include "recorder/messages.h"

#define INTAKE_DIALOG_BYTES                                                                        \
	(32u << 20) /* all threads' together, but 8 MiB each at the least: 4 s of 2,000 calls/s */
#define INTAKE_REST_BYTES   (4u << 20)
#define INTAKE_PIECES_BYTES (4u << 20)

struct intake {
	struct ring *dialogs, *rest, *pieces; /* owned */
};

/* One of `threads`. */
bool intake_init(struct intake *in, unsigned threads);
void intake_release(struct intake *in);

/* Of `n` threads' messages the one to take next, and the ring to pop it from.  NULL: all are younger than until_ns. */
const void *intake_next(const struct intake *in, unsigned n, int64_t until_ns, struct ring **from);

#endif
