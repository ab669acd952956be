/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy.c: the policy in force, from its YAML file.
 *
 *   policy: 30-day                     its name
 *   retention:
 *     default: standard                class of every call that no rule names
 *     classes:
 *       standard: { days: 30 }         or { months: 12 }
 *   purposes: [ complaint, training ]  what a recording may be opened for
 *   export: { plain: refuse }          or allow
 *
 *   own: ...                           who "we" are         } optional: policy_record.c
 *   record: ...                        what is recorded     }
 *
 * Each mapping is a table of keys; a key that is not in its table is refused with the choices named, so
 * that a slip of the pen never quietly means "not limited".  Any thread; keeps nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/policy_parts.h"

#define POLICY_BYTES  (64u * 1024)
#define POLICY_DAYS   36500
#define POLICY_MONTHS 1200

/* The closed list; each profile allows its own subset. */
const char *const policy_purpose_names[PURPOSES] = {
	"complaint",           "quality-sample",    "safety-threat",
	"crime-prevention",    "legal-compliance",  "training",
	"abusive-calls",       "protect-interests", "establish-facts",
	"process-improvement", "subject-access",
};

/* ---- retention ------------------------------------------------------------------------------ */

static enum rc read_days(struct policy_reading *r, yaml_node_t *n, void *class)
{
	return policy_count(r, n, POLICY_DAYS, &((struct policy_class *)class)->days);
}

static enum rc read_months(struct policy_reading *r, yaml_node_t *n, void *class)
{
	return policy_count(r, n, POLICY_MONTHS, &((struct policy_class *)class)->months);
}

static const struct policy_key class_keys[] = {
	{ "days", read_days, false },
	{ "months", read_months, false },
};

static enum rc read_class(struct policy_reading *r, yaml_node_t *key, yaml_node_t *value)
{
	struct policy *p = r->policy;
	const size_t most = sizeof p->classes / sizeof p->classes[0];
	const char *name = policy_word(key, sizeof p->classes[0].name);
	if (!name)
		return policy_wrong(r, key, "a class name is a word of a-z, 0-9 and '-'");
	if (p->classes_count == most)
		return policy_wrong(r, key, "too many retention classes (at most 16)");
	struct policy_class *c = &p->classes[p->classes_count];
	for (uint32_t i = 0; i < p->classes_count; i++) {
		if (strcmp(p->classes[i].name, name) == 0)
			return policy_wrong(r, key, "this class stands here twice");
	}
	snprintf(c->name, sizeof c->name, "%s", name);
	enum rc rc = policy_mapping(r, value, class_keys, 2, c);
	if (rc != RC_OK)
		return rc;
	if (!c->days == !c->months)
		return policy_wrong(r, value, "either days or months is wanted here");
	p->classes_count++;
	return RC_OK;
}

static enum rc read_classes(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	if (n->type != YAML_MAPPING_NODE)
		return policy_wrong(r, n, "a mapping of class names is wanted here");
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		enum rc rc = read_class(r, yaml_document_get_node(&r->document, p->key),
					yaml_document_get_node(&r->document, p->value));
		if (rc != RC_OK)
			return rc;
	}
	if (!r->policy->classes_count)
		return policy_wrong(r, n, "at least one retention class is wanted here");
	return RC_OK;
}

static enum rc read_default(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return policy_class_name(r, n, &r->default_class);
}

static const struct policy_key retention_keys[] = {
	{ "default", read_default, true },
	{ "classes", read_classes, true },
};

/* `default` may stand before or after `classes`, so it is looked up when both are read. */
static enum rc read_retention(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy *p = r->policy;
	enum rc rc = policy_mapping(r, n, retention_keys, 2, into);
	if (rc != RC_OK)
		return rc;
	const struct policy_class *c = policy_class_find(p, r->default_class.name);
	if (!c)
		return policy_wrong_at(r, r->default_class.mark,
				       "the default is not one of the classes");
	p->default_class = (uint32_t)(c - p->classes);
	return RC_OK;
}

/* ---- the other keys ------------------------------------------------------------------------- */

static enum rc read_purpose(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	const char *name = policy_word(n, 32);
	int purpose = name ? policy_purpose(name) : -1;
	if (purpose < 0)
		return policy_wrong_choice(r, n, "purpose", policy_purpose_names, PURPOSES);
	r->policy->purposes |= 1u << purpose;
	return RC_OK;
}

static enum rc read_purposes(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_list(r, n, "a list of purposes is wanted here", read_purpose, into);
}

static enum rc read_plain(struct policy_reading *r, yaml_node_t *n, void *into)
{
	static const char *const choices[] = { "refuse", "allow" };
	uint8_t chosen = 0;
	(void)into;
	enum rc rc = policy_choice(r, n, choices, 2, &chosen);
	r->policy->plain_export = chosen == 1;
	return rc;
}

static const struct policy_key export_keys[] = {
	{ "plain", read_plain, true },
};

static enum rc read_export(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_mapping(r, n, export_keys, 1, into);
}

static enum rc read_name(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	const char *s = policy_word(n, sizeof r->policy->name);
	if (!s)
		return policy_wrong(r, n, "a policy's name is a word of a-z, 0-9 and '-'");
	snprintf(r->policy->name, sizeof r->policy->name, "%s", s);
	return RC_OK;
}

static const struct policy_key policy_keys[] = {
	{ "policy", read_name, true },       { "retention", read_retention, true },
	{ "purposes", read_purposes, true }, { "export", read_export, true },
	{ "own", policy_read_own, false },   { "record", policy_read_record, false },
};

/* ---- the file ------------------------------------------------------------------------------- */

/* A parser stands at its fault, or (for nesting and encoding) only says how far it had read. */
static enum rc not_yaml(struct policy_reading *r, const yaml_parser_t *parser)
{
	return policy_wrong_at(r, parser->problem_mark,
			       parser->problem ? parser->problem : "not YAML");
}

/* The file is one document: what stands behind it would be ignored, so it is refused. */
static enum rc read_end(struct policy_reading *r, yaml_parser_t *parser)
{
	yaml_document_t rest;
	if (!yaml_parser_load(parser, &rest))
		return not_yaml(r, parser);
	const yaml_node_t *more = yaml_document_get_root_node(&rest);
	enum rc rc = more ? policy_wrong(r, more, "a second document is not read") : RC_OK;
	yaml_document_delete(&rest);
	return rc;
}

static enum rc read_document(struct policy_reading *r, yaml_parser_t *parser)
{
	const yaml_mark_t start = { 0, 0, 0 };
	if (!yaml_parser_load(parser, &r->document))
		return not_yaml(r, parser);
	yaml_node_t *root = yaml_document_get_root_node(&r->document);
	const size_t count = sizeof policy_keys / sizeof policy_keys[0];
	enum rc rc = root ? policy_mapping(r, root, policy_keys, count, NULL)
			  : policy_wrong_at(r, start, "the file is empty");
	yaml_document_delete(&r->document);
	if (rc == RC_OK)
		rc = policy_record_settle(r);
	return rc == RC_OK ? read_end(r, parser) : rc;
}

enum rc policy_parse(struct policy *p, const void *text, size_t len, const char *name,
		     struct error *err)
{
	struct policy_reading r = { .policy = p, .file = name, .err = err };
	yaml_parser_t parser;
	memset(p, 0, sizeof *p);
	policy_record_default(p);
	memset(p->purpose_roles, ROLE_CONTROLLER | ROLE_MANAGER | ROLE_STAFF,
	       sizeof p->purpose_roles);
	p->max_share = POLICY_SHARE;
	ASSERT(yaml_parser_initialize(&parser));
	yaml_parser_set_input_string(&parser, text, len);
	enum rc rc = read_document(&r, &parser);
	yaml_parser_delete(&parser);
	if (rc != RC_OK)
		return rc;

	uint8_t digest[32];
	digest_sha256(digest, text, len);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(p->hash + 2 * i, 3, "%02x", digest[i]);
	return RC_OK;
}

enum rc policy_read(struct policy *p, const char *path, struct error *err)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return error_errno(err, RC_FAILED, errno, "policy %s", path);
	char *text = malloc(POLICY_BYTES + 1);
	ASSERT(text);
	size_t len = fread(text, 1, POLICY_BYTES + 1, f);
	enum rc rc;
	if (ferror(f))
		rc = error_errno(err, RC_FAILED, errno, "policy %s", path);
	else if (len > POLICY_BYTES)
		rc = error_set(err, RC_USAGE, "%s:1:1: larger than %u bytes", path, POLICY_BYTES);
	else
		rc = policy_parse(p, text, len, path, err);
	free(text);
	(void)fclose(f);
	return rc;
}

int policy_purpose(const char *name)
{
	for (int i = 0; i < PURPOSES; i++) {
		if (strcmp(policy_purpose_names[i], name) == 0)
			return i;
	}
	return -1;
}

const struct policy_class *policy_class_find(const struct policy *p, const char *name)
{
	for (uint32_t i = 0; i < p->classes_count; i++) {
		if (strcmp(p->classes[i].name, name) == 0)
			return &p->classes[i];
	}
	return NULL;
}

const struct policy_class *policy_class_named(const struct policy *p, const char *name)
{
	const struct policy_class *c = policy_class_find(p, name);
	return c ? c : &p->classes[p->default_class];
}

/* ---- expiry --------------------------------------------------------------------------------- */

static int days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month] + (month == 1 && leap ? 1 : 0);
}

int64_t policy_expiry_us(const struct policy_class *c, int64_t end_us)
{
	if (c->days)
		return end_us + (int64_t)c->days * 86400 * 1000000;

	int64_t below = end_us % 1000000;
	time_t t = (time_t)(end_us / 1000000);
	struct tm local;
	if (!localtime_r(&t, &local))
		return end_us + (int64_t)c->months * 31 * 86400 * 1000000;
	int months = local.tm_mon + (int)c->months;
	local.tm_year += months / 12;
	local.tm_mon = months % 12;
	int last = days_in_month(local.tm_year + 1900, local.tm_mon);
	if (local.tm_mday > last)
		local.tm_mday = last;
	local.tm_isdst = -1;
	return (int64_t)mktime(&local) * 1000000 + below;
}
