/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_base_work.c: what is timed, and what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/work.h"

static void one_burst_of_so_many_is_timed(void **state)
{
	struct work w = { 0 };
	int timed = 0;
	(void)state;
	for (int i = 0; i < 10 * WORK_EVERY; i++) {
		work_turn(&w);
		uint64_t began = work_sample(&w);
		timed += began != 0;
		assert_int_equal(began != 0, i % WORK_EVERY == 0);
		work_done(&w, WORK_SEAL, began, 64);
	}
	assert_int_equal(timed, 10);
	assert_int_equal(w.items[WORK_SEAL], 10 * 64);
	assert_true(w.cycles[WORK_SEAL] > 0);
}

static void a_stage_that_is_not_timed_adds_nothing(void **state)
{
	struct work w = { 0 };
	(void)state;
	work_done(&w, WORK_MEDIA, 0, 64);
	work_done(&w, WORK_SEAL, 0, 1);
	assert_int_equal(w.items[WORK_MEDIA] + w.cycles[WORK_MEDIA], 0);
	assert_int_equal(w.items[WORK_SEAL] + w.cycles[WORK_SEAL], 0);
}

static void a_sample_that_was_disturbed_is_left_out(void **state)
{
	struct work w = { 0 };
	uint64_t long_ago = work_now() - 2 * WORK_DISTURBED;
	(void)state;
	for (int stage = 0; stage < WORK_STAGES; stage++) {
		work_done(&w, (enum work_stage)stage, long_ago, 3);
		assert_int_equal(w.items[stage], work_sampled[stage] ? 0 : 3);
		assert_int_equal(w.cycles[stage] >= 2 * WORK_DISTURBED, !work_sampled[stage]);
	}
}

static void a_thread_tells_its_cpu_time(void **state)
{
	struct work w = { 0 };
	(void)state;
	work_end(&w);
	assert_true(w.cpu_ns > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_burst_of_so_many_is_timed),
		cmocka_unit_test(a_stage_that_is_not_timed_adds_nothing),
		cmocka_unit_test(a_sample_that_was_disturbed_is_left_out),
		cmocka_unit_test(a_thread_tells_its_cpu_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
