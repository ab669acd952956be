/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* redact.c: what nobody is to hear, taken out of the tracks.
 *
 *   from_s                to_s
 *     '-- muted              '-- unmuted        cue points
 *   ..|0000000000000000000000|..                samples
 *
 * Everything that goes out (files, devices, measurements) is made of the tracks, and so of what is left.  Runs in the
 * vault, in render.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audio/timeline.h"

#define BOTH        3u
#define PART_SAMPLE 1e-6 /* so that 0.1 s is 800 samples and not 801 */

static const char *side_name(unsigned tracks)
{
	return tracks == BOTH ? "both" : track_name(tracks & 1 ? TRACK_CALLER : TRACK_CALLEE);
}

/* Whole samples, at the end of the recording at the latest. */
static uint64_t sample_at(const struct audio_summary *s, double samples)
{
	return samples < (double)s->samples ? (uint64_t)samples : s->samples;
}

static void add_mark(struct timeline *t, const struct audio_summary *s, double at_s,
		     const char *what, unsigned tracks)
{
	char label[MARK_LABEL];
	if (at_s * s->rate >= (double)s->samples)
		return; /* past the end: there is nothing to point at */
	snprintf(label, sizeof label, "%s %s", what, side_name(tracks));
	timeline_add_mark(t, s->zero_us + llround(at_s * (double)US_PER_S), label);
}

void redact_mark(struct timeline *t, const struct audio_summary *s)
{
	for (size_t i = 0; i < t->hushes_count; i++) {
		const struct hush *h = &t->hushes[i];
		add_mark(t, s, h->from_s, "muted", h->tracks);
		add_mark(t, s, h->to_s, "unmuted", h->tracks);
	}
}

void redact_tracks(struct timeline *t, const struct audio_summary *s)
{
	for (size_t i = 0; i < t->hushes_count; i++) {
		const struct hush *h = &t->hushes[i];
		uint64_t from = sample_at(s, floor(h->from_s * s->rate + PART_SAMPLE));
		uint64_t to = sample_at(s, ceil(h->to_s * s->rate - PART_SAMPLE));
		for (unsigned k = 0; k < TRACKS; k++) {
			if (h->tracks & 1u << k && t->track[k] && from < to)
				memset(t->track[k] + from, 0, (to - from) * sizeof *t->track[k]);
		}
	}
}
