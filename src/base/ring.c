/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* ring.c: single-producer, single-consumer ring of whole messages.
 *
 * Positions count bytes since the ring was made and never wrap in practice (64 bits); a
 * position's place in the buffer is its low bits.  A message is a header of one 8-byte word
 * (its size) and its bytes, rounded up to 8, never split: where the rest of the buffer is
 * too short, a marker sends the reader back to the start.
 *
 *     |free|  size bytes... | size bytes.. |  free      |SKIP  (rest)|
 *           ^head                           ^tail        at the end of the buffer
 *
 * Each side keeps its last view of the other's position and looks again only when that
 * says full or empty, so the two cache lines seldom move between the cores.
 */
#include "base/ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"

#define HEADER   sizeof(uint64_t)
#define SKIP     UINT64_MAX
#define SMALLEST 4096

struct ring {
	/* the consumer's line */
	_Alignas(64) _Atomic uint64_t head; /* where the next message is read */
	uint64_t seen_tail;                 /* the consumer's last view of tail */
	uint64_t front_end;                 /* end of the message that is looked at; 0: none */
	/* the producer's line */
	_Alignas(64) _Atomic uint64_t tail; /* where the next message is written */
	uint64_t seen_head;                 /* the producer's last view of head */
	uint64_t reserved_end;              /* end of the open reservation; 0: none */
	/* what never changes */
	_Alignas(64) uint8_t *data; /* owned */
	uint64_t capacity;
};

static uint64_t message_bytes(size_t n)
{
	return HEADER + ((uint64_t)n + 7) / 8 * 8;
}

static uint8_t *place(const struct ring *r, uint64_t position)
{
	return r->data + (position & (r->capacity - 1));
}

struct ring *ring_new(size_t capacity)
{
	uint64_t rounded = SMALLEST;

	if (capacity > SIZE_MAX / 4)
		return NULL;
	while (rounded < capacity)
		rounded *= 2;
	struct ring *r = aligned_alloc(_Alignof(struct ring), sizeof *r);
	if (!r)
		return NULL;
	memset(r, 0, sizeof *r);
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
	r->capacity = rounded;
	r->data = pages_new(rounded, NULL);
	if (!r->data) {
		free(r);
		return NULL;
	}
	return r;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	pages_free(r->data, r->capacity);
	free(r);
}

/* True when the ring has room up to position `end`. */
static bool has_room(struct ring *r, uint64_t end)
{
	if (LIKELY(end - r->seen_head <= r->capacity))
		return true;
	/* Acquire: the consumer is done with the bytes before head. */
	r->seen_head = atomic_load_explicit(&r->head, memory_order_acquire);
	return end - r->seen_head <= r->capacity;
}

void *ring_reserve(struct ring *r, size_t n)
{
	uint64_t need = message_bytes(n), size = n, skip = SKIP;
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint64_t rest = r->capacity - (tail & (r->capacity - 1));

	/* Larger ones might never fit, and the producer would wait for ever. */
	ASSERT(n <= r->capacity / 2 - HEADER);
	r->reserved_end = 0;
	if (rest < need) {
		if (!has_room(r, tail + rest + need))
			return NULL;
		memcpy(place(r, tail), &skip, HEADER);
		tail += rest;
	} else if (!has_room(r, tail + need)) {
		return NULL;
	}
	memcpy(place(r, tail), &size, HEADER);
	r->reserved_end = tail + need;
	return place(r, tail) + HEADER;
}

void ring_commit(struct ring *r)
{
	ASSERT(r->reserved_end != 0);
	/* Release: the message, and all that the producer did before it, comes first. */
	atomic_store_explicit(&r->tail, r->reserved_end, memory_order_release);
	r->reserved_end = 0;
}

const void *ring_front(struct ring *r, size_t *n)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed), size;

	if (head == r->seen_tail) {
		r->seen_tail = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head == r->seen_tail)
			return NULL;
	}
	memcpy(&size, place(r, head), HEADER);
	if (size == SKIP) {
		/* The marker was committed together with the message at the start. */
		head += r->capacity - (head & (r->capacity - 1));
		memcpy(&size, place(r, head), HEADER);
	}
	r->front_end = head + message_bytes((size_t)size);
	*n = (size_t)size;
	return place(r, head) + HEADER;
}

void ring_pop(struct ring *r)
{
	ASSERT(r->front_end != 0);
	atomic_store_explicit(&r->head, r->front_end, memory_order_release);
	r->front_end = 0;
}

bool ring_put(struct ring *r, const void *message, size_t n)
{
	void *room = ring_reserve(r, n);

	if (!room)
		return false;
	if (n > 0)
		memcpy(room, message, n);
	ring_commit(r);
	return true;
}

size_t ring_used(const struct ring *r)
{
	/* Head first: it never passes tail, so the difference is never negative. */
	uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);

	return (size_t)(tail - head);
}
