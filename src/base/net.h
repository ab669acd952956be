/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* net.h: what capture hands on: link frames in, UDP datagrams out.
 *
 * These are messages, not objects: plain structs that any folder may fill or
 * read.  All bytes are borrowed until the burst they came in is over.
 */
#ifndef CALLSPAN_BASE_NET_H
#define CALLSPAN_BASE_NET_H

#include <string.h>

#include "base/rc.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

/* An address and a UDP port.  IPv4 stands as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so
 * that one comparison serves both families.  No padding bits are ever set: it may
 * be hashed and compared as bytes. */
struct endpoint {
	uint8_t addr[16];
	uint16_t port; /* host order */
	uint8_t zero[6];
};
_Static_assert(sizeof(struct endpoint) == 24, "hashed as three words");

/* One frame from the wire or from a capture file. */
struct frame {
	int64_t ts_ns;         /* packet time, since 1970 UTC */
	const uint8_t *bytes;  /* borrowed: until the next burst */
	uint32_t len;          /* bytes captured */
	uint32_t wire_len;     /* bytes there were on the wire (>= len) */
	uint16_t link_type;    /* as libpcap gives it (DLT_*); LINKTYPE_RAW (101) is taken too */
	uint16_t interface_no; /* which source, from 0 */
};

/* One UDP datagram. */
struct datagram {
	int64_t ts_ns;
	struct endpoint src, dst;
	const uint8_t *payload; /* borrowed, as the frame's bytes */
	uint32_t len;           /* payload bytes captured */
	uint32_t wire_len; /* payload bytes by the UDP header (> len: cut by the snap length) */
};

/* Part of something larger: an IP fragment, or a TCP segment.  Whoever puts them together gives a
 * `struct datagram` each for what comes out. */
enum piece_kind { PIECE_FRAGMENT, PIECE_SEGMENT };

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04

struct piece {
	int64_t ts_ns;
	struct endpoint src, dst; /* ports are 0 in a fragment */
	const uint8_t *bytes; /* borrowed, as the frame's: what follows the IP (or TCP) header */
	uint32_t len;         /* bytes captured */
	uint32_t wire_len;    /* bytes there were (> len: cut by the snap length) */
	uint8_t kind;         /* enum piece_kind */
	uint8_t depth;        /* layers decoded so far, for the bound on nesting */
	/* PIECE_FRAGMENT (RFC 791, 3.2; RFC 8200, 4.5) */
	uint8_t protocol; /* of what is fragmented */
	bool more;        /* it is not the last */
	uint32_t id;      /* 16 bits in IPv4 */
	uint32_t offset;  /* bytes */
	/* PIECE_SEGMENT (RFC 9293, 3.1) */
	uint32_t sequence;
	uint8_t flags; /* TCP_* */
};

static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

static inline bool endpoint_is_v4(const struct endpoint *e)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	return memcmp(e->addr, mapped, sizeof mapped) == 0;
}

static inline void endpoint_set_v4(struct endpoint *e, const uint8_t addr[4], uint16_t port)
{
	memset(e, 0, sizeof *e);
	e->addr[10] = e->addr[11] = 0xff;
	memcpy(e->addr + 12, addr, 4);
	e->port = port;
}

static inline void endpoint_set_v6(struct endpoint *e, const uint8_t addr[16], uint16_t port)
{
	memset(e, 0, sizeof *e);
	memcpy(e->addr, addr, 16);
	e->port = port;
}

/* "192.0.2.1:5060" or "[2001:db8::1]:5060"; returns buf. */
#define ENDPOINT_TEXT 56
const char *endpoint_text(const struct endpoint *e, char buf[ENDPOINT_TEXT]);

/* Read an address as written in SDP or SIP (without port; brackets allowed).
 * False when it is not an IP address (a host name, garbage). */
bool endpoint_parse_addr(struct endpoint *e, const char *text, size_t len, uint16_t port);

/* True for 0.0.0.0 and ::. */
bool endpoint_is_any(const struct endpoint *e);

#endif
