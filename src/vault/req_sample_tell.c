/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_sample_tell.c: samples as replies.  A call that has been destroyed since is told by its id alone. */
#include <inttypes.h>
#include <string.h>

#include "vault/access.h"
#include "vault/reviews.h"

json_t *req_sample_json(const struct sample *s)
{
	char name[REVIEW_NAME];
	json_t *o = json_object();
	snprintf(name, sizeof name, "S-%" PRIu64, s->number);
	json_object_set_new(o, "sample", json_string(name));
	json_object_set_new(o, "by", call_json_text(s->by));
	json_object_set_new(o, "drawn", call_json_time(s->drawn_us));
	json_object_set_new(o, "purpose", call_json_text(s->purpose));
	json_object_set_new(o, "count", json_integer((json_int_t)s->count));
	json_object_set_new(o, "per_person", json_boolean(s->per_person));
	json_object_set_new(o, "since", call_json_time(s->since_us));
	json_object_set_new(o, "until", call_json_time(s->until_us));
	json_object_set_new(o, "group", call_json_text(s->group));
	json_object_set_new(o, "min_duration_s", json_integer((json_int_t)s->min_duration_s));
	json_object_set_new(o, "seed", json_integer((json_int_t)s->seed));
	json_object_set_new(o, "eligible", json_integer((json_int_t)s->eligible));
	json_object_set_new(o, "lines",
			    s->per_person ? json_integer((json_int_t)s->lines) : json_null());
	json_object_set_new(o, "drawn_calls", json_integer((json_int_t)s->calls_count));
	return o;
}

static bool add_review(void *ctx, const struct review *r)
{
	char name[REVIEW_NAME];
	snprintf(name, sizeof name, "V-%" PRIu64, r->number);
	json_array_append_new(ctx, json_string(name));
	return true;
}

/* NULL: the person who asks may not know of it. */
static json_t *call_of(const struct request *q, const struct uuid *id)
{
	struct call *c = NULL;
	struct error ignored; /* index_health() keeps it */
	char text[UUID_TEXT];
	bool there = catalogue_get(q->v, id, &c, &ignored) == RC_OK;
	if (there && !access_sees(q, c)) {
		call_row_free(c);
		return NULL;
	}
	json_t *o = json_object(), *reviews = json_array();
	if (there) {
		catalogue_open(q->v, c);
		if (reviews_walk(q->v, id, add_review, reviews, &ignored) != RC_OK)
			json_array_clear(reviews);
	}
	json_object_set_new(o, "id", json_string(uuid_text(id, text)));
	json_object_set_new(o, "present", json_boolean(there));
	json_object_set_new(o, "start", call_json_time(there ? c->r.start_us : 0));
	json_object_set_new(o, "duration_ms",
			    there ? json_integer((c->r.end_us - c->r.answer_us) / 1000)
				  : json_null());
	json_object_set_new(o, "from", call_json_text(there ? c->r.from : NULL));
	json_object_set_new(o, "to", call_json_text(there ? c->r.to : NULL));
	json_object_set_new(o, "reviews", reviews);
	call_row_free(c);
	return o;
}

enum rc req_sample_reply(const struct request *q, const struct sample *s, struct error *err)
{
	json_t *o = req_sample_json(s), *calls = json_array();
	for (size_t i = 0; i < s->calls_count; i++) {
		json_t *call = call_of(q, &s->calls[i]);
		if (call)
			json_array_append_new(calls, call);
	}
	json_object_set_new(o, "calls", calls);
	requests_reply(q, o);
	return index_health(q->v->index, err);
}

static bool list_one(void *ctx, const struct sample *s)
{
	const struct request *q = ctx;
	return requests_reply(q, req_sample_json(s));
}

enum rc req_sample_list(const struct request *q, struct error *err)
{
	struct request copy = *q;
	enum rc rc = samples_walk(q->v, list_one, &copy, err);
	forget_bytes(&copy, sizeof copy);
	return rc;
}

enum rc req_sample_show(const struct request *q, struct error *err)
{
	struct sample s;
	enum rc rc = samples_find(q->v, requests_text(q, "sample"), &s, err);
	if (rc != RC_OK)
		return rc;
	rc = req_sample_reply(q, &s, err);
	samples_free(&s);
	return rc;
}
