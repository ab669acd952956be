/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reclaim.h: giving back the space of destroyed recordings.  Private to src/vault.
 *
 *   a closed segment none of whose calls lives       -> both files removed, its row deleted
 *   one of which less than a quarter of bytes lives  -> written anew without the others (src/store/segment_rewrite.c)
 *
 * What is to be done is committed to the segment's row first (enum segment_pending), so that reclaim_settle() finishes it
 * wherever it was cut short.
 */
#ifndef CALLSPAN_VAULT_RECLAIM_H
#define CALLSPAN_VAULT_RECLAIM_H

#include "vault/parts.h"

struct reclaim_sum {
	uint64_t removed, rewritten, skipped;
	uint64_t bytes; /* given back */
};
/* Over all segments.  One that cannot be rewritten now (a full disk) is passed over and logged. */
enum rc reclaim_run(struct vault *v, struct reclaim_sum *sum, struct error *err) MUST_USE;
/* Finish what was begun of one. */
enum rc reclaim_finish(struct vault *v, const char *name, struct error *err) MUST_USE;
/* When the vault is opened: finish what was begun. */
enum rc reclaim_settle(struct vault *v, struct error *err) MUST_USE;

#endif
