/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_record.c: call and stream records as bytes and back, and what must be refused. */
#include <math.h>

#include "store_help.h"

#define FILL(array, c)                                                                             \
	do {                                                                                       \
		memset(array, c, sizeof(array) - 1);                                               \
		(array)[sizeof(array) - 1] = '\0';                                                 \
	} while (0)

/* Every field as large as it can be. */
static void fullest_call(struct call_record *r)
{
	memset(r, 0, sizeof *r);
	memset(r->id.b, 0xfe, 16);
	memset(r->conversation.b, 0xfd, 16);
	FILL(r->sip_call_id, 'c');
	FILL(r->from, 'f');
	FILL(r->to, 't');
	FILL(r->from_name, '\xff'); /* not UTF-8 */
	FILL(r->to_name, 'm');
	FILL(r->from_uri, 'u');
	FILL(r->to_uri, 'v');
	FILL(r->policy, 'a');
	FILL(r->recorder, 'b');
	r->state = CALL_ENDED;
	r->outcome = OUTCOME_UNANSWERED;
	r->ended_by = ENDED_BY_CAPTURE_END;
	r->direction = DIRECTION_INTERNAL;
	r->sip_status = UINT32_MAX;
	r->start_us = r->ring_us = r->answer_us = r->end_us = r->until_us = INT64_MIN;
	r->dtmf_count = UINT32_MAX;
	r->imported = r->retain_from_call = true;
	r->imported_us = INT64_MAX;
	r->holds_count = 16;
	for (int i = 0; i < 16; i++) {
		r->holds[i].from_us = -1 - i;
		r->holds[i].to_us = INT64_MAX - i;
	}
	r->coverage_count = COVERAGE_MAX;
	for (int i = 0; i < COVERAGE_MAX; i++)
		FILL(r->coverage[i], 'A' + i);
	FILL(r->diverted_from, 'd');
	FILL(r->referred_by, 'r');
	FILL(r->other_media, 'o');
	FILL(r->digits[TRACK_CALLER], '1');
	FILL(r->digits[TRACK_CALLEE], '2');
	r->sdes_count = SDES_MAX;
	for (int i = 0; i < SDES_MAX; i++) {
		struct sdes_key *k = &r->sdes[i];
		k->from_us = INT64_MIN + i;
		k->party = (uint8_t)(i % 2);
		k->key_len = SDES_KEY;
		k->mki_len = 128;
		memset(k->key, 0x80 + i, SDES_KEY);
		FILL(k->suite, 's');
		FILL(k->params, 'p');
	}
}

static void a_call_record_comes_back_whole(void **state)
{
	static struct call_record in, out;
	static uint8_t buf[RECORD_BODY_MAX];

	(void)state;
	fullest_call(&in);
	size_t n = call_record_pack(&in, buf);
	assert_in_range(n, 1000, RECORD_BODY_MAX);
	assert_true(call_record_unpack(&out, buf, n));
	assert_memory_equal(&in, &out, sizeof in);

	memset(&in, 0, sizeof in);
	n = call_record_pack(&in, buf);
	assert_true(call_record_unpack(&out, buf, n));
	assert_memory_equal(&in, &out, sizeof in);
}

static void a_stream_record_comes_back_whole(void **state)
{
	static struct stream_record in, out;
	static uint8_t buf[RECORD_BODY_MAX];

	(void)state;
	in = (struct stream_record){
		.stream = UINT16_MAX,
		.track = TRACK_CALLEE,
		.foreign = 1,
		.ssrc = UINT32_MAX,
		.payload_types = { 0, 8, 9, 127, 1, 2, 3, 4 },
		.payload_types_count = 8,
		.clock_rate = 48000,
		.channels = 2,
		.ptime_ms = 20,
		.packets = UINT64_MAX,
		.bytes = 1,
		.lost = 2,
		.late = 3,
		.duplicates = 4,
		.reordered = 5,
		.events = 6,
		.cut = 7,
		.dropped = 8,
		.truncated = 9,
		.jitter_ms = 0.125,
		.start_us = HOUR_US,
		.end_us = HOUR_US + 1,
		.until_us = -1,
		.complete = true,
		.protection = PROTECTION_ZRTP,
		.relay_copies = 10,
		.noise = 11,
		.loss_runs = 12,
		.loss_longest = 13,
		.sender_packets = 14,
		.reports = 15,
		.remote_lost = 16,
		.remote_jitter_ms = 17.5,
	};
	FILL(in.codec, 'o');
	FILL(in.fmtp, 'p');
	endpoint_set_v4(&in.src, (const uint8_t[]){ 192, 0, 2, 1 }, 65535);
	endpoint_set_v6(&in.dst,
			(const uint8_t[]){ 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
			4000);
	size_t n = stream_record_pack(&in, buf);
	assert_true(stream_record_unpack(&out, buf, n));
	assert_memory_equal(&in, &out, sizeof in);

	memset(&in, 0, sizeof in);
	n = stream_record_pack(&in, buf);
	assert_true(stream_record_unpack(&out, buf, n));
	assert_memory_equal(&in, &out, sizeof in);
}

static void cut_or_altered_records_never_break_the_reader(void **state)
{
	static struct call_record in, out;
	static struct stream_record sout;
	static uint8_t buf[RECORD_BODY_MAX + 1];

	(void)state;
	fullest_call(&in);
	size_t n = call_record_pack(&in, buf);
	for (size_t cut = 0; cut < n; cut++) {
		(void)call_record_unpack(&out, buf, cut);
		(void)stream_record_unpack(&sout, buf, cut);
	}
	srand(1);
	for (int i = 0; i < 20000; i++) {
		size_t at = (size_t)rand() % n;
		uint8_t was = buf[at];
		buf[at] = (uint8_t)rand();
		if (call_record_unpack(&out, buf, n)) {
			assert_true(out.coverage_count <= COVERAGE_MAX && out.holds_count <= 16);
			assert_non_null(call_state_name(out.state));
		}
		buf[at] = was;
	}
	assert_false(call_record_unpack(&out, buf, RECORD_BODY_MAX + 1));
	assert_false(stream_record_unpack(&sout, buf, RECORD_BODY_MAX + 1));
}

/* JSON has no such numbers, so nobody could be told of the call. */
static void a_stream_record_with_a_number_that_is_none_is_refused(void **state)
{
	static const double none[] = { NAN, INFINITY, -INFINITY };
	static uint8_t buf[RECORD_BODY_MAX];
	struct stream_record in = { 0 }, out;

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
		in.jitter_ms = none[i];
		assert_false(stream_record_unpack(&out, buf, stream_record_pack(&in, buf)));
		in.jitter_ms = 0;
		in.remote_jitter_ms = none[i];
		assert_false(stream_record_unpack(&out, buf, stream_record_pack(&in, buf)));
		in.remote_jitter_ms = 0;
	}
	assert_true(stream_record_unpack(&out, buf, stream_record_pack(&in, buf)));
}

static void a_body_that_holds_too_much_is_refused(void **state)
{
	static struct call_record in, out;
	static uint8_t buf[RECORD_BODY_MAX];

	(void)state;
	fullest_call(&in);
	size_t n = call_record_pack(&in, buf);
	/* a 17th remark: field 27, length-delimited, 1 byte */
	memcpy(buf + n, "\xda\x01\x01x", 4);
	assert_false(call_record_unpack(&out, buf, n + 4));
	/* field 4 (from) again, 128 bytes: one more than fits */
	memcpy(buf + n, "\x22\x80\x01", 3);
	memset(buf + n + 3, '1', 128);
	assert_false(call_record_unpack(&out, buf, n + 131));
	/* field 10 (state) = 4: nobody knows it */
	memcpy(buf + n, "\x50\x04", 2);
	assert_false(call_record_unpack(&out, buf, n + 2));
	assert_true(call_record_unpack(&out, buf, n));
	/* no id at all */
	assert_false(call_record_unpack(&out, buf, 0));
}

static void names_are_those_of_the_command_line(void **state)
{
	(void)state;
	assert_string_equal(call_state_name(CALL_TALKING), "talking");
	assert_string_equal(call_outcome_name(OUTCOME_NONE), "");
	assert_string_equal(call_outcome_name(OUTCOME_CANCELLED), "cancelled");
	assert_string_equal(call_ended_by_name(ENDED_BY_CAPTURE_END), "capture-end");
	assert_string_equal(call_direction_name(DIRECTION_UNKNOWN), "unknown");
	assert_string_equal(track_name(TRACK_CALLEE), "callee");
	assert_string_equal(call_state_name((enum call_state)99), "");
	assert_string_equal(track_name((enum track)2), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_record_comes_back_whole),
		cmocka_unit_test(a_stream_record_comes_back_whole),
		cmocka_unit_test(cut_or_altered_records_never_break_the_reader),
		cmocka_unit_test(a_stream_record_with_a_number_that_is_none_is_refused),
		cmocka_unit_test(a_body_that_holds_too_much_is_refused),
		cmocka_unit_test(names_are_those_of_the_command_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
