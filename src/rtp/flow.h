/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* flow.h: the flow table: which flow a datagram belongs to, by its two endpoints.
 *
 * Found for every packet, so it is built for the memory: a bucket is one cache line of seven hash
 * tags and flow numbers, a flow's hot part is another.  The caller hashes a burst, prefetches the
 * buckets, then the flows that the tags point at, and only then looks closely: the waiting is done
 * once for the burst.
 *
 *   bucket  | tag × 7 | flow × 7 | passed |
 *   flow    | src | dst | stream | expectation | ended | judged |
 *
 * A full bucket passes entries on to the next and counts them, so that removing leaves nothing
 * behind.  At most half full.  One thread owns a table; nothing is allocated after
 * flow_table_init().
 */
#ifndef CALLSPAN_RTP_FLOW_H
#define CALLSPAN_RTP_FLOW_H

#include "base/net.h"
#include "rtp/hash.h"
#include "rtp/slab.h"

#define FLOW_BUCKET 7

struct flow {
	struct endpoint src, dst;
	uint32_t stream; /* its newest stream; NONE */
	uint32_t expect; /* the expectation it belongs to; NONE: its call has ended */
	uint32_t ended;  /* its ended streams that may go on; NONE */
	/* 0: it belongs there by its destination; else by its source, and this is the generation of
	 * expectations at which that was last looked at. */
	uint32_t judged;
};
_Static_assert(sizeof(struct flow) == 64, "one cache line");

/* Place in the list of an expectation's flows. */
struct flow_links {
	uint32_t prev, next;
};

struct flow_bucket {
	uint32_t tags[FLOW_BUCKET]; /* 0: free */
	uint32_t flows[FLOW_BUCKET];
	uint32_t passed; /* entries that went past this bucket because it was full */
	uint32_t unused;
};
_Static_assert(sizeof(struct flow_bucket) == 64, "one cache line");

struct flow_table {
	struct flow_bucket *buckets; /* owned */
	struct flow *at;             /* owned: flows by number */
	struct flow_links *links;    /* owned */
	struct hash_key key;
	uint32_t buckets_count; /* a power of two */
	uint32_t max, used;     /* flows there may be; numbers given out so far */
	uint32_t free;          /* list of numbers given back, by links */
	uint32_t version;       /* changes when a flow is added or removed */
};

bool flow_table_init(struct flow_table *t, uint32_t max);
void flow_table_release(struct flow_table *t);

static inline uint64_t flow_hash(const struct flow_table *t, const struct endpoint *src,
				 const struct endpoint *dst)
{
	return hash_pair(&t->key, hash_endpoint(&t->key, src), hash_endpoint(&t->key, dst));
}

static inline uint32_t flow_tag(uint64_t hash)
{
	return (uint32_t)(hash >> 32) | 1;
}

static inline struct flow_bucket *flow_home(const struct flow_table *t, uint64_t hash)
{
	return &t->buckets[(uint32_t)hash & (t->buckets_count - 1)];
}

/* The flow that the tags of the home bucket point at, to be prefetched; NONE.  It need not be the
 * right one. */
static inline uint32_t flow_guess(const struct flow_table *t, uint64_t hash)
{
	const struct flow_bucket *b = flow_home(t, hash);
	uint32_t tag = flow_tag(hash);
	for (unsigned i = 0; i < FLOW_BUCKET; i++)
		if (b->tags[i] == tag)
			return b->flows[i];
	return NONE;
}

static inline bool flow_is(const struct flow *f, const struct endpoint *src,
			   const struct endpoint *dst)
{
	return endpoint_equal(&f->src, src) && endpoint_equal(&f->dst, dst);
}

/* 224.0.0.0/4 (RFC 5771), ff00::/8 (RFC 4291, 2.7): many may send there, and many listen. */
static inline bool flow_is_multicast(const struct endpoint *dst)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(dst->addr, mapped, sizeof mapped) == 0)
		return dst->addr[12] >> 4 == 14;
	return dst->addr[0] == 0xff;
}

uint32_t flow_find(const struct flow_table *t, uint64_t hash, const struct endpoint *src,
		   const struct endpoint *dst);

/* Add a flow that is not there; its lists are empty.  NONE when the table is full. */
uint32_t flow_add(struct flow_table *t, const struct endpoint *src, const struct endpoint *dst);

/* Remove one that nothing hangs on any more.  Its place still says so: a look-up of before may look
 * at it. */
void flow_remove(struct flow_table *t, uint32_t flow);

/* The list of an expectation's flows. */
void flow_link(struct flow_table *t, uint32_t flow, uint32_t *head);
void flow_unlink(struct flow_table *t, uint32_t flow, uint32_t *head);

#endif
