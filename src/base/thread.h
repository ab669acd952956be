/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* thread.h: a thread that no signal interrupts.
 *
 * Signals are the main thread's, which looks at what their handlers have set.  While it cannot take one (it is stopped, say)
 * the kernel would give it to any other.
 */
#ifndef CALLSPAN_BASE_THREAD_H
#define CALLSPAN_BASE_THREAD_H

#include <pthread.h>

#include "base/rc.h"

/* Start fn(arg) on a thread with all signals blocked but those of its own faults. */
enum rc thread_start(pthread_t *thread, void *(*fn)(void *), void *arg, struct error *err) MUST_USE;

#endif
