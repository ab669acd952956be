/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_offers.c: which endpoints are expected and forgotten as offers are answered. */
#include "sip/call.h"
#include "sip_lab.h"

/* ---- offers and answers ---------------------------------------------------------------------- */

static void early_media_is_expected(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 100, "183 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	told(&l, "open\nrecord trying\nexpect callee 10.0.0.2:5000 from 0 pt 0\nrecord ringing\n");
	assert_int_equal(ms_of_us(l.last.ring_us), 100);
	lab_free(&l);
}

static void late_offer_is_answered_in_the_ack(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	say(&l, 1010, "ACK 1 a b z2", sdp("10.0.0.1", 4000));
	told(&l, "open\nrecord trying\nexpect callee 10.0.0.2:5000 from 0 pt 0\nrecord talking\n"
		 "expect caller 10.0.0.1:4000 from 0 pt 0\n");
	lab_free(&l);
}

static void moved_media_forgets_the_old_endpoint_half_a_second_after_the_answer(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp("10.0.0.1", 4400));
	told(&l, "expect caller 10.0.0.1:4400 from 3000 pt 0\n");
	assert_int_equal(l.expected.stream_base, 2 * 2 * STREAM_BLOCK);
	say(&l, 3200, "200 INVITE 2 a b y1", sdp("10.0.0.2", 5000));
	say(&l, 3210, "ACK 2 a b y2", NULL);
	tick(&l, 3600);
	told(&l, "");
	tick(&l, 4000);
	told(&l, "forget 10.0.0.1:4000 until 3700\n");
	lab_free(&l);
}

static void callee_may_move_its_media(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 1 b a y1", sdp("10.0.0.2", 5500));
	say(&l, 3200, "200 INVITE 1 b a y1", sdp("10.0.0.1", 4000));
	tick(&l, 4000);
	told(&l, "expect callee 10.0.0.2:5500 from 3000 pt 0\nforget 10.0.0.2:5000 until 3700\n");
	lab_free(&l);
}

static void refused_offer_is_rolled_back(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp("10.0.0.1", 4400));
	say(&l, 3200, "488 INVITE 2 a b y1", NULL);
	say(&l, 3210, "ACK 2 a b y1", NULL);
	tick(&l, 9000);
	told(&l, "expect caller 10.0.0.1:4400 from 3000 pt 0\nforget 10.0.0.1:4400 until 3200\n");
	assert_int_equal(l.last.state, CALL_TALKING);
	lab_free(&l);
}

static void challenged_offer_is_not_rolled_back(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp("10.0.0.1", 4400));
	say(&l, 3100, "407 INVITE 2 a b y1", NULL);
	say(&l, 3200, "INVITE 3 a b y2", sdp("10.0.0.1", 4400));
	say(&l, 3300, "200 INVITE 3 a b y2", sdp("10.0.0.2", 5000));
	tick(&l, 9000);
	told(&l, "expect caller 10.0.0.1:4400 from 3000 pt 0\nforget 10.0.0.1:4000 until 3800\n");
	lab_free(&l);
}

static void new_codec_on_the_same_endpoint_replaces_the_map(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1",
	    "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n");
	told(&l, "expect caller 10.0.0.1:4000 from 0 pt 96 0\n");
	assert_int_equal(l.expected.stream_base, 0);
	assert_string_equal(l.expected.payloads[0].codec, "opus");
	lab_free(&l);
}

static void removed_audio_is_forgotten(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp("10.0.0.1", 0));
	say(&l, 3200, "200 INVITE 2 a b y1", sdp("10.0.0.2", 0));
	tick(&l, 4000);
	told(&l, "forget 10.0.0.1:4000 until 3700\nforget 10.0.0.2:5000 until 3700\n");
	lab_free(&l);
}

static void hold_is_noted_from_its_answer_to_the_resume(void **state)
{
	(void)state;
	static const char *const how[] = { "a=sendonly", "a=inactive" };
	for (int i = 0; i < 2; i++) {
		struct sip_lab l;
		lab_talking(&l);
		say(&l, 3000, "INVITE 2 a b y1", sdp_with("10.0.0.1", 4000, how[i]));
		assert_int_equal(l.last.holds_count, 0);
		say(&l, 3100, "200 INVITE 2 a b y1", sdp_with("10.0.0.2", 5000, "a=recvonly"));
		say(&l, 8000, "INVITE 3 a b y3", sdp("10.0.0.1", 4000));
		say(&l, 8100, "200 INVITE 3 a b y3", sdp("10.0.0.2", 5000));
		tick(&l, 9000);
		told(&l, "record talking\nrecord talking\n");
		assert_int_equal(l.last.holds_count, 1);
		assert_int_equal(ms_of_us(l.last.holds[0].from_us), 3100);
		assert_int_equal(ms_of_us(l.last.holds[0].to_us), 8100);
		lab_free(&l);
	}
}

static void hold_by_the_zero_address_keeps_the_endpoint(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp("0.0.0.0", 4000));
	say(&l, 3100, "200 INVITE 2 a b y1", sdp("10.0.0.2", 5000));
	tick(&l, 9000);
	told(&l, "record talking\n");
	assert_int_equal(l.last.holds_count, 1);
	say(&l, 9500, "BYE 3 a b y3", NULL);
	say(&l, 9510, "200 BYE 3 a b y3", NULL);
	assert_int_equal(ms_of_us(l.last.holds[0].to_us), 9500);
	lab_free(&l);
}

static void refused_hold_is_none(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp_with("10.0.0.1", 4000, "a=sendonly"));
	say(&l, 3100, "491 INVITE 2 a b y1", NULL);
	told(&l, "");
	assert_int_equal(l.last.holds_count, 0);
	lab_free(&l);
}

static void update_moves_media_too(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 2000, "UPDATE 2 a b y0", NULL); /* a session refresh */
	say(&l, 2010, "200 UPDATE 2 a b y0", NULL);
	say(&l, 3000, "UPDATE 3 a b y1", sdp("10.0.0.1", 4400));
	say(&l, 3200, "200 UPDATE 3 a b y1", sdp("10.0.0.2", 5000));
	tick(&l, 4000);
	told(&l, "expect caller 10.0.0.1:4400 from 3000 pt 0\nforget 10.0.0.1:4000 until 3700\n");
	lab_free(&l);
}

static void prack_may_carry_the_answer(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 100, "183 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	say(&l, 150, "PRACK 2 a b y1", sdp("10.0.0.1", 4000));
	say(&l, 160, "200 PRACK 2 a b y1", NULL);
	say(&l, 1000, "200 INVITE 1 a b z1", NULL);
	tick(&l, 3000);
	told(&l, "open\nrecord trying\nexpect callee 10.0.0.2:5000 from 0 pt 0\nrecord ringing\n"
		 "expect caller 10.0.0.1:4000 from 150 pt 0\nrecord talking\n");
	lab_free(&l);
}

static void call_that_moves_its_media_without_end_is_bounded(void **state)
{
	(void)state;
	struct sip_lab l;
	char text[64];
	lab_talking(&l);
	for (unsigned i = 0; i < 1100; i++) {
		int64_t ms = 2000 + 1000 * (int64_t)i;
		snprintf(text, sizeof text, "INVITE %u a b y%u", i + 2, i);
		say(&l, ms, text, sdp("10.0.0.1", 10000 + 2 * i));
		snprintf(text, sizeof text, "200 INVITE %u a b y%u", i + 2, i);
		say(&l, ms + 10, text, sdp("10.0.0.2", 5000));
		l.log[0] = '\0';
	}
	/* 65536 stream numbers, a block for each of two threads a new endpoint, two endpoints before. */
	assert_int_equal(counted(&l, COUNT_SIP_MEDIA_LIMIT),
			 1100 - (65536 / (2 * STREAM_BLOCK) - 2));
	assert_int_equal(l.last.state, CALL_TALKING);
	lab_free(&l);
}

static void party_with_too_many_endpoints_is_bounded(void **state)
{
	(void)state;
	struct sip_lab l;
	char text[64];
	lab_init(&l);
	for (unsigned i = 0; i < PARTY_LINES + 2; i++) {
		snprintf(text, sizeof text, "INVITE 1 a - z%u", i);
		say(&l, 0, text, sdp("10.0.0.1", 4000 + 2 * i));
	}
	assert_int_equal(counted(&l, COUNT_SIP_MEDIA_LIMIT), 2);
	lab_free(&l);
}

static void answer_whose_offer_was_not_seen_moves_media(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "200 INVITE 2 a b y1", sdp("10.0.0.2", 5500));
	say(&l, 3100, "200 UPDATE 9 a b y1", NULL);
	say(&l, 3200, "488 INVITE 8 a b y1", NULL);
	tick(&l, 4000);
	told(&l, "expect callee 10.0.0.2:5500 from 3000 pt 0\nforget 10.0.0.2:5000 until 3500\n");
	lab_free(&l);
}

static void cancelled_offer_is_rolled_back_by_its_487(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp("10.0.0.1", 4400));
	say(&l, 3100, "CANCEL 2 a b y1", NULL);
	say(&l, 3200, "487 INVITE 2 a b y1", NULL);
	told(&l, "expect caller 10.0.0.1:4400 from 3000 pt 0\nforget 10.0.0.1:4400 until 3200\n");
	assert_int_equal(l.last.state, CALL_TALKING);
	lab_free(&l);
}

static void description_without_media_lines_is_counted(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", "v=0\r\ns=-\r\n");
	told(&l, "");
	assert_int_equal(counted(&l, COUNT_SDP_BODIES), 3);
	assert_int_equal(counted(&l, COUNT_SDP_MALFORMED), 1);
	lab_free(&l);
}

static void new_packet_time_is_expected_again(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp_with("10.0.0.1", 4000, "a=ptime:40"));
	told(&l, "expect caller 10.0.0.1:4000 from 0 pt 0\n");
	assert_int_equal(l.expected.ptime_ms, 40);
	lab_free(&l);
}

static void every_usable_audio_line_is_expected(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1",
	    sdp_with("10.0.0.1", 4000, "m=video 4100 RTP/AVP 31\r\nm=audio 4002 RTP/AVP 8"));
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n"
		 "expect caller 10.0.0.1:4002 from 0 pt 8\n");
	lab_free(&l);
}

static void more_holds_than_a_record_has_room_for_are_left_out(void **state)
{
	(void)state;
	struct sip_lab l;
	char text[64];
	lab_talking(&l);
	for (unsigned i = 0; i < 40; i++) {
		int64_t ms = 2000 + 1000 * (int64_t)i;
		snprintf(text, sizeof text, "INVITE %u a b y%u", i + 2, i);
		say(&l, ms, text, sdp_with("10.0.0.1", 4000, i % 2 ? "a=sendrecv" : "a=sendonly"));
		snprintf(text, sizeof text, "200 INVITE %u a b y%u", i + 2, i);
		say(&l, ms + 10, text, NULL);
	}
	assert_int_equal(l.last.holds_count, 16);
	assert_int_equal(ms_of_us(l.last.holds[15].to_us), 2000 + 31000 + 10);
	lab_free(&l);
}

static void resume_stamped_before_its_hold_does_not_turn_time_round(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp_with("10.0.0.1", 4000, "a=sendonly"));
	say(&l, 3100, "200 INVITE 2 a b y1", NULL);
	say(&l, 2500, "INVITE 3 a b y2", sdp("10.0.0.1", 4000));
	say(&l, 2600, "200 INVITE 3 a b y2", NULL);
	assert_int_equal(l.last.holds_count, 1);
	assert_int_equal(ms_of_us(l.last.holds[0].from_us), 3100);
	assert_int_equal(ms_of_us(l.last.holds[0].to_us), 3100);
	say(&l, 500, "BYE 4 a b y3", NULL);
	say(&l, 510, "200 BYE 4 a b y3", NULL);
	assert_int_equal(ms_of_us(l.last.end_us), 3100);
	lab_free(&l);
}

static void hold_after_an_unanswered_bye_is_none(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 2000, "INVITE 2 a b y1", sdp_with("10.0.0.1", 4000, "a=sendonly"));
	say(&l, 2100, "200 INVITE 2 a b y1", NULL);
	say(&l, 3000, "BYE 3 a b y2", NULL);
	say(&l, 4000, "INVITE 4 a b y3", sdp("10.0.0.1", 4000));
	say(&l, 4100, "200 INVITE 4 a b y3", NULL);
	say(&l, 5000, "INVITE 5 a b y4", sdp_with("10.0.0.1", 4000, "a=sendonly"));
	say(&l, 5100, "200 INVITE 5 a b y4", NULL);
	assert_int_equal(l.last.holds_count, 2);
	tick(&l, 36000);
	assert_int_equal(ms_of_us(l.last.end_us), 3000);
	assert_int_equal(l.last.holds_count, 1);
	assert_int_equal(ms_of_us(l.last.holds[0].to_us), 3000);
	lab_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(early_media_is_expected),
		cmocka_unit_test(late_offer_is_answered_in_the_ack),
		cmocka_unit_test(
			moved_media_forgets_the_old_endpoint_half_a_second_after_the_answer),
		cmocka_unit_test(callee_may_move_its_media),
		cmocka_unit_test(refused_offer_is_rolled_back),
		cmocka_unit_test(challenged_offer_is_not_rolled_back),
		cmocka_unit_test(new_codec_on_the_same_endpoint_replaces_the_map),
		cmocka_unit_test(removed_audio_is_forgotten),
		cmocka_unit_test(hold_is_noted_from_its_answer_to_the_resume),
		cmocka_unit_test(hold_by_the_zero_address_keeps_the_endpoint),
		cmocka_unit_test(refused_hold_is_none),
		cmocka_unit_test(update_moves_media_too),
		cmocka_unit_test(prack_may_carry_the_answer),
		cmocka_unit_test(call_that_moves_its_media_without_end_is_bounded),
		cmocka_unit_test(party_with_too_many_endpoints_is_bounded),
		cmocka_unit_test(answer_whose_offer_was_not_seen_moves_media),
		cmocka_unit_test(cancelled_offer_is_rolled_back_by_its_487),
		cmocka_unit_test(description_without_media_lines_is_counted),
		cmocka_unit_test(new_packet_time_is_expected_again),
		cmocka_unit_test(every_usable_audio_line_is_expected),
		cmocka_unit_test(more_holds_than_a_record_has_room_for_are_left_out),
		cmocka_unit_test(resume_stamped_before_its_hold_does_not_turn_time_round),
		cmocka_unit_test(hold_after_an_unanswered_bye_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
