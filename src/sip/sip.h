/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sip.h: from SIP messages to calls, and which media to expect.
 *
 * One `struct signalling`, on one thread.  It takes datagrams that are SIP, follows dialogs set up by
 * INVITE, and tells its sink: a call begins (open), expect/forget media, the call's record at every
 * change, and that it sends no more (done).  It may allocate per call and per message; it holds no keys.
 */
#ifndef CALLSPAN_SIP_H
#define CALLSPAN_SIP_H

#include "base/counters.h"
#include "base/net.h"
#include "base/rc.h"
#include "rtp/rtp.h"
#include "store/store.h"

struct signalling_sink {
	void *ctx;
	void (*open)(void *ctx, const struct store_open *o);
	/* For every capture thread t: stream_base + t * STREAM_BLOCK is its block. */
	void (*expect)(void *ctx, const struct media_expect *e);
	void (*forget)(void *ctx, const struct media_forget *f);
	void (*record)(void *ctx, uint64_t call, const struct call_record *r);
	void (*done)(void *ctx, uint64_t call);
};

struct signalling_config {
	uint32_t max_calls;
	unsigned media_threads; /* blocks of stream numbers to give per expectation */
	int64_t call_timeout_ns, bye_timeout_ns;
	uint32_t max_message;    /* bytes */
	const char *policy_hash; /* borrowed: 64 hex digits */
	const char *retention;   /* borrowed: retention class of every call */
	const char *recorder;    /* borrowed: recorder id */
	bool imported;           /* reading files */
	int64_t imported_us;
	bool retain_from_call;
	struct signalling_sink sink;
	/* NULL, or: are new calls to be refused now (SIP_CALL_LIMIT), because writers do not keep up?  Gets the sink's ctx. */
	bool (*overloaded)(void *ctx);
	struct counters *counters; /* borrowed */
};

struct signalling;
struct signalling *signalling_new(const struct signalling_config *cfg);
void signalling_free(struct signalling *s);

/* Is it SIP?  By content: a request line or status line, after optional CRLFs (keep-alives are SIP too and
 * nothing).  Cheap; runs on capture threads. */
enum sip_kind {
	SIP_NOT, /* something else */
	SIP_DIALOG, /* INVITE ACK BYE CANCEL PRACK UPDATE REFER and their responses: never dropped first */
	SIP_REST /* REGISTER OPTIONS SUBSCRIBE NOTIFY PUBLISH MESSAGE INFO ... and their responses */
};
enum sip_kind sip_recognise(const uint8_t *p, uint32_t len);

/* One SIP message with its packet time and addresses. */
void signalling_message(struct signalling *s, const struct datagram *d);

/* A call's media was seen (from media_sink.alive). */
void signalling_alive(struct signalling *s, uint64_t call, int64_t ts_ns);

/* Packet time passes: calls time out, unanswered BYEs count. */
void signalling_tick(struct signalling *s, int64_t now_ns);

/* The capture ends: every open call ends as capture-end (or at its unanswered BYE). */
void signalling_finish(struct signalling *s, int64_t now_ns);

uint32_t signalling_calls(const struct signalling *s); /* open now */

#endif
