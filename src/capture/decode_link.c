/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode_link.c: links other than plain Ethernet, VLAN tags and IEEE 802.2.  See walk.h. */
#include "capture/walk.h"

/* ---- what the numbers in headers mean ------------------------------------------------ */

/* Link types as pcap_datalink() gives them.  They differ from the file format's LINKTYPE_*
 * only for raw IP: 12 (Linux and most others), 14 (OpenBSD), 101 in files. */
static const struct {
	uint16_t number;
	uint8_t layer;
} links[] = {
	{ 1, LAYER_ETHERNET },
	{ 113, LAYER_SLL },
	{ 276, LAYER_SLL2 },
	{ 12, LAYER_RAW },
	{ 14, LAYER_RAW },
	{ 101, LAYER_RAW },
	{ 228, LAYER_IPV4 },
	{ 229, LAYER_IPV6 },
	{ 0, LAYER_NULL },
	{ 108, LAYER_LOOP },
	{ 9, LAYER_PPP },
	{ 50, LAYER_SERIAL },         /* PPP or Cisco HDLC */
	{ 51, LAYER_PPPOE },          /* without the Ethernet before it */
	{ 166, LAYER_PPP_DIRECTION }, /* Linux pppd */
	{ 204, LAYER_PPP_DIRECTION },
	{ 104, LAYER_CISCO_HDLC },
	{ 107, LAYER_FRAME_RELAY },
	{ 6, LAYER_TOKEN_RING },
	{ 10, LAYER_FDDI },
	{ 11, LAYER_LLC }, /* ATM, RFC 2684 */
	{ 123, LAYER_SUN_ATM },
	{ 138, LAYER_FIREWIRE },
	{ 219, LAYER_MPLS },
	{ 239, LAYER_NFLOG },
	{ 258, LAYER_PKTAP },
	{ 105, LAYER_WIFI },
	{ 127, LAYER_RADIOTAP },
	{ 119, LAYER_PRISM },
	{ 163, LAYER_AVS },
	{ 192, LAYER_PPI },
};

/* EtherTypes. */
static const struct {
	uint16_t number;
	uint8_t layer;
} ethertypes[] = {
	{ 0x0800, LAYER_IPV4 },     { 0x86dd, LAYER_IPV6 },       { 0x8100, LAYER_VLAN },
	{ 0x88a8, LAYER_VLAN },                             /* 802.1Q, 802.1ad */
	{ 0x9100, LAYER_VLAN },     { 0x9200, LAYER_VLAN }, /* QinQ before 802.1ad */
	{ 0x8864, LAYER_PPPOE },    { 0x8847, LAYER_MPLS },       { 0x8848, LAYER_MPLS },
	{ 0x880b, LAYER_PPP },      { 0x88e7, LAYER_MAC_IN_MAC }, { 0x894f, LAYER_NSH },
	{ 0x6558, LAYER_ETHERNET }, { 0x8870, LAYER_LLC }, /* LLC in a jumbo frame */
};
#define ETHERTYPE_LEAST 1536 /* below, the field is a length (IEEE 802.3) */

/* Address families of the BSDs' null and loop headers: each system numbers IPv6 in its own way. */
static const struct {
	uint32_t number;
	uint8_t layer;
} families[] = {
	{ 2, LAYER_IPV4 },  { 24, LAYER_IPV6 }, { 28, LAYER_IPV6 },
	{ 30, LAYER_IPV6 }, { 10, LAYER_IPV6 }, { 26, LAYER_IPV6 },
};

/* Network layer protocol identifiers (ISO/IEC TR 9577). */
#define NLPID_SNAP 0x80
#define NLPID_IPV6 0x8e
#define NLPID_IPV4 0xcc
#define NLPID_PPP  0xcf

enum layer decode_link_of_type(uint32_t number)
{
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		if (links[i].number == number)
			return links[i].layer;
	return END_LINK_UNKNOWN;
}

enum layer decode_link_of_ethertype(uint16_t number)
{
	if (number < ETHERTYPE_LEAST)
		return LAYER_LLC;
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

/* An EtherType behind `skip` bytes that say nothing to us. */
static enum layer skip_to_ethertype(struct walk *w, size_t skip)
{
	struct bytes h;

	if (!walk_take(w, skip + 2, &h))
		return END_MALFORMED;
	bytes_skip(&h, skip);
	return decode_link_of_ethertype(bytes_u16(&h));
}

/* ---- Ethernet's tags and IEEE 802.2 ---------------------------------------------------- */

/* Tag control (2), EtherType (2). */
enum layer decode_link_vlan(struct walk *w)
{
	return skip_to_ethertype(w, 2);
}

/* IEEE 802.1ah: priority, flags and service (4), then the customer's frame. */
enum layer decode_link_mac_in_mac(struct walk *w)
{
	bytes_skip(&w->at, 4);
	return w->at.failed ? END_MALFORMED : LAYER_ETHERNET;
}

static enum layer nlpid(struct walk *w);

/* Organisation (3), its protocol (2); RFC 1042, RFC 2684 5.2 (bridged frames). */
static enum layer snap(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 5, &h))
		return END_MALFORMED;
	uint32_t organisation = (uint32_t)bytes_u8(&h) << 16;
	organisation |= bytes_u16(&h);
	uint16_t protocol = bytes_u16(&h);
	switch (organisation) {
	case 0x000000: /* EtherTypes */
	case 0x0000f8: /* the same, bridged from Ethernet (IEEE 802.1H) */
		return protocol < ETHERTYPE_LEAST ? END_OTHER : decode_link_of_ethertype(protocol);
	case 0x0080c2: /* bridged: Ethernet with and without its checksum */
		return protocol == 1 || protocol == 7 ? LAYER_ATM_PAD : END_OTHER;
	default: return END_OTHER;
	}
}

/* DSAP (1), SSAP (1), control (1 for unnumbered information). */
enum layer decode_link_llc(struct walk *w)
{
	struct bytes look = w->at;
	uint16_t points = bytes_u16(&look);
	uint8_t control = bytes_u8(&look);

	if (look.failed)
		return END_MALFORMED;
	if (control != 3)
		return END_OTHER;
	w->at = look;
	switch (points) {
	case 0xaaaa: return snap(w);
	case 0x0606: return LAYER_IPV4;
	case 0xfefe: return nlpid(w);
	default: return END_OTHER;
	}
}

/* A bridged Ethernet frame stands behind two octets of padding on ATM, not on frame relay. */
enum layer decode_link_atm_pad(struct walk *w)
{
	struct bytes look = w->at;

	if (bytes_u16(&look) == 0 && !look.failed) {
		/* A destination that begins with two zeros has an EtherType where it should be. */
		struct bytes type = w->at;
		bytes_skip(&type, 12);
		uint16_t number = bytes_u16(&type);
		if (number < ETHERTYPE_LEAST || decode_link_of_ethertype(number) == END_OTHER)
			w->at = look;
	}
	return LAYER_ETHERNET;
}

/* ---- cooked, null, raw ----------------------------------------------------------------- */

/* What Linux' cooked headers say: the hardware, and then mostly an EtherType. */
static enum layer cooked(uint16_t hardware, uint16_t protocol)
{
	if (hardware == 801) /* ARPHRD_IEEE80211 */
		return LAYER_WIFI;
	if (hardware == 803) /* ARPHRD_IEEE80211_RADIOTAP */
		return LAYER_RADIOTAP;
	if (protocol == 4)
		return LAYER_LLC;
	return protocol < ETHERTYPE_LEAST ? END_OTHER : decode_link_of_ethertype(protocol);
}

/* Packet type (2), ARPHRD (2), address length (2), address (8), EtherType (2). */
enum layer decode_link_sll(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 16, &h))
		return END_MALFORMED;
	bytes_skip(&h, 2);
	uint16_t hardware = bytes_u16(&h);
	bytes_skip(&h, 10);
	return cooked(hardware, bytes_u16(&h));
}

/* EtherType (2), reserved (2), interface (4), ARPHRD (2), packet type (1), address length (1),
 * address (8). */
enum layer decode_link_sll2(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 20, &h))
		return END_MALFORMED;
	uint16_t protocol = bytes_u16(&h);
	bytes_skip(&h, 6);
	return cooked(bytes_u16(&h), protocol);
}

/* An address family in the byte order of the host that wrote the file: families are small, so
 * the order is seen.  Some systems write two bytes of their own and an EtherType. */
enum layer decode_link_null(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 4, &h))
		return END_MALFORMED;
	uint32_t family = bytes_u32(&h);
	enum layer layer = family_layer(family > UINT16_MAX ? __builtin_bswap32(family) : family);
	if (layer == END_OTHER && (family & 0xffff) >= ETHERTYPE_LEAST)
		layer = decode_link_of_ethertype((uint16_t)family);
	return layer;
}

/* The same in network order. */
enum layer decode_link_loop(struct walk *w)
{
	struct bytes h;

	return walk_take(w, 4, &h) ? family_layer(bytes_u32(&h)) : END_MALFORMED;
}

/* No link header: the first nibble is the version. */
enum layer decode_link_raw(struct walk *w)
{
	return walk_ip(w);
}

/* Linux' netfilter log: family (1), version (1), group (2), then attributes: length with its own
 * four bytes (2), kind (2), value, padding to four; both in the order of the host, nearly always
 * little-endian.  Kind 9 is the packet. */
enum layer decode_link_nflog(struct walk *w)
{
	bytes_skip(&w->at, 4);
	while (!w->at.failed && bytes_left(&w->at)) {
		uint32_t len = bytes_u16_le(&w->at);
		uint16_t kind = bytes_u16_le(&w->at) & 0x3fff;
		if (w->at.failed || len < 4)
			return END_MALFORMED;
		if (kind == 9) {
			walk_narrow(w, len - 4);
			return walk_ip(w);
		}
		bytes_skip(&w->at, (len - 4 + 3) & ~3u);
	}
	return w->at.failed ? END_MALFORMED : END_OTHER;
}

/* macOS: length of the header (4), kind of what follows (4), its link type (4), and more. */
enum layer decode_link_pktap(struct walk *w)
{
	struct bytes look = w->at;
	uint32_t len = bytes_u32_le(&look);

	bytes_skip(&look, 4);
	uint32_t link = bytes_u32_le(&look);
	bytes_skip(&w->at, len);
	if (look.failed || w->at.failed || len < 12)
		return END_MALFORMED;
	return decode_link_of_type(link);
}

/* ---- rings, ATM, frame relay ----------------------------------------------------------- */

/* RFC 2427, 3: what a network layer protocol identifier announces. */
static enum layer nlpid(struct walk *w)
{
	uint8_t id = bytes_u8(&w->at);

	if (id == 0) /* padding */
		id = bytes_u8(&w->at);
	if (w->at.failed)
		return END_MALFORMED;
	switch (id) {
	case NLPID_IPV4: return LAYER_IPV4;
	case NLPID_IPV6: return LAYER_IPV6;
	case NLPID_PPP: return LAYER_PPP;
	case NLPID_SNAP: return snap(w);
	default: return END_OTHER;
	}
}

/* An address of two to four octets, the last of which is odd; then control (03) and an NLPID (RFC
 * 2427), or Cisco's EtherType. */
enum layer decode_link_frame_relay(struct walk *w)
{
	unsigned octets = 1;

	while (!(bytes_u8(&w->at) & 1) && !w->at.failed && octets < 4)
		octets++;
	struct bytes look = w->at;
	if (w->at.failed || octets < 2)
		return END_MALFORMED;
	if (bytes_u8(&look) != 3)
		return skip_to_ethertype(w, 0);
	w->at = look;
	return nlpid(w);
}

/* Frame control (1), destination (6), source (6), LLC. */
enum layer decode_link_fddi(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 13, &h))
		return END_MALFORMED;
	return (bytes_u8(&h) & 0xf0) == 0x50 ? LAYER_LLC : END_OTHER;
}

/* Access control (1), frame control (1), destination (6), source (6); when the source's top bit is
 * set, a route, whose length is in its first octet; LLC. */
enum layer decode_link_token_ring(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 14, &h))
		return END_MALFORMED;
	bytes_skip(&h, 1);
	bool llc = (bytes_u8(&h) & 0xc0) == 0x40;
	bytes_skip(&h, 6);
	if (bytes_u8(&h) & 0x80) {
		struct bytes look = w->at;
		bytes_skip(&w->at, bytes_u8(&look) & 0x1f);
	}
	if (w->at.failed)
		return END_MALFORMED;
	return llc ? LAYER_LLC : END_OTHER;
}

/* Flags (1), whose lower half tells what follows; path (1) and channel (2). */
enum layer decode_link_sun_atm(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 4, &h))
		return END_MALFORMED;
	switch (bytes_u8(&h) & 15) {
	case 1: /* LAN emulation: the client's number (2) */
		bytes_skip(&w->at, 2);
		return w->at.failed ? END_MALFORMED : LAYER_ETHERNET;
	case 2: return LAYER_LLC;
	default: return END_OTHER;
	}
}

/* RFC 2734: destination (8), source (8), EtherType (2). */
enum layer decode_link_firewire(struct walk *w)
{
	return skip_to_ethertype(w, 16);
}
