/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_sdp.c: session descriptions, well formed and not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sip/description.h"

static struct description d;

static bool read_text(const char *text)
{
	return description_read(&d, span_of(text, strlen(text)));
}

/* "10.0.0.1:4000" of audio line n, or "none". */
static const char *at(unsigned n)
{
	static char text[ENDPOINT_TEXT];
	return d.audio[n].has_endpoint ? endpoint_text(&d.audio[n].at, text) : "none";
}

static void usual_description_is_read(void **state)
{
	(void)state;
	assert_true(
		read_text("v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
			  "m=audio 49170 RTP/AVP 0 96 101\r\na=rtpmap:0 PCMU/8000\r\n"
			  "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n"
			  "a=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\na=rtcp:53020\r\n"
			  "a=sendrecv\r\n"));
	assert_int_equal(d.audio_count, 1);
	assert_string_equal(at(0), "10.0.0.1:49170");
	const struct description_audio *a = &d.audio[0];
	assert_int_equal(a->ptime_ms, 30);
	assert_int_equal(a->rtcp.port, 53020);
	assert_int_equal(a->flow, FLOW_SENDRECV);
	assert_false(a->secure);
	assert_false(d.on_hold);
	assert_int_equal(a->payloads_count, 3);
	assert_string_equal(a->payloads[0].codec, "PCMU");
	assert_int_equal(a->payloads[1].type, 96);
	assert_int_equal(a->payloads[1].clock_rate, 48000);
	assert_int_equal(a->payloads[1].channels, 2);
	assert_int_equal(a->payloads[1].kind, PAYLOAD_AUDIO);
	assert_int_equal(a->payloads[2].kind, PAYLOAD_EVENT);
}

static void static_payload_types_need_no_map(void **state)
{
	(void)state;
	static const struct {
		unsigned type;
		const char *codec;
		uint32_t rate;
		unsigned kind;
	} types[] = {
		{ 0, "PCMU", 8000, PAYLOAD_AUDIO },  { 3, "GSM", 8000, PAYLOAD_AUDIO },
		{ 4, "G723", 8000, PAYLOAD_AUDIO },  { 8, "PCMA", 8000, PAYLOAD_AUDIO },
		{ 9, "G722", 8000, PAYLOAD_AUDIO },  { 13, "CN", 8000, PAYLOAD_NOISE },
		{ 18, "G729", 8000, PAYLOAD_AUDIO }, { 11, "L16", 44100, PAYLOAD_AUDIO },
		{ 97, "", 0, PAYLOAD_AUDIO },
	};
	assert_true(read_text("c=IN IP4 1.2.3.4\nm=audio 4000 RTP/AVP 0 3 4 8 9 13 18 11 97\n"));
	assert_int_equal(d.audio[0].payloads_count, 9);
	for (unsigned i = 0; i < 9; i++) {
		const struct media_payload *p = &d.audio[0].payloads[i];
		assert_int_equal(p->type, types[i].type);
		assert_string_equal(p->codec, types[i].codec);
		assert_int_equal(p->clock_rate, types[i].rate);
		assert_int_equal(p->kind, types[i].kind);
		assert_int_equal(p->channels, 1);
	}
}

static void order_missing_lines_and_line_ends_do_not_matter(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"m=audio 4000 RTP/AVP 97\nc=IN IP4 10.0.0.1\na=rtpmap:97 iLBC/8000",
		"a=rtpmap:97 iLBC/8000\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 97",
		("c=IN IP4 10.0.0.1\r\n\r\n \r\nnonsense\r\nm = x\r\nm=audio 4000 rtp/avp 97\r\n"
		 "a=RTPMAP:97 iLBC/8000\r\n\r\n"),
		"m=audio 4000/2 RTP/AVP 97 \nc=IN IP4 10.0.0.1/127\na=rtpmap: 97 iLBC/8000\n",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		assert_true(read_text(texts[i]));
		assert_string_equal(at(0), "10.0.0.1:4000");
		assert_string_equal(d.audio[0].payloads[0].codec, "iLBC");
	}
}

static void description_is_read_as_far_as_it_goes(void **state)
{
	(void)state;
	static const char text[] = "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 40000 RTP/AVP 0 8 101\r\n"
				   "a=rtpmap:101 telephone-event/8000/1\r\na=crypto:1 AES\r\n";
	for (size_t len = 0; len < sizeof text; len++) {
		char *copy = malloc(len + 1);
		assert_non_null(copy);
		memcpy(copy, text, len);
		(void)description_read(&d, span_of(copy, len));
		free(copy);
		assert_true(d.audio_count <= 1);
	}
	assert_true(read_text("v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 40000 RTP/AVP 0 8"));
	assert_int_equal(d.audio[0].payloads_count, 2);
}

static void media_level_overrules_session_level(void **state)
{
	(void)state;
	assert_true(read_text(
		"c=IN IP4 10.0.0.1\na=sendonly\na=ptime:40\nm=audio 4000 RTP/AVP 0\n"
		"m=audio 4002 RTP/AVP 0\nc=IN IP6 2001:db8::7\na=sendrecv\na=ptime:20\n"));
	assert_string_equal(at(0), "10.0.0.1:4000");
	assert_int_equal(d.audio[0].flow, FLOW_SENDONLY);
	assert_int_equal(d.audio[0].ptime_ms, 40);
	assert_string_equal(at(1), "[2001:db8::7]:4002");
	assert_int_equal(d.audio[1].flow, FLOW_SENDRECV);
	assert_int_equal(d.audio[1].ptime_ms, 20);
	assert_true(d.on_hold);
}

static void first_usable_audio_line_leads(void **state)
{
	(void)state;
	assert_true(
		read_text("c=IN IP4 10.0.0.1\nm=video 5000 RTP/AVP 31\na=inactive\n"
			  "m=audio 0 RTP/AVP 0\na=inactive\nm=audio 4000 TCP/MRCPv2 1\n"
			  "m=audio 4002 RTP/SAVP 8\na=ptime:10\nm=audio 4004 RTP/AVP 0\n"
			  "m=audio 4006 RTP/AVP 0\nm=audio 4008 RTP/AVP 0\nm=audio 4010 RTP/AVP 0\n"
			  "a=ptime:99\nm=image 4012 udptl t38\n"));
	assert_int_equal(d.media_lines, 9);
	assert_int_equal(d.refused_audio, 1);
	assert_int_equal(d.audio_count, DESCRIPTION_AUDIO);
	assert_string_equal(at(0), "10.0.0.1:4002");
	assert_true(d.audio[0].secure);
	assert_false(d.audio[1].secure);
	assert_int_equal(d.audio[0].flow, FLOW_SENDRECV);
	assert_int_equal(d.audio[3].ptime_ms, 0);
}

static void secure_profiles_are_noticed(void **state)
{
	(void)state;
	assert_true(read_text("c=IN IP4 10.0.0.1\nm=audio 4000 UDP/TLS/RTP/SAVPF 111\n"));
	assert_true(d.audio[0].secure);
	assert_true(read_text(
		"c=IN IP4 10.0.0.1\nm=audio 4000 RTP/AVP 0\na=crypto:1 AES_CM inline:x\n"));
	assert_true(d.audio[0].secure);
}

static void zero_address_and_inactive_are_hold(void **state)
{
	(void)state;
	static const char *const holds[] = {
		"c=IN IP4 0.0.0.0\nm=audio 4000 RTP/AVP 0\n",
		"c=IN IP6 ::\nm=audio 4000 RTP/AVP 0\n",
		"c=IN IP4 10.0.0.1\nm=audio 4000 RTP/AVP 0\na=inactive\n",
		"c=IN IP4 10.0.0.1\nm=audio 4000 RTP/AVP 0\na=sendonly\n",
	};
	for (int i = 0; i < 4; i++) {
		assert_true(read_text(holds[i]));
		assert_true(d.on_hold);
		assert_int_equal(d.audio[0].has_endpoint, i >= 2);
	}
	assert_true(read_text("c=IN IP4 10.0.0.1\nm=audio 4000 RTP/AVP 0\na=recvonly\n"));
	assert_false(d.on_hold);
}

static void host_name_gives_no_endpoint(void **state)
{
	(void)state;
	assert_true(read_text("c=IN IP4 media.example.com\nm=audio 4000 RTP/AVP 0\n"));
	assert_int_equal(d.audio_count, 1);
	assert_string_equal(at(0), "none");
	assert_false(d.on_hold);
	assert_true(read_text("m=audio 4000 RTP/AVP 0\n"));
	assert_string_equal(at(0), "none");
}

static void nonsense_values_are_passed_over(void **state)
{
	(void)state;
	assert_true(read_text(
		"c=IN IP4 10.0.0.1\nm=audio 70000 RTP/AVP 0\nm=audio RTP/AVP 0\nm=\nm=audio\n"));
	assert_int_equal(d.audio_count, 0);
	assert_true(
		read_text("c=IN IP4 10.0.0.1\nm=audio 4000 RTP/AVP 0 128 999999999999 x 8 8 0 -1\n"
			  "a=rtpmap:200 X/1\na=rtpmap:8\na=rtpmap:8 /8000\na=ptime:99999999\n"
			  "a=rtpmap:0 PCMU/99999999999/300\n"));
	assert_int_equal(d.audio[0].payloads_count, 2);
	assert_int_equal(d.audio[0].payloads[1].type, 8);
	assert_string_equal(d.audio[0].payloads[1].codec, "PCMA");
	assert_int_equal(d.audio[0].payloads[0].clock_rate, 0);
	assert_int_equal(d.audio[0].ptime_ms, 0);
	assert_false(read_text("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n"));
	assert_false(read_text(""));
}

static void more_payload_types_than_we_keep_are_cut(void **state)
{
	(void)state;
	char text[512] = "c=IN IP4 10.0.0.1\nm=audio 4000 RTP/AVP";
	for (int i = 96; i < 128; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), " %d", i);
	assert_true(read_text(text));
	assert_int_equal(d.audio[0].payloads_count, MEDIA_PAYLOADS);
}

static bool find(const char *type, const char *boundary, const char *body, struct span *sdp)
{
	return description_find(type, boundary, (const uint8_t *)body, (uint32_t)strlen(body), sdp);
}

static void description_is_found_in_bodies(void **state)
{
	(void)state;
	struct span s;
	assert_true(find("application/sdp", "", "v=0\n", &s));
	assert_true(find("", "", "v=0\n", &s));
	assert_false(find("", "", "hello", &s));
	assert_false(find("text/plain", "", "v=0\n", &s));
	assert_false(find("application/sdp", "", "", &s));

	static const char *const parts =
		"preamble\r\n--bb\r\nContent-Type: application/isup\r\n\r\nxx\r\n"
		"--bb\r\nc: Application/SDP ;x=y\r\nContent-Length: 9\r\n\r\n"
		"v=0\r\nm=audio 1 RTP/AVP 0\r\n--bb--\r\nepilogue";
	assert_true(find("multipart/mixed", "bb", parts, &s));
	assert_int_equal(s.len, 26);
	assert_memory_equal(s.p, "v=0\r\nm=audio 1 RTP/AVP 0\r\n", 26);
	assert_false(find("multipart/mixed", "", parts, &s));
	assert_false(find("multipart/mixed", "zz", parts, &s));
	assert_true(
		find("multipart/mixed", "bb", "--bb\nContent-Type: application/sdp\n\nv=0", &s));
	assert_int_equal(s.len, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usual_description_is_read),
		cmocka_unit_test(static_payload_types_need_no_map),
		cmocka_unit_test(order_missing_lines_and_line_ends_do_not_matter),
		cmocka_unit_test(description_is_read_as_far_as_it_goes),
		cmocka_unit_test(media_level_overrules_session_level),
		cmocka_unit_test(first_usable_audio_line_leads),
		cmocka_unit_test(secure_profiles_are_noticed),
		cmocka_unit_test(zero_address_and_inactive_are_hold),
		cmocka_unit_test(host_name_gives_no_endpoint),
		cmocka_unit_test(nonsense_values_are_passed_over),
		cmocka_unit_test(more_payload_types_than_we_keep_are_cut),
		cmocka_unit_test(description_is_found_in_bodies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
