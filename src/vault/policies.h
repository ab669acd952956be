/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policies.h: the policy in force, the periods that were applied, and applying others.  Private to src/vault.
 *
 *   STORE/policy.yaml            v->policy   what is recorded, purposes, roles, export: as soon as it is read
 *   STORE/vault/policy.applied   v->applied  how long recordings are kept: as of the last `policy apply`
 *
 * So an edited file shortens no recording's life before somebody has been told how many and has said yes.  Applying:
 *
 *   policy.next, synced -> one commit: the audit entry, and a mark -> policy.yaml and policy.applied are replaced
 *     -> the expiry of every ended call, in batches -> one commit: done, no mark
 *
 * Killed before the mark, the old policy is in force; after it, whoever opens the vault next goes on to the end before
 * anything is answered.
 */
#ifndef CALLSPAN_VAULT_POLICIES_H
#define CALLSPAN_VAULT_POLICIES_H

#include "vault/parts.h"

/* Read both files, before the index is open. */
enum rc policies_load(struct vault *v, struct error *err) MUST_USE;
/* With the index open: finish what was being applied, keep a copy where there is none, and tell the audit trail that
 * policy.yaml is another than the one last seen. */
enum rc policies_settle(struct vault *v, struct error *err) MUST_USE;
/* Finish what an error has stopped; before each request of a vault that stays open. */
enum rc policies_resume(struct vault *v, struct error *err) MUST_USE;
/* Read policy.yaml again; RC_FAILED with its fault: the one before stays in force. */
enum rc policies_reload(struct vault *v, struct error *err) MUST_USE;
/* Was policy.yaml edited since it was read? */
bool policies_edited(const struct vault *v);
/* Remember policy.yaml as seen. */
void policies_remember(struct vault *v, struct index_batch *b);

/* What another policy makes of the lives of ended recordings. */
struct policies_effect {
	uint64_t longer, shorter, same;
	uint64_t expired; /* of the shorter: over at once */
	uint64_t held;    /* of those: held, so not destroyed yet */
	uint64_t unknown; /* of all: in a class that it does not have */
};
enum rc policies_effect(struct vault *v, const struct policy *to, struct policies_effect *out,
			struct error *err) MUST_USE;

struct policies_limits {
	unsigned calls_a_batch;
	unsigned commits; /* stop after so many, 0: never.  The next to open the vault goes on. */
};
/* Put this text, which has been read and is in order, in force.  limits NULL: the usual.  RC_AGAIN: stopped by limits. */
enum rc policies_apply(struct vault *v, const struct person *who, const char *text, size_t len,
		       const struct policies_effect *effect, const struct policies_limits *limits,
		       struct error *err) MUST_USE;

#endif
