/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* backup_follow.c: what is destroyed here is destroyed in every registered backup.  On the vault's thread.
 *
 *   STORE/vault/disposals   |......................|............|.....|
 *                                       followed by B     by A   end
 *
 * Each backup has followed the disposals up to a line.  Within reach it follows at once, while recordings are destroyed; out
 * of reach it stays behind, its disposals say "destroyed-live", and it is tried again at each purge and each backup.  The
 * slots of a segment are made the same as here, so following twice does no harm.
 *
 *   INDEX_META "backups" -> be64: rows of disposals up to there say what is so
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vault/backup.h"
#include "vault/traces.h"

#define PIECE ((size_t)4 << 20)

static const char settled_key[] = "backups";

/* ---- lines ------------------------------------------------------------------------------------------------- */

typedef enum rc (*each_line)(void *ctx, const struct disposal *d, struct error *err);

static enum rc walk_piece(const char *text, size_t len, each_line each, void *ctx,
			  struct error *err)
{
	enum rc rc = RC_OK;
	for (const char *at = text; at < text + len && rc == RC_OK;) {
		const char *end = memchr(at, '\n', (size_t)(text + len - at));
		struct disposal d;
		if (disposal_file_parse(&d, at, (size_t)(end - at)))
			rc = each(ctx, &d, err);
		at = end + 1;
	}
	return rc;
}

static enum rc walk(struct vault *v, uint64_t from, uint64_t to, each_line each, void *ctx,
		    struct error *err)
{
	size_t len = 1;
	enum rc rc = RC_OK;
	while (rc == RC_OK && len && from < to) {
		char *text;
		size_t most = to - from < PIECE ? (size_t)(to - from) : PIECE;
		rc = disposal_file_read(v, from, most, &text, &len, err);
		if (rc != RC_OK)
			return rc;
		rc = walk_piece(text, len, each, ctx, err);
		free(text);
		from += len;
	}
	return rc;
}

static enum rc count_line(void *ctx, const struct disposal *d, struct error *err)
{
	uint64_t *n = ctx;
	(void)d;
	(void)err;
	++*n;
	return RC_OK;
}

enum rc backup_pending(struct vault *v, const struct backup *b, uint64_t *pending,
		       struct error *err)
{
	*pending = 0;
	return walk(v, b->followed, v->disposals_end, count_line, pending, err);
}

/* ---- one backup --------------------------------------------------------------------------------------------- */

/* Lines of one purge stand in order of segments. */
struct level {
	char last[SEGMENT_NAME];
	bool singly; /* that segment's slot file is out of reach here: slot after slot */
};

struct catching_up {
	struct vault *v;
	const struct backup *b;
	struct level level;
	uint64_t lines;
};

/* Where it is not here any more, wherever, its slots go there too.  One that is only out of reach lives on, and so do the
 * others in it. */
static enum rc level_segment(struct vault *v, const struct backup *b, const char *name,
			     bool *singly, struct error *err)
{
	char path[STORE_PATH];
	uint64_t unknown; /* slots that are nobody's on record keep it there */
	struct segment_row row;
	enum rc rc = segments_get(v, name, &row, err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	segments_path(path, v, SEGMENT_IN_VAULT, name, ".keys");
	bool here = disk_is_file(path, NULL);
	segments_path(path, v, SEGMENT_AT_RECORDER, name, ".keys");
	here |= !row.done &&
		disk_is_file(path, NULL); /* once taken, the recorder's does not count */
	*singly = !here && rc == RC_OK;
	if (here)
		return backup_segment(v, b, name, NULL, NULL, err);
	return *singly ? RC_OK : backup_segment_let_go(v, b, name, &unknown, err);
}

/* The backup may be from before it was recorded: then there is nothing of it. */
static enum rc level_slot(const struct backup *b, const struct disposal *d, struct error *err)
{
	char path[STORE_PATH];
	struct slot_end end = { .number = d->slot, .call = d->id };
	int n = snprintf(path, sizeof path, "%s/" BACKUP_SEGMENTS "/%s.seg", b->path, d->segment);
	if (n < 0 || n >= STORE_PATH)
		return error_set(err, RC_FAILED, "the backup's path is too long");
	enum rc rc = segment_destroy_slots(path, &end, 1, NULL, err);
	return rc == RC_NOT_FOUND || end.foreign ? RC_OK : rc;
}

static enum rc level_line(struct vault *v, const struct backup *b, struct level *l,
			  const struct disposal *d, struct error *err)
{
	enum rc rc = RC_OK;
	if (strcmp(l->last, d->segment) != 0) {
		memcpy(l->last, d->segment, sizeof l->last);
		rc = level_segment(v, b, d->segment, &l->singly, err);
	}
	return rc == RC_OK && l->singly ? level_slot(b, d, err) : rc;
}

static enum rc follow_line(void *ctx, const struct disposal *d, struct error *err)
{
	struct catching_up *c = ctx;
	c->lines++;
	return level_line(c->v, c->b, &c->level, d, err);
}

static enum rc note_followed(struct vault *v, const struct backup *b, uint64_t lines,
			     uint64_t matters, struct error *err)
{
	char id[2 * BACKUP_ID + 1], detail[160];
	keys_hex(id, b->id, sizeof b->id);
	snprintf(detail, sizeof detail, "backup=%s recordings=%" PRIu64 " matters=%" PRIu64, id,
		 lines, matters);
	return audit_write(v,
			   &(struct audit_entry){ .action = "backup-followed",
						  .outcome = "done",
						  .detail = detail },
			   err);
}

/* The backup knows what was destroyed in it. */
static enum rc tell(struct vault *v, const struct backup *b, uint64_t end, struct error *err)
{
	char from[STORE_PATH], to[STORE_PATH];
	disk_path(from, v->store, "vault/disposals");
	disk_path(to, b->path, BACKUP_DISPOSALS);
	return backup_copy_tail(from, to, end, err);
}

static enum rc catch_up(struct vault *v, struct backup *b, struct error *err)
{
	char path[STORE_PATH];
	uint64_t matters;
	struct catching_up c = { .v = v, .b = b };
	enum rc rc = backup_matters_destroyed(v, &matters, err);
	if (rc != RC_OK || (matters == b->matters && b->followed == v->disposals_end))
		return rc;
	uint64_t more = matters - b->matters;
	rc = walk(v, b->followed, v->disposals_end, follow_line, &c, err);
	disk_path(path, b->path, BACKUP_MATTERS);
	if (rc == RC_OK && disk_is_file(path, NULL))
		rc = backup_matters_copy(v, b->public_key, path, &matters, err);
	if (rc == RC_OK)
		rc = tell(v, b, v->disposals_end, err);
	if (rc == RC_OK)
		rc = note_followed(v, b, c.lines, more, err);
	if (rc != RC_OK)
		return rc;
	b->followed = v->disposals_end;
	b->matters = matters;
	return backup_save(v, b, err);
}

/* False: it is out of reach, or could not follow. */
static bool follow(struct vault *v, struct backup *b)
{
	struct error err = { "it is not there" };
	bool fit = backup_reachable(b) && catch_up(v, b, &err) == RC_OK;
	if (!fit)
		log_warning("backup-behind", "path=\"%s\" what=\"%s\"", b->path, err.text);
	if (fit && !b->away)
		return fit;
	b->away = !fit;
	b->tried_us = vault_now_us(v);
	if (backup_save(v, b, &err) != RC_OK)
		log_error("backup-register", "what=\"%s\"", err.text);
	return fit;
}

/* ---- while recordings are destroyed ----------------------------------------------------------------------------- */

struct backup_following {
	struct vault *v;
	struct backup *all;   /* owned */
	bool *fit;            /* owned */
	struct level *levels; /* owned */
	size_t count;
	uint64_t begin; /* of the lines that are to be */
	bool unknown;   /* which there are could not be read */
};

struct backup_following *backup_follow_begin(struct vault *v)
{
	struct error err;
	struct backup_following *f = calloc(1, sizeof *f);
	ASSERT(f);
	f->v = v;
	f->begin = v->disposals_end;
	f->unknown = backup_list(v, &f->all, &f->count, &err) != RC_OK;
	if (f->unknown)
		log_error("backup-register", "what=\"%s\"", err.text);
	f->fit = calloc(f->count + 1, sizeof *f->fit);
	f->levels = calloc(f->count + 1, sizeof *f->levels);
	ASSERT(f->fit && f->levels);
	for (size_t i = 0; i < f->count; i++)
		f->fit[i] = follow(v, &f->all[i]);
	return f;
}

void backup_follow_line(struct backup_following *f, const struct disposal *d)
{
	struct error err;
	for (size_t i = 0; i < f->count; i++) {
		if (!f->fit[i] || level_line(f->v, &f->all[i], &f->levels[i], d, &err) == RC_OK)
			continue;
		f->fit[i] = false;
		log_warning("backup-behind", "path=\"%s\" what=\"%s\"", f->all[i].path, err.text);
	}
}

bool backup_follow_whole(const struct backup_following *f)
{
	bool whole = !f->unknown;
	for (size_t i = 0; i < f->count; i++)
		whole = whole && f->fit[i];
	return whole;
}

static void put_settled(struct index_batch *b, uint64_t end)
{
	uint8_t value[8];
	catalogue_be64(value, (int64_t)end);
	index_batch_put(b, INDEX_META, settled_key, sizeof settled_key - 1, value, sizeof value);
}

static enum rc get_settled(struct vault *v, uint64_t *end, struct error *err)
{
	uint8_t *value;
	size_t len;
	*end = 0;
	enum rc rc = index_get(v->index, INDEX_META, settled_key, sizeof settled_key - 1, &value,
			       &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	for (size_t i = 0; i < len; i++)
		*end = *end << 8 | value[i];
	free(value);
	return RC_OK;
}

/* Their rows were written as what they are: nothing to be looked at again. */
static void pass_over(struct backup_following *f, uint64_t end)
{
	struct error err;
	uint64_t settled;
	if (get_settled(f->v, &settled, &err) != RC_OK || settled != f->begin)
		return;
	struct index_batch *b = index_batch_new(f->v->index);
	put_settled(b, end);
	if (index_batch_commit(b, &err) != RC_OK)
		log_error("backup-register", "what=\"%s\"", err.text);
}

void backup_follow_end(struct backup_following *f, uint64_t end)
{
	struct error err;
	if (!f)
		return;
	for (size_t i = 0; i < f->count; i++) {
		struct backup *b = &f->all[i];
		bool moves = f->fit[i] && b->followed != end;
		b->followed = end;
		if (moves &&
		    (tell(f->v, b, end, &err) != RC_OK || backup_save(f->v, b, &err) != RC_OK))
			log_error("backup-register", "what=\"%s\"", err.text);
	}
	if (backup_follow_whole(f))
		pass_over(f, end);
	backup_follow_free(f);
}

void backup_follow_free(struct backup_following *f)
{
	if (!f)
		return;
	free(f->all);
	free(f->fit);
	free(f->levels);
	free(f);
}

/* ---- by and by ----------------------------------------------------------------------------------------------------- */

void backup_follow_all(struct vault *v)
{
	struct error err;
	backup_follow_free(backup_follow_begin(v));
	if (backup_settle(v, &err) != RC_OK)
		log_error("backup-register", "what=\"%s\"", err.text);
}

/* Whoever destroys a key may have a batch in the making: nothing is committed here. */
void backup_follow_matters(struct vault *v)
{
	struct error err;
	struct backup *all;
	size_t count;
	char path[STORE_PATH];
	enum rc rc = backup_list(v, &all, &count, &err);
	for (size_t i = 0; i < count; i++) {
		disk_path(path, all[i].path, BACKUP_MATTERS);
		if (!backup_reachable(&all[i]) || !disk_is_file(path, NULL))
			continue;
		rc = backup_matters_copy(v, all[i].public_key, path, &all[i].matters, &err);
		if (rc == RC_OK)
			rc = backup_save(v, &all[i], &err);
	}
	if (rc != RC_OK)
		log_error("backup-behind", "what=\"%s\"", err.text);
	free(all);
}

enum rc backup_search(struct vault *v, struct traces *t, uint64_t *found, char *where, size_t room,
		      struct error *err)
{
	struct backup *all;
	size_t count;
	enum rc rc = backup_list(v, &all, &count, err);
	for (size_t i = 0; i < count && rc == RC_OK && !*found; i++) {
		if (backup_reachable(&all[i]))
			rc = traces_search(t, all[i].path, found, where, room, err);
	}
	free(all);
	return rc;
}

enum rc backup_least(struct vault *v, uint64_t *least, struct error *err)
{
	struct backup *all;
	size_t count;
	*least = disposal_file_size(v);
	enum rc rc = backup_list(v, &all, &count, err);
	for (size_t i = 0; i < count && rc == RC_OK; i++)
		*least = all[i].followed < *least ? all[i].followed : *least;
	free(all);
	return rc;
}

struct settling {
	struct vault *v;
	struct index_batch *b;
};

static enum rc settle_line(void *ctx, const struct disposal *d, struct error *err)
{
	const struct settling *s = ctx;
	disposal_followed(s->v, s->b, &d->id);
	return index_health(s->v->index, err);
}

enum rc backup_settle(struct vault *v, struct error *err)
{
	uint64_t settled, least = 0;
	enum rc rc = get_settled(v, &settled, err);
	if (rc == RC_OK)
		rc = backup_least(v, &least, err);
	if (rc != RC_OK || settled >= least)
		return rc;
	struct settling s = { .v = v, .b = index_batch_new(v->index) };
	rc = walk(v, settled, least, settle_line, &s, err);
	put_settled(s.b, least);
	if (rc == RC_OK)
		return index_batch_commit(s.b, err);
	index_batch_drop(s.b);
	return rc;
}
