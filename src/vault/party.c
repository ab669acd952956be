/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* party.c: finding calls by a number without any number in the index.
 *
 *   "+44 20 7946 0123" -> digits 442079460123 -> HMAC of  442079460123
 *                                                            079460123
 *                                                               460123
 *                                                                 0123
 *
 * The tails let a person give a number with or without its country's or town's prefix.  A user part that is
 * no number has one key, of its lower case.
 */
#include <ctype.h>
#include <string.h>

#include "vault/parts.h"

static const size_t tails[] = { 9, 6, 4 };
#define TAILS (sizeof tails / sizeof tails[0])

bool party_plain(const char *party, char plain[PARTY_TEXT])
{
	static const char separators[] = " -.()";
	size_t n = 0;
	bool digits = true;
	for (const char *p = party + (*party == '+'); *p && digits && n < PARTY_TEXT - 1; p++) {
		if (strchr(separators, *p))
			continue;
		digits = isdigit((unsigned char)*p) != 0;
		plain[n++] = *p;
	}
	plain[n] = '\0';
	if (digits && n)
		return true;
	for (n = 0; n < PARTY_TEXT - 1 && party[n]; n++)
		plain[n] = (char)tolower((unsigned char)party[n]);
	plain[n] = '\0';
	return false;
}

void party_key(const struct vault *v, const char *plain, size_t len, uint8_t key[PARTY_KEY])
{
	uint8_t mac[32];
	hmac_sha256(mac, v->keys.index_key, plain, len);
	memcpy(key, mac, PARTY_KEY);
}

unsigned party_keys(const struct vault *v, const char *party, uint8_t keys[4][PARTY_KEY])
{
	char plain[PARTY_TEXT];
	if (!*party)
		return 0;
	bool digits = party_plain(party, plain);
	size_t len = strlen(plain);
	unsigned n = 0;
	party_key(v, plain, len, keys[n++]);
	for (size_t i = 0; digits && i < TAILS; i++) {
		if (len > tails[i])
			party_key(v, plain + len - tails[i], tails[i], keys[n++]);
	}
	return n;
}

bool party_matches(const char *asked, const char *party)
{
	char a[PARTY_TEXT], p[PARTY_TEXT];
	if (!*asked || !*party)
		return false;
	bool a_digits = party_plain(asked, a), p_digits = party_plain(party, p);
	if (strcmp(a, p) == 0)
		return true;
	size_t a_len = strlen(a), p_len = strlen(p);
	if (!a_digits || !p_digits || a_len < tails[TAILS - 1])
		return false;
	size_t tail = a_len < tails[0] ? a_len : tails[0];
	return p_len >= tail && memcmp(a + a_len - tail, p + p_len - tail, tail) == 0;
}
