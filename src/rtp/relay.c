/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* relay.c: see relay.h.  Runs on the capture thread; the usual packet never comes here. */
#include "rtp/relay.h"

#include "rtp/foreign.h"
#include "rtp/media.h"

#define SILENT_US (1000 * 1000) /* a leader whose copy differs has stopped */

/* How a packet stands to the frame of the same number that another stream stored. */
enum likeness {
	LIKE_UNKNOWN, /* that frame is no longer at hand */
	LIKE_SAME,
	LIKE_RECODED, /* the same time, another payload: encrypted or decrypted by the relay */
	LIKE_OTHER    /* another time: it is not the same audio */
};

static struct stream *at(struct media *m, uint32_t stream)
{
	return &m->streams.at[stream];
}

static struct stream_cold *cold(struct media *m, uint32_t stream)
{
	return &m->streams.cold[stream];
}

static const struct flow *flow_of(const struct media *m, uint32_t stream)
{
	return &m->flows.at[m->streams.at[stream].flow];
}

/* How near a stream's source is to its party: what SDP named first, from 1; 0: nobody named it. */
static uint32_t nearness(const struct media *m, uint32_t stream)
{
	const struct flow *f = flow_of(m, stream);
	return expect_rank(&m->expects, m->expects.at[f->expect].call, &f->src);
}

static bool frame_of(struct media *m, uint32_t stream, uint16_t number, struct rtp_frame *f)
{
	struct chunk_reader r;

	if (!at(m, stream)->writer.chunk)
		return false;
	chunk_tail(&at(m, stream)->writer, at(m, stream)->writer.frames, &r);
	while (chunk_reader_next(&r, f) == RC_OK)
		if ((uint16_t)f->sequence == number)
			return true;
	return false;
}

/* Timestamps of neighbours are close, silence in between apart. */
static bool is_near(struct media *m, uint32_t stream, uint32_t timestamp)
{
	const struct stream *s = at(m, stream);
	int64_t off = (int32_t)(timestamp - s->writer.timestamp);
	int64_t most = 3 * (int64_t)s->clock_rate;

	return s->writer.sequence == 0 || (off <= most && -off <= most);
}

static enum likeness compare(struct media *m, uint32_t stream, const struct rtp_header *h)
{
	struct rtp_frame f;

	if (!frame_of(m, stream, h->sequence, &f)) {
		const struct stream_cold *c = cold(m, stream);
		bool known = memchr(c->types, h->payload_type, c->types_count) != NULL;
		if (!is_near(m, stream, h->timestamp))
			return LIKE_OTHER;
		return known ? LIKE_UNKNOWN : LIKE_RECODED;
	}
	if (f.timestamp != h->timestamp)
		return LIKE_OTHER;
	return f.payload_type == h->payload_type && f.payload_len == h->payload_len &&
			       memcmp(f.payload, h->payload, f.payload_len) == 0
		       ? LIKE_SAME
		       : LIKE_RECODED;
}

static bool has_number(struct media *m, uint32_t stream, uint16_t number)
{
	return sequence_seen(&at(m, stream)->now, &stream_rare_of(&m->streams, stream)->past,
			     number);
}

bool relay_has(struct media *m, uint32_t expect, uint32_t ssrc, uint16_t number)
{
	struct media_walk w = media_walk(m, expect);
	uint32_t s;

	while ((s = media_walk_next(m, &w)) != NONE)
		if (at(m, s)->ssrc == ssrc && at(m, s)->role <= STREAM_WATCH &&
		    has_number(m, s, number))
			return true;
	return false;
}

/* ---- roles ------------------------------------------------------------------------------ */

/* All copies of `from` are `to`'s from now on.  `alike`: the two have the same payloads. */
static void repoint(struct media *m, uint32_t from, uint32_t to, bool alike)
{
	struct media_walk w = media_walk_all(m, flow_of(m, from)->expect);
	uint32_t s;

	while ((s = media_walk_next(m, &w)) != NONE) {
		if (s == to || at(m, s)->role != STREAM_COPY || stream_rare(m, s)->leader != from)
			continue;
		stream_rare(m, s)->leader = to;
		stream_rare(m, s)->mergeable = stream_rare(m, s)->mergeable && alike;
		stream_rare(m, to)->copies++;
		stream_rare(m, from)->copies--;
	}
}

/* The leader's place is on the nearer flow: the two change flows. */
static void change_flows(struct media *m, uint32_t a, uint32_t b)
{
	uint32_t flow_a = at(m, a)->flow, flow_b = at(m, b)->flow;

	media_unlink_stream(m, a);
	media_unlink_stream(m, b);
	at(m, a)->flow = flow_b;
	at(m, b)->flow = flow_a;
	media_link_stream(m, a);
	media_link_stream(m, b);
}

/* The leader has this number from a copy: its own packet will be the second. */
static void note_merged(struct media *m, uint32_t leader, uint16_t number)
{
	stream_rare(m, leader)->merged[number % STREAM_MERGED] = UINT32_C(0x10000) | number;
}

/* Frames that only the copy has so far are the leader's. */
static void hand_frames(struct media *m, uint32_t copy, uint32_t leader)
{
	struct chunk_writer w = at(m, copy)->writer;
	struct chunk kept = *w.chunk;
	struct chunk_reader r;
	struct rtp_frame f;

	w.chunk = &kept;
	stream_drop_chunk(m, copy); /* first, so that the leader finds a buffer */
	chunk_tail(&w, w.frames, &r);
	while (chunk_reader_next(&r, &f) == RC_OK) {
		bool place = pool_left(m->supply.pool) > 0;
		if (place && stream_adopt(m, leader, &f)) {
			note_merged(m, leader, (uint16_t)f.sequence);
			continue;
		}
		stream_rare(m, leader)->dropped += !place;
		count(m->counters, COUNT_RTP_CUT);
	}
	stream_empty(m, copy);
}

/* `copy` turns out a copy of `leader`.  `like`: how their packets compare. */
static void demote(struct media *m, uint32_t copy, uint32_t leader, enum likeness like)
{
	struct stream *s = at(m, copy);
	struct stream_cold *c = cold(m, copy), *l = cold(m, leader);
	struct stream_rare *r = stream_rare(m, copy);
	bool clear = c->protection == PROTECTION_NONE && l->protection == PROTECTION_NONE;
	bool alike = like == LIKE_SAME || (like == LIKE_UNKNOWN && clear);

	/* A source that nobody named adds nothing to a party's voice. */
	r->mergeable = alike && nearness(m, copy) > 0;
	if (s->writer.chunk) {
		if (r->mergeable && c->chunks == 0)
			hand_frames(m, copy, leader);
		else
			stream_hand_over(m, copy, false);
	}
	s->role = STREAM_COPY;
	r->leader = leader;
	c->suspect = false;
	stream_rare(m, leader)->copies++;
	repoint(m, copy, leader, r->mergeable);
	if (r->mergeable && nearness(m, copy) > nearness(m, leader))
		change_flows(m, copy, leader);
}

/* A copy goes on by itself, behind what its leader has. */
static void promote(struct media *m, uint32_t copy)
{
	struct stream_rare *c = stream_rare(m, copy);
	uint32_t leader = c->leader;

	stream_rare(m, leader)->copies--;
	c->leader = NONE;
	at(m, copy)->role = STREAM_WATCH;
	sequence_follow(&at(m, copy)->now, &c->past, &at(m, leader)->now);
	loss_begin(&c->loss, at(m, copy)->now.min);
}

void relay_end(struct media *m, uint32_t stream)
{
	const struct stream_rare *r = stream_rare_of(&m->streams, stream);

	if (at(m, stream)->role == STREAM_COPY) {
		stream_rare(m, r->leader)->copies--;
		return;
	}
	if (r->copies == 0)
		return;
	struct media_walk w = media_walk_all(m, flow_of(m, stream)->expect);
	uint32_t heir = NONE, s;
	while ((s = media_walk_next(m, &w)) != NONE)
		if (at(m, s)->role == STREAM_COPY && stream_rare(m, s)->leader == stream &&
		    (heir == NONE || nearness(m, s) > nearness(m, heir)))
			heir = s;
	ASSERT(heir != NONE);
	promote(m, heir);
	repoint(m, stream, heir, stream_rare(m, heir)->mergeable);
	ASSERT(r->copies == 0);
}

/* ---- packets ---------------------------------------------------------------------------- */

static void count_stream(struct media *m, uint32_t stream)
{
	if (cold(m, stream)->counted)
		return;
	cold(m, stream)->counted = true;
	count(m->counters, COUNT_STREAMS);
}

/* The next stream of the call and track of `stream` with its SSRC, that is stored by itself. */
static uint32_t next_twin(struct media *m, uint32_t stream, struct media_walk *w)
{
	uint32_t s;
	while ((s = media_walk_next(m, w)) != NONE)
		if (s != stream && at(m, s)->ssrc == at(m, stream)->ssrc &&
		    at(m, s)->flow != at(m, stream)->flow && at(m, s)->role <= STREAM_WATCH &&
		    cold(m, s)->track == cold(m, stream)->track)
			break;
	return s;
}

/* Is a packet of `stream` one that `twin` has? */
static enum likeness twin_has(struct media *m, uint32_t stream, uint32_t twin,
			      const struct rtp_header *h)
{
	if (!has_number(m, twin, h->sequence))
		return LIKE_OTHER;
	enum likeness like = compare(m, twin, h);
	/* Where SDP names no such source, only the same bytes are believed. */
	if (like != LIKE_SAME && nearness(m, stream) == 0)
		return LIKE_OTHER;
	return like;
}

/* Which of two is the copy?  The one in cipher; else the younger, if that is not yet written; else the one that
 * brings what the other has. */
static uint32_t copy_of(struct media *m, uint32_t stream, uint32_t twin)
{
	const struct stream_cold *a = cold(m, stream), *b = cold(m, twin);

	if ((a->protection == PROTECTION_NONE) != (b->protection == PROTECTION_NONE))
		return a->protection == PROTECTION_NONE ? twin : stream;
	if (b->chunks == 0 && (a->chunks > 0 || a->first_us < b->first_us))
		return twin;
	return stream;
}

/* Sets the stream's role by a packet of it, not taken yet, and the roles of those it overlaps. */
static void judge(struct media *m, uint32_t stream, const struct rtp_header *h)
{
	struct media_walk w = media_walk(m, flow_of(m, stream)->expect);
	uint32_t twin;
	bool alone = true;

	while ((twin = next_twin(m, stream, &w)) != NONE) {
		alone = false;
		at(m, twin)->role = at(m, stream)->role = STREAM_WATCH;
		enum likeness like = twin_has(m, stream, twin, h);
		if (like == LIKE_OTHER)
			continue;
		if (copy_of(m, stream, twin) == twin) {
			demote(m, twin, stream, like);
			return;
		}
		demote(m, stream, twin, like);
		return;
	}
	if (alone)
		at(m, stream)->role = STREAM_PLAIN;
}

void relay_begin(struct media *m, uint32_t stream, const struct rtp_header *h)
{
	judge(m, stream, h);
	if (at(m, stream)->role != STREAM_COPY)
		count_stream(m, stream);
}

static void note_copy(struct media *m, uint32_t leader)
{
	stream_rare(m, leader)->relay_copies++;
	count(m->counters, COUNT_RTP_RELAY_COPY);
}

/* Far from where the leader is, it would tear the numbering: a copy that is seconds behind. */
static bool continues(struct media *m, uint32_t leader, uint16_t number)
{
	int ahead = (int16_t)(uint16_t)(number - (uint16_t)at(m, leader)->now.max);
	return ahead > -SEQUENCE_WINDOW && ahead < SEQUENCE_DROPOUT;
}

static void take_copy(struct media *m, uint32_t copy, const struct datagram *d,
		      const struct rtp_header *h)
{
	const struct stream_rare *c = stream_rare(m, copy);
	uint32_t leader = c->leader;
	bool far = !continues(m, leader, h->sequence);
	int64_t silent = media_since(d->ts_ns / NS_PER_US, at(m, leader)->writer.arrival_us);

	bool known = has_number(m, leader, h->sequence);
	if (!known && c->mergeable && !far) {
		note_merged(m, leader, h->sequence);
		stream_take(m, leader, d, h);
	} else if (!known && silent > SILENT_US) {
		promote(m, copy);
		count_stream(m, copy);
		foreign_suspect(m, copy, d->ts_ns);
		stream_take(m, copy, d, h);
	} else {
		note_copy(m, leader);
	}
}

void relay_take(struct media *m, uint32_t stream, const struct datagram *d,
		const struct rtp_header *h)
{
	uint32_t flow = at(m, stream)->flow;

	if (at(m, stream)->role == STREAM_WATCH && !has_number(m, stream, h->sequence)) {
		judge(m, stream, h);
		stream = media_flow_stream(m, flow, h->ssrc); /* they may have changed flows */
	}
	if (at(m, stream)->role == STREAM_COPY) {
		media_note_place(m, stream, h, d->ts_ns);
		take_copy(m, stream, d, h);
	} else {
		count_stream(m, stream);
		stream_take(m, stream, d, h);
	}
}
