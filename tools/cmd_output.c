/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd_output.c: what people and programs read on standard output.
 *
 * Nothing that came from a call reaches a terminal before it is cleaned: a display name may hold
 * escape sequences, or turn the direction of writing.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd.h"

#define LABEL 18

/* ---- text --------------------------------------------------------------------------------------- */

/* Length of a valid UTF-8 sequence (RFC 3629, 4) and its code point; 0: not one. */
static size_t utf8(const unsigned char *p, uint32_t *point)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 },
		      { 0xe0, 0xc0, 0x80 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };
	for (size_t n = 0; n < 4; n++) {
		if ((p[0] & forms[n].mask) != forms[n].lead)
			continue;
		*point = p[0] & (unsigned char)~forms[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			*point = *point << 6 | (p[i] & 0x3fu);
		}
		bool surrogate = *point >= 0xd800 && *point < 0xe000;
		return *point >= forms[n].least && *point < 0x110000 && !surrogate ? n + 1 : 0;
	}
	return 0;
}

/* Controls (C0, DEL, C1), line and paragraph separators, and what changes the direction of writing. */
static bool harmful(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
	       (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
	       point == 0x200e || point == 0x200f || point == 0x061c || point == 0xfeff;
}

char *cmd_clean(const char *text)
{
	char *out = malloc(strlen(text) + 1), *q = out;
	ASSERT(out);
	for (const unsigned char *p = (const unsigned char *)text; *p;) {
		uint32_t point;
		size_t n = utf8(p, &point);
		if (n == 0 || harmful(point)) {
			*q++ = '?';
			p += n ? n : 1;
			continue;
		}
		memcpy(q, p, n);
		q += n;
		p += n;
	}
	*q = '\0';
	return out;
}

const char *cmd_text(const json_t *object, const char *member)
{
	const char *s = json_string_value(json_object_get(object, member));
	return s ? s : "";
}

json_int_t cmd_number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

const char *cmd_local_time(const json_t *object, const char *member, char buf[40])
{
	int64_t ts_ns;
	const char *text = cmd_text(object, member);
	_Static_assert(CLOCK_TEXT <= 40, "buf holds a time");
	buf[0] = '\0';
	if (!*text || !clock_parse(text, &ts_ns))
		return buf;
	return clock_local(ts_ns, buf);
}

const char *cmd_minutes(double seconds, char buf[24])
{
	long long s = seconds > 0 ? llround(seconds) : 0;
	if (s >= 3600)
		snprintf(buf, 24, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(buf, 24, "%lld:%02lld", s / 60, s % 60);
	return buf;
}

const char *cmd_bytes(json_int_t bytes, char buf[24])
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes;
	size_t u = 0;
	for (; n >= 1024 && u < 5; u++)
		n /= 1024;
	snprintf(buf, 24, u ? "%.1f %s" : "%.0f %s", n, units[u]);
	return buf;
}

/* Ids begin with the time, as does the order of lists. */
int cmd_id_length(const json_t *calls)
{
	static const int lengths[] = { 18, 23, 36 }; /* whole groups of digits */
	size_t at = 0;
	for (size_t i = 1; i < json_array_size(calls); i++) {
		const char *a = cmd_text(json_array_get(calls, i - 1), "id");
		const char *b = cmd_text(json_array_get(calls, i), "id");
		while (at < 2 && strncmp(a, b, (size_t)lengths[at]) == 0)
			at++;
	}
	return lengths[at];
}

bool cmd_colours(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	return isatty(STDOUT_FILENO) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

/* ---- objects -------------------------------------------------------------------------------------- */

bool cmd_print_json(void *ctx, const json_t *object)
{
	(void)ctx;
	if (json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0)
		return false;
	return fputc('\n', stdout) != EOF && !ferror(stdout);
}

void cmd_print_line(const char *label, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	char *clean = cmd_clean(text);
	bool colours = cmd_colours();
	printf("%s%-*s%s %s\n", colours ? "\033[1m" : "", LABEL, label, colours ? "\033[0m" : "",
	       clean);
	free(clean);
}

static bool ends_with(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);
	return a >= b && strcmp(text + a - b, end) == 0;
}

static void print_member(const char *label, const char *name, const json_t *value)
{
	char buf[40];
	int64_t ts_ns;
	const char *text = json_string_value(value);
	if (text && strlen(text) > 19 && text[10] == 'T' && clock_parse(text, &ts_ns))
		cmd_print_line(label, "%s", clock_local(ts_ns, buf));
	else if (text)
		cmd_print_line(label, "%s", text);
	else if (json_is_boolean(value))
		cmd_print_line(label, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_integer(value) && (ends_with(name, "bytes") || ends_with(name, "_size")))
		cmd_print_line(label, "%s", cmd_bytes(json_integer_value(value), buf));
	else if (json_is_integer(value))
		cmd_print_line(label, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		cmd_print_line(label, "%.6g", json_real_value(value));
	else
		cmd_print_line(label, "-");
}

static void print_object(const char *above, const json_t *object)
{
	const char *name;
	json_t *value;
	/* jansson's iterator wants to be able to change what it walks over */
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		char label[80];
		snprintf(label, sizeof label, "%s%s%s", above, *above ? " " : "", name);
		for (char *p = label; *p; p++)
			*p = *p == '_' ? ' ' : *p;
		if (json_is_object(value))
			print_object(label, value);
		else
			print_member(label, name, value);
	}
}

void cmd_print_card(const json_t *object)
{
	print_object("", object);
}

/* ---- the end ---------------------------------------------------------------------------------------- */

static bool nobody_reads(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };
	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

enum rc cmd_finish_output(struct error *err)
{
	errno = 0;
	bool failed = fflush(stdout) != 0 || ferror(stdout);
	int why = errno;
	if (nobody_reads())
		return RC_END;
	if (!failed)
		return RC_OK;
	return why ? error_errno(err, RC_FAILED, why, "standard output")
		   : error_set(err, RC_FAILED, "standard output could not be written");
}
