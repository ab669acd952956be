/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* flow.c: see flow.h.  Runs on the capture thread. */
#include "rtp/flow.h"

bool flow_table_init(struct flow_table *t, uint32_t max)
{
	memset(t, 0, sizeof *t);
	hash_key_draw(&t->key);
	t->max = max;
	t->free = NONE;
	t->buckets_count = hash_size((uint64_t)max * 2 / FLOW_BUCKET + 1);
	t->buckets = slab_new(sizeof *t->buckets, t->buckets_count);
	t->at = slab_new(sizeof *t->at, max);
	t->links = slab_new(sizeof *t->links, max);
	return t->buckets && t->at && t->links;
}

void flow_table_release(struct flow_table *t)
{
	slab_free(t->buckets, sizeof *t->buckets, t->buckets_count);
	slab_free(t->at, sizeof *t->at, t->max);
	slab_free(t->links, sizeof *t->links, t->max);
}

static struct flow_bucket *bucket_after(const struct flow_table *t, const struct flow_bucket *b)
{
	uint32_t n = (uint32_t)(b - t->buckets) + 1;
	return &t->buckets[n & (t->buckets_count - 1)];
}

uint32_t flow_find(const struct flow_table *t, uint64_t hash, const struct endpoint *src,
		   const struct endpoint *dst)
{
	uint32_t tag = flow_tag(hash);

	for (const struct flow_bucket *b = flow_home(t, hash);; b = bucket_after(t, b)) {
		for (unsigned i = 0; i < FLOW_BUCKET; i++)
			if (b->tags[i] == tag && flow_is(&t->at[b->flows[i]], src, dst))
				return b->flows[i];
		if (LIKELY(b->passed == 0))
			return NONE;
	}
}

static uint32_t number_get(struct flow_table *t)
{
	uint32_t n = t->free;
	if (n != NONE)
		t->free = t->links[n].next;
	else if (t->used < t->max)
		n = t->used++;
	return n;
}

static int place_in(const struct flow_bucket *b, uint32_t tag, uint32_t flow)
{
	for (int i = 0; i < FLOW_BUCKET; i++)
		if (b->tags[i] == tag && (tag == 0 || b->flows[i] == flow))
			return i;
	return -1;
}

uint32_t flow_add(struct flow_table *t, const struct endpoint *src, const struct endpoint *dst)
{
	uint64_t hash = flow_hash(t, src, dst);
	uint32_t n = number_get(t);
	if (n == NONE)
		return NONE;

	struct flow_bucket *b = flow_home(t, hash);
	int i;
	while ((i = place_in(b, 0, 0)) < 0) {
		b->passed++;
		b = bucket_after(t, b);
	}
	b->tags[i] = flow_tag(hash);
	b->flows[i] = n;
	t->at[n] = (struct flow){ *src, *dst, NONE, NONE, NONE, 0 };
	t->version++;
	return n;
}

void flow_remove(struct flow_table *t, uint32_t flow)
{
	struct flow *f = &t->at[flow];
	uint64_t hash = flow_hash(t, &f->src, &f->dst);
	struct flow_bucket *b = flow_home(t, hash);
	int i;

	ASSERT(f->stream == NONE && f->expect == NONE && f->ended == NONE);
	while ((i = place_in(b, flow_tag(hash), flow)) < 0) {
		ASSERT(b->passed > 0);
		b->passed--;
		b = bucket_after(t, b);
	}
	b->tags[i] = 0;
	t->links[flow].next = t->free;
	t->free = flow;
	t->version++;
}

void flow_link(struct flow_table *t, uint32_t flow, uint32_t *head)
{
	t->links[flow] = (struct flow_links){ NONE, *head };
	if (*head != NONE)
		t->links[*head].prev = flow;
	*head = flow;
}

void flow_unlink(struct flow_table *t, uint32_t flow, uint32_t *head)
{
	struct flow_links l = t->links[flow];
	if (l.prev == NONE)
		*head = l.next;
	else
		t->links[l.prev].next = l.next;
	if (l.next != NONE)
		t->links[l.next].prev = l.prev;
}
