/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* joiner.h: reassembly as files and live recording use it: what comes out goes to signalling, back to media,
 * or round again.
 *
 *   piece ─► reassembly ─┬─ SIP over TCP ──────► signalling
 *                        └─ IP payload ─decode─┬─► datagram, to the owner
 *                              ▲               └─► piece ─┐   (a tunnel that was fragmented outside)
 *                              └──────────────────────────┘
 *
 * On the thread of signalling.  How often it may go round is bounded by the layers a piece remembers.
 */
#ifndef CALLSPAN_RECORDER_JOINER_H
#define CALLSPAN_RECORDER_JOINER_H

#include "base/options.h"
#include "capture/capture.h"
#include "sip/sip.h"

struct joiner_owner {
	void *ctx;
	/* A UDP datagram put together from fragments (borrowed). */
	void (*datagram)(void *ctx, const struct datagram *d);
	void (*not_sip)(void *ctx, const struct endpoint *src, const struct endpoint *dst);
};

struct joiner {
	struct reassembly *reassembly; /* owned */
	struct signalling *signalling; /* borrowed */
	struct decoder decoder;
	struct counters *counters; /* borrowed */
	struct joiner_owner owner;
};

enum rc joiner_init(struct joiner *j, const struct options *o, struct signalling *signalling,
		    const struct joiner_owner *owner, struct counters *counters,
		    struct error *err) MUST_USE;
void joiner_free(struct joiner *j);

/* Numbers from 1 to 65535 with commas between them into `ports`, 0 behind the last. */
enum rc joiner_ports(uint16_t ports[REASSEMBLY_PORTS], const char *text,
		     struct error *err) MUST_USE;

#endif
