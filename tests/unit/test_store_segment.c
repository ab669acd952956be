/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_segment.c: what is written comes back, from segments closed, live and left by a
 * killed writer. */
#include "store_help.h"

#include <signal.h>
#include <sys/wait.h>

#include "store/segment.h"

static struct chunk chunk; /* large */

/* Read all of a call back and compare with what test_chunk() made; gives the number of its
 * chunks. */
static unsigned check_call(const struct test_store *t, struct segment *s, uint32_t slot,
			   uint64_t call)
{
	struct segment_record r;
	struct call_keys keys;
	struct error err;
	uint64_t cursor = 0;
	unsigned chunks = 0;
	enum rc rc;
	static uint8_t body[SEALED_MAX];
	static struct chunk want;

	assert_int_equal(segment_keys(s, slot, &t->audio, &t->metadata, &keys, &err), RC_OK);
	while ((rc = segment_call_next(s, slot, &cursor, &r)) == RC_OK) {
		assert_int_equal(r.slot, slot);
		if (!layout_is_sealed(r.type))
			continue;
		assert_true(segment_unseal(s, &r, &keys, body));
		if (r.type != RECORD_CHUNK)
			continue;
		uint32_t tables = (r.body_len - RECORD_TAG - CHUNK_HEADER) / 164;
		test_chunk(&want, call, r.stream, r.counter, tables * 160);
		assert_int_equal(r.track, want.track);
		assert_memory_equal(body, want.header, CHUNK_HEADER);
		assert_memory_equal(body + CHUNK_HEADER, want.table, want.table_len);
		assert_memory_equal(body + CHUNK_HEADER + want.table_len, want.payload,
				    want.payload_len);
		chunks++;
	}
	assert_int_equal(rc, RC_END);
	return chunks;
}

static void write_chunks(struct store_writer *w, uint64_t call, uint16_t stream, uint64_t from,
			 uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		test_chunk(&chunk, call, stream, i, 160 * (uint32_t)(1 + (call + i) % 50));
		store_writer_chunk(w, &chunk);
	}
}

static void write_call_record(struct store_writer *w, const struct store_open *o)
{
	static struct call_record r;
	test_call_record(&r, &o->id);
	store_writer_call(w, o->call, &r);
}

static void a_call_comes_back_as_it_was_written(void **state)
{
	struct test_store t;
	struct test_segments list;
	struct error err;
	struct slot slot;
	int64_t mono = 0;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	struct store_open a = test_open(1, HOUR_US + 5, "30-day");
	struct store_open b = test_open(2, HOUR_US + 3599999999, "30-day");
	store_writer_open(w, &a);
	store_writer_open(w, &b);
	assert_true(store_writer_knows(w, 1));
	assert_false(store_writer_knows(w, 3));
	write_call_record(w, &a);
	for (uint64_t i = 0; i < 60; i++) {
		write_chunks(w, 1, 0, i, i + 1);
		write_chunks(w, 2, 1, i, i + 1);
		write_chunks(w, 1, 33, i, i + 1);
		store_writer_tick(w, mono += 300 * NS_PER_MS, HOUR_NS);
	}
	struct stream_record sr = { .call = 2, .stream = 1, .track = 1, .packets = 77 };
	store_writer_stream(w, &sr);
	test_done(w, 1);
	assert_false(store_writer_knows(w, 1));
	test_done(w, 2);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);

	struct segment *s = test_segment(test_only(&t, &list));
	struct segment_report report = test_verified(&t, s);
	assert_true(report.footer);
	assert_int_equal(report.chunks, 180);
	assert_int_equal(report.slots, 2);
	assert_int_equal(report.attested_end, report.file_bytes);
	assert_int_equal(report.file_bytes % 4096, 0);
	assert_int_equal(segment_slots(s), 2);
	assert_int_equal(segment_slot(s, 1, &slot, &err), RC_OK);
	assert_true(uuid_equal(&slot.call, &b.id));
	assert_int_equal(slot.start_us, b.start_us);
	assert_false(slot.destroyed);
	assert_int_equal(segment_slot(s, 2, &slot, &err), RC_NOT_FOUND);
	assert_string_equal(segment_class(s), "30-day");
	assert_int_equal(strncmp(segment_name(s), "20260303T10-30-day-", 19), 0);
	assert_false(segment_is_live(s));
	assert_int_equal(check_call(&t, s, 0, 1), 120);
	assert_int_equal(check_call(&t, s, 1, 2), 60);
	assert_int_equal(counter_get(&t.counters, COUNT_CHUNKS_WRITTEN), 180);
	assert_int_equal(counter_get(&t.counters, COUNT_RECORDS_WRITTEN), 2);
	assert_int_equal(counter_get(&t.counters, COUNT_SEGMENTS), 1);
	assert_int_equal(counter_get(&t.counters, COUNT_DISK_ERRORS), 0);
	segment_close(s);
	test_store_remove(&t);
}

static void records_open_with_their_own_keys_only(void **state)
{
	struct test_store t;
	struct test_segments list;
	struct call_keys keys, none;
	struct segment_record r;
	struct error err;
	uint8_t body[512];
	struct seal_pair other;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	struct store_open a = test_open(1, HOUR_US, "lab"), b = test_open(2, HOUR_US, "lab");
	store_writer_open(w, &a);
	store_writer_open(w, &b);
	test_chunk(&chunk, 1, 0, 0, 160);
	store_writer_chunk(w, &chunk);
	write_call_record(w, &a);
	test_done(w, 1);
	test_done(w, 2);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	struct segment *s = test_segment(test_only(&t, &list));

	seal_pair_new(&other);
	assert_int_equal(segment_keys(s, 0, &other, NULL, &keys, &err), RC_DAMAGED);
	assert_int_equal(segment_keys(s, 0, NULL, &t.audio, &keys, &err), RC_DAMAGED);
	assert_int_equal(segment_keys(s, 0, NULL, &t.metadata, &keys, &err), RC_OK);
	assert_false(keys.has_audio);
	uint64_t cursor = 0;
	for (int i = 0; i < 3; i++) { /* slot, chunk, call */
		assert_int_equal(segment_call_next(s, 0, &cursor, &r), RC_OK);
		bool opens = segment_unseal(s, &r, &keys, body);
		assert_int_equal(opens, r.type == RECORD_CALL);
	}
	struct call_record back;
	assert_true(call_record_unpack(&back, body, r.body_len - RECORD_TAG));
	assert_true(uuid_equal(&back.id, &a.id));
	/* The other call's keys open nothing of this one. */
	assert_int_equal(segment_keys(s, 1, &t.audio, &t.metadata, &none, &err), RC_OK);
	assert_memory_not_equal(none.metadata, keys.metadata, KEY_BYTES);
	assert_memory_not_equal(none.metadata, none.audio, KEY_BYTES);
	assert_false(segment_unseal(s, &r, &none, body));
	segment_close(s);
	test_store_remove(&t);
}

static void classes_hours_and_full_segments_are_apart(void **state)
{
	static const char *const begin[] = { "20260303T10-30-day-", "20260303T10-30-day-",
					     "20260303T10-lab-", "20260303T11-30-day-" };
	struct test_store t;
	struct test_segments list;
	struct error err;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 100000);
	struct store_open o[] = { test_open(1, HOUR_US, "30-day"), test_open(2, HOUR_US, "lab"),
				  test_open(3, HOUR_US + INT64_C(3600000000), "30-day"),
				  test_open(4, HOUR_US, "30-day"),
				  test_open(5, HOUR_US, "30-day") };
	for (int i = 0; i < 4; i++)
		store_writer_open(w, &o[i]);
	write_chunks(w, 1, 0, 0, 40); /* past 100,000 bytes */
	store_writer_open(w, &o[4]);
	write_chunks(w, 1, 0, 40, 41); /* a call stays where it began */
	test_list(&t, &list);
	assert_int_equal(list.count, 4);
	for (int i = 0; i < 4; i++)
		assert_non_null(strstr(list.path[i], begin[i]));
	for (uint64_t i = 1; i <= 5; i++)
		test_done(w, i);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	test_store_remove(&t);
}

static void a_segment_closes_when_its_hour_has_passed_and_its_calls_have_ended(void **state)
{
	struct test_store t;
	struct test_segments list;
	struct error err;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	struct store_open o = test_open(1, HOUR_US, "30-day");
	store_writer_open(w, &o);
	write_chunks(w, 1, 0, 0, 3);
	store_writer_tick(w, NS_PER_S, NEXT_HOUR_NS);
	struct segment *s = test_segment(test_only(&t, &list));
	assert_true(segment_is_live(s)); /* a call is open */
	assert_false(test_verified(&t, s).footer);
	segment_close(s);
	store_writer_done(w, 1);
	store_writer_tick(w, 2 * NS_PER_S, NEXT_HOUR_NS);
	s = test_segment(list.path[0]);
	assert_true(segment_is_live(s)); /* another thread may still send for it */
	segment_close(s);
	store_writer_done(w, 1);
	store_writer_tick(w, 3 * NS_PER_S, NEXT_HOUR_NS - 1);
	s = test_segment(list.path[0]);
	assert_true(segment_is_live(s)); /* the hour has not passed */
	segment_close(s);
	store_writer_tick(w, 3 * NS_PER_S, NEXT_HOUR_NS);
	s = test_segment(list.path[0]);
	assert_false(segment_is_live(s));
	assert_true(test_verified(&t, s).footer);
	assert_int_equal(check_call(&t, s, 0, 1), 3);
	segment_close(s);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	test_store_remove(&t);
}

static void a_live_segment_is_read_as_far_as_it_was_written(void **state)
{
	struct test_store t;
	struct test_segments list;
	struct error err;
	struct segment_record r;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	struct store_open o = test_open(1, HOUR_US, "30-day");
	store_writer_open(w, &o);
	write_chunks(w, 1, 0, 0, 5);
	struct segment *s = test_segment(test_only(&t, &list));
	assert_int_equal(test_verified(&t, s).records, 0);
	segment_close(s);
	store_writer_tick(w, NS_PER_S, HOUR_NS); /* attests */
	write_chunks(w, 1, 0, 5, 9);
	store_writer_tick(w, NS_PER_S + 201 * NS_PER_MS, HOUR_NS); /* only flushes */
	s = test_segment(list.path[0]);
	struct segment_report report = test_verified(&t, s);
	assert_int_equal(report.chunks, 9);
	assert_int_equal(report.attests, 1);
	assert_true(report.attested_end < report.valid_end);
	uint64_t at = segment_first(s);
	unsigned attested = 0, chunks = 0;
	while (segment_next(s, &at, &r) == RC_OK)
		if (r.type == RECORD_CHUNK) {
			chunks++;
			attested += r.attested;
		}
	assert_int_equal(chunks, 9);
	assert_int_equal(attested, 5);
	assert_int_equal(check_call(&t, s, 0, 1), 9);
	write_chunks(w, 1, 0, 9, 20); /* grows under the reader, who sees what there was */
	store_writer_tick(w, 9 * NS_PER_S, HOUR_NS);
	assert_int_equal(check_call(&t, s, 0, 1), 9);
	segment_close(s);
	test_done(w, 1);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	test_store_remove(&t);
}

static void an_idle_writer_writes_nothing(void **state)
{
	struct test_store t;
	struct error err;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	struct store_open o = test_open(1, HOUR_US, "30-day");
	store_writer_open(w, &o);
	store_writer_tick(w, NS_PER_S, HOUR_NS);
	uint64_t bytes = counter_get(&t.counters, COUNT_BYTES_WRITTEN);
	uint64_t syncs = counter_get(&t.counters, COUNT_SYNCS);
	assert_int_equal(syncs, 1);
	for (int64_t i = 2; i < 100; i++)
		store_writer_tick(w, i * NS_PER_S, HOUR_NS);
	assert_int_equal(counter_get(&t.counters, COUNT_BYTES_WRITTEN), bytes);
	assert_int_equal(counter_get(&t.counters, COUNT_SYNCS), syncs);
	test_done(w, 1);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	test_store_remove(&t);
}

/* What the nonce is made of, and the slot, which names the key (with the type). */
struct name {
	uint32_t slot;
	uint8_t nonce[12];
};

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct name));
}

static void no_nonce_comes_twice_under_one_key(void **state)
{
	enum { CALLS = 40, STEPS = 3000 };
	struct test_store t;
	struct test_segments list;
	struct error err;
	/* As blocks of numbers are given out to capture threads. */
	static const uint16_t streams[] = { 0, 1, 64, 128, 129, 130, 4095, 40000, 65535 };
	enum { STREAMS = sizeof streams / sizeof streams[0] };
	static uint64_t next[CALLS + 1][STREAMS];
	static struct name names[2 * STEPS];
	static struct store_open o[CALLS + 1];

	(void)state;
	srand(2);
	test_store_make(&t);
	memset(next, 0, sizeof next);
	struct store_writer *w = test_writer(&t, 1 << 20);
	for (uint64_t i = 1; i <= CALLS; i++) {
		o[i] = test_open(i, HOUR_US + (int64_t)(i % 3) * 3600000000, "lab");
		store_writer_open(w, &o[i]);
	}
	for (int i = 0; i < STEPS; i++) {
		uint64_t call = 1 + (uint64_t)rand() % CALLS;
		unsigned nth = (unsigned)rand() % STREAMS;
		uint16_t stream = streams[nth];
		struct stream_record sr = { .call = call, .stream = stream, .track = stream & 1 };
		switch (rand() % 8) {
		case 0: write_call_record(w, &o[call]); break;
		case 1: store_writer_stream(w, &sr); break;
		default:
			next[call][nth] += rand() % 10 == 0; /* a chunk was dropped before us */
			test_chunk(&chunk, call, stream, next[call][nth]++, 320);
			store_writer_chunk(w, &chunk);
		}
		if (rand() % 20 == 0)
			store_writer_tick(w, i * NS_PER_S, HOUR_NS);
	}
	for (uint64_t i = 1; i <= CALLS; i++)
		test_done(w, i);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	test_list(&t, &list);
	assert_true(list.count >= 3);
	for (size_t i = 0; i < list.count; i++) {
		struct segment *s = test_segment(list.path[i]);
		struct segment_record r;
		struct record_header h;
		size_t n = 0;
		memset(names, 0, sizeof names);
		uint64_t at = segment_first(s);
		while (segment_next(s, &at, &r) == RC_OK) {
			if (!layout_is_sealed(r.type))
				continue;
			h = (struct record_header){ .type = (uint8_t)r.type,
						    .track = r.track,
						    .stream = r.stream,
						    .counter = r.counter };
			names[n].slot = r.slot;
			layout_nonce(names[n++].nonce, &h);
		}
		assert_true(n > 100);
		qsort(names, n, sizeof names[0], by_bytes);
		for (size_t k = 1; k < n; k++)
			assert_int_not_equal(by_bytes(&names[k - 1], &names[k]), 0);
		(void)test_verified(&t, s);
		segment_close(s);
	}
	test_store_remove(&t);
}

static void the_table_and_the_headers_lead_to_the_same_records(void **state)
{
	struct test_store t;
	struct test_segments list;
	struct error err;
	struct segment_record a, b;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	for (uint64_t i = 0; i < 20; i++) {
		struct store_open o = test_open(i, HOUR_US, "lab");
		store_writer_open(w, &o);
		write_call_record(w, &o);
	}
	for (uint64_t i = 0; i < 400; i++)
		write_chunks(w, i * 7 % 20, (uint16_t)(i % 3), i, i + 1);
	for (uint64_t i = 0; i < 20; i++)
		test_done(w, i);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	struct segment *with = test_segment(test_only(&t, &list));
	struct segment *without = test_segment(list.path[0]);
	without->table_tried = true; /* as if it had no footer */
	for (uint32_t slot = 0; slot <= 20; slot++) {
		uint64_t x = 0, y = 0;
		enum rc p, q;
		do {
			p = segment_call_next(with, slot, &x, &a);
			q = segment_call_next(without, slot, &y, &b);
			assert_int_equal(p, q);
			if (p == RC_OK)
				assert_int_equal(a.offset, b.offset);
		} while (p == RC_OK);
		assert_int_equal(p, RC_END);
	}
	assert_non_null(with->table);
	segment_close(with);
	segment_close(without);
	test_store_remove(&t);
}

static void a_destroyed_slot_keeps_nothing_and_is_not_damage(void **state)
{
	struct test_store t;
	struct test_segments list;
	struct error err;
	struct call_keys keys;
	struct slot slot;
	struct segment_record r;
	struct uuid call;
	int64_t start_us;
	char keys_name[260];
	size_t len;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	/* Two minutes apart: what the slots have in common by chance is no eight bytes long. */
	struct store_open a = test_open(1, HOUR_US, "lab"),
			  b = test_open(2, HOUR_US + 123456789, "lab");
	store_writer_open(w, &a);
	store_writer_open(w, &b);
	write_chunks(w, 1, 0, 0, 4);
	write_chunks(w, 2, 0, 0, 4);
	store_writer_tick(w, NS_PER_S, HOUR_NS);
	keys_path(keys_name, test_only(&t, &list));
	uint8_t *before = read_file(keys_name, &len);
	/* While its writer goes on with it. */
	assert_int_equal(segment_destroy_slot(list.path[0], 1, &err), RC_OK);
	assert_int_equal(segment_destroy_slot(list.path[0], 2, &err), RC_NOT_FOUND);
	write_chunks(w, 2, 0, 4, 6);
	test_done(w, 1);
	test_done(w, 2);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);

	uint8_t *after = read_file(keys_name, &len);
	assert_int_equal(len, 4096 + 2 * 256);
	assert_memory_equal(after + 4096, before + 4096, 256);
	for (size_t i = 0; i + 8 <= 256; i++) /* no eight bytes of it are left anywhere */
		assert_null(memmem(after, len, before + 4096 + 256 + i, 8));
	free(before);
	free(after);
	struct segment *s = test_segment(list.path[0]);
	(void)test_verified(&t, s);
	assert_int_equal(segment_slot(s, 1, &slot, &err), RC_OK);
	assert_true(slot.destroyed);
	assert_int_equal(segment_keys(s, 1, &t.audio, &t.metadata, &keys, &err), RC_NOT_FOUND);
	assert_int_equal(check_call(&t, s, 0, 1), 4);
	uint64_t cursor = 0;
	assert_int_equal(segment_call_next(s, 1, &cursor, &r), RC_OK);
	assert_true(segment_slot_record(&r, &call, &start_us));
	assert_true(uuid_equal(&call, &b.id));
	assert_int_equal(start_us, HOUR_US + 123456789);
	segment_close(s);
	test_store_remove(&t);
}

static void files_are_their_owners_alone(void **state)
{
	struct test_store t;
	struct test_segments list;
	struct error err;
	struct stat st;
	char keys_name[260];

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	struct store_open o = test_open(1, HOUR_US, "lab");
	store_writer_open(w, &o);
	keys_path(keys_name, test_only(&t, &list));
	assert_int_equal(stat(list.path[0], &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(keys_name, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	test_done(w, 1);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	test_store_remove(&t);
}

/* ---- killed -------------------------------------------------------------------------------- */

static _Noreturn void write_until_killed(struct test_store *t, int ready)
{
	struct store_writer *w = test_writer(t, 1 << 20);
	uint64_t step = 0;

	for (;; step++) {
		uint64_t call = step / 16;
		int64_t start = HOUR_US + (int64_t)call * 30000000;
		struct store_open o = test_open(call, start, "lab");
		if (step % 16 == 0)
			store_writer_open(w, &o);
		write_chunks(w, call, 0, step % 16, step % 16 + 1);
		if (step % 16 == 15)
			test_done(w, call);
		/* A second of its time every eleven steps: as many syncs as it can. */
		store_writer_tick(w, (int64_t)step * NS_PER_S / 11, start * 1000);
		if (step == 40 && write(ready, "r", 1) != 1)
			_exit(1);
	}
}

/* All that is whole opens, and the head is kept to. */
static void check_killed(const struct test_store *t, const char *path)
{
	struct segment *s = test_segment(path);
	struct segment_report report = test_verified(t, s);
	struct keys_head head;

	assert_null(layout_head_get(&head, s->head, sizeof s->head));
	assert_true(report.attests >= head.attests);
	assert_true(report.attests == 0 || report.attested_end >= head.end);
	assert_false(segment_is_live(s));
	for (uint32_t i = 0; i < report.slots; i++) {
		struct slot slot;
		struct error err;
		assert_int_equal(segment_slot(s, i, &slot, &err), RC_OK);
		uint64_t call = (uint64_t)(slot.start_us - HOUR_US) / 30000000;
		assert_in_range(check_call(t, s, i, call), 0, 16);
	}
	segment_close(s);
}

static void what_a_killed_writer_left_is_whole(void **state)
{
	struct test_segments list;
	struct test_store t;

	(void)state;
	srand(3);
	for (int round = 0; round < 6; round++) {
		int ready[2], status;
		char byte;
		test_store_make(&t);
		assert_int_equal(pipe(ready), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			write_until_killed(&t, ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		clock_sleep_us((unsigned)rand() % 100000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		close(ready[0]);
		close(ready[1]);
		test_list(&t, &list);
		assert_true(list.count > 0);
		for (size_t i = 0; i < list.count; i++)
			check_killed(&t, list.path[i]);
		test_store_remove(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_comes_back_as_it_was_written),
		cmocka_unit_test(records_open_with_their_own_keys_only),
		cmocka_unit_test(classes_hours_and_full_segments_are_apart),
		cmocka_unit_test(
			a_segment_closes_when_its_hour_has_passed_and_its_calls_have_ended),
		cmocka_unit_test(a_live_segment_is_read_as_far_as_it_was_written),
		cmocka_unit_test(an_idle_writer_writes_nothing),
		cmocka_unit_test(no_nonce_comes_twice_under_one_key),
		cmocka_unit_test(the_table_and_the_headers_lead_to_the_same_records),
		cmocka_unit_test(a_destroyed_slot_keeps_nothing_and_is_not_damage),
		cmocka_unit_test(files_are_their_owners_alone),
		cmocka_unit_test(what_a_killed_writer_left_is_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
