/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sdes.c: see sdes.h.  Signalling thread; allocates nothing. */
#include "sip/sdes.h"

#include "sip/clean.h"

#define KEY_LEAST 16 /* bytes of master key and salt that any suite may have */

/* How long master key and salt are together.  Suites that stand in no row may have any length: replay will say that it
 * cannot use them. */
static const struct {
	const char *suite;
	uint8_t key_len;
} suites[] = {
	{ "AES_CM_128_HMAC_SHA1_80", 30 }, /* RFC 4568, 6.2 */
	{ "AES_CM_128_HMAC_SHA1_32", 30 }, { "F8_128_HMAC_SHA1_80", 30 },
	{ "AES_192_CM_HMAC_SHA1_80", 38 }, /* RFC 6188, 2 */
	{ "AES_192_CM_HMAC_SHA1_32", 38 }, { "AES_256_CM_HMAC_SHA1_80", 46 },
	{ "AES_256_CM_HMAC_SHA1_32", 46 }, { "AEAD_AES_128_GCM", 28 }, /* RFC 7714, 12 */
	{ "AEAD_AES_256_GCM", 44 },
};

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes decoded, 0 when it is no base64 or too long.  Padding may be missing. */
static uint8_t decode(uint8_t out[SDES_KEY], struct span text)
{
	uint32_t bits = 0;
	unsigned have = 0;
	uint8_t n = 0;
	while (text.len > 0 && text.p[text.len - 1] == '=')
		text.len--;
	for (size_t i = 0; i < text.len; i++) {
		int v = base64_value(text.p[i]);
		if (v < 0)
			return 0;
		bits = (bits << 6 | (uint32_t)v) & 0xffffff;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == SDES_KEY)
			return 0;
		out[n++] = (uint8_t)(bits >> have);
	}
	return n;
}

static bool fits(const struct sdes_key *k)
{
	for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
		if (strcmp(suites[i].suite, k->suite) == 0)
			return k->key_len == suites[i].key_len;
	return k->key_len >= KEY_LEAST;
}

/* "WVNfX19z...|2^20|1:4": of the two optional parts, the one with a colon is the MKI and its length. */
static bool read_key(struct sdes_key *k, struct span value)
{
	if (!span_begins(value, "inline:"))
		return false;
	(void)span_until(&value, ':');
	k->key_len = decode(k->key, span_trim(span_until(&value, '|')));
	k->mki_len = 0;
	while (value.len > 0) {
		struct span length = span_until(&value, '|');
		uint32_t n;
		(void)span_until(&length, ':');
		if (span_number(&length, 128, &n))
			k->mki_len = (uint8_t)n;
	}
	return fits(k);
}

bool sdes_read(struct sdes_offers *to, struct span value)
{
	struct sdes_offer o;
	bool added = false;
	memset(&o, 0, sizeof o);
	if (!span_number(&value, 999999999, &o.tag))
		return false;
	clean_text(o.key.suite, sizeof o.key.suite, span_word(&value));
	struct span keys = span_word(&value);
	clean_text(o.key.params, sizeof o.key.params, span_trim(value));
	while (keys.len > 0) {
		if (!read_key(&o.key, span_until(&keys, ';')) || to->count == SDES_OFFERED)
			continue;
		to->offer[to->count++] = o;
		added = true;
	}
	explicit_bzero(&o, sizeof o);
	return added;
}

static bool same_key(const struct sdes_key *a, enum track party, const struct sdes_key *b)
{
	return a->party == party && a->key_len == b->key_len &&
	       memcmp(a->key, b->key, b->key_len) == 0 && strcmp(a->suite, b->suite) == 0;
}

enum sdes_noted sdes_note(struct sdes_keys *to, enum track party, uint8_t leg,
			  const struct sdes_key *key, int64_t from_us)
{
	for (unsigned i = 0; i < to->count; i++)
		if (same_key(&to->key[i], party, key))
			return SDES_KNOWN;
	if (to->count == SDES_MAX)
		return SDES_TOO_MANY;
	struct sdes_key *k = &to->key[to->count];
	*k = *key;
	k->party = (uint8_t)party;
	k->from_us = from_us;
	to->leg[to->count++] = leg;
	return SDES_NOTED;
}

void sdes_drop(struct sdes_keys *from, unsigned i)
{
	ASSERT(i < from->count);
	unsigned behind = from->count - i - 1;
	memmove(&from->key[i], &from->key[i + 1], behind * sizeof *from->key);
	memmove(&from->leg[i], &from->leg[i + 1], behind);
	from->count--;
	explicit_bzero(&from->key[from->count], sizeof *from->key);
}
