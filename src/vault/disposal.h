/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* disposal.h: the one way to destroy recordings.  Private to src/vault.
 *
 *   note the batch -> slots overwritten in place, synced, read back -> a line each in STORE/vault/disposals, synced
 *     -> one commit: rows and all that points at them gone, a disposal row each, an audit entry with the lines' hash
 *
 * Killed anywhere, disposal_settle() does at the next opening what was left: lines that no commit knows of are applied; of a
 * noted batch those recordings whose slot is overwritten already are finished, the others stay for the next purge.  So a
 * recording whose slot is gone is never served, and is on record exactly once.
 *
 * The file outlives the index: reindex takes it in again, and ingest destroys at once what comes back of a recording that
 * stands in it.
 *
 *   INDEX_META  'd' ‖ id      -> DisposalRow
 *               "disposals"   -> DisposalNote: how much of the file the index knows
 *               "destroying"  -> DisposalBatch, while a batch is at work
 */
#ifndef CALLSPAN_VAULT_DISPOSAL_H
#define CALLSPAN_VAULT_DISPOSAL_H

#include "vault/parts.h"

enum disposal_kind {
	DISPOSAL_EXPIRED,  /* its time was up */
	DISPOSAL_ERASED,   /* before its time, by people's decision */
	DISPOSAL_RESTORED, /* it had been destroyed, and a backup brought it back */
	DISPOSAL_LOST /* its segment was lost, and a person wrote it off: there may be no slot to overwrite */
};
#define DISPOSAL_KINDS 4
const char *disposal_kind_name(enum disposal_kind k);

enum disposal_state {
	DISPOSAL_LIVE =
		1, /* destroyed here; a registered backup has not followed yet ("destroyed-live") */
	DISPOSAL_DONE = 2 /* destroyed here and in every registered backup */
};
const char *disposal_state_name(enum disposal_state s);

/* A recording that is destroyed.  A list of these, sorted by segment and slot, is what registered backups are handed when the
 * slots here are gone: they overwrite the same slots of the same segments (see follow() in disposal.c). */
struct disposal {
	struct uuid id;
	int64_t start_us, end_us, expiry_us, destroyed_us;
	enum disposal_kind kind;
	enum disposal_state state; /* not in the file */
	char segment[SEGMENT_NAME];
	uint32_t slot;
	char class[32];
	char policy[17]; /* of the file that it was recorded under: 16 hex digits; may be empty */
	bool absent;     /* its slot file was not there */
};

/* What came of it, added up over calls of disposal_destroy(). */
#define DISPOSAL_CLASSES 32
struct traces;
struct disposal_sum {
	uint64_t destroyed, absent, failed;
	uint64_t bytes;      /* of their records */
	uint64_t begin, end; /* of their lines in the file; end 0: none */
	struct {
		char name[32];
		uint64_t count, bytes;
	} classes[DISPOSAL_CLASSES];
	unsigned classes_count;
	int64_t first_start_us, last_start_us;
	struct uuid low, high; /* ids destroyed lie between these */
	struct error first;    /* why the first of `failed` failed */
	struct traces *traces; /* borrowed: what their slots held is remembered here; NULL: not */
};

#define DISPOSAL_BATCH 10000

/* Destroy recordings, at most DISPOSAL_BATCH.  That it is right to do so, and an audit entry that says so, is the caller's
 * duty, before.  Ids that have no row are passed over.  RC_OK also where some could not be destroyed (sum->failed); they stay
 * as they are. */
enum rc disposal_destroy(struct vault *v, const struct uuid *ids, size_t n, enum disposal_kind kind,
			 const struct person *who, struct disposal_sum *sum,
			 struct error *err) MUST_USE;
/* Was it destroyed, by an id as people type it?  *err says when and why it was destroyed.  False: *err is left as it was. */
bool disposal_named(struct vault *v, const char *text, struct error *err);

/* When the vault is opened, and before anything is destroyed: finish what was begun.  RC_DAMAGED: the file is shorter than it
 * was. */
enum rc disposal_settle(struct vault *v, struct error *err) MUST_USE;
/* ---- disposal_row.c: rows of the index ------------------------------------------------------- */

void disposal_row_key(uint8_t key[17], const struct uuid *id);
void disposal_row_put(struct index_batch *b, struct disposal *d);
bool disposal_row_unpack(struct disposal *d, const uint8_t *value, size_t len);
/* Was it destroyed?  *out may be NULL. */
bool disposal_find(struct vault *v, const struct uuid *id, struct disposal *out);
/* Every registered backup has followed it: its row says so. */
void disposal_followed(struct vault *v, struct index_batch *b, const struct uuid *id);
/* So much of the file is known to the index, with so many recordings. */
void disposal_row_note(struct index_batch *b, uint64_t bytes, uint64_t count);
/* The same into v->disposals_end and disposals_count. */
enum rc disposal_row_read_note(struct vault *v, struct error *err) MUST_USE;

/* ---- disposal_file.c: STORE/vault/disposals ------------------------------------------------ */

/* "ID START END EXPIRY CLASS POLICY DESTROYED WHY SEGMENT SLOT HOW\n": times RFC 3339 in UTC or "-", why expired, erased,
 * restored or lost, how "overwritten" or "absent".  Nothing about who spoke. */
#define DISPOSAL_LINE 512
size_t disposal_file_line(char out[DISPOSAL_LINE], const struct disposal *d);
/* False: not such a line (`len` without its newline). */
bool disposal_file_parse(struct disposal *d, const char *line, size_t len);
/* Make room on the disk for so many bytes behind `at`, where the file system can. */
enum rc disposal_file_reserve(struct vault *v, uint64_t at, uint64_t len,
			      struct error *err) MUST_USE;
/* Write at `at`, which is the file's end, and sync. */
enum rc disposal_file_append(struct vault *v, uint64_t at, const char *text, size_t len,
			     struct error *err) MUST_USE;
/* Whole lines from `at` on, at most `most` bytes; *text owned by the caller, *len 0 at the end. */
enum rc disposal_file_read(struct vault *v, uint64_t at, size_t most, char **text, size_t *len,
			   struct error *err) MUST_USE;
/* 0: there is no file. */
uint64_t disposal_file_size(const struct vault *v);
enum rc disposal_file_cut(struct vault *v, uint64_t at, struct error *err) MUST_USE;
/* Put all disposals of the file into a new index; the note of them goes into `last`, which is committed after. */
enum rc disposal_file_replay(struct vault *v, struct index *index, struct index_batch *last,
			     struct error *err) MUST_USE;

#endif
