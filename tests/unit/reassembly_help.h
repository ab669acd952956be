/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reassembly_help.h: a reassembly whose sink remembers, and pieces to feed it. */
#ifndef CALLSPAN_TEST_REASSEMBLY_HELP_H
#define CALLSPAN_TEST_REASSEMBLY_HELP_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sip/sip.h"

#define KEPT 64

struct kept {
	char text[2048]; /* as far as it fits */
	uint32_t len, wire_len;
	int64_t ts_ns;
	struct endpoint src, dst;
};

struct bench {
	struct reassembly *r;
	struct counters *counters;
	struct kept messages[KEPT], packets[KEPT];
	unsigned messages_count, packets_count, not_sip;
	int64_t now_ns;
	struct endpoint a, b;
};

static inline void keep(struct kept *k, unsigned *n, const uint8_t *p, uint32_t len, uint32_t wire)
{
	assert_true(len <= wire);
	k = &k[*n % KEPT];
	memset(k, 0, sizeof *k);
	memcpy(k->text, p, len < sizeof k->text - 1 ? len : sizeof k->text - 1);
	k->len = len;
	k->wire_len = wire;
	++*n;
}

static inline void on_message(void *ctx, const struct datagram *d)
{
	struct bench *b = ctx;
	struct kept *k = &b->messages[b->messages_count % KEPT];
	keep(b->messages, &b->messages_count, d->payload, d->len, d->wire_len);
	k->src = d->src;
	k->dst = d->dst;
	k->ts_ns = d->ts_ns;
}

static inline void on_whole(void *ctx, const struct piece *p)
{
	struct bench *b = ctx;
	assert_int_equal(p->offset, 0);
	assert_false(p->more);
	b->packets[b->packets_count % KEPT].ts_ns = p->ts_ns;
	keep(b->packets, &b->packets_count, p->bytes, p->len, p->wire_len);
}

static inline void on_not_sip(void *ctx, const struct endpoint *src, const struct endpoint *dst)
{
	struct bench *b = ctx;
	assert_false(endpoint_equal(src, dst));
	b->not_sip++;
}

static inline int bench_new_sized(void **state, size_t fragments_mib, size_t tcp_mib)
{
	struct bench *b = calloc(1, sizeof *b);
	b->counters = aligned_alloc(64, (sizeof *b->counters + 63) / 64 * 64);
	memset(b->counters, 0, sizeof *b->counters);
	struct reassembly_config cfg = { .fragment_bytes = fragments_mib << 20,
					 .tcp_bytes = tcp_mib << 20,
					 .max_message = 65535,
					 .tls_ports = { 5061, 5071 },
					 .sink = { b, on_message, on_whole, on_not_sip },
					 .counters = b->counters };
	b->r = reassembly_new(&cfg);
	assert_non_null(b->r);
	b->now_ns = 1000 * NS_PER_S;
	assert_true(endpoint_parse_addr(&b->a, "192.0.2.1", 9, 40000));
	assert_true(endpoint_parse_addr(&b->b, "192.0.2.2", 9, 5060));
	*state = b;
	return 0;
}

static inline int bench_new(void **state)
{
	return bench_new_sized(state, 2, 4);
}

static inline uint64_t counted(const struct bench *b, enum counter c)
{
	return counter_get(b->counters, c);
}

/* Everything has ended exactly once. */
static inline void check_fragments(const struct bench *b, uint64_t given)
{
	static const enum counter ends[] = { COUNT_FRAGMENT_MERGED,        COUNT_FRAGMENT_DUPLICATE,
					     COUNT_FRAGMENT_MALFORMED,     COUNT_FRAGMENT_OVERLAP,
					     COUNT_FRAGMENT_CONTRADICTORY, COUNT_FRAGMENT_TINY,
					     COUNT_FRAGMENT_TIMEOUT,       COUNT_FRAGMENT_EVICTED };
	uint64_t sum = reassembly_fragments_held(b->r);
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		sum += counted(b, ends[i]);
	assert_int_equal(sum, given);
}

static inline void check_segments(const struct bench *b, uint64_t given)
{
	static const enum counter ends[] = { COUNT_TCP_NO_DATA,       COUNT_TCP_NOT_SIP,
					     COUNT_TCP_TAKEN,         COUNT_TCP_DUPLICATE,
					     COUNT_TCP_OUT_OF_WINDOW, COUNT_TCP_EVICTED };
	uint64_t sum = reassembly_segments_held(b->r);
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		sum += counted(b, ends[i]);
	assert_int_equal(sum, given);
}

static inline int bench_free(void **state)
{
	struct bench *b = *state;
	reassembly_free(b->r);
	free(b->counters);
	free(b);
	return 0;
}

#endif
