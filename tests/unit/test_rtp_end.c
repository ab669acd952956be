/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* The end of a call: what came after it is cut, and what goes on is not kept. */
#include "rtp_help.h"

#define END (INT64_MAX - 1)

static const struct endpoint *caller(void)
{
	static struct endpoint e;
	e = ep(1, 4000);
	return &e;
}

static struct talker voice(int64_t at_ns)
{
	return talker(ep(2, 5000), *caller(), 0xabc, at_ns);
}

/* ---- cutting ---- */

/* `sent` packets, of which those after the first `keep` came after the end. */
static void cut_after(unsigned sent, unsigned keep, bool twice)
{
	struct rig *r = rig_new(rig_config());
	struct talker t = voice(T0);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	for (unsigned n = 0; n < sent; n++) {
		(void)talk(r, &t);
		if (twice)
			talk_again(r, &t, 0, MS);
	}
	int64_t until_ns = T0 + (int64_t)(keep - 1) * 20 * MS + 5 * MS;
	rig_forget(r, 1, until_ns);
	const struct stream_record *s = record(r, 0);
	assert_int_equal(s->packets, keep);
	assert_int_equal(s->bytes, keep * 160);
	assert_int_equal(s->lost, 0);
	assert_int_equal(s->duplicates, twice ? keep : 0);
	assert_int_equal(s->cut, sent - keep);
	assert_int_equal(s->until_us, until_ns / 1000);
	assert_int_equal(s->end_us, T0 / 1000 + (int64_t)(keep - 1) * 20000);
	assert_true(s->complete);
	expect_count(r, RTP_CUT, sent - keep);
	uint64_t after = 0;
	for (size_t i = 0; i < r->kept_count; i++)
		after += r->kept[i].arrival_us > s->until_us;
	/* What a chunk handed over holds is beyond the end by what the record says. */
	assert_int_equal(r->kept_count, keep + after);
	assert_true(after <= (sent - 1) / 50 * 50 -
				     (keep < (sent - 1) / 50 * 50 ? keep : (sent - 1) / 50 * 50));
	rig_free(r);
}

static void frames_after_the_end_are_cut(void **state)
{
	(void)state;
	cut_after(40, 40, false);
	cut_after(40, 39, false);
	cut_after(40, 20, false);
	cut_after(40, 1, false);
	cut_after(140, 120, false);
	cut_after(40, 30, true);
	cut_after(90, 80, true);
}

static void frames_after_the_end_in_a_closed_chunk_are_taken_from_the_figures(void **state)
{
	(void)state;
	for (unsigned beyond = 1; beyond < 6; beyond++)
		for (unsigned keep = beyond < 3 ? 45 : 48; keep <= 50; keep++) {
			cut_after(50 + beyond, keep, false);
			cut_after(50 + beyond, keep, true);
		}
}

static void the_figures_before_the_end_are_exact_under_loss_and_reordering(void **state)
{
	(void)state;
	seed_show("cut");
	for (int round = 0; round < 300; round++) {
		struct rig *r = rig_new(rig_config());
		struct talker t = voice(T0);
		unsigned keep = 60 + rnd_below(200), sent = keep + 1 + rnd_below(10);
		uint64_t packets = 0, reordered = 0, events = 0;
		unsigned highest = 0, gone = 0;
		static uint8_t came[400];
		memset(came, 0, sizeof came);
		rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
		for (unsigned i = 0; i < sent; i++) {
			unsigned n = i < 20 ? i : i - rnd_below(5); /* repeats are copies */
			if (i >= 20 && rnd_below(5) == 0)
				continue;
			struct talker c = t;
			c.seq = (uint16_t)(t.seq + n);
			c.timestamp += n * 160;
			c.at_ns = T0 + i * 20 * MS;
			if (n % 29 == 7)
				c.type = 101;
			(void)talk(r, &c);
			if (i >= keep || came[n])
				continue;
			came[n] = 1;
			events += c.type == 101;
			packets += c.type != 101;
			reordered += n < highest && c.type != 101;
			highest = n > highest ? n : highest;
		}
		for (unsigned n = 0; n <= highest; n++)
			gone += !came[n];
		rig_forget(r, 1, T0 + (int64_t)(keep - 1) * 20 * MS);
		const struct stream_record *s = record(r, 0);
		assert_int_equal(s->packets, packets);
		assert_int_equal(s->bytes, packets * 160);
		assert_int_equal(s->reordered, reordered);
		/* Packets that are no audio are only looked at when audio came after the end as
		 * well. */
		if (s->cut > 0) {
			assert_int_equal(s->events, events);
			assert_int_equal(s->lost, gone);
		}
		rig_free(r);
	}
}

/* Nothing is both: recorded + dropped + cut is what came. */
static void what_was_dropped_before_it_was_known_to_be_late_is_not_cut_too(void **state)
{
	(void)state;
	for (unsigned keep = 100; keep <= 110; keep += 5) {
		struct rig *r = rig_new(rig_config());
		struct talker t = voice(T0);
		rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
		talk_n(r, &t, 100);
		t.at_ns += 2000 * MS;
		talk_n(r, &t, 10); /* a chunk of its own */
		r->refuse = true;
		t.at_ns += 2000 * MS;
		talk_n(r, &t, 1);
		r->refuse = false;
		expect_count(r, FRAMES_IN_DROPPED_CHUNKS, 10);
		rig_forget(r, 1, T0 + (int64_t)(keep - 1) * 20 * MS + (keep > 100 ? 2000 : 0) * MS);
		const struct stream_record *s = record(r, 0);
		assert_int_equal(s->packets, keep);
		assert_int_equal(s->bytes, keep * 160);
		assert_int_equal(s->dropped, keep - 100);
		assert_int_equal(s->complete, keep == 100);
		assert_int_equal(s->cut, 1);
		assert_int_equal(r->kept_count, 100);
		expect_count(r, RTP_CUT, 1);
		rig_free(r);
	}
}

static void a_stream_all_after_the_end_never_was(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	struct talker t = voice(T0 + 100 * MS);
	talk_n(r, &t, 10);
	rig_forget(r, 1, T0 + 50 * MS);
	assert_int_equal(r->records_count, 0);
	assert_int_equal(r->chunks, 0);
	expect_count(r, RTP_CUT, 10);
	/* Its buffer came back. */
	talk_n(r, &t, 10);
	expect_count(r, RTP_AFTER_END, 10);
	rig_free(r);
}

static void buffers_come_back_from_cut_streams(void **state)
{
	(void)state;
	struct media_config cfg = rig_config();
	cfg.buffers = 1;
	struct rig *r = rig_new(cfg);
	for (uint64_t call = 1; call < 20; call++) {
		struct talker t = voice(T0 + (int64_t)call * 60 * NS_PER_S);
		rig_expect(r, call, *caller(), TRACK_CALLER, T0);
		talk_n(r, &t, 3);
		rig_forget(r, call, t.at_ns - 1000 * MS);
	}
	expect_count(r, RTP_NO_BUFFER, 0);
	rig_free(r);
}

static void media_that_moves_ends_at_the_old_endpoint(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint moved = ep(1, 4444);
	struct talker t = voice(T0);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	talk_n(r, &t, 50);
	struct media_expect e = expectation(1, moved, TRACK_CALLER, T0);
	e.stream_base = 100;
	media_expect(r->media, &e);
	rig_forget_at(r, 1, *caller(), t.at_ns - 30 * MS); /* one frame too many */
	assert_int_equal(record(r, 0)->packets, 49);
	t.dst = moved;
	talk_n(r, &t, 50);
	rig_forget(r, 1, END);
	assert_int_equal(r->records_count, 2);
	assert_int_equal(record(r, 1)->stream, 100);
	assert_int_equal(record(r, 1)->packets, 50);
	rig_free(r);
}

static void media_that_comes_back_to_an_endpoint_is_kept(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = voice(T0);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	talk_n(r, &t, 50);
	rig_forget_at(r, 1, *caller(), t.at_ns); /* on hold, for example */
	talk_n(r, &t, 50);
	expect_count(r, RTP_AFTER_END, 50);
	struct media_expect e = expectation(1, *caller(), TRACK_CALLER, T0);
	e.stream_base = 100;
	media_expect(r->media, &e);
	talk_n(r, &t, 50);
	rig_forget(r, 1, END);
	assert_int_equal(r->kept_count, 100);
	expect_count(r, RTP_AFTER_END, 50);
	rig_free(r);
}

/* ---- going on ---- */

static void a_flow_that_goes_on_is_after_the_end(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = voice(T0);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	talk_n(r, &t, 100);
	rig_forget(r, 1, t.at_ns);
	for (int i = 0; i < 3000; i++) { /* a minute */
		assert_int_equal(talk(r, &t), MEDIA_TAKEN);
		if (i % 100 == 0)
			talk_again(r, &t, 3, MS); /* mirrored */
		if (i % 37 == 0)
			talk_lost(&t);
	}
	expect_count(r, RTP_AFTER_END, 3030);
	assert_int_equal(r->kept_count, 100);
	assert_int_equal(r->records_count, 1);
	rig_free(r);
}

static void a_pause_of_the_flow_is_bridged(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = voice(T0);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	talk_n(r, &t, 100);
	rig_forget(r, 1, t.at_ns);
	t.at_ns += 20 * NS_PER_S; /* silence: timestamps go on, numbers do not */
	t.timestamp += 20 * 8000;
	talk_n(r, &t, 10);
	t.at_ns += 20 * NS_PER_S; /* lost: both go on */
	t.timestamp += 20 * 8000;
	t.seq = (uint16_t)(t.seq + 1000);
	talk_n(r, &t, 10);
	expect_count(r, RTP_AFTER_END, 20);
	rig_free(r);
}

static void it_is_forgotten_after_half_a_minute_of_silence(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = voice(T0);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	talk_n(r, &t, 100);
	rig_forget(r, 1, t.at_ns);
	media_tick(r->media, t.at_ns + 31 * NS_PER_S);
	t.at_ns += 31 * NS_PER_S;
	t.timestamp += 31 * 8000;
	assert_int_equal(talk(r, &t), MEDIA_UNKNOWN);
	expect_count(r, RTP_AFTER_END, 0);
	rig_free(r);
}

/* The old call's audio runs on while the next call uses the endpoint, 200 ms later. */
static void reuse(uint32_t old_ssrc, uint32_t new_ssrc, struct endpoint new_src, uint16_t new_seq)
{
	struct rig *r = rig_new(rig_config());
	struct talker old = voice(T0);
	old.ssrc = old_ssrc;
	old.seq = 30000;
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	talk_n(r, &old, 100);
	rig_forget(r, 1, old.at_ns - 10 * MS);
	talk_n(r, &old, 10);
	rig_expect(r, 2, *caller(), TRACK_CALLER, old.at_ns);
	struct talker fresh = talker(new_src, *caller(), new_ssrc, old.at_ns);
	fresh.seq = new_seq;
	fresh.timestamp = 77777777;
	for (int i = 0; i < 200; i++) {
		(void)talk(r, &old);
		(void)talk(r, &fresh);
	}
	rig_forget(r, 2, END);
	assert_int_equal(r->records_count, 2);
	assert_int_equal(record(r, 0)->packets, 100);
	assert_int_equal(record(r, 1)->call, 2);
	assert_int_equal(record(r, 1)->packets, 200);
	assert_int_equal(record(r, 1)->ssrc, new_ssrc);
	assert_int_equal(record(r, 1)->lost + record(r, 1)->reordered, 0);
	expect_count(r, RTP_AFTER_END, 210);
	rig_free(r);
}

static void the_next_call_gets_nothing_of_it(void **state)
{
	(void)state;
	reuse(1, 2, ep(3, 5000), 0);     /* another party, another SSRC */
	reuse(1, 1, ep(3, 5000), 30100); /* one SSRC for all calls */
	reuse(1, 2, ep(2, 5000), 30100); /* the same party calls again */
	reuse(1, 1, ep(2, 5000), 0);     /* the same party and SSRC */
	reuse(1, 1, ep(2, 5000), 65000);
	reuse(1, 1, ep(2, 5000), 31000);
}

static void a_sender_that_begins_each_call_at_zero_is_heard(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	int64_t now = T0;
	for (uint64_t call = 1; call <= 10; call++) {
		struct talker t = voice(now);
		t.seq = 0;
		t.timestamp = 0;
		rig_expect(r, call, *caller(), TRACK_CALLER, now);
		talk_n(r, &t, 8); /* a very short call */
		rig_forget(r, call, t.at_ns);
		now = t.at_ns + 200 * MS;
	}
	assert_int_equal(r->kept_count, 80);
	expect_count(r, RTP_AFTER_END, 0);
	rig_free(r);
}

static void audio_of_the_next_call_waits_in_the_pen_beside_it(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker old = voice(T0);
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	talk_n(r, &old, 100);
	rig_forget(r, 1, old.at_ns);
	struct talker fresh = voice(old.at_ns);
	fresh.seq = 40000;
	int64_t invite = fresh.at_ns;
	for (int i = 0; i < 20; i++) { /* 400 ms ahead of the answer */
		assert_int_equal(talk(r, &old), MEDIA_TAKEN);
		assert_int_equal(talk(r, &fresh), MEDIA_UNKNOWN);
	}
	rig_expect(r, 2, *caller(), TRACK_CALLER, invite);
	talk_n(r, &fresh, 5);
	rig_forget(r, 2, END);
	assert_int_equal(record(r, 1)->packets, 25);
	expect_count(r, PEN_RELEASED, 20);
	expect_count(r, RTP_AFTER_END, 20);
	rig_free(r);
}

static void what_is_remembered_is_bounded(void **state)
{
	(void)state;
	struct media_config cfg = rig_config();
	cfg.max_streams = 8;
	struct rig *r = rig_new(cfg);
	struct talker talkers[40];
	for (unsigned n = 0; n < 40; n++) {
		talkers[n] = talker(ep(2, (uint16_t)(5000 + n)), *caller(), n, T0 + n * MS);
		rig_expect(r, n, *caller(), TRACK_CALLER, T0);
		(void)talk(r, &talkers[n]);
		rig_forget(r, n, END);
		if (n >= 1) /* the first stays, for it is heard */
			(void)talk(r, &talkers[0]);
	}
	expect_count(r, RTP_AFTER_END, 39);
	expect_count(r, RTP_STREAM_LIMIT, 0);
	for (unsigned n = 1; n < 40; n++)
		(void)talk(r, &talkers[n]);
	expect_count(r, RTP_AFTER_END, 39 + 7);
	rig_free(r);
}

static void many_ssrcs_on_one_flow_are_bounded_too(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	for (unsigned n = 0; n < 200; n++) {
		struct talker t = voice(T0 + n * MS);
		t.ssrc = n;
		rig_expect(r, n, *caller(), TRACK_CALLER, T0);
		(void)talk(r, &t);
		r->done_count = r->records_count = 0;
		rig_forget(r, n, END);
	}
	for (unsigned n = 0; n < 200; n++) {
		struct talker t = voice(T0 + 300 * MS);
		t.ssrc = n;
		t.seq++;
		assert_int_equal(talk(r, &t), n < 200 - STREAM_BLOCK ? MEDIA_UNKNOWN : MEDIA_TAKEN);
	}
	expect_count(r, RTP_AFTER_END, STREAM_BLOCK);
	rig_free(r);
}

static void events_go_on_too(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = voice(T0);
	t.type = 101; /* nothing but digits */
	rig_expect(r, 1, *caller(), TRACK_CALLER, T0);
	talk_n(r, &t, 20);
	rig_forget(r, 1, t.at_ns);
	talk_n(r, &t, 20);
	expect_count(r, RTP_AFTER_END, 20);
	assert_int_equal(record(r, 0)->packets, 0);
	assert_int_equal(record(r, 0)->events, 20);
	assert_int_equal(record(r, 0)->lost, 0);
	rig_free(r);
}

/* Calls begin and end on few endpoints with few SSRCs; the laws hold, and no frame is kept in a
 * call outside its time. */
static void random_calls_keep_to_their_time(void **state)
{
	(void)state;
	seed_show("calls");
	for (int round = 0; round < 10; round++) {
		struct media_config cfg = rig_config();
		cfg.max_streams = 6 + rnd_below(40);
		cfg.max_expects = 3 + rnd_below(10);
		struct rig *r = rig_new(cfg);
		struct talker t[12];
		int64_t now = T0, from[400], until[400];
		uint64_t calls = 0, open = 0;
		memset(from, 0, sizeof from);
		memset(until, 0, sizeof until);
		for (unsigned n = 0; n < 12; n++) {
			t[n] = talker(ep((uint8_t)(n % 4), 4000), ep((uint8_t)(n / 3), 4000),
				      1 + n % 2, T0);
			t[n].seq = (uint16_t)rnd();
		}
		for (int step = 0; step < 6000; step++) {
			unsigned n = rnd_below(12);
			now += MS;
			t[n].at_ns = now;
			(void)talk(r, &t[n]);
			if (rnd_below(50) == 0)
				t[n].seq = (uint16_t)rnd();
			if (rnd_below(30) == 0 && calls < 399) {
				if (rnd_below(2) || open == calls)
					from[++calls] = now;
				rig_expect(r, calls, ep((uint8_t)rnd_below(4), 4000),
					   (uint8_t)rnd_below(2), from[calls]);
			}
			if (rnd_below(60) == 0 && open < calls) {
				until[++open] = now - (int64_t)rnd_below(50) * MS;
				r->done_count = r->records_count = 0;
				rig_forget(r, open, until[open]);
			}
			if (rnd_below(200) == 0)
				rig_forget_at(r, calls, ep((uint8_t)rnd_below(4), 4000), now);
			r->records_count = 0;
			rig_law(r);
		}
		while (open < calls) {
			r->done_count = r->records_count = 0;
			until[++open] = now;
			rig_forget(r, open, now);
		}
		assert_int_equal(media_streams(r->media), 0);
		for (size_t i = 0; i < r->kept_count; i++) {
			const struct kept *k = &r->kept[i];
			assert_true(k->arrival_us >= from[k->call] / 1000);
			/* A second at most may have been handed over before the end was known. */
			assert_true(k->arrival_us <= until[k->call] / 1000 + 1000000);
		}
		rig_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_after_the_end_are_cut),
		cmocka_unit_test(frames_after_the_end_in_a_closed_chunk_are_taken_from_the_figures),
		cmocka_unit_test(the_figures_before_the_end_are_exact_under_loss_and_reordering),
		cmocka_unit_test(what_was_dropped_before_it_was_known_to_be_late_is_not_cut_too),
		cmocka_unit_test(a_stream_all_after_the_end_never_was),
		cmocka_unit_test(buffers_come_back_from_cut_streams),
		cmocka_unit_test(media_that_moves_ends_at_the_old_endpoint),
		cmocka_unit_test(media_that_comes_back_to_an_endpoint_is_kept),
		cmocka_unit_test(a_flow_that_goes_on_is_after_the_end),
		cmocka_unit_test(a_pause_of_the_flow_is_bridged),
		cmocka_unit_test(it_is_forgotten_after_half_a_minute_of_silence),
		cmocka_unit_test(the_next_call_gets_nothing_of_it),
		cmocka_unit_test(a_sender_that_begins_each_call_at_zero_is_heard),
		cmocka_unit_test(audio_of_the_next_call_waits_in_the_pen_beside_it),
		cmocka_unit_test(what_is_remembered_is_bounded),
		cmocka_unit_test(many_ssrcs_on_one_flow_are_bounded_too),
		cmocka_unit_test(events_go_on_too),
		cmocka_unit_test(random_calls_keep_to_their_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
