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
		TEST(entries_of_a_batch_given_up_leave_no_trace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
