/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* rtp.h: from datagrams to chunks: which stream a frame belongs to, and keeping it.
 *
 * One `struct media` a capture thread, used by that thread only.  It knows which endpoints are
 * expected (told by signalling), finds each datagram's flow, keeps the frames of each
 * stream in its open chunk, and hands full chunks to its sink.  Media that nobody expects yet waits in
 * the pen.  It reads no clock, takes no lock, allocates nothing after media_new().
 *
 *   media_expect ─┐                         ┌─ chunk (moved)
 *   media_packet ─┼─► flow ─► stream ───────┼─ stream record, at its end
 *   media_forget ─┘    └─► pen              └─ done, when a call's streams have all ended
 *
 * What crosses a relay is kept once, what a stranger sends is kept apart; relay.h and foreign.h say how.
 */
#ifndef CALLSPAN_RTP_H
#define CALLSPAN_RTP_H

#include "base/counters.h"
#include "base/intern.h"
#include "base/net.h"
#include "base/rc.h"
#include "store/store.h"

/* This bit of a call's number: the call is not recorded.  Its media is discarded, and nothing of it, not even that it is
 * done, goes to a writer. */
#define CALL_UNWRITTEN (UINT64_C(1) << 63)

#define MEDIA_PAYLOADS 16
#define MEDIA_EXPECTS  4  /* endpoints that are expected at once, for each call there may be */
#define STREAM_BLOCK   64 /* stream numbers that one expectation has for each thread */
#define STREAM_FOREIGN 16 /* of those, for flows whose other end is not of the call */

enum payload_kind { PAYLOAD_AUDIO, PAYLOAD_EVENT /* RFC 4733 */, PAYLOAD_NOISE /* RFC 3389 */ };

/* One payload type as the SDP of the receiving party maps it (RFC 3551 where it does not). */
struct media_payload {
	uint8_t type; /* 0-127 */
	uint8_t kind; /* enum payload_kind */
	uint8_t channels;
	uint32_t clock_rate;
	char codec[32]; /* encoding name as written */
	char fmtp[64];  /* a=fmtp of it, as written; cut at 63 bytes */
};

/* Payload maps are kept once for all calls that say the same: by each capture thread, and by signalling, in a set of its
 * own (intern.h). */
struct payload_map {
	uint32_t count;
	struct media_payload at[MEDIA_PAYLOADS];
};
/* For up to `max` different ones. */
struct intern *payload_maps_new(uint64_t max);
/* Hold a map (of MEDIA_PAYLOADS at most; further ones are passed over): its number. */
uint32_t payload_map_take(struct intern *maps, const struct media_payload *payloads,
			  unsigned count);
/* What is held (borrowed). */
const struct payload_map *payload_map_at(const struct intern *maps, uint32_t map);

/* Expect media at an endpoint: where `party` of a call receives, by its SDP.  Frames sent to it are the other
 * party's voice; frames sent from it (to nowhere else expected) are its own.  Expecting again the
 * same endpoint for the same call and party replaces the payload map and keeps streams and numbers. */
struct media_expect {
	uint64_t call; /* with CALL_UNWRITTEN: no writer knows of it */
	struct endpoint at;
	uint8_t party; /* enum track: whose endpoint */
	uint8_t payloads_count;
	uint16_t
		stream_base; /* this thread's block of STREAM_BLOCK stream numbers (used for a new expectation) */
	int64_t from_ns;   /* nothing sent earlier belongs to the call (its INVITE) */
	uint32_t ptime_ms; /* a=ptime, 0 unknown */
	struct endpoint
		rtcp; /* where it receives RTCP (a=rtcp, else the next port); port 0: with RTP (RFC 5761) */
	uint8_t protection; /* enum protection, of what is sent there */
	bool keep_events;   /* telephone-event packets are stored, not only counted */
	bool discard;       /* a line never to be recorded: count EXCLUDED and keep nothing */
	bool orphan;        /* expected only because media was seen (media_sink.orphan) */
	struct media_payload payloads[MEDIA_PAYLOADS];
};

/* Forget a call's endpoint (media moved), or with `all` the whole call.  Frames later than until_ns are not
 * part of it: they are cut from open chunks.  A flow that goes on counts RTP_AFTER_END. */
struct media_forget {
	uint64_t call;
	struct endpoint at; /* unused with all */
	bool all;
	int64_t until_ns;
};

/* A flow in the pen that no signalling explains: at least ORPHAN_FRAMES packets of one SSRC in sequence for
 * ORPHAN_AFTER_NS. */
#define ORPHAN_FRAMES   25
#define ORPHAN_AFTER_NS NS_PER_S
struct media_orphan {
	struct endpoint src, dst;
	uint32_t ssrc;
	uint8_t payload_type;
	int64_t first_ns; /* oldest packet of it in the pen */
};

struct media_sink {
	void *ctx;
	/* A full chunk, moved: it comes back by media_give_back() on media's own thread.  False: it could not be taken now; media
	 * counts CHUNK_RING_DROP, FRAMES_IN_DROPPED_CHUNKS and keeps the buffer. */
	bool (*chunk)(void *ctx, struct chunk *c);
	void (*stream)(void *ctx, const struct stream_record *r);
	void (*done)(void *ctx, uint64_t call);
	/* The call still has media: at most once in 5 s of packet time and call, with the newest frame's time. */
	void (*alive)(void *ctx, uint64_t call, int64_t ts_ns);
	/* Once a flow and stay in the pen; may be NULL. */
	void (*orphan)(void *ctx, const struct media_orphan *o);
	/* What was seen on the call's media that signalling should remark: a name of coverage (static), once a call and
	 * name; may be NULL. */
	void (*remark)(void *ctx, uint64_t call, const char *coverage);
	/* Buffers run short: give back, by media_give_back(), what has come home from the writers; who may wait, waits for all
	 * that are out.  May be NULL. */
	void (*reclaim)(void *ctx);
};

struct media;
struct media_config {
	uint32_t max_streams;
	uint32_t max_expects; /* endpoints expected at once */
	size_t buffers;       /* for chunks, of CHUNK_BUFFER bytes each */
	bool keep_reserve;    /* the last of them are not for new calls (supply.h) */
	size_t pen_bytes;
	uint8_t thread; /* goes into struct chunk */
	struct media_sink sink;
	struct counters *counters; /* borrowed */
};

/* Of so many buffers, those that new calls may not take. */
size_t media_reserve(size_t buffers);

struct media *media_new(const struct media_config *cfg); /* NULL: memory is short */
void media_free(struct media *m);

void media_expect(struct media *m, const struct media_expect *e);
void media_forget(struct media *m, const struct media_forget *f);

enum media_verdict {
	MEDIA_TAKEN, /* of a known flow or expected endpoint; counted by what became of it (TO_MEDIA and a disposition) */
	MEDIA_UNKNOWN /* nobody expects it, or perhaps another call: ask whether it is SIP, else media_pen() */
};

/* Look a burst of datagrams up together (prefetching) and keep those that are media.  verdicts[n]. */
void media_burst(struct media *m, const struct datagram *d, int n, enum media_verdict *verdicts);

/* Something that may be media of a call not known yet: kept for up to 2 s if it looks like RTP (version 2, at least 12
 * bytes, even port or any); counts TO_PEN or TO_NOBODY. */
void media_pen(struct media *m, const struct datagram *d);

/* Signalling on another thread has dealt with all SIP up to then: what may be of a call that it has yet to hear of stays
 * in the pen.  Where this is never called, signalling is in line. */
void media_heard(struct media *m, int64_t heard_ns);

/* Time passes: close chunks open for more than 1 s, expire the pen.  Call at least once a burst, and when idle. */
void media_tick(struct media *m, int64_t now_ns);

/* A buffer comes back from its writer. */
void media_give_back(struct media *m, struct chunk *c);

/* Datagrams in the pen now (for the law of counters). */
uint64_t media_held(const struct media *m);
/* Chunk buffers that were out at the same time, at most; bytes that streams, flows and expectations took, at most, without those
 * buffers, the pen and hash tables; and what is kept, for 30 s, of streams whose call has ended (ended.h). */
size_t media_buffers_most(const struct media *m);
size_t media_bytes_most(const struct media *m);
size_t media_ended_bytes_most(const struct media *m);
/* Streams open now. */
uint32_t media_streams(const struct media *m);

/* ---- reading chunks back (vault, tests) ------------------------------------------------ */

/* One frame of an opened chunk, RTP header rebuilt from the frame record. */
struct rtp_frame {
	int64_t arrival_us;
	uint64_t sequence; /* extended: cycles << 16 | sequence number, first packet has 1 cycle */
	uint32_t timestamp;
	uint8_t payload_type;
	bool marker;
	bool has_extra;       /* CSRC, extension or padding were there */
	uint8_t first_octet;  /* V P X CC */
	const uint8_t *extra; /* CSRC list and extension as sent */
	uint32_t extra_len;
	const uint8_t *payload; /* borrowed from the chunk body */
	uint32_t payload_len;
	uint32_t padding_len; /* bytes after the payload */
	uint32_t
		wire_len; /* > what is here when cut by the snap length; of extra + payload + padding */
};

struct chunk_reader {
	const uint8_t *table, *table_end, *payload, *payload_end;
	struct rtp_frame last;
	uint32_t frames_left, time_step, stored_len;
	bool first;
};

/* Over an unsealed chunk body (borrowed).  False: not a chunk body. */
bool chunk_reader_init(struct chunk_reader *r, const uint8_t *body, size_t len);
/* The next frame in order of arrival.  RC_END, or RC_DAMAGED when the body contradicts itself. */
enum rc chunk_reader_next(struct chunk_reader *r, struct rtp_frame *f) MUST_USE;

/* RTP header (RFC 3550, 5.1), for those who have a whole packet. */
struct rtp_header {
	uint8_t first_octet, payload_type;
	bool marker;
	uint16_t sequence;
	uint32_t timestamp, ssrc;
	const uint8_t *extra;
	uint32_t extra_len;
	const uint8_t *payload;
	uint32_t payload_len, padding_len;
};
/* False: not RTP.  `len` bytes are there of `wire_len` (a cut packet's padding is unknown: 0). */
bool rtp_parse(struct rtp_header *h, const uint8_t *p, uint32_t len, uint32_t wire_len);

#endif
