/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* zone.c: see zone.h.
 *
 * A TZif file (RFC 9636, 3): the header and data of version 1, in 32 bits, are passed over; then
 *
 *   "TZif" version 15 zeros, six counts: isut isstd leap time type char (u32 each)
 *   time × i64 at | time × u8 type | type × { i32 offset, u8 summer, u8 name } | char | leap × 12 | isstd | isut
 *   "\n" footer "\n"                     e.g. GMT0BST,M3.5.0/1,M10.5.0: from the last change on, for ever
 */
#include "base/zone.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/bytes.h"

#define FILE_BYTES 65536
#define HEADER     44
#define TYPES      256
#define DAY_S      86400
#define OFFSET_S   93599 /* the farthest that RFC 9636, 3.2 lets an offset be */

/* ---- the footer (POSIX TZ, with the hours that RFC 9636, 3.3.1 adds) ------------------------------ */

/* A name of letters, or of anything between < and >. */
static bool skip_name(const char **at)
{
	const char *p = *at;
	bool quoted = *p == '<';
	if (quoted)
		p++;
	while (isalpha((unsigned char)*p) ||
	       (quoted && (isdigit((unsigned char)*p) || *p == '+' || *p == '-')))
		p++;
	size_t len = (size_t)(p - *at);
	if (quoted && *p++ != '>')
		return false;
	*at = p;
	return len >= 3;
}

static bool read_number(const char **at, long most, long *out)
{
	char *end;
	if (!isdigit((unsigned char)**at))
		return false;
	*out = strtol(*at, &end, 10);
	*at = end;
	return *out <= most;
}

/* [+-]H[H[H]][:MM[:SS]] */
static bool read_time(const char **at, int32_t *seconds)
{
	long part[3] = { 0 };
	bool negative = **at == '-';
	if (**at == '-' || **at == '+')
		++*at;
	for (int i = 0; i < 3; i++) {
		if (!read_number(at, i ? 59 : 167, &part[i]))
			return false;
		if (**at != ':')
			break;
		++*at;
	}
	long s = part[0] * 3600 + part[1] * 60 + part[2];
	*seconds = (int32_t)(negative ? -s : s);
	return true;
}

/* Mm.w.d, Jn or n, and /time (02:00 where it is left out). */
static bool read_day(const char **at, struct zone_day *d)
{
	long month = 0, week = 0, day = 0;
	bool good;
	if (**at == 'M') {
		d->kind = 'M';
		++*at;
		good = read_number(at, 12, &month) && month && *(*at)++ == '.' &&
		       read_number(at, 5, &week) && week && *(*at)++ == '.' &&
		       read_number(at, 6, &day);
	} else {
		d->kind = **at == 'J' ? 'J' : 'D';
		*at += **at == 'J';
		good = read_number(at, 365, &day) && (day || d->kind == 'D');
	}
	d->month = (uint8_t)month;
	d->week = (uint8_t)week;
	d->day = (uint16_t)day;
	d->time_s = 2 * 3600;
	if (!good || **at != '/')
		return good;
	++*at;
	return read_time(at, &d->time_s);
}

/* Offsets stand there with the sign turned: west is positive. */
static bool read_footer(struct zone *z, const char *p)
{
	int32_t west;
	if (!*p)
		return true;
	if (!skip_name(&p) || !read_time(&p, &west))
		return false;
	z->has_rule = true;
	z->standard_s = -west;
	if (!*p)
		return true;
	z->has_summer = true;
	z->summer_s = z->standard_s + 3600;
	if (!skip_name(&p))
		return false;
	if (*p != ',') {
		if (!read_time(&p, &west))
			return false;
		z->summer_s = -west;
	}
	return *p++ == ',' && read_day(&p, &z->begins) && *p++ == ',' && read_day(&p, &z->ends) &&
	       !*p;
}

/* ---- the file ------------------------------------------------------------------------------------- */

enum { ISUT, ISSTD, LEAP, TIME, TYPE, CHARS, COUNTS };

static bool read_header(struct bytes *b, char *version, uint32_t counts[COUNTS])
{
	const uint8_t *p = bytes_take(b, HEADER - 4 * COUNTS);
	for (unsigned i = 0; i < COUNTS; i++) {
		counts[i] = bytes_u32(b);
		if (counts[i] >
		    FILE_BYTES) /* no file that is read has more of anything than bytes */
			return false;
	}
	if (b->failed || memcmp(p, "TZif", 4) != 0)
		return false;
	*version = (char)p[4];
	return true;
}

static int64_t read_i64(struct bytes *b)
{
	uint64_t high = bytes_u32(b);
	return (int64_t)(high << 32 | bytes_u32(b));
}

/* One change of the clock; of too many the newest stay, and so do none from before 1970. */
static bool add_change(struct zone *z, int64_t at_s, int32_t offset_s)
{
	if (z->count && at_s <= z->at_s[z->count - 1])
		return false;
	if (at_s < 0 || z->count == ZONE_TIMES)
		z->before_s = z->count ? z->offset_s[0] : offset_s;
	if (at_s < 0)
		return true;
	if (z->count == ZONE_TIMES) {
		memmove(z->at_s, z->at_s + 1, sizeof z->at_s - sizeof z->at_s[0]);
		memmove(z->offset_s, z->offset_s + 1, sizeof z->offset_s - sizeof z->offset_s[0]);
		z->count--;
	}
	z->at_s[z->count] = at_s;
	z->offset_s[z->count++] = offset_s;
	return true;
}

static struct bytes take_part(struct bytes *b, size_t len)
{
	const uint8_t *p = bytes_take(b, len);
	return p ? bytes_over(p, len) : *b;
}

static bool read_changes(struct zone *z, struct bytes *b, const uint32_t counts[COUNTS])
{
	int32_t offsets[TYPES];
	struct bytes times = take_part(b, (size_t)counts[TIME] * 8);
	struct bytes kinds = take_part(b, counts[TIME]);
	if (!counts[TYPE] || counts[TYPE] > TYPES || counts[LEAP])
		return false;
	for (uint32_t i = 0; i < counts[TYPE]; i++) {
		offsets[i] = (int32_t)bytes_u32(b);
		bytes_skip(b, 2);
		if (offsets[i] > OFFSET_S || offsets[i] < -OFFSET_S)
			return false;
	}
	bytes_skip(b, (size_t)counts[CHARS] + counts[ISSTD] + counts[ISUT]);
	if (b->failed)
		return false;
	z->before_s = offsets[0];
	for (uint32_t i = 0; i < counts[TIME]; i++) {
		uint8_t kind = bytes_u8(&kinds);
		if (kind >= counts[TYPE] || !add_change(z, read_i64(&times), offsets[kind]))
			return false;
	}
	return true;
}

static bool read_rule(struct zone *z, struct bytes *b)
{
	char footer[80];
	size_t len = bytes_left(b);
	if (len < 2 || len - 2 >= sizeof footer || b->at[0] != '\n' || b->end[-1] != '\n')
		return false;
	memcpy(footer, b->at + 1, len - 2);
	footer[len - 2] = '\0';
	return strlen(footer) == len - 2 && read_footer(z, footer);
}

bool zone_parse(struct zone *z, const void *data, size_t len)
{
	struct bytes b = bytes_over(data, len);
	uint32_t n[COUNTS];
	char version;
	memset(z, 0, sizeof *z);
	z->known = true;
	if (!read_header(&b, &version, n) || version < '2')
		return false;
	bytes_skip(&b, (size_t)n[TIME] * 5 + (size_t)n[TYPE] * 6 + n[CHARS] + (size_t)n[LEAP] * 8 +
			       n[ISSTD] + n[ISUT]);
	return read_header(&b, &version, n) && read_changes(z, &b, n) && read_rule(z, &b);
}

/* A name of the zone database, and no other path: "Area/City", "UTC", "Etc/GMT+5". */
static bool is_name(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";
	size_t len = strlen(name);
	return len > 0 && len < ZONE_NAME && strspn(name, letters) == len && name[0] != '/';
}

bool zone_load(struct zone *z, const char *name)
{
	char path[sizeof ZONE_DIR + ZONE_NAME];
	uint8_t *data = malloc(FILE_BYTES);
	ASSERT(data);
	memset(z, 0, sizeof *z);
	snprintf(path, sizeof path, ZONE_DIR "/%s", name);
	FILE *f = is_name(name) ? fopen(path, "re") : NULL;
	size_t len = f ? fread(data, 1, FILE_BYTES, f) : 0;
	bool good = f && !ferror(f) && zone_parse(z, data, len);
	if (f)
		(void)fclose(f);
	free(data);
	if (good)
		snprintf(z->name, sizeof z->name, "%s", name);
	return good || !*name;
}

/* ---- when, and what the clock shows then ------------------------------------------------------------ */

static int64_t midnight(int year, int month, int day)
{
	struct tm tm = { .tm_year = year, .tm_mon = month, .tm_mday = day };
	return (int64_t)timegm(&tm);
}

/* Midnight of the day in that year (since 1900), as if the clock ran on UTC. */
static int64_t day_of(const struct zone_day *d, int year)
{
	bool leap = midnight(year, 2, 1) - midnight(year, 1, 1) == 29 * DAY_S;
	if (d->kind == 'J')
		return midnight(year, 0, d->day + (leap && d->day >= 60));
	if (d->kind == 'D')
		return midnight(year, 0, d->day + 1);
	int64_t first = midnight(year, d->month - 1, 1), next = midnight(year, d->month, 1);
	int64_t weekday = ((first / DAY_S + 4) % 7 + 7) % 7; /* 1 January 1970 was a Thursday */
	int64_t at = first + ((d->day - weekday + 7) % 7 + (d->week - 1) * 7) * DAY_S;
	return at < next ? at : at - 7 * DAY_S;
}

static int32_t by_rule(const struct zone *z, int64_t unix_s)
{
	struct tm tm;
	time_t local = (time_t)(unix_s + z->standard_s);
	if (!z->has_summer || !gmtime_r(&local, &tm))
		return z->standard_s;
	int64_t begins = day_of(&z->begins, tm.tm_year) + z->begins.time_s - z->standard_s;
	int64_t ends = day_of(&z->ends, tm.tm_year) + z->ends.time_s - z->summer_s;
	bool summer = begins < ends ? unix_s >= begins && unix_s < ends
				    : unix_s >= begins || unix_s < ends;
	return summer ? z->summer_s : z->standard_s;
}

int32_t zone_offset(const struct zone *z, int64_t unix_s)
{
	struct tm tm;
	time_t t = (time_t)unix_s;
	if (!z->known)
		return localtime_r(&t, &tm) ? (int32_t)tm.tm_gmtoff : 0;
	if (z->has_rule && (!z->count || unix_s >= z->at_s[z->count - 1]))
		return by_rule(z, unix_s);
	uint32_t low = 0,
		 high = z->count; /* changes below `low` have been, those from `high` on have not */
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (z->at_s[middle] <= unix_s)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? z->offset_s[low - 1] : z->before_s;
}

int64_t zone_unix(const struct zone *z, int64_t local_s)
{
	int32_t before = zone_offset(z, local_s - DAY_S), after = zone_offset(z, local_s + DAY_S);
	int64_t early = local_s - before, late = local_s - after;
	bool is_early = zone_offset(z, early) == before, is_late = zone_offset(z, late) == after;
	if (is_early && is_late)
		return early < late ? early : late;
	if (is_early || is_late)
		return is_early ? early : late;
	/* The clock goes forward between the two, over what is asked for. */
	while (early - late > 1) {
		int64_t middle = late + (early - late) / 2;
		if (zone_offset(z, middle) == before)
			late = middle;
		else
			early = middle;
	}
	return early;
}
