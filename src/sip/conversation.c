/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* conversation.c: see conversation.h. */
#include "sip/conversation.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "sip/calls.h"
#include "sip/clean.h"
#include "sip/reduce.h"
#include "sip/transfer.h"

#define MEMBERS_MOST 64
#define INVITED      512 /* INVITEs remembered, at most: as many as calls */
#define INVITED_NS   (3 * NS_PER_S)
#define SESSION_HEX  32 /* RFC 7989, 5: a UUID without dashes */

/* An INVITE that a B2BUA may answer with one of its own. */
struct invited {
	int64_t at_ns;
	uint64_t call;
	struct digest through; /* host it was sent to, caller, callee */
};

bool conversation_init(struct signalling *s)
{
	s->ties = table_new(2, CALL_TIES * s->cfg.max_calls);
	s->invited_most = s->cfg.max_calls < INVITED ? s->cfg.max_calls : INVITED;
	s->invited = calloc(s->invited_most, sizeof *s->invited);
	return s->ties && s->invited;
}

void conversation_free(struct signalling *s)
{
	table_free(s->ties);
	free(s->invited);
}

/* ---- members --------------------------------------------------------------------------------- */

void conversation_begin(struct call *c)
{
	c->known.conversation = c->known.id;
	c->member_next = c;
}

/* The one before it in the circle: a conversation is small (MEMBERS_MOST). */
static struct call *member_before(struct call *c)
{
	struct call *m = c;
	while (m->member_next != c)
		m = m->member_next;
	return m;
}

static unsigned count_members(const struct call *c)
{
	unsigned n = 1;
	for (const struct call *m = c->member_next; m != c; m = m->member_next)
		n++;
	return n;
}

static bool is_member(const struct call *c, const struct call *of)
{
	const struct call *m = of;
	do {
		if (m == c)
			return true;
		m = m->member_next;
	} while (m != of);
	return false;
}

static void rename_members(struct signalling *s, struct call *c, const struct uuid *id)
{
	struct call *m = c;
	struct uuid name = *id;
	do {
		if (!uuid_equal(&m->known.conversation, &name)) {
			m->known.conversation = name;
			if (m->announced)
				calls_send(s, m);
		}
		m = m->member_next;
	} while (m != c);
}

/* Ids begin with their time (UUIDv7), so the lesser is the earlier. */
static const struct uuid *earlier(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, sizeof a->b) <= 0 ? a : b;
}

void conversation_join(struct signalling *s, struct call *a, struct call *b)
{
	if (is_member(a, b) || count_members(a) + count_members(b) > MEMBERS_MOST)
		return;
	struct uuid id = *earlier(&a->known.conversation, &b->known.conversation);
	struct call *a_last = member_before(a), *b_last = member_before(b);
	a_last->member_next = b;
	b_last->member_next = a;
	rename_members(s, a, &id);
}

void conversation_adopt(struct signalling *s, struct call *c, const struct uuid *ended)
{
	struct uuid id = *earlier(&c->known.conversation, ended);
	if (!uuid_is_nil(ended))
		rename_members(s, c, &id);
}

void conversation_join_id(struct signalling *s, struct call *c, struct span call_id)
{
	struct uuid ended;
	struct call *other = calls_find(s, span_trim(call_id), &ended);
	if (other)
		conversation_join(s, c, other);
	else
		conversation_adopt(s, c, &ended);
}

void conversation_leave(struct signalling *s, struct call *c)
{
	member_before(c)->member_next = c->member_next;
	c->member_next = c;
	for (unsigned i = 0; i < c->ties_count; i++)
		if (table_find(s->ties, c->ties[i].w) == call_index(c))
			(void)table_remove(s->ties, c->ties[i].w);
	c->ties_count = 0;
}

/* ---- what calls have in common ------------------------------------------------------------- */

static bool has_tie(const struct call *c, const struct digest *key)
{
	for (unsigned i = 0; i < c->ties_count; i++)
		if (digest_equal(&c->ties[i], key))
			return true;
	return false;
}

/* Another call that has it is of the same conversation; the newest is found by it from now on. */
static void tie(struct signalling *s, struct call *c, struct span text)
{
	struct digest key = calls_digest(s, text);
	if (digest_is_none(&key) || has_tie(c, &key) || c->ties_count == CALL_TIES)
		return;
	uint32_t at = table_find(s->ties, key.w);
	if (at != TABLE_NONE)
		conversation_join(s, c, s->calls[at]);
	c->ties = list_room(c->ties, c->ties_count, sizeof *c->ties);
	c->ties[c->ties_count++] = key;
	ASSERT(table_put(s->ties, key.w, call_index(c)));
}

/* 32 hex digits, and not the nil UUID that stands for "not known yet". */
static bool is_session(struct span half)
{
	bool nil = true;
	for (size_t i = 0; i < half.len; i++) {
		char c = half.p[i];
		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')))
			return false;
		nil &= c == '0';
	}
	return half.len == SESSION_HEX && !nil;
}

static void tie_session(struct signalling *s, struct call *c, struct span half)
{
	char lower[SESSION_HEX];
	half = span_trim(half);
	if (!is_session(half))
		return;
	for (size_t i = 0; i < SESSION_HEX; i++)
		lower[i] =
			half.p[i] >= 'A' && half.p[i] <= 'F' ? (char)(half.p[i] | 0x20) : half.p[i];
	tie(s, c, span_of(lower, SESSION_HEX));
}

/* "ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2" */
static void tie_sessions(struct signalling *s, struct call *c, struct span value)
{
	tie_session(s, c, span_until(&value, ';'));
	while (value.len > 0) {
		struct span remote = span_until(&value, ';');
		if (span_is(span_trim(span_until(&remote, '=')), "remote"))
			tie_session(s, c, remote);
	}
}

/* ---- through one host ---------------------------------------------------------------------- */

/* The digest of a host and both parties; absent when one of them is not known. */
static struct digest through(const struct signalling *s, const struct endpoint *host,
			     const struct sip_message *m)
{
	char text[sizeof host->addr + 2 * CLEAN_SAME];
	char from[CLEAN_SAME], to[CLEAN_SAME];
	clean_same(from, m->from.user);
	clean_same(to, m->to.user);
	if (from[0] == '\0' || to[0] == '\0' || endpoint_is_any(host))
		return (struct digest){ { 0, 0 } };
	memcpy(text, host->addr, sizeof host->addr);
	int n = snprintf(text + sizeof host->addr, sizeof text - sizeof host->addr, "%s %s", from,
			 to);
	return calls_digest(s, span_of(text, sizeof host->addr + (size_t)n));
}

static struct call *open_call(const struct signalling *s, uint64_t number)
{
	uint32_t index = (uint32_t)number;
	struct call *c = index < s->cfg.max_calls ? s->calls[index] : NULL;
	return c && c->number == number && c->known.state != CALL_ENDED ? c : NULL;
}

/* The oldest first leg that fits and has no second one yet, else the newest that fits: a B2BUA may ring several. */
static struct call *first_leg(const struct signalling *s, const struct digest *key, int64_t ts_ns)
{
	struct call *found = NULL;
	for (uint32_t i = 0; i < s->invited_most; i++) {
		const struct invited *v = &s->invited[(s->invited_next + i) % s->invited_most];
		if (!digest_equal(&v->through, key) || ts_ns - v->at_ns > INVITED_NS)
			continue;
		struct call *c = open_call(s, v->call);
		if (!c || c->known.state == CALL_TALKING)
			continue;
		found = c;
		if (!c->paired)
			break;
	}
	return found;
}

static void match_b2bua(struct signalling *s, struct call *c, const struct incoming *in)
{
	struct digest from_here = through(s, &in->d->src, in->m);
	struct digest to_there = through(s, &in->d->dst, in->m);
	struct call *first =
		digest_is_none(&from_here) ? NULL : first_leg(s, &from_here, in->ts_ns);
	if (first) {
		first->paired = true;
		c->other_leg = first->number;
		conversation_join(s, c, first);
	}
	if (digest_is_none(&to_there))
		return;
	s->invited[s->invited_next] =
		(struct invited){ .at_ns = in->ts_ns, .call = c->number, .through = to_there };
	s->invited_next = (s->invited_next + 1) % s->invited_most;
}

/* ---- messages -------------------------------------------------------------------------------- */

void conversation_find(struct signalling *s, struct call *c, const struct incoming *in)
{
	const struct sip_message *m = in->m;
	struct span replaces = m->replaces, join = m->join;
	if (replaces.len > 0)
		conversation_join_id(s, c, span_until(&replaces, ';'));
	if (join.len > 0)
		conversation_join_id(s, c, span_until(&join, ';'));
	tie_sessions(s, c, m->session_id);
	if (s->cfg.conversation_header && s->cfg.conversation_header[0])
		tie(s, c, reduce_find(in->d->payload, in->d->len, s->cfg.conversation_header));
	transfer_arrive(s, c, in);
	match_b2bua(s, c, in);
}

void conversation_message(struct signalling *s, struct call *c, const struct incoming *in)
{
	if (in->m->session_id.len > 0)
		tie_sessions(s, c, in->m->session_id);
	/* RFC 3891, 6.1: in a re-INVITE it means nothing; but a proxy's copy may be the one that has it. */
	if (in->m->request && in->m->method == METHOD_INVITE && in->m->replaces.len > 0 &&
	    in->marks.to == 0) {
		struct span replaces = in->m->replaces;
		conversation_join_id(s, c, span_until(&replaces, ';'));
	}
}
