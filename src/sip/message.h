/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* message.h: one SIP message as plain text fields.
 *
 * A parser belongs to one thread (signalling).  What it gives is copied, bounded and clean
 * (clean.h); the body and `call_id_whole` are borrowed.
 */
#ifndef CALLSPAN_SIP_MESSAGE_H
#define CALLSPAN_SIP_MESSAGE_H

#include "sip/method.h"

#define MESSAGE_TOKEN 128 /* tags and branches; longer ones are compared by their beginning */

/* A name-addr or addr-spec: From, To, P-Asserted-Identity. */
struct sip_identity {
	char scheme[8]; /* "sip", "sips", "tel", in lower case; others ""  */
	char user[128]; /* decoded user part, or the number of a tel: URI without separators */
	char host[128];
	char name[128]; /* display name */
};

struct sip_message {
	bool request;
	enum method method; /* a response's is its CSeq's */
	uint32_t status;    /* 100-699; 0 for requests */
	uint32_t cseq;
	char call_id[256];
	struct span call_id_whole; /* until the next message */
	struct sip_identity from, to;
	/* The first sip, sips or tel identity of P-Asserted-Identity; scheme "" without one. */
	struct sip_identity asserted;
	char from_tag[MESSAGE_TOKEN], to_tag[MESSAGE_TOKEN];
	char branch[MESSAGE_TOKEN]; /* of the top Via */
	char content_type[64];      /* "application/sdp", in lower case; "" without one */
	char boundary[80];          /* of a multipart body */
	char target[128];           /* user part of the Request-URI, or its tel: number */
	char diverted_from[128];    /* who diverted it here last, by Diversion or History-Info */
	/* As they stand, until the next message. */
	struct span refer_to, referred_by, replaces, join, session_id, event;
	const uint8_t *body; /* borrowed from the datagram */
	uint32_t body_len;
	/* What was parsed: the same for a retransmission.  Until the next message. */
	struct span essence;
};

enum message_verdict {
	MESSAGE_PARSED,
	MESSAGE_REPAIRED, /* parsed only without display names or optional headers */
	MESSAGE_MALFORMED,
	MESSAGE_EMPTY /* line ends alone: a keep-alive */
};

struct message_parser;

/* For messages of up to max_bytes.  NULL: memory is short. */
struct message_parser *message_parser_new(uint32_t max_bytes);
void message_parser_free(struct message_parser *p);

/* Parse `len` bytes (<= max_bytes), as far as they go.  *out is filled for PARSED and REPAIRED. */
enum message_verdict message_parse(struct message_parser *p, const uint8_t *bytes, uint32_t len,
				   struct sip_message *out);

#endif
