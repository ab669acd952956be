/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* party.h: who a call is from and to, as its record shows them. */
#ifndef CALLSPAN_SIP_PARTY_H
#define CALLSPAN_SIP_PARTY_H

#include "sip/known.h"
#include "sip/message.h"

/* From an INVITE: its Call-ID, and number or user part, display name and URI of both.  The caller is the asserted
 * identity where From is anonymous (RFC 3325, RFC 3323). */
void party_fill(struct known *k, const struct sip_message *invite);

/* A later INVITE of the same call may be the first to assert an anonymous caller's identity.
 * True when it did. */
bool party_assert(struct known *k, const struct sip_message *invite);

/* The same for who diverted it here (RFC 5806, RFC 7044). */
bool party_divert(struct known *k, const struct sip_message *invite);

#endif
