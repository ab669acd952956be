/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* inquiry_assess.c: what is to become of one call of a request: released, redacted, withheld.  On the vault's thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault/access.h"
#include "vault/inquiry.h"
#include "vault/opening.h"

/* Why a recording is not given. */
static const char *const grounds[] = { "third-party", "privilege", "crime-prevention",
				       "not-the-persons-data", "other" };
#define GROUNDS (sizeof grounds / sizeof grounds[0])

enum rc inquiry_named_call(struct inquiry_doing *d, inquiry_call **out, struct error *err)
{
	struct call *c;
	enum rc rc = access_call(d->q, requests_text(d->q, "id"), &c, err);
	if (rc != RC_OK)
		return rc;
	d->call = c->r.id;
	call_row_free(c);
	rc = inquiry_call_load(d->q->v, d->row, &d->call, out, err);
	if (rc == RC_NOT_FOUND)
		rc = error_set(
			err, RC_USAGE,
			"that recording is not one of R-%u (request refresh finds later ones)",
			d->row->number);
	return rc;
}

static void clear_redactions(inquiry_call *c)
{
	for (size_t i = 0; i < c->n_redactions; i++)
		free(c->redactions[i]);
	free(c->redactions);
	c->redactions = NULL;
	c->n_redactions = 0;
}

/* Spelled as replay and export take them. */
static void put_redactions(inquiry_call *c, const struct mute *mutes, unsigned count)
{
	c->redactions = calloc(count + 1, sizeof(char *));
	ASSERT(c->redactions);
	for (; c->n_redactions < count; c->n_redactions++) {
		const struct mute *m = &mutes[c->n_redactions];
		ASSERT(asprintf(&c->redactions[c->n_redactions], "%s:%.3f-%.3f", mute_side(m),
				m->from_s, m->to_s) > 0);
	}
}

static enum rc take_redactions(const struct request *q, inquiry_call *c, struct error *err)
{
	struct mute mutes[MUTES];
	unsigned count;
	const json_t *list = json_object_get(q->body, "redact");
	clear_redactions(c);
	if (c->decision != INQUIRY_REDACT)
		return list ? error_set(err, RC_USAGE, "redact: only where the decision is redact")
			    : RC_OK;
	enum rc rc = mute_read(list, mutes, &count, err);
	if (rc == RC_OK && !count)
		rc = error_set(err, RC_USAGE, "redact: what? SIDE:FROM-TO is wanted");
	if (rc == RC_OK)
		put_redactions(c, mutes, count);
	return rc;
}

static enum rc take_ground(const struct request *q, inquiry_call *c, const char *note,
			   struct error *err)
{
	const char *ground = "";
	enum rc rc = RC_OK;
	if (c->decision == INQUIRY_WITHHOLD)
		rc = inquiry_take_word(q, "ground", grounds, GROUNDS, &ground, err);
	else if (requests_text(q, "ground"))
		rc = error_set(err, RC_USAGE, "ground: only where a recording is withheld");
	if (rc == RC_OK && strcmp(ground, "other") == 0 && !note)
		rc = error_set(err, RC_USAGE, "the ground \"other\" wants a note (--note)");
	inquiry_set(&c->ground, ground);
	return rc;
}

/* The decision about a call, as q says it. */
static enum rc decide(struct inquiry_doing *d, inquiry_call *c, struct error *err)
{
	const char *word, *note;
	enum rc rc = inquiry_take_word(d->q, "decision", inquiry_decisions + 1,
				       INQUIRY_DECISIONS - 1, &word, err);
	if (rc == RC_OK)
		rc = inquiry_take_text(d->q, "note", INQUIRY_TEXT, NULL, &note, err);
	if (rc != RC_OK)
		return rc;
	for (c->decision = INQUIRY_RELEASE; inquiry_decisions[c->decision] != word;)
		c->decision++;
	rc = take_redactions(d->q, c, err);
	if (rc == RC_OK)
		rc = take_ground(d->q, c, note, err);
	inquiry_set_bytes(&c->sealed, NULL, 0);
	if (rc == RC_OK && note)
		rc = inquiry_seal(d->q->v, d->row, &d->call, note, strlen(note), &c->sealed, err);
	inquiry_set(&c->person, d->q->person.name);
	c->time_us = vault_now_us(d->q->v);
	snprintf(d->detail, sizeof d->detail, "decision=%s%s%s redactions=%zu", word,
		 *c->ground ? " ground=" : "", c->ground, c->n_redactions);
	return rc;
}

enum rc inquiry_assess(struct inquiry_doing *d, struct error *err)
{
	inquiry_call *c = NULL;
	enum rc rc = inquiry_named_call(d, &c, err);
	if (rc == RC_OK && c->given)
		rc = error_set(err, RC_FAILED, "that recording was given already");
	if (rc == RC_OK)
		rc = decide(d, c, err);
	if (rc == RC_OK)
		inquiry_call_put(d->q->v, d->batch, d->row, &d->call, c);
	inquiry_call_free(c);
	return rc;
}
