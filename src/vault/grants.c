/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* grants.c: see grants.h.  On the vault's thread. */
#include "vault/grants.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "vault/unlock.h"

/* ---- who may hear ------------------------------------------------------------------------------------------- */

struct looking {
	const char *person;
	int64_t now_us;
	struct review *best; /* that runs longest */
	bool found;
};

static bool look_at(void *ctx, const struct review *r)
{
	struct looking *l = ctx;
	bool runs = r->given == GIVEN_RUNS && r->until_us > l->now_us &&
		    strcmp(r->person, l->person) == 0;
	if (runs && (!l->found || r->until_us > l->best->until_us)) {
		*l->best = *r;
		l->found = true;
	}
	return true;
}

enum rc grants_find(struct vault *v, const char *person, const struct uuid *call, int64_t now_us,
		    struct review *r, struct error *err)
{
	struct looking l = { .person = person, .now_us = now_us, .best = r };
	enum rc rc = *person ? reviews_walk(v, call, look_at, &l, err) : RC_NOT_FOUND;
	return rc == RC_OK && !l.found ? RC_NOT_FOUND : rc;
}

bool grants_allows(struct vault *v, const char *person, const struct uuid *call, int64_t now_us)
{
	struct review r;
	struct error ignored; /* index_health() keeps it */
	return grants_find(v, person, call, now_us, &r, &ignored) == RC_OK;
}

/* ---- its key ---------------------------------------------------------------------------------------------------- */

enum rc grants_seal(struct vault *v, struct review *r, const struct person *to,
		    const uint8_t audio_key[KEY_BYTES], struct error *err)
{
	uint8_t box[KEY_BYTES + SEAL_OVERHEAD];
	uint32_t number;
	seal_to(box, audio_key, KEY_BYTES, to->public_key);
	enum rc rc = matter_new(v, &number, err);
	if (rc == RC_OK)
		rc = matter_seal(v, number, &r->call, box, sizeof box, r->audio_key, err);
	if (rc != RC_OK)
		return rc;
	r->matter = number + 1;
	r->has_audio_key = true;
	return RC_OK;
}

static enum rc open_box(const struct request *q, const struct review *r,
			uint8_t audio_key[KEY_BYTES], struct error *err)
{
	uint8_t box[KEY_BYTES + SEAL_OVERHEAD];
	struct seal_pair own;
	if (!r->has_audio_key || !r->matter)
		return error_set(err, RC_REFUSED,
				 "V-%" PRIu64
				 " was given when the store needed no passphrase: have "
				 "the call given again",
				 r->number);
	enum rc rc = unlock_own(q, &own, err);
	if (rc == RC_OK)
		rc = matter_open(q->v, r->matter - 1, &r->call, r->audio_key, sizeof r->audio_key,
				 box, err);
	if (rc == RC_NOT_FOUND)
		rc = error_set(err, RC_REFUSED, "the right to hear this call is over");
	if (rc == RC_OK && !seal_open(audio_key, box, sizeof box, &own))
		rc = error_set(err, RC_REFUSED,
			       "this call was given to a passphrase that you have no more: have it "
			       "given again");
	forget_bytes(&own, sizeof own);
	return rc;
}

enum rc grants_open(const struct request *q, const struct uuid *call, uint8_t audio_key[KEY_BYTES],
		    struct error *err)
{
	struct review r;
	enum rc rc = grants_find(q->v, q->person.name, call, vault_now_us(q->v), &r, err);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_REFUSED, "this call is not given to you to hear");
	return rc == RC_OK ? open_box(q, &r, audio_key, err) : rc;
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

enum rc grants_destroy(struct vault *v, const struct review *r, struct error *err)
{
	enum rc rc = r->matter ? matter_destroy(v, r->matter - 1, err) : RC_OK;
	if (rc != RC_DAMAGED)
		return rc;
	log_error("grant-key", "what=\"%s\"", err->text); /* what is not there opens nothing */
	return RC_OK;
}

static enum rc end(struct vault *v, struct review *r, struct error *err)
{
	char detail[REVIEW_NAME + PERSON_NAME + 16];
	enum rc rc = grants_destroy(v, r, err);
	if (rc != RC_OK)
		return rc;
	r->given = GIVEN_OVER;
	r->matter = 0;
	r->has_audio_key = false;
	struct index_batch *b = index_batch_new(v->index);
	snprintf(detail, sizeof detail, "V-%" PRIu64 ": of %s", r->number, r->person);
	audit_note(v, b,
		   &(struct audit_entry){ .action = "right-over",
					  .call = &r->call,
					  .outcome = "done",
					  .detail = detail });
	reviews_put(v, b, r);
	return audit_commit(v, b, err);
}

enum rc grants_expire(struct vault *v, struct error *err)
{
	for (;;) {
		struct review r;
		struct error why;
		enum rc rc = reviews_due(v, vault_now_us(v), &r, err);
		if (rc != RC_OK)
			return rc == RC_END ? RC_OK : rc;
		/* Who asks now asks for something else; it is tried again the next time. */
		if (end(v, &r, &why) != RC_OK) {
			log_error("grant-end", "what=\"%s\"", why.text);
			return RC_OK;
		}
	}
}
