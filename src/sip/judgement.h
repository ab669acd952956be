/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* judgement.h: what the policy makes of each call, from its INVITE to its end.
 *
 *   record    as every call
 *   skip      followed, so that its media is known for what it is; the sink hears of no call (`unlisted`)
 *   never     the sink hears of a call with times, `excluded`, and nobody in it; its media is discarded
 *
 * A line that is never recorded may also come into a call later: it was forwarded or transferred there.  Before the
 * answer that makes the whole call excluded.  After it, from that message on: what was recorded stays, nothing is
 * added (`excluded-part`).
 *
 * A call is judged by the policy that it began under, to its end.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_JUDGEMENT_H
#define CALLSPAN_SIP_JUDGEMENT_H

#include "sip/call.h"

/* A new call holds the policy in force, to its end; that one's hash, or without one the configuration's (64 hex digits). */
void judgement_hold(struct signalling *s, struct call *c);
const char *judgement_policy_hash(const struct signalling *s, const struct call *c);

/* Judge a call that begins; before anyone is told of it. */
void judgement_begin(struct signalling *s, struct call *c, const struct incoming *invite);

/* A message of the call: does it bring in a line that is never recorded?  Before anything else reads it. */
void judgement_message(struct signalling *s, struct call *c, const struct incoming *in);

/* Both legs of a B2BUA carry the same voices: what excludes one excludes the other.  Once it is known which calls belong
 * together. */
void judgement_legs(struct signalling *s, struct call *c, int64_t ts_ns);

/* Fill in the call's record as it may be told.  It may hold keys: wipe it. */
void judgement_tell(const struct signalling *s, const struct call *c, struct call_record *r);

/* May this message of the call be kept? */
bool judgement_keeps(const struct call *c, const struct incoming *in);

/* The call's media is known and not kept. */
static inline bool judgement_discards(const struct call *c)
{
	return c->excluded || c->unlisted;
}

/* The call is gone. */
void judgement_end(struct call *c);

/* signalling_new() and signalling_free(). */
bool judgement_init(struct signalling *s);
void judgement_free(struct signalling *s);

#endif
