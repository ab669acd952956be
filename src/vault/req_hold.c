/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_hold.c: making holds, and listing them.  See hold.h.
 *
 *   words right? -> role -> which recordings, of those the person may know of -> one commit: an entry for the hold and one
 *     for each recording, the ties, the row
 *
 * Who may not know whose calls are held (operator, auditor) sees that there are holds, and how many calls they keep.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "vault/access.h"
#include "vault/hold.h"
#include "vault/holds.h"

#define ID_ECHO 40 /* characters of an id that an error says again */

/* ---- words ----------------------------------------------------------------------------------------------- */

/* Digits as they stand, without what separates those of one number; anything else as 'x'. */
static void squeeze(char *out, const char *text)
{
	for (; *text; text++) {
		if (isdigit((unsigned char)*text))
			*out++ = *text;
		else if (!strchr(" -.()/+", *text))
			*out++ = 'x';
	}
	*out = '\0';
}

/* A run of digits that is this one and no longer. */
static bool has_run(const char *squeezed, const char *digits)
{
	size_t len = strlen(digits);
	for (const char *at = squeezed; (at = strstr(at, digits)); at++) {
		bool begins = at == squeezed || at[-1] == 'x';
		if (begins && (at[len] == 'x' || !at[len]))
			return true;
	}
	return false;
}

#define SHORT_NUMBER 6 /* fewer digits than this stand in texts for other reasons too */

/* Does a text tell whose calls these are? */
static bool tells(const char *text, const char *party)
{
	char plain[PARTY_TEXT], squeezed[HOLD_TEXT + 1];
	if (!party_plain(party, plain))
		return *plain && strcasestr(text, plain);
	size_t len = strlen(plain);
	squeeze(squeezed, text);
	if (len < SHORT_NUMBER)
		return has_run(squeezed, plain);
	return strstr(squeezed, plain + (len > 9 ? len - 9 : 0));
}

enum rc req_hold_text(const struct request *q, const char *member, const char *party, bool must,
		      char out[HOLD_TEXT + 1], struct error *err)
{
	const char *text = requests_text(q, member);
	out[0] = '\0';
	if (!text && !must)
		return RC_OK;
	if (!text || !text[strspn(text, " \t\r\n")])
		return error_set(err, RC_USAGE, "a %s must be stated", member);
	if (strlen(text) > HOLD_TEXT)
		return error_set(err, RC_USAGE, "the %s is longer than %d bytes", member,
				 HOLD_TEXT);
	for (const char *p = text; *p; p++) {
		if (iscntrl((unsigned char)*p))
			return error_set(err, RC_USAGE, "the %s is to be one line", member);
	}
	if (party && *party && tells(text, party))
		return error_set(err, RC_USAGE,
				 "the %s names the party: it is kept in clear, so leave the number "
				 "out of it",
				 member);
	snprintf(out, HOLD_TEXT + 1, "%s", text);
	return RC_OK;
}

/* What was asked for, beside texts. */
struct asked {
	const json_t *ids;
	const char *party, *conversation;
	struct hold h; /* its words and span of time */
};

static enum rc check_choice(const struct asked *a, const struct request *q, struct error *err)
{
	const json_t *ids = a->ids;
	bool timed = json_object_get(q->body, "since") || json_object_get(q->body, "until");
	int given = (ids && !json_is_null(ids)) + (a->party != NULL) + (a->conversation != NULL);
	if (given != 1)
		return error_set(err, RC_USAGE,
				 "what is to be held? Either recordings by their ids, a party's "
				 "calls, or a conversation");
	if (!a->party && (timed || a->h.standing))
		return error_set(err, RC_USAGE, "since, until and standing are of a party's calls");
	if (a->party && !*a->party)
		return error_set(err, RC_USAGE, "party: a number or user part is wanted");
	if (a->party && strlen(a->party) >= PARTY_TEXT)
		return error_set(err, RC_USAGE, "party: it is too long");
	if (given && ids && !json_is_null(ids) && !json_array_size(ids))
		return error_set(err, RC_USAGE, "ids: an array of at least one id is wanted");
	return RC_OK;
}

static enum rc read_asked(const struct request *q, struct asked *a, struct error *err)
{
	struct hold *h = &a->h;
	*a = (struct asked){ .ids = json_object_get(q->body, "ids"),
			     .party = requests_text(q, "party"),
			     .conversation = requests_text(q, "conversation") };
	h->standing = json_is_true(json_object_get(q->body, "standing"));
	enum rc rc = check_choice(a, q, err);
	if (rc == RC_OK)
		rc = requests_time(q, "since", &h->since_us, err);
	if (rc == RC_OK)
		rc = requests_time(q, "until", &h->until_us, err);
	if (rc == RC_OK && h->until_us && h->until_us < h->since_us)
		rc = error_set(err, RC_USAGE, "until lies before since");
	if (rc == RC_OK && h->standing && h->until_us && h->until_us < vault_now_us(q->v))
		rc = error_set(err, RC_USAGE, "until: a standing hold cannot end in the past");
	if (rc == RC_OK)
		rc = req_hold_text(q, "reason", a->party, true, h->reason, err);
	if (rc == RC_OK)
		rc = req_hold_text(q, "reference", a->party, true, h->reference, err);
	return rc;
}

enum rc req_hold_add_check(const struct request *q, struct error *err)
{
	struct asked a;
	return read_asked(q, &a, err);
}

/* ---- what is to be held ---------------------------------------------------------------------------------- */

static enum rc pick_given(const struct request *q, const json_t *ids, struct hold_picks *p,
			  struct error *err)
{
	for (size_t i = 0; i < json_array_size(ids); i++) {
		struct call *c;
		struct error why;
		const char *id = json_string_value(json_array_get(ids, i));
		if (!id)
			return error_set(err, RC_USAGE, "ids: an array of ids is wanted");
		enum rc rc = access_call(q, id, &c, &why);
		if (rc != RC_OK)
			return error_set(err, rc, "%.*s: %.400s", ID_ECHO, id, why.text);
		rc = hold_pick_add(p, &c->r.id, err);
		call_row_free(c);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* By its own id, or that of a call of it. */
static enum rc find_conversation(const struct request *q, const char *text, struct hold *h,
				 struct error *err)
{
	struct call *c;
	h->conversations_count = 1;
	enum rc rc = access_call(q, text, &c, err);
	if (rc != RC_OK)
		return uuid_parse(&h->conversations[0], text) && rc == RC_USAGE ? RC_OK : rc;
	h->conversations[0] = c->r.conversation;
	bool none = uuid_is_nil(&c->r.conversation);
	call_row_free(c);
	return none ? error_set(err, RC_USAGE, "this call belongs to no conversation") : RC_OK;
}

static enum rc pick(const struct request *q, const struct asked *a, struct hold *h,
		    struct hold_picks *p, struct error *err)
{
	enum rc rc;
	int64_t until_us = h->until_us ? h->until_us : INT64_MAX;
	if (a->party) {
		rc = hold_pick_party(q, a->party, h->since_us, until_us, p, err);
		if (rc == RC_OK && !p->count && !h->standing)
			rc = error_set(err, RC_USAGE,
				       "no recording of this party%s: --standing holds those to "
				       "come",
				       h->since_us || h->until_us ? " in that time" : "");
	} else if (a->conversation) {
		rc = find_conversation(q, a->conversation, h, err);
		if (rc == RC_OK)
			rc = hold_pick_conversation(q->v, q, &h->conversations[0], p, err);
		if (rc == RC_OK && !p->count)
			rc = error_set(err, RC_USAGE, "no such conversation");
	} else {
		rc = pick_given(q, a->ids, p, err);
	}
	return rc;
}

/* ---- making it --------------------------------------------------------------------------------------------- */

enum rc req_hold_note(const struct request *q, struct index_batch *b, const struct hold *h,
		      const char *action, const char *outcome, const char *detail,
		      struct error *err)
{
	char name[HOLD_NAME], text[640];
	snprintf(text, sizeof text, "%s%s%s", h->number ? hold_name(h, name) : "",
		 h->number && detail ? ": " : "", detail ? detail : "");
	const struct audit_entry e = { .person = q->person.name,
				       .role = people_role_name(q->person.role),
				       .action = action,
				       .reference = h->reference,
				       .outcome = outcome,
				       .detail = text };
	if (!b)
		return audit_write(q->v, &e, err);
	audit_note(q->v, b, &e);
	return RC_OK;
}

static enum rc make(const struct request *q, const struct asked *a, struct hold *h,
		    const struct hold_picks *p, struct error *err)
{
	char detail[320];
	enum rc rc = a->party ? hold_seal(q->v, h, a->party, err) : RC_OK;
	if (rc != RC_OK)
		return rc;
	snprintf(detail, sizeof detail, "%s%s, %zu calls, %s", hold_kind_name(h->kind),
		 h->standing ? " standing" : "", p->count, h->reason);
	struct index_batch *b = index_batch_new(q->v->index);
	rc = req_hold_note(q, b, h, "hold-add", "done", detail, err);
	for (size_t i = 0; i < p->count; i++)
		hold_tie(q->v, b, h, &q->person, &p->ids[i]);
	hold_put(q->v, b, h);
	if (rc == RC_OK)
		return audit_commit(q->v, b, err);
	audit_drop(q->v, b);
	return rc;
}

enum rc req_hold_add(const struct request *q, struct error *err)
{
	struct asked a;
	struct hold h;
	struct error second;
	struct hold_picks p = { 0 };
	enum rc rc = read_asked(q, &a, err);
	if (rc == RC_OK)
		rc = hold_new(q->v,
			      a.party          ? HOLD_PARTY
			      : a.conversation ? HOLD_CONVERSATION
					       : HOLD_GIVEN,
			      &h, err);
	if (rc != RC_OK)
		return rc;
	h.standing = a.h.standing;
	h.since_us = a.h.since_us;
	h.until_us = a.h.until_us;
	memcpy(h.reason, a.h.reason, sizeof h.reason);
	memcpy(h.reference, a.h.reference, sizeof h.reference);
	snprintf(h.by, sizeof h.by, "%s", q->person.name);
	rc = pick(q, &a, &h, &p, err);
	if (rc == RC_OK)
		rc = make(q, &a, &h, &p, err);
	hold_picks_free(&p);
	h.number = rc == RC_OK ? h.number : 0; /* it was given to nothing */
	if (rc == RC_OK)
		requests_reply(q, req_hold_json(q, &h));
	else if (rc == RC_FAILED &&
		 req_hold_note(q, NULL, &h, "hold-add", "failed", err->text, &second) != RC_OK)
		*err = second;
	return rc;
}

/* ---- telling of holds ----------------------------------------------------------------------------------------- */

struct looking {
	const struct request *q;
	size_t seen, hidden;
	json_t *ids; /* NULL: not wanted */
};

static bool look_at(void *ctx, const struct uuid *id)
{
	struct looking *l = ctx;
	struct call *c;
	struct error ignored; /* index_health() keeps it */
	char text[UUID_TEXT];
	if (catalogue_get(l->q->v, id, &c, &ignored) != RC_OK)
		return true;
	bool sees = access_sees(l->q, c);
	call_row_free(c);
	l->seen += sees;
	l->hidden += !sees;
	if (sees && l->ids)
		json_array_append_new(l->ids, json_string(uuid_text(id, text)));
	return true;
}

bool req_hold_sees(const struct request *q, const struct hold *h, bool all)
{
	struct looking l = { .q = q };
	if (q->person.role != ROLE_MANAGER || !q->person.scope[0])
		return true;
	/* What it may yet catch nobody can know: of another's such a hold all is never seen. */
	bool own = strcmp(h->by, q->person.name) == 0;
	bool open = h->standing || h->kind == HOLD_CONVERSATION;
	holds_calls(q->v, &h->id, look_at, &l);
	return all ? !l.hidden && (own || (!open && l.seen)) : own || l.seen;
}

static json_t *personal(const char *text, bool hidden)
{
	return hidden ? json_null() : call_json_text(text);
}

static void put_scope(const struct request *q, const struct hold *h, bool hidden, json_t *o)
{
	char party[PARTY_TEXT] = "", id[UUID_TEXT];
	struct error ignored;
	if (!hidden && hold_party(q->v, h, party, &ignored) != RC_OK)
		party[0] = '\0';
	json_object_set_new(o, "standing", json_boolean(h->standing));
	json_object_set_new(o, "party", call_json_text(party));
	json_object_set_new(o, "since", call_json_time(h->since_us));
	json_object_set_new(o, "until", call_json_time(h->until_us));
	json_object_set_new(o, "conversation",
			    h->conversations_count && !hidden
				    ? json_string(uuid_text(&h->conversations[0], id))
				    : json_null());
	forget_bytes(party, sizeof party);
}

json_t *req_hold_json(const struct request *q, const struct hold *h)
{
	char name[HOLD_NAME];
	bool hidden = !(q->person.role & (ROLE_CONTROLLER | ROLE_MANAGER));
	size_t calls = h->state == HOLD_ENDED ? h->released_calls : hold_count(q->v, h);
	json_t *o = json_object();
	json_object_set_new(o, "hold", json_string(hold_name(h, name)));
	json_object_set_new(o, "state", json_string(hold_state_name(h->state)));
	json_object_set_new(o, "kind", json_string(hold_kind_name(h->kind)));
	put_scope(q, h, hidden, o);
	json_object_set_new(o, "reason", personal(h->reason, hidden));
	json_object_set_new(o, "reference", personal(h->reference, hidden));
	json_object_set_new(o, "calls", json_integer((json_int_t)calls));
	json_object_set_new(o, "by", personal(h->by, hidden));
	json_object_set_new(o, "added", call_json_time(h->added_us));
	json_object_set_new(o, "release_asked_by", personal(h->asked_by, hidden));
	json_object_set_new(o, "release_asked", call_json_time(h->asked_us));
	json_object_set_new(o, "released_by", personal(h->released_by, hidden));
	json_object_set_new(o, "released", call_json_time(h->released_us));
	json_object_set_new(o, "release_reason", personal(h->release_reason, hidden));
	return o;
}

static bool list_one(void *ctx, const struct hold *h)
{
	const struct request *q = ctx;
	return !req_hold_sees(q, h, false) || requests_reply(q, req_hold_json(q, h));
}

enum rc req_hold_list(const struct request *q, struct error *err)
{
	struct request copy = *q;
	bool all = json_is_true(json_object_get(q->body, "all"));
	enum rc rc = hold_walk(q->v, all, list_one, &copy, err);
	forget_bytes(&copy, sizeof copy);
	return rc;
}

enum rc req_hold_show(const struct request *q, struct error *err)
{
	struct hold h;
	enum rc rc = hold_find(q->v, requests_text(q, "hold"), &h, err);
	if (rc == RC_OK && !req_hold_sees(q, &h, false))
		rc = error_set(err, RC_USAGE, "there is no hold H-%llu",
			       (unsigned long long)h.number);
	if (rc != RC_OK)
		return rc;
	struct looking l = { .q = q, .ids = json_array() };
	json_t *o = req_hold_json(q, &h);
	holds_calls(q->v, &h.id, look_at, &l);
	json_object_set_new(o, "held_calls", l.ids);
	requests_reply(q, o);
	return index_health(q->v->index, err);
}
