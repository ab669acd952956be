/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* gauges.c: what media holds now, and has held at most.  Runs on the capture thread, or when that has ended. */
#include "rtp/media.h"

uint64_t media_held(const struct media *m)
{
	return pen_held(m->pen);
}

uint32_t media_streams(const struct media *m)
{
	return m->streams.live;
}

size_t media_buffers_most(const struct media *m)
{
	return pool_most_used(m->supply.pool);
}

/* Places are given out from the first on, and used again before new ones are. */
size_t media_bytes_most(const struct media *m)
{
	const struct stream_set *s = &m->streams;
	const struct expect_table *x = &m->expects;
	size_t flow = sizeof *m->flows.at + sizeof *m->flows.links;

	return s->used * (sizeof *s->at + sizeof *s->cold) + s->reports_used * sizeof *s->reports +
	       s->rare_used * sizeof *s->rare + m->flows.used * flow + x->used * sizeof *x->at +
	       x->elsewhere_used * sizeof *x->elsewhere + x->calls_used * sizeof *x->calls;
}

size_t media_ended_bytes_most(const struct media *m)
{
	return m->ended.used * sizeof *m->ended.at;
}
