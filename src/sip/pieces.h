/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pieces.h: what reassembly keeps bytes in: blocks of one size, and lists to forget the oldest by.
 *
 * All blocks of a table come from one pool made at start, so that no flood takes more memory than the
 * options allow.  A block is used in two ways: with its place (`at`) in a sorted list of what
 * came out of order, or one behind the other in a rope, where a message grows.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_PIECES_H
#define CALLSPAN_SIP_PIECES_H

#include <stddef.h>
#include <string.h>

#include "base/net.h"
#include "base/pool.h"

#define BLOCK_SIZE 512
#define BLOCK_ROOM (BLOCK_SIZE - 32)

struct block {
	struct block *next; /* owned by the list's owner */
	int64_t ts_ns;      /* when it was on the wire */
	uint32_t at;        /* offset, or sequence number, of its first byte */
	uint32_t wire;      /* bytes it stands for (> len: cut by the snap length) */
	uint16_t len;       /* bytes kept */
	bool last;          /* the last block of a segment: who counts blocks counts these */
	uint8_t bytes[BLOCK_ROOM];
};
_Static_assert(sizeof(struct block) <= BLOCK_SIZE, "a block fits the pool");

/* Blocks that `n` bytes may need, wherever their ends fall. */
static inline size_t blocks_for(size_t n)
{
	return n / BLOCK_ROOM + 2;
}

static inline uint32_t block_end(const struct block *b)
{
	return b->at + b->wire;
}

/* Give a list back; gives how many segments ended in it. */
static inline uint32_t blocks_free(struct pool *pool, struct block *b)
{
	uint32_t segments = 0;
	while (b) {
		struct block *next = b->next;
		segments += b->last;
		pool_put(pool, b);
		b = next;
	}
	return segments;
}

/* A run of bytes: where it begins on the wire, what of it was captured. */
struct run {
	uint32_t at;
	const uint8_t *bytes; /* borrowed */
	uint32_t len, wire;
	int64_t ts_ns;
};

/* The part of a run from `at`, `wire` bytes of it. */
static inline struct run run_part(const struct run *r, uint32_t at, uint32_t wire)
{
	uint32_t skip = at - r->at;
	struct run part = { at, r->bytes + (skip < r->len ? skip : r->len), 0, wire, r->ts_ns };
	part.len = skip < r->len ? r->len - skip : 0;
	if (part.len > wire)
		part.len = wire;
	return part;
}

/* Copy a run into blocks at `link`; gives the link behind them.  The pool must have
 * blocks_for(run.len) blocks. */
struct block **blocks_insert(struct pool *pool, struct block **link, const struct run *r);

/* ---- ropes ---------------------------------------------------------------------------- */

struct rope {
	struct block *first, *last; /* owned */
	uint32_t len;
};

/* The pool must have blocks_for(n) blocks. */
void rope_append(struct pool *pool, struct rope *r, const uint8_t *bytes, size_t n);
void rope_clear(struct pool *pool, struct rope *r);
/* The whole rope's bytes, one after the other; `out` has room for r->len. */
void rope_copy(const struct rope *r, uint8_t *out);

/* ---- lists, the least recently used last -------------------------------------------------- */

struct link {
	struct link *next, *prev; /* NULL: in no list */
};

#define link_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void link_head(struct link *head)
{
	head->next = head->prev = head;
}

static inline void link_out(struct link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->next = l->prev = NULL;
}

/* Put (or move) to the front. */
static inline void link_front(struct link *head, struct link *l)
{
	link_out(l);
	l->next = head->next;
	l->prev = head;
	head->next->prev = l;
	head->next = l;
}

/* The last of a list, or NULL. */
static inline struct link *link_last(const struct link *head)
{
	return head->prev == head ? NULL : head->prev;
}

#endif
