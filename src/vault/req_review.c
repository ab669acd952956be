/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_review.c: reviewing calls, and giving the person concerned one to hear.  See reviews.h and grants.h.
 *
 * To give a call is to open it for another: it wants the purpose `training` from the policy in force and, where audio
 * lies under passphrases, the reviewer's.  Staff see what was made of the calls that were given to them, and nothing else.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "vault/access.h"
#include "vault/grants.h"
#include "vault/unlock.h"

#define DAY_US  (INT64_C(86400) * 1000000)
#define PURPOSE "training"

/* ---- words ------------------------------------------------------------------------------------------------- */

struct asked {
	const char *id, *note, *sample, *person;
	size_t score, days;
};

static enum rc check_note(const char *note, struct error *err)
{
	if (!note || !note[strspn(note, " \t\r\n")])
		return error_set(err, RC_USAGE, "a note must be written");
	if (strlen(note) > REVIEW_NOTE)
		return error_set(err, RC_USAGE, "the note is longer than %d bytes", REVIEW_NOTE);
	return RC_OK;
}

static enum rc read_asked(const struct request *q, struct asked *a, struct error *err)
{
	*a = (struct asked){ .id = requests_text(q, "id"),
			     .note = requests_text(q, "note"),
			     .sample = requests_text(q, "sample"),
			     .person = requests_text(q, "for"),
			     .days = GRANT_DAYS };
	const json_t *days = json_object_get(q->body, "days");
	if (!a->id)
		return error_set(err, RC_USAGE, "which recording? An id is wanted");
	enum rc rc = requests_count(q, "score", &a->score, err);
	if (rc == RC_OK)
		rc = requests_count(q, "days", &a->days, err);
	if (rc != RC_OK)
		return rc;
	if (a->score < 1 || a->score > REVIEW_SCORES)
		return error_set(err, RC_USAGE, "score: 1 to %d are wanted", REVIEW_SCORES);
	if (a->days < 1 || a->days > GRANT_DAYS_MOST)
		return error_set(err, RC_USAGE, "days: 1 to %d are wanted", GRANT_DAYS_MOST);
	if (days && !json_is_null(days) && !a->person)
		return error_set(err, RC_USAGE, "days are of a right that is given: for whom?");
	return check_note(a->note, err);
}

enum rc req_review_add_check(const struct request *q, struct error *err)
{
	struct asked a;
	return read_asked(q, &a, err);
}

/* ---- what it is about -------------------------------------------------------------------------------------------- */

static enum rc check_sample(const struct request *q, const struct asked *a, struct review *r,
			    struct error *err)
{
	struct sample s;
	bool drawn = false;
	if (!a->sample)
		return RC_OK;
	enum rc rc = samples_find(q->v, a->sample, &s, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < s.calls_count && !drawn; i++)
		drawn = uuid_equal(&s.calls[i], &r->call);
	r->sample = s.number;
	samples_free(&s);
	return drawn ? RC_OK : error_set(err, RC_USAGE, "this call was not drawn with it");
}

/* Whom a call may be given to. */
static enum rc find_staff(const struct request *q, const char *name, struct person *p,
			  struct error *err)
{
	const struct policy *policy = &q->v->policy;
	const int purpose = policy_purpose(PURPOSE);
	enum rc rc = people_load(q->v->store, name, p, err);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_USAGE, "nobody of that name is listed");
	if (rc != RC_OK)
		return rc;
	if (p->role != ROLE_STAFF)
		return error_set(err, RC_USAGE,
				 "a call is given to staff; this person's role is %s",
				 people_role_name(p->role));
	if (p->disabled)
		return error_set(err, RC_USAGE, "this person is disabled and may hear nothing");
	if (!(policy->purposes & 1u << purpose) || !(policy->purpose_roles[purpose] & ROLE_STAFF))
		return error_set(err, RC_REFUSED,
				 "the policy in force (%s) does not allow staff " PURPOSE
				 ", which a call is given for",
				 policy->name);
	if (!q->v->keys.has_audio && !p->has_box)
		return error_set(err, RC_REFUSED,
				 "%s has no passphrase to open a call with: callspan person reset "
				 "gives one",
				 p->name);
	return RC_OK;
}

/* Both keys of the call where it is to be given, else the one of what is known of it. */
static enum rc open_keys(const struct request *q, const struct call *c, bool give,
			 struct call_keys *keys, struct error *err)
{
	struct segment *s;
	struct seal_pair audio = q->v->keys.audio;
	bool sealed = give && !q->v->keys.has_audio;
	enum rc rc = sealed ? unlock_audio(q, &audio, err) : RC_OK;
	if (rc == RC_OK)
		rc = segments_open(q->v, c->segment, &s, err);
	if (rc == RC_OK)
		rc = segment_keys(s, c->slot, sealed ? &audio : NULL, &q->v->keys.metadata, keys,
				  err);
	forget_bytes(&audio, sizeof audio);
	return rc == RC_NOT_FOUND ? error_set(err, RC_FAILED, "the recording was destroyed") : rc;
}

/* ---- making it ------------------------------------------------------------------------------------------------- */

static void note(const struct request *q, struct index_batch *b, const struct review *r,
		 const char *action, const char *purpose, const char *detail)
{
	audit_note(q->v, b,
		   &(struct audit_entry){ .person = q->person.name,
					  .role = people_role_name(q->person.role),
					  .action = action,
					  .call = &r->call,
					  .purpose = purpose,
					  .outcome = "done",
					  .detail = detail });
}

static void note_all(const struct request *q, struct index_batch *b, const struct review *r)
{
	char detail[160], until[CLOCK_TEXT], sample[REVIEW_NAME + 16] = "";
	if (r->sample)
		snprintf(sample, sizeof sample, ", sample S-%" PRIu64, r->sample);
	snprintf(detail, sizeof detail, "V-%" PRIu64 ": score %u%s", r->number, r->score, sample);
	note(q, b, r, "review-add", NULL, detail);
	if (r->given != GIVEN_RUNS)
		return;
	snprintf(detail, sizeof detail, "V-%" PRIu64 ": to %s until %s", r->number, r->person,
		 clock_rfc3339(r->until_us * 1000, until));
	note(q, b, r, "right-given", PURPOSE, detail);
}

static enum rc record(const struct request *q, const struct asked *a, struct review *r,
		      const struct call_keys *keys, struct error *err)
{
	struct index_batch *b = index_batch_new(q->v->index);
	enum rc rc = reviews_number(q->v, b, 'V', &r->number, err);
	if (rc != RC_OK) {
		audit_drop(q->v, b);
		return rc;
	}
	reviews_seal_note(r, a->note, keys);
	note_all(q, b, r);
	reviews_put(q->v, b, r);
	return audit_commit(q->v, b, err);
}

static enum rc give(const struct request *q, const struct asked *a, const struct person *to,
		    const struct call_keys *keys, struct review *r, struct error *err)
{
	r->given = GIVEN_RUNS;
	r->until_us = r->added_us + (int64_t)a->days * DAY_US;
	snprintf(r->person, sizeof r->person, "%s", to->name);
	return keys->has_audio ? grants_seal(q->v, r, to, keys->audio, err) : RC_OK;
}

static json_t *review_json(const struct request *q, const struct review *r)
{
	char text[REVIEW_NOTE + 1], id[UUID_TEXT];
	json_t *o = json_object();
	snprintf(text, sizeof text, "V-%" PRIu64, r->number);
	json_object_set_new(o, "review", json_string(text));
	json_object_set_new(o, "call", json_string(uuid_text(&r->call, id)));
	json_object_set_new(o, "score", json_integer(r->score));
	json_object_set_new(o, "by", call_json_text(r->by));
	json_object_set_new(o, "added", call_json_time(r->added_us));
	snprintf(text, sizeof text, "S-%" PRIu64, r->sample);
	json_object_set_new(o, "sample", r->sample ? json_string(text) : json_null());
	json_object_set_new(o, "for", call_json_text(r->person));
	json_object_set_new(o, "until", call_json_time(r->until_us));
	json_object_set_new(
		o, "may_hear",
		json_boolean(r->given == GIVEN_RUNS && r->until_us > vault_now_us(q->v)));
	reviews_note(q->v, r, text);
	json_object_set_new(o, "note", call_json_text(text));
	forget_bytes(text, sizeof text);
	return o;
}

static enum rc add(const struct request *q, const struct asked *a, const struct call *c,
		   struct error *err)
{
	struct person to;
	struct call_keys keys = { 0 };
	struct review r = { .call = c->r.id,
			    .score = (unsigned)a->score,
			    .added_us = vault_now_us(q->v) };
	snprintf(r.by, sizeof r.by, "%s", q->person.name);
	enum rc rc = check_sample(q, a, &r, err);
	if (rc == RC_OK && a->person)
		rc = find_staff(q, a->person, &to, err);
	if (rc == RC_OK)
		rc = open_keys(q, c, a->person != NULL, &keys, err);
	if (rc == RC_OK && a->person)
		rc = give(q, a, &to, &keys, &r, err);
	if (rc == RC_OK)
		rc = record(q, a, &r, &keys, err);
	forget_bytes(&keys, sizeof keys);
	if (rc == RC_OK)
		requests_reply(q, review_json(q, &r));
	return rc;
}

enum rc req_review_add(const struct request *q, struct error *err)
{
	struct asked a;
	struct call *c;
	enum rc rc = read_asked(q, &a, err);
	if (rc == RC_OK)
		rc = access_call(q, a.id, &c, err);
	if (rc != RC_OK)
		return rc;
	rc = add(q, &a, c, err);
	call_row_free(c);
	return rc;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

/* Staff: what was made of calls that were given to them; others: of calls that they may know of. */
static bool sees(const struct request *q, const struct review *r)
{
	struct call *c;
	struct error ignored; /* index_health() keeps it */
	if (q->person.role == ROLE_STAFF)
		return strcmp(r->person, q->person.name) == 0 && r->given == GIVEN_RUNS &&
		       r->until_us > vault_now_us(q->v);
	if (catalogue_get(q->v, &r->call, &c, &ignored) != RC_OK)
		return false;
	bool may = access_sees(q, c);
	call_row_free(c);
	return may;
}

struct listing {
	const struct request *q;
	const char *person; /* NULL: whoever it is for */
};

static bool list_one(void *ctx, const struct review *r)
{
	const struct listing *l = ctx;
	if ((l->person && strcmp(l->person, r->person) != 0) || !sees(l->q, r))
		return true;
	return requests_reply(l->q, review_json(l->q, r));
}

enum rc req_review_list(const struct request *q, struct error *err)
{
	struct listing l = { .q = q, .person = requests_text(q, "person") };
	const char *id = requests_text(q, "call");
	struct call *c = NULL;
	enum rc rc = id ? access_call(q, id, &c, err) : RC_OK;
	if (rc == RC_OK)
		rc = reviews_walk(q->v, c ? &c->r.id : NULL, list_one, &l, err);
	call_row_free(c);
	return rc;
}

enum rc req_review_show(const struct request *q, struct error *err)
{
	struct review r;
	enum rc rc = reviews_find(q->v, requests_text(q, "review"), &r, err);
	if (rc == RC_OK && !sees(q, &r))
		rc = error_set(err, RC_USAGE, "there is no review V-%" PRIu64, r.number);
	if (rc == RC_OK)
		requests_reply(q, review_json(q, &r));
	return rc;
}
