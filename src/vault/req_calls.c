/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_calls.c: listing calls, and showing one.
 *
 * Candidates come from one family of the index, newest first: by party where one is asked for (under two keys), by
 * conversation, else by time.  What passes the filter is kept until the limit is reached, and printed oldest
 * first.  Only what is printed (and what a number must be compared with) is opened.  A list without a limit is printed as
 * it is found, oldest first.
 *
 * A long list rests after each page (turn.h): the walk goes on behind the last key that it saw, and what was destroyed
 * meanwhile is not printed.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/access.h"
#include "vault/call_filter.h"
#include "vault/holds.h"
#include "vault/parts.h"

#define WALK_PAGE  1000 /* candidates looked at */
#define OPEN_PAGE  100  /* calls opened, which costs more */
#define PREFIX_MAX 16
#define KEY_MAX    (PREFIX_MAX + 24)

struct found_call {
	struct call_place at;
	struct call *call; /* owned; NULL: to be read again */
};

struct found {
	struct found_call *calls; /* owned; newest first */
	size_t count, room;
};

/* What a walk does with a call (moved) that fits.  False: no more are wanted. */
typedef bool (*take_call)(void *ctx, struct call *c);

/* A range of keys PREFIX ‖ be64 time ‖ id. */
struct range {
	enum index_family family;
	uint8_t prefix[PREFIX_MAX];
	size_t prefix_len;
	bool oldest_first;
	take_call take;
	void *ctx;
};

/* ---- finding ------------------------------------------------------------------------------------------------- */

static struct call_place place_of(const struct call *c)
{
	return (struct call_place){ .start_us = c->r.start_us, .id = c->r.id };
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

/* What was opened on the way need not be opened again, as long as that is not much. */
static void keep(struct found *f, struct call *c)
{
	bool whole = c->opened && f->count < OPEN_PAGE;
	add(f, (struct found_call){ place_of(c), whole ? c : NULL });
	if (!whole)
		call_row_free(c);
}

static void drop_calls(struct found *f)
{
	for (size_t i = 0; i < f->count; i++) {
		call_row_free(f->calls[i].call);
		f->calls[i].call = NULL;
	}
}

static void found_free(struct found *f)
{
	drop_calls(f);
	free(f->calls);
}

/* Where a walk begins: behind `before` or at `until`; the other way round, at `since`. */
static void first_key(const struct call_filter *w, const struct range *r, uint8_t key[KEY_MAX])
{
	uint8_t *at = key + r->prefix_len;
	memcpy(key, r->prefix, r->prefix_len);
	memset(at, r->oldest_first ? 0 : 0xff, 24);
	catalogue_be64(at, r->oldest_first ? w->since_us : w->until_us);
	if (w->has_before && w->before.start_us <= w->until_us && !r->oldest_first) {
		catalogue_be64(at, w->before.start_us);
		memcpy(at + 8, w->before.id.b, 16);
	}
}

static bool in_range(const struct call_filter *w, const struct range *r, const uint8_t *key,
		     size_t len)
{
	if (len != r->prefix_len + 24 || memcmp(key, r->prefix, r->prefix_len) != 0)
		return false;
	int64_t at_us = catalogue_from_be64(key + r->prefix_len);
	return r->oldest_first ? at_us <= w->until_us : at_us >= w->since_us;
}

/* One candidate.  RC_END: no more are wanted. */
static enum rc look_at(const struct request *q, const struct call_filter *w, const struct range *r,
		       const uint8_t *key, unsigned *cost, struct error *err)
{
	struct uuid id;
	struct call *c;
	memcpy(id.b, key + r->prefix_len + 8, sizeof id.b);
	enum rc rc = catalogue_named(q->v, &id, &c, err);
	if (rc != RC_OK)
		return rc;
	bool fits = call_filter_fits(w, q->v, c) && access_sees(q, c);
	*cost += c->opened || r->oldest_first ? WALK_PAGE / OPEN_PAGE : 1;
	if (fits)
		return r->take(r->ctx, c) ? RC_OK : RC_END;
	call_row_free(c);
	return RC_OK;
}

/* A page of candidates from `key` on, which becomes the last one seen (`seen`: it has been looked at before).  RC_END: that
 * was the last. */
static enum rc walk_page(const struct request *q, const struct call_filter *w,
			 const struct range *r, uint8_t key[KEY_MAX], bool seen, struct error *err)
{
	const uint8_t *at, *value;
	size_t len = r->prefix_len + 24, at_len, value_len;
	unsigned cost = 0;
	enum rc rc = RC_OK;
	struct index_cursor *c =
		index_cursor_new(q->v->index, r->family, key, len, !r->oldest_first);
	while (rc == RC_OK && cost < WALK_PAGE) {
		if (!index_cursor_next(c, &at, &at_len, &value, &value_len) ||
		    !in_range(w, r, at, at_len)) {
			rc = RC_END;
			break;
		}
		if (seen && memcmp(at, key, len) == 0)
			continue;
		memcpy(key, at, len);
		seen = true;
		rc = look_at(q, w, r, at, &cost, err);
	}
	index_cursor_free(c);
	return rc;
}

static enum rc walk(const struct request *q, const struct call_filter *w, const struct range *r,
		    struct found *f, struct error *err)
{
	uint8_t key[KEY_MAX];
	first_key(w, r, key);
	enum rc rc = walk_page(q, w, r, key, w->has_before, err);
	while (rc == RC_OK) {
		drop_calls(f);
		rc = requests_rest(q, err);
		if (rc == RC_OK)
			rc = walk_page(q, w, r, key, true, err);
	}
	return rc == RC_END ? RC_OK : rc;
}

/* ---- the newest of them ---------------------------------------------------------------------------------------- */

struct gathering {
	struct found *f;
	size_t limit;
};

static bool gather(void *ctx, struct call *c)
{
	const struct gathering *g = ctx;
	keep(g->f, c);
	return !g->limit || g->f->count < g->limit;
}

static enum rc find(const struct request *q, const struct call_filter *w, enum index_family family,
		    const uint8_t *prefix, struct found *f, struct error *err)
{
	struct gathering g = { .f = f, .limit = w->limit };
	struct range r = { .family = family, .take = gather, .ctx = &g };
	if (prefix) {
		memcpy(r.prefix, prefix, PREFIX_MAX);
		r.prefix_len = PREFIX_MAX;
	}
	return walk(q, w, &r, f, err);
}

static int newest_first(const void *a, const void *b)
{
	const struct found_call *x = a, *y = b;
	if (x->at.start_us != y->at.start_us)
		return x->at.start_us < y->at.start_us ? 1 : -1;
	return memcmp(y->at.id.b, x->at.id.b, sizeof x->at.id.b);
}

/* Two lists, each newest first, into one without doubles; `more` is emptied. */
static void merge(struct found *f, struct found *more, size_t limit)
{
	size_t kept = 0;
	for (size_t i = 0; i < more->count; i++)
		add(f, more->calls[i]);
	more->count = 0;
	if (f->count)
		qsort(f->calls, f->count, sizeof *f->calls, newest_first);
	for (size_t i = 0; i < f->count; i++) {
		bool again = kept && uuid_equal(&f->calls[kept - 1].at.id, &f->calls[i].at.id);
		if (again || (limit && kept == limit))
			call_row_free(f->calls[i].call);
		else
			f->calls[kept++] = f->calls[i];
	}
	f->count = kept;
}

/* By the party as it was given, and by its longest tail that has a key: the same number may have been signalled with
 * another prefix. */
static enum rc find_party(const struct request *q, const struct call_filter *w, struct found *f,
			  struct error *err)
{
	char plain[PARTY_TEXT];
	uint8_t key[PARTY_KEY];
	struct found by_tail = { 0 };
	bool digits = party_plain(w->party, plain);
	size_t len = strlen(plain);
	party_key(q->v, plain, len, key);
	enum rc rc = find(q, w, INDEX_BY_PARTY, key, f, err);
	size_t tail = len >= 9 ? 9 : len >= 6 ? 6 : 4;
	if (rc != RC_OK || !digits || len <= tail)
		return rc;
	party_key(q->v, plain + len - tail, tail, key);
	rc = find(q, w, INDEX_BY_PARTY, key, &by_tail, err);
	if (rc == RC_OK)
		merge(f, &by_tail, w->limit);
	found_free(&by_tail);
	return rc;
}

/* ---- printing --------------------------------------------------------------------------------------------------- */

/* The call, with the names of what holds it. */
static json_t *call_with_holds(const struct request *q, const struct call *c,
			       enum call_json_kind kind)
{
	json_t *o = call_json(c, kind, q->person.role & (ROLE_OPERATOR | ROLE_STAFF));
	json_object_set_new(json_object_get(o, "retention"), "holds", holds_names(q->v, &c->r.id));
	return o;
}

static bool print_call(const struct request *q, struct call *c)
{
	catalogue_open(q->v, c);
	bool more = requests_reply(q, call_with_holds(q, c, CALL_JSON_LIST));
	call_row_free(c);
	return more;
}

/* Oldest first.  A call that is not there any more was destroyed since it was found. */
static enum rc print(const struct request *q, struct found *f, struct error *err)
{
	bool more = true;
	enum rc rc = RC_OK;
	for (size_t i = f->count, n = 1; i-- > 0 && more && rc == RC_OK; n++) {
		struct call *c = f->calls[i].call;
		f->calls[i].call = NULL;
		rc = c ? RC_OK : catalogue_get(q->v, &f->calls[i].at.id, &c, err);
		if (rc != RC_OK && rc != RC_NOT_FOUND)
			return rc;
		if (rc == RC_OK)
			more = print_call(q, c);
		rc = RC_OK;
		if (n % OPEN_PAGE || !more)
			continue;
		drop_calls(f);
		rc = requests_rest(q, err);
	}
	return rc;
}

static bool print_at_once(void *ctx, struct call *c)
{
	union {
		void *in;
		const struct request *out;
	} q = { .in = ctx };
	return print_call(q.out, c);
}

/* All of them: printed as they are found. */
static enum rc print_all(const struct request *q, const struct call_filter *w, struct error *err)
{
	struct found none = { 0 };
	union {
		const struct request *in;
		void *out;
	} ctx = { .in = q };
	const struct range r = {
		.family = INDEX_BY_TIME, .oldest_first = true, .take = print_at_once, .ctx = ctx.out
	};
	return walk(q, w, &r, &none, err);
}

static void tell_next(const struct request *q, const struct call_filter *w, const struct found *f)
{
	char text[CALL_PLACE_TEXT];
	bool more = w->limit && f->count == w->limit;
	if (more)
		call_place_text(&f->calls[f->count - 1].at, text);
	(void)requests_reply(q, json_pack("{s:s?}", "next", more ? text : NULL));
}

enum rc req_calls(const struct request *q, struct error *err)
{
	struct call_filter w;
	struct found f = { 0 };
	enum rc rc = call_filter_read(q, &w, err);
	if (rc != RC_OK)
		return rc;
	bool by_party = w.party && !w.pattern;
	if (!w.limit && !w.has_before && !w.page && !by_party && !w.by_conversation)
		return print_all(q, &w, err);
	if (by_party)
		rc = find_party(q, &w, &f, err);
	else if (w.by_conversation)
		rc = find(q, &w, INDEX_CONVERSATIONS, w.conversation.b, &f, err);
	else
		rc = find(q, &w, INDEX_BY_TIME, NULL, &f, err);
	if (rc == RC_OK)
		rc = print(q, &f, err);
	if (rc == RC_OK && w.page)
		tell_next(q, &w, &f);
	found_free(&f);
	return rc;
}

/* The other calls of its conversation. */
static enum rc add_members(const struct request *q, const struct call *c, json_t *o,
			   struct error *err)
{
	struct found f = { 0 };
	char text[UUID_TEXT];
	const struct call_filter w = call_filter_conversation(&c->r.conversation);
	json_t *members = json_array();
	json_object_set_new(o, "conversation_calls", members);
	if (uuid_is_nil(&w.conversation))
		return RC_OK;
	enum rc rc = find(q, &w, INDEX_CONVERSATIONS, w.conversation.b, &f, err);
	for (size_t i = f.count; i-- > 0;) {
		const struct uuid *id = &f.calls[i].at.id;
		if (!uuid_equal(id, &c->r.id))
			json_array_append_new(members, json_string(uuid_text(id, text)));
	}
	found_free(&f);
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
