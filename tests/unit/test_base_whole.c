/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_base_whole.c: what comes in parts, or is interrupted, is read and written to its end. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/whole.h"

#define MANY ((size_t)1 << 20) /* more than a pipe holds */

static uint8_t data[MANY], back[MANY];

static int fill(void **state)
{
	(void)state;
	for (size_t i = 0; i < MANY; i++)
		data[i] = (uint8_t)(i * 31 + i / 251);
	memset(back, 0, sizeof back);
	return 0;
}

static void on_signal(int signo)
{
	(void)signo;
}

struct writer {
	int fd;
	bool good;
};

static void *write_all(void *ctx)
{
	struct writer *w = ctx;
	w->good = whole_write(w->fd, data, MANY);
	close(w->fd);
	return NULL;
}

/* Twice: once a write that has done a part ends with it, once one that has done nothing ends with EINTR. */
static void disturb(pthread_t thread)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
		usleep(2000);
	}
}

/* The reader takes little at a time, and the writer waits in write(2) meanwhile. */
static void write_goes_on_over_signals_and_parts(void **state)
{
	struct sigaction action = { .sa_handler = on_signal }, before; /* no SA_RESTART */
	int ends[2];
	pthread_t thread;
	size_t at = 0;
	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	assert_int_equal(pipe(ends), 0);
	struct writer w = { .fd = ends[1] };
	assert_int_equal(pthread_create(&thread, NULL, write_all, &w), 0);
	for (ssize_t n = 1; n > 0 && at < MANY; at += (size_t)n) {
		if (at < 100000) /* the writer is there yet */
			disturb(thread);
		size_t want = MANY - at < 5000 ? MANY - at : 5000;
		n = read(ends[0], back + at, want);
		assert_true(n > 0);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(w.good);
	assert_memory_equal(back, data, MANY);
	close(ends[0]);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

static void read_goes_on_until_there_is_no_more(void **state)
{
	int ends[2];
	pthread_t thread;
	(void)state;
	assert_int_equal(pipe(ends), 0);
	struct writer w = { .fd = ends[1] };
	assert_int_equal(pthread_create(&thread, NULL, write_all, &w), 0);
	assert_int_equal(whole_read(ends[0], back, MANY - 7), MANY - 7);
	assert_int_equal(whole_read(ends[0], back + MANY - 7, 100), 7);
	assert_int_equal(whole_read(ends[0], back, 100), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_memory_equal(back, data, MANY);
	close(ends[0]);
}

static void places_do_not_move_the_descriptor(void **state)
{
	char path[] = "/tmp/callspan-test-XXXXXX";
	int fd = mkstemp(path);
	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_true(whole_write_at(fd, data, 1000, 500));
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(whole_read_at(fd, back, 2000, 600), 900);
	assert_memory_equal(back, data + 100, 900);
	assert_int_equal(whole_read_at(fd, back, 10, 1500), 0);
	assert_true(whole_write(fd, data, 10));
	assert_int_equal(whole_read_at(fd, back, 11, 0), 11);
	assert_memory_equal(back, data, 10);
	assert_int_equal(back[10], 0);
	close(fd);
}

static void failure_is_told_with_its_reason(void **state)
{
	int full = open("/dev/full", O_RDWR | O_CLOEXEC), ends[2];
	(void)state;
	assert_true(full >= 0);
	errno = 0;
	assert_false(whole_write(full, data, 10));
	assert_int_equal(errno, ENOSPC);
	assert_true(whole_write(full, data, 0));
	close(full);
	errno = 0;
	assert_int_equal(whole_read(full, back, 1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(whole_read_at(ends[0], back, 1, 0), -1);
	assert_false(whole_write_at(ends[1], data, 1, 0));
	assert_int_equal(errno, ESPIPE);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(write_goes_on_over_signals_and_parts, fill),
		cmocka_unit_test_setup(read_goes_on_until_there_is_no_more, fill),
		cmocka_unit_test_setup(places_do_not_move_the_descriptor, fill),
		cmocka_unit_test_setup(failure_is_told_with_its_reason, fill),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
