/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pace.c: waiting until a frame is due. */
#include "load/pace.h"

#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/net.h"

#define WORTH_A_SLEEP (30 * NS_PER_US)
#define LATE_MOST     (200 * NS_PER_US)

void pace_prepare(void)
{
	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

void pace_wait(struct pace *p, int64_t at_ns, uint64_t sent)
{
	int64_t now = clock_mono_ns(), due = now;
	if (!p->began_ns) {
		p->began_ns = now;
		p->first_ns = at_ns;
	}
	if (p->kind == PACE_REAL_TIME)
		due = p->began_ns + at_ns - p->first_ns;
	else if (p->kind == PACE_RATE)
		due = p->began_ns + (int64_t)((double)sent / p->rate * (double)NS_PER_S);
	if (now - due > p->latest_ns)
		p->latest_ns = now - due;
	/* A wire does not make up for lost time: all that follows is late too, or it came faster than stated. */
	if (now - due > LATE_MOST && p->kind != PACE_FLAT_OUT) {
		p->began_ns += now - due;
		p->lost_ns += now - due;
	}
	if (due - now > WORTH_A_SLEEP) {
		int64_t ns = due - now;
		struct timespec t = { ns / NS_PER_S, ns % NS_PER_S };
		(void)nanosleep(&t, NULL);
	}
}

double pace_seconds(const struct pace *p)
{
	return (double)(clock_mono_ns() - p->began_ns + p->lost_ns) / (double)NS_PER_S;
}
