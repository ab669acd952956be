/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_policy.c: the policy file: what it may say, where it is wrong, and when a recording expires. */
#include "store_help.h"

#include <time.h>

#define GOOD_HEAD                                                                                  \
	"policy: p\nretention: { default: standard, classes: { standard: { days: 30 } } }\n"

static enum rc parse(const char *text, struct policy *p, struct error *err)
{
	return policy_parse(p, text, strlen(text), "p.yaml", err);
}

static bool allows(const struct policy *p, const char *purpose)
{
	int n = policy_purpose(purpose);
	assert_true(n >= 0);
	return (p->purposes >> n & 1) != 0;
}

static void shipped_profiles_allow_their_own_purposes(void **state)
{
	static const struct {
		const char *purpose;
		bool month, year;
	} rows[PURPOSES] = {
		{ "complaint", true, true },         { "quality-sample", true, false },
		{ "safety-threat", true, false },    { "crime-prevention", true, true },
		{ "legal-compliance", true, false }, { "training", true, true },
		{ "abusive-calls", false, true },    { "protect-interests", false, true },
		{ "establish-facts", false, true },  { "process-improvement", false, true },
		{ "subject-access", true, true },
	};
	struct policy month, year, lab;
	struct error err;
	(void)state;
	assert_int_equal(policy_read(&month, "conf/policies/30-day.yaml", &err), RC_OK);
	assert_int_equal(policy_read(&year, "conf/policies/12-month.yaml", &err), RC_OK);
	assert_int_equal(policy_read(&lab, "conf/policies/lab.yaml", &err), RC_OK);
	for (int i = 0; i < PURPOSES; i++) {
		assert_int_equal(allows(&month, rows[i].purpose), rows[i].month);
		assert_int_equal(allows(&year, rows[i].purpose), rows[i].year);
		assert_true(allows(&lab, rows[i].purpose));
	}
	assert_string_equal(month.name, "30-day");
	assert_string_equal(year.name, "12-month");
	assert_int_equal(month.classes[month.default_class].days, 30);
	assert_int_equal(year.classes[year.default_class].months, 12);
	assert_false(month.plain_export || year.plain_export);
	assert_true(lab.plain_export);
	assert_int_equal(strlen(month.hash), 64);
	assert_string_not_equal(month.hash, year.hash);
}

static void several_classes_and_any_default(void **state)
{
	static const char text[] = "export: { plain: allow }\n"
				   "purposes: []\n"
				   "retention:\n"
				   "  classes:\n"
				   "    short: { days: 7 }\n"
				   "    long: { months: 24 }\n"
				   "  default: long\n"
				   "policy: two\n";
	struct policy p;
	struct error err;
	(void)state;
	assert_int_equal(parse(text, &p, &err), RC_OK);
	assert_int_equal(p.classes_count, 2);
	assert_string_equal(p.classes[p.default_class].name, "long");
	assert_int_equal(policy_class_named(&p, "short")->days, 7);
	assert_ptr_equal(policy_class_named(&p, "gone"), &p.classes[p.default_class]);
	assert_int_equal(p.purposes, 0);
}

static void wrong_files_are_refused_with_place_and_choices(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "p.yaml:1:1: the file is empty" },
		{ "- a\n", "p.yaml:1:1: a mapping" },
		{ "policy: [\n", "p.yaml:2:1: " },
		{ "policy: p\npurpose: []\n",
		  "p.yaml:2:1: unknown key; the choices are: policy, retention, purposes, export" },
		{ "policy: p\npolicy: q\n", "p.yaml:2:1: this key stands here twice" },
		{ "policy: P\n", "p.yaml:1:9: a policy's name" },
		{ "policy: p\n", "p.yaml:1:1: the key \"retention\" is missing" },
		{ GOOD_HEAD, "the key \"purposes\" is missing" },
		{ "retention: { default: x, classes: { standard: { days: 30 } } }\n",
		  "p.yaml:1:23: the default" },
		{ "retention: { default: x, classes: {} }\n", "p.yaml:1:35: at least one" },
		{ "retention: { classes: { a: { days: 0 } } }\n",
		  "p.yaml:1:36: a number from 1 to" },
		{ "retention: { classes: { a: { days: -1 } } }\n", "p.yaml:1:36: a number" },
		{ "retention: { classes: { a: { days: 99999999999 } } }\n",
		  "p.yaml:1:36: a number" },
		{ "retention: { classes: { a: { days: 1, months: 1 } } }\n",
		  "p.yaml:1:28: either" },
		{ "retention: { classes: { a: {} } }\n", "p.yaml:1:28: either" },
		{ "retention: { classes: { a: { years: 1 } } }\n",
		  "p.yaml:1:30: unknown key; the choices are: days, months" },
		{ "retention: { classes: { a: { days: 1 }, a: { days: 2 } } }\n",
		  "p.yaml:1:41: this class stands here twice" },
		{ "purposes: complaint\n", "p.yaml:1:11: a list" },
		{ "purposes: [ fun ]\n",
		  "p.yaml:1:13: unknown purpose; the choices are: complaint, quality-sample" },
		{ "export: { plain: maybe }\n",
		  "p.yaml:1:18: unknown value; the choices are: refuse, allow" },
		{ GOOD_HEAD "purposes: []\nexport: { plain: allow }\n---\nmore: 1\n",
		  "p.yaml:6:1: a second document" },
	};
	struct policy p;
	struct error err;
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum rc rc = parse(cases[i].text, &p, &err);
		if (rc != RC_USAGE || !strstr(err.text, cases[i].says))
			fail_msg("%s -> %d %s", cases[i].text, (int)rc, err.text);
	}
	assert_int_equal(policy_read(&p, "/nonexistent/p.yaml", &err), RC_FAILED);
}

static void every_purpose_has_one_name(void **state)
{
	(void)state;
	for (int i = 0; i < PURPOSES; i++)
		assert_int_equal(policy_purpose(policy_purpose_names[i]), i);
	assert_int_equal(policy_purpose("fun"), -1);
	assert_int_equal(policy_purpose(""), -1);
}

static int64_t local_us(int year, int month, int day, int hour)
{
	struct tm tm = { .tm_year = year - 1900,
			 .tm_mon = month - 1,
			 .tm_mday = day,
			 .tm_hour = hour,
			 .tm_isdst = -1 };
	return (int64_t)mktime(&tm) * 1000000 + 123456;
}

static void months_are_calendar_months_in_local_time(void **state)
{
	static const struct {
		uint32_t months;
		int from[4], to[4];
	} cases[] = {
		{ 12, { 2026, 3, 3, 10 }, { 2027, 3, 3, 10 } },
		{ 12, { 2028, 2, 29, 10 }, { 2029, 2, 28, 10 } },
		{ 48, { 2028, 2, 29, 10 }, { 2032, 2, 29, 10 } },
		{ 1, { 2026, 1, 31, 10 }, { 2026, 2, 28, 10 } },
		{ 1, { 2026, 12, 31, 23 }, { 2027, 1, 31, 23 } },
		{ 6, { 2026, 1, 15, 12 }, { 2026, 7, 15, 12 } }, /* into summer time */
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct policy_class c = { .months = cases[i].months };
		const int *f = cases[i].from, *t = cases[i].to;
		assert_int_equal(policy_expiry_us(&c, local_us(f[0], f[1], f[2], f[3])),
				 local_us(t[0], t[1], t[2], t[3]));
	}
}

static void days_are_of_24_hours(void **state)
{
	const struct policy_class c = { .days = 30 };
	(void)state;
	assert_int_equal(policy_expiry_us(&c, HOUR_US + 7),
			 HOUR_US + 7 + INT64_C(30) * 86400 * 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shipped_profiles_allow_their_own_purposes),
		cmocka_unit_test(several_classes_and_any_default),
		cmocka_unit_test(wrong_files_are_refused_with_place_and_choices),
		cmocka_unit_test(every_purpose_has_one_name),
		cmocka_unit_test(months_are_calendar_months_in_local_time),
		cmocka_unit_test(days_are_of_24_hours),
	};
	if (setenv("TZ", "Europe/London", 1) != 0)
		return 1;
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
