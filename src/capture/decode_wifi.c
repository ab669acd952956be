/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decode_wifi.c: IEEE 802.11 data frames and the headers that capture cards put before them.
 * See walk.h.
 *
 * Encrypted frames, fragments and aggregates (A-MSDU: several packets a frame) are nothing for us.
 */
#include "capture/walk.h"

/* Frame control, first octet: version (2 bits), type (2), subtype (4).  Second octet: flags. */
#define TYPE_MASK      0x0f
#define TYPE_DATA      0x08
#define SUBTYPE_NULL   0x40 /* no data */
#define SUBTYPE_QOS    0x80
#define FLAG_TO_DS     0x01
#define FLAG_FROM_DS   0x02
#define FLAG_MORE      0x04
#define FLAG_PROTECTED 0x40
#define FLAG_ORDER     0x80 /* with QoS: an HT control field */
#define QOS_AGGREGATE  0x80

/* Frame control (2), duration (2), three addresses (18), sequence (2), in which the fragment is
 * the low nibble; fourth address (6), QoS (2), HT control (4) where flags say so; LLC. */
static enum layer frame(struct walk *w, uint32_t align)
{
	struct bytes h;

	if (!walk_take(w, 24, &h))
		return END_MALFORMED;
	uint8_t kind = bytes_u8(&h), flags = bytes_u8(&h);
	bytes_skip(&h, 20);
	uint16_t sequence = bytes_u16_le(&h);
	uint32_t header_len = 24;
	if ((kind & TYPE_MASK) != TYPE_DATA || kind & SUBTYPE_NULL)
		return END_OTHER;
	if (flags & (FLAG_PROTECTED | FLAG_MORE) || sequence & 15)
		return END_OTHER;
	if ((flags & FLAG_TO_DS) && (flags & FLAG_FROM_DS)) {
		bytes_skip(&w->at, 6);
		header_len += 6;
	}
	if (kind & SUBTYPE_QOS) {
		if (bytes_u16_le(&w->at) & QOS_AGGREGATE)
			return END_OTHER;
		header_len += 2;
		if (flags & FLAG_ORDER) {
			bytes_skip(&w->at, 4);
			header_len += 4;
		}
	}
	bytes_skip(&w->at, -header_len % align);
	return w->at.failed ? END_MALFORMED : LAYER_LLC;
}

enum layer decode_wifi_frame(struct walk *w)
{
	return frame(w, 1);
}

/* Some cards align what follows the header to four octets. */
enum layer decode_wifi_padded(struct walk *w)
{
	return frame(w, 4);
}

/* Version (1), padding (1), length (2), which fields are there (4, and more while bit 31 is set);
 * the first two fields are a clock (8, aligned to 8) and flags (1).  Little-endian. */
enum layer decode_wifi_radiotap(struct walk *w)
{
	struct bytes look = w->at;
	const uint8_t *begin = look.at;

	bytes_skip(&look, 2);
	uint32_t len = bytes_u16_le(&look);
	uint32_t present = bytes_u32_le(&look), more = present;
	while (more & UINT32_C(1) << 31 && !look.failed)
		more = bytes_u32_le(&look);
	if (present & 1) {
		size_t at = look.failed ? 0 : (size_t)(look.at - begin);
		bytes_skip(&look, -at % 8);
		bytes_skip(&look, 8);
	}
	uint8_t flags = present & 2 ? bytes_u8(&look) : 0;
	bytes_skip(&w->at, len);
	if (look.failed || w->at.failed || len < 8)
		return END_MALFORMED;
	return flags & 0x20 ? LAYER_WIFI_PADDED : LAYER_WIFI;
}

/* Magic (4), length (4); in network order. */
enum layer decode_wifi_avs(struct walk *w)
{
	struct bytes look = w->at;

	bytes_skip(&look, 4);
	uint32_t len = bytes_u32(&look);
	bytes_skip(&w->at, len);
	return look.failed || w->at.failed || len < 8 ? END_MALFORMED : LAYER_WIFI;
}

/* Message (4), length (4), both in the order of the host: the length is small, so the order is
 * seen.  The same link type carries AVS headers, known by their magic. */
enum layer decode_wifi_prism(struct walk *w)
{
	struct bytes look = w->at;

	if ((bytes_u32(&look) & 0xfffff000) == 0x80211000)
		return LAYER_AVS;
	uint32_t len = bytes_u32(&look);
	if (len > UINT16_MAX)
		len = __builtin_bswap32(len);
	bytes_skip(&w->at, len);
	return look.failed || w->at.failed || len < 8 ? END_MALFORMED : LAYER_WIFI;
}

/* Version (1), flags (1), length (2), link type of what follows (4).  Little-endian. */
enum layer decode_wifi_ppi(struct walk *w)
{
	struct bytes look = w->at;

	bytes_skip(&look, 2);
	uint32_t len = bytes_u16_le(&look);
	uint32_t link = bytes_u32_le(&look);
	bytes_skip(&w->at, len);
	if (look.failed || w->at.failed || len < 8)
		return END_MALFORMED;
	return decode_link_of_type(link);
}
