/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec_g722.c: ITU-T G.722 at 64 kbit/s, decoded as the Recommendation's own arithmetic has it, to the bit.
 *
 * Runs in the vault, at replay.  Pure arithmetic, written here because libspandsp's decoder lets samples wrap where the
 * Recommendation limits them, which a loud voice is heard by.  Names in capitals are the Recommendation's blocks
 * (6.2).  Two samples an octet; its RTP clock counts octets (RFC 3551, 4.5.2).
 *
 *     octet  [high(2) low(6)] ──► low band, adaptive quantiser and predictor ──┐
 *                             └─► high band, the same ─────────────────────────┴─► QMF ─► 2 samples
 */
#include <stdlib.h>
#include <string.h>

#include "audio/codecs.h"

#define TAPS 24 /* of the quadrature mirror filter */

/* The predictor of one band: two poles, six zeros. */
struct band {
	int estimate;      /* S: what is expected next */
	int zeros;         /* SZ: the part of it by the zeros */
	int pole[3];       /* A; [0] unused */
	int zero[7];       /* B; [0] unused */
	int difference[7]; /* D; [0] the newest */
	int signal[3];     /* R; reconstructed */
	int partial[3];    /* P; by the zeros only */
	int log_scale;     /* NB */
	int scale;         /* DET */
};

struct state {
	struct band low, high;
	int filter[TAPS];
};

/* Table 17 and others of the Recommendation. */
static const int16_t inverse_6_bits[64] = {
	-136,   -136,   -136,  -136,  -24808, -21904, -19008, -16704, -14984, -13512, -12280,
	-11192, -10232, -9360, -8576, -7856,  -7192,  -6576,  -6000,  -5456,  -4944,  -4464,
	-4008,  -3576,  -3168, -2776, -2400,  -2032,  -1688,  -1360,  -1040,  -728,   24808,
	21904,  19008,  16704, 14984, 13512,  12280,  11192,  10232,  9360,   8576,   7856,
	7192,   6576,   6000,  5456,  4944,   4464,   4008,   3576,   3168,   2776,   2400,
	2032,   1688,   1360,  1040,  728,    432,    136,    -432,   -136
};
static const int16_t inverse_4_bits[16] = { 0,     -20456, -12896, -8968, -6288, -4240,
					    -2584, -1200,  20456,  12896, 8968,  6288,
					    4240,  2584,   1200,   0 };
static const int16_t inverse_2_bits[4] = { -7408, -1616, 7408, 1616 };
static const int16_t low_step[16] = { -60,  3042, 1198, 538, 334, 172, 58,  -30,
				      3042, 1198, 538,  334, 172, 58,  -30, -60 };
static const int16_t high_step[4] = { 798, -214, 798, -214 };
static const int16_t exponential[32] = { 2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383,
					 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
					 2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371,
					 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008 };
static const int16_t mirror[TAPS / 2] = {
	3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11
};

static int limited(int v, int low, int high)
{
	return v < low ? low : v > high ? high : v;
}

static int word(int v)
{
	return limited(v, INT16_MIN, INT16_MAX);
}

/* Product of two fractions of 2^15; shifts of negative numbers are arithmetic. */
static int times(int a, int b)
{
	return (a * b) >> 15;
}

static bool same_sign(int a, int b)
{
	return (a < 0) == (b < 0);
}

/* UPPOL2 and UPPOL1: new poles. */
static void adapt_poles(struct band *b)
{
	int first = word(4 * b->pole[1]);
	first = same_sign(b->partial[0], b->partial[1]) ? word(-first) : first;
	int second = (same_sign(b->partial[0], b->partial[2]) ? 128 : -128) + (first >> 7) +
		     times(b->pole[2], 32512);
	second = limited(second, -12288, 12288);
	int step = same_sign(b->partial[0], b->partial[1]) ? 192 : -192;
	int limit = word(15360 - second);
	b->pole[1] = limited(word(step + times(b->pole[1], 32640)), -limit, limit);
	b->pole[2] = second;
}

/* UPZERO: new zeros. */
static void adapt_zeros(struct band *b)
{
	int step = b->difference[0] == 0 ? 0 : 128;
	for (int i = 1; i < 7; i++) {
		int by = same_sign(b->difference[i], b->difference[0]) ? step : -step;
		b->zero[i] = word(by + times(b->zero[i], 32640));
	}
}

/* Block 4: take a difference, and expect the next sample. */
static void predict(struct band *b, int difference)
{
	b->difference[0] = difference;
	b->signal[0] = word(b->estimate + difference); /* RECONS */
	b->partial[0] = word(b->zeros + difference);   /* PARREC */
	adapt_poles(b);
	adapt_zeros(b);
	memmove(b->difference + 1, b->difference, 6 * sizeof b->difference[0]); /* DELAYA */
	memmove(b->signal + 1, b->signal, 2 * sizeof b->signal[0]);
	memmove(b->partial + 1, b->partial, 2 * sizeof b->partial[0]);
	int poles = word(times(b->pole[1], word(2 * b->signal[1])) +
			 times(b->pole[2], word(2 * b->signal[2]))); /* FILTEP */
	int zeros = 0;                                               /* FILTEZ */
	for (int i = 6; i > 0; i--)
		zeros += times(b->zero[i], word(2 * b->difference[i]));
	b->zeros = word(zeros);
	b->estimate = word(poles + b->zeros); /* PREDIC */
}

/* LOGSCL and SCALEL, or LOGSCH and SCALEH. */
static void rescale(struct band *b, int step, int most, int shift)
{
	b->log_scale = limited(((b->log_scale * 127) >> 7) + step, 0, most);
	int mantissa = exponential[(b->log_scale >> 6) & 31], by = shift - (b->log_scale >> 11);
	b->scale = (by < 0 ? mantissa << -by : mantissa >> by) << 2;
}

static int decode_low(struct band *b, unsigned code)
{
	int out = limited(b->estimate + times(b->scale, inverse_6_bits[code]), -16384, 16383);
	int difference = times(b->scale, inverse_4_bits[code >> 2]);
	rescale(b, low_step[code >> 2], 18432, 8);
	predict(b, difference);
	return out;
}

static int decode_high(struct band *b, unsigned code)
{
	int difference = times(b->scale, inverse_2_bits[code]);
	int out = limited(b->estimate + difference, -16384, 16383);
	rescale(b, high_step[code], 22528, 10);
	predict(b, difference);
	return out;
}

static void join_bands(struct state *s, int low, int high, int16_t out[2])
{
	int sum[2] = { 0, 0 };
	memmove(s->filter, s->filter + 2, (TAPS - 2) * sizeof s->filter[0]);
	s->filter[TAPS - 2] = low + high;
	s->filter[TAPS - 1] = low - high;
	for (int i = 0; i < TAPS / 2; i++) {
		sum[0] += s->filter[2 * i + 1] * mirror[TAPS / 2 - 1 - i];
		sum[1] += s->filter[2 * i] * mirror[i];
	}
	out[0] = (int16_t)word(sum[0] >> 11);
	out[1] = (int16_t)word(sum[1] >> 11);
}

static size_t measure(const struct codec_format *f, const uint8_t *in, size_t len)
{
	(void)f;
	(void)in;
	return len <= CODEC_SAMPLES_MAX / 2 ? 2 * len : 0;
}

static void *begin(const struct codec_format *f)
{
	(void)f;
	struct state *s = calloc(1, sizeof *s);
	if (s) {
		s->low.scale = 32;
		s->high.scale = 8;
	}
	return s;
}

static void decode(const struct codec_format *f, void *state, const uint8_t *in, size_t len,
		   int16_t *out, size_t samples)
{
	(void)f;
	(void)samples;
	struct state *s = state;
	for (size_t i = 0; i < len; i++) {
		int low = decode_low(&s->low, in[i] & 0x3f);
		int high = decode_high(&s->high, in[i] >> 6);
		join_bands(s, low, high, out + 2 * i);
	}
}

const struct codec_ops codec_g722_ops = {
	.measure = measure, .open = begin, .decode = decode, .close = free
};
