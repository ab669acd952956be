/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* The pen: what waits, for how long, and who gets it. */
#include "rtp_help.h"

static const struct endpoint *caller(void)
{
	static struct endpoint e;
	e = ep(1, 4000);
	return &e;
}

static const struct endpoint *callee(void)
{
	static struct endpoint e;
	e = ep(2, 5000);
	return &e;
}

static struct talker voice(int64_t at_ns)
{
	return talker(*callee(), *caller(), 0xabc, at_ns);
}

static void hands_over_oldest_first(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker a = voice(T0), b = talker(ep(9, 9), *caller(), 0xdef, T0 + 7 * MS);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(talk(r, &a), MEDIA_UNKNOWN);
		assert_int_equal(talk(r, &b), MEDIA_UNKNOWN);
	}
	assert_int_equal(media_held(r->media), 20);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	assert_int_equal(media_held(r->media), 0);
	expect_count(r, PEN_RELEASED, 20);
	expect_count(r, RTP_STORED, 20);
	talk_n(r, &a, 5);
	rig_forget(r, 1, INT64_MAX - 1);
	assert_int_equal(r->kept_count, 25);
	for (size_t i = 1; i < r->kept_count; i++)
		if (r->kept[i].ssrc == r->kept[i - 1].ssrc)
			assert_true(r->kept[i].arrival_us > r->kept[i - 1].arrival_us);
	const struct stream_record *s = record_of(r, a.ssrc);
	assert_int_equal(s->start_us, T0 / 1000);
	assert_int_equal(s->lost, 0);
	assert_int_equal(s->reordered, 0);
	assert_true(s->stream < record_of(r, b.ssrc)->stream); /* its first frame came first */
	rig_free(r);
}

static void hands_over_nothing_older_than_invite(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker a = voice(T0);
	talk_n(r, &a, 10);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0 + 100 * MS);
	expect_count(r, PEN_OLD, 5);
	expect_count(r, PEN_RELEASED, 5);
	rig_forget(r, 1, INT64_MAX - 1);
	assert_int_equal(r->kept_count, 5);
	assert_int_equal(record(r, 0)->start_us, (T0 + 100 * MS) / 1000);
	rig_free(r);
}

static void hands_over_by_source_when_nobody_expects_the_destination(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	/* The callee is behind NAT: what it is sent goes to an address that no SDP names. */
	struct talker a = talker(*caller(), ep(77, 7777), 0xabc, T0);
	talk_n(r, &a, 10);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0 + 100 * MS);
	expect_count(r, PEN_OLD, 0);
	expect_count(r, PEN_RELEASED, 5);
	assert_int_equal(media_held(r->media), 5); /* may still be somebody's */
	rig_expect(r, 2, ep(77, 7777), TRACK_CALLEE, T0);
	expect_count(r, PEN_RELEASED, 10);
	rig_forget(r, 1, INT64_MAX - 1);
	rig_forget(r, 2, INT64_MAX - 1);
	assert_int_equal(r->kept_count, 10);
	rig_free(r);
}

static void keeps_two_seconds_of_packet_time(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker a = voice(T0);
	talk_n(r, &a, 3);
	media_tick(r->media, T0 + 2000 * MS);
	assert_int_equal(media_held(r->media), 3);
	media_tick(r->media, T0 + 2030 * MS);
	assert_int_equal(media_held(r->media), 1);
	expect_count(r, PEN_EXPIRED, 2);
	media_tick(r->media, T0 + 9000 * MS);
	expect_count(r, PEN_EXPIRED, 3);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	expect_count(r, PEN_RELEASED, 0);
	rig_free(r);
}

/* After a stall frames are read faster than their SIP is understood. */
static void keeps_what_signalling_has_yet_to_hear_of(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker a = voice(T0);
	media_heard(r->media, T0 - 1000 * MS);
	talk_n(r, &a, 3);
	media_tick(r->media, T0 + 9000 * MS);
	media_heard(r->media, T0 + 2000 * MS);
	media_tick(r->media, T0 + 9010 * MS);
	assert_int_equal(media_held(r->media), 3);
	media_heard(r->media, T0 + 2030 * MS);
	media_tick(r->media, T0 + 9020 * MS);
	assert_int_equal(media_held(r->media), 1);
	/* A clock set back is another matter. */
	media_tick(r->media, T0 - 9000 * MS);
	expect_count(r, PEN_EXPIRED, 3);
	rig_free(r);
}

/* Frames without end, and then it catches up. */
static void keeps_more_of_a_flow_while_signalling_is_behind(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker a = voice(T0);
	media_heard(r->media, T0 - 500 * MS);
	talk_n(r, &a, 300);
	assert_int_equal(media_held(r->media), 300);
	talk_n(r, &a, 300);
	assert_int_equal(media_held(r->media), 500);
	expect_count(r, PEN_FULL, 100);
	/* It is heard of all but the last second: that and 100. */
	media_heard(r->media, T0 + 11000 * MS);
	talk_n(r, &a, 1);
	assert_int_equal(media_held(r->media), 150);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	expect_count(r, PEN_RELEASED, 150);
	rig_free(r);
}

/* What one flow has beyond its share goes before anything of another. */
static void room_for_a_flow_without_end_is_its_own(void **state)
{
	(void)state;
	struct media_config cfg = rig_config();
	cfg.pen_bytes = 256 * 160;
	struct rig *r = rig_new(cfg);
	struct talker a = voice(T0), b = talker(ep(9, 9000), ep(10, 9000), 0xb, T0);
	media_heard(r->media, T0 - 1000 * MS);
	talk_n(r, &a, 20);
	talk_n(r, &b, 300);
	assert_int_equal(media_held(r->media), 160);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	expect_count(r, PEN_RELEASED, 20);
	rig_free(r);
}

static void nothing_is_an_orphan_before_signalling_had_the_time(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker a = voice(T0);
	media_heard(r->media, T0);
	talk_n(r, &a, 100);
	assert_int_equal(r->orphans_count, 0);
	media_heard(r->media, T0 + 1000 * MS);
	talk_n(r, &a, 1);
	assert_int_equal(r->orphans_count, 1);
	rig_free(r);
}

static void keeps_a_hundred_frames_a_flow_the_newest(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker a = voice(T0);
	a.every_ns = 5 * MS;
	talk_n(r, &a, 130);
	assert_int_equal(media_held(r->media), 100);
	expect_count(r, PEN_FULL, 30);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	rig_forget(r, 1, INT64_MAX - 1);
	assert_int_equal(r->kept_count, 100);
	assert_int_equal(record(r, 0)->start_us, (T0 + 30 * 5 * MS) / 1000);
	rig_free(r);
}

static void the_least_recently_used_flow_goes_first(void **state)
{
	(void)state;
	struct media_config cfg = rig_config();
	cfg.pen_bytes = 32 * 256;
	struct rig *r = rig_new(cfg);
	struct talker old = talker(ep(3, 1), *caller(), 3, T0);
	struct talker used = talker(ep(4, 1), *caller(), 4, T0);
	struct talker late = talker(ep(5, 1), *caller(), 5, T0);
	talk_n(r, &used, 10);
	talk_n(r, &old, 10);
	(void)talk(r, &used);
	talk_n(r, &late, 12); /* 33 frames, room for 32 */
	assert_int_equal(media_held(r->media), 23);
	expect_count(r, PEN_FULL, 10);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	rig_forget(r, 1, INT64_MAX - 1);
	for (size_t i = 0; i < r->kept_count; i++)
		assert_int_not_equal(r->kept[i].ssrc, 3);
	assert_int_equal(r->kept_count, 23);
	rig_free(r);
}

static void many_flows_cannot_outgrow_it(void **state)
{
	(void)state;
	struct media_config cfg = rig_config();
	cfg.pen_bytes = 64 * 256;
	struct rig *r = rig_new(cfg);
	for (unsigned n = 0; n < 5000; n++) {
		struct talker t = talker(ep((uint8_t)n, (uint16_t)(n / 256 + 1)), *caller(), n,
					 T0 + n * MS / 100);
		(void)talk(r, &t);
	}
	assert_true(media_held(r->media) > 0 && media_held(r->media) <= 64);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	assert_int_equal(media_held(r->media), 0);
	rig_forget(r, 1, INT64_MAX - 1);
	rig_free(r);
}

static void more_flows_to_one_endpoint_than_are_merged_at_once_all_come(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	for (unsigned n = 0; n < 150; n++) {
		struct talker t = talker(ep((uint8_t)n, 7), *caller(), 1000 + n, T0 + n * MS);
		(void)talk(r, &t);
	}
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	expect_count(r, PEN_RELEASED, 150);
	expect_count(r, RTP_STORED, STREAM_FOREIGN);
	expect_count(r, RTP_STREAM_LIMIT, 150 - STREAM_FOREIGN);
	rig_forget(r, 1, INT64_MAX - 1);
	rig_free(r);
}

static void large_frames_come_out_whole(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	static const uint32_t sizes[] = { 0, 1, 187, 188, 189, 388, 389, 1000, 1988 };
	uint8_t p[4000];
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		uint32_t len = rtp_make(p, 0, (uint16_t)(100 + i), 0, 7, sizes[i]);
		(void)rig_send(r, T0 + (int64_t)i * MS, *callee(), *caller(), p, len, 0);
	}
	(void)rig_send(r, T0 + 20 * MS, *callee(), *caller(), p, rtp_make(p, 0, 200, 0, 7, 1989),
		       0);
	expect_count(r, PEN_FULL, 1);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	rig_forget(r, 1, INT64_MAX - 1);
	assert_int_equal(r->kept_count, sizeof sizes / sizeof sizes[0]);
	for (size_t i = 0; i < r->kept_count; i++) {
		uint32_t len = rtp_make(p, 0, (uint16_t)(100 + i), 0, 7, sizes[i]);
		assert_int_equal(r->kept[i].packet_len, len);
		assert_memory_equal(r->kept[i].packet, p, len);
	}
	rig_free(r);
}

static void a_cut_frame_stays_cut(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	uint8_t p[200];
	(void)rig_send(r, T0, *callee(), *caller(), p, rtp_make(p, 0, 1, 0, 7, 50), 172);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	expect_count(r, RTP_TRUNCATED, 1);
	rig_forget(r, 1, INT64_MAX - 1);
	assert_int_equal(r->kept[0].wire_len, 172);
	assert_int_equal(r->kept[0].packet_len, 62);
	rig_free(r);
}

static void only_what_looks_like_rtp_enters(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	uint8_t p[40] = { 0x80, 200 };
	(void)rig_send(r, T0, *callee(), *caller(), p, sizeof p, 0); /* RTCP */
	p[1] = 0;
	(void)rig_send(r, T0, *callee(), *caller(), p, 11, 0);
	p[0] = 0x40;
	(void)rig_send(r, T0, *callee(), *caller(), p, sizeof p, 0);
	(void)rig_send(r, T0, *callee(), *caller(), p, 0, 0);
	expect_count(r, TO_NOBODY, 4);
	p[0] = 0x80;
	(void)rig_send(r, T0, *callee(), *caller(), p, 12, 0);
	expect_count(r, TO_PEN, 1);
	rig_free(r);
}

/* Puts, ticks and releases in any order keep the law; what comes out is what went in. */
static void holds_under_random_use(void **state)
{
	(void)state;
	seed_show("pen");
	for (int round = 0; round < 20; round++) {
		struct media_config cfg = rig_config();
		cfg.pen_bytes = 256 * (16 + rnd_below(200));
		struct rig *r = rig_new(cfg);
		int64_t now = T0;
		uint64_t call = 1;
		uint8_t p[2100];
		for (int step = 0; step < 2000; step++) {
			struct endpoint a = ep((uint8_t)rnd_below(6), 1),
					b = ep((uint8_t)rnd_below(6), 1);
			now += (int64_t)rnd_below(20) * MS;
			uint32_t len = rtp_make(p, 0, (uint16_t)step, (uint32_t)step * 160, 7,
						rnd_below(20) ? 160 : rnd_below(2000));
			(void)rig_send(r, now, a, b, p, len, 0);
			if (rnd_below(50) == 0)
				media_heard(r->media, rnd_below(3) ? INT64_MAX : now - 500 * MS);
			if (rnd_below(30) == 0) {
				rig_expect(r, call, a, (uint8_t)rnd_below(2), now - 500 * MS);
				struct media_forget f = { call++, .all = true, .until_ns = now };
				r->done_count = 0;
				media_forget(r->media, &f);
			}
			rig_law(r);
		}
		rig_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hands_over_oldest_first),
		cmocka_unit_test(hands_over_nothing_older_than_invite),
		cmocka_unit_test(hands_over_by_source_when_nobody_expects_the_destination),
		cmocka_unit_test(keeps_two_seconds_of_packet_time),
		cmocka_unit_test(keeps_what_signalling_has_yet_to_hear_of),
		cmocka_unit_test(keeps_more_of_a_flow_while_signalling_is_behind),
		cmocka_unit_test(room_for_a_flow_without_end_is_its_own),
		cmocka_unit_test(nothing_is_an_orphan_before_signalling_had_the_time),
		cmocka_unit_test(keeps_a_hundred_frames_a_flow_the_newest),
		cmocka_unit_test(the_least_recently_used_flow_goes_first),
		cmocka_unit_test(many_flows_cannot_outgrow_it),
		cmocka_unit_test(more_flows_to_one_endpoint_than_are_merged_at_once_all_come),
		cmocka_unit_test(large_frames_come_out_whole),
		cmocka_unit_test(a_cut_frame_stays_cut),
		cmocka_unit_test(only_what_looks_like_rtp_enters),
		cmocka_unit_test(holds_under_random_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
