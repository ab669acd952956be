/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* seal.h: what the segment's own files need of seal.c beside store.h: contexts that are made once
 * and used for each record, so that sealing a chunk allocates nothing.
 *
 * A context belongs to one thread.
 */
#ifndef CALLSPAN_STORE_SEAL_H
#define CALLSPAN_STORE_SEAL_H

#include "store/store.h"

struct seal_piece {
	const uint8_t *bytes; /* borrowed for the call */
	size_t len;
};

/* AES-256-GCM, its context kept. */
struct sealer;
struct sealer *sealer_new(void); /* NULL: memory is short */
/* For one that seals many chunks: ipsec-mb seals where it is built in, the processor has what it takes, and a self-test gives
 * what OpenSSL gives; else the same as sealer_new().  Making it costs milliseconds. */
struct sealer *sealer_new_fast(void);
const char *sealer_library(const struct sealer *s); /* "ipsec-mb" or "OpenSSL" */
void sealer_free(struct sealer *s);
/* Seal pieces, one after the other, into out: their lengths + 16 bytes.  The same bytes come out
 * as of gcm_seal(). */
void sealer_seal(struct sealer *s, uint8_t *out, const struct seal_piece *in, size_t n,
		 const uint8_t key[32], const uint8_t nonce[12], const void *aad, size_t aad_len);

#endif
