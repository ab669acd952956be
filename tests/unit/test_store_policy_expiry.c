/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_policy_expiry.c: until when a recording is kept: months that end, leap years, clocks that are changed. */
#include "store_help.h"

#include <time.h>

static int64_t utc_us(const int at[6])
{
	struct tm tm = { .tm_year = at[0] - 1900,
			 .tm_mon = at[1] - 1,
			 .tm_mday = at[2],
			 .tm_hour = at[3],
			 .tm_min = at[4],
			 .tm_sec = at[5] };
	return (int64_t)timegm(&tm) * 1000000 + 123456;
}

static struct policy policy;

static void read_policy(const char *retention)
{
	char text[512];
	struct error err = { "" };
	snprintf(text, sizeof text,
		 "policy: p\npurposes: []\nexport: { plain: refuse }\nretention: { %s }\n",
		 retention);
	if (policy_parse(&policy, text, strlen(text), "p.yaml", &err) != RC_OK)
		fail_msg("%s", err.text);
}

/* In UTC, both; the clock of the zone says more. */
static void months_are_calendar_months_of_the_zone(void **state)
{
	static const struct {
		const char *zone;
		uint32_t months;
		int from[6], to[6];
	} cases[] = {
		{ "UTC", 12, { 2026, 3, 3, 10, 0, 0 }, { 2027, 3, 3, 10, 0, 0 } },
		/* 29 February, and other days that a month does not have */
		{ "UTC", 12, { 2028, 2, 29, 10, 0, 0 }, { 2029, 2, 28, 10, 0, 0 } },
		{ "UTC", 48, { 2028, 2, 29, 10, 0, 0 }, { 2032, 2, 29, 10, 0, 0 } },
		{ "UTC", 12, { 2027, 2, 28, 10, 0, 0 }, { 2028, 2, 28, 10, 0, 0 } },
		{ "UTC", 1, { 2026, 1, 31, 23, 59, 59 }, { 2026, 2, 28, 23, 59, 59 } },
		{ "UTC", 1, { 2028, 1, 30, 0, 0, 0 }, { 2028, 2, 29, 0, 0, 0 } },
		{ "UTC", 3, { 2026, 3, 31, 0, 0, 0 }, { 2026, 6, 30, 0, 0, 0 } },
		{ "UTC", 1, { 2026, 12, 31, 23, 0, 0 }, { 2027, 1, 31, 23, 0, 0 } },
		{ "UTC", 1, { 2099, 12, 31, 0, 0, 0 }, { 2100, 1, 31, 0, 0, 0 } },
		{ "UTC", 12, { 2096, 2, 29, 0, 0, 0 }, { 2097, 2, 28, 0, 0, 0 } },
		{ "UTC", 48, { 2096, 2, 29, 0, 0, 0 }, { 2100, 2, 28, 0, 0, 0 } },
		{ "UTC", 1200, { 2026, 5, 31, 12, 0, 0 }, { 2126, 5, 31, 12, 0, 0 } },
		/* the time of day stays, so in UTC it moves */
		{ "Europe/London", 6, { 2026, 1, 15, 12, 0, 0 }, { 2026, 7, 15, 11, 0, 0 } },
		{ "Europe/London", 6, { 2026, 7, 15, 11, 0, 0 }, { 2027, 1, 15, 12, 0, 0 } },
		{ "Europe/London", 12, { 2026, 7, 15, 11, 0, 0 }, { 2027, 7, 15, 11, 0, 0 } },
		/* 23:30 UTC on 31 July is 1 August in London */
		{ "Europe/London", 1, { 2026, 7, 31, 23, 30, 0 }, { 2026, 8, 31, 23, 30, 0 } },
		{ "UTC", 1, { 2026, 7, 31, 23, 30, 0 }, { 2026, 8, 31, 23, 30, 0 } },
		{ "Europe/London", 7, { 2026, 7, 31, 23, 30, 0 }, { 2027, 3, 1, 0, 30, 0 } },
		{ "UTC", 7, { 2026, 7, 31, 23, 30, 0 }, { 2027, 2, 28, 23, 30, 0 } },
		{ "Asia/Tokyo", 1, { 2026, 1, 30, 15, 0, 0 }, { 2026, 2, 27, 15, 0, 0 } },
		/* 01:30 is left out on 29 March 2026: the moment at which it would have begun */
		{ "Europe/London", 1, { 2026, 2, 28, 1, 30, 0 }, { 2026, 3, 28, 1, 30, 0 } },
		{ "Europe/London", 2, { 2026, 1, 29, 1, 30, 0 }, { 2026, 3, 29, 1, 0, 0 } },
		{ "Europe/London", 2, { 2026, 1, 29, 1, 0, 0 }, { 2026, 3, 29, 1, 0, 0 } },
		{ "Europe/London", 2, { 2026, 1, 29, 0, 59, 59 }, { 2026, 3, 29, 0, 59, 59 } },
		{ "Europe/London", 2, { 2026, 1, 29, 2, 0, 0 }, { 2026, 3, 29, 1, 0, 0 } },
		/* 01:30 is twice on 25 October 2026: the first */
		{ "Europe/London", 1, { 2026, 9, 25, 0, 30, 0 }, { 2026, 10, 25, 0, 30, 0 } },
		{ "Europe/London", 1, { 2026, 9, 25, 0, 59, 59 }, { 2026, 10, 25, 0, 59, 59 } },
		{ "Europe/London", 1, { 2026, 9, 25, 1, 0, 0 }, { 2026, 10, 25, 2, 0, 0 } },
		/* and from either of them it is the same hour a month later */
		{ "Europe/London", 1, { 2026, 10, 25, 0, 30, 0 }, { 2026, 11, 25, 1, 30, 0 } },
		{ "Europe/London", 1, { 2026, 10, 25, 1, 30, 0 }, { 2026, 11, 25, 1, 30, 0 } },
		{ "America/New_York", 1, { 2026, 2, 8, 7, 30, 0 }, { 2026, 3, 8, 7, 0, 0 } },
		{ "Australia/Sydney", 1, { 2026, 9, 3, 16, 30, 0 }, { 2026, 10, 3, 16, 0, 0 } },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char retention[160];
		snprintf(retention, sizeof retention,
			 "default: a, classes: { a: { months: %u } }, time-zone: %s",
			 cases[i].months, cases[i].zone);
		read_policy(retention);
		int64_t got_us = policy_expiry_us(&policy, "a", utc_us(cases[i].from));
		int64_t want_us = utc_us(cases[i].to);
		if (got_us != want_us)
			fail_msg("%zu: %u months in %s: %lld us off", i, cases[i].months,
				 cases[i].zone, (long long)(got_us - want_us));
	}
}

static void without_a_time_zone_the_machines_counts(void **state)
{
	static const int from[] = { 2026, 1, 15, 12, 0, 0 }, summer[] = { 2026, 7, 15, 11, 0, 0 },
			 utc[] = { 2026, 7, 15, 12, 0, 0 };
	(void)state;
	read_policy("default: a, classes: { a: { months: 6 } }");
	assert_int_equal(setenv("TZ", "Europe/London", 1), 0);
	tzset();
	assert_int_equal(policy_expiry_us(&policy, "a", utc_us(from)), utc_us(summer));
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	assert_int_equal(policy_expiry_us(&policy, "a", utc_us(from)), utc_us(utc));
}

static void days_are_of_24_hours(void **state)
{
	static const int from[] = { 2026, 3, 28, 12, 0, 0 }, to[] = { 2026, 3, 30, 12, 0, 0 };
	(void)state;
	read_policy("default: a, classes: { a: { days: 2 } }, time-zone: Europe/London");
	assert_int_equal(policy_expiry_us(&policy, "a", utc_us(from)), utc_us(to));
}

static void a_class_that_is_unknown_is_kept_as_long_as_the_longest(void **state)
{
	int64_t end_us = HOUR_US;
	(void)state;
	read_policy("default: a, classes: { a: { days: 7 }, b: { months: 2 }, c: { days: 30 } }, "
		    "time-zone: UTC");
	assert_int_equal(policy_expiry_us(&policy, "gone", end_us),
			 policy_expiry_us(&policy, "b", end_us));
	assert_true(policy_expiry_us(&policy, "b", end_us) >
		    policy_expiry_us(&policy, "c", end_us));
	/* which one that is may depend on the date: 28 days of February, or a month of March */
	static const int february[] = { 2027, 2, 1, 0, 0, 0 }, march[] = { 2027, 3, 1, 0, 0, 0 };
	read_policy("default: a, classes: { a: { days: 30 }, b: { months: 1 } }, time-zone: UTC");
	assert_int_equal(policy_expiry_us(&policy, "gone", utc_us(february)),
			 policy_expiry_us(&policy, "a", utc_us(february)));
	assert_int_equal(policy_expiry_us(&policy, "gone", utc_us(march)),
			 policy_expiry_us(&policy, "b", utc_us(march)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(months_are_calendar_months_of_the_zone),
		cmocka_unit_test(without_a_time_zone_the_machines_counts),
		cmocka_unit_test(days_are_of_24_hours),
		cmocka_unit_test(a_class_that_is_unknown_is_kept_as_long_as_the_longest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
