/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec_pcm.c: ITU-T G.711, and samples as they are (L16).
 *
 * Runs in the vault, at replay.  The two G.711 tables are computed once, before main(), and only
 * read afterwards.
 */
#include "audio/codecs.h"

static int16_t law[2][256];

/* G.711, table 2: eight segments, each twice as steep as the one before; all bits are sent inverted. */
static int16_t mu_law_sample(uint8_t sent)
{
	int code = ~sent & 0xff;
	int magnitude = ((((code & 0x0f) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84;
	return (int16_t)(code & 0x80 ? -magnitude : magnitude);
}

/* G.711, table 1: the two lowest segments are equally steep; even bits are sent inverted. */
static int16_t a_law_sample(uint8_t sent)
{
	int code = sent ^ 0x55;
	int segment = (code & 0x70) >> 4;
	int magnitude = ((code & 0x0f) << 4) + 8;
	if (segment > 0)
		magnitude = (magnitude + 0x100) << (segment - 1);
	return (int16_t)(code & 0x80 ? magnitude : -magnitude);
}

__attribute__((constructor)) static void codec_tables(void)
{
	for (int i = 0; i < 256; i++) {
		law[CODEC_MU_LAW][i] = mu_law_sample((uint8_t)i);
		law[CODEC_A_LAW][i] = a_law_sample((uint8_t)i);
	}
}

static size_t at_most(size_t samples)
{
	return samples < CODEC_SAMPLES_MAX ? samples : CODEC_SAMPLES_MAX;
}

static size_t codec_g711_measure(const struct codec_format *f, const uint8_t *in, size_t len)
{
	(void)in;
	return at_most(len / f->channels);
}

static void codec_g711_decode(const struct codec_format *f, void *state, const uint8_t *in,
			      size_t len, int16_t *out, size_t samples)
{
	(void)state;
	(void)len;
	ASSERT(f->channels > 0);
	for (size_t i = 0; i < samples; i++) {
		int sum = 0;
		for (uint32_t k = 0; k < f->channels; k++)
			sum += law[f->variant][*in++];
		out[i] = (int16_t)(sum / (int)f->channels);
	}
}

/* RFC 3551, 4.5.11: two's complement, high byte first, channels interleaved. */
static size_t codec_l16_measure(const struct codec_format *f, const uint8_t *in, size_t len)
{
	(void)in;
	return at_most(len / 2 / f->channels);
}

static void codec_l16_decode(const struct codec_format *f, void *state, const uint8_t *in,
			     size_t len, int16_t *out, size_t samples)
{
	(void)state;
	(void)len;
	ASSERT(f->channels > 0);
	for (size_t i = 0; i < samples; i++) {
		int sum = 0;
		for (uint32_t k = 0; k < f->channels; k++, in += 2)
			sum += (int16_t)((unsigned)in[0] << 8 | in[1]);
		out[i] = (int16_t)(sum / (int)f->channels);
	}
}

const struct codec_ops codec_g711_ops = { .measure = codec_g711_measure,
					  .decode = codec_g711_decode };
const struct codec_ops codec_l16_ops = { .measure = codec_l16_measure, .decode = codec_l16_decode };
