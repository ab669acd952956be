/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_ingest.c: what recorders wrote becomes rows, exactly once, and closed segments are taken over. */
#include "vault_help.h"

#include <sys/file.h>
#include <sys/wait.h>

#define CALLS 12

static void closed_segment_becomes_rows_and_moves_out_of_reach(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[3];
	char path[512], id[UUID_TEXT];
	test_record(t, 3, c);
	assert_true(test_find(t, "recorder", ".seg", path));
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 3);
	for (unsigned n = 0; n < 3; n++) {
		const json_t *o = test_reply(t, n);
		assert_string_equal(test_text(o, "id"), uuid_text(&c[n].r.id, id));
		assert_string_equal(test_text(o, "from"), c[n].r.from);
		assert_string_equal(test_text(o, "sip_call_id"), c[n].r.sip_call_id);
		assert_string_equal(test_text(o, "state"), "ended");
		assert_string_equal(test_text(o, "ended_by"), "caller");
		assert_int_equal(test_number(o, "duration_ms"), 1000);
		assert_true(json_is_true(json_object_get(o, "attested")));
		const json_t *streams = json_object_get(o, "streams");
		assert_int_equal(json_array_size(streams), 2);
		assert_string_equal(test_text(json_array_get(streams, 1), "track"), "callee");
		assert_string_equal(test_text(json_array_get(streams, 0), "src"), "192.0.2.7:4000");
	}
	assert_false(test_find(t, "recorder", ".seg", path));
	assert_false(test_find(t, "recorder", ".keys", path));
	assert_true(test_find(t, "vault/segments", ".seg", path));
	assert_true(test_find(t, "vault/segments", ".keys", path));
	assert_int_equal(test_audited(t, "recorded", "attested"), 3);
	assert_int_equal(test_audited(t, "recorded", NULL), 3);
}

static void expiry_counts_from_the_end_of_the_call(void **state)
{
	struct test_vault *t = *state;
	struct test_call c;
	char text[CLOCK_TEXT];
	test_record(t, 1, &c);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	const json_t *retention = json_object_get(test_reply(t, 0), "retention");
	clock_rfc3339((c.r.end_us + INT64_C(30) * 86400 * 1000000) * 1000, text);
	assert_string_equal(test_text(retention, "class"), "standard");
	assert_string_equal(test_text(retention, "expires"), text);
}

static void imported_call_expires_from_its_import_unless_told_otherwise(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[2];
	struct store_writer *w = test_recorder(t);
	char text[CLOCK_TEXT];
	int64_t month_us = INT64_C(30) * 86400 * 1000000;
	for (unsigned n = 0; n < 2; n++) {
		test_call_begin(&c[n], w, n);
		c[n].r.imported = true;
		c[n].r.imported_us = HOUR_US + 9 * month_us;
		c[n].r.retain_from_call = n == 1;
		test_call_end(w, &c[n], c[n].r.answer_us + 1);
	}
	test_finish(t, w);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	clock_rfc3339((c[0].r.imported_us + month_us) * 1000, text);
	assert_string_equal(test_text(json_object_get(test_reply(t, 0), "retention"), "expires"),
			    text);
	clock_rfc3339((c[1].r.end_us + month_us) * 1000, text);
	assert_string_equal(test_text(json_object_get(test_reply(t, 1), "retention"), "expires"),
			    text);
}

static void call_of_a_live_segment_is_listed_open_and_later_ended(void **state)
{
	struct test_vault *t = *state;
	struct test_call c;
	struct store_writer *w = test_recorder(t);
	test_call_begin(&c, w, 1);
	test_audio_chunk(w, &c, 0, 0, 0, 25);
	store_writer_tick(w, NS_PER_S, HOUR_NS);
	store_writer_tick(w, 3 * NS_PER_S, HOUR_NS);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 1);
	assert_string_equal(test_text(test_reply(t, 0), "state"), "talking");
	assert_true(json_is_null(json_object_get(test_reply(t, 0), "end")));
	assert_true(json_is_true(json_object_get(test_reply(t, 0), "attested")));
	assert_true(json_is_null(
		json_object_get(json_object_get(test_reply(t, 0), "retention"), "expires")));
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(test_audited(t, "recorded", NULL), 0);

	test_stream(w, &c, 0, 25);
	test_call_end(w, &c, c.r.answer_us + 500000);
	test_finish(t, w);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 1);
	assert_string_equal(test_text(test_reply(t, 0), "state"), "ended");
	assert_int_equal(test_number(test_reply(t, 0), "duration_ms"), 500);
	assert_int_equal(test_audited(t, "recorded", NULL), 1);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

/* A recorder in a process of its own that is killed after its last sync and some unsynced records. */
static void record_and_die(struct test_vault *t, struct test_call *c)
{
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct store_writer *w = test_recorder(t);
		test_call_begin(c, w, 5);
		test_audio_chunk(w, c, 0, 0, 0, 25);
		test_stream(w, c, 0, 25);
		store_writer_tick(w, NS_PER_S, HOUR_NS);
		store_writer_tick(w, 3 * NS_PER_S, HOUR_NS);
		test_audio_chunk(w, c, 0, 1, 25, 25);
		store_writer_tick(w, 3 * NS_PER_S + 300 * NS_PER_MS, HOUR_NS);
		_exit(write(ready[1], "", 1) == 1 ? 0 : 1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ready[0]);
}

static void call_of_a_killed_recorder_ends_with_the_last_known_moment(void **state)
{
	struct test_vault *t = *state;
	struct test_call c = { 0 };
	char end[CLOCK_TEXT], path[512];
	record_and_die(t, &c);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 1);
	const json_t *o = test_reply(t, 0);
	int64_t last_us = HOUR_US + 5 * 1000000 + 2000000 + 24 * 20000;
	assert_string_equal(test_text(o, "state"), "ended");
	assert_string_equal(test_text(o, "ended_by"), "capture-end");
	assert_string_equal(test_text(o, "outcome"), "answered");
	assert_string_equal(test_text(o, "end"), clock_rfc3339(last_us * 1000, end));
	assert_string_equal(json_string_value(json_array_get(json_object_get(o, "coverage"), 0)),
			    "recorder-stopped");
	assert_true(json_is_false(json_object_get(o, "attested")));
	assert_true(test_find(t, "vault/segments", ".seg", path));
	assert_int_equal(test_audited(t, "recorded", "unattested"), 1);
	assert_int_equal(test_audited(t, "segment-damaged", NULL), 0);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_true(json_is_true(json_object_get(test_reply(t, 0), "unattested_tail")));
}

/* ---- exactly once ----------------------------------------------------------------------------- */

/* All calls and what they were told to the audit trail, as one text. Owned by the caller. */
static char *snapshot(struct test_vault *t)
{
	assert_int_equal(test_ask(t, "{'request':'calls','limit':0}"), RC_OK);
	json_t *all = json_incref(t->replies);
	for (size_t i = 0; i < json_array_size(all); i++) {
		char id[UUID_TEXT];
		snprintf(id, sizeof id, "%s", test_text(json_array_get(all, i), "id"));
		assert_int_equal(test_ask(t, "{'request':'show','id':'%s'}", id), RC_OK);
		json_array_set(all, i, json_array_get(t->replies, 0));
	}
	char *text = json_dumps(all, JSON_SORT_KEYS | JSON_INDENT(1));
	json_decref(all);
	assert_non_null(text);
	return text;
}

static size_t pointers(struct test_vault *t)
{
	static const enum index_family families[] = { INDEX_CALLS, INDEX_BY_TIME, INDEX_BY_PARTY,
						      INDEX_CONVERSATIONS, INDEX_EXPIRY };
	const uint8_t *key, *value;
	size_t key_len, value_len, n = 0;
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
		struct index_cursor *c = index_cursor_new(t->v->index, families[i], NULL, 0, false);
		while (index_cursor_next(c, &key, &key_len, &value, &value_len))
			n++;
		index_cursor_free(c);
	}
	return n;
}

#define CHILD "ingest-and-die"

/* What that process does: open the vault, ingest some batches of two calls, and die without closing. */
static int child(const char *store, const char *commits)
{
	const struct ingest_limits limits = { .calls_a_batch = 2,
					      .commits = (unsigned)atoi(commits) };
	struct vault *v;
	struct error err;
	if (vault_open(&v, store, 0, &err) != RC_OK)
		return 99;
	_exit((int)ingest_run(v, &limits, &err));
}

/* In a process of its own, not a copy of this one, whose index has threads. */
static enum rc ingest_and_die(const struct test_vault *t, unsigned commits)
{
	int status;
	char count[16];
	snprintf(count, sizeof count, "%u", commits);
	pid_t pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "test", CHILD, t->path, count, (char *)NULL);
		_exit(98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return (enum rc)WEXITSTATUS(status);
}

static void killed_after_any_commit_it_goes_on_to_the_same_index(void **state)
{
	struct test_vault *t = *state;
	test_record(t, CALLS, NULL);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	char *whole = snapshot(t);
	size_t whole_pointers = pointers(t);
	size_t entries = test_audited(t, "recorded", NULL);
	assert_int_equal(entries, CALLS);

	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	for (unsigned runs = 0;; runs++) {
		if (runs == 0) {
			assert_int_equal(reindex_begin(t->v, &t->err), RC_OK);
			vault_close(t->v);
			t->v = NULL;
		}
		enum rc rc = ingest_and_die(t, 1);
		if (rc == RC_OK) {
			assert_true(runs >= CALLS / 2);
			break;
		}
		assert_int_equal(rc, RC_AGAIN);
		assert_true(runs < 100);
	}
	test_vault_open(t);
	char *again = snapshot(t);
	assert_string_equal(whole, again);
	assert_int_equal(pointers(t), whole_pointers);
	assert_int_equal(test_audited(t, "recorded", NULL), entries);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	free(whole);
	free(again);
}

/* Is the only segment's row done, while its file still lies at the recorder? */
static bool done_and_not_moved(struct test_vault *t)
{
	struct segment_row row;
	char path[512];
	if (!test_find(t, "recorder", ".seg", path))
		return false;
	path[strlen(path) - 4] = '\0';
	test_vault_open(t);
	enum rc rc = segments_get(t->v, strrchr(path, '/') + 1, &row, &t->err);
	vault_close(t->v);
	t->v = NULL;
	return rc == RC_OK && row.done;
}

static void killed_before_the_move_the_next_run_moves(void **state)
{
	struct test_vault *t = *state;
	char path[512];
	bool met = false;
	test_record(t, 2, NULL);
	vault_close(t->v);
	t->v = NULL;
	while (ingest_and_die(t, 1) == RC_AGAIN)
		met |= done_and_not_moved(t);
	assert_true(met);
	assert_false(test_find(t, "recorder", ".seg", path));
	assert_true(test_find(t, "vault/segments", ".keys", path));
	test_vault_open(t);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 2);
}

static void half_moved_segment_is_moved_on(void **state)
{
	struct test_vault *t = *state;
	char from[512], to[640];
	test_record(t, 2, NULL);
	assert_true(test_find(t, "recorder", ".keys", from));
	snprintf(to, sizeof to, "%s/vault/segments/%s", t->path, strrchr(from, '/') + 1);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 2);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

static void reindex_gives_the_same_index_and_adds_nothing_to_the_trail(void **state)
{
	struct test_vault *t = *state;
	test_record(t, 5, NULL);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	char *before = snapshot(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 5);
	assert_int_equal(test_number(test_reply(t, 0), "segments"), 1);
	char *after = snapshot(t);
	assert_string_equal(before, after);
	assert_int_equal(test_audited(t, "recorded", NULL), 5);
	assert_int_equal(test_audited(t, "reindex", "done"), 1);
	free(before);
	free(after);
}

/* ---- what must not come in ------------------------------------------------------------------------ */

static void destroyed_slot_takes_who_spoke_with_it(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[2];
	char path[512], id[UUID_TEXT];
	test_record(t, 2, c);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_true(test_find(t, "vault/segments", ".seg", path));
	assert_int_equal(segment_destroy_slot(path, 0, &t->err), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'show','id':'%s'}", uuid_text(&c[0].r.id, id)),
			 RC_OK);
	assert_true(json_is_null(json_object_get(test_reply(t, 0), "from")));
	assert_true(json_is_null(json_object_get(test_reply(t, 0), "sip_call_id")));
	assert_int_equal(test_ask(t, "{'request':'show','id':'%s'}", uuid_text(&c[1].r.id, id)),
			 RC_OK);
	assert_string_equal(test_text(test_reply(t, 0), "from"), c[1].r.from);

	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "calls"), 1);
}

static bool holds(const char *path, const char *needle)
{
	size_t len;
	uint8_t *bytes = read_file(path, &len);
	bool found = memmem(bytes, len, needle, strlen(needle)) != NULL;
	free(bytes);
	return found;
}

static const char *needle;
static unsigned files_holding;

static int look(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_F && holds(path, needle))
		files_holding++;
	return 0;
}

static void no_file_of_the_store_holds_a_number_name_or_uri(void **state)
{
	static const char *const needles[] = { "441632960001", "Caller 1", "example.test" };
	struct test_vault *t = *state;
	test_record(t, 3, NULL);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 3);
	test_vault_reopen(t);
	needle = "standard"; /* the search itself finds what is there */
	(void)nftw(t->path, look, 16, FTW_PHYS);
	assert_true(files_holding > 0);
	for (size_t i = 0; i < sizeof needles / sizeof needles[0]; i++) {
		needle = needles[i];
		files_holding = 0;
		(void)nftw(t->path, look, 16, FTW_PHYS);
		assert_int_equal(files_holding, 0);
	}
}

static void segment_of_a_foreign_key_is_flagged_and_its_calls_are_not_attested(void **state)
{
	struct test_vault *t = *state, other;
	char from[512], to[640], id[UUID_TEXT];
	struct test_call c;
	test_vault_make(&other, "lab", NULL);
	/* The forger knows the vault's public keys and signs with a key of its own. */
	snprintf(to, sizeof to, "%s/recorder/vault.pub", other.path);
	snprintf(from, sizeof from, "%s/recorder/vault.pub", t->path);
	size_t len;
	uint8_t *keys = read_file(from, &len);
	write_file(to, keys, len);
	free(keys);
	test_record(&other, 1, &c);
	for (int i = 0; i < 2; i++) {
		assert_true(test_find(&other, "recorder", i ? ".seg" : ".keys", from));
		snprintf(to, sizeof to, "%s/recorder/%s", t->path, strrchr(from, '/') + 1);
		assert_int_equal(rename(from, to), 0);
	}
	assert_int_equal(test_ask(t, "{'request':'show','id':'%s'}", uuid_text(&c.r.id, id)),
			 RC_OK);
	assert_true(json_is_false(json_object_get(test_reply(t, 0), "attested")));
	assert_int_equal(test_audited(t, "segment-damaged", NULL), 1);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
	test_vault_remove(&other);
}

static void more_calls_than_one_batch_holds_all_come_in(void **state)
{
	enum { MANY = 2500 };
	struct test_vault *t = *state;
	struct store_writer *w = test_recorder(t);
	struct test_call c;
	for (unsigned n = 0; n < MANY; n++) {
		test_call_begin(&c, w, n);
		c.r.start_us = HOUR_US + n;
		test_call_end(w, &c, c.r.answer_us + 5);
	}
	test_finish(t, w);
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	const json_t *calls = json_object_get(test_reply(t, 0), "calls");
	assert_int_equal(test_number(calls, "total"), MANY);
	assert_int_equal(test_number(calls, "open"), 0);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], CHILD) == 0)
		return child(argv[2], argv[3]);
#define TEST(f) cmocka_unit_test_setup_teardown(f, test_vault_lab, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(closed_segment_becomes_rows_and_moves_out_of_reach),
		TEST(expiry_counts_from_the_end_of_the_call),
		TEST(imported_call_expires_from_its_import_unless_told_otherwise),
		TEST(call_of_a_live_segment_is_listed_open_and_later_ended),
		TEST(call_of_a_killed_recorder_ends_with_the_last_known_moment),
		TEST(killed_after_any_commit_it_goes_on_to_the_same_index),
		TEST(killed_before_the_move_the_next_run_moves),
		TEST(half_moved_segment_is_moved_on),
		TEST(reindex_gives_the_same_index_and_adds_nothing_to_the_trail),
		TEST(destroyed_slot_takes_who_spoke_with_it),
		TEST(no_file_of_the_store_holds_a_number_name_or_uri),
		TEST(segment_of_a_foreign_key_is_flagged_and_its_calls_are_not_attested),
		TEST(more_calls_than_one_batch_holds_all_come_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
