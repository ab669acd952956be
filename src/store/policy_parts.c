/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy_parts.c: see policy_parts.h.  Any thread; keeps nothing. */
#include "store/policy_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum rc policy_wrong_at(struct policy_reading *r, yaml_mark_t m, const char *what)
{
	return error_set(r->err, RC_USAGE, "%s:%zu:%zu: %s", r->file, m.line + 1, m.column + 1,
			 what);
}

enum rc policy_wrong(struct policy_reading *r, const yaml_node_t *n, const char *what)
{
	return policy_wrong_at(r, n->start_mark, what);
}

enum rc policy_wrong_choice(struct policy_reading *r, const yaml_node_t *n, const char *kind,
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
	return policy_wrong(r, n, line);
}

const char *policy_scalar(const yaml_node_t *n, size_t room)
{
	if (n->type != YAML_SCALAR_NODE)
		return NULL;
	const char *s = (const char *)n->data.scalar.value;
	size_t len = n->data.scalar.length;
	return len && len < room && strlen(s) == len ? s : NULL;
}

const char *policy_word(const yaml_node_t *n, size_t room)
{
	const char *s = policy_scalar(n, room);
	for (const char *p = s; p && *p; p++) {
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-')
			return NULL;
	}
	return s;
}

enum rc policy_choice(struct policy_reading *r, const yaml_node_t *n, const char *const *choices,
		      size_t count, uint8_t *out)
{
	const char *s = policy_word(n, 32);
	for (size_t i = 0; s && i < count; i++) {
		if (strcmp(s, choices[i]) == 0) {
			*out = (uint8_t)i;
			return RC_OK;
		}
	}
	return policy_wrong_choice(r, n, "value", choices, count);
}

enum rc policy_count(struct policy_reading *r, const yaml_node_t *n, uint32_t least, uint32_t most,
		     uint32_t *out)
{
	const char *s = policy_word(n, 12);
	char *end = NULL;
	unsigned long v = s ? strtoul(s, &end, 10) : 0;
	char text[64];
	snprintf(text, sizeof text, "a number from %u to %u is wanted here", least, most);
	if (!s || !isdigit((unsigned char)s[0]) || *end || v < least || v > most)
		return policy_wrong(r, n, text);
	*out = (uint32_t)v;
	return RC_OK;
}

static const struct policy_key *find_key(const struct policy_key *keys, size_t count,
					 const char *name)
{
	for (size_t i = 0; name && i < count; i++) {
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

enum rc policy_mapping(struct policy_reading *r, yaml_node_t *n, const struct policy_key *keys,
		       size_t count, void *into)
{
	const char *names[POLICY_KEYS];
	bool seen[POLICY_KEYS] = { false };
	ASSERT(count <= POLICY_KEYS);
	for (size_t i = 0; i < count; i++)
		names[i] = keys[i].name;
	if (n->type != YAML_MAPPING_NODE)
		return policy_wrong(r, n, "a mapping (key: value) is wanted here");
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		yaml_node_t *key = yaml_document_get_node(&r->document, p->key);
		yaml_node_t *value = yaml_document_get_node(&r->document, p->value);
		const struct policy_key *k = find_key(keys, count, policy_word(key, 32));
		if (!k)
			return policy_wrong_choice(r, key, "key", names, count);
		if (seen[k - keys])
			return policy_wrong(r, key, "this key stands here twice");
		seen[k - keys] = true;
		enum rc rc = k->read(r, value, into);
		if (rc != RC_OK)
			return rc;
	}
	for (size_t i = 0; i < count; i++) {
		char text[64];
		snprintf(text, sizeof text, "the key \"%s\" is missing", keys[i].name);
		if (keys[i].required && !seen[i])
			return policy_wrong(r, n, text);
	}
	return RC_OK;
}

enum rc policy_list(struct policy_reading *r, yaml_node_t *n, const char *wanted,
		    policy_reader read, void *into)
{
	if (n->type != YAML_SEQUENCE_NODE)
		return policy_wrong(r, n, wanted);
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
	     i++) {
		enum rc rc = read(r, yaml_document_get_node(&r->document, *i), into);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

enum rc policy_named(struct policy_reading *r, yaml_node_t *n, const char *wanted,
		     enum rc (*read)(struct policy_reading *r, yaml_node_t *key,
				     yaml_node_t *value))
{
	if (n->type != YAML_MAPPING_NODE)
		return policy_wrong(r, n, wanted);
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		enum rc rc = read(r, yaml_document_get_node(&r->document, p->key),
				  yaml_document_get_node(&r->document, p->value));
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

enum rc policy_name_of(struct policy_reading *r, const yaml_node_t *n, const char *wanted,
		       struct policy_name *out)
{
	const char *name = policy_word(n, sizeof out->name);
	if (!name)
		return policy_wrong(r, n, wanted);
	snprintf(out->name, sizeof out->name, "%s", name);
	out->mark = n->start_mark;
	return RC_OK;
}
