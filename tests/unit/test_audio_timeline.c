/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_audio_timeline.c: every frame recorded is heard, to the sample, at its true time.
 *
 * SEED in the environment repeats a run.
 */
#include "audio_help.h"

#include "audio/place.h"

/* ---- the network ------------------------------------------------------------------------------- */

static void two_tracks(unsigned ptime_ms, unsigned loss_percent, unsigned jitter_us)
{
	struct sender caller = sender_new(ptime_ms, loss_percent, jitter_us);
	struct sender callee = sender_new(ptime_ms, loss_percent, jitter_us);
	callee.now_us += 1234567;
	callee.sequence = 65536 + 65500; /* both numbers wrap */
	callee.timestamp = UINT32_MAX - 20000;
	say(&caller, 12000);
	say(&callee, 9000);
	struct timeline *t = timeline_new();
	record(t, &callee, TRACK_CALLEE);
	record(t, &caller, TRACK_CALLER);
	struct heard h = render(t);
	assert_int_equal(h.summary.rate, RATE);
	check(&h, TRACK_CALLER, &caller);
	check(&h, TRACK_CALLEE, &callee);
	heard_free(&h);
	timeline_free(t);
	free(caller.sent);
	free(callee.sent);
}

static void tracks_keep_their_true_offset_whatever_the_network_does(void **ctx)
{
	static const unsigned ptimes[] = { 10, 20, 30, 40, 60 }, losses[] = { 0, 5, 25 },
			      jitters[] = { 0, 15000, 60000 };
	(void)ctx;
	for (size_t p = 0; p < 5; p++)
		for (size_t l = 0; l < 3; l++)
			for (size_t j = 0; j < 3; j++)
				two_tracks(ptimes[p], losses[l], jitters[j]);
}

static void recording_begins_at_the_first_frame_of_either_track(void **ctx)
{
	(void)ctx;
	struct sender caller = sender_new(20, 0, 0), callee = sender_new(20, 0, 0);
	caller.now_us += 700000;
	say(&caller, 1000);
	say(&callee, 1000);
	struct timeline *t = timeline_new();
	record(t, &caller, TRACK_CALLER);
	record(t, &callee, TRACK_CALLEE);
	struct heard h = render(t);
	assert_int_equal(h.summary.zero_us, BASE_US + DELAY_US);
	assert_int_equal(h.summary.samples, 1700 * RATE / 1000);
	assert_true(stands_at(&h, TRACK_CALLER, &caller.sent[0], 5600));
	assert_true(stands_at(&h, TRACK_CALLEE, &callee.sent[0], 0));
	heard_free(&h);
	timeline_free(t);
	free(caller.sent);
	free(callee.sent);
}

static void loss_in_bursts_is_silence_of_the_same_length(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 0, 30000);
	say(&s, 20000);
	unsigned lost = 0;
	for (size_t i = 100; i < 900; i += 100)
		for (size_t k = 0; k < i / 20; k++, lost++)
			s.sent[i + k].lost = true;
	struct timeline *t = timeline_new();
	record(t, &s, TRACK_CALLER);
	struct heard h = render(t);
	check(&h, TRACK_CALLER, &s);
	assert_int_equal(h.summary.gaps_samples[TRACK_CALLER], lost * 160);
	assert_int_equal(h.summary.samples, 20 * RATE);
	heard_free(&h);
	timeline_free(t);
	free(s.sent);
}

/* A radio link stands still for a while and then delivers all that waited at once. */
static void frames_held_up_and_delivered_at_once_stand_where_they_were_said(void **ctx)
{
	(void)ctx;
	for (unsigned stall_ms = 100; stall_ms <= 6000; stall_ms += 590) {
		struct sender s = sender_new(20, 5, 20000);
		say(&s, 20000);
		int64_t from = s.sent[300].truth_us, to = from + stall_ms * INT64_C(1000);
		for (size_t i = 300; i < s.count && s.sent[i].truth_us < to; i++)
			s.sent[i].arrival_us = to + DELAY_US + (int64_t)(i - 300) * 200;
		check_alone(&s, 0);
	}
}

static void clock_that_is_fast_or_slow_is_put_right_in_gaps(void **ctx)
{
	(void)ctx;
	for (int ppm = -200; ppm <= 200; ppm += 100) {
		struct sender s = sender_new(20, 2, 30000);
		s.skew_ppm = ppm;
		say(&s, 15 * 60000);
		struct timeline *t = timeline_new();
		record(t, &s, TRACK_CALLER);
		struct heard h = render(t);
		assert_true(check_near(&h, TRACK_CALLER, &s, NEAR_US) <= 20);
		heard_free(&h);
		timeline_free(t);
		free(s.sent);
	}
}

static void slow_clock_that_never_rests_stays_within_its_limit(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 0, 20000);
	s.skew_ppm = -200;
	say(&s, 30 * 60000);
	struct timeline *t = timeline_new();
	record(t, &s, TRACK_CALLER);
	struct heard h = render(t);
	unsigned steps = check_near(&h, TRACK_CALLER, &s, 120000);
	assert_in_range(steps, 2, 5);
	heard_free(&h);
	timeline_free(t);
	free(s.sent);
}

/* ---- the sender's clock -------------------------------------------------------------------------- */

static void timestamp_jump_without_a_pause_moves_nothing(void **ctx)
{
	(void)ctx;
	static const int32_t jumps[] = { 2000,   -2000,   8000,    -8000,
					 160000, -160000, 1 << 30, INT32_MIN };
	for (size_t k = 0; k < 8; k++) {
		struct sender s = sender_new(20, 0, 25000);
		say(&s, 5000);
		s.timestamp += (uint32_t)jumps[k];
		if (k & 1)
			s.sequence += 3000; /* a restarted sender counts anew */
		say(&s, 5000);
		check_alone(&s, 1);
	}
}

static void hold_is_silence_whether_the_clock_runs_or_stands(void **ctx)
{
	(void)ctx;
	for (int runs = 0; runs < 2; runs++) {
		for (unsigned ms = 400; ms < 30000; ms *= 3) {
			struct sender s = sender_new(20, runs ? 5 : 0, 30000);
			say(&s, 4000);
			pause_ms(&s, ms, runs);
			say(&s, 4000);
			pause_ms(&s, 2 * ms, runs);
			say(&s, 100);
			check_alone(&s, runs ? 0 : 2);
		}
	}
}

static void talk_spurts_keep_their_distance(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 3, 30000);
	for (int i = 0; i < 60; i++) {
		say(&s, 100 + 20 * chance(50));
		pause_ms(&s, 200 + 20 * chance(100), true);
	}
	check_alone(&s, 0);
}

static void one_odd_timestamp_does_not_move_the_others(void **ctx)
{
	(void)ctx;
	for (size_t odd = 0; odd < 200; odd += 33) {
		struct sender s = sender_new(20, 0, 30000);
		say(&s, 4000);
		s.sent[odd].timestamp = chance(UINT32_MAX);
		struct timeline *t = timeline_new();
		record(t, &s, TRACK_CALLER);
		struct heard h = render(t);
		assert_true(check_near(&h, TRACK_CALLER, &s, 60000) <= 2);
		heard_free(&h);
		timeline_free(t);
		free(s.sent);
	}
}

static void last_frame_held_up_is_not_torn_off(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 0, 10000);
	say(&s, 3000);
	s.sent[s.count - 1].arrival_us += 500000;
	check_alone(&s, 0);
}

/* ---- several streams on a track -------------------------------------------------------------------- */

static void media_that_moves_loses_no_sample(void **ctx)
{
	(void)ctx;
	for (int round = 0; round < 20; round++) {
		struct sender a = sender_new(20, 0, 30000), b = sender_new(20, 0, 30000);
		say(&a, 3000);
		b.now_us = a.now_us - 12000; /* the new source begins a little early */
		say(&b, 3000);
		struct timeline *t = timeline_new();
		record(t, &a, TRACK_CALLEE);
		record(t, &b, TRACK_CALLEE);
		struct heard h = render(t);
		int64_t at = 0;
		for (size_t i = 0; i < a.count; i++)
			at = find(&h, TRACK_CALLEE, &a.sent[i], at + 160, NEAR_US);
		for (size_t i = 0; i < b.count; i++)
			at = find(&h, TRACK_CALLEE, &b.sent[i], at + 160, 30000);
		assert_int_equal(h.summary.frames[TRACK_CALLEE], 300);
		heard_free(&h);
		timeline_free(t);
		free(a.sent);
		free(b.sent);
	}
}

static void voices_that_overlap_are_added_and_never_wrap(void **ctx)
{
	(void)ctx;
	struct sender a = sender_new(20, 0, 0), b = sender_new(20, 0, 0);
	say(&a, 1000);
	say(&b, 1000);
	struct timeline *t = timeline_new();
	record(t, &a, TRACK_CALLER);
	record(t, &b, TRACK_CALLER);
	struct heard h = render(t);
	bool clipped = false;
	for (size_t i = 0; i < 50 * 160; i++) {
		int sum = heard_as(a.sent[i / 160].payload[i % 160]) +
			  heard_as(b.sent[i / 160].payload[i % 160]);
		clipped |= sum > INT16_MAX || sum < INT16_MIN;
		sum = sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum;
		assert_int_equal(h.track[0][i], sum);
	}
	assert_true(clipped);
	heard_free(&h);
	timeline_free(t);
	free(a.sent);
	free(b.sent);
}

static void muted_and_foreign_streams_are_not_heard(void **ctx)
{
	(void)ctx;
	struct sender a = sender_new(20, 0, 0), b = sender_new(20, 0, 0);
	b.now_us -= 5000000;
	say(&a, 1000);
	say(&b, 10000);
	struct timeline *t = timeline_new();
	record(t, &a, TRACK_CALLER);
	timeline_mute(t, record(t, &b, TRACK_CALLEE));
	struct stream_record foreign = { .track = TRACK_CALLER, .codec = "PCMU", .foreign = 1 };
	uint8_t body[4096];
	struct sent *first = &b.sent[0];
	assert_int_equal(
		timeline_chunk(t, timeline_stream(t, &foreign), body, encode(&first, 1, body)),
		RC_OK);
	struct heard h = render(t);
	assert_int_equal(h.summary.samples, RATE);
	check(&h, TRACK_CALLER, &a);
	assert_int_equal(sounding(&h, TRACK_CALLEE), 0);
	heard_free(&h);
	timeline_free(t);
	free(a.sent);
	free(b.sent);
}

/* ---- what is heard and what is not ------------------------------------------------------------------ */

static void nothing_after_the_end_of_the_call_is_heard(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 0, 20000);
	say(&s, 4000);
	int64_t until = s.sent[99].arrival_us;
	struct timeline *t = timeline_new();
	int stream = record(t, &s, TRACK_CALLER);
	timeline_until(t, stream, until);
	for (size_t i = 0; i < s.count; i++)
		s.sent[i].lost = s.sent[i].arrival_us > until;
	struct heard h = render(t);
	check(&h, TRACK_CALLER, &s);
	assert_true(h.summary.samples <= 110 * 160);
	heard_free(&h);
	timeline_free(t);
	free(s.sent);
}

static void frame_recorded_twice_is_heard_once(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 0, 0);
	say(&s, 1000);
	struct sent copy = s.sent[10];
	copy.arrival_us += 400000;
	struct sent *p = &copy;
	uint8_t body[4096];
	struct timeline *t = timeline_new();
	int stream = record(t, &s, TRACK_CALLER);
	assert_int_equal(timeline_chunk(t, stream, body, encode(&p, 1, body)), RC_OK);
	struct heard h = render(t);
	check(&h, TRACK_CALLER, &s);
	heard_free(&h);
	timeline_free(t);
	free(s.sent);
}

static void key_presses_and_comfort_noise_are_silence(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 0, 10000);
	say(&s, 4000);
	for (size_t i = 50; i < 60; i++) { /* RFC 4733: all with the first one's timestamp */
		s.sent[i].payload_type = 101;
		s.sent[i].timestamp = s.sent[50].timestamp;
		s.sent[i].len = 4;
	}
	s.sent[80].payload_type = 13;
	s.sent[80].len = 1;
	struct timeline *t = timeline_new();
	record(t, &s, TRACK_CALLER);
	for (size_t i = 50; i < 60; i++)
		s.sent[i].lost = true;
	s.sent[80].lost = true;
	struct heard h = render(t);
	h.summary.frames[0]--; /* comfort noise counts as a frame */
	check(&h, TRACK_CALLER, &s);
	assert_int_equal(h.summary.gaps_samples[0], 11 * 160);
	heard_free(&h);
	timeline_free(t);
	free(s.sent);
}

static void codec_without_a_decoder_is_named(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 0, 0);
	say(&s, 1000);
	for (size_t i = 0; i < s.count; i++)
		s.sent[i].payload_type = 96;
	struct stream_record ilbc = { .track = TRACK_CALLEE,
				      .codec = "ilbc",
				      .clock_rate = 8000,
				      .payload_types = { 96, 101 },
				      .payload_types_count = 2 };
	uint8_t body[4096];
	struct sent *first = &s.sent[0];
	size_t len = encode(&first, 1, body);
	struct timeline *t = timeline_new();
	assert_int_equal(timeline_chunk(t, timeline_stream(t, &ilbc), body, len), RC_OK);
	body[1] = 4;
	assert_int_equal(timeline_chunk(t, timeline_stream(t, &ilbc), body, len), RC_OK);
	struct audio_summary summary;
	struct error err;
	assert_int_equal(timeline_render(t, &summary, &err), RC_NOT_FOUND);
	body[1] = 97;
	assert_int_equal(timeline_chunk(t, timeline_stream(t, &ilbc), body, len), RC_OK);
	assert_int_equal(timeline_render(t, &summary, &err), RC_NOT_FOUND);
	assert_int_equal(summary.undecoded_streams, 3);
	assert_string_equal(summary.undecoded, "iLBC,G723,payload type 97");
	timeline_free(t);
	free(s.sent);
}

static void dynamic_payload_type_is_decoded_by_its_name(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 0, 0);
	say(&s, 20);
	struct stream_record r = { .track = TRACK_CALLEE,
				   .codec = "pcmu",
				   .clock_rate = 16000,
				   .payload_types = { 97, 101 },
				   .payload_types_count = 2 };
	uint8_t body[4096];
	struct sent *first = &s.sent[0];
	first->payload_type = 97;
	struct timeline *t = timeline_new();
	assert_int_equal(timeline_chunk(t, timeline_stream(t, &r), body, encode(&first, 1, body)),
			 RC_OK);
	struct heard h = render(t);
	assert_int_equal(h.summary.rate, 16000);
	assert_true(stands_at(&h, TRACK_CALLEE, first, 0));
	heard_free(&h);
	timeline_free(t);
	free(s.sent);
}

static void g711_follows_the_recommendation(void **ctx)
{
	(void)ctx;
	static const struct {
		uint8_t type, sent;
		int16_t heard;
	} vectors[] = { { 0, 0x00, -32124 }, { 0, 0x80, 32124 }, { 0, 0xff, 0 },
			{ 0, 0x7f, 0 },      { 0, 0xfe, 8 },     { 0, 0x0f, -16764 },
			{ 8, 0xd5, 8 },      { 8, 0x55, -8 },    { 8, 0xaa, 32256 },
			{ 8, 0x2a, -32256 }, { 8, 0xc5, 264 },   { 8, 0x80, 5504 } };
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		struct sent f = { .arrival_us = BASE_US,
				  .sequence = 65536,
				  .len = 1,
				  .payload_type = vectors[i].type,
				  .payload = { vectors[i].sent } };
		struct sent *p = &f;
		uint8_t body[64];
		struct stream_record r = { .codec = "PCMU" };
		struct timeline *t = timeline_new();
		assert_int_equal(
			timeline_chunk(t, timeline_stream(t, &r), body, encode(&p, 1, body)),
			RC_OK);
		struct heard h = render(t);
		assert_int_equal(h.track[0][0], vectors[i].heard);
		heard_free(&h);
		timeline_free(t);
	}
}

/* ---- what a hostile sender chooses -------------------------------------------------------------------- */

static void body_that_contradicts_itself_is_damage(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 0, 0);
	say(&s, 200);
	struct sent *f[10] = { NULL };
	for (size_t i = 0; i < 10; i++)
		f[i] = &s.sent[i];
	uint8_t body[4096];
	size_t len = encode(f, 10, body);
	struct timeline *t = timeline_new();
	struct stream_record r = { .codec = "PCMU" };
	int stream = timeline_stream(t, &r);
	assert_int_equal(timeline_chunk(t, stream, body, len - 100), RC_DAMAGED);
	assert_int_equal(timeline_chunk(t, stream, body, 20), RC_DAMAGED);
	assert_int_equal(timeline_chunk(t, stream, body, 0), RC_DAMAGED);
	timeline_free(t);
	free(s.sent);
}

static void recording_of_more_than_two_days_is_refused(void **ctx)
{
	(void)ctx;
	struct sender s = sender_new(20, 0, 0);
	say(&s, 40);
	s.sent[1].arrival_us += INT64_C(49) * 3600 * 1000000;
	struct timeline *t = timeline_new();
	record(t, &s, TRACK_CALLER);
	struct audio_summary summary;
	struct error err;
	assert_int_equal(timeline_render(t, &summary, &err), RC_FAILED);
	assert_non_null(strstr(err.text, "48 hours"));
	s.sent[1].arrival_us = INT64_MIN;
	record(t, &s, TRACK_CALLER);
	assert_int_equal(timeline_render(t, &summary, &err), RC_FAILED);
	timeline_free(t);
	free(s.sent);
}

static void no_timestamp_moves_a_frame_far_from_its_arrival(void **ctx)
{
	(void)ctx;
	for (int round = 0; round < 300; round++) {
		struct placed f[600] = { 0 };
		size_t n = 1 + chance(600);
		uint32_t wild = 1 + chance(20);
		int64_t arrival = 0;
		for (size_t i = 0; i < n; i++) {
			arrival += chance(wild) ? 160 : chance(4000);
			f[i].sequence =
				i == 0 ? 65536
				       : f[i - 1].sequence + (chance(wild) ? 1 : chance(70000));
			f[i].timestamp = chance(wild) ? (uint32_t)i * 160 : chance(UINT32_MAX);
			f[i].arrival = arrival + (chance(wild) ? chance(400) : chance(90000));
			f[i].samples = chance(wild) ? 160 : chance(65536);
		}
		assert_true(place_stream(f, n, RATE));
		for (size_t i = 0; i < n; i++)
			assert_in_range(f[i].at - f[i].arrival + 12 * RATE, 0, 24 * RATE);
	}
}

static void random_bodies_are_rendered_or_refused(void **ctx)
{
	(void)ctx;
	for (int round = 0; round < 500; round++) {
		struct sender s = sender_new(20, 0, 50000);
		say(&s, 20 * (1 + chance(50)));
		struct sent *f[FRAMES_A_CHUNK] = { NULL };
		for (size_t i = 0; i < s.count; i++)
			f[i] = &s.sent[i];
		uint8_t *body = malloc(FRAMES_A_CHUNK * (PAYLOAD_MAX + 32) + 40);
		assert_non_null(body);
		size_t len = encode(f, s.count, body);
		for (unsigned k = chance(20); k > 0; k--)
			body[1 + chance((uint32_t)(chance(2) ? 40 + 4 * s.count : len) - 1)] ^=
				(uint8_t)(1 << chance(8));
		struct timeline *t = timeline_new();
		struct stream_record r = { .codec = "PCMA",
					   .payload_types = { 8 },
					   .payload_types_count = 1 };
		enum rc rc = timeline_chunk(t, timeline_stream(t, &r), body, len);
		assert_true(rc == RC_OK || rc == RC_DAMAGED);
		struct audio_summary summary;
		struct error err;
		rc = timeline_render(t, &summary, &err);
		assert_true(rc == RC_OK || rc == RC_FAILED || rc == RC_NOT_FOUND);
		timeline_free(t);
		free(body);
		free(s.sent);
	}
}

int main(void)
{
	const char *seed = getenv("SEED");
	state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	print_message("SEED=%" PRIu64 "\n", state);
	state = state * UINT64_C(0x9e3779b97f4a7c15) + 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g711_follows_the_recommendation),
		cmocka_unit_test(recording_begins_at_the_first_frame_of_either_track),
		cmocka_unit_test(tracks_keep_their_true_offset_whatever_the_network_does),
		cmocka_unit_test(loss_in_bursts_is_silence_of_the_same_length),
		cmocka_unit_test(frames_held_up_and_delivered_at_once_stand_where_they_were_said),
		cmocka_unit_test(clock_that_is_fast_or_slow_is_put_right_in_gaps),
		cmocka_unit_test(slow_clock_that_never_rests_stays_within_its_limit),
		cmocka_unit_test(timestamp_jump_without_a_pause_moves_nothing),
		cmocka_unit_test(hold_is_silence_whether_the_clock_runs_or_stands),
		cmocka_unit_test(talk_spurts_keep_their_distance),
		cmocka_unit_test(one_odd_timestamp_does_not_move_the_others),
		cmocka_unit_test(last_frame_held_up_is_not_torn_off),
		cmocka_unit_test(media_that_moves_loses_no_sample),
		cmocka_unit_test(voices_that_overlap_are_added_and_never_wrap),
		cmocka_unit_test(muted_and_foreign_streams_are_not_heard),
		cmocka_unit_test(nothing_after_the_end_of_the_call_is_heard),
		cmocka_unit_test(frame_recorded_twice_is_heard_once),
		cmocka_unit_test(key_presses_and_comfort_noise_are_silence),
		cmocka_unit_test(codec_without_a_decoder_is_named),
		cmocka_unit_test(dynamic_payload_type_is_decoded_by_its_name),
		cmocka_unit_test(body_that_contradicts_itself_is_damage),
		cmocka_unit_test(recording_of_more_than_two_days_is_refused),
		cmocka_unit_test(no_timestamp_moves_a_frame_far_from_its_arrival),
		cmocka_unit_test(random_bodies_are_rendered_or_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
