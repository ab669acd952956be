/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* load.h: telephone calls made in memory, frame by frame, faster than anybody records them.
 *
 * A *line* is a pair of telephones that make `waves` calls, one after the other.  Each call has
 * INVITE, 180, 200, ACK, audio both ways, BYE and 200, on addresses, ports, numbers, tags and
 * SSRCs of its own.  The frames of all lines come in order of time, as a link would carry them:
 *
 *   signalling   INVITE   180   200 ACK                         BYE 200
 *   caller                         a   a   a   a   a   a   a   a
 *   callee                       b   b   b   b   b   b   b   b
 *
 * Two voices never share a moment: each has its own place within every ptime, so what comes next
 * is the next voice of an array, or a message that is due before it.  A voice is one cache line with
 * its frame's head ready made, in which only sequence and timestamp change; its audio is a piece of
 * noise made at the start, with a number in front that no other packet has.
 *
 * The first packet of a voice and its last always come, in their place: so each packet that is lost
 * is one that a recorder can miss.
 *
 * One thread; the same settings give the same frames.  What came of it is counted to the packet.
 */
#ifndef CALLSPAN_BENCH_LOAD_H
#define CALLSPAN_BENCH_LOAD_H

#include "base/rc.h"
#include "load/wire.h"

#define LOAD_BURST      64
#define LOAD_MAX_LINES  60000     /* addresses and ports stay distinct up to here */
#define LOAD_MAX_CALLS  100000000 /* so that numbers do too */
#define LOAD_MIN_PTIME  10
#define LOAD_MAX_PTIME  60
#define LOAD_FRAME_ROOM (WIRE_TUNNEL_MOST + WIRE_MESSAGE_AT_MOST + 1408)

enum load_codec { LOAD_PCMU, LOAD_PCMA, LOAD_G722, LOAD_G729, LOAD_OPUS, LOAD_CODECS };
extern const char *const load_codec_names[LOAD_CODECS]; /* the SDP's: "PCMU" */

struct load_settings {
	uint32_t lines, waves, ptime_ms;
	double seconds;       /* of each call's audio; 0: signalling alone */
	double ramp;          /* the first calls begin within so many seconds, evenly spread */
	double churn;         /* calls set up, and as many ended, a second; 0: as above say */
	double loss, reorder; /* per cent of audio packets */
	double tcp;           /* per cent of lines with their signalling on TCP */
	double tunnel[WIRE_TUNNELS]; /* per cent of lines; the rest is plain */
	bool codecs[LOAD_CODECS];    /* lines take turns at those that are set */
	uint64_t seed;
};

/* Audio packets of one codec. */
struct load_audio {
	uint64_t packets, bytes;
};

struct load_tally {
	uint64_t packets, bytes;  /* frames, and all their bytes */
	uint64_t sip, sip_tcp;    /* messages; of them in TCP */
	uint64_t calls, streams;  /* begun; streams have audio */
	uint64_t lost, reordered; /* audio: never sent; sent after a later one */
	struct load_audio audio[LOAD_CODECS];
	uint64_t tunnel[WIRE_TUNNELS]; /* frames */
	int64_t last_ns;               /* the last frame's time */
};

struct load_frame {
	uint8_t *bytes; /* the caller's: room for LOAD_FRAME_ROOM bytes */
	uint32_t len;
	int64_t at_ns; /* Unix */
};

struct load;

/* The settings with their usual values. */
struct load_settings load_defaults(void);

/* Make the lines.  RC_USAGE when the settings do not go together. */
enum rc load_new(struct load **out, const struct load_settings *s, struct error *err) MUST_USE;
void load_free(struct load *l);

/* Make up to `most` frames (2 or more) into frames[].bytes; gives how many, 0 when all calls are over. */
unsigned load_next(struct load *l, struct load_frame *frames, unsigned most);

const struct load_tally *load_told(const struct load *l);
int64_t load_begin_ns(void);

#endif
