/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* requests.c: every request there is, who may make it, and what the audit trail keeps of it.
 *
 *   known request, known members -> person -> role -> the handler's own check of its words -> passphrase (unlock.h)
 *     -> ingest -> handler
 *
 * A refusal is always audited; one whose entry cannot be written is still a refusal.  Of the rest the table says:
 *
 *   QUIET          nothing: it shows what the role may see, and changes nothing
 *   AUDITED        "granted" before it is done, and after it how it ended
 *   AUDITS_ITSELF  the handler writes the entry, when it knows that it will act and before it does (audio opened, rows
 *                  changed in one commit with their entry); when it fails before that, its failure is told here
 *
 * Where the entry before cannot be written, nothing is done.
 */
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/nearest.h"
#include "vault/grants.h"
#include "vault/hold.h"
#include "vault/parts.h"
#include "vault/policies.h"
#include "vault/unlock.h"

#define C ROLE_CONTROLLER
#define M ROLE_MANAGER
#define S ROLE_STAFF
#define A ROLE_AUDITOR
#define O ROLE_OPERATOR

struct request_row {
	const char *name;
	unsigned roles;
	enum { QUIET, AUDITED, AUDITS_ITSELF } audit;
	/* What it understands: names with a space between, texts but for `n#` a whole number, `n?` true or false, `n*`
	 * whatever its handler says of it. */
	const char *members;
	request_handler check; /* of words, before rights; may be NULL */
	request_handler handle;
};

/* One row a request; its second line is what it understands. */
/* clang-format off */
static const struct request_row table[] = {
	{ "calls",        C | M | O,     QUIET,
	  "party since* until* state outcome conversation limit# direction codec class held? min_duration* max_duration* "
	  "min_mos* max_mos* before page?",                            NULL,             req_calls },
	{ "show",         C | M | O | S, QUIET,
	  "id",                                                        NULL,             req_show },
	{ "replay",       C | M | S,     AUDITS_ITSELF,
	  "id purpose reference at* track conceal? mute* passphrase play? fd#",
	                                                               req_replay_check, req_replay },
	{ "export",       C | M,         AUDITS_ITSELF,
	  "id purpose reference format track conceal? mute* password recipient passphrase fd#",
	                                                               req_export_check, req_export },
	{ "fingerprint",  C | M,         AUDITS_ITSELF,
	  "id purpose reference passphrase",              req_fingerprint_check, req_fingerprint },
	{ "digits",       C | M,         AUDITS_ITSELF,
	  "id purpose reference passphrase",                           req_digits_check, req_digits },
	{ "coverage",     C | M | O,     QUIET,
	  "since* until* gap*",                                        NULL,             req_coverage },
	{ "hold-add",     C | M,         AUDITS_ITSELF,
	  "ids* party conversation since* until* standing? reason reference",
	                                                               req_hold_add_check, req_hold_add },
	{ "hold-release", C | M,         AUDITS_ITSELF,
	  "hold reason confirm? passphrase",                           NULL,             req_hold_release },
	{ "hold-cancel-release", C | M,  AUDITS_ITSELF,
	  "hold",                                                      NULL,             req_hold_cancel },
	{ "hold-list",    C | M | A | O, QUIET,
	  "all?",                                                      NULL,             req_hold_list },
	{ "hold-show",    C | M,         QUIET,
	  "hold",                                                      NULL,             req_hold_show },
	{ "sample",       C | M,         AUDITS_ITSELF,
	  "count# since* until* group min_duration# per_person? seed# purpose eligible?",
	                                                               req_sample_check, req_sample },
	{ "sample-list",  C | M,         QUIET,
	  "",                                                          NULL,             req_sample_list },
	{ "sample-show",  C | M,         QUIET,
	  "sample",                                                    NULL,             req_sample_show },
	{ "review-add",   C | M,         AUDITS_ITSELF,
	  "id score# note sample for days# passphrase",        req_review_add_check, req_review_add },
	{ "review-list",  C | M | S,     QUIET,
	  "call person",                                               NULL,             req_review_list },
	{ "review-show",  C | M | S,     QUIET,
	  "review",                                                    NULL,             req_review_show },
	{ "policy-show",  C | M | A | O, QUIET,
	  "",                                                          NULL,             req_policy_show },
	{ "policy-check", C | M | A | O, QUIET,
	  "text",                                          req_policy_words, req_policy_check },
	{ "policy-apply", C,             AUDITS_ITSELF,
	  "text hash dry_run? yes?",                       req_policy_words, req_policy_apply },
	{ "status",       C | M | A | O, QUIET,
	  "",                                                          NULL,             req_status },
	{ "backup",       C | O,         AUDITS_ITSELF,
	  "to passphrase allow_cow?",                                  NULL,               req_backup },
	{ "backup-list",  C | M | A | O, QUIET,
	  "",                                                          NULL,          req_backup_list },
	{ "backup-forget", C,            AUDITS_ITSELF,
	  "to reason",                                                 NULL,        req_backup_forget },
	{ "request-open", C | M,         AUDITS_ITSELF,
	  "kind party since* until* received* reference requester note", NULL,         req_inquiry_open },
	{ "request-verify-identity", C | M, AUDITS_ITSELF,
	  "inquiry how",                                               NULL,     req_inquiry_identify },
	{ "request-extend", C | M,       AUDITS_ITSELF,
	  "inquiry reason",                                            NULL,       req_inquiry_extend },
	{ "request-refresh", C | M,      AUDITS_ITSELF,
	  "inquiry",                                                   NULL,      req_inquiry_refresh },
	{ "request-assess", C | M,       AUDITS_ITSELF,
	  "inquiry id decision redact* ground note",                   NULL,       req_inquiry_assess },
	{ "request-authorise", C | M,    AUDITS_ITSELF,
	  "inquiry passphrase",                                        NULL,    req_inquiry_authorise },
	{ "request-fulfil", C | M,       AUDITS_ITSELF,
	  "inquiry id play? fd# format password recipient passphrase", NULL,       req_inquiry_fulfil },
	{ "request-close", C | M,        AUDITS_ITSELF,
	  "inquiry reason",                                            NULL,        req_inquiry_close },
	{ "request-refuse", C | M,       AUDITS_ITSELF,
	  "inquiry ground reason",                                     NULL,       req_inquiry_refuse },
	{ "request-list", C | M | A,     QUIET,
	  "open? overdue?",                                            NULL,         req_inquiry_list },
	{ "request-show", C | M | A,     QUIET,
	  "inquiry",                                                   NULL,         req_inquiry_show },
	{ "reindex",      C | O,         AUDITED,
	  "",                                                          NULL,             req_reindex },
	{ "verify",       C | M | A | O, AUDITED,
	  "id",                                                        NULL,             req_verify },
	{ "purge",        C | O,         AUDITS_ITSELF,
	  "dry_run? verify? yes?",                                     NULL,             req_purge },
	{ "erase",        C,             AUDITS_ITSELF,
	  "id reason confirm? cancel? passphrase",                     req_erase_check,  req_erase },
	{ "segment-write-off", C,        AUDITS_ITSELF,
	  "segment reason yes?",                       req_write_off_check, req_write_off },
	{ "audit-list",   C | A,         QUIET,
	  "since* until* limit# before# person action call",           NULL,             req_audit_list },
	{ "verify-export", C | M | A | O, QUIET,
	  "manifest",                                                  NULL,             req_verify_export },
	{ "public-keys",  C | M | A | O, QUIET,
	  "",                                                          NULL,             req_public_keys },
	{ "audit-verify", C | A | O,     QUIET,
	  "head heads line#",                                                  NULL,             req_audit_verify },
	{ "audit-anchor", C | A | O,     AUDITS_ITSELF,
	  "",                                                          NULL,             req_audit_anchor },
	{ "audit-export", C | A,         AUDITS_ITSELF,
	  "fd#",                                     req_audit_export_check, req_audit_export },
	{ "person-add",        C,                 AUDITS_ITSELF,
	  "person role scope new_passphrase passphrase",               NULL,             req_person_add },
	{ "person-list",       C | A,             QUIET,
	  "",                                                          NULL,             req_person_list },
	{ "person-role",       C,                 AUDITS_ITSELF,
	  "person role scope new_passphrase passphrase",               NULL,             req_person_role },
	{ "person-disable",    C,                 AUDITS_ITSELF,
	  "person",                                                    NULL,             req_person_disable },
	{ "person-enable",     C,                 AUDITS_ITSELF,
	  "person",                                                    NULL,             req_person_enable },
	{ "person-passphrase", C | M | S | A | O, AUDITS_ITSELF,
	  "new_passphrase passphrase",                                 NULL,             req_person_passphrase },
	{ "person-reset",      C,                 AUDITS_ITSELF,
	  "person new_passphrase passphrase",                          NULL,             req_person_reset },
	{ "key-rotate",        C,                 AUDITS_ITSELF,
	  "passphrase",                                                NULL,             req_key_rotate },
};
/* clang-format on */
#define ROWS (sizeof table / sizeof table[0])

bool requests_right(size_t row, struct request_right *right)
{
	if (row >= ROWS)
		return false;
	*right = (struct request_right){ .name = table[row].name, .roles = table[row].roles };
	return true;
}

/* ---- what handlers use ------------------------------------------------------------------------------------ */

bool requests_reply(const struct request *q, json_t *object)
{
	ASSERT(object);
	bool more = q->reply(q->ctx, object);
	json_decref(object);
	return more;
}

/* Who asks: as listed; root, where it is not, runs the system and no more. */
static enum rc load_person(const struct request *q, struct person *p, struct error *err)
{
	enum rc rc = people_load(q->v->store, q->who->person, p, err);
	if (rc != RC_NOT_FOUND)
		return rc;
	memset(p, 0, sizeof *p);
	snprintf(p->name, sizeof p->name, "%s", q->who->person);
	p->role = q->who->uid == 0 ? ROLE_OPERATOR : ROLE_NONE;
	return RC_OK;
}

/* Whoever was disabled, or was given another role, scope or passphrase, while others had their turn, ends here. */
static bool is_who_asked(const struct request *q)
{
	struct person now;
	struct error ignored;
	bool same = load_person(q, &now, &ignored) == RC_OK && now.role == q->person.role &&
		    now.disabled == q->person.disabled && strcmp(now.scope, q->person.scope) == 0 &&
		    (!unlock_tried(q) || people_same_keys(&now, &q->person));
	forget_bytes(&now, sizeof now);
	return same;
}

enum rc requests_check_asker(const struct request *q, struct error *err)
{
	if (is_who_asked(q))
		return RC_OK;
	return error_set(err, RC_REFUSED, "what you may was changed meanwhile: ask again");
}

bool requests_abandoned(const struct request *q)
{
	return q->who->stop && __atomic_load_n(q->who->stop, __ATOMIC_RELAXED);
}

enum rc requests_rest(const struct request *q, struct error *err)
{
	vault_step_out(q->v);
	if (q->who->rest)
		q->who->rest(q->ctx);
	vault_step_in(q->v);
	if (requests_abandoned(q))
		return error_set(err, RC_FAILED, "the caller has gone");
	enum rc rc = requests_check_asker(q, err);
	return rc == RC_OK ? reindex_check(q->v, err) : rc;
}

const char *requests_text(const struct request *q, const char *member)
{
	return json_string_value(json_object_get(q->body, member));
}

enum rc requests_count(const struct request *q, const char *member, size_t *n, struct error *err)
{
	const json_t *j = json_object_get(q->body, member);
	if (!j || json_is_null(j))
		return RC_OK;
	if (!json_is_integer(j) || json_integer_value(j) < 0)
		return error_set(err, RC_USAGE, "%s: a number is wanted, 0 or more", member);
	*n = (size_t)json_integer_value(j);
	return RC_OK;
}

enum rc requests_time(const struct request *q, const char *member, int64_t *us, struct error *err)
{
	const json_t *j = json_object_get(q->body, member);
	int64_t ns;
	if (!j || json_is_null(j))
		return RC_OK;
	if (json_is_integer(j)) {
		*us = json_integer_value(j);
		return RC_OK;
	}
	if (!json_is_string(j) || !clock_parse(json_string_value(j), &ns))
		return error_set(err, RC_USAGE,
				 "%s: not a time (RFC 3339, YYYY-MM-DD, -12h, or @seconds)",
				 member);
	*us = ns / 1000;
	return RC_OK;
}

const char *requests_choices(const char *const *names, size_t count, char *buf, size_t room)
{
	size_t at = 0;
	buf[0] = '\0';
	for (size_t i = 0; i < count && at < room; i++) {
		int n = snprintf(buf + at, room - at, "%s%s", i ? ", " : "", names[i]);
		at += n > 0 ? (size_t)n : 0;
	}
	return buf;
}

/* ---- the way of a request ---------------------------------------------------------------------------------- */

static enum rc find_row(const json_t *body, const struct request_row **row, struct error *err)
{
	const char *names[ROWS];
	const char *name = json_string_value(json_object_get(body, "request"));
	for (size_t i = 0; i < ROWS; i++) {
		names[i] = table[i].name;
		if (name && strcmp(name, table[i].name) == 0) {
			*row = &table[i];
			return RC_OK;
		}
	}
	/* All of them are too many for a line. */
	const char *near = name ? nearest_of(name, names, ROWS) : NULL;
	if (near)
		return error_set(err, RC_USAGE, "no such request; did you mean \"%s\"?", near);
	return error_set(err, RC_USAGE, "no such request; docs/http.md says where all are listed");
}

/* How a request understands a member: '#', '?', '*', ' ' for a text; 0: not at all. */
static char kind_of(const struct request_row *row, const char *member)
{
	static const char kinds[] = "#?* ";
	size_t len = strlen(member);
	if (strcmp(member, "request") == 0)
		return ' ';
	for (const char *at = strstr(row->members, member); at && len;
	     at = strstr(at + 1, member)) {
		bool begins = at == row->members || at[-1] == ' ';
		if (begins && at[len] == '\0')
			return ' ';
		if (begins && strchr(kinds, at[len]))
			return at[len];
	}
	return '\0';
}

static enum rc check_member(const struct request_row *row, const char *name, const json_t *value,
			    struct error *err)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz_-0123456789";
	char kind = kind_of(row, name);
	/* What could break a line is not said again. */
	if (!kind && name[strspn(name, letters)])
		return error_set(err, RC_USAGE, "%s has no such member", row->name);
	if (!kind)
		return error_set(err, RC_USAGE, "%s has no member \"%.32s\"", row->name, name);
	if (json_is_null(value))
		return RC_OK;
	if (kind == ' ' && !json_is_string(value))
		return error_set(err, RC_USAGE, "%s: a text is wanted", name);
	if (kind == '#' && (!json_is_integer(value) || json_integer_value(value) < 0))
		return error_set(err, RC_USAGE, "%s: a number is wanted, 0 or more", name);
	if (kind == '?' && !json_is_boolean(value))
		return error_set(err, RC_USAGE, "%s: true or false is wanted", name);
	return RC_OK;
}

/* A null member is the same as none. */
static enum rc check_members(const struct request_row *row, const json_t *body, struct error *err)
{
	const char *name;
	json_t *value;
	enum rc rc = RC_OK;
	json_object_foreach((json_t *)(uintptr_t)body, name, value)
	{
		if (rc == RC_OK)
			rc = check_member(row, name, value, err);
	}
	return rc;
}

/* The recording a request names; false: none that can be known.  One that is gone is known by its full id. */
static bool named_call(const struct request *q, struct uuid *id)
{
	struct error ignored;
	const char *text = requests_text(q, "id");
	return text && (catalogue_find(q->v, text, id, &ignored) == RC_OK || uuid_parse(id, text));
}

/* What a request states as its reference, or the matter that it is of; nothing that no handler would have taken. */
static const char *reference_of(const struct request *q)
{
	const char *reference = requests_text(q, "reference");
	if (!reference)
		reference = requests_text(q, "inquiry");
	bool fits = reference && strlen(reference) <= REQUEST_REFERENCE;
	for (const char *p = reference; fits && *p; p++)
		fits = !iscntrl((unsigned char)*p);
	return fits && q->person.role != ROLE_NONE ? reference : NULL;
}

static const char *purpose_of(const struct request *q)
{
	const char *purpose = requests_text(q, "purpose");
	return purpose && policy_purpose(purpose) >= 0 ? purpose : NULL;
}

static enum rc audit_outcome(const struct request *q, const char *action, const char *outcome,
			     const char *detail, struct error *err)
{
	struct uuid id;
	if (!q->v->index) {
		*err = q->v->index_fault;
		return RC_DAMAGED;
	}
	return audit_write(q->v,
			   &(struct audit_entry){ .person = q->person.name,
						  .role = people_role_name(q->person.role),
						  .action = action,
						  .call = named_call(q, &id) ? &id : NULL,
						  .purpose = purpose_of(q),
						  .reference = reference_of(q),
						  .outcome = outcome,
						  .detail = detail },
			   err);
}

static enum rc check_role(const struct request *q, const struct request_row *row, struct error *err)
{
	if (q->person.disabled)
		return error_set(err, RC_REFUSED, "you are no longer a person of this store");
	if (row->roles & (unsigned)q->person.role)
		return RC_OK;
	if (q->person.role == ROLE_NONE)
		return error_set(err, RC_REFUSED, "you are not listed as a person of this store");
	return error_set(err, RC_REFUSED, "your role (%s) does not allow %s",
			 people_role_name(q->person.role), row->name);
}

/* How far a request came: what is still to be told of it. */
struct course {
	struct unlock unlock;
	bool granted;     /* its entry is written */
	bool begun;       /* the handler was called ... */
	uint64_t entries; /* ... when it had written so many entries */
};

static enum rc carry_out(const struct request *q, const struct request_row *row,
			 struct course *course, struct error *err)
{
	if (!q->v->index) {
		*err = q->v->index_fault;
		return RC_DAMAGED;
	}
	enum rc rc = policies_resume(q->v, err);
	if (rc == RC_OK)
		rc = ingest_run(q->v, NULL, err);
	if (rc == RC_OK)
		rc = reindex_check(q->v, err);
	/* The passphrase and taking in gave way to others. */
	if (rc == RC_OK)
		rc = requests_check_asker(q, err);
	if (rc == RC_OK)
		rc = grants_expire(q->v, err);
	if (rc == RC_OK && row->audit == AUDITED && !course->granted) {
		rc = audit_outcome(q, row->name, "granted", NULL, err);
		course->granted = rc == RC_OK;
	}
	if (rc != RC_OK)
		return rc;
	course->begun = true;
	course->entries = audit_written();
	rc = row->handle(q, err);
	return rc == RC_OK ? index_health(q->v->index, err) : rc;
}

/* An index that cannot be read is made anew by reindex, and by nothing else. */
static enum rc answer(const struct request *q, const struct request_row *row, struct course *course,
		      struct error *err)
{
	struct error health;
	enum rc rc = check_role(q, row, err);
	if (rc == RC_OK && row->check)
		rc = row->check(q, err);
	if (rc != RC_OK)
		return rc;
	/* The passphrase that a backup takes is the backup's. */
	if (row->handle != req_backup)
		unlock_try(q, &course->unlock);
	rc = carry_out(q, row, course, err);
	bool unreadable = !q->v->index || index_health(q->v->index, &health) != RC_OK;
	if (rc == RC_OK || !unreadable || row->handle != req_reindex)
		return rc;
	rc = reindex_rebuild(q->v, &q->person, err);
	return rc == RC_OK ? carry_out(q, row, course, err) : rc;
}

static const char *outcome_name(enum rc rc)
{
	switch (rc) {
	case RC_OK: return "done";
	case RC_REFUSED: return "refused";
	case RC_DAMAGED: return "damaged";
	default: return "failed";
	}
}

/* What the audit trail still lacks of a request that ended like this. */
static bool is_owed(const struct request_row *row, const struct course *course, enum rc rc)
{
	if (rc == RC_REFUSED || course->granted)
		return true;
	return row->audit == AUDITS_ITSELF && course->begun &&
	       (rc == RC_FAILED || rc == RC_DAMAGED) && audit_written() == course->entries;
}

/* How it ended; whoever was told that something is done must not have done it unseen. */
static enum rc tell(const struct request *q, const struct request_row *row,
		    const struct course *course, enum rc rc, struct error *err)
{
	struct error why;
	if (!is_owed(row, course, rc))
		return rc;
	if (audit_outcome(q, row->name, outcome_name(rc), rc == RC_OK ? NULL : err->text, &why) ==
	    RC_OK)
		return rc;
	log_error("audit-write", "what=\"%s\"", why.text);
	return rc == RC_OK ? error_set(err, RC_FAILED,
				       "%s was done, but how it ended could not be audited: %.300s",
				       row->name, why.text)
			   : rc;
}

static void anchor_hourly(struct vault *v)
{
	struct error why;
	if (v->index && audit_hourly(v, &why) != RC_OK)
		log_error("audit-anchor", "what=\"%s\"", why.text);
}

static enum rc serve(struct request *q, const struct request_row *row, struct error *err)
{
	struct course course = { .unlock.rc = RC_AGAIN };
	enum rc rc = load_person(q, &q->person, err);
	if (rc != RC_OK)
		return rc;
	q->unlock = &course.unlock;
	rc = answer(q, row, &course, err);
	rc = tell(q, row, &course, rc, err);
	anchor_hourly(q->v);
	segments_forget_open(q->v);
	forget_bytes(&q->person, sizeof q->person);
	forget_bytes(&course.unlock, sizeof course.unlock);
	q->unlock = NULL;
	return rc;
}

enum rc vault_request(struct vault *v, const struct vault_caller *who, const json_t *request,
		      vault_reply reply, void *ctx, struct error *err)
{
	struct request q = { .v = v, .who = who, .body = request, .reply = reply, .ctx = ctx };
	const struct request_row *row = NULL;
	err->text[0] = '\0';
	enum rc rc = find_row(request, &row, err);
	if (rc == RC_OK)
		rc = check_members(row, request, err);
	if (rc != RC_OK)
		return rc;
	vault_enter(v);
	rc = serve(&q, row, err);
	vault_leave(v);
	return rc;
}
