/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* segment_verify.c: is a segment whole, and did the enrolled recorder write it (or the vault, anew)?  Needs no secret.
 *
 * Any thread, one segment each; reads only.  In this order:
 *   1. block 0 of the segment, and that its recorder's key is the enrolled one
 *   2. block 0 of the slot file: its form, and the head's signature
 *   3. record after record: length, type, CRC; a slot's hash against the slot file; each
 *      attest's place in the chain, the digest of what it covers, its signature; the footer
 *      against the records before it
 *   4. where the records stop: at the file's end after the last attest; or, in a segment that
 *      was never closed, anywhere after the end that the head notes (a torn tail)
 *   5. over all sealed records: counters grow in each stream, so that no nonce came twice
 * The first thing wrong ends it and is named with its offset.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "store/segment.h"

/* One sealed or slot record, for the footer and for the counters. */
struct seen {
	struct footer_entry entry;
	uint64_t counter;
};

struct walk {
	struct segment *s;
	const uint8_t *sign_public;
	bool rewritten;
	const char *by;       /* whose key that is */
	uint64_t attested_to; /* what the vault attests beyond that, the recorder had not */
	struct segment_report *report;
	struct keys_head noted; /* the slot file's head */
	struct keys_head head;  /* the newest attest so far, as a head would say it */
	struct digest *since;   /* owned */
	uint64_t records_since;
	uint32_t slots;           /* RECORD_SLOTs so far */
	uint64_t footer;          /* offset of the footer; 0: none so far */
	bool closed;              /* the last attest was seen */
	bool resumed;             /* it began behind a mark */
	bool from_start;          /* ... and met what only a walk from the start can judge */
	struct segment_mark mark; /* the newest good attest */
	struct seen *seen;        /* owned */
	size_t seen_used, seen_room;
};

static bool damage(struct walk *w, uint64_t offset, const char *kind, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* Always false. */
static bool damage(struct walk *w, uint64_t offset, const char *kind, const char *fmt, ...)
{
	char text[160];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	w->report->damaged = true;
	(void)snprintf(w->report->what, sizeof w->report->what, "offset %ju: %s %s",
		       (uintmax_t)offset, kind, text);
	return false;
}

/* ---- the two first blocks ------------------------------------------------------------------ */

static bool check_start(struct walk *w)
{
	struct segment_start start;
	const char *wrong = layout_start_get(&start, w->s->bytes, w->s->size);

	if (wrong)
		return damage(w, 0, "block 0:", "%s", wrong);
	w->rewritten = start.rewritten;
	w->by = start.rewritten ? "this vault" : "the enrolled recorder";
	w->attested_to = start.rewritten ? start.attested_to : UINT64_MAX;
	const uint8_t *key = start.rewritten ? start.vault_public : start.sign_public;
	if (memcmp(key, w->sign_public, 32) != 0)
		return damage(w, 0, "block 0:", "it was not written by %s", w->by);
	w->head.segment = start.id;
	w->head.end = LAYOUT_BLOCK;
	digest_sha256(w->head.newest, w->s->bytes, LAYOUT_BLOCK);
	return true;
}

/* The head speaks of the newest attest that it knew: when that one passes, it must be the
 * same. */
static bool check_noted(struct walk *w)
{
	if (w->noted.attests != w->head.attests)
		return true;
	if (w->noted.end != w->head.end || memcmp(w->noted.newest, w->head.newest, 32) != 0)
		return damage(w, w->head.end, "attest before this:",
			      "it is not the one that the slot file's head notes");
	return true;
}

static bool check_head(struct walk *w)
{
	const uint8_t *block = w->s->head;
	const char *wrong = layout_head_get(&w->noted, block, sizeof w->s->head);

	if (wrong)
		return damage(w, 0, "slot file:", "%s", wrong);
	if (!layout_head_signed(block, w->sign_public))
		return damage(w, 0, "slot file:", "its head is not signed by %s", w->by);
	if (!uuid_equal(&w->noted.segment, &w->head.segment))
		return damage(w, 0, "slot file:", "it is another segment's");
	if (w->s->reseal.wrong)
		return damage(w, 0, "slots sealed anew:", "%s", w->s->reseal.wrong);
	return check_noted(w);
}

/* ---- records ------------------------------------------------------------------------------- */

static bool remember(struct walk *w, const struct segment_record *r)
{
	if (w->seen_used == w->seen_room) {
		size_t room = w->seen_room ? w->seen_room * 2 : 1024;
		struct seen *seen = realloc(w->seen, room * sizeof *seen);
		if (!seen)
			return damage(w, r->offset, "record:", "not enough memory to go on");
		w->seen = seen;
		w->seen_room = room;
	}
	w->seen[w->seen_used++] = (struct seen){
		.entry = { r->offset, r->slot, (uint8_t)r->type, r->track, r->stream },
		.counter = r->counter,
	};
	return true;
}

static bool check_slot(struct walk *w, const struct segment_record *r)
{
	struct segment *s = w->s;
	uint8_t hash[32];

	if (r->slot != w->slots)
		return damage(w, r->offset, "slot", "%u comes where slot %u should", r->slot,
			      w->slots);
	if (r->slot >= segment_slots(s))
		return damage(w, r->offset, "slot", "%u is not in the slot file", r->slot);
	const uint8_t *slot = s->keys + LAYOUT_BLOCK + (size_t)r->slot * SLOT_BYTES;
	digest_sha256(hash, slot, SLOT_BYTES);
	if (memcmp(hash, r->body + 24, sizeof hash) != 0 && !slot_is_destroyed(slot) &&
	    !reseal_accepts(&s->reseal, r->slot, r->body + 24, hash))
		return damage(w, r->offset, "slot", "%u of the slot file was altered or moved",
			      r->slot);
	w->slots++;
	return remember(w, r);
}

static bool check_sealed(struct walk *w, const struct segment_record *r)
{
	if (r->slot >= w->slots)
		return damage(w, r->offset, layout_type_name(r->type),
			      "of slot %u before that slot", r->slot);
	if (r->type == RECORD_CHUNK)
		w->report->chunks++;
	return remember(w, r);
}

static bool check_pad(struct walk *w, const struct segment_record *r)
{
	for (uint32_t i = 0; i < r->body_len; i++)
		if (r->body[i])
			return damage(w, r->offset, "pad", "is not all zeros");
	return true;
}

static bool check_footer(struct walk *w, const struct segment_record *r)
{
	size_t len = FOOTER_HEAD + w->seen_used * FOOTER_ENTRY;
	bool good = false;

	if (w->resumed) {
		w->from_start = true;
		return false;
	}
	if (w->footer)
		return damage(w, r->offset, "footer", "comes twice");
	w->footer = r->offset;
	struct footer_entry *entries = calloc(w->seen_used + 1, sizeof *entries);
	uint8_t *body = malloc(len);
	for (size_t i = 0; entries && i < w->seen_used; i++)
		entries[i] = w->seen[i].entry;
	if (entries && body)
		good = layout_footer_put(body, entries, w->seen_used, w->slots) &&
		       r->body_len == len && memcmp(r->body, body, len) == 0;
	free(entries);
	free(body);
	return good || damage(w, r->offset, "footer", "does not list the records before it");
}

static bool check_attest(struct walk *w, const struct segment_record *r)
{
	const uint8_t *record = w->s->bytes + r->offset;
	struct attest a;
	uint8_t covered[32];
	uint64_t end = r->offset + ATTEST_RECORD;

	layout_attest_get(&a, r->body);
	digest_take(w->since, covered);
	if (!layout_attest_signed(record, w->sign_public))
		return damage(w, r->offset, "attest", "is not signed by %s", w->by);
	if (!uuid_equal(&a.segment, &w->head.segment))
		return damage(w, r->offset, "attest", "is another segment's");
	if (r->counter != w->head.attests || memcmp(a.previous, w->head.newest, 32) != 0)
		return damage(w, r->offset, "attest", "does not follow the one before it");
	if (a.from != w->head.end || a.records != w->records_since ||
	    memcmp(a.covered, covered, sizeof covered) != 0)
		return damage(w, r->offset, "attest", "is not of the records since offset %ju",
			      (uintmax_t)w->head.end);
	if (end % LAYOUT_BLOCK != 0 || a.footer != w->footer)
		return damage(w, r->offset, "attest", "is not where it should be");
	w->head.attests++;
	w->head.end = end;
	digest_sha256(w->head.newest, record, ATTEST_RECORD);
	w->records_since = 0;
	w->mark =
		(struct segment_mark){ .end = end, .attests = w->head.attests, .slots = w->slots };
	memcpy(w->mark.newest, w->head.newest, 32);
	w->closed = a.footer != 0;
	w->report->attested_end = end < w->attested_to ? end : w->attested_to;
	w->s->attested_end = w->report->attested_end;
	w->report->attests++;
	w->report->footer = w->closed;
	return check_noted(w);
}

static bool (*const checks[])(struct walk *, const struct segment_record *) = {
	[RECORD_SLOT] = check_slot,         [RECORD_CHUNK] = check_sealed,
	[RECORD_CALL] = check_sealed,       [RECORD_STREAM] = check_sealed,
	[RECORD_SIGNALLING] = check_sealed, [RECORD_ATTEST] = check_attest,
	[RECORD_PAD] = check_pad,           [RECORD_FOOTER] = check_footer,
};

static bool check_record(struct walk *w, const struct segment_record *r,
			 const struct record_header *h)
{
	w->report->records++;
	if (w->footer && r->type != RECORD_PAD && r->type != RECORD_ATTEST)
		return damage(w, r->offset, layout_type_name(r->type), "comes after the footer");
	if (r->type != RECORD_ATTEST) {
		layout_cover(w->since, w->s->bytes + r->offset, h);
		w->records_since++;
	}
	return checks[r->type](w, r);
}

/* A footer that no attest follows is part of a torn tail, and says nothing yet. */
static bool check_records(struct walk *w)
{
	struct segment *s = w->s;
	struct segment_record r;
	struct record_header h;
	uint64_t at = w->head.end;

	for (;;) {
		w->report->valid_end = at;
		if (w->closed && at != s->size)
			return damage(w, at, "record:", "there are bytes after the last attest");
		if (at == s->size)
			return true;
		const char *wrong = layout_record_get(s->bytes, s->size, at, &r, &h);
		if (wrong && at < w->noted.end)
			return damage(w, at, h.type ? layout_type_name(h.type) : "record", "%s",
				      wrong);
		if (wrong)
			return true;
		if (!check_record(w, &r, &h))
			return false;
		at = r.offset + RECORD_HEADER + r.body_len;
	}
}

/* ---- the end ------------------------------------------------------------------------------- */

/* Slots that no record names belong to no recording: the recorder died before it wrote any.  Who wrote the segment anew has
 * overwritten them. */
static bool check_unused(struct walk *w)
{
	for (uint32_t n = w->slots; n < segment_slots(w->s); n++)
		if (!slot_is_destroyed(w->s->keys + LAYOUT_BLOCK + (size_t)n * SLOT_BYTES))
			return damage(w, LAYOUT_BLOCK + (uint64_t)n * SLOT_BYTES,
				      "slot file:", "slot %u belongs to no recording", n);
	return true;
}

static bool check_end(struct walk *w)
{
	struct segment *s = w->s;
	uint64_t keys_end = LAYOUT_BLOCK + (uint64_t)w->slots * SLOT_BYTES;

	if (w->head.attests < w->noted.attests)
		return damage(w, w->report->valid_end, "end:",
			      "the segment was cut: its slot file notes %ju bytes and %ju attests",
			      (uintmax_t)w->noted.end, (uintmax_t)w->noted.attests);
	if (w->rewritten)
		return w->closed ? check_unused(w)
				 : damage(w, w->report->valid_end, "end:", "it has no last attest");
	/* A slot is on the disk before its record, so only a segment that was never closed has
	 * more. */
	if (w->closed && s->keys_size != keys_end)
		return damage(w, keys_end, "slot file:", "it does not end with slot %u", w->slots);
	return true;
}

static uint64_t stream_of(const struct seen *x)
{
	return (uint64_t)x->entry.slot << 32 | (uint64_t)x->entry.type << 24 |
	       (uint64_t)x->entry.track << 16 | x->entry.stream;
}

static int by_stream(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;
	uint64_t p = stream_of(x), q = stream_of(y);

	if (p != q)
		return p < q ? -1 : 1;
	return x->entry.offset < y->entry.offset ? -1 : 1;
}

static bool check_counters(struct walk *w)
{
	if (w->seen_used < 2)
		return true;
	qsort(w->seen, w->seen_used, sizeof *w->seen, by_stream);
	for (size_t i = 1; i < w->seen_used; i++) {
		const struct seen *x = &w->seen[i - 1], *y = &w->seen[i];
		if (stream_of(x) == stream_of(y) && y->counter <= x->counter)
			return damage(w, y->entry.offset, layout_type_name(y->entry.type),
				      "has a counter that came before");
	}
	return true;
}

/* Go on behind the mark.  What stood before it is not looked at: what the head notes of it neither. */
static bool resume(struct walk *w)
{
	if (!w->resumed)
		return true;
	w->head.end = w->s->attested_end = w->report->attested_end = w->mark.end;
	w->head.attests = w->mark.attests;
	memcpy(w->head.newest, w->mark.newest, 32);
	w->slots = w->mark.slots;
	return true;
}

static bool walk(struct walk *w)
{
	memset(w->report, 0, sizeof *w->report);
	w->report->file_bytes = w->s->size;
	w->s->attested_end = 0;
	w->since = digest_new();
	ASSERT(w->since);
	bool good = check_start(w) && resume(w) && check_head(w) && check_records(w) &&
		    check_end(w) && check_counters(w);
	w->report->slots = w->slots;
	digest_free(w->since);
	free(w->seen);
	return good;
}

enum rc segment_verify(struct segment *s, const uint8_t sign_public[32],
		       struct segment_report *report)
{
	struct walk w = { .s = s, .sign_public = sign_public, .report = report };

	return walk(&w) ? RC_OK : RC_DAMAGED;
}

enum rc segment_verify_on(struct segment *s, const uint8_t sign_public[32],
			  struct segment_mark *mark, struct segment_report *report)
{
	struct walk w = { .s = s, .sign_public = sign_public, .report = report, .mark = *mark };

	w.resumed = mark->end > LAYOUT_BLOCK && mark->end <= s->size;
	bool good = walk(&w);
	if (!good && w.from_start) {
		w = (struct walk){ .s = s, .sign_public = sign_public, .report = report };
		good = walk(&w);
	}
	*mark = w.mark;
	return good ? RC_OK : RC_DAMAGED;
}
