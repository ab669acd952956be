/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Lists of CPUs: what is read, what is refused, and that threads go where they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/cpus.h"

static struct error err;
static struct cpus cpus;

/* A CPU that this process may use. */
static unsigned usable(void)
{
	cpu_set_t set;
	assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			return i;
	fail();
	return 0;
}

static void reads_numbers_and_ranges_in_order(void **state)
{
	(void)state;
	char text[64];
	unsigned u = usable();

	assert_int_equal(cpus_read(&cpus, "x", "", &err), RC_OK);
	assert_int_equal(cpus.count, 0);
	assert_int_equal(cpus_read(&cpus, "x", "  ", &err), RC_OK);
	assert_int_equal(cpus.count, 0);
	snprintf(text, sizeof text, " %u , %u-%u,%u ", u, u, u, u);
	assert_int_equal(cpus_read(&cpus, "x", text, &err), RC_OK);
	assert_int_equal(cpus.count, 3);
	for (unsigned i = 0; i < cpus.count; i++)
		assert_int_equal(cpus.at[i], u);
}

static void refuses_what_is_no_list(void **state)
{
	(void)state;
	static const char *const wrong[] = { "a",    "1,",         ",1",
					     "1,,1", "1-",         "-1",
					     "3-2",  "1 2",        "1-2-3",
					     "0x1",  "+1",         "1.0",
					     "1024", "4294967296", "99999999999999999999999" };
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		char line[200];
		assert_int_equal(cpus_read(&cpus, "capture.cpus", wrong[i], &err), RC_USAGE);
		snprintf(line, sizeof line,
			 "capture.cpus: \"%s\" is not a list of CPUs such as 2,3,6-9", wrong[i]);
		assert_string_equal(err.text, line);
	}
	assert_int_equal(cpus_read(&cpus, "capture.cpus", "0-256", &err), RC_USAGE);
	assert_string_equal(err.text, "capture.cpus: more than 256 CPUs");
}

static void refuses_a_cpu_that_is_not_there_and_stays_where_it_was(void **state)
{
	(void)state;
	cpu_set_t before, after;

	assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
	assert_int_equal(cpus_read(&cpus, "writer.cpus", "1023", &err), RC_USAGE);
	assert_string_equal(err.text,
			    "writer.cpus: there is no CPU 1023 here that this process may use");
	assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
}

static void *wait_to_be_told(void *arg)
{
	pthread_mutex_lock(arg);
	pthread_mutex_unlock(arg);
	return NULL;
}

static void pins_threads_in_turn(void **state)
{
	(void)state;
	static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	cpu_set_t all, got;
	unsigned two[2], found = 0;
	pthread_t thread;

	assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
	for (unsigned i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET(i, &all))
			two[found++] = i;
	if (found < 2)
		skip();
	pthread_mutex_lock(&gate);
	assert_int_equal(pthread_create(&thread, NULL, wait_to_be_told, &gate), 0);
	for (unsigned nth = 0; nth < 5; nth++) {
		cpus = (struct cpus){ .count = 2, .at = { (uint16_t)two[1], (uint16_t)two[0] } };
		cpus_pin(&cpus, thread, nth);
		assert_int_equal(pthread_getaffinity_np(thread, sizeof got, &got), 0);
		assert_int_equal(CPU_COUNT(&got), 1);
		assert_true(CPU_ISSET(two[nth % 2 == 0], &got));
	}
	cpus.count = 0; /* none are named: nothing changes */
	cpus_pin(&cpus, thread, 1);
	assert_int_equal(pthread_getaffinity_np(thread, sizeof got, &got), 0);
	assert_int_equal(CPU_COUNT(&got), 1);
	pthread_mutex_unlock(&gate);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_numbers_and_ranges_in_order),
		cmocka_unit_test(refuses_what_is_no_list),
		cmocka_unit_test(refuses_a_cpu_that_is_not_there_and_stays_where_it_was),
		cmocka_unit_test(pins_threads_in_turn),
	};
	return cmocka_run_group_tests_name("cpus", tests, NULL, NULL);
}
