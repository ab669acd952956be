/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_segment_faults.c: a disk that is full, fails, or takes half of a write.
 *
 * pwrite() and fdatasync() below stand before the C library's: they note what is done in which
 * order, and refuse when a test says so.  One test uses a real limit (RLIMIT_FSIZE) instead.
 */
#include "store_help.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "store/segment.h"

static struct chunk chunk;

/* ---- the disk ------------------------------------------------------------------------------ */

static struct {
	bool noting;
	int write_faults_percent; /* of writes: refused, or cut short and then refused */
	bool syncs_fail;
	unsigned syncs_failed;
	bool keys_dirty;      /* slots were written and not synced */
	uint64_t keys_synced; /* bytes of the slot file that are durable */
	uint64_t keys_written;
	unsigned bad_order; /* segment written while slots were not durable */
	uint64_t seg_synced, seg_written;
	uint64_t rewrites; /* bytes of the segment written again after a sync */
	bool direct_refused;
	unsigned direct_asked,
		direct_uneven; /* writes past the page cache; those not in whole blocks */
	uint64_t direct_bytes;
} disk;

static bool is_keys(int fd)
{
	char link[64], name[512];

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, name, sizeof name - 1);
	assert_true(n > 5);
	name[n] = '\0';
	return strcmp(name + n - 5, ".keys") == 0;
}

static void note_write(int fd, uint64_t from, uint64_t to)
{
	if (is_keys(fd)) {
		if (to > LAYOUT_BLOCK) {
			disk.keys_dirty = true;
			disk.keys_written = to;
		}
		return;
	}
	if (from >= LAYOUT_BLOCK && disk.keys_dirty)
		disk.bad_order++;
	if (from < disk.seg_synced)
		disk.rewrites += disk.seg_synced - from;
	disk.seg_written = to;
}

/* A write past the page cache, for which memory and file go by blocks.  False: refused. */
static bool note_direct(const void *p, size_t len, off_t at)
{
	disk.direct_asked++;
	if ((uintptr_t)p % LAYOUT_BLOCK || len % LAYOUT_BLOCK || at % LAYOUT_BLOCK)
		disk.direct_uneven++;
	disk.direct_bytes += disk.direct_refused ? 0 : len;
	return !disk.direct_refused;
}

ssize_t pwrite(int fd, const void *p, size_t len, off_t at)
{
	if (fcntl(fd, F_GETFL) & O_DIRECT && !note_direct(p, len, at)) {
		errno = EINVAL;
		return -1;
	}
	if (disk.write_faults_percent && rand() % 100 < disk.write_faults_percent) {
		errno = ENOSPC;
		if (len < 2 || rand() % 2)
			return -1;
		len = 1 + (size_t)rand() % (len - 1);
	}
	ssize_t n = syscall(SYS_pwrite64, fd, p, len, at);
	if (n > 0 && disk.noting)
		note_write(fd, (uint64_t)at, (uint64_t)at + (uint64_t)n);
	return n;
}

int fdatasync(int fd)
{
	if (disk.syncs_fail) {
		disk.syncs_failed++;
		errno = EIO;
		return -1;
	}
	if (disk.noting && is_keys(fd)) {
		disk.keys_dirty = false;
		disk.keys_synced = disk.keys_written;
	} else if (disk.noting) {
		disk.seg_synced = disk.seg_written;
	}
	return 0; /* nobody pulls the plug on a test */
}

/* What is logged goes to a file meanwhile. */
static int standard_error;
static FILE *logged;

static int disk_good(void **state)
{
	(void)state;
	memset(&disk, 0, sizeof disk);
	standard_error = dup(STDERR_FILENO);
	logged = tmpfile();
	return standard_error < 0 || !logged || dup2(fileno(logged), STDERR_FILENO) < 0;
}

static int log_back(void **state)
{
	(void)state;
	memset(&disk, 0, sizeof disk);
	(void)dup2(standard_error, STDERR_FILENO);
	(void)close(standard_error);
	return fclose(logged);
}

static unsigned lines_with(const char *text)
{
	char line[1024];
	unsigned n = 0;

	rewind(logged);
	while (fgets(line, sizeof line, logged))
		n += strstr(line, text) != NULL;
	return n;
}

static void open_call(struct store_writer *w, uint64_t call)
{
	struct store_open o = test_open(call, HOUR_US, "lab");
	store_writer_open(w, &o);
}

static void write_chunks(struct store_writer *w, uint64_t call, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		test_chunk(&chunk, call, 0, i, 8000);
		store_writer_chunk(w, &chunk);
	}
}

static void write_record(struct store_writer *w, uint64_t call)
{
	static struct call_record r;
	struct uuid id = uuid_v7(1);

	test_call_record(&r, &id);
	store_writer_call(w, call, &r);
}

/* The store's segments are whole and hold what the counters say. */
static void check_store(const struct test_store *t)
{
	struct test_segments list;
	uint64_t chunks = 0, records = 0, slots = 0;

	test_list(t, &list);
	for (size_t i = 0; i < list.count; i++) {
		struct segment *s = test_segment(list.path[i]);
		struct segment_report report = test_verified(t, s);
		struct segment_record r;
		uint64_t at = segment_first(s);
		assert_true(report.footer);
		chunks += report.chunks;
		slots += report.slots;
		while (segment_next(s, &at, &r) == RC_OK)
			records += r.type == RECORD_CALL;
		for (uint32_t n = 0; n < report.slots; n++) {
			struct call_keys keys;
			struct error err;
			assert_int_equal(segment_keys(s, n, &t->audio, &t->metadata, &keys, &err),
					 RC_OK);
		}
		segment_close(s);
	}
	assert_true(slots > 0);
	assert_int_equal(chunks, counter_get(&t->counters, COUNT_CHUNKS_WRITTEN));
	assert_int_equal(records, counter_get(&t->counters, COUNT_RECORDS_WRITTEN));
}

/* ---- tests --------------------------------------------------------------------------------- */

static void a_slot_is_durable_before_its_records_and_no_synced_block_is_written_again(void **state)
{
	struct test_store t;
	struct error err;

	(void)state;
	test_store_make(&t);
	disk.noting = true;
	struct store_writer *w = test_writer(&t, 1 << 30);
	for (uint64_t call = 0; call < 100; call++) {
		open_call(w, call);
		write_record(w, call);
		write_chunks(w, call, 0, call % 9);
		store_writer_tick(w, (int64_t)call * 250 * NS_PER_MS, HOUR_NS);
	}
	for (uint64_t call = 0; call < 100; call++)
		test_done(w, call);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	assert_int_equal(disk.bad_order, 0);
	assert_int_equal(disk.rewrites, 0);
	assert_int_equal(disk.keys_synced, LAYOUT_BLOCK + 100 * SLOT_BYTES);
	check_store(&t);
	test_store_remove(&t);
}

static void writes_that_fail_or_stop_half_way_leave_segments_whole(void **state)
{
	struct test_store t;
	struct error err;
	int64_t mono = 0;

	(void)state;
	for (unsigned seed = 0; seed < 12; seed++) {
		memset(&disk, 0, sizeof disk);
		srand(seed);
		test_store_make(&t);
		struct store_writer *w = test_writer(&t, 1 << 20);
		uint64_t sent = 0;
		for (uint64_t i = 0; i < 400; i++) {
			/* trouble comes and goes; it may be there from the start */
			disk.write_faults_percent = (i / 40 + seed) % 3 == 0 ? 60 : 0;
			disk.syncs_fail = (i / 40 + seed) % 5 == 0;
			if (i % 8 == 0)
				open_call(w, i / 8);
			write_chunks(w, i / 8, i % 8, i % 8 + 1);
			sent++;
			write_record(w, i / 8);
			if (i % 8 == 7)
				test_done(w, i / 8);
			store_writer_tick(w, mono += 150 * NS_PER_MS, HOUR_NS);
		}
		disk.write_faults_percent = 0;
		disk.syncs_fail = false;
		store_writer_tick(w, mono += 2 * NS_PER_S, HOUR_NS);
		assert_int_equal(store_writer_finish(w, &err), RC_OK);
		check_store(&t);
		assert_int_equal(sent, counter_get(&t.counters, COUNT_CHUNKS_WRITTEN) +
					       counter_get(&t.counters, COUNT_DISK_FULL_CHUNKS));
		assert_int_equal(counter_get(&t.counters, COUNT_DISK_FULL_RECORDS), 0);
		assert_true(counter_get(&t.counters, COUNT_DISK_ERRORS) > 0);
		test_store_remove(&t);
	}
}

static bool takes_direct(const char *dir)
{
	char path[512];

	assert_true(snprintf(path, sizeof path, "%s/direct", dir) < (int)sizeof path);
	int fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
	bool takes = fd >= 0;
	if (takes)
		assert_int_equal(close(fd), 0);
	(void)unlink(path);
	return takes;
}

/* Full buffers, and between them what the clock writes, which ends anywhere. */
static void write_much(struct test_store *t)
{
	struct error err;
	struct store_writer *w = test_writer(t, 1 << 30);

	open_call(w, 1);
	for (uint64_t i = 0; i < 500; i++) {
		write_chunks(w, 1, i, i + 1);
		store_writer_tick(w, (int64_t)i * 2 * NS_PER_MS, HOUR_NS);
	}
	test_done(w, 1);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	check_store(t);
	assert_int_equal(counter_get(&t->counters, COUNT_DISK_ERRORS), 0);
}

static void full_buffers_go_past_the_page_cache_in_whole_blocks(void **state)
{
	struct test_store t;

	(void)state;
	test_store_make(&t);
	if (!takes_direct(t.path)) {
		test_store_remove(&t);
		skip();
	}
	write_much(&t);
	test_store_remove(&t);
	assert_true(disk.direct_bytes > 2 << 20);
	assert_int_equal(disk.direct_uneven, 0);
}

static void a_file_system_that_wants_the_page_cache_is_asked_once(void **state)
{
	struct test_store t;

	(void)state;
	test_store_make(&t);
	disk.direct_refused = true;
	bool takes = takes_direct(t.path);
	write_much(&t);
	test_store_remove(&t);
	assert_int_equal(disk.direct_asked, takes ? 1 : 0);
}

static void failing_syncs_are_counted_and_tried_again(void **state)
{
	struct test_store t;
	struct test_segments list;
	struct error err;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	open_call(w, 1);
	store_writer_tick(w, NS_PER_S, HOUR_NS);
	write_chunks(w, 1, 0, 3);
	disk.syncs_fail = true;
	store_writer_tick(w, 2 * NS_PER_S, HOUR_NS);
	store_writer_tick(w, 3 * NS_PER_S, HOUR_NS);
	assert_int_equal(counter_get(&t.counters, COUNT_DISK_ERRORS), disk.syncs_failed);
	assert_true(disk.syncs_failed >= 2);
	write_chunks(w, 1, 3, 5);
	assert_int_equal(counter_get(&t.counters, COUNT_DISK_FULL_CHUNKS), 0);
	disk.syncs_fail = false;
	store_writer_tick(w, 4 * NS_PER_S, HOUR_NS);
	open_call(w, 2); /* not where a sync has failed */
	test_list(&t, &list);
	assert_int_equal(list.count, 2);
	test_done(w, 1);
	test_done(w, 2);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	check_store(&t);
	test_store_remove(&t);
}

static void set_file_limit(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_drops_chunks_keeps_records_and_is_left_behind(void **state)
{
	struct test_store t;
	struct error err;

	(void)state;
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	test_store_make(&t);
	set_file_limit(300000);
	struct store_writer *w = test_writer(&t, 1 << 30);
	open_call(w, 1);
	write_chunks(w, 1, 0, 300); /* 2.4 MB */
	assert_true(counter_get(&t.counters, COUNT_DISK_FULL_CHUNKS) > 100);
	uint64_t errors = counter_get(&t.counters, COUNT_DISK_ERRORS);
	assert_int_equal(errors, 1);
	store_writer_tick(w, 10 * NS_PER_S, HOUR_NS);
	store_writer_tick(w, 10 * NS_PER_S + 999 * NS_PER_MS, HOUR_NS);
	assert_int_equal(counter_get(&t.counters, COUNT_DISK_ERRORS), 2); /* once a second */
	open_call(w, 2);
	write_chunks(w, 2, 0, 1);
	write_record(w, 1);
	write_record(w, 2);
	store_writer_tick(w, 12 * NS_PER_S, HOUR_NS);
	uint64_t dropped = counter_get(&t.counters, COUNT_DISK_FULL_CHUNKS);
	set_file_limit(RLIM_INFINITY);
	store_writer_tick(w, 14 * NS_PER_S, HOUR_NS); /* goes on by itself */
	write_chunks(w, 2, 1, 10);
	assert_int_equal(counter_get(&t.counters, COUNT_DISK_FULL_CHUNKS), dropped);
	test_done(w, 1);
	test_done(w, 2);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	assert_int_equal(counter_get(&t.counters, COUNT_DISK_FULL_RECORDS), 0);
	assert_int_equal(counter_get(&t.counters, COUNT_CHUNKS_WRITTEN) + dropped, 310);
	assert_int_equal(counter_get(&t.counters, COUNT_RECORDS_WRITTEN), 2);
	assert_int_equal(lines_with("disk-trouble "), 1);
	assert_int_equal(lines_with("disk-trouble-over "), 1);
	assert_int_equal(lines_with(""), 2);
	check_store(&t);
	test_store_remove(&t);
}

static void a_disk_full_from_the_start_delays_the_files(void **state)
{
	struct test_store t;
	struct test_segments list;
	struct error err;

	(void)state;
	test_store_make(&t);
	disk.write_faults_percent = 100;
	struct store_writer *w = test_writer(&t, 1 << 30);
	for (uint64_t call = 0; call < 3; call++) {
		open_call(w, call);
		write_record(w, call);
	}
	test_done(w, 0);
	store_writer_tick(w, 5 * NS_PER_S, NEXT_HOUR_NS);
	test_list(&t, &list);
	assert_int_equal(list.count, 0);
	disk.write_faults_percent = 0;
	store_writer_tick(w, 7 * NS_PER_S, NEXT_HOUR_NS);
	test_list(&t, &list);
	assert_int_equal(list.count, 1);
	write_chunks(w, 1, 0, 5);
	test_done(w, 1);
	test_done(w, 2);
	store_writer_tick(w, 8 * NS_PER_S, NEXT_HOUR_NS);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	check_store(&t);
	test_store_remove(&t);
}

static void records_that_wait_are_bounded(void **state)
{
	struct test_store t;
	struct error err;
	uint64_t sent = 0;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	open_call(w, 1);
	disk.write_faults_percent = 100;
	store_writer_tick(w, NS_PER_S, HOUR_NS);
	while (counter_get(&t.counters, COUNT_DISK_FULL_RECORDS) < 10) {
		write_record(w, 1);
		assert_true(++sent < 1000000);
	}
	open_call(w, 2); /* cannot be kept: neither is anything of it, until there is room */
	write_record(w, 2);
	write_chunks(w, 2, 0, 1);
	assert_int_equal(counter_get(&t.counters, COUNT_DISK_FULL_CHUNKS), 1);
	disk.write_faults_percent = 0;
	store_writer_tick(w, 3 * NS_PER_S, HOUR_NS);
	write_chunks(w, 2, 1, 2);
	assert_int_equal(counter_get(&t.counters, COUNT_DISK_FULL_CHUNKS), 1);
	assert_int_equal(counter_get(&t.counters, COUNT_CHUNKS_WRITTEN), 1);
	write_chunks(w, 1, 0, 1);
	test_done(w, 1);
	test_done(w, 2);
	assert_int_equal(store_writer_finish(w, &err), RC_OK);
	assert_int_equal(counter_get(&t.counters, COUNT_RECORDS_WRITTEN) + 10, sent);
	check_store(&t);
	test_store_remove(&t);
}

static void a_disk_that_stays_full_makes_finish_fail_and_keeps_what_there_is(void **state)
{
	struct test_store t;
	struct test_segments list;
	struct error err;

	(void)state;
	test_store_make(&t);
	struct store_writer *w = test_writer(&t, 1 << 30);
	open_call(w, 1);
	write_chunks(w, 1, 0, 3);
	store_writer_tick(w, NS_PER_S, HOUR_NS);
	write_chunks(w, 1, 3, 6);
	disk.write_faults_percent = 100;
	test_done(w, 1);
	assert_int_equal(store_writer_finish(w, &err), RC_FAILED);
	assert_non_null(strstr(err.text, "could not be written"));
	disk.write_faults_percent = 0;
	struct segment *s = test_segment(test_only(&t, &list));
	struct segment_report report = test_verified(&t, s);
	assert_true(report.chunks >= 3);
	assert_int_equal(report.attests, 1);
	assert_false(report.footer);
	segment_close(s);
	test_store_remove(&t);
}

/* The bug that would repeat a nonce ends the recorder instead. */
static void a_chunk_counter_that_does_not_grow_aborts(void **state)
{
	struct test_store t;
	int status;

	(void)state;
	test_store_make(&t);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		assert_true(freopen("/dev/null", "w", stderr) != NULL);
		struct store_writer *w = test_writer(&t, 1 << 30);
		open_call(w, 1);
		write_chunks(w, 1, 5, 6);
		write_chunks(w, 1, 5, 6);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	test_store_remove(&t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, disk_good, log_back)
	const struct CMUnitTest tests[] = {
		TEST(a_slot_is_durable_before_its_records_and_no_synced_block_is_written_again),
		TEST(writes_that_fail_or_stop_half_way_leave_segments_whole),
		TEST(full_buffers_go_past_the_page_cache_in_whole_blocks),
		TEST(a_file_system_that_wants_the_page_cache_is_asked_once),
		TEST(failing_syncs_are_counted_and_tried_again),
		TEST(a_full_disk_drops_chunks_keeps_records_and_is_left_behind),
		TEST(a_disk_full_from_the_start_delays_the_files),
		TEST(records_that_wait_are_bounded),
		TEST(a_disk_that_stays_full_makes_finish_fail_and_keeps_what_there_is),
		TEST(a_chunk_counter_that_does_not_grow_aborts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
