/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* unlock.c: see unlock.h. */
#include "vault/unlock.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define LOOK_NS 100000000 /* between two looks whether the caller is still there */

/* ---- places ------------------------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER;
static char places[UNLOCK_PLACES][PERSON_NAME]; /* who has each; empty: nobody */

/* A place that this person may have now; NULL: none. */
static char *free_place(const char *person)
{
	char *found = NULL;
	for (size_t i = 0; i < UNLOCK_PLACES; i++) {
		if (strcmp(places[i], person) == 0)
			return NULL;
		if (!places[i][0])
			found = places[i];
	}
	return found;
}

/* NULL: the caller has gone. */
static char *take_place(const struct request *q)
{
	char *place;
	pthread_mutex_lock(&lock);
	while (!(place = free_place(q->person.name)) && !requests_abandoned(q)) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += LOOK_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&left, &lock, &until);
	}
	if (place)
		snprintf(place, PERSON_NAME, "%s", q->person.name);
	pthread_mutex_unlock(&lock);
	return place;
}

static void leave_place(char *place)
{
	pthread_mutex_lock(&lock);
	place[0] = '\0';
	pthread_cond_broadcast(&left);
	pthread_mutex_unlock(&lock);
}

/* ---- the asker's ---------------------------------------------------------------------------------------------- */

void unlock_try(const struct request *q, struct unlock *u)
{
	const char *passphrase = requests_text(q, "passphrase");
	const struct person *p = &q->person;
	*u = (struct unlock){ .rc = RC_AGAIN };
	if (!passphrase || !*passphrase || !p->has_box)
		return;
	vault_step_out(q->v);
	char *place = take_place(q);
	if (place) {
		u->rc = people_open_own(p, passphrase, &u->own, &u->why);
		leave_place(place);
	} else {
		u->rc = error_set(&u->why, RC_FAILED, "the caller has gone");
	}
	vault_step_in(q->v);
}

bool unlock_tried(const struct request *q)
{
	return q->unlock && q->unlock->rc != RC_AGAIN;
}

enum rc unlock_own(const struct request *q, struct seal_pair *own, struct error *err)
{
	const struct unlock *u = q->unlock;
	memset(own, 0, sizeof *own);
	if (!q->person.has_box)
		return error_set(err, RC_REFUSED,
				 "you have no passphrase: set one first (callspan person "
				 "passphrase)");
	if (!unlock_tried(q))
		return error_set(err, RC_AGAIN, "passphrase needed");
	if (u->rc == RC_OK)
		*own = u->own;
	else
		*err = u->why;
	return u->rc;
}

enum rc unlock_prove(const struct request *q, struct error *err)
{
	struct seal_pair own;
	enum rc rc = unlock_own(q, &own, err);
	forget_bytes(&own, sizeof own);
	return rc;
}

enum rc unlock_audio(const struct request *q, struct seal_pair *audio, struct error *err)
{
	struct seal_pair own;
	enum rc rc = people_check_audio(&q->person, err);
	if (rc != RC_OK)
		return rc;
	rc = unlock_own(q, &own, err);
	if (rc == RC_OK)
		rc = people_take_audio(&q->person, &own, audio, err);
	forget_bytes(&own, sizeof own);
	return rc;
}

/* ---- new ones ------------------------------------------------------------------------------------------------- */

enum rc unlock_seal(const struct request *q, uint8_t box[PASSPHRASE_BOX(32)],
		    const uint8_t secret[32], const char *passphrase, struct error *err)
{
	enum rc rc = RC_FAILED;
	vault_step_out(q->v);
	char *place = take_place(q);
	if (place) {
		rc = passphrase_seal(box, secret, 32, passphrase, err);
		leave_place(place);
	} else {
		error_set(err, rc, "the caller has gone");
	}
	vault_step_in(q->v);
	return rc == RC_OK ? requests_check_asker(q, err) : rc;
}
