/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* audio.h: from a recording's frames to something to hear.
 *
 * Runs in the vault only, on opened recordings.  A `timeline` takes a call's streams and chunk bodies, decrypts and decodes
 * them and places each frame by its RTP timestamp, anchored to arrival time: jitter goes, gaps are
 * silence, the two tracks keep their true offset.  Comfort noise (RFC 3389) is silence too, and telephone-events
 * (RFC 4733) are never heard.
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
/* Before render: the call's media keys (copied, wiped on free).  Streams with PROTECTION_SDES are decrypted with those of the
 * party whose voice they carry; frames that no key authenticates are not heard. */
void timeline_keys(struct timeline *t, const struct sdes_key *keys, uint32_t count);
/* Before render: fill what was lost by the codec's own concealment, or by repeating pitch, instead of silence. */
void timeline_conceal(struct timeline *t, bool on);
/* Before render: note a moment (hold, resume) that files carry as a cue point.  `label` is copied, cut at MARK_LABEL. */
#define MARK_LABEL 32
void timeline_mark(struct timeline *t, int64_t at_us, const char *label);
/* Before render: of these tracks (bits 1 << track) nothing is heard from `from_s` to `to_s`, seconds after sample 0: their
 * samples are zero there, and files carry cue points "muted" and "unmuted".  It is rounded outwards, to whole samples. */
void timeline_silence(struct timeline *t, unsigned tracks, double from_s, double to_s);
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
	uint32_t
		undecrypted_streams; /* protected, and no key authenticates any frame (also among the former) */
	uint64_t decrypted[2];   /* frames decrypted and authenticated */
	uint64_t unauthentic[2]; /* frames that no key authenticates, not heard */
	uint64_t recovered[2];   /* lost frames heard from the copy in the next (in-band FEC) */
	uint64_t copies
		[2]; /* frames of another stream that carries the same (a relay's), heard once */
	uint64_t concealed_samples[2];
	double silent
		[2]; /* share of the track's samples that is silent: stretches of 20 ms below -60 dBFS */
	uint64_t
		clipped[2]; /* samples at G.711's highest level or above it, two or more in a row */
	double level_dbfs
		[2]; /* mean power of what is not silent; a full sine is -3 dB.  -INFINITY: all is silent */
};
/* Decode and place everything.  RC_NOT_FOUND when there is nothing to hear (`out` names the codecs), RC_FAILED when it
 * spans more than 48 hours or memory is short. */
enum rc timeline_render(struct timeline *t, struct audio_summary *out, struct error *err) MUST_USE;
/* After render: copy `count` samples of a track from sample `from` (zero beyond the end). */
void timeline_samples(const struct timeline *t, enum track track, uint64_t from, size_t count,
		      int16_t *out);

/* True when this build has a decoder for all audio payload types of the stream. */
bool audio_decodes(const struct stream_record *r);

/* ---- what goes to others ------------------------------------------------------------------- */

/* Decrypts SRTP, frame by frame in order of arrival; for one stream. */
struct unprotect;
/* With the keys of the stream's party among those given (borrowed until return).  NULL: memory is short. */
struct unprotect *audio_unprotect_new(const struct stream_record *r, const struct sdes_key *keys,
				      uint32_t count);
void audio_unprotect_free(struct unprotect *u); /* wipes the keys */
enum unprotect_verdict {
	UNPROTECT_OK,
	UNPROTECT_AGAIN, /* a copy of one that was decrypted */
	UNPROTECT_FAILED /* no key authenticates it, or it was cut */
};
/* One frame of the stream.  OK: the plain RTP packet is in out[0..*len). */
#define RTP_PACKET_MAX 65552
enum unprotect_verdict audio_unprotect(struct unprotect *u, const struct rtp_frame *f,
				       uint8_t out[RTP_PACKET_MAX], uint32_t *len);
/* The whole RTP packet as it was on the wire (as far as it was stored); returns its length. */
uint32_t audio_packet(const struct rtp_frame *f, uint32_t ssrc, uint8_t out[RTP_PACKET_MAX]);

/* Mean opinion score of a stream by the E-model (ITU-T G.107, wideband G.107.1), 1 to 5; NAN where the codec has no
 * published model.  It takes the codec, the share of packets lost and how they cluster (BurstR); the delay is taken as small (Id = 0),
 * packets that came too late for a jitter buffer are not counted as lost, and the receiver is taken to conceal. */
double audio_mos(const struct stream_record *r);

/* ---- files and devices ------------------------------------------------------------------- */

enum audio_format { AUDIO_WAV, AUDIO_FLAC, AUDIO_OPUS /* in Ogg */ };
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
