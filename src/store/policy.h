/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy.h: the policy file as one struct without pointers: what is recorded, how long it is kept, what for it may be
 * opened and by whom.  Part of store.h, which others include.
 */
#ifndef CALLSPAN_STORE_POLICY_H
#define CALLSPAN_STORE_POLICY_H

#include "base/rc.h"
#include "base/zone.h"

/* Who a person is to the store.  Bits: a table row or a purpose names several. */
enum role {
	ROLE_NONE = 0,
	ROLE_CONTROLLER = 1, /* data controller, practice manager: all; authorises */
	ROLE_MANAGER = 2,    /* partner or senior: search, replay, sample, review, hold */
	ROLE_STAFF = 4,      /* only a call they were given to hear */
	ROLE_AUDITOR = 8,    /* the audit trail only */
	ROLE_OPERATOR = 16   /* runs the system: never audio, numbers masked */
};

struct policy_class {
	char name[32];
	uint32_t days;   /* or: */
	uint32_t months; /* calendar months */
};

/* Acts that one person asks for and another confirms, where the policy says so.  Bits. */
enum policy_two {
	TWO_HOLD_RELEASE = 1,
	TWO_ERASE = 2,
	TWO_DISCLOSURE = 4 /* a request is authorised by another than who assessed it */
};

/* Numbers under one name: a line, a team.  Patterns as policy_pattern() gives them. */
struct policy_group {
	char name[32];
	uint32_t first, count; /* of policy.members */
};

/* Digits, sent as media or in signalling (INFO, KPML): passed over, counted, or counted and kept. */
enum dtmf_keep { DTMF_OFF, DTMF_COUNT, DTMF_KEEP };
/* Calls without signalling: never, in the first ten minutes of packet time, always. */
enum orphans { ORPHANS_OFF, ORPHANS_AFTER_START, ORPHANS_ON };

/* What becomes of a call: recorded; not recorded and not listed; or listed without anybody's name and without audio. */
enum policy_action { POLICY_RECORD, POLICY_SKIP, POLICY_NEVER };
enum policy_calls { POLICY_CALLS_ALL, POLICY_CALLS_EXTERNAL, POLICY_CALLS_RULES };

#define POLICY_PATTERN  48           /* bytes of a pattern, with its NUL */
#define POLICY_BYTES    (64u * 1024) /* of the file, at most */
#define POLICY_CLASSES  16
#define POLICY_NETWORKS 32
#define POLICY_DOMAINS  32
#define POLICY_NUMBERS  64
#define POLICY_NEVERS   256
#define POLICY_RULES    64
#define POLICY_NODES    256
#define POLICY_DEPTH    8 /* of conditions within conditions */
#define POLICY_GROUPS   32
#define POLICY_MEMBERS  256 /* patterns of all groups together */
#define POLICY_SHARE    20  /* percent that one purge may destroy unasked */

/* The first `bits` of an address; IPv4 stands as in struct endpoint, with 96 more. */
struct policy_network {
	uint8_t addr[16];
	uint8_t bits;
};

enum policy_test {
	POLICY_TEST_ALL,          /* of the nodes below it; true without any */
	POLICY_TEST_ANY,          /* of the nodes below it */
	POLICY_TEST_NOT,          /* the one below it */
	POLICY_TEST_ADDRESS,      /* `network` holds either SIP peer */
	POLICY_TEST_FROM_ADDRESS, /* where the INVITE came from */
	POLICY_TEST_TO_ADDRESS,   /* where it went */
	POLICY_TEST_DIRECTION,    /* `which` is an enum call_direction */
	POLICY_TEST_NUMBER,       /* `pattern` is of either party */
	POLICY_TEST_FROM,
	POLICY_TEST_TO,
	POLICY_TEST_GROUP, /* either party is of group `which` */
	POLICY_TEST_FROM_GROUP,
	POLICY_TEST_TO_GROUP,
	POLICY_TEST_HEADER /* `pattern` is of the header value `which`, an enum policy_header */
};

enum policy_header {
	POLICY_HEADER_USER_AGENT,
	POLICY_HEADER_ASSERTED, /* P-Asserted-Identity */
	POLICY_HEADER_DIVERSION,
	POLICY_HEADER_FROM_DOMAIN, /* the host of the From URI */
	POLICY_HEADER_TO_DOMAIN
};
#define POLICY_HEADERS 5
extern const char *const policy_header_names[POLICY_HEADERS];

/* A condition; those below it follow it, up to node `end`. */
struct policy_node {
	uint8_t test; /* enum policy_test */
	uint8_t which;
	uint16_t end;
	struct policy_network network;
	char pattern[POLICY_PATTERN];
};

struct policy_rule {
	uint16_t when; /* its condition: a node */
	uint8_t action;
	uint8_t class; /* index of the retention class */
};

struct policy {
	char name[32];
	char hash[65]; /* hex SHA-256 of the file */
	struct policy_class classes[POLICY_CLASSES];
	uint32_t classes_count;
	uint32_t default_class; /* index */
	struct zone zone;       /* of calendar months */
	uint32_t purposes;      /* bit n: purpose n of policy_purpose_names is allowed */
	bool plain_export;      /* export and replay -o without protection */

	/* who may what, beyond roles */
	uint8_t purpose_roles[32]; /* by purpose: bits of enum role that may state it */
	uint32_t two_persons;      /* bits of enum policy_two */
	uint32_t grace_days;       /* a call lives so long at least after its last hold ends */
	uint32_t max_share; /* percent of all recordings that one purge may destroy unasked */
	struct policy_group groups[POLICY_GROUPS];
	uint32_t groups_count;
	char members[POLICY_MEMBERS][POLICY_PATTERN];
	uint32_t members_count;

	/* who "we" are: numbers as policy_pattern() gives them */
	struct policy_network networks[POLICY_NETWORKS];
	uint32_t networks_count;
	char domains[POLICY_DOMAINS][64]; /* lower case */
	uint32_t domains_count;
	char numbers[POLICY_NUMBERS][POLICY_PATTERN];
	uint32_t numbers_count;

	/* what is recorded */
	uint8_t calls;   /* enum policy_calls: where no rule matches */
	uint8_t dtmf;    /* enum dtmf_keep */
	uint8_t orphans; /* enum orphans */
	bool signalling; /* the calls' SIP messages are kept */
	char nevers[POLICY_NEVERS][POLICY_PATTERN];
	uint32_t nevers_count;
	struct policy_rule rules[POLICY_RULES]; /* the first that matches */
	uint32_t rules_count;
	struct policy_node nodes[POLICY_NODES];
	uint32_t nodes_count;
};

/* A party's number for comparing: separators and a leading + or 00 are gone.  What is no number is its lower case.
 * True: it is a number. */
#define POLICY_NUMBER 128
bool policy_number(const char *text, char out[POLICY_NUMBER]);
/* The same of a pattern, in which * stands for any characters and ? for one.  False: it is too long, or nothing
 * is left of it. */
bool policy_pattern(const char *text, char out[POLICY_PATTERN]);
/* Does it match a whole number or word (both as given above)?  A pattern of 6 digits or more and nothing else also
 * matches a number with the same last 9 (or all its) digits: a number may be dialled with or without its country's or
 * town's prefix. */
bool policy_number_matches(const char *pattern, const char *number);
/* * and ? over any text, letters of either case alike. */
bool policy_text_matches(const char *pattern, const char *text, size_t len);

#define PURPOSES 11
extern const char *const policy_purpose_names[PURPOSES];
/* Index of a purpose's name, or -1. */
int policy_purpose(const char *name);
/* Read a policy file.  RC_FAILED when it cannot be read, RC_USAGE with "file:line:column: what" when it is wrong. */
enum rc policy_read(struct policy *p, const char *path, struct error *err) MUST_USE;
/* The same from memory; `name` stands for the file in errors. */
enum rc policy_parse(struct policy *p, const void *text, size_t len, const char *name,
		     struct error *err) MUST_USE;
/* As the file spells them, by their enums. */
extern const char *const policy_calls_names[];
extern const char *const policy_dtmf_names[];
extern const char *const policy_orphans_names[];
extern const char *const policy_action_names[];
#define POLICY_TWOS 3
extern const char *const policy_two_names[POLICY_TWOS]; /* of bit n of enum policy_two */
#define POLICY_ROLES 3
extern const char
	*const policy_role_names[POLICY_ROLES]; /* of bit n of enum role: those of purpose_roles */
/* The class of that name, or NULL. */
const struct policy_class *policy_class_find(const struct policy *p, const char *name);
/* When a recording of this class that ended at end_us expires.  A class that the policy does not have is as its longest
 * one: a slip of the pen destroys nothing early. */
int64_t policy_expiry_us(const struct policy *p, const char *class, int64_t end_us);
/* So many calendar months later in the policy's time zone: the same day of the month, or the last where there is none
 * (29 February + 12 → 28 February), and the same time of day; docs/policy.md says what of a clock that is changed. */
int64_t policy_months_us(const struct policy *p, int64_t from_us, uint32_t months);
/* The group of that name, or NULL. */
const struct policy_group *policy_group_find(const struct policy *p, const char *name);
/* Is this number or word, as policy_number() gives it, one of the group? */
bool policy_group_has(const struct policy *p, const struct policy_group *g, const char *number);

#endif
