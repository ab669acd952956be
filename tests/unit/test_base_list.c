/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Short lists, whose first element may stand in their owner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct owner {
	uint32_t count;
	uint64_t *list;
	uint64_t first;
};

static void add(struct owner *o, uint64_t value)
{
	o->list = list_room_after(&o->first, o->list, o->count, sizeof *o->list);
	o->list[o->count++] = value;
}

static void assert_holds(const struct owner *o, uint32_t count)
{
	assert_int_equal(o->count, count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(o->list[i], 100 + i);
}

static void the_first_stands_in_the_owner_and_more_elsewhere(void **state)
{
	(void)state;
	struct owner o = { 0 };
	for (uint32_t i = 0; i < 40; i++) {
		add(&o, 100 + i);
		assert_holds(&o, i + 1);
		assert_int_equal(o.list == &o.first, i == 0);
	}
	list_free(&o.first, o.list);
}

static void what_was_shortened_grows_again(void **state)
{
	(void)state;
	for (uint32_t most = 0; most < 10; most++)
		for (uint32_t least = 0; least <= most; least++) {
			struct owner o = { 0 };
			for (uint32_t i = 0; i < most; i++)
				add(&o, 100 + i);
			o.count = least;
			for (uint32_t i = least; i < 20; i++) {
				add(&o, 100 + i);
				assert_holds(&o, i + 1);
			}
			list_free(&o.first, o.list);
		}
}

static void nothing_is_freed_where_nothing_was(void **state)
{
	(void)state;
	struct owner o = { 0 };
	list_free(&o.first, o.list);
	add(&o, 100);
	list_free(&o.first, o.list);
	assert_holds(&o, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_stands_in_the_owner_and_more_elsewhere),
		cmocka_unit_test(what_was_shortened_grows_again),
		cmocka_unit_test(nothing_is_freed_where_nothing_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
