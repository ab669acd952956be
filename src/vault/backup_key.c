/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* backup_key.c: a backup's own key pair.  Its public half is registered in the store, so that a backup is made at night
 * without anybody; its secret half lies in the backup, in a box under the backup's passphrase.  On the vault's thread.
 *
 *   DIR/state/secrets   sealed box of:  { u16 length, path, u32 length, bytes }*, path within the store
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "vault/backup.h"
#include "vault/unlock.h"

#define KEY_TITLE     "callspan backup 1"
#define KEY_FIELDS    3
#define SECRET_BYTES  65536
#define SECRETS_BYTES ((size_t)1 << 20)
#define SECRETS_DIR   "vault/secret"
#define SIGN_KEY      "recorder/sign.key"

/* ---- the pair ---------------------------------------------------------------------------------------------- */

static void fields_of(struct key_field f[KEY_FIELDS], struct backup_key *k)
{
	const struct key_field table[KEY_FIELDS] = {
		{ .name = "id", .bytes = k->id, .len = sizeof k->id },
		{ .name = "public", .bytes = k->public_key, .len = sizeof k->public_key },
		{ .name = "box", .bytes = k->box, .len = sizeof k->box },
	};
	memcpy(f, table, sizeof table);
}

static bool key_path(const char *dir, char path[STORE_PATH])
{
	int n = snprintf(path, STORE_PATH, "%s/%s", dir, BACKUP_KEY_FILE);
	return n > 0 && n < STORE_PATH;
}

enum rc backup_key_make(const struct request *q, const char *dir, struct backup_key *k,
			struct error *err)
{
	char path[STORE_PATH];
	struct key_field f[KEY_FIELDS];
	struct seal_pair pair;
	if (!key_path(dir, path))
		return error_set(err, RC_USAGE, "the backup's path is too long");
	seal_pair_new(&pair);
	random_bytes(k->id, sizeof k->id);
	memcpy(k->public_key, pair.public_key, sizeof k->public_key);
	/* Whoever makes one there meanwhile is not overwritten by keys_write(). */
	enum rc rc = unlock_seal(q, k->box, pair.secret_key, requests_text(q, "passphrase"), err);
	forget_bytes(&pair, sizeof pair);
	fields_of(f, k);
	if (rc == RC_OK)
		rc = keys_write(path, KEY_TITLE, f, KEY_FIELDS, err);
	return rc == RC_OK ? disk_sync_dir(dir, err) : rc;
}

enum rc backup_key_read(const char *dir, struct backup_key *k, struct error *err)
{
	char path[STORE_PATH];
	struct key_field f[KEY_FIELDS];
	if (!key_path(dir, path))
		return error_set(err, RC_USAGE, "the backup's path is too long");
	fields_of(f, k);
	return keys_read(path, KEY_TITLE, f, KEY_FIELDS, err);
}

enum rc backup_key_open(const struct backup_key *k, const char *passphrase, struct seal_pair *pair,
			struct error *err)
{
	if (!passphrase || !*passphrase)
		return error_set(err, RC_AGAIN, "passphrase needed");
	memset(pair, 0, sizeof *pair);
	memcpy(pair->public_key, k->public_key, sizeof pair->public_key);
	return passphrase_open(pair->secret_key, k->box, sizeof k->box, passphrase, err);
}

bool backup_reachable(const struct backup *b)
{
	struct backup_key k = { .id = { 0 } };
	struct error ignored;
	return backup_key_read(b->path, &k, &ignored) == RC_OK &&
	       memcmp(k.id, b->id, sizeof k.id) == 0 &&
	       memcmp(k.public_key, b->public_key, sizeof k.public_key) == 0;
}

/* ---- secrets out ------------------------------------------------------------------------------------------- */

struct bundle {
	uint8_t *bytes; /* owned, SECRETS_BYTES */
	size_t len;
	struct error *err;
};

static enum rc add(struct bundle *b, const char *store, const char *name)
{
	char path[STORE_PATH], *text;
	size_t len, name_len = strlen(name);
	disk_path(path, store, name);
	enum rc rc = disk_read(path, SECRET_BYTES, &text, &len, b->err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	if (b->len + 6 + name_len + len > SECRETS_BYTES) {
		rc = error_set(b->err, RC_FAILED, "%s/%s holds too much", store, SECRETS_DIR);
	} else {
		uint8_t *at = b->bytes + b->len;
		put_u16_le(at, (uint16_t)name_len);
		memcpy(at + 2, name, name_len + 1); /* the length overwrites its end */
		put_u32_le(at + 2 + name_len, (uint32_t)len);
		memcpy(at + 6 + name_len, text, len);
		b->len += 6 + name_len + len;
	}
	forget_bytes(text, len);
	free(text);
	return rc;
}

/* The recorder's key to sign with is the recorder's user's; a vault that may not read it leaves it out. */
static enum rc add_all(struct bundle *b, const char *store)
{
	char path[STORE_PATH], name[512];
	disk_path(path, store, SIGN_KEY);
	enum rc rc = access(path, R_OK) == 0 ? add(b, store, SIGN_KEY) : RC_OK;
	disk_path(path, store, SECRETS_DIR);
	DIR *d = opendir(path);
	if (!d)
		return error_errno(b->err, RC_FAILED, errno, "%s", path);
	const struct dirent *e;
	while (rc == RC_OK && (e = readdir(d))) {
		snprintf(name, sizeof name, SECRETS_DIR "/%s", e->d_name);
		disk_path(path, store, name);
		if (e->d_name[0] != '.' && disk_is_file(path, NULL))
			rc = add(b, store, name);
	}
	closedir(d);
	return rc;
}

enum rc backup_secrets_write(const struct vault *v, const uint8_t public_key[32], const char *path,
			     struct error *err)
{
	struct bundle b = { .bytes = malloc(SECRETS_BYTES), .err = err };
	uint8_t *sealed = malloc(SECRETS_BYTES + SEAL_OVERHEAD);
	ASSERT(b.bytes && sealed);
	enum rc rc = add_all(&b, v->store);
	if (rc == RC_OK) {
		seal_to(sealed, b.bytes, b.len, public_key);
		rc = disk_create(path, sealed, b.len + SEAL_OVERHEAD, 0600, err);
	}
	forget_bytes(b.bytes, SECRETS_BYTES);
	free(b.bytes);
	free(sealed);
	return rc;
}

/* ---- and back ---------------------------------------------------------------------------------------------- */

/* A path that we gave, and that stays within the store. */
static bool good_name(const char *name)
{
	bool ours = strncmp(name, SECRETS_DIR "/", strlen(SECRETS_DIR) + 1) == 0 ||
		    strcmp(name, SIGN_KEY) == 0;
	return ours && !strstr(name, "..");
}

static enum rc unpack_one(struct bytes *in, const char *store, struct error *err)
{
	char name[512], path[STORE_PATH];
	size_t name_len = bytes_u16_le(in);
	const uint8_t *text = name_len < sizeof name ? bytes_take(in, name_len) : NULL;
	if (!text)
		return error_set(err, RC_DAMAGED, "the backup's secrets are damaged");
	memcpy(name, text, name_len);
	name[name_len] = '\0';
	size_t len = bytes_u32_le(in);
	const uint8_t *data = bytes_take(in, len);
	if (!data || !good_name(name))
		return error_set(err, RC_DAMAGED, "the backup's secrets are damaged");
	disk_path(path, store, name);
	/* A recorder that is there keeps its own. */
	if (disk_is_file(path, NULL))
		return RC_OK;
	return disk_create(path, data, len, 0600, err);
}

enum rc backup_secrets_read(const char *path, const struct seal_pair *pair, const char *store,
			    struct error *err)
{
	char *sealed;
	size_t len;
	enum rc rc = disk_read(path, SECRETS_BYTES + SEAL_OVERHEAD, &sealed, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? error_errno(err, RC_DAMAGED, ENOENT, "%s", path) : rc;
	size_t clear_len = len > SEAL_OVERHEAD ? len - SEAL_OVERHEAD : 0;
	uint8_t *clear = malloc(clear_len + 1);
	ASSERT(clear);
	if (!clear_len || !seal_open(clear, (const uint8_t *)sealed, len, pair))
		rc = error_set(err, RC_DAMAGED, "the backup's secrets do not open");
	struct bytes in = bytes_over(clear, clear_len);
	while (rc == RC_OK && bytes_left(&in))
		rc = unpack_one(&in, store, err);
	forget_bytes(clear, clear_len);
	free(clear);
	free(sealed);
	return rc;
}
