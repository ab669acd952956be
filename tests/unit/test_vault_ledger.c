/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_ledger.c: what people have decided outlives the index, and the index outlives the file. */
#include "vault_help.h"

#include "vault/ledger.h"

/* An index set aside bears the second in its name: each is to have its own. */
static int64_t next_second(void *ctx)
{
	static int64_t now_us = HOUR_US;
	(void)ctx;
	return now_us += 1000000;
}

static void ledger_path(const struct test_vault *t, char path[256])
{
	snprintf(path, 256, "%s/vault/ledger", t->path);
}

static uint64_t ledger_size(const struct test_vault *t)
{
	char path[256];
	struct stat st;
	ledger_path(t, path);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void put(struct test_vault *t, enum index_family f, const char *key, const char *value)
{
	struct index_batch *b = index_batch_new(t->v->index);
	ledger_put(t->v, b, f, key, strlen(key), value, strlen(value));
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
}

static void delete (struct test_vault *t, enum index_family f, const char *key)
{
	struct index_batch *b = index_batch_new(t->v->index);
	ledger_delete(t->v, b, f, key, strlen(key));
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
}

/* NULL: there must be no such row. */
static void expect(struct test_vault *t, enum index_family f, const char *key, const char *value)
{
	uint8_t *got;
	size_t len;
	enum rc rc = index_get(t->v->index, f, key, strlen(key), &got, &len, &t->err);
	assert_int_equal(rc, value ? RC_OK : RC_NOT_FOUND);
	if (!value)
		return;
	assert_int_equal(len, strlen(value));
	assert_memory_equal(got, value, len);
	free(got);
}

/* Rows of each family, one deleted, one written twice, one that is empty. */
static void write_rows(struct test_vault *t)
{
	put(t, INDEX_HOLDS, "one", "first");
	put(t, INDEX_HOLDS, "two", "");
	put(t, INDEX_REQUESTS, "one", "a request");
	put(t, INDEX_REVIEWS, "one", "a review");
	put(t, INDEX_HOLDS, "gone", "soon");
	put(t, INDEX_HOLDS, "one", "second");
	delete (t, INDEX_HOLDS, "gone");
}

static void expect_rows(struct test_vault *t)
{
	expect(t, INDEX_HOLDS, "one", "second");
	expect(t, INDEX_HOLDS, "two", "");
	expect(t, INDEX_HOLDS, "gone", NULL);
	expect(t, INDEX_REQUESTS, "one", "a request");
	expect(t, INDEX_REVIEWS, "one", "a review");
}

static void lose_index(struct test_vault *t)
{
	char path[256];
	vault_close(t->v);
	snprintf(path, sizeof path, "%s/vault/index/CURRENT", t->path);
	assert_int_equal(unlink(path), 0);
	test_vault_open(t);
	vault_set_clock(t->v, next_second, NULL);
	assert_null(t->v->index);
}

static void rows_outlive_a_lost_index(void **state)
{
	struct test_vault *t = *state;
	write_rows(t);
	uint64_t size = ledger_size(t);
	lose_index(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	expect_rows(t);
	assert_int_equal(ledger_size(t), size);
	put(t, INDEX_HOLDS, "three", "later");
	lose_index(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	expect_rows(t);
	expect(t, INDEX_HOLDS, "three", "later");
}

static void lost_or_cut_file_is_damage_and_is_made_anew_from_the_index(void **state)
{
	struct test_vault *t = *state;
	char path[256];
	write_rows(t);
	ledger_path(t, path);
	for (int cut = 0; cut < 2; cut++) {
		vault_close(t->v);
		assert_int_equal(cut ? truncate(path, 20) : unlink(path), 0);
		test_vault_open(t);
		vault_set_clock(t->v, next_second, NULL);
		assert_null(t->v->index);
		assert_int_equal(test_ask(t, "{'request':'status'}"), RC_DAMAGED);
		assert_non_null(strstr(t->err.text, "holds"));
		assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
		expect_rows(t);
		lose_index(t);
		assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
		expect_rows(t);
		test_vault_reopen(t);
		assert_non_null(t->v->index);
	}
}

static void dropped_batch_leaves_neither_row_nor_line(void **state)
{
	struct test_vault *t = *state;
	put(t, INDEX_HOLDS, "one", "1");
	uint64_t size = ledger_size(t);
	struct index_batch *b = index_batch_new(t->v->index);
	ledger_put(t->v, b, INDEX_HOLDS, "two", 3, "2", 1);
	audit_drop(t->v, b);
	expect(t, INDEX_HOLDS, "two", NULL);
	put(t, INDEX_HOLDS, "three", "3");
	assert_true(ledger_size(t) < 2 * size + 8);
	lose_index(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	expect(t, INDEX_HOLDS, "one", "1");
	expect(t, INDEX_HOLDS, "two", NULL);
	expect(t, INDEX_HOLDS, "three", "3");
}

/* Killed between the file and the index: the line is there and no commit knows of it. */
static void line_that_no_commit_knows_of_is_cut_off(void **state)
{
	struct test_vault *t = *state;
	char path[256];
	put(t, INDEX_HOLDS, "one", "1");
	uint64_t size = ledger_size(t);
	ledger_path(t, path);
	vault_close(t->v);
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "holds 74776f 32\nholds 7", 23), 23);
	close(fd);
	test_vault_open(t);
	assert_int_equal(ledger_size(t), size);
	lose_index(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	expect(t, INDEX_HOLDS, "one", "1");
	expect(t, INDEX_HOLDS, "two", NULL);
}

static void file_that_cannot_be_written_keeps_the_row_out_of_the_index(void **state)
{
	struct test_vault *t = *state;
	char path[256];
	put(t, INDEX_HOLDS, "one", "1");
	ledger_path(t, path);
	char aside[260];
	snprintf(aside, sizeof aside, "%s.x", path);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(symlink(aside, path), 0); /* links are not followed */
	struct index_batch *b = index_batch_new(t->v->index);
	ledger_put(t->v, b, INDEX_HOLDS, "two", 3, "2", 1);
	audit_note(t->v, b, &(struct audit_entry){ .action = "test" });
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_FAILED);
	expect(t, INDEX_HOLDS, "two", NULL);
	assert_int_equal(rename(aside, path), 0);
	assert_int_equal(test_audited(t, "test", NULL), 0);
	put(t, INDEX_HOLDS, "three", "3");
	expect(t, INDEX_HOLDS, "three", "3");
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, test_vault_lab, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(rows_outlive_a_lost_index),
		TEST(lost_or_cut_file_is_damage_and_is_made_anew_from_the_index),
		TEST(dropped_batch_leaves_neither_row_nor_line),
		TEST(line_that_no_commit_knows_of_is_cut_off),
		TEST(file_that_cannot_be_written_keeps_the_row_out_of_the_index),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
