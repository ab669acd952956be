/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* calls.h: opening and closing calls, for the files of this folder.  sip.h is what others see. */
#ifndef CALLSPAN_SIP_CALLS_H
#define CALLSPAN_SIP_CALLS_H

#include "sip/call.h"

/* Begin a call of an INVITE: the sink has its number and first record afterwards.  NULL
 * (counted) when too many are open or memory is short. */
struct call *calls_open(struct signalling *s, const struct digest *key, const struct incoming *in);

/* All that is known of a call, whoever may be told (judgement_tell). */
void calls_tell(const struct signalling *s, const struct call *c, struct call_record *r);

/* Name something (static) in the record's coverage, once; true when it was not there yet. */
bool calls_remark(struct call *c, const char *name);

/* Tell the sink the call's record as it stands. */
void calls_send(struct signalling *s, struct call *c);

/* The open call of a Call-ID as it stands in a message; else NULL, and *conversation is that of one that ended lately, or
 * nil. */
struct call *calls_find(struct signalling *s, struct span call_id, struct uuid *conversation);

/* A digest of any text: never the absent one unless the text is empty. */
struct digest calls_digest(const struct signalling *s, struct span text);

/* A place for a call, its timer not set yet; its key is put in the index.  NULL: there are too many. */
struct call *calls_new(struct signalling *s, const struct digest *key, int64_t ts_ns);

/* Tell the sink that it begins. */
void calls_announce(struct signalling *s, struct call *c);

/* Set the call's timer to what is due next. */
void calls_schedule(struct signalling *s, struct call *c);

/* A call has ended (its record and end_ns, until_ns say how): tell the sink, leave a tombstone,
 * free it. */
void calls_close(struct signalling *s, struct call *c);

#endif
