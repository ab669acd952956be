/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy_number.c: comparing numbers, domains and headers with a policy's patterns.
 *
 *   "+44 (20) 7946-0123"  ─┐
 *   "0044 20 7946 0123"   ─┴─► 442079460123      "doctor@ward"  ─► doctor@ward
 *
 * Any thread; allocates nothing.
 */
#include <ctype.h>
#include <string.h>

#include "store/store.h"

#define TAIL                                                                                       \
	9 /* digits that make two plain numbers the same line, as `callspan calls --party` has it */
#define TAIL_LEAST 6 /* a pattern of fewer stands for itself alone */

static bool is_separator(char c)
{
	return c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' || c == '/';
}

/* Behind a leading + or 00 (RFC 3966, 5.1.4; ITU-T E.123). */
static const char *without_prefix(const char *text)
{
	if (text[0] == '+')
		return text + 1;
	return text[0] == '0' && text[1] == '0' ? text + 2 : text;
}

/* Copy digits (and, in a pattern, wildcards) without separators.  False: something else is in it, or nothing. */
static bool copy_number(const char *text, const char *also, char *out, size_t size)
{
	size_t n = 0;
	for (const char *p = text; *p; p++) {
		if (is_separator(*p))
			continue;
		if ((!isdigit((unsigned char)*p) && !strchr(also, *p)) || n == size - 1)
			return false;
		out[n++] = *p;
	}
	out[n] = '\0';
	memmove(out, without_prefix(out), strlen(without_prefix(out)) + 1);
	return out[0] != '\0';
}

/* + is no digit; it may stand first, after separators, and nowhere else. */
static const char *after_plus(const char *text)
{
	while (is_separator(*text))
		text++;
	return *text == '+' ? text + 1 : text;
}

static bool copy_lower(const char *text, char *out, size_t size)
{
	size_t n = 0;
	while (n < size - 1 && text[n]) {
		out[n] = (char)tolower((unsigned char)text[n]);
		n++;
	}
	out[n] = '\0';
	return text[n] == '\0';
}

bool policy_number(const char *text, char out[POLICY_NUMBER])
{
	if (copy_number(after_plus(text), "", out, POLICY_NUMBER))
		return true;
	(void)copy_lower(text, out, POLICY_NUMBER);
	return false;
}

bool policy_pattern(const char *text, char out[POLICY_PATTERN])
{
	const char *number = after_plus(text);
	bool prefixed = number != text || without_prefix(number) != number;
	if (copy_number(number, "*?", out, POLICY_PATTERN))
		return !prefixed || strcmp(out, "*") != 0;
	return copy_lower(text, out, POLICY_PATTERN) && out[0] != '\0' && out[0] != '+';
}

/* The star that was met last takes one character more whenever what follows it does not match. */
bool policy_text_matches(const char *pattern, const char *text, size_t len)
{
	const char *star = NULL, *p = pattern;
	size_t i = 0, star_i = 0;
	while (i < len) {
		if (*p == '*') {
			star = p++;
			star_i = i;
		} else if (*p && (*p == '?' ||
				  tolower((unsigned char)*p) == tolower((unsigned char)text[i]))) {
			p++;
			i++;
		} else if (star) {
			p = star + 1;
			i = ++star_i;
		} else {
			return false;
		}
	}
	while (*p == '*')
		p++;
	return *p == '\0';
}

bool policy_number_matches(const char *pattern, const char *number)
{
	size_t a = strlen(pattern), b = strlen(number);
	if (policy_text_matches(pattern, number, b))
		return true;
	size_t tail = a < TAIL ? a : TAIL;
	return a >= TAIL_LEAST && b >= tail && strspn(pattern, "0123456789") == a &&
	       strspn(number, "0123456789") == b &&
	       memcmp(pattern + a - tail, number + b - tail, tail) == 0;
}
