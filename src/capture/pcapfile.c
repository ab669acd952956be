/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pcapfile.c: see pcapfile.h. */
#include "capture/pcapfile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "capture/staging.h"

#define MAGIC_US      0xa1b2c3d4
#define MAGIC_NS      0xa1b23c4d
#define FILE_HEADER   24
#define RECORD_HEADER 16
#define PIECE                                                                                      \
	(1u                                                                                        \
	 << 17) /* what is read at once: it stays in the second-level cache until it is looked at */
#define BUFFER (STAGING_FRAME + RECORD_HEADER + PIECE)

struct pcapfile {
	int fd;
	uint16_t link_type;
	int64_t unit_ns;
	uint16_t
		minor; /* of the version: before 2.4 the two lengths may stand the other way round */
	uint8_t *buffers;  /* owned: two */
	uint8_t *at, *end; /* what is read and not yet taken */
	unsigned current;  /* the buffer it lies in */
	bool refilled;     /* in this burst: the other buffer is in use too */
	uint64_t done;
	char why[128];
};

struct pcapfile *pcapfile_new(int fd, uint16_t *link_type)
{
	uint8_t head[FILE_HEADER];
	off_t start = lseek(fd, 0, SEEK_CUR);

	if (start < 0 || pread(fd, head, sizeof head, start) != (ssize_t)sizeof head)
		return NULL;
	struct bytes b = bytes_over(head, sizeof head);
	uint32_t magic = bytes_u32_le(&b);
	uint16_t major = bytes_u16_le(&b), minor = bytes_u16_le(&b);
	if ((magic != MAGIC_US && magic != MAGIC_NS) || major != 2)
		return NULL;
	bytes_skip(&b, 12); /* time zone, accuracy, snap length */
	struct pcapfile *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->buffers = pages_new((size_t)2 * BUFFER, NULL);
	if (!p->buffers || lseek(fd, FILE_HEADER, SEEK_CUR) < 0) {
		pcapfile_free(p);
		return NULL;
	}
	p->fd = fd;
	p->unit_ns = magic == MAGIC_NS ? 1 : NS_PER_US;
	p->minor = minor;
	/* The upper bits tell of a frame check sequence: never asked for, and decoding goes by lengths inside the frame. */
	p->link_type = *link_type = (uint16_t)bytes_u32_le(&b);
	p->at = p->end = p->buffers;
	p->done = FILE_HEADER;
	return p;
}

void pcapfile_free(struct pcapfile *p)
{
	if (!p)
		return;
	pages_free(p->buffers, (size_t)2 * BUFFER);
	free(p);
}

void pcapfile_burst(struct pcapfile *p)
{
	p->refilled = false;
}

const char *pcapfile_failure(const struct pcapfile *p)
{
	return p->why;
}

uint64_t pcapfile_done(const struct pcapfile *p)
{
	return p->done;
}

static PRINTF_LIKE(2, 3) enum capture_file_read broken(struct pcapfile *p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(p->why, sizeof p->why, fmt, args);
	va_end(args);
	return CAPTURE_FILE_BROKEN;
}

/* Go on in the other buffer, with what is left of this one in front. */
static void change_buffers(struct pcapfile *p)
{
	size_t left = (size_t)(p->end - p->at);
	uint8_t *to;

	p->refilled = true;
	p->current ^= 1;
	to = p->buffers + (size_t)p->current * BUFFER;
	memcpy(to, p->at, left);
	p->at = to;
	p->end = to + left;
}

/* Read on until `need` bytes are there.  A buffer just changed to has room for any record, so that each burst gets one. */
static enum capture_file_read refill(struct pcapfile *p, size_t need)
{
	if (!p->refilled)
		change_buffers(p);
	const uint8_t *full = p->buffers + (size_t)(p->current + 1) * BUFFER;
	if ((size_t)(full - p->at) < need)
		return CAPTURE_FILE_LATER;
	while ((size_t)(p->end - p->at) < need) {
		size_t room = (size_t)(full - p->end);
		ssize_t n = read(p->fd, p->end, room < PIECE ? room : PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return broken(p, "error reading dump file: %s", strerror(errno));
		if (n == 0)
			return CAPTURE_FILE_END;
		p->end += n;
	}
	return CAPTURE_FILE_FRAME;
}

/* Let `need` bytes be there; the file ends before them: `what` was cut off. */
static inline enum capture_file_read ensure(struct pcapfile *p, size_t need, const char *what)
{
	if (LIKELY((size_t)(p->end - p->at) >= need))
		return CAPTURE_FILE_FRAME;
	enum capture_file_read r = refill(p, need);
	size_t left = (size_t)(p->end - p->at);
	if (r == CAPTURE_FILE_END && left > 0)
		return broken(p, "truncated dump file; tried to read %zu %s bytes, only got %zu",
			      need, what, left);
	return r;
}

enum capture_file_read pcapfile_next(struct pcapfile *p, struct frame *frame)
{
	enum capture_file_read r = ensure(p, RECORD_HEADER, "header");
	if (UNLIKELY(r != CAPTURE_FILE_FRAME))
		return r;
	struct bytes b = bytes_over(p->at, RECORD_HEADER);
	int64_t s = bytes_u32_le(&b), fraction = bytes_u32_le(&b);
	uint32_t len = bytes_u32_le(&b), wire_len = bytes_u32_le(&b);
	if (UNLIKELY(p->minor < 3 || (p->minor == 3 && len > wire_len))) {
		uint32_t other = len;
		len = wire_len;
		wire_len = other;
	}
	if (UNLIKELY(len > STAGING_FRAME))
		return broken(p, "invalid packet capture length %u, bigger than maximum of %u", len,
			      STAGING_FRAME);
	r = ensure(p, RECORD_HEADER + (size_t)len, "captured");
	if (UNLIKELY(r != CAPTURE_FILE_FRAME))
		return r;
	int64_t ns = fraction * p->unit_ns;
	*frame = (struct frame){
		.ts_ns = s * NS_PER_S + (LIKELY(ns < NS_PER_S) ? ns : NS_PER_S - 1),
		.bytes = p->at + RECORD_HEADER,
		.len = len,
		.wire_len = wire_len > len ? wire_len : len,
		.link_type = p->link_type,
	};
	p->at += RECORD_HEADER + len;
	p->done += RECORD_HEADER + len;
	return CAPTURE_FILE_FRAME;
}
