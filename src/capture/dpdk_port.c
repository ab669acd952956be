/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* dpdk_port.c: one port of DPDK, from set-up to its end, and back when it was lost.
 *
 *               look: gone               all its queues parked                found again
 *     RUNNING ─────────────► LEAVING ─────────────────────────► LOST ─────────────────────► RUNNING
 *                (shut)                 (stopped, removed)          (a try each few seconds)
 *
 * Capture threads read queues only while the port is open, and say so when they have seen that it is shut: nothing is
 * taken down under a thread that reads.  Ports never send: no transmit queue is set up unless the driver demands one.
 */
#define ALLOW_EXPERIMENTAL_API /* rte_eth_read_clock() */
#include "capture/dpdk.h"

#include <errno.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LOOK_EVERY_NS (200 * NS_PER_MS)
#define TICK_EVERY_NS NS_PER_S
#define RETRY_NS      (2 * NS_PER_S)

#define LARGEST_MTU 9216 /* jumbo frames as switches have them */
#define ROOM        2048 /* bytes of a frame in one buffer, where larger frames may take several */
#define MOST_ROOM   16384
#define SPARE       1024 /* buffers of a queue that are not in its ring: bursts, caches */
#define CACHE       256
#define LEAST_KEY   40
#define MOST_KEY    128

/* ---- what the device is and offers ------------------------------------------------------------------- */

unsigned dpdk_port_queues(unsigned id)
{
	struct rte_eth_dev_info info;
	return rte_eth_dev_info_get((uint16_t)id, &info) == 0 ? info.max_rx_queues : 0;
}

unsigned dpdk_port_of(const char *device)
{
	struct rte_eth_dev_info info;
	unsigned id = dpdk_port_next(0);

	while (id < RTE_MAX_ETHPORTS &&
	       (rte_eth_dev_info_get((uint16_t)id, &info) != 0 || !info.device ||
		strcmp(rte_dev_name(info.device), device) != 0))
		id = dpdk_port_next(id + 1);
	return id;
}

/* Its name, and the words that bring it back. */
static void note_device(struct dpdk_port *p, const struct rte_eth_dev_info *info)
{
	const struct rte_devargs *args = info->device ? rte_dev_devargs(info->device) : NULL;

	(void)snprintf(p->device, sizeof p->device, "%s",
		       info->device ? rte_dev_name(info->device) : "?");
	bool more = args && args->args && *args->args;
	(void)snprintf(p->devargs, sizeof p->devargs, "%s%s%s", p->device, more ? "," : "",
		       more ? args->args : "");
}

/* The largest frame that is taken.  A driver without a bound gives any number. */
static uint32_t largest_mtu(const struct rte_eth_dev_info *info)
{
	uint32_t mtu = info->max_mtu ? info->max_mtu : RTE_ETHER_MTU;
	uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;

	if (info->max_mtu && info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu)
		overhead = info->max_rx_pktlen - info->max_mtu;
	if (info->max_rx_pktlen > overhead && info->max_rx_pktlen - overhead < mtu)
		mtu = info->max_rx_pktlen - overhead;
	return mtu < LARGEST_MTU ? mtu : LARGEST_MTU;
}

/* How much one buffer must hold: all of a frame where the card cannot spread it over several. */
static uint32_t buffer_room(const struct rte_eth_dev_info *info)
{
	bool spreads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	uint32_t room = ROOM;

	if (!spreads && info->max_rx_pktlen > room && info->max_rx_pktlen <= MOST_ROOM)
		room = info->max_rx_pktlen;
	if (info->min_rx_bufsize > room && info->min_rx_bufsize <= MOST_ROOM)
		room = info->min_rx_bufsize;
	return (room + RTE_PKTMBUF_HEADROOM + 63) & ~63u;
}

/* ---- buffers ----------------------------------------------------------------------------------------- */

/* Voices pass through them: out of swap where the limit allows, out of core dumps. */
static void lock_buffers(struct rte_mempool *pool, void *ctx, struct rte_mempool_memhdr *part,
			 unsigned no)
{
	(void)pool;
	(void)ctx;
	(void)no;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = (uintptr_t)part->addr & ~(page - 1);
	size_t len = ((uintptr_t)part->addr + part->len - from + page - 1) & ~(page - 1);
	/* A system call takes an address; huge pages are locked, and say so. */
	(void)mlock2((void *)from, len, MLOCK_ONFAULT);
	(void)madvise((void *)from, len, MADV_DONTDUMP);
}

static enum rc make_pools(struct dpdk_port *p, const struct rte_eth_dev_info *info,
			  unsigned descriptors, struct error *err)
{
	uint32_t room = buffer_room(info);
	unsigned count = descriptors + SPARE;

	for (unsigned i = 0; i < p->queues_count; i++) {
		char name[32];
		if (p->queues[i].pool)
			continue; /* of before the port was lost */
		(void)snprintf(name, sizeof name, "callspan-%u-%u", p->id, i);
		p->queues[i].pool = rte_pktmbuf_pool_create(name, count, CACHE, 0, (uint16_t)room,
							    rte_eth_dev_socket_id(p->id));
		if (!p->queues[i].pool)
			return error_set(err, RC_FAILED,
					 "port %u (%s): no memory for %u buffers of %u bytes: give "
					 "more with -m or more huge pages, or set "
					 "capture.descriptors lower",
					 p->id, p->device, count, room);
		rte_mempool_mem_iter(p->queues[i].pool, lock_buffers, NULL);
	}
	return RC_OK;
}

/* ---- set-up ------------------------------------------------------------------------------------------ */

/* Both directions of a flow to one queue: with this key the hash of (a, b) is that of (b, a). */
static uint8_t symmetric_key[MOST_KEY];

static void share_out(struct rte_eth_conf *conf, const struct rte_eth_dev_info *info)
{
	uint64_t wanted = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP;
	uint8_t length = info->hash_key_size ? info->hash_key_size : LEAST_KEY;

	wanted &= info->flow_type_rss_offloads;
	if (!wanted || length > MOST_KEY)
		return;
	for (unsigned i = 0; i < MOST_KEY; i++)
		symmetric_key[i] = i % 2 ? 0x5a : 0x6d;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){
		.rss_key = symmetric_key,
		.rss_key_len = length,
		.rss_hf = wanted,
	};
}

static int set_up_queues(struct dpdk_port *p, const struct rte_eth_dev_info *info,
			 const struct rte_eth_conf *conf, unsigned tx)
{
	uint16_t rx_ring = (uint16_t)p->descriptors, tx_ring = 64;
	unsigned socket = (unsigned)rte_eth_dev_socket_id(p->id);
	struct rte_eth_rxconf rx_conf = info->default_rxconf;
	int e = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rx_ring, &tx_ring);

	rx_conf.offloads = conf->rxmode.offloads;
	for (uint16_t i = 0; i < p->queues_count && e == 0; i++)
		e = rte_eth_rx_queue_setup(p->id, i, rx_ring, socket, &rx_conf, p->queues[i].pool);
	for (uint16_t i = 0; i < tx && e == 0; i++)
		e = rte_eth_tx_queue_setup(p->id, i, tx_ring, socket, NULL);
	return e;
}

/* Configure and start, with so many transmit queues, which nothing is ever put on. */
static int bring_up(struct dpdk_port *p, const struct rte_eth_dev_info *info, unsigned tx)
{
	struct rte_eth_conf conf = { .rxmode = { .mtu = largest_mtu(info) } };

	conf.rxmode.offloads =
		info->rx_offload_capa & (RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_TIMESTAMP);
	conf.intr_conf.rmv = (*info->dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
	if (p->queues_count > 1)
		share_out(&conf, info);
	int e = rte_eth_dev_configure(p->id, (uint16_t)p->queues_count, (uint16_t)tx, &conf);
	if (e == 0)
		e = set_up_queues(p, info, &conf, tx);
	if (e == 0)
		e = rte_eth_dev_start(p->id);
	if (e == 0 && p->queues_count > 1 && conf.rxmode.mq_mode != RTE_ETH_MQ_RX_RSS)
		log_info("port-shares-by-itself",
			 "port=%u device=%s hint=\"its driver takes no hash key of ours\"", p->id,
			 p->device);
	return e;
}

/* DPDK's interrupt thread. */
static int on_removal(uint16_t id, enum rte_eth_event_type type, void *arg, void *more)
{
	struct dpdk_port *p = arg;
	(void)id;
	(void)type;
	(void)more;
	atomic_store_explicit(&p->removed, true, memory_order_release);
	return 0;
}

static void read_ticks(struct dpdk_port *p, int64_t now)
{
	uint64_t ticks;
	if (rte_eth_read_clock(p->id, &ticks) == 0)
		ticks_compare(&p->ticks, ticks, clock_mono_ns(), clock_real_ns());
	p->next_tick = now + TICK_EVERY_NS;
}

/* Time stamps of the card where it makes them and lets its clock be read. */
static void find_stamps(struct dpdk_port *p, const struct rte_eth_dev_info *info, bool ours)
{
	uint64_t ticks;
	bool card = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_TIMESTAMP;

	p->stamp = DPDK_STAMP_NONE;
	if (ours && (!card || rte_eth_read_clock(p->id, &ticks) != 0))
		return;
	if (rte_mbuf_dyn_rx_timestamp_register(&p->stamp_offset, &p->stamp_flag) != 0)
		return;
	p->stamp = card ? DPDK_STAMP_TICKS : DPDK_STAMP_NS;
	if (card)
		read_ticks(p, clock_mono_ns());
}

static enum rc start(struct dpdk_port *p, bool ours, struct error *err)
{
	struct rte_eth_dev_info info;
	uint16_t rx_ring = (uint16_t)p->descriptors, tx_ring = 64;

	if (rte_eth_dev_info_get(p->id, &info) != 0 ||
	    rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rx_ring, &tx_ring) != 0)
		return dpdk_eal_failed(err, "port %u does not answer", p->id);
	note_device(p, &info);
	enum rc rc = make_pools(p, &info, rx_ring, err);
	if (rc != RC_OK)
		return rc;
	/* A port that only listens is not what every driver expects. */
	int e = bring_up(p, &info, 0);
	if (e != 0)
		e = bring_up(p, &info, p->queues_count);
	if (e != 0)
		return dpdk_eal_failed(err, "port %u (%s) cannot be started (%s)", p->id, p->device,
				       rte_strerror(-e));
	e = rte_eth_promiscuous_enable(p->id);
	if (e != 0 && e != -ENOTSUP)
		log_warning("port-not-promiscuous", "port=%u device=%s error=\"%s\"", p->id,
			    p->device, rte_strerror(-e));
	(void)rte_eth_dev_callback_register(p->id, RTE_ETH_EVENT_INTR_RMV, on_removal, p);
	find_stamps(p, &info, ours);
	atomic_store_explicit(&p->removed, false, memory_order_relaxed);
	p->seen = 0;
	p->state = DPDK_RUNNING;
	atomic_store(&p->open, true);
	return RC_OK;
}

enum rc dpdk_port_open(struct dpdk_port *p, unsigned id, unsigned queues, unsigned descriptors,
		       bool ours, struct error *err)
{
	p->id = (uint16_t)id;
	p->descriptors = descriptors;
	p->queues = calloc(queues, sizeof *p->queues);
	if (!p->queues)
		return error_set(err, RC_FAILED, "not enough memory for a port");
	p->queues_count = queues;
	for (unsigned i = 0; i < queues; i++) {
		p->queues[i].port = p;
		p->queues[i].no = (uint16_t)i;
		atomic_store(&p->queues[i].parked, true); /* until its thread comes */
	}
	p->link = true; /* a port that begins without a link is told of once */
	return start(p, ours, err);
}

/* Stop it; `remove`: let go of its device. */
static void shut(struct dpdk_port *p, bool remove)
{
	struct rte_eth_dev_info info;
	bool known = rte_eth_dev_info_get(p->id, &info) == 0;

	/* What drivers complain of a device that has gone is no news. */
	dpdk_eal_listen();
	(void)rte_eth_dev_callback_unregister(p->id, RTE_ETH_EVENT_INTR_RMV, on_removal, p);
	(void)rte_eth_dev_stop(p->id);
	if (remove) {
		(void)rte_eth_dev_close(p->id);
		if (known && info.device)
			(void)rte_dev_remove(info.device);
	}
	dpdk_eal_talk();
}

void dpdk_port_close(struct dpdk_port *p, bool ours)
{
	if (!p->queues)
		return;
	if (p->state != DPDK_LOST && rte_eth_dev_is_valid_port(p->id))
		shut(p, ours);
	for (unsigned i = 0; i < p->queues_count; i++)
		rte_mempool_free(p->queues[i].pool);
	free(p->queues);
}

/* ---- looking after it -------------------------------------------------------------------------------- */

/* Is the interface of the kernel that the port stands on there, and does it run?  Where nobody can tell, it is, and *runs stays. */
static bool interface_there(unsigned index, bool *runs)
{
	char name[IF_NAMESIZE];
	enum link_state state = LINK_UNKNOWN;

	if (if_indextoname(index, name))
		state = capture_link_state(name);
	else if (errno == ENXIO)
		state = LINK_MISSING;
	if (state != LINK_UNKNOWN)
		*runs = state == LINK_UP;
	return state != LINK_MISSING;
}

/* Drivers on an interface of the kernel do not hear of its end, and some call their link always up: ask the kernel. */
static bool is_there(struct dpdk_port *p, bool *link)
{
	struct rte_eth_dev_info info;
	struct rte_eth_link now = { 0 };

	if (atomic_load_explicit(&p->removed, memory_order_acquire) ||
	    rte_eth_dev_info_get(p->id, &info) != 0)
		return false;
	if (info.if_index)
		return interface_there(info.if_index, link);
	*link = rte_eth_link_get_nowait(p->id, &now) == 0 && now.link_status == RTE_ETH_LINK_UP;
	return true;
}

/* A device that comes back before its link does is out once. */
static void note_outage(struct dpdk_port *p)
{
	if (!p->out)
		atomic_fetch_add_explicit(&p->outages, 1, memory_order_relaxed);
	p->out = true;
}

static void look_at_running(struct dpdk_port *p)
{
	bool link = true;

	if (!is_there(p, &link)) {
		note_outage(p);
		log_error("port-lost", "port=%u device=%s hint=\"it is looked for each %d s\"",
			  p->id, p->device, (int)(RETRY_NS / NS_PER_S));
		p->state = DPDK_LEAVING;
		atomic_store(&p->open, false);
		return;
	}
	p->out = p->out && !link;
	if (link == p->link)
		return;
	p->link = link;
	if (link) {
		log_info("link-up", "port=%u device=%s", p->id, p->device);
		return;
	}
	note_outage(p);
	log_error("link-lost", "port=%u device=%s hint=\"see to the cable or the mirror port\"",
		  p->id, p->device);
}

/* Its threads have seen that it is shut? */
static bool all_parked(const struct dpdk_port *p)
{
	for (unsigned i = 0; i < p->queues_count; i++)
		if (!atomic_load(&p->queues[i].parked))
			return false;
	return true;
}

static enum rc bring_back(struct dpdk_port *p, struct error *err)
{
	unsigned id = rte_dev_probe(p->devargs) == 0 ? dpdk_port_of(p->device) : RTE_MAX_ETHPORTS;

	if (id == RTE_MAX_ETHPORTS)
		return dpdk_eal_failed(err, "not there");
	p->id = (uint16_t)id;
	if (dpdk_port_queues(p->id) < p->queues_count) {
		shut(p, true);
		return error_set(err, RC_FAILED, "it has fewer queues than before");
	}
	enum rc rc = start(p, true, err);
	if (rc != RC_OK)
		shut(p, true);
	return rc;
}

static void look_for_lost(struct dpdk_port *p, int64_t now)
{
	struct error why;

	if (now < p->next_look)
		return;
	dpdk_eal_listen();
	enum rc rc = bring_back(p, &why);
	dpdk_eal_talk();
	p->next_look = now + RETRY_NS;
	if (rc == RC_OK)
		log_warning("port-back", "port=%u device=%s", p->id, p->device);
	else if (!p->told)
		log_warning("port-still-lost", "device=%s error=\"%s\"", p->device, why.text);
	p->told = rc != RC_OK;
}

void dpdk_port_look(struct dpdk_port *p)
{
	int64_t now = clock_mono_ns();

	switch (p->state) {
	case DPDK_RUNNING:
		if (p->stamp == DPDK_STAMP_TICKS && now >= p->next_tick)
			read_ticks(p, now);
		if (now >= p->next_look) {
			p->next_look = now + LOOK_EVERY_NS;
			look_at_running(p);
		}
		break;
	case DPDK_LEAVING:
		if (!all_parked(p))
			break;
		shut(p, true);
		p->state = DPDK_LOST;
		p->next_look = now + RETRY_NS;
		break;
	case DPDK_LOST: look_for_lost(p, now); break;
	}
}

uint64_t dpdk_port_missed(struct dpdk_port *p)
{
	struct rte_eth_stats now;

	if (rte_eth_stats_get(p->id, &now) != 0)
		return 0;
	uint64_t sum = now.imissed + now.ierrors + now.rx_nombuf, seen = p->seen;
	p->seen = sum;
	return sum >= seen ? sum - seen : sum; /* set back */
}
