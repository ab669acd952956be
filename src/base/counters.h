/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* counters.h: what is counted, as one table.
 *
 * Each thread has its own struct counters: one writer, relaxed atomics, anyone may read.  The
 * rows of counters.def give name and prose; metrics text, manual and tests come
 * from them.  The law, asserted everywhere:
 *
 *     datagrams received = delivered + held + sum of dropped by reason
 */
#ifndef CALLSPAN_BASE_COUNTERS_H
#define CALLSPAN_BASE_COUNTERS_H

#include <stdatomic.h>

#include "base/rc.h"

enum counter {
#define COUNTER(id, name, prose) COUNT_##id,
#include "base/counters.def"
#undef COUNTER
	COUNTER_COUNT
};

struct counters {
	_Alignas(64) _Atomic uint64_t v[COUNTER_COUNT];
};

extern const char *const counter_names[COUNTER_COUNT]; /* "rtp-duplicate" */
extern const char *const counter_prose[COUNTER_COUNT];

/* Only the owning thread adds: a load and a store, no locked instruction. */
static inline void count_add(struct counters *c, enum counter id, uint64_t n)
{
	uint64_t v = atomic_load_explicit(&c->v[id], memory_order_relaxed);
	atomic_store_explicit(&c->v[id], v + n, memory_order_relaxed);
}

static inline void count(struct counters *c, enum counter id)
{
	count_add(c, id, 1);
}

static inline uint64_t counter_get(const struct counters *c, enum counter id)
{
	return atomic_load_explicit(&c->v[id], memory_order_relaxed);
}

/* Add all of `from` to `sum` (a private struct of the caller). */
void counters_sum(struct counters *sum, const struct counters *from);

#endif
