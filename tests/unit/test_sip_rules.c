/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_rules.c: what the policy makes of calls: rules, direction, lines that are never recorded. */
#include "sip_lab.h"

#define HEAD                                                                                       \
	"policy: p\npurposes: []\nexport: { plain: refuse }\n"                                     \
	"retention: { default: short, classes: { short: { days: 7 }, long: { days: 90 } } }\n"

static void read_policy(struct policy *p, const char *more)
{
	char text[4096];
	struct error err = { "" };
	snprintf(text, sizeof text, HEAD "%s", more);
	if (policy_parse(p, text, strlen(text), "p", &err) != RC_OK)
		fail_msg("%s", err.text);
}

static void lab_with(struct sip_lab *l, const char *more)
{
	struct policy *p = malloc(sizeof *p);
	assert_non_null(p);
	read_policy(p, more);
	struct signalling_config cfg = lab_config(l);
	cfg.policy = p;
	lab_start(l, &cfg);
	free(p);
	l->src = "10.0.0.1";
	l->dst = "10.0.0.2";
}

#define NEVER "record: { never: [ \"+44 1632 960999\", \"77??\" ] }\n"

/* ---- rules ------------------------------------------------------------------------------------- */

#define OWN                                                                                        \
	"own: { networks: [ 10.0.0.0/8 ], domains: [ lab ], numbers: [ \"2???\", \"+4420*\" ] }\n"

static void rules_decide_by_what_the_invite_says(void **state)
{
	static const struct {
		const char *record, *extra, *told; /* "" not recorded; else the class */
	} cases[] = {
		{ "record: { calls: all }\n", "", "short" },
		{ "record: { calls: rules }\n", "", "" },
		{ "record: { rules: [ { when: { from: \"100\" }, do: skip } ] }\n", "", "" },
		{ "record: { rules: [ { when: { from: \"101\" }, do: skip } ] }\n", "", "short" },
		{ "record: { rules: [ { when: { to: \"2?0\" }, do: record, class: long } ] }\n", "",
		  "long" },
		{ "record: { rules: [ { when: { number: \"1*\" }, do: record, class: long } ] }\n",
		  "", "long" },
		{ "record: { rules: [ { when: { number: [ \"5*\", \"20*\" ] }, do: skip } ] }\n",
		  "", "" },
		{ "record: { rules: [ { when: { from: \"1*\", to: \"3*\" }, do: skip } ] }\n", "",
		  "short" },
		{ "record: { rules: [ { when: { any: [ { from: \"9*\" }, { to: \"2*\" } ] }, do: "
		  "skip } ] }\n",
		  "", "" },
		{ "record: { rules: [ { when: { not: { to: \"2*\" } }, do: skip } ] }\n", "",
		  "short" },
		{ "record: { rules: [ { when: { not: { any: [ { to: \"3*\" }, { to: \"4*\" } ] } "
		  "}, do: skip } ] }\n",
		  "", "" },
		{ "record: { rules: [ { when: { from-address: 10.0.0.1 }, do: skip } ] }\n", "",
		  "" },
		{ "record: { rules: [ { when: { from-address: 10.0.0.2 }, do: skip } ] }\n", "",
		  "short" },
		{ "record: { rules: [ { when: { to-address: 10.0.0.0/30 }, do: skip } ] }\n", "",
		  "" },
		{ "record: { rules: [ { when: { address: [ 192.0.2.0/24, 10.0.0.2/31 ] }, do: skip "
		  "} ] }\n",
		  "", "" },
		{ "record: { rules: [ { when: { address: \"::/0\" }, do: skip } ] }\n", "",
		  "short" },
		{ "record: { rules: [ { when: { address: 0.0.0.0/0 }, do: skip } ] }\n", "", "" },
		{ "record: { rules: [ { when: { header: { name: user-agent, matches: \"*bot*\" } "
		  "}, do: skip } ] }\n",
		  "user-agent:  TheBot/2\r\n", "" },
		{ "record: { rules: [ { when: { header: { name: user-agent, matches: \"*bot*\" } "
		  "}, do: skip } ] }\n",
		  "", "short" },
		{ "record: { rules: [ { when: { header: { name: to-domain, matches: LAB } }, do: "
		  "skip } ] }\n",
		  "", "" },
		{ "record: { rules: [ { when: { header: { name: diversion, matches: \"*300@*\" } "
		  "}, do: skip } ] }\n",
		  "Diversion: <sip:300@lab>\r\n", "" },
		{ "record: { rules: [ { when: { from: \"+4912345\" }, do: skip } ] }\n",
		  "P-Asserted-Identity: <tel:+49-123-45>\r\n", "" },
		/* the first that matches */
		{ "record: { rules: [ { when: { to: \"200\" }, do: record, class: long }, { when: "
		  "{ from: \"100\" }, do: skip } ] }\n",
		  "", "long" },
		/* both numbers are strangers': neither in nor out */
		{ OWN "record: { calls: external }\n", "", "short" },
		{ OWN "record: { rules: [ { when: { direction: unknown }, do: skip } ] }\n", "",
		  "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sip_lab l;
		lab_with(&l, cases[i].record);
		l.extra = cases[i].extra;
		say(&l, 0, "INVITE 1 a - z1", NULL);
		bool listed = strncmp(l.log, "open\n", 5) == 0;
		if (listed != (cases[i].told[0] != '\0') ||
		    (listed && strcmp(l.opened.retention, cases[i].told) != 0))
			fail_msg("%zu: %s -> %s %s", i, cases[i].record, l.log, l.opened.retention);
		assert_int_equal(counted(&l, COUNT_CALLS_NOT_RECORDED), !listed);
		lab_free(&l);
	}
}

#define GROUPS                                                                                     \
	"groups: { sales: [ \"1??\", \"+44207946*\" ], desk: [ reception, \"200\" ], none: [ "     \
	"\"9*\" ] "                                                                                \
	"}\n"
#define RULE(when, then)                                                                           \
	GROUPS "record: { rules: [ { when: { " when " }, do: record, class: long } ] }\n", then

/* 100 calls 200. */
static void a_class_is_given_by_group_number_line_and_direction(void **state)
{
	static const struct {
		const char *record, *class, *from, *to, *extra;
	} cases[] = {
		{ RULE("group: sales", "long"), NULL, NULL, "" },
		{ RULE("group: desk", "long"), NULL, NULL, "" },
		{ RULE("group: none", "short"), NULL, NULL, "" },
		{ RULE("group: [ none, desk ]", "long"), NULL, NULL, "" },
		{ RULE("from-group: sales", "long"), NULL, NULL, "" },
		{ RULE("from-group: desk", "short"), NULL, NULL, "" },
		{ RULE("to-group: sales", "short"), NULL, NULL, "" },
		{ RULE("to-group: desk", "long"), NULL, NULL, "" },
		{ RULE("from-group: sales, to-group: desk", "long"), NULL, NULL, "" },
		{ RULE("from-group: sales, to-group: [ sales, none ]", "short"), NULL, NULL, "" },
		{ RULE("not: { group: none }", "long"), NULL, NULL, "" },
		{ RULE("not: { group: [ none, sales ] }", "short"), NULL, NULL, "" },
		/* by another form of the number, by a word, by who asserts it */
		{ RULE("from-group: sales", "long"), "<sip:0044207946000@lab>", NULL, "" },
		{ RULE("to-group: desk", "long"), NULL, "<sip:Reception@lab>", "" },
		{ RULE("from-group: sales", "short"), "<sip:anonymous@anonymous.invalid>", NULL,
		  "" },
		{ RULE("from-group: sales", "long"), "<sip:anonymous@anonymous.invalid>", NULL,
		  "P-Asserted-Identity: <tel:+44-20-7946-123>\r\n" },
		/* by number, line and direction */
		{ RULE("number: \"20?\"", "long"), NULL, NULL, "" },
		{ RULE("to-address: 10.0.0.2", "long"), NULL, NULL, "" },
		{ OWN RULE("direction: outbound", "long"), "<sip:2001@lab>",
		  "<sip:07700900123@lab>", "" },
		{ OWN RULE("direction: inbound", "short"), "<sip:2001@lab>",
		  "<sip:07700900123@lab>", "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sip_lab l;
		lab_with(&l, cases[i].record);
		l.from = cases[i].from ? cases[i].from : l.from;
		l.to = cases[i].to ? cases[i].to : l.to;
		l.extra = cases[i].extra;
		say(&l, 0, "INVITE 1 a - z1", NULL);
		if (strcmp(l.opened.retention, cases[i].class) != 0)
			fail_msg("%zu: %s -> %s", i, cases[i].record, l.opened.retention);
		lab_free(&l);
	}
}

static void direction_is_told_by_numbers_then_domains_then_addresses(void **state)
{
	static const struct {
		const char *own, *from, *to;
		enum call_direction direction;
	} cases[] = {
		{ "", "<sip:2001@lab>", "<sip:2002@lab>", DIRECTION_UNKNOWN },
		{ "own: { networks: [ 10.0.0.1 ] }\n", "<sip:a@x>", "<sip:b@x>",
		  DIRECTION_OUTBOUND },
		{ "own: { networks: [ 10.0.0.2 ] }\n", "<sip:a@x>", "<sip:b@x>",
		  DIRECTION_INBOUND },
		{ "own: { networks: [ 10.0.0.0/8 ] }\n", "<sip:a@x>", "<sip:b@x>",
		  DIRECTION_INTERNAL },
		{ "own: { networks: [ 192.0.2.0/24 ] }\n", "<sip:a@x>", "<sip:b@x>",
		  DIRECTION_UNKNOWN },
		{ "own: { domains: [ Example.org ] }\n", "<sip:a@pbx.example.org>",
		  "<sip:b@notexample.org>", DIRECTION_OUTBOUND },
		{ "own: { domains: [ example.org ], networks: [ 10.0.0.0/8 ] }\n",
		  "<sip:a@192.0.2.1>", "<sip:b@other.net>", DIRECTION_OUTBOUND },
		{ OWN, "<sip:2001@lab>", "<sip:2002@lab>", DIRECTION_INTERNAL },
		{ OWN, "<sip:2001@lab>", "<sip:0049301@lab>", DIRECTION_OUTBOUND },
		{ OWN, "<sip:+49301@lab>", "<tel:+44-20-7946-0000>", DIRECTION_INBOUND },
		{ OWN, "<sip:reception@lab>", "<sip:07700900123@lab>", DIRECTION_OUTBOUND },
		{ OWN, "<sip:+49301@lab>", "<sip:+49302@lab>", DIRECTION_UNKNOWN },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sip_lab l;
		lab_with(&l, cases[i].own);
		l.from = cases[i].from;
		l.to = cases[i].to;
		say(&l, 0, "INVITE 1 a - z1", NULL);
		if (l.last.direction != cases[i].direction)
			fail_msg("%zu: %d", i, l.last.direction);
		lab_free(&l);
	}
}

static void external_leaves_out_what_stays_inside(void **state)
{
	struct sip_lab l;
	(void)state;
	lab_with(&l, OWN "record: { calls: external }\n");
	l.from = "<sip:2001@lab>";
	l.to = "<sip:2002@lab>";
	say(&l, 0, "INVITE 1 a - z1", NULL);
	told(&l, "");
	l.call_id = "call-2@lab";
	l.to = "<sip:07700900123@lab>";
	say(&l, 0, "INVITE 1 c - z2", NULL);
	told(&l, "open\nrecord trying\n");
	lab_free(&l);
}

static void skipped_call_is_followed_and_its_media_discarded(void **state)
{
	struct sip_lab l;
	(void)state;
	lab_with(&l, "record: { calls: rules, signalling: on }\n");
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	told(&l, "expect caller 10.0.0.1:4000 from 0 pt 0\n");
	assert_true(l.expected.discard);
	assert_true(l.expected.call & CALL_UNWRITTEN);
	say(&l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	told(&l, "expect callee 10.0.0.2:5000 from 0 pt 0\n");
	assert_true(l.expected.discard);
	signalling_alive(l.s, l.expected.call, at_ms(2000));
	say(&l, 5000, "BYE 2 a b z3", NULL);
	say(&l, 5020, "200 BYE 2 a b z3", NULL);
	told(&l, "forget all until 5000\n");
	assert_int_equal(signalling_calls(l.s), 0);
	assert_int_equal(l.messages, 0);
	lab_free(&l);
}

/* ---- lines never recorded ------------------------------------------------------------------------ */

static void assert_nameless(const struct call_record *r)
{
	struct call_record times;
	memset(&times, 0, sizeof times);
	times.id = times.conversation = r->id;
	times.state = r->state;
	times.outcome = r->outcome;
	times.start_us = r->start_us;
	times.ring_us = r->ring_us;
	times.answer_us = r->answer_us;
	times.end_us = r->end_us;
	times.until_us = r->until_us;
	memcpy(times.policy, r->policy, sizeof times.policy);
	memcpy(times.recorder, r->recorder, sizeof times.recorder);
	times.coverage_count = 1;
	snprintf(times.coverage[0], sizeof times.coverage[0], "excluded");
	assert_memory_equal(r, &times, sizeof times);
}

static void a_line_never_recorded_is_found_wherever_it_stands(void **state)
{
	static const struct {
		const char *from, *to, *extra;
		bool never;
	} cases[] = {
		{ NULL, NULL, "", false },
		{ "<sip:+441632960999@lab>", NULL, "", true },
		{ "<sip:01632960999@lab>", NULL, "", true },
		{ "<sip:00441632960999@lab;user=phone>", NULL, "", true },
		{ "<sips:%2B44%31632960999@lab>", NULL, "", true },
		{ "\"01632 960 999\" <sip:anonymous@anonymous.invalid>", NULL, "", true },
		{ NULL, "<tel:+44-1632-960-999;phone-context=x>", "", true },
		{ NULL, "<sip:7700@lab>", "", true },
		{ NULL, "<sip:77001@lab>", "", false },
		{ "<sip:anonymous@anonymous.invalid>", NULL,
		  "P-Asserted-Identity: <sip:x@lab>, <tel:+441632960999>\r\n", true },
		{ NULL, NULL, "Diversion: <sip:300@lab>;reason=x,\r\n <sip:7712@lab>\r\n", true },
		{ NULL, NULL, "History-Info: <sip:7712@lab>;index=1\r\n", true },
		{ NULL, NULL, "Remote-Party-ID: \"x\" <SIP:7712@lab>\r\n", true },
		{ NULL, NULL, "Contact: <sip:7712@10.0.0.9>\r\n", true },
		{ NULL, NULL, "Contact: <sip:10.0.77.12:5060>\r\n", false },
		{ NULL, NULL, "Referred-By: <sip:7712@lab>\r\n", false },
		{ NULL, NULL, "Referred-By: x\r\n <sip:7712@lab>\r\n", false },
		{ NULL, NULL, "X-Ticket: 7712\r\n", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sip_lab l;
		lab_with(&l, NEVER);
		l.from = cases[i].from ? cases[i].from : l.from;
		l.to = cases[i].to ? cases[i].to : l.to;
		l.extra = cases[i].extra;
		say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
		if (l.expected.discard != cases[i].never ||
		    counted(&l, COUNT_CALLS_EXCLUDED) != cases[i].never)
			fail_msg("%zu", i);
		if (cases[i].never)
			assert_nameless(&l.last);
		else
			assert_string_equal(l.last.referred_by, "");
		lab_free(&l);
	}
}

static void excluded_call_is_told_of_with_times_alone(void **state)
{
	struct sip_lab l;
	(void)state;
	lab_with(&l, "record: { never: [ \"200\" ], signalling: on, dtmf: keep }\n");
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 0 pt 0\n");
	assert_true(l.expected.discard);
	assert_nameless(&l.last);
	say(&l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	assert_true(l.expected.discard);
	say(&l, 2000, "INVITE 2 a b z3", sdp("10.0.0.1", 4002));
	assert_true(l.expected.discard);
	say(&l, 2010, "200 INVITE 2 a b z3", sdp("10.0.0.2", 5002));
	assert_true(l.expected.discard);
	l.type = "application/dtmf-relay";
	say(&l, 3000, "INFO 3 a b z4", "Signal=5\r\n");
	l.type = "application/sdp";
	say(&l, 5000, "BYE 4 a b z5", NULL);
	say(&l, 5020, "200 BYE 4 a b z5", NULL);
	assert_int_equal(l.last.state, CALL_ENDED);
	assert_int_equal(ms_of_us(l.last.answer_us), 1000);
	assert_int_equal(ms_of_us(l.last.end_us), 5000);
	assert_nameless(&l.last);
	assert_int_equal(l.messages, 0);
	assert_int_equal(counted(&l, COUNT_CALLS_EXCLUDED), 1);
	lab_free(&l);
}

/* Looking at each would take a message of 64 KiB a second. */
static void whoever_names_countless_parties_names_such_a_line(void **state)
{
	static const struct {
		int parties;
		bool never;
	} cases[] = { { 400, false }, { 600, true } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sip_lab l;
		char extra[4096] = "X-All: ";
		for (int n = 0; n < cases[i].parties; n++)
			strcat(extra, "sip:5 ");
		strcat(extra, "\r\n");
		lab_with(&l, NEVER);
		l.extra = extra;
		say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
		assert_int_equal(l.expected.discard, cases[i].never);
		lab_free(&l);
	}
}

static void a_party_is_found_at_the_front_of_an_endless_uri(void **state)
{
	struct sip_lab l;
	char extra[4096] = "X-All: sip:7712@lab;";
	(void)state;
	memset(extra + strlen(extra), 'x', 3000);
	strcat(extra, "\r\n");
	lab_with(&l, NEVER);
	l.extra = extra;
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	assert_true(l.expected.discard);
	lab_free(&l);
}

static void rule_never_excludes_as_the_list_does(void **state)
{
	struct sip_lab l;
	(void)state;
	lab_with(&l, "record: { rules: [ { when: { to-address: 10.0.0.2 }, do: never } ] }\n");
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	assert_true(l.expected.discard);
	assert_nameless(&l.last);
	lab_free(&l);
}

/* Forwarded on no answer: the answer comes from the line that is never recorded. */
static void line_that_comes_in_before_the_answer_excludes_the_whole_call(void **state)
{
	struct sip_lab l;
	(void)state;
	lab_with(&l, NEVER);
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	assert_false(l.expected.discard);
	l.log[0] = '\0';
	l.extra = "P-Asserted-Identity: <sip:7712@lab>\r\n";
	say(&l, 900, "183 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	l.extra = "";
	assert_non_null(strstr(l.log, "forget 10.0.0.1:4000 until 0\n"
				      "expect caller 10.0.0.1:4000 from 0 pt 0\n"));
	assert_true(l.forgotten.until_ns < at_ms(0));
	assert_true(l.expected.discard);
	assert_nameless(&l.last);
	say(&l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	assert_nameless(&l.last);
	lab_free(&l);
}

static void transfer_to_such_a_line_ends_the_recording_there(void **state)
{
	struct sip_lab l;
	(void)state;
	lab_with(&l, "record: { never: [ \"77??\" ], signalling: on }\n");
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(&l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	unsigned kept = l.messages;
	assert_int_equal(kept, 2);
	l.log[0] = '\0';
	l.extra = "Refer-To: <sip:7712@lab>\r\n";
	say(&l, 3000, "REFER 2 b a y1", NULL);
	l.extra = "";
	assert_non_null(strstr(l.log, "forget 10.0.0.1:4000 until 3000\n"));
	assert_non_null(strstr(l.log, "forget 10.0.0.2:5000 until 3000\n"));
	assert_true(l.expected.discard);
	assert_string_equal(l.last.from, "100");
	assert_int_equal(l.last.coverage_count, 1);
	assert_string_equal(l.last.coverage[0], "excluded-part");
	say(&l, 4000, "INVITE 5 b a y2", sdp("10.0.0.7", 6000));
	assert_true(l.expected.discard);
	say(&l, 4010, "200 INVITE 5 b a y2", sdp("10.0.0.1", 4000));
	say(&l, 5000, "BYE 2 a b z5", NULL);
	say(&l, 5020, "200 BYE 2 a b z5", NULL);
	assert_int_equal(l.last.state, CALL_ENDED);
	assert_int_equal(ms_of_us(l.last.end_us), 5000);
	assert_int_equal(l.messages, kept);
	lab_free(&l);
}

/* Both legs of a call through an exchange cross the mirror; only the second tells who answered. */
static void what_excludes_one_leg_excludes_the_other(void **state)
{
	struct sip_lab l;
	(void)state;
	lab_with(&l, NEVER);
	l.dst = "10.0.0.9";
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	uint64_t first = l.call;
	l.call_id = "call-2@lab";
	l.src = "10.0.0.9";
	l.dst = "10.0.0.2";
	say(&l, 10, "INVITE 1 c - z2", sdp("10.0.0.9", 4500));
	assert_int_equal(counted(&l, COUNT_CALLS_EXCLUDED), 0);
	l.log[0] = '\0';
	l.extra = "P-Asserted-Identity: <sip:7712@lab>\r\n";
	say(&l, 900, "200 INVITE 1 c d z2", sdp("10.0.0.2", 5000));
	l.extra = "";
	assert_int_equal(counted(&l, COUNT_CALLS_EXCLUDED), 2);
	assert_non_null(strstr(l.log, "forget 10.0.0.1:4000 until 0\nexpect caller 10.0.0.1:4000"));
	l.call_id = "call-1@lab";
	say(&l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.9", 5500));
	assert_int_equal(l.expected.call, first);
	assert_true(l.expected.discard);
	assert_nameless(&l.last);
	lab_free(&l);
}

static void a_mention_keeps_the_message_out_and_not_the_call(void **state)
{
	struct sip_lab l;
	(void)state;
	lab_with(&l, "record: { never: [ \"+441632960999\" ], signalling: on }\n");
	l.extra = "Referred-By: <sip:+441632960999@lab>\r\n";
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	assert_false(l.expected.discard);
	assert_int_equal(l.messages, 0);
	assert_string_equal(l.last.referred_by, "");
	l.extra = "X-Caller: 01632960999\r\n";
	say(&l, 100, "180 INVITE 1 a b z1", NULL);
	assert_int_equal(l.messages, 0);
	l.extra = "";
	say(&l, 200, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	assert_int_equal(l.messages, 1);
	lab_free(&l);
}

/* ---- another policy ---------------------------------------------------------------------------------- */

static void another_policy_is_for_calls_that_begin_afterwards(void **state)
{
	struct sip_lab l;
	struct policy *p = malloc(sizeof *p);
	char hash[65];
	(void)state;
	assert_non_null(p);
	lab_with(&l, "record: { dtmf: keep }\n");
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	memcpy(hash, l.last.policy, sizeof hash);
	assert_true(l.expected.keep_events);
	read_policy(p, "record: { never: [ \"200\" ], dtmf: off }\n");
	assert_true(signalling_policy(l.s, p));
	say(&l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
	assert_false(l.expected.discard);
	assert_true(l.expected.keep_events);
	assert_string_equal(l.last.policy, hash);
	l.call_id = "call-2@lab";
	say(&l, 2000, "INVITE 1 c - z7", sdp("10.0.0.1", 4100));
	assert_true(l.expected.discard);
	assert_false(l.expected.keep_events);
	assert_string_equal(l.last.policy, p->hash);
	assert_string_not_equal(l.last.policy, hash);
	lab_free(&l);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_decide_by_what_the_invite_says),
		cmocka_unit_test(a_class_is_given_by_group_number_line_and_direction),
		cmocka_unit_test(direction_is_told_by_numbers_then_domains_then_addresses),
		cmocka_unit_test(external_leaves_out_what_stays_inside),
		cmocka_unit_test(skipped_call_is_followed_and_its_media_discarded),
		cmocka_unit_test(a_line_never_recorded_is_found_wherever_it_stands),
		cmocka_unit_test(excluded_call_is_told_of_with_times_alone),
		cmocka_unit_test(whoever_names_countless_parties_names_such_a_line),
		cmocka_unit_test(a_party_is_found_at_the_front_of_an_endless_uri),
		cmocka_unit_test(rule_never_excludes_as_the_list_does),
		cmocka_unit_test(line_that_comes_in_before_the_answer_excludes_the_whole_call),
		cmocka_unit_test(transfer_to_such_a_line_ends_the_recording_there),
		cmocka_unit_test(what_excludes_one_leg_excludes_the_other),
		cmocka_unit_test(a_mention_keeps_the_message_out_and_not_the_call),
		cmocka_unit_test(another_policy_is_for_calls_that_begin_afterwards),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
