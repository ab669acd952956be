/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Which interfaces the options name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "recorder/sources.h"

static struct options options;
static struct sources sources;
static struct error err;

static enum rc init(const char *interfaces, int64_t threads)
{
	options_default(&options);
	assert_int_equal(options_set(&options, "capture.interface", interfaces, &err), RC_OK);
	options.capture_threads = threads;
	return sources_init(&sources, &options, &err);
}

static void names_stand_between_commas_in_order(void **state)
{
	(void)state;
	assert_int_equal(init("", 1), RC_OK);
	assert_int_equal(sources.count, 0);
	assert_int_equal(init("eth1", 3), RC_OK);
	assert_int_equal(sources.count, 1);
	assert_int_equal(sources.threads_each, 3);
	assert_string_equal(sources.at[0].name, "eth1");
	assert_int_equal(init(" eth1.7 ,any,  br-lan@x ", 21), RC_OK);
	assert_int_equal(sources.count, 3);
	assert_string_equal(sources.at[0].name, "eth1.7");
	assert_string_equal(sources.at[1].name, "any");
	assert_string_equal(sources.at[2].name, "br-lan@x");
	assert_string_equal(sources_state(&sources.at[0]), "up");
}

static void assert_wrong(const char *interfaces, int64_t threads, const char *line)
{
	assert_int_equal(init(interfaces, threads), RC_USAGE);
	assert_string_equal(err.text, line);
}

static void wrong_names_are_told_with_the_option(void **state)
{
	(void)state;
	char many[64] = "a", long_name[80];

	assert_wrong("eth1,", 1, "capture.interface: \"\" is no interface's name");
	assert_wrong(",eth1", 1, "capture.interface: \"\" is no interface's name");
	assert_wrong(" , ", 1, "capture.interface: \"\" is no interface's name");
	assert_wrong("a b", 1, "capture.interface: \"a b\" is no interface's name");
	assert_wrong("a\\b", 1, "capture.interface: \"a\\b\" is no interface's name");
	assert_wrong("a,b,a", 1, "capture.interface: a is given twice");
	for (char c = 'b'; c <= 'q'; c++)
		strcat(many, (char[]){ ',', c, '\0' });
	assert_wrong(many, 1, "capture.interface: more than 16 interfaces");
	assert_wrong("a,b,c", 22, "capture.threads: 22 for each of 3 interfaces are more than 64");
	memset(long_name, 'x', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	assert_int_equal(init(long_name, 1), RC_USAGE);
}

static void one_that_cannot_be_opened_names_itself(void **state)
{
	(void)state;
	struct capture *captures[2] = { NULL };
	assert_int_equal(init("nosuch0,nosuch1", 1), RC_OK);
	assert_int_equal(sources_open(&sources, &options, captures, &err), RC_FAILED);
	assert_memory_equal(err.text, "nosuch0: ", 9);
	assert_null(captures[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_stand_between_commas_in_order),
		cmocka_unit_test(wrong_names_are_told_with_the_option),
		cmocka_unit_test(one_that_cannot_be_opened_names_itself),
	};
	return cmocka_run_group_tests_name("sources", tests, NULL, NULL);
}
