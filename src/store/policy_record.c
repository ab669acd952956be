/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy_record.c: who "we" are and what is recorded, from a policy's YAML.
 *
 *   own:
 *     networks: [10.0.0.0/8, "fd00::/8"]
 *     domains: [example.org]
 *     numbers: ["+44207946*", "2???"]
 *   record:
 *     calls: all                      or external, or rules
 *     dtmf: count                     or off, or keep
 *     signalling: off                 or on
 *     orphans: after-start            or off, or on; off where some calls are left out
 *     never: ["+441632960999"]
 *     rules: ...                      policy_rules.c
 *
 * Any thread; keeps nothing.
 */
#include "store/policy_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static enum rc wrong_count(struct policy_reading *r, const yaml_node_t *n, const char *things,
			   unsigned most)
{
	char text[64];
	snprintf(text, sizeof text, "too many %s (at most %u)", things, most);
	return policy_wrong(r, n, text);
}

/* ---- own ------------------------------------------------------------------------------------ */

static enum rc read_network(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy *p = into;
	if (p->networks_count == POLICY_NETWORKS)
		return wrong_count(r, n, "networks", POLICY_NETWORKS);
	return policy_read_network(r, n, &p->networks[p->networks_count++]);
}

static enum rc read_domain(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy *p = into;
	const char *s = policy_scalar(n, sizeof p->domains[0]);
	if (p->domains_count == POLICY_DOMAINS)
		return wrong_count(r, n, "domains", POLICY_DOMAINS);
	if (!s || s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")])
		return policy_wrong(r, n, "a domain name is wanted here");
	char *to = p->domains[p->domains_count++];
	for (size_t i = 0; s[i]; i++)
		to[i] = (char)tolower((unsigned char)s[i]);
	return RC_OK;
}

static enum rc read_own_number(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy *p = into;
	if (p->numbers_count == POLICY_NUMBERS)
		return wrong_count(r, n, "patterns", POLICY_NUMBERS);
	return policy_read_pattern(r, n, p->numbers[p->numbers_count++]);
}

static enum rc read_networks(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_list(r, n, "a list of networks is wanted here", read_network, into);
}

static enum rc read_domains(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_list(r, n, "a list of domains is wanted here", read_domain, into);
}

static enum rc read_own_numbers(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_list(r, n, "a list of number patterns is wanted here", read_own_number, into);
}

static const struct policy_key own_keys[] = {
	{ "networks", read_networks, false },
	{ "domains", read_domains, false },
	{ "numbers", read_own_numbers, false },
};

enum rc policy_read_own(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return policy_mapping(r, n, own_keys, sizeof own_keys / sizeof own_keys[0], r->policy);
}

/* ---- record --------------------------------------------------------------------------------- */

/* In the order of their enums. */
const char *const policy_calls_names[] = { "all", "external", "rules" };
const char *const policy_dtmf_names[] = { "off", "count", "keep" };
const char *const policy_orphans_names[] = { "off", "after-start", "on" };
static const char *const signalling_choices[] = { "off", "on" };

static enum rc read_calls(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_choice(r, n, policy_calls_names, 3, &((struct policy *)into)->calls);
}

static enum rc read_dtmf(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_choice(r, n, policy_dtmf_names, 3, &((struct policy *)into)->dtmf);
}

static enum rc read_signalling(struct policy_reading *r, yaml_node_t *n, void *into)
{
	uint8_t chosen = 0;
	enum rc rc = policy_choice(r, n, signalling_choices, 2, &chosen);
	((struct policy *)into)->signalling = chosen == 1;
	return rc;
}

static enum rc read_orphans(struct policy_reading *r, yaml_node_t *n, void *into)
{
	r->orphans_given = true;
	return policy_choice(r, n, policy_orphans_names, 3, &((struct policy *)into)->orphans);
}

static enum rc read_never(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy *p = into;
	if (p->nevers_count == POLICY_NEVERS)
		return wrong_count(r, n, "patterns", POLICY_NEVERS);
	return policy_read_pattern(r, n, p->nevers[p->nevers_count++]);
}

static enum rc read_nevers(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_list(r, n, "a list of number patterns is wanted here", read_never, into);
}

static const struct policy_key record_keys[] = {
	{ "calls", read_calls, false },           { "dtmf", read_dtmf, false },
	{ "signalling", read_signalling, false }, { "orphans", read_orphans, false },
	{ "never", read_nevers, false },          { "rules", policy_read_rules, false },
};

enum rc policy_read_record(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return policy_mapping(r, n, record_keys, sizeof record_keys / sizeof record_keys[0],
			      r->policy);
}

void policy_record_default(struct policy *p)
{
	p->calls = POLICY_CALLS_ALL;
	p->dtmf = DTMF_COUNT;
	p->orphans = ORPHANS_AFTER_START;
}

/* Is there a call that would not be recorded? */
static bool leaves_out(const struct policy *p)
{
	bool any = p->calls != POLICY_CALLS_ALL || p->nevers_count > 0;
	for (uint32_t i = 0; i < p->rules_count; i++)
		any |= p->rules[i].action != POLICY_RECORD;
	return any;
}

/* Where some calls are not recorded, media whose parties nobody knows is not recorded either, unless the file says so:
 * it may be one of theirs. */
enum rc policy_record_settle(struct policy_reading *r)
{
	struct policy *p = r->policy;
	if (!r->orphans_given && leaves_out(p))
		p->orphans = ORPHANS_OFF;
	for (uint32_t i = 0; i < p->rules_count; i++) {
		const struct policy_name *wanted = &r->rule_class[i];
		const struct policy_class *c = policy_class_find(p, wanted->name);
		if (!c && wanted->name[0])
			return policy_wrong_at(r, wanted->mark,
					       "the class is not one of retention.classes");
		p->rules[i].class = (uint8_t)(c ? (uint32_t)(c - p->classes) : p->default_class);
	}
	return RC_OK;
}
