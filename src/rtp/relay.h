/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* relay.h: the same packets on both sides of a relay.
 *
 * One call may cross the mirror twice: to a relay, and from it, with another SDP on each side.  Packets of one SSRC
 * on one track with the same sequence numbers and timestamps on two flows are one stream.  Its leader is stored; the
 * others are its copies, and counted.
 *
 *   A:4000 ─► relay:30002      leader: the source that the call's SDP named first
 *             relay:30000 ─► B:5000      copy
 *
 * Decided when a stream begins with a number that another has; where the other flow comes first, or stops and
 * comes back, both are watched and decided when they overlap.  Where payloads are the same too, a copy's packets
 * stand in for those that its leader lacks: whichever comes first is stored, so nothing is missing and nothing
 * there twice when either flow loses packets or stops.  Where they are not (one side is encrypted), the leader
 * is the side in clear, and the copy goes on by itself when the leader has been silent for a second.
 *
 * Only streams whose call has two of one SSRC on a track come here.  Runs on the capture thread.
 */
#ifndef CALLSPAN_RTP_RELAY_H
#define CALLSPAN_RTP_RELAY_H

#include "base/net.h"
#include "rtp/rtp.h"

struct media;

/* A stream has begun on a flow; its first packet is not taken yet.  Sets its role. */
void relay_begin(struct media *m, uint32_t stream, const struct rtp_header *h);

/* A packet of a stream that is watched, or a copy. */
void relay_take(struct media *m, uint32_t stream, const struct datagram *d,
		const struct rtp_header *h);

/* Does a stream of the expectation's call that is stored have this number, under this SSRC? */
bool relay_has(struct media *m, uint32_t expect, uint32_t ssrc, uint16_t number);

/* A stream is about to end: what were its copies go on by themselves. */
void relay_end(struct media *m, uint32_t stream);

#endif
