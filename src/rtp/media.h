/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* media.h: the insides of struct media, for the files of this folder.
 *
 *   flow_table ──► stream_set ──► chunks        a packet that is known
 *   flow_table ──► ended_set                    a packet of a call that has ended
 *   expect_table ──► flow, stream               the first packet
 *   pen                                         a packet too early
 */
#ifndef CALLSPAN_RTP_MEDIA_H
#define CALLSPAN_RTP_MEDIA_H

#include "base/pool.h"
#include "rtp/ended.h"
#include "rtp/expect.h"
#include "rtp/flow.h"
#include "rtp/pen.h"
#include "rtp/stream.h"

struct media {
	struct media_config cfg;
	struct counters *counters; /* borrowed */
	struct pool *chunks;       /* owned */
	struct flow_table flows;
	struct stream_set streams;
	struct expect_table expects;
	struct ended_set ended;
	struct pen *pen; /* owned */
};

/* a - b for packet times, which hostile files choose: no overflow, far apart stays far apart. */
static inline int64_t media_since(int64_t a, int64_t b)
{
	int64_t d;
	if (__builtin_sub_overflow(a, b, &d))
		return a < b ? INT64_MIN : INT64_MAX;
	return d;
}

/* Tell signalling that a call's media is seen, not too often. */
void media_alive(struct media *m, uint32_t call, int64_t ts_ns);

#endif
