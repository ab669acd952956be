/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_hops.c: forks, proxies, B2BUAs, retransmissions and messages of no call. */
#include "sip_lab.h"

/* ---- forks, proxies, B2BUAs ------------------------------------------------------------------ */

static void first_leg_to_answer_is_the_recording(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(&l, 100, "183 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	say(&l, 200, "183 INVITE 1 a c z1", sdp("10.0.0.3", 6000));
	say(&l, 1000, "200 INVITE 1 a c z1", sdp("10.0.0.3", 6000));
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n"
		 "expect callee 10.0.0.2:5000 from 0 pt 0\nrecord ringing\n"
		 "expect callee 10.0.0.3:6000 from 0 pt 0\nrecord talking\n");
	say(&l, 1100, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	say(&l, 1200, "BYE 2 a b y1", NULL);
	say(&l, 1210, "200 BYE 2 a b y1", NULL);
	tick(&l, 3000);
	told(&l, "forget 10.0.0.2:5000 until 1500\n");
	assert_int_equal(l.last.state, CALL_TALKING);
	say(&l, 4000, "BYE 3 a c y2", NULL);
	say(&l, 4010, "200 BYE 3 a c y2", NULL);
	told(&l, "forget all until 4000\nrecord ended answered caller 4000\ndone\n");
	lab_free(&l);
}

static void bye_to_an_early_leg_ends_only_this_leg(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 100, "180 INVITE 1 a b z1", NULL);
	say(&l, 200, "180 INVITE 1 a c z1", NULL);
	say(&l, 300, "BYE 2 a b y1", NULL);
	say(&l, 310, "200 BYE 2 a b y1", NULL);
	tick(&l, 40000);
	say(&l, 41000, "200 INVITE 1 a c z1", NULL);
	told(&l, "open\nrecord trying\nrecord ringing\nrecord talking\n");
	lab_free(&l);
}

static void refusal_beyond_a_proxy_is_not_the_calls(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(&l, 1, "INVITE 1 a - p1", sdp("10.0.0.1", 4000)); /* the proxy's first target */
	say(&l, 100, "486 INVITE 1 a b p1", NULL);
	say(&l, 101, "ACK 1 a b p1", NULL);
	say(&l, 110, "INVITE 1 a - p2", sdp("10.0.0.1", 4000)); /* its second */
	say(&l, 200, "200 INVITE 1 a c p2", sdp("10.0.0.3", 6000));
	say(&l, 201, "200 INVITE 1 a c z1", sdp("10.0.0.3", 6000));
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n"
		 "expect callee 10.0.0.3:6000 from 0 pt 0\nrecord talking\n");
	assert_int_equal(ms_of_us(l.last.answer_us), 200);
	lab_free(&l);
}

static void refusal_on_both_sides_of_a_proxy_ends_the_call_once(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 1, "INVITE 1 a - p1", NULL);
	say(&l, 50, "CANCEL 1 a - z1", NULL);
	say(&l, 51, "CANCEL 1 a - p1", NULL);
	say(&l, 60, "487 INVITE 1 a b p1", NULL);
	say(&l, 61, "487 INVITE 1 a b z1", NULL);
	told(&l,
	     "open\nrecord trying\nforget all until 61\nrecord ended cancelled caller 61\ndone\n");
	lab_free(&l);
}

static void rewritten_sdp_on_both_sides_is_expected(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(&l, 1, "INVITE 1 a - p1", sdp("10.9.9.9", 30000));
	say(&l, 100, "200 INVITE 1 a b p1", sdp("10.0.0.2", 5000));
	say(&l, 101, "200 INVITE 1 a b z1", sdp("10.9.9.9", 30002));
	say(&l, 110, "ACK 1 a b z2", NULL);
	tick(&l, 5000);
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n"
		 "expect caller 10.9.9.9:30000 from 0 pt 0\n"
		 "expect callee 10.0.0.2:5000 from 0 pt 0\nrecord talking\n"
		 "expect callee 10.9.9.9:30002 from 0 pt 0\n");
	/* A re-INVITE that moves nothing crosses both sides: no endpoint is lost on the way. */
	say(&l, 6000, "INVITE 2 a b z3", sdp("10.0.0.1", 4000));
	say(&l, 6001, "INVITE 2 a b p3", sdp("10.9.9.9", 30000));
	say(&l, 6100, "200 INVITE 2 a b p3", sdp("10.0.0.2", 5000));
	say(&l, 6101, "200 INVITE 2 a b z3", sdp("10.9.9.9", 30002));
	tick(&l, 9000);
	told(&l, "");
	lab_free(&l);
}

static void b2bua_that_keeps_the_call_id_makes_no_second_call(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(&l, 1, "INVITE 101 x - p1", sdp("10.9.9.9", 30000));
	say(&l, 100, "200 INVITE 101 x y p1", sdp("10.0.0.2", 5000));
	say(&l, 101, "200 INVITE 1 a b z1", sdp("10.9.9.9", 30002));
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n"
		 "expect caller 10.9.9.9:30000 from 0 pt 0\n"
		 "expect callee 10.0.0.2:5000 from 0 pt 0\nrecord talking\n"
		 "expect callee 10.9.9.9:30002 from 0 pt 0\n");
	say(&l, 4000, "INVITE 2 a b z3",
	    sdp("10.0.0.1", 4400)); /* the caller moves, the far side stays */
	say(&l, 4100, "200 INVITE 2 a b z3", sdp("10.9.9.9", 30002));
	tick(&l, 5000);
	told(&l, "expect caller 10.0.0.1:4400 from 4000 pt 0\nforget 10.0.0.1:4000 until 4600\n");
	say(&l, 9000, "BYE 3 a b y1", NULL);
	say(&l, 9010, "200 BYE 3 a b y1", NULL);
	say(&l, 9011, "BYE 102 x y p4", NULL);
	say(&l, 9012, "200 BYE 102 x y p4", NULL);
	told(&l, "forget all until 9000\nrecord ended answered caller 9000\ndone\n");
	assert_int_equal(counted(&l, COUNT_CALLS), 1);
	lab_free(&l);
}

/* ---- sent again, late, unknown --------------------------------------------------------------- */

static void every_message_mirrored_twice_changes_nothing(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	for (int i = 0; i < 2; i++)
		say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	for (int i = 0; i < 2; i++)
		say(&l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	for (int i = 0; i < 2; i++)
		say(&l, 5000, "BYE 2 a b z3", NULL);
	for (int i = 0; i < 2; i++)
		say(&l, 5020, "200 BYE 2 a b z3", NULL);
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n"
		 "expect callee 10.0.0.2:5000 from 0 pt 0\nrecord talking\n"
		 "forget all until 5000\nrecord ended answered caller 5000\ndone\n");
	assert_int_equal(counted(&l, COUNT_SIP_RETRANSMITTED), 3);
	lab_free(&l);
}

static void ended_call_id_creates_nothing_for_64_s(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "BYE 2 a b y1", NULL);
	say(&l, 3010, "200 BYE 2 a b y1", NULL);
	l.log[0] = '\0';
	say(&l, 3100, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(&l, 3200, "INVITE 5 a b z9", sdp("10.0.0.1", 4000));
	say(&l, 3300, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	say(&l, 60000, "BYE 2 a b y1", NULL);
	told(&l, "");
	assert_int_equal(counted(&l, COUNT_SIP_STRAY), 0);
	say(&l, 70000, "BYE 2 a b y1", NULL);
	assert_int_equal(counted(&l, COUNT_SIP_STRAY), 1);
	told(&l, "");
	lab_free(&l);
}

static void call_id_used_again_is_a_new_call(void **state)
{
	(void)state;
	static const char *const again[] = { "INVITE 1 a9 - z9", "INVITE 2 a - z9" };
	for (int i = 0; i < 2; i++) {
		struct sip_lab l;
		lab_talking(&l);
		say(&l, 3000, "BYE 2 a b y1", NULL);
		say(&l, 3010, "200 BYE 2 a b y1", NULL);
		l.log[0] = '\0';
		say(&l, 4000, again[i], sdp("10.0.0.1", 4000));
		told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 4000 pt 0\n");
		assert_int_equal(counted(&l, COUNT_CALLS), 2);
		signalling_finish(l.s, at_ms(5000));
		assert_int_equal(signalling_calls(l.s), 0);
		lab_free(&l);
	}
}

static void call_id_used_again_after_an_unanswered_bye_is_a_new_call(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "BYE 2 a b y1", NULL);
	say(&l, 4000, "INVITE 1 a9 - z9", NULL);
	told(&l, "forget all until 3000\nrecord ended answered caller 3000\ndone\n"
		 "open\nrecord trying\n");
	lab_free(&l);
}

static void messages_of_no_call_are_stray(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "BYE 2 a b y1", NULL);
	say(&l, 0, "ACK 2 a b y1", NULL);
	say(&l, 0, "CANCEL 2 a - y1", NULL);
	say(&l, 0, "200 INVITE 2 a b y1", NULL);
	say(&l, 0, "INFO 2 a b y1", NULL);
	say(&l, 0, "REFER 2 a b y1", NULL);
	assert_int_equal(counted(&l, COUNT_SIP_STRAY), 6);
	say(&l, 0, "OPTIONS 2 a - y1", NULL);
	say(&l, 0, "200 REGISTER 2 a b y1", NULL);
	say(&l, 0, "REFER 2 a - y1", NULL);
	assert_int_equal(counted(&l, COUNT_SIP_STRAY), 6);
	told(&l, "");
	lab_free(&l);
}

static void answer_to_an_unseen_invite_begins_its_call(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "183 INVITE 1 a b y1", sdp("10.0.0.2", 5000));
	told(&l, "open\nrecord trying\nexpect callee 10.0.0.2:5000 from 0 pt 0\nrecord ringing\n");
	say(&l, 1000, "200 INVITE 1 a b y1", sdp("10.0.0.2", 5000));
	told(&l, "record talking\n");
	say(&l, 3000, "200 BYE 2 b a y2", NULL);
	told(&l, "forget all until 3000\nrecord ended answered callee 3000\ndone\n");
	assert_int_equal(counted(&l, COUNT_SIP_STRAY), 0);
	lab_free(&l);
}

static void identity_asserted_in_an_answer_is_not_the_callers(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	l.from = "<sip:anonymous@anonymous.invalid>";
	l.extra = "P-Asserted-Identity: <sip:200@lab>\r\n";
	say(&l, 0, "200 INVITE 1 a b y1", sdp("10.0.0.2", 5000));
	assert_string_equal(l.last.from, "anonymous");
	lab_free(&l);
}

static void reinvite_of_an_unknown_dialog_joins_late(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 7 a b z1", sdp("10.0.0.1", 4000));
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n");
	say(&l, 100, "488 INVITE 7 a b z1", NULL);
	told(&l, "forget 10.0.0.1:4000 until 100\n");
	say(&l, 1000, "INVITE 8 a b z2", sdp("10.0.0.1", 4000));
	say(&l, 1100, "200 INVITE 8 a b z2", sdp("10.0.0.2", 5000));
	told(&l, "expect caller 10.0.0.1:4000 from 1000 pt 0\n"
		 "expect callee 10.0.0.2:5000 from 1000 pt 0\nrecord talking\n");
	assert_int_equal(l.last.coverage_count, 1);
	assert_string_equal(l.last.coverage[0], "mid-call");
	assert_int_equal(ms_of_us(l.last.answer_us), 1100);
	say(&l, 2000, "BYE 4 b a z2", NULL);
	say(&l, 2010, "200 BYE 4 b a z2", NULL);
	told(&l, "forget all until 2000\nrecord ended answered callee 2000\ndone\n");
	lab_free(&l);
}

static void retry_whose_invite_was_not_seen_goes_on(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 10, "401 INVITE 1 a p z1", NULL);
	say(&l, 500, "180 INVITE 2 a b z2", NULL);
	tick(&l, 40000);
	say(&l, 41000, "200 INVITE 2 a b z2", sdp("10.0.0.2", 5000));
	told(&l, "open\nrecord trying\nrecord ringing\n"
		 "expect callee 10.0.0.2:5000 from 0 pt 0\nrecord talking\n");
	lab_free(&l);
}

static void retry_with_only_a_new_branch_is_the_same_call(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 10, "401 INVITE 1 a p z1", NULL);
	say(&l, 20, "INVITE 1 a - z2", NULL);
	tick(&l, 40000);
	told(&l, "open\nrecord trying\n");
	lab_free(&l);
}

static void late_refusal_of_an_earlier_attempt_changes_nothing(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 10, "401 INVITE 1 a p z1", NULL);
	say(&l, 20, "INVITE 2 a - z2", NULL);
	say(&l, 30, "403 INVITE 1 a q z1", NULL);
	say(&l, 40, "INVITE 1 a - z9", NULL); /* an old one, on some other way */
	told(&l, "open\nrecord trying\n");
	assert_int_equal(counted(&l, COUNT_SIP_STRAY), 1);
	lab_free(&l);
}

static void proxys_copy_of_a_bye_does_not_move_the_end(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "BYE 2 a b y1", NULL);
	say(&l, 3005, "BYE 2 a b p1", NULL);
	say(&l, 3010, "200 BYE 2 a b p1", NULL);
	say(&l, 3015, "200 BYE 2 a b y1", NULL);
	told(&l, "forget all until 3000\nrecord ended answered caller 3000\ndone\n");
	lab_free(&l);
}

static void messages_with_strange_tags_are_stray(void **state)
{
	(void)state;
	static const char *const strange[] = {
		"INVITE 2 x y y1", "UPDATE 2 x y y1", "200 UPDATE 2 x y y1", "ACK 2 x y y1",
		"CANCEL 1 x - y1", "INFO 2 x y y1",   "BYE 2 x y y1",
	};
	struct sip_lab l;
	lab_talking(&l);
	for (unsigned i = 0; i < sizeof strange / sizeof *strange; i++) {
		say(&l, 2000, strange[i], NULL);
		assert_int_equal(counted(&l, COUNT_SIP_STRAY), i + 1);
	}
	told(&l, "");
	lab_free(&l);
}

static void caller_whose_tag_is_not_known_is_told_by_the_callees(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 2000, "UPDATE 2 b x y1", sdp("10.0.0.2", 5500));
	say(&l, 2010, "200 UPDATE 2 b x y1", NULL);
	tick(&l, 3000);
	told(&l, "expect callee 10.0.0.2:5500 from 2000 pt 0\nforget 10.0.0.2:5000 until 2510\n");
	lab_free(&l);
}

static void call_without_any_tags_is_followed(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 - - -", sdp("10.0.0.1", 4000));
	say(&l, 1000, "200 INVITE 1 - - -", sdp("10.0.0.2", 5000));
	say(&l, 1010, "ACK 1 - - -", NULL);
	say(&l, 5000, "BYE 2 - - -", NULL);
	say(&l, 5010, "200 BYE 2 - - -", NULL);
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n"
		 "expect callee 10.0.0.2:5000 from 0 pt 0\nrecord talking\n"
		 "forget all until 5000\nrecord ended answered caller 5000\ndone\n");
	lab_free(&l);
}

static void more_hops_legs_and_branches_than_we_follow_do_no_harm(void **state)
{
	(void)state;
	struct sip_lab l;
	char text[64];
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof text, "INVITE 1 a%d - z%d", i, i);
		say(&l, 1, text, NULL);
		snprintf(text, sizeof text, "INVITE 1 a - b%d", i);
		say(&l, 1, text, NULL);
		snprintf(text, sizeof text, "181 INVITE 1 a l%d z1", i);
		say(&l, 2, text, NULL);
	}
	/* An ACK tells of no answer now: its branch may be one that we did not keep. */
	say(&l, 3, "ACK 1 a l1 y1", NULL);
	told(&l, "open\nrecord trying\n");
	assert_int_equal(counted(&l, COUNT_SIP_STRAY), 40 - 3);
	say(&l, 100, "200 INVITE 1 a last z1", NULL);
	say(&l, 200, "BYE 2 a last y1", NULL);
	say(&l, 210, "200 BYE 2 a last y1", NULL);
	told(&l, "record talking\nforget all until 200\nrecord ended answered caller 200\ndone\n");
	lab_free(&l);
}

static void answer_after_a_bye_is_not_ended_by_it(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 500, "BYE 2 a x y1", NULL);
	say(&l, 1000, "200 INVITE 1 a b z1", NULL);
	tick(&l, 60000);
	told(&l, "open\nrecord trying\nrecord talking\n");
	lab_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_leg_to_answer_is_the_recording),
		cmocka_unit_test(bye_to_an_early_leg_ends_only_this_leg),
		cmocka_unit_test(refusal_beyond_a_proxy_is_not_the_calls),
		cmocka_unit_test(refusal_on_both_sides_of_a_proxy_ends_the_call_once),
		cmocka_unit_test(rewritten_sdp_on_both_sides_is_expected),
		cmocka_unit_test(b2bua_that_keeps_the_call_id_makes_no_second_call),
		cmocka_unit_test(every_message_mirrored_twice_changes_nothing),
		cmocka_unit_test(ended_call_id_creates_nothing_for_64_s),
		cmocka_unit_test(call_id_used_again_is_a_new_call),
		cmocka_unit_test(call_id_used_again_after_an_unanswered_bye_is_a_new_call),
		cmocka_unit_test(messages_of_no_call_are_stray),
		cmocka_unit_test(answer_to_an_unseen_invite_begins_its_call),
		cmocka_unit_test(identity_asserted_in_an_answer_is_not_the_callers),
		cmocka_unit_test(reinvite_of_an_unknown_dialog_joins_late),
		cmocka_unit_test(retry_whose_invite_was_not_seen_goes_on),
		cmocka_unit_test(retry_with_only_a_new_branch_is_the_same_call),
		cmocka_unit_test(late_refusal_of_an_earlier_attempt_changes_nothing),
		cmocka_unit_test(proxys_copy_of_a_bye_does_not_move_the_end),
		cmocka_unit_test(messages_with_strange_tags_are_stray),
		cmocka_unit_test(caller_whose_tag_is_not_known_is_told_by_the_callees),
		cmocka_unit_test(call_without_any_tags_is_followed),
		cmocka_unit_test(more_hops_legs_and_branches_than_we_follow_do_no_harm),
		cmocka_unit_test(answer_after_a_bye_is_not_ended_by_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
