/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* traces.c: see traces.h.  On the vault's thread.
 *
 *   at each byte: 8 bytes -> hash -> a bit of the sieve, mostly 0 -> the table -> all 16 bytes
 */
#include "vault/traces.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRACE 16
#define PIECE ((size_t)1 << 20)

struct traces {
	uint8_t (*all)[TRACE]; /* owned */
	size_t count, room;
	uint32_t *table; /* owned: 1 + index into `all`; 0: empty */
	uint64_t *sieve; /* owned: a bit for each hash */
	unsigned bits;   /* of the sieve's hash; the table takes two fewer */
	uint8_t *piece;  /* owned */

	uint64_t found;
	char *where;
	size_t where_room;
	struct error *err;
};

struct traces *traces_new(void)
{
	struct traces *t = calloc(1, sizeof *t);
	ASSERT(t);
	return t;
}

void traces_free(struct traces *t)
{
	if (!t)
		return;
	free(t->all);
	free(t->table);
	free(t->sieve);
	free(t->piece);
	free(t);
}

size_t traces_count(const struct traces *t)
{
	return t->count;
}

static void add(struct traces *t, const uint8_t *box)
{
	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 1024;
		t->all = realloc(t->all, t->room * sizeof *t->all);
		ASSERT(t->all);
	}
	memcpy(t->all[t->count++], box, TRACE);
}

void traces_add(struct traces *t, const uint8_t slot[SLOT_BYTES])
{
	if (slot_is_destroyed(slot))
		return;
	add(t, slot + SLOT_AUDIO_AT);
	add(t, slot + SLOT_METADATA_AT);
}

static inline uint64_t hash_of(const uint8_t *p)
{
	uint64_t x;
	memcpy(&x, p, sizeof x);
	return x * UINT64_C(0x9e3779b97f4a7c15);
}

static void build(struct traces *t)
{
	t->bits = 12;
	while (t->bits < 32 && (UINT64_C(1) << t->bits) < 16 * (uint64_t)t->count)
		t->bits++;
	size_t places = (size_t)1 << (t->bits - 2);
	t->sieve = calloc(((size_t)1 << t->bits) / 64, sizeof *t->sieve);
	t->table = calloc(places, sizeof *t->table);
	t->piece = malloc(PIECE);
	ASSERT(t->sieve && t->table && t->piece);
	for (size_t i = 0; i < t->count; i++) {
		uint64_t h = hash_of(t->all[i]) >> (64 - t->bits);
		t->sieve[h / 64] |= UINT64_C(1) << (h % 64);
		size_t at = (size_t)(h >> 2);
		while (t->table[at])
			at = (at + 1) & (places - 1);
		t->table[at] = (uint32_t)i + 1;
	}
}

static bool is_trace(const struct traces *t, const uint8_t *p, uint64_t h)
{
	size_t places = (size_t)1 << (t->bits - 2);
	for (size_t at = (size_t)(h >> 2); t->table[at]; at = (at + 1) & (places - 1)) {
		if (memcmp(t->all[t->table[at] - 1], p, TRACE) == 0)
			return true;
	}
	return false;
}

/* `offset` is that of the piece in its file. */
static void search_piece(struct traces *t, size_t len, uint64_t offset, const char *path)
{
	for (size_t i = 0; i + TRACE <= len; i++) {
		uint64_t h = hash_of(t->piece + i) >> (64 - t->bits);
		if (!(t->sieve[h / 64] >> (h % 64) & 1) || !is_trace(t, t->piece + i, h))
			continue;
		if (t->found++ == 0)
			snprintf(t->where, t->where_room, "%s at %" PRIu64, path, offset + i);
	}
}

static enum rc search_file(struct traces *t, const char *path)
{
	uint64_t offset = 0;
	size_t kept = 0;
	ssize_t n = 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return RC_OK; /* the index drops files at any time */
	if (fd < 0)
		return error_errno(t->err, RC_FAILED, errno, "%s", path);
	while (n > 0) {
		n = read(fd, t->piece + kept, PIECE - kept);
		if (n <= 0)
			break;
		size_t len = kept + (size_t)n;
		search_piece(t, len, offset, path);
		kept = len < TRACE ? len : TRACE - 1;
		memmove(t->piece, t->piece + len - kept, kept);
		offset += len - kept;
	}
	close(fd);
	return n < 0 ? error_errno(t->err, RC_FAILED, errno, "%s", path) : RC_OK;
}

static enum rc search_folder(struct traces *t, const char *folder, unsigned depth)
{
	const struct dirent *e;
	enum rc rc = RC_OK;
	DIR *d = opendir(folder);
	if (!d)
		return error_errno(t->err, RC_FAILED, errno, "%s", folder);
	while (rc == RC_OK && (e = readdir(d))) {
		char path[STORE_PATH];
		struct stat st;
		int n = snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || n < 0 ||
		    n >= STORE_PATH || lstat(path, &st) != 0)
			continue;
		if (S_ISREG(st.st_mode))
			rc = search_file(t, path);
		else if (S_ISDIR(st.st_mode) && depth)
			rc = search_folder(t, path, depth - 1);
	}
	closedir(d);
	return rc;
}

enum rc traces_search(struct traces *t, const char *folder, uint64_t *found, char *where,
		      size_t room, struct error *err)
{
	t->found = 0;
	t->where = where;
	t->where_room = room;
	t->err = err;
	where[0] = '\0';
	*found = 0;
	if (!t->count)
		return RC_OK;
	if (!t->sieve)
		build(t);
	enum rc rc = search_folder(t, folder, 16);
	*found = t->found;
	return rc;
}
