/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* expect.h: which endpoints media is expected at, and for which calls.
 *
 * An endpoint has one expectation at a time.  A call is known here while it has one.  The
 * generation changes with each endpoint newly expected: a flow that was taken by its source asks
 * then whether its destination is expected by now.
 */
#ifndef CALLSPAN_RTP_EXPECT_H
#define CALLSPAN_RTP_EXPECT_H

#include "rtp/hash.h"
#include "rtp/rtp.h"
#include "rtp/slab.h"

struct expect {
	struct endpoint at;
	uint32_t call; /* index */
	uint32_t next; /* of those with the same hash; of the free ones */
	uint32_t prev_of_call, next_of_call;
	uint32_t flows; /* list of live flows that belong to it */
	uint16_t stream_base;
	uint8_t streams_used; /* of STREAM_BLOCK */
	uint8_t party;
	int64_t from_ns;
	uint32_t ptime_ms;
	uint32_t payloads_count;
	struct media_payload payloads[MEDIA_PAYLOADS];
};

struct expect_call {
	uint64_t number;
	uint32_t next;    /* of those with the same hash; of the free ones */
	uint32_t expects; /* list */
	int64_t alive_ns; /* when the sink was last told */
	bool alive;       /* it was told at all */
};

struct expect_table {
	struct expect *at;            /* owned */
	struct expect_call *calls;    /* owned */
	uint32_t *heads, *call_heads; /* owned */
	struct hash_key key;
	uint32_t heads_count, max;
	uint32_t used, free, calls_used, calls_free;
	uint32_t generation; /* never 0 */
};

bool expect_table_init(struct expect_table *t, uint32_t max);
void expect_table_release(struct expect_table *t);

/* The expectation at an endpoint, or NONE. */
uint32_t expect_find(const struct expect_table *t, const struct endpoint *at);
/* The call's index by its number, or NONE. */
uint32_t expect_find_call(const struct expect_table *t, uint64_t number);

/* Add one at an endpoint that has none.  NONE when there are too many. */
uint32_t expect_add(struct expect_table *t, const struct media_expect *e);
/* Signalling says more of one that is there: replace the payload map, keep streams and numbers. */
void expect_update(struct expect *x, const struct media_expect *e);
/* Remove one whose flows have all ended, and its call with the last. */
void expect_remove(struct expect_table *t, uint32_t expect);

/* What a payload type means for frames that belong to an expectation: by its own map, else by those
 * of the call's other endpoints (a sender behind NAT is found by its own endpoint, and uses the
 * other side's numbers), else by RFC 3551.  NULL: nobody knows. */
const struct media_payload *expect_payload(const struct expect_table *t, uint32_t expect,
					   uint8_t type);

#endif
