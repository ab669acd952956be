/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_samples.c: samples of the calls that fit, for a purpose that the policy allows, on record. */
#include "vault_help.h"

#include "vault/reviews.h"

#define CALLS 12

static struct test_call calls[CALLS];

/* Call n lasts n seconds, from our own 200(n % 3) outwards; every fourth is not answered, the last has no audio. */
static void record_call(struct store_writer *w, unsigned n)
{
	struct test_call *c = &calls[n];
	test_call_begin(c, w, n);
	snprintf(c->r.from, sizeof c->r.from, "200%u", n % 3);
	snprintf(c->r.to, sizeof c->r.to, "+4416329600%02u", n);
	c->r.direction = DIRECTION_OUTBOUND;
	if (n % 4 == 3) {
		c->r.outcome = OUTCOME_CANCELLED;
		c->r.answer_us = 0;
		test_call_end(w, c, c->r.start_us + 1000000);
		return;
	}
	if (n != CALLS - 2) {
		test_audio_chunk(w, c, 0, 0, 0, 25);
		test_stream(w, c, 0, 25);
	}
	test_call_end(w, c, c->r.answer_us + n * INT64_C(1000000));
}

static void make_with(void **state, const char *policy)
{
	static struct test_vault t;
	test_vault_make(&t, policy, NULL);
	struct store_writer *w = test_recorder(&t);
	for (unsigned n = 0; n < CALLS; n++)
		record_call(w, n);
	test_finish(&t, w);
	test_person(&t, "mia", ROLE_MANAGER);
	test_person(&t, "stan", ROLE_STAFF);
	test_person(&t, "oscar", ROLE_OPERATOR);
	test_person(&t, "audrey", ROLE_AUDITOR);
	*state = &t;
}

static int make(void **state)
{
	make_with(state, "lab");
	return 0;
}

static int make_year(void **state)
{
	make_with(state, "12-month");
	return 0;
}

/* Calls 0, 1, 2, 4, 5, 6, 8, 9 were answered and have audio. */
#define ELIGIBLE 8

static bool has(const json_t *sample, unsigned n)
{
	char id[UUID_TEXT];
	size_t i;
	json_t *call;
	uuid_text(&calls[n].r.id, id);
	json_array_foreach(json_object_get(sample, "calls"), i, call)
	{
		if (strcmp(test_text(call, "id"), id) == 0)
			return true;
	}
	return false;
}

static void only_answered_calls_with_audio_are_drawn(void **state)
{
	struct test_vault *t = *state;
	const json_t *o = test_must(t, "{'request':'sample','count':100,'seed':7}");
	assert_string_equal(test_text(o, "sample"), "S-1");
	assert_string_equal(test_text(o, "purpose"), "quality-sample");
	assert_int_equal(test_number(o, "eligible"), ELIGIBLE);
	assert_int_equal(test_number(o, "drawn_calls"), ELIGIBLE);
	for (unsigned n = 0; n < CALLS; n++)
		assert_int_equal(has(o, n), n % 4 != 3 && n != CALLS - 2);
	const json_t *call = json_array_get(json_object_get(o, "calls"), 0);
	assert_true(json_is_true(json_object_get(call, "present")));
	assert_int_equal(strlen(test_text(call, "from")), 4);
}

static void same_seed_draws_the_same_and_another_does_not(void **state)
{
	struct test_vault *t = *state;
	char first[4096], second[4096];
	for (int i = 0; i < 2; i++) {
		const json_t *o = test_must(t, "{'request':'sample','count':4,'seed':7}");
		char *text = json_dumps(json_object_get(o, "calls"), JSON_SORT_KEYS);
		snprintf(i ? second : first, sizeof first, "%s", text);
		free(text);
	}
	assert_string_equal(first, second);
	bool differs = false;
	for (int seed = 8; seed < 14 && !differs; seed++) {
		const json_t *o = test_must(t, "{'request':'sample','count':4,'seed':%d}", seed);
		char *text = json_dumps(json_object_get(o, "calls"), JSON_SORT_KEYS);
		differs = strcmp(text, first) != 0;
		free(text);
	}
	assert_true(differs);
	json_int_t seeds[2];
	for (int i = 0; i < 2; i++)
		seeds[i] = test_number(test_must(t, "{'request':'sample','count':1}"), "seed");
	assert_true(seeds[0] != seeds[1]);
}

static void draw_can_be_done_again_from_the_list_of_who_could_be_drawn(void **state)
{
	struct test_vault *t = *state;
	(void)test_must(t, "{'request':'sample','count':4,'eligible':true}");
	assert_int_equal(json_array_size(t->replies), ELIGIBLE);
	struct {
		uint8_t hash[32];
		char id[UUID_TEXT];
	} all[ELIGIBLE], swap;
	for (size_t i = 0; i < ELIGIBLE; i++) {
		char text[64];
		snprintf(all[i].id, UUID_TEXT, "%s", test_text(test_reply(t, i), "id"));
		int len = snprintf(text, sizeof text, "4711 %s", all[i].id);
		digest_sha256(all[i].hash, text, (size_t)len);
	}
	for (size_t i = 0; i < ELIGIBLE; i++) {
		for (size_t k = i + 1; k < ELIGIBLE; k++) {
			if (memcmp(all[k].hash, all[i].hash, 32) >= 0)
				continue;
			swap = all[i];
			all[i] = all[k];
			all[k] = swap;
		}
	}
	const json_t *o = test_must(t, "{'request':'sample','count':4,'seed':4711}");
	assert_string_equal(test_text(o, "sample"), "S-1"); /* asking for the list drew nothing */
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(test_text(json_array_get(json_object_get(o, "calls"), i), "id"),
				    all[i].id);
}

static void criteria_narrow_what_can_be_drawn(void **state)
{
	struct test_vault *t = *state;
	const json_t *o = test_must(t, "{'request':'sample','count':9,'min_duration':5}");
	assert_int_equal(test_number(o, "eligible"), 4); /* 5, 6, 8, 9 */
	o = test_must(t, "{'request':'sample','count':9,'since':'2026-03-03T10:00:02Z',"
			 "'until':'2026-03-03T10:00:05Z'}");
	assert_int_equal(test_number(o, "eligible"), 3); /* 2, 4, 5 */
	t->v->policy.groups_count = 1;
	snprintf(t->v->policy.groups[0].name, 32, "desk");
	t->v->policy.groups[0].first = 0;
	t->v->policy.groups[0].count = 1;
	t->v->policy.members_count = 1;
	snprintf(t->v->policy.members[0], POLICY_PATTERN, "2001");
	o = test_must(t, "{'request':'sample','count':9,'group':'desk'}");
	assert_int_equal(test_number(o, "eligible"), 2); /* 1; 4; not 7, which was not answered */
	assert_true(has(o, 1) && has(o, 4));
	assert_int_equal(test_ask(t, "{'request':'sample','count':9,'group':'hall'}"), RC_USAGE);
	assert_non_null(strstr(t->err.text, "desk"));
}

static void each_own_line_has_its_share(void **state)
{
	struct test_vault *t = *state;
	const json_t *o = test_must(t, "{'request':'sample','count':1,'per_person':true,'seed':3}");
	assert_int_equal(test_number(o, "lines"), 3);
	assert_int_equal(test_number(o, "eligible"), ELIGIBLE);
	assert_int_equal(test_number(o, "drawn_calls"), 3);
	bool seen[3] = { false };
	for (size_t i = 0; i < 3; i++) {
		const json_t *call = json_array_get(json_object_get(o, "calls"), i);
		seen[test_text(call, "from")[3] - '0'] = true;
	}
	assert_true(seen[0] && seen[1] && seen[2]);
	o = test_must(t, "{'request':'sample','count':2,'per_person':true,'seed':3}");
	assert_int_equal(test_number(o, "drawn_calls"), 6);
}

/* Overwrite the slot of call n. */
static void damage_slot(const struct test_vault *t, unsigned n)
{
	static const uint8_t nothing[SLOT_BYTES] = { 1 };
	char path[512];
	assert_true(test_find(t, "vault/segments", ".keys", path));
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, nothing, SLOT_BYTES, SLOTS_AT + (off_t)n * SLOT_BYTES),
			 SLOT_BYTES);
	assert_int_equal(close(fd), 0);
}

/* That a recording is damaged must not keep it from whoever reviews; but where numbers are asked for, it has none. */
static void damaged_call_is_drawn_where_its_numbers_do_not_matter(void **state)
{
	struct test_vault *t = *state;
	(void)test_must(t, "{'request':'calls'}"); /* by now all are taken in */
	damage_slot(t, 4);
	const json_t *o = test_must(t, "{'request':'sample','count':9,'seed':1}");
	assert_int_equal(test_number(o, "eligible"), ELIGIBLE);
	assert_true(has(o, 4));
	(void)test_must(t, "{'request':'sample','count':9,'eligible':true}");
	assert_int_equal(json_array_size(t->replies), ELIGIBLE);
	o = test_must(t, "{'request':'sample','count':9,'seed':1,'per_person':true}");
	assert_int_equal(test_number(o, "eligible"), ELIGIBLE - 1);
	assert_false(has(o, 4));
}

static void draw_is_on_record_and_in_the_trail(void **state)
{
	struct test_vault *t = *state;
	(void)test_must(t, "{'request':'sample','count':3,'seed':5}");
	assert_int_equal(test_ask_as(t, "mia",
				     "{'request':'sample','count':2,'seed':6,"
				     "'purpose':'training'}"),
			 RC_OK);
	assert_int_equal(test_audited(t, "sample", "done"), 2);
	assert_int_equal(test_audited(t, "sampled", "done"), 5);
	const json_t *e = test_reply(t, json_array_size(t->replies) - 3);
	assert_string_equal(test_text(e, "action"), "sample");
	assert_string_equal(test_text(e, "purpose"), "training");
	assert_string_equal(test_text(e, "person"), "mia");
	assert_string_equal(test_text(e, "detail"), "S-2: 2 of 8 calls drawn, seed 6");
	(void)test_must(t, "{'request':'sample-list'}");
	assert_int_equal(json_array_size(t->replies), 2);
	assert_string_equal(test_text(test_reply(t, 1), "by"), "mia");
	assert_null(json_object_get(test_reply(t, 1), "calls"));
	const json_t *o = test_must(t, "{'request':'sample-show','sample':'s-1'}");
	assert_int_equal(json_array_size(json_object_get(o, "calls")), 3);
	assert_int_equal(test_number(o, "seed"), 5);
	test_vault_reopen(t);
	o = test_must(t, "{'request':'sample-show','sample':'S-2'}");
	assert_int_equal(test_number(o, "drawn_calls"), 2);
}

static void entry_that_cannot_be_written_draws_nothing(void **state)
{
	struct test_vault *t = *state;
	char path[256];
	snprintf(path, sizeof path, "%s/vault/ledger", t->path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(test_ask(t, "{'request':'sample','count':3}"), RC_FAILED);
	assert_int_equal(json_array_size(t->replies), 0);
	assert_int_equal(rmdir(path), 0);
	(void)test_must(t, "{'request':'audit-verify'}");
	assert_int_equal(test_ask(t, "{'request':'sample-list'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 0);
	assert_string_equal(test_text(test_must(t, "{'request':'sample','count':3}"), "sample"),
			    "S-1");
}

static void purpose_must_be_allowed_and_the_choices_are_told(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, "{'request':'sample','count':3}"), RC_REFUSED);
	assert_string_equal(t->err.text,
			    "the policy in force (12-month) does not allow quality-sample; for a "
			    "sample it allows: training, process-improvement");
	assert_int_equal(test_ask(t, "{'request':'sample','count':3,'eligible':true}"), RC_REFUSED);
	assert_int_equal(test_ask(t, "{'request':'sample','count':3,'purpose':'complaint'}"),
			 RC_USAGE);
	assert_int_equal(test_audited(t, "sample", "refused"), 2);
	(void)test_must(t, "{'request':'sample','count':3,'purpose':'training'}");
	t->v->policy.purpose_roles[policy_purpose("training")] = ROLE_CONTROLLER;
	assert_int_equal(
		test_ask_as(t, "mia", "{'request':'sample','count':3,'purpose':'training'}"),
		RC_REFUSED);
}

static void wrong_words_are_one_line(void **state)
{
	static const struct {
		const char *request, *says;
	} asked[] = {
		{ "{'request':'sample'}", "count" },
		{ "{'request':'sample','count':0}", "count" },
		{ "{'request':'sample','count':1001}", "1 to 1000" },
		{ "{'request':'sample','count':1,'seed':9007199254740992}", "seed" },
		{ "{'request':'sample','count':1,'since':'soon'}", "since" },
		{ "{'request':'sample','count':1,'since':'2026-02-02','until':'2026-02-01'}",
		  "before since" },
		{ "{'request':'sample','count':1,'group':'desk'}", "names no groups" },
		{ "{'request':'sample','count':1,'purpose':'fun'}", "quality-sample, training" },
		{ "{'request':'sample-show','sample':'S-9'}", "no sample S-9" },
		{ "{'request':'sample-show','sample':'V-1'}", "S-3" },
		{ "{'request':'sample-show'}", "which sample" },
	};
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		enum rc rc = test_ask(t, "%s", asked[i].request);
		if (rc != RC_USAGE || !strstr(t->err.text, asked[i].says))
			fail_msg("%s: %d %s", asked[i].request, (int)rc, t->err.text);
	}
	assert_int_equal(test_ask(t, "{'request':'sample','count':1,'since':'2027-01-01'}"),
			 RC_FAILED);
	assert_non_null(strstr(t->err.text, "none fits"));
}

static void only_managers_and_controllers_draw(void **state)
{
	static const char *const people[] = { "stan", "oscar", "audrey", "mallory" };
	static const char *const asked[] = { "{'request':'sample','count':1}",
					     "{'request':'sample-list'}",
					     "{'request':'sample-show','sample':'S-1'}" };
	struct test_vault *t = *state;
	(void)test_must(t, "{'request':'sample','count':1}");
	for (int p = 0; p < 4; p++) {
		for (int i = 0; i < 3; i++)
			assert_int_equal(test_ask_as(t, people[p], "%s", asked[i]), RC_REFUSED);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(test_ask_as(t, "mia", "%s", asked[i]), RC_OK);
}

static void manager_draws_from_what_they_may_know_of(void **state)
{
	struct test_vault *t = *state;
	struct person p = { .name = "lena", .role = ROLE_MANAGER, .scope = "line:2001" };
	assert_int_equal(people_save(t->path, &p, &t->err), RC_OK);
	assert_int_equal(test_ask_as(t, "lena", "{'request':'sample','count':9}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "eligible"), 2); /* 1 and 4 */
	/* of another's sample they see their own calls */
	(void)test_must(t, "{'request':'sample','count':9}");
	assert_int_equal(test_ask_as(t, "lena", "{'request':'sample-show','sample':'S-2'}"), RC_OK);
	assert_int_equal(json_array_size(json_object_get(test_reply(t, 0), "calls")), 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(only_answered_calls_with_audio_are_drawn),
		TEST(same_seed_draws_the_same_and_another_does_not),
		TEST(draw_can_be_done_again_from_the_list_of_who_could_be_drawn),
		TEST(criteria_narrow_what_can_be_drawn),
		TEST(each_own_line_has_its_share),
		TEST(damaged_call_is_drawn_where_its_numbers_do_not_matter),
		TEST(draw_is_on_record_and_in_the_trail),
		TEST(entry_that_cannot_be_written_draws_nothing),
		TEST(wrong_words_are_one_line),
		TEST(only_managers_and_controllers_draw),
		TEST(manager_draws_from_what_they_may_know_of),
		cmocka_unit_test_setup_teardown(purpose_must_be_allowed_and_the_choices_are_told,
						make_year, test_vault_drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
