/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* repeat.c: repetition of the pitch.  Pure arithmetic; runs in the vault.
 *
 *     heard: ...~~~~~~|period|        made up: |period|period|period|...   fading to silence
 *                     '------'---------repeated---'
 */
#include "audio/repeat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PITCH_MIN_HZ 66
#define PITCH_MAX_HZ 400
#define COMPARE_MS   20 /* as much as this is held against what was before it */
#define HOLD_MS      10 /* full level for this long, ... */
#define FADE_MS      50 /* ... then down to nothing in this */
#define BLEND_MS     4

struct repeat {
	uint32_t rate;
	size_t heard_len; /* of `heard`: the longest period and what is compared */
	int16_t *heard;   /* owned: the newest samples */
	size_t period;    /* 0: nothing is being made up */
	size_t made;      /* samples made up since the last good one */
};

static size_t samples_of(const struct repeat *r, uint32_t ms)
{
	return (size_t)r->rate * ms / 1000;
}

struct repeat *repeat_new(uint32_t rate)
{
	struct repeat *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->rate = rate;
	r->heard_len = rate / PITCH_MIN_HZ + samples_of(r, COMPARE_MS);
	r->heard = calloc(r->heard_len, sizeof *r->heard);
	if (!r->heard) {
		free(r);
		return NULL;
	}
	return r;
}

void repeat_free(struct repeat *r)
{
	if (!r)
		return;
	explicit_bzero(r->heard, r->heard_len * sizeof *r->heard);
	free(r->heard);
	free(r);
}

/* How alike the newest samples are to those one period before: correlation, 1 when the same. */
static double likeness(const struct repeat *r, size_t period)
{
	size_t n = samples_of(r, COMPARE_MS);
	const int16_t *now = r->heard + (r->heard_len - n), *before = now - period;
	double product = 0.0, power = 1.0, power_before = 1.0;
	for (size_t i = 0; i < n; i++) {
		product += (double)now[i] * before[i];
		power += (double)now[i] * now[i];
		power_before += (double)before[i] * before[i];
	}
	return product / sqrt(power * power_before);
}

static size_t find_period(const struct repeat *r)
{
	size_t best = r->rate / PITCH_MAX_HZ;
	double most = -2.0;
	for (size_t period = best; period <= r->rate / PITCH_MIN_HZ; period++) {
		double alike = likeness(r, period);
		/* A multiple of the period is as like: the first that is good stays, unless another is clearly better. */
		if (alike > most + 0.01) {
			most = alike;
			best = period;
		}
	}
	return best;
}

static double level(const struct repeat *r)
{
	size_t hold = samples_of(r, HOLD_MS), fade = samples_of(r, FADE_MS);
	if (r->made <= hold)
		return 1.0;
	return r->made >= hold + fade ? 0.0 : 1.0 - (double)(r->made - hold) / (double)fade;
}

static int16_t next_made(struct repeat *r)
{
	const int16_t *last = r->heard + (r->heard_len - r->period);
	int16_t sample = (int16_t)(level(r) * last[r->made % r->period]);
	r->made++;
	return sample;
}

void repeat_fill(struct repeat *r, int16_t *out, size_t samples)
{
	if (r->period == 0) {
		r->period = find_period(r);
		r->made = 0;
	}
	for (size_t i = 0; i < samples; i++)
		out[i] = next_made(r);
}

static void blend(struct repeat *r, int16_t *pcm, size_t samples)
{
	size_t n = samples_of(r, BLEND_MS);
	n = n < samples ? n : samples;
	for (size_t i = 0; i < n; i++) {
		double share = (double)(i + 1) / (double)(n + 1);
		pcm[i] = (int16_t)(share * pcm[i] + (1.0 - share) * next_made(r));
	}
}

void repeat_good(struct repeat *r, int16_t *pcm, size_t samples)
{
	if (r->period > 0)
		blend(r, pcm, samples);
	r->period = 0;
	size_t take = samples < r->heard_len ? samples : r->heard_len;
	memmove(r->heard, r->heard + take, (r->heard_len - take) * sizeof *r->heard);
	memcpy(r->heard + (r->heard_len - take), pcm + (samples - take), take * sizeof *pcm);
}
