/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* stream_record.c: what is told of a stream, while it goes on and at its end.  Runs on the capture thread. */
#include "rtp/foreign.h"
#include "rtp/media.h"

uint64_t stream_call(const struct media *m, const struct stream *s)
{
	const struct expect *x = &m->expects.at[m->flows.at[s->flow].expect];
	return m->expects.calls[x->call].number;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void stream_send_record(struct media *m, uint32_t stream, int64_t until_us)
{
	const struct stream *s = &m->streams.at[stream];
	struct stream_cold *c = &m->streams.cold[stream];
	const struct flow *f = &m->flows.at[s->flow];
	foreign_judge(m, stream);
	const struct stream_rare *rare = stream_rare_of(&m->streams, stream);
	const struct stream_reports *told = stream_reports_of(&m->streams, stream);
	struct stream_record r = { .call = stream_call(m, s),
				   .stream = c->number,
				   .track = c->track,
				   .foreign = c->foreign,
				   .ssrc = s->ssrc,
				   .src = f->src,
				   .dst = f->dst,
				   .payload_types_count = c->types_count,
				   .clock_rate = s->clock_rate,
				   .channels = c->channels ? c->channels : 1,
				   .packets = s->distinct - rare->others,
				   .bytes = s->bytes,
				   .late = rare->late,
				   .duplicates = rare->duplicates,
				   .reordered = rare->reordered,
				   .events = rare->events,
				   .cut = rare->cut,
				   .dropped = rare->dropped,
				   .truncated = rare->truncated,
				   .start_us = c->start_us,
				   .end_us = c->end_us,
				   .until_us = until_us,
				   .complete = rare->dropped == 0 && rare->truncated == 0,
				   .protection = c->protection,
				   .relay_copies = rare->relay_copies,
				   .noise = rare->noise,
				   .sender_packets = told->sender_packets,
				   .reports = told->reports,
				   .remote_lost = told->remote_lost };
	uint64_t expected = s->distinct ? sequence_expected(&s->now, &rare->past) : 0;

	r.lost = expected > s->distinct ? expected - s->distinct : 0;
	/* A cut at the end may know of gaps what the count of the lost does not. */
	r.loss_runs = least(loss_runs(&rare->loss), r.lost);
	r.loss_longest = least(loss_longest(&rare->loss), r.lost);
	if (c->codec) {
		memcpy(r.codec, c->codec->codec, sizeof r.codec);
		memcpy(r.fmtp, c->codec->fmtp, sizeof r.fmtp);
	}
	memcpy(r.payload_types, c->types, sizeof r.payload_types);
	r.jitter_ms = s->jitter / 16.0 * 1000.0 / s->clock_rate;
	r.remote_jitter_ms = told->remote_jitter * 1000.0 / s->clock_rate;
	r.ptime_ms = c->ptime_ms;
	if (s->time_step)
		r.ptime_ms = (uint32_t)(((uint64_t)s->time_step * 1000 + s->clock_rate / 2) /
					s->clock_rate);
	c->recorded = true;
	c->recorded_us = c->end_us;
	m->cfg.sink.stream(m->cfg.sink.ctx, &r);
}
