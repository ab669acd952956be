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
#include "sip/sdes.h"
#include "sip/span.h"

#define DESCRIPTION_AUDIO      4  /* audio lines followed */
#define DESCRIPTION_CANDIDATES 6  /* ICE candidates of one of them */
#define DESCRIPTION_LINES      32 /* m= lines whose place is known */

/* Media that is noted and not recorded: bits of `other`. */
enum other_media {
	OTHER_VIDEO = 1,
	OTHER_TEXT = 2,
	OTHER_T38 = 4, /* m=image ... t38 (RFC 3362) */
	OTHER_IMAGE = 8,
	OTHER_MESSAGE = 16,
	OTHER_APPLICATION = 32
};
#define OTHER_KINDS 6
/* The name of bit i. */
const char *description_other_name(unsigned i);

/* RFC 8866, 6.7: seen from the party that wrote it. */
enum flow { FLOW_SENDRECV, FLOW_SENDONLY, FLOW_RECVONLY, FLOW_INACTIVE };

/* One usable m=audio line (its port is not 0). */
struct description_audio {
	struct endpoint at;
	bool has_endpoint;  /* false: 0.0.0.0 or ::, a host name, or no c= at all */
	bool any_address;   /* c=0.0.0.0: hold as RFC 2543 had it */
	bool secure;        /* RTP/SAVP(F), or a=crypto */
	uint8_t index;      /* which m= line it is, from 0 */
	uint8_t protection; /* enum protection, as its writer states it */
	bool rtcp_mux;      /* RTCP comes to the same port (RFC 5761) */
	struct endpoint
		rtcp; /* where RTCP comes: a=rtcp (RFC 3605), else the next port; port 0: with rtcp_mux, or nowhere */
	uint8_t candidates_count;
	struct endpoint candidates[DESCRIPTION_CANDIDATES]; /* ICE, component 1, other than `at` */
	struct sdes_offers crypto;
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
	uint32_t refused; /* the same as bits: 1 << index, of the first DESCRIPTION_LINES */
	uint32_t other;   /* enum other_media bits of lines whose port is not 0 */
	bool on_hold;     /* the first audio line: sendonly, inactive or c=0.0.0.0 */
	bool consents;    /* the first audio line: recvonly, as the answer to a hold has it */
};

/* Find the session description in a SIP body: the body itself, or the first such part of a
 * multipart one.  An empty content type is taken at the body's word ("v=").  False when there is
 * none. */
bool description_find(const char *content_type, const char *boundary, const uint8_t *body,
		      uint32_t len, struct span *sdp);

/* Read it.  False when it has no m= line at all.  *d may hold keys: wipe it. */
bool description_read(struct description *d, struct span sdp);

/* What a payload type means without a description (RFC 3551); codec "" for dynamic ones. */
void description_static(struct media_payload *p, uint8_t type);

#endif
