/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* expect.c: see expect.h.  Runs on the capture thread. */
#include "rtp/expect.h"

#include "rtp/payload.h"

/* Calls looked at where many expect one endpoint: hostile SDPs may all name the same. */
#define LOOK_AT_MOST 64

bool expect_table_init(struct expect_table *t, uint32_t max)
{
	memset(t, 0, sizeof *t);
	hash_key_draw(&t->key);
	t->max = max;
	t->free = t->calls_free = NONE;
	t->generation = 1;
	t->heads_count = hash_size((uint64_t)max * 2);
	t->at = slab_new(sizeof *t->at, max);
	t->calls = slab_new(sizeof *t->calls, max);
	t->heads = slab_new(sizeof *t->heads, t->heads_count);
	t->call_heads = slab_new(sizeof *t->call_heads, t->heads_count);
	return t->at && t->calls && t->heads && t->call_heads;
}

void expect_table_release(struct expect_table *t)
{
	slab_free(t->at, sizeof *t->at, t->max);
	slab_free(t->calls, sizeof *t->calls, t->max);
	slab_free(t->heads, sizeof *t->heads, t->heads_count);
	slab_free(t->call_heads, sizeof *t->call_heads, t->heads_count);
}

/* Heads hold index + 1, so that fresh pages say "empty". */
static uint32_t *head_of(const struct expect_table *t, const struct endpoint *at)
{
	return &t->heads[hash_place(hash_endpoint(&t->key, at), t->heads_count)];
}

static uint32_t *call_head_of(const struct expect_table *t, uint64_t number)
{
	uint64_t hash = hash_fold(number ^ t->key.k[4], t->key.k[3]);
	return &t->call_heads[hash_place(hash, t->heads_count)];
}

static uint32_t newest_at(const struct expect_table *t, const struct endpoint *at)
{
	uint32_t n = *head_of(t, at) - 1;
	while (n != NONE && !endpoint_equal(&t->at[n].at, at))
		n = t->at[n].next;
	return n;
}

uint32_t expect_older(const struct expect_table *t, uint32_t expect)
{
	uint32_t n = t->at[expect].next;
	while (n != NONE && !endpoint_equal(&t->at[n].at, &t->at[expect].at))
		n = t->at[n].next;
	return n;
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
		if (found != NONE && (best == NONE || number_of(t, found) > number_of(t, best)))
			best = found;
	}
	return best;
}

/* Of the expectations at `to`: of a call that expects `other` as well, else the newest. */
static uint32_t choose(const struct expect_table *t, const struct endpoint *to,
		       const struct endpoint *other)
{
	uint32_t newest = newest_at(t, to);
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
	if (to != NONE && find_of_call(t, t->at[to].call, src) != NONE)
		return to;
	uint32_t from = choose(t, src, dst);
	if (to != NONE && (from == NONE || knows_both_parties(t, t->at[from].call)))
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
	t->calls[n] = (struct expect_call){ .number = number, .next = *head - 1, .expects = NONE };
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

static void take_map(struct expect *x, const struct media_expect *e)
{
	x->payloads_count = e->payloads_count < MEDIA_PAYLOADS ? e->payloads_count : MEDIA_PAYLOADS;
	memcpy(x->payloads, e->payloads, x->payloads_count * sizeof x->payloads[0]);
	x->ptime_ms = e->ptime_ms;
}

void expect_update(struct expect *x, const struct media_expect *e)
{
	take_map(x, e);
	if (e->from_ns < x->from_ns)
		x->from_ns = e->from_ns;
}

uint32_t expect_add(struct expect_table *t, const struct media_expect *e)
{
	uint32_t n;
	if (t->free != NONE) {
		n = t->free;
		t->free = t->at[n].next;
	} else if (t->used < t->max) {
		n = t->used++;
	} else {
		return NONE;
	}
	uint32_t *head = head_of(t, &e->at), call = call_get(t, e->call);
	struct expect *x = &t->at[n];
	x->at = e->at;
	x->call = call;
	x->prev = NONE;
	x->next = *head - 1;
	if (x->next != NONE)
		t->at[x->next].prev = n;
	x->prev_of_call = NONE;
	x->next_of_call = t->calls[call].expects;
	x->flows = NONE;
	x->stream_base = e->stream_base;
	x->streams_used = x->foreign_used = 0;
	x->party = e->party != 0;
	x->from_ns = e->from_ns;
	take_map(x, e);
	*head = n + 1;
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
	if (x->prev == NONE)
		*head_of(t, &x->at) = x->next + 1;
	else
		t->at[x->prev].next = x->next;
	if (x->next != NONE)
		t->at[x->next].prev = x->prev;
	if (x->next_of_call != NONE)
		t->at[x->next_of_call].prev_of_call = x->prev_of_call;
	if (x->prev_of_call != NONE)
		t->at[x->prev_of_call].next_of_call = x->next_of_call;
	else
		t->calls[x->call].expects = x->next_of_call;
	if (t->calls[x->call].expects == NONE)
		call_put(t, x->call);
	x->next = t->free;
	t->free = expect;
}

const struct media_payload *expect_payload(const struct expect_table *t, uint32_t expect,
					   uint8_t type)
{
	const struct expect *x = &t->at[expect];
	const struct media_payload *p = payload_find(x->payloads, x->payloads_count, type);

	for (uint32_t n = t->calls[x->call].expects; !p && n != NONE; n = t->at[n].next_of_call)
		p = payload_find(t->at[n].payloads, t->at[n].payloads_count, type);
	return p ? p : payload_static(type);
}
