/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_recognise.c: what is SIP on any port, and what only looks a little like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sip/sip.h"

static enum sip_kind kind(const char *text)
{
	/* An exact copy, so that a sanitizer sees reads past the end. */
	size_t len = strlen(text);
	uint8_t *copy = malloc(len + 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	uint8_t *exact = realloc(copy, len ? len : 1);
	assert_non_null(exact);
	enum sip_kind k = sip_recognise(exact, (uint32_t)len);
	free(exact);
	return k;
}

static void requests_are_told_apart_by_method(void **state)
{
	(void)state;
	static const char *const dialog[] = { "INVITE", "ACK",    "BYE",  "CANCEL",
					      "PRACK",  "UPDATE", "REFER" };
	static const char *const rest[] = { "REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY",
					    "PUBLISH",  "MESSAGE", "INFO",      "X-NEW" };
	char text[128];
	for (size_t i = 0; i < sizeof dialog / sizeof *dialog; i++) {
		snprintf(text, sizeof text,
			 "%s sip:a@b SIP/2.0\r\nVia: x\r\ncseq:\r\n 1 %s\r\n\r\n", dialog[i],
			 dialog[i]);
		assert_int_equal(kind(text), SIP_DIALOG);
	}
	for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
		snprintf(text, sizeof text, "%s sip:a@b SIP/2.0\r\nVia: x\r\n\r\n", rest[i]);
		assert_int_equal(kind(text), SIP_REST);
	}
}

static void responses_are_told_apart_by_cseq(void **state)
{
	(void)state;
	assert_int_equal(kind("SIP/2.0 200 OK\r\nVia: x\r\nCSeq: 1 INVITE\r\n\r\n"), SIP_DIALOG);
	assert_int_equal(kind("SIP/2.0 200 OK\r\nVia: x\r\ncseq :\t7  REGISTER\r\n\r\n"), SIP_REST);
	assert_int_equal(kind("SIP/2.0 200 OK\nCSEQ:1 OPTIONS\n\n"), SIP_REST);
	assert_int_equal(kind("SIP/2.0 200 OK\r\nX: CSeq: 1 OPTIONS\r\nCSeq: 1 BYE\r\n\r\n"),
			 SIP_DIALOG);
	/* What it answers is not known: it may matter. */
	assert_int_equal(kind("SIP/2.0 200 OK\r\nCSeq: 1 X-NEW\r\n\r\n"), SIP_DIALOG);
	assert_int_equal(kind("SIP/2.0 200 OK\r\nCSeq: nothing\r\n\r\n"), SIP_DIALOG);

	char far[3000] = "SIP/2.0 200 OK\r\nX: ";
	memset(far + strlen(far), 'x', 2100);
	strcat(far, "\r\nCSeq: 1 OPTIONS\r\n\r\n");
	assert_int_equal(kind(far), SIP_DIALOG);
}

/* They can be of no call, and are the first to be dropped. */
static void messages_without_cseq_do_not_go_before_others(void **state)
{
	(void)state;
	assert_int_equal(kind("SIP/2.0 200 OK\r\nVia: x\r\n\r\nCSeq: 1 INVITE\r\n"), SIP_REST);
	assert_int_equal(kind("SIP/2.0 200"), SIP_REST);
	assert_int_equal(kind("INVITE sip:a@b SIP/2.0\r\nVia: x\r\n\r\nCSeq: 1 INVITE\r\n"),
			 SIP_REST);
	assert_int_equal(kind("BYE sip:a@b SIP/2.0\r\n\x01\xff\xfe: garbage"), SIP_REST);

	/* It may stand where we do not look. */
	char far[3000] = "INVITE sip:a@b SIP/2.0\r\nX: ";
	memset(far + strlen(far), 'x', 2100);
	strcat(far, "\r\nCSeq: 1 INVITE\r\n\r\n");
	assert_int_equal(kind(far), SIP_DIALOG);
}

static void keepalives_and_leading_line_ends_are_sip(void **state)
{
	(void)state;
	assert_int_equal(kind("\r\n\r\n"), SIP_REST);
	assert_int_equal(kind("\r\n"), SIP_REST);
	assert_int_equal(kind("\r\n\r\nINVITE sip:a@b SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n"),
			 SIP_DIALOG);
	assert_int_equal(kind(""), SIP_NOT);
}

static void cut_request_line_is_recognised_by_its_uri(void **state)
{
	(void)state;
	assert_int_equal(kind("INVITE sip:someone-with-a-very-long-na"), SIP_REST);
	assert_int_equal(kind("INVITE http://x"), SIP_NOT);
	assert_int_equal(kind("XYZ sip:someone"), SIP_NOT);
}

static void others_are_not_sip(void **state)
{
	(void)state;
	static const char *const others[] = {
		"invite sip:a@b SIP/2.0\r\n\r\n",
		"INVITE sip:a@b SIP/3.0\r\n\r\n",
		"INVITE sip:a@b\r\n\r\n",
		"INVITE  \r\n",
		"INVITE",
		" INVITE sip:a@b SIP/2.0\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"NOTIFY * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"SIP/2.0 099 x\r\n",
		"SIP/2.0 700 x\r\n",
		"SIP/2.0 20 x\r\n",
		"SIP/2.0\r\n",
		"SIP/7.0 200 OK\r\n",
		"INV\x01TE sip:a@b SIP/2.0\r\n",
		"INVITE sip:a\x02@b SIP/2.0\r\n",
		"<?xml version=\"1.0\"?>",
	};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (kind(others[i]) != SIP_NOT)
			fail_msg("taken for SIP: %s", others[i]);
}

static void rtp_dns_and_stun_are_not_sip(void **state)
{
	(void)state;
	uint8_t p[200];
	/* RTP and RTCP: version 2.  STUN: 0 or 1 in front. */
	for (unsigned first = 0; first < 256; first++) {
		if (first >= 0x20 && first < 0x7f)
			continue;
		memset(p, 'A', sizeof p);
		p[0] = (uint8_t)first;
		if (first != '\r' && first != '\n')
			assert_int_equal(sip_recognise(p, sizeof p), SIP_NOT);
	}
	/* DNS with an id that reads "BY", then flags and counts. */
	static const uint8_t dns[] = { 'B', 'Y', 0x01, 0x00, 0,   1,   0,   0, 0,
				       0,   0,   0,    3,    's', 'i', 'p', 0 };
	assert_int_equal(sip_recognise(dns, sizeof dns), SIP_NOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_told_apart_by_method),
		cmocka_unit_test(responses_are_told_apart_by_cseq),
		cmocka_unit_test(messages_without_cseq_do_not_go_before_others),
		cmocka_unit_test(keepalives_and_leading_line_ends_are_sip),
		cmocka_unit_test(cut_request_line_is_recognised_by_its_uri),
		cmocka_unit_test(others_are_not_sip),
		cmocka_unit_test(rtp_dns_and_stun_are_not_sip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
