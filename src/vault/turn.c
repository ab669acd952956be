/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* turn.c: see turn.h.  A ticket lock: a mutex alone would let a thread that gives way take its turn back at once. */
#include "vault/turn.h"

#include <pthread.h>
#include <stdlib.h>

struct turn {
	pthread_mutex_t lock;
	pthread_cond_t next;
	uint64_t given, serving; /* tickets */
	pthread_t holder;        /* of the ticket that is served, while it is `held` */
	bool held;
};

void turn_share(struct vault *v)
{
	struct turn *t = calloc(1, sizeof *t);
	ASSERT(t && pthread_mutex_init(&t->lock, NULL) == 0 &&
	       pthread_cond_init(&t->next, NULL) == 0);
	v->turn = t;
}

void turn_free(struct vault *v)
{
	if (!v->turn)
		return;
	pthread_cond_destroy(&v->turn->next);
	pthread_mutex_destroy(&v->turn->lock);
	free(v->turn);
	v->turn = NULL;
}

void vault_enter(struct vault *v)
{
	struct turn *t = v->turn;
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	uint64_t ticket = t->given++;
	while (t->serving != ticket)
		pthread_cond_wait(&t->next, &t->lock);
	t->holder = pthread_self();
	t->held = true;
	pthread_mutex_unlock(&t->lock);
}

void vault_leave(struct vault *v)
{
	struct turn *t = v->turn;
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	/* Whoever left without having it would let two in at once, and leave a third standing for ever. */
	ASSERT(t->held && pthread_equal(t->holder, pthread_self()));
	t->held = false;
	t->serving++;
	pthread_cond_broadcast(&t->next);
	pthread_mutex_unlock(&t->lock);
}

void vault_step_out(struct vault *v)
{
	v->outside++;
	vault_leave(v);
}

void vault_step_in(struct vault *v)
{
	vault_enter(v);
	v->outside--;
}

void vault_give_way(struct vault *v)
{
	if (!v->turn)
		return;
	vault_step_out(v);
	vault_step_in(v);
}
