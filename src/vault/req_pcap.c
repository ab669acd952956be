/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_pcap.c: a call as it crossed the wire, for those who have their own tools.
 *
 * Each RTP packet is built again bit for bit from its chunk and stands at its time of arrival between the addresses of its
 * stream; SRTP stays the cipher that it was.  SIP messages stand between them where the policy had them kept; one that
 * came over TCP or WebSocket is written as one UDP datagram.  What came after the call's end is left out.  No codec is
 * needed.  The same rights, purpose and audit entries as for every other way to a recording.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "rtp/rtp.h"
#include "vault/opening.h"
#include "vault/pcap_file.h"

#define CHUNK_SSRC_AT 36
#define RTP_HEADER    12
#define RTP_VERSION_2 0x80
#define RTP_MARKER    0x80

struct capturing {
	const struct opening *o;
	struct pcap_file *file; /* owned */
	uint64_t rtp, messages;
};

static enum rc no_memory(struct error *err)
{
	return error_set(err, RC_FAILED, "not enough memory");
}

/* The packet as it was: what stood between fixed header and payload, payload and padding lie side by side. */
static bool add_rtp(struct capturing *p, const struct stream_record *s, uint32_t ssrc,
		    const struct rtp_frame *f)
{
	uint8_t head[RTP_HEADER];
	uint32_t stored = f->extra_len + f->payload_len + f->padding_len;
	head[0] = f->has_extra ? f->first_octet : RTP_VERSION_2;
	head[1] = (uint8_t)(f->payload_type | (f->marker ? RTP_MARKER : 0));
	put_u16(head + 2, (uint16_t)f->sequence);
	put_u32(head + 4, f->timestamp);
	put_u32(head + 8, ssrc);
	const struct pcap_packet x = {
		.ts_us = f->arrival_us,
		.src = s->src,
		.dst = s->dst,
		.pieces = { { head, RTP_HEADER }, { f->payload - f->extra_len, stored } },
		.len = RTP_HEADER + stored,
		.wire_len = RTP_HEADER + (f->wire_len > stored ? f->wire_len : stored),
	};
	p->rtp++;
	return pcap_file_packet(p->file, &x) != NULL;
}

static enum rc take_chunk(void *ctx, const struct stream_record *s, int64_t until_us,
			  const uint8_t *body, size_t len, struct error *err)
{
	struct capturing *p = ctx;
	struct chunk_reader reader;
	struct rtp_frame f;
	enum rc rc;
	if (p->o->track >= 0 && s->track != p->o->track)
		return RC_OK;
	if (len < CHUNK_HEADER || !chunk_reader_init(&reader, body, len))
		return RC_DAMAGED;
	struct bytes b = bytes_over(body + CHUNK_SSRC_AT, 4);
	uint32_t ssrc = bytes_u32_le(&b);
	while ((rc = chunk_reader_next(&reader, &f)) == RC_OK) {
		bool of_call = !until_us || f.arrival_us <= until_us;
		if (of_call && !add_rtp(p, s, ssrc, &f))
			return no_memory(err);
	}
	return rc == RC_END ? RC_OK : rc;
}

static enum rc take_message(void *ctx, const struct signalling_record *m, struct error *err)
{
	struct capturing *p = ctx;
	const struct pcap_packet x = {
		.ts_us = m->ts_us,
		.src = m->src,
		.dst = m->dst,
		.pieces = { { m->bytes, m->len } },
		.len = m->len,
		.wire_len = m->len,
	};
	p->messages++;
	return pcap_file_packet(p->file, &x) ? RC_OK : no_memory(err);
}

static void tell(const struct capturing *p, const struct opened *x, uint64_t bytes,
		 const char *sha256)
{
	int64_t first = pcap_file_first_us(p->file), last = pcap_file_last_us(p->file);
	json_t *reply = json_pack("{s:f, s:I, s:I, s:I}", "seconds", (double)(last - first) / 1e6,
				  "zero_us", (json_int_t)first, "packets", (json_int_t)p->rtp,
				  "messages", (json_int_t)p->messages);
	ASSERT(reply);
	json_object_set_new(reply, "bytes", bytes ? json_integer((json_int_t)bytes) : json_null());
	json_object_set_new(reply, "sha256", call_json_text(sha256));
	requests_reply(x->q, reply);
}

static enum rc hand_out(void *ctx, const struct opened *x, struct error *err)
{
	struct capturing *p = ctx;
	uint64_t bytes = 0;
	char sha256[65] = "", detail[160];
	if (!pcap_file_packets(p->file))
		return error_set(
			err, RC_FAILED,
			"nothing to export: no audio was recorded, and no signalling kept");
	enum rc rc = pcap_file_write(p->file, x->o->fd, err);
	if (rc != RC_OK)
		return rc;
	disk_hash(x->o->fd, &bytes, sha256);
	snprintf(detail, sizeof detail, "bytes=%llu sha256=%s", (unsigned long long)bytes,
		 *sha256 ? sha256 : "none");
	rc = opening_audit(x, "done", detail, err);
	if (rc == RC_OK)
		tell(p, x, bytes, sha256);
	return rc;
}

enum rc pcap_export(const struct request *q, const struct opening *o, struct error *err)
{
	char detail[128];
	struct capturing p = { .o = o, .file = pcap_file_new() };
	const struct opening_use use = {
		.ctx = &p, .chunk = take_chunk, .signalling = take_message, .finish = hand_out
	};
	snprintf(detail, sizeof detail, "to=file format=%s track=%s",
		 opening_format_name(o->format), opening_track_name(o->track));
	enum rc rc = opening_run(q, o, detail, &use, err);
	pcap_file_free(p.file);
	return rc;
}
