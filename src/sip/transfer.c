/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* transfer.c: see transfer.h. */
#include "sip/transfer.h"

#include <stdio.h>
#include <stdlib.h>

#include "sip/calls.h"
#include "sip/clean.h"
#include "sip/conversation.h"

#define REFERRALS   512 /* at most: as many as calls */
#define REFERRED_NS (32 * NS_PER_S)
#define REFERRED_BY sizeof((struct call_record *)0)->referred_by
#define REFER_MOST  1024 /* bytes of a Refer-To that are read */

struct referral {
	int64_t at_ns; /* 0: free */
	uint64_t call;
	struct uuid conversation; /* of that call, where it has ended meanwhile */
	struct endpoint to;       /* where the REFER was sent */
	char target[CLEAN_SAME], referrer[CLEAN_SAME], referee[CLEAN_SAME];
	char referred_by[REFERRED_BY];
};

bool transfer_init(struct signalling *s)
{
	s->referrals_most = s->cfg.max_calls < REFERRALS ? s->cfg.max_calls : REFERRALS;
	s->referrals = calloc(s->referrals_most, sizeof *s->referrals);
	return s->referrals != NULL;
}

void transfer_free(struct signalling *s)
{
	free(s->referrals);
}

/* "<sip:c@x?Replaces=call%40y%3Bto-tag%3D1%3Bfrom-tag%3D2>": the headers of a URI (RFC 3261, 19.1.1). */
static void join_replaced(struct signalling *s, struct call *c, struct span refer_to)
{
	char plain[REFER_MOST];
	(void)span_until(&refer_to, '?');
	refer_to = span_until(&refer_to, '>');
	while (refer_to.len > 0) {
		struct span value = span_until(&refer_to, '&');
		if (!span_is(span_until(&value, '='), "Replaces"))
			continue;
		struct span replaces = clean_unescape(plain, sizeof plain, value);
		conversation_join_id(s, c, span_until(&replaces, ';'));
	}
}

void transfer_refer(struct signalling *s, struct call *c, const struct incoming *in, enum track by)
{
	struct referral *f = &s->referrals[s->referrals_next];
	char target[128];
	bool caller = by == TRACK_CALLER;

	if (in->m->refer_to.len == 0)
		return;
	join_replaced(s, c, in->m->refer_to);
	const char *referrer = known_text(&c->known, caller ? KNOWN_FROM : KNOWN_TO);
	const char *referee = known_text(&c->known, caller ? KNOWN_TO : KNOWN_FROM);
	clean_uri_user(target, sizeof target, in->m->refer_to);
	if (target[0] == '\0')
		return;
	s->referrals_next = (s->referrals_next + 1) % s->referrals_most;
	*f = (struct referral){ .at_ns = in->ts_ns,
				.call = c->number,
				.conversation = c->known.conversation,
				.to = in->d->dst };
	clean_same(f->target, target);
	clean_same(f->referrer, referrer);
	clean_same(f->referee, referee);
	snprintf(f->referred_by, sizeof f->referred_by, "%s", referrer);
}

static bool same(const char *a, const char *b)
{
	return a[0] != '\0' && strcmp(a, b) == 0;
}

/* Whom an INVITE names, in the form that referrals are compared in. */
struct named {
	char to[CLEAN_SAME], target[CLEAN_SAME], from[CLEAN_SAME], by[CLEAN_SAME];
};

/* The target fits; and the caller is the one who was asked, or it names who asked, or it comes from where the REFER went (a
 * PBX calls in its own name). */
static bool fits(const struct referral *f, const struct call *c, const struct incoming *in,
		 const struct named *n)
{
	if (f->at_ns == 0 || in->ts_ns - f->at_ns > REFERRED_NS || f->call == c->number)
		return false;
	if (!same(f->target, n->to) && !same(f->target, n->target))
		return false;
	bool from_there = !endpoint_is_any(&f->to) &&
			  memcmp(f->to.addr, in->d->src.addr, sizeof f->to.addr) == 0;
	return from_there || same(f->referee, n->from) || same(f->referrer, n->by) ||
	       same(f->referrer, n->from);
}

static void belong(struct signalling *s, struct call *c, const struct referral *f)
{
	uint32_t index = (uint32_t)f->call;
	struct call *first = s->calls[index];
	if (first && first->number == f->call && first->known.state != CALL_ENDED)
		conversation_join(s, c, first);
	else
		conversation_adopt(s, c, &f->conversation);
}

void transfer_arrive(struct signalling *s, struct call *c, const struct incoming *in)
{
	char by[REFERRED_BY];
	struct named n;
	clean_uri_user(by, sizeof by, in->m->referred_by);
	clean_same(n.to, in->m->to.user);
	clean_same(n.target, in->m->target);
	clean_same(n.from, in->m->from.user);
	clean_same(n.by, by);
	for (uint32_t i = 1; i <= s->referrals_most; i++) {
		const struct referral *f =
			&s->referrals[(s->referrals_next + s->referrals_most - i) %
				      s->referrals_most];
		if (f->at_ns == 0)
			break;
		if (!fits(f, c, in, &n))
			continue;
		belong(s, c, f);
		if (by[0] == '\0')
			snprintf(by, sizeof by, "%s", f->referred_by);
		break;
	}
	if (by[0] != '\0')
		known_set_text(&c->known, KNOWN_REFERRED_BY, by);
}
