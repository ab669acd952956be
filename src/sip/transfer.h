/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* transfer.h: REFER, and the calls that come of it (RFC 3515, RFC 5589).
 *
 *   blind      A ◄──call 1──► B     A: REFER Refer-To C     B ──INVITE──► C, perhaps Referred-By A
 *   attended   A ◄──call 2──► C     A: REFER Refer-To C?Replaces=call 2 (in call 1)
 *              B ──INVITE Replaces: call 2──► C
 *
 * REFERs of the last 32 s are remembered, a few hundred at most; a call that fits one belongs to its conversation.
 * Signalling thread.
 */
#ifndef CALLSPAN_SIP_TRANSFER_H
#define CALLSPAN_SIP_TRANSFER_H

#include "sip/call.h"

bool transfer_init(struct signalling *s);
void transfer_free(struct signalling *s);

/* `by` has asked the other party of this call to call somebody else. */
void transfer_refer(struct signalling *s, struct call *c, const struct incoming *in, enum track by);

/* A call begins: has a REFER asked for it?  Fills who transferred it. */
void transfer_arrive(struct signalling *s, struct call *c, const struct incoming *in);

#endif
