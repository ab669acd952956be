/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* rules.h: what the policy says of a call, from its INVITE; and whether a message names a line that is never recorded.
 *
 * Signalling thread.  Nothing here allocates, keeps anything or changes a call.
 */
#ifndef CALLSPAN_SIP_RULES_H
#define CALLSPAN_SIP_RULES_H

#include "sip/call.h"

struct rules_verdict {
	uint8_t action;        /* enum policy_action */
	uint8_t direction;     /* enum call_direction */
	const char *retention; /* borrowed from the policy */
};

/* Judge a call by the INVITE that begins it: lines never recorded first, then the first rule that matches, then
 * `record.calls`. */
void rules_judge(const struct policy *p, const struct incoming *invite, struct rules_verdict *v);

/* Does the message name a line that is never recorded, as one that takes part: in any URI of its head, or a display
 * name?  Not Referred-By: who transferred a call is no longer on it. */
bool rules_name_never(const struct policy *p, const struct incoming *in);

/* Does it stand anywhere in the message, body and all?  Then the message is not kept. */
bool rules_mention_never(const struct policy *p, const struct incoming *in);

/* Is this party (number or user part) such a line? */
bool rules_is_never(const struct policy *p, const char *party);

#endif
