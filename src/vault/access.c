/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* access.c: see access.h.  On the vault's thread. */
#include "vault/access.h"

#include <string.h>

#include "vault/disposal.h"
#include "vault/grants.h"

/* Either party, as the policy's patterns know numbers. */
struct parties {
	char from[POLICY_NUMBER], to[POLICY_NUMBER];
};

static bool matches(const struct parties *p, const char *pattern)
{
	return policy_number_matches(pattern, p->from) || policy_number_matches(pattern, p->to);
}

/* The group as the policy in force has it; one that it does not have is nobody. */
static bool of_group(const struct policy *policy, const char *name, const struct parties *p)
{
	const struct policy_group *group = policy_group_find(policy, name);
	return group &&
	       (policy_group_has(policy, group, p->from) || policy_group_has(policy, group, p->to));
}

static bool in_scope(const struct request *q, struct call *c)
{
	char value[POLICY_PATTERN], kind;
	struct parties p;
	const char *at = q->person.scope;
	bool sees = false;
	catalogue_open(q->v, c);
	if (!c->opened)
		return false;
	(void)policy_number(c->r.from, p.from);
	(void)policy_number(c->r.to, p.to);
	while (!sees && (kind = people_scope_next(&at, value)))
		sees = kind == 'g' ? of_group(&q->v->policy, value, &p) : matches(&p, value);
	forget_bytes(&p, sizeof p);
	return sees;
}

bool access_sees(const struct request *q, struct call *c)
{
	if (q->person.role == ROLE_NONE || q->person.disabled)
		return false;
	if (q->person.role == ROLE_STAFF)
		return grants_allows(q->v, q->person.name, &c->r.id, vault_now_us(q->v));
	return !q->person.scope[0] || in_scope(q, c);
}

enum rc access_call(const struct request *q, const char *id, struct call **out, struct error *err)
{
	struct uuid found;
	struct call *c = NULL;
	if (!id)
		return error_set(err, RC_USAGE, "which recording? An id is wanted");
	/* Who knows of some recordings only is not told of what was, either. */
	bool knows_all = q->person.role != ROLE_STAFF && !q->person.scope[0];
	enum rc rc = catalogue_find(q->v, id, &found, err);
	if (rc == RC_USAGE && knows_all && disposal_named(q->v, id, err))
		rc = RC_FAILED;
	if (rc == RC_OK)
		rc = catalogue_get(q->v, &found, &c, err);
	if (rc == RC_OK && !access_sees(q, c))
		rc = error_set(err, RC_USAGE, "no such recording");
	if (rc == RC_OK)
		*out = c;
	else
		call_row_free(c);
	return rc;
}
