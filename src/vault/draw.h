/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* draw.h: a draw without bias that anyone can do again.  Private to src/vault.
 *
 * Every id that may be drawn is given the SHA-256 of "SEED ID": the seed in decimal digits, a space, the id in lower case
 * with its dashes.  The first N in the order of these hashes are drawn.  With a seed that nobody chose, every set of N is as
 * likely as any other; with the seed known, a stranger draws the same from the same list:
 *
 *   while read id; do echo "$(printf '%s %s' $SEED $id | sha256sum | cut -c1-64) $id"; done | sort | head -n $N
 *
 * By lines, the first N of each line are drawn.  Only what may still be drawn is kept in memory, however many are offered.
 */
#ifndef CALLSPAN_VAULT_DRAW_H
#define CALLSPAN_VAULT_DRAW_H

#include "vault/parts.h"

#define DRAW_MOST  1000  /* of a draw, or of a line of it */
#define DRAW_LINES 10000 /* lines, and calls drawn by lines */

struct draw;
struct draw *draw_new(uint64_t seed, size_t count);
void draw_free(struct draw *d);
/* Offer an id, for a line (NULL: there are no lines).  False: there are too many lines. */
bool draw_offer(struct draw *d, const struct uuid *id, const uint8_t line[PARTY_KEY]);
size_t draw_lines(const struct draw *d);
/* What is drawn: ids owned by the caller, in order of their hashes; by lines, one line's after another's, each id once. */
struct uuid *draw_result(struct draw *d, size_t *count);

#endif
