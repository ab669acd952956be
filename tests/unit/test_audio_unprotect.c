/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_audio_unprotect.c: SRTP with keys from SDP is heard when it is authentic, and only then. */
#include "audio_help.h"

#include <srtp2/srtp.h>

#define FRAME 160

static const struct {
	const char *suite;
	uint8_t key_len;
	void (*policy)(srtp_crypto_policy_t *p);
} suites[] = {
	{ "AES_CM_128_HMAC_SHA1_80", 30, srtp_crypto_policy_set_rtp_default },
	{ "AES_CM_128_HMAC_SHA1_32", 30, srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32 },
	{ "AES_256_CM_HMAC_SHA1_80", 46, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80 },
	{ "AES_CM_256_HMAC_SHA1_32", 46, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32 },
	{ "AEAD_AES_128_GCM", 28, srtp_crypto_policy_set_aes_gcm_128_16_auth },
	{ "AEAD_AES_256_GCM", 44, srtp_crypto_policy_set_aes_gcm_256_16_auth },
};

struct phone {
	srtp_t session;
	struct sdes_key key;
	uint64_t number; /* sent so far; the first is the sequence number `first` */
	uint64_t first;  /* with the wraps that it counts */
};

static struct phone phone_new(size_t suite, uint8_t fill, uint64_t first)
{
	struct phone p = { .first = first };
	p.key.party = TRACK_CALLER;
	p.key.key_len = suites[suite].key_len;
	memset(p.key.key, fill, sizeof p.key.key);
	snprintf(p.key.suite, sizeof p.key.suite, "%s", suites[suite].suite);
	srtp_policy_t policy = { .key = p.key.key };
	policy.ssrc.type = ssrc_any_outbound;
	suites[suite].policy(&policy.rtp);
	suites[suite].policy(&policy.rtcp);
	assert_int_equal(srtp_create(&p.session, &policy), srtp_err_status_ok);
	return p;
}

/* What the phone says next, protected; returns the length on the wire. */
static uint16_t protect(struct phone *p, uint8_t packet[2048], const uint8_t *payload)
{
	uint64_t index = p->first + p->number;
	uint32_t timestamp = (uint32_t)p->number * FRAME;
	int len = 12 + FRAME;
	const uint8_t header[12] = { 0x80,
				     0,
				     (uint8_t)(index >> 8),
				     (uint8_t)index,
				     (uint8_t)(timestamp >> 24),
				     (uint8_t)(timestamp >> 16),
				     (uint8_t)(timestamp >> 8),
				     (uint8_t)timestamp,
				     0x12,
				     0x34,
				     0x56,
				     0x78 };
	memcpy(packet, header, sizeof header);
	memcpy(packet + 12, payload, FRAME);
	if (p->number == 0 && index >> 16) {
		/* The stream begins with the first packet; its roll-over counter can be set from then on. */
		uint8_t first[2048];
		int first_len = len;
		memcpy(first, packet, (size_t)len);
		first[2] = first[3] = 0;
		assert_int_equal(srtp_protect(p->session, first, &first_len), srtp_err_status_ok);
		assert_int_equal(srtp_set_stream_roc(p->session, SSRC, (uint32_t)(index >> 16)),
				 srtp_err_status_ok);
	}
	assert_int_equal(srtp_protect(p->session, packet, &len), srtp_err_status_ok);
	p->number++;
	return (uint16_t)len;
}

/* Recorded with the numbers of a recording that begins at `recorded` wraps. */
static void record_protected(struct timeline *t, int stream, struct phone *p, uint64_t wraps,
			     const uint8_t *payload, int64_t arrival_us, unsigned damage)
{
	uint8_t packet[2048];
	uint64_t number = p->first + p->number;
	uint32_t timestamp = (uint32_t)p->number * FRAME;
	uint16_t len = protect(p, packet, payload);
	if (damage)
		packet[12 + damage % (len - 12u)] ^= 1;
	struct packet out = { .number = number - (wraps << 16),
			      .timestamp = timestamp,
			      .arrival_us = arrival_us,
			      .bytes = packet + 12,
			      .len = (uint16_t)(len - 12) };
	record_packet(t, stream, &out);
}

static struct timeline *protected_call(int *stream, const struct sdes_key *keys, uint32_t count)
{
	struct stream_record r = stream_of("PCMU", 0, 8000);
	r.protection = PROTECTION_SDES;
	struct timeline *t = timeline_new();
	*stream = timeline_stream(t, &r);
	timeline_keys(t, keys, count);
	return t;
}

static void said(uint8_t payload[FRAME], int frame)
{
	memset(payload, 0x80 | (frame & 0x3f), FRAME);
}

static void check_said(const struct heard *h, int frames)
{
	uint8_t payload[FRAME];
	assert_int_equal(h->summary.samples, frames * FRAME);
	for (int i = 0; i < frames * FRAME; i++) {
		said(payload, i / FRAME);
		assert_int_equal(h->track[0][i], heard_as(payload[0]));
	}
}

static void hear_all(struct phone *p, const struct sdes_key *keys, uint32_t count, uint64_t wraps)
{
	int stream;
	struct timeline *t = protected_call(&stream, keys, count);
	for (int i = 0; i < 30; i++) {
		uint8_t payload[FRAME];
		said(payload, i);
		record_protected(t, stream, p, wraps, payload, i * 20000, 0);
	}
	struct heard h = render(t);
	check_said(&h, 30);
	assert_int_equal(h.summary.decrypted[0], 30);
	assert_int_equal(h.summary.unauthentic[0], 0);
	heard_free(&h);
	timeline_free(t);
	srtp_dealloc(p->session);
}

/* ---- suites and keys ------------------------------------------------------------------------------ */

static void every_suite_is_heard(void **ctx)
{
	(void)ctx;
	for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
		struct phone p = phone_new(i, 7, 1000);
		hear_all(&p, &p.key, 1, 0);
	}
}

static void key_that_fits_is_found_among_others(void **ctx)
{
	(void)ctx;
	struct phone p = phone_new(0, 7, 1000);
	struct sdes_key keys[4] = { p.key, p.key, p.key, p.key };
	keys[0].key[0] ^= 1;
	keys[1].party = TRACK_CALLEE; /* of the other party: not even tried */
	keys[2].key[3] ^= 1;
	keys[2].from_us = 99;
	hear_all(&p, keys, 4, 0);
	p = phone_new(0, 7, 1000);
	int stream;
	struct timeline *t = protected_call(&stream, keys + 1, 2);
	uint8_t payload[FRAME] = { 0 };
	record_protected(t, stream, &p, 0, payload, 0, 0);
	struct audio_summary s;
	struct error err;
	assert_int_equal(timeline_render(t, &s, &err), RC_NOT_FOUND);
	assert_int_equal(s.undecrypted_streams, 1);
	assert_string_equal(s.undecoded, "SRTP");
	assert_int_equal(s.unauthentic[0], 1);
	timeline_free(t);
	srtp_dealloc(p.session);
}

static void recording_joined_after_wraps_is_heard(void **ctx)
{
	(void)ctx;
	struct phone first = phone_new(0, 7, 65520); /* wraps in the recording */
	hear_all(&first, &first.key, 1, 0);
	for (uint64_t wraps = 1; wraps < 20; wraps += 6) {
		struct phone p = phone_new(wraps % 6, 7, wraps << 16 | 65520);
		hear_all(&p, &p.key, 1, wraps);
	}
}

/* A re-INVITE brings a new key, whose packets count wraps anew though the numbers go on. */
static void call_goes_on_with_another_key(void **ctx)
{
	(void)ctx;
	struct phone before = phone_new(0, 7, 65536 - 15), after = phone_new(0, 9, 15);
	struct sdes_key keys[2] = { before.key, after.key };
	keys[1].from_us = BASE_US + 600000;
	int stream;
	struct timeline *t = protected_call(&stream, keys, 2);
	for (int i = 0; i < 60; i++) {
		uint8_t payload[FRAME];
		said(payload, i);
		if (i == 30)
			after.number = 0;
		struct phone *p = i < 30 ? &before : &after;
		uint8_t packet[2048];
		uint64_t number = 65536 - 15 + (uint64_t)i;
		uint16_t len = protect(p, packet, payload);
		/* The timestamp is covered by the tag: the second phone begins again, as phones do. */
		struct packet out = { .number = number,
				      .timestamp = (uint32_t)(p->number - 1) * FRAME,
				      .arrival_us = i * 20000,
				      .bytes = packet + 12,
				      .len = (uint16_t)(len - 12) };
		record_packet(t, stream, &out);
	}
	struct heard h = render(t);
	assert_int_equal(h.summary.decrypted[0], 60);
	check_said(&h, 60);
	heard_free(&h);
	timeline_free(t);
	srtp_dealloc(before.session);
	srtp_dealloc(after.session);
}

static void identifier_of_the_key_is_taken_out(void **ctx)
{
	(void)ctx;
	for (size_t suite = 0; suite < sizeof suites / sizeof suites[0]; suite++) {
		bool gcm = suites[suite].key_len == 28 || suites[suite].key_len == 44;
		uint16_t tag = gcm ? 0 : strstr(suites[suite].suite, "_32") ? 4 : 10;
		struct phone p = phone_new(suite, 7, 1000);
		p.key.mki_len = 4;
		int stream;
		struct timeline *t = protected_call(&stream, &p.key, 1);
		for (int i = 0; i < 30; i++) {
			uint8_t payload[FRAME], packet[2048], with[2048];
			said(payload, i);
			uint16_t len = protect(&p, packet, payload);
			memcpy(with, packet, len - tag);
			memcpy(with + len - tag, "\1\2\3\4", 4);
			memcpy(with + len - tag + 4, packet + len - tag, tag);
			struct packet out = { .number = 1000 + (uint64_t)i,
					      .timestamp = (uint32_t)i * FRAME,
					      .arrival_us = i * 20000,
					      .bytes = with + 12,
					      .len = (uint16_t)(len - 12 + 4) };
			record_packet(t, stream, &out);
		}
		struct heard h = render(t);
		check_said(&h, 30);
		heard_free(&h);
		timeline_free(t);
		srtp_dealloc(p.session);
	}
}

/* ---- what is not authentic ------------------------------------------------------------------------ */

static void altered_frames_are_counted_and_not_heard(void **ctx)
{
	(void)ctx;
	struct phone p = phone_new(0, 7, 1000);
	int stream;
	struct timeline *t = protected_call(&stream, &p.key, 1);
	unsigned altered = 0;
	for (int i = 0; i < 100; i++) {
		uint8_t payload[FRAME];
		memset(payload, 0x80, sizeof payload);
		unsigned damage = chance(3) == 0 ? 1 + chance(100000) : 0;
		altered += damage != 0;
		record_protected(t, stream, &p, 0, payload, i * 20000, damage);
	}
	assert_in_range(altered, 10, 60);
	struct heard h = render(t);
	assert_int_equal(h.summary.unauthentic[0], altered);
	assert_int_equal(h.summary.decrypted[0], 100 - altered);
	assert_int_equal(sounding(&h, TRACK_CALLER), (100 - altered) * FRAME);
	heard_free(&h);
	timeline_free(t);
	srtp_dealloc(p.session);
}

static void protected_without_a_key_is_not_heard_as_noise(void **ctx)
{
	(void)ctx;
	for (int protection = PROTECTION_SDES; protection < PROTECTIONS; protection++) {
		struct stream_record r = stream_of("PCMU", 0, 8000);
		r.protection = (uint8_t)protection;
		struct timeline *t = timeline_new();
		struct packet p = { .bytes = (const uint8_t *)"ciphertext and its tag", .len = 22 };
		record_packet(t, timeline_stream(t, &r), &p);
		struct audio_summary s;
		struct error err;
		assert_int_equal(timeline_render(t, &s, &err), RC_NOT_FOUND);
		assert_string_equal(s.undecoded, "SRTP");
		timeline_free(t);
	}
}

static void keys_of_no_use_are_no_harm(void **ctx)
{
	(void)ctx;
	struct phone p = phone_new(0, 7, 1000);
	struct sdes_key keys[5] = { p.key, p.key, p.key, p.key, p.key };
	keys[0].key_len = 3;
	snprintf(keys[1].suite, sizeof keys[1].suite, "F8_128_HMAC_SHA1_80");
	snprintf(keys[2].params, sizeof keys[2].params, "KDR=4");
	keys[3].mki_len = 128;
	hear_all(&p, keys, 5, 0);
}

/* ---- packets -------------------------------------------------------------------------------------- */

static void session_parameters_are_heeded(void **ctx)
{
	(void)ctx;
	static const struct {
		const char *params;
		srtp_sec_serv_t services;
	} rows[] = { { "UNENCRYPTED_SRTP", sec_serv_auth },
		     { "WSH=64 UNAUTHENTICATED_SRTP", sec_serv_conf },
		     { "UNENCRYPTED_SRTP UNAUTHENTICATED_SRTP", sec_serv_none } };
	for (size_t i = 0; i < 3; i++) {
		struct phone p = phone_new(0, 7, 1000);
		srtp_policy_t policy = { .key = p.key.key };
		srtp_dealloc(p.session);
		policy.ssrc.type = ssrc_any_outbound;
		srtp_crypto_policy_set_rtp_default(&policy.rtcp);
		if (rows[i].services == sec_serv_auth)
			srtp_crypto_policy_set_null_cipher_hmac_sha1_80(&policy.rtp);
		else if (rows[i].services == sec_serv_conf)
			srtp_crypto_policy_set_aes_cm_128_null_auth(&policy.rtp);
		else
			srtp_crypto_policy_set_null_cipher_hmac_null(&policy.rtp);
		assert_int_equal(srtp_create(&p.session, &policy), srtp_err_status_ok);
		snprintf(p.key.params, sizeof p.key.params, "%s", rows[i].params);
		hear_all(&p, &p.key, 1, 0);
	}
}

/* CSRC, extension and padding: authenticated as they were sent, and the payload between them is heard. */
static void packet_is_rebuilt_bit_for_bit(void **ctx)
{
	(void)ctx;
	struct phone p = phone_new(0, 7, 0);
	uint8_t packet[2048] = { 0xb1, 0x80, 0x03, 0xe8, 0,    0,
				 0,    0,    0x12, 0x34, 0x56, 0x78, /* V P X CC=1, marker */
				 9,    9,    9,    9,    0xbe, 0xde,
				 0,    1,    1,    2,    3,    4 };
	uint8_t plain[2048];
	memset(packet + 24, 0x85, FRAME);
	packet[24 + FRAME + 3] = 4; /* padding */
	int len = 24 + FRAME + 4;
	memcpy(plain, packet, (size_t)len);
	assert_int_equal(srtp_protect(p.session, packet, &len), srtp_err_status_ok);
	struct rtp_frame f = { .sequence = 65536 + 1000,
			       .marker = true,
			       .has_extra = true,
			       .first_octet = 0xb1,
			       .extra = packet + 12,
			       .extra_len = 12,
			       .payload = packet + 24,
			       .padding_len = packet[len - 1] };
	/* What the last octet says is padding is ciphertext, and is stored all the same. */
	if (f.padding_len > FRAME)
		f.padding_len = 0;
	f.payload_len = (uint32_t)len - 24 - f.padding_len;
	f.wire_len = (uint32_t)len - 12;
	uint8_t out[RTP_PACKET_MAX];
	assert_int_equal(audio_packet(&f, SSRC, out), len);
	assert_memory_equal(out, packet, (size_t)len);
	struct stream_record r = stream_of("PCMU", 0, 8000);
	struct unprotect *u = audio_unprotect_new(&r, &p.key, 1);
	uint32_t got;
	assert_int_equal(audio_unprotect(u, &f, out, &got), UNPROTECT_OK);
	assert_int_equal(got, 24 + FRAME + 4);
	assert_memory_equal(out, plain, got);
	assert_int_equal(audio_unprotect(u, &f, out, &got), UNPROTECT_AGAIN);
	f.wire_len++; /* cut by the snap length */
	assert_int_equal(audio_unprotect(u, &f, out, &got), UNPROTECT_FAILED);
	audio_unprotect_free(u);
	srtp_dealloc(p.session);
}

static int begin(void **ctx)
{
	(void)ctx;
	state = 88172645463325252u;
	/* The first to decrypt begins the library, which cannot be begun twice. */
	struct stream_record r = stream_of("PCMU", 0, 8000);
	struct sdes_key key = { .party = TRACK_CALLER };
	audio_unprotect_free(audio_unprotect_new(&r, &key, 1));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite_is_heard),
		cmocka_unit_test(key_that_fits_is_found_among_others),
		cmocka_unit_test(recording_joined_after_wraps_is_heard),
		cmocka_unit_test(call_goes_on_with_another_key),
		cmocka_unit_test(identifier_of_the_key_is_taken_out),
		cmocka_unit_test(altered_frames_are_counted_and_not_heard),
		cmocka_unit_test(protected_without_a_key_is_not_heard_as_noise),
		cmocka_unit_test(keys_of_no_use_are_no_harm),
		cmocka_unit_test(session_parameters_are_heeded),
		cmocka_unit_test(packet_is_rebuilt_bit_for_bit),
	};
	return cmocka_run_group_tests(tests, begin, NULL);
}
