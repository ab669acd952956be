/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec_opus.c: Opus (RFC 6716, RFC 7587), by libopus: mono at 48 kHz, whatever was sent.
 *
 * Runs in the vault, at replay.  One packet is at most 120 ms.
 */
#include <opus.h>
#include <string.h>

#include "audio/codecs.h"

#define RATE        48000
#define PACKET_MAX  (RATE * 120 / 1000)
#define LOSSY_LAYER 0x80 /* TOC: CELT only, without SILK (RFC 6716, 3.1) */
#define STEREO      0x04

static size_t measure(const struct codec_format *f, const uint8_t *in, size_t len)
{
	(void)f;
	const unsigned char *frames[48];
	opus_int16 sizes[48];
	if (len == 0 || len > INT16_MAX)
		return 0;
	int count = opus_packet_parse(in, (opus_int32)len, NULL, frames, sizes, NULL);
	int samples = count > 0 ? opus_packet_get_nb_samples(in, (opus_int32)len, RATE) : 0;
	return samples > 0 && samples <= PACKET_MAX ? (size_t)samples : 0;
}

static void *begin(const struct codec_format *f)
{
	(void)f;
	int failed;
	return opus_decoder_create(RATE, 1, &failed);
}

/* What could not be decoded after all is silence. */
static void finish(int16_t *out, int got, size_t samples)
{
	size_t have = got > 0 ? (size_t)got : 0;
	if (have < samples)
		memset(out + have, 0, (samples - have) * sizeof *out);
}

static void decode(const struct codec_format *f, void *state, const uint8_t *in, size_t len,
		   int16_t *out, size_t samples)
{
	(void)f;
	finish(out, opus_decode(state, in, (opus_int32)len, out, (int)samples, 0), samples);
}

/* Has the packet's first frame a low bit-rate copy of the one before (LBRR)?  Its SILK layer begins with an activity bit for
 * each 20 ms and then the LBRR bit, for each channel (RFC 6716, 4.2.3), at the top of the first octet, where the range
 * coder leaves bits of even odds. */
static bool has_copy(const uint8_t *in, size_t len)
{
	const unsigned char *frames[48];
	opus_int16 sizes[48];
	if (in[0] & LOSSY_LAYER ||
	    opus_packet_parse(in, (opus_int32)len, NULL, frames, sizes, NULL) <= 0 || sizes[0] == 0)
		return false;
	int ms = opus_packet_get_samples_per_frame(in, 1000);
	int silk = ms > 20 ? ms / 20 : 1;
	unsigned bits = frames[0][0];
	return bits >> (7 - silk) & 1 || (in[0] & STEREO && bits >> (6 - 2 * silk) & 1);
}

static size_t recover(const struct codec_format *f, void *state, const uint8_t *in, size_t len,
		      int16_t *out, size_t room)
{
	(void)f;
	size_t samples = (size_t)opus_packet_get_samples_per_frame(in, RATE);
	if (samples > room || !has_copy(in, len))
		return 0;
	int16_t *to = out + (room - samples);
	int got = opus_decode(state, in, (opus_int32)len, to, (int)samples, 1);
	return got == (int)samples ? samples : 0;
}

/* The library makes up to 120 ms at a time, in steps of 2.5 ms. */
static void conceal(const struct codec_format *f, void *state, int16_t *out, size_t samples)
{
	(void)f;
	while (samples > 0) {
		size_t n = samples < PACKET_MAX ? samples : PACKET_MAX;
		n -= n % (RATE / 400);
		int got = n ? opus_decode(state, NULL, 0, out, (int)n, 0) : 0;
		if (got <= 0)
			break;
		out += got;
		samples -= (size_t)got;
	}
	finish(out, 0, samples);
}

static void end(void *state)
{
	opus_decoder_destroy(state);
}

const struct codec_ops codec_opus_ops = {
	.measure = measure,
	.open = begin,
	.decode = decode,
	.recover = recover,
	.conceal = conceal,
	.close = end,
};
