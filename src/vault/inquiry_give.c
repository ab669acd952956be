/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* inquiry_give.c: a call of a request is heard on the premises, or leaves as a file; as it was assessed and not otherwise.
 *
 * What is done is a replay or an export, the same that a person could ask for, composed here: the purpose is that of the
 * request, the reference is the request, and what was redacted is muted.  So policy, role, passphrase and the audit entry
 * before the first byte are those of any opening.  On the vault's thread, which steps out while a recording is opened
 * (turn.h): what was known of the request and the call before that may be another afterwards.
 */
#include <string.h>

#include "vault/inquiry.h"

static const char *const purposes[INQUIRY_KINDS] = { "subject-access", "crime-prevention" };

/* What the caller chooses: where it goes, and how it is protected on its way. */
static const char *const chosen[] = { "id", "play", "fd", "format", "password", "recipient" };

static json_t *compose(const struct inquiry_doing *d, const inquiry_call *c, bool heard)
{
	char name[INQUIRY_NAME];
	json_t *o = json_pack("{s:s, s:s, s:s}", "request", heard ? "replay" : "export", "purpose",
			      purposes[d->row->kind], "reference", inquiry_name(d->row, name));
	ASSERT(o);
	for (size_t i = 0; i < sizeof chosen / sizeof chosen[0]; i++) {
		json_t *value = json_object_get(d->q->body, chosen[i]);
		if (value && !json_is_null(value))
			json_object_set(o, chosen[i], value);
	}
	json_t *mute = json_array();
	for (size_t i = 0; i < c->n_redactions; i++)
		json_array_append_new(mute, json_string(c->redactions[i]));
	if (c->n_redactions)
		json_object_set(o, "mute", mute);
	json_decref(mute);
	return o;
}

static enum rc open_call(const struct inquiry_doing *d, const inquiry_call *c, bool heard,
			 struct error *err)
{
	struct request inner = *d->q;
	json_t *body = compose(d, c, heard);
	inner.body = body;
	enum rc rc = heard ? req_replay_check(&inner, err) : req_export_check(&inner, err);
	if (rc == RC_OK)
		rc = heard ? req_replay(&inner, err) : req_export(&inner, err);
	json_decref(body);
	forget_bytes(&inner.person, sizeof inner.person);
	return rc;
}

static enum rc check_decision(const inquiry_call *c, struct error *err)
{
	if (c->decision == INQUIRY_WITHHOLD)
		return error_set(err, RC_REFUSED, "that recording is withheld (%s)", c->ground);
	if (c->decision == INQUIRY_UNDECIDED)
		return error_set(err, RC_REFUSED, "that recording was not assessed");
	return RC_OK;
}

/* The request as it stands by now, in the place of what was loaded. */
static enum rc load_again(struct inquiry_doing *d, struct error *err)
{
	char name[INQUIRY_NAME];
	inquiry_row *now;
	enum rc rc = inquiry_load(d->q->v, inquiry_name(d->row, name), &now, err);
	if (rc != RC_OK)
		return rc;
	inquiry_free(d->row);
	d->row = now;
	return RC_OK;
}

/* That it was given, and nothing else: of the call as it stands by now, and not of one that went with the end of its
 * request. */
static enum rc note_given(const struct inquiry_doing *d, bool heard, struct error *err)
{
	inquiry_call *c;
	enum rc rc = inquiry_call_load(d->q->v, d->row, &d->call, &c, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	c->given = heard ? INQUIRY_HEARD : INQUIRY_EXPORTED;
	c->given_us = vault_now_us(d->q->v);
	inquiry_set(&c->given_by, d->q->person.name);
	inquiry_call_put(d->q->v, d->batch, d->row, &d->call, c);
	inquiry_call_free(c);
	return RC_OK;
}

enum rc inquiry_give(struct inquiry_doing *d, struct error *err)
{
	bool heard = json_is_true(json_object_get(d->q->body, "play"));
	inquiry_call *c = NULL;
	enum rc rc = inquiry_named_call(d, &c, err);
	if (rc == RC_OK)
		rc = check_decision(c, err);
	if (rc == RC_OK)
		rc = open_call(d, c, heard, err);
	if (rc == RC_OK)
		snprintf(d->detail, sizeof d->detail, "%s redactions=%zu",
			 heard ? "heard" : "exported", c->n_redactions);
	inquiry_call_free(c);
	d->stays = true;
	if (rc == RC_OK)
		rc = load_again(d, err);
	return rc == RC_OK ? note_given(d, heard, err) : rc;
}
