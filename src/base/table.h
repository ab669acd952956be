/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* table.h: a bounded hash table with keyed hashing.
 *
 * Keys are `words` 64-bit words; values are 32-bit numbers (an index into whatever the
 * owner keeps).  Open addressing, linear probing, backward-shift deletion, at most half
 * full; nothing is allocated after table_new().  The hash is keyed with random bytes, so
 * whoever sends packets cannot choose collisions.  One thread owns a table.
 *
 * Variable-length keys (Call-IDs) are reduced to words by table_digest() first.
 */
#ifndef CALLSPAN_BASE_TABLE_H
#define CALLSPAN_BASE_TABLE_H

#include "base/rc.h"

struct table;
#define TABLE_NONE UINT32_MAX

struct table *table_new(unsigned words, uint32_t max_entries);
void table_free(struct table *t);

/* The value stored under `key`, or TABLE_NONE. */
uint32_t table_find(const struct table *t, const uint64_t *key);

/* Begin to load the slot that table_find() of this key will look at. */
void table_prefetch(const struct table *t, const uint64_t *key);

/* Add or replace.  False when the table is full. */
bool table_put(struct table *t, const uint64_t *key, uint32_t value);

/* Remove; gives what was there, or TABLE_NONE. */
uint32_t table_remove(struct table *t, const uint64_t *key);
uint32_t table_count(const struct table *t);

/* A 128-bit digest of any bytes, by a mix keyed with the table's own random bytes: good for a
 * key of this table (or of another, as long as this one lives), never to be stored or shown. */
void table_digest(const struct table *t, const void *data, size_t len, uint64_t out[2]);

#endif
