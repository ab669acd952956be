/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_calls.c: calls as signalling follows them, message by message. */
#include "sip_lab.h"

/* ---- how calls begin and end ----------------------------------------------------------------- */

static void answered_call_is_told_from_invite_to_bye(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n");
	say(&l, 10, "100 INVITE 1 a - z1", NULL);
	told(&l, "");
	say(&l, 100, "180 INVITE 1 a b z1", NULL);
	told(&l, "record ringing\n");
	say(&l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	told(&l, "expect callee 10.0.0.2:5000 from 0 pt 0\nrecord talking\n");
	say(&l, 1010, "ACK 1 a b z2", NULL);
	say(&l, 5000, "BYE 2 a b z3", NULL);
	told(&l, "");
	say(&l, 5020, "200 BYE 2 a b z3", NULL);
	told(&l, "forget all until 5000\nrecord ended answered caller 5000\ndone\n");

	assert_int_equal(ms_of_us(l.last.start_us), 0);
	assert_int_equal(ms_of_us(l.last.ring_us), 100);
	assert_int_equal(ms_of_us(l.last.answer_us), 1000);
	assert_int_equal(ms_of_us(l.last.until_us), 5000);
	assert_int_equal(l.last.sip_status, 200);
	assert_string_equal(l.last.from, "100");
	assert_string_equal(l.last.from_name, "Anna");
	assert_string_equal(l.last.to_uri, "sip:200@lab");
	assert_string_equal(l.last.sip_call_id, "call-1@lab");
	assert_true(uuid_equal(&l.last.id, &l.last.conversation));
	assert_string_equal(l.opened.retention, "short");
	assert_int_equal(signalling_calls(l.s), 0);
	assert_int_equal(counted(&l, COUNT_CALLS), 1);
	assert_int_equal(counted(&l, COUNT_CALLS_ANSWERED), 1);
	assert_int_equal(counted(&l, COUNT_CALLS_ENDED), 1);
	lab_free(&l);
}

static void callee_may_hang_up(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "BYE 77 b a y1", NULL);
	say(&l, 3010, "200 BYE 77 b a y1", NULL);
	told(&l, "forget all until 3000\nrecord ended answered callee 3000\ndone\n");
	lab_free(&l);
}

static void challenged_invite_stays_one_call(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(&l, 10, "407 INVITE 1 a p z1", NULL);
	say(&l, 11, "ACK 1 a p z1", NULL);
	say(&l, 20, "INVITE 2 a2 - z2", sdp("10.0.0.1", 4000));
	say(&l, 500, "200 INVITE 2 a2 b z2", sdp("10.0.0.2", 5000));
	tick(&l, 40000);
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n"
		 "expect callee 10.0.0.2:5000 from 0 pt 0\nrecord talking\n");
	assert_int_equal(counted(&l, COUNT_CALLS), 1);
	lab_free(&l);
}

static void retry_with_new_tag_and_first_cseq_is_the_same_call(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 10, "401 INVITE 1 a p z1", NULL);
	say(&l, 20, "INVITE 1 other - z2", NULL);
	tick(&l, 40000);
	assert_int_equal(signalling_calls(l.s), 1);
	say(&l, 41000, "486 INVITE 1 other b z2", NULL);
	told(&l, "open\nrecord trying\nforget all until 41000\nrecord ended failed callee "
		 "41000\ndone\n");
	lab_free(&l);
}

static void challenge_without_retry_fails_after_180_s(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 10, "401 INVITE 1 a p z1", NULL);
	tick(&l, 180000);
	told(&l, "open\nrecord trying\n");
	tick(&l, 180300);
	told(&l, "forget all until 10\nrecord ended failed callee 10\ndone\n");
	assert_int_equal(l.last.sip_status, 401);
	lab_free(&l);
}

static void challenge_without_retry_fails_after_32_s_where_places_are_few(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	l.call_id = "other";
	say(&l, 0, "INVITE 1 x - y1", NULL);
	say(&l, 0, "180 INVITE 1 x w y1", NULL);
	l.call_id = "this";
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 10, "401 INVITE 1 a p z1", NULL);
	tick(&l, 32300);
	assert_int_equal(l.last.state, CALL_ENDED);
	assert_int_equal(l.last.sip_status, 401);
	lab_free(&l);
}

static void challenge_pending_at_capture_end_has_failed(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 10, "302 INVITE 1 a p z1", NULL);
	signalling_finish(l.s, at_ms(900));
	told(&l, "open\nrecord trying\nforget all until 10\nrecord ended failed callee 10\ndone\n");
	assert_int_equal(l.last.sip_status, 302);
	lab_free(&l);
}

static void refused_call_has_failed_with_its_status(void **state)
{
	(void)state;
	static const char *const statuses[] = { "486", "480", "600", "603", "487", "503" };
	for (unsigned i = 0; i < 6; i++) {
		struct sip_lab l;
		char text[64];
		lab_init(&l);
		say(&l, 0, "INVITE 1 a - z1", NULL);
		snprintf(text, sizeof text, "%s INVITE 1 a b z1", statuses[i]);
		say(&l, 700, text, NULL);
		told(&l, "open\nrecord trying\nforget all until 700\nrecord ended failed callee "
			 "700\ndone\n");
		assert_int_equal(l.last.sip_status, atoi(statuses[i]));
		lab_free(&l);
	}
}

static void request_timeout_is_unanswered(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 100, "180 INVITE 1 a b z1", NULL);
	say(&l, 700, "408 INVITE 1 a b z1", NULL);
	told(&l, "open\nrecord trying\nrecord ringing\nforget all until 700\n"
		 "record ended unanswered timeout 700\ndone\n");
	lab_free(&l);
}

static void cancelled_call_ends_at_its_final_response(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 100, "180 INVITE 1 a b z1", NULL);
	say(&l, 500, "CANCEL 1 a - z1", NULL);
	say(&l, 510, "200 CANCEL 1 a b z1", NULL);
	told(&l, "open\nrecord trying\nrecord ringing\n");
	say(&l, 520, "487 INVITE 1 a b z1", NULL);
	told(&l, "forget all until 520\nrecord ended cancelled caller 520\ndone\n");
	assert_int_equal(l.last.sip_status, 487);
	lab_free(&l);
}

static void cancel_without_final_response_counts_after_32_s(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 500, "CANCEL 1 a - z1", NULL);
	say(&l, 501, "180 INVITE 1 a b z1", NULL);
	tick(&l, 33000);
	told(&l, "open\nrecord trying\nrecord ringing\nforget all until 500\n"
		 "record ended cancelled caller 500\ndone\n");
	lab_free(&l);
}

static void cancel_crossing_the_answer_changes_nothing(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 500, "CANCEL 1 a - z1", NULL);
	say(&l, 501, "200 INVITE 1 a b z1", NULL);
	tick(&l, 60000);
	told(&l, "open\nrecord trying\nrecord talking\n");
	lab_free(&l);

	lab_talking(&l);
	say(&l, 1100, "CANCEL 1 a - z1", NULL);
	tick(&l, 60000);
	told(&l, "");
	lab_free(&l);
}

/* ---- BYE ------------------------------------------------------------------------------------- */

static void challenged_bye_counts_from_its_accepted_attempt(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "BYE 2 a b y1", NULL);
	say(&l, 3010, "401 BYE 2 a b y1", NULL);
	tick(&l, 50000);
	told(&l, "");
	say(&l, 60000, "BYE 3 a b y2", NULL);
	say(&l, 60500, "BYE 3 a b y2", NULL);
	say(&l, 60600, "200 BYE 3 a b y2", NULL);
	told(&l, "forget all until 60000\nrecord ended answered caller 60000\ndone\n");
	lab_free(&l);
}

static void bye_refused_by_481_ends_the_call(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "BYE 2 a b y1", NULL);
	say(&l, 3010, "481 BYE 2 a b y1", NULL);
	told(&l, "forget all until 3000\nrecord ended answered caller 3000\ndone\n");
	lab_free(&l);
}

static void bye_refused_otherwise_ends_nothing(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 5000, "BYE 2 a b y1", NULL);
	say(&l, 5010, "403 BYE 2 a b y1", NULL);
	tick(&l, 60000);
	assert_int_equal(l.last.state, CALL_TALKING);
	say(&l, 61000, "BYE 3 a b y2", NULL);
	say(&l, 61010, "200 BYE 3 a b y2", NULL);
	assert_int_equal(l.last.state, CALL_ENDED);
	lab_free(&l);
}

static void invite_that_meets_no_answer_is_given_up_soon(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	tick(&l, 63000);
	assert_int_equal(l.last.state, CALL_TRYING);
	tick(&l, 65000);
	assert_int_equal(l.last.state, CALL_ENDED);
	assert_int_equal(l.last.outcome, OUTCOME_UNANSWERED);
	assert_int_equal(signalling_calls(l.s), 0);
	lab_free(&l);
}

static void invite_that_rings_long_is_not(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(&l, 10, "100 INVITE 1 a - z1", NULL);
	tick(&l, 70000);
	assert_int_equal(l.last.state, CALL_TRYING);
	lab_free(&l);
}

static void unanswered_bye_counts_after_its_timeout(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "BYE 2 a b y1", NULL);
	tick(&l, 34900);
	told(&l, "");
	tick(&l, 35300);
	told(&l, "forget all until 3000\nrecord ended answered caller 3000\ndone\n");
	lab_free(&l);
}

static void unanswered_bye_counts_at_capture_end(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "BYE 2 b a y1", NULL);
	signalling_finish(l.s, at_ms(9000));
	told(&l, "forget all until 3000\nrecord ended answered callee 3000\ndone\n");
	lab_free(&l);
}

static void bye_with_wrong_tags_is_stray(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "BYE 2 a wrong y1", NULL);
	say(&l, 3010, "481 BYE 2 a wrong y1", NULL);
	say(&l, 3020, "BYE 2 wrong b y2", NULL);
	say(&l, 3030, "BYE 2 x y y3", NULL);
	say(&l, 3040, "200 BYE 2 x y y3", NULL);
	assert_int_equal(signalling_calls(l.s), 1);
	assert_int_equal(l.last.state, CALL_TALKING);
	assert_int_equal(counted(&l, COUNT_SIP_STRAY), 5);
	tick(&l, 60000);
	signalling_alive(l.s, l.call, at_ms(60000));
	assert_int_equal(signalling_calls(l.s), 1);
	lab_free(&l);
}

static void bye_is_accepted_by_call_id_where_the_callee_was_never_seen(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 3000, "BYE 2 a b y1", NULL);
	say(&l, 3010, "200 BYE 2 a b y1", NULL);
	told(&l, "open\nrecord trying\nforget all until 3000\nrecord ended answered caller "
		 "3000\ndone\n");
	lab_free(&l);
}

static void answer_is_told_by_its_ack_where_only_the_caller_is_seen(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 500, "ACK 1 a b z1", NULL); /* the branch of the INVITE: to a refusal */
	told(&l, "open\nrecord trying\n");
	say(&l, 1000, "ACK 1 a b z2", NULL);
	told(&l, "record talking\n");
	assert_int_equal(ms_of_us(l.last.answer_us), 1000);
	say(&l, 3000, "BYE 2 a b y1", NULL);
	tick(&l, 36000);
	told(&l, "forget all until 3000\nrecord ended answered caller 3000\ndone\n");
	lab_free(&l);
}

static void end_is_told_by_the_response_where_the_bye_was_not_seen(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "200 BYE 9 b a y1", NULL);
	told(&l, "forget all until 3000\nrecord ended answered callee 3000\ndone\n");
	lab_free(&l);
}

/* ---- time and bounds
 * ----------------------------------------------------------------------------- */

static void silent_call_times_out(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	signalling_alive(l.s, l.call, at_ms(500000));
	tick(&l, 700000);
	told(&l, "");
	tick(&l, 1100200);
	told(&l, "forget all until 1100000\nrecord ended answered timeout 500000\ndone\n");
	assert_int_equal(counted(&l, COUNT_CALLS_TIMED_OUT), 1);
	signalling_alive(l.s, l.call, at_ms(1200000)); /* of a call that is gone */
	lab_free(&l);
}

static void call_that_rang_and_fell_silent_is_unanswered(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 100, "180 INVITE 1 a b z1", NULL);
	tick(&l, 601000);
	told(&l, "open\nrecord trying\nrecord ringing\nforget all until 600100\n"
		 "record ended unanswered timeout 100\ndone\n");
	lab_free(&l);
}

static void open_calls_end_with_the_capture(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	l.call_id = "call-2@lab";
	say(&l, 2000, "INVITE 1 c - z7", NULL);
	l.log[0] = '\0';
	signalling_finish(l.s, at_ms(9000));
	told(&l, "forget all until 9000\nrecord ended answered capture-end 9000\ndone\n"
		 "forget all until 9000\nrecord ended unanswered capture-end 9000\ndone\n");
	lab_free(&l);
}

static void too_many_calls_are_counted_and_none_is_evicted(void **state)
{
	(void)state;
	struct sip_lab l;
	char id[16];
	lab_init(&l);
	l.call_id = id;
	for (int i = 0; i < 6; i++) {
		snprintf(id, sizeof id, "c%d", i);
		say(&l, 10 * i, "INVITE 1 a - z1", NULL);
	}
	assert_int_equal(counted(&l, COUNT_SIP_CALL_LIMIT), 2);
	assert_int_equal(signalling_calls(l.s), 4);
	snprintf(id, sizeof id, "c0");
	say(&l, 100, "486 INVITE 1 a b z1", NULL);
	snprintf(id, sizeof id, "c9");
	say(&l, 110, "INVITE 1 a - z1", NULL);
	assert_int_equal(counted(&l, COUNT_SIP_CALL_LIMIT), 2);
	lab_free(&l);
}

static void more_calls_end_than_there_are_tombstones(void **state)
{
	(void)state;
	struct sip_lab l;
	char id[16];
	lab_init(&l);
	l.call_id = id;
	for (int i = 0; i < 50; i++) {
		snprintf(id, sizeof id, "c%d", i);
		say(&l, 10 * i, "INVITE 1 a - z1", NULL);
		say(&l, 10 * i, "486 INVITE 1 a b z1", NULL);
		l.log[0] = '\0';
	}
	assert_int_equal(counted(&l, COUNT_CALLS), 50);
	say(&l, 510, "INVITE 1 a - z1", NULL); /* the last is remembered still */
	told(&l, "");
	lab_free(&l);
}

static void call_numbers_are_never_used_twice(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	uint64_t first = l.call;
	say(&l, 0, "486 INVITE 1 a b z1", NULL);
	l.call_id = "other";
	say(&l, 0, "INVITE 1 a - z1", NULL);
	assert_true(l.call != first && first != 0);
	lab_free(&l);
}

static void time_at_the_end_of_its_range_does_no_harm(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "BYE 2 a b y1", NULL);
	signalling_alive(l.s, l.call, INT64_MAX);
	signalling_tick(l.s, INT64_MAX);
	signalling_tick(l.s, INT64_MIN);
	assert_int_equal(signalling_calls(l.s), 0);
	lab_free(&l);
}

/* ---- parties, digits, odd messages
 * ------------------------------------------------------------------ */

static void anonymous_caller_is_known_by_the_asserted_identity(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	l.from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
	l.extra = "P-Asserted-Identity: \"Doe, Jane\" <sip:+4930123@carrier>, <tel:+49-30-123>\r\n";
	say(&l, 0, "INVITE 1 a - z1", NULL);
	assert_string_equal(l.last.from, "+4930123");
	assert_string_equal(l.last.from_name, "Doe, Jane");
	assert_string_equal(l.last.from_uri, "sip:+4930123@carrier");
	l.call_id = "second";
	l.from = "<sip:100@lab>";
	say(&l, 0, "INVITE 1 a - z1", NULL);
	assert_string_equal(l.last.from, "100");
	lab_free(&l);
}

static void tel_uri_gives_the_bare_number(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	l.from = "<tel:+1-(201)-555.0123;phone-context=x>";
	l.to = "<sip:%2b1%20a;ext=5@lab;user=phone>";
	say(&l, 0, "INVITE 1 a - z1", NULL);
	assert_string_equal(l.last.from, "+12015550123");
	assert_string_equal(l.last.from_uri, "tel:+12015550123");
	assert_string_equal(l.last.to, "+1a");
	l.call_id = "second";
	l.from = "<sip:lab>";
	say(&l, 0, "INVITE 1 a - z1", NULL);
	assert_string_equal(l.last.from, "");
	assert_string_equal(l.last.from_uri, "sip:lab");
	lab_free(&l);
}

static void oversize_truncated_and_malformed_are_counted(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	struct datagram d = { .ts_ns = T0, .payload = (const uint8_t *)"", .wire_len = 65536 };
	signalling_message(l.s, &d);
	assert_int_equal(counted(&l, COUNT_SIP_OVERSIZE), 1);

	static const char cut[] =
		"INVITE sip:b@x SIP/2.0\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n"
		"Call-ID: q\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n"
		"Content-Length: 900\r\n\r\nv=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 40";
	d.payload = (const uint8_t *)cut;
	d.len = sizeof cut - 1;
	d.wire_len = 1200;
	signalling_message(l.s, &d);
	assert_int_equal(counted(&l, COUNT_SIP_TRUNCATED), 1);
	assert_int_equal(signalling_calls(l.s), 1);

	send_text(&l, 0, "INVITE sip:b@x SIP/2.0\r\nFrom: x\r\n\r\n");
	assert_int_equal(counted(&l, COUNT_SIP_MALFORMED), 1);
	send_text(&l, 0, "\r\n\r\n");
	assert_int_equal(counted(&l, COUNT_SIP_MALFORMED), 1);
	assert_int_equal(counted(&l, COUNT_SIP_MESSAGES), 1);
	lab_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answered_call_is_told_from_invite_to_bye),
		cmocka_unit_test(callee_may_hang_up),
		cmocka_unit_test(challenged_invite_stays_one_call),
		cmocka_unit_test(retry_with_new_tag_and_first_cseq_is_the_same_call),
		cmocka_unit_test(challenge_without_retry_fails_after_180_s),
		cmocka_unit_test(challenge_without_retry_fails_after_32_s_where_places_are_few),
		cmocka_unit_test(challenge_pending_at_capture_end_has_failed),
		cmocka_unit_test(refused_call_has_failed_with_its_status),
		cmocka_unit_test(request_timeout_is_unanswered),
		cmocka_unit_test(cancelled_call_ends_at_its_final_response),
		cmocka_unit_test(cancel_without_final_response_counts_after_32_s),
		cmocka_unit_test(cancel_crossing_the_answer_changes_nothing),
		cmocka_unit_test(challenged_bye_counts_from_its_accepted_attempt),
		cmocka_unit_test(bye_refused_by_481_ends_the_call),
		cmocka_unit_test(bye_refused_otherwise_ends_nothing),
		cmocka_unit_test(invite_that_meets_no_answer_is_given_up_soon),
		cmocka_unit_test(invite_that_rings_long_is_not),
		cmocka_unit_test(unanswered_bye_counts_after_its_timeout),
		cmocka_unit_test(unanswered_bye_counts_at_capture_end),
		cmocka_unit_test(bye_with_wrong_tags_is_stray),
		cmocka_unit_test(bye_is_accepted_by_call_id_where_the_callee_was_never_seen),
		cmocka_unit_test(answer_is_told_by_its_ack_where_only_the_caller_is_seen),
		cmocka_unit_test(end_is_told_by_the_response_where_the_bye_was_not_seen),
		cmocka_unit_test(silent_call_times_out),
		cmocka_unit_test(call_that_rang_and_fell_silent_is_unanswered),
		cmocka_unit_test(open_calls_end_with_the_capture),
		cmocka_unit_test(too_many_calls_are_counted_and_none_is_evicted),
		cmocka_unit_test(more_calls_end_than_there_are_tombstones),
		cmocka_unit_test(call_numbers_are_never_used_twice),
		cmocka_unit_test(time_at_the_end_of_its_range_does_no_harm),
		cmocka_unit_test(anonymous_caller_is_known_by_the_asserted_identity),
		cmocka_unit_test(tel_uri_gives_the_bare_number),
		cmocka_unit_test(oversize_truncated_and_malformed_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
