/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* packet.h: what a datagram at a media endpoint is.
 *
 * RFC 7983 (first octet) and RFC 5761 (RTCP on the RTP port) tell the protocols that share a port
 * apart.  Looks at the bytes only, keeps nothing.
 */
#ifndef CALLSPAN_RTP_PACKET_H
#define CALLSPAN_RTP_PACKET_H

#include "base/net.h"
#include "rtp/rtp.h"

#define RTP_HEADER 12   /* octets before CSRC list, extension and payload */
#define RTP_PLAIN  0x80 /* first octet: version 2, no padding, no extension, no CSRC */

enum packet_kind {
	PACKET_RTP,
	PACKET_RTCP,
	PACKET_STUN,      /* RFC 8489: 0-3 */
	PACKET_ZRTP,      /* RFC 6189, 5: its magic cookie where RTP has the timestamp */
	PACKET_DTLS,      /* RFC 9147: 20-63 */
	PACKET_OTHER,     /* keep-alives, anything too short */
	PACKET_MALFORMED, /* none of these */
	PACKET_TEXT       /* starts as a SIP message does: not media, whatever the port */
};

/* Tell what `d` holds; for PACKET_RTP `h` is filled (it borrows d's bytes). */
enum packet_kind packet_classify(struct rtp_header *h, const struct datagram *d);

/* Version 2, long enough, and no RTCP: what the pen takes. */
bool packet_may_be_rtp(const struct datagram *d);

#endif
