/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_base_nearest.c: a slip is told from another word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/nearest.h"

static const char *const names[] = { "calls", "show", "hold-add", "hold-list", "hold-show" };
#define NAMES (sizeof names / sizeof names[0])

static void difference_counts_characters_put_in_left_out_and_changed(void **state)
{
	(void)state;
	assert_int_equal(nearest_difference("", ""), 0);
	assert_int_equal(nearest_difference("show", "show"), 0);
	assert_int_equal(nearest_difference("", "show"), 4);
	assert_int_equal(nearest_difference("show", ""), 4);
	assert_int_equal(nearest_difference("shw", "show"), 1);
	assert_int_equal(nearest_difference("kitten", "sitting"), 3);
	assert_int_equal(nearest_difference("sitting", "kitten"), 3);
}

static void slip_is_near_to_the_name_that_differs_least(void **state)
{
	(void)state;
	assert_string_equal(nearest_of("call", names, NAMES), "calls");
	assert_string_equal(nearest_of("hold-lst", names, NAMES), "hold-list");
	assert_string_equal(nearest_of("hold_show", names, NAMES), "hold-show");
	assert_string_equal(nearest_of("show", names, NAMES), "show");
}

static void another_word_is_near_to_none(void **state)
{
	char longest[NEAREST_WORD + 2];
	const char *const same[] = { longest };
	(void)state;
	assert_null(nearest_of("delete", names, NAMES));
	assert_null(nearest_of("holding-on", names, NAMES));
	assert_null(nearest_of("show", names, 0));
	memset(longest, 'a', sizeof longest);
	longest[NEAREST_WORD + 1] = '\0';
	assert_null(nearest_of(longest, same, 1));
	longest[NEAREST_WORD] = '\0';
	assert_ptr_equal(nearest_of(longest, same, 1), longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(difference_counts_characters_put_in_left_out_and_changed),
		cmocka_unit_test(slip_is_near_to_the_name_that_differs_least),
		cmocka_unit_test(another_word_is_near_to_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
