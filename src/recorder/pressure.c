/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* pressure.c: see pressure.h. */
#include "recorder/pressure.h"

#include "base/log.h"
#include "rtp/rtp.h"

#define CALLS_TOLD   10000 /* 10,000 in the log's line */
#define STREAMS      2     /* of a call */
#define ALWAYS_TAKEN 2     /* buffers of a stream: one open, one closed just now */
#define OVER_NS      (5 * NS_PER_S)

size_t pressure_buffers(const struct options *o, unsigned threads)
{
	return ((size_t)o->audio_mib << 20) / CHUNK_BUFFER / threads;
}

double pressure_covers(const struct options *o, unsigned threads, unsigned calls, bool new_ones)
{
	size_t buffers = pressure_buffers(o, threads);
	if (new_ones)
		buffers -= media_reserve(buffers);
	double seconds = (double)(buffers * threads) / (STREAMS * (double)calls) - ALWAYS_TAKEN;
	return seconds > 0 ? seconds : 0;
}

void pressure_tell(const struct options *o, unsigned threads)
{
	log_info("audio-buffers",
		 "mib=%lld covers=\"%.1f s of a stalled disk at 10,000 calls, %.1f s of those "
		 "running\"",
		 (long long)o->audio_mib, pressure_covers(o, threads, CALLS_TOLD, true),
		 pressure_covers(o, threads, CALLS_TOLD, false));
}

void pressure_watch(struct pressure *p, const struct counters *sum, int64_t now_ns)
{
	uint64_t refused = counter_get(sum, COUNT_RTP_REFUSED);
	uint64_t dropped = counter_get(sum, COUNT_RTP_NO_BUFFER) +
			   counter_get(sum, COUNT_FRAMES_IN_DROPPED_CHUNKS);
	bool more = refused != p->refused || dropped != p->dropped;

	if (more && !p->since_ns)
		log_error("audio-dropped",
			  "reason=\"no chunk buffer\" hint=\"the disk is too slow, or memory.audio "
			  "too small\"");
	if (more)
		p->since_ns = now_ns;
	p->refused = refused;
	p->dropped = dropped;
	if (!p->since_ns || now_ns - p->since_ns < OVER_NS)
		return;
	p->since_ns = 0;
	log_info("audio-dropped-over", "frames-of-new-calls=%llu frames-of-running-calls=%llu",
		 (unsigned long long)refused, (unsigned long long)dropped);
}
