/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_lost.c: a segment whose files are lost stops purges and exchanges of keys until a person writes it off; what was in
 * it is then on record, and stays gone.
 */
#include "purge_help.h"

#include <glob.h>

#define CALLS 3

/* The one lost segment, and the folder of all. */
struct loss {
	char name[SEGMENT_NAME], folder[160], away[160];
};

static void name_of(struct test_vault *t, struct loss *l)
{
	char path[512];
	glob_t found;
	(void)snprintf(l->folder, sizeof l->folder, "%s/vault/segments", t->path);
	(void)snprintf(path, sizeof path, "%s/*-standard-*.seg", l->folder);
	assert_int_equal(glob(path, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	snprintf(l->name, sizeof l->name, "%s", strrchr(found.gl_pathv[0], '/') + 1);
	*strrchr(l->name, '.') = '\0';
	globfree(&found);
	(void)snprintf(l->away, sizeof l->away, "%s-away", t->path);
}

static void drop_away(const struct loss *l)
{
	disk_remove_tree(l->away);
}

static void remove_part(const struct loss *l, const char *ext)
{
	char path[512];
	(void)snprintf(path, sizeof path, "%s/%s%s", l->folder, l->name, ext);
	assert_int_equal(unlink(path), 0);
}

static bool is_there(const struct loss *l, const char *folder, const char *ext)
{
	char path[512];
	(void)snprintf(path, sizeof path, "%s/%s%s", folder, l->name, ext);
	return access(path, F_OK) == 0;
}

/* Calls of 30 days in one segment, which is then lost (a copy lies `away`), and one of 300 in another. */
static void lose(struct test_vault *t, struct test_call c[CALLS + 1], struct loss *l)
{
	purge_record(t, c, CALLS, "standard");
	name_of(t, l);
	purge_copy_tree(l->folder, l->away);
	purge_record(t, c + CALLS, 1, "long");
	remove_part(l, ".seg");
	remove_part(l, ".keys");
}

static enum rc write_off(struct test_vault *t, const struct loss *l, const char *more)
{
	return test_ask(t,
			"{'request':'segment-write-off','segment':'%s','reason':'disk 2 failed'%s}",
			l->name, more);
}

static void expect_missing(struct test_vault *t, const struct loss *l, json_int_t missing)
{
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	const json_t *o = test_reply(t, 0), *names = json_object_get(o, "missing_segments");
	assert_int_equal(test_number(json_object_get(o, "segments"), "missing"), missing);
	assert_int_equal(json_array_size(names), missing);
	if (missing)
		assert_string_equal(json_string_value(json_array_get(names, 0)), l->name);
}

/* The detail of the newest entry of a write-off with this outcome. */
static const char *entry(struct test_vault *t, const char *outcome)
{
	const char *detail = NULL;
	assert_int_equal(test_ask(t, "{'request':'audit-list','action':'segment-write-off'}"),
			 RC_OK);
	for (size_t i = 0; i < json_array_size(t->replies); i++) {
		const json_t *o = json_array_get(t->replies, i);
		if (strcmp(test_text(o, "outcome"), outcome) == 0)
			detail = test_text(o, "detail");
	}
	assert_non_null(detail);
	return detail;
}

/* How many lines of the file of disposals say this. */
static size_t disposed_as(const struct test_vault *t, const char *why)
{
	char path[128];
	size_t len, n = 0;
	(void)snprintf(path, sizeof path, "%s/vault/disposals", t->path);
	char *text = (char *)read_file(path, &len);
	text[len] = '\0';
	for (char *at = strstr(text, why); at; at = strstr(at + 1, why))
		n++;
	free(text);
	return n;
}

static void expect_over(struct test_vault *t, const struct test_call *c, const struct loss *l)
{
	for (unsigned i = 0; i < CALLS; i++) {
		assert_false(purge_lives(t, &c[i]));
		assert_int_equal(purge_lines(t, &c[i]), 1);
	}
	expect_missing(t, l, 0);
	if (test_ask(t, "{'request':'purge'}") != RC_OK)
		fail_msg("purge: %s", t->err.text);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_false(is_there(l, l->folder, ".seg") || is_there(l, l->folder, ".keys"));
}

static void lost_segment_stops_everything_until_it_is_written_off(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[CALLS + 1];
	struct loss l;
	lose(t, c, &l);
	purge_now += 31 * DAY_US;
	for (int night = 0; night < 2; night++) {
		assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_FAILED);
		assert_non_null(strstr(t->err.text, "callspan segment write-off"));
		assert_non_null(strstr(t->err.text, l.name));
		purge_now += DAY_US;
	}
	expect_missing(t, &l, 1);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, l.name));
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_FAILED);
	assert_non_null(strstr(t->err.text, "callspan segment write-off"));
	assert_int_equal(test_ask(t, "{'request':'key-rotate'}"), RC_FAILED);
	assert_non_null(strstr(t->err.text, "callspan segment write-off"));
	assert_int_equal(purge_living(t), CALLS + 1);
	if (write_off(t, &l, "") != RC_OK)
		fail_msg("write-off: %s", t->err.text);
	assert_int_equal(test_number(test_reply(t, 0), "recordings"), CALLS);
	assert_int_equal(test_number(test_reply(t, 0), "unknown"), 0);
	assert_non_null(strstr(entry(t, "granted"), "recordings=3 reason=disk 2 failed"));
	assert_non_null(strstr(entry(t, "done"), l.name));
	assert_int_equal(disposed_as(t, " lost "), CALLS);
	assert_int_equal(disposed_as(t, " absent\n"), CALLS);
	expect_over(t, c, &l);
	assert_int_equal(purge_living(t), 1);
	assert_int_equal(test_ask(t, "{'request':'key-rotate'}"), RC_OK);
	assert_int_equal(write_off(t, &l, ""), RC_USAGE); /* nothing is known of it any more */
	drop_away(&l);
}

/* Whichever file is left opens nothing, and goes. */
static void half_of_a_segment_is_lost_too(void **state)
{
	static const char *const parts[] = { ".seg", ".keys" };
	static struct purge_boxes boxes;
	struct test_vault *t = *state;
	struct test_call c[CALLS + 1];
	struct loss l;
	for (int i = 0; i < 2; i++) {
		purge_record(t, c, CALLS, "standard");
		name_of(t, &l);
		purge_boxes(t, &boxes);
		remove_part(&l, parts[i]);
		expect_missing(t, &l, 1);
		assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
		assert_non_null(strstr(t->err.text, i ? "slot file is gone" : "file is gone"));
		assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_FAILED);
		assert_int_equal(test_ask(t, "{'request':'key-rotate'}"),
				 i ? RC_DAMAGED : RC_FAILED);
		assert_non_null(strstr(t->err.text, "callspan segment write-off"));
		assert_int_equal(write_off(t, &l, ""), RC_OK);
		assert_int_equal(disposed_as(t, i ? " absent\n" : " overwritten\n"), CALLS);
		assert_int_equal(purge_find_boxes(t, &boxes), 0);
		expect_over(t, c, &l);
		purge_now += INT64_C(7200) * 1000000;
	}
}

static void hold_first(struct test_vault *t, const struct test_call *c)
{
	char id[UUID_TEXT];
	assert_int_equal(test_ask(t,
				  "{'request':'hold-add','ids':['%s'],'reason':'a case',"
				  "'reference':'C-1'}",
				  uuid_text(&c->r.id, id)),
			 RC_OK);
}

static void what_is_kept_is_told_before_it_goes(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[CALLS + 1];
	struct loss l;
	lose(t, c, &l);
	hold_first(t, &c[0]);
	hold_first(t, &c[0]);
	hold_first(t, &c[2]);
	assert_int_equal(write_off(t, &l, ""), RC_REFUSED);
	assert_non_null(strstr(t->err.text, "3 recordings, 2 of them kept by H-"));
	for (const char *name = "H-1\0H-2\0H-3\0"; *name; name += 4)
		assert_non_null(strstr(t->err.text, name));
	assert_int_equal(test_audited(t, "segment-write-off", "refused"), 1);
	assert_int_equal(purge_living(t), CALLS + 1);
	assert_int_equal(purge_lines(t, NULL), 0);
	assert_int_equal(write_off(t, &l, ",'yes':true"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "kept"), 2);
	assert_non_null(strstr(entry(t, "granted"), "kept=2 (H-"));
	expect_over(t, c, &l);
	drop_away(&l);
}

static void what_is_there_is_not_written_off(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[CALLS + 1];
	struct loss l;
	purge_record(t, c, CALLS, "standard");
	name_of(t, &l);
	assert_int_equal(write_off(t, &l, ",'yes':true"), RC_FAILED);
	assert_non_null(strstr(t->err.text, "are there"));
	assert_int_equal(test_audited(t, "segment-write-off", "failed"), 1);
	snprintf(l.name, sizeof l.name, "../recorder/x");
	assert_int_equal(write_off(t, &l, ",'yes':true"), RC_USAGE);
	assert_int_equal(test_audited(t, "segment-write-off", "granted"), 0);
	assert_int_equal(purge_living(t), CALLS);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

/* A disk that is not mounted is no loss. */
static void segments_that_are_all_away_want_a_yes(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[CALLS];
	struct loss l;
	purge_record(t, c, CALLS, "standard");
	name_of(t, &l);
	assert_int_equal(rename(l.folder, l.away), 0);
	assert_int_equal(write_off(t, &l, ",'yes':true"), RC_FAILED); /* no such folder */
	assert_int_equal(mkdir(l.folder, 0700), 0);
	assert_int_equal(write_off(t, &l, ""), RC_REFUSED);
	assert_non_null(strstr(t->err.text, "is its disk mounted?"));
	assert_int_equal(rmdir(l.folder), 0);
	assert_int_equal(rename(l.away, l.folder), 0);
	assert_int_equal(purge_living(t), CALLS);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	remove_part(&l, ".seg");
	remove_part(&l, ".keys");
	assert_int_equal(write_off(t, &l, ",'yes':true"), RC_OK);
	assert_non_null(strstr(entry(t, "granted"), "no-other-is-there"));
	expect_over(t, c, &l);
}

static void reason_is_wanted_and_names_nobody(void **state)
{
	static const struct {
		const char *reason;
		enum rc rc;
	} tries[] = {
		{ "", RC_USAGE },
		{ "  ", RC_USAGE },
		{ "two\\nlines", RC_USAGE },
		{ "the one of +44 163 296 0001 too", RC_USAGE },
		{ "of (0)163-2960002 and others", RC_USAGE },
		{ "disk 0001 of 2026, case 4711 08", RC_OK },
	};
	struct test_vault *t = *state;
	struct test_call c[CALLS + 1];
	struct loss l;
	lose(t, c, &l);
	assert_int_equal(test_ask(t, "{'request':'segment-write-off','segment':'%s'}", l.name),
			 RC_USAGE);
	for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
		enum rc rc =
			test_ask(t, "{'request':'segment-write-off','segment':'%s','reason':'%s'}",
				 l.name, tries[i].reason);
		if (rc != tries[i].rc)
			fail_msg("%s: %d (%s)", tries[i].reason, rc, t->err.text);
	}
	expect_over(t, c, &l);
	drop_away(&l);
}

/* Files that turn up later are copies of what is destroyed, wherever they are put. */
static void what_turns_up_later_opens_nothing(void **state)
{
	static const char *const folders[] = { "vault/segments", "recorder" };
	static struct purge_boxes boxes;
	struct test_vault *t = *state;
	struct test_call c[CALLS + 1];
	struct loss l;
	char to[512], from[512];
	for (int i = 0; i < 2; i++) {
		lose(t, c, &l);
		assert_int_equal(write_off(t, &l, ""), RC_OK);
		for (int part = 0; part < 2; part++) {
			const char *ext = part ? ".keys" : ".seg";
			(void)snprintf(from, sizeof from, "%s/%s%s", l.away, l.name, ext);
			(void)snprintf(to, sizeof to, "%s/%s/%s%s", t->path, folders[i], l.name,
				       ext);
			purge_copy_tree(from, to);
		}
		size_t len;
		uint8_t *keys = read_file(to, &len);
		boxes.count = 2 * CALLS;
		for (size_t n = 0; n < CALLS; n++) {
			memcpy(boxes.box[2 * n], keys + 4096 + n * 256 + SLOT_AUDIO_AT, 116);
			memcpy(boxes.box[2 * n + 1], keys + 4096 + n * 256 + SLOT_METADATA_AT, 116);
		}
		free(keys);
		assert_int_equal(purge_find_boxes(t, &boxes), 2 * CALLS);
		size_t again = test_audited(t, "destroyed-again", "done");
		assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
		if (!again)
			again = test_audited(t, "destroyed-again", "done");
		assert_true(again >= CALLS);
		assert_int_equal(purge_find_boxes(t, &boxes), 0);
		expect_over(t, c, &l);
		drop_away(&l);
		purge_now += INT64_C(7200) * 1000000;
	}
}

/* Put back before anybody writes it off, it is what it was. */
static void what_is_put_back_in_time_lives_on(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[CALLS + 1];
	struct loss l;
	lose(t, c, &l);
	/* An index that was lost cannot wait for it. */
	assert_int_equal(reindex_begin(t->v, &t->err), RC_OK);
	assert_int_equal(purge_living(t), 1);
	expect_missing(t, &l, 1);
	assert_int_equal(test_ask(t, "{'request':'key-rotate'}"), RC_FAILED);
	char path[512], to[512];
	for (int part = 0; part < 2; part++) {
		const char *ext = part ? ".keys" : ".seg";
		(void)snprintf(path, sizeof path, "%s/%s%s", l.away, l.name, ext);
		(void)snprintf(to, sizeof to, "%s/%s%s", l.folder, l.name, ext);
		purge_copy_tree(path, to);
		assert_int_equal(purge_living(t), part ? CALLS + 1 : 1);
	}
	expect_missing(t, &l, 0);
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	assert_int_equal(test_number(json_object_get(test_reply(t, 0), "calls"), "total"),
			 CALLS + 1);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	drop_away(&l);
}

static void what_no_index_knows_is_counted(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[CALLS + 1];
	struct loss l;
	lose(t, c, &l);
	assert_int_equal(reindex_begin(t->v, &t->err), RC_OK);
	assert_int_equal(purge_living(t), 1);
	assert_int_equal(write_off(t, &l, ""), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "recordings"), 0);
	assert_int_equal(test_number(test_reply(t, 0), "unknown"), CALLS);
	assert_non_null(strstr(entry(t, "done"), "recordings=0 unknown=3"));
	expect_missing(t, &l, 0);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	drop_away(&l);
}

/* Killed when the lines are written and nothing is committed: the next opening ends it, and writing it off again the rest. */
static void cut_short_it_is_finished(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[CALLS + 1];
	struct loss l;
	char index[160], before[160];
	lose(t, c, &l);
	(void)snprintf(index, sizeof index, "%s/vault/index", t->path);
	(void)snprintf(before, sizeof before, "%s-index", t->path);
	vault_close(t->v);
	purge_copy_tree(index, before);
	purge_open(t);
	assert_int_equal(write_off(t, &l, ""), RC_OK);
	vault_close(t->v);
	purge_copy_tree(before, index);
	disk_remove_tree(before);
	purge_open(t);
	assert_int_equal(purge_living(t), 1);
	assert_int_equal(purge_lines(t, NULL), CALLS);
	expect_missing(t, &l, 1);
	assert_int_equal(write_off(t, &l, ""), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "recordings"), 0);
	assert_int_equal(test_number(test_reply(t, 0), "unknown"), 0);
	expect_missing(t, &l, 0);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	drop_away(&l);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, purge_make, purge_drop)
	const struct CMUnitTest tests[] = {
		TEST(lost_segment_stops_everything_until_it_is_written_off),
		TEST(half_of_a_segment_is_lost_too),
		TEST(what_is_kept_is_told_before_it_goes),
		TEST(what_is_there_is_not_written_off),
		TEST(segments_that_are_all_away_want_a_yes),
		TEST(reason_is_wanted_and_names_nobody),
		TEST(what_turns_up_later_opens_nothing),
		TEST(what_is_put_back_in_time_lives_on),
		TEST(what_no_index_knows_is_counted),
		TEST(cut_short_it_is_finished),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
