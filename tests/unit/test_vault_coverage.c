/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_coverage.c: what is missing of a call is remarked, and nothing else; calls of a conversation are found when
 * it has changed; digits are an opening. */
#include "vault_help.h"

/* ---- remarks ------------------------------------------------------------------------------------- */

static struct call *answered(void)
{
	struct uuid id = uuid_v7(HOUR_NS);
	struct call *c = call_row_new(&id);
	c->r.state = CALL_ENDED;
	c->r.outcome = OUTCOME_ANSWERED;
	c->r.answer_us = HOUR_US;
	c->r.end_us = HOUR_US + 60 * INT64_C(1000000);
	return c;
}

static struct stream_record *voice(struct call *c, uint16_t number, enum track track)
{
	struct stream_record *s = call_row_stream(c, number);
	s->track = (uint8_t)track;
	snprintf(s->codec, sizeof s->codec, "PCMU");
	s->payload_types_count = 1;
	s->clock_rate = 8000;
	s->packets = 3000;
	s->complete = true;
	return s;
}

/* The remarks in one line. */
static const char *remarks(const struct call *c, double gap, bool *whole)
{
	static char text[512];
	struct coverage v;
	size_t at = 0;
	coverage_of(&v, c, gap);
	text[0] = '\0';
	for (unsigned i = 0; i < v.count; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? " " : "",
				       v.names[i]);
	*whole = v.whole;
	return text;
}

static void expect(struct call *c, const char *expected, bool whole)
{
	bool is_whole;
	assert_string_equal(remarks(c, COVERAGE_GAP, &is_whole), expected);
	assert_int_equal(is_whole, whole);
	call_row_free(c);
}

static void call_with_both_voices_has_no_remark(void **state)
{
	struct call *c = answered();
	(void)state;
	voice(c, 0, TRACK_CALLER);
	voice(c, 32, TRACK_CALLEE);
	expect(c, "", true);
}

static void answered_call_without_voices_is_remarked(void **state)
{
	(void)state;
	expect(answered(), "no-audio", false);
	struct call *c = answered();
	voice(c, 0, TRACK_CALLER)->packets = 0;
	expect(c, "no-audio", false);
	c = answered();
	c->r.outcome = OUTCOME_FAILED;
	expect(c, "", true);
	c = answered();
	c->r.state = CALL_TALKING;
	expect(c, "", true);
}

static void voice_from_elsewhere_is_no_side(void **state)
{
	struct call *c = answered();
	(void)state;
	voice(c, 0, TRACK_CALLER);
	voice(c, 32, TRACK_CALLEE)->foreign = 1;
	expect(c, "foreign-media one-side", false);
}

static void side_of_which_nothing_was_stored_is_missing(void **state)
{
	struct call *c = answered();
	(void)state;
	voice(c, 0, TRACK_CALLER);
	voice(c, 32, TRACK_CALLEE)->dropped = 3000;
	expect(c, "dropped one-side", false);
}

static void what_was_sent_elsewhere_meanwhile_is_not_lost(void **state)
{
	(void)state;
	for (unsigned sent = 150; sent <= 152; sent++) {
		struct call *c = answered();
		voice(c, 0, TRACK_CALLER);
		voice(c, 1, TRACK_CALLER)->packets = sent;
		voice(c, 32, TRACK_CALLEE);
		struct stream_record *talk = &c->streams[0], *hold = &c->streams[1];
		talk->lost = 151;
		talk->loss_runs = talk->loss_longest = 2;
		talk->end_us = 100;
		hold->start_us = 40;
		hold->end_us = 60;
		const struct stream_record s = coverage_stream(c, 0);
		assert_int_equal(s.lost, sent > 151 ? 151 : 151 - sent);
		assert_int_equal(s.loss_runs, sent > 151 ? 2 : 151 - sent);
		hold->src.port++; /* another sender */
		assert_int_equal(coverage_stream(c, 0).lost, 151);
		hold->src.port--;
		hold->end_us = 101; /* not meanwhile */
		assert_int_equal(coverage_stream(c, 0).lost, 151);
		hold->end_us = 60;
		expect(c, sent > 151 ? "gaps" : "", sent <= 151);
	}
}

static void remark_that_is_no_text_is_told_as_far_as_it_goes(void **state)
{
	struct call *c = answered();
	(void)state;
	voice(c, 0, TRACK_CALLER);
	voice(c, 32, TRACK_CALLEE);
	c->r.coverage_count = 2;
	snprintf(c->r.coverage[0], sizeof c->r.coverage[0], "a\xff");
	json_t *j = call_json(c, CALL_JSON_LIST, false), *a = json_object_get(j, "coverage");
	assert_int_equal(json_array_size(a), 1);
	assert_string_equal(json_string_value(json_array_get(a, 0)), "a?");
	json_decref(j);
	call_row_free(c);
}

static void loss_counts_from_the_threshold_on(void **state)
{
	struct call *c = answered();
	bool whole;
	(void)state;
	voice(c, 0, TRACK_CALLER);
	voice(c, 32, TRACK_CALLEE)->lost = 157; /* of 3157: 4.97 % */
	assert_string_equal(remarks(c, 5, &whole), "");
	assert_true(whole);
	assert_string_equal(remarks(c, 4.9, &whole), "gaps");
	assert_false(whole);
	expect(c, "gaps", false);
}

static void ciphers_without_a_key_have_their_names(void **state)
{
	static const char *const names[] = { "", "", "srtp-no-key", "dtls-srtp", "zrtp" };
	(void)state;
	for (uint8_t p = PROTECTION_NONE; p < PROTECTIONS; p++) {
		struct call *c = answered();
		voice(c, 0, TRACK_CALLER)->protection = p;
		voice(c, 32, TRACK_CALLEE);
		expect(c, names[p], p < PROTECTION_NO_KEY);
	}
}

static void codec_without_a_decoder_is_remarked(void **state)
{
	struct call *c = answered();
	(void)state;
	voice(c, 0, TRACK_CALLER);
	struct stream_record *s = voice(c, 32, TRACK_CALLEE);
	snprintf(s->codec, sizeof s->codec, "X-SECRET");
	s->payload_types[0] = 99;
	expect(c, "codec-unknown", false);
}

static void remarks_of_the_recorder_come_first_and_once(void **state)
{
	struct call *c = answered();
	(void)state;
	snprintf(c->r.coverage[0], sizeof c->r.coverage[0], "media-after-bye");
	snprintf(c->r.coverage[1], sizeof c->r.coverage[1], "truncated");
	c->r.coverage_count = 2;
	voice(c, 0, TRACK_CALLER)->truncated = 1;
	voice(c, 32, TRACK_CALLEE);
	expect(c, "media-after-bye truncated", false);
}

static void remark_of_a_newer_recorder_is_told_and_taken_as_a_loss(void **state)
{
	struct call *c = answered();
	(void)state;
	snprintf(c->r.coverage[0], sizeof c->r.coverage[0], "eaten-by-a-whale");
	c->r.coverage_count = 1;
	voice(c, 0, TRACK_CALLER);
	voice(c, 32, TRACK_CALLEE);
	expect(c, "eaten-by-a-whale", false);
	assert_string_equal(vault_remark_prose("eaten-by-a-whale"), "remarked by the recorder");
}

static void excluded_call_has_no_other_remark_and_shows_nobody(void **state)
{
	struct call *c = answered();
	(void)state;
	snprintf(c->r.coverage[0], sizeof c->r.coverage[0], "excluded");
	c->r.coverage_count = 1;
	snprintf(c->r.from, sizeof c->r.from, "+441632960001");
	snprintf(c->r.from_name, sizeof c->r.from_name, "Ada");
	snprintf(c->r.from_uri, sizeof c->r.from_uri, "sip:+441632960001@example.test");
	snprintf(c->r.referred_by, sizeof c->r.referred_by, "441632960001");
	voice(c, 0, TRACK_CALLER);
	json_t *o = call_json(c, CALL_JSON_SHOW, false);
	char *text = json_dumps(o, 0);
	assert_null(strstr(text, "441632"));
	assert_null(strstr(text, "Ada"));
	assert_int_equal(json_array_size(json_object_get(o, "streams")), 0);
	assert_non_null(json_string_value(json_object_get(o, "answer")));
	free(text);
	json_decref(o);
	expect(c, "excluded", true);
}

/* ---- of a vault ------------------------------------------------------------------------------------- */

static void summary_counts_calls_by_kind(void **state)
{
	struct test_vault *t = *state;
	struct test_call c;
	struct store_writer *w = test_recorder(t);
	test_whole_call(w, &c, 0);
	test_call_begin(&c, w, 1);
	test_call_end(w, &c, c.r.answer_us + 1000000);
	test_finish(t, w);
	assert_int_equal(test_ask(t, "{'request':'coverage'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 2);
	const json_t *call = test_reply(t, 0);
	assert_string_equal(test_text(call, "from"), "+441632960001");
	assert_true(json_is_false(json_object_get(call, "whole")));
	const json_t *s = json_object_get(test_reply(t, 1), "summary");
	assert_int_equal(test_number(s, "answered"), 2);
	assert_int_equal(test_number(s, "whole"), 1);
	assert_int_equal(test_number(json_object_get(s, "kinds"), "no-audio"), 1);
	assert_string_equal(test_text(s, "verdict"), "incomplete");
	assert_true(json_is_null(json_object_get(s, "capture")));
	assert_int_equal(test_ask(t, "{'request':'coverage','gap':'x'}"), RC_USAGE);
	assert_int_equal(test_ask(t, "{'request':'coverage','gap':101}"), RC_USAGE);
}

static void operator_sees_numbers_starred_in_coverage(void **state)
{
	struct test_vault *t = *state;
	struct test_call c;
	struct store_writer *w = test_recorder(t);
	test_call_begin(&c, w, 1);
	test_call_end(w, &c, c.r.answer_us + 1000000);
	test_finish(t, w);
	test_person(t, "otto", ROLE_OPERATOR);
	test_person(t, "ann", ROLE_AUDITOR);
	assert_int_equal(test_ask_as(t, "otto", "{'request':'coverage'}"), RC_OK);
	char *text = json_dumps(t->replies, 0);
	assert_null(strstr(text, "441632960001"));
	free(text);
	assert_int_equal(test_ask_as(t, "ann", "{'request':'coverage'}"), RC_REFUSED);
}

static size_t members(struct test_vault *t, const struct uuid *conversation)
{
	char text[UUID_TEXT];
	assert_int_equal(test_ask(t, "{'request':'calls','conversation':'%s'}",
				  uuid_text(conversation, text)),
			 RC_OK);
	return json_array_size(t->replies);
}

static void conversation_follows_a_later_record(void **state)
{
	struct test_vault *t = *state;
	struct test_call a, b;
	char id[UUID_TEXT], other[UUID_TEXT];
	struct store_writer *w = test_recorder(t);
	test_call_begin(&a, w, 0);
	test_call_begin(&b, w, 1);
	store_writer_tick(w, NS_PER_S, HOUR_NS);
	store_writer_tick(w, 3 * NS_PER_S, HOUR_NS);
	assert_int_equal(members(t, &a.r.conversation), 1);
	assert_int_equal(members(t, &b.r.conversation), 1);
	struct uuid before = uuid_v7(HOUR_NS + 99), after = a.r.conversation;
	b.r.conversation = before;
	store_writer_call(w, b.number, &b.r);
	store_writer_tick(w, 5 * NS_PER_S, HOUR_NS);
	assert_int_equal(members(t, &before), 1);
	b.r.conversation = after;
	test_call_end(w, &a, a.r.answer_us + 1);
	test_call_end(w, &b, b.r.answer_us + 1);
	test_finish(t, w);
	assert_int_equal(members(t, &after), 2);
	assert_int_equal(members(t, &before), 0);
	/* by the id of the call that has moved, too */
	assert_int_equal(members(t, &b.r.id), 2);
	assert_int_equal(test_ask(t, "{'request':'show','id':'%s'}", uuid_text(&b.r.id, id)),
			 RC_OK);
	const json_t *calls = json_object_get(test_reply(t, 0), "conversation_calls");
	assert_int_equal(json_array_size(calls), 1);
	assert_string_equal(json_string_value(json_array_get(calls, 0)), uuid_text(&a.r.id, other));
}

/* Telephone-events as a chunk holds them: n packets of one event each way. */
static void event_chunk(struct store_writer *w, const struct test_call *c, uint32_t first,
			const char *keys)
{
	static const char names[] = "0123456789*#ABCD";
	static struct chunk k;
	memset(&k, 0, sizeof k);
	uint32_t n = (uint32_t)strlen(keys);
	k.call = c->number;
	k.counter = first;
	k.frames = 3 * n;
	k.header[0] = 1;
	k.header[1] = 101;
	put_u16_le(k.header + 2, 4);
	put_u32_le(k.header + 4, k.frames);
	put_u32_le(k.header + 12, 0);
	put_u64_le(k.header + 16, 65536 + first);
	put_u64_le(k.header + 24, (uint64_t)c->r.answer_us);
	put_u32_le(k.header + 36, 0xabcd0000);
	uint8_t *at = k.table;
	for (uint32_t i = 0; i < k.frames; i++) {
		put_u32_le(at, (i ? 50000u << 8 : 0) | (i % 3 ? 0 : 0x02));
		at += 4;
		if (i % 3 == 0) {
			put_u32_le(at, 1000 + i * 800);
			at += 4;
		}
		k.payload[4 * i] = (uint8_t)(strchr(names, keys[i / 3]) - names);
		k.payload[4 * i + 1] = i % 3 == 2 ? 0x8a : 0x0a;
		put_u16(k.payload + 4 * i + 2, (uint16_t)(400 * (i % 3 + 1)));
	}
	k.table_len = (uint32_t)(at - k.table);
	put_u32_le(k.header + 8, k.table_len);
	k.payload_len = 4 * k.frames;
	store_writer_chunk(w, &k);
}

static void digits_are_read_once_each_and_only_by_an_opening(void **state)
{
	static const char ask[] =
		"{'request':'digits','id':'%s','purpose':'complaint','reference':'C-1'}";
	struct test_vault *t = *state;
	struct test_call c;
	char id[UUID_TEXT];
	struct store_writer *w = test_recorder(t);
	test_call_begin(&c, w, 0);
	test_audio_chunk(w, &c, 0, 0, 0, 25);
	event_chunk(w, &c, 25, "4*D");
	snprintf(c.r.digits[TRACK_CALLEE], DIGITS, "99#");
	c.streams[0].events = 9;
	test_stream(w, &c, 0, 25);
	test_call_end(w, &c, c.r.answer_us + 60 * INT64_C(1000000));
	test_finish(t, w);
	test_person(t, "otto", ROLE_OPERATOR);
	uuid_text(&c.r.id, id);
	assert_int_equal(test_ask_as(t, "otto", ask, id), RC_REFUSED);
	assert_int_equal(test_ask(t, "{'request':'digits','id':'%s'}", id), RC_USAGE);
	enum rc rc = test_ask(t, ask, id);
	if (rc != RC_OK)
		fail_msg("digits: %s", t->err.text);
	const json_t *a = json_object_get(test_reply(t, 0), "digits");
	assert_int_equal(json_array_size(a), 2);
	const json_t *media = json_array_get(a, 0), *signalled = json_array_get(a, 1);
	assert_string_equal(test_text(media, "digits"), "4*D");
	assert_string_equal(test_text(media, "track"), "caller");
	const json_t *press = json_array_get(json_object_get(media, "presses"), 1);
	assert_string_equal(test_text(press, "digit"), "*");
	assert_int_equal(test_number(press, "duration_ms"), 150);
	assert_string_equal(test_text(signalled, "digits"), "99#");
	assert_string_equal(test_text(signalled, "from"), "signalling");
	assert_int_equal(test_audited(t, "digits", "granted"), 1);
	assert_int_equal(test_audited(t, "digits", "done"), 1);
	/* and they stand nowhere else */
	assert_int_equal(test_ask(t, "{'request':'show','id':'%s'}", id), RC_OK);
	char *text = json_dumps(t->replies, 0);
	assert_null(strstr(text, "99#"));
	assert_null(strstr(text, "4*D"));
	free(text);
}

int main(void)
{
#define VAULT_TEST(f) cmocka_unit_test_setup_teardown(f, test_vault_lab, test_vault_drop)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(call_with_both_voices_has_no_remark),
		cmocka_unit_test(answered_call_without_voices_is_remarked),
		cmocka_unit_test(voice_from_elsewhere_is_no_side),
		cmocka_unit_test(side_of_which_nothing_was_stored_is_missing),
		cmocka_unit_test(what_was_sent_elsewhere_meanwhile_is_not_lost),
		cmocka_unit_test(remark_that_is_no_text_is_told_as_far_as_it_goes),
		cmocka_unit_test(loss_counts_from_the_threshold_on),
		cmocka_unit_test(ciphers_without_a_key_have_their_names),
		cmocka_unit_test(codec_without_a_decoder_is_remarked),
		cmocka_unit_test(remarks_of_the_recorder_come_first_and_once),
		cmocka_unit_test(remark_of_a_newer_recorder_is_told_and_taken_as_a_loss),
		cmocka_unit_test(excluded_call_has_no_other_remark_and_shows_nobody),
		VAULT_TEST(summary_counts_calls_by_kind),
		VAULT_TEST(operator_sees_numbers_starred_in_coverage),
		VAULT_TEST(conversation_follows_a_later_record),
		VAULT_TEST(digits_are_read_once_each_and_only_by_an_opening),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
