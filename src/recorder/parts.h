/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* parts.h: what file and live recording share: configuration made ready, writers, reports.
 *
 * recorder.c prepares a `struct session` (store locked, policy read, capture open, privileges dropped) and hands it to
 * files_run() or live_run().
 */
#ifndef CALLSPAN_RECORDER_PARTS_H
#define CALLSPAN_RECORDER_PARTS_H

#include "base/cpus.h"
#include "base/options.h"
#include "capture/capture.h"
#include "recorder/joiner.h"
#include "recorder/recorder.h"
#include "recorder/sources.h"
#include "recorder/tap.h"
#include "recorder/writer_thread.h"
#include "sip/sip.h"
#include "store/store.h"

/* What a thread did with its time: "capture", 0. */
struct session_work {
	const char *role;
	unsigned number;
	struct work work;
};

struct session {
	const struct recorder_config *cfg; /* borrowed */
	const struct options *options;     /* borrowed */
	struct policy policy;
	struct capture **captures;     /* owned: one for files, one a capture thread live */
	unsigned threads;              /* capture threads */
	struct sources sources;        /* live: the interfaces of those */
	struct writer_thread *writers; /* owned */
	unsigned writers_count;
	struct cpus capture_cpus, writer_cpus;
	_Atomic int64_t packet_ns;              /* newest packet time */
	int lock;                               /* STORE's recorder lock */
	struct counters total;                  /* filled when all threads have ended */
	uint64_t pen_held;                      /* likewise */
	uint64_t fragments_held, segments_held; /* likewise */
	uint64_t buffers_most;                  /* likewise: chunk buffers out at once */
	uint64_t media_bytes_most;              /* likewise: of streams, flows, expectations */
	uint64_t ended_bytes_most;              /* likewise: of streams whose call has ended */
	int64_t started_ns;                     /* wall clock, for the status */
	int64_t started_mono_ns;                /* the same moment by two other clocks */
	uint64_t started_cycles;
	struct session_work *works; /* owned: of threads that have ended */
	unsigned works_count;
	bool status_failed;
};

/* Signalling as the session configures it, with the given sink and counters. */
struct signalling *session_signalling(struct session *s, const struct signalling_sink *sink,
				      bool (*overloaded)(void *ctx), struct counters *counters);

/* Start, and end, all writers.  Ending gives the first failure. */
enum rc session_start_writers(struct session *s, struct error *err) MUST_USE;
enum rc session_finish_writers(struct session *s, struct error *err) MUST_USE;

/* The policy in force, of STORE/policy.yaml. */
enum rc policy_of_store(struct policy *p, const char *store, struct error *err) MUST_USE;

/* reload.c: a policy on its way from the main thread to signalling; NULL: none is. */
typedef _Atomic(struct policy *) policy_box;
/* Main thread: read it again.  A wrong one is logged and changes nothing. */
void reload_read(policy_box *box, const char *store);
/* Signalling thread: put in force what has come. */
void reload_take(policy_box *box, struct signalling *s);

enum rc files_run(struct session *s, const volatile int *stop, struct error *err) MUST_USE;
enum rc live_run(struct session *s, const volatile int *stop, struct error *err) MUST_USE;

/* A thread has ended: keep what its time went into, for the report.  Once for each thread. */
void session_note_work(struct session *s, const char *role, unsigned number, const struct work *w);

/* The same of a thread that captured, with what it counted and what its media held. */
void session_note_tap(struct session *s, const char *role, unsigned number, const struct tap *t);

/* One bar on standard error: how far the files have been read. */
void progress_draw(const struct capture *c, int64_t started_mono_ns);
void progress_end(void);

/* guard.c: no core dumps, no ptrace; become the recorder's user when started as root.  Of all capabilities only CAP_NET_RAW
 * stays, where `listens`: an interface that comes back is opened with it. */
void guard_memory(void);
enum rc guard_drop_root(const char *store, const char *user, bool listens,
			struct error *err) MUST_USE;

/* report.c: how it stands, into STORE/recorder/status.json, replaced as a whole: counters and times, nobody's name.  What
 * cannot be written is logged once, and recording goes on. */
#define STATUS_EVERY_NS (10 * NS_PER_S)
void status_write(struct session *s, const struct counters *sum, bool running);

/* report.c: all counters and what is held still as one JSON object. */
enum rc report_write(const char *path, const struct session *s, struct error *err) MUST_USE;

#endif
