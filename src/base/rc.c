/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* rc.c: error lines for people, and the end of what cannot be.  Any thread.
 */
#include "base/rc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum rc error_set(struct error *e, enum rc rc, const char *fmt, ...)
{
	if (e) {
		va_list args;
		va_start(args, fmt);
		(void)vsnprintf(e->text, sizeof e->text, fmt, args);
		va_end(args);
	}
	return rc;
}

enum rc error_errno(struct error *e, enum rc rc, int errnum, const char *fmt, ...)
{
	if (!e)
		return rc;
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(e->text, sizeof e->text, fmt, args);
	va_end(args);
	size_t at = n < 0 ? 0 : (size_t)n;
	if (at < sizeof e->text) {
		char buf[128];
		(void)snprintf(e->text + at, sizeof e->text - at, ": %s",
			       strerror_r(errnum, buf, sizeof buf));
	}
	return rc;
}

void assert_failed(const char *what, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: this cannot be, and is: !(%s)\n", file, line, what);
	abort();
}
