/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reindex.c: dropping from the index everything that segments and slots can tell again.
 *
 * The audit trail stays, and so does what is remembered of closed segments: it is what they are held against.
 * A mark in the index is set before anything is dropped and goes with the rewound cursors, so that a reindex that
 * was killed is finished before anything is taken in again.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/parts.h"

#define DROP_A_BATCH 10000

static const char mark[] = "reindex";

static enum rc drop_family(struct vault *v, enum index_family family, struct error *err)
{
	struct index_cursor *c = index_cursor_new(v->index, family, NULL, 0, false);
	struct index_batch *b = index_batch_new(v->index);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	unsigned n = 0;
	enum rc rc = RC_OK;
	while (rc == RC_OK && index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		index_batch_delete(b, family, key, key_len);
		if (++n % DROP_A_BATCH)
			continue;
		rc = index_batch_commit(b, err);
		b = index_batch_new(v->index);
	}
	index_cursor_free(c);
	if (rc == RC_OK)
		return index_batch_commit(b, err);
	index_batch_drop(b);
	return rc;
}

/* Every segment from its start, but what is remembered of it stays. */
static enum rc rewind_segments(struct vault *v, char **names, size_t count, struct error *err)
{
	struct index_batch *b = index_batch_new(v->index);
	for (size_t i = 0; i < count; i++) {
		struct segment_row row;
		enum rc rc = segments_get(v, names[i], &row, err);
		if (rc != RC_OK && rc != RC_NOT_FOUND) {
			index_batch_drop(b);
			return rc;
		}
		/* One whose file is gone has only its memory. */
		if (rc == RC_NOT_FOUND || segments_locate(v, names[i], NULL) == SEGMENT_NOWHERE)
			continue;
		row.cursor = row.seen_bytes = row.calls = row.records = 0;
		row.done = row.has_last_attest = false;
		segments_put(b, names[i], &row);
	}
	index_batch_delete(b, INDEX_META, mark, sizeof mark - 1);
	return index_batch_commit(b, err);
}

static enum rc drop_calls(struct vault *v, struct error *err)
{
	static const enum index_family families[] = { INDEX_BY_TIME, INDEX_BY_PARTY,
						      INDEX_CONVERSATIONS, INDEX_EXPIRY,
						      INDEX_CALLS };
	enum rc rc = RC_OK;
	for (size_t i = 0; i < sizeof families / sizeof families[0] && rc == RC_OK; i++)
		rc = drop_family(v, families[i], err);
	return rc;
}

enum rc reindex_begin(struct vault *v, struct error *err)
{
	struct index_batch *b = index_batch_new(v->index);
	index_batch_put(b, INDEX_META, mark, sizeof mark - 1, NULL, 0);
	return index_batch_commit(b, err);
}

enum rc reindex_finish(struct vault *v, struct error *err)
{
	uint8_t *value;
	size_t len, count;
	char **names;
	enum rc rc = index_get(v->index, INDEX_META, mark, sizeof mark - 1, &value, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	free(value);
	rc = segments_names(v, &names, &count, err);
	if (rc != RC_OK)
		return rc;
	rc = drop_calls(v, err);
	if (rc == RC_OK)
		rc = rewind_segments(v, names, count, err);
	segments_names_free(names, count);
	return rc;
}
