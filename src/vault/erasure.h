/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* erasure.h: recordings that one person wants erased ahead of time and another has yet to confirm.  Private to src/vault.
 *
 * INDEX_REQUESTS  'E' ‖ call -> EraseRow, through the ledger
 */
#ifndef CALLSPAN_VAULT_ERASURE_H
#define CALLSPAN_VAULT_ERASURE_H

#include "vault/parts.h"

#define ERASURE_REASON 256

struct erasure {
	char person[PERSON_NAME]; /* who asked */
	int64_t asked_us;
	char reason[ERASURE_REASON];
};
/* False: nobody has asked. */
bool erasure_get(struct vault *v, const struct uuid *call, struct erasure *out);
void erasure_put(struct vault *v, struct index_batch *b, const struct uuid *call,
		 const struct erasure *e);
bool erasure_any(struct vault *v);
/* Nobody wants it erased any more, or it has been. */
void erasure_forget(struct vault *v, struct index_batch *b, const struct uuid *call);

#endif
