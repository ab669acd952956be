/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* foreign.h: audio that somebody else sends to a party's endpoint.
 *
 * A stream from a source that no SDP names is suspect when another source already talks on that track.  It is
 * foreign when that other one goes on beside it; when the other one stops, the party has only changed its address
 * (a NAT that binds anew).  What is foreign is kept as a stream of its own, and muted at replay.
 *
 *   party      ======================================     party      =========|
 *   newcomer            ======== foreign                  newcomer             ========= the party
 *
 * Judged when a chunk is handed over and when a stream ends: no usual packet is asked.  Multicast has as many
 * sources as it likes.  Runs on the capture thread.
 */
#ifndef CALLSPAN_RTP_FOREIGN_H
#define CALLSPAN_RTP_FOREIGN_H

#include "base/rc.h"

struct media;

/* A stream has begun on a flow; its first packet is not taken yet. */
void foreign_suspect(struct media *m, uint32_t stream, int64_t ts_ns);

/* A chunk of the stream is complete, or the stream itself: is it foreign? */
void foreign_judge(struct media *m, uint32_t stream);

#endif
