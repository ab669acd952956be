/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* inspect.c: is a file what was handed over?  For strangers too: no store is opened, and nothing of it is needed but the
 * public key of its vault.
 *
 *   call.wav + call.wav.manifest (or manifest.txt beside it)
 *   a ZIP with README.txt, manifest.txt and recording.*, which is read as a stream and laid down nowhere
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/manifest.h"
#include "vault/zip.h"

#define NAME_MAX_HERE 64

struct inspection {
	const struct vault_inspect *in;
	char *manifest; /* owned */
	size_t manifest_len;
	char name[NAME_MAX_HERE]; /* of the part of a ZIP that is being read */
	char recording[NAME_MAX_HERE];
	struct digest *digest; /* owned */
	uint64_t bytes;
	char sha256[65];
};

/* ---- a ZIP ------------------------------------------------------------------------------------------ */

static enum rc begin_part(void *ctx, const char *name, struct error *err)
{
	struct inspection *k = ctx;
	bool recording = strncmp(name, "recording.", 10) == 0;
	snprintf(k->name, sizeof k->name, "%s", name);
	if (recording && !*k->recording) {
		snprintf(k->recording, sizeof k->recording, "%s", name);
		return RC_OK;
	}
	if (strcmp(name, "README.txt") == 0 || (strcmp(name, "manifest.txt") == 0 && !k->manifest))
		return RC_OK;
	return error_set(err, RC_DAMAGED, "the ZIP holds %.60s, which was never put into it", name);
}

static enum rc add_manifest(struct inspection *k, const void *bytes, size_t len, struct error *err)
{
	if (k->manifest_len + len > MANIFEST_BYTES)
		return error_set(err, RC_DAMAGED, "the manifest is longer than any");
	char *more = realloc(k->manifest, k->manifest_len + len + 1);
	ASSERT(more);
	memcpy(more + k->manifest_len, bytes, len);
	k->manifest = more;
	k->manifest_len += len;
	return RC_OK;
}

static enum rc use_bytes(void *ctx, const void *bytes, size_t len, struct error *err)
{
	struct inspection *k = ctx;
	if (strcmp(k->name, "manifest.txt") == 0)
		return add_manifest(k, bytes, len, err);
	if (strcmp(k->name, k->recording) == 0) {
		digest_add(k->digest, bytes, len);
		k->bytes += len;
	}
	return RC_OK;
}

static enum rc inspect_zip(struct inspection *k, int fd, struct error *err)
{
	uint8_t hash[32];
	const struct zip_use use = { .ctx = k, .part = begin_part, .bytes = use_bytes };
	enum rc rc = zip_read(fd, k->in->password, &use, err);
	if (rc != RC_OK)
		return rc;
	if (!k->manifest || !*k->recording)
		return error_set(err, RC_DAMAGED, "the ZIP lacks its %s",
				 k->manifest ? "recording" : "manifest");
	digest_take(k->digest, hash);
	keys_hex(k->sha256, hash, sizeof hash);
	return RC_OK;
}

/* ---- a file with its manifest beside it ----------------------------------------------------------------- */

static enum rc read_beside(struct inspection *k, struct error *err)
{
	char path[STORE_PATH], copy[STORE_PATH];
	snprintf(path, sizeof path, "%s.manifest", k->in->path);
	enum rc rc = disk_read(path, MANIFEST_BYTES, &k->manifest, &k->manifest_len, err);
	if (rc != RC_NOT_FOUND)
		return rc;
	snprintf(copy, sizeof copy, "%s", k->in->path);
	disk_path(path, dirname(copy), "manifest.txt");
	rc = disk_read(path, MANIFEST_BYTES, &k->manifest, &k->manifest_len, err);
	return rc == RC_NOT_FOUND
		       ? error_set(err, RC_FAILED, "%.300s.manifest: there is none", k->in->path)
		       : rc;
}

static enum rc inspect_file(struct inspection *k, int fd, struct error *err)
{
	enum rc rc = read_beside(k, err);
	if (rc != RC_OK)
		return rc;
	disk_hash(fd, &k->bytes, k->sha256);
	return RC_OK;
}

/* ---- either ------------------------------------------------------------------------------------------------ */

/* ASN.1's SEQUENCE, and a length that is no short one: nothing that we export begins so. */
static bool is_envelope(const uint8_t head[4])
{
	return head[0] == 0x30 && head[1] & 0x80;
}

static enum rc inspect_kind(struct inspection *k, int fd, bool *zip, struct error *err)
{
	uint8_t head[4] = { 0 };
	ssize_t n = pread(fd, head, sizeof head, 0);
	if (n < 0)
		return error_errno(err, RC_FAILED, errno, "%.300s", k->in->path);
	*zip = memcmp(head, "PK", 2) == 0;
	if (*zip)
		return inspect_zip(k, fd, err);
	if (is_envelope(head))
		return error_set(err, RC_FAILED,
				 "%.300s is sealed to a certificate: its holder opens it first "
				 "(openssl cms -decrypt -inform DER)",
				 k->in->path);
	return inspect_file(k, fd, err);
}

static enum rc inspect_path(struct inspection *k, bool *zip, struct error *err)
{
	struct stat st;
	int fd = open(k->in->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "%.300s", k->in->path);
	enum rc rc = RC_OK;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		rc = error_set(err, RC_FAILED, "%.300s is no file", k->in->path);
	else
		rc = inspect_kind(k, fd, zip, err);
	close(fd);
	return rc;
}

/* What was found against what the manifest says of it. */
static enum rc compare(const struct inspection *k, const json_t *m, struct error *err)
{
	const json_t *bytes = manifest_at(m, "file.bytes");
	if ((uint64_t)json_integer_value(bytes) != k->bytes)
		return error_set(
			err, RC_DAMAGED,
			"the recording has %llu bytes, and had %llu when it was handed over",
			(unsigned long long)k->bytes,
			(unsigned long long)json_integer_value(bytes));
	if (strcmp(manifest_text(m, "file.sha256"), k->sha256) != 0)
		return error_set(err, RC_DAMAGED,
				 "the recording was altered: its SHA-256 is not that of the "
				 "manifest");
	if (*k->recording && strcmp(k->recording + 10, manifest_text(m, "file.format")) != 0)
		return error_set(err, RC_DAMAGED, "the recording has another name than it had");
	return RC_OK;
}

static enum rc judge(struct inspection *k, bool zip, json_t **out, struct error *err)
{
	uint8_t given[32], key[32];
	struct pem_key signer;
	json_t *m;
	if (k->in->key && !pem_read_key(k->in->key, given))
		return error_set(err, RC_USAGE, "key: not an Ed25519 public key in PEM");
	enum rc rc = manifest_read(k->manifest, k->manifest_len, k->in->key ? given : NULL, &m, key,
				   err);
	if (rc != RC_OK)
		return rc;
	rc = compare(k, m, err);
	if (rc != RC_OK) {
		json_decref(m);
		return rc;
	}
	pem_describe(&signer, key);
	*out = json_pack("{s:s, s:I, s:s, s:s, s:o, s:s%}", "kind", zip ? "zip" : "file", "bytes",
			 (json_int_t)k->bytes, "sha256", k->sha256, "fingerprint",
			 signer.fingerprint, "manifest", m, "text", k->manifest, k->manifest_len);
	ASSERT(*out);
	return RC_OK;
}

enum rc vault_inspect(const struct vault_inspect *in, json_t **out, struct error *err)
{
	bool zip = false;
	struct inspection k = { .in = in, .digest = digest_new() };
	ASSERT(k.digest);
	enum rc rc = strlen(in->path) + sizeof ".manifest" <= STORE_PATH
			     ? inspect_path(&k, &zip, err)
			     : error_set(err, RC_USAGE, "the file's name is too long");
	if (rc == RC_OK)
		rc = judge(&k, zip, out, err);
	digest_free(k.digest);
	free(k.manifest);
	return rc;
}
