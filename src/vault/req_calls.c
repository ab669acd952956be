/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_calls.c: listing calls, and showing one.
 *
 * Candidates come from one family of the index, newest first: by party where one is asked for (under two keys), by
 * conversation, else by time.  What passes the filters is kept until the limit is reached, and printed oldest
 * first.  Only what is printed (and what a number must be compared with) is opened.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/access.h"
#include "vault/holds.h"
#include "vault/parts.h"

#define LIMIT_USUAL 50

struct wanted {
	const char *party;
	int64_t since_us, until_us;
	int state, outcome; /* -1: any */
	struct uuid conversation;
	bool by_conversation;
	size_t limit; /* 0: all */
};

struct found_call {
	int64_t start_us;
	struct uuid id;
};

struct found {
	struct found_call *calls; /* owned; newest first */
	size_t count, room;
};

/* ---- what is asked for -------------------------------------------------------------------------------------- */

typedef const char *(*name_of)(unsigned n);

static const char *state_name(unsigned n)
{
	return call_state_name((enum call_state)n);
}

static const char *outcome_name(unsigned n)
{
	return call_outcome_name((enum call_outcome)n);
}

/* One of the names for first..last, -1 when absent. */
static enum rc read_choice(const struct request *q, const char *member, name_of name,
			   unsigned first, unsigned last, int *out, struct error *err)
{
	const char *names[8], *text = requests_text(q, member);
	char choices[160];
	*out = -1;
	if (!text)
		return RC_OK;
	for (unsigned n = first; n <= last; n++) {
		names[n - first] = name(n);
		if (strcmp(names[n - first], text) == 0) {
			*out = (int)n;
			return RC_OK;
		}
	}
	return error_set(err, RC_USAGE, "no such %s; the choices are: %s", member,
			 requests_choices(names, last - first + 1, choices, sizeof choices));
}

/* A conversation by its id, or by that of any of its calls: of a call that has moved to another conversation since, that
 * one is meant. */
static enum rc read_conversation(const struct request *q, struct wanted *w, struct error *err)
{
	const char *text = requests_text(q, "conversation");
	struct call *c = NULL;
	if (!text)
		return RC_OK;
	w->by_conversation = true;
	if (!uuid_parse(&w->conversation, text)) {
		enum rc rc = access_call(q, text, &c, err);
		if (rc == RC_OK)
			w->conversation = c->r.conversation;
		call_row_free(c);
		return rc;
	}
	enum rc rc = catalogue_get(q->v, &w->conversation, &c, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	if (access_sees(q, c))
		w->conversation = c->r.conversation;
	call_row_free(c);
	return RC_OK;
}

static enum rc read_wanted(const struct request *q, struct wanted *w, struct error *err)
{
	*w = (struct wanted){ .party = requests_text(q, "party"),
			      .until_us = INT64_MAX,
			      .limit = LIMIT_USUAL };
	enum rc rc = requests_time(q, "since", &w->since_us, err);
	if (rc == RC_OK)
		rc = requests_time(q, "until", &w->until_us, err);
	if (rc == RC_OK)
		rc = read_choice(q, "state", state_name, CALL_TRYING, CALL_ENDED, &w->state, err);
	if (rc == RC_OK)
		rc = read_choice(q, "outcome", outcome_name, OUTCOME_ANSWERED, OUTCOME_UNANSWERED,
				 &w->outcome, err);
	if (rc == RC_OK)
		rc = requests_count(q, "limit", &w->limit, err);
	if (rc == RC_OK)
		rc = read_conversation(q, w, err);
	if (rc == RC_OK && w->party && !*w->party)
		rc = error_set(err, RC_USAGE, "party: a number or user part is wanted");
	if (rc == RC_OK && w->party && q->person.role == ROLE_OPERATOR)
		rc = error_set(err, RC_REFUSED, "an operator may not search for a party");
	return rc;
}

/* ---- finding ------------------------------------------------------------------------------------------------- */

static bool fits(const struct wanted *w, struct vault *v, struct call *c)
{
	if (w->state >= 0 && c->r.state != (enum call_state)w->state)
		return false;
	if (w->outcome >= 0 && c->r.outcome != (enum call_outcome)w->outcome)
		return false;
	if (w->by_conversation && !uuid_equal(&c->r.conversation, &w->conversation))
		return false;
	if (!w->party)
		return true;
	catalogue_open(v, c);
	return c->opened &&
	       (party_matches(w->party, c->r.from) || party_matches(w->party, c->r.to));
}

static void add(struct found *f, struct found_call c)
{
	if (f->count == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->calls = realloc(f->calls, f->room * sizeof *f->calls);
		ASSERT(f->calls);
	}
	f->calls[f->count++] = c;
}

static int64_t read_be64(const uint8_t *p)
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

/* Walk the keys prefix ‖ be64 time ‖ id, newest first, while the prefix holds and time is in range. */
static enum rc walk(const struct request *q, const struct wanted *w, enum index_family family,
		    const uint8_t *prefix, size_t prefix_len, struct found *f, struct error *err)
{
	struct vault *v = q->v;
	uint8_t from[16 + 8 + 16];
	const uint8_t *key, *value;
	size_t key_len, value_len, len = prefix_len + 24;
	memset(from, 0xff, sizeof from);
	if (prefix_len)
		memcpy(from, prefix, prefix_len);
	catalogue_be64(from + prefix_len, w->until_us);
	struct index_cursor *c = index_cursor_new(v->index, family, from, len, true);
	enum rc rc = RC_OK;
	while (rc == RC_OK && (!w->limit || f->count < w->limit) &&
	       index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		struct uuid id;
		struct call *call;
		if (key_len != len || (prefix_len && memcmp(key, prefix, prefix_len) != 0) ||
		    read_be64(key + prefix_len) < w->since_us)
			break;
		memcpy(id.b, key + prefix_len + 8, sizeof id.b);
		rc = catalogue_named(v, &id, &call, err);
		if (rc != RC_OK)
			break;
		if (fits(w, v, call) && access_sees(q, call))
			add(f, (struct found_call){ call->r.start_us, call->r.id });
		call_row_free(call);
	}
	index_cursor_free(c);
	return rc;
}

static int newest_first(const void *a, const void *b)
{
	const struct found_call *x = a, *y = b;
	if (x->start_us != y->start_us)
		return x->start_us < y->start_us ? 1 : -1;
	return memcmp(y->id.b, x->id.b, sizeof x->id.b);
}

/* Two lists, each newest first, into one without doubles. */
static void merge(struct found *f, const struct found *more, size_t limit)
{
	size_t kept = 0;
	for (size_t i = 0; i < more->count; i++)
		add(f, more->calls[i]);
	if (f->count)
		qsort(f->calls, f->count, sizeof *f->calls, newest_first);
	for (size_t i = 0; i < f->count; i++) {
		if (!kept || !uuid_equal(&f->calls[kept - 1].id, &f->calls[i].id))
			f->calls[kept++] = f->calls[i];
	}
	f->count = limit && kept > limit ? limit : kept;
}

/* By the party as it was given, and by its longest tail that has a key: the same number may have been signalled with
 * another prefix. */
static enum rc walk_party(const struct request *q, const struct wanted *w, struct found *f,
			  struct error *err)
{
	char plain[PARTY_TEXT];
	uint8_t key[PARTY_KEY];
	struct found by_tail = { 0 };
	bool digits = party_plain(w->party, plain);
	size_t len = strlen(plain);
	party_key(q->v, plain, len, key);
	enum rc rc = walk(q, w, INDEX_BY_PARTY, key, sizeof key, f, err);
	size_t tail = len >= 9 ? 9 : len >= 6 ? 6 : 4;
	if (rc != RC_OK || !digits || len <= tail)
		return rc;
	party_key(q->v, plain + len - tail, tail, key);
	rc = walk(q, w, INDEX_BY_PARTY, key, sizeof key, &by_tail, err);
	if (rc == RC_OK)
		merge(f, &by_tail, w->limit);
	free(by_tail.calls);
	return rc;
}

/* The call, with the names of what holds it. */
static json_t *call_with_holds(const struct request *q, const struct call *c,
			       enum call_json_kind kind)
{
	json_t *o = call_json(c, kind, q->person.role & (ROLE_OPERATOR | ROLE_STAFF));
	json_object_set_new(json_object_get(o, "retention"), "holds", holds_names(q->v, &c->r.id));
	return o;
}

static enum rc print(const struct request *q, const struct found *f, struct error *err)
{
	bool more = true;
	for (size_t i = f->count; i-- > 0 && more;) {
		struct call *c;
		enum rc rc = catalogue_get(q->v, &f->calls[i].id, &c, err);
		if (rc != RC_OK)
			return rc;
		catalogue_open(q->v, c);
		more = requests_reply(q, call_with_holds(q, c, CALL_JSON_LIST));
		call_row_free(c);
	}
	return RC_OK;
}

enum rc req_calls(const struct request *q, struct error *err)
{
	struct wanted w;
	struct found f = { 0 };
	enum rc rc = read_wanted(q, &w, err);
	if (rc != RC_OK)
		return rc;
	if (w.party)
		rc = walk_party(q, &w, &f, err);
	else if (w.by_conversation)
		rc = walk(q, &w, INDEX_CONVERSATIONS, w.conversation.b, 16, &f, err);
	else
		rc = walk(q, &w, INDEX_BY_TIME, NULL, 0, &f, err);
	if (rc == RC_OK)
		rc = print(q, &f, err);
	free(f.calls);
	return rc;
}

/* The other calls of its conversation. */
static enum rc add_members(const struct request *q, const struct call *c, json_t *o,
			   struct error *err)
{
	struct found f = { 0 };
	char text[UUID_TEXT];
	const struct wanted w = { .until_us = INT64_MAX,
				  .state = -1,
				  .outcome = -1,
				  .conversation = c->r.conversation,
				  .by_conversation = true };
	json_t *members = json_array();
	json_object_set_new(o, "conversation_calls", members);
	if (uuid_is_nil(&w.conversation))
		return RC_OK;
	enum rc rc = walk(q, &w, INDEX_CONVERSATIONS, w.conversation.b, 16, &f, err);
	for (size_t i = f.count; i-- > 0;) {
		if (!uuid_equal(&f.calls[i].id, &c->r.id))
			json_array_append_new(members,
					      json_string(uuid_text(&f.calls[i].id, text)));
	}
	free(f.calls);
	return rc;
}

enum rc req_show(const struct request *q, struct error *err)
{
	struct call *c;
	enum rc rc = access_call(q, requests_text(q, "id"), &c, err);
	if (rc != RC_OK)
		return rc;
	catalogue_open(q->v, c);
	json_t *o = call_with_holds(q, c, CALL_JSON_SHOW);
	rc = add_members(q, c, o, err);
	call_row_free(c);
	if (rc == RC_OK)
		requests_reply(q, o);
	else
		json_decref(o);
	return rc;
}
