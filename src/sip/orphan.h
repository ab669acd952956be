/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* orphan.h: media that no signalling explains, as a call without parties.
 *
 * A recorder that starts in mid-call sees audio and no INVITE.  Where the policy wants it, such a flow becomes a call
 * of its own: talking, without Call-ID or parties, coverage "no-signalling".  Both ends of the flow are expected, but
 * never before those of a call that signalling knows: when one comes, the orphan ends.  Otherwise it ends when
 * nothing is heard for 30 s.  Calls of this kind take at most an eighth of all places.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_ORPHAN_H
#define CALLSPAN_SIP_ORPHAN_H

#include "sip/call.h"

#define ORPHAN_SILENCE_NS (30 * NS_PER_S)

bool orphan_init(struct signalling *s);
void orphan_free(struct signalling *s);

/* Signalling expects media at this endpoint: an orphan that has it ends. */
void orphan_explained(struct signalling *s, const struct endpoint *at);

/* An orphan has ended. */
void orphan_leave(struct signalling *s, const struct call *c);

#endif
