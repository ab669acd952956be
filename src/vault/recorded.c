/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* recorded.c: a call's digest in the audit trail, so that a recording altered later shows.
 *
 *   INDEX_META 'r' ‖ id -> Recorded: which entry, and the digest in it
 *
 * On the vault's thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/index.pb-c.h"
#include "vault/audit_check.h"
#include "vault/entry.h"
#include "vault/parts.h"

typedef Callspan__Index__Recorded recorded_message;

static void recorded_key(uint8_t key[17], const struct call *c)
{
	key[0] = 'r';
	memcpy(key + 1, c->r.id.b, 16);
}

/* NULL: the trail says nothing of it. */
static recorded_message *load(struct vault *v, const struct call *c)
{
	uint8_t key[17], *value;
	size_t len;
	struct error ignored;
	recorded_key(key, c);
	if (index_get(v->index, INDEX_META, key, sizeof key, &value, &len, &ignored) != RC_OK)
		return NULL;
	recorded_message *m = callspan__index__recorded__unpack(NULL, len, value);
	free(value);
	return m;
}

static bool is_noted(struct vault *v, const struct call *c)
{
	recorded_message *m = load(v, c);
	bool same = m && m->digest.len == 32 && memcmp(m->digest.data, c->digest, 32) == 0;
	callspan__index__recorded__free_unpacked(m, NULL);
	return same;
}

void recorded_note(struct vault *v, struct index_batch *b, const struct call *c)
{
	char digest[65], detail[SEGMENT_NAME + 96];
	uint8_t key[17], value[64], copy[32];
	if (c->r.state != CALL_ENDED || is_noted(v, c))
		return;
	keys_hex(digest, c->digest, 32);
	snprintf(detail, sizeof detail, "digest=%s segment=%s", digest, c->segment);
	recorded_message m;
	callspan__index__recorded__init(&m);
	m.entry = audit_note(
		v, b,
		&(struct audit_entry){ .action = "recorded",
				       .call = &c->r.id,
				       .outcome = c->attested ? "attested" : "unattested",
				       .detail = detail });
	memcpy(copy, c->digest, 32);
	m.digest = (ProtobufCBinaryData){ 32, copy };
	size_t len = callspan__index__recorded__pack(&m, value);
	recorded_key(key, c);
	index_batch_put(b, INDEX_META, key, sizeof key, value, len);
}

bool recorded_digest(struct vault *v, const struct call *c, char digest[65])
{
	char *text;
	size_t len;
	struct error ignored;
	recorded_message *m = load(v, c);
	uint64_t number = m ? m->entry : 0;
	callspan__index__recorded__free_unpacked(m, NULL);
	if (!number || audit_text(v, number, &text, &len, &ignored) != RC_OK)
		return false;
	struct entry x = { 0 };
	bool good = entry_read(&x, text, len) && x.e.call && uuid_equal(x.e.call, &c->r.id) &&
		    x.e.detail && sscanf(x.e.detail, "digest=%64[0-9a-f]", digest) == 1;
	entry_free(&x);
	free(text);
	return good;
}
