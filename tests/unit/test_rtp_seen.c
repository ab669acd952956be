/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* The log of a stream's last packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rtp/seen.h"

#define MINUTE_US INT64_C(60000000)
#define T0_US     INT64_C(1760000000000000)

static void note(struct seen_log *l, int64_t arrival_us, uint16_t number)
{
	seen_note(l, &(struct seen){ arrival_us, number, 160, SEEN_AUDIO });
}

/* How many there are, and the arrival of number `number`, or -1. */
static unsigned count(const struct seen_log *l)
{
	unsigned n = 0;
	for (unsigned i = 0; i < SEEN_MOST; i++)
		n += seen_get(l, i).kind != SEEN_FORGOTTEN;
	return n;
}

static int64_t arrival(const struct seen_log *l, uint16_t number)
{
	for (unsigned i = 0; i < SEEN_MOST; i++) {
		struct seen s = seen_get(l, i);
		if (s.kind != SEEN_FORGOTTEN && s.number == number)
			return s.arrival_us;
	}
	return -1;
}

static void keeps_the_last_sixteen_to_the_microsecond(void **state)
{
	(void)state;
	struct seen_log l = { 0 };

	assert_int_equal(count(&l), 0);
	for (uint16_t i = 0; i < 40; i++) {
		seen_note(&l, &(struct seen){ T0_US + i * 20001, i, (uint16_t)(160 + i),
					      i % 2 ? SEEN_NOISE : SEEN_AUDIO });
		assert_int_equal(count(&l), i < SEEN_MOST ? i + 1 : SEEN_MOST);
	}
	for (unsigned i = 0; i < SEEN_MOST; i++) {
		struct seen s = seen_get(&l, i);
		assert_in_range(s.number, 24, 39);
		assert_int_equal(s.arrival_us, T0_US + s.number * 20001);
		assert_int_equal(s.payload_len, 160 + s.number);
		assert_int_equal(s.kind, s.number % 2 ? SEEN_NOISE : SEEN_AUDIO);
	}
	for (uint16_t i = 24; i < 40; i++)
		assert_int_not_equal(arrival(&l, i), -1);
}

/* A long call: each packet far from the first, none far from the one before. */
static void follows_the_time_for_days(void **state)
{
	(void)state;
	struct seen_log l = { 0 };
	int64_t at = T0_US;

	for (uint16_t i = 0; i < 3000; i++, at += MINUTE_US)
		note(&l, at, i);
	for (uint16_t i = 2984; i < 3000; i++)
		assert_int_equal(arrival(&l, i), T0_US + i * MINUTE_US);
}

static void forgets_what_is_too_far_from_the_newest(void **state)
{
	(void)state;
	struct seen_log l = { 0 };

	note(&l, T0_US, 1);
	note(&l, T0_US + 30 * MINUTE_US, 2);
	note(&l, T0_US + 60 * MINUTE_US, 3); /* 1 is an hour away, 2 half of one */
	assert_int_equal(arrival(&l, 1), -1);
	assert_int_equal(arrival(&l, 2), T0_US + 30 * MINUTE_US);
	assert_int_equal(arrival(&l, 3), T0_US + 60 * MINUTE_US);
	note(&l, T0_US - 60 * MINUTE_US, 4); /* time of a file goes backwards */
	assert_int_equal(count(&l), 1);
	assert_int_equal(arrival(&l, 4), T0_US - 60 * MINUTE_US);
}

static void takes_any_time(void **state)
{
	(void)state;
	static const int64_t times[] = { INT64_MIN, INT64_MAX, 0,         INT64_MIN + 1, -1,
					 INT64_MAX, T0_US,     INT64_MAX, INT64_MIN };
	struct seen_log l = { 0 };

	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		note(&l, times[i], (uint16_t)i);
		assert_int_equal(arrival(&l, (uint16_t)i), times[i]);
	}
}

static void the_newest_can_become_something_else(void **state)
{
	(void)state;
	for (unsigned n = 0; n <= SEEN_MOST + 2; n++) {
		struct seen_log l = { 0 };
		for (uint16_t i = 0; i < 20; i++)
			note(&l, T0_US + i, i);
		seen_amend(&l, n, SEEN_DROPPED);
		for (unsigned i = 0; i < SEEN_MOST; i++) {
			struct seen s = seen_get(&l, i);
			assert_int_equal(s.kind, s.number + n >= 20 ? SEEN_DROPPED : SEEN_AUDIO);
			assert_int_equal(s.arrival_us, T0_US + s.number);
		}
		note(&l, T0_US + 20, 20);
		assert_int_equal(arrival(&l, 20), T0_US + 20);
		assert_int_equal(arrival(&l, 4), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_last_sixteen_to_the_microsecond),
		cmocka_unit_test(follows_the_time_for_days),
		cmocka_unit_test(forgets_what_is_too_far_from_the_newest),
		cmocka_unit_test(takes_any_time),
		cmocka_unit_test(the_newest_can_become_something_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
