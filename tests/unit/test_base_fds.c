/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fds.h: what was closed is occupied, and still fails as if it were closed.  Each case closes in a child's place. */
#include "base/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Close the descriptors in `mask`, fill, and run `holds`, all in a child: its verdict. */
static bool in_child(unsigned mask, bool (*holds)(unsigned mask, unsigned said))
{
	int status = 0;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (int n = 0; n < 3; n++) {
			if (mask & 1u << n)
				(void)close(n);
		}
		_exit(holds(mask, fds_fill()) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool next_file_is_none_of_them(unsigned mask, unsigned said)
{
	return said == mask && open("/dev/zero", O_RDWR) > 2;
}

static bool closed_ones_fail(unsigned mask, unsigned said)
{
	char c = 'x';
	bool as_closed = said == mask;
	for (int n = 0; n < 3 && as_closed; n++) {
		if (!(mask & 1u << n))
			continue;
		ssize_t moved = n == 0 ? read(n, &c, 1) : write(n, &c, 1);
		as_closed = moved < 0 && errno == EBADF;
	}
	return as_closed;
}

static void fds_keeps_the_first_three_numbers_from_files(void **state)
{
	(void)state;
	for (unsigned mask = 0; mask < 8; mask++)
		assert_true(in_child(mask, next_file_is_none_of_them));
}

static void fds_that_were_closed_can_be_neither_read_nor_written(void **state)
{
	(void)state;
	for (unsigned mask = 0; mask < 8; mask++)
		assert_true(in_child(mask, closed_ones_fail));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fds_keeps_the_first_three_numbers_from_files),
		cmocka_unit_test(fds_that_were_closed_can_be_neither_read_nor_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
