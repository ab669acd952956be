/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* audit_check.c: see audit_check.h.  On the vault's thread.
 *
 * One walk along the chain as it was when it began, with two lists of heads beside it, each in order of entries: the anchors of audit-heads,
 * and the heads given.
 */
#include "vault/audit_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vault/heads.h"

struct check {
	struct vault *v;
	char *rest; /* of audit-heads */
	uint64_t line;
	uint64_t anchor;        /* the newest that there is to be in it */
	struct audit_mark next; /* its next anchor; number 0: no more */
	uint64_t newest;        /* number of the last anchor that fits the chain */
	struct audit_noted *noted;
	size_t noted_count, noted_at;
	struct audit_verdict *out;
	bool begun;
	struct error *err; /* what was found first */
	enum rc rc;
};

PRINTF_LIKE(2, 3)
static void found(struct check *k, const char *fmt, ...)
{
	va_list ap;
	if (k->rc != RC_OK)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(k->err->text, sizeof k->err->text, fmt, ap);
	va_end(ap);
	k->rc = RC_DAMAGED;
}

/* ---- anchors -------------------------------------------------------------------------------------- */

static void next_anchor(struct check *k)
{
	uint64_t before = k->next.number;
	char *line = strtok_r(NULL, "\n", &k->rest);
	k->next.number = 0;
	if (!line)
		return;
	k->line++;
	const char *fault = heads_fault(k->v, "anchor", line, &k->next);
	if (!fault && k->next.number <= before)
		fault = "is older than the one before it";
	if (fault)
		found(k, "line %" PRIu64 " of the audit heads %s", k->line, fault);
}

/* The anchor in hand is of this entry: do they agree? */
static void compare_anchor(struct check *k, uint64_t number, const uint8_t hash[32])
{
	if (k->next.number != number)
		return;
	if (memcmp(k->next.hash, hash, 32) != 0)
		found(k, "line %" PRIu64 " of the audit heads is of another chain than the trail",
		      k->line);
	k->newest = number;
	next_anchor(k);
}

static void lacking(struct check *k, uint64_t number)
{
	found(k, "the anchor of audit entry %" PRIu64 " is missing from the file of audit heads",
	      number);
}

/* Each entry names the anchor before it. */
static void compare_after(struct check *k, const struct audit_entry *e)
{
	if (e->after > k->newest)
		lacking(k, e->after);
	else if (e->after < k->newest)
		found(k, "audit entry %" PRIu64 " does not know of the anchor of entry %" PRIu64,
		      e->number, k->newest);
}

/* ---- heads given ---------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	const struct audit_noted *x = a, *y = b;
	if (x->mark.number != y->mark.number)
		return x->mark.number < y->mark.number ? -1 : 1;
	return x->line < y->line ? -1 : x->line > y->line;
}

/* "the head given", "the head of line 7". */
static const char *noted_name(const struct audit_noted *n, char text[48])
{
	if (n->line)
		snprintf(text, 48, "the head kept in line %" PRIu64, n->line);
	else
		snprintf(text, 48, "the head given");
	return text;
}

/* Those of this entry, by number; one without a number by its hash. */
static void compare_noted(struct check *k, uint64_t number, const uint8_t hash[32])
{
	char name[48];
	struct audit_noted *n;
	for (; k->noted_at < k->noted_count && (n = &k->noted[k->noted_at])->mark.number <= number;
	     k->noted_at++) {
		bool same = memcmp(n->mark.hash, hash, 32) == 0;
		if (!n->mark.number && !same)
			return;
		if (!same)
			found(k,
			      "%s is not that of audit entry %" PRIu64
			      ": the store was put back, or this is another trail",
			      noted_name(n, name), number);
		k->out->anchored = number;
	}
}

/* What is left belongs to entries that the trail does not have. */
static void check_noted_end(struct check *k)
{
	char name[48];
	if (k->noted_at == k->noted_count)
		return;
	const struct audit_noted *n = &k->noted[k->noted_at];
	if (n->mark.number)
		found(k,
		      "the store was put back: %s is of audit entry %" PRIu64
		      ", the trail ends at entry %" PRIu64,
		      noted_name(n, name), n->mark.number, k->v->head.number);
	else
		found(k,
		      "%s is of no audit entry: the store was put back, or this is another trail",
		      noted_name(n, name));
}

/* ---- the walk ------------------------------------------------------------------------------------- */

/* Heads of entries that were lost can be held against their anchors, and no more. */
static void compare_lost(struct check *k, uint64_t lost)
{
	char name[48];
	for (; k->noted_at < k->noted_count; k->noted_at++) {
		const struct audit_noted *n = &k->noted[k->noted_at];
		if (!n->mark.number || n->mark.number >= lost)
			return;
		while (k->next.number && k->next.number < n->mark.number)
			next_anchor(k);
		if (k->next.number == n->mark.number && memcmp(k->next.hash, n->mark.hash, 32) != 0)
			found(k, "%s is not that of the anchor of audit entry %" PRIu64,
			      noted_name(n, name), n->mark.number);
	}
}

/* Entries were lost with an index: the last of their heads is what the first entry follows. */
static void skip_lost(struct check *k, const struct audit_entry *first)
{
	uint64_t lost = first->number - 1;
	k->begun = true;
	k->out->missing = lost;
	if (!lost)
		return;
	compare_lost(k, lost);
	while (k->next.number && k->next.number < lost)
		next_anchor(k);
	compare_anchor(k, lost, first->follows);
	compare_noted(k, lost, first->follows);
}

static bool check_entry(void *ctx, const struct audit_entry *e, const uint8_t hash[32])
{
	struct check *k = ctx;
	if (!k->begun)
		skip_lost(k, e);
	compare_after(k, e);
	if (e->action && strcmp(e->action, AUDIT_DISPUTED) == 0)
		found(k, "audit entry %" PRIu64 " tells: %.300s", e->number,
		      e->detail ? e->detail : "");
	compare_anchor(k, e->number, hash);
	compare_noted(k, e->number, hash);
	return k->rc == RC_OK;
}

/* The signed head must be the index's, but for one that could not be written yet. */
static enum rc check_head(struct check *k)
{
	struct audit_mark head;
	const struct audit_head *h = &k->v->head;
	const struct audit_mark *due = h->owed ? &h->before : &h->committed;
	unsigned slot = k->v->head.slot;
	enum rc rc = heads_get(k->v, &head, k->err);
	k->v->head.slot = slot;
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	if (h->disputed[0])
		found(k, "%s", h->disputed);
	if (head.number != due->number || memcmp(head.hash, due->hash, 32) != 0)
		found(k,
		      "the signed head (vault/audit-head) is not that of the trail's entry "
		      "%" PRIu64,
		      due->number);
	return RC_OK;
}

/* Behind the last entry. */
static void check_end(struct check *k)
{
	if (k->next.number)
		found(k,
		      "the audit trail was put back: it ends before entry %" PRIu64
		      ", whose anchor is signed",
		      k->next.number);
	if (k->newest != k->anchor)
		lacking(k, k->anchor);
	check_noted_end(k);
	if (!k->noted_count)
		k->out->anchored = k->newest;
}

enum rc audit_check(struct vault *v, const struct request *q, struct audit_noted *noted,
		    size_t count, struct audit_verdict *out, struct error *err)
{
	char *text;
	struct check k = { .v = v,
			   .anchor = v->head.anchor.number,
			   .noted = noted,
			   .noted_count = count,
			   .out = out,
			   .err = err };
	memset(out, 0, sizeof *out);
	enum rc rc = heads_read(v, &text, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND
			       ? error_set(err, RC_DAMAGED, "the file of audit heads is gone")
			       : rc;
	if (count)
		qsort(noted, count, sizeof *noted, by_number);
	k.rest = text;
	next_anchor(&k);
	if (!k.next.number && k.rc == RC_OK)
		found(&k, "the file of audit heads is empty");
	rc = k.rc == RC_OK ? audit_walk(v, q, check_entry, &k, err) : RC_OK;
	if (rc == RC_OK && k.rc == RC_OK)
		rc = check_head(&k);
	if (rc == RC_OK)
		check_end(&k);
	free(text);
	return rc == RC_OK ? k.rc : rc;
}
