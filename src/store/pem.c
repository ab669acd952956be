/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pem.c: public keys and signatures as others' tools read and write them.
 *
 * A key is Ed25519's SubjectPublicKeyInfo (RFC 8410): 12 bytes that never change, and the key.
 *
 *     30 2a 30 05 06 03 2b 65 70 03 21 00 | key (32)
 *
 * Any thread; keeps nothing.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "store/store.h"

#define HEAD 12
#define DER  (HEAD + 32)

static const uint8_t head[HEAD] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
				    0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };

_Static_assert(BASE64_ROOM(DER) == PEM_BASE64, "a key in one line");

void pem_base64(char *out, const uint8_t *bytes, size_t len)
{
	union {
		char *text;
		unsigned char *bytes;
	} u = { .text = out };
	ASSERT(len < INT32_MAX);
	(void)EVP_EncodeBlock(u.bytes, bytes, (int)len);
}

/* OpenSSL reads it in more ways than one; here only what it would write itself counts. */
bool pem_unbase64(uint8_t *out, size_t len, const char *text)
{
	uint8_t bytes[3 * 32];
	char again[BASE64_ROOM(sizeof bytes)];
	union {
		const char *text;
		const unsigned char *bytes;
	} u = { .text = text };
	ASSERT(len <= sizeof bytes - 2);
	if (strlen(text) != BASE64_ROOM(len) - 1)
		return false;
	int n = EVP_DecodeBlock(bytes, u.bytes, (int)strlen(text));
	if (n < 0 || (size_t)n != (len + 2) / 3 * 3)
		return false;
	pem_base64(again, bytes, len);
	memcpy(out, bytes, len);
	return strcmp(again, text) == 0;
}

void pem_describe(struct pem_key *out, const uint8_t key[32])
{
	uint8_t der[DER], hash[32];
	memcpy(der, head, HEAD);
	memcpy(der + HEAD, key, 32);
	pem_base64(out->base64, der, DER);
	snprintf(out->pem, sizeof out->pem,
		 "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n", out->base64);
	digest_sha256(hash, der, DER);
	for (size_t i = 0; i < sizeof hash; i++)
		snprintf(out->fingerprint + 2 * i, 3, "%02x", hash[i]);
}

bool pem_read_base64(const char *text, uint8_t key[32])
{
	uint8_t der[DER];
	if (!pem_unbase64(der, DER, text) || memcmp(der, head, HEAD) != 0)
		return false;
	memcpy(key, der + HEAD, 32);
	return true;
}

bool pem_read_key(const char *text, uint8_t key[32])
{
	size_t len = 32;
	ASSERT(strlen(text) < INT32_MAX);
	BIO *in = BIO_new_mem_buf(text, (int)strlen(text));
	ASSERT(in);
	EVP_PKEY *k = PEM_read_bio_PUBKEY(in, NULL, NULL, NULL);
	BIO_free(in);
	bool good = k && EVP_PKEY_get_id(k) == EVP_PKEY_ED25519 &&
		    EVP_PKEY_get_raw_public_key(k, key, &len) == 1 && len == 32;
	EVP_PKEY_free(k);
	return good;
}
