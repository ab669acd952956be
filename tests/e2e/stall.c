/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* stall.c: a disk that takes nothing for as long as a test says so.
 *
 * Linked into callspand-stall (Makefile), in which writes and syncs of segments go by way of these functions.  While
 * the file that CALLSPAN_STALL names is there, they wait; that they do is told by a file of the same name and ".reached".
 * callspand itself has nothing of the kind.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

static void wait_for_the_disk(void)
{
	const char *stall = getenv("CALLSPAN_STALL");
	char reached[4096];

	if (!stall || access(stall, F_OK) != 0)
		return;
	snprintf(reached, sizeof reached, "%s.reached", stall);
	close(open(reached, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	while (access(stall, F_OK) == 0)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	wait_for_the_disk();
	return __real_pwrite(fd, p, n, at);
}

int __wrap_fdatasync(int fd)
{
	wait_for_the_disk();
	return __real_fdatasync(fd);
}
