/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* chunk.h: a stream's open chunk, written while frames come.
 *
 * Frames stand in order of arrival.  What can be foretold from the frame before (next sequence
 * number, the usual time step, the same length and payload type) is left out, so the usual frame
 * costs 4 bytes beside its payload; docs/segment-format.md has the layout.  Header, table and
 * payload lie in fixed places of the buffer: closing moves nothing.
 *
 * One thread owns a writer and its chunk.  Nothing here allocates.
 */
#ifndef CALLSPAN_RTP_CHUNK_H
#define CALLSPAN_RTP_CHUNK_H

#include "rtp/rtp.h"

#define CHUNK_VERSION 1

/* What a frame record names beside the arrival (its first octet). */
enum chunk_flag {
	CHUNK_SEQ = 0x01,    /* i16: difference of the extended sequence number, if not 1 */
	CHUNK_TS = 0x02,     /* u32: RTP timestamp, if not as foretold */
	CHUNK_LEN = 0x04,    /* u16: stored length, if not as before */
	CHUNK_TIME = 0x08,   /* i64: arrival, if the u24 cannot tell it */
	CHUNK_MARKER = 0x10, /* the RTP marker bit */
	CHUNK_PT = 0x20,     /* u8: payload type, if not as before */
	CHUNK_EXTRA =
		0x40, /* u8 first octet, u8 padding length, u16 length of CSRC list and extension */
	CHUNK_CUT = 0x80 /* u16: length on the wire, if cut by the snap length */
};
#define CHUNK_RECORD_MAX 28 /* 1+3 +2+4+2+8+1+4+2, rounded up */

/* A frame on its way into a chunk. */
struct chunk_frame {
	uint64_t sequence; /* extended */
	int64_t arrival_us;
	const struct rtp_header *header; /* header->extra is where the stored bytes begin */
	uint32_t stored;                 /* bytes there are: extra, payload, padding */
	uint32_t wire;                   /* bytes there were on the wire (>= stored) */
};

/* The hot part of a stream: where its next frame goes, and the frame before. */
struct chunk_writer {
	struct chunk *chunk; /* owned; NULL: none open */
	uint64_t sequence;   /* of the frame before; 0: there was none */
	int64_t arrival_us;
	uint32_t timestamp;
	uint32_t time_step; /* this chunk's */
	uint32_t opened_us; /* low half of the first frame's arrival */
	uint16_t payload_at, table_at, frames, stored;
	uint8_t payload_type;
	bool step_known; /* time_step may not change any more */
};

/* Begin chunk `c` (moved to the writer) with frame `f`, which must fit.  time_step 0: not known
 * yet. */
void chunk_open(struct chunk_writer *w, struct chunk *c, uint32_t ssrc, uint32_t time_step,
		const struct chunk_frame *f);

/* Is there room for `f`, and can its record tell it? */
static inline bool chunk_fits(const struct chunk_writer *w, const struct chunk_frame *f)
{
	uint64_t step = f->sequence - w->sequence + 32768;
	return w->payload_at + f->stored <= CHUNK_PAYLOAD &&
	       w->table_at + CHUNK_RECORD_MAX <= CHUNK_TABLE && step < 65536;
}

void chunk_append(struct chunk_writer *w, const struct chunk_frame *f);

/* Finish the header; the chunk moves to the caller, who still has to say whose it is. */
struct chunk *chunk_close(struct chunk_writer *w);

/* Cut the frames after the last one that arrived by until_us, telling `removed` of each.  With no
 * frame left the chunk is still open, and must not be closed but given back. */
void chunk_cut(struct chunk_writer *w, int64_t until_us,
	       void (*removed)(void *ctx, const struct rtp_frame *f), void *ctx);

/* Read back the open chunk: at least its last n frames. */
void chunk_tail(const struct chunk_writer *w, uint32_t n, struct chunk_reader *r);

#endif
