/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pages.h: large memory straight from the kernel, for pools, rings and tables.
 *
 * Zeroed, page-aligned, touched only when used.  What holds audio or signalling is kept out
 * of core dumps, and out of swap where the limit allows.  Called at start, never per packet.
 */
#ifndef CALLSPAN_BASE_PAGES_H
#define CALLSPAN_BASE_PAGES_H

#include "base/rc.h"

/* `bytes` of zeroed memory, or NULL.  `*locked` (may be NULL) tells whether it stays out of
 * swap.  Owned by the caller, who gives it back with the same size. */
void *pages_new(size_t bytes, bool *locked);
void pages_free(void *p, size_t bytes);

#endif
