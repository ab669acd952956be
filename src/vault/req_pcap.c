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
#include "vault/handover.h"
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

static json_t *told(const struct capturing *p)
{
	int64_t first = pcap_file_first_us(p->file), last = pcap_file_last_us(p->file);
	json_t *o = json_pack("{s:f, s:I, s:I, s:I}", "seconds", (double)(last - first) / 1e6,
			      "zero_us", (json_int_t)first, "packets", (json_int_t)p->rtp,
			      "messages", (json_int_t)p->messages);
	ASSERT(o);
	return o;
}

static enum rc hand_out(void *ctx, const struct opened *x, struct error *err)
{
	struct capturing *p = ctx;
	struct handover out;
	if (!pcap_file_packets(p->file))
		return error_set(
			err, RC_FAILED,
			"nothing to export: no audio was recorded, and no signalling kept");
	enum rc rc = handover_begin(&out, x, err);
	if (rc != RC_OK)
		return rc;
	vault_step_out(x->q->v);
	rc = pcap_file_write(p->file, out.fd, err);
	if (rc == RC_OK)
		handover_written(&out);
	vault_step_in(x->q->v);
	if (rc == RC_OK)
		rc = handover_finish(&out, told(p), err);
	vault_step_out(x->q->v); /* there is much to wipe */
	handover_end(&out);
	pcap_file_free(p->file);
	p->file = NULL;
	vault_step_in(x->q->v);
	return rc;
}

enum rc pcap_export(const struct request *q, const struct opening *o, struct error *err)
{
	char detail[HANDOVER_DETAIL];
	struct capturing p = { .o = o, .file = pcap_file_new() };
	const struct opening_use use = {
		.ctx = &p, .chunk = take_chunk, .signalling = take_message, .finish = hand_out
	};
	handover_detail(o, detail);
	enum rc rc = opening_run(q, o, detail, &use, err);
	pcap_file_free(p.file);
	return rc;
}
