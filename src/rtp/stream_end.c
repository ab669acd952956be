/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* stream_end.c: the end of a stream, exact to the packet.
 *
 * The end of a call is known after packets that came later than it: they go from the open chunk, and with the
 * help of the logs of the last packets from the figures too.  Runs on the capture thread.
 */
#include "rtp/media.h"
#include "rtp/relay.h"

static uint32_t log_entries(const struct stream_log *log)
{
	return log->count < STREAM_LOG ? log->count : STREAM_LOG;
}

struct cutting {
	struct media *m;
	struct stream *s;
	struct stream_cold *c;
};

/* A stored frame that came after the end. */
static void uncount_audio(const struct cutting *cut, uint16_t number, uint32_t payload_len)
{
	sequence_undo(&cut->s->now, number);
	cut->s->distinct--;
	cut->s->bytes -= payload_len;
	cut->c->cut++;
	count(cut->m->counters, COUNT_RTP_CUT);
}

static void cut_frame(void *ctx, const struct rtp_frame *f)
{
	const struct cutting *cut = ctx;
	const struct media_payload *p = stream_payload(cut->m, cut->s, f->payload_type);

	if (f->wire_len > f->extra_len + f->payload_len + f->padding_len)
		cut->c->truncated--;
	if (stream_is_event_type(cut->c, f->payload_type)) {
		/* The rest of it stands in the log of what is no audio. */
		cut->c->cut++;
		count(cut->m->counters, COUNT_RTP_CUT);
		return;
	}
	cut->c->noise -= p && p->kind == PAYLOAD_NOISE;
	uncount_audio(cut, (uint16_t)f->sequence, f->payload_len);
}

/* What else was counted of a packet that came after the end. */
static void uncount_aside(const struct cutting *cut, enum seen_kind kind, uint16_t number,
			  uint32_t payload_len)
{
	struct stream_cold *c = cut->c;

	if (kind == SEEN_DUPLICATE || kind == SEEN_REORDERED) {
		c->duplicates -= kind == SEEN_DUPLICATE;
		c->reordered -= kind == SEEN_REORDERED;
		return;
	}
	sequence_undo(&cut->s->now, number);
	cut->s->distinct--;
	if (kind == SEEN_DROPPED) {
		cut->s->bytes -= payload_len;
		c->dropped--;
		return;
	}
	c->others--;
	c->events -= kind == SEEN_NEW_EVENT;
}

/* Take back what the logs say came after until_us.  Gives the arrival of the newest closed frame
 * that did not, or until_us when the log does not reach back so far. */
static int64_t cut_logs(const struct cutting *cut, int64_t until_us)
{
	const struct stream_log *closed = &cut->c->closed, *aside = &cut->c->aside;
	int64_t kept_us = INT64_MIN;

	for (uint32_t i = 0; i < log_entries(aside); i++)
		if (aside->arrival_us[i] > until_us)
			uncount_aside(cut, (enum seen_kind)aside->kind[i], aside->number[i],
				      aside->payload_len[i]);
	for (uint32_t i = 0; i < log_entries(closed); i++) {
		if (closed->arrival_us[i] > until_us) {
			cut->c->noise -= closed->kind[i] == SEEN_NOISE;
			uncount_audio(cut, closed->number[i], closed->payload_len[i]);
		} else if (closed->arrival_us[i] > kept_us) {
			kept_us = closed->arrival_us[i];
		}
	}
	return kept_us == INT64_MIN ? until_us : kept_us;
}

/* What came after until_us is no part of the call: it goes from the open chunk, and from the
 * figures. */
static void cut_tail(struct media *m, uint32_t stream, int64_t until_us)
{
	struct stream *s = &m->streams.at[stream];
	struct stream_cold *c = &m->streams.cold[stream];
	struct cutting cut = { m, s, c };
	bool over = s->writer.arrival_us > until_us;

	if (over && s->writer.chunk) {
		chunk_cut(&s->writer, until_us, cut_frame, &cut);
		over = s->writer.frames == 0;
		if (over)
			stream_drop_chunk(m, stream);
	}
	int64_t kept_us = cut_logs(&cut, until_us);
	c->end_us = over ? kept_us : s->writer.arrival_us;
	sequence_settle(&s->now);
	loss_cut(&c->loss, s->now.max);
}

void stream_end(struct media *m, uint32_t stream, int64_t until_ns)
{
	struct stream_set *t = &m->streams;
	struct stream *s = &t->at[stream];
	struct stream_cold *c = &t->cold[stream];
	struct flow *f = &m->flows.at[s->flow];
	bool all = until_ns == INT64_MAX;
	int64_t until_us = until_ns / NS_PER_US;

	ASSERT(f->stream == stream);
	relay_end(m, stream);
	c->end_us = s->writer.arrival_us;
	if (!all)
		cut_tail(m, stream, until_us);
	if (s->writer.chunk)
		stream_hand_over(m, stream, true);
	if (s->distinct > 0 || c->recorded)
		stream_send_record(m, stream, all ? 0 : until_us);
	intern_drop(m->expects.maps, intern_of(m->expects.maps, c->codec));
	f->stream = c->next;
	c->next = t->free;
	t->free = stream;
	t->live--;
}
