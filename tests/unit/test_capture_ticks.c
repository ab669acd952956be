/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* The clock of a network card: its rate is found out, and its stamps become wall-clock time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/net.h"
#include "capture/ticks.h"

#define START INT64_C(1800000000000000000)

static void says_nothing_before_the_second_comparison(void **state)
{
	(void)state;
	struct ticks t = { 0 };
	struct ticks_rate r;

	assert_false(ticks_newest(&t, &r));
	ticks_compare(&t, 1000, 5, START);
	assert_false(ticks_newest(&t, &r));
	ticks_compare(&t, 2000, 5 + NS_PER_S, START + NS_PER_S);
	assert_true(ticks_newest(&t, &r));
}

/* A counter of 156.25 MHz (6.4 ns), as cards have. */
static void stamps_before_and_after_a_comparison_are_exact_to_a_tick(void **state)
{
	(void)state;
	struct ticks t = { 0 };
	struct ticks_rate r;
	const uint64_t hz = 156250000, first = UINT64_MAX - 3 * hz / 2; /* runs over on the way */

	for (int s = 0; s <= 3600; s += 1 + s / 60)
		ticks_compare(&t, first + (uint64_t)s * hz, 7 + s * NS_PER_S, START + s * NS_PER_S);
	assert_true(ticks_newest(&t, &r));
	int64_t at = r.at_ns;
	assert_int_equal(ticks_ns(&r, r.at_ticks), at);
	for (int64_t off = -1000; off <= 1000; off += 37) { /* ms */
		uint64_t stamp = r.at_ticks + (uint64_t)(off * (int64_t)(hz / 1000));
		int64_t wrong = ticks_ns(&r, stamp) - (at + off * NS_PER_MS);
		assert_in_range(llabs(wrong), 0, 7);
	}
}

static void a_step_of_the_wall_clock_moves_stamps_and_bends_nothing(void **state)
{
	(void)state;
	struct ticks t = { 0 };
	struct ticks_rate r;

	ticks_compare(&t, 0, 0, START);
	ticks_compare(&t, 1000000000, NS_PER_S, START + NS_PER_S);
	ticks_compare(&t, 2000000000, 2 * NS_PER_S, START + 3602 * NS_PER_S);
	assert_true(ticks_newest(&t, &r));
	assert_int_equal(ticks_ns(&r, 2000000500), START + 3602 * NS_PER_S + 500);
}

static void a_counter_that_was_set_back_begins_anew(void **state)
{
	(void)state;
	struct ticks t = { 0 };
	struct ticks_rate r;

	ticks_compare(&t, 5000000000, 0, START);
	ticks_compare(&t, 6000000000, NS_PER_S, START + NS_PER_S);
	ticks_compare(&t, 100, 2 * NS_PER_S, START + 2 * NS_PER_S);
	ticks_compare(&t, 1000000100, 3 * NS_PER_S, START + 3 * NS_PER_S);
	assert_true(ticks_newest(&t, &r));
	assert_int_equal(r.at_ns, START + 3 * NS_PER_S);
	assert_int_equal(ticks_ns(&r, 1000000200), START + 3 * NS_PER_S + 100);
	/* one that stands still is believed no further */
	ticks_compare(&t, 100, 4 * NS_PER_S, START + 4 * NS_PER_S);
	assert_true(ticks_newest(&t, &r));
	assert_int_equal(r.at_ns, START + 3 * NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_nothing_before_the_second_comparison),
		cmocka_unit_test(stamps_before_and_after_a_comparison_are_exact_to_a_tick),
		cmocka_unit_test(a_step_of_the_wall_clock_moves_stamps_and_bends_nothing),
		cmocka_unit_test(a_counter_that_was_set_back_begins_anew),
	};
	return cmocka_run_group_tests_name("ticks", tests, NULL, NULL);
}
