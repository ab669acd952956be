/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* purge.h: the parts of a purge.  Private to src/vault.
 *
 *   req_purge.c     guards, batches, and what it answers     <- read this first
 *   purge_survey.c  what is due, told from the timers alone
 *   purge_report.c  the signed report
 *
 *   survey -> guards -> audit -> [ batch of due ones -> disposal_destroy() ]* -> reclaim -> compact -> report -> audit
 *
 * Each part can be cut short at any point; the next purge goes on.
 */
#ifndef CALLSPAN_VAULT_PURGE_H
#define CALLSPAN_VAULT_PURGE_H

#include "vault/disposal.h"
#include "vault/parts.h"
#include "vault/reclaim.h"

struct purge_class {
	char name[32];
	uint64_t count, bytes;
	int64_t oldest_us, newest_us; /* starts of calls */
};
struct purge_survey {
	int64_t until_us; /* due: their time was up then */
	uint64_t total;   /* recordings there are */
	uint64_t due, held, bytes;
	struct purge_class classes[DISPOSAL_CLASSES];
	unsigned classes_count;
};
enum rc purge_survey(struct vault *v, struct purge_survey *s, struct error *err) MUST_USE;
/* The next ids that are due and not held, behind *at (a key of `expiry`, 24 bytes; zeros: from the first), which moves on.
 * 0: no more. */
size_t purge_survey_next(struct vault *v, int64_t until_us, uint8_t at[24], struct uuid *ids,
			 size_t most);

/* What is remembered of purges. */
struct purge_memory {
	int64_t last_us, refused_us; /* 0: none */
	uint64_t destroyed, held;
	char refused[256];
};
void purge_memory_get(struct vault *v, struct purge_memory *m);
void purge_memory_put(struct index_batch *b, const struct purge_memory *m);

struct purge_result {
	struct purge_survey survey;
	struct disposal_sum sum;
	struct reclaim_sum space;
	int64_t began_us;
	int64_t survey_ms, destroy_ms, reclaim_ms, compact_ms, search_ms;
	uint64_t searched; /* boxes that were searched for */
	uint64_t traces;   /* how often one was met */
	char head_before[65], head_after[65];
	char where[STORE_PATH];
	char report[STORE_PATH]; /* path; "" */
	char report_hash[65];
};
json_t *purge_report_json(const struct purge_result *r);
/* Write the signed report; fills in r->report and r->report_hash. */
enum rc purge_report_write(struct vault *v, struct purge_result *r, const struct person *who,
			   struct error *err) MUST_USE;

#endif
