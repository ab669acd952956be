/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* hold.h: holds, that people make and release ("H-12").  Private to src/vault.
 *
 * A hold ties calls to itself (holds.h): given ones, those of a party in a span of time, or a conversation's.  Those of a
 * party may be standing: what is recorded later is caught when it is taken in, as is what joins a conversation.
 *
 *                              release, by one person
 *             .-----------------------------------------------------.
 *   active ---+--- asked, by the first of two --- by the second -----+--- ending --- ended
 *      '-----------------'  cancelled                                 ties undone, key destroyed
 *
 * Killed while it is ending, the next request goes on.  The row of an ended hold stays, without the party's number.
 *
 *   INDEX_HOLDS  'm' ‖ id           -> HoldRow
 *                'n' ‖ be64 number  -> id
 *                'a' ‖ id           -> (nothing): it has not ended
 */
#ifndef CALLSPAN_VAULT_HOLD_H
#define CALLSPAN_VAULT_HOLD_H

#include "vault/matter.h"
#include "vault/parts.h"

#define HOLD_TEXT          200    /* bytes of a reason or reference */
#define HOLD_NAME          24     /* "H-12" */
#define HOLD_CALLS         100000 /* a hold takes no more at once */
#define HOLD_CONVERSATIONS 16     /* that a conversation is followed into */

enum hold_kind { HOLD_GIVEN, HOLD_PARTY, HOLD_CONVERSATION };
enum hold_state { HOLD_ACTIVE, HOLD_ASKED, HOLD_ENDING, HOLD_ENDED };

struct hold {
	struct uuid id;
	uint64_t number;
	enum hold_kind kind;
	enum hold_state state;
	bool standing;
	int64_t since_us, until_us; /* until_us 0: no end */
	struct uuid conversations[HOLD_CONVERSATIONS];
	unsigned conversations_count;
	uint32_t matter; /* number of its key, and 1; 0: none */
	uint8_t sealed[PARTY_TEXT + MATTER_OVERHEAD];
	size_t sealed_len;
	uint8_t party_keys[2][PARTY_KEY];
	unsigned party_keys_count;
	char reason[HOLD_TEXT + 1], reference[HOLD_TEXT + 1], release_reason[HOLD_TEXT + 1];
	char by[PERSON_NAME], asked_by[PERSON_NAME], released_by[PERSON_NAME];
	int64_t added_us, asked_us, released_us;
	uint64_t released_calls;
};

/* ---- hold.c: rows ----------------------------------------------------------------------------------------- */

/* A new one of this kind, with its id and number, active. */
enum rc hold_new(struct vault *v, enum hold_kind kind, struct hold *h, struct error *err) MUST_USE;
/* Its row, through the ledger. */
void hold_put(struct vault *v, struct index_batch *b, const struct hold *h);
/* RC_NOT_FOUND: the holder is no hold. */
enum rc hold_get(struct vault *v, const struct uuid *id, struct hold *h,
		 struct error *err) MUST_USE;
/* The one of a name as "H-12".  RC_USAGE: there is none. */
enum rc hold_find(struct vault *v, const char *name, struct hold *h, struct error *err) MUST_USE;
const char *hold_name(const struct hold *h, char name[HOLD_NAME]);
const char *hold_state_name(enum hold_state s);
const char *hold_kind_name(enum hold_kind k);
/* Each of them, oldest first, or only those that have not ended, until `each` returns false. */
typedef bool (*hold_each)(void *ctx, const struct hold *h);
enum rc hold_walk(struct vault *v, bool all, hold_each each, void *ctx, struct error *err) MUST_USE;
/* How many calls are tied to it now. */
size_t hold_count(struct vault *v, const struct hold *h);
/* Give it a party: a key of its own, the party sealed, and hashes to match by. */
enum rc hold_seal(struct vault *v, struct hold *h, const char *party, struct error *err) MUST_USE;
/* The party in clear; "" when there is none, or none any more. */
enum rc hold_party(struct vault *v, const struct hold *h, char party[PARTY_TEXT],
		   struct error *err) MUST_USE;

/* ---- hold_pick.c: which calls a hold takes ------------------------------------------------------------------ */

struct hold_picks {
	struct uuid *ids; /* owned; each once */
	size_t count, room;
};
/* Calls of a party begun in a span of time that the person who asks may know of.  RC_FAILED: there are too many. */
enum rc hold_pick_party(const struct request *q, const char *party, int64_t since_us,
			int64_t until_us, struct hold_picks *p, struct error *err) MUST_USE;
/* Those of a conversation; q NULL: all of them. */
enum rc hold_pick_conversation(struct vault *v, const struct request *q,
			       const struct uuid *conversation, struct hold_picks *p,
			       struct error *err) MUST_USE;
enum rc hold_pick_add(struct hold_picks *p, const struct uuid *id, struct error *err) MUST_USE;
void hold_picks_free(struct hold_picks *p);

/* ---- hold_net.c: calls as they are taken in ------------------------------------------------------------------ */

/* The holds that catch.  Made for one ingest. */
struct hold_net;
enum rc hold_net_open(struct vault *v, struct hold_net **out, struct error *err) MUST_USE;
void hold_net_free(struct hold_net *n);
bool hold_net_empty(const struct hold_net *n);
/* Before the rows of a batch are put: a call has gone to another conversation; the holds of its old one go with it. */
enum rc hold_net_follow(struct hold_net *n, struct index_batch *b, const struct call *c,
			struct error *err) MUST_USE;
/* Tie a call whose row goes into this batch to each hold that it belongs to. */
void hold_net_catch(struct hold_net *n, struct index_batch *b, struct call *c);
/* The entry and the tie; who NULL: the system, as a call is taken in. */
void hold_tie(struct vault *v, struct index_batch *b, const struct hold *h,
	      const struct person *who, const struct uuid *call);

/* ---- hold_end.c ------------------------------------------------------------------------------------------------ */

/* Carry out the end of a hold whose row says that it is ending. */
enum rc hold_end(struct vault *v, struct hold *h, struct error *err) MUST_USE;
/* Go on with those that a kill has left ending. */
enum rc hold_end_pending(struct vault *v, struct error *err) MUST_USE;

/* ---- req_hold.c ------------------------------------------------------------------------------------------------- */

/* May the person who asks know of the hold: theirs, of no call yet, or of a call they may know of?  `all`: of each of its
 * calls. */
bool req_hold_sees(const struct request *q, const struct hold *h, bool all);
json_t *req_hold_json(const struct request *q, const struct hold *h);
/* A reason or reference: one line, not blank, not too long, and without the party's number. */
enum rc req_hold_text(const struct request *q, const char *member, const char *party, bool must,
		      char out[HOLD_TEXT + 1], struct error *err) MUST_USE;
/* One entry about a hold.  `b` NULL: committed at once. */
enum rc req_hold_note(const struct request *q, struct index_batch *b, const struct hold *h,
		      const char *action, const char *outcome, const char *detail,
		      struct error *err) MUST_USE;
enum rc req_hold_add_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_hold_add(const struct request *q, struct error *err) MUST_USE;
enum rc req_hold_list(const struct request *q, struct error *err) MUST_USE;
enum rc req_hold_show(const struct request *q, struct error *err) MUST_USE;
enum rc req_hold_release(const struct request *q, struct error *err) MUST_USE;
enum rc req_hold_cancel(const struct request *q, struct error *err) MUST_USE;

#endif
