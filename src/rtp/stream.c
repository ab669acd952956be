/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* stream.c: see stream.h.  Runs on the capture thread; stream_take() runs for every packet of
 * media.
 *
 *   packet ─► numbering ─► kind ─► jitter, time step ─► open chunk ─► history
 *               '─ duplicate  '─ event
 */
#include "rtp/stream.h"

#include "rtp/media.h"
#include "rtp/packet.h"
#include "rtp/payload.h"

#define CHUNK_US       1000000  /* a chunk is open for this long, of packet time */
#define RECORD_US      30000000 /* a stream's record is sent this often */
#define CLOCK_RATE     8000     /* when nobody names it */
#define VOTES_MAX      16       /* a new time step wins after as many packets */
#define STEP_MAX       (UINT32_C(1) << 20)
#define JITTER_SECONDS 3 /* a larger difference is a jump of the sender's clock, not jitter */

/* ---- logs --------------------------------------------------------------------------------- */

enum seen_kind {
	SEEN_AUDIO,     /* of a closed chunk */
	SEEN_REORDERED, /* counted as that, whatever else */
	SEEN_DUPLICATE,
	SEEN_EVENT,
	SEEN_NEW_EVENT,
	SEEN_DROPPED
};

static void log_seen(struct stream_log *log, int64_t arrival_us, uint16_t number,
		     uint32_t payload_len, enum seen_kind kind)
{
	uint32_t at = log->count++ % STREAM_LOG;

	log->arrival_us[at] = arrival_us;
	log->number[at] = number;
	log->payload_len[at] = (uint16_t)payload_len;
	log->kind[at] = (uint8_t)kind;
}

static uint32_t log_entries(const struct stream_log *log)
{
	return log->count < STREAM_LOG ? log->count : STREAM_LOG;
}

/* The frames of a chunk that is about to be handed over. */
static void log_chunk(const struct stream *s, struct stream_cold *c)
{
	struct chunk_reader r;
	struct rtp_frame f;

	chunk_tail(&s->writer, STREAM_LOG, &r);
	while (chunk_reader_next(&r, &f) == RC_OK)
		log_seen(&c->closed, f.arrival_us, (uint16_t)f.sequence, f.payload_len, SEEN_AUDIO);
}

/* ---- the set ------------------------------------------------------------------------------ */

bool stream_set_init(struct stream_set *t, uint32_t max)
{
	memset(t, 0, sizeof *t);
	t->max = max;
	t->free = t->oldest = t->newest = NONE;
	t->at = slab_new(sizeof *t->at, max);
	t->cold = slab_new(sizeof *t->cold, max);
	return t->at && t->cold;
}

void stream_set_release(struct stream_set *t)
{
	slab_free(t->at, sizeof *t->at, t->max);
	slab_free(t->cold, sizeof *t->cold, t->max);
}

static void open_link(struct stream_set *t, uint32_t stream, int64_t ts_ns)
{
	struct stream_cold *c = &t->cold[stream];

	c->opened_ns = ts_ns;
	c->open = true;
	c->newer = NONE;
	c->older = t->newest;
	if (t->newest == NONE)
		t->oldest = stream;
	else
		t->cold[t->newest].newer = stream;
	t->newest = stream;
}

static void open_unlink(struct stream_set *t, uint32_t stream)
{
	struct stream_cold *c = &t->cold[stream];

	c->open = false;
	if (c->newer == NONE)
		t->newest = c->older;
	else
		t->cold[c->newer].older = c->older;
	if (c->older == NONE)
		t->oldest = c->newer;
	else
		t->cold[c->older].newer = c->newer;
}

uint32_t stream_new(struct media *m, uint32_t flow, const struct rtp_header *h, int64_t ts_ns)
{
	struct stream_set *t = &m->streams;
	struct flow *f = &m->flows.at[flow];
	struct expect *x = &m->expects.at[f->expect];
	uint32_t n = t->free;
	/* Strangers, and parties behind NAT, may use up a part only: what comes from where the SDP says is always heard. */
	bool foreign = expect_find(&m->expects, m->expects.calls[x->call].number,
				   f->judged ? &f->dst : &f->src) == NONE;

	if (x->streams_used == STREAM_BLOCK || (foreign && x->foreign_used == STREAM_FOREIGN) ||
	    (n == NONE && t->used == t->max))
		return NONE;
	x->foreign_used = (uint8_t)(x->foreign_used + foreign);
	if (n != NONE)
		t->free = t->cold[n].next;
	else
		n = t->used++;
	struct stream *s = &t->at[n];
	struct stream_cold *c = &t->cold[n];
	memset(s, 0, sizeof *s);
	memset(c, 0, sizeof *c);
	s->ssrc = h->ssrc;
	s->flow = flow;
	s->type = STREAM_TYPE_NONE;
	s->clock_rate = CLOCK_RATE;
	sequence_begin(&s->now, h->sequence);
	/* Sent to a party, it is the other one's voice. */
	c->track = f->judged ? x->party : !x->party;
	c->number = (uint16_t)(x->stream_base + x->streams_used++);
	c->ptime_ms = x->ptime_ms;
	c->first_us = ts_ns / NS_PER_US;
	c->first_timestamp = h->timestamp;
	c->first_number = h->sequence;
	c->next = f->stream;
	f->stream = n;
	t->live++;
	count(m->counters, COUNT_STREAMS);
	return n;
}

/* ---- records ------------------------------------------------------------------------------ */

static uint64_t call_number(const struct media *m, const struct stream *s)
{
	const struct expect *x = &m->expects.at[m->flows.at[s->flow].expect];
	return m->expects.calls[x->call].number;
}

static void send_record(struct media *m, uint32_t stream, int64_t until_us)
{
	const struct stream *s = &m->streams.at[stream];
	struct stream_cold *c = &m->streams.cold[stream];
	const struct flow *f = &m->flows.at[s->flow];
	struct stream_record r = { .call = call_number(m, s),
				   .stream = c->number,
				   .track = c->track,
				   .ssrc = s->ssrc,
				   .src = f->src,
				   .dst = f->dst,
				   .payload_types_count = c->types_count,
				   .clock_rate = s->clock_rate,
				   .channels = c->channels ? c->channels : 1,
				   .packets = s->distinct - c->others,
				   .bytes = s->bytes,
				   .late = c->late,
				   .duplicates = c->duplicates,
				   .reordered = c->reordered,
				   .events = c->events,
				   .cut = c->cut,
				   .dropped = c->dropped,
				   .truncated = c->truncated,
				   .start_us = c->start_us,
				   .end_us = c->end_us,
				   .until_us = until_us,
				   .complete = c->dropped == 0 && c->truncated == 0 };
	uint64_t expected = s->distinct ? sequence_expected(&s->now, &c->past) : 0;

	r.lost = expected > s->distinct ? expected - s->distinct : 0;
	memcpy(r.codec, c->codec, sizeof r.codec);
	memcpy(r.payload_types, c->types, sizeof r.payload_types);
	r.jitter_ms = s->jitter / 16.0 * 1000.0 / s->clock_rate;
	r.ptime_ms = c->ptime_ms;
	if (s->time_step)
		r.ptime_ms = (uint32_t)(((uint64_t)s->time_step * 1000 + s->clock_rate / 2) /
					s->clock_rate);
	c->recorded = true;
	c->recorded_us = c->end_us;
	m->cfg.sink.stream(m->cfg.sink.ctx, &r);
}

/* ---- chunks ------------------------------------------------------------------------------- */

/* The open chunk goes to its writer, and after the first, and then from time to time, what is known
 * of the stream. */
static void hand_over(struct media *m, uint32_t stream, bool last)
{
	struct stream *s = &m->streams.at[stream];
	struct stream_cold *cold = &m->streams.cold[stream];
	uint32_t frames = s->writer.frames;

	log_chunk(s, cold);
	struct chunk *c = chunk_close(&s->writer);
	open_unlink(&m->streams, stream);
	if (s->writer.sequence > cold->highest)
		cold->highest = s->writer.sequence;
	cold->closed_highest = cold->highest;
	cold->end_us = s->writer.arrival_us;
	c->call = call_number(m, s);
	c->counter = cold->chunks++;
	c->stream = cold->number;
	c->track = cold->track;
	c->thread = m->cfg.thread;
	if (m->cfg.sink.chunk(m->cfg.sink.ctx, c)) {
		count(m->counters, COUNT_CHUNKS);
	} else {
		pool_put(m->chunks, c);
		cold->dropped += frames;
		count(m->counters, COUNT_CHUNK_RING_DROP);
		count_add(m->counters, COUNT_FRAMES_IN_DROPPED_CHUNKS, frames);
	}
	bool due = !cold->recorded || media_since(cold->end_us, cold->recorded_us) >= RECORD_US;
	if (due && !last)
		send_record(m, stream, 0);
}

void stream_tick(struct media *m, int64_t now_ns)
{
	struct stream_set *t = &m->streams;

	while (t->oldest != NONE) {
		int64_t since = media_since(now_ns, t->cold[t->oldest].opened_ns);
		if (since < CHUNK_US * NS_PER_US && since > -CHUNK_US * NS_PER_US)
			break;
		hand_over(m, t->oldest, false);
	}
}

/* A frame that does not go into the open chunk, or finds none. */
static bool store_in_new(struct media *m, uint32_t stream, const struct chunk_frame *f,
			 int64_t ts_ns)
{
	struct stream *s = &m->streams.at[stream];
	uint32_t call = m->expects.at[m->flows.at[s->flow].expect].call;

	media_alive(m, call, ts_ns);
	if (f->stored > CHUNK_PAYLOAD) {
		count(m->counters, COUNT_RTP_OVERSIZE);
		return false;
	}
	if (s->writer.chunk)
		hand_over(m, stream, false);
	struct chunk *c = pool_get(m->chunks);
	if (!c) {
		count(m->counters, COUNT_RTP_NO_BUFFER);
		return false;
	}
	if (s->writer.sequence == 0)
		m->streams.cold[stream].start_us = f->arrival_us;
	chunk_open(&s->writer, c, s->ssrc, s->time_step, f);
	open_link(&m->streams, stream, ts_ns);
	return true;
}

/* Has the open chunk's second passed?  Asked at each frame too, not only by the timer: what a file
 * gives does not depend on when the timer looks. */
static inline bool is_over(const struct chunk_writer *w, int64_t arrival_us)
{
	return (int32_t)((uint32_t)arrival_us - w->opened_us) >= CHUNK_US;
}

static inline bool store(struct media *m, uint32_t stream, const struct chunk_frame *f,
			 int64_t ts_ns)
{
	struct chunk_writer *w = &m->streams.at[stream].writer;

	if (UNLIKELY(!w->chunk || is_over(w, f->arrival_us) || !chunk_fits(w, f)))
		return store_in_new(m, stream, f, ts_ns);
	chunk_append(w, f);
	return true;
}

/* ---- packets ------------------------------------------------------------------------------ */

/* Interarrival jitter (RFC 3550, 6.4.1 and A.8), and which time step is the usual one (majority
 * vote). */
static inline void note_timing(struct stream *s, const struct chunk_frame *f)
{
	const struct chunk_writer *w = &s->writer;
	uint32_t step = f->header->timestamp - w->timestamp;
	int64_t since_us = media_since(f->arrival_us, w->arrival_us);
	int64_t limit_us = INT64_C(1000000) * JITTER_SECONDS * 100;

	if (f->sequence == w->sequence + 1) {
		if (LIKELY(step == s->time_step)) {
			if (s->votes < VOTES_MAX)
				s->votes++;
		} else if (s->votes > 0) {
			s->votes--;
		} else if (step < STEP_MAX) {
			s->time_step = step;
		}
	}
	if (since_us > limit_us || since_us < -limit_us)
		return;
	int64_t d = since_us * s->clock_rate / 1000000 - (int32_t)step;
	if (d < 0)
		d = -d;
	if (d < (int64_t)JITTER_SECONDS * s->clock_rate)
		s->jitter += (uint32_t)d - ((s->jitter + 8) >> 4);
}

static void name_codec(struct stream *s, struct stream_cold *c, const struct media_payload *p,
		       bool by_map)
{
	memcpy(c->codec, p->codec, sizeof c->codec);
	c->codec[sizeof c->codec - 1] = '\0';
	c->channels = p->channels ? p->channels : 1;
	c->named = by_map;
	if (p->clock_rate >= 1000 && p->clock_rate <= 1000000)
		s->clock_rate = p->clock_rate;
}

static bool is_static(const struct media_payload *p)
{
	return p == payload_static(p->type);
}

/* Note a payload type that is stored.  The first that is no comfort noise names the codec, and
 * stands first. */
static void note_type(struct stream *s, struct stream_cold *c, uint8_t type,
		      const struct media_payload *p)
{
	bool noise = p && p->kind == PAYLOAD_NOISE;

	s->type = type;
	if (memchr(c->types, type, c->types_count))
		return;
	bool names = !noise && c->channels == 0;
	if (names) {
		c->channels = 1;
		if (p)
			name_codec(s, c, p, !is_static(p));
	}
	if (c->types_count == sizeof c->types)
		return;
	size_t at = names ? 0 : c->types_count;
	memmove(c->types + at + 1, c->types + at, c->types_count - at);
	c->types[at] = type;
	c->types_count++;
}

void stream_remap(struct media *m, uint32_t stream)
{
	struct stream *s = &m->streams.at[stream];
	struct stream_cold *c = &m->streams.cold[stream];

	s->type = STREAM_TYPE_NONE;
	if (c->channels == 0 || c->named || c->types_count == 0)
		return;
	const struct media_payload *p =
		expect_payload(&m->expects, m->flows.at[s->flow].expect, c->types[0]);
	if (p && p->kind == PAYLOAD_AUDIO)
		name_codec(s, c, p, !is_static(p));
}

/* A telephone-event packet: counted, never kept, for digits may be card numbers.  All packets of
 * one event have its timestamp (RFC 4733, 2.3). */
static void take_event(struct media *m, const struct stream *s, struct stream_cold *c,
		       const struct datagram *d, const struct rtp_header *h)
{
	bool known = (c->event_count > 0 && c->event_timestamps[0] == h->timestamp) ||
		     (c->event_count > 1 && c->event_timestamps[1] == h->timestamp);

	if (!known) {
		c->event_timestamps[1] = c->event_timestamps[0];
		c->event_timestamps[0] = h->timestamp;
		c->event_count = c->event_count ? 2 : 1;
		c->events++;
	}
	c->others++;
	log_seen(&c->aside, d->ts_ns / NS_PER_US, h->sequence, 0,
		 known ? SEEN_EVENT : SEEN_NEW_EVENT);
	count(m->counters, COUNT_RTP_EVENT);
	media_alive(m, m->expects.at[m->flows.at[s->flow].expect].call, d->ts_ns);
}

/* The payload type is not that of the packet before: an event? */
static bool is_event(struct media *m, struct stream *s, struct stream_cold *c,
		     const struct rtp_header *h)
{
	const struct media_payload *p =
		expect_payload(&m->expects, m->flows.at[s->flow].expect, h->payload_type);

	if (p && p->kind == PAYLOAD_EVENT)
		return true;
	note_type(s, c, h->payload_type, p);
	return false;
}

static void take_reordered(struct media *m, uint32_t stream, const struct chunk_frame *f)
{
	const struct stream *s = &m->streams.at[stream];
	struct stream_cold *c = &m->streams.cold[stream];

	if (s->writer.chunk && is_over(&s->writer, f->arrival_us))
		hand_over(m, stream, false);
	if (s->writer.sequence > c->highest)
		c->highest = s->writer.sequence;
	c->reordered++;
	log_seen(&c->aside, f->arrival_us, (uint16_t)f->sequence, 0, SEEN_REORDERED);
	count(m->counters, COUNT_RTP_REORDERED);
	if (f->sequence < c->closed_highest) {
		c->late++;
		count(m->counters, COUNT_RTP_LATE);
	}
}

static void take_duplicate(struct media *m, struct stream_cold *c, int64_t arrival_us,
			   uint16_t number)
{
	c->duplicates++;
	log_seen(&c->aside, arrival_us, number, 0, SEEN_DUPLICATE);
	count(m->counters, COUNT_RTP_DUPLICATE);
}

void stream_take(struct media *m, uint32_t stream, const struct datagram *d,
		 const struct rtp_header *h)
{
	struct stream *s = &m->streams.at[stream];
	struct stream_cold *c = &m->streams.cold[stream];
	struct chunk_frame f = { .arrival_us = d->ts_ns / NS_PER_US, .header = h };
	enum sequence_verdict verdict = sequence_note(&s->now, &c->past, h->sequence, &f.sequence);

	if (UNLIKELY(verdict == SEQUENCE_DUPLICATE)) {
		take_duplicate(m, c, f.arrival_us, h->sequence);
		return;
	}
	s->distinct++;
	if (UNLIKELY(h->payload_type != s->type) && is_event(m, s, c, h)) {
		take_event(m, s, c, d, h);
		return;
	}
	f.stored = h->extra_len + h->payload_len + h->padding_len;
	f.wire = d->wire_len > d->len ? d->wire_len - RTP_HEADER : f.stored;
	if (UNLIKELY(verdict == SEQUENCE_REORDERED))
		take_reordered(m, stream, &f);
	if (LIKELY(s->writer.sequence != 0 && verdict != SEQUENCE_RESTART))
		note_timing(s, &f);
	s->bytes += h->payload_len;
	if (UNLIKELY(!store(m, stream, &f, d->ts_ns))) {
		c->dropped++;
		log_seen(&c->aside, f.arrival_us, h->sequence, h->payload_len, SEEN_DROPPED);
		return;
	}
	if (UNLIKELY(f.wire > f.stored)) {
		c->truncated++;
		count(m->counters, COUNT_RTP_TRUNCATED);
	}
	count(m->counters, COUNT_RTP_STORED);
}

/* ---- the end ------------------------------------------------------------------------------ */

struct cutting {
	struct counters *counters;
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
	count(cut->counters, COUNT_RTP_CUT);
}

static void cut_frame(void *ctx, const struct rtp_frame *f)
{
	const struct cutting *cut = ctx;

	if (f->wire_len > f->extra_len + f->payload_len + f->padding_len)
		cut->c->truncated--;
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
		if (closed->arrival_us[i] > until_us)
			uncount_audio(cut, closed->number[i], closed->payload_len[i]);
		else if (closed->arrival_us[i] > kept_us)
			kept_us = closed->arrival_us[i];
	}
	return kept_us == INT64_MIN ? until_us : kept_us;
}

/* What came after until_us is no part of the call: it goes from the open chunk, and from the
 * figures. */
static void cut_tail(struct media *m, uint32_t stream, int64_t until_us)
{
	struct stream *s = &m->streams.at[stream];
	struct stream_cold *c = &m->streams.cold[stream];
	struct cutting cut = { m->counters, s, c };
	bool over = s->writer.arrival_us > until_us;

	if (over && s->writer.chunk) {
		chunk_cut(&s->writer, until_us, cut_frame, &cut);
		over = s->writer.frames == 0;
		if (over) {
			open_unlink(&m->streams, stream);
			pool_put(m->chunks, s->writer.chunk);
			s->writer.chunk = NULL;
		}
	}
	int64_t kept_us = cut_logs(&cut, until_us);
	c->end_us = over ? kept_us : s->writer.arrival_us;
	sequence_settle(&s->now);
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
	c->end_us = s->writer.arrival_us;
	if (!all)
		cut_tail(m, stream, until_us);
	if (s->writer.chunk)
		hand_over(m, stream, true);
	if (s->distinct > 0 || c->recorded)
		send_record(m, stream, all ? 0 : until_us);
	f->stream = c->next;
	c->next = t->free;
	t->free = stream;
	t->live--;
}
