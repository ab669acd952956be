/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* inquiry.c: rows of requests and of their calls, and what is sealed in them.  See inquiry.h.  On the vault's thread. */
#include "vault/inquiry.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "vault/ledger.h"
#include "vault/matter.h"

#define ROW_KEY  5
#define CALL_KEY 21

const char *const inquiry_kinds[INQUIRY_KINDS] = { "subject-access", "authority" };
const char *const inquiry_events[INQUIRY_EVENTS] = { "open",    "verify-identity", "extend",
						     "refresh", "assess",          "authorise",
						     "fulfil",  "close",           "refuse" };
const char *const inquiry_decisions[INQUIRY_DECISIONS] = { "undecided", "release", "redact",
							   "withhold" };

/* ---- fields ------------------------------------------------------------------------------------------------ */

void inquiry_set(char **field, const char *text)
{
	if (*field != (const char *)protobuf_c_empty_string)
		free(*field);
	*field = strdup(text ? text : "");
	ASSERT(*field);
}

void inquiry_set_bytes(ProtobufCBinaryData *field, const void *bytes, size_t len)
{
	free(field->data);
	field->data = malloc(len + 1);
	ASSERT(field->data);
	if (len)
		memcpy(field->data, bytes, len);
	field->len = len;
}

static void row_key(uint8_t key[ROW_KEY], char kind, uint32_t number)
{
	key[0] = (uint8_t)kind;
	put_u32(key + 1, number);
}

static void call_key(uint8_t key[CALL_KEY], const inquiry_row *r, const struct uuid *id)
{
	row_key(key, 'a', r->number);
	memcpy(key + ROW_KEY, id->b, sizeof id->b);
}

/* ---- requests ------------------------------------------------------------------------------------------------ */

const char *inquiry_name(const inquiry_row *r, char name[INQUIRY_NAME])
{
	(void)snprintf(name, INQUIRY_NAME, "R-%u", r->number);
	return name;
}

struct uuid inquiry_id(const inquiry_row *r)
{
	struct uuid id;
	ASSERT(r->id.len == sizeof id.b); /* unpack_row() saw to that */
	memcpy(id.b, r->id.data, sizeof id.b);
	return id;
}

void inquiry_free(inquiry_row *r)
{
	if (r)
		callspan__inquiry__inquiry_row__free_unpacked(r, NULL);
}

static inquiry_row *unpack_row(const uint8_t *bytes, size_t len)
{
	inquiry_row *r = callspan__inquiry__inquiry_row__unpack(NULL, len, bytes);
	bool good = r && r->id.len == 16 && r->kind < INQUIRY_KINDS && r->state != INQUIRY_NEW &&
		    r->state <= INQUIRY_REFUSED;
	for (size_t i = 0; good && i < r->n_steps; i++)
		good = r->steps[i]->event < INQUIRY_EVENTS;
	if (good)
		return r;
	inquiry_free(r);
	return NULL;
}

static enum rc damaged(struct error *err)
{
	return error_set(err, RC_DAMAGED, "a request's row is damaged");
}

/* The number behind the last one. */
static enum rc next_number(struct vault *v, uint32_t *number, struct error *err)
{
	uint8_t last[ROW_KEY];
	const uint8_t *key, *value;
	size_t key_len, value_len;
	row_key(last, 'i', UINT32_MAX);
	struct index_cursor *c =
		index_cursor_new(v->index, INDEX_REQUESTS, last, sizeof last, true);
	*number = 1;
	if (index_cursor_next(c, &key, &key_len, &value, &value_len) && key_len == ROW_KEY &&
	    key[0] == 'i') {
		struct bytes b = bytes_over(key + 1, 4);
		*number = bytes_u32(&b) + 1;
	}
	index_cursor_free(c);
	return index_health(v->index, err);
}

enum rc inquiry_new(struct vault *v, inquiry_row **out, struct error *err)
{
	uint32_t number, matter = 0;
	enum rc rc = next_number(v, &number, err);
	if (rc == RC_OK)
		rc = matter_new(v, &matter, err);
	if (rc != RC_OK)
		return rc;
	inquiry_row *r = calloc(1, sizeof *r);
	ASSERT(r);
	callspan__inquiry__inquiry_row__init(r);
	const struct uuid id = uuid_v7(vault_now_us(v) * 1000);
	inquiry_set_bytes(&r->id, id.b, sizeof id.b);
	r->number = number;
	r->matter = matter;
	*out = r;
	return RC_OK;
}

/* The number of "R-7" (or "r-7", or 7); 0: it is none. */
static uint32_t number_of(const char *name)
{
	char *end;
	if ((name[0] == 'R' || name[0] == 'r') && name[1] == '-')
		name += 2;
	if (*name < '1' || *name > '9')
		return 0;
	unsigned long n = strtoul(name, &end, 10);
	return *end || n > UINT32_MAX ? 0 : (uint32_t)n;
}

enum rc inquiry_load(struct vault *v, const char *name, inquiry_row **out, struct error *err)
{
	uint8_t key[ROW_KEY], *bytes;
	size_t len;
	uint32_t number = name ? number_of(name) : 0;
	if (!number)
		return error_set(err, RC_USAGE, "which request? Its number is wanted, as R-7");
	row_key(key, 'i', number);
	enum rc rc = index_get(v->index, INDEX_REQUESTS, key, sizeof key, &bytes, &len, err);
	if (rc == RC_NOT_FOUND)
		return error_set(err, RC_USAGE, "there is no request R-%u", number);
	if (rc != RC_OK)
		return rc;
	*out = unpack_row(bytes, len);
	free(bytes);
	return *out ? RC_OK : damaged(err);
}

void inquiry_put(struct vault *v, struct index_batch *b, const inquiry_row *r)
{
	uint8_t key[ROW_KEY];
	size_t len = callspan__inquiry__inquiry_row__get_packed_size(r);
	uint8_t *bytes = malloc(len + 1);
	ASSERT(bytes);
	callspan__inquiry__inquiry_row__pack(r, bytes);
	row_key(key, 'i', r->number);
	ledger_put(v, b, INDEX_REQUESTS, key, sizeof key, bytes, len);
	free(bytes);
}

enum rc inquiry_walk(struct vault *v, inquiry_each each, void *ctx, struct error *err)
{
	uint8_t from[ROW_KEY];
	const uint8_t *key, *value;
	size_t key_len, value_len;
	bool more = true;
	enum rc rc = RC_OK;
	row_key(from, 'i', 0);
	struct index_cursor *c =
		index_cursor_new(v->index, INDEX_REQUESTS, from, sizeof from, false);
	while (more && rc == RC_OK && index_cursor_next(c, &key, &key_len, &value, &value_len) &&
	       key_len == ROW_KEY && key[0] == 'i') {
		inquiry_row *r = unpack_row(value, value_len);
		if (!r)
			rc = damaged(err);
		else
			more = each(ctx, r);
		inquiry_free(r);
	}
	index_cursor_free(c);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}

/* ---- their calls ------------------------------------------------------------------------------------------------ */

void inquiry_call_free(inquiry_call *c)
{
	if (c)
		callspan__inquiry__inquiry_call__free_unpacked(c, NULL);
}

static inquiry_call *unpack_call(const uint8_t *bytes, size_t len)
{
	inquiry_call *c = callspan__inquiry__inquiry_call__unpack(NULL, len, bytes);
	if (c && c->decision < INQUIRY_DECISIONS && c->given <= INQUIRY_EXPORTED)
		return c;
	inquiry_call_free(c);
	return NULL;
}

enum rc inquiry_call_load(struct vault *v, const inquiry_row *r, const struct uuid *id,
			  inquiry_call **out, struct error *err)
{
	uint8_t key[CALL_KEY], *bytes;
	size_t len;
	call_key(key, r, id);
	enum rc rc = index_get(v->index, INDEX_REQUESTS, key, sizeof key, &bytes, &len, err);
	if (rc != RC_OK)
		return rc;
	*out = unpack_call(bytes, len);
	free(bytes);
	return *out ? RC_OK : damaged(err);
}

void inquiry_call_put(struct vault *v, struct index_batch *b, const inquiry_row *r,
		      const struct uuid *id, const inquiry_call *c)
{
	uint8_t key[CALL_KEY];
	size_t len = callspan__inquiry__inquiry_call__get_packed_size(c);
	uint8_t *bytes = malloc(len + 1);
	ASSERT(bytes);
	callspan__inquiry__inquiry_call__pack(c, bytes);
	call_key(key, r, id);
	ledger_put(v, b, INDEX_REQUESTS, key, sizeof key, bytes, len);
	free(bytes);
}

enum rc inquiry_calls(struct vault *v, const inquiry_row *r, inquiry_each_call each, void *ctx,
		      struct error *err)
{
	const struct uuid none = { { 0 } };
	uint8_t from[CALL_KEY];
	const uint8_t *key, *value;
	size_t key_len, value_len;
	bool more = true;
	enum rc rc = RC_OK;
	call_key(from, r, &none);
	struct index_cursor *c =
		index_cursor_new(v->index, INDEX_REQUESTS, from, sizeof from, false);
	while (more && rc == RC_OK && index_cursor_next(c, &key, &key_len, &value, &value_len) &&
	       key_len == CALL_KEY && memcmp(key, from, ROW_KEY) == 0) {
		struct uuid id;
		memcpy(id.b, key + ROW_KEY, sizeof id.b);
		inquiry_call *call = unpack_call(value, value_len);
		if (!call)
			rc = damaged(err);
		else
			more = each(ctx, &id, call);
		inquiry_call_free(call);
	}
	index_cursor_free(c);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}

struct dropping {
	struct vault *v;
	struct index_batch *batch;
	const inquiry_row *row;
};

static bool drop_call(void *ctx, const struct uuid *id, const inquiry_call *c)
{
	const struct dropping *d = ctx;
	uint8_t key[CALL_KEY];
	(void)c;
	call_key(key, d->row, id);
	ledger_delete(d->v, d->batch, INDEX_REQUESTS, key, sizeof key);
	return true;
}

enum rc inquiry_drop_calls(struct vault *v, struct index_batch *b, const inquiry_row *r,
			   struct error *err)
{
	struct dropping d = { v, b, r };
	return inquiry_calls(v, r, drop_call, &d, err);
}

/* ---- what is sealed --------------------------------------------------------------------------------------------- */

enum rc inquiry_seal(struct vault *v, const inquiry_row *r, const struct uuid *id, const void *text,
		     size_t len, ProtobufCBinaryData *field, struct error *err)
{
	uint8_t *sealed = malloc(len + MATTER_OVERHEAD);
	ASSERT(sealed);
	enum rc rc = matter_seal(v, r->matter, id, text, len, sealed, err);
	if (rc == RC_OK)
		inquiry_set_bytes(field, sealed, len + MATTER_OVERHEAD);
	if (rc == RC_NOT_FOUND)
		rc = error_set(err, RC_FAILED,
			       "R-%u was being ended and its key is gone: close or refuse it again",
			       r->number);
	free(sealed);
	return rc;
}

uint8_t *inquiry_unseal(struct vault *v, const inquiry_row *r, const struct uuid *id,
			const ProtobufCBinaryData *field, size_t *len)
{
	struct error ignored; /* what is gone with its key is not known any more */
	if (field->len < MATTER_OVERHEAD)
		return NULL;
	*len = field->len - MATTER_OVERHEAD;
	uint8_t *text = malloc(*len + 1);
	ASSERT(text);
	text[*len] = '\0';
	if (matter_open(v, r->matter, id, field->data, field->len, text, &ignored) == RC_OK)
		return text;
	free(text);
	return NULL;
}

inquiry_person *inquiry_who(struct vault *v, const inquiry_row *r)
{
	size_t len;
	const struct uuid id = inquiry_id(r);
	uint8_t *text = inquiry_unseal(v, r, &id, &r->sealed, &len);
	if (!text)
		return NULL;
	inquiry_person *p = callspan__inquiry__inquiry_person__unpack(NULL, len, text);
	forget_bytes(text, len);
	free(text);
	return p;
}

static void wipe(char *text)
{
	if (*text)
		forget_bytes(text, strlen(text));
}

void inquiry_who_free(inquiry_person *p)
{
	if (!p)
		return;
	wipe(p->party);
	wipe(p->requester);
	wipe(p->note);
	callspan__inquiry__inquiry_person__free_unpacked(p, NULL);
}
