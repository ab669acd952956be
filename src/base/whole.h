/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* whole.h: reads and writes that go on until all is done, over signals and over what the kernel does in parts.  On any
 * thread; for descriptors that block.
 */
#ifndef CALLSPAN_BASE_WHOLE_H
#define CALLSPAN_BASE_WHOLE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/rc.h"

/* `room` bytes, fewer only where the file ends; -1 with errno.  From where the descriptor stands; from `at`. */
ssize_t whole_read(int fd, void *buf, size_t room) MUST_USE;
ssize_t whole_read_at(int fd, void *buf, size_t room, off_t at) MUST_USE;
/* All of it; false with errno. */
bool whole_write(int fd, const void *data, size_t len) MUST_USE;
bool whole_write_at(int fd, const void *data, size_t len, off_t at) MUST_USE;

#endif
