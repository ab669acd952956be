/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode_l2tp.c: L2TP version 2 over UDP, version 3 over UDP and over IP.  See walk.h.
 *
 * Version 3 does not say in a data packet how long its cookie is, whether a sublayer follows or
 * what it carries: that was agreed when the session began.  So we look for the one place where an
 * Ethernet, PPP or HDLC frame with an IP packet of the right length fits.
 */
#include "capture/walk.h"

#define L2TP_CONTROL  0x8000
#define L2TP_LENGTH   0x4000
#define L2TP_SEQUENCE 0x0800
#define L2TP_OFFSET   0x0200
#define L2TP_RESERVED 0x34f0
#define L2TP_VERSION  0x000f

/* Is IP behind an EtherType (and VLAN tags) at the cursor, as long as what is left? */
static bool ip_behind_type(struct walk w)
{
	struct bytes look = w.at;
	enum layer layer = decode_link_of_ethertype(bytes_u16(&look));
	uint32_t skip = 2;

	for (; skip < 10 && layer == LAYER_VLAN; skip += 4) {
		bytes_skip(&look, 2);
		layer = decode_link_of_ethertype(bytes_u16(&look));
	}
	if (layer != LAYER_IPV4 && layer != LAYER_IPV6)
		return false;
	return walk_skip(&w, skip) && walk_ip(&w) == layer && decode_ip_fits(&w, 46);
}

/* The frame that fits where `w` stands, or END_OTHER. */
static enum layer frame_at(const struct walk *w)
{
	struct walk look = *w;
	struct bytes first = w->at;
	uint16_t framing = bytes_u16(&first);

	if (walk_skip(&look, 12) && ip_behind_type(look))
		return LAYER_ETHERNET;
	look = *w;
	if ((framing == 0x0f00 || framing == 0x8f00) && walk_skip(&look, 2) && ip_behind_type(look))
		return LAYER_CISCO_HDLC;
	look = *w;
	uint16_t protocol = bytes_u16(&first);
	if (framing == 0xff03 && (protocol == 0x0021 || protocol == 0x0057) &&
	    walk_skip(&look, 4) && decode_ip_fits(&look, 4))
		return LAYER_PPP;
	return END_OTHER;
}

/* Behind the session's number: a cookie of 0, 4 or 8 bytes, a sublayer of 0 or 4. */
static enum layer session(struct walk *w)
{
	for (unsigned words = 0; words <= 3; words++) {
		enum layer layer = frame_at(w);
		if (layer != END_OTHER)
			return layer;
		if (!walk_skip(w, 4))
			break;
	}
	return END_OTHER;
}

/* RFC 3931, 4.1.1: session (4), 0 for control messages. */
enum layer decode_l2tp_over_ip(struct walk *w)
{
	struct bytes look = w->at;
	uint32_t id = bytes_u32(&look);

	w->tunnelled = true;
	if (!walk_skip(w, 4))
		return END_MALFORMED;
	return id ? session(w) : END_OTHER;
}

/* RFC 2661, 3.1: flags and version (2); length (2), tunnel (2), session (2), sequences (2 + 2),
 * length of padding (2) and so much of it, where flags say so; PPP. */
static enum layer version_2(struct walk *w, uint16_t flags)
{
	uint32_t header_len = 6;
	struct bytes look = w->at;

	bytes_skip(&look, 2);
	if (flags & L2TP_LENGTH) {
		uint16_t len = bytes_u16(&look);
		if (look.failed || len > w->wire_len || len < 8)
			return END_MALFORMED;
		walk_narrow(w, len);
		look.end = w->at.end;
		header_len += 2;
	}
	header_len += flags & L2TP_SEQUENCE ? 4 : 0;
	bytes_skip(&look, flags & L2TP_SEQUENCE ? 8 : 4);
	if (flags & L2TP_OFFSET)
		header_len += 2u + bytes_u16(&look);
	return look.failed || !walk_skip(w, header_len) ? END_MALFORMED : LAYER_PPP;
}

/* Control messages are plain datagrams to us.  Version 3 (RFC 3931, 4.1.2): flags and version (2),
 * reserved (2), session (4). */
enum layer decode_l2tp_over_udp(struct walk *w)
{
	struct bytes look = w->at;
	uint16_t flags = bytes_u16(&look);

	if (look.failed || flags & L2TP_CONTROL)
		return END_MALFORMED;
	if (flags == 3 && bytes_u16(&look) == 0) {
		if (!walk_skip(w, 8))
			return END_MALFORMED;
		bool cut = bytes_left(&w->at) < w->wire_len;
		enum layer layer = session(w);
		return cut && layer == END_OTHER ? END_MALFORMED : layer;
	}
	if ((flags & L2TP_VERSION) != 2 || flags & L2TP_RESERVED)
		return END_MALFORMED;
	return version_2(w, flags);
}
