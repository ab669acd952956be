/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* resample.c: by libspeexdsp.  Runs in the vault. */
#include "audio/resample.h"

#include <speex/speex_resampler.h>
#include <stdlib.h>

#define QUALITY 8 /* of 10 */

struct resample {
	SpeexResamplerState *state;
};

struct resample *resample_new(uint32_t channels, uint32_t from_rate, uint32_t to_rate)
{
	struct resample *r = calloc(1, sizeof *r);
	int failed;
	if (!r)
		return NULL;
	r->state = speex_resampler_init(channels, from_rate, to_rate, QUALITY, &failed);
	if (!r->state) {
		free(r);
		return NULL;
	}
	speex_resampler_skip_zeros(r->state);
	return r;
}

void resample_free(struct resample *r)
{
	if (!r)
		return;
	speex_resampler_reset_mem(r->state);
	speex_resampler_destroy(r->state);
	free(r);
}

void resample_reset(struct resample *r)
{
	speex_resampler_reset_mem(r->state);
	speex_resampler_skip_zeros(r->state);
}

void resample_next(struct resample *r, const int16_t *in, uint32_t *in_len, int16_t *out,
		   uint32_t *out_len)
{
	int failed = speex_resampler_process_interleaved_int(r->state, in, in_len, out, out_len);
	ASSERT(failed == RESAMPLER_ERR_SUCCESS);
}
