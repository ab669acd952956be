/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* dialog.c: see dialog.h.  Signalling thread.
 *
 * Each method has a handler for its request and one for its responses (the table at the end).  A
 * handler finds out whose message it is by the tags, gives SDP to exchange.c and raises events
 * for state.c.  Everything here may be done twice without harm: retransmissions too old to be
 * recognised, and copies of a message on the other side of a proxy, come through again.
 */
#include "sip/dialog.h"

#include "base/list.h"
#include "sip/digits.h"
#include "sip/exchange.h"
#include "sip/party.h"
#include "sip/state.h"
#include "sip/transfer.h"

/* ---- tags -------------------------------------------------------------------------------- */

#define NOWHERE UINT8_MAX

/* Who sent a request, by its tags; a response has the tags of its request. */
struct sender {
	enum track party;
	uint8_t hop; /* NOWHERE: neither tag is known */
	uint8_t leg; /* NO_LEG: the callee's tag is not known */
};

static uint8_t find_hop(const struct call *c, uint64_t tag)
{
	for (uint8_t i = 0; i < c->hops_count; i++)
		if (c->hops[i].caller_tag == tag)
			return i;
	return NOWHERE;
}

static uint8_t find_leg(const struct call *c, uint8_t hop, uint64_t tag)
{
	for (uint8_t i = 0; i < c->legs_count; i++)
		if (c->legs[i].hop == hop && c->legs[i].tag == tag)
			return i;
	return NO_LEG;
}

/* The leg of a To tag, new ones added; NO_LEG without a tag or when the call has too many. */
static uint8_t add_leg(struct call *c, uint8_t hop, uint64_t tag)
{
	uint8_t leg = find_leg(c, hop, tag);
	if (leg != NO_LEG || tag == 0 || c->legs_count == CALL_LEGS)
		return leg;
	c->legs = list_room_after(&c->first_leg, c->legs, c->legs_count, sizeof *c->legs);
	c->legs[c->legs_count] = (struct leg){ .tag = tag, .hop = hop, .state = LEG_EARLY };
	return c->legs_count++;
}

static struct sender find_sender(const struct call *c, const struct marks *marks)
{
	uint8_t hop = find_hop(c, marks->from);
	if (hop != NOWHERE)
		return (struct sender){ TRACK_CALLER, hop, find_leg(c, hop, marks->to) };
	hop = find_hop(c, marks->to);
	if (hop != NOWHERE)
		return (struct sender){ TRACK_CALLEE, hop, find_leg(c, hop, marks->from) };
	for (hop = 0; hop < c->hops_count; hop++) {
		uint8_t leg = find_leg(c, hop, marks->from);
		if (leg != NO_LEG)
			return (struct sender){ TRACK_CALLEE, hop, leg };
		leg = find_leg(c, hop, marks->to);
		if (leg != NO_LEG)
			return (struct sender){ TRACK_CALLER, hop, leg };
	}
	return (struct sender){ TRACK_CALLER, NOWHERE, NO_LEG };
}

static void stray(struct signalling *s)
{
	count(s->cfg.counters, COUNT_SIP_STRAY);
}

/* ---- SDP --------------------------------------------------------------------------------- */

static bool read_body(struct signalling *s, const struct sip_message *m, struct description *d)
{
	struct span sdp;
	if (!description_find(m->content_type, m->boundary, m->body, m->body_len, &sdp))
		return false;
	count(s->cfg.counters, COUNT_SDP_BODIES);
	if (description_read(d, sdp))
		return true;
	count(s->cfg.counters, COUNT_SDP_MALFORMED);
	return false;
}

/* `party` sent this message; what its SDP says, if it has any, belongs to exchange x. */
static bool describe(struct signalling *s, struct call *c, const struct incoming *in,
		     struct exchange *x, enum track party, uint8_t leg)
{
	struct description d;
	bool sdp = read_body(s, in->m, &d);
	if (sdp)
		exchange_describe(s, c, x, party, party == TRACK_CALLEE ? leg : NO_LEG, &d);
	explicit_bzero(&d, sizeof d);
	return sdp;
}

/* ---- the initial INVITE ------------------------------------------------------------------ */

static unsigned find_branch(const struct call *c, uint64_t id)
{
	unsigned i = 0;
	while (i < c->branches_count && c->branches[i].id != id)
		i++;
	return i;
}

static void add_branch(struct call *c, uint64_t id)
{
	unsigned i = find_branch(c, id);
	if (i < c->branches_count)
		return;
	if (i == CALL_BRANCHES) {
		c->branches_full = true;
		return;
	}
	c->branches = list_room_after(&c->first_branch, c->branches, c->branches_count,
				      sizeof *c->branches);
	c->branches[c->branches_count++] = (struct branch){ .id = id };
}

/* A From tag not seen before is a B2BUA's that keeps the Call-ID. */
static uint8_t add_hop(struct call *c, const struct incoming *in)
{
	if (c->hops_count == CALL_HOPS)
		return NOWHERE;
	c->hops = list_room_after(&c->first_hop, c->hops, c->hops_count, sizeof *c->hops);
	c->hops[c->hops_count] =
		(struct hop){ .caller_tag = in->marks.from, .cseq = in->m->cseq, .winner = NO_LEG };
	return c->hops_count++;
}

/* Does the caller try again after a challenge?  Usually with the next CSeq; some take a new tag and
 * count from 1 again, some change only the branch. */
static bool is_retry(struct call *c, uint8_t *hop, const struct incoming *in)
{
	bool challenged = c->pending.due_ns && c->pending.outcome == OUTCOME_FAILED;
	if (*hop != NOWHERE && in->m->cseq > c->hops[*hop].cseq)
		return true;
	if (!challenged || (*hop != NOWHERE && in->m->cseq < c->hops[*hop].cseq) ||
	    find_branch(c, in->marks.branch) < c->branches_count)
		return false;
	if (*hop == NOWHERE) {
		*hop = 0;
		c->hops[0].caller_tag = in->marks.from;
	}
	return true;
}

/* Another attempt at the call: the transactions of the one before are over. */
static struct exchange *try_again(struct signalling *s, struct call *c, uint8_t hop,
				  const struct incoming *in)
{
	c->hops[hop].cseq = in->m->cseq;
	if (hop == 0) {
		c->branches_count = 0;
		c->branches_full = false;
	}
	struct event e = { .kind = EVENT_INVITED_AGAIN, .ts_ns = in->ts_ns };
	ASSERT(state_event(s, c, &e));
	return exchange_begin_initial(c, hop, in->m->cseq);
}

static void on_first_invite(struct signalling *s, struct call *c, const struct incoming *in)
{
	uint8_t hop = find_hop(c, in->marks.from);
	bool retry = is_retry(c, &hop, in);
	if (hop == NOWHERE)
		hop = add_hop(c, in);
	if (hop == NOWHERE || (!retry && in->m->cseq < c->hops[hop].cseq)) {
		stray(s);
		return;
	}
	struct exchange *x = exchange_find(c, hop, TRACK_CALLER, in->m->cseq, METHOD_INVITE);
	if (retry)
		x = try_again(s, c, hop, in);
	else if (!x)
		x = exchange_begin_initial(c, hop, in->m->cseq);
	add_branch(c, in->marks.branch);
	c->changed |= party_assert(&c->known, in->m);
	c->changed |= party_divert(&c->known, in->m);
	(void)describe(s, c, in, x, TRACK_CALLER, NO_LEG);
}

/* The first we see of a call is a re-INVITE: recording began in mid-call.  Its sender counts as
 * the caller. */
static void on_joining(struct signalling *s, struct call *c, const struct incoming *in)
{
	c->joined = true;
	on_first_invite(s, c, in);
	uint8_t leg = add_leg(c, 0, in->marks.to);
	c->legs[leg].state = LEG_CONFIRMED;
	c->hops[0].winner = leg;
}

/* ---- offers inside the dialog ------------------------------------------------------------ */

/* re-INVITE, UPDATE, PRACK.  The last two usually carry no SDP, and then are nothing to us. */
static void on_offer(struct signalling *s, struct call *c, const struct incoming *in)
{
	struct description d;
	struct sender from = find_sender(c, &in->marks);
	if (from.hop == NOWHERE) {
		stray(s);
		return;
	}
	bool sdp = read_body(s, in->m, &d);
	struct exchange *x = exchange_find(c, from.hop, from.party, in->m->cseq, in->m->method);
	if (!x && (sdp || in->m->method == METHOD_INVITE))
		x = exchange_begin(c, from.hop, from.party, in->m->cseq, in->m->method, in->ts_ns);
	if (sdp)
		exchange_describe(s, c, x, from.party,
				  from.party == TRACK_CALLEE ? from.leg : NO_LEG, &d);
	explicit_bzero(&d, sizeof d);
}

static void on_invite(struct signalling *s, struct call *c, const struct incoming *in)
{
	if (in->marks.to == 0)
		on_first_invite(s, c, in);
	else if (c->hops_count == 0)
		on_joining(s, c, in);
	else
		on_offer(s, c, in);
}

/* Responses to these.  401, 407: the same offer comes again, with credentials. */
static void on_offer_response(struct signalling *s, struct call *c, const struct incoming *in)
{
	const struct sip_message *m = in->m;
	struct sender from = find_sender(c, &in->marks);
	if (from.hop == NOWHERE) {
		stray(s);
		return;
	}
	struct exchange *x = exchange_find(c, from.hop, from.party, m->cseq, m->method);
	if (m->status == 401 || m->status == 407 || (!x && m->status >= 300))
		return;
	if (m->status >= 300) {
		exchange_reject(s, c, x, in->ts_ns);
		return;
	}
	/* The request may have passed where the mirror does not look. */
	if (!x && m->body_len > 0) {
		x = exchange_begin(c, from.hop, from.party, m->cseq, m->method, in->ts_ns);
		x->unseen = true;
	}
	if (!x)
		return;
	(void)describe(s, c, in, x, track_other(from.party), from.leg);
	if (m->status < 200)
		return;
	exchange_accept(s, c, x, in->ts_ns);
	if (c->joined)
		(void)state_event(s, c,
				  &(struct event){ .kind = EVENT_ANSWERED, .ts_ns = in->ts_ns });
}

/* ---- responses to the initial INVITE ------------------------------------------------------- */

static void on_provisional(struct signalling *s, struct call *c, const struct incoming *in,
			   struct exchange *x)
{
	uint32_t status = in->m->status;
	if (status == 100)
		return;
	uint8_t leg = add_leg(c, x->hop, in->marks.to);
	if (c->hops[x->hop].winner == NO_LEG)
		(void)describe(s, c, in, x, TRACK_CALLEE, leg);
	if (status == 180 || status == 183)
		(void)state_event(s, c,
				  &(struct event){ .kind = EVENT_RINGING, .ts_ns = in->ts_ns });
}

/* The first leg that answers on a hop is the recording's; others get a BYE from their caller. */
static void on_answer(struct signalling *s, struct call *c, const struct incoming *in,
		      struct exchange *x)
{
	struct hop *hop = &c->hops[x->hop];
	uint8_t leg = add_leg(c, x->hop, in->marks.to);
	if (leg != NO_LEG)
		c->legs[leg].state = LEG_CONFIRMED;
	if (hop->winner == NO_LEG && leg != NO_LEG) {
		hop->winner = leg;
		exchange_choose_leg(c, x->hop, leg, in->ts_ns);
	}
	if (leg == hop->winner) {
		(void)describe(s, c, in, x, TRACK_CALLEE, leg);
		exchange_accept(s, c, x, in->ts_ns);
	}
	(void)state_event(s, c,
			  &(struct event){ .kind = EVENT_ANSWERED,
					   .ts_ns = in->ts_ns,
					   .status = in->m->status });
}

/* Final responses after which the same caller tries again under the same Call-ID. */
static bool is_retried(uint32_t status)
{
	static const uint16_t retried[] = {
		401, 407,           /* credentials: RFC 3261, 22.2 and 22.3 */
		413, 415, 416, 420, /* RFC 3261, 8.1.3.5 */
		421,                /* an extension is required: RFC 3261, 21.4.16 */
		422,                /* session interval too small: RFC 4028, 7.3 */
		494,                /* security agreement: RFC 3329, 2.3.1 */
	};
	for (size_t i = 0; i < sizeof retried / sizeof *retried; i++)
		if (retried[i] == status)
			return true;
	return status >= 300 && status < 400; /* redirected: RFC 3261, 8.1.3.4 */
}

/* Only the transaction nearest to the caller tells how the call fared: a proxy may still try
 * elsewhere after a refusal on a branch of its own. */
static void on_failure(struct signalling *s, struct call *c, const struct incoming *in,
		       struct exchange *x)
{
	uint32_t status = in->m->status;
	unsigned branch = find_branch(c, in->marks.branch);
	bool beyond = x->hop != 0 || (branch > 0 && branch < c->branches_count);
	if (beyond || c->hops[0].winner != NO_LEG)
		return;
	(void)state_event(
		s, c,
		&(struct event){ .kind = is_retried(status) ? EVENT_CHALLENGED : EVENT_REFUSED,
				 .ts_ns = in->ts_ns,
				 .status = status });
}

/* The first we see of a call is a response. */
static void on_unseen_invite(struct call *c, const struct incoming *in)
{
	uint8_t hop = add_hop(c, in);
	exchange_begin_initial(c, hop, in->m->cseq)->unseen = true;
	add_branch(c, in->marks.branch);
}

static void on_invite_response(struct signalling *s, struct call *c, const struct incoming *in)
{
	const struct sip_message *m = in->m;
	if (c->hops_count == 0)
		on_unseen_invite(c, in);
	uint8_t hop = find_hop(c, in->marks.from);
	struct exchange *x = NULL;
	if (hop != NOWHERE)
		x = exchange_find(c, hop, TRACK_CALLER, m->cseq, METHOD_INVITE);
	/* An attempt whose INVITE was not seen. */
	if (!x && hop != NOWHERE && m->cseq > c->hops[hop].cseq && c->known.state != CALL_TALKING)
		x = try_again(s, c, hop, in);
	/* A re-INVITE that we joined by may be refused: the dialog lives on (RFC 3261, 14.1). */
	bool survives = c->joined && m->status >= 300 && m->status != 481 && m->status != 408;
	if (!x || !x->initial || survives)
		on_offer_response(s, c, in);
	else if (m->status < 200)
		on_provisional(s, c, in, x);
	else if (m->status < 300)
		on_answer(s, c, in, x);
	else
		on_failure(s, c, in, x);
}

/* ---- ACK, CANCEL --------------------------------------------------------------------------- */

/* An ACK to a refusal has the branch of its INVITE, one to a 2xx has its own (RFC 3261, 17.1.1.3
 * and 13.2.2.4): so the answer may be known where only the caller's direction is mirrored. */
static bool tells_of_answer(const struct call *c, const struct incoming *in,
			    const struct exchange *x)
{
	return x->initial && c->known.state != CALL_TALKING && !c->pending.due_ns &&
	       !c->branches_full && in->marks.to != 0 && in->marks.branch != 0 &&
	       find_branch(c, in->marks.branch) == c->branches_count;
}

static void on_ack(struct signalling *s, struct call *c, const struct incoming *in)
{
	struct sender from = find_sender(c, &in->marks);
	struct exchange *x = NULL;
	if (from.hop != NOWHERE)
		x = exchange_find(c, from.hop, from.party, in->m->cseq, METHOD_INVITE);
	if (!x) {
		if (from.hop == NOWHERE)
			stray(s);
		return;
	}
	bool answer = describe(s, c, in, x, from.party, from.leg);
	if (answer && x->accepted)
		exchange_accept(s, c, x, in->ts_ns);
	if (!tells_of_answer(c, in, x))
		return;
	uint8_t leg = add_leg(c, x->hop, in->marks.to);
	if (leg == NO_LEG)
		return;
	c->legs[leg].state = LEG_CONFIRMED;
	c->hops[x->hop].winner = leg;
	exchange_accept(s, c, x, in->ts_ns);
	(void)state_event(s, c, &(struct event){ .kind = EVENT_ANSWERED, .ts_ns = in->ts_ns });
}

/* A CANCEL has the branch of the INVITE that it cancels (RFC 3261, 9.1). */
static void on_cancel(struct signalling *s, struct call *c, const struct incoming *in)
{
	struct sender from = find_sender(c, &in->marks);
	if (from.hop == NOWHERE) {
		stray(s);
		return;
	}
	if (from.party == TRACK_CALLEE || in->m->cseq != c->hops[from.hop].cseq)
		return; /* of a re-INVITE: its 487 undoes the offer */
	unsigned i = find_branch(c, in->marks.branch);
	if (i == c->branches_count)
		i = 0;
	if (c->branches_count > 0)
		c->branches[i].cancelled = true;
	if (i == 0)
		(void)state_event(s, c,
				  &(struct event){ .kind = EVENT_CANCELLED, .ts_ns = in->ts_ns });
}

/* ---- BYE ------------------------------------------------------------------------------------ */

static const struct bye *find_bye(const struct call *c, enum track by, uint32_t cseq)
{
	for (unsigned i = 0; i < c->byes_count; i++)
		if (c->byes[i].by == by && c->byes[i].cseq == cseq)
			return &c->byes[i];
	return NULL;
}

/* Does a BYE with these tags end something of this call?  *leg: only this leg, or NO_LEG.
 *
 * Where the answer was seen, both tags must be its own.  A BYE to another leg ends that leg: a
 * fork's early dialog, or an answer that came second.  Where no answer was seen the callee's tag
 * is not known, and the caller's has to do. */
static bool bye_matches(const struct call *c, const struct marks *marks, const struct sender *from,
			uint8_t *leg)
{
	*leg = NO_LEG;
	if (from->hop == NOWHERE)
		return false;
	uint64_t caller = c->hops[from->hop].caller_tag;
	if (caller != (from->party == TRACK_CALLER ? marks->from : marks->to))
		return false;
	if (from->leg == NO_LEG)
		return c->hops[from->hop].winner == NO_LEG;
	if (from->leg != c->hops[from->hop].winner)
		*leg = from->leg;
	return true;
}

static void on_bye(struct signalling *s, struct call *c, const struct incoming *in)
{
	struct sender from = find_sender(c, &in->marks);
	uint8_t leg;
	if (!bye_matches(c, &in->marks, &from, &leg)) {
		stray(s);
		return;
	}
	if (find_bye(c, from.party, in->m->cseq))
		return;
	(void)state_event(s, c,
			  &(struct event){ .kind = EVENT_BYE,
					   .ts_ns = in->ts_ns,
					   .bye = { .at_ns = in->ts_ns,
						    .cseq = in->m->cseq,
						    .by = (uint8_t)from.party,
						    .leg = leg } });
}

bool dialog_bye_over(struct signalling *s, struct call *c, const struct bye *b)
{
	struct event e = { .kind = EVENT_BYE_DONE, .ts_ns = b->at_ns, .bye = *b };
	if (b->leg == NO_LEG)
		return state_event(s, c, &e);
	c->legs[b->leg].state = LEG_ENDED;
	e.kind = EVENT_BYE_CHALLENGED; /* as far as the call is concerned it goes on */
	return state_event(s, c, &e);
}

static void on_bye_response(struct signalling *s, struct call *c, const struct incoming *in)
{
	uint32_t status = in->m->status;
	struct sender from = find_sender(c, &in->marks);
	struct bye b = { .at_ns = in->ts_ns, .cseq = in->m->cseq, .by = (uint8_t)from.party };
	if (status < 200)
		return;
	if (!bye_matches(c, &in->marks, &from, &b.leg)) {
		stray(s);
		return;
	}
	const struct bye *sent = find_bye(c, from.party, in->m->cseq);
	if (sent)
		b = *sent;
	/* Accepted, or answered by one that no longer knows the dialog (RFC 3261, 15.1.1); refused in any other way, the
	 * call goes on. */
	bool over = status < 300 || status == 408 || status == 481;
	if (!over)
		(void)state_event(s, c,
				  &(struct event){ .kind = EVENT_BYE_CHALLENGED,
						   .ts_ns = in->ts_ns,
						   .bye = b });
	else if (sent || status < 300) /* its BYE may have passed where the mirror does not look */
		(void)dialog_bye_over(s, c, &b);
}

/* ---- the rest ------------------------------------------------------------------------------ */

/* INFO, NOTIFY, REFER: by one party, not about the dialog. */
static void on_other(struct signalling *s, struct call *c, const struct incoming *in)
{
	struct sender from = find_sender(c, &in->marks);
	if (from.hop == NOWHERE)
		stray(s);
	else if (in->m->method == METHOD_REFER)
		transfer_refer(s, c, in, from.party);
	else
		digits_message(c, in, from.party);
}

typedef void handler(struct signalling *s, struct call *c, const struct incoming *in);

/* Methods that stand in no row only show that the call is alive. */
static const struct {
	handler *request, *response;
} handlers[] = {
	[METHOD_INVITE] = { on_invite, on_invite_response },
	[METHOD_ACK] = { on_ack, NULL },
	[METHOD_BYE] = { on_bye, on_bye_response },
	[METHOD_CANCEL] = { on_cancel, NULL },
	[METHOD_PRACK] = { on_offer, on_offer_response },
	[METHOD_UPDATE] = { on_offer, on_offer_response },
	[METHOD_REFER] = { on_other, NULL },
	[METHOD_INFO] = { on_other, NULL },
	[METHOD_NOTIFY] = { on_other, NULL },
};

void dialog_message(struct signalling *s, struct call *c, const struct incoming *in)
{
	const struct sip_message *m = in->m;
	if (m->method >= sizeof handlers / sizeof *handlers)
		return;
	handler *h = m->request ? handlers[m->method].request : handlers[m->method].response;
	if (h)
		h(s, c, in);
}

const struct bye *dialog_begins_anew(const struct call *c, const struct incoming *in)
{
	if (!in->m->request || in->m->method != METHOD_INVITE || in->marks.to != 0 ||
	    c->known.state != CALL_TALKING)
		return NULL;
	uint8_t hop = find_hop(c, in->marks.from);
	if (hop != NOWHERE && in->m->cseq <= c->hops[hop].cseq)
		return NULL;
	for (unsigned i = 0; i < c->byes_count; i++)
		if (c->byes[i].leg == NO_LEG)
			return &c->byes[i];
	return NULL;
}
