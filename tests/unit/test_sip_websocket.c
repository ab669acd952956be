/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* SIP over WebSocket: masked or not, in one frame or many, wherever segments end. */
#include "reassembly_help.h"

#include "base/bytes.h"

#define REQUEST                                                                                    \
	"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"             \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                                          \
	"Sec-WebSocket-Protocol: xmpp, sip\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define ANSWER                                                                                     \
	"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: Upgrade\r\n"        \
	"sec-websocket-protocol: sip\r\n\r\n"

enum { CONTINUATION, TEXT, BINARY, PING = 9, FINAL = 0x80 };

struct stream {
	uint8_t bytes[200000];
	uint32_t len;
};

static void frame(struct stream *s, unsigned first, bool masked, const void *payload, uint32_t n)
{
	static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	const uint8_t *p = payload;
	uint8_t *to = s->bytes + s->len;
	*to++ = (uint8_t)first;
	uint8_t bit = masked ? 0x80 : 0;
	if (n < 126) {
		*to++ = (uint8_t)(bit | n);
	} else if (n < 65536) {
		*to++ = bit | 126;
		put_u16(to, (uint16_t)n);
		to += 2;
	} else {
		*to++ = bit | 127;
		put_u32(to, 0);
		put_u32(to + 4, n);
		to += 8;
	}
	if (masked) {
		memcpy(to, mask, 4);
		to += 4;
	}
	for (uint32_t i = 0; i < n; i++)
		*to++ = masked ? p[i] ^ mask[i % 4] : p[i];
	s->len = (uint32_t)(to - s->bytes);
}

static void text(struct stream *s, const char *t)
{
	uint32_t n = (uint32_t)strlen(t);
	memcpy(s->bytes + s->len, t, n);
	s->len += n;
}

static void send_bytes(struct bench *b, uint32_t sequence, const uint8_t *p, uint32_t n,
		       uint8_t flags)
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

static uint32_t send_stream(struct bench *b, const struct stream *s, uint32_t at, uint32_t size)
{
	for (uint32_t done = 0; done < s->len; done += size)
		send_bytes(b, at + done, s->bytes + done,
			   s->len - done < size ? s->len - done : size, 0);
	return at + s->len;
}

#define INVITE "INVITE sip:x SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n"
#define OK     "SIP/2.0 200 OK\r\nCall-ID: 1\r\nContent-Length: 3\r\n\r\nabc"

static struct stream *stream_new(void)
{
	struct stream *s = calloc(1, sizeof *s);
	assert_non_null(s);
	return s;
}

static void websocket_messages_are_the_same_wherever_segments_end(void **state)
{
	struct bench *b = *state;
	struct stream *s = stream_new();
	text(s, REQUEST);
	frame(s, FINAL | TEXT, true, INVITE, sizeof INVITE - 1);
	frame(s, FINAL | TEXT, true, "\r\n\r\n", 4); /* a keep-alive */
	frame(s, TEXT, true, OK, 10);
	frame(s, FINAL | PING, true, "ping", 4);
	frame(s, CONTINUATION, true, &OK[10], 0);
	frame(s, CONTINUATION, true, &OK[10], 15);
	frame(s, FINAL | CONTINUATION, true, &OK[25], sizeof OK - 1 - 25);
	frame(s, FINAL | BINARY, true, INVITE, sizeof INVITE - 1);
	for (uint32_t size = 1; size <= s->len; size++) {
		b->messages_count = 0;
		b->a.port = (uint16_t)(3000 + size);
		send_bytes(b, 0, NULL, 0, TCP_SYN);
		send_stream(b, s, 1, size);
		assert_int_equal(b->messages_count, 3);
		assert_string_equal(b->messages[0].text, INVITE);
		assert_string_equal(b->messages[1].text, OK);
		assert_string_equal(b->messages[2].text, INVITE);
	}
	assert_int_equal(counted(b, COUNT_WEBSOCKET_MALFORMED), 0);
	assert_int_equal(counted(b, COUNT_TCP_RESYNC), 0);
	free(s);
}

static void websocket_server_does_not_mask(void **state)
{
	struct bench *b = *state;
	struct stream *s = stream_new();
	char body[2000], message[2200];
	memset(body, 'b', sizeof body);
	int n = snprintf(message, sizeof message, "SIP/2.0 200 OK\r\nl: %zu\r\n\r\n%.*s",
			 sizeof body, (int)sizeof body, body);
	text(s, ANSWER);
	frame(s, FINAL | TEXT, false, message, (uint32_t)n);
	frame(s, FINAL | TEXT, false, INVITE, sizeof INVITE - 1);
	send_bytes(b, 0, NULL, 0, TCP_SYN);
	send_stream(b, s, 1, 500);
	assert_int_equal(b->messages_count, 2);
	assert_int_equal(b->messages[0].len, n);
	assert_string_equal(b->messages[1].text, INVITE);
	free(s);
}

static void websocket_of_others_is_not_followed(void **state)
{
	struct bench *b = *state;
	static const char other[] = "GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n"
				    "Sec-WebSocket-Protocol: chat\r\n\r\n";
	send_bytes(b, 0, NULL, 0, TCP_SYN);
	send_bytes(b, 1, (const uint8_t *)other, sizeof other - 1, 0);
	assert_int_equal(b->not_sip, 1);
	assert_int_equal(counted(b, COUNT_TCP_FLOWS), 0);
}

static void websocket_is_picked_up_in_the_middle(void **state)
{
	struct bench *b = *state;
	struct stream *s = stream_new();
	frame(s, FINAL | TEXT, true, INVITE, sizeof INVITE - 1);
	uint32_t at = send_stream(b, s, 900, 2000);
	assert_int_equal(b->messages_count, 1);
	/* Nonsense, and on with the next segment that begins with a frame. */
	send_bytes(b, at, (const uint8_t *)"\xff\xff\xff\xff", 4, 0);
	at += 4;
	assert_int_equal(counted(b, COUNT_WEBSOCKET_MALFORMED), 1);
	send_bytes(b, at, (const uint8_t *)"what", 4, 0);
	at = send_stream(b, s, at + 4, 2000);
	assert_int_equal(b->messages_count, 2);
	assert_int_equal(counted(b, COUNT_TCP_RESYNC), 1);
	free(s);
}

static void websocket_message_too_long_is_passed_over(void **state)
{
	struct bench *b = *state;
	struct stream *s = stream_new();
	uint8_t *filling = calloc(1, 70000);
	assert_non_null(filling);
	frame(s, FINAL | TEXT, true, INVITE, sizeof INVITE - 1);
	frame(s, FINAL | TEXT, true, filling, 70000);
	for (unsigned i = 0; i < 50; i++)
		frame(s, i ? CONTINUATION : TEXT, true, filling, 2000);
	frame(s, FINAL | CONTINUATION, true, "", 0);
	frame(s, FINAL | TEXT, true, INVITE, sizeof INVITE - 1);
	send_stream(b, s, 1, 1400);
	assert_int_equal(b->messages_count, 2);
	assert_int_equal(counted(b, COUNT_TCP_OVERSIZE), 2);
	free(filling);
	free(s);
}

static void websocket_hole_in_a_payload_cuts_only_that_message(void **state)
{
	struct bench *b = *state;
	struct stream *s = stream_new();
	frame(s, FINAL | TEXT, true, INVITE, sizeof INVITE - 1);
	uint32_t at = send_stream(b, s, 1, 2000);
	uint32_t one = s->len;
	frame(s, FINAL | TEXT, true, INVITE, sizeof INVITE - 1);
	send_bytes(b, at, s->bytes, 30, 0);
	send_bytes(b, at + 40, s->bytes + 40, s->len - 40, 0);
	reassembly_finish(b->r);
	assert_int_equal(b->messages_count, 3);
	assert_true(b->messages[1].len < b->messages[1].wire_len);
	assert_int_equal(b->messages[1].wire_len, sizeof INVITE - 1);
	assert_string_equal(b->messages[2].text, INVITE);
	assert_true(one < s->len);
	free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_new, bench_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(websocket_messages_are_the_same_wherever_segments_end),
		TEST(websocket_server_does_not_mask),
		TEST(websocket_of_others_is_not_followed),
		TEST(websocket_is_picked_up_in_the_middle),
		TEST(websocket_message_too_long_is_passed_over),
		TEST(websocket_hole_in_a_payload_cuts_only_that_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
