/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_keys.c: SRTP keys in SDP: which are noted, whose they are, and what stays closed. */
#include "sip/sdes.h"
#include "sip_lab.h"

/* 30 bytes in base64: A's are zero, B's are 0x04 0x10 0x41... */
#define KEY_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define KEY_B "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
#define KEY_C "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"
#define KEY_D "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD"
#define SUITE "AES_CM_128_HMAC_SHA1_80"

static bool read_value(struct sdes_offers *to, const char *value)
{
	return sdes_read(to, span_of(value, strlen(value)));
}

static void key_is_read_with_lifetime_mki_and_parameters(void **state)
{
	(void)state;
	struct sdes_offers o = { 0 };
	assert_true(read_value(&o, "2 " SUITE " inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
				   "|2^20|1:4 FEC_ORDER=FEC_SRTP UNENCRYPTED_SRTCP"));
	assert_int_equal(o.count, 1);
	assert_int_equal(o.offer[0].tag, 2);
	const struct sdes_key *k = &o.offer[0].key;
	assert_string_equal(k->suite, SUITE);
	assert_string_equal(k->params, "FEC_ORDER=FEC_SRTP UNENCRYPTED_SRTCP");
	assert_int_equal(k->key_len, 30);
	assert_int_equal(k->mki_len, 4);
	assert_memory_equal(k->key, "YS___semctl () {\t220;}\n}\nunles", 30);
}

static void key_may_have_an_mki_without_lifetime_or_neither(void **state)
{
	(void)state;
	struct sdes_offers o = { 0 };
	assert_true(read_value(&o, "1 " SUITE " inline:" KEY_A "|17:2"));
	assert_true(read_value(&o, "1 " SUITE " inline:" KEY_A));
	assert_int_equal(o.offer[0].key.mki_len, 2);
	assert_int_equal(o.offer[1].key.mki_len, 0);
}

static void every_suite_has_its_length(void **state)
{
	(void)state;
	static const struct {
		const char *suite;
		unsigned bytes;
	} suites[] = { { "AES_CM_128_HMAC_SHA1_32", 30 },
		       { "AES_256_CM_HMAC_SHA1_80", 46 },
		       { "AEAD_AES_128_GCM", 28 },
		       { "AEAD_AES_256_GCM", 44 } };
	for (unsigned i = 0; i < sizeof suites / sizeof *suites; i++) {
		char text[256], zeros[80];
		for (unsigned wrong = 0; wrong < 2; wrong++) {
			struct sdes_offers o = { 0 };
			unsigned chars = ((suites[i].bytes - wrong) * 8 + 5) / 6;
			memset(zeros, 'A', chars);
			zeros[chars] = '\0';
			snprintf(text, sizeof text, "1 %s inline:%s", suites[i].suite, zeros);
			assert_int_equal(read_value(&o, text), !wrong);
		}
	}
}

static void broken_keys_are_refused(void **state)
{
	(void)state;
	static const char *const broken[] = {
		"",
		"1",
		"x " SUITE " inline:" KEY_A,
		"1 " SUITE,
		"1 " SUITE " uri:" KEY_A,
		"1 " SUITE " inline:",
		"1 " SUITE " inline:AAAA",
		"1 " SUITE " inline:" KEY_A "AA",
		"1 " SUITE " inline:!!!!",
		"1 X inline:" KEY_A KEY_A,
	};
	for (unsigned i = 0; i < sizeof broken / sizeof *broken; i++) {
		struct sdes_offers o = { 0 };
		assert_false(read_value(&o, broken[i]));
		assert_int_equal(o.count, 0);
	}
}

static void no_more_keys_are_read_than_there_are_places(void **state)
{
	(void)state;
	struct sdes_offers o = { 0 };
	for (unsigned i = 0; i < SDES_OFFERED; i++)
		assert_true(read_value(&o, "1 " SUITE " inline:" KEY_A));
	assert_false(read_value(&o, "1 " SUITE " inline:" KEY_A));
	assert_int_equal(o.count, SDES_OFFERED);
}

/* ---- in calls -------------------------------------------------------------------------------- */

/* One audio line of this profile and these attributes; three may be in use at once. */
static const char *srtp(const char *address, unsigned port, const char *profile, const char *lines)
{
	static char text[3][768];
	static unsigned turn;
	char *t = text[turn++ % 3];
	snprintf(t, sizeof text[0], "v=0\r\nc=IN IP4 %s\r\nm=audio %u %s 0\r\n%s", address, port,
		 profile, lines);
	return t;
}

#define CRYPTO(tag, key) "a=crypto:" tag " " SUITE " inline:" key "\r\n"

static bool covered(const struct sip_lab *l, const char *name)
{
	for (uint32_t i = 0; i < l->last.coverage_count; i++)
		if (strcmp(l->last.coverage[i], name) == 0)
			return true;
	return false;
}

static void each_partys_chosen_key_is_noted(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1",
	    srtp("10.0.0.1", 4000, "RTP/SAVP", CRYPTO("1", KEY_A) CRYPTO("2", KEY_B)));
	assert_int_equal(l.expected.protection, PROTECTION_SDES);
	assert_int_equal(l.last.sdes_count, 0);
	say(&l, 1000, "200 INVITE 1 a b z1",
	    srtp("10.0.0.2", 5000, "RTP/SAVP", CRYPTO("2", KEY_C)));
	assert_int_equal(l.expected.protection, PROTECTION_SDES);
	assert_int_equal(l.last.sdes_count, 2);
	assert_int_equal(l.last.sdes[0].party, TRACK_CALLEE);
	assert_int_equal(l.last.sdes[0].key[0], 0x08);
	assert_int_equal(l.last.sdes[1].party, TRACK_CALLER);
	assert_int_equal(l.last.sdes[1].key[0], 0x04);
	assert_int_equal(ms_of_us(l.last.sdes[1].from_us), 0);
	assert_int_equal(l.last.coverage_count, 0);
	lab_free(&l);
}

static void refresh_adds_no_key_and_rekeying_does(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", srtp("10.0.0.1", 4000, "RTP/SAVP", CRYPTO("1", KEY_A)));
	say(&l, 1000, "200 INVITE 1 a b z1",
	    srtp("10.0.0.2", 5000, "RTP/SAVP", CRYPTO("1", KEY_B)));
	say(&l, 5000, "INVITE 2 a b z3", srtp("10.0.0.1", 4000, "RTP/SAVP", CRYPTO("1", KEY_A)));
	say(&l, 5100, "200 INVITE 2 a b z3",
	    srtp("10.0.0.2", 5000, "RTP/SAVP", CRYPTO("1", KEY_B)));
	assert_int_equal(l.last.sdes_count, 2);
	say(&l, 9000, "INVITE 3 a b z4", srtp("10.0.0.1", 4000, "RTP/SAVP", CRYPTO("1", KEY_C)));
	say(&l, 9100, "200 INVITE 3 a b z4",
	    srtp("10.0.0.2", 5000, "RTP/SAVP", CRYPTO("1", KEY_B)));
	assert_int_equal(l.last.sdes_count, 3);
	assert_int_equal(ms_of_us(l.last.sdes[2].from_us), 9000);
	lab_free(&l);
}

static void key_of_a_fork_that_lost_goes(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", srtp("10.0.0.1", 4000, "RTP/SAVP", CRYPTO("1", KEY_A)));
	say(&l, 100, "183 INVITE 1 a b z1", srtp("10.0.0.2", 5000, "RTP/SAVP", CRYPTO("1", KEY_B)));
	say(&l, 200, "183 INVITE 1 a c z1", srtp("10.0.0.3", 6000, "RTP/SAVP", CRYPTO("1", KEY_C)));
	assert_int_equal(l.last.sdes_count, 3);
	say(&l, 1000, "200 INVITE 1 a c z1", NULL);
	assert_int_equal(l.last.sdes_count, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_not_equal(l.last.sdes[i].key[0], 0x04);
	lab_free(&l);
}

static void more_rekeying_than_there_are_places_is_remarked(void **state)
{
	(void)state;
	struct sip_lab l;
	char key[64], line[128], what[64];
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", srtp("10.0.0.1", 4000, "RTP/SAVP", CRYPTO("1", KEY_A)));
	say(&l, 100, "200 INVITE 1 a b z1", srtp("10.0.0.2", 5000, "RTP/SAVP", CRYPTO("1", KEY_B)));
	for (unsigned i = 2; i < 10; i++) {
		snprintf(key, sizeof key, "%.*s%c", 39, KEY_A, (int)('B' + i));
		snprintf(line, sizeof line, "a=crypto:1 " SUITE " inline:%s\r\n", key);
		snprintf(what, sizeof what, "INVITE %u a b y%u", i, i);
		say(&l, 1000 * i, what, srtp("10.0.0.1", 4000, "RTP/SAVP", line));
		snprintf(what, sizeof what, "200 INVITE %u a b y%u", i, i);
		say(&l, 1000 * i + 10, what,
		    srtp("10.0.0.2", 5000, "RTP/SAVP", CRYPTO("1", KEY_B)));
	}
	assert_int_equal(l.last.sdes_count, SDES_MAX);
	assert_true(covered(&l, "srtp-no-key"));
	lab_free(&l);
}

static void srtp_keyed_elsewhere_is_remarked(void **state)
{
	(void)state;
	static const struct {
		const char *profile, *lines, *remark;
		enum protection protection;
	} kinds[] = {
		{ "RTP/SAVP", "", "srtp-no-key", PROTECTION_NO_KEY },
		{ "UDP/TLS/RTP/SAVPF", "a=fingerprint:sha-256 AB:CD\r\n", "dtls-srtp",
		  PROTECTION_DTLS },
		{ "RTP/AVP", "a=zrtp-hash:1.10 fe30efd02423cb05\r\n", "zrtp", PROTECTION_ZRTP },
	};
	for (unsigned i = 0; i < 3; i++) {
		struct sip_lab l;
		lab_init(&l);
		say(&l, 0, "INVITE 1 a - z1",
		    srtp("10.0.0.1", 4000, kinds[i].profile, kinds[i].lines));
		assert_int_equal(l.expected.protection, kinds[i].protection);
		assert_int_equal(l.last.coverage_count, 0);
		say(&l, 100, "200 INVITE 1 a b z1",
		    srtp("10.0.0.2", 5000, kinds[i].profile, kinds[i].lines));
		assert_int_equal(l.expected.protection, kinds[i].protection);
		assert_int_equal(l.last.coverage_count, 1);
		assert_true(covered(&l, kinds[i].remark));
		lab_free(&l);
	}
}

static void offered_protection_that_is_not_taken_is_none(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", srtp("10.0.0.1", 4000, "RTP/AVP", CRYPTO("1", KEY_A)));
	assert_int_equal(l.expected.protection, PROTECTION_SDES);
	say(&l, 100, "200 INVITE 1 a b z1", srtp("10.0.0.2", 5000, "RTP/AVP", ""));
	/* The caller's line is expected once more, after the callee's. */
	assert_int_equal(l.expected.party, TRACK_CALLER);
	assert_int_equal(l.expected.protection, PROTECTION_NONE);
	assert_int_equal(l.last.sdes_count, 0);
	assert_int_equal(l.last.coverage_count, 0);
	lab_free(&l);
}

static void answer_chooses_dtls_among_two_offered(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1",
	    srtp("10.0.0.1", 4000, "RTP/SAVP", CRYPTO("1", KEY_A) "a=fingerprint:sha-1 00\r\n"));
	say(&l, 100, "200 INVITE 1 a b z1",
	    srtp("10.0.0.2", 5000, "RTP/SAVP", "a=fingerprint:sha-1 01\r\n"));
	assert_int_equal(l.expected.party, TRACK_CALLER);
	assert_int_equal(l.expected.protection, PROTECTION_DTLS);
	assert_int_equal(l.last.sdes_count, 0);
	assert_true(covered(&l, "dtls-srtp"));
	lab_free(&l);
}

static void a_key_that_the_ack_overtook_is_not_missed(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", srtp("10.0.0.1", 4000, "RTP/SAVP", CRYPTO("1", KEY_A)));
	say(&l, 50, "180 INVITE 1 a b z1", NULL);
	say(&l, 100, "ACK 1 a b z2", NULL);
	assert_true(covered(&l, "srtp-no-key"));
	say(&l, 145, "200 INVITE 1 a b z1", srtp("10.0.0.2", 5000, "RTP/SAVP", CRYPTO("1", KEY_B)));
	assert_int_equal(l.last.sdes_count, 2);
	assert_int_equal(l.last.coverage_count, 0);
	lab_free(&l);
}

static void what_is_sent_to_a_party_without_the_others_key_stays_closed(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_talking(&l);
	say(&l, 3100, "200 INVITE 2 a b y1",
	    srtp("10.0.0.2", 5000, "RTP/SAVP", CRYPTO("1", KEY_B)));
	assert_int_equal(l.expected.protection, PROTECTION_NO_KEY);
	assert_int_equal(l.last.sdes_count, 1);
	assert_int_equal(l.last.sdes[0].party, TRACK_CALLEE);
	assert_true(covered(&l, "srtp-no-key"));
	lab_free(&l);
}

static void answer_to_a_late_offer_has_its_key_in_the_ack(void **state)
{
	(void)state;
	struct sip_lab l;
	lab_init(&l);
	say(&l, 0, "INVITE 1 a - z1", NULL);
	say(&l, 100, "200 INVITE 1 a b z1",
	    srtp("10.0.0.2", 5000, "RTP/SAVP", CRYPTO("1", KEY_B) CRYPTO("2", KEY_C)));
	say(&l, 110, "ACK 1 a b z2", srtp("10.0.0.1", 4000, "RTP/SAVP", CRYPTO("2", KEY_A)));
	assert_int_equal(l.expected.protection, PROTECTION_SDES);
	assert_int_equal(l.last.sdes_count, 2);
	assert_int_equal(l.last.sdes[0].party, TRACK_CALLER);
	assert_int_equal(l.last.sdes[1].key[0], 0x08);
	assert_int_equal(l.last.coverage_count, 0);
	lab_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_is_read_with_lifetime_mki_and_parameters),
		cmocka_unit_test(key_may_have_an_mki_without_lifetime_or_neither),
		cmocka_unit_test(every_suite_has_its_length),
		cmocka_unit_test(broken_keys_are_refused),
		cmocka_unit_test(no_more_keys_are_read_than_there_are_places),
		cmocka_unit_test(each_partys_chosen_key_is_noted),
		cmocka_unit_test(refresh_adds_no_key_and_rekeying_does),
		cmocka_unit_test(key_of_a_fork_that_lost_goes),
		cmocka_unit_test(more_rekeying_than_there_are_places_is_remarked),
		cmocka_unit_test(srtp_keyed_elsewhere_is_remarked),
		cmocka_unit_test(offered_protection_that_is_not_taken_is_none),
		cmocka_unit_test(answer_chooses_dtls_among_two_offered),
		cmocka_unit_test(a_key_that_the_ack_overtook_is_not_missed),
		cmocka_unit_test(what_is_sent_to_a_party_without_the_others_key_stays_closed),
		cmocka_unit_test(answer_to_a_late_offer_has_its_key_in_the_ack),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
