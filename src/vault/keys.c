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

enum rc keys_write(const char *path, const char *title, const struct key_field *fields,
		   size_t count, struct error *err)
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
	enum rc rc = disk_create(path, text, (size_t)at, 0600, err);
	forget_bytes(text, sizeof text);
	forget_bytes(hex, sizeof hex);
	return rc;
}

/* ---- the vault's key files ------------------------------------------------------------------- */

struct key_file {
	const char *name, *title;
	bool optional;
	size_t fields_count;
	struct key_field fields[2];
};

#define KEY_FILES  5
#define AUDIO_FILE 4

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

enum rc keys_save(const char *store, struct secrets *k, struct error *err)
{
	struct key_file files[KEY_FILES];
	key_files(files, k);
	for (int i = 0; i < KEY_FILES; i++) {
		char path[STORE_PATH];
		if (i == AUDIO_FILE && !k->has_audio)
			continue;
		key_path(path, store, files[i].name);
		enum rc rc = keys_write(path, files[i].title, files[i].fields,
					files[i].fields_count, err);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

enum rc keys_load(const char *store, struct secrets *k, struct error *err)
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
