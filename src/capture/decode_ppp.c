/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode_ppp.c: PPP, Cisco HDLC, and PPP over Ethernet.  See walk.h.
 *
 * Multilink fragments and compressed headers are nothing for us: putting them together takes state
 * that both ends negotiated.
 */
#include "capture/walk.h"

/* PPP protocol numbers (RFC 1332, 5072, 3032, 3518). */
#define PPP_IPV4    0x0021
#define PPP_IPV6    0x0057
#define PPP_BRIDGED 0x0031
#define PPP_MPLS    0x0281
#define PPP_MPLS_MC 0x0283

/* RFC 1662: address and control (FF 03) may be left out, and so may the protocol's first octet
 * when it is 0. */
enum layer decode_ppp_frame(struct walk *w)
{
	struct bytes framed = w->at;

	if (bytes_u16(&framed) == 0xff03)
		w->at = framed;
	uint16_t protocol = bytes_u8(&w->at);
	if (!(protocol & 1))
		protocol = (uint16_t)(protocol << 8 | bytes_u8(&w->at));
	if (w->at.failed)
		return END_MALFORMED;
	switch (protocol) {
	case PPP_IPV4: return LAYER_IPV4;
	case PPP_IPV6: return LAYER_IPV6;
	case PPP_BRIDGED: return LAYER_PPP_BRIDGED;
	case PPP_MPLS:
	case PPP_MPLS_MC: return LAYER_MPLS;
	default: return END_OTHER;
	}
}

/* An octet that tells the direction stands before the frame, or in place of its address. */
enum layer decode_ppp_direction(struct walk *w)
{
	struct bytes look;

	bytes_skip(&w->at, 1);
	look = w->at;
	if (bytes_u8(&look) == 3)
		w->at = look;
	return w->at.failed ? END_MALFORMED : LAYER_PPP;
}

/* RFC 3518, 4.2: flags (1), kind of MAC (1; 1 is Ethernet), the frame. */
enum layer decode_ppp_bridged(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 2, &h))
		return END_MALFORMED;
	return (bytes_u16(&h) & 0xff) == 1 ? LAYER_ETHERNET : END_OTHER;
}

/* A serial line: Cisco's HDLC has its own addresses (0F unicast, 8F multicast). */
enum layer decode_ppp_serial(struct walk *w)
{
	struct bytes look = w->at;
	uint16_t framing = bytes_u16(&look);

	return framing == 0x0f00 || framing == 0x8f00 ? LAYER_CISCO_HDLC : LAYER_PPP;
}

/* Address (1), control (1), EtherType (2). */
enum layer decode_ppp_cisco_hdlc(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 4, &h))
		return END_MALFORMED;
	bytes_skip(&h, 2);
	uint16_t type = bytes_u16(&h);
	return type < 1536 ? END_OTHER : decode_link_of_ethertype(type);
}

/* RFC 2516, 4: version and type (1), code (1), session (2), length (2), PPP from its protocol on.
 * Codes other than 0 are discovery. */
enum layer decode_ppp_over_ethernet(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 6, &h))
		return END_MALFORMED;
	if (bytes_u8(&h) != 0x11)
		return END_MALFORMED;
	if (bytes_u8(&h) != 0)
		return END_OTHER;
	bytes_skip(&h, 2);
	walk_narrow(w, bytes_u16(&h));
	return LAYER_PPP;
}
