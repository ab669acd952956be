/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* clean.c: see clean.h.  Signalling thread; allocates nothing, keeps nothing. */
#include "sip/clean.h"

#define CLEAN_MOST 512 /* longer names and user parts are cut before they are decoded */

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Bytes of the well-formed UTF-8 character at p (Unicode, table 3-7), or 0. */
static size_t character(const uint8_t *p, size_t left)
{
	static const struct {
		uint8_t first_low, first_high, second_low, second_high;
		uint8_t length;
	} forms[] = {
		{ 0x00, 0x7f, 0x00, 0x00, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		if (p[0] < forms[i].first_low || p[0] > forms[i].first_high)
			continue;
		size_t n = forms[i].length;
		if (left < n)
			return 0;
		if (n > 1 && (p[1] < forms[i].second_low || p[1] > forms[i].second_high))
			return 0;
		for (size_t k = 2; k < n; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return n;
	}
	return 0;
}

/* C0, DEL and C1 control characters. */
static bool is_control(const uint8_t *p, size_t n)
{
	return (n == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

void clean_text(char *dst, size_t size, struct span s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t out = 0, i = 0;

	/* Nearly all text is printable ASCII from its first byte to its last. */
	for (; i < s.len && out + 1 < size && p[i] >= 0x20 && p[i] < 0x7f; i++)
		dst[out++] = s.p[i];
	while (i < s.len) {
		size_t n = character(p + i, s.len - i);
		bool bad = n == 0 || is_control(p + i, n);
		const void *from = bad ? (const void *)replacement : p + i;
		size_t len = bad ? sizeof replacement - 1 : n;
		if (out + len >= size)
			break;
		memcpy(dst + out, from, len);
		out += len;
		i += n ? n : 1;
	}
	dst[out] = '\0';
}

void clean_name(char *dst, size_t size, struct span s)
{
	char plain[CLEAN_MOST];
	size_t n = 0;
	s = span_trim(s);
	if (s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"') {
		s.p++;
		s.len -= 2;
	}
	for (size_t i = 0; i < s.len && n < sizeof plain; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len)
			i++;
		plain[n++] = s.p[i];
	}
	clean_text(dst, size, span_trim(span_of(plain, n)));
}

void clean_user(char *dst, size_t size, struct span s)
{
	clean_text(dst, size, span_until(&s, ';'));
}

/* RFC 3966, 5.1.1; blanks are written there too, though they should not be. */
static bool is_separator(char c)
{
	return c == '-' || c == '.' || c == '(' || c == ')' || c == ' ';
}

void clean_number(char *dst, size_t size, struct span s)
{
	char plain[CLEAN_MOST];
	size_t n = 0;
	s = span_until(&s, ';');
	for (size_t i = 0; i < s.len && n < sizeof plain; i++)
		if (!is_separator(s.p[i]))
			plain[n++] = s.p[i];
	clean_text(dst, size, span_of(plain, n));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct span clean_unescape(char *room, size_t size, struct span s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.len && n < size; i++) {
		int high = -1, low = -1;
		if (s.p[i] == '%' && i + 2 < s.len) {
			high = hex_digit(s.p[i + 1]);
			low = hex_digit(s.p[i + 2]);
		}
		room[n++] = s.p[i];
		if (high < 0 || low < 0)
			continue;
		room[n - 1] = (char)(high << 4 | low);
		i += 2;
	}
	return span_of(room, n);
}

void clean_uri_user(char *dst, size_t size, struct span uri)
{
	char plain[CLEAN_MOST];
	struct span rest = uri;
	(void)span_until(&rest, '<');
	if (rest.len > 0)
		uri = span_until(&rest, '>');
	struct span scheme = span_trim(span_until(&uri, ':'));
	dst[0] = '\0';
	if (span_is(scheme, "tel")) {
		clean_number(dst, size, uri);
		return;
	}
	bool sip = span_is(scheme, "sip") || span_is(scheme, "sips");
	if (!sip || uri.len == 0 || !memchr(uri.p, '@', uri.len))
		return;
	struct span user = span_until(&uri, '@');
	user = span_until(&user, ':'); /* a password follows */
	clean_user(dst, size, clean_unescape(plain, sizeof plain, user));
}

#define SAME_DIGITS 9

void clean_same(char dst[CLEAN_SAME], const char *user)
{
	char digits[CLEAN_SAME];
	size_t n = 0, len = strlen(user);
	/* What has to be cut is none: its beginning may look like one. */
	bool number = len < CLEAN_SAME - 1;
	for (size_t i = 0; i < len && number; i++) {
		if (user[i] >= '0' && user[i] <= '9')
			digits[n++] = user[i];
		else
			number = is_separator(user[i]) || (user[i] == '+' && n == 0);
	}
	const char *from = user;
	if (number && n > 0) {
		from = n > SAME_DIGITS ? digits + n - SAME_DIGITS : digits;
		len = n > SAME_DIGITS ? SAME_DIGITS : n;
	}
	n = 0;
	for (size_t i = 0; i < len && n + 1 < CLEAN_SAME; i++)
		dst[n++] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] | 0x20) : from[i];
	dst[n] = '\0';
}
