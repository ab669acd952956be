/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* timeline.h: what a timeline is made of, and who works on it.
 *
 * Runs in the vault, on one opened recording, in one thread.
 *
 *   timeline.c   keeps what was recorded           bodies, kept
 *   reveal.c     decrypts, and finds decoders      kept.payload, .decoder, .samples
 *   copies.c     joins streams that are the same   kept
 *   render.c     places (place.c)                  parts
 *   sound.c      decodes onto the tracks           track, marks
 *   redact.c     takes out what nobody is to hear  track, marks
 *   loudness.c   measures them
 */
#ifndef CALLSPAN_AUDIO_TIMELINE_H
#define CALLSPAN_AUDIO_TIMELINE_H

#include "audio/audio.h"
#include "audio/codecs.h"
#include "audio/place.h"
#include "audio/repeat.h"

#define TRACKS        2
#define US_PER_S      INT64_C(1000000)
#define PAYLOAD_TYPES 128
#define PARTS_MAX     4
#define MARKS_MAX     800

struct body {
	struct body *next;
	size_t len;
	uint8_t bytes[];
};

/* A codec at work on one payload type of one stream. */
struct decoder {
	const struct codec *codec;
	struct codec_format format;
	uint8_t payload_type;
	void *state;           /* owned, from its first frame on */
	struct repeat *repeat; /* owned, the same; NULL: it is not wanted */
};

/* A frame as it was recorded, and what became of it. */
struct kept {
	struct rtp_frame
		frame; /* its bytes are in a body of this stream (or of one joined with it) */
	const uint8_t *payload;  /* there, or in `plain` */
	struct decoder *decoder; /* borrowed; NULL: nothing of it is heard */
	uint32_t payload_len;
	uint32_t samples; /* it decodes to, at the decoder's sampling rate */
	bool borrowed;    /* from a stream that was joined with this one */
};

/* Frames of one clock. */
struct part {
	uint32_t clock_rate;
	struct placed *placed; /* owned */
	size_t count;
};

struct stream {
	struct stream_record record;
	struct body *bodies; /* owned */
	struct kept *kept;   /* owned */
	size_t kept_count, kept_room;
	size_t stored_bytes; /* in bodies */
	int64_t until_us;    /* 0: everything */
	bool muted;
	/* during render */
	uint8_t *plain; /* owned: decrypted packets, stored_bytes at most */
	size_t plain_len;
	struct decoder *decoders[PAYLOAD_TYPES]; /* owned */
	uint32_t clock_rate;                     /* of what can be decoded; 0: nothing */
	struct part parts[PARTS_MAX];
	size_t parts_count;
	bool joined; /* its frames are another stream's now */
};

struct mark {
	int64_t at_us;
	char label[MARK_LABEL];
};

/* Of these tracks nothing is heard then. */
struct hush {
	unsigned tracks; /* bits */
	double from_s, to_s;
};

struct timeline {
	struct stream *streams; /* owned */
	size_t streams_count;
	struct sdes_key keys[SDES_MAX];
	uint32_t keys_count;
	bool conceal;
	struct hush *hushes; /* owned */
	size_t hushes_count;
	struct mark marks[MARKS_MAX];
	size_t marks_given;     /* by timeline_mark() */
	size_t marks_count;     /* of all, in order of time, after render */
	int16_t *track[TRACKS]; /* owned pages, after render; NULL: silence */
	uint64_t samples;
};

/* Add a mark; the last ones are left out when there are too many. */
void timeline_add_mark(struct timeline *t, int64_t at_us, const char *label);

/* reveal.c: decrypt the stream's frames, find their decoders, measure them.  False: memory is short. */
bool reveal_stream(struct timeline *t, struct stream *s, struct audio_summary *out);
/* How many samples a frame decodes to, by its decoder. */
void reveal_measure(struct kept *k);
/* Give back what reveal_stream() took. */
void reveal_forget(struct stream *s);

/* copies.c: where two streams of a track carry the same frames, one takes the other's, too.  False: memory is short. */
bool copies_join(struct timeline *t, struct audio_summary *out);

/* sound.c: decode the parts' frames, in order, onto the track; `zero`: where it begins.  False: memory is short. */
bool sound_stream(struct timeline *t, struct stream *s, int64_t zero, struct audio_summary *out);

/* redact.c: note where something is taken out, before other marks fill the list; and take it out. */
void redact_mark(struct timeline *t, const struct audio_summary *s);
void redact_tracks(struct timeline *t, const struct audio_summary *s);

/* loudness.c: fill in silence, clipping and level of a track. */
void loudness_measure(const int16_t *track, uint64_t samples, uint32_t rate, enum track which,
		      struct audio_summary *out);

#endif
