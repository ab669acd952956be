/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* hash.h: a keyed hash of endpoints.
 *
 * Two 64-bit words are multiplied after random keys were added, and the halves of the product
 * folded: one multiplication an endpoint.  The keys are drawn at start, so whoever sends packets
 * cannot choose collisions.  An endpoint's hash finds expectations and the pen; two of them mixed
 * find a flow.
 */
#ifndef CALLSPAN_RTP_HASH_H
#define CALLSPAN_RTP_HASH_H

#include <string.h>
#include <sys/random.h>

#include "base/net.h"
#include "base/rc.h"

struct hash_key {
	uint64_t k[6];
};

__extension__ typedef unsigned __int128 hash_product; /* not in ISO C; gcc and clang have it */

static inline void hash_key_draw(struct hash_key *key)
{
	ASSERT(getrandom(key, sizeof *key, 0) == (ssize_t)sizeof *key);
	key->k[3] |= 1; /* a multiplier must be odd */
}

static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
	hash_product p = (hash_product)a * b;
	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t hash_endpoint(const struct hash_key *key, const struct endpoint *e)
{
	uint64_t w[3];
	memcpy(w, e, sizeof w); /* ours, not the network's: it may be read as words */
	return hash_fold(w[0] ^ key->k[0], w[1] ^ key->k[1]) + (w[2] ^ key->k[2]) * key->k[3];
}

static inline uint64_t hash_pair(const struct hash_key *key, uint64_t src, uint64_t dst)
{
	return hash_fold(src ^ key->k[4], dst ^ key->k[5]);
}

/* The bits of a hash that choose one of `size` (a power of two) places. */
static inline uint32_t hash_place(uint64_t hash, uint32_t size)
{
	return (uint32_t)(hash ^ hash >> 32) & (size - 1);
}

/* The smallest power of two that is at least n. */
static inline uint32_t hash_size(uint64_t n)
{
	uint32_t size = 1;
	while (size < n && size < UINT32_C(1) << 31)
		size <<= 1;
	return size;
}

#endif
