/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reseal.c: slots sealed to other public keys, in place, without their segment's noticing.
 *
 * A slot's SHA-256 stands in its slot record, which the recorder has signed.  So what the vault makes of a slot
 * later is told beside it, in NAME.reseal, signed with the vault's own key:
 *
 *     0          8         12        16           32                32 + 96 n
 *     | CSPANRSL | version | slots n | segment id | n entries       | signature (64) |
 *     entry:  | attested (32) | before (32) | now (32) |      all zero: never sealed anew
 *
 *   attested  the slot's hash when it was first sealed anew: a checker holds it against the slot record
 *   before    its hash before the newest re-sealing, for as long as that may be unfinished
 *   now       its hash after it
 *
 * Order: table made and synced under another name, renamed; slots overwritten; one sync of the slot file.  Wherever that
 * is cut short each slot has one of the two hashes.  A slot that someone put there before has a hash that
 * no slot record knows, so sealing it anew makes it no better.
 *
 * The vault's thread; nothing here runs in callspand.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "store/segment.h"

#define RESEAL_MAGIC   "CSPANRSL"
#define RESEAL_VERSION 1
#define SIGNATURE      64
#define SLOTS_MOST     (1u << 24)

static const char title[] = "callspan-reseal1"; /* signed before the table's bytes */
#define TITLE (sizeof title - 1)

/* ---- the table ----------------------------------------------------------------------------------- */

static const char *table_wrong(const uint8_t *bytes, size_t len, const struct uuid *segment,
			       const uint8_t vault_public[32], uint32_t *count)
{
	if (len < RESEAL_HEAD + SIGNATURE || memcmp(bytes, RESEAL_MAGIC, 8) != 0)
		return "the file beside the slots is not a table of them";
	struct bytes b = bytes_over(bytes + 8, 8);
	uint32_t version = bytes_u32_le(&b);
	*count = bytes_u32_le(&b);
	if (version != RESEAL_VERSION)
		return "the table beside the slots is of another version";
	if (*count > SLOTS_MOST || len != RESEAL_HEAD + (size_t)*count * RESEAL_ENTRY + SIGNATURE)
		return "the table beside the slots is cut short or too long";
	if (memcmp(bytes + 16, segment->b, 16) != 0)
		return "the table beside the slots is another segment's";
	uint8_t *text = malloc(TITLE + len);
	ASSERT(text);
	memcpy(text, title, TITLE);
	memcpy(text + TITLE, bytes, len);
	size_t covered = TITLE + len - SIGNATURE;
	bool good = sign_verify(text + covered, text, covered, vault_public);
	free(text);
	return good ? NULL : "the table beside the slots is not signed by this vault";
}

/* A regular file's bytes, owned; NULL: there is none, or (*wrong) none that can be read. */
static uint8_t *read_table(const char *path, size_t *len, const char **wrong)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	*wrong = NULL;
	if (fd < 0 && errno == ENOENT)
		return NULL;
	*wrong = "the table beside the slots cannot be read";
	uint8_t *bytes = NULL;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size <= (uint64_t)SLOTS_MOST * RESEAL_ENTRY + 4096) {
		*len = (size_t)st.st_size;
		bytes = malloc(*len + 1);
		ASSERT(bytes);
		if (pread(fd, bytes, *len, 0) == (ssize_t)*len) {
			*wrong = NULL;
		} else {
			free(bytes);
			bytes = NULL;
		}
	}
	if (fd >= 0)
		(void)close(fd);
	return bytes;
}

static void load_table(struct reseal_table *t, const char *path, const struct uuid *segment,
		       const uint8_t vault_public[32])
{
	size_t len = 0;

	memset(t, 0, sizeof *t);
	t->entries = read_table(path, &len, &t->wrong);
	if (t->entries)
		t->wrong = table_wrong(t->entries, len, segment, vault_public, &t->count);
	if (t->wrong)
		t->count = 0;
}

void reseal_free(struct reseal_table *t)
{
	union {
		const uint8_t *in;
		void *out;
	} u = { .in = t->entries };

	free(u.out);
	memset(t, 0, sizeof *t);
}

static const uint8_t *entry_at(const struct reseal_table *t, uint32_t slot)
{
	return slot < t->count ? t->entries + RESEAL_HEAD + (size_t)slot * RESEAL_ENTRY : NULL;
}

/* Does the entry know this hash as the slot's own? */
static bool entry_has(const uint8_t *entry, const uint8_t hash[32])
{
	return entry && (memcmp(entry + 32, hash, 32) == 0 || memcmp(entry + 64, hash, 32) == 0);
}

bool reseal_accepts(const struct reseal_table *t, uint32_t slot, const uint8_t attested[32],
		    const uint8_t hash[32])
{
	const uint8_t *entry = entry_at(t, slot);

	return entry_has(entry, hash) && memcmp(entry, attested, 32) == 0;
}

void segment_trust(struct segment *s, const char *seg_path, const uint8_t vault_public[32])
{
	char path[STORE_PATH];
	struct error ignored;

	reseal_free(&s->reseal);
	if (slot_path(path, seg_path, ".reseal", &ignored) == RC_OK)
		load_table(&s->reseal, path, &s->start.id, vault_public);
}

/* ---- sealing anew ------------------------------------------------------------------------------------ */

struct resealing {
	struct reseal *how;
	char keys_path[STORE_PATH], table_path[STORE_PATH];
	int fd;              /* owned: the slot file */
	const uint8_t *file; /* owned mapping of it */
	size_t size;
	struct uuid segment;
	uint32_t count;          /* slots */
	struct reseal_table old; /* owned */
	uint8_t *table;          /* owned: the new one's bytes, title before, signature after */
	uint8_t *slots;          /* owned: all slots as they are to be */
	bool *change;            /* owned: by slot */
	uint32_t changes;
};

/* RC_AGAIN: a test wants us killed here. */
static enum rc step(const struct reseal *how)
{
	if (!how->steps)
		return RC_OK;
	if (!*how->steps)
		return RC_AGAIN;
	--*how->steps;
	return RC_OK;
}

/* A slot file cannot have us work for more slots than its segment has room for. */
static uint32_t most_slots(const char *seg_path)
{
	struct stat st;
	uint64_t most = 65536;

	if (lstat(seg_path, &st) == 0 && S_ISREG(st.st_mode))
		most += (uint64_t)st.st_size / (RECORD_HEADER + SLOT_BODY);
	return most < SLOTS_MOST ? (uint32_t)most : SLOTS_MOST;
}

static enum rc open_slots(struct resealing *r, const char *seg_path, struct error *err)
{
	struct stat st;
	struct keys_head head;

	r->fd = open(r->keys_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (r->fd < 0)
		/* Gone is damage.  Anything else (a right, too many files, the disk) says nothing about its slots. */
		return error_errno(err, errno == ENOENT || errno == ELOOP ? RC_DAMAGED : RC_FAILED,
				   errno, "cannot open %s", r->keys_path);
	if (fstat(r->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < LAYOUT_BLOCK)
		return error_set(err, RC_DAMAGED, "%s is not a slot file", r->keys_path);
	r->size = (size_t)st.st_size;
	void *p = mmap(NULL, r->size, PROT_READ, MAP_SHARED, r->fd, 0);
	if (p == MAP_FAILED)
		return error_errno(err, RC_FAILED, errno, "cannot map %s", r->keys_path);
	r->file = p;
	const char *wrong = layout_head_get(&head, r->file, LAYOUT_BLOCK);
	if (wrong)
		return error_set(err, RC_DAMAGED, "%s: %s", r->keys_path, wrong);
	r->segment = head.segment;
	uint64_t n = (r->size - LAYOUT_BLOCK) / SLOT_BYTES, most = most_slots(seg_path);
	r->count = (uint32_t)(n < most ? n : most);
	return RC_OK;
}

static bool is_unused(const uint8_t *slot)
{
	static const uint8_t zeros[SLOT_BYTES];
	return memcmp(slot, zeros, SLOT_BYTES) == 0;
}

/* One box to its new key.  True: it was under the pair before; *closed: it opens by neither. */
static bool reseal_box(const struct resealing *r, uint8_t *slot, uint32_t n, bool metadata,
		       bool *closed)
{
	const struct seal_pair *pair = metadata ? &r->how->metadata : &r->how->audio;
	struct seal_pair now = *pair, before = { .has_before = false };
	uint8_t scratch[SLOT_BYTES];

	now.has_before = false;
	memcpy(before.public_key, pair->before_public, 32);
	memcpy(before.secret_key, pair->before_secret, 32);
	memcpy(scratch, slot, SLOT_BYTES);
	bool done = slot_reseal(scratch, &r->segment, n, metadata, &now, pair->public_key);
	bool made = !done && pair->has_before &&
		    slot_reseal(slot, &r->segment, n, metadata, &before, pair->public_key);
	*closed |= !done && !made;
	forget_bytes(&now, sizeof now);
	forget_bytes(&before, sizeof before);
	return made;
}

static void reseal_slot(struct resealing *r, uint32_t n)
{
	const uint8_t *was = r->file + LAYOUT_BLOCK + (size_t)n * SLOT_BYTES;
	uint8_t *slot = r->slots + (size_t)n * SLOT_BYTES, hash[32];
	uint8_t *entry = r->table + TITLE + RESEAL_HEAD + (size_t)n * RESEAL_ENTRY;
	const uint8_t *old = entry_at(&r->old, n);
	bool closed = false;

	memcpy(slot, was, SLOT_BYTES);
	if (slot_is_destroyed(slot) || is_unused(slot))
		return;
	if (old)
		memcpy(entry, old, RESEAL_ENTRY);
	bool audio = reseal_box(r, slot, n, false, &closed);
	bool metadata = reseal_box(r, slot, n, true, &closed);
	r->how->closed += closed;
	r->change[n] = audio || metadata;
	if (!r->change[n])
		return;
	digest_sha256(hash, was, SLOT_BYTES);
	if (!entry_has(old, hash))
		memcpy(entry, hash, 32);
	memcpy(entry + 32, hash, 32);
	digest_sha256(entry + 64, slot, SLOT_BYTES);
	r->changes++;
}

static void make_table(struct resealing *r)
{
	size_t len = TITLE + RESEAL_HEAD + (size_t)r->count * RESEAL_ENTRY;

	r->table = calloc(1, len + SIGNATURE);
	r->slots = malloc((size_t)r->count * SLOT_BYTES + 1);
	r->change = calloc((size_t)r->count + 1, sizeof *r->change);
	ASSERT(r->table && r->slots && r->change);
	uint8_t *head = r->table + TITLE;
	memcpy(r->table, title, TITLE);
	memcpy(head, RESEAL_MAGIC, 8);
	put_u32_le(head + 8, RESEAL_VERSION);
	put_u32_le(head + 12, r->count);
	memcpy(head + 16, r->segment.b, 16);
	for (uint32_t n = 0; n < r->count; n++)
		reseal_slot(r, n);
	sign_bytes(r->table + len, r->table, len, r->how->vault);
}

static enum rc sync_folder_of(const char *path, struct error *err)
{
	char dir[STORE_PATH];
	const char *slash = strrchr(path, '/');

	(void)snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1,
		       slash ? path : ".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = fd >= 0 && fsync(fd) == 0;
	int why = errno;
	if (fd >= 0)
		(void)close(fd);
	return good ? RC_OK : error_errno(err, RC_FAILED, why, "cannot sync %s", dir);
}

static enum rc write_table(const struct resealing *r, struct error *err)
{
	char part[STORE_PATH];
	size_t len = RESEAL_HEAD + (size_t)r->count * RESEAL_ENTRY + SIGNATURE;

	if ((size_t)snprintf(part, sizeof part, "%s.new", r->table_path) >= sizeof part)
		return error_set(err, RC_FAILED, "the name of the segment is too long");
	(void)unlink(part);
	int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool good = fd >= 0 && write(fd, r->table + TITLE, len) == (ssize_t)len && fsync(fd) == 0;
	int why = errno;
	if (fd >= 0 && close(fd) != 0)
		good = false;
	if (good && rename(part, r->table_path) != 0) {
		why = errno;
		good = false;
	}
	return good ? sync_folder_of(r->table_path, err)
		    : error_errno(err, RC_FAILED, why, "cannot write %s", r->table_path);
}

static enum rc write_slots(const struct resealing *r, struct error *err)
{
	enum rc rc = RC_OK;

	for (uint32_t n = 0; n < r->count && rc == RC_OK; n++) {
		const uint8_t *slot = r->slots + (size_t)n * SLOT_BYTES;
		off_t at = LAYOUT_BLOCK + (off_t)n * SLOT_BYTES;
		if (!r->change[n])
			continue;
		rc = step(r->how);
		if (rc == RC_OK && pwrite(r->fd, slot, SLOT_BYTES, at) != SLOT_BYTES)
			rc = error_errno(err, RC_FAILED, errno, "%s: cannot overwrite slot %u",
					 r->keys_path, n);
	}
	if (rc == RC_OK && fdatasync(r->fd) != 0)
		rc = error_errno(err, RC_FAILED, errno, "cannot sync %s", r->keys_path);
	return rc;
}

/* What stands on the disk, not in the cache. */
static enum rc read_back(const struct resealing *r, struct error *err)
{
	uint8_t back[SLOT_BYTES];

	(void)posix_fadvise(r->fd, 0, 0, POSIX_FADV_DONTNEED);
	for (uint32_t n = 0; n < r->count; n++) {
		off_t at = LAYOUT_BLOCK + (off_t)n * SLOT_BYTES;
		if (r->change[n] &&
		    (pread(r->fd, back, SLOT_BYTES, at) != SLOT_BYTES ||
		     memcmp(back, r->slots + (size_t)n * SLOT_BYTES, SLOT_BYTES) != 0))
			return error_set(err, RC_FAILED, "%s: slot %u reads back otherwise",
					 r->keys_path, n);
	}
	return RC_OK;
}

static enum rc reseal_all(struct resealing *r, const char *seg_path, struct error *err)
{
	enum rc rc = open_slots(r, seg_path, err);
	if (rc != RC_OK)
		return rc;
	load_table(&r->old, r->table_path, &r->segment, r->how->vault->public_key);
	make_table(r);
	if (!r->changes)
		return RC_OK;
	rc = step(r->how);
	if (rc == RC_OK)
		rc = write_table(r, err);
	if (rc == RC_OK)
		rc = write_slots(r, err);
	if (rc == RC_OK)
		rc = read_back(r, err);
	if (rc == RC_OK)
		r->how->sealed += r->changes;
	return rc;
}

enum rc segment_reseal(const char *seg_path, struct reseal *how, struct error *err)
{
	struct resealing r = { .how = how, .fd = -1 };

	enum rc rc = slot_path(r.keys_path, seg_path, ".keys", err);
	if (rc == RC_OK)
		rc = slot_path(r.table_path, seg_path, ".reseal", err);
	if (rc == RC_OK)
		rc = reseal_all(&r, seg_path, err);
	union {
		const uint8_t *in;
		void *out;
	} u = { .in = r.file };
	if (r.file)
		(void)munmap(u.out, r.size);
	if (r.fd >= 0)
		(void)close(r.fd);
	reseal_free(&r.old);
	free(r.table);
	free(r.slots);
	free(r.change);
	return rc;
}
