/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* What two spellings of one party have in common. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sip/clean.h"

static void assert_same(const char *user, const char *wanted)
{
	char same[CLEAN_SAME];
	clean_same(same, user);
	assert_string_equal(same, wanted);
	clean_same(same, wanted);
	assert_string_equal(same, wanted);
}

static void numbers_are_the_same_by_their_last_nine_digits(void **state)
{
	(void)state;
	assert_same("+441632960001", "632960001");
	assert_same("(01632) 960-001", "632960001");
	assert_same("2001", "2001");
	assert_same("Alice", "alice");
	assert_same("12x34", "12x34");
	assert_same("", "");
}

static void what_has_to_be_cut_is_no_number(void **state)
{
	(void)state;
	char user[2 * CLEAN_SAME], cut[CLEAN_SAME];

	for (size_t len = 1; len < sizeof user; len++) {
		memset(user, '7', len);
		user[len] = '\0';
		memset(cut, '7', sizeof cut);
		cut[len < CLEAN_SAME - 1 ? (len < 9 ? len : 9) : CLEAN_SAME - 1] = '\0';
		assert_same(user, cut);
	}
	memset(user, '+', 30);
	memset(user + 30, '0', 40);
	strcpy(user + 70, "b");
	memcpy(cut, user, CLEAN_SAME - 1);
	cut[CLEAN_SAME - 1] = '\0';
	assert_same(user, cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_the_same_by_their_last_nine_digits),
		cmocka_unit_test(what_has_to_be_cut_is_no_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
