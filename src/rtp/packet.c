/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* packet.c: the RTP header, and telling RTP from its neighbours on the same port.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |V=2|P|X|  CC   |M|     PT      |       sequence number         |
 *   |                           timestamp                           |
 *   |                             SSRC                              |
 *   | CSRC list (CC words), extension (X) | payload | padding (P)   |
 *
 * Runs on the capture thread, on hostile bytes; keeps no state.
 */
#include "rtp/packet.h"

#include "base/bytes.h"

#define HAS_PADDING   0x20
#define HAS_EXTENSION 0x10
#define CSRC_COUNT    0x0f

/* CSRC list, extension and padding (RFC 3550, 5.1 and 5.3.1).  A packet cut by the snap length ends
 * where it ends: what is there of the extra stays extra. */
static bool parse_extra(struct rtp_header *h, struct bytes *b, bool cut)
{
	size_t all = bytes_left(b);

	bytes_skip(b, 4 * (size_t)(h->first_octet & CSRC_COUNT));
	if (h->first_octet & HAS_EXTENSION) {
		bytes_skip(b, 2);
		bytes_skip(b, 4 * (size_t)bytes_u16(b));
	}
	if (b->failed && !cut)
		return false;
	size_t left = b->failed ? 0 : bytes_left(b);
	h->extra_len = (uint32_t)(all - left);
	h->payload = h->extra + h->extra_len;
	/* The last octet counts the padding, itself included.  In SRTP that octet may be
	 * ciphertext: an impossible count is left as payload, so that nothing is lost. */
	if ((h->first_octet & HAS_PADDING) && !cut && left > 0) {
		uint32_t padding = h->payload[left - 1];
		if (padding <= left)
			h->padding_len = padding;
	}
	h->payload_len = (uint32_t)left - h->padding_len;
	return true;
}

bool rtp_parse(struct rtp_header *h, const uint8_t *p, uint32_t len, uint32_t wire_len)
{
	struct bytes b = bytes_over(p, len);
	const uint8_t *f = bytes_take(&b, RTP_HEADER);

	if (!f || f[0] >> 6 != 2)
		return false;
	h->first_octet = f[0];
	h->payload_type = f[1] & 0x7f;
	h->marker = f[1] >> 7;
	h->sequence = (uint16_t)(f[2] << 8 | f[3]);
	h->timestamp = (uint32_t)f[4] << 24 | (uint32_t)f[5] << 16 | (uint32_t)f[6] << 8 | f[7];
	h->ssrc = (uint32_t)f[8] << 24 | (uint32_t)f[9] << 16 | (uint32_t)f[10] << 8 | f[11];
	h->extra = h->payload = f + RTP_HEADER;
	h->extra_len = h->padding_len = 0;
	h->payload_len = len - RTP_HEADER;
	if (LIKELY(f[0] == RTP_PLAIN))
		return true;
	return parse_extra(h, &b, len < wire_len);
}

/* RTCP packet types 192-223 on an RTP port (RFC 5761, 4). */
static bool is_rtcp(const uint8_t *p, uint32_t len)
{
	return len >= 8 && p[0] >> 6 == 2 && (p[1] & 0xe0) == 0xc0;
}

/* "METHOD " or "SIP/2.0 ", after CRLFs.  Only a guess: signalling looks closely. */
static bool is_text(const uint8_t *p, uint32_t len)
{
	uint32_t i = 0;
	while (i < len && i < 8 && (p[i] == '\r' || p[i] == '\n'))
		i++;
	uint32_t start = i;
	while (i < len && i - start < 16 && p[i] >= 'A' && p[i] <= 'Z')
		i++;
	return i - start >= 3 && i < len && (p[i] == ' ' || p[i] == '/');
}

/* RFC 7983, 7: the first octet tells them apart; ZRTP by its cookie too (RFC 6189, 5). */
static enum packet_kind classify_stranger(const uint8_t *p, uint32_t len)
{
	static const uint8_t cookie[] = { 0x5a, 0x52, 0x54, 0x50 };

	if (len < RTP_HEADER)
		return PACKET_OTHER;
	if (p[0] < 4)
		return PACKET_STUN;
	if (p[0] >> 4 == 1 && memcmp(p + 4, cookie, sizeof cookie) == 0)
		return PACKET_ZRTP;
	if (p[0] >= 20 && p[0] < 64)
		return PACKET_DTLS;
	return p[0] < 64 ? PACKET_OTHER : PACKET_MALFORMED;
}

enum packet_kind packet_classify(struct rtp_header *h, const struct datagram *d)
{
	const uint8_t *p = d->payload;

	if (UNLIKELY(d->len == 0))
		return PACKET_OTHER;
	if (UNLIKELY(p[0] >> 6 != 2)) {
		if (is_text(p, d->len))
			return PACKET_TEXT;
		return classify_stranger(p, d->len);
	}
	if (UNLIKELY(is_rtcp(p, d->len)))
		return PACKET_RTCP;
	if (UNLIKELY(d->len < RTP_HEADER))
		return PACKET_OTHER;
	return rtp_parse(h, p, d->len, d->wire_len) ? PACKET_RTP : PACKET_MALFORMED;
}

bool packet_may_be_rtp(const struct datagram *d)
{
	return d->len >= RTP_HEADER && d->payload[0] >> 6 == 2 && !is_rtcp(d->payload, d->len);
}
