/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_rewrite.c: the space of destroyed recordings comes back, and what lives is as it was, byte for byte. */
#include "purge_help.h"

#include "vault/holds.h"
#include "vault/reclaim.h"

#define CALLS 40

static const unsigned living[] = { 3, 17, 18, 39 };
#define LIVING (sizeof living / sizeof living[0])

static struct test_call calls[CALLS];
static char seg[512], keys[512];
static char *before[LIVING]; /* what each of the living was */

struct file {
	uint8_t *bytes;
	size_t len;
};

static struct file load(const char *path)
{
	struct file f;
	f.bytes = read_file(path, &f.len);
	return f;
}

static void tie_living(struct test_vault *t)
{
	struct uuid holder = uuid_v7(clock_real_ns());
	struct index_batch *b = index_batch_new(t->v->index);
	for (size_t i = 0; i < LIVING; i++)
		holds_tie(t->v, b, &holder, &calls[living[i]].r.id);
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
}

/* A call's payloads, its row as JSON, and its digest that the audit trail knows. */
static char *describe(struct test_vault *t, const struct test_call *c)
{
	static const char *const requests[] = { "fingerprint", "show", "verify" };
	char id[UUID_TEXT], *all = calloc(1, 1);
	(void)uuid_text(&c->r.id, id);
	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		enum rc rc = test_ask(t, "{'request':'%s','id':'%s'%s}", requests[i], id,
				      i ? "" : ",'purpose':'complaint','reference':'x'");
		assert_int_equal(rc, RC_OK);
		size_t last = json_array_size(t->replies) - 1;
		char *one = json_dumps(test_reply(t, last), JSON_SORT_KEYS), *both = NULL;
		assert_true(asprintf(&both, "%s%s\n", all, one) > 0);
		free(all);
		free(one);
		all = both;
	}
	return all;
}

/* Of 40 calls four are held when the others' time is up. */
static int make_due(void **state)
{
	(void)purge_make(state);
	struct test_vault *t = *state;
	purge_record(t, calls, CALLS, "standard");
	assert_true(test_find(t, "vault/segments", ".seg", seg));
	assert_true(test_find(t, "vault/segments", ".keys", keys));
	tie_living(t);
	for (size_t i = 0; i < LIVING; i++)
		before[i] = describe(t, &calls[living[i]]);
	purge_now += 31 * DAY_US;
	return 0;
}

static int drop(void **state)
{
	for (size_t i = 0; i < LIVING; i++)
		free(before[i]);
	return purge_drop(state);
}

static void purge(struct test_vault *t, unsigned rewritten)
{
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "segments_rewritten"), rewritten);
}

static void expect_living_unchanged(struct test_vault *t)
{
	assert_int_equal(purge_living(t), LIVING);
	for (size_t i = 0; i < LIVING; i++) {
		char *now = describe(t, &calls[living[i]]);
		assert_string_equal(now, before[i]);
		free(now);
	}
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
}

static void mostly_destroyed_segment_is_written_anew(void **state)
{
	struct test_vault *t = *state;
	struct file old = load(seg);
	purge(t, 1);
	struct file new = load(seg);
	assert_true(new.len < old.len / 4);
	assert_int_equal(new.len % 4096, 0);
	assert_true(test_audited(t, "segment-rewritten", "done") == 1);
	expect_living_unchanged(t);
	/* Their records stand in it as they stood in the old one. */
	struct segment *s = test_segment(seg);
	struct segment_record r;
	uint64_t at = segment_first(s);
	size_t sealed = 0, slots = 0;
	while (segment_next(s, &at, &r) == RC_OK) {
		slots += r.type == RECORD_SLOT;
		if (r.type < RECORD_SLOT || r.type > RECORD_SIGNALLING)
			continue;
		sealed += r.type != RECORD_SLOT;
		assert_non_null(
			memmem(old.bytes, old.len, new.bytes + r.offset, 24 + (size_t)r.body_len));
	}
	assert_int_equal(slots, CALLS);
	assert_int_equal(sealed, LIVING * 8);
	segment_close(s);
	free(old.bytes);
	free(new.bytes);
	purge(t, 0);
	expect_living_unchanged(t);
}

static void rewritten_segment_survives_reindex_and_a_lost_index(void **state)
{
	struct test_vault *t = *state;
	char index[160];
	purge(t, 1);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "calls"), LIVING);
	expect_living_unchanged(t);
	vault_close(t->v);
	(void)snprintf(index, sizeof index, "%s/vault/index", t->path);
	assert_int_equal(nftw(index, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	test_vault_open(t);
	vault_set_clock(t->v, purge_clock, NULL);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "calls"), LIVING);
	expect_living_unchanged(t);
}

static void whatever_is_done_to_a_rewritten_segment_is_found(void **state)
{
	struct test_vault *t = *state;
	struct file old = load(seg), old_keys = load(keys);
	purge(t, 1);
	struct file new = load(seg);
	for (size_t at = 8; at < new.len; at += 499) {
		new.bytes[at] ^= 0x10;
		write_file(seg, new.bytes, new.len);
		if (test_ask(t, "{'request':'verify'}") != RC_DAMAGED)
			fail_msg("the bit at %zu was not found", at);
		new.bytes[at] ^= 0x10;
	}
	/* The old one in its place: its head is gone, and it is not what is remembered. */
	write_file(seg, old.bytes, old.len);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
	struct file new_keys = load(keys);
	memcpy(new_keys.bytes, old_keys.bytes, 4096);
	write_file(keys, new_keys.bytes, new_keys.len);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
	assert_non_null(strstr(t->err.text, "not"));
	free(old.bytes);
	free(old_keys.bytes);
	free(new.bytes);
	free(new_keys.bytes);
}

/* Cut short at each of its steps: 0 before it counts, 1 behind that, 2 with the new head, 3 with the new name. */
static void rewrite_cut_short_is_finished_at(struct test_vault *t, unsigned step)
{
	char new_path[600], name[SEGMENT_NAME];
	struct file old = load(seg), old_keys = load(keys);
	purge(t, 1);
	struct file new_keys = load(keys);
	struct segment_row row;
	(void)snprintf(new_path, sizeof new_path, "%s.new", seg);
	(void)snprintf(name, sizeof name, "%.*s", (int)(strlen(strrchr(seg, '/') + 1) - 4),
		       strrchr(seg, '/') + 1);
	if (step < 3) {
		assert_int_equal(rename(seg, new_path), 0);
		write_file(seg, old.bytes, old.len);
	}
	if (step < 2) {
		memcpy(new_keys.bytes, old_keys.bytes, 4096);
		write_file(keys, new_keys.bytes, new_keys.len);
	}
	assert_int_equal(segments_get(t->v, name, &row, &t->err), RC_OK);
	row.pending = SEGMENT_REWRITING;
	struct index_batch *b = index_batch_new(t->v->index);
	segments_put(b, name, &row);
	assert_int_equal(index_batch_commit(b, &t->err), RC_OK);
	purge_reopen(t);
	expect_living_unchanged(t);
	assert_int_not_equal(access(new_path, F_OK), 0);
	assert_int_equal(segments_get(t->v, name, &row, &t->err), RC_OK);
	assert_int_equal(row.pending, SEGMENT_SETTLED);
	free(old.bytes);
	free(old_keys.bytes);
	free(new_keys.bytes);
}

static void rewrite_cut_short_behind_its_commit_is_finished(void **state)
{
	rewrite_cut_short_is_finished_at(*state, 1);
}

static void rewrite_cut_short_behind_the_head_is_finished(void **state)
{
	rewrite_cut_short_is_finished_at(*state, 2);
}

static void rewrite_cut_short_behind_the_name_is_finished(void **state)
{
	rewrite_cut_short_is_finished_at(*state, 3);
}

static void what_a_rewrite_left_before_it_counted_is_removed(void **state)
{
	struct test_vault *t = *state;
	char new_path[600];
	(void)snprintf(new_path, sizeof new_path, "%s.new", seg);
	write_file(new_path, "half", 4);
	purge(t, 1);
	assert_int_not_equal(access(new_path, F_OK), 0);
	expect_living_unchanged(t);
}

static void removal_cut_short_is_finished(void **state)
{
	struct test_vault *t = *state;
	char name[SEGMENT_NAME], id[UUID_TEXT];
	struct segment_row row;
	(void)snprintf(name, sizeof name, "%.*s", (int)(strlen(strrchr(seg, '/') + 1) - 4),
		       strrchr(seg, '/') + 1);
	t->v->policy.max_share = 100;
	purge(t, 1);
	assert_int_equal(test_ask(t, "{'request':'calls','limit':0}"), RC_OK);
	/* The last ones are erased, and the files are half gone when it stops. */
	struct uuid holders[4];
	for (size_t i = 0; i < LIVING; i++) {
		const struct uuid *call = &calls[living[i]].r.id;
		assert_int_equal(holds_of(t->v, call, holders, 4), 1);
		struct index_batch *b = index_batch_new(t->v->index);
		assert_int_equal(holds_untie(t->v, b, &holders[0], call, &t->err), RC_OK);
		assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
		assert_int_equal(test_ask(t, "{'request':'erase','id':'%s','reason':'error'}",
					  uuid_text(call, id)),
				 RC_OK);
	}
	assert_int_equal(segments_get(t->v, name, &row, &t->err), RC_OK);
	assert_int_equal(row.calls, 0);
	row.pending = SEGMENT_GOING;
	struct index_batch *b = index_batch_new(t->v->index);
	segments_put(b, name, &row);
	assert_int_equal(index_batch_commit(b, &t->err), RC_OK);
	assert_int_equal(unlink(seg), 0);
	purge_reopen(t);
	assert_int_not_equal(access(keys, F_OK), 0);
	assert_int_equal(segments_get(t->v, name, &row, &t->err), RC_NOT_FOUND);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 0);
}

static void segment_none_of_whose_calls_lives_is_removed(void **state)
{
	struct test_vault *t = *state;
	struct test_call c[3];
	char path[512];
	purge_record(t, c, 3, "standard");
	purge_now += 31 * DAY_US;
	assert_int_equal(test_ask(t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "segments_removed"), 1);
	assert_true(test_number(test_reply(t, 0), "bytes_freed") > 3 * 100 * 160);
	assert_false(test_find(t, "vault/segments", ".seg", path));
	assert_false(test_find(t, "vault/segments", ".keys", path));
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

static void half_alive_segment_stays_as_it_is(void **state)
{
	struct test_vault *t = *state;
	struct uuid holder = uuid_v7(clock_real_ns());
	struct test_call c[CALLS];
	purge_record(t, c, CALLS, "standard");
	struct index_batch *b = index_batch_new(t->v->index);
	for (size_t i = 0; i < CALLS; i += 2)
		holds_tie(t->v, b, &holder, &c[i].r.id);
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
	assert_true(test_find(t, "vault/segments", ".seg", seg));
	struct file old = load(seg);
	purge_now += 31 * DAY_US;
	purge(t, 0);
	struct file now = load(seg);
	assert_int_equal(now.len, old.len);
	assert_memory_equal(now.bytes, old.bytes, old.len);
	free(old.bytes);
	free(now.bytes);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

/* The recorder died: slots without records, a tail that nobody signed. */
static void segment_that_was_never_closed_can_be_rewritten(void **state)
{
	struct test_vault *t = *state;
	struct uuid holder = uuid_v7(clock_real_ns());
	struct test_call c[CALLS];
	static uint8_t slot[300];
	struct store_writer *w = test_recorder(t);
	for (unsigned i = 0; i < CALLS; i++)
		purge_call(w, &c[i], i, "standard");
	store_writer_tick(w, NS_PER_S * 100, c[0].r.start_us * 1000);
	store_writer_tick(w, NS_PER_S * 200, c[0].r.start_us * 1000);
	assert_true(test_find(t, "recorder", ".seg", seg));
	assert_true(test_find(t, "recorder", ".keys", keys));
	struct file torn = load(seg), torn_keys = load(keys);
	test_finish(t, w);
	write_file(seg, torn.bytes, torn.len);
	random_bytes(slot, sizeof slot);
	torn_keys.bytes = realloc(torn_keys.bytes, torn_keys.len + sizeof slot);
	memcpy(torn_keys.bytes + torn_keys.len, slot, sizeof slot);
	write_file(keys, torn_keys.bytes, torn_keys.len + sizeof slot);
	free(torn.bytes);
	free(torn_keys.bytes);
	assert_int_equal(purge_living(t), CALLS);
	struct index_batch *b = index_batch_new(t->v->index);
	holds_tie(t->v, b, &holder, &c[5].r.id);
	assert_int_equal(audit_commit(t->v, b, &t->err), RC_OK);
	char *was = describe(t, &c[5]);
	purge_now += 31 * DAY_US;
	purge(t, 1);
	char *is = describe(t, &c[5]);
	assert_string_equal(was, is);
	free(was);
	free(is);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_true(test_find(t, "vault/segments", ".keys", keys));
	struct file left = load(keys);
	assert_null(memmem(left.bytes, left.len, slot + 24, 116));
	assert_null(memmem(left.bytes, left.len, slot + 256, 44));
	free(left.bytes);
}

int main(void)
{
#define DUE(f)  cmocka_unit_test_setup_teardown(f, make_due, drop)
#define BARE(f) cmocka_unit_test_setup_teardown(f, purge_make, purge_drop)
	const struct CMUnitTest tests[] = {
		DUE(mostly_destroyed_segment_is_written_anew),
		DUE(rewritten_segment_survives_reindex_and_a_lost_index),
		DUE(whatever_is_done_to_a_rewritten_segment_is_found),
		DUE(rewrite_cut_short_behind_its_commit_is_finished),
		DUE(rewrite_cut_short_behind_the_head_is_finished),
		DUE(rewrite_cut_short_behind_the_name_is_finished),
		DUE(what_a_rewrite_left_before_it_counted_is_removed),
		DUE(removal_cut_short_is_finished),
		BARE(segment_none_of_whose_calls_lives_is_removed),
		BARE(half_alive_segment_stays_as_it_is),
		BARE(segment_that_was_never_closed_can_be_rewritten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
