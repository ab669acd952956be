/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* zip.h: ZIP files under a password, by libarchive: AES-256 as WinZip does it, which 7-Zip and others open.  Private to
 * src/vault; on the vault's thread.
 *
 * What a ZIP shows without its password: names, sizes and CRC-32 of its parts, no times, nobody's name.  (The file is
 * zip.c and not archive.c, for `archive_` is the library's own prefix.)
 */
#ifndef CALLSPAN_VAULT_ZIP_H
#define CALLSPAN_VAULT_ZIP_H

#include "base/rc.h"

struct zip_part {
	const char *name;
	const void *bytes; /* borrowed */
	size_t len;
};
/* Write a ZIP to a descriptor (not closed); password NULL: in clear. */
enum rc zip_write(int fd, const struct zip_part *parts, size_t count, const char *password,
		  struct error *err) MUST_USE;

struct zip_use {
	void *ctx;
	/* A part begins. */
	enum rc (*part)(void *ctx, const char *name, struct error *err);
	/* Its next bytes, checked against nothing yet. */
	enum rc (*bytes)(void *ctx, const void *bytes, size_t len, struct error *err);
};
/* All parts of a ZIP, in order.  RC_AGAIN: it wants a password, and none was given; RC_REFUSED: that is the wrong one;
 * RC_DAMAGED: no ZIP, or not as it was written. */
enum rc zip_read(int fd, const char *password, const struct zip_use *use,
		 struct error *err) MUST_USE;

#endif
