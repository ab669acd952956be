/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* exchange.h: offers and answers, and the endpoints that come and go by them (RFC 3264).
 *
 *   INVITE (offer)   --> the offerer's endpoints are expected at once: media may be early
 *   2xx (answer)     --> so are the answerer's; endpoints that either no longer names are
 *                        forgotten, half a second later for what is in flight
 *   3xx-6xx          --> endpoints that only this offer named are forgotten
 *
 * One Call-ID may cross the mirror several times with its SDP rewritten by a media relay, so a
 * party may have several endpoints in one exchange; all are expected.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_EXCHANGE_H
#define CALLSPAN_SIP_EXCHANGE_H

#include "sip/call.h"
#include "sip/description.h"

#define EXCHANGE_IN_FLIGHT_NS (500 * NS_PER_MS)

/* The exchange of a request, or NULL. */
struct exchange *exchange_find(struct call *c, uint8_t hop, enum track by, uint32_t cseq,
			       enum method method);

/* Begin one.  Valid until the next is begun: the oldest gives way. */
struct exchange *exchange_begin(struct call *c, uint8_t hop, enum track by, uint32_t cseq,
				enum method method, int64_t start_ns);
/* The same for a call's initial INVITE on a hop; replaces the attempt before. */
struct exchange *exchange_begin_initial(struct call *c, uint8_t hop, uint32_t cseq);

/* `party` has described where it receives.  leg: which leg of the callee, or NO_LEG. */
void exchange_describe(struct signalling *s, struct call *c, struct exchange *x, enum track party,
		       uint8_t leg, const struct description *d);

/* The exchange is complete (2xx, or the ACK with an answer). */
void exchange_accept(struct signalling *s, struct call *c, struct exchange *x, int64_t ts_ns);
/* It was refused: as if it had never been. */
void exchange_reject(struct signalling *s, struct call *c, struct exchange *x, int64_t ts_ns);

/* One leg of a hop has answered: the endpoints of the others go. */
void exchange_choose_leg(struct call *c, uint8_t hop, uint8_t leg, int64_t ts_ns);

/* Forget the endpoints whose time has come; when the next one's comes (INT64_MAX: none). */
void exchange_forget_due(struct signalling *s, struct call *c, int64_t now_ns);
int64_t exchange_next_due(const struct call *c);

/* Expect audio at an endpoint without any description: only because it was seen there. */
void exchange_expect_orphan(struct signalling *s, struct call *c, enum track party,
			    const struct endpoint *at, uint8_t payload_type);

/* Nothing later than until_ns of what is said at the call's endpoints is kept (judgement.h). */
void exchange_discard(struct signalling *s, struct call *c, int64_t until_ns);

/* Free what exchanges and parties keep. */
void exchange_free_all(struct signalling *s, struct call *c);

#endif
