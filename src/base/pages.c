/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pages.c: see pages.h.
 *
 * MAP_NORESERVE and MLOCK_ONFAULT make a mapping cost only the pages that were used: a plain
 * mlock() would touch a gigabyte of chunk buffers at start.
 */
#include "base/pages.h"

#include <sys/mman.h>

#define HUGE_PAGE (UINT64_C(2) << 20)

void *pages_new(size_t bytes, bool *locked)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (locked)
		*locked = false;
	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, bytes, MADV_DONTDUMP);
	/* Ten thousand open chunks are visited in random order: fewer TLB misses.  Only a hint. */
	if (bytes >= 2 * HUGE_PAGE)
		(void)madvise(p, bytes, MADV_HUGEPAGE);
	bool ok = mlock2(p, bytes, MLOCK_ONFAULT) == 0;
	if (locked)
		*locked = ok;
	return p;
}

void pages_free(void *p, size_t bytes)
{
	if (p)
		ASSERT(munmap(p, bytes) == 0);
}
