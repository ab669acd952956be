/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pace.h: how fast frames go out: as their times say, at a rate, or as fast as may be. */
#ifndef CALLSPAN_BENCH_LOAD_PACE_H
#define CALLSPAN_BENCH_LOAD_PACE_H

#include <stdint.h>

enum pace_kind {
	PACE_REAL_TIME, /* as their times say */
	PACE_RATE,      /* so many a second, evenly */
	PACE_FLAT_OUT
};

/* Zeros are real time. */
struct pace {
	enum pace_kind kind;
	double rate;
	int64_t began_ns,
		first_ns;  /* by the clock, and later each time it is put off; by the frames */
	int64_t latest_ns; /* most that a frame was late */
	int64_t lost_ns;   /* by which all was put off, for the sender had no processor */
};

/* Sleeps of this thread end when they should. */
void pace_prepare(void);

/* Wait until a frame of this time, with `sent` before it, is due. */
void pace_wait(struct pace *p, int64_t at_ns, uint64_t sent);

/* Seconds since the first frame. */
double pace_seconds(const struct pace *p);

#endif
