/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* audio_help.h: simulated senders, their chunk bodies, and looking for what they said.
 *
 * What a sender says is random bytes, so that any frame of a track can be told from all others.  Frames are lost,
 * delayed and reordered, encoded into chunk bodies as they would have arrived, and looked for in what the
 * timeline renders.
 */
#ifndef CALLSPAN_TESTS_AUDIO_HELP_H
#define CALLSPAN_TESTS_AUDIO_HELP_H

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "audio/audio.h"
#include "base/bytes.h"

#define RATE        8000
#define BASE_US     INT64_C(1780000000000000)
#define DELAY_US    30000 /* of the fastest packet */
#define NEAR_US     25000 /* how far from its true time a frame may stand */
#define PAYLOAD_MAX 480

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t state;

static inline uint32_t chance(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 32) % below);
}

/* ---- senders --------------------------------------------------------------------------------- */

struct sent {
	int64_t truth_us, arrival_us;
	uint64_t sequence;
	uint32_t timestamp;
	uint16_t len;
	uint8_t payload_type;
	bool lost;
	uint8_t payload[PAYLOAD_MAX];
};

struct sender {
	struct sent *sent; /* owned */
	size_t count, room;
	int64_t now_us;
	uint64_t sequence;
	uint32_t timestamp;
	unsigned ptime_ms, loss_percent, jitter_us, reorder_percent;
	int skew_ppm; /* the sender's clock is fast */
};

static inline struct sender sender_new(unsigned ptime_ms, unsigned loss_percent, unsigned jitter_us)
{
	return (struct sender){
		.now_us = BASE_US,
		.sequence = 65536 + chance(65536),
		.timestamp = chance(UINT32_MAX),
		.ptime_ms = ptime_ms,
		.loss_percent = loss_percent,
		.jitter_us = jitter_us,
		.reorder_percent = jitter_us ? 2 : 0,
	};
}

static inline struct sent *say_one(struct sender *s)
{
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 256;
		s->sent = realloc(s->sent, s->room * sizeof *s->sent);
		assert_non_null(s->sent);
	}
	struct sent *f = &s->sent[s->count++];
	uint16_t samples = (uint16_t)(s->ptime_ms * RATE / 1000);
	*f = (struct sent){
		.truth_us = s->now_us,
		.arrival_us = s->now_us + DELAY_US + (s->jitter_us ? chance(s->jitter_us) : 0),
		.sequence = s->sequence++,
		.timestamp = s->timestamp,
		.len = samples,
		.lost = chance(100) < s->loss_percent,
	};
	if (chance(100) < s->reorder_percent)
		f->arrival_us += 8 * (int64_t)s->ptime_ms * 1000;
	for (size_t i = 0; i < samples; i++)
		f->payload[i] = (uint8_t)chance(256);
	s->timestamp += samples;
	s->now_us += (int64_t)s->ptime_ms * 1000 - (int64_t)s->ptime_ms * s->skew_ppm / 1000;
	return f;
}

static inline void say(struct sender *s, unsigned ms)
{
	for (unsigned n = 0; n < ms / s->ptime_ms; n++)
		say_one(s);
}

/* Time passes and nothing is said; the clock of the timestamps may go on. */
static inline void pause_ms(struct sender *s, unsigned ms, bool clock_runs)
{
	s->now_us += ms * INT64_C(1000);
	if (clock_runs)
		s->timestamp += ms * RATE / 1000;
}

/* ---- chunk bodies ---------------------------------------------------------------------------- */

#define FRAMES_A_CHUNK 50

static inline int by_arrival(const void *a, const void *b)
{
	const struct sent *const *x = a, *const *y = b;
	if ((*x)->arrival_us != (*y)->arrival_us)
		return (*x)->arrival_us < (*y)->arrival_us ? -1 : 1;
	return (*x)->sequence < (*y)->sequence ? -1 : 1;
}

/* Encode frames as one chunk body; returns its length. */
static inline size_t encode(struct sent *const *f, size_t n, uint8_t *body)
{
	uint8_t table[FRAMES_A_CHUNK * 32], *p = table;
	uint8_t payload[FRAMES_A_CHUNK * PAYLOAD_MAX], *q = payload;
	ASSERT(n > 0 && n <= FRAMES_A_CHUNK && f[0]);
	uint32_t step = f[0]->len;
	const struct sent *b = f[0];
	for (size_t i = 0; i < n; i++) {
		uint8_t *flags = p;
		int64_t later = (int64_t)((uint64_t)f[i]->arrival_us - (uint64_t)b->arrival_us);
		int64_t ahead = (int64_t)(f[i]->sequence - b->sequence);
		*flags = 0;
		p[1] = p[2] = p[3] = 0;
		if (later >= 0 && later < 1 << 24) {
			p[1] = (uint8_t)later;
			p[2] = (uint8_t)(later >> 8);
			p[3] = (uint8_t)(later >> 16);
		} else {
			*flags |= 0x08;
		}
		p += 4;
		if (i > 0 && ahead != 1) {
			*flags |= 0x01;
			put_u16_le(p, (uint16_t)ahead);
			p += 2;
		}
		if (f[i]->timestamp != b->timestamp + (uint32_t)(i > 0 ? ahead : 0) * step) {
			*flags |= 0x02;
			put_u32_le(p, f[i]->timestamp);
			p += 4;
		}
		if (f[i]->len != b->len) {
			*flags |= 0x04;
			put_u16_le(p, f[i]->len);
			p += 2;
		}
		if (*flags & 0x08) {
			put_u64_le(p, (uint64_t)f[i]->arrival_us);
			p += 8;
		}
		if (f[i]->payload_type != b->payload_type) {
			*flags |= 0x20;
			*p++ = f[i]->payload_type;
		}
		memcpy(q, f[i]->payload, f[i]->len);
		q += f[i]->len;
		b = f[i];
	}
	body[0] = 1;
	body[1] = f[0]->payload_type;
	put_u16_le(body + 2, f[0]->len);
	put_u32_le(body + 4, (uint32_t)n);
	put_u32_le(body + 8, (uint32_t)(p - table));
	put_u32_le(body + 12, step);
	put_u64_le(body + 16, f[0]->sequence);
	put_u64_le(body + 24, (uint64_t)f[0]->arrival_us);
	put_u32_le(body + 32, f[0]->timestamp);
	put_u32_le(body + 36, 0x12345678);
	memcpy(body + 40, table, (size_t)(p - table));
	memcpy(body + 40 + (p - table), payload, (size_t)(q - payload));
	return 40 + (size_t)(p - table) + (size_t)(q - payload);
}

/* Give the timeline a sender's frames; returns the stream's index. */
static inline int record(struct timeline *t, const struct sender *s, enum track track)
{
	struct stream_record r = { .track = (uint8_t)track,
				   .codec = "PCMU",
				   .clock_rate = RATE,
				   .payload_types = { 0 },
				   .payload_types_count = 1 };
	int stream = timeline_stream(t, &r);
	struct sent **wire = calloc(s->count + 1, sizeof(struct sent *));
	uint8_t *body = malloc(FRAMES_A_CHUNK * (PAYLOAD_MAX + 32) + 40);
	size_t n = 0;
	assert_true(wire && body);
	for (size_t i = 0; i < s->count; i++)
		if (!s->sent[i].lost)
			wire[n++] = &s->sent[i];
	qsort(wire, n, sizeof *wire, by_arrival);
	for (size_t i = 0; i < n; i += FRAMES_A_CHUNK) {
		size_t len =
			encode(wire + i, n - i < FRAMES_A_CHUNK ? n - i : FRAMES_A_CHUNK, body);
		assert_int_equal(timeline_chunk(t, stream, body, len), RC_OK);
	}
	free(body);
	free(wire);
	return stream;
}

/* ---- packets of any payload --------------------------------------------------------------------- */

struct packet {
	uint64_t number; /* from 0 */
	uint32_t timestamp;
	uint8_t payload_type;
	bool extra; /* `bytes` begin with what stands before the payload, `extra_len` long, and end with padding */
	uint8_t first_octet, padding_len;
	uint16_t extra_len;
	int64_t arrival_us; /* after BASE_US */
	const uint8_t *bytes;
	uint16_t len;
};

#define SSRC 0x12345678

/* A chunk of one packet. */
static inline void record_packet(struct timeline *t, int stream, const struct packet *p)
{
	uint8_t body[40 + 8 + 4096] = { 1 }, *at = body + 44;
	ASSERT(p->len <= 4096);
	body[1] = p->payload_type;
	put_u16_le(body + 2, p->len);
	put_u32_le(body + 4, 1);
	put_u32_le(body + 8, p->extra ? 8 : 4);
	put_u64_le(body + 16, 65536 + p->number);
	put_u64_le(body + 24, (uint64_t)(BASE_US + p->arrival_us));
	put_u32_le(body + 32, p->timestamp);
	put_u32_le(body + 36, SSRC);
	if (p->extra) {
		body[40] = 0x40;
		*at++ = p->first_octet;
		*at++ = p->padding_len;
		put_u16_le(at, p->extra_len);
		at += 2;
	}
	memcpy(at, p->bytes, p->len);
	assert_int_equal(timeline_chunk(t, stream, body, (size_t)(at - body) + p->len), RC_OK);
}

/* A stream of one dynamic or static payload type on the caller's track. */
static inline struct stream_record stream_of(const char *codec, uint8_t payload_type,
					     uint32_t clock_rate)
{
	struct stream_record r = { .track = TRACK_CALLER,
				   .ssrc = SSRC,
				   .clock_rate = clock_rate,
				   .channels = 1,
				   .payload_types = { payload_type },
				   .payload_types_count = 1 };
	snprintf(r.codec, sizeof r.codec, "%s", codec);
	return r;
}

/* ---- tones --------------------------------------------------------------------------------------- */

static inline void tone(int16_t *out, size_t samples, double hz, uint32_t rate)
{
	for (size_t i = 0; i < samples; i++)
		out[i] = (int16_t)(8000.0 * sin(2.0 * M_PI * hz * (double)i / rate));
}

/* How much of `samples` is a tone of that frequency, in dB over all else. */
static inline double tone_over_rest_db(const int16_t *in, size_t samples, double hz, uint32_t rate)
{
	double c = 0.0, s = 0.0, all = 0.0;
	for (size_t i = 0; i < samples; i++) {
		double w = 2.0 * M_PI * hz * (double)i / rate;
		c += in[i] * cos(w);
		s += in[i] * sin(w);
		all += (double)in[i] * in[i];
	}
	double of_tone = 2.0 * (c * c + s * s) / (double)samples;
	return 10.0 * log10((of_tone + 1e-9) / (all - of_tone > 0.0 ? all - of_tone : 1e-9));
}

/* ---- looking for what was said ----------------------------------------------------------------- */

/* G.711 by its own definition: sign, segment and step of the inverted code. */
static inline int16_t heard_as(uint8_t sent)
{
	unsigned code = 255u - sent;
	int step = 1 << (3 + ((code >> 4) & 7));
	int magnitude = step * (int)(code & 15) + (33 << (((code >> 4) & 7) + 2)) - 132;
	return (int16_t)(code >= 128 ? -magnitude : magnitude);
}

struct heard {
	int16_t *track[2];
	struct audio_summary summary;
};

static inline struct heard render(struct timeline *t)
{
	struct heard h;
	struct error err = { "" };
	enum rc rc = timeline_render(t, &h.summary, &err);
	if (rc != RC_OK)
		print_error("%s\n", err.text);
	assert_int_equal(rc, RC_OK);
	for (int k = 0; k < 2; k++) {
		h.track[k] = calloc(h.summary.samples + 1, sizeof(int16_t));
		assert_non_null(h.track[k]);
		timeline_samples(t, (enum track)k, 0, h.summary.samples, h.track[k]);
	}
	return h;
}

static inline void heard_free(struct heard *h)
{
	free(h->track[0]);
	free(h->track[1]);
}

static inline bool stands_at(const struct heard *h, enum track track, const struct sent *f,
			     int64_t at)
{
	if (at < 0 || at + f->len > (int64_t)h->summary.samples)
		return false;
	for (size_t i = 0; i < f->len; i++)
		if (h->track[track][(size_t)at + i] != heard_as(f->payload[i]))
			return false;
	return true;
}

/* The sample at which a frame stands; fails when it stands nowhere within `near_us` of its true time. */
static inline int64_t find(const struct heard *h, enum track track, const struct sent *f,
			   int64_t guess, int64_t near_us)
{
	int64_t true_at = (f->truth_us + DELAY_US - h->summary.zero_us) * RATE / 1000000;
	int64_t around = near_us * RATE / 1000000;
	if (guess >= true_at - around && guess <= true_at + around && stands_at(h, track, f, guess))
		return guess;
	for (int64_t at = true_at - around; at <= true_at + around; at++)
		if (stands_at(h, track, f, at))
			return at;
	print_error("frame %" PRIu64 " is not within %" PRId64 " ms of its time\n", f->sequence,
		    near_us / 1000);
	fail();
	return -1;
}

/* Every frame that arrived stands within near_us of its true time, those that follow each other without loss
 * are contiguous, and nothing else is heard.  Returns how many places there are where the step in the recording is
 * not that of the timestamps. */
static inline unsigned check_near(const struct heard *h, enum track track, const struct sender *s,
				  int64_t near_us)
{
	const struct sent *before = NULL;
	int64_t at = INT64_MIN / 2;
	unsigned frames = 0, steps = 0;
	for (size_t i = 0; i < s->count; i++) {
		const struct sent *f = &s->sent[i];
		if (f->lost)
			continue;
		int64_t guess = before ? at + (int32_t)(f->timestamp - before->timestamp) : at;
		at = find(h, track, f, guess, near_us);
		steps += before && at != guess;
		frames++;
		before = f;
	}
	assert_int_equal(h->summary.frames[track], frames);
	return steps;
}

static inline void check(const struct heard *h, enum track track, const struct sender *s)
{
	assert_int_equal(check_near(h, track, s, NEAR_US), 0);
}

static inline uint64_t sounding(const struct heard *h, enum track track)
{
	uint64_t n = 0;
	for (uint64_t i = 0; i < h->summary.samples; i++)
		n += h->track[track][i] != 0;
	return n;
}

/* One sender on the caller's track, checked by `steps` allowed steps of the clock. */
static inline void check_alone(struct sender *s, unsigned steps)
{
	struct timeline *t = timeline_new();
	record(t, s, TRACK_CALLER);
	struct heard h = render(t);
	assert_int_equal(check_near(&h, TRACK_CALLER, s, NEAR_US), steps);
	assert_int_equal(sounding(&h, TRACK_CALLEE), 0);
	heard_free(&h);
	timeline_free(t);
	free(s->sent);
}

#endif
