/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* keep.c: keeping up with recorders before each request, and with the clock each second where a service runs.
 *
 * One thread at a time takes in.  It gives way between its batches, so another may find it at work: that one waits a moment,
 * and then goes on with what there is.  While an index is being built anew, what there is is not enough, and requests
 * are told so (reindex_check).
 */
#include "base/clock.h"
#include "vault/disposal.h"
#include "vault/hold.h"
#include "vault/parts.h"

#define PATIENCE_NS (2 * INT64_C(1000000000)) /* for another's run */
#define LOOK_US     1000                      /* between two looks at it */

static enum rc take_due(struct vault *v, const struct ingest_limits *limits, struct hold_net **net,
			struct error *err)
{
	char **names;
	size_t count;
	unsigned commits = 0;
	enum rc rc = segments_due(v, &names, &count, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < count && rc == RC_OK; i++)
		rc = ingest_segment(v, names[i], limits, &commits, net, err);
	segments_names_free(names, count);
	return rc == RC_OK ? reindex_filled(v, err) : rc;
}

static enum rc take_in(struct vault *v, const struct ingest_limits *limits, struct error *err)
{
	struct hold_net *net = NULL;
	segments_forget_open(v);
	enum rc rc = v->disposals_open ? disposal_settle(v, err) : RC_OK;
	if (rc == RC_OK)
		rc = reindex_finish(v, err);
	/* A call that is not taken in again yet could not be given its grace. */
	bool filling = v->filling;
	if (rc == RC_OK && !filling)
		rc = hold_end_pending(v, err);
	if (rc == RC_OK)
		rc = hold_net_open(v, &net, err);
	if (rc == RC_OK)
		rc = take_due(v, limits, &net, err);
	hold_net_free(net);
	if (rc == RC_OK && filling)
		rc = hold_end_pending(v, err);
	return rc == RC_OK ? index_health(v->index, err) : rc;
}

bool ingest_wait(struct vault *v, int64_t patience_ns)
{
	int64_t began_ns = clock_mono_ns();
	while (v->ingesting && clock_mono_ns() - began_ns < patience_ns) {
		vault_step_out(v);
		clock_sleep_us(LOOK_US);
		vault_step_in(v);
	}
	return !v->ingesting;
}

enum rc ingest_run(struct vault *v, const struct ingest_limits *limits, struct error *err)
{
	if (!ingest_wait(v, PATIENCE_NS))
		return RC_OK;
	v->ingesting = true;
	enum rc rc = take_in(v, limits, err);
	v->ingesting = false;
	return rc;
}

/* Where a write has failed, a full disk most likely, the index takes no more until it is opened anew.  Those who have stepped
 * out know the one there was: they come first. */
static enum rc reopen(struct vault *v, struct error *err)
{
	bool wanted = v->index ? index_is_stuck(v->index) : v->reopening;
	if (!wanted || v->outside)
		return RC_OK;
	segments_forget_open(v);
	index_close(v->index);
	v->index = NULL;
	enum rc rc = vault_open_index(v, 0, err);
	v->reopening = rc != RC_OK;
	if (rc != RC_OK)
		v->index_fault = *err;
	return rc;
}

enum rc vault_keep(struct vault *v, const volatile int *stop, struct error *err)
{
	const struct ingest_limits limits = { .calls_a_batch = INGEST_BATCH, .stop = stop };
	vault_enter(v);
	enum rc rc = reopen(v, err);
	if (v->index && rc == RC_OK)
		rc = ingest_run(v, &limits, err);
	if (v->index && rc == RC_OK)
		rc = audit_hourly(v, err);
	vault_leave(v);
	return rc == RC_AGAIN ? RC_OK : rc;
}
