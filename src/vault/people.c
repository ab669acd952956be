/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* people.c: who may ask, as what, and what their passphrase opens.
 *
 * One file a person in STORE/vault/people.  Who may hear audio has an X25519 pair of their own: its secret
 * half lies in a box under their passphrase, and the audio secret lies sealed to its public half.  So the
 * store alone opens no audio, and a passphrase can be changed without touching a recording.
 *
 *   passphrase --Argon2id--> box --> own secret --sealed box--> audio secret --> slots
 */
#include <string.h>

#include "vault/parts.h"

#define PERSON_TITLE "callspan person 1"

static const struct {
	enum role role;
	const char *name;
} role_names[] = {
	{ ROLE_NONE, "" },       { ROLE_CONTROLLER, "controller" }, { ROLE_MANAGER, "manager" },
	{ ROLE_STAFF, "staff" }, { ROLE_AUDITOR, "auditor" },       { ROLE_OPERATOR, "operator" },
};

const char *people_role_name(enum role r)
{
	for (size_t i = 0; i < sizeof role_names / sizeof role_names[0]; i++) {
		if (role_names[i].role == r)
			return role_names[i].name;
	}
	return "";
}

static enum role role_named(const char *name)
{
	for (size_t i = 0; i < sizeof role_names / sizeof role_names[0]; i++) {
		if (strcmp(role_names[i].name, name) == 0)
			return role_names[i].role;
	}
	return ROLE_NONE;
}

/* A Unix user's name; it becomes a file's name, so nothing else will do. */
bool people_name_valid(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t len = strlen(name);
	return len > 0 && len < PERSON_NAME && strspn(name, letters) == len && name[0] != '.' &&
	       name[0] != '-';
}

enum rc people_box(struct person *p, const struct seal_pair *audio, const char *passphrase,
		   struct error *err)
{
	struct seal_pair own;
	seal_pair_new(&own);
	memcpy(p->public_key, own.public_key, sizeof p->public_key);
	seal_to(p->audio, audio->secret_key, sizeof audio->secret_key, own.public_key);
	enum rc rc =
		passphrase_seal(p->box, own.secret_key, sizeof own.secret_key, passphrase, err);
	forget_bytes(&own, sizeof own);
	p->has_box = rc == RC_OK;
	return rc;
}

enum { FIELD_ROLE, FIELD_PUBLIC, FIELD_BOX, FIELD_AUDIO, FIELDS };

static void fields_of(struct key_field f[FIELDS], struct person *p, char role[16])
{
	const struct key_field table[FIELDS] = {
		{ .name = "role", .text = role, .room = 16 },
		{ .name = "public", .bytes = p->public_key, .len = sizeof p->public_key },
		{ .name = "box", .bytes = p->box, .len = sizeof p->box },
		{ .name = "audio", .bytes = p->audio, .len = sizeof p->audio },
	};
	memcpy(f, table, sizeof table);
	for (int i = FIELD_PUBLIC; i < FIELDS; i++) {
		f[i].optional = true;
		f[i].present = p->has_box;
	}
}

static void person_path(char path[STORE_PATH], const char *store, const char *name)
{
	char people[STORE_PATH];
	disk_path(people, store, "vault/people");
	disk_path(path, people, name);
}

enum rc people_save(const char *store, const struct person *p, struct error *err)
{
	char path[STORE_PATH], role[16];
	struct key_field f[FIELDS];
	struct person copy = *p;
	snprintf(role, sizeof role, "%s", people_role_name(p->role));
	fields_of(f, &copy, role);
	person_path(path, store, p->name);
	return keys_write(path, PERSON_TITLE, f, FIELDS, err);
}

enum rc people_load(const char *store, const char *name, struct person *p, struct error *err)
{
	char path[STORE_PATH], role[16] = "";
	struct key_field f[FIELDS];
	memset(p, 0, sizeof *p);
	if (!people_name_valid(name))
		return RC_NOT_FOUND;
	fields_of(f, p, role);
	person_path(path, store, name);
	enum rc rc = keys_read(path, PERSON_TITLE, f, FIELDS, err);
	if (rc != RC_OK)
		return rc;
	snprintf(p->name, sizeof p->name, "%s", name);
	p->role = role_named(role);
	p->has_box = f[FIELD_PUBLIC].present && f[FIELD_BOX].present && f[FIELD_AUDIO].present;
	return p->role ? RC_OK : error_set(err, RC_FAILED, "%s: an unknown role", path);
}

enum rc people_open_audio(const struct person *p, const char *passphrase, struct seal_pair *audio,
			  struct error *err)
{
	if (!p->has_box)
		return error_set(err, RC_REFUSED,
				 "this person has no passphrase to open audio with");
	if (!passphrase || !*passphrase)
		return error_set(err, RC_AGAIN, "passphrase needed");
	struct seal_pair own;
	memcpy(own.public_key, p->public_key, sizeof own.public_key);
	enum rc rc = passphrase_open(own.secret_key, p->box, sizeof p->box, passphrase, err);
	if (rc == RC_OK && !seal_open(audio->secret_key, p->audio, sizeof p->audio, &own))
		rc = error_set(err, RC_DAMAGED, "the person's audio key does not open");
	forget_bytes(&own, sizeof own);
	return rc;
}

enum rc people_prove(const struct person *p, const char *passphrase, struct error *err)
{
	uint8_t secret[32];
	if (!p->has_box)
		return error_set(err, RC_REFUSED, "you have no passphrase: set one first");
	if (!passphrase || !*passphrase)
		return error_set(err, RC_AGAIN, "passphrase needed");
	enum rc rc = passphrase_open(secret, p->box, sizeof p->box, passphrase, err);
	forget_bytes(secret, sizeof secret);
	return rc;
}
