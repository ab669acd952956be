/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* work.c: the stages' names, and a thread's CPU time. */
#include "base/work.h"

#include <time.h>

#include "base/net.h"

const char *const work_names[WORK_STAGES] = {
	"read", "decode", "media", "signalling", "timers", "seal", "slot", "write", "sync",
};
const bool work_sampled[WORK_STAGES] = {
	[WORK_READ] = true, [WORK_DECODE] = true, [WORK_MEDIA] = true
};

void work_end(struct work *w)
{
	struct timespec t;
	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0)
		w->cpu_ns = (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}
