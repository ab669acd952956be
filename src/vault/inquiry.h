/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* inquiry.h: requests of persons and authorities for recordings ("R-7"), and the way they go.  Private to src/vault.
 *
 *   open ─┬─ verify-identity ─┬─ authorise ── fulfil, call by call ── close
 *         └─ assess each call ┘                         (or refuse, until something was given)
 *
 * What it finds of the party's calls is tied to it (holds.h), so that no purge takes them while it is open.  Who asks, and for
 * whose calls, is sealed under a key of its own (matter.h); when it ends the key is destroyed and the ties are undone, and
 * what remains says when, what kind, who decided what on which ground, and how many.
 *
 *   INDEX_REQUESTS  'i' ‖ be32 number            -> InquiryRow
 *                   'a' ‖ be32 number ‖ call id  -> InquiryCall
 *
 * All of it goes through the ledger.  A number is never used twice, for rows of 'i' stay.
 */
#ifndef CALLSPAN_VAULT_INQUIRY_H
#define CALLSPAN_VAULT_INQUIRY_H

#include "store/inquiry.pb-c.h"
#include "vault/parts.h"

#define INQUIRY_TEXT  500 /* bytes of a reason or note */
#define INQUIRY_NAME  16  /* "R-4294967295" */
#define INQUIRY_CALLS 10000

enum inquiry_kind { INQUIRY_SUBJECT_ACCESS, INQUIRY_AUTHORITY };
enum inquiry_state {
	INQUIRY_NEW,
	INQUIRY_OPEN,
	INQUIRY_AUTHORISED,
	INQUIRY_CLOSED,
	INQUIRY_REFUSED
};
enum inquiry_event {
	INQUIRY_DO_OPEN,
	INQUIRY_DO_IDENTIFY,
	INQUIRY_DO_EXTEND,
	INQUIRY_DO_REFRESH,
	INQUIRY_DO_ASSESS,
	INQUIRY_DO_AUTHORISE,
	INQUIRY_DO_FULFIL,
	INQUIRY_DO_CLOSE,
	INQUIRY_DO_REFUSE,
	INQUIRY_EVENTS
};
enum inquiry_decision { INQUIRY_UNDECIDED, INQUIRY_RELEASE, INQUIRY_REDACT, INQUIRY_WITHHOLD };
enum inquiry_giving { INQUIRY_NOT_GIVEN, INQUIRY_HEARD, INQUIRY_EXPORTED };

/* As the command line spells them. */
#define INQUIRY_KINDS     2
#define INQUIRY_DECISIONS 4
extern const char *const inquiry_kinds[INQUIRY_KINDS];
extern const char *const inquiry_events[INQUIRY_EVENTS];
extern const char *const inquiry_decisions[INQUIRY_DECISIONS];

/* Rows are the messages themselves, owned, with everything in them on the heap. */
typedef Callspan__Inquiry__InquiryRow inquiry_row;
typedef Callspan__Inquiry__InquiryStep inquiry_step;
typedef Callspan__Inquiry__InquiryCall inquiry_call;
typedef Callspan__Inquiry__InquiryPerson inquiry_person;
typedef Callspan__Inquiry__InquiryFigures inquiry_figures;

/* ---- inquiry.c: rows --------------------------------------------------------------------------------------- */

/* Put a copy of a text in the place of what a message has. */
void inquiry_set(char **field, const char *text);
/* The same of bytes. */
void inquiry_set_bytes(ProtobufCBinaryData *field, const void *bytes, size_t len);

/* A new one, with its number and id, and a key of its own. */
enum rc inquiry_new(struct vault *v, inquiry_row **out, struct error *err) MUST_USE;
/* The one of a name as "R-7".  RC_USAGE: no such request. */
enum rc inquiry_load(struct vault *v, const char *name, inquiry_row **out,
		     struct error *err) MUST_USE;
void inquiry_free(inquiry_row *r);
void inquiry_put(struct vault *v, struct index_batch *b, const inquiry_row *r);
const char *inquiry_name(const inquiry_row *r, char name[INQUIRY_NAME]);
struct uuid inquiry_id(const inquiry_row *r);
/* Each of them, oldest first, until `each` returns false. */
typedef bool (*inquiry_each)(void *ctx, const inquiry_row *r);
enum rc inquiry_walk(struct vault *v, inquiry_each each, void *ctx, struct error *err) MUST_USE;

/* A call of it.  RC_NOT_FOUND: it has no such call. */
enum rc inquiry_call_load(struct vault *v, const inquiry_row *r, const struct uuid *id,
			  inquiry_call **out, struct error *err) MUST_USE;
void inquiry_call_free(inquiry_call *c);
void inquiry_call_put(struct vault *v, struct index_batch *b, const inquiry_row *r,
		      const struct uuid *id, const inquiry_call *c);
typedef bool (*inquiry_each_call)(void *ctx, const struct uuid *id, const inquiry_call *c);
enum rc inquiry_calls(struct vault *v, const inquiry_row *r, inquiry_each_call each, void *ctx,
		      struct error *err) MUST_USE;
/* Take its calls from it. */
enum rc inquiry_drop_calls(struct vault *v, struct index_batch *b, const inquiry_row *r,
			   struct error *err) MUST_USE;

/* A text sealed under its key, for `id`: into a field of a row, and out of it (owned; NULL: there is none, or it is gone
 * with its key). */
enum rc inquiry_seal(struct vault *v, const inquiry_row *r, const struct uuid *id, const void *text,
		     size_t len, ProtobufCBinaryData *field, struct error *err) MUST_USE;
uint8_t *inquiry_unseal(struct vault *v, const inquiry_row *r, const struct uuid *id,
			const ProtobufCBinaryData *field, size_t *len);
/* Who asks.  NULL: that is not known any more. */
inquiry_person *inquiry_who(struct vault *v, const inquiry_row *r);
void inquiry_who_free(inquiry_person *p);

/* ---- inquiry_figures.c: how far it has come, and when it is due --------------------------------------------- */

/* Its calls by what became of them.  `f` is owned: inquiry_figures_free(). */
enum rc inquiry_count(struct vault *v, const inquiry_row *r, inquiry_figures **f,
		      struct error *err) MUST_USE;
void inquiry_figures_free(inquiry_figures *f);
bool inquiry_has_step(const inquiry_row *r, enum inquiry_event event);
/* "opened", "identified", "assessed", "authorised", "fulfilled", "closed" or "refused". */
const char *inquiry_progress(const inquiry_row *r, const inquiry_figures *f);
/* The day a time is of (its midnight), and that day so many months later. */
int64_t inquiry_day(int64_t us);
int64_t inquiry_due(int64_t day_us, uint32_t months);
/* Its day has passed, and not everything was given or refused. */
bool inquiry_overdue(const struct vault *v, const inquiry_row *r, const inquiry_figures *f);

/* ---- inquiry_find.c ------------------------------------------------------------------------------------------ */

/* Calls of a party that began in a span of time, each once, at most INQUIRY_CALLS; owned by the caller.  RC_FAILED: there
 * are more. */
enum rc inquiry_find(struct vault *v, const inquiry_person *who, struct uuid **ids, size_t *count,
		     struct error *err) MUST_USE;

/* ---- inquiry_act.c: the way it goes --------------------------------------------------------------------------- */

/* Do one thing with the request that q names, with its audit entry; *out (owned) as it is then. */
enum rc inquiry_act(const struct request *q, enum inquiry_event event, inquiry_row **out,
		    struct error *err) MUST_USE;

/* While something is done with it. */
struct inquiry_doing {
	const struct request *q;
	inquiry_row *row;
	struct index_batch *batch;
	bool stays;       /* nothing changed: neither does its state */
	struct uuid call; /* nil, or the one it is about */
	uint32_t calls;
	const char *reason; /* stays in the row; NULL: none */
	const char *secret; /* goes with its key; NULL: none */
	char detail[200];   /* for the audit entry */
};

/* inquiry_words.c */
/* A text of at most `most` bytes that says something; `what` asks for it, NULL: it may be missing. */
enum rc inquiry_take_text(const struct request *q, const char *member, size_t most,
			  const char *what, const char **out, struct error *err) MUST_USE;
/* One of a closed list. */
enum rc inquiry_take_word(const struct request *q, const char *member, const char *const *words,
			  size_t count, const char **out, struct error *err) MUST_USE;
/* A text that stays on record may not name the person. */
enum rc inquiry_check_kept(const inquiry_row *r, const inquiry_person *who, const char *text,
			   const char *member, struct error *err) MUST_USE;
/* Such a text as d->reason. */
enum rc inquiry_take_reason(struct inquiry_doing *d, bool wanted, struct error *err) MUST_USE;

/* inquiry_assess.c */
/* The call that q names, which must be one of it. */
enum rc inquiry_named_call(struct inquiry_doing *d, inquiry_call **out, struct error *err) MUST_USE;
enum rc inquiry_assess(struct inquiry_doing *d, struct error *err) MUST_USE;

/* inquiry_give.c: let a call of it be heard, or write it to a file, as it was assessed.  Others may have their turn
 * meanwhile: d->row is another afterwards. */
enum rc inquiry_give(struct inquiry_doing *d, struct error *err) MUST_USE;

#endif
