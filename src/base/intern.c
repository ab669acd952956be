/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* intern.c: see intern.h.  Values lie in one array; a table finds them by their digest. */
#include "base/intern.h"

#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "base/table.h"

#define ALIGN 8

struct value {
	uint64_t digest[2];
	uint32_t holders; /* 0: free */
	uint32_t next;    /* of the free ones */
	uint8_t bytes[];
};

struct intern {
	struct table *index; /* owned: digest -> number */
	uint8_t *values;     /* owned */
	size_t bytes, stride;
	uint32_t max, used, free;
};

static struct value *value_at(const struct intern *t, uint32_t n)
{
	return (struct value *)(void *)(t->values + n * t->stride);
}

struct intern *intern_new(size_t bytes, uint32_t max)
{
	struct intern *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->bytes = bytes;
	t->stride = (sizeof(struct value) + bytes + ALIGN - 1) / ALIGN * ALIGN;
	t->max = max;
	t->free = INTERN_NONE;
	t->index = table_new(2, max);
	t->values = max > 0 ? pages_new(t->stride * max, NULL) : NULL;
	if (!t->index || !t->values) {
		intern_free(t);
		return NULL;
	}
	return t;
}

void intern_free(struct intern *t)
{
	if (!t)
		return;
	table_free(t->index);
	pages_free(t->values, t->stride * t->max);
	free(t);
}

uint32_t intern_take(struct intern *t, const void *value, size_t len)
{
	uint64_t digest[2];

	ASSERT(len <= t->bytes);
	table_digest(t->index, value, len, digest);
	uint32_t n = table_find(t->index, digest);
	if (n != TABLE_NONE) {
		intern_hold(t, n);
		return n;
	}
	if (t->free != INTERN_NONE) {
		n = t->free;
		t->free = value_at(t, n)->next;
	} else if (t->used < t->max) {
		n = t->used++;
	} else {
		return INTERN_NONE;
	}
	struct value *v = value_at(t, n);
	memcpy(v->digest, digest, sizeof digest);
	v->holders = 1;
	memcpy(v->bytes, value, len);
	memset(v->bytes + len, 0, t->bytes - len);
	ASSERT(table_put(t->index, digest, n));
	return n;
}

void intern_hold(struct intern *t, uint32_t n)
{
	if (n == INTERN_NONE)
		return;
	struct value *v = value_at(t, n);
	ASSERT(n < t->used && v->holders > 0 && v->holders < UINT32_MAX);
	v->holders++;
}

void intern_drop(struct intern *t, uint32_t n)
{
	if (n == INTERN_NONE)
		return;
	struct value *v = value_at(t, n);
	ASSERT(n < t->used && v->holders > 0);
	if (--v->holders > 0)
		return;
	ASSERT(table_remove(t->index, v->digest) == n);
	v->next = t->free;
	t->free = n;
}

const void *intern_at(const struct intern *t, uint32_t n)
{
	ASSERT(n < t->used && value_at(t, n)->holders > 0);
	return value_at(t, n)->bytes;
}

uint32_t intern_of(const struct intern *t, const void *p)
{
	uintptr_t at = (uintptr_t)p, first = (uintptr_t)t->values;
	if (at < first || at - first >= t->stride * t->used)
		return INTERN_NONE;
	return (uint32_t)((at - first) / t->stride);
}

uint32_t intern_count(const struct intern *t)
{
	return table_count(t->index);
}
