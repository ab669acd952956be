/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* index.c: the index as an ordered key-value store, on RocksDB.
 *
 * The only file that knows RocksDB: families are its column families, a batch is its WriteBatch, every
 * commit is synced through its write-ahead log.  The vault's thread only.  It never looks into keys or
 * values; that no key holds personal data and no value a secret is its callers' duty, because what
 * RocksDB deletes stays on the disk for a while.
 */
#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

/* Column families by name, in the order of enum index_family; RocksDB insists on "default" too. */
static const char *const family_names[INDEX_FAMILIES + 1] = {
	"calls",  "by_time",  "by_party", "conversations", "expiry", "holds",   "segments",
	"people", "requests", "reviews",  "audit",         "meta",   "default",
};

#define RETRY_US      50000
#define WRITE_BUFFERS (16u << 20) /* bytes of all families together */
#define BLOCK_CACHE   (8u << 20)  /* of one that is opened for a command; index_cache() for more */
#define OPEN_FILES    512
#define FILTER_BITS   10          /* of a key: one in a hundred files is read in vain */
#define FILE_BYTES    (16u << 20) /* small files: to find one row, only its file's index is read */
#define ROW_BLOCK     4096
#define KEY_BLOCK     16384

struct index {
	rocksdb_t *db;
	rocksdb_options_t *rows, *keys; /* of families; `rows` is the database's too */
	rocksdb_cache_t *cache;
	rocksdb_readoptions_t *reading;
	rocksdb_writeoptions_t *writing;
	rocksdb_column_family_handle_t *families[INDEX_FAMILIES + 1];
	bool failed; /* something was met that cannot be read: sticky */
	uint64_t commits;
	/* A write failed: sticky.  RocksDB's log cannot be trusted to take more (Debian's build aborts when it is asked to);
	 * opened anew, it is as it was before. */
	bool stuck;
};

struct index_batch {
	struct index *index; /* borrowed */
	rocksdb_writebatch_t *writes;
};

struct index_cursor {
	struct index *index; /* borrowed */
	rocksdb_iterator_t *at;
	bool descending, started;
};

/* Families whose keys are all there is: they are walked, never asked for one key. */
static bool only_keys(enum index_family f)
{
	return f == INDEX_BY_TIME || f == INDEX_BY_PARTY || f == INDEX_CONVERSATIONS ||
	       f == INDEX_EXPIRY;
}

static rocksdb_options_t *make_options(bool create, bool only_keys_there, rocksdb_cache_t *cache)
{
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(o, create);
	rocksdb_options_set_create_missing_column_families(o, create);
	rocksdb_options_set_error_if_exists(o, create);
	rocksdb_options_set_paranoid_checks(o, 1);
	rocksdb_options_set_compression(o, rocksdb_no_compression);
	rocksdb_options_set_db_write_buffer_size(o, WRITE_BUFFERS);
	rocksdb_options_set_max_open_files(o, OPEN_FILES);
	rocksdb_options_set_keep_log_file_num(o, 2);
	/* Only what is fatal: its errors come back to us as they happen, and its own log aborts the program when a full disk
	 * makes it fail twice. */
	rocksdb_options_set_info_log_level(o, 4);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_stats_dump_period_sec(o, 0); /* nobody reads them */
	rocksdb_options_set_stats_persist_period_sec(o, 0);

	rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
	rocksdb_options_set_target_file_size_base(o, FILE_BYTES);

	/* What is kept in memory of files, their indexes and filters too, is within one cache. */
	rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_block_cache(t, cache);
	rocksdb_block_based_options_set_format_version(t, 5);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(t, 1);
	rocksdb_block_based_options_set_block_size(t, only_keys_there ? KEY_BLOCK : ROW_BLOCK);
	if (!only_keys_there)
		rocksdb_block_based_options_set_filter_policy(
			t, rocksdb_filterpolicy_create_bloom_full(FILTER_BITS)); /* moved */
	rocksdb_options_set_block_based_table_factory(o, t);
	rocksdb_block_based_options_destroy(t);
	return o;
}

static bool says(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strstr(text, words[i]))
			return true;
	}
	return false;
}

/* RocksDB tells of its LOCK file in words only: held by another process (EAGAIN of fcntl), or by this one.  One that
 * may not be opened, or is on a file system without locks, is none of these. */
static bool is_lock_error(const char *text)
{
	return strstr(text, "lock hold by current process") ||
	       (strstr(text, "While lock file") &&
		strstr(text, "Resource temporarily unavailable"));
}

/* What is there is not an index, or not all of one: no waiting and no right would help. */
static bool is_damage(const char *text)
{
	static const char *const words[] = { "Corruption", "does not exist",
					     "No such file or directory", "Column family not found",
					     "Input/output error" };
	return says(text, words, sizeof words / sizeof words[0]);
}

/* One attempt.  Its error text is RocksDB's, owned by the caller. */
static rocksdb_t *attempt(struct index *x, const char *dir, char **text)
{
	const rocksdb_options_t *options[INDEX_FAMILIES + 1];
	for (int i = 0; i <= INDEX_FAMILIES; i++)
		options[i] = only_keys((enum index_family)i) ? x->keys : x->rows;
	*text = NULL;
	return rocksdb_open_column_families(x->rows, dir, INDEX_FAMILIES + 1, family_names, options,
					    x->families, text);
}

static enum rc open_error(char *text, const char *dir, struct error *err)
{
	enum rc rc;
	if (is_lock_error(text))
		rc = error_set(err, RC_AGAIN, "index %s is in use", dir);
	else if (is_damage(text))
		rc = error_set(err, RC_DAMAGED, "index %s is damaged: %s", dir, text);
	else
		rc = error_set(err, RC_FAILED, "index %s: %s", dir, text);
	rocksdb_free(text);
	return rc;
}

enum rc index_open(struct index **out, const char *dir, bool create, int wait_ms, struct error *err)
{
	struct index *x = calloc(1, sizeof *x);
	ASSERT(x);
	x->cache = rocksdb_cache_create_lru(BLOCK_CACHE);
	x->rows = make_options(create, false, x->cache);
	x->keys = make_options(create, true, x->cache);
	x->reading = rocksdb_readoptions_create();
	rocksdb_readoptions_set_verify_checksums(x->reading, 1);
	x->writing = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(x->writing, 1);

	int64_t give_up_ns = clock_mono_ns() + wait_ms * INT64_C(1000000);
	enum rc rc = RC_OK;
	for (;;) {
		char *text;
		x->db = attempt(x, dir, &text);
		if (!text)
			break;
		rc = open_error(text, dir, err);
		if (rc != RC_AGAIN || clock_mono_ns() >= give_up_ns)
			goto fail;
		clock_sleep_us(RETRY_US);
	}
	*out = x;
	return RC_OK;
fail:
	index_close(x);
	return rc;
}

void index_close(struct index *x)
{
	if (!x)
		return;
	if (x->db) {
		for (int i = 0; i <= INDEX_FAMILIES; i++)
			rocksdb_column_family_handle_destroy(x->families[i]);
		rocksdb_close(x->db);
	}
	rocksdb_writeoptions_destroy(x->writing);
	rocksdb_readoptions_destroy(x->reading);
	rocksdb_options_destroy(x->keys);
	rocksdb_options_destroy(x->rows);
	rocksdb_cache_destroy(x->cache);
	free(x);
}

enum rc index_checkpoint(struct index *x, const char *dir, struct error *err)
{
	char *text = NULL;
	rocksdb_checkpoint_t *c = rocksdb_checkpoint_object_create(x->db, &text);
	/* 0: what is in memory only is written to a file first, so that no log need be copied. */
	if (c)
		rocksdb_checkpoint_create(c, dir, 0, &text);
	if (c)
		rocksdb_checkpoint_object_destroy(c);
	if (c && !text)
		return RC_OK;
	enum rc rc = error_set(err, RC_FAILED, "index, copy to %s: %s", dir, text ? text : "none");
	rocksdb_free(text);
	return rc;
}

void index_cache(struct index *x, size_t bytes)
{
	rocksdb_cache_set_capacity(x->cache, bytes);
}

enum rc index_health(const struct index *x, struct error *err)
{
	if (x->failed)
		return error_set(err, RC_DAMAGED,
				 "the index could not be read: see the log, then reindex");
	return RC_OK;
}

enum rc index_get(struct index *x, enum index_family f, const void *key, size_t key_len,
		  uint8_t **value, size_t *value_len, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	char *found = rocksdb_get_cf(x->db, x->reading, x->families[f], key, key_len, &len, &text);
	if (text) {
		enum rc rc = error_set(err, RC_DAMAGED, "index: %s", text);
		x->failed = true;
		rocksdb_free(text);
		return rc;
	}
	if (!found)
		return RC_NOT_FOUND;
	*value = malloc(len ? len : 1);
	ASSERT(*value);
	memcpy(*value, found, len);
	*value_len = len;
	rocksdb_free(found);
	return RC_OK;
}

void index_compact(struct index *x, enum index_family f, const void *from, size_t from_len,
		   const void *to, size_t to_len)
{
	rocksdb_compact_range_cf(x->db, x->families[f], from, from_len, to, to_len);
}

struct index_batch *index_batch_new(struct index *x)
{
	struct index_batch *b = calloc(1, sizeof *b);
	ASSERT(b);
	b->index = x;
	b->writes = rocksdb_writebatch_create();
	return b;
}

void index_batch_put(struct index_batch *b, enum index_family f, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	rocksdb_writebatch_put_cf(b->writes, b->index->families[f], key, key_len,
				  value_len ? value : "", value_len);
}

void index_batch_delete(struct index_batch *b, enum index_family f, const void *key, size_t key_len)
{
	rocksdb_writebatch_delete_cf(b->writes, b->index->families[f], key, key_len);
}

bool index_is_stuck(const struct index *x)
{
	return x->stuck;
}

uint64_t index_commits(const struct index *x)
{
	return x->commits;
}

enum rc index_batch_commit(struct index_batch *b, struct error *err)
{
	char *text = NULL;
	b->index->commits++;
	enum rc rc = RC_OK;
	if (b->index->stuck)
		rc = error_set(err, RC_FAILED, "index: a write has failed before this");
	else
		rocksdb_write(b->index->db, b->index->writing, b->writes, &text);
	if (text) {
		rc = error_set(err, RC_FAILED, "index: %s", text);
		b->index->stuck = true;
		b->index->failed |= is_damage(text);
		rocksdb_free(text);
	}
	index_batch_drop(b);
	return rc;
}

void index_batch_drop(struct index_batch *b)
{
	if (!b)
		return;
	rocksdb_writebatch_destroy(b->writes);
	free(b);
}

struct index_cursor *index_cursor_new(struct index *x, enum index_family f, const void *from,
				      size_t from_len, bool descending)
{
	struct index_cursor *c = calloc(1, sizeof *c);
	ASSERT(c);
	c->index = x;
	c->descending = descending;
	c->at = rocksdb_create_iterator_cf(x->db, x->reading, x->families[f]);
	if (from && descending)
		rocksdb_iter_seek_for_prev(c->at, from, from_len);
	else if (from)
		rocksdb_iter_seek(c->at, from, from_len);
	else if (descending)
		rocksdb_iter_seek_to_last(c->at);
	else
		rocksdb_iter_seek_to_first(c->at);
	return c;
}

/* The end, or something unreadable: the caller's loop ends either way, so what was
 * unreadable is kept for index_health(). */
static bool at_end(struct index_cursor *c)
{
	char *text = NULL;
	rocksdb_iter_get_error(c->at, &text);
	if (text) {
		log_error("index-unreadable", "what=\"%s\"", text);
		rocksdb_free(text);
		c->index->failed = true;
	}
	return false;
}

bool index_cursor_next(struct index_cursor *c, const uint8_t **key, size_t *key_len,
		       const uint8_t **value, size_t *value_len)
{
	if (c->started && rocksdb_iter_valid(c->at)) {
		if (c->descending)
			rocksdb_iter_prev(c->at);
		else
			rocksdb_iter_next(c->at);
	}
	c->started = true;
	if (!rocksdb_iter_valid(c->at))
		return at_end(c);
	*key = (const uint8_t *)rocksdb_iter_key(c->at, key_len);
	*value = (const uint8_t *)rocksdb_iter_value(c->at, value_len);
	return true;
}

void index_cursor_free(struct index_cursor *c)
{
	if (!c)
		return;
	rocksdb_iter_destroy(c->at);
	free(c);
}
