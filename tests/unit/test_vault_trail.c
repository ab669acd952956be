/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_trail.c: what gets into the audit trail and when, what of it goes outside, and how it is read. */
#include "vault/heads.h"
#include "vault_help.h"

static struct test_vault vault; /* of the test that runs */

static int make(void **state)
{
	test_vault_make(&vault, "lab", NULL);
	test_person(&vault, "audrey", ROLE_AUDITOR);
	test_person(&vault, "mia", ROLE_MANAGER);
	*state = &vault;
	return 0;
}

static void write_entry(struct test_vault *t, const char *action)
{
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = action }, &t->err),
			 RC_OK);
}

static void path_of(const struct test_vault *t, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", t->path, name);
}

/* ---- before the act ------------------------------------------------------------------------------ */

/* From here on no head can be signed. */
static void break_trail(const struct test_vault *t, bool broken)
{
	char path[128], away[140];
	path_of(t, "vault/audit-head", path);
	snprintf(away, sizeof away, "%s.away", path);
	assert_int_equal(broken ? rename(path, away) : rmdir(path), 0);
	assert_int_equal(broken ? mkdir(path, 0700) : rename(away, path), 0);
}

static void audited_requests_are_told_before_and_after(void **state)
{
	struct test_vault *t = *state;
	test_record(t, 2, NULL);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-list','action':'reindex'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 2);
	assert_string_equal(test_text(test_reply(t, 0), "outcome"), "granted");
	assert_string_equal(test_text(test_reply(t, 1), "outcome"), "done");
	assert_string_equal(test_text(test_reply(t, 1), "person"), "alice");
}

/* A file to be written to, and how much was. */
static int new_file(const struct test_vault *t)
{
	char path[128];
	path_of(t, "out", path);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static off_t size_of(int fd)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

static void nothing_is_done_when_its_entry_cannot_be_written(void **state)
{
	struct test_vault *t = *state;
	struct test_call calls[2];
	char id[UUID_TEXT];
	uint8_t *value;
	size_t len;
	test_record(t, 2, calls);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	(void)uuid_text(&calls[0].r.id, id);
	int fd = new_file(t);
	break_trail(t, true);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_FAILED);
	assert_int_equal(index_get(t->v->index, INDEX_META, "reindex", 7, &value, &len, &t->err),
			 RC_NOT_FOUND);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_FAILED);
	assert_int_equal(json_array_size(t->replies), 0);
	assert_int_equal(test_ask(t,
				  "{'request':'export','id':'%s','purpose':'complaint',"
				  "'reference':'C-1','fd':%d}",
				  id, fd),
			 RC_FAILED);
	assert_int_equal(test_ask(t,
				  "{'request':'digits','id':'%s','purpose':'complaint',"
				  "'reference':'C-1'}",
				  id),
			 RC_FAILED);
	assert_int_equal(json_array_size(t->replies), 0);
	assert_int_equal(test_ask(t, "{'request':'audit-export','fd':%d}", fd), RC_FAILED);
	assert_int_equal(size_of(fd), 0);
	break_trail(t, false);
	assert_int_equal(test_ask(t,
				  "{'request':'export','id':'%s','purpose':'complaint',"
				  "'reference':'C-1','fd':%d}",
				  id, fd),
			 RC_OK);
	assert_true(size_of(fd) > 0);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	close(fd);
}

static void refusal_stands_when_it_cannot_be_audited(void **state)
{
	struct test_vault *t = *state;
	break_trail(t, true);
	assert_int_equal(test_ask_as(t, "nobody", "{'request':'status'}"), RC_REFUSED);
	assert_non_null(strstr(t->err.text, "not listed"));
	assert_int_equal(test_ask_as(t, "mia", "{'request':'audit-list'}"), RC_REFUSED);
	break_trail(t, false);
	assert_int_equal(test_ask_as(t, "mia", "{'request':'audit-list'}"), RC_REFUSED);
	assert_int_equal(test_audited(t, "audit-list", "refused"), 1);
}

/* An attempt that ended before anything was granted. */
static void attempt_on_a_recording_is_audited(void **state)
{
	struct test_vault t;
	struct test_call call;
	struct person p = {
		.name = "mona", .role = ROLE_MANAGER, .has_box = true, .has_audio = true
	};
	char id[UUID_TEXT];
	(void)state;
	test_vault_make(&t, "lab", PASSPHRASE);
	test_record(&t, 1, &call);
	(void)uuid_text(&call.r.id, id);
	/* a box that cannot be: it asks for no passes at all */
	assert_int_equal(people_save(t.path, &p, &t.err), RC_OK);
	assert_int_equal(test_ask_as(&t, "mona",
				     "{'request':'digits','id':'%s','purpose':'complaint',"
				     "'reference':'C-1','passphrase':'x'}",
				     id),
			 RC_DAMAGED);
	assert_int_equal(test_ask(&t, "{'request':'audit-list','action':'digits'}"), RC_OK);
	assert_int_equal(json_array_size(t.replies), 1);
	assert_string_equal(test_text(test_reply(&t, 0), "outcome"), "damaged");
	assert_string_equal(test_text(test_reply(&t, 0), "call"), id);
	assert_string_equal(test_text(test_reply(&t, 0), "person"), "mona");
	/* to be asked for a passphrase is none */
	assert_int_equal(test_ask(&t,
				  "{'request':'digits','id':'%s','purpose':'complaint',"
				  "'reference':'C-1'}",
				  id),
			 RC_AGAIN);
	assert_int_equal(test_audited(&t, "digits", NULL), 1);
	test_vault_remove(&t);
}

/* ---- anchors ------------------------------------------------------------------------------------- */

static int64_t now_us;

static int64_t told_time(void *ctx)
{
	(void)ctx;
	return now_us;
}

static uint64_t anchored(struct test_vault *t)
{
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	return (uint64_t)test_number(json_object_get(test_reply(t, 0), "audit"), "anchored");
}

static void head_is_signed_each_hour_in_which_something_was_written(void **state)
{
	static const int64_t minute = INT64_C(60) * 1000000;
	struct test_vault *t = *state;
	now_us = vault_now_us(t->v);
	vault_set_clock(t->v, told_time, NULL);
	assert_int_equal(anchored(t), 1); /* init's */
	write_entry(t, "one");
	now_us += 59 * minute;
	(void)anchored(t);
	assert_int_equal(anchored(t), 1);
	now_us += 2 * minute;
	(void)anchored(t);
	assert_int_equal(anchored(t), 2);
	for (int hours = 0; hours < 5; hours++) {
		now_us += 60 * minute;
		(void)anchored(t);
	}
	assert_int_equal(anchored(t), 2);
	write_entry(t, "two");
	(void)anchored(t);
	assert_int_equal(anchored(t), 3);
	/* A clock that was set back by a year does not put the next off for that long. */
	now_us -= 365 * 24 * 60 * minute;
	write_entry(t, "three");
	(void)anchored(t);
	assert_int_equal(anchored(t), 4);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void anchor_that_was_asked_for_covers_its_own_entry(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask_as(t, "audrey", "{'request':'audit-anchor'}"), RC_OK);
	const json_t *o = test_reply(t, 0);
	assert_int_equal(test_number(o, "anchored"), 2);
	assert_int_equal(test_number(o, "entries"), 2);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "unanchored"), 0);
	assert_int_equal(test_ask_as(t, "mia", "{'request':'audit-anchor'}"), RC_REFUSED);
}

static void configure(struct test_vault *t, const char *file)
{
	assert_int_equal(
		vault_configure(t->v, &(struct vault_settings){ .head_file = file }, &t->err),
		RC_OK);
}

/* "NUMBER HASH" as it stands now. */
static void note_head(const struct test_vault *t, char text[96])
{
	char hash[65];
	keys_hex(hash, t->v->head.hash, 32);
	snprintf(text, 96, "%llu %s", (unsigned long long)t->v->head.number, hash);
}

static void outside_file_gets_each_anchor_and_its_failure_stops_nothing(void **state)
{
	struct test_vault *t = *state;
	char path[128], away[128];
	size_t len;
	struct error err;
	path_of(t, "outside", path);
	path_of(t, "outside.away", away);
	assert_int_equal(
		vault_configure(t->v, &(struct vault_settings){ .head_file = "heads" }, &err),
		RC_USAGE);
	configure(t, path);
	assert_int_equal(test_ask(t, "{'request':'audit-anchor'}"), RC_OK);
	assert_true(json_is_string(json_object_get(test_reply(t, 0), "outside_written")));
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(test_ask(t, "{'request':'audit-anchor'}"), RC_FAILED);
	assert_non_null(strstr(t->err.text, "could not be written"));
	write_entry(t, "goes on");
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	test_vault_reopen(t);
	configure(t, path);
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	const json_t *o = json_object_get(test_reply(t, 0), "audit");
	assert_int_equal(test_number(o, "outside_failed"), 2);
	assert_string_equal(test_text(o, "outside"), path);
	assert_true(json_is_string(json_object_get(o, "outside_written")));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(away, path), 0);
	/* Nothing new: the anchor that did not get there is sent again. */
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	assert_int_equal(t->v->head.outside_failed, 0);
	uint8_t *text = read_file(path, &len);
	text[len - 1] = '\0';
	char *second = strchr((char *)text, '\n');
	struct audit_mark first, last;
	assert_non_null(second);
	*second++ = '\0';
	assert_null(heads_fault(t->v, "anchor", (char *)text, &first));
	assert_null(heads_fault(t->v, "anchor", second, &last));
	assert_int_equal(first.number, 2);
	assert_int_equal(last.number, 4);
	free(text);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

/* ---- heads kept elsewhere --------------------------------------------------------------------------- */

static enum rc verify_head(struct test_vault *t, const char *head)
{
	return test_ask(t, "{'request':'audit-verify','head':'%s'}", head);
}

static void head_given_must_be_in_the_trail(void **state)
{
	struct test_vault *t = *state;
	static const char *const wrong[] = { "", "7", "0 ", "zz", "1 zz", "head" };
	char head[96], other[96];
	write_entry(t, "one");
	write_entry(t, "two");
	note_head(t, head);
	write_entry(t, "three");
	write_entry(t, "four");
	assert_int_equal(verify_head(t, head), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "anchored"), 3);
	assert_int_equal(test_number(test_reply(t, 0), "unanchored"), 2);
	assert_int_equal(verify_head(t, head + 2), RC_OK); /* the hash alone */
	assert_int_equal(test_number(test_reply(t, 0), "anchored"), 3);
	for (size_t i = 2; i < strlen(head); i++) {
		snprintf(other, sizeof other, "%s", head);
		other[i] = other[i] == '0' ? '1' : '0';
		assert_int_equal(verify_head(t, other), RC_DAMAGED);
		assert_int_equal(verify_head(t, other + 2), RC_DAMAGED);
	}
	snprintf(other, sizeof other, "4 %s", head + 2);
	assert_int_equal(verify_head(t, other), RC_DAMAGED);
	snprintf(other, sizeof other, "9 %s", head + 2);
	assert_int_equal(verify_head(t, other), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "put back"));
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_int_equal(verify_head(t, wrong[i]), RC_USAGE);
	snprintf(other, sizeof other, "0 %s", head + 2);
	assert_int_equal(verify_head(t, other), RC_USAGE);
}

/* The folder of the store, as a thief of backups would have it. */
static void copy_store(const char *from, const char *to)
{
	char command[300];
	snprintf(command, sizeof command, "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
}

static enum rc verify_file(struct test_vault *t, const uint8_t *text, size_t len)
{
	const struct vault_caller who = { .person = "alice", .uid = 1000 };
	json_t *request = json_pack("{s:s, s:s%}", "request", "audit-verify", "heads",
				    (const char *)text, len);
	assert_non_null(request);
	json_decref(t->replies);
	t->replies = json_array();
	enum rc rc = vault_request(t->v, &who, request, test_collect, t, &t->err);
	json_decref(request);
	return rc;
}

/* Everything of the store is what it was, and in order: only what was kept elsewhere tells. */
static void store_put_back_as_a_whole_is_found_by_a_head_kept_elsewhere(void **state)
{
	struct test_vault *t = *state;
	char copy[80], head[96], outside[80];
	snprintf(copy, sizeof copy, "%s.copy", t->path);
	snprintf(outside, sizeof outside, "%s.heads", t->path);
	configure(t, outside);
	write_entry(t, "one");
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	vault_close(t->v);
	copy_store(t->path, copy);
	test_vault_open(t);
	configure(t, outside);
	write_entry(t, "two");
	write_entry(t, "three");
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	note_head(t, head);
	for (int grown = 0; grown < 2; grown++) {
		vault_close(t->v);
		(void)nftw(t->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
		copy_store(copy, t->path);
		test_vault_open(t);
		for (int i = 0; grown && i < 5; i++)
			write_entry(t, "other");
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
		assert_int_equal(verify_head(t, head), RC_DAMAGED);
		assert_int_equal(verify_head(t, head + 2), RC_DAMAGED);
		size_t len;
		uint8_t *heads = read_file(outside, &len);
		assert_int_equal(verify_file(t, heads, len), RC_DAMAGED);
		assert_non_null(strstr(t->err.text, "line 2"));
		free(heads);
	}
	(void)nftw(copy, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(unlink(outside), 0);
}

static void file_of_heads_must_be_signed_and_in_the_trail(void **state)
{
	struct test_vault *t = *state;
	char path[128], head[96];
	size_t len;
	path_of(t, "vault/audit-heads", path);
	write_entry(t, "one");
	assert_int_equal(audit_anchor(t->v, &t->err), RC_OK);
	write_entry(t, "two");
	uint8_t *text = read_file(path, &len);
	assert_int_equal(verify_file(t, text, len), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "anchored"), 2);
	assert_int_equal(test_number(test_reply(t, 0), "unanchored"), 1);
	/* a line that a crash left unfinished; the second one alone; nothing */
	assert_int_equal(verify_file(t, text, len - 1), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "anchored"), 1);
	const uint8_t *second = (uint8_t *)memchr(text, '\n', len) + 1;
	assert_int_equal(verify_file(t, second, len - (size_t)(second - text)), RC_OK);
	assert_int_equal(verify_file(t, text, 0), RC_USAGE);
	assert_int_equal(test_ask(t, "{'request':'audit-verify','heads':'x\\n','line':7}"),
			 RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "line 7"));
	text[9] ^= 1;
	assert_int_equal(verify_file(t, text, len), RC_DAMAGED);
	text[9] ^= 1;
	text[150] ^= 1;
	assert_int_equal(verify_file(t, text, len), RC_DAMAGED);
	free(text);
	note_head(t, head);
	assert_int_equal(test_ask(t, "{'request':'audit-verify','head':'%s','heads':''}", head),
			 RC_USAGE);
}

/* ---- listing ---------------------------------------------------------------------------------------- */

static size_t listed(struct test_vault *t, const char *filters)
{
	assert_int_equal(test_ask(t, "{'request':'audit-list'%s}", filters), RC_OK);
	return json_array_size(t->replies);
}

static void list_shows_what_is_asked_for(void **state)
{
	struct test_vault *t = *state;
	struct uuid id = uuid_v7(HOUR_US * 1000);
	char text[UUID_TEXT], filter[128];
	now_us = vault_now_us(t->v);
	vault_set_clock(t->v, told_time, NULL);
	for (int i = 0; i < 30; i++) {
		now_us += 1000000;
		const struct audit_entry e = { .person = i % 3 ? "mia" : "",
					       .action = i % 5 ? "often" : "seldom",
					       .call = i == 7 ? &id : NULL };
		assert_int_equal(audit_write(t->v, &e, &t->err), RC_OK);
	}
	assert_int_equal(listed(t, ""), 31);
	assert_int_equal(listed(t, ",'action':'seldom'"), 6);
	assert_int_equal(listed(t, ",'action':'seldom','limit':2"), 2);
	assert_int_equal(test_number(test_reply(t, 0), "number"), 22);
	assert_int_equal(test_number(test_reply(t, 1), "number"), 27);
	assert_int_equal(listed(t, ",'person':'mia'"), 20);
	assert_int_equal(listed(t, ",'person':''"), 10);
	assert_int_equal(listed(t, ",'person':'alice'"), 1);
	assert_int_equal(listed(t, ",'person':'nobody','limit':3"), 0);
	assert_int_equal(listed(t, ",'limit':4"), 4);
	assert_int_equal(test_number(test_reply(t, 0), "number"), 28);
	assert_int_equal(listed(t, ",'limit':4,'before':28"), 4);
	assert_int_equal(test_number(test_reply(t, 3), "number"), 27);
	assert_int_equal(listed(t, ",'before':3"), 2);
	assert_int_equal(listed(t, ",'before':1,'limit':3"), 0);
	(void)uuid_text(&id, text);
	snprintf(filter, sizeof filter, ",'call':'%s'", text);
	assert_int_equal(listed(t, filter), 1);
	assert_int_equal(test_number(test_reply(t, 0), "number"), 9);
	snprintf(filter, sizeof filter, ",'call':'%.8s'", text);
	assert_int_equal(listed(t, filter), 1);
	assert_int_equal(test_ask(t, "{'request':'audit-list','call':'12'}"), RC_USAGE);
	snprintf(filter, sizeof filter, ",'since':%lld", (long long)(now_us - 4500000));
	assert_int_equal(listed(t, filter), 5);
	snprintf(filter, sizeof filter, ",'since':%lld,'until':%lld", (long long)(now_us - 4500000),
		 (long long)(now_us - 1500000));
	assert_int_equal(listed(t, filter), 3);
}

/* A clock that was wrong for a while hides nothing that was written before. */
static void list_by_time_sees_past_a_clock_that_was_wrong(void **state)
{
	struct test_vault *t = *state;
	char filter[64];
	int64_t then = vault_now_us(t->v);
	now_us = then;
	vault_set_clock(t->v, told_time, NULL);
	write_entry(t, "before");
	now_us = 0;
	for (int i = 0; i < 100; i++)
		write_entry(t, "in 1970");
	now_us = then + 1000000;
	write_entry(t, "after");
	snprintf(filter, sizeof filter, ",'since':%lld", (long long)then);
	assert_int_equal(listed(t, filter), 2);
	assert_string_equal(test_text(test_reply(t, 0), "action"), "before");
}

/* ---- exporting ------------------------------------------------------------------------------------- */

static void export_holds_key_entries_and_anchors(void **state)
{
	struct test_vault *t = *state;
	char path[128], pem[SIGN_PEM], *rest = NULL;
	size_t len, entries = 0, anchors = 0;
	write_entry(t, "one");
	int fd = new_file(t);
	assert_int_equal(test_ask_as(t, "mia", "{'request':'audit-export','fd':%d}", fd),
			 RC_REFUSED);
	assert_int_equal(test_ask(t, "{'request':'audit-export'}"), RC_USAGE);
	assert_int_equal(test_ask_as(t, "audrey", "{'request':'audit-export','fd':%d}", fd), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "entries"), 4);
	assert_int_equal(test_number(test_reply(t, 0), "anchors"), 2);
	assert_int_equal(test_number(test_reply(t, 0), "bytes"), size_of(fd));
	close(fd);
	path_of(t, "out", path);
	char *text = (char *)read_file(path, &len);
	text = realloc(text, len + 1);
	text[len] = '\0';
	sign_public_pem(t->v->keys.heads.public_key, pem);
	assert_int_equal(strncmp(text, "callspan audit export 1\n", 24), 0);
	assert_int_equal(strncmp(text + 24, pem, strlen(pem)), 0);
	for (char *line = strtok_r(text + 24 + strlen(pem), "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		struct audit_mark m;
		bool anchor = strncmp(line, "anchor ", 7) == 0;
		anchors += anchor;
		entries += !anchor;
		if (anchor)
			assert_null(heads_fault(t->v, "anchor", line, &m));
		else
			assert_int_equal(line[64], ' ');
		if (anchor)
			assert_int_equal(m.number, entries);
	}
	assert_int_equal(entries, 4);
	assert_int_equal(anchors, 2);
	free(text);
	assert_int_equal(test_audited(t, "audit-export", "granted"), 1);
	assert_int_equal(test_audited(t, "audit-export", "done"), 1);
	assert_int_equal(test_audited(t, "audit-export", "refused"), 1);
	assert_int_equal(test_ask(t, "{'request':'audit-export','fd':999}"), RC_FAILED);
	assert_int_equal(test_audited(t, "audit-export", "failed"), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(audited_requests_are_told_before_and_after),
		TEST(nothing_is_done_when_its_entry_cannot_be_written),
		TEST(refusal_stands_when_it_cannot_be_audited),
		cmocka_unit_test(attempt_on_a_recording_is_audited),
		TEST(head_is_signed_each_hour_in_which_something_was_written),
		TEST(anchor_that_was_asked_for_covers_its_own_entry),
		TEST(outside_file_gets_each_anchor_and_its_failure_stops_nothing),
		TEST(head_given_must_be_in_the_trail),
		TEST(store_put_back_as_a_whole_is_found_by_a_head_kept_elsewhere),
		TEST(file_of_heads_must_be_signed_and_in_the_trail),
		TEST(list_shows_what_is_asked_for),
		TEST(list_by_time_sees_past_a_clock_that_was_wrong),
		TEST(export_holds_key_entries_and_anchors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
