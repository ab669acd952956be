/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy_parts.h: reading a policy's YAML by tables of keys, for the files of this folder.
 *
 * A mapping is a table: name of a key, who reads its value, whether it must be there.  A key that is not
 * in its table is refused with the choices named.  Every refusal is RC_USAGE, "file:line:column: what".
 */
#ifndef CALLSPAN_STORE_POLICY_PARTS_H
#define CALLSPAN_STORE_POLICY_PARTS_H

#include <yaml.h>

#include "store/store.h"

/* A name that stands in the file before, or after, what it names. */
struct policy_name {
	char name[32];
	yaml_mark_t mark;
};

struct policy_reading {
	struct policy *policy;
	yaml_document_t document;
	const char *file;
	struct error *err;
	struct policy_name default_class;
	struct policy_name rule_class[POLICY_RULES]; /* "": the default */
	struct policy_name node_group[POLICY_NODES]; /* "": the condition is not of a group */
	unsigned depth;                              /* of the condition in hand */
	bool orphans_given;
};

typedef enum rc (*policy_reader)(struct policy_reading *r, yaml_node_t *n, void *into);

struct policy_key {
	const char *name;
	policy_reader read;
	bool required;
};
#define POLICY_KEYS 16 /* a table has so many at most */

/* RC_USAGE with the place and what is wrong there. */
enum rc policy_wrong(struct policy_reading *r, const yaml_node_t *n, const char *what) MUST_USE;
enum rc policy_wrong_at(struct policy_reading *r, yaml_mark_t m, const char *what) MUST_USE;
/* "unknown KIND; the choices are: a, b" */
enum rc policy_wrong_choice(struct policy_reading *r, const yaml_node_t *n, const char *kind,
			    const char *const *choices, size_t count) MUST_USE;

/* A scalar's text when it is shorter than `room` and has no NUL in it; else NULL. */
const char *policy_scalar(const yaml_node_t *n, size_t room);
/* The same when it is a plain word of a-z, 0-9 and '-'. */
const char *policy_word(const yaml_node_t *n, size_t room);

/* One of `count` words: its index. */
enum rc policy_choice(struct policy_reading *r, const yaml_node_t *n, const char *const *choices,
		      size_t count, uint8_t *out) MUST_USE;
/* A number from `least` to `most`. */
enum rc policy_count(struct policy_reading *r, const yaml_node_t *n, uint32_t least, uint32_t most,
		     uint32_t *out) MUST_USE;
enum rc policy_mapping(struct policy_reading *r, yaml_node_t *n, const struct policy_key *keys,
		       size_t count, void *into) MUST_USE;
/* Each item of a list, by `read`. */
enum rc policy_list(struct policy_reading *r, yaml_node_t *n, const char *wanted,
		    policy_reader read, void *into) MUST_USE;
/* Each pair of a mapping whose keys are names that the file gives. */
enum rc policy_named(struct policy_reading *r, yaml_node_t *n, const char *wanted,
		     enum rc (*read)(struct policy_reading *r, yaml_node_t *key,
				     yaml_node_t *value)) MUST_USE;
/* Remember a class or group by its name, to be looked up when all is read. */
enum rc policy_name_of(struct policy_reading *r, const yaml_node_t *n, const char *wanted,
		       struct policy_name *out) MUST_USE;

/* policy_retention.c: the key `retention`. */
enum rc policy_read_retention(struct policy_reading *r, yaml_node_t *n, void *into) MUST_USE;

/* policy_rights.c: the keys `purposes`, `export`, `two-persons`, `purge`; what they leave out. */
enum rc policy_read_purposes(struct policy_reading *r, yaml_node_t *n, void *into) MUST_USE;
enum rc policy_read_export(struct policy_reading *r, yaml_node_t *n, void *into) MUST_USE;
enum rc policy_read_two_persons(struct policy_reading *r, yaml_node_t *n, void *into) MUST_USE;
enum rc policy_read_purge(struct policy_reading *r, yaml_node_t *n, void *into) MUST_USE;
void policy_rights_default(struct policy *p);

/* policy_groups.c: the key `groups`; the groups that conditions name. */
enum rc policy_read_groups(struct policy_reading *r, yaml_node_t *n, void *into) MUST_USE;
enum rc policy_groups_settle(struct policy_reading *r) MUST_USE;

/* policy_record.c: the keys `own` and `record`; what they leave out; the classes that rules name. */
enum rc policy_read_own(struct policy_reading *r, yaml_node_t *n, void *into) MUST_USE;
enum rc policy_read_record(struct policy_reading *r, yaml_node_t *n, void *into) MUST_USE;
void policy_record_default(struct policy *p);
enum rc policy_record_settle(struct policy_reading *r) MUST_USE;

/* policy_rules.c: the list of rules. */
enum rc policy_read_rules(struct policy_reading *r, yaml_node_t *n, void *into) MUST_USE;
/* "10.0.0.0/8", "fd00::/8" or an address alone. */
enum rc policy_read_network(struct policy_reading *r, const yaml_node_t *n,
			    struct policy_network *out) MUST_USE;
/* A pattern for numbers, in the form that policy_number_matches() takes. */
enum rc policy_read_pattern(struct policy_reading *r, const yaml_node_t *n,
			    char out[POLICY_PATTERN]) MUST_USE;

#endif
