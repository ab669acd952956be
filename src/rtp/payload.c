/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* payload.c: see payload.h.  The static audio payload types of RFC 3551, table 4, and RFC 3389's
 * comfort noise. */
#include "rtp/payload.h"

#include <stddef.h>
#include <string.h>

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

struct intern *payload_maps_new(uint64_t max)
{
	return max < UINT32_MAX ? intern_new(sizeof(struct payload_map), (uint32_t)max) : NULL;
}

/* Nothing by chance: no padding, and nothing behind the end of a text. */
static void copy_plain(struct media_payload *to, const struct media_payload *from)
{
	memset(to, 0, sizeof *to);
	to->type = from->type;
	to->kind = from->kind;
	to->channels = from->channels;
	to->clock_rate = from->clock_rate;
	memcpy(to->codec, from->codec, strnlen(from->codec, sizeof to->codec - 1));
	memcpy(to->fmtp, from->fmtp, strnlen(from->fmtp, sizeof to->fmtp - 1));
}

uint32_t payload_map_take(struct intern *maps, const struct media_payload *payloads, unsigned count)
{
	struct payload_map map;

	map.count = count < MEDIA_PAYLOADS ? count : MEDIA_PAYLOADS;
	for (unsigned i = 0; i < map.count; i++)
		copy_plain(&map.at[i], &payloads[i]);
	return intern_take(maps, &map,
			   offsetof(struct payload_map, at) + map.count * sizeof map.at[0]);
}

const struct payload_map *payload_map_at(const struct intern *maps, uint32_t map)
{
	return intern_at(maps, map);
}

static const struct media_payload *find(const struct media_payload *map, unsigned count,
					uint8_t type)
{
	for (unsigned i = 0; i < count; i++)
		if (map[i].type == type)
			return &map[i];
	return NULL;
}

const struct media_payload *payload_map_find(const struct intern *maps, uint32_t map, uint8_t type)
{
	const struct payload_map *m = payload_map_at(maps, map);
	return find(m->at, m->count, type);
}

const struct media_payload *payload_static(uint8_t type)
{
	return find(static_types, sizeof static_types / sizeof static_types[0], type);
}

bool payload_is_like_event(const struct rtp_header *h)
{
	return h->payload_type >= DYNAMIC && h->payload_len == EVENT_BYTES &&
	       h->payload[0] < EVENT_DIGITS && !(h->payload[1] & EVENT_R);
}
