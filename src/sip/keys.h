/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* keys.h: which of the SRTP keys that an offer and its answer state are used (RFC 4568, 5.1).
 *
 *   offer  a=crypto:1 A..., a=crypto:2 B...     kept with the exchange
 *   answer a=crypto:2 C...                      B is what the offerer sends with, C the answerer
 *
 * Chosen keys go into the call's record; the others are wiped with their exchange.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_KEYS_H
#define CALLSPAN_SIP_KEYS_H

#include "sip/call.h"
#include "sip/description.h"

/* `party` stated these keys in exchange x; chosen ones are noted.  leg: as in exchange_describe(). */
void keys_describe(struct call *c, struct exchange *x, enum track party, uint8_t leg,
		   const struct description *d);

/* The exchange is accepted: where only one party's description was seen, any of its keys may be the one. */
void keys_accept(struct call *c, struct exchange *x);

/* A leg of the callee has answered: keys of the other legs go. */
void keys_choose_leg(struct call *c, uint8_t leg);

/* Wipe and free what the exchange keeps. */
void keys_free(struct exchange *x);

#endif
