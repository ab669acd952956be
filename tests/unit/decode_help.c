/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode_help.c: see decode_help.h. */
#include "decode_help.h"

struct counters counters;
struct datagram out;
struct piece piece;
struct decoder decoder;

int decode_help_init(void **state)
{
	(void)state;
	static struct options options;
	struct error err;

	options_default(&options);
	return decoder_init(&decoder, &options, &err) == RC_OK ? 0 : -1;
}

void add(struct build *b, const void *bytes, size_t n)
{
	assert_true(b->len + n <= sizeof b->bytes);
	memcpy(b->bytes + b->len, bytes, n);
	b->len += n;
}

void add_u8(struct build *b, unsigned v)
{
	uint8_t byte = (uint8_t)v;
	add(b, &byte, 1);
}

void add_u16(struct build *b, unsigned v)
{
	uint8_t bytes[2];
	put_u16(bytes, (uint16_t)v);
	add(b, bytes, 2);
}

void add_u32(struct build *b, uint32_t v)
{
	uint8_t bytes[4];
	put_u32(bytes, v);
	add(b, bytes, 4);
}

void add_zeros(struct build *b, size_t n)
{
	while (n-- > 0)
		add_u8(b, 0);
}

void add_ethernet(struct build *b, unsigned ethertype)
{
	add(b, "\x02\0\0\0\0\1\x02\0\0\0\0\2", 12);
	add_u16(b, ethertype);
}

/* 192.0.2.1 -> 192.0.2.2, a header of 20 bytes. */
void add_ipv4(struct build *b, unsigned total_len, unsigned fragment, unsigned protocol)
{
	add_u8(b, 0x45);
	add_u8(b, 0xb8);
	add_u16(b, total_len);
	add_u16(b, 7);
	add_u16(b, fragment);
	add_u8(b, 64);
	add_u8(b, protocol);
	add_u16(b, 0xbad); /* checksums are not looked at */
	add(b, "\xc0\0\2\1\xc0\0\2\2", 8);
}

/* 2001:db8::1 -> 2001:db8::2. */
void add_ipv6(struct build *b, unsigned payload_len, unsigned next)
{
	add_u32(b, 0x6b800000);
	add_u16(b, payload_len);
	add_u8(b, next);
	add_u8(b, 64);
	add(b, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	add(b, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2", 16);
}

void add_udp(struct build *b, unsigned udp_len, const char *payload)
{
	add_u16(b, 4000);
	add_u16(b, 5060);
	add_u16(b, udp_len);
	add_u16(b, 0);
	add(b, payload, strlen(payload));
}

/* A whole IPv4 packet with the payload "hello". */
void add_ipv4_hello(struct build *b)
{
	add_ipv4(b, 20 + 8 + 5, 0, 17);
	add_udp(b, 8 + 5, "hello");
}

void add_ipv6_hello(struct build *b)
{
	add_ipv6(b, 8 + 5, 17);
	add_udp(b, 8 + 5, "hello");
}

void wrap(struct build *b, const void *header, size_t n)
{
	assert_true(b->len + n <= sizeof b->bytes);
	memmove(b->bytes + n, b->bytes, b->len);
	memcpy(b->bytes, header, n);
	b->len += n;
}

void wrap_ipv4(struct build *b, unsigned protocol)
{
	uint8_t header[20] = { 0x45, 0, 0,   0,  0,   7, 0,   0,  64,  0,
			       0,    0, 198, 51, 100, 1, 198, 51, 100, 2 };

	put_u16(header + 2, (uint16_t)(b->len + 20));
	header[9] = (uint8_t)protocol;
	wrap(b, header, sizeof header);
}

void wrap_udp(struct build *b, unsigned port)
{
	uint8_t header[8] = { 0x30, 0x39 };

	put_u16(header + 2, (uint16_t)port);
	put_u16(header + 4, (uint16_t)(b->len + 8));
	wrap(b, header, sizeof header);
	wrap_ipv4(b, 17);
}

enum decode_verdict decode_bytes(unsigned link_type, const void *bytes, size_t len)
{
	struct frame f = { .ts_ns = 42,
			   .bytes = bytes,
			   .len = (uint32_t)len,
			   .wire_len = (uint32_t)len,
			   .link_type = (uint16_t)link_type };

	memset(&out, 0xee, sizeof out);
	memset(&piece, 0xee, sizeof piece);
	memset(&counters, 0, sizeof counters);
	enum decode_verdict v = decode_frame(&decoder, &f, &out, &piece, &counters);

	/* the law: each frame ends in one place */
	assert_int_equal(counter_get(&counters, COUNT_FRAMES), 1);
	assert_int_equal(counter_get(&counters, COUNT_FRAME_BYTES), len);
	assert_int_equal(counter_get(&counters, COUNT_DATAGRAMS), v == DECODE_UDP);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_OTHER), v == DECODE_OTHER);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_TCP), v == DECODE_TCP);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_FRAGMENT), v == DECODE_FRAGMENT);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_MALFORMED) +
				 counter_get(&counters, COUNT_DECODE_NESTED),
			 v == DECODE_MALFORMED);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_LINK_UNKNOWN),
			 v == DECODE_LINK_UNKNOWN);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_TRUNCATED),
			 v == DECODE_UDP && out.len < out.wire_len);
	if (v == DECODE_FRAGMENT || v == DECODE_TCP) {
		const uint8_t *begin = bytes;
		assert_true(piece.bytes >= begin && piece.bytes + piece.len <= begin + len);
		assert_true(piece.len <= piece.wire_len);
		assert_int_equal(piece.ts_ns, 42);
		assert_int_equal(piece.kind, v == DECODE_TCP ? PIECE_SEGMENT : PIECE_FRAGMENT);
	}
	return v;
}

enum decode_verdict decode(unsigned link_type, const struct build *b)
{
	return decode_bytes(link_type, b->bytes, b->len);
}

void assert_hello(unsigned link_type, const struct build *b, const char *src, const char *dst)
{
	char text[ENDPOINT_TEXT];

	assert_int_equal(decode(link_type, b), DECODE_UDP);
	assert_string_equal(endpoint_text(&out.src, text), src);
	assert_string_equal(endpoint_text(&out.dst, text), dst);
	assert_int_equal(out.ts_ns, 42);
	assert_int_equal(out.len, 5);
	assert_int_equal(out.wire_len, 5);
	assert_memory_equal(out.payload, "hello", 5);
	assert_memory_equal(out.src.zero, "\0\0\0\0\0\0", 6); /* endpoints are hashed as bytes */
	assert_memory_equal(out.dst.zero, "\0\0\0\0\0\0", 6);
	assert_true(out.payload >= b->bytes && out.payload < b->bytes + b->len);
}

void assert_v4_hello(unsigned link_type, const struct build *b)
{
	assert_hello(link_type, b, "192.0.2.1:4000", "192.0.2.2:5060");
}

void assert_v6_hello(unsigned link_type, const struct build *b)
{
	assert_hello(link_type, b, "[2001:db8::1]:4000", "[2001:db8::2]:5060");
}
