/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* erasure.c: see erasure.h.  On the vault's thread. */
#include "vault/erasure.h"

#include <stdlib.h>
#include <string.h>

#include "store/disposal.pb-c.h"
#include "vault/ledger.h"

static void row_key(uint8_t key[17], const struct uuid *call)
{
	key[0] = 'E';
	memcpy(key + 1, call->b, 16);
}

bool erasure_get(struct vault *v, const struct uuid *call, struct erasure *out)
{
	uint8_t key[17], *value;
	size_t len;
	struct error ignored; /* index_health() keeps it */
	row_key(key, call);
	if (index_get(v->index, INDEX_REQUESTS, key, sizeof key, &value, &len, &ignored) != RC_OK)
		return false;
	Callspan__Disposal__EraseRow *m = callspan__disposal__erase_row__unpack(NULL, len, value);
	free(value);
	if (!m)
		return false;
	snprintf(out->person, sizeof out->person, "%s", m->person);
	out->asked_us = m->asked_us;
	snprintf(out->reason, sizeof out->reason, "%s", m->reason);
	callspan__disposal__erase_row__free_unpacked(m, NULL);
	return true;
}

void erasure_put(struct vault *v, struct index_batch *b, const struct uuid *call,
		 const struct erasure *e)
{
	struct erasure copy = *e;
	Callspan__Disposal__EraseRow m;
	uint8_t key[17], value[PERSON_NAME + ERASURE_REASON + 32];
	callspan__disposal__erase_row__init(&m);
	m.person = copy.person;
	m.asked_us = copy.asked_us;
	m.reason = copy.reason;
	ASSERT(callspan__disposal__erase_row__get_packed_size(&m) <= sizeof value);
	size_t len = callspan__disposal__erase_row__pack(&m, value);
	row_key(key, call);
	ledger_put(v, b, INDEX_REQUESTS, key, sizeof key, value, len);
}

bool erasure_any(struct vault *v)
{
	static const uint8_t from[] = { 'E' };
	const uint8_t *key, *value;
	size_t key_len, value_len;
	struct index_cursor *c =
		index_cursor_new(v->index, INDEX_REQUESTS, from, sizeof from, false);
	bool any = index_cursor_next(c, &key, &key_len, &value, &value_len) && key_len == 17 &&
		   key[0] == from[0];
	index_cursor_free(c);
	return any;
}

void erasure_forget(struct vault *v, struct index_batch *b, const struct uuid *call)
{
	struct erasure e;
	uint8_t key[17];
	if (!erasure_get(v, call, &e))
		return;
	row_key(key, call);
	ledger_delete(v, b, INDEX_REQUESTS, key, sizeof key);
}
