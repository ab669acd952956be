/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_requests.c: what may be asked, by whom, and what the answers say. */
#include "vault_help.h"

#define CALLS 6

static int make(void **state)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", NULL);
	test_record(&t, CALLS, NULL);
	test_person(&t, "mia", ROLE_MANAGER);
	test_person(&t, "stan", ROLE_STAFF);
	test_person(&t, "audrey", ROLE_AUDITOR);
	test_person(&t, "oscar", ROLE_OPERATOR);
	*state = &t;
	return 0;
}

static size_t listed(struct test_vault *t, const char *members)
{
	if (test_ask(t, "{'request':'calls'%s}", members) != RC_OK)
		fail_msg("%s: %s", members, t->err.text);
	return json_array_size(t->replies);
}

static void contract_fields_always_stand_there(void **state)
{
	static const char *const fields[] = {
		"id",        "sip_call_id", "conversation", "from",     "to",
		"from_name", "to_name",     "direction",    "state",    "outcome",
		"ended_by",  "sip_status",  "start",        "ring",     "answer",
		"end",       "duration_ms", "dtmf_count",   "coverage", "retention",
		"policy",    "recorder",    "imported",     "attested", "streams",
	};
	static const char *const stream_fields[] = {
		"track",      "ssrc",      "src",     "dst",       "codec", "payload_types",
		"clock_rate", "ptime_ms",  "packets", "bytes",     "lost",  "late",
		"duplicates", "reordered", "dropped", "jitter_ms", "mos",   "stored",
		"complete",   "start",     "end",
	};
	struct test_vault *t = *state;
	assert_int_equal(listed(t, ""), CALLS);
	const json_t *o = test_reply(t, 0);
	assert_int_equal(json_object_size(o), sizeof fields / sizeof fields[0]);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		assert_non_null(json_object_get(o, fields[i]));
	const json_t *s = json_array_get(json_object_get(o, "streams"), 0);
	assert_int_equal(json_object_size(s), sizeof stream_fields / sizeof stream_fields[0]);
	for (size_t i = 0; i < sizeof stream_fields / sizeof stream_fields[0]; i++)
		assert_non_null(json_object_get(s, stream_fields[i]));
	assert_string_equal(test_text(s, "ssrc"), "0xabcd0000");
	assert_string_equal(test_text(o, "start"), "2026-03-03T10:00:00.000000Z");
	assert_int_equal(json_object_size(json_object_get(o, "retention")), 3);
}

static void newest_within_the_limit_come_last(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(listed(t, ",'limit':2"), 2);
	assert_string_equal(test_text(test_reply(t, 0), "to"), "2004");
	assert_string_equal(test_text(test_reply(t, 1), "to"), "2005");
	assert_int_equal(listed(t, ",'limit':0"), CALLS);
}

static void filters_narrow_the_list(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(listed(t, ",'since':'2026-03-03T10:00:02Z'"), 4);
	assert_int_equal(listed(t, ",'until':1772532001000000"), 2);
	assert_int_equal(
		listed(t, ",'since':'2026-03-03T10:00:01Z','until':'2026-03-03T10:00:02Z'"), 2);
	assert_int_equal(listed(t, ",'state':'ended'"), CALLS);
	assert_int_equal(listed(t, ",'state':'talking'"), 0);
	assert_int_equal(listed(t, ",'outcome':'answered'"), CALLS);
	assert_int_equal(listed(t, ",'outcome':'failed'"), 0);
	assert_int_equal(listed(t, ""), CALLS);
	char id[UUID_TEXT], member[80];
	snprintf(id, sizeof id, "%s", test_text(test_reply(t, 3), "conversation"));
	snprintf(member, sizeof member, ",'conversation':'%s'", id);
	assert_int_equal(listed(t, member), 1);
	assert_string_equal(test_text(test_reply(t, 0), "to"), "2003");
}

static void party_is_found_by_number_or_its_tail(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(listed(t, ",'party':'+44 1632 960003'"), 1);
	assert_string_equal(test_text(test_reply(t, 0), "to"), "2003");
	assert_int_equal(listed(t, ",'party':'01632960003'"), 1);
	assert_int_equal(listed(t, ",'party':'960003'"), 1);
	assert_int_equal(listed(t, ",'party':'2960003'"), 1);
	assert_int_equal(listed(t, ",'party':'0003'"), 1);
	assert_int_equal(listed(t, ",'party':'2004'"), 1);
	assert_int_equal(listed(t, ",'party':'9999'"), 0);
	assert_int_equal(listed(t, ",'party':'7960003'"), 0);
	assert_int_equal(listed(t, ",'party':'2004','since':'2026-03-03T10:00:05Z'"), 0);
}

/* One number, signalled with and without its prefix: newest first, none twice, and then the limit. */
static void party_is_found_under_every_prefix_it_was_signalled_with(void **state)
{
	static const char *const from[] = { "+442079460123", "02079460123", "+442079460123",
					    "02079460123" };
	struct test_vault *t = *state;
	struct store_writer *w = test_recorder(t);
	for (unsigned n = 0; n < 4; n++) {
		struct test_call c;
		test_call_begin(&c, w, 20 + n);
		snprintf(c.r.from, sizeof c.r.from, "%s", from[n]);
		test_call_end(w, &c, c.r.answer_us + 1000000);
	}
	test_finish(t, w);
	for (unsigned n = 0; n < 2; n++) {
		char member[64];
		snprintf(member, sizeof member, ",'party':'%s'", from[n]);
		assert_int_equal(listed(t, member), 4);
		for (unsigned i = 0; i < 4; i++)
			assert_string_equal(test_text(test_reply(t, i), "from"), from[i]);
		snprintf(member, sizeof member, ",'party':'%s','limit':3", from[n]);
		assert_int_equal(listed(t, member), 3);
		assert_string_equal(test_text(test_reply(t, 0), "to"), "2021");
		assert_string_equal(test_text(test_reply(t, 2), "to"), "2023");
	}
}

static void roles_are_held_to_the_table(void **state)
{
	static const struct {
		const char *person, *request;
		enum rc rc;
	} asked[] = {
		{ "mia", "{'request':'calls'}", RC_OK },
		{ "mia", "{'request':'audit-list'}", RC_REFUSED },
		{ "mia", "{'request':'reindex'}", RC_REFUSED },
		{ "stan", "{'request':'calls'}", RC_REFUSED },
		{ "stan", "{'request':'status'}", RC_REFUSED },
		{ "audrey", "{'request':'audit-list'}", RC_OK },
		{ "audrey", "{'request':'audit-verify'}", RC_OK },
		{ "audrey", "{'request':'calls'}", RC_REFUSED },
		{ "oscar", "{'request':'status'}", RC_OK },
		{ "oscar", "{'request':'verify'}", RC_OK },
		{ "oscar", "{'request':'calls','party':'2001'}", RC_REFUSED },
		{ "oscar", "{'request':'audit-list'}", RC_REFUSED },
		{ "mallory", "{'request':'status'}", RC_REFUSED },
		{ "../alice", "{'request':'status'}", RC_REFUSED },
	};
	struct test_vault *t = *state;
	size_t refused = 0;
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		enum rc rc = test_ask_as(t, asked[i].person, "%s", asked[i].request);
		if (rc != asked[i].rc)
			fail_msg("%s %s: %d (%s)", asked[i].person, asked[i].request, (int)rc,
				 t->err.text);
		refused += rc == RC_REFUSED;
		if (rc == RC_REFUSED)
			assert_int_equal(json_array_size(t->replies), 0);
	}
	size_t audited = 0;
	assert_int_equal(test_ask(t, "{'request':'audit-list'}"), RC_OK);
	for (size_t i = 0; i < json_array_size(t->replies); i++) {
		const char *o = json_string_value(
			json_object_get(json_array_get(t->replies, i), "outcome"));
		audited += o && strcmp(o, "refused") == 0;
	}
	assert_int_equal(audited, refused);
}

static void operator_sees_numbers_masked_and_no_names(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask_as(t, "oscar", "{'request':'calls'}"), RC_OK);
	char *text = json_dumps(t->replies, 0);
	assert_non_null(strstr(text, "***"));
	assert_null(strstr(text, "441632960"));
	assert_null(strstr(text, "Caller"));
	assert_null(strstr(text, "example.test"));
	free(text);
	assert_int_equal(json_array_size(t->replies), CALLS);
}

static void root_that_is_not_listed_runs_the_system_and_no_more(void **state)
{
	struct test_vault *t = *state;
	const struct vault_caller root = { .person = "root", .uid = 0 };
	json_t *status = json_pack("{s:s}", "request", "status");
	json_t *audit = json_pack("{s:s}", "request", "audit-list");
	json_decref(t->replies);
	t->replies = json_array();
	assert_int_equal(vault_request(t->v, &root, status, test_collect, t, &t->err), RC_OK);
	assert_int_equal(vault_request(t->v, &root, audit, test_collect, t, &t->err), RC_REFUSED);
	json_decref(status);
	json_decref(audit);
}

static void wrong_words_are_answered_with_the_choices(void **state)
{
	static const struct {
		const char *request, *says;
	} asked[] = {
		{ "{'request':'hold-lst'}", "did you mean \"hold-list\"?" },
		{ "{'request':'call'}", "did you mean \"calls\"?" },
		{ "{'request':'fetch'}", "no such request; docs/http.md" },
		{ "{'request':7}", "no such request; docs/http.md" },
		{ "{}", "no such request; docs/http.md" },
		{ "{'request':'calls','parti':'1'}", "parti" },
		{ "{'request':'calls','party':7}", "text" },
		{ "{'request':'calls','party':''}", "party" },
		{ "{'request':'calls','limit':-1}", "limit" },
		{ "{'request':'calls','limit':'5'}", "limit" },
		{ "{'request':'calls','since':'soon'}", "since" },
		{ "{'request':'calls','state':'gone'}", "trying, ringing, talking, ended" },
		{ "{'request':'calls','outcome':'gone'}", "answered, cancelled" },
		{ "{'request':'show'}", "id" },
		{ "{'request':'show','id':'1234567'}", "first 8" },
		{ "{'request':'show','id':'zzzzzzzzzzzz'}", "not an id" },
		{ "{'request':'show','id':'ffffffff-0000'}", "no such recording" },
		{ "{'request':'verify','id':'ffffffff-0000'}", "no such recording" },
	};
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		enum rc rc = test_ask(t, "%s", asked[i].request);
		if (rc != RC_USAGE || !strstr(t->err.text, asked[i].says))
			fail_msg("%s: %d %s", asked[i].request, (int)rc, t->err.text);
	}
}

static void unique_prefix_of_an_id_will_do(void **state)
{
	struct test_vault *t = *state;
	char id[UUID_TEXT];
	assert_int_equal(listed(t, ""), CALLS);
	snprintf(id, sizeof id, "%s", test_text(test_reply(t, 2), "id"));
	assert_int_equal(test_ask(t, "{'request':'show','id':'%.23s'}", id), RC_OK);
	assert_string_equal(test_text(test_reply(t, 0), "id"), id);
	assert_string_equal(test_text(test_reply(t, 0), "from_uri"),
			    "sip:+441632960002@example.test");
	assert_int_equal(test_ask(t, "{'request':'show','id':'%.9s'}", id), RC_USAGE);
	assert_non_null(strstr(t->err.text, "more than one"));
}

static void status_tells_how_the_store_stands(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	const json_t *o = test_reply(t, 0);
	assert_string_equal(test_text(o, "policy"), "lab");
	assert_true(json_is_true(json_object_get(o, "unattended")));
	assert_int_equal(test_number(json_object_get(o, "calls"), "total"), CALLS);
	assert_int_equal(test_number(json_object_get(o, "segments"), "closed"), 1);
	assert_int_equal(test_number(json_object_get(o, "segments"), "damaged"), 0);
	assert_true(test_number(json_object_get(o, "segments"), "bytes") > 4096);
	assert_string_equal(test_text(o, "oldest"), "2026-03-03T10:00:00.000000Z");
	assert_string_equal(test_text(o, "newest"), "2026-03-03T10:00:05.000000Z");
	assert_int_equal(strlen(test_text(json_object_get(o, "audit"), "head")), 64);
	assert_int_equal(strlen(test_text(o, "recorder_id")), 16);
	assert_true(test_number(o, "free_bytes") > 0);
}

static bool stop_after_two(void *ctx, const json_t *object)
{
	int *seen = ctx;
	(void)object;
	return ++*seen < 2;
}

static void caller_may_stop_an_answer(void **state)
{
	struct test_vault *t = *state;
	int seen = 0;
	const struct vault_caller who = { .person = "alice", .uid = 1000 };
	json_t *request = json_pack("{s:s}", "request", "calls");
	assert_int_equal(vault_request(t->v, &who, request, stop_after_two, &seen, &t->err), RC_OK);
	assert_int_equal(seen, 2);
	json_decref(request);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(contract_fields_always_stand_there),
		TEST(newest_within_the_limit_come_last),
		TEST(filters_narrow_the_list),
		TEST(party_is_found_by_number_or_its_tail),
		TEST(party_is_found_under_every_prefix_it_was_signalled_with),
		TEST(roles_are_held_to_the_table),
		TEST(operator_sees_numbers_masked_and_no_names),
		TEST(root_that_is_not_listed_runs_the_system_and_no_more),
		TEST(wrong_words_are_answered_with_the_choices),
		TEST(unique_prefix_of_an_id_will_do),
		TEST(status_tells_how_the_store_stands),
		TEST(caller_may_stop_an_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
