/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* websocket.c: frame after frame.
 *
 *   0        1        2                        ...
 *   F RSV op M length  [16 or 64 bits of length] [mask, 4] payload     (RFC 6455, 5.2)
 */
#include "sip/websocket.h"

#include "base/bytes.h"
#include "sip/sip.h"

#define FRAME_MOST (1u << 20) /* a longer one is none */
#define LOOK_MOST  512        /* bytes of a payload that tell a SIP message */

enum opcode { OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };

struct frame_head {
	uint64_t length;
	uint8_t mask[4];
	uint8_t opcode;
	bool final, bad;
};

/* Bytes the header has that begins with these n (2 at least). */
static size_t head_size(const uint8_t *p)
{
	uint8_t length = p[1] & 0x7f;
	size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
	return 2 + extended + (p[1] & 0x80 ? 4 : 0);
}

/* No extension is negotiated that uses the RSV bits; control frames are short and whole (5.5). */
static bool bad_start(const uint8_t *p)
{
	uint8_t opcode = p[0] & 0x0f;
	bool control = opcode >= OP_CLOSE;
	return (p[0] & 0x70) || (opcode > OP_BINARY && !control) || opcode > OP_PONG ||
	       (control && (!(p[0] & 0x80) || (p[1] & 0x7f) > 125));
}

/* p has head_size() bytes. */
static struct frame_head read_head(const uint8_t *p)
{
	struct bytes b = bytes_over(p, head_size(p));
	uint8_t first = bytes_u8(&b), second = bytes_u8(&b);
	struct frame_head h = { .length = second & 0x7f,
				.opcode = first & 0x0f,
				.final = first & 0x80 };

	if (h.length == 126) {
		h.length = bytes_u16(&b);
	} else if (h.length == 127) {
		h.length = (uint64_t)bytes_u32(&b) << 32;
		h.length |= bytes_u32(&b);
	}
	for (unsigned i = 0; (second & 0x80) && i < sizeof h.mask; i++)
		h.mask[i] = bytes_u8(&b);
	h.bad = bad_start(p) || h.length > FRAME_MOST;
	return h;
}

bool websocket_begins(const uint8_t *p, size_t n)
{
	uint8_t text[LOOK_MOST];

	if (n < 2 || (p[0] != 0x81 && p[0] != 0x82 && p[0] != 0x01 && p[0] != 0x02) ||
	    n <= head_size(p))
		return false;
	struct frame_head h = read_head(p);
	size_t head = head_size(p);
	size_t len = n - head < h.length ? n - head : (size_t)h.length;
	if (h.bad || len == 0)
		return false;
	if (len > sizeof text)
		len = sizeof text;
	text[0] = 0;
	for (size_t i = 0; i < len; i++)
		text[i] = p[head + i] ^ h.mask[i % 4];
	const uint8_t *lf = memchr(text, '\n', len);
	return lf && text[0] >= 'A' && text[0] <= 'Z' &&
	       sip_recognise(text, (uint32_t)(lf - text) + 1) != SIP_NOT;
}

/* ---- messages -------------------------------------------------------------------------------- */

static void end_message(struct websocket *w, const struct stream_room *room)
{
	rope_clear(room->blocks, &w->text);
	w->in_message = w->cut = w->oversize = false;
	w->missing = 0;
}

static void lose(struct websocket *w, const struct stream_room *room)
{
	end_message(w, room);
	w->head_len = 0;
	w->left = 0;
	w->in_payload = false;
	if (!w->lost)
		count(room->counters, COUNT_TCP_RESYNC);
	w->lost = true;
}

void websocket_lose(struct websocket *w, const struct stream_room *room)
{
	lose(w, room);
}

/* A keep-alive is CRLF CRLF alone (RFC 7118, 6). */
static void give(struct websocket *w, const struct stream_room *room, const struct stream_out *out)
{
	uint32_t len = w->text.len;
	uint32_t wire_len = len + w->missing;
	bool sip = !w->oversize && len > 0;

	if (w->oversize)
		count(room->counters, COUNT_TCP_OVERSIZE);
	if (sip)
		rope_copy(&w->text, room->scratch);
	end_message(w, room);
	if (!sip || room->scratch[0] == '\r' || room->scratch[0] == '\n')
		return;
	if (sip_recognise(room->scratch, len) == SIP_NOT)
		count(room->counters, COUNT_WEBSOCKET_OTHER);
	else
		out->message(out->ctx, room->scratch, len, wire_len);
}

static void end_frame(struct websocket *w, const struct stream_room *room,
		      const struct stream_out *out)
{
	w->in_payload = false;
	if (!w->control && w->final)
		give(w, room, out);
}

/* The header is whole. */
static void begin_frame(struct websocket *w, const struct stream_room *room,
			const struct stream_out *out)
{
	struct frame_head h = read_head(w->head);
	bool control = h.opcode >= OP_CLOSE;

	w->head_len = 0;
	if (h.bad || (!control && (h.opcode == OP_CONTINUATION) != w->in_message)) {
		count(room->counters, COUNT_WEBSOCKET_MALFORMED);
		lose(w, room);
		return;
	}
	memcpy(w->mask, h.mask, sizeof w->mask);
	w->control = control;
	w->final = h.final;
	w->left = (uint32_t)h.length;
	w->masked = 0;
	w->in_payload = true;
	w->in_message |= !control;
	if (w->left == 0)
		end_frame(w, room, out);
}

static size_t in_head(struct websocket *w, const struct stream_room *room,
		      const struct stream_out *out, const uint8_t *p)
{
	w->head[w->head_len++] = *p;
	if (w->head_len == 2 && bad_start(w->head)) {
		count(room->counters, COUNT_WEBSOCKET_MALFORMED);
		lose(w, room);
	} else if (w->head_len >= 2 && w->head_len == head_size(w->head)) {
		begin_frame(w, room, out);
	}
	return 1;
}

static void keep(struct websocket *w, const struct stream_room *room, const uint8_t *p, size_t n)
{
	uint8_t clear[256];
	if (w->text.len + n > room->max_message) {
		w->oversize = true;
		rope_clear(room->blocks, &w->text);
	}
	if (w->oversize)
		return;
	for (size_t done = 0; done < n;) {
		size_t part = n - done < sizeof clear ? n - done : sizeof clear;
		for (size_t i = 0; i < part; i++)
			clear[i] = p[done + i] ^ w->mask[(w->masked + done + i) % 4];
		rope_append(room->blocks, &w->text, clear, part);
		done += part;
	}
}

static size_t in_payload(struct websocket *w, const struct stream_room *room,
			 const struct stream_out *out, const uint8_t *p, size_t n)
{
	size_t part = n < w->left ? n : w->left;
	if (!w->control && w->cut)
		w->missing += (uint32_t)part;
	else if (!w->control)
		keep(w, room, p, part);
	w->masked += (uint32_t)part;
	w->left -= (uint32_t)part;
	if (w->missing > FRAME_MOST)
		lose(w, room);
	else if (w->left == 0)
		end_frame(w, room, out);
	return part;
}

void websocket_push(struct websocket *w, const struct stream_room *room,
		    const struct stream_out *out, const uint8_t *p, size_t n)
{
	if (w->lost)
		w->lost = !websocket_begins(p, n);
	while (n && !w->lost) {
		size_t taken =
			w->in_payload ? in_payload(w, room, out, p, n) : in_head(w, room, out, p);
		p += taken;
		n -= taken;
	}
}

void websocket_missing(struct websocket *w, const struct stream_room *room,
		       const struct stream_out *out, uint32_t n)
{
	if (!w->in_payload || n > w->left) {
		lose(w, room);
		return;
	}
	if (!w->control) {
		w->cut = true;
		w->missing += n;
	}
	w->masked += n;
	w->left -= n;
	if (w->missing > FRAME_MOST)
		lose(w, room);
	else if (w->left == 0)
		end_frame(w, room, out);
}
