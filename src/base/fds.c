/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fds.c: see fds.h. */
#include "base/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/rc.h"

unsigned fds_fill(void)
{
	unsigned closed = 0;
	for (int n = STDIN_FILENO; n <= STDERR_FILENO; n++) {
		if (fcntl(n, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* The lowest free number is n, as those below it are taken by now. */
		int fd = open("/dev/null", n == STDIN_FILENO ? O_WRONLY : O_RDONLY);
		if (fd < 0)
			_exit(RC_FAILED); /* there may be nowhere to say so */
		ASSERT(fd == n);
		closed |= 1u << n;
	}
	return closed;
}
