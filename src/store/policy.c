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
 * Each mapping is a table of keys; a key that is not in its table is refused with the choices named, so
 * that a slip of the pen never quietly means "not limited".  Any thread; keeps nothing.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yaml.h>

#include "store/store.h"

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

struct reading {
	struct policy *policy;
	yaml_document_t document;
	const char *file;
	struct error *err;
	char wanted_default[32];
	yaml_mark_t default_mark;
};

typedef enum rc (*read_node)(struct reading *r, yaml_node_t *n, void *into);

struct key {
	const char *name;
	read_node read;
	bool required;
};

static enum rc wrong_at(struct reading *r, yaml_mark_t m, const char *what)
{
	return error_set(r->err, RC_USAGE, "%s:%zu:%zu: %s", r->file, m.line + 1, m.column + 1,
			 what);
}

static enum rc wrong(struct reading *r, const yaml_node_t *n, const char *what)
{
	return wrong_at(r, n->start_mark, what);
}

/* "unknown key "x"; known: a, b" */
static enum rc wrong_choice(struct reading *r, const yaml_node_t *n, const char *kind,
			    const char *const *choices, size_t count)
{
	char text[384];
	size_t at = 0;
	for (size_t i = 0; i < count && at < sizeof text; i++) {
		int w = snprintf(text + at, sizeof text - at, "%s%s", i ? ", " : "", choices[i]);
		at += (size_t)w;
	}
	char line[480];
	snprintf(line, sizeof line, "unknown %s; the choices are: %s", kind, text);
	return wrong(r, n, line);
}

/* Its text when it is a plain word of a-z, 0-9 and '-' that fits; else NULL. */
static const char *word(const yaml_node_t *n, size_t room)
{
	if (n->type != YAML_SCALAR_NODE)
		return NULL;
	const char *s = (const char *)n->data.scalar.value;
	size_t len = n->data.scalar.length;
	if (!len || len >= room || strlen(s) != len)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '-')
			return NULL;
	}
	return s;
}

static const struct key *find_key(const struct key *keys, size_t count, const char *name)
{
	for (size_t i = 0; name && i < count; i++) {
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

/* Read a mapping by its table of keys (at most 8). */
static enum rc read_mapping(struct reading *r, yaml_node_t *n, const struct key *keys, size_t count,
			    void *into)
{
	const char *names[8];
	bool seen[8] = { false };
	ASSERT(count <= 8);
	for (size_t i = 0; i < count; i++)
		names[i] = keys[i].name;
	if (n->type != YAML_MAPPING_NODE)
		return wrong(r, n, "a mapping (key: value) is wanted here");
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		yaml_node_t *key = yaml_document_get_node(&r->document, p->key);
		yaml_node_t *value = yaml_document_get_node(&r->document, p->value);
		const struct key *k = find_key(keys, count, word(key, 32));
		if (!k)
			return wrong_choice(r, key, "key", names, count);
		if (seen[k - keys])
			return wrong(r, key, "this key stands here twice");
		seen[k - keys] = true;
		enum rc rc = k->read(r, value, into);
		if (rc != RC_OK)
			return rc;
	}
	for (size_t i = 0; i < count; i++) {
		char text[64];
		snprintf(text, sizeof text, "the key \"%s\" is missing", keys[i].name);
		if (keys[i].required && !seen[i])
			return wrong(r, n, text);
	}
	return RC_OK;
}

static enum rc read_number(struct reading *r, const yaml_node_t *n, uint32_t max, uint32_t *out)
{
	const char *s = word(n, 12);
	char *end = NULL;
	unsigned long v = s ? strtoul(s, &end, 10) : 0;
	char text[64];
	snprintf(text, sizeof text, "a number from 1 to %u is wanted here", max);
	if (!s || !isdigit((unsigned char)s[0]) || *end || v < 1 || v > max)
		return wrong(r, n, text);
	*out = (uint32_t)v;
	return RC_OK;
}

/* ---- retention ------------------------------------------------------------------------------ */

static enum rc read_days(struct reading *r, yaml_node_t *n, void *class)
{
	return read_number(r, n, POLICY_DAYS, &((struct policy_class *)class)->days);
}

static enum rc read_months(struct reading *r, yaml_node_t *n, void *class)
{
	return read_number(r, n, POLICY_MONTHS, &((struct policy_class *)class)->months);
}

static const struct key class_keys[] = {
	{ "days", read_days, false },
	{ "months", read_months, false },
};

static enum rc read_class(struct reading *r, yaml_node_t *key, yaml_node_t *value)
{
	struct policy *p = r->policy;
	const size_t most = sizeof p->classes / sizeof p->classes[0];
	const char *name = word(key, sizeof p->classes[0].name);
	if (!name)
		return wrong(r, key, "a class name is a word of a-z, 0-9 and '-'");
	if (p->classes_count == most)
		return wrong(r, key, "too many retention classes (at most 16)");
	struct policy_class *c = &p->classes[p->classes_count];
	for (uint32_t i = 0; i < p->classes_count; i++) {
		if (strcmp(p->classes[i].name, name) == 0)
			return wrong(r, key, "this class stands here twice");
	}
	snprintf(c->name, sizeof c->name, "%s", name);
	enum rc rc = read_mapping(r, value, class_keys, 2, c);
	if (rc != RC_OK)
		return rc;
	if (!c->days == !c->months)
		return wrong(r, value, "either days or months is wanted here");
	p->classes_count++;
	return RC_OK;
}

static enum rc read_classes(struct reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	if (n->type != YAML_MAPPING_NODE)
		return wrong(r, n, "a mapping of class names is wanted here");
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		enum rc rc = read_class(r, yaml_document_get_node(&r->document, p->key),
					yaml_document_get_node(&r->document, p->value));
		if (rc != RC_OK)
			return rc;
	}
	if (!r->policy->classes_count)
		return wrong(r, n, "at least one retention class is wanted here");
	return RC_OK;
}

static enum rc read_default(struct reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	const char *name = word(n, sizeof r->wanted_default);
	if (!name)
		return wrong(r, n, "the name of a class is wanted here");
	snprintf(r->wanted_default, sizeof r->wanted_default, "%s", name);
	r->default_mark = n->start_mark;
	return RC_OK;
}

static const struct key retention_keys[] = {
	{ "default", read_default, true },
	{ "classes", read_classes, true },
};

/* `default` may stand before or after `classes`, so it is looked up when both are read. */
static enum rc read_retention(struct reading *r, yaml_node_t *n, void *into)
{
	struct policy *p = r->policy;
	enum rc rc = read_mapping(r, n, retention_keys, 2, into);
	if (rc != RC_OK)
		return rc;
	for (uint32_t i = 0; i < p->classes_count; i++) {
		if (strcmp(p->classes[i].name, r->wanted_default) == 0) {
			p->default_class = i;
			return RC_OK;
		}
	}
	return wrong_at(r, r->default_mark, "the default is not one of the classes");
}

/* ---- the other keys ------------------------------------------------------------------------- */

static enum rc read_purposes(struct reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	if (n->type != YAML_SEQUENCE_NODE)
		return wrong(r, n, "a list of purposes is wanted here");
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
	     i++) {
		yaml_node_t *item = yaml_document_get_node(&r->document, *i);
		const char *name = word(item, 32);
		int purpose = name ? policy_purpose(name) : -1;
		if (purpose < 0)
			return wrong_choice(r, item, "purpose", policy_purpose_names, PURPOSES);
		r->policy->purposes |= 1u << purpose;
	}
	return RC_OK;
}

static enum rc read_plain(struct reading *r, yaml_node_t *n, void *into)
{
	static const char *const choices[] = { "refuse", "allow" };
	(void)into;
	const char *s = word(n, 16);
	if (!s || (strcmp(s, choices[0]) != 0 && strcmp(s, choices[1]) != 0))
		return wrong_choice(r, n, "value", choices, 2);
	r->policy->plain_export = strcmp(s, "allow") == 0;
	return RC_OK;
}

static const struct key export_keys[] = {
	{ "plain", read_plain, true },
};

static enum rc read_export(struct reading *r, yaml_node_t *n, void *into)
{
	return read_mapping(r, n, export_keys, 1, into);
}

static enum rc read_name(struct reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	const char *s = word(n, sizeof r->policy->name);
	if (!s)
		return wrong(r, n, "a policy's name is a word of a-z, 0-9 and '-'");
	snprintf(r->policy->name, sizeof r->policy->name, "%s", s);
	return RC_OK;
}

static const struct key policy_keys[] = {
	{ "policy", read_name, true },
	{ "retention", read_retention, true },
	{ "purposes", read_purposes, true },
	{ "export", read_export, true },
};

/* ---- the file ------------------------------------------------------------------------------- */

/* A parser stands at its fault, or (for nesting and encoding) only says how far it had read. */
static enum rc not_yaml(struct reading *r, const yaml_parser_t *parser)
{
	return wrong_at(r, parser->problem_mark, parser->problem ? parser->problem : "not YAML");
}

/* The file is one document: what stands behind it would be ignored, so it is refused. */
static enum rc read_end(struct reading *r, yaml_parser_t *parser)
{
	yaml_document_t rest;
	if (!yaml_parser_load(parser, &rest))
		return not_yaml(r, parser);
	const yaml_node_t *more = yaml_document_get_root_node(&rest);
	enum rc rc = more ? wrong(r, more, "a second document is not read") : RC_OK;
	yaml_document_delete(&rest);
	return rc;
}

static enum rc read_document(struct reading *r, yaml_parser_t *parser)
{
	const yaml_mark_t start = { 0, 0, 0 };
	if (!yaml_parser_load(parser, &r->document))
		return not_yaml(r, parser);
	yaml_node_t *root = yaml_document_get_root_node(&r->document);
	const size_t count = sizeof policy_keys / sizeof policy_keys[0];
	enum rc rc = root ? read_mapping(r, root, policy_keys, count, NULL)
			  : wrong_at(r, start, "the file is empty");
	yaml_document_delete(&r->document);
	return rc == RC_OK ? read_end(r, parser) : rc;
}

enum rc policy_parse(struct policy *p, const void *text, size_t len, const char *name,
		     struct error *err)
{
	struct reading r = { .policy = p, .file = name, .err = err };
	yaml_parser_t parser;
	memset(p, 0, sizeof *p);
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

const struct policy_class *policy_class_named(const struct policy *p, const char *name)
{
	for (uint32_t i = 0; i < p->classes_count; i++) {
		if (strcmp(p->classes[i].name, name) == 0)
			return &p->classes[i];
	}
	return &p->classes[p->default_class];
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
