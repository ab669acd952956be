/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* tcp.h: SIP out of TCP connections (RFC 9293), over WebSocket too (RFC 7118).
 *
 * Each direction of a connection stands alone.  One is followed from its SYN, or from the first segment that begins with
 * a SIP start line, a WebSocket frame with SIP in it, or has a start line inside.  Its first bytes tell
 * whether it carries SIP; if not it is forgotten, and whoever sends us segments is told.
 *
 * Out of order: segments wait behind a hole, TCP_HELD_BLOCKS blocks and TCP_HOLE_NS of packet time at most (less than media
 * waits for its call); then the hole is passed over.  Of bytes that come twice the first copy counts.
 *
 * Bounded in connections and bytes, all of it made at start.  When it is full the least recently used goes:
 * of those that have carried no whole SIP message yet first, so that a flood of others costs them nothing.
 * Signalling thread.
 */
#ifndef CALLSPAN_SIP_TCP_H
#define CALLSPAN_SIP_TCP_H

#include "base/counters.h"
#include "base/net.h"
#include "sip/sip.h"

#define TCP_HELD_BLOCKS    256
#define TCP_HOLE_NS        NS_PER_S
#define TCP_IDLE_NS        (60 * NS_PER_S)   /* without a whole message yet */
#define TCP_PROVEN_IDLE_NS (3600 * NS_PER_S) /* registrations live long and say little */

struct tcp;

/* NULL when memory is short.  Uses the config's tcp_bytes, max_message, tls_ports, counters and sink. */
struct tcp *tcp_new(const struct reassembly_config *cfg);
void tcp_free(struct tcp *t);

/* Take a segment.  Messages go to the sink at once. */
void tcp_segment(struct tcp *t, const struct piece *p);
void tcp_tick(struct tcp *t, int64_t now_ns);

/* Nothing more will come: what waits behind holes is given. */
void tcp_finish(struct tcp *t);

/* Segments waiting behind holes, and directions followed, now. */
uint64_t tcp_held(const struct tcp *t);
uint32_t tcp_flows(const struct tcp *t);

#endif
