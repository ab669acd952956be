/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* In which order signalling takes what capture threads send: by time, and dialogs first when it is behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "recorder/intake.h"

#define THREADS 2
#define LEN     400 /* bytes of a message */

static struct intake intakes[THREADS];

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_true(intake_init(&intakes[i], THREADS));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < THREADS; i++)
		intake_release(&intakes[i]);
	memset(intakes, 0, sizeof intakes);
	return 0;
}

static bool send(struct ring *r, int64_t ts_ns)
{
	struct message head = { .kind = MESSAGE_SIP };
	struct sip_message_head h = { .ts_ns = ts_ns, .len = LEN };
	uint8_t *room = ring_reserve(r, sizeof head + sizeof h + LEN);
	if (!room)
		return false;
	memcpy(room, &head, sizeof head);
	memcpy(room + sizeof head, &h, sizeof h);
	ring_commit(r);
	return true;
}

/* The time of the next message, with the ring it came from; -1: none. */
static int64_t take(int64_t until_ns, struct ring **from)
{
	const void *m = intake_next(intakes, THREADS, until_ns, from);
	if (!m)
		return -1;
	const struct sip_message_head *h = message_body(m);
	int64_t ts_ns = h->ts_ns;
	ring_pop(*from);
	return ts_ns;
}

static void messages_come_in_the_order_of_their_times(void **state)
{
	(void)state;
	struct ring *from;
	assert_true(send(intakes[0].dialogs, 30));
	assert_true(send(intakes[0].dialogs, 60));
	assert_true(send(intakes[0].rest, 20));
	assert_true(send(intakes[0].rest, 50));
	assert_true(send(intakes[1].dialogs, 10));
	assert_true(send(intakes[1].rest, 40));
	for (int64_t ts = 10; ts <= 60; ts += 10)
		assert_int_equal(take(INT64_MAX, &from), ts);
	assert_int_equal(take(INT64_MAX, &from), -1);
}

static void nothing_younger_than_the_slowest_thread_is_taken(void **state)
{
	(void)state;
	struct ring *from;
	assert_true(send(intakes[0].dialogs, 30));
	assert_true(send(intakes[1].rest, 20));
	assert_int_equal(take(19, &from), -1);
	assert_int_equal(take(29, &from), 20);
	assert_int_equal(take(29, &from), -1);
	assert_int_equal(take(30, &from), 30);
}

/* Fill one ring beside the dialogs' until it takes no more; gives how many it took. */
static int flood(struct ring *r, int64_t ts_ns)
{
	int n = 0;
	while (send(r, ts_ns + n))
		n++;
	return n;
}

static void dialogs_wait_for_no_flood(void **state)
{
	(void)state;
	struct ring *from;
	int sent = flood(intakes[1].rest, 1);
	assert_true(sent > 5000);
	/* Younger than all of the flood, and on another thread. */
	for (int i = 0; i < 100; i++)
		assert_true(send(intakes[0].dialogs, 1000000 + i));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(take(INT64_MAX, &from), 1000000 + i);
		assert_ptr_equal(from, intakes[0].dialogs);
	}
	/* Down to one half the flood goes on behind; from there by time again. */
	assert_true(send(intakes[0].dialogs, 2000000));
	assert_int_equal(take(INT64_MAX, &from), 2000000);
	int taken = 0;
	while (ring_used(intakes[1].rest) > INTAKE_REST_BYTES / 2) {
		assert_int_equal(take(INT64_MAX, &from), ++taken);
		assert_ptr_equal(from, intakes[1].rest);
	}
	assert_true(send(intakes[0].dialogs, 3000000));
	while (taken < sent)
		assert_int_equal(take(INT64_MAX, &from), ++taken);
	assert_int_equal(take(INT64_MAX, &from), 3000000);
	assert_int_equal(take(INT64_MAX, &from), -1);
}

static void flood_is_taken_where_dialogs_are_too_young(void **state)
{
	(void)state;
	struct ring *from;
	assert_true(flood(intakes[0].rest, 1) > 0);
	assert_true(send(intakes[0].dialogs, 1000000));
	assert_int_equal(take(500000, &from), 1);
	assert_int_equal(take(500000, &from), 2);
	assert_int_equal(take(1000000, &from), 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_come_in_the_order_of_their_times, setup,
						teardown),
		cmocka_unit_test_setup_teardown(nothing_younger_than_the_slowest_thread_is_taken,
						setup, teardown),
		cmocka_unit_test_setup_teardown(dialogs_wait_for_no_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(flood_is_taken_where_dialogs_are_too_young, setup,
						teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
