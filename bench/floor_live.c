/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* floor_live.c: the bare loop at an interface that callspand is measured against.
 *
 *   floor_live INTERFACE [BUFFER_MIB]
 *
 * A TPACKET_V3 ring like callspand's (64 MiB in blocks of 256 KiB), of which nothing is kept (tally.h).
 * What is in the ring at the end is taken too.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <arpa/inet.h>

#include "base/rc.h"
#include "tally.h"

#define BLOCK_BYTES     (256u << 10)
#define BLOCK_RETIRE_MS 40
#define BLOCKS_OF_A_MIB ((1u << 20) / BLOCK_BYTES)
#define WAIT_MS         20

struct bare {
	int fd;
	unsigned blocks;
	uint8_t *ring;
	struct tally tally;
};

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
		tally_frame(&b->tally, at + h->tp_mac, h->tp_snaplen);
		at += h->tp_next_offset;
	}
}

/* Read blocks in order until the ring is empty after the end was asked for. */
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
		bool last = tally_stop;
		(void)poll(&p, 1, WAIT_MS);
		if (last && !(*status & TP_STATUS_USER))
			return;
	}
}

int main(int argc, char **argv)
{
	struct bare b = { .blocks = 64 * BLOCKS_OF_A_MIB };
	struct tpacket_stats_v3 told = { 0 };
	socklen_t len = sizeof told;

	if (argc < 2 || argc > 3) {
		fputs("usage: floor_live INTERFACE [BUFFER_MIB]\n", stderr);
		return RC_USAGE;
	}
	if (argc == 3)
		b.blocks = (unsigned)strtoul(argv[2], NULL, 10) * BLOCKS_OF_A_MIB;
	listen_at(&b, argv[1]);
	tally_ready();
	loop(&b);
	if (getsockopt(b.fd, SOL_PACKET, PACKET_STATISTICS, &told, &len) != 0)
		die("statistics");
	tally_print(&b.tally, told.tp_drops);
	return RC_OK;
}
