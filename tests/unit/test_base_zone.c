/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_base_zone.c: named time zones against the C library's, and clocks that leave out an hour or show it twice. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/zone.h"

#define DAY_S 86400

static int64_t unix_s(int year, int month, int day, int hour, int minute)
{
	struct tm tm = { .tm_year = year - 1900,
			 .tm_mon = month - 1,
			 .tm_mday = day,
			 .tm_hour = hour,
			 .tm_min = minute };
	return (int64_t)timegm(&tm);
}

static void load(struct zone *z, const char *name)
{
	if (!zone_load(z, name))
		fail_msg("no zone %s", name);
}

/* Rules of every shape: none, summer in the north and in the south, negative summer time, hours beyond a day, half
 * hours, changes known one by one for a century. */
static void named_zones_are_those_of_the_c_library(void **state)
{
	static const char *const names[] = {
		"UTC",         "Europe/London",    "Europe/Dublin",     "America/New_York",
		"Asia/Tokyo",  "Australia/Sydney", "America/Santiago",  "Australia/Lord_Howe",
		"Asia/Gaza",   "America/Godthab",  "Africa/Casablanca", "Pacific/Chatham",
		"Asia/Tehran", "Antarctica/Troll", "America/St_Johns",  "Pacific/Apia",
		"Etc/GMT+12",  "EST5EDT",
	};
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct zone z;
		load(&z, names[i]);
		assert_string_equal(z.name, names[i]);
		assert_int_equal(setenv("TZ", names[i], 1), 0);
		tzset();
		for (int64_t t = 0; t < unix_s(2120, 1, 1, 0, 0); t += 5 * 3600 + 1800) {
			time_t at = (time_t)t;
			struct tm tm;
			assert_non_null(localtime_r(&at, &tm));
			if (zone_offset(&z, t) != tm.tm_gmtoff)
				fail_msg("%s at %lld: %d, not %ld", names[i], (long long)t,
					 (int)zone_offset(&z, t), tm.tm_gmtoff);
		}
		(void)unsetenv("TZ");
		tzset();
	}
}

static void without_a_name_it_is_the_machines(void **state)
{
	struct zone z;
	(void)state;
	load(&z, "");
	assert_int_equal(setenv("TZ", "Asia/Kolkata", 1), 0);
	tzset();
	assert_int_equal(zone_offset(&z, unix_s(2026, 6, 1, 0, 0)), 19800);
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	assert_int_equal(zone_offset(&z, unix_s(2026, 6, 1, 0, 0)), 0);
}

static void what_a_clock_shows_is_when_it_first_shows_it(void **state)
{
	static const struct {
		const char *zone;
		int local[5], utc[5];
	} cases[] = {
		{ "Europe/London", { 2026, 1, 15, 12, 0 }, { 2026, 1, 15, 12, 0 } },
		{ "Europe/London", { 2026, 7, 15, 12, 0 }, { 2026, 7, 15, 11, 0 } },
		/* left out: 01:00 to 02:00 on 29 March 2026 */
		{ "Europe/London", { 2026, 3, 29, 0, 59 }, { 2026, 3, 29, 0, 59 } },
		{ "Europe/London", { 2026, 3, 29, 1, 0 }, { 2026, 3, 29, 1, 0 } },
		{ "Europe/London", { 2026, 3, 29, 1, 30 }, { 2026, 3, 29, 1, 0 } },
		{ "Europe/London", { 2026, 3, 29, 1, 59 }, { 2026, 3, 29, 1, 0 } },
		{ "Europe/London", { 2026, 3, 29, 2, 0 }, { 2026, 3, 29, 1, 0 } },
		/* twice: 01:00 to 02:00 on 25 October 2026 */
		{ "Europe/London", { 2026, 10, 25, 0, 59 }, { 2026, 10, 24, 23, 59 } },
		{ "Europe/London", { 2026, 10, 25, 1, 0 }, { 2026, 10, 25, 0, 0 } },
		{ "Europe/London", { 2026, 10, 25, 1, 59 }, { 2026, 10, 25, 0, 59 } },
		{ "Europe/London", { 2026, 10, 25, 2, 0 }, { 2026, 10, 25, 2, 0 } },
		{ "Australia/Sydney", { 2026, 10, 4, 2, 30 }, { 2026, 10, 3, 16, 0 } },
		{ "Australia/Sydney", { 2027, 4, 4, 2, 30 }, { 2027, 4, 3, 15, 30 } },
		{ "Australia/Lord_Howe", { 2026, 10, 4, 2, 15 }, { 2026, 10, 3, 15, 30 } },
		/* by the rule behind the last change that is listed */
		{ "Europe/London", { 2090, 7, 15, 12, 0 }, { 2090, 7, 15, 11, 0 } },
		{ "Europe/London", { 2090, 3, 26, 1, 30 }, { 2090, 3, 26, 1, 0 } },
		/* a whole day left out */
		{ "Pacific/Apia", { 2011, 12, 30, 12, 0 }, { 2011, 12, 30, 10, 0 } },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct zone z;
		const int *l = cases[i].local, *u = cases[i].utc;
		load(&z, cases[i].zone);
		int64_t got = zone_unix(&z, unix_s(l[0], l[1], l[2], l[3], l[4]));
		if (got != unix_s(u[0], u[1], u[2], u[3], u[4]))
			fail_msg("%zu: %s: %lld", i, cases[i].zone, (long long)got);
	}
}

static void only_the_zone_database_has_names(void **state)
{
	static const char *const names[] = {
		"Europe/Nowhere",     "Europe",         "zone.tab",
		"../../../etc/hosts", "/etc/hosts",     "Europe/London\n",
		" Europe/London",     "GMT0BST,M3.5.0", "Europe//../London",
	};
	struct zone z;
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (zone_load(&z, names[i]))
			fail_msg("there is a zone %s", names[i]);
	}
}

/* A file cut short, or with any byte of its front altered, gives another zone or none, and no more. */
static void damaged_files_are_no_zones_or_others(void **state)
{
	static uint8_t file[8192], copy[8192];
	struct zone z;
	(void)state;
	FILE *f = fopen(ZONE_DIR "/Europe/London", "re");
	assert_non_null(f);
	size_t len = fread(file, 1, sizeof file, f);
	assert_int_equal(fclose(f), 0);
	assert_true(zone_parse(&z, file, len));
	for (size_t n = 0; n < len; n++) {
		if (zone_parse(&z, file, n))
			fail_msg("%zu of %zu bytes are a zone", n, len);
	}
	for (size_t i = 0; i < len; i++) {
		memcpy(copy, file, len);
		copy[i] ^= 0xa5;
		if (zone_parse(&z, copy, len))
			(void)zone_unix(&z, unix_s(2026, 3, 29, 1, 30));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(named_zones_are_those_of_the_c_library),
		cmocka_unit_test(without_a_name_it_is_the_machines),
		cmocka_unit_test(what_a_clock_shows_is_when_it_first_shows_it),
		cmocka_unit_test(only_the_zone_database_has_names),
		cmocka_unit_test(damaged_files_are_no_zones_or_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
