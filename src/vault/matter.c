/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* matter.c: see matter.h.  On the vault's thread. */
#include "vault/matter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "vault/backup.h"

#define MATTERS_FILE "vault/matters.keys"
#define NONCE        12
#define GCM_TAG      16

_Static_assert(NONCE + GCM_TAG == MATTER_OVERHEAD, "what sealing adds");

struct matter_slot {
	uint8_t key[KEY_BYTES], check[32];
};
_Static_assert(sizeof(struct matter_slot) == 64, "a slot");

static void check_of(uint8_t check[32], uint32_t number, const uint8_t key[KEY_BYTES])
{
	static const char title[] = "callspan matter 1";
	uint8_t in[sizeof title - 1 + 4 + KEY_BYTES];
	memcpy(in, title, sizeof title - 1);
	put_u32(in + sizeof title - 1, number);
	memcpy(in + sizeof title + 3, key, KEY_BYTES);
	digest_sha256(check, in, sizeof in);
	forget_bytes(in, sizeof in);
}

static int open_file(const struct vault *v, int flags, char path[STORE_PATH])
{
	disk_path(path, v->store, MATTERS_FILE);
	return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

static off_t place_of(uint32_t number)
{
	return (off_t)number * (off_t)sizeof(struct matter_slot);
}

/* What stands in the place of a destroyed key, twice. */
const char matter_gone[] = "callspan: this key is destroyed\n";
_Static_assert(sizeof matter_gone - 1 == KEY_BYTES, "fills half a slot");

static enum rc read_slot(int fd, const char *path, uint32_t number, struct matter_slot *slot,
			 struct error *err)
{
	if (pread(fd, slot, sizeof *slot, place_of(number)) != (ssize_t)sizeof *slot)
		return error_set(err, RC_DAMAGED, "%s has no key %u", path, number);
	return RC_OK;
}

/* The key of a slot.  RC_NOT_FOUND: there is none any more. */
static enum rc read_key(const struct vault *v, uint32_t number, uint8_t key[KEY_BYTES],
			struct error *err)
{
	char path[STORE_PATH];
	struct matter_slot slot;
	uint8_t check[32];
	int fd = open_file(v, 0, path);
	if (fd < 0)
		return error_errno(err, errno == ENOENT ? RC_DAMAGED : RC_FAILED, errno, "%s",
				   path);
	enum rc rc = read_slot(fd, path, number, &slot, err);
	close(fd);
	if (rc != RC_OK)
		return rc;
	check_of(check, number, slot.key);
	if (memcmp(slot.key, matter_gone, KEY_BYTES) == 0)
		rc = error_set(err, RC_NOT_FOUND, "this key was destroyed");
	else if (memcmp(check, slot.check, sizeof check) != 0)
		rc = error_set(err, RC_DAMAGED, "%s: key %u is damaged", path, number);
	memcpy(key, slot.key, KEY_BYTES);
	forget_bytes(&slot, sizeof slot);
	return rc;
}

static enum rc write_slot(int fd, const char *path, uint32_t number, const struct matter_slot *slot,
			  struct error *err)
{
	struct matter_slot back;
	if (pwrite(fd, slot, sizeof *slot, place_of(number)) != (ssize_t)sizeof *slot ||
	    fdatasync(fd) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	/* Drop the page, so that what is read back comes from the disk. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	bool same = pread(fd, &back, sizeof back, place_of(number)) == (ssize_t)sizeof back &&
		    memcmp(&back, slot, sizeof back) == 0;
	forget_bytes(&back, sizeof back);
	return same ? RC_OK
		    : error_set(err, RC_FAILED, "%s: key %u reads back otherwise", path, number);
}

/* A new file has its name on the disk before its first key is relied upon. */
static enum rc find_end(const struct vault *v, int fd, const char *path, uint32_t *number,
			struct error *err)
{
	char dir[STORE_PATH];
	struct stat st;
	if (fstat(fd, &st) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	/* What a crash left of a slot is passed over. */
	*number = (uint32_t)((st.st_size + 63) / 64);
	disk_path(dir, v->store, "vault");
	return st.st_size ? RC_OK : disk_sync_dir(dir, err);
}

enum rc matter_new(struct vault *v, uint32_t *number, struct error *err)
{
	char path[STORE_PATH];
	struct matter_slot slot;
	int fd = open_file(v, O_CREAT, path);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	enum rc rc = find_end(v, fd, path, number, err);
	if (rc == RC_OK) {
		random_bytes(slot.key, sizeof slot.key);
		check_of(slot.check, *number, slot.key);
		rc = write_slot(fd, path, *number, &slot, err);
		forget_bytes(&slot, sizeof slot);
	}
	close(fd);
	return rc;
}

enum rc matter_seal(struct vault *v, uint32_t number, const struct uuid *id, const void *in,
		    size_t len, uint8_t *out, struct error *err)
{
	uint8_t key[KEY_BYTES];
	enum rc rc = read_key(v, number, key, err);
	if (rc == RC_OK) {
		random_bytes(out, NONCE);
		gcm_seal(out + NONCE, in, len, key, out, id->b, sizeof id->b);
	}
	forget_bytes(key, sizeof key);
	return rc;
}

enum rc matter_open(struct vault *v, uint32_t number, const struct uuid *id, const uint8_t *in,
		    size_t len, void *out, struct error *err)
{
	uint8_t key[KEY_BYTES];
	enum rc rc = len < MATTER_OVERHEAD
			     ? error_set(err, RC_DAMAGED, "a sealed part is too short")
			     : read_key(v, number, key, err);
	if (rc == RC_OK && !gcm_open(out, in + NONCE, len - NONCE, key, in, id->b, sizeof id->b))
		rc = error_set(err, RC_DAMAGED, "a sealed part does not open");
	forget_bytes(key, sizeof key);
	return rc;
}

enum rc matter_destroy(struct vault *v, uint32_t number, struct error *err)
{
	char path[STORE_PATH];
	struct matter_slot slot;
	int fd = open_file(v, 0, path);
	if (fd < 0)
		return error_errno(err, errno == ENOENT ? RC_DAMAGED : RC_FAILED, errno, "%s",
				   path);
	enum rc rc = read_slot(fd, path, number, &slot, err);
	memcpy(slot.key, matter_gone, KEY_BYTES);
	memcpy(slot.check, matter_gone, KEY_BYTES);
	if (rc == RC_OK)
		rc = write_slot(fd, path, number, &slot, err);
	close(fd);
	if (rc == RC_OK)
		backup_follow_matters(v);
	return rc;
}

/* ---- backups ------------------------------------------------------------------------------------------------ */

uint32_t matter_count(const struct vault *v)
{
	char path[STORE_PATH];
	uint64_t size = 0;
	disk_path(path, v->store, MATTERS_FILE);
	return disk_is_file(path, &size) ? (uint32_t)(size / sizeof(struct matter_slot)) : 0;
}

enum rc matter_key(const struct vault *v, uint32_t number, uint8_t key[KEY_BYTES],
		   struct error *err)
{
	return read_key(v, number, key, err);
}

enum rc matter_put(const char *store, uint32_t number, const uint8_t *key, struct error *err)
{
	char path[STORE_PATH];
	struct matter_slot slot;
	disk_path(path, store, MATTERS_FILE);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	memcpy(slot.key, key ? key : (const uint8_t *)matter_gone, KEY_BYTES);
	memcpy(slot.check, matter_gone, KEY_BYTES);
	if (key)
		check_of(slot.check, number, slot.key);
	enum rc rc = write_slot(fd, path, number, &slot, err);
	forget_bytes(&slot, sizeof slot);
	close(fd);
	return rc;
}
