/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* dpdk.h: what the three files that know DPDK share.
 *
 * Private to this folder.  They are built where libdpdk is installed; elsewhere dpdk_none.c stands in.
 *
 *     dpdk_eal.c    DPDK as a whole: its arguments, its words, its beginning and end
 *     dpdk_port.c   one port: set up, looked after, lost and found again
 *     dpdk.c        the source of frames: queues shared out to capture threads, bursts
 *
 *     port 0 ─┬─ queue 0 ──► capture thread 0        a queue is read by one thread only;
 *             └─ queue 1 ──► capture thread 1        a thread may read several, where there
 *     port 1 ─── queue 0 ──► capture thread 0        are more ports than threads
 */
#ifndef CALLSPAN_CAPTURE_DPDK_H
#define CALLSPAN_CAPTURE_DPDK_H

#include <rte_config.h>
#include <rte_ethdev.h>
#undef NS_PER_S /* base/net.h's is the same number */

#include "capture/kind.h"
#include "capture/ticks.h"

/* ---- DPDK as a whole (dpdk_eal.c); main thread ------------------------------------------------------ */

/* Begin with these arguments, blanks between them, quotes around blanks.  `*ours` is false where the program that we are
 * linked into has begun DPDK itself: then its ports are taken as they are. */
enum rc dpdk_eal_start(const char *arguments, bool *ours, struct error *err) MUST_USE;
void dpdk_eal_stop(void);

/* From here on what DPDK complains of is kept for dpdk_eal_failed(), until dpdk_eal_talk(), and it prints nothing; else
 * it is logged. */
void dpdk_eal_listen(void);
void dpdk_eal_talk(void);

/* "fmt: what DPDK complained of; what to change", RC_FAILED. */
enum rc dpdk_eal_failed(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Split arguments into `argv` (room for DPDK_ARGUMENTS), which points into `text`.  RC_USAGE for those that cannot be read, or
 * are not for a recorder. */
#define DPDK_ARGUMENTS 64
#define DPDK_TEXT      2048
enum rc dpdk_eal_read(const char *arguments, char text[DPDK_TEXT], char **argv, int *n,
		      struct error *err) MUST_USE;

/* ---- a port (dpdk_port.c); main thread, but where it says otherwise --------------------------------- */

#define DPDK_DEVICE  64
#define DPDK_DEVARGS 1024

/* Where a frame's time comes from. */
enum dpdk_stamp {
	DPDK_STAMP_NONE,  /* the clock of this machine, when the burst is taken */
	DPDK_STAMP_TICKS, /* the card's own clock, compared with ours each second */
	DPDK_STAMP_NS     /* whoever fills the port wrote Unix nanoseconds */
};

enum dpdk_state { DPDK_RUNNING, DPDK_LEAVING, DPDK_LOST };

struct dpdk_queue {
	struct dpdk_port *port; /* borrowed */
	uint16_t no;
	_Atomic bool parked;      /* its thread has seen that the port is shut, and reads no more */
	struct rte_mempool *pool; /* owned */
};

struct dpdk_port {
	uint16_t id;
	char device[DPDK_DEVICE];
	char devargs[DPDK_DEVARGS]; /* what brings the device back: "net_af_packet0,iface=eth1" */
	struct dpdk_queue *queues;  /* owned */
	unsigned queues_count;
	unsigned descriptors; /* asked for, per queue */
	enum dpdk_state state;
	_Atomic bool open;    /* its queues may be read */
	_Atomic bool removed; /* DPDK's interrupt thread has heard that the device is gone */
	bool link;
	bool out; /* nothing can come: it or its link was lost, and has not been seen up since */
	_Atomic uint64_t outages; /* how often that was */
	uint64_t drops, seen;  /* the thread of queue 0: since it began; the card's last figure */
	enum dpdk_stamp stamp; /* fixed while it is open */
	uint64_t stamp_flag;   /* an mbuf with this flag has a time stamp, */
	int stamp_offset;      /* here */
	struct ticks ticks;    /* the card's clock */
	int64_t next_look, next_tick; /* monotonic */
	bool told;                    /* that a try to bring it back has failed */
};

/* Take port `id` with so many queues: configured, promiscuous, started.  `ours` as dpdk_eal_start() gave it.  `p` is zeroed,
 * and dpdk_port_close() may be called after a failure too. */
enum rc dpdk_port_open(struct dpdk_port *p, unsigned id, unsigned queues, unsigned descriptors,
		       bool ours, struct error *err) MUST_USE;
void dpdk_port_close(struct dpdk_port *p, bool ours);

/* Queues that the port's device has. */
unsigned dpdk_port_queues(unsigned id);

/* The port that a device has; RTE_MAX_ETHPORTS: none. */
unsigned dpdk_port_of(const char *device);

/* The next port that there is, from `id` on; RTE_MAX_ETHPORTS: none. */
static inline unsigned dpdk_port_next(unsigned id)
{
	return (unsigned)rte_eth_find_next_owned_by((uint16_t)id, RTE_ETH_DEV_NO_OWNER);
}

/* See to it, each time around: link, clock, a device that has gone or come back. */
void dpdk_port_look(struct dpdk_port *p);

/* Capture thread of queue 0: frames dropped since the last call, by card or driver. */
uint64_t dpdk_port_missed(struct dpdk_port *p);

#endif
