/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_init.c: making a store and opening it: what is made, for whom, and what is refused. */
#include "vault_help.h"

static int make_path(void **state)
{
	static struct test_vault t;
	test_vault_path(&t);
	*state = &t;
	return 0;
}

static mode_t mode_of(const struct test_vault *t, const char *name)
{
	char path[256];
	struct stat st;
	snprintf(path, sizeof path, "%s/%s", t->path, name);
	if (stat(path, &st) != 0)
		return 0;
	return st.st_mode & 07777;
}

static enum rc init(struct test_vault *t, const char *policy, const char *passphrase)
{
	struct vault_init cfg = test_init_config(t, policy, passphrase);
	return vault_init(&cfg, &t->err);
}

static bool is_empty(const struct test_vault *t)
{
	DIR *d = opendir(t->path);
	unsigned n = 0;
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n == 2;
}

static void store_is_made_for_its_owner_alone(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(init(t, "30-day", NULL), RC_OK);
	assert_int_equal(mode_of(t, "."), 0700);
	assert_int_equal(mode_of(t, "vault"), 0700);
	assert_int_equal(mode_of(t, "vault/secret"), 0700);
	assert_int_equal(mode_of(t, "vault/secret/metadata.key"), 0600);
	assert_int_equal(mode_of(t, "vault/secret/audio.key"), 0600);
	assert_int_equal(mode_of(t, "vault/people/alice"), 0600);
	assert_int_equal(mode_of(t, "recorder/sign.key"), 0600);
	assert_int_not_equal(mode_of(t, "policy.yaml"), 0);
	test_vault_open(t);
	assert_string_equal(t->v->policy.name, "30-day");
	assert_int_equal(test_audited(t, "init", "done"), 1);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void store_that_exists_is_not_touched(void **state)
{
	struct test_vault *t = *state;
	size_t before, after;
	char path[128];
	assert_int_equal(init(t, "lab", NULL), RC_OK);
	snprintf(path, sizeof path, "%s/vault/secret/metadata.key", t->path);
	uint8_t *old = read_file(path, &before);
	assert_int_equal(init(t, "lab", NULL), RC_FAILED);
	assert_non_null(strstr(t->err.text, "exists"));
	uint8_t *now = read_file(path, &after);
	assert_int_equal(before, after);
	assert_memory_equal(old, now, before);
	free(old);
	free(now);
}

static void nothing_is_left_of_a_store_that_could_not_be_made(void **state)
{
	struct test_vault *t = *state;
	char path[] = "/tmp/callspan-policy-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "policy: x\n", 10), 10);
	close(fd);
	assert_int_equal(init(t, path, NULL), RC_USAGE);
	assert_non_null(strstr(t->err.text, ":1:1: "));
	assert_true(is_empty(t));
	assert_int_equal(unlink(path), 0);
}

static void wrong_words_are_refused_before_anything_is_made(void **state)
{
	struct test_vault *t = *state;
	struct vault_init cfg = test_init_config(t, "31-day", NULL);
	assert_int_equal(vault_init(&cfg, &t->err), RC_USAGE);
	assert_non_null(strstr(t->err.text, "30-day"));
	assert_non_null(strstr(t->err.text, "lab"));
	cfg = test_init_config(t, "lab", "");
	assert_int_equal(vault_init(&cfg, &t->err), RC_USAGE);
	cfg = test_init_config(t, "lab", NULL);
	cfg.controller = "../alice";
	assert_int_equal(vault_init(&cfg, &t->err), RC_USAGE);
	assert_true(is_empty(t));
}

static void one_line_for_each_way_a_store_cannot_be_opened(void **state)
{
	struct test_vault *t = *state;
	char path[128], gone[160];
	assert_int_equal(vault_open(&t->v, "/nonexistent/store", 0, &t->err), RC_FAILED);
	assert_int_equal(vault_open(&t->v, t->path, 0, &t->err), RC_FAILED);
	assert_non_null(strstr(t->err.text, "not a callspan store"));
	assert_int_equal(init(t, "lab", NULL), RC_OK);

	test_vault_open(t);
	struct vault *second;
	assert_int_equal(vault_open(&second, t->path, 0, &t->err), RC_AGAIN);
	assert_non_null(strstr(t->err.text, "is in use"));
	assert_non_null(strstr(t->err.text, t->path));
	vault_close(t->v);
	t->v = NULL;

	snprintf(path, sizeof path, "%s/vault/secret/index.key", t->path);
	snprintf(gone, sizeof gone, "%s.gone", path);
	assert_int_equal(rename(path, gone), 0);
	assert_int_equal(vault_open(&t->v, t->path, 0, &t->err), RC_FAILED);
	assert_non_null(strstr(t->err.text, "lacks its keys"));
	assert_non_null(strstr(t->err.text, "index.key"));
	write_file(path, "callspan index key 1\nsecret 00\n", 31);
	assert_int_equal(vault_open(&t->v, t->path, 0, &t->err), RC_FAILED);
	assert_int_equal(rename(gone, path), 0);

	snprintf(path, sizeof path, "%s/VERSION", t->path);
	write_file(path, "callspan store 2\n", 17);
	assert_int_equal(vault_open(&t->v, t->path, 0, &t->err), RC_FAILED);
	assert_non_null(strstr(t->err.text, "newer"));
	write_file(path, STORE_VERSION_LINE, strlen(STORE_VERSION_LINE));
	test_vault_open(t);
}

static void store_that_was_not_completely_made_says_so(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	assert_int_equal(init(t, "lab", NULL), RC_OK);
	snprintf(path, sizeof path, "%s/VERSION", t->path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(vault_open(&t->v, t->path, 0, &t->err), RC_FAILED);
	assert_non_null(strstr(t->err.text, "not completely made"));
	assert_int_equal(init(t, "lab", NULL), RC_FAILED);
	assert_non_null(strstr(t->err.text, "not completely made"));
}

static void what_the_recorder_must_read_does_not_depend_on_the_umask(void **state)
{
	struct test_vault *t = *state;
	mode_t old = umask(0077);
	enum rc rc = init(t, "lab", NULL);
	(void)umask(old);
	assert_int_equal(rc, RC_OK);
	assert_int_equal(mode_of(t, "policy.yaml"), 0644);
	assert_int_equal(mode_of(t, "VERSION"), 0644);
	assert_int_equal(mode_of(t, "vault/secret/index.key"), 0600);
}

static void policy_that_changed_or_broke_is_noticed_at_opening(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	size_t len;
	assert_int_equal(init(t, "lab", NULL), RC_OK);
	snprintf(path, sizeof path, "%s/policy.yaml", t->path);
	uint8_t *text = read_file(path, &len);
	uint8_t *more = realloc(text, len + 12);
	assert_non_null(more);
	memcpy(more + len, "# a remark\n", 11);
	test_vault_open(t);
	assert_int_equal(test_audited(t, "policy-changed", NULL), 0);
	char before[65];
	snprintf(before, sizeof before, "%s", t->v->policy.hash);
	write_file(path, more, len + 11);
	test_vault_reopen(t);
	test_vault_reopen(t);
	assert_int_equal(test_audited(t, "policy-changed", NULL), 1);
	const char *detail = test_text(test_reply(t, json_array_size(t->replies) - 1), "detail");
	assert_non_null(strstr(detail, before));
	assert_non_null(strstr(detail, t->v->policy.hash));
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	vault_close(t->v);
	t->v = NULL;
	write_file(path, "policy: x\n", 10);
	assert_int_equal(vault_open(&t->v, t->path, 0, &t->err), RC_FAILED);
	free(more);
}

static void passphrase_alone_opens_audio(void **state)
{
	struct test_vault *t = *state;
	struct person p;
	struct seal_pair audio;
	assert_int_equal(init(t, "12-month", PASSPHRASE), RC_OK);
	assert_int_equal(mode_of(t, "vault/secret/audio.key"), 0);
	test_vault_open(t);
	assert_false(t->v->keys.has_audio);
	assert_int_equal(people_load(t->path, "alice", &p, &t->err), RC_OK);
	assert_int_equal(p.role, ROLE_CONTROLLER);
	assert_true(p.has_box);
	audio = t->v->keys.audio;
	assert_int_equal(test_open_audio(&p, "wrong", &audio, &t->err), RC_REFUSED);
	assert_int_equal(test_open_audio(&p, PASSPHRASE, &audio, &t->err), RC_OK);
	/* It is the secret half of what recordings are sealed to. */
	uint8_t in[32] = { 7 }, box[32 + SEAL_OVERHEAD], out[32];
	seal_to(box, in, sizeof in, t->v->keys.audio.public_key);
	assert_true(seal_open(out, box, sizeof box, &audio));
	assert_memory_equal(in, out, sizeof in);
}

static void people_are_listed_by_safe_names(void **state)
{
	struct test_vault *t = *state;
	struct person p;
	assert_int_equal(init(t, "lab", NULL), RC_OK);
	test_person(t, "audrey", ROLE_AUDITOR);
	assert_int_equal(people_load(t->path, "audrey", &p, &t->err), RC_OK);
	assert_int_equal(p.role, ROLE_AUDITOR);
	assert_false(p.has_box);
	assert_int_equal(people_load(t->path, "nobody", &p, &t->err), RC_NOT_FOUND);
	assert_int_equal(people_load(t->path, "../secret/index.key", &p, &t->err), RC_NOT_FOUND);
	assert_int_equal(people_load(t->path, "", &p, &t->err), RC_NOT_FOUND);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_path, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(store_is_made_for_its_owner_alone),
		TEST(store_that_exists_is_not_touched),
		TEST(nothing_is_left_of_a_store_that_could_not_be_made),
		TEST(wrong_words_are_refused_before_anything_is_made),
		TEST(one_line_for_each_way_a_store_cannot_be_opened),
		TEST(store_that_was_not_completely_made_says_so),
		TEST(what_the_recorder_must_read_does_not_depend_on_the_umask),
		TEST(policy_that_changed_or_broke_is_noticed_at_opening),
		TEST(passphrase_alone_opens_audio),
		TEST(people_are_listed_by_safe_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
