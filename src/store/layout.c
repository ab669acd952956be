/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* layout.c: the bytes of segments and slot files.  Any thread; reads no file, allocates nothing
 * that it keeps.
 *
 * Everything read here may be hostile: it goes through the cursor of base/bytes.h.  The only file
 * that includes ISA-L (CRC32C).
 */
#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "store/segment.h"

#define CRC_AT      (LAYOUT_BLOCK - 4) /* of block 0 of a segment */
#define MAGIC_BYTES 8
#define DOMAIN      16 /* bytes that say what a signature is of */

static const char segment_magic[] = "CSPANSEG";
static const char keys_magic[] = "CSPANKEY";
static const char attest_domain[] = "callspan-attest1";
static const char head_domain[] = "callspan-head-01";

_Static_assert(sizeof segment_magic == MAGIC_BYTES + 1 && sizeof keys_magic == MAGIC_BYTES + 1,
	       "magic");
_Static_assert(sizeof attest_domain == DOMAIN + 1 && sizeof head_domain == DOMAIN + 1, "domain");

/* Its letters, without the terminating zero. */
static void put_text(uint8_t *out, const char *text)
{
	while (*text)
		*out++ = (uint8_t)*text++;
}

/* ---- CRC32C -------------------------------------------------------------------------------- */

uint32_t layout_crc(uint32_t before, const uint8_t *p, size_t len)
{
	union {
		const uint8_t *from;
		uint8_t *to; /* the library does not say const, and does not write */
	} u = { .from = p };

	ASSERT(len <= INT32_MAX);
	return len ? ~crc32_iscsi(u.to, (int)len, ~before) : before;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* ---- block 0 of the segment ---------------------------------------------------------------- */

/*     0  magic   8  version   12  writer number   16  segment id   32  recorder's public key
 *     64 audio public key    96 metadata public key   128  retention class
 *     160  hour   168  created   176 zeros   4092  CRC32C of the 4092 bytes before
 * Of a rewritten one:  176  vault's public key   208  rewritten   216  attested to   224  zeros */
#define START_USED      176
#define START_REWRITTEN 224

void layout_start_put(uint8_t block[LAYOUT_BLOCK], const struct segment_start *s)
{
	memset(block, 0, LAYOUT_BLOCK);
	put_text(block, segment_magic);
	put_u32_le(block + 8, s->rewritten ? LAYOUT_REWRITTEN : LAYOUT_VERSION);
	put_u32_le(block + 12, s->writer_no);
	memcpy(block + 16, s->id.b, 16);
	memcpy(block + 32, s->sign_public, 32);
	memcpy(block + 64, s->audio_public, 32);
	memcpy(block + 96, s->metadata_public, 32);
	memcpy(block + 128, s->retention, 32);
	put_u64_le(block + 160, (uint64_t)s->hour_s);
	put_u64_le(block + 168, (uint64_t)s->created_us);
	if (s->rewritten) {
		memcpy(block + START_USED, s->vault_public, 32);
		put_u64_le(block + 208, (uint64_t)s->rewritten_us);
		put_u64_le(block + 216, s->attested_to);
	}
	put_u32_le(block + CRC_AT, layout_crc(0, block, CRC_AT));
}

static void copy(uint8_t *to, struct bytes *from, size_t len)
{
	const uint8_t *p = bytes_take(from, len);
	if (p)
		memcpy(to, p, len);
	else
		memset(to, 0, len);
}

const char *layout_start_get(struct segment_start *s, const uint8_t *block, size_t len)
{
	memset(s, 0, sizeof *s);
	if (len < LAYOUT_BLOCK)
		return "the segment is shorter than its first block";
	struct bytes b = bytes_over(block, LAYOUT_BLOCK);
	if (memcmp(bytes_take(&b, MAGIC_BYTES), segment_magic, MAGIC_BYTES) != 0)
		return "not a segment";
	uint32_t version = bytes_u32_le(&b);
	if (version != LAYOUT_VERSION && version != LAYOUT_REWRITTEN)
		return "a segment of another version";
	s->writer_no = bytes_u32_le(&b);
	copy(s->id.b, &b, sizeof s->id.b);
	copy(s->sign_public, &b, sizeof s->sign_public);
	copy(s->audio_public, &b, sizeof s->audio_public);
	copy(s->metadata_public, &b, sizeof s->metadata_public);
	copy((uint8_t *)s->retention, &b, sizeof s->retention);
	s->hour_s = (int64_t)bytes_u64_le(&b);
	s->created_us = (int64_t)bytes_u64_le(&b);
	s->rewritten = version == LAYOUT_REWRITTEN;
	if (s->rewritten) {
		copy(s->vault_public, &b, sizeof s->vault_public);
		s->rewritten_us = (int64_t)bytes_u64_le(&b);
		s->attested_to = bytes_u64_le(&b);
	}
	size_t used = s->rewritten ? START_REWRITTEN : START_USED;
	struct bytes end = bytes_over(block + CRC_AT, 4);
	if (bytes_u32_le(&end) != layout_crc(0, block, CRC_AT))
		return "the segment's first block has a wrong CRC";
	if (!all_zero(block + used, CRC_AT - used) || s->retention[sizeof s->retention - 1])
		return "the segment's first block is not well formed";
	return NULL;
}

/* ---- records ------------------------------------------------------------------------------- */

/*     0  length of body   4  type   5  track   6  stream   8  slot   12  CRC32C   16  counter */
void layout_header_put(uint8_t out[RECORD_HEADER], const struct record_header *h)
{
	put_u32_le(out, h->body_len);
	out[4] = h->type;
	out[5] = h->track;
	put_u16_le(out + 6, h->stream);
	put_u32_le(out + 8, h->slot);
	put_u32_le(out + 12, h->crc);
	put_u64_le(out + 16, h->counter);
}

/* The nonce is the record's name within its call: never twice under one key.
 *     0  type   1  track   2  stream   4  counter */
void layout_nonce(uint8_t nonce[12], const struct record_header *h)
{
	nonce[0] = h->type;
	nonce[1] = h->track;
	put_u16_le(nonce + 2, h->stream);
	put_u64_le(nonce + 4, h->counter);
}

static const struct record_kind {
	const char *name;
	uint32_t body_min, body_max;
	bool sealed;
} kinds[] = {
	[RECORD_SLOT] = { "slot", SLOT_BODY, SLOT_BODY, false },
	[RECORD_CHUNK] = { "chunk", RECORD_TAG, SEALED_MAX, true },
	[RECORD_CALL] = { "call", RECORD_TAG, SEALED_MAX, true },
	[RECORD_STREAM] = { "stream", RECORD_TAG, SEALED_MAX, true },
	[RECORD_SIGNALLING] = { "signalling", RECORD_TAG, SEALED_MAX, true },
	[RECORD_ATTEST] = { "attest", ATTEST_BODY, ATTEST_BODY, false },
	[RECORD_PAD] = { "pad", 0, LAYOUT_BLOCK - 1, false },
	[RECORD_FOOTER] = { "footer", FOOTER_HEAD, INT32_MAX - RECORD_HEADER, false },
};

static const struct record_kind *kind_of(unsigned type)
{
	if (type >= sizeof kinds / sizeof kinds[0] || !kinds[type].name)
		return NULL;
	return &kinds[type];
}

bool layout_is_sealed(unsigned type)
{
	const struct record_kind *k = kind_of(type);
	return k && k->sealed;
}

const char *layout_type_name(unsigned type)
{
	const struct record_kind *k = kind_of(type);
	return k ? k->name : "record";
}

static uint32_t record_crc(struct record_header h, const uint8_t *body)
{
	uint8_t header[RECORD_HEADER];

	h.crc = 0;
	layout_header_put(header, &h);
	return layout_crc(layout_crc(0, header, sizeof header), body, h.body_len);
}

void layout_record_finish(uint8_t *record, struct record_header *h)
{
	h->crc = record_crc(*h, record + RECORD_HEADER);
	layout_header_put(record, h);
}

const char *layout_record_get(const uint8_t *file, size_t size, uint64_t offset,
			      struct segment_record *r, struct record_header *h)
{
	if (offset > size)
		return "begins beyond the end of the file";
	struct bytes b = bytes_over(file + offset, size - (size_t)offset);
	h->body_len = bytes_u32_le(&b);
	h->type = bytes_u8(&b);
	h->track = bytes_u8(&b);
	h->stream = bytes_u16_le(&b);
	h->slot = bytes_u32_le(&b);
	h->crc = bytes_u32_le(&b);
	h->counter = bytes_u64_le(&b);
	if (b.failed)
		return "header is cut short";
	const struct record_kind *k = kind_of(h->type);
	if (!k)
		return "has no known type";
	if (h->body_len < k->body_min || h->body_len > k->body_max)
		return "has an impossible length";
	const uint8_t *body = bytes_take(&b, h->body_len);
	if (!body)
		return "is cut short";
	if (h->crc != record_crc(*h, body))
		return "has a wrong CRC";
	*r = (struct segment_record){ .offset = offset,
				      .type = h->type,
				      .track = h->track,
				      .stream = h->stream,
				      .slot = h->slot,
				      .counter = h->counter,
				      .body = body,
				      .body_len = h->body_len };
	return NULL;
}

void layout_cover(struct digest *d, const uint8_t *record, const struct record_header *h)
{
	digest_add(d, record, RECORD_HEADER);
	if (layout_is_sealed(h->type))
		digest_add(d, record + RECORD_HEADER + h->body_len - RECORD_TAG, RECORD_TAG);
	else
		digest_add(d, record + RECORD_HEADER, h->body_len);
}

/* ---- attests ------------------------------------------------------------------------------- */

/*     0  segment id   16  previous   48  covered   80  from   88  records   96  footer
 *     104  signature
 * The signature is of: 16 bytes of domain, the header with crc 0, the first 104 bytes. */
#define ATTEST_SIGNED 104

static void attest_message(uint8_t out[DOMAIN + RECORD_HEADER + ATTEST_SIGNED],
			   const uint8_t record[ATTEST_RECORD])
{
	put_text(out, attest_domain);
	memcpy(out + DOMAIN, record, RECORD_HEADER + ATTEST_SIGNED);
	put_u32_le(out + DOMAIN + 12, 0); /* the CRC covers the signature, so it cannot be signed */
}

void layout_attest_put(uint8_t record[ATTEST_RECORD], const struct attest *a, uint64_t number,
		       const struct sign_pair *sign)
{
	struct record_header h = {
		.body_len = ATTEST_BODY, .type = RECORD_ATTEST, .slot = SLOT_NONE, .counter = number
	};
	uint8_t *body = record + RECORD_HEADER;
	uint8_t message[DOMAIN + RECORD_HEADER + ATTEST_SIGNED];

	layout_header_put(record, &h);
	memcpy(body, a->segment.b, 16);
	memcpy(body + 16, a->previous, 32);
	memcpy(body + 48, a->covered, 32);
	put_u64_le(body + 80, a->from);
	put_u64_le(body + 88, a->records);
	put_u64_le(body + 96, a->footer);
	attest_message(message, record);
	sign_bytes(body + ATTEST_SIGNED, message, sizeof message, sign);
	layout_record_finish(record, &h);
}

void layout_attest_get(struct attest *a, const uint8_t body[ATTEST_BODY])
{
	struct bytes b = bytes_over(body, ATTEST_BODY);

	copy(a->segment.b, &b, sizeof a->segment.b);
	copy(a->previous, &b, sizeof a->previous);
	copy(a->covered, &b, sizeof a->covered);
	a->from = bytes_u64_le(&b);
	a->records = bytes_u64_le(&b);
	a->footer = bytes_u64_le(&b);
}

bool layout_attest_signed(const uint8_t record[ATTEST_RECORD], const uint8_t sign_public[32])
{
	uint8_t message[DOMAIN + RECORD_HEADER + ATTEST_SIGNED];

	attest_message(message, record);
	return sign_verify(record + RECORD_HEADER + ATTEST_SIGNED, message, sizeof message,
			   sign_public);
}

/* ---- footer -------------------------------------------------------------------------------- */

void layout_footer_entry_put(uint8_t out[FOOTER_ENTRY], const struct footer_entry *e)
{
	put_u64_le(out, e->offset);
	put_u32_le(out + 8, e->slot);
	out[12] = e->type;
	out[13] = e->track;
	put_u16_le(out + 14, e->stream);
}

struct footer_entry layout_footer_entry_get(const uint8_t in[FOOTER_ENTRY])
{
	struct bytes b = bytes_over(in, FOOTER_ENTRY);
	struct footer_entry e;

	e.offset = bytes_u64_le(&b);
	e.slot = bytes_u32_le(&b);
	e.type = bytes_u8(&b);
	e.track = bytes_u8(&b);
	e.stream = bytes_u16_le(&b);
	return e;
}

bool layout_footer_put(uint8_t *body, const struct footer_entry *entries, size_t count,
		       uint32_t slots)
{
	/* A counting sort: stable, so each slot's entries stay in order of offset. */
	uint64_t *place = calloc((size_t)slots + 1, sizeof *place);

	if (!place)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (entries[i].slot >= slots) {
			free(place);
			return false;
		}
		place[entries[i].slot + 1]++;
	}
	for (size_t i = 1; i <= slots; i++)
		place[i] += place[i - 1];
	put_u32_le(body, (uint32_t)count);
	put_u32_le(body + 4, slots);
	for (size_t i = 0; i < count; i++)
		layout_footer_entry_put(
			body + FOOTER_HEAD + place[entries[i].slot]++ * FOOTER_ENTRY, &entries[i]);
	free(place);
	return true;
}

/* ---- the slot file's head ------------------------------------------------------------------ */

/*     0  magic   8  version   12  zero   16  segment id   32  attests   40  end   48  newest
 *     80  signature   144  CRC32C of the 144 bytes before   148  zeros
 * All of it lies in one disk sector, which is written whole or not at all. */
#define HEAD_SIGNED 80
#define HEAD_CRC_AT 144

static void head_message(uint8_t out[DOMAIN + HEAD_SIGNED], const uint8_t *block)
{
	put_text(out, head_domain);
	memcpy(out + DOMAIN, block, HEAD_SIGNED);
}

void layout_head_put(uint8_t block[LAYOUT_BLOCK], const struct keys_head *h,
		     const struct sign_pair *sign)
{
	uint8_t message[DOMAIN + HEAD_SIGNED];

	memset(block, 0, LAYOUT_BLOCK);
	put_text(block, keys_magic);
	put_u32_le(block + 8, LAYOUT_VERSION);
	memcpy(block + 16, h->segment.b, 16);
	put_u64_le(block + 32, h->attests);
	put_u64_le(block + 40, h->end);
	memcpy(block + 48, h->newest, 32);
	head_message(message, block);
	sign_bytes(block + HEAD_SIGNED, message, sizeof message, sign);
	put_u32_le(block + HEAD_CRC_AT, layout_crc(0, block, HEAD_CRC_AT));
}

const char *layout_head_get(struct keys_head *h, const uint8_t *block, size_t len)
{
	memset(h, 0, sizeof *h);
	if (len < LAYOUT_BLOCK)
		return "the slot file is shorter than its first block";
	struct bytes b = bytes_over(block, LAYOUT_BLOCK);
	if (memcmp(bytes_take(&b, MAGIC_BYTES), keys_magic, MAGIC_BYTES) != 0)
		return "not a slot file";
	if (bytes_u32_le(&b) != LAYOUT_VERSION)
		return "a slot file of another version";
	uint32_t zero = bytes_u32_le(&b);
	copy(h->segment.b, &b, sizeof h->segment.b);
	h->attests = bytes_u64_le(&b);
	h->end = bytes_u64_le(&b);
	copy(h->newest, &b, sizeof h->newest);
	bytes_skip(&b, 64);
	if (bytes_u32_le(&b) != layout_crc(0, block, HEAD_CRC_AT))
		return "the slot file's head has a wrong CRC";
	if (zero || !all_zero(block + KEYS_HEAD, LAYOUT_BLOCK - KEYS_HEAD))
		return "the slot file's first block is not well formed";
	return NULL;
}

bool layout_head_signed(const uint8_t *block, const uint8_t sign_public[32])
{
	uint8_t message[DOMAIN + HEAD_SIGNED];

	head_message(message, block);
	return sign_verify(block + HEAD_SIGNED, message, sizeof message, sign_public);
}
