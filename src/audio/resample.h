/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* resample.h: samples at another rate.
 *
 * A run of samples goes in piece by piece and comes out piece by piece, without delay: the first sample out
 * belongs to the moment of the first in.  In the vault only; one thread an object.
 */
#ifndef CALLSPAN_AUDIO_RESAMPLE_H
#define CALLSPAN_AUDIO_RESAMPLE_H

#include "base/rc.h"

struct resample;

/* For interleaved channels.  NULL: memory is short, or the rates are not ones of audio. */
struct resample *resample_new(uint32_t channels, uint32_t from_rate, uint32_t to_rate);
void resample_free(struct resample *r);
/* Begin a new run. */
void resample_reset(struct resample *r);
/* Take at most *in_len frames of all channels, give at most *out_len; both are set to what was.  `in` NULL: silence. */
void resample_next(struct resample *r, const int16_t *in, uint32_t *in_len, int16_t *out,
		   uint32_t *out_len);

#endif
