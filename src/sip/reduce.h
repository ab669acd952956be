/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reduce.h: a SIP message reduced to what we read of it.
 *
 * From the bytes of a datagram to: the start line, the values of the headers that a table names
 * (unfolded, compact names known, control characters gone), and the body's place.  What this
 * gives is small and well formed, whatever came, and a parser can be trusted with it.
 */
#ifndef CALLSPAN_SIP_REDUCE_H
#define CALLSPAN_SIP_REDUCE_H

#include "sip/span.h"

enum header {
	HEADER_VIA,
	HEADER_FROM,
	HEADER_TO,
	HEADER_CALL_ID,
	HEADER_CSEQ,
	HEADER_CONTENT_TYPE,
	HEADER_CONTENT_LENGTH,
	HEADER_P_ASSERTED_IDENTITY,
	HEADER_REFER_TO,
	HEADER_REFERRED_BY,
	HEADER_REPLACES,
	HEADER_JOIN,
	HEADER_SESSION_ID,
	HEADER_EVENT,
	HEADER_DIVERSION,
	HEADER_HISTORY_INFO,
	HEADER_COUNT
};

/* Who reads a header, and how often it may stand in a message. */
enum header_use {
	HEADER_REQUIRED, /* parsed by libosip2; no message without it */
	HEADER_OPTIONAL, /* parsed by libosip2 unless that makes it refuse the message */
	HEADER_TEXT      /* taken as it stands */
};

#define HEADER_TIMES 4 /* the most that any header's row allows */

struct header_rule {
	const char *name;
	char compact;  /* RFC 3261, 7.3.3; 0: none */
	uint8_t times; /* further ones are left out */
	enum header_use use;
};
extern const struct header_rule header_rules[HEADER_COUNT];

struct reduced {
	struct span start;                             /* the start line */
	struct span value[HEADER_COUNT][HEADER_TIMES]; /* len 0: absent */
	uint8_t times[HEADER_COUNT];
	const uint8_t *body; /* borrowed from the datagram */
	uint32_t body_len;   /* by Content-Length where that is less than what came */
};

/* Reduce `len` bytes.  `room` (at least `len` bytes) receives the values, to which `out` points.
 * False when there is nothing but line ends: a keep-alive. */
bool reduce_message(struct reduced *out, char *room, const uint8_t *p, uint32_t len);

/* The value of one header that no row names (its first line), by its full name; len 0: absent.  Borrowed from `p`. */
struct span reduce_find(const uint8_t *p, uint32_t len, const char *name);

#endif
