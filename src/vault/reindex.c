/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reindex.c: dropping from the index everything that segments and slots can tell again.
 *
 * The audit trail stays, and so does what is remembered of closed segments: it is what they are held against.
 * A mark in the index is set before anything is dropped and goes with the rewound cursors, so that a reindex that
 * was killed is finished before anything is taken in again.
 *
 * An index that cannot be opened or read is set aside, and a new one made: it is filled beside the old one, and takes
 * its name when it is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vault/audit_check.h"
#include "vault/disposal.h"
#include "vault/ledger.h"
#include "vault/policies.h"
#include "vault/timekeeper.h"

#define DROP_A_BATCH 10000

static const char mark[] = "reindex";    /* nothing was dropped yet, or not all */
static const char filling[] = "filling"; /* all was; not all has been taken in again */

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
		/* One that was not known is due as the others are; of one that is not there it stays known that it had
		 * calls. */
		if (!segments_missing(v, names[i], &row))
			row.calls = 0;
		row.cursor = row.seen_bytes = row.records = row.live_bytes = 0;
		row.done = row.has_last_attest = false;
		memset(&row.verified, 0, sizeof row.verified);
		segments_put(b, names[i], &row);
	}
	index_batch_delete(b, INDEX_META, mark, sizeof mark - 1);
	index_batch_put(b, INDEX_META, filling, sizeof filling - 1, NULL, 0);
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

enum rc reindex_all_there(struct vault *v, struct error *err)
{
	char **names;
	size_t count;
	enum rc rc = segments_names(v, &names, &count, err);
	for (size_t i = 0; i < count && rc == RC_OK; i++) {
		struct segment_row row;
		rc = segments_get(v, names[i], &row, err);
		if (rc == RC_OK && row.calls && segments_missing(v, names[i], &row))
			rc = error_set(
				err, RC_FAILED,
				"segment %s is not there, and what the index knows of its "
				"recordings nothing else tells: put it back, or write it off "
				"(callspan segment write-off)",
				names[i]);
		rc = rc == RC_NOT_FOUND ? RC_OK : rc;
	}
	segments_names_free(names, count);
	return rc;
}

enum rc reindex_begin(struct vault *v, struct error *err)
{
	struct index_batch *b = index_batch_new(v->index);
	index_batch_put(b, INDEX_META, mark, sizeof mark - 1, NULL, 0);
	return index_batch_commit(b, err);
}

static enum rc is_set(struct vault *v, const char *key, bool *set, struct error *err)
{
	uint8_t *value;
	size_t len;
	enum rc rc = index_get(v->index, INDEX_META, key, strlen(key), &value, &len, err);
	*set = rc == RC_OK;
	if (rc == RC_OK)
		free(value);
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

enum rc reindex_filled(struct vault *v, struct error *err)
{
	if (!v->filling)
		return RC_OK;
	struct index_batch *b = index_batch_new(v->index);
	index_batch_delete(b, INDEX_META, filling, sizeof filling - 1);
	enum rc rc = index_batch_commit(b, err);
	v->filling = rc != RC_OK;
	return rc;
}

enum rc reindex_check(struct vault *v, struct error *err)
{
	if (!v->filling || !v->ingesting)
		return RC_OK;
	return error_set(err, RC_FAILED,
			 "the index is being built anew: try again when that is done");
}

enum rc reindex_finish(struct vault *v, struct error *err)
{
	size_t count;
	char **names;
	bool begun;
	enum rc rc = is_set(v, mark, &begun, err);
	if (rc == RC_OK && !begun)
		return is_set(v, filling, &v->filling, err);
	if (rc != RC_OK)
		return rc;
	v->filling = true;
	rc = segments_names(v, &names, &count, err);
	if (rc != RC_OK)
		return rc;
	rc = drop_calls(v, err);
	if (rc == RC_OK)
		rc = rewind_segments(v, names, count, err);
	segments_names_free(names, count);
	return rc;
}

/* ---- an index that cannot be read ------------------------------------------------------------------ */

/* A new index that is being filled beside the old one. */
struct making {
	struct vault *v;
	char old[STORE_PATH], stage[STORE_PATH], aside[STORE_PATH];
	const char *aside_name; /* the last part of `aside` */
	struct index *index;
	struct index_batch *batch; /* of the new index */
	unsigned long segments;    /* whose memory was saved */
	bool trail;                /* the audit trail was saved */
	bool rescued;              /* what the ledger has lost was taken from the old index */
};

/* All rows of a family; false: some could not be read. */
static bool copy_family(struct making *m, struct index *from, enum index_family family,
			unsigned long *count)
{
	struct error ignored;
	struct index_cursor *c = index_cursor_new(from, family, NULL, 0, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	while (index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		index_batch_put(m->batch, family, key, key_len, value, value_len);
		++*count;
	}
	index_cursor_free(c);
	return index_health(from, &ignored) == RC_OK;
}

/* The trail is saved whole, up to the newest signed head, or not at all. */
static void save_trail(struct making *m)
{
	struct error ignored;
	struct audit_verdict verdict;
	unsigned long rows = 0;
	m->trail = audit_load(m->v, &ignored) == RC_OK && m->v->head.number && !m->v->head.owed &&
		   audit_check(m->v, NULL, NULL, 0, &verdict, &ignored) == RC_OK &&
		   copy_family(m, m->v->index, INDEX_AUDIT, &rows) &&
		   copy_family(m, m->v->index, INDEX_META, &rows);
	if (m->trail)
		return;
	index_batch_drop(m->batch);
	m->batch = index_batch_new(m->index);
}

/* What the old index still gives, where it can be opened. */
static void save_old(struct making *m)
{
	struct error ignored;
	struct vault *v = m->v;
	index_close(v->index);
	v->index = NULL;
	if (index_open(&v->index, m->old, false, 0, &ignored) != RC_OK)
		return;
	save_trail(m);
	(void)copy_family(m, v->index, INDEX_SEGMENTS, &m->segments);
	m->rescued = ledger_rescue(v, m->batch);
	index_close(v->index);
	v->index = NULL;
}

/* The entry that says what was lost, and the mark that has all segments taken in again. */
static void note_rebuilt(struct making *m, const struct person *who)
{
	char detail[256], trail[96] = "the audit trail was kept";
	bool lost = !m->trail && m->v->head.number;
	if (!m->trail)
		snprintf(trail, sizeof trail, "audit entries up to %llu are missing; policy=%.16s",
			 (unsigned long long)m->v->head.number, m->v->policy.hash);
	snprintf(detail, sizeof detail,
		 "%s; kept what was remembered of %lu segments; the old index is %s", trail,
		 m->segments, m->aside_name);
	audit_note(m->v, m->batch,
		   &(struct audit_entry){ .person = who->name,
					  .role = people_role_name(who->role),
					  .action = "index-rebuilt",
					  .outcome = "done",
					  .detail = detail,
					  .follows = lost ? m->v->head.committed.hash : NULL });
	audit_put_head(m->v, m->batch);
	if (!m->trail)
		policies_remember(m->v, m->batch);
	index_batch_put(m->batch, INDEX_META, mark, sizeof mark - 1, NULL, 0);
	log_warning("index-rebuilt", "what=\"%s\"", detail);
}

/* Both names at once where the file system can; else a kill in between leaves no index, which is made again. */
static enum rc swap(const struct making *m, struct error *err)
{
	char vault[STORE_PATH];
	disk_path(vault, m->v->store, "vault");
	bool done = renameat2(AT_FDCWD, m->stage, AT_FDCWD, m->old, RENAME_EXCHANGE) == 0;
	if (done)
		done = rename(m->stage, m->aside) == 0;
	else
		done = (rename(m->old, m->aside) == 0 || errno == ENOENT) &&
		       rename(m->stage, m->old) == 0;
	if (!done)
		return error_errno(err, RC_FAILED, errno, "%s", m->old);
	return disk_sync_dir(vault, err);
}

static enum rc fill(struct making *m, const struct person *who, struct error *err)
{
	enum rc rc = disk_make_dir(m->stage, 0700, err);
	if (rc == RC_OK)
		rc = index_open(&m->index, m->stage, true, 0, err);
	if (rc != RC_OK)
		return rc;
	m->batch = index_batch_new(m->index);
	save_old(m);
	if (!m->trail)
		timekeeper_recall(m->v, m->batch);
	if (!m->trail)
		rc = audit_take_up(m->v, err);
	if (rc == RC_OK)
		rc = m->rescued ? ledger_append(m->v, m->batch, err)
				: ledger_replay(m->v, m->batch, err);
	if (rc == RC_OK)
		rc = disposal_file_replay(m->v, m->index, m->batch, err);
	if (rc == RC_OK) {
		note_rebuilt(m, who);
		rc = index_batch_commit(m->batch, err);
	} else {
		index_batch_drop(m->batch);
	}
	ledger_settle(m->v, rc == RC_OK);
	index_close(m->index);
	return rc;
}

enum rc reindex_rebuild(struct vault *v, const struct person *who, struct error *err)
{
	struct making m = { .v = v };
	/* Whoever has stepped out will be back, and knows the index that there was. */
	if (v->outside)
		return error_set(err, RC_FAILED,
				 "others are at work in the store: try again in a moment");
	char name[64];
	long long now = (long long)(vault_now_us(v) / 1000000);
	segments_forget_open(v);
	disk_path(m.old, v->store, "vault/index");
	snprintf(name, sizeof name, "vault/index.new-%lld", now);
	disk_path(m.stage, v->store, name);
	snprintf(name, sizeof name, "vault/index.damaged-%lld", now);
	disk_path(m.aside, v->store, name);
	m.aside_name = strrchr(name, '/') + 1;
	enum rc rc = fill(&m, who, err);
	if (rc == RC_OK)
		rc = swap(&m, err);
	else
		disk_remove_tree(m.stage);
	/* That the newest head is not signed yet, opening mends. */
	if (rc == RC_OK)
		rc = vault_open_index(v, 0, err);
	return rc == RC_AGAIN ? RC_FAILED : rc;
}
