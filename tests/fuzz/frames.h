/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* frames.h: what the fuzzers of capture files hold each frame against. */
#ifndef CALLSPAN_FUZZ_FRAMES_H
#define CALLSPAN_FUZZ_FRAMES_H

#include "base/net.h"

static inline void check_frame(const struct frame *f)
{
	uint64_t sum = 0;

	ASSERT(f->ts_ns >= 0);
	ASSERT(f->len <= f->wire_len);
	for (uint32_t i = 0; i < f->len; i++) /* so that a sanitizer looks at each */
		sum += f->bytes[i];
	ASSERT(sum <= UINT64_C(255) * f->len);
}

#endif
