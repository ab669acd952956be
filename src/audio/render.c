/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* render.c: from kept frames to two tracks of samples.
 *
 * Runs in the vault, on one opened recording.  Each stream's frames are sorted by sequence and placed (place.c) by the
 * clock of their timestamps; then everything is told in samples of the whole, whose rate is the highest that
 * any codec has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/timeline.h"
#include "base/pages.h"

#define SPAN_MAX_S (48 * 3600)

/* ---- what a timeline holds ------------------------------------------------------------------- */

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
	t->marks_count = t->marks_given;
}

/* What render made on its way. */
static void drop_work(struct timeline *t)
{
	for (size_t i = 0; i < t->streams_count; i++) {
		struct stream *s = &t->streams[i];
		for (size_t k = 0; k < s->parts_count; k++)
			free(s->parts[k].placed);
		s->parts_count = 0;
		size_t own = 0;
		for (size_t k = 0; k < s->kept_count; k++)
			if (!s->kept[k].borrowed)
				s->kept[own++] = s->kept[k];
		s->kept_count = own;
		s->joined = false;
		reveal_forget(s);
	}
}

void timeline_free(struct timeline *t)
{
	if (!t)
		return;
	drop_tracks(t);
	drop_work(t);
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
	free(t->hushes);
	explicit_bzero(t, sizeof *t);
	free(t);
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

/* ---- survey ---------------------------------------------------------------------------------- */

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

static bool in_time(const struct stream *s, const struct kept *k)
{
	return !s->muted && (s->until_us == 0 || k->frame.arrival_us <= s->until_us);
}

/* What stands in the stream: the rate of what can be decoded, the names of what cannot, and when it begins. */
static void survey(struct stream *s, struct audio_summary *out, int64_t span_us[2])
{
	const struct kept *undecoded = NULL, *odd = NULL;
	bool unknown = false, measured = false;
	char name[CODEC_TEXT];
	s->clock_rate = 0;
	for (size_t i = 0; i < s->kept_count; i++) {
		const struct kept *k = &s->kept[i];
		const struct decoder *d = k->decoder;
		if (!in_time(s, k))
			continue;
		if (d || s->record.protection != PROTECTION_NONE) {
			span_us[0] =
				k->frame.arrival_us < span_us[0] ? k->frame.arrival_us : span_us[0];
			span_us[1] =
				k->frame.arrival_us > span_us[1] ? k->frame.arrival_us : span_us[1];
		}
		unknown = unknown || d;
		if (d && d->codec->ops) {
			s->clock_rate = s->clock_rate ? s->clock_rate : d->format.clock_rate;
			if (d->format.sampling_rate > out->rate)
				out->rate = d->format.sampling_rate;
			measured = measured || k->samples > 0;
			odd = k->samples == 0 && k->payload_len > 0 ? k : odd;
		} else if (d && d->codec->kind == CODEC_AUDIO) {
			undecoded = k;
		}
	}
	/* Packed in a way that its decoder does not know: no frame of it is heard. */
	if (!measured && !undecoded)
		undecoded = odd;
	if (undecoded)
		name_undecoded(out, codec_text(undecoded->decoder->codec, &s->record,
					       undecoded->frame.payload_type, name));
	bool closed = s->record.protection != PROTECTION_NONE && !unknown && s->kept_count > 0 &&
		      !s->muted;
	if (closed)
		name_undecoded(out, "SRTP");
	out->undecoded_streams += undecoded || closed;
}

/* ---- places ---------------------------------------------------------------------------------- */

static int by_sequence(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;
	if (x->frame.sequence != y->frame.sequence)
		return x->frame.sequence < y->frame.sequence ? -1 : 1;
	return x->frame.arrival_us < y->frame.arrival_us
		       ? -1
		       : x->frame.arrival_us > y->frame.arrival_us;
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

/* The part that has that clock; the last one stands in when a stream has too many. */
static struct part *part_of(struct stream *s, uint32_t clock_rate)
{
	for (size_t i = 0; i < s->parts_count; i++)
		if (s->parts[i].clock_rate == clock_rate)
			return &s->parts[i];
	if (s->parts_count == PARTS_MAX)
		return NULL;
	struct part *p = &s->parts[s->parts_count];
	*p = (struct part){ .clock_rate = clock_rate,
			    .placed = calloc(s->kept_count + 1, sizeof *p->placed) };
	s->parts_count += p->placed != NULL;
	return p->placed ? p : NULL;
}

/* A number that comes twice with the same timestamp is a copy; the first to arrive stays. */
static bool repeats(const struct kept *k, const struct part *p)
{
	const struct placed *before = p->count > 0 ? &p->placed[p->count - 1] : NULL;
	return before && before->sequence == k->frame.sequence &&
	       before->timestamp == k->frame.timestamp;
}

/* Comfort noise tells time by the clock of the codec that it stands in for. */
static bool place_parts(struct stream *s, int64_t base_us)
{
	sort_kept(s);
	for (size_t i = 0; i < s->kept_count; i++) {
		const struct kept *k = &s->kept[i];
		const struct decoder *d = k->decoder;
		bool sounds = d && d->codec->ops;
		if (!sounds && !(d && d->codec->kind == CODEC_NOISE))
			continue;
		uint32_t clock_rate = sounds ? d->format.clock_rate : s->clock_rate;
		struct part *p = part_of(s, clock_rate);
		if (!p)
			return false;
		if (repeats(k, p))
			continue;
		uint64_t ticks =
			sounds ? (uint64_t)k->samples * clock_rate / d->format.sampling_rate : 0;
		p->placed[p->count++] = (struct placed){
			.sequence = k->frame.sequence,
			.arrival = (k->frame.arrival_us - base_us) * clock_rate / US_PER_S,
			.kept = i,
			.samples = (uint32_t)ticks,
			.timestamp = k->frame.timestamp,
		};
	}
	for (size_t i = 0; i < s->parts_count; i++)
		if (!place_stream(s->parts[i].placed, s->parts[i].count, s->parts[i].clock_rate))
			return false;
	return true;
}

/* v * to / from, downwards, so that what was contiguous stays so. */
static int64_t scaled(int64_t v, uint32_t to, uint32_t from)
{
	int64_t product = v * to, whole = product / from;
	return product % from < 0 ? whole - 1 : whole;
}

/* From the part's clock to the rate of the whole. */
static void scale_part(const struct part *p, uint32_t rate)
{
	for (size_t i = 0; i < p->count && rate != p->clock_rate; i++) {
		struct placed *f = &p->placed[i];
		int64_t past = scaled(f->at + f->samples, rate, p->clock_rate);
		f->at = scaled(f->at, rate, p->clock_rate);
		f->arrival = scaled(f->arrival, rate, p->clock_rate);
		f->samples = (uint32_t)(past - f->at);
	}
}

static bool place_track(struct timeline *t, uint32_t rate, enum track track)
{
	size_t most = t->streams_count * PARTS_MAX + 1, parts = 0;
	struct placed **placed = calloc(most, sizeof(struct placed *));
	size_t *count = calloc(most, sizeof *count);
	for (size_t i = 0; placed && count && i < t->streams_count; i++) {
		struct stream *s = &t->streams[i];
		for (size_t k = 0; s->record.track == track && k < s->parts_count; k++) {
			placed[parts] = s->parts[k].placed;
			count[parts++] = s->parts[k].count;
		}
	}
	bool ok = placed && count && place_apart(placed, count, parts, rate);
	free(count);
	free(placed);
	return ok;
}

/* Where the recording begins and ends, in samples from the base. */
static void extent(const struct timeline *t, int64_t *from, int64_t *to)
{
	for (size_t i = 0; i < t->streams_count; i++) {
		for (size_t p = 0; p < t->streams[i].parts_count; p++) {
			const struct part *part = &t->streams[i].parts[p];
			for (size_t k = 0; k < part->count; k++) {
				int64_t at = part->placed[k].at, end = at + part->placed[k].samples;
				*from = at < *from ? at : *from;
				*to = end > *to ? end : *to;
			}
		}
	}
}

/* ---- gaps ------------------------------------------------------------------------------------ */

struct interval {
	int64_t from, to;
};

static int by_start(const void *a, const void *b)
{
	const struct interval *x = a, *y = b;
	return x->from < y->from ? -1 : x->from > y->from;
}

static size_t add_intervals(const struct part *p, struct interval *to)
{
	for (size_t k = 0; to && k < p->count; k++)
		to[k] = (struct interval){ p->placed[k].at,
					   p->placed[k].at + p->placed[k].samples };
	return p->count;
}

/* All frames of a track; with `to` NULL they are only counted. */
static size_t intervals(const struct timeline *t, enum track track, struct interval *to)
{
	size_t n = 0;
	for (size_t i = 0; i < t->streams_count; i++) {
		const struct stream *s = &t->streams[i];
		for (size_t p = 0; s->record.track == track && p < s->parts_count; p++)
			n += add_intervals(&s->parts[p], to ? to + n : NULL);
	}
	return n;
}

/* Frames of a track, and its samples that none of them covers. */
static bool count_track(const struct timeline *t, enum track track, struct audio_summary *out)
{
	size_t n = intervals(t, track, NULL);
	struct interval *all = calloc(n + 1, sizeof *all);
	if (!all)
		return false;
	out->frames[track] = intervals(t, track, all);
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

/* ---- render ---------------------------------------------------------------------------------- */

static bool reveal_all(struct timeline *t, struct audio_summary *out)
{
	for (size_t i = 0; i < t->streams_count; i++)
		if (!reveal_stream(t, &t->streams[i], out))
			return false;
	return copies_join(t, out);
}

static bool place_all(struct timeline *t, int64_t base_us, struct audio_summary *out)
{
	for (size_t i = 0; i < t->streams_count; i++) {
		struct stream *s = &t->streams[i];
		if (s->clock_rate == 0 || s->joined)
			continue;
		if (!place_parts(s, base_us))
			return false;
		for (size_t k = 0; k < s->parts_count; k++)
			scale_part(&s->parts[k], out->rate);
	}
	for (int k = 0; k < TRACKS; k++)
		if (!place_track(t, out->rate, (enum track)k) ||
		    !count_track(t, (enum track)k, out))
			return false;
	return true;
}

static bool sound_all(struct timeline *t, int64_t zero, struct audio_summary *out)
{
	for (int k = 0; k < TRACKS; k++)
		if (out->frames[k] > 0 && !(t->track[k] = pages_new(track_bytes(t), NULL)))
			return false;
	for (size_t i = 0; i < t->streams_count; i++)
		if (!sound_stream(t, &t->streams[i], zero, out))
			return false;
	return true;
}

static int by_time(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	return x->at_us < y->at_us ? -1 : x->at_us > y->at_us;
}

static enum rc render(struct timeline *t, struct audio_summary *out, struct error *err)
{
	int64_t span_us[2] = { INT64_MAX, INT64_MIN };
	if (!reveal_all(t, out))
		return error_set(err, RC_FAILED, "memory is short");
	for (size_t i = 0; i < t->streams_count; i++)
		survey(&t->streams[i], out, span_us);
	if (out->rate == 0)
		return error_set(err, RC_NOT_FOUND, "%s%s",
				 out->undecoded[0] ? "no decoder for this recording's audio: "
						   : "no audio",
				 out->undecoded);
	if ((uint64_t)span_us[1] - (uint64_t)span_us[0] > SPAN_MAX_S * (uint64_t)US_PER_S)
		return error_set(err, RC_FAILED, "the recording spans more than %d hours",
				 SPAN_MAX_S / 3600);
	if (!place_all(t, span_us[0], out))
		return error_set(err, RC_FAILED, "memory is short");

	/* A stream that cannot be decoded is silence, and yet begins the recording if it came first. */
	int64_t zero = INT64_MAX, end = 0;
	extent(t, &zero, &end);
	if (out->undecoded_streams > 0 && zero > 0)
		zero = 0;
	out->samples = t->samples = (uint64_t)(end - zero);
	out->zero_us = span_us[0] + zero * US_PER_S / out->rate;
	redact_mark(t, out);
	if (!sound_all(t, zero, out))
		return error_set(err, RC_FAILED, "memory is short");
	redact_tracks(t, out);
	qsort(t->marks, t->marks_count, sizeof *t->marks, by_time);
	for (int k = 0; k < TRACKS; k++)
		loudness_measure(t->track[k], t->samples, out->rate, (enum track)k, out);
	return RC_OK;
}

enum rc timeline_render(struct timeline *t, struct audio_summary *out, struct error *err)
{
	*out = (struct audio_summary){ 0 };
	drop_tracks(t);
	enum rc rc = render(t, out, err);
	drop_work(t);
	return rc;
}
