/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* timekeeper.h: is the clock to be believed?  Private to src/vault.
 *
 * A clock that is set a year ahead makes every recording look expired.  So the vault remembers how far time has come, at each
 * ingest and purge, and takes no step over TIMEKEEPER_STEP_DAYS on the clock's word alone:
 *
 *   remembered ──────── now ──────────────── remembered + 40 days ──────── now?
 *              believed, and remembered                            a person must say so (purge --yes)
 *
 * Ingest never remembers such a step, so a service that goes on under a wrong clock does not make it right.
 *
 * Where a clock that was ahead in smaller steps is set right, it is behind what is remembered.  A person who says so has the
 * vault remember now instead.  That only puts off what is destroyed: what was ahead is a step too far again.
 */
#ifndef CALLSPAN_VAULT_TIMEKEEPER_H
#define CALLSPAN_VAULT_TIMEKEEPER_H

#include "vault/parts.h"

#define TIMEKEEPER_STEP_DAYS 40 /* a month's round, and a week and more of standing still */

/* Remember the time, unless it is a step too far, or back; `told`: a person has said that it is right. */
void timekeeper_note(struct vault *v, struct index_batch *b, bool told);
/* For an index that was lost: as far as the signed heads of the trail (heads.h) say that time has come, in such steps. */
void timekeeper_recall(struct vault *v, struct index_batch *b);
/* A purge was refused: the newest entry of the trail, which the refusal's own follows, is remembered too. */
void timekeeper_refused(struct vault *v, struct index_batch *b);
/* Is the clock behind what has been written already, *before_us?  Entries that a clock far ahead has left do not count.
 * RC_FAILED with one line. */
enum rc timekeeper_behind(struct vault *v, int64_t *before_us, struct error *err) MUST_USE;
/* Is it a step too far ahead, or does the machine say that its clock is not synchronised?  RC_FAILED with one line. */
enum rc timekeeper_ahead(struct vault *v, struct error *err) MUST_USE;
enum rc timekeeper_unsure(const struct vault *v, struct error *err) MUST_USE;

#endif
