/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode.c: from a link frame to one UDP datagram.  Any thread; nothing is kept or allocated.
 *
 * A walk through the layers (walk.h) ends at one of the ENDs, or after LAYERS_AT_MOST of them:
 *
 *     frame ─► ethernet ─► vlan ─► ipv4 ─► udp ─┬─► END_UDP
 *              link        EtherType   protocol │
 *                   ▲                           └─► vxlan, GTP-U, ... (ports of the options)
 *                   └───────────────────────────────────┘
 *
 * What is innermost counts.  A port proves nothing: a datagram to a tunnel's port in which
 * no such tunnel is, is a datagram like others.
 *
 * Checksums are not verified: on a mirror of a host that leaves them to its network card, all
 * frames it sends carry wrong ones.
 */
#include "capture/walk.h"

static const struct {
	enum decode_verdict verdict;
	enum counter counter;
} ends[ENDS] = {
	[END_OTHER] = { DECODE_OTHER, COUNT_DECODE_OTHER },
	[END_UDP] = { DECODE_UDP, COUNT_DATAGRAMS },
	[END_FRAGMENT] = { DECODE_FRAGMENT, COUNT_DECODE_FRAGMENT },
	[END_TCP] = { DECODE_TCP, COUNT_DECODE_TCP },
	[END_MALFORMED] = { DECODE_MALFORMED, COUNT_DECODE_MALFORMED },
	[END_NESTED] = { DECODE_MALFORMED, COUNT_DECODE_NESTED },
	[END_LINK_UNKNOWN] = { DECODE_LINK_UNKNOWN, COUNT_DECODE_LINK_UNKNOWN },
};

/* The layers of nearly every frame are inlined into the walk. */
#define FAST static inline __attribute__((always_inline))

/* ---- the usual layers ------------------------------------------------------------------ */

/* Destination (6), source (6), EtherType (2). */
FAST enum layer ethernet(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 14, &h))
		return END_MALFORMED;
	bytes_skip(&h, 12);
	uint16_t type = bytes_u16(&h);
	return LIKELY(type == 0x0800) ? LAYER_IPV4 : decode_link_of_ethertype(type);
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
	const uint8_t *header = walk_take(w, 20, &h);

	if (UNLIKELY(!header))
		return END_MALFORMED;
	uint8_t first = bytes_u8(&h);
	uint32_t header_len = (first & 15u) * 4;
	bytes_skip(&h, 1);
	uint32_t total_len = bytes_u16(&h);
	uint16_t id = bytes_u16(&h);
	uint16_t part = bytes_u16(&h);
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
		walk_narrow(w, total_len - header_len);
	if (UNLIKELY(w->at.failed))
		return END_MALFORMED;
	if (UNLIKELY(part & 0x3fff)) { /* more fragments, or not the first one */
		struct walk copy = *w; /* a walk whose address is given away leaves the registers */
		return decode_ip_piece(&copy, protocol, id, (part & 0x1fffu) * 8, part & 0x2000);
	}
	return decode_ip_v4_protocols[protocol];
}

/* RFC 768: source port (2), destination port (2), length with this header (2), checksum (2). */
FAST enum layer udp(struct walk *w)
{
	struct bytes h;

	if (!walk_take(w, 8, &h))
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
	if (UNLIKELY(decoder_may_be_tunnel(w->dec, w->out->src.port, w->out->dst.port)))
		return LAYER_UDP_PORT;
	return END_UDP;
}

enum layer decode_ethernet(struct walk *w)
{
	return ethernet(w);
}

enum layer decode_ipv4(struct walk *w)
{
	return ipv4(w);
}

enum layer decode_udp(struct walk *w)
{
	return udp(w);
}

/* ---- the walk ------------------------------------------------------------------------ */

static enum layer (*const layers[LAYERS])(struct walk *) = {
#define LAYER(name, decoder) [LAYER_##name] = (decoder),
	LAYER_TABLE(LAYER)
#undef LAYER
};

/* On from `layer`, by the table, to an end. */
static enum layer walk_on(struct walk w, enum layer layer, struct counters *c)
{
	struct datagram plain;

	w.plain = &plain;
	for (; layer >= ENDS; w.depth++)
		layer = w.depth < LAYERS_AT_MOST ? layers[layer](&w) : END_NESTED;
	if (layer == END_MALFORMED && w.may_be_plain) {
		*w.out = plain;
		w.tunnelled = w.plain_tunnelled;
		layer = END_UDP;
	}
	if (w.tunnelled && layer == END_UDP)
		count(c, COUNT_DECODE_TUNNEL);
	return layer;
}

FAST enum decode_verdict finish(enum layer layer, int64_t ts_ns, struct datagram *out,
				struct piece *piece, struct counters *c)
{
	count(c, ends[layer].counter);
	if (LIKELY(layer == END_UDP)) {
		out->ts_ns = ts_ns;
		if (UNLIKELY(out->len < out->wire_len))
			count(c, COUNT_DECODE_TRUNCATED);
	} else if (layer == END_FRAGMENT || layer == END_TCP) {
		piece->ts_ns = ts_ns;
	}
	return ends[layer].verdict;
}

enum decode_verdict decode_frame(const struct decoder *dec, const struct frame *f,
				 struct datagram *out, struct piece *piece, struct counters *c)
{
	struct walk w = { .at = bytes_over(f->bytes, f->len),
			  .wire_len = UNKNOWN_LEN,
			  .dec = dec,
			  .out = out,
			  .piece = piece };
	enum layer layer =
		LIKELY(f->link_type == 1) ? LAYER_ETHERNET : decode_link_of_type(f->link_type);

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
		layer = walk_on(w, layer, c);
	return finish(layer, f->ts_ns, out, piece, c);
}

enum decode_verdict decode_payload(const struct decoder *dec, const struct piece *whole,
				   struct datagram *out, struct piece *piece, struct counters *c)
{
	/* `whole` may be `*piece`; each round of reassembly is a layer. */
	struct walk w = { .at = bytes_over(whole->bytes, whole->len),
			  .wire_len = whole->wire_len,
			  .depth = (uint8_t)(whole->depth + 1),
			  .dec = dec,
			  .out = out,
			  .piece = piece };
	int64_t ts_ns = whole->ts_ns;
	enum layer layer = endpoint_is_v4(&whole->src) ? decode_ip_v4_protocols[whole->protocol]
						       : decode_ip_v6_protocols[whole->protocol];

	out->src = whole->src;
	out->dst = whole->dst;
	return finish(walk_on(w, layer, c), ts_ns, out, piece, c);
}
