/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fuzz_audio_codecs.c: payloads that a hostile sender chose, for every decoder.
 *
 * The input is {u8 codec, u8 flags}, then {u8 number step, u16 length, payload} again and again: each payload is a packet of 20 ms.
 * Whatever they are, the whole is no longer than the packets say.
 */
#include <stdio.h>
#include <stdlib.h>

#include "audio/audio.h"
#include "audio/codec.h"
#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DYNAMIC     96
#define PACKETS_MAX 200

static const struct {
	const char *name;
	uint32_t clock_rate;
	uint8_t channels;
	const char *fmtp;
} codecs[] = {
	{ "G722", 8000, 1, "" },
	{ "G726-16", 8000, 1, "" },
	{ "G726-24", 8000, 1, "" },
	{ "G726-32", 8000, 1, "" },
	{ "G726-40", 8000, 1, "" },
	{ "AAL2-G726-24", 8000, 1, "" },
	{ "AAL2-G726-40", 8000, 1, "" },
	{ "GSM", 8000, 1, "" },
	{ "L16", 44100, 2, "" },
	{ "opus", 48000, 2, "" },
	{ "speex", 8000, 1, "" },
	{ "speex", 16000, 1, "" },
	{ "speex", 32000, 1, "" },
	{ "AMR", 8000, 1, "" },
	{ "AMR", 8000, 1, "octet-align=1" },
	{ "AMR-WB", 16000, 1, "" },
	{ "AMR-WB", 16000, 1, "octet-align=1" },
	{ "PCMU", 16000, 2, "" },
	{ "G729", 8000, 1, "" },
};

static size_t chunk_of(uint8_t *body, uint64_t number, uint32_t timestamp, struct bytes *in)
{
	size_t len = bytes_u16_le(in) % 1500;
	len = len < bytes_left(in) ? len : bytes_left(in);
	body[0] = 1;
	body[1] = DYNAMIC;
	put_u16_le(body + 2, (uint16_t)len);
	put_u32_le(body + 4, 1);
	put_u32_le(body + 8, 4);
	put_u32_le(body + 12, 0);
	put_u64_le(body + 16, 65536 + number);
	put_u64_le(body + 24, 1780000000000000 + number * 20000);
	put_u32_le(body + 32, timestamp);
	put_u32_le(body + 36, 1);
	put_u32_le(body + 40, 0);
	const uint8_t *payload = bytes_take(in, len);
	for (size_t i = 0; i < len; i++)
		body[44 + i] = payload[i];
	return 44 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_over(data, size);
	size_t which = bytes_u8(&in) % (sizeof codecs / sizeof codecs[0]);
	uint8_t flags = bytes_u8(&in);
	struct stream_record r = { .clock_rate = codecs[which].clock_rate,
				   .channels = codecs[which].channels,
				   .payload_types = { DYNAMIC },
				   .payload_types_count = 1 };
	snprintf(r.codec, sizeof r.codec, "%s", codecs[which].name);
	snprintf(r.fmtp, sizeof r.fmtp, "%s", codecs[which].fmtp);
	struct timeline *t = timeline_new();
	int stream = timeline_stream(t, &r);
	timeline_conceal(t, flags & 1);
	uint64_t number = 0;
	for (int packets = 0; packets < PACKETS_MAX && bytes_left(&in) > 3; packets++) {
		uint8_t body[44 + 1500];
		number += 1 + (bytes_u8(&in) & 7);
		size_t len = chunk_of(body, number, (uint32_t)number * (r.clock_rate / 50), &in);
		enum rc rc = timeline_chunk(t, stream, body, len);
		ASSERT(rc == RC_OK || rc == RC_DAMAGED);
	}
	struct audio_summary summary;
	struct error err;
	if (timeline_render(t, &summary, &err) == RC_OK) {
		int16_t tail[160];
		ASSERT(summary.samples <= (uint64_t)summary.rate * (30 + number / 50));
		timeline_samples(t, TRACK_CALLER, summary.samples / 2, 160, tail);
	}
	timeline_free(t);
	return 0;
}
