/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode.c: from a link frame to one UDP datagram.  Any thread; nothing is kept or allocated.
 *
 * Every layer has one decoder of one shape: it takes its header off the cursor, narrows the
 * cursor to what the header says is inside, and names the layer that comes next.  A walk
 * through the layers ends at one of the ENDs, or after LAYERS_AT_MOST of them:
 *
 *     frame ─► ethernet ─► vlan ─► ipv4 ─► udp ─► END_UDP
 *              link        EtherType   protocol   (what the header's number means: the tables)
 *
 * A new link, tunnel or extension is a row in a table and a function.
 *
 * Checksums are not verified: on a mirror of a host that leaves them to its network card, all
 * frames it sends carry wrong ones.
 */
#include "capture/capture.h"

#include "base/bytes.h"

#define LAYERS_AT_MOST 16 /* Ethernet, eight VLAN tags, IPv6, its extensions, UDP */

enum layer {
	/* ends */
	END_OTHER,
	END_UDP,
	END_FRAGMENT,
	END_TCP,
	END_MALFORMED,
	END_LINK_UNKNOWN,
	ENDS,
	/* layers */
	LAYER_ETHERNET = ENDS,
	LAYER_VLAN,
	LAYER_SLL,
	LAYER_SLL2,
	LAYER_NULL,
	LAYER_LOOP,
	LAYER_PPP,
	LAYER_RAW,
	LAYER_IPV4,
	LAYER_IPV6,
	LAYER_IPV6_EXTENSION,
	LAYER_IPV6_FRAGMENT,
	LAYER_UDP,
	LAYERS
};

static const struct {
	enum decode_verdict verdict;
	enum counter counter;
} ends[ENDS] = {
	[END_OTHER] = { DECODE_OTHER, COUNT_DECODE_OTHER },
	[END_UDP] = { DECODE_UDP, COUNT_DATAGRAMS },
	[END_FRAGMENT] = { DECODE_FRAGMENT, COUNT_DECODE_FRAGMENT },
	[END_TCP] = { DECODE_TCP, COUNT_DECODE_TCP },
	[END_MALFORMED] = { DECODE_MALFORMED, COUNT_DECODE_MALFORMED },
	[END_LINK_UNKNOWN] = { DECODE_LINK_UNKNOWN, COUNT_DECODE_LINK_UNKNOWN },
};

/* Where a walk is. */
struct walk {
	struct bytes at;   /* what was captured of the layer that comes next */
	uint32_t wire_len; /* how long the IP header says that is; UNKNOWN_LEN: it does not say */
	struct datagram *out; /* borrowed */
};
#define UNKNOWN_LEN UINT32_MAX

/* The layers of nearly every frame are inlined into the walk. */
#define FAST static inline __attribute__((always_inline))

/* ---- what the numbers in headers mean ------------------------------------------------ */

/* Link types as pcap_datalink() gives them.  They differ from the file format's LINKTYPE_*
 * only for raw IP: 12 (Linux and most others), 14 (OpenBSD), 101 in files. */
static const struct {
	uint16_t number;
	uint8_t layer;
} links[] = {
	{ 1, LAYER_ETHERNET }, { 113, LAYER_SLL },  { 276, LAYER_SLL2 }, { 12, LAYER_RAW },
	{ 14, LAYER_RAW },     { 101, LAYER_RAW },  { 228, LAYER_IPV4 }, { 229, LAYER_IPV6 },
	{ 0, LAYER_NULL },     { 108, LAYER_LOOP }, { 9, LAYER_PPP },    { 50, LAYER_PPP },
};

/* EtherTypes (IEEE 802 numbers); below 1536 the field is a length (IEEE 802.3). */
static const struct {
	uint16_t number;
	uint8_t layer;
} ethertypes[] = {
	{ 0x0800, LAYER_IPV4 }, { 0x86dd, LAYER_IPV6 },
	{ 0x8100, LAYER_VLAN }, { 0x88a8, LAYER_VLAN }, /* 802.1Q, 802.1ad */
	{ 0x9100, LAYER_VLAN }, { 0x9200, LAYER_VLAN }, /* QinQ before 802.1ad */
};

/* Address families of the BSDs' null and loop headers: each system numbers IPv6 in its own way. */
static const struct {
	uint32_t number;
	uint8_t layer;
} families[] = {
	{ 2, LAYER_IPV4 },  { 24, LAYER_IPV6 }, { 28, LAYER_IPV6 },
	{ 30, LAYER_IPV6 }, { 10, LAYER_IPV6 }, { 26, LAYER_IPV6 },
};

/* PPP protocol numbers (RFC 1332, RFC 5072). */
#define PPP_IPV4 0x0021
#define PPP_IPV6 0x0057

/* IP protocol numbers.  What is not named is well formed and nothing for us. */
static const uint8_t ipv4_protocols[256] = { [6] = END_TCP, [17] = LAYER_UDP };
static const uint8_t ipv6_protocols[256] = {
	[0] = LAYER_IPV6_EXTENSION,  /* hop-by-hop options */
	[43] = LAYER_IPV6_EXTENSION, /* routing */
	[60] = LAYER_IPV6_EXTENSION, /* destination options */
	[44] = LAYER_IPV6_FRAGMENT,  [6] = END_TCP, [17] = LAYER_UDP,
};

static inline enum layer link_layer(uint16_t number)
{
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		if (links[i].number == number)
			return links[i].layer;
	return END_LINK_UNKNOWN;
}

static inline enum layer ethertype_layer(uint16_t number)
{
	for (size_t i = 0; i < sizeof ethertypes / sizeof ethertypes[0]; i++)
		if (ethertypes[i].number == number)
			return ethertypes[i].layer;
	return END_OTHER;
}

static enum layer family_layer(uint32_t number)
{
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
		if (families[i].number == number)
			return families[i].layer;
	return END_OTHER;
}

/* ---- links --------------------------------------------------------------------------- */

/* Take the next `n` bytes as a header of its own; NULL when the frame ends before. */
static inline const uint8_t *take_header(struct walk *w, size_t n, struct bytes *header)
{
	const uint8_t *p = bytes_take(&w->at, n);

	if (LIKELY(p != NULL))
		*header = bytes_over(p, n);
	return p;
}

/* Destination (6), source (6), EtherType (2). */
FAST enum layer ethernet(struct walk *w)
{
	struct bytes h;

	if (!take_header(w, 14, &h))
		return END_MALFORMED;
	bytes_skip(&h, 12);
	return ethertype_layer(bytes_u16(&h));
}

/* Tag control (2), EtherType (2). */
static enum layer vlan(struct walk *w)
{
	struct bytes h;

	if (!take_header(w, 4, &h))
		return END_MALFORMED;
	bytes_skip(&h, 2);
	return ethertype_layer(bytes_u16(&h));
}

/* Packet type (2), ARPHRD (2), address length (2), address (8), EtherType (2). */
static enum layer sll(struct walk *w)
{
	struct bytes h;

	if (!take_header(w, 16, &h))
		return END_MALFORMED;
	bytes_skip(&h, 14);
	return ethertype_layer(bytes_u16(&h));
}

/* EtherType (2), reserved (2), interface (4), ARPHRD (2), packet type (1), address length (1),
 * address (8). */
static enum layer sll2(struct walk *w)
{
	struct bytes h;

	if (!take_header(w, 20, &h))
		return END_MALFORMED;
	return ethertype_layer(bytes_u16(&h));
}

/* An address family in the byte order of the host that wrote the file: families are small, so
 * the order is seen. */
static enum layer null(struct walk *w)
{
	struct bytes h;

	if (!take_header(w, 4, &h))
		return END_MALFORMED;
	uint32_t family = bytes_u32(&h);
	return family_layer(family > UINT16_MAX ? __builtin_bswap32(family) : family);
}

/* The same in network order. */
static enum layer loop(struct walk *w)
{
	struct bytes h;

	return take_header(w, 4, &h) ? family_layer(bytes_u32(&h)) : END_MALFORMED;
}

/* RFC 1662: address and control (FF 03) may be left out, and so may the protocol's first octet
 * when it is 0. */
static enum layer ppp(struct walk *w)
{
	struct bytes framed = w->at;

	if (bytes_u16(&framed) == 0xff03)
		w->at = framed;
	uint16_t protocol = bytes_u8(&w->at);
	if (!(protocol & 1))
		protocol = (uint16_t)(protocol << 8 | bytes_u8(&w->at));
	if (w->at.failed)
		return END_MALFORMED;
	if (protocol == PPP_IPV4)
		return LAYER_IPV4;
	return protocol == PPP_IPV6 ? LAYER_IPV6 : END_OTHER;
}

/* No link header: the first nibble is the version. */
static enum layer raw(struct walk *w)
{
	struct bytes look = w->at;

	switch (bytes_u8(&look) >> 4) {
	case 4: return LAYER_IPV4;
	case 6: return LAYER_IPV6;
	default: return END_MALFORMED;
	}
}

/* ---- internet ------------------------------------------------------------------------ */

/* What follows is `len` bytes long on the wire; anything after that is padding of the link. */
static inline void narrow(struct walk *w, uint32_t len)
{
	w->wire_len = len;
	if (bytes_left(&w->at) > len)
		w->at.end = w->at.at + len;
}

/* RFC 791, 3.1.
 *
 *     |version IHL| TOS |    total length   |
 *     |  identification | flags fragm. offs.|
 *     | TTL  | protocol |  header checksum  |
 *     |            source address           |
 *     |         destination address         |
 *     |          options (IHL > 5)          |
 */
FAST enum layer ipv4(struct walk *w)
{
	struct bytes h;
	const uint8_t *header = take_header(w, 20, &h);

	if (UNLIKELY(!header))
		return END_MALFORMED;
	uint8_t first = bytes_u8(&h);
	uint32_t header_len = (first & 15u) * 4;
	bytes_skip(&h, 1);
	uint32_t total_len = bytes_u16(&h);
	bytes_skip(&h, 2);
	uint16_t fragment = bytes_u16(&h);
	bytes_skip(&h, 1);
	uint8_t protocol = bytes_u8(&h);
	endpoint_set_v4(&w->out->src, header + 12, 0);
	endpoint_set_v4(&w->out->dst, header + 16, 0);

	if (UNLIKELY(first >> 4 != 4 || header_len < 20))
		return END_MALFORMED;
	if (UNLIKELY(header_len > 20))
		bytes_skip(&w->at, header_len - 20);
	/* A card that is to cut a large packet itself gets it with a total length of 0. */
	if (UNLIKELY(total_len == 0))
		w->wire_len = UNKNOWN_LEN;
	else if (UNLIKELY(total_len < header_len))
		return END_MALFORMED;
	else
		narrow(w, total_len - header_len);
	if (UNLIKELY(w->at.failed))
		return END_MALFORMED;
	if (UNLIKELY(fragment & 0x3fff)) /* more fragments, or not the first one */
		return END_FRAGMENT;
	return ipv4_protocols[protocol];
}

/* RFC 8200, 3: version, class, flow (4), payload length (2), next header (1), hop limit (1),
 * source (16), destination (16). */
static enum layer ipv6(struct walk *w)
{
	struct bytes h;
	const uint8_t *header = take_header(w, 40, &h);

	if (UNLIKELY(!header))
		return END_MALFORMED;
	uint32_t first = bytes_u32(&h);
	uint32_t payload_len = bytes_u16(&h);
	uint8_t next = bytes_u8(&h);
	endpoint_set_v6(&w->out->src, header + 8, 0);
	endpoint_set_v6(&w->out->dst, header + 24, 0);

	if (first >> 28 != 6)
		return END_MALFORMED;
	/* 0: a jumbogram (RFC 2675), or to be cut by the card; as long as the frame, then. */
	if (payload_len == 0)
		w->wire_len = UNKNOWN_LEN;
	else
		narrow(w, payload_len);
	return ipv6_protocols[next];
}

/* Take `n` bytes of an extension header; false when the IP packet is shorter than that. */
static bool take_extension(struct walk *w, uint32_t n)
{
	bytes_skip(&w->at, n);
	if (w->at.failed || w->wire_len < n)
		return false;
	if (w->wire_len != UNKNOWN_LEN)
		w->wire_len -= n;
	return true;
}

/* RFC 8200, 4.3: next header (1), length in 8 octets beside the first 8 (1), the options. */
static enum layer ipv6_extension(struct walk *w)
{
	struct bytes look = w->at;
	uint8_t next = bytes_u8(&look);
	uint32_t len = (bytes_u8(&look) + 1u) * 8;

	return take_extension(w, len) ? ipv6_protocols[next] : END_MALFORMED;
}

/* RFC 8200, 4.5: next header (1), reserved (1), offset and M (2), identification (4).  Offset 0
 * and no more: an atomic fragment (RFC 6946), whole. */
static enum layer ipv6_fragment(struct walk *w)
{
	struct bytes look = w->at;
	uint8_t next = bytes_u8(&look);

	bytes_skip(&look, 1);
	uint16_t fragment = bytes_u16(&look);
	if (!take_extension(w, 8))
		return END_MALFORMED;
	return fragment & 0xfff9 ? END_FRAGMENT : ipv6_protocols[next];
}

/* ---- transport ----------------------------------------------------------------------- */

/* RFC 768: source port (2), destination port (2), length with this header (2), checksum (2). */
FAST enum layer udp(struct walk *w)
{
	struct bytes h;

	if (!take_header(w, 8, &h))
		return END_MALFORMED;
	w->out->src.port = bytes_u16(&h);
	w->out->dst.port = bytes_u16(&h);
	uint32_t len = bytes_u16(&h);
	/* What IP gives no length for may have none here either (RFC 2675, 4). */
	if (UNLIKELY(len == 0 && w->wire_len == UNKNOWN_LEN))
		len = (uint32_t)bytes_left(&w->at) + 8;
	if (UNLIKELY(len < 8 || len > w->wire_len))
		return END_MALFORMED;
	w->out->wire_len = len - 8;
	uint32_t captured = (uint32_t)bytes_left(&w->at);
	w->out->len = captured < w->out->wire_len ? captured : w->out->wire_len;
	w->out->payload = w->at.at;
	return END_UDP;
}

/* ---- the walk ------------------------------------------------------------------------ */

static enum layer (*const layers[LAYERS])(struct walk *) = {
	[LAYER_ETHERNET] = ethernet,
	[LAYER_VLAN] = vlan,
	[LAYER_SLL] = sll,
	[LAYER_SLL2] = sll2,
	[LAYER_NULL] = null,
	[LAYER_LOOP] = loop,
	[LAYER_PPP] = ppp,
	[LAYER_RAW] = raw,
	[LAYER_IPV4] = ipv4,
	[LAYER_IPV6] = ipv6,
	[LAYER_IPV6_EXTENSION] = ipv6_extension,
	[LAYER_IPV6_FRAGMENT] = ipv6_fragment,
	[LAYER_UDP] = udp,
};

/* On from `layer`, by the table, to an end. */
static enum layer walk_on(struct walk w, enum layer layer)
{
	for (unsigned depth = 0; layer >= ENDS; depth++)
		layer = depth < LAYERS_AT_MOST ? layers[layer](&w) : END_MALFORMED;
	return layer;
}

enum decode_verdict decode_frame(const struct frame *f, struct datagram *out, struct counters *c)
{
	struct walk w = { bytes_over(f->bytes, f->len), UNKNOWN_LEN, out };
	enum layer layer = link_layer(f->link_type);

	count(c, COUNT_FRAMES);
	count_add(c, COUNT_FRAME_BYTES, f->len);

	/* What nearly every frame is, by the same decoders; `w` stays in registers. */
	if (LIKELY(layer == LAYER_ETHERNET))
		layer = ethernet(&w);
	if (LIKELY(layer == LAYER_IPV4))
		layer = ipv4(&w);
	if (LIKELY(layer == LAYER_UDP))
		layer = udp(&w);
	if (UNLIKELY(layer >= ENDS))
		layer = walk_on(w, layer);

	count(c, ends[layer].counter);
	if (layer == END_UDP) {
		out->ts_ns = f->ts_ns;
		if (UNLIKELY(out->len < out->wire_len))
			count(c, COUNT_DECODE_TRUNCATED);
	}
	return ends[layer].verdict;
}
