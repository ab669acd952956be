/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* segment.h: how segments and their slot files are laid out, for the files of src/store that
 * write, read and verify them.  docs/segment-format.md draws the same in words.
 *
 *   NAME.seg    0        4096                                                           n * 4096
 *               | block 0 | record | record | ... | pad | attest | record | ... | pad | attest |
 *   NAME.keys   0        4096     4352
 *               | head    | slot 0 | slot 1 | ...
 *
 * All integers are little-endian.  layout_*() turn bytes into structs and back and judge nothing
 * but form; they own nothing, allocate nothing and run on any thread.
 */
#ifndef CALLSPAN_STORE_SEGMENT_H
#define CALLSPAN_STORE_SEGMENT_H

#include "store/seal.h"
#include "store/store.h"

#define LAYOUT_BLOCK     4096
#define LAYOUT_VERSION   1
#define LAYOUT_REWRITTEN 2  /* version of a segment that the vault has written anew */
#define SEGMENT_NAME     96 /* YYYYMMDDTHH-CLASS-SEGMENTID: at most 11 + 1 + 31 + 1 + 36, and zero */

/* ---- block 0 of the segment ---------------------------------------------------------------- */

struct segment_start {
	struct uuid id;
	uint32_t writer_no;
	uint8_t sign_public[32];  /* the recorder's */
	uint8_t audio_public[32]; /* what the slots' boxes are sealed to */
	uint8_t metadata_public[32];
	char retention[32]; /* class */
	int64_t hour_s;     /* Unix seconds at which the hour begins */
	int64_t created_us; /* wall clock, Unix microseconds */

	bool rewritten;           /* by the vault, without the calls that were destroyed; then: */
	uint8_t vault_public[32]; /* signs the attest and the slot file's head */
	int64_t rewritten_us;
	uint64_t attested_to; /* the recorder had attested the records before this offset */
};

void layout_start_put(uint8_t block[LAYOUT_BLOCK], const struct segment_start *s);
/* NULL, or what is wrong. */
const char *layout_start_get(struct segment_start *s, const uint8_t *block, size_t len);

/* ---- records ------------------------------------------------------------------------------- */

#define RECORD_HEADER 24
#define RECORD_TAG    16        /* of AES-256-GCM, the last bytes of a sealed body */
#define SEALED_MAX    (1 << 20) /* bytes of a sealed body */
#define SLOT_NONE     UINT32_MAX
#define SLOT_BODY     56  /* call id, start, SHA-256 of the slot */
#define ATTEST_BODY   168 /* as drawn at layout_attest_put() */
#define ATTEST_RECORD (RECORD_HEADER + ATTEST_BODY)
#define FOOTER_HEAD   8 /* number of entries, number of slots */
#define FOOTER_ENTRY  16

struct record_header {
	uint32_t body_len;
	uint8_t type; /* enum record_type */
	uint8_t track;
	uint16_t stream;
	uint32_t slot;
	uint32_t crc; /* CRC32C of the header with this 0, then the body */
	uint64_t counter;
};

/* Write the header, with the CRC it carries (put it with crc 0 to authenticate or to compute). */
void layout_header_put(uint8_t out[RECORD_HEADER], const struct record_header *h);
/* CRC32C (Castagnoli, as in iSCSI) of the bytes; `before` is that of the bytes before them, 0 at
 * the start. */
uint32_t layout_crc(uint32_t before, const uint8_t *p, size_t len);
/* Fill in the CRC of a record that lies whole in memory. */
void layout_record_finish(uint8_t *record, struct record_header *h);
void layout_nonce(uint8_t nonce[12], const struct record_header *h);
bool layout_is_sealed(unsigned type);
/* "chunk", "attest", ...; "record" for a type that is none. */
const char *layout_type_name(unsigned type);

/* Read the record at `offset` of `size` bytes.  NULL when it is whole; else what is wrong with
 * it. */
const char *layout_record_get(const uint8_t *file, size_t size, uint64_t offset,
			      struct segment_record *r, struct record_header *h);

/* What an attest signs of a record that lies whole in memory: the header, then the tag of a
 * sealed body or all of a plain one. */
void layout_cover(struct digest *d, const uint8_t *record, const struct record_header *h);

struct attest {
	struct uuid segment;
	uint8_t previous[32]; /* SHA-256 of the attest record before; of block 0 for the first */
	uint8_t covered[32];  /* SHA-256 of what layout_cover() takes of each record since */
	uint64_t from;        /* offset of the first of these */
	uint64_t records;     /* how many */
	uint64_t footer;      /* offset of the footer in the last attest, else 0 */
};
/* Makes the whole record, signed. */
void layout_attest_put(uint8_t record[ATTEST_RECORD], const struct attest *a, uint64_t number,
		       const struct sign_pair *sign);
void layout_attest_get(struct attest *a, const uint8_t body[ATTEST_BODY]);
bool layout_attest_signed(const uint8_t record[ATTEST_RECORD], const uint8_t sign_public[32]);

struct footer_entry {
	uint64_t offset;
	uint32_t slot;
	uint8_t type, track;
	uint16_t stream;
};
void layout_footer_entry_put(uint8_t out[FOOTER_ENTRY], const struct footer_entry *e);
struct footer_entry layout_footer_entry_get(const uint8_t in[FOOTER_ENTRY]);
/* Writes the footer's body (FOOTER_HEAD + count * FOOTER_ENTRY bytes): `entries`, given in order
 * of offset, sorted by slot. False: no memory, or an entry names a slot that is not there. */
bool layout_footer_put(uint8_t *body, const struct footer_entry *entries, size_t count,
		       uint32_t slots);

/* ---- the slot file ------------------------------------------------------------------------- */

#define KEYS_HEAD 148 /* bytes of block 0 in use */

/* What was newest and whole after the last sync. */
struct keys_head {
	struct uuid segment;
	uint64_t attests; /* how many; 0: none yet */
	uint64_t end;     /* offset after the newest; 4096 when none */
	uint8_t newest
		[32]; /* SHA-256 of the newest attest record; of the segment's block 0 when none */
};
void layout_head_put(uint8_t block[LAYOUT_BLOCK], const struct keys_head *h,
		     const struct sign_pair *sign);
/* NULL, or what is wrong. */
const char *layout_head_get(struct keys_head *h, const uint8_t *block, size_t len);
bool layout_head_signed(const uint8_t *block, const uint8_t sign_public[32]);

#define SLOT_BOX (KEY_BYTES + 36 + SEAL_OVERHEAD)
_Static_assert(SLOTS_AT == LAYOUT_BLOCK, "slots begin behind the first block");
_Static_assert(SLOT_METADATA_AT == SLOT_AUDIO_AT + SLOT_BOX &&
		       SLOT_METADATA_AT + SLOT_BOX == SLOT_BYTES,
	       "a slot is call id, start and two boxes");

/* slot.c: a slot, sealed to both public keys of the segment. */
void slot_make(uint8_t out[SLOT_BYTES], const struct segment_start *segment, uint32_t number,
	       const struct uuid *call, int64_t start_us, const uint8_t audio[KEY_BYTES],
	       const uint8_t metadata[KEY_BYTES]);
/* One box of a slot, sealed to another key.  False: `pair` does not open it, or not as this place's. */
bool slot_reseal(uint8_t slot[SLOT_BYTES], const struct uuid *segment, uint32_t number,
		 bool metadata, const struct seal_pair *pair, const uint8_t public_key[32]);
/* Path of the slot file, or of what else lies beside NAME.seg. */
enum rc slot_path(char out[STORE_PATH], const char *seg_path, const char *ending,
		  struct error *err) MUST_USE;

/* ---- slots sealed anew (reseal.c) --------------------------------------------------------------- */

#define RESEAL_HEAD  32
#define RESEAL_ENTRY 96
struct reseal_table {
	const uint8_t *entries; /* owned, a file's bytes; NULL: there is none */
	uint32_t count;
	const char *wrong; /* there is one, and it is not to be believed; NULL */
};
/* Is this slot what the vault made of the one with the hash `attested`? */
bool reseal_accepts(const struct reseal_table *t, uint32_t slot, const uint8_t attested[32],
		    const uint8_t hash[32]);
void reseal_free(struct reseal_table *t);

/* ---- a segment being read ------------------------------------------------------------------ */

struct segment {
	char name[SEGMENT_NAME];
	int fd;               /* owned; -1 when read from memory */
	const uint8_t *bytes; /* owned mapping, or borrowed memory */
	const uint8_t *keys;  /* the same of the slot file */
	size_t size, keys_size;
	uint8_t head[LAYOUT_BLOCK]; /* block 0 of the slot file, read before anything else */
	struct segment_start start;
	uint64_t final_end;    /* end of the last attest (which names the footer); 0 until seen */
	uint64_t attested_end; /* by segment_verify() */
	bool table_tried;
	struct reseal_table reseal;
	const uint8_t *table; /* entries of the footer, once found good; NULL: there is none */
	uint32_t table_count;
};

/* Read a segment from memory (borrowed) as segment_open() does from files. */
enum rc segment_adopt(struct segment **out, const char *name, const uint8_t *seg, size_t seg_len,
		      const uint8_t *keys, size_t keys_len, struct error *err) MUST_USE;

#endif
