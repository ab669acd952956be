/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pool.c: buffers of one size.  One thread; nothing is allocated after pool_new().
 *
 * Items below `fresh` have been out at least once; those that came back lie on a stack, so
 * the buffer given next is the one used last, still in the cache.  The stack is an array of
 * its own: the free list never touches an unused item's page.
 *
 *      0 ............ fresh ............ count
 *      in use or on   |     never touched
 *      the stack
 */
#include "base/pool.h"

#include <stdlib.h>

#include "base/pages.h"

#if defined(__SANITIZE_ADDRESS__)
#define POOL_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_POISON 1
#endif
#endif
/* Under AddressSanitizer an item that was put back may not be touched. */
#ifdef POOL_POISON
#include <sanitizer/asan_interface.h>
#define poison(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define poison(p, n)   ((void)(p), (void)(n))
#define unpoison(p, n) ((void)(p), (void)(n))
#endif

#define ITEM_ALIGN 64

struct pool {
	uint8_t *items; /* owned: count * size bytes */
	uint32_t *back; /* owned: stack of items that were put back */
	size_t size, count;
	size_t fresh;     /* items below this one have been used */
	size_t back_used; /* height of the stack */
	bool locked;
};

struct pool *pool_new(size_t size, size_t count)
{
	if (size == 0 || count == 0 || count > UINT32_MAX || size > SIZE_MAX / 2)
		return NULL;
	size = (size + ITEM_ALIGN - 1) / ITEM_ALIGN * ITEM_ALIGN;
	if (size > SIZE_MAX / count)
		return NULL;

	struct pool *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->size = size;
	p->count = count;
	p->back = pages_new(count * sizeof *p->back, NULL);
	p->items = pages_new(count * size, &p->locked);
	if (!p->back || !p->items) {
		pool_free(p);
		return NULL;
	}
	return p;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	if (p->items)
		unpoison(p->items, p->count * p->size);
	pages_free(p->items, p->count * p->size);
	pages_free(p->back, p->count * sizeof *p->back);
	free(p);
}

void *pool_get(struct pool *p)
{
	size_t i;

	if (p->back_used > 0)
		i = p->back[--p->back_used];
	else if (p->fresh < p->count)
		i = p->fresh++;
	else
		return NULL;
	void *item = p->items + i * p->size;
	unpoison(item, p->size);
	return item;
}

void pool_put(struct pool *p, void *item)
{
	if (!item)
		return;
	size_t offset = (size_t)((uint8_t *)item - p->items);
	ASSERT(offset % p->size == 0 && offset / p->size < p->fresh);
	ASSERT(p->back_used < p->fresh); /* else something was put back twice */
	p->back[p->back_used++] = (uint32_t)(offset / p->size);
	poison(item, p->size);
}

size_t pool_left(const struct pool *p)
{
	return p->count - p->fresh + p->back_used;
}

size_t pool_most_used(const struct pool *p)
{
	/* A fresh item is taken only while all others are out. */
	return p->fresh;
}

bool pool_locked(const struct pool *p)
{
	return p->locked;
}
