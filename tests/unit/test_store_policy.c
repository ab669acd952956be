/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_policy.c: the policy file: what it may say, and where it is wrong. */
#include "store_help.h"

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
	assert_int_equal(month.two_persons, TWO_ERASE);
	assert_int_equal(year.two_persons, TWO_DISCLOSURE | TWO_ERASE);
	assert_int_equal(lab.two_persons, 0);
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
	assert_int_equal(policy_class_find(&p, "short")->days, 7);
	assert_null(policy_class_find(&p, "gone"));
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
		  "p.yaml:2:1: unknown key; the choices are: policy, retention, purposes, export, "
		  "two-persons, purge, groups, own, record" },
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
		{ "retention: { grace: 7 }\n", "p.yaml:1:21: a mapping" },
		{ "retention: { grace: { day: 7 } }\n",
		  "p.yaml:1:23: unknown key; the choices are: days" },
		{ "retention: { grace: {} }\n", "p.yaml:1:21: the key \"days\" is missing" },
		{ "retention: { grace: { days: week } }\n",
		  "p.yaml:1:29: a number from 0 to 36500" },
		{ "retention: { grace: { days: -1 } }\n", "p.yaml:1:29: a number" },
		{ "retention: { time-zone: Europe/Nowhere }\n", "p.yaml:1:25: a time zone" },
		{ "retention: { time-zone: ../../etc/localtime }\n", "p.yaml:1:25: a time zone" },
		{ "retention: { time-zone: \"\" }\n", "p.yaml:1:25: a time zone" },
		{ "retention: { time-zone: [ UTC ] }\n", "p.yaml:1:25: a time zone" },
		{ "purposes: complaint\n", "p.yaml:1:11: a list" },
		{ "purposes: [ fun ]\n",
		  "p.yaml:1:13: unknown purpose; the choices are: complaint, quality-sample" },
		{ "purposes: [ training, training ]\n",
		  "p.yaml:1:23: this purpose stands here twice" },
		{ "purposes: [ { roles: [ manager ] } ]\n",
		  "p.yaml:1:13: the key \"purpose\" is missing" },
		{ "purposes: [ { purpose: fun } ]\n", "p.yaml:1:24: unknown purpose" },
		{ "purposes: [ { purpose: training, role: manager } ]\n",
		  "p.yaml:1:34: unknown key; the choices are: purpose, roles" },
		{ "purposes: [ { purpose: training, roles: manager } ]\n",
		  "p.yaml:1:41: a list of roles" },
		{ "purposes: [ { purpose: training, roles: [] } ]\n",
		  "p.yaml:1:41: at least one role" },
		{ "purposes: [ { purpose: training, roles: [ auditor ] } ]\n",
		  "p.yaml:1:43: unknown value; the choices are: controller, manager, staff" },
		{ "two-persons: erase\n", "p.yaml:1:14: a list of acts" },
		{ "two-persons: [ purge ]\n",
		  "p.yaml:1:16: unknown value; the choices are: hold-release, erase, disclosure" },
		{ "purge: {}\n", "p.yaml:1:8: the key \"max-share\" is missing" },
		{ "purge: { share: 1 }\n", "p.yaml:1:10: unknown key; the choices are: max-share" },
		{ "purge: { max-share: 0 }\n", "p.yaml:1:21: a number from 1 to 100" },
		{ "purge: { max-share: 101 }\n", "p.yaml:1:21: a number from 1 to 100" },
		{ "purge: { max-share: 20% }\n", "p.yaml:1:21: a number from 1 to 100" },
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

static void what_a_file_leaves_out_has_its_usual_value(void **state)
{
	struct policy p;
	struct error err;
	(void)state;
	assert_int_equal(
		parse(GOOD_HEAD "purposes: [ training ]\nexport: { plain: refuse }\n", &p, &err),
		RC_OK);
	assert_int_equal(p.grace_days, 0);
	assert_string_equal(p.zone.name, "");
	assert_int_equal(p.purpose_roles[policy_purpose("training")],
			 ROLE_CONTROLLER | ROLE_MANAGER | ROLE_STAFF);
	assert_int_equal(p.two_persons, 0);
	assert_int_equal(p.max_share, 20);
	assert_int_equal(p.groups_count + p.members_count, 0);
}

static void everything_that_a_file_may_say_of_rights_and_periods(void **state)
{
	static const char text[] =
		"policy: all\n"
		"retention:\n"
		"  time-zone: Europe/London\n"
		"  grace: { days: 7 }\n"
		"  default: standard\n"
		"  classes: { standard: { months: 12 }, incident: { days: 3650 } }\n"
		"purposes:\n"
		"  - { purpose: complaint, roles: [ controller ] }\n"
		"  - crime-prevention\n"
		"  - { roles: [ manager, staff ], purpose: training }\n"
		"  - { purpose: abusive-calls }\n"
		"export: { plain: refuse }\n"
		"two-persons: [ hold-release, disclosure ]\n"
		"purge: { max-share: 5 }\n";
	struct policy p;
	struct error err = { "" };
	(void)state;
	if (parse(text, &p, &err) != RC_OK)
		fail_msg("%s", err.text);
	assert_string_equal(p.zone.name, "Europe/London");
	assert_int_equal(p.grace_days, 7);
	assert_int_equal(p.purpose_roles[policy_purpose("complaint")], ROLE_CONTROLLER);
	assert_int_equal(p.purpose_roles[policy_purpose("crime-prevention")],
			 ROLE_CONTROLLER | ROLE_MANAGER | ROLE_STAFF);
	assert_int_equal(p.purpose_roles[policy_purpose("training")], ROLE_MANAGER | ROLE_STAFF);
	assert_int_equal(p.purpose_roles[policy_purpose("abusive-calls")],
			 ROLE_CONTROLLER | ROLE_MANAGER | ROLE_STAFF);
	assert_true(allows(&p, "complaint") && allows(&p, "training"));
	assert_false(allows(&p, "quality-sample"));
	assert_int_equal(p.two_persons, TWO_HOLD_RELEASE | TWO_DISCLOSURE);
	assert_int_equal(p.max_share, 5);
}

static void every_purpose_has_one_name(void **state)
{
	(void)state;
	for (int i = 0; i < PURPOSES; i++)
		assert_int_equal(policy_purpose(policy_purpose_names[i]), i);
	assert_int_equal(policy_purpose("fun"), -1);
	assert_int_equal(policy_purpose(""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shipped_profiles_allow_their_own_purposes),
		cmocka_unit_test(several_classes_and_any_default),
		cmocka_unit_test(wrong_files_are_refused_with_place_and_choices),
		cmocka_unit_test(what_a_file_leaves_out_has_its_usual_value),
		cmocka_unit_test(everything_that_a_file_may_say_of_rights_and_periods),
		cmocka_unit_test(every_purpose_has_one_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
