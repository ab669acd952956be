/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* bytes.h: reading bytes that came from somewhere else, without casting.
 *
 * A cursor over borrowed bytes.  Reading past the end fails, once and for all:
 * every later read gives zero, so a decoder reads a whole header and looks at
 * `failed` once.  All integers are network order unless the name ends in _le.
 */
#ifndef CALLSPAN_BASE_BYTES_H
#define CALLSPAN_BASE_BYTES_H

#include <string.h>

#include "base/rc.h"

struct bytes {
	const uint8_t *at, *end; /* borrowed */
	bool failed;             /* sticky */
};

static inline struct bytes bytes_over(const void *data, size_t len)
{
	const uint8_t *p = data;
	return (struct bytes){ p, p + len, false };
}

static inline size_t bytes_left(const struct bytes *b)
{
	return (size_t)(b->end - b->at);
}

/* Take n bytes; NULL (and failed) when there are fewer. */
static inline const uint8_t *bytes_take(struct bytes *b, size_t n)
{
	if (UNLIKELY(b->failed || bytes_left(b) < n)) {
		b->failed = true;
		b->at = b->end;
		return NULL;
	}
	const uint8_t *p = b->at;
	b->at += n;
	return p;
}

static inline void bytes_skip(struct bytes *b, size_t n)
{
	(void)bytes_take(b, n);
}

static inline uint8_t bytes_u8(struct bytes *b)
{
	const uint8_t *p = bytes_take(b, 1);
	return p ? p[0] : 0;
}

static inline uint16_t bytes_u16(struct bytes *b)
{
	const uint8_t *p = bytes_take(b, 2);
	if (!p)
		return 0;
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t bytes_u32(struct bytes *b)
{
	const uint8_t *p = bytes_take(b, 4);
	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint16_t bytes_u16_le(struct bytes *b)
{
	const uint8_t *p = bytes_take(b, 2);
	if (!p)
		return 0;
	return (uint16_t)(p[1] << 8 | p[0]);
}

static inline uint32_t bytes_u32_le(struct bytes *b)
{
	const uint8_t *p = bytes_take(b, 4);
	return p ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0] : 0;
}

static inline uint64_t bytes_u64_le(struct bytes *b)
{
	uint64_t low = bytes_u32_le(b);
	return low | (uint64_t)bytes_u32_le(b) << 32;
}

/* Writing, the same way round: `p` must have room. */
static inline void put_u16_le(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void put_u32_le(uint8_t *p, uint32_t v)
{
	put_u16_le(p, (uint16_t)v);
	put_u16_le(p + 2, (uint16_t)(v >> 16));
}

static inline void put_u64_le(uint8_t *p, uint64_t v)
{
	put_u32_le(p, (uint32_t)v);
	put_u32_le(p + 4, (uint32_t)(v >> 32));
}

static inline void put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_u32(uint8_t *p, uint32_t v)
{
	put_u16(p, (uint16_t)(v >> 16));
	put_u16(p + 2, (uint16_t)v);
}

#endif
