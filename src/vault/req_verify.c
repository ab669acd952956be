/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_verify.c: is every recording still what the recorder wrote?
 *
 * Each segment is held against four things:
 *   itself            CRCs, attests signed by the enrolled recorder, slots, footer (segment_verify)
 *   the vault's memory of it: there, as long and with the same last attest as when it was closed
 *   its keys          every sealed record opens (audio too, where the audio secret is at hand)
 *   the index         each call's digest is that of its row, and that of its entry in the audit trail
 *
 * The first and the third are read while others have their turn (turn.h).  Where these have changed what is remembered of the
 * segment meanwhile (more was taken in, some of it destroyed, it was written anew), it is read again, alone.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vault/access.h"
#include "vault/disposal.h"

#define LIVE_TRIES 3
#define GCM_TAG    16

struct slot_check {
	struct uuid call; /* whose it is, by its slot record; nil: there was none */
	uint8_t digest[32];
	uint64_t records;
	struct call_keys keys;
	bool tried;
	bool destroyed;
};

struct check {
	struct vault *v;
	const char *name;
	struct segment *s;
	struct segment_row row;
	struct segment_report report;
	enum segment_place place;
	bool live;
	uint8_t last_attest[32];
	bool has_last_attest;
	struct {
		struct seal_pair metadata, audio;
		bool has_audio;
		uint8_t signer[32];
	} keys; /* as they were when it was read */
	struct slot_check *slots;
	uint32_t slots_count;
	uint64_t calls; /* found by their slots, or destroyed */
	char what[512]; /* the first thing found; empty: none */
};

static void found(struct check *k, const char *what)
{
	if (!k->what[0])
		snprintf(k->what, sizeof k->what, "%s", what);
}

static void found_at(struct check *k, uint64_t offset, const char *what)
{
	char text[160];
	snprintf(text, sizeof text, "offset %" PRIu64 ": %s", offset, what);
	found(k, text);
}

/* ---- records and keys ------------------------------------------------------------------------------------- */

static void open_slot(struct check *k, uint32_t n)
{
	struct slot_check *slot = &k->slots[n];
	struct error why;
	const struct seal_pair *audio = k->keys.has_audio ? &k->keys.audio : NULL;
	slot->tried = true;
	enum rc rc = segment_keys(k->s, n, audio, &k->keys.metadata, &slot->keys, &why);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		found(k, why.text);
}

static void check_sealed(struct check *k, const struct segment_record *r)
{
	struct slot_check *slot = &k->slots[r->slot];
	if (!slot->tried)
		open_slot(k, r->slot);
	if (r->type == RECORD_CHUNK ? !slot->keys.has_audio : !slot->keys.has_metadata)
		return;
	uint8_t *body = malloc(r->body_len + 1);
	ASSERT(body);
	if (r->body_len < GCM_TAG || !segment_unseal(k->s, r, &slot->keys, body))
		found_at(k, r->offset, "the record was altered");
	forget_bytes(body, r->body_len);
	free(body);
}

static void check_record(struct check *k, const struct segment_record *r)
{
	if (r->type == RECORD_ATTEST && r->attested) {
		digest_sha256(k->last_attest, r->body, r->body_len);
		k->has_last_attest = true;
	}
	if (r->type < RECORD_SLOT || r->type > RECORD_SIGNALLING)
		return;
	if (r->slot >= k->slots_count) {
		found_at(k, r->offset, "a record of a slot that is not there");
		return;
	}
	int64_t start_us;
	(void)segment_slot_record(r, &k->slots[r->slot].call, &start_us);
	segments_digest(k->slots[r->slot].digest, r);
	k->slots[r->slot].records++;
	if (r->type != RECORD_SLOT)
		check_sealed(k, r);
}

static void check_records(struct check *k)
{
	struct segment_record r;
	uint64_t offset = segment_first(k->s);
	k->slots_count = segment_slots(k->s);
	k->slots = calloc(k->slots_count + 1, sizeof *k->slots);
	ASSERT(k->slots);
	while ((k->row.done || offset < k->row.cursor) && segment_next(k->s, &offset, &r) == RC_OK)
		check_record(k, &r);
}

/* ---- the vault's memory ------------------------------------------------------------------------------------- */

static void check_memory(struct check *k)
{
	const struct segment_row *row = &k->row;
	if (k->report.valid_end < row->cursor)
		found(k, "it is shorter than it was when it was taken in");
	if (!row->done || !row->closed_bytes)
		return;
	if (k->report.file_bytes != row->closed_bytes)
		found(k, "its size is not what it was when it was closed");
	if (segments_keys_bytes(k->v, k->name) != row->closed_keys_bytes)
		found(k, "the size of its slot file is not what it was when it was closed");
	if (k->has_last_attest != row->has_closed_attest ||
	    memcmp(k->last_attest, row->closed_attest, 32) != 0)
		found(k, "its last attest is not what it was when it was closed");
	if (segment_is_rewritten(k->s) != row->rewritten)
		found(k, row->rewritten ? "it is not the one that the vault wrote anew"
					: "it was written anew, and not by this vault");
	if (k->place == SEGMENT_IN_VAULT && segments_waits(k->v, k->name))
		found(k, "another file of its name lies at the recorder");
}

/* A call against what its slot's records gave. */
static const char *call_fault(struct check *k, const struct call *c, const struct slot_check *slot)
{
	char digest[65], audited[65];
	if (slot->destroyed)
		return "its slot was destroyed without a disposal record";
	if (strcmp(c->segment, k->name) != 0)
		return "its slot stands in another segment too";
	if (slot->records != c->records || memcmp(slot->digest, c->digest, 32) != 0)
		return "its records are not those that were taken in";
	if (c->r.state != CALL_ENDED)
		return NULL;
	keys_hex(digest, c->digest, 32);
	if (!recorded_digest(k->v, c, audited) || strcmp(digest, audited) != 0)
		return "its records are not those of the audit trail";
	return NULL;
}

/* Each destroyed recording is on record.  Slots that were never a recording's are overwritten when a segment is rewritten. */
static void check_destroyed(struct check *k, uint32_t number)
{
	char line[64];
	struct slot_check *slot = &k->slots[number];
	slot->destroyed = true;
	if (uuid_is_nil(&slot->call) ? segment_is_rewritten(k->s)
				     : disposal_find(k->v, &slot->call, NULL))
		return;
	k->calls++;
	snprintf(line, sizeof line, "slot %u: destroyed without a disposal record", number);
	found(k, line);
}

/* The call of one slot, where it has a row; one whose first record is not taken in yet has none. */
static enum rc check_call(struct check *k, uint32_t number, struct error *err)
{
	char text[UUID_TEXT], line[160];
	struct slot slot;
	struct error why;
	struct call *c = NULL;
	if (segment_slot(k->s, number, &slot, &why) != RC_OK)
		return RC_OK;
	if (slot.destroyed) {
		check_destroyed(k, number);
		return RC_OK;
	}
	if (uuid_is_nil(&slot.call))
		return RC_OK;
	enum rc rc = catalogue_get(k->v, &slot.call, &c, err);
	if (rc == RC_NOT_FOUND && disposal_find(k->v, &slot.call, NULL)) {
		snprintf(line, sizeof line, "slot %u: of a recording that was destroyed", number);
		found(k, line);
	}
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	const char *fault = call_fault(k, c, &k->slots[number]);
	snprintf(line, sizeof line, "call %s: %s", uuid_text(&slot.call, text), fault ? fault : "");
	if (fault)
		found(k, line);
	k->calls++;
	call_row_free(c);
	return RC_OK;
}

static enum rc check_calls(struct check *k, struct error *err)
{
	enum rc rc = RC_OK;
	for (uint32_t i = 0; i < k->slots_count && rc == RC_OK; i++)
		rc = check_call(k, i, err);
	if (rc == RC_OK && k->calls < k->row.calls)
		found(k, "slots of its calls are gone");
	return rc;
}

/* ---- one segment --------------------------------------------------------------------------------------------- */

static void reset(struct check *k)
{
	segment_close(k->s);
	forget_bytes(&k->keys, sizeof k->keys);
	for (uint32_t i = 0; i < k->slots_count; i++)
		forget_bytes(&k->slots[i].keys, sizeof k->slots[i].keys);
	free(k->slots);
	k->s = NULL;
	k->slots = NULL;
	k->slots_count = 0;
	k->calls = 0;
	k->what[0] = '\0';
}

static void take_keys(struct check *k)
{
	const struct secrets *now = &k->v->keys;
	k->keys.metadata = now->metadata;
	k->keys.audio = now->audio;
	k->keys.has_audio = now->has_audio;
	memcpy(k->keys.signer, segments_signer(k->v, k->s), sizeof k->keys.signer);
}

/* What takes long, and nothing of the vault. */
static void read_segment(struct check *k)
{
	if (segment_verify(k->s, k->keys.signer, &k->report) != RC_OK)
		found(k, k->report.what);
	check_records(k);
}

/* In all that the segment is held against. */
static bool same_row(const struct segment_row *a, const struct segment_row *b)
{
	return a->cursor == b->cursor && a->records == b->records && a->calls == b->calls &&
	       a->live_bytes == b->live_bytes && a->done == b->done && a->damaged == b->damaged &&
	       a->rewritten == b->rewritten && a->pending == b->pending &&
	       a->closed_bytes == b->closed_bytes && a->closed_keys_bytes == b->closed_keys_bytes;
}

/* While others have their turn.  False: they have changed what it must fit. */
static bool read_outside(struct check *k)
{
	struct segment_row now;
	struct error ignored;
	vault_step_out(k->v);
	read_segment(k);
	vault_step_in(k->v);
	enum rc rc = segments_get(k->v, k->name, &now, &ignored);
	const struct secrets *s = &k->v->keys;
	return (rc == RC_OK || rc == RC_NOT_FOUND) && same_row(&now, &k->row) &&
	       segments_locate(k->v, k->name, NULL) == k->place &&
	       memcmp(&s->metadata, &k->keys.metadata, sizeof s->metadata) == 0 &&
	       memcmp(&s->audio, &k->keys.audio, sizeof s->audio) == 0;
}

/* RC_AGAIN: it was read while others changed it. */
static enum rc check_once(struct check *k, bool outside, struct error *err)
{
	char path[STORE_PATH];
	k->place = segments_locate(k->v, k->name, path);
	if (k->place == SEGMENT_NOWHERE) {
		found(k, k->row.calls ? "its file is gone, with calls that live in it"
				      : "its file is gone");
		return RC_OK;
	}
	if (k->row.calls && segments_missing(k->v, k->name, &k->row)) {
		found(k, "its slot file is gone, with the keys of calls that live in it");
		return RC_OK;
	}
	enum rc rc = segments_map(k->v, path, &k->s, err);
	if (rc == RC_DAMAGED) {
		found(k, err->text);
		return RC_OK;
	}
	if (rc != RC_OK)
		return rc;
	k->live = segment_is_live(k->s);
	take_keys(k);
	if (!outside)
		read_segment(k);
	else if (!read_outside(k))
		return RC_AGAIN;
	check_memory(k);
	return check_calls(k, err);
}

/* Everything holds against what is remembered of it: what was wrong has been put right. */
static enum rc clear_damage(struct check *k, struct error *err)
{
	struct index_batch *b = index_batch_new(k->v->index);
	segments_found_whole(k->v, b, k->name, &k->row);
	segments_put(b, k->name, &k->row);
	return audit_commit(k->v, b, err);
}

/* While its writer works, a fault must show again before it counts.  RC_NOT_FOUND: a purge has removed it since its name was
 * read. */
static enum rc check_segment(struct check *k, struct error *err)
{
	enum rc rc;
	int tries = 0;
	bool outside = true;
	do {
		reset(k);
		rc = segments_get(k->v, k->name, &k->row, err);
		if (rc == RC_NOT_FOUND && segments_locate(k->v, k->name, NULL) == SEGMENT_NOWHERE)
			return rc;
		if (rc != RC_OK && rc != RC_NOT_FOUND)
			return rc;
		rc = check_once(k, outside, err);
		outside = outside && rc != RC_AGAIN;
	} while (rc == RC_AGAIN || (rc == RC_OK && k->what[0] && k->live && ++tries < LIVE_TRIES));
	if (rc != RC_OK || !k->row.damaged)
		return rc;
	if (!k->what[0] && k->row.done && k->row.closed_bytes)
		return clear_damage(k, err);
	found(k, k->row.what);
	return RC_OK;
}

static bool reply_segment(const struct request *q, const struct check *k)
{
	return requests_reply(
		q,
		json_pack("{s:s, s:b, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "segment", k->name,
			  "ok", !k->what[0], "what", call_json_text(k->what), "state",
			  k->row.done ? "closed" : "open", "calls", (json_int_t)k->calls, "records",
			  (json_int_t)k->report.records, "chunks", (json_int_t)k->report.chunks,
			  "bytes", (json_int_t)k->report.file_bytes, "attested_bytes",
			  (json_int_t)k->report.attested_end, "unattested_tail",
			  (bool)k->row.unattested_tail));
}

/* As it is known by now. */
static enum rc reply_call(const struct request *q, struct check *k, const struct uuid *call,
			  struct error *err)
{
	char id[UUID_TEXT], digest[65];
	struct call *c;
	enum rc rc = catalogue_get(k->v, call, &c, err);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_FAILED, "the recording was destroyed meanwhile");
	if (rc != RC_OK)
		return rc;
	const char *fault = "its segment cannot be read";
	if (c->slot < k->slots_count)
		fault = call_fault(k, c, &k->slots[c->slot]);
	keys_hex(digest, c->digest, 32);
	if (fault)
		found(k, fault);
	requests_reply(q,
		       json_pack("{s:s, s:s, s:b, s:o, s:b, s:s}", "call", uuid_text(&c->r.id, id),
				 "segment", k->name, "ok", !fault, "what", call_json_text(fault),
				 "attested", c->attested, "digest", digest));
	call_row_free(c);
	return RC_OK;
}

/* ---- all of them, or that of one call ---------------------------------------------------------------------------- */

struct verdict {
	uint64_t segments, damaged;
	char first[sizeof(((struct check *)0)->what) + SEGMENT_NAME];
};

static enum rc verify_one(const struct request *q, const char *name, const struct uuid *call,
			  struct verdict *sum, struct error *err)
{
	struct check k = { .v = q->v, .name = name };
	enum rc rc = check_segment(&k, err);
	bool removed = rc == RC_NOT_FOUND;
	if (rc == RC_OK)
		(void)reply_segment(q, &k);
	if ((rc == RC_OK || removed) && call)
		rc = reply_call(q, &k, call, err);
	sum->segments += !removed;
	if (rc == RC_OK && k.what[0] && !sum->damaged++)
		snprintf(sum->first, sizeof sum->first, "%s: %s", name, k.what);
	reset(&k);
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static enum rc verify_call(const struct request *q, const char *text, struct verdict *sum,
			   struct error *err)
{
	struct call *c;
	enum rc rc = access_call(q, text, &c, err);
	if (rc != RC_OK)
		return rc;
	rc = verify_one(q, c->segment, &c->r.id, sum, err);
	call_row_free(c);
	return rc;
}

enum rc req_verify(const struct request *q, struct error *err)
{
	struct verdict sum = { 0 };
	const char *id = requests_text(q, "id");
	char **names = NULL;
	size_t count = 0;
	enum rc rc = id ? verify_call(q, id, &sum, err) : segments_names(q->v, &names, &count, err);
	for (size_t i = 0; i < count && rc == RC_OK; i++) {
		if (i)
			rc = requests_rest(q, err);
		if (rc == RC_OK)
			rc = verify_one(q, names[i], NULL, &sum, err);
	}
	segments_names_free(names, count);
	if (rc == RC_OK && sum.damaged)
		rc = error_set(err, RC_DAMAGED,
			       "damage in %" PRIu64 " of %" PRIu64 " segments; the first: %.400s",
			       sum.damaged, sum.segments, sum.first);
	return rc;
}
