/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec.h: which decoder a frame needs.
 *
 * One table: a codec's name in SDP, its static payload type (RFC 3551, 6) and how its
 * frames become 16-bit samples.  Codecs that are known and cannot be decoded stand in it too, so that they
 * can be named.  Runs in the vault; decoding never fails: any byte is a sample.
 */
#ifndef CALLSPAN_AUDIO_CODEC_H
#define CALLSPAN_AUDIO_CODEC_H

#include "store/store.h"

enum codec_kind {
	CODEC_AUDIO,
	CODEC_NOISE, /* RFC 3389: says that there is nothing to hear; takes part in timing only */
	CODEC_EVENT  /* RFC 4733: its timestamps are those of a key press, not of audio */
};

struct codec {
	const char *name; /* encoding name, compared without case */
	int payload_type; /* static, or -1 */
	uint32_t rate;    /* RTP clock and sampling rate, Hz, of the static payload type */
	enum codec_kind kind;
	unsigned bytes_a_sample; /* 0: cannot be decoded */
	void (*decode)(const uint8_t *in, size_t samples,
		       int16_t *out); /* NULL: cannot be decoded */
};

/* The codec of one payload type of a stream; NULL: an event, nothing to hear.  Audio that the table does not have, or
 * of which the record does not say what it is, is answered by a row that has the name "". */
const struct codec *codec_of(const struct stream_record *r, uint8_t payload_type);
/* Its name for people: the table's, the record's, or the payload type's number. */
#define CODEC_TEXT 40
const char *codec_text(const struct codec *c, const struct stream_record *r, uint8_t payload_type,
		       char buf[CODEC_TEXT]);
/* Sampling rate of a stream's audio in a codec that can be decoded, Hz. */
uint32_t codec_rate(const struct codec *c, const struct stream_record *r);

#endif
