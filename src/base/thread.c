/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* thread.c: the mask of signals is inherited, so it is changed for the moment of the start. */
#include "base/thread.h"

#include <signal.h>

enum rc thread_start(pthread_t *thread, void *(*fn)(void *), void *arg, struct error *err)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	sigset_t all, usual;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		sigdelset(&all, faults[i]); /* its own: whoever reports them must be told */
	pthread_sigmask(SIG_SETMASK, &all, &usual);
	int e = pthread_create(thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &usual, NULL);
	return e ? error_errno(err, RC_FAILED, e, "cannot start a thread") : RC_OK;
}
