/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* slot.c: key slots: making one, opening one, destroying one.
 *
 *     0          16       24              140               256
 *     | call id  | start  | box for audio | box for metadata |
 *
 * A box is sealed to one of the vault's public keys and holds key (32), call id (16), segment id
 * (16) and u32 slot number, with bit 31 set in the metadata box.  So no box opens as another's:
 * not in another slot, call, segment or place.  A destroyed slot is the text below, eight times,
 * and nothing of what it was.
 *
 * slot_make() runs on the writer's thread; destroying is the vault's alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "store/segment.h"

#define DESTROYED_TEXT 32
static const char destroyed_text[] = "callspan: this key is destroyed\n";

_Static_assert(sizeof destroyed_text == DESTROYED_TEXT + 1, "fills a slot evenly");

#define BOX_TEXT     (SLOT_BOX - SEAL_OVERHEAD)
#define BOX_BINDING  (BOX_TEXT - KEY_BYTES)
#define BOX_METADATA UINT32_C(0x80000000)

/* What a box holds after the key. */
static void binding_put(uint8_t out[BOX_BINDING], const struct uuid *call,
			const struct uuid *segment, uint32_t number, bool metadata)
{
	memcpy(out, call->b, 16);
	memcpy(out + 16, segment->b, 16);
	put_u32_le(out + 32, number | (metadata ? BOX_METADATA : 0));
}

void slot_make(uint8_t out[SLOT_BYTES], const struct segment_start *segment, uint32_t number,
	       const struct uuid *call, int64_t start_us, const uint8_t audio[KEY_BYTES],
	       const uint8_t metadata[KEY_BYTES])
{
	uint8_t a[BOX_TEXT], m[BOX_TEXT];

	ASSERT(number < BOX_METADATA);
	memcpy(out, call->b, 16);
	put_u64_le(out + 16, (uint64_t)start_us);
	memcpy(a, audio, KEY_BYTES);
	binding_put(a + KEY_BYTES, call, &segment->id, number, false);
	memcpy(m, metadata, KEY_BYTES);
	binding_put(m + KEY_BYTES, call, &segment->id, number, true);
	seal_to_both(&(struct seal_box){ out + SLOT_AUDIO_AT, a, segment->audio_public },
		     &(struct seal_box){ out + SLOT_METADATA_AT, m, segment->metadata_public },
		     BOX_TEXT);
	forget_bytes(a, sizeof a);
	forget_bytes(m, sizeof m);
}

bool slot_reseal(uint8_t slot[SLOT_BYTES], const struct uuid *segment, uint32_t number,
		 bool metadata, const struct seal_pair *pair, const uint8_t public_key[32])
{
	uint8_t text[BOX_TEXT], binding[BOX_BINDING];
	uint8_t *box = slot + (metadata ? SLOT_METADATA_AT : SLOT_AUDIO_AT);
	struct uuid call;

	memcpy(call.b, slot, sizeof call.b);
	binding_put(binding, &call, segment, number, metadata);
	bool good = seal_open(text, box, SLOT_BOX, pair) &&
		    memcmp(text + KEY_BYTES, binding, sizeof binding) == 0;
	if (good)
		seal_to(box, text, sizeof text, public_key);
	forget_bytes(text, sizeof text);
	return good;
}

static void destroyed_pattern(uint8_t out[SLOT_BYTES])
{
	for (size_t i = 0; i < SLOT_BYTES; i++)
		out[i] = (uint8_t)destroyed_text[i % DESTROYED_TEXT];
}

bool slot_is_destroyed(const uint8_t slot[SLOT_BYTES])
{
	uint8_t pattern[SLOT_BYTES];

	destroyed_pattern(pattern);
	return memcmp(slot, pattern, SLOT_BYTES) == 0;
}

/* ---- reading ------------------------------------------------------------------------------- */

bool segment_slot_record(const struct segment_record *r, struct uuid *call, int64_t *start_us)
{
	if (r->type != RECORD_SLOT || r->body_len != SLOT_BODY)
		return false;
	struct bytes b = bytes_over(r->body, r->body_len);
	memcpy(call->b, bytes_take(&b, sizeof call->b), sizeof call->b);
	*start_us = (int64_t)bytes_u64_le(&b);
	return true;
}

/* Slots go ahead of their records, by what a crash may have left unwritten; what a slot file holds beyond that says
 * nothing, and is not looked at: whoever took the recorder over cannot make us work for a blown-up file. */
#define SLOTS_AHEAD 65536

uint32_t segment_slots(const struct segment *s)
{
	size_t n = (s->keys_size - LAYOUT_BLOCK) / SLOT_BYTES;
	size_t most = s->size / (RECORD_HEADER + SLOT_BODY) + SLOTS_AHEAD;

	if (n > most)
		n = most;
	return n < BOX_METADATA ? (uint32_t)n : BOX_METADATA;
}

/* NULL when the slot file has no such slot. */
static const uint8_t *slot_at(const struct segment *s, uint32_t n)
{
	return n < segment_slots(s) ? s->keys + LAYOUT_BLOCK + (size_t)n * SLOT_BYTES : NULL;
}

enum rc segment_slot(struct segment *s, uint32_t n, struct slot *out, struct error *err)
{
	const uint8_t *p = slot_at(s, n);

	memset(out, 0, sizeof *out);
	out->number = n;
	if (!p)
		return error_set(err, RC_NOT_FOUND, "%s.keys has no slot %u", s->name, n);
	out->destroyed = slot_is_destroyed(p);
	if (out->destroyed)
		return RC_OK;
	struct bytes b = bytes_over(p, SLOT_BYTES);
	memcpy(out->call.b, bytes_take(&b, 16), 16);
	out->start_us = (int64_t)bytes_u64_le(&b);
	return RC_OK;
}

static bool box_open(uint8_t key[KEY_BYTES], const struct uuid *segment, const struct slot *slot,
		     const uint8_t *box, const struct seal_pair *pair, bool metadata)
{
	uint8_t text[BOX_TEXT], binding[BOX_BINDING];

	binding_put(binding, &slot->call, segment, slot->number, metadata);
	bool good = seal_open(text, box, SLOT_BOX, pair) &&
		    memcmp(text + KEY_BYTES, binding, sizeof binding) == 0;
	if (good)
		memcpy(key, text, KEY_BYTES);
	forget_bytes(text, sizeof text);
	return good;
}

enum rc segment_keys(struct segment *s, uint32_t n, const struct seal_pair *audio,
		     const struct seal_pair *metadata, struct call_keys *out, struct error *err)
{
	struct slot slot;
	const uint8_t *at = slot_at(s, n);

	memset(out, 0, sizeof *out);
	enum rc rc = segment_slot(s, n, &slot, err);
	if (rc != RC_OK || !at)
		return rc;
	if (slot.destroyed)
		return error_set(err, RC_NOT_FOUND, "slot %u of %s was destroyed", n, s->name);
	if (audio) {
		out->has_audio =
			box_open(out->audio, &s->start.id, &slot, at + SLOT_AUDIO_AT, audio, false);
		if (!out->has_audio)
			goto damaged;
	}
	if (metadata) {
		out->has_metadata = box_open(out->metadata, &s->start.id, &slot,
					     at + SLOT_METADATA_AT, metadata, true);
		if (!out->has_metadata)
			goto damaged;
	}
	return RC_OK;
damaged:
	forget_bytes(out, sizeof *out);
	return error_set(err, RC_DAMAGED, "slot %u of %s does not open, or not as its own", n,
			 s->name);
}

/* Two small reads; what the kernel would read ahead of them nobody wants. */
static enum rc peek(int fd, uint32_t n, uint8_t slot[SLOT_BYTES], struct keys_head *head,
		    struct error *err)
{
	uint8_t block[LAYOUT_BLOCK];
	off_t at = LAYOUT_BLOCK + (off_t)n * SLOT_BYTES;

	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	if (pread(fd, block, sizeof block, 0) != (ssize_t)sizeof block ||
	    layout_head_get(head, block, sizeof block) ||
	    pread(fd, slot, SLOT_BYTES, at) != SLOT_BYTES)
		return error_set(err, RC_DAMAGED, "slot %u of a slot file cannot be read", n);
	return slot_is_destroyed(slot) ? RC_NOT_FOUND : RC_OK;
}

enum rc segment_peek_key(const char *keys_path, uint32_t n, const struct seal_pair *metadata,
			 struct call_keys *out, struct error *err)
{
	uint8_t bytes[SLOT_BYTES];
	struct slot slot = { .number = n };
	struct keys_head head;
	struct stat st;

	memset(out, 0, sizeof *out);
	int fd = open(keys_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT
			       ? RC_NOT_FOUND
			       : error_errno(err, RC_FAILED, errno, "cannot open %s", keys_path);
	enum rc rc = fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
			     ? peek(fd, n, bytes, &head, err)
			     : error_set(err, RC_DAMAGED, "%s is not a regular file", keys_path);
	(void)close(fd);
	if (rc != RC_OK)
		return rc;
	memcpy(slot.call.b, bytes, sizeof slot.call.b);
	out->has_metadata = box_open(out->metadata, &head.segment, &slot, bytes + SLOT_METADATA_AT,
				     metadata, true);
	return out->has_metadata
		       ? RC_OK
		       : error_set(err, RC_DAMAGED, "slot %u of %s does not open", n, keys_path);
}

/* ---- destroying ---------------------------------------------------------------------------- */

enum rc slot_path(char out[STORE_PATH], const char *seg_path, const char *ending, struct error *err)
{
	size_t len = strlen(seg_path), more = strlen(ending) + 1;

	if (len < 4 || len + more > STORE_PATH || strcmp(seg_path + len - 4, ".seg") != 0)
		return error_set(err, RC_FAILED, "%s is not a segment's name", seg_path);
	memcpy(out, seg_path, len - 4);
	memcpy(out + len - 4, ending, more);
	return RC_OK;
}

#define RUN 256 /* slots written at once */

static enum rc open_keys(int *fd, char path[STORE_PATH], const char *seg_path, struct error *err)
{
	enum rc rc = slot_path(path, seg_path, ".keys", err);

	if (rc != RC_OK)
		return rc;
	*fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (*fd < 0)
		return error_errno(err, errno == ENOENT ? RC_NOT_FOUND : RC_FAILED, errno,
				   "cannot open %s", path);
	return RC_OK;
}

static off_t place(uint32_t n)
{
	return LAYOUT_BLOCK + (off_t)n * SLOT_BYTES;
}

/* How many of them follow one another, as far as one write goes. */
static size_t run_length(const struct slot_end *slots, size_t n)
{
	size_t i = 1;

	while (i < n && i < RUN && slots[i].number == slots[0].number + i)
		i++;
	return i;
}

struct ending {
	int fd;
	const char *path;
	uint8_t *was; /* what the slots of the run held; NULL: not wanted */
	uint8_t bytes[RUN * SLOT_BYTES];
	struct error *first; /* what was wrong first */
	enum rc wrong;
};

static void left_alone(struct ending *e, struct slot_end *slot, const char *why)
{
	slot->foreign = true;
	if (e->wrong == RC_OK)
		e->wrong = error_set(e->first, RC_DAMAGED, "%s: slot %u %s", e->path, slot->number,
				     why);
}

/* A slot that is destroyed already is written again: nobody knows whether it reached the disk. */
static bool take_slot(struct ending *e, struct slot_end *slot, uint8_t *at, uint8_t *was)
{
	bool again = slot_is_destroyed(at);

	if (was)
		memcpy(was, at, SLOT_BYTES);
	if (!again && !uuid_is_nil(&slot->call) && memcmp(at, slot->call.b, 16) != 0) {
		left_alone(e, slot, "is another recording's");
		return false;
	}
	destroyed_pattern(at);
	return true;
}

static enum rc overwrite_run(struct ending *e, struct slot_end *slots, size_t n, struct error *err)
{
	off_t at = place(slots[0].number);
	ssize_t got = pread(e->fd, e->bytes, n * SLOT_BYTES, at);
	size_t there = got > 0 ? (size_t)got / SLOT_BYTES : 0;

	if (got < 0)
		return error_errno(err, RC_FAILED, errno, "cannot read %s", e->path);
	for (size_t i = there; i < n; i++)
		left_alone(e, &slots[i], "is not there");
	for (size_t i = 0; i < there; i++)
		slots[i].destroyed = take_slot(e, &slots[i], e->bytes + i * SLOT_BYTES,
					       e->was ? e->was + i * SLOT_BYTES : NULL);
	size_t len = there * SLOT_BYTES;
	if (pwrite(e->fd, e->bytes, len, at) != (ssize_t)len)
		return error_errno(err, RC_FAILED, errno, "cannot overwrite slots of %s", e->path);
	return RC_OK;
}

static enum rc read_back(struct ending *e, const struct slot_end *slots, size_t n,
			 struct error *err)
{
	ssize_t got = pread(e->fd, e->bytes, n * SLOT_BYTES, place(slots[0].number));

	for (size_t i = 0; i < n; i++) {
		if (!slots[i].destroyed)
			continue;
		if (got < (ssize_t)((i + 1) * SLOT_BYTES) ||
		    !slot_is_destroyed(e->bytes + i * SLOT_BYTES))
			return error_set(err, RC_FAILED, "%s: slot %u reads back otherwise",
					 e->path, slots[i].number);
	}
	return RC_OK;
}

/* Onto the disk; and the pages dropped, so that what is read back comes from there. */
static enum rc settle(int fd, const char *path, struct error *err)
{
	if (fdatasync(fd) != 0)
		return error_errno(err, RC_FAILED, errno, "cannot sync %s", path);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return RC_OK;
}

static enum rc destroy(struct ending *e, struct slot_end *slots, size_t n, struct error *err)
{
	enum rc rc = RC_OK;
	size_t run;

	for (size_t i = 0; i < n && rc == RC_OK; i += run) {
		run = run_length(slots + i, n - i);
		rc = overwrite_run(e, slots + i, run, err);
		e->was = e->was ? e->was + run * SLOT_BYTES : NULL;
	}
	if (rc == RC_OK)
		rc = settle(e->fd, e->path, err);
	for (size_t i = 0; i < n && rc == RC_OK; i += run) {
		run = run_length(slots + i, n - i);
		rc = read_back(e, slots + i, run, err);
	}
	return rc;
}

enum rc segment_destroy_slots(const char *seg_path, struct slot_end *slots, size_t n, uint8_t *was,
			      struct error *err)
{
	char path[STORE_PATH];
	struct ending e = { .path = path, .was = was, .first = err };

	for (size_t i = 0; i < n; i++)
		slots[i].destroyed = slots[i].foreign = false;
	enum rc rc = open_keys(&e.fd, path, seg_path, err);
	if (rc != RC_OK)
		return rc;
	rc = destroy(&e, slots, n, err);
	if (close(e.fd) != 0 && rc == RC_OK)
		rc = error_errno(err, RC_FAILED, errno, "cannot close %s", path);
	for (size_t i = 0; i < n && rc != RC_OK; i++)
		slots[i].destroyed = false;
	return rc == RC_OK ? e.wrong : rc;
}

enum rc segment_destroy_slot(const char *seg_path, uint32_t n, struct error *err)
{
	struct slot_end slot = { .number = n };

	enum rc rc = segment_destroy_slots(seg_path, &slot, 1, NULL, err);
	return rc == RC_DAMAGED ? RC_NOT_FOUND : rc;
}

enum rc segment_destroy_from(const char *seg_path, uint32_t n, struct error *err)
{
	char path[STORE_PATH];
	struct stat st;
	uint8_t pattern[SLOT_BYTES];
	int fd;

	enum rc rc = open_keys(&fd, path, seg_path, err);
	if (rc != RC_OK)
		return rc;
	destroyed_pattern(pattern);
	if (fstat(fd, &st) != 0)
		rc = error_errno(err, RC_FAILED, errno, "cannot look at %s", path);
	for (off_t at = place(n); rc == RC_OK && at < st.st_size; at += SLOT_BYTES) {
		off_t left = st.st_size - at;
		size_t len = left < SLOT_BYTES ? (size_t)left : SLOT_BYTES;
		if (pwrite(fd, pattern, len, at) != (ssize_t)len)
			rc = error_errno(err, RC_FAILED, errno, "cannot overwrite slots of %s",
					 path);
	}
	if (rc == RC_OK)
		rc = settle(fd, path, err);
	if (close(fd) != 0 && rc == RC_OK)
		rc = error_errno(err, RC_FAILED, errno, "cannot close %s", path);
	return rc;
}
