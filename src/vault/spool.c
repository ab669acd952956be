/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* spool.c: see spool.h. */
#include "vault/spool.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BLOCK 65536

struct block {
	struct block *next;
	size_t used, taken;
	char bytes[BLOCK];
};

struct spool {
	pthread_mutex_t lock;
	pthread_cond_t taken;
	struct block *first, *last; /* owned */
	size_t unread;
	int ready; /* eventfd: there is something to take, or it has ended */
	int holders;
	bool ended, overflown;
	volatile int gone;
};

struct spool *spool_new(void)
{
	struct spool *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->ready < 0) {
		free(s);
		return NULL;
	}
	s->holders = 2;
	ASSERT(pthread_mutex_init(&s->lock, NULL) == 0 && pthread_cond_init(&s->taken, NULL) == 0);
	return s;
}

static void drop_first(struct spool *s)
{
	struct block *b = s->first;
	s->first = b->next;
	if (!s->first)
		s->last = NULL;
	explicit_bzero(b->bytes, b->used);
	free(b);
}

static void let_go(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	int holders = --s->holders;
	pthread_mutex_unlock(&s->lock);
	if (holders)
		return;
	while (s->first)
		drop_first(s);
	close(s->ready);
	pthread_cond_destroy(&s->taken);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void wake_taker(const struct spool *s)
{
	const uint64_t one = 1;
	ssize_t n = write(s->ready, &one, sizeof one);
	ASSERT(n == sizeof one || errno == EAGAIN); /* full: it is awake */
}

/* ---- the worker's side -------------------------------------------------------------------------------------- */

static bool add_block(struct spool *s)
{
	struct block *b = malloc(sizeof *b);
	if (!b)
		return false;
	b->next = NULL;
	b->used = b->taken = 0;
	if (s->last)
		s->last->next = b;
	else
		s->first = b;
	s->last = b;
	return true;
}

static bool add_bytes(struct spool *s, const char *from, size_t len)
{
	while (len) {
		if ((!s->last || s->last->used == BLOCK) && !add_block(s))
			return false;
		struct block *b = s->last;
		size_t n = len < BLOCK - b->used ? len : BLOCK - b->used;
		memcpy(b->bytes + b->used, from, n);
		b->used += n;
		s->unread += n;
		from += n;
		len -= n;
	}
	return true;
}

bool spool_put(struct spool *s, const void *data, size_t len)
{
	pthread_mutex_lock(&s->lock);
	if (s->unread + len > SPOOL_MOST)
		s->overflown = true;
	bool good = !s->overflown && !s->gone;
	if (good && !add_bytes(s, data, len)) {
		s->overflown = true;
		good = false;
	}
	pthread_mutex_unlock(&s->lock);
	wake_taker(s);
	return good;
}

void spool_wait(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->unread > SPOOL_EASY && !s->gone)
		pthread_cond_wait(&s->taken, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

bool spool_overflown(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	bool overflown = s->overflown;
	pthread_mutex_unlock(&s->lock);
	return overflown;
}

const volatile int *spool_gone(const struct spool *s)
{
	return &s->gone;
}

void spool_end(struct spool *s, const void *data, size_t len)
{
	pthread_mutex_lock(&s->lock);
	(void)add_bytes(s, data,
			len); /* no memory for it: a reply without its end is known to be cut */
	s->ended = true;
	pthread_mutex_unlock(&s->lock);
	wake_taker(s);
	let_go(s);
}

/* ---- the taker's side ----------------------------------------------------------------------------------------- */

/* What is there; 0 with *ended false: nothing yet. */
static size_t take_bytes(struct spool *s, char *to, size_t most, bool *ended)
{
	size_t len = 0;
	pthread_mutex_lock(&s->lock);
	while (s->first && len < most) {
		struct block *b = s->first;
		size_t n = b->used - b->taken < most - len ? b->used - b->taken : most - len;
		memcpy(to + len, b->bytes + b->taken, n);
		b->taken += n;
		len += n;
		if (b->taken == BLOCK || (b->taken == b->used && !b->next))
			drop_first(s);
	}
	s->unread -= len;
	*ended = s->ended;
	if (s->unread <= SPOOL_EASY)
		pthread_cond_signal(&s->taken);
	pthread_mutex_unlock(&s->lock);
	return len;
}

ssize_t spool_take(struct spool *s, int fd, char *to, size_t most)
{
	uint64_t count;
	bool ended;
	for (;;) {
		size_t len = take_bytes(s, to, most, &ended);
		if (len || ended)
			return (ssize_t)len;
		struct pollfd p[2] = { { .fd = fd }, { .fd = s->ready, .events = POLLIN } };
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -1;
		/* A peer that has only ended its own side (POLLRDHUP) still listens. */
		if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			return -1;
		if (read(s->ready, &count, sizeof count) < 0 && errno != EAGAIN)
			return -1;
	}
}

void spool_stop(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	__atomic_store_n(&s->gone, 1, __ATOMIC_RELAXED);
	pthread_cond_signal(&s->taken);
	pthread_mutex_unlock(&s->lock);
}

void spool_leave(struct spool *s)
{
	spool_stop(s);
	let_go(s);
}
