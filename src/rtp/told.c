/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* told.c: what signalling tells media: endpoints to expect and to forget.
 *
 * Runs on the capture thread, between bursts.
 */
#include "rtp/media.h"

#define YIELD_AT_MOST 64 /* calls at one endpoint that are asked to yield flows to a newcomer */

/* Payload types and protection may be told by any endpoint of the call. */
static void remap_streams(struct media *m, uint32_t expect)
{
	struct media_walk w = media_walk_all(m, expect);
	uint32_t s;

	while ((s = media_walk_next(m, &w)) != NONE)
		stream_remap(m, s);
}

static void end_expect(struct media *m, uint32_t expect, int64_t until_ns, bool goes_on)
{
	struct expect *x = &m->expects.at[expect];

	while (x->flows != NONE)
		media_end_flow(m, x->flows, until_ns, goes_on);
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
				media_end_flow(m, f, INT64_MAX, false);
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

/* A call turns out never to be recorded, or to be so after all: its flows begin anew. */
static void change_discard(struct media *m, uint32_t expect, bool discard)
{
	struct expect *x = &m->expects.at[expect];

	/* Before its beginning: of what is at hand nothing is kept. */
	while (x->flows != NONE)
		media_end_flow(m, x->flows, discard ? x->from_ns - 1 : INT64_MAX, false);
}

/* Both parties may name one multicast group: the first who did is who receives there. */
static void say_more(struct media *m, uint32_t expect, const struct media_expect *e)
{
	struct expect *x = &m->expects.at[expect];

	if (x->discard != e->discard)
		change_discard(m, expect, e->discard);
	expect_update(&m->expects, expect, e);
	remap_streams(m, expect);
}

void media_expect(struct media *m, const struct media_expect *e)
{
	uint32_t n = expect_find(&m->expects, e->call, &e->at);

	if (n != NONE) {
		if (m->expects.at[n].party == !!e->party || flow_is_multicast(&e->at)) {
			say_more(m, n, e);
			return;
		}
		end_expect(m, n, INT64_MAX, false);
	}
	n = expect_add(&m->expects, e);
	if (n == NONE) {
		count(m->counters, COUNT_EXPECT_LIMIT);
		return;
	}
	take_over(m, n);
	pen_release(m->pen, &e->at, e->from_ns, media_take_released, m);
}

void media_forget(struct media *m, const struct media_forget *f)
{
	uint32_t call = expect_find_call(&m->expects, f->call);

	if (!f->all) {
		uint32_t n = expect_find(&m->expects, f->call, &f->at);
		if (n != NONE)
			end_expect(m, n, f->until_ns, true);
		return;
	}
	if (call != NONE)
		m->expects.calls[call].until_ns = f->until_ns;
	while (call != NONE) {
		end_expect(m, m->expects.calls[call].expects, f->until_ns, true);
		call = expect_find_call(&m->expects, f->call);
	}
	m->cfg.sink.done(m->cfg.sink.ctx, f->call);
}
