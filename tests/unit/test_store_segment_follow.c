/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_segment_follow.c: a segment that is still being written is verified piece by piece: the same is found as at once,
 * and what was verified is not read again.
 */
#include "store_help.h"

#include "store/segment.h"

#define STEPS 6

static struct test_store store;
static struct chunk chunk;

struct image {
	uint8_t *seg, *keys;
	size_t seg_len, keys_len;
};

/* The segment after each sync, and closed. */
static struct image steps[STEPS + 1];

static struct image image_now(void)
{
	struct test_segments list;
	char keys_name[260];
	struct image m;
	const char *path = test_only(&store, &list);
	keys_path(keys_name, path);
	m.seg = read_file(path, &m.seg_len);
	m.keys = read_file(keys_name, &m.keys_len);
	return m;
}

static int make_images(void **state)
{
	static struct call_record r;
	struct error err;
	int64_t mono = 0;
	(void)state;
	test_store_make(&store);
	struct store_writer *w = test_writer(&store, 1 << 30);
	for (unsigned i = 0; i < STEPS; i++) {
		struct store_open o = test_open(i + 1, HOUR_US + i, "lab");
		store_writer_open(w, &o);
		test_call_record(&r, &o.id);
		store_writer_call(w, i + 1, &r);
		for (uint64_t call = 1; call <= i + 1; call++) {
			test_chunk(&chunk, call, 0, i, 320);
			store_writer_chunk(w, &chunk);
		}
		store_writer_tick(w, mono += NS_PER_S, HOUR_NS);
		steps[i] = image_now();
	}
	for (uint64_t call = 1; call <= STEPS; call++)
		test_done(w, call);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	steps[STEPS] = image_now();
	return 0;
}

static int drop_images(void **state)
{
	(void)state;
	for (unsigned i = 0; i <= STEPS; i++) {
		free(steps[i].seg);
		free(steps[i].keys);
	}
	test_store_remove(&store);
	return 0;
}

static struct segment *adopt(const struct image *m)
{
	struct segment *s;
	struct error err;
	assert_int_equal(segment_adopt(&s, "x", m->seg, m->seg_len, m->keys, m->keys_len, &err),
			 RC_OK);
	return s;
}

static enum rc follow(const struct image *m, struct segment_mark *mark,
		      struct segment_report *report)
{
	struct segment *s = adopt(m);
	enum rc rc = segment_verify_on(s, store.sign.public_key, mark, report);
	segment_close(s);
	return rc;
}

static struct segment_report whole(const struct image *m)
{
	struct segment_report report;
	struct segment *s = adopt(m);
	assert_int_equal(segment_verify(s, store.sign.public_key, &report), RC_OK);
	segment_close(s);
	return report;
}

static void piece_by_piece_finds_what_is_found_at_once(void **state)
{
	struct segment_mark mark = { 0 };
	struct segment_report report;
	uint64_t records = 0;
	(void)state;
	for (unsigned i = 0; i <= STEPS; i++) {
		struct segment_report all = whole(&steps[i]);
		assert_int_equal(follow(&steps[i], &mark, &report), RC_OK);
		assert_int_equal(report.attested_end, all.attested_end);
		assert_int_equal(report.valid_end, all.valid_end);
		assert_int_equal(report.slots, all.slots);
		assert_int_equal(report.footer, all.footer);
		assert_int_equal(mark.end, all.attested_end);
		records = i < STEPS ? records + report.records : report.records;
		assert_int_equal(records, all.records); /* the footer has all looked at */
		assert_int_equal(follow(&steps[i], &mark, &report), RC_OK);
		assert_int_equal(report.records, 0); /* and nothing is looked at twice */
	}
}

static void several_pieces_at_once_are_one(void **state)
{
	struct segment_mark mark = { 0 };
	struct segment_report report;
	(void)state;
	assert_int_equal(follow(&steps[1], &mark, &report), RC_OK);
	assert_int_equal(follow(&steps[4], &mark, &report), RC_OK);
	assert_int_equal(mark.end, whole(&steps[4]).attested_end);
}

/* Every bit of what is new (every seventh; LONG=1: all) is looked at, and the mark stays where all is good. */
static void every_change_of_what_is_new_is_found(void **state)
{
	struct segment_mark from = { 0 };
	struct segment_report report;
	size_t step = getenv("LONG") ? 1 : 7;
	(void)state;
	assert_int_equal(follow(&steps[2], &from, &report), RC_OK);
	for (size_t bit = from.end * 8; bit < steps[3].seg_len * 8; bit += step) {
		struct segment_mark mark = from;
		steps[3].seg[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(follow(&steps[3], &mark, &report), RC_DAMAGED);
		assert_int_equal(mark.end, from.end);
		steps[3].seg[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(follow(&steps[3], &from, &report), RC_OK);
}

/* What was verified and changes afterwards is found when all is looked at again: at the latest when it is closed. */
static void change_behind_the_mark_is_found_in_the_end(void **state)
{
	struct segment_mark mark = { 0 };
	struct segment_report report;
	(void)state;
	assert_int_equal(follow(&steps[2], &mark, &report), RC_OK);
	size_t at = mark.end - 300;
	steps[3].seg[at] ^= 1;
	assert_int_equal(follow(&steps[3], &mark, &report), RC_OK);
	steps[3].seg[at] ^= 1;
	steps[STEPS].seg[at] ^= 1;
	assert_int_equal(follow(&steps[STEPS], &mark, &report), RC_DAMAGED);
	steps[STEPS].seg[at] ^= 1;
}

static void segment_shorter_than_the_mark_is_damage(void **state)
{
	struct segment_mark mark = { 0 };
	struct segment_report report;
	(void)state;
	assert_int_equal(follow(&steps[4], &mark, &report), RC_OK);
	struct image cut = steps[4];
	cut.seg_len = steps[1].seg_len;
	assert_int_equal(follow(&cut, &mark, &report), RC_DAMAGED);
	assert_non_null(strstr(report.what, "the segment was cut"));
}

static void mark_of_another_chain_is_damage(void **state)
{
	struct segment_mark mark = { 0 };
	struct segment_report report;
	(void)state;
	assert_int_equal(follow(&steps[2], &mark, &report), RC_OK);
	mark.newest[0] ^= 1;
	assert_int_equal(follow(&steps[3], &mark, &report), RC_DAMAGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(piece_by_piece_finds_what_is_found_at_once),
		cmocka_unit_test(several_pieces_at_once_are_one),
		cmocka_unit_test(every_change_of_what_is_new_is_found),
		cmocka_unit_test(change_behind_the_mark_is_found_in_the_end),
		cmocka_unit_test(segment_shorter_than_the_mark_is_damage),
		cmocka_unit_test(mark_of_another_chain_is_damage),
	};
	return cmocka_run_group_tests(tests, make_images, drop_images);
}
