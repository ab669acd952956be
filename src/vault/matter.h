/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* matter.h: what holds, requests and reviews know of people, under keys that can be destroyed.  Private to src/vault.
 *
 * A hold on a party's calls must know the number, a request its requester.  What RocksDB deletes stays on the disk for a
 * while, so such a row holds them sealed, under a key of its own in STORE/vault/matters.keys:
 *
 *   slot n at 64 n:  key (32) ‖ SHA-256("callspan matter 1" ‖ be32 n ‖ key) (32)
 *
 * When the matter ends its slot is overwritten in place and synced, and nobody's name is left anywhere.  Slots are never
 * used twice.
 */
#ifndef CALLSPAN_VAULT_MATTER_H
#define CALLSPAN_VAULT_MATTER_H

#include "vault/parts.h"

#define MATTER_OVERHEAD 28 /* nonce and tag */

/* A new key, synced; its number. */
enum rc matter_new(struct vault *v, uint32_t *number, struct error *err) MUST_USE;
/* Seal `len` bytes for the row `id`; out has len + MATTER_OVERHEAD bytes.  RC_NOT_FOUND: the key was destroyed. */
enum rc matter_seal(struct vault *v, uint32_t number, const struct uuid *id, const void *in,
		    size_t len, uint8_t *out, struct error *err) MUST_USE;
/* The reverse; out has len - MATTER_OVERHEAD bytes.  RC_NOT_FOUND: the key was destroyed; RC_DAMAGED. */
enum rc matter_open(struct vault *v, uint32_t number, const struct uuid *id, const uint8_t *in,
		    size_t len, void *out, struct error *err) MUST_USE;
/* Overwrite the key in place, sync, read back.  Done again, it does nothing.  RC_DAMAGED: there is no such key. */
enum rc matter_destroy(struct vault *v, uint32_t number, struct error *err) MUST_USE;

/* For backups, which seal them to keys of their own: how many there are, one of them (as above), and putting one into a
 * store that is being made (NULL: a destroyed one). */
uint32_t matter_count(const struct vault *v);
enum rc matter_key(const struct vault *v, uint32_t number, uint8_t key[KEY_BYTES],
		   struct error *err) MUST_USE;
enum rc matter_put(const char *store, uint32_t number, const uint8_t *key,
		   struct error *err) MUST_USE;
/* What stands in the place of a destroyed key. */
#define MATTER_GONE 32
extern const char matter_gone[MATTER_GONE + 1];

#endif
