/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sound.c: from placed frames to samples on a track.
 *
 * Runs in the vault, at render.  Frames are decoded in the order of their numbers.  What follows one another without
 * a gap is poured out as one run, resampled where the codec's rate is not that of the whole:
 *
 *     run                              gap        run
 *     |frame|frame|frame|(made up)|frame|          |frame|...
 *
 * Where a frame was lost, the next one may carry a copy of it; concealment, if it is wanted, makes up the rest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/resample.h"
#include "audio/timeline.h"

#define CONCEAL_MAX_MS 1000 /* a longer loss stays silent */
#define BLOCK          4096

struct pour {
	struct timeline *timeline; /* borrowed */
	struct audio_summary *out; /* borrowed */
	int16_t *track;            /* borrowed; sample 0 is the recording's */
	enum track which;
	uint32_t rate;             /* of the track */
	uint32_t from_rate;        /* of what is poured; 0: no run yet */
	int64_t cursor, end;       /* of the run: next sample; the one after its last */
	struct resample *resample; /* owned; NULL: the rates are the same */
	int16_t pcm[CODEC_SAMPLES_MAX];
	int16_t made[BLOCK];
};

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

/* ---- runs -------------------------------------------------------------------------------------------- */

/* As much of what comes out as the run has room for. */
static void put_down(struct pour *p, const int16_t *in, size_t samples)
{
	size_t room = (size_t)(p->end - p->cursor), n = samples < room ? samples : room;
	mix(p->track + p->cursor, in, n);
	p->cursor += (int64_t)n;
}

/* Take `samples` (NULL: silence, till the run is full) through the resampler. */
static void convert(struct pour *p, const int16_t *in, size_t samples)
{
	while (samples > 0 && (in || p->cursor < p->end)) {
		uint32_t taken = (uint32_t)samples, given = BLOCK;
		resample_next(p->resample, in, &taken, p->made, &given);
		put_down(p, p->made, given);
		if (taken == 0 && given == 0)
			break;
		in = in ? in + taken : NULL;
		samples -= taken;
	}
}

static void finish_run(struct pour *p)
{
	if (p->resample && p->cursor < p->end)
		convert(p, NULL, p->from_rate);
	p->cursor = p->end;
}

/* False: memory is short. */
static bool begin_run(struct pour *p, int64_t at, uint32_t from_rate)
{
	finish_run(p);
	p->cursor = p->end = at;
	if (from_rate != p->from_rate) {
		resample_free(p->resample);
		p->resample = from_rate == p->rate ? NULL : resample_new(1, from_rate, p->rate);
		p->from_rate = from_rate;
		return p->resample || from_rate == p->rate;
	}
	if (p->resample)
		resample_reset(p->resample);
	return true;
}

/* `samples` of p->pcm last as long as `lasting` of the track. */
static void pour(struct pour *p, size_t samples, uint32_t lasting)
{
	p->end += lasting;
	if (p->resample)
		convert(p, p->pcm, samples);
	else
		put_down(p, p->pcm, samples);
	if (!p->resample)
		p->cursor = p->end;
}

/* ---- gaps -------------------------------------------------------------------------------------------- */

struct gap {
	int64_t from, to; /* of the track */
	uint64_t lost;    /* frames by number; 0: nobody lost anything */
	bool same;        /* one decoder before and after */
	uint32_t frame;   /* samples of the one before, at the codec's rate */
};

static struct gap gap_before(const struct stream *s, const struct part *part, size_t i)
{
	const struct placed *f = &part->placed[i], *b = i > 0 ? f - 1 : NULL;
	struct gap g = { .from = b ? b->at + b->samples : f->at, .to = f->at };
	if (!b)
		return g;
	const struct kept *k = &s->kept[f->kept], *before = &s->kept[b->kept];
	/* Numbers missing here need not be lost: telephone-events had them, and are seldom kept. */
	bool keys = s->record.events > 0 && s->record.lost == 0;
	if (!keys && f->sequence > b->sequence)
		g.lost = f->sequence - b->sequence - 1;
	g.same = k->decoder == before->decoder && before->samples > 0;
	g.frame = before->samples;
	return g;
}

static void mark_loss(struct pour *p, const struct stream *s, const struct gap *g, int64_t zero)
{
	char label[MARK_LABEL];
	snprintf(label, sizeof label, "%s: %llu %s", track_name(p->which),
		 (unsigned long long)g->lost, s->record.events ? "gone" : "lost");
	timeline_add_mark(p->timeline, p->out->zero_us + (g->from - zero) * US_PER_S / p->rate,
			  label);
}

static void make_up(struct decoder *d, int16_t *out, size_t samples)
{
	if (samples == 0)
		return;
	if (d->codec->ops->conceal)
		d->codec->ops->conceal(&d->format, d->state, out, samples);
	else if (d->repeat)
		repeat_fill(d->repeat, out, samples);
}

/* Fill what can be filled of the gap before a frame, in p->pcm, up to the frame.  Returns how many samples. */
static size_t fill_gap(struct pour *p, struct decoder *d, const struct kept *k, const struct gap *g)
{
	const struct codec_ops *ops = d->codec->ops;
	int64_t longest = (int64_t)p->rate * CONCEAL_MAX_MS / 1000;
	bool conceal = p->timeline->conceal && g->to - g->from <= longest;
	if (g->lost == 0 || g->to <= g->from || !g->same || !(conceal || ops->recover))
		return 0;
	int64_t room = (g->to - g->from) * d->format.sampling_rate / p->rate;
	size_t all = conceal || room < g->frame ? (size_t)room : g->frame;
	size_t last = ops->recover ? (all < g->frame ? all : g->frame) : 0;
	ASSERT(all <= CODEC_SAMPLES_MAX);
	if (conceal)
		make_up(d, p->pcm, all - last);
	size_t got = last ? ops->recover(&d->format, d->state, k->payload, k->payload_len,
					 p->pcm + (all - last), last)
			  : 0;
	p->out->recovered[p->which] += got > 0;
	if (conceal && got < last) {
		make_up(d, p->pcm + (all - last), last);
		got = 0;
	}
	if (conceal)
		p->out->concealed_samples[p->which] += all - got;
	else if (got < all)
		memmove(p->pcm, p->pcm + (all - got), got * sizeof *p->pcm);
	return conceal ? all : got;
}

/* ---- frames ------------------------------------------------------------------------------------------ */

static bool ready(struct decoder *d, bool conceal)
{
	const struct codec_ops *ops = d->codec->ops;
	if (ops->open && !d->state && !(d->state = ops->open(&d->format)))
		return false;
	if (conceal && !ops->conceal && !d->repeat &&
	    !(d->repeat = repeat_new(d->format.sampling_rate)))
		return false;
	return true;
}

/* False: memory is short. */
static bool sound_frame(struct pour *p, const struct stream *s, const struct part *part, size_t i,
			int64_t zero)
{
	const struct placed *f = &part->placed[i];
	const struct kept *k = &s->kept[f->kept];
	struct gap g = gap_before(s, part, i);
	if (g.lost > 0 && g.to > g.from)
		mark_loss(p, s, &g, zero);
	if (k->samples == 0)
		return true;
	struct decoder *d = k->decoder;
	uint32_t rate = d->format.sampling_rate;
	if (!ready(d, p->timeline->conceal))
		return false;
	size_t filled = fill_gap(p, d, k, &g);
	uint32_t lasting = (uint32_t)((uint64_t)filled * p->rate / rate);
	int64_t at = f->at - zero - lasting;
	if ((at != p->end || rate != p->from_rate) && !begin_run(p, at, rate))
		return false;
	if (filled)
		pour(p, filled, lasting);
	d->codec->ops->decode(&d->format, d->state, k->payload, k->payload_len, p->pcm, k->samples);
	if (d->repeat)
		repeat_good(d->repeat, p->pcm, k->samples);
	pour(p, k->samples, f->samples);
	return true;
}

bool sound_stream(struct timeline *t, struct stream *s, int64_t zero, struct audio_summary *out)
{
	if (s->parts_count == 0 || !t->track[s->record.track])
		return true;
	struct pour *p = calloc(1, sizeof *p);
	bool ok = p != NULL;
	for (size_t n = 0; ok && n < s->parts_count; n++) {
		*p = (struct pour){ .timeline = t,
				    .out = out,
				    .track = t->track[s->record.track],
				    .which = s->record.track,
				    .rate = out->rate };
		for (size_t i = 0; ok && i < s->parts[n].count; i++)
			ok = sound_frame(p, s, &s->parts[n], i, zero);
		finish_run(p);
		resample_free(p->resample);
	}
	if (p)
		explicit_bzero(p, sizeof *p);
	free(p);
	return ok;
}
