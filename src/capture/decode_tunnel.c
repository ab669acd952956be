/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode_tunnel.c: tunnels straight over IP, and NSH, which stands in any.  See walk.h. */
#include "capture/walk.h"

/* ---- IP in IP, Ethernet in IP ------------------------------------------------------------ */

/* RFC 2003, RFC 4213, RFC 2473. */
enum layer decode_tunnel_ip(struct walk *w)
{
	w->tunnelled = true;
	return walk_ip(w);
}

/* RFC 3378: version 3 (4 bits), reserved (12). */
enum layer decode_tunnel_etherip(struct walk *w)
{
	struct bytes h;

	w->tunnelled = true;
	return walk_take(w, 2, &h) && bytes_u16(&h) >> 12 == 3 ? LAYER_ETHERNET : END_MALFORMED;
}

/* ---- GRE --------------------------------------------------------------------------------- */

#define GRE_CHECKSUM 0x8000
#define GRE_ROUTING  0x4000
#define GRE_KEY      0x2000
#define GRE_SEQUENCE 0x1000
#define GRE_ACK      0x0080 /* version 1 */
#define GRE_VERSION  0x0007

/* Protocols that are no EtherTypes, or not only. */
static const struct {
	uint16_t number;
	uint8_t layer;
} gre_protocols[] = {
	{ 0x883e, LAYER_WCCP }, { 0x22eb, LAYER_ERSPAN3 }, { 0x6559, LAYER_FRAME_RELAY },
	{ 0x8200, LAYER_WIFI }, /* Aruba's access points */
	{ 0x8210, LAYER_WIFI }, { 0x8220, LAYER_WIFI },    { 0x8230, LAYER_WIFI },
};

/* ERSPAN type I has no header of its own and GRE no sequence number; type II has both. */
static enum layer gre_payload(uint16_t flags, uint16_t protocol)
{
	if (protocol == 0x88be)
		return flags & GRE_SEQUENCE ? LAYER_ERSPAN2 : LAYER_ETHERNET;
	for (size_t i = 0; i < sizeof gre_protocols / sizeof gre_protocols[0]; i++)
		if (gre_protocols[i].number == protocol)
			return gre_protocols[i].layer;
	return protocol < 1536 ? END_OTHER : decode_link_of_ethertype(protocol);
}

/* RFC 1701: entries of address family (2), offset (1), length (1), so many bytes; the last is 0. */
static void skip_routing(struct bytes *b)
{
	while (!b->failed) {
		uint16_t family = bytes_u16(b);
		bytes_skip(b, 1);
		uint8_t len = bytes_u8(b);
		if (!family && !len)
			return;
		bytes_skip(b, len);
	}
}

/* RFC 2784, RFC 2890: flags and version (2), protocol (2); checksum and offset (4), key (4),
 * sequence (4), routing, each when its flag is set. */
enum layer decode_tunnel_gre(struct walk *w)
{
	struct bytes look = w->at;
	uint16_t flags = bytes_u16(&look);
	uint16_t protocol = bytes_u16(&look);

	w->tunnelled = true;
	if ((flags & GRE_VERSION) == 1)
		return LAYER_GRE_PPP;
	if (flags & (GRE_CHECKSUM | GRE_ROUTING))
		bytes_skip(&look, 4);
	if (flags & GRE_KEY)
		bytes_skip(&look, 4);
	if (flags & GRE_SEQUENCE)
		bytes_skip(&look, 4);
	if (flags & GRE_ROUTING)
		skip_routing(&look);
	if (look.failed || flags & GRE_VERSION)
		return END_MALFORMED;
	if (!walk_skip(w, (uint32_t)(look.at - w->at.at)))
		return END_MALFORMED;
	enum layer inside = gre_payload(flags, protocol);
	/* At a UDP port, nearly any datagram could be GRE of some protocol: RTP has its numbers there. */
	return inside == END_OTHER && w->may_be_plain ? END_MALFORMED : inside;
}

/* RFC 2637, 4.1 (PPTP): flags (2), protocol (2), length (2), call (2), sequence and acknowledgement
 * (4 each) when flags say so; without a sequence there is no payload. */
enum layer decode_tunnel_gre_ppp(struct walk *w)
{
	uint16_t flags = bytes_u16(&w->at);
	uint16_t protocol = bytes_u16(&w->at);
	uint16_t len = bytes_u16(&w->at);

	bytes_skip(&w->at, flags & GRE_ACK ? 6 : 2);
	if (flags & GRE_SEQUENCE)
		bytes_skip(&w->at, 4);
	if (w->at.failed || protocol != 0x880b)
		return END_MALFORMED;
	if (!(flags & GRE_SEQUENCE) || !len)
		return END_OTHER;
	walk_narrow(w, len);
	return LAYER_PPP;
}

/* The redirected packet, behind four bytes in version 2. */
enum layer decode_tunnel_wccp(struct walk *w)
{
	struct bytes look = w->at;

	if (bytes_u8(&look) >> 4 != 4)
		bytes_skip(&w->at, 4);
	return w->at.failed ? END_MALFORMED : LAYER_IPV4;
}

/* ---- ERSPAN (draft-foschiano-erspan-03) ---------------------------------------------------- */

/* 4.2: version 1 (4 bits), VLAN and more (28), index (32). */
enum layer decode_tunnel_erspan2(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 8, &h))
		return END_MALFORMED;
	return bytes_u8(&h) >> 4 == 1 ? LAYER_ETHERNET : END_MALFORMED;
}

/* 4.3: version 2 (4 bits), VLAN and more (28), clock (32), group (16), flags (16): the kind of
 * frame is in bits 10 to 14, and the last tells of eight bytes more. */
enum layer decode_tunnel_erspan3(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 12, &h))
		return END_MALFORMED;
	if (bytes_u8(&h) >> 4 != 2)
		return END_MALFORMED;
	bytes_skip(&h, 9);
	uint16_t flags = bytes_u16(&h);
	if (flags & 1)
		bytes_skip(&w->at, 8);
	if (w->at.failed)
		return END_MALFORMED;
	switch (flags >> 10 & 31) {
	case 0: return LAYER_ETHERNET;
	case 2: return LAYER_RAW;
	default: return END_OTHER;
	}
}

/* ---- NSH --------------------------------------------------------------------------------- */

/* RFC 8300, 2.2: version (2 bits), flags, time to live, length in words (6 bits), kind (1), next
 * protocol (1), path (4), and so on. */
enum layer decode_tunnel_nsh(struct walk *w)
{
	static const uint8_t next[] = {
		END_OTHER, LAYER_IPV4, LAYER_IPV6, LAYER_ETHERNET, LAYER_NSH, LAYER_MPLS,
	};
	struct bytes look = w->at;
	uint16_t first = bytes_u16(&look);
	uint32_t len = (first & 63u) * 4;

	bytes_skip(&look, 1);
	uint8_t protocol = bytes_u8(&look);
	if (first >> 14 || len < 8 || !walk_skip(w, len))
		return END_MALFORMED;
	return protocol < sizeof next ? next[protocol] : END_OTHER;
}
