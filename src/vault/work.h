/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* work.h: requests of the service's callers, each on a thread of its own.  Private to src/vault.
 *
 * A request comes as the JSON object that vault_request() takes, with two differences: it may not name a descriptor ("fd" is
 * refused: it would be one of the service), and with "stream": true what the request writes to its file is part of the
 * reply.  The reply is lines, each a JSON object, in a spool (docs/http.md):
 *
 *   {"reply":{...}}                    as often as there is something to say
 *   {"bytes":N}                        once, where a stream was asked for: N bytes follow as they are
 *   {"verdict":"done"}                 last; else failed, usage, refused, damaged or again, with "error":"one line"
 *
 * One person's requests hinder nobody else: at most WORK_PLACES of them are in the vault, or wait for it, at once, and
 * WORK_OF_ONE are there at all; one whose caller has gone leaves the queue; and a refusal, which costs an audit entry, is told
 * after a pause.
 */
#ifndef CALLSPAN_VAULT_WORK_H
#define CALLSPAN_VAULT_WORK_H

#include "vault/spool.h"
#include "vault/parts.h"

#define WORK_PLACES 4
#define WORK_OF_ONE                                                                                \
	32 /* requests of one person that are begun, or wait for a place; of root there may be more */

/* Who is at the other end of a connection. */
struct work_caller {
	uid_t uid;
	bool nameless; /* the system has no name for this uid, or none that fits */
	char person[PERSON_NAME];
};
/* Who has this uid, by the system's name for it (NULL: none).  A name is never cut: it would be another's. */
void work_caller_name(struct work_caller *who, const char *name);
/* Whose share of anything they use.  A user may have thousands of uids without a name (subuid(5)): these share one. */
uid_t work_share(const struct work_caller *who);

struct works;
struct works *works_new(struct vault *v); /* v: shared (turn.h), borrowed */
/* Begin with a request (moved); gives the spool to take the reply from, and to let go of.  NULL: not now,
 * the service ends or this person has too many. */
struct spool *works_begin(struct works *w, const struct work_caller *who, json_t *request);
/* Let go of a spool that works_begin() gave: a request that still waits for a place is given up. */
void works_let_go(struct works *w, struct spool *s);
/* Begin nothing more, and wait for what goes on; after patience_ms ask it to stop, and wait as long again.  False: something
 * still works in the vault. */
bool works_finish(struct works *w, int patience_ms);
void works_free(struct works *w);

#endif
