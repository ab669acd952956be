/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* audio.h: from a recording's frames to something to hear.
 *
 * Runs in the vault only, on opened recordings.  A `timeline` takes a call's streams and chunk bodies, decodes them
 * and places each frame by its RTP timestamp, anchored to arrival time: jitter goes, gaps are
 * silence, the two tracks keep their true offset.
 */
#ifndef CALLSPAN_AUDIO_H
#define CALLSPAN_AUDIO_H

#include "base/rc.h"
#include "rtp/rtp.h"
#include "store/store.h"

struct timeline;
struct timeline *timeline_new(void);
void timeline_free(struct timeline *t);

/* Add a stream (copied).  Returns its index for timeline_chunk(). */
int timeline_stream(struct timeline *t, const struct stream_record *r);
/* Add an unsealed chunk body of that stream, in any order (copied).  RC_DAMAGED: it contradicts itself (the frames
 * before the contradiction are kept); RC_FAILED: memory is short. */
enum rc timeline_chunk(struct timeline *t, int stream, const uint8_t *body, size_t len) MUST_USE;
/* Before render: frames that arrived later are not placed (0: all are; at first the record's until_us). */
void timeline_until(struct timeline *t, int stream, int64_t until_us);
/* Before render: leave the stream out.  Streams from a foreign source are left out without being told. */
void timeline_mute(struct timeline *t, int stream);

struct audio_summary {
	uint32_t rate;      /* Hz */
	uint64_t samples;   /* per track */
	int64_t zero_us;    /* packet time of sample 0: the first recorded frame of either track */
	uint64_t frames[2]; /* audio frames placed on each track */
	uint64_t
		gaps_samples[2]; /* between a track's first and last sample, what no frame covers */
	uint32_t undecoded_streams; /* codecs that this build cannot decode */
	char undecoded[64];         /* their names, comma separated */
};
/* Decode and place everything.  RC_NOT_FOUND when there is nothing to hear (`out` names the codecs), RC_FAILED when it
 * spans more than 48 hours or memory is short. */
enum rc timeline_render(struct timeline *t, struct audio_summary *out, struct error *err) MUST_USE;
/* After render: copy `count` samples of a track from sample `from` (zero beyond the end). */
void timeline_samples(const struct timeline *t, enum track track, uint64_t from, size_t count,
		      int16_t *out);

/* ---- files and devices ------------------------------------------------------------------- */

enum audio_format { AUDIO_WAV, AUDIO_FLAC };
/* Write tracks (1: mono of `track`, 2: stereo, caller left) to an open descriptor (not closed; need not be
 * seekable for FLAC and WAV: it is written in one pass when a pipe). from: first sample. */
enum rc audio_write(const struct timeline *t, const struct audio_summary *s, int fd,
		    enum audio_format f, int tracks, enum track track, uint64_t from,
		    struct error *err) MUST_USE;
/* Play on the default sound device (ALSA), blocking; `stop` (may be NULL) is polled. RC_FAILED without one. */
enum rc audio_play(const struct timeline *t, const struct audio_summary *s, int tracks,
		   enum track track, uint64_t from, const volatile int *stop,
		   struct error *err) MUST_USE;

#endif
