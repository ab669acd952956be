/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* recorder.h: callspand's threads and rings: read this first.
 *
 *   live:   capture thread × n ──SIP──► signalling thread ──expect/forget──► every capture thread
 *                 │                        │
 *                 └──── chunks, streams ───┴── open, records ──► writer thread × m ──► segments
 *   files:  one reader does capture, signalling and media in line, in packet order ──► writer thread
 *
 * Each arrow is one single-producer ring.
 */
#ifndef CALLSPAN_RECORDER_H
#define CALLSPAN_RECORDER_H

#include "base/options.h"
#include "base/rc.h"

struct recorder_config {
	const struct options *options; /* borrowed */
	const char *const *files;      /* capture files, or NULL for live */
	size_t files_count;
	bool retain_from_call;
	bool progress; /* draw a bar on standard error */
	volatile int *
		reload; /* live: when it becomes true, the policy is read again (set back then); or NULL */
	const char *counters_path; /* write all counters there at the end, and what the
				      threads' time went into, as JSON; or NULL */
};

/* Is everything there to record: store, keys, policy?  Opens no interface, writes nothing. */
enum rc recorder_check(const struct recorder_config *cfg, struct error *err) MUST_USE;

/* Record until the files end or `*stop` becomes true.  RC_FAILED with one line when something could
 * not be opened or a file broke (what could be read has been recorded). */
enum rc recorder_run(const struct recorder_config *cfg, const volatile int *stop,
		     struct error *err) MUST_USE;

#endif
