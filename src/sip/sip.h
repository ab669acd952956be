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
	/* Where the policy keeps signalling: a message of the call (borrowed); may be NULL. */
	void (*message)(void *ctx, uint64_t call, const struct signalling_record *m);
};

struct signalling_config {
	uint32_t max_calls;
	unsigned media_threads; /* blocks of stream numbers to give per expectation */
	int64_t call_timeout_ns, bye_timeout_ns;
	uint32_t max_message;    /* bytes */
	const char *policy_hash; /* borrowed: 64 hex digits; of calls that began without `policy` */
	const char *
		retention; /* borrowed: retention class of every call that `policy` does not judge */
	const struct policy *
		policy; /* copied; NULL: every call is recorded, and dtmf, orphans, keep_signalling say how */
	const char *recorder; /* borrowed: recorder id */
	bool imported;        /* reading files */
	int64_t imported_us;
	bool retain_from_call;
	uint8_t dtmf;         /* enum dtmf_keep */
	uint8_t orphans;      /* enum orphans */
	bool keep_signalling; /* every SIP message of a call goes to sink.message */
	/* How long after a call's last record its `done` waits, so that a remark still finds it; 0: not at all. */
	int64_t linger_ns;
	/* Borrowed: a header whose equal values make calls one conversation; NULL or "": none. */
	const char *conversation_header;
	struct signalling_sink sink;
	/* NULL, or: are new calls to be refused now (SIP_CALL_LIMIT), because writers do not keep up?  Gets the sink's ctx. */
	bool (*overloaded)(void *ctx);
	struct counters *counters; /* borrowed */
};

struct signalling;
struct signalling *signalling_new(const struct signalling_config *cfg);
void signalling_free(struct signalling *s);

/* Another policy from now on: for calls that begin afterwards.  Copied.  False: memory is short, the old one stays. */
bool signalling_policy(struct signalling *s, const struct policy *p);

/* Is it SIP?  By content: a request line or status line, after optional CRLFs (keep-alives are SIP too and
 * nothing).  Cheap; runs on capture threads. */
enum sip_kind {
	SIP_NOT, /* something else */
	SIP_DIALOG, /* INVITE ACK BYE CANCEL PRACK UPDATE REFER and their responses: never dropped first */
	SIP_REST /* REGISTER OPTIONS SUBSCRIBE NOTIFY PUBLISH MESSAGE INFO ... and their responses */
};
enum sip_kind sip_recognise(const uint8_t *p, uint32_t len);

/* One SIP message with its packet time and addresses, from UDP. */
void signalling_message(struct signalling *s, const struct datagram *d);
/* The same over another transport: 17 UDP, 6 TCP (d is then one framed message, not a segment). */
void signalling_message_over(struct signalling *s, const struct datagram *d, uint8_t transport);

/* Media that no signalling explains (from media_sink.orphan): a call without parties, where the policy says so. */
void signalling_orphan(struct signalling *s, const struct media_orphan *o);

/* A remark on a call's coverage, static (from media_sink.remark). */
void signalling_remark(struct signalling *s, uint64_t call, const char *coverage);

/* A call's media was seen (from media_sink.alive). */
void signalling_alive(struct signalling *s, uint64_t call, int64_t ts_ns);

/* Packet time passes: calls time out, unanswered BYEs count. */
void signalling_tick(struct signalling *s, int64_t now_ns);

/* The capture ends: every open call ends as capture-end (or at its unanswered BYE). */
void signalling_finish(struct signalling *s, int64_t now_ns);

uint32_t signalling_calls(const struct signalling *s); /* open now */

/* ---- reassembly ---------------------------------------------------------------------------
 *
 * What is larger than a packet: IP packets from their fragments, SIP messages from TCP and WebSocket.  One
 * `struct reassembly`, on signalling's thread; bounded by the bytes given, all of it allocated at start. */

struct reassembly_sink {
	void *ctx;
	/* A SIP message that came over TCP or WebSocket: d borrowed, for signalling_message_over(). */
	void (*message)(void *ctx, const struct datagram *d);
	/* A packet's payload, for decode_payload(): a fragment with offset 0 and nothing more to come (borrowed; a piece of
	 * it may be given to reassembly_piece() from within). */
	void (*whole)(void *ctx, const struct piece *whole);
	/* No more segments of this direction are wanted, unless they are SYN or sip_begins(). */
	void (*not_sip)(void *ctx, const struct endpoint *src, const struct endpoint *dst);
};

#define REASSEMBLY_PORTS 16
struct reassembly_config {
	size_t fragment_bytes, tcp_bytes;     /* at least 2 and 4 MiB */
	uint32_t max_message;                 /* bytes */
	uint16_t tls_ports[REASSEMBLY_PORTS]; /* of SIP over TLS; 0 ends them */
	struct reassembly_sink sink;
	struct counters *counters; /* borrowed */
};

struct reassembly;
struct reassembly *reassembly_new(const struct reassembly_config *cfg);
void reassembly_free(struct reassembly *r);

/* A fragment or segment (borrowed). */
void reassembly_piece(struct reassembly *r, const struct piece *p);

/* Packet time passes: what waits too long is dropped or passed over. */
void reassembly_tick(struct reassembly *r, int64_t now_ns);

/* The capture ends: messages behind holes are given.  Fragments stay held. */
void reassembly_finish(struct reassembly *r);

/* Waiting now. */
uint64_t reassembly_fragments_held(const struct reassembly *r);
uint64_t reassembly_segments_held(const struct reassembly *r);

/* Does a TCP segment begin with a SIP message, a WebSocket frame with one, or a WebSocket handshake for SIP?
 * Cheap; runs on capture threads. */
bool sip_begins(const uint8_t *p, uint32_t len);

#endif
