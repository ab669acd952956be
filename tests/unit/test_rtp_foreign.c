/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Who may speak on a track: parties behind NAT, those that change address, multicast, and strangers. */
#include "rtp_help.h"

#define END (INT64_MAX - 1)

static struct endpoint multicast(void)
{
	struct endpoint e;
	endpoint_set_v4(&e, (const uint8_t[4]){ 239, 1, 2, 3 }, 6000);
	return e;
}

/* A call whose caller is at 4000 by its SDP, its callee at 5000. */
static struct rig *rig_of_call(void)
{
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	rig_expect(r, 1, ep(2, 5000), TRACK_CALLEE, T0);
	return r;
}

static void injected_audio_is_a_stream_of_its_own_and_foreign(void **state)
{
	(void)state;
	struct rig *r = rig_of_call();
	struct talker party = talker(ep(1, 4000), ep(2, 5000), 11, T0),
		      stranger = talker(ep(66, 666), ep(2, 5000), 22, T0 + 1000 * MS);
	talk_n(r, &party, 50);
	for (int i = 0; i < 200; i++) {
		(void)talk(r, &stranger);
		(void)talk(r, &party);
	}
	assert_int_equal(remarked(r, 1, "foreign-media"), 1);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->foreign, 0);
	assert_int_equal(record_of(r, 11)->packets, 250);
	assert_int_equal(record_of(r, 22)->foreign, 1);
	assert_int_equal(record_of(r, 22)->packets, 200);
	assert_int_equal(record_of(r, 22)->track, TRACK_CALLER);
	assert_int_equal(remarked(r, 1, "foreign-media"), 1);
	expect_count(r, STREAMS_FOREIGN, 1);
	rig_free(r);
}

static void a_short_injection_is_foreign_too(void **state)
{
	(void)state;
	struct rig *r = rig_of_call();
	struct talker party = talker(ep(1, 4000), ep(2, 5000), 11, T0);
	talk_n(r, &party, 50);
	struct talker stranger = talker(ep(66, 666), ep(2, 5000), 22, party.at_ns);
	(void)talk(r, &stranger);
	talk_n(r, &party, 20);
	rig_forget(r, 1, party.at_ns); /* its chunk is still open */
	assert_int_equal(record_of(r, 22)->foreign, 1);
	assert_int_equal(remarked(r, 1, "foreign-media"), 1);
	rig_free(r);
}

static void injection_beside_a_party_behind_nat_is_foreign(void **state)
{
	(void)state;
	struct rig *r = rig_of_call();
	/* The party itself comes from where no SDP says; it was first. */
	struct talker party = talker(ep(200, 40001), ep(2, 5000), 11, T0),
		      stranger = talker(ep(66, 666), ep(2, 5000), 22, T0 + 500 * MS);
	talk_n(r, &party, 25);
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &stranger);
		(void)talk(r, &party);
	}
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->foreign, 0);
	assert_int_equal(record_of(r, 22)->foreign, 1);
	rig_free(r);
}

static void a_nat_that_binds_anew_is_the_party(void **state)
{
	(void)state;
	struct rig *r = rig_of_call();
	struct talker t = talker(ep(200, 40001), ep(2, 5000), 11, T0);
	talk_n(r, &t, 100);
	t.src = ep(200, 40002);
	talk_n(r, &t, 2);
	talk_again(r, &t, 5, 0); /* stragglers */
	talk_n(r, &t, 100);
	t.src = ep(201, 50000);
	t.ssrc = 12; /* and a device that begins anew */
	talk_n(r, &t, 100);
	rig_forget(r, 1, END);
	assert_int_equal(r->records_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(record(r, i)->foreign, 0);
	assert_int_equal(r->remarks_count, 0);
	rig_free(r);
}

static void another_ssrc_on_the_same_flow_is_the_party(void **state)
{
	(void)state;
	struct rig *r = rig_of_call();
	struct talker t = talker(ep(200, 40001), ep(2, 5000), 11, T0), u = t;
	u.ssrc = 22;
	talk_n(r, &t, 50);
	u.at_ns = t.at_ns;
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &t);
		(void)talk(r, &u);
	}
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 22)->foreign, 0);
	rig_free(r);
}

static void who_spoke_first_is_foreign_beside_the_one_that_sdp_names(void **state)
{
	(void)state;
	struct rig *r = rig_of_call();
	struct talker stranger = talker(ep(66, 666), ep(2, 5000), 22, T0);
	talk_n(r, &stranger, 25);
	struct talker party = talker(ep(1, 4000), ep(2, 5000), 11, stranger.at_ns);
	for (int i = 0; i < 200; i++) {
		(void)talk(r, &stranger);
		(void)talk(r, &party);
	}
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 22)->foreign, 1);
	assert_int_equal(record_of(r, 11)->foreign, 0);
	rig_free(r);
}

static void an_announcement_before_the_party_is_not_foreign(void **state)
{
	(void)state;
	struct rig *r = rig_of_call();
	struct talker server = talker(ep(50, 5050), ep(1, 4000), 22, T0);
	talk_n(r, &server, 100);
	struct talker party = talker(ep(2, 5000), ep(1, 4000), 11, server.at_ns + 10 * MS);
	(void)talk(r, &party);
	(void)talk(r, &server);
	talk_n(r, &party, 200);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 22)->foreign, 0);
	assert_int_equal(record_of(r, 11)->foreign, 0);
	rig_free(r);
}

static void many_may_speak_to_a_multicast_group(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	rig_expect(r, 1, multicast(), TRACK_CALLEE, T0);
	struct talker t[3];
	for (uint8_t i = 0; i < 3; i++)
		t[i] = talker(ep((uint8_t)(1 + i), 4000), multicast(), 100 + i, T0);
	for (int n = 0; n < 100; n++)
		for (int i = 0; i < 3; i++)
			(void)talk(r, &t[i]);
	rig_forget(r, 1, END);
	assert_int_equal(r->records_count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(record(r, i)->foreign, 0);
		assert_int_equal(record(r, i)->packets, 100);
		assert_int_equal(record(r, i)->track, TRACK_CALLER);
	}
	rig_free(r);
}

static void a_page_is_heard_when_both_sides_name_the_group(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, multicast(), TRACK_CALLEE, T0);
	struct talker t = talker(ep(1, 4000), multicast(), 5, T0);
	talk_n(r, &t, 50);
	rig_expect(r, 1, multicast(), TRACK_CALLER, T0);
	talk_n(r, &t, 50);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 5)->packets, 100);
	assert_int_equal(record_of(r, 5)->track, TRACK_CALLER);
	rig_free(r);
}

static void many_strangers_leave_room_for_the_party(void **state)
{
	(void)state;
	struct rig *r = rig_of_call();
	for (int i = 0; i < 200; i++) {
		struct talker s =
			talker(ep(66, (uint16_t)(1000 + i)), ep(2, 5000), (uint32_t)i, T0);
		(void)talk(r, &s);
	}
	struct talker party = talker(ep(1, 4000), ep(2, 5000), 999, T0);
	talk_n(r, &party, 100);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 999)->packets, 100);
	assert_int_equal(record_of(r, 999)->foreign, 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(injected_audio_is_a_stream_of_its_own_and_foreign),
		cmocka_unit_test(a_short_injection_is_foreign_too),
		cmocka_unit_test(injection_beside_a_party_behind_nat_is_foreign),
		cmocka_unit_test(a_nat_that_binds_anew_is_the_party),
		cmocka_unit_test(another_ssrc_on_the_same_flow_is_the_party),
		cmocka_unit_test(who_spoke_first_is_foreign_beside_the_one_that_sdp_names),
		cmocka_unit_test(an_announcement_before_the_party_is_not_foreign),
		cmocka_unit_test(many_may_speak_to_a_multicast_group),
		cmocka_unit_test(a_page_is_heard_when_both_sides_name_the_group),
		cmocka_unit_test(many_strangers_leave_room_for_the_party),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
