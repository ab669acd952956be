/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* calls.h: opening and closing calls, for the files of this folder.  sip.h is what others see. */
#ifndef CALLSPAN_SIP_CALLS_H
#define CALLSPAN_SIP_CALLS_H

#include "sip/call.h"

/* Begin a call of an INVITE: the sink has its number and first record afterwards.  NULL
 * (counted) when too many are open or memory is short. */
struct call *calls_open(struct signalling *s, const struct digest *key, const struct incoming *in);

/* A call has ended (its record and end_ns, until_ns say how): tell the sink, leave a tombstone,
 * free it. */
void calls_close(struct signalling *s, struct call *c);

#endif
