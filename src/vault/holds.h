/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* holds.h: what keeps a recording past its time.  Private to src/vault.
 *
 * A call is tied to each of its holders: a hold, or an open request.  While one tie is left, no purge takes it.  When the
 * last is gone the call's own timer counts again, but not before the policy's grace is over.
 *
 *   INDEX_HOLDS  'm', 'a', 'n' ‖ ...     -> the holds themselves (hold.h)
 *                'c' ‖ call ‖ holder     -> (nothing)
 *                'h' ‖ holder ‖ call     -> (nothing)
 *                'g' ‖ call              -> be64: it lives until then at least
 *                'w' ‖ holder            -> what people call it: "H-12", "R-7"
 *
 * All of it goes through the ledger.
 */
#ifndef CALLSPAN_VAULT_HOLDS_H
#define CALLSPAN_VAULT_HOLDS_H

#include "vault/parts.h"

/* Tie a call to a holder; done again, it changes nothing. */
void holds_tie(struct vault *v, struct index_batch *b, const struct uuid *holder,
	       const struct uuid *call);
/* Is there such a tie?  What is in a batch does not count yet. */
bool holds_tied(struct vault *v, const struct uuid *holder, const struct uuid *call);
/* What people call a holder; with its first tie. */
void holds_name(struct vault *v, struct index_batch *b, const struct uuid *holder,
		const char *name);
/* Names of what holds a call, for its JSON: ["H-12","R-7"]. */
json_t *holds_names(struct vault *v, const struct uuid *call);
/* Undo one tie: the call lives on for the policy's grace at least.  Where there is none, nothing happens.  The batch must
 * change nothing else of the call's row. */
enum rc holds_untie(struct vault *v, struct index_batch *b, const struct uuid *holder,
		    const struct uuid *call, struct error *err) MUST_USE;
/* Undo all ties of a holder; *count (may be NULL): how many there were. */
enum rc holds_untie_all(struct vault *v, struct index_batch *b, const struct uuid *holder,
			size_t *count, struct error *err) MUST_USE;
/* Is anything tied to it?  RC_OK and *held, or the index's fault. */
enum rc holds_held(struct vault *v, const struct uuid *call, bool *held,
		   struct error *err) MUST_USE;
/* Its holders, at most `most`. */
size_t holds_of(struct vault *v, const struct uuid *call, struct uuid *holders, size_t most);
/* Calls of a holder, each in turn until `each` returns false. */
typedef bool (*holds_each)(void *ctx, const struct uuid *call);
void holds_calls(struct vault *v, const struct uuid *holder, holds_each each, void *ctx);
/* All calls that anything is tied to, sorted, each once; owned by the caller. */
struct uuid *holds_all(struct vault *v, size_t *count);
/* The end of the grace after its last hold; 0: none. */
int64_t holds_grace_us(struct vault *v, const struct uuid *call);
/* The call is destroyed: nothing of it stays here. */
void holds_forget(struct vault *v, struct index_batch *b, const struct uuid *call);

#endif
