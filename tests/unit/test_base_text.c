/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Times, ids, endpoints, counters, log lines and error lines: everything that turns to text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/net.h"
#include "base/uuid.h"

/* ---- times ---- */

static void assert_time(const char *text, int64_t expected_ns)
{
	int64_t ts = -1;

	if (!clock_parse(text, &ts))
		fail_msg("%s was refused", text);
	if (ts != expected_ns)
		fail_msg("%s gave %jd", text, (intmax_t)ts);
}

static void reads_times_as_people_give_them(void **state)
{
	(void)state;
	const int64_t t = INT64_C(1795253400) * NS_PER_S; /* 2026-11-21 09:30 UTC */

	assert_time("2026-11-21T09:30:00Z", t);
	assert_time("2026-11-21t09:30:00z", t);
	assert_time("2026-11-21 09:30:00Z", t);
	assert_time("2026-11-21T10:30:00+01:00", t);
	assert_time("2026-11-21T04:00:00-05:30", t);
	assert_time("2026-11-21T09:30:00.123456Z", t + 123456000);
	assert_time("2026-11-21T09:30:00.1234567899Z", t + 123456789);
	assert_time("2016-12-31T23:59:60Z", INT64_C(1483228800) * NS_PER_S); /* leap second */
	assert_time("2024-02-29T00:00:00Z", INT64_C(1709164800) * NS_PER_S);
	assert_time("@0", 0);
	assert_time("@1795253400", t);
	assert_time("@1795253400.5", t + NS_PER_S / 2);
	/* TZ is set to a zone one hour east of Greenwich */
	assert_time("2026-11-21 10:30:00", t);
	assert_time("2026-11-21 10:30", t);
	assert_time("2026-11-21", t - 37800 * NS_PER_S);
}

static void reads_times_before_now(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = { { "-0s", 0 },      { "-90s", 90 },    { "-30m", 1800 },
		      { "-12h", 43200 }, { "-7d", 604800 }, { "-2w", 1209600 } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t before = clock_real_ns(), ts;
		assert_true(clock_parse(cases[i].text, &ts));
		int64_t after = clock_real_ns();
		assert_true(ts >= before - cases[i].seconds * NS_PER_S);
		assert_true(ts <= after - cases[i].seconds * NS_PER_S);
	}
}

static void refuses_what_is_no_time(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		" ",
		"now",
		"2026",
		"2026-11",
		"2026-11-",
		"2026-13-01",
		"2026-00-01",
		"2026-11-31",
		"2025-02-29",
		"2100-02-29T00:00:00Z",
		"2026-11-00",
		"1969-12-31",
		"2262-01-01",
		"26-11-21",
		"2026-11-21T",
		"2026-11-21T09:30Z",
		"2026-11-21T09:30:00",
		"2026-11-21T24:00:00Z",
		"2026-11-21T09:60:00Z",
		"2026-11-21T09:30:61Z",
		"2026-11-21T09:30:00.Z",
		"2026-11-21T09:30:00ZZ",
		"2026-11-21T09:30:00+1:00",
		"2026-11-21T09:30:00+24:00",
		"2026-11-21T09:30:00+01:60",
		"2026-11-21T09:30:00+",
		"2026-11-21 ",
		"2026-11-21 09",
		"2026-11-21 09:3",
		"2026-11-21 09:30:",
		"2026-11-21 09:30 ",
		"2026-11-21 09:30:00.5",
		"2026-11-21x09:30:00Z",
		"@",
		"@-1",
		"@1.",
		"@1.x",
		"@1 ",
		"@9999999999",
		"@99999999999999999999",
		"-",
		"-7",
		"-d",
		"-7y",
		"-7dd",
		"-7d ",
		"--7d",
		"-7.5d",
		"-99999999999d",
		"-9999999999w",
		"+7d",
		"7d",
		"\xff\xfe",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int64_t ts = 42;
		if (clock_parse(bad[i], &ts))
			fail_msg("\"%s\" was taken for a time", bad[i]);
		assert_int_equal(ts, 42);
	}
}

static void writes_times(void **state)
{
	(void)state;
	char buf[CLOCK_TEXT];
	const int64_t t = INT64_C(1795253400) * NS_PER_S;

	assert_string_equal(clock_rfc3339(t + 123456789, buf), "2026-11-21T09:30:00.123456Z");
	assert_string_equal(clock_rfc3339(0, buf), "1970-01-01T00:00:00.000000Z");
	assert_string_equal(clock_rfc3339(-1, buf), "1969-12-31T23:59:59.999999Z");
	assert_string_equal(clock_local(t, buf), "2026-11-21 10:30:00");
	clock_rfc3339(INT64_MAX, buf);
	clock_rfc3339(INT64_MIN, buf);
	assert_true(clock_mono_ns() <= clock_mono_ns());
}

/* ---- ids ---- */

static void ids_carry_their_time_and_sort_by_it(void **state)
{
	(void)state;
	char buf[UUID_TEXT];
	struct uuid u = uuid_v7(INT64_C(0x0123456789ab) * NS_PER_MS);

	assert_memory_equal(uuid_text(&u, buf), "01234567-89ab-7000-", 19);
	assert_int_equal(u.b[8] & 0xc0, 0x80);
	for (int64_t ns = 0; ns < 3 * NS_PER_MS; ns += 245) { /* 1/4096 ms is 244.14 ns */
		struct uuid next = uuid_v7(INT64_C(0x0123456789ab) * NS_PER_MS + ns + 245);
		assert_true(memcmp(u.b, next.b, 8) <= 0);
		assert_int_equal(next.b[6] >> 4, 7);
		u = next;
	}
	u = uuid_v7(-5);
	assert_memory_equal(uuid_text(&u, buf), "00000000-0000-7000-", 19);
}

static void ids_of_one_instant_differ(void **state)
{
	(void)state;
	enum { COUNT = 200 };
	struct uuid u[COUNT];

	for (int i = 0; i < COUNT; i++) {
		u[i] = uuid_v7(1);
		for (int k = 0; k < i; k++)
			assert_false(uuid_equal(&u[i], &u[k]));
	}
}

static void ids_go_to_text_and_back(void **state)
{
	(void)state;
	static const char *const bad[] = { "",
					   "0123456789ab",
					   "01234567-89ab-7000-8000-00000000000",
					   "01234567-89ab-7000-8000-0000000000000",
					   "01234567x89ab-7000-8000-000000000000",
					   "01234567-89ab-7000-8000-00000000000g",
					   "0123456789ab-7000-8000-0000000000000" };
	struct uuid u = uuid_v7(clock_real_ns()), back, upper;
	char buf[UUID_TEXT];

	assert_true(uuid_parse(&back, uuid_text(&u, buf)));
	assert_true(uuid_equal(&u, &back));
	assert_true(uuid_parse(&back, "0123abcd-89ef-7000-8000-00000000000f"));
	assert_true(uuid_parse(&upper, "0123ABCD-89EF-7000-8000-00000000000F"));
	assert_true(uuid_equal(&upper, &back));
	assert_false(uuid_is_nil(&u));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(uuid_parse(&back, bad[i]));
	assert_true(uuid_equal(&upper, &back)); /* untouched by what was refused */
	assert_true(uuid_parse(&u, "00000000-0000-0000-0000-000000000000"));
	assert_true(uuid_is_nil(&u));
}

/* ---- endpoints ---- */

static bool parse_addr(struct endpoint *e, const char *text)
{
	return endpoint_parse_addr(e, text, strlen(text), 5060);
}

static void endpoints_go_to_text_and_back(void **state)
{
	(void)state;
	struct endpoint e, f;
	char buf[ENDPOINT_TEXT];

	assert_true(parse_addr(&e, "192.0.2.1"));
	assert_string_equal(endpoint_text(&e, buf), "192.0.2.1:5060");
	assert_true(endpoint_is_v4(&e));
	assert_true(parse_addr(&f, "::ffff:192.0.2.1"));
	assert_true(endpoint_equal(&e, &f));
	assert_true(parse_addr(&e, "2001:DB8::1"));
	assert_string_equal(endpoint_text(&e, buf), "[2001:db8::1]:5060");
	assert_true(parse_addr(&f, "[2001:db8:0:0::1]"));
	assert_true(endpoint_equal(&e, &f));
	memset(&e, 0xff, sizeof e);
	endpoint_text(&e, buf);
	assert_string_equal(buf, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void refuses_what_is_no_address(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"[]",
		"[",
		"host.example",
		"192.0.2",
		"192.0.2.256",
		"192.0.2.1 ",
		" 192.0.2.1",
		"192.0.2.1:5060",
		"1:2:3",
		"[192.0.2.1",
		"::g",
		"2001:db8::1::2",
		"0x7f.1",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb"
	};
	struct endpoint e;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (parse_addr(&e, bad[i]))
			fail_msg("\"%s\" was taken for an address", bad[i]);
	assert_false(endpoint_parse_addr(&e, "192.0.2.1\0x", 11, 1));
	assert_true(endpoint_parse_addr(&e, "192.0.2.1 IN IP4", 9, 1)); /* len, not NUL, ends it */
}

static void knows_the_address_that_means_any(void **state)
{
	(void)state;
	struct endpoint e;

	assert_true(parse_addr(&e, "0.0.0.0"));
	assert_true(endpoint_is_any(&e));
	assert_true(parse_addr(&e, "::"));
	assert_true(endpoint_is_any(&e));
	assert_true(parse_addr(&e, "0.0.0.1"));
	assert_false(endpoint_is_any(&e));
	assert_true(parse_addr(&e, "::1"));
	assert_false(endpoint_is_any(&e));
}

/* ---- counters ---- */

static void counters_have_names_of_their_own_and_add_up(void **state)
{
	(void)state;
	struct counters a = { 0 }, sum = { 0 };

	for (int i = 0; i < COUNTER_COUNT; i++) {
		assert_true(strlen(counter_names[i]) > 0);
		assert_true(strlen(counter_prose[i]) > 0);
		assert_int_equal(strspn(counter_names[i], "abcdefghijklmnopqrstuvwxyz0123456789-"),
				 strlen(counter_names[i]));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(counter_names[i], counter_names[k]);
		count_add(&a, (enum counter)i, (uint64_t)i);
	}
	count(&a, COUNT_FRAMES);
	counters_sum(&sum, &a);
	counters_sum(&sum, &a);
	assert_int_equal(counter_get(&sum, COUNT_FRAMES), 2);
	assert_int_equal(counter_get(&sum, (enum counter)(COUNTER_COUNT - 1)),
			 2 * (COUNTER_COUNT - 1));
}

/* ---- log and error lines ---- */

/* What log_line() writes while `level` is the most detailed. */
static void captured(enum log_level most, enum log_level level, const char *value, char *buf,
		     size_t size)
{
	int ends[2], saved = dup(STDERR_FILENO);

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	log_set_level(most);
	log_line(level, "disk-full", "segment=%s free=%d", value, 7);
	log_set_level(LOG_LEVEL_INFO);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	ssize_t n = read(ends[0], buf, size - 1);
	assert_true(n >= 0);
	buf[n] = '\0';
	close(ends[0]);
}

static void log_lines_begin_with_the_event(void **state)
{
	(void)state;
	char buf[2048];

	unsetenv("JOURNAL_STREAM");
	captured(LOG_LEVEL_INFO, LOG_LEVEL_ERROR, "a.seg", buf, sizeof buf);
	assert_string_equal(buf, "error disk-full segment=a.seg free=7\n");
	captured(LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, "a.seg", buf, sizeof buf);
	assert_string_equal(buf, "");
	captured(LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, "a.seg", buf, sizeof buf);
	assert_string_equal(buf, "");
	setenv("JOURNAL_STREAM", "8:1", 1);
	captured(LOG_LEVEL_DEBUG, LOG_LEVEL_DEBUG, "a.seg", buf, sizeof buf);
	assert_string_equal(buf, "<7>debug disk-full segment=a.seg free=7\n");
	unsetenv("JOURNAL_STREAM");
}

static void a_log_line_is_one_line(void **state)
{
	(void)state;
	char buf[2048];
	static char longer[5000];

	captured(LOG_LEVEL_INFO, LOG_LEVEL_INFO, "a\nerror forged\x1b[31m", buf, sizeof buf);
	assert_string_equal(buf, "info disk-full segment=a?error forged?[31m free=7\n");
	memset(longer, 'x', sizeof longer - 1);
	captured(LOG_LEVEL_INFO, LOG_LEVEL_INFO, longer, buf, sizeof buf);
	assert_true(strlen(buf) <= 1024);
	assert_ptr_equal(strchr(buf, '\n'), buf + strlen(buf) - 1);
}

static void numbers_are_masked(void **state)
{
	(void)state;
	char buf[LOG_MASKED];

	assert_string_equal(log_mask("442079460123", buf), "**********23");
	assert_string_equal(log_mask("12345", buf), "***45");
	assert_string_equal(log_mask("1234", buf), "****");
	assert_string_equal(log_mask("", buf), "");
	assert_string_equal(log_mask("ann\xc3\xa9", buf), "*****");
	assert_string_equal(log_mask("01234567890123456789012345678901234567", buf),
			    "*********************67");
}

static void error_lines_name_the_reason(void **state)
{
	(void)state;
	struct error e;
	static char longer[1000];

	assert_int_equal(error_set(&e, RC_USAGE, "no such %s", "thing"), RC_USAGE);
	assert_string_equal(e.text, "no such thing");
	assert_int_equal(error_errno(&e, RC_FAILED, ENOENT, "%s", "x.pcap"), RC_FAILED);
	assert_string_equal(e.text, "x.pcap: No such file or directory");
	assert_int_equal(error_set(NULL, RC_DAMAGED, "x"), RC_DAMAGED);
	assert_int_equal(error_errno(NULL, RC_DAMAGED, ENOENT, "x"), RC_DAMAGED);
	memset(longer, 'x', sizeof longer - 1);
	assert_int_equal(error_errno(&e, RC_FAILED, ENOENT, "%s", longer), RC_FAILED);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_times_as_people_give_them),
		cmocka_unit_test(reads_times_before_now),
		cmocka_unit_test(refuses_what_is_no_time),
		cmocka_unit_test(writes_times),
		cmocka_unit_test(ids_carry_their_time_and_sort_by_it),
		cmocka_unit_test(ids_of_one_instant_differ),
		cmocka_unit_test(ids_go_to_text_and_back),
		cmocka_unit_test(endpoints_go_to_text_and_back),
		cmocka_unit_test(refuses_what_is_no_address),
		cmocka_unit_test(knows_the_address_that_means_any),
		cmocka_unit_test(counters_have_names_of_their_own_and_add_up),
		cmocka_unit_test(log_lines_begin_with_the_event),
		cmocka_unit_test(a_log_line_is_one_line),
		cmocka_unit_test(numbers_are_masked),
		cmocka_unit_test(error_lines_name_the_reason),
	};
	setenv("TZ", "<+01>-1", 1);
	tzset();
	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
