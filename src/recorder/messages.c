/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* messages.c: the outbox: ring first, a list of its own when the ring is full. */
#include "recorder/messages.h"

#include <stdlib.h>
#include <string.h>

struct outbox_item {
	struct outbox_item *next;
	size_t len; /* header included */
	_Alignas(8) uint8_t bytes[];
};

static void fill(void *to, enum message_kind kind, const void *body, size_t len)
{
	struct message head = { .kind = kind };
	memcpy(to, &head, sizeof head);
	memcpy((uint8_t *)to + sizeof head, body, len);
}

bool outbox_offer(struct outbox *o, enum message_kind kind, const void *body, size_t len)
{
	if (UNLIKELY(o->first && !outbox_flush(o)))
		return false;
	void *room = ring_reserve(o->ring, sizeof(struct message) + len);
	if (!room)
		return false;
	fill(room, kind, body, len);
	ring_commit(o->ring);
	return true;
}

void outbox_put(struct outbox *o, enum message_kind kind, const void *body, size_t len)
{
	if (outbox_offer(o, kind, body, len))
		return;
	struct outbox_item *item = malloc(sizeof *item + sizeof(struct message) + len);
	ASSERT(item); /* these messages are the record of calls: better stop than lose them unseen */
	item->next = NULL;
	item->len = sizeof(struct message) + len;
	fill(item->bytes, kind, body, len);
	if (o->last)
		o->last->next = item;
	else
		o->first = item;
	o->last = item;
	o->waiting++;
}

bool outbox_flush(struct outbox *o)
{
	while (o->first) {
		struct outbox_item *item = o->first;
		if (!ring_put(o->ring, item->bytes, item->len))
			return false;
		o->first = item->next;
		if (!o->first)
			o->last = NULL;
		o->waiting--;
		free(item);
	}
	return true;
}

void outbox_clear(struct outbox *o)
{
	while (o->first) {
		struct outbox_item *item = o->first;
		o->first = item->next;
		free(item);
	}
	o->last = NULL;
	o->waiting = 0;
}
