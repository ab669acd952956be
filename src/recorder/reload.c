/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* reload.c: a policy read again while calls are recorded.
 *
 *   SIGHUP ─► main thread reads and checks the file ─► one pointer ─► signalling thread takes it
 *
 * A file that is wrong changes nothing and is told in one line.  Nobody waits for anybody: signalling looks at the pointer
 * once a turn.
 */
#include "recorder/parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

enum rc policy_of_store(struct policy *p, const char *store, struct error *err)
{
	char path[STORE_PATH];
	snprintf(path, sizeof path, "%s/policy.yaml", store);
	return policy_read(p, path, err);
}

void reload_read(policy_box *box, const char *store)
{
	struct error err;
	struct policy *p = malloc(sizeof *p);
	if (!p) {
		log_error("policy-kept", "why=\"not enough memory\"");
		return;
	}
	if (policy_of_store(p, store, &err) != RC_OK) {
		log_error("policy-kept", "why=\"%s\"", err.text);
		free(p);
		return;
	}
	free(atomic_exchange_explicit(box, p, memory_order_acq_rel));
}

void reload_take(policy_box *box, struct signalling *s)
{
	if (LIKELY(!atomic_load_explicit(box, memory_order_relaxed)))
		return;
	struct policy *p = atomic_exchange_explicit(box, NULL, memory_order_acq_rel);
	if (p && signalling_policy(s, p))
		log_info("policy-reloaded", "policy=%s hash=%s", p->name, p->hash);
	else if (p)
		log_error("policy-kept", "why=\"not enough memory\"");
	free(p);
}
