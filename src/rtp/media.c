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
 *   none of these ───────────────────────────────► unknown: SIP, or the pen
 */
#include "rtp/media.h"

#include <stdlib.h>

#include "rtp/packet.h"

#define BURST         64 /* packets looked up together */
#define AHEAD         6  /* packets between the steps of a look-up: what memory needs */
#define ALIVE_NS      (5 * NS_PER_S)
#define YIELD_AT_MOST 64 /* calls at one endpoint that are asked to yield flows to a newcomer */

struct media *media_new(const struct media_config *cfg)
{
	struct media *m = calloc(1, sizeof *m);
	if (!m)
		return NULL;

	uint32_t streams = cfg->max_streams ? cfg->max_streams : 1;
	if (streams > UINT32_MAX / 4)
		streams = UINT32_MAX / 4;
	uint32_t expects = cfg->max_expects ? cfg->max_expects : 1;
	size_t chunks = cfg->audio_bytes / sizeof(struct chunk);
	m->cfg = *cfg;
	m->counters = cfg->counters;
	m->chunks = pool_new(sizeof(struct chunk), chunks ? chunks : 1);
	m->pen = pen_new(cfg->pen_bytes, cfg->counters);
	/* A flow has a live stream or an ended one. */
	bool ok = flow_table_init(&m->flows, 2 * streams);
	ok = stream_set_init(&m->streams, streams) && ok;
	ok = ended_init(&m->ended, streams) && ok;
	ok = expect_table_init(&m->expects, expects) && ok;
	if (!ok || !m->chunks || !m->pen) {
		media_free(m);
		return NULL;
	}
	return m;
}

void media_free(struct media *m)
{
	if (!m)
		return;
	pool_free(m->chunks);
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

/* End all streams of a live flow.  `goes_on`: what comes on it from now on is after the end. */
static void flow_end(struct media *m, uint32_t flow, int64_t until_ns, bool goes_on)
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

	if (owner == NONE || by_source) {
		f->judged = m->expects.generation;
		return true;
	}
	struct expect *x = &m->expects.at[owner], *old = &m->expects.at[f->expect];
	if (ts_ns < x->from_ns)
		return true;
	if (x->call != old->call || x->party == old->party) {
		flow_end(m, flow, INT64_MAX, false);
		return false;
	}
	flow_detach(m, flow);
	flow_attach(m, flow, owner, false);
	for (uint32_t s = f->stream; s != NONE; s = m->streams.cold[s].next)
		stream_remap(m, s);
	return true;
}

/* The stream of a live flow with an SSRC, moved to the front; NONE. */
static uint32_t flow_stream(struct media *m, struct flow *f, uint32_t ssrc)
{
	uint32_t *link = &f->stream;

	while (*link != NONE && m->streams.at[*link].ssrc != ssrc)
		link = &m->streams.cold[*link].next;
	uint32_t s = *link;
	if (s != NONE && s != f->stream) {
		*link = m->streams.cold[s].next;
		m->streams.cold[s].next = f->stream;
		f->stream = s;
	}
	return s;
}

/* ---- one packet ------------------------------------------------------------------------- */

/* A stream more than there may be was refused: the call shall not look complete. */
static void remark_refused(struct media *m, uint32_t expect)
{
	for (uint32_t f = m->expects.at[expect].flows; f != NONE; f = m->flows.links[f].next) {
		if (m->flows.at[f].stream == NONE)
			continue;
		m->streams.cold[m->flows.at[f].stream].dropped++;
		return;
	}
}

/* The first packet of an SSRC on a live flow. */
static void begin_stream(struct media *m, const struct datagram *d, const struct rtp_header *h,
			 uint32_t flow)
{
	uint32_t s = stream_new(m, flow, h, d->ts_ns);

	if (s != NONE) {
		stream_take(m, s, d, h);
		return;
	}
	count(m->counters, COUNT_RTP_STREAM_LIMIT);
	remark_refused(m, m->flows.at[flow].expect);
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

static void count_no_rtp(struct media *m, enum packet_kind kind)
{
	static const enum counter counters[] = { [PACKET_RTCP] = COUNT_RTCP,
						 [PACKET_OTHER] = COUNT_MEDIA_OTHER,
						 [PACKET_MALFORMED] = COUNT_RTP_MALFORMED };
	count(m->counters, counters[kind]);
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
	} else {
		expect = expect_owner(&m->expects, &d->src, &d->dst, &by_source);
		if (expect == NONE && flow == NONE)
			return MEDIA_UNKNOWN;
	}
	struct rtp_header h;
	enum packet_kind kind = packet_classify(&h, d);
	if (kind == PACKET_TEXT || (kind != PACKET_RTP && expect == NONE))
		return MEDIA_UNKNOWN;
	if (kind != PACKET_RTP) {
		count_no_rtp(m, kind);
		return MEDIA_TAKEN;
	}
	uint32_t s = live ? flow_stream(m, &m->flows.at[flow], h.ssrc) : NONE;
	uint16_t number = s != NONE ? (uint16_t)m->streams.at[s].now.max : 0;
	if (flow != NONE &&
	    ended_takes(m, flow, expect, s != NONE ? &number : NULL, &h, d->ts_ns)) {
		count(m->counters, COUNT_RTP_AFTER_END);
		return MEDIA_TAKEN;
	}
	if (expect == NONE)
		return MEDIA_UNKNOWN;
	if (s != NONE)
		stream_take(m, s, d, &h);
	else if (live)
		begin_stream(m, d, &h, flow);
	else
		begin_flow(m, d, &h, flow, expect, by_source);
	return MEDIA_TAKEN;
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
		     m->streams.at[f->stream].ssrc != h.ssrc))
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

void media_burst(struct media *m, const struct datagram *d, int n, enum media_verdict *verdicts)
{
	for (int i = 0; i < n; i += BURST)
		burst(m, d + i, n - i < BURST ? n - i : BURST, verdicts + i);
	if (n > 0)
		media_tick(m, d[n - 1].ts_ns);
}

void media_pen(struct media *m, const struct datagram *d)
{
	if (packet_may_be_rtp(d))
		pen_put(m->pen, d);
	else
		count(m->counters, COUNT_TO_NOBODY);
}

void media_tick(struct media *m, int64_t now_ns)
{
	stream_tick(m, now_ns);
	pen_tick(m->pen, now_ns);
	ended_tick(m, now_ns);
}

void media_give_back(struct media *m, struct chunk *c)
{
	pool_put(m->chunks, c);
}

uint64_t media_held(const struct media *m)
{
	return pen_held(m->pen);
}

uint32_t media_streams(const struct media *m)
{
	return m->streams.live;
}

/* ---- expect and forget ------------------------------------------------------------------ */

/* From the pen, the same way as from the wire.  Someone expects it, so it is not unknown. */
static void take_released(void *ctx, const struct datagram *d)
{
	struct media *m = ctx;
	uint64_t hash = flow_hash(&m->flows, &d->src, &d->dst);

	uint32_t flow = flow_find(&m->flows, hash, &d->src, &d->dst);

	enum media_verdict v = take(m, d, flow);
	ASSERT(v == MEDIA_TAKEN);
}

static void remap_streams(struct media *m, const struct expect *x)
{
	for (uint32_t f = x->flows; f != NONE; f = m->flows.links[f].next)
		for (uint32_t s = m->flows.at[f].stream; s != NONE; s = m->streams.cold[s].next)
			stream_remap(m, s);
}

static void expect_end(struct media *m, uint32_t expect, int64_t until_ns, bool goes_on)
{
	struct expect *x = &m->expects.at[expect];

	while (x->flows != NONE)
		flow_end(m, x->flows, until_ns, goes_on);
	expect_remove(&m->expects, expect);
}

/* A call's flows of which another call is the better owner by now end here; what comes on them goes there. */
static void yield_flows(struct media *m, uint32_t call)
{
	for (uint32_t x = m->expects.calls[call].expects; x != NONE;
	     x = m->expects.at[x].next_of_call) {
		uint32_t next;
		for (uint32_t f = m->expects.at[x].flows; f != NONE; f = next) {
			const struct flow *flow = &m->flows.at[f];
			next = m->flows.links[f].next;
			if (flow->judged)
				continue; /* by its source: judged at its next packet */
			bool by_source;
			uint32_t owner =
				expect_owner(&m->expects, &flow->src, &flow->dst, &by_source);
			if (m->expects.at[owner].call != call)
				flow_end(m, f, INT64_MAX, false);
		}
	}
}

/* An endpoint used again belongs to the later call, unless a flow's other end says otherwise. */
static void take_over(struct media *m, uint32_t expect)
{
	uint32_t older = expect;
	for (int i = 0; i < YIELD_AT_MOST; i++) {
		older = expect_older(&m->expects, older);
		if (older == NONE)
			return;
		yield_flows(m, m->expects.at[older].call);
	}
}

void media_expect(struct media *m, const struct media_expect *e)
{
	uint32_t n = expect_find(&m->expects, e->call, &e->at);

	if (n != NONE) {
		struct expect *x = &m->expects.at[n];
		if (x->party == !!e->party) {
			expect_update(x, e);
			remap_streams(m, x);
			return;
		}
		expect_end(m, n, INT64_MAX, false);
	}
	n = expect_add(&m->expects, e);
	if (n == NONE) {
		count(m->counters, COUNT_EXPECT_LIMIT);
		return;
	}
	take_over(m, n);
	pen_release(m->pen, &e->at, e->from_ns, take_released, m);
}

void media_forget(struct media *m, const struct media_forget *f)
{
	uint32_t call = expect_find_call(&m->expects, f->call);

	if (!f->all) {
		uint32_t n = expect_find(&m->expects, f->call, &f->at);
		if (n != NONE)
			expect_end(m, n, f->until_ns, true);
		return;
	}
	while (call != NONE) {
		expect_end(m, m->expects.calls[call].expects, f->until_ns, true);
		call = expect_find_call(&m->expects, f->call);
	}
	m->cfg.sink.done(m->cfg.sink.ctx, f->call);
}
