/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* list.h: short lists: an array and a count, as long as they need be.
 *
 * For what most have once and few many times: a call has one hop, one leg, two streams.  Not for the packet path.
 */
#ifndef CALLSPAN_BASE_LIST_H
#define CALLSPAN_BASE_LIST_H

#include <stdlib.h>
#include <string.h>

#include "base/rc.h"

/* The array (moved; NULL: none yet) of `count` elements of `size` bytes, with room for one more.  It is full when the count is
 * a power of two, so it need not know its length. */
static inline void *list_room(void *list, unsigned count, size_t size)
{
	if ((count & (count - 1)) != 0)
		return list;
	void *longer = realloc(list, (count > 0 ? 2 * count : 1) * size);
	ASSERT(longer); /* better stop than know half of a call */
	return longer;
}

/* The same for a list whose first element has a place in its owner, `first`: what most have once needs no allocation of its
 * own.  The list is there until list_free(). */
static inline void *list_room_after(void *first, void *list, unsigned count, size_t size)
{
	if (!list || (list == first && count == 0))
		return first;
	if (list != first)
		return list_room(list, count, size);
	void *longer = list_room(NULL, 1, size); /* for two */
	memcpy(longer, first, size);
	return longer;
}

static inline void list_free(void *first, void *list)
{
	if (list != first)
		free(list);
}

#endif
