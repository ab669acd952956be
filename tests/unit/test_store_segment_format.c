/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_store_segment_format.c: the bytes of docs/segment-format.md, made by this code.  Every
 * vector below stands in that document too, and the test looks for it there: neither can change
 * alone.
 */
#include "store_help.h"

#include <ctype.h>

#include "base/bytes.h"
#include "store/segment.h"
#include "store_vectors.h"

#define DOCUMENT "docs/segment-format.md"

static const char segment_uuid[] = "019d2f5a-1c00-7abc-8def-0123456789ab";
static const char call_uuid[] = "019d2f5a-1c01-7000-8000-00000000002a";

static void unhex(uint8_t *out, const char *hex)
{
	for (; *hex; hex += 2)
		assert_int_equal(sscanf(hex, "%2hhx", out++), 1);
}

static char *document; /* without white space and back quotes */

static int read_document(void **state)
{
	size_t len, n = 0;
	uint8_t *text = read_file(DOCUMENT, &len);

	(void)state;
	document = malloc(len + 1);
	assert_non_null(document);
	for (size_t i = 0; i < len; i++)
		if (!isspace(text[i]) && text[i] != '`')
			document[n++] = (char)text[i];
	document[n] = '\0';
	free(text);
	return 0;
}

static int drop_document(void **state)
{
	(void)state;
	free(document);
	return 0;
}

/* These bytes are the vector, and the document says so. */
static void assert_vector(const char *name, const uint8_t *bytes, size_t len, const char *vector)
{
	char *hex = malloc(2 * len + 1);

	assert_non_null(hex);
	for (size_t i = 0; i < len; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	if (strcmp(hex, vector) != 0)
		fail_msg("%s is %s", name, hex);
	if (!strstr(document, vector))
		fail_msg("%s is not in " DOCUMENT, name);
	free(hex);
}

static struct sign_pair signer(void)
{
	struct sign_pair p;

	unhex(p.secret_key, VECTOR_SIGN_SEED VECTOR_SIGN_PUBLIC);
	unhex(p.public_key, VECTOR_SIGN_PUBLIC);
	return p;
}

static struct segment_start start_of(void)
{
	struct segment_start s = { .writer_no = 7,
				   .retention = "30-day",
				   .hour_s = 1772532000,
				   .created_us = 1772532000250000 };

	assert_true(uuid_parse(&s.id, segment_uuid));
	unhex(s.sign_public, VECTOR_SIGN_PUBLIC);
	unhex(s.audio_public, VECTOR_AUDIO_PUBLIC);
	unhex(s.metadata_public, VECTOR_METADATA_PUBLIC);
	return s;
}

static void crc32c_is_castagnolis(void **state)
{
	uint8_t crc[4];

	(void)state;
	put_u32_le(crc, layout_crc(0, (const uint8_t *)"123456789", 9));
	assert_vector("CRC32C", crc, sizeof crc, VECTOR_CRC);
	put_u32_le(crc, layout_crc(layout_crc(0, (const uint8_t *)"1234", 4),
				   (const uint8_t *)"56789", 5));
	assert_vector("CRC32C in two pieces", crc, sizeof crc, VECTOR_CRC);
}

static void block_0_is_laid_out_as_written(void **state)
{
	struct segment_start s = start_of(), back;
	uint8_t block[LAYOUT_BLOCK], hash[32];

	(void)state;
	layout_start_put(block, &s);
	assert_vector("block 0", block, 176, VECTOR_START);
	assert_vector("CRC of block 0", block + 4092, 4, VECTOR_START_CRC);
	digest_sha256(hash, block, sizeof block);
	assert_vector("hash of block 0", hash, sizeof hash, VECTOR_START_HASH);
	assert_null(layout_start_get(&back, block, sizeof block));
	assert_memory_equal(&s, &back, sizeof s);
}

static void a_chunk_record_is_sealed_as_written(void **state)
{
	struct record_header h = {
		.type = RECORD_CHUNK, .track = 1, .stream = 2, .slot = 3, .counter = 4
	};
	uint8_t key[32], body[64], record[128], nonce[12];
	struct segment_record r;
	size_t len = sizeof VECTOR_CHUNK_BODY / 2;
	struct sealer *s = sealer_new();

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		key[i] = (uint8_t)i;
	unhex(body, VECTOR_CHUNK_BODY);
	assert_vector("chunk body", body, len, VECTOR_CHUNK_BODY);
	h.body_len = (uint32_t)len + RECORD_TAG;
	layout_header_put(record, &h);
	assert_vector("authenticated header", record, RECORD_HEADER, VECTOR_CHUNK_AAD);
	layout_nonce(nonce, &h);
	assert_vector("nonce", nonce, sizeof nonce, VECTOR_CHUNK_NONCE);
	sealer_seal(s, record + RECORD_HEADER, &(struct seal_piece){ body, len }, 1, key, nonce,
		    record, RECORD_HEADER);
	layout_record_finish(record, &h);
	assert_vector("chunk record", record, RECORD_HEADER + len + RECORD_TAG,
		      VECTOR_CHUNK_RECORD);
	assert_null(layout_record_get(record, RECORD_HEADER + len + RECORD_TAG, 0, &r, &h));
	sealer_free(s);
}

static void a_slot_opens_as_written(void **state)
{
	struct segment_start start = start_of();
	struct keys_head head = { .segment = start.id };
	struct sign_pair sign = signer();
	struct seal_pair audio, metadata;
	uint8_t seg[LAYOUT_BLOCK], keys[LAYOUT_BLOCK + SLOT_BYTES], hash[32];
	struct segment *s;
	struct call_keys opened;
	struct error err;
	struct slot slot;
	char id[UUID_TEXT];

	(void)state;
	unhex(audio.public_key, VECTOR_AUDIO_PUBLIC);
	unhex(audio.secret_key, VECTOR_AUDIO_SECRET);
	unhex(metadata.public_key, VECTOR_METADATA_PUBLIC);
	unhex(metadata.secret_key, VECTOR_METADATA_SECRET);
	layout_start_put(seg, &start);
	layout_head_put(keys, &head, &sign);
	unhex(keys + LAYOUT_BLOCK, VECTOR_SLOT);
	assert_vector("slot", keys + LAYOUT_BLOCK, SLOT_BYTES, VECTOR_SLOT);
	digest_sha256(hash, keys + LAYOUT_BLOCK, SLOT_BYTES);
	assert_vector("hash of the slot", hash, sizeof hash, VECTOR_SLOT_HASH);
	assert_int_equal(segment_adopt(&s, "v", seg, sizeof seg, keys, sizeof keys, &err), RC_OK);
	assert_int_equal(segment_slot(s, 0, &slot, &err), RC_OK);
	assert_string_equal(uuid_text(&slot.call, id), call_uuid);
	assert_int_equal(slot.start_us, 1772532001000000);
	assert_int_equal(segment_keys(s, 0, &audio, &metadata, &opened, &err), RC_OK);
	for (unsigned i = 0; i < 32; i++) {
		assert_int_equal(opened.audio[i], i);
		assert_int_equal(opened.metadata[i], 0x80 + i);
	}
	segment_close(s);
}

static void attests_and_heads_are_signed_as_written(void **state)
{
	struct segment_start start = start_of();
	struct sign_pair sign = signer();
	struct attest a = { .segment = start.id, .from = 4096, .records = 5, .footer = 0 };
	struct keys_head head = { .segment = start.id, .attests = 1, .end = 8192 };
	uint8_t record[ATTEST_RECORD], block[LAYOUT_BLOCK];

	(void)state;
	unhex(a.previous, VECTOR_START_HASH);
	memset(a.covered, 0xc0, sizeof a.covered);
	layout_attest_put(record, &a, 0, &sign);
	assert_vector("attest", record, sizeof record, VECTOR_ATTEST);
	assert_true(layout_attest_signed(record, sign.public_key));
	digest_sha256(head.newest, record, sizeof record);
	assert_vector("hash of the attest", head.newest, 32, VECTOR_ATTEST_HASH);
	layout_head_put(block, &head, &sign);
	assert_vector("head", block, KEYS_HEAD, VECTOR_HEAD);
	assert_true(layout_head_signed(block, sign.public_key));
}

static void a_footer_is_sorted_by_slot(void **state)
{
	const struct footer_entry entries[] = {
		{ 4096, 0, RECORD_SLOT, 0, 0 },
		{ 4176, 1, RECORD_SLOT, 0, 0 },
		{ 4256, 0, RECORD_CHUNK, 1, 2 },
	};
	uint8_t body[FOOTER_HEAD + 3 * FOOTER_ENTRY];

	(void)state;
	assert_true(layout_footer_put(body, entries, 3, 2));
	assert_vector("footer", body, sizeof body, VECTOR_FOOTER);
	assert_false(layout_footer_put(body, entries, 3, 1));
}

static void a_destroyed_slot_is_the_documents_pattern(void **state)
{
	uint8_t slot[SLOT_BYTES];

	(void)state;
	for (int i = 0; i < SLOT_BYTES; i += 32)
		memcpy(slot + i, "callspan: this key is destroyed\n", 32);
	assert_true(slot_is_destroyed(slot));
	assert_non_null(strstr(document, "callspan:thiskeyisdestroyed\\n"));
	slot[255] ^= 1;
	assert_false(slot_is_destroyed(slot));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c_is_castagnolis),
		cmocka_unit_test(block_0_is_laid_out_as_written),
		cmocka_unit_test(a_chunk_record_is_sealed_as_written),
		cmocka_unit_test(a_slot_opens_as_written),
		cmocka_unit_test(attests_and_heads_are_signed_as_written),
		cmocka_unit_test(a_footer_is_sorted_by_slot),
		cmocka_unit_test(a_destroyed_slot_is_the_documents_pattern),
	};
	return cmocka_run_group_tests(tests, read_document, drop_document);
}
