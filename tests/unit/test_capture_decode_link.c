/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Links other than Ethernet: serial lines, rings, ATM, radio, and the headers of capture systems. */
#include "decode_help.h"

#define SNAP  "\xaa\xaa\3\0\0\0\x08\0"
#define DATA  "\x08\0\0\0aaaaaabbbbbbcccccc\x10\0"
#define QOS   "\x88\1\0\0aaaaaabbbbbbcccccc\x10\0"
#define RADIO "\0\0\x08\0\0\0\0\0"

/* Headers before an IPv4 packet. */
static const struct link {
	const char *name;
	const char *header;
	uint16_t header_len;
	uint16_t type;
} links[] = {
	{ "Cisco HDLC", "\x0f\0\x08\0", 4, 104 },
	{ "Cisco HDLC, multicast", "\x8f\0\x08\0", 4, 104 },
	{ "Cisco HDLC on a serial line", "\x0f\0\x08\0", 4, 50 },
	{ "PPP on a serial line", "\xff\3\0\x21", 4, 50 },
	{ "PPP with direction", "\1\xff\3\0\x21", 5, 204 },
	{ "PPP of pppd", "\0\3\0\x21", 4, 166 },
	{ "PPP, bridged", "\0\x31\0\1aaaaaabbbbbb\x08\0", 18, 9 },
	{ "PPP with MPLS", "\2\x81\0\1\1\xff", 6, 9 },
	{ "PPPoE without Ethernet", "\x11\0\0\1\0\x23\0\x21", 8, 51 },
	{ "frame relay", "\x18\x41\3\xcc", 4, 107 },
	{ "frame relay, padded", "\x18\x41\3\0\x80\0\0\0\x08\0", 10, 107 },
	{ "frame relay, bridged", "\x18\x41\3\0\x80\0\x80\xc2\0\7aaaaaabbbbbb\x08\0", 24, 107 },
	{ "frame relay with PPP", "\x18\x41\3\xcf\0\x21", 6, 107 },
	{ "frame relay of Cisco", "\x18\x41\x08\0", 4, 107 },
	{ "frame relay, long address", "\x18\x40\x40\x41\x08\0", 6, 107 },
	{ "token ring",
	  "\x10\x40"
	  "aaaaaabbbbbb" SNAP,
	  22, 6 },
	{ "token ring with route",
	  "\x10\x40"
	  "aaaaaa\x80"
	  "bbbbb\6\0\0\1\0\2" SNAP,
	  28, 6 },
	{ "FDDI",
	  "\x54"
	  "aaaaaabbbbbb" SNAP,
	  21, 10 },
	{ "ATM", SNAP, 8, 11 },
	{ "ATM, routed", "\xfe\xfe\3\xcc", 4, 11 },
	{ "ATM, bridged",
	  "\xaa\xaa\3\0\x80\xc2\0\7\0\0"
	  "aaaaaabbbbbb\x08\0",
	  24, 11 },
	{ "SunATM", "\2\0\0\x20" SNAP, 12, 123 },
	{ "SunATM, LAN emulation",
	  "\1\0\0\x20\0\1"
	  "aaaaaabbbbbb\x08\0",
	  20, 123 },
	{ "FireWire", "aaaaaaaabbbbbbbb\x08\0", 18, 138 },
	{ "MPLS", "\0\1\1\xff", 4, 219 },
	{ "netfilter log", "\2\0\0\0\x06\0\2\0ab\0\0\x25\0\x09\0", 16, 239 },
	{ "pktap", "\x10\0\0\0\1\0\0\0\x0c\0\0\0xxxx", 16, 258 },
	{ "cooked with LLC", "\0\0\0\1\0\6aaaaaaaa\0\4" SNAP, 24, 113 },
	{ "IEEE 802.11", DATA SNAP, 32, 105 },
	{ "IEEE 802.11 with QoS", QOS "\0\0" SNAP, 34, 105 },
	{ "IEEE 802.11 between stations",
	  "\x08\3\0\0aaaaaabbbbbbcccccc\x10\0"
	  "dddddd" SNAP,
	  38, 105 },
	{ "IEEE 802.11 with HT control", "\x88\x81\0\0aaaaaabbbbbbcccccc\x10\0\0\0hhhh" SNAP, 38,
	  105 },
	{ "radiotap", RADIO DATA SNAP, 40, 127 },
	{ "radiotap with clock and flags", "\0\0\x19\0\3\0\0\0cccccccc\0xxxxxxxx" DATA SNAP, 57,
	  127 },
	{ "radiotap, padded", "\0\0\x09\0\2\0\0\0\x20" QOS "\0\0\0\0" SNAP, 45, 127 },
	{ "radiotap, more fields",
	  "\0\0\x19\0\3\0\0\x80\0\0\0\0pppp"
	  "cccccccc\0" DATA SNAP,
	  57, 127 },
	{ "PPI", "\0\0\x08\0\x69\0\0\0" DATA SNAP, 40, 192 },
	{ "AVS", "\x80\x21\x10\1\0\0\0\x0cxxxx" DATA SNAP, 44, 163 },
	{ "AVS as Prism", "\x80\x21\x10\1\0\0\0\x0cxxxx" DATA SNAP, 44, 119 },
	{ "Prism", "\x44\0\0\0\x0c\0\0\0xxxx" DATA SNAP, 44, 119 },
	{ "Prism, the other way round", "\0\0\0\x44\0\0\0\x0cxxxx" DATA SNAP, 44, 119 },
};
#define LINKS (sizeof links / sizeof links[0])

static struct build framed(const struct link *l)
{
	struct build b = { .len = 0 };

	add(&b, l->header, l->header_len);
	add_ipv4_hello(&b);
	return b;
}

static void each_link_leads_to_the_datagram(void **state)
{
	(void)state;
	for (size_t i = 0; i < LINKS; i++) {
		struct build b = framed(&links[i]);
		print_message("%s\n", links[i].name);
		assert_v4_hello(links[i].type, &b);
		add(&b, "FCS.", 4);
		assert_v4_hello(links[i].type, &b);
	}
}

static void links_cut_anywhere_harm_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < LINKS; i++) {
		struct build b = framed(&links[i]);
		for (size_t cut = 0; cut <= b.len; cut++) {
			uint8_t *exact = test_malloc(cut + 1);
			memcpy(exact + 1, b.bytes, cut);
			enum decode_verdict v = decode_bytes(links[i].type, exact + 1, cut);
			assert_true(v == DECODE_UDP ? cut + 5 >= b.len : true);
			assert_int_not_equal(v, DECODE_LINK_UNKNOWN);
			test_free(exact);
		}
	}
}

static void no_wrong_bit_of_a_link_leads_outside_the_frame(void **state)
{
	(void)state;
	for (size_t i = 0; i < LINKS; i++) {
		const struct build good = framed(&links[i]);
		for (size_t at = 0; at < good.len; at++) {
			for (unsigned bit = 0; bit < 8; bit++) {
				struct build b = good;
				b.bytes[at] ^= (uint8_t)(1u << bit);
				if (decode(links[i].type, &b) == DECODE_UDP)
					assert_true(out.payload + out.len <= b.bytes + b.len);
			}
		}
	}
}

/* Frames that are in order and hold nothing for us. */
static void other_frames_are_told(void **state)
{
	(void)state;
	static const struct link others[] = {
		{ "SLARP", "\x8f\0\x80\x35", 4, 104 },
		{ "PPPoE discovery", "\x11\x09\0\0\0\0", 6, 51 },
		{ "FDDI station management",
		  "\x4f"
		  "aaaaaabbbbbb",
		  13, 10 },
		{ "token ring MAC frame", "\x10\0aaaaaabbbbbb", 14, 6 },
		{ "spanning tree", "\x42\x42\3", 3, 11 },
		{ "LLC with a sequence", "\xaa\xaa\1\0", 4, 11 },
		{ "CDP", "\xaa\xaa\3\0\0\x0c\x20\0", 8, 11 },
		{ "beacon", "\x80\0\0\0aaaaaabbbbbbcccccc\x10\0", 24, 105 },
		{ "null data", "\x48\0\0\0aaaaaabbbbbbcccccc\x10\0", 24, 105 },
		{ "encrypted", "\x08\x41\0\0aaaaaabbbbbbcccccc\x10\0", 24, 105 },
		{ "fragment of IEEE 802.11", "\x08\0\0\0aaaaaabbbbbbcccccc\x11\0", 24, 105 },
		{ "aggregate", "\x88\0\0\0aaaaaabbbbbbcccccc\x10\0\x80\0", 26, 105 },
		{ "PPP multilink", "\0\x3d\xc0\0\0\1", 6, 9 },
		{ "OSI", "\xfe\xfe\3\x81", 4, 11 },
		{ "PPP, bridged token ring", "\0\x31\0\2", 4, 9 },
	};

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct build b = framed(&others[i]);
		print_message("%s\n", others[i].name);
		assert_int_equal(decode(others[i].type, &b), DECODE_OTHER);
	}
}

/* A header whose length is its own business leads nowhere it should not. */
static void lengths_of_nothing_are_malformed(void **state)
{
	(void)state;
	assert_int_equal(decode_bytes(127, "\0\0\0\0\0\0\0\0", 8), DECODE_MALFORMED);
	assert_int_equal(decode_bytes(192, "\0\0\0\0\xc0\0\0\0", 8), DECODE_MALFORMED);
	assert_int_equal(decode_bytes(258, "\0\0\0\0\1\0\0\0\2\1\0\0", 12), DECODE_MALFORMED);
	assert_int_equal(decode_bytes(239, "\2\0\0\0\0\0\2\0", 8), DECODE_MALFORMED);
	assert_int_equal(decode_bytes(163, "\x80\x21\x10\1\0\0\0\0", 8), DECODE_MALFORMED);
	assert_int_equal(decode_bytes(192, "\0\0\x08\0\xff\xff\xff\xff", 8), DECODE_LINK_UNKNOWN);
}

static void endless_link_headers_end(void **state)
{
	(void)state;
	struct build b = { .len = 0 };

	for (unsigned i = 0; i < 100; i++)
		add(&b, "\0\0\x08\0\xc0\0\0\0", 8); /* PPI in PPI */
	assert_int_equal(decode(192, &b), DECODE_MALFORMED);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_NESTED), 1);
	b.len = 0;
	add_zeros(&b, 1000); /* labels without a bottom */
	assert_int_equal(decode(219, &b), DECODE_MALFORMED);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_NESTED), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_link_leads_to_the_datagram),
		cmocka_unit_test(links_cut_anywhere_harm_nothing),
		cmocka_unit_test(no_wrong_bit_of_a_link_leads_outside_the_frame),
		cmocka_unit_test(other_frames_are_told),
		cmocka_unit_test(lengths_of_nothing_are_malformed),
		cmocka_unit_test(endless_link_headers_end),
	};
	return cmocka_run_group_tests_name("decode_link", tests, decode_help_init, NULL);
}
