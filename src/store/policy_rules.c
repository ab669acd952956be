/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy_rules.c: the rules of a policy: conditions become an array of nodes.
 *
 *   rules:
 *     - { when: { from-address: 10.9.0.0/16, not: { number: "2*" } }, do: skip }
 *
 *   node  0 all          end 4      Several keys of one mapping must all be true; of a list that
 *         1 from-address end 2      stands where one value is wanted, any.  A node's parts follow it,
 *         2 not          end 4      up to its `end`: no pointers, and a copy of the policy is whole.
 *         3 number       end 4
 *
 * Any thread; keeps nothing.
 */
#include "store/policy_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const policy_header_names[POLICY_HEADERS] = {
	"user-agent", "p-asserted-identity", "diversion", "from-domain", "to-domain",
};

const char *const policy_action_names[] = { "record", "skip", "never" };

/* ---- values --------------------------------------------------------------------------------- */

static bool bits_beyond(const struct policy_network *net)
{
	for (unsigned i = net->bits; i < 128; i++)
		if (net->addr[i / 8] >> (7 - i % 8) & 1)
			return true;
	return false;
}

enum rc policy_read_network(struct policy_reading *r, const yaml_node_t *n,
			    struct policy_network *out)
{
	static const char what[] = "a network is wanted here, as 192.0.2.0/24 or 2001:db8::/32";
	const char *s = policy_scalar(n, 64);
	struct endpoint e;
	if (!s)
		return policy_wrong(r, n, what);
	const char *slash = strchr(s, '/');
	if (!endpoint_parse_addr(&e, s, slash ? (size_t)(slash - s) : strlen(s), 0))
		return policy_wrong(r, n, what);
	unsigned before = endpoint_is_v4(&e) ? 96 : 0;
	unsigned long bits = 128 - before;
	if (slash) {
		char *end;
		bits = strtoul(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end || bits > 128 - before)
			return policy_wrong(r, n, what);
	}
	memcpy(out->addr, e.addr, sizeof out->addr);
	out->bits = (uint8_t)(before + bits);
	if (bits_beyond(out))
		return policy_wrong(r, n, "this network has address bits beyond its prefix");
	return RC_OK;
}

enum rc policy_read_pattern(struct policy_reading *r, const yaml_node_t *n,
			    char out[POLICY_PATTERN])
{
	const char *s = policy_scalar(n, 128);
	if (!s || !policy_pattern(s, out))
		return policy_wrong(
			r, n, "a number pattern is wanted here (digits, * and ?; at most 47)");
	return RC_OK;
}

/* ---- nodes ---------------------------------------------------------------------------------- */

/* Begin a node; it is whole when close_node() has been called. */
static enum rc open_node(struct policy_reading *r, const yaml_node_t *n, enum policy_test test,
			 uint32_t *at)
{
	struct policy *p = r->policy;
	if (p->nodes_count == POLICY_NODES)
		return policy_wrong(r, n, "too many conditions (at most 256 in all rules)");
	*at = p->nodes_count++;
	p->nodes[*at].test = (uint8_t)test;
	return RC_OK;
}

static void close_node(struct policy_reading *r, uint32_t at)
{
	r->policy->nodes[at].end = (uint16_t)r->policy->nodes_count;
}

/* A condition's value, once its node is there. */
typedef enum rc (*read_value)(struct policy_reading *r, yaml_node_t *n, struct policy_node *node);

static enum rc value_network(struct policy_reading *r, yaml_node_t *n, struct policy_node *node)
{
	return policy_read_network(r, n, &node->network);
}

static enum rc value_number(struct policy_reading *r, yaml_node_t *n, struct policy_node *node)
{
	return policy_read_pattern(r, n, node->pattern);
}

static enum rc value_direction(struct policy_reading *r, yaml_node_t *n, struct policy_node *node)
{
	static const char *const choices[] = { "unknown", "inbound", "outbound", "internal" };
	return policy_choice(r, n, choices, 4, &node->which);
}

static enum rc read_header_name(struct policy_reading *r, yaml_node_t *n, void *into)
{
	const char *s = policy_word(n, 32);
	struct policy_node *node = into;
	for (unsigned i = 0; s && i < POLICY_HEADERS; i++) {
		if (strcmp(s, policy_header_names[i]) == 0) {
			node->which = (uint8_t)i;
			return RC_OK;
		}
	}
	return policy_wrong_choice(r, n, "header", policy_header_names, POLICY_HEADERS);
}

static enum rc read_header_pattern(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy_node *node = into;
	const char *s = policy_scalar(n, sizeof node->pattern);
	if (!s)
		return policy_wrong(r, n, "a pattern is wanted here (at most 47 characters)");
	snprintf(node->pattern, sizeof node->pattern, "%s", s);
	return RC_OK;
}

static enum rc value_header(struct policy_reading *r, yaml_node_t *n, struct policy_node *node)
{
	static const struct policy_key keys[] = {
		{ "name", read_header_name, true },
		{ "matches", read_header_pattern, true },
	};
	return policy_mapping(r, n, keys, 2, node);
}

/* Its place among the groups is known when all is read. */
static enum rc value_group(struct policy_reading *r, yaml_node_t *n, struct policy_node *node)
{
	return policy_name_of(r, n, "the name of a group is wanted here",
			      &r->node_group[node - r->policy->nodes]);
}

static const read_value values[] = {
	[POLICY_TEST_ADDRESS] = value_network,    [POLICY_TEST_FROM_ADDRESS] = value_network,
	[POLICY_TEST_TO_ADDRESS] = value_network, [POLICY_TEST_DIRECTION] = value_direction,
	[POLICY_TEST_NUMBER] = value_number,      [POLICY_TEST_FROM] = value_number,
	[POLICY_TEST_TO] = value_number,          [POLICY_TEST_GROUP] = value_group,
	[POLICY_TEST_FROM_GROUP] = value_group,   [POLICY_TEST_TO_GROUP] = value_group,
	[POLICY_TEST_HEADER] = value_header,
};

static enum rc read_leaf(struct policy_reading *r, yaml_node_t *n, enum policy_test test)
{
	uint32_t at = 0;
	enum rc rc = open_node(r, n, test, &at);
	if (rc == RC_OK)
		rc = values[test](r, n, &r->policy->nodes[at]);
	close_node(r, at);
	return rc;
}

/* ---- conditions ------------------------------------------------------------------------------ */

static enum rc read_condition(struct policy_reading *r, yaml_node_t *n, void *into);

/* A value, or a list of which any will do. */
static enum rc read_test(struct policy_reading *r, yaml_node_t *n, enum policy_test test)
{
	uint32_t at = 0;
	if (n->type != YAML_SEQUENCE_NODE)
		return read_leaf(r, n, test);
	enum rc rc = open_node(r, n, POLICY_TEST_ANY, &at);
	for (yaml_node_item_t *i = n->data.sequence.items.start;
	     rc == RC_OK && i < n->data.sequence.items.top; i++)
		rc = read_leaf(r, yaml_document_get_node(&r->document, *i), test);
	close_node(r, at);
	return rc;
}

static enum rc read_conditions(struct policy_reading *r, yaml_node_t *n, enum policy_test test)
{
	uint32_t at = 0;
	enum rc rc = open_node(r, n, test, &at);
	if (rc != RC_OK)
		return rc;
	rc = policy_list(r, n, "a list of conditions is wanted here", read_condition, NULL);
	if (rc == RC_OK && r->policy->nodes_count == at + 1)
		rc = policy_wrong(r, n, "at least one condition is wanted here");
	close_node(r, at);
	return rc;
}

#define READ_TEST(name, test)                                                                      \
	static enum rc name(struct policy_reading *r, yaml_node_t *n, void *into)                  \
	{                                                                                          \
		(void)into;                                                                        \
		return read_test(r, n, test);                                                      \
	}
READ_TEST(read_address, POLICY_TEST_ADDRESS)
READ_TEST(read_from_address, POLICY_TEST_FROM_ADDRESS)
READ_TEST(read_to_address, POLICY_TEST_TO_ADDRESS)
READ_TEST(read_direction, POLICY_TEST_DIRECTION)
READ_TEST(read_number, POLICY_TEST_NUMBER)
READ_TEST(read_from, POLICY_TEST_FROM)
READ_TEST(read_to, POLICY_TEST_TO)
READ_TEST(read_of_group, POLICY_TEST_GROUP)
READ_TEST(read_from_group, POLICY_TEST_FROM_GROUP)
READ_TEST(read_to_group, POLICY_TEST_TO_GROUP)
READ_TEST(read_header, POLICY_TEST_HEADER)

static enum rc read_all(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return read_conditions(r, n, POLICY_TEST_ALL);
}

static enum rc read_any(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return read_conditions(r, n, POLICY_TEST_ANY);
}

static enum rc read_not(struct policy_reading *r, yaml_node_t *n, void *into)
{
	uint32_t at = 0;
	enum rc rc = open_node(r, n, POLICY_TEST_NOT, &at);
	if (rc == RC_OK)
		rc = read_condition(r, n, into);
	close_node(r, at);
	return rc;
}

static const struct policy_key condition_keys[] = {
	{ "address", read_address, false },
	{ "from-address", read_from_address, false },
	{ "to-address", read_to_address, false },
	{ "direction", read_direction, false },
	{ "number", read_number, false },
	{ "from", read_from, false },
	{ "to", read_to, false },
	{ "group", read_of_group, false },
	{ "from-group", read_from_group, false },
	{ "to-group", read_to_group, false },
	{ "header", read_header, false },
	{ "all", read_all, false },
	{ "any", read_any, false },
	{ "not", read_not, false },
};

/* A mapping of conditions, all of which must be true. */
static enum rc read_condition(struct policy_reading *r, yaml_node_t *n, void *into)
{
	uint32_t at = 0;
	if (r->depth == POLICY_DEPTH)
		return policy_wrong(r, n, "conditions stand in conditions too deeply (at most 8)");
	enum rc rc = open_node(r, n, POLICY_TEST_ALL, &at);
	if (rc != RC_OK)
		return rc;
	r->depth++;
	rc = policy_mapping(r, n, condition_keys, sizeof condition_keys / sizeof condition_keys[0],
			    into);
	r->depth--;
	if (rc == RC_OK && r->policy->nodes_count == at + 1)
		rc = policy_wrong(r, n, "at least one condition is wanted here");
	close_node(r, at);
	return rc;
}

/* ---- rules ---------------------------------------------------------------------------------- */

static struct policy_name *class_of(struct policy_reading *r)
{
	return &r->rule_class[r->policy->rules_count];
}

static enum rc read_when(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy_rule *rule = into;
	rule->when = (uint16_t)r->policy->nodes_count;
	return read_condition(r, n, NULL);
}

static enum rc read_do(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_choice(r, n, policy_action_names, 3, &((struct policy_rule *)into)->action);
}

static enum rc read_rule_class(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return policy_name_of(r, n, "the name of a class is wanted here", class_of(r));
}

static const struct policy_key rule_keys[] = {
	{ "when", read_when, true },
	{ "do", read_do, true },
	{ "class", read_rule_class, false },
};

static enum rc read_rule(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy *p = r->policy;
	(void)into;
	if (p->rules_count == POLICY_RULES)
		return policy_wrong(r, n, "too many rules (at most 64)");
	struct policy_rule *rule = &p->rules[p->rules_count];
	enum rc rc = policy_mapping(r, n, rule_keys, sizeof rule_keys / sizeof rule_keys[0], rule);
	if (rc == RC_OK && rule->action == POLICY_SKIP && class_of(r)->name[0])
		rc = policy_wrong_at(r, class_of(r)->mark,
				     "a call that is not recorded has no retention class");
	if (rc == RC_OK)
		p->rules_count++;
	return rc;
}

enum rc policy_read_rules(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_list(r, n, "a list of rules is wanted here", read_rule, into);
}
