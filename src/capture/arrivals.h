/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* arrivals.h: times for frames that nobody has stamped.
 *
 * Frames come in bursts, and all that is known is when a burst was taken.  Their order is known too, and must be seen
 * in their times: what comes behind a BYE is not of the call.  So they stand a microsecond apart, which is what arrivals
 * are kept in; where frames come faster than that, a nanosecond, so that packet time stays within a millisecond of the
 * clock.
 */
#ifndef CALLSPAN_CAPTURE_ARRIVALS_H
#define CALLSPAN_CAPTURE_ARRIVALS_H

#include "base/net.h"

#define ARRIVALS_AHEAD_NS NS_PER_MS

/* Of one thread that takes bursts.  Zeroed at first. */
struct arrivals {
	int64_t newest_ns;
};

/* The times of a burst of n > 0 that was taken at now_ns (Unix): its first frame's; *step_ns: from each to the next.
 * Never before the burst before it, unless the clock was set back. */
static inline int64_t arrivals_of(struct arrivals *a, int64_t now_ns, unsigned n, int64_t *step_ns)
{
	int64_t ahead = a->newest_ns - now_ns;

	*step_ns = NS_PER_US;
	if (ahead >= 0 && ahead < ARRIVALS_AHEAD_NS) {
		if (ahead > ARRIVALS_AHEAD_NS / 2)
			*step_ns = 1;
		now_ns = a->newest_ns + *step_ns;
	}
	a->newest_ns = now_ns + (int64_t)(n - 1) * *step_ns;
	return now_ns;
}

#endif
