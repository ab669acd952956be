/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* segment_write.c: records into a segment, and the segment onto the disk.  Writer thread only.
 *
 * When the disk refuses (full, failing), the segment is `blocked`: it keeps what it has and
 * every call, stream and slot record that comes, up to HELD_MAX for all segments together, and
 * takes no chunks.  A write that stopped half way goes on at the byte where it stopped, so the
 * file stays well formed.  Nothing here reads a file back.
 */
#include "store/segment_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"

#define BUFFER_BYTES ((size_t)1 << 20)  /* written when this full */
#define BUFFER_FIRST ((size_t)1 << 16)  /* grows to that as needed */
#define HELD_MAX     ((size_t)64 << 20) /* what waits for a full disk, all segments */
#define DIRECT_LEAST ((size_t)1 << 18) /* what is written past the page cache is at least so long */
#define HEAD_SECTOR  512 /* what of block 0 is written again: written whole or not at all */
#define FILE_NAME    (SEGMENT_NAME + 16)

/* ---- trouble ------------------------------------------------------------------------------- */

/* Always false, so that a failing step can end with it. */
static bool refused(struct segment_write *s, bool *flag, const char *step, int errnum)
{
	struct segment_home *home = s->home;

	count(home->counters, COUNT_DISK_ERRORS);
	if (!segment_write_in_trouble(s) && home->troubled++ == 0) {
		char text[128];
		log_error("disk-trouble", "step=%s error=\"%s\" segment=%s", step,
			  strerror_r(errnum, text, sizeof text), s->name);
	}
	*flag = true;
	return false;
}

static void recovered(struct segment_write *s, bool *flag)
{
	struct segment_home *home = s->home;

	if (!*flag)
		return;
	*flag = false;
	if (segment_write_in_trouble(s) || --home->troubled > 0)
		return;
	log_info("disk-trouble-over", "disk-full-chunks=%ju disk-full-records=%ju",
		 (uintmax_t)counter_get(home->counters, COUNT_DISK_FULL_CHUNKS),
		 (uintmax_t)counter_get(home->counters, COUNT_DISK_FULL_RECORDS));
}

static size_t held_bytes(const struct segment_home *home)
{
	size_t sum = 0;

	for (const struct segment_write *s = home->segments; s; s = s->next)
		if (s->blocked)
			sum += s->used + s->slots_used;
	return sum;
}

/* ---- files --------------------------------------------------------------------------------- */

static void timed(const struct segment_write *s, enum work_stage stage, uint64_t began)
{
	if (s->home->work)
		work_done(s->home->work, stage, began, 1);
}

static int sync_data(const struct segment_write *s, int fd)
{
	uint64_t began = work_now();
	int r = fdatasync(fd);
	timed(s, WORK_SYNC, began);
	return r;
}

/* Write at *at, which moves with every byte the kernel takes.  0 or errno. */
static int put_at(struct segment_write *s, int fd, const uint8_t *p, size_t len, uint64_t *at)
{
	while (len) {
		uint64_t began = work_now();
		ssize_t n = pwrite(fd, p, len, (off_t)*at);
		timed(s, WORK_WRITE, began);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		p += n;
		len -= (size_t)n;
		*at += (uint64_t)n;
		count_add(s->home->counters, COUNT_BYTES_WRITTEN, (uint64_t)n);
	}
	return 0;
}

static const char *file_name(char out[FILE_NAME], const struct segment_write *s, const char *suffix)
{
	(void)snprintf(out, FILE_NAME, "%s%s", s->name, suffix);
	return out;
}

static int make_file(const struct segment_write *s, const char *suffix)
{
	char name[FILE_NAME];

	return openat(s->home->dir, file_name(name, s, suffix),
		      O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* 0 or errno. */
static int make_keys(struct segment_write *s)
{
	uint8_t block[LAYOUT_BLOCK];
	uint64_t at = 0;

	s->keys_fd = make_file(s, ".keys");
	if (s->keys_fd < 0)
		return errno;
	layout_head_put(block, &s->head, &s->home->sign);
	int e = put_at(s, s->keys_fd, block, sizeof block, &at);
	if (!e && sync_data(s, s->keys_fd) != 0)
		e = errno;
	return e;
}

/* The segment takes its name when its first block is on the disk and its lock is held: no reader
 * ever sees less. */
static int make_seg(struct segment_write *s)
{
	uint8_t block[LAYOUT_BLOCK];
	char from[FILE_NAME], to[FILE_NAME];
	uint64_t at = 0;

	s->seg_fd = make_file(s, ".seg.new");
	if (s->seg_fd < 0 || flock(s->seg_fd, LOCK_EX | LOCK_NB) != 0)
		return errno;
	layout_start_put(block, &s->start);
	int e = put_at(s, s->seg_fd, block, sizeof block, &at);
	if (e)
		return e;
	if (sync_data(s, s->seg_fd) != 0 ||
	    renameat(s->home->dir, file_name(from, s, ".seg.new"), s->home->dir,
		     file_name(to, s, ".seg")) != 0 ||
	    fsync(s->home->dir) != 0)
		return errno;
	return 0;
}

static void close_files(struct segment_write *s)
{
	if (s->seg_fd >= 0)
		(void)close(s->seg_fd);
	if (s->keys_fd >= 0)
		(void)close(s->keys_fd);
	s->seg_fd = s->keys_fd = -1;
}

static bool make_files(struct segment_write *s)
{
	static const char *const suffixes[] = { ".seg.new", ".seg", ".keys" };
	char name[FILE_NAME];

	int e = make_keys(s);
	if (!e)
		e = make_seg(s);
	if (!e) {
		count(s->home->counters, COUNT_SEGMENTS);
		return true;
	}
	close_files(s);
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
		(void)unlinkat(s->home->dir, file_name(name, s, suffixes[i]), 0);
	return refused(s, &s->blocked, "create", e);
}

/* ---- towards the disk ---------------------------------------------------------------------- */

/* Write whole blocks of the segment past the page cache, where copying them costs as much as sealing them.  A file system
 * that cannot is asked once. */
static int put_direct(struct segment_write *s, const uint8_t *p, size_t len)
{
	int flags = fcntl(s->seg_fd, F_GETFL);

	s->direct = fcntl(s->seg_fd, F_SETFL, flags | O_DIRECT) == 0;
	int e = s->direct ? put_at(s, s->seg_fd, p, len, &s->written) : EINVAL;
	(void)fcntl(s->seg_fd, F_SETFL, flags);
	if (e != EINVAL)
		return e;
	s->direct = false;
	return 0; /* whoever calls goes on through the page cache */
}

/* Write the first `len` bytes of the buffer: what is before the next block and behind the last through the page cache, and
 * so all of it when it is little, for it is soon read again. */
static int put_records(struct segment_write *s, size_t len)
{
	const uint8_t *from = s->buffer + s->skip;
	uint64_t before = s->written;
	size_t head = (size_t)(-before % LAYOUT_BLOCK);
	int e = 0;

	if (s->direct && len >= head + DIRECT_LEAST) {
		e = put_at(s, s->seg_fd, from, head, &s->written);
		if (!e)
			e = put_direct(s, from + head, (len - head) / LAYOUT_BLOCK * LAYOUT_BLOCK);
	}
	size_t done = (size_t)(s->written - before);
	return e ? e : put_at(s, s->seg_fd, from + done, len - done, &s->written);
}

/* Write the records that wait; when the buffer was full, what is behind the last whole block waits on. */
static int drain_records(struct segment_write *s, bool full)
{
	uint64_t before = s->written;
	size_t rest = full ? (size_t)((before + s->used) % LAYOUT_BLOCK) : 0;

	int e = put_records(s, rest < s->used ? s->used - rest : s->used);
	const uint8_t *left = s->buffer + s->skip + (s->written - before);
	s->used -= (size_t)(s->written - before);
	s->skip = (size_t)(s->written % LAYOUT_BLOCK);
	memmove(s->buffer + s->skip, left, s->used);
	return e;
}

static int drain_slots(struct segment_write *s)
{
	uint64_t before = s->keys_written;
	int e = put_at(s, s->keys_fd, s->slots_waiting, s->slots_used, &s->keys_written);
	size_t done = (size_t)(s->keys_written - before);

	s->slots_used -= done;
	if (s->slots_used && done)
		memmove(s->slots_waiting, s->slots_waiting + done, s->slots_used);
	return e;
}

static bool put_slots(struct segment_write *s)
{
	if (s->slots_used) {
		int e = drain_slots(s);
		s->slots_unsynced = true;
		if (e)
			return refused(s, &s->blocked, "write-slots", e);
	}
	if (s->slots_unsynced) {
		if (sync_data(s, s->keys_fd) != 0)
			return refused(s, &s->blocked, "sync-slots", errno);
		s->slots_unsynced = false;
	}
	return true;
}

/* A buffer of `room` bytes, in whose blocks the file's lie. */
static bool rebuffer(struct segment_write *s, size_t room)
{
	uint8_t *buffer = aligned_alloc(LAYOUT_BLOCK, room);

	if (!buffer)
		return false;
	if (s->used)
		memcpy(buffer + s->skip, s->buffer + s->skip, s->used);
	free(s->buffer);
	s->buffer = buffer;
	s->room = room;
	return true;
}

/* A call's slot is durable before any of its records leaves the buffer. */
static bool flush(struct segment_write *s, bool full)
{
	if (s->seg_fd < 0 && !make_files(s))
		return false;
	if (!put_slots(s))
		return false;
	if (s->used) {
		int e = drain_records(s, full);
		s->seg_unsynced = true;
		if (e)
			return refused(s, &s->blocked, "write", e);
	}
	if (s->room > BUFFER_BYTES)
		(void)rebuffer(s, BUFFER_BYTES); /* a full disk, or a footer, made it grow */
	recovered(s, &s->blocked);
	return true;
}

static bool put_head(struct segment_write *s)
{
	uint8_t block[LAYOUT_BLOCK];
	uint64_t at = 0;

	layout_head_put(block, &s->head, &s->home->sign);
	int e = put_at(s, s->keys_fd, block, HEAD_SECTOR, &at);
	if (e)
		return refused(s, &s->sync_failed, "write-head", e);
	s->head_due = false;
	return true;
}

static bool sync_written(struct segment_write *s)
{
	if (!flush(s, false))
		return false;
	if (s->seg_unsynced) {
		if (sync_data(s, s->seg_fd) != 0) {
			s->suspect = true;
			return refused(s, &s->sync_failed, "sync", errno);
		}
		s->seg_unsynced = false;
		count(s->home->counters, COUNT_SYNCS);
	}
	if (s->head_due && !put_head(s))
		return false;
	recovered(s, &s->sync_failed);
	return true;
}

void segment_write_flush(struct segment_write *s)
{
	if (!s->blocked && (s->used || s->slots_used))
		(void)flush(s, false);
}

/* ---- records ------------------------------------------------------------------------------- */

static bool grow(void **p, size_t *room, size_t need, size_t first, size_t each)
{
	size_t n = *room ? *room : first;

	if (need <= *room)
		return true;
	while (n < need)
		n *= 2;
	void *q = realloc(*p, n * each);
	if (!q)
		return false;
	*p = q;
	*room = n;
	return true;
}

/* Room for one record of `bytes`, and for its line in the table. */
static bool make_room(struct segment_write *s, size_t bytes, bool may_wait)
{
	if (!s->blocked && s->used && s->skip + s->used + bytes > BUFFER_BYTES)
		(void)flush(s, true);
	if (s->blocked && (!may_wait || held_bytes(s->home) + bytes > HELD_MAX))
		return false;
	size_t need = s->skip + s->used + bytes, room = s->room ? s->room : BUFFER_FIRST;
	while (room < need)
		room *= 2;
	if (room > s->room && !rebuffer(s, room))
		return false;
	void *table = s->table;
	bool good = grow(&table, &s->table_room, s->table_used + 1, 1024, sizeof *s->table);
	s->table = table;
	return good;
}

static uint8_t *record_place(struct segment_write *s)
{
	return s->buffer + s->skip + s->used;
}

/* The record at record_place(), header but for its CRC, and body, is there: it belongs to the
 * segment now. */
static void append(struct segment_write *s, struct record_header *h)
{
	uint8_t *record = record_place(s);
	size_t bytes = RECORD_HEADER + h->body_len;

	layout_record_finish(record, h);
	layout_cover(s->since, record, h);
	s->records_since++;
	if (h->slot != SLOT_NONE)
		s->table[s->table_used++] = (struct footer_entry){ .offset = s->end,
								   .slot = h->slot,
								   .type = h->type,
								   .track = h->track,
								   .stream = h->stream };
	s->used += bytes;
	s->end += bytes;
}

bool segment_write_slot(struct segment_write *s, const struct uuid *call, int64_t start_us,
			const uint8_t audio[KEY_BYTES], const uint8_t metadata[KEY_BYTES],
			uint32_t *slot)
{
	struct record_header h = { .body_len = SLOT_BODY, .type = RECORD_SLOT, .slot = s->slots };
	void *waiting = s->slots_waiting;

	bool good = make_room(s, RECORD_HEADER + SLOT_BODY + SLOT_BYTES, true) &&
		    grow(&waiting, &s->slots_room, s->slots_used + SLOT_BYTES, 16 * SLOT_BYTES, 1);
	s->slots_waiting = waiting;
	if (!good)
		return false;
	uint8_t *made = s->slots_waiting + s->slots_used;
	uint64_t began = work_now();
	slot_make(made, &s->start, s->slots, call, start_us, audio, metadata);
	timed(s, WORK_SLOT, began);
	s->slots_used += SLOT_BYTES;
	uint8_t *body = record_place(s) + RECORD_HEADER;
	memcpy(body, call->b, 16);
	put_u64_le(body + 16, (uint64_t)start_us);
	digest_sha256(body + 24, made, SLOT_BYTES);
	append(s, &h);
	*slot = s->slots++;
	return true;
}

bool segment_write_sealed(struct segment_write *s, struct record_header h,
			  const uint8_t key[KEY_BYTES], const struct seal_piece *pieces, size_t n)
{
	size_t len = RECORD_TAG;
	uint8_t nonce[12];

	for (size_t i = 0; i < n; i++)
		len += pieces[i].len;
	ASSERT(len <= SEALED_MAX && layout_is_sealed(h.type));
	if (!make_room(s, RECORD_HEADER + len, h.type != RECORD_CHUNK))
		return false;
	h.body_len = (uint32_t)len;
	h.crc = 0;
	uint8_t *record = record_place(s);
	layout_header_put(record, &h);
	layout_nonce(nonce, &h);
	uint64_t began = work_now();
	sealer_seal(s->home->sealer, record + RECORD_HEADER, pieces, n, key, nonce, record,
		    RECORD_HEADER);
	timed(s, WORK_SEAL, began);
	append(s, &h);
	return true;
}

/* ---- attests ------------------------------------------------------------------------------- */

/* Pad, then attest: the attest ends at a multiple of 4096, and covers the pad. */
static bool attest(struct segment_write *s)
{
	size_t after = (size_t)(s->end % LAYOUT_BLOCK) + RECORD_HEADER + ATTEST_RECORD;
	struct record_header pad = { .body_len = (uint32_t)(-after % LAYOUT_BLOCK),
				     .type = RECORD_PAD,
				     .slot = SLOT_NONE };

	if (!make_room(s, RECORD_HEADER + pad.body_len + ATTEST_RECORD, true))
		return false;
	memset(record_place(s) + RECORD_HEADER, 0, pad.body_len);
	append(s, &pad);

	struct attest a = { .segment = s->start.id,
			    .from = s->head.end,
			    .records = s->records_since,
			    .footer = s->footer };
	memcpy(a.previous, s->head.newest, sizeof a.previous);
	digest_take(s->since, a.covered);
	uint8_t *record = record_place(s);
	layout_attest_put(record, &a, s->head.attests, &s->home->sign);
	s->used += ATTEST_RECORD;
	s->end += ATTEST_RECORD;
	s->records_since = 0;
	s->head.attests++;
	s->head.end = s->end;
	digest_sha256(s->head.newest, record, ATTEST_RECORD);
	s->head_due = true;
	return true;
}

void segment_write_sync(struct segment_write *s)
{
	if (s->blocked)
		return;
	if (s->records_since && !attest(s))
		return;
	(void)sync_written(s);
}

void segment_write_retry(struct segment_write *s)
{
	if (flush(s, false) && s->sync_failed)
		(void)sync_written(s);
}

/* ---- from begin to end --------------------------------------------------------------------- */

static void set_name(struct segment_write *s)
{
	char id[UUID_TEXT];
	time_t hour = (time_t)s->start.hour_s;
	struct tm tm;

	ASSERT(gmtime_r(&hour, &tm));
	(void)snprintf(s->name, sizeof s->name, "%04d%02d%02dT%02d-%s-%s",
		       (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
		       tm.tm_hour % 100, s->start.retention, uuid_text(&s->start.id, id));
}

struct segment_write *segment_write_new(struct segment_home *home, const char *retention,
					int64_t hour_s)
{
	struct segment_write *s = calloc(1, sizeof *s);
	uint8_t block[LAYOUT_BLOCK];

	if (!s)
		return NULL;
	s->since = digest_new();
	if (!s->since) {
		free(s);
		return NULL;
	}
	s->home = home;
	s->seg_fd = s->keys_fd = -1;
	s->direct = true;
	s->start.id = uuid_v7(clock_real_ns());
	s->start.writer_no = home->writer_no;
	memcpy(s->start.sign_public, home->sign.public_key, 32);
	memcpy(s->start.audio_public, home->audio_public, 32);
	memcpy(s->start.metadata_public, home->metadata_public, 32);
	(void)snprintf(s->start.retention, sizeof s->start.retention, "%s", retention);
	s->start.hour_s = hour_s;
	s->start.created_us = clock_real_ns() / 1000;
	set_name(s);
	layout_start_put(block, &s->start);
	s->written = s->end = s->keys_written = LAYOUT_BLOCK;
	s->head.segment = s->start.id;
	s->head.end = LAYOUT_BLOCK;
	digest_sha256(s->head.newest, block, sizeof block);
	s->next = home->segments;
	home->segments = s;
	home->segments_count++;
	(void)make_files(s);
	return s;
}

void segment_write_free(struct segment_write *s)
{
	struct segment_write **at = &s->home->segments;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->home->segments_count--;
	if (segment_write_in_trouble(s))
		s->home->troubled--;
	close_files(s);
	digest_free(s->since);
	free(s->buffer);
	free(s->slots_waiting);
	free(s->table);
	free(s);
}

static bool put_footer(struct segment_write *s)
{
	struct record_header h = { .type = RECORD_FOOTER, .slot = SLOT_NONE };
	size_t len = FOOTER_HEAD + s->table_used * FOOTER_ENTRY;

	ASSERT(len <= INT32_MAX - RECORD_HEADER);
	h.body_len = (uint32_t)len;
	if (!make_room(s, RECORD_HEADER + len, true) ||
	    !layout_footer_put(record_place(s) + RECORD_HEADER, s->table, s->table_used, s->slots))
		return false;
	s->footer = s->end;
	append(s, &h);
	return true;
}

bool segment_write_close(struct segment_write *s)
{
	if (s->blocked && !flush(s, false))
		return false;
	if (!s->footer && !put_footer(s))
		return false;
	if (s->records_since && !attest(s))
		return false;
	if (!sync_written(s))
		return false;
	if (sync_data(s, s->keys_fd) != 0)
		return refused(s, &s->sync_failed, "sync-head", errno);
	recovered(s, &s->sync_failed);
	segment_write_free(s);
	return true;
}
