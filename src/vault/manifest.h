/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* manifest.h: what goes with a file that leaves the store: what it is, where it came from, who opened it and why, signed by the
 * vault.  Private to src/vault.
 *
 *   line 1   one JSON object, in ASCII
 *   line 2   base64 of the Ed25519 signature over line 1, without its newline
 *
 * docs/disclosure.md lists the members, and how to check it with openssl(1) and sha256sum(1) alone.
 */
#ifndef CALLSPAN_VAULT_MANIFEST_H
#define CALLSPAN_VAULT_MANIFEST_H

#include "vault/opening.h"

#define MANIFEST_BYTES (4u << 20)

/* The file's own facts; `told`: what its maker says of it ("seconds", "zero_us", and "rate" or "packets", "messages"). */
struct manifest_file {
	const json_t *told; /* borrowed */
	uint64_t bytes;
	const char *sha256;
};
/* Two lines, owned by the caller (free()). */
enum rc manifest_make(const struct opened *x, const struct manifest_file *file, char **text,
		      struct error *err) MUST_USE;

/* Is it signed, by this key (NULL: by the one that stands in it), and are its members what they should be?  RC_DAMAGED
 * with one line says what is not.  *out is owned by the caller; `key` becomes the signer's. */
enum rc manifest_read(const char *text, size_t len, const uint8_t *by, json_t **out,
		      uint8_t key[32], struct error *err) MUST_USE;

/* A member within members, "file.sha256"; NULL: it is not there. */
const json_t *manifest_at(const json_t *manifest, const char *path);
const char *manifest_text(const json_t *manifest, const char *path); /* "" when it is no text */

#endif
