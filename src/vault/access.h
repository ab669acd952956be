/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* access.h: the one way to a recording that a request names, and which of them a person may know of.  Private to
 * src/vault.
 *
 *   id or prefix -> is there one? -> may this person know of it? -> the call
 *
 * Whoever may not know of a recording is answered as if there were none.
 */
#ifndef CALLSPAN_VAULT_ACCESS_H
#define CALLSPAN_VAULT_ACCESS_H

#include "vault/parts.h"

/* The call of this id (or unique prefix), owned by the caller; its sealed part may be open.  RC_USAGE: no such
 * recording, or not an id; RC_FAILED: it was destroyed, and when. */
enum rc access_call(const struct request *q, const char *id, struct call **out,
		    struct error *err) MUST_USE;
/* May the person who asks know of this call?  Opens its sealed part where that must be known. */
bool access_sees(const struct request *q, struct call *c);

#endif
