/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Hash tables, against a plain array that does the same slowly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/table.h"

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void finds_what_was_put_and_replaces(void **state)
{
	(void)state;
	struct table *t = table_new(3, 10);
	uint64_t a[3] = { 1, 2, 3 }, b[3] = { 1, 2, 4 }, zero[3] = { 0, 0, 0 };

	assert_int_equal(table_find(t, a), TABLE_NONE);
	assert_true(table_put(t, a, 7));
	assert_true(table_put(t, zero, 0));
	assert_int_equal(table_find(t, a), 7);
	assert_int_equal(table_find(t, b), TABLE_NONE);
	assert_int_equal(table_find(t, zero), 0);
	assert_true(table_put(t, a, 8));
	assert_int_equal(table_find(t, a), 8);
	assert_int_equal(table_count(t), 2);
	assert_int_equal(table_remove(t, a), 8);
	assert_int_equal(table_remove(t, a), TABLE_NONE);
	assert_int_equal(table_count(t), 1);
	table_prefetch(t, a);
	table_free(t);
}

static void is_bounded(void **state)
{
	(void)state;
	struct table *t = table_new(1, 5);

	for (uint64_t k = 0; k < 5; k++)
		assert_true(table_put(t, &k, (uint32_t)k));
	uint64_t sixth = 99;
	assert_false(table_put(t, &sixth, 1));
	for (uint64_t k = 0; k < 5; k++) {
		assert_int_equal(table_find(t, &k), k);
		assert_true(table_put(t, &k, (uint32_t)k + 10)); /* replacing needs no room */
	}
	uint64_t first = 0;
	assert_int_equal(table_remove(t, &first), 10);
	assert_true(table_put(t, &sixth, 1));
	table_free(t);
	assert_null(table_new(0, 1));
	assert_null(table_new(1, 0));
	table_free(NULL);
}

/* Few keys, many puts and removes on a full table: clusters form and are shifted all the time. */
static void agrees_with_an_array_after_a_million_changes(void **state)
{
	(void)state;
	enum { KEYS = 48 };
	for (unsigned words = 1; words <= 5; words++) {
		struct table *t = table_new(words, KEYS);
		uint32_t truth[KEYS];
		uint64_t x = 1234567 + words;
		unsigned wrong = 0;
		memset(truth, 0xff, sizeof truth);
		for (int step = 0; step < 200000; step++) {
			uint64_t r = next_random(&x);
			unsigned k = (unsigned)(r % KEYS);
			uint64_t key[5] = { 77, 77, 77, 77, 77 };
			key[words - 1] = k;
			if (r >> 32 & 1) {
				truth[k] = (uint32_t)(r >> 40);
				wrong += !table_put(t, key, truth[k]);
			} else {
				wrong += table_remove(t, key) != truth[k];
				truth[k] = TABLE_NONE;
			}
			k = (unsigned)(r >> 16) % KEYS;
			key[words - 1] = k;
			wrong += table_find(t, key) != truth[k];
		}
		assert_int_equal(wrong, 0);
		table_free(t);
	}
}

static void holds_many_endpoints_that_differ_in_few_bits(void **state)
{
	(void)state;
	enum { COUNT = 100000 };
	struct table *t = table_new(3, COUNT);
	unsigned wrong = 0;

	/* Ports counting up on one host: the keys that telephony really has. */
	for (uint32_t i = 0; i < COUNT; i++) {
		uint64_t key[3] = { 0, UINT64_C(0x0100007fffff0000) + (i >> 16), i & 0xffff };
		assert_true(table_put(t, key, i));
	}
	for (uint32_t i = 0; i < COUNT; i++) {
		uint64_t key[3] = { 0, UINT64_C(0x0100007fffff0000) + (i >> 16), i & 0xffff };
		wrong += table_find(t, key) != i;
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(table_count(t), COUNT);
	table_free(t);
}

static void digest_tells_lengths_and_bytes_apart(void **state)
{
	(void)state;
	struct table *t = table_new(2, 4), *other = table_new(2, 4);
	enum { LONGEST = 70 };
	static uint8_t zeros[LONGEST];
	uint64_t d[LONGEST + 1][2], again[2], changed[2];

	/* Any number of zeros, each its own digest: padding is not mistaken for content. */
	for (size_t n = 0; n <= LONGEST; n++) {
		table_digest(t, zeros, n, d[n]);
		for (size_t m = 0; m < n; m++)
			assert_memory_not_equal(d[n], d[m], sizeof d[n]);
	}
	table_digest(t, zeros, 33, again);
	assert_memory_equal(again, d[33], sizeof again);
	for (size_t bit = 0; bit < 33 * 8; bit++) {
		zeros[bit / 8] ^= (uint8_t)(1u << bit % 8);
		table_digest(t, zeros, 33, changed);
		zeros[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_memory_not_equal(changed, d[33], sizeof changed);
	}
	table_digest(other, zeros, 33, again);
	assert_memory_not_equal(again, d[33], sizeof again); /* keyed */
	table_free(t);
	table_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_put_and_replaces),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(agrees_with_an_array_after_a_million_changes),
		cmocka_unit_test(holds_many_endpoints_that_differ_in_few_bits),
		cmocka_unit_test(digest_tells_lengths_and_bytes_apart),
	};
	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
