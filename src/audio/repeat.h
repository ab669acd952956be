/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* repeat.h: concealment for codecs that have none of their own.
 *
 * What was lost is made up from what was heard last: its pitch period, repeated and fading (the idea of ITU-T G.711, Appendix I,
 * without its delay).  Every good frame passes through; where it follows what was made up, its first
 * milliseconds are blended with that.  In the vault only; one thread an object.
 */
#ifndef CALLSPAN_AUDIO_REPEAT_H
#define CALLSPAN_AUDIO_REPEAT_H

#include "base/rc.h"

struct repeat;

struct repeat *repeat_new(uint32_t rate); /* NULL: memory is short */
void repeat_free(struct repeat *r);
/* A frame that arrived. */
void repeat_good(struct repeat *r, int16_t *pcm, size_t samples);
/* Make up what is missing. */
void repeat_fill(struct repeat *r, int16_t *out, size_t samples);

#endif
