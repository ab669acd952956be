/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* expect.c: see expect.h.  Runs on the capture thread. */
#include "rtp/expect.h"

#include "rtp/payload.h"

/* Calls looked at where many expect one endpoint: hostile SDPs may all name the same. */
#define LOOK_AT_MOST 64

bool expect_table_init(struct expect_table *t, uint32_t max, uint32_t streams)
{
	memset(t, 0, sizeof *t);
	hash_key_draw(&t->key);
	t->max = max;
	t->free = t->calls_free = NONE;
	t->generation = 1;
	t->heads_count = hash_size(max);
	t->at = slab_new(sizeof *t->at, max);
	t->elsewhere = slab_new(sizeof *t->elsewhere, max);
	t->calls = slab_new(sizeof *t->calls, max);
	t->call_heads = slab_new(sizeof *t->call_heads, t->heads_count);
	bool heads = true;
	for (int l = 0; l < EXPECT_LISTS; l++) {
		t->heads[l] = slab_new(sizeof *t->heads[l], t->heads_count);
		heads = heads && t->heads[l];
	}
	/* Never full: each holds one at most.  Places that no map has used yet cost nothing. */
	t->maps = payload_maps_new((uint64_t)max + streams);
	return t->at && t->elsewhere && t->calls && t->call_heads && heads && t->maps;
}

void expect_table_release(struct expect_table *t)
{
	slab_free(t->at, sizeof *t->at, t->max);
	slab_free(t->elsewhere, sizeof *t->elsewhere, t->max);
	slab_free(t->calls, sizeof *t->calls, t->max);
	for (int l = 0; l < EXPECT_LISTS; l++)
		slab_free(t->heads[l], sizeof *t->heads[l], t->heads_count);
	slab_free(t->call_heads, sizeof *t->call_heads, t->heads_count);
	intern_free(t->maps);
}

/* Heads hold index + 1, so that fresh pages say "empty". */
static uint32_t *head_of(const struct expect_table *t, enum expect_list l,
			 const struct endpoint *at)
{
	return &t->heads[l][hash_place(hash_endpoint(&t->key, at), t->heads_count)];
}

static struct endpoint key_of(const struct expect_table *t, enum expect_list l, uint32_t n)
{
	struct endpoint key = t->at[n].at;

	if (l == EXPECT_RTCP) {
		if (t->at[n].rtcp_elsewhere)
			key = t->elsewhere[n];
		key.port = t->at[n].rtcp_port;
	}
	return key;
}

/* Where it stands in a list. */
static uint32_t *head_for(const struct expect_table *t, enum expect_list l, uint32_t n)
{
	struct endpoint key = key_of(t, l, n);
	return head_of(t, l, &key);
}

static bool has_key(const struct expect_table *t, enum expect_list l, uint32_t n,
		    const struct endpoint *at)
{
	if (l == EXPECT_MEDIA)
		return endpoint_equal(&t->at[n].at, at);
	struct endpoint key = key_of(t, l, n);
	return endpoint_equal(&key, at);
}

static void list_link(struct expect_table *t, enum expect_list l, uint32_t n)
{
	uint32_t *head = head_for(t, l, n);

	t->at[n].lists[l].prev = NONE;
	t->at[n].lists[l].next = *head - 1;
	if (*head - 1 != NONE)
		t->at[*head - 1].lists[l].prev = n;
	*head = n + 1;
}

static void list_unlink(struct expect_table *t, enum expect_list l, uint32_t n)
{
	uint32_t prev = t->at[n].lists[l].prev, next = t->at[n].lists[l].next;

	if (prev == NONE)
		*head_for(t, l, n) = next + 1;
	else
		t->at[prev].lists[l].next = next;
	if (next != NONE)
		t->at[next].lists[l].prev = prev;
}

/* From n on, the first whose key is this endpoint. */
static uint32_t list_seek(const struct expect_table *t, enum expect_list l, uint32_t n,
			  const struct endpoint *at)
{
	while (n != NONE && !has_key(t, l, n, at))
		n = t->at[n].lists[l].next;
	return n;
}

static uint32_t *call_head_of(const struct expect_table *t, uint64_t number)
{
	uint64_t hash = hash_fold(number ^ t->key.k[4], t->key.k[3]);
	return &t->call_heads[hash_place(hash, t->heads_count)];
}

static uint32_t newest_at(const struct expect_table *t, const struct endpoint *at)
{
	return list_seek(t, EXPECT_MEDIA, *head_of(t, EXPECT_MEDIA, at) - 1, at);
}

uint32_t expect_older(const struct expect_table *t, uint32_t expect)
{
	const struct expect *x = &t->at[expect];
	return list_seek(t, EXPECT_MEDIA, x->lists[EXPECT_MEDIA].next, &x->at);
}

uint32_t expect_rtcp(const struct expect_table *t, const struct endpoint *at)
{
	return list_seek(t, EXPECT_RTCP, *head_of(t, EXPECT_RTCP, at) - 1, at);
}

uint32_t expect_rtcp_older(const struct expect_table *t, uint32_t expect)
{
	struct endpoint at = key_of(t, EXPECT_RTCP, expect);
	return list_seek(t, EXPECT_RTCP, t->at[expect].lists[EXPECT_RTCP].next, &at);
}

static uint32_t find_of_call(const struct expect_table *t, uint32_t call, const struct endpoint *at)
{
	uint32_t n = t->calls[call].expects;
	while (n != NONE && !endpoint_equal(&t->at[n].at, at))
		n = t->at[n].next_of_call;
	return n;
}

uint32_t expect_find(const struct expect_table *t, uint64_t call, const struct endpoint *at)
{
	uint32_t c = expect_find_call(t, call);
	return c == NONE ? NONE : find_of_call(t, c, at);
}

uint32_t expect_rank(const struct expect_table *t, uint32_t call, const struct endpoint *at)
{
	uint32_t n = t->calls[call].expects, rank = 1;
	while (n != NONE && !endpoint_equal(&t->at[n].at, at)) {
		n = t->at[n].next_of_call;
		rank++;
	}
	return n == NONE ? 0 : rank;
}

static uint64_t number_of(const struct expect_table *t, uint32_t expect)
{
	return t->calls[t->at[expect].call].number;
}

/* Among the calls that expect `at`, the latest that expects `sought` as well: its expectation there. */
static uint32_t latest_with_both(const struct expect_table *t, const struct endpoint *at,
				 const struct endpoint *sought)
{
	uint32_t best = NONE;
	int looked = 0;
	for (uint32_t n = newest_at(t, at); n != NONE && looked < LOOK_AT_MOST;
	     n = expect_older(t, n), looked++) {
		uint32_t found = find_of_call(t, t->at[n].call, sought);
		if (found != NONE && !t->at[found].orphan &&
		    (best == NONE || number_of(t, found) > number_of(t, best)))
			best = found;
	}
	return best;
}

/* The newest expectation at an endpoint; orphans come last. */
static uint32_t newest_of_best(const struct expect_table *t, const struct endpoint *at)
{
	uint32_t newest = newest_at(t, at), n = newest;
	for (int looked = 0; n != NONE && looked < LOOK_AT_MOST; n = expect_older(t, n), looked++)
		if (!t->at[n].orphan)
			return n;
	return newest;
}

/* Of the expectations at `to`: of a call that expects `other` as well, else the newest. */
static uint32_t choose(const struct expect_table *t, const struct endpoint *to,
		       const struct endpoint *other)
{
	uint32_t newest = newest_of_best(t, to);
	if (newest == NONE || expect_older(t, newest) == NONE)
		return newest;
	/* Either list may be long (a server's port); a call that has both ends stands in both. */
	uint32_t best = latest_with_both(t, other, to);
	if (best == NONE && (best = latest_with_both(t, to, other)) != NONE)
		best = find_of_call(t, t->at[best].call, to);
	return best == NONE ? newest : best;
}

static bool knows_both_parties(const struct expect_table *t, uint32_t call)
{
	uint32_t n = t->calls[call].expects;
	uint8_t party = t->at[n].party;
	while (n != NONE && t->at[n].party == party)
		n = t->at[n].next_of_call;
	return n != NONE;
}

uint32_t expect_owner(const struct expect_table *t, const struct endpoint *src,
		      const struct endpoint *dst, bool *by_source)
{
	uint32_t to = choose(t, dst, src);

	*by_source = false;
	if (to != NONE && !t->at[to].orphan && find_of_call(t, t->at[to].call, src) != NONE)
		return to;
	uint32_t from = choose(t, src, dst);
	bool from_first =
		from != NONE && !t->at[from].orphan &&
		(to == NONE || t->at[to].orphan || !knows_both_parties(t, t->at[from].call));
	if (to != NONE && !from_first)
		return to;
	*by_source = from != NONE;
	return from;
}

uint32_t expect_find_call(const struct expect_table *t, uint64_t number)
{
	uint32_t n = *call_head_of(t, number) - 1;
	while (n != NONE && t->calls[n].number != number)
		n = t->calls[n].next;
	return n;
}

/* There is always one: a call has at least one expectation. */
static uint32_t call_get(struct expect_table *t, uint64_t number)
{
	uint32_t n = expect_find_call(t, number);
	if (n != NONE)
		return n;
	if (t->calls_free != NONE) {
		n = t->calls_free;
		t->calls_free = t->calls[n].next;
	} else {
		ASSERT(t->calls_used < t->max);
		n = t->calls_used++;
	}
	uint32_t *head = call_head_of(t, number);
	t->calls[n] = (struct expect_call){
		.number = number, .next = *head - 1, .expects = NONE, .until_ns = INT64_MAX
	};
	*head = n + 1;
	return n;
}

static void call_put(struct expect_table *t, uint32_t call)
{
	uint32_t *head = call_head_of(t, t->calls[call].number);
	if (*head - 1 == call) {
		*head = t->calls[call].next + 1;
	} else {
		uint32_t n = *head - 1;
		while (t->calls[n].next != call)
			n = t->calls[n].next;
		t->calls[n].next = t->calls[call].next;
	}
	t->calls[call].next = t->calls_free;
	t->calls_free = call;
}

static void take_description(struct expect_table *t, struct expect *x, const struct media_expect *e)
{
	x->payloads = payload_map_take(t->maps, e->payloads, e->payloads_count);
	ASSERT(x->payloads != INTERN_NONE);
	x->ptime_ms = e->ptime_ms;
	x->protection = e->protection;
	x->keep_events = e->keep_events;
	x->discard = e->discard;
	x->orphan = e->orphan;
}

static void take_rtcp(struct expect_table *t, uint32_t n, const struct media_expect *e)
{
	struct expect *x = &t->at[n];

	x->rtcp_port = 0;
	if (e->rtcp.port == 0 || endpoint_equal(&e->rtcp, &e->at))
		return;
	x->rtcp_port = e->rtcp.port;
	x->rtcp_elsewhere = memcmp(e->rtcp.addr, x->at.addr, sizeof x->at.addr) != 0;
	if (x->rtcp_elsewhere) {
		t->elsewhere[n] = e->rtcp;
		if (n >= t->elsewhere_used)
			t->elsewhere_used = n + 1;
	}
	list_link(t, EXPECT_RTCP, n);
}

static void drop_rtcp(struct expect_table *t, uint32_t n)
{
	if (t->at[n].rtcp_port != 0)
		list_unlink(t, EXPECT_RTCP, n);
}

void expect_update(struct expect_table *t, uint32_t expect, const struct media_expect *e)
{
	struct expect *x = &t->at[expect];

	intern_drop(t->maps, x->payloads);
	take_description(t, x, e);
	drop_rtcp(t, expect);
	take_rtcp(t, expect, e);
	if (e->from_ns < x->from_ns)
		x->from_ns = e->from_ns;
}

uint32_t expect_add(struct expect_table *t, const struct media_expect *e)
{
	uint32_t n;
	if (t->free != NONE) {
		n = t->free;
		t->free = t->at[n].lists[EXPECT_MEDIA].next;
	} else if (t->used < t->max) {
		n = t->used++;
	} else {
		return NONE;
	}
	uint32_t call = call_get(t, e->call);
	struct expect *x = &t->at[n];
	x->at = e->at;
	x->call = call;
	list_link(t, EXPECT_MEDIA, n);
	x->prev_of_call = NONE;
	x->next_of_call = t->calls[call].expects;
	x->flows = NONE;
	x->stream_base = e->stream_base;
	x->streams_used = x->foreign_used = 0;
	x->party = e->party != 0;
	x->from_ns = e->from_ns;
	take_description(t, x, e);
	take_rtcp(t, n, e);
	if (x->next_of_call != NONE)
		t->at[x->next_of_call].prev_of_call = n;
	t->calls[call].expects = n;
	if (++t->generation == 0)
		t->generation = 1;
	return n;
}

void expect_remove(struct expect_table *t, uint32_t expect)
{
	struct expect *x = &t->at[expect];

	ASSERT(x->flows == NONE);
	list_unlink(t, EXPECT_MEDIA, expect);
	drop_rtcp(t, expect);
	intern_drop(t->maps, x->payloads);
	if (x->next_of_call != NONE)
		t->at[x->next_of_call].prev_of_call = x->prev_of_call;
	if (x->prev_of_call != NONE)
		t->at[x->prev_of_call].next_of_call = x->next_of_call;
	else
		t->calls[x->call].expects = x->next_of_call;
	if (t->calls[x->call].expects == NONE)
		call_put(t, x->call);
	x->lists[EXPECT_MEDIA].next = t->free;
	t->free = expect;
}

const struct media_payload *expect_payload(const struct expect_table *t, uint32_t expect,
					   uint8_t type)
{
	const struct expect *x = &t->at[expect];
	const struct media_payload *p = payload_map_find(t->maps, x->payloads, type);

	for (uint32_t n = t->calls[x->call].expects; !p && n != NONE; n = t->at[n].next_of_call)
		p = payload_map_find(t->maps, t->at[n].payloads, type);
	return p ? p : payload_static(type);
}

uint8_t expect_protection(const struct expect_table *t, uint32_t expect, bool by_source)
{
	const struct expect *x = &t->at[expect];
	if (!by_source)
		return x->protection;
	for (uint32_t n = t->calls[x->call].expects; n != NONE; n = t->at[n].next_of_call)
		if (t->at[n].party != x->party && t->at[n].protection != PROTECTION_NONE)
			return t->at[n].protection;
	return PROTECTION_NONE;
}
