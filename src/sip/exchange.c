/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* exchange.c: see exchange.h.
 *
 * Exchanges are numbered as they begin, and each endpoint (struct line) remembers the newest one
 * that named it.  So "no longer named" is a comparison: named_in < number of the exchange just
 * accepted.
 */
#include "sip/exchange.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "sip/calls.h"
#include "sip/judgement.h"
#include "sip/keys.h"
#include "sip/orphan.h"

_Static_assert(OTHER_KINDS <= 8, "a byte of bits");

/* ---- exchanges ------------------------------------------------------------------------- */

struct exchange *exchange_find(struct call *c, uint8_t hop, enum track by, uint32_t cseq,
			       enum method method)
{
	for (unsigned i = 0; i < c->exchanges_count; i++) {
		struct exchange *x = &c->exchanges[i];
		if (x->hop == hop && x->by == by && x->cseq == cseq && x->method == method)
			return x;
	}
	return NULL;
}

/* A new place, or that of the oldest.  Initial exchanges stay: there is one a hop, and more
 * places than hops. */
static struct exchange *place(struct call *c)
{
	struct exchange *oldest = NULL;
	if (c->exchanges_count < CALL_EXCHANGES) {
		c->exchanges = list_room_after(&c->first_exchange, c->exchanges, c->exchanges_count,
					       sizeof *c->exchanges);
		struct exchange *x = &c->exchanges[c->exchanges_count++];
		*x = (struct exchange){ 0 };
		return x;
	}
	for (unsigned i = 0; i < c->exchanges_count; i++) {
		struct exchange *x = &c->exchanges[i];
		if (!x->initial && (!oldest || x->number < oldest->number))
			oldest = x;
	}
	ASSERT(oldest);
	return oldest;
}

static struct exchange *begin_at(struct call *c, struct exchange *x, const struct exchange *how)
{
	keys_free(x);
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
	for (unsigned i = 0; i < c->exchanges_count; i++)
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

static struct endpoint rtcp_of(const struct line *l)
{
	struct endpoint rtcp = l->rtcp_elsewhere ? *l->rtcp_elsewhere : l->at;
	rtcp.port = l->rtcp_port;
	return rtcp;
}

static void set_rtcp(struct line *l, const struct endpoint *rtcp)
{
	free(l->rtcp_elsewhere);
	l->rtcp_elsewhere = NULL;
	l->rtcp_port = rtcp->port;
	if (rtcp->port == 0 || memcmp(rtcp->addr, l->at.addr, sizeof rtcp->addr) == 0)
		return;
	l->rtcp_elsewhere = list_room(NULL, 0, sizeof *l->rtcp_elsewhere);
	*l->rtcp_elsewhere = *rtcp;
}

static void expect(struct signalling *s, const struct call *c, enum track party,
		   const struct line *l)
{
	const struct payload_map *map = payload_map_at(s->maps, l->payloads);
	struct media_expect e;
	memset(&e, 0, sizeof e);
	e.call = c->number;
	e.at = l->at;
	e.party = (uint8_t)party;
	e.payloads_count = (uint8_t)map->count;
	e.stream_base = l->stream_base;
	e.from_ns = l->from_ns;
	e.ptime_ms = l->ptime_ms;
	e.rtcp = rtcp_of(l);
	e.protection = l->protection;
	e.keep_events = c->dtmf == DTMF_KEEP;
	e.discard = judgement_discards(c);
	e.orphan = c->orphan;
	memcpy(e.payloads, map->at, sizeof e.payloads);
	s->cfg.sink.expect(s->cfg.sink.ctx, &e);
	if (!c->orphan)
		orphan_explained(s, &l->at);
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

void exchange_discard(struct signalling *s, struct call *c, int64_t until_ns)
{
	for (unsigned party = 0; party < 2; party++) {
		const struct party *p = &c->parties[party];
		for (unsigned i = 0; i < p->lines_count; i++) {
			forget(s, c, &p->lines[i], until_ns);
			expect(s, c, (enum track)party, &p->lines[i]);
		}
	}
}

static void drop_line(struct signalling *s, struct party *p, unsigned i)
{
	intern_drop(s->maps, p->lines[i].payloads);
	free(p->lines[i].rtcp_elsewhere);
	s->lines--;
	p->lines[i] = p->lines[--p->lines_count];
}

static struct line *find_line(struct party *p, const struct endpoint *at)
{
	for (unsigned i = 0; i < p->lines_count; i++)
		if (endpoint_equal(&p->lines[i].at, at))
			return &p->lines[i];
	return NULL;
}

/* A new endpoint with stream numbers of its own, or NULL (counted) when there were too many.  Good until the next. */
static struct line *new_line(struct signalling *s, struct call *c, struct party *p,
			     const struct exchange *x)
{
	uint32_t block = s->cfg.media_threads * STREAM_BLOCK;
	if (p->lines_count == PARTY_LINES || c->stream_next + block > STREAM_NUMBERS ||
	    s->lines == s->lines_most) {
		count(s->cfg.counters, COUNT_SIP_MEDIA_LIMIT);
		return NULL;
	}
	p->lines = list_room_after(&p->first_line, p->lines, p->lines_count, sizeof *p->lines);
	struct line *l = &p->lines[p->lines_count++];
	*l = (struct line){ .stream_base = (uint16_t)c->stream_next,
			    .born_in = x->number,
			    .from_ns = x->start_ns,
			    .payloads = INTERN_NONE };
	c->stream_next += block;
	s->lines++;
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

static void set_map(struct signalling *s, struct line *l, const struct media_payload *payloads,
		    unsigned n)
{
	intern_drop(s->maps, l->payloads);
	l->payloads = payload_map_take(s->maps, payloads, n);
	ASSERT(l->payloads != INTERN_NONE);
}

/* The new map goes first and what was mapped before stays: until the answer, and for frames in
 * flight, the old types mean what they meant, and one may not be given another meaning (RFC
 * 3264, 8.3.2).  True when anything changed. */
static bool map_payloads(struct signalling *s, struct line *l, const struct description_audio *a)
{
	static const struct payload_map none;
	const struct payload_map *old =
		l->payloads == INTERN_NONE ? &none : payload_map_at(s->maps, l->payloads);
	struct media_payload merged[MEDIA_PAYLOADS];
	unsigned n = a->payloads_count;
	memcpy(merged, a->payloads, n * sizeof *merged);
	for (unsigned i = 0; i < old->count && n < MEDIA_PAYLOADS; i++)
		if (!has_payload(merged, n, old->at[i].type))
			merged[n++] = old->at[i];
	bool changed = n != old->count;
	for (unsigned i = 0; i < n && !changed; i++)
		changed = !same_payload(&merged[i], &old->at[i]);
	set_map(s, l, merged, n);
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

/* True when anything changed. */
static bool set_line(struct line *l, const struct description_audio *a)
{
	struct endpoint before = rtcp_of(l), rtcp = a->rtcp;
	if (rtcp.port == 0) {
		rtcp = l->at;
		rtcp.port = 0;
	} else if (!endpoint_equal(&l->at, &a->at) && !a->rtcp_mux) {
		rtcp = l->at; /* an ICE candidate: next to it */
		rtcp.port++;
	}
	bool changed = !endpoint_equal(&before, &rtcp) || l->protection != a->protection;
	set_rtcp(l, &rtcp);
	l->stated = l->protection = a->protection & 15u;
	l->index = a->index;
	return changed;
}

static void name_line(struct signalling *s, struct call *c, const struct exchange *x,
		      enum track party, uint8_t leg, const struct description_audio *a,
		      const struct endpoint *at)
{
	struct party *p = &c->parties[party];
	struct line *l = find_line(p, at);
	bool fresh = !l;
	if (fresh) {
		l = new_line(s, c, p, x);
		if (!l)
			return;
		l->at = *at;
	}
	mark_line(l, x, leg);
	bool mapped = map_payloads(s, l, a);
	if (set_line(l, a) || mapped || fresh)
		expect(s, c, party, l);
}

static void name_audio(struct signalling *s, struct call *c, const struct exchange *x,
		       enum track party, uint8_t leg, const struct description_audio *a)
{
	struct party *p = &c->parties[party];
	if (a->has_endpoint)
		name_line(s, c, x, party, leg, a, &a->at);
	for (unsigned i = 0; i < a->candidates_count; i++)
		name_line(s, c, x, party, leg, a, &a->candidates[i]);
	if (a->has_endpoint || a->candidates_count > 0)
		return;
	/* c=0.0.0.0, or a name we do not resolve: audio goes on where it was, or comes back there. */
	for (unsigned k = 0; k < p->lines_count; k++)
		if (p->lines[k].hop == x->hop && !p->lines[k].retire_ns)
			mark_line(&p->lines[k], x, p->lines[k].leg);
}

static unsigned media_line(unsigned index)
{
	return index < MEDIA_LINES ? index : MEDIA_LINES - 1;
}

/* The answer chooses among what was offered: a line offered with SRTP may end without. */
static void settle_protection(struct signalling *s, struct call *c, const struct exchange *x)
{
	struct party *p = &c->parties[x->offerer];
	for (unsigned i = 0; i < p->lines_count; i++) {
		struct line *l = &p->lines[i];
		unsigned answers = x->answered[media_line(l->index)];
		uint8_t is = l->stated;
		if (l->hop != x->hop || l->named_in != x->number || answers == 0)
			continue;
		if (!(answers >> is & 1))
			for (is = 0; !(answers >> is & 1);)
				is++;
		if (is == l->protection)
			continue;
		l->protection = is & 15u;
		expect(s, c, (enum track)x->offerer, l);
	}
}

void exchange_describe(struct signalling *s, struct call *c, struct exchange *x, enum track party,
		       uint8_t leg, const struct description *d)
{
	if (!x->named[track_other(party)] && !x->named[party])
		x->offerer = (uint8_t)party;
	x->named[party] = true;
	x->on_hold[party] = d->on_hold;
	x->consents[party] = d->consents;
	x->refused[party] = d->refused;
	x->other[party] = (uint8_t)d->other;
	for (unsigned i = 0; i < d->audio_count; i++) {
		name_audio(s, c, x, party, leg, &d->audio[i]);
		if (party != x->offerer)
			x->answered[media_line(d->audio[i].index)] |=
				(uint8_t)(1u << d->audio[i].protection);
	}
	settle_protection(s, c, x);
	keys_describe(c, x, party, leg, d);
}

void exchange_expect_orphan(struct signalling *s, struct call *c, enum track party,
			    const struct endpoint *at, uint8_t payload_type)
{
	struct exchange x = { .start_ns = c->start_ns };
	struct line *l = new_line(s, c, &c->parties[party], &x);
	if (!l)
		return;
	l->at = *at;
	l->leg = NO_LEG;
	struct media_payload only;
	description_static(&only, payload_type);
	set_map(s, l, &only, 1);
	expect(s, c, party, l);
}

/* ---- answers --------------------------------------------------------------------------- */

static void update_hold(struct call *c, int64_t ts_ns)
{
	bool now = c->parties[TRACK_CALLER].on_hold || c->parties[TRACK_CALLEE].on_hold;
	if (!now && !c->known.extras)
		return;
	struct known_extras *x = known_extras(&c->known);
	unsigned n = x->holds_count;
	bool before = n > 0 && x->holds[n - 1].to_us == 0;
	if (now == before)
		return;
	if (!now) {
		x->holds[n - 1].to_us = us_of(ts_ns);
	} else {
		if (n == KNOWN_HOLDS)
			return;
		x->holds[n].from_us = us_of(ts_ns);
		x->holds[n].to_us = 0;
		x->holds_count++;
	}
	c->changed = true;
}

static void retire(struct line *l, int64_t ts_ns)
{
	if (!l->retire_ns)
		l->retire_ns = ts_ns + EXCHANGE_IN_FLIGHT_NS;
}

/* Media that we do not record, agreed on by both (or by the only one that was seen). */
static void note_other(struct call *c, const struct exchange *x)
{
	uint32_t kinds =
		x->named[0] && x->named[1] ? x->other[0] & x->other[1] : x->other[0] | x->other[1];
	for (unsigned i = 0; i < OTHER_KINDS; i++)
		if (kinds >> i & 1)
			c->changed |= known_other(&c->known, (uint8_t)i);
}

#define NO_KEY "srtp-no-key"

static void note_protection(struct call *c, const struct line *l)
{
	static const char *const remarks[PROTECTIONS] = {
		[PROTECTION_NO_KEY] = NO_KEY,
		[PROTECTION_DTLS] = "dtls-srtp",
		[PROTECTION_ZRTP] = "zrtp",
	};
	if (remarks[l->protection])
		calls_remark(c, remarks[l->protection]);
}

/* The request had no description, so the response's is the offer and the ACK will bring the answer (RFC 3264, 4). */
static bool is_late_offer(const struct exchange *x)
{
	return !x->unseen && !x->named[x->by];
}

/* `party` described its endpoints in x, which is now accepted: those it no longer names retire, as do lines that the other
 * refused by port 0 (RFC 3264, 6). */
static void accept_lines(struct signalling *s, struct call *c, struct exchange *x, enum track party,
			 int64_t ts_ns)
{
	struct party *p = &c->parties[party];
	enum track other = track_other(party);
	for (unsigned i = 0; i < p->lines_count; i++) {
		struct line *l = &p->lines[i];
		if (l->hop != x->hop)
			continue;
		bool refused = l->named_in == x->number && l->index < DESCRIPTION_LINES &&
			       (x->refused[other] >> l->index & 1);
		if (l->named_in < x->number || (refused && party == x->offerer))
			retire(l, ts_ns);
		if (l->retire_ns || is_late_offer(x))
			continue;
		/* What is sent here has the other party's key, and that was not seen. */
		if (l->protection == PROTECTION_SDES && !x->named[other]) {
			l->protection = PROTECTION_NO_KEY;
			x->keyless |= calls_remark(c, NO_KEY);
			expect(s, c, party, l);
		}
		note_protection(c, l);
	}
}

/* Only the answer was seen, and it says that its sender no longer speaks: the other holds it. */
static void accept_unseen_hold(struct call *c, const struct exchange *x)
{
	enum track by = (enum track)x->by, answerer = track_other(by);
	if (x->unseen && !x->named[by] && x->named[answerer])
		c->parties[by].on_hold = x->consents[answerer];
}

/* The answer that an ACK overtook has come, with the key.  Too many keys are remarked so too, and that stays. */
static void take_keyless_back(struct call *c, struct exchange *x)
{
	bool full = c->known.keys && c->known.keys->count == SDES_MAX;
	if (!x->keyless || !x->named[0] || !x->named[1] || full)
		return;
	x->keyless = false;
	c->changed |= known_unremark(&c->known, NO_KEY);
}

void exchange_accept(struct signalling *s, struct call *c, struct exchange *x, int64_t ts_ns)
{
	x->accepted = true;
	take_keyless_back(c, x); /* what is still without a key is remarked again */
	for (unsigned party = 0; party < 2; party++) {
		struct party *p = &c->parties[party];
		if (!x->named[party])
			continue;
		if (x->number >= p->settled_in) {
			p->settled_in = x->number;
			p->on_hold = x->on_hold[party];
		}
		accept_lines(s, c, x, (enum track)party, ts_ns);
	}
	accept_unseen_hold(c, x);
	if (!is_late_offer(x)) {
		keys_accept(c, x);
		note_other(c, x);
	}
	update_hold(c, ts_ns);
}

void exchange_reject(struct signalling *s, struct call *c, struct exchange *x, int64_t ts_ns)
{
	for (unsigned party = 0; party < 2; party++) {
		struct party *p = &c->parties[party];
		for (unsigned i = p->lines_count; i > 0; i--) {
			if (p->lines[i - 1].born_in != x->number)
				continue;
			forget(s, c, &p->lines[i - 1], ts_ns);
			drop_line(s, p, i - 1);
		}
	}
}

void exchange_choose_leg(struct call *c, uint8_t hop, uint8_t leg, int64_t ts_ns)
{
	struct party *p = &c->parties[TRACK_CALLEE];
	keys_choose_leg(c, leg);
	for (unsigned i = 0; i < p->lines_count; i++) {
		struct line *l = &p->lines[i];
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
			const struct line *l = &p->lines[i - 1];
			if (!l->retire_ns || l->retire_ns > now_ns)
				continue;
			forget(s, c, l, l->retire_ns);
			drop_line(s, p, i - 1);
		}
	}
}

int64_t exchange_next_due(const struct call *c)
{
	int64_t due = INT64_MAX;
	for (unsigned party = 0; party < 2; party++) {
		const struct party *p = &c->parties[party];
		for (unsigned i = 0; i < p->lines_count; i++)
			if (p->lines[i].retire_ns && p->lines[i].retire_ns < due)
				due = p->lines[i].retire_ns;
	}
	return due;
}

void exchange_free_all(struct signalling *s, struct call *c)
{
	for (unsigned i = 0; i < c->exchanges_count; i++)
		keys_free(&c->exchanges[i]);
	c->exchanges_count = 0;
	list_free(&c->first_exchange, c->exchanges);
	c->exchanges = NULL;
	for (unsigned party = 0; party < 2; party++) {
		struct party *p = &c->parties[party];
		while (p->lines_count > 0)
			drop_line(s, p, p->lines_count - 1u);
		list_free(&p->first_line, p->lines);
		p->lines = NULL;
	}
}
