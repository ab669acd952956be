/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_audit.c: no change to the audit trail goes unseen. */
#include "vault_help.h"

static int make(void **state)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", NULL);
	for (int i = 0; i < 5; i++) {
		char text[32];
		snprintf(text, sizeof text, "entry %d", i);
		assert_int_equal(audit_write(t.v,
					     &(struct audit_entry){ .person = "alice",
								    .action = "test",
								    .detail = text },
					     &t.err),
				 RC_OK);
	}
	*state = &t;
	return 0;
}

static int drop(void **state)
{
	test_vault_remove(*state);
	return 0;
}

static void entry_key(uint8_t key[8], uint64_t number)
{
	catalogue_be64(key, (int64_t)number);
}

/* Owned by the caller. */
static uint8_t *get_entry(struct test_vault *t, uint64_t number, size_t *len)
{
	uint8_t key[8], *value;
	entry_key(key, number);
	assert_int_equal(index_get(t->v->index, INDEX_AUDIT, key, 8, &value, len, &t->err), RC_OK);
	return value;
}

static void put_entry(struct test_vault *t, uint64_t number, const uint8_t *value, size_t len)
{
	uint8_t key[8];
	struct index_batch *b = index_batch_new(t->v->index);
	entry_key(key, number);
	if (value)
		index_batch_put(b, INDEX_AUDIT, key, 8, value, len);
	else
		index_batch_delete(b, INDEX_AUDIT, key, 8);
	assert_int_equal(index_batch_commit(b, &t->err), RC_OK);
}

static void heads_path(const struct test_vault *t, char path[128])
{
	snprintf(path, 128, "%s/vault/audit-heads", t->path);
}

static void untouched_trail_is_whole(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "entries"), 6);
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'audit-list'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 6);
	assert_string_equal(test_text(test_reply(t, 0), "action"), "init");
	assert_string_equal(test_text(test_reply(t, 5), "detail"), "entry 4");
	assert_int_equal(test_ask(t, "{'request':'audit-list','limit':2}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 2);
	assert_int_equal(test_number(test_reply(t, 0), "number"), 5);
	assert_int_equal(test_ask(t, "{'request':'audit-list','until':1}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 0);
}

static void altered_entry_is_found(void **state)
{
	struct test_vault *t = *state;
	for (uint64_t n = 1; n <= 6; n++) {
		size_t len;
		uint8_t *value = get_entry(t, n, &len);
		uint8_t *at = memmem(value, len, n == 1 ? "init" : "test", 4);
		assert_non_null(at);
		at[1] ^= 1;
		put_entry(t, n, value, len);
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
		at[1] ^= 1;
		put_entry(t, n, value, len);
		free(value);
	}
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void removed_entry_is_found(void **state)
{
	struct test_vault *t = *state;
	for (uint64_t n = 1; n <= 6; n++) {
		size_t len;
		uint8_t *value = get_entry(t, n, &len);
		put_entry(t, n, NULL, 0);
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
		put_entry(t, n, value, len);
		free(value);
	}
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void swapped_entries_are_found(void **state)
{
	struct test_vault *t = *state;
	size_t len[2];
	uint8_t *value[2] = { get_entry(t, 3, &len[0]), get_entry(t, 4, &len[1]) };
	put_entry(t, 3, value[1], len[1]);
	put_entry(t, 4, value[0], len[0]);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	free(value[0]);
	free(value[1]);
}

/* The whole index put back to an older state is a sound chain; the heads beside it tell. */
static void index_put_back_is_found_by_the_heads(void **state)
{
	struct test_vault *t = *state;
	uint8_t *meta;
	size_t len;
	struct index_batch *b;
	assert_int_equal(index_get(t->v->index, INDEX_META, "audit", 5, &meta, &len, &t->err),
			 RC_OK);
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = "late" }, &t->err),
			 RC_OK);
	put_entry(t, 7, NULL, 0);
	b = index_batch_new(t->v->index);
	index_batch_put(b, INDEX_META, "audit", 5, meta, len);
	assert_int_equal(index_batch_commit(b, &t->err), RC_OK);
	free(meta);
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "put back"));
	/* An entry written over the gap does not heal it. */
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = "other" }, &t->err),
			 RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
}

static void altered_or_missing_heads_are_found(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	size_t len;
	heads_path(t, path);
	uint8_t *text = read_file(path, &len);
	text[0] = '9';
	write_file(path, text, len);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	write_file(path, "", 0);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	free(text);
}

/* The file of heads without its last `lines` lines, and `torn` more bytes. */
static void cut_heads(const struct test_vault *t, unsigned lines, size_t torn)
{
	char path[128];
	size_t len;
	heads_path(t, path);
	uint8_t *text = read_file(path, &len);
	for (; lines; lines--) {
		uint8_t *end = memrchr(text, '\n', len - 1);
		len = end ? (size_t)(end + 1 - text) : 0;
	}
	write_file(path, text, len - torn);
	free(text);
}

/* What a crash between the commit and the end of its line leaves is made good by the next to open the store. */
static void one_line_short_is_a_crash_and_made_good(void **state)
{
	struct test_vault *t = *state;
	static const struct {
		unsigned lines;
		size_t torn;
	} crashes[] = { { 1, 0 }, { 0, 1 }, { 0, 40 } };
	for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
		vault_close(t->v);
		t->v = NULL;
		cut_heads(t, crashes[i].lines, crashes[i].torn);
		test_vault_open(t);
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
		assert_int_equal(
			audit_write(t->v, &(struct audit_entry){ .action = "next" }, &t->err),
			RC_OK);
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	}
}

static void heads_cut_further_back_are_found_and_not_healed_by_going_on(void **state)
{
	struct test_vault *t = *state;
	vault_close(t->v);
	t->v = NULL;
	cut_heads(t, 2, 0);
	test_vault_open(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "missing"));
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = "next" }, &t->err),
			 RC_OK);
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
}

/* An append that fails leaves whole lines only, and what it owes is written before anything else is committed. */
static void line_that_could_not_be_written_stands_before_the_next_commit(void **state)
{
	struct test_vault *t = *state;
	char path[128], away[140];
	heads_path(t, path);
	snprintf(away, sizeof away, "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = "one" }, &t->err),
			 RC_FAILED);
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = "two" }, &t->err),
			 RC_FAILED);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(away, path), 0);
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = "three" }, &t->err),
			 RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "entries"), 8);
	assert_int_equal(test_audited(t, "two", NULL), 0);
}

static void remove_index(struct test_vault *t)
{
	char path[128];
	snprintf(path, sizeof path, "%s/vault/index", t->path);
	vault_close(t->v);
	t->v = NULL;
	disk_remove_tree(path);
}

static void index_that_is_gone_is_made_anew_and_the_trail_goes_on_from_its_head(void **state)
{
	struct test_vault *t = *state;
	test_record(t, 3, NULL);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	uint64_t last = t->v->head.number;
	remove_index(t);
	test_vault_open(t);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "reindex"));
	assert_int_equal(test_ask_as(t, "nobody", "{'request':'reindex'}"), RC_REFUSED);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 3);
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 3);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "missing"), last);
	assert_int_equal(test_ask(t, "{'request':'audit-list'}"), RC_OK);
	assert_string_equal(test_text(test_reply(t, 0), "action"), "index-rebuilt");
	assert_string_equal(test_text(test_reply(t, 0), "person"), "alice");
	assert_int_equal(test_number(test_reply(t, 0), "number"), last + 1);
}

/* The chain that goes on must go on from a head that was signed. */
static void trail_that_begins_in_the_middle_is_held_against_its_heads(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	size_t len;
	remove_index(t);
	test_vault_open(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	heads_path(t, path);
	uint8_t *text = read_file(path, &len), *sixth = text;
	for (int i = 0; i < 5; i++)
		sixth = (uint8_t *)memchr(sixth, '\n', len) + 1;
	uint8_t *seventh = (uint8_t *)memchr(sixth, '\n', 300) + 1;
	memmove(sixth, seventh, len - (size_t)(seventh - text));
	write_file(path, text, len - (size_t)(seventh - sixth));
	free(text);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	size_t entry_len;
	uint8_t *entry = get_entry(t, 7, &entry_len);
	put_entry(t, 7, NULL, 0);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	free(entry);
}

/* The file of the index that holds this text. */
static void find_table(const struct test_vault *t, const char *text, char path[256])
{
	char dir[128];
	const struct dirent *e;
	bool found = false;
	snprintf(dir, sizeof dir, "%s/vault/index", t->path);
	DIR *d = opendir(dir);
	assert_non_null(d);
	while (!found && (e = readdir(d))) {
		size_t len, name = strlen(e->d_name);
		if (name < 4 || name > 64 || strcmp(e->d_name + name - 4, ".sst") != 0)
			continue;
		snprintf(path, 256, "%s/%.64s", dir, e->d_name);
		uint8_t *bytes = read_file(path, &len);
		found = memmem(bytes, len, text, strlen(text)) != NULL;
		free(bytes);
	}
	closedir(d);
	assert_true(found);
}

/* Rows of calls that cannot be read cost neither the trail nor what is remembered of segments. */
static void trail_that_can_still_be_read_is_kept(void **state)
{
	struct test_vault *t = *state;
	char path[256];
	size_t len;
	test_record(t, 2, NULL);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	test_vault_reopen(t); /* opening brings what is in the log into tables */
	find_table(t, "PCMU", path);
	vault_close(t->v);
	t->v = NULL;
	uint8_t *bytes = read_file(path, &len);
	uint8_t *at = memmem(bytes, len, "PCMU", 4);
	assert_non_null(at);
	*at ^= 1;
	write_file(path, bytes, len);
	free(bytes);
	test_vault_open(t);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_DAMAGED);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 2);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "missing"), 0);
	assert_int_equal(test_audited(t, "init", "done"), 1);
	assert_int_equal(test_audited(t, "recorded", NULL), 2);
	assert_int_equal(test_audited(t, "index-rebuilt", "done"), 1);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

static void entries_of_a_batch_given_up_leave_no_trace(void **state)
{
	struct test_vault *t = *state;
	struct index_batch *b = index_batch_new(t->v->index);
	audit_note(t->v, b, &(struct audit_entry){ .action = "never" });
	audit_drop(t->v, b);
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = "next" }, &t->err),
			 RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "entries"), 7);
	assert_int_equal(test_audited(t, "never", NULL), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(untouched_trail_is_whole),
		TEST(altered_entry_is_found),
		TEST(removed_entry_is_found),
		TEST(swapped_entries_are_found),
		TEST(index_put_back_is_found_by_the_heads),
		TEST(altered_or_missing_heads_are_found),
		TEST(one_line_short_is_a_crash_and_made_good),
		TEST(heads_cut_further_back_are_found_and_not_healed_by_going_on),
		TEST(line_that_could_not_be_written_stands_before_the_next_commit),
		TEST(index_that_is_gone_is_made_anew_and_the_trail_goes_on_from_its_head),
		TEST(trail_that_begins_in_the_middle_is_held_against_its_heads),
		TEST(trail_that_can_still_be_read_is_kept),
		TEST(entries_of_a_batch_given_up_leave_no_trace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
