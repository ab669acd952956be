/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* handover.h: how a recording leaves the store.  Private to src/vault.
 *
 *   plain   the file itself, where the policy lets it; its manifest goes with the reply
 *   zip     README.txt, manifest.txt and recording.* in a ZIP under a password (AES-256)
 *   cms     the same in a ZIP without one, sealed to the recipient's certificate
 *
 * What leaves protected is made in memory: no disk sees it in clear.
 */
#ifndef CALLSPAN_VAULT_HANDOVER_H
#define CALLSPAN_VAULT_HANDOVER_H

#include "vault/opening.h"

/* Of what was asked: how it is to leave.  Passwords and certificates are looked at here. */
enum rc handover_read(const struct request *q, struct opening *o, struct error *err) MUST_USE;

/* "to=file format=wav ...", for the entry that comes before. */
#define HANDOVER_DETAIL 256
void handover_detail(const struct opening *o, char text[HANDOVER_DETAIL]);

struct handover {
	const struct opened *x;
	int fd;      /* where its maker writes the file */
	bool memory; /* it is ours */
	uint64_t bytes;
	char sha256[65]; /* of what was written; "" for a pipe */
};
enum rc handover_begin(struct handover *h, const struct opened *x, struct error *err) MUST_USE;
/* The file is written: look at it.  This and the writing need nothing of the vault: the maker has stepped out (turn.h). */
void handover_written(struct handover *h);
/* Protect it, hand it over, audit that it was, and reply; unless the recording was destroyed meanwhile.  `told` (moved): what its
 * maker says of it; see manifest.h.  The reply has it, and how it left. */
enum rc handover_finish(struct handover *h, json_t *told, struct error *err) MUST_USE;
/* Wipe what was made in memory; finished or not. */
void handover_end(struct handover *h);

#endif
