/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cpus.h: which threads run on which processors, as the configuration has it.
 *
 * Read at start; the threads are then pinned in turn: the nth to the nth of the list, from its beginning again
 * when it is shorter.
 */
#ifndef CALLSPAN_BASE_CPUS_H
#define CALLSPAN_BASE_CPUS_H

#include <pthread.h>

#include "base/rc.h"

#define CPUS_MOST 256

struct cpus {
	unsigned count; /* 0: threads run wherever the kernel likes */
	uint16_t at[CPUS_MOST];
};

/* Read a list such as "2,3,6-9", in this order; spaces do no harm; "" is none.  RC_USAGE, with the option's name, for what
 * is no such list, is too long, or names a CPU on which this process cannot run (it is tried). */
enum rc cpus_read(struct cpus *c, const char *option, const char *text, struct error *err) MUST_USE;

/* Keep a thread, the nth of its kind, on its CPU.  What cannot be done any more (a CPU was taken away) is logged. */
void cpus_pin(const struct cpus *c, pthread_t thread, unsigned nth);

#endif
