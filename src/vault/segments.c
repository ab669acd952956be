/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* segments.c: where segments lie, and what the vault remembers of each.
 *
 *   STORE/recorder/NAME.{seg,keys}  --closed and verified-->  STORE/vault/segments/NAME.{seg,keys}
 *
 * The slot file moves first: a segment found without it at the recorder is one whose move was cut short, and
 * is moved on.  What is remembered (size and last attest when it was closed) lives in the index, out of
 * the recorder's reach, so that a segment cut or replaced later is found.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "store/index.pb-c.h"
#include "vault/parts.h"

typedef Callspan__Index__SegmentRow row_message;

#define EXT_SEG  ".seg"
#define EXT_KEYS ".keys"
#define HEADER   24
#define DUE      "due:"

static const char *const folders[] = {
	[SEGMENT_AT_RECORDER] = "recorder",
	[SEGMENT_IN_VAULT] = "vault/segments",
};

/* ---- what is remembered --------------------------------------------------------------------------- */

static bool take_hash(uint8_t to[32], const ProtobufCBinaryData *from)
{
	if (from->len == 32)
		memcpy(to, from->data, 32);
	return from->len == 32;
}

static void row_from(struct segment_row *row, const row_message *m)
{
	row->cursor = m->cursor;
	row->seen_bytes = m->seen_bytes;
	row->calls = m->calls;
	row->records = m->records;
	row->closed_bytes = m->closed_bytes;
	row->closed_keys_bytes = m->closed_keys_bytes;
	row->attested_end = m->attested_end;
	row->done = m->done;
	row->damaged = m->damaged;
	row->unattested_tail = m->unattested_tail;
	if (take_hash(row->verified.newest, &m->verified_attest)) {
		row->verified.end = m->verified_end;
		row->verified.attests = m->verified_attests;
		row->verified.slots = m->verified_slots;
	}
	row->live_bytes = m->live_bytes;
	row->thinned = m->thinned;
	row->rewritten = m->rewritten;
	row->pending = m->pending;
	row->has_closed_attest = take_hash(row->closed_attest, &m->closed_attest);
	row->has_last_attest = take_hash(row->last_attest, &m->last_attest);
	snprintf(row->what, sizeof row->what, "%s", m->what);
}

enum rc segments_get(struct vault *v, const char *name, struct segment_row *row, struct error *err)
{
	uint8_t *bytes;
	size_t len;
	memset(row, 0, sizeof *row);
	enum rc rc = index_get(v->index, INDEX_SEGMENTS, name, strlen(name), &bytes, &len, err);
	if (rc != RC_OK)
		return rc;
	row_message *m = callspan__index__segment_row__unpack(NULL, len, bytes);
	free(bytes);
	if (!m)
		return error_set(err, RC_DAMAGED, "the row of segment %s is damaged", name);
	row_from(row, m);
	callspan__index__segment_row__free_unpacked(m, NULL);
	return RC_OK;
}

/* A segment that is not done has a mark in INDEX_META: DUE ‖ name. */
static void put_due(struct index_batch *b, const char *name, bool due)
{
	char key[sizeof DUE + SEGMENT_NAME];
	int len = snprintf(key, sizeof key, DUE "%s", name);
	if (due)
		index_batch_put(b, INDEX_META, key, (size_t)len, NULL, 0);
	else
		index_batch_delete(b, INDEX_META, key, (size_t)len);
}

void segments_put(struct index_batch *b, const char *name, const struct segment_row *row)
{
	struct segment_row copy = *row;
	row_message m;
	callspan__index__segment_row__init(&m);
	uint8_t bytes[1024];
	m.cursor = copy.cursor;
	m.seen_bytes = copy.seen_bytes;
	m.calls = copy.calls;
	m.records = copy.records;
	m.closed_bytes = copy.closed_bytes;
	m.closed_keys_bytes = copy.closed_keys_bytes;
	m.attested_end = copy.attested_end;
	m.done = copy.done;
	m.damaged = copy.damaged;
	m.unattested_tail = copy.unattested_tail;
	m.live_bytes = copy.live_bytes;
	m.thinned = copy.thinned;
	m.rewritten = copy.rewritten;
	m.pending = copy.pending;
	if (copy.has_closed_attest)
		m.closed_attest = (ProtobufCBinaryData){ 32, copy.closed_attest };
	if (copy.has_last_attest)
		m.last_attest = (ProtobufCBinaryData){ 32, copy.last_attest };
	if (copy.verified.end) {
		m.verified_end = copy.verified.end;
		m.verified_attests = copy.verified.attests;
		m.verified_slots = copy.verified.slots;
		m.verified_attest = (ProtobufCBinaryData){ 32, copy.verified.newest };
	}
	m.what = copy.what;
	ASSERT(callspan__index__segment_row__get_packed_size(&m) <= sizeof bytes);
	size_t len = callspan__index__segment_row__pack(&m, bytes);
	index_batch_put(b, INDEX_SEGMENTS, name, strlen(name), bytes, len);
	put_due(b, name, !row->done);
}

void segments_found_whole(struct vault *v, struct index_batch *b, const char *name,
			  struct segment_row *row)
{
	char detail[SEGMENT_NAME + sizeof row->what + 8];
	snprintf(detail, sizeof detail, "%s: was: %s", name, row->what);
	row->damaged = false;
	row->what[0] = '\0';
	audit_note(v, b,
		   &(struct audit_entry){ .action = "segment-found-whole", .detail = detail });
}

/* ---- where they lie ----------------------------------------------------------------------------------- */

void segments_path(char path[STORE_PATH], const struct vault *v, enum segment_place place,
		   const char *name, const char *ext)
{
	char folder[STORE_PATH], file[SEGMENT_NAME + 8];
	snprintf(file, sizeof file, "%s%s", name, ext);
	disk_path(folder, v->store, folders[place]);
	disk_path(path, folder, file);
}

const uint8_t *segments_signer(const struct vault *v, const struct segment *s)
{
	return segment_is_rewritten(s) ? v->keys.heads.public_key : v->keys.recorder_public;
}

static bool lies(struct vault *v, enum segment_place place, const char *name, const char *ext)
{
	char path[STORE_PATH];
	segments_path(path, v, place, name, ext);
	return disk_is_file(path, NULL);
}

bool segments_missing(struct vault *v, const char *name, const struct segment_row *row)
{
	static const char *const parts[] = { EXT_SEG, EXT_KEYS };
	bool there = true;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		there = there && (lies(v, SEGMENT_IN_VAULT, name, parts[i]) ||
				  (!row->done && lies(v, SEGMENT_AT_RECORDER, name, parts[i])));
	return !there;
}

bool segments_waits(struct vault *v, const char *name)
{
	return lies(v, SEGMENT_AT_RECORDER, name, EXT_SEG) ||
	       lies(v, SEGMENT_AT_RECORDER, name, EXT_KEYS);
}

bool segments_half_taken(struct vault *v, const char *name)
{
	return !lies(v, SEGMENT_AT_RECORDER, name, EXT_KEYS) &&
	       lies(v, SEGMENT_IN_VAULT, name, EXT_KEYS) &&
	       segments_locate(v, name, NULL) == SEGMENT_AT_RECORDER;
}

uint64_t segments_keys_bytes(struct vault *v, const char *name)
{
	char path[STORE_PATH];
	uint64_t size = 0;
	enum segment_place p = segments_locate(v, name, NULL);
	if (p == SEGMENT_NOWHERE)
		return 0;
	segments_path(path, v, p, name, EXT_KEYS);
	return disk_is_file(path, &size) ? size : 0;
}

enum segment_place segments_locate(struct vault *v, const char *name, char path[STORE_PATH])
{
	char found[STORE_PATH];
	for (enum segment_place p = SEGMENT_IN_VAULT; p > SEGMENT_NOWHERE; p--) {
		segments_path(found, v, p, name, EXT_SEG);
		if (!disk_is_file(found, NULL))
			continue;
		if (path)
			memcpy(path, found, STORE_PATH);
		return p;
	}
	return SEGMENT_NOWHERE;
}

/* A file's name without its ending; false: not such a file, or a name that we would never give. */
static bool name_of(const char *file, const char *ending, char name[SEGMENT_NAME])
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t len = strlen(file), ext = strlen(ending);
	if (len <= ext || strcmp(file + len - ext, ending) != 0 || file[0] == '.')
		return false;
	if (len - ext >= SEGMENT_NAME || strspn(file, letters) != len) {
		log_warning("segment-name",
			    "what=\"a %s file whose name is not ours is left alone\"", ending);
		return false;
	}
	memcpy(name, file, len - ext);
	name[len - ext] = '\0';
	return true;
}

struct name_list {
	char **names;
	size_t count, room;
};

static void add_name(struct name_list *l, const char *name)
{
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->names = realloc(l->names, l->room * sizeof *l->names);
		ASSERT(l->names);
	}
	l->names[l->count] = strdup(name);
	ASSERT(l->names[l->count]);
	l->count++;
}

static enum rc add_folder(struct name_list *l, const struct vault *v, enum segment_place place,
			  const char *ending, struct error *err)
{
	char path[STORE_PATH], name[SEGMENT_NAME];
	disk_path(path, v->store, folders[place]);
	DIR *d = opendir(path);
	if (!d)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	const struct dirent *e;
	while ((e = readdir(d))) {
		if (name_of(e->d_name, ending, name))
			add_name(l, name);
	}
	closedir(d);
	return RC_OK;
}

/* Names that stand in a family as keys, behind a prefix. */
static void add_keys(struct name_list *l, struct vault *v, enum index_family family,
		     const char *prefix)
{
	size_t skip = strlen(prefix), key_len, value_len;
	struct index_cursor *c =
		index_cursor_new(v->index, family, skip ? prefix : NULL, skip, false);
	const uint8_t *key, *value;
	char name[SEGMENT_NAME];
	while (index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		if (key_len < skip || memcmp(key, prefix, skip) != 0)
			break;
		if (key_len - skip >= SEGMENT_NAME)
			continue;
		memcpy(name, key + skip, key_len - skip);
		name[key_len - skip] = '\0';
		add_name(l, name);
	}
	index_cursor_free(c);
}

static int by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	return strcmp(*x, *y);
}

/* Sorted, each once. */
static void hand_over(struct name_list *l, char ***names, size_t *count)
{
	size_t kept = 0;
	if (l->count)
		qsort(l->names, l->count, sizeof *l->names, by_name);
	for (size_t i = 0; i < l->count; i++) {
		if (kept && strcmp(l->names[kept - 1], l->names[i]) == 0)
			free(l->names[i]);
		else
			l->names[kept++] = l->names[i];
	}
	*names = l->names;
	*count = kept;
}

enum rc segments_names(struct vault *v, char ***names, size_t *count, struct error *err)
{
	struct name_list l = { 0 };
	enum rc rc = add_folder(&l, v, SEGMENT_AT_RECORDER, EXT_SEG, err);
	if (rc == RC_OK)
		rc = add_folder(&l, v, SEGMENT_IN_VAULT, EXT_SEG, err);
	if (rc != RC_OK) {
		segments_names_free(l.names, l.count);
		return rc;
	}
	add_keys(&l, v, INDEX_SEGMENTS, "");
	hand_over(&l, names, count);
	return RC_OK;
}

/* Files that were put among the vault's own, and of which no row tells: copies of what was destroyed, most likely. */
static enum rc add_strangers(struct name_list *l, struct vault *v, struct error *err)
{
	struct name_list there = { 0 }, known = { 0 };
	enum rc rc = add_folder(&there, v, SEGMENT_IN_VAULT, EXT_SEG, err);
	add_keys(&known, v, INDEX_SEGMENTS, ""); /* in order */
	for (size_t i = 0; i < there.count; i++) {
		if (!known.count || !bsearch(&there.names[i], known.names, known.count,
					     sizeof *known.names, by_name))
			add_name(l, there.names[i]);
	}
	segments_names_free(there.names, there.count);
	segments_names_free(known.names, known.count);
	return rc;
}

/* Copies of slot files that a kill has cut short. */
static enum rc drop_parts(struct vault *v, struct error *err)
{
	static const char ending[] = EXT_KEYS ".part";
	struct name_list l = { 0 };
	char path[STORE_PATH];
	enum rc rc = add_folder(&l, v, SEGMENT_IN_VAULT, ending, err);
	for (size_t i = 0; i < l.count && rc == RC_OK; i++) {
		segments_path(path, v, SEGMENT_IN_VAULT, l.names[i], ending);
		rc = disk_wipe(path, err);
	}
	segments_names_free(l.names, l.count);
	return rc;
}

enum rc segments_due(struct vault *v, char ***names, size_t *count, struct error *err)
{
	struct name_list l = { 0 };
	enum rc rc = add_folder(&l, v, SEGMENT_AT_RECORDER, EXT_SEG, err);
	/* A slot file alone there is one that was left behind. */
	if (rc == RC_OK)
		rc = add_folder(&l, v, SEGMENT_AT_RECORDER, EXT_KEYS, err);
	if (rc == RC_OK && !v->looked)
		rc = add_strangers(&l, v, err);
	if (rc == RC_OK && !v->looked)
		rc = drop_parts(v, err);
	v->looked = rc == RC_OK;
	if (rc != RC_OK) {
		segments_names_free(l.names, l.count);
		return rc;
	}
	add_keys(&l, v, INDEX_META, DUE);
	hand_over(&l, names, count);
	return RC_OK;
}

void segments_names_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

/* ---- taking over ------------------------------------------------------------------------------------------ */

/* A copy across file systems was cut short of removing its original: that is done now.  What is removed of a slot file still
 * lies on the recorder's disk, so it is overwritten first. */
static enum rc drop_copied(const char *name, const char *from, const char *to, bool wipe,
			   struct error *err)
{
	bool copied = wipe ? disk_same_or_wiped(from, to) : disk_same(from, to);
	if (!copied)
		return error_set(err, RC_DAMAGED,
				 "another segment of this name lies in the vault already: %s",
				 name);
	if (wipe)
		return disk_wipe(from, err);
	return unlink(from) == 0 ? RC_OK : error_errno(err, RC_FAILED, errno, "%s", from);
}

/* Move one file unless that is done already.  As root the vault's copy becomes root's own, out of reach of who may still
 * have it open. */
static enum rc take_file(struct vault *v, const char *name, const char *ext, struct error *err)
{
	char from[STORE_PATH], to[STORE_PATH];
	bool wipe = strcmp(ext, EXT_KEYS) == 0;
	segments_path(from, v, SEGMENT_AT_RECORDER, name, ext);
	segments_path(to, v, SEGMENT_IN_VAULT, name, ext);
	if (!disk_is_file(from, NULL))
		return RC_OK;
	if (disk_is_file(to, NULL))
		return drop_copied(name, from, to, wipe, err);
	enum rc rc = disk_move(from, to, wipe, err);
	return rc == RC_OK && geteuid() == 0 ? disk_own(to, wipe, err) : rc;
}

enum rc segments_take(struct vault *v, const char *name, struct error *err)
{
	enum rc rc = take_file(v, name, EXT_KEYS, err);
	return rc == RC_OK ? take_file(v, name, EXT_SEG, err) : rc;
}

/* ---- kept open for a request -------------------------------------------------------------------------------- */

enum rc segments_map(const struct vault *v, const char *path, struct segment **out,
		     struct error *err)
{
	enum rc rc = segment_open(out, path, err);
	if (rc == RC_OK)
		segment_trust(*out, path, v->keys.heads.public_key);
	return rc;
}

enum rc segments_open(struct vault *v, const char *name, struct segment **out, struct error *err)
{
	char path[STORE_PATH];
	for (unsigned i = 0; i < SEGMENTS_OPEN; i++) {
		if (v->open[i].segment && strcmp(v->open[i].name, name) == 0) {
			*out = v->open[i].segment;
			return RC_OK;
		}
	}
	if (segments_locate(v, name, path) == SEGMENT_NOWHERE)
		return error_set(err, RC_NOT_FOUND, "segment %s is gone", name);
	struct segment *s;
	enum rc rc = segments_map(v, path, &s, err);
	if (rc != RC_OK)
		return rc;
	unsigned at = v->open_next++ % SEGMENTS_OPEN;
	segment_close(v->open[at].segment);
	v->open[at].segment = s;
	snprintf(v->open[at].name, sizeof v->open[at].name, "%s", name);
	*out = s;
	return RC_OK;
}

enum rc segments_peek(struct vault *v, const char *name, uint32_t slot, struct call_keys *keys,
		      struct error *err)
{
	char path[STORE_PATH];
	enum rc rc = RC_NOT_FOUND;
	for (enum segment_place p = SEGMENT_IN_VAULT; p > SEGMENT_NOWHERE && rc == RC_NOT_FOUND;
	     p--) {
		segments_path(path, v, p, name, EXT_KEYS);
		rc = segment_peek_key(path, slot, &v->keys.metadata, keys, err);
	}
	return rc;
}

void segments_forget_open(struct vault *v)
{
	for (unsigned i = 0; i < SEGMENTS_OPEN; i++) {
		segment_close(v->open[i].segment);
		v->open[i].segment = NULL;
	}
}

/* ---- digests -------------------------------------------------------------------------------------------------- */

void segments_digest(uint8_t digest[32], const struct segment_record *r)
{
	uint8_t in[32 + HEADER + 32], *header = in + 32;
	memcpy(in, digest, 32);
	put_u32_le(header, r->body_len);
	header[4] = (uint8_t)r->type;
	header[5] = r->track;
	put_u16_le(header + 6, r->stream);
	put_u32_le(header + 8, r->slot);
	put_u32_le(header + 12, 0);
	put_u64_le(header + 16, r->counter);
	/* The whole body, not only its tag: a change that keeps CRC and tag shows without the keys too. */
	digest_sha256(in + 32 + HEADER, r->body, r->body_len);
	digest_sha256(digest, in, sizeof in);
}
