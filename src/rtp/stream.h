/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* stream.h: one sender's packets on one flow: order, duplicates, jitter, and its open chunk.
 *
 * A stream is what every packet touches, so it is laid out by how often: two cache lines for each
 * packet, apart from them what chunks need, and apart from both what most streams never do.  Two short
 * logs let the end of a call be exact: of the last frames of closed chunks, and of the last packets that
 * were not stored.  What came after the end is taken back out of the figures with them, even where its
 * chunk has been handed over.
 *
 * One thread owns all streams.  They are made at start; none is ever allocated.
 */
#ifndef CALLSPAN_RTP_STREAM_H
#define CALLSPAN_RTP_STREAM_H

#include "rtp/chunk.h"
#include "rtp/flow.h"
#include "rtp/loss.h"
#include "rtp/rtp.h"
#include "rtp/seen.h"
#include "rtp/sequence.h"

#define STREAM_MERGED    16 /* packets taken from a relay's copy that are remembered */
#define STREAM_TYPE_NONE 0xff

/* Whether packets of a stream go straight to its chunk, or the long way round. */
enum stream_role {
	STREAM_PLAIN, /* straight */
	STREAM_WATCH, /* its call has another stream of this SSRC: one may turn out a relay's copy */
	STREAM_COPY,  /* a relay's copy of another stream: nothing is stored here */
	STREAM_DISCARD /* stands for a flow of which nothing is kept */
};

struct media;

struct stream {
	/* first line: which packet is it */
	uint32_t ssrc;
	uint32_t flow;
	struct numbering now;
	uint64_t distinct;  /* packets that were no duplicates, events too */
	uint32_t jitter;    /* RFC 3550, A.8: in timestamp units × 16 */
	uint32_t time_step; /* most usual difference of timestamps, 0 unknown */
	uint8_t type;       /* a payload type that is known to be stored, or STREAM_TYPE_NONE */
	uint8_t votes;      /* for time_step */
	uint8_t role;       /* enum stream_role */
	/* second line: where does it go */
	_Alignas(64) struct chunk_writer writer;
	uint64_t bytes; /* of audio payload */
	uint32_t clock_rate;
};
_Static_assert(sizeof(struct stream) == 128, "two cache lines, fetched as a pair");

/* What chunks need when they open and close, and what is known of every stream. */
struct stream_cold {
	uint32_t next;           /* of the flow's streams; of the free ones */
	uint32_t newer, older;   /* of the streams with an open chunk */
	uint32_t rare;           /* NONE: nothing rare has happened */
	uint64_t chunks;         /* counter of the next chunk */
	int64_t opened_ns;       /* when the open chunk was begun */
	int64_t recorded_us;     /* when the last record was sent, by arrivals */
	int64_t first_us;        /* first packet */
	int64_t start_us;        /* first audio frame (0: none yet) */
	int64_t end_us;          /* last audio frame of those kept */
	uint64_t closed_highest; /* highest number stored, over chunks that are closed */
	const struct media_payload
		*codec; /* what names it: of a map that is held, or static; NULL: nothing */
	uint32_t first_timestamp; /* of the first packet */
	uint16_t first_number;    /* its sequence number */
	uint16_t number;          /* stream number in the call */
	uint32_t ptime_ms;        /* as the SDP says */
	uint8_t channels;
	uint8_t types_count;
	uint8_t types[8];
	uint8_t track : 1;
	uint8_t protection : 3; /* enum protection */
	bool open : 1;          /* it is among those with an open chunk */
	bool named : 1;         /* the codec's name came from a map */
	bool recorded : 1;      /* a record has been sent */
	bool counted : 1;       /* as a stream begun (relay.c) */
	bool foreign : 1, suspect : 1;
	bool said_bye : 1;      /* by RTCP */
	bool reported : 1;      /* what RTCP reports of it is kept */
	struct seen_log closed; /* frames of closed chunks */
};
_Static_assert(PROTECTIONS <= 8, "three bits");
_Static_assert(sizeof(struct stream_cold) == 248, "each stream has one");

/* What RTCP reports of a stream. */
struct stream_reports {
	uint64_t reports;
	uint32_t last_report; /* a mirrored copy of it is none more */
	uint32_t sender_packets, remote_lost, remote_jitter;
};

/* What only some streams need: where packets come out of turn, twice, or not to be stored. */
struct stream_rare {
	uint32_t next;    /* of the free ones */
	uint64_t highest; /* number stored before the newest, when a packet came out of turn */
	struct sequence_past past;
	struct loss loss;
	struct seen_log aside; /* packets not stored, and those reordered */
	uint64_t others;       /* distinct packets that are no audio: events */
	uint64_t late, duplicates, reordered, events, dropped, truncated, cut, noise;
	uint64_t event_types[2];      /* bits: payload types stored that are events */
	uint32_t event_timestamps[2]; /* the last two events */
	uint8_t event_count;          /* how many of those are set */
	/* relay.c */
	bool mergeable;  /* a copy's packets may stand in for those its leader lacks */
	uint32_t leader; /* of a copy */
	uint32_t copies; /* streams that are copies of this one */
	uint64_t relay_copies;
	uint32_t merged[STREAM_MERGED]; /* numbers that came by a copy first, | 0x10000; 0: none */
	/* foreign.c */
	uint32_t rival; /* the stream that a suspect is beside */
	uint16_t rival_number;
	uint64_t rival_had, had; /* packets of both when the suspicion arose */
};

struct stream_set {
	struct stream *at;        /* owned */
	struct stream_cold *cold; /* owned */
	/* Owned; as many, on pages that cost nothing until they are needed. */
	struct stream_reports *reports; /* a stream's stand at its own number */
	struct stream_rare *rare;
	uint32_t max, used, free, live;
	uint32_t rare_used, rare_free;
	uint32_t reports_used;   /* behind the last that ever was */
	uint32_t oldest, newest; /* streams with an open chunk, in the order they were opened */
};

bool stream_set_init(struct stream_set *t, uint32_t max);
void stream_set_release(struct stream_set *t);

/* Begin a stream on flow `flow`, with its first packet's header (which is not taken yet, nor is the
 * stream counted).  NONE: no more streams, for the recorder or for the expectation. */
uint32_t stream_new(struct media *m, uint32_t flow, const struct rtp_header *h, int64_t ts_ns);

/* Take one RTP packet: count what becomes of it, keep its bytes if it is audio. */
void stream_take(struct media *m, uint32_t stream, const struct datagram *d,
		 const struct rtp_header *h);

/* The same for a frame of another stream's open chunk, which has been counted there.  False: it is not stored here. */
bool stream_adopt(struct media *m, uint32_t stream, const struct rtp_frame *f);

/* End the first stream of its flow's list: cut what came after until_ns (INT64_MAX: nothing), hand
 * over its open chunk, send its last record, free it.  (stream_end.c) */
void stream_end(struct media *m, uint32_t stream, int64_t until_ns);

/* Signalling has said more of what the payload types are. */
void stream_remap(struct media *m, uint32_t stream);

/* Close the chunks that have been open for a second. */
void stream_tick(struct media *m, int64_t now_ns);

/* ---- between the files of this folder ---- */

/* The open chunk (there is one) goes to its writer, and after the first, and then from time to time, what is known
 * of the stream. */
void stream_hand_over(struct media *m, uint32_t stream, bool last);
/* The open chunk goes back to the pool, as if it had never been. */
void stream_drop_chunk(struct media *m, uint32_t stream);
/* A stream without chunks is as if none of its packets had come; what it is to other streams stays. */
void stream_empty(struct media *m, uint32_t stream);
void stream_send_record(struct media *m, uint32_t stream, int64_t until_us);
/* The number of its call. */
uint64_t stream_call(const struct media *m, const struct stream *s);
/* What a payload type is to a stream; NULL: nobody knows. */
const struct media_payload *stream_payload(const struct media *m, const struct stream *s,
					   uint8_t type);

/* What is rare of a stream, to be changed; begun if it has none.  Before its numbering changes: by that it is begun. */
struct stream_rare *stream_rare(struct media *m, uint32_t stream);

/* The same to be read: zeros where there is none. */
static inline const struct stream_rare *stream_rare_of(const struct stream_set *t, uint32_t stream)
{
	static const struct stream_rare none;
	return t->cold[stream].rare == NONE ? &none : &t->rare[t->cold[stream].rare];
}

/* What RTCP reports of a stream, to be changed; begun if there is nothing yet.  The same to be read: zeros then. */
struct stream_reports *stream_reports(struct media *m, uint32_t stream);
static inline const struct stream_reports *stream_reports_of(const struct stream_set *t,
							     uint32_t stream)
{
	static const struct stream_reports none;
	return t->cold[stream].reported ? &t->reports[stream] : &none;
}

static inline bool stream_is_event_type(const struct stream_rare *r, uint8_t type)
{
	return r->event_types[type >> 6 & 1] >> (type & 63) & 1;
}

#endif
