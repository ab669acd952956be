/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_verify.c: whatever is done to a recording, verify finds it and names the segment. */
#include "vault_help.h"

#define CALLS 4

static int make_recorded(void **state)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", NULL);
	test_record(&t, CALLS, NULL);
	*state = &t;
	return 0;
}

/* The same, and taken into the vault. */
static int make_taken(void **state)
{
	(void)make_recorded(state);
	assert_int_equal(test_ask((struct test_vault *)*state, "{'request':'calls'}"), RC_OK);
	return 0;
}

struct file {
	char path[512];
	uint8_t *bytes;
	size_t len;
};

static void load(const struct test_vault *t, const char *ending, struct file *f)
{
	if (!test_find(t, "vault/segments", ending, f->path))
		assert_true(test_find(t, "recorder", ending, f->path));
	f->bytes = read_file(f->path, &f->len);
}

static void save(struct file *f)
{
	write_file(f->path, f->bytes, f->len);
	free(f->bytes);
}

static void expect_found(struct test_vault *t)
{
	struct file f;
	load(t, ".seg", &f);
	free(f.bytes);
	f.path[strlen(f.path) - 4] = '\0';
	const char *name = strrchr(f.path, '/') + 1;
	enum rc rc = test_ask(t, "{'request':'verify'}");
	assert_int_equal(rc, RC_DAMAGED);
	assert_non_null(strstr(t->err.text, name));
	const json_t *o = test_reply(t, 0);
	assert_string_equal(test_text(o, "segment"), name);
	assert_true(json_is_false(json_object_get(o, "ok")));
	assert_true(strlen(test_text(o, "what")) > 5);
}

static void untouched_segments_are_sound(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 1);
	assert_true(json_is_true(json_object_get(test_reply(t, 0), "ok")));
	assert_int_equal(test_number(test_reply(t, 0), "calls"), CALLS);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(test_audited(t, "verify", "done"), 2);
}

/* Offsets of the records of a type. */
static size_t records(const char *path, uint32_t type, struct segment_record *out, size_t most)
{
	struct segment *s = test_segment(path);
	struct segment_record r;
	uint64_t at = segment_first(s);
	size_t n = 0;
	while (segment_next(s, &at, &r) == RC_OK) {
		if (r.type == type && n < most)
			out[n++] = r;
	}
	segment_close(s);
	return n;
}

#define HEADER 24

static void flipped_bit_is_found_wherever_it_is(void **state)
{
	struct test_vault *t = *state;
	struct file f;
	load(t, ".seg", &f);
	/* Spread over the file, odd so that every part of a record is met. */
	for (size_t at = 8; at < f.len; at += 997) {
		f.bytes[at] ^= 0x10;
		write_file(f.path, f.bytes, f.len);
		if (test_ask(t, "{'request':'verify'}") != RC_DAMAGED)
			fail_msg("the bit at %zu was not found", at);
		f.bytes[at] ^= 0x10;
	}
	save(&f);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
}

static void flipped_bit_of_a_slot_is_found(void **state)
{
	struct test_vault *t = *state;
	struct file f;
	load(t, ".keys", &f);
	f.bytes[4096 + 100] ^= 1;
	save(&f);
	expect_found(t);
}

static void swapped_records_are_found(void **state)
{
	struct test_vault *t = *state;
	struct segment_record r[2];
	struct file f;
	load(t, ".seg", &f);
	assert_int_equal(records(f.path, RECORD_CHUNK, r, 2), 2);
	size_t len = HEADER + r[0].body_len;
	assert_int_equal(r[0].body_len, r[1].body_len);
	uint8_t *first = malloc(len);
	assert_non_null(first);
	memcpy(first, f.bytes + r[0].offset, len);
	memcpy(f.bytes + r[0].offset, f.bytes + r[1].offset, len);
	memcpy(f.bytes + r[1].offset, first, len);
	free(first);
	save(&f);
	expect_found(t);
}

static void record_cut_out_is_found(void **state)
{
	struct test_vault *t = *state;
	struct segment_record r[2];
	struct file f;
	load(t, ".seg", &f);
	assert_int_equal(records(f.path, RECORD_CHUNK, r, 2), 2);
	size_t len = HEADER + r[1].body_len;
	memmove(f.bytes + r[1].offset, f.bytes + r[1].offset + len, f.len - r[1].offset - len);
	f.len -= len;
	save(&f);
	expect_found(t);
}

static void segment_cut_at_a_record_boundary_is_found(void **state)
{
	struct test_vault *t = *state;
	struct segment_record r[4];
	struct file f;
	load(t, ".seg", &f);
	size_t n = records(f.path, RECORD_CALL, r, 4);
	assert_true(n > 1);
	f.len = r[n - 1].offset;
	save(&f);
	expect_found(t);
}

static void segment_with_its_slots_cut_back_to_an_older_whole_state_is_found(void **state)
{
	struct test_vault *t = *state;
	struct test_call c;
	struct file seg, keys;
	struct store_writer *w = test_recorder(t);
	test_call_begin(&c, w, 9);
	test_audio_chunk(w, &c, 0, 0, 0, 25);
	store_writer_tick(w, NS_PER_S, HOUR_NS);
	store_writer_tick(w, 3 * NS_PER_S, HOUR_NS);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_true(test_find(t, "recorder", ".seg", seg.path));
	assert_true(test_find(t, "recorder", ".keys", keys.path));
	seg.bytes = read_file(seg.path, &seg.len);
	keys.bytes = read_file(keys.path, &keys.len);
	test_audio_chunk(w, &c, 0, 1, 25, 25);
	test_stream(w, &c, 0, 50);
	test_call_end(w, &c, c.r.answer_us + 1000000);
	test_finish(t, w);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	/* Both files as they were, signed and whole: only the vault's memory tells. */
	char name[128];
	snprintf(name, sizeof name, "%s", strrchr(seg.path, '/') + 1);
	snprintf(seg.path, sizeof seg.path, "%s/vault/segments/%s", t->path, name);
	save(&seg);
	snprintf(name, sizeof name, "%s", strrchr(keys.path, '/') + 1);
	snprintf(keys.path, sizeof keys.path, "%s/vault/segments/%s", t->path, name);
	save(&keys);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
}

static void swapped_slots_are_found(void **state)
{
	struct test_vault *t = *state;
	struct file f;
	uint8_t slot[SLOT_BYTES];
	load(t, ".keys", &f);
	assert_true(f.len >= 4096 + 2 * SLOT_BYTES);
	memcpy(slot, f.bytes + 4096, SLOT_BYTES);
	memcpy(f.bytes + 4096, f.bytes + 4096 + SLOT_BYTES, SLOT_BYTES);
	memcpy(f.bytes + 4096 + SLOT_BYTES, slot, SLOT_BYTES);
	save(&f);
	expect_found(t);
}

static void missing_segment_is_found(void **state)
{
	struct test_vault *t = *state;
	char path[512];
	assert_true(test_find(t, "vault/segments", ".seg", path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
	assert_non_null(strstr(test_text(test_reply(t, 0), "what"), "gone"));
}

static void segment_that_comes_back_is_sound_again(void **state)
{
	struct test_vault *t = *state;
	char path[512], away[520];
	assert_true(test_find(t, "vault/segments", ".seg", path));
	snprintf(away, sizeof away, "%s.away", path);
	for (int reindex = 0; reindex < 2; reindex++) {
		assert_int_equal(rename(path, away), 0);
		assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
		assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
		const json_t *segments = json_object_get(test_reply(t, 0), "segments");
		assert_int_equal(test_number(segments, "damaged"), 1);
		/* Nothing else tells of its calls. */
		if (reindex)
			assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_FAILED);
		assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
		assert_int_equal(json_array_size(t->replies), CALLS);
		assert_int_equal(rename(away, path), 0);
		assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
		assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
		assert_int_equal(json_array_size(t->replies), CALLS);
	}
}

/* Damage that a reindex has met stays flagged until the file is what it was when it was closed. */
static void damage_that_was_put_right_is_cleared_and_told(void **state)
{
	struct test_vault *t = *state;
	for (int reindex = 0; reindex < 2; reindex++) {
		struct file f;
		size_t entries = (size_t)reindex + 1;
		load(t, ".seg", &f);
		f.bytes[8000] ^= 1;
		write_file(f.path, f.bytes, f.len);
		assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
		assert_int_equal(test_audited(t, "segment-damaged", NULL), entries);
		assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
		f.bytes[8000] ^= 1;
		save(&f);
		if (reindex || test_ask(t, "{'request':'verify'}") != RC_OK)
			assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
		assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_OK);
		assert_int_equal(test_audited(t, "segment-found-whole", NULL), entries);
		assert_int_equal(test_ask(t, "{'request':'audit-verify'}"), RC_OK);
	}
}

static void second_file_of_the_same_name_at_the_recorder_is_found(void **state)
{
	struct test_vault *t = *state;
	struct file f;
	load(t, ".seg", &f);
	char path[640];
	snprintf(path, sizeof path, "%s/recorder/%s", t->path, strrchr(f.path, '/') + 1);
	f.bytes[f.len - 1] ^= 1;
	write_file(path, f.bytes, f.len);
	free(f.bytes);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), CALLS);
}

static void damaged_segment_is_listed_as_far_as_it_goes_and_stops_nothing(void **state)
{
	struct test_vault *t = *state;
	struct segment_record r[4 * CALLS];
	struct file f;
	load(t, ".seg", &f);
	size_t n = records(f.path, RECORD_CHUNK, r, 4 * CALLS);
	f.bytes[r[n - 1].offset + HEADER + 3] ^= 1;
	save(&f);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), CALLS);
	assert_int_equal(test_audited(t, "segment-damaged", NULL), 1);
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	assert_int_equal(test_number(json_object_get(test_reply(t, 0), "segments"), "damaged"), 1);
	expect_found(t);
	assert_int_equal(test_audited(t, "segment-damaged", NULL), 1);
}

static void file_that_is_no_segment_is_flagged_and_taken_away(void **state)
{
	struct test_vault *t = *state;
	char path[512];
	snprintf(path, sizeof path, "%s/recorder/20260303T10-standard-x.seg", t->path);
	write_file(path, "nonsense", 8);
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), CALLS);
	assert_int_equal(test_ask(t, "{'request':'verify'}"), RC_DAMAGED);
	assert_false(test_find(t, "recorder", "x.seg", path));
}

static void verify_of_one_call_names_it(void **state)
{
	struct test_vault *t = *state;
	char id[UUID_TEXT];
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	snprintf(id, sizeof id, "%s", test_text(test_reply(t, 1), "id"));
	assert_int_equal(test_ask(t, "{'request':'verify','id':'%s'}", id), RC_OK);
	assert_int_equal(json_array_size(t->replies), 2);
	assert_string_equal(test_text(test_reply(t, 1), "call"), id);
	assert_true(json_is_true(json_object_get(test_reply(t, 1), "ok")));
}

int main(void)
{
#define TEST(f, made) cmocka_unit_test_setup_teardown(f, made, test_vault_drop)
	const struct CMUnitTest tests[] = {
		TEST(untouched_segments_are_sound, make_taken),
		TEST(untouched_segments_are_sound, make_recorded),
		TEST(flipped_bit_is_found_wherever_it_is, make_taken),
		TEST(flipped_bit_of_a_slot_is_found, make_taken),
		TEST(flipped_bit_of_a_slot_is_found, make_recorded),
		TEST(swapped_records_are_found, make_taken),
		TEST(swapped_records_are_found, make_recorded),
		TEST(record_cut_out_is_found, make_taken),
		TEST(record_cut_out_is_found, make_recorded),
		TEST(segment_cut_at_a_record_boundary_is_found, make_taken),
		TEST(segment_cut_at_a_record_boundary_is_found, make_recorded),
		TEST(segment_with_its_slots_cut_back_to_an_older_whole_state_is_found, make_taken),
		TEST(swapped_slots_are_found, make_taken),
		TEST(swapped_slots_are_found, make_recorded),
		TEST(missing_segment_is_found, make_taken),
		TEST(segment_that_comes_back_is_sound_again, make_taken),
		TEST(damage_that_was_put_right_is_cleared_and_told, make_taken),
		TEST(second_file_of_the_same_name_at_the_recorder_is_found, make_taken),
		TEST(damaged_segment_is_listed_as_far_as_it_goes_and_stops_nothing, make_recorded),
		TEST(file_that_is_no_segment_is_flagged_and_taken_away, make_taken),
		TEST(verify_of_one_call_names_it, make_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
