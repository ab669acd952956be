/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* ledger.c: see ledger.h.  On the vault's thread. */
#include "vault/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/whole.h"

#define LEDGER_FILE  "vault/ledger"
#define LEDGER_BYTES ((size_t)4 << 30)

static const char mark[] = "ledger"; /* in INDEX_META: bytes of the file that are committed */

static const struct {
	enum index_family family;
	const char *name;
} families[] = {
	{ INDEX_HOLDS, "holds" },
	{ INDEX_REQUESTS, "requests" },
	{ INDEX_REVIEWS, "reviews" },
};
#define FAMILIES (sizeof families / sizeof families[0])

static const char *family_name(enum index_family f)
{
	size_t i = 0;
	while (i < FAMILIES && families[i].family != f)
		i++;
	ASSERT(i < FAMILIES);
	return families[i].name;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void add_line(struct vault *v, enum index_family f, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	const char *name = family_name(f);
	size_t most = strlen(name) + 2 * (key_len + value_len) + 8;
	char *more = realloc(v->ledger, v->ledger_len + most);
	ASSERT(more);
	v->ledger = more;
	char *at = more + v->ledger_len;
	at += sprintf(at, "%s ", name);
	keys_hex(at, key, key_len);
	at += 2 * key_len;
	*at++ = ' ';
	if (value)
		keys_hex(at, value, value_len);
	else
		*at = '-';
	at += value ? 2 * value_len : 1;
	*at++ = '\n';
	v->ledger_len = (size_t)(at - more);
}

void ledger_put(struct vault *v, struct index_batch *b, enum index_family f, const void *key,
		size_t key_len, const void *value, size_t value_len)
{
	index_batch_put(b, f, key, key_len, value, value_len);
	add_line(v, f, key, key_len, value_len ? value : "", value_len);
}

void ledger_delete(struct vault *v, struct index_batch *b, enum index_family f, const void *key,
		   size_t key_len)
{
	index_batch_delete(b, f, key, key_len);
	add_line(v, f, key, key_len, NULL, 0);
}

/* A file that is made has its name on the disk before anything relies on it. */
static enum rc open_file(const struct vault *v, char path[STORE_PATH], int *fd, struct error *err)
{
	char dir[STORE_PATH];
	disk_path(path, v->store, LEDGER_FILE);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	disk_path(dir, v->store, "vault");
	enum rc rc = v->ledger_end ? RC_OK : disk_sync_dir(dir, err);
	if (rc != RC_OK)
		close(*fd);
	return rc;
}

/* Behind what is committed, whatever a failure before has left there. */
static enum rc append(int fd, const struct vault *v, const char *path, struct error *err)
{
	if (ftruncate(fd, (off_t)v->ledger_end) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	if (!whole_write_at(fd, v->ledger, v->ledger_len, (off_t)v->ledger_end) || fsync(fd) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	return RC_OK;
}

enum rc ledger_append(struct vault *v, struct index_batch *b, struct error *err)
{
	char path[STORE_PATH];
	uint8_t end[8];
	if (!v->ledger_len)
		return RC_OK;
	int fd;
	enum rc rc = open_file(v, path, &fd, err);
	if (rc != RC_OK)
		return rc;
	rc = append(fd, v, path, err);
	close(fd);
	catalogue_be64(end, (int64_t)(v->ledger_end + v->ledger_len));
	index_batch_put(b, INDEX_META, mark, sizeof mark - 1, end, sizeof end);
	return rc;
}

void ledger_settle(struct vault *v, bool done)
{
	if (done)
		v->ledger_end += v->ledger_len;
	free(v->ledger);
	v->ledger = NULL;
	v->ledger_len = 0;
	v->untied_us = 0;
}

/* ---- opening ---------------------------------------------------------------------------------- */

static enum rc committed_end(struct vault *v, uint64_t *end, struct error *err)
{
	uint8_t *value;
	size_t len;
	*end = 0;
	enum rc rc = index_get(v->index, INDEX_META, mark, sizeof mark - 1, &value, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	for (size_t i = 0; i < len; i++)
		*end = *end << 8 | value[i];
	free(value);
	return RC_OK;
}

static uint64_t file_bytes(const struct vault *v, char path[STORE_PATH])
{
	struct stat st;
	disk_path(path, v->store, LEDGER_FILE);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

enum rc ledger_load(struct vault *v, struct error *err)
{
	char path[STORE_PATH];
	enum rc rc = committed_end(v, &v->ledger_end, err);
	if (rc != RC_OK)
		return rc;
	uint64_t bytes = file_bytes(v, path);
	if (bytes < v->ledger_end)
		return error_set(
			err, RC_DAMAGED,
			"%s is shorter than it was: holds and requests may be missing from it",
			path);
	if (bytes > v->ledger_end && truncate(path, (off_t)v->ledger_end) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	return RC_OK;
}

/* ---- a new index -------------------------------------------------------------------------------- */

/* "FAMILY KEY VALUE", cut up. */
static bool replay_line(struct index_batch *b, char *line)
{
	char *rest = NULL;
	const char *family = strtok_r(line, " ", &rest), *key = strtok_r(NULL, " ", &rest);
	const char *value = rest ? rest : "";
	size_t f = 0, key_len = key ? strlen(key) / 2 : 0, value_len = strlen(value) / 2;
	while (family && f < FAMILIES && strcmp(families[f].name, family) != 0)
		f++;
	if (!key_len || f == FAMILIES)
		return false;
	uint8_t *bytes = malloc(key_len + value_len + 1);
	ASSERT(bytes);
	bool deleted = strcmp(value, "-") == 0;
	bool good = keys_unhex(bytes, key_len, key) &&
		    (deleted || keys_unhex(bytes + key_len, value_len, value));
	if (good && deleted)
		index_batch_delete(b, families[f].family, bytes, key_len);
	else if (good)
		index_batch_put(b, families[f].family, bytes, key_len, bytes + key_len, value_len);
	free(bytes);
	return good;
}

static void rescue_family(struct vault *v, struct index_batch *b, enum index_family f)
{
	struct index_cursor *c = index_cursor_new(v->index, f, NULL, 0, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	while (index_cursor_next(c, &key, &key_len, &value, &value_len))
		ledger_put(v, b, f, key, key_len, value, value_len);
	index_cursor_free(c);
}

bool ledger_rescue(struct vault *v, struct index_batch *b)
{
	char path[STORE_PATH];
	struct error ignored;
	uint64_t end;
	if (committed_end(v, &end, &ignored) != RC_OK || file_bytes(v, path) >= end)
		return false;
	for (size_t i = 0; i < FAMILIES; i++)
		rescue_family(v, b, families[i].family);
	v->ledger_end = 0;
	log_warning("ledger-lost", "what=\"holds and requests are taken from the index\"");
	return true;
}

enum rc ledger_replay(struct vault *v, struct index_batch *b, struct error *err)
{
	char path[STORE_PATH], *text, *rest = NULL;
	uint8_t end[8];
	size_t len;
	uint64_t wrong = 0;
	disk_path(path, v->store, LEDGER_FILE);
	enum rc rc = disk_read(path, LEDGER_BYTES, &text, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	const char *last = memrchr(text, '\n', len);
	len = last ? (size_t)(last - text) + 1 : 0;
	text[len] = '\0';
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		wrong += !replay_line(b, line);
	free(text);
	if (wrong)
		log_warning("ledger-damaged", "lines=%" PRIu64, wrong);
	catalogue_be64(end, (int64_t)len);
	index_batch_put(b, INDEX_META, mark, sizeof mark - 1, end, sizeof end);
	return RC_OK;
}
