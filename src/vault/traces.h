/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* traces.h: is anything left of the keys that were destroyed?  Private to src/vault.
 *
 * Before a slot is overwritten its two sealed boxes are remembered, by their first 16 bytes, which are random; afterwards every
 * byte of every file below a folder is held against them.
 */
#ifndef CALLSPAN_VAULT_TRACES_H
#define CALLSPAN_VAULT_TRACES_H

#include "vault/parts.h"

struct traces;
struct traces *traces_new(void);
void traces_free(struct traces *t);
/* A slot as it was; one that was destroyed already has nothing to remember. */
void traces_add(struct traces *t, const uint8_t slot[SLOT_BYTES]);
size_t traces_count(const struct traces *t); /* boxes remembered */
/* Search all files of a folder.  *found: how often one was met; `where` (of room bytes) names the first place. */
enum rc traces_search(struct traces *t, const char *folder, uint64_t *found, char *where,
		      size_t room, struct error *err) MUST_USE;

#endif
