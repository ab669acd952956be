/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* putback.c: a copy of a segment that lies at the recorder again, under a name that the vault holds.  On the vault's thread.
 *
 * It is never taken in, nor does it take the place of a segment that is out of reach (its disk is not mounted).  But keys of
 * recordings that were destroyed may stand in it, and those go.  What then has nothing that the vault's own has not is
 * removed.  No more slots are looked at than the vault's own has, so that nobody is made to work for a blown-up file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vault/disposal.h"

struct copy {
	struct vault *v;
	struct index_batch *batch;
	const char *name;
	char seg[STORE_PATH], keys[STORE_PATH]; /* at the recorder */
	char own[STORE_PATH];                   /* the vault's slot file */
	int fd, own_fd;
	unsigned ended;
};

static int open_file(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static bool read_slot(int fd, uint32_t n, uint8_t slot[SLOT_BYTES])
{
	return pread(fd, slot, SLOT_BYTES, SLOTS_AT + (off_t)n * SLOT_BYTES) == SLOT_BYTES;
}

/* Of a recording that was destroyed: its slot goes again. */
static bool end_slot(struct copy *c, uint32_t n, const struct uuid *call)
{
	struct error why;
	struct slot_end end = { .number = n, .call = *call };
	if (uuid_is_nil(call) || !disposal_find(c->v, call, NULL))
		return false;
	if (segment_destroy_slots(c->seg, &end, 1, NULL, &why) != RC_OK) {
		log_error("not-destroyed", "segment=%s slot=%u error=\"%s\"", c->name, n, why.text);
		return false;
	}
	audit_note(c->v, c->batch,
		   &(struct audit_entry){ .action = "destroyed-again",
					  .call = call,
					  .outcome = "done",
					  .detail = c->name });
	log_warning("destroyed-again", "segment=%s slot=%u", c->name, n);
	c->ended++;
	return true;
}

/* False: some slot there is neither destroyed nor the vault's own. */
static bool end_slots(struct copy *c, uint64_t own_bytes, uint64_t bytes)
{
	uint8_t slot[SLOT_BYTES], own[SLOT_BYTES];
	struct uuid call;
	bool nothing_new = bytes <= own_bytes;
	uint32_t n = 0;
	for (; read_slot(c->own_fd, n, own) && read_slot(c->fd, n, slot); n++) {
		if (slot_is_destroyed(slot) || memcmp(slot, own, sizeof slot) == 0)
			continue;
		memcpy(call.b, slot, sizeof call.b);
		nothing_new &= end_slot(c, n, &call);
	}
	return nothing_new;
}

/* Its header tells the same segment as the vault's. */
static bool is_copy(const struct copy *c)
{
	char path[STORE_PATH];
	struct segment *s, *own;
	struct error ignored;
	segments_path(path, c->v, SEGMENT_IN_VAULT, c->name, ".seg");
	if (segments_map(c->v, c->seg, &s, &ignored) != RC_OK)
		return false;
	bool same = segments_map(c->v, path, &own, &ignored) == RC_OK;
	if (same) {
		struct uuid a = segment_id(s), b = segment_id(own);
		same = uuid_equal(&a, &b);
		segment_close(own);
	}
	segment_close(s);
	return same;
}

static bool remove_copy(const struct copy *c)
{
	struct error why;
	enum rc rc = disk_wipe(c->keys, &why);
	if (rc == RC_OK && unlink(c->seg) != 0)
		rc = error_errno(&why, RC_FAILED, errno, "%s", c->seg);
	if (rc != RC_OK)
		log_error("segment-put-back", "segment=%s what=\"%s\"", c->name, why.text);
	else
		log_warning("segment-put-back", "segment=%s what=\"a copy of it was removed\"",
			    c->name);
	return rc == RC_OK;
}

bool putback_end(struct vault *v, struct index_batch *b, const char *name, unsigned *ended)
{
	struct copy c = { .v = v, .batch = b, .name = name };
	uint64_t bytes, own_bytes;
	bool removed = false;
	segments_path(c.seg, v, SEGMENT_AT_RECORDER, name, ".seg");
	segments_path(c.keys, v, SEGMENT_AT_RECORDER, name, ".keys");
	segments_path(c.own, v, SEGMENT_IN_VAULT, name, ".keys");
	*ended = 0;
	if (!disk_is_file(c.keys, &bytes) || !disk_is_file(c.own, &own_bytes))
		return false;
	c.fd = open_file(c.keys);
	c.own_fd = open_file(c.own);
	if (c.fd >= 0 && c.own_fd >= 0)
		removed = end_slots(&c, own_bytes, bytes) && is_copy(&c) && remove_copy(&c);
	if (c.fd >= 0)
		close(c.fd);
	if (c.own_fd >= 0)
		close(c.own_fd);
	*ended = c.ended;
	return removed;
}

/* ---- which file may take its place -------------------------------------------------------------- */

static bool has_size(const struct vault *v, enum segment_place place, const char *name,
		     const char *ext, uint64_t bytes)
{
	char path[STORE_PATH];
	uint64_t size;
	segments_path(path, v, place, name, ext);
	return disk_is_file(path, &size) && (!bytes || size == bytes);
}

static bool ends_as(struct segment *s, const struct segment_row *row)
{
	uint64_t offset = segment_first(s);
	struct segment_record r;
	uint8_t last[32];
	bool any = false;
	while (segment_next(s, &offset, &r) == RC_OK) {
		if (r.type != RECORD_ATTEST || !r.attested)
			continue;
		digest_sha256(last, r.body, r.body_len);
		any = true;
	}
	return any == row->has_closed_attest &&
	       (!any || memcmp(last, row->closed_attest, sizeof last) == 0);
}

bool putback_may_take(struct vault *v, const char *name, const struct segment_row *row)
{
	char path[STORE_PATH];
	struct segment *s;
	struct segment_report report;
	struct error ignored;
	if (row->damaged || !row->closed_bytes || has_size(v, SEGMENT_IN_VAULT, name, ".seg", 0) ||
	    has_size(v, SEGMENT_IN_VAULT, name, ".keys", 0))
		return true;
	segments_path(path, v, SEGMENT_AT_RECORDER, name, ".seg");
	if (!has_size(v, SEGMENT_AT_RECORDER, name, ".seg", row->closed_bytes) ||
	    !has_size(v, SEGMENT_AT_RECORDER, name, ".keys", row->closed_keys_bytes) ||
	    segments_map(v, path, &s, &ignored) != RC_OK)
		return false;
	bool same = segment_verify(s, segments_signer(v, s), &report) == RC_OK && ends_as(s, row);
	segment_close(s);
	return same;
}
