/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode_port.c: tunnels over UDP ports.  See walk.h.
 *
 * A phone may use any of these ports.  So each decoder takes only what its standard allows, fields
 * that are to be zero included, and calls the rest malformed: then the datagram is taken as
 * it is.  RTP begins with 80 to BF (hexadecimal), SIP with a letter; no tunnel here does both
 * with a header that is otherwise in order.
 */
#include "capture/walk.h"

/* Keep the datagram in case it is none, and go in. */
enum layer decode_port_tunnel(struct walk *w)
{
	enum layer layer = decoder_tunnel(w->dec, w->out->dst.port);

	if (layer == END_UDP)
		layer = decoder_tunnel(w->dec, w->out->src.port);
	if (layer == END_UDP)
		return END_UDP;
	*w->plain = *w->out;
	w->may_be_plain = true;
	w->plain_tunnelled = w->tunnelled;
	w->tunnelled = true;
	walk_narrow(w, w->out->wire_len);
	return layer;
}

/* Take `n` bytes as a header. */
static bool take(struct walk *w, uint32_t n, struct bytes *header)
{
	*header = bytes_over(w->at.at, n);
	return walk_skip(w, n);
}

/* RFC 7348, 5: flags (1; 08: there is a network number), reserved (3), network (3), reserved (1).
 * Extensions have put more into the first reserved bytes (groups of a policy), with a flag (80) or
 * without; VXLAN-GPE is told by its own flag (04) on any port of the two. */
enum layer decode_port_vxlan(struct walk *w)
{
	struct bytes look = w->at, h;

	if (bytes_u8(&look) & 0x04)
		return decode_port_vxlan_gpe(w);
	if (!take(w, 8, &h))
		return END_MALFORMED;
	uint8_t flags = bytes_u8(&h);
	bytes_skip(&h, 6);
	return bytes_u8(&h) || (flags & 0x7f) != 0x08 ? END_MALFORMED : LAYER_ETHERNET;
}

/* draft-ietf-nvo3-vxlan-gpe, 3: flags (1): version (30), network number (08), next protocol (04);
 * reserved (2), next protocol (1), network (3), reserved (1). */
enum layer decode_port_vxlan_gpe(struct walk *w)
{
	static const uint8_t next[] = {
		END_MALFORMED, LAYER_IPV4, LAYER_IPV6, LAYER_ETHERNET, LAYER_NSH, LAYER_MPLS,
	};
	struct bytes h;

	if (!take(w, 8, &h))
		return END_MALFORMED;
	uint8_t flags = bytes_u8(&h);
	uint16_t reserved = bytes_u16(&h);
	uint8_t protocol = bytes_u8(&h);
	bytes_skip(&h, 3);
	if (flags & 0xf0 || !(flags & 0x08) || reserved || bytes_u8(&h))
		return END_MALFORMED;
	if (!(flags & 0x04) && !protocol) /* plain VXLAN; some leave out the flag only */
		return LAYER_ETHERNET;
	return protocol < sizeof next ? next[protocol] : END_OTHER;
}

/* RFC 8926, 3.4: version (2 bits), length of the options in words (6), control and critical (2),
 * reserved (6), EtherType (2), network (3), reserved (1), options. */
enum layer decode_port_geneve(struct walk *w)
{
	struct bytes h;

	if (!take(w, 8, &h))
		return END_MALFORMED;
	uint8_t first = bytes_u8(&h), flags = bytes_u8(&h);
	uint16_t type = bytes_u16(&h);
	bytes_skip(&h, 3);
	if (first & 0xc0 || flags & 0x3f || bytes_u8(&h) || type < 1536)
		return END_MALFORMED;
	if (!walk_skip(w, (first & 63u) * 4))
		return END_MALFORMED;
	return flags & 0x80 ? END_OTHER : decode_link_of_ethertype(type);
}

#define GTP_EXTENSION 0x04 /* and the two below: four more bytes */
#define GTP_SEQUENCE  0x02
#define GTP_NUMBER    0x01
#define GTP_PDU       255

/* 3GPP TS 29.281, 5: flags (1: version 1, GTP and not GTP', and three for the fields below), kind
 * (1), length of what follows the first eight bytes (2), tunnel (4); sequence (2), number (1),
 * kind of the first extension (1).  Extensions: length in words (1), content, kind of the next
 * (1).  Other kinds are the tunnel's own messages, plain datagrams to us. */
enum layer decode_port_gtpu(struct walk *w)
{
	struct bytes h;

	if (!take(w, 8, &h))
		return END_MALFORMED;
	uint8_t flags = bytes_u8(&h), kind = bytes_u8(&h);
	uint16_t len = bytes_u16(&h);
	if (flags >> 4 != 3 || flags & 8 || kind != GTP_PDU || len > w->wire_len)
		return END_MALFORMED;
	walk_narrow(w, len);
	if (!(flags & (GTP_EXTENSION | GTP_SEQUENCE | GTP_NUMBER)))
		return walk_ip(w);
	if (!take(w, 4, &h))
		return END_MALFORMED;
	bytes_skip(&h, 3);
	uint8_t next = flags & GTP_EXTENSION ? bytes_u8(&h) : 0;
	while (next) {
		struct bytes look = w->at;
		uint32_t words = bytes_u8(&look);
		if (!words || !take(w, words * 4, &h))
			return END_MALFORMED;
		bytes_skip(&h, words * 4 - 1);
		next = bytes_u8(&h);
	}
	return walk_ip(w);
}

/* Version 1 (1), kind (1: received, or to be sent), what is inside (2), then tagged fields: kind
 * (1; 0 is padding, 1 the end, both without a length), length (1), value. */
enum layer decode_port_tzsp(struct walk *w)
{
	struct bytes h;

	if (!take(w, 4, &h))
		return END_MALFORMED;
	uint8_t version = bytes_u8(&h), kind = bytes_u8(&h);
	uint16_t inside = bytes_u16(&h);
	if (version != 1 || kind > 1)
		return END_MALFORMED;
	for (uint8_t tag; (tag = bytes_u8(&w->at)) != 1;) {
		if (tag)
			bytes_skip(&w->at, bytes_u8(&w->at));
		if (w->at.failed)
			return END_MALFORMED;
	}
	switch (inside) {
	case 1: return LAYER_ETHERNET;
	case 18: return LAYER_WIFI;
	case 119: return LAYER_PRISM;
	case 127: return LAYER_AVS;
	default: return END_MALFORMED;
	}
}

/* RFC 4380, 5.1.1: perhaps an authentication (00 01, two lengths, so many bytes, 9 bytes more),
 * perhaps the origin (00 00, port, address), then IPv6. */
enum layer decode_port_teredo(struct walk *w)
{
	struct bytes look = w->at;
	uint32_t skip = 0;

	if (bytes_u16(&look) == 1) {
		uint32_t client = bytes_u8(&look), value = bytes_u8(&look);
		skip = 4 + client + value + 9;
	}
	if (!walk_skip(w, skip))
		return END_MALFORMED;
	look = w->at;
	if (bytes_u16(&look) == 0 && !walk_skip(w, 8))
		return END_MALFORMED;
	return walk_ip(w) == LAYER_IPV6 && decode_ip_fits(w, 64) ? LAYER_IPV6 : END_MALFORMED;
}

/* RFC 9300, 5.3: flags and nonce (4), instance and locators (4), IP.  Nearly any eight bytes are
 * such a header, so the packet inside must be just as long as the datagram. */
enum layer decode_port_lisp(struct walk *w)
{
	struct bytes h;

	if (!take(w, 8, &h) || !decode_ip_fits(w, 0))
		return END_MALFORMED;
	return walk_ip(w);
}

/* draft-massar-v6ops-ayiya, 4: length of the identity as a power of two and its kind (4 bits each),
 * length of the signature in words and its hash, authentication and operation (1: forward), next
 * protocol (1), clock (4), identity, signature, IP. */
enum layer decode_port_ayiya(struct walk *w)
{
	struct bytes h;

	if (!take(w, 8, &h))
		return END_MALFORMED;
	uint32_t identity_len = UINT32_C(1) << (bytes_u8(&h) >> 4);
	uint32_t signature_len = (bytes_u8(&h) >> 4) * 4u;
	uint8_t operation = bytes_u8(&h) & 15, next = bytes_u8(&h);
	if (operation != 1 || (next != 41 && next != 4))
		return END_MALFORMED;
	if (!walk_skip(w, identity_len + signature_len) || !decode_ip_fits(w, 0))
		return END_MALFORMED;
	return walk_ip(w);
}
