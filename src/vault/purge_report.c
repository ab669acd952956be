/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* purge_report.c: what a purge did, for people and for auditors: STORE/vault/reports/purge-TIME.json.
 *
 * Line 1 is the report (JSON), line 2 the Ed25519 signature of line 1 without its newline, in base64, by the key that signs the
 * heads of the audit trail.  It names no recording: those stand in the range of STORE/vault/disposals whose hash it gives.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "vault/purge.h"

#define REPORTS_DIR "vault/reports"

static json_t *classes_json(const struct disposal_sum *s)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < s->classes_count; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:I}", "class", s->classes[i].name,
						"count", (json_int_t)s->classes[i].count, "bytes",
						(json_int_t)s->classes[i].bytes));
	return list;
}

static json_t *stages_json(const struct purge_result *r)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "survey", (json_int_t)r->survey_ms, "destroy",
			 (json_int_t)r->destroy_ms, "reclaim", (json_int_t)r->reclaim_ms, "compact",
			 (json_int_t)r->compact_ms, "search", (json_int_t)r->search_ms);
}

json_t *purge_report_json(const struct purge_result *r)
{
	const struct disposal_sum *s = &r->sum;
	json_t *o = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "due",
		(json_int_t)r->survey.due, "total_before", (json_int_t)r->survey.total, "destroyed",
		(json_int_t)s->destroyed, "absent", (json_int_t)s->absent, "failed",
		(json_int_t)s->failed, "held", (json_int_t)r->survey.held, "bytes",
		(json_int_t)s->bytes, "bytes_freed", (json_int_t)r->space.bytes, "segments_removed",
		(json_int_t)r->space.removed, "segments_rewritten", (json_int_t)r->space.rewritten);
	json_object_set_new(o, "until", call_json_time(r->survey.until_us));
	json_object_set_new(o, "oldest", call_json_time(s->destroyed ? s->first_start_us : 0));
	json_object_set_new(o, "newest", call_json_time(s->destroyed ? s->last_start_us : 0));
	json_object_set_new(o, "by_class", classes_json(s));
	json_object_set_new(o, "stages_ms", stages_json(r));
	return o;
}

/* SHA-256 of the purge's lines in the file of disposals. */
static enum rc lines_json(struct vault *v, const struct disposal_sum *s, json_t **out,
			  struct error *err)
{
	char *text = NULL, hex[65];
	uint8_t hash[32];
	size_t len = 0;
	*out = json_null();
	if (!s->end)
		return RC_OK;
	enum rc rc = disposal_file_read(v, s->begin, (size_t)(s->end - s->begin), &text, &len, err);
	if (rc == RC_OK) {
		digest_sha256(hash, text, len);
		keys_hex(hex, hash, sizeof hash);
		*out = json_pack("{s:I, s:I, s:s}", "from", (json_int_t)s->begin, "to",
				 (json_int_t)s->end, "sha256", hex);
	}
	free(text);
	return rc;
}

/* The two lines; owned by the caller. */
static char *sign(const struct vault *v, const json_t *report, size_t *len)
{
	char signature[BASE64_TEXT(64)], *line = json_dumps(report, JSON_COMPACT);
	uint8_t sig[64];
	ASSERT(line);
	sign_bytes(sig, line, strlen(line), &v->keys.heads);
	base64_encode(signature, sig, sizeof sig);
	*len = strlen(line) + sizeof signature + 1;
	char *both = malloc(*len + 1);
	ASSERT(both);
	snprintf(both, *len + 1, "%s\n%s\n", line, signature);
	free(line);
	return both;
}

/* By its second; a second purge within it gets a number. */
static enum rc save(struct vault *v, struct purge_result *r, const char *text, size_t len,
		    struct error *err)
{
	char dir[STORE_PATH], stamp[CLOCK_TEXT], name[80];
	disk_path(dir, v->store, REPORTS_DIR);
	enum rc rc = mkdir(dir, 0700) == 0 || errno == EEXIST
			     ? RC_OK
			     : error_errno(err, RC_FAILED, errno, "%s", dir);
	clock_rfc3339(r->began_us * 1000, stamp);
	for (unsigned n = 0; rc == RC_OK && n < 1000; n++) {
		if (n)
			snprintf(name, sizeof name, "purge-%.19sZ-%u.json", stamp, n);
		else
			snprintf(name, sizeof name, "purge-%.19sZ.json", stamp);
		disk_path(r->report, dir, name);
		if (!disk_is_file(r->report, NULL))
			break;
	}
	if (rc == RC_OK)
		rc = disk_create(r->report, text, len, 0600, err);
	return rc == RC_OK ? disk_sync_dir(dir, err) : rc;
}

enum rc purge_report_write(struct vault *v, struct purge_result *r, const struct person *who,
			   struct error *err)
{
	json_t *lines;
	uint8_t hash[32];
	size_t len;
	enum rc rc = lines_json(v, &r->sum, &lines, err);
	json_t *o = purge_report_json(r);
	json_object_set_new(o, "report", json_string("purge"));
	json_object_set_new(o, "began", call_json_time(r->began_us));
	json_object_set_new(o, "ended", call_json_time(vault_now_us(v)));
	json_object_set_new(o, "person", call_json_text(who->name));
	json_object_set_new(o, "role", json_string(people_role_name(who->role)));
	json_object_set_new(o, "policy", json_string(v->policy.hash));
	json_object_set_new(o, "disposals", lines);
	json_object_set_new(o, "audit_head_before", json_string(r->head_before));
	json_object_set_new(o, "audit_head_after", json_string(r->head_after));
	char *text = sign(v, o, &len);
	json_decref(o);
	if (rc == RC_OK)
		rc = save(v, r, text, len, err);
	digest_sha256(hash, text, len);
	keys_hex(r->report_hash, hash, sizeof hash);
	free(text);
	return rc;
}
