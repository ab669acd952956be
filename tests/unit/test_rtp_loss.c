/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Runs of numbers that never came. */
#include "rtp_help.h"

#include "rtp/loss.h"
#include "rtp/sequence.h"

struct run {
	struct numbering now;
	struct sequence_past past;
	struct loss loss;
	uint64_t distinct;
};

static struct run run_from(uint16_t first)
{
	struct run r = { 0 };
	sequence_begin(&r.now, first);
	loss_begin(&r.loss, r.now.min);
	return r;
}

/* As a stream does. */
static void note(struct run *r, unsigned number)
{
	uint64_t before = r->now.max, extended;
	if (sequence_next(&r->now, (uint16_t)number, &extended)) {
		r->distinct++;
		return;
	}
	switch (sequence_note(&r->now, &r->past, (uint16_t)number, &extended)) {
	case SEQUENCE_GAP: loss_gap(&r->loss, extended, extended - before); break;
	case SEQUENCE_REORDERED: loss_late(&r->loss, extended); break;
	case SEQUENCE_RESTART: loss_begin(&r->loss, extended); break;
	case SEQUENCE_DUPLICATE: return;
	case SEQUENCE_AHEAD: break;
	}
	r->distinct++;
}

static void gaps_are_runs(void **state)
{
	(void)state;
	struct run r = run_from(1);
	const unsigned came[] = { 1, 2, 6, 9, 10, 20 };
	for (size_t i = 0; i < sizeof came / sizeof came[0]; i++)
		note(&r, came[i]);
	assert_int_equal(loss_runs(&r.loss), 3);
	assert_int_equal(loss_longest(&r.loss), 9);
}

static void a_late_packet_closes_or_divides_a_run(void **state)
{
	(void)state;
	struct run r = run_from(1);
	note(&r, 1);
	note(&r, 7); /* 2 to 6 */
	note(&r, 4);
	assert_int_equal(loss_runs(&r.loss), 2);
	assert_int_equal(loss_longest(&r.loss), 2);
	note(&r, 2);
	note(&r, 3);
	assert_int_equal(loss_runs(&r.loss), 1);
	note(&r, 6);
	note(&r, 5);
	assert_int_equal(loss_runs(&r.loss), 0);
	assert_int_equal(loss_longest(&r.loss), 0);
}

static void what_came_before_the_first_leaves_a_gap_too(void **state)
{
	(void)state;
	struct run r = run_from(10);
	note(&r, 10);
	note(&r, 6);
	assert_int_equal(loss_runs(&r.loss), 1);
	assert_int_equal(loss_longest(&r.loss), 3);
	note(&r, 8);
	assert_int_equal(loss_runs(&r.loss), 2);
}

static void a_jump_is_no_loss(void **state)
{
	(void)state;
	struct run r = run_from(10);
	for (unsigned n = 10; n < 300; n++)
		note(&r, n);
	note(&r, 40000);
	note(&r, 40002);
	assert_int_equal(loss_runs(&r.loss), 1);
	assert_int_equal(loss_longest(&r.loss), 1);
}

static void what_is_cut_leaves_no_gap(void **state)
{
	(void)state;
	struct run r = run_from(10);
	note(&r, 10);
	note(&r, 12);
	note(&r, 20);
	loss_cut(&r.loss, r.now.max - 8);
	assert_int_equal(loss_runs(&r.loss), 1);
	assert_int_equal(loss_longest(&r.loss), 1);
}

/* Against a plain model, with packets up to 6 places late: exact. */
static void agrees_with_a_set_on_random_loss_and_reordering(void **state)
{
	(void)state;
	seed_show("loss");
	for (int round = 0; round < 50; round++) {
		enum { N = 2000 };
		static uint8_t came[N];
		struct run r = run_from((uint16_t)rnd());
		uint16_t first = (uint16_t)r.now.min;
		unsigned late[N] = { 0 }, share = 2 + rnd_below(20);
		memset(came, 0, sizeof came);
		for (unsigned n = 0; n < N; n++)
			late[n] = rnd_below(10) == 0 ? 1 + rnd_below(6) : 0;
		for (unsigned now = 0; now < N + 8; now++)
			for (unsigned n = now < 8 ? 0 : now - 8; n <= now && n < N; n++) {
				bool lost = n > 8 && n < N - 8 && n * 2654435761u % share == 0;
				if (n + late[n] != now || lost)
					continue;
				note(&r, first + n);
				came[n] = 1;
			}
		uint64_t runs = 0, longest = 0, length = 0, lost = 0;
		for (unsigned n = 0; n < N; n++) {
			length = came[n] ? 0 : length + 1;
			runs += length == 1;
			lost += length > 0;
			longest = length > longest ? length : longest;
		}
		assert_int_equal(sequence_expected(&r.now, &r.past) - r.distinct, lost);
		assert_int_equal(loss_runs(&r.loss), runs);
		assert_int_equal(loss_longest(&r.loss), longest);
	}
}

static void a_stream_tells_of_its_runs(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 1, T0);
	rig_expect(r, 1, t.dst, TRACK_CALLER, T0);
	for (int i = 0; i < 300; i++) {
		if (i % 100 >= 10 && i % 100 < 10 + i / 40)
			talk_lost(&t);
		else
			(void)talk(r, &t);
	}
	rig_forget(r, 1, INT64_MAX - 1);
	const struct stream_record *s = record(r, 0);
	assert_int_equal(s->lost, 2 + 5);
	assert_int_equal(s->loss_runs, 2);
	assert_int_equal(s->loss_longest, 5);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gaps_are_runs),
		cmocka_unit_test(a_late_packet_closes_or_divides_a_run),
		cmocka_unit_test(what_came_before_the_first_leaves_a_gap_too),
		cmocka_unit_test(a_jump_is_no_loss),
		cmocka_unit_test(what_is_cut_leaves_no_gap),
		cmocka_unit_test(agrees_with_a_set_on_random_loss_and_reordering),
		cmocka_unit_test(a_stream_tells_of_its_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
