/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* SIP over TCP: however the bytes are cut, ordered and repeated, the messages are the same. */
#include "reassembly_help.h"

#define BODY "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n"

/* `n` tells one message from another; gives its length. */
static uint32_t message(char *to, size_t room, unsigned n, const char *length_name)
{
	return (uint32_t)snprintf(to, room,
				  "INVITE sip:%u@example.com SIP/2.0\r\nCall-ID: %u\r\n"
				  "%s %zu\r\nCSeq: 1 INVITE\r\n\r\n%s",
				  n, n, length_name, sizeof BODY - 1, BODY);
}

static void segment(struct bench *b, uint32_t sequence, const void *p, uint32_t n, uint8_t flags)
{
	struct piece s = { .ts_ns = b->now_ns,
			   .src = b->a,
			   .dst = b->b,
			   .bytes = p,
			   .len = n,
			   .wire_len = n,
			   .kind = PIECE_SEGMENT,
			   .sequence = sequence,
			   .flags = flags };
	reassembly_piece(b->r, &s);
}

static void assert_messages(const struct bench *b, unsigned n)
{
	char text[512];
	assert_int_equal(b->messages_count, n);
	for (unsigned i = 0; i < n && i < KEPT; i++) {
		uint32_t len = message(text, sizeof text, i, "Content-Length:");
		assert_string_equal(b->messages[i].text, text);
		assert_int_equal(b->messages[i].len, len);
		assert_int_equal(b->messages[i].wire_len, len);
		assert_true(endpoint_equal(&b->messages[i].src, &b->a));
		assert_true(endpoint_equal(&b->messages[i].dst, &b->b));
	}
}

static uint32_t messages(char *to, size_t room, unsigned from, unsigned n)
{
	uint32_t len = 0;
	for (unsigned i = 0; i < n; i++)
		len += message(to + len, room - len, from + i, "Content-Length:");
	return len;
}

static void tcp_messages_are_the_same_wherever_segments_end(void **state)
{
	struct bench *b = *state;
	char text[2048];
	uint32_t len = messages(text, sizeof text, 0, 3);
	for (uint32_t size = 1; size <= len; size++) {
		b->messages_count = 0;
		b->a.port = (uint16_t)(1024 + size);
		segment(b, 999, NULL, 0, TCP_SYN);
		for (uint32_t at = 0; at < len; at += size)
			segment(b, 1000 + at, text + at, len - at < size ? len - at : size, 0);
		assert_messages(b, 3);
	}
	assert_int_equal(reassembly_segments_held(b->r), 0);
	assert_int_equal(counted(b, COUNT_TCP_RESYNC), 0);
}

static void tcp_segments_in_any_order_and_twice(void **state)
{
	struct bench *b = *state;
	char text[2048];
	uint64_t given = 0;
	uint32_t len = messages(text, sizeof text, 0, 3);
	for (unsigned seed = 1; seed < 200; seed++) {
		uint32_t at[64], size = 20 + seed % 100, n = 0;
		b->messages_count = 0;
		b->a.port = (uint16_t)(1024 + seed);
		for (uint32_t from = 0; from < len; from += size)
			at[n++] = from;
		srand(seed);
		for (uint32_t i = n - 1; i > 0; i--) {
			uint32_t j = (uint32_t)rand() % (i + 1), swap = at[i];
			at[i] = at[j];
			at[j] = swap;
		}
		/* The sequence number wraps on the way. */
		uint32_t isn = 0u - 200;
		segment(b, isn, NULL, 0, TCP_SYN);
		for (uint32_t i = 0; i < 2 * n; i++) {
			uint32_t from = at[i % n];
			uint32_t part = len - from < size + seed % 7 ? len - from : size + seed % 7;
			segment(b, isn + 1 + from, text + from, part, 0);
		}
		given += 2 * n + 1;
		assert_messages(b, 3);
	}
	assert_int_equal(reassembly_segments_held(b->r), 0);
	check_segments(b, given);
}

static void tcp_first_copy_counts(void **state)
{
	struct bench *b = *state;
	char text[512], forged[512];
	uint32_t len = message(text, sizeof text, 0, "Content-Length:");
	memset(forged, 'x', sizeof forged);
	segment(b, 0, NULL, 0, TCP_SYN);
	segment(b, 1, text, 40, 0);
	segment(b, 1 + 60, text + 60, 20, 0); /* waits */
	segment(b, 1, forged, 40, 0);
	segment(b, 1 + 60, forged, 20, 0);
	segment(b, 1 + 40, text + 40, 20, 0);
	segment(b, 1 + 70, forged, 10, 0);
	segment(b, 1 + 80, text + 80, len - 80, 0);
	assert_messages(b, 1);
	check_segments(b, 8);
}

static void tcp_content_length_is_known_in_all_spellings(void **state)
{
	struct bench *b = *state;
	static const char *const names[] = { "Content-Length:", "l:", "L :", "CONTENT-LENGTH  :\t",
					     "content-length:\r\n " };
	char text[512];
	uint32_t at = 1;
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		uint32_t len = message(text, sizeof text, i, names[i]);
		segment(b, at, text, len, 0);
		at += len;
		assert_int_equal(b->messages_count, i + 1);
		assert_int_equal(b->messages[i].len, len);
	}
}

static void tcp_keep_alives_are_no_messages(void **state)
{
	struct bench *b = *state;
	char text[1024];
	uint32_t len = messages(text, sizeof text, 0, 1);
	uint32_t at = 1;
	segment(b, at, text, len, 0);
	at += len;
	segment(b, at, "\r\n\r\n", 4, 0);
	at += 4;
	segment(b, at, "\r\n", 2, 0);
	at += 2;
	len = messages(text, sizeof text, 1, 1);
	segment(b, at, text, len, 0);
	assert_messages(b, 2);
	assert_int_equal(counted(b, COUNT_TCP_RESYNC), 0);
}

static void tcp_message_without_length_ends_with_its_header(void **state)
{
	struct bench *b = *state;
	const char text[] = "OPTIONS sip:x SIP/2.0\r\nCall-ID: 1\r\n\r\n"
			    "SIP/2.0 200 OK\r\nl: 3\r\n\r\nabc";
	segment(b, 1, text, sizeof text - 1, 0);
	assert_int_equal(b->messages_count, 2);
	assert_string_equal(b->messages[1].text, "SIP/2.0 200 OK\r\nl: 3\r\n\r\nabc");
	assert_int_equal(counted(b, COUNT_TCP_NO_LENGTH), 1);
}

static void tcp_message_too_long_is_passed_over(void **state)
{
	struct bench *b = *state;
	const char head[] = "INVITE sip:x SIP/2.0\r\nContent-Length: 70000\r\n\r\n";
	static char filling[70000];
	char text[512];
	memset(filling, 'x', sizeof filling);
	memcpy(filling + 500, "\r\nBYE sip:x SIP/2.0\r\n\r\n", 23);
	segment(b, 1, head, sizeof head - 1, 0);
	uint32_t at = sizeof head;
	for (uint32_t done = 0; done < sizeof filling; done += 1000)
		segment(b, at + done, filling + done, 1000, 0);
	uint32_t len = messages(text, sizeof text, 0, 1);
	segment(b, at + (uint32_t)sizeof filling, text, len, 0);
	assert_messages(b, 1);
	assert_int_equal(counted(b, COUNT_TCP_OVERSIZE), 1);
}

static void tcp_connection_is_picked_up_in_the_middle(void **state)
{
	struct bench *b = *state;
	char text[2048];
	uint32_t len = messages(text, sizeof text, 0, 2);
	uint32_t first = len / 2;
	/* The end of something, and the first message in the same segment. */
	char mixed[2048];
	uint32_t tail = (uint32_t)snprintf(mixed, sizeof mixed, "a=sendrecv\r\na=ptime:20\r\n");
	memcpy(mixed + tail, text, first);
	segment(b, 5000, mixed, tail + first, 0);
	segment(b, 5000 + tail + first, text + first, len - first, 0);
	assert_messages(b, 2);
	/* And from a segment that begins with one. */
	b->a.port++;
	b->messages_count = 0;
	segment(b, 7000, "nothing of any meaning", 22, 0);
	assert_int_equal(b->not_sip, 1);
	segment(b, 7022, text, 100, 0);
	segment(b, 7122, text + 100, len - 100, 0);
	assert_messages(b, 2);
}

static void tcp_hole_is_passed_over_in_time(void **state)
{
	struct bench *b = *state;
	char text[2048];
	uint32_t first = messages(text, sizeof text, 0, 1);
	segment(b, 1, text, first, 0);
	messages(text, sizeof text, 7, 1); /* this one is lost */
	uint32_t at = 1 + 2 * first;
	uint32_t len = messages(text, sizeof text, 1, 1);
	int64_t sent = b->now_ns;
	segment(b, at, text, len, 0);
	assert_int_equal(b->messages_count, 1);
	reassembly_tick(b->r, b->now_ns + 900 * NS_PER_MS);
	assert_int_equal(b->messages_count, 1);
	assert_int_equal(reassembly_segments_held(b->r), 1);
	reassembly_tick(b->r, b->now_ns + 1100 * NS_PER_MS);
	assert_messages(b, 2);
	assert_int_equal(b->messages[1].ts_ns, sent);
	assert_int_equal(counted(b, COUNT_TCP_GAPS), 1);
	check_segments(b, 2);
}

static void tcp_hole_in_a_body_cuts_only_that_message(void **state)
{
	struct bench *b = *state;
	char text[2048];
	uint32_t one = messages(text, sizeof text, 0, 1);
	uint32_t len = messages(text, sizeof text, 0, 2);
	segment(b, 1, text, one - 30, 0);
	segment(b, 1 + one - 20, text + one - 20, len - one + 20, 0);
	reassembly_finish(b->r);
	assert_int_equal(b->messages_count, 2);
	assert_int_equal(b->messages[0].len, one - 30);
	assert_int_equal(b->messages[0].wire_len, one);
	assert_int_equal(b->messages[1].len, len - one);
	assert_int_equal(counted(b, COUNT_TCP_RESYNC), 0);
}

static void tcp_segment_cut_by_the_snap_length_cuts_its_message(void **state)
{
	struct bench *b = *state;
	char text[2048];
	uint32_t one = messages(text, sizeof text, 0, 1);
	uint32_t two = messages(text, sizeof text, 0, 2);
	struct piece s = { .ts_ns = b->now_ns,
			   .src = b->a,
			   .dst = b->b,
			   .bytes = (uint8_t *)text,
			   .len = one - 10,
			   .wire_len = one,
			   .kind = PIECE_SEGMENT,
			   .sequence = 1 };
	reassembly_piece(b->r, &s);
	segment(b, 1 + one, text + one, two - one, 0);
	assert_int_equal(b->messages_count, 2);
	assert_int_equal(b->messages[0].len, one - 10);
	assert_int_equal(b->messages[0].wire_len, one);
	assert_int_equal(b->messages[1].len, two - one);
}

static void tcp_begins_again_after_nonsense(void **state)
{
	struct bench *b = *state;
	char text[2048];
	uint32_t len = messages(text, sizeof text, 0, 1);
	segment(b, 1, text, len, 0);
	segment(b, 1 + len, "nonsense\r\nmore of it\r\nand", 25, 0);
	uint32_t at = 1 + len + 25;
	segment(b, at, " more\r\n", 7, 0);
	len = messages(text, sizeof text, 1, 1);
	segment(b, at + 7, text, len, 0);
	assert_messages(b, 2);
	assert_int_equal(counted(b, COUNT_TCP_RESYNC), 1);
}

static void tcp_of_others_is_told_to_be_so(void **state)
{
	struct bench *b = *state;
	static const char *const openings[] = {
		"GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n",
		"220 mail ESMTP\r\n",
		"\x03\x01\x02",
		"\xff\xfe",
		"\x16\x03\x01\x00\x02\x02\x00",
		"OPTIONS rtsp://x RTSP/1.0\r\n\r\n",
	};
	const unsigned n = sizeof openings / sizeof openings[0];
	for (unsigned i = 0; i < n; i++) {
		b->a.port = (uint16_t)(2000 + i);
		uint32_t len = (uint32_t)strlen(openings[i]);
		len = i == 6 ? 7 : len; /* has zeros */
		segment(b, 100, NULL, 0, TCP_SYN);
		segment(b, 101, openings[i], len, 0);
		assert_int_equal(b->not_sip, i + 1);
	}
	assert_int_equal(counted(b, COUNT_TCP_FLOWS), 0);
	assert_int_equal(counted(b, COUNT_TCP_NOT_SIP), n);
	check_segments(b, 2 * n);
}

/* RFC 8446, 4.1.2 with the one extension ALPN (RFC 7301). */
static uint32_t client_hello(uint8_t *to, const char *protocol)
{
	uint8_t name = (uint8_t)strlen(protocol);
	uint8_t hello[] = { 3,
			    3,
			    [2 + 32] = 0,
			    0,
			    2,
			    0x13,
			    1,
			    1,
			    0,
			    0,
			    (uint8_t)(name + 7),
			    0,
			    16,
			    0,
			    (uint8_t)(name + 3),
			    0,
			    (uint8_t)(name + 1),
			    name };
	uint8_t len = (uint8_t)(sizeof hello + name);
	const uint8_t head[] = { 22, 3, 1, 0, (uint8_t)(len + 4), 1, 0, 0, len };
	memcpy(to, head, sizeof head);
	memcpy(to + sizeof head, hello, sizeof hello);
	memcpy(to + sizeof head + sizeof hello, protocol, name);
	return (uint32_t)sizeof head + len;
}

static void tcp_tls_with_sip_is_counted_once_a_connection(void **state)
{
	struct bench *b = *state;
	uint8_t hello[128];
	uint32_t len = client_hello(hello, "sip/2");
	b->b.port = 443;
	segment(b, 100, NULL, 0, TCP_SYN);
	segment(b, 101, hello, 30, 0);
	assert_int_equal(counted(b, COUNT_SIP_TLS), 0);
	segment(b, 131, hello + 30, len - 30, 0);
	segment(b, 101 + len, "\x17\x03\x03\x00\x10", 5, 0);
	segment(b, 101, hello, len, 0);
	assert_int_equal(counted(b, COUNT_SIP_TLS), 1);
	/* Another protocol at this port, and any at the port of SIP over TLS. */
	len = client_hello(hello, "http/1.1");
	b->a.port++;
	segment(b, 101, hello, len, 0);
	assert_int_equal(counted(b, COUNT_SIP_TLS), 1);
	b->b.port = 5071;
	segment(b, 101, hello, len, 0);
	assert_int_equal(counted(b, COUNT_SIP_TLS), 2);
	check_segments(b, 7);
}

static void tcp_connection_begun_again_at_the_same_ports(void **state)
{
	struct bench *b = *state;
	char text[2048];
	uint32_t len = messages(text, sizeof text, 0, 1);
	segment(b, 100, NULL, 0, TCP_SYN);
	segment(b, 101, text, len, 0);
	segment(b, 101 + len, text, 40, 0); /* never ended */
	segment(b, 0x80000000, NULL, 0, TCP_SYN);
	segment(b, 0x80000000, NULL, 0, TCP_SYN);
	len = messages(text, sizeof text, 1, 1);
	segment(b, 0x80000001, text, len, 0);
	assert_messages(b, 2);
	/* Without a SYN that anyone saw. */
	len = messages(text, sizeof text, 2, 1);
	segment(b, 0x40000000, text, len, 0);
	assert_messages(b, 3);
	segment(b, 0x20000000, "what is this", 12, 0);
	assert_int_equal(counted(b, COUNT_TCP_OUT_OF_WINDOW), 1);
	check_segments(b, 8);
}

/* 20,000 connections a second that say nothing, half a message, or something out of order; and two good ones: old and
 * idle, and begun in the middle of it, each message in three segments out of order. */
static void tcp_of_good_calls_survives_a_flood(void **state)
{
	struct bench *b = *state;
	int64_t seconds = getenv("LONG") ? 30 : 2;
	char text[2048];
	uint64_t given = 0;
	struct endpoint good = b->a, flood = b->a;
	uint32_t at = 1, len = messages(text, sizeof text, 0, 1);
	unsigned sent = 1;
	segment(b, at, text, len, 0);
	given++;
	at += len;
	for (int64_t ms = 0; ms < seconds * 1000; ms++) {
		b->now_ns += NS_PER_MS;
		for (unsigned i = 0; i < 20; i++, given += 2) {
			b->a = flood;
			memcpy(b->a.addr, &given, sizeof given);
			segment(b, 1000, NULL, 0, TCP_SYN);
			uint32_t from = i % 2 ? 0 : 100;
			segment(b, 1001 + from, text + from, 60, 0);
		}
		b->a = good;
		if (ms % 10 == 9) {
			len = messages(text, sizeof text, sent, 1);
			segment(b, at + 100, text + 100, len - 100, 0);
		} else if (ms % 10 == 4 && ms > 10) {
			segment(b, at + 20, text + 20, 80, 0);
			segment(b, at, text, 20, 0);
			at += len;
			sent++;
			given += 3;
		}
		if (ms % 50 == 0)
			reassembly_tick(b->r, b->now_ns);
	}
	given += 1; /* the last begun one */
	assert_int_equal(b->messages_count, sent);
	assert_int_equal(sent, seconds * 100);
	check_segments(b, given);
	assert_true(counted(b, COUNT_TCP_FLOWS_EVICTED) > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_new, bench_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tcp_messages_are_the_same_wherever_segments_end),
		TEST(tcp_segments_in_any_order_and_twice),
		TEST(tcp_first_copy_counts),
		TEST(tcp_content_length_is_known_in_all_spellings),
		TEST(tcp_keep_alives_are_no_messages),
		TEST(tcp_message_without_length_ends_with_its_header),
		TEST(tcp_message_too_long_is_passed_over),
		TEST(tcp_connection_is_picked_up_in_the_middle),
		TEST(tcp_hole_is_passed_over_in_time),
		TEST(tcp_hole_in_a_body_cuts_only_that_message),
		TEST(tcp_segment_cut_by_the_snap_length_cuts_its_message),
		TEST(tcp_begins_again_after_nonsense),
		TEST(tcp_of_others_is_told_to_be_so),
		TEST(tcp_tls_with_sip_is_counted_once_a_connection),
		TEST(tcp_connection_begun_again_at_the_same_ports),
		TEST(tcp_of_good_calls_survives_a_flood),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
