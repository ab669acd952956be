/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec_amr.c: AMR and AMR-WB (RFC 4867), by libopencore-amrnb and -amrwb.
 *
 * Runs in the vault, at replay.  A payload is a mode request, a table of contents and the frames, packed in
 * one of two ways; each frame goes to the library as the octets of a file would.
 *
 *     bandwidth-efficient   CMR(4) [F FT(4) Q](6)... frame bits...                 no padding but at the end
 *     octet-aligned         CMR(4) 0000  [F FT(4) Q 00](8)...  frames, each padded to an octet
 *
 * SDP says which (octet-align); where it is not known, or says otherwise than most payloads do, the payloads themselves
 * tell, for either way fixes the length and which bits are 0.
 */
#include <opencore-amrnb/interf_dec.h>
#include <opencore-amrwb/dec_if.h>
#include <stdlib.h>
#include <string.h>

#include "audio/codecs.h"

#define FRAMES_MAX 12 /* 240 ms */
#define FRAME_MAX  61 /* octets: the head, and 477 bits */
#define NO_DATA    15
#define NONE       0xffff

enum packing { EFFICIENT, ALIGNED };

/* Bits of a frame, by its type (3GPP TS 26.101, 26.201). */
static const uint16_t frame_bits[2][16] = {
	[CODEC_NARROW] = { 95, 103, 118, 134, 148, 159, 204, 244, 39, NONE, NONE, NONE, NONE, NONE,
			   NONE, 0 },
	[CODEC_WIDE] = { 132, 177, 253, 285, 317, 365, 397, 461, 477, 40, NONE, NONE, NONE, NONE, 0,
			 0 },
};

struct table {
	unsigned count;
	uint8_t type[FRAMES_MAX];
	size_t at; /* first bit of the first frame */
};

static unsigned read_bits(const uint8_t *in, size_t at, unsigned bits)
{
	unsigned value = 0;
	for (size_t i = at; i < at + bits; i++)
		value = value << 1 | (in[i / 8] >> (7 - i % 8) & 1);
	return value;
}

/* Read mode request and table of contents.  False: it is not packed in that way. */
static bool read_table(const struct codec_format *f, enum packing p, const uint8_t *in, size_t len,
		       struct table *t)
{
	size_t entry = p == ALIGNED ? 8 : 6, at = p == ALIGNED ? 8 : 4, bits = 0;
	bool more = len > 0;
	if (p == ALIGNED && more && in[0] & 0x0f)
		return false;
	for (t->count = 0; more; at += entry) {
		if (t->count == FRAMES_MAX || at + entry > 8 * len)
			return false;
		unsigned head = read_bits(in, at, 5), type = head & 15;
		if (frame_bits[f->variant][type] == NONE ||
		    (p == ALIGNED && read_bits(in, at + 6, 2) != 0))
			return false;
		more = head >> 4;
		bits += frame_bits[f->variant][type];
		if (p == ALIGNED)
			bits = (bits + 7) & ~(size_t)7;
		t->type[t->count++] = (uint8_t)type;
	}
	t->at = at;
	size_t past = at + bits;
	return t->count > 0 && (past + 7) / 8 == len &&
	       read_bits(in, past, (unsigned)(8 * len - past)) == 0;
}

static void look(struct codec_format *f, const uint8_t *in, size_t len)
{
	struct table t;
	f->votes[EFFICIENT] += read_table(f, EFFICIENT, in, len, &t);
	f->votes[ALIGNED] += read_table(f, ALIGNED, in, len, &t);
}

static enum packing packing_of(const struct codec_format *f)
{
	enum packing said = codec_parameter(f, "octet-align", 0) == 1 ? ALIGNED : EFFICIENT;
	return f->votes[said] >= f->votes[!said] ? said : (enum packing) !said;
}

static size_t samples_a_frame(const struct codec_format *f)
{
	return f->sampling_rate / 50;
}

static size_t measure(const struct codec_format *f, const uint8_t *in, size_t len)
{
	struct table t;
	return read_table(f, packing_of(f), in, len, &t) ? t.count * samples_a_frame(f) : 0;
}

struct state {
	void *decoder;
	bool wide;
};

static void *begin(const struct codec_format *f)
{
	struct state *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->wide = f->variant == CODEC_WIDE;
	s->decoder = s->wide ? D_IF_init() : Decoder_Interface_init();
	if (!s->decoder) {
		free(s);
		return NULL;
	}
	return s;
}

static void end(void *state)
{
	struct state *s = state;
	if (s->wide)
		D_IF_exit(s->decoder);
	else
		Decoder_Interface_exit(s->decoder);
	free(s);
}

static void one_frame(struct state *s, const uint8_t frame[FRAME_MAX + 3], int16_t *out)
{
	if (s->wide)
		D_IF_decode(s->decoder, frame, out, 0);
	else
		Decoder_Interface_Decode(s->decoder, frame, out, 0);
}

static void decode(const struct codec_format *f, void *state, const uint8_t *in, size_t len,
		   int16_t *out, size_t samples)
{
	enum packing p = packing_of(f);
	struct table t;
	bool whole = read_table(f, p, in, len, &t);
	ASSERT(whole && samples == t.count * samples_a_frame(f));
	for (unsigned i = 0; i < t.count; i++, out += samples_a_frame(f)) {
		uint8_t frame[FRAME_MAX + 3] = { 0 };
		unsigned bits = frame_bits[f->variant][t.type[i]];
		/* Type 14 of AMR-WB, a frame that was lost before it was sent, sounds as one that is not there. */
		frame[0] = (uint8_t)((bits ? t.type[i] : NO_DATA) << 3 | 4);
		for (unsigned k = 0; k < bits; k += 8) {
			unsigned n = bits - k < 8 ? bits - k : 8;
			frame[1 + k / 8] = (uint8_t)(read_bits(in, t.at + k, n) << (8 - n));
		}
		t.at += p == ALIGNED ? (bits + 7) & ~7u : bits;
		one_frame(state, frame, out);
	}
}

static void conceal(const struct codec_format *f, void *state, int16_t *out, size_t samples)
{
	static const uint8_t nothing[FRAME_MAX + 3] = { NO_DATA << 3 | 4 };
	int16_t made[320];
	while (samples > 0) {
		size_t n = samples < samples_a_frame(f) ? samples : samples_a_frame(f);
		one_frame(state, nothing, made);
		memcpy(out, made, n * sizeof *out);
		out += n;
		samples -= n;
	}
}

const struct codec_ops codec_amr_ops = {
	.look = look,
	.measure = measure,
	.open = begin,
	.decode = decode,
	.conceal = conceal,
	.close = end,
};
