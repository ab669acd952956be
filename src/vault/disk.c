/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* disk.c: small files that are there whole or not at all, and moving large ones.
 *
 * Everything is synced before it is relied upon.  Nothing here follows a symbolic link at the end of a
 * path: STORE/recorder belongs to a process that may have been taken over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/whole.h"
#include "vault/parts.h"

void disk_path(char path[STORE_PATH], const char *dir, const char *name)
{
	int n = snprintf(path, STORE_PATH, "%s/%s", dir, name);
	ASSERT(n > 0 && n < STORE_PATH);
}

/* The folder a path lies in. */
static void parent_of(char parent[STORE_PATH], const char *path)
{
	const char *slash = strrchr(path, '/');
	ASSERT(slash && slash != path && slash - path < STORE_PATH);
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = '\0';
}

enum rc disk_read(const char *path, size_t most, char **text, size_t *len, struct error *err)
{
	/* A pipe that somebody put in its place makes nobody wait. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return error_errno(err, errno == ENOENT ? RC_NOT_FOUND : RC_FAILED, errno, "%s",
				   path);
	struct stat st;
	enum rc rc = RC_OK;
	char *buf = NULL;
	if (fstat(fd, &st) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	else if (!S_ISREG(st.st_mode) || (size_t)st.st_size > most)
		rc = error_set(err, RC_FAILED, "%s: not a file of at most %zu bytes", path, most);
	if (rc == RC_OK) {
		buf = malloc((size_t)st.st_size + 1);
		ASSERT(buf);
		ssize_t n = whole_read(fd, buf, (size_t)st.st_size);
		if (n < 0)
			rc = error_errno(err, RC_FAILED, errno, "%s", path);
		*len = n < 0 ? 0 : (size_t)n;
		buf[*len] = '\0';
	}
	close(fd);
	if (rc != RC_OK)
		free(buf);
	else
		*text = buf;
	return rc;
}

enum rc disk_create(const char *path, const void *data, size_t len, mode_t mode, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	enum rc rc = RC_OK;
	/* The mode that is wanted, whatever the umask. */
	if (fchmod(fd, mode) != 0 || !whole_write(fd, data, len) || fsync(fd) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	if (close(fd) != 0 && rc == RC_OK)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	return rc;
}

/* ".NAME.ENDING" beside DIR/NAME: no person, key or segment has such a name. */
static void beside(char out[STORE_PATH], const char *path, const char *ending)
{
	char dir[STORE_PATH];
	parent_of(dir, path);
	int n = snprintf(out, STORE_PATH, "%s/.%s.%s", dir, strrchr(path, '/') + 1, ending);
	ASSERT(n > 0 && n < STORE_PATH);
}

enum rc disk_replace(const char *path, const void *data, size_t len, mode_t mode, struct error *err)
{
	char made[STORE_PATH], dir[STORE_PATH];
	beside(made, path, "new");
	parent_of(dir, path);
	(void)unlink(made);
	enum rc rc = disk_create(made, data, len, mode, err);
	if (rc == RC_OK && rename(made, path) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	if (rc != RC_OK)
		(void)unlink(made);
	return rc == RC_OK ? disk_sync_dir(dir, err) : rc;
}

enum rc disk_replace_secret(const char *path, const void *data, size_t len, mode_t mode,
			    struct error *err)
{
	char old[STORE_PATH], made[STORE_PATH];
	beside(old, path, "old");
	beside(made, path, "new");
	enum rc rc = disk_wipe(old, err);
	if (rc == RC_OK)
		rc = disk_wipe(made, err);
	if (rc == RC_OK && link(path, old) != 0 && errno != ENOENT)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	if (rc == RC_OK)
		rc = disk_replace(path, data, len, mode, err);
	return rc == RC_OK ? disk_wipe(old, err) : rc;
}

/* Zeros over all of it, and onto the disk. */
static bool overwrite(int fd, off_t bytes)
{
	static const uint8_t zeros[4096];
	bool good = lseek(fd, 0, SEEK_SET) == 0;
	for (off_t at = 0; good && at < bytes; at += (off_t)sizeof zeros) {
		off_t left = bytes - at, most = (off_t)sizeof zeros;
		good = whole_write(fd, zeros, (size_t)(left < most ? left : most));
	}
	return good && fdatasync(fd) == 0;
}

enum rc disk_wipe(const char *path, struct error *err)
{
	struct stat st;
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? RC_OK : error_errno(err, RC_FAILED, errno, "%s", path);
	enum rc rc = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? RC_OK : RC_FAILED;
	/* Killed before it was replaced, the file still stands under its own name. */
	off_t bytes = rc == RC_OK && st.st_nlink == 1 ? st.st_size : 0;
	if (rc != RC_OK || !overwrite(fd, bytes) || unlink(path) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	close(fd);
	return rc;
}

enum rc disk_wipe_left(const char *dir, struct error *err)
{
	char path[STORE_PATH];
	DIR *d = opendir(dir);
	if (!d)
		return error_errno(err, RC_FAILED, errno, "%s", dir);
	const struct dirent *e;
	enum rc rc = RC_OK;
	while (rc == RC_OK && (e = readdir(d))) {
		const char *end = strrchr(e->d_name, '.');
		if (e->d_name[0] != '.' || (strcmp(end, ".new") != 0 && strcmp(end, ".old") != 0))
			continue;
		disk_path(path, dir, e->d_name);
		rc = disk_wipe(path, err);
	}
	closedir(d);
	return rc == RC_OK ? disk_sync_dir(dir, err) : rc;
}

/* Where the last whole line of a file of `size` bytes ends; -1 with errno set. */
static off_t whole_lines(int fd, off_t size)
{
	char buf[512];
	while (size > 0) {
		size_t n = size < (off_t)sizeof buf ? (size_t)size : sizeof buf;
		if (pread(fd, buf, n, size - (off_t)n) != (ssize_t)n)
			return -1;
		const char *end = memrchr(buf, '\n', n);
		if (end)
			return size - (off_t)n + (end - buf) + 1;
		size -= (off_t)n;
	}
	return 0;
}

static enum rc append_at(int fd, const char *path, off_t end, const void *line, size_t len,
			 struct error *err)
{
	if (ftruncate(fd, end) != 0 || lseek(fd, end, SEEK_SET) != end)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	if (whole_write(fd, line, len) && fsync(fd) == 0)
		return RC_OK;
	int why = errno;
	(void)!ftruncate(fd, end);
	return error_errno(err, RC_FAILED, why, "%s", path);
}

enum rc disk_append_line(const char *path, const void *line, size_t len, struct error *err)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	off_t end = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? whole_lines(fd, st.st_size) : -1;
	enum rc rc = end < 0 ? error_set(err, RC_FAILED, "%s: cannot be read", path)
			     : append_at(fd, path, end, line, len, err);
	if (close(fd) != 0 && rc == RC_OK)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	return rc;
}

enum rc disk_last_line(const char *path, char *line, size_t room, struct error *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_errno(err, errno == ENOENT ? RC_NOT_FOUND : RC_FAILED, errno, "%s",
				   path);
	off_t end = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? whole_lines(fd, st.st_size) : -1;
	off_t start = end > 0 ? whole_lines(fd, end - 1) : end;
	size_t len = end > 0 ? (size_t)(end - 1 - start) : 0;
	enum rc rc = end > 0 ? RC_OK : RC_NOT_FOUND;
	if (end < 0 || start < 0)
		rc = error_set(err, RC_FAILED, "%s: cannot be read", path);
	else if (len >= room)
		rc = RC_NOT_FOUND;
	else if (rc == RC_OK && pread(fd, line, len, start) != (ssize_t)len)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	if (rc == RC_OK)
		line[len] = '\0';
	close(fd);
	return rc;
}

enum rc disk_make_dir(const char *path, mode_t mode, struct error *err)
{
	if (mkdir(path, mode) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	return RC_OK;
}

enum rc disk_sync_dir(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	enum rc rc = RC_OK;
	if (fsync(fd) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	close(fd);
	return rc;
}

bool disk_is_file(const char *path, uint64_t *size)
{
	struct stat st;
	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	if (size)
		*size = (uint64_t)st.st_size;
	return true;
}

static bool same_or_zero(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (a[i] && a[i] != b[i])
			return false;
	}
	return true;
}

static bool compare(const char *a, const char *b, bool wiped)
{
	enum { PIECE = 1 << 16 };
	int fd[2] = { open(a, O_RDONLY | O_CLOEXEC | O_NOFOLLOW),
		      open(b, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) };
	char *buf = malloc(2 * PIECE);
	ASSERT(buf);
	bool same = fd[0] >= 0 && fd[1] >= 0;
	ssize_t n = 1;
	while (same && n > 0) {
		n = whole_read(fd[0], buf, PIECE);
		same = n >= 0 && whole_read(fd[1], buf + PIECE, PIECE) == n &&
		       (wiped ? same_or_zero(buf, buf + PIECE, (size_t)n)
			      : memcmp(buf, buf + PIECE, (size_t)n) == 0);
	}
	free(buf);
	for (int i = 0; i < 2; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
	}
	return same;
}

bool disk_same(const char *a, const char *b)
{
	return compare(a, b, false);
}

bool disk_same_or_wiped(const char *a, const char *b)
{
	return compare(a, b, true);
}

static enum rc copy_bytes(int from, int to)
{
	enum { COPY = 1 << 20 };
	char *buf = malloc(COPY);
	ASSERT(buf);
	ssize_t n;
	enum rc rc = RC_OK;
	while (rc == RC_OK && (n = whole_read(from, buf, COPY)) != 0)
		rc = n > 0 && whole_write(to, buf, (size_t)n) ? RC_OK : RC_FAILED;
	free(buf);
	return rc;
}

/* A copy that was cut short may hold keys: it is overwritten, not only removed. */
static void drop_part(const char *part)
{
	struct error ignored;
	if (!strstr(part, ".keys") || disk_wipe(part, &ignored) != RC_OK)
		(void)unlink(part);
}

/* Across file systems, or onto itself: whole and synced under another name before it gets its own. */
static enum rc copy_file(const char *from, const char *to, struct error *err)
{
	char part[STORE_PATH];
	int n = snprintf(part, sizeof part, "%s.part", to);
	ASSERT(n > 0 && n < STORE_PATH);
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (in < 0)
		return error_errno(err, RC_FAILED, errno, "%s", from);
	drop_part(part);
	int out = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	enum rc rc = RC_OK;
	if (out < 0 || copy_bytes(in, out) != RC_OK || fsync(out) != 0 || rename(part, to) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", to);
	close(in);
	if (out >= 0)
		close(out);
	if (rc != RC_OK)
		drop_part(part);
	return rc;
}

enum rc disk_move(const char *from, const char *to, bool wipe, struct error *err)
{
	char from_dir[STORE_PATH], to_dir[STORE_PATH];
	parent_of(from_dir, from);
	parent_of(to_dir, to);
	if (!disk_is_file(from, NULL))
		return error_set(err, RC_FAILED, "%s: not a regular file", from);
	bool moved = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0;
	if (!moved && errno != EXDEV)
		return error_errno(err, RC_FAILED, errno, "%s", to);
	enum rc rc = moved ? RC_OK : copy_file(from, to, err);
	if (rc == RC_OK)
		rc = disk_sync_dir(to_dir, err);
	if (rc == RC_OK && !moved && wipe)
		rc = disk_wipe(from, err);
	else if (rc == RC_OK && !moved && unlink(from) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", from);
	if (rc == RC_OK)
		rc = disk_sync_dir(from_dir, err);
	return rc;
}

/* A lease of a reader is given only while nobody has the file open for writing (fcntl(2)). */
static bool is_ours_alone(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool alone = fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 1 &&
		     fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
	if (fd >= 0)
		close(fd); /* and with it the lease */
	return alone;
}

/* The file as it was, which has no name of ours any more. */
static enum rc own_copy(const char *path, bool wipe, struct error *err)
{
	char dir[STORE_PATH];
	struct stat st;
	int old = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (old < 0 || fstat(old, &st) != 0 || !S_ISREG(st.st_mode)) {
		if (old >= 0)
			close(old);
		return error_set(err, RC_FAILED, "%s: not a regular file", path);
	}
	parent_of(dir, path);
	enum rc rc = copy_file(path, path, err);
	if (rc == RC_OK)
		rc = disk_sync_dir(dir, err);
	if (rc == RC_OK && wipe && !overwrite(old, st.st_size))
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	close(old);
	return rc;
}

enum rc disk_own(const char *path, bool wipe, struct error *err)
{
	if (lchown(path, geteuid(), getegid()) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	if (is_ours_alone(path))
		return RC_OK;
	return own_copy(path, wipe, err);
}

void disk_remove_tree(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	while (d && (e = readdir(d))) {
		char below[STORE_PATH];
		struct stat st;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		disk_path(below, path, e->d_name);
		if (lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
			disk_remove_tree(below);
		else
			(void)unlink(below);
	}
	if (d)
		closedir(d);
	(void)rmdir(path);
}

void disk_hash(int fd, uint64_t *bytes, char hex[65])
{
	struct stat st;
	char self[64];
	uint8_t digest[32];
	*bytes = 0;
	hex[0] = '\0';
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return;
	*bytes = (uint64_t)st.st_size;
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	int again = open(self, O_RDONLY | O_CLOEXEC);
	if (again < 0)
		return;
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, again, 0);
	close(again);
	if (p == MAP_FAILED)
		return;
	digest_sha256(digest, p, (size_t)st.st_size);
	keys_hex(hex, digest, sizeof digest);
	(void)munmap(p, (size_t)st.st_size);
}
