/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sealer.c: AES-256-GCM with a context that is kept, by OpenSSL or, where it is built in and agrees with OpenSSL, by
 * ipsec-mb, which takes a third of the time for a chunk (docs/performance.md).
 *
 * What a library refuses here is the impossible: it is ASSERTed, as in seal.c.
 */
#include <openssl/evp.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#ifdef WITH_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

#include "base/log.h"
#include "store/seal.h"

#define GCM_TAG 16

struct sealer {
	EVP_CIPHER_CTX *ctx; /* owned */
	EVP_CIPHER *cipher;  /* owned: fetched once, a fetch costs as much as sealing */
#ifdef WITH_IPSEC_MB
	IMB_MGR *mgr;                        /* owned; NULL: OpenSSL seals */
	alignas(64) struct gcm_key_data key; /* whatever its type says, the library loads it so */
	alignas(64) struct gcm_context_data gcm;
#endif
};

/* ---- by OpenSSL ---------------------------------------------------------------------------------------- */

static void seal_openssl(struct sealer *s, uint8_t *out, const struct seal_piece *in, size_t n,
			 const uint8_t key[32], const uint8_t nonce[12], const void *aad,
			 size_t aad_len)
{
	int done;

	ASSERT(EVP_EncryptInit_ex2(s->ctx, s->cipher, key, nonce, NULL) == 1);
	ASSERT(EVP_EncryptUpdate(s->ctx, NULL, &done, aad, (int)aad_len) == 1);
	for (size_t i = 0; i < n; i++) {
		ASSERT(in[i].len < INT32_MAX);
		ASSERT(EVP_EncryptUpdate(s->ctx, out, &done, in[i].bytes, (int)in[i].len) == 1);
		out += done;
	}
	ASSERT(EVP_EncryptFinal_ex(s->ctx, out, &done) == 1);
	ASSERT(EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, out) == 1);
}

/* ---- by ipsec-mb --------------------------------------------------------------------------------------- */

#ifdef WITH_IPSEC_MB
static void seal_ipsec_mb(struct sealer *s, uint8_t *out, const struct seal_piece *in, size_t n,
			  const uint8_t key[32], const uint8_t nonce[12], const void *aad,
			  size_t aad_len)
{
	IMB_MGR *m = s->mgr;

	IMB_AES256_GCM_PRE(m, key, &s->key);
	IMB_AES256_GCM_INIT(m, &s->key, &s->gcm, nonce, aad, aad_len);
	for (size_t i = 0; i < n; i++) {
		if (in[i].len)
			IMB_AES256_GCM_ENC_UPDATE(m, &s->key, &s->gcm, out, in[i].bytes, in[i].len);
		out += in[i].len;
	}
	IMB_AES256_GCM_ENC_FINALIZE(m, &s->key, &s->gcm, out, GCM_TAG);
	ASSERT(imb_get_errno(m) == 0);
}

/* Lengths about those at which its code changes ways: blocks of 16, of 128, of 256 and 768 bytes, and a whole chunk. */
static bool agrees(struct sealer *s)
{
	static const size_t lengths[] = { 0,   1,   15,  16,  17,  127,  128,  129,  255,  256,
					  257, 511, 767, 768, 769, 1023, 1024, 4096, 8191, 9256 };
	enum { MOST = 9256, HEAD = 40 };
	uint8_t key[32], nonce[12], aad[28];
	uint8_t *text = malloc(MOST), *wanted = malloc(MOST + GCM_TAG),
		*got = malloc(MOST + GCM_TAG);
	bool same = text && wanted && got;

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0] && same; i++) {
		size_t len = lengths[i], head = len < HEAD ? len : HEAD;
		const struct seal_piece pieces[] = { { text, head }, { text + head, len - head } };
		random_bytes(key, sizeof key);
		random_bytes(nonce, sizeof nonce);
		random_bytes(aad, sizeof aad);
		random_bytes(text, MOST);
		seal_openssl(s, wanted, pieces, 2, key, nonce, aad, sizeof aad);
		seal_ipsec_mb(s, got, pieces, 2, key, nonce, aad, sizeof aad);
		same = memcmp(wanted, got, len + GCM_TAG) == 0;
	}
	free(text);
	free(wanted);
	free(got);
	return same;
}

static void use_ipsec_mb(struct sealer *s)
{
	IMB_ARCH arch = IMB_ARCH_NONE;

	s->mgr = alloc_mb_mgr(0);
	if (!s->mgr)
		return;
	init_mb_mgr_auto(s->mgr, &arch);
	/* Without the processor's AES instructions it is the slower one. */
	if (imb_get_errno(s->mgr) == 0 && arch != IMB_ARCH_NONE && arch != IMB_ARCH_NOAESNI) {
		if (agrees(s))
			return;
		log_error("ipsec-mb-differs", "hint=\"OpenSSL seals instead\"");
	}
	free_mb_mgr(s->mgr);
	s->mgr = NULL;
}
#endif

/* ---- either -------------------------------------------------------------------------------------------- */

struct sealer *sealer_new(void)
{
	/* calloc() aligns to 16 bytes only. */
	struct sealer *s = aligned_alloc(alignof(struct sealer), sizeof *s);

	if (!s)
		return NULL;
	memset(s, 0, sizeof *s);
	s->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	s->ctx = EVP_CIPHER_CTX_new();
	if (!s->cipher || !s->ctx) {
		sealer_free(s);
		return NULL;
	}
	return s;
}

struct sealer *sealer_new_fast(void)
{
	struct sealer *s = sealer_new();
#ifdef WITH_IPSEC_MB
	if (s)
		use_ipsec_mb(s);
#endif
	return s;
}

const char *sealer_library(const struct sealer *s)
{
#ifdef WITH_IPSEC_MB
	if (s->mgr)
		return "ipsec-mb";
#endif
	(void)s;
	return "OpenSSL";
}

void sealer_free(struct sealer *s)
{
	if (!s)
		return;
	EVP_CIPHER_CTX_free(s->ctx); /* wipes the key schedule */
	EVP_CIPHER_free(s->cipher);
#ifdef WITH_IPSEC_MB
	if (s->mgr)
		free_mb_mgr(s->mgr);
#endif
	forget_bytes(s, sizeof *s);
	free(s);
}

void sealer_seal(struct sealer *s, uint8_t *out, const struct seal_piece *in, size_t n,
		 const uint8_t key[32], const uint8_t nonce[12], const void *aad, size_t aad_len)
{
#ifdef WITH_IPSEC_MB
	if (s->mgr) {
		seal_ipsec_mb(s, out, in, n, key, nonce, aad, aad_len);
		return;
	}
#endif
	seal_openssl(s, out, in, n, key, nonce, aad, aad_len);
}
