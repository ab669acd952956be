/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_message.c: from bytes to the fields of a message, whatever shape they come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "sip/message.h"

#define LINES "From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: c@h\r\nCSeq: 3 INVITE\r\n"

static struct message_parser *parser;
static struct sip_message m;

static enum message_verdict parse(const char *text)
{
	return message_parse(parser, (const uint8_t *)text, (uint32_t)strlen(text), &m);
}

static void fields_of_a_request_are_read(void **state)
{
	(void)state;
	assert_int_equal(
		parse("INVITE sip:b@x SIP/2.0\r\n"
		      "Via: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK77\r\n"
		      "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK66\r\n"
		      "From: \"Ann \\\"A\\\" Lee\" "
		      "<sip:%41nn:pw@10.0.0.1:5060;transport=udp>;tag=f1\r\n"
		      "To: Bob <sips:bob@[2001:db8::1]>\r\n"
		      "Call-ID: c@h\r\nCSeq: 3 INVITE\r\nContact: <sip:ann@10.0.0.1>\r\n"
		      "Refer-To: <sip:c@x>\r\nReferred-By: <sip:r@x>\r\n"
		      "Replaces: q;to-tag=1;from-tag=2\r\nSession-ID: ab;remote=00\r\n"
		      "Content-Type: Application/SDP\r\nContent-Length: 5\r\n\r\nv=0\r\nrest"),
		MESSAGE_PARSED);
	assert_true(m.request);
	assert_int_equal(m.method, METHOD_INVITE);
	assert_int_equal(m.status, 0);
	assert_int_equal(m.cseq, 3);
	assert_string_equal(m.call_id, "c@h");
	assert_string_equal(m.from.user, "Ann");
	assert_string_equal(m.from.name, "Ann \"A\" Lee");
	assert_string_equal(m.from.host, "10.0.0.1");
	assert_string_equal(m.from_tag, "f1");
	assert_string_equal(m.to.scheme, "sips");
	assert_string_equal(m.to.name, "Bob");
	assert_string_equal(m.to.host, "2001:db8::1");
	assert_string_equal(m.to_tag, "");
	assert_string_equal(m.branch, "z9hG4bK77");
	assert_string_equal(m.content_type, "application/sdp");
	assert_string_equal(m.target, "b");
	assert_true(span_is(m.refer_to, "<sip:c@x>"));
	assert_true(span_is(m.referred_by, "<sip:r@x>"));
	assert_true(span_is(m.replaces, "q;to-tag=1;from-tag=2"));
	assert_true(span_is(m.session_id, "ab;remote=00"));
	assert_int_equal(m.body_len, 5);
	assert_memory_equal(m.body, "v=0\r\n", 5);
}

static void response_has_the_method_of_its_cseq(void **state)
{
	(void)state;
	static const char *const starts[] = { "SIP/2.0 486 Busy Here\r\n", "SIP/2.0 486\r\n",
					      "SIP/2.0 486 \r\n", "sip/2.0 486 x\r\n" };
	for (int i = 0; i < 4; i++) {
		char text[512];
		snprintf(text, sizeof text, "%s%s\r\n", starts[i], LINES);
		assert_int_equal(parse(text), MESSAGE_PARSED);
		assert_false(m.request);
		assert_int_equal(m.status, 486);
		assert_int_equal(m.method, METHOD_INVITE);
		assert_string_equal(m.to_tag, "2");
	}
}

static void compact_names_folding_and_bare_line_feeds_are_understood(void **state)
{
	(void)state;
	assert_int_equal(parse("\r\n\nBYE sip:b@x SIP/2.0\nv:SIP/2.0/UDP h;branch=q\nF :\n"
			       "  <sip:a@x>\n\t;tag=1\nt:\n <sip:b@x>;tag=2\ni:  c@h \n"
			       "cseq: 3\n BYE\nl:2\n\nab"),
			 MESSAGE_PARSED);
	assert_int_equal(m.method, METHOD_BYE);
	assert_string_equal(m.from_tag, "1");
	assert_string_equal(m.to_tag, "2");
	assert_string_equal(m.call_id, "c@h");
	assert_string_equal(m.branch, "q");
	assert_int_equal(m.body_len, 2);
}

static void headers_in_no_table_cannot_spoil_a_message(void **state)
{
	(void)state;
	assert_int_equal(
		parse("INVITE sip:b@x SIP/2.0\r\nSubject: \"unbalanced\r\nWarning: \"\r\n"
		      "no colon here\r\n: no name\r\n" LINES
		      "Authorization: Digest user=\"x\r\nContent-Length: 9999\r\n\r\nbody"),
		MESSAGE_PARSED);
	assert_int_equal(m.body_len, 4);
}

static void optional_headers_are_given_up_to_save_a_message(void **state)
{
	(void)state;
	assert_int_equal(parse("INVITE sip:b@x SIP/2.0\r\nVia: garbage\r\n" LINES "\r\n"),
			 MESSAGE_REPAIRED);
	assert_string_equal(m.from.user, "a");
	assert_string_equal(m.branch, "");
	assert_int_equal(parse("INVITE sip:b@x SIP/2.0\r\nFrom: \"Ann <sip:a@x>;tag=1\r\n"
			       "To: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
			       "Content-Type: application/sdp\r\n\r\n"),
			 MESSAGE_REPAIRED);
	assert_string_equal(m.from.user, "a");
	assert_string_equal(m.from_tag, "1");
	assert_string_equal(m.content_type, "application/sdp");
}

static void messages_without_what_all_must_have_are_malformed(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"INVITE sip:b@x SIP/2.0\r\n\r\n",
		"INVITE sip:b@x SIP/2.0\r\nFrom: <sip:a@x>\r\nTo: <sip:b@x>\r\nCall-ID: c\r\n\r\n",
		"INVITE sip:b@x SIP/2.0\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n",
		"INVITE\r\n" LINES "\r\n",
		"SIP/2.0 99 x\r\n" LINES "\r\n",
		"SIP/2.0 4294967301 x\r\n" LINES "\r\n",
		"SIP/2.0 700 x\r\n" LINES "\r\n",
		"BYE sip:b SIP/2.0\r\nFrom: <sip:a@x>\r\nTo: <sip:b@x>\r\nCall-ID: c\r\n"
		"CSeq: 36893488147419103232 BYE\r\n\r\n",
		"BYE sip:b SIP/2.0\r\nFrom: <sip:a@x>\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: x "
		"BYE\r\n\r\n",
		"nothing",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (parse(bad[i]) != MESSAGE_MALFORMED)
			fail_msg("accepted: %s", bad[i]);
}

static void line_ends_alone_are_a_keepalive(void **state)
{
	(void)state;
	assert_int_equal(parse("\r\n\r\n"), MESSAGE_EMPTY);
	assert_int_equal(parse(""), MESSAGE_EMPTY);
}

static void names_cannot_break_lines_or_encodings(void **state)
{
	(void)state;
	static const char text[] =
		"INVITE sip:b@x SIP/2.0\r\n"
		"From: \"M\xfcller \xc3\xa4 \x01\x1b[0m\" <sip:a%0d%0aEvil%00@x>;tag=1\r\n"
		"To: <sip:b@x>\r\nCall-ID: c\0d\r\nCSeq: 1 INVITE\r\n\r\n";
	assert_int_equal(message_parse(parser, (const uint8_t *)text, sizeof text - 1, &m),
			 MESSAGE_PARSED);
	assert_string_equal(m.from.name, "M\xef\xbf\xbdller \xc3\xa4 ??[0m");
	assert_string_equal(m.from.user, "a\xef\xbf\xbd\xef\xbf\xbd"
					 "Evil"); /* libosip2 ends it at the NUL */
	assert_string_equal(m.call_id, "c?d");
}

static void escapes_are_decoded_once(void **state)
{
	(void)state;
	assert_int_equal(parse("INVITE sip:b@x SIP/2.0\r\nFrom: <sip:%2541%41;p=1@x>;tag=1\r\n"
			       "To: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"),
			 MESSAGE_PARSED);
	assert_string_equal(m.from.user, "%41A");
}

static void long_texts_are_cut_at_a_character(void **state)
{
	(void)state;
	char text[4096] = "INVITE sip:b@x SIP/2.0\r\nCall-ID: ";
	for (int i = 0; i < 400; i++)
		strcat(text, "x");
	strcat(text, "\r\nFrom: \"");
	for (int i = 0; i < 200; i++)
		strcat(text, "\xc3\xa4");
	strcat(text, "\" <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCSeq: 1 INVITE\r\n\r\n");
	assert_int_equal(parse(text), MESSAGE_PARSED);
	assert_int_equal(strlen(m.call_id), sizeof m.call_id - 1);
	assert_int_equal(m.call_id_whole.len, 400);
	assert_int_equal(strlen(m.from.name), 126); /* 63 characters of two bytes */
}

/* libosip2 walks its lists to append to them: what it is given of each header has a bound. */
static void countless_parameters_are_cut(void **state)
{
	(void)state;
	char text[40000] = "INVITE sip:b@x";
	for (int i = 0; i < 5000; i++)
		strcat(text, ";a");
	strcat(text, " SIP/2.0\r\nCall-ID: c\r\nTo: <sip:b@x>\r\nCSeq: 1 INVITE\r\n"
		     "From: <sip:a@x>;tag=1");
	for (int i = 0; i < 5000; i++)
		strcat(text, ";a");
	strcat(text, "\r\n\r\n");
	assert_int_equal(parse(text), MESSAGE_PARSED);
	assert_string_equal(m.from_tag, "1");
	assert_string_equal(m.target, "b");
	assert_in_range(m.essence.len, 100, 1000);
}

static void first_usable_asserted_identity_is_taken(void **state)
{
	(void)state;
	static const struct {
		const char *headers, *scheme, *user;
	} cases[] = {
		{ "P-Asserted-Identity: \"Doe, J\" <sip:+49@c>, <tel:+49>\r\n", "sip", "+49" },
		{ "P-Asserted-Identity: <mailto:x@y>, tel:+1-2\r\n", "tel", "+12" },
		{ "P-Asserted-Identity: <urn:x>\r\nP-Asserted-Identity: <sips:7@c>\r\n", "sips",
		  "7" },
		{ "P-Asserted-Identity: \"broken <sip:7@c>\r\n", "", "" },
		{ "", "", "" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[512];
		snprintf(text, sizeof text, "INVITE sip:b@x SIP/2.0\r\n%s%s\r\n", cases[i].headers,
			 LINES);
		assert_int_equal(parse(text), MESSAGE_PARSED);
		assert_string_equal(m.asserted.scheme, cases[i].scheme);
		if (cases[i].scheme[0])
			assert_string_equal(m.asserted.user, cases[i].user);
	}
}

static void message_cut_anywhere_is_read_or_refused(void **state)
{
	(void)state;
	static const char text[] =
		"INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=q\r\n" LINES
		"Content-Type: multipart/mixed;boundary=\"b\"\r\n"
		"P-Asserted-Identity: \"x\" <sip:a@x>\r\nContent-Length: 4\r\n\r\nbody";
	for (uint32_t len = 0; len < sizeof text; len++) {
		uint8_t *copy =
			malloc(len + 1); /* exact, so that a sanitizer sees reads past the end */
		assert_non_null(copy);
		memcpy(copy, text, len);
		(void)message_parse(parser, copy, len, &m);
		free(copy);
	}
}

static void nothing_is_printed(void **state)
{
	(void)state;
	int pipes[2], out = dup(STDOUT_FILENO);
	char text[64];
	fflush(stdout);
	assert_int_equal(pipe(pipes), 0);
	assert_true(dup2(pipes[1], STDOUT_FILENO) >= 0);
	(void)parse("INVITE sip:b@x SIP/2.0\r\nVia: \"\r\nFrom: \"\r\nTo: \"\r\nCall-ID: "
		    "c\r\nCSeq: 1 X\r\n\r\n");
	fflush(stdout);
	assert_true(dup2(out, STDOUT_FILENO) >= 0);
	close(pipes[1]);
	assert_int_equal(read(pipes[0], text, sizeof text), 0);
	close(pipes[0]);
	close(out);
}

static int make_parser(void **state)
{
	(void)state;
	parser = message_parser_new(65535);
	return parser ? 0 : -1;
}

static int free_parser(void **state)
{
	(void)state;
	message_parser_free(parser);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_of_a_request_are_read),
		cmocka_unit_test(response_has_the_method_of_its_cseq),
		cmocka_unit_test(compact_names_folding_and_bare_line_feeds_are_understood),
		cmocka_unit_test(headers_in_no_table_cannot_spoil_a_message),
		cmocka_unit_test(optional_headers_are_given_up_to_save_a_message),
		cmocka_unit_test(messages_without_what_all_must_have_are_malformed),
		cmocka_unit_test(line_ends_alone_are_a_keepalive),
		cmocka_unit_test(names_cannot_break_lines_or_encodings),
		cmocka_unit_test(escapes_are_decoded_once),
		cmocka_unit_test(long_texts_are_cut_at_a_character),
		cmocka_unit_test(countless_parameters_are_cut),
		cmocka_unit_test(first_usable_asserted_identity_is_taken),
		cmocka_unit_test(message_cut_anywhere_is_read_or_refused),
		cmocka_unit_test(nothing_is_printed),
	};
	return cmocka_run_group_tests(tests, make_parser, free_parser);
}
