/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codec.h: which decoder a frame needs, and what every decoder offers.
 *
 * One table: a codec's name in SDP, its static payload type (RFC 3551, 6), its clocks and its operations.
 * Codecs that are known and cannot be decoded stand in it too, so that they can be named.  Each big
 * library stands behind one codec_*.c.  Runs in the vault; decoding never fails: a payload is measured before
 * a library sees it, and what cannot be a frame of its codec measures 0 samples.
 */
#ifndef CALLSPAN_AUDIO_CODEC_H
#define CALLSPAN_AUDIO_CODEC_H

#include "store/store.h"

enum codec_kind {
	CODEC_AUDIO,
	CODEC_NOISE, /* RFC 3389: says that there is nothing to hear; takes part in timing only */
	CODEC_EVENT  /* RFC 4733: its timestamps are those of a key press, not of audio */
};

/* The most samples that one payload decodes to. */
#define CODEC_SAMPLES_MAX 65536

/* How one payload type of a stream is coded. */
struct codec_format {
	uint32_t clock_rate;    /* of its timestamps, Hz */
	uint32_t sampling_rate; /* of what it decodes to, Hz */
	uint32_t channels;      /* as sent; always decoded to one */
	int variant;            /* of the codec's row */
	char fmtp[64];          /* as SDP says, or "" */
	uint32_t votes[2]; /* what look() has found: frames that fit one packing and the other */
};

struct codec_ops {
	/* See one of the payloads before any is measured (NULL: nothing to find out). */
	void (*look)(struct codec_format *f, const uint8_t *in, size_t len);
	/* How many samples a payload decodes to, at most CODEC_SAMPLES_MAX; 0: it is none. */
	size_t (*measure)(const struct codec_format *f, const uint8_t *in, size_t len);
	/* A decoder's state, owned by the caller till close(); NULL: memory is short.  (NULL: it needs none.) */
	void *(*open)(const struct codec_format *f);
	/* Decode a payload that measured `samples` > 0, in the order of sequence numbers. */
	void (*decode)(const struct codec_format *f, void *state, const uint8_t *in, size_t len,
		       int16_t *out, size_t samples);
	/* What was lost just before this payload and comes with it: at most `room` samples to the end of out[room];
	 * returns how many (NULL: never any).  Called before decode(). */
	size_t (*recover)(const struct codec_format *f, void *state, const uint8_t *in, size_t len,
			  int16_t *out, size_t room);
	/* Make up samples that were lost (NULL: it has no way of its own). */
	void (*conceal)(const struct codec_format *f, void *state, int16_t *out, size_t samples);
	void (*close)(void *state);
};

struct codec {
	const char *name;       /* encoding name, compared without case */
	int payload_type;       /* static, or -1 */
	uint32_t clock_rate;    /* Hz, where SDP's does not count */
	uint32_t sampling_rate; /* Hz; 0: the clock's */
	enum codec_kind kind;
	int variant;
	const struct codec_ops *ops; /* NULL: cannot be decoded */
};

/* The codec of one payload type of a stream; NULL: an event, nothing to hear.  Audio that the table does not have, or
 * of which the record does not say what it is, is answered by a row that has the name "". */
const struct codec *codec_of(const struct stream_record *r, uint8_t payload_type);
/* Its name for people: the table's, the record's, or the payload type's number. */
#define CODEC_TEXT 40
const char *codec_text(const struct codec *c, const struct stream_record *r, uint8_t payload_type,
		       char buf[CODEC_TEXT]);
/* How the stream's payload type is coded. */
struct codec_format codec_format_of(const struct codec *c, const struct stream_record *r,
				    uint8_t payload_type);
/* The number of a parameter ("octet-align") in a=fmtp; `otherwise` when it is not there. */
long codec_parameter(const struct codec_format *f, const char *name, long otherwise);

#endif
