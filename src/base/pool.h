/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pool.h: buffers of one size, made at start and never after.
 *
 * One thread owns a pool.  Its memory holds audio: it is kept out of core dumps
 * (MADV_DONTDUMP) and, where the limit allows, out of swap (mlock; a refusal is not an
 * error, it is reported by pool_locked()).  Pages are touched when first used, so a
 * large pool costs only what was once needed at the same time.
 */
#ifndef CALLSPAN_BASE_POOL_H
#define CALLSPAN_BASE_POOL_H

#include "base/rc.h"

struct pool;

/* `size` bytes each (rounded up to 64), `count` of them.  NULL when memory is short. */
struct pool *pool_new(size_t size, size_t count);
void pool_free(struct pool *p);

void *pool_get(struct pool *p);            /* owned by the caller; NULL when none is left */
void pool_put(struct pool *p, void *item); /* moved back; NULL does nothing */
size_t pool_left(const struct pool *p);
size_t pool_most_used(const struct pool *p); /* high-water mark */
bool pool_locked(const struct pool *p);

#endif
