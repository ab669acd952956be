/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* digits.h: keys pressed that travel in signalling: INFO and KPML.
 *
 * Digits are card numbers and PINs: they are counted, and put into the record only where the policy says so.  Signalling
 * thread.
 */
#ifndef CALLSPAN_SIP_DIGITS_H
#define CALLSPAN_SIP_DIGITS_H

#include "sip/call.h"

/* INFO with a digit, or NOTIFY with a KPML report (RFC 4730); anything else is nothing. */
void digits_message(struct call *c, const struct incoming *in, enum track by);

#endif
