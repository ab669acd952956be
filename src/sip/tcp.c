/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* tcp.c: segments in order of sequence number, to the framing of what a direction carries.
 *
 *   segment ─► in order? ─► opening ─► framing or websocket ─► message
 *                 └► held behind a hole
 *
 * Every segment ends exactly once: taken, a duplicate, dropped by reason, or held.
 */
#include "sip/tcp.h"

#include <stdlib.h>

#include "base/pages.h"
#include "base/table.h"
#include "sip/framing.h"
#include "sip/websocket.h"

#define BYTES_A_FLOW  1024 /* of the table's memory: the flow, its key, and its share of blocks */
#define WINDOW        (1 << 20) /* bytes a segment may be ahead or behind */
#define SEGMENT_MOST  65535
#define OPENING_BYTES 8192 /* kept to tell what a direction carries */

enum flow_kind { FLOW_UNTOLD, FLOW_SIP, FLOW_WEBSOCKET, FLOW_TLS };

/* One direction of a connection. */
struct flow {
	struct link used;  /* among the proven or the others, or free */
	struct link holds; /* likewise, while it holds blocks */
	struct link hole;  /* while segments wait behind a hole */
	struct endpoint src, dst;
	int64_t touched_ns, hole_ns;
	int64_t stream_ns; /* newest byte taken */
	uint32_t next;     /* sequence number of the byte to come */
	uint32_t isn;      /* of the SYN that began it */
	uint32_t held_blocks;
	struct block *held;  /* owned: sorted, without overlap, all behind `next` */
	struct rope opening; /* owned: FLOW_UNTOLD: what has come */
	struct framing framing;
	struct websocket websocket;
	uint8_t kind; /* enum flow_kind */
	bool has_isn;
	bool proven; /* has carried a whole message */
};

struct tcp {
	struct table *table; /* owned */
	struct pool *blocks; /* owned */
	struct flow *flows;  /* owned */
	size_t flows_bytes;
	struct link used[2], holds[2]; /* [proven] */
	struct link unused, holes;
	uint64_t held;
	struct stream_room room;
	struct reassembly_sink sink;
	uint16_t tls_ports[REASSEMBLY_PORTS];
	struct counters *counters; /* borrowed */
	uint8_t *scratch;          /* owned: a message */
	uint8_t opening[OPENING_BYTES + SEGMENT_MOST];
};

/* What a message needs on its way out. */
struct giving {
	struct tcp *tcp;
	struct flow *flow;
};

/* ---- flows ----------------------------------------------------------------------------------- */

static void key_of(const struct endpoint *src, const struct endpoint *dst, uint64_t key[6])
{
	memcpy(key, src, sizeof *src);
	memcpy(key + 3, dst, sizeof *dst);
}

static void note_use(struct tcp *t, struct flow *f, int64_t ts_ns)
{
	f->touched_ns = ts_ns;
	link_front(&t->used[f->proven], &f->used);
	if (f->held || f->opening.len || f->framing.text.len || f->websocket.text.len)
		link_front(&t->holds[f->proven], &f->holds);
	else
		link_out(&f->holds);
}

/* Give back all it holds; it looks for a new beginning. */
static void strip(struct tcp *t, struct flow *f)
{
	uint32_t segments = blocks_free(t->blocks, f->held);
	count_add(t->counters, COUNT_TCP_EVICTED, segments);
	t->held -= segments;
	f->held = NULL;
	f->held_blocks = 0;
	rope_clear(t->blocks, &f->opening);
	rope_clear(t->blocks, &f->framing.text);
	rope_clear(t->blocks, &f->websocket.text);
	f->framing = (struct framing){ 0 };
	f->websocket = (struct websocket){ 0 };
	link_out(&f->holds);
	link_out(&f->hole);
}

static void flow_forget(struct tcp *t, struct flow *f)
{
	uint64_t key[6];
	strip(t, f);
	key_of(&f->src, &f->dst, key);
	table_remove(t->table, key);
	link_front(&t->unused, &f->used);
}

static struct flow *flow_find(struct tcp *t, const struct piece *p)
{
	uint64_t key[6];
	key_of(&p->src, &p->dst, key);
	uint32_t place = table_find(t->table, key);
	return place == TABLE_NONE ? NULL : &t->flows[place];
}

static struct flow *free_place(struct tcp *t)
{
	struct link *l = link_last(&t->unused);
	if (l)
		return link_of(l, struct flow, used);
	l = link_last(&t->used[false]);
	if (!l)
		l = link_last(&t->used[true]);
	ASSERT(l);
	struct flow *f = link_of(l, struct flow, used);
	count(t->counters, COUNT_TCP_FLOWS_EVICTED);
	flow_forget(t, f);
	return f;
}

static void begin(struct flow *f, uint32_t next, int64_t ts_ns)
{
	f->kind = FLOW_UNTOLD;
	f->next = next;
	f->has_isn = false;
	f->touched_ns = f->stream_ns = ts_ns;
}

static struct flow *flow_new(struct tcp *t, const struct piece *p, uint32_t next)
{
	uint64_t key[6];
	struct flow *f = free_place(t);
	link_out(&f->used);
	*f = (struct flow){ .src = p->src, .dst = p->dst };
	key_of(&f->src, &f->dst, key);
	ASSERT(table_put(t->table, key, (uint32_t)(f - t->flows)));
	begin(f, next, p->ts_ns);
	link_front(&t->used[false], &f->used);
	return f;
}

/* Whoever holds blocks and was least recently used gives them; not `mine`, which is about to take them. */
static void make_room(struct tcp *t, struct flow *mine, size_t blocks)
{
	link_out(&mine->holds);
	while (pool_left(t->blocks) < blocks) {
		struct link *oldest = link_last(&t->holds[false]);
		if (!oldest)
			oldest = link_last(&t->holds[true]);
		ASSERT(oldest); /* one flow alone cannot fill the pool */
		struct flow *f = link_of(oldest, struct flow, holds);
		count(t->counters, COUNT_TCP_FLOWS_EVICTED);
		strip(t, f);
		if (f->kind == FLOW_UNTOLD)
			flow_forget(t, f);
		/* The rest of what was begun is still to come. */
		f->framing.lost = f->websocket.lost = true;
	}
}

/* ---- the stream ------------------------------------------------------------------------------ */

static void on_message(void *ctx, const uint8_t *text, uint32_t len, uint32_t wire_len)
{
	struct giving *g = ctx;
	struct datagram d = { .ts_ns = g->flow->stream_ns,
			      .src = g->flow->src,
			      .dst = g->flow->dst,
			      .payload = text,
			      .len = len,
			      .wire_len = wire_len };
	count(g->tcp->counters,
	      g->flow->kind == FLOW_SIP ? COUNT_TCP_MESSAGES : COUNT_WEBSOCKET_MESSAGES);
	g->flow->proven = true;
	g->tcp->sink.message(g->tcp->sink.ctx, &d);
}

static bool is_tls_port(const struct tcp *t, uint16_t port)
{
	for (unsigned i = 0; i < REASSEMBLY_PORTS && t->tls_ports[i]; i++)
		if (t->tls_ports[i] == port)
			return true;
	return false;
}

static void push_told(struct tcp *t, struct flow *f, const uint8_t *p, size_t n)
{
	struct giving g = { t, f };
	struct stream_out out = { &g, on_message };
	if (f->kind == FLOW_SIP)
		framing_push(&f->framing, &t->room, &out, p, n);
	else if (f->kind == FLOW_WEBSOCKET)
		websocket_push(&f->websocket, &t->room, &out, p, n);
}

static void tell_not_sip(struct tcp *t, const struct endpoint *src, const struct endpoint *dst)
{
	t->sink.not_sip(t->sink.ctx, src, dst);
}

/* What it carries is known: on with what has come.  False: nothing of ours. */
static bool told(struct tcp *t, struct flow *f, enum opening o, const uint8_t *p, uint32_t n)
{
	switch (o) {
	case OPENING_SIP: f->kind = FLOW_SIP; break;
	case OPENING_HANDSHAKE:
	case OPENING_WEBSOCKET: f->kind = FLOW_WEBSOCKET; break;
	case OPENING_TLS:
		count(t->counters, COUNT_SIP_TLS);
		f->kind = FLOW_TLS;
		tell_not_sip(t, &f->src, &f->dst); /* no more of it is wanted */
		return true;
	case OPENING_NONE:
	case OPENING_MORE: return false;
	}
	count(t->counters, COUNT_TCP_FLOWS);
	push_told(t, f, p, n);
	return true;
}

/* Bytes in order.  False: it carries nothing of ours. */
static bool push(struct tcp *t, struct flow *f, const uint8_t *p, uint32_t n, int64_t ts_ns)
{
	uint32_t skip;
	if (ts_ns > f->stream_ns)
		f->stream_ns = ts_ns;
	if (f->kind != FLOW_UNTOLD) {
		push_told(t, f, p, n);
		return true;
	}
	rope_append(t->blocks, &f->opening, p, n);
	uint32_t len = f->opening.len;
	rope_copy(&f->opening, t->opening);
	enum opening o = opening_of(t->opening, len, is_tls_port(t, f->dst.port), &skip);
	if (o == OPENING_MORE && len < OPENING_BYTES)
		return true;
	rope_clear(t->blocks, &f->opening);
	if (o ==
	    OPENING_NONE) { /* perhaps behind something, as a proxy's line or the end of a message */
		skip = opening_within(t->opening, len);
		o = skip < len ? OPENING_SIP : o;
	}
	return told(t, f, o, t->opening + skip, len - skip);
}

/* `n` bytes will not come.  What could not be told by what came before may be by what comes next. */
static void miss(struct tcp *t, struct flow *f, uint32_t n)
{
	struct giving g = { t, f };
	struct stream_out out = { &g, on_message };
	if (f->kind == FLOW_SIP)
		framing_missing(&f->framing, &t->room, &out, n);
	else if (f->kind == FLOW_WEBSOCKET)
		websocket_missing(&f->websocket, &t->room, &out, n);
	else
		rope_clear(t->blocks, &f->opening);
}

/* A run at `next`: its captured bytes, and those that were cut. */
static bool take_run(struct tcp *t, struct flow *f, const struct run *r)
{
	bool ours = true;
	if (r->len)
		ours = push(t, f, r->bytes, r->len, r->ts_ns);
	if (ours && r->wire > r->len)
		miss(t, f, r->wire - r->len);
	f->next += r->wire;
	return ours;
}

/* ---- out of order ---------------------------------------------------------------------------- */

static bool before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* A held block whose turn has come, or what of it is new.  Its bytes are copied before it is given back. */
static bool take_block(struct tcp *t, struct flow *f, struct block *b)
{
	struct run r = { b->at, b->bytes, b->len, b->wire, b->ts_ns };
	uint32_t old = f->next - b->at;
	bool ours = true;

	if (b->last) {
		t->held--;
		count(t->counters, COUNT_TCP_TAKEN);
	}
	if (old < r.wire) {
		r = run_part(&r, f->next, r.wire - old);
		make_room(t, f, blocks_for(r.len));
		ours = take_run(t, f, &r);
	}
	pool_put(t->blocks, b);
	return ours;
}

/* What was held and is in order now goes on. */
static bool take_held(struct tcp *t, struct flow *f)
{
	bool ours = true;
	while (ours && f->held && !before(f->next, f->held->at)) {
		struct block *b = f->held;
		f->held = b->next;
		f->held_blocks--;
		ours = take_block(t, f, b);
	}
	if (!f->held)
		link_out(&f->hole);
	return ours;
}

/* Nobody waits for the hole any longer. */
static bool pass_hole(struct tcp *t, struct flow *f)
{
	uint32_t n = f->held->at - f->next;
	count(t->counters, COUNT_TCP_GAPS);
	f->next += n;
	miss(t, f, n);
	bool ours = take_held(t, f);
	f->hole_ns = f->stream_ns;
	return ours;
}

/* Keep of a segment what is not there yet: the first copy counts. */
static bool hold(struct tcp *t, struct flow *f, const struct run *r)
{
	struct block **link = &f->held, **end_of = NULL;
	uint32_t at = r->at, end = r->at + r->wire;
	size_t left = pool_left(t->blocks);

	while (before(at, end)) {
		while (*link && !before(at, block_end(*link)))
			link = &(*link)->next;
		if (*link && !before(at, (*link)->at)) {
			at = block_end(*link);
			continue;
		}
		uint32_t stop = *link && before((*link)->at, end) ? (*link)->at : end;
		struct run part = run_part(r, at, stop - at);
		if (pool_left(t->blocks) < blocks_for(part.len))
			break; /* crumbs between crumbs: the rest is as if it had not come */
		struct block **behind = blocks_insert(t->blocks, link, &part);
		end_of = link;
		while (&(*end_of)->next != behind)
			end_of = &(*end_of)->next;
		link = behind;
		at = stop;
	}
	f->held_blocks += (uint32_t)(left - pool_left(t->blocks));
	if (end_of)
		(*end_of)->last = true;
	return end_of != NULL;
}

static void hold_segment(struct tcp *t, struct flow *f, const struct run *r)
{
	bool first = !f->held;
	make_room(t, f, 2 * blocks_for(r->len));
	if (!hold(t, f, r)) {
		count(t->counters, COUNT_TCP_DUPLICATE);
		return;
	}
	t->held++;
	if (first) {
		f->hole_ns = r->ts_ns;
		link_front(&t->holes, &f->hole);
	}
}

/* ---- segments ---------------------------------------------------------------------------------- */

static bool take_in_order(struct tcp *t, struct flow *f, const struct run *r)
{
	make_room(t, f, blocks_for(r->len));
	bool ours = take_run(t, f, r);
	count(t->counters, ours ? COUNT_TCP_TAKEN : COUNT_TCP_NOT_SIP);
	return ours && take_held(t, f);
}

/* Of a flow that is known, or has just been. */
static void segment_of(struct tcp *t, struct flow *f, struct run r)
{
	int32_t ahead = (int32_t)(r.at - f->next);
	uint32_t old = ahead < 0 ? (uint32_t)-ahead : 0;
	bool ours = true;

	if (old >= r.wire) {
		count(t->counters, COUNT_TCP_DUPLICATE);
	} else if (ahead > 0) {
		hold_segment(t, f, &r);
	} else {
		r = run_part(&r, f->next, r.wire - old);
		ours = take_in_order(t, f, &r);
	}
	while (ours && f->held_blocks > TCP_HELD_BLOCKS)
		ours = pass_hole(t, f);
	if (ours) {
		note_use(t, f, r.ts_ns);
	} else {
		tell_not_sip(t, &f->src, &f->dst);
		flow_forget(t, f);
	}
}

/* Nothing is known of it: does it begin, or have in it, something of ours? */
static void unknown_segment(struct tcp *t, const struct piece *p, struct run r)
{
	uint32_t skip;
	enum opening o = opening_of(r.bytes, r.len, is_tls_port(t, p->dst.port), &skip);
	if (o == OPENING_NONE) {
		uint32_t at = opening_within(r.bytes, r.len);
		if (at == r.len) {
			count(t->counters, COUNT_TCP_NOT_SIP);
			tell_not_sip(t, &p->src, &p->dst);
			return;
		}
		r = run_part(&r, r.at + at, r.wire - at);
	}
	segment_of(t, flow_new(t, p, r.at), r);
}

/* A connection begins (again). */
static void syn(struct tcp *t, struct flow *f, const struct piece *p)
{
	if (f && f->has_isn && f->isn == p->sequence)
		return; /* it came twice */
	if (f) {
		strip(t, f);
		f->proven = false;
		begin(f, p->sequence + 1, p->ts_ns);
	} else {
		f = flow_new(t, p, p->sequence + 1);
	}
	f->isn = p->sequence;
	f->has_isn = true;
	note_use(t, f, p->ts_ns);
}

/* Far from where the flow is: another connection, or a long gap, if it begins with SIP. */
static bool goes_on_elsewhere(struct tcp *t, struct flow *f, const struct run *r)
{
	int32_t ahead = (int32_t)(r->at - f->next);
	if (ahead < WINDOW && ahead > -WINDOW)
		return true;
	if (!sip_begins(r->bytes, r->len))
		return false;
	count(t->counters, COUNT_TCP_GAPS);
	strip(t, f);
	begin(f, r->at, r->ts_ns);
	return true;
}

void tcp_segment(struct tcp *t, const struct piece *p)
{
	struct flow *f = flow_find(t, p);
	struct run r = { p->sequence, p->bytes, p->len, p->wire_len, p->ts_ns };

	if (p->flags & TCP_SYN) {
		syn(t, f, p);
		f = flow_find(t, p);
		r.at++;
	}
	if (f && (p->flags & (TCP_FIN | TCP_RST))) {
		f->proven = false; /* it may go before others */
		note_use(t, f, p->ts_ns);
	}
	if (r.wire == 0 || r.wire > SEGMENT_MOST || r.len > r.wire) {
		count(t->counters, r.wire ? COUNT_TCP_OUT_OF_WINDOW : COUNT_TCP_NO_DATA);
	} else if (!f) {
		unknown_segment(t, p, r);
	} else if (f->kind == FLOW_TLS) {
		count(t->counters, COUNT_TCP_NOT_SIP);
		tell_not_sip(t, &f->src, &f->dst);
		note_use(t, f, p->ts_ns);
	} else if (goes_on_elsewhere(t, f, &r)) {
		segment_of(t, f, r);
	} else {
		count(t->counters, COUNT_TCP_OUT_OF_WINDOW);
	}
}

/* ---- time ---------------------------------------------------------------------------------------- */

static void pass_holes_before(struct tcp *t, int64_t hole_ns)
{
	struct link *l;
	while ((l = link_last(&t->holes))) {
		struct flow *f = link_of(l, struct flow, hole);
		if (f->hole_ns > hole_ns)
			return;
		if (!pass_hole(t, f)) {
			tell_not_sip(t, &f->src, &f->dst);
			flow_forget(t, f);
			continue;
		}
		if (f->held)
			link_front(&t->holes, &f->hole);
		note_use(t, f, f->touched_ns);
	}
}

static void forget_idle(struct tcp *t, bool proven, int64_t before_ns)
{
	struct link *l;
	while ((l = link_last(&t->used[proven]))) {
		struct flow *f = link_of(l, struct flow, used);
		if (f->touched_ns >= before_ns)
			return;
		flow_forget(t, f);
	}
}

void tcp_tick(struct tcp *t, int64_t now_ns)
{
	pass_holes_before(t, now_ns - TCP_HOLE_NS);
	forget_idle(t, false, now_ns - TCP_IDLE_NS);
	forget_idle(t, true, now_ns - TCP_PROVEN_IDLE_NS);
}

void tcp_finish(struct tcp *t)
{
	pass_holes_before(t, INT64_MAX);
}

uint64_t tcp_held(const struct tcp *t)
{
	return t->held;
}

uint32_t tcp_flows(const struct tcp *t)
{
	return table_count(t->table);
}

/* ---- set-up ---------------------------------------------------------------------------------------- */

struct tcp *tcp_new(const struct reassembly_config *cfg)
{
	struct tcp *t = calloc(1, sizeof *t);
	uint32_t places = (uint32_t)(cfg->tcp_bytes / BYTES_A_FLOW);
	if (!t)
		return NULL;
	t->counters = cfg->counters;
	t->sink = cfg->sink;
	memcpy(t->tls_ports, cfg->tls_ports, sizeof t->tls_ports);
	t->flows_bytes = places * sizeof *t->flows;
	t->flows = pages_new(t->flows_bytes, NULL);
	t->table = table_new(6, places);
	t->blocks = pool_new(BLOCK_SIZE, cfg->tcp_bytes / 3 / BLOCK_SIZE);
	t->scratch = malloc(cfg->max_message);
	if (!t->flows || !t->table || !t->blocks || !t->scratch) {
		tcp_free(t);
		return NULL;
	}
	ASSERT(pool_left(t->blocks) > 2 * (TCP_HELD_BLOCKS + 4 * blocks_for(SEGMENT_MOST)));
	t->room = (struct stream_room){ t->blocks, t->scratch, cfg->max_message, t->counters };
	for (unsigned i = 0; i < 2; i++) {
		link_head(&t->used[i]);
		link_head(&t->holds[i]);
	}
	link_head(&t->unused);
	link_head(&t->holes);
	for (uint32_t i = 0; i < places; i++)
		link_front(&t->unused, &t->flows[i].used);
	return t;
}

void tcp_free(struct tcp *t)
{
	if (!t)
		return;
	if (t->flows)
		pages_free(t->flows, t->flows_bytes);
	table_free(t->table);
	pool_free(t->blocks);
	free(t->scratch);
	free(t);
}
