/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* entry.h: an entry of the audit trail as text, and back.  Private to src/vault.
 *
 *   {"number":7,"time":"2026-11-21T09:30:00.123456Z","person":"alice","role":"controller",
 *    "action":"export","call":"0192f0c1-...","purpose":"complaint","reference":"C-17",
 *    "outcome":"granted","detail":"policy=5f0c...","after":3}                (one line, no blanks)
 *
 * There is one way to write an entry: members in the order of the table in entry.c, one that has no value left out, no
 * blanks, UTF-8, and of the escapes \" \\ and \u00XX (control characters, DEL) only.  What is written otherwise is not
 * read.  docs/audit.md describes it for others.
 */
#ifndef CALLSPAN_VAULT_ENTRY_H
#define CALLSPAN_VAULT_ENTRY_H

#include "vault/parts.h"

#define ENTRY_FIELD 1024                         /* bytes of a text; what is longer is cut */
#define ENTRY_TEXT  (7 * 6 * ENTRY_FIELD + 1024) /* bytes of an entry at the most */

/* Gives the length; `out` is not terminated.  Bytes that are not UTF-8 become '?'. */
size_t entry_write(char out[ENTRY_TEXT], const struct audit_entry *e);

/* An entry that was read; its texts stay until the next is read into it. */
struct entry {
	struct audit_entry e;
	struct uuid call;
	uint8_t follows[32];
	char *texts; /* owned */
	size_t room;
	char *again; /* owned: what was read, written again */
};
/* Begin with a zeroed one.  False: this is no entry.  `text` is borrowed. */
bool entry_read(struct entry *out, const char *text, size_t len);
void entry_free(struct entry *x);

/* hash = SHA-256(hex(prev) ‖ " " ‖ text) */
void entry_hash(uint8_t hash[32], const uint8_t prev[32], const char *text, size_t len);

#endif
