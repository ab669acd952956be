/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any fragments in any order: what comes out whole is what was cut, and each fragment ends exactly once.
 *
 * Six bytes make a fragment: whose, what of it is wrong, offset, length, time passing. */
#include "sip/sip.h"

#define PACKETS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool forged[PACKETS];

static uint8_t content(uint32_t id, uint32_t at)
{
	return (uint8_t)(id * 31 + at * 7 + at / 256);
}

static void on_whole(void *ctx, const struct piece *p)
{
	(void)ctx;
	ASSERT(p->offset == 0 && !p->more && p->len <= p->wire_len && p->wire_len <= 65535);
	ASSERT(p->id < PACKETS);
	for (uint32_t i = 0; i < p->len && !forged[p->id]; i++)
		ASSERT(p->bytes[i] == content(p->id, i));
}

static void on_message(void *ctx, const struct datagram *d)
{
	(void)ctx;
	(void)d;
	ASSERT(false);
}

static void on_not_sip(void *ctx, const struct endpoint *src, const struct endpoint *dst)
{
	(void)ctx;
	(void)src;
	(void)dst;
	ASSERT(false);
}

static void put(struct reassembly *r, const uint8_t *b, int64_t now_ns)
{
	static uint8_t bytes[65536];
	struct piece p = {
		.ts_ns = now_ns, .bytes = bytes, .kind = PIECE_FRAGMENT, .protocol = 17
	};
	p.id = b[0] % PACKETS;
	p.offset = (uint32_t)(b[2] << 8 | b[3]) & ~7u;
	p.wire_len = b[4] < 250 ? b[4] * 8u : b[5] * 251u;
	p.more = b[1] & 1;
	if (!p.more)
		p.wire_len += b[1] >> 5;
	if (b[1] & 2)
		p.offset %= 512;
	p.len = (b[1] & 12) == 12 ? p.wire_len / 2 : p.wire_len;
	bool v6 = b[0] & 0x80;
	p.src.addr[0] = v6 ? 0x20 : 0;
	for (uint32_t i = 0; i < p.len; i++)
		bytes[i] = content(p.id, p.offset + i);
	if ((b[1] & 24) == 24 && p.len) {
		bytes[p.len / 2] ^= 1;
		forged[p.id] = true;
	}
	reassembly_piece(r, &p);
}

static const enum counter ends[] = { COUNT_FRAGMENT_MERGED,        COUNT_FRAGMENT_DUPLICATE,
				     COUNT_FRAGMENT_MALFORMED,     COUNT_FRAGMENT_OVERLAP,
				     COUNT_FRAGMENT_CONTRADICTORY, COUNT_FRAGMENT_TINY,
				     COUNT_FRAGMENT_TIMEOUT,       COUNT_FRAGMENT_EVICTED };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct counters counters;
	struct reassembly_config cfg = { .fragment_bytes = 2 << 20,
					 .tcp_bytes = 4 << 20,
					 .max_message = 4096,
					 .sink = { NULL, on_message, on_whole, on_not_sip },
					 .counters = &counters };
	/* One for all inputs: to make one costs more than an input.  Each begins when what the one before left has
	 * timed out. */
	static struct reassembly *r;
	static int64_t now_ns;
	uint64_t given = 0;
	if (!r)
		r = reassembly_new(&cfg);
	ASSERT(r);
	now_ns += 1000 * NS_PER_S;
	reassembly_tick(r, now_ns);
	ASSERT(reassembly_fragments_held(r) == 0);
	memset(&counters, 0, sizeof counters);
	memset(forged, 0, sizeof forged);
	for (; size >= 6; data += 6, size -= 6, given++) {
		now_ns += (int64_t)(data[0] >> 2 & 31) * (data[0] >> 2 & 31) * 40 * NS_PER_MS;
		put(r, data, now_ns);
		if (data[0] & 4)
			reassembly_tick(r, now_ns);
	}
	reassembly_finish(r);
	uint64_t sum = reassembly_fragments_held(r);
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		sum += counter_get(&counters, ends[i]);
	ASSERT(sum == given);
	return 0;
}
