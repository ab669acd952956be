/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* exchange.c: see exchange.h.
 *
 * Exchanges are numbered as they begin, and each endpoint (struct line) remembers the newest one
 * that named it.  So "no longer named" is a comparison: named_in < number of the exchange just
 * accepted.
 */
#include "sip/exchange.h"

#include <stdlib.h>

/* ---- exchanges ------------------------------------------------------------------------- */

struct exchange *exchange_find(struct call *c, uint8_t hop, enum track by, uint32_t cseq,
			       enum method method)
{
	for (unsigned i = 0; i < CALL_EXCHANGES; i++) {
		struct exchange *x = &c->exchanges[i];
		if (x->number && x->hop == hop && x->by == by && x->cseq == cseq &&
		    x->method == method)
			return x;
	}
	return NULL;
}

/* A free place, or that of the oldest.  Initial exchanges stay: there is one a hop, and more
 * places than hops. */
static struct exchange *place(struct call *c)
{
	struct exchange *oldest = NULL;
	for (unsigned i = 0; i < CALL_EXCHANGES; i++) {
		struct exchange *x = &c->exchanges[i];
		if (!x->initial && (!oldest || x->number < oldest->number))
			oldest = x;
	}
	ASSERT(oldest);
	return oldest;
}

static struct exchange *begin_at(struct call *c, struct exchange *x, const struct exchange *how)
{
	*x = *how;
	x->number = ++c->exchanges_made;
	return x;
}

struct exchange *exchange_begin(struct call *c, uint8_t hop, enum track by, uint32_t cseq,
				enum method method, int64_t start_ns)
{
	return begin_at(c, place(c),
			&(struct exchange){ .cseq = cseq,
					    .start_ns = start_ns,
					    .method = (uint8_t)method,
					    .by = (uint8_t)by,
					    .hop = hop });
}

struct exchange *exchange_begin_initial(struct call *c, uint8_t hop, uint32_t cseq)
{
	struct exchange *x = NULL;
	for (unsigned i = 0; i < CALL_EXCHANGES; i++)
		if (c->exchanges[i].initial && c->exchanges[i].hop == hop)
			x = &c->exchanges[i];
	return begin_at(c, x ? x : place(c),
			&(struct exchange){ .cseq = cseq,
					    .start_ns = c->start_ns,
					    .method = METHOD_INVITE,
					    .by = TRACK_CALLER,
					    .hop = hop,
					    .initial = true });
}

/* ---- endpoints ------------------------------------------------------------------------- */

static void expect(struct signalling *s, const struct call *c, enum track party,
		   const struct line *l)
{
	struct media_expect e;
	memset(&e, 0, sizeof e);
	e.call = c->number;
	e.at = l->at;
	e.party = (uint8_t)party;
	e.payloads_count = l->payloads_count;
	e.stream_base = l->stream_base;
	e.from_ns = l->from_ns;
	e.ptime_ms = l->ptime_ms;
	memcpy(e.payloads, l->payloads, sizeof e.payloads);
	s->cfg.sink.expect(s->cfg.sink.ctx, &e);
}

static void forget(struct signalling *s, const struct call *c, const struct line *l,
		   int64_t until_ns)
{
	struct media_forget f;
	memset(&f, 0, sizeof f);
	f.call = c->number;
	f.at = l->at;
	f.until_ns = until_ns;
	s->cfg.sink.forget(s->cfg.sink.ctx, &f);
}

static void drop_line(struct party *p, unsigned i)
{
	free(p->lines[i]);
	p->lines[i] = p->lines[--p->lines_count];
}

static struct line *find_line(struct party *p, const struct endpoint *at)
{
	for (unsigned i = 0; i < p->lines_count; i++)
		if (endpoint_equal(&p->lines[i]->at, at))
			return p->lines[i];
	return NULL;
}

/* A new endpoint with stream numbers of its own, or NULL (counted) when there were too many. */
static struct line *new_line(struct signalling *s, struct call *c, struct party *p,
			     const struct exchange *x)
{
	uint32_t block = s->cfg.media_threads * STREAM_BLOCK;
	struct line *l = NULL;
	if (p->lines_count < PARTY_LINES && c->stream_next + block <= STREAM_NUMBERS)
		l = calloc(1, sizeof *l);
	if (!l) {
		count(s->cfg.counters, COUNT_SIP_MEDIA_LIMIT);
		return NULL;
	}
	l->stream_base = (uint16_t)c->stream_next;
	c->stream_next += block;
	l->born_in = x->number;
	l->from_ns = x->start_ns;
	p->lines[p->lines_count++] = l;
	return l;
}

static bool has_payload(const struct media_payload *in, unsigned n, uint8_t type)
{
	for (unsigned i = 0; i < n; i++)
		if (in[i].type == type)
			return true;
	return false;
}

static bool same_payload(const struct media_payload *a, const struct media_payload *b)
{
	return a->type == b->type && a->kind == b->kind && a->channels == b->channels &&
	       a->clock_rate == b->clock_rate && strcmp(a->codec, b->codec) == 0;
}

/* The new map goes first and what was mapped before stays: until the answer, and for frames in
 * flight, the old types mean what they meant, and one may not be given another meaning (RFC
 * 3264, 8.3.2).  True when anything changed. */
static bool map_payloads(struct line *l, const struct description_audio *a)
{
	struct media_payload merged[MEDIA_PAYLOADS];
	unsigned n = a->payloads_count;
	memset(merged, 0, sizeof merged);
	memcpy(merged, a->payloads, n * sizeof *merged);
	for (unsigned i = 0; i < l->payloads_count && n < MEDIA_PAYLOADS; i++)
		if (!has_payload(merged, n, l->payloads[i].type))
			merged[n++] = l->payloads[i];
	bool changed = n != l->payloads_count;
	for (unsigned i = 0; i < n && !changed; i++)
		changed = !same_payload(&merged[i], &l->payloads[i]);
	memcpy(l->payloads, merged, sizeof merged);
	l->payloads_count = (uint8_t)n;
	if (a->ptime_ms && a->ptime_ms != l->ptime_ms) {
		l->ptime_ms = a->ptime_ms;
		changed = true;
	}
	return changed;
}

static void mark_line(struct line *l, const struct exchange *x, uint8_t leg)
{
	if (l->named_in < x->number)
		l->named_in = x->number;
	l->hop = x->hop;
	l->leg = leg;
	l->retire_ns = 0;
}

static void name_line(struct signalling *s, struct call *c, const struct exchange *x,
		      enum track party, uint8_t leg, const struct description_audio *a)
{
	struct party *p = &c->parties[party];
	struct line *l = find_line(p, &a->at);
	bool fresh = !l;
	if (fresh) {
		l = new_line(s, c, p, x);
		if (!l)
			return;
		l->at = a->at;
	}
	mark_line(l, x, leg);
	if (map_payloads(l, a) || fresh)
		expect(s, c, party, l);
}

void exchange_describe(struct signalling *s, struct call *c, struct exchange *x, enum track party,
		       uint8_t leg, const struct description *d)
{
	struct party *p = &c->parties[party];
	x->named[party] = true;
	x->on_hold[party] = d->on_hold;
	for (unsigned i = 0; i < d->audio_count; i++) {
		if (d->audio[i].has_endpoint) {
			name_line(s, c, x, party, leg, &d->audio[i]);
			continue;
		}
		/* c=0.0.0.0, or a name we do not resolve: audio goes on where it was, or comes
		 * back there. */
		for (unsigned k = 0; k < p->lines_count; k++)
			if (p->lines[k]->hop == x->hop && !p->lines[k]->retire_ns)
				mark_line(p->lines[k], x, p->lines[k]->leg);
	}
}

/* ---- answers --------------------------------------------------------------------------- */

static void update_hold(struct call *c, int64_t ts_ns)
{
	struct call_record *r = &c->record;
	bool now = c->parties[TRACK_CALLER].on_hold || c->parties[TRACK_CALLEE].on_hold;
	uint32_t n = r->holds_count;
	bool before = n > 0 && r->holds[n - 1].to_us == 0;
	if (now == before)
		return;
	if (!now) {
		r->holds[n - 1].to_us = us_of(ts_ns);
	} else {
		if (n == sizeof r->holds / sizeof *r->holds)
			return;
		r->holds[n].from_us = us_of(ts_ns);
		r->holds[n].to_us = 0;
		r->holds_count++;
	}
	c->changed = true;
}

static void retire(struct line *l, int64_t ts_ns)
{
	if (!l->retire_ns)
		l->retire_ns = ts_ns + EXCHANGE_IN_FLIGHT_NS;
}

void exchange_accept(struct call *c, struct exchange *x, int64_t ts_ns)
{
	x->accepted = true;
	for (unsigned party = 0; party < 2; party++) {
		struct party *p = &c->parties[party];
		if (!x->named[party])
			continue;
		if (x->number >= p->settled_in) {
			p->settled_in = x->number;
			p->on_hold = x->on_hold[party];
		}
		for (unsigned i = 0; i < p->lines_count; i++)
			if (p->lines[i]->hop == x->hop && p->lines[i]->named_in < x->number)
				retire(p->lines[i], ts_ns);
	}
	update_hold(c, ts_ns);
}

void exchange_reject(struct signalling *s, struct call *c, struct exchange *x, int64_t ts_ns)
{
	for (unsigned party = 0; party < 2; party++) {
		struct party *p = &c->parties[party];
		for (unsigned i = p->lines_count; i > 0; i--) {
			if (p->lines[i - 1]->born_in != x->number)
				continue;
			forget(s, c, p->lines[i - 1], ts_ns);
			drop_line(p, i - 1);
		}
	}
}

void exchange_choose_leg(struct call *c, uint8_t hop, uint8_t leg, int64_t ts_ns)
{
	struct party *p = &c->parties[TRACK_CALLEE];
	for (unsigned i = 0; i < p->lines_count; i++) {
		struct line *l = p->lines[i];
		if (l->hop == hop && l->leg != leg && l->leg != NO_LEG)
			retire(l, ts_ns);
	}
}

/* ---- in time --------------------------------------------------------------------------- */

void exchange_forget_due(struct signalling *s, struct call *c, int64_t now_ns)
{
	for (unsigned party = 0; party < 2; party++) {
		struct party *p = &c->parties[party];
		for (unsigned i = p->lines_count; i > 0; i--) {
			const struct line *l = p->lines[i - 1];
			if (!l->retire_ns || l->retire_ns > now_ns)
				continue;
			forget(s, c, l, l->retire_ns);
			drop_line(p, i - 1);
		}
	}
}

int64_t exchange_next_due(const struct call *c)
{
	int64_t due = INT64_MAX;
	for (unsigned party = 0; party < 2; party++) {
		const struct party *p = &c->parties[party];
		for (unsigned i = 0; i < p->lines_count; i++)
			if (p->lines[i]->retire_ns && p->lines[i]->retire_ns < due)
				due = p->lines[i]->retire_ns;
	}
	return due;
}

void exchange_free_lines(struct call *c)
{
	for (unsigned party = 0; party < 2; party++)
		while (c->parties[party].lines_count > 0)
			drop_line(&c->parties[party], 0);
}
