/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Tunnels, on frames built by hand: each one leads to the datagram inside, wherever it is cut it
 * harms nothing, and a datagram that only looks like one is not lost. */
#include "decode_help.h"

static struct build hello(void)
{
	struct build b = { .len = 0 };
	add_ipv4_hello(&b);
	return b;
}

static struct build hello_v6(void)
{
	struct build b = { .len = 0 };
	add_ipv6_hello(&b);
	return b;
}

static struct build hello_ethernet(void)
{
	struct build b = { .len = 0 };
	add_ethernet(&b, 0x0800);
	add_ipv4_hello(&b);
	return b;
}

/* ---- each encapsulation, as one table ---- */

enum inner { IPV4, IPV6, FRAME, PPP }; /* what stands behind the header */
enum outer { OVER_IP, OVER_UDP, OVER_ETHERNET };

static const struct encapsulation {
	const char *name;
	const char *header;
	uint16_t header_len;
	uint16_t number; /* IP protocol, UDP port, EtherType */
	uint8_t outer, inner;
} encapsulations[] = {
	{ "4in4", "", 0, 4, OVER_IP, IPV4 },
	{ "6in4", "", 0, 41, OVER_IP, IPV6 },
	{ "GRE", "\0\0\x08\0", 4, 47, OVER_IP, IPV4 },
	{ "GRE with IPv6", "\0\0\x86\xdd", 4, 47, OVER_IP, IPV6 },
	{ "GRE with checksum, key and sequence",
	  "\xb0\0\x08\0"
	  "cccckkkkssss",
	  16, 47, OVER_IP, IPV4 },
	{ "GRE with routing", "\x40\0\x08\0cccc\x08\0\0\4rrrr\0\0\0\0", 20, 47, OVER_IP, IPV4 },
	{ "GRE TEB", "\0\0\x65\x58", 4, 47, OVER_IP, FRAME },
	{ "NVGRE", "\x20\0\x65\x58\1\2\3\4", 8, 47, OVER_IP, FRAME },
	{ "GRE with MPLS", "\0\0\x88\x47\0\1\x01\xff", 8, 47, OVER_IP, IPV4 },
	{ "GRE with PPP", "\0\0\x88\x0b", 4, 47, OVER_IP, PPP },
	{ "WCCP", "\0\0\x88\x3e", 4, 47, OVER_IP, IPV4 },
	{ "WCCP 2", "\0\0\x88\x3e\0\1\2\3", 8, 47, OVER_IP, IPV4 },
	{ "PPTP", "\x30\1\x88\x0b\0\x25\0\7ssss", 12, 47, OVER_IP, PPP },
	{ "PPTP with acknowledgement", "\x30\x81\x88\x0b\0\x25\0\7ssssaaaa", 16, 47, OVER_IP, PPP },
	{ "ERSPAN I", "\0\0\x88\xbe", 4, 47, OVER_IP, FRAME },
	{ "ERSPAN II", "\x10\0\x88\xbessss\x10\1\0\1\0\0\0\1", 16, 47, OVER_IP, FRAME },
	{ "ERSPAN III", "\x10\0\x22\xebssss\x20\1\0\1tttt\0\0\0\0", 20, 47, OVER_IP, FRAME },
	{ "ERSPAN III with subheader", "\x10\0\x22\xebssss\x20\1\0\1tttt\0\0\0\1pppppppp", 28, 47,
	  OVER_IP, FRAME },
	{ "ERSPAN III with IP", "\x10\0\x22\xebssss\x20\1\0\1tttt\0\0\x08\0", 20, 47, OVER_IP,
	  IPV4 },
	{ "EtherIP", "\x30\0", 2, 97, OVER_IP, FRAME },
	{ "MPLS in IP", "\0\1\x01\xff", 4, 137, OVER_IP, IPV4 },
	{ "Ethernet in IP", "", 0, 143, OVER_IP, FRAME },
	{ "AH", "\4\4\0\0iiiissssvvvvvvvvvvvv", 24, 51, OVER_IP, IPV4 },
	{ "L2TPv3", "\0\0\0\1", 4, 115, OVER_IP, FRAME },
	{ "L2TPv3 with cookie", "\0\0\0\1cccccccc", 12, 115, OVER_IP, FRAME },
	{ "L2TPv3 with cookie and sublayer", "\0\0\0\1cccccccc\x40\0\0\1", 16, 115, OVER_IP,
	  FRAME },
	{ "VXLAN", "\x08\0\0\0\0\1\2\0", 8, 4789, OVER_UDP, FRAME },
	{ "VXLAN at 8472", "\x08\0\0\0\0\1\2\0", 8, 8472, OVER_UDP, FRAME },
	{ "VXLAN with group", "\x88\0\1\2\0\1\2\0", 8, 4789, OVER_UDP, FRAME },
	{ "VXLAN-GPE", "\x0c\0\0\3\0\1\2\0", 8, 4790, OVER_UDP, FRAME },
	{ "VXLAN-GPE with IPv4", "\x0c\0\0\1\0\1\2\0", 8, 4790, OVER_UDP, IPV4 },
	{ "VXLAN-GPE with IPv6", "\x0c\0\0\2\0\1\2\0", 8, 4789, OVER_UDP, IPV6 },
	{ "VXLAN-GPE with NSH", "\x0c\0\0\4\0\1\2\0\x0f\xc2\2\3\0\0\1\xff", 16, 4790, OVER_UDP,
	  FRAME },
	{ "Geneve", "\0\0\x65\x58\0\1\2\0", 8, 6081, OVER_UDP, FRAME },
	{ "Geneve with options", "\2\x40\x08\0\0\1\2\0oooooooo", 16, 6081, OVER_UDP, IPV4 },
	{ "GTP-U", "\x30\xff\0\x21tttt", 8, 2152, OVER_UDP, IPV4 },
	{ "GTP-U with sequence", "\x32\xff\0\x25tttt\0\1\0\0", 12, 2152, OVER_UDP, IPV4 },
	{ "GTP-U with extensions", "\x34\xff\0\x31tttt\0\0\0\x85\1\0\0\x40\2eeeeee\0", 24, 2152,
	  OVER_UDP, IPV4 },
	{ "L2TP", "\0\2\0\1\0\2", 6, 1701, OVER_UDP, PPP },
	{ "L2TP with all", "\x4a\2\0\x37\0\1\0\2\0\1\0\0\0\4pppp", 18, 1701, OVER_UDP, PPP },
	{ "L2TPv3 over UDP", "\0\3\0\0\0\0\0\1cccc", 12, 1701, OVER_UDP, FRAME },
	{ "TZSP", "\1\0\0\1\1", 5, 37008, OVER_UDP, FRAME },
	{ "TZSP with fields", "\1\1\0\1\0\x0a\1\7\x14\4abcd\1", 15, 37008, OVER_UDP, FRAME },
	{ "Teredo", "", 0, 3544, OVER_UDP, IPV6 },
	{ "Teredo with origin", "\0\0ppaaaa", 8, 3544, OVER_UDP, IPV6 },
	{ "Teredo with all", "\0\1\1\2cvvnnnnnnnn\0\0\0ppaaaa", 24, 3544, OVER_UDP, IPV6 },
	{ "GRE in UDP", "\0\0\x08\0", 4, 4754, OVER_UDP, IPV4 },
	{ "LISP", "\x80\1\2\3\0\0\0\1", 8, 4341, OVER_UDP, IPV4 },
	{ "AYIYA",
	  "\x40\x10\1\x29"
	  "eeeeiiiiiiiiiiiiiiiissss",
	  28, 5072, OVER_UDP, IPV6 },
	{ "MPLS", "\0\1\x00\xff\0\2\x01\xff", 8, 0x8847, OVER_ETHERNET, IPV4 },
	{ "MPLS with IPv6", "\0\0\x21\xff", 4, 0x8847, OVER_ETHERNET, IPV6 },
	{ "pseudowire", "\0\1\x01\xff", 4, 0x8847, OVER_ETHERNET, FRAME },
	{ "pseudowire with control word", "\0\1\x01\xff\0\0\0\1", 8, 0x8848, OVER_ETHERNET, FRAME },
	{ "PPPoE", "\x11\0\0\1\0\x23", 6, 0x8864, OVER_ETHERNET, PPP },
	{ "802.1ah", "\0\0\0\1", 4, 0x88e7, OVER_ETHERNET, FRAME },
	{ "NSH", "\x0f\xc2\2\1\0\0\1\xff", 8, 0x894f, OVER_ETHERNET, IPV4 },
	{ "SNAP", "\xaa\xaa\3\0\0\0\x08\0", 8, 41, OVER_ETHERNET, IPV4 },
	{ "LLC with IP", "\6\6\3", 3, 36, OVER_ETHERNET, IPV4 },
	{ "LLC in a jumbo frame", "\xaa\xaa\3\0\0\0\x08\0", 8, 0x8870, OVER_ETHERNET, IPV4 },
};
#define ENCAPSULATIONS (sizeof encapsulations / sizeof encapsulations[0])

static struct build encapsulated(const struct encapsulation *e)
{
	struct build b = e->inner == IPV6    ? hello_v6()
			 : e->inner == FRAME ? hello_ethernet()
					     : hello();
	uint8_t link[14] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

	if (e->inner == PPP)
		wrap(&b, e->number == 1701 ? "\xff\3\0\x21" : "\0\x21", e->number == 1701 ? 4 : 2);
	wrap(&b, e->header, e->header_len);
	put_u16(link + 12, 0x0800);
	if (e->outer == OVER_ETHERNET)
		put_u16(link + 12, e->number);
	else if (e->outer == OVER_IP)
		wrap_ipv4(&b, e->number);
	else
		wrap_udp(&b, e->number);
	wrap(&b, link, sizeof link);
	return b;
}

static void each_tunnel_leads_to_the_datagram_inside(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENCAPSULATIONS; i++) {
		const struct encapsulation *e = &encapsulations[i];
		struct build b = encapsulated(e);
		print_message("%s\n", e->name);
		(e->inner == IPV6 ? assert_v6_hello : assert_v4_hello)(1, &b);
		bool tunnel = e->outer != OVER_ETHERNET && strcmp(e->name, "AH") != 0 &&
			      e->number != 137 && e->number != 143;
		if (tunnel)
			assert_int_equal(counter_get(&counters, COUNT_DECODE_TUNNEL), 1);
	}
}

/* Each copy in memory of just that size, so that a sanitizer sees a byte too many. */
static void tunnels_cut_anywhere_harm_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENCAPSULATIONS; i++) {
		struct build b = encapsulated(&encapsulations[i]);
		for (size_t cut = 0; cut <= b.len; cut++) {
			uint8_t *exact = test_malloc(cut + 1);
			memcpy(exact + 1, b.bytes, cut);
			enum decode_verdict v = decode_bytes(1, exact + 1, cut);
			if (v == DECODE_UDP)
				assert_true(out.payload + out.len <= exact + 1 + cut);
			if (cut > 42 && encapsulations[i].outer == OVER_UDP &&
			    encapsulations[i].header_len + 42u > cut)
				assert_int_equal(v, DECODE_UDP); /* at least the outer one */
			if (cut + 5 > b.len && cut < b.len) {    /* the payload is cut, no header */
				assert_int_equal(v, DECODE_UDP);
				assert_int_equal(counter_get(&counters, COUNT_DECODE_TRUNCATED), 1);
			}
			test_free(exact);
		}
	}
}

static void no_wrong_byte_of_a_tunnel_leads_outside_the_frame(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENCAPSULATIONS; i++) {
		const struct build good = encapsulated(&encapsulations[i]);
		for (size_t at = 0; at < good.len; at++) {
			for (unsigned bit = 0; bit < 8; bit++) {
				struct build b = good;
				b.bytes[at] ^= (uint8_t)(1u << bit);
				if (decode(1, &b) != DECODE_UDP)
					continue;
				assert_true(out.payload >= b.bytes);
				assert_true(out.payload + out.len <= b.bytes + b.len);
				assert_true(out.len <= out.wire_len);
			}
		}
	}
}

/* ---- plain datagrams to a tunnel's port ---- */

static const uint16_t ports[] = {
	4789, 8472, 4790, 6081, 2152, 1701, 37008, 3544, 4341, 5072, 4754
};

static void assert_plain(const void *payload, size_t n, uint16_t port)
{
	struct build b = { .len = 0 };

	add(&b, payload, n);
	wrap_udp(&b, port);
	assert_int_equal(decode(228, &b), DECODE_UDP);
	assert_int_equal(out.dst.port, port);
	assert_int_equal(out.src.port, 12345);
	assert_int_equal(out.len, n);
	assert_int_equal(out.wire_len, n);
	assert_memory_equal(out.payload, payload, n);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_TUNNEL), 0);
}

static void phones_at_a_tunnels_port_are_not_lost(void **state)
{
	(void)state;
	static const char *const sip[] = {
		"INVITE sip:bob@example.com SIP/2.0\r\n",
		"SIP/2.0 200 OK\r\nVia: x\r\n",
		"BYE sip:a@b SIP/2.0\r\n",
		"OPTIONS sip:a@b SIP/2.0\r\n",
		"MESSAGE sip:a@b SIP/2.0",
		"\r\n\r\n",
		"",
		"x",
	};

	for (size_t p = 0; p < sizeof ports / sizeof ports[0]; p++) {
		for (size_t i = 0; i < sizeof sip / sizeof sip[0]; i++)
			assert_plain(sip[i], strlen(sip[i]), ports[p]);
		for (unsigned type = 0; type < 256; type++) {
			uint8_t rtp[172] = {
				0x80, (uint8_t)type, 0, 1, 0, 0, 0, 160, 0x45, 2, 3, 4
			};
			memset(rtp + 12, (int)type, 160);
			assert_plain(rtp, sizeof rtp, ports[p]);
		}
	}
}

static void a_broken_packet_in_a_tunnel_leaves_the_outer_datagram(void **state)
{
	(void)state;
	struct build b = hello_ethernet();

	b.bytes[14] = 0x55; /* IP version 5 */
	wrap(&b, "\x08\0\0\0\0\1\2\0", 8);
	size_t len = b.len;
	wrap_udp(&b, 4789);
	assert_int_equal(decode(228, &b), DECODE_UDP);
	assert_int_equal(out.dst.port, 4789);
	assert_int_equal(out.len, len);
	/* the innermost one that is whole */
	wrap(&b, "\x30\xff\0\0\0\0\0\1", 8);
	put_u16(b.bytes + 2, (uint16_t)(b.len - 8));
	wrap_udp(&b, 2152);
	assert_int_equal(decode(228, &b), DECODE_UDP);
	assert_int_equal(out.dst.port, 4789);
	assert_int_equal(out.len, len);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_TUNNEL), 1);
}

static void ipv6_carries_both(void **state)
{
	(void)state;
	struct build four = { .len = 0 }, six = { .len = 0 };

	add_ethernet(&four, 0x86dd);
	add_ipv6(&four, 33, 4);
	add_ipv4_hello(&four);
	assert_v4_hello(1, &four);
	add_ethernet(&six, 0x86dd);
	add_ipv6(&six, 8 + 53, 60); /* destination options: the limit of RFC 2473 */
	add(&six, "\51\0\4\1\4\1\0", 8);
	add_ipv6_hello(&six);
	assert_v6_hello(1, &six);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_TUNNEL), 1);
}

static void what_tunnels_carry_beside_ip_is_other(void **state)
{
	(void)state;
	struct build b = { .len = 0 };

	add_ethernet(&b, 0x0806);
	add_zeros(&b, 46);
	wrap(&b, "\x08\0\0\0\0\1\2\0", 8);
	wrap_udp(&b, 4789);
	assert_int_equal(decode(228, &b), DECODE_OTHER);
}

static void tcp_and_fragments_are_found_in_tunnels(void **state)
{
	(void)state;
	struct build b = { .len = 0 };

	add_ipv4(&b, 20 + 13, 0x2000, 17);
	add_udp(&b, 13, "hello");
	wrap_ipv4(&b, 4);
	assert_int_equal(decode(228, &b), DECODE_FRAGMENT);
	assert_int_equal(piece.len, 13);
	b.len = 0;
	add_ipv4(&b, 40, 0, 6);
	add_zeros(&b, 12);
	add_u16(&b, 0x5000);
	add_zeros(&b, 6);
	wrap_ipv4(&b, 4);
	assert_int_equal(decode(228, &b), DECODE_TCP);
	assert_int_equal(piece.len, 0);
}

static void a_tunnel_put_together_from_fragments_is_followed(void **state)
{
	(void)state;
	struct build b = hello_ethernet();

	wrap(&b, "\x08\0\0\0\0\1\2\0", 8);
	wrap_udp(&b, 4789);
	struct piece whole = { .ts_ns = 7, .bytes = b.bytes + 20, .protocol = 17 };
	whole.len = whole.wire_len = (uint32_t)b.len - 20;
	endpoint_set_v4(&whole.src, b.bytes + 12, 0);
	endpoint_set_v4(&whole.dst, b.bytes + 16, 0);
	assert_int_equal(decode_payload(&decoder, &whole, &out, &piece, &counters), DECODE_UDP);
	assert_int_equal(out.dst.port, 5060);
	assert_int_equal(out.ts_ns, 7);
	assert_memory_equal(out.payload, "hello", 5);
}

static void tunnels_in_tunnels_end(void **state)
{
	(void)state;
	struct build b = hello();
	unsigned deep = 0;

	for (; deep < 60 && decode(228, &b) == DECODE_UDP; deep++)
		wrap_ipv4(&b, 4);
	assert_in_range(deep, 8, 24);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_NESTED), 1);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_MALFORMED), 0);

	b = hello_ethernet();
	for (deep = 0; deep < 60 && decode(1, &b) == DECODE_UDP; deep++) {
		assert_int_equal(out.dst.port, 5060);
		wrap(&b, "\x08\0\0\0\0\1\2\0", 8);
		wrap_udp(&b, 4789);
		wrap(&b, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0", 14);
	}
	assert_in_range(deep, 3, 24);
	assert_int_equal(counter_get(&counters, COUNT_DECODE_NESTED), 1);
}

/* ---- which ports ---- */

static void ports_are_options(void **state)
{
	(void)state;
	static struct options options;
	struct decoder other, defaults = decoder;
	struct error err;

	options_default(&options);
	snprintf(options.vxlan_ports, sizeof options.vxlan_ports, " 1 , 65535");
	options.gtp_ports[0] = '\0';
	assert_int_equal(decoder_init(&other, &options, &err), RC_OK);
	struct build b = hello_ethernet(), gtp = hello();
	wrap(&b, "\x08\0\0\0\0\1\2\0", 8);
	struct build usual = b;
	wrap_udp(&b, 65535);
	wrap_udp(&usual, 4789);
	wrap(&gtp, "\x30\xff\0\x21tttt", 8);
	wrap_udp(&gtp, 2152);
	decoder = other;
	assert_v4_hello(228, &b);
	assert_int_equal(decode(228, &usual), DECODE_UDP);
	assert_int_equal(out.dst.port, 4789);
	assert_int_equal(decode(228, &gtp), DECODE_UDP);
	assert_int_equal(out.dst.port, 2152);
	decoder = defaults;
}

static void lists_that_are_none_are_refused_by_name(void **state)
{
	(void)state;
	static struct options options;
	static const char *const bad[] = { "0",    "65536",  "4789;8472",
					   "x",    "1,",     ",1",
					   "1 2",  "-1",     "99999999999999999999",
					   "1,,2", "0x12b5", "2152",
					   "6081" };
	struct decoder d;
	struct error err;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		options_default(&options);
		snprintf(options.vxlan_ports, sizeof options.vxlan_ports, "%s", bad[i]);
		assert_int_equal(decoder_init(&d, &options, &err), RC_USAGE);
		assert_non_null(strstr(err.text, "-ports: "));
	}
	options_default(&options);
	int n = 0;
	for (unsigned port = 100; port < 160; port++)
		n += snprintf(options.vxlan_ports + n, sizeof options.vxlan_ports - (size_t)n,
			      "%s%u", n ? "," : "", port);
	assert_int_equal(decoder_init(&d, &options, &err), RC_USAGE);
	assert_non_null(strstr(err.text, "more than"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_tunnel_leads_to_the_datagram_inside),
		cmocka_unit_test(tunnels_cut_anywhere_harm_nothing),
		cmocka_unit_test(no_wrong_byte_of_a_tunnel_leads_outside_the_frame),
		cmocka_unit_test(phones_at_a_tunnels_port_are_not_lost),
		cmocka_unit_test(a_broken_packet_in_a_tunnel_leaves_the_outer_datagram),
		cmocka_unit_test(ipv6_carries_both),
		cmocka_unit_test(what_tunnels_carry_beside_ip_is_other),
		cmocka_unit_test(tcp_and_fragments_are_found_in_tunnels),
		cmocka_unit_test(a_tunnel_put_together_from_fragments_is_followed),
		cmocka_unit_test(tunnels_in_tunnels_end),
		cmocka_unit_test(ports_are_options),
		cmocka_unit_test(lists_that_are_none_are_refused_by_name),
	};
	return cmocka_run_group_tests_name("decode_tunnel", tests, decode_help_init, NULL);
}
