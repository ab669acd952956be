/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_backup.c: backups, as they are asked for and told. */
#include <stdlib.h>
#include <string.h>

#include "vault/backup.h"

#define REASON_BYTES 200

static json_t *backup_json(const struct backup *b)
{
	char id[2 * BACKUP_ID + 1];
	keys_hex(id, b->id, sizeof b->id);
	json_t *o = json_pack("{s:s, s:s, s:I, s:b}", "id", id, "path", b->path, "segments",
			      (json_int_t)b->segments, "away", b->away);
	if (!o)
		o = json_pack("{s:s, s:n, s:I, s:b}", "id", id, "path", "segments",
			      (json_int_t)b->segments, "away", b->away);
	ASSERT(o);
	json_object_set_new(o, "unknown", json_integer((json_int_t)b->unknown));
	json_object_set_new(o, "made", call_json_time(b->made_us));
	json_object_set_new(o, "tried", call_json_time(b->tried_us));
	return o;
}

enum rc req_backup(const struct request *q, struct error *err)
{
	struct backup_made made;
	bool allow_cow = json_is_true(json_object_get(q->body, "allow_cow"));
	enum rc rc = backup_make(q, requests_text(q, "to"), allow_cow, &made, err);
	if (rc != RC_OK)
		return rc;
	json_t *o = backup_json(&made.backup);
	json_object_set_new(o, "first", json_boolean(made.first));
	json_object_set_new(o, "copied", json_integer((json_int_t)made.copied));
	json_object_set_new(o, "kept", json_integer((json_int_t)made.kept));
	json_object_set_new(o, "removed", json_integer((json_int_t)made.removed));
	json_object_set_new(o, "bytes", json_integer((json_int_t)made.bytes));
	requests_reply(q, o);
	return RC_OK;
}

static enum rc list_one(const struct request *q, const struct backup *b, struct error *err)
{
	uint64_t pending, matters;
	enum rc rc = backup_pending(q->v, b, &pending, err);
	if (rc == RC_OK)
		rc = backup_matters_destroyed(q->v, &matters, err);
	if (rc != RC_OK)
		return rc;
	json_t *o = backup_json(b);
	json_object_set_new(o, "reachable", json_boolean(backup_reachable(b)));
	json_object_set_new(o, "pending", json_integer((json_int_t)pending));
	json_object_set_new(o, "pending_matters", json_integer((json_int_t)(matters - b->matters)));
	requests_reply(q, o);
	return RC_OK;
}

enum rc req_backup_list(const struct request *q, struct error *err)
{
	struct backup *all;
	size_t count;
	enum rc rc = backup_list(q->v, &all, &count, err);
	for (size_t i = 0; i < count && rc == RC_OK; i++)
		rc = list_one(q, &all[i], err);
	free(all);
	return rc;
}

enum rc req_backup_tally(const struct request *q, json_t **out, struct error *err)
{
	struct backup *all;
	size_t count;
	uint64_t pending, most = 0, behind = 0;
	int64_t newest_us = 0;
	enum rc rc = backup_list(q->v, &all, &count, err);
	for (size_t i = 0; i < count && rc == RC_OK; i++) {
		rc = backup_pending(q->v, &all[i], &pending, err);
		most = pending > most ? pending : most;
		behind += pending > 0;
		newest_us = all[i].made_us > newest_us ? all[i].made_us : newest_us;
	}
	free(all);
	if (rc != RC_OK)
		return rc;
	*out = json_pack("{s:I, s:I, s:I}", "registered", (json_int_t)count, "behind",
			 (json_int_t)behind, "destroyed_live", (json_int_t)most);
	ASSERT(*out);
	json_object_set_new(*out, "newest", call_json_time(newest_us));
	return RC_OK;
}

/* Its copy of what is destroyed from now on is destroyed by nobody; so somebody answers for it. */
enum rc req_backup_forget(const struct request *q, struct error *err)
{
	struct backup b;
	char id[2 * BACKUP_ID + 1], detail[REASON_BYTES + 64];
	const char *path = requests_text(q, "to"), *reason = requests_text(q, "reason");
	if (!path)
		return error_set(err, RC_USAGE, "which backup? Its folder is wanted");
	if (!reason || !reason[strspn(reason, " \t\r\n")] || strlen(reason) > REASON_BYTES)
		return error_set(err, RC_USAGE,
				 "why? A reason of at most %d bytes is wanted (--reason)",
				 REASON_BYTES);
	enum rc rc = backup_find(q->v, path, &b, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? error_set(err, RC_USAGE,
						      "no backup is registered there: backup list")
					  : rc;
	keys_hex(id, b.id, sizeof b.id);
	snprintf(detail, sizeof detail, "backup=%s reason=%s", id, reason);
	rc = audit_write(q->v,
			 &(struct audit_entry){ .person = q->person.name,
						.role = people_role_name(q->person.role),
						.action = "backup-forget",
						.outcome = "done",
						.detail = detail },
			 err);
	if (rc == RC_OK)
		rc = backup_drop(q->v, &b, err);
	return rc == RC_OK ? backup_settle(q->v, err) : rc;
}
