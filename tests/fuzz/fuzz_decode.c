/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes as a frame of any link type: a datagram lies inside its frame, and each frame is
 * counted in exactly one place.  The first byte chooses the link type, the second how much was
 * cut off. */
#include <stdlib.h>
#include <string.h>

#include "capture/capture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t links[] = { 1, 113, 276, 12, 14, 101, 228, 229, 0, 108, 9, 50, 105 };
static const enum counter verdicts[] = { COUNT_DATAGRAMS,        COUNT_DECODE_OTHER,
					 COUNT_DECODE_FRAGMENT,  COUNT_DECODE_TCP,
					 COUNT_DECODE_MALFORMED, COUNT_DECODE_LINK_UNKNOWN };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct counters c;
	struct datagram d;

	if (size < 2)
		return 0;
	struct frame f = {
		.ts_ns = 1,
		.bytes = data + 2,
		.len = (uint32_t)size - 2,
		.wire_len = (uint32_t)size - 2 + data[1],
		.link_type = links[data[0] % (sizeof links / sizeof links[0])],
	};
	memset(&d, 0xee, sizeof d);
	memset(&c, 0, sizeof c);
	enum decode_verdict v = decode_frame(&f, &d, &c);

	ASSERT(v <= DECODE_LINK_UNKNOWN);
	for (unsigned i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
		ASSERT(counter_get(&c, verdicts[i]) == (v == i));
	if (v != DECODE_UDP)
		return 0;
	ASSERT(d.len <= d.wire_len);
	ASSERT(d.payload >= f.bytes && d.payload + d.len <= f.bytes + f.len);
	ASSERT(memcmp(d.src.zero, "\0\0\0\0\0\0", 6) == 0);
	ASSERT(memcmp(d.dst.zero, "\0\0\0\0\0\0", 6) == 0);
	return 0;
}
