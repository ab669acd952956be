/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pen.h: media that came before anyone expected it.
 *
 * Audio may outrun the SDP that announces it.  Datagrams that look like RTP and that nobody expects
 * wait here, at most 2 s of packet time and 100 a flow, and are handed over, oldest first, when
 * signalling expects their destination or, failing that, their source.  Of a flow that came while signalling is
 * behind (pen_heard) up to 500 wait, and longer.
 *
 *   INVITE      RTP RTP RTP   200 OK (SDP)   RTP
 *     |          '---pen---'------'|           |
 *     from_ns                      handed over straight on
 *
 * One pen a capture thread; nothing is allocated after pen_new().  What it drops is counted:
 *
 *     TO_PEN = PEN_RELEASED + PEN_EXPIRED + PEN_FULL + PEN_OLD + pen_held()
 */
#ifndef CALLSPAN_RTP_PEN_H
#define CALLSPAN_RTP_PEN_H

#include "base/counters.h"
#include "base/net.h"

struct pen;
struct media_orphan;

#define PEN_FLOW_FRAMES 100
#define PEN_FLOW_MOST   500  /* while signalling is behind */
#define PEN_FRAME_BYTES 2000 /* larger ones are not kept */

/* `bytes` for frames; NULL when memory is short. */
struct pen *pen_new(size_t bytes, struct counters *counters);
void pen_free(struct pen *p);

/* Keep one datagram (that may be RTP), a copy of it.  When there is no room, the least recently used flow goes.
 * True once a flow and stay here, and told in `o`: nobody has expected it for so long that it may be media that no
 * signalling explains (rtp.h: ORPHAN_FRAMES, ORPHAN_AFTER_NS).  `held`: that its destination is expected is no reason
 * to hand its flow over (hold.h). */
bool pen_put(struct pen *p, const struct datagram *d, bool held, struct media_orphan *o);

/* Hand over what was sent to `at`, then what was sent from it.  What was sent to it before from_ns
 * is dropped; what was sent from it before then may still be somebody else's, and stays. `take`
 * borrows the datagram until it returns, and must not call the pen. */
void pen_release(struct pen *p, const struct endpoint *at, int64_t from_ns,
		 void (*take)(void *ctx, const struct datagram *d), void *ctx);

/* Hand over one flow; or let it wait as others do. */
void pen_release_flow(struct pen *p, const struct endpoint *src, const struct endpoint *dst,
		      void (*take)(void *ctx, const struct datagram *d), void *ctx);
void pen_unhold(struct pen *p, const struct endpoint *src, const struct endpoint *dst);

/* Signalling has got so far (media_heard). */
void pen_heard(struct pen *p, int64_t heard_ns);

/* Drop what has waited for more than 2 s, by packet time and by what signalling has heard. */
void pen_tick(struct pen *p, int64_t now_ns);

uint64_t pen_held(const struct pen *p);

#endif
