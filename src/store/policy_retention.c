/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* policy_retention.c: how long recordings are kept, from a policy's YAML; and until when that is.
 *
 *   retention:
 *     default: standard                class of every call that no rule names
 *     classes:
 *       standard: { days: 30 }         or { months: 12 }
 *     grace: { days: 7 }               so long at least after the last hold ends      } optional
 *     time-zone: Europe/London         of calendar months; else the machine's         }
 *
 * Any thread; keeps nothing.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/policy_parts.h"

#define POLICY_DAYS   36500
#define POLICY_MONTHS 1200
#define SECOND_US     INT64_C(1000000)
#define DAY_S         INT64_C(86400)

/* ---- the file --------------------------------------------------------------------------------- */

static enum rc read_days(struct policy_reading *r, yaml_node_t *n, void *class)
{
	return policy_count(r, n, 1, POLICY_DAYS, &((struct policy_class *)class)->days);
}

static enum rc read_months(struct policy_reading *r, yaml_node_t *n, void *class)
{
	return policy_count(r, n, 1, POLICY_MONTHS, &((struct policy_class *)class)->months);
}

static const struct policy_key class_keys[] = {
	{ "days", read_days, false },
	{ "months", read_months, false },
};

static enum rc read_class(struct policy_reading *r, yaml_node_t *key, yaml_node_t *value)
{
	struct policy *p = r->policy;
	const char *name = policy_word(key, sizeof p->classes[0].name);
	if (!name)
		return policy_wrong(r, key, "a class name is a word of a-z, 0-9 and '-'");
	if (p->classes_count == POLICY_CLASSES)
		return policy_wrong(r, key, "too many retention classes (at most 16)");
	if (policy_class_find(p, name))
		return policy_wrong(r, key, "this class stands here twice");
	struct policy_class *c = &p->classes[p->classes_count];
	snprintf(c->name, sizeof c->name, "%s", name);
	enum rc rc = policy_mapping(r, value, class_keys, 2, c);
	if (rc != RC_OK)
		return rc;
	if (!c->days == !c->months)
		return policy_wrong(r, value, "either days or months is wanted here");
	p->classes_count++;
	return RC_OK;
}

static enum rc read_classes(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	enum rc rc = policy_named(r, n, "a mapping of class names is wanted here", read_class);
	if (rc == RC_OK && !r->policy->classes_count)
		rc = policy_wrong(r, n, "at least one retention class is wanted here");
	return rc;
}

static enum rc read_default(struct policy_reading *r, yaml_node_t *n, void *into)
{
	(void)into;
	return policy_name_of(r, n, "the name of a class is wanted here", &r->default_class);
}

static enum rc read_grace_days(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_count(r, n, 0, POLICY_DAYS, &((struct policy *)into)->grace_days);
}

static const struct policy_key grace_keys[] = {
	{ "days", read_grace_days, true },
};

static enum rc read_grace(struct policy_reading *r, yaml_node_t *n, void *into)
{
	return policy_mapping(r, n, grace_keys, 1, into);
}

static enum rc read_zone(struct policy_reading *r, yaml_node_t *n, void *into)
{
	const char *name = policy_scalar(n, ZONE_NAME);
	if (!name || !zone_load(&((struct policy *)into)->zone, name))
		return policy_wrong(r, n,
				    "a time zone that " ZONE_DIR
				    " knows is wanted here, as Europe/London");
	return RC_OK;
}

static const struct policy_key retention_keys[] = {
	{ "default", read_default, true },
	{ "classes", read_classes, true },
	{ "grace", read_grace, false },
	{ "time-zone", read_zone, false },
};

/* `default` may stand before or after `classes`, so it is looked up when both are read. */
enum rc policy_read_retention(struct policy_reading *r, yaml_node_t *n, void *into)
{
	struct policy *p = r->policy;
	(void)into;
	enum rc rc = policy_mapping(r, n, retention_keys,
				    sizeof retention_keys / sizeof retention_keys[0], p);
	if (rc != RC_OK)
		return rc;
	const struct policy_class *c = policy_class_find(p, r->default_class.name);
	if (!c)
		return policy_wrong_at(r, r->default_class.mark,
				       "the default is not one of the classes");
	p->default_class = (uint32_t)(c - p->classes);
	return RC_OK;
}

const struct policy_class *policy_class_find(const struct policy *p, const char *name)
{
	for (uint32_t i = 0; i < p->classes_count; i++) {
		if (strcmp(p->classes[i].name, name) == 0)
			return &p->classes[i];
	}
	return NULL;
}

/* ---- expiry ----------------------------------------------------------------------------------- */

static int64_t midnight(int year, int month, int day)
{
	struct tm tm = { .tm_year = year, .tm_mon = month, .tm_mday = day };
	return (int64_t)timegm(&tm);
}

int64_t policy_months_us(const struct policy *p, int64_t from_us, uint32_t months)
{
	int64_t from_s = from_us / SECOND_US - (from_us % SECOND_US < 0);
	int64_t below_us = from_us - from_s * SECOND_US;
	time_t local = (time_t)(from_s + zone_offset(&p->zone, from_s));
	struct tm tm;
	ASSERT(gmtime_r(&local,
			&tm)); /* an int64_t of microseconds has no year that an int has not */
	int64_t of_day = local - midnight(tm.tm_year, tm.tm_mon, tm.tm_mday);
	int month = tm.tm_mon + (int)months;
	int64_t first = midnight(tm.tm_year, month, 1), next = midnight(tm.tm_year, month + 1, 1);
	int last = (int)((next - first) / DAY_S);
	int day = tm.tm_mday < last ? tm.tm_mday : last;
	int64_t to_s = first + (day - 1) * DAY_S + of_day;
	return zone_unix(&p->zone, to_s) * SECOND_US + below_us;
}

static int64_t class_expiry_us(const struct policy *p, const struct policy_class *c, int64_t end_us)
{
	if (c->days)
		return end_us + c->days * DAY_S * SECOND_US;
	return policy_months_us(p, end_us, c->months);
}

int64_t policy_expiry_us(const struct policy *p, const char *class, int64_t end_us)
{
	const struct policy_class *c = policy_class_find(p, class);
	int64_t latest_us = 0;
	if (c)
		return class_expiry_us(p, c, end_us);
	for (uint32_t i = 0; i < p->classes_count; i++) {
		int64_t us = class_expiry_us(p, &p->classes[i], end_us);
		if (us > latest_us)
			latest_us = us;
	}
	return latest_us;
}
