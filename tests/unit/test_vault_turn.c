/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_turn.c: what takes long gives others their turn; and what these do meanwhile is seen. */
#include "vault_help.h"

#include <fcntl.h>
#include <pthread.h>

#include "base/clock.h"
#include "vault/disposal.h"
#include "vault/turn.h"

#define MANY    2500 /* more than any page */
#define SECONDS 60

static int make(void **state)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", NULL);
	*state = &t;
	return 0;
}

static int drop(void **state)
{
	test_vault_remove(*state);
	return 0;
}

/* ---- recordings that leave while they are destroyed -------------------------------------------------------------- */

/* A call that takes a while to be written as a file. */
static struct uuid record_long(struct test_vault *t)
{
	struct test_call c;
	struct store_writer *w = test_recorder(t);
	test_call_begin(&c, w, 0);
	for (unsigned track = 0; track < 2; track++) {
		for (uint32_t i = 0; i < 2 * SECONDS; i++)
			test_audio_chunk(w, &c, track, i, 25 * i, 25);
		test_stream(w, &c, track, 50 * SECONDS);
	}
	test_call_end(w, &c, c.r.answer_us + SECONDS * INT64_C(1000000));
	test_finish(t, w);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	return c.r.id;
}

/* An export on a thread of its own. */
struct exporting {
	struct test_vault *t;
	pthread_t thread;
	json_t *request; /* owned */
	int fd;
	unsigned replies;
	enum rc rc;
	struct error err;
};

static bool count_reply(void *ctx, const json_t *object)
{
	struct exporting *x = ctx;
	(void)object;
	x->replies++;
	return true;
}

static void *export(void *arg)
{
	struct exporting *x = arg;
	const struct vault_caller who = { .person = "alice", .uid = 1000 };
	x->rc = vault_request(x->t->v, &who, x->request, count_reply, x, &x->err);
	return NULL;
}

static void begin(struct exporting *x, struct test_vault *t, const struct uuid *id)
{
	char text[UUID_TEXT];
	*x = (struct exporting){ .t = t, .fd = open(t->path, O_TMPFILE | O_RDWR, 0600) };
	assert_true(x->fd >= 0);
	x->request = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "request", "export", "id",
			       uuid_text(id, text), "purpose", "complaint", "reference", "r",
			       "format", "opus", "fd", x->fd);
	assert_int_equal(pthread_create(&x->thread, NULL, export, x), 0);
}

/* The turn, while it is decoded and written: all was read, and granted. */
static void enter_meanwhile(struct test_vault *t)
{
	for (;;) {
		vault_enter(t->v);
		if (t->v->outside)
			return;
		vault_leave(t->v);
		clock_sleep_us(500);
	}
}

static void end(struct exporting *x)
{
	vault_leave(x->t->v);
	pthread_join(x->thread, NULL);
	json_decref(x->request);
	close(x->fd);
}

static void expect_none_left(struct exporting *x, enum rc rc, const char *error)
{
	if (x->rc != rc)
		fail_msg("%s", x->err.text);
	assert_non_null(strstr(x->err.text, error));
	assert_int_equal(x->replies, 0);
	assert_int_equal(test_audited(x->t, "export", "granted"), 1);
	assert_int_equal(test_audited(x->t, "export", "done"), 0);
}

static void export_of_what_is_destroyed_meanwhile_fails(void **state)
{
	struct test_vault *t = *state;
	struct exporting x;
	struct disposal_sum sum = { 0 };
	struct person alice;
	const struct uuid id = record_long(t);
	turn_share(t->v);
	begin(&x, t, &id);
	assert_int_equal(people_load(t->path, "alice", &alice, &t->err), RC_OK);
	enter_meanwhile(t);
	assert_int_equal(disposal_destroy(t->v, &id, 1, DISPOSAL_ERASED, &alice, &sum, &t->err),
			 RC_OK);
	assert_int_equal(sum.destroyed, 1);
	end(&x);
	expect_none_left(&x, RC_FAILED, "destroyed meanwhile");
	assert_int_equal(test_audited(t, "export", "failed"), 1);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void export_of_who_is_disabled_meanwhile_is_refused(void **state)
{
	struct test_vault *t = *state;
	struct exporting x;
	struct person alice;
	const struct uuid id = record_long(t);
	turn_share(t->v);
	begin(&x, t, &id);
	assert_int_equal(people_load(t->path, "alice", &alice, &t->err), RC_OK);
	enter_meanwhile(t);
	alice.disabled = true;
	assert_int_equal(people_replace(t->path, &alice, &t->err), RC_OK);
	end(&x);
	alice.disabled = false;
	assert_int_equal(people_replace(t->path, &alice, &t->err), RC_OK);
	expect_none_left(&x, RC_REFUSED, "changed meanwhile");
	assert_int_equal(test_audited(t, "export", "refused"), 1);
}

/* ---- long walks ------------------------------------------------------------------------------------------------------ */

/* Somebody who does something each time that the request rests; in process, so that it is known when. */
struct resting {
	struct test_vault *t;
	void (*meanwhile)(struct test_vault *t);
	unsigned rests;
	json_t *replies; /* owned */
};

static bool keep_reply(void *ctx, const json_t *object)
{
	struct resting *r = ctx;
	json_array_append_new(r->replies, json_deep_copy(object));
	return true;
}

static void rest(void *ctx)
{
	struct resting *r = ctx;
	r->rests++;
	r->meanwhile(r->t);
}

static void expect(struct resting *r, json_t *request, enum rc rc, const char *error)
{
	struct error err = { "" };
	const struct vault_caller who = { .person = "alice", .uid = 1000, .rest = rest };
	json_decref(r->replies);
	r->replies = json_array();
	r->rests = 0;
	assert_non_null(request);
	enum rc got = vault_request(r->t->v, &who, request, keep_reply, r, &err);
	json_decref(request);
	if (got != rc)
		fail_msg("%d: %s", got, err.text);
	if (error)
		assert_non_null(strstr(err.text, error));
	assert_true(r->rests > 0);
}

/* An entry, and an anchor of it. */
static void write_and_anchor(struct test_vault *t)
{
	struct error err;
	assert_int_equal(audit_write(t->v, &(struct audit_entry){ .action = "meanwhile" }, &err),
			 RC_OK);
	assert_int_equal(audit_anchor(t->v, &err), RC_OK);
}

static void disable_alice(struct test_vault *t)
{
	struct person p;
	struct error err;
	assert_int_equal(people_load(t->path, "alice", &p, &err), RC_OK);
	p.disabled = true;
	assert_int_equal(people_replace(t->path, &p, &err), RC_OK);
}

static void write_many(struct test_vault *t)
{
	struct index_batch *b = index_batch_new(t->v->index);
	for (int i = 0; i < MANY; i++)
		audit_note(t->v, b, &(struct audit_entry){ .action = "one of many" });
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
}

static void trail_that_grows_meanwhile_is_verified(void **state)
{
	struct resting r = { .t = *state, .meanwhile = write_and_anchor };
	write_many(r.t);
	write_and_anchor(r.t);
	expect(&r, json_pack("{s:s}", "request", "audit-verify"), RC_OK, NULL);
	expect(&r, json_pack("{s:s}", "request", "audit-verify"), RC_OK, NULL);
	json_decref(r.replies);
	assert_int_equal(test_ask(r.t, "{'request':'audit-verify'}"), RC_OK);
}

static void trail_that_grows_meanwhile_is_exported_as_it_was(void **state)
{
	struct resting r = { .t = *state, .meanwhile = write_and_anchor };
	char *text;
	size_t len;
	int fd = open(r.t->path, O_TMPFILE | O_RDWR, 0600);
	write_many(r.t);
	expect(&r, json_pack("{s:s, s:i}", "request", "audit-export", "fd", fd), RC_OK, NULL);
	uint64_t entries = (uint64_t)test_number(json_array_get(r.replies, 0), "entries");
	assert_true(entries > MANY);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	text = (char *)read_file(path, &len);
	assert_null(memmem(text, len, "meanwhile", 9));
	const char *last = memrchr(text, '\n', len - 1);
	assert_memory_equal(last + 1, "anchor ", 7); /* signed up to its end */
	free(text);
	close(fd);
	json_decref(r.replies);
}

static void long_list_of_the_trail_has_each_entry_once(void **state)
{
	struct resting r = { .t = *state, .meanwhile = write_and_anchor };
	write_many(r.t);
	uint64_t before = r.t->v->head.number;
	expect(&r, json_pack("{s:s}", "request", "audit-list"), RC_OK, NULL);
	assert_true(json_array_size(r.replies) >= before);
	for (size_t i = 0; i < json_array_size(r.replies); i++)
		assert_int_equal(test_number(json_array_get(r.replies, i), "number"), i + 1);
	before = r.t->v->head.number;
	expect(&r, json_pack("{s:s, s:i}", "request", "audit-list", "limit", MANY), RC_OK, NULL);
	assert_int_equal(json_array_size(r.replies), MANY);
	assert_int_equal(test_number(json_array_get(r.replies, 0), "number"), before - MANY + 1);
	json_decref(r.replies);
}

static void who_is_disabled_meanwhile_sees_no_more_of_it(void **state)
{
	struct resting r = { .t = *state, .meanwhile = disable_alice };
	write_many(r.t);
	expect(&r, json_pack("{s:s}", "request", "audit-list"), RC_REFUSED, "changed meanwhile");
	assert_true(json_array_size(r.replies) < MANY);
	json_decref(r.replies);
}

static void nothing(struct test_vault *t)
{
	(void)t;
}

/* Pages add up, and each call is looked at once. */
static void coverage_and_status_of_many_calls_rest(void **state)
{
	struct resting r = { .t = *state, .meanwhile = nothing };
	struct test_call c;
	struct store_writer *w = test_recorder(r.t);
	for (unsigned n = 0; n < MANY; n++) {
		test_call_begin(&c, w, n);
		test_call_end(w, &c, c.r.answer_us + 1000000);
	}
	test_finish(r.t, w);
	assert_int_equal(test_ask(r.t, "{'request':'calls'}"), RC_OK);
	expect(&r, json_pack("{s:s}", "request", "coverage"), RC_OK, NULL);
	size_t lines = json_array_size(r.replies);
	const json_t *sum = json_object_get(json_array_get(r.replies, lines - 1), "summary");
	assert_int_equal(test_number(sum, "calls"), MANY);
	assert_int_equal(lines, MANY + 1);
	expect(&r, json_pack("{s:s}", "request", "status"), RC_OK, NULL);
	const json_t *o = json_array_get(r.replies, 0);
	assert_int_equal(test_number(json_object_get(o, "purge"), "due"), MANY);
	json_decref(r.replies);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(export_of_what_is_destroyed_meanwhile_fails),
		TEST(export_of_who_is_disabled_meanwhile_is_refused),
		TEST(trail_that_grows_meanwhile_is_verified),
		TEST(trail_that_grows_meanwhile_is_exported_as_it_was),
		TEST(long_list_of_the_trail_has_each_entry_once),
		TEST(who_is_disabled_meanwhile_sees_no_more_of_it),
		TEST(coverage_and_status_of_many_calls_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
