/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* slab.h: the arrays made at start, whose elements link to each other by number.
 *
 * Zeroed, on pages of their own that cost nothing until they are touched.
 */
#ifndef CALLSPAN_RTP_SLAB_H
#define CALLSPAN_RTP_SLAB_H

#include "base/pages.h"

#define NONE UINT32_MAX /* no element */

/* NULL when memory is short. */
static inline void *slab_new(size_t size, size_t count)
{
	size_t bytes;
	if (__builtin_mul_overflow(size, count, &bytes) || bytes == 0)
		return NULL;
	return pages_new(bytes, NULL);
}

static inline void slab_free(void *p, size_t size, size_t count)
{
	if (p)
		pages_free(p, size * count);
}

#endif
