/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* segment_rewrite.c: a segment written anew without the calls that were destroyed, so that their space comes back.
 *
 *   NAME.seg.new   | block 0, version 2 | slot records of all, records of the living, byte for byte | footer | pad | attest |
 *
 * Slot numbers stay, so NAME.keys stays; only its head is written again, for it names the last attest.  The vault signs what it
 * wrote; block 0 says that it did, and up to where the recorder had attested.
 *
 * Two files change and no file system changes two at once.  So the new segment is whole and on the disk under another name
 * first; segment_rewrite_finish() then does the rest, as often as it is called: head, then name.  Whoever calls must remember
 * in between that it is to be called again, for the head may speak of the new segment while the old one still has the name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/whole.h"
#include "store/segment.h"

#define BUFFER      ((size_t)1 << 20)
#define HEAD_SECTOR 512 /* what of block 0 is written again: written whole or not at all */

struct writing {
	int fd;
	char path[STORE_PATH];
	size_t used;  /* of the buffer */
	uint64_t end; /* bytes, with what lies in the buffer */
	struct digest *since;
	uint64_t records;
	struct footer_entry *table; /* owned */
	size_t table_used, table_room;
	struct segment_rewritten *out;
	struct error *err;
	uint8_t buffer[BUFFER];
};

static enum rc new_path(char out[STORE_PATH], const char *seg_path, struct error *err)
{
	int n = snprintf(out, STORE_PATH, "%s.new", seg_path);

	return n > 0 && n < STORE_PATH
		       ? RC_OK
		       : error_set(err, RC_FAILED, "the name of the segment is too long");
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum rc write_all(struct writing *w, const uint8_t *p, size_t len)
{
	return whole_write(w->fd, p, len) ? RC_OK
					  : error_errno(w->err, RC_FAILED, errno, "%s", w->path);
}

static enum rc put(struct writing *w, const uint8_t *p, size_t len)
{
	enum rc rc = RC_OK;

	if (w->used + len > BUFFER) {
		rc = write_all(w, w->buffer, w->used);
		w->used = 0;
	}
	if (rc == RC_OK && len > BUFFER)
		rc = write_all(w, p, len);
	else if (rc == RC_OK && len) {
		memcpy(w->buffer + w->used, p, len);
		w->used += len;
	}
	w->end += len;
	return rc;
}

/* A record that lies whole in memory. */
static enum rc put_record(struct writing *w, const uint8_t *record, const struct record_header *h)
{
	layout_cover(w->since, record, h);
	w->records++;
	return put(w, record, RECORD_HEADER + (size_t)h->body_len);
}

static void note(struct writing *w, const struct segment_record *r)
{
	if (w->table_used == w->table_room) {
		size_t room = w->table_room ? 2 * w->table_room : 1024;
		struct footer_entry *table = realloc(w->table, room * sizeof *table);
		ASSERT(table);
		w->table = table;
		w->table_room = room;
	}
	w->table[w->table_used++] = (struct footer_entry){ .offset = w->end,
							   .slot = r->slot,
							   .type = (uint8_t)r->type,
							   .track = r->track,
							   .stream = r->stream };
	if (!w->out->first[r->slot])
		w->out->first[r->slot] = w->end;
	w->out->last[r->slot] = w->end;
}

/* ---- what stays ---------------------------------------------------------------------------- */

static bool stays(const struct segment *s, const struct segment_record *r)
{
	if (r->type < RECORD_SLOT || r->type > RECORD_SIGNALLING)
		return false;
	return r->type == RECORD_SLOT ||
	       !slot_is_destroyed(s->keys + LAYOUT_BLOCK + (size_t)r->slot * SLOT_BYTES);
}

/* *attested_to: where those end, in the new file, that the recorder had attested. */
static enum rc put_living(struct writing *w, struct segment *s, uint64_t *attested_to)
{
	struct segment_record r;
	struct record_header h;
	uint64_t at = segment_first(s);
	enum rc rc = RC_OK;

	*attested_to = UINT64_MAX;
	while (rc == RC_OK && segment_next(s, &at, &r) == RC_OK) {
		if (r.type == RECORD_SLOT)
			w->out->slots = r.slot + 1;
		if (!stays(s, &r))
			continue;
		if (!r.attested && *attested_to == UINT64_MAX)
			*attested_to = w->end;
		note(w, &r);
		if (layout_record_get(s->bytes, s->size, r.offset, &r, &h))
			return error_set(w->err, RC_DAMAGED, "%s changes while it is read",
					 s->name);
		rc = put_record(w, s->bytes + r.offset, &h);
	}
	return rc;
}

static enum rc put_footer(struct writing *w)
{
	struct record_header h = { .type = RECORD_FOOTER, .slot = SLOT_NONE };
	size_t len = FOOTER_HEAD + w->table_used * FOOTER_ENTRY;

	ASSERT(len <= INT32_MAX - RECORD_HEADER);
	uint8_t *record = malloc(RECORD_HEADER + len);
	h.body_len = (uint32_t)len;
	if (!record ||
	    !layout_footer_put(record + RECORD_HEADER, w->table, w->table_used, w->out->slots)) {
		free(record);
		return error_set(w->err, RC_FAILED, "not enough memory to rewrite a segment");
	}
	layout_record_finish(record, &h);
	enum rc rc = put_record(w, record, &h);
	free(record);
	return rc;
}

/* Pad, then the one attest, over everything. */
static enum rc put_attest(struct writing *w, const struct segment_start *start, uint64_t footer,
			  const uint8_t block[LAYOUT_BLOCK], const struct sign_pair *sign)
{
	uint8_t pad[RECORD_HEADER + LAYOUT_BLOCK] = { 0 }, record[ATTEST_RECORD];
	size_t after = (size_t)(w->end % LAYOUT_BLOCK) + RECORD_HEADER + ATTEST_RECORD;
	struct record_header h = { .body_len = (uint32_t)(-after % LAYOUT_BLOCK),
				   .type = RECORD_PAD,
				   .slot = SLOT_NONE };

	layout_record_finish(pad, &h);
	enum rc rc = put_record(w, pad, &h);
	struct attest a = {
		.segment = start->id, .from = LAYOUT_BLOCK, .records = w->records, .footer = footer
	};
	digest_sha256(a.previous, block, LAYOUT_BLOCK);
	digest_take(w->since, a.covered);
	layout_attest_put(record, &a, 0, sign);
	digest_sha256(w->out->last_attest, record + RECORD_HEADER, ATTEST_BODY);
	return rc == RC_OK ? put(w, record, sizeof record) : rc;
}

/* Block 0 says up to where the recorder had attested, which is known at the end: it is written again before anything is
 * synced. */
static enum rc write_segment(struct writing *w, struct segment *s, struct segment_start *start,
			     const struct sign_pair *sign)
{
	uint8_t block[LAYOUT_BLOCK] = { 0 };

	enum rc rc = put(w, block, sizeof block);
	if (rc == RC_OK)
		rc = put_living(w, s, &start->attested_to);
	uint64_t footer = w->end;
	if (rc == RC_OK)
		rc = put_footer(w);
	layout_start_put(block, start);
	if (rc == RC_OK)
		rc = put_attest(w, start, footer, block, sign);
	if (rc == RC_OK)
		rc = write_all(w, w->buffer, w->used);
	if (rc == RC_OK &&
	    (pwrite(w->fd, block, sizeof block, 0) != (ssize_t)sizeof block || fsync(w->fd) != 0))
		rc = error_errno(w->err, RC_FAILED, errno, "%s", w->path);
	w->out->bytes = w->end;
	w->out->records = w->records + 1;
	return rc;
}

static enum rc write_new(struct writing *w, struct segment *s, const struct sign_pair *sign,
			 int64_t now_us)
{
	struct segment_start start = s->start;

	start.rewritten = true;
	start.rewritten_us = now_us;
	memcpy(start.vault_public, sign->public_key, 32);
	(void)unlink(w->path);
	w->fd = open(w->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (w->fd < 0)
		return error_errno(w->err, RC_FAILED, errno, "%s", w->path);
	w->since = digest_new();
	w->out->first = calloc((size_t)segment_slots(s) + 1, sizeof *w->out->first);
	w->out->last = calloc((size_t)segment_slots(s) + 1, sizeof *w->out->last);
	ASSERT(w->since && w->out->first && w->out->last);
	enum rc rc = write_segment(w, s, &start, sign);
	digest_free(w->since);
	free(w->table);
	if (close(w->fd) != 0 && rc == RC_OK)
		rc = error_errno(w->err, RC_FAILED, errno, "%s", w->path);
	if (rc != RC_OK)
		(void)unlink(w->path);
	return rc;
}

enum rc segment_rewrite(struct segment *s, const char *seg_path, const struct sign_pair *sign,
			int64_t now_us, struct segment_rewritten *out, struct error *err)
{
	struct writing *w = calloc(1, sizeof *w);

	ASSERT(w);
	memset(out, 0, sizeof *out);
	w->out = out;
	w->err = err;
	enum rc rc = new_path(w->path, seg_path, err);
	if (rc == RC_OK)
		rc = write_new(w, s, sign, now_us);
	if (rc != RC_OK)
		segment_rewrite_free(out);
	free(w);
	return rc;
}

void segment_rewrite_free(struct segment_rewritten *r)
{
	free(r->first);
	free(r->last);
	r->first = r->last = NULL;
}

/* ---- taking its place ---------------------------------------------------------------------- */

/* The head that speaks of the new segment's only attest, which ends it. */
static enum rc read_head(struct keys_head *head, int fd, const char *path, struct error *err)
{
	uint8_t record[ATTEST_RECORD];
	struct stat st;
	struct attest a;

	if (fstat(fd, &st) != 0 || st.st_size < LAYOUT_BLOCK + ATTEST_RECORD ||
	    pread(fd, record, sizeof record, st.st_size - ATTEST_RECORD) != ATTEST_RECORD)
		return error_set(err, RC_DAMAGED, "%s: is not a rewritten segment", path);
	layout_attest_get(&a, record + RECORD_HEADER);
	*head = (struct keys_head){ .segment = a.segment,
				    .attests = 1,
				    .end = (uint64_t)st.st_size };
	digest_sha256(head->newest, record, sizeof record);
	return RC_OK;
}

static enum rc write_head(const char *seg_path, const struct keys_head *head,
			  const struct sign_pair *sign, struct error *err)
{
	uint8_t block[LAYOUT_BLOCK];
	char path[STORE_PATH];

	(void)snprintf(path, sizeof path, "%.*s.keys", (int)(strlen(seg_path) - 4), seg_path);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "cannot open %s", path);
	enum rc rc = RC_OK;
	layout_head_put(block, head, sign);
	if (pwrite(fd, block, HEAD_SECTOR, 0) != HEAD_SECTOR || fdatasync(fd) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", path);
	(void)close(fd);
	return rc;
}

enum rc segment_rewrite_finish(const char *seg_path, const struct sign_pair *sign,
			       struct error *err)
{
	char path[STORE_PATH];
	struct keys_head head;

	enum rc rc = new_path(path, seg_path, err);
	if (rc != RC_OK)
		return rc;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return RC_OK; /* it has the name already */
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "cannot open %s", path);
	rc = read_head(&head, fd, path, err);
	(void)close(fd);
	if (rc == RC_OK)
		rc = write_head(seg_path, &head, sign, err);
	if (rc == RC_OK && rename(path, seg_path) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%s", seg_path);
	return rc;
}
