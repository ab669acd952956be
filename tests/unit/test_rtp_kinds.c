/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* What else crosses a media port: events that are kept, noise, keys being agreed, calls that are never recorded, and
 * media that no signalling explains. */
#include "rtp_help.h"

#define END (INT64_MAX - 1)

static struct rig *rig_for(struct talker *t, bool keep_events)
{
	struct rig *r = rig_new(rig_config());
	*t = talker(ep(2, 5000), ep(1, 4000), 7, T0);
	struct media_expect e = expectation(1, t->dst, TRACK_CALLER, T0);
	e.keep_events = keep_events;
	media_expect(r->media, &e);
	return r;
}

static void events_are_stored_only_where_they_are_kept(void **state)
{
	(void)state;
	for (int keep = 0; keep < 2; keep++) {
		struct talker t;
		struct rig *r = rig_for(&t, keep);
		for (int i = 0; i < 3; i++) {
			talk_n(r, &t, 20);
			press(r, &t);
		}
		rig_forget(r, 1, END);
		const struct stream_record *s = record(r, 0);
		assert_int_equal(s->events, 3);
		assert_int_equal(s->packets, 60);
		assert_int_equal(s->bytes, 60 * 160);
		assert_int_equal(s->lost, 0);
		assert_int_equal(s->payload_types_count, 1);
		expect_count(r, RTP_STORED, 60);
		expect_count(r, RTP_EVENT, keep ? 0 : 18);
		expect_count(r, RTP_EVENT_STORED, keep ? 18 : 0);
		size_t events = 0;
		for (size_t i = 0; i < r->kept_count; i++)
			events += (r->kept[i].packet[1] & 0x7f) == 101;
		assert_int_equal(events, keep ? 18 : 0);
		rig_free(r);
	}
}

/* Digits are not kept for being sent with a payload type that no SDP has named; what is no event is audio. */
static void events_that_sdp_does_not_name_are_events_still(void **state)
{
	static const uint8_t shapes[][4] = { { 5, 10, 0, 160 },
					     { 5, 0x8a, 3, 32 },
					     { 16, 10, 0, 160 } };
	(void)state;
	for (uint8_t i = 0; i < 3; i++) {
		struct talker t;
		struct rig *r = rig_for(&t, false);
		uint8_t p[12 + 4];
		talk_n(r, &t, 20);
		uint32_t len = rtp_make(p, 110, t.seq, t.timestamp, t.ssrc, 4);
		memcpy(p + 12, shapes[i], 4);
		(void)rig_send(r, t.at_ns, t.src, t.dst, p, len, 0);
		rig_forget(r, 1, END);
		const struct stream_record *s = record(r, 0);
		assert_int_equal(s->events, i < 2);
		assert_int_equal(s->packets, i < 2 ? 20 : 21);
		assert_int_equal(s->payload_types_count, i < 2 ? 1 : 2);
		expect_count(r, RTP_EVENT, i < 2);
		rig_free(r);
	}
}

static void events_after_the_end_are_cut_with_the_rest(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t, true);
	talk_n(r, &t, 20);
	int64_t until = t.at_ns - 1;
	press(r, &t);
	talk_n(r, &t, 3);
	rig_forget(r, 1, until);
	const struct stream_record *s = record(r, 0);
	assert_int_equal(s->events, 0);
	assert_int_equal(s->packets, 20);
	assert_int_equal(s->lost, 0);
	assert_int_equal(r->kept_count, 20);
	assert_int_equal(s->cut, 9);
	rig_free(r);
}

static void comfort_noise_is_counted_and_silence_is_no_loss(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t, false);
	for (int i = 0; i < 4; i++) {
		talk_n(r, &t, 30);
		struct talker n = t;
		n.type = 13;
		n.payload = 1;
		talk_n(r, &n, 2);
		t.seq = n.seq;
		t.timestamp = n.timestamp + 8000; /* a second of nothing */
		t.at_ns = n.at_ns + 1000 * MS;
	}
	int64_t until = t.at_ns - 1;
	t.type = 13;
	t.payload = 1;
	talk_n(r, &t, 2);
	rig_forget(r, 1, until);
	const struct stream_record *s = record(r, 0);
	assert_int_equal(s->noise, 8);
	assert_int_equal(s->packets, 128);
	assert_int_equal(s->lost, 0);
	assert_int_equal(s->loss_runs, 0);
	assert_true(s->jitter_ms < 1);
	rig_free(r);
}

/* What was counted as audio, in the open chunk or before it, is not taken back as noise. */
static void noise_that_was_told_anew_is_not_counted_below_none(void **state)
{
	(void)state;
	for (int closed = 0; closed < 2; closed++) {
		struct talker t;
		struct rig *r = rig_for(&t, false);
		talk_n(r, &t, 20);
		int64_t until = t.at_ns - 1;
		talk_n(r, &t, 4);
		struct media_expect anew = expectation(1, t.dst, 0, t.at_ns);
		anew.payloads[0].kind = PAYLOAD_NOISE;
		media_expect(r->media, &anew);
		talk_n(r, &t, 2);
		if (closed)
			media_tick(r->media, t.at_ns + 2000 * MS);
		rig_forget(r, 1, until);
		const struct stream_record *s = record_of(r, t.ssrc);
		assert_int_equal(s->noise, 0);
		assert_int_equal(s->packets, 20);
		assert_int_equal(s->cut, 6);
		rig_free(r);
	}
}

static void cipher_is_stored_as_it_came(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint src = ep(2, 5000), dst = ep(1, 4000);
	struct media_expect e = expectation(1, dst, TRACK_CALLER, T0);
	e.protection = PROTECTION_SDES;
	media_expect(r->media, &e);
	seed_show("cipher");
	uint8_t sent[60][12 + 16 + 174];
	for (uint16_t i = 0; i < 60; i++) {
		(void)rtp_make(sent[i], 0, i, i * 160u, 9, 190);
		for (size_t at = 12; at < sizeof sent[i]; at++)
			sent[i][at] = (uint8_t)rnd();
		sent[i][0] = (uint8_t)(0x80 | (i % 3 ? 0x20 : 0)); /* padding is in the cipher */
		(void)rig_send(r, T0 + i * 20 * MS, src, dst, sent[i], sizeof sent[i], 0);
	}
	rig_forget(r, 1, END);
	assert_int_equal(r->kept_count, 60);
	for (size_t i = 0; i < 60; i++) {
		assert_int_equal(r->kept[i].packet_len, sizeof sent[i]);
		assert_memory_equal(r->kept[i].packet, sent[i], sizeof sent[i]);
	}
	assert_int_equal(record(r, 0)->protection, PROTECTION_SDES);
	rig_free(r);
}

static void protection_is_told_by_where_it_is_sent(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct media_expect e = expectation(1, ep(1, 4000), TRACK_CALLER, T0);
	e.protection = PROTECTION_SDES;
	media_expect(r->media, &e);
	rig_expect(r, 1, ep(2, 5000), TRACK_CALLEE, T0);
	struct talker in = talker(ep(2, 5000), ep(1, 4000), 1, T0),
		      out = talker(ep(1, 4000), ep(2, 5000), 2, T0),
		      by_source = talker(ep(2, 5000), ep(99, 99), 3, T0);
	talk_n(r, &in, 3);
	talk_n(r, &out, 3);
	talk_n(r, &by_source, 3);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 1)->protection, PROTECTION_SDES);
	assert_int_equal(record_of(r, 2)->protection, PROTECTION_NONE);
	assert_int_equal(record_of(r, 3)->protection, PROTECTION_SDES);
	rig_free(r);
}

static void keys_agreed_in_the_media_are_remarked_once(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t, false);
	const uint8_t dtls[30] = { 22, 0xfe, 0xfd }, stun[20] = { 0, 1 };
	const uint8_t zrtp[30] = { 0x10, 0, 0, 1, 0x5a, 0x52, 0x54, 0x50 };
	for (int i = 0; i < 3; i++) {
		(void)rig_send(r, t.at_ns, t.src, t.dst, dtls, sizeof dtls, 0);
		(void)talk(r, &t);
		(void)rig_send(r, t.at_ns, t.dst, t.src, zrtp, sizeof zrtp, 0);
		(void)rig_send(r, t.at_ns, t.src, t.dst, stun, sizeof stun, 0);
	}
	expect_count(r, MEDIA_DTLS, 3);
	expect_count(r, MEDIA_ZRTP, 3);
	expect_count(r, MEDIA_STUN, 3);
	assert_int_equal(remarked(r, 1, "dtls-srtp"), 1);
	assert_int_equal(remarked(r, 1, "zrtp"), 1);
	assert_int_equal(r->remarks_count, 2);
	rig_forget(r, 1, END);
	rig_free(r);
}

/* ---- never to be recorded ---- */

static void nothing_is_kept_of_a_call_never_to_be_recorded(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 7, T0);
	talk_n(r, &t, 10); /* in the pen */
	struct media_expect e = expectation(1, t.dst, TRACK_CALLER, T0);
	e.discard = true;
	e.rtcp = ep(1, 4001);
	media_expect(r->media, &e);
	expect_count(r, RTP_EXCLUDED, 10);
	assert_int_equal(media_held(r->media), 0);
	talk_n(r, &t, 100);
	t.ssrc = 8;
	talk_n(r, &t, 100);
	struct talker back = talker(t.dst, t.src, 9, t.at_ns); /* from there to anywhere */
	talk_n(r, &back, 50);
	const uint8_t rtcp[28] = { 0x80, 200, 0, 6 };
	(void)rig_send(r, t.at_ns, t.src, e.rtcp, rtcp, sizeof rtcp, 0);
	(void)rig_send(r, t.at_ns, t.src, t.dst, rtcp, sizeof rtcp, 0);
	expect_count(r, RTP_EXCLUDED, 10 + 200 + 50 + 2);
	rig_forget(r, 1, t.at_ns);
	talk_n(r, &t, 50);
	talk_n(r, &back, 50);
	expect_count(r, RTP_AFTER_END, 100);
	expect_count(r, RTP_STORED, 0);
	assert_int_equal(media_held(r->media), 0);
	assert_int_equal(r->records_sent, 0);
	assert_int_equal(r->chunks, 0);
	assert_int_equal(r->alive_count, 0);
	expect_count(r, STREAMS, 0);
	rig_free(r);
}

static void a_call_that_turns_out_excluded_loses_what_is_at_hand(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t, false);
	talk_n(r, &t, 20);
	struct media_expect e = expectation(1, t.dst, TRACK_CALLER, T0);
	e.discard = true;
	media_expect(r->media, &e);
	talk_n(r, &t, 20);
	rig_forget(r, 1, END);
	assert_int_equal(r->kept_count, 0);
	expect_count(r, RTP_EXCLUDED, 20);
	expect_count(r, RTP_CUT, 20);
	rig_free(r);
}

static void excluded_flows_leave_room_for_others(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct media_expect e = expectation(1, ep(1, 4000), TRACK_CALLER, T0);
	e.discard = true;
	media_expect(r->media, &e);
	for (uint32_t i = 0; i < 2000; i++) {
		struct talker t = talker(ep(2, (uint16_t)(1000 + i)), ep(1, 4000), i, T0);
		(void)talk(r, &t);
	}
	expect_count(r, RTP_EXCLUDED, 2000);
	rig_expect(r, 2, ep(3, 6000), TRACK_CALLER, T0);
	struct talker t = talker(ep(4, 7000), ep(3, 6000), 1, T0);
	talk_n(r, &t, 10);
	expect_count(r, RTP_STORED, 10);
	rig_forget(r, 1, END);
	rig_forget(r, 2, END);
	rig_free(r);
}

/* ---- orphans ---- */

static void media_that_nobody_explains_is_told_once(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 7, T0);
	t.type = 8;
	talk_n(r, &t, 50);
	assert_int_equal(r->orphans_count, 0);
	for (int i = 0; i < 300; i++) {
		(void)talk(r, &t);
		talk_again(r, &t, 0, 9000);
		media_tick(r->media, t.at_ns);
	}
	assert_int_equal(r->orphans_count, 1);
	const struct media_orphan *o = &r->orphans[0];
	assert_true(endpoint_equal(&o->src, &t.src) && endpoint_equal(&o->dst, &t.dst));
	assert_int_equal(o->ssrc, 7);
	assert_int_equal(o->payload_type, 8);
	assert_int_equal(o->first_ns, T0);
	assert_true(media_held(r->media) <= 100);
	expect_count(r, ORPHANS, 1);
	t.at_ns += 10 * NS_PER_S;
	media_tick(r->media, t.at_ns);
	assert_int_equal(media_held(r->media), 0);
	talk_n(r, &t, 100); /* it has come back */
	assert_int_equal(r->orphans_count, 2);
	rig_free(r);
}

static void what_is_no_stream_is_no_orphan(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 7, T0);
	for (int i = 0; i < 300; i++) { /* numbers at random */
		t.seq = (uint16_t)(t.seq + 977 * i);
		(void)talk(r, &t);
	}
	struct talker u = talker(ep(2, 5002), ep(1, 4002), 7, t.at_ns);
	for (int i = 0; i < 300; i++) { /* sources at random */
		u.ssrc = (uint32_t)i * 31;
		(void)talk(r, &u);
	}
	struct talker v = talker(ep(2, 5004), ep(1, 4004), 7, u.at_ns);
	v.every_ns = MS;
	talk_n(r, &v, 500); /* half a second */
	assert_int_equal(r->orphans_count, 0);
	rig_free(r);
}

static void an_orphan_is_expected_and_recorded(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 7, T0);
	talk_n(r, &t, 60);
	assert_int_equal(r->orphans_count, 1);
	struct media_expect e = expectation(1, t.dst, TRACK_CALLEE, r->orphans[0].first_ns);
	e.orphan = true;
	media_expect(r->media, &e);
	talk_n(r, &t, 40);
	rig_forget(r, 1, END);
	assert_int_equal(record(r, 0)->packets, 100);
	rig_free(r);
}

static void a_real_call_takes_over_from_an_orphan(bool at_destination)
{
	struct rig *r = rig_new(rig_config());
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 7, T0);
	struct media_expect e = expectation(1, t.dst, TRACK_CALLER, T0);
	e.orphan = true;
	media_expect(r->media, &e);
	e = expectation(1, t.src, TRACK_CALLEE, T0);
	e.orphan = true;
	media_expect(r->media, &e);
	talk_n(r, &t, 50);
	struct endpoint real = at_destination ? t.dst : t.src;
	rig_expect(r, 2, real, at_destination ? TRACK_CALLER : TRACK_CALLEE, t.at_ns);
	talk_n(r, &t, 50);
	/* An orphan that is expected later takes nothing back. */
	e = expectation(3, t.dst, TRACK_CALLER, T0);
	e.orphan = true;
	media_expect(r->media, &e);
	talk_n(r, &t, 50);
	rig_forget(r, 1, END);
	rig_forget(r, 3, END);
	rig_forget(r, 2, END);
	assert_int_equal(r->records_count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(record(r, i)->track, TRACK_CALLEE);
		assert_int_equal(record(r, i)->packets, record(r, i)->call == 1 ? 50 : 100);
	}
	rig_free(r);
}

static void a_call_at_its_destination_takes_over_from_an_orphan(void **state)
{
	(void)state;
	a_real_call_takes_over_from_an_orphan(true);
}

static void a_call_at_its_source_takes_over_from_an_orphan(void **state)
{
	(void)state;
	a_real_call_takes_over_from_an_orphan(false);
}

/* ---- after the end ---- */

static void audio_in_both_directions_long_after_the_end_is_remarked(void **state)
{
	(void)state;
	for (int both = 0; both < 2; both++) {
		struct rig *r = rig_new(rig_config());
		rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
		rig_expect(r, 1, ep(2, 5000), TRACK_CALLEE, T0);
		struct talker a = talker(ep(1, 4000), ep(2, 5000), 1, T0),
			      b = talker(ep(2, 5000), ep(1, 4000), 2, T0);
		talk_n(r, &a, 50);
		talk_n(r, &b, 50);
		rig_forget(r, 1, a.at_ns);
		for (int i = 0; i < 400; i++) {
			(void)talk(r, &a);
			if (both)
				(void)talk(r, &b);
			if (i < 240)
				assert_int_equal(r->remarks_count, 0);
		}
		assert_int_equal(remarked(r, 1, "media-after-bye"), both);
		expect_count(r, MEDIA_AFTER_BYE, (uint64_t)both);
		rig_free(r);
	}
}

static void media_that_moved_is_not_after_the_bye(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	rig_expect(r, 1, ep(2, 5000), TRACK_CALLEE, T0);
	rig_expect(r, 1, ep(2, 5008), TRACK_CALLEE, T0);
	struct talker a = talker(ep(9, 4000), ep(2, 5000), 1, T0),
		      b = talker(ep(9, 5000), ep(1, 4000), 2, T0);
	talk_n(r, &a, 50);
	talk_n(r, &b, 50);
	rig_forget_at(r, 1, ep(1, 4000), a.at_ns);
	rig_forget_at(r, 1, ep(2, 5000), a.at_ns);
	for (int i = 0; i < 400; i++) {
		(void)talk(r, &a);
		(void)talk(r, &b);
	}
	expect_count(r, RTP_AFTER_END, 800);
	assert_int_equal(r->remarks_count, 0);
	rig_forget(r, 1, a.at_ns);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_stored_only_where_they_are_kept),
		cmocka_unit_test(events_that_sdp_does_not_name_are_events_still),
		cmocka_unit_test(events_after_the_end_are_cut_with_the_rest),
		cmocka_unit_test(comfort_noise_is_counted_and_silence_is_no_loss),
		cmocka_unit_test(noise_that_was_told_anew_is_not_counted_below_none),
		cmocka_unit_test(cipher_is_stored_as_it_came),
		cmocka_unit_test(protection_is_told_by_where_it_is_sent),
		cmocka_unit_test(keys_agreed_in_the_media_are_remarked_once),
		cmocka_unit_test(nothing_is_kept_of_a_call_never_to_be_recorded),
		cmocka_unit_test(a_call_that_turns_out_excluded_loses_what_is_at_hand),
		cmocka_unit_test(excluded_flows_leave_room_for_others),
		cmocka_unit_test(media_that_nobody_explains_is_told_once),
		cmocka_unit_test(what_is_no_stream_is_no_orphan),
		cmocka_unit_test(an_orphan_is_expected_and_recorded),
		cmocka_unit_test(a_call_at_its_destination_takes_over_from_an_orphan),
		cmocka_unit_test(a_call_at_its_source_takes_over_from_an_orphan),
		cmocka_unit_test(audio_in_both_directions_long_after_the_end_is_remarked),
		cmocka_unit_test(media_that_moved_is_not_after_the_bye),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
