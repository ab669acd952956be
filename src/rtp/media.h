/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* media.h: the insides of struct media, for the files of this folder.
 *
 *   flow_table ──► stream_set ──► chunks        a packet that is known
 *   flow_table ──► ended_set                    a packet of a call that has ended
 *   expect_table ──► flow, stream               the first packet
 *   pen                                         a packet too early
 *   held_set ──► pen                            a packet of a call that may not be known yet
 */
#ifndef CALLSPAN_RTP_MEDIA_H
#define CALLSPAN_RTP_MEDIA_H

#include "rtp/ended.h"
#include "rtp/expect.h"
#include "rtp/flow.h"
#include "rtp/hold.h"
#include "rtp/pen.h"
#include "rtp/stream.h"
#include "rtp/supply.h"

struct media {
	struct media_config cfg;
	struct counters *counters; /* borrowed */
	struct supply supply;
	struct flow_table flows;
	struct stream_set streams;
	struct expect_table expects;
	struct ended_set ended;
	struct held_set held;
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

/* The streams of a call. */
struct media_walk {
	uint32_t expect, flow, stream; /* the next */
	uint32_t left;
};
#define MEDIA_WALK_AT_MOST 256 /* a packet looks at no more */

static inline struct media_walk media_walk_all(const struct media *m, uint32_t expect)
{
	return (struct media_walk){ m->expects.calls[m->expects.at[expect].call].expects, NONE,
				    NONE, UINT32_MAX };
}

static inline struct media_walk media_walk(const struct media *m, uint32_t expect)
{
	struct media_walk w = media_walk_all(m, expect);
	w.left = MEDIA_WALK_AT_MOST;
	return w;
}

/* NONE: that were all.  Lists must stay as they are meanwhile. */
uint32_t media_walk_next(const struct media *m, struct media_walk *w);

/* What signalling is told of a call, once each. */
enum remark { REMARK_FOREIGN_MEDIA, REMARK_ZRTP, REMARK_DTLS, REMARKS };
void media_remark(struct media *m, uint32_t call, enum remark what);

/* The stream of a live flow with an SSRC, moved to the front; NONE. */
uint32_t media_flow_stream(struct media *m, uint32_t flow, uint32_t ssrc);
/* Put a stream before the others of its flow; take it from among them. */
void media_link_stream(struct media *m, uint32_t stream);
void media_unlink_stream(struct media *m, uint32_t stream);
/* Where the numbering of a stream that stores nothing stands now. */
void media_note_place(struct media *m, uint32_t stream, const struct rtp_header *h, int64_t ts_ns);

/* When the whole call of a live flow ended; INT64_MAX: it has not. */
static inline int64_t media_call_until(const struct media *m, uint32_t flow)
{
	const struct expect *x = &m->expects.at[m->flows.at[flow].expect];
	return m->expects.calls[x->call].until_ns;
}

/* End all streams of a live flow.  `goes_on`: what comes on it from now on is after the end. */
void media_end_flow(struct media *m, uint32_t flow, int64_t until_ns, bool goes_on);
/* A datagram from the pen, on its way like any other. */
void media_take_released(void *ctx, const struct datagram *d);

/* Tell signalling that a call's media is seen, not too often. */
void media_alive(struct media *m, uint32_t call, int64_t ts_ns);

#endif
