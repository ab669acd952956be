/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* turn.h: several threads, one vault.  Private to src/vault.
 *
 * Whoever works in a vault has the turn, from the start of a request to its end; turns are taken in the order in which they
 * were asked for.  A request steps out where it works without the vault (audio is decoded or played, a passphrase is tried, a
 * slow caller is waited for), and gives way between the batches of a long loop.  It holds nothing of the vault there: no cursor, no batch with
 * something in it, no segment kept open; what it knew of rows may be another when it comes back.
 *
 *   vault_enter --- work --- vault_step_out ... vault_step_in --- work --- vault_leave
 *                                    others work
 *
 * A vault that was not shared is one thread's, and all of this does nothing.
 */
#ifndef CALLSPAN_VAULT_TURN_H
#define CALLSPAN_VAULT_TURN_H

#include "vault/parts.h"

/* From here on several threads may use it; before any of them does. */
void turn_share(struct vault *v);
void turn_free(struct vault *v); /* when none does any more */

#endif
