/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_audio_tracks.c: codecs together: tracks of two rates, codecs that change, losses, copies, what is never heard. */
#include "codec_help.h"

#include <spandsp.h>

static void tracks_of_two_rates_are_heard_at_the_higher(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("L16", DYNAMIC, 16000),
			     other = stream_of("PCMA", 8, 8000);
	struct said s = begin(&r, 320);
	other.track = TRACK_CALLEE;
	struct said low = { s.timeline, timeline_stream(s.timeline, &other), 160, 0, 0, 0 };
	int16_t pcm[160 * PACKETS];
	tone(pcm, 160 * PACKETS, HZ, 8000);
	for (int i = 0; i < PACKETS; i++) {
		uint8_t silence[640] = { 0 }, payload[160];
		for (int k = 0; k < 160; k++)
			payload[k] = linear_to_alaw(pcm[160 * i + k]);
		said(&s, silence, sizeof silence);
		said_type(&low, 8, payload, sizeof payload);
	}
	struct heard h = render(s.timeline);
	assert_int_equal(h.summary.rate, 16000);
	assert_int_equal(h.summary.samples, 320 * PACKETS);
	assert_true(tone_over_rest_db(h.track[1] + 3200, 320 * PACKETS - 6400, HZ, 16000) > 30.0);
	/* In phase: the tone begins where it began. */
	for (int i = 400; i < 320 * PACKETS - 400; i++)
		assert_in_range(h.track[1][i] - (int)(8000.0 * sin(2.0 * M_PI * HZ * i / 16000)) +
					600,
				0, 1200);
	done(&s, &h);
}

static void codec_may_change_in_mid_stream_and_back(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("PCMU", 0, 8000);
	struct said s = begin(&r, 160);
	g722_encode_state_t *e = g722_encode_init(NULL, 64000, 0);
	int16_t wide[320], narrow[160];
	tone(wide, 320, 400.0, 16000);
	tone(narrow, 160, 400.0, 8000);
	for (int i = 0; i < 150; i++) {
		uint8_t payload[160];
		bool g722 = i / 50 == 1;
		g722_encode(e, payload, wide, 320);
		for (int k = 0; !g722 && k < 160; k++)
			payload[k] = linear_to_ulaw(narrow[k]);
		said_type(&s, g722 ? 9 : 0, payload, sizeof payload);
	}
	g722_encode_free(e);
	struct heard h = render(s.timeline);
	assert_int_equal(h.summary.rate, 16000);
	assert_int_equal(h.summary.samples, 150 * 320);
	assert_int_equal(h.summary.gaps_samples[0], 0);
	for (size_t part = 0; part < 3; part++)
		assert_true(tone_over_rest_db(h.track[0] + part * 16000 + 3200, 9600, 400.0,
					      16000) > 20.0);
	done(&s, &h);
}

/* A loss of 40 ms in a tone: silence as a rule, and with concealment something that is no silence, for every codec. */
static void loss_is_concealed_only_when_wanted(void **ctx)
{
	(void)ctx;
	for (int conceal = 0; conceal < 2; conceal++) {
		struct stream_record r = stream_of("PCMU", 0, 8000);
		struct said s = begin(&r, 160);
		timeline_conceal(s.timeline, conceal);
		s.lost_from = 50;
		s.lost_to = 52;
		int16_t pcm[160 * PACKETS];
		tone(pcm, 160 * PACKETS, 200.0, 8000);
		for (int i = 0; i < PACKETS; i++) {
			uint8_t payload[160];
			for (int k = 0; k < 160; k++)
				payload[k] = linear_to_ulaw(pcm[160 * i + k]);
			said_type(&s, 0, payload, sizeof payload);
		}
		struct heard h = render(s.timeline);
		assert_int_equal(h.summary.gaps_samples[0], 320);
		assert_int_equal(h.summary.concealed_samples[0], conceal ? 320 : 0);
		double power = 0.0;
		for (int i = 0; i < 160; i++)
			power += pow(h.track[0][50 * 160 + i], 2) / 160;
		assert_true(conceal ? power > 2000.0 * 2000.0 : power == 0.0);
		/* A steady tone goes on in phase, and the frame after the loss joins it. */
		for (int i = 49 * 160; conceal && i < 50 * 160 + 80; i++)
			assert_in_range(h.track[0][i] - pcm[i] + 800, 0, 1600);
		for (int i = 53 * 160; i < 54 * 160; i++)
			assert_in_range(h.track[0][i] - pcm[i] + 300, 0, 600);
		done(&s, &h);
	}
}

static void codecs_own_concealment_goes_on_with_the_tone(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("opus", DYNAMIC, 48000);
	struct said s = begin(&r, 960);
	timeline_conceal(s.timeline, true);
	s.lost_from = 50;
	s.lost_to = 53;
	int16_t pcm[960 * PACKETS];
	tone(pcm, 960 * PACKETS, HZ, 48000);
	opus_says(&s, opus_sender(1, 48000), pcm, 1, PACKETS);
	struct heard h = render(s.timeline);
	assert_int_equal(h.summary.concealed_samples[0], 3 * 960);
	double power = 0.0;
	for (int i = 0; i < 960; i++)
		power += pow(h.track[0][50 * 960 + i], 2) / 960;
	assert_true(power > 2000.0 * 2000.0);
	done(&s, &h);
}

static void comfort_noise_is_silence_and_key_presses_are_not_heard(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("PCMU", 0, 8000);
	r.events = 1;
	r.payload_types[1] = 13;
	r.payload_types[2] = 101;
	r.payload_types_count = 3;
	struct said s = begin(&r, 160);
	uint8_t loud[160], event[4] = { 5, 10, 0, 160 }, noise[1] = { 70 };
	memset(loud, 0x80, sizeof loud);
	for (int i = 0; i < 10; i++)
		said_type(&s, 0, loud, sizeof loud);
	for (int i = 0; i < 10; i++)
		said_type(&s, 13, noise, sizeof noise);
	for (int i = 0; i < 10; i++)
		said_type(&s, 101, event, sizeof event);
	for (int i = 0; i < 10; i++)
		said_type(&s, 0, loud, sizeof loud);
	struct heard h = render(s.timeline);
	assert_int_equal(h.summary.undecoded_streams, 0);
	assert_int_equal(h.summary.samples, 40 * 160);
	assert_int_equal(sounding(&h, TRACK_CALLER), 20 * 160);
	done(&s, &h);
}

/* Two capture threads saw the two sides of a relay: other endpoints, one voice. */
static void relayed_stream_is_heard_once(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("PCMU", 0, 8000);
	struct said s = begin(&r, 160), relayed = s;
	relayed.stream = timeline_stream(s.timeline, &r);
	s.lost_from = 20;
	s.lost_to = 25;
	relayed.lost_from = 40;
	relayed.lost_to = 45;
	uint8_t loud[160];
	memset(loud, 0x90, sizeof loud);
	for (int i = 0; i < 60; i++) {
		said_type(&s, 0, loud, sizeof loud);
		said_type(&relayed, 0, loud, sizeof loud);
	}
	struct heard h = render(s.timeline);
	assert_int_equal(h.summary.frames[0], 60);
	assert_int_equal(h.summary.copies[0], 50);
	for (int i = 0; i < 60 * 160; i++)
		assert_int_equal(h.track[0][i], heard_as(0x90));
	heard_free(&h);
	h = render(s.timeline); /* and the same again */
	assert_int_equal(h.summary.frames[0], 60);
	done(&s, &h);
}

/* The flow went to another capture thread and back; packets took longer to come there, which no place shows.  A sender that
 * begins anew is another matter. */
static void flow_that_changes_threads_is_one(void **ctx)
{
	(void)ctx;
	for (int restarted = 0; restarted < 2; restarted++) {
		struct stream_record r = stream_of("PCMU", 0, 8000);
		struct said s = begin(&r, 160);
		int there = timeline_stream(s.timeline, &r);
		uint8_t loud[160];
		memset(loud, 0x90, sizeof loud);
		s.lost_from = 20;
		s.lost_to = 40;
		for (int i = 0; i < 60; i++)
			said_type(&s, 0, loud, sizeof loud);
		for (int i = 20; i < 40; i++) {
			struct packet p = { .number = (uint64_t)i + (restarted ? 10000 : 0),
					    .timestamp = (uint32_t)i * 160,
					    .arrival_us = i * 20000 + 7000,
					    .bytes = loud,
					    .len = sizeof loud };
			record_packet(s.timeline, there, &p);
		}
		struct heard h = render(s.timeline);
		assert_int_equal(h.summary.frames[0], 60);
		assert_int_equal(h.summary.copies[0], 0);
		/* Two streams stand where their arrival puts them: 7 ms apart, then pushed on by as much. */
		assert_int_equal(h.summary.samples, 60 * 160 + (restarted ? 56 : 0));
		assert_int_equal(h.summary.gaps_samples[0], restarted ? 56 : 0);
		assert_int_equal(sounding(&h, TRACK_CALLER), 60 * 160);
		done(&s, &h);
	}
}

/* A recorder that was taken over may say of two streams what it likes: that they carry the same, each in a codec of its
 * own.  What one codec has measured never reaches the other's decoder. */
static void copies_in_another_codec_are_never_decoded(void **ctx)
{
	static const char *const names[] = { "AMR", "speex", "opus", "G722", "L16", "G726-32" };
	static uint8_t loud[160], big[3000];
	const size_t count = sizeof names / sizeof names[0];
	(void)ctx;
	memset(loud, 0x90, sizeof loud);
	memset(big, 0x3c, sizeof big);
	for (size_t i = 0; i < count * count; i++) {
		struct stream_record r = stream_of(names[i / count], DYNAMIC, 16000);
		struct stream_record other = stream_of(names[i % count], DYNAMIC, 16000);
		struct said s = begin(&r, 160), copy = s;
		copy.stream = timeline_stream(s.timeline, &other);
		for (int k = 0; k < 10; k++) {
			said_type(&s, 0, loud, sizeof loud);
			said_type(&copy, 0, loud, sizeof loud);
		}
		said(&s, big, 5);
		copy.number++;
		for (size_t len = 1; len <= sizeof big; len += len < 40 ? 1 : 247)
			said(&copy, big, len);
		struct heard h = render(s.timeline);
		assert_int_equal(h.summary.copies[0], 10);
		done(&s, &h);
	}
}

/* The same codec, packed in one way by the one record and in the other by the other. */
static void copies_are_measured_by_the_decoder_they_go_to(void **ctx)
{
	/* One frame of type 15 in either packing; two of them as the other record would have it. */
	static const uint8_t aligned[] = { 0xf0, 0xfc, 0x7c }, efficient[] = { 0xf7, 0xc0 };
	static uint8_t loud[160];
	(void)ctx;
	memset(loud, 0x90, sizeof loud);
	struct stream_record r = stream_of("AMR", DYNAMIC, 8000), other = r;
	snprintf(other.fmtp, sizeof other.fmtp, "octet-align=1");
	struct said s = begin(&r, 160), copy = s;
	copy.stream = timeline_stream(s.timeline, &other);
	for (int k = 0; k < 10; k++) {
		said_type(&s, 0, loud, sizeof loud);
		said_type(&copy, 0, loud, sizeof loud);
	}
	for (int k = 0; k < 5; k++) {
		said(&s, efficient, sizeof efficient);
		copy.number++;
	}
	for (int k = 0; k < 5; k++)
		said(&copy, aligned, sizeof aligned);
	struct heard h = render(s.timeline);
	assert_int_equal(h.summary.copies[0], 10);
	done(&s, &h);
}

/* AMR with a CRC of each frame, say: there is a decoder, and yet nothing is heard. */
static void codec_of_which_no_payload_is_understood_is_named(void **ctx)
{
	static const uint8_t odd[] = { 0xff, 0xff, 0xff, 0xff, 0xff };
	(void)ctx;
	for (int understood = 0; understood < 2; understood++) {
		struct stream_record r = stream_of("AMR", DYNAMIC, 8000);
		struct said s = begin(&r, 160);
		static const uint8_t nothing[] = { 0xf7, 0xc0 };
		for (int i = 0; i < 10; i++)
			said(&s, odd, sizeof odd);
		if (understood)
			said(&s, nothing, sizeof nothing);
		struct heard h = render(s.timeline);
		assert_string_equal(h.summary.undecoded, understood ? "" : "AMR");
		assert_int_equal(h.summary.undecoded_streams, !understood);
		done(&s, &h);
	}
}

static void foreign_stream_is_silent(void **ctx)
{
	(void)ctx;
	struct stream_record r = stream_of("PCMU", 0, 8000), injected = r;
	injected.foreign = 1;
	struct said s = begin(&r, 160), foreign = s;
	foreign.stream = timeline_stream(s.timeline, &injected);
	uint8_t quiet[160], loud[160];
	memset(quiet, 0xff, sizeof quiet);
	memset(loud, 0x80, sizeof loud);
	for (int i = 0; i < 50; i++) {
		said_type(&s, 0, quiet, sizeof quiet);
		said_type(&foreign, 0, loud, sizeof loud);
	}
	struct heard h = render(s.timeline);
	assert_int_equal(sounding(&h, TRACK_CALLER), 0);
	done(&s, &h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tracks_of_two_rates_are_heard_at_the_higher),
		cmocka_unit_test(codec_may_change_in_mid_stream_and_back),
		cmocka_unit_test(loss_is_concealed_only_when_wanted),
		cmocka_unit_test(codecs_own_concealment_goes_on_with_the_tone),
		cmocka_unit_test(comfort_noise_is_silence_and_key_presses_are_not_heard),
		cmocka_unit_test(relayed_stream_is_heard_once),
		cmocka_unit_test(flow_that_changes_threads_is_one),
		cmocka_unit_test(copies_in_another_codec_are_never_decoded),
		cmocka_unit_test(copies_are_measured_by_the_decoder_they_go_to),
		cmocka_unit_test(codec_of_which_no_payload_is_understood_is_named),
		cmocka_unit_test(foreign_stream_is_silent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
