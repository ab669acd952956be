/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* place.h: where each frame belongs in time.
 *
 * Arithmetic over arrays, in samples; it knows neither codecs nor files.  Arrival says when
 * a frame came, late by whatever the network did to it; its RTP timestamp says exactly how far it lies
 * from its neighbours, by a clock that starts anywhere, runs a little fast or slow, and may be set anew
 * at any frame by a careless or hostile sender.  So:
 *
 *     lag = arrival - timestamp        the sender's clock offset, plus this frame's delay
 *
 *     lag |        .      .                         a run ends where the lag takes another level and stays there;
 *         |  . . .   . .    .  . |  . .. . .        one frame that is late, or alone with its timestamp, ends nothing
 *         |________________      | ._________
 *         |                      |                  the least lag around a frame (the frame least delayed)
 *         +---------------------------------- time  is the clock's offset there
 *
 * Frames whose timestamps follow one another are contiguous, to the sample.  The clock's skew is
 * put right where there is silence anyway.
 */
#ifndef CALLSPAN_AUDIO_PLACE_H
#define CALLSPAN_AUDIO_PLACE_H

#include "base/rc.h"

/* One frame of a stream.  Times are samples since one base for all streams of the recording: by the clock of its timestamps while
 * its stream is placed, by the rate of the whole when streams are. */
struct placed {
	uint64_t sequence; /* extended */
	int64_t arrival;
	int64_t at;       /* the answer: its first sample */
	size_t kept;      /* which of the stream's frames it is */
	uint32_t samples; /* how many it decodes to; 0: comfort noise */
	uint32_t timestamp;
};

/* Place one stream's frames, sorted by sequence, duplicates gone.  No frame is placed more than 12 s away from
 * its arrival.  False: memory is short. */
bool place_stream(struct placed *f, size_t n, uint32_t rate) MUST_USE;

/* Streams of one track meet: where a talk begins less than 30 ms before the one before it ends, it is moved to
 * that end.  `f` and `n`: frames and their number for each of `streams`, placed.  False: memory is short. */
bool place_apart(struct placed *const *f, const size_t *n, size_t streams, uint32_t rate) MUST_USE;

#endif
