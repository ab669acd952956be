/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* intern.h: equal values are kept once, however many hold them.
 *
 *   holder ─┐                                values  | digest | holders 3 | bytes ... |
 *   holder ─┼─► number ─► value                      | digest | holders 1 | bytes ... |
 *   holder ─┘
 *
 * A value is bytes: who makes it from a struct leaves none of them to chance.  Found by a keyed digest of 128 bits, so
 * whoever sends packets can neither crowd one place nor make two values look the same.  All of it is mapped at
 * intern_new(); a value's page costs nothing until it is used, and values given up are used again, the last first.  Pointers
 * to a value are good as long as someone holds it.  One thread owns a set.
 */
#ifndef CALLSPAN_BASE_INTERN_H
#define CALLSPAN_BASE_INTERN_H

#include "base/rc.h"

struct intern;
#define INTERN_NONE UINT32_MAX

/* For up to `max` different values of up to `bytes` each.  NULL: memory is short. */
struct intern *intern_new(size_t bytes, uint32_t max);
void intern_free(struct intern *t);

/* Hold a value, which is copied if nobody does yet.  INTERN_NONE: there are `max` others. */
uint32_t intern_take(struct intern *t, const void *value, size_t len);
/* Once more; once less (INTERN_NONE: nothing). */
void intern_hold(struct intern *t, uint32_t n);
void intern_drop(struct intern *t, uint32_t n);

/* The value, zeros behind it (borrowed). */
const void *intern_at(const struct intern *t, uint32_t n);
/* Which value a pointer points into; INTERN_NONE: into none of them. */
uint32_t intern_of(const struct intern *t, const void *p);
/* Different values held now. */
uint32_t intern_count(const struct intern *t);

#endif
