/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_holds.c: ties between calls and what holds them, and the grace when they are undone. */
#include "vault_help.h"

#include "vault/holds.h"

#define DAY_US INT64_C(86400000000)
#define GRACE  20

static const struct uuid hold_a = { { 1, 0xa } }, hold_b = { { 1, 0xb } };
static int64_t now_us;
static struct uuid calls[3];

static int64_t test_clock(void *ctx)
{
	(void)ctx;
	return now_us += 7; /* no two readings are the same */
}

static int make(void **state)
{
	static struct test_vault t;
	struct test_call c[3];
	test_vault_make(&t, "lab", NULL);
	test_record(&t, 3, c);
	for (int i = 0; i < 3; i++)
		calls[i] = c[i].r.id;
	assert_int_equal(ingest_run(t.v, NULL, &t.err), RC_OK);
	now_us = c[0].r.end_us + 29 * DAY_US; /* the day before they expire */
	vault_set_clock(t.v, test_clock, NULL);
	t.v->policy.grace_days = GRACE;
	*state = &t;
	return 0;
}

static void commit(struct test_vault *t, struct index_batch *b)
{
	if (audit_commit(t->v, b, &t->err) != RC_OK)
		fail_msg("commit: %s", t->err.text);
}

static void tie(struct test_vault *t, const struct uuid *holder, int call)
{
	struct index_batch *b = index_batch_new(t->v->index);
	holds_tie(t->v, b, holder, &calls[call]);
	commit(t, b);
}

static bool held(struct test_vault *t, int call)
{
	bool is;
	assert_int_equal(holds_held(t->v, &calls[call], &is, &t->err), RC_OK);
	return is;
}

static int64_t expiry(struct test_vault *t, int call)
{
	struct call *c;
	assert_int_equal(catalogue_get(t->v, &calls[call], &c, &t->err), RC_OK);
	int64_t us = c->expiry_us;
	call_row_free(c);
	return us;
}

/* Timers of a call in the index. */
static unsigned timers(struct test_vault *t, int call)
{
	struct index_cursor *c = index_cursor_new(t->v->index, INDEX_EXPIRY, NULL, 0, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	unsigned n = 0;
	while (index_cursor_next(c, &key, &key_len, &value, &value_len))
		n += key_len == 24 && memcmp(key + 8, calls[call].b, 16) == 0;
	index_cursor_free(c);
	return n;
}

static bool count_call(void *ctx, const struct uuid *call)
{
	(void)call;
	++*(int *)ctx;
	return true;
}

static int calls_of(struct test_vault *t, const struct uuid *holder)
{
	int n = 0;
	holds_calls(t->v, holder, count_call, &n);
	return n;
}

static void call_is_held_until_its_last_tie_is_undone(void **state)
{
	struct test_vault *t = *state;
	struct uuid holders[4];
	assert_false(held(t, 0));
	tie(t, &hold_a, 0);
	tie(t, &hold_a, 0);
	tie(t, &hold_b, 0);
	tie(t, &hold_a, 1);
	assert_true(held(t, 0));
	assert_int_equal(holds_of(t->v, &calls[0], holders, 4), 2);
	assert_true(uuid_equal(&holders[0], &hold_a) && uuid_equal(&holders[1], &hold_b));
	assert_int_equal(calls_of(t, &hold_a), 2);
	assert_true(holds_tied(t->v, &hold_b, &calls[0]));
	assert_false(holds_tied(t->v, &hold_b, &calls[1]));

	struct index_batch *b = index_batch_new(t->v->index);
	size_t count;
	assert_int_equal(holds_untie_all(t->v, b, &hold_a, &count, &t->err), RC_OK);
	commit(t, b);
	assert_int_equal(count, 2);
	assert_true(held(t, 0));
	assert_false(held(t, 1));
	assert_int_equal(calls_of(t, &hold_a), 0);
	b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie(t->v, b, &hold_b, &calls[0], &t->err), RC_OK);
	commit(t, b);
	assert_false(held(t, 0));
}

static void grace_counts_from_the_last_tie_and_moves_the_timer(void **state)
{
	struct test_vault *t = *state;
	int64_t timer = expiry(t, 0);
	tie(t, &hold_a, 0);
	tie(t, &hold_b, 0);
	assert_int_equal(expiry(t, 0), timer);
	now_us += 5 * DAY_US;
	struct index_batch *b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie(t->v, b, &hold_a, &calls[0], &t->err), RC_OK);
	commit(t, b);
	now_us += 40 * DAY_US;
	b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie(t->v, b, &hold_b, &calls[0], &t->err), RC_OK);
	commit(t, b);
	int64_t until = holds_grace_us(t->v, &calls[0]);
	assert_in_range(until, now_us + GRACE * DAY_US - 1000, now_us + GRACE * DAY_US);
	assert_int_equal(expiry(t, 0), until);
	assert_int_equal(timers(t, 0), 1);
	/* A row that is made anew has the same timer. */
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(expiry(t, 0), until);
}

/* Neither sees in the index that the other is going. */
static void two_last_ties_undone_in_one_batch_leave_the_grace_and_one_timer(void **state)
{
	struct test_vault *t = *state;
	tie(t, &hold_a, 0);
	tie(t, &hold_b, 0);
	now_us += 40 * DAY_US;
	struct index_batch *b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie_all(t->v, b, &hold_a, NULL, &t->err), RC_OK);
	assert_int_equal(holds_untie_all(t->v, b, &hold_b, NULL, &t->err), RC_OK);
	commit(t, b);
	assert_false(held(t, 0));
	assert_in_range(expiry(t, 0), now_us + GRACE * DAY_US - 1000, now_us + GRACE * DAY_US);
	assert_int_equal(timers(t, 0), 1);
	int64_t first = expiry(t, 0);
	tie(t, &hold_a, 0);
	now_us += DAY_US;
	b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie(t->v, b, &hold_a, &calls[0], &t->err), RC_OK);
	commit(t, b);
	assert_true(expiry(t, 0) >= first + DAY_US); /* the next batch has its own time */
}

static void grace_never_shortens_a_period(void **state)
{
	struct test_vault *t = *state;
	int64_t timer = expiry(t, 0);
	now_us -= 25 * DAY_US;
	tie(t, &hold_a, 0);
	struct index_batch *b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie(t->v, b, &hold_a, &calls[0], &t->err), RC_OK);
	commit(t, b);
	assert_int_equal(expiry(t, 0), timer);
	assert_true(holds_grace_us(t->v, &calls[0]) < timer);
}

static void without_grace_the_timer_stands_where_it_stood(void **state)
{
	struct test_vault *t = *state;
	int64_t timer = expiry(t, 0);
	t->v->policy.grace_days = 0;
	now_us += 40 * DAY_US;
	tie(t, &hold_a, 0);
	struct index_batch *b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie(t->v, b, &hold_a, &calls[0], &t->err), RC_OK);
	commit(t, b);
	assert_int_equal(expiry(t, 0), timer);
	assert_int_equal(holds_grace_us(t->v, &calls[0]), 0);
}

static void tie_that_is_not_there_gives_no_grace(void **state)
{
	struct test_vault *t = *state;
	struct index_batch *b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie(t->v, b, &hold_a, &calls[0], &t->err), RC_OK);
	commit(t, b);
	assert_int_equal(holds_grace_us(t->v, &calls[0]), 0);
}

static void dropped_batch_unties_nothing(void **state)
{
	struct test_vault *t = *state;
	int64_t timer = expiry(t, 0);
	tie(t, &hold_a, 0);
	struct index_batch *b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie_all(t->v, b, &hold_a, NULL, &t->err), RC_OK);
	audit_drop(t->v, b);
	assert_true(held(t, 0));
	assert_int_equal(expiry(t, 0), timer);
	assert_int_equal(holds_grace_us(t->v, &calls[0]), 0);
}

/* More holders than any list of fixed length has room for. */
static void forgotten_call_leaves_nothing_behind(void **state)
{
	struct test_vault *t = *state;
	struct index_batch *b = index_batch_new(t->v->index);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	for (uint8_t i = 0; i < 40; i++)
		holds_tie(t->v, b, &(struct uuid){ { 2, i } }, &calls[0]);
	holds_tie(t->v, b, &hold_a, &calls[1]);
	commit(t, b);
	b = index_batch_new(t->v->index);
	assert_int_equal(holds_untie(t->v, b, &(struct uuid){ { 2, 0 } }, &calls[0], &t->err),
			 RC_OK);
	commit(t, b);
	b = index_batch_new(t->v->index);
	holds_forget(t->v, b, &calls[0]);
	commit(t, b);
	struct index_cursor *c = index_cursor_new(t->v->index, INDEX_HOLDS, NULL, 0, false);
	unsigned rows = 0;
	for (; index_cursor_next(c, &key, &key_len, &value, &value_len); rows++)
		assert_null(memmem(key, key_len, calls[0].b, 16));
	index_cursor_free(c);
	assert_int_equal(rows, 2);
	assert_true(held(t, 1));
}

static void expect_names(struct test_vault *t, int call, const char *expected)
{
	json_t *names = holds_names(t->v, &calls[call]);
	char *text = json_dumps(names, JSON_COMPACT);
	assert_string_equal(text, expected);
	free(text);
	json_decref(names);
}

static void ties_outlive_a_lost_index(void **state)
{
	struct test_vault *t = *state;
	char path[256];
	tie(t, &hold_a, 0);
	tie(t, &hold_a, 1);
	tie(t, &hold_b, 2);
	struct index_batch *b = index_batch_new(t->v->index);
	holds_name(t->v, b, &hold_a, "R-7");
	assert_int_equal(holds_untie(t->v, b, &hold_b, &calls[2], &t->err), RC_OK);
	commit(t, b);
	int64_t until = expiry(t, 2);
	vault_close(t->v);
	snprintf(path, sizeof path, "%s/vault/index/CURRENT", t->path);
	assert_int_equal(unlink(path), 0);
	test_vault_open(t);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_true(held(t, 0) && held(t, 1) && !held(t, 2));
	expect_names(t, 0, "[\"R-7\"]");
	expect_names(t, 2, "[]");
	assert_int_equal(expiry(t, 2), until);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(call_is_held_until_its_last_tie_is_undone),
		TEST(grace_counts_from_the_last_tie_and_moves_the_timer),
		TEST(two_last_ties_undone_in_one_batch_leave_the_grace_and_one_timer),
		TEST(grace_never_shortens_a_period),
		TEST(without_grace_the_timer_stands_where_it_stood),
		TEST(tie_that_is_not_there_gives_no_grace),
		TEST(dropped_batch_unties_nothing),
		TEST(forgotten_call_leaves_nothing_behind),
		TEST(ties_outlive_a_lost_index),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
