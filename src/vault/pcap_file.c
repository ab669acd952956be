/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pcap_file.c: a capture file, made in memory and in any order, written in order of time.
 *
 *   file header (24 bytes), then for each packet: header (16) | IPv4 (20) or IPv6 (40) | UDP (8) | payload
 *
 * Link type RAW (101): what was below IP is not known any more.  So are TTL and identification: they are 64, and the packet's
 * number.  Checksums are right, but of a packet that was cut, which has none.  Nothing here reads a recording; on the vault's
 * thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/whole.h"
#include "vault/pcap_file.h"

#define MAGIC_US      0xa1b2c3d4u
#define LINKTYPE_RAW  101
#define SNAP          262144
#define FILE_HEADER   24
#define HEADER        16
#define IPV4          20
#define IPV6          40
#define UDP           8
#define UDP_MAX       65507 /* payload of the largest datagram (RFC 768, RFC 791) */
#define TTL           64
#define DONT_FRAGMENT 0x4000
#define PROTOCOL_UDP  17
#define WRITE_AT_ONCE (1u << 20)

struct packet {
	int64_t ts_us;
	uint64_t number; /* as added: keeps order at the same time */
	size_t at;       /* in `bytes` */
	uint32_t len;
};

struct pcap_file {
	struct packet *packets; /* owned */
	size_t count, room;
	uint8_t *bytes; /* owned: the packets, each with its 16-byte header */
	size_t len, bytes_room;
};

struct pcap_file *pcap_file_new(void)
{
	struct pcap_file *f = calloc(1, sizeof *f);
	ASSERT(f);
	return f;
}

void pcap_file_free(struct pcap_file *f)
{
	if (!f)
		return;
	if (f->bytes)
		forget_bytes(f->bytes, f->len);
	free(f->bytes);
	free(f->packets);
	free(f);
}

size_t pcap_file_packets(const struct pcap_file *f)
{
	return f->count;
}

/* ---- one packet ---------------------------------------------------------------------------------------------- */

/* Room for n more bytes.  What grows is copied and wiped: these are somebody's words. */
static uint8_t *more_bytes(struct pcap_file *f, size_t n)
{
	if (f->len + n > f->bytes_room) {
		size_t room = 2 * f->bytes_room > f->len + n ? 2 * f->bytes_room
							     : f->len + n + WRITE_AT_ONCE;
		uint8_t *larger = malloc(room);
		if (!larger)
			return NULL;
		if (f->bytes) {
			memcpy(larger, f->bytes, f->len);
			forget_bytes(f->bytes, f->len);
		}
		free(f->bytes);
		f->bytes = larger;
		f->bytes_room = room;
	}
	f->len += n;
	return f->bytes + f->len - n;
}

static struct packet *more_packets(struct pcap_file *f)
{
	if (f->count == f->room) {
		size_t room = f->room ? 2 * f->room : 1024;
		struct packet *larger = reallocarray(f->packets, room, sizeof *larger);
		if (!larger)
			return NULL;
		f->packets = larger;
		f->room = room;
	}
	return &f->packets[f->count++];
}

/* The sum of RFC 1071 over big-endian words; an odd last byte is the high one. */
static uint32_t sum_words(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (len % 2)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put_ipv4(uint8_t *p, const struct pcap_packet *x, uint32_t wire, uint64_t number)
{
	memset(p, 0, IPV4);
	p[0] = 0x45;
	put_u16(p + 2, (uint16_t)(IPV4 + UDP + wire));
	put_u16(p + 4, (uint16_t)number);
	put_u16(p + 6, DONT_FRAGMENT);
	p[8] = TTL;
	p[9] = PROTOCOL_UDP;
	memcpy(p + 12, x->src.addr + 12, 4);
	memcpy(p + 16, x->dst.addr + 12, 4);
	put_u16(p + 10, (uint16_t)~sum_words(0, p, IPV4));
}

static void put_ipv6(uint8_t *p, const struct pcap_packet *x, uint32_t wire)
{
	memset(p, 0, IPV6);
	p[0] = 0x60;
	put_u16(p + 4, (uint16_t)(UDP + wire));
	p[6] = PROTOCOL_UDP;
	p[7] = TTL;
	memcpy(p + 8, x->src.addr, 16);
	memcpy(p + 24, x->dst.addr, 16);
}

/* With the sum over the pseudo header too (RFC 768; RFC 8200, 8.1); the payload stands behind it. */
static void put_udp(uint8_t *p, const struct pcap_packet *x, uint32_t wire, bool whole, bool v4)
{
	uint16_t length = (uint16_t)(UDP + wire);
	put_u16(p, x->src.port);
	put_u16(p + 2, x->dst.port);
	put_u16(p + 4, length);
	put_u16(p + 6, 0);
	if (!whole)
		return;
	size_t skip = v4 ? 12 : 0, len = v4 ? 4 : 16;
	uint32_t sum = sum_words(PROTOCOL_UDP + length, x->src.addr + skip, len);
	sum = sum_words(sum, x->dst.addr + skip, len);
	uint16_t check = (uint16_t)~sum_words(sum, p, length);
	put_u16(p + 6, check ? check : 0xffff);
}

const uint8_t *pcap_file_packet(struct pcap_file *f, const struct pcap_packet *x)
{
	uint32_t wire = x->wire_len < UDP_MAX ? x->wire_len : UDP_MAX;
	uint32_t len = x->len < wire ? x->len : wire;
	bool v4 = endpoint_is_v4(&x->src) && endpoint_is_v4(&x->dst);
	uint32_t head = (v4 ? IPV4 : IPV6) + UDP;
	uint64_t number = f->count + 1;
	struct packet *entry = more_packets(f);
	uint8_t *p = entry ? more_bytes(f, HEADER + head + len) : NULL;
	if (!p)
		return NULL;
	*entry = (struct packet){ x->ts_us, number, f->len - HEADER - head - len,
				  HEADER + head + len };
	put_u32_le(p, (uint32_t)(x->ts_us / 1000000));
	put_u32_le(p + 4, (uint32_t)(x->ts_us % 1000000));
	put_u32_le(p + 8, head + len);
	put_u32_le(p + 12, head + wire);
	p += HEADER;
	if (v4)
		put_ipv4(p, x, wire, number);
	else
		put_ipv6(p, x, wire);
	p += head;
	for (size_t i = 0, left = len; i < PCAP_PIECES && left; i++) {
		size_t n = x->pieces[i].len < left ? x->pieces[i].len : left;
		if (n)
			memcpy(p + (len - left), x->pieces[i].bytes, n);
		left -= n;
	}
	put_udp(p - UDP, x, wire, len == wire, v4);
	return p;
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	const struct packet *x = a, *y = b;
	if (x->ts_us != y->ts_us)
		return x->ts_us < y->ts_us ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static enum rc fault(struct error *err)
{
	return error_errno(err, RC_FAILED, errno, "the file cannot be written");
}

static enum rc write_packets(const struct pcap_file *f, int fd, uint8_t *buffer, struct error *err)
{
	size_t used = FILE_HEADER;
	memset(buffer, 0, FILE_HEADER);
	put_u32_le(buffer, MAGIC_US);
	put_u16_le(buffer + 4, 2); /* version 2.4 */
	put_u16_le(buffer + 6, 4);
	put_u32_le(buffer + 16, SNAP);
	put_u32_le(buffer + 20, LINKTYPE_RAW);
	for (size_t i = 0; i < f->count; i++) {
		const struct packet *p = &f->packets[i];
		if (used + p->len > WRITE_AT_ONCE) {
			if (!whole_write(fd, buffer, used))
				return fault(err);
			used = 0;
		}
		memcpy(buffer + used, f->bytes + p->at, p->len);
		used += p->len;
	}
	return whole_write(fd, buffer, used) ? RC_OK : fault(err);
}

enum rc pcap_file_write(struct pcap_file *f, int fd, struct error *err)
{
	uint8_t *buffer = malloc(WRITE_AT_ONCE);
	if (!buffer)
		return error_set(err, RC_FAILED, "not enough memory");
	if (f->count)
		qsort(f->packets, f->count, sizeof *f->packets, by_time);
	enum rc rc = write_packets(f, fd, buffer, err);
	forget_bytes(buffer, WRITE_AT_ONCE);
	free(buffer);
	return rc;
}

int64_t pcap_file_first_us(const struct pcap_file *f)
{
	return f->count ? f->packets[0].ts_us : 0;
}

int64_t pcap_file_last_us(const struct pcap_file *f)
{
	return f->count ? f->packets[f->count - 1].ts_us : 0;
}
