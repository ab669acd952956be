/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* framing.h: SIP messages out of a stream of bytes (RFC 3261, 18.3 and 7.5), and what a stream begins with.
 *
 *   CRLF CRLF │ start line │ header ... CRLF CRLF │ body: Content-Length bytes │ start line ...
 *             LINE         HEADER                 BODY                         LINE
 *
 * A message without Content-Length, which a stream must not carry, ends with its header.  A message longer than
 * the limit is passed over by its length.  When the stream makes no sense, or bytes of it are missing, the
 * next line that is a SIP start line begins the next message; bytes missing inside a body only cut that message.
 * Every byte is looked at once and copied twice at most.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_FRAMING_H
#define CALLSPAN_SIP_FRAMING_H

#include "base/counters.h"
#include "sip/pieces.h"

#define START_LINE_MOST 2048 /* bytes */

/* What all streams of a table share. */
struct stream_room {
	struct pool *blocks; /* borrowed */
	uint8_t *scratch;    /* borrowed: max_message bytes */
	uint32_t max_message;
	struct counters *counters; /* borrowed */
};

/* Where a stream's messages go: `text` is borrowed; wire_len > len where bytes are missing. */
struct stream_out {
	void *ctx;
	void (*message)(void *ctx, const uint8_t *text, uint32_t len, uint32_t wire_len);
};

struct framing {
	struct rope text; /* the message as far as it has come; owned */
	uint32_t left;    /* BODY, SKIP: bytes to come */
	uint32_t missing; /* BODY: bytes of it that are missing */
	uint8_t state;    /* enum framing_state */
	bool cut;         /* BODY: bytes are missing, what follows them is not kept */
	bool lost;        /* looking for a start line */
	bool empty_line;  /* HEADER: nothing but CR in this line yet */
};

/* Bytes of the stream, in order; the pool must have blocks_for(n) blocks. */
void framing_push(struct framing *f, const struct stream_room *room, const struct stream_out *out,
		  const uint8_t *p, size_t n);
/* `n` bytes of the stream will never come. */
void framing_missing(struct framing *f, const struct stream_room *room,
		     const struct stream_out *out, uint32_t n);
/* Forget what was begun; look for a start line from here on. */
void framing_lose(struct framing *f, const struct stream_room *room);

/* What a stream is, by its first bytes. */
enum opening {
	OPENING_NONE, /* nothing of ours */
	OPENING_MORE, /* cannot be told yet */
	OPENING_SIP,
	OPENING_HANDSHAKE, /* a WebSocket upgrade for SIP, or its answer: *skip bytes, then frames */
	OPENING_WEBSOCKET, /* a frame that carries SIP (RFC 7118) */
	OPENING_TLS        /* TLS that carries SIP: by its ALPN, or by the port */
};
enum opening opening_of(const uint8_t *p, uint32_t n, bool tls_port, uint32_t *skip);

/* Where a line within p begins that is a SIP start line (the first byte excepted); n when there is none. */
uint32_t opening_within(const uint8_t *p, uint32_t n);

#endif
