/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* stream_end.c: the end of a stream, exact to the packet.
 *
 * The end of a call is known after packets that came later than it: they go from the open chunk, and with the
 * help of the logs of the last packets from the figures too.  Runs on the capture thread.
 */
#include "rtp/media.h"
#include "rtp/relay.h"

struct cutting {
	struct media *m;
	uint32_t stream;
	struct stream *s;
};

static struct stream_rare *rare_of(const struct cutting *cut)
{
	return stream_rare(cut->m, cut->stream);
}

/* A stored frame that came after the end. */
static void uncount_audio(const struct cutting *cut, uint16_t number, uint32_t payload_len)
{
	sequence_undo(&cut->s->now, number);
	cut->s->distinct--;
	cut->s->bytes -= payload_len;
	rare_of(cut)->cut++;
	count(cut->m->counters, COUNT_RTP_CUT);
}

/* What a type carries may have been told anew since its frames were counted: of some that are taken back as
 * noise none may have been. */
static void uncount_noise(const struct cutting *cut)
{
	struct stream_rare *r = rare_of(cut);
	r->noise -= r->noise > 0;
}

static void cut_frame(void *ctx, const struct rtp_frame *f)
{
	const struct cutting *cut = ctx;
	const struct media_payload *p = stream_payload(cut->m, cut->s, f->payload_type);
	struct stream_rare *r = rare_of(cut);

	if (f->wire_len > f->extra_len + f->payload_len + f->padding_len)
		r->truncated--;
	if (stream_is_event_type(r, f->payload_type)) {
		/* The rest of it stands in the log of what is no audio. */
		r->cut++;
		count(cut->m->counters, COUNT_RTP_CUT);
		return;
	}
	if (p && p->kind == PAYLOAD_NOISE)
		uncount_noise(cut);
	uncount_audio(cut, (uint16_t)f->sequence, f->payload_len);
}

/* What else was counted of a packet that came after the end. */
static void uncount_aside(const struct cutting *cut, const struct seen *e)
{
	struct stream_rare *r = rare_of(cut);

	if (e->kind == SEEN_DUPLICATE || e->kind == SEEN_REORDERED) {
		r->duplicates -= e->kind == SEEN_DUPLICATE;
		r->reordered -= e->kind == SEEN_REORDERED;
		return;
	}
	sequence_undo(&cut->s->now, e->number);
	cut->s->distinct--;
	if (e->kind == SEEN_DROPPED) {
		cut->s->bytes -= e->payload_len;
		r->dropped--;
		return;
	}
	r->others--;
	r->events -= e->kind == SEEN_NEW_EVENT;
}

/* Take back what the logs say came after until_us.  Gives the arrival of the newest closed frame
 * that did not, or until_us when the log does not reach back so far. */
static int64_t cut_logs(const struct cutting *cut, int64_t until_us)
{
	const struct stream_set *t = &cut->m->streams;
	int64_t kept_us = INT64_MIN;

	for (unsigned i = 0; i < SEEN_MOST; i++) {
		struct seen e = seen_get(&stream_rare_of(t, cut->stream)->aside, i);
		if (e.kind != SEEN_FORGOTTEN && e.arrival_us > until_us)
			uncount_aside(cut, &e);
	}
	for (unsigned i = 0; i < SEEN_MOST; i++) {
		struct seen e = seen_get(&t->cold[cut->stream].closed, i);
		if (e.kind == SEEN_FORGOTTEN)
			continue;
		if (e.arrival_us > until_us && e.kind == SEEN_DROPPED) {
			uncount_aside(cut, &e); /* counted as lost already, so not as cut */
		} else if (e.arrival_us > until_us) {
			if (e.kind == SEEN_NOISE)
				uncount_noise(cut);
			uncount_audio(cut, e.number, e.payload_len);
		} else if (e.arrival_us > kept_us) {
			kept_us = e.arrival_us;
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
	struct cutting cut = { m, stream, s };
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
	if (c->rare != NONE)
		loss_cut(&stream_rare(m, stream)->loss, s->now.max);
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
	if (c->rare != NONE) {
		t->rare[c->rare].next = t->rare_free;
		t->rare_free = c->rare;
	}
	f->stream = c->next;
	c->next = t->free;
	t->free = stream;
	t->live--;
}
