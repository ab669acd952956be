/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* segment_read.c: a segment's records, in file order or those of one call.
 *
 * Any thread, one segment each.  Files are mapped read-only: nobody cuts files, and a live one
 * only grows; what is there at segment_open() is what is read.  Every byte may be hostile.
 * Nothing is ever written, and nothing here decides whether a recording is genuine:
 * segment_verify() does.
 *
 * Order of reading matters while a writer works: the slot file's head first, then the segment
 * (which holds all that the head speaks of), then the slots (all that the segment speaks of).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "store/segment.h"

#define HEAD_TRIES 16 /* its writer may be in the middle of those 512 bytes */

/* ---- opening ------------------------------------------------------------------------------- */

/* The name without its folder and ".seg". */
static void set_name(struct segment *s, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *from = slash ? slash + 1 : path;
	size_t len = strlen(from);

	if (len > 4 && strcmp(from + len - 4, ".seg") == 0)
		len -= 4;
	if (len >= sizeof s->name)
		len = sizeof s->name - 1;
	memcpy(s->name, from, len);
	s->name[len] = '\0';
}

/* Map what there is of a file now; an empty one is no bytes. */
static enum rc map_file(int fd, const char *path, const uint8_t **bytes, size_t *size,
			struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_errno(err, RC_FAILED, errno, "cannot look at %s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, RC_DAMAGED, "%s is not a regular file", path);
	*size = (size_t)st.st_size;
	if (*size == 0)
		return RC_OK;
	void *p = mmap(NULL, *size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return error_errno(err, RC_FAILED, errno, "cannot map %s", path);
	*bytes = p;
	return RC_OK;
}

static enum rc judge_starts(struct segment *s, const char *path, struct error *err)
{
	struct keys_head head;
	const char *wrong = layout_start_get(&s->start, s->bytes, s->size);

	if (wrong)
		return error_set(err, RC_DAMAGED, "%s: offset 0: %s", path, wrong);
	wrong = s->keys_size < LAYOUT_BLOCK ? "the slot file is shorter than its first block"
					    : layout_head_get(&head, s->head, sizeof s->head);
	if (wrong)
		return error_set(err, RC_DAMAGED, "%s: offset 0 of the slot file: %s", path, wrong);
	if (!uuid_equal(&head.segment, &s->start.id))
		return error_set(err, RC_DAMAGED,
				 "%s: offset 0 of the slot file: it is another segment's", path);
	return RC_OK;
}

static void read_head(struct segment *s, int keys_fd)
{
	struct keys_head head;

	for (int i = 0; i < HEAD_TRIES; i++) {
		ssize_t n = pread(keys_fd, s->head, sizeof s->head, 0);
		if (n == (ssize_t)sizeof s->head &&
		    !layout_head_get(&head, s->head, sizeof s->head))
			return;
	}
}

/* Nothing there; or a link, socket or device, which no recorder of ours makes. */
static bool never_a_file(int why)
{
	return why == ENOENT || why == ELOOP || why == ENXIO || why == ENODEV;
}

/* The recorder's folder is hostile if the recorder was taken over: links are not followed, and a pipe in place of a file
 * makes nobody wait (map_file refuses it). */
static enum rc open_both(struct segment *s, const char *seg_path, struct error *err)
{
	char path[STORE_PATH];

	s->fd = open(seg_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s->fd < 0)
		return error_errno(err, RC_FAILED, errno, "cannot open %s", seg_path);
	size_t stem = strlen(seg_path);
	if (stem > 4 && strcmp(seg_path + stem - 4, ".seg") == 0)
		stem -= 4;
	if (stem + 6 > sizeof path)
		return error_set(err, RC_FAILED, "the name of the segment is too long");
	(void)snprintf(path, sizeof path, "%.*s.keys", (int)stem, seg_path);
	int keys_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (keys_fd < 0)
		return error_errno(err, never_a_file(errno) ? RC_DAMAGED : RC_FAILED, errno,
				   "cannot open %s", path);
	read_head(s, keys_fd);
	enum rc rc = map_file(s->fd, seg_path, &s->bytes, &s->size, err);
	if (rc == RC_OK)
		rc = map_file(keys_fd, path, &s->keys, &s->keys_size, err);
	(void)close(keys_fd); /* the mapping stays */
	return rc;
}

enum rc segment_open(struct segment **out, const char *seg_path, struct error *err)
{
	struct segment *s = calloc(1, sizeof *s);

	*out = NULL;
	if (!s)
		return error_set(err, RC_FAILED, "not enough memory");
	s->fd = -1;
	set_name(s, seg_path);
	enum rc rc = open_both(s, seg_path, err);
	if (rc == RC_OK)
		rc = judge_starts(s, seg_path, err);
	if (rc != RC_OK) {
		segment_close(s);
		return rc;
	}
	*out = s;
	return RC_OK;
}

enum rc segment_adopt(struct segment **out, const char *name, const uint8_t *seg, size_t seg_len,
		      const uint8_t *keys, size_t keys_len, struct error *err)
{
	struct segment *s = calloc(1, sizeof *s);

	*out = NULL;
	if (!s)
		return error_set(err, RC_FAILED, "not enough memory");
	s->fd = -1;
	set_name(s, name);
	s->bytes = seg;
	s->size = seg_len;
	s->keys = keys;
	s->keys_size = keys_len;
	if (keys_len)
		memcpy(s->head, keys, keys_len < sizeof s->head ? keys_len : sizeof s->head);
	enum rc rc = judge_starts(s, name, err);
	if (rc != RC_OK) {
		segment_close(s);
		return rc;
	}
	*out = s;
	return RC_OK;
}

static void unmap(const uint8_t *bytes, size_t size)
{
	union {
		const uint8_t *from;
		void *to;
	} u = { .from = bytes };

	if (bytes)
		(void)munmap(u.to, size);
}

void segment_close(struct segment *s)
{
	if (!s)
		return;
	if (s->fd >= 0) {
		unmap(s->bytes, s->size);
		unmap(s->keys, s->keys_size);
		(void)close(s->fd);
	}
	reseal_free(&s->reseal);
	free(s);
}

const char *segment_name(const struct segment *s)
{
	return s->name;
}

struct uuid segment_id(const struct segment *s)
{
	return s->start.id;
}

const char *segment_class(const struct segment *s)
{
	return s->start.retention;
}

bool segment_is_rewritten(const struct segment *s)
{
	return s->start.rewritten;
}

bool segment_is_live(const struct segment *s)
{
	if (s->fd < 0)
		return false;
	if (flock(s->fd, LOCK_SH | LOCK_NB) != 0)
		return errno == EWOULDBLOCK;
	(void)flock(s->fd, LOCK_UN);
	return false;
}

/* ---- record after record ------------------------------------------------------------------- */

uint64_t segment_first(const struct segment *s)
{
	(void)s;
	return LAYOUT_BLOCK;
}

static uint64_t record_end(const struct segment_record *r)
{
	return r->offset + RECORD_HEADER + r->body_len;
}

/* The last attest names the footer; after it nothing is the segment's. */
static void note_final(struct segment *s, const struct segment_record *r)
{
	struct attest a;

	if (r->type != RECORD_ATTEST)
		return;
	layout_attest_get(&a, r->body);
	if (a.footer)
		s->final_end = record_end(r);
}

enum rc segment_next(struct segment *s, uint64_t *offset, struct segment_record *r)
{
	struct record_header h;

	if (s->final_end && *offset >= s->final_end)
		return RC_END;
	if (layout_record_get(s->bytes, s->size, *offset, r, &h))
		return RC_END;
	note_final(s, r);
	*offset = record_end(r);
	r->attested = *offset <= s->attested_end;
	return RC_OK;
}

/* ---- one call's records -------------------------------------------------------------------- */

static bool table_sorted(const uint8_t *table, uint32_t count)
{
	struct footer_entry last = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		struct footer_entry e = layout_footer_entry_get(table + (size_t)i * FOOTER_ENTRY);
		if (i && (e.slot < last.slot || (e.slot == last.slot && e.offset <= last.offset)))
			return false;
		last = e;
	}
	return true;
}

/* The footer's table, when the file ends with an attest that names a footer that is in order. */
static void find_table(struct segment *s)
{
	struct segment_record r;
	struct record_header h;
	struct attest a;

	if (s->table_tried)
		return;
	s->table_tried = true;
	if (s->size < LAYOUT_BLOCK + ATTEST_RECORD ||
	    layout_record_get(s->bytes, s->size, s->size - ATTEST_RECORD, &r, &h) ||
	    r.type != RECORD_ATTEST)
		return;
	layout_attest_get(&a, r.body);
	if (!a.footer || layout_record_get(s->bytes, s->size, a.footer, &r, &h) ||
	    r.type != RECORD_FOOTER)
		return;
	struct bytes b = bytes_over(r.body, r.body_len);
	uint32_t count = bytes_u32_le(&b);
	bytes_skip(&b, 4);
	if (bytes_left(&b) != (size_t)count * FOOTER_ENTRY || !table_sorted(b.at, count))
		return;
	s->table = b.at;
	s->table_count = count;
}

/* Index of the first entry of a slot, or of a later slot. */
static uint32_t table_lower(const struct segment *s, uint32_t slot)
{
	uint32_t low = 0, high = s->table_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (layout_footer_entry_get(s->table + (size_t)middle * FOOTER_ENTRY).slot < slot)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* With a table, the cursor is 1 + the index of the next entry. */
static enum rc next_by_table(struct segment *s, uint32_t slot, uint64_t *cursor,
			     struct segment_record *r)
{
	struct record_header h;
	uint64_t i = *cursor ? *cursor - 1 : table_lower(s, slot);

	if (i >= s->table_count)
		return RC_END;
	struct footer_entry e = layout_footer_entry_get(s->table + (size_t)i * FOOTER_ENTRY);
	if (e.slot != slot)
		return RC_END;
	if (layout_record_get(s->bytes, s->size, e.offset, r, &h) || r->slot != slot ||
	    r->type != e.type)
		return RC_DAMAGED;
	r->attested = record_end(r) <= s->attested_end;
	*cursor = i + 2;
	return RC_OK;
}

enum rc segment_call_next(struct segment *s, uint32_t slot, uint64_t *cursor,
			  struct segment_record *r)
{
	find_table(s);
	if (s->table)
		return next_by_table(s, slot, cursor, r);
	if (*cursor == 0)
		*cursor = segment_first(s);
	enum rc rc;
	do
		rc = segment_next(s, cursor, r);
	while (rc == RC_OK && r->slot != slot);
	return rc;
}

bool segment_unseal(const struct segment *s, const struct segment_record *r,
		    const struct call_keys *keys, uint8_t *out)
{
	struct record_header h = { .body_len = r->body_len,
				   .type = (uint8_t)r->type,
				   .track = r->track,
				   .stream = r->stream,
				   .slot = r->slot,
				   .counter = r->counter };
	uint8_t header[RECORD_HEADER], nonce[12];
	bool audio = r->type == RECORD_CHUNK;

	(void)s;
	if (!layout_is_sealed(r->type) || !(audio ? keys->has_audio : keys->has_metadata))
		return false;
	layout_header_put(header, &h);
	layout_nonce(nonce, &h);
	return gcm_open(out, r->body, r->body_len, audio ? keys->audio : keys->metadata, nonce,
			header, sizeof header);
}
