/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* requests.h: a request on its way, and the handlers of the table in requests.c.  Private to src/vault; part of parts.h.
 */
#ifndef CALLSPAN_VAULT_REQUESTS_H
#define CALLSPAN_VAULT_REQUESTS_H

#include "vault/parts.h"

#define REQUEST_REFERENCE 200 /* bytes of a reference */

struct unlock;

struct request {
	struct vault *v;
	const struct vault_caller *who;
	struct person person;
	const struct unlock *unlock; /* unlock.h; NULL: no passphrase was tried */
	const json_t *body;
	vault_reply reply;
	void *ctx;
};
/* Hand one object to the caller and free it; false: no more are wanted. */
bool requests_reply(const struct request *q, json_t *object);
/* In the middle of what takes long: others have their turn, and a slow caller is waited for (turn.h).  RC_FAILED: the caller
 * has gone, or there is no whole index; RC_REFUSED: as below. */
enum rc requests_rest(const struct request *q, struct error *err) MUST_USE;
/* The caller has gone. */
bool requests_abandoned(const struct request *q);
/* After others had their turn: may the asker still do what they might before, and has their passphrase not changed where it
 * was tried?  RC_REFUSED. */
enum rc requests_check_asker(const struct request *q, struct error *err) MUST_USE;
/* A member's text or NULL (absent or null).  RC_USAGE is given by the table's check for other types. */
const char *requests_text(const struct request *q, const char *member);
/* A whole number >= 0; *n unchanged when absent. */
enum rc requests_count(const struct request *q, const char *member, size_t *n,
		       struct error *err) MUST_USE;
/* A time: RFC 3339 (or as people write it) or Unix microseconds; *us unchanged when absent. */
enum rc requests_time(const struct request *q, const char *member, int64_t *us,
		      struct error *err) MUST_USE;
/* The choices of a list in one line, for errors. */
const char *requests_choices(const char *const *names, size_t count, char *buf, size_t room);

typedef enum rc (*request_handler)(const struct request *q, struct error *err);
enum rc req_calls(const struct request *q, struct error *err) MUST_USE;
enum rc req_show(const struct request *q, struct error *err) MUST_USE;
enum rc req_replay_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_replay(const struct request *q, struct error *err) MUST_USE;
enum rc req_export_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_export(const struct request *q, struct error *err) MUST_USE;
enum rc req_fingerprint_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_fingerprint(const struct request *q, struct error *err) MUST_USE;
enum rc req_digits_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_digits(const struct request *q, struct error *err) MUST_USE;
enum rc req_coverage(const struct request *q, struct error *err) MUST_USE;
/* What the recorder last told of itself (STORE/recorder/status.json), as far as it is what it should be; null. */
json_t *req_status_capture(const struct vault *v);
enum rc req_inquiry_open(const struct request *q, struct error *err) MUST_USE;
enum rc req_inquiry_identify(const struct request *q, struct error *err) MUST_USE;
enum rc req_inquiry_extend(const struct request *q, struct error *err) MUST_USE;
enum rc req_inquiry_refresh(const struct request *q, struct error *err) MUST_USE;
enum rc req_inquiry_assess(const struct request *q, struct error *err) MUST_USE;
enum rc req_inquiry_authorise(const struct request *q, struct error *err) MUST_USE;
enum rc req_inquiry_fulfil(const struct request *q, struct error *err) MUST_USE;
enum rc req_inquiry_close(const struct request *q, struct error *err) MUST_USE;
enum rc req_inquiry_refuse(const struct request *q, struct error *err) MUST_USE;
enum rc req_inquiry_list(const struct request *q, struct error *err) MUST_USE;
enum rc req_inquiry_show(const struct request *q, struct error *err) MUST_USE;
/* For status: how many are open and overdue, and (but for operators) which. */
enum rc req_inquiry_tally(const struct request *q, json_t **out, struct error *err) MUST_USE;
enum rc req_backup(const struct request *q, struct error *err) MUST_USE;
enum rc req_backup_list(const struct request *q, struct error *err) MUST_USE;
enum rc req_backup_forget(const struct request *q, struct error *err) MUST_USE;
/* For status: how many there are, and how far they are behind. */
enum rc req_backup_tally(const struct request *q, json_t **out, struct error *err) MUST_USE;
enum rc req_status(const struct request *q, struct error *err) MUST_USE;
enum rc req_policy_show(const struct request *q, struct error *err) MUST_USE;
enum rc req_policy_words(const struct request *q, struct error *err) MUST_USE;
enum rc req_policy_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_policy_apply(const struct request *q, struct error *err) MUST_USE;
enum rc req_reindex(const struct request *q, struct error *err) MUST_USE;
enum rc req_verify(const struct request *q, struct error *err) MUST_USE;
/* How the audit trail stands. */
json_t *req_audit_json(const struct vault *v);
enum rc req_audit_list(const struct request *q, struct error *err) MUST_USE;
enum rc req_audit_verify(const struct request *q, struct error *err) MUST_USE;
enum rc req_person_add(const struct request *q, struct error *err) MUST_USE;
enum rc req_person_list(const struct request *q, struct error *err) MUST_USE;
enum rc req_person_role(const struct request *q, struct error *err) MUST_USE;
enum rc req_person_disable(const struct request *q, struct error *err) MUST_USE;
enum rc req_person_enable(const struct request *q, struct error *err) MUST_USE;
enum rc req_person_passphrase(const struct request *q, struct error *err) MUST_USE;
enum rc req_person_reset(const struct request *q, struct error *err) MUST_USE;
enum rc req_key_rotate(const struct request *q, struct error *err) MUST_USE;
enum rc req_audit_anchor(const struct request *q, struct error *err) MUST_USE;
enum rc req_audit_export_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_audit_export(const struct request *q, struct error *err) MUST_USE;
enum rc req_verify_export(const struct request *q, struct error *err) MUST_USE;
enum rc req_public_keys(const struct request *q, struct error *err) MUST_USE;
enum rc req_purge(const struct request *q, struct error *err) MUST_USE;
enum rc req_write_off_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_write_off(const struct request *q, struct error *err) MUST_USE;
enum rc req_erase_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_erase(const struct request *q, struct error *err) MUST_USE;

#endif
