/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Extended sequence numbers, duplicates and loss. */
#include "rtp_help.h"

#include "rtp/sequence.h"

struct run {
	struct numbering now;
	struct sequence_past past;
	uint64_t distinct, last;
};

static struct run run_from(uint16_t first)
{
	struct run r;
	memset(&r, 0, sizeof r);
	sequence_begin(&r.now, first);
	return r;
}

static enum sequence_verdict note(struct run *r, unsigned number)
{
	enum sequence_verdict v =
		sequence_next(&r->now, (uint16_t)number, &r->last)
			? SEQUENCE_AHEAD
			: sequence_note(&r->now, &r->past, (uint16_t)number, &r->last);
	if (v != SEQUENCE_DUPLICATE)
		r->distinct++;
	return v;
}

static uint64_t lost(const struct run *r)
{
	return sequence_expected(&r->now, &r->past) - r->distinct;
}

static void the_first_packet_has_one_cycle(void **state)
{
	(void)state;
	struct run r = run_from(0);
	assert_int_equal(note(&r, 0), SEQUENCE_AHEAD);
	assert_int_equal(r.last, 0x10000);
	assert_int_equal(note(&r, 65535), SEQUENCE_REORDERED);
	assert_int_equal(r.last, 0xffff);
	assert_int_equal(lost(&r), 0);
}

static void wraps_into_the_next_cycle(void **state)
{
	(void)state;
	struct run r = run_from(65534);
	for (unsigned n = 65534; n < 65534 + 4; n++)
		assert_int_equal(note(&r, n), SEQUENCE_AHEAD);
	assert_int_equal(r.last, 0x20001);
	assert_int_equal(note(&r, 65535), SEQUENCE_DUPLICATE);
	assert_int_equal(lost(&r), 0);
}

static void knows_duplicates_within_the_window(void **state)
{
	(void)state;
	struct run r = run_from(1000);
	for (unsigned n = 0; n < 300; n++)
		if (n != 250)
			(void)note(&r, 1000 + n);
	for (unsigned back = 0; back < 128; back++)
		assert_int_equal(note(&r, 1299 - back),
				 back == 49 ? SEQUENCE_REORDERED : SEQUENCE_DUPLICATE);
	assert_int_equal(lost(&r), 0);
}

static void a_gap_is_lost_and_may_be_filled(void **state)
{
	(void)state;
	for (unsigned gap = 1; gap < 2999; gap = gap * 2 + 1) {
		struct run r = run_from(7);
		(void)note(&r, 7);
		assert_int_equal(note(&r, 8 + gap), SEQUENCE_GAP);
		assert_int_equal(lost(&r), gap);
		assert_int_equal(note(&r, 8 + gap), SEQUENCE_DUPLICATE);
		assert_int_equal(note(&r, 7 + gap), SEQUENCE_REORDERED);
		assert_int_equal(lost(&r), gap - 1);
	}
}

static void an_earlier_first_packet_lowers_the_start(void **state)
{
	(void)state;
	struct run r = run_from(10);
	(void)note(&r, 10);
	assert_int_equal(note(&r, 8), SEQUENCE_REORDERED);
	assert_int_equal(lost(&r), 1);
	assert_int_equal(note(&r, 9), SEQUENCE_REORDERED);
	assert_int_equal(lost(&r), 0);
}

static void a_jump_is_not_a_loss_and_numbers_never_fall(void **state)
{
	(void)state;
	struct run r = run_from(40000);
	for (unsigned n = 0; n < 500; n++)
		(void)note(&r, 40000 + n);
	uint64_t before = r.last;
	assert_int_equal(note(&r, 100), SEQUENCE_RESTART);
	assert_true(r.last > before);
	assert_int_equal((uint16_t)r.last, 100);
	assert_int_equal(note(&r, 102), SEQUENCE_GAP);
	assert_int_equal(lost(&r), 1);
}

static void stragglers_of_the_numbering_before_are_known(void **state)
{
	(void)state;
	struct run r = run_from(40000);
	for (unsigned n = 0; n < 500; n++)
		if (n != 497)
			(void)note(&r, 40000 + n);
	(void)note(&r, 100);
	assert_int_equal(note(&r, 40499), SEQUENCE_DUPLICATE);
	assert_int_equal(note(&r, 100), SEQUENCE_DUPLICATE);
	assert_int_equal(note(&r, 40497), SEQUENCE_REORDERED);
	assert_int_equal(note(&r, 101), SEQUENCE_AHEAD);
	assert_int_equal(lost(&r), 0);
	for (unsigned n = 102; n < 400; n++)
		(void)note(&r, n);
	assert_int_equal(note(&r, 40499), SEQUENCE_RESTART); /* by now it is something new */
}

static void one_stray_packet_does_not_tear_the_stream(void **state)
{
	(void)state;
	struct run r = run_from(1000);
	for (unsigned n = 0; n < 200; n++)
		(void)note(&r, 1000 + n);
	assert_int_equal(note(&r, 30000), SEQUENCE_RESTART);
	assert_int_equal(note(&r, 1200), SEQUENCE_RESTART);
	assert_int_equal(r.last, 0x10000 + 1200);
	assert_int_equal(note(&r, 1199), SEQUENCE_DUPLICATE);
	assert_int_equal(note(&r, 1201), SEQUENCE_AHEAD);
	assert_int_equal(lost(&r), 0);
}

static void undoing_the_last_packets_leaves_the_figures_before_them(void **state)
{
	(void)state;
	struct run r = run_from(1000), before;
	for (unsigned n = 0; n < 100; n++)
		if (n == 0 || n % 7)
			(void)note(&r, 1000 + n);
	before = r;
	(void)note(&r, 1105);
	(void)note(&r, 1103);
	(void)note(&r, 1098); /* filled too late: a loss after all */
	sequence_undo(&r.now, 1105);
	sequence_undo(&r.now, 1103);
	sequence_undo(&r.now, 1098);
	sequence_settle(&r.now);
	assert_int_equal(r.now.max, before.now.max);
	assert_int_equal(r.now.min, before.now.min);
}

/* Against a plain model: a set of all numbers seen. */
static void agrees_with_a_set_on_random_loss_and_reordering(void **state)
{
	(void)state;
	seed_show("sequence");
	for (int round = 0; round < 50; round++) {
		static uint8_t seen[400000];
		unsigned first = rnd_below(65536), base = 100000, max = base, min = base;
		uint64_t distinct = 1;
		struct run r = run_from((uint16_t)first);
		memset(seen, 0, sizeof seen);
		(void)note(&r, first);
		seen[base] = 1;
		for (unsigned n = base + 1; n < base + 3000; n++) {
			unsigned at = n - rnd_below(20) + rnd_below(20);
			if (at + 100 < max || rnd_below(4) == 0)
				continue;
			enum sequence_verdict v = note(&r, first + at - base);
			if (seen[at]) {
				assert_int_equal(v, SEQUENCE_DUPLICATE);
				continue;
			}
			assert_int_equal(v, at > max + 1 ? SEQUENCE_GAP
					    : at > max   ? SEQUENCE_AHEAD
							 : SEQUENCE_REORDERED);
			assert_int_equal(r.last, 0x10000 + first + at - base);
			seen[at] = 1;
			distinct++;
			max = at > max ? at : max;
			min = at < min ? at : min;
		}
		assert_int_equal(lost(&r), max - min + 1 - distinct);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_packet_has_one_cycle),
		cmocka_unit_test(wraps_into_the_next_cycle),
		cmocka_unit_test(knows_duplicates_within_the_window),
		cmocka_unit_test(a_gap_is_lost_and_may_be_filled),
		cmocka_unit_test(an_earlier_first_packet_lowers_the_start),
		cmocka_unit_test(a_jump_is_not_a_loss_and_numbers_never_fall),
		cmocka_unit_test(stragglers_of_the_numbering_before_are_known),
		cmocka_unit_test(one_stray_packet_does_not_tear_the_stream),
		cmocka_unit_test(undoing_the_last_packets_leaves_the_figures_before_them),
		cmocka_unit_test(agrees_with_a_set_on_random_loss_and_reordering),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
