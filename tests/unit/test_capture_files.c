/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Capture files: formats, merging in time order, files that break. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/capture.h"

#define MAGIC_US 0xa1b2c3d4u
#define MAGIC_NS 0xa1b23c4du

static char dir[] = "/tmp/callspan-test-XXXXXX";
static struct error err;

/* ---- writing capture files ---- */

static const char *path_of(int number)
{
	static char paths[8][64];

	snprintf(paths[number], sizeof paths[number], "%s/%d.pcap", dir, number);
	return paths[number];
}

static void write_u32(FILE *f, uint32_t v, bool swapped)
{
	v = swapped ? __builtin_bswap32(v) : v;
	assert_int_equal(fwrite(&v, sizeof v, 1, f), 1);
}

static FILE *begin_file(int number, uint32_t magic, bool swapped, uint32_t snaplen, uint32_t link)
{
	FILE *f = fopen(path_of(number), "wb");

	assert_non_null(f);
	write_u32(f, magic, swapped);
	write_u32(f, swapped ? 4u << 16 | 2u : 2u | 4u << 16, false);
	if (swapped) { /* two 16-bit fields, each swapped for itself */
		assert_int_equal(fseek(f, -4, SEEK_END), 0);
		assert_int_equal(fwrite("\0\2\0\4", 4, 1, f), 1);
	}
	write_u32(f, 0, swapped);
	write_u32(f, 0, swapped);
	write_u32(f, snaplen, swapped);
	write_u32(f, link, swapped);
	return f;
}

static void add_frame(FILE *f, bool swapped, uint32_t s, uint32_t fraction, const void *bytes,
		      uint32_t len, uint32_t wire_len)
{
	write_u32(f, s, swapped);
	write_u32(f, fraction, swapped);
	write_u32(f, len, swapped);
	write_u32(f, wire_len, swapped);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
}

/* A file of one-letter frames, one a letter, at the given microseconds. */
static void write_letters(int number, const char *letters, const uint32_t *us)
{
	FILE *f = begin_file(number, MAGIC_US, false, 65535, 1);

	for (size_t i = 0; letters[i]; i++)
		add_frame(f, false, 1000, us[i], &letters[i], 1, 60);
	fclose(f);
}

static struct capture *open_n(int n, const char *filter)
{
	const char *paths[8];
	struct capture *c = NULL;

	for (int i = 0; i < n; i++)
		paths[i] = path_of(i);
	err.text[0] = '\0';
	if (capture_open_files(&c, paths, (size_t)n, filter, &err) != RC_OK)
		fail_msg("%s", err.text);
	return c;
}

/* All frames as their first letters. */
static const char *read_letters(struct capture *c, int max)
{
	static char letters[1000];
	struct frame frames[CAPTURE_BURST];
	size_t used = 0;
	int n;

	while ((n = capture_burst(c, frames, max)) > 0) {
		assert_true(n <= max);
		for (int i = 0; i < n; i++)
			letters[used++] = (char)frames[i].bytes[0];
	}
	assert_int_equal(n, -1);
	assert_int_equal(capture_burst(c, frames, max), -1); /* and stays so */
	letters[used] = '\0';
	return letters;
}

/* ---- formats ---- */

static void reads_both_byte_orders_and_resolutions(void **state)
{
	(void)state;
	for (int variant = 0; variant < 4; variant++) {
		bool swapped = variant & 1, nano = variant & 2;
		FILE *f = begin_file(0, nano ? MAGIC_NS : MAGIC_US, swapped, 65535, 113);
		add_frame(f, swapped, 1795253400, 999999, "abcdef", 6, 100);
		fclose(f);
		struct capture *c = open_n(1, NULL);
		struct frame frames[CAPTURE_BURST];
		assert_int_equal(capture_burst(c, frames, CAPTURE_BURST), 1);
		assert_int_equal(frames[0].ts_ns,
				 INT64_C(1795253400) * NS_PER_S + (nano ? 999999 : 999999000));
		assert_int_equal(frames[0].len, 6);
		assert_int_equal(frames[0].wire_len, 100);
		assert_int_equal(frames[0].link_type, 113);
		assert_int_equal(frames[0].interface_no, 0);
		assert_memory_equal(frames[0].bytes, "abcdef", 6);
		assert_int_equal(capture_burst(c, frames, CAPTURE_BURST), -1);
		assert_null(capture_failure(c));
		assert_int_equal(capture_kernel_drops(c), 0);
		capture_wait(c, 1000000); /* a file never makes wait */
		capture_close(c);
	}
	capture_close(NULL);
}

static void reads_pcapng_in_nanoseconds(void **state)
{
	(void)state;
	FILE *f = fopen(path_of(0), "wb");
	const uint64_t ts = UINT64_C(1795253400123456789);
	static const uint32_t section[] = { 0x0a0d0d0a, 28,         0x1a2b3c4d, 1,
					    0xffffffff, 0xffffffff, 28 };
	/* link type 1, snap length 65535, if_tsresol (9) of one byte: 10^-9 */
	static const uint32_t interface[] = { 1, 32, 1, 65535, 9 | 1 << 16, 9, 0, 32 };
	const uint32_t packet[] = { 6,  36,         0, (uint32_t)(ts >> 32), (uint32_t)ts, 4,
				    60, 0x64636261, 36 };

	assert_int_equal(fwrite(section, sizeof section, 1, f), 1);
	assert_int_equal(fwrite(interface, sizeof interface, 1, f), 1);
	assert_int_equal(fwrite(packet, sizeof packet, 1, f), 1);
	fclose(f);
	struct capture *c = open_n(1, "");
	struct frame frames[CAPTURE_BURST];
	assert_int_equal(capture_burst(c, frames, CAPTURE_BURST), 1);
	assert_int_equal(frames[0].ts_ns, ts);
	assert_int_equal(frames[0].len, 4);
	assert_int_equal(frames[0].wire_len, 60);
	assert_memory_equal(frames[0].bytes, "abcd", 4);
	capture_close(c);
}

static void survives_times_that_cannot_be(void **state)
{
	(void)state;
	FILE *f = begin_file(0, MAGIC_NS, false, 65535, 1);

	add_frame(f, false, 3000000000u, 5, "a", 1, 1); /* after 2038: unsigned */
	add_frame(f, false, 0xffffffffu, 0xffffffffu, "b", 1, 1);
	add_frame(f, false, 10, 1000000000u, "c", 1, 1);
	add_frame(f, false, 0, 0, "d", 1, 0); /* shorter on the wire than in the file */
	fclose(f);
	struct capture *c = open_n(1, NULL);
	struct frame frames[CAPTURE_BURST];
	assert_int_equal(capture_burst(c, frames, CAPTURE_BURST), 4);
	assert_int_equal(frames[0].ts_ns, INT64_C(3000000000) * NS_PER_S + 5);
	assert_int_equal(frames[1].ts_ns, INT64_C(4294967295) * NS_PER_S + 999999999);
	assert_int_equal(frames[2].ts_ns, 10 * NS_PER_S + 999999999);
	assert_int_equal(frames[3].wire_len, 1);
	capture_close(c);
}

/* ---- bursts ---- */

static void a_burst_holds_the_largest_frames_without_overlap(void **state)
{
	(void)state;
	enum { LARGEST = 262144, COUNT = CAPTURE_BURST + 6 };
	static uint8_t bytes[LARGEST];
	FILE *f = begin_file(0, MAGIC_US, false, LARGEST, 1);

	for (int i = 0; i < COUNT; i++) {
		memset(bytes, i, sizeof bytes);
		add_frame(f, false, (uint32_t)i, 0, bytes, LARGEST, LARGEST);
	}
	fclose(f);
	struct capture *c = open_n(1, NULL);
	struct frame frames[CAPTURE_BURST];
	int seen = 0, n;
	while ((n = capture_burst(c, frames, CAPTURE_BURST)) > 0) {
		for (int i = 0; i < n; i++, seen++) {
			assert_int_equal(frames[i].len, LARGEST);
			memset(bytes, seen, sizeof bytes);
			assert_memory_equal(frames[i].bytes, bytes, LARGEST);
		}
	}
	assert_int_equal(seen, COUNT);
	capture_close(c);
}

/* What is left of a piece, and what a burst has room for, falls differently each time. */
static void frames_of_any_size_follow_one_another(void **state)
{
	(void)state;
	enum { COUNT = 400, LARGEST = 262144 };
	static uint8_t bytes[LARGEST];
	FILE *f = begin_file(0, MAGIC_US, false, LARGEST, 1);
	uint32_t size = 1;

	for (uint32_t i = 0; i < COUNT; i++, size = (size * 48271 + 11) % LARGEST) {
		memset(bytes, (int)i, sizeof bytes);
		add_frame(f, false, i, 0, bytes, i % 3 ? size % 900 : size, LARGEST);
	}
	fclose(f);
	struct capture *c = open_n(1, NULL);
	struct frame frames[CAPTURE_BURST];
	uint32_t seen = 0;
	int n;
	size = 1;
	while ((n = capture_burst(c, frames, CAPTURE_BURST)) > 0) {
		for (int i = 0; i < n; i++, seen++, size = (size * 48271 + 11) % LARGEST) {
			assert_int_equal(frames[i].len, seen % 3 ? size % 900 : size);
			memset(bytes, (int)seen, sizeof bytes);
			assert_memory_equal(frames[i].bytes, bytes, frames[i].len);
		}
	}
	assert_null(capture_failure(c));
	assert_int_equal(seen, COUNT);
	capture_close(c);
}

static void gives_no_more_than_asked_for(void **state)
{
	(void)state;
	static const uint32_t us[] = { 1, 2, 3, 4, 5, 6, 7 };

	write_letters(0, "abcdefg", us);
	for (int max = 1; max <= 8; max++) {
		struct capture *c = open_n(1, NULL);
		assert_string_equal(read_letters(c, max), "abcdefg");
		capture_close(c);
	}
}

/* ---- several files ---- */

static void merges_files_in_time_order_first_file_first(void **state)
{
	(void)state;
	static const uint32_t a[] = { 10, 20, 20, 90 }, b[] = { 5, 20, 30, 31, 32 }, d[] = { 20 };

	write_letters(0, "abcd", a);
	write_letters(1, "ABCDE", b);
	write_letters(2, "x", d);
	write_letters(3, "", a);
	struct capture *c = open_n(4, NULL);
	struct frame frames[CAPTURE_BURST];
	assert_int_equal(capture_burst(c, frames, 3), 3);
	assert_int_equal(frames[0].bytes[0], 'A');
	assert_int_equal(frames[0].interface_no, 1);
	assert_int_equal(frames[1].bytes[0], 'a');
	assert_int_equal(frames[1].interface_no, 0);
	assert_string_equal(read_letters(c, 2), "cBxCDEd");
	assert_null(capture_failure(c));
	capture_close(c);
}

static void merges_many_files(void **state)
{
	(void)state;
	enum { FILES = 8, EACH = 40 };
	uint32_t us[EACH];
	char letters[EACH + 1] = { 0 };

	for (int i = 0; i < FILES; i++) {
		for (uint32_t k = 0; k < EACH; k++)
			us[k] = k * 97 * (uint32_t)(i + 1) % 5000 + k * 5000;
		memset(letters, 'a' + i, EACH);
		write_letters(i, letters, us);
	}
	struct capture *c = open_n(FILES, NULL);
	struct frame frames[CAPTURE_BURST];
	int64_t last = 0;
	int seen = 0, n;
	while ((n = capture_burst(c, frames, CAPTURE_BURST)) > 0) {
		for (int i = 0; i < n; i++, seen++) {
			assert_true(frames[i].ts_ns >= last);
			last = frames[i].ts_ns;
		}
	}
	assert_int_equal(seen, FILES * EACH);
	capture_close(c);
}

static void passes_times_that_run_backwards_as_they_are(void **state)
{
	(void)state;
	static const uint32_t us[] = { 50, 10, 60 };

	write_letters(0, "abc", us);
	struct capture *c = open_n(1, NULL);
	assert_string_equal(read_letters(c, CAPTURE_BURST), "abc");
	capture_close(c);
}

/* ---- files that break ---- */

static void a_file_that_breaks_ends_alone(void **state)
{
	(void)state;
	static const uint32_t a[] = { 10, 30, 50 }, b[] = { 20, 40, 60 };
	char expected[200];

	write_letters(0, "abc", a);
	write_letters(1, "xyz", b);
	/* into the third frame's header */
	assert_int_equal(truncate(path_of(0), 24 + 2 * 17 + 8), 0);
	struct capture *c = open_n(2, NULL);
	assert_string_equal(read_letters(c, CAPTURE_BURST), "axbyz");
	snprintf(expected, sizeof expected, "%s: frame 3: truncated dump file; ", path_of(0));
	assert_non_null(capture_failure(c));
	assert_memory_equal(capture_failure(c), expected, strlen(expected));
	capture_close(c);
}

static void a_failure_names_the_true_frame_also_behind_a_filter(void **state)
{
	(void)state;
	FILE *f = begin_file(0, MAGIC_US, false, 65535, 1);
	char expected[200];

	/* "greater 5" leaves out the first two */
	add_frame(f, false, 1, 0, "aa", 2, 2);
	add_frame(f, false, 2, 0, "bb", 2, 2);
	add_frame(f, false, 3, 0, "cccccc", 6, 6);
	add_frame(f, false, 4, 0, "dd", 2, 2);
	fclose(f);
	assert_int_equal(truncate(path_of(0), 24 + 2 * 18 + 22 + 17), 0);
	struct capture *c = open_n(1, "greater 5");
	assert_string_equal(read_letters(c, CAPTURE_BURST), "c");
	snprintf(expected, sizeof expected, "%s: frame 4: truncated dump file; ", path_of(0));
	assert_non_null(capture_failure(c));
	assert_memory_equal(capture_failure(c), expected, strlen(expected));
	capture_close(c);
}

static void assert_open_fails(int number, const char *filter, enum rc rc, const char *reason)
{
	const char *path = path_of(number);
	struct capture *c = NULL;

	assert_int_equal(capture_open_files(&c, &path, 1, filter, &err), rc);
	assert_null(c);
	assert_memory_equal(err.text, path, strlen(path));
	if (!strstr(err.text, reason))
		fail_msg("%s", err.text);
	assert_null(strchr(err.text, '\n'));
}

static void says_at_once_why_a_file_cannot_be_opened(void **state)
{
	(void)state;
	static const uint32_t us[] = { 1 };
	const char *directory = "/";
	struct capture *c;

	unlink(path_of(0));
	assert_open_fails(0, NULL, RC_FAILED, ": No such file or directory");
	FILE *f = fopen(path_of(0), "wb");
	fclose(f);
	assert_open_fails(0, NULL, RC_FAILED, ": truncated dump file");
	f = fopen(path_of(0), "wb");
	fputs("INVITE sip:nobody@example.com SIP/2.0\r\n", f);
	fclose(f);
	assert_open_fails(0, NULL, RC_FAILED, ": unknown file format");
	write_letters(0, "a", us);
	assert_open_fails(0, "udp prot 5060", RC_USAGE, ": filter: ");
	assert_int_equal(capture_open_files(&c, &directory, 1, NULL, &err), RC_FAILED);
	assert_string_equal(err.text, "/: Is a directory");
	assert_int_equal(capture_open_files(&c, &directory, 0, NULL, &err), RC_USAGE);

	/* the second of two: the first is given back */
	const char *two[] = { path_of(0), "/nonexistent.pcap" };
	assert_int_equal(capture_open_files(&c, two, 2, NULL, &err), RC_FAILED);
	assert_string_equal(err.text, "/nonexistent.pcap: No such file or directory");
}

/* ---- progress, and standard input ---- */

static void tells_how_far_it_is(void **state)
{
	(void)state;
	static const uint32_t us[] = { 1, 2, 3, 4 };
	struct frame frames[CAPTURE_BURST];
	uint64_t done, total, before;

	write_letters(0, "abcd", us);
	write_letters(1, "ab", us);
	struct capture *c = open_n(2, NULL);
	capture_progress(c, &done, &total);
	assert_int_equal(total, 24 + 4 * 17 + 24 + 2 * 17);
	assert_true(done < total);
	before = done;
	while (capture_burst(c, frames, 1) > 0) {
		capture_progress(c, &done, &total);
		assert_true(done >= before && done <= total);
		before = done;
	}
	assert_int_equal(done, total);
	capture_close(c);
}

static void reads_standard_input(void **state)
{
	(void)state;
	static const uint32_t us[] = { 1, 2, 3 };
	const char *path = "-";
	int ends[2], saved = dup(STDIN_FILENO);
	uint8_t bytes[200];
	uint64_t done, total;
	struct capture *c;

	write_letters(0, "abc", us);
	FILE *f = fopen(path_of(0), "rb");
	size_t len = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], bytes, len - 1), len - 1); /* cut */
	close(ends[1]);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	assert_int_equal(capture_open_files(&c, &path, 1, NULL, &err), RC_OK);
	capture_progress(c, &done, &total);
	assert_int_equal(total, 0); /* nobody knows */
	assert_string_equal(read_letters(c, CAPTURE_BURST), "ab");
	assert_memory_equal(capture_failure(c), "standard input: frame 3: ", 25);
	capture_close(c);
	dup2(saved, STDIN_FILENO);
	close(saved);
}

/* ---- our reader of plain files against libpcap's ---- */

/* The bytes of a file through a pipe, which our reader does not take. */
static struct capture *open_through_pipe(const uint8_t *bytes, size_t len)
{
	const char *path = "-";
	struct capture *c = NULL;
	int ends[2], saved = dup(STDIN_FILENO);

	assert_int_equal(pipe(ends), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, (int)len + 4096) >= (int)len);
	assert_int_equal(write(ends[1], bytes, len), len);
	close(ends[1]);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	if (capture_open_files(&c, &path, 1, NULL, &err) != RC_OK)
		assert_null(c);
	dup2(saved, STDIN_FILENO);
	close(saved);
	return c;
}

static void same_frames(struct capture *ours, struct capture *theirs)
{
	struct frame a[CAPTURE_BURST], b[1];
	int n;

	while ((n = capture_burst(ours, a, CAPTURE_BURST)) > 0) {
		for (int i = 0; i < n;
		     i++) { /* the burst's first frames stay while its last are read */
			assert_int_equal(capture_burst(theirs, b, 1), 1);
			assert_int_equal(a[i].ts_ns, b->ts_ns);
			assert_int_equal(a[i].len, b->len);
			assert_int_equal(a[i].wire_len, b->wire_len);
			assert_int_equal(a[i].link_type, b->link_type);
			assert_memory_equal(a[i].bytes, b->bytes, b->len);
		}
	}
	assert_int_equal(capture_burst(theirs, b, 1), -1);
	assert_int_equal(!capture_failure(ours), !capture_failure(theirs));
}

/* Cut anywhere, and with any byte of a record's header changed, both give the same frames, and both call it broken or not. */
static void plain_files_are_read_as_libpcap_reads_them(void **state)
{
	(void)state;
	static uint8_t bytes[1 << 15];
	static const uint32_t magics[] = { MAGIC_US, MAGIC_NS };

	for (unsigned m = 0; m < 2; m++) {
		FILE *f = begin_file(0, magics[m], false, 65535, 1);
		for (uint32_t i = 0; i < 40; i++)
			add_frame(f, false, i * 1000003, i * 999983, bytes, i * 13, i * 14);
		fclose(f);
		f = fopen(path_of(0), "rb");
		size_t len = fread(bytes, 1, sizeof bytes, f), all = len;
		fclose(f);
		for (size_t step = 0; step < 400; step++) {
			size_t at = 24 + step % (all - 24);
			uint8_t was = bytes[at];
			bytes[at] = (uint8_t)(bytes[at] ^ (step % 3 ? 0 : 1u << step % 8));
			len = step % 3 ? all - step * 7 % all : all;
			f = fopen(path_of(1), "wb");
			assert_int_equal(fwrite(bytes, 1, len, f), len);
			fclose(f);
			const char *path = path_of(1);
			struct capture *ours = NULL, *theirs = open_through_pipe(bytes, len);
			enum rc rc = capture_open_files(&ours, &path, 1, NULL, &err);
			assert_int_equal(rc == RC_OK, ours != NULL);
			assert_int_equal(!ours, !theirs);
			if (ours)
				same_frames(ours, theirs);
			if (ours)
				capture_close(ours);
			if (theirs)
				capture_close(theirs);
			bytes[at] = was;
		}
		memset(bytes, 0x5a, sizeof bytes);
	}
}

/* ---- real captures ---- */

static void finds_the_datagrams_of_real_captures(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint64_t frames, datagrams;
	} files[] = {
		{ "captures/ast-carrier-g711u.pcap", 800, 800 },
		{ "captures/derived-ipv4-dlt228.pcap", 852, 852 },
		{ "captures/derived-loop-dlt108.pcap", 852, 852 },
		{ "captures/derived-null-loopback-dlt0.pcap", 852, 852 },
		{ "captures/derived-ppp-dlt9.pcap", 852, 852 },
		{ "captures/derived-rawip-dlt101.pcap", 852, 852 },
		{ "captures/derived-sll-vlan.pcap", 852, 852 },
		{ "captures/derived-snaplen96-truncated.pcap", 852, 852 },
	};

	if (access("../shared/corpus/captures", R_OK) != 0) {
		print_message("no ../shared/corpus: skipped\n");
		skip();
	}
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		char path[200];
		const char *one = path;
		struct capture *c;
		struct counters counters = { 0 };
		struct frame frames[CAPTURE_BURST];
		struct datagram d;
		struct piece piece;
		struct decoder decoder = { 0 };
		int n;
		snprintf(path, sizeof path, "../shared/corpus/%s", files[i].name);
		assert_int_equal(capture_open_files(&c, &one, 1, NULL, &err), RC_OK);
		while ((n = capture_burst(c, frames, CAPTURE_BURST)) > 0)
			for (int k = 0; k < n; k++)
				(void)decode_frame(&decoder, &frames[k], &d, &piece, &counters);
		assert_null(capture_failure(c));
		capture_close(c);
		assert_int_equal(counter_get(&counters, COUNT_FRAMES), files[i].frames);
		assert_int_equal(counter_get(&counters, COUNT_DATAGRAMS), files[i].datagrams);
		assert_int_equal(counter_get(&counters, COUNT_DECODE_MALFORMED), 0);
	}
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++)
		(void)unlink(path_of(i));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_both_byte_orders_and_resolutions),
		cmocka_unit_test(reads_pcapng_in_nanoseconds),
		cmocka_unit_test(survives_times_that_cannot_be),
		cmocka_unit_test(a_burst_holds_the_largest_frames_without_overlap),
		cmocka_unit_test(frames_of_any_size_follow_one_another),
		cmocka_unit_test(gives_no_more_than_asked_for),
		cmocka_unit_test(merges_files_in_time_order_first_file_first),
		cmocka_unit_test(merges_many_files),
		cmocka_unit_test(passes_times_that_run_backwards_as_they_are),
		cmocka_unit_test(a_file_that_breaks_ends_alone),
		cmocka_unit_test(a_failure_names_the_true_frame_also_behind_a_filter),
		cmocka_unit_test(says_at_once_why_a_file_cannot_be_opened),
		cmocka_unit_test(tells_how_far_it_is),
		cmocka_unit_test(reads_standard_input),
		cmocka_unit_test(plain_files_are_read_as_libpcap_reads_them),
		cmocka_unit_test(finds_the_datagrams_of_real_captures),
	};
	return cmocka_run_group_tests_name("capture", tests, make_dir, remove_dir);
}
