/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* description.h: what a session description (SDP, RFC 8866) says about audio.
 *
 * A tolerant reader: line by line, in any order, missing lines allowed, any line end, cut to
 * what arrived.  It gives where a party will receive audio and what payload types mean
 * there; everything else of SDP is passed over.  Signalling thread; allocates nothing.
 */
#ifndef CALLSPAN_SIP_DESCRIPTION_H
#define CALLSPAN_SIP_DESCRIPTION_H

#include "rtp/rtp.h"
#include "sip/span.h"

#define DESCRIPTION_AUDIO 4 /* audio lines followed */

/* RFC 8866, 6.7: seen from the party that wrote it. */
enum flow { FLOW_SENDRECV, FLOW_SENDONLY, FLOW_RECVONLY, FLOW_INACTIVE };

/* One usable m=audio line (its port is not 0). */
struct description_audio {
	struct endpoint at;
	bool has_endpoint;  /* false: 0.0.0.0 or ::, a host name, or no c= at all */
	bool any_address;   /* c=0.0.0.0: hold as RFC 2543 had it */
	bool secure;        /* RTP/SAVP(F), or a=crypto */
	uint16_t rtcp_port; /* a=rtcp, 0: none stated */
	enum flow flow;
	uint32_t ptime_ms; /* 0: not stated */
	uint8_t payloads_count;
	struct media_payload payloads[MEDIA_PAYLOADS];
};

struct description {
	uint8_t audio_count;
	struct description_audio audio[DESCRIPTION_AUDIO]; /* the first is the recording's */
	uint32_t media_lines;                              /* m= lines of any kind */
	uint32_t refused_audio;                            /* m=audio lines with port 0 */
	bool on_hold; /* the first audio line: sendonly, inactive or c=0.0.0.0 */
};

/* Find the session description in a SIP body: the body itself, or the first such part of a
 * multipart one.  An empty content type is taken at the body's word ("v=").  False when there is
 * none. */
bool description_find(const char *content_type, const char *boundary, const uint8_t *body,
		      uint32_t len, struct span *sdp);

/* Read it.  False when it has no m= line at all. */
bool description_read(struct description *d, struct span sdp);

#endif
