/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fuzz_audio_timeline.c: chunk bodies whose timestamps, numbers and lengths a hostile sender chose.
 *
 * The input is a row of {u8 stream, u16 length, body}: rendered or refused, nothing else.
 */
#include "audio/audio.h"
#include "base/bytes.h"

#define STREAMS 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct stream_record records[STREAMS] = {
		{ .track = TRACK_CALLER, .codec = "PCMU", .payload_types_count = 1 },
		{ .track = TRACK_CALLER,
		  .codec = "PCMA",
		  .payload_types = { 96 },
		  .payload_types_count = 1 },
		{ .track = TRACK_CALLEE,
		  .codec = "opus",
		  .payload_types = { 97 },
		  .payload_types_count = 1 },
		{ .track = TRACK_CALLER,
		  .codec = "G722",
		  .payload_types = { 9 },
		  .payload_types_count = 1 },
		{ .track = TRACK_CALLEE,
		  .codec = "L16",
		  .clock_rate = 44100,
		  .channels = 2,
		  .payload_types = { 98 },
		  .payload_types_count = 1 },
		/* What may be taken for copies of the second stream, in other codecs. */
		{ .track = TRACK_CALLER,
		  .codec = "AMR",
		  .payload_types = { 96 },
		  .payload_types_count = 1 },
		{ .track = TRACK_CALLER,
		  .codec = "speex",
		  .clock_rate = 8000,
		  .payload_types = { 96 },
		  .payload_types_count = 1 },
	};
	struct timeline *t = timeline_new();
	int stream[STREAMS];
	timeline_conceal(t, size & 1);
	for (int i = 0; i < STREAMS; i++)
		stream[i] = timeline_stream(t, &records[i]);
	struct bytes b = bytes_over(data, size);
	while (bytes_left(&b) > 3) {
		int n = stream[bytes_u8(&b) % STREAMS];
		size_t len = bytes_u16_le(&b);
		len = len < bytes_left(&b) ? len : bytes_left(&b);
		enum rc rc = timeline_chunk(t, n, bytes_take(&b, len), len);
		ASSERT(rc == RC_OK || rc == RC_DAMAGED);
	}
	struct audio_summary summary;
	struct error err;
	if (timeline_render(t, &summary, &err) == RC_OK) {
		int16_t tail[160];
		ASSERT(summary.samples <= (uint64_t)49 * 3600 * summary.rate);
		timeline_samples(t, TRACK_CALLER, summary.samples / 2, 160, tail);
	}
	timeline_free(t);
	return 0;
}
