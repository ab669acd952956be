/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* RTCP: on ports of its own and with RTP, in clear and not, whole and broken. */
#include "rtp_help.h"

#include <math.h>

#include "base/bytes.h"

#define END (INT64_MAX - 1)

struct report {
	uint8_t bytes[256];
	uint32_t len;
};

static void add_head(struct report *p, uint8_t type, uint8_t n, uint32_t words)
{
	uint8_t *at = p->bytes + p->len;
	at[0] = (uint8_t)(0x80 | n);
	at[1] = type;
	put_u16(at + 2, (uint16_t)words);
	p->len += 4;
}

static void add_u32(struct report *p, uint32_t v)
{
	put_u32(p->bytes + p->len, v);
	p->len += 4;
}

static void add_block(struct report *p, uint32_t ssrc, uint32_t lost, uint32_t jitter)
{
	add_u32(p, ssrc);
	add_u32(p, lost & 0xffffff);
	add_u32(p, lost + jitter); /* highest */
	add_u32(p, jitter);
	add_u32(p, 1);
	add_u32(p, 2);
}

/* A sender report with a block about `other`, an SDES as all have one, and a BYE if wanted. */
static struct report report(uint32_t ssrc, uint32_t packets, uint32_t other, uint32_t lost,
			    uint32_t jitter, bool bye)
{
	struct report p = { .len = 0 };
	add_head(&p, 200, 1, 12);
	add_u32(&p, ssrc);
	for (int i = 0; i < 3; i++)
		add_u32(&p, 7);
	add_u32(&p, packets);
	add_u32(&p, packets * 160);
	add_block(&p, other, lost, jitter);
	add_head(&p, 202, 1, 2);
	add_u32(&p, ssrc);
	add_u32(&p, 0x01010041);
	if (bye) {
		add_head(&p, 203, 1, 1);
		add_u32(&p, ssrc);
	}
	return p;
}

static enum media_verdict send(struct rig *r, int64_t at, struct endpoint src, struct endpoint dst,
			       const struct report *p)
{
	return rig_send(r, at, src, dst, p->bytes, p->len, 0);
}

/* Both parties talk; RTCP on the next ports, or (mux) on the same. */
static struct rig *rig_of_call(bool mux, uint8_t protection, struct talker *a, struct talker *b)
{
	struct rig *r = rig_new(rig_config());
	struct media_expect e = expectation(1, ep(1, 4000), TRACK_CALLER, T0);
	e.protection = protection;
	if (!mux)
		e.rtcp = ep(1, 4001);
	media_expect(r->media, &e);
	e = expectation(1, ep(2, 5000), TRACK_CALLEE, T0);
	e.protection = protection;
	if (!mux)
		e.rtcp = ep(2, 5001);
	media_expect(r->media, &e);
	*a = talker(ep(1, 4000), ep(2, 5000), 11, T0);
	*b = talker(ep(2, 5000), ep(1, 4000), 22, T0);
	talk_n(r, a, 50);
	talk_n(r, b, 50);
	return r;
}

static void reports_are_read(bool mux)
{
	struct talker a, b;
	struct rig *r = rig_of_call(mux, PROTECTION_NONE, &a, &b);
	struct endpoint at_a = ep(1, mux ? 4000 : 4001), at_b = ep(2, mux ? 5000 : 5001);
	struct report p = report(11, 51, 22, 3, 80, false);
	assert_int_equal(send(r, a.at_ns, at_a, at_b, &p), MEDIA_TAKEN);
	assert_int_equal(send(r, a.at_ns, at_a, at_b, &p), MEDIA_TAKEN); /* a mirrored copy */
	p = report(22, 60, 11, 0xffffff, 0, false);                      /* minus one lost */
	assert_int_equal(send(r, a.at_ns, at_b, at_a, &p), MEDIA_TAKEN);
	p = report(11, 101, 22, 5, 160, false);
	assert_int_equal(send(r, a.at_ns, ep(77, 9), at_b, &p), MEDIA_TAKEN); /* behind NAT */
	expect_count(r, RTCP, 4);
	expect_count(r, TO_NOBODY, 0);
	expect_count(r, TO_PEN, 0);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->sender_packets, 101);
	assert_int_equal(record_of(r, 11)->reports, 1);
	assert_int_equal(record_of(r, 11)->remote_lost, 0);
	assert_int_equal(record_of(r, 22)->sender_packets, 60);
	assert_int_equal(record_of(r, 22)->reports, 2);
	assert_int_equal(record_of(r, 22)->remote_lost, 5);
	assert_true(fabs(record_of(r, 22)->remote_jitter_ms - 20) < 0.001);
	rig_free(r);
}

static void reports_on_their_own_ports(void **state)
{
	(void)state;
	reports_are_read(false);
}

static void reports_on_the_port_of_rtp(void **state)
{
	(void)state;
	reports_are_read(true);
}

static void one_ssrc_on_both_tracks_is_told_by_direction(void **state)
{
	(void)state;
	struct rig *r = rig_new(rig_config());
	rig_expect(r, 1, ep(1, 4000), TRACK_CALLER, T0);
	rig_expect(r, 1, ep(2, 5000), TRACK_CALLEE, T0);
	struct talker a = talker(ep(1, 4000), ep(2, 5000), 5, T0),
		      b = talker(ep(2, 5000), ep(1, 4000), 5, T0);
	talk_n(r, &a, 50);
	talk_n(r, &b, 50);
	struct report p = report(5, 111, 5, 9, 0, false);
	(void)send(r, a.at_ns, a.src, a.dst, &p);
	rig_forget(r, 1, END);
	for (size_t i = 0; i < 2; i++) {
		bool of_a = record(r, i)->track == TRACK_CALLER;
		assert_int_equal(record(r, i)->sender_packets, of_a ? 111 : 0);
		assert_int_equal(record(r, i)->remote_lost, of_a ? 0 : 9);
	}
	rig_free(r);
}

static void audio_goes_on_after_a_bye(void **state)
{
	(void)state;
	struct talker a, b;
	struct rig *r = rig_of_call(true, PROTECTION_NONE, &a, &b);
	struct report p = report(11, 50, 22, 0, 0, true);
	(void)send(r, a.at_ns, a.src, a.dst, &p);
	talk_n(r, &a, 50);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->packets, 100);
	rig_free(r);
}

static void who_said_bye_is_not_beside_the_next(void **state)
{
	(void)state;
	struct talker a, b;
	struct rig *r = rig_of_call(true, PROTECTION_NONE, &a, &b);
	struct report p = report(11, 50, 22, 0, 0, true);
	(void)send(r, a.at_ns, a.src, a.dst, &p);
	struct talker next = talker(ep(3, 6000), ep(2, 5000), 33, a.at_ns);
	for (int i = 0; i < 100; i++) {
		(void)talk(r, &next);
		(void)talk(r, &a);
	}
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 33)->foreign, 0);
	rig_free(r);
}

static void what_is_encrypted_is_only_counted(void **state)
{
	(void)state;
	struct talker a, b;
	struct rig *r = rig_of_call(false, PROTECTION_SDES, &a, &b);
	struct report p = report(11, 50, 22, 3, 0, false);
	(void)send(r, a.at_ns, ep(1, 4001), ep(2, 5001), &p);
	expect_count(r, RTCP_ENCRYPTED, 1);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->sender_packets, 0);
	assert_int_equal(record_of(r, 11)->protection, PROTECTION_SDES);
	rig_free(r);
}

static void what_contradicts_itself_changes_nothing(void **state)
{
	(void)state;
	struct talker a, b;
	struct rig *r = rig_of_call(false, PROTECTION_NONE, &a, &b);
	struct report whole = report(11, 50, 22, 3, 0, true);
	uint32_t broken = 0;
	for (uint32_t len = 8; len < whole.len; len++) {
		if (len == 52 || len == 64) /* a packet less */
			continue;
		(void)rig_send(r, a.at_ns, ep(1, 4001), ep(2, 5001), whole.bytes, len, 0);
		broken++;
	}
	expect_count(r, RTCP_MALFORMED, broken);
	struct report p = whole;
	p.bytes[0] |= 0x20; /* padding, but it is not the last */
	(void)send(r, a.at_ns, ep(1, 4001), ep(2, 5001), &p);
	expect_count(r, RTCP_MALFORMED, broken + 1);
	p = whole;
	p.bytes[0] |= 0x1f; /* more blocks than there are */
	(void)send(r, a.at_ns, ep(1, 4001), ep(2, 5001), &p);
	/* Cut by the snap length: what is there counts. */
	(void)rig_send(r, a.at_ns, ep(1, 4001), ep(2, 5001), whole.bytes, 60, whole.len);
	expect_count(r, RTCP, 2);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->sender_packets, 50);
	rig_free(r);
}

static void other_things_at_an_rtcp_port(void **state)
{
	(void)state;
	struct talker a, b;
	struct rig *r = rig_of_call(false, PROTECTION_NONE, &a, &b);
	const uint8_t stun[20] = { 0, 1 };
	const char sip[] = "BYE sip:1@192.0.2.1 SIP/2.0\r\n\r\n";
	struct endpoint at = ep(2, 5001), from = ep(1, 4001);
	assert_int_equal(rig_send(r, a.at_ns, from, at, stun, sizeof stun, 0), MEDIA_TAKEN);
	assert_int_equal(rig_send(r, a.at_ns, from, at, sip, sizeof sip - 1, 0), MEDIA_UNKNOWN);
	expect_count(r, MEDIA_STUN, 1);
	/* RTP may be another call's, whose SDP is still to come. */
	struct talker other = talker(ep(3, 6000), at, 44, a.at_ns);
	assert_int_equal(talk(r, &other), MEDIA_UNKNOWN);
	expect_count(r, TO_PEN, 1);
	expect_count(r, TO_NOBODY, 1); /* of which the recorder asks whether it is SIP */
	rig_expect(r, 2, at, TRACK_CALLER, T0);
	expect_count(r, RTP_STORED, 101);
	rig_forget(r, 2, END);
	rig_forget(r, 1, END);
	struct report p = report(11, 50, 22, 3, 0, true);
	assert_int_equal(send(r, a.at_ns, from, at, &p), MEDIA_UNKNOWN); /* all is forgotten */
	rig_free(r);
}

static void an_rtcp_port_may_move(void **state)
{
	(void)state;
	struct talker a, b;
	struct rig *r = rig_of_call(false, PROTECTION_NONE, &a, &b);
	struct media_expect e = expectation(1, ep(2, 5000), TRACK_CALLEE, T0);
	e.rtcp = ep(2, 5555);
	media_expect(r->media, &e);
	struct report p = report(11, 50, 22, 3, 0, false);
	assert_int_equal(send(r, a.at_ns, ep(8, 8), ep(2, 5001), &p), MEDIA_UNKNOWN);
	assert_int_equal(send(r, a.at_ns, ep(8, 8), ep(2, 5555), &p), MEDIA_TAKEN);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->sender_packets, 50);
	rig_free(r);
}

static void rtcp_may_go_to_another_address(void **state)
{
	(void)state;
	struct talker a, b;
	struct rig *r = rig_of_call(false, PROTECTION_NONE, &a, &b);
	struct media_expect e = expectation(1, ep(2, 5000), TRACK_CALLEE, T0);
	struct report p = report(11, 50, 22, 3, 0, false);
	e.rtcp = ep(7, 5001);
	media_expect(r->media, &e);
	assert_int_equal(send(r, a.at_ns, ep(8, 8), ep(2, 5001), &p), MEDIA_UNKNOWN);
	assert_int_equal(send(r, a.at_ns, ep(8, 8), ep(7, 5001), &p), MEDIA_TAKEN);
	e.rtcp = ep(2, 5001); /* and back */
	media_expect(r->media, &e);
	assert_int_equal(send(r, a.at_ns, ep(8, 8), ep(7, 5001), &p), MEDIA_UNKNOWN);
	assert_int_equal(send(r, a.at_ns, ep(8, 8), ep(2, 5001), &p), MEDIA_TAKEN);
	rig_forget(r, 1, END);
	assert_int_equal(send(r, a.at_ns, ep(8, 8), ep(2, 5001), &p), MEDIA_UNKNOWN);
	rig_free(r);
}

static void a_new_stream_has_no_reports_of_the_one_before_in_its_place(void **state)
{
	(void)state;
	struct talker a, b;
	struct rig *r = rig_of_call(false, PROTECTION_NONE, &a, &b);
	struct report p = report(11, 50, 22, 3, 0, false);
	assert_int_equal(send(r, a.at_ns, ep(1, 4001), ep(2, 5001), &p), MEDIA_TAKEN);
	rig_forget(r, 1, END);
	assert_int_equal(record_of(r, 11)->sender_packets, 50);
	assert_int_equal(record_of(r, 22)->reports, 1);
	struct media_expect e = expectation(2, ep(3, 6000), TRACK_CALLER, T0);
	media_expect(r->media, &e);
	for (uint32_t ssrc = 33; ssrc < 35; ssrc++) {
		struct talker c = talker(ep(4, (uint16_t)(7000 + ssrc)), ep(3, 6000), ssrc, T0);
		talk_n(r, &c, 50);
	}
	rig_forget(r, 2, END);
	for (uint32_t ssrc = 33; ssrc < 35; ssrc++) {
		assert_int_equal(record_of(r, ssrc)->sender_packets, 0);
		assert_int_equal(record_of(r, ssrc)->reports, 0);
	}
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports_on_their_own_ports),
		cmocka_unit_test(reports_on_the_port_of_rtp),
		cmocka_unit_test(one_ssrc_on_both_tracks_is_told_by_direction),
		cmocka_unit_test(audio_goes_on_after_a_bye),
		cmocka_unit_test(who_said_bye_is_not_beside_the_next),
		cmocka_unit_test(what_is_encrypted_is_only_counted),
		cmocka_unit_test(what_contradicts_itself_changes_nothing),
		cmocka_unit_test(other_things_at_an_rtcp_port),
		cmocka_unit_test(an_rtcp_port_may_move),
		cmocka_unit_test(rtcp_may_go_to_another_address),
		cmocka_unit_test(a_new_stream_has_no_reports_of_the_one_before_in_its_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
