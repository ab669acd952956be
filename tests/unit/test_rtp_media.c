/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Which call a packet belongs to: expectations, tracks, limits, and bursts. */
#include "rtp_help.h"

#define END (INT64_MAX - 1)

static void both_tracks_are_told_by_where_they_are_sent(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint a = ep(1, 4000), b = ep(2, 5000);
	rig_expect(r, 1, a, TRACK_CALLER, T0);
	rig_expect(r, 1, b, TRACK_CALLEE, T0);
	struct talker caller = talker(a, b, 11, T0), callee = talker(b, a, 22, T0);
	talk_n(r, &caller, 5);
	talk_n(r, &callee, 7);
	assert_int_equal(media_streams(r->media), 2);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->track, TRACK_CALLER);
	assert_int_equal(record_of(r, 22)->track, TRACK_CALLEE);
	assert_int_equal(record_of(r, 11)->stream, STREAM_BLOCK); /* from the callee's block */
	assert_int_equal(record_of(r, 22)->stream, 0);
	expect_count(r, STREAMS, 2);
	for (size_t i = 0; i < r->kept_count; i++)
		assert_int_equal(r->kept[i].track,
				 r->kept[i].ssrc == 11 ? TRACK_CALLER : TRACK_CALLEE);
	rig_free(r);
}

static void a_party_behind_nat_is_told_by_the_other_end(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint inside = ep(1, 4000), outside = ep(200, 40001), b = ep(2, 5000);
	rig_expect(r, 1, inside, TRACK_CALLER, T0); /* what its SDP says */
	rig_expect(r, 1, b, TRACK_CALLEE, T0);
	struct talker caller = talker(outside, b, 11, T0), callee = talker(b, outside, 22, T0);
	talk_n(r, &caller, 5);
	talk_n(r, &callee, 5);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->track, TRACK_CALLER);
	assert_int_equal(record_of(r, 22)->track, TRACK_CALLEE);
	assert_int_equal(record_of(r, 22)->packets, 5);
	rig_free(r);
}

static void the_destination_counts_before_the_source(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint a = ep(1, 4000), b = ep(2, 5000);
	rig_expect(r, 1, a, TRACK_CALLER, T0);
	rig_expect(r, 1, ep(3, 6000), TRACK_CALLEE, T0); /* both its parties are known */
	rig_expect(r, 2, b, TRACK_CALLEE, T0);
	struct talker t = talker(a, b, 11, T0);
	talk_n(r, &t, 5);
	rig_forget(r, 2, END);
	assert_int_equal(record(r, 0)->call, 2);
	rig_forget(r, 1, END);
	assert_int_equal(r->records_count, 1);
	rig_free(r);
}

static void a_destination_expected_later_takes_the_stream_along(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint a = ep(1, 4000), b = ep(2, 5000);
	rig_expect(r, 1, a, TRACK_CALLER, T0);
	struct talker t = talker(a, b, 11, T0);
	talk_n(r, &t, 5); /* before the answer: by its source */
	rig_expect(r, 1, b, TRACK_CALLEE, T0);
	talk_n(r, &t, 5);
	/* The caller's own endpoint moves; what it sends to the callee goes on. */
	rig_forget_at(r, 1, a, t.at_ns);
	talk_n(r, &t, 5);
	assert_int_equal(media_streams(r->media), 1);
	rig_forget(r, 1, END);
	assert_int_equal(r->records_count, 1);
	assert_int_equal(record(r, 0)->packets, 15);
	assert_int_equal(record(r, 0)->track, TRACK_CALLER);
	rig_free(r);
}

static void a_destination_expected_later_by_another_call_ends_the_stream(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint a = ep(1, 4000), b = ep(2, 5000);
	rig_expect(r, 1, a, TRACK_CALLER, T0);
	rig_expect(r, 1, ep(3, 6000), TRACK_CALLEE, T0);
	struct talker t = talker(a, b, 11, T0);
	talk_n(r, &t, 5);
	rig_expect(r, 2, b, TRACK_CALLEE, T0);
	talk_n(r, &t, 6);
	rig_forget(r, 1, END);
	rig_forget(r, 2, END);
	assert_int_equal(r->records_count, 2);
	assert_int_equal(record(r, 0)->call, 1);
	assert_int_equal(record(r, 0)->packets, 5);
	assert_int_equal(record(r, 0)->until_us, 0);
	assert_int_equal(record(r, 1)->call, 2);
	assert_int_equal(record(r, 1)->packets, 6);
	rig_free(r);
}

static void frames_before_the_invite_are_not_the_calls(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0 + 100 * MS);
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 11, T0);
	talk_n(r, &t, 10);
	expect_count(r, RTP_BEFORE_START, 5);
	rig_forget(r, 1, END);
	assert_int_equal(r->kept_count, 5);
	assert_int_equal(record(r, 0)->lost, 0);
	rig_free(r);
}

static void what_nobody_expects_is_unknown(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	struct talker t = talker(ep(2, 5000), ep(1, 4002), 11, T0);
	assert_int_equal(talk(r, &t), MEDIA_UNKNOWN);
	expect_count(r, TO_MEDIA, 0);
	expect_count(r, TO_PEN, 1);
	rig_free(r);
}

static void other_protocols_on_a_media_port_are_counted(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint a = ep(1, 4000), b = ep(2, 5000);
	const uint8_t stun[20] = { 0, 1 }, rtcp[28] = { 0x80, 200, 0, 6 }, junk[30] = { 0x55 };
	const char sip[] = "BYE sip:1@192.0.2.1 SIP/2.0\r\n\r\n";
	rig_expect(r, 1, a, TRACK_CALLER, T0);
	for (int i = 0; i < 2; i++) { /* before there is a flow, and then */
		assert_int_equal(rig_send(r, T0, b, a, stun, sizeof stun, 0), MEDIA_TAKEN);
		assert_int_equal(rig_send(r, T0, b, a, rtcp, sizeof rtcp, 0), MEDIA_TAKEN);
		assert_int_equal(rig_send(r, T0, b, a, junk, sizeof junk, 0), MEDIA_TAKEN);
		assert_int_equal(rig_send(r, T0, b, a, junk, 0, 0), MEDIA_TAKEN);
		/* An SDP that names a SIP port must not make us deaf to SIP. */
		assert_int_equal(rig_send(r, T0, b, a, sip, sizeof sip - 1, 0), MEDIA_UNKNOWN);
		struct talker t = talker(b, a, 11, T0 + i * 20 * MS);
		t.seq = (uint16_t)(t.seq + i);
		(void)talk(r, &t);
	}
	expect_count(r, MEDIA_STUN, 2);
	expect_count(r, MEDIA_OTHER, 2);
	expect_count(r, RTCP, 2);
	expect_count(r, RTP_MALFORMED, 2);
	expect_count(r, RTP_STORED, 2);
	rig_forget(r, 1, END);
	rig_free(r);
}

static void each_ssrc_is_a_stream(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 11, T0);
	struct talker other = t;
	other.ssrc = 22;
	other.seq = 40000;
	talk_n(r, &t, 10);
	for (int i = 0; i < 10; i++) {
		(void)talk(r, &other);
		(void)talk(r, &t);
	}
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->packets, 20);
	assert_int_equal(record_of(r, 22)->packets, 10);
	assert_int_equal(record_of(r, 11)->lost + record_of(r, 22)->lost, 0);
	assert_int_equal(record_of(r, 11)->stream, 0);
	assert_int_equal(record_of(r, 22)->stream, 1);
	rig_free(r);
}

static void an_expectation_has_a_block_of_streams(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	rig_expect(r, 1, ep(2, 5000), TRACK_CALLEE, T0);
	for (uint32_t n = 0; n < STREAM_BLOCK + 8; n++) {
		struct talker t = talker(ep(2, 5000), ep(1, 4000), n, T0);
		(void)talk(r, &t);
	}
	expect_count(r, RTP_STREAM_LIMIT, 8);
	assert_int_equal(media_streams(r->media), STREAM_BLOCK);
	rig_forget(r, 1, END);
	size_t incomplete = 0;
	for (size_t i = 0; i < r->records_count; i++) {
		assert_true(record(r, i)->stream < STREAM_BLOCK);
		incomplete += !record(r, i)->complete;
	}
	assert_true(incomplete > 0); /* what was refused shows in the call */
	rig_free(r);
}

static void strangers_leave_room_for_the_party(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	rig_expect(r, 1, ep(2, 5000), TRACK_CALLEE, T0);
	for (uint32_t n = 0; n < 1000; n++) {
		struct talker stray = talker(ep(66, (uint16_t)(1000 + n)), ep(1, 4000), n, T0);
		(void)talk(r, &stray);
	}
	expect_count(r, RTP_STREAM_LIMIT, 1000 - STREAM_FOREIGN);
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 4711, T0 + MS);
	talk_n(r, &t, 50);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 4711)->packets, 50);
	rig_free(r);
}

static void a_recorder_has_so_many_streams(void **state)
{
	(void)state;
	struct media_config cfg = rig_config();
	cfg.max_streams = 10;
	struct rig *r = rig_new(cfg);
	for (unsigned round = 0; round < 3; round++) {
		rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
		for (uint32_t n = 0; n < 15; n++) {
			struct talker t = talker(ep(2, (uint16_t)(5000 + n + 100 * round)),
						 ep(1, 4000), n, T0);
			(void)talk(r, &t);
		}
		assert_int_equal(media_streams(r->media), 10);
		expect_count(r, RTP_STREAM_LIMIT, 5 * (round + 1));
		rig_forget(r, 1, END);
		assert_int_equal(media_streams(r->media), 0);
	}
	rig_free(r);
}

static void too_many_expectations_are_counted(void **state)
{
	(void)state;
	struct media_config cfg = rig_config();
	cfg.max_expects = 3;
	struct rig *r = rig_new(cfg);
	for (int round = 0; round < 3; round++) {
		for (uint8_t n = 0; n < 5; n++)
			rig_expect(r, 100 + n, ep(n, 4000), TRACK_CALLER, T0);
		expect_count(r, EXPECT_LIMIT, 2 * (uint64_t)(round + 1));
		for (uint8_t n = 0; n < 5; n++)
			rig_forget(r, 100 + n, END);
	}
	rig_free(r);
}

static void done_is_said_even_for_calls_never_seen(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_forget(r, 1234, T0);
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	rig_forget_at(r, 1, ep(1, 4000), T0);
	rig_forget_at(r, 1, ep(1, 4000), T0);
	rig_forget(r, 1, T0);
	assert_int_equal(r->done_count, 2);
	rig_free(r);
}

static void a_later_call_takes_an_endpoint_over(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint a = ep(1, 4000), b = ep(2, 5000);
	rig_expect(r, 1, a, TRACK_CALLER, T0);
	struct talker t = talker(b, a, 11, T0);
	talk_n(r, &t, 10);
	rig_expect(r, 2, a, TRACK_CALLER, t.at_ns); /* the first call's BYE was missed */
	assert_int_equal(r->records_count, 1);
	assert_int_equal(record(r, 0)->packets, 10);
	assert_int_equal(record(r, 0)->until_us, 0);
	struct talker straggler = t;
	straggler.at_ns = t.at_ns - 1;
	(void)talk(r, &straggler);
	expect_count(r, RTP_BEFORE_START, 1);
	talk_n(r, &t, 5);
	rig_forget(r, 1, END); /* owns nothing any more */
	talk_n(r, &t, 5);
	rig_forget(r, 2, END);
	assert_int_equal(r->records_count, 2);
	assert_int_equal(record(r, 1)->call, 2);
	assert_int_equal(record(r, 1)->packets, 10);
	expect_count(r, RTP_AFTER_END, 0);
	rig_free(r);
}

/* A server that answers all calls at one port: the callers' ends tell the calls apart. */
static void calls_to_one_endpoint_keep_their_own_streams(void **state)
{
	(void)state;
	enum { CALLS = 60 };
	struct rig *r = rig_new(rig_config());
	struct endpoint b = ep(200, 5000);
	struct talker there[CALLS], back[CALLS];

	for (uint8_t i = 0; i < CALLS; i++) {
		struct endpoint a = ep(i, 4000);
		int64_t now = T0 + i * 7 * MS;
		rig_expect(r, i, a, TRACK_CALLER, now);
		there[i] = talker(a, b, 11, now + MS);
		back[i] = talker(b, a, 12, now + 2 * MS);
		(void)talk(r, &there[i]); /* before this call's answer, after the others' */
		rig_expect(r, i, b, TRACK_CALLEE, now);
		for (uint8_t k = 0; k <= i; k++) {
			(void)talk(r, &there[k]);
			(void)talk(r, &back[k]);
		}
	}
	for (uint8_t i = 0; i < CALLS; i++)
		rig_forget(r, i, END);
	assert_int_equal(r->records_count, 2 * CALLS);
	for (size_t n = 0; n < r->records_count; n++) {
		const struct stream_record *s = record(r, n);
		uint64_t rounds = CALLS - s->call;
		assert_int_equal(s->packets, s->track == TRACK_CALLER ? rounds + 1 : rounds);
		assert_int_equal(s->ssrc, s->track == TRACK_CALLER ? 11 : 12);
	}
	rig_free(r);
}

/* Two legs whose SDPs name the same telephones: both voices go to the same leg, the later one. */
static void of_two_legs_one_has_both_voices(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint a = ep(1, 4000), b = ep(2, 5000);
	rig_expect(r, 1, a, TRACK_CALLER, T0);
	rig_expect(r, 2, a, TRACK_CALLER, T0 + MS);
	rig_expect(r, 2, b, TRACK_CALLEE, T0 + 2 * MS);
	rig_expect(r, 1, b, TRACK_CALLEE, T0 + 3 * MS); /* the answer comes back the other way */
	struct talker there = talker(a, b, 11, T0 + 10 * MS), back = talker(b, a, 12, T0 + 11 * MS);
	talk_n(r, &there, 5);
	talk_n(r, &back, 5);
	rig_forget(r, 1, END);
	rig_forget(r, 2, END);
	assert_int_equal(r->records_count, 2);
	assert_int_equal(record(r, 0)->call, 2);
	assert_int_equal(record(r, 1)->call, 2);
	rig_free(r);
}

static void expecting_again_keeps_the_stream(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 11, T0);
	talk_n(r, &t, 5);
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, t.at_ns + 1);
	talk_n(r, &t, 5);
	rig_forget(r, 1, END);
	assert_int_equal(r->records_count, 1);
	assert_int_equal(record(r, 0)->packets, 10);
	rig_free(r);
}

static void both_families_are_told_apart(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint a = ep(1, 4000), six;
	const uint8_t addr[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1 };
	endpoint_set_v6(&six, addr, 4000); /* not the mapped form */
	rig_expect(r, 1, six, TRACK_CALLER, T0);
	struct talker t = talker(ep(2, 5000), a, 11, T0), u = t;
	u.dst = six;
	assert_int_equal(talk(r, &t), MEDIA_UNKNOWN);
	assert_int_equal(talk(r, &u), MEDIA_TAKEN);
	rig_forget(r, 1, END);
	rig_free(r);
}

/* ---- bursts ---- */

#define SCRIPT 3000

static struct {
	struct datagram d;
	uint8_t p[64];
} script[SCRIPT];

/* Random traffic of some flows, expected and not, with copies, garbage and new SSRCs. */
static void script_make(void)
{
	for (int i = 0; i < SCRIPT; i++) {
		uint32_t flow = rnd_below(12);
		uint32_t len = rtp_make(script[i].p, rnd_below(20) ? 0 : 101,
					(uint16_t)(i - (int)rnd_below(30)), (uint32_t)i * 160,
					flow + (rnd_below(300) == 0), 40);
		if (rnd_below(30) == 0)
			script[i].p[0] = (uint8_t)rnd();
		script[i].d = (struct datagram){ T0 + i * MS,
						 ep((uint8_t)(flow % 5), 6000),
						 ep((uint8_t)(flow % 7), 4000),
						 script[i].p,
						 len,
						 len };
	}
}

static void script_run(struct rig *r, int burst)
{
	for (uint8_t n = 0; n < 3; n++)
		rig_expect(r, 1 + n / 2, ep(n, 4000), n % 2, T0);
	rig_expect(r, 3, ep(4, 6000), TRACK_CALLER, T0);
	for (int i = 0; i < SCRIPT;) {
		static enum media_verdict v[SCRIPT];
		int n = burst < 1000 - i % 1000 ? burst : 1000 - i % 1000;
		struct datagram d[1000];
		for (int k = 0; k < n; k++)
			d[k] = script[i + k].d;
		media_burst(r->media, d, n, v);
		for (int k = 0; k < n; k++)
			if (v[k] == MEDIA_UNKNOWN)
				media_pen(r->media, &d[k]);
		r->sent += (uint64_t)n;
		i += n;
		if (i == 1000) /* a call ends, and another begins */
			rig_forget(r, 1, T0 + 990 * MS);
		if (i == 2000)
			rig_expect(r, 4, ep(5, 4000), TRACK_CALLEE, T0);
	}
	for (uint64_t call = 2; call <= 4; call++)
		rig_forget(r, call, END);
}

static void a_burst_is_the_same_as_one_at_a_time(void **state)
{
	(void)state;
	seed_show("burst");
	for (int round = 0; round < 10; round++) {
		static const int bursts[] = { 2, 7, 32, 33, 64 };
		script_make();
		struct rig *one = rig_new(rig_config());
		script_run(one, 1);
		assert_true(one->kept_count > 300);
		for (size_t b = 0; b < sizeof bursts / sizeof bursts[0]; b++) {
			struct rig *many = rig_new(rig_config());
			script_run(many, bursts[b]);
			for (int id = 0; id < COUNTER_COUNT; id++)
				assert_int_equal(counted(one, (enum counter)id),
						 counted(many, (enum counter)id));
			assert_int_equal(one->kept_count, many->kept_count);
			assert_int_equal(one->records_count, many->records_count);
			rig_free(many);
		}
		rig_free(one);
	}
}

static void a_flow_begun_in_a_burst_is_found_in_it(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	static uint8_t p[64][200];
	struct datagram d[64];
	enum media_verdict v[64];
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	for (int i = 0; i < 64; i++) {
		uint32_t len = rtp_make(p[i], 0, (uint16_t)i, (uint32_t)i * 160, 5, 160);
		d[i] = (struct datagram){ T0 + i, ep(2, 5000), ep(1, 4000), p[i], len, len };
	}
	media_burst(r->media, d, 64, v);
	r->sent += 64;
	for (int i = 0; i < 64; i++)
		assert_int_equal(v[i], MEDIA_TAKEN);
	expect_count(r, STREAMS, 1);
	rig_forget(r, 1, END);
	assert_int_equal(record(r, 0)->packets, 64);
	rig_free(r);
}

/* Whatever the times say (hostile files), nothing hangs, and the laws hold. */
static void wild_packet_times_do_no_harm(void **state)
{
	(void)state;
	seed_show("times");
	struct rig *r = rig_new(rig_config());
	static const int64_t times[] = {
		INT64_MIN,     INT64_MIN + 1, -1, 0, 1, T0, T0 + 1, T0 + 3600 * NS_PER_S,
		INT64_MAX - 1, INT64_MAX
	};
	for (int i = 0; i < 20000; i++) {
		struct talker t = talker(ep(2, 5000), ep((uint8_t)rnd_below(4), 4000), rnd_below(3),
					 times[rnd_below(10)]);
		t.seq = (uint16_t)rnd();
		t.every_ns = 0;
		(void)talk(r, &t);
		media_tick(r->media, times[rnd_below(10)]);
		if (rnd_below(10) == 0)
			rig_expect(r, rnd_below(4), ep((uint8_t)rnd_below(4), 4000), TRACK_CALLER,
				   times[rnd_below(10)]);
		if (rnd_below(20) == 0) {
			struct media_forget f = { .call = rnd_below(4),
						  .all = true,
						  .until_ns = times[rnd_below(10)] };
			r->done_count = r->records_count = 0;
			media_forget(r->media, &f);
		}
		r->records_count = 0;
		rig_law(r);
	}
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_tracks_are_told_by_where_they_are_sent),
		cmocka_unit_test(a_party_behind_nat_is_told_by_the_other_end),
		cmocka_unit_test(the_destination_counts_before_the_source),
		cmocka_unit_test(a_destination_expected_later_takes_the_stream_along),
		cmocka_unit_test(a_destination_expected_later_by_another_call_ends_the_stream),
		cmocka_unit_test(frames_before_the_invite_are_not_the_calls),
		cmocka_unit_test(what_nobody_expects_is_unknown),
		cmocka_unit_test(other_protocols_on_a_media_port_are_counted),
		cmocka_unit_test(each_ssrc_is_a_stream),
		cmocka_unit_test(an_expectation_has_a_block_of_streams),
		cmocka_unit_test(strangers_leave_room_for_the_party),
		cmocka_unit_test(a_recorder_has_so_many_streams),
		cmocka_unit_test(too_many_expectations_are_counted),
		cmocka_unit_test(done_is_said_even_for_calls_never_seen),
		cmocka_unit_test(a_later_call_takes_an_endpoint_over),
		cmocka_unit_test(calls_to_one_endpoint_keep_their_own_streams),
		cmocka_unit_test(of_two_legs_one_has_both_voices),
		cmocka_unit_test(expecting_again_keeps_the_stream),
		cmocka_unit_test(both_families_are_told_apart),
		cmocka_unit_test(a_burst_is_the_same_as_one_at_a_time),
		cmocka_unit_test(a_flow_begun_in_a_burst_is_found_in_it),
		cmocka_unit_test(wild_packet_times_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
