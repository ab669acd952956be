/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_disposal.c: destruction that was cut short is finished, once; what was destroyed does not come back. */
#include "purge_help.h"

#include "vault/disposal.h"
#include "vault/holds.h"

#define CALLS 4

static struct test_call calls[CALLS];
static char kept[128]; /* a copy of the store */

static int make_recorded(void **state)
{
	(void)purge_make(state);
	struct test_vault *t = *state;
	purge_record(t, calls, CALLS, "standard");
	int n = snprintf(kept, sizeof kept, "%.63s.kept", t->path);
	assert_true(n > 0);
	return 0;
}

static int drop(void **state)
{
	(void)nftw(kept, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return purge_drop(state);
}

static void keep(struct test_vault *t)
{
	vault_close(t->v);
	purge_copy_tree(t->path, kept);
	purge_open(t);
}

/* A part of the store as it was. */
static void put_back(struct test_vault *t, const char *part)
{
	char from[256], to[256];
	(void)snprintf(from, sizeof from, "%s/%s", kept, part);
	(void)snprintf(to, sizeof to, "%s/%s", t->path, part);
	purge_copy_tree(from, to);
}

static void purge(struct test_vault *t)
{
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
}

/* All are destroyed, each on record once. */
static void expect_all_gone(struct test_vault *t)
{
	assert_int_equal(purge_living(t), 0);
	assert_int_equal(purge_lines(t, NULL), CALLS);
	for (unsigned i = 0; i < CALLS; i++) {
		assert_false(purge_lives(t, &calls[i]));
		assert_int_equal(purge_lines(t, &calls[i]), 1);
	}
	assert_int_equal(t->v->disposals_count, CALLS);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void lines_that_no_commit_knows_of_are_applied(void **state)
{
	struct test_vault *t = *state;
	purge_now += 31 * DAY_US;
	assert_int_equal(purge_living(t), CALLS);
	keep(t);
	purge(t);
	vault_close(t->v);
	put_back(t, "vault/index");
	put_back(t, "vault/audit-head");
	put_back(t, "vault/audit-heads");
	put_back(t, "vault/segments");
	purge_open(t);
	/* The slots came back with the segments, and go again. */
	static struct purge_boxes boxes;
	purge_boxes(t, &boxes);
	char path[512];
	assert_true(test_find(t, "vault/segments", ".seg", path));
	struct segment *s = test_segment(path);
	for (uint32_t n = 0; n < CALLS; n++) {
		struct slot slot;
		assert_int_equal(segment_slot(s, n, &slot, &t->err), RC_OK);
		assert_true(slot.destroyed);
	}
	segment_close(s);
	expect_all_gone(t);
}

/* A batch as it is noted before its slots are overwritten. */
static void note_batch(struct test_vault *t)
{
	uint8_t value[2 + 16 * CALLS] = { 0x0a, 16 * CALLS }; /* field 1, bytes */
	struct index_batch *b = index_batch_new(t->v->index);
	for (unsigned i = 0; i < CALLS; i++)
		memcpy(value + 2 + (size_t)16 * i, calls[i].r.id.b, 16);
	index_batch_put(b, INDEX_META, "destroying", 10, value, sizeof value);
	assert_int_equal(index_batch_commit(b, &t->err), RC_OK);
}

static void slots_overwritten_before_any_line_are_finished(void **state)
{
	struct test_vault *t = *state;
	char path[512];
	note_batch(t);
	assert_true(test_find(t, "vault/segments", ".seg", path));
	assert_int_equal(segment_destroy_slot(path, 0, &t->err), RC_OK);
	assert_int_equal(segment_destroy_slot(path, 2, &t->err), RC_OK);
	purge_reopen(t);
	/* Those of the batch that had not been touched stay for the next purge. */
	assert_int_equal(purge_living(t), 2);
	assert_int_equal(purge_lines(t, &calls[0]), 1);
	assert_int_equal(purge_lines(t, &calls[1]), 0);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	purge_reopen(t);
	assert_int_equal(purge_lines(t, NULL), 2);
	purge_now += 31 * DAY_US;
	purge(t);
	expect_all_gone(t);
}

static void line_that_was_being_written_is_cut_off(void **state)
{
	struct test_vault *t = *state;
	char path[160];
	purge_now += 31 * DAY_US;
	purge(t);
	vault_close(t->v);
	(void)snprintf(path, sizeof path, "%s/vault/disposals", t->path);
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "0192f0c1-0000-7000", 18), 18);
	(void)close(fd);
	purge_open(t);
	expect_all_gone(t);
}

static void file_that_was_cut_is_damage(void **state)
{
	struct test_vault *t = *state;
	char path[160];
	struct stat st;
	purge_now += 31 * DAY_US;
	purge(t);
	vault_close(t->v);
	(void)snprintf(path, sizeof path, "%s/vault/disposals", t->path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 1), 0);
	test_vault_open(t);
	vault_set_clock(t->v, purge_clock, NULL);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "shorter than it was"));
}

static void copies_of_segment_and_slots_are_destroyed_again(void **state)
{
	struct test_vault *t = *state;
	static struct purge_boxes boxes;
	purge_boxes(t, &boxes);
	keep(t);
	purge_now += 31 * DAY_US;
	purge(t);
	put_back(t, "vault/segments");
	assert_int_equal(purge_find_boxes(t, &boxes), 2 * CALLS);
	vault_close(t->v);
	purge_open(t);
	assert_int_equal(purge_living(t), 0);
	assert_int_equal(purge_find_boxes(t, &boxes), 0);
	assert_int_equal(test_audited(t, "destroyed-again", "done"), CALLS);
	expect_all_gone(t);
	/* And the space goes with the next purge. */
	char path[512];
	assert_true(test_find(t, "vault/segments", ".seg", path));
	purge(t);
	assert_false(test_find(t, "vault/segments", ".seg", path));
	assert_false(test_find(t, "vault/segments", ".keys", path));
}

/* Where the vault still holds the segment, for one of its recordings lives. */
static void copies_at_the_recorder_are_destroyed_again(void **state)
{
	struct test_vault *t = *state;
	static struct purge_boxes boxes;
	char id[UUID_TEXT], command[512], path[512];
	purge_boxes(t, &boxes);
	keep(t);
	for (unsigned i = 1; i < CALLS; i++)
		assert_int_equal(test_ask(t, "{'request':'erase','id':'%s','reason':'error'}",
					  uuid_text(&calls[i].r.id, id)),
				 RC_OK);
	(void)snprintf(command, sizeof command, "cp -a '%s'/vault/segments/. '%s'/recorder/", kept,
		       t->path);
	assert_int_equal(system(command), 0);
	assert_int_equal(purge_find_boxes(t, &boxes), 2 * (CALLS + 1));
	assert_int_equal(purge_living(t), 1);
	assert_int_equal(purge_find_boxes(t, &boxes), 2);
	assert_int_equal(test_audited(t, "destroyed-again", "done"), CALLS - 1);
	assert_int_equal(test_audited(t, "segment-damaged", NULL), 0);
	assert_false(test_find(t, "recorder", ".keys", path));
	assert_false(test_find(t, "recorder", ".seg", path));
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

static void reindex_keeps_disposals(void **state)
{
	struct test_vault *t = *state;
	purge_now += 31 * DAY_US;
	purge(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 0);
	expect_all_gone(t);
}

/* The index is lost, and old copies of segments lie there: the file alone knows what was destroyed. */
static void lost_index_takes_disposals_from_the_file(void **state)
{
	struct test_vault *t = *state;
	char index[160];
	keep(t);
	purge_now += 31 * DAY_US;
	purge(t);
	vault_close(t->v);
	put_back(t, "vault/segments");
	(void)snprintf(index, sizeof index, "%s/vault/index", t->path);
	assert_int_equal(nftw(index, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	test_vault_open(t);
	vault_set_clock(t->v, purge_clock, NULL);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 0);
	purge_reopen(t);
	expect_all_gone(t);
}

static void every_destruction_is_answered_with_its_date(void **state)
{
	struct test_vault *t = *state;
	char id[UUID_TEXT], when[CLOCK_TEXT];
	purge_now += 31 * DAY_US;
	(void)clock_local(purge_now * 1000, when);
	when[10] = '\0';
	purge(t);
	(void)uuid_text(&calls[2].r.id, id);
	assert_int_equal(test_ask(t, "{'request':'show','id':'%s'}", id), RC_FAILED);
	assert_non_null(strstr(t->err.text, when));
	assert_non_null(strstr(t->err.text, "its time was up"));
	assert_int_equal(test_ask(t, "{'request':'verify','id':'%.35s'}", id), RC_FAILED);
	assert_int_equal(test_ask(t, "{'request':'show','id':'ffffffff'}"), RC_USAGE);
}

static void lines_read_back_as_they_were_written(void **state)
{
	struct disposal d = { .start_us = INT64_C(1772532000123456),
			      .end_us = INT64_C(1772532060000000),
			      .expiry_us = INT64_C(1775124060000000),
			      .destroyed_us = INT64_C(1775124061000001),
			      .kind = DISPOSAL_ERASED,
			      .slot = 4711,
			      .absent = true },
			back;
	char line[DISPOSAL_LINE];
	(void)state;
	d.id = uuid_v7(d.start_us * 1000);
	(void)snprintf(d.segment, sizeof d.segment, "20260303T10-standard-x");
	(void)snprintf(d.class, sizeof d.class, "standard");
	size_t len = disposal_file_line(line, &d);
	assert_true(disposal_file_parse(&back, line, len - 1));
	assert_memory_equal(&back, &d, sizeof d);
	d.end_us = 0;
	len = disposal_file_line(line, &d);
	assert_true(disposal_file_parse(&back, line, len - 1));
	assert_int_equal(back.end_us, 0);
	for (size_t cut = 0; cut < len - 7; cut++)
		assert_false(disposal_file_parse(&back, line, cut));
}

/* ---- erasing one ------------------------------------------------------------------------------- */

static void erased_call_is_gone_and_no_other(void **state)
{
	struct test_vault *t = *state;
	char id[UUID_TEXT];
	(void)uuid_text(&calls[1].r.id, id);
	assert_int_equal(
		test_ask(t, "{'request':'erase','id':'%s','reason':'recorded in error'}", id),
		RC_OK);
	assert_string_equal(test_text(test_reply(t, 0), "state"), "erased");
	assert_int_equal(purge_living(t), CALLS - 1);
	assert_false(purge_lives(t, &calls[1]));
	assert_non_null(strstr(t->err.text, "it was erased before its time"));
	assert_int_equal(test_audited(t, "erase", "granted"), 1);
	assert_int_equal(test_ask(t, "{'request':'erase','id':'%s','reason':'again'}", id),
			 RC_FAILED);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

static void reason_must_not_name_who_spoke(void **state)
{
	/* calls[1]: +441632960001 "Caller 1" to 2001 */
	static const char *const reasons[] = { "call of 01632 960001",
					       "+44 (1632) 960-001 asked",
					       "asked by CALLER 1",
					       "extension 2001",
					       "",
					       "  ",
					       "two\\nlines" };
	static const char *const good[] = { "case 12001", "recorded in error" };
	struct test_vault *t = *state;
	char id[UUID_TEXT];
	(void)uuid_text(&calls[1].r.id, id);
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		assert_int_equal(
			test_ask(t, "{'request':'erase','id':'%s','reason':'%s'}", id, reasons[i]),
			RC_USAGE);
	assert_int_equal(purge_living(t), CALLS);
	t->v->policy.two_persons = TWO_ERASE;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(
			test_ask(t, "{'request':'erase','id':'%s','reason':'%s'}", id, good[i]),
			RC_OK);
		assert_int_equal(test_ask(t, "{'request':'erase','id':'%s','cancel':true}", id),
				 RC_OK);
	}
}

static void add_controller(struct test_vault *t, const char *name, const char *passphrase)
{
	struct person p = { .role = ROLE_CONTROLLER };
	struct seal_pair audio = t->v->keys.audio;
	(void)snprintf(p.name, sizeof p.name, "%s", name);
	if (passphrase)
		assert_int_equal(people_box(&p, &audio, passphrase, &t->err), RC_OK);
	assert_int_equal(people_save(t->path, &p, &t->err), RC_OK);
}

static void two_persons_erase_where_the_policy_says_so(void **state)
{
	static const char confirm[] = "{'request':'erase','id':'%s','confirm':true%s}";
	struct test_vault *t = *state;
	char id[UUID_TEXT];
	(void)uuid_text(&calls[0].r.id, id);
	t->v->policy.two_persons = TWO_ERASE;
	add_controller(t, "bob", PASSPHRASE);
	assert_int_equal(test_ask_as(t, "bob", confirm, id, ""), RC_FAILED);
	assert_int_equal(test_ask(t, "{'request':'erase','id':'%s','reason':'error'}", id), RC_OK);
	assert_string_equal(test_text(test_reply(t, 0), "state"), "asked");
	assert_int_equal(purge_living(t), CALLS);
	assert_int_equal(test_ask(t, confirm, id, ""), RC_REFUSED);
	assert_int_equal(test_ask_as(t, "bob", "{'request':'erase','id':'%s','reason':'x'}", id),
			 RC_FAILED);
	assert_int_equal(test_ask_as(t, "bob", confirm, id, ""), RC_AGAIN);
	assert_int_equal(test_ask_as(t, "bob", confirm, id, ",'passphrase':'wrong'"), RC_REFUSED);
	assert_int_equal(purge_living(t), CALLS);
	assert_int_equal(test_ask_as(t, "bob", confirm, id, ",'passphrase':'" PASSPHRASE "'"),
			 RC_OK);
	assert_string_equal(test_text(test_reply(t, 0), "state"), "erased");
	assert_false(purge_lives(t, &calls[0]));
	assert_int_equal(test_audited(t, "erase", "asked"), 1);
	assert_int_equal(test_audited(t, "erase", "granted"), 1);
	assert_int_equal(test_audited(t, "erase", "refused"), 2);
}

static void held_call_is_not_erased(void **state)
{
	struct test_vault *t = *state;
	struct uuid holder = uuid_v7(clock_real_ns());
	char id[UUID_TEXT];
	struct index_batch *b = index_batch_new(t->v->index);
	holds_tie(t->v, b, &holder, &calls[3].r.id);
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
	(void)uuid_text(&calls[3].r.id, id);
	assert_int_equal(test_ask(t, "{'request':'erase','id':'%s','reason':'error'}", id),
			 RC_REFUSED);
	assert_non_null(strstr(t->err.text, "is kept"));
	assert_true(purge_lives(t, &calls[3]));
	assert_int_equal(test_audited(t, "erase", "refused"), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_recorded, drop)
	const struct CMUnitTest tests[] = {
		TEST(lines_that_no_commit_knows_of_are_applied),
		TEST(slots_overwritten_before_any_line_are_finished),
		TEST(line_that_was_being_written_is_cut_off),
		TEST(file_that_was_cut_is_damage),
		TEST(copies_of_segment_and_slots_are_destroyed_again),
		TEST(copies_at_the_recorder_are_destroyed_again),
		TEST(reindex_keeps_disposals),
		TEST(lost_index_takes_disposals_from_the_file),
		TEST(every_destruction_is_answered_with_its_date),
		TEST(erased_call_is_gone_and_no_other),
		TEST(reason_must_not_name_who_spoke),
		TEST(two_persons_erase_where_the_policy_says_so),
		TEST(held_call_is_not_erased),
		cmocka_unit_test(lines_read_back_as_they_were_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
