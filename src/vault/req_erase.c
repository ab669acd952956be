/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_erase.c: destroying one recording ahead of its time.
 *
 *   --reason ──► the policy wants two persons? ──no──► audit ──► disposal_destroy()
 *                     │ yes                                          ▲
 *                     └─► asked, on record ──► --confirm by another, with their passphrase
 *                                         └──► --cancel
 */
#include <string.h>

#include "base/clock.h"
#include "vault/access.h"
#include "vault/disposal.h"
#include "vault/erasure.h"
#include "vault/hold.h"
#include "vault/holds.h"
#include "vault/unlock.h"

#define HOLDERS 16
#define TAIL    9 /* of a number: so many digits tell whose it is, */
#define WHOLE   6 /* and one of fewer than these only where it stands alone */
#define REASON  "reason"

static bool asked(const struct request *q, const char *member)
{
	return json_is_true(json_object_get(q->body, member));
}

/* ---- the reason -------------------------------------------------------------------------------- */

static enum rc check_reason(const char *reason, struct error *err)
{
	if (strspn(reason, " \t") == strlen(reason))
		return error_set(err, RC_USAGE, "reason: say why it is to be erased");
	if (strlen(reason) >= ERASURE_REASON)
		return error_set(err, RC_USAGE, "reason: at most %d bytes", ERASURE_REASON - 1);
	for (const char *p = reason; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return error_set(err, RC_USAGE, "reason: one line of text is wanted");
	}
	return RC_OK;
}

enum rc req_erase_check(const struct request *q, struct error *err)
{
	const char *reason = requests_text(q, REASON);
	int ways = (reason != NULL) + asked(q, "confirm") + asked(q, "cancel");
	if (!requests_text(q, "id"))
		return error_set(err, RC_USAGE, "which recording? An id is wanted");
	if (ways != 1)
		return error_set(err, RC_USAGE,
				 "one of reason, confirm and cancel is wanted: why it is to be "
				 "erased, or what becomes of what was asked for");
	return reason ? check_reason(reason, err) : RC_OK;
}

/* Digits without what people put between them; other characters become a space. */
static void digits_of(char out[ERASURE_REASON], const char *text)
{
	size_t n = 0;
	for (; *text && n < ERASURE_REASON - 1; text++) {
		if (*text >= '0' && *text <= '9')
			out[n++] = *text;
		else if (!strchr(" -()./+", *text))
			out[n++] = ' ';
	}
	out[n] = '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* It may stand with spaces within and around it; a short one must be a word of its own. */
static bool names_number(const char *reason, const char *number)
{
	char digits[ERASURE_REASON];
	size_t len = strlen(number);
	if (len >= WHOLE) {
		digits_of(digits, reason);
		return strstr(digits, len > TAIL ? number + len - TAIL : number) != NULL;
	}
	for (const char *at = strstr(reason, number); at; at = strstr(at + 1, number)) {
		if ((at == reason || !is_digit(at[-1])) && !is_digit(at[len]))
			return true;
	}
	return false;
}

static bool names_party(const char *reason, const char *party)
{
	char plain[PARTY_TEXT];
	if (!*party)
		return false;
	bool number = party_plain(party, plain);
	return *plain && (number ? names_number(reason, plain) : strcasestr(reason, plain) != NULL);
}

/* The reason stays when the recording is gone: who spoke must not stand in it. */
static enum rc check_names(struct vault *v, struct call *c, const char *reason, struct error *err)
{
	catalogue_open(v, c);
	const char *const parties[] = { c->r.from,          c->r.to,
					c->r.from_name,     c->r.to_name,
					c->r.diverted_from, c->r.referred_by };
	for (size_t i = 0; i < sizeof parties / sizeof parties[0]; i++) {
		if (names_party(reason, parties[i]))
			return error_set(err, RC_USAGE,
					 "reason: it names a party of the call, and it stays when "
					 "the recording is gone");
	}
	return RC_OK;
}

/* ---- what may be erased ------------------------------------------------------------------------ */

/* "H-12, H-15", as far as they are holds; a request that keeps it is a tie without such a name. */
static enum rc held_error(struct vault *v, const struct call *c, struct error *err)
{
	char text[200] = "";
	size_t at = 0, i;
	const json_t *name;
	json_t *names = holds_names(v, &c->r.id);
	json_array_foreach(names, i, name)
	{
		int n = snprintf(text + at, sizeof text - at, "%s%s", i ? ", " : "",
				 json_string_value(name));
		at += n > 0 && (size_t)n < sizeof text - at ? (size_t)n : 0;
	}
	json_decref(names);
	return error_set(err, RC_REFUSED,
			 "this recording is kept (%s): it can be erased when nothing keeps it",
			 at ? text : "by a request");
}

static enum rc check_call(struct vault *v, const struct call *c, struct error *err)
{
	bool held;
	enum rc rc = holds_held(v, &c->r.id, &held, err);
	if (rc != RC_OK)
		return rc;
	if (held)
		return held_error(v, c, err);
	if (c->r.state != CALL_ENDED)
		return error_set(err, RC_FAILED, "this call has not ended yet");
	return RC_OK;
}

/* ---- the ways ---------------------------------------------------------------------------------- */

static void note(const struct request *q, struct index_batch *b, const struct call *c,
		 const char *outcome, const char *detail)
{
	audit_note(q->v, b,
		   &(struct audit_entry){ .person = q->person.name,
					  .role = people_role_name(q->person.role),
					  .action = "erase",
					  .call = &c->r.id,
					  .outcome = outcome,
					  .detail = detail });
}

static void reply(const struct request *q, const struct call *c, const char *state)
{
	char id[UUID_TEXT];
	requests_reply(q, json_pack("{s:s, s:s}", "id", uuid_text(&c->r.id, id), "state", state));
}

static enum rc erase(const struct request *q, struct call *c, const struct erasure *e,
		     struct error *err)
{
	struct disposal_sum sum = { 0 };
	char detail[ERASURE_REASON + PERSON_NAME + 32];
	struct index_batch *b = index_batch_new(q->v->index);
	snprintf(detail, sizeof detail, "asked-by=%s reason=%s", e->person, e->reason);
	note(q, b, c, "granted", detail);
	enum rc rc = audit_commit(q->v, b, err);
	if (rc == RC_OK)
		rc = disposal_destroy(q->v, &c->r.id, 1, DISPOSAL_ERASED, &q->person, &sum, err);
	if (rc == RC_OK && sum.failed)
		rc = error_set(err, RC_FAILED, "%s", sum.first.text);
	if (rc == RC_OK)
		reply(q, c, "erased");
	return rc;
}

static enum rc pending_error(const struct erasure *e, struct error *err)
{
	char when[CLOCK_TEXT];
	return error_set(err, RC_FAILED,
			 "%s asked for that on %.10s: another controller may confirm or cancel it",
			 e->person, clock_local(e->asked_us * 1000, when));
}

static enum rc ask(const struct request *q, struct call *c, struct error *err)
{
	struct vault *v = q->v;
	struct erasure e = { .asked_us = vault_now_us(v) }, before;
	const char *reason = requests_text(q, REASON);
	enum rc rc = check_names(v, c, reason, err);
	if (rc != RC_OK)
		return rc;
	snprintf(e.person, sizeof e.person, "%s", q->person.name);
	snprintf(e.reason, sizeof e.reason, "%s", reason);
	if (!(v->policy.two_persons & TWO_ERASE))
		return erase(q, c, &e, err);
	if (erasure_get(v, &c->r.id, &before))
		return pending_error(&before, err);
	struct index_batch *b = index_batch_new(v->index);
	erasure_put(v, b, &c->r.id, &e);
	note(q, b, c, "asked", e.reason);
	rc = audit_commit(v, b, err);
	if (rc == RC_OK)
		reply(q, c, "asked");
	return rc;
}

static enum rc confirm(const struct request *q, struct call *c, const struct erasure *e,
		       struct error *err)
{
	if (strcmp(e->person, q->person.name) == 0)
		return error_set(err, RC_REFUSED,
				 "you asked for this yourself: another person must confirm it");
	enum rc rc = unlock_prove(q, err);
	return rc == RC_OK ? erase(q, c, e, err) : rc;
}

static enum rc cancel(const struct request *q, struct call *c, struct error *err)
{
	struct index_batch *b = index_batch_new(q->v->index);
	erasure_forget(q->v, b, &c->r.id);
	note(q, b, c, "cancelled", NULL);
	enum rc rc = audit_commit(q->v, b, err);
	if (rc == RC_OK)
		reply(q, c, "cancelled");
	return rc;
}

enum rc req_erase(const struct request *q, struct error *err)
{
	struct call *c;
	struct erasure e;
	enum rc rc = access_call(q, requests_text(q, "id"), &c, err);
	if (rc != RC_OK)
		return rc;
	bool pending = erasure_get(q->v, &c->r.id, &e);
	if (!requests_text(q, REASON) && !pending)
		rc = error_set(err, RC_FAILED, "nobody has asked for this recording to be erased");
	if (rc == RC_OK && !asked(q, "cancel"))
		rc = check_call(q->v, c, err);
	if (rc == RC_OK && asked(q, "cancel"))
		rc = cancel(q, c, err);
	else if (rc == RC_OK)
		rc = asked(q, "confirm") ? confirm(q, c, &e, err) : ask(q, c, err);
	call_row_free(c);
	return rc;
}
