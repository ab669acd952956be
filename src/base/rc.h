/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* rc.h: what functions answer when they can fail, and how the impossible ends.
 *
 * Set-up and I/O return `enum rc`; the caller must look at it.  The first five
 * values are also the exit status of the two programs.  The packet path never
 * uses this: it returns verdicts and bumps counters.
 */
#ifndef CALLSPAN_BASE_RC_H
#define CALLSPAN_BASE_RC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE               __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define LIKELY(x)              __builtin_expect(!!(x), 1)
#define UNLIKELY(x)            __builtin_expect(!!(x), 0)

enum rc {
	RC_OK = 0,
	RC_FAILED = 1,    /* could not be done */
	RC_USAGE = 2,     /* asked wrongly: option, id, name, configuration */
	RC_REFUSED = 3,   /* not allowed: right, policy, purpose, passphrase */
	RC_DAMAGED = 4,   /* damage or tampering found */
	RC_END = 16,      /* internal: no more; never an exit status */
	RC_AGAIN = 17,    /* internal: not now: the disk is full, a passphrase is needed first */
	RC_NOT_FOUND = 18 /* internal: no such thing */
};

/* One line for a person: what is wrong and where.  Filled by whoever returns an
 * rc other than RC_OK, RC_END, RC_AGAIN; never holds a key, number or name. */
struct error {
	char text[512];
};

/* Write `e->text` (when e is not NULL) and return rc, so that a failing line
 * reads `return error_set(e, RC_FAILED, "…")`. */
enum rc error_set(struct error *e, enum rc rc, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same with ": " and the text of `errnum` appended. */
enum rc error_errno(struct error *e, enum rc rc, int errnum, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* The impossible: print and abort, in release builds too. */
#define ASSERT(x) (LIKELY(x) ? (void)0 : assert_failed(#x, __FILE__, __LINE__))
_Noreturn void assert_failed(const char *what, const char *file, int line);

#endif
