/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* seal.c: all cryptography of callspan but sealing many chunks fast (sealer.c) and what others' tools read (pem.c,
 * envelope.c): OpenSSL (AES-GCM, SHA-256, HMAC) and libsodium (sealed boxes, Ed25519, Argon2id, random bytes).
 *
 * Any thread; a sealer or digest belongs to one.  What a library refuses here is the impossible
 * (wrong lengths, no memory for a context): it is ASSERTed, for going on would write what nobody
 * can read or anybody can.
 */
#include "store/seal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define GCM_TAG 16

_Static_assert(SEAL_OVERHEAD == crypto_box_SEALBYTES, "store.h says what a sealed box adds");
_Static_assert(crypto_box_PUBLICKEYBYTES == 32 && crypto_box_SECRETKEYBYTES == 32, "seal_pair");
_Static_assert(crypto_sign_PUBLICKEYBYTES == 32 && crypto_sign_SECRETKEYBYTES == 64, "sign_pair");

/* Safe to call any number of times from any thread. */
static void ready(void)
{
	ASSERT(sodium_init() >= 0);
}

void random_bytes(void *out, size_t len)
{
	ready();
	randombytes_buf(out, len);
}

void forget_bytes(void *p, size_t len)
{
	sodium_memzero(p, len);
}

/* ---- AES-256-GCM: opening; sealing is sealer.c ------------------------------------------------- */

void gcm_seal(uint8_t *out, const uint8_t *in, size_t len, const uint8_t key[32],
	      const uint8_t nonce[12], const void *aad, size_t aad_len)
{
	struct sealer *s = sealer_new();

	ASSERT(s);
	sealer_seal(s, out, &(struct seal_piece){ in, len }, 1, key, nonce, aad, aad_len);
	sealer_free(s);
}

bool gcm_open(uint8_t *out, const uint8_t *in, size_t len, const uint8_t key[32],
	      const uint8_t nonce[12], const void *aad, size_t aad_len)
{
	uint8_t tag[GCM_TAG], rest[GCM_TAG];
	int done;

	if (len < GCM_TAG || len > INT32_MAX)
		return false;
	size_t text_len = len - GCM_TAG;
	memcpy(tag, in + text_len, GCM_TAG);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	ASSERT(ctx);
	ASSERT(EVP_DecryptInit_ex2(ctx, EVP_aes_256_gcm(), key, nonce, NULL) == 1);
	ASSERT(EVP_DecryptUpdate(ctx, NULL, &done, aad, (int)aad_len) == 1);
	ASSERT(EVP_DecryptUpdate(ctx, out, &done, in, (int)text_len) == 1);
	ASSERT(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG, tag) == 1);
	bool good = EVP_DecryptFinal_ex(ctx, rest, &done) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!good)
		forget_bytes(out, text_len); /* never hand out what is not authentic */
	return good;
}

/* ---- hashes -------------------------------------------------------------------------------- */

struct digest {
	EVP_MD_CTX *ctx; /* owned */
	EVP_MD *sha256;  /* owned */
};

struct digest *digest_new(void)
{
	struct digest *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	d->ctx = EVP_MD_CTX_new();
	if (!d->sha256 || !d->ctx || EVP_DigestInit_ex2(d->ctx, d->sha256, NULL) != 1) {
		digest_free(d);
		return NULL;
	}
	return d;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	EVP_MD_free(d->sha256);
	free(d);
}

void digest_add(struct digest *d, const void *data, size_t len)
{
	ASSERT(EVP_DigestUpdate(d->ctx, data, len) == 1);
}

void digest_take(struct digest *d, uint8_t out[32])
{
	ASSERT(EVP_DigestFinal_ex(d->ctx, out, NULL) == 1);
	ASSERT(EVP_DigestInit_ex2(d->ctx, d->sha256, NULL) == 1);
}

void digest_sha256(uint8_t out[32], const void *data, size_t len)
{
	ASSERT(EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1);
}

void digest_sha1(uint8_t out[20], const void *data, size_t len)
{
	ASSERT(EVP_Digest(data, len, out, NULL, EVP_sha1(), NULL) == 1);
}

void hmac_sha256(uint8_t out[32], const uint8_t key[32], const void *data, size_t len)
{
	ASSERT(HMAC(EVP_sha256(), key, 32, data, len, out, NULL));
}

/* ---- public keys --------------------------------------------------------------------------- */

void seal_pair_new(struct seal_pair *p)
{
	ready();
	memset(p, 0, sizeof *p);
	ASSERT(crypto_box_keypair(p->public_key, p->secret_key) == 0);
}

bool seal_pair_fits(const struct seal_pair *p)
{
	uint8_t public_key[32];

	ready();
	return crypto_scalarmult_base(public_key, p->secret_key) == 0 &&
	       memcmp(public_key, p->public_key, sizeof public_key) == 0;
}

void sign_pair_new(struct sign_pair *p)
{
	ready();
	ASSERT(crypto_sign_keypair(p->public_key, p->secret_key) == 0);
}

void seal_to(uint8_t *out, const uint8_t *in, size_t len, const uint8_t public_key[32])
{
	ready();
	/* Fails only for a public key of small order, which init never makes. */
	ASSERT(crypto_box_seal(out, in, len, public_key) == 0);
}

/* crypto_box_seal() with a given pair: its public key, then a box whose nonce is of both public keys. */
static void box_from(const struct seal_pair *from, const struct seal_box *box, size_t len)
{
	uint8_t both[64], nonce[crypto_box_NONCEBYTES];

	memcpy(both, from->public_key, 32);
	memcpy(both + 32, box->public_key, 32);
	ASSERT(crypto_generichash(nonce, sizeof nonce, both, sizeof both, NULL, 0) == 0);
	memcpy(box->out, from->public_key, 32);
	ASSERT(crypto_box_easy(box->out + 32, box->in, len, nonce, box->public_key,
			       from->secret_key) == 0);
}

/* One pair for two different public keys gives two keys that have nothing to do with each other, and two nonces.  For the
 * same public key twice it would give the same, which must never seal two things. */
void seal_to_both(const struct seal_box *a, const struct seal_box *b, size_t len)
{
	struct seal_pair pair;

	if (memcmp(a->public_key, b->public_key, 32) == 0) {
		seal_to(a->out, a->in, len, a->public_key);
		seal_to(b->out, b->in, len, b->public_key);
		return;
	}
	seal_pair_new(&pair);
	box_from(&pair, a, len);
	box_from(&pair, b, len);
	forget_bytes(&pair, sizeof pair);
}

bool seal_open(uint8_t *out, const uint8_t *in, size_t len, const struct seal_pair *pair)
{
	ready();
	if (len < SEAL_OVERHEAD)
		return false;
	return crypto_box_seal_open(out, in, len, pair->public_key, pair->secret_key) == 0 ||
	       (pair->has_before &&
		crypto_box_seal_open(out, in, len, pair->before_public, pair->before_secret) == 0);
}

void sign_bytes(uint8_t sig[64], const void *data, size_t len, const struct sign_pair *pair)
{
	ready();
	ASSERT(crypto_sign_detached(sig, NULL, data, len, pair->secret_key) == 0);
}

bool sign_verify(const uint8_t sig[64], const void *data, size_t len, const uint8_t public_key[32])
{
	ready();
	return crypto_sign_verify_detached(sig, data, len, public_key) == 0;
}

/* ---- for others to read ------------------------------------------------------------------------ */

void base64_encode(char *out, const uint8_t *bytes, size_t len)
{
	ready();
	sodium_bin2base64(out, BASE64_TEXT(len), bytes, len, sodium_base64_VARIANT_ORIGINAL);
}

/* libsodium takes some bytes above 0x7f for letters: what is not as we would write it is refused. */
bool base64_decode(uint8_t *out, size_t len, const char *text)
{
	char again[BASE64_TEXT(BASE64_BYTES)];
	size_t n;

	ready();
	ASSERT(len <= BASE64_BYTES);
	if (sodium_base642bin(out, len, text, strlen(text), NULL, &n, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    n != len)
		return false;
	base64_encode(again, out, len);
	return strcmp(again, text) == 0;
}

void sign_public_pem(const uint8_t public_key[32], char pem[SIGN_PEM])
{
	/* RFC 8410, 4: SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING }, up to the key itself */
	uint8_t info[12 + 32] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
				  0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
	char text[BASE64_TEXT(sizeof info)];

	memcpy(info + 12, public_key, 32);
	base64_encode(text, info, sizeof info);
	(void)snprintf(pem, SIGN_PEM, "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n",
		       text);
}

/* ---- secrets under a passphrase ---------------------------------------------------------------
 *
 *     0        4       8        24        48
 *     | passes |  KiB  |  salt  |  nonce  |  ciphertext + tag (16)
 *      '----------------------- 48 + len + 16 ---------------'
 * The first 24 bytes are authenticated with it.
 */

#define BOX_SALT  8
#define BOX_NONCE 24
#define BOX_TEXT  48
#define KIB       1024
/* Nobody may have us spend more than this by altering a box. */
#define PASSES_MAX 16
#define KIB_MAX    (1024 * KIB)

_Static_assert(BOX_NONCE - BOX_SALT == crypto_pwhash_argon2id_SALTBYTES, "salt");
_Static_assert(BOX_TEXT - BOX_NONCE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(PASSPHRASE_BOX(0) == BOX_TEXT + crypto_aead_xchacha20poly1305_ietf_ABYTES, "box");

static enum rc passphrase_key(uint8_t key[32], const uint8_t *box, const char *passphrase,
			      struct error *err)
{
	struct bytes b = bytes_over(box, BOX_SALT);
	uint32_t passes = bytes_u32_le(&b), kib = bytes_u32_le(&b);

	if (passes < crypto_pwhash_argon2id_OPSLIMIT_MIN || passes > PASSES_MAX ||
	    kib < crypto_pwhash_argon2id_MEMLIMIT_MIN / KIB || kib > KIB_MAX)
		return error_set(err, RC_DAMAGED, "a passphrase box asks for impossible work");
	if (crypto_pwhash_argon2id(key, 32, passphrase, strlen(passphrase), box + BOX_SALT, passes,
				   (size_t)kib * KIB, crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
		return error_set(err, RC_FAILED, "not enough memory to work with the passphrase");
	return RC_OK;
}

enum rc passphrase_seal(uint8_t *out, const uint8_t *in, size_t len, const char *passphrase,
			struct error *err)
{
	uint8_t key[32];

	ready();
	put_u32_le(out, crypto_pwhash_argon2id_OPSLIMIT_MODERATE);
	put_u32_le(out + 4, crypto_pwhash_argon2id_MEMLIMIT_MODERATE / KIB);
	randombytes_buf(out + BOX_SALT, BOX_TEXT - BOX_SALT);
	enum rc rc = passphrase_key(key, out, passphrase, err);
	if (rc != RC_OK)
		return rc;
	ASSERT(crypto_aead_xchacha20poly1305_ietf_encrypt(out + BOX_TEXT, NULL, in, len, out,
							  BOX_NONCE, NULL, out + BOX_NONCE,
							  key) == 0);
	forget_bytes(key, sizeof key);
	return RC_OK;
}

enum rc passphrase_open(uint8_t *out, const uint8_t *in, size_t boxed_len, const char *passphrase,
			struct error *err)
{
	uint8_t key[32];

	ready();
	if (boxed_len < PASSPHRASE_BOX(0))
		return error_set(err, RC_DAMAGED, "a passphrase box is cut short");
	enum rc rc = passphrase_key(key, in, passphrase, err);
	if (rc != RC_OK)
		return rc;
	bool good = crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in + BOX_TEXT,
							       boxed_len - BOX_TEXT, in, BOX_NONCE,
							       in + BOX_NONCE, key) == 0;
	forget_bytes(key, sizeof key);
	return good ? RC_OK : error_set(err, RC_REFUSED, "the passphrase is wrong");
}
