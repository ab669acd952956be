/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* holds.c: see holds.h.  On the vault's thread. */
#include "vault/holds.h"

#include <stdlib.h>
#include <string.h>

#include "vault/ledger.h"

#define DAY_US  (INT64_C(86400) * 1000000)
#define TIE_KEY 33

static void tie_key(uint8_t key[TIE_KEY], char kind, const struct uuid *first,
		    const struct uuid *second)
{
	key[0] = (uint8_t)kind;
	memcpy(key + 1, first->b, 16);
	memcpy(key + 17, second->b, 16);
}

void holds_tie(struct vault *v, struct index_batch *b, const struct uuid *holder,
	       const struct uuid *call)
{
	uint8_t key[TIE_KEY];
	tie_key(key, 'c', call, holder);
	ledger_put(v, b, INDEX_HOLDS, key, sizeof key, NULL, 0);
	tie_key(key, 'h', holder, call);
	ledger_put(v, b, INDEX_HOLDS, key, sizeof key, NULL, 0);
}

/* The second id of each key kind ‖ first ‖ second, in order, until `each` returns false. */
static void walk(struct vault *v, char kind, const struct uuid *first, holds_each each, void *ctx)
{
	const struct uuid none = { { 0 } };
	uint8_t from[TIE_KEY];
	const uint8_t *key, *value;
	size_t key_len, value_len;
	bool more = true;
	tie_key(from, kind, first, &none);
	struct index_cursor *c = index_cursor_new(v->index, INDEX_HOLDS, from, sizeof from, false);
	while (more && index_cursor_next(c, &key, &key_len, &value, &value_len) &&
	       key_len == TIE_KEY && memcmp(key, from, 17) == 0) {
		struct uuid second;
		memcpy(second.b, key + 17, sizeof second.b);
		more = each(ctx, &second);
	}
	index_cursor_free(c);
}

struct holder_list {
	struct uuid *ids;
	size_t most, count;
};

static bool add_holder(void *ctx, const struct uuid *holder)
{
	struct holder_list *l = ctx;
	if (l->count < l->most)
		l->ids[l->count] = *holder;
	l->count++;
	return l->count < l->most;
}

size_t holds_of(struct vault *v, const struct uuid *call, struct uuid *holders, size_t most)
{
	struct holder_list l = { .ids = holders, .most = most };
	if (most)
		walk(v, 'c', call, add_holder, &l);
	return l.count;
}

enum rc holds_held(struct vault *v, const struct uuid *call, bool *held, struct error *err)
{
	struct uuid holder;
	*held = holds_of(v, call, &holder, 1) > 0;
	return index_health(v->index, err);
}

void holds_calls(struct vault *v, const struct uuid *holder, holds_each each, void *ctx)
{
	walk(v, 'h', holder, each, ctx);
}

/* ---- names --------------------------------------------------------------------------------------------- */

static void name_key(uint8_t key[17], const struct uuid *holder)
{
	key[0] = 'w';
	memcpy(key + 1, holder->b, 16);
}

void holds_name(struct vault *v, struct index_batch *b, const struct uuid *holder, const char *name)
{
	uint8_t key[17];
	name_key(key, holder);
	ledger_put(v, b, INDEX_HOLDS, key, sizeof key, name, strlen(name));
}

struct naming {
	struct vault *v;
	json_t *names;
};

static bool add_name(void *ctx, const struct uuid *holder)
{
	const struct naming *n = ctx;
	uint8_t key[17], *name;
	size_t len;
	struct error ignored; /* index_health() keeps it */
	name_key(key, holder);
	if (index_get(n->v->index, INDEX_HOLDS, key, sizeof key, &name, &len, &ignored) != RC_OK)
		return true;
	json_array_append_new(n->names, json_stringn((const char *)name, len));
	free(name);
	return true;
}

json_t *holds_names(struct vault *v, const struct uuid *call)
{
	struct naming n = { .v = v, .names = json_array() };
	walk(v, 'c', call, add_name, &n);
	return n.names;
}

/* ---- all that are held -------------------------------------------------------------------------------- */

struct uuid *holds_all(struct vault *v, size_t *count)
{
	static const uint8_t from[] = { 'c' };
	const uint8_t *key, *value;
	size_t key_len, value_len, n = 0, room = 0;
	struct uuid *ids = NULL;
	struct index_cursor *c = index_cursor_new(v->index, INDEX_HOLDS, from, sizeof from, false);
	while (index_cursor_next(c, &key, &key_len, &value, &value_len) && key_len == TIE_KEY &&
	       key[0] == from[0]) {
		if (n && memcmp(ids[n - 1].b, key + 1, 16) == 0)
			continue;
		if (n == room) {
			room = room ? 2 * room : 64;
			struct uuid *more = realloc(ids, room * sizeof *ids);
			ASSERT(more);
			ids = more;
		}
		memcpy(ids[n++].b, key + 1, 16);
	}
	index_cursor_free(c);
	*count = n;
	return ids;
}

/* ---- grace --------------------------------------------------------------------------------------------- */

static void grace_key(uint8_t key[17], const struct uuid *call)
{
	key[0] = 'g';
	memcpy(key + 1, call->b, 16);
}

int64_t holds_grace_us(struct vault *v, const struct uuid *call)
{
	uint8_t key[17], *value;
	size_t len;
	struct error ignored; /* index_health() keeps it */
	uint64_t us = 0;
	grace_key(key, call);
	if (index_get(v->index, INDEX_HOLDS, key, sizeof key, &value, &len, &ignored) != RC_OK)
		return 0;
	for (size_t i = 0; i < len; i++)
		us = us << 8 | value[i];
	free(value);
	return (int64_t)us;
}

/* All that is undone in one batch is undone at one time: so what is done twice to a call (its last two ties) is done
 * alike, and leaves one timer. */
static int64_t untie_time_us(struct vault *v)
{
	if (!v->untied_us)
		v->untied_us = vault_now_us(v);
	return v->untied_us;
}

/* Whichever of its ties is undone last gives the call the longest grace, so none needs to know of the others. */
static enum rc give_grace(struct vault *v, struct index_batch *b, const struct uuid *id,
			  struct error *err)
{
	uint8_t key[17], until[8];
	struct call *c;
	int64_t grace_us = untie_time_us(v) + v->policy.grace_days * DAY_US;
	enum rc rc = v->policy.grace_days ? catalogue_get(v, id, &c, err) : RC_NOT_FOUND;
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	grace_key(key, id);
	catalogue_be64(until, grace_us);
	ledger_put(v, b, INDEX_HOLDS, key, sizeof key, until, sizeof until);
	if (c->expiry_us && c->expiry_us < grace_us) {
		c->expiry_us = grace_us;
		catalogue_put(b, c, NULL);
	}
	call_row_free(c);
	return RC_OK;
}

static void drop_tie(struct vault *v, struct index_batch *b, const struct uuid *holder,
		     const struct uuid *call)
{
	uint8_t key[TIE_KEY];
	tie_key(key, 'c', call, holder);
	ledger_delete(v, b, INDEX_HOLDS, key, sizeof key);
	tie_key(key, 'h', holder, call);
	ledger_delete(v, b, INDEX_HOLDS, key, sizeof key);
}

bool holds_tied(struct vault *v, const struct uuid *holder, const struct uuid *call)
{
	uint8_t key[TIE_KEY], *value;
	size_t len;
	struct error ignored; /* index_health() keeps it */
	tie_key(key, 'c', call, holder);
	if (index_get(v->index, INDEX_HOLDS, key, sizeof key, &value, &len, &ignored) != RC_OK)
		return false;
	free(value);
	return true;
}

enum rc holds_untie(struct vault *v, struct index_batch *b, const struct uuid *holder,
		    const struct uuid *call, struct error *err)
{
	if (!holds_tied(v, holder, call))
		return index_health(v->index, err);
	drop_tie(v, b, holder, call);
	return give_grace(v, b, call, err);
}

struct untying {
	struct vault *v;
	struct index_batch *b;
	const struct uuid *holder;
	size_t count;
	enum rc rc;
	struct error *err;
};

static bool untie_one(void *ctx, const struct uuid *call)
{
	struct untying *u = ctx;
	u->count++;
	u->rc = holds_untie(u->v, u->b, u->holder, call, u->err);
	return u->rc == RC_OK;
}

enum rc holds_untie_all(struct vault *v, struct index_batch *b, const struct uuid *holder,
			size_t *count, struct error *err)
{
	struct untying u = { .v = v, .b = b, .holder = holder, .rc = RC_OK, .err = err };
	holds_calls(v, holder, untie_one, &u);
	if (count)
		*count = u.count;
	return u.rc == RC_OK ? index_health(v->index, err) : u.rc;
}

struct forgetting {
	struct vault *v;
	struct index_batch *b;
	const struct uuid *call;
};

static bool forget_one(void *ctx, const struct uuid *holder)
{
	const struct forgetting *f = ctx;
	drop_tie(f->v, f->b, holder, f->call);
	return true;
}

void holds_forget(struct vault *v, struct index_batch *b, const struct uuid *call)
{
	uint8_t key[17];
	struct forgetting f = { .v = v, .b = b, .call = call };
	walk(v, 'c', call, forget_one, &f);
	if (!holds_grace_us(v, call))
		return;
	grace_key(key, call);
	ledger_delete(v, b, INDEX_HOLDS, key, sizeof key);
}
