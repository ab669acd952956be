/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* grants.h: rights to hear one call, for a time.  Private to src/vault.
 *
 * A reviewer gives the member of staff concerned a call to hear.  Staff have no audio secret; so the call's own audio key,
 * and no other, is sealed to that person's pair, and once more under a key of the matter:
 *
 *   reviewer's passphrase -> audio secret -> slot -> the call's audio key
 *     -> sealed box to the person's public key -> matter_seal() -> the review's row
 *
 * It opens with the person's passphrase while the key of the matter is there.  That is destroyed when the time is over, and
 * when the call is destroyed: what lies in the index, in its old files and in copies of them opens nothing then.
 */
#ifndef CALLSPAN_VAULT_GRANTS_H
#define CALLSPAN_VAULT_GRANTS_H

#include "vault/reviews.h"

#define GRANT_DAYS      14 /* unless it is said otherwise */
#define GRANT_DAYS_MOST 90

/* May this person hear this call now, because it was given to them? */
bool grants_allows(struct vault *v, const char *person, const struct uuid *call, int64_t now_us);
/* The review that gave it.  RC_NOT_FOUND: there is none, or its time is over. */
enum rc grants_find(struct vault *v, const char *person, const struct uuid *call, int64_t now_us,
		    struct review *r, struct error *err) MUST_USE;
/* Put the call's audio key into a review, for this person alone; r->call, person and until_us are set. */
enum rc grants_seal(struct vault *v, struct review *r, const struct person *to,
		    const uint8_t audio_key[KEY_BYTES], struct error *err) MUST_USE;
/* The audio key of a call that was given to the person who asks.  RC_AGAIN: a passphrase is needed; RC_REFUSED. */
enum rc grants_open(const struct request *q, const struct uuid *call, uint8_t audio_key[KEY_BYTES],
		    struct error *err) MUST_USE;
/* Destroy what a right would open; done again, or where there is none, it does nothing. */
enum rc grants_destroy(struct vault *v, const struct review *r, struct error *err) MUST_USE;
/* End those whose time is over. */
enum rc grants_expire(struct vault *v, struct error *err) MUST_USE;

#endif
