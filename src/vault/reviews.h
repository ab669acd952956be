/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reviews.h: samples ("S-3") and reviews ("V-9").  Private to src/vault.
 *
 * A sample is the record of a draw: who, when, from how many, which.  A review is what a manager makes of a call: a score,
 * a note, and it may give the member of staff concerned a right to hear that call (grants.h).  A review lives no longer than
 * its recording: its note is sealed under the call's own metadata key, and all of it goes when the call is destroyed.
 *
 *   INDEX_REVIEWS  's' ‖ be64 number                 -> SampleRow
 *                  'v' ‖ be64 number                 -> ReviewRow
 *                  'c' ‖ call ‖ be64 number          -> (nothing): reviews of a call
 *                  'e' ‖ be64 until ‖ be64 number    -> (nothing): rights that run
 *                  '#' ‖ 'S' or 'V'                  -> be64: the newest number given
 *
 * All of it goes through the ledger.
 */
#ifndef CALLSPAN_VAULT_REVIEWS_H
#define CALLSPAN_VAULT_REVIEWS_H

#include "vault/matter.h"
#include "vault/parts.h"

#define REVIEW_NAME   24   /* "V-9", "S-3" */
#define REVIEW_NOTE   2000 /* bytes of a note */
#define REVIEW_SCORES 5
#define REVIEW_KEY    (KEY_BYTES + SEAL_OVERHEAD + MATTER_OVERHEAD)

enum review_given { GIVEN_NOT, GIVEN_RUNS, GIVEN_OVER };

struct review {
	uint64_t number;
	struct uuid call;
	uint64_t sample; /* 0: none */
	unsigned score;
	char by[PERSON_NAME];
	int64_t added_us;
	uint8_t nonce[12], note[REVIEW_NOTE + 16];
	size_t note_len; /* as sealed; 0: none */
	char person[PERSON_NAME];
	int64_t until_us;
	enum review_given given;
	uint32_t matter; /* number of its key, and 1; 0: none */
	uint8_t audio_key[REVIEW_KEY];
	bool has_audio_key;
};

/* The next number of this letter, noted in the batch: once a batch, and never given twice. */
enum rc reviews_number(struct vault *v, struct index_batch *b, char letter, uint64_t *number,
		       struct error *err) MUST_USE;
/* 9 of a name as "V-9"; 0: it is no such name. */
uint64_t reviews_read_name(char letter, const char *name);

void reviews_put(struct vault *v, struct index_batch *b, const struct review *r);
/* The one of a name as "V-9".  RC_USAGE: there is none. */
enum rc reviews_find(struct vault *v, const char *name, struct review *r,
		     struct error *err) MUST_USE;
/* Each of a call's (NULL: each there is), oldest first, until `each` returns false. */
typedef bool (*reviews_each)(void *ctx, const struct review *r);
enum rc reviews_walk(struct vault *v, const struct uuid *call, reviews_each each, void *ctx,
		     struct error *err) MUST_USE;
/* Rights whose end lies before then: the first of them.  RC_END: there is none. */
enum rc reviews_due(struct vault *v, int64_t before_us, struct review *r,
		    struct error *err) MUST_USE;
/* Seal a note of at most REVIEW_NOTE bytes. */
void reviews_seal_note(struct review *r, const char *note, const struct call_keys *keys);
/* The note in clear; "" when its call's key is gone. */
void reviews_note(struct vault *v, const struct review *r, char note[REVIEW_NOTE + 1]);
/* The call is destroyed: nothing of what was said of it stays, and what a right to hear it would open is destroyed before
 * this returns.  Before or with the batch that takes the call's row. */
enum rc reviews_forget(struct vault *v, struct index_batch *b, const struct uuid *call,
		       struct error *err) MUST_USE;

/* ---- samples.c --------------------------------------------------------------------------------------------- */

struct sample {
	uint64_t number;
	char by[PERSON_NAME], purpose[32], group[32];
	int64_t drawn_us, since_us, until_us; /* until_us 0: no end */
	uint64_t min_duration_s, count, seed, eligible, lines;
	bool per_person;
	struct uuid *calls; /* owned, or borrowed by samples_put() */
	size_t calls_count;
};
void samples_put(struct vault *v, struct index_batch *b, const struct sample *s);
/* RC_USAGE: there is none. */
enum rc samples_find(struct vault *v, const char *name, struct sample *s,
		     struct error *err) MUST_USE;
typedef bool (*samples_each)(void *ctx, const struct sample *s);
enum rc samples_walk(struct vault *v, samples_each each, void *ctx, struct error *err) MUST_USE;
void samples_free(struct sample *s);

/* ---- requests ------------------------------------------------------------------------------------------------ */

enum rc req_sample_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_sample(const struct request *q, struct error *err) MUST_USE;
enum rc req_sample_list(const struct request *q, struct error *err) MUST_USE;
enum rc req_sample_show(const struct request *q, struct error *err) MUST_USE;
/* A sample as replies tell it, without its calls; with them. */
json_t *req_sample_json(const struct sample *s);
enum rc req_sample_reply(const struct request *q, const struct sample *s,
			 struct error *err) MUST_USE;
enum rc req_review_add_check(const struct request *q, struct error *err) MUST_USE;
enum rc req_review_add(const struct request *q, struct error *err) MUST_USE;
enum rc req_review_list(const struct request *q, struct error *err) MUST_USE;
enum rc req_review_show(const struct request *q, struct error *err) MUST_USE;

#endif
