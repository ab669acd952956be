/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes behind a WebSocket handshake: no harm, what comes out is SIP, and where segments end makes no difference.
 *
 * First byte: how many bytes of sizes follow.  Then the frames. */
#include "streams.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t handshake[] = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n"
				   "Sec-WebSocket-Protocol: sip\r\n\r\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	size_t count = data[0] < size - 1 ? data[0] : size - 1;
	size_t n = size - 1 - count;
	if (n <= 60000)
		told_compare(handshake, sizeof handshake - 1, data + 1 + count, n, data + 1, count);
	return 0;
}
