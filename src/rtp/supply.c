/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* supply.c: see supply.h.  Runs on the capture thread, once a chunk, and once a frame of those refused. */
#include "rtp/supply.h"

#include "rtp/media.h"

bool supply_init(struct supply *s, size_t buffers, bool keep_reserve)
{
	*s = (struct supply){ .pool = pool_new(sizeof(struct chunk), buffers ? buffers : 1) };
	if (keep_reserve) {
		s->reserve = media_reserve(buffers);
		s->enough = 2 * s->reserve;
	}
	return s->pool != NULL;
}

void supply_release(struct supply *s)
{
	pool_free(s->pool);
	s->pool = NULL;
}

size_t media_reserve(size_t buffers)
{
	return (buffers + 7) / 8;
}

static bool refuses(struct supply *s, const struct expect_call *c)
{
	size_t left = pool_left(s->pool);

	s->tight = left < (s->tight ? s->enough : s->reserve);
	return left == 0 || (s->tight && !c->running);
}

struct chunk *supply_take(struct media *m, uint32_t call)
{
	struct supply *s = &m->supply;
	struct expect_call *c = &m->expects.calls[call];
	bool refused = refuses(s, c);

	if (UNLIKELY(refused) && m->cfg.sink.reclaim) {
		m->cfg.sink.reclaim(m->cfg.sink.ctx);
		refused = refuses(s, c);
	}
	if (UNLIKELY(refused)) {
		count(m->counters, c->running ? COUNT_RTP_NO_BUFFER : COUNT_RTP_REFUSED);
		return NULL;
	}
	c->running = true;
	return pool_get(s->pool);
}
