/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* The sieve: bulk TCP stays away from signalling, SIP never does. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "recorder/sieve.h"

#define INVITE "INVITE sip:x SIP/2.0\r\nCall-ID: 1\r\n\r\n"

static struct counters counters;

static bool passes(struct sieve *s, const char *text, uint8_t flags)
{
	struct piece p = { .kind = PIECE_SEGMENT, .bytes = (const uint8_t *)text, .flags = flags };
	p.len = p.wire_len = (uint32_t)strlen(text);
	assert_true(endpoint_parse_addr(&p.src, "192.0.2.1", 9, 4000));
	assert_true(endpoint_parse_addr(&p.dst, "192.0.2.2", 9, 5060));
	return sieve_passes(s, &p, &counters);
}

static void mark(struct sieve *s, uint16_t port)
{
	struct endpoint src, dst;
	assert_true(endpoint_parse_addr(&src, "192.0.2.1", 9, port));
	assert_true(endpoint_parse_addr(&dst, "192.0.2.2", 9, 5060));
	sieve_mark(s, &src, &dst);
}

static void sieve_stops_only_directions_that_were_marked(void **state)
{
	(void)state;
	struct sieve *s = sieve_new();
	memset(&counters, 0, sizeof counters);
	assert_non_null(s);
	assert_true(passes(s, "bulk", 0));
	mark(s, 4001);
	assert_true(passes(s, "bulk", 0));
	mark(s, 4000);
	assert_false(passes(s, "bulk", 0));
	assert_int_equal(counter_get(&counters, COUNT_TCP_NOT_SIP), 1);
	sieve_free(s);
}

static void sieve_stops_what_carries_no_data(void **state)
{
	(void)state;
	struct sieve *s = sieve_new();
	memset(&counters, 0, sizeof counters);
	assert_non_null(s);
	assert_false(passes(s, "", 0));
	assert_true(passes(s, "", TCP_FIN));
	assert_int_equal(counter_get(&counters, COUNT_TCP_NO_DATA), 1);
	sieve_free(s);
}

static void sieve_lets_sip_and_new_connections_pass(void **state)
{
	(void)state;
	struct sieve *s = sieve_new();
	assert_non_null(s);
	mark(s, 4000);
	assert_true(passes(s, INVITE, 0));
	assert_true(passes(s, "the rest of the message", 0));
	mark(s, 4000);
	assert_false(passes(s, "bulk", 0));
	assert_true(passes(s, "", TCP_SYN));
	assert_true(passes(s, "perhaps SIP", 0));
	sieve_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sieve_stops_only_directions_that_were_marked),
		cmocka_unit_test(sieve_stops_what_carries_no_data),
		cmocka_unit_test(sieve_lets_sip_and_new_connections_pass),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
