/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* audit_check.h: is the audit trail whole, and is it the one that others have noted?  Private to src/vault.
 *
 *   the chain       each entry is as it was written, none is missing, and it ends in the index's head
 *   audit-head      its newest half is that head
 *   audit-heads     each anchor is signed and fits; each entry follows the anchor that it names
 *   heads given     noted elsewhere: each is in the chain.  Only these show that the whole store was put back.
 */
#ifndef CALLSPAN_VAULT_AUDIT_CHECK_H
#define CALLSPAN_VAULT_AUDIT_CHECK_H

#include "vault/parts.h"

/* A head that was kept elsewhere. */
struct audit_noted {
	struct audit_mark mark; /* number 0: of whichever entry has this hash */
	uint64_t line;          /* of the file it stands in; 0: it was given by hand */
};

struct audit_verdict {
	uint64_t
		missing; /* so many entries were lost with a damaged index, as the trail's first entry says */
	uint64_t
		anchored; /* the newest entry that a head given covers; without one: the newest anchor */
};

/* RC_DAMAGED with the first fault named.  `noted` comes back sorted.  With a request (else NULL) others have their turn now and
 * then (audit_walk). */
enum rc audit_check(struct vault *v, const struct request *q, struct audit_noted *noted,
		    size_t count, struct audit_verdict *out, struct error *err) MUST_USE;

#endif
