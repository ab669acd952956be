/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* websocket.h: SIP messages out of WebSocket frames (RFC 6455, 5; RFC 7118).
 *
 * A message may come in several frames, with control frames between them; what a client sends is masked.  Each
 * message is one SIP message, text or binary alike.  When frames make no sense, or bytes of one are
 * missing, the next segment that begins with a frame that begins a SIP message goes on.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_WEBSOCKET_H
#define CALLSPAN_SIP_WEBSOCKET_H

#include "sip/framing.h"

#define WEBSOCKET_HEAD 14 /* bytes of the longest frame header */

struct websocket {
	struct rope text; /* the message as far as it has come; owned */
	uint32_t left;    /* bytes of the frame's payload to come */
	uint32_t missing; /* bytes of the message that are missing */
	uint32_t masked;  /* bytes of the payload that have gone by, for the mask */
	uint8_t head[WEBSOCKET_HEAD], head_len;
	uint8_t mask[4];
	bool in_payload, in_message; /* a frame, or a message, has begun */
	bool final, control;         /* of this frame */
	bool cut, oversize;          /* of this message: no more of it is kept */
	bool lost;                   /* until a segment begins with a frame */
};

/* As framing_push(), framing_missing() and framing_lose(). */
void websocket_push(struct websocket *w, const struct stream_room *room,
		    const struct stream_out *out, const uint8_t *p, size_t n);
void websocket_missing(struct websocket *w, const struct stream_room *room,
		       const struct stream_out *out, uint32_t n);
void websocket_lose(struct websocket *w, const struct stream_room *room);

/* Does p begin with a frame that begins a SIP message? */
bool websocket_begins(const uint8_t *p, size_t n);

#endif
