/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* orphan.c: see orphan.h. */
#include "sip/orphan.h"

#include "sip/calls.h"
#include "sip/exchange.h"
#include "sip/state.h"

#define ORPHANS_PART   8 /* of all calls */
#define AFTER_START_NS (600 * NS_PER_S)

static uint32_t orphans_most(const struct signalling *s)
{
	return s->cfg.max_calls / ORPHANS_PART + 1;
}

bool orphan_init(struct signalling *s)
{
	s->orphan_ends = table_new(3, 2 * orphans_most(s));
	return s->orphan_ends != NULL;
}

void orphan_free(struct signalling *s)
{
	table_free(s->orphan_ends);
}

static void key_of(uint64_t key[3], const struct endpoint *e)
{
	memcpy(key, e, sizeof *e);
}

static struct call *find_end(const struct signalling *s, const struct endpoint *at)
{
	uint64_t key[3];
	key_of(key, at);
	uint32_t i = table_find(s->orphan_ends, key);
	return i == TABLE_NONE ? NULL : s->calls[i];
}

/* What was expected at `party`'s end of the flow is found by its endpoint. */
static void take_end(struct signalling *s, struct call *c, enum track party,
		     const struct endpoint *at, uint8_t payload_type)
{
	uint64_t key[3];
	exchange_expect_orphan(s, c, party, at, payload_type);
	if (c->parties[party].lines_count == 0)
		return;
	key_of(key, at);
	ASSERT(table_put(s->orphan_ends, key, call_index(c)));
}

void orphan_explained(struct signalling *s, const struct endpoint *at)
{
	struct call *c = s->orphans > 0 ? find_end(s, at) : NULL;
	if (c)
		(void)state_event(s, c,
				  &(struct event){ .kind = EVENT_EXPLAINED, .ts_ns = s->now_ns });
}

void orphan_leave(struct signalling *s, const struct call *c)
{
	for (unsigned party = 0; party < 2; party++) {
		const struct party *p = &c->parties[party];
		for (unsigned i = 0; i < p->lines_count; i++) {
			uint64_t key[3];
			key_of(key, &p->lines[i].at);
			(void)table_remove(s->orphan_ends, key);
		}
	}
	s->orphans--;
}

static bool wanted(const struct signalling *s)
{
	if (s->cfg.orphans == ORPHANS_AFTER_START)
		return s->now_ns - s->first_ns <= AFTER_START_NS;
	return s->cfg.orphans == ORPHANS_ON;
}

void signalling_orphan(struct signalling *s, const struct media_orphan *o)
{
	signalling_tick(s, o->first_ns); /* it may be the first that is heard of any time */
	int64_t first_ns = o->first_ns < 0 ? 0 : o->first_ns < s->now_ns ? o->first_ns : s->now_ns;
	if (!wanted(s) || find_end(s, &o->src) || find_end(s, &o->dst) ||
	    endpoint_equal(&o->src, &o->dst))
		return;
	struct digest key = calls_digest(s, span_of(o, offsetof(struct media_orphan, ssrc)));
	struct call *c = s->orphans < orphans_most(s) ? calls_new(s, &key, first_ns) : NULL;
	if (!c) {
		count(s->cfg.counters, COUNT_CALLS_ORPHAN_LIMIT);
		return;
	}
	count(s->cfg.counters, COUNT_CALLS_ORPHAN);
	s->orphans++;
	c->orphan = c->lives = true;
	if (s->now_ns > c->last_ns)
		c->last_ns = s->now_ns;
	calls_remark(c, "no-signalling");
	c->known.state = CALL_TALKING;
	calls_announce(s, c);
	take_end(s, c, TRACK_CALLER, &o->src, o->payload_type);
	take_end(s, c, TRACK_CALLEE, &o->dst, o->payload_type);
	calls_schedule(s, c);
}
