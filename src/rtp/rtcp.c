/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* rtcp.c: see rtcp.h.
 *
 * A datagram holds several packets one after the other (RFC 3550, 6.1), or one (RFC 5506):
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |V=2|P|  count  |      type     |    length in words, less one  |
 *   |  SSRC of the sender; in an SR: NTP (2 words), RTP, packets, octets
 *   |  report block × count: SSRC | fraction, lost | highest | jitter | LSR | DLSR
 */
#include "rtp/rtcp.h"

#include "base/bytes.h"
#include "rtp/media.h"

#define HAS_PADDING 0x20
#define COUNT_BITS  0x1f

enum rtcp_type { RTCP_SR = 200, RTCP_RR = 201, RTCP_BYE = 203 };

/* One packet of a datagram. */
struct rtcp_packet {
	uint8_t type, count;
	struct bytes body; /* behind the first word */
};

/* Whose reports these are. */
struct reporter {
	struct media *m;
	uint32_t expect; /* of the call */
	uint8_t track;   /* the sender's own voice */
};

/* The next packet; false at the end, or (b->failed) where the lengths contradict the datagram's. */
static bool next(struct bytes *b, struct rtcp_packet *p)
{
	if (bytes_left(b) == 0)
		return false;
	uint8_t first = bytes_u8(b);
	p->type = bytes_u8(b);
	p->count = first & COUNT_BITS;
	size_t len = 4 * (size_t)bytes_u16(b);
	const uint8_t *body = bytes_take(b, len);
	/* Only the last packet is padded. */
	if (!body || first >> 6 != 2 || ((first & HAS_PADDING) && bytes_left(b) > 0))
		b->failed = true;
	if (b->failed)
		return false;
	p->body = bytes_over(body, len);
	return true;
}

/* The stream that a report is about; its leader, if it is a relay's copy.  NONE: none that is known. */
static uint32_t stream_of(const struct reporter *r, uint32_t ssrc, uint8_t track)
{
	struct media_walk w = media_walk(r->m, r->expect);
	uint32_t s;

	while ((s = media_walk_next(r->m, &w)) != NONE) {
		const struct stream_cold *c = &r->m->streams.cold[s];
		if (r->m->streams.at[s].ssrc == ssrc && c->track == track)
			return r->m->streams.at[s].role == STREAM_COPY
				       ? stream_rare_of(&r->m->streams, s)->leader
				       : s;
	}
	return NONE;
}

static void take_block(const struct reporter *r, struct bytes *b)
{
	uint32_t stream = stream_of(r, bytes_u32(b), !r->track);
	uint32_t lost = bytes_u32(b) & 0xffffff;
	uint32_t highest = bytes_u32(b), jitter = bytes_u32(b);
	uint32_t mark = highest ^ bytes_u32(b) ^ bytes_u32(b) * 31;

	if (b->failed || stream == NONE)
		return;
	struct stream_reports *told = stream_reports(r->m, stream);
	if (told->reports > 0 && told->last_report == mark)
		return;
	told->last_report = mark;
	told->reports++;
	told->remote_lost = lost & 0x800000 ? 0 : lost; /* negative: duplicates were counted */
	told->remote_jitter = jitter;
}

static void take_report(const struct reporter *r, struct rtcp_packet *p)
{
	struct bytes *b = &p->body;
	uint32_t ssrc = bytes_u32(b);

	if (p->type == RTCP_SR) {
		bytes_skip(b, 12);
		uint32_t packets = bytes_u32(b);
		bytes_skip(b, 4);
		uint32_t stream = stream_of(r, ssrc, r->track);
		if (!b->failed && stream != NONE)
			stream_reports(r->m, stream)->sender_packets = packets;
	}
	for (unsigned i = 0; i < p->count && !b->failed; i++)
		take_block(r, b);
}

static void take_bye(const struct reporter *r, struct rtcp_packet *p)
{
	for (unsigned i = 0; i < p->count; i++) {
		uint32_t stream = stream_of(r, bytes_u32(&p->body), r->track);
		if (!p->body.failed && stream != NONE)
			r->m->streams.cold[stream].said_bye = true;
	}
}

/* Do the packets fill the datagram?  One cut by the snap length is read as far as it goes. */
static bool is_whole(const struct datagram *d)
{
	struct bytes b = bytes_over(d->payload, d->len);
	struct rtcp_packet p;

	while (next(&b, &p))
		;
	return !b.failed || d->wire_len > d->len;
}

void rtcp_take(struct media *m, const struct datagram *d, uint32_t expect, bool by_source)
{
	const struct expect *x = &m->expects.at[expect];
	struct reporter r = { m, expect, by_source ? x->party : !x->party };
	struct bytes b = bytes_over(d->payload, d->len);
	struct rtcp_packet p;

	if (expect_protection(&m->expects, expect, by_source) != PROTECTION_NONE) {
		count(m->counters, COUNT_RTCP_ENCRYPTED);
		return;
	}
	if (!is_whole(d)) {
		count(m->counters, COUNT_RTCP_MALFORMED);
		return;
	}
	count(m->counters, COUNT_RTCP);
	while (next(&b, &p)) {
		if (p.type == RTCP_SR || p.type == RTCP_RR)
			take_report(&r, &p);
		else if (p.type == RTCP_BYE)
			take_bye(&r, &p);
	}
}
