/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_sample.c: drawing samples of calls, and telling which were drawn.  See reviews.h and draw.h.
 *
 *   words right? -> role -> does the policy allow the purpose? -> every call that fits, and that the person may know of,
 *     into the draw -> one commit: an entry for the sample and one for each call drawn, the row
 *
 * What fits: answered and ended, with audio; begun in the time, of the group, as long as asked for.  A sample is of each of
 * our own lines where --per-person asks for it: the side of a call that is ours by its direction, or by the policy's own
 * numbers.  Only where numbers matter (a group, own lines, what the person may know of) are calls opened for it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vault/access.h"
#include "vault/draw.h"
#include "vault/reviews.h"

#define SEED_MOST ((INT64_C(1) << 53) - 1) /* what every reader of JSON can hold */

/* What a sample may be drawn for, where the policy allows it. */
static const char *const purposes[] = { "quality-sample", "training", "process-improvement",
					"legal-compliance" };
#define SAMPLE_PURPOSES (sizeof purposes / sizeof purposes[0])

/* ---- words ------------------------------------------------------------------------------------------------- */

static enum rc read_purpose(const struct request *q, struct sample *s, struct error *err)
{
	char choices[128];
	const char *text = requests_text(q, "purpose");
	size_t i = 0;
	while (text && i < SAMPLE_PURPOSES && strcmp(purposes[i], text) != 0)
		i++;
	if (i == SAMPLE_PURPOSES)
		return error_set(
			err, RC_USAGE, "a sample has another purpose; the choices are: %s",
			requests_choices(purposes, SAMPLE_PURPOSES, choices, sizeof choices));
	snprintf(s->purpose, sizeof s->purpose, "%s", purposes[i]);
	return RC_OK;
}

static enum rc read_group(const struct request *q, struct sample *s, struct error *err)
{
	const struct policy *p = &q->v->policy;
	const char *names[POLICY_GROUPS], *text = requests_text(q, "group");
	char choices[256];
	if (!text)
		return RC_OK;
	for (uint32_t i = 0; i < p->groups_count; i++) {
		names[i] = p->groups[i].name;
		if (strcmp(names[i], text) == 0) {
			snprintf(s->group, sizeof s->group, "%s", text);
			return RC_OK;
		}
	}
	if (!p->groups_count)
		return error_set(err, RC_USAGE, "group: the policy in force names no groups");
	return error_set(err, RC_USAGE, "no such group; the choices are: %s",
			 requests_choices(names, p->groups_count, choices, sizeof choices));
}

static enum rc read_numbers(const struct request *q, struct sample *s, struct error *err)
{
	size_t count = 0, least = 0, seed = SIZE_MAX;
	enum rc rc = requests_count(q, "count", &count, err);
	if (rc == RC_OK)
		rc = requests_count(q, "min_duration", &least, err);
	if (rc == RC_OK)
		rc = requests_count(q, "seed", &seed, err);
	if (rc != RC_OK)
		return rc;
	if (count < 1 || count > DRAW_MOST)
		return error_set(err, RC_USAGE, "count: how many? 1 to %d are wanted", DRAW_MOST);
	if (seed == SIZE_MAX)
		random_bytes(&seed, sizeof seed);
	else if (seed > (size_t)SEED_MOST)
		return error_set(err, RC_USAGE, "seed: at most %" PRId64, SEED_MOST);
	s->count = count;
	s->min_duration_s = least;
	s->seed = seed & (uint64_t)SEED_MOST;
	return RC_OK;
}

static enum rc read_sample(const struct request *q, struct sample *s, struct error *err)
{
	*s = (struct sample){ .per_person = json_is_true(json_object_get(q->body, "per_person")) };
	snprintf(s->by, sizeof s->by, "%s", q->person.name);
	enum rc rc = read_numbers(q, s, err);
	if (rc == RC_OK)
		rc = requests_time(q, "since", &s->since_us, err);
	if (rc == RC_OK)
		rc = requests_time(q, "until", &s->until_us, err);
	if (rc == RC_OK && s->until_us && s->until_us < s->since_us)
		rc = error_set(err, RC_USAGE, "until lies before since");
	if (rc == RC_OK)
		rc = read_group(q, s, err);
	return rc == RC_OK ? read_purpose(q, s, err) : rc;
}

enum rc req_sample_check(const struct request *q, struct error *err)
{
	struct sample s;
	return read_sample(q, &s, err);
}

/* The purpose must be allowed, to whoever states it. */
static enum rc check_purpose(const struct request *q, const struct sample *s, struct error *err)
{
	const struct policy *p = &q->v->policy;
	const char *allowed[SAMPLE_PURPOSES];
	char choices[128];
	size_t n = 0;
	for (size_t i = 0; i < SAMPLE_PURPOSES; i++) {
		int purpose = policy_purpose(purposes[i]);
		bool may = p->purposes & 1u << purpose &&
			   p->purpose_roles[purpose] & (unsigned)q->person.role;
		if (may && strcmp(purposes[i], s->purpose) == 0)
			return RC_OK;
		if (may)
			allowed[n++] = purposes[i];
	}
	return error_set(err, RC_REFUSED, "the policy in force (%s) does not allow %s%s%s", p->name,
			 s->purpose, n ? "; for a sample it allows: " : "",
			 requests_choices(allowed, n, choices, sizeof choices));
}

/* ---- which calls ---------------------------------------------------------------------------------------------- */

struct drawing {
	const struct request *q;
	struct sample *s;
	const struct policy_group *group; /* NULL: all */
	struct draw *draw;                /* NULL: only to be told which could be drawn */
};

static bool matches_any(const char (*patterns)[POLICY_PATTERN], uint32_t count, const char *party)
{
	char number[POLICY_NUMBER];
	(void)policy_number(party, number);
	for (uint32_t i = 0; i < count; i++) {
		if (*number && policy_number_matches(patterns[i], number))
			return true;
	}
	return false;
}

static bool of_group(const struct drawing *d, const struct call *c)
{
	const struct policy *p = &d->q->v->policy;
	if (!d->group)
		return true;
	return matches_any(&p->members[d->group->first], d->group->count, c->r.from) ||
	       matches_any(&p->members[d->group->first], d->group->count, c->r.to);
}

static bool fits(const struct drawing *d, struct call *c)
{
	const struct call_record *r = &c->r;
	if (r->state != CALL_ENDED || r->outcome != OUTCOME_ANSWERED || !c->chunks ||
	    !r->answer_us || r->end_us < r->answer_us ||
	    (uint64_t)(r->end_us - r->answer_us) / 1000000 < d->s->min_duration_s)
		return false;
	/* To open it costs more than all the rest, so it is opened only where numbers are asked for. */
	if (d->group || d->s->per_person) {
		catalogue_open(d->q->v, c);
		if (!c->opened || !of_group(d, c))
			return false;
	}
	return access_sees(d->q, c);
}

/* The sides of a call that are ours. */
static unsigned own_sides(const struct policy *p, const struct call *c, const char *sides[2])
{
	unsigned n = 0;
	enum call_direction way = c->r.direction;
	bool from = way == DIRECTION_OUTBOUND || way == DIRECTION_INTERNAL;
	bool to = way == DIRECTION_INBOUND || way == DIRECTION_INTERNAL;
	if (way == DIRECTION_UNKNOWN) {
		from = matches_any(p->numbers, p->numbers_count, c->r.from);
		to = matches_any(p->numbers, p->numbers_count, c->r.to);
	}
	if (from && *c->r.from)
		sides[n++] = c->r.from;
	if (to && *c->r.to)
		sides[n++] = c->r.to;
	return n;
}

/* For each own line that had part in it.  False: in none. */
static enum rc offer_lines(struct drawing *d, const struct call *c, bool *offered,
			   struct error *err)
{
	const char *sides[2];
	char plain[PARTY_TEXT];
	uint8_t key[PARTY_KEY];
	unsigned n = own_sides(&d->q->v->policy, c, sides);
	*offered = n > 0;
	for (unsigned i = 0; i < n && d->draw; i++) {
		(void)party_plain(sides[i], plain);
		party_key(d->q->v, plain, strlen(plain), key);
		if (!draw_offer(d->draw, &c->r.id, key))
			return error_set(err, RC_FAILED, "these are calls of more than %d lines",
					 DRAW_LINES);
	}
	forget_bytes(plain, sizeof plain);
	return RC_OK;
}

static enum rc offer(struct drawing *d, const struct call *c, struct error *err)
{
	char text[UUID_TEXT];
	bool offered = true;
	enum rc rc = RC_OK;
	if (d->s->per_person)
		rc = offer_lines(d, c, &offered, err);
	else if (d->draw)
		(void)draw_offer(d->draw, &c->r.id, NULL);
	d->s->eligible += offered;
	if (offered && !d->draw &&
	    !requests_reply(d->q, json_pack("{s:s}", "id", uuid_text(&c->r.id, text))))
		return RC_END; /* nobody wants to know more */
	return rc;
}

static enum rc consider(void *ctx, struct call *c, struct error *err)
{
	struct drawing *d = ctx;
	return fits(d, c) ? offer(d, c, err) : RC_OK;
}

/* All calls of the time, in order. */
static enum rc walk(struct drawing *d, struct error *err)
{
	const struct sample *s = d->s;
	return catalogue_walk(d->q->v, NULL, s->since_us, s->until_us ? s->until_us : INT64_MAX,
			      consider, d, err);
}

/* ---- the draw --------------------------------------------------------------------------------------------------- */

static void note(const struct request *q, struct index_batch *b, const struct sample *s,
		 const char *action, const struct uuid *call, const char *detail)
{
	audit_note(q->v, b,
		   &(struct audit_entry){ .person = q->person.name,
					  .role = people_role_name(q->person.role),
					  .action = action,
					  .call = call,
					  .purpose = s->purpose,
					  .outcome = "done",
					  .detail = detail });
}

static enum rc record(const struct request *q, struct sample *s, struct error *err)
{
	char detail[256], name[REVIEW_NAME];
	struct index_batch *b = index_batch_new(q->v->index);
	enum rc rc = reviews_number(q->v, b, 'S', &s->number, err);
	if (rc != RC_OK) {
		audit_drop(q->v, b);
		return rc;
	}
	s->drawn_us = vault_now_us(q->v);
	snprintf(name, sizeof name, "S-%" PRIu64, s->number);
	snprintf(detail, sizeof detail,
		 "%s: %zu of %" PRIu64 " calls drawn%s, seed %" PRIu64 "%s%s", name, s->calls_count,
		 s->eligible, s->per_person ? " by own lines" : "", s->seed,
		 *s->group ? ", group " : "", s->group);
	note(q, b, s, "sample", NULL, detail);
	for (size_t i = 0; i < s->calls_count; i++)
		note(q, b, s, "sampled", &s->calls[i], name);
	samples_put(q->v, b, s);
	return audit_commit(q->v, b, err);
}

static enum rc draw(struct drawing *d, struct error *err)
{
	struct sample *s = d->s;
	d->draw = draw_new(s->seed, s->count);
	enum rc rc = walk(d, err);
	if (rc == RC_OK && !s->eligible)
		rc = error_set(err, RC_FAILED, "no call can be drawn: none fits");
	if (rc == RC_OK) {
		s->lines = draw_lines(d->draw);
		s->calls = draw_result(d->draw, &s->calls_count);
	}
	if (rc == RC_OK && s->calls_count > DRAW_LINES)
		rc = error_set(err, RC_FAILED,
			       "these would be more than %d calls: draw fewer of "
			       "each line",
			       DRAW_LINES);
	draw_free(d->draw);
	if (rc == RC_OK)
		rc = record(d->q, s, err);
	return rc == RC_OK ? req_sample_reply(d->q, s, err) : rc;
}

enum rc req_sample(const struct request *q, struct error *err)
{
	struct sample s;
	enum rc rc = read_sample(q, &s, err);
	if (rc == RC_OK)
		rc = check_purpose(q, &s, err);
	if (rc != RC_OK)
		return rc;
	struct drawing d = { .q = q, .s = &s, .group = policy_group_find(&q->v->policy, s.group) };
	rc = json_is_true(json_object_get(q->body, "eligible")) ? walk(&d, err) : draw(&d, err);
	samples_free(&s);
	return rc;
}
