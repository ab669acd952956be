/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cpus.c: lists of CPUs, and threads pinned to them. */
#include "base/cpus.h"

#include <sched.h>
#include <string.h>

#include "base/log.h"

/* Digits at *at, a CPU's number at most; false: there are none, or too many. */
static bool read_number(const char **at, unsigned *n)
{
	size_t digits = strspn(*at, "0123456789");

	*n = 0;
	for (size_t i = 0; i < digits && *n < CPU_SETSIZE; i++)
		*n = *n * 10 + (unsigned)((*at)[i] - '0');
	*at += digits;
	return digits > 0 && *n < CPU_SETSIZE;
}

/* "6" or "6-9", and the comma behind it where there is more. */
static bool read_range(const char **at, unsigned *first, unsigned *last)
{
	if (!read_number(at, first))
		return false;
	*last = *first;
	if (**at == '-') {
		(*at)++;
		if (!read_number(at, last) || *last < *first)
			return false;
	}
	*at += strspn(*at, " ");
	bool more = **at == ',';
	*at += more;
	*at += strspn(*at, " ");
	return more == (**at != '\0');
}

/* Only the kernel knows what a control group or a virtual machine leaves of the CPUs. */
static enum rc try_each(const struct cpus *c, const char *option, struct error *err)
{
	cpu_set_t before, one;
	enum rc rc = RC_OK;

	if (!c->count || pthread_getaffinity_np(pthread_self(), sizeof before, &before) != 0)
		return RC_OK;
	for (unsigned i = 0; i < c->count && rc == RC_OK; i++) {
		CPU_ZERO(&one);
		CPU_SET(c->at[i], &one);
		if (pthread_setaffinity_np(pthread_self(), sizeof one, &one) != 0)
			rc = error_set(err, RC_USAGE,
				       "%s: there is no CPU %u here that this process may use",
				       option, (unsigned)c->at[i]);
	}
	(void)pthread_setaffinity_np(pthread_self(), sizeof before, &before);
	return rc;
}

enum rc cpus_read(struct cpus *c, const char *option, const char *text, struct error *err)
{
	const char *at = text + strspn(text, " ");

	c->count = 0;
	while (*at) {
		unsigned first, last;
		if (!read_range(&at, &first, &last))
			return error_set(err, RC_USAGE,
					 "%s: \"%s\" is not a list of CPUs such as 2,3,6-9", option,
					 text);
		if (last - first >= CPUS_MOST - c->count)
			return error_set(err, RC_USAGE, "%s: more than %d CPUs", option, CPUS_MOST);
		for (unsigned cpu = first; cpu <= last; cpu++)
			c->at[c->count++] = (uint16_t)cpu;
	}
	return try_each(c, option, err);
}

void cpus_pin(const struct cpus *c, pthread_t thread, unsigned nth)
{
	cpu_set_t one;

	if (!c->count)
		return;
	unsigned cpu = c->at[nth % c->count];
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	int e = pthread_setaffinity_np(thread, sizeof one, &one);
	if (e)
		log_warning("thread-not-pinned", "cpu=%u errno=%d", cpu, e);
}
