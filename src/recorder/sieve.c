/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sieve.c: a direct-mapped cache of keyed 64-bit hashes; what collides is forgotten. */
#include "recorder/sieve.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "sip/sip.h"

#define PLACES_BITS 16
#define WORDS       6

__extension__ typedef unsigned __int128 product; /* not in ISO C; gcc and clang have it */

struct sieve {
	uint64_t key[WORDS]; /* random: nobody can choose collisions */
	uint64_t places[1 << PLACES_BITS];
};

struct sieve *sieve_new(void)
{
	struct sieve *s = calloc(1, sizeof *s);
	if (s)
		ASSERT(getrandom(s->key, sizeof s->key, 0) == (ssize_t)sizeof s->key);
	return s;
}

void sieve_free(struct sieve *s)
{
	free(s);
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	product p = (product)a * b;
	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t hash_of(const struct sieve *s, const struct endpoint *src,
			const struct endpoint *dst)
{
	uint64_t w[WORDS], h = 0;
	memcpy(w, src, sizeof *src);
	memcpy(w + 3, dst, sizeof *dst);
	for (unsigned i = 0; i < WORDS; i += 2)
		h = fold(h ^ w[i] ^ s->key[i], w[i + 1] ^ s->key[i + 1]);
	return h | 1; /* 0: the place is free */
}

static uint64_t *place_of(struct sieve *s, uint64_t hash)
{
	return &s->places[hash >> (64 - PLACES_BITS)];
}

void sieve_mark(struct sieve *s, const struct endpoint *src, const struct endpoint *dst)
{
	uint64_t hash = hash_of(s, src, dst);
	*place_of(s, hash) = hash;
}

bool sieve_passes(struct sieve *s, const struct piece *p, struct counters *c)
{
	bool syn = p->flags & TCP_SYN;

	if (p->wire_len == 0 && !(p->flags & (TCP_SYN | TCP_FIN | TCP_RST))) {
		count(c, COUNT_TCP_NO_DATA);
		return false;
	}
	uint64_t hash = hash_of(s, &p->src, &p->dst);
	uint64_t *place = place_of(s, hash);
	if (*place != hash)
		return true;
	if (syn || sip_begins(p->bytes, p->len)) {
		*place = 0;
		return true;
	}
	count(c, p->wire_len ? COUNT_TCP_NOT_SIP : COUNT_TCP_NO_DATA);
	return false;
}
