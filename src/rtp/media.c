/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* media.c: the packet's way through src/rtp: flow, stream, chunk; else expectation; else nobody's.
 *
 * One struct media a capture thread.  Everything here runs for hostile packets: what they do is
 * counted, and bounded by the tables made at start.
 *
 *   flow known and live ─────────────────────────► its stream
 *   flow known, its call ended ─► it goes on ─────► after the end
 *   destination, else source, expected ──────────► a new stream
 *   expected, but perhaps of a call not known ───► unknown yet: held in the pen
 *   none of these ───────────────────────────────► unknown: SIP, or the pen
 */
#include "rtp/media.h"

#include <stdlib.h>

#include "rtp/foreign.h"
#include "rtp/packet.h"
#include "rtp/relay.h"
#include "rtp/rtcp.h"

#define BURST    64 /* packets looked up together */
#define AHEAD    6  /* packets between the steps of a look-up: what memory needs */
#define ALIVE_NS (5 * NS_PER_S)

struct media *media_new(const struct media_config *cfg)
{
	struct media *m = calloc(1, sizeof *m);
	if (!m)
		return NULL;

	uint32_t streams = cfg->max_streams ? cfg->max_streams : 1;
	if (streams > UINT32_MAX / 4)
		streams = UINT32_MAX / 4;
	uint32_t expects = cfg->max_expects ? cfg->max_expects : 1;
	m->cfg = *cfg;
	m->counters = cfg->counters;
	m->pen = pen_new(cfg->pen_bytes, cfg->counters);
	/* A flow has a live stream or an ended one. */
	bool ok = flow_table_init(&m->flows, 2 * streams);
	ok = supply_init(&m->supply, cfg->buffers, cfg->keep_reserve) && ok;
	ok = stream_set_init(&m->streams, streams) && ok;
	ok = ended_init(&m->ended, streams) && ok;
	ok = expect_table_init(&m->expects, expects, streams) && ok;
	if (!ok || !m->pen) {
		media_free(m);
		return NULL;
	}
	return m;
}

void media_free(struct media *m)
{
	if (!m)
		return;
	supply_release(&m->supply);
	pen_free(m->pen);
	flow_table_release(&m->flows);
	stream_set_release(&m->streams);
	ended_release(&m->ended);
	expect_table_release(&m->expects);
	free(m);
}

void media_alive(struct media *m, uint32_t call, int64_t ts_ns)
{
	struct expect_call *c = &m->expects.calls[call];

	int64_t since = media_since(ts_ns, c->alive_ns);
	if (c->alive && since < ALIVE_NS && since > -ALIVE_NS)
		return;
	c->alive = true;
	c->alive_ns = ts_ns;
	m->cfg.sink.alive(m->cfg.sink.ctx, c->number, ts_ns);
}

void media_remark(struct media *m, uint32_t call, enum remark what)
{
	static const char *const names[REMARKS] = { [REMARK_FOREIGN_MEDIA] = "foreign-media",
						    [REMARK_ZRTP] = "zrtp",
						    [REMARK_DTLS] = "dtls-srtp" };
	struct expect_call *c = &m->expects.calls[call];

	if (c->remarked & 1u << what)
		return;
	c->remarked = (uint8_t)(c->remarked | 1u << what);
	if (m->cfg.sink.remark)
		m->cfg.sink.remark(m->cfg.sink.ctx, c->number, names[what]);
}

uint32_t media_walk_next(const struct media *m, struct media_walk *w)
{
	while (w->stream == NONE) {
		if (w->flow == NONE) {
			if (w->expect == NONE)
				return NONE;
			w->flow = m->expects.at[w->expect].flows;
			w->expect = m->expects.at[w->expect].next_of_call;
			continue;
		}
		w->stream = m->flows.at[w->flow].stream;
		w->flow = m->flows.links[w->flow].next;
	}
	if (w->left-- == 0)
		return NONE;
	uint32_t s = w->stream;
	w->stream = m->streams.cold[s].next;
	return s;
}

/* ---- flows ------------------------------------------------------------------------------ */

/* A flow on which nothing hangs is forgotten. */
static void flow_settle(struct media *m, uint32_t flow)
{
	const struct flow *f = &m->flows.at[flow];
	if (f->expect == NONE && f->ended == NONE)
		flow_remove(&m->flows, flow);
}

/* The flow belongs to `expect` from now on, or no longer to any. */
static void flow_attach(struct media *m, uint32_t flow, uint32_t expect, bool by_source)
{
	m->flows.at[flow].expect = expect;
	m->flows.at[flow].judged = by_source ? m->expects.generation : 0;
	flow_link(&m->flows, flow, &m->expects.at[expect].flows);
}

static void flow_detach(struct media *m, uint32_t flow)
{
	struct flow *f = &m->flows.at[flow];

	flow_unlink(&m->flows, flow, &m->expects.at[f->expect].flows);
	f->expect = NONE;
	f->judged = 0;
}

void media_end_flow(struct media *m, uint32_t flow, int64_t until_ns, bool goes_on)
{
	struct flow *f = &m->flows.at[flow];
	uint64_t call = m->expects.calls[m->expects.at[f->expect].call].number;

	while (f->stream != NONE) {
		if (goes_on)
			ended_add(m, f->stream, call);
		stream_end(m, f->stream, until_ns);
	}
	flow_detach(m, flow);
	flow_settle(m, flow);
}

/* A flow taken by its source, after new endpoints were expected: its destination says more.  False:
 * it is another call's, and its streams have ended. */
static bool flow_judge(struct media *m, uint32_t flow, int64_t ts_ns)
{
	struct flow *f = &m->flows.at[flow];
	bool by_source;
	uint32_t owner = expect_owner(&m->expects, &f->src, &f->dst, &by_source);

	/* What signalling explains is no orphan any more. */
	bool found =
		m->expects.at[f->expect].orphan && owner != NONE && !m->expects.at[owner].orphan;
	if (owner == NONE || (by_source && !found)) {
		f->judged = m->expects.generation;
		return true;
	}
	struct expect *x = &m->expects.at[owner], *old = &m->expects.at[f->expect];
	if (ts_ns < x->from_ns)
		return true;
	if (x->call != old->call || x->party == old->party || x->discard != old->discard) {
		media_end_flow(m, flow, INT64_MAX, false);
		return false;
	}
	flow_detach(m, flow);
	flow_attach(m, flow, owner, false);
	for (uint32_t s = f->stream; s != NONE; s = m->streams.cold[s].next)
		stream_remap(m, s);
	return true;
}

void media_link_stream(struct media *m, uint32_t stream)
{
	struct flow *f = &m->flows.at[m->streams.at[stream].flow];
	m->streams.cold[stream].next = f->stream;
	f->stream = stream;
}

void media_unlink_stream(struct media *m, uint32_t stream)
{
	uint32_t *link = &m->flows.at[m->streams.at[stream].flow].stream;
	while (*link != stream)
		link = &m->streams.cold[*link].next;
	*link = m->streams.cold[stream].next;
}

uint32_t media_flow_stream(struct media *m, uint32_t flow, uint32_t ssrc)
{
	uint32_t s = m->flows.at[flow].stream;

	while (s != NONE && m->streams.at[s].ssrc != ssrc)
		s = m->streams.cold[s].next;
	if (s != NONE && s != m->flows.at[flow].stream) {
		media_unlink_stream(m, s);
		media_link_stream(m, s);
	}
	return s;
}

void media_note_place(struct media *m, uint32_t stream, const struct rtp_header *h, int64_t ts_ns)
{
	struct stream_cold *c = &m->streams.cold[stream];
	m->streams.at[stream].ssrc = h->ssrc;
	c->first_us = ts_ns / NS_PER_US;
	c->first_number = h->sequence;
	c->first_timestamp = h->timestamp;
}

/* ---- one packet ------------------------------------------------------------------------- */

/* A stream more than there may be was refused: the call shall not look complete. */
static void remark_refused(struct media *m, uint32_t expect)
{
	for (uint32_t f = m->expects.at[expect].flows; f != NONE; f = m->flows.links[f].next) {
		if (m->flows.at[f].stream == NONE)
			continue;
		stream_rare(m, m->flows.at[f].stream)->dropped++;
		return;
	}
}

static void take_known(struct media *m, uint32_t stream, const struct datagram *d,
		       const struct rtp_header *h)
{
	if (m->streams.at[stream].role == STREAM_PLAIN)
		stream_take(m, stream, d, h);
	else
		relay_take(m, stream, d, h);
}

/* The first packet of an SSRC on a live flow. */
static void begin_stream(struct media *m, const struct datagram *d, const struct rtp_header *h,
			 uint32_t flow)
{
	uint32_t s = stream_new(m, flow, h, d->ts_ns);

	if (s == NONE) {
		count(m->counters, COUNT_RTP_STREAM_LIMIT);
		remark_refused(m, m->flows.at[flow].expect);
		return;
	}
	relay_begin(m, s, h);
	if (m->streams.at[s].role != STREAM_COPY)
		foreign_suspect(m, s, d->ts_ns);
	take_known(m, s, d, h);
}

/* The first packet of a flow that is not live, and may not be there yet (NONE); `expect` is who
 * expects it. */
static void begin_flow(struct media *m, const struct datagram *d, const struct rtp_header *h,
		       uint32_t flow, uint32_t expect, bool by_source)
{
	if (d->ts_ns < m->expects.at[expect].from_ns) {
		count(m->counters, COUNT_RTP_BEFORE_START);
	} else {
		if (flow == NONE)
			flow = flow_add(&m->flows, &d->src, &d->dst);
		if (flow == NONE) {
			count(m->counters, COUNT_RTP_STREAM_LIMIT);
			return;
		}
		flow_attach(m, flow, expect, by_source);
		begin_stream(m, d, h, flow);
		if (m->flows.at[flow].stream == NONE)
			flow_detach(m, flow);
	}
	if (flow != NONE)
		flow_settle(m, flow);
}

/* A call that is never to be recorded: its flow is remembered, so that what comes after the call's end is known. */
static void discard(struct media *m, const struct datagram *d, const struct rtp_header *h,
		    uint32_t flow, uint32_t expect, bool by_source)
{
	count(m->counters, COUNT_RTP_EXCLUDED);
	if (flow == NONE)
		flow = flow_add(&m->flows, &d->src, &d->dst);
	if (flow == NONE)
		return;
	struct flow *f = &m->flows.at[flow];
	if (f->expect == NONE) {
		flow_attach(m, flow, expect, by_source);
		if (stream_new(m, flow, h, d->ts_ns) == NONE) {
			flow_detach(m, flow);
			flow_settle(m, flow);
			return;
		}
		m->streams.at[f->stream].role = STREAM_DISCARD;
	}
	media_note_place(m, f->stream, h, d->ts_ns);
}

static void take_no_rtp(struct media *m, const struct datagram *d, enum packet_kind kind,
			uint32_t expect, bool by_source)
{
	static const enum counter counters[] = { [PACKET_STUN] = COUNT_MEDIA_STUN,
						 [PACKET_DTLS] = COUNT_MEDIA_DTLS,
						 [PACKET_ZRTP] = COUNT_MEDIA_ZRTP,
						 [PACKET_OTHER] = COUNT_MEDIA_OTHER,
						 [PACKET_MALFORMED] = COUNT_RTP_MALFORMED };
	const struct expect *x = &m->expects.at[expect];

	if (x->discard) {
		count(m->counters, COUNT_RTP_EXCLUDED);
		return;
	}
	if (kind == PACKET_RTCP) {
		rtcp_take(m, d, expect, by_source);
		return;
	}
	count(m->counters, counters[kind]);
	if (kind == PACKET_DTLS || kind == PACKET_ZRTP)
		media_remark(m, x->call, kind == PACKET_DTLS ? REMARK_DTLS : REMARK_ZRTP);
}

/* Neither end is known for media; for RTCP perhaps.  What looks like RTP there may be of a call that comes. */
static enum media_verdict take_at_rtcp(struct media *m, const struct datagram *d)
{
	struct rtp_header h;
	bool by_source = false;
	uint32_t expect = expect_rtcp(&m->expects, &d->dst);

	if (expect == NONE) {
		expect = expect_rtcp(&m->expects, &d->src);
		by_source = expect != NONE;
	}
	if (expect == NONE)
		return MEDIA_UNKNOWN;
	enum packet_kind kind = packet_classify(&h, d);
	if (kind == PACKET_TEXT || kind == PACKET_RTP)
		return MEDIA_UNKNOWN;
	take_no_rtp(m, d, kind, expect, by_source);
	return MEDIA_TAKEN;
}

/* The number a stream last had. */
static uint16_t place_of(const struct media *m, uint32_t stream)
{
	const struct stream *s = &m->streams.at[stream];
	return s->role <= STREAM_WATCH ? (uint16_t)s->now.max
				       : m->streams.cold[stream].first_number;
}

/* The flow is not known, or its call has ended, or it has ended streams beside live ones: the long
 * way. */
static enum media_verdict take_unusual(struct media *m, const struct datagram *d, uint32_t flow)
{
	bool live = flow != NONE && m->flows.at[flow].expect != NONE;
	bool by_source = false;
	uint32_t expect;

	if (live) {
		expect = m->flows.at[flow].expect;
		by_source = m->flows.at[flow].judged != 0;
	} else {
		expect = expect_owner(&m->expects, &d->src, &d->dst, &by_source);
		if (expect == NONE && flow == NONE)
			return take_at_rtcp(m, d);
	}
	struct rtp_header h;
	enum packet_kind kind = packet_classify(&h, d);
	if (kind == PACKET_TEXT || (kind != PACKET_RTP && expect == NONE))
		return MEDIA_UNKNOWN;
	if (kind != PACKET_RTP) {
		take_no_rtp(m, d, kind, expect, by_source);
		return MEDIA_TAKEN;
	}
	uint32_t s = live ? media_flow_stream(m, flow, h.ssrc) : NONE;
	uint16_t number = s != NONE ? place_of(m, s) : 0;
	if (flow != NONE &&
	    ended_takes(m, flow, expect, s != NONE ? &number : NULL, &h, d->ts_ns)) {
		count(m->counters, COUNT_RTP_AFTER_END);
		return MEDIA_TAKEN;
	}
	if (expect == NONE)
		return MEDIA_UNKNOWN;
	if (!live && !by_source && hold_wants(m, d, &h, expect))
		return MEDIA_UNKNOWN;
	if (m->expects.at[expect].discard)
		discard(m, d, &h, flow, expect, by_source);
	else if (s != NONE)
		take_known(m, s, d, &h);
	else if (live)
		begin_stream(m, d, &h, flow);
	else
		begin_flow(m, d, &h, flow, expect, by_source);
	return MEDIA_TAKEN;
}

/* Not the packet of a stream that goes straight to its chunk. */
static inline bool is_unusual(const struct stream *s, const struct rtp_header *h)
{
	return ((s->ssrc ^ h->ssrc) | s->role) != 0;
}

/* Counts what becomes of the datagram, but not that it came. */
static enum media_verdict take(struct media *m, const struct datagram *d, uint32_t flow)
{
	if (UNLIKELY(flow == NONE))
		return take_unusual(m, d, NONE);
	struct flow *f = &m->flows.at[flow];
	if (UNLIKELY(f->judged && f->judged != m->expects.generation) &&
	    !flow_judge(m, flow, d->ts_ns))
		return take_unusual(m, d,
				    flow_find(&m->flows, flow_hash(&m->flows, &d->src, &d->dst),
					      &d->src, &d->dst));
	struct rtp_header h;
	if (UNLIKELY(f->expect == NONE || f->ended != NONE ||
		     packet_classify(&h, d) != PACKET_RTP ||
		     is_unusual(&m->streams.at[f->stream], &h)))
		return take_unusual(m, d, flow);
	stream_take(m, f->stream, d, &h);
	return MEDIA_TAKEN;
}

/* ---- bursts ----------------------------------------------------------------------------- */

/* What look-ups of a burst know so far. */
struct burst {
	const struct datagram *d;
	uint64_t hashes[BURST];
	uint32_t flows[BURST]; /* a guess, then right as long as the table has: */
	uint32_t version;
};

/* The steps of a packet's look-up.  Each ends in a prefetch of what the next one reads, a few
 * packets later.  Always inline: a function that only prefetches is thought to do nothing, and left
 * out. */
#define STEP static inline __attribute__((always_inline)) void

STEP look_hash(const struct media *m, struct burst *b, int i)
{
	const struct datagram *d = &b->d[i];

	/* As numbers, for there may be less than that, or nothing at all. */
	__builtin_prefetch(d->payload);
	__builtin_prefetch((const void *)((uintptr_t)d->payload + 64));
	__builtin_prefetch((const void *)((uintptr_t)d->payload + 128));
	b->hashes[i] = flow_hash(&m->flows, &d->src, &d->dst);
	__builtin_prefetch(flow_home(&m->flows, b->hashes[i]));
}

STEP look_guess(const struct media *m, struct burst *b, int i)
{
	b->flows[i] = flow_guess(&m->flows, b->hashes[i]);
	if (b->flows[i] != NONE)
		__builtin_prefetch(&m->flows.at[b->flows[i]]);
}

STEP look_find(const struct media *m, struct burst *b, int i)
{
	const struct datagram *d = &b->d[i];
	const struct flow_table *t = &m->flows;

	if (b->flows[i] == NONE || !flow_is(&t->at[b->flows[i]], &d->src, &d->dst))
		b->flows[i] = flow_find(t, b->hashes[i], &d->src, &d->dst);
	if (b->flows[i] == NONE || t->at[b->flows[i]].stream == NONE)
		return;
	const struct stream *s = &m->streams.at[t->at[b->flows[i]].stream];
	__builtin_prefetch(s, 1);
	__builtin_prefetch(&s->writer, 1);
}

STEP look_chunk(const struct media *m, const struct burst *b, int i)
{
	if (b->flows[i] == NONE || m->flows.at[b->flows[i]].stream == NONE)
		return;
	const struct chunk_writer *w = &m->streams.at[m->flows.at[b->flows[i]].stream].writer;
	if (!w->chunk)
		return;
	const uint8_t *to = w->chunk->payload + w->payload_at;
	__builtin_prefetch(w->chunk->table + w->table_at, 1);
	__builtin_prefetch(to, 1);
	__builtin_prefetch(to + 64, 1);
	__builtin_prefetch(to + 128, 1);
	__builtin_prefetch(to + 159, 1); /* 20 ms of G.711 seldom begin on a line */
}

/* A look-up is four steps, some packets apart, so that memory works while we do. */
static void burst(struct media *m, const struct datagram *d, int n, enum media_verdict *verdicts)
{
	struct burst b;
	uint64_t taken = 0;
	int ahead = n < AHEAD ? n : AHEAD;

	b.d = d;
	b.version = m->flows.version;
	for (int now = -4 * ahead; now < n; now++) {
		int i = now + 4 * ahead;
		if (i < n)
			look_hash(m, &b, i);
		i -= ahead;
		if (i >= 0 && i < n)
			look_guess(m, &b, i);
		i -= ahead;
		if (i >= 0 && i < n)
			look_find(m, &b, i);
		i -= ahead;
		if (i >= 0 && i < n)
			look_chunk(m, &b, i);
		if (now < 0)
			continue;
		/* A packet before this one may have made its flow, or ended it. */
		if (UNLIKELY(m->flows.version != b.version))
			b.flows[now] =
				flow_find(&m->flows, b.hashes[now], &d[now].src, &d[now].dst);
		verdicts[now] = take(m, &d[now], b.flows[now]);
		taken += verdicts[now] == MEDIA_TAKEN;
	}
	count_add(m->counters, COUNT_TO_MEDIA, taken);
}

static void tick(struct media *m, int64_t now_ns)
{
	stream_tick(m, now_ns);
	pen_tick(m->pen, now_ns);
	ended_tick(m, now_ns);
}

void media_burst(struct media *m, const struct datagram *d, int n, enum media_verdict *verdicts)
{
	if (n <= 0)
		return;
	/* Before: of what the burst gives back as unknown, some is yet to be held. */
	hold_tick(m, d[0].ts_ns);
	for (int i = 0; i < n; i += BURST)
		burst(m, d + i, n - i < BURST ? n - i : BURST, verdicts + i);
	tick(m, d[n - 1].ts_ns);
}

void media_pen(struct media *m, const struct datagram *d)
{
	struct media_orphan o;

	if (!packet_may_be_rtp(d)) {
		count(m->counters, COUNT_TO_NOBODY);
		return;
	}
	if (!pen_put(m->pen, d, hold_has(m, d), &o))
		return;
	count(m->counters, COUNT_ORPHANS);
	if (m->cfg.sink.orphan)
		m->cfg.sink.orphan(m->cfg.sink.ctx, &o);
}

void media_heard(struct media *m, int64_t heard_ns)
{
	pen_heard(m->pen, heard_ns);
}

void media_tick(struct media *m, int64_t now_ns)
{
	hold_tick(m, now_ns);
	tick(m, now_ns);
}

void media_give_back(struct media *m, struct chunk *c)
{
	pool_put(m->supply.pool, c);
}

void media_take_released(void *ctx, const struct datagram *d)
{
	struct media *m = ctx;
	uint64_t hash = flow_hash(&m->flows, &d->src, &d->dst);
	uint32_t flow = flow_find(&m->flows, hash, &d->src, &d->dst);

	/* Someone expects it, so it is not unknown. */
	m->held.letting_go = true;
	enum media_verdict v = take(m, d, flow);
	m->held.letting_go = false;
	ASSERT(v == MEDIA_TAKEN);
}
