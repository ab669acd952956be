/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes as a plain pcap file: the frames of a burst lie in memory that is theirs to its end, time never runs before 1970,
 * and what ends it is the end or has a name. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/pcapfile.h"
#include "frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum capture_file_read burst(struct pcapfile *p)
{
	struct frame frames[CAPTURE_BURST];
	enum capture_file_read r = CAPTURE_FILE_FRAME;
	int n = 0;

	pcapfile_burst(p);
	while (n < CAPTURE_BURST && (r = pcapfile_next(p, &frames[n])) == CAPTURE_FILE_FRAME)
		n++;
	for (int i = 0; i < n; i++)
		check_frame(&frames[i]);
	ASSERT(n > 0 || r != CAPTURE_FILE_LATER);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint16_t link_type;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	ASSERT(fd >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	struct pcapfile *p = pcapfile_new(fd, &link_type);
	if (p) {
		enum capture_file_read r;
		do
			r = burst(p);
		while (r == CAPTURE_FILE_FRAME || r == CAPTURE_FILE_LATER);
		ASSERT((r == CAPTURE_FILE_BROKEN) == (pcapfile_failure(p)[0] != '\0'));
		pcapfile_free(p);
	}
	close(fd);
	return 0;
}
