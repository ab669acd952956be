/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fuzz_segment.c: the segment reader and checker on bytes of the fuzzer's choice.
 *
 * Signatures and CRCs would keep it out of all that lies behind them, so most inputs are edits
 * of a good segment made here, and CRCs can be put right again after them:
 *
 *     u8 mode: bit 0: edits; else u16 length of the slot file, slot file, segment
 *              bit 1: put the records' CRCs right
 *              bit 2: sign the attests again
 *     edits:   u16 offset, u8 what, u8 value; what: 0 set, 1 add, 2 cut the segment there,
 *              3 cut the slot file there, 4 set in the slot file
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "store/segment.h"

#define SEG_MOST  (1 << 18)
#define KEYS_MOST (1 << 15)
#define SLOTS     2

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct seal_pair audio, metadata;
static struct sign_pair sign;
static struct call_keys keys[SLOTS];

/* A whole segment: two calls, a few records, two attests, a footer. */
static struct {
	uint8_t seg[SEG_MOST], keys[KEYS_MOST];
	size_t seg_len, keys_len;
	struct segment_start start;
	struct footer_entry table[64];
	size_t table_len;
	struct keys_head head;
	struct digest *since;
	uint64_t records;
} good;

static void append(struct record_header h, const void *body, size_t len)
{
	uint8_t *record = good.seg + good.seg_len, nonce[12];

	if (layout_is_sealed(h.type)) {
		h.body_len = (uint32_t)len + RECORD_TAG;
		layout_header_put(record, &h);
		layout_nonce(nonce, &h);
		const struct call_keys *k = &keys[h.slot];
		gcm_seal(record + RECORD_HEADER, body, len,
			 h.type == RECORD_CHUNK ? k->audio : k->metadata, nonce, record,
			 RECORD_HEADER);
	} else {
		h.body_len = (uint32_t)len;
		memcpy(record + RECORD_HEADER, body, len);
	}
	layout_record_finish(record, &h);
	layout_cover(good.since, record, &h);
	good.records++;
	if (h.slot != SLOT_NONE)
		good.table[good.table_len++] =
			(struct footer_entry){ good.seg_len, h.slot, h.type, h.track, h.stream };
	good.seg_len += RECORD_HEADER + h.body_len;
}

static void append_attest(uint64_t footer)
{
	static const uint8_t zeros[LAYOUT_BLOCK];
	size_t after = good.seg_len + RECORD_HEADER + ATTEST_RECORD;

	append((struct record_header){ .type = RECORD_PAD, .slot = SLOT_NONE }, zeros,
	       -after % LAYOUT_BLOCK);
	struct attest a = { .segment = good.start.id,
			    .from = good.head.end,
			    .records = good.records,
			    .footer = footer };
	memcpy(a.previous, good.head.newest, 32);
	digest_take(good.since, a.covered);
	layout_attest_put(good.seg + good.seg_len, &a, good.head.attests++, &sign);
	digest_sha256(good.head.newest, good.seg + good.seg_len, ATTEST_RECORD);
	good.seg_len += ATTEST_RECORD;
	good.head.end = good.seg_len;
	good.records = 0;
}

static void append_call(uint32_t n)
{
	uint8_t body[SLOT_BODY] = { 0 }, *slot = good.keys + LAYOUT_BLOCK + n * SLOT_BYTES;
	static uint8_t packed[RECORD_BODY_MAX];
	static struct call_record call;
	static struct stream_record stream;
	struct uuid id = uuid_v7(n);

	keys[n] = (struct call_keys){ .has_audio = true, .has_metadata = true };
	slot_make(slot, &good.start, n, &id, n, keys[n].audio, keys[n].metadata);
	memcpy(body, id.b, 16);
	digest_sha256(body + 24, slot, SLOT_BYTES);
	append((struct record_header){ .type = RECORD_SLOT, .slot = n }, body, sizeof body);
	call.id = id;
	append((struct record_header){ .type = RECORD_CALL, .slot = n }, packed,
	       call_record_pack(&call, packed));
	append((struct record_header){ .type = RECORD_STREAM, .slot = n, .counter = 1 }, packed,
	       stream_record_pack(&stream, packed));
	for (uint64_t i = 0; i < 3; i++)
		append((struct record_header){ .type = RECORD_CHUNK, .slot = n, .counter = i },
		       packed, 60);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint8_t footer[FOOTER_HEAD + 64 * FOOTER_ENTRY];

	(void)argc;
	(void)argv;
	seal_pair_new(&audio);
	seal_pair_new(&metadata);
	sign_pair_new(&sign);
	good.since = digest_new();
	good.start.id = uuid_v7(1);
	memcpy(good.start.sign_public, sign.public_key, 32);
	memcpy(good.start.audio_public, audio.public_key, 32);
	memcpy(good.start.metadata_public, metadata.public_key, 32);
	memcpy(good.start.retention, "lab", 3);
	layout_start_put(good.seg, &good.start);
	good.seg_len = good.head.end = LAYOUT_BLOCK;
	good.head.segment = good.start.id;
	digest_sha256(good.head.newest, good.seg, LAYOUT_BLOCK);
	append_call(0);
	append_attest(0);
	append_call(1);
	ASSERT(layout_footer_put(footer, good.table, good.table_len, SLOTS));
	uint64_t at = good.seg_len;
	append((struct record_header){ .type = RECORD_FOOTER, .slot = SLOT_NONE }, footer,
	       FOOTER_HEAD + good.table_len * FOOTER_ENTRY);
	append_attest(at);
	layout_head_put(good.keys, &good.head, &sign);
	good.keys_len = LAYOUT_BLOCK + SLOTS * SLOT_BYTES;

	/* What is edited was good. */
	struct segment *s;
	struct segment_report report;
	struct error err;
	ASSERT(segment_adopt(&s, "good", good.seg, good.seg_len, good.keys, good.keys_len, &err) ==
	       RC_OK);
	ASSERT(segment_verify(s, sign.public_key, &report) == RC_OK && report.footer);
	segment_close(s);
	return 0;
}

/* ---- one input ----------------------------------------------------------------------------- */

static uint8_t seg[SEG_MOST], slots[KEYS_MOST];
static size_t seg_len, slots_len;

static void edit(struct bytes *b)
{
	memcpy(seg, good.seg, seg_len = good.seg_len);
	memcpy(slots, good.keys, slots_len = good.keys_len);
	while (bytes_left(b) >= 4) {
		uint16_t at = bytes_u16_le(b);
		uint8_t what = bytes_u8(b), value = bytes_u8(b);
		switch (what % 5) {
		case 0: seg[at] = value; break;
		case 1: seg[at] = (uint8_t)(seg[at] + value); break;
		case 2: seg_len = at < seg_len ? at : seg_len; break;
		case 3: slots_len = at < slots_len ? at : slots_len; break;
		default: slots[at % sizeof slots] = value;
		}
	}
}

static bool take_raw(struct bytes *b)
{
	slots_len = bytes_u16_le(b);
	const uint8_t *p = bytes_take(b, slots_len);
	if (!p || slots_len > sizeof slots || bytes_left(b) > sizeof seg)
		return false;
	memcpy(slots, p, slots_len);
	seg_len = bytes_left(b);
	memcpy(seg, b->at, seg_len);
	return true;
}

static void repair(bool sign_again)
{
	size_t at = LAYOUT_BLOCK;

	if (seg_len >= LAYOUT_BLOCK)
		put_u32_le(seg + LAYOUT_BLOCK - 4, layout_crc(0, seg, LAYOUT_BLOCK - 4));
	if (slots_len >= LAYOUT_BLOCK)
		put_u32_le(slots + 144, layout_crc(0, slots, 144));
	while (at < seg_len && seg_len - at >= RECORD_HEADER) {
		struct bytes b = bytes_over(seg + at, RECORD_HEADER);
		struct record_header h = { .body_len = bytes_u32_le(&b) };
		h.type = bytes_u8(&b);
		h.track = bytes_u8(&b);
		h.stream = bytes_u16_le(&b);
		h.slot = bytes_u32_le(&b);
		bytes_skip(&b, 4);
		h.counter = bytes_u64_le(&b);
		if (h.body_len > seg_len - at - RECORD_HEADER)
			return;
		struct attest a;
		if (sign_again && h.type == RECORD_ATTEST && h.body_len == ATTEST_BODY) {
			layout_attest_get(&a, seg + at + RECORD_HEADER);
			layout_attest_put(seg + at, &a, h.counter, &sign);
		} else {
			layout_record_finish(seg + at, &h);
		}
		at += RECORD_HEADER + h.body_len;
	}
}

static void read_slots(struct segment *s)
{
	struct segment_record r;
	struct call_keys opened;
	struct slot slot;
	struct error err;

	for (uint32_t n = 0; n <= segment_slots(s) && n < 4; n++) {
		uint64_t cursor = 0;
		(void)!segment_slot(s, n, &slot, &err);
		(void)!segment_keys(s, n, &audio, &metadata, &opened, &err);
		while (segment_call_next(s, n, &cursor, &r) == RC_OK)
			ASSERT(r.body >= seg && r.body + r.body_len <= seg + seg_len);
	}
}

static void read_all(struct segment *s)
{
	static uint8_t body[SEALED_MAX];
	static struct call_record call;
	static struct stream_record stream;
	struct segment_record r;
	struct uuid id;
	int64_t us;
	uint64_t at = segment_first(s);

	while (segment_next(s, &at, &r) == RC_OK) {
		ASSERT(r.body >= seg && r.body + r.body_len <= seg + seg_len && at <= seg_len);
		(void)segment_slot_record(&r, &id, &us);
		if (segment_unseal(s, &r, &keys[r.slot % SLOTS], body)) {
			(void)call_record_unpack(&call, body, r.body_len - RECORD_TAG);
			(void)stream_record_unpack(&stream, body, r.body_len - RECORD_TAG);
		}
		(void)call_record_unpack(&call, r.body, r.body_len);
		(void)stream_record_unpack(&stream, r.body, r.body_len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = bytes_over(data, size);
	struct segment_report report;
	struct segment *s;
	struct error err;

	uint8_t mode = bytes_u8(&b);
	if (mode & 1)
		edit(&b);
	else if (!take_raw(&b))
		return 0;
	if (mode & 2)
		repair(mode & 4);
	if (segment_adopt(&s, "fuzz", seg, seg_len, slots, slots_len, &err) != RC_OK)
		return 0;
	enum rc rc = segment_verify(s, sign.public_key, &report);
	ASSERT((rc == RC_OK) == !report.damaged);
	ASSERT(report.attested_end <= report.valid_end || report.damaged);
	read_slots(s);
	read_all(s);
	segment_close(s);
	return 0;
}
