/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pieces.c: bytes into blocks and out again. */
#include "sip/pieces.h"

static struct block *take_block(struct pool *pool)
{
	struct block *b = pool_get(pool);
	ASSERT(b); /* the owner made room before */
	b->next = NULL;
	b->len = 0;
	b->last = false;
	return b;
}

struct block **blocks_insert(struct pool *pool, struct block **link, const struct run *r)
{
	struct run rest = *r;
	struct block *b;
	do {
		b = take_block(pool);
		b->ts_ns = rest.ts_ns;
		b->at = rest.at;
		b->len = (uint16_t)(rest.len < BLOCK_ROOM ? rest.len : BLOCK_ROOM);
		if (b->len)
			memcpy(b->bytes, rest.bytes, b->len);
		rest.bytes += b->len;
		rest.len -= b->len;
		/* What was not captured stands behind the last captured byte. */
		b->wire = rest.len ? b->len : rest.wire;
		rest.at += b->wire;
		rest.wire -= b->wire;
		b->next = *link;
		*link = b;
		link = &b->next;
	} while (rest.wire);
	return link;
}

void rope_append(struct pool *pool, struct rope *r, const uint8_t *bytes, size_t n)
{
	while (n) {
		if (!r->last || r->last->len == BLOCK_ROOM) {
			struct block *b = take_block(pool);
			if (r->last)
				r->last->next = b;
			else
				r->first = b;
			r->last = b;
		}
		size_t room = (size_t)BLOCK_ROOM - r->last->len;
		size_t part = n < room ? n : room;
		memcpy(r->last->bytes + r->last->len, bytes, part);
		r->last->len = (uint16_t)(r->last->len + part);
		r->len += (uint32_t)part;
		bytes += part;
		n -= part;
	}
}

void rope_clear(struct pool *pool, struct rope *r)
{
	blocks_free(pool, r->first);
	*r = (struct rope){ 0 };
}

void rope_copy(const struct rope *r, uint8_t *out)
{
	for (const struct block *b = r->first; b; b = b->next) {
		memcpy(out, b->bytes, b->len);
		out += b->len;
	}
}
