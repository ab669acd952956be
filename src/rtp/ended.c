/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* ended.c: see ended.h.  Runs on the capture thread. */
#include "rtp/ended.h"

#include <stdlib.h>

#include "rtp/media.h"

#define SILENCE_NS    (30 * NS_PER_S)   /* after that, it has stopped */
#define COPY_NS       (100 * NS_PER_MS) /* a mirrored or overtaken packet comes within this */
#define SLACK_PACKETS 32
#define PTIME_US      20000 /* when it is not known */
#define LONG_NS       (5 * NS_PER_S)
#define LOOK_AT_MOST  256 /* entries, the last touched first, for the other party's */

bool ended_init(struct ended_set *t, uint32_t max)
{
	memset(t, 0, sizeof *t);
	t->max = max;
	t->free = t->newest = t->oldest = NONE;
	t->at = slab_new(sizeof *t->at, max);
	return t->at != NULL;
}

void ended_release(struct ended_set *t)
{
	slab_free(t->at, sizeof *t->at, t->max);
}

static void age_unlink(struct ended_set *t, uint32_t n)
{
	struct ended *e = &t->at[n];
	if (e->newer == NONE)
		t->newest = e->older;
	else
		t->at[e->newer].older = e->older;
	if (e->older == NONE)
		t->oldest = e->newer;
	else
		t->at[e->older].newer = e->newer;
}

static void age_link(struct ended_set *t, uint32_t n)
{
	t->at[n].newer = NONE;
	t->at[n].older = t->newest;
	if (t->newest == NONE)
		t->oldest = n;
	else
		t->at[t->newest].newer = n;
	t->newest = n;
}

/* Remove an entry; its flow stays, even if nothing hangs on it any more. */
static void drop(struct media *m, uint32_t n)
{
	struct ended_set *t = &m->ended;
	struct ended *e = &t->at[n];
	uint32_t *link = &m->flows.at[e->flow].ended;

	while (*link != n)
		link = &t->at[*link].next;
	*link = e->next;
	age_unlink(t, n);
	e->next = t->free;
	t->free = n;
}

/* The same, and the flow goes with its last entry. */
static void drop_with_flow(struct media *m, uint32_t n)
{
	uint32_t flow = m->ended.at[n].flow;
	drop(m, n);
	if (m->flows.at[flow].ended == NONE && m->flows.at[flow].expect == NONE)
		flow_remove(&m->flows, flow);
}

/* Many calls with many SSRCs on one flow must not make its list long: every packet walks it. */
static void bound_flow(struct media *m, uint32_t flow)
{
	uint32_t last = NONE;
	unsigned count = 0;

	for (uint32_t n = m->flows.at[flow].ended; n != NONE; n = m->ended.at[n].next) {
		last = n;
		count++;
	}
	if (count >= STREAM_BLOCK)
		drop(m, last);
}

static uint32_t number_get(struct media *m)
{
	struct ended_set *t = &m->ended;
	uint32_t n;

	if (t->free == NONE && t->used == t->max)
		drop_with_flow(m, t->oldest);
	if (t->free == NONE)
		return t->used++;
	n = t->free;
	t->free = t->at[n].next;
	return n;
}

void ended_add(struct media *m, uint32_t stream, uint64_t call)
{
	struct ended_set *t = &m->ended;
	const struct stream *s = &m->streams.at[stream];
	const struct stream_cold *c = &m->streams.cold[stream];

	bound_flow(m, s->flow);
	uint32_t n = number_get(m);
	struct ended *e = &t->at[n];
	bool stored = s->writer.sequence != 0 && s->role <= STREAM_WATCH;
	e->call = call;
	e->until_ns = media_call_until(m, s->flow);
	e->track = c->track;
	e->long_after = false;
	e->ts_ns = (stored ? s->writer.arrival_us : c->first_us) * NS_PER_US;
	e->touched_ns = e->ts_ns;
	e->ssrc = s->ssrc;
	e->sequence = stored ? (uint16_t)s->writer.sequence : c->first_number;
	e->timestamp = stored ? s->writer.timestamp : c->first_timestamp;
	e->clock_rate = s->clock_rate;
	e->ptime_us = s->time_step ? (uint32_t)((uint64_t)s->time_step * 1000000 / s->clock_rate)
				   : PTIME_US;
	if (e->ptime_us < 1000)
		e->ptime_us = 1000;
	e->flow = s->flow;
	e->next = m->flows.at[s->flow].ended;
	m->flows.at[s->flow].ended = n;
	age_link(t, n);
}

/* How far a packet's sequence number is from the one that is due next. */
static int distance(uint16_t sequence, uint16_t last)
{
	return (int16_t)(uint16_t)(sequence - last - 1);
}

/* `strict` when someone else expects the endpoint by now: then a number that is behind is only a
 * copy or an overtaken packet if it comes at once.  (A telephone that begins each call at zero
 * would else lose the first words of a call that follows a very short one.) */
static bool goes_on(const struct ended *e, const struct rtp_header *h, int64_t ts_ns, bool strict)
{
	int64_t elapsed_ns = media_since(ts_ns, e->ts_ns);
	int ahead = distance(h->sequence, e->sequence);

	if (elapsed_ns < 0)
		elapsed_ns = 0;
	if (elapsed_ns > 2 * SILENCE_NS)
		return false;
	int64_t slack = SLACK_PACKETS + 2 * (elapsed_ns / NS_PER_US) / e->ptime_us;
	if (ahead > slack || -ahead > slack)
		return false;
	if (strict && ahead < 0 && elapsed_ns > COPY_NS)
		return false;
	int64_t moved = (int32_t)(h->timestamp - e->timestamp);
	int64_t due = elapsed_ns / NS_PER_US * e->clock_rate / 1000000;
	int64_t off = moved - due;
	return off <= e->clock_rate && -off <= e->clock_rate;
}

/* A packet of a call that has been over for long, the first on this flow: is the other party's heard too? */
static void note_long_after(struct media *m, uint32_t n)
{
	struct ended *e = &m->ended.at[n];
	int looked = 0;

	e->long_after = true;
	for (uint32_t o = m->ended.newest; o != NONE && looked < LOOK_AT_MOST;
	     o = m->ended.at[o].older, looked++) {
		const struct ended *other = &m->ended.at[o];
		if (other->call != e->call || other->track == e->track || !other->long_after)
			continue;
		count(m->counters, COUNT_MEDIA_AFTER_BYE);
		if (m->cfg.sink.remark)
			m->cfg.sink.remark(m->cfg.sink.ctx, e->call, "media-after-bye");
		return;
	}
}

static void note(struct media *m, uint32_t n, const struct rtp_header *h, int64_t ts_ns)
{
	struct ended *e = &m->ended.at[n];
	if (distance(h->sequence, e->sequence) >= 0) {
		e->sequence = h->sequence;
		e->timestamp = h->timestamp;
		e->ts_ns = ts_ns;
	}
	e->touched_ns = ts_ns;
	if (m->ended.newest != n) {
		age_unlink(&m->ended, n);
		age_link(&m->ended, n);
	}
	if (!e->long_after && media_since(ts_ns, e->until_ns) >= LONG_NS)
		note_long_after(m, n);
}

bool ended_takes(struct media *m, uint32_t flow, uint32_t expect, const uint16_t *live,
		 const struct rtp_header *h, int64_t ts_ns)
{
	uint64_t call = 0;
	if (expect != NONE)
		call = m->expects.calls[m->expects.at[expect].call].number;

	uint32_t next;
	for (uint32_t n = m->flows.at[flow].ended; n != NONE; n = next) {
		const struct ended *e = &m->ended.at[n];
		next = e->next;
		if (e->ssrc != h->ssrc || !goes_on(e, h, ts_ns, expect != NONE))
			continue;
		if (expect != NONE && e->call == call) {
			drop(m, n); /* its own call has come back to this endpoint */
			continue;
		}
		/* Two numberings of one SSRC on one flow: the nearer one. */
		if (live &&
		    abs(distance(h->sequence, *live)) <= abs(distance(h->sequence, e->sequence)))
			continue;
		note(m, n, h, ts_ns);
		return true;
	}
	return false;
}

void ended_tick(struct media *m, int64_t now_ns)
{
	while (m->ended.oldest != NONE) {
		int64_t silent = media_since(now_ns, m->ended.at[m->ended.oldest].touched_ns);
		if (silent <= SILENCE_NS && silent >= -SILENCE_NS)
			break;
		drop_with_flow(m, m->ended.oldest);
	}
}
