/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* heads.h: signed heads of the audit trail, outside the index.  Private to src/vault.
 *
 *   head NUMBER TIME HASH SIGNATURE      STORE/vault/audit-head: the newest, at each commit
 *   anchor NUMBER TIME HASH SIGNATURE    STORE/vault/audit-heads: each hour's, kept for ever; and elsewhere
 *
 * The signature (Ed25519 by secret/heads.key, base64) is over the line before it, without the blank.  HASH is that of
 * entry NUMBER, TIME when it was written (head) or when it was signed (anchor).
 *
 * audit-head has two halves of a block each that are overwritten in turn, synced: whatever a crash does to one, the
 * other still holds the head of the commit before.
 */
#ifndef CALLSPAN_VAULT_HEADS_H
#define CALLSPAN_VAULT_HEADS_H

#include "vault/parts.h"

#define HEADS_LINE 256

/* The line, with its newline. */
void heads_line(const struct vault *v, const char *kind, const struct audit_mark *m,
		char line[HEADS_LINE]);
/* Read a line (without newline): NULL, or what is wrong with it. */
const char *heads_fault(const struct vault *v, const char *kind, const char *line,
			struct audit_mark *out);

/* The newest head of audit-head.  RC_NOT_FOUND: there is none that is ours. */
enum rc heads_get(struct vault *v, struct audit_mark *out, struct error *err) MUST_USE;
enum rc heads_put(struct vault *v, const struct audit_mark *m, struct error *err) MUST_USE;

/* The last line of audit-heads.  RC_NOT_FOUND: there is none, or it is not ours. */
enum rc heads_last_anchor(struct vault *v, struct audit_mark *out, struct error *err) MUST_USE;
enum rc heads_append(struct vault *v, const char *line, struct error *err) MUST_USE;
/* All of audit-heads, up to its last whole line; owned by the caller.  RC_NOT_FOUND: it is gone. */
enum rc heads_read(struct vault *v, char **text, struct error *err) MUST_USE;
/* Append to a file that is not the store's: it may take no more than appending, or be a pipe. */
enum rc heads_send_outside(const char *path, const char *line, struct error *err) MUST_USE;

/* journal.c: an anchor to the journal; where none runs, to the log. */
void journal_anchor(const char *store, const struct audit_mark *m, const char *line);

#endif
