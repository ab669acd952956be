/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* calls.c: struct signalling: every open call, found by its Call-ID.  Signalling thread.
 *
 *   message ─► parsed ─► Call-ID ─┬─ an open call ───► dialog.c
 *                                 ├─ a tombstone ────► nothing, or a new call
 *                                 └─ unknown ────────► INVITE: a new call; else stray
 *
 * A call that ends leaves a tombstone for 64 s, so that what is sent again of it creates
 * nothing; the call itself may linger a little, so that a remark still finds it.  Calls and
 * tombstones are bounded; a call is never evicted, the oldest tombstone is.
 * All time is packet time.  Messages of several capture threads or files may come a little out of
 * order; for a call they never do (to_call), so no hold, answer or end precedes what came before.
 */
#include "sip/calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "sip/conversation.h"
#include "sip/dialog.h"
#include "sip/exchange.h"
#include "sip/judgement.h"
#include "sip/orphan.h"
#include "sip/party.h"
#include "sip/state.h"
#include "sip/transfer.h"

#define TOMBSTONE_NS (64 * NS_PER_S)
#define LATEST_NS    (INT64_MAX / 2) /* so that adding a time-out cannot overflow */

struct signalling *signalling_new(const struct signalling_config *cfg)
{
	struct signalling *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->cfg = *cfg;
	s->first_ns = INT64_MAX;
	s->parser = message_parser_new(cfg->max_message);
	s->index = table_new(2, 2 * cfg->max_calls);
	ASSERT(cfg->max_calls > 0);
	s->calls = calloc(cfg->max_calls, sizeof(struct call *));
	s->free_indices = calloc(cfg->max_calls, sizeof *s->free_indices);
	s->tombstones = calloc(cfg->max_calls, sizeof *s->tombstones);
	s->lines_most = cfg->max_calls * MEDIA_EXPECTS;
	s->maps = payload_maps_new(s->lines_most); /* each line has one: never full */
	bool parts =
		judgement_init(s) && conversation_init(s) && transfer_init(s) && orphan_init(s);
	if (!s->parser || !s->index || !s->calls || !s->free_indices || !s->tombstones ||
	    !s->maps || !parts) {
		signalling_free(s);
		return NULL;
	}
	wheel_init(&s->wheel);
	for (uint32_t i = cfg->max_calls; i > 0; i--)
		s->free_indices[s->free_count++] = i - 1;
	return s;
}

/* What only an open call needs; once more does nothing. */
static void free_dialogs(struct signalling *s, struct call *c)
{
	exchange_free_all(s, c);
	list_free(&c->first_hop, c->hops);
	list_free(&c->first_leg, c->legs);
	list_free(&c->first_branch, c->branches);
	free(c->byes);
	free(c->ties);
	list_free(&c->first_seen, c->seen);
	c->hops = NULL;
	c->legs = NULL;
	c->branches = NULL;
	c->byes = NULL;
	c->ties = NULL;
	c->seen = NULL;
	c->hops_count = c->legs_count = c->branches_count = c->byes_count = c->ties_count = 0;
	c->seen_next = 0;
}

static void free_call(struct signalling *s, struct call *c)
{
	wheel_remove(&c->timer);
	free_dialogs(s, c);
	judgement_end(c);
	known_clear(&c->known);
	ASSERT(s->free_indices); /* without it no call was ever made */
	s->calls[call_index(c)] = NULL;
	s->free_indices[s->free_count++] = call_index(c);
	free(c);
}

void signalling_free(struct signalling *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; s->calls && i < s->cfg.max_calls; i++)
		if (s->calls[i])
			free_call(s, s->calls[i]);
	judgement_free(s);
	conversation_free(s);
	transfer_free(s);
	orphan_free(s);
	message_parser_free(s->parser);
	table_free(s->index);
	free(s->calls);
	free(s->free_indices);
	free(s->tombstones);
	intern_free(s->maps);
	free(s);
}

uint32_t signalling_calls(const struct signalling *s)
{
	return s->cfg.max_calls - s->free_count;
}

struct digest calls_digest(const struct signalling *s, struct span text)
{
	struct digest d = { { 0, 0 } };
	if (text.len > 0) {
		table_digest(s->index, text.p, text.len, d.w);
		d.w[0] |= digest_is_none(&d); /* never the absent one */
	}
	return d;
}

static uint64_t mark_of(const struct signalling *s, const char *text)
{
	uint64_t mark = calls_digest(s, span_of(text, strlen(text))).w[0];
	return mark == 0 && text[0] ? 1 : mark;
}

/* ---- tombstones ---------------------------------------------------------------------------- */

static void remove_tombstone(struct signalling *s, struct tombstone *t)
{
	if (t->used)
		(void)table_remove(s->index, t->key.w);
	t->used = false;
}

/* Those of more than 64 s ago go, and with `one` the oldest in any case. */
static void expire_tombstones(struct signalling *s, bool one)
{
	while (s->tombstones_used > 0) {
		struct tombstone *t = &s->tombstones[s->tombstone_oldest];
		if (!one && t->used && s->now_ns - t->ended_ns <= TOMBSTONE_NS)
			return;
		one = false;
		remove_tombstone(s, t);
		s->tombstone_oldest = (s->tombstone_oldest + 1) % s->cfg.max_calls;
		s->tombstones_used--;
	}
}

static void bury(struct signalling *s, const struct call *c)
{
	static const struct hop none;
	const struct hop *first = c->hops_count > 0 ? &c->hops[0] : &none;
	expire_tombstones(s, s->tombstones_used == s->cfg.max_calls);
	uint32_t i = s->tombstone_next;
	s->tombstones[i] = (struct tombstone){ .key = c->key,
					       .caller_tag = first->caller_tag,
					       .ended_ns = s->now_ns,
					       .cseq = first->cseq,
					       .used = true,
					       .challenged = c->challenged,
					       .conversation = c->known.conversation };
	s->tombstone_next = (i + 1) % s->cfg.max_calls;
	s->tombstones_used++;
	ASSERT(table_put(s->index, c->key.w, s->cfg.max_calls + i));
}

/* A Call-ID may be used again soon after; what was sent again has the old tag and CSeq. */
static bool is_reuse(const struct tombstone *t, const struct incoming *in)
{
	return in->m->request && in->m->method == METHOD_INVITE && in->marks.to == 0 &&
	       (t->caller_tag != in->marks.from || in->m->cseq > t->cseq);
}

/* ---- opening and closing -------------------------------------------------------------------- */

void calls_send(struct signalling *s, struct call *c)
{
	struct call_record r;
	c->changed = false;
	if (c->unlisted)
		return;
	judgement_tell(s, c, &r);
	s->cfg.sink.record(s->cfg.sink.ctx, c->number, &r);
	explicit_bzero(&r, sizeof r); /* it may hold keys */
}

void calls_tell(const struct signalling *s, const struct call *c, struct call_record *r)
{
	bool ended = c->known.state == CALL_ENDED;
	memset(r, 0, sizeof *r);
	known_tell(&c->known, r);
	r->start_us = us_of(c->start_ns);
	r->end_us = ended ? us_of(c->end_ns) : 0;
	r->until_us = ended ? us_of(c->until_ns) : 0;
	snprintf(r->policy, sizeof r->policy, "%s", judgement_policy_hash(s, c));
	snprintf(r->recorder, sizeof r->recorder, "%s", s->cfg.recorder);
	r->imported = s->cfg.imported;
	r->imported_us = s->cfg.imported_us;
	r->retain_from_call = s->cfg.retain_from_call;
}

bool calls_remark(struct call *c, const char *name)
{
	if (!known_remark(&c->known, name))
		return false;
	c->changed = true;
	return true;
}

struct call *calls_new(struct signalling *s, const struct digest *key, int64_t ts_ns)
{
	bool refused = s->cfg.overloaded && s->cfg.overloaded(s->cfg.sink.ctx);
	struct call *c = s->free_count > 0 && !refused ? calloc(1, sizeof *c) : NULL;
	if (!c)
		return NULL;
	c->number = ++s->serial << 32 | s->free_indices[--s->free_count];
	s->calls[call_index(c)] = c;
	c->key = *key;
	judgement_hold(s, c);
	c->start_ns = c->last_ns = ts_ns;
	c->known.id = uuid_v7(ts_ns);
	c->known.state = CALL_TRYING;
	conversation_begin(c);
	ASSERT(table_put(s->index, key->w, call_index(c)));
	count(s->cfg.counters, COUNT_CALLS);
	return c;
}

void calls_announce(struct signalling *s, struct call *c)
{
	struct store_open o;
	memset(&o, 0, sizeof o);
	o.call = c->number;
	o.id = c->known.id;
	o.start_us = us_of(c->start_ns);
	snprintf(o.retention, sizeof o.retention, "%s", c->retention);
	if (!c->unlisted)
		s->cfg.sink.open(s->cfg.sink.ctx, &o);
	c->announced = true;
	calls_send(s, c);
}

struct call *calls_open(struct signalling *s, const struct digest *key, const struct incoming *in)
{
	struct call *c = calls_new(s, key, in->ts_ns);
	if (!c) {
		count(s->cfg.counters, COUNT_SIP_CALL_LIMIT);
		return NULL;
	}
	party_fill(&c->known, in->m);
	if (in->marks.to != 0)
		calls_remark(c, "mid-call");
	judgement_begin(s, c, in);
	conversation_find(s, c, in);
	judgement_legs(s, c, in->ts_ns);
	calls_announce(s, c);
	return c;
}

/* The call may have ended earlier than was known at the time (an unanswered BYE): holds that began
 * afterwards are none, and the last one ends with the call. */
static void end_holds(struct known_extras *x, int64_t end_us)
{
	while (x->holds_count > 0 && x->holds[x->holds_count - 1].from_us >= end_us)
		x->holds_count--;
	if (x->holds_count == 0)
		return;
	int64_t *to_us = &x->holds[x->holds_count - 1].to_us;
	if (*to_us == 0 || *to_us > end_us)
		*to_us = end_us;
}

static void finish(struct signalling *s, struct call *c)
{
	if (!c->unlisted)
		s->cfg.sink.done(s->cfg.sink.ctx, c->number);
	free_call(s, c);
}

void calls_close(struct signalling *s, struct call *c)
{
	struct media_forget f;

	if (c->known.extras)
		end_holds(c->known.extras, us_of(c->end_ns));
	memset(&f, 0, sizeof f);
	f.call = c->number;
	f.all = true;
	f.until_ns = c->until_ns;
	s->cfg.sink.forget(s->cfg.sink.ctx, &f);
	calls_send(s, c);
	count(s->cfg.counters, COUNT_CALLS_ENDED);
	conversation_leave(s, c);
	if (c->orphan) {
		orphan_leave(s, c);
		(void)table_remove(s->index, c->key.w);
	} else {
		bury(s, c);
	}
	free_dialogs(s, c);
	if (s->cfg.linger_ns > 0)
		wheel_set(&s->wheel, &c->timer, s->now_ns + s->cfg.linger_ns);
	else
		finish(s, c);
}

/* The call of a number, or NULL when it has ended.  The number's low half is its index. */
static struct call *find_number(const struct signalling *s, uint64_t number)
{
	uint64_t index = number & UINT32_MAX;
	struct call *c = index < s->cfg.max_calls ? s->calls[index] : NULL;
	return c && c->number == number ? c : NULL;
}

/* ---- time ------------------------------------------------------------------------------------ */

static int64_t bye_due(const struct signalling *s, const struct bye *b)
{
	return b->at_ns + s->cfg.bye_timeout_ns;
}

/* An INVITE that meets no answer of any kind has failed after 64 × T1 = 32 s (RFC 3261, timer B); twice that, so that a flood of
 * INVITEs to nowhere does not keep calls out for the whole call time-out. */
#define NO_ANSWER_NS (64 * NS_PER_S)

static int64_t silence_allowed(const struct signalling *s, const struct call *c)
{
	if (c->orphan && ORPHAN_SILENCE_NS < s->cfg.call_timeout_ns)
		return ORPHAN_SILENCE_NS;
	bool nowhere = c->known.state == CALL_TRYING && !c->lives;
	return nowhere && NO_ANSWER_NS < s->cfg.call_timeout_ns ? NO_ANSWER_NS
								: s->cfg.call_timeout_ns;
}

void calls_schedule(struct signalling *s, struct call *c)
{
	int64_t due = c->last_ns + silence_allowed(s, c);
	int64_t line = exchange_next_due(c);
	if (line < due)
		due = line;
	if (c->pending.due_ns && c->pending.due_ns < due)
		due = c->pending.due_ns;
	for (unsigned i = 0; i < c->byes_count; i++)
		if (bye_due(s, &c->byes[i]) < due)
			due = bye_due(s, &c->byes[i]);
	/* A later time needs no move: the timer finds nothing due and sets itself again. */
	if (!c->timer.next || due < c->timer.due_ns)
		wheel_set(&s->wheel, &c->timer, due);
}

/* Everything of a call whose time has come. */
static void serve(struct signalling *s, struct call *c, int64_t now_ns)
{
	if (c->known.state == CALL_ENDED) {
		finish(s, c);
		return;
	}
	exchange_forget_due(s, c, now_ns);
	for (unsigned i = c->byes_count; i > 0; i--) {
		struct bye b = c->byes[i - 1];
		if (bye_due(s, &b) <= now_ns && !dialog_bye_over(s, c, &b))
			return;
	}
	struct event e = { .kind = EVENT_OVERDUE, .ts_ns = now_ns };
	if (c->pending.due_ns && c->pending.due_ns <= now_ns) {
		c->pending.due_ns = 0;
		if (!state_event(s, c, &e))
			return;
	}
	e.kind = EVENT_SILENT;
	if (c->last_ns + silence_allowed(s, c) <= now_ns && !state_event(s, c, &e))
		return;
	calls_schedule(s, c);
}

static int64_t sane_time(int64_t ts_ns)
{
	return ts_ns < 0 ? 0 : ts_ns > LATEST_NS ? LATEST_NS : ts_ns;
}

void signalling_tick(struct signalling *s, int64_t now_ns)
{
	struct wheel_item *item;
	now_ns = sane_time(now_ns);
	if (now_ns > s->now_ns)
		s->now_ns = now_ns;
	if (now_ns < s->first_ns)
		s->first_ns = now_ns;
	while ((item = wheel_due(&s->wheel, s->now_ns)))
		serve(s, (struct call *)((char *)item - offsetof(struct call, timer)), s->now_ns);
	expire_tombstones(s, false);
}

void signalling_alive(struct signalling *s, uint64_t call, int64_t ts_ns)
{
	struct call *c = find_number(s, call);
	ts_ns = sane_time(ts_ns);
	if (!c || c->known.state == CALL_ENDED)
		return;
	c->lives = true;
	if (ts_ns > c->last_ns)
		c->last_ns = ts_ns;
}

void signalling_remark(struct signalling *s, uint64_t call, const char *coverage)
{
	struct call *c = find_number(s, call);
	if (!c)
		return;
	calls_remark(c, coverage);
	if (c->changed)
		calls_send(s, c);
}

void signalling_finish(struct signalling *s, int64_t now_ns)
{
	signalling_tick(s, now_ns);
	for (uint32_t i = 0; i < s->cfg.max_calls; i++) {
		struct event e = { .kind = EVENT_CAPTURE_END, .ts_ns = s->now_ns };
		struct call *c = s->calls[i];
		if (!c)
			continue;
		if (c->known.state != CALL_ENDED) {
			exchange_forget_due(s, c, s->now_ns);
			ASSERT(!state_event(s, c, &e));
		}
		if (s->calls[i])
			finish(s, c);
	}
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Seen lately, byte for byte in what we read of it?  (A proxy's copy has another branch,
 * a rewritten one another body.) */
static bool is_retransmission(struct signalling *s, struct call *c, const struct sip_message *m)
{
	struct digest head = calls_digest(s, m->essence);
	struct digest body = calls_digest(s, span_of(m->body, m->body_len));
	uint64_t print = head.w[0] ^ (body.w[1] << 1);
	for (unsigned i = 0; i < CALL_SEEN && i < c->seen_next; i++)
		if (c->seen[i / PRINTS].of[i % PRINTS] == print)
			return true;
	unsigned at = c->seen_next++ % CALL_SEEN;
	if (c->seen_next <= CALL_SEEN && at % PRINTS == 0)
		c->seen = list_room_after(&c->first_seen, c->seen, at / PRINTS, sizeof *c->seen);
	c->seen[at / PRINTS].of[at % PRINTS] = print;
	return false;
}

static void keep_message(struct signalling *s, const struct call *c, const struct incoming *in)
{
	if (!c->keep_signalling || !s->cfg.sink.message || !judgement_keeps(c, in))
		return;
	const struct signalling_record m = { .ts_us = us_of(in->ts_ns),
					     .src = in->d->src,
					     .dst = in->d->dst,
					     .transport = in->transport,
					     .len = in->d->len,
					     .bytes = in->d->payload };
	s->cfg.sink.message(s->cfg.sink.ctx, c->number, &m);
}

static void to_call(struct signalling *s, struct call *c, const struct incoming *message)
{
	uint64_t number = c->number;
	struct incoming ordered = *message, *in = &ordered;
	if (in->ts_ns < c->heard_ns)
		in->ts_ns = c->heard_ns;
	c->heard_ns = in->ts_ns;
	if (in->ts_ns > c->last_ns)
		c->last_ns = in->ts_ns;
	c->lives |= !in->m->request;
	judgement_message(s, c, in);
	keep_message(s, c, message);
	if (is_retransmission(s, c, in->m)) {
		count(s->cfg.counters, COUNT_SIP_RETRANSMITTED);
		return;
	}
	conversation_message(s, c, in);
	judgement_legs(s, c, in->ts_ns);
	dialog_message(s, c, in);
	c = find_number(s, number);
	if (!c || c->known.state == CALL_ENDED)
		return;
	if (c->changed)
		calls_send(s, c);
	calls_schedule(s, c);
}

/* The answer to an INVITE that passed where the mirror does not look, or before recording began. */
static bool tells_of_call(const struct incoming *in)
{
	const struct sip_message *m = in->m;
	return !m->request && m->method == METHOD_INVITE && m->status > 100 && m->status < 300 &&
	       m->body_len > 0 && in->marks.from != 0 && in->marks.to != 0;
}

static struct call *open_by(struct signalling *s, const struct digest *key,
			    const struct incoming *in)
{
	struct datagram invite = *in->d;
	struct incoming seen = *in;
	if (!in->m->request) { /* it goes the other way */
		invite.src = in->d->dst;
		invite.dst = in->d->src;
		seen.d = &invite;
	}
	return calls_open(s, key, &seen);
}

/* Of no call: an INVITE begins one, or its answer; what can only be part of one is stray. */
static void to_nobody(struct signalling *s, const struct digest *key, const struct incoming *in,
		      const struct uuid *before)
{
	const struct sip_message *m = in->m;
	bool dialog = method_kind(m->method) == SIP_DIALOG || m->method == METHOD_INFO;
	if ((m->request && m->method == METHOD_INVITE) || tells_of_call(in)) {
		struct call *c = open_by(s, key, in);
		if (c && before)
			conversation_adopt(s, c, before);
		if (c)
			to_call(s, c, in);
		return;
	}
	/* REFER may stand outside of dialogs, as may its responses. */
	if (dialog && (m->method != METHOD_REFER || in->marks.to != 0))
		count(s->cfg.counters, COUNT_SIP_STRAY);
}

static void to_tombstone(struct signalling *s, struct tombstone *t, const struct digest *key,
			 const struct incoming *in)
{
	struct uuid before = { { 0 } };
	if (is_reuse(t, in)) {
		if (t->challenged) /* its caller was slow to try again */
			before = t->conversation;
		remove_tombstone(s, t);
		to_nobody(s, key, in, &before);
	} else if (in->m->request && in->m->method == METHOD_INVITE) {
		count(s->cfg.counters, COUNT_SIP_RETRANSMITTED);
	}
}

struct call *calls_find(struct signalling *s, struct span call_id, struct uuid *conversation)
{
	struct digest key = calls_digest(s, call_id);
	uint32_t at = digest_is_none(&key) ? TABLE_NONE : table_find(s->index, key.w);
	memset(conversation, 0, sizeof *conversation);
	if (at == TABLE_NONE)
		return NULL;
	if (at < s->cfg.max_calls)
		return s->calls[at];
	*conversation = s->tombstones[at - s->cfg.max_calls].conversation;
	return NULL;
}

static void deliver(struct signalling *s, const struct incoming *in)
{
	struct digest key = calls_digest(s, in->m->call_id_whole);
	uint32_t at = table_find(s->index, key.w);
	if (at < s->cfg.max_calls) {
		const struct bye *b = dialog_begins_anew(s->calls[at], in);
		struct bye last = b ? *b : (struct bye){ 0 };
		if (b && !dialog_bye_over(s, s->calls[at], &last))
			at = table_find(s->index, key.w);
	}
	if (at == TABLE_NONE)
		to_nobody(s, &key, in, NULL);
	else if (at < s->cfg.max_calls)
		to_call(s, s->calls[at], in);
	else
		to_tombstone(s, &s->tombstones[at - s->cfg.max_calls], &key, in);
}

static bool parse(struct signalling *s, const struct datagram *d)
{
	struct counters *n = s->cfg.counters;
	if (d->wire_len > s->cfg.max_message || d->len > s->cfg.max_message) {
		count(n, COUNT_SIP_OVERSIZE);
		return false;
	}
	if (d->len < d->wire_len)
		count(n, COUNT_SIP_TRUNCATED);
	switch (message_parse(s->parser, d->payload, d->len, &s->message)) {
	case MESSAGE_EMPTY: return false;
	case MESSAGE_MALFORMED: count(n, COUNT_SIP_MALFORMED); return false;
	case MESSAGE_REPAIRED: count(n, COUNT_SIP_REPAIRED); break;
	case MESSAGE_PARSED: break;
	}
	count(n, COUNT_SIP_MESSAGES);
	return true;
}

void signalling_message(struct signalling *s, const struct datagram *d)
{
	signalling_message_over(s, d, TRANSPORT_UDP);
}

void signalling_message_over(struct signalling *s, const struct datagram *d, uint8_t transport)
{
	const struct sip_message *m = &s->message;
	signalling_tick(s, d->ts_ns);
	if (!parse(s, d))
		return;
	deliver(s, &(struct incoming){ .m = m,
				       .marks = { .from = mark_of(s, m->from_tag),
						  .to = mark_of(s, m->to_tag),
						  .branch = mark_of(s, m->branch) },
				       .ts_ns = sane_time(d->ts_ns),
				       .d = d,
				       .transport = transport });
}
