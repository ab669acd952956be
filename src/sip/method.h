/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* method.h: the methods of SIP and which of them make, change or end dialogs.
 *
 * One table serves recognising (on capture threads) and parsing (on the signalling thread).
 */
#ifndef CALLSPAN_SIP_METHOD_H
#define CALLSPAN_SIP_METHOD_H

#include "sip/sip.h"
#include "sip/span.h"

enum method {
	METHOD_INVITE,
	METHOD_ACK,
	METHOD_BYE,
	METHOD_CANCEL,
	METHOD_PRACK,
	METHOD_UPDATE,
	METHOD_REFER,
	METHOD_INFO,
	METHOD_REGISTER,
	METHOD_OPTIONS,
	METHOD_SUBSCRIBE,
	METHOD_NOTIFY,
	METHOD_PUBLISH,
	METHOD_MESSAGE,
	METHOD_OTHER /* an extension */
};

/* By its name, which is case-sensitive (RFC 3261, 7.1). */
enum method method_find(struct span name);

/* SIP_DIALOG or SIP_REST. */
enum sip_kind method_kind(enum method m);

#endif
