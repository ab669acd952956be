/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fragments.h: IP packets put together from their fragments (RFC 791, 3.2; RFC 8200, 4.5).
 *
 * Bounded in packets and bytes, all of it made at start.  When it is full the least recently used
 * packet goes; what is not whole FRAGMENT_TIMEOUT_NS of packet time after its newest fragment goes too.
 *
 * Overlaps: a fragment that says again what is there already, byte for byte, is a duplicate (a mirror that copies
 * twice) and ignored.  Any other overlap drops the whole packet, and all that still comes of it, in IPv4 as in
 * IPv6 (RFC 5722): hosts differ in which copy they believe, so nobody can know what was heard.  The same
 * for fragments that contradict each other about the end.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_FRAGMENTS_H
#define CALLSPAN_SIP_FRAGMENTS_H

#include "base/counters.h"
#include "base/net.h"

#define FRAGMENT_TIMEOUT_NS (30 * NS_PER_S)
/* So long a packet that was put together is remembered, for fragments that come twice. */
#define FRAGMENT_DONE_NS NS_PER_S
/* Blocks one packet may take: the longest fits, unless it was cut into crumbs. */
#define FRAGMENT_BLOCKS 256

struct fragments;

/* NULL when memory is short.  `bytes` is what it takes in all, but for a few KiB. */
struct fragments *fragments_new(size_t bytes, struct counters *counters);
void fragments_free(struct fragments *f);

/* Take a fragment.  True when its packet is whole: `*whole` is then one fragment with offset 0 and nothing more
 * to come, its bytes borrowed until the next call.  Captured bytes end at the first that is missing
 * (whole->len < whole->wire_len).  `p` may lie in what the call before gave. */
bool fragments_put(struct fragments *f, const struct piece *p, struct piece *whole);

void fragments_tick(struct fragments *f, int64_t now_ns);

/* Fragments waiting for others now. */
uint64_t fragments_held(const struct fragments *f);

#endif
