/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* ended.h: streams whose call has ended, and that may go on all the same.
 *
 * Telephones and gateways send on for a while after the BYE, and some for ever; nothing of that is
 * kept, and above all not in the next call on the same endpoint.  For each stream that ended with
 * its call we keep where its numbering stood.  A packet that continues it (addresses, SSRC,
 * sequence number and timestamp as the time since then lets expect) is after the end; anything else
 * on that flow is judged afresh.  An entry goes after 30 s of silence, or when there are too many,
 * the longest silent first.
 *
 * Where both parties are still heard 5 s after the end of their call, signalling is told.
 *
 *   call 1        BYE           call 2, same endpoint
 *   999 1000 1001  |  1002 1003 ... 1050 ...        continues: after the end
 *                  |                 7 8 9 ...      another numbering: a new stream
 */
#ifndef CALLSPAN_RTP_ENDED_H
#define CALLSPAN_RTP_ENDED_H

#include "rtp/flow.h"
#include "rtp/rtp.h"

struct media;
struct stream;
struct stream_cold;

struct ended {
	uint64_t call;    /* call number */
	int64_t until_ns; /* the end of the whole call; INT64_MAX: it went on elsewhere */
	int64_t ts_ns;    /* of the packet that sequence and timestamp are of */
	int64_t touched_ns;
	uint32_t ssrc, timestamp;
	uint32_t clock_rate;
	uint32_t ptime_us;
	uint32_t flow, next;   /* its flow; the next of that flow; of the free ones */
	uint32_t newer, older; /* by when they were touched */
	uint16_t sequence;
	uint8_t track;
	bool long_after; /* it came when the call had been over for 5 s */
};

struct ended_set {
	struct ended *at; /* owned */
	uint32_t max, used, free;
	uint32_t newest, oldest;
};

bool ended_init(struct ended_set *t, uint32_t max);
void ended_release(struct ended_set *t);

/* Remember a stream that is about to end, on its flow. */
void ended_add(struct media *m, uint32_t stream, uint64_t call);

/* Does a packet on `flow` continue one that ended?  Then it is noted there, and is not to be kept.
 * `expect`: who expects it now, or NONE; `live`: the number the live stream of that SSRC last had,
 * or NULL. */
bool ended_takes(struct media *m, uint32_t flow, uint32_t expect, const uint16_t *live,
		 const struct rtp_header *h, int64_t ts_ns);

/* Drop those that have been silent for 30 s. */
void ended_tick(struct media *m, int64_t now_ns);

#endif
