/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* payload.c: see payload.h.  The static audio payload types of RFC 3551, table 4, and RFC 3389's
 * comfort noise. */
#include "rtp/payload.h"

#define DYNAMIC      96 /* the first payload type whose meaning SDP alone tells (RFC 3551, 3) */
#define EVENT_BYTES  4
#define EVENT_DIGITS 16 /* events 0 to 15 (RFC 4733, 3.2) */
#define EVENT_R      0x40

/* clang-format off */
static const struct media_payload static_types[] = {
	{ 0,  PAYLOAD_AUDIO, 1, 8000,  "PCMU", "" },
	{ 3,  PAYLOAD_AUDIO, 1, 8000,  "GSM", "" },
	{ 4,  PAYLOAD_AUDIO, 1, 8000,  "G723", "" },
	{ 5,  PAYLOAD_AUDIO, 1, 8000,  "DVI4", "" },
	{ 6,  PAYLOAD_AUDIO, 1, 16000, "DVI4", "" },
	{ 7,  PAYLOAD_AUDIO, 1, 8000,  "LPC", "" },
	{ 8,  PAYLOAD_AUDIO, 1, 8000,  "PCMA", "" },
	{ 9,  PAYLOAD_AUDIO, 1, 8000,  "G722", "" }, /* samples at 16000; its RTP clock is 8000 */
	{ 10, PAYLOAD_AUDIO, 2, 44100, "L16", "" },
	{ 11, PAYLOAD_AUDIO, 1, 44100, "L16", "" },
	{ 12, PAYLOAD_AUDIO, 1, 8000,  "QCELP", "" },
	{ 13, PAYLOAD_NOISE, 1, 8000,  "CN", "" },
	{ 14, PAYLOAD_AUDIO, 1, 90000, "MPA", "" },
	{ 15, PAYLOAD_AUDIO, 1, 8000,  "G728", "" },
	{ 16, PAYLOAD_AUDIO, 1, 11025, "DVI4", "" },
	{ 17, PAYLOAD_AUDIO, 1, 22050, "DVI4", "" },
	{ 18, PAYLOAD_AUDIO, 1, 8000,  "G729", "" },
};
/* clang-format on */

const struct media_payload *payload_find(const struct media_payload *map, unsigned count,
					 uint8_t type)
{
	for (unsigned i = 0; i < count; i++)
		if (map[i].type == type)
			return &map[i];
	return NULL;
}

const struct media_payload *payload_static(uint8_t type)
{
	return payload_find(static_types, sizeof static_types / sizeof static_types[0], type);
}

bool payload_is_like_event(const struct rtp_header *h)
{
	return h->payload_type >= DYNAMIC && h->payload_len == EVENT_BYTES &&
	       h->payload[0] < EVENT_DIGITS && !(h->payload[1] & EVENT_R);
}
