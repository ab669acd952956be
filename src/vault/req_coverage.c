/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_coverage.c: recording assurance: which answered calls were recorded whole, and what is missing of the others.
 *
 * Every call of the time asked for is looked at, oldest first; one that is not whole, or remarked, is a line.  Then one
 * object sums up: calls by kind of remark, what the capture itself lost since its recorder was started, and a verdict.
 * It opens nothing; an operator sees numbers starred.
 */
#include <string.h>

#include "vault/access.h"
#include "vault/parts.h"

#define KINDS_MOST 32

struct assurance {
	const struct request *q;
	double gap;
	int64_t since_us, until_us;
	bool masked;
	json_int_t calls, answered, whole, not_whole, open, excluded, without_signalling;
	json_int_t kinds[KINDS_MOST], other;
};

static void count_kinds(struct assurance *a, const struct coverage *v)
{
	for (unsigned n = 0; n < v->count; n++) {
		size_t i = 0;
		while (coverage_kind_at(i) && strcmp(coverage_kind_at(i)->name, v->names[n]) != 0)
			i++;
		ASSERT(i < KINDS_MOST);
		if (coverage_kind_at(i))
			a->kinds[i]++;
		else
			a->other++;
	}
}

static bool tell_call(struct assurance *a, struct call *c, const struct coverage *v)
{
	json_t *call = call_json(c, CALL_JSON_LIST, a->masked), *o = json_object();
	static const char *const members[] = { "id",          "start", "answer", "end",
					       "duration_ms", "from",  "to",     "direction" };
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
		json_object_set(o, members[i], json_object_get(call, members[i]));
	json_decref(call);
	json_object_set_new(o, "coverage", call_json_coverage(v));
	json_object_set_new(o, "whole", json_boolean(v->whole));
	json_object_set_new(o, "loss_percent", json_real(v->worst_loss));
	return requests_reply(a->q, o);
}

static enum rc look_at(void *ctx, struct call *c, struct error *err)
{
	struct assurance *a = ctx;
	struct coverage v;
	(void)err;
	if (!access_sees(a->q, c))
		return RC_OK;
	coverage_of(&v, c, a->gap);
	bool answered = c->r.answer_us || c->r.outcome == OUTCOME_ANSWERED;
	a->calls++;
	a->excluded += v.excluded;
	a->without_signalling += coverage_has(&v, "no-signalling");
	if (c->r.state != CALL_ENDED) {
		a->open++;
		return RC_OK;
	}
	if (!answered && !v.count)
		return RC_OK;
	count_kinds(a, &v);
	if (answered && !v.excluded) {
		a->answered++;
		a->whole += v.whole;
		a->not_whole += !v.whole;
	}
	if (!v.count)
		return RC_OK;
	catalogue_open(a->q->v, c);
	return tell_call(a, c, &v) ? RC_OK : RC_END;
}

static json_t *kinds_json(const struct assurance *a)
{
	json_t *o = json_object();
	for (size_t i = 0; coverage_kind_at(i); i++)
		json_object_set_new(o, coverage_kind_at(i)->name, json_integer(a->kinds[i]));
	json_object_set_new(o, "other", json_integer(a->other));
	return o;
}

/* What the recorder itself lost, or could not follow, of what came to it. */
static const enum counter losses[] = {
	COUNT_KERNEL_DROPS,
	COUNT_INTERFACE_LOST,
	COUNT_CAPTURE_OUTAGES,
	COUNT_FRAGMENT_RING_DROP,
	COUNT_TCP_RING_DROP,
	COUNT_SIGNALLING_RING_DROP,
	COUNT_REASSEMBLED_RING_DROP,
	COUNT_RTP_REFUSED,
	COUNT_RTP_NO_BUFFER,
	COUNT_FRAMES_IN_DROPPED_CHUNKS,
	COUNT_DISK_FULL_CHUNKS,
	COUNT_DISK_FULL_RECORDS,
	COUNT_SIP_CALL_LIMIT,
	COUNT_CALLS_ORPHAN_LIMIT,
	COUNT_SIP_TLS,
};

static json_t *losses_json(const json_t *capture, json_int_t *sum)
{
	const json_t *counters = json_object_get(capture, "counters");
	json_t *o = json_object();
	*sum = 0;
	for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
		json_t *n = json_object_get(counters, counter_names[losses[i]]);
		json_int_t lost = json_integer_value(n); /* the recorder's word */
		if (lost > 0)
			*sum = *sum < INT64_MAX - lost ? *sum + lost : INT64_MAX;
		if (n)
			json_object_set(o, counter_names[losses[i]], n);
	}
	return o;
}

/* A capture that lost frames may have lost a call with them, so it is whole no more. */
static const char *verdict(const struct assurance *a, json_int_t lost)
{
	if (a->not_whole || a->without_signalling || lost)
		return "incomplete";
	return a->answered ? "whole" : "nothing-answered";
}

static void sum_up(const struct assurance *a)
{
	json_int_t lost;
	json_t *capture = req_status_capture(a->q->v), *lost_json = losses_json(capture, &lost);
	json_t *s = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:s}", "calls",
			      a->calls, "answered", a->answered, "whole", a->whole, "not_whole",
			      a->not_whole, "open", a->open, "excluded", a->excluded,
			      "without_signalling", a->without_signalling, "gap_percent", a->gap,
			      "capture_lost", lost, "verdict", verdict(a, lost));
	ASSERT(s);
	json_object_set_new(s, "since", call_json_time(a->since_us));
	json_object_set_new(s, "until",
			    a->until_us == INT64_MAX ? json_null() : call_json_time(a->until_us));
	json_object_set_new(s, "kinds", kinds_json(a));
	json_object_set_new(s, "losses", lost_json);
	json_object_set_new(s, "capture", capture);
	requests_reply(a->q, json_pack("{s:o}", "summary", s));
}

static enum rc read_gap(const struct request *q, double *gap, struct error *err)
{
	const json_t *j = json_object_get(q->body, "gap");
	*gap = COVERAGE_GAP;
	if (!j || json_is_null(j))
		return RC_OK;
	if (!json_is_number(j) || json_number_value(j) < 0 || json_number_value(j) > 100)
		return error_set(err, RC_USAGE, "gap: a percentage is wanted, 0 to 100");
	*gap = json_number_value(j);
	return RC_OK;
}

enum rc req_coverage(const struct request *q, struct error *err)
{
	struct assurance a = { .q = q,
			       .until_us = INT64_MAX,
			       .masked = q->person.role == ROLE_OPERATOR };
	enum rc rc = requests_time(q, "since", &a.since_us, err);
	if (rc == RC_OK)
		rc = requests_time(q, "until", &a.until_us, err);
	if (rc == RC_OK)
		rc = read_gap(q, &a.gap, err);
	if (rc == RC_OK)
		rc = catalogue_walk(q->v, q, a.since_us, a.until_us, look_at, &a, err);
	if (rc == RC_OK)
		sum_up(&a);
	return rc;
}
