/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* state.h: what can happen to a call, and what then becomes of it.
 *
 * dialog.c and calls.c turn messages and timers into events; the table in state.c says
 * the rest.  An event that has no row in a call's state changes nothing.
 */
#ifndef CALLSPAN_SIP_STATE_H
#define CALLSPAN_SIP_STATE_H

#include "sip/call.h"

/* How long a call waits for what must follow: 64 * T1 (RFC 3261, 17.1.1.2). */
#define STATE_WAIT_NS (32 * NS_PER_S)
/* The same for a caller who was challenged or redirected, and may have to ask somebody: it is one call with what it tries
 * next.  Only while less than half of all places are taken, so that a flood of INVITEs that nobody means keeps none out. */
#define STATE_RETRY_NS (180 * NS_PER_S)

enum event_kind {
	EVENT_INVITED_AGAIN,  /* the initial INVITE once more, after a challenge or redirection */
	EVENT_RINGING,        /* 180 or 183 */
	EVENT_ANSWERED,       /* 2xx to the INVITE */
	EVENT_CHALLENGED,     /* a final response after which callers try again */
	EVENT_REFUSED,        /* any other final response of 300-699 */
	EVENT_CANCELLED,      /* CANCEL */
	EVENT_BYE,            /* BYE with the tags of the dialog */
	EVENT_BYE_CHALLENGED, /* 401 or 407 to it */
	EVENT_BYE_DONE,       /* any other final response, or none in time */
	EVENT_OVERDUE,        /* what the call waited for did not come */
	EVENT_SILENT,         /* neither SIP nor media for the time-out */
	EVENT_EXPLAINED,      /* a call without signalling: some explains its media now */
	EVENT_CAPTURE_END
};

struct event {
	enum event_kind kind;
	int64_t ts_ns;
	uint32_t status; /* of the response, where there is one */
	struct bye bye;  /* EVENT_BYE...: the BYE concerned, with the time it was first sent */
};

/* Apply an event.  False when it ended the call, which is then gone. */
bool state_event(struct signalling *s, struct call *c, const struct event *e);

#endif
