/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* init.c: making a store.
 *
 *   STORE/VERSION policy.yaml
 *   STORE/recorder/   public keys, the recorder's signing key        (the recorder's user)
 *   STORE/vault/      secret/ people/ segments/ index/ recorder.pub policy.applied  (the vault's user alone)
 *
 * VERSION is written last, so that what was left half made is no store; and what was made is removed when
 * anything fails.  A store that exists is never touched.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vault/parts.h"
#include "vault/policies.h"

#define NOT_CHOSEN ((uid_t)-1)

/* ---- what must be so before anything is made ----------------------------------------------------------- */

static enum rc check_absent(const char *store, bool *was_there, struct error *err)
{
	struct stat st;
	*was_there = lstat(store, &st) == 0;
	if (!*was_there)
		return errno == ENOENT ? RC_OK : error_errno(err, RC_FAILED, errno, "%s", store);
	DIR *d = S_ISDIR(st.st_mode) ? opendir(store) : NULL;
	bool empty = d != NULL;
	const struct dirent *e;
	while (empty && (e = readdir(d)))
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d)
		closedir(d);
	if (empty)
		return RC_OK;
	enum rc rc = vault_check_made(store, err);
	return rc == RC_OK ? error_set(err, RC_FAILED, "%s exists: nothing was changed", store)
			   : rc;
}

/* On these an overwritten key slot stays readable in the old block. */
enum rc vault_check_overwrites(const char *store, struct error *err)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} copying[] = { { 0x9123683e, "btrfs" },
			{ 0x2fc12fc1, "zfs" },
			{ 0xca451a4e, "bcachefs" } };
	struct statfs fs;
	if (statfs(store, &fs) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", store);
	for (size_t i = 0; i < sizeof copying / sizeof copying[0]; i++) {
		if (((unsigned long)fs.f_type & 0xffffffff) == copying[i].magic)
			return error_set(
				err, RC_REFUSED,
				"%s copies on write, so destroyed keys would stay on the disk; "
				"choose another file system, or --allow-cow",
				copying[i].name);
	}
	return RC_OK;
}

/* The shipped profiles, for people who name another. */
static enum rc no_such_policy(const struct vault_init *cfg, struct error *err)
{
	char names[256] = "";
	size_t at = 0;
	DIR *d = cfg->policy_dir ? opendir(cfg->policy_dir) : NULL;
	const struct dirent *e;
	while (d && (e = readdir(d))) {
		size_t len = strlen(e->d_name);
		if (len <= 5 || strcmp(e->d_name + len - 5, ".yaml") != 0)
			continue;
		int n = snprintf(names + at, sizeof names - at, "%s%.*s", at ? ", " : "",
				 (int)(len - 5), e->d_name);
		if (n < 0 || (size_t)n >= sizeof names - at)
			break;
		at += (size_t)n;
	}
	if (d)
		closedir(d);
	return error_set(err, RC_USAGE, "no policy of that name or file; the choices are: %s",
			 names);
}

/* A shipped profile's name, else a file. */
static enum rc find_policy(const struct vault_init *cfg, char path[STORE_PATH], struct error *err)
{
	char file[128];
	if (cfg->policy_dir && !strchr(cfg->policy, '/') && strlen(cfg->policy) < 100) {
		snprintf(file, sizeof file, "%s.yaml", cfg->policy);
		disk_path(path, cfg->policy_dir, file);
		if (access(path, R_OK) == 0)
			return RC_OK;
	}
	if (strlen(cfg->policy) >= STORE_PATH || access(cfg->policy, R_OK) != 0)
		return no_such_policy(cfg, err);
	snprintf(path, STORE_PATH, "%s", cfg->policy);
	return RC_OK;
}

static enum rc check_config(const struct vault_init *cfg, struct error *err)
{
	if (!cfg->store || cfg->store[0] == '\0' ||
	    strlen(cfg->store) >= sizeof(((struct vault *)0)->store))
		return error_set(err, RC_USAGE, "no store named, or its path is too long");
	if (cfg->policy_dir && strlen(cfg->policy_dir) >= sizeof(((struct vault *)0)->store))
		return error_set(err, RC_USAGE, "the path of the policies is too long");
	if (!cfg->controller || !people_name_valid(cfg->controller))
		return error_set(err, RC_USAGE, "the controller must be a user's name");
	if (cfg->passphrase && !*cfg->passphrase)
		return error_set(err, RC_USAGE, "an empty passphrase protects nothing");
	return RC_OK;
}

/* ---- making it --------------------------------------------------------------------------------------------- */

static enum rc make_dirs(const char *store, bool shared, struct error *err)
{
	static const char *const dirs[] = { "vault", "vault/segments", "vault/index",
					    "vault/secret", "vault/people" };
	char path[STORE_PATH];
	/* The recorder's user passes through STORE; it cannot list it. */
	if (chmod(store, shared ? 0711 : 0700) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", store);
	enum rc rc = RC_OK;
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0] && rc == RC_OK; i++) {
		disk_path(path, store, dirs[i]);
		rc = disk_make_dir(path, 0700, err);
	}
	return rc;
}

static enum rc copy_policy(const struct vault_init *cfg, struct policy *policy, struct error *err)
{
	char from[STORE_PATH], to[STORE_PATH], *text = NULL;
	size_t len = 0;
	enum rc rc = find_policy(cfg, from, err);
	if (rc == RC_OK)
		rc = policy_read(policy, from, err);
	if (rc == RC_OK)
		rc = disk_read(from, POLICY_BYTES, &text, &len, err);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_FAILED : rc;
	disk_path(to, cfg->store, "policy.yaml");
	rc = disk_create(to, text, len, 0644, err);
	disk_path(to, cfg->store, "vault/policy.applied");
	if (rc == RC_OK)
		rc = disk_create(to, text, len, 0600, err);
	free(text);
	return rc;
}

enum rc vault_give_recorder(const char *store, uid_t uid, struct error *err)
{
	char dir[STORE_PATH], path[STORE_PATH];
	disk_path(dir, store, "recorder");
	DIR *d = opendir(dir);
	if (!d)
		return error_errno(err, RC_FAILED, errno, "%s", dir);
	const struct dirent *e;
	enum rc rc = RC_OK;
	while (rc == RC_OK && (e = readdir(d))) {
		if (strcmp(e->d_name, "..") == 0)
			continue;
		disk_path(path, dir, e->d_name);
		if (lchown(path, uid, (gid_t)-1) != 0)
			rc = error_errno(err, RC_FAILED, errno, "%s", path);
	}
	closedir(d);
	return rc;
}

/* All keys of a store; the recorder gets its signing key and the public halves. */
static enum rc make_keys(const struct vault_init *cfg, struct secrets *k, struct error *err)
{
	struct sign_pair recorder;
	struct person controller = { .role = ROLE_CONTROLLER };
	seal_pair_new(&k->metadata);
	seal_pair_new(&k->audio);
	sign_pair_new(&k->heads);
	sign_pair_new(&recorder);
	random_bytes(k->index_key, sizeof k->index_key);
	memcpy(k->recorder_public, recorder.public_key, sizeof k->recorder_public);
	k->has_audio = cfg->passphrase == NULL;
	snprintf(controller.name, sizeof controller.name, "%s", cfg->controller);

	enum rc rc = store_recorder_init(cfg->store, k->audio.public_key, k->metadata.public_key,
					 &recorder, err);
	if (rc == RC_OK)
		rc = keys_save(cfg->store, k, err);
	if (rc == RC_OK && cfg->passphrase)
		rc = people_box(&controller, &k->audio, cfg->passphrase, err);
	if (rc == RC_OK)
		rc = people_save(cfg->store, &controller, err);
	forget_bytes(&recorder, sizeof recorder);
	return rc;
}

static enum rc sync_dirs(const char *store, struct error *err)
{
	static const char *const dirs[] = { "vault/people", "vault/secret", "vault", "recorder",
					    "." };
	char path[STORE_PATH];
	enum rc rc = RC_OK;
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0] && rc == RC_OK; i++) {
		disk_path(path, store, dirs[i]);
		rc = disk_sync_dir(path, err);
	}
	return rc;
}

/* The index, with the first entry of the audit trail and the policy as seen. */
static enum rc make_index(const struct vault_init *cfg, struct vault *v, struct error *err)
{
	char path[STORE_PATH], detail[160];
	disk_path(path, cfg->store, "vault/index");
	enum rc rc = index_open(&v->index, path, true, 0, err);
	if (rc != RC_OK)
		return rc == RC_AGAIN ? RC_FAILED : rc;
	snprintf(detail, sizeof detail, "policy=%s hash=%s audio=%s", v->policy.name,
		 v->policy.hash, cfg->passphrase ? "passphrase" : "unattended");
	struct index_batch *b = index_batch_new(v->index);
	policies_remember(v, b);
	audit_note(v, b,
		   &(struct audit_entry){ .person = cfg->controller,
					  .role = people_role_name(ROLE_CONTROLLER),
					  .action = "init",
					  .outcome = "done",
					  .detail = detail });
	rc = audit_commit(v, b, err);
	if (rc == RC_OK)
		rc = audit_anchor(v, err);
	index_close(v->index);
	v->index = NULL;
	return rc;
}

static enum rc make_parts(const struct vault_init *cfg, struct vault *v, struct error *err)
{
	char path[STORE_PATH];
	bool shared = cfg->recorder_uid != NOT_CHOSEN && cfg->recorder_uid != geteuid();
	enum rc rc = cfg->allow_cow ? RC_OK : vault_check_overwrites(cfg->store, err);
	if (rc == RC_OK)
		rc = make_dirs(cfg->store, shared, err);
	if (rc == RC_OK)
		rc = copy_policy(cfg, &v->policy, err);
	if (rc == RC_OK)
		rc = make_keys(cfg, &v->keys, err);
	if (rc == RC_OK && shared && geteuid() == 0)
		rc = vault_give_recorder(cfg->store, cfg->recorder_uid, err);
	if (rc == RC_OK)
		rc = make_index(cfg, v, err);
	if (rc == RC_OK)
		rc = sync_dirs(cfg->store, err);
	disk_path(path, cfg->store, "VERSION");
	if (rc == RC_OK)
		rc = disk_create(path, STORE_VERSION_LINE, strlen(STORE_VERSION_LINE), 0644, err);
	return rc == RC_OK ? disk_sync_dir(cfg->store, err) : rc;
}

static enum rc make_store(const struct vault_init *cfg, struct error *err)
{
	struct vault *v = calloc(1, sizeof *v);
	ASSERT(v);
	snprintf(v->store, sizeof v->store, "%s", cfg->store);
	enum rc rc = make_parts(cfg, v, err);
	forget_bytes(v, sizeof *v);
	free(v);
	return rc;
}

enum rc vault_init(const struct vault_init *cfg, struct error *err)
{
	bool was_there;
	char policy[STORE_PATH];
	enum rc rc = check_config(cfg, err);
	if (rc == RC_OK)
		rc = check_absent(cfg->store, &was_there, err);
	if (rc == RC_OK)
		rc = find_policy(cfg, policy, err);
	if (rc != RC_OK)
		return rc;
	if (!was_there)
		rc = disk_make_dir(cfg->store, 0700, err);
	if (rc != RC_OK)
		return rc;
	rc = make_store(cfg, err);
	if (rc != RC_OK)
		disk_remove_tree(cfg->store);
	if (rc != RC_OK && was_there)
		(void)mkdir(cfg->store, 0700);
	return rc;
}
