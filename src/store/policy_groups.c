/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy_groups.c: numbers under one name, from a policy's YAML.
 *
 *   groups:
 *     sales: [ "2???", "+44207946*" ]
 *     reception: [ "100" ]
 *
 * All groups' patterns stand in one array, each group's beside one another.  Rules may name a group before it is read, so
 * the names are looked up when all is.  Any thread; keeps nothing.
 */
#include <stdio.h>
#include <string.h>

#include "store/policy_parts.h"

const struct policy_group *policy_group_find(const struct policy *p, const char *name)
{
	for (uint32_t i = 0; i < p->groups_count; i++) {
		if (strcmp(p->groups[i].name, name) == 0)
			return &p->groups[i];
	}
	return NULL;
}

bool policy_group_has(const struct policy *p, const struct policy_group *g, const char *number)
{
	for (uint32_t i = 0; i < g->count; i++) {
		if (policy_number_matches(p->members[g->first + i], number))
			return true;
	}
	return false;
}

static enum rc read_member(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy *p = r->policy;
	struct policy_group *g = into;
	if (p->members_count == POLICY_MEMBERS)
		return policy_wrong(r, n, "too many patterns (at most 256 in all groups)");
	enum rc rc = policy_read_pattern(r, n, p->members[p->members_count]);
	if (rc != RC_OK)
		return rc;
	p->members_count++;
	g->count++;
	return RC_OK;
}

static enum rc read_group(struct policy_reading *r, yaml_node_t *key, yaml_node_t *value)
{
	struct policy *p = r->policy;
	const char *name = policy_word(key, sizeof p->groups[0].name);
	if (!name)
		return policy_wrong(r, key, "a group's name is a word of a-z, 0-9 and '-'");
	if (p->groups_count == POLICY_GROUPS)
		return policy_wrong(r, key, "too many groups (at most 32)");
	if (policy_group_find(p, name))
		return policy_wrong(r, key, "this group stands here twice");
	struct policy_group *g = &p->groups[p->groups_count];
	snprintf(g->name, sizeof g->name, "%s", name);
	g->first = p->members_count;
	enum rc rc =
		policy_list(r, value, "a list of number patterns is wanted here", read_member, g);
	if (rc != RC_OK)
		return rc;
	if (!g->count)
		return policy_wrong(r, value, "at least one number pattern is wanted here");
	p->groups_count++;
	return RC_OK;
}

enum rc policy_read_groups(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return policy_named(r, n, "a mapping of group names is wanted here", read_group);
}

enum rc policy_groups_settle(struct policy_reading *r)
{
	struct policy *p = r->policy;
	for (uint32_t i = 0; i < p->nodes_count; i++) {
		const struct policy_name *wanted = &r->node_group[i];
		if (!wanted->name[0])
			continue;
		const struct policy_group *g = policy_group_find(p, wanted->name);
		if (!g)
			return policy_wrong_at(r, wanted->mark, "this is not one of the groups");
		p->nodes[i].which = (uint8_t)(g - p->groups);
	}
	return RC_OK;
}
