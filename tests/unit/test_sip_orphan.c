/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_orphan.c: media without signalling, remarks, and messages kept. */
#include "sip_lab.h"

static void start(struct sip_lab *l, enum orphans orphans)
{
	struct signalling_config cfg = lab_config(l);
	cfg.orphans = (uint8_t)orphans;
	lab_start(l, &cfg);
}

static void flow(struct sip_lab *l, int64_t ms, const char *src, uint16_t src_port, const char *dst,
		 uint16_t dst_port)
{
	struct media_orphan o = { .ssrc = 7, .payload_type = 8, .first_ns = at_ms(ms) };
	assert_true(endpoint_parse_addr(&o.src, src, strlen(src), src_port));
	assert_true(endpoint_parse_addr(&o.dst, dst, strlen(dst), dst_port));
	tick(l, ms + 1000);
	signalling_orphan(l->s, &o);
}

static void media_without_signalling_is_a_call_without_parties(void **state)
{
	(void)state;
	struct sip_lab l;
	start(&l, ORPHANS_ON);
	flow(&l, 0, "10.0.0.1", 4000, "10.0.0.2", 5000);
	told(&l, "open\nrecord talking\nexpect caller 10.0.0.1:4000 from 0 pt 8\n"
		 "expect callee 10.0.0.2:5000 from 0 pt 8\n");
	assert_true(l.expected.orphan);
	assert_string_equal(l.expected.payloads[0].codec, "PCMA");
	assert_string_equal(l.last.from, "");
	assert_string_equal(l.last.to, "");
	assert_string_equal(l.last.sip_call_id, "");
	assert_int_equal(l.last.outcome, OUTCOME_NONE);
	assert_int_equal(l.last.coverage_count, 1);
	assert_string_equal(l.last.coverage[0], "no-signalling");
	assert_int_equal(counted(&l, COUNT_CALLS_ORPHAN), 1);
	lab_free(&l);
}

static void it_ends_when_nothing_is_heard_for_30_s(void **state)
{
	(void)state;
	struct sip_lab l;
	start(&l, ORPHANS_ON);
	flow(&l, 0, "10.0.0.1", 4000, "10.0.0.2", 5000);
	signalling_alive(l.s, l.call, at_ms(20000));
	l.log[0] = '\0';
	tick(&l, 49900);
	told(&l, "");
	tick(&l, 50300);
	told(&l, "forget all until 50000\nrecord ended - timeout 20000\ndone\n");
	flow(&l, 60000, "10.0.0.1", 4000, "10.0.0.2", 5000);
	assert_int_equal(counted(&l, COUNT_CALLS_ORPHAN), 2);
	lab_free(&l);
}

static void other_direction_and_other_sources_are_of_the_same_call(void **state)
{
	(void)state;
	struct sip_lab l;
	start(&l, ORPHANS_ON);
	flow(&l, 0, "10.0.0.1", 4000, "10.0.0.2", 5000);
	flow(&l, 10, "10.0.0.2", 5000, "10.0.0.1", 4000);
	flow(&l, 20, "10.0.0.3", 6000, "10.0.0.1", 4000);
	assert_int_equal(signalling_calls(l.s), 1);
	lab_free(&l);
}

static void policy_says_whether_there_are_any(void **state)
{
	(void)state;
	static const struct {
		enum orphans orphans;
		int64_t ms;
		uint32_t calls;
	} cases[] = { { ORPHANS_OFF, 0, 0 },
		      { ORPHANS_AFTER_START, 598000, 1 },
		      { ORPHANS_AFTER_START, 601000, 0 },
		      { ORPHANS_ON, 601000, 1 } };
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sip_lab l;
		start(&l, cases[i].orphans);
		tick(&l, 0);
		flow(&l, cases[i].ms, "10.0.0.1", 4000, "10.0.0.2", 5000);
		assert_int_equal(signalling_calls(l.s), cases[i].calls);
		lab_free(&l);
	}
}

static void call_with_signalling_takes_over(void **state)
{
	(void)state;
	struct sip_lab l;
	start(&l, ORPHANS_ON);
	flow(&l, 0, "10.0.0.1", 4000, "10.0.0.2", 5000);
	l.log[0] = '\0';
	say(&l, 2000, "INVITE 2 a b z1", sdp("10.0.0.1", 4000));
	told(&l, "open\nrecord trying\nexpect caller 10.0.0.1:4000 from 2000 pt 0\n"
		 "forget all until 2000\nrecord ended - timeout 2000\ndone\n");
	assert_int_equal(signalling_calls(l.s), 1);
	lab_free(&l);
}

static void they_never_keep_out_calls(void **state)
{
	(void)state;
	struct sip_lab l;
	char host[32];
	start(&l, ORPHANS_ON); /* four places: one for these */
	for (unsigned i = 0; i < 10; i++) {
		snprintf(host, sizeof host, "10.0.1.%u", i);
		flow(&l, 10 * i, host, 4000, "10.0.0.2", (uint16_t)(5000 + i));
	}
	assert_int_equal(signalling_calls(l.s), 1);
	assert_int_equal(counted(&l, COUNT_CALLS_ORPHAN_LIMIT), 9);
	lab_free(&l);
}

/* ---- remarks ------------------------------------------------------------------------------ */

static void remark_is_made_once(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	signalling_remark(l.s, l.call, "relay-copy");
	told(&l, "record talking\n");
	signalling_remark(l.s, l.call, "relay-copy");
	signalling_remark(l.s, l.call + (UINT64_C(1) << 32), "relay-copy");
	told(&l, "");
	assert_int_equal(l.last.coverage_count, 1);
	assert_string_equal(l.last.coverage[0], "relay-copy");
	static char names[26][2];
	for (unsigned i = 0; i < 26; i++) {
		names[i][0] = (char)('a' + i);
		signalling_remark(l.s, l.call, names[i]);
	}
	assert_int_equal(l.last.coverage_count, COVERAGE_MAX);
	lab_free(&l);
}

static void call_lingers_so_that_a_remark_still_finds_it(void **state)
{
	(void)state;
	struct sip_lab l;
	struct signalling_config cfg = lab_config(&l);
	cfg.linger_ns = 10 * NS_PER_S;
	lab_start(&l, &cfg);
	say(&l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(&l, 100, "200 INVITE 1 a b z1", NULL);
	say(&l, 2000, "BYE 2 a b z3", NULL);
	l.log[0] = '\0';
	say(&l, 2010, "200 BYE 2 a b z3", NULL);
	told(&l, "forget all until 2000\nrecord ended answered caller 2000\n");
	signalling_alive(l.s, l.call, at_ms(5000));
	tick(&l, 7000);
	signalling_remark(l.s, l.call, "media-after-bye");
	told(&l, "record ended answered caller 2000\n");
	say(&l, 8000, "200 BYE 2 a b z3", NULL);
	tick(&l, 12300);
	told(&l, "done\n");
	assert_int_equal(signalling_calls(l.s), 0);
	lab_free(&l);
}

static void lingering_calls_are_done_when_the_capture_ends(void **state)
{
	(void)state;
	struct sip_lab l;
	struct signalling_config cfg = lab_config(&l);
	cfg.linger_ns = 10 * NS_PER_S;
	lab_start(&l, &cfg);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 10, "486 INVITE 1 a b z1", NULL);
	l.call_id = "other";
	say(&l, 20, "INVITE 1 a - z1", NULL);
	l.log[0] = '\0';
	signalling_finish(l.s, at_ms(30));
	told(&l, "done\nforget all until 30\nrecord ended unanswered capture-end 30\ndone\n");
	assert_int_equal(signalling_calls(l.s), 0);
	lab_free(&l);
}

/* ---- messages kept ---------------------------------------------------------------------- */

static void messages_of_calls_are_kept_where_asked_for(void **state)
{
	(void)state;
	for (unsigned keep = 0; keep < 2; keep++) {
		struct sip_lab l;
		struct signalling_config cfg = lab_config(&l);
		cfg.keep_signalling = keep;
		lab_start(&l, &cfg);
		l.src = "10.0.0.1";
		l.dst = "10.0.0.5";
		say(&l, 0, "INVITE 1 a - z1", NULL);
		say(&l, 10, "INVITE 1 a - z1", NULL);
		say(&l, 20, "100 INVITE 1 a - z1", NULL);
		assert_int_equal(l.messages, keep ? 3 : 0);
		l.call_id = "nobody";
		say(&l, 30, "BYE 1 a b z1", NULL);
		assert_int_equal(l.messages, keep ? 3 : 0);
		if (keep) {
			char text[ENDPOINT_TEXT];
			assert_string_equal(endpoint_text(&l.kept.src, text), "10.0.0.1:5060");
			assert_int_equal(l.kept.transport, 17);
			assert_int_equal(ms_of_us(l.kept.ts_us), 20);
		}
		lab_free(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(media_without_signalling_is_a_call_without_parties),
		cmocka_unit_test(it_ends_when_nothing_is_heard_for_30_s),
		cmocka_unit_test(other_direction_and_other_sources_are_of_the_same_call),
		cmocka_unit_test(policy_says_whether_there_are_any),
		cmocka_unit_test(call_with_signalling_takes_over),
		cmocka_unit_test(they_never_keep_out_calls),
		cmocka_unit_test(remark_is_made_once),
		cmocka_unit_test(call_lingers_so_that_a_remark_still_finds_it),
		cmocka_unit_test(lingering_calls_are_done_when_the_capture_ends),
		cmocka_unit_test(messages_of_calls_are_kept_where_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
