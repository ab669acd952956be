/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes as a chunk body: they end in frames that lie inside, or in damage. */
#include "rtp/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chunk_reader r;
	struct rtp_frame f;
	uint8_t sum = 0;

	if (!chunk_reader_init(&r, data, size))
		return 0;
	uint32_t left = r.frames_left;
	enum rc rc;
	while ((rc = chunk_reader_next(&r, &f)) == RC_OK) {
		ASSERT(left-- > 0);
		ASSERT(f.extra >= data && f.payload == f.extra + f.extra_len);
		ASSERT(f.payload + f.payload_len + f.padding_len <= data + size);
		ASSERT(f.wire_len >= f.extra_len + f.payload_len + f.padding_len);
		for (const uint8_t *p = f.extra; p < f.payload + f.payload_len + f.padding_len; p++)
			sum ^= *p; /* every byte may be read */
	}
	ASSERT(rc == RC_END || rc == RC_DAMAGED);
	ASSERT(rc != RC_END || left == 0);
	return sum == 0xff ? 0 : 0;
}
