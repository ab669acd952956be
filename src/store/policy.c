/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy.c: the policy in force, from its YAML file.
 *
 *   policy: 30-day                     its name
 *   retention: ...                     how long                       policy_retention.c
 *   purposes: [ complaint, training ]  what for, and who may          policy_rights.c
 *   export: { plain: refuse }          or allow                            "
 *   two-persons: [ erase ]             } optional                          "
 *   purge: { max-share: 20 }           }                                   "
 *   groups: ...                        } numbers under one name       policy_groups.c
 *   own: ...                           } who "we" are                 policy_record.c
 *   record: ...                        } what is recorded             policy_record.c, policy_rules.c
 *
 * Each mapping is a table of keys; a key that is not in its table is refused with the choices named, so
 * that a slip of the pen never quietly means "not limited".  Any thread; keeps nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/policy_parts.h"

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
	{ "policy", read_name, true },
	{ "retention", policy_read_retention, true },
	{ "purposes", policy_read_purposes, true },
	{ "export", policy_read_export, true },
	{ "two-persons", policy_read_two_persons, false },
	{ "purge", policy_read_purge, false },
	{ "groups", policy_read_groups, false },
	{ "own", policy_read_own, false },
	{ "record", policy_read_record, false },
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
	if (rc == RC_OK)
		rc = policy_groups_settle(r);
	return rc == RC_OK ? read_end(r, parser) : rc;
}

enum rc policy_parse(struct policy *p, const void *text, size_t len, const char *name,
		     struct error *err)
{
	struct policy_reading r = { .policy = p, .file = name, .err = err };
	yaml_parser_t parser;
	memset(p, 0, sizeof *p);
	policy_record_default(p);
	policy_rights_default(p);
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
