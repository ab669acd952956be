/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* ingest.c: what recorders have written becomes rows, exactly once; closed segments are taken over.
 *
 *   for each segment not yet done:
 *     its writer lives?  yes: take in records up to the last good attest
 *                        no:  take in all; end the calls left open; remember size and last attest;
 *                             move the files out of the recorder's reach
 *
 * Rows and the segment's cursor are committed together, so wherever we are killed the next run goes on from
 * there to the same index.  Each commit gives way to others (turn.h); calls that are held in memory are read again where
 * anybody has written meanwhile.  Of an open segment only what is new is verified; all of it once, when it has been closed.
 * A damaged segment is taken in as far as it can be read, flagged and audited; it
 * stops nothing else.  Nothing a segment says is believed further than its slots: a call belongs to the segment
 * and slot that first brought it, and no other segment can change it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vault/disposal.h"
#include "vault/hold.h"
#include "vault/parts.h"
#include "vault/timekeeper.h"

#define HELD_MOST    8000 /* calls in memory */
#define LIVE_TRIES   3
#define RECORD_BYTES 24 /* of a record's header */

static const struct ingest_limits usual = { .calls_a_batch = INGEST_BATCH, .commits = 0 };

/* A slot of the segment in hand. */
struct place {
	struct call *call; /* owned; NULL until its first record is met */
	struct call_keys keys;
	bool tried;   /* the keys were opened, or cannot be */
	bool skip;    /* destroyed, or not to be believed */
	bool put_off; /* was let go of, and has still to be settled */
	bool dirty;
};

struct taking {
	struct vault *v;
	const struct ingest_limits *limits;
	unsigned commits;
	const char *name;
	struct segment *s;
	bool live;
	struct segment_row row;
	bool fault; /* this run has found something; row.damaged: some run has */
	struct segment_report report;
	struct place *places;
	uint32_t places_count;
	unsigned dirty, held; /* places with a call that changed; with a call */
	struct index_batch *batch;
	struct hold_net **net; /* borrowed: made anew where others have written */
	struct error *err;
};

/* ---- damage --------------------------------------------------------------------------------------- */

/* Flag the segment, once; the entry goes with the next commit. */
static void damaged(struct taking *t, const char *what)
{
	t->fault = true;
	if (t->row.damaged)
		return;
	t->row.damaged = true;
	snprintf(t->row.what, sizeof t->row.what, "%s", what);
	char detail[SEGMENT_NAME + sizeof t->row.what + 4];
	snprintf(detail, sizeof detail, "%s: %s", t->name, t->row.what);
	audit_note(t->v, t->batch,
		   &(struct audit_entry){ .action = "segment-damaged", .detail = detail });
	log_warning("segment-damaged", "segment=%s what=\"%s\"", t->name, t->row.what);
}

static void damaged_at(struct taking *t, const struct segment_record *r, const char *what)
{
	char text[128];
	snprintf(text, sizeof text, "offset %llu: %s", (unsigned long long)r->offset, what);
	damaged(t, text);
}

/* ---- committing --------------------------------------------------------------------------------- */

/* A conversation that has moved takes its holds with it before any row of the batch is held against them. */
static enum rc follow_dirty(struct taking *t)
{
	enum rc rc = RC_OK;
	for (uint32_t i = 0; i < t->places_count && rc == RC_OK; i++) {
		if (t->places[i].dirty)
			rc = hold_net_follow(*t->net, t->batch, t->places[i].call, t->err);
	}
	return rc;
}

/* The metadata key, which costs more than all else about a call: opened where something sealed is to be read or
 * written, and not for a chunk more. */
static void open_keys(struct taking *t, struct place *p, uint32_t number)
{
	struct error why;
	if (p->tried)
		return;
	p->tried = true;
	if (segment_keys(t->s, number, NULL, &t->v->keys.metadata, &p->keys, &why) != RC_OK) {
		damaged(t, why.text);
		p->keys.has_metadata = false;
	} else if (p->call->filed.filed) {
		(void)call_row_open(p->call, &p->keys);
	}
}

static void put_dirty(struct taking *t)
{
	for (uint32_t i = 0; i < t->places_count && t->dirty; i++) {
		struct place *p = &t->places[i];
		if (!p->dirty)
			continue;
		ASSERT(p->call); /* only a call is ever changed */
		p->dirty = false;
		t->dirty--;
		if (p->call->stale || !hold_net_empty(*t->net))
			open_keys(t, p, i);
		p->call->expiry_us = catalogue_expiry(t->v, p->call);
		catalogue_put(t->batch, p->call, &p->keys);
		hold_net_catch(*t->net, t->batch, p->call);
	}
}

static void free_place(struct taking *t, struct place *p)
{
	t->held -= p->call ? 1 : 0;
	call_row_free(p->call);
	forget_bytes(&p->keys, sizeof p->keys);
	p->call = NULL;
	p->tried = false;
}

/* Let go of all calls, so that they are read again where they are needed; none is dirty. */
static void put_off(struct taking *t)
{
	for (uint32_t i = 0; i < t->places_count; i++) {
		struct place *p = &t->places[i];
		p->put_off |= p->call != NULL;
		free_place(t, p);
	}
}

/* Others may have done anything meanwhile: to these calls, to holds, to this segment's row. */
static enum rc give_way(struct taking *t)
{
	uint64_t commits = index_commits(t->v->index);
	vault_give_way(t->v);
	bool same = index_commits(t->v->index) == commits;
	if (!same || t->held > HELD_MOST)
		put_off(t);
	if (same)
		return RC_OK;
	hold_net_free(*t->net);
	*t->net = NULL;
	enum rc rc = hold_net_open(t->v, t->net, t->err);
	return rc == RC_OK ? segments_get(t->v, t->name, &t->row, t->err) : rc;
}

/* Rows and cursor together.  RC_AGAIN: that is all that was asked for. */
static enum rc commit_here(struct taking *t)
{
	const struct ingest_limits *l = t->limits;
	enum rc rc = t->dirty ? follow_dirty(t) : RC_OK;
	if (rc != RC_OK)
		return rc;
	put_dirty(t);
	segments_put(t->batch, t->name, &t->row);
	timekeeper_note(t->v, t->batch, false);
	rc = audit_commit(t->v, t->batch, t->err);
	t->batch = index_batch_new(t->v->index);
	if (rc == RC_OK && ((l->commits && ++t->commits >= l->commits) ||
			    (l->stop && __atomic_load_n(l->stop, __ATOMIC_RELAXED))))
		return RC_AGAIN;
	return rc;
}

static enum rc commit(struct taking *t)
{
	enum rc rc = commit_here(t);
	return rc == RC_OK ? give_way(t) : rc;
}

/* ---- records ------------------------------------------------------------------------------------- */

static void mark_dirty(struct taking *t, struct place *p)
{
	t->dirty += p->dirty ? 0 : 1;
	p->dirty = true;
}

/* The place of a slot number; the slot file bounds how many there can be. */
static struct place *place_of(struct taking *t, uint32_t slot)
{
	if (slot >= segment_slots(t->s))
		return NULL;
	if (slot >= t->places_count) {
		uint32_t count = segment_slots(t->s);
		t->places = realloc(t->places, count * sizeof *t->places);
		ASSERT(t->places);
		memset(t->places + t->places_count, 0,
		       (count - t->places_count) * sizeof *t->places);
		t->places_count = count;
	}
	return &t->places[slot];
}

/* Nothing but this segment's slot may speak of a call that came from it. */
static bool belongs(struct taking *t, const struct call *c, uint32_t slot)
{
	if (strcmp(c->segment, t->name) == 0 && c->slot == slot)
		return true;
	damaged(t, "a slot names a call that belongs to another segment or slot");
	return false;
}

static struct call *new_call(struct taking *t, const struct slot *slot)
{
	struct call *c = call_row_new(&slot->call);
	c->r.start_us = slot->start_us;
	snprintf(c->segment, sizeof c->segment, "%s", t->name);
	snprintf(c->class, sizeof c->class, "%s", segment_class(t->s));
	c->slot = slot->number;
	c->opened = true;
	c->stale = true;
	t->row.calls++;
	return c;
}

/* A recording that was destroyed has come back, out of a copy of its segment and slots: nothing of it is taken in.  Where its
 * slot cannot be overwritten, verify tells. */
static enum rc destroy_again(struct taking *t, const struct slot *slot)
{
	char path[STORE_PATH];
	struct error why = { "" };
	struct slot_end end = { .number = slot->number, .call = slot->call };
	t->row.thinned = true;
	(void)segments_locate(t->v, t->name, path);
	enum rc rc = segment_destroy_slots(path, &end, 1, NULL, &why);
	audit_note(t->v, t->batch,
		   &(struct audit_entry){ .action = "destroyed-again",
					  .call = &slot->call,
					  .outcome = rc == RC_OK ? "done" : "failed",
					  .detail = t->name });
	log_warning("destroyed-again", "segment=%s slot=%u error=\"%s\"", t->name, slot->number,
		    why.text);
	return RC_OK;
}

/* The call of a slot, from the index or new; skip: to be left alone. */
static enum rc open_place(struct taking *t, struct place *p, uint32_t number)
{
	struct slot slot;
	struct error why;
	enum rc rc = segment_slot(t->s, number, &slot, &why);
	p->skip = true;
	t->row.thinned |= rc == RC_OK && slot.destroyed;
	if (rc != RC_OK || slot.destroyed || uuid_is_nil(&slot.call))
		return RC_OK;
	if (disposal_find(t->v, &slot.call, NULL))
		return destroy_again(t, &slot);
	rc = catalogue_get(t->v, &slot.call, &p->call, t->err);
	if (rc == RC_OK && !belongs(t, p->call, number)) {
		call_row_free(p->call);
		p->call = NULL;
		return RC_OK;
	}
	if (rc == RC_NOT_FOUND)
		p->call = new_call(t, &slot);
	else if (rc != RC_OK)
		return rc;
	p->skip = false;
	t->held++;
	return RC_OK;
}

static void take_call(struct taking *t, struct place *p, const struct segment_record *r,
		      const uint8_t *body, size_t len)
{
	struct call_record fresh;
	struct call *c = p->call;
	if (!call_record_unpack(&fresh, body, len) || !uuid_equal(&fresh.id, &c->r.id)) {
		damaged_at(t, r, "a call record that is not one, or of another call");
	} else {
		c->r = fresh;
		c->opened = true;
		c->stale = true;
		catalogue_parties(t->v, c);
	}
	forget_bytes(&fresh, sizeof fresh);
}

static void take_stream(struct taking *t, struct place *p, const struct segment_record *r,
			const uint8_t *body, size_t len)
{
	struct stream_record fresh;
	if (!stream_record_unpack(&fresh, body, len) || fresh.stream != r->stream) {
		damaged_at(t, r, "a stream record that is not one, or of another stream");
		return;
	}
	*call_row_stream(p->call, fresh.stream) = fresh;
	p->call->stale |= p->call->opened;
}

static void take_sealed(struct taking *t, struct place *p, const struct segment_record *r)
{
	open_keys(t, p, r->slot);
	if (!p->keys.has_metadata)
		return;
	uint8_t *body = malloc(r->body_len + 1);
	ASSERT(body);
	if (r->body_len < 16 || !segment_unseal(t->s, r, &p->keys, body))
		damaged_at(t, r, "the record was altered");
	else if (r->type == RECORD_CALL)
		take_call(t, p, r, body, r->body_len - 16);
	else
		take_stream(t, p, r, body, r->body_len - 16);
	forget_bytes(body, r->body_len);
	free(body);
}

static enum rc take_record(struct taking *t, const struct segment_record *r)
{
	t->row.records++;
	if (r->type == RECORD_ATTEST && r->attested) {
		digest_sha256(t->row.last_attest, r->body, r->body_len);
		t->row.has_last_attest = true;
	}
	if (r->type < RECORD_SLOT || r->type > RECORD_SIGNALLING)
		return RC_OK;
	struct place *p = place_of(t, r->slot);
	if (!p) {
		damaged_at(t, r, "a record of a slot that is not there");
		return RC_OK;
	}
	if (!p->call && !p->skip) {
		enum rc rc = open_place(t, p, r->slot);
		if (rc != RC_OK)
			return rc;
	}
	if (p->skip)
		return RC_OK;
	struct call *c = p->call;
	if (!c->records++)
		c->first_offset = r->offset;
	c->stored_bytes += RECORD_BYTES + r->body_len;
	t->row.live_bytes += RECORD_BYTES + r->body_len;
	c->last_offset = r->offset;
	c->chunks += r->type == RECORD_CHUNK;
	c->messages += r->type == RECORD_SIGNALLING;
	c->attested &= r->attested;
	segments_digest(c->digest, r);
	if (r->type == RECORD_CALL || r->type == RECORD_STREAM)
		take_sealed(t, p, r);
	mark_dirty(t, p);
	return RC_OK;
}

static enum rc take_records(struct taking *t)
{
	uint64_t offset = t->row.cursor ? t->row.cursor : segment_first(t->s);
	uint64_t stop = t->live ? t->report.attested_end : UINT64_MAX;
	struct segment_record r;
	while (offset < stop && segment_next(t->s, &offset, &r) == RC_OK) {
		enum rc rc = take_record(t, &r);
		t->row.cursor = offset;
		if (rc == RC_OK && t->dirty >= t->limits->calls_a_batch)
			rc = commit(t);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* ---- when the writer has gone --------------------------------------------------------------------- */

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The recorder stopped before it could end the call: it ends with the last that is known of it. */
static void end_call(struct call *c)
{
	struct call_record *r = &c->r;
	int64_t end = later(later(r->start_us, r->ring_us), later(r->answer_us, r->end_us));
	for (size_t i = 0; i < c->streams_count; i++)
		end = later(end, c->streams[i].end_us);
	for (uint32_t i = 0; i < r->holds_count; i++)
		end = later(end, later(r->holds[i].from_us, r->holds[i].to_us));
	r->end_us = end;
	r->state = CALL_ENDED;
	r->ended_by = ENDED_BY_CAPTURE_END;
	if (r->outcome == OUTCOME_NONE)
		r->outcome = r->answer_us ? OUTCOME_ANSWERED : OUTCOME_UNANSWERED;
	if (r->coverage_count < COVERAGE_MAX)
		snprintf(r->coverage[r->coverage_count++], sizeof r->coverage[0],
			 "recorder-stopped");
	c->recorder_stopped = true;
}

/* The row of a slot that brought no record in this run, or was put off. */
static enum rc recall(struct taking *t, uint32_t number, struct place *p)
{
	struct slot slot;
	struct error why;
	if (segment_slot(t->s, number, &slot, &why) != RC_OK || slot.destroyed ||
	    uuid_is_nil(&slot.call))
		return RC_NOT_FOUND;
	enum rc rc = catalogue_get(t->v, &slot.call, &p->call, t->err);
	if (rc == RC_OK && (strcmp(p->call->segment, t->name) != 0 || p->call->slot != number)) {
		call_row_free(p->call);
		p->call = NULL;
		return RC_NOT_FOUND;
	}
	t->held += rc == RC_OK;
	return rc;
}

/* End what is open; put into the audit trail what has ended. */
static enum rc settle(struct taking *t, bool closing)
{
	uint32_t slots = closing ? segment_slots(t->s) : t->places_count;
	for (uint32_t i = 0; i < slots; i++) {
		struct place *p = place_of(t, i);
		bool wanted = !p->call && !p->skip && (closing || p->put_off);
		enum rc rc = wanted ? recall(t, i, p) : RC_OK;
		if (rc != RC_OK && rc != RC_NOT_FOUND)
			return rc;
		if (!p->call)
			continue;
		if (closing && p->call->r.state != CALL_ENDED) {
			end_call(p->call);
			mark_dirty(t, p);
		}
		recorded_note(t->v, t->batch, p->call);
		p->put_off = false;
		rc = t->dirty >= t->limits->calls_a_batch ? commit(t) : RC_OK;
		if (rc != RC_OK)
			return rc;
		p = &t->places[i];
		if (!p->dirty) {
			free_place(t, p);
			p->skip = true;
		}
	}
	return RC_OK;
}

/* The first closing is remembered; later ones (after a reindex) are held against it, and when all is as it was, an
 * earlier fault is over. */
static void remember(struct taking *t)
{
	struct segment_row *row = &t->row;
	uint64_t keys_bytes = segments_keys_bytes(t->v, t->name);
	if (row->closed_bytes) {
		if (row->rewritten != segment_is_rewritten(t->s) ||
		    row->closed_bytes != t->report.file_bytes ||
		    row->closed_keys_bytes != keys_bytes ||
		    row->has_closed_attest != row->has_last_attest ||
		    memcmp(row->closed_attest, row->last_attest, 32) != 0)
			damaged(t, "it is not what it was when it was closed");
		if (row->damaged && !t->fault)
			segments_found_whole(t->v, t->batch, t->name, row);
		return;
	}
	row->rewritten = segment_is_rewritten(t->s);
	row->closed_bytes = t->report.file_bytes;
	row->closed_keys_bytes = keys_bytes;
	row->has_closed_attest = row->has_last_attest;
	memcpy(row->closed_attest, row->last_attest, 32);
}

/* Done with it: first the rows, then the move.  Killed in between, finish_done() moves it; nobody else sees it between the two. */
static enum rc finish(struct taking *t)
{
	t->row.done = true;
	enum rc rc = commit_here(t);
	segment_close(t->s);
	t->s = NULL;
	if (rc == RC_OK)
		rc = segments_take(t->v, t->name, t->err);
	if (rc == RC_OK)
		rc = give_way(t);
	return rc == RC_NOT_FOUND ? RC_OK : rc; /* a purge has removed it meanwhile */
}

static enum rc close_segment(struct taking *t)
{
	enum rc rc = settle(t, true);
	if (rc != RC_OK)
		return rc;
	t->row.unattested_tail = t->report.attested_end < t->report.valid_end;
	remember(t);
	return finish(t);
}

/* ---- one segment ------------------------------------------------------------------------------------ */

/* Its file's name must be what its header says: NAME = HOUR-CLASS-ID. */
static bool well_named(const struct taking *t)
{
	struct uuid id = segment_id(t->s);
	char text[UUID_TEXT], tail[SEGMENT_NAME];
	int n = snprintf(tail, sizeof tail, "-%s-%s", segment_class(t->s), uuid_text(&id, text));
	size_t len = strlen(t->name);
	return n > 0 && len > (size_t)n && strcmp(t->name + len - (size_t)n, tail) == 0;
}

/* Open it knowing whether its writer lives: once that is gone, the file is all there. */
static enum rc open_segment(struct taking *t)
{
	char path[STORE_PATH];
	(void)segments_locate(t->v, t->name, path);
	enum rc rc = segments_map(t->v, path, &t->s, t->err);
	if (rc != RC_OK)
		return rc;
	t->live = segment_is_live(t->s);
	if (t->live)
		return RC_OK;
	segment_close(t->s);
	t->s = NULL;
	return segments_map(t->v, path, &t->s, t->err);
}

/* A file that cannot be opened as a segment is flagged and taken away from the recorder. */
static enum rc take_unreadable(struct taking *t, enum rc why)
{
	if (why != RC_DAMAGED)
		return why;
	damaged(t, t->err->text);
	return finish(t);
}

static enum rc look_at(struct taking *t)
{
	const uint8_t *key = segments_signer(t->v, t->s);
	return t->live ? segment_verify_on(t->s, key, &t->row.verified, &t->report)
		       : segment_verify(t->s, key, &t->report);
}

/* While its writer works, a fault must show again before it counts. */
static enum rc verify_segment(struct taking *t)
{
	enum rc rc = look_at(t);
	for (int i = 1; i < LIVE_TRIES && rc != RC_OK && t->live; i++) {
		segment_close(t->s);
		t->s = NULL;
		rc = open_segment(t);
		if (rc != RC_OK)
			return rc;
		rc = look_at(t);
	}
	if (rc != RC_OK)
		damaged(t, t->report.what);
	return RC_OK;
}

static enum rc take_open_segment(struct taking *t)
{
	enum rc rc = verify_segment(t);
	if (rc != RC_OK)
		return rc;
	if (!t->row.cursor)
		t->row.calls = 0; /* of one that was not there when the index was made anew */
	if (!well_named(t))
		damaged(t, "its name is not what its header says");
	if (t->row.cursor > t->report.valid_end)
		damaged(t, "it is shorter than it was");
	t->row.seen_bytes = t->report.file_bytes;
	t->row.attested_end = t->report.attested_end;
	rc = take_records(t);
	if (rc != RC_OK)
		return rc;
	if (!t->live)
		return close_segment(t);
	rc = settle(t, false);
	return rc == RC_OK ? commit(t) : rc;
}

static void let_go(struct taking *t)
{
	segment_close(t->s);
	for (uint32_t i = 0; i < t->places_count; i++)
		free_place(t, &t->places[i]);
	free(t->places);
	audit_drop(t->v, t->batch);
}

/* A segment that is done: what is left to do is to move it, if we were killed before that. */
static enum rc finish_done(struct taking *t)
{
	if (!segments_waits(t->v, t->name) || !putback_may_take(t->v, t->name, &t->row))
		return RC_OK;
	enum rc rc = segments_take(t->v, t->name, t->err);
	if (rc != RC_DAMAGED)
		return rc;
	unsigned ended;
	bool flag = !putback_end(t->v, t->batch, t->name, &ended) && !t->row.damaged;
	if (flag)
		damaged(t, t->err->text);
	return flag || ended ? commit(t) : RC_OK;
}

static enum rc take_segment(struct taking *t)
{
	uint64_t size = 0;
	char path[STORE_PATH];
	enum rc rc = segments_get(t->v, t->name, &t->row, t->err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	rc = segments_half_taken(t->v, t->name) ? segments_take(t->v, t->name, t->err) : RC_OK;
	if (rc != RC_OK)
		return rc;
	/* What is gone may come back, so nothing is remembered of it: verify tells as long as it lasts. */
	if (segments_locate(t->v, t->name, path) == SEGMENT_NOWHERE ||
	    (t->row.closed_bytes && !t->row.done && segments_missing(t->v, t->name, &t->row)))
		return RC_OK;
	if (t->row.done)
		return finish_done(t);
	rc = open_segment(t);
	if (rc != RC_OK)
		return take_unreadable(t, rc);
	if (t->live && disk_is_file(path, &size) && size == t->row.seen_bytes &&
	    t->row.cursor >= t->row.attested_end)
		return RC_OK; /* nothing new since the last time */
	return take_open_segment(t);
}

enum rc ingest_segment(struct vault *v, const char *name, const struct ingest_limits *limits,
		       unsigned *commits, struct hold_net **net, struct error *err)
{
	struct taking t = { .v = v,
			    .limits = limits ? limits : &usual,
			    .commits = *commits,
			    .name = name,
			    .batch = index_batch_new(v->index),
			    .net = net,
			    .err = err };
	enum rc rc = take_segment(&t);
	*commits = t.commits;
	let_go(&t);
	return rc;
}
