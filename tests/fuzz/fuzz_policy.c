/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fuzz_policy.c: any bytes as a policy file: refused with its place, or a policy that holds together. */
#include <string.h>

#include "store/store.h"

#define HOUR_US INT64_C(1772532000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_classes(const struct policy *p)
{
	ASSERT(p->classes_count && p->default_class < p->classes_count && p->name[0]);
	for (uint32_t i = 0; i < p->classes_count; i++) {
		const struct policy_class *c = &p->classes[i];
		ASSERT(!c->days != !c->months);
		int64_t until_us = policy_expiry_us(p, c->name, HOUR_US);
		ASSERT(policy_class_find(p, c->name) == c);
		ASSERT(until_us > HOUR_US && until_us <= policy_expiry_us(p, "", HOUR_US));
	}
}

/* Each purpose that is allowed may be stated by somebody; groups lie one behind another. */
static void check_rights(const struct policy *p)
{
	const unsigned all = ROLE_CONTROLLER | ROLE_MANAGER | ROLE_STAFF;
	uint32_t end = 0;
	for (int i = 0; i < PURPOSES; i++)
		ASSERT(p->purpose_roles[i] && !(p->purpose_roles[i] & ~all));
	ASSERT(!(p->purposes >> PURPOSES) && !(p->two_persons >> POLICY_TWOS));
	ASSERT(p->max_share >= 1 && p->max_share <= 100);
	for (uint32_t i = 0; i < p->groups_count; i++) {
		const struct policy_group *g = &p->groups[i];
		ASSERT(g->count && g->first == end && policy_group_find(p, g->name) == g);
		end += g->count;
	}
	ASSERT(end == p->members_count);
}

/* Conditions lie within the one they stand in, and each that has parts has at least one. */
static void check_node(const struct policy *p, uint32_t at, unsigned depth)
{
	const struct policy_node *n = &p->nodes[at];
	bool leaf = n->test > POLICY_TEST_NOT;
	ASSERT(n->test <= POLICY_TEST_HEADER && n->end > at && n->end <= p->nodes_count);
	ASSERT(depth <= 3 * POLICY_DEPTH + 1);
	ASSERT(!leaf || n->end == at + 1);
	ASSERT(n->test != POLICY_TEST_NOT || p->nodes[at + 1].end == n->end);
	if (n->test >= POLICY_TEST_GROUP && n->test <= POLICY_TEST_TO_GROUP)
		ASSERT(n->which < p->groups_count);
	ASSERT(n->test != POLICY_TEST_HEADER || n->which < POLICY_HEADERS);
	ASSERT(memchr(n->pattern, '\0', sizeof n->pattern) && n->network.bits <= 128);
	for (uint32_t i = at + 1; !leaf && i < n->end; i = p->nodes[i].end) {
		check_node(p, i, depth + 1);
		ASSERT(p->nodes[i].end <= n->end);
	}
}

static void check_patterns(const struct policy *p, const char (*patterns)[POLICY_PATTERN],
			   uint32_t n)
{
	char number[POLICY_NUMBER];
	for (uint32_t i = 0; i < n; i++) {
		ASSERT(patterns[i][0] && memchr(patterns[i], '\0', POLICY_PATTERN));
		(void)policy_number(p->name, number);
		(void)policy_number_matches(patterns[i], number);
		(void)policy_number(patterns[i], number);
		/* without wildcards it matches itself */
		if (strcmp(number, patterns[i]) == 0)
			ASSERT(policy_number_matches(patterns[i], number));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy p;
	struct error err;
	enum rc rc = policy_parse(&p, data, size, "p", &err);
	if (rc != RC_OK) {
		ASSERT(rc == RC_USAGE && strncmp(err.text, "p:", 2) == 0);
		return 0;
	}
	check_classes(&p);
	check_rights(&p);
	check_patterns(&p, p.numbers, p.numbers_count);
	check_patterns(&p, p.nevers, p.nevers_count);
	check_patterns(&p, p.members, p.members_count);
	for (uint32_t i = 0; i < p.rules_count; i++) {
		ASSERT(p.rules[i].when < p.nodes_count && p.rules[i].class < p.classes_count);
		check_node(&p, p.rules[i].when, 1);
	}
	return 0;
}
