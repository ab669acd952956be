/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* foreign.c: see foreign.h.  Runs on the capture thread. */
#include "rtp/foreign.h"

#include "rtp/media.h"

#define ALIVE_US (1000 * 1000) /* whoever was silent for longer may have gone */
#define GOES_ON  5             /* packets: more than were on their way when a source stopped */

static const struct flow *flow_of(const struct media *m, uint32_t stream)
{
	return &m->flows.at[m->streams.at[stream].flow];
}

/* Does the call's signalling name where the stream comes from? */
static bool is_named(const struct media *m, uint32_t stream)
{
	const struct flow *f = flow_of(m, stream);
	uint32_t call = m->expects.at[f->expect].call;

	return f->judged || expect_rank(&m->expects, call, &f->src) > 0;
}

static bool talks(const struct media *m, uint32_t stream, int64_t now_us)
{
	const struct stream *s = &m->streams.at[stream];
	const struct stream_cold *c = &m->streams.cold[stream];
	int64_t since = media_since(now_us, s->writer.arrival_us);

	return s->distinct > 0 && !c->said_bye && !c->foreign && s->role <= STREAM_WATCH &&
	       since <= ALIVE_US && since >= -ALIVE_US;
}

/* Suspect `stream` of being foreign beside `rival`. */
static void suspect(struct media *m, uint32_t stream, uint32_t rival)
{
	struct stream_cold *c = &m->streams.cold[stream];

	struct stream_rare *r = stream_rare(m, stream);

	c->suspect = true;
	r->rival = rival;
	r->rival_number = m->streams.cold[rival].number;
	r->rival_had = m->streams.at[rival].distinct;
	r->had = m->streams.at[stream].distinct;
}

void foreign_suspect(struct media *m, uint32_t stream, int64_t ts_ns)
{
	const struct flow *f = flow_of(m, stream);
	bool named = is_named(m, stream);
	uint8_t track = m->streams.cold[stream].track;
	struct media_walk w = media_walk(m, f->expect);
	uint32_t rival = NONE, other;

	if (flow_is_multicast(&f->dst))
		return;
	while ((other = media_walk_next(m, &w)) != NONE) {
		if (other == stream || m->streams.cold[other].track != track ||
		    !talks(m, other, ts_ns / NS_PER_US))
			continue;
		if (endpoint_equal(&flow_of(m, other)->src, &f->src))
			return; /* the one who has been talking */
		if (named && !is_named(m, other) && !m->streams.cold[other].suspect)
			suspect(m, other, stream);
		rival = other;
	}
	if (!named && rival != NONE)
		suspect(m, stream, rival);
}

/* How many packets a stream has had since; one that has ended stays as it was until its place is used again. */
static int64_t since(const struct media *m, uint32_t stream, uint64_t had)
{
	return (int64_t)(m->streams.at[stream].distinct - had);
}

void foreign_judge(struct media *m, uint32_t stream)
{
	struct stream_cold *c = &m->streams.cold[stream];

	if (!c->suspect)
		return;
	c->suspect = false;
	const struct stream_rare *r = stream_rare_of(&m->streams, stream);
	/* From its beginning suspect: however little it said.  Else it must have gone on itself. */
	bool went_on = r->had == 0 || since(m, stream, r->had) >= GOES_ON;
	bool same = m->streams.cold[r->rival].number == r->rival_number;
	if (!went_on || !same || since(m, r->rival, r->rival_had) < GOES_ON)
		return;
	c->foreign = true;
	count(m->counters, COUNT_STREAMS_FOREIGN);
	media_remark(m, m->expects.at[flow_of(m, stream)->expect].call, REMARK_FOREIGN_MEDIA);
}
