/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_inquiry.c: requests of persons and authorities, as they are asked for and told. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vault/access.h"
#include "vault/inquiry.h"

#define DAY_TEXT 16

static const char *const givings[] = { NULL, "heard", "exported" };

/* ---- as JSON ----------------------------------------------------------------------------------------------- */

/* "2026-03-03" of a local midnight. */
static json_t *day_json(int64_t us)
{
	char text[DAY_TEXT];
	time_t t = (time_t)(us / 1000000);
	struct tm tm;
	if (!us || !localtime_r(&t, &tm) || !strftime(text, sizeof text, "%Y-%m-%d", &tm))
		return json_null();
	return json_string(text);
}

static json_t *figures_json(const inquiry_figures *f)
{
	json_t *grounds = json_object();
	for (size_t i = 0; i < f->n_grounds; i++)
		json_object_set_new(grounds, f->grounds[i]->ground,
				    json_integer(f->grounds[i]->calls));
	json_t *o = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o}", "found", (int)f->calls,
			      "assessed", (int)f->assessed, "released", (int)f->released,
			      "redacted", (int)f->redacted, "withheld", (int)f->withheld, "given",
			      (int)f->given, "gone", (int)f->gone, "grounds", grounds);
	ASSERT(o);
	return o;
}

/* Who asks, for the eyes of those who deal with it. */
static void add_person(const struct request *q, const inquiry_row *r, json_t *o)
{
	bool may = q->person.role == ROLE_CONTROLLER || q->person.role == ROLE_MANAGER;
	inquiry_person *p = may ? inquiry_who(q->v, r) : NULL;
	json_object_set_new(o, "party", call_json_text(p ? p->party : ""));
	json_object_set_new(o, "requester", call_json_text(p ? p->requester : ""));
	json_object_set_new(o, "note", call_json_text(p ? p->note : ""));
	json_object_set_new(o, "since", call_json_time(p ? p->since_us : 0));
	json_object_set_new(o, "until", call_json_time(p ? p->until_us : 0));
	inquiry_who_free(p);
}

static json_t *row_json(const struct request *q, const inquiry_row *r, const inquiry_figures *f)
{
	char name[INQUIRY_NAME];
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "inquiry", inquiry_name(r, name), "kind",
			      inquiry_kinds[r->kind], "state", inquiry_progress(r, f), "reference",
			      r->reference);
	ASSERT(o);
	json_object_set_new(o, "received", day_json(r->received_us));
	json_object_set_new(o, "due", day_json(r->due_us));
	json_object_set_new(o, "overdue", json_boolean(inquiry_overdue(q->v, r, f)));
	json_object_set_new(o, "extended", json_boolean(inquiry_has_step(r, INQUIRY_DO_EXTEND)));
	json_object_set_new(o, "identified",
			    json_boolean(inquiry_has_step(r, INQUIRY_DO_IDENTIFY)));
	json_object_set_new(o, "refusal", call_json_text(r->refusal));
	json_object_set_new(o, "calls", figures_json(f));
	add_person(q, r, o);
	return o;
}

/* ---- doing ------------------------------------------------------------------------------------------------- */

static enum rc act(const struct request *q, enum inquiry_event event, struct error *err)
{
	inquiry_row *r;
	inquiry_figures *f;
	enum rc rc = inquiry_act(q, event, &r, err);
	if (rc != RC_OK)
		return rc;
	rc = inquiry_count(q->v, r, &f, err);
	if (rc == RC_OK) {
		requests_reply(q, row_json(q, r, f));
		inquiry_figures_free(f);
	}
	inquiry_free(r);
	return rc;
}

enum rc req_inquiry_open(const struct request *q, struct error *err)
{
	return act(q, INQUIRY_DO_OPEN, err);
}

enum rc req_inquiry_identify(const struct request *q, struct error *err)
{
	return act(q, INQUIRY_DO_IDENTIFY, err);
}

enum rc req_inquiry_extend(const struct request *q, struct error *err)
{
	return act(q, INQUIRY_DO_EXTEND, err);
}

enum rc req_inquiry_refresh(const struct request *q, struct error *err)
{
	return act(q, INQUIRY_DO_REFRESH, err);
}

enum rc req_inquiry_assess(const struct request *q, struct error *err)
{
	return act(q, INQUIRY_DO_ASSESS, err);
}

enum rc req_inquiry_authorise(const struct request *q, struct error *err)
{
	return act(q, INQUIRY_DO_AUTHORISE, err);
}

enum rc req_inquiry_fulfil(const struct request *q, struct error *err)
{
	inquiry_row *r;
	enum rc rc = inquiry_act(q, INQUIRY_DO_FULFIL, &r, err);
	if (rc == RC_OK)
		inquiry_free(r);
	return rc; /* the opening has replied */
}

enum rc req_inquiry_close(const struct request *q, struct error *err)
{
	return act(q, INQUIRY_DO_CLOSE, err);
}

enum rc req_inquiry_refuse(const struct request *q, struct error *err)
{
	return act(q, INQUIRY_DO_REFUSE, err);
}

/* ---- list -------------------------------------------------------------------------------------------------- */

struct listing {
	const struct request *q;
	bool open, overdue; /* only such */
	uint32_t counts[2]; /* open, overdue */
	json_t *names;      /* of overdue ones; NULL: not wanted */
	enum rc rc;
	struct error *err;
};

static bool list_row(void *ctx, const inquiry_row *r)
{
	struct listing *l = ctx;
	inquiry_figures *f;
	bool more = true, ended = r->state == INQUIRY_CLOSED || r->state == INQUIRY_REFUSED;
	l->rc = inquiry_count(l->q->v, r, &f, l->err);
	if (l->rc != RC_OK)
		return false;
	if ((!l->open || !ended) && (!l->overdue || inquiry_overdue(l->q->v, r, f)))
		more = requests_reply(l->q, row_json(l->q, r, f));
	inquiry_figures_free(f);
	return more;
}

enum rc req_inquiry_list(const struct request *q, struct error *err)
{
	struct listing l = { .q = q,
			     .open = json_is_true(json_object_get(q->body, "open")),
			     .overdue = json_is_true(json_object_get(q->body, "overdue")),
			     .err = err };
	enum rc rc = inquiry_walk(q->v, list_row, &l, err);
	return rc == RC_OK ? l.rc : rc;
}

static bool tally_row(void *ctx, const inquiry_row *r)
{
	struct listing *l = ctx;
	char name[INQUIRY_NAME];
	inquiry_figures *f;
	if (r->state == INQUIRY_CLOSED || r->state == INQUIRY_REFUSED)
		return true;
	l->rc = inquiry_count(l->q->v, r, &f, l->err);
	if (l->rc != RC_OK)
		return false;
	l->counts[0]++;
	if (inquiry_overdue(l->q->v, r, f)) {
		l->counts[1]++;
		if (l->names)
			json_array_append_new(l->names, json_string(inquiry_name(r, name)));
	}
	inquiry_figures_free(f);
	return true;
}

enum rc req_inquiry_tally(const struct request *q, json_t **out, struct error *err)
{
	struct listing l = { .q = q, .err = err };
	if (q->person.role != ROLE_OPERATOR)
		l.names = json_array();
	enum rc rc = inquiry_walk(q->v, tally_row, &l, err);
	if (rc == RC_OK)
		rc = l.rc;
	if (rc == RC_OK) {
		*out = json_pack("{s:i, s:i}", "open", (int)l.counts[0], "overdue",
				 (int)l.counts[1]);
		ASSERT(*out);
		if (l.names)
			json_object_set(*out, "overdue_requests", l.names);
	}
	json_decref(l.names);
	return rc;
}

/* ---- show -------------------------------------------------------------------------------------------------- */

/* What is sealed, for the eyes of those who deal with it. */
static json_t *sealed_json(const struct request *q, const inquiry_row *r, const struct uuid *id,
			   const ProtobufCBinaryData *field)
{
	size_t len;
	bool may = q->person.role == ROLE_CONTROLLER || q->person.role == ROLE_MANAGER;
	uint8_t *text = may ? inquiry_unseal(q->v, r, id, field, &len) : NULL;
	if (!text)
		return json_null();
	json_t *j = call_json_text((const char *)text);
	forget_bytes(text, len);
	free(text);
	return j;
}

static json_t *steps_json(const struct request *q, const inquiry_row *r)
{
	json_t *a = json_array();
	const struct uuid id = inquiry_id(r);
	for (size_t i = 0; i < r->n_steps; i++) {
		const inquiry_step *s = r->steps[i];
		json_t *o = json_pack("{s:o, s:s, s:s, s:s, s:i}", "time",
				      call_json_time(s->time_us), "step", inquiry_events[s->event],
				      "person", s->person, "role", s->role, "calls", (int)s->calls);
		ASSERT(o);
		json_object_set_new(o, "reason", call_json_text(s->reason));
		json_object_set_new(o, "how", sealed_json(q, r, &id, &s->sealed));
		json_array_append_new(a, o);
	}
	return a;
}

struct showing {
	const struct request *q;
	const inquiry_row *row;
	json_t *calls;
	json_int_t unseen; /* out of the scope of who asks */
	enum rc rc;
	struct error *err;
};

/* What is known of a call that is still there, for the eyes of those who deal with it. */
static void add_call(const struct showing *s, json_t *o, struct call *c)
{
	bool may = s->q->person.role == ROLE_CONTROLLER || s->q->person.role == ROLE_MANAGER;
	const struct call_record *r = &c->r;
	bool talked = r->answer_us && r->end_us;
	if (may)
		catalogue_open(s->q->v, c);
	json_object_set_new(o, "start", call_json_time(r->start_us));
	json_object_set_new(o, "from", call_json_text(may ? r->from : ""));
	json_object_set_new(o, "to", call_json_text(may ? r->to : ""));
	if (talked)
		json_object_set_new(o, "duration_ms",
				    json_integer((r->end_us - r->answer_us) / 1000));
}

/* Every member always stands there; add_call() fills these in. */
static const char *const of_call[] = { "start", "from", "to", "duration_ms" };

static json_t *call_json_of(const struct showing *s, const struct uuid *id, const inquiry_call *c)
{
	char text[UUID_TEXT];
	json_t *mutes = json_array();
	for (size_t i = 0; i < c->n_redactions; i++)
		json_array_append_new(mutes, json_string(c->redactions[i]));
	json_t *o =
		json_pack("{s:s, s:o, s:o}", "id", uuid_text(id, text), "decision",
			  c->decision ? json_string(inquiry_decisions[c->decision]) : json_null(),
			  "redact", mutes);
	ASSERT(o);
	json_object_set_new(o, "ground", call_json_text(c->ground));
	json_object_set_new(o, "note", sealed_json(s->q, s->row, id, &c->sealed));
	json_object_set_new(o, "assessed_by", call_json_text(c->person));
	json_object_set_new(o, "assessed", call_json_time(c->time_us));
	json_object_set_new(o, "given", c->given ? json_string(givings[c->given]) : json_null());
	json_object_set_new(o, "given_by", call_json_text(c->given_by));
	json_object_set_new(o, "given_at", call_json_time(c->given_us));
	for (size_t i = 0; i < sizeof of_call / sizeof of_call[0]; i++)
		json_object_set_new(o, of_call[i], json_null());
	return o;
}

static bool show_call(void *ctx, const struct uuid *id, const inquiry_call *row)
{
	struct showing *s = ctx;
	struct call *c = NULL;
	s->rc = catalogue_get(s->q->v, id, &c, s->err);
	if (s->rc != RC_OK && s->rc != RC_NOT_FOUND)
		return false;
	s->rc = RC_OK;
	if (c && !access_sees(s->q, c)) {
		s->unseen++;
	} else {
		json_t *o = call_json_of(s, id, row);
		json_object_set_new(o, "gone", json_boolean(!c));
		if (c)
			add_call(s, o, c);
		json_array_append_new(s->calls, o);
	}
	call_row_free(c);
	return true;
}

static enum rc show(const struct request *q, const inquiry_row *r, struct error *err)
{
	inquiry_figures *f = NULL;
	struct showing s = { .q = q, .row = r, .calls = json_array(), .err = err };
	enum rc rc = inquiry_count(q->v, r, &f, err);
	if (rc == RC_OK)
		rc = inquiry_calls(q->v, r, show_call, &s, err);
	if (rc == RC_OK)
		rc = s.rc;
	if (rc == RC_OK) {
		json_t *o = row_json(q, r, f);
		json_object_set_new(o, "steps", steps_json(q, r));
		json_object_set(o, "recordings", s.calls);
		json_object_set_new(o, "unseen", json_integer(s.unseen));
		/* What fulfilling it will ask for. */
		json_object_set_new(o, "passphrase", json_boolean(!q->v->keys.has_audio));
		requests_reply(q, o);
	}
	json_decref(s.calls);
	inquiry_figures_free(f);
	return rc;
}

enum rc req_inquiry_show(const struct request *q, struct error *err)
{
	inquiry_row *r;
	enum rc rc = inquiry_load(q->v, requests_text(q, "inquiry"), &r, err);
	if (rc != RC_OK)
		return rc;
	rc = show(q, r, err);
	inquiry_free(r);
	return rc;
}
