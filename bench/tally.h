/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* tally.h: what a bare loop does with a frame, and what it says in the end: the same at an interface and with DPDK.
 *
 * Each frame is counted, and a byte of each of its cache lines read: whoever records can hardly do less.  A loop says "ready" when it
 * listens and goes on until SIGTERM or SIGINT.
 */
#ifndef CALLSPAN_BENCH_TALLY_H
#define CALLSPAN_BENCH_TALLY_H

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#define TALLY_LINE 64 /* bytes of a cache line */

struct tally {
	uint64_t packets, bytes;
	unsigned touched; /* printed, so that reading is not left out */
};

static volatile sig_atomic_t tally_stop;

static inline void tally_on_signal(int signo)
{
	(void)signo;
	tally_stop = 1;
}

static inline void tally_ready(void)
{
	struct sigaction act = { .sa_handler = tally_on_signal };
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	puts("ready");
	fflush(stdout);
}

static inline void tally_frame(struct tally *t, const uint8_t *frame, uint32_t len)
{
	for (uint32_t k = 0; k < len; k += TALLY_LINE)
		t->touched += frame[k];
	t->bytes += len;
	t->packets++;
}

static inline double tally_seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static inline void tally_print(const struct tally *t, uint64_t drops)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	printf("{\"frames\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"kernel-drops\": %" PRIu64
	       ", \"cpu_s\": %.6f, \"touched\": %u}\n",
	       t->packets, t->bytes, drops, tally_seconds(u.ru_utime) + tally_seconds(u.ru_stime),
	       t->touched);
}

#endif
