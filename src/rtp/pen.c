/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pen.c: see pen.h.  Runs on the capture thread.
 *
 * A frame lies in one slot of 256 bytes, or in several chained; the usual 20 ms of G.711 fit one.
 * A flow has its frames as a queue; all frames together are another, by which they expire; flows
 * stand in the order of their last frame, by which they go when room is short.  Flows are found by
 * both endpoints, by destination, and by source: three tables of doubly linked lists, so that
 * nobody can make a removal slow by sending from many addresses to one.
 */
#include "rtp/pen.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/pool.h"
#include "rtp/hash.h"
#include "rtp/media.h"

#define WAIT_NS   (2 * NS_PER_S)
#define FRAME_NS  (20 * NS_PER_MS) /* the usual one */
#define SLOT_ROOM 200
#define RUN_GAP   16 /* numbers that may be missing in what is in sequence */
#define FLOWS_AT_ONCE                                                                              \
	64 /* handed over in one order; a call's endpoint may have fewer streams than that */

struct pen_slot {
	struct pen_slot *next;          /* of the flow, oldest first */
	struct pen_slot *more;          /* the rest of the bytes */
	struct pen_slot *older, *newer; /* of all frames */
	uint64_t order;                 /* counts frames as they came */
	int64_t ts_ns;
	uint32_t flow;
	uint16_t len, wire_len;
	uint8_t bytes[SLOT_ROOM];
};
_Static_assert(sizeof(struct pen_slot) == 256, "four cache lines");

enum pen_list { LIST_PAIR, LIST_TO, LIST_FROM, LISTS };

struct pen_flow {
	struct endpoint src, dst;
	struct {
		uint32_t prev, next, place;
	} lists[LISTS];
	uint32_t newer, older; /* by last use; older also links free ones */
	uint32_t frames;
	struct pen_slot *first, *last;
	/* packets of one SSRC in sequence, up to the last */
	uint32_t ssrc, run;
	int64_t run_ns; /* the first of them */
	uint16_t number;
	bool told; /* it has been told that nobody expects it */
	bool held; /* not handed over by its destination */
};

struct pen {
	struct counters *counters; /* borrowed */
	struct pool *slots;        /* owned */
	struct pen_flow *flows;    /* owned */
	uint32_t *heads[LISTS];    /* owned: index + 1 */
	uint32_t heads_count;
	uint32_t max, used, free;
	uint32_t newest, oldest;            /* flows, by last use */
	struct pen_slot *eldest, *youngest; /* frames, by arrival */
	uint64_t held, order;
	int64_t heard_ns; /* signalling has dealt with all SIP up to then */
	struct hash_key key;
	uint8_t scratch[PEN_FRAME_BYTES];
};

struct pen *pen_new(size_t bytes, struct counters *counters)
{
	struct pen *p = calloc(1, sizeof *p);
	size_t slots = bytes / sizeof(struct pen_slot);

	if (!p)
		return NULL;
	if (slots < 16)
		slots = 16;
	if (slots > UINT32_MAX / 2)
		slots = UINT32_MAX / 2;
	p->counters = counters;
	p->heard_ns = INT64_MAX;
	p->max = (uint32_t)slots / 4;
	p->free = p->newest = p->oldest = NONE;
	p->heads_count = hash_size((uint64_t)p->max * 2);
	hash_key_draw(&p->key);
	p->slots = pool_new(sizeof(struct pen_slot), slots);
	p->flows = slab_new(sizeof *p->flows, p->max);
	bool heads = true;
	for (int l = 0; l < LISTS; l++) {
		p->heads[l] = slab_new(sizeof *p->heads[l], p->heads_count);
		heads = heads && p->heads[l];
	}
	if (!p->slots || !p->flows || !heads) {
		pen_free(p);
		return NULL;
	}
	return p;
}

void pen_free(struct pen *p)
{
	if (!p)
		return;
	pool_free(p->slots);
	slab_free(p->flows, sizeof *p->flows, p->max);
	for (int l = 0; l < LISTS; l++)
		slab_free(p->heads[l], sizeof *p->heads[l], p->heads_count);
	free(p);
}

uint64_t pen_held(const struct pen *p)
{
	return p->held;
}

/* ---- flows ------------------------------------------------------------------------------ */

static void list_link(struct pen *p, enum pen_list l, uint32_t flow, uint64_t hash)
{
	struct pen_flow *f = &p->flows[flow];
	uint32_t place = hash_place(hash, p->heads_count), head = p->heads[l][place] - 1;

	f->lists[l].place = place;
	f->lists[l].prev = NONE;
	f->lists[l].next = head;
	if (head != NONE)
		p->flows[head].lists[l].prev = flow;
	p->heads[l][place] = flow + 1;
}

static void list_unlink(struct pen *p, enum pen_list l, uint32_t flow)
{
	uint32_t prev = p->flows[flow].lists[l].prev, next = p->flows[flow].lists[l].next;

	if (prev == NONE)
		p->heads[l][p->flows[flow].lists[l].place] = next + 1;
	else
		p->flows[prev].lists[l].next = next;
	if (next != NONE)
		p->flows[next].lists[l].prev = prev;
}

static void age_unlink(struct pen *p, uint32_t flow)
{
	struct pen_flow *f = &p->flows[flow];
	if (f->newer == NONE)
		p->newest = f->older;
	else
		p->flows[f->newer].older = f->older;
	if (f->older == NONE)
		p->oldest = f->newer;
	else
		p->flows[f->older].newer = f->newer;
}

static void age_link(struct pen *p, uint32_t flow)
{
	p->flows[flow].newer = NONE;
	p->flows[flow].older = p->newest;
	if (p->newest == NONE)
		p->oldest = flow;
	else
		p->flows[p->newest].newer = flow;
	p->newest = flow;
}

/* A flow without frames goes at once. */
static void flow_settle(struct pen *p, uint32_t flow)
{
	if (p->flows[flow].frames > 0)
		return;
	for (int l = 0; l < LISTS; l++)
		list_unlink(p, (enum pen_list)l, flow);
	age_unlink(p, flow);
	p->flows[flow].older = p->free;
	p->free = flow;
}

/* ---- frames ----------------------------------------------------------------------------- */

/* Give back a frame's slots; it is in no flow's queue any more. */
static void slot_drop(struct pen *p, struct pen_slot *s)
{
	if (s->older)
		s->older->newer = s->newer;
	else
		p->eldest = s->newer;
	if (s->newer)
		s->newer->older = s->older;
	else
		p->youngest = s->older;
	while (s) {
		struct pen_slot *more = s->more;
		pool_put(p->slots, s);
		s = more;
	}
	p->held--;
}

/* Drop a flow's oldest frame; true when the flow went with it. */
static bool flow_drop_first(struct pen *p, uint32_t flow, enum counter why)
{
	struct pen_flow *f = &p->flows[flow];
	struct pen_slot *s = f->first;

	f->first = s->next;
	if (!f->first)
		f->last = NULL;
	f->frames--;
	slot_drop(p, s);
	count(p->counters, why);
	flow_settle(p, flow);
	return f->frames == 0;
}

static void flow_drop_all(struct pen *p, uint32_t flow, enum counter why)
{
	while (!flow_drop_first(p, flow, why))
		;
}

/* A slot, or NULL when there is none but those of the flow that is to be spared. */
static struct pen_slot *slot_get(struct pen *p, uint32_t spare)
{
	struct pen_slot *s;
	while (!(s = pool_get(p->slots))) {
		uint32_t oldest = p->oldest;
		if (oldest == spare)
			return NULL;
		flow_drop_all(p, oldest, COUNT_PEN_FULL);
	}
	return s;
}

/* Copy a datagram of a flow into slots; NULL when there are not enough.  More of other flows is dropped for it only while its
 * own has no more than its share. */
static struct pen_slot *frame_copy(struct pen *p, const struct datagram *d, uint32_t flow)
{
	bool others = p->flows[flow].frames < PEN_FLOW_FRAMES;
	struct pen_slot *first = NULL, **link = &first;
	uint32_t done = 0;

	do {
		struct pen_slot *s = others ? slot_get(p, flow) : pool_get(p->slots);
		if (!s)
			break;
		uint32_t n = d->len - done < SLOT_ROOM ? d->len - done : SLOT_ROOM;
		memcpy(s->bytes, d->payload + done, n);
		done += n;
		s->more = NULL;
		*link = s;
		link = &s->more;
	} while (done < d->len);
	if (done == d->len)
		return first;
	while (first) {
		struct pen_slot *more = first->more;
		pool_put(p->slots, first);
		first = more;
	}
	return NULL;
}

static uint32_t flow_find_pair(const struct pen *p, const struct endpoint *src,
			       const struct endpoint *dst, uint64_t hash)
{
	uint32_t n = p->heads[LIST_PAIR][hash_place(hash, p->heads_count)] - 1;
	while (n != NONE &&
	       !(endpoint_equal(&p->flows[n].src, src) && endpoint_equal(&p->flows[n].dst, dst)))
		n = p->flows[n].lists[LIST_PAIR].next;
	return n;
}

/* The datagram's flow, made when it is not there. */
static uint32_t flow_get(struct pen *p, const struct datagram *d)
{
	uint64_t from = hash_endpoint(&p->key, &d->src), to = hash_endpoint(&p->key, &d->dst);
	uint64_t pair = hash_pair(&p->key, from, to);
	uint32_t n = flow_find_pair(p, &d->src, &d->dst, pair);

	if (n != NONE) {
		age_unlink(p, n);
		age_link(p, n);
		return n;
	}
	if (p->free == NONE && p->used == p->max)
		flow_drop_all(p, p->oldest, COUNT_PEN_FULL);
	if (p->free != NONE) {
		n = p->free;
		p->free = p->flows[n].older;
	} else {
		n = p->used++;
	}
	p->flows[n].src = d->src;
	p->flows[n].dst = d->dst;
	p->flows[n].first = p->flows[n].last = NULL;
	p->flows[n].frames = p->flows[n].run = 0;
	p->flows[n].told = p->flows[n].held = false;
	list_link(p, LIST_PAIR, n, pair);
	list_link(p, LIST_TO, n, to);
	list_link(p, LIST_FROM, n, from);
	age_link(p, n);
	return n;
}

/* Does the flow look like a stream?  Mirrored copies and packets out of turn neither lengthen nor end the run. */
static void note_run(struct pen_flow *f, const struct datagram *d)
{
	struct bytes b = bytes_over(d->payload, d->len);

	bytes_skip(&b, 2);
	uint16_t number = bytes_u16(&b);
	bytes_skip(&b, 4);
	uint32_t ssrc = bytes_u32(&b);
	int ahead = (int16_t)(uint16_t)(number - f->number);
	if (f->run == 0 || ssrc != f->ssrc || ahead > RUN_GAP || ahead < -RUN_GAP) {
		f->run = 0;
		f->run_ns = d->ts_ns;
		f->ssrc = ssrc;
	} else if (ahead <= 0) {
		return;
	}
	f->run++;
	f->number = number;
}

/* May nobody ever expect it?  That takes signalling to have had the time. */
static bool is_orphan(const struct pen *p, struct pen_flow *f, const struct datagram *d,
		      struct media_orphan *o)
{
	int64_t now_ns = d->ts_ns < p->heard_ns ? d->ts_ns : p->heard_ns;

	note_run(f, d);
	if (f->told || f->run < ORPHAN_FRAMES || media_since(now_ns, f->run_ns) < ORPHAN_AFTER_NS)
		return false;
	f->told = true;
	*o = (struct media_orphan){ f->src, f->dst, f->ssrc, d->payload[1] & 0x7f,
				    f->first->ts_ns };
	return true;
}

/* How many frames of a flow may wait: what came since signalling's time is not its to answer for. */
static uint32_t most_frames(const struct pen *p, int64_t now_ns)
{
	int64_t behind = media_since(now_ns, p->heard_ns) / FRAME_NS;
	if (behind <= 0)
		return PEN_FLOW_FRAMES;
	return behind < PEN_FLOW_MOST - PEN_FLOW_FRAMES ? PEN_FLOW_FRAMES + (uint32_t)behind
							: PEN_FLOW_MOST;
}

bool pen_put(struct pen *p, const struct datagram *d, bool held, struct media_orphan *o)
{
	count(p->counters, COUNT_TO_PEN);
	if (d->len > PEN_FRAME_BYTES) {
		count(p->counters, COUNT_PEN_FULL);
		return false;
	}
	uint32_t flow = flow_get(p, d);
	struct pen_flow *f = &p->flows[flow];
	f->held = held;
	while (f->frames >= most_frames(p, d->ts_ns))
		(void)flow_drop_first(p, flow, COUNT_PEN_FULL);
	struct pen_slot *s;
	while (!(s = frame_copy(p, d, flow)) && f->frames > 1)
		(void)flow_drop_first(p, flow, COUNT_PEN_FULL);
	if (!s) {
		count(p->counters, COUNT_PEN_FULL);
		flow_settle(p, flow);
		return false;
	}
	s->next = NULL;
	s->ts_ns = d->ts_ns;
	s->flow = flow;
	s->order = p->order++;
	s->len = (uint16_t)d->len;
	s->wire_len = (uint16_t)(d->wire_len < UINT16_MAX ? d->wire_len : UINT16_MAX);
	if (f->last)
		f->last->next = s;
	else
		f->first = s;
	f->last = s;
	f->frames++;
	s->newer = NULL;
	s->older = p->youngest;
	if (p->youngest)
		p->youngest->newer = s;
	else
		p->eldest = s;
	p->youngest = s;
	p->held++;
	return is_orphan(p, f, d, o);
}

void pen_heard(struct pen *p, int64_t heard_ns)
{
	p->heard_ns = heard_ns;
}

void pen_tick(struct pen *p, int64_t now_ns)
{
	while (p->eldest) {
		int64_t waited = media_since(now_ns, p->eldest->ts_ns);
		if (waited <= WAIT_NS && waited >= -WAIT_NS)
			break;
		if (waited > 0 && media_since(p->heard_ns, p->eldest->ts_ns) <= WAIT_NS)
			break;
		(void)flow_drop_first(p, p->eldest->flow, COUNT_PEN_EXPIRED);
	}
}

/* ---- handing over ----------------------------------------------------------------------- */

/* Frames on their way out: the queues of some flows. */
struct released {
	struct pen_slot *queues[FLOWS_AT_ONCE];
	uint32_t flows[FLOWS_AT_ONCE];
	int count;
};

/* Take a flow's frames, but for those at its head that are older than from_ns if `keep_older`. */
static struct pen_slot *queue_take(struct pen_flow *f, int64_t from_ns, bool keep_older)
{
	struct pen_slot *kept = NULL, *s = f->first;
	uint32_t frames = 0;

	while (keep_older && s && s->ts_ns < from_ns) {
		kept = s;
		s = s->next;
		frames++;
	}
	if (kept)
		kept->next = NULL;
	else
		f->first = NULL;
	f->last = kept;
	f->frames = frames;
	return s;
}

static void gather(struct pen *p, enum pen_list l, const struct endpoint *at, int64_t from_ns,
		   struct released *r)
{
	uint32_t place = hash_place(hash_endpoint(&p->key, at), p->heads_count);
	uint32_t n = p->heads[l][place] - 1;

	/* Flows that have nothing young enough count too: a sender of very many must not make each INVITE walk them all. */
	int looked = 0;
	r->count = 0;
	for (; n != NONE && looked < FLOWS_AT_ONCE; n = p->flows[n].lists[l].next) {
		struct pen_flow *f = &p->flows[n];
		if (!endpoint_equal(l == LIST_TO ? &f->dst : &f->src, at) ||
		    (l == LIST_TO && f->held))
			continue;
		looked++;
		struct pen_slot *s = queue_take(f, from_ns, l == LIST_FROM);
		if (!s)
			continue;
		r->flows[r->count] = n;
		r->queues[r->count++] = s;
	}
}

/* The oldest frame of all queues, or NULL. */
static struct pen_slot *queues_next(struct released *r, struct datagram *d, const struct pen *p)
{
	int best = -1;
	for (int i = 0; i < r->count; i++)
		if (r->queues[i] && (best < 0 || r->queues[i]->order < r->queues[best]->order))
			best = i;
	if (best < 0)
		return NULL;
	struct pen_slot *s = r->queues[best];
	r->queues[best] = s->next;
	d->src = p->flows[r->flows[best]].src;
	d->dst = p->flows[r->flows[best]].dst;
	return s;
}

static void frame_read(struct pen *p, const struct pen_slot *s, struct datagram *d)
{
	uint32_t done = 0;

	d->ts_ns = s->ts_ns;
	d->len = s->len;
	d->wire_len = s->wire_len;
	d->payload = s->bytes;
	if (!s->more)
		return;
	d->payload = p->scratch;
	for (; s; s = s->more) {
		uint32_t n = d->len - done < SLOT_ROOM ? d->len - done : SLOT_ROOM;
		memcpy(p->scratch + done, s->bytes, n);
		done += n;
	}
}

static void give(struct pen *p, struct released *r, int64_t from_ns,
		 void (*take)(void *ctx, const struct datagram *d), void *ctx)
{
	struct datagram d;
	struct pen_slot *s;

	while ((s = queues_next(r, &d, p)) != NULL) {
		if (s->ts_ns < from_ns) {
			count(p->counters, COUNT_PEN_OLD);
		} else {
			frame_read(p, s, &d);
			count(p->counters, COUNT_PEN_RELEASED);
			take(ctx, &d);
		}
		slot_drop(p, s);
	}
	for (int i = 0; i < r->count; i++)
		flow_settle(p, r->flows[i]);
}

static int release(struct pen *p, enum pen_list l, const struct endpoint *at, int64_t from_ns,
		   void (*take)(void *ctx, const struct datagram *d), void *ctx)
{
	struct released r;

	gather(p, l, at, from_ns, &r);
	give(p, &r, from_ns, take, ctx);
	return r.count;
}

void pen_release(struct pen *p, const struct endpoint *at, int64_t from_ns,
		 void (*take)(void *ctx, const struct datagram *d), void *ctx)
{
	while (release(p, LIST_TO, at, from_ns, take, ctx) > 0)
		;
	(void)release(p, LIST_FROM, at, from_ns, take, ctx);
}

static uint32_t flow_of(const struct pen *p, const struct endpoint *src, const struct endpoint *dst)
{
	uint64_t from = hash_endpoint(&p->key, src), to = hash_endpoint(&p->key, dst);
	return flow_find_pair(p, src, dst, hash_pair(&p->key, from, to));
}

void pen_release_flow(struct pen *p, const struct endpoint *src, const struct endpoint *dst,
		      void (*take)(void *ctx, const struct datagram *d), void *ctx)
{
	struct released r = { .count = 1 };
	uint32_t flow = flow_of(p, src, dst);

	if (flow == NONE)
		return;
	r.flows[0] = flow;
	r.queues[0] = queue_take(&p->flows[flow], INT64_MIN, false);
	give(p, &r, INT64_MIN, take, ctx);
}

void pen_unhold(struct pen *p, const struct endpoint *src, const struct endpoint *dst)
{
	uint32_t flow = flow_of(p, src, dst);
	if (flow != NONE)
		p->flows[flow].held = false;
}
