/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode_help.h: frames built by hand, and decoding them with every count looked at. */
#ifndef CALLSPAN_TESTS_DECODE_HELP_H
#define CALLSPAN_TESTS_DECODE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "capture/capture.h"

struct build {
	uint8_t bytes[4096];
	size_t len;
};

extern struct counters counters; /* of the last decode */
extern struct datagram out;
extern struct piece piece;
extern struct decoder
	decoder; /* with the ports of the default options once decode_help_init() ran */

int decode_help_init(void **state);

void add(struct build *b, const void *bytes, size_t n);
void add_u8(struct build *b, unsigned v);
void add_u16(struct build *b, unsigned v);
void add_u32(struct build *b, uint32_t v);
void add_zeros(struct build *b, size_t n);
void add_ethernet(struct build *b, unsigned ethertype);
/* 192.0.2.1 -> 192.0.2.2, a header of 20 bytes. */
void add_ipv4(struct build *b, unsigned total_len, unsigned fragment, unsigned protocol);
/* 2001:db8::1 -> 2001:db8::2. */
void add_ipv6(struct build *b, unsigned payload_len, unsigned next);
void add_udp(struct build *b, unsigned udp_len, const char *payload);
/* A whole packet with the payload "hello" in UDP, 4000 -> 5060. */
void add_ipv4_hello(struct build *b);
void add_ipv6_hello(struct build *b);

/* Put an IPv4 header, and a UDP header to `port`, before all there is: 198.51.100.1 -> 198.51.100.2. */
void wrap_ipv4(struct build *b, unsigned protocol);
void wrap_udp(struct build *b, unsigned port);
void wrap(struct build *b, const void *header, size_t n);

enum decode_verdict decode_bytes(unsigned link_type, const void *bytes, size_t len);
enum decode_verdict decode(unsigned link_type, const struct build *b);
void assert_hello(unsigned link_type, const struct build *b, const char *src, const char *dst);
void assert_v4_hello(unsigned link_type, const struct build *b);
void assert_v6_hello(unsigned link_type, const struct build *b);

#endif
