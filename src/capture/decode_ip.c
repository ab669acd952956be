/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode_ip.c: what IP carries, and IPv6 itself.  See walk.h. */
#include "capture/walk.h"

/* What is not named is well formed and nothing for us; so is ESP (50), which is encrypted. */
#define PROTOCOLS_OF_BOTH                                                                          \
	[4] = LAYER_IP_IN_IP, [6] = LAYER_TCP, [17] = LAYER_UDP, [41] = LAYER_IP_IN_IP,            \
	[47] = LAYER_GRE, [51] = LAYER_AH, [97] = LAYER_ETHERIP, [115] = LAYER_L2TPV3,             \
	[137] = LAYER_MPLS, [143] = LAYER_ETHERNET /* RFC 4023, RFC 8986 */

const uint8_t decode_ip_v4_protocols[256] = { PROTOCOLS_OF_BOTH };
const uint8_t decode_ip_v6_protocols[256] = {
	[0] = LAYER_IPV6_EXTENSION,  /* hop-by-hop options */
	[43] = LAYER_IPV6_EXTENSION, /* routing */
	[60] = LAYER_IPV6_EXTENSION, /* destination options */
	[44] = LAYER_IPV6_FRAGMENT,  PROTOCOLS_OF_BOTH,
};

bool decode_ip_fits(const struct walk *w, uint32_t padding)
{
	struct bytes look = w->at;
	uint32_t left = w->wire_len == UNKNOWN_LEN ? (uint32_t)bytes_left(&look) : w->wire_len;
	uint8_t first = bytes_u8(&look);
	uint32_t len = 0;

	if (first >> 4 == 4 && (first & 15) >= 5) {
		bytes_skip(&look, 1);
		len = bytes_u16(&look);
	} else if (first >> 4 == 6) {
		bytes_skip(&look, 3);
		len = bytes_u16(&look) + 40u;
	}
	return !look.failed && len >= 20 && len <= left && left - len <= padding;
}

/* ---- fragments ------------------------------------------------------------------------- */

enum layer decode_ip_piece(struct walk *w, uint8_t protocol, uint32_t id, uint32_t offset,
			   bool more)
{
	uint32_t captured = (uint32_t)bytes_left(&w->at);

	*w->piece = (struct piece){
		.src = w->out->src,
		.dst = w->out->dst,
		.bytes = w->at.at,
		.len = captured,
		.wire_len = w->wire_len == UNKNOWN_LEN ? captured : w->wire_len,
		.kind = PIECE_FRAGMENT,
		.depth = w->depth,
		.protocol = protocol,
		.more = more,
		.id = id,
		.offset = offset,
	};
	return END_FRAGMENT;
}

/* ---- IPv6 -------------------------------------------------------------------------------- */

/* RFC 8200, 3: version, class, flow (4), payload length (2), next header (1), hop limit (1),
 * source (16), destination (16). */
enum layer decode_ip_v6(struct walk *w)
{
	struct bytes h;
	const uint8_t *header = walk_take(w, 40, &h);

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
		walk_narrow(w, payload_len);
	return decode_ip_v6_protocols[next];
}

/* RFC 8200, 4.3: next header (1), length in 8 octets beside the first 8 (1), the options. */
enum layer decode_ip_extension(struct walk *w)
{
	struct bytes look = w->at;
	uint8_t next = bytes_u8(&look);
	uint32_t len = (bytes_u8(&look) + 1u) * 8;

	return walk_skip(w, len) ? decode_ip_v6_protocols[next] : END_MALFORMED;
}

/* RFC 8200, 4.5: next header (1), reserved (1), offset and M (2), identification (4).  Offset 0
 * and no more: an atomic fragment (RFC 6946), whole. */
enum layer decode_ip_fragment(struct walk *w)
{
	struct bytes look = w->at;
	uint8_t next = bytes_u8(&look);

	bytes_skip(&look, 1);
	uint16_t part = bytes_u16(&look);
	uint32_t id = bytes_u32(&look);
	if (!walk_skip(w, 8))
		return END_MALFORMED;
	if (part & 0xfff9)
		return decode_ip_piece(w, next, id, part & 0xfff8u, part & 1);
	return decode_ip_v6_protocols[next];
}

/* RFC 4302, 2: next header (1), length in words less two (1), reserved (2), index (4), sequence
 * (4), check value.  What follows is in clear. */
enum layer decode_ip_ah(struct walk *w)
{
	struct bytes look = w->at;
	uint8_t next = bytes_u8(&look);
	uint32_t len = (bytes_u8(&look) + 2u) * 4;

	if (len < 12 || !walk_skip(w, len))
		return END_MALFORMED;
	return endpoint_is_v4(&w->out->src) ? decode_ip_v4_protocols[next]
					    : decode_ip_v6_protocols[next];
}

/* ---- TCP --------------------------------------------------------------------------------- */

/* RFC 9293, 3.1: source port (2), destination port (2), sequence (4), acknowledgement (4), data
 * offset in words (4 bits), reserved and flags (12 bits), window (2), checksum (2), urgent (2),
 * options. */
enum layer decode_ip_tcp(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 20, &h))
		return END_MALFORMED;
	struct piece *p = w->piece;
	*p = (struct piece){
		.src = w->out->src, .dst = w->out->dst, .kind = PIECE_SEGMENT, .depth = w->depth
	};
	p->src.port = bytes_u16(&h);
	p->dst.port = bytes_u16(&h);
	p->sequence = bytes_u32(&h);
	bytes_skip(&h, 4);
	uint32_t header_len = (bytes_u8(&h) >> 4) * 4u;
	p->flags = bytes_u8(&h);
	if (header_len < 20 || header_len > w->wire_len)
		return END_MALFORMED;
	bytes_skip(&w->at, header_len - 20);
	if (w->at.failed)
		return END_MALFORMED;
	p->bytes = w->at.at;
	p->len = (uint32_t)bytes_left(&w->at);
	p->wire_len = w->wire_len == UNKNOWN_LEN ? p->len : w->wire_len - header_len;
	return END_TCP;
}
