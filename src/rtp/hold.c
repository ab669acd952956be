/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* hold.c: see hold.h.  Runs on the capture thread. */
#include "rtp/hold.h"

#include "rtp/media.h"
#include "rtp/relay.h"

#define COPY_NS  (100 * NS_PER_MS) /* within this, another packet comes of what goes on */
#define TALKS_NS NS_PER_S          /* a source that was silent for longer may have moved */

static uint32_t find(const struct media *m, const struct endpoint *src, const struct endpoint *dst)
{
	for (uint32_t i = 0; i < m->held.count; i++)
		if (endpoint_equal(&m->held.at[i].src, src) &&
		    endpoint_equal(&m->held.at[i].dst, dst))
			return i;
	return NONE;
}

static uint32_t flow_of(const struct media *m, const struct endpoint *src,
			const struct endpoint *dst)
{
	return flow_find(&m->flows, flow_hash(&m->flows, src, dst), src, dst);
}

static bool talks(const struct media *m, uint32_t flow, int64_t now_ns)
{
	uint32_t stream = flow == NONE ? NONE : m->flows.at[flow].stream;

	if (stream == NONE)
		return false;
	bool stored = m->streams.at[stream].role <= STREAM_WATCH;
	int64_t last_us =
		stored ? m->streams.at[stream].writer.arrival_us : m->streams.cold[stream].first_us;
	int64_t since = media_since(now_ns / NS_PER_US, last_us);
	return since <= TALKS_NS / NS_PER_US && since >= -TALKS_NS / NS_PER_US;
}

/* May the flow be of a call that is not known yet? */
static bool is_doubtful(const struct media *m, const struct datagram *d, uint32_t expect)
{
	const struct expect *x = &m->expects.at[expect];
	bool heard = false, named = false;

	if (!endpoint_equal(&x->at, &d->dst) || flow_is_multicast(&d->dst))
		return false;
	for (uint32_t n = m->expects.calls[x->call].expects; n != NONE;
	     n = m->expects.at[n].next_of_call) {
		const struct expect *other = &m->expects.at[n];
		if (endpoint_equal(&other->at, &d->src))
			return false;
		if (other->party == x->party)
			continue;
		named = true;
		heard = heard || talks(m, flow_of(m, &other->at, &d->dst), d->ts_ns);
	}
	return heard || (named && expect_older(&m->expects, expect) != NONE);
}

static bool is_due(const struct held_flow *f, int64_t now_ns, int64_t after_ns)
{
	int64_t since = media_since(now_ns, f->since_ns);
	return since >= after_ns || since <= -after_ns;
}

bool hold_wants(struct media *m, const struct datagram *d, const struct rtp_header *h,
		uint32_t expect)
{
	struct held_set *t = &m->held;
	uint32_t n = find(m, &d->src, &d->dst);

	if (t->letting_go || d->len > PEN_FRAME_BYTES)
		return false;
	if (n == NONE) {
		if (t->count == HOLDS || !is_doubtful(m, d, expect))
			return false;
		n = t->count++;
		t->at[n] = (struct held_flow){ .src = d->src, .dst = d->dst, .since_ns = d->ts_ns };
	}
	struct held_flow *f = &t->at[n];
	f->ssrc = h->ssrc;
	f->sequence = h->sequence;
	f->begun = is_due(f, d->ts_ns, HOLD_NS) && relay_has(m, expect, h->ssrc, h->sequence);
	return !f->begun;
}

bool hold_has(const struct media *m, const struct datagram *d)
{
	return m->held.count > 0 && find(m, &d->src, &d->dst) != NONE;
}

/* What the call has too is best begun with a packet that the call has just had: it is still at hand to be compared. */
static bool is_to_wait(struct media *m, const struct held_flow *f, uint32_t expect, int64_t now_ns)
{
	return expect != NONE && !f->begun && !is_due(f, now_ns, HOLD_NS + COPY_NS) &&
	       relay_has(m, expect, f->ssrc, f->sequence);
}

/* Nobody has named its source: it is of who expects its destination. */
static void let_go(struct media *m, const struct held_flow *f, uint32_t expect)
{
	uint32_t flow = flow_of(m, &f->src, &f->dst);
	bool live = flow != NONE && m->flows.at[flow].expect != NONE;

	if (expect == NONE || live != f->begun) {
		pen_unhold(m->pen, &f->src, &f->dst);
		return;
	}
	pen_release_flow(m->pen, &f->src, &f->dst, media_take_released, m);
}

void hold_tick(struct media *m, int64_t now_ns)
{
	struct held_set *t = &m->held;
	bool by_source;

	for (uint32_t i = t->count; i > 0; i--) {
		struct held_flow f = t->at[i - 1];
		if (!is_due(&f, now_ns, HOLD_NS))
			continue;
		uint32_t expect = expect_owner(&m->expects, &f.src, &f.dst, &by_source);
		if (is_to_wait(m, &f, expect, now_ns))
			continue;
		t->at[i - 1] = t->at[--t->count];
		let_go(m, &f, expect);
	}
}
