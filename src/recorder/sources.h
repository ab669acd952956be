/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sources.h: the interfaces that are recorded from, several at once, and the watch over them.
 *
 *   capture.interface: A,B   capture.threads: 2
 *
 *   A ─┬─ handle 0 ── capture thread 0        each interface has a fanout group of its own: all of a
 *      └─ handle 1 ── capture thread 1        flow that comes on it goes to one thread
 *   B ─┬─ handle 0 ── capture thread 2
 *      └─ handle 1 ── capture thread 3
 *
 * All of this runs on the main thread.  Handles that fail are opened anew by their own threads (capture.h); here the
 * alarm is raised, once an interface, and counted.
 */
#ifndef CALLSPAN_RECORDER_SOURCES_H
#define CALLSPAN_RECORDER_SOURCES_H

#include "base/counters.h"
#include "base/options.h"
#include "capture/capture.h"

#define SOURCES_MOST         16
#define SOURCES_THREADS_MOST 64 /* capture threads of all interfaces together */
#define SOURCE_NAME          64

enum source_state { SOURCE_UP, SOURCE_NO_CARRIER, SOURCE_DOWN, SOURCE_MISSING, SOURCE_REOPENING };

struct source {
	char name[SOURCE_NAME];
	bool device;             /* of the network; not "any", nor what else libpcap knows */
	bool away;               /* a handle of it is not open */
	enum source_state state; /* anything but UP: the alarm is on */
	int64_t since_ns;        /* wall clock: the state began */
};

struct sources {
	unsigned count, threads_each;
	struct source at[SOURCES_MOST];
	struct counters counters; /* the main thread's */
	int64_t look_ns;          /* monotonic: when to look at links again */
};

/* Which interfaces, by `capture.interface`.  RC_USAGE: a name that is none, one given twice, too many. */
enum rc sources_init(struct sources *s, const struct options *o, struct error *err) MUST_USE;

/* Open all handles into captures[count * threads_each]; what was opened stays there when one fails. */
enum rc sources_open(struct sources *s, const struct options *o, struct capture **captures,
		     struct error *err) MUST_USE;

/* Look how they are, at each turn of the main thread.  True: one has changed. */
bool sources_watch(struct sources *s, struct capture *const *captures);

/* "up", "no-carrier", "down", "missing", "reopening". */
const char *sources_state(const struct source *s);

#endif
