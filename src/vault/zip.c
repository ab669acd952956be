/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* zip.c: see zip.h. */
#include "vault/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#define PIECE      (1u << 20)
#define READ_BLOCK 65536

static const char *why(struct archive *a)
{
	const char *text = archive_error_string(a);
	return text ? text : "libarchive does not say why";
}

/* ---- writing ------------------------------------------------------------------------------------ */

/* No time is set, so none of this machine's is told. */
static bool put_head(struct archive *a, const struct zip_part *p)
{
	struct archive_entry *e = archive_entry_new();
	ASSERT(e);
	archive_entry_set_pathname(e, p->name);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_size(e, (la_int64_t)p->len);
	bool ok = archive_write_header(a, e) == ARCHIVE_OK;
	archive_entry_free(e);
	return ok;
}

static bool put_part(struct archive *a, const struct zip_part *p)
{
	const char *from = p->bytes;
	bool ok = put_head(a, p);
	for (size_t left = p->len; ok && left;) {
		size_t n = left < PIECE ? left : PIECE;
		la_ssize_t done = archive_write_data(a, from, n);
		ok = done > 0;
		from += ok ? done : 0;
		left -= ok ? (size_t)done : 0;
	}
	return ok && archive_write_finish_entry(a) == ARCHIVE_OK;
}

static bool begin(struct archive *a, int fd, const char *password)
{
	return archive_write_set_format_zip(a) == ARCHIVE_OK &&
	       (!password || (archive_write_set_options(a, "zip:encryption=aes256") == ARCHIVE_OK &&
			      archive_write_set_passphrase(a, password) == ARCHIVE_OK)) &&
	       archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK &&
	       archive_write_open_fd(a, fd) == ARCHIVE_OK;
}

enum rc zip_write(int fd, const struct zip_part *parts, size_t count, const char *password,
		  struct error *err)
{
	struct archive *a = archive_write_new();
	ASSERT(a);
	bool ok = begin(a, fd, password);
	for (size_t i = 0; ok && i < count; i++)
		ok = put_part(a, &parts[i]);
	ok = ok && archive_write_close(a) == ARCHIVE_OK;
	enum rc rc =
		ok ? RC_OK : error_set(err, RC_FAILED, "the ZIP cannot be written: %s", why(a));
	(void)archive_write_free(a);
	return rc;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static enum rc broken(struct archive *a, struct error *err)
{
	return error_set(err, RC_DAMAGED, "the ZIP is damaged: %s", why(a));
}

/* The library tells a wrong password only by failing before the first byte. */
static enum rc use_part(struct archive *a, bool sealed, const struct zip_use *use,
			struct error *err)
{
	const void *bytes;
	size_t len;
	la_int64_t at;
	bool begun = false;
	for (;;) {
		int got = archive_read_data_block(a, &bytes, &len, &at);
		if (got == ARCHIVE_EOF)
			return RC_OK;
		if (got == ARCHIVE_FAILED && sealed && !begun)
			return error_set(err, RC_REFUSED, "the password is wrong");
		if (got != ARCHIVE_OK)
			return broken(a, err);
		begun = true;
		enum rc rc = use->bytes(use->ctx, bytes, len, err);
		if (rc != RC_OK)
			return rc;
	}
}

static enum rc use_parts(struct archive *a, const char *password, const struct zip_use *use,
			 struct error *err)
{
	struct archive_entry *e;
	enum rc rc = RC_OK;
	while (rc == RC_OK) {
		int got = archive_read_next_header(a, &e);
		if (got == ARCHIVE_EOF)
			return RC_OK;
		if (got != ARCHIVE_OK)
			return broken(a, err);
		const char *name = archive_entry_pathname(e);
		bool sealed = archive_entry_is_data_encrypted(e);
		if (sealed && !password)
			return error_set(err, RC_AGAIN, "password needed");
		rc = use->part(use->ctx, name ? name : "", err);
		if (rc == RC_OK)
			rc = use_part(a, sealed, use, err);
	}
	return rc;
}

enum rc zip_read(int fd, const char *password, const struct zip_use *use, struct error *err)
{
	struct archive *a = archive_read_new();
	ASSERT(a);
	enum rc rc = RC_OK;
	if (archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
	    (password && archive_read_add_passphrase(a, password) != ARCHIVE_OK) ||
	    lseek(fd, 0, SEEK_SET) != 0 || archive_read_open_fd(a, fd, READ_BLOCK) != ARCHIVE_OK)
		rc = broken(a, err);
	if (rc == RC_OK)
		rc = use_parts(a, password, use, err);
	(void)archive_read_free(a);
	return rc;
}
