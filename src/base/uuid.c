/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* uuid.c: UUIDv7.  Any thread: random bytes are drawn from the kernel in batches, each thread
 * its own.
 *
 *     48 bits         4    12 bits                       2    62 bits
 *     Unix ms         7    fraction of the ms / 4096     2    random       (RFC 9562, 5.7)
 *
 * The fraction (RFC 9562, 6.2, method 3) makes ids of calls sort by their start to a
 * quarter of a microsecond.
 */
#include "base/uuid.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/net.h"

#define BATCH 256

static const int dash_before[] = { 4, 6, 8, 10 }; /* bytes of the id */

static bool has_dash(int byte)
{
	for (size_t i = 0; i < sizeof dash_before / sizeof dash_before[0]; i++)
		if (dash_before[i] == byte)
			return true;
	return false;
}

static void random_8(uint8_t out[8])
{
	static _Thread_local uint8_t batch[BATCH];
	static _Thread_local size_t used = BATCH;
	static _Thread_local pid_t owner;

	/* A forked child must not repeat its parent's ids. */
	if (used == BATCH || owner != getpid()) {
		ASSERT(getrandom(batch, BATCH, 0) == BATCH);
		used = 0;
		owner = getpid();
	}
	memcpy(out, batch + used, 8);
	used += 8;
}

struct uuid uuid_v7(int64_t ts_ns)
{
	struct uuid u;
	uint64_t ns = ts_ns > 0 ? (uint64_t)ts_ns : 0;
	uint64_t ms = ns / (uint64_t)NS_PER_MS;
	uint64_t fraction = ns % (uint64_t)NS_PER_MS * 4096 / (uint64_t)NS_PER_MS;

	for (int i = 0; i < 6; i++)
		u.b[i] = (uint8_t)(ms >> (40 - 8 * i));
	u.b[6] = (uint8_t)(0x70 | fraction >> 8);
	u.b[7] = (uint8_t)fraction;
	random_8(u.b + 8);
	u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
	return u;
}

const char *uuid_text(const struct uuid *u, char buf[UUID_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	char *p = buf;

	for (int i = 0; i < 16; i++) {
		if (has_dash(i))
			*p++ = '-';
		*p++ = hex[u->b[i] >> 4];
		*p++ = hex[u->b[i] & 15];
	}
	*p = '\0';
	return buf;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool uuid_parse(struct uuid *u, const char *text)
{
	struct uuid r;

	if (strnlen(text, UUID_TEXT) != UUID_TEXT - 1)
		return false;
	for (int i = 0; i < 16; i++) {
		if (has_dash(i) && *text++ != '-')
			return false;
		int high = hex_digit(text[0]), low = hex_digit(text[1]);
		if (high < 0 || low < 0)
			return false;
		r.b[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	*u = r;
	return true;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool uuid_is_nil(const struct uuid *u)
{
	static const struct uuid nil;

	return uuid_equal(u, &nil);
}
