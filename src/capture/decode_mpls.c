/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode_mpls.c: MPLS label stacks (RFC 3032) and what is under them.  See walk.h.
 *
 * Nothing in a label says what it carries; the switches know from their signalling.  So we look:
 * the first nibble is the IP version (RFC 4928), 0 for a pseudowire's control word (RFC 4385), 1
 * for its associated channel; a pseudowire without a control word begins with any address.
 */
#include "capture/walk.h"

#define ETHERTYPE_LEAST 1536

/* label (20 bits), traffic class (3), bottom of stack (1), time to live (8). */
enum layer decode_mpls_label(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 4, &h))
		return END_MALFORMED;
	if (!(bytes_u32(&h) & 0x100))
		return LAYER_MPLS;
	enum layer ip = walk_ip(w);
	return ip != END_MALFORMED && decode_ip_fits(w, 64) ? ip : LAYER_PSEUDOWIRE;
}

/* Would an Ethernet frame that begins `skip` bytes on have a type we know? */
static bool ethernet_at(const struct walk *w, size_t skip)
{
	struct bytes look = w->at;

	bytes_skip(&look, skip + 12);
	uint16_t type = bytes_u16(&look);
	if (look.failed)
		return false;
	if (type < ETHERTYPE_LEAST) /* a length: of LLC that is there, less the padding */
		return type >= 3 && type <= bytes_left(&look) && bytes_left(&look) - type < 64;
	return type == 0x0806 || decode_link_of_ethertype(type) != END_OTHER;
}

/* Ethernet (RFC 4448) behind a control word or not; IP that does not say how long it is. */
enum layer decode_mpls_pseudowire(struct walk *w)
{
	struct bytes look = w->at;
	uint8_t nibble = bytes_u8(&look) >> 4;

	if (look.failed)
		return END_MALFORMED;
	if (nibble == 0 && ethernet_at(w, 4)) {
		bytes_skip(&w->at, 4);
		return LAYER_ETHERNET;
	}
	if (ethernet_at(w, 0))
		return LAYER_ETHERNET;
	enum layer ip = walk_ip(w);
	return ip != END_MALFORMED ? ip : END_OTHER;
}
