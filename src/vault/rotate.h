/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* rotate.h: exchange the vault's two key pairs for new ones.  Private to src/vault.
 *
 *   begin     new pairs; each person who opens audio gets the next secret sealed to them  -> secret/rotation.key
 *   sealing   STORE/recorder/vault.pub; slot after slot to the new pairs (segment_reseal)
 *   ending    -> secret/rotation.done; key files, people's files; the old secrets are overwritten in place
 *
 * In between, slots are under the new pairs or the old, and both are at hand (struct seal_pair).  Killed anywhere and
 * run again it goes on from there; so too when it stops because a segment or its slots are not there.  The key that signs heads of the audit trail and the index key stay what they are.
 */
#ifndef CALLSPAN_VAULT_ROTATE_H
#define CALLSPAN_VAULT_ROTATE_H

#include "vault/parts.h"

struct rotate {
	unsigned *steps;       /* for tests: stop with RC_AGAIN after so many writes; NULL: never */
	bool resumed;          /* out: it had been begun before */
	uint64_t segments;     /* out: whose slots were sealed anew */
	uint64_t slots;        /* out: sealed anew */
	uint64_t closed;       /* out: that opened neither before nor after */
	uint64_t damaged;      /* out: segments without a slot file that can be read */
	uint64_t people, lost; /* out: who keep the audio secret; who were disabled and lose it */
};
/* RC_AGAIN: stopped by `steps`, or "passphrase needed". */
enum rc rotate_run(const struct request *q, struct rotate *r, struct error *err) MUST_USE;

#endif
