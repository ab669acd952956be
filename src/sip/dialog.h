/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* dialog.h: which message of a call means what: tags, branches, transactions (RFC 3261, 12). */
#ifndef CALLSPAN_SIP_DIALOG_H
#define CALLSPAN_SIP_DIALOG_H

#include "sip/call.h"

/* A message under the Call-ID of an open call (its INVITE included).  The call may be gone
 * afterwards. */
void dialog_message(struct signalling *s, struct call *c, const struct incoming *in);

/* A BYE was accepted, or nobody answered it in time: it ends what it was sent to.  False when
 * the call is gone. */
bool dialog_bye_over(struct signalling *s, struct call *c, const struct bye *b);

/* The BYE that ends this call at last, if `in` is the INVITE of a new one under the same
 * Call-ID; else NULL. */
const struct bye *dialog_begins_anew(const struct call *c, const struct incoming *in);

#endif
