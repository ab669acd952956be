/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* timeline.c: a recording's streams, as they are handed in and kept until render.
 *
 * Runs in the vault, on one opened recording.  Bodies are kept as they were recorded; voices are wiped before their memory
 * is given back.
 */
#include "audio/timeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct timeline *timeline_new(void)
{
	return calloc(1, sizeof(struct timeline));
}

int timeline_stream(struct timeline *t, const struct stream_record *r)
{
	struct stream *more = reallocarray(t->streams, t->streams_count + 1, sizeof *more);
	ASSERT(more);
	t->streams = more;
	struct stream *s = &t->streams[t->streams_count];
	*s = (struct stream){ .record = *r, .until_us = r->until_us, .muted = r->foreign };
	if (s->record.track >= TRACKS)
		s->record.track = TRACK_CALLEE;
	return (int)t->streams_count++;
}

static struct stream *stream_at(struct timeline *t, int stream)
{
	ASSERT(stream >= 0 && (size_t)stream < t->streams_count);
	return &t->streams[stream];
}

void timeline_until(struct timeline *t, int stream, int64_t until_us)
{
	stream_at(t, stream)->until_us = until_us;
}

void timeline_mute(struct timeline *t, int stream)
{
	stream_at(t, stream)->muted = true;
}

void timeline_keys(struct timeline *t, const struct sdes_key *keys, uint32_t count)
{
	t->keys_count = count < SDES_MAX ? count : SDES_MAX;
	for (uint32_t i = 0; i < t->keys_count; i++)
		t->keys[i] = keys[i];
}

void timeline_conceal(struct timeline *t, bool on)
{
	t->conceal = on;
}

void timeline_silence(struct timeline *t, unsigned tracks, double from_s, double to_s)
{
	struct hush *more = reallocarray(t->hushes, t->hushes_count + 1, sizeof *more);
	ASSERT(more);
	t->hushes = more;
	t->hushes[t->hushes_count++] = (struct hush){ tracks, from_s, to_s };
}

void timeline_add_mark(struct timeline *t, int64_t at_us, const char *label)
{
	if (t->marks_count == MARKS_MAX)
		return;
	struct mark *m = &t->marks[t->marks_count++];
	m->at_us = at_us;
	snprintf(m->label, sizeof m->label, "%s", label);
}

void timeline_mark(struct timeline *t, int64_t at_us, const char *label)
{
	t->marks_count = t->marks_given; /* those of an earlier render are found again */
	timeline_add_mark(t, at_us, label);
	t->marks_given = t->marks_count;
}

/* ---- chunk bodies -------------------------------------------------------------------------- */

static bool keep(struct stream *s, const struct rtp_frame *f)
{
	if (s->kept_count == s->kept_room) {
		size_t room = s->kept_room ? 2 * s->kept_room : 64;
		struct kept *more = reallocarray(s->kept, room, sizeof *more);
		if (!more)
			return false;
		s->kept = more;
		s->kept_room = room;
	}
	s->kept[s->kept_count++] = (struct kept){ .frame = *f };
	return true;
}

enum rc timeline_chunk(struct timeline *t, int stream, const uint8_t *body, size_t len)
{
	struct stream *s = stream_at(t, stream);
	struct body *b = malloc(sizeof *b + len);
	if (!b)
		return RC_FAILED;
	*b = (struct body){ .next = s->bodies, .len = len };
	memcpy(b->bytes, body, len);
	s->bodies = b;
	s->stored_bytes += len;

	struct chunk_reader reader;
	struct rtp_frame frame;
	if (!chunk_reader_init(&reader, b->bytes, len))
		return RC_DAMAGED;
	enum rc rc;
	while ((rc = chunk_reader_next(&reader, &frame)) == RC_OK)
		if (!keep(s, &frame))
			return RC_FAILED;
	return rc == RC_END ? RC_OK : RC_DAMAGED;
}
