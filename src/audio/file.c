/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* file.c: WAV, FLAC and Opus in Ogg, by libsndfile, to any descriptor.
 *
 * Runs in the vault.  A file's head (sizes, and for FLAC a digest too) is only known at its end, and a pipe
 * cannot be rewound.  So the file is made twice: the first time nothing but its head is kept, the second
 * time it is written from front to back with that head.  No audio touches a disk on the way but
 * where it is meant to go.
 *
 *     make 1:  [head'|............]   seek back: [head ]       kept
 *     make 2:  [head |samples.....] ──► descriptor             head' not written, the kept one is
 *
 * Ogg is made for streams and goes out in one pass.  A timeline's marks are cue points of a WAV file, with their labels.
 */
#include <errno.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audio/mixdown.h"
#include "audio/resample.h"
#include "audio/timeline.h"
#include "base/bytes.h"
#include "base/whole.h"

#define HEAD_MAX      65536
#define WAV_MAX_BYTES (UINT32_MAX - UINT32_C(65536)) /* RIFF sizes have 32 bits */

struct sink {
	int fd;      /* -1: only the head is kept */
	bool stream; /* one pass: nothing was kept before */
	int errnum;
	sf_count_t at, len;
	uint8_t head[HEAD_MAX];
};

static sf_count_t sink_length(void *ctx)
{
	const struct sink *k = ctx;
	return k->len;
}

static sf_count_t sink_seek(sf_count_t offset, int whence, void *ctx)
{
	struct sink *k = ctx;
	k->at = offset + (whence == SEEK_CUR ? k->at : whence == SEEK_END ? k->len : 0);
	return k->at;
}

static sf_count_t sink_tell(void *ctx)
{
	const struct sink *k = ctx;
	return k->at;
}

static sf_count_t sink_read(void *to, sf_count_t count, void *ctx)
{
	(void)to;
	(void)count;
	(void)ctx;
	return 0;
}

static bool write_all(struct sink *k, const uint8_t *from, size_t len)
{
	if (whole_write(k->fd, from, len))
		return true;
	k->errnum = errno;
	return false;
}

/* Of bytes [at, at + count) of the file, write those that were not written yet; what lies within the head is taken from what was
 * kept. */
static bool write_new(struct sink *k, const uint8_t *bytes, sf_count_t count)
{
	sf_count_t past = k->at + count;
	sf_count_t head_end = k->stream ? 0 : past < HEAD_MAX ? past : HEAD_MAX;
	sf_count_t from = k->len;
	if (from < head_end) {
		if (!write_all(k, k->head + from, (size_t)(head_end - from)))
			return false;
		from = head_end;
	}
	return from >= past || write_all(k, bytes + (from - k->at), (size_t)(past - from));
}

/* Bytes [at, at + count) of the file. */
static sf_count_t sink_write(const void *from, sf_count_t count, void *ctx)
{
	struct sink *k = ctx;
	sf_count_t in_head = k->at >= HEAD_MAX          ? 0
			     : HEAD_MAX - k->at < count ? HEAD_MAX - k->at
							: count;
	/* A head that has grown is written again: what of it lies past the end is new. */
	sf_count_t known = k->len - k->at, end = k->at + count;
	bool fits = known == 0 || (!k->stream && end <= HEAD_MAX);
	if (k->errnum || k->at > k->len || !fits) {
		k->errnum = k->errnum ? k->errnum
				      : EIO; /* rewritten where it cannot be: not a file of ours */
		return 0;
	}
	if (k->fd < 0)
		memcpy(k->head + k->at, from, (size_t)in_head);
	else if (!write_new(k, from, count))
		return 0;
	k->at += count;
	if (k->at > k->len)
		k->len = k->at;
	return count;
}

static const int formats[] = {
	[AUDIO_WAV] = SF_FORMAT_WAV | SF_FORMAT_PCM_16,
	[AUDIO_FLAC] = SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
	[AUDIO_OPUS] = SF_FORMAT_OGG | SF_FORMAT_OPUS,
};

/* What is written: samples of a mixdown, at a rate that the format takes. */
struct recording {
	struct mixdown mixdown;
	enum audio_format format;
	uint32_t rate, file_rate;
	struct resample *resample; /* owned; NULL: the rates are the same */
	int16_t out[2 * MIXDOWN_FRAMES];
};

/* ---- cue points -------------------------------------------------------------------------------- */

struct cues {
	SF_CUES_VAR(MARKS_MAX) points;
	uint8_t labels[4 + MARKS_MAX * (12 + MARK_LABEL)]; /* body of a LIST chunk */
	size_t labels_len;
};

#define MARK_LATEST_US (UINT64_C(50) * 3600 * 1000000) /* no recording is as long */
#define CHUNK_DATA     0x61746164                      /* "data", as RIFF has it */
#define LABEL_CHUNK    0x6c62616c                      /* "labl" */

/* "labl" size, number of the cue point, text with its zero, and more of them up to a multiple of 4: the library pads the list so,
 * and readers take what is padded within for another label. */
static void add_label(struct cues *c, uint32_t number, const char *text)
{
	uint8_t *to = c->labels + c->labels_len;
	uint32_t len = (uint32_t)strnlen(text, MARK_LABEL - 1) + 1;
	len = (len + 3) & ~3u;
	put_u32_le(to, LABEL_CHUNK);
	put_u32_le(to + 4, 4 + len);
	put_u32_le(to + 8, number);
	memset(to + 12, 0, len);
	(void)snprintf((char *)to + 12, len, "%s", text);
	c->labels_len += 12 + len;
}

static void find_cues(struct cues *c, const struct timeline *t, const struct audio_summary *s,
		      uint64_t from)
{
	memcpy(c->labels, "adtl", 4);
	c->labels_len = 4;
	for (size_t i = 0; i < t->marks_count; i++) {
		const struct mark *m = &t->marks[i];
		uint64_t since_us = (uint64_t)m->at_us - (uint64_t)s->zero_us;
		if (m->at_us < s->zero_us || since_us > MARK_LATEST_US)
			continue;
		uint64_t at = since_us * s->rate / (uint64_t)US_PER_S;
		if (at < from || at >= s->samples)
			continue;
		at -= from;
		SF_CUE_POINT *p = &c->points.cue_points[c->points.cue_count++];
		p->indx = (int32_t)c->points.cue_count;
		p->position = (uint32_t)at;
		p->fcc_chunk = CHUNK_DATA;
		p->sample_offset = (uint32_t)at;
		add_label(c, c->points.cue_count, m->label);
	}
}

/* Cue points and labels go before the samples.  `c` is kept until the file is closed. */
static bool put_cues(SNDFILE *file, struct cues *c)
{
	SF_CHUNK_INFO labels = {
		.id = "LIST", .id_size = 4, .datalen = (unsigned)c->labels_len, .data = c->labels
	};
	if (c->points.cue_count == 0)
		return true;
	int size = (int)(sizeof c->points.cue_count +
			 c->points.cue_count * sizeof c->points.cue_points[0]);
	return sf_command(file, SFC_SET_CUE, &c->points, size) == SF_TRUE &&
	       sf_set_chunk(file, &labels) == SF_ERR_NO_ERROR;
}

/* ---- the file ---------------------------------------------------------------------------------- */

/* Opus knows few rates (RFC 6716, 2): the next that loses nothing. */
static uint32_t file_rate(enum audio_format f, uint32_t rate)
{
	static const uint32_t opus[] = { 8000, 12000, 16000, 24000 };
	if (f != AUDIO_OPUS)
		return rate;
	for (size_t i = 0; i < sizeof opus / sizeof opus[0]; i++)
		if (rate <= opus[i])
			return opus[i];
	return 48000;
}

static bool start(struct recording *r, const struct timeline *t, const struct audio_summary *s,
		  int tracks, enum track track, uint64_t from)
{
	mixdown_start(&r->mixdown, t, s, tracks, track, from);
	resample_free(r->resample);
	r->resample = NULL;
	if (r->rate != r->file_rate)
		r->resample = resample_new((uint32_t)tracks, r->rate, r->file_rate);
	return r->resample || r->rate == r->file_rate;
}

static bool put(SNDFILE *file, const int16_t *in, size_t frames)
{
	return sf_writef_short(file, in, (sf_count_t)frames) == (sf_count_t)frames;
}

/* A block, at the rate of the file. */
static bool put_block(SNDFILE *file, struct recording *r, const int16_t *in, size_t frames)
{
	if (!r->resample)
		return put(file, in, frames);
	while (frames > 0) {
		uint32_t taken = (uint32_t)frames, given = MIXDOWN_FRAMES;
		resample_next(r->resample, in, &taken, r->out, &given);
		if (!put(file, r->out, given))
			return false;
		in += taken * (unsigned)r->mixdown.tracks;
		frames -= taken;
	}
	return true;
}

/* Make the whole file into the sink. */
static enum rc make_file(struct sink *k, struct recording *r, struct cues *c, struct error *err)
{
	static SF_VIRTUAL_IO calls = { sink_length, sink_seek, sink_read, sink_write, sink_tell };
	struct mixdown *m = &r->mixdown;
	SF_INFO info = { .samplerate = (int)r->file_rate,
			 .channels = m->tracks,
			 .format = formats[r->format] };
	SNDFILE *file = sf_open_virtual(&calls, SFM_WRITE, &info, k);
	if (!file)
		return error_set(err, RC_FAILED, "cannot write audio: %s",
				 k->errnum ? strerror(k->errnum) : sf_strerror(NULL));
	bool ok = r->format != AUDIO_WAV || put_cues(file, c);
	for (size_t n; ok && (n = mixdown_next(m, MIXDOWN_FRAMES)) > 0;)
		ok = put_block(file, r, m->out, n) && !k->errnum;
	ok = sf_close(file) == 0 && ok;
	if (k->errnum)
		return error_errno(err, RC_FAILED, k->errnum, "cannot write audio");
	return ok ? RC_OK : error_set(err, RC_FAILED, "cannot write audio");
}

/* Once for the head, unless the format is written in one pass, and once for the descriptor. */
static enum rc make_all(struct sink *k, struct recording *r, struct cues *c,
			const struct timeline *t, const struct audio_summary *s, enum track track,
			int fd, uint64_t from, struct error *err)
{
	int tracks = r->mixdown.tracks;
	k->stream = r->format == AUDIO_OPUS;
	for (k->fd = k->stream ? fd : -1;; k->fd = fd) {
		k->at = k->len = 0;
		if (!start(r, t, s, tracks, track, from))
			return error_set(err, RC_FAILED, "memory is short");
		enum rc rc = make_file(k, r, c, err);
		if (rc != RC_OK || k->fd == fd)
			return rc;
	}
}

enum rc audio_write(const struct timeline *t, const struct audio_summary *s, int fd,
		    enum audio_format f, int tracks, enum track track, uint64_t from,
		    struct error *err)
{
	uint64_t first = from < s->samples ? from : s->samples;
	if (f == AUDIO_WAV && (s->samples - first) * 2 * (unsigned)tracks > WAV_MAX_BYTES)
		return error_set(err, RC_FAILED, "too long for a WAV file: choose flac");
	struct sink *k = calloc(1, sizeof *k);
	struct recording *r = calloc(1, sizeof *r);
	struct cues *c = calloc(1, sizeof *c);
	enum rc rc = RC_FAILED;
	if (k && r && c) {
		r->format = f;
		r->rate = s->rate;
		r->file_rate = file_rate(f, s->rate);
		r->mixdown.tracks = tracks;
		find_cues(c, t, s, first);
		rc = make_all(k, r, c, t, s, track, fd, first, err);
		resample_free(r->resample);
	} else {
		(void)error_set(err, RC_FAILED, "memory is short");
	}
	if (r)
		explicit_bzero(r, sizeof *r);
	if (k)
		explicit_bzero(k, sizeof *k);
	free(c);
	free(r);
	free(k);
	return rc;
}
