/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* unlock.h: passphrases of requests.  Private to src/vault.
 *
 * Argon2id takes most of a second and 256 MiB, and nothing of the vault.  So the asker's passphrase is tried before the handler
 * is called, once, while others have their turn (turn.h); the handler, which reads and writes as if it were alone, asks for
 * what came of it where it needs it.  Between trying and using it others may have changed the person: requests.c sees to that.
 *
 *   "passphrase" --unlock_try: Argon2id, outside--> struct unlock --unlock_own, unlock_audio, unlock_prove--> handler
 *
 * UNLOCK_PLACES are worked on at once, whoever asks for them, and one of each person: so much memory it takes, and whoever
 * tries many keeps one place.
 */
#ifndef CALLSPAN_VAULT_UNLOCK_H
#define CALLSPAN_VAULT_UNLOCK_H

#include "vault/parts.h"

#define UNLOCK_PLACES 2

/* What came of the asker's passphrase. */
struct unlock {
	enum rc rc; /* RC_AGAIN: none was given */
	struct error why;
	struct seal_pair own;
};
/* Try it.  The caller has the turn, holds nothing of the vault, and has the turn again afterwards. */
void unlock_try(const struct request *q, struct unlock *u);
bool unlock_tried(const struct request *q);

/* The asker's own pair.  RC_AGAIN: "passphrase needed"; RC_REFUSED: a wrong passphrase, or they have none. */
enum rc unlock_own(const struct request *q, struct seal_pair *own, struct error *err) MUST_USE;
/* Is it really the asker?  As above. */
enum rc unlock_prove(const struct request *q, struct error *err) MUST_USE;
/* The audio secret into audio->secret_key (audio's public key tells which, while it is exchanged).  As above; RC_REFUSED too:
 * no right to it. */
enum rc unlock_audio(const struct request *q, struct seal_pair *audio, struct error *err) MUST_USE;

/* A secret under a new passphrase.  Others have their turn meanwhile: what the handler knew may be otherwise.  RC_REFUSED:
 * the asker may not any more what they might before. */
enum rc unlock_seal(const struct request *q, uint8_t box[PASSPHRASE_BOX(32)],
		    const uint8_t secret[32], const char *passphrase, struct error *err) MUST_USE;

#endif
