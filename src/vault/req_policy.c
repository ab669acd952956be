/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_policy.c: showing the policy, telling what another would make of recordings, and applying it.
 *
 *   text, or STORE/policy.yaml as it was edited -> what it makes of each recording's life
 *     -> shortens any and was not said yes to: nothing -> policies_apply()
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vault/parts.h"
#include "vault/policies.h"

/* ---- show -------------------------------------------------------------------------------------------------- */

static json_t *names_of(uint32_t bits, const char *const *names, unsigned count)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < count; i++) {
		if (bits >> i & 1)
			json_array_append_new(list, json_string(names[i]));
	}
	return list;
}

static json_t *count_or_null(uint32_t n)
{
	return n ? json_integer(n) : json_null();
}

static json_t *retention_json(const struct policy *p)
{
	json_t *classes = json_array();
	for (uint32_t i = 0; i < p->classes_count; i++) {
		const struct policy_class *c = &p->classes[i];
		json_array_append_new(classes, json_pack("{s:s, s:o, s:o, s:b}", "class", c->name,
							 "days", count_or_null(c->days), "months",
							 count_or_null(c->months), "default",
							 i == p->default_class));
	}
	return json_pack("{s:s, s:s, s:o, s:o}", "policy", p->name, "hash", p->hash, "classes",
			 classes, "time_zone", call_json_text(p->zone.name));
}

static json_t *purposes_json(const struct policy *p)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < PURPOSES; i++) {
		if (!(p->purposes >> i & 1))
			continue;
		json_array_append_new(
			list,
			json_pack("{s:s, s:o}", "purpose", policy_purpose_names[i], "roles",
				  names_of(p->purpose_roles[i], policy_role_names, POLICY_ROLES)));
	}
	return list;
}

/* What is recorded: how many lines, rules and numbers, and not which. */
static json_t *record_json(const struct policy *p)
{
	json_t *rules = json_array(), *groups = json_array();
	for (uint32_t i = 0; i < p->rules_count; i++) {
		const struct policy_rule *r = &p->rules[i];
		bool kept = r->action == POLICY_RECORD;
		json_array_append_new(
			rules,
			json_pack("{s:s, s:o}", "do", policy_action_names[r->action], "class",
				  kept ? json_string(p->classes[r->class].name) : json_null()));
	}
	for (uint32_t i = 0; i < p->groups_count; i++)
		json_array_append_new(groups,
				      json_pack("{s:s, s:I}", "group", p->groups[i].name,
						"patterns", (json_int_t)p->groups[i].count));
	return json_pack("{s:s, s:s, s:s, s:b, s:I, s:o, s:o}", "calls",
			 policy_calls_names[p->calls], "dtmf", policy_dtmf_names[p->dtmf],
			 "orphans", policy_orphans_names[p->orphans], "signalling", p->signalling,
			 "never_patterns", (json_int_t)p->nevers_count, "rules", rules, "groups",
			 groups);
}

enum rc req_policy_show(const struct request *q, struct error *err)
{
	const struct policy *p = &q->v->policy, *applied = &q->v->applied;
	bool same = strcmp(p->hash, applied->hash) == 0;
	json_t *o = json_pack("{s:s, s:s, s:b, s:o, s:o}", "policy", p->name, "hash", p->hash,
			      "applied", same, "retention", retention_json(applied),
			      "retention_edited", same ? json_null() : retention_json(p));
	(void)err;
	json_object_set_new(o, "edited", json_boolean(policies_edited(q->v)));
	json_object_set_new(o, "fault", call_json_text(q->v->policy_fault.text));
	json_object_set_new(o, "grace_days", json_integer(p->grace_days));
	json_object_set_new(o, "purposes", purposes_json(p));
	json_object_set_new(o, "two_persons",
			    names_of(p->two_persons, policy_two_names, POLICY_TWOS));
	json_object_set_new(o, "plain_export", json_boolean(p->plain_export));
	json_object_set_new(o, "max_share_percent", json_integer(p->max_share));
	json_object_set_new(o, "record", record_json(p));
	requests_reply(q, o);
	return RC_OK;
}

/* ---- another policy -------------------------------------------------------------------------------------- */

struct another {
	struct policy policy;
	char *text; /* owned */
	size_t len;
	struct policies_effect effect;
};

static void drop(struct another *a)
{
	if (a)
		free(a->text);
	free(a);
}

/* From the request. */
static enum rc read_text(const json_t *j, struct another *a, struct error *err)
{
	a->len = json_string_length(j);
	if (a->len > POLICY_BYTES)
		return error_set(err, RC_USAGE, "text: larger than %u bytes", POLICY_BYTES);
	a->text = malloc(a->len + 1);
	ASSERT(a->text);
	memcpy(a->text, json_string_value(j), a->len);
	return policy_parse(&a->policy, a->text, a->len, "policy", err);
}

/* As it was edited. */
static enum rc read_edited(const struct request *q, struct another *a, struct error *err)
{
	char path[STORE_PATH];
	disk_path(path, q->v->store, "policy.yaml");
	enum rc rc = disk_read(path, POLICY_BYTES, &a->text, &a->len, err);
	if (rc == RC_OK)
		rc = policy_parse(&a->policy, a->text, a->len, path, err);
	return rc == RC_USAGE || rc == RC_NOT_FOUND ? RC_FAILED : rc;
}

static enum rc read_another(const struct request *q, struct another **out, struct error *err)
{
	const json_t *text = json_object_get(q->body, "text");
	struct another *a = calloc(1, sizeof *a);
	ASSERT(a);
	enum rc rc = json_is_string(text) ? read_text(text, a, err) : read_edited(q, a, err);
	if (rc == RC_OK)
		*out = a;
	else
		drop(a);
	return rc;
}

/* A wrong text is a matter of words, whoever sends it. */
enum rc req_policy_words(const struct request *q, struct error *err)
{
	struct another *a = NULL;
	if (!json_is_string(json_object_get(q->body, "text")))
		return RC_OK;
	enum rc rc = read_another(q, &a, err);
	drop(a);
	return rc;
}

static void reply_effect(const struct request *q, const struct another *a, const char *from,
			 bool applied)
{
	const struct policies_effect *e = &a->effect;
	json_t *o = json_pack("{s:s, s:s, s:s, s:b}", "policy", a->policy.name, "from", from, "to",
			      a->policy.hash, "applied", applied);
	json_t *capture = req_status_capture(q->v);
	json_object_set_new(o, "longer", json_integer((json_int_t)e->longer));
	json_object_set_new(o, "shorter", json_integer((json_int_t)e->shorter));
	json_object_set_new(o, "same", json_integer((json_int_t)e->same));
	json_object_set_new(o, "expired", json_integer((json_int_t)e->expired));
	json_object_set_new(o, "held", json_integer((json_int_t)e->held));
	json_object_set_new(o, "unknown_class", json_integer((json_int_t)e->unknown));
	/* One that reads capture files takes no notice of another policy. */
	json_object_set_new(o, "recorder_running",
			    json_boolean(json_is_true(json_object_get(capture, "running")) &&
					 json_is_true(json_object_get(capture, "live"))));
	json_decref(capture);
	requests_reply(q, o);
}

enum rc req_policy_check(const struct request *q, struct error *err)
{
	struct another *a = NULL;
	enum rc rc = read_another(q, &a, err);
	if (rc == RC_OK)
		rc = policies_effect(q->v, &a->policy, &a->effect, err);
	if (rc == RC_OK)
		reply_effect(q, a, q->v->applied.hash, false);
	drop(a);
	return rc;
}

/* What was shown before is what is applied now, and a shorter life was said yes to. */
static enum rc check_consent(const struct request *q, const struct another *a, struct error *err)
{
	const char *shown = requests_text(q, "hash");
	if (shown && strcmp(shown, a->policy.hash) != 0)
		return error_set(err, RC_FAILED,
				 "the policy is not the one that was shown: nothing was changed");
	if (a->effect.shorter && !json_is_true(json_object_get(q->body, "yes")))
		return error_set(
			err, RC_FAILED,
			"this shortens the life of %" PRIu64 " recordings (%" PRIu64
			" of them are over at once): nothing was changed; --yes confirms it",
			a->effect.shorter, a->effect.expired);
	return RC_OK;
}

static enum rc apply(const struct request *q, struct another *a, struct error *err)
{
	char from[65];
	bool dry = json_is_true(json_object_get(q->body, "dry_run"));
	snprintf(from, sizeof from, "%s", q->v->applied.hash);
	enum rc rc = policies_effect(q->v, &a->policy, &a->effect, err);
	if (rc == RC_OK && !dry)
		rc = check_consent(q, a, err);
	if (rc == RC_OK && !dry)
		rc = policies_apply(q->v, &q->person, a->text, a->len, &a->effect, NULL, err);
	if (rc == RC_OK)
		reply_effect(q, a, from, !dry);
	return rc;
}

enum rc req_policy_apply(const struct request *q, struct error *err)
{
	struct another *a = NULL;
	enum rc rc = read_another(q, &a, err);
	if (rc == RC_OK)
		rc = apply(q, a, err);
	drop(a);
	return rc;
}
