/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* backup_matters.c: keys of matters in a backup, each sealed to its key, each in one place.
 *
 *   DIR/matters   slot n at 96 n:  sealed box of the key (80) ‖ zeros (16);  "this key is destroyed" three times;  or zeros
 *
 * On the vault's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/backup.h"
#include "vault/matter.h"

#define SLOT 96

_Static_assert(KEY_BYTES + SEAL_OVERHEAD <= SLOT, "a box fits");
_Static_assert(MATTER_GONE * 3 == SLOT, "what stands for a destroyed one fills it");

static const uint8_t none[SLOT];

static void make_gone(uint8_t slot[SLOT])
{
	for (int i = 0; i < 3; i++)
		memcpy(slot + (size_t)i * MATTER_GONE, matter_gone, MATTER_GONE);
}

/* What the slot should be, given what it is. */
static enum rc wanted(const struct vault *v, const uint8_t public_key[32], uint32_t n,
		      const uint8_t is[SLOT], uint8_t to_be[SLOT], uint64_t *destroyed,
		      struct error *err)
{
	uint8_t key[KEY_BYTES];
	memcpy(to_be, is, SLOT);
	enum rc rc = matter_key(v, n, key, err);
	if (rc == RC_NOT_FOUND) {
		make_gone(to_be);
		++*destroyed;
		rc = RC_OK;
	} else if (rc == RC_DAMAGED) {
		rc = RC_OK; /* what a crash left of one that nobody uses; a used one, its matter tells */
	} else if (rc == RC_OK && memcmp(is, none, SLOT) == 0) {
		seal_to(to_be, key, sizeof key, public_key);
	}
	forget_bytes(key, sizeof key);
	return rc;
}

static enum rc put(int fd, const char *path, uint32_t n, const uint8_t slot[SLOT],
		   struct error *err)
{
	errno = 0;
	if (pwrite(fd, slot, SLOT, (off_t)n * SLOT) == SLOT)
		return RC_OK;
	return error_errno(err, RC_FAILED, errno ? errno : EIO, "%.300s", path);
}

static enum rc copy_slot(const struct vault *v, const uint8_t public_key[32], int fd,
			 const char *path, uint32_t n, uint64_t *destroyed, struct error *err)
{
	uint8_t is[SLOT] = { 0 }, to_be[SLOT], back[SLOT];
	ssize_t had = pread(fd, is, SLOT, (off_t)n * SLOT);
	if (had != SLOT)
		memset(is, 0, SLOT);
	enum rc rc = wanted(v, public_key, n, is, to_be, destroyed, err);
	if (rc != RC_OK || (had == SLOT && memcmp(is, to_be, SLOT) == 0))
		return rc;
	rc = put(fd, path, n, to_be, err);
	if (rc == RC_OK && fdatasync(fd) != 0)
		rc = error_errno(err, RC_FAILED, errno, "%.300s", path);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (rc == RC_OK &&
	    (pread(fd, back, SLOT, (off_t)n * SLOT) != SLOT || memcmp(back, to_be, SLOT) != 0))
		rc = error_set(err, RC_FAILED, "%.300s: key %u reads back otherwise", path, n);
	return rc;
}

enum rc backup_matters_copy(const struct vault *v, const uint8_t public_key[32], const char *path,
			    uint64_t *destroyed, struct error *err)
{
	uint32_t count = matter_count(v);
	*destroyed = 0;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "%.300s", path);
	enum rc rc = RC_OK;
	for (uint32_t n = 0; n < count && rc == RC_OK; n++)
		rc = copy_slot(v, public_key, fd, path, n, destroyed, err);
	close(fd);
	return rc;
}

enum rc backup_matters_destroyed(const struct vault *v, uint64_t *destroyed, struct error *err)
{
	uint8_t key[KEY_BYTES];
	uint32_t count = matter_count(v);
	enum rc rc = RC_OK;
	*destroyed = 0;
	for (uint32_t n = 0; n < count && rc == RC_OK; n++) {
		rc = matter_key(v, n, key, err);
		*destroyed += rc == RC_NOT_FOUND;
		rc = rc == RC_NOT_FOUND || rc == RC_DAMAGED ? RC_OK : rc;
	}
	forget_bytes(key, sizeof key);
	return rc;
}

/* ---- and back ---------------------------------------------------------------------------------------------- */

enum rc backup_matters_read(const char *path, const struct seal_pair *pair, const char *store,
			    struct error *err)
{
	uint8_t slot[SLOT], gone[SLOT], key[KEY_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? RC_OK : error_errno(err, RC_FAILED, errno, "%.300s", path);
	enum rc rc = RC_OK;
	make_gone(gone);
	for (uint32_t n = 0; rc == RC_OK && pread(fd, slot, SLOT, (off_t)n * SLOT) == SLOT; n++) {
		if (memcmp(slot, none, SLOT) == 0)
			continue;
		bool whole = seal_open(key, slot, KEY_BYTES + SEAL_OVERHEAD, pair);
		if (whole || memcmp(slot, gone, SLOT) == 0)
			rc = matter_put(store, n, whole ? key : NULL, err);
		else
			rc = error_set(err, RC_DAMAGED, "%.300s: key %u does not open", path, n);
	}
	forget_bytes(key, sizeof key);
	close(fd);
	return rc;
}
