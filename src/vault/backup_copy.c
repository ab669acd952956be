/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* backup_copy.c: files to files, for backups: synced, never through a symbolic link, and slots never twice.
 *
 * Whether a copy is still the same file is told by size and time.  Slots that were overwritten within the last seconds may be
 * overwritten once more within one tick of their file's time, so the copy gets a time that is nobody's and is looked at again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/whole.h"
#include "vault/backup.h"

#define PIECE   ((size_t)1 << 20)
#define YOUNG_S 3

static enum rc fault(struct error *err, const char *path)
{
	return error_errno(err, RC_FAILED, errno ? errno : EIO, "%.300s", path);
}

/* ---- one file ------------------------------------------------------------------------------------------------- */

static bool set_time(int fd, const struct stat *st, bool in_place)
{
	struct timespec now, times[2] = { st->st_mtim, st->st_mtim };
	clock_gettime(CLOCK_REALTIME, &now);
	if (in_place && now.tv_sec - st->st_mtim.tv_sec < YOUNG_S)
		times[0] = times[1] = (struct timespec){ .tv_sec = 1 };
	return futimens(fd, times) == 0;
}

bool backup_copied(const char *from, const char *to)
{
	struct stat a, b;
	return lstat(from, &a) == 0 && lstat(to, &b) == 0 && S_ISREG(a.st_mode) &&
	       S_ISREG(b.st_mode) && a.st_size == b.st_size &&
	       a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

static bool copy_bytes(int in, int out, uint64_t *bytes)
{
	uint8_t *buf = malloc(PIECE);
	ASSERT(buf);
	off_t at = 0;
	ssize_t n;
	while ((n = whole_read_at(in, buf, PIECE, at)) > 0 &&
	       whole_write_at(out, buf, (size_t)n, at))
		at += n;
	free(buf);
	if (bytes)
		*bytes += (uint64_t)at;
	return n == 0;
}

static enum rc copy_opened(int in, const char *from, const char *part, const char *to,
			   uint64_t *bytes, struct error *err)
{
	struct stat st;
	if (fstat(in, &st) != 0)
		return fault(err, from);
	if (!S_ISREG(st.st_mode))
		return error_set(err, RC_FAILED, "%.300s: not a regular file", from);
	int out = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return fault(err, part);
	bool good = copy_bytes(in, out, bytes) && fchmod(out, st.st_mode & 0755) == 0 &&
		    set_time(out, &st, false) && fsync(out) == 0;
	enum rc rc = good && rename(part, to) == 0 ? RC_OK : fault(err, to);
	close(out);
	if (rc != RC_OK)
		(void)unlink(part);
	return rc;
}

enum rc backup_copy(const char *from, const char *to, uint64_t *bytes, struct error *err)
{
	char part[STORE_PATH];
	int n = snprintf(part, sizeof part, "%s.part", to);
	if (n < 0 || n >= STORE_PATH)
		return error_set(err, RC_FAILED, "%.300s: the path is too long", to);
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (in < 0)
		return fault(err, from);
	(void)unlink(part);
	enum rc rc = copy_opened(in, from, part, to, bytes, err);
	close(in);
	return rc;
}

/* ---- in place ---------------------------------------------------------------------------------------------------- */

struct both {
	int in, out;
	uint8_t *a, *b; /* owned: a piece of each */
	bool written;
};

/* Make one piece the same. */
static ssize_t level(struct both *f, off_t at)
{
	ssize_t n = whole_read_at(f->in, f->a, PIECE, at);
	ssize_t m = n > 0 ? whole_read_at(f->out, f->b, (size_t)n, at) : 0;
	if (n <= 0 || m < 0)
		return n < 0 || m < 0 ? -1 : 0;
	if (m == n && memcmp(f->a, f->b, (size_t)n) == 0)
		return n;
	f->written = true;
	return whole_write_at(f->out, f->a, (size_t)n, at) ? n : -1;
}

/* Every byte of the copy is the other's, read from the disk. */
static bool is_same(struct both *f)
{
	ssize_t n;
	off_t at = 0;
	(void)posix_fadvise(f->out, 0, 0, POSIX_FADV_DONTNEED);
	while ((n = whole_read_at(f->in, f->a, PIECE, at)) > 0) {
		if (whole_read_at(f->out, f->b, (size_t)n, at) != n ||
		    memcmp(f->a, f->b, (size_t)n) != 0)
			return false;
		at += n;
	}
	return n == 0;
}

static bool blank(int fd, off_t from, off_t to)
{
	static const uint8_t zeros[65536];
	while (from < to) {
		size_t n = to - from < (off_t)sizeof zeros ? (size_t)(to - from) : sizeof zeros;
		if (!whole_write_at(fd, zeros, n, from))
			return false;
		from += (off_t)n;
	}
	return true;
}

/* What stood behind the end is overwritten before it is cut off. */
static bool level_all(struct both *f, const struct stat *from)
{
	struct stat to;
	off_t at = 0;
	ssize_t n;
	while ((n = level(f, at)) > 0)
		at += n;
	if (n < 0 || fstat(f->out, &to) != 0)
		return false;
	if (to.st_size > at) {
		f->written = true;
		if (!blank(f->out, at, to.st_size) || fdatasync(f->out) != 0 ||
		    ftruncate(f->out, at) != 0)
			return false;
	}
	if (f->written && (fdatasync(f->out) != 0 || !is_same(f)))
		return false;
	return set_time(f->out, from, true) && fsync(f->out) == 0;
}

enum rc backup_copy_slots(const char *from, const char *to, struct error *err)
{
	struct stat st;
	struct both f = { .in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) };
	if (f.in < 0)
		return fault(err, from);
	f.out = open(to, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	f.a = malloc(PIECE);
	f.b = malloc(PIECE);
	ASSERT(f.a && f.b);
	errno = 0;
	enum rc rc = RC_OK;
	if (f.out < 0 || fstat(f.in, &st) != 0 || !S_ISREG(st.st_mode) || !level_all(&f, &st))
		rc = fault(err, to);
	free(f.a);
	free(f.b);
	close(f.in);
	if (f.out >= 0)
		close(f.out);
	return rc;
}

/* ---- at its end ---------------------------------------------------------------------------------------------------- */

#define TAIL 512

/* Does what the copy ends with stand there in the file too? */
static bool goes_on(int in, int out, off_t size)
{
	uint8_t a[TAIL], b[TAIL];
	size_t len = size < TAIL ? (size_t)size : TAIL;
	off_t at = size - (off_t)len;
	return whole_read_at(in, a, len, at) == (ssize_t)len &&
	       whole_read_at(out, b, len, at) == (ssize_t)len && memcmp(a, b, len) == 0;
}

static bool append(int in, int out, off_t at, off_t end)
{
	uint8_t *buf = malloc(PIECE);
	ASSERT(buf);
	bool good = true;
	while (good && at < end) {
		size_t want = end - at < (off_t)PIECE ? (size_t)(end - at) : PIECE;
		ssize_t n = whole_read_at(in, buf, want, at);
		good = n > 0 && whole_write_at(out, buf, (size_t)n, at);
		at += n > 0 ? n : 0;
	}
	free(buf);
	return good && fsync(out) == 0;
}

enum rc backup_copy_tail(const char *from, const char *to, uint64_t end, struct error *err)
{
	struct stat st = { .st_size = 0 };
	if (!end)
		return RC_OK;
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (in < 0)
		return fault(err, from);
	int out = open(to, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	errno = 0;
	bool good = out >= 0 && fstat(out, &st) == 0;
	if (good && (st.st_size > (off_t)end || !goes_on(in, out, st.st_size))) {
		st.st_size = 0;
		good = ftruncate(out, 0) == 0;
	}
	enum rc rc = good && append(in, out, st.st_size, (off_t)end) ? RC_OK : fault(err, to);
	close(in);
	if (out >= 0)
		close(out);
	return rc;
}

enum rc backup_wipe(const char *path, struct error *err)
{
	struct stat st;
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? RC_OK : fault(err, path);
	bool good = fstat(fd, &st) == 0 && blank(fd, 0, st.st_size) && fsync(fd) == 0;
	enum rc rc = good && unlink(path) == 0 ? RC_OK : fault(err, path);
	close(fd);
	return rc;
}

/* ---- folders --------------------------------------------------------------------------------------------------------- */

struct tree {
	const char *from, *to, *earlier;
	backup_skip skip;
	struct error *err;
};

static bool join(char out[STORE_PATH], const char *a, const char *b)
{
	int n = snprintf(out, STORE_PATH, "%s%s%s", a, *a && *b ? "/" : "", b);
	return n >= 0 && n < STORE_PATH;
}

/* By a link to an earlier copy of the same file, where it can be. */
static enum rc copy_leaf(const struct tree *t, const char *path, const char *from, const char *to)
{
	char earlier[STORE_PATH];
	if (t->earlier && join(earlier, t->earlier, path) && backup_copied(from, earlier) &&
	    link(earlier, to) == 0)
		return RC_OK;
	return backup_copy(from, to, NULL, t->err);
}

static enum rc copy_folder(const struct tree *t, const char *path);

static enum rc copy_entry(const struct tree *t, const char *folder, const char *name)
{
	char path[STORE_PATH], from[STORE_PATH], to[STORE_PATH];
	struct stat st;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return RC_OK;
	if (!join(path, folder, name) || !join(from, t->from, path) || !join(to, t->to, path))
		return error_set(t->err, RC_FAILED, "%.300s: a path in it is too long", t->from);
	if ((t->skip && t->skip(path)) || lstat(from, &st) != 0)
		return RC_OK;
	if (S_ISDIR(st.st_mode))
		return copy_folder(t, path);
	return S_ISREG(st.st_mode) ? copy_leaf(t, path, from, to) : RC_OK;
}

static enum rc copy_folder(const struct tree *t, const char *path)
{
	char from[STORE_PATH], to[STORE_PATH];
	if (!join(from, t->from, path) || !join(to, t->to, path))
		return error_set(t->err, RC_FAILED, "%.300s: a path in it is too long", t->from);
	DIR *d = opendir(from);
	if (!d || (mkdir(to, 0700) != 0 && errno != EEXIST)) {
		enum rc failed = fault(t->err, d ? to : from);
		if (d)
			closedir(d);
		return failed;
	}
	const struct dirent *e;
	enum rc rc = RC_OK;
	while (rc == RC_OK && (e = readdir(d)))
		rc = copy_entry(t, path, e->d_name);
	closedir(d);
	return rc == RC_OK ? disk_sync_dir(to, t->err) : rc;
}

enum rc backup_copy_tree(const char *from, const char *to, backup_skip skip, const char *earlier,
			 struct error *err)
{
	const struct tree t = {
		.from = from, .to = to, .earlier = earlier, .skip = skip, .err = err
	};
	return copy_folder(&t, "");
}
