/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* messages.c: the outbox: ring first, a list of its own when the ring is full. */
#include "recorder/messages.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct outbox_item {
	struct outbox_item *next;
	size_t len; /* header included */
	_Alignas(8) uint8_t bytes[];
};

/* A body in two parts, the second usually empty. */
struct body {
	enum message_kind kind;
	const void *first, *second; /* borrowed */
	size_t first_len, second_len;
};

static size_t whole_len(const struct body *b)
{
	return sizeof(struct message) + b->first_len + b->second_len;
}

static void fill(void *to, const struct body *b)
{
	struct message head = { .kind = b->kind };
	uint8_t *at = to;
	memcpy(at, &head, sizeof head);
	memcpy(at + sizeof head, b->first, b->first_len);
	if (b->second_len)
		memcpy(at + sizeof head + b->first_len, b->second, b->second_len);
}

static bool offer(struct outbox *o, const struct body *b)
{
	if (UNLIKELY(o->first && !outbox_flush(o)))
		return false;
	void *room = ring_reserve(o->ring, whole_len(b));
	if (!room)
		return false;
	fill(room, b);
	ring_commit(o->ring);
	return true;
}

bool outbox_offer(struct outbox *o, enum message_kind kind, const void *body, size_t len)
{
	return offer(o, &(struct body){ .kind = kind, .first = body, .first_len = len });
}

static void put(struct outbox *o, const struct body *b)
{
	if (offer(o, b))
		return;
	struct outbox_item *item = malloc(sizeof *item + whole_len(b));
	ASSERT(item); /* these messages are the record of calls: better stop than lose them unseen */
	item->next = NULL;
	item->len = whole_len(b);
	fill(item->bytes, b);
	if (o->last)
		o->last->next = item;
	else
		o->first = item;
	o->last = item;
	o->waiting++;
}

void outbox_put(struct outbox *o, enum message_kind kind, const void *body, size_t len)
{
	put(o, &(struct body){ .kind = kind, .first = body, .first_len = len });
}

_Static_assert(offsetof(struct call_message, record) == sizeof(uint64_t),
	       "a call's number and its record follow each other");

void outbox_put_call(struct outbox *o, uint64_t call, const struct call_record *r)
{
	put(o, &(struct body){ .kind = MESSAGE_CALL,
			       .first = &call,
			       .first_len = sizeof call,
			       .second = r,
			       .second_len = sizeof *r });
}

void outbox_put_signalling(struct outbox *o, uint64_t call, const struct signalling_record *r)
{
	const struct signalling_message m = { .call = call, .record = *r };
	put(o, &(struct body){ .kind = MESSAGE_SIGNALLING,
			       .first = &m,
			       .first_len = sizeof m,
			       .second = r->bytes,
			       .second_len = r->len });
}

/* It may hold keys and numbers. */
static void item_free(struct outbox_item *item)
{
	explicit_bzero(item->bytes, item->len);
	free(item);
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
		item_free(item);
	}
	return true;
}

void outbox_clear(struct outbox *o)
{
	while (o->first) {
		struct outbox_item *item = o->first;
		o->first = item->next;
		item_free(item);
	}
	o->last = NULL;
	o->waiting = 0;
}
