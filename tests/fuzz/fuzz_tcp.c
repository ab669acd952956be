/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes in any segments: each segment ends exactly once, what comes out is SIP, and where segments end makes no
 * difference.
 *
 * First byte: how many bytes of sizes follow.  Then the bytes of a stream, taken twice: cut by the sizes in order,
 * and each size's bits saying what becomes of its segment. */
#include "streams.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void disturb(const uint8_t *sizes, size_t count, const uint8_t *p, size_t n)
{
	static struct told t;
	uint32_t at = 0xfffffff0;
	size_t done = 0;

	told_begin(&t);
	for (size_t i = 0; i < 2 * n && done < n; i++) {
		uint8_t how = count ? sizes[i % count] : 0x11;
		size_t part = (how & 15u) * (how & 15u) + 1u;
		part = part < n - done ? part : n - done;
		struct piece s = { .ts_ns = t.now_ns,
				   .bytes = p + done,
				   .len = (uint32_t)part,
				   .wire_len = (uint32_t)part,
				   .kind = PIECE_SEGMENT,
				   .sequence = at + (uint32_t)done };
		s.src.port = 4000;
		s.dst.port = 5060;
		switch (how >> 4) {
		case 0: s.flags = TCP_SYN; break;
		case 1: s.flags = TCP_FIN; break;
		case 2: s.sequence += 100; break;
		case 3: s.sequence -= 50; break;
		case 4: s.len /= 2; break;
		case 5: done += part; break; /* a hole */
		case 6: t.now_ns += 400 * NS_PER_MS; break;
		case 7: reassembly_tick(t.r, t.now_ns); break;
		case 8: s.sequence += 0x40000000; break;
		case 9: s.src.port = 4001; break;
		case 10: s.dst.port = 5061; break;
		default: done += part; break;
		}
		told_segment(&t, &s);
		if (how >> 4 == 7 || how >> 4 == 3)
			done += part;
	}
	told_end(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	size_t count = data[0] < size - 1 ? data[0] : size - 1;
	const uint8_t *stream = data + 1 + count;
	size_t n = size - 1 - count;
	if (n > 60000)
		return 0;
	told_compare(NULL, 0, stream, n, data + 1, count);
	disturb(data + 1, count, stream, n);
	return 0;
}
