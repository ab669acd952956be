/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* table.c: bounded hash table with keyed hashing.  One thread.
 *
 * A slot is one 64-bit word {tag, value} and the key's words.  The tag is the key's hash,
 * never 0 (0: the slot is free); its upper bits are the slot where the key would like to be:
 *
 *      word 0         words 1 ... n
 *     | tag | value | key ........ |
 *
 * An endpoint (three words) makes a slot of 32 bytes: a look-up usually costs one cache line.
 */
#include "base/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/pages.h"

__extension__ typedef unsigned __int128 u128;

#define SECRETS 6

struct table {
	uint64_t *slots; /* owned: (1 << bits) * stride words */
	uint64_t secret[SECRETS];
	uint32_t mask, count, max;
	unsigned words, stride, bits;
};

/* Multiply to 128 bits and fold: every bit of the result depends on all bits of both. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
	u128 product = (u128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint32_t hash(const struct table *t, const uint64_t *key)
{
	uint64_t h = t->secret[0];
	unsigned i = 0;

	for (; i + 1 < t->words; i += 2)
		h = mix(h ^ key[i] ^ t->secret[1], key[i + 1] ^ t->secret[2]);
	if (i < t->words)
		h = mix(h ^ key[i] ^ t->secret[1], t->secret[3]);
	h = mix(h ^ t->secret[4], t->secret[5]);
	return (uint32_t)(h >> 32) | 1;
}

static inline uint32_t home(const struct table *t, uint32_t tag)
{
	return tag >> (32 - t->bits);
}

static inline uint64_t *slot_at(const struct table *t, uint32_t i)
{
	return t->slots + (size_t)i * t->stride;
}

static inline uint32_t slot_tag(const uint64_t *slot)
{
	return (uint32_t)(slot[0] >> 32);
}

static inline uint32_t slot_value(const uint64_t *slot)
{
	return (uint32_t)slot[0];
}

struct table *table_new(unsigned words, uint32_t max_entries)
{
	if (words == 0 || words > 64 || max_entries == 0 || max_entries > UINT32_C(1) << 29)
		return NULL;
	struct table *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->words = words;
	t->stride = words + 1;
	t->max = max_entries;
	t->bits = 4;
	while (UINT64_C(1) << t->bits < UINT64_C(2) * max_entries)
		t->bits++;
	t->mask = (UINT32_C(1) << t->bits) - 1;
	t->slots = pages_new(((size_t)t->mask + 1) * t->stride * sizeof *t->slots, NULL);
	if (!t->slots || getrandom(t->secret, sizeof t->secret, 0) != (ssize_t)sizeof t->secret) {
		table_free(t);
		return NULL;
	}
	for (unsigned i = 0; i < SECRETS; i++)
		t->secret[i] |= 1; /* never multiply by 0 */
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	pages_free(t->slots, ((size_t)t->mask + 1) * t->stride * sizeof *t->slots);
	free(t);
}

/* The slot that holds `key`, or the free one where it would go. */
static inline uint32_t locate(const struct table *t, const uint64_t *key, uint32_t tag)
{
	uint32_t i = home(t, tag);

	/* At most half full, so a free slot ends every search. */
	for (;; i = (i + 1) & t->mask) {
		const uint64_t *slot = slot_at(t, i);
		uint32_t there = slot_tag(slot);
		if (there == 0)
			return i;
		if (there == tag && memcmp(slot + 1, key, t->words * sizeof *key) == 0)
			return i;
	}
}

uint32_t table_find(const struct table *t, const uint64_t *key)
{
	const uint64_t *slot = slot_at(t, locate(t, key, hash(t, key)));

	return slot_tag(slot) ? slot_value(slot) : TABLE_NONE;
}

void table_prefetch(const struct table *t, const uint64_t *key)
{
	__builtin_prefetch(slot_at(t, home(t, hash(t, key))));
}

bool table_put(struct table *t, const uint64_t *key, uint32_t value)
{
	uint32_t tag = hash(t, key);
	uint64_t *slot = slot_at(t, locate(t, key, tag));

	if (slot_tag(slot) == 0) {
		if (t->count == t->max)
			return false;
		memcpy(slot + 1, key, t->words * sizeof *key);
		t->count++;
	}
	slot[0] = (uint64_t)tag << 32 | value;
	return true;
}

uint32_t table_remove(struct table *t, const uint64_t *key)
{
	uint32_t hole = locate(t, key, hash(t, key));
	uint64_t *slot = slot_at(t, hole);

	if (slot_tag(slot) == 0)
		return TABLE_NONE;
	uint32_t value = slot_value(slot);

	/* Close the gap: whoever would like to be at or before the hole moves into it, so that
	 * no search ends too early and no slot is ever marked as deleted. */
	for (uint32_t i = (hole + 1) & t->mask; slot_tag(slot_at(t, i)); i = (i + 1) & t->mask) {
		uint32_t wants = home(t, slot_tag(slot_at(t, i)));
		if (((i - wants) & t->mask) < ((i - hole) & t->mask))
			continue;
		memcpy(slot_at(t, hole), slot_at(t, i), t->stride * sizeof *t->slots);
		hole = i;
	}
	memset(slot_at(t, hole), 0, t->stride * sizeof *t->slots);
	t->count--;
	return value;
}

uint32_t table_count(const struct table *t)
{
	return t->count;
}

/* Two lanes of 64 bits over blocks of 16 bytes, the last one padded with zeros; the length
 * goes into the end, so that padding and bytes are told apart. */
void table_digest(const struct table *t, const void *data, size_t len, uint64_t out[2])
{
	const uint64_t *s = t->secret;
	const uint8_t *p = data;
	uint64_t a = s[0], b = s[1], w[2];

	for (size_t left = len;; left -= sizeof w, p += sizeof w) {
		size_t n = left < sizeof w ? left : sizeof w;
		w[0] = w[1] = 0;
		if (n > 0)
			memcpy(w, p, n);
		a = mix(a ^ w[0] ^ s[2], w[1] ^ s[3]);
		b = mix(b ^ w[1] ^ s[4], w[0] ^ s[5]);
		if (left <= sizeof w)
			break;
	}
	out[0] = mix(a ^ s[1], (b ^ len) ^ s[0]);
	out[1] = mix(b ^ s[3], (a ^ len) ^ s[2]);
}
