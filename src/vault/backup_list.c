/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* backup_list.c: the backups of a store that must forget what it forgets: one file each in STORE/vault/backups, named by its
 * id.  On the vault's thread.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/backup.h"

#define FOLDER  "vault/backups"
#define TITLE   "callspan registered backup 1"
#define NUMBER  24
#define NUMBERS 8

/* Numbers of a row, as text. */
struct numbers {
	char text[NUMBERS][NUMBER];
};
static const char *const number_names[NUMBERS] = { "followed", "matters",  "made",  "tried",
						   "away",     "segments", "bytes", "unknown" };

static void fields_of(struct key_field f[NUMBERS + 2], struct backup *b, struct numbers *n)
{
	memset(f, 0, (NUMBERS + 2) * sizeof *f);
	f[0] = (struct key_field){ .name = "public", .bytes = b->public_key, .len = 32 };
	f[1] = (struct key_field){ .name = "path", .text = b->path, .room = sizeof b->path };
	for (int i = 0; i < NUMBERS; i++)
		f[2 + i] = (struct key_field){ .name = number_names[i],
					       .text = n->text[i],
					       .room = NUMBER };
	/* Older files have it not. */
	f[1 + NUMBERS].optional = true;
	f[1 + NUMBERS].present = true;
}

static void file_path(const struct vault *v, const char *name, char path[STORE_PATH])
{
	char folder[STORE_PATH];
	disk_path(folder, v->store, FOLDER);
	disk_path(path, folder, name);
}

static enum rc load(const struct vault *v, const char *name, struct backup *b, struct error *err)
{
	char path[STORE_PATH];
	struct numbers n;
	struct key_field f[NUMBERS + 2];
	uint64_t values[NUMBERS];
	memset(b, 0, sizeof *b);
	memset(&n, 0, sizeof n);
	fields_of(f, b, &n);
	file_path(v, name, path);
	enum rc rc = keys_read(path, TITLE, f, NUMBERS + 2, err);
	if (rc != RC_OK)
		return rc;
	for (int i = 0; i < NUMBERS; i++)
		values[i] = strtoull(n.text[i], NULL, 10);
	b->followed = values[0];
	b->matters = values[1];
	b->made_us = (int64_t)values[2];
	b->tried_us = (int64_t)values[3];
	b->away = values[4];
	b->segments = values[5];
	b->bytes = values[6];
	b->unknown = values[7];
	return keys_unhex(b->id, sizeof b->id, name)
		       ? RC_OK
		       : error_set(err, RC_FAILED, "%s: not a backup's name", path);
}

static bool is_name(const char *name)
{
	uint8_t id[BACKUP_ID];
	return keys_unhex(id, sizeof id, name);
}

enum rc backup_list(const struct vault *v, struct backup **all, size_t *count, struct error *err)
{
	char folder[STORE_PATH];
	disk_path(folder, v->store, FOLDER);
	*all = NULL;
	*count = 0;
	DIR *d = opendir(folder);
	if (!d)
		return errno == ENOENT ? RC_OK : error_errno(err, RC_FAILED, errno, "%s", folder);
	const struct dirent *e;
	enum rc rc = RC_OK;
	while (rc == RC_OK && (e = readdir(d))) {
		if (!is_name(e->d_name))
			continue;
		*all = reallocarray(*all, *count + 1, sizeof **all);
		ASSERT(*all);
		rc = load(v, e->d_name, &(*all)[*count], err);
		*count += rc == RC_OK;
	}
	closedir(d);
	if (rc == RC_OK)
		return rc;
	free(*all);
	*all = NULL;
	*count = 0;
	return rc;
}

enum rc backup_find(const struct vault *v, const char *path, struct backup *b, struct error *err)
{
	struct backup *all;
	size_t count;
	enum rc rc = backup_list(v, &all, &count, err);
	if (rc != RC_OK)
		return rc;
	rc = RC_NOT_FOUND;
	for (size_t i = 0; i < count && rc != RC_OK; i++) {
		if (strcmp(all[i].path, path) != 0)
			continue;
		*b = all[i];
		rc = RC_OK;
	}
	free(all);
	return rc;
}

static enum rc make_folder(const struct vault *v, char folder[STORE_PATH], struct error *err)
{
	char vault[STORE_PATH];
	struct stat st;
	disk_path(folder, v->store, FOLDER);
	if (lstat(folder, &st) == 0)
		return RC_OK;
	disk_path(vault, v->store, "vault");
	enum rc rc = disk_make_dir(folder, 0700, err);
	return rc == RC_OK ? disk_sync_dir(vault, err) : rc;
}

enum rc backup_save(const struct vault *v, const struct backup *b, struct error *err)
{
	char folder[STORE_PATH], path[STORE_PATH], fresh[STORE_PATH], name[2 * BACKUP_ID + 1];
	struct numbers n;
	struct backup copy = *b;
	struct key_field f[NUMBERS + 2];
	const uint64_t values[NUMBERS] = { b->followed,
					   b->matters,
					   (uint64_t)b->made_us,
					   (uint64_t)b->tried_us,
					   b->away,
					   b->segments,
					   b->bytes,
					   b->unknown };
	for (int i = 0; i < NUMBERS; i++)
		snprintf(n.text[i], NUMBER, "%" PRIu64, values[i]);
	fields_of(f, &copy, &n);
	keys_hex(name, b->id, sizeof b->id);
	enum rc rc = make_folder(v, folder, err);
	if (rc != RC_OK)
		return rc;
	file_path(v, name, path);
	file_path(v, ".new", fresh);
	(void)unlink(fresh);
	rc = keys_write(fresh, TITLE, f, NUMBERS + 2, err);
	if (rc == RC_OK && rename(fresh, path) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	return rc == RC_OK ? disk_sync_dir(folder, err) : rc;
}

enum rc backup_drop(const struct vault *v, const struct backup *b, struct error *err)
{
	char folder[STORE_PATH], path[STORE_PATH], name[2 * BACKUP_ID + 1];
	keys_hex(name, b->id, sizeof b->id);
	file_path(v, name, path);
	disk_path(folder, v->store, FOLDER);
	if (unlink(path) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	return disk_sync_dir(folder, err);
}
