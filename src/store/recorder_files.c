/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* recorder_files.c: STORE/VERSION and what lies in STORE/recorder beside segments: vault.pub,
 * sign.key, sign.pub, lock.
 *
 * At start only, any thread.  Keys stand in hex, one a line.  The signing key is given to the
 * writer alone (recorder_files.h); no line of an error ever holds a key.
 */
#include "store/recorder_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/seal.h"

#define VERSION_PREFIX "callspan store "
#define FILE_MAX       512 /* bytes of the largest of these files, and more */

static enum rc path_of(char out[STORE_PATH], const char *store, const char *name, struct error *err)
{
	int n = snprintf(out, STORE_PATH, "%s/%s", store, name);

	if (n < 0 || n >= STORE_PATH)
		return error_set(err, RC_FAILED, "the store's name is too long");
	return RC_OK;
}

/* All of a small file, zero-terminated.  RC_NOT_FOUND when it is not there. */
static enum rc read_small(char out[FILE_MAX], const char *path, struct error *err)
{
	memset(out, 0, FILE_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno == ENOENT ? RC_NOT_FOUND : RC_FAILED, errno,
				   "cannot open %s", path);
	ssize_t n = read(fd, out, FILE_MAX - 1);
	int e = errno;
	(void)close(fd);
	if (n < 0)
		return error_errno(err, RC_FAILED, e, "cannot read %s", path);
	return RC_OK;
}

/* ---- hex ----------------------------------------------------------------------------------- */

static void hex_put(char *out, const uint8_t *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* One line of exactly `len` bytes in hex; the text after it, or NULL. */
static const char *hex_line(uint8_t *out, size_t len, const char *text)
{
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0)
			return NULL;
		out[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *text == '\n' ? text + 1 : NULL;
}

/* ---- version ------------------------------------------------------------------------------- */

enum rc store_check_version(const char *store, struct error *err)
{
	char path[STORE_PATH], text[FILE_MAX];
	struct stat st;

	enum rc rc = path_of(path, store, "VERSION", err);
	if (rc != RC_OK)
		return rc;
	if (stat(store, &st) != 0 && errno == ENOENT)
		return error_set(err, RC_FAILED,
				 "%s: there is no such store (callspan init makes one)", store);
	rc = read_small(text, path, err);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_FAILED, "%s is not a callspan store", store);
	if (rc != RC_OK)
		return rc;
	if (strcmp(text, STORE_VERSION_LINE) == 0)
		return RC_OK;
	if (strncmp(text, VERSION_PREFIX, strlen(VERSION_PREFIX)) == 0)
		return error_set(err, RC_FAILED, "%s was made by a newer version of callspan",
				 store);
	return error_set(err, RC_FAILED, "%s is not a callspan store", store);
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum rc write_new(int dir, const char *name, mode_t mode, const char *text, size_t len,
			 struct error *err)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "cannot make %s", name);
	ssize_t n = write(fd, text, len);
	int e = n < 0 ? errno : n != (ssize_t)len ? ENOSPC : 0;
	if (!e && fsync(fd) != 0)
		e = errno;
	(void)close(fd);
	if (!e)
		return RC_OK;
	(void)unlinkat(dir, name, 0);
	return error_errno(err, RC_FAILED, e, "cannot write %s", name);
}

#define LINE(bytes) (2 * (bytes) + 1)

static enum rc write_keys(int dir, const uint8_t audio_public[32],
			  const uint8_t metadata_public[32], const struct sign_pair *sign,
			  struct error *err)
{
	char vault[2 * LINE(32)], secret[LINE(64)], public[LINE(32)];

	hex_put(vault, audio_public, 32);
	hex_put(vault + LINE(32), metadata_public, 32);
	vault[LINE(32) - 1] = vault[2 * LINE(32) - 1] = '\n';
	hex_put(secret, sign->secret_key, 64);
	secret[LINE(64) - 1] = '\n';
	hex_put(public, sign->public_key, 32);
	public[LINE(32) - 1] = '\n';

	enum rc rc = write_new(dir, "vault.pub", 0600, vault, sizeof vault, err);
	if (rc == RC_OK)
		rc = write_new(dir, "sign.key", 0600, secret, sizeof secret, err);
	if (rc == RC_OK)
		rc = write_new(dir, "sign.pub", 0600, public, sizeof public, err);
	forget_bytes(secret, sizeof secret);
	if (rc == RC_OK && fsync(dir) != 0)
		rc = error_errno(err, RC_FAILED, errno, "cannot sync the recorder's folder");
	return rc;
}

enum rc store_recorder_init(const char *store, const uint8_t audio_public[32],
			    const uint8_t metadata_public[32], const struct sign_pair *sign,
			    struct error *err)
{
	char path[STORE_PATH];

	enum rc rc = path_of(path, store, "recorder", err);
	if (rc != RC_OK)
		return rc;
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return error_errno(err, RC_FAILED, errno, "cannot make %s", path);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_errno(err, RC_FAILED, errno, "cannot open %s", path);
	rc = write_keys(dir, audio_public, metadata_public, sign, err);
	(void)close(dir);
	return rc;
}

/* The recorder's folder, and so its next vault.pub, belong to the recorder's user. */
static enum rc give_to_owner(int dir, const char *name, struct error *err)
{
	struct stat st;

	if (fstat(dir, &st) == 0 &&
	    (st.st_uid == geteuid() ||
	     fchownat(dir, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) == 0))
		return RC_OK;
	return error_errno(err, RC_FAILED, errno, "cannot give away %s", name);
}

static enum rc renew(int dir, const char *text, size_t len, struct error *err)
{
	static const char made[] = "vault.pub.new", name[] = "vault.pub";

	(void)unlinkat(dir, made, 0);
	enum rc rc = write_new(dir, made, 0600, text, len, err);
	if (rc == RC_OK)
		rc = give_to_owner(dir, made, err);
	if (rc == RC_OK && (renameat(dir, made, dir, name) != 0 || fsync(dir) != 0))
		rc = error_errno(err, RC_FAILED, errno, "cannot replace %s", name);
	return rc;
}

enum rc store_renew_vault_public(const char *store, const uint8_t audio_public[32],
				 const uint8_t metadata_public[32], struct error *err)
{
	char path[STORE_PATH], text[2 * LINE(32)];

	enum rc rc = path_of(path, store, "recorder", err);
	if (rc != RC_OK)
		return rc;
	hex_put(text, audio_public, 32);
	hex_put(text + LINE(32), metadata_public, 32);
	text[LINE(32) - 1] = text[2 * LINE(32) - 1] = '\n';
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return error_errno(err, RC_FAILED, errno, "cannot open %s", path);
	rc = renew(dir, text, sizeof text, err);
	(void)close(dir);
	return rc;
}

/* ---- reading ------------------------------------------------------------------------------- */

static enum rc read_keys(const char *store, const char *name, char text[FILE_MAX],
			 struct error *err)
{
	char path[STORE_PATH];

	enum rc rc = path_of(path, store, name, err);
	if (rc == RC_OK)
		rc = read_small(text, path, err);
	if (rc != RC_NOT_FOUND)
		return rc;
	(void)error_set(err, RC_FAILED, "%s lacks its %s", store, name);
	return RC_FAILED;
}

static enum rc not_a_key(const char *store, const char *name, struct error *err)
{
	return error_set(err, RC_FAILED, "%s/%s is not a key file", store, name);
}

enum rc store_read_vault_public(const char *store, uint8_t audio_public[32],
				uint8_t metadata_public[32], struct error *err)
{
	static const char name[] = "recorder/vault.pub";
	char text[FILE_MAX];

	enum rc rc = read_keys(store, name, text, err);
	if (rc != RC_OK)
		return rc;
	const char *rest = hex_line(audio_public, 32, text);
	if (rest)
		rest = hex_line(metadata_public, 32, rest);
	return rest && !*rest ? RC_OK : not_a_key(store, name, err);
}

enum rc store_read_sign_public(const char *store, uint8_t sign_public[32], struct error *err)
{
	static const char name[] = "recorder/sign.pub";
	char text[FILE_MAX];

	enum rc rc = read_keys(store, name, text, err);
	if (rc != RC_OK)
		return rc;
	const char *rest = hex_line(sign_public, 32, text);
	return rest && !*rest ? RC_OK : not_a_key(store, name, err);
}

enum rc recorder_files_sign_pair(const char *store, struct sign_pair *sign, struct error *err)
{
	static const char name[] = "recorder/sign.key";
	char text[FILE_MAX];

	enum rc rc = store_read_sign_public(store, sign->public_key, err);
	if (rc == RC_OK)
		rc = read_keys(store, name, text, err);
	if (rc != RC_OK)
		return rc;
	const char *rest = hex_line(sign->secret_key, 64, text);
	/* An Ed25519 secret ends with its public half. */
	bool good = rest && !*rest && memcmp(sign->secret_key + 32, sign->public_key, 32) == 0;
	forget_bytes(text, sizeof text);
	return good ? RC_OK : not_a_key(store, name, err);
}

void store_recorder_id(const uint8_t sign_public[32], char id[RECORDER_ID])
{
	uint8_t hash[32];

	digest_sha256(hash, sign_public, 32);
	hex_put(id, hash, (RECORDER_ID - 1) / 2);
	id[RECORDER_ID - 1] = '\0';
}

/* ---- one recorder a store ------------------------------------------------------------------ */

enum rc store_recorder_lock(const char *store, int *fd, struct error *err)
{
	char path[STORE_PATH];

	*fd = -1;
	enum rc rc = path_of(path, store, "recorder/lock", err);
	if (rc != RC_OK)
		return rc;
	int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0)
		return error_errno(err, RC_FAILED, errno, "cannot open %s", path);
	if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
		*fd = lock;
		return RC_OK;
	}
	int e = errno;
	(void)close(lock);
	if (e == EWOULDBLOCK)
		return error_set(err, RC_FAILED, "another callspand is recording into %s", store);
	return error_errno(err, RC_FAILED, e, "cannot lock %s", path);
}
