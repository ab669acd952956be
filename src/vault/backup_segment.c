/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* backup_segment.c: one segment in a backup: its records as they are, its slots in place.  On the vault's thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vault/backup.h"

/* What lies beside a segment and holds no key. */
static const char *const beside[] = { ".reseal" };

static enum rc place(const struct backup *b, const char *name, const char *ext,
		     char path[STORE_PATH], struct error *err)
{
	int n = snprintf(path, STORE_PATH, "%s/" BACKUP_SEGMENTS "/%s%s", b->path, name, ext);
	return n > 0 && n < STORE_PATH ? RC_OK
				       : error_set(err, RC_FAILED, "the backup's path is too long");
}

enum rc backup_mark_stale(const struct backup *b, struct error *err)
{
	char path[STORE_PATH];
	disk_path(path, b->path, BACKUP_STALE);
	if (disk_is_file(path, NULL))
		return RC_OK;
	enum rc rc = disk_create(path, "", 0, 0600, err);
	return rc == RC_OK ? disk_sync_dir(b->path, err) : rc;
}

/* Where one of its files lies here: the vault's counts, and once it was taken over, nothing that lies at the recorder. */
static bool find_here(struct vault *v, const char *name, const char *ext, char path[STORE_PATH])
{
	struct segment_row row;
	struct error ignored; /* index_health() keeps it */
	segments_path(path, v, SEGMENT_IN_VAULT, name, ext);
	if (disk_is_file(path, NULL))
		return true;
	enum rc rc = segments_get(v, name, &row, &ignored);
	if (row.done || (rc != RC_OK && rc != RC_NOT_FOUND))
		return false;
	segments_path(path, v, SEGMENT_AT_RECORDER, name, ext);
	return disk_is_file(path, NULL);
}

/* One that takes another's place (rewritten, or grown since) does not fit the index of then. */
static enum rc copy_records(struct vault *v, const struct backup *b, const char *name, bool *copied,
			    uint64_t *bytes, struct error *err)
{
	char from[STORE_PATH], to[STORE_PATH];
	*copied = false;
	enum rc rc = place(b, name, ".seg", to, err);
	if (rc != RC_OK || !find_here(v, name, ".seg", from) || backup_copied(from, to))
		return rc;
	if (disk_is_file(to, NULL))
		rc = backup_mark_stale(b, err);
	if (rc == RC_OK)
		rc = backup_copy(from, to, bytes, err);
	*copied = rc == RC_OK;
	return rc;
}

static enum rc copy_beside(struct vault *v, const struct backup *b, const char *name,
			   const char *ext, struct error *err)
{
	char from[STORE_PATH], to[STORE_PATH];
	enum rc rc = place(b, name, ext, to, err);
	if (rc != RC_OK)
		return rc;
	if (!find_here(v, name, ext, from)) {
		/* Of one that is out of reach it stays. */
		if (find_here(v, name, ".seg", from))
			(void)unlink(to);
		return RC_OK;
	}
	return backup_copied(from, to) ? RC_OK : backup_copy(from, to, NULL, err);
}

enum rc backup_segment(struct vault *v, const struct backup *b, const char *name, bool *copied,
		       uint64_t *bytes, struct error *err)
{
	char from[STORE_PATH], to[STORE_PATH];
	bool ignored;
	enum rc rc = copy_records(v, b, name, copied ? copied : &ignored, bytes, err);
	for (size_t i = 0; i < sizeof beside / sizeof beside[0] && rc == RC_OK; i++)
		rc = copy_beside(v, b, name, beside[i], err);
	if (rc == RC_OK)
		rc = place(b, name, ".keys", to, err);
	if (rc != RC_OK || !find_here(v, name, ".keys", from) || backup_copied(from, to))
		return rc;
	return backup_copy_slots(from, to, err);
}

enum rc backup_segment_gone(const struct backup *b, const char *name, struct error *err)
{
	char path[STORE_PATH];
	enum rc rc = place(b, name, ".keys", path, err);
	if (rc == RC_OK && disk_is_file(path, NULL))
		rc = backup_mark_stale(b, err);
	if (rc == RC_OK)
		rc = backup_wipe(path, err);
	if (rc == RC_OK)
		rc = place(b, name, ".seg", path, err);
	if (rc == RC_OK && unlink(path) != 0 && errno != ENOENT)
		rc = error_errno(err, RC_FAILED, errno, "%.300s", path);
	for (size_t i = 0; i < sizeof beside / sizeof beside[0] && rc == RC_OK; i++) {
		rc = place(b, name, beside[i], path, err);
		if (rc == RC_OK)
			(void)unlink(path);
	}
	return rc;
}

/* Slots there of recordings that were destroyed here are overwritten; *unknown: how many nothing is known of. */
static enum rc end_slots(struct vault *v, const char *seg, int fd, uint64_t *unknown,
			 struct error *err)
{
	static const uint8_t unused[SLOT_BYTES];
	uint8_t slot[SLOT_BYTES];
	struct uuid call;
	enum rc rc = RC_OK;
	for (uint32_t n = 0; rc == RC_OK; n++) {
		ssize_t got = pread(fd, slot, sizeof slot, SLOTS_AT + (off_t)n * SLOT_BYTES);
		if (got < 0)
			return error_errno(err, RC_FAILED, errno, "slots of %.300s", seg);
		if (got < SLOT_BYTES)
			break;
		memcpy(call.b, slot, sizeof call.b);
		if (slot_is_destroyed(slot) || memcmp(slot, unused, sizeof slot) == 0)
			continue;
		if (disposal_find(v, &call, NULL))
			rc = segment_destroy_slot(seg, n, err);
		else
			++*unknown;
	}
	return rc;
}

enum rc backup_segment_let_go(struct vault *v, const struct backup *b, const char *name,
			      uint64_t *unknown, struct error *err)
{
	char keys[STORE_PATH], seg[STORE_PATH];
	*unknown = 0;
	enum rc rc = place(b, name, ".keys", keys, err);
	if (rc == RC_OK)
		rc = place(b, name, ".seg", seg, err);
	if (rc != RC_OK)
		return rc;
	int fd = open(keys, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno != ENOENT)
		return error_errno(err, RC_FAILED, errno, "%.300s", keys);
	if (fd >= 0) {
		rc = end_slots(v, seg, fd, unknown, err);
		close(fd);
	}
	if (rc != RC_OK || !*unknown)
		return rc == RC_OK ? backup_segment_gone(b, name, err) : rc;
	log_warning("backup-unknown", "path=\"%s\" segment=%s recordings=%llu", b->path, name,
		    (unsigned long long)*unknown);
	return backup_mark_stale(b, err);
}

/* ---- those that are not here any more ------------------------------------------------------------------------- */

/* The segment that a file is of: its name up to the last dot. */
static bool name_of(const char *file, char name[SEGMENT_NAME])
{
	const char *dot = strrchr(file, '.');
	size_t len = dot ? (size_t)(dot - file) : 0;
	if (!len || len >= SEGMENT_NAME)
		return false;
	memcpy(name, file, len);
	name[len] = '\0';
	return true;
}

static int by_name(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

enum rc backup_segments_prune(struct vault *v, const struct backup *b, char *const *names,
			      size_t count, struct backup_pruned *out, struct error *err)
{
	uint64_t unknown;
	char path[STORE_PATH], name[SEGMENT_NAME], here[STORE_PATH];
	disk_path(path, b->path, BACKUP_SEGMENTS);
	DIR *d = opendir(path);
	if (!d)
		return error_errno(err, RC_FAILED, errno, "%.300s", path);
	const struct dirent *e;
	enum rc rc = RC_OK;
	while (rc == RC_OK && (e = readdir(d))) {
		if (!name_of(e->d_name, name) ||
		    (count && bsearch(name, names, count, sizeof *names, by_name)) ||
		    find_here(v, name, ".keys", here))
			continue;
		const char *ext = strrchr(e->d_name, '.');
		rc = backup_segment_let_go(v, b, name, &unknown, err);
		out->removed += !unknown && strcmp(ext, ".seg") == 0;
		out->unknown += unknown && strcmp(ext, ".keys") == 0;
	}
	closedir(d);
	return rc == RC_OK ? disk_sync_dir(path, err) : rc;
}
