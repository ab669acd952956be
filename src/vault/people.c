/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* people.c: who may ask, as what, of which calls, and what their passphrase opens.
 *
 * One file a person in STORE/vault/people.  Who has a passphrase has an X25519 pair of their own: its secret half lies
 * in a box under the passphrase, which proves who they are.  Who may hear audio has, besides, the audio secret sealed to
 * the public half.  So the store alone opens no audio, and a passphrase can be changed without touching a recording.
 *
 *   passphrase --Argon2id--> box --> own secret --sealed box--> audio secret --> slots
 *
 * A file that changes is replaced, and what it held is overwritten in place.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vault/parts.h"

#define PERSON_TITLE "callspan person 1"

const char *const people_role_names[PEOPLE_ROLES] = { "controller", "manager", "staff", "auditor",
						      "operator" };
static const enum role roles[PEOPLE_ROLES] = { ROLE_CONTROLLER, ROLE_MANAGER, ROLE_STAFF,
					       ROLE_AUDITOR, ROLE_OPERATOR };

const char *people_role_name(enum role r)
{
	for (size_t i = 0; i < PEOPLE_ROLES; i++) {
		if (roles[i] == r)
			return people_role_names[i];
	}
	return "";
}

enum role people_role_named(const char *name)
{
	for (size_t i = 0; i < PEOPLE_ROLES; i++) {
		if (strcmp(people_role_names[i], name) == 0)
			return roles[i];
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

/* ---- what they see ----------------------------------------------------------------------------------- */

static const char group_word[] = "group:", line_word[] = "line:";

char people_scope_next(const char **at, char value[POLICY_PATTERN])
{
	const char *part = *at;
	size_t len = strcspn(part, ",");
	bool group = strncmp(part, group_word, sizeof group_word - 1) == 0;
	size_t word = group ? sizeof group_word - 1 : sizeof line_word - 1;
	if (!len)
		return 0;
	*at = part + len + (part[len] == ',');
	snprintf(value, POLICY_PATTERN, "%.*s", len > word ? (int)(len - word) : 0, part + word);
	return group ? 'g' : 'l';
}

static bool printable(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text <= ' ' || *text == 127)
			return false;
	}
	return true;
}

/* One part as it is kept; false: it is none. */
static bool read_part(char *part, char out[POLICY_PATTERN + 8])
{
	char pattern[POLICY_PATTERN];
	bool group = strncmp(part, group_word, sizeof group_word - 1) == 0;
	bool line = strncmp(part, line_word, sizeof line_word - 1) == 0;
	char *value = strchr(part, ':');
	if ((!group && !line) || !value[1] || strlen(value + 1) >= POLICY_PATTERN)
		return false;
	if (line && !policy_pattern(value + 1, pattern))
		return false;
	snprintf(out, POLICY_PATTERN + 8, "%s%s", group ? group_word : line_word,
		 group ? value + 1 : pattern);
	return printable(out);
}

enum rc people_scope_read(const char *text, char scope[PERSON_SCOPE], struct error *err)
{
	char copy[PERSON_SCOPE], part[POLICY_PATTERN + 8], *rest = copy, *next;
	size_t at = 0;
	scope[0] = '\0';
	if (strlen(text) >= sizeof copy)
		return error_set(err, RC_USAGE, "the scope is longer than %d bytes",
				 PERSON_SCOPE - 1);
	snprintf(copy, sizeof copy, "%s", text);
	while ((next = strsep(&rest, ","))) {
		if (!read_part(next, part))
			return error_set(
				err, RC_USAGE,
				"scope: group:NAME and line:PATTERN are wanted, with commas "
				"between");
		int n = snprintf(scope + at, PERSON_SCOPE - at, "%s%s", at ? "," : "", part);
		if (n < 0 || (size_t)n >= PERSON_SCOPE - at)
			return error_set(err, RC_USAGE, "the scope is longer than %d bytes",
					 PERSON_SCOPE - 1);
		at += (size_t)n;
	}
	return RC_OK;
}

/* ---- their keys ---------------------------------------------------------------------------------------- */

enum rc people_box(struct person *p, const struct seal_pair *audio, const char *passphrase,
		   struct error *err)
{
	struct seal_pair own;
	uint8_t box[PASSPHRASE_BOX(32)];
	seal_pair_new(&own);
	enum rc rc = passphrase_seal(box, own.secret_key, sizeof own.secret_key, passphrase, err);
	if (rc == RC_OK)
		people_take_box(p, own.public_key, box, audio);
	forget_bytes(&own, sizeof own);
	return rc;
}

void people_take_box(struct person *p, const uint8_t public_key[32],
		     const uint8_t box[PASSPHRASE_BOX(32)], const struct seal_pair *audio)
{
	memcpy(p->public_key, public_key, sizeof p->public_key);
	memcpy(p->box, box, sizeof p->box);
	p->has_box = true;
	p->has_audio = p->has_next = false;
	if (audio)
		people_give_audio(p, audio);
}

void people_give_audio(struct person *p, const struct seal_pair *audio)
{
	seal_to(p->audio, audio->secret_key, sizeof audio->secret_key, p->public_key);
	p->has_audio = true;
}

void people_give_next(struct person *p, const struct seal_pair *audio)
{
	seal_to(p->next, audio->secret_key, sizeof audio->secret_key, p->public_key);
	p->has_next = true;
}

enum rc people_open_own(const struct person *p, const char *passphrase, struct seal_pair *own,
			struct error *err)
{
	memset(own, 0, sizeof *own);
	memcpy(own->public_key, p->public_key, sizeof own->public_key);
	return passphrase_open(own->secret_key, p->box, sizeof p->box, passphrase, err);
}

/* While the pair is exchanged a person has both secrets: the one of audio's public key counts, and the other opens what
 * is not sealed anew yet. */
enum rc people_take_audio(const struct person *p, const struct seal_pair *own,
			  struct seal_pair *audio, struct error *err)
{
	uint8_t secret[32];
	if (!seal_open(secret, p->audio, sizeof p->audio, own))
		return error_set(err, RC_DAMAGED, "the person's audio key does not open");
	memcpy(audio->secret_key, secret, sizeof secret);
	if (p->has_next && seal_open(audio->secret_key, p->next, sizeof p->next, own) &&
	    seal_pair_fits(audio))
		memcpy(audio->before_secret, secret, sizeof secret);
	else
		memcpy(audio->secret_key, secret, sizeof secret);
	forget_bytes(secret, sizeof secret);
	return RC_OK;
}

enum rc people_check_audio(const struct person *p, struct error *err)
{
	if (!p->has_box)
		return error_set(err, RC_REFUSED,
				 "this person has no passphrase to open audio with");
	if (!p->has_audio)
		return error_set(err, RC_REFUSED,
				 "this person's passphrase opens no audio: ask a controller for "
				 "callspan person reset");
	return RC_OK;
}

bool people_same_keys(const struct person *a, const struct person *b)
{
	return a->has_box == b->has_box && a->has_audio == b->has_audio &&
	       a->has_next == b->has_next &&
	       memcmp(a->public_key, b->public_key, sizeof a->public_key) == 0 &&
	       memcmp(a->box, b->box, sizeof a->box) == 0 &&
	       memcmp(a->audio, b->audio, sizeof a->audio) == 0 &&
	       memcmp(a->next, b->next, sizeof a->next) == 0;
}

/* ---- their files ----------------------------------------------------------------------------------------- */

enum {
	FIELD_ROLE,
	FIELD_PUBLIC,
	FIELD_BOX,
	FIELD_AUDIO,
	FIELD_NEXT,
	FIELD_SCOPE,
	FIELD_DISABLED,
	FIELD_SINCE,
	FIELD_ADDED_BY,
	FIELD_CHANGED,
	FIELDS
};

/* A person's fields that are not text or bytes, as text. */
struct words {
	char role[16], disabled[8], since[24], changed[24];
};

static void fields_of(struct key_field f[FIELDS], struct person *p, struct words *w)
{
	const struct key_field table[FIELDS] = {
		{ .name = "role", .text = w->role, .room = sizeof w->role },
		{ .name = "public", .bytes = p->public_key, .len = sizeof p->public_key },
		{ .name = "box", .bytes = p->box, .len = sizeof p->box },
		{ .name = "audio", .bytes = p->audio, .len = sizeof p->audio },
		{ .name = "next-audio", .bytes = p->next, .len = sizeof p->next },
		{ .name = "scope", .text = p->scope, .room = sizeof p->scope },
		{ .name = "disabled", .text = w->disabled, .room = sizeof w->disabled },
		{ .name = "since", .text = w->since, .room = sizeof w->since },
		{ .name = "added-by", .text = p->added_by, .room = sizeof p->added_by },
		{ .name = "changed", .text = w->changed, .room = sizeof w->changed },
	};
	memcpy(f, table, sizeof table);
	for (int i = FIELD_PUBLIC; i < FIELDS; i++)
		f[i].optional = true;
}

static void mark_present(struct key_field f[FIELDS], const struct person *p)
{
	f[FIELD_PUBLIC].present = f[FIELD_BOX].present = p->has_box;
	f[FIELD_AUDIO].present = p->has_box && p->has_audio;
	f[FIELD_NEXT].present = p->has_box && p->has_audio && p->has_next;
	f[FIELD_SCOPE].present = p->scope[0];
	f[FIELD_DISABLED].present = p->disabled;
	f[FIELD_SINCE].present = p->since_us;
	f[FIELD_ADDED_BY].present = p->added_by[0];
	f[FIELD_CHANGED].present = p->changed_us;
}

static void people_folder(char path[STORE_PATH], const char *store)
{
	disk_path(path, store, "vault/people");
}

static void person_path(char path[STORE_PATH], const char *store, const char *name)
{
	char people[STORE_PATH];
	people_folder(people, store);
	disk_path(path, people, name);
}

typedef enum rc (*write_keys)(const char *path, const char *title, const struct key_field *fields,
			      size_t count, struct error *err);

static enum rc write_person(const char *store, const struct person *p, write_keys write,
			    struct error *err)
{
	char path[STORE_PATH];
	struct key_field f[FIELDS];
	struct person copy = *p;
	struct words w = { .disabled = "yes" };
	snprintf(w.role, sizeof w.role, "%s", people_role_name(p->role));
	snprintf(w.since, sizeof w.since, "%lld", (long long)p->since_us);
	snprintf(w.changed, sizeof w.changed, "%lld", (long long)p->changed_us);
	fields_of(f, &copy, &w);
	mark_present(f, p);
	person_path(path, store, p->name);
	enum rc rc = write(path, PERSON_TITLE, f, FIELDS, err);
	forget_bytes(&copy, sizeof copy);
	return rc;
}

enum rc people_save(const char *store, const struct person *p, struct error *err)
{
	return write_person(store, p, keys_write, err);
}

enum rc people_replace(const char *store, const struct person *p, struct error *err)
{
	return write_person(store, p, keys_replace, err);
}

enum rc people_load(const char *store, const char *name, struct person *p, struct error *err)
{
	char path[STORE_PATH];
	struct key_field f[FIELDS];
	struct words w = { .role = "" };
	memset(p, 0, sizeof *p);
	if (!people_name_valid(name))
		return RC_NOT_FOUND;
	fields_of(f, p, &w);
	person_path(path, store, name);
	enum rc rc = keys_read(path, PERSON_TITLE, f, FIELDS, err);
	if (rc != RC_OK)
		return rc;
	snprintf(p->name, sizeof p->name, "%s", name);
	p->role = people_role_named(w.role);
	p->has_box = f[FIELD_PUBLIC].present && f[FIELD_BOX].present;
	p->has_audio = p->has_box && f[FIELD_AUDIO].present;
	p->has_next = p->has_audio && f[FIELD_NEXT].present;
	p->disabled = f[FIELD_DISABLED].present;
	p->since_us = strtoll(w.since, NULL, 10);
	p->changed_us = strtoll(w.changed, NULL, 10);
	return p->role ? RC_OK : error_set(err, RC_FAILED, "%s: an unknown role", path);
}

static int a_name(const struct dirent *e)
{
	return people_name_valid(e->d_name);
}

enum rc people_all(const char *store, struct person **all, size_t *count, struct error *err)
{
	char path[STORE_PATH];
	struct dirent **names;
	people_folder(path, store);
	int n = scandir(path, &names, a_name, alphasort);
	if (n < 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	enum rc rc = RC_OK;
	*count = (size_t)n;
	*all = calloc((size_t)n + 1, sizeof **all);
	ASSERT(*all);
	for (int i = 0; i < n; i++) {
		if (rc == RC_OK)
			rc = people_load(store, names[i]->d_name, &(*all)[i], err);
		free(names[i]);
	}
	free(names);
	if (rc != RC_OK)
		people_free(*all, *count);
	return rc == RC_NOT_FOUND ? RC_FAILED : rc;
}

void people_free(struct person *all, size_t count)
{
	if (all)
		forget_bytes(all, count * sizeof *all);
	free(all);
}
