/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* chunk.c: writing frame records, and reading them back.
 *
 * Writing runs on the capture thread, for every packet: one function, one branch for the usual
 * frame. Reading runs in the vault, on bodies that may be forged: everything is checked, nothing is
 * allocated, and any bytes end in frames, RC_END or RC_DAMAGED.
 */
#include "rtp/chunk.h"

#include "base/bytes.h"
#include "rtp/packet.h"

/* ---- writing ---------------------------------------------------------------------------- */

static bool has_extra(const struct chunk_frame *f)
{
	return f->header->first_octet != RTP_PLAIN;
}

/* What the flags name, in the order of the flags' bits. */
static uint8_t *put_named(uint8_t *t, unsigned flags, const struct chunk_writer *w,
			  const struct chunk_frame *f)
{
	const struct rtp_header *h = f->header;

	if (flags & CHUNK_SEQ) {
		put_u16_le(t, (uint16_t)(f->sequence - w->sequence));
		t += 2;
	}
	if (flags & CHUNK_TS) {
		put_u32_le(t, h->timestamp);
		t += 4;
	}
	if (flags & CHUNK_LEN) {
		put_u16_le(t, (uint16_t)f->stored);
		t += 2;
	}
	if (flags & CHUNK_TIME) {
		put_u64_le(t, (uint64_t)f->arrival_us);
		t += 8;
	}
	if (flags & CHUNK_PT)
		*t++ = h->payload_type;
	if (flags & CHUNK_EXTRA) {
		t[0] = h->first_octet;
		t[1] = (uint8_t)h->padding_len;
		put_u16_le(t + 2, (uint16_t)h->extra_len);
		t += 4;
	}
	if (flags & CHUNK_CUT) {
		put_u16_le(t, (uint16_t)f->wire);
		t += 2;
	}
	return t;
}

/* Take the frame's record of `flags` and its bytes. */
static inline void put_frame(struct chunk_writer *w, const struct chunk_frame *f, unsigned flags,
			     uint32_t since_us)
{
	uint8_t *t = w->chunk->table + w->table_at;

	put_u32_le(t, flags | since_us << 8);
	t += 4;
	if (UNLIKELY(flags & ~(unsigned)CHUNK_MARKER))
		t = put_named(t, flags, w, f);
	w->table_at = (uint16_t)(t - w->chunk->table);
	memcpy(w->chunk->payload + w->payload_at, f->header->extra, f->stored);
	w->payload_at = (uint16_t)(w->payload_at + f->stored);
	w->frames++;
	w->sequence = f->sequence;
	w->arrival_us = f->arrival_us;
	w->timestamp = f->header->timestamp;
	w->stored = (uint16_t)f->stored;
	w->payload_type = f->header->payload_type;
}

void chunk_open(struct chunk_writer *w, struct chunk *c, uint32_t ssrc, uint32_t time_step,
		const struct chunk_frame *f)
{
	uint8_t *h = c->header;

	h[0] = CHUNK_VERSION;
	h[1] = f->header->payload_type;
	put_u16_le(h + 2, (uint16_t)f->stored);
	put_u64_le(h + 16, f->sequence);
	put_u64_le(h + 24, (uint64_t)f->arrival_us);
	put_u32_le(h + 32, f->header->timestamp);
	put_u32_le(h + 36, ssrc);
	w->chunk = c;
	w->payload_at = w->table_at = w->frames = 0;
	w->time_step = time_step;
	w->step_known = time_step != 0;
	w->opened_us = (uint32_t)f->arrival_us;
	put_frame(w, f,
		  (f->header->marker ? CHUNK_MARKER : 0u) | (has_extra(f) ? CHUNK_EXTRA : 0u) |
			  (f->wire > f->stored ? CHUNK_CUT : 0u),
		  0);
}

/* A chunk begun without a time step learns it from its second frame, if that follows the first;
 * else every frame names its timestamp. */
static void learn_step(struct chunk_writer *w, const struct chunk_frame *f, uint64_t step)
{
	if (w->frames == 1 && step == 1)
		w->time_step = f->header->timestamp - w->timestamp;
	w->step_known = true;
}

void chunk_append(struct chunk_writer *w, const struct chunk_frame *f)
{
	const struct rtp_header *h = f->header;
	uint64_t step = f->sequence - w->sequence;
	uint64_t since_us = (uint64_t)f->arrival_us - (uint64_t)w->arrival_us;
	unsigned flags = h->marker ? CHUNK_MARKER : 0;

	if (UNLIKELY(!w->step_known))
		learn_step(w, f, step);
	if (step != 1)
		flags |= CHUNK_SEQ;
	if (h->timestamp != w->timestamp + (uint32_t)step * w->time_step)
		flags |= CHUNK_TS;
	if (f->stored != w->stored)
		flags |= CHUNK_LEN;
	if (UNLIKELY(since_us >= 1u << 24)) {
		flags |= CHUNK_TIME;
		since_us = 0;
	}
	if (h->payload_type != w->payload_type)
		flags |= CHUNK_PT;
	if (UNLIKELY(has_extra(f)))
		flags |= CHUNK_EXTRA;
	if (UNLIKELY(f->wire > f->stored))
		flags |= CHUNK_CUT;
	put_frame(w, f, flags, (uint32_t)since_us);
}

struct chunk *chunk_close(struct chunk_writer *w)
{
	struct chunk *c = w->chunk;

	put_u32_le(c->header + 4, w->frames);
	put_u32_le(c->header + 8, w->table_at);
	put_u32_le(c->header + 12, w->time_step);
	c->frames = w->frames;
	c->table_len = w->table_at;
	c->payload_len = w->payload_at;
	w->chunk = NULL;
	return c;
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Header apart from table and payload, as they lie in an open chunk. */
static bool reader_over(struct chunk_reader *r, const uint8_t header[CHUNK_HEADER],
			const uint8_t *table, const uint8_t *payload, const uint8_t *payload_end)
{
	struct bytes b = bytes_over(header, CHUNK_HEADER);

	memset(r, 0, sizeof *r);
	if (bytes_u8(&b) != CHUNK_VERSION)
		return false;
	r->last.payload_type = bytes_u8(&b) & 0x7f;
	r->stored_len = bytes_u16_le(&b);
	r->frames_left = bytes_u32_le(&b);
	uint32_t table_len = bytes_u32_le(&b);
	r->time_step = bytes_u32_le(&b);
	r->last.sequence = bytes_u64_le(&b);
	r->last.arrival_us = (int64_t)bytes_u64_le(&b);
	r->last.timestamp = bytes_u32_le(&b);
	r->table = table;
	r->table_end = table + table_len;
	r->payload = payload;
	r->payload_end = payload_end;
	r->first = true;
	return r->frames_left <= table_len / 4;
}

bool chunk_reader_init(struct chunk_reader *r, const uint8_t *body, size_t len)
{
	struct bytes b = bytes_over(body, len);
	const uint8_t *header = bytes_take(&b, CHUNK_HEADER);

	if (!header)
		return false;
	struct bytes at = bytes_over(header + 8, 4);
	uint32_t table_len = bytes_u32_le(&at);
	const uint8_t *table = bytes_take(&b, table_len);
	return table && reader_over(r, header, table, b.at, b.end);
}

/* Sequence number, timestamp and arrival: each named, or foretold from the frame before. */
static void read_place(struct chunk_reader *r, struct bytes *b, unsigned flags, uint32_t since_us,
		       struct rtp_frame *f)
{
	uint64_t step = r->first ? 0 : 1;

	if (flags & CHUNK_SEQ)
		step = (uint64_t)(int64_t)(int16_t)bytes_u16_le(b);
	f->sequence = r->last.sequence + step;
	f->timestamp = flags & CHUNK_TS ? bytes_u32_le(b)
					: r->last.timestamp + (uint32_t)step * r->time_step;
	if (flags & CHUNK_LEN)
		r->stored_len = bytes_u16_le(b);
	f->arrival_us = flags & CHUNK_TIME ? (int64_t)bytes_u64_le(b)
					   : (int64_t)((uint64_t)r->last.arrival_us + since_us);
}

/* Payload type, what the frame has beside its payload, and how long it was. */
static bool read_shape(struct chunk_reader *r, struct bytes *b, unsigned flags, struct rtp_frame *f)
{
	f->marker = flags & CHUNK_MARKER;
	f->payload_type = flags & CHUNK_PT ? bytes_u8(b) & 0x7f : r->last.payload_type;
	f->has_extra = flags & CHUNK_EXTRA;
	f->first_octet = f->has_extra ? bytes_u8(b) : RTP_PLAIN;
	f->padding_len = f->has_extra ? bytes_u8(b) : 0;
	f->extra_len = f->has_extra ? bytes_u16_le(b) : 0;
	f->wire_len = flags & CHUNK_CUT ? bytes_u16_le(b) : r->stored_len;
	if (b->failed || f->extra_len + f->padding_len > r->stored_len)
		return false;
	return !(flags & CHUNK_CUT) || f->wire_len > r->stored_len;
}

enum rc chunk_reader_next(struct chunk_reader *r, struct rtp_frame *f)
{
	if (r->frames_left == 0)
		return r->table == r->table_end && r->payload == r->payload_end ? RC_END
										: RC_DAMAGED;
	struct bytes b = bytes_over(r->table, (size_t)(r->table_end - r->table));
	uint32_t head = bytes_u32_le(&b);

	read_place(r, &b, head & 0xff, head >> 8, f);
	if (!read_shape(r, &b, head & 0xff, f) ||
	    (size_t)(r->payload_end - r->payload) < r->stored_len)
		return RC_DAMAGED;
	f->extra = r->payload;
	f->payload = f->extra + f->extra_len;
	f->payload_len = r->stored_len - f->extra_len - f->padding_len;
	r->payload += r->stored_len;
	r->table = b.at;
	r->last = *f;
	r->first = false;
	r->frames_left--;
	return RC_OK;
}

/* ---- an open chunk -------------------------------------------------------------------------- */

static void reader_over_open(struct chunk_reader *r, const struct chunk_writer *w)
{
	struct chunk *c = w->chunk;

	put_u32_le(c->header + 4, w->frames);
	put_u32_le(c->header + 8, w->table_at);
	put_u32_le(c->header + 12, w->time_step);
	ASSERT(reader_over(r, c->header, c->table, c->payload, c->payload + w->payload_at));
}

void chunk_tail(const struct chunk_writer *w, uint32_t n, struct chunk_reader *r)
{
	reader_over_open(r, w);
	/* When no record names anything, the last ones need not be reached from the first. */
	if (w->table_at != 4 * w->frames || n >= w->frames)
		return;
	struct bytes b = bytes_over(r->table_end - 4 * n, 4 * n);
	r->table = b.at;
	r->payload = r->payload_end - w->stored * n;
	r->frames_left = n;
	r->first = false;
	r->last.sequence = w->sequence - n;
	r->last.timestamp = w->timestamp - n * w->time_step;
	r->last.arrival_us = w->arrival_us;
	while (bytes_left(&b) > 0)
		r->last.arrival_us -= bytes_u32_le(&b) >> 8;
}

/* The writer as it was after the last frame that came by until_us. */
static struct chunk_writer writer_at(const struct chunk_writer *w, int64_t until_us)
{
	struct chunk_writer kept = *w;
	struct chunk_reader r;
	struct rtp_frame f;
	uint16_t frames = 0;

	kept.frames = kept.table_at = kept.payload_at = 0;
	reader_over_open(&r, w);
	while (chunk_reader_next(&r, &f) == RC_OK) {
		frames++;
		if (f.arrival_us > until_us)
			continue;
		kept.frames = frames;
		kept.table_at = (uint16_t)(r.table - w->chunk->table);
		kept.payload_at = (uint16_t)(r.payload - w->chunk->payload);
		kept.sequence = f.sequence;
		kept.arrival_us = f.arrival_us;
		kept.timestamp = f.timestamp;
		kept.stored = (uint16_t)r.stored_len;
		kept.payload_type = f.payload_type;
	}
	ASSERT(frames == w->frames);
	return kept;
}

void chunk_cut(struct chunk_writer *w, int64_t until_us,
	       void (*removed)(void *ctx, const struct rtp_frame *f), void *ctx)
{
	struct chunk_writer kept = writer_at(w, until_us);
	struct chunk_reader r;
	struct rtp_frame f;

	reader_over_open(&r, w);
	for (unsigned n = 0; n < w->frames && chunk_reader_next(&r, &f) == RC_OK; n++)
		if (n >= kept.frames)
			removed(ctx, &f);
	*w = kept;
}
