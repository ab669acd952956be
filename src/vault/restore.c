/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* restore.c: a store from a backup.
 *
 *   STORE/restoring says which backup, and how far:
 *     aside    what is damaged gets another name        (only where it was asked for, or where a restore of another
 *              backup stopped while it was opened)
 *     copying  STORE/vault is made anew from the backup
 *     opening  what was destroyed since is destroyed, what has expired is purged, the trail tells; then the file goes
 *
 * While that file is there nobody else opens the store.  Killed anywhere, it is done again from the step that is named.
 * What a recorder has in STORE/recorder stays where it is, and is taken in.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "vault/backup.h"

#define MARK_TITLE     "callspan restore 1"
#define DISPOSALS      "vault/disposals"
#define DISPOSALS_MOST ((size_t)4 << 30)
#define ASIDE          "vault.damaged-"

enum stage { STAGE_NONE, STAGE_ASIDE, STAGE_COPYING, STAGE_OPENING };
static const char *const stage_names[] = { "", "aside", "copying", "opening" };

struct restoring {
	const struct vault_restore *cfg;
	struct vault_restored *out;
	struct backup_key key;
	struct seal_pair pair;
	char state[STORE_PATH]; /* of the backup */
	enum stage stage;
	bool recorder; /* STORE/recorder was there */
	struct error *err;
};

/* ---- the mark ---------------------------------------------------------------------------------------------- */

static void mark_fields(struct key_field f[2], uint8_t id[BACKUP_ID], char stage[16])
{
	f[0] = (struct key_field){ .name = "backup", .bytes = id, .len = BACKUP_ID };
	f[1] = (struct key_field){ .name = "stage", .text = stage, .room = 16 };
}

static enum rc read_mark(struct restoring *r)
{
	char path[STORE_PATH], stage[16] = "";
	uint8_t id[BACKUP_ID];
	struct key_field f[2];
	mark_fields(f, id, stage);
	disk_path(path, r->cfg->store, VAULT_RESTORING);
	enum rc rc = keys_read(path, MARK_TITLE, f, 2, r->err);
	r->stage = STAGE_NONE;
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	for (enum stage s = STAGE_ASIDE; s <= STAGE_OPENING; s++) {
		if (strcmp(stage, stage_names[s]) == 0)
			r->stage = s;
	}
	/* Of another backup: what was made of that one is not taken.  It may have been opened, and hold by now what a
	 * recorder left, so it is set aside and not removed. */
	bool other = r->stage == STAGE_OPENING && memcmp(id, r->key.id, sizeof id) != 0;
	r->stage = other ? STAGE_ASIDE : r->stage;
	return RC_OK;
}

static enum rc write_mark(struct restoring *r, enum stage stage)
{
	char path[STORE_PATH], fresh[STORE_PATH], text[16];
	struct key_field f[2];
	snprintf(text, sizeof text, "%s", stage_names[stage]);
	mark_fields(f, r->key.id, text);
	disk_path(path, r->cfg->store, VAULT_RESTORING);
	disk_path(fresh, r->cfg->store, VAULT_RESTORING ".new");
	(void)unlink(fresh);
	enum rc rc = keys_write(fresh, MARK_TITLE, f, 2, r->err);
	if (rc == RC_OK && rename(fresh, path) != 0)
		rc = error_errno(r->err, RC_FAILED, errno, "%s", path);
	r->stage = stage;
	return rc == RC_OK ? disk_sync_dir(r->cfg->store, r->err) : rc;
}

static enum rc remove_mark(struct restoring *r)
{
	char path[STORE_PATH];
	disk_path(path, r->cfg->store, VAULT_RESTORING);
	if (unlink(path) != 0)
		return error_errno(r->err, RC_FAILED, errno, "%s", path);
	return disk_sync_dir(r->cfg->store, r->err);
}

/* ---- from where, to where ------------------------------------------------------------------------------------ */

static enum rc find_backup(struct restoring *r)
{
	struct stat st;
	const struct vault_restore *cfg = r->cfg;
	enum rc rc = backup_key_read(cfg->backup, &r->key, r->err);
	if (rc == RC_NOT_FOUND)
		return error_set(r->err, RC_USAGE, "there is no backup in %.300s", cfg->backup);
	if (rc != RC_OK)
		return rc;
	disk_path(r->state, cfg->backup, BACKUP_STATE);
	if (stat(r->state, &st) != 0)
		disk_path(r->state, cfg->backup, BACKUP_STATE ".old");
	if (stat(r->state, &st) != 0)
		return error_set(r->err, RC_FAILED, "the backup in %.300s was never completed",
				 cfg->backup);
	r->out->made_us = (int64_t)st.st_mtim.tv_sec * 1000000;
	return backup_key_open(&r->key, cfg->passphrase, &r->pair, r->err);
}

/* Anything but a mark that was being written when a restore before this was killed. */
static bool has_entries(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	bool any = false;
	while (d && !any && (e = readdir(d)))
		any = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		      strcmp(e->d_name, VAULT_RESTORING ".new") != 0;
	if (d)
		closedir(d);
	return any;
}

/* RocksDB holds a lock of fcntl(2) on this file for as long as somebody has the index open. */
static enum rc check_unused(struct restoring *r)
{
	char path[STORE_PATH];
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	disk_path(path, r->cfg->store, "vault/index/LOCK");
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	bool used = fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	if (fd >= 0)
		close(fd);
	return used ? error_set(r->err, RC_FAILED, "store %s is in use", r->cfg->store) : RC_OK;
}

static enum rc prepare(struct restoring *r)
{
	const char *store = r->cfg->store;
	if (mkdir(store, 0700) != 0 && errno != EEXIST)
		return error_errno(r->err, RC_FAILED, errno, "%s", store);
	enum rc rc = r->cfg->allow_cow ? RC_OK : vault_check_overwrites(store, r->err);
	if (rc == RC_OK)
		rc = read_mark(r);
	/* The mark says so before anything is renamed. */
	if (rc == RC_OK && r->stage == STAGE_ASIDE)
		return write_mark(r, STAGE_ASIDE);
	if (rc != RC_OK || r->stage != STAGE_NONE)
		return rc;
	if (!has_entries(store))
		return write_mark(r, STAGE_COPYING);
	if (!r->cfg->aside)
		return error_set(r->err, RC_FAILED,
				 "%s is not empty: --aside gives what is in its way another name",
				 store);
	rc = check_unused(r);
	return rc == RC_OK ? write_mark(r, STAGE_ASIDE) : rc;
}

static enum rc rename_within(struct restoring *r, const char *name, const char *suffix)
{
	char from[STORE_PATH], to[STORE_PATH], aside[128];
	snprintf(aside, sizeof aside, "%s%s", name, suffix);
	disk_path(from, r->cfg->store, name);
	disk_path(to, r->cfg->store, aside);
	if (rename(from, to) != 0 && errno != ENOENT)
		return error_errno(r->err, RC_FAILED, errno, "%s", from);
	return RC_OK;
}

/* The time; later where something was set aside in the same second. */
static void aside_suffix(const struct restoring *r, char suffix[40])
{
	char name[64], path[STORE_PATH];
	struct stat st;
	long long at = (long long)(clock_real_ns() / INT64_C(1000000000));
	do {
		snprintf(suffix, 40, ".damaged-%lld", at++);
		snprintf(name, sizeof name, "vault%s", suffix);
		disk_path(path, r->cfg->store, name);
	} while (lstat(path, &st) == 0);
}

static enum rc set_aside(struct restoring *r)
{
	static const char *const names[] = { "vault", "policy.yaml", "VERSION" };
	char suffix[40];
	aside_suffix(r, suffix);
	enum rc rc = RC_OK;
	for (size_t i = 0; i < sizeof names / sizeof names[0] && rc == RC_OK; i++)
		rc = rename_within(r, names[i], suffix);
	return rc == RC_OK ? write_mark(r, STAGE_COPYING) : rc;
}

/* ---- copying --------------------------------------------------------------------------------------------------- */

static bool is_of_the_recorder(const char *path)
{
	return strcmp(path, "recorder") == 0;
}

static enum rc copy_tree(struct restoring *r, const char *from, const char *name, const char *to,
			 backup_skip skip)
{
	char source[STORE_PATH], target[STORE_PATH];
	disk_path(source, from, name);
	disk_path(target, r->cfg->store, to);
	return backup_copy_tree(source, target, skip, NULL, r->err);
}

/* A segment that a recorder still has here has gone on since. */
static enum rc copy_segments(struct restoring *r)
{
	char from[STORE_PATH], to[STORE_PATH], here[STORE_PATH], folder[STORE_PATH];
	disk_path(folder, r->cfg->backup, BACKUP_SEGMENTS);
	DIR *d = opendir(folder);
	if (!d)
		return error_errno(r->err, RC_FAILED, errno, "%.300s", folder);
	const struct dirent *e;
	enum rc rc = RC_OK;
	while (rc == RC_OK && (e = readdir(d))) {
		char name[300];
		disk_path(from, folder, e->d_name);
		snprintf(name, sizeof name, "recorder/%s", e->d_name);
		disk_path(here, r->cfg->store, name);
		if (!disk_is_file(from, NULL) || disk_is_file(here, NULL))
			continue;
		snprintf(name, sizeof name, "vault/segments/%s", e->d_name);
		disk_path(to, r->cfg->store, name);
		rc = backup_copy(from, to, &r->out->bytes, r->err);
		r->out->segments += strstr(e->d_name, ".seg") != NULL;
	}
	closedir(d);
	return rc;
}

static enum rc make_folder(struct restoring *r, const char *name)
{
	char path[STORE_PATH];
	disk_path(path, r->cfg->store, name);
	return mkdir(path, 0700) == 0 || errno == EEXIST
		       ? RC_OK
		       : error_errno(r->err, RC_FAILED, errno, "%s", path);
}

static enum rc copy_secrets(struct restoring *r)
{
	char path[STORE_PATH];
	disk_path(path, r->state, "secrets");
	enum rc rc = make_folder(r, "vault/secret");
	if (rc == RC_OK)
		rc = backup_secrets_read(path, &r->pair, r->cfg->store, r->err);
	disk_path(path, r->cfg->backup, BACKUP_MATTERS);
	if (rc == RC_OK)
		rc = backup_matters_read(path, &r->pair, r->cfg->store, r->err);
	return rc;
}

/* ---- what was destroyed since ------------------------------------------------------------------------------------ */

/* Whole lines that two texts begin with alike. */
static size_t common(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t most = a_len < b_len ? a_len : b_len, line = 0;
	for (size_t i = 0; i < most && a[i] == b[i]; i++)
		line = a[i] == '\n' ? i + 1 : line;
	return line;
}

/* How much of a text is whole lines of disposals. */
static size_t good_lines(const char *text, size_t len, uint64_t *lines)
{
	const char *at = text, *end;
	struct disposal d;
	while (at < text + len && (end = memchr(at, '\n', (size_t)(text + len - at))) &&
	       disposal_file_parse(&d, at, (size_t)(end - at))) {
		++*lines;
		at = end + 1;
	}
	return (size_t)(at - text);
}

/* Without them, what was destroyed would come back: that is for somebody to say. */
static enum rc unread(struct restoring *r, enum rc rc, bool must)
{
	const struct error why = *r->err;
	if (rc == RC_NOT_FOUND && !must)
		return RC_OK;
	if (must)
		return RC_FAILED;
	if (!r->cfg->yes)
		return error_set(r->err, RC_FAILED,
				 "%.400s: what was destroyed since cannot be read (--yes goes on "
				 "without it)",
				 why.text);
	log_error("restore", "what=\"%s\"", why.text);
	return RC_OK;
}

/* Lines of another file of disposals that the backup's has not: opening the store carries them out.  A file that was named
 * must be one (`must`); of another, what can be read counts. */
static enum rc add_disposals(struct restoring *r, const char *path, bool must)
{
	char to[STORE_PATH], *ours = NULL, *theirs = NULL;
	size_t ours_len = 0, theirs_len;
	uint64_t lines = 0;
	enum rc rc = disk_read(path, DISPOSALS_MOST, &theirs, &theirs_len, r->err);
	if (rc != RC_OK)
		return unread(r, rc, must);
	disk_path(to, r->cfg->store, DISPOSALS);
	rc = disk_read(to, DISPOSALS_MOST, &ours, &ours_len, r->err);
	if (rc == RC_NOT_FOUND)
		rc = RC_OK;
	const char *last = memrchr(theirs, '\n', theirs_len);
	size_t whole = last ? (size_t)(last - theirs) + 1 : 0, same = 0;
	if (rc == RC_OK && ours)
		same = common(ours, ours_len, theirs, whole);
	size_t good = same + good_lines(theirs + same, whole - same, &lines);
	if (rc == RC_OK && must && (good < whole || !last))
		rc = error_set(r->err, RC_FAILED, "%.300s: no file of disposals (byte %zu)", path,
			       good);
	if (rc == RC_OK && good < whole)
		log_warning("restore", "what=\"%s is damaged from byte %zu on\"", path, good);
	if (rc == RC_OK && good > same)
		rc = disk_append_line(to, theirs + same, good - same, r->err);
	r->out->disposals += rc == RC_OK ? lines : 0;
	free(ours);
	free(theirs);
	return rc;
}

typedef enum rc (*each_file)(struct restoring *r, const char *path);

static int is_aside(const struct dirent *e)
{
	return strncmp(e->d_name, ASIDE, strlen(ASIDE)) == 0;
}

/* A file of each store that was set aside, the oldest first. */
static enum rc each_aside(struct restoring *r, const char *file, each_file each)
{
	char name[300], path[STORE_PATH];
	struct dirent **all = NULL;
	int count = scandir(r->cfg->store, &all, is_aside, alphasort);
	enum rc rc = count < 0 ? error_errno(r->err, RC_FAILED, errno, "%s", r->cfg->store) : RC_OK;
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "%s/%s", all[i]->d_name, file);
		disk_path(path, r->cfg->store, name);
		if (rc == RC_OK)
			rc = each(r, path);
		free(all[i]);
	}
	free(all);
	return rc;
}

static enum rc add_aside(struct restoring *r, const char *path)
{
	return add_disposals(r, path, false);
}

static enum rc copy_disposals(struct restoring *r)
{
	char path[STORE_PATH];
	disk_path(path, r->cfg->backup, BACKUP_DISPOSALS);
	enum rc rc = add_disposals(r, path, false);
	if (rc == RC_OK && r->cfg->disposals)
		rc = add_disposals(r, r->cfg->disposals, true);
	return rc == RC_OK ? each_aside(r, "disposals", add_aside) : rc;
}

/* As init does: the recorder's user passes through STORE, and owns its folder. */
static enum rc give_recorder(struct restoring *r)
{
	uid_t uid = r->cfg->recorder_uid;
	if (r->recorder || uid == (uid_t)-1 || uid == geteuid())
		return RC_OK;
	if (chmod(r->cfg->store, 0711) != 0)
		return error_errno(r->err, RC_FAILED, errno, "%s", r->cfg->store);
	return geteuid() == 0 ? vault_give_recorder(r->cfg->store, uid, r->err) : RC_OK;
}

static enum rc copy(struct restoring *r)
{
	char path[STORE_PATH];
	struct stat st;
	disk_path(path, r->cfg->store, "vault");
	disk_remove_tree(path); /* what a restore before has made */
	disk_path(path, r->cfg->store, "recorder");
	r->recorder = lstat(path, &st) == 0;
	enum rc rc = copy_tree(r, r->state, "files", ".", r->recorder ? is_of_the_recorder : NULL);
	if (rc == RC_OK)
		rc = copy_tree(r, r->state, "index", "vault/index", NULL);
	if (rc == RC_OK)
		rc = make_folder(r, "vault/segments");
	if (rc == RC_OK)
		rc = copy_segments(r);
	if (rc == RC_OK)
		rc = copy_secrets(r);
	if (rc == RC_OK)
		rc = copy_disposals(r);
	if (rc == RC_OK)
		rc = give_recorder(r);
	disk_path(path, r->cfg->store, "vault/segments");
	if (rc == RC_OK)
		rc = disk_sync_dir(path, r->err);
	disk_path(path, r->cfg->store, "vault");
	if (rc == RC_OK)
		rc = disk_sync_dir(path, r->err);
	return rc == RC_OK ? write_mark(r, STAGE_OPENING) : rc;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static enum rc note(struct restoring *r, struct vault *v, const struct person *who)
{
	char detail[320], id[2 * BACKUP_ID + 1], head[65], made[CLOCK_TEXT];
	keys_hex(id, r->key.id, sizeof r->key.id);
	keys_hex(head, v->head.hash, 32);
	snprintf(detail, sizeof detail,
		 "backup=%s of=%s disposals-since=%" PRIu64 " goes on from entry %" PRIu64 " %s",
		 id, clock_rfc3339(r->out->made_us * 1000, made), r->out->disposals, v->head.number,
		 head);
	r->out->entries = v->head.number;
	return audit_write(v,
			   &(struct audit_entry){ .person = who->name,
						  .role = people_role_name(who->role),
						  .action = "restored",
						  .outcome = "done",
						  .detail = detail },
			   r->err);
}

/* The index there may be of another moment than the segments, or nothing at all. */
static enum rc mend_index(struct restoring *r, struct vault *v, const struct person *who)
{
	char path[STORE_PATH];
	if (!v->index) {
		log_warning("restore", "what=\"%s\"", v->index_fault.text);
		r->out->reindexed = true;
		return reindex_rebuild(v, who, r->err);
	}
	disk_path(path, r->cfg->backup, BACKUP_STALE);
	if (!disk_is_file(path, NULL))
		return RC_OK;
	r->out->reindexed = true;
	return reindex_begin(v, r->err);
}

static bool take_purged(void *ctx, const json_t *o)
{
	struct vault_restored *out = ctx;
	out->purged = (uint64_t)json_integer_value(json_object_get(o, "destroyed"));
	return true;
}

/* A hold that the backup does not know of would not keep its recordings from the purge. */
static enum rc check_ledger(struct restoring *r, const char *aside)
{
	char ours[STORE_PATH];
	uint64_t then = 0, since = 0;
	disk_path(ours, r->cfg->store, "vault/ledger");
	(void)disk_is_file(ours, &then);
	if (!disk_is_file(aside, &since) || since <= then || r->cfg->yes)
		return RC_OK;
	return error_set(
		r->err, RC_FAILED,
		"holds or requests were changed after the backup was made (%.200s is longer): "
		"--yes goes on without these",
		aside);
}

/* What has expired meanwhile goes before anybody sees it; with the guards of any purge. */
static enum rc purge(struct restoring *r, struct vault *v, const struct person *who)
{
	const struct vault_caller caller = { .person = who->name, .uid = geteuid() };
	json_t *body = json_pack("{s:s, s:b}", "request", "purge", "yes", r->cfg->yes);
	ASSERT(body);
	const struct request q = { .v = v,
				   .who = &caller,
				   .person = *who,
				   .body = body,
				   .reply = take_purged,
				   .ctx = r->out };
	enum rc rc = each_aside(r, "ledger", check_ledger);
	if (rc == RC_OK)
		rc = req_purge(&q, r->err);
	json_decref(body);
	segments_forget_open(v);
	return rc;
}

static enum rc bring_up(struct restoring *r, struct vault *v, const struct person *who)
{
	enum rc rc = mend_index(r, v, who);
	if (rc == RC_OK)
		rc = note(r, v, who);
	if (rc == RC_OK)
		rc = ingest_run(v, NULL, r->err);
	segments_forget_open(v);
	return rc == RC_OK ? purge(r, v, who) : rc;
}

static enum rc open_store(struct restoring *r)
{
	struct vault *v;
	struct person who;
	struct error ignored;
	const struct vault_restore *cfg = r->cfg;
	if (people_load(cfg->store, cfg->person, &who, &ignored) != RC_OK) {
		memset(&who, 0, sizeof who);
		snprintf(who.name, sizeof who.name, "%s", cfg->person);
		who.role = ROLE_OPERATOR;
	}
	enum rc rc = vault_open_restoring(&v, cfg->store, cfg->now_us, cfg->now_ctx, r->err);
	if (rc != RC_OK)
		return rc == RC_AGAIN ? RC_FAILED
				      : rc; /* in use; a passphrase is not what it lacks */
	rc = bring_up(r, v, &who);
	vault_close(v);
	forget_bytes(&who, sizeof who);
	return rc == RC_OK ? remove_mark(r) : rc;
}

enum rc vault_restore(const struct vault_restore *cfg, struct vault_restored *out,
		      struct error *err)
{
	struct restoring r = { .cfg = cfg, .out = out, .err = err };
	memset(out, 0, sizeof *out);
	if (strlen(cfg->store) >= sizeof(((struct vault *)0)->store) ||
	    strlen(cfg->backup) >= BACKUP_PATH)
		return error_set(err, RC_USAGE, "the path of the store or backup is too long");
	enum rc rc = find_backup(&r);
	if (rc == RC_OK)
		rc = prepare(&r);
	if (rc == RC_OK && r.stage == STAGE_ASIDE)
		rc = set_aside(&r);
	if (rc == RC_OK && r.stage == STAGE_COPYING)
		rc = copy(&r);
	if (rc == RC_OK)
		rc = open_store(&r);
	forget_bytes(&r.pair, sizeof r.pair);
	return rc;
}
