/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* One stream: every packet kept once and exactly, and the figures of its record. */
#include "rtp_help.h"

#include <math.h>

#define END (INT64_MAX - 1)

/* A call with one voice: the callee's, sent to the caller. */
static struct rig *rig_for(struct talker *t)
{
	struct rig *r = rig_new(rig_config());
	*t = talker(ep(2, 5000), ep(1, 4000), 0xabcdef01, T0);
	rig_expect(r, 1, t->dst, TRACK_CALLER, T0 - 1000 * MS);
	return r;
}

static void assert_all_kept_are_as_sent(const struct rig *r, const struct talker *t, uint16_t first,
					uint32_t first_timestamp)
{
	uint8_t p[12 + 2048];
	for (size_t i = 0; i < r->kept_count; i++) {
		const struct kept *k = &r->kept[i];
		uint16_t seq = (uint16_t)k->sequence;
		uint32_t n = (uint16_t)(seq - first);
		uint32_t len = rtp_make(p, t->type, seq, first_timestamp + n * t->step, t->ssrc,
					t->payload);
		assert_int_equal(k->packet_len, len);
		assert_memory_equal(k->packet, p, len);
		assert_int_equal(k->ssrc, t->ssrc);
	}
}

static void a_plain_stream_is_kept_whole(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	talk_n(r, &t, 1000);
	rig_forget(r, 1, END);
	assert_int_equal(r->kept_count, 1000);
	assert_all_kept_are_as_sent(r, &t, 500, 1000);
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(r->kept[i].sequence, 0x10000 + 500 + i);
		assert_int_equal(r->kept[i].arrival_us, T0 / 1000 + (int64_t)i * 20000);
	}
	const struct stream_record *s = record(r, 0);
	assert_int_equal(s->call, 1);
	assert_int_equal(s->track, TRACK_CALLEE);
	assert_int_equal(s->packets, 1000);
	assert_int_equal(s->bytes, 160000);
	assert_int_equal(s->lost + s->late + s->duplicates + s->reordered + s->events, 0);
	assert_int_equal(s->cut + s->dropped + s->truncated, 0);
	assert_int_equal(s->ptime_ms, 20);
	assert_int_equal(s->clock_rate, 8000);
	assert_int_equal(s->channels, 1);
	assert_string_equal(s->codec, "PCMU");
	assert_int_equal(s->payload_types_count, 1);
	assert_int_equal(s->payload_types[0], 0);
	assert_int_equal(s->start_us, T0 / 1000);
	assert_int_equal(s->end_us, T0 / 1000 + 999 * 20000);
	assert_true(s->jitter_ms == 0.0);
	assert_true(s->complete);
	assert_true(endpoint_equal(&s->src, &t.src) && endpoint_equal(&s->dst, &t.dst));
	/* 4 octets a frame beside the payload, and a header a second */
	assert_true(r->chunk_bytes <= 1000 * 164 + 20 * (CHUNK_HEADER + 4));
	assert_int_equal(media_streams(r->media), 0);
	rig_free(r);
}

/* Loss of each kind: one in `every` 1000ths; bursts of `burst`. */
static void lose(unsigned permille, unsigned burst)
{
	struct talker t;
	struct rig *r = rig_for(&t);
	uint64_t sent = 0, gone = 0, tail = 0;
	for (unsigned i = 0; i < 4000; i++) {
		if (i > 0 && rnd_below(1000 * burst) < permille) {
			for (unsigned b = 0; b < burst; b++)
				talk_lost(&t);
			tail += burst;
			continue;
		}
		(void)talk(r, &t);
		gone += tail; /* a loss shows when something comes after it */
		tail = 0;
		sent++;
	}
	rig_forget(r, 1, END);
	assert_int_equal(record(r, 0)->packets, sent);
	assert_int_equal(record(r, 0)->lost, gone);
	assert_int_equal(record(r, 0)->ptime_ms, 20);
	assert_int_equal(r->kept_count, sent);
	assert_all_kept_are_as_sent(r, &t, 500, 1000);
	rig_free(r);
}

static void loss_is_counted_exactly(void **state)
{
	(void)state;
	seed_show("loss");
	lose(0, 1);
	lose(50, 1);
	lose(250, 1);
	lose(50, 30);
	lose(250, 100);
}

static void mirrored_copies_are_kept_once(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	for (unsigned i = 0; i < 500; i++) {
		(void)talk(r, &t);
		talk_again(r, &t, 0, 50 * NS_PER_US);
		if (i > 10)
			talk_again(r, &t, (int)rnd_below(10), 60 * NS_PER_US);
	}
	rig_forget(r, 1, END);
	assert_int_equal(r->kept_count, 500);
	assert_int_equal(record(r, 0)->packets, 500);
	assert_int_equal(record(r, 0)->duplicates, 500 + 489);
	assert_int_equal(record(r, 0)->lost, 0);
	expect_count(r, RTP_DUPLICATE, 989);
	assert_all_kept_are_as_sent(r, &t, 500, 1000);
	rig_free(r);
}

static void reordering_by_up_to_eight_is_counted_and_kept(void **state)
{
	(void)state;
	seed_show("reorder");
	struct talker t;
	struct rig *r = rig_for(&t);
	struct {
		int64_t at;
		unsigned n;
	} order[1000];
	uint64_t reordered = 0;
	unsigned highest = 0;
	for (unsigned n = 0; n < 1000; n++) {
		order[n].n = n;
		order[n].at = n * 20 + rnd_below(8) * 20;
		unsigned i = n; /* insertion keeps equal ones in order */
		for (; i > 0 && order[i - 1].at > order[i].at; i--) {
			__typeof__(order[0]) swap = order[i];
			order[i] = order[i - 1];
			order[i - 1] = swap;
		}
	}
	for (unsigned i = 0; i < 1000; i++) {
		struct talker c = t;
		c.seq = (uint16_t)(t.seq + order[i].n);
		c.timestamp += order[i].n * 160;
		c.at_ns = T0 + (int64_t)i * 20 * MS;
		(void)talk(r, &c);
		reordered += i > 0 && order[i].n < highest;
		highest = order[i].n > highest ? order[i].n : highest;
	}
	rig_forget(r, 1, END);
	const struct stream_record *s = record(r, 0);
	assert_int_equal(s->packets, 1000);
	assert_int_equal(s->lost, 0);
	assert_int_equal(s->duplicates, 0);
	assert_int_equal(s->reordered, reordered);
	assert_true(s->late < s->reordered);
	assert_int_equal(r->kept_count, 1000);
	assert_all_kept_are_as_sent(r, &t, 500, 1000);
	rig_free(r);
}

static void late_is_what_comes_after_its_chunk(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	talk_n(r, &t, 48);
	struct talker held = t;
	talk_lost(&t);
	(void)talk(r, &t); /* number 50: the chunk's second is over with the next */
	(void)talk(r, &t);
	assert_int_equal(r->chunks, 1);
	held.at_ns = t.at_ns;
	(void)talk(r, &held);
	struct talker in_time = t;
	talk_lost(&t);
	(void)talk(r, &t);
	in_time.at_ns = t.at_ns;
	(void)talk(r, &in_time);
	rig_forget(r, 1, END);
	assert_int_equal(record(r, 0)->reordered, 2);
	assert_int_equal(record(r, 0)->late, 1);
	assert_int_equal(record(r, 0)->lost, 0);
	expect_count(r, RTP_LATE, 1);
	rig_free(r);
}

static void sequence_and_timestamp_wrap(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	t.seq = 65500;
	t.timestamp = 0u - 50 * 160;
	talk_n(r, &t, 200);
	rig_forget(r, 1, END);
	assert_int_equal(r->kept_count, 200);
	assert_int_equal(r->kept[199].sequence, 0x10000 + 65500 + 199);
	assert_all_kept_are_as_sent(r, &t, 65500, 0u - 50 * 160);
	assert_int_equal(record(r, 0)->lost, 0);
	assert_true(record(r, 0)->jitter_ms == 0.0);
	assert_true(r->chunk_bytes <= 200 * 164 + 5 * (CHUNK_HEADER + 4));
	rig_free(r);
}

static void ptime_is_found_from_the_timestamps(void **state)
{
	(void)state;
	static const unsigned ptimes[] = { 10, 20, 30, 40, 60 };
	for (size_t i = 0; i < sizeof ptimes / sizeof ptimes[0]; i++) {
		struct talker t;
		struct rig *r = rig_for(&t);
		t.step = t.payload = 8 * ptimes[i];
		t.every_ns = ptimes[i] * MS;
		talk_n(r, &t, 300);
		rig_forget(r, 1, END);
		assert_int_equal(record(r, 0)->ptime_ms, ptimes[i]);
		assert_int_equal(record(r, 0)->packets, 300);
		assert_true(r->chunk_bytes <=
			    300 * (4 + t.payload) + r->chunks * (CHUNK_HEADER + 4));
		assert_all_kept_are_as_sent(r, &t, 500, 1000);
		rig_free(r);
	}
}

static void one_packet_has_the_ptime_of_the_sdp(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	talk_n(r, &t, 1);
	rig_forget(r, 1, END);
	assert_int_equal(record(r, 0)->ptime_ms, 20);
	rig_free(r);
}

static void jitter_is_that_of_rfc_3550(void **state)
{
	(void)state;
	seed_show("jitter");
	struct talker t;
	struct rig *r = rig_for(&t);
	double jitter = 0, before = 0;
	for (int i = 0; i < 500; i++) {
		struct talker c = t;
		double late = rnd_below(8000) * 1e-6;
		c.at_ns = t.at_ns + (int64_t)(late * 1e9);
		(void)talk(r, &c);
		double transit = late * 8000;
		if (i > 0)
			jitter += (fabs(transit - before) - jitter) / 16;
		before = transit;
		talk_lost(&t);
	}
	rig_forget(r, 1, END);
	assert_true(fabs(record(r, 0)->jitter_ms - jitter / 8) < 0.2);
	assert_true(record(r, 0)->jitter_ms > 1.0);
	rig_free(r);
}

static void a_jump_in_time_is_no_jitter(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	talk_n(r, &t, 100);
	t.timestamp += 0x40000000;
	talk_n(r, &t, 100);
	rig_forget(r, 1, END);
	assert_true(record(r, 0)->jitter_ms < 0.01);
	assert_int_equal(record(r, 0)->packets, 200);
	assert_int_equal(record(r, 0)->ptime_ms, 20);
	assert_int_equal(r->kept_count, 200);
	rig_free(r);
}

static void a_jump_in_sequence_is_no_loss(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	talk_n(r, &t, 100);
	t.seq = (uint16_t)(t.seq + 20000);
	talk_n(r, &t, 100);
	t.seq = 3;
	talk_n(r, &t, 100);
	rig_forget(r, 1, END);
	assert_int_equal(record(r, 0)->packets, 300);
	assert_int_equal(record(r, 0)->lost, 0);
	for (size_t i = 1; i < r->kept_count; i++)
		assert_true(r->kept[i].sequence > r->kept[i - 1].sequence);
	rig_free(r);
}

static void events_are_counted_and_never_kept(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	talk_n(r, &t, 20);
	for (int digit = 0; digit < 3; digit++) {
		struct talker e = t;
		e.type = 101;
		e.payload = 4;
		e.step = 0; /* one timestamp while the event lasts */
		talk_n(r, &e, 6);
		talk_again(r, &e, 0, MS); /* a mirrored copy of its last packet */
		t.seq = e.seq;
		t.timestamp += 6 * 160;
		t.at_ns = e.at_ns;
		talk_n(r, &t, 10);
	}
	rig_forget(r, 1, END);
	const struct stream_record *s = record(r, 0);
	assert_int_equal(s->events, 3);
	assert_int_equal(s->packets, 50);
	assert_int_equal(s->bytes, 50 * 160);
	assert_int_equal(s->lost, 0);
	assert_int_equal(s->duplicates, 3);
	assert_int_equal(s->payload_types_count, 1);
	expect_count(r, RTP_EVENT, 18);
	assert_int_equal(r->kept_count, 50);
	for (size_t i = 0; i < r->kept_count; i++)
		assert_int_equal(r->kept[i].packet[1] & 0x7f, 0);
	rig_free(r);
}

static void event_types_of_the_calls_other_side_are_known(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct media_expect a = expectation(1, ep(1, 4000), TRACK_CALLER, T0);
	struct media_expect b = expectation(1, ep(2, 5000), TRACK_CALLEE, T0);
	b.payloads[2].type = 96;
	media_expect(r->media, &a);
	media_expect(r->media, &b);
	/* To an address behind NAT, found by its source; its numbers are the caller's. */
	struct talker t = talker(ep(2, 5000), ep(66, 6), 5, T0);
	talk_n(r, &t, 3);
	t.type = 101;
	talk_n(r, &t, 3);
	rig_forget(r, 1, END);
	assert_int_equal(r->kept_count, 3);
	expect_count(r, RTP_EVENT, 3);
	rig_free(r);
}

static void comfort_noise_is_kept_as_audio(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	t.type = 13;
	t.payload = 1;
	talk_n(r, &t, 2);
	t.type = 8;
	t.payload = 160;
	talk_n(r, &t, 5);
	rig_forget(r, 1, END);
	const struct stream_record *s = record(r, 0);
	assert_int_equal(s->packets, 7);
	assert_string_equal(s->codec, "PCMA");
	assert_int_equal(s->payload_types_count, 2);
	assert_int_equal(s->payload_types[0], 8); /* the one that names the codec */
	assert_int_equal(s->payload_types[1], 13);
	assert_int_equal(r->kept[0].packet[1], 13);
	assert_int_equal(r->kept[2].packet[1], 8);
	rig_free(r);
}

static void codecs_come_from_the_sdp_then_from_rfc_3551(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	struct media_expect e = expectation(1, ep(1, 4000), TRACK_CALLER, T0);
	e.payloads[0] = (struct media_payload){ 97, PAYLOAD_AUDIO, 2, 48000, "opus", "" };
	media_expect(r->media, &e);
	struct talker opus = talker(ep(2, 5000), ep(1, 4000), 1, T0), g729 = opus, who = opus;
	opus.type = 97;
	opus.step = 960;
	g729.type = 18;
	g729.ssrc = 2;
	who.type = 110;
	who.ssrc = 3;
	talk_n(r, &opus, 5);
	talk_n(r, &g729, 5);
	talk_n(r, &who, 5);
	rig_forget(r, 1, END);
	assert_string_equal(record_of(r, 1)->codec, "opus");
	assert_int_equal(record_of(r, 1)->clock_rate, 48000);
	assert_int_equal(record_of(r, 1)->channels, 2);
	assert_int_equal(record_of(r, 1)->ptime_ms, 20);
	assert_string_equal(record_of(r, 2)->codec, "G729");
	assert_string_equal(record_of(r, 3)->codec, "");
	assert_int_equal(record_of(r, 3)->clock_rate, 8000);
	assert_int_equal(record_of(r, 3)->packets, 5);
	rig_free(r);
}

static void a_new_sdp_changes_the_map_of_streams_there_are(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	t.type = 98;
	talk_n(r, &t, 5);
	struct media_expect e = expectation(1, t.dst, TRACK_CALLER, T0);
	e.stream_base = 77;
	e.payloads[0] = (struct media_payload){ 98, PAYLOAD_AUDIO, 1, 16000, "speex", "" };
	e.payloads[1] =
		(struct media_payload){ 99, PAYLOAD_EVENT, 1, 16000, "telephone-event", "" };
	media_expect(r->media, &e);
	talk_n(r, &t, 5);
	t.type = 99;
	t.step = 0;
	talk_n(r, &t, 5);
	rig_forget(r, 1, END);
	assert_int_equal(r->records_count, 1);
	assert_string_equal(record(r, 0)->codec, "speex");
	assert_int_equal(record(r, 0)->clock_rate, 16000);
	assert_int_equal(record(r, 0)->packets, 10);
	assert_int_equal(record(r, 0)->events, 1);
	assert_int_equal(record(r, 0)->stream, 0);
	rig_free(r);
}

static void truncated_frames_are_kept_and_marked(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	uint8_t p[200];
	talk_n(r, &t, 3);
	(void)rig_send(r, t.at_ns, t.src, t.dst, p, rtp_make(p, 0, t.seq, t.timestamp, t.ssrc, 40),
		       172);
	rig_forget(r, 1, END);
	assert_int_equal(record(r, 0)->truncated, 1);
	assert_false(record(r, 0)->complete);
	assert_int_equal(record(r, 0)->packets, 4);
	assert_int_equal(r->kept[3].packet_len, 52);
	assert_int_equal(r->kept[3].wire_len, 172);
	expect_count(r, RTP_TRUNCATED, 1);
	rig_free(r);
}

static void csrc_extension_and_padding_are_kept(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	uint8_t p[12 + 4 + 8 + 160 + 4];
	uint32_t len = rtp_make(p, 0x80, 500, 1000, t.ssrc, sizeof p - 12);
	p[0] = 0xb1;
	p[18] = 0;
	p[19] = 1;
	p[sizeof p - 1] = 4;
	(void)rig_send(r, T0, t.src, t.dst, p, len, 0);
	rig_forget(r, 1, END);
	assert_int_equal(r->kept_count, 1);
	assert_int_equal(r->kept[0].packet_len, len);
	assert_memory_equal(r->kept[0].packet, p, len);
	assert_int_equal(record(r, 0)->bytes, 160);
	rig_free(r);
}

static void frames_larger_than_a_chunk_are_counted(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	static uint8_t p[12 + CHUNK_PAYLOAD + 1];
	talk_n(r, &t, 2);
	(void)rig_send(r, t.at_ns, t.src, t.dst, p,
		       rtp_make(p, 0, t.seq, t.timestamp, t.ssrc, CHUNK_PAYLOAD + 1), 0);
	talk_lost(&t);
	(void)rig_send(r, t.at_ns, t.src, t.dst, p,
		       rtp_make(p, 0, t.seq, t.timestamp, t.ssrc, CHUNK_PAYLOAD), 0);
	rig_forget(r, 1, END);
	expect_count(r, RTP_OVERSIZE, 1);
	assert_int_equal(r->kept_count, 3);
	assert_int_equal(record(r, 0)->dropped, 1);
	assert_int_equal(record(r, 0)->lost, 0);
	assert_false(record(r, 0)->complete);
	rig_free(r);
}

static void chunks_close_after_a_second_even_in_silence(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	talk_n(r, &t, 10);
	media_tick(r->media, T0 + 999 * MS);
	assert_int_equal(r->chunks, 0);
	media_tick(r->media, T0 + 1000 * MS);
	assert_int_equal(r->chunks, 1);
	assert_int_equal(r->kept_count, 10);
	t.at_ns = T0 + 5000 * MS;
	(void)talk(r, &t);
	/* Another stream's packets are a clock too. */
	struct talker other = talker(ep(9, 9), t.dst, 4, T0 + 6001 * MS);
	(void)talk(r, &other);
	assert_int_equal(r->chunks, 2);
	rig_forget(r, 1, END);
	rig_free(r);
}

static void chunks_close_when_full(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	t.payload = 1000;
	talk_n(r, &t, 9);
	assert_int_equal(r->chunks, 1);
	assert_int_equal(r->last_payload, 8000);
	t.payload = 0; /* the table fills */
	t.every_ns = MS / 10;
	talk_n(r, &t, 600);
	assert_true(r->chunks > 2);
	rig_forget(r, 1, END);
	assert_int_equal(r->kept_count, 609);
	rig_free(r);
}

static void every_chunk_has_its_own_counter(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	for (int i = 0; i < 20; i++) {
		r->refuse = i % 3 == 1;
		talk_n(r, &t, 50);
	}
	r->refuse = false;
	rig_forget(r, 1, END);
	uint64_t before = 0;
	for (size_t i = 1; i < r->kept_count; i++) {
		assert_true(r->kept[i].chunk >= before);
		before = r->kept[i].chunk;
	}
	assert_true(before >= 19);
	uint64_t dropped = counted(r, COUNT_FRAMES_IN_DROPPED_CHUNKS);
	assert_true(dropped > 0);
	assert_int_equal(record(r, 0)->dropped, dropped);
	assert_int_equal(record(r, 0)->packets, 1000);
	assert_int_equal(r->kept_count, 1000 - dropped);
	assert_false(record(r, 0)->complete);
	assert_int_equal(counted(r, COUNT_CHUNKS), r->chunks);
	rig_free(r);
}

static void without_buffers_frames_are_counted(void **state)
{
	(void)state;
	struct media_config cfg = rig_config();
	cfg.buffers = 2;
	struct rig *r = rig_new(cfg);
	struct talker t = talker(ep(2, 5000), ep(1, 4000), 1, T0);
	rig_expect(r, 1, t.dst, TRACK_CALLER, T0);
	r->hold = true;
	talk_n(r, &t, 200);
	expect_count(r, RTP_STORED, 100);
	expect_count(r, RTP_NO_BUFFER, 100);
	assert_true(r->alive_count > 0);
	r->hold = false;
	rig_forget(r, 1, END);
	assert_int_equal(record(r, 0)->dropped, 100);
	assert_int_equal(record(r, 0)->packets, 200);
	assert_int_equal(record(r, 0)->lost, 0);
	assert_false(record(r, 0)->complete);
	rig_free(r);
}

static void records_come_early_and_every_half_minute(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	talk_n(r, &t, 50);
	assert_int_equal(r->records_sent, 0);
	talk_n(r, &t, 1);
	assert_int_equal(r->records_sent, 1);
	assert_int_equal(record(r, 0)->packets, 51);
	assert_string_equal(record(r, 0)->codec, "PCMU");
	talk_n(r, &t, 50 * 29);
	assert_int_equal(r->records_sent, 1);
	talk_n(r, &t, 50 * 31);
	assert_int_equal(r->records_sent, 3);
	rig_forget(r, 1, END);
	assert_int_equal(r->records_sent, 4);
	assert_int_equal(record(r, 0)->packets, 51 + 50 * 60);
	rig_free(r);
}

static void a_call_is_alive_at_most_every_five_seconds(void **state)
{
	(void)state;
	struct talker t;
	struct rig *r = rig_for(&t);
	struct talker other = talker(ep(9, 9), t.dst, 4, T0);
	for (int i = 0; i < 50 * 60; i++) {
		(void)talk(r, &t);
		(void)talk(r, &other);
	}
	assert_true(r->alive_count >= 10 && r->alive_count <= 13);
	for (size_t i = 1; i < r->alive_count; i++)
		assert_true(r->alive_ns[i] - r->alive_ns[i - 1] >= 5 * NS_PER_S);
	assert_int_equal(r->alive[0], 1);
	rig_forget(r, 1, END);
	rig_free(r);
}

/* Loss, copies, reordering, wrap and odd shapes together, against a plain list of what was sent. */
static void any_stream_is_kept_exactly(void **state)
{
	(void)state;
	seed_show("stream");
	for (int round = 0; round < 20; round++) {
		static struct {
			uint8_t p[600];
			uint32_t len;
			bool sent;
		} packets[3000];
		struct talker t;
		struct rig *r = rig_for(&t);
		uint16_t first = (uint16_t)rnd();
		uint32_t timestamp = (uint32_t)rnd();
		uint64_t distinct = 0, copies = 0;
		memset(packets, 0, sizeof packets);
		for (unsigned n = 0; n < 3000; n++) {
			/* The first comes first: what is before it would have another cycle. */
			unsigned at = n && n < 2950 ? n + rnd_below(9) : n;
			if (n && n < 2999 && rnd_below(10) == 0)
				continue;
			if (!packets[at].len) {
				packets[at].len =
					rtp_make(packets[at].p, rnd_below(30) ? 0 : 8,
						 (uint16_t)(first + at), timestamp + at * 160,
						 t.ssrc, rnd_below(30) ? 160 : rnd_below(500));
				if (rnd_below(30) == 0)
					packets[at].p[1] |= 0x80;
			}
			(void)rig_send(r, T0 + n * 20 * MS + rnd_below(15000000), t.src, t.dst,
				       packets[at].p, packets[at].len, 0);
			if (packets[at].sent)
				copies++;
			else
				distinct++;
			packets[at].sent = true;
		}
		rig_forget(r, 1, END);
		assert_int_equal(r->kept_count, distinct);
		for (size_t i = 0; i < r->kept_count; i++) {
			size_t at = r->kept[i].sequence - (0x10000 + first);
			assert_true(at < 3000 && packets[at].sent);
			assert_int_equal(r->kept[i].packet_len, packets[at].len);
			assert_memory_equal(r->kept[i].packet, packets[at].p, packets[at].len);
			packets[at].sent = false; /* once */
		}
		assert_int_equal(record(r, 0)->packets, distinct);
		assert_int_equal(record(r, 0)->duplicates, copies);
		assert_int_equal(record(r, 0)->lost, 3000 - distinct);
		rig_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_stream_is_kept_whole),
		cmocka_unit_test(loss_is_counted_exactly),
		cmocka_unit_test(mirrored_copies_are_kept_once),
		cmocka_unit_test(reordering_by_up_to_eight_is_counted_and_kept),
		cmocka_unit_test(late_is_what_comes_after_its_chunk),
		cmocka_unit_test(sequence_and_timestamp_wrap),
		cmocka_unit_test(ptime_is_found_from_the_timestamps),
		cmocka_unit_test(one_packet_has_the_ptime_of_the_sdp),
		cmocka_unit_test(jitter_is_that_of_rfc_3550),
		cmocka_unit_test(a_jump_in_time_is_no_jitter),
		cmocka_unit_test(a_jump_in_sequence_is_no_loss),
		cmocka_unit_test(events_are_counted_and_never_kept),
		cmocka_unit_test(event_types_of_the_calls_other_side_are_known),
		cmocka_unit_test(comfort_noise_is_kept_as_audio),
		cmocka_unit_test(codecs_come_from_the_sdp_then_from_rfc_3551),
		cmocka_unit_test(a_new_sdp_changes_the_map_of_streams_there_are),
		cmocka_unit_test(truncated_frames_are_kept_and_marked),
		cmocka_unit_test(csrc_extension_and_padding_are_kept),
		cmocka_unit_test(frames_larger_than_a_chunk_are_counted),
		cmocka_unit_test(chunks_close_after_a_second_even_in_silence),
		cmocka_unit_test(chunks_close_when_full),
		cmocka_unit_test(every_chunk_has_its_own_counter),
		cmocka_unit_test(without_buffers_frames_are_counted),
		cmocka_unit_test(records_come_early_and_every_half_minute),
		cmocka_unit_test(a_call_is_alive_at_most_every_five_seconds),
		cmocka_unit_test(any_stream_is_kept_exactly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
