/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* The outbox: messages keep their order and none is lost, however full the ring is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "recorder/messages.h"

struct numbered {
	uint64_t number;
	uint8_t filling[200];
};

static uint64_t take_all(struct ring *r, uint64_t expected)
{
	const void *m;
	size_t n;
	while ((m = ring_front(r, &n))) {
		const struct message *head = m;
		const struct numbered *body = message_body(m);
		assert_int_equal(head->kind, MESSAGE_DONE);
		assert_int_equal(n, sizeof *head + sizeof *body);
		assert_int_equal(body->number, expected);
		expected++;
		ring_pop(r);
	}
	return expected;
}

static void outbox_keeps_order_when_the_ring_is_full(void **state)
{
	(void)state;
	struct ring *r = ring_new(4096);
	struct outbox o = { .ring = r };
	uint64_t next = 0;

	for (uint64_t i = 0; i < 1000; i++) {
		struct numbered m = { .number = i };
		outbox_put(&o, MESSAGE_DONE, &m, sizeof m);
	}
	assert_non_null(o.first);
	while (next < 1000) {
		uint64_t before = next;
		next = take_all(r, next);
		assert_true(next > before);
		outbox_flush(&o);
	}
	assert_null(o.first);
	assert_true(outbox_flush(&o));
	ring_free(r);
}

static void outbox_offer_refuses_while_older_messages_wait(void **state)
{
	(void)state;
	struct ring *r = ring_new(1024);
	struct outbox o = { .ring = r };
	struct numbered m = { .number = 0 };

	while (outbox_offer(&o, MESSAGE_DONE, &m, sizeof m))
		m.number++;
	uint64_t in_ring = m.number;
	assert_true(in_ring >= 2);
	outbox_put(&o, MESSAGE_DONE, &m, sizeof m);
	m.number++;
	/* One place is free again: it belongs to the one that waits, not to the newcomer. */
	size_t n;
	assert_non_null(ring_front(r, &n));
	ring_pop(r);
	if (outbox_offer(&o, MESSAGE_DONE, &m, sizeof m))
		m.number++;
	uint64_t seen = take_all(r, 1);
	outbox_flush(&o);
	seen = take_all(r, seen);
	assert_int_equal(seen, m.number);
	outbox_clear(&o);
	ring_free(r);
}

static void outbox_clear_frees_what_waits(void **state)
{
	(void)state;
	struct ring *r = ring_new(1024);
	struct outbox o = { .ring = r };
	struct numbered m = { .number = 0 };
	for (int i = 0; i < 100; i++)
		outbox_put(&o, MESSAGE_DONE, &m, sizeof m);
	outbox_clear(&o);
	assert_null(o.first);
	assert_null(o.last);
	ring_free(r);
}

static void signalling_message_carries_its_bytes(void **state)
{
	static const char text[] = "OPTIONS sip:a@b SIP/2.0\r\n\r\n";
	const struct signalling_record r = {
		.ts_us = 7, .transport = 6, .len = sizeof text, .bytes = (const uint8_t *)text
	};
	(void)state;
	struct ring *ring = ring_new(4096);
	struct outbox o = { .ring = ring };
	unsigned sent = 100, seen = 0;

	for (unsigned i = 0; i < sent; i++)
		outbox_put_signalling(&o, i, &r);
	assert_non_null(o.first);
	do {
		const struct message *head;
		size_t n;
		while ((head = ring_front(ring, &n))) {
			const struct signalling_message *m = message_body(head);
			assert_int_equal(head->kind, MESSAGE_SIGNALLING);
			assert_int_equal(n, sizeof *head + sizeof *m + sizeof text);
			assert_int_equal(m->call, seen++);
			assert_int_equal(m->record.len, sizeof text);
			assert_memory_equal(m + 1, text, sizeof text);
			ring_pop(ring);
		}
	} while (!outbox_flush(&o) || seen < sent);
	ring_free(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outbox_keeps_order_when_the_ring_is_full),
		cmocka_unit_test(outbox_offer_refuses_while_older_messages_wait),
		cmocka_unit_test(outbox_clear_frees_what_waits),
		cmocka_unit_test(signalling_message_carries_its_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
