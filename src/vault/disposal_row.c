/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* disposal_row.c: what the index keeps of destroyed recordings.  On the vault's thread. */
#include <stdlib.h>
#include <string.h>

#include "store/disposal.pb-c.h"
#include "vault/disposal.h"

typedef Callspan__Disposal__DisposalRow row_message;
typedef Callspan__Disposal__DisposalNote note_message;

static const char note_key[] = "disposals";

void disposal_row_key(uint8_t key[17], const struct uuid *id)
{
	key[0] = 'd';
	memcpy(key + 1, id->b, 16);
}

void disposal_row_put(struct index_batch *b, struct disposal *d)
{
	uint8_t key[17], value[512];
	row_message m;
	callspan__disposal__disposal_row__init(&m);
	m.destroyed_us = d->destroyed_us;
	m.kind = d->kind;
	m.state = d->state;
	m.segment = d->segment;
	m.slot = d->slot;
	m.retention_class = d->class;
	m.start_us = d->start_us;
	m.end_us = d->end_us;
	m.expiry_us = d->expiry_us;
	ASSERT(callspan__disposal__disposal_row__get_packed_size(&m) <= sizeof value);
	size_t len = callspan__disposal__disposal_row__pack(&m, value);
	disposal_row_key(key, &d->id);
	index_batch_put(b, INDEX_META, key, sizeof key, value, len);
}

bool disposal_row_unpack(struct disposal *d, const uint8_t *value, size_t len)
{
	row_message *m = callspan__disposal__disposal_row__unpack(NULL, len, value);
	if (!m)
		return false;
	d->destroyed_us = m->destroyed_us;
	d->kind = m->kind < DISPOSAL_KINDS ? (enum disposal_kind)m->kind : DISPOSAL_EXPIRED;
	d->state = m->state == DISPOSAL_LIVE ? DISPOSAL_LIVE : DISPOSAL_DONE;
	snprintf(d->segment, sizeof d->segment, "%s", m->segment);
	d->slot = m->slot;
	snprintf(d->class, sizeof d->class, "%s", m->retention_class);
	d->start_us = m->start_us;
	d->end_us = m->end_us;
	d->expiry_us = m->expiry_us;
	callspan__disposal__disposal_row__free_unpacked(m, NULL);
	return true;
}

/* ---- how much of the file is known ---------------------------------------------------------------- */

void disposal_row_note(struct index_batch *b, uint64_t bytes, uint64_t count)
{
	note_message m;
	uint8_t value[32];
	callspan__disposal__disposal_note__init(&m);
	m.bytes = bytes;
	m.count = count;
	size_t len = callspan__disposal__disposal_note__pack(&m, value);
	index_batch_put(b, INDEX_META, note_key, sizeof note_key - 1, value, len);
}

enum rc disposal_row_read_note(struct vault *v, struct error *err)
{
	uint8_t *value;
	size_t len;
	v->disposals_end = v->disposals_count = 0;
	enum rc rc =
		index_get(v->index, INDEX_META, note_key, sizeof note_key - 1, &value, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	note_message *m = callspan__disposal__disposal_note__unpack(NULL, len, value);
	free(value);
	if (!m)
		return error_set(err, RC_DAMAGED, "the note of destroyed recordings is damaged");
	v->disposals_end = m->bytes;
	v->disposals_count = m->count;
	callspan__disposal__disposal_note__free_unpacked(m, NULL);
	return RC_OK;
}

/* ---- looking up ------------------------------------------------------------------------------- */

bool disposal_find(struct vault *v, const struct uuid *id, struct disposal *out)
{
	uint8_t key[17], *value;
	size_t len;
	struct error ignored; /* index_health() keeps it */
	disposal_row_key(key, id);
	if (index_get(v->index, INDEX_META, key, sizeof key, &value, &len, &ignored) != RC_OK)
		return false;
	if (out) {
		memset(out, 0, sizeof *out);
		out->id = *id;
		(void)disposal_row_unpack(out, value, len);
	}
	free(value);
	return true;
}

void disposal_followed(struct vault *v, struct index_batch *b, const struct uuid *id)
{
	struct disposal d;
	if (!disposal_find(v, id, &d) || d.state == DISPOSAL_DONE)
		return;
	d.state = DISPOSAL_DONE;
	disposal_row_put(b, &d);
}
