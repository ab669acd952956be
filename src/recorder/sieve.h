/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sieve.h: which TCP segments are worth handing to signalling.
 *
 * A small cache of directions that signalling found to carry no SIP: their segments are dropped on the capture thread, so that
 * bulk TCP does not flood its ring.  The cache may forget (signalling says it again), and is never in the way: a SYN or
 * a segment that begins with SIP passes, and takes its direction out.  One a capture thread.
 */
#ifndef CALLSPAN_RECORDER_SIEVE_H
#define CALLSPAN_RECORDER_SIEVE_H

#include "base/counters.h"
#include "base/net.h"

struct sieve;

struct sieve *sieve_new(void); /* NULL when memory is short */
void sieve_free(struct sieve *s);

/* This direction carries no SIP. */
void sieve_mark(struct sieve *s, const struct endpoint *src, const struct endpoint *dst);

/* Shall signalling see this segment?  Counts it if not. */
bool sieve_passes(struct sieve *s, const struct piece *p, struct counters *c);

#endif
