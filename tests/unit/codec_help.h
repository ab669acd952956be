/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec_help.h: what is encoded, packet by packet, given to a timeline and looked for in what is heard. */
#ifndef CALLSPAN_TESTS_CODEC_HELP_H
#define CALLSPAN_TESTS_CODEC_HELP_H

#include "audio_help.h"

#include <opus.h>

#define HZ      440.0
#define PACKETS 100 /* of 20 ms */
#define DYNAMIC 96

struct said {
	struct timeline *timeline;
	int stream;
	uint32_t step; /* of the timestamp */
	uint64_t number;
	uint64_t lost_from, lost_to; /* these numbers are not recorded */
};

static inline struct said begin(const struct stream_record *r, uint32_t step)
{
	struct said s = { .timeline = timeline_new(), .step = step };
	s.stream = timeline_stream(s.timeline, r);
	return s;
}

static inline void said_type(struct said *s, uint8_t type, const uint8_t *payload, size_t len)
{
	struct packet p = { .number = s->number,
			    .timestamp = (uint32_t)s->number * s->step,
			    .payload_type = type,
			    .arrival_us = (int64_t)s->number * 20000,
			    .bytes = payload,
			    .len = (uint16_t)len };
	if (s->number < s->lost_from || s->number >= s->lost_to)
		record_packet(s->timeline, s->stream, &p);
	s->number++;
}

static inline void said(struct said *s, const uint8_t *payload, size_t len)
{
	said_type(s, DYNAMIC, payload, len);
}

/* Rendered at that rate, one tone and little else after the first 200 ms. */
static inline struct heard hear_tone(struct said *s, uint32_t rate, double at_least_db)
{
	struct heard h = render(s->timeline);
	assert_int_equal(h.summary.rate, rate);
	assert_int_equal(h.summary.samples, s->number * rate / 50);
	size_t skip = rate / 5;
	double db = tone_over_rest_db(h.track[0] + skip, h.summary.samples - skip, HZ, rate);
	print_message("#   %.1f dB\n", db);
	assert_true(db > at_least_db);
	return h;
}

static inline void done(struct said *s, struct heard *h)
{
	heard_free(h);
	timeline_free(s->timeline);
}

static inline OpusEncoder *opus_sender(int channels, int bitrate)
{
	int failed;
	OpusEncoder *e = opus_encoder_create(48000, channels, OPUS_APPLICATION_VOIP, &failed);
	assert_non_null(e);
	opus_encoder_ctl(e, OPUS_SET_BITRATE(bitrate));
	return e;
}

static inline void opus_says(struct said *s, OpusEncoder *e, const int16_t *pcm, int channels,
			     int packets)
{
	for (int i = 0; i < packets; i++) {
		uint8_t payload[1500];
		int n = opus_encode(e, pcm + 960 * channels * i, 960, payload, sizeof payload);
		assert_true(n > 0);
		said(s, payload, (size_t)n);
	}
	opus_encoder_destroy(e);
}

#endif
