/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* stream.c: see stream.h.  Runs on the capture thread; stream_take() runs for every packet of
 * media.
 *
 *   packet ─► numbering ─► kind ─► jitter, time step ─► open chunk ─► history
 *               '─ duplicate  '─ event
 *
 * What is told of a stream is in stream_record.c, how it ends in stream_end.c.
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

/* The frames of a chunk that is about to be handed over: how many were noted.  Events are noted as they come. */
static unsigned log_chunk(struct media *m, uint32_t stream)
{
	const struct stream *s = &m->streams.at[stream];
	const struct stream_rare *rare = stream_rare_of(&m->streams, stream);
	bool events = rare->event_types[0] || rare->event_types[1];
	struct chunk_reader r;
	struct rtp_frame f;
	unsigned noted = 0;

	chunk_tail(&s->writer, SEEN_MOST, &r);
	while (chunk_reader_next(&r, &f) == RC_OK) {
		if (r.frames_left >= SEEN_MOST && !events)
			continue; /* it would give way */
		const struct media_payload *p =
			rare->noise ? stream_payload(m, s, f.payload_type) : NULL;
		if (stream_is_event_type(rare, f.payload_type))
			continue;
		seen_note(
			&m->streams.cold[stream].closed,
			&(struct seen){ f.arrival_us, (uint16_t)f.sequence, (uint16_t)f.payload_len,
					p && p->kind == PAYLOAD_NOISE ? SEEN_NOISE : SEEN_AUDIO });
		noted++;
	}
	return noted;
}

/* ---- the set ------------------------------------------------------------------------------ */

bool stream_set_init(struct stream_set *t, uint32_t max)
{
	memset(t, 0, sizeof *t);
	t->max = max;
	t->free = t->rare_free = t->oldest = t->newest = NONE;
	t->at = slab_new(sizeof *t->at, max);
	t->cold = slab_new(sizeof *t->cold, max);
	t->reports = slab_new(sizeof *t->reports, max);
	t->rare = slab_new(sizeof *t->rare, max);
	return t->at && t->cold && t->reports && t->rare;
}

void stream_set_release(struct stream_set *t)
{
	slab_free(t->at, sizeof *t->at, t->max);
	slab_free(t->cold, sizeof *t->cold, t->max);
	slab_free(t->reports, sizeof *t->reports, t->max);
	slab_free(t->rare, sizeof *t->rare, t->max);
}

struct stream_reports *stream_reports(struct media *m, uint32_t stream)
{
	struct stream_set *t = &m->streams;
	struct stream_reports *r = &t->reports[stream];

	if (!t->cold[stream].reported)
		memset(r, 0, sizeof *r);
	t->cold[stream].reported = true;
	if (stream >= t->reports_used)
		t->reports_used = stream + 1;
	return r;
}

struct stream_rare *stream_rare(struct media *m, uint32_t stream)
{
	struct stream_set *t = &m->streams;
	uint32_t *n = &t->cold[stream].rare;

	if (*n != NONE)
		return &t->rare[*n];
	*n = t->rare_free;
	if (*n != NONE)
		t->rare_free = t->rare[*n].next;
	else
		*n = t->rare_used++; /* there are as many as streams */
	struct stream_rare *r = &t->rare[*n];
	memset(r, 0, sizeof *r);
	/* So far all packets came in turn. */
	loss_begin(&r->loss, t->at[stream].now.min);
	r->leader = r->rival = NONE;
	return r;
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
	c->track = (f->judged ? x->party : !x->party) & 1;
	c->number = (uint16_t)(x->stream_base + x->streams_used++);
	c->ptime_ms = x->ptime_ms;
	c->protection = expect_protection(&m->expects, f->expect, f->judged != 0) & 7u;
	c->rare = NONE;
	c->first_us = ts_ns / NS_PER_US;
	c->first_timestamp = h->timestamp;
	c->first_number = h->sequence;
	c->next = f->stream;
	f->stream = n;
	t->live++;
	return n;
}

/* ---- chunks ------------------------------------------------------------------------------- */

static uint64_t most(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t ab = a > b ? a : b;
	return ab > c ? ab : c;
}

void stream_hand_over(struct media *m, uint32_t stream, bool last)
{
	struct stream *s = &m->streams.at[stream];
	struct stream_cold *cold = &m->streams.cold[stream];
	uint32_t frames = s->writer.frames;

	unsigned noted = log_chunk(m, stream);
	struct chunk *c = chunk_close(&s->writer);
	open_unlink(&m->streams, stream);
	cold->closed_highest = most(cold->closed_highest, s->writer.sequence,
				    stream_rare_of(&m->streams, stream)->highest);
	cold->end_us = s->writer.arrival_us;
	c->call = stream_call(m, s);
	c->counter = cold->chunks++;
	c->stream = cold->number;
	c->track = cold->track;
	c->thread = m->cfg.thread;
	if (m->cfg.sink.chunk(m->cfg.sink.ctx, c)) {
		count(m->counters, COUNT_CHUNKS);
	} else {
		pool_put(m->supply.pool, c);
		stream_rare(m, stream)->dropped += frames;
		seen_amend(&cold->closed, noted, SEEN_DROPPED);
		count(m->counters, COUNT_CHUNK_RING_DROP);
		count_add(m->counters, COUNT_FRAMES_IN_DROPPED_CHUNKS, frames);
	}
	bool due = !cold->recorded || media_since(cold->end_us, cold->recorded_us) >= RECORD_US;
	if (due && !last)
		stream_send_record(m, stream, 0);
}

void stream_drop_chunk(struct media *m, uint32_t stream)
{
	struct chunk_writer *w = &m->streams.at[stream].writer;

	open_unlink(&m->streams, stream);
	pool_put(m->supply.pool, w->chunk);
	w->chunk = NULL;
}

void stream_empty(struct media *m, uint32_t stream)
{
	struct stream *s = &m->streams.at[stream];
	struct stream_rare *r = stream_rare(m, stream);

	s->distinct = s->bytes = 0;
	s->writer = (struct chunk_writer){ 0 };
	sequence_begin(&s->now, (uint16_t)(s->now.max + 1));
	*r = (struct stream_rare){ .mergeable = r->mergeable,
				   .leader = r->leader,
				   .copies = r->copies,
				   .relay_copies = r->relay_copies };
}

void stream_tick(struct media *m, int64_t now_ns)
{
	struct stream_set *t = &m->streams;

	while (t->oldest != NONE) {
		int64_t since = media_since(now_ns, t->cold[t->oldest].opened_ns);
		if (since < CHUNK_US * NS_PER_US && since > -CHUNK_US * NS_PER_US)
			break;
		stream_hand_over(m, t->oldest, false);
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
		stream_hand_over(m, stream, false);
	struct chunk *c = supply_take(m, call);
	if (!c)
		return false;
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

static bool is_static(const struct media_payload *p)
{
	return p == payload_static(p->type);
}

/* The stream holds the map, which may outlast the expectation that brought it. */
static void name_codec(struct media *m, struct stream *s, struct stream_cold *c,
		       const struct media_payload *p)
{
	struct intern *maps = m->expects.maps;

	intern_hold(maps, intern_of(maps, p));
	intern_drop(maps, intern_of(maps, c->codec));
	c->codec = p;
	c->channels = p->channels ? p->channels : 1;
	c->named = !is_static(p);
	if (p->clock_rate >= 1000 && p->clock_rate <= 1000000)
		s->clock_rate = p->clock_rate;
}

/* Note a payload type that is stored.  The first that is no comfort noise names the codec, and
 * stands first. */
static void note_type(struct media *m, struct stream *s, struct stream_cold *c, uint8_t type,
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
			name_codec(m, s, c, p);
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

	const struct flow *f = &m->flows.at[s->flow];
	s->type = STREAM_TYPE_NONE;
	c->protection = expect_protection(&m->expects, f->expect, f->judged != 0) & 7u;
	if (c->channels == 0 || c->named || c->types_count == 0)
		return;
	const struct media_payload *p =
		expect_payload(&m->expects, m->flows.at[s->flow].expect, c->types[0]);
	if (p && p->kind == PAYLOAD_AUDIO)
		name_codec(m, s, c, p);
}

const struct media_payload *stream_payload(const struct media *m, const struct stream *s,
					   uint8_t type)
{
	return expect_payload(&m->expects, m->flows.at[s->flow].expect, type);
}

/* Its length as stored, and as it was on the wire. */
static inline void measure(struct chunk_frame *f, const struct datagram *d)
{
	f->stored = f->header->extra_len + f->header->payload_len + f->header->padding_len;
	f->wire = d->wire_len > d->len ? d->wire_len - RTP_HEADER : f->stored;
}

/* Count what became of a frame that was to be stored. */
static inline void note_stored(struct media *m, uint32_t stream, const struct chunk_frame *f,
			       enum counter as)
{
	if (UNLIKELY(f->wire > f->stored)) {
		stream_rare(m, stream)->truncated++;
		count(m->counters, COUNT_RTP_TRUNCATED);
	}
	count(m->counters, as);
}

/* Events are digits, and these may be card numbers: only where the policy says so they are kept. */
static bool keeps_events(const struct media *m, uint32_t stream)
{
	return m->expects.at[m->flows.at[m->streams.at[stream].flow].expect].keep_events;
}

static void note_event_type(struct stream_rare *r, uint8_t type)
{
	r->event_types[type >> 6] |= UINT64_C(1) << (type & 63);
}

static void store_event(struct media *m, uint32_t stream, const struct datagram *d,
			struct chunk_frame *f)
{
	struct stream_rare *r = stream_rare(m, stream);

	if (!keeps_events(m, stream)) {
		count(m->counters, COUNT_RTP_EVENT);
		return;
	}
	measure(f, d);
	note_event_type(r, f->header->payload_type);
	if (store(m, stream, f, d->ts_ns))
		note_stored(m, stream, f, COUNT_RTP_EVENT_STORED);
	else
		r->dropped++;
}

/* All packets of one event have its timestamp (RFC 4733, 2.3). */
static void note_event(struct media *m, uint32_t stream, const struct chunk_frame *f)
{
	struct stream_rare *r = stream_rare(m, stream);
	uint32_t timestamp = f->header->timestamp;
	bool known = (r->event_count > 0 && r->event_timestamps[0] == timestamp) ||
		     (r->event_count > 1 && r->event_timestamps[1] == timestamp);

	if (!known) {
		r->event_timestamps[1] = r->event_timestamps[0];
		r->event_timestamps[0] = timestamp;
		r->event_count = r->event_count ? 2 : 1;
		r->events++;
	}
	r->others++;
	seen_note(&r->aside, &(struct seen){ f->arrival_us, f->header->sequence, 0,
					     known ? SEEN_EVENT : SEEN_NEW_EVENT });
}

/* A telephone-event packet. */
static void take_event(struct media *m, uint32_t stream, const struct datagram *d,
		       struct chunk_frame *f)
{
	note_event(m, stream, f);
	media_alive(m, m->expects.at[m->flows.at[m->streams.at[stream].flow].expect].call,
		    d->ts_ns);
	store_event(m, stream, d, f);
}

/* The payload type is not that of the packet before: an event? */
static bool is_event(struct media *m, uint32_t stream, const struct rtp_header *h)
{
	struct stream *s = &m->streams.at[stream];
	struct stream_cold *c = &m->streams.cold[stream];
	uint8_t type = h->payload_type;
	const struct media_payload *p = stream_payload(m, s, type);
	bool beside = c->types_count > 0 && !memchr(c->types, type, c->types_count);

	if (p ? p->kind == PAYLOAD_EVENT : beside && payload_is_like_event(h))
		return true;
	note_type(m, s, c, type, p);
	if (p && p->kind == PAYLOAD_NOISE) {
		stream_rare(m, stream)->noise++;
		s->type = STREAM_TYPE_NONE; /* the next is to be counted too */
	}
	return false;
}

static void take_reordered(struct media *m, uint32_t stream, const struct chunk_frame *f)
{
	const struct stream *s = &m->streams.at[stream];
	struct stream_rare *r = stream_rare(m, stream);

	if (s->writer.chunk && is_over(&s->writer, f->arrival_us))
		stream_hand_over(m, stream, false);
	if (s->writer.sequence > r->highest)
		r->highest = s->writer.sequence;
	r->reordered++;
	seen_note(&r->aside,
		  &(struct seen){ f->arrival_us, (uint16_t)f->sequence, 0, SEEN_REORDERED });
	count(m->counters, COUNT_RTP_REORDERED);
	if (f->sequence < m->streams.cold[stream].closed_highest) {
		r->late++;
		count(m->counters, COUNT_RTP_LATE);
	}
}

/* A number that came by a relay's copy before is no duplicate, but the other of the two. */
static bool was_merged(struct stream_rare *r, uint16_t number)
{
	uint32_t *merged = &r->merged[number % STREAM_MERGED];

	if (*merged != (UINT32_C(0x10000) | number))
		return false;
	*merged = 0;
	return true;
}

static void take_duplicate(struct media *m, uint32_t stream, int64_t arrival_us, uint16_t number)
{
	struct stream_rare *r = stream_rare(m, stream);

	if (was_merged(r, number)) {
		r->relay_copies++;
		count(m->counters, COUNT_RTP_RELAY_COPY);
		return;
	}
	r->duplicates++;
	seen_note(&r->aside, &(struct seen){ arrival_us, number, 0, SEEN_DUPLICATE });
	count(m->counters, COUNT_RTP_DUPLICATE);
}

/* A packet out of turn: which numbers have not come, or have after all? */
static enum sequence_verdict number_unusual(struct media *m, uint32_t stream, uint16_t number,
					    uint64_t *sequence)
{
	struct stream_rare *r = stream_rare(m, stream);
	struct numbering *now = &m->streams.at[stream].now;
	uint64_t before = now->max;
	enum sequence_verdict verdict = sequence_note(now, &r->past, number, sequence);

	if (verdict == SEQUENCE_GAP)
		loss_gap(&r->loss, *sequence, *sequence - before);
	else if (verdict == SEQUENCE_REORDERED)
		loss_late(&r->loss, *sequence);
	else if (verdict == SEQUENCE_RESTART)
		loss_begin(&r->loss, *sequence);
	return verdict;
}

/* Note a packet's number, and give it extended. */
static inline enum sequence_verdict number(struct media *m, uint32_t stream, uint16_t number,
					   uint64_t *sequence)
{
	if (LIKELY(sequence_next(&m->streams.at[stream].now, number, sequence)))
		return SEQUENCE_AHEAD;
	return number_unusual(m, stream, number, sequence);
}

/* Audio that found no buffer. */
static void note_dropped(struct media *m, uint32_t stream, const struct chunk_frame *f)
{
	struct stream_rare *r = stream_rare(m, stream);
	r->dropped++;
	seen_note(&r->aside, &(struct seen){ f->arrival_us, f->header->sequence,
					     (uint16_t)f->header->payload_len, SEEN_DROPPED });
}

void stream_take(struct media *m, uint32_t stream, const struct datagram *d,
		 const struct rtp_header *h)
{
	struct stream *s = &m->streams.at[stream];
	struct chunk_frame f = { .arrival_us = d->ts_ns / NS_PER_US, .header = h };
	enum sequence_verdict verdict = number(m, stream, h->sequence, &f.sequence);

	if (UNLIKELY(verdict == SEQUENCE_DUPLICATE)) {
		take_duplicate(m, stream, f.arrival_us, h->sequence);
		return;
	}
	s->distinct++;
	if (UNLIKELY(h->payload_type != s->type) && is_event(m, stream, h)) {
		take_event(m, stream, d, &f);
		return;
	}
	measure(&f, d);
	if (UNLIKELY(verdict == SEQUENCE_REORDERED))
		take_reordered(m, stream, &f);
	if (LIKELY(s->writer.sequence != 0 && verdict != SEQUENCE_RESTART))
		note_timing(s, &f);
	s->bytes += h->payload_len;
	if (UNLIKELY(!store(m, stream, &f, d->ts_ns))) {
		note_dropped(m, stream, &f);
		return;
	}
	note_stored(m, stream, &f, COUNT_RTP_STORED);
}

/* What makes a header of a frame read back. */
static struct rtp_header header_of(const struct stream *s, const struct rtp_frame *f)
{
	return (struct rtp_header){ .first_octet = f->first_octet,
				    .payload_type = f->payload_type,
				    .marker = f->marker,
				    .sequence = (uint16_t)f->sequence,
				    .timestamp = f->timestamp,
				    .ssrc = s->ssrc,
				    .extra = f->extra,
				    .extra_len = f->extra_len,
				    .payload = f->payload,
				    .payload_len = f->payload_len,
				    .padding_len = f->padding_len };
}

bool stream_adopt(struct media *m, uint32_t stream, const struct rtp_frame *from)
{
	struct stream *s = &m->streams.at[stream];
	struct rtp_header h = header_of(s, from);
	struct chunk_frame f = { .arrival_us = from->arrival_us, .header = &h };

	if (number(m, stream, h.sequence, &f.sequence) == SEQUENCE_DUPLICATE)
		return false;
	s->distinct++;
	bool event = is_event(m, stream, &h);
	if (event)
		note_event(m, stream, &f);
	else
		s->bytes += h.payload_len;
	if (event && !keeps_events(m, stream))
		return false;
	f.stored = h.extra_len + h.payload_len + h.padding_len;
	f.wire = from->wire_len;
	if (!store(m, stream, &f, from->arrival_us * NS_PER_US)) {
		if (event)
			stream_rare(m, stream)->dropped++;
		else
			note_dropped(m, stream, &f);
		return false;
	}
	if (event)
		note_event_type(stream_rare(m, stream), h.payload_type);
	if (f.wire > f.stored)
		stream_rare(m, stream)->truncated++;
	return true;
}
