/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_audit.c: no change to the audit trail goes unseen. */
#include "vault/audit_check.h"
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

static enum rc check(struct test_vault *t)
{
	struct audit_verdict verdict;
	return audit_check(t->v, NULL, NULL, 0, &verdict, &t->err);
}

static void write_entry(struct test_vault *t, const char *action)
{
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = action }, &t->err),
			 RC_OK);
}

static void path_of(const struct test_vault *t, const char *name, char path[128])
{
	snprintf(path, 128, "%s/vault/%s", t->path, name);
}

static void shut(struct test_vault *t)
{
	vault_close(t->v);
	t->v = NULL;
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

static void any_bit_of_an_entry_is_found(void **state)
{
	struct test_vault *t = *state;
	for (uint64_t n = 1; n <= 6; n++) {
		size_t len;
		uint8_t *value = get_entry(t, n, &len);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			value[bit / 8] ^= (uint8_t)(1u << bit % 8);
			put_entry(t, n, value, len);
			if (check(t) != RC_DAMAGED)
				fail_msg("entry %d, bit %zu: not found", (int)n, bit);
			value[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		put_entry(t, n, value, len);
		free(value);
	}
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void lengthened_and_shortened_entries_are_found(void **state)
{
	struct test_vault *t = *state;
	size_t len;
	uint8_t *value = get_entry(t, 4, &len), more[512];
	memcpy(more, value, len);
	more[len] = ' ';
	put_entry(t, 4, more, len + 1);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	put_entry(t, 4, value, len - 1);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	put_entry(t, 4, (const uint8_t *)"", 0);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	put_entry(t, 4, value, len);
	free(value);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

/* An entry with its own number, key and place, but not written by the vault. */
static void inserted_entry_is_found(void **state)
{
	struct test_vault *t = *state;
	size_t len[8];
	uint8_t *value[8];
	for (uint64_t n = 1; n <= 6; n++)
		value[n] = get_entry(t, n, &len[n]);
	/* behind the last */
	char text[] = "{\"number\":7,\"time\":\"2026-01-01T00:00:00.000000Z\",\"action\":\"test\"}";
	put_entry(t, 7, (const uint8_t *)text, strlen(text));
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	/* in the middle, those behind it moved up, as they are and with their numbers set right */
	for (int renumbered = 0; renumbered < 2; renumbered++) {
		text[10] = '4';
		put_entry(t, 4, (const uint8_t *)text, strlen(text));
		for (uint64_t n = 4; n <= 6; n++) {
			uint8_t copy[512];
			memcpy(copy, value[n], len[n]);
			copy[10] = (uint8_t)(copy[10] + renumbered);
			put_entry(t, n + 1, copy, len[n]);
		}
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	}
	put_entry(t, 7, NULL, 0);
	for (uint64_t n = 1; n <= 6; n++) {
		put_entry(t, n, value[n], len[n]);
		free(value[n]);
	}
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	/* under a key that is no number */
	struct index_batch *b = index_batch_new(t->v->index);
	index_batch_put(b, INDEX_AUDIT, "\0\0\0\0\0\0\0\3x", 9, text, strlen(text));
	assert_int_equal(index_batch_commit(b, &t->err), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
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

/* What the index knows of the trail's head, for putting it back. Owned by the caller. */
static uint8_t *get_head(struct test_vault *t, size_t *len)
{
	uint8_t *meta;
	assert_int_equal(index_get(t->v->index, INDEX_META, "audit", 5, &meta, len, &t->err),
			 RC_OK);
	return meta;
}

static void put_head(struct test_vault *t, const uint8_t *meta, size_t len)
{
	struct index_batch *b = index_batch_new(t->v->index);
	index_batch_put(b, INDEX_META, "audit", 5, meta, len);
	assert_int_equal(index_batch_commit(b, &t->err), RC_OK);
}

/* The whole index put back to an older state is a sound chain; the signed head beside it tells, once and for all. */
static void index_put_back_is_found_by_the_signed_head(void **state)
{
	struct test_vault *t = *state;
	size_t len;
	uint8_t *meta = get_head(t, &len);
	write_entry(t, "late");
	write_entry(t, "later");
	put_entry(t, 7, NULL, 0);
	put_entry(t, 8, NULL, 0);
	put_head(t, meta, len);
	free(meta);
	assert_int_equal(check(t), RC_DAMAGED);
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "put back"));
	/* Entries written over the gap do not heal it. */
	write_entry(t, "other");
	write_entry(t, "another");
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "put back"));
	assert_int_equal(test_audited(t, "trail-disputed", NULL), 1);
}

/* As above, with the signed head put back too: anchors tell. */
static void index_and_signed_head_put_back_are_found_by_the_anchors(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	size_t len, head_len;
	uint8_t *meta = get_head(t, &len);
	path_of(t, "audit-head", path);
	uint8_t *head = read_file(path, &head_len);
	write_entry(t, "late");
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	put_entry(t, 7, NULL, 0);
	put_head(t, meta, len);
	shut(t);
	write_file(path, head, head_len);
	test_vault_open(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "put back"));
	assert_int_equal(test_audited(t, "trail-disputed", NULL), 0);
	write_entry(t, "other");
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	write_entry(t, "another");
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	free(meta);
	free(head);
}

static void cut_trail_is_found_though_its_head_is_set_right(void **state)
{
	struct test_vault *t = *state;
	size_t len;
	uint8_t *meta = get_head(t, &len);
	write_entry(t, "late");
	put_entry(t, 7, NULL, 0);
	assert_int_equal(check(t), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "ends at entry 6"));
	put_head(t, meta, len);
	free(meta);
	test_vault_reopen(t);
	assert_int_equal(check(t), RC_DAMAGED);
}

static void altered_or_missing_signed_head_is_found_and_not_healed_by_going_on(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	size_t len;
	path_of(t, "audit-head", path);
	uint8_t *text = read_file(path, &len);
	/* both halves: one alone is what a crash leaves */
	text[8] ^= 1;
	text[4096 + 8] ^= 1;
	write_file(path, text, len);
	free(text);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "vault/audit-head"));
	test_vault_reopen(t);
	write_entry(t, "next");
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	shut(t);
	assert_int_equal(unlink(path), 0);
	test_vault_open(t);
	write_entry(t, "next");
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	assert_int_equal(test_audited(t, "trail-disputed", NULL), 2);
}

/* What a crash between commit and signing, or in the middle of signing, leaves is made good by the next to open the store. */
static void one_commit_short_is_a_crash_and_made_good(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	size_t len, before_len;
	path_of(t, "audit-head", path);
	for (int torn = 0; torn < 2; torn++) {
		uint8_t *before = read_file(path, &before_len);
		write_entry(t, "crash");
		uint8_t *after = read_file(path, &len);
		assert_int_equal(len, before_len);
		size_t at = 0;
		while (before[at] == after[at])
			at++;
		/* half of the line, or the head of the commit before */
		if (torn)
			memset(after + at / 4096 * 4096 + 100, 0, 156);
		write_file(path, torn ? after : before, len);
		free(before);
		free(after);
		test_vault_reopen(t);
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
		write_entry(t, "next");
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	}
	assert_int_equal(test_audited(t, "trail-disputed", NULL), 0);
}

static void signed_head_put_back_further_is_found(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	size_t len;
	path_of(t, "audit-head", path);
	uint8_t *text = read_file(path, &len);
	write_entry(t, "one");
	write_entry(t, "two");
	shut(t);
	write_file(path, text, len);
	free(text);
	test_vault_open(t);
	write_entry(t, "three");
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "the signed head was put back"));
}

/* Signing that fails leaves the entry, and is done before anything else is committed. */
static void head_that_could_not_be_signed_is_before_the_next_commit(void **state)
{
	struct test_vault *t = *state;
	char path[128], away[140];
	path_of(t, "audit-head", path);
	snprintf(away, sizeof away, "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = "one" }, &t->err),
			 RC_FAILED);
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = "two" }, &t->err),
			 RC_FAILED);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(away, path), 0);
	write_entry(t, "three");
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "entries"), 8);
	assert_int_equal(test_audited(t, "two", NULL), 0);
}

/* Anchors of entries 1 (init), 6 and 7, and an entry behind them. */
static void anchor_twice(struct test_vault *t)
{
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	write_entry(t, "seventh");
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK); /* nothing new */
	write_entry(t, "eighth");
	assert_int_equal(check(t), RC_OK);
}

static unsigned count_lines(const uint8_t *text, size_t len)
{
	unsigned lines = 0;
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	return lines;
}

/* The file of anchors without line n (from 0), or with it twice. */
static void write_lines(const char *path, const uint8_t *text, size_t len, unsigned n, bool twice)
{
	uint8_t out[1024];
	size_t at = 0;
	unsigned line = 0;
	for (size_t i = 0; i < len; line++) {
		const uint8_t *end = memchr(text + i, '\n', len - i);
		assert_non_null(end);
		size_t line_len = (size_t)(end + 1 - (text + i));
		for (int copies = line != n ? 1 : twice ? 2 : 0; copies; copies--) {
			assert_true(at + line_len <= sizeof out);
			memcpy(out + at, text + i, line_len);
			at += line_len;
		}
		i += line_len;
	}
	write_file(path, out, at);
}

static void anchors_altered_removed_or_doubled_are_found(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	size_t len;
	anchor_twice(t);
	path_of(t, "audit-heads", path);
	uint8_t *text = read_file(path, &len);
	assert_int_equal(count_lines(text, len), 3);
	for (unsigned n = 0; n < 3; n++) {
		write_lines(path, text, len, n, false);
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
		assert_non_null(strstr(t->err.text, "missing"));
		write_lines(path, text, len, n, true);
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	}
	for (size_t bit = 0; bit < 8 * len; bit++) {
		text[bit / 8] ^= (uint8_t)(1u << bit % 8);
		write_file(path, text, len);
		/* What is behind the last newline is what a crash left of a line. */
		if (check(t) != RC_DAMAGED)
			fail_msg("bit %zu of the anchors: not found", bit);
		text[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	write_file(path, text, len);
	free(text);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void anchors_that_are_gone_are_found_and_not_healed_by_going_on(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	anchor_twice(t);
	path_of(t, "audit-heads", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	write_file(path, "", 0);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	test_vault_reopen(t);
	write_entry(t, "next");
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
}

/* An anchor is tied in by the entries behind it; one that a crash kept from being noted is found by its line. */
static void anchor_written_before_a_crash_counts(void **state)
{
	struct test_vault *t = *state;
	size_t len;
	uint8_t *meta = get_head(t, &len);
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	put_head(t, meta, len);
	free(meta);
	test_vault_reopen(t);
	assert_int_equal(t->v->head.anchor.number, 6);
	write_entry(t, "next");
	test_vault_reopen(t);
	assert_int_equal(t->v->head.anchor.number, 6);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "anchored"), 6);
	assert_int_equal(test_number(test_reply(t, 0), "unanchored"), 1);
}

/* What a crash left of a line is cut off by the next. */
static void torn_anchor_is_none(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	size_t len;
	path_of(t, "audit-heads", path);
	uint8_t *text = read_file(path, &len), torn[512];
	memcpy(torn, text, len);
	memcpy(torn + len, text, 40);
	write_file(path, torn, len + 40);
	free(text);
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	anchor_twice(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
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
	path_of(t, "audit-heads", path);
	/* init's, and that of the entry from which the new chain goes on */
	uint8_t *text = read_file(path, &len);
	assert_int_equal(count_lines(text, len), 2);
	write_lines(path, text, len, 1, false);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	write_file(path, text, len);
	free(text);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	size_t entry_len;
	uint8_t *entry = get_entry(t, 7, &entry_len), *follows;
	put_entry(t, 7, NULL, 0);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	follows = memmem(entry, entry_len, "\"follows\":\"", 11);
	assert_non_null(follows);
	follows[12] = follows[12] == 'a' ? 'b' : 'a';
	put_entry(t, 7, entry, entry_len);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_DAMAGED);
	free(entry);
}

static void trail_whose_signed_head_is_gone_too_goes_on_from_its_newest_anchor(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	path_of(t, "audit-head", path);
	remove_index(t);
	assert_int_equal(unlink(path), 0);
	test_vault_open(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	write_entry(t, "next");
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "missing"), 1);
	assert_int_equal(test_audited(t, "trail-disputed", NULL), 0);
}

/* Without any head there is nothing to go on from: a trail of its own, from 1. */
static void trail_of_which_nothing_is_left_begins_anew(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	remove_index(t);
	path_of(t, "audit-head", path);
	assert_int_equal(unlink(path), 0);
	path_of(t, "audit-heads", path);
	assert_int_equal(unlink(path), 0);
	test_vault_open(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	test_vault_reopen(t);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "missing"), 0);
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
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(untouched_trail_is_whole),
		TEST(any_bit_of_an_entry_is_found),
		TEST(lengthened_and_shortened_entries_are_found),
		TEST(removed_entry_is_found),
		TEST(inserted_entry_is_found),
		TEST(swapped_entries_are_found),
		TEST(cut_trail_is_found_though_its_head_is_set_right),
		TEST(index_put_back_is_found_by_the_signed_head),
		TEST(index_and_signed_head_put_back_are_found_by_the_anchors),
		TEST(altered_or_missing_signed_head_is_found_and_not_healed_by_going_on),
		TEST(one_commit_short_is_a_crash_and_made_good),
		TEST(signed_head_put_back_further_is_found),
		TEST(head_that_could_not_be_signed_is_before_the_next_commit),
		TEST(anchors_altered_removed_or_doubled_are_found),
		TEST(anchors_that_are_gone_are_found_and_not_healed_by_going_on),
		TEST(anchor_written_before_a_crash_counts),
		TEST(torn_anchor_is_none),
		TEST(index_that_is_gone_is_made_anew_and_the_trail_goes_on_from_its_head),
		TEST(trail_that_begins_in_the_middle_is_held_against_its_heads),
		TEST(trail_whose_signed_head_is_gone_too_goes_on_from_its_newest_anchor),
		TEST(trail_of_which_nothing_is_left_begins_anew),
		TEST(trail_that_can_still_be_read_is_kept),
		TEST(entries_of_a_batch_given_up_leave_no_trace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
