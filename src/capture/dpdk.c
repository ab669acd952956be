/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* dpdk.c: frames from DPDK: bursts from the queues of any number of ports.
 *
 * A capture thread runs on a processor of its own (lcore), takes bursts from its queues, and gives the buffers of the last
 * burst back, all at once, when it takes the next: frames are read where the card wrote them.  Nothing is ever sent.
 */
#include "capture/dpdk.h"

#include <pthread.h>
#include <rte_devargs.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/arrivals.h"
#include "capture/staging.h"

#define LINK_ETHERNET 1 /* DLT_EN10MB */
#define AHEAD         4 /* frames whose headers are fetched before they are looked at */

/* A thread without frames spins so often, then sleeps between looks: 4,096 descriptors last 0.8 ms at line rate. */
#define SPINS    2000
#define SLEEP_US 50

/* A card's stamp further than this from our clock is no time: its clock was set, or ran over. */
#define STAMP_TRUST_NS (2 * NS_PER_S)

struct dpdk;

/* Each on cache lines of its own. */
struct dpdk_thread {
	_Alignas(RTE_CACHE_LINE_SIZE) struct capture base;
	struct dpdk *dpdk;          /* borrowed */
	struct dpdk_queue **queues; /* owned; what they point to is the ports' */
	unsigned queues_count, turn;
	struct rte_mbuf *held[CAPTURE_BURST]; /* the last burst's */
	unsigned held_count;
	struct staging staging;        /* for frames in several buffers */
	struct capture_filter *filter; /* owned; NULL: everything */
	uint32_t snaplen;
	struct arrivals arrivals; /* by our clock */
	unsigned idle;            /* bursts without a frame, one after another */
	uint64_t drops;
	cpu_set_t processors;
	bool pinned;
};

/* All of it: what capture_open_dpdk() opens at once, and the last capture_close() closes. */
struct dpdk {
	bool ours;                   /* DPDK was begun by us */
	struct dpdk_port *ports;     /* owned */
	struct dpdk_thread *threads; /* owned */
	unsigned ports_count, threads_count, open;
	_Atomic bool failed; /* no port is left, and none will be */
	struct error failure;
};

/* ---- a burst ----------------------------------------------------------------------------------------- */

static void give_back(struct dpdk_thread *t)
{
	if (t->held_count)
		rte_pktmbuf_free_bulk(t->held, t->held_count);
	t->held_count = 0;
}

/* May its queue be read?  Else say that it is not: the port may then be taken down.  A thread that begins anew says so first
 * and looks again, so that the main thread, which shuts first and looks then, cannot miss it. */
static inline bool may_read(struct dpdk_queue *q)
{
	if (UNLIKELY(!atomic_load_explicit(&q->port->open, memory_order_acquire))) {
		atomic_store(&q->parked, true);
		return false;
	}
	if (UNLIKELY(atomic_load_explicit(&q->parked, memory_order_relaxed))) {
		atomic_store(&q->parked, false);
		if (!atomic_load(&q->port->open)) {
			atomic_store(&q->parked, true);
			return false;
		}
	}
	return true;
}

/* A frame in several buffers is put together. */
static const uint8_t *in_one_piece(struct dpdk_thread *t, const struct rte_mbuf *m, uint32_t len)
{
	uint8_t *to = t->staging.bytes + t->staging.used;
	t->staging.used += ((size_t)len + 15) & ~(size_t)15;
	return rte_pktmbuf_read(m, 0, len, to);
}

static int64_t stamp_of(const struct dpdk_port *p, const struct rte_mbuf *m,
			const struct ticks_rate *rate, int64_t now_ns)
{
	uint64_t stamp;

	if (p->stamp == DPDK_STAMP_NONE || !(m->ol_flags & p->stamp_flag))
		return now_ns;
	stamp = *RTE_MBUF_DYNFIELD(m, (size_t)p->stamp_offset, const rte_mbuf_timestamp_t *);
	if (p->stamp == DPDK_STAMP_NS)
		return stamp <= INT64_MAX ? (int64_t)stamp : now_ns;
	int64_t ns = ticks_ns(rate, stamp);
	return ns > now_ns - STAMP_TRUST_NS && ns < now_ns + STAMP_TRUST_NS ? ns : now_ns;
}

/* The frames of the burst that is held. */
static int fill(struct dpdk_thread *t, const struct dpdk_port *p, struct frame *frames)
{
	struct ticks_rate rate = { 0 };
	unsigned n = t->held_count, kept = 0;
	int64_t step_ns, now_ns = arrivals_of(&t->arrivals, clock_real_ns(), n, &step_ns);

	if (p->stamp == DPDK_STAMP_TICKS && !ticks_newest(&p->ticks, &rate))
		rate.at_ns = now_ns; /* a rate of 0: all stamps are now */
	staging_restart(&t->staging);
	for (unsigned i = 0; i < n && i < AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(t->held[i], const void *));
	for (unsigned i = 0; i < n; i++) {
		const struct rte_mbuf *m = t->held[i];
		struct frame *f = &frames[kept];

		if (i + AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(t->held[i + AHEAD], const void *));
		f->wire_len = m->pkt_len;
		f->len = m->pkt_len < t->snaplen ? m->pkt_len : t->snaplen;
		f->bytes = LIKELY(f->len <= m->data_len) ? rte_pktmbuf_mtod(m, const uint8_t *)
							 : in_one_piece(t, m, f->len);
		f->ts_ns = stamp_of(p, m, &rate, now_ns + i * step_ns);
		f->link_type = LINK_ETHERNET;
		f->interface_no = p->id;
		kept += LIKELY(!t->filter) || capture_filter_passes(t->filter, f);
	}
	return (int)kept;
}

static int dpdk_burst(struct capture *c, struct frame *frames, int max)
{
	struct dpdk_thread *t = (struct dpdk_thread *)c;

	give_back(t);
	for (unsigned i = 0; i < t->queues_count; i++) {
		struct dpdk_queue *q = t->queues[t->turn];
		t->turn = t->turn + 1 < t->queues_count ? t->turn + 1 : 0;
		if (!may_read(q))
			continue;
		t->held_count = rte_eth_rx_burst(q->port->id, q->no, t->held, (uint16_t)max);
		if (!t->held_count)
			continue;
		t->idle = 0;
		return fill(t, q->port, frames);
	}
	return atomic_load_explicit(&t->dpdk->failed, memory_order_acquire) ? -1 : 0;
}

static void dpdk_wait(struct capture *c, int timeout_ms)
{
	struct dpdk_thread *t = (struct dpdk_thread *)c;

	if (++t->idle < SPINS || timeout_ms < 1)
		rte_pause();
	else
		clock_sleep_us(SLEEP_US);
}

/* ---- the thread that reads --------------------------------------------------------------------------- */

static void dpdk_enter(struct capture *c)
{
	struct dpdk_thread *t = (struct dpdk_thread *)c;

	char name[16];

	(void)snprintf(name, sizeof name, "capture-%u", (unsigned)(t - t->dpdk->threads));
	(void)pthread_setname_np(pthread_self(), name);
	if (t->pinned &&
	    pthread_setaffinity_np(pthread_self(), sizeof t->processors, &t->processors) != 0)
		log_warning("capture-not-pinned", "hint=\"name other processors in -l\"");
	/* A number of its own, for its cache of buffers. */
	if (rte_thread_register() != 0)
		log_warning("capture-not-registered", "error=\"%s\"", rte_strerror(rte_errno));
	/* What was dropped before anyone listened is not missing. */
	(void)capture_kernel_drops(c);
	t->drops = 0;
}

static void dpdk_leave(struct capture *c)
{
	struct dpdk_thread *t = (struct dpdk_thread *)c;

	give_back(t);
	for (unsigned i = 0; i < t->queues_count; i++)
		atomic_store(&t->queues[i]->parked, true);
	rte_thread_unregister();
}

/* A port's losses are counted once: by the thread of its first queue. */
static uint64_t dpdk_kernel_drops(struct capture *c)
{
	struct dpdk_thread *t = (struct dpdk_thread *)c;

	for (unsigned i = 0; i < t->queues_count; i++)
		if (t->queues[i]->no == 0 && may_read(t->queues[i]))
			t->drops += dpdk_port_missed(t->queues[i]->port);
	return t->drops;
}

static uint64_t dpdk_outages(const struct capture *c)
{
	const struct dpdk_thread *t = (const struct dpdk_thread *)c;
	uint64_t sum = 0;

	for (unsigned i = 0; i < t->queues_count; i++)
		if (t->queues[i]->no == 0)
			sum += atomic_load_explicit(&t->queues[i]->port->outages,
						    memory_order_relaxed);
	return sum;
}

static const char *dpdk_failure(const struct capture *c)
{
	const struct dpdk *d = ((const struct dpdk_thread *)c)->dpdk;
	return atomic_load_explicit(&d->failed, memory_order_acquire) ? d->failure.text : NULL;
}

static void dpdk_progress(const struct capture *c, uint64_t *done, uint64_t *total)
{
	(void)c;
	*done = *total = 0;
}

/* ---- the main thread --------------------------------------------------------------------------------- */

/* Rights that were given away do not come back: when no port is left, whoever started us must do it again. */
static void dpdk_watch(struct capture *c)
{
	struct dpdk *d = ((struct dpdk_thread *)c)->dpdk;
	unsigned hopeless = 0;

	for (unsigned i = 0; i < d->ports_count; i++) {
		dpdk_port_look(&d->ports[i]);
		hopeless += d->ports[i].state == DPDK_LOST && d->ports[i].told;
	}
	if (hopeless < d->ports_count || geteuid() == 0 || dpdk_failure(c))
		return;
	(void)error_set(&d->failure, RC_FAILED,
			"DPDK: no port is left, and only root could bring one back: start again");
	atomic_store_explicit(&d->failed, true, memory_order_release);
}

static void dpdk_free(struct dpdk *d)
{
	for (unsigned i = 0; i < d->threads_count; i++) {
		staging_clear(&d->threads[i].staging);
		capture_filter_free(d->threads[i].filter);
		free(d->threads[i].queues);
	}
	for (unsigned i = 0; i < d->ports_count; i++)
		dpdk_port_close(&d->ports[i], d->ours);
	dpdk_eal_talk();
	if (d->ours)
		dpdk_eal_stop();
	free(d->threads);
	free(d->ports);
	free(d);
}

static void dpdk_close(struct capture *c)
{
	struct dpdk *d = ((struct dpdk_thread *)c)->dpdk;

	give_back((struct dpdk_thread *)c);
	if (--d->open == 0)
		dpdk_free(d);
}

static const struct capture_kind dpdk_kind = {
	.burst = dpdk_burst,
	.wait = dpdk_wait,
	.failure = dpdk_failure,
	.kernel_drops = dpdk_kernel_drops,
	.progress = dpdk_progress,
	.close = dpdk_close,
	.enter = dpdk_enter,
	.leave = dpdk_leave,
	.watch = dpdk_watch,
	.outages = dpdk_outages,
};

/* ---- opening ----------------------------------------------------------------------------------------- */

/* DPDK goes on without a device that it could not open; we do not. */
static enum rc all_devices_there(struct error *err)
{
	const struct rte_devargs *args = NULL;

	while ((args = rte_devargs_next(NULL, args)))
		if (args->policy == RTE_DEV_ALLOWED && dpdk_port_of(args->name) == RTE_MAX_ETHPORTS)
			return dpdk_eal_failed(err, "DPDK: no device %s (docs/dpdk.md)",
					       args->name);
	return RC_OK;
}

/* How many queues a port is asked for: as many as there are threads for it, and one at least. */
static unsigned queues_of(const struct dpdk *d, unsigned port)
{
	unsigned n = d->threads_count / d->ports_count;
	n += port < d->threads_count % d->ports_count;
	return n ? n : 1;
}

static enum rc open_ports(struct dpdk *d, const struct capture_dpdk *cfg, struct error *err)
{
	unsigned ports = rte_eth_dev_count_avail(), least = UINT16_MAX, i = 0;

	if (ports == 0)
		return dpdk_eal_failed(err, "DPDK: there is no port: bind a card to vfio-pci "
					    "(dpdk-devbind.py), or give a --vdev");
	d->ports = calloc(ports, sizeof *d->ports);
	if (!d->ports)
		return error_set(err, RC_FAILED, "not enough memory for ports");
	d->ports_count = ports;
	for (unsigned id = dpdk_port_next(0); id < RTE_MAX_ETHPORTS; id = dpdk_port_next(id + 1))
		least = RTE_MIN(least, dpdk_port_queues(id));
	for (unsigned id = dpdk_port_next(0); id < RTE_MAX_ETHPORTS; id = dpdk_port_next(id + 1)) {
		unsigned has = dpdk_port_queues(id), asked = queues_of(d, i);
		if (has < asked)
			return error_set(err, RC_FAILED,
					 "port %u has %u receive queue%s, %u were asked for: "
					 "capture.threads %u",
					 id, has, has == 1 ? "" : "s", asked, least * ports);
		enum rc rc = dpdk_port_open(&d->ports[i], id, asked, (unsigned)cfg->descriptors,
					    d->ours, err);
		if (rc != RC_OK)
			return rc;
		i++;
	}
	return RC_OK;
}

/* Deal the queues out to the threads, in turn. */
static enum rc deal_queues(struct dpdk *d, const struct capture_dpdk *cfg, struct error *err)
{
	unsigned dealt = 0;

	for (unsigned i = 0; i < d->threads_count; i++) {
		struct dpdk_thread *t = &d->threads[i];
		t->base.kind = &dpdk_kind;
		t->dpdk = d;
		t->snaplen = (uint32_t)cfg->snaplen;
		t->queues = calloc(d->ports_count + 1, sizeof(struct dpdk_queue *));
		if (!t->queues || !staging_init(&t->staging))
			return error_set(err, RC_FAILED, "not enough memory for a capture thread");
		if (!cfg->filter || !*cfg->filter)
			continue;
		enum rc rc =
			capture_filter_new(&t->filter, "DPDK", LINK_ETHERNET, cfg->filter, err);
		if (rc != RC_OK)
			return rc;
	}
	for (unsigned i = 0; i < d->ports_count; i++)
		for (unsigned j = 0; j < d->ports[i].queues_count; j++, dealt++) {
			struct dpdk_thread *t = &d->threads[dealt % d->threads_count];
			t->queues[t->queues_count++] = &d->ports[i].queues[j];
		}
	return RC_OK;
}

/* A processor for each capture thread: those of -l but the first, and the first too where that makes enough.  All other
 * threads, of which the main one is the mother, stay off them where others are left. */
static void share_processors(struct dpdk *d, const cpu_set_t *before)
{
	unsigned lcores[RTE_MAX_LCORE], n = 0;
	cpu_set_t rest = *before;

	/* In a program that has begun DPDK itself some may be at work. */
	for (unsigned i = 0; i < RTE_MAX_LCORE; i++)
		if (rte_lcore_is_enabled(i) && i != rte_get_main_lcore() &&
		    rte_eal_get_lcore_state(i) == WAIT)
			lcores[n++] = i;
	if (n < d->threads_count && d->ours)
		lcores[n++] = rte_get_main_lcore();
	if (n < d->threads_count) {
		log_info("capture-not-pinned",
			 "threads=%u lcores=%u hint=\"name a processor for each in -l, and one "
			 "more\"",
			 d->threads_count, n);
	} else {
		for (unsigned i = 0; i < d->threads_count; i++) {
			struct dpdk_thread *t = &d->threads[i];
			t->processors = rte_lcore_cpuset(lcores[i]);
			t->pinned = true;
			/* rest minus processors */
			cpu_set_t both;
			CPU_AND(&both, &rest, &t->processors);
			CPU_XOR(&rest, &rest, &both);
		}
	}
	/* DPDK has tied the main thread to the first of -l. */
	if (CPU_COUNT(&rest) == 0)
		rest = *before;
	(void)pthread_setaffinity_np(pthread_self(), sizeof rest, &rest);
}

enum rc capture_open_dpdk(struct capture **out, unsigned threads, const struct capture_dpdk *cfg,
			  struct error *err)
{
	struct dpdk *d = calloc(1, sizeof *d);
	cpu_set_t before;

	if (!d)
		return error_set(err, RC_FAILED, "not enough memory for DPDK");
	d->threads = aligned_alloc(RTE_CACHE_LINE_SIZE, threads * sizeof *d->threads);
	if (d->threads)
		memset(d->threads, 0, threads * sizeof *d->threads);
	d->threads_count = d->threads ? threads : 0;
	CPU_ZERO(&before);
	(void)pthread_getaffinity_np(pthread_self(), sizeof before, &before);
	enum rc rc = d->threads ? dpdk_eal_start(cfg->arguments, &d->ours, err)
				: error_set(err, RC_FAILED, "not enough memory for DPDK");
	if (rc == RC_OK)
		rc = all_devices_there(err);
	if (rc == RC_OK)
		rc = open_ports(d, cfg, err);
	if (rc == RC_OK)
		rc = deal_queues(d, cfg, err);
	if (rc != RC_OK) {
		dpdk_free(d);
		return rc;
	}
	share_processors(d, &before);
	dpdk_eal_talk();
	for (unsigned i = 0; i < threads; i++)
		out[i] = &d->threads[i].base;
	d->open = threads;
	return RC_OK;
}

enum rc capture_check_dpdk(const char *arguments, struct error *err)
{
	char text[DPDK_TEXT], *argv[DPDK_ARGUMENTS];
	int n;

	return dpdk_eal_read(arguments, text, argv, &n, err);
}
