/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* timeline.c: a recording's streams, from chunk bodies to two tracks of samples.
 *
 * Runs in the vault, on one opened recording.  Bodies are kept encoded until render; then each stream's frames are
 * sorted by sequence, placed (place.c) and decoded onto their track.  Voices are wiped before their memory
 * is given back.
 */
#include "audio/audio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/codec.h"
#include "audio/place.h"
#include "base/pages.h"

#define TRACKS     2
#define SPAN_MAX_S (48 * 3600)
#define US_PER_S   INT64_C(1000000)

struct body {
	struct body *next;
	size_t len;
	uint8_t bytes[];
};

/* A frame as it was recorded. */
struct kept {
	int64_t arrival_us;
	uint64_t sequence;
	const uint8_t *payload; /* in a body of this stream */
	const struct codec *codec;
	uint32_t payload_len;
	uint32_t timestamp;
	uint8_t payload_type;
};

struct stream {
	struct stream_record record;
	struct body *bodies; /* owned */
	struct kept *kept;   /* owned */
	size_t kept_count, kept_room;
	int64_t until_us; /* 0: everything */
	bool muted;
	uint32_t rate;         /* of what can be decoded; 0: nothing */
	struct placed *placed; /* owned, during render */
	size_t placed_count;
};

struct timeline {
	struct stream *streams; /* owned */
	size_t streams_count;
	int16_t *track[TRACKS]; /* owned pages, after render; NULL: silence */
	uint64_t samples;
};

struct timeline *timeline_new(void)
{
	return calloc(1, sizeof(struct timeline));
}

static size_t track_bytes(const struct timeline *t)
{
	return (size_t)(t->samples + 1) * sizeof(int16_t);
}

/* Pages given back to the kernel are cleared by it; they never were in a core dump. */
static void drop_tracks(struct timeline *t)
{
	for (int k = 0; k < TRACKS; k++) {
		pages_free(t->track[k], track_bytes(t));
		t->track[k] = NULL;
	}
	t->samples = 0;
}

static void drop_placed(struct timeline *t)
{
	for (size_t i = 0; i < t->streams_count; i++) {
		free(t->streams[i].placed);
		t->streams[i].placed = NULL;
		t->streams[i].placed_count = 0;
	}
}

void timeline_free(struct timeline *t)
{
	if (!t)
		return;
	drop_tracks(t);
	drop_placed(t);
	for (size_t i = 0; i < t->streams_count; i++) {
		struct stream *s = &t->streams[i];
		for (struct body *b = s->bodies, *next; b; b = next) {
			next = b->next;
			explicit_bzero(b->bytes, b->len);
			free(b);
		}
		free(s->kept);
	}
	free(t->streams);
	free(t);
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

/* ---- chunk bodies -------------------------------------------------------------------------- */

static bool keep(struct stream *s, const struct rtp_frame *f)
{
	const struct codec *c = codec_of(&s->record, f->payload_type);
	if (!c)
		return true;
	if (s->kept_count == s->kept_room) {
		size_t room = s->kept_room ? 2 * s->kept_room : 64;
		struct kept *more = reallocarray(s->kept, room, sizeof *more);
		if (!more)
			return false;
		s->kept = more;
		s->kept_room = room;
	}
	s->kept[s->kept_count++] = (struct kept){
		.arrival_us = f->arrival_us,
		.sequence = f->sequence,
		.payload = f->payload,
		.codec = c,
		.payload_len = f->payload_len,
		.timestamp = f->timestamp,
		.payload_type = f->payload_type,
	};
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

/* ---- render -------------------------------------------------------------------------------- */

static void name_undecoded(struct audio_summary *out, const char *name)
{
	size_t have = strlen(out->undecoded), len = strlen(name);
	const char *at = strstr(out->undecoded, name);
	if (at && (at[len] == '\0' || at[len] == ','))
		return;
	if (have + len + 2 < sizeof out->undecoded)
		snprintf(out->undecoded + have, sizeof out->undecoded - have, "%s%s",
			 have ? "," : "", name);
}

static bool wanted(const struct stream *s, const struct kept *k)
{
	return !s->muted && (s->until_us == 0 || k->arrival_us <= s->until_us);
}

/* What stands in the stream: the rate of what can be decoded, the names of what cannot, and when it begins. */
static void survey(struct stream *s, struct audio_summary *out, int64_t span_us[2])
{
	const struct kept *undecoded = NULL;
	char name[CODEC_TEXT];
	s->rate = 0;
	for (size_t i = 0; i < s->kept_count; i++) {
		const struct kept *k = &s->kept[i];
		if (!wanted(s, k))
			continue;
		if (k->arrival_us < span_us[0])
			span_us[0] = k->arrival_us;
		if (k->arrival_us > span_us[1])
			span_us[1] = k->arrival_us;
		if (k->codec->decode)
			s->rate = codec_rate(k->codec, &s->record);
		else if (k->codec->kind == CODEC_AUDIO)
			undecoded = k;
	}
	if (undecoded) {
		out->undecoded_streams++;
		name_undecoded(out, codec_text(undecoded->codec, &s->record,
					       undecoded->payload_type, name));
	}
}

static int by_sequence(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;
	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	return x->arrival_us < y->arrival_us ? -1 : x->arrival_us > y->arrival_us;
}

static void sort_kept(struct stream *s)
{
	for (size_t i = 1; i < s->kept_count; i++) {
		if (by_sequence(&s->kept[i - 1], &s->kept[i]) > 0) {
			qsort(s->kept, s->kept_count, sizeof *s->kept, by_sequence);
			return;
		}
	}
}

/* A number that comes twice with the same timestamp is a copy; the first to arrive stays. */
static bool repeats(const struct kept *k, const struct placed *before)
{
	return before->sequence == k->sequence && before->timestamp == k->timestamp;
}

static bool place(struct stream *s, int64_t base_us)
{
	s->placed = calloc(s->kept_count + 1, sizeof *s->placed);
	if (!s->placed)
		return false;
	sort_kept(s);
	size_t n = 0;
	for (size_t i = 0; i < s->kept_count; i++) {
		const struct kept *k = &s->kept[i];
		bool heard = k->codec->decode || k->codec->kind == CODEC_NOISE;
		if (!heard || !wanted(s, k) || (n > 0 && repeats(k, &s->placed[n - 1])))
			continue;
		s->placed[n++] = (struct placed){
			.sequence = k->sequence,
			.arrival = (k->arrival_us - base_us) * s->rate / US_PER_S,
			.payload = k->payload,
			.codec = k->codec,
			.samples = k->codec->decode ? k->payload_len / k->codec->bytes_a_sample : 0,
			.timestamp = k->timestamp,
		};
	}
	s->placed_count = n;
	return place_stream(s->placed, n, s->rate);
}

static bool place_track(struct timeline *t, uint32_t rate, enum track track)
{
	struct placed **placed = calloc(t->streams_count + 1, sizeof(struct placed *));
	size_t *count = calloc(t->streams_count + 1, sizeof *count);
	size_t streams = 0;
	for (size_t i = 0; placed && count && i < t->streams_count; i++) {
		if (t->streams[i].record.track != track || t->streams[i].placed_count == 0)
			continue;
		placed[streams] = t->streams[i].placed;
		count[streams++] = t->streams[i].placed_count;
	}
	bool ok = placed && count && place_apart(placed, count, streams, rate);
	free(count);
	free(placed);
	return ok;
}

/* Where the recording begins and ends, in samples from the base. */
static void extent(const struct timeline *t, int64_t *from, int64_t *to)
{
	for (size_t i = 0; i < t->streams_count; i++) {
		const struct stream *s = &t->streams[i];
		for (size_t k = 0; k < s->placed_count; k++) {
			int64_t at = s->placed[k].at, end = at + s->placed[k].samples;
			*from = at < *from ? at : *from;
			*to = end > *to ? end : *to;
		}
	}
}

/* Voices that sound together are added. */
static void mix(int16_t *track, const int16_t *in, size_t samples)
{
	for (size_t i = 0; i < samples; i++) {
		int sum = track[i] + in[i];
		track[i] = (int16_t)(sum > INT16_MAX   ? INT16_MAX
				     : sum < INT16_MIN ? INT16_MIN
						       : sum);
	}
}

static void sound(struct timeline *t, const struct stream *s, int64_t zero)
{
	int16_t pcm[UINT16_MAX + 1];
	for (size_t i = 0; i < s->placed_count; i++) {
		const struct placed *p = &s->placed[i];
		if (p->samples == 0)
			continue;
		ASSERT(p->samples <= UINT16_MAX && t->track[s->record.track]);
		p->codec->decode(p->payload, p->samples, pcm);
		mix(t->track[s->record.track] + (p->at - zero), pcm, p->samples);
	}
	explicit_bzero(pcm, sizeof pcm);
}

struct interval {
	int64_t from, to;
};

static int by_start(const void *a, const void *b)
{
	const struct interval *x = a, *y = b;
	return x->from < y->from ? -1 : x->from > y->from;
}

/* Frames of a track, and its samples that none of them covers. */
static bool count_track(const struct timeline *t, enum track track, struct audio_summary *out)
{
	size_t n = 0;
	for (size_t i = 0; i < t->streams_count; i++)
		n += t->streams[i].record.track == track ? t->streams[i].placed_count : 0;
	out->frames[track] = n;
	struct interval *all = calloc(n + 1, sizeof *all);
	if (!all)
		return false;
	n = 0;
	for (size_t i = 0; i < t->streams_count; i++) {
		const struct stream *s = &t->streams[i];
		for (size_t k = 0; s->record.track == track && k < s->placed_count; k++)
			all[n++] = (struct interval){ s->placed[k].at,
						      s->placed[k].at + s->placed[k].samples };
	}
	qsort(all, n, sizeof *all, by_start);
	for (size_t i = 1; i < n; i++) {
		if (all[i].from > all[i - 1].to)
			out->gaps_samples[track] += (uint64_t)(all[i].from - all[i - 1].to);
		else if (all[i].to < all[i - 1].to)
			all[i].to = all[i - 1].to;
	}
	free(all);
	return true;
}

/* All streams placed, each track's apart, from and to found. */
static enum rc place_all(struct timeline *t, int64_t base_us, struct audio_summary *out)
{
	for (size_t i = 0; i < t->streams_count; i++) {
		struct stream *s = &t->streams[i];
		if (s->rate == 0)
			continue;
		if (s->rate != out->rate) {
			out->undecoded_streams++;
			name_undecoded(out, s->record.codec);
		} else if (!place(s, base_us)) {
			return RC_FAILED;
		}
	}
	for (int k = 0; k < TRACKS; k++)
		if (!place_track(t, out->rate, (enum track)k) ||
		    !count_track(t, (enum track)k, out))
			return RC_FAILED;
	return RC_OK;
}

static enum rc render(struct timeline *t, struct audio_summary *out, struct error *err)
{
	int64_t span_us[2] = { INT64_MAX, INT64_MIN };
	for (size_t i = 0; i < t->streams_count; i++) {
		survey(&t->streams[i], out, span_us);
		if (t->streams[i].rate > out->rate)
			out->rate = t->streams[i].rate;
	}
	if (out->rate == 0)
		return error_set(err, RC_NOT_FOUND, "%s%s",
				 out->undecoded[0] ? "no decoder for this recording's audio: "
						   : "no audio",
				 out->undecoded);
	if ((uint64_t)span_us[1] - (uint64_t)span_us[0] > SPAN_MAX_S * (uint64_t)US_PER_S)
		return error_set(err, RC_FAILED, "the recording spans more than %d hours",
				 SPAN_MAX_S / 3600);
	if (place_all(t, span_us[0], out) != RC_OK)
		return error_set(err, RC_FAILED, "memory is short");

	/* A stream that cannot be decoded is silence, and yet begins the recording if it came first. */
	int64_t zero = INT64_MAX, end = 0;
	extent(t, &zero, &end);
	if (out->undecoded_streams > 0 && zero > 0)
		zero = 0;
	out->samples = t->samples = (uint64_t)(end - zero);
	out->zero_us = span_us[0] + zero * US_PER_S / out->rate;
	for (int k = 0; k < TRACKS; k++)
		if (out->frames[k] > 0 && !(t->track[k] = pages_new(track_bytes(t), NULL)))
			return error_set(err, RC_FAILED, "memory is short");
	for (size_t i = 0; i < t->streams_count; i++)
		sound(t, &t->streams[i], zero);
	return RC_OK;
}

enum rc timeline_render(struct timeline *t, struct audio_summary *out, struct error *err)
{
	*out = (struct audio_summary){ 0 };
	drop_tracks(t);
	enum rc rc = render(t, out, err);
	drop_placed(t);
	return rc;
}

void timeline_samples(const struct timeline *t, enum track track, uint64_t from, size_t count,
		      int16_t *out)
{
	size_t have = 0;
	if (t->track[track] && from < t->samples)
		have = t->samples - from < count ? (size_t)(t->samples - from) : count;
	if (have > 0)
		memcpy(out, t->track[track] + from, have * sizeof *out);
	memset(out + have, 0, (count - have) * sizeof *out);
}
