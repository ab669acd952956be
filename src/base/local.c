/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* local.c: see local.h. */
#include "base/local.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME_MOST 64 /* bytes of a socket's own name */

/* The address of a path; *folder: a descriptor to keep open while it is used, or -1. */
static enum rc address_of(const char *path, struct sockaddr_un *a, int *folder, struct error *err)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = strlen(path);

	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	*folder = -1;
	if (len > 0 && len < sizeof a->sun_path) {
		memcpy(a->sun_path, path, len + 1);
		return RC_OK;
	}
	if (!slash || strlen(slash) > NAME_MOST || len >= sizeof parent)
		return error_set(err, RC_USAGE, "the socket's path is empty or too long");
	(void)snprintf(parent, sizeof parent, "%.*s/", (int)(slash - path), path);
	*folder = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*folder < 0)
		return errno == ENOENT || errno == EACCES
			       ? RC_NOT_FOUND
			       : error_errno(err, RC_FAILED, errno, "%.300s", parent);
	(void)snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/%s", *folder, slash + 1);
	return RC_OK;
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int connect_to(int fd, const struct sockaddr_un *a)
{
	int rc;
	do
		rc = connect(fd, (const struct sockaddr *)a, sizeof *a);
	while (rc != 0 && errno == EINTR);
	return rc;
}

enum rc local_connect(const char *path, int *fd, struct error *err)
{
	struct sockaddr_un a;
	struct stat st;
	int folder;
	enum rc rc = address_of(path, &a, &folder, err);
	if (rc != RC_OK)
		return rc;
	*fd = new_socket();
	if (*fd < 0)
		rc = error_errno(err, RC_FAILED, errno, "no socket");
	else if (connect_to(*fd, &a) != 0)
		rc = errno == EACCES && lstat(path, &st) == 0
			     ? error_set(err, RC_REFUSED, "%.300s: you may not use this socket",
					 path)
			     : RC_NOT_FOUND;
	close_if(folder);
	if (rc != RC_OK)
		close_if(*fd);
	return rc;
}

/* Make room: what lies there is a socket that nobody listens at, or nothing. */
static enum rc clear(const char *path, struct error *err)
{
	struct error ignored;
	struct stat st;
	int fd;
	if (lstat(path, &st) != 0)
		return RC_OK;
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, RC_FAILED, "%.300s is there and is no socket", path);
	enum rc rc = local_connect(path, &fd, &ignored);
	if (rc == RC_OK) {
		close(fd);
		return error_set(err, RC_FAILED, "a service answers at %.300s already", path);
	}
	if (rc == RC_REFUSED)
		return error_set(err, RC_FAILED, "%.300s belongs to another service", path);
	return unlink(path) == 0 ? RC_OK : error_errno(err, RC_FAILED, errno, "%.300s", path);
}

enum rc local_listen(const char *path, mode_t mode, int *fd, struct error *err)
{
	struct sockaddr_un a;
	int folder;
	enum rc rc = clear(path, err);
	if (rc == RC_OK)
		rc = address_of(path, &a, &folder, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND
			       ? error_set(err, RC_FAILED, "%.300s: no such folder", path)
			       : rc;
	*fd = new_socket();
	/* Nobody gets in before the mode is right: it counts at connect(2), and nobody listens yet. */
	if (*fd < 0 || bind(*fd, (const struct sockaddr *)&a, sizeof a) != 0 ||
	    chmod(path, mode) != 0 || listen(*fd, SOMAXCONN) != 0) {
		rc = error_errno(err, RC_FAILED, errno, "%.300s", path);
		close_if(*fd);
	}
	close_if(folder);
	return rc;
}

void local_remove(const char *path, ino_t inode)
{
	struct stat st;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == inode)
		(void)unlink(path);
}

bool local_peer(int fd, uid_t *uid)
{
	struct ucred who;
	socklen_t len = sizeof who;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0 || len != sizeof who)
		return false;
	*uid = who.uid;
	return true;
}
