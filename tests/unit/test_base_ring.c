/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Rings: order, wrap, limits, and two threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/ring.h"

static void gives_messages_back_in_order_and_aligned(void **state)
{
	(void)state;
	struct ring *r = ring_new(4096);
	size_t n;

	assert_null(ring_front(r, &n));
	assert_true(ring_put(r, "one", 3));
	assert_true(ring_put(r, NULL, 0));
	assert_true(ring_put(r, "three", 5));
	assert_int_equal(ring_used(r), 16 + 8 + 16);

	const void *p = ring_front(r, &n);
	assert_int_equal(n, 3);
	assert_memory_equal(p, "one", 3);
	assert_int_equal((uintptr_t)p % 8, 0);
	assert_ptr_equal(p, ring_front(r, &n)); /* looking does not take */
	ring_pop(r);
	assert_non_null(ring_front(r, &n));
	assert_int_equal(n, 0);
	ring_pop(r);
	p = ring_front(r, &n);
	assert_int_equal(n, 5);
	assert_memory_equal(p, "three", 5);
	ring_pop(r);
	assert_null(ring_front(r, &n));
	assert_int_equal(ring_used(r), 0);
	ring_free(r);
}

static void refuses_when_full_and_takes_again_when_popped(void **state)
{
	(void)state;
	struct ring *r = ring_new(4096);
	uint8_t message[504] = { 0 }; /* 512 with its header: eight fill the ring */
	size_t n;

	for (uint8_t i = 0; i < 8; i++) {
		message[0] = i;
		assert_true(ring_put(r, message, sizeof message));
	}
	assert_int_equal(ring_used(r), 4096);
	assert_false(ring_put(r, message, 0));
	assert_non_null(ring_front(r, &n));
	ring_pop(r);
	message[0] = 8;
	assert_true(ring_put(r, message, sizeof message));
	for (uint8_t i = 1; i <= 8; i++) {
		const uint8_t *p = ring_front(r, &n);
		assert_non_null(p);
		assert_int_equal(p[0], i);
		ring_pop(r);
	}
	ring_free(r);
}

static void holds_its_largest_message_at_every_position(void **state)
{
	(void)state;
	struct ring *r = ring_new(4096);
	static uint8_t large[2048 - 8];
	size_t n;

	for (unsigned start = 0; start < 600; start++) {
		assert_true(ring_put(r, "step by step", 8)); /* 16 bytes further each time */
		assert_non_null(ring_front(r, &n));
		ring_pop(r);
		memset(large, (int)(start & 0xff), sizeof large);
		assert_true(ring_put(r, large, sizeof large));
		const uint8_t *p = ring_front(r, &n);
		assert_int_equal(n, sizeof large);
		assert_memory_equal(p, large, sizeof large);
		ring_pop(r);
	}
	ring_free(r);
}

static void shows_nothing_before_commit_and_replaces_a_reservation(void **state)
{
	(void)state;
	struct ring *r = ring_new(4096);
	size_t n;
	char *room = ring_reserve(r, 100);

	assert_non_null(room);
	assert_null(ring_front(r, &n));
	room = ring_reserve(r, 4);
	memcpy(room, "kept", 4);
	ring_commit(r);
	const void *p = ring_front(r, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(p, "kept", 4);
	ring_pop(r);
	assert_null(ring_front(r, &n));
	ring_free(r);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MESSAGES 1000000
#else
#define MESSAGES 3000000
#endif

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Message i: a random size, filled with what the same generator gives. */
static size_t make_message(uint64_t *x, uint8_t *to)
{
	uint64_t v = next_random(x);
	size_t n = (v >> 32) % 16 == 0 ? (size_t)(v % 1500) : (size_t)(v % 64);

	memset(to, (int)(v >> 56), n);
	return n;
}

static void *produce(void *arg)
{
	struct ring *r = arg;
	uint64_t x = 88172645463325252u;
	uint8_t message[1500];

	for (unsigned i = 0; i < MESSAGES; i++) {
		size_t n = make_message(&x, message);
		while (!ring_put(r, message, n))
			sched_yield();
	}
	return NULL;
}

static void carries_millions_of_messages_between_two_threads(void **state)
{
	(void)state;
	struct ring *r = ring_new(16384);
	pthread_t producer;
	uint64_t x = 88172645463325252u;
	uint8_t expected[1500];
	unsigned wrong = 0;

	assert_int_equal(pthread_create(&producer, NULL, produce, r), 0);
	for (unsigned i = 0; i < MESSAGES; i++) {
		size_t n, expected_n = make_message(&x, expected);
		const void *p;
		while (!(p = ring_front(r, &n)))
			sched_yield();
		if (n != expected_n || memcmp(p, expected, n) != 0)
			wrong++;
		ring_pop(r);
	}
	assert_int_equal(pthread_join(producer, NULL), 0);
	assert_int_equal(wrong, 0);
	assert_int_equal(ring_used(r), 0);
	ring_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_messages_back_in_order_and_aligned),
		cmocka_unit_test(refuses_when_full_and_takes_again_when_popped),
		cmocka_unit_test(holds_its_largest_message_at_every_position),
		cmocka_unit_test(shows_nothing_before_commit_and_replaces_a_reservation),
		cmocka_unit_test(carries_millions_of_messages_between_two_threads),
	};
	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
