/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes as a session description, alone and as a part of a multipart body: counts stay within
 * their bounds, and nothing is said of a line that is not there.  The first byte chooses. */
#include "sip/description.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_audio(const struct description_audio *a)
{
	ASSERT(a->payloads_count <= MEDIA_PAYLOADS);
	ASSERT(a->at.port != 0);
	ASSERT(memcmp(a->at.zero, "\0\0\0\0\0\0", 6) == 0);
	ASSERT(!a->has_endpoint || !endpoint_is_any(&a->at));
	ASSERT(!(a->has_endpoint && a->any_address));
	ASSERT(a->index < DESCRIPTION_LINES && a->protection < PROTECTIONS);
	ASSERT(a->candidates_count <= DESCRIPTION_CANDIDATES);
	for (unsigned i = 0; i < a->candidates_count; i++)
		ASSERT(a->candidates[i].port != 0 && !endpoint_is_any(&a->candidates[i]));
	ASSERT(a->crypto.count <= SDES_OFFERED);
	for (unsigned i = 0; i < a->crypto.count; i++)
		ASSERT(a->crypto.offer[i].key.key_len <= SDES_KEY &&
		       a->crypto.offer[i].key.key_len >= 16);
	for (unsigned i = 0; i < a->payloads_count; i++) {
		ASSERT(a->payloads[i].type < 128);
		ASSERT(a->payloads[i].channels > 0);
		ASSERT(memchr(a->payloads[i].codec, '\0', sizeof a->payloads[i].codec) != NULL);
		for (unsigned k = 0; k < i; k++)
			ASSERT(a->payloads[k].type != a->payloads[i].type);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "application/sdp", "", "multipart/mixed",
					     "text/plain" };
	struct description d;
	struct span sdp;
	if (size < 1)
		return 0;
	if (!description_find(types[data[0] % 4], "b", data + 1, (uint32_t)size - 1, &sdp))
		return 0;
	ASSERT((const uint8_t *)sdp.p > data && (const uint8_t *)sdp.p + sdp.len <= data + size);
	ASSERT(description_read(&d, sdp) == (d.media_lines > 0));
	ASSERT(d.audio_count <= DESCRIPTION_AUDIO);
	ASSERT(d.audio_count + d.refused_audio <= d.media_lines);
	ASSERT(d.other < 1u << OTHER_KINDS);
	for (unsigned i = 0; i < d.audio_count; i++)
		check_audio(&d.audio[i]);
	return 0;
}
