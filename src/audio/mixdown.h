/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* mixdown.h: a timeline's tracks as blocks of interleaved samples, for files and devices. */
#ifndef CALLSPAN_AUDIO_MIXDOWN_H
#define CALLSPAN_AUDIO_MIXDOWN_H

#include "audio/audio.h"

#define MIXDOWN_FRAMES 4096

struct mixdown {
	const struct timeline *timeline; /* borrowed */
	int tracks;                      /* 1: only `track`; 2: stereo, caller left */
	enum track track;
	uint64_t at, end; /* next sample, and the one after the last */
	int16_t out[2 * MIXDOWN_FRAMES];
};

/* From sample `from` to the end. */
void mixdown_start(struct mixdown *m, const struct timeline *t, const struct audio_summary *s,
		   int tracks, enum track track, uint64_t from);
/* The next block, at most `most` (<= MIXDOWN_FRAMES) samples a track, interleaved in m->out; 0 at the end. */
size_t mixdown_next(struct mixdown *m, size_t most);

#endif
