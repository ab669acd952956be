/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* judgement.c: see judgement.h.  Signalling thread. */
#include "sip/judgement.h"

#include <stdio.h>
#include <stdlib.h>

#include "sip/calls.h"
#include "sip/exchange.h"
#include "sip/rules.h"

/* A policy, and how many hold it: the calls that began under it, and signalling while it is in force. */
struct held_policy {
	struct policy policy;
	uint32_t holders;
};

static void let_go(struct held_policy *h)
{
	if (h && --h->holders == 0)
		free(h);
}

bool signalling_policy(struct signalling *s, const struct policy *p)
{
	struct held_policy *h = malloc(sizeof *h);
	if (!h)
		return false;
	h->policy = *p;
	h->holders = 1;
	let_go(s->policy);
	s->policy = h;
	s->cfg.dtmf = p->dtmf;
	s->cfg.orphans = p->orphans;
	s->cfg.keep_signalling = p->signalling;
	s->cfg.retention = h->policy.classes[h->policy.default_class].name;
	return true;
}

bool judgement_init(struct signalling *s)
{
	return !s->cfg.policy || signalling_policy(s, s->cfg.policy);
}

void judgement_free(struct signalling *s)
{
	let_go(s->policy);
	s->policy = NULL;
}

/* ---- what may be told ------------------------------------------------------------------------------ */

static void remark(struct call_record *r, const char *coverage)
{
	if (r->coverage_count < COVERAGE_MAX)
		snprintf(r->coverage[r->coverage_count++], sizeof r->coverage[0], "%s", coverage);
}

/* Which call it is, under which policy and recorder: nothing of who spoke. */
static void copy_nameless(struct call_record *to, const struct call_record *from)
{
	to->id = to->conversation = from->id;
	memcpy(to->policy, from->policy, sizeof to->policy);
	memcpy(to->recorder, from->recorder, sizeof to->recorder);
	to->imported = from->imported;
	to->imported_us = from->imported_us;
	to->retain_from_call = from->retain_from_call;
}

/* How far the call has come, and when. */
static void copy_times(struct call_record *to, const struct call_record *from)
{
	to->state = from->state;
	to->outcome = from->outcome;
	to->start_us = from->start_us;
	to->ring_us = from->ring_us;
	to->answer_us = from->answer_us;
	to->end_us = from->end_us;
	to->until_us = from->until_us;
}

/* All that is known, but for lines that are never to be named. */
static void tell(const struct signalling *s, const struct call *c, struct call_record *r)
{
	calls_tell(s, c, r);
	if (c->policy && r->referred_by[0] && rules_is_never(&c->policy->policy, r->referred_by))
		memset(r->referred_by, 0, sizeof r->referred_by);
}

static struct call_record *shown(const struct call *c)
{
	return c->known.extras ? c->known.extras->shown : NULL;
}

void judgement_tell(const struct signalling *s, const struct call *c, struct call_record *r)
{
	struct call_record *instead = shown(c);

	tell(s, c, r);
	if (!instead)
		return;
	copy_times(instead, r);
	*r = *instead;
}

bool judgement_keeps(const struct call *c, const struct incoming *in)
{
	if (judgement_discards(c))
		return false;
	return !c->policy || !rules_mention_never(&c->policy->policy, in);
}

/* ---- exclusion --------------------------------------------------------------------------------------- */

/* From now on the sink hears of the call by `shown` alone.  Where there is no memory for it, better stop than tell a
 * name. */
static void exclude(struct signalling *s, struct call *c, bool whole)
{
	c->excluded = true;
	count(s->cfg.counters, COUNT_CALLS_EXCLUDED);
	struct call_record *instead = calloc(1, sizeof *instead);
	ASSERT(instead);
	known_extras(&c->known)->shown = instead;
	struct call_record known;
	tell(s, c, &known);
	if (whole)
		copy_nameless(instead, &known);
	else
		*instead = known;
	explicit_bzero(&known, sizeof known); /* it may hold keys */
	remark(instead, whole ? "excluded" : "excluded-part");
	c->changed = true;
}

/* As a whole while it rings, else from here on. */
static void exclude_from(struct signalling *s, struct call *c, int64_t ts_ns)
{
	bool whole = c->known.state == CALL_TRYING || c->known.state == CALL_RINGING;
	if (judgement_discards(c))
		return;
	exclude(s, c, whole);
	exchange_discard(s, c, whole ? c->start_ns - 1 : ts_ns);
}

void judgement_message(struct signalling *s, struct call *c, const struct incoming *in)
{
	if (c->policy && !judgement_discards(c) && rules_name_never(&c->policy->policy, in))
		exclude_from(s, c, in->ts_ns);
}

/* One continues the other, or they share both halves of a Session-ID (RFC 7989): one half a party may have in two calls. */
static bool are_legs(const struct call *a, const struct call *b)
{
	unsigned shared = 0;
	if (a->other_leg == b->number || b->other_leg == a->number)
		return true;
	for (unsigned i = 0; i < a->ties_count; i++)
		for (unsigned k = 0; k < b->ties_count; k++)
			shared += digest_equal(&a->ties[i], &b->ties[k]);
	return shared >= 2;
}

void judgement_legs(struct signalling *s, struct call *c, int64_t ts_ns)
{
	for (struct call *m = c->member_next; m != c; m = m->member_next) {
		if (m->excluded == c->excluded || !are_legs(c, m))
			continue;
		struct call *late = m->excluded ? c : m;
		exclude_from(s, late, ts_ns);
		if (late->announced)
			calls_send(s, late);
	}
}

void judgement_hold(struct signalling *s, struct call *c)
{
	c->keep_signalling = s->cfg.keep_signalling;
	c->dtmf = s->cfg.dtmf;
	c->retention = s->cfg.retention;
	c->policy = s->policy;
	if (c->policy)
		c->policy->holders++;
}

const char *judgement_policy_hash(const struct signalling *s, const struct call *c)
{
	return c->policy ? c->policy->policy.hash : s->cfg.policy_hash;
}

void judgement_begin(struct signalling *s, struct call *c, const struct incoming *invite)
{
	struct rules_verdict v;
	if (!c->policy)
		return;
	rules_judge(&c->policy->policy, invite, &v);
	c->known.direction = (uint8_t)v.direction;
	c->retention = v.retention;
	if (v.action == POLICY_SKIP) {
		c->unlisted = true;
		c->number |= CALL_UNWRITTEN;
		count(s->cfg.counters, COUNT_CALLS_NOT_RECORDED);
	} else if (v.action == POLICY_NEVER) {
		exclude(s, c, true);
	}
}

void judgement_end(struct call *c)
{
	if (shown(c)) {
		explicit_bzero(shown(c), sizeof *shown(c)); /* it may hold keys */
		free(shown(c));
		c->known.extras->shown = NULL;
	}
	let_go(c->policy);
	c->policy = NULL;
}
