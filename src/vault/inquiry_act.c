/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* inquiry_act.c: the way of a request, as one table.  On the vault's thread.
 *
 *   request -> may this be done where it stands? -> the action's own checks -> row, ties and audit entry in one commit
 *
 * An action puts what it changes into the batch and says what the audit entry is to say; nothing has happened until the
 * commit.  What cannot be taken back (a key destroyed, audio opened) has an audit entry of its own before it.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/access.h"
#include "vault/holds.h"
#include "vault/inquiry.h"
#include "vault/matter.h"
#include "vault/unlock.h"

#define MONTHS          1
#define MONTHS_EXTENDED 3 /* one, and two more */
#define STEPS           200

/* Why a whole request is refused. */
static const char *const refusals[] = { "identity", "unfounded", "excessive", "no-legal-basis",
					"no-data",  "withdrawn", "other" };
#define REFUSALS (sizeof refusals / sizeof refusals[0])

typedef enum rc (*doer)(struct inquiry_doing *d, struct error *err);
static enum rc begin(struct inquiry_doing *d, struct error *err);
static enum rc identify(struct inquiry_doing *d, struct error *err);
static enum rc extend(struct inquiry_doing *d, struct error *err);
static enum rc refresh(struct inquiry_doing *d, struct error *err);
static enum rc authorise(struct inquiry_doing *d, struct error *err);
static enum rc finish(struct inquiry_doing *d, struct error *err);
static enum rc refuse(struct inquiry_doing *d, struct error *err);

/* What is authorised is these calls, assessed so: another assessment or more calls want another authorisation. */
static const struct transition {
	enum inquiry_state state;
	enum inquiry_event event;
	enum inquiry_state next;
	doer act;
} transitions[] = {
	{ INQUIRY_NEW, INQUIRY_DO_OPEN, INQUIRY_OPEN, begin },
	{ INQUIRY_OPEN, INQUIRY_DO_IDENTIFY, INQUIRY_OPEN, identify },
	{ INQUIRY_OPEN, INQUIRY_DO_EXTEND, INQUIRY_OPEN, extend },
	{ INQUIRY_OPEN, INQUIRY_DO_REFRESH, INQUIRY_OPEN, refresh },
	{ INQUIRY_OPEN, INQUIRY_DO_ASSESS, INQUIRY_OPEN, inquiry_assess },
	{ INQUIRY_OPEN, INQUIRY_DO_AUTHORISE, INQUIRY_AUTHORISED, authorise },
	{ INQUIRY_OPEN, INQUIRY_DO_REFUSE, INQUIRY_REFUSED, refuse },
	{ INQUIRY_AUTHORISED, INQUIRY_DO_EXTEND, INQUIRY_AUTHORISED, extend },
	{ INQUIRY_AUTHORISED, INQUIRY_DO_REFRESH, INQUIRY_OPEN, refresh },
	{ INQUIRY_AUTHORISED, INQUIRY_DO_ASSESS, INQUIRY_OPEN, inquiry_assess },
	{ INQUIRY_AUTHORISED, INQUIRY_DO_FULFIL, INQUIRY_AUTHORISED, inquiry_give },
	{ INQUIRY_AUTHORISED, INQUIRY_DO_CLOSE, INQUIRY_CLOSED, finish },
	{ INQUIRY_AUTHORISED, INQUIRY_DO_REFUSE, INQUIRY_REFUSED, refuse },
};

/* Why nothing of that is done where it stands. */
static const char *const standing[] = {
	[INQUIRY_NEW] = "is not open",
	[INQUIRY_OPEN] = "is not authorised yet",
	[INQUIRY_AUTHORISED] = "is authorised",
	[INQUIRY_CLOSED] = "is closed: nothing more is done with it",
	[INQUIRY_REFUSED] = "was refused: nothing more is done with it",
};

/* ---- open and refresh ---------------------------------------------------------------------------------------- */

/* Tie those calls of the party to it that are not yet. */
static enum rc find_more(struct inquiry_doing *d, const inquiry_person *who, struct error *err)
{
	struct vault *v = d->q->v;
	const struct uuid holder = inquiry_id(d->row);
	inquiry_call fresh, *known;
	struct uuid *ids;
	size_t count;
	char name[INQUIRY_NAME];
	enum rc rc = inquiry_find(v, who, &ids, &count, err);
	if (rc != RC_OK)
		return rc;
	holds_name(v, d->batch, &holder, inquiry_name(d->row, name));
	callspan__inquiry__inquiry_call__init(&fresh);
	for (size_t i = 0; i < count && rc == RC_OK; i++) {
		rc = inquiry_call_load(v, d->row, &ids[i], &known, err);
		if (rc == RC_OK) {
			inquiry_call_free(known);
		} else if (rc == RC_NOT_FOUND) {
			inquiry_call_put(v, d->batch, d->row, &ids[i], &fresh);
			holds_tie(v, d->batch, &holder, &ids[i]);
			d->calls++;
			rc = RC_OK;
		}
	}
	free(ids);
	return rc;
}

static enum rc take_times(const struct request *q, inquiry_person *who, int64_t *received_us,
			  struct error *err)
{
	enum rc rc = requests_time(q, "since", &who->since_us, err);
	if (rc == RC_OK)
		rc = requests_time(q, "until", &who->until_us, err);
	if (rc == RC_OK && who->until_us && who->since_us > who->until_us)
		rc = error_set(err, RC_USAGE, "since: is later than until");
	*received_us = 0;
	if (rc == RC_OK)
		rc = requests_time(q, "received", received_us, err);
	if (rc == RC_OK && *received_us <= 0)
		rc = error_set(err, RC_USAGE,
			       "when was it received? A date is wanted (--received)");
	if (rc == RC_OK && *received_us > vault_now_us(q->v))
		rc = error_set(err, RC_USAGE, "received: that day has not come yet");
	return rc;
}

static enum rc take_person(struct inquiry_doing *d, inquiry_person *who, struct error *err)
{
	const char *text;
	enum rc rc = inquiry_take_text(d->q, "party", PARTY_TEXT - 1,
				       "whose calls? A number or user part is wanted (--party)",
				       &text, err);
	inquiry_set(&who->party, text);
	if (rc == RC_OK)
		rc = inquiry_take_text(d->q, "requester", INQUIRY_TEXT, NULL, &text, err);
	inquiry_set(&who->requester, rc == RC_OK ? text : NULL);
	if (rc == RC_OK)
		rc = inquiry_take_text(d->q, "note", INQUIRY_TEXT, NULL, &text, err);
	inquiry_set(&who->note, rc == RC_OK ? text : NULL);
	if (rc == RC_OK)
		rc = inquiry_take_text(d->q, "reference", 200,
				       "which paper did it come with? Its reference is wanted "
				       "(--reference)",
				       &text, err);
	if (rc == RC_OK)
		rc = inquiry_check_kept(d->row, who, text, "reference", err);
	inquiry_set(&d->row->reference, rc == RC_OK ? text : NULL);
	return rc;
}

static enum rc seal_person(struct inquiry_doing *d, const inquiry_person *who, struct error *err)
{
	const struct uuid id = inquiry_id(d->row);
	size_t len = callspan__inquiry__inquiry_person__get_packed_size(who);
	uint8_t *bytes = malloc(len + 1);
	ASSERT(bytes);
	callspan__inquiry__inquiry_person__pack(who, bytes);
	enum rc rc = inquiry_seal(d->q->v, d->row, &id, bytes, len, &d->row->sealed, err);
	forget_bytes(bytes, len);
	free(bytes);
	return rc;
}

/* Words were checked when the row was made: make_row(). */
static enum rc begin(struct inquiry_doing *d, struct error *err)
{
	inquiry_person *who = inquiry_who(d->q->v, d->row);
	if (!who)
		return error_set(err, RC_FAILED, "what was sealed does not open");
	enum rc rc = find_more(d, who, err);
	inquiry_who_free(who);
	snprintf(d->detail, sizeof d->detail, "kind=%s calls=%u", inquiry_kinds[d->row->kind],
		 d->calls);
	return rc;
}

static enum rc make_row(struct inquiry_doing *d, struct error *err)
{
	const char *kind = NULL;
	int64_t received_us;
	inquiry_row words;
	inquiry_person *who = calloc(1, sizeof *who);
	ASSERT(who);
	callspan__inquiry__inquiry_person__init(who);
	callspan__inquiry__inquiry_row__init(&words);
	d->row = &words; /* until all words are in order: then a key is made */
	enum rc rc = inquiry_take_word(d->q, "kind", inquiry_kinds, INQUIRY_KINDS, &kind, err);
	words.kind = kind == inquiry_kinds[INQUIRY_AUTHORITY];
	if (rc == RC_OK)
		rc = take_person(d, who, err);
	if (rc == RC_OK)
		rc = take_times(d->q, who, &received_us, err);
	d->row = NULL;
	if (rc == RC_OK)
		rc = inquiry_new(d->q->v, &d->row, err);
	if (rc == RC_OK) {
		d->row->kind = words.kind;
		d->row->received_us = inquiry_day(received_us);
		d->row->due_us = inquiry_due(d->row->received_us, MONTHS);
		inquiry_set(&d->row->reference, words.reference);
		rc = seal_person(d, who, err);
	}
	inquiry_set(&words.reference, NULL);
	free(words.reference);
	inquiry_who_free(who);
	return rc;
}

static enum rc refresh(struct inquiry_doing *d, struct error *err)
{
	inquiry_person *who = inquiry_who(d->q->v, d->row);
	if (!who)
		return error_set(
			err, RC_FAILED,
			"R-%u was being ended and its key is gone: close or refuse it again",
			d->row->number);
	enum rc rc = find_more(d, who, err);
	inquiry_who_free(who);
	d->stays = !d->calls;
	snprintf(d->detail, sizeof d->detail, "more=%u", d->calls);
	return rc;
}

/* ---- identity, time ------------------------------------------------------------------------------------------ */

static enum rc identify(struct inquiry_doing *d, struct error *err)
{
	if (inquiry_has_step(d->row, INQUIRY_DO_IDENTIFY))
		return error_set(err, RC_FAILED, "the identity was verified already");
	return inquiry_take_text(d->q, "how", INQUIRY_TEXT,
				 "how was it verified? (--how, as \"passport seen\")", &d->secret,
				 err);
}

static enum rc extend(struct inquiry_doing *d, struct error *err)
{
	if (inquiry_has_step(d->row, INQUIRY_DO_EXTEND))
		return error_set(err, RC_FAILED, "R-%u was extended already: once is all there is",
				 d->row->number);
	enum rc rc = inquiry_take_reason(d, true, err);
	if (rc == RC_OK)
		d->row->due_us = inquiry_due(d->row->received_us, MONTHS_EXTENDED);
	snprintf(d->detail, sizeof d->detail, "months=%d", MONTHS_EXTENDED);
	return rc;
}

/* ---- whose to decide on ---------------------------------------------------------------------------------------- */

struct seeing {
	const struct request *q;
	bool all;
	enum rc rc;
	struct error *err;
};

static bool sees_call(void *ctx, const struct uuid *id, const inquiry_call *row)
{
	struct seeing *s = ctx;
	struct call *c = NULL;
	(void)row;
	s->rc = catalogue_get(s->q->v, id, &c, s->err);
	if (s->rc == RC_NOT_FOUND)
		s->rc = RC_OK; /* of what is gone nothing is decided any more */
	else if (s->rc == RC_OK)
		s->all = access_sees(s->q, c);
	call_row_free(c);
	return s->rc == RC_OK && s->all;
}

/* Who decides on a whole request may know of all of it that is there. */
static enum rc check_sees(const struct inquiry_doing *d, struct error *err)
{
	struct seeing s = { .q = d->q, .all = true, .rc = RC_OK, .err = err };
	enum rc rc = inquiry_calls(d->q->v, d->row, sees_call, &s, err);
	if (rc == RC_OK)
		rc = s.rc;
	if (rc == RC_OK && !s.all)
		rc = error_set(err, RC_REFUSED,
			       "R-%u keeps recordings that are not yours to decide on",
			       d->row->number);
	return rc;
}

/* ---- authorise --------------------------------------------------------------------------------------------------- */

struct assessor {
	const char *person;
	bool found;
};

static bool is_assessor(void *ctx, const struct uuid *id, const inquiry_call *c)
{
	struct assessor *a = ctx;
	(void)id;
	a->found |= strcmp(c->person, a->person) == 0;
	return !a->found;
}

/* Requests of authorities are the controller's alone to decide. */
static enum rc check_decider(const struct inquiry_doing *d, struct error *err)
{
	if (d->row->kind == INQUIRY_AUTHORITY && d->q->person.role != ROLE_CONTROLLER)
		return error_set(err, RC_REFUSED,
				 "an authority's request is decided by the controller");
	return RC_OK;
}

static enum rc check_second(const struct inquiry_doing *d, struct error *err)
{
	struct assessor a = { .person = d->q->person.name };
	if (!(d->q->v->policy.two_persons & TWO_DISCLOSURE))
		return RC_OK;
	enum rc rc = inquiry_calls(d->q->v, d->row, is_assessor, &a, err);
	if (rc == RC_OK && a.found)
		rc = error_set(err, RC_REFUSED,
			       "you have assessed recordings of R-%u: another person authorises it",
			       d->row->number);
	return rc;
}

static enum rc check_assessed(struct inquiry_doing *d, struct error *err)
{
	inquiry_figures *f;
	enum rc rc = inquiry_count(d->q->v, d->row, &f, err);
	if (rc != RC_OK)
		return rc;
	d->calls = f->calls;
	snprintf(d->detail, sizeof d->detail, "release=%u redact=%u withhold=%u", f->released,
		 f->redacted, f->withheld);
	if (f->open)
		rc = error_set(err, RC_FAILED, "%u of %u recordings of R-%u are not assessed yet",
			       f->open, f->calls, d->row->number);
	inquiry_figures_free(f);
	return rc;
}

static enum rc authorise(struct inquiry_doing *d, struct error *err)
{
	enum rc rc = check_sees(d, err);
	if (rc == RC_OK)
		rc = check_decider(d, err);
	if (rc == RC_OK && d->row->kind == INQUIRY_SUBJECT_ACCESS &&
	    !inquiry_has_step(d->row, INQUIRY_DO_IDENTIFY))
		rc = error_set(err, RC_FAILED,
			       "who asks in R-%u? Their identity was not verified yet (request "
			       "verify-identity)",
			       d->row->number);
	if (rc == RC_OK)
		rc = check_assessed(d, err);
	if (rc == RC_OK)
		rc = check_second(d, err);
	/* An unattended store knows no passphrases. */
	if (rc == RC_OK && !(d->q->v->keys.has_audio && !d->q->person.has_box))
		rc = unlock_prove(d->q, err);
	return rc;
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

static enum rc note(const struct inquiry_doing *d, enum inquiry_event event, const char *outcome,
		    const char *detail, struct error *err);

/* Its key is destroyed before anything is committed, so that no row says it has ended while its key is there; killed in
 * between, it is ended once more. */
static enum rc end(struct inquiry_doing *d, enum inquiry_event event, struct error *err)
{
	struct vault *v = d->q->v;
	const struct uuid id = inquiry_id(d->row);
	enum rc rc = inquiry_count(v, d->row, &d->row->figures, err);
	if (rc == RC_OK)
		rc = note(d, event, "granted", d->detail, err);
	if (rc == RC_OK)
		rc = matter_destroy(v, d->row->matter, err);
	if (rc == RC_OK)
		rc = holds_untie_all(v, d->batch, &id, NULL, err);
	if (rc == RC_OK)
		rc = inquiry_drop_calls(v, d->batch, d->row, err);
	inquiry_set_bytes(&d->row->sealed, NULL, 0);
	for (size_t i = 0; i < d->row->n_steps; i++)
		inquiry_set_bytes(&d->row->steps[i]->sealed, NULL, 0);
	return rc;
}

static enum rc finish(struct inquiry_doing *d, struct error *err)
{
	inquiry_figures *f;
	enum rc rc = check_sees(d, err);
	if (rc == RC_OK)
		rc = inquiry_count(d->q->v, d->row, &f, err);
	if (rc != RC_OK)
		return rc;
	rc = inquiry_take_reason(d, false, err);
	if (rc == RC_OK && f->owed && !d->reason)
		rc = error_set(
			err, RC_USAGE,
			"%u recordings of R-%u were not given yet: give them, or say why not "
			"(--reason)",
			f->owed, d->row->number);
	snprintf(d->detail, sizeof d->detail, "calls=%u given=%u withheld=%u", f->calls, f->given,
		 f->withheld);
	d->calls = f->given;
	inquiry_figures_free(f);
	return rc == RC_OK ? end(d, INQUIRY_DO_CLOSE, err) : rc;
}

static enum rc refuse(struct inquiry_doing *d, struct error *err)
{
	const char *ground;
	inquiry_figures *f;
	enum rc rc = check_sees(d, err);
	if (rc == RC_OK)
		rc = check_decider(d, err);
	if (rc == RC_OK)
		rc = inquiry_take_word(d->q, "ground", refusals, REFUSALS, &ground, err);
	if (rc == RC_OK)
		rc = inquiry_take_reason(d, true, err);
	if (rc == RC_OK)
		rc = inquiry_count(d->q->v, d->row, &f, err);
	if (rc != RC_OK)
		return rc;
	uint32_t given = f->given;
	inquiry_figures_free(f);
	if (given)
		return error_set(err, RC_FAILED,
				 "recordings of R-%u were given already: it can only be closed",
				 d->row->number);
	inquiry_set(&d->row->refusal, ground);
	snprintf(d->detail, sizeof d->detail, "ground=%s", ground);
	return end(d, INQUIRY_DO_REFUSE, err);
}

/* ---- one of them ------------------------------------------------------------------------------------------------ */

/* An entry's own words, which it borrows. */
struct entry_words {
	char action[40], name[INQUIRY_NAME];
};

static struct audit_entry entry_of(const struct inquiry_doing *d, enum inquiry_event event,
				   struct entry_words *w, const char *outcome, const char *detail)
{
	snprintf(w->action, sizeof w->action, "request-%s", inquiry_events[event]);
	return (struct audit_entry){ .person = d->q->person.name,
				     .role = people_role_name(d->q->person.role),
				     .action = w->action,
				     .call = uuid_is_nil(&d->call) ? NULL : &d->call,
				     .reference = inquiry_name(d->row, w->name),
				     .outcome = outcome,
				     .detail = detail };
}

static enum rc note(const struct inquiry_doing *d, enum inquiry_event event, const char *outcome,
		    const char *detail, struct error *err)
{
	struct entry_words w = { "", "" };
	const struct audit_entry e = entry_of(d, event, &w, outcome, detail);
	return audit_write(d->q->v, &e, err);
}

static enum rc add_step(struct inquiry_doing *d, enum inquiry_event event, struct error *err)
{
	inquiry_row *r = d->row;
	const struct uuid id = inquiry_id(r);
	inquiry_step *s = calloc(1, sizeof *s);
	ASSERT(s);
	callspan__inquiry__inquiry_step__init(s);
	inquiry_step **more = reallocarray(r->steps, r->n_steps + 1, sizeof(inquiry_step *));
	ASSERT(more);
	r->steps = more;
	r->steps[r->n_steps++] = s;
	s->event = event;
	s->time_us = vault_now_us(d->q->v);
	s->calls = d->calls;
	inquiry_set(&s->person, d->q->person.name);
	inquiry_set(&s->role, people_role_name(d->q->person.role));
	inquiry_set(&s->reason, d->reason);
	if (!d->secret)
		return RC_OK;
	return inquiry_seal(d->q->v, r, &id, d->secret, strlen(d->secret), &s->sealed, err);
}

/* A call's assessment and giving stand in its own row: of those the request keeps no step. */
static bool keeps_step(enum inquiry_event event)
{
	return event != INQUIRY_DO_ASSESS && event != INQUIRY_DO_FULFIL;
}

static enum rc commit(struct inquiry_doing *d, enum inquiry_event event, struct error *err)
{
	struct entry_words w = { "", "" };
	char detail[sizeof d->detail + INQUIRY_TEXT + 16];
	snprintf(detail, sizeof detail, "%s%s%s%s", d->detail, d->detail[0] && d->reason ? " " : "",
		 d->reason ? "reason=" : "", d->reason ? d->reason : "");
	if (!d->stays || keeps_step(event))
		inquiry_put(d->q->v, d->batch, d->row);
	const struct audit_entry e = entry_of(d, event, &w, "done", detail);
	audit_note(d->q->v, d->batch, &e);
	enum rc rc = audit_commit(d->q->v, d->batch, err);
	d->batch = NULL;
	return rc;
}

static const struct transition *find_transition(const inquiry_row *r, enum inquiry_event event)
{
	for (size_t i = 0; i < sizeof transitions / sizeof transitions[0]; i++) {
		if (transitions[i].state == (enum inquiry_state)r->state &&
		    transitions[i].event == event)
			return &transitions[i];
	}
	return NULL;
}

static enum rc carry_out(struct inquiry_doing *d, enum inquiry_event event, struct error *err)
{
	const struct transition *t = find_transition(d->row, event);
	if (!t)
		return error_set(err, RC_FAILED, "R-%u %s", d->row->number,
				 standing[d->row->state]);
	if (d->row->n_steps >= STEPS)
		return error_set(err, RC_FAILED, "too much was done with R-%u: close or refuse it",
				 d->row->number);
	d->batch = index_batch_new(d->q->v->index);
	enum rc rc = t->act(d, err);
	if (rc == RC_OK && keeps_step(event))
		rc = add_step(d, event, err);
	if (rc != RC_OK)
		return rc;
	if (!d->stays)
		d->row->state = t->next;
	return commit(d, event, err);
}

enum rc inquiry_act(const struct request *q, enum inquiry_event event, inquiry_row **out,
		    struct error *err)
{
	struct inquiry_doing d = { .q = q };
	struct error second;
	enum rc rc = event == INQUIRY_DO_OPEN
			     ? make_row(&d, err)
			     : inquiry_load(q->v, requests_text(q, "inquiry"), &d.row, err);
	if (rc == RC_OK)
		rc = carry_out(&d, event, err);
	if (d.batch)
		audit_drop(q->v, d.batch);
	if (rc == RC_FAILED && d.row && note(&d, event, "failed", err->text, &second) != RC_OK)
		*err = second;
	if (rc == RC_OK)
		*out = d.row;
	else
		inquiry_free(d.row);
	return rc;
}
