/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* spool.h: a reply between the thread that makes it and the thread that gives it to the caller.  Private to src/vault.
 *
 *   worker ──spool_put──► blocks in memory ──spool_take──► the caller's connection
 *      └──spool_wait: until the caller has taken most of it
 *
 * Bounded: a worker that cannot wait (it has the vault) may put SPOOL_MOST bytes, then the reply is cut off and the caller is
 * told so; one that waits between pages never has more than SPOOL_EASY and a page there.  Each side lets go once; the last
 * frees it.  Replies hold numbers and names: memory is wiped.
 */
#ifndef CALLSPAN_VAULT_SPOOL_H
#define CALLSPAN_VAULT_SPOOL_H

#include <sys/types.h>

#include "base/rc.h"

#define SPOOL_EASY ((size_t)4 << 20)
#define SPOOL_MOST ((size_t)256 << 20)

struct spool;
/* For two: one who puts, one who takes.  NULL: no memory, or no descriptors. */
struct spool *spool_new(void);

/* False: nobody takes it any more, or it was too much (spool_overflown). */
bool spool_put(struct spool *s, const void *data, size_t len);
/* Wait until the caller has caught up, or is gone. */
void spool_wait(struct spool *s);
bool spool_overflown(struct spool *s);
/* Becomes 1 when nobody takes it any more. */
const volatile int *spool_gone(const struct spool *s);
/* A last line, however much there is, and that was all; the worker lets go. */
void spool_end(struct spool *s, const void *data, size_t len);

/* Up to `most` bytes, waiting for the first; 0: that was all; -1: the peer of `fd`, which takes it, has gone. */
ssize_t spool_take(struct spool *s, int fd, char *to, size_t most);
/* The worker is told to stop: the caller has gone, or the service ends. */
void spool_stop(struct spool *s);
/* The taker lets go. */
void spool_leave(struct spool *s);

#endif
