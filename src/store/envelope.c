/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* envelope.c: a file for the holder of one certificate: CMS (RFC 5652), by OpenSSL.
 *
 *   AuthEnvelopedData (RFC 5083): content under AES-256-GCM with a key of its own, that key
 *     by RSA-OAEP with SHA-256 (RFC 8017), or agreed by ECDH with SHA-256 (RFC 5753)
 *
 * Who a certificate belongs to is not for us to say: its fingerprint is on record, and a person compares it.  Any thread;
 * keeps nothing.
 */
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"

#define SECURITY_BITS 112 /* RSA of 2048 bits */
#define FLAGS         (CMS_STREAM | CMS_BINARY | CMS_PARTIAL)

/* Nobody is asked for the password of a certificate that has one. */
static int no_password(char *buf, int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

static X509 *read_certificate(const char *text)
{
	size_t len = strlen(text);
	BIO *in = len < INT_MAX ? BIO_new_mem_buf(text, (int)len) : NULL;
	X509 *x = in ? PEM_read_bio_X509(in, NULL, no_password, NULL) : NULL;
	BIO_free(in);
	ERR_clear_error();
	return x;
}

/* ---- is it one to seal to? --------------------------------------------------------------------- */

static enum rc check_day(const ASN1_TIME *limit, bool begins, int64_t now_us, struct error *err)
{
	char day[32] = "a day that cannot be read";
	struct tm tm;
	time_t now = (time_t)(now_us / 1000000);
	int order = X509_cmp_time(limit, &now); /* 0: it is no time */
	if (order != 0 && (order < 0) == begins)
		return RC_OK;
	if (ASN1_TIME_to_tm(limit, &tm) == 1)
		(void)strftime(day, sizeof day, "%Y-%m-%d", &tm);
	return error_set(err, RC_USAGE, "recipient: the certificate %s %s",
			 begins ? "is not valid before" : "expired on", day);
}

static enum rc check_key(X509 *x, struct error *err)
{
	const EVP_PKEY *key = X509_get0_pubkey(x);
	int kind = key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;
	bool rsa = kind == EVP_PKEY_RSA;
	if (!rsa && kind != EVP_PKEY_EC)
		return error_set(
			err, RC_USAGE,
			"recipient: nothing can be encrypted to the certificate's key: one "
			"of RSA or EC is wanted");
	if (EVP_PKEY_get_security_bits(key) < SECURITY_BITS)
		return error_set(err, RC_USAGE,
				 "recipient: the certificate's key is too short (%d bits)",
				 EVP_PKEY_get_bits(key));
	if (!(X509_get_key_usage(x) & (rsa ? KU_KEY_ENCIPHERMENT : KU_KEY_AGREEMENT)))
		return error_set(err, RC_USAGE,
				 "recipient: the certificate is not for encryption (its key usage "
				 "lacks %s)",
				 rsa ? "keyEncipherment" : "keyAgreement");
	return RC_OK;
}

static void fingerprint_of(const X509 *x, char fingerprint[65])
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	ASSERT(X509_digest(x, EVP_sha256(), hash, &len) == 1 && len == 32);
	for (unsigned i = 0; i < len; i++)
		snprintf(fingerprint + (size_t)2 * i, 3, "%02x", hash[i]);
}

enum rc envelope_check(const char *certificate, int64_t now_us, char fingerprint[65],
		       struct error *err)
{
	if (strstr(certificate, "PRIVATE KEY-----"))
		return error_set(err, RC_USAGE,
				 "recipient: a private key stands beside the certificate: give the "
				 "certificate alone");
	X509 *x = read_certificate(certificate);
	if (!x)
		return error_set(
			err, RC_USAGE,
			"recipient: not a certificate in PEM (-----BEGIN CERTIFICATE-----)");
	enum rc rc = check_day(X509_get0_notBefore(x), true, now_us, err);
	if (rc == RC_OK)
		rc = check_day(X509_get0_notAfter(x), false, now_us, err);
	if (rc == RC_OK)
		rc = check_key(x, err);
	if (rc == RC_OK)
		fingerprint_of(x, fingerprint);
	X509_free(x);
	return rc;
}

/* ---- sealing -------------------------------------------------------------------------------------- */

/* OpenSSL's own choices are those of 1999. */
static bool choose_ways(CMS_RecipientInfo *to)
{
	EVP_PKEY_CTX *ctx = CMS_RecipientInfo_get0_pkey_ctx(to);
	if (!ctx)
		return false;
	if (CMS_RecipientInfo_type(to) == CMS_RECIPINFO_AGREE)
		return EVP_PKEY_CTX_set_ecdh_kdf_md(ctx, EVP_sha256()) == 1;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1;
}

static bool seal(X509 *x, BIO *in, BIO *out)
{
	CMS_ContentInfo *c = CMS_encrypt(NULL, NULL, EVP_aes_256_gcm(), FLAGS);
	CMS_RecipientInfo *to = c ? CMS_add1_recipient_cert(c, x, CMS_KEY_PARAM) : NULL;
	bool ok = to && choose_ways(to) && i2d_CMS_bio_stream(out, c, in, FLAGS) == 1 &&
		  BIO_flush(out) == 1;
	CMS_ContentInfo_free(c);
	return ok;
}

enum rc envelope_seal(const char *certificate, int from, int to, struct error *err)
{
	char why[160] = "";
	X509 *x = read_certificate(certificate);
	BIO *in = BIO_new_fd(from, BIO_NOCLOSE), *out = BIO_new_fd(to, BIO_NOCLOSE);
	bool ok = x && in && out && lseek(from, 0, SEEK_SET) == 0 && seal(x, in, out);
	if (!ok)
		ERR_error_string_n(ERR_peek_last_error(), why, sizeof why);
	ERR_clear_error();
	BIO_free(in);
	BIO_free(out);
	X509_free(x);
	return ok ? RC_OK : error_set(err, RC_FAILED, "cannot be sealed to the recipient: %s", why);
}
