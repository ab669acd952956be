/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Decoding, on frames built by hand: every link, what IP may look like, and what it may not. */
#include "decode_help.h"

/* ---- links ---- */

static void reads_ethernet_and_leaves_out_its_padding(void **state)
{
	(void)state;
	struct build v4 = { .len = 0 }, v6 = { .len = 0 };

	add_ethernet(&v4, 0x0800);
	add_ipv4_hello(&v4);
	assert_v4_hello(1, &v4);
	add(&v4, "padding and checksum", 20);
	assert_v4_hello(1, &v4);
	add_ethernet(&v6, 0x86dd);
	add_ipv6_hello(&v6);
	assert_v6_hello(1, &v6);
	add(&v6, "padding", 7);
	assert_v6_hello(1, &v6);
}

static void other_ethertypes_are_nothing_for_us(void **state)
{
	(void)state;
	static const unsigned types[] = { 0x0806, 0x88cc, 0x8863, 46, 0, 0xffff };

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct build b = { .len = 0 };
		add_ethernet(&b, types[i]);
		add_ipv4_hello(&b);
		assert_int_equal(decode(1, &b), DECODE_OTHER);
	}
}

static void reads_stacked_vlan_tags_up_to_a_bound(void **state)
{
	(void)state;
	static const unsigned types[] = { 0x8100, 0x88a8, 0x9100, 0x9200 };

	for (unsigned depth = 1; depth <= 8; depth++) {
		struct build b = { .len = 0 };
		add_ethernet(&b, types[depth % 4]);
		for (unsigned i = 1; i < depth; i++) {
			add_u16(&b, 0x6000 + i);
			add_u16(&b, types[i % 4]);
		}
		add_u16(&b, 100);
		add_u16(&b, 0x0800);
		add_ipv4_hello(&b);
		assert_v4_hello(1, &b);
	}
	struct build endless = { .len = 0 };
	add_ethernet(&endless, 0x8100);
	for (unsigned i = 0; i < 300; i++) {
		add_u16(&endless, i);
		add_u16(&endless, 0x8100);
	}
	assert_int_equal(decode(1, &endless), DECODE_MALFORMED);
}

static void reads_linux_cooked_frames(void **state)
{
	(void)state;
	struct build sll = { .len = 0 }, sll2 = { .len = 0 }, tagged = { .len = 0 };

	add(&sll, "\0\0\0\1\0\6\2\0\0\0\0\1\0\0", 14);
	add_u16(&sll, 0x0800);
	add_ipv4_hello(&sll);
	assert_v4_hello(113, &sll);
	add_u16(&sll2, 0x86dd);
	add(&sll2, "\0\0\0\0\0\2\0\1\0\6\2\0\0\0\0\1\0\0", 18);
	add_ipv6_hello(&sll2);
	assert_v6_hello(276, &sll2);
	add(&tagged, "\0\0\0\1\0\6\2\0\0\0\0\1\0\0", 14);
	add_u16(&tagged, 0x8100);
	add_u16(&tagged, 5);
	add_u16(&tagged, 0x0800);
	add_ipv4_hello(&tagged);
	assert_v4_hello(113, &tagged);
	sll.bytes[14] = 0; /* protocol 4: IEEE 802.2 */
	sll.bytes[15] = 4;
	assert_int_equal(decode(113, &sll), DECODE_OTHER);
}

static void reads_raw_ip(void **state)
{
	(void)state;
	struct build v4 = { .len = 0 }, v6 = { .len = 0 };
	static const unsigned types[] = { 12, 14, 101 };

	add_ipv4_hello(&v4);
	add_ipv6_hello(&v6);
	for (size_t i = 0; i < 3; i++) {
		assert_v4_hello(types[i], &v4);
		assert_v6_hello(types[i], &v6);
		assert_int_equal(decode_bytes(types[i], "\x10", 1), DECODE_MALFORMED);
		assert_int_equal(decode_bytes(types[i], "", 0), DECODE_MALFORMED);
	}
	assert_v4_hello(228, &v4);
	assert_v6_hello(229, &v6);
	assert_int_equal(decode(228, &v6), DECODE_MALFORMED);
	assert_int_equal(decode(229, &v4), DECODE_MALFORMED);
}

static void reads_null_and_loop_headers_of_every_system(void **state)
{
	(void)state;
	static const unsigned v6_families[] = { 10, 24, 26, 28, 30 };
	struct build b = { .len = 4 };

	add_ipv4_hello(&b);
	put_u32(b.bytes, 2);
	assert_v4_hello(0, &b);
	assert_v4_hello(108, &b);
	put_u32_le(b.bytes, 2);
	assert_v4_hello(0, &b);
	assert_int_equal(decode(108, &b), DECODE_OTHER); /* always network order */
	b.len = 4;
	add_ipv6_hello(&b);
	for (size_t i = 0; i < sizeof v6_families / sizeof v6_families[0]; i++) {
		put_u32(b.bytes, v6_families[i]);
		assert_v6_hello(0, &b);
		assert_v6_hello(108, &b);
		put_u32_le(b.bytes, v6_families[i]);
		assert_v6_hello(0, &b);
	}
	put_u32(b.bytes, 7);
	assert_int_equal(decode(0, &b), DECODE_OTHER);
}

static void reads_ppp_with_and_without_what_may_be_left_out(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		size_t len;
		bool v6;
	} cases[] = {
		{ "\xff\x03\x00\x21", 4, false }, { "\x00\x21", 2, false }, { "\x21", 1, false },
		{ "\xff\x03\x21", 3, false },     { "\x00\x57", 2, true },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct build b = { .len = 0 };
		add(&b, cases[i].header, cases[i].len);
		if (cases[i].v6)
			add_ipv6_hello(&b);
		else
			add_ipv4_hello(&b);
		(cases[i].v6 ? assert_v6_hello : assert_v4_hello)(9, &b);
	}
	assert_int_equal(decode_bytes(9, "\xff\x03\xc0\x21\x01", 5), DECODE_OTHER); /* LCP */
	assert_int_equal(decode_bytes(9, "\xff\x03", 2), DECODE_MALFORMED);
	assert_int_equal(decode_bytes(9, "\x00", 1), DECODE_MALFORMED);
}

static void links_it_does_not_know_are_counted(void **state)
{
	(void)state;
	struct build b = { .len = 0 };

	add_ipv4_hello(&b);
	assert_int_equal(decode(187, &b), DECODE_LINK_UNKNOWN); /* Bluetooth */
	assert_int_equal(decode(65535, &b), DECODE_LINK_UNKNOWN);
	assert_int_equal(decode_bytes(187, "", 0), DECODE_LINK_UNKNOWN);
}

/* ---- IPv4 ---- */

static void skips_ipv4_options(void **state)
{
	(void)state;
	struct build b = { .len = 0 };

	add_ipv4(&b, 60 + 8 + 5, 0, 17);
	b.bytes[0] = 0x4f;
	add_zeros(&b, 40);
	add_udp(&b, 13, "hello");
	assert_v4_hello(228, &b);
}

static void ipv4_headers_that_contradict_themselves_are_malformed(void **state)
{
	(void)state;
	struct build good = { .len = 0 }, b;

	add_ipv4_hello(&good);
	b = good;
	b.bytes[0] = 0x55; /* version 5 */
	assert_int_equal(decode(228, &b), DECODE_MALFORMED);
	b = good;
	b.bytes[0] = 0x44; /* a header of 16 bytes */
	assert_int_equal(decode(228, &b), DECODE_MALFORMED);
	b = good;
	b.bytes[0] = 0x4f; /* longer than the packet */
	assert_int_equal(decode(228, &b), DECODE_MALFORMED);
	b = good;
	b.bytes[3] = 19; /* total length shorter than the header */
	assert_int_equal(decode(228, &b), DECODE_MALFORMED);
	b = good;
	b.bytes[3] = 20 + 7; /* no room for a UDP header */
	assert_int_equal(decode(228, &b), DECODE_MALFORMED);
	b = good;
	b.bytes[3] = 20 + 8 + 4; /* UDP says five */
	assert_int_equal(decode(228, &b), DECODE_MALFORMED);
	b = good;
	b.bytes[3] = 20 + 8 + 6; /* UDP may be shorter than its packet */
	add(&b, "x", 1);
	assert_v4_hello(228, &b);
}

static void a_total_length_of_zero_means_as_long_as_the_frame(void **state)
{
	(void)state;
	struct build b = { .len = 0 };

	add_ipv4_hello(&b);
	b.bytes[3] = 0;
	assert_v4_hello(228, &b);
	b.bytes[25] = 0; /* and UDP's length with it */
	assert_v4_hello(228, &b);
}

static void tells_ipv4_fragments(void **state)
{
	(void)state;
	static const struct {
		unsigned field;
		enum decode_verdict verdict;
	} cases[] = { { 0x4000, DECODE_UDP },      { 0x8000, DECODE_UDP },
		      { 0x2000, DECODE_FRAGMENT }, { 0x0001, DECODE_FRAGMENT },
		      { 0x3fff, DECODE_FRAGMENT }, { 0x6000, DECODE_FRAGMENT } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct build b = { .len = 0 };
		add_ipv4(&b, 20 + 8 + 5, cases[i].field, 17);
		add_udp(&b, 8 + 5, "hello");
		assert_int_equal(decode(228, &b), cases[i].verdict);
		if (cases[i].verdict != DECODE_FRAGMENT)
			continue;
		char text[ENDPOINT_TEXT];
		assert_string_equal(endpoint_text(&piece.src, text), "192.0.2.1:0");
		assert_string_equal(endpoint_text(&piece.dst, text), "192.0.2.2:0");
		assert_int_equal(piece.protocol, 17);
		assert_int_equal(piece.id, 7);
		assert_int_equal(piece.offset, (cases[i].field & 0x1fff) * 8);
		assert_int_equal(piece.more, (cases[i].field & 0x2000) != 0);
		assert_int_equal(piece.len, 13);
		assert_int_equal(piece.wire_len, 13);
		assert_ptr_equal(piece.bytes, b.bytes + 20);
	}
}

static void tells_other_protocols(void **state)
{
	(void)state;
	for (unsigned protocol = 0; protocol < 256; protocol++) {
		struct build b = { .len = 0 };
		add_ipv4(&b, 40, 0, protocol);
		add_zeros(&b, 20);
		/* none of those that we follow is all zeros */
		bool followed = memchr("\4\6\21\51\63\141\211", (int)protocol, 7) != NULL;
		assert_int_equal(decode(228, &b), followed ? DECODE_MALFORMED : DECODE_OTHER);
	}
}

/* ---- IPv6 ---- */

static void walks_ipv6_extension_headers(void **state)
{
	(void)state;
	struct build b = { .len = 0 };

	add_ipv6(&b, 8 + 24 + 8 + 13, 0);
	add_u8(&b, 43); /* hop-by-hop, 8 bytes */
	add_zeros(&b, 7);
	add_u8(&b, 60); /* routing, 24 bytes */
	add_u8(&b, 2);
	add_zeros(&b, 22);
	add_u8(&b, 17); /* destination options, 8 bytes */
	add_zeros(&b, 7);
	add_udp(&b, 13, "hello");
	assert_v6_hello(229, &b);
	b.bytes[5]--; /* the payload length cuts UDP off */
	assert_int_equal(decode(229, &b), DECODE_MALFORMED);
	b.bytes[5] = 8 + 23; /* and the routing header */
	assert_int_equal(decode(229, &b), DECODE_MALFORMED);
}

static void endless_extension_headers_end(void **state)
{
	(void)state;
	struct build b = { .len = 0 };

	add_ipv6(&b, 100 * 8, 60);
	for (unsigned i = 0; i < 100; i++) {
		add_u8(&b, 60);
		add_zeros(&b, 7);
	}
	assert_int_equal(decode(229, &b), DECODE_MALFORMED);
}

static void tells_ipv6_fragments_from_atomic_ones(void **state)
{
	(void)state;
	static const struct {
		unsigned field;
		enum decode_verdict verdict;
	} cases[] = { { 0, DECODE_UDP },           { 6, DECODE_UDP }, /* two reserved bits */
		      { 1, DECODE_FRAGMENT },      { 8, DECODE_FRAGMENT },
		      { 0xfff8, DECODE_FRAGMENT }, { 9, DECODE_FRAGMENT } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct build b = { .len = 0 };
		add_ipv6(&b, 8 + 13, 44);
		add_u8(&b, 17);
		add_u8(&b, 0);
		add_u16(&b, cases[i].field);
		add_u32(&b, 0x12345678);
		add_udp(&b, 13, "hello");
		assert_int_equal(decode(229, &b), cases[i].verdict);
		if (cases[i].verdict != DECODE_FRAGMENT)
			continue;
		char text[ENDPOINT_TEXT];
		assert_string_equal(endpoint_text(&piece.src, text), "[2001:db8::1]:0");
		assert_int_equal(piece.protocol, 17);
		assert_int_equal(piece.id, 0x12345678);
		assert_int_equal(piece.offset, cases[i].field & 0xfff8);
		assert_int_equal(piece.more, cases[i].field & 1);
		assert_int_equal(piece.len, 13);
		assert_int_equal(piece.wire_len, 13);
	}
}

static void tells_other_ipv6_payloads(void **state)
{
	(void)state;
	static const struct {
		unsigned next;
		enum decode_verdict verdict;
	} cases[] = { { 6, DECODE_MALFORMED },
		      { 50, DECODE_OTHER },
		      { 58, DECODE_OTHER },
		      { 59, DECODE_OTHER },
		      { 255, DECODE_OTHER } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct build b = { .len = 0 };
		add_ipv6(&b, 20, cases[i].next);
		add_zeros(&b, 20);
		assert_int_equal(decode(229, &b), cases[i].verdict);
	}
	struct build b = { .len = 0 };
	add_ipv6_hello(&b);
	b.bytes[5] = 0; /* payload length 0: as long as the frame */
	assert_v6_hello(229, &b);
	b.bytes[0] = 0x5b;
	assert_int_equal(decode(229, &b), DECODE_MALFORMED);
}

/* ---- UDP, and frames that were cut ---- */

static void udp_says_how_long_the_payload_is(void **state)
{
	(void)state;
	struct build b = { .len = 0 };

	add_ipv4_hello(&b);
	put_u16(b.bytes + 24, 8 + 3);
	assert_int_equal(decode(228, &b), DECODE_UDP);
	assert_int_equal(out.len, 3);
	assert_int_equal(out.wire_len, 3);
	put_u16(b.bytes + 24, 8);
	assert_int_equal(decode(228, &b), DECODE_UDP);
	assert_int_equal(out.len, 0);
	for (unsigned len = 0; len < 8; len++) {
		put_u16(b.bytes + 24, (uint16_t)len);
		assert_int_equal(decode(228, &b), DECODE_MALFORMED);
	}
	put_u16(b.bytes + 24, 0xffff);
	assert_int_equal(decode(228, &b), DECODE_MALFORMED);
}

/* ---- TCP, and what was put together ---- */

static void add_tcp(struct build *b, unsigned words, unsigned flags, const char *payload)
{
	add_u16(b, 5060);
	add_u16(b, 40000);
	add_u32(b, 0xdeadbeef);
	add_u32(b, 1);
	add_u16(b, words << 12 | flags);
	add_u16(b, 0xffff);
	add_u32(b, 0);
	if (words > 5)
		add_zeros(b, (words - 5) * 4);
	add(b, payload, strlen(payload));
}

static void tcp_segments_are_handed_on(void **state)
{
	(void)state;
	char text[ENDPOINT_TEXT];

	for (unsigned words = 5; words <= 15; words++) {
		struct build b = { .len = 0 };
		add_ethernet(&b, 0x0800);
		add_ipv4(&b, 20 + words * 4 + 5, 0, 6);
		add_tcp(&b, words, TCP_SYN | TCP_FIN, "hello");
		add(&b, "padding", 7);
		assert_int_equal(decode(1, &b), DECODE_TCP);
		assert_string_equal(endpoint_text(&piece.src, text), "192.0.2.1:5060");
		assert_string_equal(endpoint_text(&piece.dst, text), "192.0.2.2:40000");
		assert_int_equal(piece.sequence, 0xdeadbeef);
		assert_int_equal(piece.flags, TCP_SYN | TCP_FIN);
		assert_int_equal(piece.len, 5);
		assert_int_equal(piece.wire_len, 5);
		assert_memory_equal(piece.bytes, "hello", 5);
		b.len -= 7 + 2; /* cut */
		assert_int_equal(decode(1, &b), DECODE_TCP);
		assert_int_equal(piece.len, 3);
		assert_int_equal(piece.wire_len, 5);
	}
}

static void tcp_headers_that_contradict_themselves_are_malformed(void **state)
{
	(void)state;
	for (unsigned words = 0; words < 16; words++) {
		struct build b = { .len = 0 };
		add_ipv4(&b, 20 + 24, 0, 6);
		add_tcp(&b, words, 0, "abcd");
		assert_int_equal(decode(228, &b),
				 words == 5 || words == 6 ? DECODE_TCP : DECODE_MALFORMED);
	}
}

/* Decode what was put together, counting anew. */
static enum decode_verdict decode_whole(const struct piece *whole)
{
	memset(&counters, 0, sizeof counters);
	enum decode_verdict v = decode_payload(&decoder, whole, &out, &piece, &counters);
	assert_int_equal(counter_get(&counters, COUNT_FRAMES), 0);
	assert_int_equal(counter_get(&counters, COUNT_DATAGRAMS), v == DECODE_UDP);
	return v;
}

static void what_was_put_together_is_a_datagram(void **state)
{
	(void)state;
	struct build b = { .len = 0 };
	char text[ENDPOINT_TEXT];

	add_ipv4(&b, 20 + 13, 0x2000, 17);
	add_udp(&b, 13, "hello");
	assert_int_equal(decode(228, &b), DECODE_FRAGMENT);
	piece.more = false;
	assert_int_equal(decode_whole(&piece), DECODE_UDP);
	assert_string_equal(endpoint_text(&out.src, text), "192.0.2.1:4000");
	assert_string_equal(endpoint_text(&out.dst, text), "192.0.2.2:5060");
	assert_int_equal(out.ts_ns, 42);
	assert_int_equal(out.len, 5);
	assert_memory_equal(out.payload, "hello", 5);
}

static void fragments_in_fragments_end(void **state)
{
	(void)state;
	struct build b = { .len = 0 };
	unsigned rounds = 0;

	add_ipv4(&b, 20, 0x2000, 4); /* its payload is another like it */
	add_ipv4(&b, 20, 0x2000, 4);
	struct piece whole = { .bytes = b.bytes, .len = 40, .wire_len = 40, .protocol = 4 };
	put_u16(b.bytes + 2, 40);
	endpoint_set_v4(&whole.src, b.bytes + 12, 0);
	whole.dst = whole.src;
	while (decode_whole(&whole) == DECODE_FRAGMENT) {
		assert_true(piece.depth > whole.depth);
		whole.depth = piece.depth;
		assert_true(++rounds < 100);
	}
	assert_int_equal(counter_get(&counters, COUNT_DECODE_NESTED), 1);
}

/* Cut at every byte, each copy in memory of just that size (so that a sanitizer sees a byte
 * too many): malformed while headers are missing, then a datagram that knows its true length. */
static void frames_cut_anywhere_are_told(void **state)
{
	(void)state;
	struct build b = { .len = 0 };
	uint8_t exact[256];

	add_ethernet(&b, 0x88a8);
	add(&b, "\0\1\x81\0\0\2\x86\xdd", 8);
	add_ipv6(&b, 8 + 8 + 8 + 5, 0);
	add(&b, "\x2c\0\0\0\0\0\0\0", 8);
	add(&b, "\x11\0\0\0\0\0\0\1", 8);
	add_udp(&b, 13, "hello");
	size_t headers = b.len - 5;
	for (size_t cut = 0; cut <= b.len; cut++) {
		uint8_t *at = exact + sizeof exact - cut; /* ends with the array */
		memcpy(at, b.bytes, cut);
		enum decode_verdict v = decode_bytes(1, at, cut);
		assert_int_equal(v, cut < headers ? DECODE_MALFORMED : DECODE_UDP);
		if (v != DECODE_UDP)
			continue;
		assert_int_equal(out.len, cut - headers);
		assert_int_equal(out.wire_len, 5);
		assert_int_equal(counter_get(&counters, COUNT_DECODE_TRUNCATED), cut < b.len);
	}
}

static void no_single_wrong_byte_leads_outside_the_frame(void **state)
{
	(void)state;
	struct build good = { .len = 0 };

	add_ethernet(&good, 0x8100);
	add(&good, "\0\1\x08\0", 4);
	add_ipv4_hello(&good);
	for (size_t at = 0; at < good.len; at++) {
		for (unsigned value = 0; value < 256; value++) {
			struct build b = good;
			b.bytes[at] = (uint8_t)value;
			if (decode(1, &b) != DECODE_UDP)
				continue;
			assert_true(out.payload >= b.bytes);
			assert_true(out.payload + out.len <= b.bytes + b.len);
			assert_true(out.len <= out.wire_len);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_ethernet_and_leaves_out_its_padding),
		cmocka_unit_test(other_ethertypes_are_nothing_for_us),
		cmocka_unit_test(reads_stacked_vlan_tags_up_to_a_bound),
		cmocka_unit_test(reads_linux_cooked_frames),
		cmocka_unit_test(reads_raw_ip),
		cmocka_unit_test(reads_null_and_loop_headers_of_every_system),
		cmocka_unit_test(reads_ppp_with_and_without_what_may_be_left_out),
		cmocka_unit_test(links_it_does_not_know_are_counted),
		cmocka_unit_test(skips_ipv4_options),
		cmocka_unit_test(ipv4_headers_that_contradict_themselves_are_malformed),
		cmocka_unit_test(a_total_length_of_zero_means_as_long_as_the_frame),
		cmocka_unit_test(tells_ipv4_fragments),
		cmocka_unit_test(tells_other_protocols),
		cmocka_unit_test(walks_ipv6_extension_headers),
		cmocka_unit_test(endless_extension_headers_end),
		cmocka_unit_test(tells_ipv6_fragments_from_atomic_ones),
		cmocka_unit_test(tells_other_ipv6_payloads),
		cmocka_unit_test(udp_says_how_long_the_payload_is),
		cmocka_unit_test(tcp_segments_are_handed_on),
		cmocka_unit_test(tcp_headers_that_contradict_themselves_are_malformed),
		cmocka_unit_test(what_was_put_together_is_a_datagram),
		cmocka_unit_test(fragments_in_fragments_end),
		cmocka_unit_test(frames_cut_anywhere_are_told),
		cmocka_unit_test(no_single_wrong_byte_leads_outside_the_frame),
	};
	return cmocka_run_group_tests_name("decode", tests, decode_help_init, NULL);
}
