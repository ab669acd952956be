/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pem.c: public keys as others' tools read and write them.
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

_Static_assert(BASE64_TEXT(DER) == PEM_BASE64, "a key in one line");

void pem_describe(struct pem_key *out, const uint8_t key[32])
{
	uint8_t hash[32];
	sign_public_pem(key, out->pem);
	const char *line = strchr(out->pem, '\n') + 1;
	snprintf(out->base64, sizeof out->base64, "%.*s", PEM_BASE64 - 1, line);
	digest_sha256(hash, out->pem, strlen(out->pem));
	for (size_t i = 0; i < sizeof hash; i++)
		snprintf(out->fingerprint + 2 * i, 3, "%02x", hash[i]);
}

/* Only what we would write ourselves. */
bool pem_read_base64(const char *text, uint8_t key[32])
{
	uint8_t der[DER];
	struct pem_key again;
	if (!base64_decode(der, DER, text))
		return false;
	memcpy(key, der + HEAD, 32);
	pem_describe(&again, key);
	return strcmp(again.base64, text) == 0;
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
