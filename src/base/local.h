/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* local.h: sockets of this machine (AF_UNIX, streams), by paths of any length.
 *
 * A socket's address holds 108 bytes.  A longer path is reached through a descriptor of its folder
 * (/proc/self/fd/N/NAME), so that a store may lie wherever a file may.
 */
#ifndef CALLSPAN_BASE_LOCAL_H
#define CALLSPAN_BASE_LOCAL_H

#include <sys/types.h>

#include "base/rc.h"

/* A connection to who listens there, owned by the caller.  RC_NOT_FOUND: nobody does; RC_REFUSED: there is a socket, and it
 * may not be used. */
enum rc local_connect(const char *path, int *fd, struct error *err) MUST_USE;
/* Listen there, for whoever may use a socket of this mode.  One left behind, at which nobody answers, is replaced; RC_FAILED
 * where somebody does, or something else lies there. */
enum rc local_listen(const char *path, mode_t mode, int *fd, struct error *err) MUST_USE;
/* Remove the socket with this inode, if it is still what lies there. */
void local_remove(const char *path, ino_t inode);
/* The user at the other end: who connected, or who listens. */
bool local_peer(int fd, uid_t *uid);

#endif
