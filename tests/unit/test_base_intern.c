/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Values kept once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/intern.h"

static void keeps_equal_values_once(void **state)
{
	(void)state;
	struct intern *t = intern_new(16, 4);

	uint32_t a = intern_take(t, "PCMU", 5), b = intern_take(t, "PCMA", 5);
	assert_int_not_equal(a, b);
	assert_int_equal(intern_take(t, "PCMU", 5), a);
	assert_int_equal(intern_count(t), 2);
	assert_string_equal(intern_at(t, a), "PCMU");
	assert_string_equal(intern_at(t, b), "PCMA");
	/* It goes with the last of three who hold it. */
	intern_hold(t, a);
	intern_drop(t, a);
	intern_drop(t, a);
	assert_int_equal(intern_count(t), 2);
	assert_string_equal(intern_at(t, a), "PCMU");
	intern_drop(t, a);
	assert_int_equal(intern_count(t), 1);
	intern_drop(t, b);
	assert_int_equal(intern_count(t), 0);
	intern_hold(t, INTERN_NONE);
	intern_drop(t, INTERN_NONE);
	intern_free(t);
}

static void tells_values_apart_by_every_byte_and_by_length(void **state)
{
	(void)state;
	struct intern *t = intern_new(16, 4);
	static const uint8_t zeros[16];

	uint32_t none = intern_take(t, zeros, 0), one = intern_take(t, zeros, 1);
	assert_int_not_equal(none, one);
	assert_int_not_equal(intern_take(t, zeros, 16), one);
	assert_int_equal(intern_count(t), 3);
	intern_free(t);
}

static void leaves_nothing_of_a_longer_value_behind_a_shorter(void **state)
{
	(void)state;
	struct intern *t = intern_new(16, 1);
	static const uint8_t zeros[15];

	intern_drop(t, intern_take(t, "0123456789abcdef", 16));
	uint32_t n = intern_take(t, "x", 1);
	assert_memory_equal((const uint8_t *)intern_at(t, n) + 1, zeros, sizeof zeros);
	intern_free(t);
}

static void knows_its_own_pointers(void **state)
{
	(void)state;
	struct intern *t = intern_new(40, 3);
	static const char elsewhere[] = "PCMU";

	uint32_t a = intern_take(t, "one", 4), b = intern_take(t, "two", 4);
	assert_int_equal(intern_of(t, intern_at(t, a)), a);
	assert_int_equal(intern_of(t, (const char *)intern_at(t, b) + 39), b);
	assert_int_equal(intern_of(t, elsewhere), INTERN_NONE);
	assert_int_equal(intern_of(t, NULL), INTERN_NONE);
	/* Beyond those that were ever used. */
	assert_int_equal(intern_of(t, (const char *)intern_at(t, b) + 64), INTERN_NONE);
	intern_free(t);
}

#define HOSTILE 100000

/* All different, more than there is room for, given up and taken again in another order. */
static void holds_a_hundred_thousand_different_values(void **state)
{
	(void)state;
	struct intern *t = intern_new(104, HOSTILE);
	char value[104] = "opus";
	static uint32_t numbers[HOSTILE];

	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < HOSTILE; i++) {
			memcpy(value + 40, &i, sizeof i);
			numbers[i] = intern_take(t, value, sizeof value);
			assert_true(numbers[i] < HOSTILE);
		}
		assert_int_equal(intern_count(t), HOSTILE);
		uint32_t more = HOSTILE;
		memcpy(value + 40, &more, sizeof more);
		assert_int_equal(intern_take(t, value, sizeof value), INTERN_NONE);
		for (uint32_t i = 0; i < HOSTILE; i++) {
			uint32_t there;
			memcpy(&there, (const char *)intern_at(t, numbers[i]) + 40, sizeof there);
			assert_int_equal(there, i);
		}
		/* Odd ones first, then the even ones, backwards. */
		for (uint32_t i = 1; i < HOSTILE; i += 2)
			intern_drop(t, numbers[i]);
		assert_int_equal(intern_count(t), HOSTILE / 2);
		for (uint32_t i = HOSTILE; i > 0; i -= 2)
			intern_drop(t, numbers[i - 2]);
		assert_int_equal(intern_count(t), 0);
	}
	intern_free(t);
}

static void is_nothing_without_room(void **state)
{
	(void)state;
	assert_null(intern_new(8, 0));
	intern_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_equal_values_once),
		cmocka_unit_test(tells_values_apart_by_every_byte_and_by_length),
		cmocka_unit_test(leaves_nothing_of_a_longer_value_behind_a_shorter),
		cmocka_unit_test(knows_its_own_pointers),
		cmocka_unit_test(holds_a_hundred_thousand_different_values),
		cmocka_unit_test(is_nothing_without_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
