/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* zone.h: time zones by name, without touching the process's own.
 *
 * The C library knows one zone at a time, the TZ of the whole process; the service has threads.  So a named zone's file
 * (TZif, RFC 9636) is read into a struct that holds all of it: no pointers, a copy is whole.  Where no name is given the
 * machine's zone counts, as localtime_r() tells it.  Any thread; keeps nothing.
 */
#ifndef CALLSPAN_BASE_ZONE_H
#define CALLSPAN_BASE_ZONE_H

#include "base/rc.h"

#define ZONE_DIR  "/usr/share/zoneinfo"
#define ZONE_NAME 64
#define ZONE_TIMES                                                                                 \
	512 /* changes of the clock that are kept, the newest; all that are known of any zone since 1970 */

/* A day of the year on which the clock changes (RFC 9636, 3.3.1), and when on it. */
struct zone_day {
	char kind; /* 'M': weekday `day` of `week` (5: the last) in `month`; 'J': day 1..365, never 29
	                              February; 'D': day 0..365 */
	uint8_t month, week; /* 1..12, 1..5 */
	uint16_t day;
	int32_t time_s; /* of local time, from -167 h to 167 h */
};

struct zone {
	char name[ZONE_NAME]; /* "": the machine's, or none */
	bool known;           /* from a file; else the machine's */
	uint32_t count;
	int64_t at_s[ZONE_TIMES];     /* Unix seconds of each change, ascending */
	int32_t offset_s[ZONE_TIMES]; /* east of UTC, from then on */
	int32_t before_s;             /* before the first */
	bool has_rule;                /* after the last: */
	bool has_summer;
	int32_t standard_s, summer_s;
	struct zone_day begins, ends; /* summer time */
};

/* Read the zone of that name ("Europe/London"); "" is the machine's.  False: there is none, or its file is not one. */
bool zone_load(struct zone *z, const char *name);
/* The same from a file's bytes; it bears no name. */
bool zone_parse(struct zone *z, const void *data, size_t len);
/* Seconds east of UTC at a Unix time. */
int32_t zone_offset(const struct zone *z, int64_t unix_s);
/* The Unix time at which the zone's clocks show `local_s`, seconds since 1970 as if the clock ran on UTC.  A time that
 * they show twice: the first.  One that they leave out: the moment at which they do. */
int64_t zone_unix(const struct zone *z, int64_t local_s);

#endif
