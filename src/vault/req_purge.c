/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_purge.c: destroying the recordings whose time is up.
 *
 * A purge destroys what no one can bring back, so it asks first whether it can believe what it sees:
 *
 *   guard                                                          --yes goes past it
 *   the clock is behind the newest audit entry or ingest           a controller's, of a synchronised clock
 *   the clock is far past the last ingest or purge                 yes
 *   the machine says that its clock is not synchronised            yes
 *   more than policy.max_share percent of all would go             yes
 *
 * Each refusal destroys nothing, is an alarm in the log and an entry in the trail.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "vault/backup.h"
#include "vault/purge.h"
#include "vault/timekeeper.h"
#include "vault/traces.h"

#define COMPACT_FROM 10000 /* destroyed at once: then the index gives its space back */

static bool asked(const struct request *q, const char *member)
{
	return json_is_true(json_object_get(q->body, member));
}

static void audit(const struct request *q, struct index_batch *b, const char *outcome,
		  const char *detail)
{
	audit_note(q->v, b,
		   &(struct audit_entry){ .person = q->person.name,
					  .role = people_role_name(q->person.role),
					  .action = "purge",
					  .outcome = outcome,
					  .detail = detail });
}

static int64_t since_ms(int64_t began_ns)
{
	return (clock_mono_ns() - began_ns) / 1000000;
}

/* ---- guards ------------------------------------------------------------------------------------ */

static enum rc guard_share(const struct vault *v, const struct purge_survey *s, struct error *err)
{
	if (s->due * 100 <= s->total * v->policy.max_share)
		return RC_OK;
	return error_set(err, RC_FAILED,
			 "%" PRIu64 " of %" PRIu64
			 " recordings would go, more than the policy's %u percent: say --yes if "
			 "that is right",
			 s->due, s->total, v->policy.max_share);
}

/* A clock that was ahead and is right again is behind until a controller says so, and has the machine's word for it. */
static enum rc guard_behind(const struct request *q, int64_t *forgiven_us, struct error *err)
{
	struct error ignored;
	int64_t before_us;
	*forgiven_us = 0;
	enum rc rc = timekeeper_behind(q->v, &before_us, err);
	if (rc == RC_OK || !asked(q, "yes") || q->person.role != ROLE_CONTROLLER ||
	    timekeeper_unsure(q->v, &ignored) != RC_OK)
		return rc;
	*forgiven_us = before_us;
	return RC_OK;
}

/* *forgiven_us: what the clock is behind and a person says that it may be; 0: it is not. */
static enum rc guards(const struct request *q, const struct purge_survey *s, int64_t *forgiven_us,
		      struct error *err)
{
	enum rc rc = guard_behind(q, forgiven_us, err);
	if (rc != RC_OK || asked(q, "yes") || !s->due)
		return rc;
	rc = timekeeper_ahead(q->v, err);
	if (rc == RC_OK)
		rc = timekeeper_unsure(q->v, err);
	return rc == RC_OK ? guard_share(q->v, s, err) : rc;
}

/* *why is told whoever asked. */
static enum rc refuse(const struct request *q, const struct error *why)
{
	struct error err;
	struct purge_memory m;
	struct index_batch *b = index_batch_new(q->v->index);
	log_error("purge-refused", "what=\"%s\"", why->text);
	purge_memory_get(q->v, &m);
	m.refused_us = vault_now_us(q->v);
	snprintf(m.refused, sizeof m.refused, "%.255s", why->text);
	purge_memory_put(b, &m);
	timekeeper_refused(q->v, b);
	audit(q, b, "refused", why->text);
	if (audit_commit(q->v, b, &err) != RC_OK)
		log_error("audit-write", "what=\"%s\"", err.text);
	return RC_FAILED;
}

/* ---- a dry run --------------------------------------------------------------------------------- */

static json_t *survey_classes(const struct purge_survey *s)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < s->classes_count; i++) {
		const struct purge_class *c = &s->classes[i];
		json_t *o = json_pack("{s:s, s:I, s:I}", "class", c->name, "count",
				      (json_int_t)c->count, "bytes", (json_int_t)c->bytes);
		json_object_set_new(o, "oldest", call_json_time(c->oldest_us));
		json_object_set_new(o, "newest", call_json_time(c->newest_us));
		json_array_append_new(list, o);
	}
	return list;
}

static enum rc dry_run(const struct request *q, struct error *err)
{
	struct purge_survey s;
	struct error why;
	int64_t forgiven_us;
	enum rc rc = purge_survey(q->v, &s, err);
	if (rc != RC_OK)
		return rc;
	bool refused = guards(q, &s, &forgiven_us, &why) != RC_OK;
	json_t *o = json_pack("{s:b, s:I, s:I, s:I, s:I}", "dry_run", true, "due",
			      (json_int_t)s.due, "held", (json_int_t)s.held, "total",
			      (json_int_t)s.total, "bytes", (json_int_t)s.bytes);
	json_object_set_new(o, "until", call_json_time(s.until_us));
	json_object_set_new(o, "by_class", survey_classes(&s));
	json_object_set_new(o, "would_refuse", call_json_text(refused ? why.text : NULL));
	requests_reply(q, o);
	return RC_OK;
}

/* ---- in earnest -------------------------------------------------------------------------------- */

static enum rc destroy_due(const struct request *q, struct purge_result *r, struct error *err)
{
	uint8_t at[24] = { 0 };
	struct uuid *ids = malloc(DISPOSAL_BATCH * sizeof *ids);
	size_t n = 1;
	enum rc rc = RC_OK;
	ASSERT(ids);
	while (n && rc == RC_OK) {
		n = purge_survey_next(q->v, r->survey.until_us, at, ids, DISPOSAL_BATCH);
		rc = index_health(q->v->index, err);
		if (rc == RC_OK && n)
			rc = disposal_destroy(q->v, ids, n, DISPOSAL_EXPIRED, &q->person, &r->sum,
					      err);
		/* Nothing of the vault is held here: others get their turn.  What they put a hold on meanwhile, the
		 * next batch passes over. */
		vault_give_way(q->v);
	}
	free(ids);
	return rc;
}

/* Ids and times lie close together; what is found by its hash lies everywhere, and is worth it only after a large purge. */
static void compact(struct vault *v, const struct purge_result *r)
{
	const struct disposal_sum *s = &r->sum;
	uint8_t from[8], to[8];
	if (s->destroyed < COMPACT_FROM)
		return;
	catalogue_be64(from, s->first_start_us);
	catalogue_be64(to, s->last_start_us + 1);
	index_compact(v->index, INDEX_CALLS, s->low.b, 16, s->high.b, 16);
	index_compact(v->index, INDEX_BY_TIME, from, 8, to, 8);
	catalogue_be64(to, r->survey.until_us + 1);
	index_compact(v->index, INDEX_EXPIRY, NULL, 0, to, 8);
	if (s->destroyed * 10 < r->survey.total)
		return;
	index_compact(v->index, INDEX_BY_PARTY, NULL, 0, NULL, 0);
	index_compact(v->index, INDEX_CONVERSATIONS, NULL, 0, NULL, 0);
}

/* Nothing that was sealed in the slots may stand anywhere any more: here, and in the registered backups within reach. */
static enum rc search(struct vault *v, struct purge_result *r, struct error *err)
{
	int64_t began = clock_mono_ns();
	r->searched = traces_count(r->sum.traces);
	enum rc rc =
		traces_search(r->sum.traces, v->store, &r->traces, r->where, sizeof r->where, err);
	if (rc == RC_OK && !r->traces)
		rc = backup_search(v, r->sum.traces, &r->traces, r->where, sizeof r->where, err);
	r->search_ms = since_ms(began);
	return rc;
}

static enum rc carry_out(const struct request *q, struct purge_result *r, struct error *err)
{
	struct vault *v = q->v;
	int64_t began = clock_mono_ns();
	enum rc rc = destroy_due(q, r, err);
	r->destroy_ms = since_ms(began);
	began = clock_mono_ns();
	if (rc == RC_OK)
		rc = reclaim_run(v, &r->space, err);
	r->reclaim_ms = since_ms(began);
	began = clock_mono_ns();
	if (rc == RC_OK)
		compact(v, r);
	r->compact_ms = since_ms(began);
	if (rc == RC_OK && r->sum.traces)
		rc = search(v, r, err);
	keys_hex(r->head_after, v->head.hash, 32);
	return rc == RC_OK ? purge_report_write(v, r, &q->person, err) : rc;
}

/* What is remembered of it, and the entry that ends it. */
static enum rc conclude(const struct request *q, const struct purge_result *r, struct error *err)
{
	struct index_batch *b = index_batch_new(q->v->index);
	char detail[256];
	const struct purge_memory m = { .last_us = vault_now_us(q->v),
					.destroyed = r->sum.destroyed,
					.held = r->survey.held };
	purge_memory_put(b, &m);
	timekeeper_note(q->v, b, asked(q, "yes"));
	snprintf(detail, sizeof detail,
		 "destroyed=%" PRIu64 " held=%" PRIu64 " failed=%" PRIu64 " traces=%" PRIu64
		 " report-sha256=%s",
		 r->sum.destroyed, r->survey.held, r->sum.failed, r->traces, r->report_hash);
	audit(q, b, r->sum.failed ? "failed" : "done", detail);
	enum rc rc = audit_commit(q->v, b, err);
	return rc == RC_OK ? audit_anchor(q->v, err) : rc;
}

/* That a clock which is behind is right is on record, and remembered, before anything is destroyed by it. */
static enum rc begin(const struct request *q, struct purge_result *r, int64_t forgiven_us,
		     struct error *err)
{
	char detail[256], behind[80] = "";
	struct index_batch *b = index_batch_new(q->v->index);
	if (forgiven_us) {
		snprintf(behind, sizeof behind, "; the clock was behind @%" PRId64 " and is right",
			 forgiven_us / 1000000);
		timekeeper_note(q->v, b, true);
	}
	snprintf(detail, sizeof detail,
		 "due=%" PRIu64 " total=%" PRIu64 " held=%" PRIu64 " until=@%" PRId64 "%s%s",
		 r->survey.due, r->survey.total, r->survey.held, r->survey.until_us / 1000000,
		 asked(q, "yes") ? " yes" : "", behind);
	keys_hex(r->head_before, q->v->head.hash, 32);
	audit(q, b, "started", detail);
	return audit_commit(q->v, b, err);
}

static void reply(const struct request *q, const struct purge_result *r)
{
	json_t *o = purge_report_json(r);
	json_object_set_new(o, "report", call_json_text(r->report));
	json_object_set_new(o, "searched",
			    r->sum.traces ? json_integer((json_int_t)r->searched) : json_null());
	json_object_set_new(o, "traces",
			    r->sum.traces ? json_integer((json_int_t)r->traces) : json_null());
	requests_reply(q, o);
}

static enum rc verdict(const struct purge_result *r, struct error *err)
{
	if (r->sum.failed)
		return error_set(err, RC_FAILED,
				 "%" PRIu64 " recordings could not be destroyed; the first: %.400s",
				 r->sum.failed, r->sum.first.text);
	if (r->traces)
		return error_set(err, RC_DAMAGED,
				 "%" PRIu64 " times a destroyed key was found; the first: %.400s",
				 r->traces, r->where);
	return RC_OK;
}

/* A purge that was begun and could not be ended is on record too, as far as that goes. */
static void note_failure(const struct request *q, const struct error *why)
{
	struct error err;
	struct index_batch *b = index_batch_new(q->v->index);
	log_error("purge-failed", "what=\"%s\"", why->text);
	audit(q, b, "failed", why->text);
	if (audit_commit(q->v, b, &err) != RC_OK)
		log_error("audit-write", "what=\"%s\"", err.text);
}

static enum rc purge(const struct request *q, struct purge_result *r, struct error *err)
{
	int64_t began = clock_mono_ns(), forgiven_us;
	r->began_us = vault_now_us(q->v);
	enum rc rc = disposal_settle(q->v, err);
	if (rc == RC_OK)
		backup_follow_all(q->v); /* those that were out of reach the last time */
	if (rc == RC_OK)
		rc = purge_survey(q->v, &r->survey, err);
	r->survey_ms = since_ms(began);
	if (rc != RC_OK)
		return rc;
	if (guards(q, &r->survey, &forgiven_us, err) != RC_OK)
		return refuse(q, err);
	rc = begin(q, r, forgiven_us, err);
	if (rc != RC_OK)
		return rc;
	rc = carry_out(q, r, err);
	if (rc == RC_OK)
		rc = conclude(q, r, err);
	if (rc != RC_OK) {
		note_failure(q, err);
		return rc;
	}
	reply(q, r);
	return verdict(r, err);
}

enum rc req_purge(const struct request *q, struct error *err)
{
	if (asked(q, "dry_run"))
		return dry_run(q, err);
	struct purge_result *r = calloc(1, sizeof *r);
	ASSERT(r);
	r->sum.traces = asked(q, "verify") ? traces_new() : NULL;
	/* What was put back among the vault's own files is looked for anew. */
	q->v->looked = false;
	enum rc rc = ingest_run(q->v, NULL, err);
	if (rc == RC_OK)
		rc = purge(q, r, err);
	traces_free(r->sum.traces);
	free(r);
	return rc;
}
