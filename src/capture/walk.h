/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* walk.h: what the decoders share: the layers, and where a walk through them is.
 *
 * Each layer has one decoder of one shape: it takes its header off the cursor, narrows the
 * cursor to what the header says is inside, and gives the layer that comes next, or an end.
 * Decoders keep and allocate nothing; they read only through the cursor.  Any thread.
 *
 *     decode.c         the walk; Ethernet, IPv4, UDP: what nearly every frame is
 *     decode_link.c    the other links, VLAN tags, LLC
 *     decode_mpls.c    label stacks and pseudowires
 *     decode_wifi.c    IEEE 802.11 and what capture cards put before it
 *     decode_ppp.c     PPP, serial lines, PPPoE
 *     decode_ip.c      IPv6, extension headers, fragments, TCP
 *     decode_tunnel.c  tunnels straight over IP: GRE, ERSPAN, EtherIP
 *     decode_port.c    tunnels over UDP ports: VXLAN, Geneve, GTP-U, TZSP, Teredo, ...
 *     decode_l2tp.c    L2TP versions 2 and 3
 *     decoder.c        which UDP ports are tunnels'
 */
#ifndef CALLSPAN_CAPTURE_WALK_H
#define CALLSPAN_CAPTURE_WALK_H

#include "base/bytes.h"
#include "capture/capture.h"

/* Layers at most of one frame, those in tunnels and in reassembled packets included. */
#define LAYERS_AT_MOST 24

/* LAYER(name, its decoder) */
/* clang-format off */
#define LAYER_TABLE(LAYER) \
	LAYER(ETHERNET, decode_ethernet) \
	LAYER(VLAN, decode_link_vlan) \
	LAYER(MAC_IN_MAC, decode_link_mac_in_mac) \
	LAYER(LLC, decode_link_llc) \
	LAYER(SLL, decode_link_sll) \
	LAYER(SLL2, decode_link_sll2) \
	LAYER(NULL, decode_link_null) \
	LAYER(LOOP, decode_link_loop) \
	LAYER(RAW, decode_link_raw) \
	LAYER(NFLOG, decode_link_nflog) \
	LAYER(FRAME_RELAY, decode_link_frame_relay) \
	LAYER(FDDI, decode_link_fddi) \
	LAYER(TOKEN_RING, decode_link_token_ring) \
	LAYER(ATM_PAD, decode_link_atm_pad) \
	LAYER(SUN_ATM, decode_link_sun_atm) \
	LAYER(FIREWIRE, decode_link_firewire) \
	LAYER(PKTAP, decode_link_pktap) \
	LAYER(MPLS, decode_mpls_label) \
	LAYER(PSEUDOWIRE, decode_mpls_pseudowire) \
	LAYER(WIFI, decode_wifi_frame) \
	LAYER(WIFI_PADDED, decode_wifi_padded) \
	LAYER(RADIOTAP, decode_wifi_radiotap) \
	LAYER(PRISM, decode_wifi_prism) \
	LAYER(AVS, decode_wifi_avs) \
	LAYER(PPI, decode_wifi_ppi) \
	LAYER(PPP, decode_ppp_frame) \
	LAYER(PPP_DIRECTION, decode_ppp_direction) \
	LAYER(PPP_BRIDGED, decode_ppp_bridged) \
	LAYER(SERIAL, decode_ppp_serial) \
	LAYER(CISCO_HDLC, decode_ppp_cisco_hdlc) \
	LAYER(PPPOE, decode_ppp_over_ethernet) \
	LAYER(IPV4, decode_ipv4) \
	LAYER(IPV6, decode_ip_v6) \
	LAYER(IPV6_EXTENSION, decode_ip_extension) \
	LAYER(IPV6_FRAGMENT, decode_ip_fragment) \
	LAYER(AH, decode_ip_ah) \
	LAYER(TCP, decode_ip_tcp) \
	LAYER(UDP, decode_udp) \
	LAYER(IP_IN_IP, decode_tunnel_ip) \
	LAYER(GRE, decode_tunnel_gre) \
	LAYER(GRE_PPP, decode_tunnel_gre_ppp) \
	LAYER(WCCP, decode_tunnel_wccp) \
	LAYER(ERSPAN2, decode_tunnel_erspan2) \
	LAYER(ERSPAN3, decode_tunnel_erspan3) \
	LAYER(ETHERIP, decode_tunnel_etherip) \
	LAYER(NSH, decode_tunnel_nsh) \
	LAYER(L2TPV3, decode_l2tp_over_ip) \
	LAYER(UDP_PORT, decode_port_tunnel) \
	LAYER(VXLAN, decode_port_vxlan) \
	LAYER(VXLAN_GPE, decode_port_vxlan_gpe) \
	LAYER(GENEVE, decode_port_geneve) \
	LAYER(GTPU, decode_port_gtpu) \
	LAYER(TZSP, decode_port_tzsp) \
	LAYER(TEREDO, decode_port_teredo) \
	LAYER(LISP, decode_port_lisp) \
	LAYER(AYIYA, decode_port_ayiya) \
	LAYER(L2TP, decode_l2tp_over_udp)
/* clang-format on */

enum layer {
	/* ends */
	END_OTHER,
	END_UDP,
	END_FRAGMENT,
	END_TCP,
	END_MALFORMED,
	END_NESTED,
	END_LINK_UNKNOWN,
	ENDS,
	LAYERS_BEGIN = ENDS - 1,
/* layers */
#define LAYER(name, decoder) LAYER_##name,
	LAYER_TABLE(LAYER)
#undef LAYER
		LAYERS
};

/* Where a walk is. */
struct walk {
	struct bytes at;   /* what was captured of the layer that comes next */
	uint32_t wire_len; /* how long a header before says that is; UNKNOWN_LEN: none did */
	uint8_t depth;     /* layers so far */
	bool tunnelled;    /* one of them was a tunnel */
	/* The innermost datagram to a tunnel's port: what it is if what is inside is malformed. */
	bool may_be_plain, plain_tunnelled;
	struct datagram *plain; /* borrowed, as all below */
	const struct decoder *dec;
	struct datagram *out;
	struct piece *piece;
};
#define UNKNOWN_LEN UINT32_MAX

#define LAYER(name, decoder) enum layer decoder(struct walk *w);
LAYER_TABLE(LAYER)
#undef LAYER

/* What a link type (as pcap_datalink() gives it) says comes first; END_LINK_UNKNOWN when it is
 * none of ours. */
enum layer decode_link_of_type(uint32_t number);

/* What an EtherType (IEEE 802 numbers) says comes next; below 1536 the field is the length of an
 * LLC frame. */
enum layer decode_link_of_ethertype(uint16_t number);

/* What a protocol number says comes next, in IPv4 and in IPv6. */
extern const uint8_t decode_ip_v4_protocols[256], decode_ip_v6_protocols[256];

/* What is left is a fragment of an IP packet: fills the piece. */
enum layer decode_ip_piece(struct walk *w, uint8_t protocol, uint32_t id, uint32_t offset,
			   bool more);

/* IPv4 or IPv6, by the first nibble; END_MALFORMED when it is neither. */
static inline enum layer walk_ip(const struct walk *w)
{
	struct bytes look = w->at;
	uint8_t version = bytes_u8(&look) >> 4;

	return version == 4 ? LAYER_IPV4 : version == 6 ? LAYER_IPV6 : END_MALFORMED;
}

/* Is an IP packet here that is as long as what is left, or at most `padding` bytes shorter? */
bool decode_ip_fits(const struct walk *w, uint32_t padding);

/* The layer behind a UDP port when it is a tunnel's, or END_UDP.  Exact; the filter was asked
 * before. */
enum layer decoder_tunnel(const struct decoder *dec, uint16_t port);

/* May one of a datagram's ports be a tunnel's? */
static inline bool decoder_may_be_tunnel(const struct decoder *dec, uint16_t a, uint16_t b)
{
	return (dec->filter[(a >> 6) & 15] >> (a & 63) | dec->filter[(b >> 6) & 15] >> (b & 63)) &
	       1;
}

/* Take the next `n` bytes as a header of its own; NULL when the frame ends before. */
static inline const uint8_t *walk_take(struct walk *w, size_t n, struct bytes *header)
{
	const uint8_t *p = bytes_take(&w->at, n);

	if (LIKELY(p != NULL))
		*header = bytes_over(p, n);
	return p;
}

/* Take `n` bytes that lie within what the IP packet's length covers; false when it is shorter, or
 * the frame is. */
static inline bool walk_skip(struct walk *w, uint32_t n)
{
	bytes_skip(&w->at, n);
	if (w->at.failed || w->wire_len < n)
		return false;
	if (w->wire_len != UNKNOWN_LEN)
		w->wire_len -= n;
	return true;
}

/* What follows is `len` bytes long on the wire; anything after that is padding of the link. */
static inline void walk_narrow(struct walk *w, uint32_t len)
{
	w->wire_len = len;
	if (bytes_left(&w->at) > len)
		w->at.end = w->at.at + len;
}

#endif
