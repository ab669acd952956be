/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reassembly.c: pieces in, messages and whole packets out.  Signalling thread. */
#include <stdlib.h>

#include "sip/fragments.h"
#include "sip/sip.h"
#include "sip/tcp.h"

struct reassembly {
	struct fragments *fragments; /* owned */
	struct tcp *tcp;             /* owned */
	struct reassembly_sink sink;
};

struct reassembly *reassembly_new(const struct reassembly_config *cfg)
{
	struct reassembly *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->sink = cfg->sink;
	r->fragments = fragments_new(cfg->fragment_bytes, cfg->counters);
	r->tcp = tcp_new(cfg);
	if (!r->fragments || !r->tcp) {
		reassembly_free(r);
		return NULL;
	}
	return r;
}

void reassembly_free(struct reassembly *r)
{
	if (!r)
		return;
	fragments_free(r->fragments);
	tcp_free(r->tcp);
	free(r);
}

void reassembly_piece(struct reassembly *r, const struct piece *p)
{
	struct piece whole;
	if (p->kind == PIECE_SEGMENT)
		tcp_segment(r->tcp, p);
	else if (fragments_put(r->fragments, p, &whole))
		r->sink.whole(r->sink.ctx, &whole);
}

void reassembly_tick(struct reassembly *r, int64_t now_ns)
{
	fragments_tick(r->fragments, now_ns);
	tcp_tick(r->tcp, now_ns);
}

void reassembly_finish(struct reassembly *r)
{
	tcp_finish(r->tcp);
}

uint64_t reassembly_fragments_held(const struct reassembly *r)
{
	return fragments_held(r->fragments);
}

uint64_t reassembly_segments_held(const struct reassembly *r)
{
	return tcp_held(r->tcp);
}
