/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* mixdown.c: interleaving of tracks.  Pure; runs in the vault. */
#include "audio/mixdown.h"

void mixdown_start(struct mixdown *m, const struct timeline *t, const struct audio_summary *s,
		   int tracks, enum track track, uint64_t from)
{
	ASSERT(tracks == 1 || tracks == 2);
	m->timeline = t;
	m->tracks = tracks;
	m->track = track;
	m->end = s->samples;
	m->at = from < m->end ? from : m->end;
}

size_t mixdown_next(struct mixdown *m, size_t most)
{
	ASSERT(most <= MIXDOWN_FRAMES);
	size_t n = m->end - m->at < most ? (size_t)(m->end - m->at) : most;
	if (m->tracks == 1) {
		timeline_samples(m->timeline, m->track, m->at, n, m->out);
	} else {
		int16_t left[MIXDOWN_FRAMES], right[MIXDOWN_FRAMES];
		timeline_samples(m->timeline, TRACK_CALLER, m->at, n, left);
		timeline_samples(m->timeline, TRACK_CALLEE, m->at, n, right);
		for (size_t i = 0; i < n; i++) {
			m->out[2 * i] = left[i];
			m->out[2 * i + 1] = right[i];
		}
	}
	m->at += n;
	return n;
}
