/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes as a frame of any link type, and as a packet put together from fragments: what comes
 * out lies inside, and each frame is counted in exactly one place.  The first byte chooses the link
 * type or the protocol, the second how much was cut off. */
#include <stdlib.h>
#include <string.h>

#include "capture/capture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t links[] = { 1,   113, 276, 12,  14,  101, 228, 229, 0,    108, 9,
				  50,  105, 51,  6,   10,  11,  104, 107, 119,  123, 127,
				  138, 163, 166, 192, 204, 219, 239, 258, 65535 };
static const uint8_t protocols[] = { 4, 6, 17, 41, 47, 51, 97, 115, 137, 143, 0, 43, 44, 60 };
#define LINKS     (sizeof links / sizeof links[0])
#define PROTOCOLS (sizeof protocols / sizeof protocols[0])

static struct counters counters;
static struct decoder decoder;

static void check_counted_once(enum decode_verdict v)
{
	static const enum counter verdicts[] = {
		COUNT_DATAGRAMS,  COUNT_DECODE_OTHER,     COUNT_DECODE_FRAGMENT,
		COUNT_DECODE_TCP, COUNT_DECODE_MALFORMED, COUNT_DECODE_LINK_UNKNOWN
	};
	uint64_t nested = counter_get(&counters, COUNT_DECODE_NESTED);

	ASSERT(v <= DECODE_LINK_UNKNOWN);
	for (unsigned i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
		ASSERT(counter_get(&counters, verdicts[i]) +
			       (verdicts[i] == COUNT_DECODE_MALFORMED ? nested : 0) ==
		       (v == i));
	ASSERT(counter_get(&counters, COUNT_DECODE_TUNNEL) <= (v == DECODE_UDP));
}

static void check_datagram(const struct datagram *d, const uint8_t *begin, const uint8_t *end)
{
	ASSERT(d->len <= d->wire_len);
	ASSERT(d->payload >= begin && d->payload + d->len <= end);
	ASSERT(memcmp(d->src.zero, "\0\0\0\0\0\0", 6) == 0);
	ASSERT(memcmp(d->dst.zero, "\0\0\0\0\0\0", 6) == 0);
}

static void check_piece(const struct piece *p, const uint8_t *begin, const uint8_t *end)
{
	ASSERT(p->ts_ns == 1);
	ASSERT(p->len <= p->wire_len);
	ASSERT(p->bytes >= begin && p->bytes + p->len <= end);
	ASSERT(p->depth < 64);
	ASSERT(memcmp(p->src.zero, "\0\0\0\0\0\0", 6) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datagram d;
	struct piece piece;

	if (!decoder.ports_count) {
		static struct options options;
		struct error err;
		options_default(&options);
		ASSERT(decoder_init(&decoder, &options, &err) == RC_OK);
	}
	if (size < 2)
		return 0;
	const uint8_t *begin = data + 2, *end = data + size;
	memset(&d, 0xee, sizeof d);
	memset(&piece, 0xee, sizeof piece);
	memset(&counters, 0, sizeof counters);
	enum decode_verdict v;
	unsigned choice = data[0] % (LINKS + 2 * PROTOCOLS);
	if (choice < LINKS) {
		struct frame f = { .ts_ns = 1,
				   .bytes = begin,
				   .len = (uint32_t)size - 2,
				   .wire_len = (uint32_t)size - 2 + data[1],
				   .link_type = links[choice] };
		v = decode_frame(&decoder, &f, &d, &piece, &counters);
	} else {
		struct piece whole = { .ts_ns = 1,
				       .bytes = begin,
				       .len = (uint32_t)size - 2,
				       .wire_len = (uint32_t)size - 2 + data[1],
				       .depth = data[1] & 31 };
		choice -= LINKS;
		whole.protocol = protocols[choice / 2];
		if (choice % 2)
			endpoint_set_v4(&whole.src, (const uint8_t *)"\xc0\0\2\1", 0);
		whole.dst = whole.src;
		v = decode_payload(&decoder, &whole, &d, &piece, &counters);
	}
	check_counted_once(v);
	if (v == DECODE_UDP)
		check_datagram(&d, begin, end);
	else if (v == DECODE_TCP || v == DECODE_FRAGMENT)
		check_piece(&piece, begin, end);
	return 0;
}
