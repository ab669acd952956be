/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec_speex.c: Speex, narrow, wide and ultra-wide band (RFC 5574), by libspeex.
 *
 * Runs in the vault, at replay.  A payload holds frames one after the other, of no fixed length, and no count of them; so their
 * heads are read here before the library decodes as many.
 *
 *     0 mode(4) ...        narrow band frame       1 mode(3) ...   a layer of higher bands, after its frame
 *     0 1111               end                     0 1110 / 0 1101 ...   a message, which is passed over
 */
#include <speex/speex.h>
#include <speex/speex_callbacks.h>
#include <stdlib.h>
#include <string.h>

#include "audio/codecs.h"

#define FRAMES_MAX 6 /* 120 ms */
#define BYTES_MAX  1500
#define FRAME_MAX  640

#define MODE_USER   13
#define MODE_INBAND 14
#define MODE_END    15

struct state {
	SpeexBits bits;
	void *decoder;
	int frame; /* samples */
};

static const SpeexMode *mode_of(const struct codec_format *f)
{
	switch (f->clock_rate) {
	case 8000: return speex_lib_get_mode(SPEEX_MODEID_NB);
	case 16000: return speex_lib_get_mode(SPEEX_MODEID_WB);
	case 32000: return speex_lib_get_mode(SPEEX_MODEID_UWB);
	default: return NULL;
	}
}

/* ---- the heads of frames ------------------------------------------------------------------------------- */

struct heads {
	const uint8_t *in;
	size_t at, end; /* bits */
};

static unsigned peek(const struct heads *h, size_t bits)
{
	unsigned value = 0;
	for (size_t i = h->at; i < h->at + bits && i < h->end; i++)
		value = value << 1 | (h->in[i / 8] >> (7 - i % 8) & 1);
	return value;
}

/* Bits of a frame or layer of that submode, its head among them; 0: there is none such. */
static size_t frame_bits(int mode_id, unsigned submode)
{
	int bits = (int)submode;
	if (speex_mode_query(speex_lib_get_mode(mode_id), SPEEX_SUBMODE_BITS_PER_FRAME, &bits) != 0)
		return 0;
	return bits > 0 ? (size_t)bits : 0;
}

static size_t message_bits(const struct heads *h, unsigned mode)
{
	struct heads after = { h->in, h->at + 5, h->end };
	unsigned code = peek(&after, 4);
	if (mode == MODE_USER)
		return 5 + 4 + 8 * ((size_t)code + 1); /* RFC 5574, 3.3: octets less one */
	return 5 + 4 +
	       (code < 2    ? 1u
		: code < 8  ? 4u
		: code < 10 ? 8u
		: code < 12 ? 16u
		: code < 14 ? 32u
			    : 64u);
}

/* The next frame's bits with its layers', from h->at; 0: none is whole. */
static size_t next_frame(struct heads *h)
{
	while (h->end - h->at >= 5) {
		if (peek(h, 1) == 1)
			return 0;
		unsigned mode = peek(h, 5);
		bool message = mode == MODE_USER || mode == MODE_INBAND;
		size_t bits = message ? message_bits(h, mode) : frame_bits(SPEEX_MODEID_NB, mode);
		if (mode == MODE_END || bits == 0 || bits > h->end - h->at)
			return 0;
		h->at += bits;
		if (message)
			continue;
		for (int layer = 0; layer < 2 && h->end - h->at >= 4 && peek(h, 1) == 1; layer++) {
			size_t more = frame_bits(SPEEX_MODEID_WB, peek(h, 4) & 7);
			if (more == 0 || more > h->end - h->at)
				return 0;
			h->at += more;
		}
		return 1;
	}
	return 0;
}

static size_t measure(const struct codec_format *f, const uint8_t *in, size_t len)
{
	struct heads h = { in, 0, 8 * len };
	size_t frames = 0;
	if (!mode_of(f) || len > BYTES_MAX)
		return 0;
	while (frames < FRAMES_MAX && next_frame(&h))
		frames++;
	return frames * f->clock_rate / 50;
}

/* ---- decoding ------------------------------------------------------------------------------------------ */

static void *begin(const struct codec_format *f)
{
	struct state *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	int enhance = 1, rate = (int)f->clock_rate;
	s->decoder = speex_decoder_init(mode_of(f));
	if (!s->decoder) {
		free(s);
		return NULL;
	}
	speex_bits_init(&s->bits);
	speex_decoder_ctl(s->decoder, SPEEX_SET_ENH, &enhance);
	speex_decoder_ctl(s->decoder, SPEEX_SET_SAMPLING_RATE, &rate);
	speex_decoder_ctl(s->decoder, SPEEX_GET_FRAME_SIZE, &s->frame);
	ASSERT(s->frame > 0 && s->frame <= FRAME_MAX);
	return s;
}

/* Without bits: what the library makes up. */
static void frames(struct state *s, SpeexBits *bits, int16_t *out, size_t samples)
{
	int16_t frame[FRAME_MAX];
	while (samples > 0) {
		size_t n = samples < (size_t)s->frame ? samples : (size_t)s->frame;
		if (speex_decode_int(s->decoder, bits, frame) != 0)
			break;
		memcpy(out, frame, n * sizeof *out);
		out += n;
		samples -= n;
	}
	memset(out, 0, samples * sizeof *out);
	explicit_bzero(frame, sizeof frame);
}

static void decode(const struct codec_format *f, void *state, const uint8_t *in, size_t len,
		   int16_t *out, size_t samples)
{
	(void)f;
	struct state *s = state;
	char bytes[BYTES_MAX];
	memcpy(bytes, in, len);
	speex_bits_read_from(&s->bits, bytes, (int)len);
	frames(s, &s->bits, out, samples);
}

static void conceal(const struct codec_format *f, void *state, int16_t *out, size_t samples)
{
	(void)f;
	frames(state, NULL, out, samples);
}

static void end(void *state)
{
	struct state *s = state;
	speex_bits_destroy(&s->bits);
	speex_decoder_destroy(s->decoder);
	free(s);
}

const struct codec_ops codec_speex_ops = {
	.measure = measure, .open = begin, .decode = decode, .conceal = conceal, .close = end
};
