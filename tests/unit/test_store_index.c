/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_index.c: the ordered key-value store behind the vault. */
#include "store_help.h"

#include <signal.h>
#include <sys/wait.h>

struct fixture {
	char dir[64];
	struct index *x;
	struct error err;
};

static int make(void **state)
{
	static struct fixture f;
	memset(&f, 0, sizeof f);
	(void)snprintf(f.dir, sizeof f.dir, "%s/callspan-test-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(f.dir));
	assert_int_equal(index_open(&f.x, f.dir, true, 0, &f.err), RC_OK);
	*state = &f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;
	index_close(f->x);
	(void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static void put(struct fixture *f, enum index_family family, const char *key, const char *value)
{
	struct index_batch *b = index_batch_new(f->x);
	index_batch_put(b, family, key, strlen(key), value, strlen(value));
	assert_int_equal(index_batch_commit(b, &f->err), RC_OK);
}

static bool has(struct fixture *f, enum index_family family, const char *key, const char *value)
{
	uint8_t *found;
	size_t len;
	enum rc rc = index_get(f->x, family, key, strlen(key), &found, &len, &f->err);
	if (rc == RC_NOT_FOUND)
		return false;
	assert_int_equal(rc, RC_OK);
	bool same = len == strlen(value) && memcmp(found, value, len) == 0;
	free(found);
	return same;
}

/* Keys from a start, as one text. */
static const char *keys_from(struct fixture *f, const char *from, bool descending)
{
	static char text[64];
	const uint8_t *key, *value;
	size_t key_len, value_len, at = 0;
	struct index_cursor *c =
		index_cursor_new(f->x, INDEX_CALLS, from, from ? strlen(from) : 0, descending);
	while (index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		memcpy(text + at, key, key_len);
		at += key_len;
		text[at++] = ' ';
	}
	assert_false(index_cursor_next(c, &key, &key_len, &value, &value_len));
	index_cursor_free(c);
	text[at] = '\0';
	assert_int_equal(index_health(f->x, &f->err), RC_OK);
	return text;
}

static void families_do_not_mix(void **state)
{
	struct fixture *f = *state;
	put(f, INDEX_CALLS, "k", "one");
	put(f, INDEX_META, "k", "two");
	assert_true(has(f, INDEX_CALLS, "k", "one"));
	assert_true(has(f, INDEX_META, "k", "two"));
	assert_false(has(f, INDEX_AUDIT, "k", "one"));
}

static void empty_value_is_not_a_missing_one(void **state)
{
	struct fixture *f = *state;
	put(f, INDEX_BY_TIME, "k", "");
	assert_true(has(f, INDEX_BY_TIME, "k", ""));
}

static void batch_is_written_whole_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	put(f, INDEX_CALLS, "old", "1");
	struct index_batch *b = index_batch_new(f->x);
	index_batch_put(b, INDEX_CALLS, "a", 1, "1", 1);
	index_batch_delete(b, INDEX_CALLS, "old", 3);
	index_batch_drop(b);
	assert_false(has(f, INDEX_CALLS, "a", "1"));
	assert_true(has(f, INDEX_CALLS, "old", "1"));

	b = index_batch_new(f->x);
	index_batch_put(b, INDEX_CALLS, "a", 1, "1", 1);
	index_batch_delete(b, INDEX_CALLS, "old", 3);
	index_batch_put(b, INDEX_META, "b", 1, "2", 1);
	assert_int_equal(index_batch_commit(b, &f->err), RC_OK);
	assert_true(has(f, INDEX_CALLS, "a", "1"));
	assert_true(has(f, INDEX_META, "b", "2"));
	assert_false(has(f, INDEX_CALLS, "old", "1"));
}

static void cursor_walks_both_ways_from_anywhere(void **state)
{
	struct fixture *f = *state;
	assert_string_equal(keys_from(f, NULL, false), "");
	put(f, INDEX_CALLS, "b", "");
	put(f, INDEX_CALLS, "d", "");
	put(f, INDEX_CALLS, "a", "");
	put(f, INDEX_BY_TIME, "c", "");
	assert_string_equal(keys_from(f, NULL, false), "a b d ");
	assert_string_equal(keys_from(f, NULL, true), "d b a ");
	assert_string_equal(keys_from(f, "b", false), "b d ");
	assert_string_equal(keys_from(f, "c", false), "d ");
	assert_string_equal(keys_from(f, "c", true), "b a ");
	assert_string_equal(keys_from(f, "e", false), "");
	assert_string_equal(keys_from(f, "0", true), "");
}

#define CHILD "child"

/* A process of its own, not a copy of this one: it opens the index, commits "k", says so, and dies a little
 * later without closing. */
static int child(const char *dir)
{
	struct index *x;
	struct error err;
	if (index_open(&x, dir, false, 0, &err) != RC_OK)
		return 1;
	struct index_batch *b = index_batch_new(x);
	index_batch_put(b, INDEX_CALLS, "k", 1, "v", 1);
	if (index_batch_commit(b, &err) != RC_OK || write(STDOUT_FILENO, "+", 1) != 1)
		return 1;
	clock_sleep_us(120000);
	_exit(0);
}

/* Start it, and return when it has committed. */
static pid_t start_child(struct fixture *f)
{
	int out[2];
	char byte;
	index_close(f->x);
	f->x = NULL;
	assert_int_equal(pipe(out), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (dup2(out[1], STDOUT_FILENO) >= 0)
			execl("/proc/self/exe", "test", CHILD, f->dir, (char *)NULL);
		_exit(1);
	}
	close(out[1]);
	assert_int_equal(read(out[0], &byte, 1), 1);
	close(out[0]);
	return pid;
}

static void what_was_committed_is_there_after_a_kill(void **state)
{
	struct fixture *f = *state;
	pid_t pid = start_child(f);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(index_open(&f->x, f->dir, false, 0, &f->err), RC_OK);
	assert_true(has(f, INDEX_CALLS, "k", "v"));
}

static void second_opener_is_told_that_it_is_in_use(void **state)
{
	struct fixture *f = *state;
	struct index *second;
	assert_int_equal(index_open(&second, f->dir, false, 60, &f->err), RC_AGAIN);
	assert_non_null(strstr(f->err.text, "is in use"));
}

static void waiting_opener_gets_in_when_the_other_leaves(void **state)
{
	struct fixture *f = *state;
	pid_t pid = start_child(f);
	assert_int_equal(index_open(&f->x, f->dir, false, 60000, &f->err), RC_OK);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(has(f, INDEX_CALLS, "k", "v"));
}

static void index_is_made_once_and_never_by_opening(void **state)
{
	struct fixture *f = *state;
	struct index *x;
	index_close(f->x);
	f->x = NULL;
	assert_int_equal(index_open(&x, f->dir, true, 0, &f->err), RC_FAILED);
	assert_int_equal(index_open(&x, "/nonexistent/index", false, 0, &f->err), RC_DAMAGED);
}

/* A LOCK that cannot be opened is not one that somebody holds: there is nothing to wait for. */
static void lock_that_cannot_be_opened_is_no_reason_to_wait(void **state)
{
	struct fixture *f = *state;
	struct index *x;
	char path[96];
	index_close(f->x);
	f->x = NULL;
	snprintf(path, sizeof path, "%s/LOCK", f->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0); /* holds for root too, whom no mode keeps out */
	int64_t from_ns = clock_mono_ns();
	assert_int_equal(index_open(&x, f->dir, false, 600000, &f->err), RC_FAILED);
	assert_true(clock_mono_ns() - from_ns < INT64_C(300000000000));
	assert_int_equal(rmdir(path), 0);
}

static void index_that_lost_a_file_is_damaged(void **state)
{
	struct fixture *f = *state;
	char path[96];
	index_close(f->x);
	f->x = NULL;
	snprintf(path, sizeof path, "%s/CURRENT", f->dir);
	assert_int_equal(unlink(path), 0);
	struct index *x;
	assert_int_equal(index_open(&x, f->dir, false, 0, &f->err), RC_DAMAGED);
}

static void copy_stands_as_it_was_taken(void **state)
{
	struct fixture *f = *state;
	struct index *live = f->x;
	char dir[96];
	put(f, INDEX_CALLS, "a", "1");
	put(f, INDEX_AUDIT, "b", "2");
	snprintf(dir, sizeof dir, "%s/copy", f->dir);
	assert_int_equal(index_checkpoint(live, dir, &f->err), RC_OK);
	assert_int_equal(index_checkpoint(live, dir, &f->err), RC_FAILED); /* it is there */
	put(f, INDEX_CALLS, "a", "3");
	put(f, INDEX_CALLS, "c", "4");
	assert_int_equal(index_open(&f->x, dir, false, 0, &f->err), RC_OK);
	assert_true(has(f, INDEX_CALLS, "a", "1"));
	assert_true(has(f, INDEX_AUDIT, "b", "2"));
	assert_false(has(f, INDEX_CALLS, "c", "4"));
	index_close(f->x);
	f->x = live;
	assert_true(has(f, INDEX_CALLS, "a", "3"));
	assert_int_equal(index_health(live, &f->err), RC_OK);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], CHILD) == 0)
		return child(argv[2]);
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(families_do_not_mix),
		TEST(empty_value_is_not_a_missing_one),
		TEST(batch_is_written_whole_or_not_at_all),
		TEST(cursor_walks_both_ways_from_anywhere),
		TEST(what_was_committed_is_there_after_a_kill),
		TEST(second_opener_is_told_that_it_is_in_use),
		TEST(waiting_opener_gets_in_when_the_other_leaves),
		TEST(index_is_made_once_and_never_by_opening),
		TEST(lock_that_cannot_be_opened_is_no_reason_to_wait),
		TEST(index_that_lost_a_file_is_damaged),
		TEST(copy_stands_as_it_was_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
