/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pressure.h: how long a disk may stall, and telling that it did for longer.
 *
 * While a disk stalls, chunks wait at its writer.  Each stream has one chunk open, has perhaps just closed one, and
 * closes another each second; so with C calls of two streams at up to 64 kbit/s, N buffers cover
 *
 *     N / (2 C) - 2   seconds
 *
 * New calls have but N less the reserve (src/rtp/supply.h).  What comes later is dropped and counted: of new calls
 * first, of running ones when no buffer is left.  Set-up and main thread only.
 */
#ifndef CALLSPAN_RECORDER_PRESSURE_H
#define CALLSPAN_RECORDER_PRESSURE_H

#include "base/counters.h"
#include "base/options.h"

/* The chunk buffers of one capture thread. */
size_t pressure_buffers(const struct options *o, unsigned threads);

/* So many calls lose nothing for so many seconds: new ones as well, or only those that run. */
double pressure_covers(const struct options *o, unsigned threads, unsigned calls, bool new_ones);

/* One line for the log. */
void pressure_tell(const struct options *o, unsigned threads);

/* Look at all threads' counters now and then: one line when audio begins to be dropped for want of buffers, one when that
 * is over. */
struct pressure {
	uint64_t refused, dropped; /* when last looked */
	int64_t since_ns;          /* monotonic: when it last dropped; 0: it does not */
};
void pressure_watch(struct pressure *p, const struct counters *sum, int64_t now_ns);

#endif
