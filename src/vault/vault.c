/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* vault.c: opening a store as its owner: version, keys, policy, index, head of the audit trail.
 *
 * One process at a time holds the index; the next waits for it.  Secrets are kept out of core dumps and, where the
 * limit allows, out of swap, for as long as the vault is open.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "vault/disposal.h"
#include "vault/ledger.h"
#include "vault/policies.h"
#include "vault/reclaim.h"
#include "vault/turn.h"

/* VERSION is made last: a store with parts and without it is one that init did not finish. */
enum rc vault_check_made(const char *store, struct error *err)
{
	static const char *const parts[] = { "vault", "recorder", "policy.yaml" };
	char path[STORE_PATH];
	struct stat st;
	disk_path(path, store, VAULT_RESTORING);
	if (lstat(path, &st) == 0)
		return error_set(err, RC_FAILED,
				 "%s was not completely restored: run callspan restore again",
				 store);
	disk_path(path, store, "VERSION");
	if (lstat(path, &st) == 0)
		return RC_OK;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		disk_path(path, store, parts[i]);
		if (lstat(path, &st) == 0)
			return error_set(err, RC_FAILED,
					 "%s was not completely made: remove it and run init again",
					 store);
	}
	return RC_OK;
}

enum rc vault_open_index(struct vault *v, int wait_ms, struct error *err)
{
	char path[STORE_PATH];
	disk_path(path, v->store, "vault/index");
	enum rc rc = index_open(&v->index, path, false, wait_ms, err);
	if (rc == RC_AGAIN)
		return error_set(err, RC_AGAIN, "store %s is in use", v->store);
	if (rc == RC_OK && v->cache_bytes)
		index_cache(v->index, v->cache_bytes);
	if (rc == RC_OK)
		rc = audit_load(v, err);
	if (rc == RC_OK)
		rc = ledger_load(v, err);
	if (rc == RC_OK)
		rc = audit_dispute(v, err);
	if (rc == RC_OK)
		rc = policies_settle(v, err);
	if (rc == RC_OK)
		rc = disposal_settle(v, err);
	if (rc == RC_OK)
		rc = reclaim_settle(v, err);
	if (rc != RC_OK) {
		index_close(v->index);
		v->index = NULL;
	}
	return rc;
}

static enum rc open_parts(struct vault *v, int wait_ms, bool restoring, struct error *err)
{
	enum rc rc = restoring ? RC_OK : vault_check_made(v->store, err);
	if (rc == RC_OK)
		rc = store_check_version(v->store, err);
	if (rc == RC_OK)
		rc = keys_load(v->store, &v->keys, err);
	if (rc == RC_OK)
		rc = policies_load(v, err);
	if (rc == RC_OK)
		rc = vault_open_index(v, wait_ms, err);
	/* Without its index a store can still be asked for one thing: to make a new one. */
	if (rc != RC_DAMAGED)
		return rc;
	error_set(&v->index_fault, rc,
		  "%.400s (callspan reindex makes a new one; restore takes one from a backup)",
		  err->text);
	return RC_OK;
}

/* Only its owner opens a store: what anyone else (root too) writes into it, its owner could not read any more. */
enum rc vault_check_owner(const char *store, struct error *err)
{
	char path[STORE_PATH];
	struct stat st;
	disk_path(path, store, "vault");
	if (stat(path, &st) != 0 || st.st_uid == geteuid())
		return RC_OK; /* what is missing, open_parts() names */
	return error_set(err, RC_REFUSED,
			 "%s belongs to another user (uid %u): run callspan as that user", store,
			 (unsigned)st.st_uid);
}

/* The clock of a store that is being restored. */
struct restoring_clock {
	int64_t (*now_us)(void *ctx);
	void *ctx;
};

/* `by` NULL: a store that is whole. */
static enum rc open_store(struct vault **out, const char *store, int wait_ms,
			  const struct restoring_clock *by, struct error *err)
{
	struct vault *v;
	if (strlen(store) >= sizeof v->store)
		return error_set(err, RC_USAGE, "the store's path is too long");
	/* A mapping of its own, so that locking it locks nothing else. */
	v = mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(v != MAP_FAILED);
	(void)madvise(v, sizeof *v, MADV_DONTDUMP);
	(void)mlock(v, sizeof *v);
	snprintf(v->store, sizeof v->store, "%s", store);
	if (by)
		vault_set_clock(v, by->now_us, by->ctx);
	enum rc rc = vault_check_owner(v->store, err);
	if (rc == RC_OK)
		rc = open_parts(v, wait_ms, by != NULL, err);
	if (rc != RC_OK) {
		vault_close(v);
		return rc;
	}
	*out = v;
	return RC_OK;
}

enum rc vault_open(struct vault **out, const char *store, int wait_ms, struct error *err)
{
	return open_store(out, store, wait_ms, NULL, err);
}

enum rc vault_open_restoring(struct vault **out, const char *store, int64_t (*now_us)(void *ctx),
			     void *now_ctx, struct error *err)
{
	const struct restoring_clock clock = { now_us, now_ctx };
	return open_store(out, store, 0, &clock, err);
}

enum rc vault_configure(struct vault *v, const struct vault_settings *s, struct error *err)
{
	const char *file = s->head_file && *s->head_file ? s->head_file : NULL;
	if (file && *file != '/')
		return error_set(err, RC_USAGE, "audit.head-file: a full path is wanted (/...)");
	free(v->head_file);
	v->head_file = file ? strdup(file) : NULL;
	ASSERT(!file || v->head_file);
	v->cache_bytes = s->cache_bytes;
	if (v->index && v->cache_bytes)
		index_cache(v->index, v->cache_bytes);
	return RC_OK;
}

enum rc vault_reload(struct vault *v, struct error *err)
{
	vault_enter(v);
	enum rc rc = v->index ? policies_reload(v, err) : RC_OK;
	vault_leave(v);
	return rc;
}

void vault_set_clock(struct vault *v, int64_t (*now_us)(void *ctx), void *ctx)
{
	v->now_us = now_us;
	v->now_ctx = ctx;
}

int64_t vault_now_us(const struct vault *v)
{
	return v->now_us ? v->now_us(v->now_ctx) : clock_real_ns() / 1000;
}

void vault_close(struct vault *v)
{
	if (!v)
		return;
	free(v->ledger);
	free(v->head_file);
	segments_forget_open(v);
	index_close(v->index);
	turn_free(v);
	forget_bytes(v, sizeof *v);
	(void)munmap(v, sizeof *v);
}
