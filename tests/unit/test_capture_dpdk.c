/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* DPDK in process: ports made of rings, as a program with a DPDK of its own gives them. */
#include <rte_config.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring.h>
#undef NS_PER_S

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture/capture.h"

#define RINGS 2
#define MBUFS 255

static struct error err;
static struct rte_mempool *pool;
static struct rte_ring *rings[RINGS];
static int stamp_offset;
static uint64_t stamp_flag;

/* Put a frame on a ring, in buffers of at most `part` bytes; its bytes all equal `mark`. */
static struct rte_mbuf *put(unsigned ring, uint8_t mark, unsigned len, unsigned part)
{
	struct rte_mbuf *head = NULL;

	for (unsigned at = 0; at < len; at += part) {
		unsigned n = len - at < part ? len - at : part;
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		assert_non_null(m);
		memset(rte_pktmbuf_append(m, (uint16_t)n), mark, n);
		if (head)
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
		else
			head = m;
	}
	assert_int_equal(rte_ring_enqueue(rings[ring], head), 0);
	return head;
}

static struct capture *opened(unsigned threads, struct capture **all, const char *filter,
			      int snaplen)
{
	struct capture_dpdk cfg = { "--what --stands --here --does --not --matter", filter, 512,
				    snaplen };
	if (capture_open_dpdk(all, threads, &cfg, &err) != RC_OK)
		fail_msg("%s", err.text);
	return all[0];
}

static void frames_are_lent_until_the_next_burst_and_copied_nowhere(void **state)
{
	(void)state;
	struct capture *c, *all[1];
	struct frame f[CAPTURE_BURST];
	const uint8_t *where[3];

	c = opened(1, all, NULL, 65535);
	capture_enter(c);
	for (uint8_t i = 0; i < 3; i++) {
		struct rte_mbuf *m = put(0, i, 100u + i, 2000);
		where[i] = rte_pktmbuf_mtod(m, const uint8_t *);
	}
	assert_int_equal(rte_mempool_in_use_count(pool), 3);
	int64_t before = clock_real_ns();
	assert_int_equal(capture_burst(c, f, CAPTURE_BURST), 3);
	int64_t after = clock_real_ns();
	for (unsigned i = 0; i < 3; i++) {
		assert_ptr_equal(f[i].bytes, where[i]);
		assert_int_equal(f[i].len, 100 + i);
		assert_int_equal(f[i].wire_len, 100 + i);
		assert_int_equal(f[i].bytes[99], i);
		assert_int_equal(f[i].link_type, 1);
		assert_true(f[i].ts_ns >= before && f[i].ts_ns <= after + i * NS_PER_US);
		assert_true(i == 0 || f[i].ts_ns >= f[i - 1].ts_ns + NS_PER_US);
	}
	assert_int_equal(rte_mempool_in_use_count(pool), 3);
	assert_int_equal(capture_burst(c, f, CAPTURE_BURST), 0);
	assert_int_equal(capture_kernel_drops(c), 0);
	assert_int_equal(capture_outages(c), 0);
	assert_null(capture_failure(c));
	capture_wait(c, 5);
	capture_leave(c);
	capture_close(c);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void a_thread_that_leaves_gives_its_buffers_back(void **state)
{
	(void)state;
	struct capture *c, *all[1];
	struct frame f[CAPTURE_BURST];

	c = opened(1, all, NULL, 65535);
	capture_enter(c);
	for (unsigned i = 0; i < 100; i++)
		put(0, 1, 60, 2000);
	assert_int_equal(capture_burst(c, f, CAPTURE_BURST), CAPTURE_BURST);
	assert_int_equal(capture_burst(c, f, 10), 10);
	capture_leave(c);
	capture_enter(c); /* and comes again */
	assert_int_equal(capture_burst(c, f, CAPTURE_BURST), 26);
	capture_leave(c);
	capture_close(c);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void a_frame_in_several_buffers_is_put_together(void **state)
{
	(void)state;
	struct capture *c, *all[1];
	struct frame f[CAPTURE_BURST];

	c = opened(1, all, NULL, 65535);
	capture_enter(c);
	for (uint8_t i = 0; i < 20; i++)
		put(0, i, 9000, i % 2 ? 1999 : 700);
	assert_int_equal(capture_burst(c, f, CAPTURE_BURST), 20);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(f[i].len, 9000);
		assert_int_equal(f[i].wire_len, 9000);
		for (unsigned j = 0; j < 9000; j++)
			assert_int_equal(f[i].bytes[j], i);
	}
	capture_leave(c);
	capture_close(c);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void the_snap_length_cuts(void **state)
{
	(void)state;
	struct capture *c, *all[1];
	struct frame f[CAPTURE_BURST];

	c = opened(1, all, NULL, 1000);
	capture_enter(c);
	put(0, 7, 1500, 2000);
	put(0, 8, 1500, 600);
	put(0, 9, 999, 2000);
	assert_int_equal(capture_burst(c, f, CAPTURE_BURST), 3);
	assert_int_equal(f[0].len, 1000);
	assert_int_equal(f[0].wire_len, 1500);
	assert_int_equal(f[1].len, 1000);
	assert_int_equal(f[1].bytes[999], 8);
	assert_int_equal(f[2].len, 999);
	capture_leave(c);
	capture_close(c);
}

static void a_filter_leaves_frames_out_and_loses_no_buffer(void **state)
{
	(void)state;
	struct capture *c, *all[1];
	struct frame f[CAPTURE_BURST];

	c = opened(1, all, "ether[0] != 3 and greater 60", 65535);
	capture_enter(c);
	for (uint8_t i = 0; i < 6; i++)
		put(0, i, i == 5 ? 40 : 80, 2000);
	assert_int_equal(capture_burst(c, f, CAPTURE_BURST), 4);
	assert_int_equal(f[2].bytes[0], 2);
	assert_int_equal(f[3].bytes[0], 4);
	put(0, 3, 80, 2000);
	assert_int_equal(capture_burst(c, f, CAPTURE_BURST), 0);
	capture_leave(c);
	capture_close(c);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void a_wrong_filter_is_wrong_usage(void **state)
{
	(void)state;
	struct capture_dpdk cfg = { "", "udp prot", 512, 65535 };
	struct capture *all[1];

	assert_int_equal(capture_open_dpdk(all, 1, &cfg, &err), RC_USAGE);
	assert_memory_equal(err.text, "DPDK: filter: ", 14);
}

/* What makes the frames says when they were sent. */
static void a_time_that_a_frame_bears_is_taken(void **state)
{
	(void)state;
	struct capture *c, *all[1];
	struct frame f[CAPTURE_BURST];

	c = opened(1, all, NULL, 65535);
	capture_enter(c);
	for (unsigned i = 0; i < 4; i++) {
		struct rte_mbuf *m = put(0, 1, 60, 2000);
		if (i == 2)
			continue;
		*RTE_MBUF_DYNFIELD(m, (size_t)stamp_offset, rte_mbuf_timestamp_t *) = 1000 + i;
		m->ol_flags |= stamp_flag;
	}
	int64_t before = clock_real_ns();
	assert_int_equal(capture_burst(c, f, CAPTURE_BURST), 4);
	assert_int_equal(f[0].ts_ns, 1000);
	assert_int_equal(f[1].ts_ns, 1001);
	assert_true(f[2].ts_ns >= before);
	assert_int_equal(f[3].ts_ns, 1003);
	capture_leave(c);
	capture_close(c);
}

static void two_ports_go_to_one_thread_or_to_two(void **state)
{
	(void)state;
	struct capture *all[2];
	struct frame f[CAPTURE_BURST];
	unsigned seen = 0;

	opened(1, all, NULL, 65535);
	capture_enter(all[0]);
	put(0, 1, 60, 2000);
	put(1, 2, 60, 2000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(capture_burst(all[0], f, CAPTURE_BURST), 1);
		seen |= f[0].bytes[0];
		assert_int_equal(f[0].interface_no, f[0].bytes[0] - 1);
	}
	assert_int_equal(seen, 3);
	capture_leave(all[0]);
	capture_close(all[0]);

	opened(2, all, NULL, 65535);
	capture_enter(all[0]);
	put(0, 1, 60, 2000);
	put(1, 2, 60, 2000);
	for (uint8_t i = 0; i < 2; i++) {
		assert_int_equal(capture_burst(all[i], f, CAPTURE_BURST), 1);
		assert_int_equal(f[0].bytes[0], i + 1);
		assert_int_equal(capture_burst(all[i], f, CAPTURE_BURST), 0);
	}
	capture_leave(all[0]);
	capture_close(all[0]);
	capture_close(all[1]);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void more_threads_than_queues_are_refused_with_the_number_that_would_do(void **state)
{
	(void)state;
	struct capture_dpdk cfg = { "", NULL, 512, 65535 };
	struct capture *all[5];

	assert_int_equal(capture_open_dpdk(all, 5, &cfg, &err), RC_FAILED);
	assert_string_equal(err.text, "port 0 has 1 receive queue, 3 were asked for: "
				      "capture.threads 2");
}

static void arguments_are_checked_without_opening_anything(void **state)
{
	(void)state;
	assert_int_equal(capture_check_dpdk("-l 0-1 --vdev 'net_pcap0,rx_pcap=/a b'", &err), RC_OK);
	assert_int_equal(capture_check_dpdk("--vdev \"x", &err), RC_USAGE);
	assert_int_equal(capture_check_dpdk("'", &err), RC_USAGE);
	assert_int_equal(capture_check_dpdk("--proc-type=secondary", &err), RC_USAGE);
	assert_int_equal(capture_check_dpdk("-n 4 --help", &err), RC_USAGE);
	char many[400];
	for (size_t i = 0; i < sizeof many; i++)
		many[i] = i % 2 ? ' ' : 'a';
	many[sizeof many - 1] = '\0';
	assert_int_equal(capture_check_dpdk(many, &err), RC_USAGE);
}

static int begin(void **state)
{
	(void)state;
	static char a[][20] = {
		"test",           "--no-huge",      "-m", "64", "--no-pci", "--no-shconf",
		"--no-telemetry", "--log-level=*:3"
	};
	char *argv[] = { a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], NULL };
	const char *const names[] = { "ring-a", "ring-b" };

	assert_true(rte_eal_init(8, argv) >= 0);
	pool = rte_pktmbuf_pool_create("frames", MBUFS, 0, 0, 2000 + RTE_PKTMBUF_HEADROOM, 0);
	assert_non_null(pool);
	assert_int_equal(rte_mbuf_dyn_rx_timestamp_register(&stamp_offset, &stamp_flag), 0);
	for (unsigned i = 0; i < RINGS; i++) {
		rings[i] = rte_ring_create(names[i], 256, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		assert_non_null(rings[i]);
		assert_true(rte_eth_from_rings(names[i], &rings[i], 1, &rings[i], 1, 0) >= 0);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_lent_until_the_next_burst_and_copied_nowhere),
		cmocka_unit_test(a_thread_that_leaves_gives_its_buffers_back),
		cmocka_unit_test(a_frame_in_several_buffers_is_put_together),
		cmocka_unit_test(the_snap_length_cuts),
		cmocka_unit_test(a_filter_leaves_frames_out_and_loses_no_buffer),
		cmocka_unit_test(a_wrong_filter_is_wrong_usage),
		cmocka_unit_test(a_time_that_a_frame_bears_is_taken),
		cmocka_unit_test(two_ports_go_to_one_thread_or_to_two),
		cmocka_unit_test(
			more_threads_than_queues_are_refused_with_the_number_that_would_do),
		cmocka_unit_test(arguments_are_checked_without_opening_anything),
	};
	return cmocka_run_group_tests_name("dpdk", tests, begin, NULL);
}
