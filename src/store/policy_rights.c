/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy_rights.c: what a recording may be opened for and by whom, and which acts ask for more than one person or
 * one word, from a policy's YAML.
 *
 *   purposes:
 *     - complaint                                               a controller, a manager, staff
 *     - { purpose: training, roles: [ controller, manager ] }
 *   export: { plain: refuse }                                   or allow
 *   two-persons: [ hold-release, erase, disclosure ]
 *   purge: { max-share: 20 }                                    percent
 *
 * Any thread; keeps nothing.
 */
#include "store/policy_parts.h"

#include <string.h>

/* Who may state a purpose that the file gives to nobody in particular. */
#define ENTITLED (ROLE_CONTROLLER | ROLE_MANAGER | ROLE_STAFF)

/* The closed list; each profile allows its own subset. */
const char *const policy_purpose_names[PURPOSES] = {
	"complaint",           "quality-sample",    "safety-threat",
	"crime-prevention",    "legal-compliance",  "training",
	"abusive-calls",       "protect-interests", "establish-facts",
	"process-improvement", "subject-access",
};

/* In the order of the bits of enum policy_two. */
const char *const policy_two_names[POLICY_TWOS] = { "hold-release", "erase", "disclosure" };

/* Those who may hear anything at all; in the order of the bits of enum role. */
const char *const policy_role_names[POLICY_ROLES] = { "controller", "manager", "staff" };

int policy_purpose(const char *name)
{
	for (int i = 0; i < PURPOSES; i++) {
		if (strcmp(policy_purpose_names[i], name) == 0)
			return i;
	}
	return -1;
}

void policy_rights_default(struct policy *p)
{
	memset(p->purpose_roles, ENTITLED, sizeof p->purpose_roles);
	p->max_share = POLICY_SHARE;
}

/* ---- purposes -------------------------------------------------------------------------------- */

struct purpose {
	unsigned number;
	uint8_t roles;
};

static enum rc read_purpose_name(struct policy_reading *r, yaml_node_t *n, void *into)
{
	const char *name = policy_word(n, 32);
	int purpose = name ? policy_purpose(name) : -1;
	if (purpose < 0)
		return policy_wrong_choice(r, n, "purpose", policy_purpose_names, PURPOSES);
	if (r->policy->purposes & 1u << purpose)
		return policy_wrong(r, n, "this purpose stands here twice");
	((struct purpose *)into)->number = (unsigned)purpose;
	return RC_OK;
}

static enum rc read_role(struct policy_reading *r, yaml_node_t *n, void *into)
{
	uint8_t chosen = 0;
	enum rc rc = policy_choice(r, n, policy_role_names, POLICY_ROLES, &chosen);
	((struct purpose *)into)->roles |= (uint8_t)(1u << chosen);
	return rc;
}

static enum rc read_roles(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct purpose *p = into;
	p->roles = 0;
	enum rc rc = policy_list(r, n, "a list of roles is wanted here", read_role, into);
	return rc == RC_OK && !p->roles ? policy_wrong(r, n, "at least one role is wanted here")
					: rc;
}

static const struct policy_key purpose_keys[] = {
	{ "purpose", read_purpose_name, true },
	{ "roles", read_roles, false },
};

/* A word, or a mapping that says who. */
static enum rc read_purpose(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy *p = into;
	struct purpose one = { PURPOSES, ENTITLED };
	enum rc rc = n->type == YAML_MAPPING_NODE ? policy_mapping(r, n, purpose_keys, 2, &one)
						  : read_purpose_name(r, n, &one);
	if (rc != RC_OK)
		return rc;
	ASSERT(one.number < PURPOSES); /* the name is a required key */
	p->purposes |= 1u << one.number;
	p->purpose_roles[one.number] = one.roles;
	return RC_OK;
}

enum rc policy_read_purposes(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return policy_list(r, n, "a list of purposes is wanted here", read_purpose, r->policy);
}

/* ---- acts ------------------------------------------------------------------------------------ */

static enum rc read_plain(struct policy_reading *r, yaml_node_t *n, void *into)
{
	static const char *const choices[] = { "refuse", "allow" };
	uint8_t chosen = 0;
	enum rc rc = policy_choice(r, n, choices, 2, &chosen);
	((struct policy *)into)->plain_export = chosen == 1;
	return rc;
}

static const struct policy_key export_keys[] = {
	{ "plain", read_plain, true },
};

enum rc policy_read_export(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return policy_mapping(r, n, export_keys, 1, r->policy);
}

static enum rc read_two(struct policy_reading *r, yaml_node_t *n, void *into)
{
	uint8_t chosen = 0;
	enum rc rc = policy_choice(r, n, policy_two_names, POLICY_TWOS, &chosen);
	((struct policy *)into)->two_persons |= 1u << chosen;
	return rc;
}

enum rc policy_read_two_persons(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return policy_list(r, n, "a list of acts is wanted here", read_two, r->policy);
}

static enum rc read_max_share(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_count(r, n, 1, 100, &((struct policy *)into)->max_share);
}

static const struct policy_key purge_keys[] = {
	{ "max-share", read_max_share, true },
};

enum rc policy_read_purge(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return policy_mapping(r, n, purge_keys, 1, r->policy);
}
