/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* place.c: runs, clock offsets and places; place.h draws the idea.
 *
 * Runs in the vault, at render.  Every comparison is between differences of int64 that the timeline
 * keeps within 48 hours of arrival and 2^31 a frame of timestamps, so nothing can overflow; cost is linear in
 * frames but for a bounded look ahead.
 */
#include "audio/place.h"

#include <stdlib.h>

#define SHIFT_MS     200  /* a level this far from the one before is another clock ... */
#define SHIFT_ODD_MS 80   /* ... where timestamp and sequence number step apart: this far */
#define SHIFT_FEW_MS 1000 /* ... and where fewer than FEW frames say so: this far */
#define FEW          5
#define AHEAD_MS     3000 /* how long a later level must hold */
#define AHEAD_FRAMES 400
#define LATE_MS                                                                                    \
	10000 /* a frame later than this by its run's clock has nothing to do with that clock */
#define EARLY_MS 2000 /* nor one earlier than this, even when no number is skipped */
#define AWAY_MS                                                                                    \
	10000 /* nor is it placed further from its arrival (and then moved by PUSH_MS at most) */
#define WINDOW_MS    30000 /* the least lag is sought this far on either side: at 200 ppm 6 ms */
#define RIGHT_MS     12    /* in a gap, an error of the clock larger than this is put right */
#define SILENT_MS    100   /* without a gap, silence is put in when the clock lags this much */
#define REJOIN_MS    40    /* a run this close to the clock before it goes on with it */
#define PUSH_MS      2000  /* frames of one stream are kept apart, moving them at most this far */
#define TALK_MS      200   /* a gap this long divides talks */
#define APART_MS     30    /* talks of two streams that overlap less are moved apart */
#define LEVEL_FRAMES 100   /* the level is the least lag of the last one to two hundred frames */

/* What is known of a frame while its stream is being placed. */
struct point {
	int64_t ticks;  /* timestamp, unwrapped */
	int64_t lag;    /* arrival - ticks */
	int64_t order;  /* ticks, made never to fall within a run */
	int64_t offset; /* clock offset here: least lag around */
	bool run;       /* begins a run */
	bool stray;     /* fits no clock */
};

struct placing {
	const struct placed *f;
	struct point *p;
	size_t n;
	uint32_t rate;
};

static int64_t samples_of(uint32_t rate, int64_t ms)
{
	return ms * rate / 1000;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t distance(int64_t a, int64_t b)
{
	return a < b ? b - a : a - b;
}

/* Timestamps wrap at 2^32; by sequence, neighbours are never half a wrap apart. */
static void unwrap(const struct placing *w)
{
	int64_t ticks = w->f[0].timestamp;
	for (size_t i = 0; i < w->n; i++) {
		if (i > 0)
			ticks += (int32_t)(w->f[i].timestamp - w->f[i - 1].timestamp);
		w->p[i] = (struct point){ .ticks = ticks, .lag = w->f[i].arrival - ticks };
	}
}

/* ---- runs ---------------------------------------------------------------------------------- */

/* Least lag of the last LEVEL_FRAMES to 2 * LEVEL_FRAMES frames of the run. */
struct level {
	int64_t now, before;
	unsigned frames;
};

static void level_add(struct level *l, int64_t lag)
{
	if (l->frames == LEVEL_FRAMES) {
		l->before = l->now;
		l->now = lag;
		l->frames = 0;
	}
	l->now = least(l->now, lag);
	l->frames++;
}

/* Do timestamp and sequence number step apart between the frame before and this one? */
static bool steps_apart(const struct placing *w, size_t before, size_t i)
{
	int64_t sequence = (int64_t)(w->f[i].sequence - w->f[before].sequence);
	int64_t ticks = w->p[i].ticks - w->p[before].ticks;
	return distance(sequence, 0) > INT32_MAX || ticks != sequence * w->f[before].samples;
}

/* The lag has risen.  A frame that was held up is followed by others that were not; after a pause of
 * the sender's clock all stay up. */
static bool stays_up(const struct placing *w, size_t i, int64_t level, int64_t shift)
{
	int64_t until = w->f[i].arrival + samples_of(w->rate, AHEAD_MS);
	int64_t lowest = w->p[i].lag;
	unsigned frames = 1;
	for (size_t j = i + 1; j < w->n && j <= i + AHEAD_FRAMES; j++) {
		if (w->f[j].arrival > until)
			continue;
		frames++;
		lowest = least(lowest, w->p[j].lag);
		if (lowest - level <= shift)
			return false;
	}
	return frames >= FEW || lowest - level > samples_of(w->rate, SHIFT_FEW_MS);
}

static int64_t lowest_of_few(const struct placing *w, size_t i)
{
	int64_t lowest = w->p[i].lag;
	for (size_t j = i + 1; j < w->n && j < i + FEW; j++)
		lowest = least(lowest, w->p[j].lag);
	return lowest;
}

/* The lag has fallen to `lowest` at a jump of the timestamp.  Do most of the next frames agree? */
static bool agreed(const struct placing *w, size_t i, int64_t lowest)
{
	size_t next = 0, agree = 0;
	for (size_t j = i + 1; j < w->n && next < 2 * (FEW - 1); j++, next++)
		agree += distance(w->p[j].lag, lowest) < samples_of(w->rate, SHIFT_MS);
	return 2 * agree >= next;
}

enum verdict { SAME_CLOCK, NEW_CLOCK, NO_CLOCK };

/* Which clock does frame i tell?  `before`: the last frame of the run so far. */
static enum verdict judge(const struct placing *w, size_t before, size_t i, int64_t level)
{
	int64_t lag = w->p[i].lag;
	bool apart = steps_apart(w, before, i) || level - lag > samples_of(w->rate, EARLY_MS);
	int64_t shift = samples_of(w->rate, apart ? SHIFT_ODD_MS : SHIFT_MS);
	if (lag - level > shift) {
		if (stays_up(w, i, level, shift))
			return NEW_CLOCK;
		return lag - level > samples_of(w->rate, LATE_MS) ? NO_CLOCK : SAME_CLOCK;
	}
	/* A lag that falls while the numbers run on is a delay that went away. */
	if (!apart)
		return SAME_CLOCK;
	int64_t lowest = lowest_of_few(w, i);
	bool here = lag - lowest < shift ||
		    !steps_apart(w, i, i + 1); /* or late, and followed by its like */
	if (level - lowest > shift && here && agreed(w, i, lowest))
		return NEW_CLOCK;
	return level - lag > shift ? NO_CLOCK : SAME_CLOCK;
}

/* Frames before i that fitted no clock, for they were late, and whose numbers and timestamps lead up to i's, belong to
 * the run that begins there.  Returns where it begins. */
static size_t begin_run(const struct placing *w, size_t before, size_t i)
{
	size_t first = i;
	while (first > before + 1 && !steps_apart(w, first - 1, first))
		first--;
	for (size_t j = first; j <= i; j++) {
		w->p[j].stray = false;
		w->p[j].order = j == first ? w->p[j].ticks : most(w->p[j - 1].order, w->p[j].ticks);
	}
	w->p[first].run = true;
	return first;
}

static void find_runs(const struct placing *w)
{
	struct level level = { w->p[0].lag, INT64_MAX, 1 };
	size_t before = begin_run(w, 0, 0);
	for (size_t i = 1; i < w->n; i++) {
		struct point *p = &w->p[i];
		switch (judge(w, before, i, least(level.now, level.before))) {
		case NO_CLOCK: p->stray = true; continue;
		case SAME_CLOCK: p->order = most(w->p[before].order, p->ticks); break;
		case NEW_CLOCK:
			begin_run(w, before, i);
			level = (struct level){ p->lag, INT64_MAX, 0 };
			break;
		}
		level_add(&level, p->lag);
		before = i;
	}
}

/* ---- the clock's offset -------------------------------------------------------------------- */

/* The least lag within WINDOW_MS around each frame of a run: the sliding minimum, with a queue of
 * frames of rising lag. */
static void find_offsets(const struct placing *w, size_t from, size_t to, size_t *queue)
{
	int64_t window = samples_of(w->rate, WINDOW_MS);
	size_t head = 0, tail = 0, next = from;
	for (size_t i = from; i < to; i++) {
		struct point *p = &w->p[i];
		if (p->stray)
			continue;
		for (; next < to && (w->p[next].stray || w->p[next].order <= p->order + window);
		     next++) {
			if (w->p[next].stray)
				continue;
			while (tail > head && w->p[queue[tail - 1]].lag >= w->p[next].lag)
				tail--;
			queue[tail++] = next;
		}
		while (w->p[queue[head]].order < p->order - window)
			head++;
		p->offset = w->p[queue[head]].lag;
	}
}

static void find_all_offsets(const struct placing *w, size_t *queue)
{
	for (size_t from = 0, to; from < w->n; from = to) {
		for (to = from + 1; to < w->n && !w->p[to].run;)
			to++;
		find_offsets(w, from, to, queue);
	}
}

/* ---- places -------------------------------------------------------------------------------- */

/* Where frame i goes, `before` being the frame of a clock before it. */
static int64_t place_after(const struct placing *w, size_t before, size_t i)
{
	const struct point *p = &w->p[i], *b = &w->p[before];
	int64_t step = p->ticks - b->ticks;
	int64_t by_ticks = w->f[before].at + step;
	int64_t by_clock = p->ticks + p->offset;
	int64_t drift = by_clock - by_ticks;
	if (p->run && distance(drift, 0) > samples_of(w->rate, REJOIN_MS))
		return by_clock;
	if (step == w->f[before].samples)
		return drift > samples_of(w->rate, SILENT_MS) ? by_clock : by_ticks;
	return distance(drift, 0) > samples_of(w->rate, RIGHT_MS) ? by_clock : by_ticks;
}

/* A new run begins before the one before it ends.  Few frames place themselves badly, so a short run
 * gives way, as far as there is room before it; returns where it ends now. */
static int64_t give_way(struct placed *f, size_t from, size_t to, int64_t room, int64_t overlap)
{
	int64_t by = least(room, overlap);
	int64_t end = f[to - 1].at + f[to - 1].samples;
	if (to - from >= FEW || by <= 0)
		return end;
	for (size_t i = from; i < to; i++)
		f[i].at -= by;
	return end - by;
}

static void find_places(const struct placing *w, struct placed *f)
{
	int64_t away = samples_of(w->rate, AWAY_MS), push = samples_of(w->rate, PUSH_MS);
	int64_t end = w->p[0].ticks + w->p[0].offset;
	int64_t room = push; /* before the run that goes on */
	size_t before = 0, run = 0;
	for (size_t i = 0; i < w->n; i++) {
		if (w->p[i].stray) {
			/* Its number says after which frame it was spoken; it moves nothing else. */
			f[i].at = distance(end, f[i].arrival) < push ? end : f[i].arrival;
			continue;
		}
		int64_t at = i == 0 ? end : place_after(w, before, i);
		if (i > 0 && w->p[i].run) {
			if (at < end && end - at <= push)
				end = give_way(f, run, i, room, end - at);
			room = at - end;
			run = i;
		}
		if (at < end && end - at <= push)
			at = end; /* one sender's frames never overlap */
		if (distance(at, f[i].arrival) > away)
			at = f[i].arrival;
		f[i].at = at;
		end = at + f[i].samples;
		before = i;
	}
}

bool place_stream(struct placed *f, size_t n, uint32_t rate)
{
	if (n == 0)
		return true;
	struct placing w = { f, calloc(n, sizeof *w.p), n, rate };
	size_t *queue = calloc(n, sizeof *queue);
	bool ok = w.p && queue;
	if (ok) {
		unwrap(&w);
		find_runs(&w);
		find_all_offsets(&w, queue);
		find_places(&w, f);
	}
	free(queue);
	free(w.p);
	return ok;
}

/* ---- several streams on one track ---------------------------------------------------------- */

struct talk {
	struct placed *first;
	size_t frames;
	int64_t start, end;
};

static int talk_order(const void *a, const void *b)
{
	const struct talk *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* Divide one stream's frames into talks; with `out` NULL they are only counted. */
static size_t find_talks(struct placed *f, size_t n, uint32_t rate, struct talk *out)
{
	int64_t gap = samples_of(rate, TALK_MS), end = 0;
	size_t talks = 0;
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || f[i].at > end + gap || f[i].at < end - gap) {
			if (out)
				out[talks] = (struct talk){ &f[i], 0, f[i].at, f[i].at };
			talks++;
		}
		end = f[i].at + f[i].samples;
		if (!out)
			continue;
		struct talk *t = &out[talks - 1];
		t->frames++;
		t->start = least(t->start, f[i].at);
		t->end = most(t->end, end);
	}
	return talks;
}

bool place_apart(struct placed *const *f, const size_t *n, size_t streams, uint32_t rate)
{
	size_t talks = 0;
	for (size_t s = 0; s < streams; s++)
		talks += find_talks(f[s], n[s], rate, NULL);
	if (streams < 2 || talks == 0)
		return true;
	struct talk *talk = calloc(talks, sizeof *talk);
	if (!talk)
		return false;
	talks = 0;
	for (size_t s = 0; s < streams; s++)
		talks += find_talks(f[s], n[s], rate, talk + talks);
	qsort(talk, talks, sizeof *talk, talk_order);
	int64_t end = talk[0].end;
	for (size_t i = 1; i < talks; i++) {
		int64_t overlap = end - talk[i].start;
		if (overlap > 0 && overlap < samples_of(rate, APART_MS)) {
			for (size_t k = 0; k < talk[i].frames; k++)
				talk[i].first[k].at += overlap;
			talk[i].end += overlap;
		}
		end = most(end, talk[i].end);
	}
	free(talk);
	return true;
}
