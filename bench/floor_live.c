/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* floor_live.c: the bare loop at an interface that callspand is measured against.
 *
 *   floor_live INTERFACE [BUFFER_MIB]
 *
 * A TPACKET_V3 ring as large as callspand's (64 MiB), each frame counted and one byte of each of its cache
 * lines read: whoever listens at an interface through AF_PACKET can hardly do less.  It says "ready" when it listens,
 * goes on until SIGTERM, takes what is in the ring then, and prints what it saw, what the kernel
 * dropped and what that cost as JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <arpa/inet.h>

#include "base/rc.h"

#define BLOCK_BYTES     (1u << 20)
#define BLOCK_RETIRE_MS 10
#define CACHE_LINE      64
#define WAIT_MS         20

static volatile sig_atomic_t stop;

struct bare {
	int fd;
	unsigned blocks;
	uint8_t *ring;
	uint64_t packets, bytes;
	unsigned touched; /* printed, so that reading is not left out */
};

static void on_signal(int signo)
{
	(void)signo;
	stop = 1;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "floor_live: %s: %s\n", what, strerror(errno));
	exit(RC_FAILED);
}

static void listen_at(struct bare *b, const char *interface)
{
	int version = TPACKET_V3;
	struct tpacket_req3 ring = { .tp_block_size = BLOCK_BYTES,
				     .tp_block_nr = b->blocks,
				     .tp_frame_size = TPACKET_ALIGNMENT << 7,
				     .tp_retire_blk_tov = BLOCK_RETIRE_MS };
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct packet_mreq mode = { .mr_type = PACKET_MR_PROMISC };

	ring.tp_frame_nr = b->blocks * (BLOCK_BYTES / ring.tp_frame_size);
	at.sll_ifindex = mode.mr_ifindex = (int)if_nametoindex(interface);
	if (!at.sll_ifindex)
		die(interface);
	b->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (b->fd < 0 ||
	    setsockopt(b->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
	    setsockopt(b->fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) != 0)
		die("ring");
	b->ring = mmap(NULL, (size_t)b->blocks * BLOCK_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, b->fd, 0);
	if (b->ring == MAP_FAILED || bind(b->fd, (struct sockaddr *)&at, sizeof at) != 0 ||
	    setsockopt(b->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mode, sizeof mode) != 0)
		die(interface);
}

static void read_block(struct bare *b, const struct tpacket_hdr_v1 *head)
{
	const uint8_t *at = (const uint8_t *)head - offsetof(struct tpacket_block_desc, hdr);
	at += head->offset_to_first_pkt;
	for (uint32_t i = 0; i < head->num_pkts; i++) {
		const struct tpacket3_hdr *h = (const void *)at;
		const uint8_t *frame = at + h->tp_mac;
		for (uint32_t k = 0; k < h->tp_snaplen; k += CACHE_LINE)
			b->touched += frame[k];
		b->bytes += h->tp_snaplen;
		at += h->tp_next_offset;
	}
	b->packets += head->num_pkts;
}

/* Read blocks in order until the ring is empty after `stop`. */
static void loop(struct bare *b)
{
	struct pollfd p = { .fd = b->fd, .events = POLLIN };
	for (unsigned at = 0;;) {
		struct tpacket_block_desc *d = (void *)(b->ring + (size_t)at * BLOCK_BYTES);
		_Atomic uint32_t *status = (_Atomic uint32_t *)&d->hdr.bh1.block_status;
		if (*status & TP_STATUS_USER) {
			read_block(b, &d->hdr.bh1);
			*status = TP_STATUS_KERNEL;
			at = (at + 1) % b->blocks;
			continue;
		}
		bool last = stop;
		(void)poll(&p, 1, WAIT_MS);
		if (last && !(*status & TP_STATUS_USER))
			return;
	}
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	struct bare b = { .blocks = 64 };
	struct rusage u;
	struct tpacket_stats_v3 told = { 0 };
	socklen_t len = sizeof told;

	if (argc < 2 || argc > 3) {
		fputs("usage: floor_live INTERFACE [BUFFER_MIB]\n", stderr);
		return RC_USAGE;
	}
	if (argc == 3)
		b.blocks = (unsigned)strtoul(argv[2], NULL, 10);
	listen_at(&b, argv[1]);
	struct sigaction act = { .sa_handler = on_signal };
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	puts("ready");
	fflush(stdout);
	loop(&b);
	if (getsockopt(b.fd, SOL_PACKET, PACKET_STATISTICS, &told, &len) != 0)
		die("statistics");
	getrusage(RUSAGE_SELF, &u);
	printf("{\"frames\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"kernel-drops\": %u"
	       ", \"cpu_s\": %.6f, \"touched\": %u}\n",
	       b.packets, b.bytes, told.tp_drops, seconds(u.ru_utime) + seconds(u.ru_stime),
	       b.touched);
	return RC_OK;
}
