/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* copies.c: what several capture threads saw of one voice is heard as one.
 *
 * Runs in the vault, at render.  Capture threads that saw the two sides of a relay apart have stored both.  Two streams
 * of one track that have one SSRC, and frames of the same number and timestamp at about the same time, carry the
 * same voice: the later stream's frames become the earlier one's, where copies go and gaps close.
 * So do those of a flow that went from one thread to another: to another interface of a bundle, or to another handle when
 * an interface came back.
 */
#include <stdlib.h>
#include <string.h>

#include "audio/timeline.h"

#define NEAR_US (5 * (uint64_t)US_PER_S)
#define ENOUGH  3   /* frames that agree */
#define STEPS   500 /* numbers that may be missing where a flow changes threads */

static int by_number(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;
	uint16_t m = (uint16_t)x->frame.sequence, n = (uint16_t)y->frame.sequence;
	if (x->frame.timestamp != y->frame.timestamp)
		return x->frame.timestamp < y->frame.timestamp ? -1 : 1;
	return m < n ? -1 : m > n;
}

static bool same_codec(const struct kept *x, const struct kept *y)
{
	return x->decoder && y->decoder && x->decoder->codec == y->decoder->codec &&
	       x->decoder->payload_type == y->decoder->payload_type;
}

static uint64_t between_us(int64_t x, int64_t y)
{
	return x < y ? (uint64_t)y - (uint64_t)x : (uint64_t)x - (uint64_t)y;
}

static bool same_frame(const struct kept *x, const struct kept *y)
{
	return between_us(x->frame.arrival_us, y->frame.arrival_us) < NEAR_US && same_codec(x, y);
}

/* How many frames of `s` are in `into`, and by how many cycles their numbers differ.  Both are sorted by number. */
static size_t frames_in_both(const struct stream *into, const struct stream *s, int64_t *ahead)
{
	size_t i = 0, j = 0, both = 0;
	while (i < into->kept_count && j < s->kept_count) {
		const struct kept *x = &into->kept[i], *y = &s->kept[j];
		int order = by_number(x, y);
		if (order == 0 && same_frame(x, y)) {
			*ahead = (int64_t)(x->frame.sequence - y->frame.sequence);
			both++;
		}
		i += order <= 0;
		j += order >= 0;
	}
	return both;
}

/* The decoder of `into` that a frame of `s` goes to; NULL: it has none of that codec. */
static struct decoder *decoder_there(const struct stream *into, const struct kept *k)
{
	struct decoder *d = k->decoder ? into->decoders[k->decoder->payload_type] : NULL;
	return d && d->codec == k->decoder->codec ? d : NULL;
}

/* Move the frames of `s` that can be heard.  What the records say of the two streams need not agree, so a frame is
 * measured again by the decoder that it goes to. */
static bool join(struct stream *into, struct stream *s, int64_t ahead)
{
	size_t room = into->kept_count + s->kept_count;
	struct kept *more = reallocarray(into->kept, room, sizeof *more);
	if (!more)
		return false;
	into->kept = more;
	into->kept_room = room;
	for (size_t i = 0; i < s->kept_count; i++) {
		struct kept k = s->kept[i];
		if (!(k.decoder = decoder_there(into, &k)))
			continue;
		reveal_measure(&k);
		k.frame.sequence += (uint64_t)ahead;
		k.borrowed = true;
		into->kept[into->kept_count++] = k;
	}
	s->joined = true;
	return true;
}

static const struct kept *nearest(const struct stream *s, int64_t at_us)
{
	const struct kept *best = s->kept;
	for (const struct kept *k = s->kept; k < s->kept + s->kept_count; k++)
		if (between_us(k->frame.arrival_us, at_us) <
		    between_us(best->frame.arrival_us, at_us))
			best = k;
	return best;
}

/* Does `s` have what else came on the flow of `into`, with numbers and timestamps that run on?  Then all of it can be decoded
 * there. */
static bool goes_on(const struct stream *into, const struct stream *s, int64_t *ahead)
{
	if (!endpoint_equal(&into->record.src, &s->record.src) ||
	    !endpoint_equal(&into->record.dst, &s->record.dst))
		return false;
	for (size_t i = 0; i < s->kept_count; i++)
		if (s->kept[i].decoder && !decoder_there(into, &s->kept[i]))
			return false;
	const struct rtp_frame *y = &nearest(s, INT64_MIN)->frame;
	const struct rtp_frame *x = &nearest(into, y->arrival_us)->frame;
	int16_t steps = (int16_t)(y->sequence - x->sequence);
	int64_t ticks = (int32_t)(y->timestamp - x->timestamp);
	int64_t most = (int64_t)(NEAR_US / US_PER_S) * into->record.clock_rate;
	*ahead = (int64_t)(x->sequence + (uint64_t)(int64_t)steps - y->sequence);
	return between_us(x->arrival_us, y->arrival_us) < NEAR_US && steps <= STEPS &&
	       steps >= -STEPS && ticks <= most && ticks >= -most;
}

static bool may_join(const struct stream *a, const struct stream *b)
{
	return !a->muted && !b->muted && !a->joined && !b->joined && a->kept_count > 0 &&
	       b->kept_count > 0 && a->record.track == b->record.track &&
	       a->record.ssrc == b->record.ssrc;
}

bool copies_join(struct timeline *t, struct audio_summary *out)
{
	for (size_t i = 0; i < t->streams_count; i++) {
		struct stream *into = &t->streams[i];
		for (size_t j = i + 1; j < t->streams_count; j++) {
			struct stream *s = &t->streams[j];
			int64_t ahead = 0;
			if (!may_join(into, s))
				continue;
			qsort(into->kept, into->kept_count, sizeof *into->kept, by_number);
			qsort(s->kept, s->kept_count, sizeof *s->kept, by_number);
			size_t both = frames_in_both(into, s, &ahead);
			bool copy = both >= ENOUGH || both == s->kept_count;
			if (!copy && !goes_on(into, s, &ahead))
				continue;
			if (!join(into, s, ahead))
				return false;
			out->copies[into->record.track] += both;
		}
	}
	return true;
}
