/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pcapng files, block for block: both byte orders, several interfaces and sections, every clock, and
 * files that break off or contradict themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/capture.h"

static char path[] = "/tmp/callspan-test-XXXXXX";
static struct error err;
static struct frame frames[CAPTURE_BURST];

/* ---- writing ---- */

static uint8_t file[65536];
static size_t file_len, block_at;
static bool big;

static void u8(unsigned v)
{
	assert_true(file_len < sizeof file);
	file[file_len++] = (uint8_t)v;
}

static void u16(unsigned v)
{
	u8((big ? v >> 8 : v) & 255);
	u8((big ? v : v >> 8) & 255);
}

static void u32(uint32_t v)
{
	u16(big ? v >> 16 : v & 0xffff);
	u16(big ? v & 0xffff : v >> 16);
}

static void begin(uint32_t type)
{
	block_at = file_len;
	u32(type);
	u32(0);
}

static void end(void)
{
	size_t after;

	while ((file_len - block_at) % 4)
		u8(0);
	uint32_t len = (uint32_t)(file_len - block_at) + 4;
	u32(len);
	after = file_len;
	file_len = block_at + 4;
	u32(len);
	file_len = after;
}

static void section(bool big_endian)
{
	big = big_endian;
	begin(0x0a0d0d0a);
	u32(0x1a2b3c4d);
	u16(1);
	u16(0);
	u32(0xffffffff);
	u32(0xffffffff);
	end();
}

static void interface(unsigned link_type, uint32_t snaplen, int resolution, int64_t offset_s)
{
	begin(1);
	u16(link_type);
	u16(0);
	u32(snaplen);
	u16(2); /* its name, of no interest */
	u16(3);
	u32(0);
	if (resolution >= 0) {
		u16(9);
		u16(1);
		u8((unsigned)resolution);
		u8(0);
		u16(0);
	}
	if (offset_s) {
		uint64_t v = (uint64_t)offset_s;
		u16(14);
		u16(8);
		u32((uint32_t)(big ? v >> 32 : v));
		u32((uint32_t)(big ? v : v >> 32));
	}
	u32(0);
	end();
}

static void packet(uint32_t number, uint64_t time, const char *bytes, uint32_t wire_len)
{
	begin(6);
	u32(number);
	u32((uint32_t)(time >> 32));
	u32((uint32_t)time);
	u32((uint32_t)strlen(bytes));
	u32(wire_len);
	for (; *bytes; bytes++)
		u8((uint8_t)*bytes);
	end();
}

/* ---- reading ---- */

static int new_file(void **state)
{
	(void)state;
	file_len = 0;
	big = false;
	return 0;
}

static void save(size_t len)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(file, 1, len, f), len);
	fclose(f);
}

static enum rc open_file(struct capture **c, const char *filter)
{
	const char *paths[] = { path };

	return capture_open_files(c, paths, 1, filter, &err);
}

/* All frames of the file at once; NULL or what was wrong goes to `why`. */
static int read_all(const char *filter, const char *why)
{
	struct capture *c;
	static uint8_t kept[CAPTURE_BURST][64];

	save(file_len);
	assert_int_equal(open_file(&c, filter), RC_OK);
	int n = capture_burst(c, frames, CAPTURE_BURST), m = n;
	for (int i = 0; i < n; i++) { /* they are borrowed */
		assert_true(frames[i].len <= 64);
		memcpy(kept[i], frames[i].bytes, frames[i].len);
		frames[i].bytes = kept[i];
	}
	struct frame rest[CAPTURE_BURST];
	while (m > 0)
		m = capture_burst(c, rest, CAPTURE_BURST);
	if (why) {
		assert_non_null(capture_failure(c));
		if (!strstr(capture_failure(c), why))
			fail_msg("%s", capture_failure(c));
	} else {
		assert_null(capture_failure(c));
	}
	capture_close(c);
	return n < 0 ? 0 : n;
}

static void interfaces_may_have_different_links_and_snap_lengths(void **state)
{
	(void)state;
	for (int order = 0; order < 2; order++) {
		file_len = 0;
		section(order);
		interface(1, 65535, -1, 0);
		interface(113, 96, 9, 0);
		packet(0, 1000000, "ether", 5);
		interface(0, 0, 3, 0);
		packet(1, UINT64_C(1500000000), "cooked", 60);
		packet(2, 2000, "null", 4);
		assert_int_equal(read_all(NULL, NULL), 3);
		assert_int_equal(frames[0].link_type, 1);
		assert_int_equal(frames[0].ts_ns, NS_PER_S);
		assert_int_equal(frames[0].len, 5);
		assert_memory_equal(frames[0].bytes, "ether", 5);
		assert_int_equal(frames[1].link_type, 113);
		assert_int_equal(frames[1].ts_ns, 1500 * NS_PER_MS);
		assert_int_equal(frames[1].len, 6);
		assert_int_equal(frames[1].wire_len, 60);
		assert_int_equal(frames[2].link_type, 0);
		assert_int_equal(frames[2].ts_ns, 2 * NS_PER_S);
	}
}

static void sections_have_their_own_order_and_interfaces(void **state)
{
	(void)state;
	section(true);
	interface(1, 0, -1, 0);
	packet(0, 1, "a", 1);
	section(false);
	interface(9, 0, -1, 0);
	packet(0, 2, "b", 1);
	assert_int_equal(read_all("", NULL), 2);
	assert_int_equal(frames[0].link_type, 1);
	assert_int_equal(frames[1].link_type, 9);
	section(true);
	packet(0, 3, "c", 1);
	assert_int_equal(read_all("", "frame 3: a packet of interface 0, which is not described"),
			 2);
}

static void every_clock_is_understood(void **state)
{
	(void)state;
	static const struct {
		int resolution;
		int64_t offset_s;
		uint64_t time;
		int64_t ns;
	} cases[] = {
		{ -1, 0, 1234567, 1234567000 },
		{ 0, 0, 7, 7 * NS_PER_S },
		{ 9, 0, UINT64_C(1795253400123456789), INT64_C(1795253400123456789) },
		{ 12, 0, UINT64_C(1234567890123), 1234567890 },
		{ 19, 0, UINT64_C(12345678901234567890), 1234567890 },
		{ 128, 0, 5, 5 * NS_PER_S },
		{ 128 + 10, 0, 1024 + 512, 1500000000 },
		{ 128 + 32, 0, UINT64_C(0x180000000), 1500000000 },
		{ 128 + 63, 0, UINT64_C(0xc000000000000000), 1500000000 },
		{ 6, 1000, 1, 1000 * NS_PER_S + 1000 },
		{ 6, -1, 3000000, 2 * NS_PER_S },
		{ 6, -10, 3000000, 0 },
		{ 0, 0, UINT64_MAX, (INT64_MAX / NS_PER_S - 1) * NS_PER_S },
		{ 0, INT64_MAX, 9, (INT64_MAX / NS_PER_S - 1) * NS_PER_S },
		{ 0, INT64_MIN, 9, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		file_len = 0;
		section(i & 1);
		interface(1, 0, cases[i].resolution, cases[i].offset_s);
		packet(0, cases[i].time, "x", 1);
		assert_int_equal(read_all(NULL, NULL), 1);
		assert_int_equal(frames[0].ts_ns, cases[i].ns);
	}
}

static void simple_and_old_packets_are_read_others_skipped(void **state)
{
	(void)state;
	section(false);
	interface(1, 4, -1, 0);
	begin(5); /* statistics */
	u32(0);
	u32(1);
	end();
	begin(3);
	u32(6);
	u32(0x64636261); /* "abcd" of six */
	end();
	begin(2);
	u16(0);
	u16(9);
	u32(0);
	u32(5);
	u32(2);
	u32(2);
	u16('e' | 'f' << 8);
	end();
	begin(0x40000bad);
	end();
	assert_int_equal(read_all(NULL, NULL), 2);
	assert_int_equal(frames[0].len, 4);
	assert_int_equal(frames[0].wire_len, 6);
	assert_memory_equal(frames[0].bytes, "abcd", 4);
	assert_int_equal(frames[1].ts_ns, 5000);
	assert_memory_equal(frames[1].bytes, "ef", 2);
}

static void a_filter_is_made_for_each_link(void **state)
{
	(void)state;
	section(false);
	interface(1, 0, -1, 0);
	interface(101, 0, -1, 0);
	packet(0, 1, "aaaaaabbbbbb\x08\x06zzzz", 60);
	packet(1, 2, "E3333333@\x11zz1111222233334444", 60);
	packet(1, 3, "E3333333@\x06zz1111222233334444", 60);
	assert_int_equal(read_all("udp", NULL), 1);
	assert_int_equal(frames[0].ts_ns, 2000);
	assert_int_equal(frames[0].link_type, 12); /* as libpcap numbers raw IP */
	interface(65000, 0, -1, 0);
	packet(2, 4, "?", 60);
	assert_int_equal(read_all("udp", "filter"), 1);
}

static void files_cut_anywhere_end_or_say_so(void **state)
{
	(void)state;
	struct capture *c;

	section(true);
	interface(1, 0, 9, 0);
	size_t opened = file_len;
	packet(0, 1, "hello", 5);
	size_t first = file_len;
	packet(0, 2, "world", 5);
	for (size_t cut = 1; cut <= file_len; cut++) {
		save(cut);
		enum rc rc = open_file(&c, NULL);
		assert_int_equal(rc == RC_OK, cut >= opened);
		if (rc != RC_OK)
			continue;
		int n = capture_burst(c, frames, CAPTURE_BURST), m = n;
		while (m > 0)
			m = capture_burst(c, frames, CAPTURE_BURST);
		assert_int_equal(n < 0 ? 0 : n, (cut >= first) + (cut == file_len));
		bool whole = cut == opened || cut == first || cut == file_len;
		assert_int_equal(capture_failure(c) == NULL, whole);
		if (!whole)
			assert_non_null(strstr(capture_failure(c), "truncated dump file"));
		capture_close(c);
	}
}

static void no_wrong_byte_does_harm(void **state)
{
	(void)state;
	struct capture *c;

	section(false);
	interface(1, 0, 9, 1);
	packet(0, 1, "hello", 5);
	interface(113, 100, 128, 0);
	packet(1, 2, "world", 5);
	for (size_t at = 0; at < file_len; at++) {
		uint8_t was = file[at];
		static const uint8_t values[] = { 0, 1, 3, 6, 127, 128, 255 };
		for (size_t i = 0; i < sizeof values; i++) {
			file[at] = values[i];
			save(file_len);
			if (open_file(&c, NULL) != RC_OK)
				continue;
			while (capture_burst(c, frames, CAPTURE_BURST) > 0)
				;
			capture_close(c);
		}
		file[at] = was;
	}
}

static void blocks_that_contradict_themselves_are_named(void **state)
{
	(void)state;
	section(false);
	interface(1, 0, -1, 0);
	size_t good = file_len;
	packet(0, 1, "hello", 5);
	file[good + 4] += 4;
	assert_int_equal(read_all(NULL, "frame 1: "), 0);
	file[good + 4] -= 4;
	file[file_len - 4]++;
	assert_int_equal(read_all(NULL, "that ends as one of"), 0);
	file[file_len - 4]--;
	file[good + 20] = 200; /* more captured than there is */
	assert_int_equal(read_all(NULL, "longer than its block"), 0);
	file[good + 20] = 5;
	file[good + 7] = 0x7f; /* a block of 2 GB */
	assert_int_equal(read_all(NULL, "a block of"), 0);
}

static int begin_tests(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int end_tests(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(interfaces_may_have_different_links_and_snap_lengths,
				       new_file),
		cmocka_unit_test_setup(sections_have_their_own_order_and_interfaces, new_file),
		cmocka_unit_test_setup(every_clock_is_understood, new_file),
		cmocka_unit_test_setup(simple_and_old_packets_are_read_others_skipped, new_file),
		cmocka_unit_test_setup(a_filter_is_made_for_each_link, new_file),
		cmocka_unit_test_setup(files_cut_anywhere_end_or_say_so, new_file),
		cmocka_unit_test_setup(no_wrong_byte_does_harm, new_file),
		cmocka_unit_test_setup(blocks_that_contradict_themselves_are_named, new_file),
	};
	return cmocka_run_group_tests_name("pcapng", tests, begin_tests, end_tests);
}
