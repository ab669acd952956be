/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* codecs.h: the decoders, by file, and the variants that their rows choose. */
#ifndef CALLSPAN_AUDIO_CODECS_H
#define CALLSPAN_AUDIO_CODECS_H

#include "audio/codec.h"

enum { CODEC_MU_LAW, CODEC_A_LAW }; /* of codec_g711_ops */
enum { CODEC_NARROW, CODEC_WIDE };  /* of codec_amr_ops */
#define CODEC_AAL2                                                                                 \
	8 /* of codec_g726_ops: bits a sample, and this where the first sample has the high bits */

/* codec_pcm.c: no library */
extern const struct codec_ops codec_g711_ops, codec_l16_ops;
/* codec_g722.c: no library */
extern const struct codec_ops codec_g722_ops;
/* codec_spandsp.c */
extern const struct codec_ops codec_g726_ops, codec_gsm_ops;
/* codec_opus.c */
extern const struct codec_ops codec_opus_ops;
/* codec_speex.c */
extern const struct codec_ops codec_speex_ops;
/* codec_amr.c */
extern const struct codec_ops codec_amr_ops;
/* codec_g729.c, where the build has bcg729 */
extern const struct codec_ops codec_g729_ops;

#endif
