/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_wheel.c: timers come in time, whatever their distance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sip/wheel.h"

#define SECOND INT64_C(1000000000)
#define START  (1700000000 * SECOND)

static struct wheel w;

static void start(void)
{
	wheel_init(&w);
	assert_null(wheel_due(&w, START));
}

static void item_comes_within_a_slot_of_its_time_and_never_before(void **state)
{
	(void)state;
	for (int64_t distance = 0; distance < 700 * SECOND; distance += 7777777777) {
		struct wheel_item item = { 0 };
		int64_t due = START + distance, now = START;
		start();
		wheel_set(&w, &item, due);
		while (!wheel_due(&w, now)) {
			assert_true(now <= due + WHEEL_SLOT_NS);
			now += SECOND / 20;
		}
		assert_true(now >= due);
		assert_null(item.next);
	}
}

static void long_pause_serves_everything_that_came_due(void **state)
{
	(void)state;
	struct wheel_item items[100] = { 0 };
	unsigned served = 0;
	start();
	for (unsigned i = 0; i < 100; i++)
		wheel_set(&w, &items[i], START + 10 * SECOND * i);
	while (wheel_due(&w, START + 100000 * SECOND))
		served++;
	assert_int_equal(served, 100);
	start();
	served = 0;
	for (unsigned i = 0; i < 100; i++)
		wheel_set(&w, &items[i], START + 10 * SECOND * i);
	while (wheel_due(&w, START + 500 * SECOND - SECOND))
		served++;
	assert_int_equal(served, 50);
	for (unsigned i = 50; i < 100; i++)
		wheel_remove(&items[i]);
}

static void moved_item_comes_once_at_its_new_time(void **state)
{
	(void)state;
	struct wheel_item item = { 0 };
	start();
	wheel_set(&w, &item, START + 5 * SECOND);
	wheel_set(&w, &item, START + 900 * SECOND);
	assert_null(wheel_due(&w, START + 899 * SECOND));
	assert_ptr_equal(wheel_due(&w, START + 901 * SECOND), &item);
	assert_null(wheel_due(&w, START + 902 * SECOND));
	wheel_set(&w, &item, START + 903 * SECOND);
	wheel_remove(&item);
	wheel_remove(&item);
	assert_null(wheel_due(&w, START + 2000 * SECOND));
}

static void time_that_runs_back_is_ignored(void **state)
{
	(void)state;
	struct wheel_item item = { 0 };
	start();
	assert_null(wheel_due(&w, START + 100 * SECOND));
	assert_null(wheel_due(&w, START));
	wheel_set(&w, &item, START + SECOND); /* past already: as soon as may be */
	assert_ptr_equal(wheel_due(&w, START + 101 * SECOND), &item);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(item_comes_within_a_slot_of_its_time_and_never_before),
		cmocka_unit_test(long_pause_serves_everything_that_came_due),
		cmocka_unit_test(moved_item_comes_once_at_its_new_time),
		cmocka_unit_test(time_that_runs_back_is_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
