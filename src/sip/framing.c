/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* framing.c: a small machine over the bytes of a stream, one state at a time. */
#include "sip/framing.h"

#include "sip/sip.h"
#include "sip/span.h"

/* A body said to be longer than this is no body: the length is not believed. */
#define SKIP_MOST (1u << 20)

enum framing_state {
	FRAMING_LINE, /* a start line; empty lines before it are keep-alives (RFC 5626, 3.5.1) */
	FRAMING_PASS, /* on to the end of a line that is none */
	FRAMING_HEADER,
	FRAMING_BODY,
	FRAMING_SKIP /* the rest of a message that is too long */
};

static void begin_line(struct framing *f, const struct stream_room *room)
{
	rope_clear(room->blocks, &f->text);
	f->state = FRAMING_LINE;
	f->left = f->missing = 0;
	f->cut = false;
}

/* Not a start line where one must stand: counted once, until one is found. */
static void not_a_start(struct framing *f, const struct stream_room *room, bool line_over)
{
	begin_line(f, room);
	if (!line_over)
		f->state = FRAMING_PASS;
	if (!f->lost)
		count(room->counters, COUNT_TCP_RESYNC);
	f->lost = true;
}

void framing_lose(struct framing *f, const struct stream_room *room)
{
	not_a_start(f, room, true);
}

static void give(struct framing *f, const struct stream_room *room, const struct stream_out *out)
{
	uint32_t len = f->text.len;
	uint32_t wire_len = len + f->missing;
	rope_copy(&f->text, room->scratch);
	begin_line(f, room);
	out->message(out->ctx, room->scratch, len, wire_len);
}

/* ---- Content-Length ------------------------------------------------------------------------ */

/* RFC 3261, 20.14, in its long and compact form, the value perhaps on a folded line (7.3.1). */
static bool content_length(const uint8_t *header, uint32_t len, uint32_t *out)
{
	struct bytes text = bytes_over(header, len);
	struct span line;
	bool wanted = false;

	while (span_line(&text, &line)) {
		bool folded = line.len > 0 && span_is_blank(line.p[0]);
		struct span value = line;
		if (!folded) {
			struct span name = span_trim(span_until(&value, ':'));
			wanted = span_is(name, "Content-Length") || span_is(name, "l");
		}
		value = span_trim(value);
		if (wanted && value.len > 0)
			return span_number(&value, UINT32_MAX, out);
	}
	return false;
}

/* The header is whole: how long is the body? */
static void begin_body(struct framing *f, const struct stream_room *room,
		       const struct stream_out *out)
{
	uint32_t length = 0;

	rope_copy(&f->text, room->scratch);
	if (!content_length(room->scratch, f->text.len, &length))
		count(room->counters, COUNT_TCP_NO_LENGTH);
	if (length == 0) {
		give(f, room, out);
	} else if (length <= room->max_message - f->text.len) {
		f->state = FRAMING_BODY;
		f->left = length;
	} else {
		count(room->counters, COUNT_TCP_OVERSIZE);
		begin_line(f, room);
		if (length <= SKIP_MOST) {
			f->state = FRAMING_SKIP;
			f->left = length;
		}
	}
}

/* ---- the states: each takes bytes and tells how many -------------------------------------------- */

static size_t in_line(struct framing *f, const struct stream_room *room, const uint8_t *p, size_t n)
{
	if (f->text.len == 0 && (*p == '\r' || *p == '\n'))
		return 1;
	const uint8_t *lf = memchr(p, '\n', n);
	size_t part = lf ? (size_t)(lf - p) + 1 : n;
	if (f->text.len + part > START_LINE_MOST || f->text.len + part > room->max_message) {
		not_a_start(f, room, lf != NULL);
		return part;
	}
	rope_append(room->blocks, &f->text, p, part);
	if (!lf)
		return part;
	rope_copy(&f->text, room->scratch);
	if (sip_recognise(room->scratch, f->text.len) == SIP_NOT) {
		not_a_start(f, room, true);
		return part;
	}
	f->state = FRAMING_HEADER;
	f->lost = false;
	f->empty_line = true;
	return part;
}

static size_t in_pass(struct framing *f, const uint8_t *p, size_t n)
{
	const uint8_t *lf = memchr(p, '\n', n);
	if (!lf)
		return n;
	f->state = FRAMING_LINE;
	return (size_t)(lf - p) + 1;
}

/* One line of the header, or part of one. */
static size_t in_header(struct framing *f, const struct stream_room *room,
			const struct stream_out *out, const uint8_t *p, size_t n)
{
	const uint8_t *lf = memchr(p, '\n', n);
	size_t part = lf ? (size_t)(lf - p) + 1 : n;
	size_t text = lf ? part - 1 : part;

	if (f->text.len + part > room->max_message) {
		count(room->counters, COUNT_TCP_OVERSIZE);
		not_a_start(f, room, lf != NULL);
		return part;
	}
	rope_append(room->blocks, &f->text, p, part);
	bool empty = f->empty_line && (text == 0 || (text == 1 && p[0] == '\r'));
	f->empty_line = empty || lf;
	if (empty && lf)
		begin_body(f, room, out);
	return part;
}

static size_t in_body(struct framing *f, const struct stream_room *room,
		      const struct stream_out *out, const uint8_t *p, size_t n)
{
	size_t part = n < f->left ? n : f->left;
	if (!f->cut)
		rope_append(room->blocks, &f->text, p, part);
	else
		f->missing += (uint32_t)part;
	f->left -= (uint32_t)part;
	if (f->left == 0)
		give(f, room, out);
	return part;
}

static size_t in_skip(struct framing *f, const struct stream_room *room, size_t n)
{
	size_t part = n < f->left ? n : f->left;
	f->left -= (uint32_t)part;
	if (f->left == 0)
		begin_line(f, room);
	return part;
}

void framing_push(struct framing *f, const struct stream_room *room, const struct stream_out *out,
		  const uint8_t *p, size_t n)
{
	/* Whoever is lost takes the front of a segment for the front of a line: it usually is. */
	if (f->state == FRAMING_PASS)
		f->state = FRAMING_LINE;
	while (n) {
		size_t taken = 0;
		switch ((enum framing_state)f->state) {
		case FRAMING_LINE: taken = in_line(f, room, p, n); break;
		case FRAMING_PASS: taken = in_pass(f, p, n); break;
		case FRAMING_HEADER: taken = in_header(f, room, out, p, n); break;
		case FRAMING_BODY: taken = in_body(f, room, out, p, n); break;
		case FRAMING_SKIP: taken = in_skip(f, room, n); break;
		}
		p += taken;
		n -= taken;
	}
}

void framing_missing(struct framing *f, const struct stream_room *room,
		     const struct stream_out *out, uint32_t n)
{
	if (f->state == FRAMING_SKIP && n <= f->left) {
		f->left -= n;
		if (f->left == 0)
			begin_line(f, room);
	} else if (f->state == FRAMING_BODY && n <= f->left) {
		f->cut = true;
		f->missing += n;
		f->left -= n;
		if (f->left == 0)
			give(f, room, out);
	} else {
		framing_lose(f, room);
	}
}
