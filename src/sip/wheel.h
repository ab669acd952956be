/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* wheel.h: a coarse timer wheel in packet time.
 *
 * 4096 slots of 128 ms; an item beyond the last slot waits there and is set again.  Setting, moving
 * and removing cost the same however many items there are; a tick costs what is due.
 * Items live in their owners' structs; nothing is allocated.  Signalling thread.
 */
#ifndef CALLSPAN_SIP_WHEEL_H
#define CALLSPAN_SIP_WHEEL_H

#include "base/rc.h"

#define WHEEL_SLOTS   4096
#define WHEEL_SLOT_NS INT64_C(128000000)

struct wheel_item {
	struct wheel_item *next, *prev; /* NULL: not on the wheel */
	int64_t due_ns;
};

struct wheel {
	struct wheel_item slots[WHEEL_SLOTS]; /* heads of circular lists */
	int64_t turned; /* every slot up to this one (time / WHEEL_SLOT_NS) has been served */
	bool started;
};

void wheel_init(struct wheel *w);

/* Due at due_ns, or up to one slot later.  An item already on the wheel moves.  The wheel must
 * have been asked wheel_due() once, which tells it the time. */
void wheel_set(struct wheel *w, struct wheel_item *item, int64_t due_ns);
void wheel_remove(struct wheel_item *item);

/* One item whose time has come by now_ns, taken off the wheel, or NULL.  Call until NULL;
 * whoever sets an item again meanwhile sets it later than now_ns. */
struct wheel_item *wheel_due(struct wheel *w, int64_t now_ns);

#endif
