/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* One call seen on both sides of a relay: each voice is kept once, and whole. */
#include "rtp_help.h"

#define END  (INT64_MAX - 1)
#define US   NS_PER_US
#define HOP  (300 * US) /* through the relay */
#define SSRC 0x11223344u

/* The caller A at 4000, the callee B at 5000; the relay stands for each towards the other. */
static struct endpoint a_end(void)
{
	return ep(1, 4000);
}
static struct endpoint b_end(void)
{
	return ep(2, 5000);
}
static struct endpoint relay_to_b(void)
{
	return ep(9, 30000);
}
static struct endpoint relay_to_a(void)
{
	return ep(9, 30002);
}

/* Expectations as the INVITE and its 200 make them while they cross the mirror twice. */
static void expect_all(struct rig *r, uint8_t protection_of_a_side)
{
	struct media_expect e = expectation(1, a_end(), TRACK_CALLER, T0);
	e.protection = protection_of_a_side;
	media_expect(r->media, &e);
	e = expectation(1, relay_to_b(), TRACK_CALLER, T0);
	e.stream_base = 2 * STREAM_BLOCK;
	media_expect(r->media, &e);
	rig_expect(r, 1, b_end(), TRACK_CALLEE, T0);
	e = expectation(1, relay_to_a(), TRACK_CALLEE, T0);
	e.stream_base = 3 * STREAM_BLOCK;
	e.protection = protection_of_a_side;
	media_expect(r->media, &e);
}

/* The caller's voice on its way to the relay, and from it. */
static void caller(struct talker *near, struct talker *far)
{
	*near = talker(a_end(), relay_to_a(), SSRC, T0);
	*far = talker(relay_to_b(), b_end(), SSRC, T0 + HOP);
}

/* Everything that was kept of the SSRC: each number of [first, last] once, as sent. */
static void assert_whole(const struct rig *r, uint16_t first, uint16_t last)
{
	size_t n = (size_t)(uint16_t)(last - first) + 1;
	uint8_t *seen = calloc(1, n);
	assert_non_null(seen);
	for (size_t i = 0; i < r->kept_count; i++) {
		const struct kept *k = &r->kept[i];
		uint8_t p[12 + 160];
		uint16_t at = (uint16_t)((uint16_t)k->sequence - first);
		assert_true(at < n);
		assert_int_equal(seen[at]++, 0);
		assert_int_equal(k->packet_len,
				 rtp_make(p, 0, (uint16_t)k->sequence,
					  1000 + 160 * (uint32_t)((uint16_t)k->sequence - 500),
					  SSRC, 160));
		assert_memory_equal(k->packet, p, k->packet_len);
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(seen[i], 1);
	free(seen);
}

static void a_voice_on_both_sides_is_kept_once(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, far;
	expect_all(r, PROTECTION_NONE);
	caller(&near, &far);
	struct talker near_b = talker(b_end(), relay_to_b(), 77, T0),
		      far_b = talker(relay_to_a(), a_end(), 77, T0 + HOP);
	for (int i = 0; i < 200; i++) {
		(void)talk(r, &near);
		(void)talk(r, &near_b);
		(void)talk(r, &far);
		(void)talk(r, &far_b);
	}
	rig_forget(r, 1, END);
	assert_int_equal(r->records_count, 2);
	expect_count(r, RTP_STORED, 400);
	expect_count(r, RTP_RELAY_COPY, 400);
	expect_count(r, RTP_DUPLICATE, 0);
	expect_count(r, STREAMS, 2);
	const struct stream_record *s = record_of(r, SSRC);
	assert_int_equal(s->track, TRACK_CALLER);
	assert_int_equal(s->packets, 200);
	assert_int_equal(s->relay_copies, 200);
	assert_int_equal(s->lost, 0);
	assert_int_equal(s->src.port, 4000);
	s = record_of(r, 77);
	assert_int_equal(s->track, TRACK_CALLEE);
	assert_int_equal(s->relay_copies, 200);
	assert_int_equal(s->src.port, 5000);
	assert_int_equal(s->foreign, 0);
	assert_int_equal(r->remarks_count, 0);
	rig_free(r);
}

static void the_flow_nearest_the_party_sounds_whichever_comes_first(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, far;
	expect_all(r, PROTECTION_NONE);
	caller(&near, &far);
	for (int i = 0; i < 200; i++) {
		(void)talk(r, &far); /* the mirror sends the other side first */
		(void)talk(r, &near);
	}
	rig_forget(r, 1, END);
	assert_whole(r, 500, 699);
	const struct stream_record *s = record_of(r, SSRC);
	assert_int_equal(s->src.port, 4000);
	assert_int_equal(s->dst.port, 30002);
	assert_int_equal(s->packets, 200);
	assert_int_equal(s->relay_copies, 200);
	assert_int_equal(s->duplicates, 0);
	rig_free(r);
}

static void what_one_side_loses_comes_from_the_other(void **state)
{
	(void)state;
	seed_show("relay");
	for (int round = 0; round < 20; round++) {
		struct rig *r = rig_new(rig_config());
		struct talker near, far;
		expect_all(r, PROTECTION_NONE);
		caller(&near, &far);
		for (int i = 0; i < 400; i++) {
			/* Each is lost at most once; the first and the last never. */
			unsigned fate = i == 0 || i == 399 ? 9 : rnd_below(10);
			if (fate == 0)
				talk_lost(&near);
			else if (fate < 8 || fate == 9)
				(void)talk(r, &near);
			else
				(void)talk(r, &far);
			if (fate == 1)
				talk_lost(&far);
			else if (fate != 8)
				(void)talk(r, &far);
			else
				(void)talk(r, &near);
		}
		rig_forget(r, 1, END);
		assert_whole(r, 500, 899);
		assert_int_equal(record_of(r, SSRC)->packets, 400);
		assert_int_equal(record_of(r, SSRC)->lost, 0);
		assert_int_equal(record_of(r, SSRC)->loss_runs, 0);
		rig_free(r);
	}
}

static void when_the_first_flow_stops_the_other_goes_on_without_gap(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, far;
	expect_all(r, PROTECTION_NONE);
	caller(&near, &far);
	for (int i = 0; i < 500; i++) {
		if (i < 120 || i >= 300) /* it comes back, too */
			(void)talk(r, &near);
		else
			talk_lost(&near);
		(void)talk(r, &far);
	}
	rig_forget(r, 1, END);
	assert_whole(r, 500, 999);
	assert_int_equal(r->records_count, 1);
	assert_int_equal(record_of(r, SSRC)->packets, 500);
	assert_int_equal(record_of(r, SSRC)->foreign, 0);
	rig_free(r);
}

static void when_the_first_endpoint_is_forgotten_the_other_goes_on(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, far;
	expect_all(r, PROTECTION_NONE);
	caller(&near, &far);
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &near);
		(void)talk(r, &far);
	}
	rig_forget_at(r, 1, relay_to_a(), near.at_ns);
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &near);
		(void)talk(r, &far);
	}
	rig_forget(r, 1, END);
	assert_whole(r, 500, 699);
	uint64_t packets = 0;
	for (size_t i = 0; i < r->records_count; i++) {
		packets += record(r, i)->packets;
		assert_int_equal(record(r, i)->lost, 0);
	}
	assert_int_equal(packets, 200);
	rig_free(r);
}

/* A flow that is found to be a copy, with audio and an event that the other has not brought. */
static struct rig *copy_with_an_event(struct talker *near, struct talker *far, bool keep_events)
{
	struct rig *r = rig_new(rig_config());
	struct media_expect e = expectation(1, relay_to_a(), TRACK_CALLEE, T0);

	expect_all(r, PROTECTION_NONE);
	e.keep_events = keep_events;
	media_expect(r->media, &e);
	e = expectation(1, b_end(), TRACK_CALLEE, T0);
	e.keep_events = keep_events;
	media_expect(r->media, &e);
	caller(near, far);
	talk_n(r, near, 10);
	for (int i = 0; i < 10; i++)
		talk_lost(far);
	talk_n(r, far, 5);
	press(r, far);
	for (int i = 0; i < 3; i++)
		talk_lost(near);
	near->at_ns = far->at_ns;
	(void)talk(r, near); /* the second of them */
	return r;
}

static void a_copy_whose_frames_were_handed_on_begins_anew(void **state)
{
	(void)state;
	for (int keep_events = 0; keep_events < 2; keep_events++) {
		struct talker near, far;
		struct rig *r = copy_with_an_event(&near, &far, keep_events);
		rig_forget_at(r, 1, relay_to_a(), near.at_ns);
		assert_int_equal(r->records_count, 1);
		const struct stream_record *s = record(r, 0);
		assert_int_equal(s->packets, 15);
		assert_int_equal(s->bytes, 15 * 160);
		assert_int_equal(s->events, keep_events);
		assert_int_equal(s->lost, 0);
		assert_int_equal(s->relay_copies, 1);
		talk_n(r, &far, 20);
		rig_forget(r, 1, END);
		s = record(r, 1);
		assert_int_equal(s->packets, 20);
		assert_int_equal(s->bytes, 20 * 160);
		assert_int_equal(s->events, 0);
		assert_int_equal(s->lost, 0);
		assert_int_equal(r->kept_count, 35 + (keep_events ? 6 : 0));
		rig_free(r);
	}
}

static void what_a_copy_handed_on_is_cut_as_what_it_is(void **state)
{
	(void)state;
	for (int keep_events = 0; keep_events < 2; keep_events++) {
		struct talker near, far;
		struct rig *r = copy_with_an_event(&near, &far, keep_events);
		rig_forget(r, 1, T0 + 9 * 20 * MS);
		const struct stream_record *s = record_of(r, SSRC);
		assert_int_equal(s->packets, 10);
		assert_int_equal(s->bytes, 10 * 160);
		assert_int_equal(s->events, 0);
		assert_int_equal(s->lost, 0);
		assert_int_equal(s->dropped, 0);
		assert_int_equal(r->kept_count, 10);
		expect_count(r, RTP_CUT, 5 + (keep_events ? 6 : 0));
		rig_free(r);
	}
}

static void a_copy_that_begins_late_is_found(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, far;
	expect_all(r, PROTECTION_NONE);
	caller(&near, &far);
	for (int i = 0; i < 300; i++) {
		if (i >= 150)
			(void)talk(r, &far);
		else
			talk_lost(&far);
		(void)talk(r, &near);
	}
	rig_forget(r, 1, END);
	assert_whole(r, 500, 799);
	assert_int_equal(r->records_count, 1);
	assert_int_equal(record_of(r, SSRC)->relay_copies, 150);
	rig_free(r);
}

static void flows_that_begin_apart_are_found_when_they_overlap(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, far;
	expect_all(r, PROTECTION_NONE);
	caller(&near, &far);
	talk_n(r, &near, 100);
	for (int i = 0; i < 100; i++)
		talk_lost(&far);
	for (int i = 0; i < 100; i++) { /* only the far side, long enough for it to be written */
		talk_lost(&near);
		(void)talk(r, &far);
	}
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &far);
		(void)talk(r, &near);
	}
	rig_forget(r, 1, END);
	assert_whole(r, 500, 799);
	rig_free(r);
}

static void media_that_moves_is_no_copy(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker t = talker(a_end(), relay_to_a(), SSRC, T0);
	expect_all(r, PROTECTION_NONE);
	talk_n(r, &t, 100);
	t.src = relay_to_b();
	t.dst = b_end();
	talk_n(r, &t, 100);
	rig_forget(r, 1, END);
	assert_whole(r, 500, 699);
	assert_int_equal(r->records_count, 2);
	expect_count(r, STREAMS, 2);
	expect_count(r, RTP_RELAY_COPY, 0);
	rig_free(r);
}

static void the_side_in_clear_is_kept_where_the_other_is_in_cipher(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, far;
	expect_all(r, PROTECTION_SDES);
	caller(&near, &far);
	near.payload = 170; /* ciphertext and tag */
	for (int i = 0; i < 200; i++) {
		(void)talk(r, &near);
		(void)talk(r, &far);
	}
	rig_forget(r, 1, END);
	uint64_t clear = 0, cipher = 0;
	for (size_t i = 0; i < r->records_count; i++) {
		if (record(r, i)->protection == PROTECTION_NONE)
			clear += record(r, i)->packets;
		else
			cipher += record(r, i)->packets;
	}
	assert_int_equal(clear, 200);
	assert_true(cipher <= 1);
	rig_free(r);
}

static void a_copy_in_cipher_stands_in_for_nothing_but_takes_over(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, far;
	expect_all(r, PROTECTION_SDES);
	caller(&near, &far);
	near.payload = 170;
	for (int i = 0; i < 400; i++) {
		if (i < 100)
			(void)talk(r, &far);
		else
			talk_lost(&far);
		(void)talk(r, &near);
	}
	rig_forget(r, 1, END);
	for (size_t i = 0; i < r->kept_count; i++) {
		bool of_cipher = r->kept[i].packet_len == 12 + 170;
		assert_true(of_cipher || r->kept[i].packet_len == 12 + 160);
		/* Silent for a second: 50 packets are on neither. */
		assert_true(of_cipher == ((uint16_t)r->kept[i].sequence >= 650));
	}
	rig_free(r);
}

static void the_same_ssrc_in_two_calls_is_no_copy(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct endpoint music = ep(7, 7000);
	rig_expect(r, 1, a_end(), TRACK_CALLER, T0);
	rig_expect(r, 2, b_end(), TRACK_CALLER, T0);
	struct talker one = talker(music, a_end(), SSRC, T0),
		      two = talker(music, b_end(), SSRC, T0);
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &one);
		(void)talk(r, &two);
	}
	rig_forget(r, 1, END);
	rig_forget(r, 2, END);
	expect_count(r, RTP_STORED, 200);
	assert_int_equal(r->records_count, 2);
	assert_int_equal(record(r, 0)->packets, 100);
	assert_int_equal(record(r, 1)->packets, 100);
	rig_free(r);
}

static void one_ssrc_in_both_directions_is_two_voices(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, a_end(), TRACK_CALLER, T0);
	rig_expect(r, 1, b_end(), TRACK_CALLEE, T0);
	struct talker one = talker(a_end(), b_end(), SSRC, T0),
		      two = talker(b_end(), a_end(), SSRC, T0);
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &one);
		(void)talk(r, &two);
	}
	rig_forget(r, 1, END);
	expect_count(r, RTP_STORED, 200);
	rig_free(r);
}

static void a_stranger_with_the_voices_numbers_puts_nothing_in_its_place(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, stranger = talker(ep(66, 666), relay_to_a(), SSRC, T0 + HOP);
	struct talker far;
	expect_all(r, PROTECTION_NONE);
	caller(&near, &far);
	uint8_t p[172];
	for (int i = 0; i < 300; i++) {
		if (i % 10 == 9)
			talk_lost(&near); /* a hole to be filled */
		else
			(void)talk(r, &near);
		/* Once it has played back what it heard, it says what it likes. */
		uint32_t len = rtp_make(p, 0, stranger.seq, stranger.timestamp, SSRC, 160);
		if (i > 20)
			memset(p + 12, 0xee, 160);
		(void)rig_send(r, stranger.at_ns, stranger.src, stranger.dst, p, len, 0);
		stranger.seq++;
		stranger.timestamp += 160;
		stranger.at_ns += 20 * MS;
	}
	rig_forget(r, 1, END);
	for (size_t i = 0; i < r->records_count; i++) {
		const struct stream_record *s = record(r, i);
		if (s->src.port == 4000)
			assert_int_equal(s->packets, 270);
		else
			assert_int_equal(s->foreign, 1);
	}
	rig_free(r);
}

static void copies_after_the_end_are_after_the_end(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, far;
	expect_all(r, PROTECTION_NONE);
	caller(&near, &far);
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &near);
		(void)talk(r, &far);
	}
	rig_forget(r, 1, near.at_ns);
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &near);
		(void)talk(r, &far);
	}
	expect_count(r, RTP_AFTER_END, 200);
	expect_count(r, TO_PEN, 0);
	rig_free(r);
}

static void mirrored_twice_on_both_sides(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct talker near, far;
	expect_all(r, PROTECTION_NONE);
	caller(&near, &far);
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &near);
		talk_again(r, &near, 0, 9 * US);
		(void)talk(r, &far);
		talk_again(r, &far, 0, 9 * US);
	}
	rig_forget(r, 1, END);
	assert_whole(r, 500, 599);
	assert_int_equal(record_of(r, SSRC)->duplicates, 100);
	assert_int_equal(record_of(r, SSRC)->relay_copies, 200);
	rig_free(r);
}

static void whatever_happens_each_number_is_there_once(void **state)
{
	(void)state;
	seed_show("relay flows");
	for (int round = 0; round < 100; round++) {
		struct rig *r = rig_new(rig_config());
		struct talker t[2];
		expect_all(r, PROTECTION_NONE);
		caller(&t[0], &t[1]);
		bool on[2] = { true, rnd_below(2) };
		uint8_t sent[2000] = { 0 };
		for (int i = 0; i < 600; i++) {
			unsigned first = rnd_below(2);
			for (unsigned j = 0; j < 2; j++) {
				unsigned which = (first + j) & 1;
				if (rnd_below(60) == 0)
					on[which] = !on[which];
				if (on[which]) {
					sent[t[which].seq] = 1;
					(void)talk(r, &t[which]);
				} else {
					talk_lost(&t[which]);
				}
			}
		}
		rig_forget(r, 1, END);
		for (size_t i = 0; i < r->kept_count; i++) {
			uint16_t n = (uint16_t)r->kept[i].sequence;
			assert_int_equal(sent[n], 1);
			sent[n] = 2;
			assert_true(i < 2000);
		}
		for (size_t i = 0; i < sizeof sent; i++)
			assert_int_not_equal(sent[i], 1);
		uint64_t stored = counted(r, COUNT_RTP_STORED) - counted(r, COUNT_RTP_CUT);
		assert_int_equal(stored, r->kept_count);
		rig_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_voice_on_both_sides_is_kept_once),
		cmocka_unit_test(the_flow_nearest_the_party_sounds_whichever_comes_first),
		cmocka_unit_test(what_one_side_loses_comes_from_the_other),
		cmocka_unit_test(when_the_first_flow_stops_the_other_goes_on_without_gap),
		cmocka_unit_test(when_the_first_endpoint_is_forgotten_the_other_goes_on),
		cmocka_unit_test(a_copy_whose_frames_were_handed_on_begins_anew),
		cmocka_unit_test(what_a_copy_handed_on_is_cut_as_what_it_is),
		cmocka_unit_test(a_copy_that_begins_late_is_found),
		cmocka_unit_test(flows_that_begin_apart_are_found_when_they_overlap),
		cmocka_unit_test(media_that_moves_is_no_copy),
		cmocka_unit_test(the_side_in_clear_is_kept_where_the_other_is_in_cipher),
		cmocka_unit_test(a_copy_in_cipher_stands_in_for_nothing_but_takes_over),
		cmocka_unit_test(the_same_ssrc_in_two_calls_is_no_copy),
		cmocka_unit_test(one_ssrc_in_both_directions_is_two_voices),
		cmocka_unit_test(a_stranger_with_the_voices_numbers_puts_nothing_in_its_place),
		cmocka_unit_test(copies_after_the_end_are_after_the_end),
		cmocka_unit_test(mirrored_twice_on_both_sides),
		cmocka_unit_test(whatever_happens_each_number_is_there_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
