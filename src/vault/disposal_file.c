/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* disposal_file.c: the record of destroyed recordings outside the index: text, a line each, only ever appended to. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/whole.h"
#include "vault/backup.h"
#include "vault/disposal.h"

#define DISPOSALS_FILE "vault/disposals"
#define FIELDS         11
#define REPLAY_PIECE   ((size_t)4 << 20)

/* ---- lines ------------------------------------------------------------------------------------- */

static const char *time_text(int64_t us, char buf[CLOCK_TEXT])
{
	return us ? clock_rfc3339(us * 1000, buf) : "-";
}

size_t disposal_file_line(char out[DISPOSAL_LINE], const struct disposal *d)
{
	char id[UUID_TEXT], t[4][CLOCK_TEXT];
	int n = snprintf(out, DISPOSAL_LINE, "%s %s %s %s %s %s %s %s %s %" PRIu32 " %s\n",
			 uuid_text(&d->id, id), time_text(d->start_us, t[0]),
			 time_text(d->end_us, t[1]), time_text(d->expiry_us, t[2]),
			 *d->class ? d->class : "-", *d->policy ? d->policy : "-",
			 time_text(d->destroyed_us, t[3]), disposal_kind_name(d->kind), d->segment,
			 d->slot, d->absent ? "absent" : "overwritten");
	ASSERT(n > 0 && n < DISPOSAL_LINE);
	return (size_t)n;
}

static bool take_time(int64_t *us, const char *text)
{
	int64_t ns = 0;
	bool good = strcmp(text, "-") == 0 || clock_parse(text, &ns);
	*us = ns / 1000;
	return good;
}

static bool take_word(char *to, size_t room, const char *text)
{
	const char *word = strcmp(text, "-") == 0 ? "" : text;
	int n = snprintf(to, room, "%s", word);
	return n >= 0 && (size_t)n < room;
}

static bool take_kind(enum disposal_kind *kind, const char *text)
{
	for (int k = DISPOSAL_EXPIRED; k < DISPOSAL_KINDS; k++) {
		*kind = (enum disposal_kind)k;
		if (strcmp(disposal_kind_name(*kind), text) == 0)
			return true;
	}
	return false;
}

static bool take_slot(uint32_t *slot, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	*slot = (uint32_t)n;
	return *text && !*end && n <= UINT32_MAX;
}

bool disposal_file_parse(struct disposal *d, const char *line, size_t len)
{
	char copy[DISPOSAL_LINE], *field[FIELDS + 1] = { NULL }, *rest = NULL;
	size_t n = 0;
	memset(d, 0, sizeof *d);
	if (len >= sizeof copy || memchr(line, '\0', len))
		return false;
	memcpy(copy, line, len);
	copy[len] = '\0';
	for (char *word = strtok_r(copy, " ", &rest); word && n <= FIELDS;
	     word = strtok_r(NULL, " ", &rest))
		field[n++] = word;
	if (n != FIELDS)
		return false;
	d->absent = strcmp(field[10], "absent") == 0;
	return uuid_parse(&d->id, field[0]) && take_time(&d->start_us, field[1]) &&
	       take_time(&d->end_us, field[2]) && take_time(&d->expiry_us, field[3]) &&
	       take_word(d->class, sizeof d->class, field[4]) &&
	       take_word(d->policy, sizeof d->policy, field[5]) &&
	       take_time(&d->destroyed_us, field[6]) && take_kind(&d->kind, field[7]) &&
	       take_word(d->segment, sizeof d->segment, field[8]) && take_slot(&d->slot, field[9]);
}

/* ---- the file ---------------------------------------------------------------------------------- */

static enum rc open_file(const struct vault *v, int *fd, char path[STORE_PATH], struct error *err)
{
	disk_path(path, v->store, DISPOSALS_FILE);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return *fd >= 0 ? RC_OK : error_errno(err, RC_FAILED, errno, "%s", path);
}

enum rc disposal_file_reserve(struct vault *v, uint64_t at, uint64_t len, struct error *err)
{
	char path[STORE_PATH];
	int fd;
	enum rc rc = open_file(v, &fd, path, err);
	if (rc != RC_OK)
		return rc;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) != 0 && errno != EOPNOTSUPP &&
	    errno != ENOSYS)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	close(fd);
	return rc;
}

enum rc disposal_file_append(struct vault *v, uint64_t at, const char *text, size_t len,
			     struct error *err)
{
	char path[STORE_PATH];
	int fd;
	enum rc rc = open_file(v, &fd, path, err);
	if (rc != RC_OK)
		return rc;
	if (!whole_write_at(fd, text, len, (off_t)at) || fsync(fd) != 0) {
		int why = errno;
		(void)!ftruncate(fd, (off_t)at);
		rc = error_errno(err, RC_FAILED, why, "%s", path);
	}
	close(fd);
	return rc;
}

enum rc disposal_file_read(struct vault *v, uint64_t at, size_t most, char **text, size_t *len,
			   struct error *err)
{
	char path[STORE_PATH];
	int fd;
	*text = NULL;
	*len = 0;
	enum rc rc = open_file(v, &fd, path, err);
	if (rc != RC_OK)
		return rc;
	*text = malloc(most + 1);
	ASSERT(*text);
	ssize_t n = pread(fd, *text, most, (off_t)at);
	if (n < 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	close(fd);
	const char *end = n > 0 ? memrchr(*text, '\n', (size_t)n) : NULL;
	if (end)
		*len = (size_t)(end - *text) + 1;
	return rc;
}

uint64_t disposal_file_size(const struct vault *v)
{
	char path[STORE_PATH];
	uint64_t size = 0;
	disk_path(path, v->store, DISPOSALS_FILE);
	return disk_is_file(path, &size) ? size : 0;
}

enum rc disposal_file_cut(struct vault *v, uint64_t at, struct error *err)
{
	char path[STORE_PATH];
	disk_path(path, v->store, DISPOSALS_FILE);
	if (truncate(path, (off_t)at) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	return RC_OK;
}

/* ---- a new index ------------------------------------------------------------------------------- */

/* `followed`: so much of it all registered backups have. */
static enum rc replay_piece(struct index *index, const char *text, size_t len, size_t followed,
			    uint64_t *count, struct error *err)
{
	struct index_batch *b = index_batch_new(index);
	for (const char *at = text; at < text + len;) {
		const char *end = memchr(at, '\n', (size_t)(text + len - at));
		struct disposal d;
		if (disposal_file_parse(&d, at, (size_t)(end - at))) {
			d.state = (size_t)(at - text) < followed ? DISPOSAL_DONE : DISPOSAL_LIVE;
			disposal_row_put(b, &d);
			++*count;
		} else {
			log_error("disposals-damaged", "what=\"a line that is none\"");
		}
		at = end + 1;
	}
	return index_batch_commit(b, err);
}

enum rc disposal_file_replay(struct vault *v, struct index *index, struct index_batch *last,
			     struct error *err)
{
	uint64_t at = 0, count = 0, least = 0;
	size_t len = 1;
	enum rc rc = backup_least(v, &least, err);
	while (rc == RC_OK && len) {
		char *text;
		rc = disposal_file_read(v, at, REPLAY_PIECE, &text, &len, err);
		if (rc == RC_OK && len)
			rc = replay_piece(index, text, len, least > at ? (size_t)(least - at) : 0,
					  &count, err);
		at += len;
		free(text);
	}
	disposal_row_note(last, at, count);
	return rc;
}
