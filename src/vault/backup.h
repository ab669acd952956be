/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* backup.h: copies of a store that forget what the store forgets.  Private to src/vault.
 *
 *   DIR/callspan-backup     the backup's id, its public key, and the secret half in a box under the backup's passphrase
 *   DIR/segments/           NAME.seg as it is; NAME.keys, the one copy of its slots, changed in place
 *   DIR/matters             the keys of matters (matter.h), each sealed to the backup's key; changed in place
 *   DIR/disposals           those that it has followed
 *   DIR/state/              swapped as a whole for the next one:
 *     index/                a copy of the index at one moment
 *     files/                STORE as far as it is small files without secrets
 *     secrets               the rest of them, sealed to the backup's key
 *   DIR/stale               there while the index there may not fit the segments: restore then makes it anew
 *
 * A slot lies in one place in a backup, and is overwritten there when it is here.  Each backup is registered in
 * STORE/vault/backups with how far it has followed the disposals of the store; a disposal says "destroyed" only once all
 * have.  docs/backup.md tells it to people.
 *
 *   backup_copy.c     files to files
 *   backup_list.c     the register
 *   backup_key.c      the backup's key pair, and what is sealed to it
 *   backup_matters.c  keys of matters
 *   backup_make.c     making one           backup_segment.c  one segment of one
 *   backup_follow.c   destroying in them what was destroyed here
 *   restore.c         a store from one     req_backup.c     what is asked of them
 */
#ifndef CALLSPAN_VAULT_BACKUP_H
#define CALLSPAN_VAULT_BACKUP_H

#include "vault/disposal.h"
#include "vault/parts.h"

#define BACKUP_ID   16
#define BACKUP_PATH 3000

#define BACKUP_KEY_FILE  "callspan-backup"
#define BACKUP_SEGMENTS  "segments"
#define BACKUP_MATTERS   "matters"
#define BACKUP_DISPOSALS "disposals"
#define BACKUP_STATE     "state"
#define BACKUP_STALE     "stale"

struct backup {
	uint8_t id[BACKUP_ID];
	char path[BACKUP_PATH];
	uint8_t public_key[32];
	uint64_t followed;        /* bytes of STORE/vault/disposals that it has followed */
	uint64_t matters;         /* destroyed keys of matters that it has followed */
	int64_t made_us;          /* when it was last made whole; 0: never */
	int64_t tried_us;         /* when it was last followed, or found out of reach */
	bool away;                /* it was out of reach then */
	uint64_t segments, bytes; /* of segments, when it was last made */
	uint64_t unknown;         /* segments there that this store knew nothing of then */
};

/* ---- backup_copy.c ------------------------------------------------------------------------------------------ */

/* Copy a file under another name first, synced, with its time.  *bytes (may be NULL) grows by its size. */
enum rc backup_copy(const char *from, const char *to, uint64_t *bytes, struct error *err) MUST_USE;
/* Is the copy of the same size and time?  Then it is taken for the same file. */
bool backup_copied(const char *from, const char *to);
/* Copy a file of slots in place, so that no other copy of them comes into being: what differs is overwritten, synced and
 * read back. */
enum rc backup_copy_slots(const char *from, const char *to, struct error *err) MUST_USE;
/* Bring a copy of a file that is only ever appended to up to `end` bytes; one that is another file is made anew. */
enum rc backup_copy_tail(const char *from, const char *to, uint64_t end,
			 struct error *err) MUST_USE;
/* Overwrite a file, sync, remove it; RC_OK too when it is not there. */
enum rc backup_wipe(const char *path, struct error *err) MUST_USE;
/* Copy a folder into one that does not exist.  `skip` (may be NULL) tells of a path within it that it is left out;
 * `earlier` (may be NULL): a folder with an earlier copy, whose files are linked where they are the same. */
typedef bool (*backup_skip)(const char *path);
enum rc backup_copy_tree(const char *from, const char *to, backup_skip skip, const char *earlier,
			 struct error *err) MUST_USE;

/* ---- backup_list.c ------------------------------------------------------------------------------------------ */

/* All that are registered; owned by the caller. */
enum rc backup_list(const struct vault *v, struct backup **all, size_t *count,
		    struct error *err) MUST_USE;
/* The one in that folder.  RC_NOT_FOUND. */
enum rc backup_find(const struct vault *v, const char *path, struct backup *b,
		    struct error *err) MUST_USE;
enum rc backup_save(const struct vault *v, const struct backup *b, struct error *err) MUST_USE;
enum rc backup_drop(const struct vault *v, const struct backup *b, struct error *err) MUST_USE;

/* ---- backup_key.c ------------------------------------------------------------------------------------------- */

/* What stands in DIR/callspan-backup. */
struct backup_key {
	uint8_t id[BACKUP_ID];
	uint8_t public_key[32];
	uint8_t box[PASSPHRASE_BOX(32)];
};
enum rc backup_key_make(const struct request *q, const char *dir, struct backup_key *k,
			struct error *err) MUST_USE;
/* RC_NOT_FOUND: there is no backup in that folder. */
enum rc backup_key_read(const char *dir, struct backup_key *k, struct error *err) MUST_USE;
/* RC_AGAIN: a passphrase is needed; RC_REFUSED: it is another. */
enum rc backup_key_open(const struct backup_key *k, const char *passphrase, struct seal_pair *pair,
			struct error *err) MUST_USE;
/* Is it there, and the one that is registered? */
bool backup_reachable(const struct backup *b);
/* The store's secrets into one sealed file, and out of it. */
enum rc backup_secrets_write(const struct vault *v, const uint8_t public_key[32], const char *path,
			     struct error *err) MUST_USE;
enum rc backup_secrets_read(const char *path, const struct seal_pair *pair, const char *store,
			    struct error *err) MUST_USE;

/* ---- backup_matters.c --------------------------------------------------------------------------------------- */

/* Bring the sealed copy to where the store's own file is; *destroyed: so many keys of it are. */
enum rc backup_matters_copy(const struct vault *v, const uint8_t public_key[32], const char *path,
			    uint64_t *destroyed, struct error *err) MUST_USE;
/* How many keys of matters were destroyed here. */
enum rc backup_matters_destroyed(const struct vault *v, uint64_t *destroyed,
				 struct error *err) MUST_USE;
enum rc backup_matters_read(const char *path, const struct seal_pair *pair, const char *store,
			    struct error *err) MUST_USE;

/* ---- backup_make.c ------------------------------------------------------------------------------------------ */

struct backup_made {
	struct backup backup;
	bool first;
	uint64_t copied, kept, removed; /* segments */
	uint64_t bytes;                 /* copied of them */
};
/* Make the one in that folder, or bring it up to date.  RC_AGAIN: to begin one takes a passphrase. */
enum rc backup_make(const struct request *q, const char *path, bool allow_cow,
		    struct backup_made *out, struct error *err) MUST_USE;

/* ---- backup_segment.c --------------------------------------------------------------------------------------- */

/* Copy a segment's files, wherever they lie here; *copied (may be NULL): NAME.seg was, and *bytes grows. */
enum rc backup_segment(struct vault *v, const struct backup *b, const char *name, bool *copied,
		       uint64_t *bytes, struct error *err) MUST_USE;
/* It is not here any more: overwrite its slots there, and remove it. */
enum rc backup_segment_gone(const struct backup *b, const char *name, struct error *err) MUST_USE;
/* It is not here: as backup_segment_gone(), once all recordings that its slots there are of were destroyed here.  Before
 * that it may be in no other place: those that were are overwritten, and *unknown says how many were not. */
enum rc backup_segment_let_go(struct vault *v, const struct backup *b, const char *name,
			      uint64_t *unknown, struct error *err) MUST_USE;
struct backup_pruned {
	uint64_t removed; /* segments */
	uint64_t unknown; /* that stay: nothing is known here of what they hold */
};
/* Take out all that are not here any more. */
enum rc backup_segments_prune(struct vault *v, const struct backup *b, char *const *names,
			      size_t count, struct backup_pruned *out, struct error *err) MUST_USE;
/* From here on the index there may not fit its segments. */
enum rc backup_mark_stale(const struct backup *b, struct error *err) MUST_USE;

/* ---- backup_follow.c ---------------------------------------------------------------------------------------- */

/* While recordings are destroyed: each registered backup within reach first follows what it has not yet. */
struct backup_following;
struct backup_following *backup_follow_begin(struct vault *v);
/* This one's slot has been overwritten here.  In order of segments. */
void backup_follow_line(struct backup_following *f, const struct disposal *d);
/* All registered backups have followed so far. */
bool backup_follow_whole(const struct backup_following *f);
/* What was destroyed is on record, in the file of disposals up to `end`; frees it. */
void backup_follow_end(struct backup_following *f, uint64_t end);
void backup_follow_free(struct backup_following *f);
/* A key of a matter was destroyed here. */
void backup_follow_matters(struct vault *v);
/* Have all within reach follow what they have not yet. */
void backup_follow_all(struct vault *v);
/* Is any of these left in one within reach?  As traces_search(). */
enum rc backup_search(struct vault *v, struct traces *t, uint64_t *found, char *where, size_t room,
		      struct error *err) MUST_USE;
/* Disposals that a backup has not followed. */
enum rc backup_pending(struct vault *v, const struct backup *b, uint64_t *pending,
		       struct error *err) MUST_USE;
/* What the least of them has followed; with none, all there is. */
enum rc backup_least(struct vault *v, uint64_t *least, struct error *err) MUST_USE;
/* Rows of disposals that all have followed by now say so. */
enum rc backup_settle(struct vault *v, struct error *err) MUST_USE;

#endif
