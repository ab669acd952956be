/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_policy.c: an edited policy shortens nobody's life before it is applied; applying one does so for all
 * recordings or, wherever it is killed, goes on at the next opening. */
#include "vault_help.h"

#include "vault/holds.h"
#include "vault/policies.h"

#define CALLS  12
#define DAY_US (INT64_C(86400) * 1000000)

#define POLICY(classes)                                                                            \
	"{ policy: other, retention: { time-zone: UTC, default: standard, classes: { " classes     \
	" } }, purposes: [ complaint ], export: { plain: allow } }"
#define WEEK    POLICY("standard: { days: 7 }")
#define QUARTER POLICY("standard: { days: 90 }")
#define APPLY   "{'request':'policy-apply','text':'%s'%s}"

static int64_t now_us;

static int64_t test_now(void *ctx)
{
	(void)ctx;
	return now_us;
}

static void reopen(struct test_vault *t)
{
	test_vault_reopen(t);
	vault_set_clock(t->v, test_now, NULL);
}

/* A store of the lab profile, 30 days, with ended calls; an hour later. */
static int make(void **state)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", NULL);
	now_us = HOUR_US + INT64_C(3600) * 1000000;
	vault_set_clock(t.v, test_now, NULL);
	test_record(&t, CALLS, NULL);
	test_person(&t, "mia", ROLE_MANAGER);
	test_person(&t, "audrey", ROLE_AUDITOR);
	test_person(&t, "oscar", ROLE_OPERATOR);
	test_person(&t, "stan", ROLE_STAFF);
	assert_int_equal(test_ask(&t, "{'request':'status'}"), RC_OK);
	*state = &t;
	return 0;
}

static char *text_of(struct test_vault *t, const char *name)
{
	char path[128];
	size_t len;
	snprintf(path, sizeof path, "%s/%s", t->path, name);
	char *text = (char *)read_file(path, &len);
	text[len] = '\0';
	return text;
}

static void write_text(struct test_vault *t, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", t->path, name);
	write_file(path, text, strlen(text));
}

static bool is_there(struct test_vault *t, const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", t->path, name);
	return access(path, F_OK) == 0;
}

static void files_say(struct test_vault *t, const char *text)
{
	char *in_force = text_of(t, "policy.yaml"), *applied = text_of(t, "vault/policy.applied");
	assert_string_equal(in_force, text);
	assert_string_equal(applied, text);
	assert_false(is_there(t, "vault/policy.next"));
	free(in_force);
	free(applied);
}

/* Every ended call's row and its one timer say so many days from its end. */
static void lives_are(struct test_vault *t, unsigned days)
{
	const uint8_t *key, *value;
	size_t key_len, value_len, timers = 0, calls = 0;
	struct index_cursor *at = index_cursor_new(t->v->index, INDEX_EXPIRY, NULL, 0, false);
	while (index_cursor_next(at, &key, &key_len, &value, &value_len)) {
		uint8_t be[8];
		struct uuid id;
		struct call *c;
		assert_int_equal(key_len, 24);
		memcpy(id.b, key + 8, sizeof id.b);
		assert_int_equal(catalogue_get(t->v, &id, &c, &t->err), RC_OK);
		assert_int_equal(c->expiry_us, c->r.end_us + days * DAY_US);
		catalogue_be64(be, c->expiry_us);
		assert_memory_equal(key, be, sizeof be);
		call_row_free(c);
		timers++;
	}
	index_cursor_free(at);
	at = index_cursor_new(t->v->index, INDEX_CALLS, NULL, 0, false);
	while (index_cursor_next(at, &key, &key_len, &value, &value_len))
		calls++;
	index_cursor_free(at);
	assert_int_equal(timers, calls);
}

static void told(const struct test_vault *t, int longer, int shorter, int same, int expired,
		 int held)
{
	const json_t *o = test_reply(t, 0);
	assert_int_equal(test_number(o, "longer"), longer);
	assert_int_equal(test_number(o, "shorter"), shorter);
	assert_int_equal(test_number(o, "same"), same);
	assert_int_equal(test_number(o, "expired"), expired);
	assert_int_equal(test_number(o, "held"), held);
}

/* ---- an edited file ---------------------------------------------------------------------------- */

static void init_keeps_a_copy_for_the_vault_alone(void **state)
{
	struct test_vault *t = *state;
	char path[128];
	struct stat st;
	char *text = text_of(t, "policy.yaml");
	files_say(t, text);
	free(text);
	snprintf(path, sizeof path, "%s/vault/policy.applied", t->path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	lives_are(t, 30);
}

static void edited_file_counts_for_purposes_at_once_and_for_no_life(void **state)
{
	struct test_vault *t = *state;
	struct test_call c;
	write_text(t, "policy.yaml",
		   "{ policy: edited, retention: { default: standard, classes: { standard: { days: "
		   "7 } } "
		   "}, purposes: [ training ], export: { plain: refuse } }\n");
	/* in a vault that stays open, when it is told */
	assert_int_equal(test_ask(t, "{'request':'policy-show'}"), RC_OK);
	const json_t *o = test_reply(t, 0);
	assert_string_equal(test_text(o, "policy"), "lab");
	assert_true(json_is_true(json_object_get(o, "edited")));
	assert_int_equal(vault_reload(t->v, &t->err), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'policy-show'}"), RC_OK);
	o = test_reply(t, 0);
	assert_true(json_is_false(json_object_get(o, "edited")));
	assert_string_equal(test_text(o, "policy"), "edited");
	assert_true(json_is_false(json_object_get(o, "applied")));
	assert_string_equal(test_text(json_object_get(o, "retention"), "policy"), "lab");
	assert_string_equal(test_text(json_object_get(o, "retention_edited"), "policy"), "edited");
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	assert_true(json_is_false(json_object_get(test_reply(t, 0), "policy_applied")));
	assert_int_equal(t->v->policy.purposes, 1u << policy_purpose("training"));
	/* of recordings that come from then on, too */
	struct store_writer *w = test_recorder(t);
	test_whole_call(w, &c, 100);
	test_finish(t, w);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	lives_are(t, 30);
	reopen(t);
	assert_int_equal(test_audited(t, "policy-changed", NULL), 1);
	assert_int_equal(test_audited(t, "policy-apply", NULL), 0);
}

static void file_that_was_broken_meanwhile_leaves_the_one_before_in_force(void **state)
{
	struct test_vault *t = *state;
	char *good = text_of(t, "policy.yaml");
	write_text(t, "policy.yaml", "policy: x\nretention: 5\n");
	assert_int_equal(vault_reload(t->v, &t->err), RC_FAILED);
	assert_non_null(strstr(t->err.text, ":2:12: "));
	assert_int_equal(test_ask(t, "{'request':'policy-show'}"), RC_OK);
	const json_t *o = test_reply(t, 0);
	assert_non_null(strstr(test_text(o, "fault"), "policy.yaml:2:12: "));
	assert_string_equal(test_text(o, "policy"), "lab");
	assert_true(json_is_true(json_object_get(o, "applied")));
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	assert_non_null(strstr(test_text(test_reply(t, 0), "policy_fault"), ":2:12: "));
	assert_int_equal(test_ask(t, "{'request':'policy-apply'}"), RC_FAILED);
	assert_non_null(strstr(t->err.text, ":2:12: "));
	write_text(t, "policy.yaml", good);
	assert_int_equal(vault_reload(t->v, &t->err), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'policy-show'}"), RC_OK);
	assert_true(json_is_null(json_object_get(test_reply(t, 0), "fault")));
	assert_int_equal(test_audited(t, "policy-changed", NULL), 0);
	free(good);
}

static void store_without_a_copy_keeps_the_policy_it_has(void **state)
{
	struct test_vault *t = *state;
	char path[128], *text = text_of(t, "policy.yaml");
	snprintf(path, sizeof path, "%s/vault/policy.applied", t->path);
	assert_int_equal(unlink(path), 0);
	reopen(t);
	reopen(t);
	files_say(t, text);
	free(text);
	lives_are(t, 30);
	assert_int_equal(test_audited(t, "policy-apply", "granted"), 1);
}

/* ---- applying ---------------------------------------------------------------------------------- */

static void longer_lives_are_given_without_asking(void **state)
{
	struct test_vault *t = *state;
	char from[65];
	snprintf(from, sizeof from, "%s", t->v->applied.hash);
	assert_int_equal(test_ask(t, APPLY, QUARTER, ""), RC_OK);
	told(t, CALLS, 0, 0, 0, 0);
	assert_true(json_is_true(json_object_get(test_reply(t, 0), "applied")));
	assert_string_equal(test_text(test_reply(t, 0), "from"), from);
	lives_are(t, 90);
	files_say(t, QUARTER);
	assert_string_equal(t->v->policy.name, "other");
	reopen(t);
	lives_are(t, 90);
	assert_int_equal(test_audited(t, "policy-changed", NULL), 0);
	assert_int_equal(test_audited(t, "policy-apply", "done"), 1);
	assert_int_equal(test_audited(t, "policy-apply", "granted"), 1);
	for (size_t i = 0; i < json_array_size(t->replies); i++) {
		const json_t *e = test_reply(t, i);
		if (strcmp(test_text(e, "action"), "policy-apply") != 0)
			continue;
		const char *detail = test_text(e, "detail");
		assert_string_equal(test_text(e, "person"), "alice");
		assert_non_null(strstr(detail, from));
		assert_non_null(strstr(detail, t->v->policy.hash));
		assert_non_null(strstr(detail, " longer=12 shorter=0 same=0 expired=0 held=0"));
		break;
	}
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void shorter_lives_are_confirmed_first(void **state)
{
	struct test_vault *t = *state;
	char *before = text_of(t, "policy.yaml");
	assert_int_equal(test_ask(t, APPLY, WEEK, ""), RC_FAILED);
	assert_non_null(strstr(t->err.text, "shortens the life of 12 recordings (0 of them"));
	assert_int_equal(test_ask(t, APPLY, WEEK, ",'yes':false"), RC_FAILED);
	files_say(t, before);
	lives_are(t, 30);
	assert_int_equal(test_audited(t, "policy-apply", "granted"), 0);
	assert_int_equal(test_audited(t, "policy-apply", "failed"), 2);
	assert_int_equal(test_ask(t, APPLY, WEEK, ",'yes':true"), RC_OK);
	told(t, 0, CALLS, 0, 0, 0);
	files_say(t, WEEK);
	lives_are(t, 7);
	free(before);
}

static void dry_run_and_check_tell_and_change_nothing(void **state)
{
	struct test_vault *t = *state;
	const struct uuid holder = { { 1 } };
	const uint8_t *key, *value;
	size_t key_len, value_len;
	char *before = text_of(t, "policy.yaml");
	/* One call is held, and it is the eighth day. */
	struct index_cursor *at = index_cursor_new(t->v->index, INDEX_CALLS, NULL, 0, false);
	assert_true(index_cursor_next(at, &key, &key_len, &value, &value_len));
	struct uuid held;
	memcpy(held.b, key, sizeof held.b);
	index_cursor_free(at);
	struct index_batch *b = index_batch_new(t->v->index);
	holds_tie(t->v, b, &holder, &held);
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
	now_us += 7 * DAY_US;
	assert_int_equal(test_ask(t, APPLY, WEEK, ",'dry_run':true"), RC_OK);
	told(t, 0, CALLS, 0, CALLS, 1);
	assert_int_equal(test_ask_as(t, "oscar", "{'request':'policy-check','text':'%s'}", WEEK),
			 RC_OK);
	told(t, 0, CALLS, 0, CALLS, 1);
	assert_true(json_is_false(json_object_get(test_reply(t, 0), "applied")));
	assert_int_equal(test_ask(t, APPLY, QUARTER, ",'dry_run':true,'yes':true"), RC_OK);
	told(t, CALLS, 0, 0, 0, 0);
	files_say(t, before);
	lives_are(t, 30);
	assert_int_equal(test_audited(t, "policy-apply", NULL), 0);
	free(before);
}

static void file_that_was_its_owners_alone_stays_so(void **state)
{
	static const mode_t modes[] = { 0600, 0644 };
	struct test_vault *t = *state;
	char path[128];
	struct stat st;
	snprintf(path, sizeof path, "%s/policy.yaml", t->path);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_int_equal(test_ask(t, APPLY, i ? WEEK : QUARTER, ",'yes':true"), RC_OK);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, modes[i]);
	}
}

static void edited_file_is_applied_without_a_text(void **state)
{
	struct test_vault *t = *state;
	write_text(t, "policy.yaml", WEEK);
	assert_int_equal(test_ask(t, "{'request':'policy-check'}"), RC_OK);
	told(t, 0, CALLS, 0, 0, 0);
	char hash[65];
	snprintf(hash, sizeof hash, "%s", test_text(test_reply(t, 0), "to"));
	/* What was confirmed is what is applied. */
	write_text(t, "policy.yaml", WEEK "\n");
	assert_int_equal(test_ask(t, "{'request':'policy-apply','yes':true,'hash':'%s'}", hash),
			 RC_FAILED);
	assert_non_null(strstr(t->err.text, "not the one that was shown"));
	lives_are(t, 30);
	write_text(t, "policy.yaml", WEEK);
	assert_int_equal(test_ask(t, "{'request':'policy-apply','yes':true,'hash':'%s'}", hash),
			 RC_OK);
	files_say(t, WEEK);
	lives_are(t, 7);
}

static void class_that_is_gone_is_kept_as_the_longest(void **state)
{
	struct test_vault *t = *state;
	static const char text[] =
		"{ policy: other, retention: { time-zone: UTC, default: a, classes: { a: { days: 7 "
		"}, b: "
		"{ days: 60 } } }, purposes: [ complaint ], export: { plain: allow } }";
	assert_int_equal(test_ask(t, APPLY, text, ""), RC_OK);
	told(t, CALLS, 0, 0, 0, 0);
	assert_int_equal(test_number(test_reply(t, 0), "unknown_class"), CALLS);
	lives_are(t, 60);
}

static void grace_after_a_hold_outlives_a_shorter_period(void **state)
{
	struct test_vault *t = *state;
	const struct uuid holder = { { 1 } };
	struct call *c;
	struct uuid id;
	assert_int_equal(test_ask(t, "{'request':'calls','limit':1}"), RC_OK);
	assert_int_equal(catalogue_find(t->v, test_text(test_reply(t, 0), "id"), &id, &t->err),
			 RC_OK);
	t->v->policy.grace_days = 10;
	now_us += 29 * DAY_US;
	struct index_batch *b = index_batch_new(t->v->index);
	holds_tie(t->v, b, &holder, &id);
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
	b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie(t->v, b, &holder, &id, &t->err), RC_OK);
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
	int64_t until_us = now_us + 10 * DAY_US;
	assert_int_equal(test_ask(t, APPLY, WEEK, ",'yes':true"), RC_OK);
	told(t, 0, CALLS - 1, 1, CALLS - 1, 0);
	assert_int_equal(catalogue_get(t->v, &id, &c, &t->err), RC_OK);
	assert_int_equal(c->expiry_us, until_us);
	call_row_free(c);
}

/* ---- who, and with which words ------------------------------------------------------------------ */

static void controller_alone_applies_and_all_but_staff_may_look(void **state)
{
	struct test_vault *t = *state;
	static const char *const people[] = {
		"alice", "mia", "audrey", "oscar", "stan", "mallory"
	};
	for (size_t i = 0; i < sizeof people / sizeof people[0]; i++) {
		enum rc look = i < 4 ? RC_OK : RC_REFUSED;
		assert_int_equal(test_ask_as(t, people[i], "{'request':'policy-show'}"), look);
		assert_int_equal(
			test_ask_as(t, people[i], "{'request':'policy-check','text':'%s'}", WEEK),
			look);
		assert_int_equal(test_ask_as(t, people[i], APPLY, QUARTER, ",'dry_run':true"),
				 i == 0 ? RC_OK : RC_REFUSED);
		if (i > 0)
			assert_int_equal(test_ask_as(t, people[i], APPLY, QUARTER, ",'yes':true"),
					 RC_REFUSED);
	}
	lives_are(t, 30);
	assert_int_equal(test_audited(t, "policy-apply", "refused"), 10);
	assert_int_equal(test_audited(t, "policy-show", "refused"), 2);
}

static void wrong_texts_are_refused_with_their_place(void **state)
{
	struct test_vault *t = *state;
	static const struct {
		const char *ask, *says;
	} cases[] = {
		{ "{'request':'policy-apply','text':'policy: x'}",
		  "policy:1:1: the key \"retention\" is missing" },
		{ "{'request':'policy-check','text':'{ policy: x, purpose: [] }'}",
		  "policy:1:14: unknown key; the choices are: policy, retention" },
		{ "{'request':'policy-check','text':''}", "policy:1:1: the file is empty" },
		{ "{'request':'policy-apply','text':5}", "text: a text is wanted" },
		{ "{'request':'policy-apply','dry_run':'yes'}",
		  "dry_run: true or false is wanted" },
		{ "{'request':'policy-check','yes':true}", "no member \"yes\"" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(test_ask(t, "%s", cases[i].ask), RC_USAGE);
		if (!strstr(t->err.text, cases[i].says))
			fail_msg("%s -> %s", cases[i].ask, t->err.text);
	}
	char *big = malloc(POLICY_BYTES + 2);
	assert_non_null(big);
	memset(big, '#', POLICY_BYTES + 1);
	big[POLICY_BYTES + 1] = '\0';
	json_t *request = json_pack("{s:s, s:s}", "request", "policy-apply", "text", big);
	const struct vault_caller who = { .person = "alice", .uid = 1000 };
	assert_int_equal(vault_request(t->v, &who, request, test_collect, t, &t->err), RC_USAGE);
	assert_non_null(strstr(t->err.text, "larger than 65536 bytes"));
	json_decref(request);
	free(big);
	lives_are(t, 30);
}

/* ---- killed ------------------------------------------------------------------------------------- */

static const char mark[] = "policy-applying";

static bool marked(struct test_vault *t)
{
	uint8_t *value;
	size_t len;
	enum rc rc =
		index_get(t->v->index, INDEX_META, mark, sizeof mark - 1, &value, &len, &t->err);
	if (rc == RC_OK)
		free(value);
	return rc == RC_OK;
}

static void set_mark(struct test_vault *t, const char *text)
{
	struct policy p;
	struct index_batch *b = index_batch_new(t->v->index);
	assert_int_equal(policy_parse(&p, text, strlen(text), "p", &t->err), RC_OK);
	index_batch_put(b, INDEX_META, mark, sizeof mark - 1, p.hash, strlen(p.hash));
	assert_int_equal(index_batch_commit(b, &t->err), RC_OK);
}

/* Killed after so many commits of the timers; in the process that lives on, too. */
static void killed_among_the_timers_it_goes_on_at_the_next_opening(void **state)
{
	struct test_vault *t = *state;
	const struct person alice = { .name = "alice", .role = ROLE_CONTROLLER };
	for (unsigned n = 1; n <= 4; n++) {
		const struct policies_limits limits = { .calls_a_batch = 3, .commits = n };
		const char *text = n % 2 ? WEEK : QUARTER;
		struct policies_effect none = { 0 };
		assert_int_equal(
			policies_apply(t->v, &alice, text, strlen(text), &none, &limits, &t->err),
			RC_AGAIN);
		assert_true(marked(t));
		if (n == 2)
			assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
		else
			reopen(t);
		assert_false(marked(t));
		lives_are(t, n % 2 ? 7 : 90);
		files_say(t, text);
		assert_int_equal(test_audited(t, "policy-apply", "done"), n);
	}
	assert_int_equal(test_audited(t, "policy-changed", NULL), 0);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void killed_before_the_mark_the_old_one_is_in_force(void **state)
{
	struct test_vault *t = *state;
	char *before = text_of(t, "policy.yaml");
	write_text(t, "vault/policy.next", WEEK);
	write_text(t, "vault/policy.next.new", "{ pol");
	reopen(t);
	files_say(t, before);
	lives_are(t, 30);
	assert_int_equal(test_audited(t, "policy-apply", NULL), 0);
	free(before);
}

static void killed_between_mark_and_files_the_new_one_is_in_force(void **state)
{
	struct test_vault *t = *state;
	char from[128], to[128];
	/* before either file; between the two; behind both */
	for (int stage = 0; stage < 3; stage++) {
		const char *text = stage % 2 ? QUARTER : WEEK;
		set_mark(t, text);
		write_text(t, "vault/policy.next", text);
		if (stage > 0)
			write_text(t, "policy.yaml", text);
		snprintf(from, sizeof from, "%s/vault/policy.next", t->path);
		snprintf(to, sizeof to, "%s/vault/policy.applied", t->path);
		if (stage > 1)
			assert_int_equal(rename(from, to), 0);
		reopen(t);
		assert_false(marked(t));
		files_say(t, text);
		lives_are(t, stage % 2 ? 90 : 7);
	}
	assert_int_equal(test_audited(t, "policy-changed", NULL), 0);
	assert_int_equal(test_audited(t, "policy-apply", "done"), 3);
}

static void mark_whose_text_is_gone_leaves_what_was_applied(void **state)
{
	struct test_vault *t = *state;
	char *before = text_of(t, "policy.yaml");
	set_mark(t, WEEK);
	reopen(t);
	assert_false(marked(t));
	files_say(t, before);
	lives_are(t, 30);
	assert_int_equal(test_audited(t, "policy-apply", "failed"), 1);
	free(before);
}

static void where_nothing_can_be_written_nothing_is_changed(void **state)
{
	struct test_vault *t = *state;
	char path[128], *before = text_of(t, "policy.yaml");
	/* a folder stands where the new file is to be */
	snprintf(path, sizeof path, "%s/vault/policy.next", t->path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(test_ask(t, APPLY, WEEK, ",'yes':true"), RC_FAILED);
	assert_int_equal(rmdir(path), 0);
	assert_false(marked(t));
	files_say(t, before);
	lives_are(t, 30);
	assert_int_equal(test_audited(t, "policy-apply", "granted"), 0);
	assert_int_equal(test_audited(t, "policy-apply", "failed"), 1);
	free(before);
}

/* ---- many ----------------------------------------------------------------------------------------- */

#define MANY 50000

/* A row as large as usual ones: two streams, both parties, a sealed part. */
static void put_row(struct test_vault *t, struct index_batch *b, uint32_t n)
{
	uint8_t sealed[320];
	int64_t start_us = HOUR_US - n * INT64_C(100000);
	struct uuid id = uuid_v7(start_us * 1000);
	struct call *c = call_row_new(&id);
	c->r.conversation = id;
	c->r.state = CALL_ENDED;
	c->r.start_us = start_us;
	c->r.answer_us = start_us + 2000000;
	c->r.end_us = c->r.until_us = start_us + 60000000;
	snprintf(c->r.policy, sizeof c->r.policy, "%s", t->v->policy.hash);
	snprintf(c->segment, sizeof c->segment, "20260303T10-standard-0192f0c1");
	snprintf(c->class, sizeof c->class, "standard");
	for (uint16_t i = 0; i < 2; i++) {
		struct stream_record *s = call_row_stream(c, i);
		snprintf(s->codec, sizeof s->codec, "PCMU");
		s->packets = 3000;
		s->bytes = 480000;
		s->start_us = start_us;
		s->end_us = c->r.end_us;
	}
	c->parties_count = CALL_PARTIES;
	random_bytes(c->parties, sizeof c->parties);
	random_bytes(sealed, sizeof sealed);
	c->sealed = malloc(sizeof sealed);
	assert_non_null(c->sealed);
	memcpy(c->sealed, sealed, sizeof sealed);
	c->sealed_len = sizeof sealed;
	c->expiry_us = catalogue_expiry(t->v, c);
	catalogue_put(b, c, NULL);
	call_row_free(c);
}

static size_t rows_of(struct test_vault *t, enum index_family family)
{
	const uint8_t *key, *value;
	size_t key_len, value_len, n = 0;
	struct index_cursor *at = index_cursor_new(t->v->index, family, NULL, 0, false);
	while (index_cursor_next(at, &key, &key_len, &value, &value_len))
		n++;
	index_cursor_free(at);
	return n;
}

static void many_recordings_are_given_their_new_lives_soon(void **state)
{
	struct test_vault *t = *state;
	for (uint32_t n = 0; n < MANY;) {
		struct index_batch *b = index_batch_new(t->v->index);
		for (uint32_t i = 0; i < 5000; i++)
			put_row(t, b, ++n);
		assert_int_equal(index_batch_commit(b, &t->err), RC_OK);
	}
	int64_t begun_ns = clock_mono_ns();
	assert_int_equal(test_ask(t, APPLY, WEEK, ",'dry_run':true"), RC_OK);
	int64_t weighed_ns = clock_mono_ns();
	assert_int_equal(test_ask(t, APPLY, WEEK, ",'yes':true"), RC_OK);
	int64_t done_ns = clock_mono_ns();
	told(t, 0, CALLS + MANY, 0, 0, 0);
	print_message("weighed %.0f rows/s, applied %.0f rows/s\n",
		      MANY * 1e9 / (double)(weighed_ns - begun_ns),
		      MANY * 1e9 / (double)(done_ns - weighed_ns));
	lives_are(t, 7);
	assert_int_equal(rows_of(t, INDEX_BY_TIME), CALLS + MANY);
	assert_int_equal(rows_of(t, INDEX_CONVERSATIONS), CALLS + MANY);
	assert_true(rows_of(t, INDEX_BY_PARTY) >= (size_t)MANY * CALL_PARTIES);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(init_keeps_a_copy_for_the_vault_alone),
		TEST(edited_file_counts_for_purposes_at_once_and_for_no_life),
		TEST(file_that_was_broken_meanwhile_leaves_the_one_before_in_force),
		TEST(store_without_a_copy_keeps_the_policy_it_has),
		TEST(longer_lives_are_given_without_asking),
		TEST(shorter_lives_are_confirmed_first),
		TEST(dry_run_and_check_tell_and_change_nothing),
		TEST(file_that_was_its_owners_alone_stays_so),
		TEST(edited_file_is_applied_without_a_text),
		TEST(class_that_is_gone_is_kept_as_the_longest),
		TEST(grace_after_a_hold_outlives_a_shorter_period),
		TEST(controller_alone_applies_and_all_but_staff_may_look),
		TEST(wrong_texts_are_refused_with_their_place),
		TEST(killed_among_the_timers_it_goes_on_at_the_next_opening),
		TEST(killed_before_the_mark_the_old_one_is_in_force),
		TEST(killed_between_mark_and_files_the_new_one_is_in_force),
		TEST(mark_whose_text_is_gone_leaves_what_was_applied),
		TEST(where_nothing_can_be_written_nothing_is_changed),
		TEST(many_recordings_are_given_their_new_lives_soon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
