/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_rtp_supply.c: when chunk buffers run short, new calls lose audio before running ones do. */
#include "rtp_help.h"

#include "base/pool.h"

#define BUFFERS 32 /* 4 of them are the reserve, at 8 new calls are taken again */
#define END     INT64_MAX

static struct rig *rig_of(bool reserve)
{
	struct media_config cfg = rig_config();
	cfg.buffers = BUFFERS;
	cfg.keep_reserve = reserve;
	return rig_new(cfg);
}

/* A call of one voice; its number is its SSRC too. */
static struct talker call(struct rig *r, uint8_t n, int64_t at_ns)
{
	struct talker t = talker(ep(n, 5000), ep(n, 4000), n, at_ns);
	rig_expect(r, n, t.dst, TRACK_CALLER, T0);
	return t;
}

/* Running calls 1 to n, each with an open chunk. */
static void calls_run(struct rig *r, struct talker *t, uint8_t n)
{
	for (uint8_t i = 0; i < n; i++) {
		t[i] = call(r, (uint8_t)(i + 1), T0);
		talk_n(r, &t[i], 10);
	}
}

static size_t stored_of(const struct rig *r, uint32_t ssrc)
{
	size_t n = 0;
	for (size_t i = 0; i < r->kept_count; i++)
		n += r->kept[i].ssrc == ssrc;
	return n;
}

/* Sent = stored + dropped, stream by stream, when all calls have ended. */
static void calls_end_exact(struct rig *r, uint8_t calls)
{
	uint64_t dropped = 0;
	for (uint8_t n = 1; n <= calls; n++)
		rig_forget(r, n, END);
	for (uint8_t n = 1; n <= calls; n++) {
		const struct stream_record *s = record_of(r, n);
		assert_int_equal(s->packets, stored_of(r, n) + s->dropped);
		assert_int_equal(s->lost, 0);
		assert_int_equal(s->complete, s->dropped == 0);
		dropped += s->dropped;
	}
	assert_int_equal(dropped, counted(r, COUNT_RTP_REFUSED) + counted(r, COUNT_RTP_NO_BUFFER));
}

static void new_calls_are_refused_the_reserve(void **state)
{
	(void)state;
	struct talker t[BUFFERS];
	struct rig *r = rig_of(true);
	calls_run(r, t, BUFFERS - 3);
	expect_count(r, RTP_REFUSED, 0);
	/* 3 are left, fewer than the reserve. */
	t[29] = call(r, 30, T0 + 200 * MS);
	talk_n(r, &t[29], 10);
	expect_count(r, RTP_REFUSED, 10);
	expect_count(r, RTP_NO_BUFFER, 0);
	calls_end_exact(r, 30);
	assert_int_equal(record_of(r, 30)->packets, 10);
	assert_int_equal(record_of(r, 30)->dropped, 10);
	assert_int_equal(record_of(r, 1)->dropped, 0);
	rig_free(r);
}

static void running_calls_take_the_reserve_to_its_end(void **state)
{
	(void)state;
	struct talker t[BUFFERS];
	struct rig *r = rig_of(true);
	r->hold = true; /* the disk stalls */
	calls_run(r, t, 14);
	for (int i = 0; i < 14; i++)
		talk_n(r, &t[i], 41); /* to its second chunk: 4 buffers are left */
	for (uint8_t n = 15; n <= 18; n++) {
		t[n - 1] = call(r, n, T0 + 1100 * MS);
		talk_n(r, &t[n - 1], 1); /* the first of them is the last new call */
	}
	expect_count(r, RTP_REFUSED, 3);
	expect_count(r, RTP_NO_BUFFER, 0);
	for (int i = 0; i < 14; i++)
		talk_n(r, &t[i], 50); /* three find another buffer */
	expect_count(r, RTP_REFUSED, 3);
	expect_count(r, RTP_NO_BUFFER, 11 * 50);
	assert_int_equal(media_streams(r->media), 18);
	calls_end_exact(r, 18);
	rig_free(r);
}

static void new_voice_of_a_running_call_is_heard(void **state)
{
	(void)state;
	struct talker t[BUFFERS];
	struct rig *r = rig_of(true);
	calls_run(r, t, BUFFERS - 3);
	struct talker other = talker(ep(1, 4000), ep(1, 5000), 99, T0 + 200 * MS);
	rig_expect(r, 1, other.dst, TRACK_CALLEE, T0);
	talk_n(r, &other, 10);
	expect_count(r, RTP_REFUSED, 0);
	calls_end_exact(r, BUFFERS - 3);
	assert_int_equal(stored_of(r, 99), 10);
	rig_free(r);
}

static void refused_call_is_heard_from_when_there_is_enough(void **state)
{
	(void)state;
	struct talker t[BUFFERS];
	struct rig *r = rig_of(true);
	r->hold = true;
	calls_run(r, t, 15);
	for (int i = 0; i < 15; i++)
		talk_n(r, &t[i], 41);
	assert_int_equal(r->held_count, 15); /* 2 are left */
	t[15] = call(r, 16, T0 + 1100 * MS);
	talk_n(r, &t[15], 5);
	/* As many as the reserve are not enough yet, nor is one less than twice that: it would be refused again at once. */
	rig_give_back(r, 5);
	talk_n(r, &t[15], 5);
	expect_count(r, RTP_REFUSED, 10);
	rig_give_back(r, 1);
	talk_n(r, &t[15], 5);
	expect_count(r, RTP_REFUSED, 10);
	/* Running from now on. */
	r->hold = false;
	calls_end_exact(r, 16);
	assert_int_equal(record_of(r, 16)->dropped, 10);
	assert_int_equal(stored_of(r, 16), 5);
	rig_free(r);
}

static void once_taken_a_call_is_running(void **state)
{
	(void)state;
	struct talker t[BUFFERS];
	struct rig *r = rig_of(true);
	calls_run(r, t, BUFFERS);
	/* The last three found the reserve closed. */
	expect_count(r, RTP_REFUSED, 30);
	r->hold = true;
	for (int i = 0; i < BUFFERS - 3; i++)
		talk_n(r, &t[i], 50);
	/* 3 buffers for the 29 that go on. */
	expect_count(r, RTP_REFUSED, 30);
	assert_int_equal(r->chunks, BUFFERS - 3);
	assert_true(counted(r, COUNT_RTP_NO_BUFFER) > 0);
	calls_end_exact(r, BUFFERS);
	rig_free(r);
}

static void without_a_reserve_the_last_buffer_is_for_anyone(void **state)
{
	(void)state;
	struct talker t[BUFFERS];
	struct rig *r = rig_of(false);
	calls_run(r, t, BUFFERS);
	expect_count(r, RTP_REFUSED, 0);
	assert_int_equal(r->reclaims, 0);
	struct talker more = call(r, 33, T0);
	talk_n(r, &more, 2);
	expect_count(r, RTP_REFUSED, 2);
	assert_int_equal(r->reclaims, 2);
	calls_end_exact(r, 33);
	rig_free(r);
}

/* A recorder of files waits for its writers then, so that it loses nothing. */
static void buffers_are_asked_for_before_anything_is_dropped(void **state)
{
	(void)state;
	struct talker t[BUFFERS];
	struct rig *r = rig_of(false);
	r->hold = r->gives = true;
	calls_run(r, t, 20);
	for (int second = 0; second < 5; second++)
		for (int i = 0; i < 20; i++)
			talk_n(r, &t[i], 50);
	assert_true(r->reclaims > 0);
	expect_count(r, RTP_REFUSED, 0);
	expect_count(r, RTP_NO_BUFFER, 0);
	calls_end_exact(r, 20);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_calls_are_refused_the_reserve),
		cmocka_unit_test(running_calls_take_the_reserve_to_its_end),
		cmocka_unit_test(new_voice_of_a_running_call_is_heard),
		cmocka_unit_test(refused_call_is_heard_from_when_there_is_enough),
		cmocka_unit_test(once_taken_a_call_is_running),
		cmocka_unit_test(without_a_reserve_the_last_buffer_is_for_anyone),
		cmocka_unit_test(buffers_are_asked_for_before_anything_is_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
