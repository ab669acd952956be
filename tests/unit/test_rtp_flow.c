/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* The flow table, against a plain array. */
#include "rtp_help.h"

#include "rtp/flow.h"

#define FLOWS 3000

static struct endpoint far(unsigned n)
{
	struct endpoint e;
	uint8_t addr[16] = { 0x20, 1, 0xd, 0xb8, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n };
	endpoint_set_v6(&e, addr, (uint16_t)(5000 + n % 7));
	return e;
}

static uint32_t find(const struct flow_table *t, const struct endpoint *src,
		     const struct endpoint *dst)
{
	return flow_find(t, flow_hash(t, src, dst), src, dst);
}

static void finds_what_was_added_and_nothing_else(void **state)
{
	(void)state;
	static uint32_t number[FLOWS];
	struct flow_table t;
	const struct endpoint to = ep(1, 4000);
	seed_show("flow");
	assert_true(flow_table_init(&t, FLOWS));
	for (unsigned n = 0; n < FLOWS; n++)
		number[n] = NONE;
	for (int step = 0; step < 200000; step++) {
		unsigned n = rnd_below(FLOWS);
		struct endpoint from = far(n);
		assert_int_equal(find(&t, &from, &to), number[n]);
		assert_int_equal(find(&t, &to, &from), NONE);
		uint32_t guess = flow_guess(&t, flow_hash(&t, &from, &to));
		if (guess != NONE)
			assert_true(guess < t.used);
		if (rnd_below(5) == 0) /* fill slowly, empty slowly */
			continue;
		if (number[n] == NONE) {
			number[n] = flow_add(&t, &from, &to);
			assert_int_not_equal(number[n], NONE);
		} else if (rnd_below(3) == 0) {
			flow_remove(&t, number[n]);
			number[n] = NONE;
		}
	}
	for (unsigned n = 0; n < FLOWS; n++)
		if (number[n] != NONE)
			flow_remove(&t, number[n]);
	/* Nothing is left behind: a look-up stops at its home bucket. */
	for (unsigned b = 0; b < t.buckets_count; b++) {
		assert_int_equal(t.buckets[b].passed, 0);
		for (int i = 0; i < FLOW_BUCKET; i++)
			assert_int_equal(t.buckets[b].tags[i], 0);
	}
	flow_table_release(&t);
}

static void takes_as_many_as_it_was_made_for(void **state)
{
	(void)state;
	struct flow_table t;
	const struct endpoint to = ep(1, 4000);
	struct endpoint from = { .port = 0 };
	assert_true(flow_table_init(&t, 100));
	for (unsigned n = 0; n < 100; n++) {
		from = far(n);
		assert_int_not_equal(flow_add(&t, &from, &to), NONE);
	}
	from = far(100);
	assert_int_equal(flow_add(&t, &from, &to), NONE);
	assert_int_equal(find(&t, &from, &to), NONE);
	from = far(7);
	uint32_t seven = find(&t, &from, &to);
	flow_remove(&t, seven);
	from = far(100);
	assert_int_equal(flow_add(&t, &from, &to), seven);
	flow_table_release(&t);
}

static void full_buckets_pass_on(void **state)
{
	(void)state;
	struct flow_table t;
	const struct endpoint to = ep(1, 4000);
	assert_true(flow_table_init(&t, 2000));
	t.buckets_count = 512; /* room for 3584: some buckets overflow */
	for (unsigned n = 0; n < 2000; n++) {
		struct endpoint from = far(n);
		assert_int_not_equal(flow_add(&t, &from, &to), NONE);
	}
	uint64_t passed = 0;
	for (unsigned b = 0; b < 512; b++)
		passed += t.buckets[b].passed;
	assert_true(passed > 0);
	for (unsigned n = 0; n < 2000; n++) {
		struct endpoint from = far(n);
		assert_int_equal(find(&t, &from, &to), n);
	}
	t.buckets_count = hash_size(2000 * 2 / FLOW_BUCKET + 1);
	flow_table_release(&t);
}

static void lists_of_flows_hold_together(void **state)
{
	(void)state;
	struct flow_table t;
	const struct endpoint to = ep(1, 4000);
	uint32_t head = NONE, n[3];
	assert_true(flow_table_init(&t, 8));
	for (unsigned i = 0; i < 3; i++) {
		struct endpoint from = far(i);
		n[i] = flow_add(&t, &from, &to);
		flow_link(&t, n[i], &head);
	}
	flow_unlink(&t, n[1], &head);
	assert_int_equal(head, n[2]);
	assert_int_equal(t.links[n[2]].next, n[0]);
	flow_unlink(&t, n[2], &head);
	assert_int_equal(head, n[0]);
	flow_unlink(&t, n[0], &head);
	assert_int_equal(head, NONE);
	flow_table_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_added_and_nothing_else),
		cmocka_unit_test(takes_as_many_as_it_was_made_for),
		cmocka_unit_test(full_buckets_pass_on),
		cmocka_unit_test(lists_of_flows_hold_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
