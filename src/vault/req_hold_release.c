/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_hold_release.c: releasing holds: by one person, or asked by one and confirmed by another.  See hold.h.
 *
 *   state    policy wants two   release      release, confirmed      cancel
 *   active   no                 ends         not asked               not asked
 *   active   yes                asked        not asked               not asked
 *   asked    no                 ends         ends                    active
 *   asked    yes                was asked    ends, if by another     active
 *   ending, ended               was released, all three
 *
 * The second person gives a passphrase.  What comes of the recordings is the purge's: they are destroyed at the next one
 * after their own time, or the policy's grace, is over.
 */
#include <string.h>

#include "base/clock.h"
#include "vault/hold.h"
#include "vault/holds.h"
#include "vault/unlock.h"

static const char release[] = "hold-release", cancel[] = "hold-cancel-release";

static enum rc load(const struct request *q, struct hold *h, struct error *err)
{
	enum rc rc = hold_find(q->v, requests_text(q, "hold"), h, err);
	if (rc == RC_OK && !req_hold_sees(q, h, false))
		return error_set(err, RC_USAGE, "there is no hold H-%llu",
				 (unsigned long long)h->number);
	if (rc == RC_OK && !req_hold_sees(q, h, true))
		return error_set(err, RC_REFUSED,
				 "H-%llu keeps recordings that are not yours to release",
				 (unsigned long long)h->number);
	return rc;
}

static enum rc was_released(const struct hold *h, struct error *err)
{
	char time[CLOCK_TEXT];
	return error_set(err, RC_FAILED, "H-%llu was released by %s on %s",
			 (unsigned long long)h->number, h->released_by,
			 clock_local(h->released_us * 1000, time));
}

static enum rc was_asked(const struct request *q, const struct hold *h, struct error *err)
{
	char time[CLOCK_TEXT];
	bool same = strcmp(h->asked_by, q->person.name) == 0;
	return error_set(err, RC_FAILED, "the release of H-%llu was asked by %s on %s: %s",
			 (unsigned long long)h->number, same ? "you" : h->asked_by,
			 clock_local(h->asked_us * 1000, time),
			 same ? "another person is to confirm it" : "--confirm confirms it");
}

/* The second of two persons: another, and it is really them. */
static enum rc check_second(const struct request *q, const struct hold *h, struct error *err)
{
	if (strcmp(h->asked_by, q->person.name) == 0)
		return error_set(err, RC_REFUSED,
				 "the release of H-%llu was asked by you: another person is to "
				 "confirm it",
				 (unsigned long long)h->number);
	return unlock_prove(q, err);
}

static enum rc put(const struct request *q, const struct hold *h, const char *action,
		   const char *outcome, const char *detail, struct error *err)
{
	struct index_batch *b = index_batch_new(q->v->index);
	enum rc rc = req_hold_note(q, b, h, action, outcome, detail, err);
	hold_put(q->v, b, h);
	if (rc == RC_OK)
		return audit_commit(q->v, b, err);
	audit_drop(q->v, b);
	return rc;
}

static enum rc ask(const struct request *q, struct hold *h, struct error *err)
{
	h->state = HOLD_ASKED;
	h->asked_us = vault_now_us(q->v);
	snprintf(h->asked_by, sizeof h->asked_by, "%s", q->person.name);
	return put(q, h, release, "asked", h->release_reason, err);
}

static enum rc end(const struct request *q, struct hold *h, struct error *err)
{
	char detail[HOLD_TEXT + 48];
	h->state = HOLD_ENDING;
	h->released_us = vault_now_us(q->v);
	h->released_calls = hold_count(q->v, h);
	snprintf(h->released_by, sizeof h->released_by, "%s", q->person.name);
	snprintf(detail, sizeof detail, "%llu calls%s%s", (unsigned long long)h->released_calls,
		 *h->release_reason ? ", " : "", h->release_reason);
	enum rc rc = put(q, h, release, "done", detail, err);
	return rc == RC_OK ? hold_end(q->v, h, err) : rc;
}

static enum rc release_as_asked(const struct request *q, struct hold *h, struct error *err)
{
	bool two = q->v->policy.two_persons & TWO_HOLD_RELEASE;
	bool confirm = json_is_true(json_object_get(q->body, "confirm"));
	if (h->state >= HOLD_ENDING)
		return was_released(h, err);
	if (confirm && h->state != HOLD_ASKED)
		return error_set(err, RC_FAILED, "the release of H-%llu has not been asked for",
				 (unsigned long long)h->number);
	if (two && !confirm)
		return h->state == HOLD_ASKED ? was_asked(q, h, err) : ask(q, h, err);
	enum rc rc = two ? check_second(q, h, err) : RC_OK;
	return rc == RC_OK ? end(q, h, err) : rc;
}

/* The reason may be given by either person; the second's counts. */
static enum rc read_reason(const struct request *q, struct hold *h, struct error *err)
{
	char party[PARTY_TEXT], text[HOLD_TEXT + 1];
	enum rc rc = hold_party(q->v, h, party, err);
	if (rc == RC_OK)
		rc = req_hold_text(q, "reason", party, false, text, err);
	if (rc == RC_OK && *text)
		memcpy(h->release_reason, text, sizeof text);
	forget_bytes(party, sizeof party);
	return rc;
}

/* A failed attempt touched recordings: it is told to the trail. */
static enum rc told(const struct request *q, const struct hold *h, const char *action, enum rc rc,
		    struct error *err)
{
	struct error second;
	if (rc == RC_OK)
		requests_reply(q, req_hold_json(q, h));
	else if (rc == RC_FAILED &&
		 req_hold_note(q, NULL, h, action, "failed", err->text, &second) != RC_OK)
		*err = second;
	return rc;
}

enum rc req_hold_release(const struct request *q, struct error *err)
{
	struct hold h;
	enum rc rc = load(q, &h, err);
	if (rc == RC_OK)
		rc = read_reason(q, &h, err);
	if (rc != RC_OK)
		return rc;
	rc = release_as_asked(q, &h, err);
	return told(q, &h, release, rc, err);
}

enum rc req_hold_cancel(const struct request *q, struct error *err)
{
	struct hold h;
	enum rc rc = load(q, &h, err);
	if (rc != RC_OK)
		return rc;
	if (h.state >= HOLD_ENDING) {
		rc = was_released(&h, err);
	} else if (h.state != HOLD_ASKED) {
		rc = error_set(err, RC_FAILED, "the release of H-%llu has not been asked for",
			       (unsigned long long)h.number);
	} else {
		h.state = HOLD_ACTIVE;
		h.asked_by[0] = h.release_reason[0] = '\0';
		h.asked_us = 0;
		rc = put(q, &h, cancel, "done", NULL, err);
	}
	return told(q, &h, cancel, rc, err);
}
