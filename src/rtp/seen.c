/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* seen.c: see seen.h.  Runs on the capture thread. */
#include "rtp/seen.h"

/* Packet times are what hostile files choose: no difference may overflow. */
static bool offset_from(int64_t anchor_us, int64_t arrival_us, int32_t *offset_us)
{
	int64_t d;
	if (__builtin_sub_overflow(arrival_us, anchor_us, &d) || d < INT32_MIN || d > INT32_MAX)
		return false;
	*offset_us = (int32_t)d;
	return true;
}

#define NEXT_SHIFT 60 /* sixteen places in four bits: counting wraps by itself */
_Static_assert(SEEN_MOST == 1 << (64 - NEXT_SHIFT) && SEEN_MOST * SEEN_KIND_BITS <= NEXT_SHIFT,
	       "kinds, and the place of the next");

static void set_kind(struct seen_log *l, unsigned i, enum seen_kind kind)
{
	unsigned shift = i * SEEN_KIND_BITS;
	l->kinds = (l->kinds & ~(SEEN_KIND_MASK << shift)) | (uint64_t)kind << shift;
}

static void move_anchor(struct seen_log *l, int64_t to_us)
{
	for (unsigned i = 0; i < SEEN_MOST; i++) {
		int64_t arrival_us = l->anchor_us + l->offset_us[i];
		if (seen_kind(l, i) != SEEN_FORGOTTEN &&
		    offset_from(to_us, arrival_us, &l->offset_us[i]))
			continue;
		set_kind(l, i, SEEN_FORGOTTEN);
		l->offset_us[i] = 0;
	}
	l->anchor_us = to_us;
}

static unsigned next_place(const struct seen_log *l)
{
	return (unsigned)(l->kinds >> NEXT_SHIFT);
}

void seen_amend(struct seen_log *l, unsigned n, enum seen_kind kind)
{
	for (unsigned i = 1; i <= n && i <= SEEN_MOST; i++)
		set_kind(l, (next_place(l) - i) % SEEN_MOST, kind);
}

void seen_note(struct seen_log *l, const struct seen *s)
{
	int32_t offset_us;
	unsigned at = next_place(l);

	if (!offset_from(l->anchor_us, s->arrival_us, &offset_us)) {
		move_anchor(l, s->arrival_us);
		offset_us = 0;
	}
	l->offset_us[at] = offset_us;
	l->number[at] = s->number;
	l->payload_len[at] = s->payload_len;
	set_kind(l, at, s->kind);
	l->kinds += UINT64_C(1) << NEXT_SHIFT;
}
