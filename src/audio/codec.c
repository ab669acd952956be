/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec.c: the table of codecs.
 *
 * Runs in the vault, at replay.
 */
#include "audio/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "audio/audio.h"
#include "audio/codecs.h"

#define PAYLOAD_TYPE_DYNAMIC                                                                       \
	35 /* from here on RFC 3551 fixes no meaning (72-76 stay clear of RTCP) */
#define RATE_MIN 8000
#define RATE_MAX 48000

#ifdef WITH_BCG729
#define G729_OPS &codec_g729_ops
#else
#define G729_OPS NULL
#endif

/* clang-format off */
static const struct codec codecs[] = {
	/* name            static  clock  sampling  kind      variant  operations */
	{ "PCMU",               0,  8000,     0, CODEC_AUDIO, CODEC_MU_LAW, &codec_g711_ops },
	{ "PCMA",               8,  8000,     0, CODEC_AUDIO, CODEC_A_LAW,  &codec_g711_ops },
	{ "CN",                13,  8000,     0, CODEC_NOISE, 0, NULL },
	{ "CN",                19,  8000,     0, CODEC_NOISE, 0, NULL }, /* before RFC 3389 */
	{ "telephone-event",   -1,  8000,     0, CODEC_EVENT, 0, NULL },
	{ "G721",               2,  8000,  8000, CODEC_AUDIO, 4,                &codec_g726_ops }, /* RFC 1890 */
	{ "GSM",                3,  8000,  8000, CODEC_AUDIO, 0,                &codec_gsm_ops },
	{ "G723",               4,  8000,     0, CODEC_AUDIO, 0, NULL },
	{ "DVI4",               5,  8000,     0, CODEC_AUDIO, 0, NULL },
	{ "DVI4",               6, 16000,     0, CODEC_AUDIO, 0, NULL },
	{ "LPC",                7,  8000,     0, CODEC_AUDIO, 0, NULL },
	{ "G722",               9,  8000, 16000, CODEC_AUDIO, 0,                &codec_g722_ops }, /* RFC 3551, 4.5.2 */
	{ "L16",               10, 44100,     0, CODEC_AUDIO, 2,                &codec_l16_ops },
	{ "L16",               11, 44100,     0, CODEC_AUDIO, 1,                &codec_l16_ops },
	{ "QCELP",             12,  8000,     0, CODEC_AUDIO, 0, NULL },
	{ "MPA",               14, 90000,     0, CODEC_AUDIO, 0, NULL },
	{ "G728",              15,  8000,     0, CODEC_AUDIO, 0, NULL },
	{ "DVI4",              16, 11025,     0, CODEC_AUDIO, 0, NULL },
	{ "DVI4",              17, 22050,     0, CODEC_AUDIO, 0, NULL },
	{ "G729",              18,  8000,  8000, CODEC_AUDIO, 0,                G729_OPS },
	{ "G726-16",           -1,  8000,  8000, CODEC_AUDIO, 2,                &codec_g726_ops },
	{ "G726-24",           -1,  8000,  8000, CODEC_AUDIO, 3,                &codec_g726_ops },
	{ "G726-32",           -1,  8000,  8000, CODEC_AUDIO, 4,                &codec_g726_ops },
	{ "G726-40",           -1,  8000,  8000, CODEC_AUDIO, 5,                &codec_g726_ops },
	{ "AAL2-G726-16",      -1,  8000,  8000, CODEC_AUDIO, CODEC_AAL2 + 2,   &codec_g726_ops },
	{ "AAL2-G726-24",      -1,  8000,  8000, CODEC_AUDIO, CODEC_AAL2 + 3,   &codec_g726_ops },
	{ "AAL2-G726-32",      -1,  8000,  8000, CODEC_AUDIO, CODEC_AAL2 + 4,   &codec_g726_ops },
	{ "AAL2-G726-40",      -1,  8000,  8000, CODEC_AUDIO, CODEC_AAL2 + 5,   &codec_g726_ops },
	{ "opus",              -1, 48000, 48000, CODEC_AUDIO, 0,                &codec_opus_ops }, /* RFC 7587, 4.1 */
	{ "speex",             -1,  8000,     0, CODEC_AUDIO, 0,                &codec_speex_ops },
	{ "AMR",               -1,  8000,  8000, CODEC_AUDIO, CODEC_NARROW,     &codec_amr_ops },
	{ "AMR-WB",            -1, 16000, 16000, CODEC_AUDIO, CODEC_WIDE,       &codec_amr_ops },
	{ "iLBC",              -1,  8000,     0, CODEC_AUDIO, 0, NULL },
};
/* clang-format on */
#define CODECS (sizeof codecs / sizeof codecs[0])

static const struct codec unknown = { "", -1, RATE_MIN, 0, CODEC_AUDIO, 0, NULL };

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
	/* RFC 3551 keeps 2 for what once was G721: SDP that names it says how it is packed. */
	if (payload_type == 2 && is_named(r, payload_type) && codec_named(r->codec)->ops)
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

/* SDP's clock rate counts for dynamic payload types whose codec may have any. */
static uint32_t clock_of(const struct codec *c, const struct stream_record *r, uint8_t payload_type)
{
	bool sane = r->clock_rate >= RATE_MIN && r->clock_rate <= RATE_MAX;
	bool dynamic = is_named(r, payload_type) && payload_type >= PAYLOAD_TYPE_DYNAMIC;
	bool any = c->sampling_rate == 0 || c->sampling_rate != c->clock_rate;
	return dynamic && sane && any ? r->clock_rate : c->clock_rate;
}

struct codec_format codec_format_of(const struct codec *c, const struct stream_record *r,
				    uint8_t payload_type)
{
	struct codec_format f = { .variant = c->variant, .channels = 1 };
	f.clock_rate = clock_of(c, r, payload_type);
	f.sampling_rate = c->sampling_rate ? c->sampling_rate : f.clock_rate;
	if (c->ops == &codec_l16_ops && payload_type < PAYLOAD_TYPE_DYNAMIC)
		f.channels = (uint32_t)c->variant;
	else if (r->channels > 1 && r->channels <= 8)
		f.channels = r->channels;
	if (is_named(r, payload_type))
		memcpy(f.fmtp, r->fmtp, sizeof f.fmtp);
	f.fmtp[sizeof f.fmtp - 1] = '\0';
	return f;
}

long codec_parameter(const struct codec_format *f, const char *name, long otherwise)
{
	size_t len = strlen(name);
	for (const char *at = f->fmtp; *at;) {
		at += strspn(at, "; \t");
		if (strncasecmp(at, name, len) == 0 && at[len] == '=')
			return strtol(at + len + 1, NULL, 10);
		at += strcspn(at, ";");
	}
	return otherwise;
}

bool audio_decodes(const struct stream_record *r)
{
	for (uint32_t i = 0; i < r->payload_types_count; i++) {
		/* Only the first one's meaning is known; others may be the telephone-events that were kept. */
		if (i > 0 && r->payload_types[i] >= PAYLOAD_TYPE_DYNAMIC && r->events > 0)
			continue;
		const struct codec *c = codec_of(r, r->payload_types[i]);
		if (c && c->kind == CODEC_AUDIO && !c->ops)
			return false;
	}
	return true;
}
