/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* tap.h: what a capture thread does with a burst of frames.
 *
 *   frames ─decode─► datagrams ─┬─ media knows it ──► stream ──► chunks to writers
 *                               ├─ it is SIP ───────► the thread's owner (inline or a ring)
 *                               ├─ neither ─────────► the pen
 *          └► fragments, TCP with SIP ──────────────► the thread's owner
 *
 * One tap a capture thread; live capture and capture files use the same.  The order of the
 * packets is kept to the letter: a SIP message takes effect before the frame behind it is looked at
 * (in files), so the result does not depend on how frames fell into bursts.
 */
#ifndef CALLSPAN_RECORDER_TAP_H
#define CALLSPAN_RECORDER_TAP_H

#include "base/counters.h"
#include "base/options.h"
#include "base/work.h"
#include "capture/capture.h"
#include "recorder/sieve.h"
#include "recorder/writer_thread.h"
#include "rtp/rtp.h"
#include "sip/sip.h"

struct tap_owner {
	void *ctx;
	void (*sip)(void *ctx, const struct datagram *d, enum sip_kind kind);
	bool in_line; /* what is said to `sip` and `piece` is done when they return */
	/* A fragment or TCP segment that signalling shall see. */
	void (*piece)(void *ctx, const struct piece *p);
	void (*alive)(void *ctx, uint64_t call, int64_t ts_ns);
	/* Media that no signalling explains; what was seen on a call's media. */
	void (*orphan)(void *ctx, const struct media_orphan *o);
	void (*remark)(void *ctx, uint64_t call, const char *coverage);
	/* Packet time has come to now_ns, before anything of that time is looked at. */
	void (*tick)(void *ctx, int64_t now_ns);
	/* A writer does not keep up: wait and say true to try again, or say false to drop audio. */
	bool (*wait)(void *ctx);
	size_t chunks_most; /* at the writers at once */
	bool keep_reserve;  /* the last chunk buffers are not for new calls */
};

struct tap {
	struct media *media; /* owned */
	struct counters counters;
	struct work work;
	struct decoder decoder;
	struct sieve *sieve;           /* owned: TCP that carries no SIP */
	struct writer_thread *writers; /* borrowed */
	unsigned writers_count, thread_no;
	struct outbox *to_writer; /* owned: one a writer */
	uint64_t chunks_out;      /* at the writers now */
	int64_t now_ns;           /* packet time, as timers last saw it */
	int64_t newest_ns;        /* the newest frame's: now_ns follows in steps */
	struct tap_owner owner;
};

enum rc tap_init(struct tap *t, const struct options *o, unsigned thread_no, unsigned threads,
		 struct writer_thread *writers, unsigned writers_count,
		 const struct tap_owner *owner, struct error *err) MUST_USE;
void tap_free(struct tap *t);

void tap_burst(struct tap *t, const struct frame *frames, int n);

/* A datagram that was put together from fragments. */
void tap_datagram(struct tap *t, const struct datagram *d);

/* All frames have come: packet time catches up with the newest.  Gives it. */
int64_t tap_catch_up(struct tap *t);

/* Packet time without a packet (idle, or the end of a file). */
void tap_tick(struct tap *t, int64_t now_ns);

/* Take chunk buffers home from the writers; push what waits in the outboxes.  True when the outboxes are empty. */
bool tap_service(struct tap *t);

#endif
