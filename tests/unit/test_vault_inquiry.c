/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_inquiry.c: a request for recordings goes its way and no other, and leaves nobody's name when it has ended. */
#include "vault_help.h"

#include <time.h>

#include "vault/holds.h"
#include "vault/inquiry.h"
#include "vault/matter.h"

#define PARTY     "+441632960777"
#define REQUESTER "Quirina Zyx"
#define DAY_US    INT64_C(86400000000)
#define OF_PARTY  3

static int64_t now_us;
static struct test_call calls[OF_PARTY + 2];
static char ids[OF_PARTY + 2][UUID_TEXT];

static int64_t test_clock(void *ctx)
{
	(void)ctx;
	return now_us += 11;
}

/* Call n of the party: as its caller or callee, with and without prefix. */
static void record_call(struct store_writer *w, unsigned n)
{
	struct test_call *c = &calls[n];
	test_call_begin(c, w, n);
	if (n < OF_PARTY)
		snprintf(n % 2 ? c->r.to : c->r.from, sizeof c->r.from, "%s",
			 n == 2 ? "01632960777" : PARTY);
	store_writer_call(w, n, &c->r);
	for (unsigned track = 0; track < 2; track++) {
		test_audio_chunk(w, c, track, 0, 0, 25);
		test_stream(w, c, track, 25);
	}
	test_call_end(w, c, c->r.answer_us + 500000);
	uuid_text(&c->r.id, ids[n]);
}

static int make_with(void **state, const char *passphrase)
{
	static struct test_vault t;
	setenv("TZ", "UTC", 1);
	tzset();
	test_vault_make(&t, "lab", passphrase);
	struct store_writer *w = test_recorder(&t);
	for (unsigned n = 0; n < OF_PARTY + 1; n++)
		record_call(w, n);
	test_finish(&t, w);
	test_person(&t, "mia", ROLE_MANAGER);
	test_person(&t, "max", ROLE_MANAGER);
	test_person(&t, "stan", ROLE_STAFF);
	test_person(&t, "audrey", ROLE_AUDITOR);
	test_person(&t, "oscar", ROLE_OPERATOR);
	now_us = HOUR_US + 10 * DAY_US; /* 13 March 2026 */
	vault_set_clock(t.v, test_clock, NULL);
	*state = &t;
	return 0;
}

static int make(void **state)
{
	return make_with(state, NULL);
}

static int make_attended(void **state)
{
	return make_with(state, PASSPHRASE);
}

static void open_kind(struct test_vault *t, const char *kind)
{
	if (test_ask(t,
		     "{'request':'request-open','kind':'%s','party':'" PARTY "','received':"
		     "'2026-03-10','reference':'L-17','requester':'" REQUESTER
		     "','note':'by post'}",
		     kind) != RC_OK)
		fail_msg("open: %s", t->err.text);
}

static enum rc ask_one(struct test_vault *t, const char *person, const char *what, const char *more)
{
	return test_ask_as(t, person, "{'request':'request-%s','inquiry':'R-1'%s}", what, more);
}

#define OK(t, person, what, more)                                                                  \
	do {                                                                                       \
		if (ask_one(t, person, what, more) != RC_OK)                                       \
			fail_msg("%s: %s", what, (t)->err.text);                                   \
	} while (0)

static enum rc assess(struct test_vault *t, const char *person, unsigned n, const char *how)
{
	char more[256];
	snprintf(more, sizeof more, ",'id':'%s',%s", ids[n], how);
	return ask_one(t, person, "assess", more);
}

static void assess_all(struct test_vault *t, const char *person)
{
	for (unsigned n = 0; n < OF_PARTY; n++) {
		if (assess(t, person, n, "'decision':'release'") != RC_OK)
			fail_msg("assess: %s", t->err.text);
	}
}

static enum rc give(struct test_vault *t, unsigned n, const char *more)
{
	char text[200];
	int fd = open(t->path, O_TMPFILE | O_RDWR, 0600);
	assert_true(fd >= 0);
	snprintf(text, sizeof text, ",'id':'%s','fd':%d%s", ids[n], fd, more);
	enum rc rc = ask_one(t, "alice", "fulfil", text);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(rc == RC_OK ? st.st_size > 1000 : st.st_size == 0);
	close(fd);
	return rc;
}

static const char *state_of(struct test_vault *t)
{
	assert_int_equal(ask_one(t, "alice", "show", ""), RC_OK);
	return test_text(test_reply(t, 0), "state");
}

static bool held(struct test_vault *t, unsigned n)
{
	bool held;
	assert_int_equal(holds_held(t->v, &calls[n].r.id, &held, &t->err), RC_OK);
	return held;
}

static json_int_t figure(struct test_vault *t, const char *name)
{
	return test_number(json_object_get(test_reply(t, 0), "calls"), name);
}

static void opening_finds_and_freezes_the_calls_of_the_party(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "subject-access");
	assert_string_equal(test_text(test_reply(t, 0), "inquiry"), "R-1");
	assert_string_equal(test_text(test_reply(t, 0), "due"), "2026-04-10");
	assert_int_equal(figure(t, "found"), OF_PARTY);
	for (unsigned n = 0; n < OF_PARTY; n++)
		assert_true(held(t, n));
	assert_false(held(t, OF_PARTY));
	assert_int_equal(test_audited(t, "request-open", "done"), 1);
	assert_int_equal(test_ask(t, "{'request':'show','id':'%s'}", ids[0]), RC_OK);
	const json_t *holders =
		json_object_get(json_object_get(test_reply(t, 0), "retention"), "holds");
	assert_int_equal(json_array_size(holders), 1);
	assert_string_equal(json_string_value(json_array_get(holders, 0)), "R-1");
	open_kind(t, "authority");
	assert_string_equal(test_text(test_reply(t, 0), "inquiry"), "R-2");
	/* and the calls tell what freezes them */
	assert_int_equal(test_ask(t, "{'request':'calls','party':'%s'}", PARTY), RC_OK);
	const json_t *retention = json_object_get(test_reply(t, 0), "retention");
	char *names = json_dumps(json_object_get(retention, "holds"), JSON_COMPACT);
	assert_string_equal(names, "[\"R-1\",\"R-2\"]");
	free(names);
}

static void span_of_time_narrows_what_is_found(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(
		test_ask(t,
			 "{'request':'request-open','kind':'authority','party':'960777',"
			 "'received':'2026-03-10','reference':'x','since':%lld,'until':%lld}",
			 (long long)calls[1].r.start_us, (long long)calls[1].r.start_us),
		RC_OK);
	assert_int_equal(figure(t, "found"), 1);
	assert_true(!held(t, 0) && held(t, 1) && !held(t, 2));
}

static void wrong_words_open_nothing(void **state)
{
	static const char *const wrong[] = {
		"'kind':'x','party':'1','received':'2026-03-10','reference':'a'",
		"'kind':'authority','received':'2026-03-10','reference':'a'",
		"'kind':'authority','party':' ','received':'2026-03-10','reference':'a'",
		"'kind':'authority','party':'1','received':'2026-02-30','reference':'a'",
		"'kind':'authority','party':'1','received':'2026-03-14','reference':'a'",
		"'kind':'authority','party':'1','reference':'a'",
		"'kind':'authority','party':'1','received':'2026-03-10'",
		"'kind':'authority','party':'1','received':'2026-03-10','reference':'a','since':5,"
		"'until':4",
		"'kind':'authority','party':'" PARTY "','received':'2026-03-10','reference':"
		"'about 01632 960777'",
		"'kind':'subject-access','party':'1','received':'2026-03-10','reference':"
		"'letter of quirina zyx','requester':'" REQUESTER "'",
	};
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		if (test_ask(t, "{'request':'request-open',%s}", wrong[i]) != RC_USAGE)
			fail_msg("was taken: %s", wrong[i]);
		assert_null(strchr(t->err.text, '\n'));
	}
	assert_int_equal(test_ask(t, "{'request':'request-list'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 0);
	assert_int_equal(ask_one(t, "alice", "show", ""), RC_USAGE);
}

/* GDPR, Article 12(3): one month, and two more. */
static void month_ends_on_the_same_day_or_the_last(void **state)
{
	static const struct {
		const char *received, *due, *extended;
	} days[] = {
		{ "2024-01-31", "2024-02-29", "2024-04-30" },
		{ "2025-01-31", "2025-02-28", "2025-04-30" },
		{ "2025-11-30", "2025-12-30", "2026-02-28" },
		{ "2026-01-15", "2026-02-15", "2026-04-15" },
	};
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
		assert_int_equal(test_ask(t,
					  "{'request':'request-open','kind':'authority','party':"
					  "'960777','received':'%s','reference':'x'}",
					  days[i].received),
				 RC_OK);
		assert_string_equal(test_text(test_reply(t, 0), "due"), days[i].due);
		assert_int_equal(test_ask(t,
					  "{'request':'request-extend','inquiry':'R-%zu','reason':"
					  "'many'}",
					  i + 1),
				 RC_OK);
		assert_string_equal(test_text(test_reply(t, 0), "due"), days[i].extended);
	}
	assert_int_equal(ask_one(t, "alice", "extend", ",'reason':'more'"), RC_FAILED);
	assert_int_equal(test_audited(t, "request-extend", "failed"), 1);
}

static void way_is_walked_step_by_step(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "subject-access");
	assert_string_equal(state_of(t), "opened");
	OK(t, "mia", "verify-identity", ",'how':'passport seen'");
	assert_string_equal(state_of(t), "identified");
	assess_all(t, "mia");
	assert_string_equal(state_of(t), "assessed");
	assert_int_equal(give(t, 0, ""), RC_FAILED);
	OK(t, "alice", "authorise", "");
	assert_string_equal(state_of(t), "authorised");
	for (unsigned n = 0; n < OF_PARTY; n++)
		assert_int_equal(give(t, n, ""), RC_OK);
	assert_string_equal(state_of(t), "fulfilled");
	OK(t, "alice", "close", "");
	assert_string_equal(state_of(t), "closed");
}

static void ended_request_takes_nothing_more(void **state)
{
	static const char *const deeds[] = { "verify-identity", "extend", "refresh",
					     "authorise",       "close",  "refuse" };
	static const char *const more[] = { ",'how':'x'", ",'reason':'x'",
					    "",           "",
					    "",           ",'ground':'other','reason':'x'" };
	struct test_vault *t = *state;
	open_kind(t, "subject-access");
	OK(t, "alice", "refuse", ",'ground':'withdrawn','reason':'by telephone'");
	for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
		assert_int_equal(ask_one(t, "alice", deeds[i], more[i]), RC_FAILED);
		assert_non_null(strstr(t->err.text, "R-1 was refused"));
	}
	assert_int_equal(assess(t, "alice", 0, "'decision':'release'"), RC_FAILED);
	assert_string_equal(state_of(t), "refused");
	assert_string_equal(test_text(test_reply(t, 0), "refusal"), "withdrawn");
	assert_int_equal(test_audited(t, "request-assess", "failed"), 1);
}

static void identity_and_every_assessment_come_before_authorising(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "subject-access");
	assess_all(t, "mia");
	assert_int_equal(ask_one(t, "alice", "authorise", ""), RC_FAILED);
	assert_non_null(strstr(t->err.text, "identity"));
	OK(t, "mia", "verify-identity", ",'how':'called back'");
	assert_int_equal(ask_one(t, "mia", "verify-identity", ",'how':'again'"), RC_FAILED);
	OK(t, "alice", "authorise", "");
	/* An authority shows its own papers; its calls are assessed all the same. */
	open_kind(t, "authority");
	assert_int_equal(test_ask(t, "{'request':'request-authorise','inquiry':'R-2'}"), RC_FAILED);
	assert_non_null(strstr(t->err.text, "3 of 3 recordings"));
}

static void assessor_does_not_authorise_where_two_are_wanted(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "subject-access");
	OK(t, "mia", "verify-identity", ",'how':'passport'");
	assess_all(t, "mia");
	t->v->policy.two_persons = TWO_DISCLOSURE;
	assert_int_equal(ask_one(t, "mia", "authorise", ""), RC_REFUSED);
	assert_int_equal(test_audited(t, "request-authorise", "refused"), 1);
	assert_string_equal(state_of(t), "assessed");
	OK(t, "max", "authorise", "");
	t->v->policy.two_persons = 0;
	assert_int_equal(assess(t, "max", 1, "'decision':'withhold','ground':'privilege'"), RC_OK);
	OK(t, "max", "authorise", "");
}

static void authority_is_answered_by_the_controller_alone(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "authority");
	assess_all(t, "mia");
	assert_int_equal(ask_one(t, "mia", "authorise", ""), RC_REFUSED);
	assert_int_equal(ask_one(t, "mia", "refuse", ",'ground':'other','reason':'x'"), RC_REFUSED);
	OK(t, "alice", "authorise", "");
	assert_int_equal(give(t, 0, ""), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-list'}"), RC_OK);
	size_t granted = 0;
	for (size_t i = 0; i < json_array_size(t->replies); i++) {
		const json_t *e = test_reply(t, i);
		if (strcmp(test_text(e, "action"), "export") != 0)
			continue;
		assert_string_equal(test_text(e, "purpose"), "crime-prevention");
		assert_string_equal(test_text(e, "reference"), "R-1");
		granted++;
	}
	assert_int_equal(granted, 2);
}

static void authorising_takes_the_passphrase(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "authority");
	assess_all(t, "mia");
	assert_int_equal(ask_one(t, "alice", "authorise", ""), RC_AGAIN);
	assert_int_equal(ask_one(t, "alice", "authorise", ",'passphrase':'wrong horse'"),
			 RC_REFUSED);
	assert_string_equal(state_of(t), "assessed");
	OK(t, "alice", "authorise", ",'passphrase':'" PASSPHRASE "'");
	assert_int_equal(give(t, 0, ""), RC_AGAIN);
	assert_int_equal(give(t, 0, ",'passphrase':'" PASSPHRASE "'"), RC_OK);
}

static void what_is_withheld_is_not_given(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "authority");
	assess_all(t, "alice");
	assert_int_equal(assess(t, "alice", 1, "'decision':'withhold','ground':'third-party'"),
			 RC_OK);
	OK(t, "alice", "authorise", "");
	assert_int_equal(give(t, 1, ""), RC_REFUSED);
	assert_int_equal(test_audited(t, "request-fulfil", "refused"), 1);
	assert_int_equal(give(t, OF_PARTY, ""), RC_USAGE); /* none of it */
	assert_int_equal(give(t, 0, ""), RC_OK);
	assert_int_equal(ask_one(t, "alice", "close", ""), RC_USAGE); /* one was not given */
	OK(t, "alice", "close", ",'reason':'one was enough'");
	assert_int_equal(
		test_number(json_object_get(json_object_get(test_reply(t, 0), "calls"), "grounds"),
			    "third-party"),
		1);
	assert_int_equal(figure(t, "given"), 1);
	assert_int_equal(figure(t, "withheld"), 1);
}

static void assessments_are_of_closed_lists(void **state)
{
	static const char *const wrong[] = {
		"'decision':'maybe'",
		"'ground':'privilege'",
		"'decision':'withhold'",
		"'decision':'withhold','ground':'mood'",
		"'decision':'withhold','ground':'other'",
		"'decision':'release','ground':'privilege'",
		"'decision':'release','redact':['caller:1-2']",
		"'decision':'redact'",
		"'decision':'redact','redact':[]",
		"'decision':'redact','redact':['caller']",
		"'decision':'redact','redact':['nobody:1-2']",
		"'decision':'redact','redact':['caller:2-1']",
		"'decision':'redact','redact':['caller:1-2x']",
		"'decision':'redact','redact':['caller:a-b']",
		"'decision':'redact','redact':[5]",
	};
	struct test_vault *t = *state;
	open_kind(t, "subject-access");
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		if (assess(t, "alice", 0, wrong[i]) != RC_USAGE)
			fail_msg("was taken: %s", wrong[i]);
	}
	assert_string_equal(state_of(t), "opened");
	assert_int_equal(
		assess(t, "alice", 0,
		       "'decision':'redact','redact':['caller:0.1-0.25','both:1:02-1:03']"),
		RC_OK);
	assert_string_equal(state_of(t), "opened");
	const json_t *mute = json_object_get(
		json_array_get(json_object_get(test_reply(t, 0), "recordings"), 0), "redact");
	assert_string_equal(json_string_value(json_array_get(mute, 0)), "caller:0.100-0.250");
	assert_string_equal(json_string_value(json_array_get(mute, 1)), "both:62.000-63.000");
}

static void other_assessment_wants_another_authorisation(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "authority");
	assess_all(t, "mia");
	OK(t, "alice", "authorise", "");
	OK(t, "mia", "refresh", ""); /* nothing new: it stands */
	assert_string_equal(state_of(t), "authorised");
	assert_int_equal(assess(t, "mia", 0, "'decision':'withhold','ground':'privilege'"), RC_OK);
	assert_string_equal(state_of(t), "assessed");
	assert_int_equal(give(t, 1, ""), RC_FAILED);
}

static void later_calls_are_found_when_asked_for(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "authority");
	assess_all(t, "mia");
	OK(t, "alice", "authorise", "");
	struct store_writer *w = test_recorder(t);
	struct test_call *c = &calls[OF_PARTY + 1];
	test_call_begin(c, w, 40);
	snprintf(c->r.from, sizeof c->r.from, PARTY);
	test_call_end(w, c, c->r.answer_us + 1000000);
	test_finish(t, w);
	assert_string_equal(state_of(t), "authorised");
	assert_int_equal(figure(t, "found"), OF_PARTY);
	OK(t, "mia", "refresh", "");
	assert_int_equal(figure(t, "found"), OF_PARTY + 1);
	assert_true(held(t, OF_PARTY + 1));
	assert_string_equal(state_of(t), "opened");
}

/* Everything that is written about people, in every file of the store. */
static bool store_holds(struct test_vault *t, const char *what)
{
	char command[256];
	snprintf(command, sizeof command, "grep -rqa -e '%s' %s", what, t->path);
	return system(command) == 0;
}

static void end_leaves_a_record_without_the_person(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "subject-access");
	OK(t, "mia", "verify-identity", ",'how':'saw the passport'");
	assess_all(t, "mia");
	assert_int_equal(
		assess(t, "mia", 1, "'decision':'withhold','ground':'other','note':'speaks of Bo'"),
		RC_OK);
	OK(t, "alice", "authorise", "");
	assert_int_equal(give(t, 0, ""), RC_OK);
	assert_int_equal(give(t, 2, ""), RC_OK);
	assert_int_equal(ask_one(t, "alice", "close", ",'reason':'zyx, quirina has them'"),
			 RC_USAGE);
	OK(t, "alice", "close", "");
	for (unsigned n = 0; n < OF_PARTY; n++)
		assert_false(held(t, n));
	assert_string_equal(state_of(t), "closed");
	const json_t *o = test_reply(t, 0);
	assert_true(json_is_null(json_object_get(o, "party")));
	assert_true(json_is_null(json_object_get(o, "requester")));
	assert_string_equal(test_text(o, "reference"), "L-17");
	assert_int_equal(json_array_size(json_object_get(o, "recordings")), 0);
	assert_int_equal(json_array_size(json_object_get(o, "steps")), 4);
	assert_int_equal(figure(t, "released"), 2);
	assert_int_equal(figure(t, "withheld"), 1);
	inquiry_row *r;
	assert_int_equal(inquiry_load(t->v, "R-1", &r, &t->err), RC_OK);
	uint8_t scratch[MATTER_OVERHEAD + 1];
	const struct uuid id = inquiry_id(r);
	assert_int_equal(matter_seal(t->v, r->matter, &id, "x", 1, scratch, &t->err), RC_NOT_FOUND);
	inquiry_free(r);
	assert_false(store_holds(t, "Quirina"));
	assert_false(store_holds(t, "960777"));
	assert_false(store_holds(t, "speaks of Bo"));
	assert_true(store_holds(t, "L-17"));
}

/* Killed after its key was destroyed, and before that was committed. */
static void half_ended_request_is_ended_once_more(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "authority");
	assess_all(t, "mia");
	OK(t, "alice", "authorise", "");
	inquiry_row *r;
	assert_int_equal(inquiry_load(t->v, "R-1", &r, &t->err), RC_OK);
	assert_int_equal(matter_destroy(t->v, r->matter, &t->err), RC_OK);
	inquiry_free(r);
	assert_int_equal(ask_one(t, "alice", "refresh", ""), RC_FAILED);
	assert_non_null(strstr(t->err.text, "again"));
	assert_string_equal(state_of(t), "authorised");
	OK(t, "alice", "close", ",'reason':'x'");
	assert_false(held(t, 0));
}

static void only_those_who_deal_with_it_see_who_asks(void **state)
{
	static const char *const nobody[] = { "stan", "oscar", "eve" };
	struct test_vault *t = *state;
	open_kind(t, "subject-access");
	OK(t, "mia", "show", "");
	assert_string_equal(test_text(test_reply(t, 0), "party"), PARTY);
	assert_string_equal(test_text(test_reply(t, 0), "requester"), REQUESTER);
	OK(t, "mia", "verify-identity", ",'how':'passport'");
	OK(t, "audrey", "show", "");
	char *text = json_dumps(test_reply(t, 0), 0);
	assert_null(strstr(text, "960777"));
	assert_null(strstr(text, "Quirina"));
	assert_null(strstr(text, "passport"));
	assert_null(strstr(text, "by post"));
	free(text);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ask_one(t, nobody[i], "show", ""), RC_REFUSED);
		assert_int_equal(test_ask_as(t, nobody[i], "{'request':'request-list'}"),
				 RC_REFUSED);
		assert_int_equal(ask_one(t, nobody[i], "authorise", ""), RC_REFUSED);
	}
	assert_int_equal(ask_one(t, "audrey", "authorise", ""), RC_REFUSED);
	assert_int_equal(test_audited(t, "request-authorise", "refused"), 4);
}

static const json_t *status(struct test_vault *t, const char *person)
{
	assert_int_equal(test_ask_as(t, person, "{'request':'status'}"), RC_OK);
	return json_object_get(test_reply(t, 0), "requests");
}

static void overdue_ones_are_told_until_they_are_fulfilled(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "authority");          /* due on 10 April */
	now_us = INT64_C(1775865599000000); /* the last second of that day */
	assert_int_equal(test_number(status(t, "alice"), "overdue"), 0);
	now_us += 1000000;
	assert_int_equal(test_number(status(t, "alice"), "overdue"), 1);
	assert_int_equal(json_array_size(json_object_get(status(t, "alice"), "overdue_requests")),
			 1);
	assert_null(json_object_get(status(t, "oscar"), "overdue_requests"));
	assert_int_equal(test_number(status(t, "oscar"), "overdue"), 1);
	assert_int_equal(test_ask(t, "{'request':'request-list','overdue':true}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 1);
	assess_all(t, "mia");
	OK(t, "alice", "authorise", "");
	for (unsigned n = 0; n < OF_PARTY; n++)
		assert_int_equal(give(t, n, ""), RC_OK);
	assert_int_equal(test_number(status(t, "alice"), "overdue"), 0);
	assert_int_equal(test_number(status(t, "alice"), "open"), 1);
	OK(t, "alice", "close", "");
	assert_int_equal(test_number(status(t, "alice"), "open"), 0);
	assert_int_equal(test_ask(t, "{'request':'request-list','open':true}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 0);
}

static void given_recordings_are_not_refused_afterwards(void **state)
{
	struct test_vault *t = *state;
	open_kind(t, "authority");
	assess_all(t, "mia");
	OK(t, "alice", "authorise", "");
	assert_int_equal(give(t, 0, ""), RC_OK);
	assert_int_equal(ask_one(t, "alice", "refuse", ",'ground':'other','reason':'x'"),
			 RC_FAILED);
	assert_int_equal(assess(t, "mia", 0, "'decision':'withhold','ground':'privilege'"),
			 RC_FAILED);
}

static void manager_decides_where_they_may_know_of_all(void **state)
{
	static const char *const deeds[] = { "authorise", "close", "refuse" };
	static const char *const more[] = { "", ",'reason':'x'", ",'ground':'other','reason':'x'" };
	struct test_vault *t = *state;
	struct person lena = { .name = "lena", .role = ROLE_MANAGER, .scope = "line:2000" };
	assert_int_equal(people_save(t->path, &lena, &t->err), RC_OK); /* of call 0 alone */
	open_kind(t, "subject-access");
	OK(t, "mia", "verify-identity", ",'how':'passport'");
	assert_int_equal(assess(t, "lena", 0, "'decision':'release'"), RC_OK);
	assess_all(t, "mia");
	for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
		if (i == 1)
			OK(t, "mia", "authorise", "");
		assert_int_equal(ask_one(t, "lena", deeds[i], more[i]), RC_REFUSED);
		assert_non_null(strstr(t->err.text, "R-1 keeps recordings that are not yours"));
	}
	assert_string_equal(state_of(t), "authorised");
	assert_true(held(t, 0) && held(t, 1));
	assert_int_equal(test_audited(t, "request-authorise", "refused"), 1);
	assert_int_equal(test_audited(t, "request-close", "refused"), 1);
	assert_int_equal(test_audited(t, "request-refuse", "refused"), 1);
	/* one that keeps theirs alone is theirs */
	assert_int_equal(test_ask(t,
				  "{'request':'request-open','kind':'subject-access','party':"
				  "'960777','received':'2026-03-10','reference':'x','since':%lld,"
				  "'until':%lld}",
				  (long long)calls[0].r.start_us, (long long)calls[0].r.start_us),
			 RC_OK);
	assert_int_equal(figure(t, "found"), 1);
	assert_int_equal(test_ask_as(t, "lena",
				     "{'request':'request-refuse','inquiry':'R-2','ground':"
				     "'withdrawn','reason':'x'}"),
			 RC_OK);
}

/* ---- others' turns while a recording is opened ----------------------------------------------------------------- */

/* What somebody else does before the giving goes on: by then its audio has left. */
struct meanwhile {
	struct test_vault *t;
	const char *person;
	json_t *request; /* owned; NULL: it was done */
};

static bool ignore(void *ctx, const json_t *object)
{
	(void)ctx;
	(void)object;
	return true;
}

static bool do_meanwhile(void *ctx, const json_t *object)
{
	struct meanwhile *m = ctx;
	struct error err;
	(void)object;
	if (m->request) {
		const struct vault_caller who = { .person = m->person, .uid = 1000 };
		if (vault_request(m->t->v, &who, m->request, ignore, NULL, &err) != RC_OK)
			fail_msg("meanwhile: %s", err.text);
		json_decref(m->request);
		m->request = NULL;
	}
	return true;
}

/* Give call 0 of R-1, while a person does something with R-1. */
static void give_while(struct test_vault *t, const char *person, json_t *request)
{
	static const struct vault_caller who = { .person = "alice", .uid = 1000 };
	struct meanwhile m = { t, person, request };
	int fd = open(t->path, O_TMPFILE | O_RDWR, 0600);
	assert_true(fd >= 0 && request);
	json_t *o = json_pack("{s:s, s:s, s:s, s:i}", "request", "request-fulfil", "inquiry", "R-1",
			      "id", ids[0], "fd", fd);
	if (vault_request(t->v, &who, o, do_meanwhile, &m, &t->err) != RC_OK)
		fail_msg("fulfil: %s", t->err.text);
	json_decref(o);
	close(fd);
	assert_null(m.request);
	assert_int_equal(test_audited(t, "request-fulfil", "done"), 1);
}

static void authorised_authority(struct test_vault *t)
{
	open_kind(t, "authority");
	assess_all(t, "mia");
	OK(t, "alice", "authorise", "");
}

static void giving_leaves_an_assessment_made_meanwhile(void **state)
{
	struct test_vault *t = *state;
	inquiry_row *r;
	inquiry_call *c;
	authorised_authority(t);
	give_while(t, "max",
		   json_pack("{s:s, s:s, s:s, s:s, s:s}", "request", "request-assess", "inquiry",
			     "R-1", "id", ids[0], "decision", "withhold", "ground", "privilege"));
	assert_string_equal(state_of(t), "assessed");
	assert_int_equal(give(t, 1, ""), RC_FAILED); /* it wants another authorisation */
	assert_int_equal(inquiry_load(t->v, "R-1", &r, &t->err), RC_OK);
	assert_int_equal(inquiry_call_load(t->v, r, &calls[0].r.id, &c, &t->err), RC_OK);
	assert_int_equal(c->decision, INQUIRY_WITHHOLD);
	assert_string_equal(c->ground, "privilege");
	assert_string_equal(c->person, "max");
	assert_int_equal(c->given, INQUIRY_EXPORTED); /* as it was */
	assert_string_equal(c->given_by, "alice");
	inquiry_call_free(c);
	inquiry_free(r);
}

static void giving_does_not_open_what_was_ended_meanwhile(void **state)
{
	struct test_vault *t = *state;
	inquiry_row *r;
	inquiry_call *c;
	authorised_authority(t);
	give_while(t, "alice",
		   json_pack("{s:s, s:s, s:s}", "request", "request-close", "inquiry", "R-1",
			     "reason", "enough"));
	assert_string_equal(state_of(t), "closed");
	assert_false(held(t, 0));
	assert_int_equal(inquiry_load(t->v, "R-1", &r, &t->err), RC_OK);
	assert_int_equal(r->sealed.len, 0);
	assert_int_equal(inquiry_call_load(t->v, r, &calls[0].r.id, &c, &t->err), RC_NOT_FOUND);
	inquiry_free(r);
}

static void giving_leaves_time_that_was_added_meanwhile(void **state)
{
	struct test_vault *t = *state;
	authorised_authority(t);
	give_while(t, "mia",
		   json_pack("{s:s, s:s, s:s}", "request", "request-extend", "inquiry", "R-1",
			     "reason", "many"));
	assert_string_equal(state_of(t), "authorised");
	assert_string_equal(test_text(test_reply(t, 0), "due"), "2026-06-10");
	assert_int_equal(figure(t, "given"), 1);
}

static void request_outlives_a_lost_index(void **state)
{
	struct test_vault *t = *state;
	char path[256];
	open_kind(t, "subject-access");
	assert_int_equal(assess(t, "mia", 1, "'decision':'release'"), RC_OK);
	vault_close(t->v);
	snprintf(path, sizeof path, "%s/vault/index/CURRENT", t->path);
	assert_int_equal(unlink(path), 0);
	test_vault_open(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(ask_one(t, "alice", "show", ""), RC_OK);
	assert_string_equal(test_text(test_reply(t, 0), "party"), PARTY);
	assert_int_equal(figure(t, "assessed"), 1);
	assert_true(held(t, 0));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(opening_finds_and_freezes_the_calls_of_the_party),
		TEST(span_of_time_narrows_what_is_found),
		TEST(wrong_words_open_nothing),
		TEST(month_ends_on_the_same_day_or_the_last),
		TEST(way_is_walked_step_by_step),
		TEST(ended_request_takes_nothing_more),
		TEST(identity_and_every_assessment_come_before_authorising),
		TEST(assessor_does_not_authorise_where_two_are_wanted),
		TEST(authority_is_answered_by_the_controller_alone),
		cmocka_unit_test_setup_teardown(authorising_takes_the_passphrase, make_attended,
						test_vault_drop),
		TEST(what_is_withheld_is_not_given),
		TEST(assessments_are_of_closed_lists),
		TEST(other_assessment_wants_another_authorisation),
		TEST(later_calls_are_found_when_asked_for),
		TEST(end_leaves_a_record_without_the_person),
		TEST(half_ended_request_is_ended_once_more),
		TEST(only_those_who_deal_with_it_see_who_asks),
		TEST(overdue_ones_are_told_until_they_are_fulfilled),
		TEST(given_recordings_are_not_refused_afterwards),
		TEST(manager_decides_where_they_may_know_of_all),
		TEST(giving_leaves_an_assessment_made_meanwhile),
		TEST(giving_does_not_open_what_was_ended_meanwhile),
		TEST(giving_leaves_time_that_was_added_meanwhile),
		TEST(request_outlives_a_lost_index),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
