/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* ledger.h: a copy, outside the index, of the rows that no segment can tell again.  Private to src/vault.
 *
 * Holds, requests, reviews and rights given are decisions of people: a damaged index must not lose them, for a lost hold is a
 * recording destroyed that should have been kept.  So these rows are written through here:
 *
 *   ledger_put(), ledger_delete() -> the batch, and a line for STORE/vault/ledger
 *   audit_commit(): append the lines, sync -> commit the batch, which also notes how long the ledger is now
 *
 * Killed in between, the next to open the vault cuts off what no commit knows of.  Where the index was lost,
 * ledger_replay() puts the rows into the new one; where the file was, ledger_rescue() makes it anew from the index.  A line is "FAMILY KEY VALUE" in hex ("-": deleted); what a row knows
 * of people is sealed (matter.h), so an old line tells nothing once its key is gone.
 */
#ifndef CALLSPAN_VAULT_LEDGER_H
#define CALLSPAN_VAULT_LEDGER_H

#include "vault/parts.h"

/* Rows of INDEX_HOLDS, INDEX_REQUESTS and INDEX_REVIEWS.  The batch must be committed by audit_commit(). */
void ledger_put(struct vault *v, struct index_batch *b, enum index_family f, const void *key,
		size_t key_len, const void *value, size_t value_len);
void ledger_delete(struct vault *v, struct index_batch *b, enum index_family f, const void *key,
		   size_t key_len);

/* When the vault is opened: cut off what no commit knows of. */
enum rc ledger_load(struct vault *v, struct error *err) MUST_USE;
/* By audit_commit(), before the batch is committed: the lines, and the batch's note of them. */
enum rc ledger_append(struct vault *v, struct index_batch *b, struct error *err) MUST_USE;
/* After it: the batch is in the index, or (not done) its lines are dropped with it. */
void ledger_settle(struct vault *v, bool done);
/* Is the file shorter than the index (still open) says?  Then put the index's rows into a batch of a new one, and their
 * lines into a new file with the next ledger_append(). */
bool ledger_rescue(struct vault *v, struct index_batch *b);
/* Put all rows of the ledger into a batch of a new index. */
enum rc ledger_replay(struct vault *v, struct index_batch *b, struct error *err) MUST_USE;

#endif
