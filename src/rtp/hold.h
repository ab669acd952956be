/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* hold.h: flows to an endpoint that somebody expects, from a source that nobody has named yet.
 *
 * Live, media may outrun the signalling of its call by some milliseconds.  Where several calls receive at one port, the
 * first packets of the next call's flow would be taken for a stranger's in a call before.  So where a flow's source
 * is not named by the call that expects its destination, and that call hears its named source, or names one and is not
 * the only one that expects the destination, the flow waits in the pen for HOLD_NS:
 *
 *   10.0.0.1:4000 ─► B:5000   call 1, named and talking
 *   10.0.0.7:4000 ─► B:5000   held ─┬─► its source is expected: that call's
 *                                   └─► nobody named it in time: call 1's, as NAT and strangers are
 *
 * HOLDS flows at once; more than that are not held.  Runs on the capture thread, allocates nothing.
 */
#ifndef CALLSPAN_RTP_HOLD_H
#define CALLSPAN_RTP_HOLD_H

#include "base/net.h"
#include "rtp/rtp.h"

#define HOLD_NS (200 * NS_PER_MS)
#define HOLDS   64

struct held_flow {
	struct endpoint src, dst;
	int64_t since_ns;
	uint32_t ssrc; /* of its newest packet */
	uint16_t sequence;
	bool begun; /* that packet was taken, and made it live */
};

struct held_set {
	struct held_flow at[HOLDS];
	uint32_t count;
	bool letting_go; /* what comes from the pen is not held again */
};

struct media;

/* A packet of a flow that is not live, whose destination `expect` is for: is it to wait in the pen? */
bool hold_wants(struct media *m, const struct datagram *d, const struct rtp_header *h,
		uint32_t expect);
/* Is the datagram of a flow that is held? */
bool hold_has(const struct media *m, const struct datagram *d);
/* Those that have waited long enough go on. */
void hold_tick(struct media *m, int64_t now_ns);

#endif
