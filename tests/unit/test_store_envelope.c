/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_envelope.c: keys as others read them, and envelopes that openssl(1) opens. */
#include "store_help.h"

#include <fcntl.h>
#include <time.h>

#define YEAR_US (INT64_C(366) * 86400 * 1000000)

static char dir[] = "/tmp/callspan-envelope-XXXXXX";
static int64_t now_us;
static struct error err;

static int make(void **state)
{
	(void)state;
	now_us = ((int64_t)time(NULL) + 86400) * 1000000; /* certificates are made later */
	return mkdtemp(dir) ? 0 : -1;
}

static int drop(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

PRINTF_LIKE(1, 2)
static int shell(const char *fmt, ...)
{
	char text[1024];
	int at = snprintf(text, sizeof text, "cd %s && exec 2>/dev/null >&2; ", dir);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text + at, sizeof text - (size_t)at, fmt, ap);
	va_end(ap);
	return system(text);
}

/* A certificate of this kind of key; its text is owned by the caller. */
static char *certificate(const char *name, const char *key, const char *usage)
{
	char path[128];
	size_t len;
	assert_int_equal(shell("openssl req -x509 -nodes -days 10 -subj /CN=x -newkey %s -addext "
			       "keyUsage=%s -keyout %s.key -out %s.pem",
			       key, usage, name, name),
			 0);
	snprintf(path, sizeof path, "%s/%s.pem", dir, name);
	char *text = (char *)read_file(path, &len);
	text = realloc(text, len + 1);
	assert_non_null(text);
	text[len] = '\0';
	return text;
}

static int file(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

/* ---- keys ---------------------------------------------------------------------------------------- */

/* RFC 8410, 10.1. */
static const char rfc_base64[] = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
static const uint8_t rfc_key[32] = { 0x19, 0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe,
				     0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96,
				     0xc8, 0x50, 0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb,
				     0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31, 0x66, 0xe1 };

static void key_is_spelled_as_the_rfc_does_and_read_again(void **state)
{
	(void)state;
	struct pem_key k;
	uint8_t key[32];
	pem_describe(&k, rfc_key);
	assert_string_equal(k.base64, rfc_base64);
	assert_true(pem_read_base64(k.base64, key));
	assert_memory_equal(key, rfc_key, 32);
	memset(key, 0, sizeof key);
	assert_true(pem_read_key(k.pem, key));
	assert_memory_equal(key, rfc_key, 32);
	int fd = file("rfc.pem");
	assert_int_equal(write(fd, k.pem, strlen(k.pem)), strlen(k.pem));
	close(fd);
	assert_int_equal(shell("test \"$(openssl pkey -pubin -in rfc.pem | sha256sum | "
			       "cut -c1-64)\" = %s",
			       k.fingerprint),
			 0);
}

static void key_of_another_kind_is_none(void **state)
{
	(void)state;
	uint8_t key[32];
	size_t len;
	char path[128];
	assert_int_equal(
		shell("openssl genpkey -algorithm X25519 | openssl pkey -pubout -out x.pem"), 0);
	snprintf(path, sizeof path, "%s/x.pem", dir);
	char *text = (char *)read_file(path, &len);
	text = realloc(text, len + 1);
	assert_non_null(text);
	text[len] = '\0';
	assert_false(pem_read_key(text, key));
	free(text);
	assert_false(pem_read_key("", key));
	assert_false(pem_read_key("-----BEGIN PUBLIC KEY-----\n", key));
}

/* What can be spelled in two ways could be altered unseen. */
static void base64_has_one_spelling(void **state)
{
	(void)state;
	uint8_t key[32];
	char text[sizeof rfc_base64 + 2];
	for (size_t i = 0; i < strlen(rfc_base64); i++) {
		for (int bit = 0; bit < 8; bit++) {
			memcpy(text, rfc_base64, sizeof rfc_base64);
			text[i] ^= (char)(1 << bit);
			bool same = pem_read_base64(text, key) && memcmp(key, rfc_key, 32) == 0;
			assert_false(same);
		}
	}
	snprintf(text, sizeof text, " %s", rfc_base64);
	assert_false(pem_read_base64(text, key));
	snprintf(text, sizeof text, "%s\n", rfc_base64);
	assert_false(pem_read_base64(text, key));
}

/* ---- envelopes ------------------------------------------------------------------------------------ */

static void seal_and_open(const char *name, const char *key, const char *usage)
{
	enum { LEN = 3000000 };
	char *text = certificate(name, key, usage), fingerprint[65];
	uint8_t *plain = malloc(LEN);
	assert_non_null(plain);
	for (size_t i = 0; i < LEN; i++)
		plain[i] = (uint8_t)(i * 2654435761u >> 13);
	int from = file("plain"), to = file("sealed");
	assert_int_equal(write(from, plain, LEN), LEN);
	if (envelope_check(text, now_us, fingerprint, &err) != RC_OK)
		fail_msg("%s: %s", name, err.text);
	assert_int_equal(shell("test \"$(openssl x509 -in %s.pem -outform DER | sha256sum | cut "
			       "-c1-64)\" = %s",
			       name, fingerprint),
			 0);
	if (envelope_seal(text, from, to, &err) != RC_OK)
		fail_msg("%s: %s", name, err.text);
	close(from);
	close(to);
	assert_int_equal(shell("openssl cms -decrypt -inform DER -in sealed -recip %s.pem -inkey "
			       "%s.key -out opened && cmp plain opened",
			       name, name),
			 0);
	/* One altered byte, and it does not open. */
	assert_int_equal(
		shell("printf '\\377\\376' | dd of=sealed bs=1 seek=1500000 conv=notrunc && ! "
		      "openssl cms -decrypt -inform DER -in sealed -recip %s.pem -inkey "
		      "%s.key -out opened",
		      name, name),
		0);
	/* Another key opens nothing. */
	free(certificate("other", key, usage));
	assert_int_not_equal(shell("openssl cms -decrypt -inform DER -in sealed -inkey other.key "
				   "-recip other.pem -out opened"),
			     0);
	free(plain);
	free(text);
}

static void envelope_opens_with_the_recipients_key_alone(void **state)
{
	(void)state;
	seal_and_open("rsa", "rsa:2048", "keyEncipherment");
	seal_and_open("p256", "ec -pkeyopt ec_paramgen_curve:P-256", "keyAgreement");
	seal_and_open("p384", "ec -pkeyopt ec_paramgen_curve:P-384", "keyAgreement");
}

static void full_disk_is_told(void **state)
{
	(void)state;
	char *text = certificate("rsa", "rsa:2048", "keyEncipherment");
	int from = file("plain"), full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(from, text, strlen(text)), strlen(text));
	assert_int_equal(envelope_seal(text, from, full, &err), RC_FAILED);
	close(from);
	close(full);
	free(text);
}

static void expect_refusal(const char *text, int64_t when_us, const char *says)
{
	char fingerprint[65];
	assert_int_equal(envelope_check(text, when_us, fingerprint, &err), RC_USAGE);
	if (!strstr(err.text, says) || strchr(err.text, '\n'))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void certificate_that_cannot_be_sealed_to_is_one_line(void **state)
{
	(void)state;
	char *good = certificate("good", "rsa:2048", "keyEncipherment");
	char *both = malloc(strlen(good) + 100), cut[200];
	assert_non_null(both);
	expect_refusal("", now_us, "not a certificate");
	expect_refusal("Dear sender,\n", now_us, "not a certificate");
	snprintf(cut, sizeof cut, "%s", good);
	expect_refusal(cut, now_us, "not a certificate");
	expect_refusal(good, now_us + YEAR_US, "expired on 2");
	expect_refusal(good, now_us - YEAR_US, "not valid before 2");
	sprintf(both, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n%s", good);
	expect_refusal(both, now_us, "private key");
	sprintf(both, "%.27s\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,%032d\n%s", good, 1,
		good + 27);
	expect_refusal(both, now_us, "not a certificate");
	free(both);
	free(good);

	static const struct {
		const char *key, *usage, *says;
	} bad[] = {
		{ "rsa:2048", "digitalSignature", "keyEncipherment" },
		{ "rsa:1024", "keyEncipherment", "too short (1024 bits)" },
		{ "ec -pkeyopt ec_paramgen_curve:P-256", "keyEncipherment", "keyAgreement" },
		{ "ed25519", "digitalSignature", "RSA or EC" },
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char *text = certificate("bad", bad[i].key, bad[i].usage);
		expect_refusal(text, now_us, bad[i].says);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_is_spelled_as_the_rfc_does_and_read_again),
		cmocka_unit_test(key_of_another_kind_is_none),
		cmocka_unit_test(base64_has_one_spelling),
		cmocka_unit_test(envelope_opens_with_the_recipients_key_alone),
		cmocka_unit_test(full_disk_is_told),
		cmocka_unit_test(certificate_that_cannot_be_sealed_to_is_one_line),
	};
	return cmocka_run_group_tests(tests, make, drop);
}
