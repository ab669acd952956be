/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes as a pcapng file: frames lie in memory that is theirs, time never runs before 1970, and
 * what ends it is the end or has a name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/pcapng.h"
#include "frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	static uint8_t copy[1 << 16];
	size = size < sizeof copy ? size : sizeof copy;
	memcpy(copy, data, size);
	FILE *stream = fmemopen(copy, size, "rb");
	ASSERT(stream);
	struct pcapng *p = pcapng_new(stream);
	uint16_t link_type;
	struct frame f;
	ASSERT(p);
	(void)pcapng_is(stream);
	enum capture_file_read r = pcapng_begin(p, &link_type);
	while (r == CAPTURE_FILE_FRAME) {
		r = pcapng_next(p, &f);
		if (r == CAPTURE_FILE_FRAME)
			check_frame(&f);
	}
	ASSERT((r == CAPTURE_FILE_BROKEN) == (pcapng_failure(p)[0] != '\0'));
	pcapng_free(p);
	fclose(stream);
	return 0;
}
