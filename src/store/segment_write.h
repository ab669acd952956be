/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* segment_write.h: one segment being written, and what all segments of a writer share.
 *
 * Everything runs on the writer's thread, the only one that ever waits for the disk.  A
 * segment_write takes records in the order in which they shall stand, keeps them in a buffer and
 * brings them to the disk; it knows neither keys' owners nor time.
 *
 *   slot ───┐                          flush: slots to .keys, fdatasync; buffer to .seg
 *   sealed ─┼─► buffer, digest, table
 *   attest ─┘                          sync: attest; flush; fdatasync .seg; head to .keys
 */
#ifndef CALLSPAN_STORE_SEGMENT_WRITE_H
#define CALLSPAN_STORE_SEGMENT_WRITE_H

#include "base/work.h"
#include "store/segment.h"

struct segment_write;

/* What the segments of one writer share.  The writer fills the first part; the rest is kept
 * here. */
struct segment_home {
	int dir; /* descriptor of STORE/recorder, the writer's */
	unsigned writer_no;
	struct sign_pair sign;
	uint8_t audio_public[32], metadata_public[32];
	struct sealer *sealer;     /* borrowed */
	struct counters *counters; /* borrowed */
	struct work *work;         /* borrowed; NULL: not timed */

	struct segment_write *segments; /* all that are open, newest first */
	unsigned segments_count;
	unsigned troubled; /* those that could not be written or synced */
};

struct segment_write {
	/* For the writer to read; it counts `calls`. */
	struct segment_write *next;
	struct segment_start start;
	char name[SEGMENT_NAME];
	uint64_t end;     /* bytes, with what still waits */
	uint32_t calls;   /* that still write here */
	bool blocked;     /* a write failed: chunks are not taken */
	bool sync_failed; /* the last sync failed */
	bool suspect; /* one has failed: what the kernel took may be lost, no new call comes here */

	struct segment_home *home;
	int seg_fd, keys_fd; /* owned; -1: not made yet */
	/* Owned: the file from `written` to `end`.  buffer[skip] is the byte at `written`, and skip = written % LAYOUT_BLOCK, so that
	 * the blocks of the file lie as O_DIRECT wants them. */
	uint8_t *buffer;
	size_t skip, used, room;
	uint64_t written;  /* bytes the kernel has taken */
	bool direct;       /* the file system may take blocks past the page cache */
	bool seg_unsynced; /* some of them not synced */

	uint8_t *slots_waiting; /* owned: not yet in the slot file */
	size_t slots_used, slots_room;
	uint64_t keys_written;
	bool slots_unsynced;
	uint32_t slots; /* slots made */

	struct footer_entry *table; /* owned: records for the footer, in order of offset */
	size_t table_used, table_room;

	struct digest *since; /* owned: over what came since the newest attest */
	uint64_t records_since;
	struct keys_head head; /* as the next head to write says: the newest attest */
	bool head_due;         /* it is not in the slot file yet */
	uint64_t footer;       /* where it is; 0: none yet */
};

/* A new segment, first of the home's list.  Its files are made at once or, when the disk
 * refuses, later.  NULL: memory is short. */
struct segment_write *segment_write_new(struct segment_home *home, const char *retention,
					int64_t hour_s);

/* Make a slot for these keys and note it.  False when it cannot be kept now. */
bool segment_write_slot(struct segment_write *s, const struct uuid *call, int64_t start_us,
			const uint8_t audio[KEY_BYTES], const uint8_t metadata[KEY_BYTES],
			uint32_t *slot);

/* Seal pieces as one record: h names type, track, stream, slot and counter.  Chunks are not
 * taken while the disk refuses; other records wait in memory, up to a limit.  False: not
 * taken. */
bool segment_write_sealed(struct segment_write *s, struct record_header h,
			  const uint8_t key[KEY_BYTES], const struct seal_piece *pieces, size_t n);

/* Bring what waits to the kernel (new slots to the disk before).  Does nothing while the disk
 * refuses. */
void segment_write_flush(struct segment_write *s);
/* Attest what came since the last time, and bring everything to the disk.  Does nothing when
 * there is nothing, or while the disk refuses. */
void segment_write_sync(struct segment_write *s);
/* Try again what the disk refused. */
void segment_write_retry(struct segment_write *s);
/* Footer, last attest, sync.  True: all of it is on the disk and `s` is freed.  False: try again
 * later. */
bool segment_write_close(struct segment_write *s);
/* Free it as it is, written or not. */
void segment_write_free(struct segment_write *s);

static inline bool segment_write_in_trouble(const struct segment_write *s)
{
	return s->blocked || s->sync_failed;
}

#endif
