/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* live.h: what the threads of live recording share: rings, times, and who has gone.
 *
 * live.c has the capture threads, set-up and end; live_signalling.c has the signalling thread.
 */
#ifndef CALLSPAN_RECORDER_LIVE_H
#define CALLSPAN_RECORDER_LIVE_H

#include "recorder/intake.h"
#include "recorder/parts.h"
#include "recorder/pressure.h"

#define CONTROL_BYTES (4u << 20)
#define IDLE_US       500

struct capture_thread {
	struct live *live;       /* borrowed */
	struct capture *capture; /* borrowed */
	struct tap tap;
	struct outbox control;          /* signalling's side of this thread's control ring */
	struct ring *control_ring;      /* owned: expect and forget */
	struct intake *intake;          /* borrowed: of live, this thread's ways to signalling */
	struct outbox to_dialogs;       /* alive messages are never dropped */
	_Atomic int64_t now_ns;         /* this thread's packet time, for signalling */
	_Atomic bool drained;           /* reads no more frames */
	_Atomic bool broke;             /* the interface failed or went away */
	uint64_t kernel_drops, outages; /* as last seen */
	pthread_t thread;
	bool running;
};

struct live {
	struct session *session;
	struct capture_thread *threads; /* owned */
	struct intake *intakes;         /* owned: one a thread */
	struct signalling *signalling;
	struct joiner joiner;
	struct counters signalling_counters;
	struct work signalling_work;
	struct outbox *to_writer; /* signalling's, one a writer */
	policy_box new_policy;
	_Atomic int64_t
		heard_ns; /* signalling has dealt with all up to this packet time, and said what follows from it */
	_Atomic bool stopping, signalling_gone;
	pthread_t signalling_thread;
	bool signalling_running;
	struct pressure pressure; /* main thread */
};

/* Signalling, reassembly and the ways to the writers: at start, when l->threads is there. */
enum rc live_signalling_init(struct live *l, struct error *err) MUST_USE;

/* The signalling thread; `arg` is the struct live. */
void *live_signalling_run(void *arg);

#endif
