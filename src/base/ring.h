/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* ring.h: messages of any size from one thread to one other.
 *
 * Single producer, single consumer, no lock, nothing allocated after ring_new().
 * Messages are contiguous and 8-byte aligned; the reader reads them in place.
 *
 *   producer: p = ring_reserve(r, n); fill p; ring_commit(r);
 *   consumer: while ((p = ring_front(r, &n))) { use p; ring_pop(r); }
 *
 * A message is visible to the consumer, whole, once committed (release/acquire), and so
 * is everything the producer wrote or was told before: that is what lets a chunk on one
 * ring rely on an `open` sent earlier on another.
 */
#ifndef CALLSPAN_BASE_RING_H
#define CALLSPAN_BASE_RING_H

#include "base/rc.h"

struct ring;

/* `capacity` in bytes, rounded up to a power of two (4096 at least); the largest message is 8
 * bytes less than half of it, and to ask for more is a mistake of the caller (ASSERT). */
struct ring *ring_new(size_t capacity);
void ring_free(struct ring *r);

/* Room for a message of `n` bytes, or NULL when there is none now.  At most one
 * reservation is open; reserving again replaces it. */
void *ring_reserve(struct ring *r, size_t n);
void ring_commit(struct ring *r);

/* The oldest message and its size, or NULL.  Borrowed until ring_pop(). */
const void *ring_front(struct ring *r, size_t *n);
void ring_pop(struct ring *r);

/* Copy `n` bytes as one message; false when full. */
bool ring_put(struct ring *r, const void *message, size_t n);

/* Bytes waiting, for gauges; either side may ask. */
size_t ring_used(const struct ring *r);

#endif
