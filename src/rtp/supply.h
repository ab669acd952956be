/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* supply.h: the chunk buffers of a capture thread, and who is given one when they run short.
 *
 *   left   all ············ enough ··· reserve ··· 0
 *                              │          '── new calls are refused below
 *                              '── and taken again from here on
 *
 * A call that has once been given a buffer is running: it may take the last one.  A new call finds
 * the reserve closed; it is asked about again with each of its frames, and recorded from when
 * buffers are there again.  One thread; nothing is allocated after supply_init().
 */
#ifndef CALLSPAN_RTP_SUPPLY_H
#define CALLSPAN_RTP_SUPPLY_H

#include "base/pool.h"
#include "rtp/rtp.h"

struct supply {
	struct pool *pool;      /* owned */
	size_t reserve, enough; /* buffers; 0: whoever comes first */
	bool tight;             /* new calls are refused now */
};

/* `buffers` of them.  False: memory is short. */
bool supply_init(struct supply *s, size_t buffers, bool keep_reserve);
void supply_release(struct supply *s);

struct media;
/* A buffer for a stream of `call` (an index of expects).  NULL: there is none for it; the frame is counted as dropped. */
struct chunk *supply_take(struct media *m, uint32_t call);

#endif
