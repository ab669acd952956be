/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* streams.h: what the fuzzers of TCP and WebSocket share: a reassembly that checks what it gives, and the law. */
#ifndef CALLSPAN_FUZZ_STREAMS_H
#define CALLSPAN_FUZZ_STREAMS_H

#include "sip/sip.h"

#define MESSAGE_MOST 4096

struct told {
	struct reassembly *r;
	int64_t now_ns;
	struct counters counters;
	unsigned messages, not_sip;
	uint64_t digest; /* of all messages, in order */
	uint64_t given;  /* segments */
};

static inline void told_message(void *ctx, const struct datagram *d)
{
	struct told *t = ctx;
	ASSERT(d->len <= d->wire_len && d->len <= MESSAGE_MOST);
	ASSERT(d->len > 0 && sip_recognise(d->payload, d->len) != SIP_NOT);
	for (uint32_t i = 0; i < d->len; i++)
		t->digest = (t->digest ^ d->payload[i]) * UINT64_C(0x100000001b3);
	t->digest = (t->digest ^ d->wire_len) * UINT64_C(0x100000001b3);
	t->messages++;
}

static inline void told_whole(void *ctx, const struct piece *p)
{
	(void)ctx;
	(void)p;
	ASSERT(false);
}

static inline void told_not_sip(void *ctx, const struct endpoint *src, const struct endpoint *dst)
{
	struct told *t = ctx;
	(void)src;
	(void)dst;
	t->not_sip++;
}

/* One reassembly for all inputs: to make one costs more than an input.  Each begins after so long that all the
 * one before left is forgotten. */
static inline void told_begin(struct told *t)
{
	struct reassembly *r = t->r;
	int64_t now_ns = t->now_ns + 10000 * NS_PER_S;
	if (now_ns > INT64_MAX / 2) { /* a new one, at the beginning of time */
		reassembly_free(r);
		r = NULL;
		now_ns = 0;
	}
	if (r)
		reassembly_tick(r, now_ns);
	memset(t, 0, sizeof *t);
	t->now_ns = now_ns;
	t->r = r;
	if (r)
		return;
	struct reassembly_config cfg = { .fragment_bytes = 2 << 20,
					 .tcp_bytes = 4 << 20,
					 .max_message = MESSAGE_MOST,
					 .tls_ports = { 5061 },
					 .sink = { t, told_message, told_whole, told_not_sip },
					 .counters = &t->counters };
	t->r = reassembly_new(&cfg);
	ASSERT(t->r);
}

static inline void told_segment(struct told *t, const struct piece *p)
{
	t->given++;
	reassembly_piece(t->r, p);
}

/* Bytes of a connection at `at`, from port 4000 to 5060. */
static inline void told_bytes(struct told *t, uint32_t at, const uint8_t *p, size_t n,
			      uint8_t flags)
{
	struct piece s = { .ts_ns = t->now_ns,
			   .bytes = p,
			   .len = (uint32_t)n,
			   .wire_len = (uint32_t)n,
			   .kind = PIECE_SEGMENT,
			   .sequence = at,
			   .flags = flags };
	s.src.port = 4000;
	s.dst.port = 5060;
	told_segment(t, &s);
}

static inline void told_end(struct told *t)
{
	static const enum counter ends[] = { COUNT_TCP_NO_DATA, COUNT_TCP_NOT_SIP,
					     COUNT_TCP_TAKEN,   COUNT_TCP_DUPLICATE,
					     COUNT_TCP_EVICTED, COUNT_TCP_OUT_OF_WINDOW };
	reassembly_finish(t->r);
	ASSERT(reassembly_segments_held(t->r) == 0);
	uint64_t sum = 0;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		sum += counter_get(&t->counters, ends[i]);
	ASSERT(sum == t->given);
	uint64_t messages = counter_get(&t->counters, COUNT_TCP_MESSAGES) +
			    counter_get(&t->counters, COUNT_WEBSOCKET_MESSAGES);
	ASSERT(messages == t->messages);
}

/* Was everything understood, so that where segments end must make no difference? */
static inline bool told_clean(const struct told *t)
{
	return t->not_sip == 0 && counter_get(&t->counters, COUNT_TCP_RESYNC) == 0;
}

/* The same stream in one segment, and in segments of `sizes`: the same messages. */
static inline void told_compare(const uint8_t *head, size_t head_len, const uint8_t *p, size_t n,
				const uint8_t *sizes, size_t sizes_count)
{
	static struct told one, many;
	uint32_t at = 1;
	told_begin(&one);
	told_begin(&many);
	told_bytes(&one, 0, NULL, 0, TCP_SYN);
	told_bytes(&many, 0, NULL, 0, TCP_SYN);
	if (head_len) {
		told_bytes(&one, 1, head, head_len, 0);
		told_bytes(&many, 1, head, head_len, 0);
		at += (uint32_t)head_len;
	}
	if (n)
		told_bytes(&one, at, p, n, 0);
	for (size_t done = 0, i = 0; done < n; i++) {
		size_t part = sizes_count ? sizes[i % sizes_count] + 1u : 1;
		part = part < n - done ? part : n - done;
		told_bytes(&many, at + (uint32_t)done, p + done, part, 0);
		done += part;
	}
	told_end(&one);
	told_end(&many);
	if (told_clean(&one) && told_clean(&many))
		ASSERT(one.messages == many.messages && one.digest == many.digest);
}

#endif
