/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* wheel.c: see wheel.h. */
#include "sip/wheel.h"

void wheel_init(struct wheel *w)
{
	for (unsigned i = 0; i < WHEEL_SLOTS; i++)
		w->slots[i].next = w->slots[i].prev = &w->slots[i];
	w->turned = 0;
	w->started = false;
}

void wheel_remove(struct wheel_item *item)
{
	if (!item->next)
		return;
	item->next->prev = item->prev;
	item->prev->next = item->next;
	item->next = item->prev = NULL;
}

void wheel_set(struct wheel *w, struct wheel_item *item, int64_t due_ns)
{
	wheel_remove(item);
	item->due_ns = due_ns;
	int64_t turn = due_ns / WHEEL_SLOT_NS + 1; /* when this turn comes, due_ns has passed */
	ASSERT(w->started);
	if (turn <= w->turned)
		turn = w->turned + 1;
	if (turn > w->turned + WHEEL_SLOTS)
		turn = w->turned + WHEEL_SLOTS;
	struct wheel_item *head = &w->slots[(uint64_t)turn % WHEEL_SLOTS];
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}

struct wheel_item *wheel_due(struct wheel *w, int64_t now_ns)
{
	int64_t now = now_ns / WHEEL_SLOT_NS;
	if (!w->started) {
		w->turned = now;
		w->started = true;
	}
	/* After a pause longer than the wheel, one round serves every slot. */
	if (now > w->turned + WHEEL_SLOTS)
		w->turned = now - WHEEL_SLOTS;
	while (w->turned < now) {
		struct wheel_item *head = &w->slots[(uint64_t)(w->turned + 1) % WHEEL_SLOTS];
		struct wheel_item *item = head->next;
		if (item == head) {
			w->turned++;
			continue;
		}
		wheel_remove(item);
		if (item->due_ns <= now_ns)
			return item;
		wheel_set(w, item, item->due_ns); /* it was parked in the last slot */
	}
	return NULL;
}
