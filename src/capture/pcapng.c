/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pcapng.c: see pcapng.h.
 *
 *     block: | type (4) | length in all (4) | body, padded to 4 | length again (4) |
 *
 * A section header says in which byte order its section is.  Blocks we do not know are skipped.
 */
#include "capture/pcapng.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "capture/staging.h"

#define BLOCK_SECTION     0x0a0d0d0a
#define BLOCK_INTERFACE   1
#define BLOCK_PACKET_OLD  2
#define BLOCK_SIMPLE      3
#define BLOCK_PACKET      6
#define BYTE_ORDER_MAGIC  0x1a2b3c4d
#define BLOCK_MOST        (16u << 20) /* as libpcap */
#define INTERFACES_MOST   4096
#define OPTION_RESOLUTION 9
#define OPTION_OFFSET     14
#define SECONDS_MOST      (INT64_MAX / NS_PER_S - 1)

struct interface {
	uint16_t link_type;
	uint32_t snaplen;
	int64_t offset_s;
	uint8_t resolution; /* units a second: 10 to the power of it, or (top bit set) 2 */
};

struct pcapng {
	FILE *stream;             /* borrowed */
	bool big_endian, section; /* of the section we are in; we are in one */
	uint8_t *body;            /* owned: of the newest block */
	uint32_t body_len, body_room;
	struct interface *interfaces; /* owned */
	uint32_t interfaces_count, interfaces_room;
	char why[160];
};

bool pcapng_is(FILE *stream)
{
	int c = getc(stream);

	if (c != EOF)
		(void)ungetc(c, stream);
	return c == (BLOCK_SECTION & 0xff);
}

struct pcapng *pcapng_new(FILE *stream)
{
	struct pcapng *p = calloc(1, sizeof *p);

	if (p)
		p->stream = stream;
	return p;
}

void pcapng_free(struct pcapng *p)
{
	if (!p)
		return;
	free(p->body);
	free(p->interfaces);
	free(p);
}

const char *pcapng_failure(const struct pcapng *p)
{
	return p->why;
}

static PRINTF_LIKE(2, 3) enum capture_file_read broken(struct pcapng *p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(p->why, sizeof p->why, fmt, args);
	va_end(args);
	return CAPTURE_FILE_BROKEN;
}

/* ---- numbers in the section's order ------------------------------------------------------ */

static uint16_t u16(const struct pcapng *p, struct bytes *b)
{
	return p->big_endian ? bytes_u16(b) : bytes_u16_le(b);
}

static uint32_t u32(const struct pcapng *p, struct bytes *b)
{
	return p->big_endian ? bytes_u32(b) : bytes_u32_le(b);
}

static uint64_t u64(const struct pcapng *p, struct bytes *b)
{
	uint64_t first = u32(p, b), second = u32(p, b);

	return p->big_endian ? first << 32 | second : second << 32 | first;
}

/* ---- blocks -------------------------------------------------------------------------------- */

/* Read `n` bytes; END when there is none at all. */
static enum capture_file_read take(struct pcapng *p, void *to, uint32_t n)
{
	size_t got = fread(to, 1, n, p->stream);

	if (LIKELY(got == n))
		return CAPTURE_FILE_FRAME;
	if (ferror(p->stream))
		return broken(p, "error reading dump file");
	if (!got)
		return CAPTURE_FILE_END;
	return broken(p, "truncated dump file; tried to read %u bytes, only got %zu", n, got);
}

/* The same where there must be some. */
static enum capture_file_read take_all(struct pcapng *p, void *to, uint32_t n)
{
	enum capture_file_read r = take(p, to, n);

	if (UNLIKELY(r == CAPTURE_FILE_END))
		return broken(p, "truncated dump file; tried to read %u bytes, only got 0", n);
	return r;
}

static bool make_room(struct pcapng *p, uint32_t n)
{
	if (LIKELY(n <= p->body_room))
		return true;
	uint32_t room = n < 65536 ? 65536 : n;
	uint8_t *body = realloc(p->body, room);
	if (!body)
		return false;
	p->body = body;
	p->body_room = room;
	return true;
}

/* The byte order of the section that begins: its magic stands behind the length. */
static enum capture_file_read read_order(struct pcapng *p, uint8_t magic[4])
{
	enum capture_file_read r = take_all(p, magic, 4);
	struct bytes b = bytes_over(magic, 4);

	if (r != CAPTURE_FILE_FRAME)
		return r;
	p->big_endian = bytes_u32(&b) == BYTE_ORDER_MAGIC;
	b = bytes_over(magic, 4);
	if (!p->big_endian && bytes_u32_le(&b) != BYTE_ORDER_MAGIC)
		return broken(p, "a section of unknown byte order");
	p->section = true;
	p->interfaces_count = 0;
	return CAPTURE_FILE_FRAME;
}

/* Version: major (2), minor (2); 1.0, of which some write 1.2. */
static enum capture_file_read check_version(struct pcapng *p)
{
	struct bytes b = bytes_over(p->body, p->body_len);

	bytes_skip(&b, 4);
	uint16_t major = u16(p, &b), minor = u16(p, &b);
	if (b.failed || major != 1 || (minor != 0 && minor != 2))
		return broken(p, "unsupported pcapng savefile version %u.%u", major, minor);
	return CAPTURE_FILE_FRAME;
}

/* Read one block; FRAME means that type and body are there. */
static enum capture_file_read read_block(struct pcapng *p, uint32_t *type)
{
	uint8_t head[8], magic[4];
	enum capture_file_read r = take(p, head, sizeof head);
	uint32_t have = 0;

	if (r != CAPTURE_FILE_FRAME)
		return r;
	struct bytes b = bytes_over(head, sizeof head);
	*type = u32(p, &b);
	if (*type == BLOCK_SECTION) { /* the same in both orders */
		if ((r = read_order(p, magic)) != CAPTURE_FILE_FRAME)
			return r;
		have = sizeof magic;
	}
	if (!p->section)
		return broken(p, "unknown file format");
	b = bytes_over(head + 4, 4);
	uint32_t len = u32(p, &b);
	if (len < 12 + have || len > BLOCK_MOST || len % 4)
		return broken(p, "a block of %u bytes", len);
	p->body_len = len - 12;
	if (!make_room(p, len))
		return broken(p, "not enough memory for a block of %u bytes", len);
	memcpy(p->body, magic, have);
	r = take_all(p, p->body + have, len - 8 - have); /* with the length at its end */
	if (r != CAPTURE_FILE_FRAME)
		return r;
	b = bytes_over(p->body + p->body_len, 4);
	uint32_t again = u32(p, &b);
	if (again != len)
		return broken(p, "a block of %u bytes that ends as one of %u", len, again);
	return *type == BLOCK_SECTION ? check_version(p) : CAPTURE_FILE_FRAME;
}

/* ---- interfaces ------------------------------------------------------------------------------ */

/* Options: code (2), length (2), value padded to 4; code 0 ends them. */
static bool read_options(struct pcapng *p, struct bytes *b, struct interface *i)
{
	while (bytes_left(b) >= 4) {
		uint16_t code = u16(p, b), len = u16(p, b);
		if (!code)
			break;
		struct bytes value = *b;
		bytes_skip(b, (len + 3u) & ~3u);
		if (b->failed)
			return false;
		if (code == OPTION_RESOLUTION && len == 1)
			i->resolution = bytes_u8(&value);
		if (code == OPTION_OFFSET && len == 8)
			i->offset_s = (int64_t)u64(p, &value);
	}
	return i->resolution < 128 ? i->resolution <= 19 : (i->resolution & 127) <= 63;
}

/* Two link types have other numbers in files than pcap_datalink() gives them. */
static uint16_t live_number(uint16_t link_type)
{
	switch (link_type) {
	case 100: return 11; /* ATM, RFC 2684 */
	case 101: return 12; /* raw IP */
	default: return link_type;
	}
}

/* Link type (2), reserved (2), snap length (4; 0: no limit), options. */
static enum capture_file_read read_interface(struct pcapng *p)
{
	struct bytes b = bytes_over(p->body, p->body_len);
	struct interface i = { .resolution = 6 };

	i.link_type = live_number(u16(p, &b));
	bytes_skip(&b, 2);
	i.snaplen = u32(p, &b);
	if (b.failed || !read_options(p, &b, &i))
		return broken(p, "an interface whose description is broken");
	if (p->interfaces_count == p->interfaces_room) {
		uint32_t room = p->interfaces_room ? p->interfaces_room * 2 : 8;
		struct interface *more = room <= INTERFACES_MOST
						 ? realloc(p->interfaces, room * sizeof *more)
						 : NULL;
		if (!more)
			return broken(p, "more than %u interfaces", p->interfaces_room);
		p->interfaces = more;
		p->interfaces_room = room;
	}
	p->interfaces[p->interfaces_count++] = i;
	return CAPTURE_FILE_FRAME;
}

/* Units of the interface to nanoseconds; what no clock shows is as far as our time goes. */
static int64_t packet_time(const struct interface *i, uint64_t units)
{
	uint64_t s, ns;

	if (i->resolution & 128) {
		unsigned power = i->resolution & 127;
		uint64_t rest = units & ((UINT64_C(1) << power) - 1);
		unsigned shift = power > 32 ? power - 32 : 0;
		s = units >> power;
		ns = (rest >> shift) * (uint64_t)NS_PER_S >> (power - shift);
	} else {
		uint64_t a_second = 1;
		for (unsigned n = 0; n < i->resolution; n++)
			a_second *= 10;
		s = units / a_second;
		ns = units % a_second;
		for (unsigned n = i->resolution; n < 9; n++)
			ns *= 10;
		for (unsigned n = i->resolution; n > 9; n--)
			ns /= 10;
	}
	int64_t sum;
	if (s > SECONDS_MOST || __builtin_add_overflow((int64_t)s, i->offset_s, &sum) ||
	    sum > SECONDS_MOST)
		sum = SECONDS_MOST;
	return (sum < 0 ? 0 : sum) * NS_PER_S + (int64_t)ns;
}

/* ---- packets --------------------------------------------------------------------------------- */

/* Interface (4; 2 and a count of drops in the older kind), time (8, high half first), bytes captured
 * (4), bytes on the wire (4), the bytes, options. */
static enum capture_file_read read_packet(struct pcapng *p, struct frame *f, bool old)
{
	struct bytes b = bytes_over(p->body, p->body_len);
	uint32_t number = old ? u16(p, &b) : u32(p, &b);

	if (old)
		bytes_skip(&b, 2);
	uint64_t units = (uint64_t)u32(p, &b) << 32;
	units |= u32(p, &b);
	uint32_t len = u32(p, &b), wire_len = u32(p, &b);
	const uint8_t *bytes = bytes_take(&b, len);
	if (UNLIKELY(!bytes))
		return broken(p, "a packet longer than its block");
	if (UNLIKELY(number >= p->interfaces_count))
		return broken(p, "a packet of interface %u, which is not described", number);
	const struct interface *i = &p->interfaces[number];
	*f = (struct frame){ .ts_ns = packet_time(i, units),
			     .bytes = bytes,
			     .len = len < STAGING_FRAME ? len : STAGING_FRAME,
			     .wire_len = wire_len > len ? wire_len : len,
			     .link_type = i->link_type };
	return CAPTURE_FILE_FRAME;
}

/* Bytes on the wire (4), then as many as the first interface's snap length allows.  No time. */
static enum capture_file_read read_simple(struct pcapng *p, struct frame *f)
{
	struct bytes b = bytes_over(p->body, p->body_len);
	uint32_t wire_len = u32(p, &b);

	if (!p->interfaces_count || b.failed)
		return broken(p, "a packet of interface 0, which is not described");
	uint32_t len = (uint32_t)bytes_left(&b), snaplen = p->interfaces[0].snaplen;
	len = len < wire_len ? len : wire_len;
	len = !snaplen || len < snaplen ? len : snaplen;
	*f = (struct frame){ .bytes = b.at,
			     .len = len < STAGING_FRAME ? len : STAGING_FRAME,
			     .wire_len = wire_len,
			     .link_type = p->interfaces[0].link_type };
	return CAPTURE_FILE_FRAME;
}

enum capture_file_read pcapng_begin(struct pcapng *p, uint16_t *link_type)
{
	while (!p->interfaces_count) {
		uint32_t type;
		enum capture_file_read r = read_block(p, &type);
		if (r == CAPTURE_FILE_FRAME && type == BLOCK_INTERFACE)
			r = read_interface(p);
		else if (r == CAPTURE_FILE_FRAME &&
			 (type == BLOCK_PACKET || type == BLOCK_SIMPLE || type == BLOCK_PACKET_OLD))
			r = broken(p, "a packet before any interface");
		if (r != CAPTURE_FILE_FRAME)
			return r;
	}
	*link_type = p->interfaces[0].link_type;
	return CAPTURE_FILE_FRAME;
}

enum capture_file_read pcapng_next(struct pcapng *p, struct frame *frame)
{
	for (;;) {
		uint32_t type;
		enum capture_file_read r = read_block(p, &type);
		if (UNLIKELY(r != CAPTURE_FILE_FRAME))
			return r;
		switch (type) {
		case BLOCK_PACKET: return read_packet(p, frame, false);
		case BLOCK_PACKET_OLD: return read_packet(p, frame, true);
		case BLOCK_SIMPLE: return read_simple(p, frame);
		case BLOCK_INTERFACE: r = read_interface(p); break;
		default: break;
		}
		if (r != CAPTURE_FILE_FRAME)
			return r;
	}
}
