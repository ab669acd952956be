/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* nearest.h: which name somebody meant who mistyped one.  Pure; not for the packet path.
 */
#ifndef CALLSPAN_BASE_NEAREST_H
#define CALLSPAN_BASE_NEAREST_H

#include <stddef.h>

#define NEAREST_WORD 48 /* characters that are looked at; a longer word is near to none */

/* How many characters must be put in, left out or changed to make one of the other (Levenshtein). */
size_t nearest_difference(const char *a, const char *b);
/* Of `names`, the one that differs from `word` least, if by little (a third of it, and one); NULL: none is near.
 * Borrowed from `names`. */
const char *nearest_of(const char *word, const char *const *names, size_t count);

#endif
