/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* sdes.h: media keys that SDP carries in clear (RFC 4568).
 *
 *   a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19z...|2^20|1:4 UNENCRYPTED_SRTCP
 *            tag suite                        key and salt  life MKI  parameters
 *
 * Each party states the key of what it sends.  An offer may state several; the answer's tag says which is
 * used.  Keys are secrets: they stay here and go into the call's record, are never logged, and are wiped when they are given
 * up.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_SDES_H
#define CALLSPAN_SIP_SDES_H

#include "sip/span.h"
#include "store/store.h"

#define SDES_OFFERED 4 /* keys of one media line that are followed */

struct sdes_offer {
	uint32_t tag;
	struct sdes_key key; /* without from_us and party */
};

struct sdes_offers {
	uint8_t count;
	struct sdes_offer offer[SDES_OFFERED];
};

/* The value of one a=crypto line.  Adds to *to what can be used of it; false when nothing can, or there are enough. */
bool sdes_read(struct sdes_offers *to, struct span value);

/* The keys of a call. */
struct sdes_keys {
	uint32_t count;
	struct sdes_key key[SDES_MAX];
	uint8_t leg[SDES_MAX]; /* the callee's leg that stated it, or NO_LEG */
};

enum sdes_noted { SDES_NOTED, SDES_KNOWN /* it was there */, SDES_TOO_MANY };
enum sdes_noted sdes_note(struct sdes_keys *to, enum track party, uint8_t leg,
			  const struct sdes_key *key, int64_t from_us);

/* Remove (and wipe) key i. */
void sdes_drop(struct sdes_keys *from, unsigned i);

#endif
