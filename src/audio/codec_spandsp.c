/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec_spandsp.c: G.726 and GSM full rate, by libspandsp.
 *
 * Runs in the vault, at replay.  The library is handed whole code words only.
 */
#include <limits.h>
#include <spandsp.h>

#include "audio/codecs.h"

#define LOOK_BYTES  160 /* of a payload, to find out how it is packed */
#define LOOK_LEAST  20
#define LOOK_ENOUGH 1000 /* payloads */
#define LOOK_SURE   10
#define LOUD        100.0

/* ---- G.726: 2 to 5 bits a sample ---------------------------------------------------------------------- */

static size_t code_bits(const struct codec_format *f)
{
	return (size_t)(f->variant % CODEC_AAL2);
}

/* Whole groups of octets: 4 or 2 samples in one, 8 in three or five. */
static size_t codec_g726_whole(const struct codec_format *f, size_t len)
{
	size_t bits = code_bits(f);
	return bits % 2 ? len - len % bits : len;
}

static size_t codec_g726_measure(const struct codec_format *f, const uint8_t *in, size_t len)
{
	(void)in;
	size_t samples = codec_g726_whole(f, len) * 8 / code_bits(f);
	return samples <= CODEC_SAMPLES_MAX ? samples : 0;
}

/* RFC 3551, 4.5.4: the first sample has the low bits of an octet; packed for AAL2 (I.366.2), the high ones.  Many phones
 * send the one and say the other, so the voice itself is asked: samples in the wrong order are rough. */
enum packing { LOW_FIRST, HIGH_FIRST };

static g726_state_t *codec_g726_begin(const struct codec_format *f, enum packing p)
{
	return g726_init(NULL, (int)code_bits(f) * 8000, G726_ENCODING_LINEAR,
			 p == HIGH_FIRST ? G726_PACKING_LEFT : G726_PACKING_RIGHT);
}

/* Power of the steps from sample to sample over the power of the samples, of one payload by itself; < 0: it says nothing. */
static double roughness(const struct codec_format *f, enum packing p, const uint8_t *in, size_t len)
{
	int16_t pcm[LOOK_BYTES * 4];
	double steps = 0.0, power = 0.0;
	g726_state_t *state = codec_g726_begin(f, p);
	if (!state)
		return -1.0;
	int samples = g726_decode(state, pcm, in, (int)len);
	g726_free(state);
	for (int i = 1; i < samples; i++) {
		steps += (double)(pcm[i] - pcm[i - 1]) * (pcm[i] - pcm[i - 1]);
		power += (double)pcm[i] * pcm[i];
	}
	return power > LOUD * LOUD * samples ? steps / power : -1.0;
}

static void codec_g726_look(struct codec_format *f, const uint8_t *in, size_t len)
{
	size_t n = codec_g726_whole(f, len < LOOK_BYTES ? len : LOOK_BYTES);
	if (n < LOOK_LEAST || f->votes[LOW_FIRST] + f->votes[HIGH_FIRST] >= LOOK_ENOUGH)
		return;
	double low = roughness(f, LOW_FIRST, in, n), high = roughness(f, HIGH_FIRST, in, n);
	if (low >= 0.0 && high >= 0.0)
		f->votes[low < high ? LOW_FIRST : HIGH_FIRST]++;
}

static enum packing codec_g726_packing(const struct codec_format *f)
{
	enum packing said = f->variant >= CODEC_AAL2 ? HIGH_FIRST : LOW_FIRST;
	uint32_t against = f->votes[!said];
	return against >= LOOK_SURE && against > 2 * f->votes[said] ? (enum packing) !said : said;
}

static void *codec_g726_open(const struct codec_format *f)
{
	return codec_g726_begin(f, codec_g726_packing(f));
}

static void codec_g726_take(const struct codec_format *f, void *state, const uint8_t *in,
			    size_t len, int16_t *out, size_t samples)
{
	(void)samples;
	g726_decode(state, out, in, (int)codec_g726_whole(f, len));
}

static void codec_g726_close(void *state)
{
	g726_free(state);
}

const struct codec_ops codec_g726_ops = { .look = codec_g726_look,
					  .measure = codec_g726_measure,
					  .open = codec_g726_open,
					  .decode = codec_g726_take,
					  .close = codec_g726_close };

/* ---- GSM 06.10: 33 octets, of which the first begins with 0xd, for 160 samples (RFC 3551, 4.5.8) -------- */

#define GSM_FRAME   33
#define GSM_SAMPLES 160

static size_t codec_gsm_measure(const struct codec_format *f, const uint8_t *in, size_t len)
{
	(void)f;
	if (len % GSM_FRAME != 0 || len / GSM_FRAME > CODEC_SAMPLES_MAX / GSM_SAMPLES)
		return 0;
	for (size_t at = 0; at < len; at += GSM_FRAME)
		if (in[at] >> 4 != 0xd)
			return 0;
	return len / GSM_FRAME * GSM_SAMPLES;
}

static void *codec_gsm_open(const struct codec_format *f)
{
	(void)f;
	return gsm0610_init(NULL, GSM0610_PACKING_VOIP);
}

static void codec_gsm_take(const struct codec_format *f, void *state, const uint8_t *in, size_t len,
			   int16_t *out, size_t samples)
{
	(void)f;
	(void)samples;
	gsm0610_decode(state, out, in, (int)len);
}

static void codec_gsm_close(void *state)
{
	gsm0610_free(state);
}

const struct codec_ops codec_gsm_ops = { .measure = codec_gsm_measure,
					 .open = codec_gsm_open,
					 .decode = codec_gsm_take,
					 .close = codec_gsm_close };
