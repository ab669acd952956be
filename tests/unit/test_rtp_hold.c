/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_rtp_hold.c: calls that share a media port, and whose media outruns their signalling. */
#include "rtp/hold.h"
#include "rtp_help.h"

#define END (INT64_MAX - 1)

/* Call `n`: its caller at host n, port 4000; its callee, as all, at host 200, port 5000. */
static void expect_call(struct rig *r, uint8_t n, int64_t from_ns)
{
	rig_expect(r, n, ep(n, 4000), TRACK_CALLER, from_ns);
	rig_expect(r, n, ep(200, 5000), TRACK_CALLEE, from_ns);
}

static struct talker caller(uint8_t n, uint32_t ssrc, int64_t at_ns)
{
	return talker(ep(n, 4000), ep(200, 5000), ssrc, at_ns);
}

static void assert_one_stream(const struct rig *r, uint32_t packets, uint64_t call)
{
	uint32_t streams = 0;
	for (size_t i = 0; i < r->records_count; i++) {
		if (r->records[i].call != call)
			continue;
		streams++;
		assert_int_equal(r->records[i].packets, packets);
		assert_int_equal(r->records[i].foreign, 0);
		assert_int_equal(r->records[i].relay_copies, 0);
	}
	assert_int_equal(streams, 1);
}

/* All SSRCs different, or, as a test set plays one file in each call, the same. */
static void media_ahead_of_its_call_waits_beside_calls_at_the_same_port(void **state)
{
	(void)state;
	for (uint32_t same = 0; same < 2; same++) {
		struct rig *r = rig_new(rig_config());
		struct talker first = caller(1, 100, T0),
			      next = caller(2, same ? 100 : 101, T0 + 5 * MS);
		expect_call(r, 1, T0 - MS);
		for (int i = 0; i < 3; i++) {
			(void)talk(r, &first);
			assert_int_equal(talk(r, &next), MEDIA_UNKNOWN);
		}
		expect_call(r, 2, T0 + 4 * MS);
		for (int i = 0; i < 20; i++) {
			(void)talk(r, &first);
			assert_int_equal(talk(r, &next), MEDIA_TAKEN);
		}
		assert_int_equal(media_held(r->media), 0);
		rig_forget(r, 1, END);
		rig_forget(r, 2, END);
		assert_one_stream(r, 23, 1);
		assert_one_stream(r, 23, 2);
		assert_int_equal(r->remarks_count, 0);
		rig_free(r);
	}
}

/* A third call's answer names the port again: that says nothing of whose the flow is. */
static void an_answer_of_another_call_takes_nothing_from_there(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker first = caller(1, 100, T0), next = caller(3, 101, T0 + 5 * MS);
	expect_call(r, 1, T0 - MS);
	(void)talk(r, &first);
	assert_int_equal(talk(r, &next), MEDIA_UNKNOWN);
	expect_call(r, 2, T0);
	assert_int_equal(media_held(r->media), 1);
	expect_call(r, 3, T0 + 4 * MS);
	assert_int_equal(media_held(r->media), 0);
	rig_forget(r, 1, END);
	rig_forget(r, 3, END);
	assert_one_stream(r, 1, 1);
	assert_one_stream(r, 1, 3);
	rig_free(r);
}

static void what_nobody_names_in_time_is_the_calls_and_whole(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker party = caller(1, 100, T0), stranger = caller(66, 666, T0 + 5 * MS);
	expect_call(r, 1, T0 - MS);
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &party);
		enum media_verdict v = talk(r, &stranger);
		bool waits = i * 20 * MS < HOLD_NS;
		assert_int_equal(v == MEDIA_UNKNOWN, waits);
	}
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 666)->packets, 100);
	assert_int_equal(record_of(r, 666)->reordered, 0);
	assert_int_equal(record_of(r, 666)->foreign, 1);
	assert_int_equal(record_of(r, 100)->packets, 100);
	rig_free(r);
}

/* Both sides of a NAT are mirrored: one voice, as long as it is held too. */
static void the_same_packets_from_two_sources_are_kept_once(void **state)
{
	(void)state;
	for (int phase = 0; phase < 50; phase++) {
		struct rig *r = rig_new(rig_config());
		struct talker inside = caller(1, 100, T0), outside = inside;
		expect_call(r, 1, T0 - MS);
		talk_n(r, &inside, phase);
		outside = inside;
		outside.src = ep(99, 61000);
		outside.at_ns += MS;
		for (int i = 0; i < 100; i++) {
			(void)talk(r, &inside);
			(void)talk(r, &outside);
		}
		rig_forget(r, 1, END);
		assert_int_equal(r->records_count, 1);
		assert_int_equal(r->records[0].packets, 100 + phase);
		assert_int_equal(r->records[0].relay_copies, 100);
		assert_int_equal(remarked(r, 1, "foreign-media"), 0);
		rig_free(r);
	}
}

static void a_stranger_of_a_call_before_is_the_next_calls_too(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker first = caller(1, 100, T0), stranger = caller(66, 666, T0 + 5 * MS);
	expect_call(r, 1, T0 - MS);
	for (int i = 0; i < 30; i++) {
		(void)talk(r, &first);
		(void)talk(r, &stranger);
	}
	rig_forget(r, 1, first.at_ns);
	struct talker next = caller(2, 200, first.at_ns);
	expect_call(r, 2, first.at_ns);
	stranger.ssrc = 667;
	for (int i = 0; i < 30; i++) {
		(void)talk(r, &next);
		(void)talk(r, &stranger);
	}
	rig_forget(r, 2, END);
	assert_int_equal(record_of(r, 667)->packets, 30);
	assert_int_equal(record_of(r, 667)->call, 2);
	rig_free(r);
}

static void what_waited_before_anyone_expected_it_is_handed_over(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker first = caller(1, 100, T0), other = caller(66, 666, T0);
	talk_n(r, &first, 2);
	talk_n(r, &other, 2);
	expect_call(r, 1, T0 - MS);
	assert_int_equal(media_held(r->media), 0);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 666)->packets, 2);
	rig_free(r);
}

static void only_so_many_are_held(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker party = caller(1, 100, T0);
	uint32_t unknown = 0;
	expect_call(r, 1, T0 - MS);
	(void)talk(r, &party);
	for (uint8_t i = 0; i < HOLDS + 10; i++) {
		struct talker t = caller((uint8_t)(70 + i), 700 + i, T0 + MS);
		unknown += talk(r, &t) == MEDIA_UNKNOWN;
	}
	assert_int_equal(unknown, HOLDS);
	media_tick(r->media, T0 + MS + HOLD_NS);
	assert_int_equal(media_held(r->media), 0);
	rig_forget(r, 1, END);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(media_ahead_of_its_call_waits_beside_calls_at_the_same_port),
		cmocka_unit_test(an_answer_of_another_call_takes_nothing_from_there),
		cmocka_unit_test(what_nobody_names_in_time_is_the_calls_and_whole),
		cmocka_unit_test(the_same_packets_from_two_sources_are_kept_once),
		cmocka_unit_test(a_stranger_of_a_call_before_is_the_next_calls_too),
		cmocka_unit_test(what_waited_before_anyone_expected_it_is_handed_over),
		cmocka_unit_test(only_so_many_are_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
