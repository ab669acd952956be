/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* loudness.c: is there a voice on a track, how loud, and does it clip.  Pure; runs in the vault. */
#include <math.h>
#include <string.h>

#include "audio/timeline.h"

#define STRETCH_MS  20
#define SILENT_DBFS (-60.0)
#define CEILING     32000 /* G.711's highest steps are 32124 and 32256 */
#define FULL_SCALE  32768.0

/* Most of a long recording may be pauses: they are passed over quickly. */
static bool is_zero(const int16_t *in, size_t n)
{
	return in[0] == 0 && memcmp(in, in + 1, (n - 1) * sizeof *in) == 0;
}

static uint64_t power_of(const int16_t *in, size_t n, int *peak)
{
	uint64_t power = 0;
	for (size_t i = 0; i < n; i++) {
		int magnitude = in[i] < 0 ? -in[i] : in[i];
		*peak = magnitude > *peak ? magnitude : *peak;
		power += (uint32_t)(magnitude * magnitude);
	}
	return power;
}

static uint64_t clipped_in(const int16_t *in, size_t n, uint64_t *run)
{
	uint64_t clipped = 0;
	for (size_t i = 0; i < n; i++) {
		*run = in[i] >= CEILING || in[i] <= -CEILING ? *run + 1 : 0;
		clipped += *run == 2 ? 2 : *run > 2;
	}
	return clipped;
}

void loudness_measure(const int16_t *track, uint64_t samples, uint32_t rate, enum track which,
		      struct audio_summary *out)
{
	uint64_t stretch = (uint64_t)rate * STRETCH_MS / 1000, silent = 0, run = 0;
	double threshold = pow(10.0, SILENT_DBFS / 10.0) * FULL_SCALE * FULL_SCALE, loud = 0.0;
	for (uint64_t from = 0; from < samples; from += stretch) {
		size_t n = (size_t)(samples - from < stretch ? samples - from : stretch);
		int peak = 0;
		bool zero = !track || is_zero(track + from, n);
		double power = zero ? 0.0 : (double)power_of(track + from, n, &peak);
		if (power < threshold * (double)n)
			silent += n;
		else
			loud += power;
		if (peak >= CEILING)
			out->clipped[which] += clipped_in(track + from, n, &run);
		else
			run = 0;
	}
	double sounding = (double)(samples - silent);
	out->silent[which] = samples ? (double)silent / (double)samples : 1.0;
	out->level_dbfs[which] = sounding > 0.0
					 ? 10.0 * log10(loud / sounding / FULL_SCALE / FULL_SCALE)
					 : -INFINITY;
}
