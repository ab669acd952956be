/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* seen.h: the last packets of a stream, of some kinds: what was counted of each.
 *
 * With them the end of a call is exact: what came later than it is taken back out of the figures.  Each stream has such
 * a log, so arrivals are kept in 32 bits, as differences from one of them; what is more than 35 minutes of packet time
 * away from the newest is forgotten.
 *
 *   anchor ─┬─ offset | number | payload length     kinds | kind, 3 bits | ... | place of the next |
 *           ├─ ...
 */
#ifndef CALLSPAN_RTP_SEEN_H
#define CALLSPAN_RTP_SEEN_H

#include "base/rc.h"

#define SEEN_MOST      16 /* packets */
#define SEEN_KIND_BITS 3
#define SEEN_KIND_MASK UINT64_C(7)

/* What was counted of a packet. */
enum seen_kind {
	SEEN_FORGOTTEN,
	SEEN_AUDIO,     /* of a closed chunk */
	SEEN_NOISE,     /* the same */
	SEEN_REORDERED, /* counted as that, whatever else */
	SEEN_DUPLICATE,
	SEEN_EVENT,
	SEEN_NEW_EVENT,
	SEEN_DROPPED, /* audio that found no buffer, or whose chunk was not taken */
	SEEN_KINDS
};
_Static_assert(SEEN_KINDS <= 1 << SEEN_KIND_BITS, "each has a number of so many bits");

struct seen_log {
	int64_t anchor_us;
	int32_t offset_us[SEEN_MOST];
	uint16_t number[SEEN_MOST], payload_len[SEEN_MOST];
	/* enum seen_kind, three bits each, the first lowest; in the highest four the place of the next. */
	uint64_t kinds;
};

struct seen {
	int64_t arrival_us;
	uint16_t number, payload_len;
	enum seen_kind kind;
};

/* Note one more; the oldest gives way.  A log of zeros is empty. */
void seen_note(struct seen_log *l, const struct seen *s);

/* The newest n of them became something else after all. */
void seen_amend(struct seen_log *l, unsigned n, enum seen_kind kind);

static inline enum seen_kind seen_kind(const struct seen_log *l, unsigned i)
{
	return (enum seen_kind)(l->kinds >> i * SEEN_KIND_BITS & SEEN_KIND_MASK);
}

/* Entry i of SEEN_MOST, in no order; SEEN_FORGOTTEN: there is none. */
static inline struct seen seen_get(const struct seen_log *l, unsigned i)
{
	return (struct seen){ .arrival_us = l->anchor_us + l->offset_us[i],
			      .number = l->number[i],
			      .payload_len = l->payload_len[i],
			      .kind = seen_kind(l, i) };
}

#endif
