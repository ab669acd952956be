/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* call_filter.c: see call_filter.h. */
#include "vault/call_filter.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "audio/audio.h"
#include "vault/access.h"
#include "vault/holds.h"

#define LIMIT_USUAL 50

/* ---- places ---------------------------------------------------------------------------------------------------- */

void call_place_text(const struct call_place *p, char text[CALL_PLACE_TEXT])
{
	uint8_t bytes[24];
	catalogue_be64(bytes, p->start_us);
	memcpy(bytes + 8, p->id.b, 16);
	keys_hex(text, bytes, sizeof bytes);
}

static enum rc read_before(const struct request *q, struct call_filter *f, struct error *err)
{
	uint8_t bytes[24];
	const char *text = requests_text(q, "before");
	if (!text)
		return RC_OK;
	if (!keys_unhex(bytes, sizeof bytes, text) || bytes[0] & 0x80)
		return error_set(err, RC_USAGE, "before: not a place that a page has told");
	for (int i = 0; i < 8; i++)
		f->before.start_us = f->before.start_us << 8 | bytes[i];
	memcpy(f->before.id.b, bytes + 8, 16);
	f->has_before = true;
	return RC_OK;
}

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

static const char *direction_name(unsigned n)
{
	return call_direction_name((enum call_direction)n);
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

static enum rc read_decimal(const struct request *q, const char *member, double *out,
			    struct error *err)
{
	const json_t *j = json_object_get(q->body, member);
	*out = NAN;
	if (!j || json_is_null(j))
		return RC_OK;
	*out = json_number_value(j);
	if (!json_is_number(j) || !(*out >= 0))
		return error_set(err, RC_USAGE, "%s: a number is wanted, 0 or more", member);
	return RC_OK;
}

/* A conversation by its id, or by that of any of its calls: of a call that has moved to another conversation since, that
 * one is meant. */
static enum rc read_conversation(const struct request *q, struct call_filter *f, struct error *err)
{
	const char *text = requests_text(q, "conversation");
	struct call *c = NULL;
	if (!text)
		return RC_OK;
	f->by_conversation = true;
	if (!uuid_parse(&f->conversation, text)) {
		enum rc rc = access_call(q, text, &c, err);
		if (rc == RC_OK)
			f->conversation = c->r.conversation;
		call_row_free(c);
		return rc;
	}
	enum rc rc = catalogue_get(q->v, &f->conversation, &c, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	if (access_sees(q, c))
		f->conversation = c->r.conversation;
	call_row_free(c);
	return RC_OK;
}

/* A pattern has no key in the index: every call of the time is opened. */
static enum rc read_party(const struct request *q, struct call_filter *f, struct error *err)
{
	f->party = requests_text(q, "party");
	if (!f->party)
		return RC_OK;
	if (!*f->party)
		return error_set(err, RC_USAGE, "party: a number or user part is wanted");
	if (q->person.role == ROLE_OPERATOR)
		return error_set(err, RC_REFUSED, "an operator may not search for a party");
	f->pattern = strpbrk(f->party, "*?") != NULL;
	if (!f->pattern)
		return RC_OK;
	if (!policy_pattern(f->party, f->party_like))
		return error_set(err, RC_USAGE,
				 "party: the pattern is too long, or nothing is left of it");
	if (!f->since_us && !f->by_conversation)
		return error_set(
			err, RC_USAGE,
			"party: for a pattern every call of a time is looked at: give since");
	return RC_OK;
}

static enum rc read_numbers(const struct request *q, struct call_filter *f, struct error *err)
{
	enum rc rc = read_decimal(q, "min_duration", &f->min_s, err);
	if (rc == RC_OK)
		rc = read_decimal(q, "max_duration", &f->max_s, err);
	if (rc == RC_OK)
		rc = read_decimal(q, "min_mos", &f->min_mos, err);
	if (rc == RC_OK)
		rc = read_decimal(q, "max_mos", &f->max_mos, err);
	if (rc == RC_OK)
		rc = requests_count(q, "limit", &f->limit, err);
	return rc;
}

static enum rc read_choices(const struct request *q, struct call_filter *f, struct error *err)
{
	enum rc rc = read_choice(q, "state", state_name, CALL_TRYING, CALL_ENDED, &f->state, err);
	if (rc == RC_OK)
		rc = read_choice(q, "outcome", outcome_name, OUTCOME_ANSWERED, OUTCOME_UNANSWERED,
				 &f->outcome, err);
	if (rc == RC_OK)
		rc = read_choice(q, "direction", direction_name, DIRECTION_UNKNOWN,
				 DIRECTION_INTERNAL, &f->direction, err);
	return rc;
}

struct call_filter call_filter_conversation(const struct uuid *conversation)
{
	return (struct call_filter){ .until_us = INT64_MAX,
				     .state = -1,
				     .outcome = -1,
				     .direction = -1,
				     .min_s = NAN,
				     .max_s = NAN,
				     .min_mos = NAN,
				     .max_mos = NAN,
				     .conversation = *conversation,
				     .by_conversation = true };
}

enum rc call_filter_read(const struct request *q, struct call_filter *f, struct error *err)
{
	*f = (struct call_filter){ .until_us = INT64_MAX,
				   .limit = LIMIT_USUAL,
				   .codec = requests_text(q, "codec"),
				   .class = requests_text(q, "class"),
				   .held = json_is_true(json_object_get(q->body, "held")),
				   .page = json_is_true(json_object_get(q->body, "page")) };
	enum rc rc = requests_time(q, "since", &f->since_us, err);
	if (rc == RC_OK)
		rc = requests_time(q, "until", &f->until_us, err);
	if (rc == RC_OK)
		rc = read_choices(q, f, err);
	if (rc == RC_OK)
		rc = read_numbers(q, f, err);
	if (rc == RC_OK)
		rc = read_before(q, f, err);
	if (rc == RC_OK)
		rc = read_conversation(q, f, err);
	return rc == RC_OK ? read_party(q, f, err) : rc;
}

/* ---- whether a call fits --------------------------------------------------------------------------------------- */

/* A bound that is not asked for holds. */
static bool within(double x, double least, double most)
{
	return !(x < least) && !(x > most);
}

static bool fits_duration(const struct call_filter *f, const struct call *c)
{
	const struct call_record *r = &c->r;
	if (isnan(f->min_s) && isnan(f->max_s))
		return true;
	return r->answer_us && r->end_us &&
	       within((double)(r->end_us - r->answer_us) / 1e6, f->min_s, f->max_s);
}

static bool fits_mos(const struct call_filter *f, const struct call *c)
{
	double worst = NAN;
	if (isnan(f->min_mos) && isnan(f->max_mos))
		return true;
	for (size_t i = 0; i < c->streams_count; i++) {
		double mos = c->streams[i].packets ? audio_mos(&c->streams[i]) : (double)NAN;
		if (!isnan(mos) && !(mos >= worst))
			worst = mos;
	}
	return !isnan(worst) && within(worst, f->min_mos, f->max_mos);
}

static bool fits_codec(const struct call_filter *f, const struct call *c)
{
	bool fits = !f->codec;
	for (size_t i = 0; i < c->streams_count && !fits; i++)
		fits = strcasecmp(c->streams[i].codec, f->codec) == 0;
	return fits;
}

static bool fits_held(const struct call_filter *f, struct vault *v, const struct call *c)
{
	struct error ignored; /* an index that cannot be read is told at the end */
	bool held = false;
	return !f->held || (holds_held(v, &c->r.id, &held, &ignored) == RC_OK && held);
}

static bool is_like(const char *pattern, const char *party)
{
	char number[POLICY_NUMBER];
	(void)policy_number(party, number);
	return *party && policy_number_matches(pattern, number);
}

static bool fits_party(const struct call_filter *f, struct vault *v, struct call *c)
{
	if (!f->party)
		return true;
	catalogue_open(v, c);
	if (!c->opened)
		return false;
	if (f->pattern)
		return is_like(f->party_like, c->r.from) || is_like(f->party_like, c->r.to);
	return party_matches(f->party, c->r.from) || party_matches(f->party, c->r.to);
}

bool call_filter_fits(const struct call_filter *f, struct vault *v, struct call *c)
{
	if (f->state >= 0 && c->r.state != (enum call_state)f->state)
		return false;
	if (f->outcome >= 0 && c->r.outcome != (enum call_outcome)f->outcome)
		return false;
	if (f->direction >= 0 && c->r.direction != (enum call_direction)f->direction)
		return false;
	if (f->class && strcmp(f->class, c->class) != 0)
		return false;
	if (f->by_conversation && !uuid_equal(&c->r.conversation, &f->conversation))
		return false;
	return fits_duration(f, c) && fits_codec(f, c) && fits_mos(f, c) && fits_held(f, v, c) &&
	       fits_party(f, v, c);
}
