/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Payload maps: kept once for all calls that say the same, as long as somebody needs them. */
#include "rtp_help.h"

#include "rtp/media.h"

#define END (INT64_MAX - 1)

static uint32_t maps(const struct rig *r)
{
	return intern_count(r->media->expects.maps);
}

static void calls_that_say_the_same_share_one_map(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());

	for (uint8_t i = 0; i < 100; i++)
		rig_expect(r, 1 + i, ep(i, 4000), TRACK_CALLER, T0);
	assert_int_equal(maps(r), 1);
	struct media_expect e = expectation(101, ep(101, 4000), TRACK_CALLER, T0);
	/* What stands behind the end of a text, or of the map, is nothing. */
	memset(e.payloads[0].codec + 5, 'x', 20);
	e.payloads[4].type = 77;
	media_expect(r->media, &e);
	assert_int_equal(maps(r), 1);
	e = expectation(102, ep(102, 4000), TRACK_CALLER, T0);
	snprintf(e.payloads[2].fmtp, sizeof e.payloads[2].fmtp, "0-15");
	media_expect(r->media, &e);
	assert_int_equal(maps(r), 2);
	for (uint8_t i = 0; i < 100; i++)
		rig_forget_at(r, 1 + i, ep(i, 4000), END);
	assert_int_equal(maps(r), 2);
	rig_forget(r, 101, END);
	assert_int_equal(maps(r), 1);
	rig_forget(r, 102, END);
	assert_int_equal(maps(r), 0);
	rig_free(r);
}

static void a_map_of_too_many_types_is_cut(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct media_expect e = expectation(1, ep(1, 4000), TRACK_CALLER, T0);

	e.payloads_count = 200;
	media_expect(r->media, &e);
	assert_int_equal(maps(r), 1);
	rig_forget(r, 1, END);
	assert_int_equal(maps(r), 0);
	rig_free(r);
}

/* The name of what was heard does not change with what is said later. */
static void a_stream_keeps_the_map_that_named_it(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct media_expect e = expectation(1, ep(1, 4000), TRACK_CALLER, T0), other = e;
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 1, T0);

	e.payloads[0] = (struct media_payload){ 97, PAYLOAD_AUDIO, 1, 16000, "speex", "vbr=on" };
	media_expect(r->media, &e);
	t.type = 97;
	talk_n(r, &t, 5);
	media_expect(r->media, &other); /* 97 means nothing any more */
	assert_int_equal(maps(r), 2);
	talk_n(r, &t, 5);
	/* A new map for other calls finds no place that the stream needs. */
	rig_expect(r, 2, ep(3, 4000), TRACK_CALLER, T0);
	e.payloads[0] = (struct media_payload){ 97, PAYLOAD_AUDIO, 1, 8000, "iLBC", "mode=20" };
	e.call = 3;
	e.at = ep(4, 4000);
	media_expect(r->media, &e);
	assert_int_equal(maps(r), 3);
	rig_forget(r, 1, END);
	assert_string_equal(record_of(r, 1)->codec, "speex");
	assert_string_equal(record_of(r, 1)->fmtp, "vbr=on");
	assert_int_equal(record_of(r, 1)->clock_rate, 16000);
	assert_int_equal(record_of(r, 1)->packets, 10);
	assert_int_equal(maps(r), 2);
	rig_forget(r, 2, END);
	rig_forget(r, 3, END);
	assert_int_equal(maps(r), 0);
	rig_free(r);
}

/* A map that names a stream by the other side's words (NAT) is held too. */
static void a_stream_outlives_the_expectation_that_named_it(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct media_expect e = expectation(1, ep(9, 4000), TRACK_CALLEE, T0);
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 1, T0);

	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	e.payloads[0] = (struct media_payload){ 97, PAYLOAD_AUDIO, 1, 16000, "speex", "" };
	media_expect(r->media, &e);
	t.type = 97;
	talk_n(r, &t, 5);
	rig_forget_at(r, 1, ep(9, 4000), END);
	assert_int_equal(maps(r), 2);
	talk_n(r, &t, 5);
	rig_forget(r, 1, END);
	assert_string_equal(record_of(r, 1)->codec, "speex");
	assert_int_equal(maps(r), 0);
	rig_free(r);
}

#define HOSTILE 100000
#define OPEN    50000 /* at once */

static struct endpoint hostile_end(uint32_t i)
{
	return ep((uint8_t)(i >> 14), (uint16_t)((i & 0x3fff) + 1));
}

static void different_maps_without_end_lose_no_call(void **state)
{
	(void)state;
	struct media_config cfg = rig_config();
	cfg.max_expects = OPEN + 1;
	struct rig *r = rig_new(cfg);
	struct media_expect e = expectation(0, ep(1, 0), TRACK_CALLER, T0);

	for (uint32_t i = 1; i <= HOSTILE; i++) {
		e.call = i;
		e.at = hostile_end(i);
		snprintf(e.payloads[2].fmtp, sizeof e.payloads[2].fmtp, "x=%u", i);
		media_expect(r->media, &e);
		if (i > OPEN)
			rig_forget_at(r, i - OPEN, hostile_end(i - OPEN), T0);
		assert_int_equal(maps(r), i > OPEN ? OPEN : i);
	}
	/* A good one beside them all. */
	struct talker t = talker(ep(2, 5000), ep(200, 4000), 1, T0);
	rig_expect(r, HOSTILE + 1, t.dst, TRACK_CALLER, T0);
	talk_n(r, &t, 5);
	rig_forget(r, HOSTILE + 1, END);
	assert_string_equal(record_of(r, 1)->codec, "PCMU");
	expect_count(r, EXPECT_LIMIT, 0);
	for (uint32_t i = HOSTILE - OPEN + 1; i <= HOSTILE; i++)
		rig_forget_at(r, i, hostile_end(i), T0);
	assert_int_equal(maps(r), 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_that_say_the_same_share_one_map),
		cmocka_unit_test(a_map_of_too_many_types_is_cut),
		cmocka_unit_test(a_stream_keeps_the_map_that_named_it),
		cmocka_unit_test(a_stream_outlives_the_expectation_that_named_it),
		cmocka_unit_test(different_maps_without_end_lose_no_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
