/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* floor_dpdk.c: the bare loop behind a port of DPDK that callspand is measured against.
 *
 *   floor_dpdk "EAL ARGUMENTS"
 *
 * The port is set up by callspand's own code, the queue read by rte_eth_rx_burst() and nothing else (tally.h).
 */
#include <stdlib.h>

#include <rte_mbuf.h>

#include "base/clock.h"
#include "capture/dpdk.h"
#include "tally.h"

#define BURST       64
#define DESCRIPTORS 4096 /* callspand's own number */
#define LAST_MS     100  /* without a frame after the end was asked for */

static struct dpdk_port port;

static _Noreturn void die(const struct error *err)
{
	fprintf(stderr, "floor_dpdk: %s\n", err->text);
	exit(RC_FAILED);
}

static bool take_burst(struct tally *t)
{
	struct rte_mbuf *m[BURST];
	unsigned n = rte_eth_rx_burst(port.id, 0, m, BURST);

	for (unsigned i = 0; i < n; i++)
		tally_frame(t, rte_pktmbuf_mtod(m[i], const uint8_t *), m[i]->data_len);
	if (n)
		rte_pktmbuf_free_bulk(m, n);
	return n > 0;
}

int main(int argc, char **argv)
{
	struct tally t = { 0 };
	struct error err;
	bool ours;

	if (argc != 2) {
		fputs("usage: floor_dpdk \"EAL ARGUMENTS\"\n", stderr);
		return RC_USAGE;
	}
	if (dpdk_eal_start(argv[1], &ours, &err) != RC_OK ||
	    dpdk_port_open(&port, dpdk_port_next(0), 1, DESCRIPTORS, ours, &err) != RC_OK)
		die(&err);
	dpdk_eal_talk();
	(void)dpdk_port_missed(&port);
	tally_ready();
	int64_t heard = 0;
	while (!tally_stop || clock_mono_ns() - heard < LAST_MS * NS_PER_MS)
		if (take_burst(&t) || !tally_stop)
			heard = clock_mono_ns();
	tally_print(&t, dpdk_port_missed(&port));
	dpdk_port_close(&port, ours);
	dpdk_eal_stop();
	return RC_OK;
}
