/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_reviews.c: what is made of a call goes with it, and whom it is given to hears that call, for a time, and
 * nothing else. */
#include "vault_help.h"

#include "vault/grants.h"

#define CALLS  3
#define DAY_US INT64_C(86400000000)

static struct test_call calls[CALLS];
static int64_t now_us;
static char played[128];

static int64_t test_clock(void *ctx)
{
	(void)ctx;
	return now_us += 1000;
}

/* Have alsa-lib's default device write into a file. */
static void play_into_file(const struct test_vault *t)
{
	char config[128];
	snprintf(config, sizeof config, "%s/asound.conf", t->path);
	snprintf(played, sizeof played, "%s/played", t->path);
	FILE *f = fopen(config, "w");
	assert_non_null(f);
	fprintf(f,
		"pcm.null { type null }\n"
		"pcm.default { type file slave.pcm \"null\" file \"%s\" format \"raw\" }\n",
		played);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(setenv("ALSA_CONFIG_PATH", config, 1), 0);
}

static void make_with(void **state, const char *policy, const char *passphrase)
{
	static struct test_vault t;
	test_vault_make(&t, policy, passphrase);
	test_record(&t, CALLS, calls);
	test_person(&t, "mia", ROLE_MANAGER);
	if (!passphrase)
		test_person(&t, "stan", ROLE_STAFF);
	test_person(&t, "stella", ROLE_STAFF);
	test_person(&t, "oscar", ROLE_OPERATOR);
	test_person(&t, "audrey", ROLE_AUDITOR);
	now_us = HOUR_US + DAY_US;
	vault_set_clock(t.v, test_clock, NULL);
	play_into_file(&t);
	*state = &t;
}

static int make(void **state)
{
	make_with(state, "lab", NULL);
	return 0;
}

static const char staff_passphrase[] = "staff passphrase";

static int make_sealed(void **state)
{
	struct person p = { .name = "stan", .role = ROLE_STAFF };
	struct seal_pair none;
	make_with(state, "30-day", PASSPHRASE);
	struct test_vault *t = *state;
	seal_pair_new(&none); /* not the vault's */
	assert_int_equal(people_box(&p, &none, staff_passphrase, &t->err), RC_OK);
	assert_int_equal(people_save(t->path, &p, &t->err), RC_OK);
	return 0;
}

#define id_of(n) test_id(&calls[n])

#define ADD "{'request':'review-add','id':'%s','score':4,'note':'friendly, but no name given'"

/* ---- reviews ------------------------------------------------------------------------------------------------- */

static void review_is_kept_with_its_call(void **state)
{
	struct test_vault *t = *state;
	const json_t *o = test_must_as(t, "mia", ADD "}", id_of(1));
	assert_string_equal(test_text(o, "review"), "V-1");
	(void)test_must(t, "{'request':'review-add','id':'%s','score':1,'note':'line\\nand line'}",
			id_of(2));
	o = test_must(t, "{'request':'review-show','review':'V-1'}");
	assert_string_equal(test_text(o, "call"), id_of(1));
	assert_int_equal(test_number(o, "score"), 4);
	assert_string_equal(test_text(o, "note"), "friendly, but no name given");
	assert_string_equal(test_text(o, "by"), "mia");
	assert_true(json_is_null(json_object_get(o, "for")));
	(void)test_must(t, "{'request':'review-list'}");
	assert_int_equal(json_array_size(t->replies), 2);
	assert_string_equal(test_text(test_reply(t, 1), "note"), "line\nand line");
	(void)test_must(t, "{'request':'review-list','call':'%s'}", id_of(2));
	assert_int_equal(json_array_size(t->replies), 1);
	assert_string_equal(test_text(test_reply(t, 0), "review"), "V-2");
	assert_int_equal(test_audited(t, "review-add", "done"), 2);
	const json_t *e = test_reply(t, json_array_size(t->replies) - 2);
	assert_string_equal(test_text(e, "call"), id_of(1));
	assert_string_equal(test_text(e, "detail"), "V-1: score 4");
}

static void review_names_the_sample_that_drew_the_call(void **state)
{
	struct test_vault *t = *state;
	const json_t *o = test_must(t, "{'request':'sample','count':1,'seed':1}");
	char id[UUID_TEXT];
	snprintf(id, sizeof id, "%s",
		 test_text(json_array_get(json_object_get(o, "calls"), 0), "id"));
	unsigned other = strcmp(id, id_of(0)) == 0 ? 1 : 0;
	assert_int_equal(test_ask(t, ADD ",'sample':'S-1'}", id_of(other)), RC_USAGE);
	assert_int_equal(test_ask(t, ADD ",'sample':'S-2'}", id), RC_USAGE);
	(void)test_must(t, ADD ",'sample':'S-1'}", id);
	o = test_must(t, "{'request':'sample-show','sample':'S-1'}");
	const json_t *call = json_array_get(json_object_get(o, "calls"), 0);
	assert_string_equal(json_string_value(json_array_get(json_object_get(call, "reviews"), 0)),
			    "V-1");
}

static void note_stands_nowhere_in_clear(void **state)
{
	struct test_vault *t = *state;
	static const char note[] = "friendly, but no name given";
	char path[256], hex[2 * sizeof note];
	size_t len;
	(void)test_must(t, ADD "}", id_of(1));
	const uint8_t *key, *value;
	size_t key_len, value_len;
	struct index_cursor *c = index_cursor_new(t->v->index, INDEX_REVIEWS, NULL, 0, false);
	while (index_cursor_next(c, &key, &key_len, &value, &value_len))
		assert_null(memmem(value, value_len, note, 8));
	index_cursor_free(c);
	snprintf(path, sizeof path, "%s/vault/ledger", t->path);
	uint8_t *bytes = read_file(path, &len);
	keys_hex(hex, (const uint8_t *)note, 8);
	assert_null(memmem(bytes, len, hex, 16));
	free(bytes);
}

/* As the purge does it: the slot, then the rows. */
static void destroy(struct test_vault *t, unsigned n)
{
	char path[STORE_PATH];
	struct call *c;
	assert_int_equal(catalogue_get(t->v, &calls[n].r.id, &c, &t->err), RC_OK);
	assert_int_equal(segments_locate(t->v, c->segment, path), SEGMENT_IN_VAULT);
	struct index_batch *b = index_batch_new(t->v->index);
	assert_int_equal(reviews_forget(t->v, b, &calls[n].r.id, &t->err), RC_OK);
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
	assert_int_equal(segment_destroy_slot(path, c->slot, &t->err), RC_OK);
	call_row_free(c);
}

static void destroyed_call_takes_its_reviews_along(void **state)
{
	struct test_vault *t = *state;
	(void)test_must(t, ADD "}", id_of(1));
	(void)test_must(t, ADD ",'for':'stan'}", id_of(1));
	(void)test_must(t, ADD "}", id_of(2));
	destroy(t, 1);
	(void)test_must(t, "{'request':'review-list'}");
	assert_int_equal(json_array_size(t->replies), 1);
	assert_string_equal(test_text(test_reply(t, 0), "review"), "V-3");
	assert_int_equal(test_ask(t, "{'request':'review-show','review':'V-1'}"), RC_USAGE);
	(void)test_must(t, ADD "}", id_of(0));
	assert_string_equal(test_text(test_reply(t, 0), "review"),
			    "V-4"); /* no number comes back */
	const uint8_t *key, *value;
	size_t key_len, value_len;
	struct index_cursor *c = index_cursor_new(t->v->index, INDEX_REVIEWS, NULL, 0, false);
	while (index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		assert_null(memmem(key, key_len, calls[1].r.id.b, 16));
		assert_null(memmem(value, value_len, calls[1].r.id.b, 16));
		assert_int_not_equal(key[0], 'e');
	}
	index_cursor_free(c);
}

/* Only the slot is gone (a crash before the rows went): the note opens no more. */
static void note_dies_with_the_slot(void **state)
{
	struct test_vault *t = *state;
	char path[STORE_PATH];
	struct call *c;
	(void)test_must(t, ADD "}", id_of(1));
	assert_int_equal(catalogue_get(t->v, &calls[1].r.id, &c, &t->err), RC_OK);
	assert_int_equal(segments_locate(t->v, c->segment, path), SEGMENT_IN_VAULT);
	assert_int_equal(segment_destroy_slot(path, c->slot, &t->err), RC_OK);
	call_row_free(c);
	const json_t *o = test_must(t, "{'request':'review-show','review':'V-1'}");
	assert_true(json_is_null(json_object_get(o, "note")));
	assert_int_equal(test_ask(t, ADD "}", id_of(1)), RC_FAILED);
}

static void wrong_words_are_one_line(void **state)
{
	static const struct {
		const char *more, *says;
	} asked[] = {
		{ "'score':0,'note':'x'", "1 to 5" },
		{ "'score':6,'note':'x'", "1 to 5" },
		{ "'note':'x'", "1 to 5" },
		{ "'score':3", "note must be" },
		{ "'score':3,'note':' \\n'", "note must be" },
		{ "'score':3,'note':'x','days':3", "for whom" },
		{ "'score':3,'note':'x','for':'stan','days':0", "1 to 90" },
		{ "'score':3,'note':'x','for':'stan','days':91", "1 to 90" },
		{ "'score':3,'note':'x','for':'nobody'", "listed" },
		{ "'score':3,'note':'x','for':'../stan'", "listed" },
		{ "'score':3,'note':'x','for':'mia'", "given to staff" },
		{ "'score':3,'note':'x','sample':'S-1'", "no sample S-1" },
	};
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		enum rc rc = test_ask(t, "{'request':'review-add','id':'%s',%s}", id_of(0),
				      asked[i].more);
		if (rc != RC_USAGE || !strstr(t->err.text, asked[i].says))
			fail_msg("%s: %d %s", asked[i].more, (int)rc, t->err.text);
	}
	assert_int_equal(test_ask(t, "{'request':'review-add','score':3,'note':'x'}"), RC_USAGE);
	assert_int_equal(test_ask(t, "{'request':'review-show','review':'V-1'}"), RC_USAGE);
	assert_int_equal(test_ask(t, "{'request':'review-show','review':'7'}"), RC_USAGE);
	(void)test_must(t, "{'request':'review-list'}");
	assert_int_equal(json_array_size(t->replies), 0);
}

static void long_note_is_refused(void **state)
{
	struct test_vault *t = *state;
	char note[REVIEW_NOTE + 2];
	memset(note, 'n', sizeof note);
	note[REVIEW_NOTE + 1] = '\0';
	json_t *request = json_pack("{s:s, s:s, s:i, s:s}", "request", "review-add", "id", id_of(0),
				    "score", 3, "note", note);
	const struct vault_caller who = { .person = "alice", .uid = 1000 };
	json_array_clear(t->replies);
	if (!t->replies)
		t->replies = json_array();
	assert_int_equal(vault_request(t->v, &who, request, test_collect, t, &t->err), RC_USAGE);
	json_object_set_new(request, "note", json_string(note + 1));
	assert_int_equal(vault_request(t->v, &who, request, test_collect, t, &t->err), RC_OK);
	assert_string_equal(test_text(test_reply(t, 0), "note"), note + 1);
	json_decref(request);
}

static void only_managers_and_controllers_review(void **state)
{
	static const char *const people[] = { "stan", "oscar", "audrey", "mallory" };
	struct test_vault *t = *state;
	(void)test_must(t, ADD "}", id_of(0));
	for (int p = 0; p < 4; p++) {
		assert_int_equal(test_ask_as(t, people[p], ADD "}", id_of(0)), RC_REFUSED);
		if (p)
			assert_int_equal(test_ask_as(t, people[p], "{'request':'review-list'}"),
					 RC_REFUSED);
	}
}

/* ---- rights to hear ---------------------------------------------------------------------------------------------- */

static enum rc hear(struct test_vault *t, const char *person, unsigned n, const char *more)
{
	(void)unlink(played);
	return test_ask_as(t, person, "{'request':'replay','id':'%s','play':true%s}", id_of(n),
			   more);
}

/* Stereo, 16 bit: one second of it. */
static void heard_it_all(void)
{
	struct stat st;
	assert_int_equal(stat(played, &st), 0);
	assert_int_equal(st.st_size, 8000 * 2 * 2);
}

static void heard_nothing(void)
{
	struct stat st;
	assert_true(stat(played, &st) != 0 || st.st_size == 0);
}

static void staff_hear_the_call_that_was_given_to_them_and_no_other(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(hear(t, "stan", 1, ""), RC_USAGE);
	const json_t *o = test_must_as(t, "mia", ADD ",'for':'stan'}", id_of(1));
	assert_true(json_is_true(json_object_get(o, "may_hear")));
	assert_string_equal(test_text(o, "for"), "stan");
	if (hear(t, "stan", 1, "") != RC_OK)
		fail_msg("%s", t->err.text);
	heard_it_all();
	assert_int_equal(hear(t, "stan", 0, ""), RC_USAGE);
	heard_nothing();
	assert_int_equal(hear(t, "stella", 1, ""), RC_USAGE);
	heard_nothing();
	assert_int_equal(test_audited(t, "replay", "granted"), 1);
	assert_int_equal(test_audited(t, "replay", "done"), 1);
	const json_t *e = test_reply(t, json_array_size(t->replies) - 1);
	assert_string_equal(test_text(e, "person"), "stan");
	assert_string_equal(test_text(e, "role"), "staff");
	assert_string_equal(test_text(e, "purpose"), "training");
	assert_int_equal(test_audited(t, "right-given", "done"), 1);
}

static void staff_take_nothing_along(void **state)
{
	static const char *const asked[] = {
		"{'request':'export','id':'%s','fd':1,'purpose':'training','reference':'r'}",
		"{'request':'replay','id':'%s','fd':1,'purpose':'training','reference':'r'}",
		"{'request':'replay','id':'%s','play':true,'purpose':'complaint','reference':'r'}",
		"{'request':'fingerprint','id':'%s','purpose':'training','reference':'r'}",
		"{'request':'digits','id':'%s','purpose':'training','reference':'r'}",
		"{'request':'calls','party':'%.4s'}",
		"{'request':'coverage','since':'%.0s'}",
	};
	struct test_vault *t = *state;
	(void)test_must_as(t, "mia", ADD ",'for':'stan'}", id_of(1));
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		char text[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof text, asked[i], id_of(1));
#pragma GCC diagnostic pop
		enum rc rc = test_ask_as(t, "stan", "%s", text);
		if (rc != RC_REFUSED && !(rc == RC_USAGE && strstr(text, "coverage")))
			fail_msg("%s: %d %s", text, (int)rc, t->err.text);
	}
	assert_int_equal(test_audited(t, "replay", "granted"), 0);
}

static void staff_see_their_call_masked_and_what_was_made_of_it(void **state)
{
	struct test_vault *t = *state;
	(void)test_must_as(t, "mia", ADD ",'for':'stan'}", id_of(1));
	(void)test_must_as(t, "mia", ADD "}", id_of(1));
	(void)test_must_as(t, "mia", ADD ",'for':'stella'}", id_of(2));
	const json_t *o = test_must_as(t, "stan", "{'request':'show','id':'%s'}", id_of(1));
	assert_null(strstr(test_text(o, "from"), "163296"));
	assert_true(json_is_null(json_object_get(o, "from_name")));
	assert_int_equal(test_ask_as(t, "stan", "{'request':'show','id':'%s'}", id_of(2)),
			 RC_USAGE);
	(void)test_must_as(t, "stan", "{'request':'review-list'}");
	assert_int_equal(json_array_size(t->replies), 1);
	assert_string_equal(test_text(test_reply(t, 0), "note"), "friendly, but no name given");
	assert_int_equal(test_ask_as(t, "stan", "{'request':'review-show','review':'V-2'}"),
			 RC_USAGE);
	(void)test_must(t, "{'request':'review-list','person':'stella'}");
	assert_int_equal(json_array_size(t->replies), 1);
	assert_string_equal(test_text(test_reply(t, 0), "review"), "V-3");
}

static void right_is_over_when_its_time_is(void **state)
{
	struct test_vault *t = *state;
	(void)test_must_as(t, "mia", ADD ",'for':'stan'}", id_of(1));
	(void)test_must_as(t, "mia", ADD ",'for':'stan','days':30}", id_of(2));
	now_us += 14 * DAY_US - 60000000;
	assert_int_equal(hear(t, "stan", 1, ""), RC_OK);
	now_us += 120000000;
	assert_int_equal(hear(t, "stan", 1, ""), RC_USAGE);
	heard_nothing();
	assert_int_equal(hear(t, "stan", 2, ""), RC_OK);
	const json_t *o = test_must(t, "{'request':'review-show','review':'V-1'}");
	assert_true(json_is_false(json_object_get(o, "may_hear")));
	assert_int_equal(test_audited(t, "right-over", "done"), 1);
	/* A right given anew counts. */
	(void)test_must_as(t, "mia", ADD ",'for':'stan','days':1}", id_of(1));
	assert_int_equal(hear(t, "stan", 1, ""), RC_OK);
}

static void policy_without_training_gives_nothing(void **state)
{
	struct test_vault *t = *state;
	(void)test_must_as(t, "mia", ADD ",'for':'stan'}", id_of(1));
	t->v->policy.purposes &= ~(1u << policy_purpose("training"));
	assert_int_equal(hear(t, "stan", 1, ""), RC_REFUSED);
	heard_nothing();
	assert_int_equal(test_ask_as(t, "mia", ADD ",'for':'stan'}", id_of(2)), RC_REFUSED);
	assert_non_null(strstr(t->err.text, "training"));
	(void)test_must_as(t, "mia", ADD "}", id_of(2));
	/* allowed, and not to staff */
	t->v->policy.purposes |= 1u << policy_purpose("training");
	t->v->policy.purpose_roles[policy_purpose("training")] = ROLE_CONTROLLER | ROLE_MANAGER;
	assert_int_equal(hear(t, "stan", 1, ""), RC_REFUSED);
	heard_nothing();
	assert_int_equal(test_ask_as(t, "mia", ADD ",'for':'stan'}", id_of(2)), RC_REFUSED);
}

static void nobody_who_is_disabled_hears_or_is_given_a_call(void **state)
{
	struct test_vault *t = *state;
	struct person p;
	(void)test_must_as(t, "mia", ADD ",'for':'stan'}", id_of(1));
	assert_int_equal(people_load(t->path, "stan", &p, &t->err), RC_OK);
	p.disabled = true;
	assert_int_equal(people_replace(t->path, &p, &t->err), RC_OK);
	assert_int_equal(hear(t, "stan", 1, ""), RC_REFUSED);
	heard_nothing();
	assert_int_equal(test_ask_as(t, "mia", ADD ",'for':'stan'}", id_of(2)), RC_USAGE);
	assert_non_null(strstr(t->err.text, "disabled"));
}

/* ---- under passphrases --------------------------------------------------------------------------------------------- */

#define WITH(p) ",'passphrase':'" p "'"

static void give(struct test_vault *t, unsigned n)
{
	(void)test_must(t, ADD ",'for':'stan'" WITH(PASSPHRASE) "}", id_of(n));
}

/* Whether the key of a review's right opens anything, for whoever has all files and the passphrase. */
static bool key_opens(struct test_vault *t, const struct review *r)
{
	uint8_t key[KEY_BYTES], box[KEY_BYTES + SEAL_OVERHEAD];
	struct person p;
	struct seal_pair own;
	assert_int_equal(people_load(t->path, "stan", &p, &t->err), RC_OK);
	assert_int_equal(people_open_own(&p, staff_passphrase, &own, &t->err), RC_OK);
	return matter_open(t->v, r->matter - 1, &r->call, r->audio_key, sizeof r->audio_key, box,
			   &t->err) == RC_OK &&
	       seal_open(key, box, sizeof box, &own);
}

static void given_call_opens_with_the_passphrase_of_its_hearer(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, ADD ",'for':'stan'}", id_of(1)), RC_AGAIN);
	assert_int_equal(test_ask(t, ADD ",'for':'stan'" WITH("wrong") "}", id_of(1)), RC_REFUSED);
	(void)test_must(t, "{'request':'review-list'}");
	assert_int_equal(json_array_size(t->replies), 0);
	give(t, 1);
	assert_int_equal(hear(t, "stan", 1, ""), RC_AGAIN);
	assert_int_equal(hear(t, "stan", 1, WITH("wrong")), RC_REFUSED);
	heard_nothing();
	assert_int_equal(hear(t, "stan", 2, WITH("staff passphrase")), RC_USAGE);
	if (hear(t, "stan", 1, WITH("staff passphrase")) != RC_OK)
		fail_msg("%s", t->err.text);
	heard_it_all();
	/* who has no passphrase cannot be given one */
	assert_int_equal(test_ask(t, ADD ",'for':'stella'" WITH(PASSPHRASE) "}", id_of(1)),
			 RC_REFUSED);
	assert_non_null(strstr(t->err.text, "callspan person"));
}

static void key_of_a_right_is_gone_with_its_time(void **state)
{
	struct test_vault *t = *state;
	struct review r;
	give(t, 1);
	assert_int_equal(reviews_find(t->v, "V-1", &r, &t->err), RC_OK);
	assert_true(key_opens(t, &r));
	now_us += 15 * DAY_US;
	(void)test_must(t, "{'request':'calls'}"); /* whatever is asked for */
	assert_false(key_opens(t, &r));
	assert_int_equal(hear(t, "stan", 1, WITH("staff passphrase")), RC_USAGE);
	heard_nothing();
	assert_int_equal(reviews_find(t->v, "V-1", &r, &t->err), RC_OK);
	assert_false(r.has_audio_key);
	assert_int_equal(test_audited(t, "right-over", "done"), 1);
}

static void key_of_a_right_is_gone_with_its_call(void **state)
{
	struct test_vault *t = *state;
	struct review r;
	give(t, 1);
	assert_int_equal(reviews_find(t->v, "V-1", &r, &t->err), RC_OK);
	destroy(t, 1);
	assert_false(key_opens(t, &r));
	assert_int_not_equal(hear(t, "stan", 1, WITH("staff passphrase")), RC_OK);
	heard_nothing();
}

int main(void)
{
#define TEST(f)        cmocka_unit_test_setup_teardown(f, make, test_vault_drop)
#define TEST_SEALED(f) cmocka_unit_test_setup_teardown(f, make_sealed, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(review_is_kept_with_its_call),
		TEST(review_names_the_sample_that_drew_the_call),
		TEST(note_stands_nowhere_in_clear),
		TEST(destroyed_call_takes_its_reviews_along),
		TEST(note_dies_with_the_slot),
		TEST(wrong_words_are_one_line),
		TEST(long_note_is_refused),
		TEST(only_managers_and_controllers_review),
		TEST(staff_hear_the_call_that_was_given_to_them_and_no_other),
		TEST(staff_take_nothing_along),
		TEST(staff_see_their_call_masked_and_what_was_made_of_it),
		TEST(right_is_over_when_its_time_is),
		TEST(policy_without_training_gives_nothing),
		TEST(nobody_who_is_disabled_hears_or_is_given_a_call),
		TEST_SEALED(given_call_opens_with_the_passphrase_of_its_hearer),
		TEST_SEALED(key_of_a_right_is_gone_with_its_time),
		TEST_SEALED(key_of_a_right_is_gone_with_its_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
