/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_segment_damage.c: nothing can be done to a segment or its slot file that verify
 * does not see, and what a crash leaves is not taken for damage.  LONG=1 flips every bit, not
 * every seventh.
 */
#include "store_help.h"

#include <ctype.h>

#include "base/bytes.h"
#include "store/segment.h"

/* A segment and its slot file as bytes. */
struct image {
	uint8_t *seg, *keys;
	size_t seg_len, keys_len;
};

#define RECORDS_MOST 64

static struct test_store store;
static struct image closed; /* two calls, three attests, a footer */
static struct image torn;   /* the same calls, killed after a sync and a flush */
static struct image other;  /* another closed segment of the same recorder */
static struct chunk chunk;

static struct image read_image(const char *path)
{
	struct image m;
	char keys_name[260];

	keys_path(keys_name, path);
	m.seg = read_file(path, &m.seg_len);
	m.keys = read_file(keys_name, &m.keys_len);
	return m;
}

static struct image copy_of(const struct image *from)
{
	struct image m = *from;

	m.seg = malloc(m.seg_len + LAYOUT_BLOCK);
	m.keys = malloc(m.keys_len + LAYOUT_BLOCK);
	assert_non_null(m.seg);
	assert_non_null(m.keys);
	memcpy(m.seg, from->seg, m.seg_len);
	memcpy(m.keys, from->keys, m.keys_len);
	return m;
}

static void image_free(struct image *m)
{
	free(m->seg);
	free(m->keys);
}

static void write_some(struct store_writer *w, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		test_chunk(&chunk, 1 + i % 2, (uint16_t)(i % 3), i, 320);
		store_writer_chunk(w, &chunk);
	}
}

static struct store_writer *write_calls(struct test_store *t, int64_t *mono)
{
	static struct call_record r;
	struct store_writer *w = test_writer(t, 1 << 30);

	for (uint64_t call = 1; call <= 2; call++) {
		struct store_open o = test_open(call, HOUR_US + (int64_t)call, "lab");
		store_writer_open(w, &o);
		test_call_record(&r, &o.id);
		store_writer_call(w, call, &r);
	}
	write_some(w, 0, 4);
	store_writer_tick(w, *mono += NS_PER_S, HOUR_NS);
	write_some(w, 4, 8);
	store_writer_tick(w, *mono += NS_PER_S, HOUR_NS);
	write_some(w, 8, 9);
	return w;
}

static void close_calls(struct store_writer *w)
{
	struct error err;

	test_done(w, 1);
	test_done(w, 2);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
}

static int make_images(void **state)
{
	struct test_segments list;
	int64_t mono = 0;

	(void)state;
	test_store_make(&store);
	struct store_writer *w = write_calls(&store, &mono);
	store_writer_tick(w, mono + 300 * NS_PER_MS, HOUR_NS); /* flush only */
	torn = read_image(test_only(&store, &list));
	close_calls(w);
	closed = read_image(list.path[0]);
	assert_int_equal(unlink(list.path[0]), 0);
	close_calls(write_calls(&store, &mono));
	other = read_image(test_only(&store, &list));
	return 0;
}

static int drop_images(void **state)
{
	(void)state;
	image_free(&closed);
	image_free(&torn);
	image_free(&other);
	test_store_remove(&store);
	return 0;
}

static enum rc judge_by(const struct image *m, const uint8_t sign_public[32],
			struct segment_report *report)
{
	struct segment *s;
	struct error err;

	memset(report, 0, sizeof *report);
	enum rc rc = segment_adopt(&s, "x.seg", m->seg, m->seg_len, m->keys, m->keys_len, &err);
	if (rc != RC_OK) {
		assert_int_equal(rc, RC_DAMAGED);
		(void)snprintf(report->what, sizeof report->what, "%.200s", err.text);
		return rc;
	}
	rc = segment_verify(s, sign_public, report);
	segment_close(s);
	return rc;
}

static enum rc judge(const struct image *m, struct segment_report *report)
{
	return judge_by(m, store.sign.public_key, report);
}

/* It must be found, and named with an offset. */
static void assert_found(const struct image *m, const char *what, size_t where)
{
	struct segment_report report;

	if (judge(m, &report) != RC_DAMAGED)
		fail_msg("not found: %s at %zu", what, where);
	const char *offset = strstr(report.what, "offset ");
	if (!offset || !isdigit((unsigned char)offset[7]))
		fail_msg("%s at %zu is not named: %s", what, where, report.what);
}

static size_t record_offsets(const struct image *m, struct segment_record out[RECORDS_MOST])
{
	struct record_header h;
	uint64_t at = LAYOUT_BLOCK;
	size_t n = 0;

	while (!layout_record_get(m->seg, m->seg_len, at, &out[n], &h)) {
		at += RECORD_HEADER + out[n++].body_len;
		assert_true(n < RECORDS_MOST);
	}
	return n;
}

static void an_untouched_segment_is_whole(void **state)
{
	struct segment_report report;

	(void)state;
	assert_int_equal(judge(&closed, &report), RC_OK);
	assert_true(report.footer);
	assert_int_equal(report.attests, 3);
	assert_int_equal(report.attested_end, closed.seg_len);
	assert_int_equal(judge(&torn, &report), RC_OK);
	assert_false(report.footer);
	assert_int_equal(report.attests, 2);
	assert_true(report.attested_end < torn.seg_len);
	assert_int_equal(report.valid_end, torn.seg_len);
}

static void any_bit_flipped_is_found(void **state)
{
	size_t step = getenv("LONG") ? 1 : 7;
	struct image m = copy_of(&closed);

	(void)state;
	for (size_t bit = 0; bit < m.seg_len * 8; bit += step) {
		m.seg[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_found(&m, "bit of the segment", bit);
		m.seg[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < m.keys_len * 8; bit += step) {
		m.keys[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_found(&m, "bit of the slot file", bit);
		m.keys[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	image_free(&m);
}

static void any_bit_flipped_in_what_a_torn_segment_attests_is_found(void **state)
{
	struct image m = copy_of(&torn);
	struct segment_report report;

	(void)state;
	assert_int_equal(judge(&m, &report), RC_OK);
	for (size_t bit = 0; bit < report.attested_end * 8; bit += 61) {
		m.seg[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_found(&m, "bit of the torn segment", bit);
		m.seg[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < m.keys_len * 8; bit += 61) {
		m.keys[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_found(&m, "bit of the torn slot file", bit);
		m.keys[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	image_free(&m);
}

static void neighbours_swapped_are_found(void **state)
{
	struct segment_record r[RECORDS_MOST];
	size_t n = record_offsets(&closed, r);

	(void)state;
	assert_true(n > 15);
	for (size_t i = 0; i + 1 < n; i++) {
		size_t a = RECORD_HEADER + r[i].body_len, b = RECORD_HEADER + r[i + 1].body_len;
		struct image m = copy_of(&closed);
		memcpy(m.seg + r[i].offset, closed.seg + r[i + 1].offset, b);
		memcpy(m.seg + r[i].offset + b, closed.seg + r[i].offset, a);
		assert_found(&m, "swap", i);
		image_free(&m);
	}
}

static void a_record_cut_out_is_found(void **state)
{
	const struct image *from[] = { &closed, &torn };
	struct segment_record r[RECORDS_MOST];

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct segment_report report;
		assert_int_equal(judge(from[k], &report), RC_OK);
		size_t n = record_offsets(from[k], r);
		for (size_t i = 0; i < n && r[i].offset < report.attested_end; i++) {
			struct image m = copy_of(from[k]);
			size_t len = RECORD_HEADER + r[i].body_len;
			m.seg_len -= len;
			memmove(m.seg + r[i].offset, m.seg + r[i].offset + len,
				m.seg_len - r[i].offset);
			assert_found(&m, "record cut out", i);
			image_free(&m);
		}
	}
}

static void a_cut_at_any_record_boundary_is_found(void **state)
{
	const struct image *from[] = { &closed, &torn };
	struct segment_record r[RECORDS_MOST];

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct segment_report report;
		assert_int_equal(judge(from[k], &report), RC_OK);
		size_t n = record_offsets(from[k], r);
		struct image m = copy_of(from[k]);
		for (size_t i = 0; i < n && r[i].offset < report.attested_end; i++) {
			m.seg_len = r[i].offset;
			assert_found(&m, "cut", i);
		}
		m.seg_len = 0;
		assert_found(&m, "cut to nothing", 0);
		image_free(&m);
	}
}

static void a_torn_tail_is_no_damage_and_all_before_it_is_kept(void **state)
{
	struct segment_report whole, report;
	struct image m = copy_of(&torn);

	(void)state;
	assert_int_equal(judge(&m, &whole), RC_OK);
	while (m.seg_len > whole.attested_end) {
		m.seg_len--;
		assert_int_equal(judge(&m, &report), RC_OK);
		assert_int_equal(report.attested_end, whole.attested_end);
		assert_true(report.valid_end <= m.seg_len);
	}
	m.seg_len--;
	assert_found(&m, "cut into an attest", m.seg_len);
	/* Blocks of zeros, as a file system may leave them. */
	m.seg_len = whole.attested_end + 4096;
	memset(m.seg + whole.attested_end, 0, 4096);
	assert_int_equal(judge(&m, &report), RC_OK);
	assert_int_equal(report.valid_end, whole.attested_end);
	image_free(&m);
}

static void bytes_after_the_last_attest_are_found(void **state)
{
	struct image m = copy_of(&closed);

	(void)state;
	m.seg[m.seg_len++] = 0;
	assert_found(&m, "byte appended", m.seg_len);
	/* A whole good record of another time. */
	m.seg_len = closed.seg_len;
	memcpy(m.seg + m.seg_len, closed.seg + LAYOUT_BLOCK, RECORD_HEADER + SLOT_BODY);
	m.seg_len += RECORD_HEADER + SLOT_BODY;
	assert_found(&m, "record appended", m.seg_len);
	m.seg_len = closed.seg_len;
	memset(m.keys + m.keys_len, 0, SLOT_BYTES);
	m.keys_len += SLOT_BYTES;
	assert_found(&m, "slot appended", m.keys_len);
	image_free(&m);
}

static void slots_swapped_cut_or_taken_from_elsewhere_are_found(void **state)
{
	struct image m = copy_of(&closed);
	uint8_t *slot = m.keys + LAYOUT_BLOCK;
	struct segment *s;
	struct call_keys keys;
	struct error err;

	(void)state;
	memcpy(slot, closed.keys + LAYOUT_BLOCK + SLOT_BYTES, SLOT_BYTES);
	memcpy(slot + SLOT_BYTES, closed.keys + LAYOUT_BLOCK, SLOT_BYTES);
	assert_found(&m, "slots swapped", 0);
	/* Nor does a moved slot open. */
	assert_int_equal(segment_adopt(&s, "x.seg", m.seg, m.seg_len, m.keys, m.keys_len, &err),
			 RC_OK);
	assert_int_equal(segment_keys(s, 0, &store.audio, &store.metadata, &keys, &err),
			 RC_DAMAGED);
	segment_close(s);
	memcpy(slot, other.keys + LAYOUT_BLOCK, SLOT_BYTES);
	memcpy(slot + SLOT_BYTES, closed.keys + LAYOUT_BLOCK + SLOT_BYTES, SLOT_BYTES);
	assert_found(&m, "slot of another segment", 0);
	assert_int_equal(segment_adopt(&s, "x.seg", m.seg, m.seg_len, m.keys, m.keys_len, &err),
			 RC_OK);
	assert_int_equal(segment_keys(s, 0, &store.audio, &store.metadata, &keys, &err),
			 RC_DAMAGED);
	segment_close(s);
	memcpy(m.keys, closed.keys, m.keys_len);
	m.keys_len -= SLOT_BYTES;
	assert_found(&m, "slot cut", 0);
	m.keys_len = LAYOUT_BLOCK;
	assert_found(&m, "slots cut", 0);
	m.keys_len = 0;
	assert_found(&m, "slot file emptied", 0);
	image_free(&m);
}

static void anothers_slot_file_is_found(void **state)
{
	struct image m = copy_of(&closed);

	(void)state;
	memcpy(m.keys, other.keys, m.keys_len);
	assert_found(&m, "slot file of another segment", 0);
	memcpy(m.keys + LAYOUT_BLOCK, closed.keys + LAYOUT_BLOCK, m.keys_len - LAYOUT_BLOCK);
	assert_found(&m, "head of another segment", 0);
	image_free(&m);
}

static void records_of_another_segment_are_found(void **state)
{
	struct image m = copy_of(&closed);

	(void)state;
	/* All of its records under our first block. */
	assert_int_equal(closed.seg_len, other.seg_len);
	memcpy(m.seg + LAYOUT_BLOCK, other.seg + LAYOUT_BLOCK, m.seg_len - LAYOUT_BLOCK);
	assert_found(&m, "records of another segment", 0);
	image_free(&m);
}

static void a_footerless_segment_is_not_a_whole_one_shortened(void **state)
{
	/* Who holds an old slot file but not the signing key cannot make a closed segment look
	 * like a crashed one without both files of that time; the newer head gives it away. */
	struct image m = copy_of(&torn);
	struct segment_report report;

	(void)state;
	m.keys_len = closed.keys_len;
	memcpy(m.keys, closed.keys, m.keys_len);
	assert_int_equal(judge(&m, &report), RC_DAMAGED);
	assert_non_null(strstr(report.what, "cut"));
	image_free(&m);
}

static void a_segment_made_with_the_public_keys_alone_is_found(void **state)
{
	struct test_store forger;
	struct test_segments list;
	struct segment_report report;
	struct error err;
	int64_t mono = 0;
	char recorder[80];

	(void)state;
	test_store_make(&forger);
	/* The vault's public keys, and a signing key of the forger's own. */
	(void)snprintf(recorder, sizeof recorder, "%s/recorder", forger.path);
	assert_int_equal(nftw(recorder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	assert_int_equal(store_recorder_init(forger.path, store.audio.public_key,
					     store.metadata.public_key, &forger.sign, &err),
			 RC_OK);
	close_calls(write_calls(&forger, &mono));
	struct image m = read_image(test_only(&forger, &list));
	assert_int_equal(judge_by(&m, forger.sign.public_key, &report), RC_OK);
	assert_found(&m, "forged segment", 0);
	/* And with our recorder's public key written into it. */
	memcpy(m.seg + 32, store.sign.public_key, 32);
	put_u32_le(m.seg + LAYOUT_BLOCK - 4, layout_crc(0, m.seg, LAYOUT_BLOCK - 4));
	assert_found(&m, "forged segment in our name", 0);
	image_free(&m);
	test_store_remove(&forger);
}

static void altered_ciphertext_with_a_made_up_crc_is_found(void **state)
{
	struct segment_record r[RECORDS_MOST];
	struct record_header h;
	struct segment_record again;
	size_t n = record_offsets(&closed, r);
	struct image m = copy_of(&closed);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		if (r[i].body_len == 0)
			continue;
		uint8_t *record = m.seg + r[i].offset;
		record[RECORD_HEADER] ^= 1;
		assert_non_null(layout_record_get(m.seg, m.seg_len, r[i].offset, &again, &h));
		layout_record_finish(record, &h);
		assert_null(layout_record_get(m.seg, m.seg_len, r[i].offset, &again, &h));
		assert_found(&m, "altered with CRC", i);
		memcpy(record, closed.seg + r[i].offset, RECORD_HEADER + r[i].body_len);
	}
	image_free(&m);
}

static void reading_damaged_segments_ends_and_stays_inside(void **state)
{
	struct image m = copy_of(&closed);
	struct segment_record r;
	struct error err;

	(void)state;
	srand(4);
	for (int i = 0; i < 3000; i++) {
		memcpy(m.seg, closed.seg, closed.seg_len);
		m.seg_len = LAYOUT_BLOCK + (size_t)rand() % (closed.seg_len - LAYOUT_BLOCK + 1);
		for (int k = rand() % 4; k >= 0; k--)
			m.seg[LAYOUT_BLOCK + (size_t)rand() % (closed.seg_len - LAYOUT_BLOCK)] =
				(uint8_t)rand();
		struct segment *s;
		assert_int_equal(segment_adopt(&s, "x", m.seg, m.seg_len, m.keys, m.keys_len, &err),
				 RC_OK);
		uint64_t at = segment_first(s);
		while (segment_next(s, &at, &r) == RC_OK)
			assert_true(at <= m.seg_len);
		for (uint32_t slot = 0; slot < 3; slot++) {
			uint64_t cursor = 0;
			while (segment_call_next(s, slot, &cursor, &r) == RC_OK)
				assert_true(r.offset < m.seg_len);
		}
		segment_close(s);
	}
	image_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_untouched_segment_is_whole),
		cmocka_unit_test(any_bit_flipped_is_found),
		cmocka_unit_test(any_bit_flipped_in_what_a_torn_segment_attests_is_found),
		cmocka_unit_test(neighbours_swapped_are_found),
		cmocka_unit_test(a_record_cut_out_is_found),
		cmocka_unit_test(a_cut_at_any_record_boundary_is_found),
		cmocka_unit_test(a_torn_tail_is_no_damage_and_all_before_it_is_kept),
		cmocka_unit_test(bytes_after_the_last_attest_are_found),
		cmocka_unit_test(slots_swapped_cut_or_taken_from_elsewhere_are_found),
		cmocka_unit_test(anothers_slot_file_is_found),
		cmocka_unit_test(records_of_another_segment_are_found),
		cmocka_unit_test(a_footerless_segment_is_not_a_whole_one_shortened),
		cmocka_unit_test(a_segment_made_with_the_public_keys_alone_is_found),
		cmocka_unit_test(altered_ciphertext_with_a_made_up_crc_is_found),
		cmocka_unit_test(reading_damaged_segments_ends_and_stays_inside),
	};
	return cmocka_run_group_tests(tests, make_images, drop_images);
}
