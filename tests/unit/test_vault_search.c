/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_search.c: calls are found by what is asked of them, page by page, and no page misses or doubles one. */
#include "vault_help.h"

#include "vault/holds.h"

#define CALLS 24

static struct test_call calls[CALLS];

/* Call n lasts n seconds; some have another codec, loss, or nobody who answers. */
static void record_calls(struct test_vault *t)
{
	struct store_writer *w = test_recorder(t);
	for (unsigned n = 0; n < CALLS; n++) {
		struct test_call *c = &calls[n];
		test_call_begin(c, w, n);
		c->r.direction = n % 2 ? DIRECTION_INBOUND : DIRECTION_OUTBOUND;
		if (n % 6 == 5) {
			c->r.answer_us = 0;
			c->r.outcome = OUTCOME_UNANSWERED;
			test_call_end(w, c, c->r.start_us + 3000000);
			continue;
		}
		test_audio_chunk(w, c, 0, 0, 0, 25);
		test_stream(w, c, 0, 25);
		struct stream_record *s = &c->streams[0];
		s->lost = n % 4 == 0 ? 20 : 0;
		s->loss_runs = s->lost ? 4 : 0;
		if (n % 8 == 3)
			snprintf(s->codec, sizeof s->codec, "PCMA");
		store_writer_stream(w, s);
		test_call_end(w, c, c->r.answer_us + n * INT64_C(1000000));
	}
	test_finish(t, w);
}

static int make(void **state)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", NULL);
	record_calls(&t);
	*state = &t;
	return 0;
}

/* The calls that a request finds are those of which `is` says so, oldest first. */
typedef bool (*is_wanted)(unsigned n);

static void finds(struct test_vault *t, const char *members, is_wanted is)
{
	char id[UUID_TEXT];
	size_t at = 0, expected = 0;
	if (test_ask(t, "{'request':'calls','limit':0%s}", members) != RC_OK)
		fail_msg("%s: %s", members, t->err.text);
	for (unsigned n = 0; n < CALLS; n++)
		expected += is(n);
	assert_true(expected > 0 && expected < CALLS); /* else it shows nothing */
	assert_int_equal(json_array_size(t->replies), expected);
	for (unsigned n = 0; n < CALLS; n++) {
		if (is(n))
			assert_string_equal(test_text(test_reply(t, at++), "id"),
					    uuid_text(&calls[n].r.id, id));
	}
}

static bool answered(unsigned n)
{
	return n % 6 != 5;
}

static bool of_7_to_9(unsigned n)
{
	return answered(n) && n >= 7 && n <= 9;
}

static bool of_20_or_more(unsigned n)
{
	return answered(n) && n >= 20;
}

static bool inbound(unsigned n)
{
	return n % 2;
}

static bool in_pcma(unsigned n)
{
	return answered(n) && n % 8 == 3;
}

static bool sounding_bad(unsigned n)
{
	return answered(n) && n % 4 == 0;
}

static bool sounding_good(unsigned n)
{
	return answered(n) && n % 4 != 0;
}

static bool inbound_and_long(unsigned n)
{
	return inbound(n) && answered(n) && n >= 10;
}

static bool teens(unsigned n)
{
	return n >= 10 && n <= 19;
}

static bool number_3(unsigned n)
{
	return n == 3;
}

static void filters_find_what_they_say(void **state)
{
	finds(*state, ",'min_duration':7,'max_duration':9", of_7_to_9);
	finds(*state, ",'min_duration':19.5", of_20_or_more);
	finds(*state, ",'direction':'inbound'", inbound);
	finds(*state, ",'codec':'pcma'", in_pcma);
	finds(*state, ",'max_mos':3.5", sounding_bad);
	finds(*state, ",'min_mos':3.5", sounding_good);
	finds(*state, ",'direction':'inbound','min_duration':10", inbound_and_long);
	assert_int_equal(test_ask(*state, "{'request':'calls','class':'standard'}"), RC_OK);
	assert_int_equal(json_array_size(((struct test_vault *)*state)->replies), CALLS);
	assert_int_equal(test_ask(*state, "{'request':'calls','class':'other'}"), RC_OK);
	assert_int_equal(json_array_size(((struct test_vault *)*state)->replies), 0);
}

static void party_is_found_by_its_tails_and_by_patterns(void **state)
{
	finds(*state, ",'party':'+441632960003'", number_3);
	finds(*state, ",'party':'632960003'", number_3);
	finds(*state, ",'party':'960003'", number_3);
	finds(*state, ",'party':'0003'", number_3);
	finds(*state, ",'party':'00441632960003'", number_3);
	finds(*state, ",'party':'*96001?','since':'2020-01-01'", teens);
	finds(*state, ",'party':'201?','since':'2020-01-01'", teens);
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, "{'request':'calls','party':'*96001?'}"), RC_USAGE);
	assert_non_null(strstr(t->err.text, "give since"));
}

static void what_is_held_is_found(void **state)
{
	struct test_vault *t = *state;
	const struct uuid holder = uuid_v7(1);
	struct index_batch *b = index_batch_new(t->v->index);
	holds_tie(t->v, b, &holder, &calls[4].r.id);
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'calls','held':true}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 1);
	assert_int_equal(test_ask(t, "{'request':'calls','held':false,'limit':0}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), CALLS);
}

static void pages_hold_each_call_once(void **state)
{
	static const char *const asked[] = { "", ",'party':'+44163296*','since':'2020-01-01'",
					     ",'direction':'inbound'", ",'until':'2030-01-01'" };
	struct test_vault *t = *state;
	for (size_t k = 0; k < sizeof asked / sizeof asked[0]; k++) {
		for (unsigned limit = 1; limit < CALLS + 2; limit += 4) {
			char before[128] = "", last[UUID_TEXT] = "";
			size_t seen = 0, all;
			assert_int_equal(test_ask(t, "{'request':'calls','limit':0%s}", asked[k]),
					 RC_OK);
			all = json_array_size(t->replies);
			for (bool more = true; more;) {
				assert_int_equal(
					test_ask(t,
						 "{'request':'calls','page':true,'limit':%u%s%s}",
						 limit, asked[k], before),
					RC_OK);
				size_t n = json_array_size(t->replies) - 1;
				const json_t *next = json_object_get(test_reply(t, n), "next");
				assert_non_null(next);
				assert_true(n <= limit);
				for (size_t i = n; i-- > 0; seen++) {
					const char *id = test_text(test_reply(t, i), "id");
					/* newest first: ids are by time */
					assert_true(!*last || strcmp(id, last) < 0);
					snprintf(last, sizeof last, "%s", id);
				}
				more = !json_is_null(next);
				if (more)
					snprintf(before, sizeof before, ",'before':'%s'",
						 json_string_value(next));
			}
			assert_int_equal(seen, all);
		}
	}
}

static void wrong_words_are_refused(void **state)
{
	static const char *const wrong[] = {
		"'direction':'up'",
		"'min_duration':-1",
		"'max_duration':'x'",
		"'min_mos':true",
		"'max_mos':-0.5",
		"'held':1",
		"'before':'x'",
		"'before':''",
		"'before':'ffffffffffffffffffffffffffffffffffffffffffffffff'",
		"'page':'yes'",
		/* clang takes two literals side by side in a list for a comma forgotten */
		("'party':'*xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','since':'-"
		 "1d'"),
	};
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		if (test_ask(t, "{'request':'calls',%s}", wrong[i]) != RC_USAGE)
			fail_msg("%s was taken", wrong[i]);
	}
}

static void operator_may_not_look_for_a_party_in_any_way(void **state)
{
	struct test_vault *t = *state;
	test_person(t, "otto", ROLE_OPERATOR);
	assert_int_equal(test_ask_as(t, "otto", "{'request':'calls','party':'0003'}"), RC_REFUSED);
	assert_int_equal(
		test_ask_as(t, "otto", "{'request':'calls','party':'*3','since':'2020-01-01'}"),
		RC_REFUSED);
	assert_int_equal(test_ask_as(t, "otto", "{'request':'calls','min_duration':3}"), RC_OK);
	assert_null(strstr(test_text(test_reply(t, 0), "from"), "44163296"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(filters_find_what_they_say),
		TEST(party_is_found_by_its_tails_and_by_patterns),
		TEST(what_is_held_is_found),
		TEST(pages_hold_each_call_once),
		TEST(wrong_words_are_refused),
		TEST(operator_may_not_look_for_a_party_in_any_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
