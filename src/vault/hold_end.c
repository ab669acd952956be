/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* hold_end.c: the end of a hold, carried out in steps that can be gone on with.  See hold.h.
 *
 *   row says "ending", audited -> ties undone, so many a commit -> the key of the party's number destroyed
 *     -> row says "ended", and has no number any more
 */
#include <stdlib.h>

#include "base/log.h"
#include "vault/hold.h"
#include "vault/holds.h"

#define TIES_A_BATCH 1000

struct some_calls {
	struct uuid ids[TIES_A_BATCH];
	size_t count;
};

static bool take_call(void *ctx, const struct uuid *call)
{
	struct some_calls *s = ctx;
	s->ids[s->count++] = *call;
	return s->count < TIES_A_BATCH;
}

/* RC_END: there were none left. */
static enum rc untie_some(struct vault *v, const struct hold *h, struct some_calls *s,
			  struct error *err)
{
	s->count = 0;
	holds_calls(v, &h->id, take_call, s);
	enum rc rc = index_health(v->index, err);
	if (rc != RC_OK || !s->count)
		return rc == RC_OK ? RC_END : rc;
	struct index_batch *b = index_batch_new(v->index);
	for (size_t i = 0; i < s->count && rc == RC_OK; i++)
		rc = holds_untie(v, b, &h->id, &s->ids[i], err);
	if (rc == RC_OK)
		return audit_commit(v, b, err);
	audit_drop(v, b);
	return rc;
}

static enum rc untie_all(struct vault *v, const struct hold *h, struct error *err)
{
	enum rc rc;
	struct some_calls *s = malloc(sizeof *s);
	ASSERT(s);
	do {
		rc = untie_some(v, h, s, err);
	} while (rc == RC_OK);
	free(s);
	return rc == RC_END ? RC_OK : rc;
}

/* A key that is not there any more needs no destroying. */
static enum rc destroy_key(struct vault *v, const struct hold *h, struct error *err)
{
	enum rc rc = h->matter ? matter_destroy(v, h->matter - 1, err) : RC_OK;
	if (rc == RC_DAMAGED)
		log_error("hold-key", "what=\"%s\"", err->text);
	return rc == RC_DAMAGED ? RC_OK : rc;
}

enum rc hold_end(struct vault *v, struct hold *h, struct error *err)
{
	ASSERT(h->state == HOLD_ENDING);
	enum rc rc = untie_all(v, h, err);
	if (rc == RC_OK)
		rc = destroy_key(v, h, err);
	if (rc != RC_OK)
		return rc;
	h->state = HOLD_ENDED;
	h->matter = 0;
	h->sealed_len = 0;
	h->party_keys_count = 0;
	struct index_batch *b = index_batch_new(v->index);
	hold_put(v, b, h);
	return audit_commit(v, b, err);
}

/* ---- after a kill ------------------------------------------------------------------------------------------------ */

static bool find_ending(void *ctx, const struct hold *h)
{
	struct hold *found = ctx;
	*found = *h;
	return h->state != HOLD_ENDING;
}

enum rc hold_end_pending(struct vault *v, struct error *err)
{
	for (;;) {
		struct error why;
		struct hold h = { .state = HOLD_ENDED };
		enum rc rc = hold_walk(v, false, find_ending, &h, err);
		if (rc != RC_OK || h.state != HOLD_ENDING)
			return rc;
		/* Whoever asks now asks for something else; it is tried again the next time. */
		if (hold_end(v, &h, &why) != RC_OK) {
			log_error("hold-end", "what=\"%s\"", why.text);
			return RC_OK;
		}
	}
}
