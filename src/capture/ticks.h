/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* ticks.h: the time stamps of a network card as wall-clock time.
 *
 * A card stamps frames with its own counter, of a rate that it does not tell, or not exactly.  Once a
 * second one thread reads that counter and our clocks together; any number of capture threads take the newest comparison
 * and convert by it.
 *
 *     ns = at_ns + (ticks - at_ticks) × rate          rate: ns a tick, 32.32 bits
 *
 * The rate comes from the monotonic clock since the first comparison, so that a step of the wall clock bends
 * nothing.  Written by one thread, read by many, under a sequence lock: readers never wait long, and nobody for them.
 */
#ifndef CALLSPAN_CAPTURE_TICKS_H
#define CALLSPAN_CAPTURE_TICKS_H

#include <stdatomic.h>

#include "base/rc.h"

__extension__ typedef __int128 ticks_wide;

struct ticks_rate {
	uint64_t at_ticks, rate;
	int64_t at_ns;
};

struct ticks {
	_Atomic uint32_t turn; /* odd while it is being written; 0: there is no rate yet */
	_Atomic uint64_t at_ticks, rate;
	_Atomic int64_t at_ns;
	/* the writer's */
	bool begun;
	uint64_t first_ticks;
	int64_t first_mono_ns;
};

/* Compare: the card's counter, and our two clocks, read at the same moment. */
static inline void ticks_compare(struct ticks *t, uint64_t ticks, int64_t mono_ns, int64_t real_ns)
{
	uint64_t passed = ticks - t->first_ticks;
	int64_t passed_ns = mono_ns - t->first_mono_ns;

	if (!t->begun || passed >> 63 || !passed || passed_ns <= 0) {
		/* The first, or the counter was set back. */
		t->begun = true;
		t->first_ticks = ticks;
		t->first_mono_ns = mono_ns;
		return;
	}
	uint64_t rate = (uint64_t)(((ticks_wide)passed_ns << 32) / passed);
	uint32_t turn = atomic_load_explicit(&t->turn, memory_order_relaxed);
	atomic_store_explicit(&t->turn, turn + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&t->at_ticks, ticks, memory_order_relaxed);
	atomic_store_explicit(&t->rate, rate, memory_order_relaxed);
	atomic_store_explicit(&t->at_ns, real_ns, memory_order_relaxed);
	atomic_store_explicit(&t->turn, turn + 2, memory_order_release);
}

/* The newest comparison; false when there is none yet. */
static inline bool ticks_newest(const struct ticks *t, struct ticks_rate *out)
{
	uint32_t before, after;

	do {
		before = atomic_load_explicit(&t->turn, memory_order_acquire);
		out->at_ticks = atomic_load_explicit(&t->at_ticks, memory_order_relaxed);
		out->rate = atomic_load_explicit(&t->rate, memory_order_relaxed);
		out->at_ns = atomic_load_explicit(&t->at_ns, memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&t->turn, memory_order_relaxed);
	} while (before & 1 || before != after);
	return before != 0;
}

/* Unix ns of a stamp, which may be older than the comparison. */
static inline int64_t ticks_ns(const struct ticks_rate *r, uint64_t ticks)
{
	int64_t since = (int64_t)(ticks - r->at_ticks);

	/* Rates fit 64 bits and stamps lie within seconds: what overflows is garbage, and the caller finds it out. */
	return (int64_t)((uint64_t)r->at_ns +
			 (uint64_t)(((ticks_wide)since * (ticks_wide)r->rate) >> 32));
}

#endif
