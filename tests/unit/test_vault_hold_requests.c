/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_hold_requests.c: people make holds and release them; what is held, what the trail tells, and what remains. */
#include "vault_help.h"

#include "vault/hold.h"
#include "vault/holds.h"

#define CALLS  6
#define DAY_US INT64_C(86400000000)

static struct test_call calls[CALLS + 4];
static int64_t now_us;

static int64_t test_clock(void *ctx)
{
	(void)ctx;
	return now_us += 1000;
}

static void make_with(void **state, const char *passphrase)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", passphrase);
	test_record(&t, CALLS, calls);
	test_person(&t, "mia", ROLE_MANAGER);
	test_person(&t, "stan", ROLE_STAFF);
	test_person(&t, "audrey", ROLE_AUDITOR);
	test_person(&t, "oscar", ROLE_OPERATOR);
	now_us = HOUR_US + 2 * DAY_US;
	vault_set_clock(t.v, test_clock, NULL);
	*state = &t;
}

static int make(void **state)
{
	make_with(state, NULL);
	return 0;
}

#define id_of(n) test_id(&calls[n])

#define ADD "{'request':'hold-add','reason':'a complaint','reference':'C-17',"

static bool held(struct test_vault *t, unsigned n)
{
	bool is;
	assert_int_equal(holds_held(t->v, &calls[n].r.id, &is, &t->err), RC_OK);
	return is;
}

/* Names of what holds a call, as `show` tells them: "H-1,H-2". */
static const char *holders(struct test_vault *t, unsigned n)
{
	static char text[128];
	size_t i;
	json_t *name;
	test_must(t, "{'request':'show','id':'%s'}", id_of(n));
	const json_t *retention = json_object_get(test_reply(t, 0), "retention");
	text[0] = '\0';
	json_array_foreach(json_object_get(retention, "holds"), i, name)
	{
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? "," : "",
			 json_string_value(name));
	}
	return text;
}

/* Another call, recorded now, from this number. */
static void record_more(struct test_vault *t, unsigned n, const char *from,
			const struct uuid *conversation)
{
	struct store_writer *w = test_recorder(t);
	struct test_call *c = &calls[n];
	test_call_begin(c, w, n);
	snprintf(c->r.from, sizeof c->r.from, "%s", from);
	if (conversation)
		c->r.conversation = *conversation;
	test_call_end(w, c, c->r.answer_us + 1000000);
	test_finish(t, w);
	assert_int_equal(ingest_run(t->v, NULL, &t->err), RC_OK);
}

/* ---- making --------------------------------------------------------------------------------------------- */

static void given_calls_are_held_and_shown(void **state)
{
	struct test_vault *t = *state;
	test_must(t, ADD "'ids':['%s','%s']}", id_of(0), id_of(2));
	const json_t *o = test_reply(t, 0);
	assert_string_equal(test_text(o, "hold"), "H-1");
	assert_string_equal(test_text(o, "state"), "active");
	assert_string_equal(test_text(o, "kind"), "calls");
	assert_int_equal(test_number(o, "calls"), 2);
	assert_true(held(t, 0) && !held(t, 1) && held(t, 2));
	test_must_as(t, "mia", ADD "'ids':['%.23s','%.23s','%.23s']}", id_of(2), id_of(2),
		     id_of(3));
	assert_string_equal(test_text(test_reply(t, 0), "hold"), "H-2");
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 2);
	assert_string_equal(holders(t, 2), "H-1,H-2");
	assert_string_equal(holders(t, 1), "");
	test_must(t, "{'request':'calls'}");
	const json_t *retention = json_object_get(test_reply(t, 0), "retention");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(retention, "holds"), 0)), "H-1");
	test_must(t, "{'request':'hold-show','hold':'h-2'}");
	assert_int_equal(json_array_size(json_object_get(test_reply(t, 0), "held_calls")), 2);
	assert_string_equal(test_text(test_reply(t, 0), "by"), "mia");
	test_must(t, "{'request':'status'}");
	assert_int_equal(test_number(json_object_get(test_reply(t, 0), "holds"), "active"), 2);
}

static void trail_tells_of_the_hold_and_of_each_call_in_one_commit(void **state)
{
	struct test_vault *t = *state;
	test_must(t, ADD "'ids':['%s','%s']}", id_of(0), id_of(2));
	assert_int_equal(test_audited(t, "hold-add", "done"), 1);
	assert_int_equal(test_audited(t, "held", "done"), 2);
	size_t n = json_array_size(t->replies);
	const json_t *add = test_reply(t, n - 3), *tie = test_reply(t, n - 1);
	assert_string_equal(test_text(add, "action"), "hold-add");
	assert_string_equal(test_text(add, "person"), "alice");
	assert_string_equal(test_text(add, "reference"), "C-17");
	assert_non_null(strstr(test_text(add, "detail"), "H-1: calls, 2 calls, a complaint"));
	assert_string_equal(test_text(tie, "detail"), "H-1");
	assert_string_equal(test_text(tie, "call"), id_of(2));
}

static void entry_that_cannot_be_written_makes_no_hold(void **state)
{
	struct test_vault *t = *state;
	char path[256], aside[260];
	test_must(t, ADD "'ids':['%s']}", id_of(0));
	snprintf(path, sizeof path, "%s/vault/ledger", t->path);
	snprintf(aside, sizeof aside, "%s.x", path);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(test_ask(t, ADD "'ids':['%s']}", id_of(1)), RC_FAILED);
	assert_int_equal(test_ask(t, "{'request':'hold-release','hold':'H-1'}"), RC_FAILED);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(aside, path), 0);
	assert_true(held(t, 0) && !held(t, 1));
	test_must(t, "{'request':'hold-list','all':true}");
	assert_int_equal(json_array_size(t->replies), 1);
	assert_string_equal(test_text(test_reply(t, 0), "state"), "active");
	test_must(t, "{'request':'audit-verify'}");
}

static void calls_of_a_party_are_held_within_their_time(void **state)
{
	struct test_vault *t = *state;
	record_more(t, 6, "01632960003", NULL);
	test_must(t, ADD "'party':'+44 1632 960003'}");
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 2);
	assert_string_equal(test_text(test_reply(t, 0), "party"), "+44 1632 960003");
	assert_true(held(t, 3) && held(t, 6) && !held(t, 2));
	test_must(t, ADD "'party':'01632960003','since':'2026-03-03T10:00:05Z'}");
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 1);
	assert_string_equal(holders(t, 6), "H-1,H-2");
	test_must(t, ADD "'party':'01632960003','until':'2026-03-03T10:00:05Z'}");
	assert_string_equal(holders(t, 3), "H-1,H-3");
	test_must(t,
		  ADD "'party':'2960003'}"); /* seven digits: a tail that has no key of its own */
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 2);
	test_must(t, ADD "'party':'2004'}");
	assert_string_equal(holders(t, 4), "H-5");
	/* It is not standing: nothing is caught. */
	record_more(t, 7, "+441632960003", NULL);
	assert_false(held(t, 7));
}

static void standing_hold_catches_what_is_recorded_later(void **state)
{
	struct test_vault *t = *state;
	test_must(t, ADD "'party':'01632960077','standing':true,'until':'2026-03-09'}");
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 0);
	record_more(t, 6, "+441632960077", NULL);
	record_more(t, 7, "+441632961077", NULL); /* the same last four digits, and no more */
	assert_true(held(t, 6) && !held(t, 7));
	assert_string_equal(holders(t, 6), "H-1");
	assert_int_equal(test_audited(t, "held", "done"), 1);
	/* A row that is made anew is caught no second time. */
	test_must(t, "{'request':'reindex'}");
	assert_true(held(t, 6) && !held(t, 7));
	assert_int_equal(test_audited(t, "held", "done"), 1);
	/* Released, it catches nothing more, also not at a reindex. */
	test_must(t, "{'request':'hold-release','hold':'H-1'}");
	test_must(t, "{'request':'reindex'}");
	assert_false(held(t, 6));
	record_more(t, 8, "+441632960077", NULL);
	assert_false(held(t, 8));
}

static void standing_hold_is_bounded_by_when_a_call_began(void **state)
{
	struct test_vault *t = *state;
	now_us = HOUR_US;
	test_must(t, ADD "'party':'01632960077','standing':true,'since':'2026-03-03T10:00:07Z',"
			 "'until':'2026-03-03T10:00:08Z'}");
	for (unsigned n = 6; n < 10; n++)
		record_more(t, n, "+441632960077", NULL);
	assert_true(!held(t, 6) && held(t, 7) && held(t, 8) && !held(t, 9));
}

static void open_call_is_caught_before_it_has_ended(void **state)
{
	struct test_vault *t = *state;
	test_must(t, ADD "'party':'+441632960006','standing':true}");
	struct store_writer *w = test_recorder(t);
	test_call_begin(&calls[6], w, 6);
	store_writer_tick(w, NS_PER_S, HOUR_NS);
	store_writer_tick(w, 3 * NS_PER_S, HOUR_NS);
	assert_int_equal(ingest_run(t->v, NULL, &t->err), RC_OK);
	assert_true(held(t, 6));
	test_call_end(w, &calls[6], calls[6].r.answer_us + 500000);
	test_finish(t, w);
	assert_string_equal(holders(t, 6), "H-1");
	assert_int_equal(test_audited(t, "held", "done"), 1);
}

static void conversation_is_held_with_what_joins_it(void **state)
{
	struct test_vault *t = *state;
	test_must(t, ADD "'conversation':'%.18s'}", id_of(2));
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 1);
	record_more(t, 6, "+441632960077", &calls[2].r.id);
	record_more(t, 7, "+441632960077", &calls[3].r.id);
	assert_true(held(t, 2) && held(t, 6) && !held(t, 7) && !held(t, 3));
}

/* A call moves on to another conversation while it goes on: the hold goes with it, and takes who is there already. */
static void hold_follows_a_conversation_that_becomes_part_of_another(void **state)
{
	struct test_vault *t = *state;
	struct store_writer *w = test_recorder(t);
	test_call_begin(&calls[6], w, 6);
	store_writer_tick(w, NS_PER_S, HOUR_NS);
	store_writer_tick(w, 3 * NS_PER_S, HOUR_NS);
	test_must(t, ADD "'conversation':'%s'}", id_of(6));
	assert_true(held(t, 6) && !held(t, 3));
	calls[6].r.conversation = calls[3].r.id;
	test_call_end(w, &calls[6], calls[6].r.answer_us + 500000);
	test_finish(t, w);
	assert_int_equal(ingest_run(t->v, NULL, &t->err), RC_OK);
	assert_true(held(t, 6) && held(t, 3) && !held(t, 2));
	record_more(t, 7, "+441632960077", &calls[3].r.id);
	assert_true(held(t, 7));
}

static void wrong_words_change_nothing(void **state)
{
	static const struct {
		const char *request, *says;
	} asked[] = {
		{ ADD "'ids':[]}", "at least one" },
		{ ADD "'ids':['ffffffff-0000']}", "ffffffff-0000: no such recording" },
		{ ADD "'ids':[7]}", "array of ids" },
		{ ADD "'ids':'x'}", "array" },
		{ "{'request':'hold-add','reason':'r','reference':'C-1'}", "what is to be held" },
		{ ADD "'party':'2001','ids':['ffffffff']}", "what is to be held" },
		{ ADD "'party':''}", "party" },
		{ ADD "'party':'+441632960099'}", "no recording of this party: --standing" },
		{ ADD "'party':'2001','since':'2026-04-01'}", "in that time" },
		{ ADD "'party':'2001','since':'soon'}", "since" },
		{ ADD "'party':'2001','since':'2026-02-02','until':'2026-02-01'}", "before since" },
		{ ADD "'party':'2001','standing':true,'until':'2026-03-04'}", "in the past" },
		{ ADD "'ids':['ffffffff'],'standing':true}", "of a party" },
		{ ADD "'conversation':'ffffffff-0000-0000-0000-000000000000'}", "no such conv" },
		{ "{'request':'hold-add','ids':['x'],'reference':'C-1'}", "reason must be" },
		{ "{'request':'hold-add','ids':['x'],'reason':'r'}", "reference must be" },
		{ "{'request':'hold-add','ids':['x'],'reason':' ','reference':'r'}", "reason" },
		{ "{'request':'hold-add','ids':['x'],'reason':'a\\nb','reference':'r'}", "line" },
		{ "{'request':'hold-show','hold':'H-1'}", "there is no hold H-1" },
		{ "{'request':'hold-show','hold':'7'}", "H-12" },
		{ "{'request':'hold-release','hold':'H-0'}", "H-12" },
		{ "{'request':'hold-release','hold':'H-99999999999999999999'}", "H-12" },
		{ "{'request':'hold-release'}", "which hold" },
	};
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		enum rc rc = test_ask(t, "%s", asked[i].request);
		if (rc != RC_USAGE || !strstr(t->err.text, asked[i].says))
			fail_msg("%s: %d %s", asked[i].request, (int)rc, t->err.text);
	}
	test_must(t, "{'request':'hold-list','all':true}");
	assert_int_equal(json_array_size(t->replies), 0);
	assert_int_equal(test_audited(t, "hold-add", NULL), 0);
	test_must(t, ADD "'ids':['%s']}", id_of(0));
	assert_string_equal(test_text(test_reply(t, 0), "hold"), "H-1");
}

static void texts_may_not_name_the_party(void **state)
{
	static const struct {
		const char *party, *reason;
		bool refused;
	} asked[] = {
		{ "+441632960003", "Mr X at 01632 960-003 complains", true },
		{ "+441632960003", "call of 01632960003", true },
		{ "+441632960003", "case 1632960003", true },
		{ "+441632960003", "case 163296 of 0003", false },
		{ "2003", "extension 2003", true },
		{ "2003", "case 12003", false },
		{ "2003", "C-2003a", true },
		{ "Reception", "the reception desk", true },
		{ "2003", "the desk", false },
	};
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		for (int member = 0; member < 2; member++) {
			enum rc rc = test_ask(
				t,
				"{'request':'hold-add','standing':true,'party':'%s','reason':'%s',"
				"'reference':'%s'}",
				asked[i].party, member ? "r" : asked[i].reason,
				member ? asked[i].reason : "r");
			if ((rc == RC_USAGE) != asked[i].refused)
				fail_msg("%s / %s: %d %s", asked[i].party, asked[i].reason, (int)rc,
					 t->err.text);
			assert_true(!asked[i].refused || strstr(t->err.text, "names the party"));
			assert_null(strstr(t->err.text, asked[i].party));
		}
	}
}

static void long_texts_are_refused(void **state)
{
	struct test_vault *t = *state;
	char text[202];
	memset(text, 'x', 201);
	text[201] = '\0';
	assert_int_equal(test_ask(t,
				  "{'request':'hold-add','ids':['%s'],'reason':'%s',"
				  "'reference':'C-1'}",
				  id_of(0), text),
			 RC_USAGE);
	test_must(t, "{'request':'hold-add','ids':['%s'],'reason':'%s','reference':'C-1'}",
		  id_of(0), text + 1);
	assert_string_equal(test_text(test_reply(t, 0), "reason"), text + 1);
}

/* ---- rights ------------------------------------------------------------------------------------------------- */

static void roles_are_held_to_the_table(void **state)
{
	static const struct {
		const char *request;
		bool manager, auditor, operator;
	} asked[] = {
		{ ADD "'party':'2003'}", true, false, false },
		{ "{'request':'hold-show','hold':'H-1'}", true, false, false },
		{ "{'request':'hold-list'}", true, true, true },
		{ "{'request':'hold-cancel-release','hold':'H-1'}", true, false, false },
		{ "{'request':'hold-release','hold':'H-1'}", true, false, false },
	};
	static const char *const people[] = { "mia", "audrey", "oscar", "stan", "mallory" };
	struct test_vault *t = *state;
	test_must(t, ADD "'party':'2003'}");
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		const bool may[5] = { asked[i].manager, asked[i].auditor, asked[i].operator};
		for (int p = 4; p >= 0; p--) {
			enum rc rc = test_ask_as(t, people[p], "%s", asked[i].request);
			if ((rc == RC_REFUSED) == may[p])
				fail_msg("%s %s: %d %s", people[p], asked[i].request, (int)rc,
					 t->err.text);
		}
	}
}

static void who_may_not_hear_sees_no_party_and_no_reason(void **state)
{
	static const char *const people[] = { "oscar", "audrey" };
	struct test_vault *t = *state;
	test_must(t, ADD "'party':'01632960003'}");
	for (int i = 0; i < 2; i++) {
		test_must_as(t, people[i], "{'request':'hold-list'}");
		const json_t *o = test_reply(t, 0);
		assert_string_equal(test_text(o, "hold"), "H-1");
		assert_int_equal(test_number(o, "calls"), 1);
		static const char *const hidden[] = { "party", "reason", "reference", "by" };
		for (int k = 0; k < 4; k++)
			assert_true(json_is_null(json_object_get(o, hidden[k])));
	}
}

/* ---- scopes ------------------------------------------------------------------------------------------------------ */

static void scoped_manager(struct test_vault *t, const char *name, const char *scope)
{
	struct person p = { .role = ROLE_MANAGER };
	snprintf(p.name, sizeof p.name, "%s", name);
	snprintf(p.scope, sizeof p.scope, "%s", scope);
	assert_int_equal(people_save(t->path, &p, &t->err), RC_OK);
}

static void manager_holds_what_they_may_know_of(void **state)
{
	struct test_vault *t = *state;
	scoped_manager(t, "lena", "line:2003");
	assert_int_equal(test_ask_as(t, "lena", ADD "'ids':['%s']}", id_of(2)), RC_USAGE);
	assert_int_equal(test_ask_as(t, "lena", ADD "'party':'+441632960002'}"), RC_USAGE);
	test_must_as(t, "lena", ADD "'ids':['%s']}", id_of(3));
	test_must(t, ADD "'ids':['%s','%s']}", id_of(2), id_of(3));
	test_must(t, ADD "'ids':['%s']}", id_of(4));
	test_must_as(t, "lena", "{'request':'hold-list'}");
	assert_int_equal(json_array_size(t->replies), 2);
	test_must_as(t, "lena", "{'request':'hold-show','hold':'H-2'}");
	assert_int_equal(json_array_size(json_object_get(test_reply(t, 0), "held_calls")), 1);
	assert_int_equal(test_ask_as(t, "lena", "{'request':'hold-show','hold':'H-3'}"), RC_USAGE);
	/* one that keeps more than theirs is not theirs to release */
	assert_int_equal(test_ask_as(t, "lena", "{'request':'hold-release','hold':'H-2'}"),
			 RC_REFUSED);
	assert_int_equal(test_audited(t, "hold-release", "refused"), 1);
	test_must_as(t, "lena", "{'request':'hold-release','hold':'H-1'}");
	assert_true(held(t, 2) && held(t, 3));
}

static void standing_hold_of_a_scoped_manager_catches_within_the_scope(void **state)
{
	struct test_vault *t = *state;
	char path[256];
	scoped_manager(t, "lena", "line:2006,line:2008");
	test_must_as(t, "lena", ADD "'party':'01632960077','standing':true}");
	record_more(t, 6, "+441632960077", NULL);
	record_more(t, 7, "+441632960077", NULL);
	assert_true(held(t, 6) && !held(t, 7));
	/* Disabled, they lose no recording by it. */
	struct person p;
	assert_int_equal(people_load(t->path, "lena", &p, &t->err), RC_OK);
	p.disabled = true;
	assert_int_equal(people_replace(t->path, &p, &t->err), RC_OK);
	record_more(t, 8, "+441632960077", NULL);
	assert_true(held(t, 8));
	/* Nor when they are listed no more. */
	snprintf(path, sizeof path, "%s/vault/people/lena", t->path);
	assert_int_equal(unlink(path), 0);
	record_more(t, 9, "+441632960077", NULL);
	assert_true(held(t, 9));
}

/* ---- releasing ----------------------------------------------------------------------------------------------- */

static void released_hold_keeps_its_record_without_the_number(void **state)
{
	struct test_vault *t = *state;
	char path[256];
	size_t before_len, len;
	test_must(t, ADD "'party':'01632960003','standing':true}");
	snprintf(path, sizeof path, "%s/vault/matters.keys", t->path);
	uint8_t *before = read_file(path, &before_len);
	test_must_as(t, "mia", "{'request':'hold-release','hold':'H-1','reason':'settled'}");
	assert_string_equal(test_text(test_reply(t, 0), "state"), "released");
	assert_false(held(t, 3));
	uint8_t *after = read_file(path, &len);
	assert_int_equal(len, before_len);
	assert_null(memmem(after, len, before, 32));
	free(before);
	free(after);
	test_must(t, "{'request':'hold-list'}");
	assert_int_equal(json_array_size(t->replies), 0);
	test_must(t, "{'request':'hold-list','all':true}");
	const json_t *o = test_reply(t, 0);
	assert_true(json_is_null(json_object_get(o, "party")));
	assert_string_equal(test_text(o, "reason"), "a complaint");
	assert_string_equal(test_text(o, "released_by"), "mia");
	assert_string_equal(test_text(o, "release_reason"), "settled");
	assert_int_equal(test_number(o, "calls"), 1);
	assert_int_equal(test_audited(t, "hold-release", "done"), 1);
	test_must(t, ADD "'ids':['%s']}", id_of(0));
	assert_string_equal(test_text(test_reply(t, 0), "hold"), "H-2");
}

static void second_release_is_one_line_and_told_to_the_trail(void **state)
{
	struct test_vault *t = *state;
	test_must(t, ADD "'ids':['%s']}", id_of(0));
	assert_int_equal(test_ask(t, "{'request':'hold-release','hold':'H-1','confirm':true}"),
			 RC_FAILED);
	assert_non_null(strstr(t->err.text, "has not been asked for"));
	assert_true(held(t, 0));
	test_must(t, "{'request':'hold-release','hold':'H-1'}");
	assert_int_equal(test_ask_as(t, "mia", "{'request':'hold-release','hold':'H-1'}"),
			 RC_FAILED);
	assert_non_null(strstr(t->err.text, "H-1 was released by alice on "));
	assert_int_equal(test_ask(t, "{'request':'hold-cancel-release','hold':'H-1'}"), RC_FAILED);
	assert_int_equal(test_audited(t, "hold-release", "failed"), 2);
	assert_int_equal(test_audited(t, "hold-cancel-release", "failed"), 1);
}

static void release_reason_may_not_name_the_party(void **state)
{
	struct test_vault *t = *state;
	test_must(t, ADD "'party':'01632960003'}");
	assert_int_equal(test_ask(t, "{'request':'hold-release','hold':'H-1',"
				     "'reason':'01632-960003 is content'}"),
			 RC_USAGE);
	assert_true(held(t, 3));
}

static void call_expires_when_its_last_hold_and_the_grace_are_over(void **state)
{
	struct test_vault *t = *state;
	t->v->policy.grace_days = 14;
	test_must(t, ADD "'ids':['%s']}", id_of(0));
	test_must(t, ADD "'ids':['%s']}", id_of(0));
	now_us = HOUR_US + 60 * DAY_US;
	test_must(t, "{'request':'status'}");
	assert_int_equal(
		test_number(json_object_get(test_reply(t, 0), "holds"), "calls_past_their_time"),
		1);
	test_must(t, "{'request':'hold-release','hold':'H-1'}");
	now_us = HOUR_US + 70 * DAY_US;
	test_must(t, "{'request':'hold-release','hold':'H-2'}");
	test_must(t, "{'request':'show','id':'%s'}", id_of(0));
	const json_t *retention = json_object_get(test_reply(t, 0), "retention");
	assert_memory_equal(test_text(retention, "expires"), "2026-05-26", 10);
}

static void give_passphrase(struct test_vault *t, const char *name, enum role role)
{
	struct person p = { .role = role };
	snprintf(p.name, sizeof p.name, "%s", name);
	struct seal_pair audio;
	seal_pair_new(&audio);
	assert_int_equal(people_box(&p, &audio, PASSPHRASE, &t->err), RC_OK);
	char path[256];
	snprintf(path, sizeof path, "%s/vault/people/%s", t->path, name);
	(void)unlink(path);
	assert_int_equal(people_save(t->path, &p, &t->err), RC_OK);
}

static void release_by_two_persons_takes_another_and_their_passphrase(void **state)
{
	struct test_vault *t = *state;
	t->v->policy.two_persons = TWO_HOLD_RELEASE;
	give_passphrase(t, "mia", ROLE_MANAGER);
	test_must(t, ADD "'ids':['%s']}", id_of(0));
	test_must(t, "{'request':'hold-release','hold':'H-1','reason':'settled'}");
	assert_string_equal(test_text(test_reply(t, 0), "state"), "release-asked");
	assert_string_equal(test_text(test_reply(t, 0), "release_asked_by"), "alice");
	assert_true(held(t, 0));
	/* the same person, asking again and confirming */
	assert_int_equal(test_ask(t, "{'request':'hold-release','hold':'H-1'}"), RC_FAILED);
	assert_non_null(strstr(t->err.text, "asked by you"));
	assert_int_equal(test_ask(t,
				  "{'request':'hold-release','hold':'H-1','confirm':true,"
				  "'passphrase':'%s'}",
				  PASSPHRASE),
			 RC_REFUSED);
	assert_non_null(strstr(t->err.text, "asked by you"));
	/* another, without asking to confirm; without a passphrase; with a wrong one */
	static const char ask[] = "{'request':'hold-release','hold':'H-1','confirm':true%s}";
	assert_int_equal(test_ask_as(t, "mia", "{'request':'hold-release','hold':'H-1'}"),
			 RC_FAILED);
	assert_int_equal(test_ask_as(t, "mia", ask, ""), RC_AGAIN);
	assert_int_equal(test_ask_as(t, "mia", ask, ",'passphrase':'wrong wrong'"), RC_REFUSED);
	assert_true(held(t, 0));
	test_must_as(t, "mia", ask, ",'passphrase':'" PASSPHRASE "'");
	assert_false(held(t, 0));
	assert_string_equal(test_text(test_reply(t, 0), "released_by"), "mia");
	assert_string_equal(test_text(test_reply(t, 0), "release_reason"), "settled");
	assert_int_equal(test_audited(t, "hold-release", "asked"), 1);
	assert_int_equal(test_audited(t, "hold-release", "refused"), 2);
	assert_int_equal(test_audited(t, "hold-release", "failed"), 2);
	assert_int_equal(test_audited(t, "hold-release", "done"), 1);
}

static void asked_release_can_be_taken_back(void **state)
{
	struct test_vault *t = *state;
	t->v->policy.two_persons = TWO_HOLD_RELEASE;
	test_must(t, ADD "'ids':['%s']}", id_of(0));
	assert_int_equal(test_ask(t, "{'request':'hold-cancel-release','hold':'H-1'}"), RC_FAILED);
	test_must(t, "{'request':'hold-release','hold':'H-1'}");
	test_must(t, "{'request':'status'}");
	assert_int_equal(test_number(json_object_get(test_reply(t, 0), "holds"), "release_asked"),
			 1);
	test_must_as(t, "mia", "{'request':'hold-cancel-release','hold':'H-1'}");
	assert_string_equal(test_text(test_reply(t, 0), "state"), "active");
	assert_true(json_is_null(json_object_get(test_reply(t, 0), "release_asked_by")));
	assert_int_equal(test_ask_as(t, "mia",
				     "{'request':'hold-release','hold':'H-1',"
				     "'confirm':true,'passphrase':'x'}"),
			 RC_FAILED);
	assert_true(held(t, 0));
}

/* Killed behind the entry: the next request goes on, whatever it asks for. */
static void release_that_was_cut_short_is_finished(void **state)
{
	struct test_vault *t = *state;
	struct hold h;
	char party[PARTY_TEXT];
	test_must(t, ADD "'party':'+44163296','standing':true}");
	test_must(t, ADD "'party':'2003'}");
	for (unsigned n = 1; n <= 2; n++) {
		char name[HOLD_NAME];
		snprintf(name, sizeof name, "H-%u", n);
		assert_int_equal(hold_find(t->v, name, &h, &t->err), RC_OK);
		h.state = HOLD_ENDING;
		struct index_batch *b = index_batch_new(t->v->index);
		hold_put(t->v, b, &h);
		assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
	}
	test_vault_reopen(t);
	test_must(t, "{'request':'calls','limit':1}");
	assert_false(held(t, 3));
	test_must(t, "{'request':'hold-list','all':true}");
	assert_string_equal(test_text(test_reply(t, 0), "state"), "released");
	assert_string_equal(test_text(test_reply(t, 1), "state"), "released");
	assert_int_equal(hold_find(t->v, "H-2", &h, &t->err), RC_OK);
	assert_int_equal(hold_party(t->v, &h, party, &t->err), RC_OK);
	assert_string_equal(party, "");
}

static void number_stands_nowhere_in_the_store(void **state)
{
	struct test_vault *t = *state;
	static const char *const files[] = { "vault/ledger", "vault/matters.keys" };
	test_must(t, ADD "'party':'01632960003','standing':true}");
	test_must(t, "{'request':'hold-show','hold':'H-1'}");
	assert_string_equal(test_text(test_reply(t, 0), "party"), "01632960003");
	const uint8_t *key, *value;
	size_t key_len, value_len;
	for (int f = 0; f < INDEX_FAMILIES; f++) {
		struct index_cursor *c =
			index_cursor_new(t->v->index, (enum index_family)f, NULL, 0, false);
		while (index_cursor_next(c, &key, &key_len, &value, &value_len)) {
			assert_null(memmem(key, key_len, "960003", 6));
			assert_null(memmem(value, value_len, "960003", 6));
		}
		index_cursor_free(c);
	}
	for (int i = 0; i < 2; i++) {
		char path[256];
		size_t len;
		snprintf(path, sizeof path, "%s/%s", t->path, files[i]);
		uint8_t *bytes = read_file(path, &len);
		assert_null(memmem(bytes, len, "960003", 6));
		assert_null(memmem(bytes, len, "393630303033", 12)); /* in hex */
		free(bytes);
	}
}

static void holds_outlive_a_lost_index(void **state)
{
	struct test_vault *t = *state;
	char path[256];
	test_must(t, ADD "'party':'01632960003','standing':true}");
	test_must(t, ADD "'ids':['%s']}", id_of(0));
	test_must(t, "{'request':'hold-release','hold':'H-2'}");
	vault_close(t->v);
	snprintf(path, sizeof path, "%s/vault/index/CURRENT", t->path);
	assert_int_equal(unlink(path), 0);
	test_vault_open(t);
	test_must(t, "{'request':'reindex'}");
	assert_true(held(t, 3) && !held(t, 0));
	test_must(t, "{'request':'hold-show','hold':'H-1'}");
	assert_string_equal(test_text(test_reply(t, 0), "party"), "01632960003");
	record_more(t, 6, "+441632960003", NULL);
	assert_true(held(t, 6));
	test_must(t, ADD "'ids':['%s']}", id_of(1));
	assert_string_equal(test_text(test_reply(t, 0), "hold"), "H-3");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(given_calls_are_held_and_shown),
		TEST(trail_tells_of_the_hold_and_of_each_call_in_one_commit),
		TEST(entry_that_cannot_be_written_makes_no_hold),
		TEST(calls_of_a_party_are_held_within_their_time),
		TEST(standing_hold_catches_what_is_recorded_later),
		TEST(standing_hold_is_bounded_by_when_a_call_began),
		TEST(open_call_is_caught_before_it_has_ended),
		TEST(conversation_is_held_with_what_joins_it),
		TEST(hold_follows_a_conversation_that_becomes_part_of_another),
		TEST(wrong_words_change_nothing),
		TEST(texts_may_not_name_the_party),
		TEST(long_texts_are_refused),
		TEST(roles_are_held_to_the_table),
		TEST(who_may_not_hear_sees_no_party_and_no_reason),
		TEST(manager_holds_what_they_may_know_of),
		TEST(standing_hold_of_a_scoped_manager_catches_within_the_scope),
		TEST(released_hold_keeps_its_record_without_the_number),
		TEST(second_release_is_one_line_and_told_to_the_trail),
		TEST(release_reason_may_not_name_the_party),
		TEST(call_expires_when_its_last_hold_and_the_grace_are_over),
		TEST(release_by_two_persons_takes_another_and_their_passphrase),
		TEST(asked_release_can_be_taken_back),
		TEST(release_that_was_cut_short_is_finished),
		TEST(number_stands_nowhere_in_the_store),
		TEST(holds_outlive_a_lost_index),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
