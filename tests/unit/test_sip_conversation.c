/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_conversation.c: which calls are found to belong together. */
#include "sip_lab.h"

/* Records of up to eight calls, by number of the call in order of opening. */
struct many {
	struct sip_lab lab;
	uint64_t numbers[8];
	struct call_record records[8];
	unsigned count;
	char from[64], to[64]; /* headers of what is said */
};

static void many_open(void *ctx, const struct store_open *o)
{
	struct many *m = ctx;
	assert_true(m->count < 8);
	m->numbers[m->count++] = o->call;
}

static void many_record(void *ctx, uint64_t call, const struct call_record *r)
{
	struct many *m = ctx;
	for (unsigned i = 0; i < m->count; i++)
		if (m->numbers[i] == call)
			m->records[i] = *r;
}

/* With a header that ties calls; NULL: none is configured. */
static void many_start(struct many *m, const char *header)
{
	memset(m, 0, sizeof *m);
	struct signalling_config cfg = lab_config(&m->lab);
	cfg.max_calls = 8;
	cfg.conversation_header = header;
	cfg.sink.open = many_open;
	cfg.sink.record = many_record;
	lab_start(&m->lab, &cfg);
}

static void many_with(struct many *m, const char *header)
{
	lab_free(&m->lab);
	many_start(m, header);
}

static int set_up(void **state)
{
	static struct many m;
	many_start(&m, NULL);
	*state = &m;
	return 0;
}

static int tear_down(void **state)
{
	struct many *m = *state;
	lab_free(&m->lab);
	return 0;
}

/* The hosts that what follows is said between. */
static void between(struct many *m, const char *src, const char *dst)
{
	m->lab.src = src;
	m->lab.dst = dst;
}

/* A call between two users, its Call-ID and tags made of `id`. */
static void invite(struct many *m, int64_t ms, const char *id, const char *from, const char *to,
		   const char *extra)
{
	char what[64];
	snprintf(m->from, sizeof m->from, "<sip:%s@lab>", from);
	snprintf(m->to, sizeof m->to, "<sip:%s@lab>", to);
	snprintf(what, sizeof what, "INVITE 1 %sa - %sz", id, id);
	m->lab.call_id = id;
	m->lab.from = m->from;
	m->lab.to = m->to;
	m->lab.extra = extra;
	say(&m->lab, ms, what, sdp("10.0.0.1", 4000));
	m->lab.extra = "";
}

static void answer(struct many *m, int64_t ms, const char *id)
{
	char what[64];
	snprintf(what, sizeof what, "200 INVITE 1 %sa %sb %sz", id, id, id);
	m->lab.call_id = id;
	say(&m->lab, ms, what, sdp("10.0.0.2", 5000));
}

/* A call, answered after 100 ms. */
static void talk(struct many *m, int64_t ms, const char *id, const char *from, const char *to)
{
	invite(m, ms, id, from, to, "");
	answer(m, ms + 100, id);
}

static void hang_up(struct many *m, int64_t ms, const char *id)
{
	char what[64];
	m->lab.call_id = id;
	snprintf(what, sizeof what, "BYE 2 %sa %sb %sy", id, id, id);
	say(&m->lab, ms, what, NULL);
	snprintf(what, sizeof what, "200 BYE 2 %sa %sb %sy", id, id, id);
	say(&m->lab, ms, what, NULL);
}

static bool together(const struct many *m, unsigned a, unsigned b)
{
	return uuid_equal(&m->records[a].conversation, &m->records[b].conversation);
}

static void call_alone_is_its_own_conversation(void **state)
{
	struct many *m = *state;
	invite(m, 0, "one", "100", "200", "");
	invite(m, 100, "two", "300", "400", "");
	assert_true(uuid_equal(&m->records[0].conversation, &m->records[0].id));
	assert_true(uuid_equal(&m->records[1].conversation, &m->records[1].id));
}

static void invite_that_replaces_a_call_is_of_its_conversation(void **state)
{
	struct many *m = *state;
	talk(m, 0, "one", "100", "200");
	invite(m, 5000, "two", "300", "200", "Replaces: one;to-tag=oneb;from-tag=onea\r\n");
	assert_true(together(m, 0, 1));
	assert_true(uuid_equal(&m->records[1].conversation, &m->records[0].id));
}

static void replaced_call_may_have_ended_a_moment_ago(void **state)
{
	struct many *m = *state;
	talk(m, 0, "one", "100", "200");
	hang_up(m, 4000, "one");
	invite(m, 5000, "two", "300", "200", "Replaces: one;to-tag=oneb;from-tag=onea\r\n");
	assert_true(together(m, 0, 1));
}

static void invite_that_joins_a_call_is_of_its_conversation(void **state)
{
	struct many *m = *state;
	talk(m, 0, "one", "100", "200");
	invite(m, 5000, "two", "300", "200", "Join: one;to-tag=oneb;from-tag=onea\r\n");
	assert_true(together(m, 0, 1));
}

/* A calls B; A asks B to call C. */
static void refer(struct many *m, int64_t ms, const char *id, const char *target)
{
	char what[64], extra[256];
	snprintf(what, sizeof what, "REFER 2 %sa %sb %sr", id, id, id);
	snprintf(extra, sizeof extra, "r: %s\r\n", target);
	m->lab.call_id = id;
	m->lab.extra = extra;
	say(&m->lab, ms, what, NULL);
	m->lab.extra = "";
}

static void blind_transfer_is_one_conversation(void **state)
{
	struct many *m = *state;
	talk(m, 0, "one", "100", "200");
	refer(m, 3000, "one", "<sip:300@lab>");
	invite(m, 3100, "two", "200", "300", "");
	assert_true(together(m, 0, 1));
	assert_string_equal(m->records[1].referred_by, "100");
}

static void blind_transfer_may_follow_the_end_of_the_first_call(void **state)
{
	struct many *m = *state;
	talk(m, 0, "one", "100", "200");
	refer(m, 3000, "one", "sip:300@lab");
	hang_up(m, 3050, "one");
	invite(m, 3100, "two", "200", "300", "b: <sip:100@lab>;cid=x\r\n");
	assert_true(together(m, 0, 1));
	assert_string_equal(m->records[1].referred_by, "100");
}

static void call_of_others_to_the_same_target_is_not_the_transfer(void **state)
{
	struct many *m = *state;
	talk(m, 0, "one", "100", "200");
	refer(m, 3000, "one", "<sip:300@lab>");
	invite(m, 3100, "two", "500", "300", "");
	invite(m, 36000, "three", "200", "300", ""); /* too late */
	assert_false(together(m, 0, 1));
	assert_false(together(m, 0, 2));
	assert_string_equal(m->records[1].referred_by, "");
}

static void pbx_may_call_the_target_in_another_name(void **state)
{
	struct many *m = *state;
	between(m, "10.0.0.1", "10.0.0.5");
	talk(m, 0, "one", "100", "200");
	refer(m, 3000, "one", "<sip:300@lab>");
	between(m, "10.0.0.5", "10.0.0.3");
	invite(m, 3100, "two", "pbx", "300", "");
	assert_true(together(m, 0, 1));
}

/* A has called B (one), then C (two), and joins them: B calls C (three). */
static void attended_transfer_is_one_conversation_of_three_calls(void **state)
{
	struct many *m = *state;
	talk(m, 0, "one", "100", "200");
	talk(m, 3000, "two", "100", "300");
	assert_false(together(m, 0, 1));
	refer(m, 6000, "one",
	      "<sip:300@lab?Subject=x&Replaces=two%3Bto-tag%3Dtwob%3Bfrom-tag%3Dtwoa>");
	assert_true(together(m, 0, 1));
	invite(m, 6100, "three", "200", "300", "Replaces: two;to-tag=twob;from-tag=twoa\r\n");
	assert_true(together(m, 0, 2));
	assert_true(uuid_equal(&m->records[2].conversation, &m->records[0].id));
}

static void either_half_of_a_session_id_ties_calls(void **state)
{
	struct many *m = *state;
	invite(m, 0, "one", "100", "200",
	       "Session-ID: ab30317f1a784dc48ff824d0d3715d86;"
	       "remote=00000000000000000000000000000000\r\n");
	invite(m, 100, "two", "300", "400",
	       "Session-ID: 47755a9de7794ba387653f2099600ef2;"
	       "remote=AB30317F1A784DC48FF824D0D3715D86\r\n");
	invite(m, 200, "three", "500", "600",
	       "Session-ID: 11155a9de7794ba387653f2099600ef2;"
	       "remote=00000000000000000000000000000000\r\n");
	assert_true(together(m, 0, 1));
	assert_false(together(m, 0, 2));
}

static void half_of_a_session_id_may_come_with_the_answer(void **state)
{
	struct many *m = *state;
	invite(m, 0, "one", "100", "200", "Session-ID: ab30317f1a784dc48ff824d0d3715d86\r\n");
	invite(m, 100, "two", "300", "400", "");
	assert_false(together(m, 0, 1));
	m->lab.extra = "Session-ID: 47755a9de7794ba387653f2099600ef2;"
		       "remote=ab30317f1a784dc48ff824d0d3715d86\r\n";
	answer(m, 300, "two");
	assert_true(together(m, 0, 1));
}

static void configured_header_ties_calls(void **state)
{
	struct many *m = *state;
	many_with(m, "X-Conversation");
	invite(m, 0, "one", "100", "200", "X-Conversation: 7\r\n");
	invite(m, 100, "two", "300", "400", "x-conversation:7\r\n");
	invite(m, 200, "three", "300", "400", "X-Conversation: 8\r\n");
	assert_true(together(m, 0, 1));
	assert_false(together(m, 0, 2));
}

static void legs_of_a_b2bua_are_one_conversation(void **state)
{
	struct many *m = *state;
	between(m, "10.0.0.1", "10.0.0.5");
	invite(m, 0, "one", "+49301234567", "200", "");
	between(m, "10.0.0.5", "10.0.0.2");
	invite(m, 500, "two", "0301234567", "200", "");
	assert_true(together(m, 0, 1));
}

static void call_from_another_host_or_late_or_after_the_answer_is_no_leg(void **state)
{
	struct many *m = *state;
	between(m, "10.0.0.1", "10.0.0.5");
	invite(m, 0, "one", "100", "200", "");
	m->lab.src = "10.0.0.6";
	invite(m, 500, "two", "100", "200", "");
	between(m, "10.0.0.5", "10.0.0.2");
	invite(m, 3600, "three", "100", "200", "");
	between(m, "10.0.0.1", "10.0.0.5");
	talk(m, 10000, "four", "100", "200");
	between(m, "10.0.0.5", "10.0.0.2");
	invite(m, 10200, "five", "100", "200", "");
	assert_false(together(m, 0, 1));
	assert_false(together(m, 0, 2));
	assert_false(together(m, 3, 4));
}

static void two_alike_calls_through_a_b2bua_keep_their_own_legs(void **state)
{
	struct many *m = *state;
	between(m, "10.0.0.1", "10.0.0.5");
	invite(m, 0, "one", "anonymous", "200", "");
	invite(m, 10, "two", "anonymous", "200", "");
	between(m, "10.0.0.5", "10.0.0.2");
	invite(m, 20, "three", "anonymous", "200", "");
	invite(m, 30, "four", "anonymous", "200", "");
	assert_true(together(m, 0, 2));
	assert_true(together(m, 1, 3));
	assert_false(together(m, 0, 1));
}

static void merging_two_conversations_sends_the_older_id_to_all(void **state)
{
	struct many *m = *state;
	many_with(m, "X-C");
	invite(m, 0, "one", "100", "200", "X-C: 1\r\n");
	invite(m, 10, "two", "101", "201", "X-C: 2\r\n");
	invite(m, 20, "three", "102", "202", "X-C: 2\r\n");
	assert_false(together(m, 0, 2));
	invite(m, 30, "four", "103", "203", "X-C: 1\r\nReplaces: three;to-tag=x;from-tag=y\r\n");
	for (unsigned i = 1; i < 4; i++)
		assert_true(uuid_equal(&m->records[i].conversation, &m->records[0].id));
}

static void slow_retry_after_a_challenge_is_the_same_call(void **state)
{
	struct many *m = *state;
	invite(m, 0, "one", "100", "200", "");
	say(&m->lab, 100, "407 INVITE 1 onea x onez", NULL);
	say(&m->lab, 100000, "INVITE 2 onea - oney", sdp("10.0.0.1", 4000));
	assert_int_equal(m->count, 1);
	say(&m->lab, 100100, "407 INVITE 2 onea x oney", NULL);
	tick(&m->lab, 281000);
	assert_int_equal(m->records[0].state, CALL_ENDED);
	say(&m->lab, 290000, "INVITE 3 onea - onew", sdp("10.0.0.1", 4000));
	assert_int_equal(m->count, 2);
	assert_true(together(m, 0, 1));
}

static void diversion_is_noted(void **state)
{
	struct many *m = *state;
	static const char *const how[] = {
		"Diversion: <sip:777@lab>;reason=unconditional,<sip:888@lab>\r\n",
		"Diversion: <tel:777>;reason=user-busy\r\n",
		("History-Info: <sip:666@lab>;index=1,<sip:777@lab;cause=302>;index=1.1\r\n"
		 "History-Info: <sip:200@lab>;index=1.1.1\r\n"),
	};
	static const char *const ids[] = { "one", "two", "three" };
	for (unsigned i = 0; i < 3; i++) {
		invite(m, 10000 * i, ids[i], "100", "200", how[i]);
		assert_string_equal(m->records[i].diverted_from, "777");
	}
}

static void history_of_one_user_is_no_diversion(void **state)
{
	struct many *m = *state;
	invite(m, 0, "one", "100", "200",
	       "History-Info: <sip:200@lab>;index=1,<sip:200@10.0.0.2>;index=1.1\r\n");
	assert_string_equal(m->records[0].diverted_from, "");
}

#define case_of(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_of(call_alone_is_its_own_conversation),
		case_of(invite_that_replaces_a_call_is_of_its_conversation),
		case_of(replaced_call_may_have_ended_a_moment_ago),
		case_of(invite_that_joins_a_call_is_of_its_conversation),
		case_of(blind_transfer_is_one_conversation),
		case_of(blind_transfer_may_follow_the_end_of_the_first_call),
		case_of(call_of_others_to_the_same_target_is_not_the_transfer),
		case_of(pbx_may_call_the_target_in_another_name),
		case_of(attended_transfer_is_one_conversation_of_three_calls),
		case_of(either_half_of_a_session_id_ties_calls),
		case_of(half_of_a_session_id_may_come_with_the_answer),
		case_of(configured_header_ties_calls),
		case_of(legs_of_a_b2bua_are_one_conversation),
		case_of(call_from_another_host_or_late_or_after_the_answer_is_no_leg),
		case_of(two_alike_calls_through_a_b2bua_keep_their_own_legs),
		case_of(merging_two_conversations_sends_the_older_id_to_all),
		case_of(slow_retry_after_a_challenge_is_the_same_call),
		case_of(diversion_is_noted),
		case_of(history_of_one_user_is_no_diversion),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
