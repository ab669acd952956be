/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Pools: what comes back is given first, nothing beyond the count, no page touched early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/pool.h"

static void gives_the_buffer_used_last_first(void **state)
{
	(void)state;
	struct pool *p = pool_new(100, 3);
	void *a = pool_get(p), *b = pool_get(p);

	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	assert_int_equal((uintptr_t)a % 64, 0);
	assert_int_equal((uintptr_t)b % 64, 0);
	pool_put(p, a);
	pool_put(p, b);
	assert_ptr_equal(pool_get(p), b);
	assert_ptr_equal(pool_get(p), a);
	pool_put(p, a);
	pool_put(p, b);
	pool_put(p, NULL);
	assert_int_equal(pool_left(p), 3);
	pool_free(p);
}

static void gives_null_when_none_is_left(void **state)
{
	(void)state;
	struct pool *p = pool_new(64, 2);
	void *a = pool_get(p), *b = pool_get(p);

	assert_int_equal(pool_left(p), 0);
	assert_null(pool_get(p));
	pool_put(p, a);
	assert_int_equal(pool_left(p), 1);
	assert_ptr_equal(pool_get(p), a);
	assert_null(pool_get(p));
	assert_int_equal(pool_most_used(p), 2);
	pool_put(p, a);
	pool_put(p, b);
	pool_free(p);
}

static void items_do_not_overlap(void **state)
{
	(void)state;
	enum { COUNT = 50, SIZE = 130 };
	struct pool *p = pool_new(SIZE, COUNT);
	uint8_t *items[COUNT];

	for (int i = 0; i < COUNT; i++) {
		items[i] = pool_get(p);
		assert_non_null(items[i]);
		memset(items[i], i, SIZE);
	}
	for (int i = 0; i < COUNT; i++)
		for (int k = 0; k < SIZE; k++)
			assert_int_equal(items[i][k], i);
	for (int i = 0; i < COUNT; i++)
		pool_put(p, items[i]);
	pool_free(p);
}

static void counts_the_most_that_were_ever_out(void **state)
{
	(void)state;
	struct pool *p = pool_new(64, 10);
	void *items[4];

	assert_int_equal(pool_most_used(p), 0);
	for (int i = 0; i < 4; i++)
		items[i] = pool_get(p);
	for (int i = 0; i < 4; i++)
		pool_put(p, items[i]);
	for (int i = 0; i < 3; i++)
		items[i] = pool_get(p);
	assert_int_equal(pool_most_used(p), 4);
	pool_free(p);
}

static void a_large_pool_costs_only_what_was_used(void **state)
{
	(void)state;
	/* Eight times 2 MiB: pages of any size are whole items apart. */
	enum { ITEM = 2 << 20, COUNT = 4096 };
	struct pool *p = pool_new(ITEM, COUNT);
	uint8_t *first = pool_get(p), *second = pool_get(p);
	unsigned char resident[1];
	long page = sysconf(_SC_PAGESIZE);

	first[0] = 1;
	second[0] = 1;
	pool_put(p, first); /* the free list must not touch what lies on it */
	assert_int_equal(mincore(second, (size_t)page, resident), 0);
	assert_int_equal(resident[0] & 1, 1);
	assert_int_equal(mincore(second + 4 * (size_t)ITEM, (size_t)page, resident), 0);
	assert_int_equal(resident[0] & 1, 0);
	pool_put(p, second);
	pool_free(p);
}

static void refuses_sizes_that_cannot_be(void **state)
{
	(void)state;
	assert_null(pool_new(0, 1));
	assert_null(pool_new(1, 0));
	assert_null(pool_new(SIZE_MAX, 2));
	assert_null(pool_new(SIZE_MAX / 4, 1000));
	pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_the_buffer_used_last_first),
		cmocka_unit_test(gives_null_when_none_is_left),
		cmocka_unit_test(items_do_not_overlap),
		cmocka_unit_test(counts_the_most_that_were_ever_out),
		cmocka_unit_test(a_large_pool_costs_only_what_was_used),
		cmocka_unit_test(refuses_sizes_that_cannot_be),
	};
	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
