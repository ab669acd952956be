/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec_g729.c: G.729 with annexes A and B (RFC 3551, 4.5.6), by libbcg729.
 *
 * Runs in the vault, at replay, in builds that were asked for it (WITH_BCG729=1): the library is under the GPL.  A payload is
 * frames of 10 octets, 10 ms each; the last may be a description of silence, of 2 octets.
 */
#ifdef WITH_BCG729
#include <bcg729/decoder.h>
#include <string.h>

#include "audio/codecs.h"

#define FRAME      10
#define SILENCE    2
#define SAMPLES    80
#define FRAMES_MAX 24 /* 240 ms */

static size_t measure(const struct codec_format *f, const uint8_t *in, size_t len)
{
	(void)f;
	(void)in;
	size_t frames = len / FRAME, rest = len % FRAME;
	if (rest != 0 && rest != SILENCE)
		return 0;
	frames += rest == SILENCE;
	return frames <= FRAMES_MAX ? frames * SAMPLES : 0;
}

static void *begin(const struct codec_format *f)
{
	(void)f;
	return initBcg729DecoderChannel();
}

static void decode(const struct codec_format *f, void *state, const uint8_t *in, size_t len,
		   int16_t *out, size_t samples)
{
	(void)f;
	for (; samples > 0; samples -= SAMPLES, out += SAMPLES) {
		size_t n = len < FRAME ? SILENCE : FRAME;
		uint8_t frame[FRAME] = { 0 };
		memcpy(frame, in, n);
		bcg729Decoder(state, frame, (uint8_t)n, 0, n == SILENCE, 0, out);
		in += n;
		len -= n;
	}
}

static void conceal(const struct codec_format *f, void *state, int16_t *out, size_t samples)
{
	(void)f;
	while (samples > 0) {
		int16_t made[SAMPLES];
		size_t n = samples < SAMPLES ? samples : SAMPLES;
		bcg729Decoder(state, NULL, 0, 1, 0, 0, made);
		memcpy(out, made, n * sizeof *out);
		out += n;
		samples -= n;
	}
}

static void end(void *state)
{
	closeBcg729DecoderChannel(state);
}

const struct codec_ops codec_g729_ops = {
	.measure = measure, .open = begin, .decode = decode, .conceal = conceal, .close = end
};
#else
typedef int codec_g729_absent; /* ISO C wants something in every file */
#endif
