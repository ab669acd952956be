/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_purge.c: a purge destroys exactly what is due and free to go, and nothing when the clock is not to be believed. */
#include "purge_help.h"

#include <sys/timex.h>

#include "vault/holds.h"

static void exactly_what_is_due_goes(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[6];
	struct store_writer *w = test_recorder(t);
	for (unsigned i = 0; i < 6; i++)
		purge_call(w, &c[i], i, i % 2 ? "long" : "standard");
	test_finish(t, w);
	for (int day = 0; day < 310; day += 10) {
		assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
		assert_int_equal(purge_living(t), day <= 29 ? 6 : day < 300 ? 3 : 0);
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(purge_lives(t, &c[i]), day < (i % 2 ? 300 : 30));
		assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
		purge_now += 10 * DAY_US;
	}
	assert_int_equal(purge_lines(t, NULL), 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(purge_lines(t, &c[i]), 1);
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	const json_t *purge = json_object_get(test_reply(t, 0), "purge");
	assert_int_equal(test_number(purge, "destroyed_total"), 6);
	assert_int_equal(test_number(purge, "due"), 0);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void tie(struct test_vault *t, const struct uuid *holder, const struct test_call *c,
		bool tied)
{
	struct index_batch *b = index_batch_new(t->v->index);
	if (tied)
		holds_tie(t->v, b, holder, &c->r.id);
	else
		assert_int_equal(holds_untie(t->v, b, holder, &c->r.id, &t->err), RC_OK);
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
}

static void held_call_outlives_its_time_and_goes_when_it_is_released(void **state)
{
	struct test_vault *t = *state;
	struct uuid holder = uuid_v7(clock_real_ns());
	struct test_call c[3];
	purge_record(t, c, 3, "standard");
	tie(t, &holder, &c[1], true);
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 2);
	assert_int_equal(test_number(test_reply(t, 0), "held"), 1);
	assert_true(purge_lives(t, &c[1]));
	tie(t, &holder, &c[1], false);
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 1);
	assert_false(purge_lives(t, &c[1]));
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

static void dry_run_tells_and_changes_nothing(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[4];
	purge_record(t, c, 4, "standard");
	purge_now += 31 * DAY_US;
	uint64_t entries = t->v->head.number;
	assert_int_equal(test_ask(t, "{'request':'purge','dry_run':true}"), RC_OK);
	const json_t *o = test_reply(t, 0);
	assert_int_equal(test_number(o, "due"), 4);
	assert_int_equal(test_number(o, "total"), 4);
	const json_t *class = json_array_get(json_object_get(o, "by_class"), 0);
	assert_string_equal(test_text(class, "class"), "standard");
	assert_int_equal(test_number(class, "count"), 4);
	assert_true(test_number(class, "bytes") > 4 * 2 * 50 * 160);
	assert_true(json_is_null(json_object_get(o, "would_refuse")));
	assert_int_equal(t->v->head.number, entries);
	assert_int_equal(purge_living(t), 4);
	t->v->policy.max_share = 20;
	assert_int_equal(test_ask(t, "{'request':'purge','dry_run':true}"), RC_OK);
	assert_non_null(strstr(test_text(test_reply(t, 0), "would_refuse"), "20 percent"));
	assert_int_equal(purge_lines(t, NULL), 0);
}

/* A purge that must be refused, with these words, and leave all as it was. */
static void expect_refused(struct test_vault *t, const char *request, const char *words)
{
	size_t living = purge_living(t), refused = test_audited(t, "purge", "refused");
	size_t lines = purge_lines(t, NULL);
	assert_int_equal(test_ask(t, "%s", request), RC_FAILED);
	assert_non_null(strstr(t->err.text, words));
	assert_int_equal(test_audited(t, "purge", "refused"), refused + 1);
	assert_int_equal(purge_living(t), living);
	assert_int_equal(purge_lines(t, NULL), lines);
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	const json_t *purge = json_object_get(test_reply(t, 0), "purge");
	assert_non_null(strstr(test_text(purge, "refused_why"), words));
}

static void clock_a_year_ahead_destroys_nothing(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[8];
	purge_record(t, c, 4, "long");
	purge_now += 366 * DAY_US;
	expect_refused(t, "{'request':'purge'}", "more than 40 days past");
	/* What is recorded meanwhile does not make the clock right. */
	struct store_writer *w = test_recorder(t);
	for (unsigned i = 4; i < 8; i++)
		purge_call(w, &c[i], i, "long");
	test_finish(t, w);
	expect_refused(t, "{'request':'purge'}", "more than 40 days past");
	/* Put right, it is believed again, though the trail has entries from that year. */
	purge_now -= 366 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 0);
	assert_int_equal(purge_living(t), 8);
}

static void store_left_off_for_two_months_is_purged_when_told(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[2];
	purge_record(t, c, 2, "standard");
	purge_now += 61 * DAY_US;
	expect_refused(t, "{'request':'purge'}", "--yes");
	assert_int_equal(test_ask(t, "{'request':'purge','yes':true}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 2);
	purge_record(t, c, 2, "standard");
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 2);
}

static void clock_that_is_behind_is_not_believed_on_its_word(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[2];
	test_person(t, "oscar", ROLE_OPERATOR);
	purge_record(t, c, 2, "standard");
	purge_now += 32 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	purge_now -= DAY_US;
	expect_refused(t, "{'request':'purge'}", "is behind the newest audit entry");
	/* That refusal is the newest entry now, and tells nothing new of the clock. */
	expect_refused(t, "{'request':'purge'}", "is behind the newest audit entry");
	assert_int_equal(test_ask_as(t, "oscar", "{'request':'purge','yes':true}"), RC_FAILED);
	assert_non_null(strstr(t->err.text, "a controller may say --yes"));
	purge_now += DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(purge_living(t), 0);
}

/* The kernel's word on its clock. */
static bool synchronised;
int adjtimex(struct timex *t)
{
	t->status = synchronised ? 0 : STA_UNSYNC;
	return synchronised ? TIME_OK : TIME_ERROR;
}

/* The detail of the newest entry of an action and outcome. */
static const char *newest_detail(struct test_vault *t, const char *action, const char *outcome)
{
	const char *detail = NULL;
	assert_int_equal(test_ask(t, "{'request':'audit-list'}"), RC_OK);
	for (size_t i = 0; i < json_array_size(t->replies); i++) {
		const json_t *o = json_array_get(t->replies, i);
		const char *what = json_string_value(json_object_get(o, "outcome"));
		if (strcmp(test_text(o, "action"), action) == 0 && what &&
		    strcmp(what, outcome) == 0)
			detail = test_text(o, "detail");
	}
	assert_non_null(detail);
	return detail;
}

/* What was taken in while the clock was ahead keeps no purge from a clock that is right, once a controller has said so. */
static void clock_that_is_set_back_right_is_believed_once_a_controller_says_so(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[5];
	test_person(t, "oscar", ROLE_OPERATOR);
	purge_record(t, c, 2, "standard");
	purge_now += 32 * DAY_US;
	purge_record(t, c + 2, 1, "long");
	purge_now += 30 * DAY_US;
	purge_record(t, c + 3, 1, "long");
	purge_now -= 31 * DAY_US;
	expect_refused(t, "{'request':'purge'}", "is behind the newest audit entry or ingest");
	assert_int_equal(test_ask(t, "{'request':'purge','dry_run':true,'yes':true}"), RC_OK);
	assert_true(json_is_null(json_object_get(test_reply(t, 0), "would_refuse")));
	expect_refused(t, "{'request':'purge'}", "is behind the newest audit entry or ingest");
	assert_int_equal(test_ask(t, "{'request':'purge','yes':true}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 2);
	assert_non_null(strstr(newest_detail(t, "purge", "started"), "the clock was behind @"));
	/* From now on time is what it was said to be: for each night, and for a clock that is ahead. */
	purge_now += DAY_US;
	assert_int_equal(test_ask_as(t, "oscar", "{'request':'purge'}"), RC_OK);
	assert_null(strstr(newest_detail(t, "purge", "started"), "behind"));
	purge_reopen(t);
	assert_int_equal(test_ask_as(t, "oscar", "{'request':'purge'}"), RC_OK);
	purge_now += 310 * DAY_US;
	expect_refused(t, "{'request':'purge'}", "more than 40 days past");
}

static void clock_that_is_not_synchronised_is_not_believed_behind(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[2];
	purge_now += 20 * DAY_US;
	purge_record(t, c, 2, "standard");
	vault_set_clock(t->v, NULL, NULL);
	synchronised = false;
	expect_refused(t, "{'request':'purge','yes':true}", "have it synchronised first");
	synchronised = true;
	expect_refused(t, "{'request':'purge'}", "set it right");
	assert_int_equal(test_ask(t, "{'request':'purge','yes':true}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
}

/* The signed heads outlive the index, and so does what is known of time. */
static void clock_is_held_against_the_signed_heads_when_the_index_is_lost(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[3];
	char path[128];
	(void)snprintf(path, sizeof path, "%s/vault/index", t->path);
	purge_record(t, c, 3, "standard");
	for (int round = 0; round < 2; round++) {
		vault_close(t->v);
		disk_remove_tree(path);
		purge_open(t);
		purge_now += 366 * DAY_US + 2000000;
		/* What is signed at the wrong time is a step too far as well. */
		assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
		assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
		expect_refused(t, "{'request':'purge'}", "more than 40 days past");
		purge_now -= 366 * DAY_US;
	}
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 3);
}

static void large_share_needs_a_yes(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[10];
	struct store_writer *w = test_recorder(t);
	for (unsigned i = 0; i < 10; i++)
		purge_call(w, &c[i], i, i < 3 ? "standard" : "long");
	test_finish(t, w);
	purge_now += 31 * DAY_US;
	t->v->policy.max_share = 29;
	expect_refused(t, "{'request':'purge'}", "3 of 10 recordings would go");
	t->v->policy.max_share = 30;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(purge_living(t), 7);
	purge_now += 300 * DAY_US;
	t->v->policy.max_share = 30;
	assert_int_equal(test_ask(t, "{'request':'purge','yes':true}"), RC_OK);
	assert_int_equal(purge_living(t), 0);
}

static void purge_again_destroys_nothing_more(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[5];
	purge_record(t, c, 5, "standard");
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 5);
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 0);
	assert_int_equal(purge_lines(t, NULL), 5);
	assert_int_equal(test_audited(t, "destroyed", "done"), 1);
}

static void only_who_runs_the_system_may_purge(void **state)
{
	static const struct {
		const char *name;
		enum role role;
		enum rc rc;
	} people[] = { { "mary", ROLE_MANAGER, RC_REFUSED },
		       { "ann", ROLE_AUDITOR, RC_REFUSED },
		       { "sam", ROLE_STAFF, RC_REFUSED },
		       { "oscar", ROLE_OPERATOR, RC_OK } };
	struct test_vault *t = *state;
	for (size_t i = 0; i < sizeof people / sizeof people[0]; i++) {
		test_person(t, people[i].name, people[i].role);
		assert_int_equal(test_ask_as(t, people[i].name, "{'request':'purge'}"),
				 people[i].rc);
	}
	assert_int_equal(test_audited(t, "purge", "refused"), 3);
}

static void nothing_is_left_of_destroyed_keys(void **state)
{
	static struct purge_boxes boxes;
	struct test_vault *t = *state;
	struct test_call c[20];
	purge_record(t, c, 20, "standard");
	purge_boxes(t, &boxes);
	assert_int_equal(boxes.count, 40);
	assert_int_equal(purge_find_boxes(t, &boxes), 40);
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge','verify':true}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "searched"), 40);
	assert_int_equal(test_number(test_reply(t, 0), "traces"), 0);
	assert_int_equal(purge_find_boxes(t, &boxes), 0);
}

static void forgotten_copy_of_slots_is_found(void **state)
{
	struct test_vault *t = *state;
	char path[512], copy[160];
	struct test_call c[3];
	size_t len;
	purge_record(t, c, 3, "standard");
	assert_true(test_find(t, "vault/segments", ".keys", path));
	uint8_t *bytes = read_file(path, &len);
	(void)snprintf(copy, sizeof copy, "%s/vault/forgotten", t->path);
	write_file(copy, bytes + 4096 + 256, 256); /* of call 1, at an odd place */
	free(bytes);
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge','verify':true}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "vault/forgotten at 24"));
	assert_int_equal(test_number(test_reply(t, 0), "traces"), 2);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 3);
}

static void old_copy_of_a_segment_opens_nothing(void **state)
{
	struct test_vault *t = *state;
	char path[512], old[700], keys[700];
	struct test_call c[40];
	struct store_writer *w = test_recorder(t);
	for (unsigned i = 0; i < 40; i++)
		purge_call(w, &c[i], i, "standard");
	test_finish(t, w);
	assert_int_equal(purge_living(t), 40);
	struct uuid holder = uuid_v7(clock_real_ns());
	tie(t, &holder, &c[7], true);
	assert_true(test_find(t, "vault/segments", ".seg", path));
	(void)snprintf(old, sizeof old, "%s.seg", t->path);
	purge_copy_tree(path, old);
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_true(test_find(t, "vault/segments", ".keys", path));
	(void)snprintf(keys, sizeof keys, "%s.keys", t->path);
	purge_copy_tree(path, keys);
	struct segment *s = test_segment(old);
	for (uint32_t n = 0; n < 40; n++) {
		struct call_keys k;
		enum rc rc =
			segment_keys(s, n, &t->v->keys.audio, &t->v->keys.metadata, &k, &t->err);
		assert_int_equal(rc, n == 7 ? RC_OK : RC_NOT_FOUND);
	}
	segment_close(s);
	(void)unlink(old);
	(void)unlink(keys);
}

static void call_of_an_open_segment_is_destroyed_where_it_lies(void **state)
{
	static struct purge_boxes boxes;
	char path[512];
	struct test_vault *t = *state;
	struct test_call c[3];
	struct store_writer *w = test_recorder(t);
	purge_call(w, &c[0], 0, "standard");
	store_writer_tick(w, NS_PER_S * 100, c[0].r.start_us * 1000);
	store_writer_tick(w, NS_PER_S * 200, c[0].r.start_us * 1000);
	assert_int_equal(purge_living(t), 1);
	assert_true(test_find(t, "recorder", ".seg", path));
	purge_boxes(t, &boxes);
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge','verify':true}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 1);
	assert_false(purge_lives(t, &c[0]));
	/* The recorder goes on, and knows nothing of it. */
	purge_now -= 31 * DAY_US;
	purge_call(w, &c[1], 1, "standard");
	purge_now += 31 * DAY_US;
	test_finish(t, w);
	assert_int_equal(purge_living(t), 1);
	assert_int_equal(purge_find_boxes(t, &boxes), 0);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

static void report_is_signed(void **state)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct test_vault *t = *state;
	struct test_call c[3];
	uint8_t sig[66];
	size_t len;
	purge_record(t, c, 3, "standard");
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	char *text = (char *)read_file(test_text(test_reply(t, 0), "report"), &len);
	text[len] = '\0';
	char *second = strchr(text, '\n');
	assert_non_null(second);
	*second++ = '\0';
	assert_int_equal(strlen(second), 89); /* with its newline */
	for (size_t i = 0, bits = 0, x = 0, n = 0; i < 88; i++) {
		const char *d = strchr(digits, second[i]);
		x = x << 6 | (d && *d ? (size_t)(d - digits) : 0);
		bits += 6;
		if (bits >= 8 && n < sizeof sig)
			sig[n++] = (uint8_t)(x >> (bits -= 8));
	}
	assert_true(sign_verify(sig, text, strlen(text), t->v->keys.heads.public_key));
	json_t *report = json_loads(text, 0, NULL);
	assert_non_null(report);
	assert_int_equal(test_number(report, "destroyed"), 3);
	assert_string_equal(test_text(report, "person"), "alice");
	assert_int_equal(test_number(json_object_get(report, "disposals"), "from"), 0);
	json_decref(report);
	text[10] ^= 1;
	assert_false(sign_verify(sig, text, strlen(text), t->v->keys.heads.public_key));
	free(text);
}

static void slot_of_another_recording_is_left_alone(void **state)
{
	struct test_vault *t = *state;
	char path[512];
	struct test_call c[3];
	size_t len;
	purge_record(t, c, 3, "standard");
	assert_true(test_find(t, "vault/segments", ".keys", path));
	uint8_t *bytes = read_file(path, &len);
	bytes[4096 + 256 + 3] ^= 1; /* the id in slot 1 */
	write_file(path, bytes, len);
	free(bytes);
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_FAILED);
	assert_non_null(strstr(t->err.text, "1 recordings could not be destroyed"));
	assert_non_null(strstr(t->err.text, "slot 1 is another recording's"));
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 2);
	assert_int_equal(purge_living(t), 1);
	assert_int_equal(purge_lines(t, &c[1]), 0);
}

/* A folder of segments that is not mounted holds what is not here now: that lives on. */
static void segment_out_of_reach_is_not_gone(void **state)
{
	struct test_vault *t = *state;
	char folder[160], away[160];
	struct test_call c[3];
	purge_record(t, c, 3, "standard");
	(void)snprintf(folder, sizeof folder, "%s/vault/segments", t->path);
	(void)snprintf(away, sizeof away, "%s/away", t->path);
	assert_int_equal(rename(folder, away), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_FAILED);
	assert_non_null(strstr(t->err.text, "3 recordings could not be destroyed"));
	assert_non_null(strstr(t->err.text, "its slot file is not there"));
	assert_int_equal(purge_living(t), 3);
	assert_int_equal(purge_lines(t, NULL), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(rename(away, folder), 0);
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 3);
	assert_int_equal(test_number(test_reply(t, 0), "absent"), 0);
	assert_int_equal(purge_living(t), 0);
}

/* Whoever has the recorder puts a slot file there that is none: nobody's destruction hangs on it. */
static void stray_slot_file_at_the_recorder_stops_nothing(void **state)
{
	static const size_t sizes[] = { 0, 10, 4096 + 256, 4096 + 3 * 256 };
	struct test_vault *t = *state;
	char path[512], stray[512];
	struct test_call c[3];
	uint8_t bytes[4096 + 3 * 256];
	memset(bytes, 0x5a, sizeof bytes);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		purge_record(t, c, 3, "standard");
		assert_true(test_find(t, "vault/segments", ".keys", path));
		(void)snprintf(stray, sizeof stray, "%s/recorder/%s", t->path,
			       strrchr(path, '/') + 1);
		write_file(stray, bytes, sizes[i]);
		purge_now += 31 * DAY_US;
		if (test_ask(t, "{'request':'purge'}") != RC_OK)
			fail_msg("%zu: %s", sizes[i], t->err.text);
		assert_int_equal(test_number(test_reply(t, 0), "destroyed"), 3);
		assert_int_equal(purge_living(t), 0);
		assert_int_equal(purge_lines(t, NULL), 3 * (i + 1));
		(void)unlink(stray);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, purge_make, purge_drop)
	const struct CMUnitTest tests[] = {
		TEST(exactly_what_is_due_goes),
		TEST(held_call_outlives_its_time_and_goes_when_it_is_released),
		TEST(dry_run_tells_and_changes_nothing),
		TEST(clock_a_year_ahead_destroys_nothing),
		TEST(store_left_off_for_two_months_is_purged_when_told),
		TEST(clock_that_is_behind_is_not_believed_on_its_word),
		TEST(clock_that_is_set_back_right_is_believed_once_a_controller_says_so),
		TEST(clock_that_is_not_synchronised_is_not_believed_behind),
		TEST(clock_is_held_against_the_signed_heads_when_the_index_is_lost),
		TEST(large_share_needs_a_yes),
		TEST(purge_again_destroys_nothing_more),
		TEST(only_who_runs_the_system_may_purge),
		TEST(nothing_is_left_of_destroyed_keys),
		TEST(forgotten_copy_of_slots_is_found),
		TEST(old_copy_of_a_segment_opens_nothing),
		TEST(call_of_an_open_segment_is_destroyed_where_it_lies),
		TEST(report_is_signed),
		TEST(slot_of_another_recording_is_left_alone),
		TEST(segment_out_of_reach_is_not_gone),
		TEST(stray_slot_file_at_the_recorder_stops_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
