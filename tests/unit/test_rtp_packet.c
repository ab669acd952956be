/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* The RTP header, and telling RTP from its neighbours. */
#include "rtp_help.h"

#include "rtp/packet.h"

static void reads_the_plain_header(void **state)
{
	(void)state;
	const uint8_t p[] = { 0x80, 0x88, 0x12, 0x34, 1, 2, 3, 4, 0xa, 0xb, 0xc, 0xd, 9, 9 };
	struct rtp_header h;

	assert_true(rtp_parse(&h, p, sizeof p, sizeof p));
	assert_int_equal(h.payload_type, 8);
	assert_true(h.marker);
	assert_int_equal(h.sequence, 0x1234);
	assert_int_equal(h.timestamp, 0x01020304);
	assert_int_equal(h.ssrc, 0x0a0b0c0d);
	assert_int_equal(h.extra_len, 0);
	assert_int_equal(h.payload_len, 2);
	assert_ptr_equal(h.payload, p + 12);
}

static void reads_csrc_extension_and_padding(void **state)
{
	(void)state;
	uint8_t p[12 + 8 + 4 + 4 + 5 + 3] = { 0xb2 }; /* P, X, two CSRC */
	p[12 + 8 + 3] = 1;                            /* one word of extension */
	p[sizeof p - 1] = 3;
	struct rtp_header h;

	assert_true(rtp_parse(&h, p, sizeof p, sizeof p));
	assert_int_equal(h.extra_len, 16);
	assert_int_equal(h.payload_len, 5);
	assert_int_equal(h.padding_len, 3);
	assert_ptr_equal(h.extra, p + 12);
	assert_ptr_equal(h.payload, p + 28);
}

static void refuses_what_does_not_fit(void **state)
{
	(void)state;
	uint8_t p[16] = { 0x80 };
	struct rtp_header h;

	assert_false(rtp_parse(&h, p, 11, 11));
	p[0] = 0x40;
	assert_false(rtp_parse(&h, p, sizeof p, sizeof p));
	p[0] = 0x82; /* two CSRC of which one is there */
	assert_false(rtp_parse(&h, p, sizeof p, sizeof p));
	p[0] = 0x90; /* an extension longer than the packet */
	p[15] = 1;
	assert_false(rtp_parse(&h, p, sizeof p, sizeof p));
	p[15] = 0;
	assert_true(rtp_parse(&h, p, sizeof p, sizeof p));
	assert_int_equal(h.payload_len, 0);
}

static void leaves_an_impossible_padding_in_the_payload(void **state)
{
	(void)state;
	uint8_t p[16] = { 0xa0 };
	struct rtp_header h;

	p[15] = 200; /* ciphertext, by chance */
	assert_true(rtp_parse(&h, p, sizeof p, sizeof p));
	assert_int_equal(h.padding_len, 0);
	assert_int_equal(h.payload_len, 4);
	p[15] = 4;
	assert_true(rtp_parse(&h, p, sizeof p, sizeof p));
	assert_int_equal(h.padding_len, 4);
	assert_int_equal(h.payload_len, 0);
}

static void a_cut_packet_keeps_what_is_there(void **state)
{
	(void)state;
	uint8_t p[20] = { 0xb0 };
	struct rtp_header h;

	p[15] = 9; /* the extension goes on beyond the cut */
	p[19] = 4;
	assert_true(rtp_parse(&h, p, sizeof p, 200));
	assert_int_equal(h.extra_len, 8);
	assert_int_equal(h.payload_len, 0);
	assert_int_equal(h.padding_len, 0);
	p[15] = 0;
	assert_true(rtp_parse(&h, p, sizeof p, 200));
	assert_int_equal(h.extra_len, 4);
	assert_int_equal(h.payload_len, 4); /* its last octet is no padding count */
}

static void tells_what_shares_a_port(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		uint32_t len;
		enum packet_kind kind;
	} cases[] = {
		{ "", 0, PACKET_OTHER },
		{ "\0\0\0\0", 4, PACKET_OTHER }, /* keep-alive */
		{ "\0\1\0\0\x21\x12\xa4\x42"
		  "aaaaaaaaaaaa",
		  20, PACKET_STUN },
		{ "\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\0", 13, PACKET_DTLS },
		{ "\x10\0\0\1ZRTPaaaa", 12, PACKET_ZRTP },
		{ "\x10\0\0\1ZRTQaaaa", 12, PACKET_OTHER },
		{ "\x10\0\0\1ZRTP", 8, PACKET_OTHER },          /* too short */
		{ "\x80\xc8\0\6aaaaaaaa", 12, PACKET_RTCP },    /* sender report */
		{ "\x80\xcc\0\1aaaa", 8, PACKET_RTCP },         /* short, APP */
		{ "\x80\x48\0\6aaaaaaaa", 12, PACKET_RTP },     /* type 72 without marker */
		{ "\x80\0\0\1aaaa", 8, PACKET_OTHER },          /* too short */
		{ "\x80\0\0\1aaaabbbb", 12, PACKET_RTP },       /* no payload */
		{ "\x8f\0\0\1aaaabbbb", 12, PACKET_MALFORMED }, /* no room for CSRC */
		{ "\xc0\0\0\1aaaabbbb", 12, PACKET_MALFORMED },
		{ "Garbage of version one", 22, PACKET_MALFORMED },
		{ "BYE sip:x SIP/2.0\r\n", 19, PACKET_TEXT },
		{ "\r\nSIP/2.0 200 OK\r\n", 18, PACKET_TEXT },
		{ "SIP/2.0 200 OK\r\n", 16, PACKET_TEXT },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct datagram d = { .payload = (const uint8_t *)cases[i].bytes,
				      .len = cases[i].len,
				      .wire_len = cases[i].len };
		struct rtp_header h;
		assert_int_equal(packet_classify(&h, &d), cases[i].kind);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_plain_header),
		cmocka_unit_test(reads_csrc_extension_and_padding),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(leaves_an_impossible_padding_in_the_payload),
		cmocka_unit_test(a_cut_packet_keeps_what_is_there),
		cmocka_unit_test(tells_what_shares_a_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
