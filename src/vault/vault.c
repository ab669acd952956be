/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* vault.c: opening a store as its owner: version, keys, policy, index, head of the audit trail.
 *
 * One process at a time holds the index; the next waits for it.  Secrets are kept out of core dumps and, where the
 * limit allows, out of swap, for as long as the vault is open.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vault/parts.h"

static enum rc open_parts(struct vault *v, int wait_ms, struct error *err)
{
	char path[STORE_PATH];
	enum rc rc = store_check_version(v->store, err);
	if (rc == RC_OK)
		rc = keys_load(v->store, &v->keys, err);
	disk_path(path, v->store, "policy.yaml");
	if (rc == RC_OK)
		rc = policy_read(&v->policy, path, err);
	disk_path(path, v->store, "vault/index");
	if (rc == RC_OK)
		rc = index_open(&v->index, path, false, wait_ms, err);
	if (rc == RC_OK)
		rc = audit_load(v, err);
	return rc;
}

/* Only its owner opens a store: what anyone else (root too) writes into it, its owner could not read any more. */
static enum rc check_owner(const struct vault *v, struct error *err)
{
	char path[STORE_PATH];
	struct stat st;
	disk_path(path, v->store, "vault");
	if (stat(path, &st) != 0 || st.st_uid == geteuid())
		return RC_OK; /* what is missing, open_parts() names */
	return error_set(err, RC_REFUSED,
			 "%s belongs to another user (uid %u): run callspan as that user", v->store,
			 (unsigned)st.st_uid);
}

enum rc vault_open(struct vault **out, const char *store, int wait_ms, struct error *err)
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
	enum rc rc = check_owner(v, err);
	if (rc == RC_OK)
		rc = open_parts(v, wait_ms, err);
	if (rc != RC_OK) {
		vault_close(v);
		return rc;
	}
	*out = v;
	return RC_OK;
}

void vault_close(struct vault *v)
{
	if (!v)
		return;
	segments_forget_open(v);
	index_close(v->index);
	forget_bytes(v, sizeof *v);
	(void)munmap(v, sizeof *v);
}
