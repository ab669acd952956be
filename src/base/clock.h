/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* clock.h: the clocks of the machine, and times as text.
 *
 * Recording logic never reads these: its time is the packet's.  They serve group
 * syncs, audit entries and people.
 */
#ifndef CALLSPAN_BASE_CLOCK_H
#define CALLSPAN_BASE_CLOCK_H

#include "base/rc.h"

int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC */
int64_t clock_real_ns(void); /* CLOCK_REALTIME, Unix ns */
void clock_sleep_us(unsigned us);

#define CLOCK_TEXT 40
/* RFC 3339 in UTC with microseconds: "2026-11-21T09:30:00.123456Z"; returns buf. */
const char *clock_rfc3339(int64_t ts_ns, char buf[CLOCK_TEXT]);
/* Local time for people: "2026-11-21 10:30:00". */
const char *clock_local(int64_t ts_ns, char buf[CLOCK_TEXT]);

/* Read a time as people give it: RFC 3339 (with Z or an offset), "YYYY-MM-DD",
 * "YYYY-MM-DD HH:MM[:SS]" (local time), "@SECONDS[.FRACTION]", or "-30m", "-12h", "-7d" before
 * now.  False when it is none of these. */
bool clock_parse(const char *text, int64_t *ts_ns);

#endif
