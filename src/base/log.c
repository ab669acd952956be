/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* log.c: one line an event, one write(2) a line, so that threads' lines never mix.
 *
 * Never prints a time (the journal has it), never waits for anything but that one write.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 1024

static const struct {
	const char *name;
	const char *journal; /* sd-daemon(3): the line's priority */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", "<3>" },
	[LOG_LEVEL_WARNING] = { "warning", "<4>" },
	[LOG_LEVEL_INFO] = { "info", "<6>" },
	[LOG_LEVEL_DEBUG] = { "debug", "<7>" },
};

static _Atomic unsigned most_detailed = LOG_LEVEL_INFO;

void log_set_level(enum log_level most)
{
	atomic_store_explicit(&most_detailed, (unsigned)most, memory_order_relaxed);
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list args;

	if ((unsigned)level > atomic_load_explicit(&most_detailed, memory_order_relaxed))
		return;
	int n = snprintf(line, sizeof line, "%s%s %s ",
			 getenv("JOURNAL_STREAM") ? levels[level].journal : "", levels[level].name,
			 event);
	size_t at = (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
	va_start(args, fmt);
	n = vsnprintf(line + at, sizeof line - 1 - at, fmt, args);
	va_end(args);

	size_t len = strlen(line);
	/* A file's or interface's name must not begin a line of its own. */
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	if (n == 0)
		len--; /* the event alone: no blank at the end */
	line[len++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, len);
	(void)written; /* there is nobody left to tell */
}

const char *log_mask(const char *number, char buf[LOG_MASKED])
{
	size_t len = strlen(number), shown = len > 4 ? 2 : 0;
	size_t out = len < LOG_MASKED ? len : LOG_MASKED - 1;

	memset(buf, '*', out);
	for (size_t i = 0; i < shown; i++) {
		char c = number[len - shown + i];
		buf[out - shown + i] = (char)(c > ' ' && c < 0x7f ? c : '*');
	}
	buf[out] = '\0';
	return buf;
}
