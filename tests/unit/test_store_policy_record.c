/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_policy_record.c: what a policy file may say of what is recorded, and where it is wrong. */
#include "store_help.h"

#define HEAD                                                                                       \
	"policy: p\npurposes: []\nexport: { plain: refuse }\n"                                     \
	"retention: { default: short, classes: { short: { days: 7 }, long: { days: 90 } } }\n"

static struct policy policy;

static enum rc parse(const char *more, struct error *err)
{
	char text[8192];
	snprintf(text, sizeof text, HEAD "%s", more);
	return policy_parse(&policy, text, strlen(text), "p.yaml", err);
}

static void a_file_that_says_nothing_records_every_call(void **state)
{
	struct error err;
	(void)state;
	assert_int_equal(parse("", &err), RC_OK);
	assert_int_equal(policy.calls, POLICY_CALLS_ALL);
	assert_int_equal(policy.dtmf, DTMF_COUNT);
	assert_int_equal(policy.orphans, ORPHANS_AFTER_START);
	assert_false(policy.signalling);
	assert_int_equal(policy.nevers_count + policy.rules_count + policy.nodes_count, 0);
	assert_int_equal(policy.networks_count + policy.domains_count + policy.numbers_count, 0);
}

static void everything_at_once(void **state)
{
	static const char text[] =
		"own:\n"
		"  networks: [ 10.0.0.0/8, \"fd00::/8\", 192.0.2.7 ]\n"
		"  domains: [ Example.ORG ]\n"
		"  numbers: [ \"+44 207 946*\", 2??? ]\n"
		"record:\n"
		"  calls: external\n"
		"  dtmf: keep\n"
		"  signalling: on\n"
		"  orphans: on\n"
		"  never: [ \"+44 1632-960999\", 0044163296* ]\n"
		"  rules:\n"
		"    - do: skip\n"
		"      when:\n"
		"        from-address: 10.9.0.0/16\n"
		"        not: { number: [ \"2*\", 3001 ] }\n"
		"    - { when: { direction: inbound }, do: record, class: long }\n"
		"    - { when: { to: \"0*\" }, do: never }\n";
	struct error err = { "" };
	(void)state;
	if (parse(text, &err) != RC_OK)
		fail_msg("%s", err.text);
	assert_int_equal(policy.networks_count, 3);
	assert_int_equal(policy.networks[0].bits, 104);
	assert_int_equal(policy.networks[1].bits, 8);
	assert_int_equal(policy.networks[2].bits, 128);
	assert_string_equal(policy.domains[0], "example.org");
	assert_string_equal(policy.numbers[0], "44207946*");
	assert_string_equal(policy.numbers[1], "2???");
	assert_int_equal(policy.calls, POLICY_CALLS_EXTERNAL);
	assert_int_equal(policy.dtmf, DTMF_KEEP);
	assert_int_equal(policy.orphans, ORPHANS_ON);
	assert_true(policy.signalling);
	assert_string_equal(policy.nevers[0], "441632960999");
	assert_string_equal(policy.nevers[1], "44163296*");
	assert_int_equal(policy.rules_count, 3);
	assert_int_equal(policy.rules[0].action, POLICY_SKIP);
	assert_int_equal(policy.rules[0].class, 0);
	assert_int_equal(policy.rules[1].class, 1);
	assert_int_equal(policy.rules[2].action, POLICY_NEVER);

	static const struct {
		uint8_t test;
		uint16_t end;
	} nodes[] = {
		{ POLICY_TEST_ALL, 7 },       { POLICY_TEST_FROM_ADDRESS, 2 },
		{ POLICY_TEST_NOT, 7 },       { POLICY_TEST_ALL, 7 },
		{ POLICY_TEST_ANY, 7 },       { POLICY_TEST_NUMBER, 6 },
		{ POLICY_TEST_NUMBER, 7 },    { POLICY_TEST_ALL, 9 },
		{ POLICY_TEST_DIRECTION, 9 }, { POLICY_TEST_ALL, 11 },
		{ POLICY_TEST_TO, 11 },
	};
	assert_int_equal(policy.nodes_count, sizeof nodes / sizeof nodes[0]);
	for (size_t i = 0; i < policy.nodes_count; i++) {
		assert_int_equal(policy.nodes[i].test, nodes[i].test);
		assert_int_equal(policy.nodes[i].end, nodes[i].end);
	}
	assert_int_equal(policy.nodes[8].which, DIRECTION_INBOUND);
}

static void groups_are_named_before_or_after_they_are_given(void **state)
{
	static const char text[] =
		"record:\n"
		"  rules:\n"
		"    - { when: { group: night }, do: skip }\n"
		"    - { when: { from-group: [ sales, night ], to-group: sales }, do: record }\n"
		"groups:\n"
		"  sales: [ 2???, \"+44 207 946*\" ]\n"
		"  night: [ desk ]\n";
	struct error err = { "" };
	(void)state;
	if (parse(text, &err) != RC_OK)
		fail_msg("%s", err.text);
	assert_int_equal(policy.groups_count, 2);
	assert_int_equal(policy.members_count, 3);
	const struct policy_group *sales = policy_group_find(&policy, "sales");
	const struct policy_group *night = policy_group_find(&policy, "night");
	assert_non_null(sales);
	assert_non_null(night);
	assert_null(policy_group_find(&policy, "day"));
	assert_true(policy_group_has(&policy, sales, "2001"));
	assert_true(policy_group_has(&policy, sales, "442079460001"));
	assert_false(policy_group_has(&policy, sales, "desk"));
	assert_true(policy_group_has(&policy, night, "desk"));
	static const struct {
		uint8_t test, which;
	} nodes[] = { { POLICY_TEST_ALL, 0 },        { POLICY_TEST_GROUP, 1 },
		      { POLICY_TEST_ALL, 0 },        { POLICY_TEST_ANY, 0 },
		      { POLICY_TEST_FROM_GROUP, 0 }, { POLICY_TEST_FROM_GROUP, 1 },
		      { POLICY_TEST_TO_GROUP, 0 } };
	assert_int_equal(policy.nodes_count, sizeof nodes / sizeof nodes[0]);
	for (size_t i = 0; i < policy.nodes_count; i++) {
		assert_int_equal(policy.nodes[i].test, nodes[i].test);
		assert_int_equal(policy.nodes[i].which, nodes[i].which);
	}
}

static void lines_never_recorded_turn_unknown_media_off_unless_it_is_asked_for(void **state)
{
	struct error err;
	(void)state;
	assert_int_equal(parse("record: { never: [ \"1\" ] }\n", &err), RC_OK);
	assert_int_equal(policy.orphans, ORPHANS_OFF);
	assert_int_equal(parse("record: { rules: [ { when: { to: \"1\" }, do: never } ] }\n", &err),
			 RC_OK);
	assert_int_equal(policy.orphans, ORPHANS_OFF);
	assert_int_equal(parse("record: { orphans: after-start, never: [ \"1\" ] }\n", &err),
			 RC_OK);
	assert_int_equal(policy.orphans, ORPHANS_AFTER_START);
}

static void where_calls_are_left_out_unknown_media_is_too(void **state)
{
	static const char *const texts[] = {
		"record: { calls: external }\n",
		"record: { calls: rules }\n",
		"record: { rules: [ { when: { to: \"1\" }, do: skip } ] }\n",
	};
	struct error err;
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		assert_int_equal(parse(texts[i], &err), RC_OK);
		assert_int_equal(policy.orphans, ORPHANS_OFF);
	}
	assert_int_equal(parse("record: { calls: rules, orphans: on }\n", &err), RC_OK);
	assert_int_equal(policy.orphans, ORPHANS_ON);
	assert_int_equal(
		parse("record: { rules: [ { when: { to: \"1\" }, do: record } ] }\n", &err), RC_OK);
	assert_int_equal(policy.orphans, ORPHANS_AFTER_START);
}

static void wrong_files_are_refused_with_place_and_choices(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "own: 1\n", ":5:6: a mapping" },
		{ "own: { network: [] }\n",
		  ":5:8: unknown key; the choices are: networks, domains, numbers" },
		{ "own: { networks: 10.0.0.0/8 }\n", ":5:18: a list of networks" },
		{ "own: { networks: [ 10.0.0.0/33 ] }\n", ":5:20: a network" },
		{ "own: { networks: [ 10.0.0.0/ ] }\n", ":5:20: a network" },
		{ "own: { networks: [ 10.0.0.0/-1 ] }\n", ":5:20: a network" },
		{ "own: { networks: [ \"fd00::/129\" ] }\n", ":5:20: a network" },
		{ "own: { networks: [ lan ] }\n", ":5:20: a network" },
		{ "own: { networks: [ 10.1.0.0/8 ] }\n", ":5:20: this network has address bits" },
		{ "own: { domains: [ a/b ] }\n", ":5:19: a domain" },
		{ "own: { numbers: [ [] ] }\n", ":5:19: a number pattern" },
		{ "own: { numbers: [ \"\" ] }\n", ":5:19: a number pattern" },
		{ "own: { numbers: [ \"+\" ] }\n", ":5:19: a number pattern" },
		{ "own: { numbers: [ \"+*\" ] }\n", ":5:19: a number pattern" },
		{ "record: { call: all }\n",
		  ":5:11: unknown key; the choices are: calls, dtmf, signalling, orphans, never, "
		  "rules" },
		{ "record: { calls: none }\n",
		  ":5:18: unknown value; the choices are: all, external, rules" },
		{ "record: { dtmf: yes }\n",
		  ":5:17: unknown value; the choices are: off, count, keep" },
		{ "record: { signalling: true }\n",
		  ":5:23: unknown value; the choices are: off, on" },
		{ "record: { orphans: 1 }\n",
		  ":5:20: unknown value; the choices are: off, after-start, on" },
		{ "record: { never: x }\n", ":5:18: a list" },
		{ "record: { rules: { } }\n", ":5:18: a list of rules" },
		{ "record: { rules: [ { do: skip } ] }\n", ":5:20: the key \"when\" is missing" },
		{ "record: { rules: [ { when: { to: 1 } } ] }\n",
		  ":5:20: the key \"do\" is missing" },
		{ "record: { rules: [ { do: drop } ] }\n",
		  ":5:26: unknown value; the choices are: record, skip, never" },
		{ "record: { rules: [ { when: {}, do: skip } ] }\n", ":5:28: at least one" },
		{ "record: { rules: [ { when: { any: [] }, do: skip } ] }\n",
		  ":5:35: at least one" },
		{ "record: { rules: [ { when: { interface: x } } ] }\n",
		  ":5:30: unknown key; the choices are: address, from-address, to-address, "
		  "direction, number, from, to, group, from-group, to-group, header, all, any, "
		  "not" },
		{ "record: { rules: [ { when: { direction: up } } ] }\n",
		  ":5:41: unknown value; the choices are: unknown, inbound, outbound, internal" },
		{ "record: { rules: [ { when: { header: { name: subject, matches: x } } } ] }\n",
		  ":5:46: unknown header; the choices are: user-agent, p-asserted-identity, "
		  "diversion, from-domain, to-domain" },
		{ "record: { rules: [ { when: { header: { name: diversion } } } ] }\n",
		  ":5:38: the key \"matches\" is missing" },
		{ "record: { rules: [ { when: { to: 1 }, do: record, class: none } ] }\n",
		  ":5:58: the class is not one of retention.classes" },
		{ "record: { rules: [ { when: { to: 1 }, do: skip, class: long } ] }\n",
		  ":5:56: a call that is not recorded" },
		{ "groups: [ sales ]\n", ":5:9: a mapping of group names" },
		{ "groups: { Sales: [ 1 ] }\n", ":5:11: a group's name" },
		{ "groups: { sales: 1 }\n", ":5:18: a list of number patterns" },
		{ "groups: { sales: [] }\n", ":5:18: at least one number pattern" },
		{ "groups: { sales: [ \"\" ] }\n", ":5:20: a number pattern" },
		{ "groups: { a: [ 1 ], a: [ 2 ] }\n", ":5:21: this group stands here twice" },
		{ "groups: { a: [ 1 ] }\n"
		  "record: { rules: [ { when: { group: b }, do: skip } ] }\n",
		  ":6:37: this is not one of the groups" },
		{ "record: { rules: [ { when: { to-group: [ a, 1* ] }, do: skip } ] }\n",
		  ":5:45: the name of a group" },
		{ "record: { rules: [ { when: { from-group: a }, do: skip } ] }\n",
		  ":5:42: this is not one of the groups" },
		{ "record: { rules: [ { when: &a { not: *a }, do: skip } ] }\n",
		  "conditions stand in conditions too deeply" },
		{ "record: { rules: [ { when: { not: { not: { not: { not: { not: { not: { not: { "
		  "not: { to: 1 } } } } } } } } } } ] }\n",
		  "too deeply" },
	};
	struct error err;
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum rc rc = parse(cases[i].text, &err);
		if (rc != RC_USAGE || !strstr(err.text, cases[i].says))
			fail_msg("%s -> %d %s", cases[i].text, (int)rc, err.text);
	}
}

/* `n` times `item`, in a list of `list`. */
static enum rc parse_many(const char *list, const char *item, unsigned n, struct error *err)
{
	static char text[16384];
	size_t at = (size_t)snprintf(text, sizeof text, HEAD "%s", list);
	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s", item);
	snprintf(text + at, sizeof text - at, "] }\n");
	return policy_parse(&policy, text, strlen(text), "p.yaml", err);
}

static void what_a_policy_holds_is_bounded(void **state)
{
	static const struct {
		const char *list, *item;
		unsigned most;
	} cases[] = {
		{ "own: { networks: [", "10.0.0.1, ", POLICY_NETWORKS },
		{ "own: { domains: [", "a, ", POLICY_DOMAINS },
		{ "own: { numbers: [", "1, ", POLICY_NUMBERS },
		{ "groups: { a: [", "1, ", POLICY_MEMBERS },
		{ "record: { never: [", "1, ", POLICY_NEVERS },
		{ "record: { rules: [", "{ when: { to: 1 }, do: skip }, ", POLICY_RULES },
		{ "record: { rules: [",
		  "{ when: { to: [1,2,3,4,5,6,7,8,9,0,1,2,3,4] }, do: skip },", POLICY_NODES / 16 },
	};
	struct error err = { "" };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (parse_many(cases[i].list, cases[i].item, cases[i].most, &err) != RC_OK)
			fail_msg("%s %s", cases[i].list, err.text);
		enum rc rc = parse_many(cases[i].list, cases[i].item, cases[i].most + 1, &err);
		if (rc != RC_USAGE || !strstr(err.text, "too many"))
			fail_msg("%s -> %d %s", cases[i].list, (int)rc, err.text);
	}
	for (unsigned n = POLICY_GROUPS; n <= POLICY_GROUPS + 1; n++) {
		char text[1024] = "groups: { ";
		for (unsigned i = 0; i < n; i++)
			snprintf(text + strlen(text), sizeof text - strlen(text), "g%u: [ 1 ], ",
				 i);
		strcat(text, "}\n");
		assert_int_equal(parse(text, &err), n > POLICY_GROUPS ? RC_USAGE : RC_OK);
	}
	assert_non_null(strstr(err.text, "too many groups"));
}

static void numbers_are_compared_by_what_they_mean(void **state)
{
	static const struct {
		const char *pattern, *party;
		bool match;
	} cases[] = {
		{ "+44 1632 960999", "+441632960999", true },
		{ "+44 1632 960999", "00441632960999", true },
		{ "+44 1632 960999", "01632960999", true },
		{ "+44 1632 960999", "(01632) 960-999", true },
		{ "+44 1632 960999", "960999", false },
		{ "+44 1632 960999", "01632960998", false },
		{ "960999", "01632960999", true },
		{ "60999", "01632960999", false },
		{ "2001", "2001", true },
		{ "2001", "12001", false },
		{ "2???", "2001", true },
		{ "2???", "20011", false },
		{ "2???", "201", false },
		{ "+44207946*", "+442079460123", true },
		{ "+44207946*", "02079460123", false },
		{ "*999", "01632960999", true },
		{ "*", "", true },
		{ "*", "anybody", true },
		{ "1*2*3", "1002233", true },
		{ "1*2*3", "10022334", false },
		{ "Doctor*", "doctor.who", true },
		{ "reception", "Reception", true },
		{ "reception", "receptionist", false },
		{ "1", "", false },
	};
	char pattern[POLICY_PATTERN], number[POLICY_NUMBER];
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_true(policy_pattern(cases[i].pattern, pattern));
		(void)policy_number(cases[i].party, number);
		if (policy_number_matches(pattern, number) != cases[i].match)
			fail_msg("%s (%s) and %s (%s)", cases[i].pattern, pattern, cases[i].party,
				 number);
	}
	char longest[POLICY_PATTERN + 1];
	memset(longest, '1', POLICY_PATTERN);
	longest[POLICY_PATTERN] = '\0';
	assert_false(policy_pattern(longest, pattern));
	assert_true(policy_pattern(longest + 1, pattern));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_says_nothing_records_every_call),
		cmocka_unit_test(everything_at_once),
		cmocka_unit_test(groups_are_named_before_or_after_they_are_given),
		cmocka_unit_test(
			lines_never_recorded_turn_unknown_media_off_unless_it_is_asked_for),
		cmocka_unit_test(where_calls_are_left_out_unknown_media_is_too),
		cmocka_unit_test(wrong_files_are_refused_with_place_and_choices),
		cmocka_unit_test(what_a_policy_holds_is_bounded),
		cmocka_unit_test(numbers_are_compared_by_what_they_mean),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
