/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* uuid.h: ids as UUIDv7 (RFC 9562, 5.7): time first, so that they sort by it. */
#ifndef CALLSPAN_BASE_UUID_H
#define CALLSPAN_BASE_UUID_H

#include "base/rc.h"

struct uuid {
	uint8_t b[16];
};

#define UUID_TEXT 37

/* From a time (Unix ns; packet time for calls), kept to 1/4096 ms, and 62 random bits. */
struct uuid uuid_v7(int64_t ts_ns);
const char *uuid_text(const struct uuid *u, char buf[UUID_TEXT]); /* lower case, with dashes */
bool uuid_parse(struct uuid *u, const char *text);                /* exactly 36 characters */
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *u);

#endif
