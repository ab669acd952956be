/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* backup_make.c: making a backup, and bringing it up to date.  On the vault's thread.
 *
 *   audit -> register -> segments, as far as it goes -> index as it stands -> the rest of the segments, slots
 *     -> keys of matters -> the state beside the old one -> swap -> register how far it has followed
 *
 * It is registered before the first key is in it, so that no purge misses it.  Between the copy of the index and that of the
 * small files nothing is committed, so that the audit trail and its heads, ledger and disposals are of one moment.  Killed
 * anywhere, the old state is there or the new one, and `stale` has a restore make the index anew.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/backup.h"

#define CHECKPOINT "vault/backup.index"

struct making {
	const struct request *q;
	struct vault *v;
	struct backup *b;
	struct backup_made *out;
	struct error *err;
};

/* ---- which folder ---------------------------------------------------------------------------------------------- */

static bool is_empty(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e = NULL;
	while (d && (e = readdir(d)) &&
	       (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0))
		continue;
	if (d)
		closedir(d);
	return d && !e;
}

static enum rc check_path(const struct vault *v, const char *path, struct error *err)
{
	char store[STORE_PATH], real[STORE_PATH];
	if (!path || path[0] != '/' || strlen(path) >= BACKUP_PATH || strchr(path, '\n'))
		return error_set(err, RC_USAGE, "to: the full path of a folder is wanted");
	if (!realpath(v->store, store) || !realpath(path, real))
		return RC_OK; /* it is yet to be made */
	size_t len = strlen(store);
	if (strncmp(real, store, len) == 0 && (real[len] == '/' || !real[len]))
		return error_set(err, RC_USAGE, "a backup cannot lie in its own store");
	return RC_OK;
}

/* A new one: a folder that is empty or not there. */
static enum rc begin(struct making *m, const char *path, bool allow_cow)
{
	struct backup_key k;
	const char *passphrase = requests_text(m->q, "passphrase");
	if (!passphrase || !*passphrase)
		return error_set(m->err, RC_AGAIN, "passphrase needed");
	if (mkdir(path, 0700) != 0 && (errno != EEXIST || !is_empty(path)))
		return errno == EEXIST
			       ? error_set(m->err, RC_FAILED,
					   "%.300s is not empty, and no backup of this store", path)
			       : error_errno(m->err, RC_FAILED, errno, "%.300s", path);
	enum rc rc = allow_cow ? RC_OK : vault_check_overwrites(path, m->err);
	if (rc == RC_OK)
		rc = backup_key_make(m->q, path, &k, m->err);
	if (rc != RC_OK)
		return rc;
	memcpy(m->b->id, k.id, sizeof k.id);
	memcpy(m->b->public_key, k.public_key, sizeof k.public_key);
	snprintf(m->b->path, sizeof m->b->path, "%s", path);
	m->out->first = true;
	return RC_OK;
}

/* One of ours that lies elsewhere now. */
static enum rc find_moved(struct making *m, const char *path, const struct backup_key *k)
{
	struct backup *all;
	size_t count;
	enum rc rc = backup_list(m->v, &all, &count, m->err);
	if (rc != RC_OK)
		return rc;
	rc = RC_NOT_FOUND;
	for (size_t i = 0; i < count && rc != RC_OK; i++) {
		if (memcmp(all[i].id, k->id, sizeof k->id) != 0 ||
		    memcmp(all[i].public_key, k->public_key, 32) != 0 || backup_reachable(&all[i]))
			continue;
		*m->b = all[i];
		snprintf(m->b->path, sizeof m->b->path, "%s", path);
		rc = RC_OK;
	}
	free(all);
	return rc;
}

/* Begun and cut short before anything was in it. */
static bool drop_begun(const char *path)
{
	char name[STORE_PATH];
	struct stat st;
	disk_path(name, path, BACKUP_SEGMENTS);
	if (lstat(name, &st) == 0)
		return false;
	disk_path(name, path, BACKUP_STATE);
	if (lstat(name, &st) == 0)
		return false;
	disk_path(name, path, BACKUP_KEY_FILE);
	return unlink(name) == 0;
}

static enum rc find(struct making *m, const char *path, bool allow_cow)
{
	struct backup_key k;
	enum rc rc = backup_find(m->v, path, m->b, m->err);
	if (rc == RC_OK)
		return backup_reachable(m->b) ? RC_OK
					      : error_set(m->err, RC_FAILED,
							  "the backup at %.300s is not there: is "
							  "it mounted? (backup "
							  "forget gives it up)",
							  path);
	if (rc != RC_NOT_FOUND)
		return rc;
	rc = backup_key_read(path, &k, m->err);
	if (rc == RC_OK)
		rc = find_moved(m, path, &k);
	else
		return rc == RC_NOT_FOUND ? begin(m, path, allow_cow) : rc;
	if (rc == RC_NOT_FOUND && drop_begun(path))
		return begin(m, path, allow_cow);
	if (rc == RC_NOT_FOUND)
		rc = error_set(m->err, RC_FAILED,
			       "%.300s holds a backup that this store does not know: choose "
			       "another folder",
			       path);
	return rc;
}

/* ---- segments -------------------------------------------------------------------------------------------------- */

/* `ahead`: others may have their turn between segments; what changes meanwhile is copied once more. */
static enum rc copy_segments(struct making *m, bool ahead)
{
	char **names, folder[STORE_PATH];
	size_t count;
	disk_path(folder, m->b->path, BACKUP_SEGMENTS);
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return error_errno(m->err, RC_FAILED, errno, "%.300s", folder);
	enum rc rc = segments_names(m->v, &names, &count, m->err);
	if (rc != RC_OK)
		return rc;
	m->b->segments = count;
	for (size_t i = 0; i < count && rc == RC_OK; i++) {
		bool copied = false;
		rc = backup_segment(m->v, m->b, names[i], &copied, &m->out->bytes, m->err);
		m->out->copied += copied;
		if (ahead)
			vault_give_way(m->v); /* nothing of the vault is held here */
	}
	struct backup_pruned pruned = { 0 };
	if (rc == RC_OK && !ahead) {
		rc = backup_segments_prune(m->v, m->b, names, count, &pruned, m->err);
		m->out->removed = pruned.removed;
		m->b->unknown = pruned.unknown;
	}
	segments_names_free(names, count);
	return rc;
}

/* ---- the state ------------------------------------------------------------------------------------------------- */

/* What is copied otherwise, is a secret, or is of this machine. */
static bool is_left_out(const char *path)
{
	static const char *const begins[] = { "vault/index",   "vault/segments",
					      "vault/secret",  "vault/matters.keys",
					      "vault/backup.", "restoring" };
	static const char recorder[] = "recorder/";
	for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
		if (strncmp(path, begins[i], strlen(begins[i])) == 0)
			return true;
	}
	return strncmp(path, recorder, strlen(recorder)) == 0 &&
	       strcmp(path, "recorder/vault.pub") != 0 && strcmp(path, "recorder/sign.pub") != 0;
}

static enum rc fill_state(struct making *m, const char *fresh, const char *state)
{
	char from[STORE_PATH], to[STORE_PATH], earlier[STORE_PATH];
	enum rc rc = disk_make_dir(fresh, 0700, m->err);
	if (rc != RC_OK)
		return rc;
	disk_path(from, m->v->store, CHECKPOINT);
	disk_path(to, fresh, "index");
	disk_path(earlier, state, "index");
	rc = backup_copy_tree(from, to, NULL, earlier, m->err);
	disk_path(to, fresh, "files");
	if (rc == RC_OK)
		rc = backup_copy_tree(m->v->store, to, is_left_out, NULL, m->err);
	disk_path(to, fresh, "secrets");
	if (rc == RC_OK)
		rc = backup_secrets_write(m->v, m->b->public_key, to, m->err);
	return rc == RC_OK ? disk_sync_dir(fresh, m->err) : rc;
}

static enum rc swap(struct making *m, const char *fresh, const char *state)
{
	bool done = renameat2(AT_FDCWD, fresh, AT_FDCWD, state, RENAME_EXCHANGE) == 0;
	if (!done && errno == ENOENT)
		done = rename(fresh, state) == 0;
	if (!done) {
		char old[STORE_PATH];
		disk_path(old, m->b->path, BACKUP_STATE ".old");
		disk_remove_tree(old);
		done = rename(state, old) == 0 && rename(fresh, state) == 0;
		disk_remove_tree(old);
	}
	if (!done)
		return error_errno(m->err, RC_FAILED, errno, "%.300s", state);
	enum rc rc = disk_sync_dir(m->b->path, m->err);
	disk_remove_tree(fresh);
	return rc;
}

static enum rc make_state(struct making *m)
{
	char fresh[STORE_PATH], state[STORE_PATH];
	disk_path(fresh, m->b->path, BACKUP_STATE ".new");
	disk_path(state, m->b->path, BACKUP_STATE);
	disk_remove_tree(fresh);
	enum rc rc = fill_state(m, fresh, state);
	if (rc == RC_OK)
		return swap(m, fresh, state);
	disk_remove_tree(fresh);
	return rc;
}

static enum rc copy_disposals(struct making *m)
{
	char from[STORE_PATH], to[STORE_PATH];
	disk_path(from, m->v->store, "vault/disposals");
	disk_path(to, m->b->path, BACKUP_DISPOSALS);
	return backup_copy_tail(from, to, m->v->disposals_end, m->err);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static enum rc copy_all(struct making *m)
{
	char checkpoint[STORE_PATH], path[STORE_PATH];
	disk_path(checkpoint, m->v->store, CHECKPOINT);
	disk_remove_tree(checkpoint);
	enum rc rc = backup_mark_stale(m->b, m->err);
	if (rc == RC_OK)
		rc = copy_segments(m, true);
	if (rc == RC_OK)
		rc = index_checkpoint(m->v->index, checkpoint, m->err);
	if (rc == RC_OK)
		rc = copy_segments(m, false);
	disk_path(path, m->b->path, BACKUP_MATTERS);
	if (rc == RC_OK)
		rc = backup_matters_copy(m->v, m->b->public_key, path, &m->b->matters, m->err);
	if (rc == RC_OK)
		rc = copy_disposals(m);
	if (rc == RC_OK)
		rc = make_state(m);
	disk_remove_tree(checkpoint);
	disk_path(path, m->b->path, BACKUP_STALE);
	/* With segments that the index there does not know, a restore makes it anew. */
	if (rc == RC_OK && !m->b->unknown && unlink(path) != 0)
		rc = error_errno(m->err, RC_FAILED, errno, "%.300s", path);
	return rc == RC_OK ? disk_sync_dir(m->b->path, m->err) : rc;
}

static enum rc note(const struct making *m, const char *outcome, const char *detail,
		    struct error *err)
{
	return audit_write(m->v,
			   &(struct audit_entry){ .person = m->q->person.name,
						  .role = people_role_name(m->q->person.role),
						  .action = "backup",
						  .outcome = outcome,
						  .detail = detail },
			   err);
}

static enum rc make(struct making *m)
{
	char id[2 * BACKUP_ID + 1], detail[256];
	keys_hex(id, m->b->id, sizeof m->b->id);
	snprintf(detail, sizeof detail, "backup=%s", id);
	enum rc rc = note(m, "granted", detail, m->err);
	/* A new one has nothing to follow: what is destroyed from now on reaches it. */
	if (rc == RC_OK && m->out->first)
		m->b->followed = m->v->disposals_end;
	if (rc == RC_OK)
		rc = backup_save(m->v, m->b, m->err);
	if (rc == RC_OK)
		rc = copy_all(m);
	if (rc != RC_OK)
		return rc;
	/* One that grew meanwhile was copied twice. */
	m->out->copied = m->out->copied < m->b->segments ? m->out->copied : m->b->segments;
	m->out->kept = m->b->segments - m->out->copied;
	m->b->bytes = m->out->bytes;
	m->b->followed = m->v->disposals_end;
	m->b->made_us = m->b->tried_us = vault_now_us(m->v);
	m->b->away = false;
	rc = backup_save(m->v, m->b, m->err);
	if (rc == RC_OK)
		rc = backup_settle(m->v, m->err);
	snprintf(detail, sizeof detail, "backup=%s copied=%llu kept=%llu removed=%llu unknown=%llu",
		 id, (unsigned long long)m->out->copied, (unsigned long long)m->out->kept,
		 (unsigned long long)m->out->removed, (unsigned long long)m->b->unknown);
	return rc == RC_OK ? note(m, "done", detail, m->err) : rc;
}

enum rc backup_make(const struct request *q, const char *path, bool allow_cow,
		    struct backup_made *out, struct error *err)
{
	struct error second;
	memset(out, 0, sizeof *out);
	struct making m = { .q = q, .v = q->v, .b = &out->backup, .out = out, .err = err };
	enum rc rc = check_path(q->v, path, err);
	if (rc == RC_OK)
		rc = find(&m, path, allow_cow);
	if (rc != RC_OK)
		return rc;
	segments_forget_open(q->v);
	backup_follow_all(q->v);
	rc = make(&m);
	if (rc != RC_OK && note(&m, "failed", err->text, &second) != RC_OK)
		*err = second;
	return rc;
}
