/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_manifest.c: what this store knows of a manifest that it is shown, and its public keys, for those who keep one.
 *
 * A manifest that this vault signed names the audit entry that came before the recording was opened: that entry
 * must stand in the trail, and say the same.
 */
#include <string.h>

#include "vault/manifest.h"

/* ---- verify-export ----------------------------------------------------------------------------------- */

struct sought {
	const json_t *manifest;
	uint64_t number;
	bool found, lost; /* lost with a damaged index: the trail begins later */
	bool same;
};

static bool same_text(const json_t *m, const char *path, const char *text)
{
	return strcmp(manifest_text(m, path), text ? text : "") == 0;
}

static bool same_entry(const json_t *m, const struct audit_entry *e, const uint8_t hash[32])
{
	char hex[65], id[UUID_TEXT] = "";
	json_t *time = call_json_time(e->time_us);
	keys_hex(hex, hash, 32);
	if (e->call)
		uuid_text(e->call, id);
	bool same = same_text(m, "audit.hash", hex) && same_text(m, "recording.id", id) &&
		    same_text(m, "opened.by", e->person) && same_text(m, "opened.role", e->role) &&
		    same_text(m, "opened.action", e->action) &&
		    same_text(m, "opened.purpose", e->purpose) &&
		    same_text(m, "opened.reference", e->reference) &&
		    same_text(m, "opened.at", json_string_value(time)) &&
		    strcmp(e->outcome, "granted") == 0;
	json_decref(time);
	return same;
}

static bool look_at(void *ctx, const struct audit_entry *e, const uint8_t hash[32])
{
	struct sought *s = ctx;
	if (e->number < s->number)
		return true;
	s->lost = e->number > s->number;
	s->found = !s->lost;
	s->same = s->found && same_entry(s->manifest, e, hash);
	return false;
}

static enum rc find_entry(const struct request *q, const json_t *m, bool *lost, struct error *err)
{
	struct sought s = {
		.manifest = m,
		.number = (uint64_t)json_integer_value(manifest_at(m, "audit.entry")),
	};
	enum rc rc = audit_walk(q->v, q, look_at, &s, err);
	*lost = s.lost;
	if (rc != RC_OK || s.lost || s.same)
		return rc;
	return error_set(err, RC_DAMAGED,
			 "the audit trail's entry %llu %s: the trail is not the one it was, or the "
			 "manifest is not this store's",
			 (unsigned long long)s.number,
			 s.found ? "says something else" : "does not exist");
}

enum rc req_verify_export(const struct request *q, struct error *err)
{
	const char *text = requests_text(q, "manifest");
	uint8_t key[32];
	json_t *m;
	bool lost;
	if (!text)
		return error_set(err, RC_USAGE, "manifest: its text is wanted");
	enum rc rc = manifest_read(text, strlen(text), q->v->keys.heads.public_key, &m, key, err);
	if (rc != RC_OK)
		return rc;
	rc = find_entry(q, m, &lost, err);
	if (rc == RC_OK)
		requests_reply(q, json_pack("{s:O, s:s}", "entry", manifest_at(m, "audit.entry"),
					    "audit", lost ? "lost" : "found"));
	json_decref(m);
	return rc;
}

/* ---- public-keys -------------------------------------------------------------------------------------- */

static json_t *key_json(const uint8_t key[32])
{
	struct pem_key k;
	pem_describe(&k, key);
	return json_pack("{s:s, s:s}", "pem", k.pem, "fingerprint", k.fingerprint);
}

enum rc req_public_keys(const struct request *q, struct error *err)
{
	char id[RECORDER_ID];
	(void)err;
	store_recorder_id(q->v->keys.recorder_public, id);
	json_t *recorder = key_json(q->v->keys.recorder_public);
	json_object_set_new(recorder, "id", json_string(id));
	requests_reply(q, json_pack("{s:o, s:o}", "vault", key_json(q->v->keys.heads.public_key),
				    "recorder", recorder));
	return RC_OK;
}
