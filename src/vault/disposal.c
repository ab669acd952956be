/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* disposal.c: see disposal.h.  On the vault's thread. */
#include "vault/disposal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/disposal.pb-c.h"
#include "vault/backup.h"
#include "vault/erasure.h"
#include "vault/holds.h"
#include "vault/reviews.h"
#include "vault/traces.h"

typedef Callspan__Disposal__DisposalBatch batch_message;

#define PIECE ((size_t)4 << 20) /* of the file that is read at once */

static const char batch_key[] = "destroying";

static const struct {
	const char *name, *prose;
} kinds[] = {
	[DISPOSAL_EXPIRED] = { "expired", "its time was up" },
	[DISPOSAL_ERASED] = { "erased", "it was erased before its time" },
	[DISPOSAL_RESTORED] = { "restored", "it had been destroyed, and a backup brought it back" },
	[DISPOSAL_LOST] = { "lost", "its files were lost, and it was written off" },
};
#define KINDS (sizeof kinds / sizeof kinds[0])
_Static_assert(KINDS == DISPOSAL_KINDS, "a name for each kind");

const char *disposal_kind_name(enum disposal_kind k)
{
	return kinds[k].name;
}

const char *disposal_state_name(enum disposal_state s)
{
	return s == DISPOSAL_LIVE ? "destroyed-live" : "destroyed";
}

/* A recording on its way out. */
struct doomed {
	struct disposal d;
	struct call_filed filed; /* filed.filed false: it has no row */
	uint64_t bytes;
	bool gone; /* its slot is */
};

struct doom {
	struct vault *v;
	struct doomed *all; /* owned, sorted by segment and slot */
	size_t count;
	const struct person *who; /* NULL: the system */
	struct disposal_sum *sum;
	struct error *err;
	struct backup_following *following; /* owned; NULL: not yet */
	bool told; /* their lines say that they are gone: they are not served, even where a slot cannot be reached now */
	bool left; /* some could not be destroyed */
};

/* ---- looking up ------------------------------------------------------------------------------- */

bool disposal_named(struct vault *v, const char *text, struct error *err)
{
	struct uuid id;
	struct disposal d;
	struct error ignored;
	char when[CLOCK_TEXT];
	if (catalogue_find_in(v, INDEX_META, "d", text, &id, &ignored) != RC_OK ||
	    !disposal_find(v, &id, &d))
		return false;
	clock_local(d.destroyed_us * 1000, when);
	error_set(err, RC_FAILED, "this recording was destroyed on %.10s (%s)", when,
		  kinds[d.kind].prose);
	return true;
}

/* ---- collecting -------------------------------------------------------------------------------- */

static void doom_call(struct doomed *x, const struct call *c, enum disposal_kind kind, int64_t now)
{
	memset(x, 0, sizeof *x);
	x->filed = c->filed;
	x->bytes = c->stored_bytes;
	x->d = (struct disposal){ .id = c->r.id,
				  .start_us = c->r.start_us,
				  .end_us = c->r.end_us,
				  .expiry_us = c->expiry_us,
				  .destroyed_us = now,
				  .kind = kind,
				  .state = DISPOSAL_DONE,
				  .slot = c->slot };
	memcpy(x->d.segment, c->segment, sizeof x->d.segment);
	memcpy(x->d.class, c->class, sizeof x->d.class);
	snprintf(x->d.policy, sizeof x->d.policy, "%.16s", c->r.policy);
}

static int by_place(const void *a, const void *b)
{
	const struct doomed *x = a, *y = b;
	int order = strcmp(x->d.segment, y->d.segment);
	if (order != 0)
		return order;
	return x->d.slot < y->d.slot ? -1 : x->d.slot > y->d.slot;
}

static void sort(struct doom *m)
{
	if (m->count)
		qsort(m->all, m->count, sizeof *m->all, by_place);
}

static enum rc collect(struct doom *m, const struct uuid *ids, size_t n, enum disposal_kind kind)
{
	int64_t now = vault_now_us(m->v);
	m->all = malloc((n + 1) * sizeof *m->all);
	ASSERT(m->all);
	for (size_t i = 0; i < n; i++) {
		struct call *c;
		enum rc rc = catalogue_get(m->v, &ids[i], &c, m->err);
		if (rc == RC_NOT_FOUND)
			continue;
		if (rc != RC_OK)
			return rc;
		doom_call(&m->all[m->count++], c, kind, now);
		call_row_free(c);
	}
	sort(m);
	return RC_OK;
}

/* ---- slots ------------------------------------------------------------------------------------- */

/* How many lie in the segment of the first. */
static size_t group(const struct doomed *x, size_t n)
{
	size_t i = 1;
	while (i < n && strcmp(x[i].d.segment, x[0].d.segment) == 0)
		i++;
	return i;
}

/* `why` NULL: there was no slot to overwrite, nor was it known to be gone. */
static void failed(struct doom *m, const struct doomed *x, const char *why)
{
	char missing[SEGMENT_NAME + 160];
	if (!why) {
		snprintf(missing, sizeof missing,
			 "its slot file is not there (segment %s): put it back, or, if it is lost "
			 "for good, write it off (callspan segment write-off)",
			 x->d.segment);
		why = missing;
	}
	m->left = true;
	if (m->sum->failed++ == 0)
		error_set(&m->sum->first, RC_FAILED, "%s", why);
	log_error("not-destroyed", "segment=%s slot=%u error=\"%s\"", x->d.segment, x->d.slot, why);
}

/* Slots of one slot file.  RC_NOT_FOUND: it is not there. */
static enum rc overwrite_at(struct doom *m, struct doomed *x, size_t n, enum segment_place place,
			    struct slot_end *ends, struct error *why)
{
	char path[STORE_PATH];
	segments_path(path, m->v, place, x[0].d.segment, ".keys");
	if (place == SEGMENT_AT_RECORDER && !disk_is_file(path, NULL))
		return RC_NOT_FOUND; /* whatever else the recorder may have put there */
	uint8_t *was = m->sum->traces ? calloc(n, SLOT_BYTES) : NULL;
	ASSERT(was || !m->sum->traces);
	for (size_t i = 0; i < n; i++)
		ends[i] = (struct slot_end){ .number = x[i].d.slot, .call = x[i].d.id };
	segments_path(path, m->v, place, x[0].d.segment, ".seg");
	enum rc rc = segment_destroy_slots(path, ends, n, was, why);
	for (size_t i = 0; was && rc != RC_NOT_FOUND && i < n; i++)
		traces_add(m->sum->traces, was + i * SLOT_BYTES);
	free(was);
	return rc;
}

/* How a segment stands whose slot file may not be there.  One that still has recordings and is not on its way out has such a
 * file somewhere, out of reach: it is not taken for gone. */
static void how_it_stands(struct doom *m, const char *name, bool *taken, bool *lives)
{
	struct segment_row row;
	struct error ignored;
	enum rc rc = segments_get(m->v, name, &row, &ignored);
	*taken = rc == RC_OK && row.done;
	*lives = rc != RC_NOT_FOUND &&
		 (rc != RC_OK || (row.pending != SEGMENT_GOING && row.calls > 0));
}

/* Wherever a slot file of that segment lies: on the way from the recorder to the vault it may be at both.  What lies at the
 * recorder and is not of these recordings does not count; nor, once the segment was taken, that it is destroyed there. */
static void overwrite_group(struct doom *m, struct doomed *x, size_t n)
{
	static const enum segment_place places[] = { SEGMENT_IN_VAULT, SEGMENT_AT_RECORDER };
	struct error why = { "" };
	struct slot_end *ends = malloc(n * sizeof *ends);
	bool *bad = calloc(n, sizeof *bad), *done = calloc(n, sizeof *done), taken, lives;
	ASSERT(ends && bad && done);
	how_it_stands(m, x[0].d.segment, &taken, &lives);
	for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
		struct error here;
		bool outside = places[p] == SEGMENT_AT_RECORDER;
		enum rc rc = overwrite_at(m, x, n, places[p], ends, &here);
		if (rc == RC_NOT_FOUND)
			continue;
		why = rc == RC_OK || why.text[0] ? why : here;
		for (size_t i = 0; i < n; i++) {
			done[i] |= ends[i].destroyed && !(outside && taken);
			bad[i] |= !ends[i].destroyed && !(outside && ends[i].foreign);
		}
	}
	for (size_t i = 0; i < n; i++) {
		bad[i] |= !done[i] && lives && x[i].d.kind != DISPOSAL_LOST;
		x[i].gone = !bad[i] || m->told;
		x[i].d.absent = !done[i];
		if (bad[i])
			failed(m, &x[i], why.text[0] ? why.text : NULL);
	}
	free(ends);
	free(bad);
	free(done);
}

/* Registered backups follow here, so that no disposal says "destroyed" while a slot lives on in one.  A store without
 * backups has none to wait for. */
static void follow(struct doom *m)
{
	m->following = backup_follow_begin(m->v);
	for (size_t i = 0; i < m->count; i++) {
		if (m->all[i].gone)
			backup_follow_line(m->following, &m->all[i].d);
	}
	bool whole = backup_follow_whole(m->following);
	for (size_t i = 0; i < m->count; i++)
		m->all[i].d.state = whole ? DISPOSAL_DONE : DISPOSAL_LIVE;
}

static void overwrite(struct doom *m)
{
	for (size_t i = 0, n; i < m->count; i += n) {
		n = group(m->all + i, m->count - i);
		overwrite_group(m, m->all + i, n);
	}
	follow(m);
}

/* ---- the commit -------------------------------------------------------------------------------- */

static enum rc update_segments(struct doom *m, struct index_batch *b)
{
	for (size_t i = 0, n; i < m->count; i += n) {
		struct segment_row row;
		uint64_t calls = 0, bytes = 0;
		const char *name = m->all[i].d.segment;
		n = group(m->all + i, m->count - i);
		for (size_t k = i; k < i + n; k++) {
			bool counts = m->all[k].gone && m->all[k].filed.filed;
			calls += counts;
			bytes += counts ? m->all[k].bytes : 0;
		}
		enum rc rc = segments_get(m->v, name, &row, m->err);
		if (rc == RC_NOT_FOUND || (rc == RC_OK && !calls))
			continue;
		if (rc != RC_OK)
			return rc;
		row.calls -= calls < row.calls ? calls : row.calls;
		row.live_bytes -= bytes < row.live_bytes ? bytes : row.live_bytes;
		row.thinned = true;
		segments_put(b, name, &row);
	}
	return RC_OK;
}

static void add_class(struct disposal_sum *s, const struct doomed *x)
{
	unsigned i = 0;
	while (i < s->classes_count && strcmp(s->classes[i].name, x->d.class) != 0)
		i++;
	if (i == DISPOSAL_CLASSES)
		i--; /* more than a policy may have: the last stands for the rest */
	if (i == s->classes_count)
		memcpy(s->classes[s->classes_count++].name, x->d.class, sizeof x->d.class);
	s->classes[i].count++;
	s->classes[i].bytes += x->bytes;
}

static void add_up(struct disposal_sum *s, const struct doomed *x)
{
	if (!s->destroyed || memcmp(x->d.id.b, s->low.b, 16) < 0)
		s->low = x->d.id;
	if (!s->destroyed || memcmp(x->d.id.b, s->high.b, 16) > 0)
		s->high = x->d.id;
	if (!s->destroyed || x->d.start_us < s->first_start_us)
		s->first_start_us = x->d.start_us;
	if (!s->destroyed || x->d.start_us > s->last_start_us)
		s->last_start_us = x->d.start_us;
	s->destroyed++;
	s->absent += x->d.absent;
	s->bytes += x->bytes;
	add_class(s, x);
}

static void note_destroyed(struct doom *m, struct index_batch *b, uint64_t count,
			   const struct doomed *last, const char *text, size_t len)
{
	char detail[256], hex[65];
	uint8_t hash[32];
	digest_sha256(hash, text, len);
	keys_hex(hex, hash, sizeof hash);
	snprintf(detail, sizeof detail,
		 "count=%" PRIu64 " kind=%s lines=%" PRIu64 "-%" PRIu64 " sha256=%s", count,
		 disposal_kind_name(last->d.kind), m->v->disposals_end, m->v->disposals_end + len,
		 hex);
	audit_note(m->v, b,
		   &(struct audit_entry){ .person = m->who ? m->who->name : NULL,
					  .role = m->who ? people_role_name(m->who->role) : NULL,
					  .action = "destroyed",
					  .call = count == 1 ? &last->d.id : NULL,
					  .outcome = "done",
					  .detail = detail });
}

static void remove_rows(struct doom *m, struct index_batch *b)
{
	struct catalogue_gone *gone = malloc((m->count + 1) * sizeof *gone);
	size_t filed = 0;
	ASSERT(gone);
	for (size_t i = 0; i < m->count; i++) {
		struct doomed *x = &m->all[i];
		if (x->gone && x->filed.filed)
			gone[filed++] = (struct catalogue_gone){ &x->d.id, &x->filed };
	}
	catalogue_remove(b, gone, filed);
	free(gone);
}

/* Their rows, what people have said of them, and disposal rows instead.  Kind after kind, for the index takes keys that follow
 * one another fastest.  *count: how many went; *last: one of them. */
static enum rc exchange_rows(struct doom *m, struct index_batch *b, uint64_t *count,
			     const struct doomed **last)
{
	struct vault *v = m->v;
	bool erasures = erasure_any(v);
	enum rc rc = RC_OK;
	remove_rows(m, b);
	for (size_t i = 0; i < m->count && rc == RC_OK; i++) {
		struct doomed *x = &m->all[i];
		if (!x->gone)
			continue;
		holds_forget(v, b, &x->d.id);
		rc = reviews_forget(v, b, &x->d.id, m->err);
		if (erasures)
			erasure_forget(v, b, &x->d.id);
		disposal_row_put(b, &x->d);
		*last = x;
		++*count;
	}
	return rc;
}

/* Everything that the index knows of those whose slots are gone goes in one commit.  `text` are their lines. */
static enum rc commit(struct doom *m, const char *text, size_t len)
{
	struct vault *v = m->v;
	struct index_batch *b = index_batch_new(v->index);
	const struct doomed *last = NULL;
	uint64_t count = 0;
	enum rc rc = exchange_rows(m, b, &count, &last);
	if (rc == RC_OK)
		rc = update_segments(m, b);
	if (rc != RC_OK) {
		audit_drop(v, b);
		return rc;
	}
	/* What could not be destroyed may be gone all the same: disposal_settle() looks. */
	if (!m->left && !m->told)
		index_batch_delete(b, INDEX_META, batch_key, sizeof batch_key - 1);
	if (last) {
		disposal_row_note(b, v->disposals_end + len, v->disposals_count + count);
		note_destroyed(m, b, count, last, text, len);
	}
	rc = audit_commit(v, b, m->err);
	if (rc != RC_OK)
		return rc;
	v->disposals_end += len;
	v->disposals_count += count;
	backup_follow_end(m->following, v->disposals_end);
	m->following = NULL;
	for (size_t i = 0; i < m->count; i++) {
		if (m->all[i].gone)
			add_up(m->sum, &m->all[i]);
	}
	return RC_OK;
}

/* ---- destroying -------------------------------------------------------------------------------- */

/* Which are at work, so that one that is cut short is finished. */
static enum rc note_batch(struct doom *m, enum disposal_kind kind)
{
	batch_message b;
	struct person none = { .name = "" }, who = m->who ? *m->who : none;
	char role[32];
	callspan__disposal__disposal_batch__init(&b);
	b.ids.len = m->count * 16;
	b.ids.data = malloc(b.ids.len + 1);
	ASSERT(b.ids.data);
	for (size_t i = 0; i < m->count; i++)
		memcpy(b.ids.data + i * 16, m->all[i].d.id.b, 16);
	b.kind = kind;
	b.person = who.name;
	snprintf(role, sizeof role, "%s", m->who ? people_role_name(who.role) : "");
	b.role = role;
	size_t len = callspan__disposal__disposal_batch__get_packed_size(&b);
	uint8_t *bytes = malloc(len + 1);
	ASSERT(bytes);
	callspan__disposal__disposal_batch__pack(&b, bytes);
	struct index_batch *batch = index_batch_new(m->v->index);
	index_batch_put(batch, INDEX_META, batch_key, sizeof batch_key - 1, bytes, len);
	free(bytes);
	free(b.ids.data);
	forget_bytes(&who, sizeof who);
	return index_batch_commit(batch, m->err);
}

static char *make_lines(const struct doom *m, size_t *len)
{
	char *text = malloc(m->count * DISPOSAL_LINE + 1);
	ASSERT(text);
	*len = 0;
	for (size_t i = 0; i < m->count; i++) {
		if (m->all[i].gone)
			*len += disposal_file_line(text + *len, &m->all[i].d);
	}
	return text;
}

/* Once a slot may be overwritten, what fails leaves the rest to disposal_settle(). */
static enum rc destroy(struct doom *m, enum disposal_kind kind)
{
	struct vault *v = m->v;
	size_t len;
	enum rc rc =
		disposal_file_reserve(v, v->disposals_end, m->count * DISPOSAL_LINE / 2, m->err);
	if (rc == RC_OK)
		rc = note_batch(m, kind);
	if (rc != RC_OK)
		return rc;
	v->disposals_open = true;
	overwrite(m);
	char *text = make_lines(m, &len);
	uint64_t begin = v->disposals_end;
	rc = len ? disposal_file_append(v, begin, text, len, m->err) : RC_OK;
	if (rc == RC_OK)
		rc = commit(m, text, len);
	free(text);
	if (rc != RC_OK)
		return rc;
	v->disposals_open = m->left;
	if (len && !m->sum->end)
		m->sum->begin = begin;
	if (len)
		m->sum->end = v->disposals_end;
	return RC_OK;
}

enum rc disposal_destroy(struct vault *v, const struct uuid *ids, size_t n, enum disposal_kind kind,
			 const struct person *who, struct disposal_sum *sum, struct error *err)
{
	struct doom m = { .v = v, .who = who, .sum = sum, .err = err };
	ASSERT(n <= DISPOSAL_BATCH);
	enum rc rc = v->disposals_open ? disposal_settle(v, err) : RC_OK;
	if (rc == RC_OK)
		rc = collect(&m, ids, n, kind);
	if (rc == RC_OK && m.count)
		rc = destroy(&m, kind);
	backup_follow_free(m.following);
	free(m.all);
	return rc;
}

/* ---- settling ---------------------------------------------------------------------------------- */

/* A line of the file, and the row that its recording still has. */
static enum rc take_line(struct doom *m, const char *line, size_t len)
{
	struct doomed *x = &m->all[m->count];
	struct call *c;
	memset(x, 0, sizeof *x);
	if (!disposal_file_parse(&x->d, line, len)) {
		log_error("disposals-damaged", "what=\"a line that is none\"");
		return RC_OK;
	}
	enum rc rc = catalogue_get(m->v, &x->d.id, &c, m->err);
	if (rc == RC_OK) {
		x->filed = c->filed;
		x->bytes = c->stored_bytes;
		call_row_free(c);
	}
	m->count++;
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

/* Lines that no commit knows of: what they say is done again, all of it. */
static enum rc apply_lines(struct vault *v, const char *text, size_t len, struct error *err)
{
	struct disposal_sum sum = { 0 };
	struct doom m = { .v = v, .sum = &sum, .err = err, .told = true };
	size_t lines = 0;
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	m.all = malloc((lines + 1) * sizeof *m.all);
	ASSERT(m.all);
	enum rc rc = RC_OK;
	for (const char *at = text; at < text + len && rc == RC_OK;) {
		const char *end = memchr(at, '\n', (size_t)(text + len - at));
		rc = take_line(&m, at, (size_t)(end - at));
		at = end + 1;
	}
	sort(&m);
	if (rc == RC_OK)
		overwrite(&m);
	if (rc == RC_OK && m.count)
		rc = commit(&m, text, len);
	else
		v->disposals_end += rc == RC_OK ? len : 0;
	backup_follow_free(m.following);
	free(m.all);
	return rc;
}

static enum rc settle_lines(struct vault *v, struct error *err)
{
	uint64_t size = disposal_file_size(v);
	char *text = NULL;
	size_t len = 0;
	if (size < v->disposals_end)
		return error_set(err, RC_DAMAGED,
				 "%s/vault/disposals is shorter than it was: recordings that were "
				 "destroyed may be missing from it",
				 v->store);
	enum rc rc = RC_OK;
	while (rc == RC_OK && v->disposals_end < size) {
		rc = disposal_file_read(v, v->disposals_end, PIECE, &text, &len, err);
		if (rc == RC_OK && len)
			rc = apply_lines(v, text, len, err);
		free(text);
		if (rc != RC_OK || len)
			continue;
		/* What is left of a line that was being written. */
		rc = disposal_file_cut(v, v->disposals_end, err);
		size = v->disposals_end;
	}
	return rc;
}

static bool slot_is_gone(struct vault *v, const struct call *c)
{
	struct segment *s;
	struct slot slot;
	struct error ignored;
	return segments_open(v, c->segment, &s, &ignored) == RC_OK &&
	       segment_slot(s, c->slot, &slot, &ignored) == RC_OK && slot.destroyed;
}

/* Those of a batch that was cut short whose slots are gone. */
static enum rc finish_batch(struct vault *v, const batch_message *m, struct error *err)
{
	struct disposal_sum sum = { 0 };
	struct person who = { .role = ROLE_NONE };
	size_t n = 0, most = m->ids.len / 16;
	struct uuid *ids = malloc((most + 1) * sizeof *ids);
	enum rc rc = RC_OK;
	ASSERT(ids);
	for (size_t i = 0; i < most && n < DISPOSAL_BATCH && rc == RC_OK; i++) {
		struct call *c = NULL;
		memcpy(ids[n].b, m->ids.data + i * 16, 16);
		rc = catalogue_get(v, &ids[n], &c, err);
		if (rc == RC_OK && slot_is_gone(v, c))
			n++;
		rc = rc == RC_NOT_FOUND ? RC_OK : rc;
		call_row_free(c);
	}
	segments_forget_open(v);
	snprintf(who.name, sizeof who.name, "%s", m->person);
	for (unsigned bit = ROLE_CONTROLLER; bit <= ROLE_OPERATOR; bit <<= 1) {
		if (strcmp(m->role, people_role_name((enum role)bit)) == 0)
			who.role = (enum role)bit;
	}
	enum disposal_kind kind = m->kind < KINDS ? (enum disposal_kind)m->kind : DISPOSAL_EXPIRED;
	if (rc == RC_OK && n) {
		log_warning("destruction-finished", "count=%zu", n);
		rc = disposal_destroy(v, ids, n, kind, &who, &sum, err);
	}
	free(ids);
	return rc;
}

static enum rc settle_batch(struct vault *v, struct error *err)
{
	uint8_t *value;
	size_t len;
	enum rc rc =
		index_get(v->index, INDEX_META, batch_key, sizeof batch_key - 1, &value, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	batch_message *m = callspan__disposal__disposal_batch__unpack(NULL, len, value);
	free(value);
	if (m)
		rc = finish_batch(v, m, err);
	callspan__disposal__disposal_batch__free_unpacked(m, NULL);
	if (rc != RC_OK)
		return rc;
	struct index_batch *b = index_batch_new(v->index);
	index_batch_delete(b, INDEX_META, batch_key, sizeof batch_key - 1);
	return index_batch_commit(b, err);
}

enum rc disposal_settle(struct vault *v, struct error *err)
{
	v->disposals_open = false;
	enum rc rc = disposal_row_read_note(v, err);
	if (rc == RC_OK)
		rc = settle_lines(v, err);
	if (rc == RC_OK)
		rc = settle_batch(v, err);
	v->disposals_open = rc != RC_OK;
	return rc;
}
