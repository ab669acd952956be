/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* state.c: the life of a call, as a table.  Signalling thread.
 *
 *            180, 183            2xx
 *   TRYING ───────────► RINGING ──────► TALKING
 *      │  └──────────2xx───────────────►   │
 *      │ final response,   │               │ BYE accepted or
 *      │ CANCEL + 487      │               │ unanswered
 *      └─────────────► ENDED ◄─────────────┘      (and from any state: silence, the capture's end)
 *
 * Actions fill the call's record; when the next state is ENDED they also say when
 * it ended and from when on nothing belongs to it.
 */
#include "sip/state.h"

#include "base/list.h"
#include "sip/calls.h"
#include "sip/orphan.h"

/* ---- actions ----------------------------------------------------------------------------- */

typedef void action(struct signalling *s, struct call *c, const struct event *e);

static void end(struct call *c, enum call_outcome outcome, enum call_ended_by by, int64_t at_ns)
{
	c->known.outcome = (uint8_t)outcome;
	c->known.ended_by = (uint8_t)by;
	c->end_ns = at_ns;
	c->until_ns = at_ns;
}

static void wait_for(struct call *c, const struct event *e, int64_t wait_ns,
		     enum call_outcome outcome, enum call_ended_by by)
{
	c->pending = (struct ending){ .due_ns = e->ts_ns + wait_ns,
				      .at_ns = e->ts_ns,
				      .outcome = (uint8_t)outcome,
				      .by = (uint8_t)by };
}

static void go_on(struct signalling *s, struct call *c, const struct event *e)
{
	(void)s, (void)e;
	c->pending.due_ns = 0;
	c->challenged = false;
	c->known.sip_status = 0;
}

static void ring(struct signalling *s, struct call *c, const struct event *e)
{
	(void)s;
	if (c->pending.outcome != OUTCOME_CANCELLED) /* a 180 may cross a CANCEL */
		c->pending.due_ns = 0;
	c->known.ring_us = us_of(e->ts_ns);
	c->changed = true;
}

/* Drop the BYEs noted that were meant for the call, not for one of its legs. */
static void drop_call_byes(struct call *c)
{
	for (unsigned i = c->byes_count; i > 0; i--)
		if (c->byes[i - 1].leg == NO_LEG)
			c->byes[i - 1] = c->byes[--c->byes_count];
}

/* A BYE noted before was to no dialog of this answer: it cannot end the call before it began. */
static void answer(struct signalling *s, struct call *c, const struct event *e)
{
	drop_call_byes(c);
	c->pending.due_ns = 0;
	c->known.answer_us = us_of(e->ts_ns);
	c->known.sip_status = e->status;
	c->known.outcome = OUTCOME_ANSWERED;
	c->changed = true;
	count(s->cfg.counters, COUNT_CALLS_ANSWERED);
}

static void wait_for_retry(struct signalling *s, struct call *c, const struct event *e)
{
	bool room = s->free_count > s->cfg.max_calls / 2;
	c->known.sip_status = e->status;
	c->challenged = true;
	wait_for(c, e, room ? STATE_RETRY_NS : STATE_WAIT_NS, OUTCOME_FAILED, ENDED_BY_CALLEE);
}

/* RFC 3261, 9.1: a 487 follows; without it the INVITE counts as cancelled all the same. */
static void wait_for_487(struct signalling *s, struct call *c, const struct event *e)
{
	(void)s;
	if (!c->pending.due_ns)
		wait_for(c, e, STATE_WAIT_NS, OUTCOME_CANCELLED, ENDED_BY_CALLER);
}

static void refuse(struct signalling *s, struct call *c, const struct event *e)
{
	(void)s;
	c->known.sip_status = e->status;
	if (c->branches_count > 0 && c->branches[0].cancelled)
		end(c, OUTCOME_CANCELLED, ENDED_BY_CALLER, e->ts_ns);
	else if (e->status == 408) /* Request Timeout: nobody took the call */
		end(c, OUTCOME_UNANSWERED, ENDED_BY_TIMEOUT, e->ts_ns);
	else
		end(c, OUTCOME_FAILED, ENDED_BY_CALLEE, e->ts_ns);
}

static void note_bye(struct signalling *s, struct call *c, const struct event *e)
{
	(void)s;
	if (c->byes_count == CALL_BYES)
		return;
	c->byes = list_room(c->byes, c->byes_count, sizeof *c->byes);
	c->byes[c->byes_count++] = e->bye;
}

static void drop_bye(struct signalling *s, struct call *c, const struct event *e)
{
	(void)s;
	for (unsigned i = c->byes_count; i > 0; i--)
		if (c->byes[i - 1].by == e->bye.by && c->byes[i - 1].cseq == e->bye.cseq)
			c->byes[i - 1] = c->byes[--c->byes_count];
}

/* Where the answer was not seen, a BYE still tells that there was one. */
static void hang_up(struct signalling *s, struct call *c, const struct event *e)
{
	(void)s;
	end(c, OUTCOME_ANSWERED, e->bye.by == TRACK_CALLER ? ENDED_BY_CALLER : ENDED_BY_CALLEE,
	    e->bye.at_ns);
}

static void give_up(struct signalling *s, struct call *c, const struct event *e)
{
	(void)s, (void)e;
	end(c, c->pending.outcome, c->pending.by, c->pending.at_ns);
}

/* What was still to come when nothing more comes: an unanswered BYE counts, a wait is over.
 * True when that ended the call. */
static bool settle(struct call *c)
{
	for (unsigned i = 0; i < c->byes_count; i++) {
		if (c->byes[i].leg != NO_LEG)
			continue;
		hang_up(NULL, c, &(struct event){ .bye = c->byes[i] });
		return true;
	}
	if (!c->pending.due_ns)
		return false;
	give_up(NULL, c, NULL);
	return true;
}

static enum call_outcome outcome_now(const struct call *c)
{
	if (c->orphan)
		return OUTCOME_NONE; /* nobody saw whether it was answered */
	return c->known.state == CALL_TALKING || c->joined ? OUTCOME_ANSWERED : OUTCOME_UNANSWERED;
}

/* Media is reported every few seconds only, so what came last may be later than what we know
 * of: the call keeps everything up to the time-out. */
static void time_out(struct signalling *s, struct call *c, const struct event *e)
{
	(void)e;
	count(s->cfg.counters, COUNT_CALLS_TIMED_OUT);
	if (settle(c))
		return;
	end(c, outcome_now(c), ENDED_BY_TIMEOUT, c->last_ns);
	c->until_ns = c->last_ns + (c->orphan ? ORPHAN_SILENCE_NS : s->cfg.call_timeout_ns);
}

/* Its media belongs to a call with signalling from now on. */
static void give_way(struct signalling *s, struct call *c, const struct event *e)
{
	(void)s;
	end(c, OUTCOME_NONE, ENDED_BY_TIMEOUT, e->ts_ns > c->start_ns ? e->ts_ns : c->start_ns);
}

static void cut_off(struct signalling *s, struct call *c, const struct event *e)
{
	(void)s;
	if (!settle(c))
		end(c, outcome_now(c), ENDED_BY_CAPTURE_END, e->ts_ns);
}

/* ---- the table ----------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
	enum call_state state;
	enum event_kind event;
	enum call_state next;
	action *action;
} transitions[] = {
	{ CALL_TRYING,  EVENT_INVITED_AGAIN,  CALL_TRYING,  go_on },
	{ CALL_TRYING,  EVENT_RINGING,        CALL_RINGING, ring },
	{ CALL_TRYING,  EVENT_ANSWERED,       CALL_TALKING, answer },
	{ CALL_TRYING,  EVENT_CHALLENGED,     CALL_TRYING,  wait_for_retry },
	{ CALL_TRYING,  EVENT_REFUSED,        CALL_ENDED,   refuse },
	{ CALL_TRYING,  EVENT_CANCELLED,      CALL_TRYING,  wait_for_487 },
	{ CALL_TRYING,  EVENT_BYE,            CALL_TRYING,  note_bye },
	{ CALL_TRYING,  EVENT_BYE_CHALLENGED, CALL_TRYING,  drop_bye },
	{ CALL_TRYING,  EVENT_BYE_DONE,       CALL_ENDED,   hang_up },
	{ CALL_TRYING,  EVENT_OVERDUE,        CALL_ENDED,   give_up },
	{ CALL_TRYING,  EVENT_SILENT,         CALL_ENDED,   time_out },
	{ CALL_TRYING,  EVENT_CAPTURE_END,    CALL_ENDED,   cut_off },

	{ CALL_RINGING, EVENT_INVITED_AGAIN,  CALL_RINGING, go_on },
	{ CALL_RINGING, EVENT_ANSWERED,       CALL_TALKING, answer },
	{ CALL_RINGING, EVENT_CHALLENGED,     CALL_RINGING, wait_for_retry },
	{ CALL_RINGING, EVENT_REFUSED,        CALL_ENDED,   refuse },
	{ CALL_RINGING, EVENT_CANCELLED,      CALL_RINGING, wait_for_487 },
	{ CALL_RINGING, EVENT_BYE,            CALL_RINGING, note_bye },
	{ CALL_RINGING, EVENT_BYE_CHALLENGED, CALL_RINGING, drop_bye },
	{ CALL_RINGING, EVENT_BYE_DONE,       CALL_ENDED,   hang_up },
	{ CALL_RINGING, EVENT_OVERDUE,        CALL_ENDED,   give_up },
	{ CALL_RINGING, EVENT_SILENT,         CALL_ENDED,   time_out },
	{ CALL_RINGING, EVENT_CAPTURE_END,    CALL_ENDED,   cut_off },

	{ CALL_TALKING, EVENT_BYE,            CALL_TALKING, note_bye },
	{ CALL_TALKING, EVENT_BYE_CHALLENGED, CALL_TALKING, drop_bye },
	{ CALL_TALKING, EVENT_BYE_DONE,       CALL_ENDED,   hang_up },
	{ CALL_TALKING, EVENT_SILENT,         CALL_ENDED,   time_out },
	{ CALL_TALKING, EVENT_EXPLAINED,      CALL_ENDED,   give_way },
	{ CALL_TALKING, EVENT_CAPTURE_END,    CALL_ENDED,   cut_off },
};
/* clang-format on */

bool state_event(struct signalling *s, struct call *c, const struct event *e)
{
	for (size_t i = 0; i < sizeof transitions / sizeof *transitions; i++) {
		if (transitions[i].state != c->known.state || transitions[i].event != e->kind)
			continue;
		transitions[i].action(s, c, e);
		if (c->known.state != transitions[i].next)
			c->changed = true;
		c->known.state = (uint8_t)transitions[i].next;
		if (c->known.state != CALL_ENDED)
			return true;
		calls_close(s, c);
		return false;
	}
	return true;
}
