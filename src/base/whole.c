/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* whole.c: see whole.h. */
#include "base/whole.h"

#include <errno.h>
#include <unistd.h>

#define HERE (-1) /* as a place: where the descriptor stands */

static ssize_t read_on(int fd, void *buf, size_t room, off_t at)
{
	uint8_t *to = buf;
	size_t done = 0;
	while (done < room) {
		ssize_t n = at == HERE ? read(fd, to + done, room - done)
				       : pread(fd, to + done, room - done, at + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t whole_read(int fd, void *buf, size_t room)
{
	return read_on(fd, buf, room, HERE);
}

ssize_t whole_read_at(int fd, void *buf, size_t room, off_t at)
{
	ASSERT(at >= 0);
	return read_on(fd, buf, room, at);
}

static bool write_on(int fd, const void *data, size_t len, off_t at)
{
	const uint8_t *from = data;
	size_t done = 0;
	while (done < len) {
		ssize_t n = at == HERE ? write(fd, from + done, len - done)
				       : pwrite(fd, from + done, len - done, at + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* not what POSIX knows of */
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

bool whole_write(int fd, const void *data, size_t len)
{
	return write_on(fd, data, len, HERE);
}

bool whole_write_at(int fd, const void *data, size_t len, off_t at)
{
	ASSERT(at >= 0);
	return write_on(fd, data, len, at);
}
