/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_state.c: every pair of state and event, against the table written out once more. */
#include "sip_lab.h"

#include "sip/call.h"
#include "sip/state.h"

#define EVENTS (EVENT_CAPTURE_END + 1)

/* What becomes of a call: T trying, R ringing, A talking, X ended; '.': nothing happens. */
static const struct {
	enum event_kind event;
	char from_trying, from_ringing, from_talking;
} wanted[EVENTS] = {
	{ EVENT_INVITED_AGAIN, 'T', 'R', '.' }, { EVENT_RINGING, 'R', '.', '.' },
	{ EVENT_ANSWERED, 'A', 'A', '.' },      { EVENT_CHALLENGED, 'T', 'R', '.' },
	{ EVENT_REFUSED, 'X', 'X', '.' },       { EVENT_CANCELLED, 'T', 'R', '.' },
	{ EVENT_BYE, 'T', 'R', 'A' },           { EVENT_BYE_CHALLENGED, 'T', 'R', 'A' },
	{ EVENT_BYE_DONE, 'X', 'X', 'X' },      { EVENT_OVERDUE, 'X', 'X', '.' },
	{ EVENT_SILENT, 'X', 'X', 'X' },        { EVENT_EXPLAINED, '.', '.', 'X' },
	{ EVENT_CAPTURE_END, 'X', 'X', 'X' },
};

/* An open call in this state, driven there by messages. */
static struct call *call_in(struct sip_lab *l, enum call_state state)
{
	lab_init(l);
	say(l, 0, "INVITE 1 a - z1", NULL);
	if (state != CALL_TRYING)
		say(l, 100, "180 INVITE 1 a b z1", NULL);
	if (state == CALL_TALKING)
		say(l, 200, "200 INVITE 1 a b z1", NULL);
	l->log[0] = '\0';
	struct call *c = l->s->calls[l->call & UINT32_MAX];
	assert_non_null(c);
	assert_int_equal(c->known.state, state);
	return c;
}

static struct event event_of(enum event_kind kind)
{
	return (struct event){ .kind = kind,
			       .ts_ns = at_ms(5000),
			       .status = 486,
			       .bye = { .at_ns = at_ms(5000), .cseq = 9, .leg = NO_LEG } };
}

static void check(enum call_state state, enum event_kind kind, char want)
{
	static const enum call_state states[128] = {
		['T'] = CALL_TRYING, ['R'] = CALL_RINGING, ['A'] = CALL_TALKING
	};
	struct sip_lab l;
	struct call *c = call_in(&l, state);
	struct event e = event_of(kind);
	struct known before = c->known;
	bool open = state_event(l.s, c, &e);
	if (open == (want == 'X'))
		fail_msg("state %d, event %d: open %d", (int)state, (int)kind, open);
	if (want == '.') {
		assert_memory_equal(&before, &c->known, sizeof before);
		assert_int_equal(c->pending.due_ns, 0);
		assert_int_equal(c->byes_count, 0);
	} else if (open) {
		assert_int_equal(c->known.state, states[(int)want]);
	} else {
		assert_int_equal(l.last.state, CALL_ENDED);
		assert_int_equal(signalling_calls(l.s), 0);
		/* Without anything pending, EVENT_OVERDUE has no outcome to give; it is not
		 * raised then.  EVENT_EXPLAINED is raised for calls without any. */
		if (kind != EVENT_OVERDUE && kind != EVENT_EXPLAINED)
			assert_int_not_equal(l.last.outcome, OUTCOME_NONE);
	}
	lab_free(&l);
}

static void every_state_answers_every_event_as_the_table_says(void **state)
{
	(void)state;
	for (int i = 0; i < EVENTS; i++) {
		assert_int_equal(wanted[i].event, i);
		check(CALL_TRYING, wanted[i].event, wanted[i].from_trying);
		check(CALL_RINGING, wanted[i].event, wanted[i].from_ringing);
		check(CALL_TALKING, wanted[i].event, wanted[i].from_talking);
	}
}

static void waiting_is_over_when_the_caller_tries_again(void **state)
{
	(void)state;
	struct sip_lab l;
	struct call *c = call_in(&l, CALL_TRYING);
	struct event e = event_of(EVENT_CHALLENGED);
	assert_true(state_event(l.s, c, &e));
	assert_int_equal(c->pending.due_ns, at_ms(5000) + STATE_RETRY_NS);
	assert_int_equal(c->known.sip_status, 486);
	e = event_of(EVENT_INVITED_AGAIN);
	assert_true(state_event(l.s, c, &e));
	assert_int_equal(c->pending.due_ns, 0);
	assert_int_equal(c->known.sip_status, 0);
	lab_free(&l);
}

static void noted_bye_is_dropped_when_challenged(void **state)
{
	(void)state;
	struct sip_lab l;
	struct call *c = call_in(&l, CALL_TALKING);
	struct event e = event_of(EVENT_BYE);
	assert_true(state_event(l.s, c, &e));
	assert_int_equal(c->byes_count, 1);
	e.bye.cseq = 10;
	e.kind = EVENT_BYE_CHALLENGED;
	assert_true(state_event(l.s, c, &e));
	assert_int_equal(c->byes_count, 1);
	e.bye.cseq = 9;
	assert_true(state_event(l.s, c, &e));
	assert_int_equal(c->byes_count, 0);
	lab_free(&l);
}

static void silence_after_a_bye_ends_the_call_at_the_bye(void **state)
{
	(void)state;
	struct sip_lab l;
	struct call *c = call_in(&l, CALL_TALKING);
	struct event e = event_of(EVENT_BYE);
	assert_true(state_event(l.s, c, &e));
	e = event_of(EVENT_SILENT);
	assert_false(state_event(l.s, c, &e));
	told(&l, "forget all until 5000\nrecord ended answered caller 5000\ndone\n");
	lab_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_answers_every_event_as_the_table_says),
		cmocka_unit_test(waiting_is_over_when_the_caller_tries_again),
		cmocka_unit_test(noted_bye_is_dropped_when_challenged),
		cmocka_unit_test(silence_after_a_bye_ends_the_call_at_the_bye),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
