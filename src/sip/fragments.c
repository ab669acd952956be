/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fragments.c: a packet's blocks in order of offset, until none is missing.
 *
 * Every fragment ends exactly once: merged, a duplicate, dropped by reason, or held.
 */
#include "sip/fragments.h"

#include <stdlib.h>

#include "base/pages.h"
#include "base/table.h"
#include "sip/pieces.h"

#define PACKET_MOST 65535 /* bytes after the IP header */
#define BYTES_A_PLACE                                                                              \
	1024 /* of the table's memory: a packet's own, its key, and its share of blocks */
#define END_UNKNOWN UINT32_MAX

enum packet_state {
	PACKET_OPEN,
	PACKET_DONE,   /* whole, and given: what comes now came before */
	PACKET_DROPPED /* what comes now is dropped for the same reason */
};

struct packet {
	struct link used; /* in order of use, or free */
	uint64_t key[5];
	struct block *first, *last; /* owned: sorted, without overlap */
	int64_t touched_ns;
	uint32_t end;     /* bytes it has, END_UNKNOWN until the last fragment has come */
	uint32_t have;    /* bytes that have come */
	uint32_t blocks;  /* in its list */
	uint32_t pieces;  /* fragments held */
	uint8_t state;    /* enum packet_state */
	uint8_t protocol; /* as the fragment with offset 0 says */
	uint8_t depth;    /* deepest of its fragments */
	uint16_t why;     /* PACKET_DROPPED: the counter */
};

struct fragments {
	struct table *table;   /* owned */
	struct pool *blocks;   /* owned */
	struct packet *places; /* owned */
	size_t places_bytes;
	struct link used, unused;
	uint64_t held;
	struct counters *counters; /* borrowed */
	uint8_t bytes[PACKET_MOST + 1];
};

/* ---- packets ------------------------------------------------------------------------------ */

/* IPv4 tells packets apart by protocol too (RFC 791, 3.2); in IPv6 only the first fragment's next header counts. */
static void key_of(const struct piece *p, uint64_t key[5])
{
	uint64_t protocol = endpoint_is_v4(&p->src) ? p->protocol : 0;
	memcpy(key, p->src.addr, 16);
	memcpy(key + 2, p->dst.addr, 16);
	key[4] = p->id | protocol << 32;
}

static void empty(struct fragments *f, struct packet *k)
{
	blocks_free(f->blocks, k->first);
	k->first = k->last = NULL;
	f->held -= k->pieces;
	k->pieces = k->blocks = k->have = 0;
}

/* What it holds is dropped. */
static void drop_held(struct fragments *f, struct packet *k, enum counter why)
{
	count_add(f->counters, why, k->pieces);
	empty(f, k);
}

static void forget(struct fragments *f, struct packet *k, enum counter why)
{
	drop_held(f, k, why);
	table_remove(f->table, k->key);
	link_front(&f->unused, &k->used);
}

static struct packet *free_place(struct fragments *f)
{
	struct link *l = link_last(&f->unused);
	if (l)
		return link_of(l, struct packet, used);
	l = link_last(&f->used);
	ASSERT(l);
	struct packet *k = link_of(l, struct packet, used);
	forget(f, k, COUNT_FRAGMENT_EVICTED);
	return k;
}

static void begin(struct packet *k)
{
	k->state = PACKET_OPEN;
	k->end = END_UNKNOWN;
	k->protocol = k->depth = 0;
}

static struct packet *packet_of(struct fragments *f, const struct piece *p)
{
	uint64_t key[5];
	key_of(p, key);
	uint32_t place = table_find(f->table, key);
	struct packet *k;

	if (place != TABLE_NONE) {
		k = &f->places[place];
		if (k->state != PACKET_OPEN && p->ts_ns - k->touched_ns > FRAGMENT_DONE_NS)
			begin(k); /* the number is used again */
	} else {
		k = free_place(f);
		memcpy(k->key, key, sizeof key);
		ASSERT(table_put(f->table, key, (uint32_t)(k - f->places)));
		begin(k);
	}
	link_front(&f->used, &k->used);
	if (k->state == PACKET_OPEN)
		k->touched_ns = p->ts_ns;
	return k;
}

/* ---- one fragment --------------------------------------------------------------------------- */

/* The packet, this fragment, and what still comes of it. */
static void drop_packet(struct fragments *f, struct packet *k, enum counter why)
{
	drop_held(f, k, why);
	count(f->counters, why);
	k->state = PACKET_DROPPED;
	k->why = (uint16_t)why;
}

/* Do the bytes that both captured agree, where a block and a run overlap? */
static bool agree(const struct block *b, const struct run *r)
{
	uint32_t from = b->at > r->at ? b->at : r->at;
	uint32_t b_end = b->at + b->len, r_end = r->at + r->len;
	uint32_t to = b_end < r_end ? b_end : r_end;
	return from >= to ||
	       memcmp(b->bytes + (from - b->at), r->bytes + (from - r->at), to - from) == 0;
}

enum place { PLACE_FREE, PLACE_TAKEN, PLACE_OVERLAPS };

/* Where a run would go: `*link` is the first block behind it. */
static enum place find_place(struct packet *k, const struct run *r, struct block ***link)
{
	uint32_t end = r->at + r->wire, covered = 0;
	bool same = true;

	*link = &k->first;
	if (k->last && block_end(k->last) <= r->at) { /* the usual order */
		*link = &k->last->next;
		return PLACE_FREE;
	}
	while (**link && block_end(**link) <= r->at)
		*link = &(**link)->next;
	for (const struct block *b = **link; b && b->at < end; b = b->next) {
		uint32_t from = b->at > r->at ? b->at : r->at;
		uint32_t to = block_end(b) < end ? block_end(b) : end;
		covered += to - from;
		same &= agree(b, r);
	}
	if (covered == 0)
		return PLACE_FREE;
	return covered == r->wire && same ? PLACE_TAKEN : PLACE_OVERLAPS;
}

/* Does what it says of the packet's end fit what is known? */
static bool end_fits(const struct packet *k, uint32_t end, bool more)
{
	if (k->end != END_UNKNOWN)
		return more ? end <= k->end : end == k->end;
	return more || !k->last || block_end(k->last) <= end;
}

static void keep(struct fragments *f, struct packet *k, struct block **link, const struct run *r)
{
	size_t before = pool_left(f->blocks);
	bool at_end = !*link;
	blocks_insert(f->blocks, link, r);
	k->blocks += (uint32_t)(before - pool_left(f->blocks));
	if (at_end)
		for (k->last = *link; k->last->next;)
			k->last = k->last->next;
	k->have += r->wire;
	k->pieces++;
	f->held++;
}

static void make_room(struct fragments *f, struct packet *k, size_t blocks)
{
	while (pool_left(f->blocks) < blocks) {
		struct link *oldest = link_last(&f->used);
		ASSERT(oldest != &k->used); /* it alone cannot fill the pool */
		forget(f, link_of(oldest, struct packet, used), COUNT_FRAGMENT_EVICTED);
	}
}

static void give_whole(struct fragments *f, struct packet *k, const struct piece *p,
		       struct piece *whole)
{
	uint32_t len = 0;
	for (const struct block *b = k->first; b && b->at == len; b = b->next) {
		memcpy(f->bytes + len, b->bytes, b->len);
		len += b->len;
	}
	*whole = (struct piece){ .ts_ns = p->ts_ns,
				 .src = p->src,
				 .dst = p->dst,
				 .bytes = f->bytes,
				 .len = len,
				 .wire_len = k->end,
				 .kind = PIECE_FRAGMENT,
				 .depth = k->depth,
				 .protocol = k->protocol,
				 .id = p->id };
	count_add(f->counters, COUNT_FRAGMENT_MERGED, k->pieces);
	count(f->counters, COUNT_FRAGMENT_PACKETS);
	empty(f, k);
	k->state = PACKET_DONE;
}

/* All but the last are a multiple of 8 bytes long, and none is empty. */
static bool well_formed(const struct piece *p)
{
	return p->wire_len > 0 && p->len <= p->wire_len && p->offset <= PACKET_MOST &&
	       p->wire_len <= PACKET_MOST - p->offset && (!p->more || p->wire_len % 8 == 0);
}

/* True when the packet is whole now. */
static bool add(struct fragments *f, struct packet *k, const struct piece *p)
{
	struct run r = { p->offset, p->bytes, p->len, p->wire_len, p->ts_ns };
	struct block **link;

	if (!end_fits(k, r.at + r.wire, p->more)) {
		drop_packet(f, k, COUNT_FRAGMENT_CONTRADICTORY);
		return false;
	}
	enum place place = find_place(k, &r, &link);
	if (place == PLACE_OVERLAPS) {
		drop_packet(f, k, COUNT_FRAGMENT_OVERLAP);
		return false;
	}
	if (!p->more)
		k->end = r.at + r.wire;
	if (place == PLACE_TAKEN) {
		count(f->counters, COUNT_FRAGMENT_DUPLICATE);
		return k->have == k->end;
	}
	if (k->blocks + blocks_for(r.len) > FRAGMENT_BLOCKS) {
		drop_packet(f, k, COUNT_FRAGMENT_TINY);
		return false;
	}
	if (p->offset == 0)
		k->protocol = p->protocol;
	if (p->depth > k->depth)
		k->depth = p->depth;
	make_room(f, k, blocks_for(r.len));
	keep(f, k, link, &r);
	return k->have == k->end;
}

bool fragments_put(struct fragments *f, const struct piece *p, struct piece *whole)
{
	if (!well_formed(p)) {
		count(f->counters, COUNT_FRAGMENT_MALFORMED);
		return false;
	}
	struct packet *k = packet_of(f, p);
	if (k->state != PACKET_OPEN) {
		enum counter why = (enum counter)k->why;
		count(f->counters, k->state == PACKET_DONE ? COUNT_FRAGMENT_DUPLICATE : why);
		return false;
	}
	if (!add(f, k, p))
		return false;
	give_whole(f, k, p, whole);
	return true;
}

void fragments_tick(struct fragments *f, int64_t now_ns)
{
	struct link *oldest;
	while ((oldest = link_last(&f->used))) {
		struct packet *k = link_of(oldest, struct packet, used);
		if (now_ns - k->touched_ns <= FRAGMENT_TIMEOUT_NS)
			return;
		forget(f, k, COUNT_FRAGMENT_TIMEOUT);
	}
}

uint64_t fragments_held(const struct fragments *f)
{
	return f->held;
}

/* ---- set-up --------------------------------------------------------------------------------- */

struct fragments *fragments_new(size_t bytes, struct counters *counters)
{
	struct fragments *f = calloc(1, sizeof *f);
	uint32_t places = (uint32_t)(bytes / BYTES_A_PLACE);
	if (!f)
		return NULL;
	f->counters = counters;
	f->places_bytes = places * sizeof *f->places;
	f->places = pages_new(f->places_bytes, NULL);
	f->table = table_new(5, places);
	f->blocks = pool_new(BLOCK_SIZE, bytes / 2 / BLOCK_SIZE);
	if (!f->places || !f->table || !f->blocks) {
		fragments_free(f);
		return NULL;
	}
	ASSERT(pool_left(f->blocks) > (size_t)FRAGMENT_BLOCKS * 2);
	link_head(&f->used);
	link_head(&f->unused);
	for (uint32_t i = 0; i < places; i++)
		link_front(&f->unused, &f->places[i].used);
	return f;
}

void fragments_free(struct fragments *f)
{
	if (!f)
		return;
	if (f->places)
		pages_free(f->places, f->places_bytes);
	table_free(f->table);
	pool_free(f->blocks);
	free(f);
}
