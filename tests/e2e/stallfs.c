/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* stallfs.c: a file system whose disk stalls: a folder mounted at another place by FUSE.
 *
 *   stallfs FOLDER STALL MOUNTPOINT
 *
 * While the file STALL is there, writes and syncs wait, and with them everything else: one thread serves all.  That one
 * waits is told by a file of the same name and ".reached".  Only tests use it.
 */
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static int root; /* the folder */
static const char *stall;

static void wait_for_the_disk(void)
{
	char reached[4096];
	if (access(stall, F_OK) != 0)
		return;
	snprintf(reached, sizeof reached, "%s.reached", stall);
	close(open(reached, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	while (access(stall, F_OK) == 0)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* "/a/b" below the folder. */
static const char *below(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static int result(int rc)
{
	return rc < 0 ? -errno : 0;
}

static int fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	if (fi)
		return result(fstat((int)fi->fh, st));
	return result(fstatat(root, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int fs_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t at,
		      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	(void)at;
	(void)fi;
	(void)flags;
	int fd = openat(root, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	if (!d)
		return -errno;
	while ((e = readdir(d)))
		fill(out, e->d_name, NULL, 0, 0);
	closedir(d);
	return 0;
}

static int fs_open(const char *path, struct fuse_file_info *fi)
{
	int fd = openat(root, below(path), fi->flags | O_CLOEXEC);
	fi->fh = (uint64_t)fd;
	return result(fd);
}

static int fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	int fd = openat(root, below(path), fi->flags | O_CREAT | O_CLOEXEC, mode);
	fi->fh = (uint64_t)fd;
	return result(fd);
}

static int fs_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return result(close((int)fi->fh));
}

static int fs_read(const char *path, char *to, size_t n, off_t at, struct fuse_file_info *fi)
{
	(void)path;
	ssize_t got = pread((int)fi->fh, to, n, at);
	return got < 0 ? -errno : (int)got;
}

static int fs_write(const char *path, const char *from, size_t n, off_t at,
		    struct fuse_file_info *fi)
{
	(void)path;
	wait_for_the_disk();
	ssize_t put = pwrite((int)fi->fh, from, n, at);
	return put < 0 ? -errno : (int)put;
}

static int fs_fsync(const char *path, int data, struct fuse_file_info *fi)
{
	(void)path;
	wait_for_the_disk();
	return result(data ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

/* A folder's entries are the kernel's own, once made. */
static int fs_fsyncdir(const char *path, int data, struct fuse_file_info *fi)
{
	(void)path;
	(void)data;
	(void)fi;
	wait_for_the_disk();
	return 0;
}

static int fs_mkdir(const char *path, mode_t mode)
{
	return result(mkdirat(root, below(path), mode));
}

static int fs_unlink(const char *path)
{
	return result(unlinkat(root, below(path), 0));
}

static int fs_rmdir(const char *path)
{
	return result(unlinkat(root, below(path), AT_REMOVEDIR));
}

static int fs_rename(const char *from, const char *to, unsigned flags)
{
	return result(renameat2(root, below(from), root, below(to), flags));
}

static int fs_link(const char *from, const char *to)
{
	return result(linkat(root, below(from), root, below(to), 0));
}

static int fs_symlink(const char *target, const char *path)
{
	return result(symlinkat(target, root, below(path)));
}

static int fs_readlink(const char *path, char *to, size_t room)
{
	ssize_t n = readlinkat(root, below(path), to, room - 1);
	if (n >= 0)
		to[n] = '\0';
	return result((int)n);
}

static int fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	return result(fi ? fchmod((int)fi->fh, mode) : fchmodat(root, below(path), mode, 0));
}

static int fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
	if (fi)
		return result(fchown((int)fi->fh, uid, gid));
	return result(fchownat(root, below(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	int fd = fi ? (int)fi->fh : openat(root, below(path), O_WRONLY | O_CLOEXEC);
	int rc = fd < 0 ? -errno : result(ftruncate(fd, size));
	if (!fi && fd >= 0)
		close(fd);
	return rc;
}

static int fs_utimens(const char *path, const struct timespec t[2], struct fuse_file_info *fi)
{
	if (fi)
		return result(futimens((int)fi->fh, t));
	return result(utimensat(root, below(path), t, AT_SYMLINK_NOFOLLOW));
}

static int fs_fallocate(const char *path, int mode, off_t at, off_t n, struct fuse_file_info *fi)
{
	(void)path;
	return result(fallocate((int)fi->fh, mode, at, n));
}

static int fs_statfs(const char *path, struct statvfs *st)
{
	(void)path;
	return result(fstatvfs(root, st));
}

static void *fs_init(struct fuse_conn_info *c, struct fuse_config *cfg)
{
	(void)c;
	cfg->hard_remove = 1; /* open files have their descriptors */
	cfg->use_ino = 1;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = fs_init,
	.getattr = fs_getattr,
	.readdir = fs_readdir,
	.open = fs_open,
	.create = fs_create,
	.release = fs_release,
	.read = fs_read,
	.write = fs_write,
	.fsync = fs_fsync,
	.fsyncdir = fs_fsyncdir,
	.mkdir = fs_mkdir,
	.unlink = fs_unlink,
	.rmdir = fs_rmdir,
	.rename = fs_rename,
	.link = fs_link,
	.symlink = fs_symlink,
	.readlink = fs_readlink,
	.chmod = fs_chmod,
	.chown = fs_chown,
	.truncate = fs_truncate,
	.utimens = fs_utimens,
	.fallocate = fs_fallocate,
	.statfs = fs_statfs,
};

int main(int argc, char **argv)
{
	if (argc != 4 || (root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		fprintf(stderr, "usage: stallfs FOLDER STALL MOUNTPOINT\n");
		return 2;
	}
	stall = argv[2];
	umask(0);
	char *arguments[] = { argv[0], (char[]){ "-f" }, (char[]){ "-s" }, argv[3], NULL };
	return fuse_main(4, arguments, &operations, NULL);
}
