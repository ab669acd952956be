/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec.c: the table of codecs, and ITU-T G.711.
 *
 * Runs in the vault, at replay.  The two G.711 tables are computed once, before main(), and only
 * read afterwards.
 */
#include "audio/codec.h"

#include <stdio.h>
#include <strings.h>

#define PAYLOAD_TYPE_DYNAMIC                                                                       \
	35 /* from here on RFC 3551 fixes no meaning (72-76 stay clear of RTCP) */
#define RATE_MIN 8000
#define RATE_MAX 48000

static int16_t mu_law[256], a_law[256];

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
		mu_law[i] = mu_law_sample((uint8_t)i);
		a_law[i] = a_law_sample((uint8_t)i);
	}
}

static void decode_mu_law(const uint8_t *in, size_t samples, int16_t *out)
{
	for (size_t i = 0; i < samples; i++)
		out[i] = mu_law[in[i]];
}

static void decode_a_law(const uint8_t *in, size_t samples, int16_t *out)
{
	for (size_t i = 0; i < samples; i++)
		out[i] = a_law[in[i]];
}

/* clang-format off */
static const struct codec codecs[] = {
	/* name            static  rate   kind         bytes  decoder */
	{ "PCMU",               0,  8000, CODEC_AUDIO, 1, decode_mu_law },
	{ "PCMA",               8,  8000, CODEC_AUDIO, 1, decode_a_law },
	{ "CN",                13,  8000, CODEC_NOISE, 0, NULL },
	{ "CN",                19,  8000, CODEC_NOISE, 0, NULL }, /* before RFC 3389 */
	{ "telephone-event",   -1,  8000, CODEC_EVENT, 0, NULL },
	{ "GSM",                3,  8000, CODEC_AUDIO, 0, NULL },
	{ "G723",               4,  8000, CODEC_AUDIO, 0, NULL },
	{ "DVI4",               5,  8000, CODEC_AUDIO, 0, NULL },
	{ "DVI4",               6, 16000, CODEC_AUDIO, 0, NULL },
	{ "LPC",                7,  8000, CODEC_AUDIO, 0, NULL },
	{ "G722",               9,  8000, CODEC_AUDIO, 0, NULL }, /* samples at 16000 (RFC 3551, 4.5.2) */
	{ "L16",               10, 44100, CODEC_AUDIO, 0, NULL },
	{ "L16",               11, 44100, CODEC_AUDIO, 0, NULL },
	{ "QCELP",             12,  8000, CODEC_AUDIO, 0, NULL },
	{ "MPA",               14, 90000, CODEC_AUDIO, 0, NULL },
	{ "G728",              15,  8000, CODEC_AUDIO, 0, NULL },
	{ "DVI4",              16, 11025, CODEC_AUDIO, 0, NULL },
	{ "DVI4",              17, 22050, CODEC_AUDIO, 0, NULL },
	{ "G729",              18,  8000, CODEC_AUDIO, 0, NULL },
};
/* clang-format on */
#define CODECS (sizeof codecs / sizeof codecs[0])

static const struct codec unknown = { "", -1, RATE_MIN, CODEC_AUDIO, 0, NULL };

static const struct codec *codec_named(const char *name)
{
	for (size_t i = 0; i < CODECS; i++)
		if (strcasecmp(codecs[i].name, name) == 0)
			return &codecs[i];
	return &unknown;
}

static const struct codec *codec_static(uint8_t payload_type)
{
	for (size_t i = 0; i < CODECS; i++)
		if (codecs[i].payload_type == payload_type)
			return &codecs[i];
	return &unknown;
}

/* The record's codec is that of the first payload type listed (rtp lists what it stores, the naming one first). */
static bool is_named(const struct stream_record *r, uint8_t payload_type)
{
	return r->payload_types_count > 0 && r->payload_types[0] == payload_type;
}

const struct codec *codec_of(const struct stream_record *r, uint8_t payload_type)
{
	const struct codec *c = &unknown;
	if (payload_type < PAYLOAD_TYPE_DYNAMIC)
		c = codec_static(payload_type);
	else if (is_named(r, payload_type))
		c = codec_named(r->codec);
	return c->kind == CODEC_EVENT ? NULL : c;
}

const char *codec_text(const struct codec *c, const struct stream_record *r, uint8_t payload_type,
		       char buf[CODEC_TEXT])
{
	if (c->name[0])
		snprintf(buf, CODEC_TEXT, "%s", c->name);
	else if (is_named(r, payload_type) && r->codec[0])
		snprintf(buf, CODEC_TEXT, "%s", r->codec);
	else
		snprintf(buf, CODEC_TEXT, "payload type %u", payload_type);
	return buf;
}

uint32_t codec_rate(const struct codec *c, const struct stream_record *r)
{
	bool dynamic = r->payload_types_count > 0 && r->payload_types[0] >= PAYLOAD_TYPE_DYNAMIC;
	bool sane = r->clock_rate >= RATE_MIN && r->clock_rate <= RATE_MAX;
	return dynamic && sane ? r->clock_rate : c->rate;
}
