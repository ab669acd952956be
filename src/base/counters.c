/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* counters.c: the rows of counters.def as names and prose.
 *
 * Reading and adding are inline in the header; here is what the metrics text and the manual
 * page print.  Nothing here ever writes to another thread's counters.
 */
#include "base/counters.h"

const char *const counter_names[COUNTER_COUNT] = {
#define COUNTER(id, name, prose) [COUNT_##id] = (name),
#include "base/counters.def"
#undef COUNTER
};

const char *const counter_prose[COUNTER_COUNT] = {
#define COUNTER(id, name, prose) [COUNT_##id] = (prose),
#include "base/counters.def"
#undef COUNTER
};

void counters_sum(struct counters *sum, const struct counters *from)
{
	for (unsigned id = 0; id < COUNTER_COUNT; id++)
		count_add(sum, (enum counter)id, counter_get(from, (enum counter)id));
}
