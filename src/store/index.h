/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* index.h: an ordered key-value store: families, batches, cursors (src/store/index.c).  Part of store.h, which others
 * include; no code but index.c knows what is behind it.
 */
#ifndef CALLSPAN_STORE_INDEX_H
#define CALLSPAN_STORE_INDEX_H

#include "base/rc.h"

enum index_family {
	INDEX_CALLS,
	INDEX_BY_TIME,
	INDEX_BY_PARTY,
	INDEX_CONVERSATIONS,
	INDEX_EXPIRY,
	INDEX_HOLDS,
	INDEX_SEGMENTS,
	INDEX_PEOPLE,
	INDEX_REQUESTS,
	INDEX_REVIEWS,
	INDEX_AUDIT,
	INDEX_META,
	INDEX_FAMILIES
};

struct index;
struct index_batch;
struct index_cursor;
/* wait_ms: how long to wait for another process's lock.  RC_AGAIN: it is held all the time; RC_DAMAGED: there is no index,
 * or one that cannot be read; RC_FAILED: it may not be opened, or not now. */
enum rc index_open(struct index **out, const char *dir, bool create, int wait_ms,
		   struct error *err) MUST_USE;
void index_close(struct index *x);
/* Make a copy of it as it stands now: a folder that does not exist yet, by hard links where that is on the same file
 * system.  It can be opened as an index of its own. */
enum rc index_checkpoint(struct index *x, const char *dir, struct error *err) MUST_USE;
/* How much of it may be kept in memory, for one that stays open. */
void index_cache(struct index *x, size_t bytes);
/* RC_DAMAGED when something unreadable was met (a cursor then ended early); asked once after walking. */
enum rc index_health(const struct index *x, struct error *err) MUST_USE;
/* Value owned by the caller (free()); RC_NOT_FOUND. */
enum rc index_get(struct index *x, enum index_family f, const void *key, size_t key_len,
		  uint8_t **value, size_t *value_len, struct error *err) MUST_USE;
/* Give back what deleted keys of a range (NULL: from the first, to the last) take on the disk; waits for it. */
void index_compact(struct index *x, enum index_family f, const void *from, size_t from_len,
		   const void *to, size_t to_len);
struct index_batch *index_batch_new(struct index *x);
void index_batch_put(struct index_batch *b, enum index_family f, const void *key, size_t key_len,
		     const void *value, size_t value_len);
void index_batch_delete(struct index_batch *b, enum index_family f, const void *key,
			size_t key_len);
/* A commit has failed (a full disk): it takes no more, and is as it was before when it is opened anew. */
bool index_is_stuck(const struct index *x);
/* How many batches were committed since it was opened: whether anything may have changed meanwhile. */
uint64_t index_commits(const struct index *x);
/* Atomic and synced; frees the batch. */
enum rc index_batch_commit(struct index_batch *b, struct error *err) MUST_USE;
void index_batch_drop(struct index_batch *b);
/* Ascending (or descending) from the first key >= (<=) `from`; from NULL: from the end concerned. */
struct index_cursor *index_cursor_new(struct index *x, enum index_family f, const void *from,
				      size_t from_len, bool descending);
/* False at the end.  Pointers borrowed until the next call. */
bool index_cursor_next(struct index_cursor *c, const uint8_t **key, size_t *key_len,
		       const uint8_t **value, size_t *value_len);
void index_cursor_free(struct index_cursor *c);

#endif
