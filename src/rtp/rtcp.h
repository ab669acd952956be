/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* rtcp.h: what senders and receivers report of a call's media (RFC 3550, 6.4).
 *
 * A sender says how many packets it sent, a receiver how many it lost and with what jitter they came: so the
 * mirror's own losses are told from the network's.  A BYE is remembered, and ends nothing: audio that goes on is
 * kept.  Nothing else is read (APP, SDES, feedback, extended reports); SRTCP is only counted.
 *
 * Runs on the capture thread, on hostile bytes.
 */
#ifndef CALLSPAN_RTP_RTCP_H
#define CALLSPAN_RTP_RTCP_H

#include "base/net.h"

struct media;

/* Take and count an RTCP datagram of the call of an expectation: sent to that party, or (by_source) from it. */
void rtcp_take(struct media *m, const struct datagram *d, uint32_t expect, bool by_source);

#endif
