/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_lines.c: media lines beyond one plain audio line: ICE, RTCP, several lines, T.38, hold. */
#include "sip_lab.h"

#include "sip/call.h"

#define HEAD(address) "v=0\r\nc=IN IP4 " address "\r\n"

static void ice_candidates_are_expected_too(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1",
	    HEAD("203.0.113.1") "m=audio 4000 RTP/AVP 0\r\n"
				"a=candidate:1 1 UDP 2130706431 10.0.0.1 4002 typ host\r\n"
				"a=candidate:1 2 UDP 2130706430 10.0.0.1 4003 typ host\r\n"
				"a=candidate:2 1 udp 1694498815 203.0.113.1 4000 typ srflx raddr "
				"10.0.0.1 "
				"rport 4002\r\n"
				"a=candidate:3 1 TCP 1000 10.0.0.1 9 typ host tcptype active\r\n"
				"a=candidate:4 1 UDP 1000 x.local 4004 typ host\r\n"
				"a=candidate:5 1 UDP 1000 2001:db8::1 4006 typ relay\r\n");
	told(&l, "open\nrecord trying\nexpect caller 203.0.113.1:4000 from 0 pt 0\n"
		 "expect caller 10.0.0.1:4002 from 0 pt 0\n"
		 "expect caller [2001:db8::1]:4006 from 0 pt 0\n");
	lab_free(&l);
}

static void candidates_are_bounded(void **state)
{
	(void)state;
	struct sip_lab l;
	char text[2048] = HEAD("10.0.0.1") "m=audio 4000 RTP/AVP 0\r\n";
	lab_init(&l);
	for (unsigned i = 0; i < 20; i++) {
		size_t n = strlen(text);
		snprintf(text + n, sizeof text - n,
			 "a=candidate:1 1 UDP 1 10.0.1.%u 4000 typ host\r\n", i);
	}
	say(&l, 0, "INVITE 1 a - z1", text);
	unsigned expected = 0;
	for (const char *at = l.log; (at = strstr(at, "expect")); at++)
		expected++;
	assert_int_equal(expected, 1 + 6);
	lab_free(&l);
}

static void zero_address_with_ice_is_no_hold(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1",
	    HEAD("0.0.0.0") "m=audio 9 RTP/AVP 0\r\na=ice-ufrag:x\r\n"
			    "a=candidate:1 1 UDP 1 10.0.0.1 4002 typ host\r\n");
	say(&l, 100, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	assert_int_equal(l.last.holds_count, 0);
	lab_free(&l);
}

static void rtcp_comes_to_the_next_port_unless_stated(void **state)
{
	(void)state;
	static const struct {
		const char *lines, *at;
	} cases[] = {
		{ "", "10.0.0.1:4001" },
		{ "a=rtcp:53020\r\n", "10.0.0.1:53020" },
		{ "a=rtcp:53020 IN IP4 10.0.0.7\r\n", "10.0.0.7:53020" },
		{ "a=rtcp-mux\r\n", NULL },
		{ "a=rtcp:4000\r\na=rtcp-mux\r\n", NULL },
	};
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sip_lab l;
		char text[256], at[ENDPOINT_TEXT];
		lab_init(&l);
		snprintf(text, sizeof text, HEAD("10.0.0.1") "m=audio 4000 RTP/AVP 0\r\n%s",
			 cases[i].lines);
		say(&l, 0, "INVITE 1 a - z1", text);
		if (cases[i].at)
			assert_string_equal(endpoint_text(&l.expected.rtcp, at), cases[i].at);
		else
			assert_int_equal(l.expected.rtcp.port, 0);
		lab_free(&l);
	}
}

static void multicast_address_is_expected_without_its_ttl(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", HEAD("224.2.1.1/127/3") "m=audio 4000 RTP/AVP 0\r\n");
	told(&l, "open\nrecord trying\nexpect caller 224.2.1.1:4000 from 0 pt 0\n");
	lab_free(&l);
}

static void multipart_body_gives_its_sdp(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	l.type = "multipart/mixed;boundary=\"x y\"";
	say(&l, 0, "INVITE 1 a - z1",
	    "--x y\r\nContent-Type: application/isup\r\n\r\n\x01\x02\r\n--x y\r\n"
	    "Content-Type: application/sdp\r\n\r\nv=0\r\nc=IN IP4 10.0.0.1\r\n"
	    "m=audio 4000 RTP/AVP 8\r\n--x y--\r\n");
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 8\n");
	lab_free(&l);
}

static void second_audio_line_is_recorded_when_both_accept_it(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1",
	    HEAD("10.0.0.1") "m=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/AVP 8\r\n");
	say(&l, 100, "200 INVITE 1 a b z1",
	    HEAD("10.0.0.2") "m=audio 5000 RTP/AVP 0\r\nm=audio 5002 RTP/AVP 8\r\n");
	tick(&l, 2000);
	told(&l,
	     "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n"
	     "expect caller 10.0.0.1:4002 from 0 pt 8\nexpect callee 10.0.0.2:5000 from 0 pt 0\n"
	     "expect callee 10.0.0.2:5002 from 0 pt 8\nrecord talking\n");
	lab_free(&l);
}

static void refused_audio_line_is_forgotten(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1",
	    HEAD("10.0.0.1") "m=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/AVP 8\r\n");
	say(&l, 100, "200 INVITE 1 a b z1",
	    HEAD("10.0.0.2") "m=audio 0 RTP/AVP 0\r\nm=audio 5002 RTP/AVP 8\r\n");
	l.log[0] = '\0';
	tick(&l, 2000);
	told(&l, "forget 10.0.0.1:4000 until 600\n");
	lab_free(&l);
}

static void other_media_is_noted_when_both_accept_it(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1",
	    HEAD("10.0.0.1") "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 96\r\n"
			     "m=text 4004 RTP/AVP 98\r\nm=message 4006 TCP/MSRP *\r\n");
	assert_string_equal(l.last.other_media, "");
	say(&l, 100, "200 INVITE 1 a b z1",
	    HEAD("10.0.0.2") "m=audio 5000 RTP/AVP 0\r\nm=video 5002 RTP/AVP 96\r\n"
			     "m=text 0 RTP/AVP 98\r\nm=message 5006 TCP/MSRP *\r\n");
	assert_string_equal(l.last.other_media, "video,message");
	lab_free(&l);
}

static void switch_to_t38_is_noted_and_audio_forgotten(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 1 b a y1", HEAD("10.0.0.2") "m=image 5000 udptl t38\r\n");
	say(&l, 3100, "200 INVITE 1 b a y1", HEAD("10.0.0.1") "m=image 4000 udptl t38\r\n");
	assert_string_equal(l.last.other_media, "t38");
	tick(&l, 4000);
	told(&l,
	     "record talking\nforget 10.0.0.1:4000 until 3600\nforget 10.0.0.2:5000 until 3600\n");
	lab_free(&l);
}

/* ---- hold --------------------------------------------------------------------------------- */

static void session_refresh_is_neither_hold_nor_move(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	l.extra = "x: 90;refresher=uac\r\n";
	say(&l, 3000, "INVITE 2 a b y1", sdp("10.0.0.1", 4000));
	say(&l, 3100, "200 INVITE 2 a b y1", sdp("10.0.0.2", 5000));
	say(&l, 3110, "ACK 2 a b y2", NULL);
	say(&l, 6000, "UPDATE 3 a b y3", NULL);
	say(&l, 6100, "200 UPDATE 3 a b y3", NULL);
	say(&l, 9000, "INVITE 1 b a y4", NULL);
	say(&l, 9100, "200 INVITE 1 b a y4", sdp("10.0.0.1", 4000));
	say(&l, 9110, "ACK 1 b a y5", sdp("10.0.0.2", 5000));
	tick(&l, 12000);
	told(&l, "");
	lab_free(&l);
}

static void refresh_by_the_held_party_keeps_the_hold(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp_with("10.0.0.1", 4000, "a=sendonly"));
	say(&l, 3100, "200 INVITE 2 a b y1", sdp_with("10.0.0.2", 5000, "a=recvonly"));
	say(&l, 6000, "INVITE 1 b a y3", sdp_with("10.0.0.2", 5000, "a=recvonly"));
	say(&l, 6100, "200 INVITE 1 b a y3", sdp_with("10.0.0.1", 4000, "a=sendonly"));
	assert_int_equal(l.last.holds_count, 1);
	assert_int_equal(l.last.holds[0].to_us, 0);
	lab_free(&l);
}

static void both_may_hold_and_one_resume_does_not_end_it(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3000, "INVITE 2 a b y1", sdp_with("10.0.0.1", 4000, "a=sendonly"));
	say(&l, 3100, "200 INVITE 2 a b y1", sdp_with("10.0.0.2", 5000, "a=recvonly"));
	say(&l, 4000, "INVITE 1 b a y2", sdp_with("10.0.0.2", 5000, "a=inactive"));
	say(&l, 4100, "200 INVITE 1 b a y2", sdp_with("10.0.0.1", 4000, "a=inactive"));
	say(&l, 5000, "INVITE 3 a b y3", sdp("10.0.0.1", 4000));
	say(&l, 5100, "200 INVITE 3 a b y3", sdp_with("10.0.0.2", 5000, "a=sendonly"));
	assert_int_equal(l.last.holds[0].to_us, 0);
	say(&l, 6000, "INVITE 2 b a y4", sdp("10.0.0.2", 5000));
	say(&l, 6100, "200 INVITE 2 b a y4", sdp("10.0.0.1", 4000));
	assert_int_equal(l.last.holds_count, 1);
	assert_int_equal(ms_of_us(l.last.holds[0].to_us), 6100);
	lab_free(&l);
}

static void hold_is_known_by_its_answer_alone(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3100, "200 INVITE 2 a b y1", sdp_with("10.0.0.2", 5000, "a=recvonly"));
	assert_int_equal(l.last.holds_count, 1);
	say(&l, 8100, "200 INVITE 3 a b y2", sdp("10.0.0.2", 5000));
	assert_int_equal(ms_of_us(l.last.holds[0].to_us), 8100);
	lab_free(&l);
}

static void endpoints_that_say_the_same_share_a_payload_map(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	assert_int_equal(l.s->lines, 2);
	assert_int_equal(intern_count(l.s->maps), 1);
	say(&l, 2000, "INVITE 2 a b y1", sdp_with("10.0.0.1", 4000, "a=rtpmap:0 L16/44100"));
	assert_int_equal(intern_count(l.s->maps), 2);
	assert_string_equal(l.expected.payloads[0].codec, "L16");
	say(&l, 3000, "BYE 3 a b y2", NULL);
	say(&l, 3010, "200 BYE 3 a b y2", NULL);
	assert_int_equal(l.s->lines, 0);
	assert_int_equal(intern_count(l.s->maps), 0);
	lab_free(&l);
}

/* As many endpoints as media can expect: four for each call that there may be. */
static void endpoints_of_all_calls_are_bounded(void **state)
{
	(void)state;
	struct sip_lab l;
	char what[64];
	lab_talking(&l);
	for (unsigned i = 0; i < 15; i++) { /* offered, never answered */
		snprintf(what, sizeof what, "INVITE %u a b y%u", i + 2, i);
		say(&l, 2000 + i, what, sdp("10.0.0.1", 4002 + 2 * i));
	}
	assert_int_equal(l.s->lines, 16);
	assert_int_equal(counted(&l, COUNT_SIP_MEDIA_LIMIT), 1);
	l.call_id = "call-2@lab";
	say(&l, 3000, "INVITE 1 a - z1", sdp("10.0.0.3", 4000));
	assert_int_equal(counted(&l, COUNT_SIP_MEDIA_LIMIT), 2);
	assert_int_equal(signalling_calls(l.s), 2);
	l.call_id = "call-1@lab";
	say(&l, 4000, "BYE 30 a b x2", NULL);
	say(&l, 4010, "200 BYE 30 a b x2", NULL);
	assert_int_equal(l.s->lines, 0);
	l.call_id = "call-2@lab";
	say(&l, 5000, "200 INVITE 1 a b z1", sdp("10.0.0.4", 5000));
	assert_int_equal(l.s->lines, 1);
	assert_int_equal(counted(&l, COUNT_SIP_MEDIA_LIMIT), 2);
	lab_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ice_candidates_are_expected_too),
		cmocka_unit_test(candidates_are_bounded),
		cmocka_unit_test(zero_address_with_ice_is_no_hold),
		cmocka_unit_test(rtcp_comes_to_the_next_port_unless_stated),
		cmocka_unit_test(multicast_address_is_expected_without_its_ttl),
		cmocka_unit_test(multipart_body_gives_its_sdp),
		cmocka_unit_test(second_audio_line_is_recorded_when_both_accept_it),
		cmocka_unit_test(refused_audio_line_is_forgotten),
		cmocka_unit_test(other_media_is_noted_when_both_accept_it),
		cmocka_unit_test(switch_to_t38_is_noted_and_audio_forgotten),
		cmocka_unit_test(session_refresh_is_neither_hold_nor_move),
		cmocka_unit_test(refresh_by_the_held_party_keeps_the_hold),
		cmocka_unit_test(both_may_hold_and_one_resume_does_not_end_it),
		cmocka_unit_test(hold_is_known_by_its_answer_alone),
		cmocka_unit_test(endpoints_that_say_the_same_share_a_payload_map),
		cmocka_unit_test(endpoints_of_all_calls_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
