/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_seal.c: cryptography against published vectors, and the recorder's key files. */
#include "store_help.h"

#include "store/seal.h"

static void unhex(uint8_t *out, const char *hex)
{
	for (; *hex; hex += 2)
		assert_int_equal(sscanf(hex, "%2hhx", out++), 1);
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16. */
static const char gcm_key[] = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
static const char gcm_nonce[] = "cafebabefacedbaddecaf888";
static const char gcm_aad[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
static const char gcm_plain[] =
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c9595"
	"6809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
static const char gcm_sealed[] =
	"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e485"
	"90dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	"76fc6ece0f4e1768cddf8853bb2d551b";

static void gcm_gives_the_published_bytes_in_one_piece_or_three(void **state)
{
	uint8_t key[32], nonce[12], aad[20], plain[60], want[76], got[76];
	struct sealer *kinds[] = { sealer_new(), sealer_new_fast() };

	(void)state;
	unhex(key, gcm_key);
	unhex(nonce, gcm_nonce);
	unhex(aad, gcm_aad);
	unhex(plain, gcm_plain);
	unhex(want, gcm_sealed);
	gcm_seal(got, plain, sizeof plain, key, nonce, aad, sizeof aad);
	assert_memory_equal(got, want, sizeof want);
	for (int again = 0; again < 4; again++) {
		const struct seal_piece pieces[] = { { plain, 7 },
						     { plain + 7, 0 },
						     { plain + 7, 53 } };
		memset(got, 0, sizeof got);
		sealer_seal(kinds[again % 2], got, pieces, 3, key, nonce, aad, sizeof aad);
		assert_memory_equal(got, want, sizeof want);
	}
	sealer_free(kinds[0]);
	sealer_free(kinds[1]);
}

/* One sealer after another, and many lengths: what the fast one seals opens, with every length's own tag. */
static void fast_sealer_gives_what_the_other_gives(void **state)
{
	enum { MOST = 1100 };
	uint8_t key[32], nonce[12], text[MOST], want[MOST + 16], got[MOST + 16], back[MOST];
	struct sealer *plain = sealer_new(), *fast = sealer_new_fast();

	(void)state;
	random_bytes(text, sizeof text);
	random_bytes(nonce, sizeof nonce);
	for (size_t len = 0; len <= MOST; len++) {
		size_t head = len / 3;
		const struct seal_piece pieces[] = { { text, head }, { text + head, len - head } };
		random_bytes(key, sizeof key);
		sealer_seal(plain, want, pieces, 2, key, nonce, text, len % 29);
		sealer_seal(fast, got, pieces, 2, key, nonce, text, len % 29);
		assert_memory_equal(got, want, len + 16);
		assert_true(gcm_open(back, got, len + 16, key, nonce, text, len % 29));
		assert_memory_equal(back, text, len);
	}
	sealer_free(plain);
	sealer_free(fast);
}

static void gcm_opens_only_what_was_not_altered(void **state)
{
	uint8_t key[32] = { 1 }, nonce[12] = { 2 }, aad[4] = { 3 }, box[36], out[20];

	(void)state;
	gcm_seal(box, (const uint8_t *)"twenty bytes of text", 20, key, nonce, aad, sizeof aad);
	assert_true(gcm_open(out, box, sizeof box, key, nonce, aad, sizeof aad));
	assert_memory_equal(out, "twenty bytes of text", 20);
	for (size_t i = 0; i < sizeof box; i++) {
		box[i] ^= 1;
		assert_false(gcm_open(out, box, sizeof box, key, nonce, aad, sizeof aad));
		box[i] ^= 1;
	}
	aad[0] ^= 1;
	assert_false(gcm_open(out, box, sizeof box, key, nonce, aad, sizeof aad));
	assert_false(gcm_open(out, box, 15, key, nonce, aad, sizeof aad));
}

static void hashes_give_the_published_bytes(void **state)
{
	uint8_t want[32], got[32], key[32] = { 0 };
	struct digest *d = digest_new();

	(void)state;
	/* FIPS 180-4, "abc" */
	unhex(want, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_sha256(got, "abc", 3);
	assert_memory_equal(got, want, 32);
	for (int again = 0; again < 2; again++) {
		digest_add(d, "a", 1);
		digest_add(d, "bc", 2);
		digest_take(d, got);
		assert_memory_equal(got, want, 32);
	}
	digest_free(d);
	/* RFC 4231, 4.3: a shorter key is the same key padded with zeros */
	memcpy(key, "Jefe", 4);
	unhex(want, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	hmac_sha256(got, key, "what do ya want for nothing?", 28);
	assert_memory_equal(got, want, 32);
}

static void signatures_hold_for_one_message_and_key(void **state)
{
	struct sign_pair a, b;
	uint8_t sig[64];

	(void)state;
	/* RFC 8032, 7.1, test 2 */
	unhex(a.secret_key, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
			    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
	memcpy(a.public_key, a.secret_key + 32, 32);
	uint8_t want[64];
	unhex(want, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
		    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
	sign_bytes(sig, "\x72", 1, &a);
	assert_memory_equal(sig, want, 64);
	assert_true(sign_verify(sig, "\x72", 1, a.public_key));
	assert_false(sign_verify(sig, "\x73", 1, a.public_key));
	sign_pair_new(&b);
	assert_false(sign_verify(sig, "\x72", 1, b.public_key));
}

static void sealed_boxes_open_with_their_own_secret_only(void **state)
{
	struct seal_pair a, b;
	uint8_t box[10 + SEAL_OVERHEAD], out[10];

	(void)state;
	seal_pair_new(&a);
	seal_pair_new(&b);
	seal_to(box, (const uint8_t *)"0123456789", 10, a.public_key);
	assert_true(seal_open(out, box, sizeof box, &a));
	assert_memory_equal(out, "0123456789", 10);
	assert_false(seal_open(out, box, sizeof box, &b));
	assert_false(seal_open(out, box, SEAL_OVERHEAD - 1, &a));
	box[40] ^= 1;
	assert_false(seal_open(out, box, sizeof box, &a));
}

static void two_boxes_open_each_with_its_own_secret_only(void **state)
{
	const uint8_t *one = (const uint8_t *)"0123456789", *two = (const uint8_t *)"abcdefghij";
	struct seal_pair a, b;
	uint8_t box_a[10 + SEAL_OVERHEAD], box_b[10 + SEAL_OVERHEAD], out[10];
	uint8_t before[32];

	(void)state;
	seal_pair_new(&a);
	seal_pair_new(&b);
	memset(before, 0, sizeof before);
	for (int i = 0; i < 3; i++) {
		seal_to_both(&(struct seal_box){ box_a, one, a.public_key },
			     &(struct seal_box){ box_b, two, b.public_key }, 10);
		assert_true(seal_open(out, box_a, sizeof box_a, &a));
		assert_memory_equal(out, one, 10);
		assert_true(seal_open(out, box_b, sizeof box_b, &b));
		assert_memory_equal(out, two, 10);
		assert_false(seal_open(out, box_a, sizeof box_a, &b));
		assert_false(seal_open(out, box_b, sizeof box_b, &a));
		assert_memory_equal(box_a, box_b, 32);
		assert_memory_not_equal(box_a, before, 32); /* no pair is used again */
		memcpy(before, box_a, 32);
	}
	/* For the same public key they share nothing. */
	seal_to_both(&(struct seal_box){ box_a, one, a.public_key },
		     &(struct seal_box){ box_b, two, a.public_key }, 10);
	assert_memory_not_equal(box_a, box_b, 32);
	assert_true(seal_open(out, box_a, sizeof box_a, &a));
	assert_true(seal_open(out, box_b, sizeof box_b, &a));
	assert_memory_equal(out, two, 10);
}

static void passphrase_boxes_open_with_the_passphrase_only(void **state)
{
	uint8_t box[PASSPHRASE_BOX(32)], secret[32] = { 42 }, out[32];
	struct error err;

	(void)state;
	assert_int_equal(passphrase_seal(box, secret, 32, "correct horse", &err), RC_OK);
	assert_int_equal(passphrase_open(out, box, sizeof box, "correct horse", &err), RC_OK);
	assert_memory_equal(out, secret, 32);
	assert_int_equal(passphrase_open(out, box, sizeof box, "correct hors", &err), RC_REFUSED);
	box[sizeof box - 1] ^= 1;
	assert_int_equal(passphrase_open(out, box, sizeof box, "correct horse", &err), RC_REFUSED);
	/* An altered box must not make us work for hours, or take all memory. */
	memset(box, 0xff, 8);
	assert_int_equal(passphrase_open(out, box, sizeof box, "correct horse", &err), RC_DAMAGED);
	memset(box, 0, 8);
	assert_int_equal(passphrase_open(out, box, sizeof box, "correct horse", &err), RC_DAMAGED);
	assert_int_equal(passphrase_open(out, box, 63, "correct horse", &err), RC_DAMAGED);
}

/* ---- the recorder's files ------------------------------------------------------------------ */

static void recorder_files_come_back_as_written(void **state)
{
	struct test_store t;
	uint8_t audio[32], metadata[32], sign[32];
	char path[128], id[RECORDER_ID];
	struct error err;
	struct stat st;

	(void)state;
	test_store_make(&t);
	assert_int_equal(store_check_version(t.path, &err), RC_OK);
	assert_int_equal(store_read_vault_public(t.path, audio, metadata, &err), RC_OK);
	assert_int_equal(store_read_sign_public(t.path, sign, &err), RC_OK);
	assert_memory_equal(audio, t.audio.public_key, 32);
	assert_memory_equal(metadata, t.metadata.public_key, 32);
	assert_memory_equal(sign, t.sign.public_key, 32);
	store_recorder_id(sign, id);
	assert_int_equal(strlen(id), 16);
	(void)snprintf(path, sizeof path, "%s/recorder/sign.key", t.path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)snprintf(path, sizeof path, "%s/recorder", t.path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	/* Keys are never written over. */
	assert_int_equal(store_recorder_init(t.path, audio, metadata, &t.sign, &err), RC_FAILED);
	test_store_remove(&t);
}

static void a_writer_names_what_is_wrong_with_a_store(void **state)
{
	static const struct {
		const char *file, *text; /* NULL: removed */
		const char *says;
	} cases[] = {
		{ "recorder/sign.key", NULL, "lacks its recorder/sign.key" },
		{ "recorder/sign.key", "00\n", "is not a key file" },
		{ "recorder/vault.pub", "zz\n", "is not a key file" },
		{ "recorder/vault.pub", NULL, "lacks its recorder/vault.pub" },
		{ "VERSION", "callspan store 2\n", "newer version" },
		{ "VERSION", "something else\n", "is not a callspan store" },
		{ "VERSION", NULL, "is not a callspan store" },
	};
	struct test_store t;
	struct store_writer_config cfg = { .segment_bytes = 1, .done_needed = 1 };
	struct store_writer *w;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char path[128];
		test_store_make(&t);
		(void)snprintf(path, sizeof path, "%s/%s", t.path, cases[i].file);
		if (cases[i].text)
			write_file(path, cases[i].text, strlen(cases[i].text));
		else
			assert_int_equal(unlink(path), 0);
		cfg.store = t.path;
		cfg.counters = &t.counters;
		assert_int_equal(store_writer_new(&w, &cfg, &err), RC_FAILED);
		assert_null(w);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_null(strchr(err.text, '\n'));
		test_store_remove(&t);
	}
	assert_int_equal(store_check_version("/nonexistent/store", &err), RC_FAILED);
	assert_non_null(strstr(err.text, "no such store"));
}

static void a_store_has_one_recorder(void **state)
{
	struct test_store t;
	struct error err;
	int a, b;

	(void)state;
	test_store_make(&t);
	assert_int_equal(store_recorder_lock(t.path, &a, &err), RC_OK);
	assert_int_equal(store_recorder_lock(t.path, &b, &err), RC_FAILED);
	assert_int_equal(b, -1);
	assert_non_null(strstr(err.text, "another callspand"));
	assert_int_equal(close(a), 0);
	assert_int_equal(store_recorder_lock(t.path, &b, &err), RC_OK);
	assert_int_equal(close(b), 0);
	test_store_remove(&t);
}

/* RFC 8410, 10.1: the example's public key. */
static void public_keys_are_written_as_openssl_reads_them(void **state)
{
	static const uint8_t key[32] = { 0x19, 0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe,
					 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96,
					 0xc8, 0x50, 0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb,
					 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31, 0x66, 0xe1 };
	char pem[SIGN_PEM];
	(void)state;
	sign_public_pem(key, pem);
	assert_string_equal(pem, "-----BEGIN PUBLIC KEY-----\n"
				 "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
				 "-----END PUBLIC KEY-----\n");
}

static void base64_is_read_one_way_only(void **state)
{
	uint8_t out[4] = { 0 };
	char text[BASE64_TEXT(4)];
	(void)state;
	base64_encode(text, (const uint8_t *)"\xff\xfe\x00\x01", 4);
	assert_string_equal(text, "//4AAQ==");
	assert_true(base64_decode(out, 4, text));
	assert_memory_equal(out, "\xff\xfe\x00\x01", 4);
	assert_false(base64_decode(out, 3, text));
	assert_false(base64_decode(out, 4, "//4AAQ="));
	assert_false(base64_decode(out, 4, "//4AAR==")); /* the same bytes, written otherwise */
	assert_false(base64_decode(out, 4, "//4A AQ=="));
	for (size_t bit = 0; bit < 8 * strlen(text); bit++) {
		text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
		if (base64_decode(out, 4, text))
			assert_memory_not_equal(out, "\xff\xfe\x00\x01", 4);
		text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
	}
	assert_false(base64_decode(out, 4, "//4AAQ==="));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gcm_gives_the_published_bytes_in_one_piece_or_three),
		cmocka_unit_test(fast_sealer_gives_what_the_other_gives),
		cmocka_unit_test(gcm_opens_only_what_was_not_altered),
		cmocka_unit_test(hashes_give_the_published_bytes),
		cmocka_unit_test(signatures_hold_for_one_message_and_key),
		cmocka_unit_test(public_keys_are_written_as_openssl_reads_them),
		cmocka_unit_test(base64_is_read_one_way_only),
		cmocka_unit_test(sealed_boxes_open_with_their_own_secret_only),
		cmocka_unit_test(two_boxes_open_each_with_its_own_secret_only),
		cmocka_unit_test(passphrase_boxes_open_with_the_passphrase_only),
		cmocka_unit_test(recorder_files_come_back_as_written),
		cmocka_unit_test(a_writer_names_what_is_wrong_with_a_store),
		cmocka_unit_test(a_store_has_one_recorder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
