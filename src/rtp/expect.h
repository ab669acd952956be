/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* expect.h: which endpoints media is expected at, and for which calls.
 *
 * Several calls may expect the same endpoint: a server that answers all calls at one port, the two legs of a
 * back-to-back user agent that passes SDP through, a port used again by the next call.  A flow's other end then
 * tells whose it is (expect_owner).  What is expected only because media was seen (an orphan) comes after all that
 * signalling says.  A call is known here while it has an expectation.  The generation changes with
 * each endpoint newly expected: a flow that was taken by its source asks then whether its destination is
 * expected by now.
 *
 * Expectations are found by where media is received, and by where its RTCP is, if that is elsewhere.
 */
#ifndef CALLSPAN_RTP_EXPECT_H
#define CALLSPAN_RTP_EXPECT_H

#include "base/intern.h"
#include "rtp/hash.h"
#include "rtp/rtp.h"
#include "rtp/slab.h"

enum expect_list { EXPECT_MEDIA, EXPECT_RTCP, EXPECT_LISTS };

struct expect {
	struct endpoint at;
	uint32_t call; /* index */
	struct {
		uint32_t prev, next; /* of those with the same hash, newest first */
	} lists[EXPECT_LISTS];       /* EXPECT_MEDIA's next also links the free ones */
	uint32_t prev_of_call, next_of_call;
	uint32_t flows; /* list of live flows that belong to it */
	uint16_t stream_base;
	uint16_t rtcp_port;   /* 0: none of its own */
	uint8_t streams_used; /* of STREAM_BLOCK */
	uint8_t foreign_used; /* of STREAM_FOREIGN */
	uint8_t protection;   /* enum protection, of what is sent there */
	uint8_t party : 1;
	bool rtcp_elsewhere : 1; /* at another address than media: the table's `elsewhere` */
	bool keep_events : 1, discard : 1, orphan : 1;
	uint32_t ptime_ms;
	uint32_t payloads; /* held: of the table's maps */
	int64_t from_ns;
};
_Static_assert(sizeof(struct expect) == 80, "there is one a stream");

struct expect_call {
	uint64_t number;
	uint32_t next;    /* of those with the same hash; of the free ones */
	uint32_t expects; /* list */
	int64_t alive_ns; /* when the sink was last told */
	int64_t until_ns; /* when the whole call ended; INT64_MAX: it has not */
	bool alive;       /* it was told at all */
	bool running;     /* it has been given a chunk buffer */
	uint8_t remarked; /* bits of enum remark that signalling has been told */
};

struct expect_table {
	struct expect *at; /* owned */
	/* Owned, as many: where RTCP comes if it is at another address; pages cost nothing until one is. */
	struct endpoint *elsewhere;
	struct expect_call *calls;                  /* owned */
	uint32_t *heads[EXPECT_LISTS], *call_heads; /* owned */
	struct intern *maps; /* owned: payload maps, which most calls share (payload.h) */
	struct hash_key key;
	uint32_t heads_count, max;
	uint32_t used, free, calls_used, calls_free;
	uint32_t elsewhere_used; /* behind the last that ever was */
	uint32_t generation;     /* never 0 */
};

/* For up to `max` expectations; so many streams may hold a payload map beside them. */
bool expect_table_init(struct expect_table *t, uint32_t max, uint32_t streams);
void expect_table_release(struct expect_table *t);

/* A call's expectation at an endpoint, or NONE. */
uint32_t expect_find(const struct expect_table *t, uint64_t call, const struct endpoint *at);
/* Whose a flow is: of a call that expects both its ends, the latest if several do; else of the newest that expects where
 * it is sent to, else where it is sent from (*by_source).  But a call whose other party's endpoint is not known yet
 * keeps what its own party sends, though others expect the destination.  NONE: nobody's. */
uint32_t expect_owner(const struct expect_table *t, const struct endpoint *src,
		      const struct endpoint *dst, bool *by_source);
/* The next expectation at the endpoint of this one, older; or NONE. */
uint32_t expect_older(const struct expect_table *t, uint32_t expect);
/* The newest expectation that receives RTCP at an endpoint, and the next older one; or NONE. */
uint32_t expect_rtcp(const struct expect_table *t, const struct endpoint *at);
uint32_t expect_rtcp_older(const struct expect_table *t, uint32_t expect);
/* How early a call's expectation at an endpoint was made: 0: it has none, else the more the earlier. */
uint32_t expect_rank(const struct expect_table *t, uint32_t call, const struct endpoint *at);
/* The call's index by its number, or NONE. */
uint32_t expect_find_call(const struct expect_table *t, uint64_t number);

/* Add one at an endpoint where its call has none.  NONE when there are too many. */
uint32_t expect_add(struct expect_table *t, const struct media_expect *e);
/* Signalling says more of one that is there: replace what it said, keep streams and numbers. */
void expect_update(struct expect_table *t, uint32_t expect, const struct media_expect *e);
/* Remove one whose flows have all ended, and its call with the last. */
void expect_remove(struct expect_table *t, uint32_t expect);

/* What a payload type means for frames that belong to an expectation: by its own map, else by those
 * of the call's other endpoints (a sender behind NAT is found by its own endpoint, and uses the
 * other side's numbers), else by RFC 3551.  NULL: nobody knows. */
const struct media_payload *expect_payload(const struct expect_table *t, uint32_t expect,
					   uint8_t type);
/* How what is sent on a flow is protected: told where it is received.  `by_source`: the expectation is the sender's,
 * so that it is told by the call's other endpoints. */
uint8_t expect_protection(const struct expect_table *t, uint32_t expect, bool by_source);

#endif
