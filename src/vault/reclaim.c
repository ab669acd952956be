/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reclaim.c: see reclaim.h.  On the vault's thread. */
#include "vault/reclaim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vault/disposal.h"

#define ALIVE_PARTS  4     /* rewritten when less than one of so many parts is alive, */
#define WORTH_BYTES  65536 /* and so much comes back */
#define SEGMENTS_DIR "vault/segments"

static enum rc sync_segments(const struct vault *v, struct error *err)
{
	char path[STORE_PATH];
	disk_path(path, v->store, SEGMENTS_DIR);
	return disk_sync_dir(path, err);
}

static enum rc put_row(struct vault *v, const char *name, const struct segment_row *row,
		       struct error *err)
{
	struct index_batch *b = index_batch_new(v->index);
	segments_put(b, name, row);
	return index_batch_commit(b, err);
}

/* ---- removing ---------------------------------------------------------------------------------- */

static enum rc remove_file(const struct vault *v, const char *name, const char *ext,
			   uint64_t *bytes, struct error *err)
{
	char path[STORE_PATH];
	uint64_t size = 0;
	segments_path(path, v, SEGMENT_IN_VAULT, name, ext);
	if (!disk_is_file(path, &size))
		return RC_OK;
	if (unlink(path) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	*bytes += size;
	return RC_OK;
}

/* Its slots are overwritten once more as a whole: those that no record names with them. */
static enum rc finish_going(struct vault *v, const char *name, uint64_t *bytes, struct error *err)
{
	char path[STORE_PATH];
	segments_path(path, v, SEGMENT_IN_VAULT, name, ".seg");
	enum rc rc = segment_destroy_from(path, 0, err);
	if (rc == RC_OK || rc == RC_NOT_FOUND)
		rc = remove_file(v, name, ".seg", bytes, err);
	if (rc == RC_OK)
		rc = remove_file(v, name, ".reseal", bytes, err);
	if (rc == RC_OK)
		rc = remove_file(v, name, ".keys", bytes, err);
	if (rc == RC_OK)
		rc = sync_segments(v, err);
	if (rc != RC_OK)
		return rc;
	struct index_batch *b = index_batch_new(v->index);
	index_batch_delete(b, INDEX_SEGMENTS, name, strlen(name));
	return index_batch_commit(b, err);
}

/* No slot in it may be of a recording that lives, whatever is counted.  One that is damaged goes only when none is left. */
static bool nothing_lives(struct vault *v, const char *name, const struct segment_row *row)
{
	struct segment *s;
	struct error ignored;
	bool lives = false;
	char path[STORE_PATH];
	segments_path(path, v, SEGMENT_IN_VAULT, name, ".seg");
	if (segments_map(v, path, &s, &ignored) != RC_OK)
		return false;
	for (uint32_t n = 0; n < segment_slots(s) && !lives; n++) {
		struct slot slot;
		struct call *c = NULL;
		if (segment_slot(s, n, &slot, &ignored) != RC_OK || slot.destroyed)
			continue;
		lives = row->damaged || catalogue_get(v, &slot.call, &c, &ignored) != RC_NOT_FOUND;
		call_row_free(c);
	}
	segment_close(s);
	return !lives;
}

static enum rc remove_segment(struct vault *v, const char *name, struct segment_row *row,
			      struct reclaim_sum *sum, struct error *err)
{
	if (!nothing_lives(v, name, row)) {
		sum->skipped++;
		log_warning("segment-kept", "segment=%s what=\"it has slots that nobody knows\"",
			    name);
		return RC_OK;
	}
	row->pending = SEGMENT_GOING;
	struct index_batch *b = index_batch_new(v->index);
	segments_put(b, name, row);
	audit_note(v, b,
		   &(struct audit_entry){
			   .action = "segment-removed", .outcome = "done", .detail = name });
	enum rc rc = audit_commit(v, b, err);
	if (rc == RC_OK)
		rc = finish_going(v, name, &sum->bytes, err);
	sum->removed += rc == RC_OK;
	return rc;
}

/* ---- rewriting --------------------------------------------------------------------------------- */

static enum rc finish_rewriting(struct vault *v, const char *name, struct segment_row *row,
				struct error *err)
{
	char path[STORE_PATH];
	segments_path(path, v, SEGMENT_IN_VAULT, name, ".seg");
	enum rc rc = segment_rewrite_finish(path, &v->keys.heads, err);
	if (rc == RC_OK)
		rc = sync_segments(v, err);
	if (rc != RC_OK)
		return rc;
	row->pending = SEGMENT_SETTLED;
	return put_row(v, name, row, err);
}

/* The rows of those that live know where their records stand. */
static enum rc move_calls(struct vault *v, struct index_batch *b, struct segment *s,
			  const struct segment_rewritten *w, struct error *err)
{
	for (uint32_t n = 0; n < w->slots; n++) {
		struct slot slot;
		struct call *c;
		enum rc rc = segment_slot(s, n, &slot, err);
		if (rc == RC_OK && slot.destroyed)
			continue;
		if (rc == RC_OK)
			rc = catalogue_get(v, &slot.call, &c, err);
		if (rc == RC_NOT_FOUND)
			continue;
		if (rc != RC_OK)
			return rc;
		c->first_offset = w->first[n];
		c->last_offset = w->last[n];
		catalogue_put(b, c, NULL);
		call_row_free(c);
	}
	return RC_OK;
}

static void note_rewritten(struct vault *v, struct index_batch *b, const char *name,
			   const struct segment_row *row, const struct segment_rewritten *w)
{
	char detail[SEGMENT_NAME + 256], was[65] = "none", is[65];
	if (row->has_closed_attest)
		keys_hex(was, row->closed_attest, 32);
	keys_hex(is, w->last_attest, 32);
	snprintf(detail, sizeof detail,
		 "%s: bytes %" PRIu64 " -> %" PRIu64 ", last attest %s -> %s", name,
		 row->closed_bytes, w->bytes, was, is);
	audit_note(v, b,
		   &(struct audit_entry){
			   .action = "segment-rewritten", .outcome = "done", .detail = detail });
}

/* From this commit on the new segment is the one. */
static enum rc commit_rewritten(struct vault *v, const char *name, struct segment *s,
				struct segment_row *row, const struct segment_rewritten *w,
				struct error *err)
{
	struct index_batch *b = index_batch_new(v->index);
	enum rc rc = move_calls(v, b, s, w, err);
	if (rc != RC_OK) {
		audit_drop(v, b);
		return rc;
	}
	note_rewritten(v, b, name, row, w);
	row->cursor = row->seen_bytes = row->closed_bytes = row->attested_end = w->bytes;
	row->records = w->records;
	row->has_closed_attest = row->has_last_attest = true;
	memcpy(row->closed_attest, w->last_attest, 32);
	memcpy(row->last_attest, w->last_attest, 32);
	row->rewritten = true;
	row->thinned = false; /* until more of it goes */
	row->pending = SEGMENT_REWRITING;
	segments_put(b, name, row);
	return audit_commit(v, b, err);
}

/* Slots that no record names belong to no recording, and go now: the new segment is one that was closed. */
static enum rc end_unused(struct vault *v, const char *name, const char *path, uint32_t slots,
			  struct error *err)
{
	uint64_t used = SLOTS_AT + (uint64_t)slots * SLOT_BYTES;
	return segments_keys_bytes(v, name) > used ? segment_destroy_from(path, slots, err) : RC_OK;
}

static enum rc rewrite_opened(struct vault *v, const char *name, struct segment *s,
			      const char *path, struct segment_row *row, struct reclaim_sum *sum,
			      struct error *err)
{
	struct segment_report report;
	struct segment_rewritten w;
	struct error why = { "" };
	uint64_t before = row->closed_bytes;
	bool sound = segment_verify(s, segments_signer(v, s), &report) == RC_OK;
	if (!sound)
		error_set(&why, RC_DAMAGED, "%s", report.what);
	sound = sound && end_unused(v, name, path, report.slots, &why) == RC_OK;
	if (!sound ||
	    segment_rewrite(s, path, &v->keys.heads, vault_now_us(v), &w, &why) != RC_OK) {
		sum->skipped++;
		log_warning("segment-not-rewritten", "segment=%s what=\"%s\"", name, why.text);
		return RC_OK;
	}
	enum rc rc = commit_rewritten(v, name, s, row, &w, err);
	segment_rewrite_free(&w);
	if (rc == RC_OK)
		rc = finish_rewriting(v, name, row, err);
	if (rc != RC_OK)
		return rc;
	sum->rewritten++;
	sum->bytes += before - row->closed_bytes;
	return RC_OK;
}

static enum rc rewrite_segment(struct vault *v, const char *name, struct segment_row *row,
			       struct reclaim_sum *sum, struct error *err)
{
	char path[STORE_PATH];
	struct segment *s;
	segments_path(path, v, SEGMENT_IN_VAULT, name, ".seg");
	enum rc rc = segments_map(v, path, &s, err);
	if (rc != RC_OK)
		return rc == RC_DAMAGED ? RC_OK : rc; /* verify tells */
	rc = rewrite_opened(v, name, s, path, row, sum, err);
	segment_close(s);
	return rc;
}

/* ---- all of them ------------------------------------------------------------------------------- */

/* What a rewrite that was cut short before it counted has left. */
static void drop_leftover(const struct vault *v, const char *name)
{
	char path[STORE_PATH];
	segments_path(path, v, SEGMENT_IN_VAULT, name, ".seg.new");
	(void)unlink(path);
}

enum rc reclaim_finish(struct vault *v, const char *name, struct error *err)
{
	struct segment_row row;
	uint64_t bytes = 0;
	enum rc rc = segments_get(v, name, &row, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	if (row.pending == SEGMENT_GOING)
		return finish_going(v, name, &bytes, err);
	return row.pending == SEGMENT_REWRITING ? finish_rewriting(v, name, &row, err) : RC_OK;
}

static bool worth_rewriting(const struct segment_row *row)
{
	return !row->damaged && row->thinned && row->closed_bytes &&
	       ALIVE_PARTS * row->live_bytes < row->closed_bytes &&
	       row->closed_bytes - row->live_bytes >= WORTH_BYTES;
}

static enum rc reclaim_segment(struct vault *v, const char *name, struct reclaim_sum *sum,
			       struct error *err)
{
	struct segment_row row;
	enum rc rc = segments_get(v, name, &row, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	if (row.pending != SEGMENT_SETTLED)
		return reclaim_finish(v, name, err);
	if (!row.done || segments_locate(v, name, NULL) != SEGMENT_IN_VAULT ||
	    segments_waits(v, name))
		return RC_OK;
	drop_leftover(v, name);
	if (!row.calls && row.thinned)
		return remove_segment(v, name, &row, sum, err);
	return worth_rewriting(&row) ? rewrite_segment(v, name, &row, sum, err) : RC_OK;
}

enum rc reclaim_run(struct vault *v, struct reclaim_sum *sum, struct error *err)
{
	char **names;
	size_t count;
	segments_forget_open(v);
	enum rc rc = segments_names(v, &names, &count, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < count && rc == RC_OK; i++) {
		rc = reclaim_segment(v, names[i], sum, err);
		vault_give_way(v); /* nothing of the vault is held here */
	}
	segments_names_free(names, count);
	return rc;
}

/* A segment that cannot be finished now stops nobody from opening the vault. */
enum rc reclaim_settle(struct vault *v, struct error *err)
{
	char **names;
	size_t count;
	struct error why;
	enum rc rc = segments_names(v, &names, &count, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < count; i++) {
		if (reclaim_finish(v, names[i], &why) != RC_OK)
			log_error("segment-not-finished", "segment=%s what=\"%s\"", names[i],
				  why.text);
	}
	segments_names_free(names, count);
	return RC_OK;
}
