/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* heads.c: see heads.h.  On the vault's thread. */
#include "vault/heads.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/whole.h"

#define HEAD_FILE   "vault/audit-head"
#define HEAD_HALF   4096u
#define HEADS_FILE  "vault/audit-heads"
#define HEADS_BYTES (256u << 20)

/* ---- lines ------------------------------------------------------------------------------------ */

void heads_line(const struct vault *v, const char *kind, const struct audit_mark *m,
		char line[HEADS_LINE])
{
	char hash[65], time[CLOCK_TEXT], text[BASE64_TEXT(64)];
	uint8_t sig[64];
	keys_hex(hash, m->hash, 32);
	int n = snprintf(line, HEADS_LINE, "%s %" PRIu64 " %s %s", kind, m->number,
			 clock_rfc3339(m->time_us * 1000, time), hash);
	ASSERT(n > 0 && (size_t)n + sizeof text + 2 <= HEADS_LINE);
	sign_bytes(sig, line, (size_t)n, &v->keys.heads);
	base64_encode(text, sig, sizeof sig);
	(void)sprintf(line + n, " %s\n", text);
}

const char *heads_fault(const struct vault *v, const char *kind, const char *line,
			struct audit_mark *out)
{
	static const char not_one[] = "is not a head";
	uint8_t sig[64];
	int64_t ns;
	char name[16], number[20], time[CLOCK_TEXT], hash[65];
	int signed_len = 0;
	memset(out, 0, sizeof *out);
	if (sscanf(line, "%15[a-z] %19[0-9] %39[0-9TZ:.-] %64[0-9a-f]%n", name, number, time, hash,
		   &signed_len) != 4 ||
	    strcmp(name, kind) != 0 || line[signed_len] != ' ' ||
	    !keys_unhex(out->hash, 32, hash) || !clock_parse(time, &ns))
		return not_one;
	if (!base64_decode(sig, sizeof sig, line + signed_len + 1) ||
	    !sign_verify(sig, line, (size_t)signed_len, v->keys.heads.public_key))
		return "has a wrong signature";
	out->number = strtoull(number, NULL, 10);
	out->time_us = ns / 1000;
	return NULL;
}

/* ---- audit-head ------------------------------------------------------------------------------- */

/* A half: a line, and blanks up to its end, so that the file is text. */
static bool read_half(const struct vault *v, int fd, unsigned slot, struct audit_mark *out)
{
	char text[HEADS_LINE];
	ssize_t n = pread(fd, text, sizeof text - 1, (off_t)slot * HEAD_HALF);
	memset(out, 0, sizeof *out);
	if (n <= 0)
		return false;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return heads_fault(v, "head", text, out) == NULL;
}

enum rc heads_get(struct vault *v, struct audit_mark *out, struct error *err)
{
	char path[STORE_PATH];
	struct audit_mark halves[2];
	struct stat st;
	disk_path(path, v->store, HEAD_FILE);
	memset(out, 0, sizeof *out);
	v->head.slot = 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return RC_NOT_FOUND;
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		enum rc rc = error_errno(err, RC_FAILED, fd < 0 ? errno : EINVAL, "%s", path);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	bool there[2] = { read_half(v, fd, 0, &halves[0]), read_half(v, fd, 1, &halves[1]) };
	close(fd);
	if (!there[0] && !there[1])
		return RC_NOT_FOUND;
	v->head.slot = !there[0] || (there[1] && halves[1].number > halves[0].number);
	*out = halves[v->head.slot];
	return RC_OK;
}

static enum rc write_half(int fd, const char *path, unsigned slot, const char *line,
			  struct error *err)
{
	char half[HEAD_HALF];
	(void)snprintf(half, sizeof half, "%-*s", (int)sizeof half - 1, line);
	half[sizeof half - 1] = '\n';
	if (!whole_write_at(fd, half, sizeof half, (off_t)slot * HEAD_HALF) || fdatasync(fd) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	return RC_OK;
}

enum rc heads_put(struct vault *v, const struct audit_mark *m, struct error *err)
{
	char path[STORE_PATH], vault[STORE_PATH], line[HEADS_LINE];
	struct stat st;
	unsigned slot = !v->head.slot;
	disk_path(path, v->store, HEAD_FILE);
	heads_line(v, "head", m, line);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) != 0) {
		enum rc rc = error_errno(err, RC_FAILED, errno, "%s", path);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	enum rc rc = write_half(fd, path, slot, line, err);
	close(fd);
	disk_path(vault, v->store, "vault");
	if (rc == RC_OK && st.st_size == 0)
		rc = disk_sync_dir(vault, err);
	if (rc == RC_OK)
		v->head.slot = slot;
	return rc;
}

/* ---- audit-heads ------------------------------------------------------------------------------ */

enum rc heads_last_anchor(struct vault *v, struct audit_mark *out, struct error *err)
{
	char path[STORE_PATH], line[HEADS_LINE];
	memset(out, 0, sizeof *out);
	disk_path(path, v->store, HEADS_FILE);
	enum rc rc = disk_last_line(path, line, sizeof line, err);
	if (rc == RC_OK && heads_fault(v, "anchor", line, out)) {
		memset(out, 0, sizeof *out);
		rc = RC_NOT_FOUND;
	}
	return rc;
}

enum rc heads_append(struct vault *v, const char *line, struct error *err)
{
	char path[STORE_PATH];
	disk_path(path, v->store, HEADS_FILE);
	return disk_append_line(path, line, strlen(line), err);
}

enum rc heads_read(struct vault *v, char **text, struct error *err)
{
	char path[STORE_PATH];
	size_t len;
	disk_path(path, v->store, HEADS_FILE);
	enum rc rc = disk_read(path, HEADS_BYTES, text, &len, err);
	if (rc != RC_OK)
		return rc;
	/* What a crash left of a line is none. */
	char *end = memrchr(*text, '\n', len);
	*(end ? end + 1 : *text) = '\0';
	return RC_OK;
}

/* ---- outside ---------------------------------------------------------------------------------- */

/* Does it end in the middle of a line (of ours or of someone else's)? */
static bool is_torn(const char *path, const struct stat *st)
{
	char last = '\n';
	int fd = S_ISREG(st->st_mode) && st->st_size > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return false;
	if (pread(fd, &last, 1, st->st_size - 1) != 1)
		last = '\n';
	close(fd);
	return last != '\n';
}

enum rc heads_send_outside(const char *path, const char *line, struct error *err)
{
	struct stat st;
	char text[HEADS_LINE + 1];
	/* A pipe that nobody reads must not stop us. */
	int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "%.300s", path);
	enum rc rc = RC_OK;
	if (fstat(fd, &st) != 0)
		st.st_mode = 0;
	int len = snprintf(text, sizeof text, "%s%s", is_torn(path, &st) ? "\n" : "", line);
	ssize_t n = write(fd, text, (size_t)len);
	if (n != len || (S_ISREG(st.st_mode) && fsync(fd) != 0))
		rc = error_errno(err, RC_FAILED, n >= 0 && n < len ? ENOSPC : errno, "%.300s",
				 path);
	if (close(fd) != 0 && rc == RC_OK)
		rc = error_errno(err, RC_FAILED, errno, "%.300s", path);
	return rc;
}
