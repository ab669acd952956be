/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* manifest.c: see manifest.h.  Making it needs an opened recording; reading it needs nothing. */
#include "vault/manifest.h"

#include <stdlib.h>
#include <string.h>

#define VERSION   1
#define SIGNATURE 64
#define SPELLING  (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9))

static void set(json_t *o, const char *name, json_t *value)
{
	int rc = json_object_set_new(o, name, value);
	ASSERT(rc == 0);
}

/* ---- making -------------------------------------------------------------------------------------- */

/* As `calls` tells it, but for how long it is kept and held: that is nobody else's business. */
static json_t *recording_json(const struct opened *x)
{
	json_t *o = call_json(x->call, CALL_JSON_LIST, false);
	json_object_del(o, "retention");
	return o;
}

static json_t *hex_json(const uint8_t *bytes, size_t len)
{
	char hex[65];
	ASSERT(len <= 32);
	keys_hex(hex, bytes, len);
	return json_string(hex);
}

/* What the recorder wrote, and signed. */
static enum rc original_json(const struct opened *x, json_t **out, struct error *err)
{
	struct segment_row row;
	const struct call *c = x->call;
	enum rc rc = segments_get(x->q->v, c->segment, &row, err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	json_t *o = json_object();
	set(o, "digest", hex_json(c->digest, sizeof c->digest));
	set(o, "records", json_integer((json_int_t)c->records));
	set(o, "segment", json_string(c->segment));
	set(o, "attested", json_boolean(c->attested));
	set(o, "last_attest",
	    rc == RC_OK && row.has_last_attest ? hex_json(row.last_attest, sizeof row.last_attest)
					       : json_null());
	*out = o;
	return RC_OK;
}

static json_t *file_json(const struct opened *x, const struct manifest_file *f)
{
	static const char *const told[] = { "seconds", "rate", "packets", "messages" };
	const struct opening *o = x->o;
	json_t *j = json_object();
	set(j, "format", json_string(opening_format_name(o->format)));
	set(j, "track", json_string(opening_track_name(o->track)));
	set(j, "conceal", json_boolean(o->conceal));
	set(j, "mute", mute_json(o->mutes, o->mutes_count));
	set(j, "from_s", json_real(o->at_s));
	set(j, "zero", call_json_time(json_integer_value(json_object_get(f->told, "zero_us"))));
	for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
		const json_t *fact = json_object_get(f->told, told[i]);
		if (fact)
			set(j, told[i], json_deep_copy(fact));
	}
	set(j, "bytes", json_integer((json_int_t)f->bytes));
	set(j, "sha256", json_string(f->sha256));
	return j;
}

static json_t *opened_json(const struct opened *x)
{
	const struct opening *o = x->o;
	json_t *j = json_object();
	set(j, "at", call_json_time(x->entry.time_us));
	set(j, "by", json_string(x->q->person.name));
	set(j, "role", json_string(people_role_name(x->q->person.role)));
	set(j, "action", json_string(o->action));
	set(j, "purpose", json_string(o->purpose_name));
	set(j, "reference", call_json_text(o->reference));
	set(j, "policy", call_json_text(x->entry.policy));
	set(j, "policy_hash", json_string(x->entry.policy_hash));
	set(j, "protection", json_string(opening_leaves_name(o->leaves)));
	set(j, "recipient", call_json_text(o->recipient_sha256));
	return j;
}

static json_t *audit_json(const struct opened *x)
{
	json_t *j = json_object();
	set(j, "entry", json_integer((json_int_t)x->entry.number));
	set(j, "hash", hex_json(x->entry.hash, sizeof x->entry.hash));
	return j;
}

/* Line 1 and its signature. */
static char *sign(const struct vault *v, const json_t *manifest)
{
	uint8_t sig[SIGNATURE];
	char spelled[BASE64_TEXT(SIGNATURE)], *text = NULL;
	char *line = json_dumps(manifest, SPELLING);
	ASSERT(line);
	sign_bytes(sig, line, strlen(line), &v->keys.heads);
	base64_encode(spelled, sig, sizeof sig);
	size_t room = strlen(line) + sizeof spelled + 2;
	text = malloc(room);
	ASSERT(text);
	snprintf(text, room, "%s\n%s\n", line, spelled);
	free(line);
	return text;
}

enum rc manifest_make(const struct opened *x, const struct manifest_file *file, char **text,
		      struct error *err)
{
	struct pem_key key;
	json_t *original;
	enum rc rc = original_json(x, &original, err);
	if (rc != RC_OK)
		return rc;
	json_t *m = json_object();
	pem_describe(&key, x->q->v->keys.heads.public_key);
	set(m, "callspan_manifest", json_integer(VERSION));
	set(m, "recording", recording_json(x));
	set(m, "original", original);
	set(m, "file", file_json(x, file));
	set(m, "opened", opened_json(x));
	set(m, "audit", audit_json(x));
	set(m, "vault_key", json_string(key.base64));
	*text = sign(x->q->v, m);
	json_decref(m);
	return RC_OK;
}

/* ---- reading ------------------------------------------------------------------------------------- */

const json_t *manifest_at(const json_t *manifest, const char *path)
{
	char name[32];
	const json_t *at = manifest;
	while (at && *path) {
		size_t len = strcspn(path, ".");
		ASSERT(len < sizeof name);
		memcpy(name, path, len);
		name[len] = '\0';
		at = json_object_get(at, name);
		path += len + (path[len] == '.');
	}
	return at;
}

const char *manifest_text(const json_t *manifest, const char *path)
{
	const char *text = json_string_value(manifest_at(manifest, path));
	return text ? text : "";
}

/* What whoever reads it relies upon. */
static enum rc check_members(const json_t *m, struct error *err)
{
	static const char *const texts[] = {
		"recording.id",   "original.digest",   "file.format", "file.sha256",
		"opened.at",      "opened.by",         "opened.role", "opened.action",
		"opened.purpose", "opened.protection", "audit.hash"
	};
	static const char *const numbers[] = { "file.bytes", "audit.entry" };
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (!json_is_string(manifest_at(m, texts[i])))
			return error_set(err, RC_DAMAGED, "the manifest lacks %s", texts[i]);
	}
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		const json_t *n = manifest_at(m, numbers[i]);
		if (!json_is_integer(n) || json_integer_value(n) < 0)
			return error_set(err, RC_DAMAGED, "the manifest lacks %s", numbers[i]);
	}
	return RC_OK;
}

static enum rc check_signature(const char *line, size_t len, const char *signature,
			       const uint8_t *by, const json_t *m, uint8_t key[32],
			       struct error *err)
{
	uint8_t sig[SIGNATURE];
	struct pem_key other;
	if (!pem_read_base64(manifest_text(m, "vault_key"), key))
		return error_set(err, RC_DAMAGED, "the manifest names no key that signs it");
	pem_describe(&other, key);
	if (by && memcmp(by, key, 32) != 0)
		return error_set(err, RC_DAMAGED,
				 "the manifest is signed by another key, whose fingerprint is %s",
				 other.fingerprint);
	if (!base64_decode(sig, sizeof sig, signature) || !sign_verify(sig, line, len, key))
		return error_set(err, RC_DAMAGED,
				 "the manifest was altered: its signature is wrong");
	return RC_OK;
}

/* Exactly two lines, each with its end. */
static bool cut_lines(char *text, size_t len, size_t *first, char **second)
{
	char *end = memchr(text, '\n', len);
	if (!end || strlen(text) != len)
		return false;
	*first = (size_t)(end - text);
	*second = end + 1;
	char *last = strchr(*second, '\n');
	if (!last || last[1])
		return false;
	*last = '\0';
	return true;
}

enum rc manifest_read(const char *text, size_t len, const uint8_t *by, json_t **out,
		      uint8_t key[32], struct error *err)
{
	char *copy = malloc(len + 1), *signature;
	size_t first;
	ASSERT(copy);
	memcpy(copy, text, len);
	copy[len] = '\0';
	json_t *m = cut_lines(copy, len, &first, &signature)
			    ? json_loadb(copy, first, JSON_REJECT_DUPLICATES, NULL)
			    : NULL;
	enum rc rc = RC_OK;
	if (!m || !json_is_integer(manifest_at(m, "callspan_manifest")))
		rc = error_set(err, RC_DAMAGED,
			       "not a manifest: two lines are wanted, of JSON "
			       "and its signature");
	else
		rc = check_signature(copy, first, signature, by, m, key, err);
	if (rc == RC_OK && json_integer_value(manifest_at(m, "callspan_manifest")) != VERSION)
		rc = error_set(err, RC_FAILED, "the manifest is of a newer version of callspan");
	if (rc == RC_OK)
		rc = check_members(m, err);
	free(copy);
	if (rc != RC_OK)
		json_decref(m);
	else
		*out = m;
	return rc;
}
