/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* file.c: WAV and FLAC, by libsndfile, to any descriptor.
 *
 * Runs in the vault.  A file's head (sizes, and for FLAC a digest too) is only known at its end, and a pipe
 * cannot be rewound.  So the file is made twice: the first time nothing but its head is kept, the second
 * time it is written from front to back with that head.  No audio touches a disk on the way but
 * where it is meant to go.
 *
 *     make 1:  [head'|............]   seek back: [head ]       kept
 *     make 2:  [head |samples.....] ──► descriptor             head' not written, the kept one is
 */
#include <errno.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audio/mixdown.h"

#define HEAD_MAX      65536
#define WAV_MAX_BYTES (UINT32_MAX - UINT32_C(65536)) /* RIFF sizes have 32 bits */

struct sink {
	int fd; /* -1: only the head is kept */
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
	while (len > 0) {
		ssize_t n = write(k->fd, from, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			k->errnum = n < 0 ? errno : ENOSPC;
			return false;
		}
		from += n;
		len -= (size_t)n;
	}
	return true;
}

/* Bytes [at, at + count) of the file.  Those that lie within the head are kept, or taken from what was kept. */
static sf_count_t sink_write(const void *from, sf_count_t count, void *ctx)
{
	struct sink *k = ctx;
	const uint8_t *bytes = from;
	sf_count_t in_head = k->at >= HEAD_MAX          ? 0
			     : HEAD_MAX - k->at < count ? HEAD_MAX - k->at
							: count;
	bool appends = k->at == k->len;
	if (k->errnum || k->at > k->len || (!appends && k->at + count > HEAD_MAX)) {
		k->errnum = k->errnum ? k->errnum
				      : EIO; /* rewritten where it cannot be: not a file of ours */
		return 0;
	}
	if (k->fd < 0)
		memcpy(k->head + k->at, bytes, (size_t)in_head);
	else if (appends && (!write_all(k, k->head + k->at, (size_t)in_head) ||
			     !write_all(k, bytes + in_head, (size_t)(count - in_head))))
		return 0;
	k->at += count;
	if (k->at > k->len)
		k->len = k->at;
	return count;
}

static const int formats[] = {
	[AUDIO_WAV] = SF_FORMAT_WAV | SF_FORMAT_PCM_16,
	[AUDIO_FLAC] = SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
};

/* Make the whole file into the sink. */
static enum rc make_file(struct sink *k, struct mixdown *m, uint32_t rate, enum audio_format f,
			 struct error *err)
{
	static SF_VIRTUAL_IO calls = { sink_length, sink_seek, sink_read, sink_write, sink_tell };
	SF_INFO info = { .samplerate = (int)rate, .channels = m->tracks, .format = formats[f] };
	SNDFILE *file = sf_open_virtual(&calls, SFM_WRITE, &info, k);
	if (!file)
		return error_set(err, RC_FAILED, "cannot write audio: %s",
				 k->errnum ? strerror(k->errnum) : sf_strerror(NULL));
	bool ok = true;
	for (size_t n; ok && (n = mixdown_next(m, MIXDOWN_FRAMES)) > 0;)
		ok = sf_writef_short(file, m->out, (sf_count_t)n) == (sf_count_t)n && !k->errnum;
	ok = sf_close(file) == 0 && ok;
	if (k->errnum)
		return error_errno(err, RC_FAILED, k->errnum, "cannot write audio");
	return ok ? RC_OK : error_set(err, RC_FAILED, "cannot write audio");
}

enum rc audio_write(const struct timeline *t, const struct audio_summary *s, int fd,
		    enum audio_format f, int tracks, enum track track, uint64_t from,
		    struct error *err)
{
	uint64_t samples = from < s->samples ? s->samples - from : 0;
	if (f == AUDIO_WAV && samples * 2 * (unsigned)tracks > WAV_MAX_BYTES)
		return error_set(err, RC_FAILED, "too long for a WAV file: choose flac");
	struct sink *k = calloc(1, sizeof *k);
	struct mixdown *m = calloc(1, sizeof *m);
	enum rc rc = RC_FAILED;
	if (k && m) {
		k->fd = -1;
		mixdown_start(m, t, s, tracks, track, from);
		rc = make_file(k, m, s->rate, f, err);
	} else {
		(void)error_set(err, RC_FAILED, "memory is short");
	}
	if (k && m && rc == RC_OK) {
		k->fd = fd;
		k->at = k->len = 0;
		mixdown_start(m, t, s, tracks, track, from);
		rc = make_file(k, m, s->rate, f, err);
	}
	if (m)
		explicit_bzero(m, sizeof *m);
	if (k)
		explicit_bzero(k, sizeof *k);
	free(m);
	free(k);
	return rc;
}
