/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* work.h: what a thread's time goes into: cycles by stage, and its CPU time.
 *
 * Each thread has its own struct work, which nobody else reads before the thread has ended.  Stages of
 * single packets are timed in one burst of WORK_EVERY, so that timing costs next to nothing; stages that come once a
 * chunk, a message or a write are timed each time.  A stage that runs within another is taken out of it by
 * whoever times the outer one.  `callspand --counters` prints the sums; recording logic never reads them.
 */
#ifndef CALLSPAN_BASE_WORK_H
#define CALLSPAN_BASE_WORK_H

#include "base/clock.h"
#include "base/rc.h"

#define WORK_EVERY 61 /* bursts; a prime, lest the same streams are met each time */
/* Cycles.  No burst of 64 frames takes that long: the processor was given to someone else, or the burst had to wait
 * for a writer.  One such sample would stand for 60 bursts that were not disturbed: it is left out. */
#define WORK_DISTURBED (UINT64_C(1) << 20)

enum work_stage {
	WORK_READ,       /* a burst of frames, from the kernel, a file or a card; sampled */
	WORK_DECODE,     /* frames to datagrams; sampled */
	WORK_MEDIA,      /* look-up and append, which run into each other; sampled */
	WORK_SIGNALLING, /* SIP: parsed, or handed on to the thread that does */
	WORK_TIMERS,     /* what packet time brings about */
	WORK_SEAL,       /* chunks and records, AES-256-GCM */
	WORK_SLOT,       /* a new call's keys, sealed to the vault */
	WORK_WRITE,      /* to the kernel */
	WORK_SYNC,       /* to the disk */
	WORK_STAGES
};

extern const char *const work_names[WORK_STAGES]; /* "decode" */
extern const bool work_sampled[WORK_STAGES];

struct work {
	uint64_t cycles[WORK_STAGES], items[WORK_STAGES];
	unsigned turns;
	bool sampling;
	int64_t cpu_ns; /* of the thread, when it has ended */
};

/* The processor's own clock; where we know none, nanoseconds. */
static inline uint64_t work_now(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return (uint64_t)clock_mono_ns();
#endif
}

/* A burst begins: is it one that is timed? */
static inline void work_turn(struct work *w)
{
	w->sampling = w->turns++ % WORK_EVERY == 0;
}

/* Begin a sampled stage: 0 when this burst is not timed. */
static inline uint64_t work_sample(const struct work *w)
{
	return UNLIKELY(w->sampling) ? work_now() : 0;
}

/* A stage that `began` then (0: it is not timed) has done its work on so many items. */
static inline void work_done(struct work *w, enum work_stage stage, uint64_t began, unsigned items)
{
	if (LIKELY(!began))
		return;
	uint64_t cycles = work_now() - began;
	if (UNLIKELY(work_sampled[stage] && cycles > WORK_DISTURBED))
		return;
	w->cycles[stage] += cycles;
	w->items[stage] += items;
}

/* The calling thread ends: what CPU time it took. */
void work_end(struct work *w);

#endif
