/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* ring.c: the recorder behind a DPDK ring that a load fills in the same process: what it takes without a card.
 *
 *   ring --store DIR --counters FILE [--threads N] [--writers N] [--calls N ...]
 *
 *   load ──► mbufs ──► rte_ring = a port's receive queue ──► capture thread ──► as ever
 *   (one thread)       (one for each capture thread)
 *
 * In real time, or at a rate, a full ring is what it is at a card: the frame is lost, and counted here as
 * `ring_dropped`.  Flat out (--rate 0) the load waits for room: then no frame is lost, and the time it took is the recorder's.
 * Frames bear no time: as at a card without a clock, it is that of the burst that takes them.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_config.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#undef NS_PER_S /* base/net.h's is the same number */

#include "base/clock.h"
#include "base/net.h"
#include "load/arguments.h"
#include "recorder/recorder.h"

#define RING_FRAMES 4096 /* as many as a card has descriptors */
#define RING_MOST   (1u << 20)
#define QUEUES_MOST 8
#define CACHE       256
#define FRAME_BYTES (RTE_PKTMBUF_HEADROOM + 2048)
#define POLL_US     200
#define SETTLE_US   300000 /* after the last frame: it is in the recorder's hands */

_Static_assert(LOAD_FRAME_ROOM <= 2048, "a frame fits into an mbuf");

struct bench {
	struct load *load;
	struct pace pace;
	struct rte_mempool *pool;
	struct rte_ring *rings[QUEUES_MOST];
	unsigned queues, ring_frames;
	volatile int stop;      /* tells the recorder to end */
	_Atomic bool over;      /* it has */
	uint64_t sent, dropped; /* into the rings; because they were full */
	double seconds, cpu_seconds;
};

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "ring: %s: %s\n", what, why);
	exit(RC_FAILED);
}

/* ---- DPDK --------------------------------------------------------------------------------- */

/* With memory for the rings' frames. */
static void start_dpdk(const struct bench *b)
{
	char mib[16];
	snprintf(mib, sizeof mib, "%u", 512 + b->queues * (b->ring_frames / 400));
	char *arguments[] = { (char[]){ "ring" },
			      (char[]){ "--no-huge" },
			      (char[]){ "-m" },
			      mib,
			      (char[]){ "--no-pci" },
			      (char[]){ "--no-shconf" },
			      (char[]){ "--no-telemetry" },
			      (char[]){ "--log-level=error" },
			      NULL };
	if (rte_eal_init(8, arguments) < 0)
		die("DPDK", rte_strerror(rte_errno));
}

static void make_port(struct bench *b)
{
	struct rte_ring *unused;
	unsigned mbufs = b->queues * (b->ring_frames + 1024) + 2 * CACHE;

	b->pool = rte_pktmbuf_pool_create("load", mbufs, CACHE, 0, FRAME_BYTES, 0);
	unused = rte_ring_create("unused", 64, 0, 0);
	for (unsigned i = 0; i < b->queues; i++) {
		char name[16];
		snprintf(name, sizeof name, "load-%u", i);
		b->rings[i] =
			rte_ring_create(name, b->ring_frames, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (!b->rings[i])
			die(name, rte_strerror(rte_errno));
	}
	if (!b->pool || !unused ||
	    rte_eth_from_rings("load", b->rings, b->queues, &unused, 1, 0) < 0)
		die("ring port", rte_strerror(rte_errno));
}

/* ---- the load's thread -------------------------------------------------------------------- */

/* All frames of a call go the same way, as a card's hash would have it: by its addresses, which differ
 * only in the bit that tells caller from callee.  SIP of a line too. */
static unsigned queue_of(const struct bench *b, const uint8_t *frame)
{
	uint32_t host = (uint32_t)frame[28] << 8 | frame[29];
	return b->queues == 1 ? 0 : host % b->queues;
}

static void put(struct bench *b, struct rte_mbuf *m)
{
	struct rte_ring *to = b->rings[queue_of(b, rte_pktmbuf_mtod(m, const uint8_t *))];
	while (rte_ring_sp_enqueue(to, m) != 0) {
		if (b->pace.kind != PACE_FLAT_OUT || atomic_load(&b->over)) {
			b->dropped++;
			rte_pktmbuf_free(m);
			return;
		}
		clock_sleep_us(POLL_US);
	}
	b->sent++;
}

static unsigned take_mbufs(struct bench *b, struct rte_mbuf **m, struct load_frame *frames)
{
	if (rte_pktmbuf_alloc_bulk(b->pool, m, LOAD_BURST) != 0)
		die("mbufs", "there are more than the rings hold, and yet none is left");
	for (unsigned i = 0; i < LOAD_BURST; i++)
		frames[i].bytes = rte_pktmbuf_mtod(m[i], uint8_t *);
	return load_next(b->load, frames, LOAD_BURST);
}

static bool rings_empty(const struct bench *b)
{
	for (unsigned i = 0; i < b->queues; i++)
		if (!rte_ring_empty(b->rings[i]))
			return false;
	return true;
}

static void wait_until_read(const struct bench *b)
{
	while (!rings_empty(b) && !atomic_load(&b->over))
		clock_sleep_us(POLL_US);
}

static void *run_load(void *arg)
{
	struct bench *b = arg;
	struct rte_mbuf *m[LOAD_BURST];
	struct load_frame frames[LOAD_BURST];
	struct timespec cpu;
	unsigned n;

	(void)!rte_thread_register(); /* a cache of mbufs of its own */
	pace_prepare();
	for (bool first = true; (n = take_mbufs(b, m, frames)) > 0; first = false) {
		pace_wait(&b->pace, frames[n - 1].at_ns, b->sent + b->dropped);
		for (unsigned i = 0; i < n; i++) {
			m[i]->data_len = (uint16_t)frames[i].len;
			m[i]->pkt_len = frames[i].len;
			put(b, m[i]);
		}
		if (n < LOAD_BURST)
			rte_pktmbuf_free_bulk(m + n, LOAD_BURST - n);
		if (first) { /* the clock starts when the recorder listens */
			wait_until_read(b);
			b->pace.began_ns = clock_mono_ns();
		}
	}
	rte_pktmbuf_free_bulk(m, LOAD_BURST);
	wait_until_read(b);
	b->seconds = pace_seconds(&b->pace);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	b->cpu_seconds = (double)cpu.tv_sec + (double)cpu.tv_nsec / (double)NS_PER_S;
	clock_sleep_us(SETTLE_US);
	b->stop = 1;
	rte_thread_unregister();
	return NULL;
}

/* ---- the run ------------------------------------------------------------------------------ */

struct wanted {
	struct load_settings load;
	struct options recorder;
	const char *counters;
	unsigned queues, ring_frames;
};

static const struct option long_options[] = {
	{ "store", required_argument, NULL, 's' },
	{ "counters", required_argument, NULL, 'c' },
	{ "threads", required_argument, NULL, 't' },
	{ "writers", required_argument, NULL, 'w' },
	{ "ring", required_argument, NULL, 'r' },
	{ "set", required_argument, NULL, 'S' },
	ARGUMENTS_LOAD,
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void usage(void)
{
	fputs("usage: ring --store DIR --counters FILE [options]\n"
	      "  --threads N      capture threads, a ring each (1, at most 8)\n"
	      "  --writers N      writer threads (1)\n"
	      "  --ring N         frames in a ring, a power of two (4096)\n"
	      "  --set NAME=VALUE any option of the recorder's\n",
	      stderr);
	fputs(arguments_text, stderr);
	exit(RC_USAGE);
}

static void set(struct options *o, const char *name, const char *value)
{
	struct error err;
	if (options_set(o, name, value, &err) != RC_OK) {
		fprintf(stderr, "ring: %s\n", err.text);
		exit(RC_USAGE);
	}
}

static void set_pair(struct options *o, char *pair)
{
	char *value = strchr(pair, '=');
	if (!value)
		usage();
	*value++ = '\0';
	set(o, pair, value);
}

static void read_options(struct wanted *w, struct pace *pace, int argc, char **argv)
{
	int c;
	w->ring_frames = RING_FRAMES;
	options_default(&w->recorder);
	set(&w->recorder, "capture.dpdk",
	    "ring"); /* DPDK has begun: its ports are taken as they are */
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 's': set(&w->recorder, "store", optarg); break;
		case 'c': w->counters = optarg; break;
		case 't': set(&w->recorder, "capture.threads", optarg); break;
		case 'w': set(&w->recorder, "writer.threads", optarg); break;
		case 'r': w->ring_frames = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'S': set_pair(&w->recorder, optarg); break;
		default:
			if (!arguments_take(&w->load, pace, c, optarg))
				usage();
		}
	}
	w->queues = (unsigned)w->recorder.capture_threads;
	if (!w->counters || w->queues > QUEUES_MOST || w->ring_frames > RING_MOST || optind < argc)
		usage();
}

static void print_result(const struct bench *b, uint32_t calls_at_once)
{
	arguments_print_figures(stdout, b->load, calls_at_once);
	printf(", \"sent\": %" PRIu64 ", \"ring_dropped\": %" PRIu64
	       ", \"send_seconds\": %.6f, \"late_ms\": %.3f, \"put_off_seconds\": %.6f, "
	       "\"load_cpu_s\": %.6f}\n",
	       b->sent, b->dropped, b->seconds, (double)b->pace.latest_ns / (double)NS_PER_MS,
	       (double)b->pace.lost_ns / (double)NS_PER_S, b->cpu_seconds);
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct wanted w = { .load = load_defaults() };
	struct error err;
	pthread_t thread;

	read_options(&w, &b.pace, argc, argv);
	b.queues = w.queues;
	b.ring_frames = w.ring_frames;
	if (load_new(&b.load, &w.load, &err) != RC_OK)
		die("load", err.text);
	start_dpdk(&b);
	make_port(&b);
	if (pthread_create(&thread, NULL, run_load, &b) != 0)
		die("load", "cannot start its thread");
	struct recorder_config cfg = { .options = &w.recorder, .counters_path = w.counters };
	enum rc rc = recorder_run(&cfg, &b.stop, &err);
	atomic_store(&b.over, true);
	if (rc != RC_OK)
		die("recorder", err.text);
	pthread_join(thread, NULL);
	print_result(&b, w.load.lines);
	load_free(b.load);
	return RC_OK;
}
