/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* conversation.h: calls that belong together: the legs of a B2BUA, a transfer and what it came from.
 *
 * A call begins as a conversation of its own, and is joined with others by what its INVITE shares with theirs:
 *
 *   Replaces, Join        the Call-ID of an open call (RFC 3891, RFC 3911)
 *   REFER                 asked for this call, or names another (transfer.c)
 *   Session-ID            either half (RFC 7989)
 *   a configured header   its value
 *   the same parties      through one host: INVITE to it, and within 3 s INVITE from it
 *
 * A conversation's id is its earliest member's; when two become one, records of the younger are sent again.  Members stand
 * in a circle of at most 64: whoever sends packets cannot make one change expensive.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_CONVERSATION_H
#define CALLSPAN_SIP_CONVERSATION_H

#include "sip/call.h"

bool conversation_init(struct signalling *s);
void conversation_free(struct signalling *s);

/* A call alone: its own conversation. */
void conversation_begin(struct call *c);

/* Join a call that begins with those that its INVITE names. */
void conversation_find(struct signalling *s, struct call *c, const struct incoming *in);

/* Later messages may bring the other half of a Session-ID. */
void conversation_message(struct signalling *s, struct call *c, const struct incoming *in);

/* Two calls are of one conversation. */
void conversation_join(struct signalling *s, struct call *a, struct call *b);
/* The same with one that has ended: of `ended` the id is left. */
void conversation_adopt(struct signalling *s, struct call *c, const struct uuid *ended);
/* With the call of a Call-ID, open or ended lately, as it stands in a message. */
void conversation_join_id(struct signalling *s, struct call *c, struct span call_id);

/* A call has ended. */
void conversation_leave(struct signalling *s, struct call *c);

#endif
