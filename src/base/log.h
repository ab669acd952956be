/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* log.h: one line an event on standard error (the journal's input).
 *
 *   level event key=value key="value with spaces"
 *
 * The event's name comes first.  No number, name, SIP URI or key is ever logged; where a
 * number helps, it goes through log_mask().  Safe from any thread (one write a line).
 */
#ifndef CALLSPAN_BASE_LOG_H
#define CALLSPAN_BASE_LOG_H

#include "base/rc.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* What is written; less important lines are dropped.  Default: INFO. */
void log_set_level(enum log_level most);

/* log_error("disk-full", "segment=%s free=%ju", name, free); */
void log_line(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define log_error(event, ...)   log_line(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_line(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(event, ...)    log_line(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)   log_line(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/* A number or user part with all but its last two characters starred ("*******89"); of four
 * characters or fewer nothing is shown.  Returns buf. */
#define LOG_MASKED 24
const char *log_mask(const char *number, char buf[LOG_MASKED]);

#endif
