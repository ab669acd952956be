/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* clock.c: the machine's clocks, and times as text.  Any thread.
 *
 * Never used by recording logic, which takes its time from packets.
 */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/net.h"

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	ASSERT(clock_gettime(id, &t) == 0);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_mono_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_real_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

void clock_sleep_us(unsigned us)
{
	struct timespec t = { us / 1000000, (long)(us % 1000000) * 1000 };

	(void)nanosleep(&t, NULL); /* a signal may cut it short: the caller looks around */
}

/* Whole seconds, rounded down, so that times before 1970 come out right too. */
static time_t whole_seconds(int64_t ts_ns, int64_t *rest_ns)
{
	*rest_ns = ts_ns % NS_PER_S;
	if (*rest_ns >= 0)
		return (time_t)(ts_ns / NS_PER_S);
	*rest_ns += NS_PER_S;
	return (time_t)(ts_ns / NS_PER_S - 1);
}

const char *clock_rfc3339(int64_t ts_ns, char buf[CLOCK_TEXT])
{
	int64_t rest_ns;
	time_t s = whole_seconds(ts_ns, &rest_ns);
	struct tm tm;

	ASSERT(gmtime_r(&s, &tm));
	size_t n = strftime(buf, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf + n, CLOCK_TEXT - n, ".%06uZ", (unsigned)(rest_ns / NS_PER_US));
	return buf;
}

const char *clock_local(int64_t ts_ns, char buf[CLOCK_TEXT])
{
	int64_t rest_ns;
	time_t s = whole_seconds(ts_ns, &rest_ns);
	struct tm tm;

	ASSERT(localtime_r(&s, &tm));
	(void)strftime(buf, CLOCK_TEXT, "%Y-%m-%d %H:%M:%S", &tm);
	return buf;
}

/* Exactly `digits` digits, not more than `most`; moves on. */
static bool take_number(const char **text, int digits, int most, int *value)
{
	int v = 0;

	for (int i = 0; i < digits; i++) {
		char c = (*text)[i];
		if (c < '0' || c > '9')
			return false;
		v = v * 10 + (c - '0');
	}
	*text += digits;
	*value = v;
	return v <= most;
}

static bool take_char(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

/* Any digits after a point, to the nanosecond; what follows is cut off. */
static bool take_fraction(const char **text, int64_t *ns)
{
	int64_t unit = NS_PER_S / 10;

	*ns = 0;
	if (**text < '0' || **text > '9')
		return false;
	for (; **text >= '0' && **text <= '9'; (*text)++, unit /= 10)
		*ns += (**text - '0') * unit;
	return true;
}

/* "Z" or "+hh:mm" (RFC 3339, 5.6), as seconds to subtract. */
static bool take_zone(const char **text, int *offset_s)
{
	int hours, minutes, sign = **text == '-' ? -1 : 1;

	*offset_s = 0;
	if (take_char(text, 'Z') || take_char(text, 'z'))
		return true;
	if (!take_char(text, '+') && !take_char(text, '-'))
		return false;
	if (!take_number(text, 2, 23, &hours) || !take_char(text, ':') ||
	    !take_number(text, 2, 59, &minutes))
		return false;
	*offset_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

static bool valid_date(const struct tm *tm)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = tm->tm_year + 1900;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (year < 1970 || year > 2261) /* what 64 bits of nanoseconds hold */
		return false;
	if (tm->tm_mon < 0 || tm->tm_mday < 1)
		return false;
	return tm->tm_mday <= days[tm->tm_mon] + (leap && tm->tm_mon == 1 ? 1 : 0);
}

static bool local_time(struct tm *tm, int64_t *ts_ns)
{
	tm->tm_isdst = -1;
	*ts_ns = (int64_t)mktime(tm) * NS_PER_S;
	return true;
}

/* Everything that begins with a year. */
static bool parse_date(const char *text, int64_t *ts_ns)
{
	struct tm tm = { 0 };
	int64_t ns = 0;
	int offset_s;

	if (!take_number(&text, 4, 9999, &tm.tm_year) || !take_char(&text, '-') ||
	    !take_number(&text, 2, 12, &tm.tm_mon) || !take_char(&text, '-') ||
	    !take_number(&text, 2, 31, &tm.tm_mday))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (!valid_date(&tm))
		return false;
	if (*text == '\0')
		return local_time(&tm, ts_ns);

	bool strict = *text == 'T' || *text == 't'; /* RFC 3339: seconds and zone are a must */
	if (!strict && *text != ' ')
		return false;
	text++;
	if (!take_number(&text, 2, 23, &tm.tm_hour) || !take_char(&text, ':') ||
	    !take_number(&text, 2, 59, &tm.tm_min))
		return false;
	if (!strict && *text == '\0')
		return local_time(&tm, ts_ns);
	if (!take_char(&text, ':') || !take_number(&text, 2, 60, &tm.tm_sec)) /* 60: leap second */
		return false;
	if (!strict && *text == '\0')
		return local_time(&tm, ts_ns);
	if (take_char(&text, '.') && !take_fraction(&text, &ns))
		return false;
	if (!take_zone(&text, &offset_s) || *text != '\0')
		return false;
	*ts_ns = ((int64_t)timegm(&tm) - offset_s) * NS_PER_S + ns;
	return true;
}

/* Up to ten digits, below the end of 64-bit time. */
static bool take_seconds(const char **text, int64_t *value)
{
	const char *from = *text;

	*value = 0;
	for (; **text >= '0' && **text <= '9'; (*text)++) {
		if (*text - from == 10)
			return false;
		*value = *value * 10 + (**text - '0');
	}
	return *text != from && *value < INT64_MAX / NS_PER_S;
}

static bool parse_seconds(const char *text, int64_t *ts_ns)
{
	int64_t s, ns = 0;

	if (!take_seconds(&text, &s))
		return false;
	if (take_char(&text, '.') && !take_fraction(&text, &ns))
		return false;
	*ts_ns = s * NS_PER_S + ns;
	return *text == '\0';
}

static bool parse_ago(const char *text, int64_t *ts_ns)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	int64_t n;

	if (!take_seconds(&text, &n) || strlen(text) != 1)
		return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (units[i].unit != *text)
			continue;
		int64_t now = clock_real_ns();
		if (n > now / NS_PER_S / units[i].seconds) /* before 1970 */
			return false;
		*ts_ns = now - n * units[i].seconds * NS_PER_S;
		return true;
	}
	return false;
}

bool clock_parse(const char *text, int64_t *ts_ns)
{
	int64_t ts;
	bool ok;

	if (*text == '@')
		ok = parse_seconds(text + 1, &ts);
	else if (*text == '-')
		ok = parse_ago(text + 1, &ts);
	else
		ok = parse_date(text, &ts);
	if (ok)
		*ts_ns = ts;
	return ok;
}
