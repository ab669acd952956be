/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* parts.h: what the files of the vault know of each other.  Private to src/vault.
 *
 *   requests.c   one table: request, who may, what is audited, handler       <- read this first
 *     req_*.c    the handlers
 *   access.c     the one way to a recording that a request names
 *   opening.c    the one way to a recording's audio;  mute.c  what is taken out of it
 *   handover.c   how a file leaves the store: plain, zip.c, or sealed;  manifest.c  what goes with it, signed
 *   inspect.c    whether a file is what was handed over, without a store
 *   ingest.c     what recorders wrote -> rows, exactly once; takes closed segments over;  keep.c  when
 *   segments.c   where segments lie, what is remembered of them;  putback.c  copies of them that come back
 *   catalogue.c  calls in the index and everything that points at them
 *   call_row.c   a call <-> its row;  call_json.c  a call -> the contract's JSON
 *   recorded.c   what the audit trail says of a call
 *   reindex.c    drops what segments can tell again
 *   coverage.c   what of a call was seen and not recorded;  pcap_file.c  packets -> a capture file
 *   party.c      numbers -> keyed hashes
 *   audit.c      the audit trail: a chain of hashes;  entry.c  an entry as text;  heads.c  its signed heads
 *     audit_check.c  the trail against its heads, and against heads kept elsewhere;  journal.c  the journal
 *   holds.c      what keeps a recording past its time;  hold*.c  the holds that people make
 *   disposal.c   the one way to destroy recordings;  disposal_file.c  the record of it outside the index
 *   reclaim.c    the space of destroyed recordings;  traces.c  is anything left of them?
 *   purge*.c     the parts of a purge;  erasure.c  what is to be erased ahead of its time
 *   timekeeper.c is the clock to be believed?
 *   reviews.c    samples, reviews;  draw.c  a draw without bias;  grants.c  rights to hear one call
 *   policies.c   the policy in force, the periods that were applied, applying others
 *   matter.c     keys of what is known of people in holds and requests;  ledger.c  a copy of their rows outside the index
 *   backup*.c    copies of the store that forget what it forgets;  restore.c  a store from one
 *   inquiry*.c   requests of persons and authorities, and the way they go
 *   people.c     who has which role and sees what, and their passphrase boxes;  unlock.c  passphrases of requests
 *   rotate.c     other key pairs for the vault
 *   keys.c       key files;  disk.c  files that are there whole or not at all
 *   serve.c      the service: socket, callers, what is due each second
 *     http.c     requests and replies over HTTP;  spool.c  a reply between who makes it and who takes it
 *   turn.c       several threads, one vault: one of them works in it at a time
 *
 * One thread at a time uses a vault (turn.h).  Nothing here is ever linked into callspand.
 */
#ifndef CALLSPAN_VAULT_PARTS_H
#define CALLSPAN_VAULT_PARTS_H

#include <stdio.h>
#include <sys/stat.h>

#include "store/store.h"
#include "vault/vault.h"

/* ---- disk.c: files that are there whole or not at all ------------------------------------- */

/* "DIR/NAME" into path[STORE_PATH]; ASSERTs that it fits (roots are checked when a store is opened). */
void disk_path(char path[STORE_PATH], const char *dir, const char *name);
/* Whole file, at most `most` bytes, NUL appended; owned by the caller.  RC_NOT_FOUND, RC_FAILED. */
enum rc disk_read(const char *path, size_t most, char **text, size_t *len,
		  struct error *err) MUST_USE;
/* Make a new file of this mode, synced.  RC_FAILED when it exists. */
enum rc disk_create(const char *path, const void *data, size_t len, mode_t mode,
		    struct error *err) MUST_USE;
/* Put a file in the place of another, or make it: under another name first, synced.  It is there whole, or what was there
 * before still is. */
enum rc disk_replace(const char *path, const void *data, size_t len, mode_t mode,
		     struct error *err) MUST_USE;
/* The same of a file that holds secrets: what was there before is overwritten in place and synced. */
enum rc disk_replace_secret(const char *path, const void *data, size_t len, mode_t mode,
			    struct error *err) MUST_USE;
/* Overwrite a file in place, sync, remove it.  RC_OK too when there is none. */
enum rc disk_wipe(const char *path, struct error *err) MUST_USE;
/* What a crash left of such replacements in a folder. */
enum rc disk_wipe_left(const char *dir, struct error *err) MUST_USE;
/* Append a line (with its newline) and sync; the file is made (0600) when it is not there.  What a crash left of
 * a line before is cut off first; on failure nothing is added. */
enum rc disk_append_line(const char *path, const void *line, size_t len,
			 struct error *err) MUST_USE;
/* The last whole line, without its newline.  RC_NOT_FOUND: no file, no line, or a line of `room` bytes or more. */
enum rc disk_last_line(const char *path, char *line, size_t room, struct error *err) MUST_USE;
enum rc disk_make_dir(const char *path, mode_t mode, struct error *err) MUST_USE;
enum rc disk_sync_dir(const char *path, struct error *err) MUST_USE;
/* Move a regular file, synced, also across file systems; an existing `to` is an error.  `wipe`: where it must be copied, the
 * original is overwritten before it is removed. */
enum rc disk_move(const char *from, const char *to, bool wipe, struct error *err) MUST_USE;
/* Make a file that another user gave ours alone: our user's, under one name, and open for writing to nobody.  Who had it open,
 * or keeps another name of it, has the old file, overwritten if `wipe`; we have a copy. */
enum rc disk_own(const char *path, bool wipe, struct error *err) MUST_USE;
/* Is `a` the same as `b`, but for bytes that disk_wipe() has overwritten? */
bool disk_same_or_wiped(const char *a, const char *b);
/* True for a regular file (never through a symbolic link); its size. */
bool disk_is_file(const char *path, uint64_t *size);
bool disk_same(const char *a, const char *b); /* two files of the same bytes */
/* SHA-256 of a regular file by its descriptor, which may be write-only; "" for a pipe. */
void disk_hash(int fd, uint64_t *bytes, char hex[65]);
void disk_remove_tree(const char *path);

/* ---- keys.c: key files ----------------------------------------------------------------------
 * Text: a title line, then lines "name value"; bytes as hex. */

struct key_field {
	const char *name;
	uint8_t *bytes; /* hex of exactly `len` bytes, or */
	size_t len;
	char *text; /* a word of less than `room` characters */
	size_t room;
	bool optional;
	bool present; /* out */
};
/* RC_NOT_FOUND: no such file; RC_FAILED: not such a key file. */
enum rc keys_read(const char *path, const char *title, struct key_field *fields, size_t count,
		  struct error *err) MUST_USE;
/* Makes the file; an existing one is an error. */
enum rc keys_write(const char *path, const char *title, const struct key_field *fields,
		   size_t count, struct error *err) MUST_USE;
/* Replaces it, and overwrites the old one in place. */
enum rc keys_replace(const char *path, const char *title, const struct key_field *fields,
		     size_t count, struct error *err) MUST_USE;
void keys_hex(char *out, const uint8_t *bytes, size_t len); /* 2 * len + 1 characters */
bool keys_unhex(uint8_t *out, size_t len, const char *hex); /* exactly 2 * len characters */

/* The exchange of the vault's pairs (rotate.c), as far as it has come. */
enum rotation {
	ROTATION_NONE,
	ROTATION_SEALING, /* slots are under the pairs now or those before */
	ROTATION_ENDING   /* all are under the pairs now; key files still change */
};

/* What stands in STORE/vault/secret (and the enrolled recorder's public key). */
struct secrets {
	struct seal_pair metadata, audio; /* with those before while ROTATION_SEALING */
	enum rotation rotation;
	bool has_audio; /* unattended: audio.secret_key is known */
	uint8_t index_key[32];
	struct sign_pair heads;      /* signs the heads of the audit trail */
	uint8_t recorder_public[32]; /* as enrolled by init; not read from STORE/recorder */
};
enum rc keys_save(const char *store, struct secrets *k, struct error *err) MUST_USE;
enum rc keys_load(const char *store, struct secrets *k, struct error *err) MUST_USE;
/* `next` are to be the pairs: from here on they are known, and what is sealed from here on is sealed to them. */
enum rc keys_rotate_begin(const char *store, const struct secrets *k, struct secrets *next,
			  struct error *err) MUST_USE;
/* All slots are under them: the pairs before are needed no more. */
enum rc keys_rotate_end(const char *store, struct error *err) MUST_USE;
/* Put the pairs into the key files, and destroy what was there.  Done again, it does the rest. */
enum rc keys_rotate_settle(const char *store, struct secrets *k, struct error *err) MUST_USE;
/* The exchange is over. */
enum rc keys_rotate_done(const char *store, struct error *err) MUST_USE;

/* ---- people.c -------------------------------------------------------------------------------- */

#define PERSON_NAME      64
#define PERSON_SCOPE     1024
#define PASSPHRASE_LEAST 8 /* characters of a passphrase that is set */
#define PEOPLE_ROLES     5
#define ROLES_OPEN_AUDIO (ROLE_CONTROLLER | ROLE_MANAGER)

struct person {
	char name[PERSON_NAME];
	enum role role;
	bool disabled;  /* kept for the sake of the audit trail's names; refused everything */
	bool has_box;   /* has a passphrase, and under it a pair of their own */
	bool has_audio; /* may open audio with it */
	bool has_next;  /* ... also when the audio pair has been exchanged for the next */
	uint8_t public_key[32];
	uint8_t box[PASSPHRASE_BOX(32)];   /* their X25519 secret, under their passphrase */
	uint8_t audio[32 + SEAL_OVERHEAD]; /* the audio secret, sealed to public_key */
	uint8_t next[32 + SEAL_OVERHEAD];  /* the next audio secret, while it is exchanged */
	char scope[PERSON_SCOPE]; /* "group:NAME,line:PATTERN": what they see; empty: all */
	char added_by[PERSON_NAME];
	int64_t since_us, changed_us; /* 0: not known */
};
const char *people_role_name(enum role r);
enum role people_role_named(const char *name); /* ROLE_NONE: no role's name */
/* Names of all roles, for a list of choices. */
extern const char *const people_role_names[PEOPLE_ROLES];
bool people_name_valid(const char *name);
/* Make the person's key pair under a passphrase, with the audio secret (NULL: without) sealed to it; leaves no secret
 * behind.  Takes long: in a request, unlock.h does it. */
enum rc people_box(struct person *p, const struct seal_pair *audio, const char *passphrase,
		   struct error *err) MUST_USE;
/* A pair of theirs, whose secret lies in that box. */
void people_take_box(struct person *p, const uint8_t public_key[32],
		     const uint8_t box[PASSPHRASE_BOX(32)], const struct seal_pair *audio);
/* Seal the audio secret to the pair that they have. */
void people_give_audio(struct person *p, const struct seal_pair *audio);
/* The same of the secret that is to follow it. */
void people_give_next(struct person *p, const struct seal_pair *audio);
/* A new person.  RC_FAILED when that name is listed. */
enum rc people_save(const char *store, const struct person *p, struct error *err) MUST_USE;
/* A person who has changed; what the file held before is overwritten in place. */
enum rc people_replace(const char *store, const struct person *p, struct error *err) MUST_USE;
/* RC_NOT_FOUND when nobody of that name is listed. */
enum rc people_load(const char *store, const char *name, struct person *p,
		    struct error *err) MUST_USE;
/* All that are listed, by name; owned by the caller. */
enum rc people_all(const char *store, struct person **all, size_t *count,
		   struct error *err) MUST_USE;
void people_free(struct person *all, size_t count);
/* Next part of a scope: 'g' and a group's name, 'l' and a line's pattern, 0 at its end.  Start with *at = scope. */
char people_scope_next(const char **at, char value[POLICY_PATTERN]);
/* A scope as people write it, as it is kept.  RC_USAGE. */
enum rc people_scope_read(const char *text, char scope[PERSON_SCOPE], struct error *err) MUST_USE;
/* The pair in their box; takes long.  RC_REFUSED: a wrong passphrase. */
enum rc people_open_own(const struct person *p, const char *passphrase, struct seal_pair *own,
			struct error *err) MUST_USE;
/* RC_REFUSED: they have no audio secret. */
enum rc people_check_audio(const struct person *p, struct error *err) MUST_USE;
/* It, by their own pair, into audio->secret_key (audio's public key tells which, while it is exchanged). */
enum rc people_take_audio(const struct person *p, const struct seal_pair *own,
			  struct seal_pair *audio, struct error *err) MUST_USE;
bool people_same_keys(const struct person *a, const struct person *b);

struct request; /* requests.h */

/* ---- audit.c ------------------------------------------------------------------------------- */

struct audit_entry {
	uint64_t number;
	int64_t time_us;
	const char *person, *role, *action, *purpose, *reference, *outcome,
		*detail;         /* NULL: empty */
	const struct uuid *call; /* NULL: none */
	uint64_t after;          /* the anchor that was signed last before it; given here */
	const uint8_t
		*follows; /* the hash it follows, where entries before it were lost; else NULL */
	/* Of an entry that was read: as it lies in the index. */
	const char *text;
	size_t text_len;
};
#define AUDIT_DISPUTED "trail-disputed" /* action: what is signed contradicted the trail */
/* What the trail was at one of its entries: the number and hash of that entry. */
struct audit_mark {
	uint64_t number; /* 0: none */
	int64_t time_us;
	uint8_t hash[32];
};
struct audit_head {
	uint64_t number; /* entries written */
	int64_t time_us;
	uint8_t hash[32];
	bool pending;                /* a batch holds entries that are not committed yet */
	struct audit_mark committed; /* the newest entry committed */
	struct audit_mark before;    /* the newest of the commit before that */
	struct audit_mark anchor;    /* signed last for others to keep */
	bool owed;                   /* STORE/vault/audit-head is one commit short */
	unsigned slot;               /* which half of it holds the newest */
	char disputed[160]; /* how it contradicts the trail, until an entry tells; else empty */
	uint64_t outside_failed; /* anchors that did not reach the outside file since one did */
	int64_t outside_us;      /* when one last did */
};
/* Read the head, and write the signed one that a crash has kept out of its file.  RC_DAMAGED: no head that can be
 * read.  The head may be `disputed`. */
enum rc audit_load(struct vault *v, struct error *err) MUST_USE;
/* An entry that tells that the signed head contradicted the trail when it was opened, if it did. */
enum rc audit_dispute(struct vault *v, struct error *err) MUST_USE;
/* Take the chain up behind the newest signed head, for an index that has none of its entries. */
enum rc audit_take_up(struct vault *v, struct error *err) MUST_USE;
/* Add an entry to a batch (number, time and `after` are given here); gives its number. */
uint64_t audit_note(struct vault *v, struct index_batch *b, const struct audit_entry *e);
/* Put the head into a batch that is committed without audit_commit(); the next audit_load() signs it. */
void audit_put_head(struct vault *v, struct index_batch *b);
/* Commit a batch, synced, and sign the new head when entries were in it.  Frees the batch.  On failure the
 * chain stands where it stood, or (RC_FAILED too) the entries stand and their signed head is owed. */
enum rc audit_commit(struct vault *v, struct index_batch *b, struct error *err) MUST_USE;
/* How many entries this thread has committed, ever. */
uint64_t audit_written(void);
/* Give up a batch: the chain stands where it stood. */
void audit_drop(struct vault *v, struct index_batch *b);
/* One entry, committed and synced on return. */
enum rc audit_write(struct vault *v, const struct audit_entry *e, struct error *err) MUST_USE;
/* Sign the head for others to keep: to STORE/vault/audit-heads, the journal, and the outside file if there is to be one
 * (which may fail: v->head.outside_failed).  Nothing new to sign is RC_OK.  No batch with entries may be open. */
enum rc audit_anchor(struct vault *v, struct error *err) MUST_USE;
/* The same when an hour has passed since the last: after each request, and by the service's timer. */
enum rc audit_hourly(struct vault *v, struct error *err) MUST_USE;
/* Each entry in order along the chain, until `each` returns false; pointers in `e` are borrowed until it returns.  With a
 * request (else NULL) others have their turn now and then: `each` sees the entries that there were at the beginning. */
typedef bool (*audit_each)(void *ctx, const struct audit_entry *e, const uint8_t hash[32]);
enum rc audit_walk(struct vault *v, const struct request *q, audit_each each, void *ctx,
		   struct error *err) MUST_USE;
/* Entries as they lie there, from a number on (0: from the end concerned), up or down; hash is NULL. */
enum rc audit_read(struct vault *v, uint64_t from, bool down, audit_each each, void *ctx,
		   struct error *err) MUST_USE;
/* One of them by its number; owned by the caller (free()).  RC_NOT_FOUND. */
enum rc audit_text(struct vault *v, uint64_t number, char **text, size_t *len,
		   struct error *err) MUST_USE;

/* ---- party.c ----------------------------------------------------------------------------- */

#define PARTY_KEY  16
#define PARTY_TEXT 128
/* Digits of a number without visual separators and '+', or a user part in lower case. True: digits. */
bool party_plain(const char *party, char plain[PARTY_TEXT]);
void party_key(const struct vault *v, const char *plain, size_t len, uint8_t key[PARTY_KEY]);
/* The keys a party is found by: the whole, and its last 9, 6 and 4 digits.  At most 4. */
unsigned party_keys(const struct vault *v, const char *party, uint8_t keys[4][PARTY_KEY]);
/* Does the party asked for name this one?  Whole, or as the tail of its digits (9 digits at the most). */
bool party_matches(const char *asked, const char *party);

/* ---- a call, as the vault knows it ------------------------------------------------------- */

#define SEGMENT_NAME 128
#define CALL_PARTIES 8

struct call_filed { /* under which keys it stands in the index now */
	bool filed;
	int64_t start_us, expiry_us;
	struct uuid conversation;
	uint8_t parties[CALL_PARTIES][PARTY_KEY];
	unsigned parties_count;
};

struct call {
	struct call_record r;          /* strings of the sealed part are empty unless `opened` */
	struct stream_record *streams; /* owned; addresses only when `opened` */
	size_t streams_count;
	char segment[SEGMENT_NAME];
	uint32_t slot;
	char class[32];
	int64_t expiry_us; /* 0 while open */
	bool attested, recorder_stopped;
	uint64_t records, chunks, messages, first_offset, last_offset;
	uint64_t stored_bytes; /* of its records in the segment */
	uint8_t digest[32];

	uint8_t *
		sealed; /* owned: the sealed part as it stands in the row; NULL: there is none yet */
	size_t sealed_len;
	uint8_t nonce[12];
	bool opened; /* the sealed part is known in clear */
	bool stale;  /* ... and `sealed` no longer says so */

	uint8_t parties[CALL_PARTIES][PARTY_KEY]; /* keys of by_party, as they are to be */
	unsigned parties_count;

	struct call_filed filed;
};

/* call_row.c */
struct call *call_row_new(const struct uuid *id);
void call_row_free(struct call *c);
/* The stream of that number, added when it is new. */
struct stream_record *call_row_stream(struct call *c, uint16_t number);
/* Its row as bytes, owned by the caller.  `keys` seal the sealed part when it is stale (NULL: not needed). */
uint8_t *call_row_pack(struct call *c, const struct call_keys *keys, size_t *len);
/* NULL: not a row. */
struct call *call_row_unpack(const uint8_t *row, size_t len);
/* Open the sealed part.  False: it does not open under this key. */
bool call_row_open(struct call *c, const struct call_keys *keys);

/* coverage.c: what of a call was seen and not recorded */
#define COVERAGE_NAMES 24
#define COVERAGE_GAP   1.0 /* percent of a voice lost before it is remarked, unless asked otherwise */
struct coverage_kind {
	const char *name;
	bool loses; /* the recording is not whole */
	const char *prose;
};
struct coverage {
	const char *names[COVERAGE_NAMES]; /* borrowed from the call */
	unsigned count;
	bool whole;        /* nothing that was said is missing */
	bool excluded;     /* by the policy: nothing was to be recorded */
	double worst_loss; /* percent, of the voice that lost most */
};
void coverage_of(struct coverage *v, const struct call *c, double gap_percent);
bool coverage_has(const struct coverage *v, const char *name);
const struct coverage_kind *coverage_kind(const char *name); /* never NULL */
const struct coverage_kind *coverage_kind_at(size_t i);      /* NULL: no more */
double coverage_loss(const struct stream_record *s);         /* percent */
/* The call's stream number i, its losses less what the same sender sent elsewhere meanwhile. */
struct stream_record coverage_stream(const struct call *c, size_t i);

/* call_json.c */
enum call_json_kind { CALL_JSON_LIST, CALL_JSON_SHOW };
/* The contract's fields; masked: numbers starred, names and identifiers left out. */
json_t *call_json(const struct call *c, enum call_json_kind kind, bool masked);
json_t *call_json_time(int64_t us); /* RFC 3339, null for 0 */
json_t *call_json_party(const char *party, bool masked);
json_t *call_json_coverage(const struct coverage *v);
json_t *call_json_text(const char *s); /* null for ""; bytes that are not UTF-8 as '?' */

/* catalogue.c: calls in the index */
/* RC_NOT_FOUND; the sealed part stays closed. */
enum rc catalogue_get(struct vault *v, const struct uuid *id, struct call **out,
		      struct error *err) MUST_USE;
/* The same of an id that the index itself names: RC_DAMAGED where it is not there. */
enum rc catalogue_named(struct vault *v, const struct uuid *id, struct call **out,
			struct error *err) MUST_USE;
/* Every call that began from `since` to `until`, both included, oldest first.  `each` borrows it, its sealed part unopened, and
 * ends the walk with RC_END, which is then RC_OK, or with a failure.  With a request others have their turn in between
 * (requests_rest), and calls may go meanwhile; NULL: all in one turn. */
typedef enum rc (*catalogue_each)(void *ctx, struct call *c, struct error *err);
enum rc catalogue_walk(struct vault *v, const struct request *q, int64_t since_us, int64_t until_us,
		       catalogue_each each, void *ctx, struct error *err) MUST_USE;
/* The same of the times themselves, in a family whose keys are a time and an id (INDEX_BY_TIME, INDEX_EXPIRY); what the index
 * itself suffers is left to index_health(). */
typedef enum rc (*catalogue_each_time)(void *ctx, int64_t us, const struct uuid *id,
				       struct error *err);
enum rc catalogue_walk_times(struct vault *v, const struct request *q, enum index_family family,
			     int64_t since_us, int64_t until_us, catalogue_each_time each,
			     void *ctx, struct error *err) MUST_USE;
/* Open its sealed part by its slot, where that still can be (c->opened tells). */
void catalogue_open(struct vault *v, struct call *c);
/* The keys it is found by, from its parties (when their names are known in clear). */
void catalogue_parties(const struct vault *v, struct call *c);
/* When its retention ends, from its class and what it counts from, and the grace after a hold; 0 while it is open.  By the
 * periods that were applied. */
int64_t catalogue_expiry(struct vault *v, const struct call *c);
/* The same by the periods of another policy. */
int64_t catalogue_expiry_by(struct vault *v, const struct policy *p, const struct call *c);
/* Put the row and move everything that points at it. */
void catalogue_put(struct index_batch *b, struct call *c, const struct call_keys *keys);
/* Delete rows of calls and everything that points at them. */
struct catalogue_gone {
	const struct uuid *id;
	const struct call_filed *filed;
};
void catalogue_remove(struct index_batch *b, const struct catalogue_gone *gone, size_t n);
/* What a key of `expiry` and its value say. */
struct catalogue_timer {
	int64_t expiry_us, start_us;
	struct uuid id;
	uint64_t bytes;
	char class[32];
};
bool catalogue_timer(struct catalogue_timer *t, const uint8_t *key, size_t key_len,
		     const uint8_t *value, size_t value_len);
/* Keys of a family that begin with `lead` bytes and go on with ids: the one id of this text (as below).  RC_USAGE. */
enum rc catalogue_find_in(struct vault *v, enum index_family f, const char *lead, const char *text,
			  struct uuid *out, struct error *err) MUST_USE;
/* By full id or unique prefix of 8 characters or more.  RC_USAGE with one line otherwise. */
enum rc catalogue_find(struct vault *v, const char *id, struct uuid *out,
		       struct error *err) MUST_USE;
void catalogue_be64(uint8_t out[8], int64_t v); /* sorts as the number does (v >= 0) */
int64_t catalogue_from_be64(const uint8_t p[8]);

/* ---- segments.c ------------------------------------------------------------------------- */

enum segment_pending {
	SEGMENT_SETTLED,
	SEGMENT_REWRITING, /* NAME.seg.new is to take its place */
	SEGMENT_GOING      /* its files are to be removed */
};

struct segment_row {
	uint64_t cursor, seen_bytes, calls, records;
	uint64_t live_bytes; /* what the records of its calls take */
	uint64_t closed_bytes, closed_keys_bytes, attested_end;
	bool done, damaged, unattested_tail;
	bool thinned;     /* some that lived in it were destroyed */
	bool rewritten;   /* by the vault */
	uint32_t pending; /* enum segment_pending */
	bool has_closed_attest, has_last_attest;
	uint8_t closed_attest[32], last_attest[32];
	struct segment_mark verified; /* of a segment that is still being written */
	char what[256];
};
enum segment_place { SEGMENT_NOWHERE, SEGMENT_AT_RECORDER, SEGMENT_IN_VAULT };

enum rc segments_get(struct vault *v, const char *name, struct segment_row *row,
		     struct error *err) MUST_USE; /* RC_NOT_FOUND: row zeroed */
void segments_put(struct index_batch *b, const char *name, const struct segment_row *row);
/* It was damaged, and is now whole and what it was when it was closed: no longer flagged, and the trail tells. */
void segments_found_whole(struct vault *v, struct index_batch *b, const char *name,
			  struct segment_row *row);
/* Where its file lies; path (may be NULL) of the .seg file.  Of two the vault's counts. */
enum segment_place segments_locate(struct vault *v, const char *name, char path[STORE_PATH]);
/* Path of one of its files (".seg", ".keys") in a place, whether it is there or not. */
void segments_path(char path[STORE_PATH], const struct vault *v, enum segment_place place,
		   const char *name, const char *ext);
/* Whose key must have signed it: the recorder's, or (of a rewritten one) the vault's own. */
const uint8_t *segments_signer(const struct vault *v, const struct segment *s);
/* One of its files is not where it is to be, as by its row: in the vault, or, before it was taken, anywhere.  It is out of reach,
 * or lost. */
bool segments_missing(struct vault *v, const char *name, const struct segment_row *row);
/* One of its two files still lies at the recorder. */
bool segments_waits(struct vault *v, const char *name);
/* Its slot file has been moved and it has not. */
bool segments_half_taken(struct vault *v, const char *name);
uint64_t segments_keys_bytes(struct vault *v, const char *name);
/* Names found in both folders and in the index, sorted, each once. Owned by the caller. */
enum rc segments_names(struct vault *v, char ***names, size_t *count, struct error *err) MUST_USE;
/* Of these, the ones that ingest has to look at: at the recorder, or not done. */
enum rc segments_due(struct vault *v, char ***names, size_t *count, struct error *err) MUST_USE;
void segments_names_free(char **names, size_t count);
/* Move NAME.keys and NAME.seg out of the recorder's reach; done again, it does the rest.  RC_DAMAGED: another file
 * of that name lies in the vault already. */
enum rc segments_take(struct vault *v, const char *name, struct error *err) MUST_USE;
/* putback.c: the recorder has another segment of that name.  Slots of recordings that were destroyed are destroyed there too,
 * *ended of them, with entries for the trail; a copy that then has nothing of its own is removed: true. */
bool putback_end(struct vault *v, struct index_batch *b, const char *name, unsigned *ended);
/* Of one that is done and lies at the recorder: a crash has kept it from being taken over.  Where nothing of it lies in the vault,
 * what lies there must be what was closed, and no stray of its name. */
bool putback_may_take(struct vault *v, const char *name, const struct segment_row *row);
/* Map the segment at `path`; segment_verify() then knows the slots that this vault has sealed anew. */
enum rc segments_map(const struct vault *v, const char *path, struct segment **out,
		     struct error *err) MUST_USE;
/* Map a segment for reading, kept open for the request (borrowed). RC_NOT_FOUND: no file. */
enum rc segments_open(struct vault *v, const char *name, struct segment **out,
		      struct error *err) MUST_USE;
/* The metadata key of a call, without mapping its segment.  RC_NOT_FOUND: it was destroyed, or is gone. */
enum rc segments_peek(struct vault *v, const char *name, uint32_t slot, struct call_keys *keys,
		      struct error *err) MUST_USE;
void segments_forget_open(struct vault *v);
/* A call's digest takes in one more record: SHA-256(digest ‖ header with crc 0 ‖ tag or plain body). */
void segments_digest(uint8_t digest[32], const struct segment_record *r);

/* ---- ingest.c ------------------------------------------------------------------------------ */

#define INGEST_BATCH 1000 /* calls */
struct ingest_limits {
	unsigned calls_a_batch; /* commit when so many calls have changed */
	unsigned
		commits; /* stop after so many commits, 0: never.  Going on later gives the same index. */
	const volatile int *stop; /* NULL, or: stop after the next commit when this is set */
};
/* Take in what recorders have written; limits NULL: the usual.  RC_AGAIN: stopped by limits.  Where another thread is at
 * it (and has given way) it is waited for, but not for long: then what is in is what there is. */
enum rc ingest_run(struct vault *v, const struct ingest_limits *limits, struct error *err) MUST_USE;

/* Wait so long for another thread's run.  False: it goes on. */
bool ingest_wait(struct vault *v, int64_t patience_ns);
/* One segment; *commits counts on, *net (hold.h) is made anew where others have written meanwhile. */
struct hold_net;
enum rc ingest_segment(struct vault *v, const char *name, const struct ingest_limits *limits,
		       unsigned *commits, struct hold_net **net, struct error *err) MUST_USE;

/* ---- recorded.c: what the audit trail says of a call --------------------------------------------- */

/* The trail takes in an ended call's digest; again only when more of it has come. */
void recorded_note(struct vault *v, struct index_batch *b, const struct call *c);
/* The digest that it has, in hex; false: there is no such entry. */
bool recorded_digest(struct vault *v, const struct call *c, char digest[65]);

/* ---- reindex.c ----------------------------------------------------------------------------- */

/* RC_FAILED: a segment with recordings is not there, which a reindex would forget. */
enum rc reindex_all_there(struct vault *v, struct error *err) MUST_USE;
/* Have everything about recordings built anew by the next ingest. */
enum rc reindex_begin(struct vault *v, struct error *err) MUST_USE;
/* Drop it, when that was begun; ingest does this first. */
enum rc reindex_finish(struct vault *v, struct error *err) MUST_USE;
/* All that was dropped has been taken in again. */
enum rc reindex_filled(struct vault *v, struct error *err) MUST_USE;
/* RC_FAILED: some of it has not, and another thread is at it. */
enum rc reindex_check(struct vault *v, struct error *err) MUST_USE;
/* Set an index that cannot be read aside and make a new one, with the audit trail where it can be saved, else with
 * one that goes on from the newest signed head. */
enum rc reindex_rebuild(struct vault *v, const struct person *who, struct error *err) MUST_USE;

/* ---- vault.c and requests.c ---------------------------------------------------------------- */

/* RC_FAILED, with one line, for a store that init did not finish. */
enum rc vault_check_made(const char *store, struct error *err) MUST_USE;
/* For restore.c: a store that nobody else opens yet. */
#define VAULT_RESTORING "restoring" /* STORE/restoring is there until it is whole */
enum rc vault_open_restoring(struct vault **out, const char *store, int64_t (*now_us)(void *ctx),
			     void *now_ctx, struct error *err) MUST_USE;
/* init.c: RC_REFUSED on a file system where an overwritten key stays readable. */
enum rc vault_check_overwrites(const char *path, struct error *err) MUST_USE;
/* STORE/recorder and what is in it becomes that user's. */
enum rc vault_give_recorder(const char *store, uid_t uid, struct error *err) MUST_USE;
/* The index, the audit trail's head, and the policy against the one last seen.  RC_DAMAGED: no index. */
enum rc vault_open_index(struct vault *v, int wait_ms, struct error *err) MUST_USE;
/* RC_REFUSED: the store is another user's. */
enum rc vault_check_owner(const char *store, struct error *err) MUST_USE;
/* Of a vault that is shared: read the policy again; one that is wrong changes nothing. */
enum rc vault_reload(struct vault *v, struct error *err) MUST_USE;
/* keep.c: what is due each second. */
enum rc vault_keep(struct vault *v, const volatile int *stop, struct error *err) MUST_USE;

#define SEGMENTS_OPEN 32

struct vault {
	char store[STORE_PATH - 512]; /* so that every path below it fits */
	struct index *index;          /* NULL: damaged; reindex can still be asked for */
	struct error index_fault;     /* what is wrong with it then */
	struct policy policy;         /* STORE/policy.yaml: what is allowed, what is recorded */
	struct policy applied;        /* STORE/vault/policy.applied: how long recordings are kept */
	struct stat policy_file;      /* policy.yaml, as it was when it was read */
	struct error policy_fault; /* what was wrong with it when it was read again; "": nothing */
	bool applying;             /* policies.c: an apply has begun and is not finished */
	struct secrets keys;
	struct audit_head head;
	struct {
		char name[SEGMENT_NAME];
		struct segment *segment;
	} open[SEGMENTS_OPEN]; /* segments kept open for the request */
	unsigned open_next;
	int64_t (*now_us)(void *ctx); /* NULL: the machine's clock */
	void *now_ctx;
	char *ledger; /* owned: lines that go with the next commit; NULL: none */
	size_t ledger_len;
	uint64_t ledger_end;                     /* bytes of the ledger that are committed */
	uint64_t disposals_end, disposals_count; /* of STORE/vault/disposals, committed */
	bool disposals_open; /* a batch of destruction stopped half way: disposal_settle() first */
	char *head_file;     /* owned: the outside file for anchors; NULL: none */
	int64_t untied_us;   /* when the ties that the batch at hand undoes are undone; 0: none */
	size_t cache_bytes;  /* of the index in memory; 0: the usual */
	struct turn *turn;   /* owned: whose turn it is; NULL: one thread uses this vault */
	unsigned outside;    /* requests that have stepped out and will be back */
	bool looked; /* for segments that were put into the vault's folder: when opened, and at each purge */
	bool ingesting; /* one of the threads takes in what recorders wrote */
	bool reopening; /* the index is to be opened anew, which has failed so far */
	bool filling;   /* a reindex has dropped what is not all taken in again */
};

/* Where several threads share a vault (turn.h); else they do nothing.  Nothing of the vault is held at any of them. */
void vault_enter(struct vault *v);
void vault_leave(struct vault *v);
/* In the middle of a request: work without the vault, and come back. */
void vault_step_out(struct vault *v);
void vault_step_in(struct vault *v);
/* Let those who wait do what they came for: between the batches of a long loop. */
void vault_give_way(struct vault *v);

/* Unix microseconds by the vault's clock: everything about retention and audit goes by this. */
int64_t vault_now_us(const struct vault *v);

/* A row of the table, for those who print it; false: no more. */
struct request_right {
	const char *name;
	unsigned roles; /* bits of enum role */
};
bool requests_right(size_t row, struct request_right *right);

#include "vault/requests.h"

#endif
