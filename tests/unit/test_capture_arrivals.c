/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Times of frames that nobody has stamped: in their order, and near the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture/arrivals.h"

#define START INT64_C(1800000000000000000)
#define BURST 64

static void frames_of_a_burst_are_a_microsecond_apart(void **state)
{
	(void)state;
	struct arrivals a = { 0 };
	int64_t step;

	assert_int_equal(arrivals_of(&a, START, 10, &step), START);
	assert_int_equal(step, 1000);
	/* The next was taken sooner than that: it follows. */
	assert_int_equal(arrivals_of(&a, START + 300, 1, &step), START + 10000);
	assert_int_equal(step, 1000);
	/* And one that was not bears its own time. */
	assert_int_equal(arrivals_of(&a, START + 11000, 1, &step), START + 11000);
}

static void however_fast_they_come_time_rises_and_is_near_the_clock(void **state)
{
	(void)state;
	struct arrivals a = { 0 };
	static const int64_t every_ns[] = { 200, 100, 1000, 200 };
	int64_t now = START, newest = 0, step;

	for (int64_t n = 0; n < 400000; n++) {
		int64_t first = arrivals_of(&a, now, BURST, &step);
		assert_true(first > newest);
		newest = first + (BURST - 1) * step;
		assert_true(newest >= now && newest < now + ARRIVALS_AHEAD_NS);
		now += BURST * every_ns[n / 100000];
	}
}

static void a_clock_that_is_set_back_is_followed(void **state)
{
	(void)state;
	struct arrivals a = { 0 };
	int64_t step;

	(void)arrivals_of(&a, START, BURST, &step);
	assert_int_equal(arrivals_of(&a, START - 3600 * NS_PER_S, BURST, &step),
			 START - 3600 * NS_PER_S);
	assert_int_equal(arrivals_of(&a, START, 1, &step), START);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_a_burst_are_a_microsecond_apart),
		cmocka_unit_test(however_fast_they_come_time_rises_and_is_near_the_clock),
		cmocka_unit_test(a_clock_that_is_set_back_is_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
