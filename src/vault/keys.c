/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* keys.c: the vault's own keys, as files in STORE/vault/secret.
 *
 *   callspan metadata key 1          the title tells what a file is
 *   public 5f0c...                   then one line a field
 *   secret 77ab...
 *
 * Owner-only files.  Errors name the file, never what is in it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vault/parts.h"

#define KEY_FILE_BYTES 4096

void keys_hex(char *out, const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool keys_unhex(uint8_t *out, size_t len, const char *hex)
{
	if (strlen(hex) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool read_value(struct key_field *f, const char *value)
{
	if (f->bytes)
		return keys_unhex(f->bytes, f->len, value);
	if (strlen(value) >= f->room)
		return false;
	snprintf(f->text, f->room, "%s", value);
	return true;
}

static bool read_line(char *line, struct key_field *fields, size_t count)
{
	char *space = strchr(line, ' ');
	if (!space)
		return false;
	*space = '\0';
	for (size_t i = 0; i < count; i++) {
		if (strcmp(fields[i].name, line) != 0)
			continue;
		fields[i].present = !fields[i].present && read_value(&fields[i], space + 1);
		return fields[i].present;
	}
	return false;
}

static bool read_fields(char *text, const char *title, struct key_field *fields, size_t count)
{
	char *rest = NULL;
	const char *first = strtok_r(text, "\n", &rest);
	if (!first || strcmp(first, title) != 0)
		return false;
	char *line;
	while ((line = strtok_r(NULL, "\n", &rest))) {
		if (!read_line(line, fields, count))
			return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (!fields[i].present && !fields[i].optional)
			return false;
	}
	return true;
}

enum rc keys_read(const char *path, const char *title, struct key_field *fields, size_t count,
		  struct error *err)
{
	char *text;
	size_t len;
	enum rc rc = disk_read(path, KEY_FILE_BYTES, &text, &len, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < count; i++)
		fields[i].present = false;
	if (!read_fields(text, title, fields, count))
		rc = error_set(err, RC_FAILED, "%s: not a file of \"%s\"", path, title);
	forget_bytes(text, len);
	free(text);
	return rc;
}

typedef enum rc (*write_file)(const char *path, const void *data, size_t len, mode_t mode,
			      struct error *err);

static enum rc write_fields(const char *path, const char *title, const struct key_field *fields,
			    size_t count, write_file write, struct error *err)
{
	char text[KEY_FILE_BYTES], hex[2 * 256 + 1];
	int at = snprintf(text, sizeof text, "%s\n", title);
	for (size_t i = 0; i < count; i++) {
		if (fields[i].optional && !fields[i].present)
			continue;
		ASSERT(fields[i].len <= 256);
		if (fields[i].bytes)
			keys_hex(hex, fields[i].bytes, fields[i].len);
		at += snprintf(text + at, sizeof text - (size_t)at, "%s %s\n", fields[i].name,
			       fields[i].bytes ? hex : fields[i].text);
		ASSERT(at < KEY_FILE_BYTES);
	}
	enum rc rc = write(path, text, (size_t)at, 0600, err);
	forget_bytes(text, sizeof text);
	forget_bytes(hex, sizeof hex);
	return rc;
}

enum rc keys_write(const char *path, const char *title, const struct key_field *fields,
		   size_t count, struct error *err)
{
	return write_fields(path, title, fields, count, disk_create, err);
}

enum rc keys_replace(const char *path, const char *title, const struct key_field *fields,
		     size_t count, struct error *err)
{
	return write_fields(path, title, fields, count, disk_replace_secret, err);
}

/* ---- the vault's key files ------------------------------------------------------------------- */

struct key_file {
	const char *name, *title;
	bool optional;
	size_t fields_count;
	struct key_field fields[2];
};

enum { METADATA_FILE, INDEX_FILE, HEADS_FILE, ENROLLED_FILE, AUDIO_FILE, KEY_FILES };

/* Which file holds which key. */
static void key_files(struct key_file files[KEY_FILES], struct secrets *k)
{
	const struct key_file table[KEY_FILES] = {
		{ "secret/metadata.key",
		  "callspan metadata key 1",
		  false,
		  2,
		  { { .name = "public", .bytes = k->metadata.public_key, .len = 32 },
		    { .name = "secret", .bytes = k->metadata.secret_key, .len = 32 } } },
		{ "secret/index.key",
		  "callspan index key 1",
		  false,
		  1,
		  { { .name = "secret", .bytes = k->index_key, .len = 32 } } },
		{ "secret/heads.key",
		  "callspan audit head key 1",
		  false,
		  2,
		  { { .name = "public", .bytes = k->heads.public_key, .len = 32 },
		    { .name = "secret", .bytes = k->heads.secret_key, .len = 64 } } },
		{ "recorder.pub",
		  "callspan enrolled recorder 1",
		  false,
		  2,
		  { { .name = "sign", .bytes = k->recorder_public, .len = 32 },
		    { .name = "audio", .bytes = k->audio.public_key, .len = 32 } } },
		{ "secret/audio.key",
		  "callspan audio key 1",
		  true,
		  2,
		  { { .name = "public", .bytes = k->audio.public_key, .len = 32 },
		    { .name = "secret", .bytes = k->audio.secret_key, .len = 32 } } },
	};
	memcpy(files, table, sizeof table);
}

static void key_path(char path[STORE_PATH], const char *store, const char *name)
{
	char vault[STORE_PATH];
	disk_path(vault, store, "vault");
	disk_path(path, vault, name);
}

static enum rc save_file(const char *store, const struct key_file *f, write_file write,
			 struct error *err)
{
	char path[STORE_PATH];
	key_path(path, store, f->name);
	return write_fields(path, f->title, f->fields, f->fields_count, write, err);
}

enum rc keys_save(const char *store, struct secrets *k, struct error *err)
{
	struct key_file files[KEY_FILES];
	enum rc rc = RC_OK;
	key_files(files, k);
	for (int i = 0; i < KEY_FILES && rc == RC_OK; i++) {
		if (i != AUDIO_FILE || k->has_audio)
			rc = save_file(store, &files[i], disk_create, err);
	}
	return rc;
}

static enum rc load_files(const char *store, struct secrets *k, struct error *err)
{
	struct key_file files[KEY_FILES];
	memset(k, 0, sizeof *k);
	key_files(files, k);
	for (int i = 0; i < KEY_FILES; i++) {
		char path[STORE_PATH];
		key_path(path, store, files[i].name);
		enum rc rc = keys_read(path, files[i].title, files[i].fields, files[i].fields_count,
				       err);
		if (rc == RC_NOT_FOUND && files[i].optional)
			continue;
		if (rc == RC_NOT_FOUND)
			return error_set(err, RC_FAILED, "store %s lacks its keys: no vault/%s",
					 store, files[i].name);
		if (rc != RC_OK)
			return rc;
		k->has_audio |= i == AUDIO_FILE;
	}
	return RC_OK;
}

/* ---- other pairs ---------------------------------------------------------------------------------
 *
 *   secret/rotation.key    the pairs that are to be, while slots are under these or those of the other files
 *          rotation.done   the same file, once all slots are under them
 *
 * So at each moment one name says which pairs count.  In a store with passphrases the audio secret is not in it: it
 * stands, sealed to each person, in their file.
 */

#define ROTATION_TITLE "callspan rotation 1"
#define NEXT_FIELDS    4

static const char *const rotation_names[] = {
	[ROTATION_SEALING] = "secret/rotation.key", [ROTATION_ENDING] = "secret/rotation.done"
};

static void next_fields(struct key_field f[NEXT_FIELDS], struct secrets *next)
{
	const struct key_field table[NEXT_FIELDS] = {
		{ .name = "metadata-public", .bytes = next->metadata.public_key, .len = 32 },
		{ .name = "metadata-secret", .bytes = next->metadata.secret_key, .len = 32 },
		{ .name = "audio-public", .bytes = next->audio.public_key, .len = 32 },
		{ .name = "audio-secret",
		  .bytes = next->audio.secret_key,
		  .len = 32,
		  .optional = true,
		  .present = next->has_audio },
	};
	memcpy(f, table, sizeof table);
}

/* The pair that is to be takes the place of the one before. */
static void follow(struct seal_pair *pair, const struct seal_pair *next, bool keep)
{
	struct seal_pair was = *pair;
	*pair = *next;
	pair->has_before = keep;
	if (keep) {
		memcpy(pair->before_public, was.public_key, 32);
		memcpy(pair->before_secret, was.secret_key, 32);
	}
	forget_bytes(&was, sizeof was);
}

static enum rc load_rotation(const char *store, struct secrets *k, struct error *err)
{
	char path[STORE_PATH];
	struct secrets next = { .rotation = ROTATION_NONE };
	struct key_field f[NEXT_FIELDS];
	enum rc rc = RC_NOT_FOUND;
	for (int r = ROTATION_SEALING; r <= ROTATION_ENDING && rc == RC_NOT_FOUND; r++) {
		next_fields(f, &next);
		key_path(path, store, rotation_names[r]);
		rc = keys_read(path, ROTATION_TITLE, f, NEXT_FIELDS, err);
		k->rotation = rc == RC_OK ? (enum rotation)r : ROTATION_NONE;
	}
	if (rc == RC_OK) {
		follow(&k->metadata, &next.metadata, k->rotation == ROTATION_SEALING);
		follow(&k->audio, &next.audio, k->rotation == ROTATION_SEALING);
	}
	forget_bytes(&next, sizeof next);
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

enum rc keys_load(const char *store, struct secrets *k, struct error *err)
{
	enum rc rc = load_files(store, k, err);
	return rc == RC_OK ? load_rotation(store, k, err) : rc;
}

static enum rc sync_secret(const char *store, struct error *err)
{
	char path[STORE_PATH];
	key_path(path, store, "secret");
	return disk_sync_dir(path, err);
}

enum rc keys_rotate_begin(const char *store, const struct secrets *k, struct secrets *next,
			  struct error *err)
{
	char path[STORE_PATH];
	struct key_field f[NEXT_FIELDS];
	next->has_audio = k->has_audio;
	next_fields(f, next);
	key_path(path, store, rotation_names[ROTATION_SEALING]);
	return keys_replace(path, ROTATION_TITLE, f, NEXT_FIELDS, err);
}

enum rc keys_rotate_end(const char *store, struct error *err)
{
	char from[STORE_PATH], to[STORE_PATH];
	key_path(from, store, rotation_names[ROTATION_SEALING]);
	key_path(to, store, rotation_names[ROTATION_ENDING]);
	if (rename(from, to) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", from);
	return sync_secret(store, err);
}

enum rc keys_rotate_settle(const char *store, struct secrets *k, struct error *err)
{
	static const int changed[] = { METADATA_FILE, ENROLLED_FILE, AUDIO_FILE };
	struct key_file files[KEY_FILES];
	enum rc rc = RC_OK;
	key_files(files, k);
	for (size_t i = 0; i < sizeof changed / sizeof changed[0] && rc == RC_OK; i++) {
		if (changed[i] != AUDIO_FILE || k->has_audio)
			rc = save_file(store, &files[changed[i]], disk_replace_secret, err);
	}
	return rc;
}

/* Away with the name first: a file half overwritten must never be read. */
enum rc keys_rotate_done(const char *store, struct error *err)
{
	char path[STORE_PATH], old[STORE_PATH], dir[STORE_PATH];
	key_path(path, store, rotation_names[ROTATION_ENDING]);
	key_path(old, store, "secret/.rotation.done.old");
	key_path(dir, store, "secret");
	if (rename(path, old) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	enum rc rc = sync_secret(store, err);
	return rc == RC_OK ? disk_wipe_left(dir, err) : rc;
}
