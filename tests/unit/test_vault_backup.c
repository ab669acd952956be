/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_backup.c: a backup gives the store back, and forgets what the store forgets. */
#include "vault_help.h"

#include <signal.h>
#include <sys/wait.h>

#include "vault/backup.h"
#include "vault/holds.h"
#include "vault/matter.h"

#define CALLS  6
#define SECRET "secret of the backup"
#define DAY_US INT64_C(86400000000)

struct place {
	struct test_vault t; /* first: tests take it for one */
	char backup[96], other[96], away[96];
};

static struct test_call calls[CALLS];
static int64_t now_us;

static int64_t test_clock(void *ctx)
{
	(void)ctx;
	return now_us += 13;
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static int make(void **state)
{
	static struct place p;
	test_vault_make(&p.t, "lab", NULL);
	snprintf(p.backup, sizeof p.backup, "%s-backup", p.t.path);
	snprintf(p.other, sizeof p.other, "%s-other", p.t.path);
	snprintf(p.away, sizeof p.away, "%s-away", p.t.path);
	test_record(&p.t, CALLS, calls);
	now_us = HOUR_US + DAY_US;
	vault_set_clock(p.t.v, test_clock, NULL);
	*state = &p;
	return 0;
}

static int drop(void **state)
{
	struct place *p = *state;
	test_vault_remove(&p->t);
	remove_tree(p->backup);
	remove_tree(p->other);
	remove_tree(p->away);
	return 0;
}

static enum rc backup_to(struct place *p, const char *path, const char *passphrase)
{
	return test_ask(&p->t, "{'request':'backup','to':'%s','allow_cow':true%s%s%s}", path,
			passphrase ? ",'passphrase':'" : "", passphrase ? passphrase : "",
			passphrase ? "'" : "");
}

static void backed_up(struct place *p)
{
	if (backup_to(p, p->backup, SECRET) != RC_OK)
		fail_msg("backup: %s", p->t.err.text);
}

static struct vault_restore restore_config(struct place *p, const char *from)
{
	return (struct vault_restore){ .store = p->other,
				       .backup = from,
				       .passphrase = SECRET,
				       .person = "alice",
				       .recorder_uid = (uid_t)-1,
				       .allow_cow = true,
				       .now_us = test_clock };
}

/* A store from it, open in the place of the one that was; *was keeps that. */
static struct vault_restored restored(struct place *p, const struct vault_restore *cfg)
{
	struct vault_restored r;
	if (vault_restore(cfg, &r, &p->t.err) != RC_OK)
		fail_msg("restore: %s", p->t.err.text);
	vault_close(p->t.v);
	assert_int_equal(vault_open(&p->t.v, p->other, 0, &p->t.err), RC_OK);
	vault_set_clock(p->t.v, test_clock, NULL);
	return r;
}

static json_t *ask_all(struct place *p, const char *request)
{
	if (test_ask(&p->t, "{'request':'%s'}", request) != RC_OK)
		fail_msg("%s: %s", request, p->t.err.text);
	return json_incref(p->t.replies);
}

/* The bytes of a call's export. */
static size_t exported(struct place *p, unsigned n, uint8_t out[65536])
{
	char id[UUID_TEXT];
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	assert_true(fd >= 0);
	if (test_ask(&p->t,
		     "{'request':'export','id':'%s','purpose':'training','reference':'x','fd':%d}",
		     uuid_text(&calls[n].r.id, id), fd) != RC_OK)
		fail_msg("export: %s", p->t.err.text);
	ssize_t len = pread(fd, out, 65536, 0);
	close(fd);
	assert_true(len > 1000);
	return (size_t)len;
}

/* Does a file below this folder hold these bytes? */
static const uint8_t *wanted;
static size_t wanted_len;
static bool found;

static int look(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)at;
	if (kind != FTW_F || st->st_size == 0)
		return 0;
	uint8_t *bytes = malloc((size_t)st->st_size);
	int fd = open(path, O_RDONLY);
	assert_true(bytes && fd >= 0);
	assert_int_equal(read(fd, bytes, (size_t)st->st_size), st->st_size);
	found |= memmem(bytes, (size_t)st->st_size, wanted, wanted_len) != NULL;
	free(bytes);
	close(fd);
	return 0;
}

static bool holds(const char *folder, const void *bytes, size_t len)
{
	wanted = bytes;
	wanted_len = len;
	found = false;
	assert_int_equal(nftw(folder, look, 16, FTW_PHYS), 0);
	return found;
}

/* What lies sealed in a call's slot. */
static void slot_of(struct place *p, unsigned n, uint8_t out[64])
{
	char path[512];
	assert_true(test_find(&p->t, "vault/segments", ".keys", path));
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, out, 64, SLOTS_AT + (off_t)n * SLOT_BYTES + 96), 64);
	close(fd);
}

static void destroy(struct place *p, unsigned n)
{
	struct disposal_sum sum = { 0 };
	assert_int_equal(
		disposal_destroy(p->t.v, &calls[n].r.id, 1, DISPOSAL_ERASED, NULL, &sum, &p->t.err),
		RC_OK);
	assert_int_equal(sum.destroyed, 1);
}

static enum disposal_state disposed(struct place *p, unsigned n)
{
	struct disposal d;
	assert_true(disposal_find(p->t.v, &calls[n].r.id, &d));
	return d.state;
}

static json_int_t pending(struct place *p)
{
	json_t *all = ask_all(p, "backup-list");
	assert_int_equal(json_array_size(all), 1);
	json_int_t n = test_number(json_array_get(all, 0), "pending");
	json_decref(all);
	return n;
}

/* ---- giving back ----------------------------------------------------------------------------------------------- */

static void restored_store_is_the_one_that_was(void **state)
{
	struct place *p = *state;
	static uint8_t before[65536], after[65536];
	json_t *listed = ask_all(p, "calls");
	size_t len = exported(p, 2, before);
	backed_up(p);
	struct vault_restore cfg = restore_config(p, p->backup);
	struct vault_restored r = restored(p, &cfg);
	assert_int_equal(r.segments, 1);
	assert_int_equal(r.disposals, 0);
	assert_false(r.reindexed);
	json_t *again = ask_all(p, "calls");
	assert_true(json_equal(listed, again));
	assert_int_equal(exported(p, 2, after), len);
	assert_memory_equal(before, after, len);
	assert_int_equal(test_ask(&p->t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(test_ask(&p->t, "{'request':'audit-verify'}"), RC_OK);
	assert_int_equal(test_audited(&p->t, "restored", "done"), 1);
	json_decref(listed);
	json_decref(again);
}

static void only_what_is_new_is_copied_again(void **state)
{
	struct place *p = *state;
	backed_up(p);
	assert_int_equal(test_number(test_reply(&p->t, 0), "copied"), 1);
	assert_true(json_is_true(json_object_get(test_reply(&p->t, 0), "first")));
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char path[512];
	assert_true(test_find(&p->t, "vault/segments", ".seg", path));
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(backup_to(p, p->backup, NULL), RC_OK);
	assert_int_equal(test_number(test_reply(&p->t, 0), "copied"), 1);
	assert_int_equal(backup_to(p, p->backup, NULL), RC_OK);
	assert_int_equal(test_number(test_reply(&p->t, 0), "copied"), 0);
	assert_int_equal(test_number(test_reply(&p->t, 0), "kept"), 1);
	struct store_writer *w = test_recorder(&p->t);
	struct test_call c;
	test_whole_call(w, &c, 50);
	test_finish(&p->t, w);
	assert_int_equal(backup_to(p, p->backup, NULL), RC_OK);
	assert_int_equal(test_number(test_reply(&p->t, 0), "copied"), 1);
	struct vault_restore cfg = restore_config(p, p->backup);
	(void)restored(p, &cfg);
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), CALLS + 1);
	json_decref(all);
}

static void secrets_lie_there_sealed_only(void **state)
{
	struct place *p = *state;
	uint32_t number;
	uint8_t scratch[8 + MATTER_OVERHEAD], key[KEY_BYTES];
	char hex[65];
	const struct uuid id = { { 9 } };
	assert_int_equal(matter_new(p->t.v, &number, &p->t.err), RC_OK);
	assert_int_equal(matter_seal(p->t.v, number, &id, "a secret", 8, scratch, &p->t.err),
			 RC_OK);
	backed_up(p);
	const uint8_t *secrets[] = { p->t.v->keys.metadata.secret_key,
				     p->t.v->keys.audio.secret_key, p->t.v->keys.index_key,
				     p->t.v->keys.heads.secret_key };
	for (size_t i = 0; i < 4; i++) {
		keys_hex(hex, secrets[i], 32);
		assert_true(holds(p->t.path, hex, 64));
		assert_false(holds(p->backup, hex, 64));
		assert_false(holds(p->backup, secrets[i], 32));
	}
	assert_int_equal(matter_key(p->t.v, number, key, &p->t.err), RC_OK);
	assert_true(holds(p->t.path, key, sizeof key));
	assert_false(holds(p->backup, key, sizeof key));
	struct vault_restore cfg = restore_config(p, p->backup);
	(void)restored(p, &cfg);
	char clear[8];
	assert_int_equal(
		matter_open(p->t.v, number, &id, scratch, sizeof scratch, clear, &p->t.err), RC_OK);
	assert_memory_equal(clear, "a secret", 8);
}

static void passphrase_opens_it_and_nothing_else(void **state)
{
	struct place *p = *state;
	struct vault_restored r;
	assert_int_equal(backup_to(p, p->backup, NULL), RC_AGAIN);
	backed_up(p);
	struct vault_restore cfg = restore_config(p, p->backup);
	cfg.passphrase = "another";
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_REFUSED);
	cfg.passphrase = NULL;
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_AGAIN);
	assert_int_not_equal(access(p->other, F_OK), 0);
}

static void wrong_places_are_told_and_left_alone(void **state)
{
	struct place *p = *state;
	char path[200];
	struct vault_restored r;
	assert_int_equal(backup_to(p, "relative", SECRET), RC_USAGE);
	snprintf(path, sizeof path, "%s/vault", p->t.path);
	assert_int_equal(backup_to(p, path, SECRET), RC_USAGE);
	assert_int_equal(mkdir(p->backup, 0700), 0);
	snprintf(path, sizeof path, "%s/letter", p->backup);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(backup_to(p, p->backup, SECRET), RC_FAILED);
	assert_int_equal(unlink(path), 0);
	struct vault_restore cfg = restore_config(p, p->backup);
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_USAGE);
	backed_up(p);
	/* Over a store that is there. */
	cfg.store = p->t.path;
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_FAILED);
	assert_non_null(strstr(p->t.err.text, "--aside"));
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), CALLS);
	json_decref(all);
}

/* Another process has it open: nothing is renamed under it. */
static void store_that_is_in_use_is_not_set_aside(void **state)
{
	struct place *p = *state;
	struct vault_restored r;
	int ready[2];
	char byte, path[200];
	snprintf(path, sizeof path, "%s/vault/index/LOCK", p->t.path);
	backed_up(p);
	vault_close(p->t.v);
	p->t.v = NULL;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* It holds the index as RocksDB does, by nothing but system calls: it is a child of a process with threads. */
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (fcntl(fd, F_SETLK, &lock) == 0 && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	struct vault_restore cfg = restore_config(p, p->backup);
	cfg.store = p->t.path;
	cfg.aside = true;
	enum rc rc = vault_restore(&cfg, &r, &p->t.err);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(ready[0]);
	close(ready[1]);
	assert_int_equal(rc, RC_FAILED);
	assert_non_null(strstr(p->t.err.text, "in use"));
	test_vault_open(&p->t);
	vault_set_clock(p->t.v, test_clock, NULL);
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), CALLS);
	json_decref(all);
}

/* ---- forgetting -------------------------------------------------------------------------------------------------- */

static void destroyed_slot_is_gone_from_the_backup(void **state)
{
	struct place *p = *state;
	uint8_t box[64], living[64];
	backed_up(p);
	slot_of(p, 3, box);
	slot_of(p, 4, living);
	assert_true(holds(p->backup, box, sizeof box));
	destroy(p, 3);
	assert_int_equal(disposed(p, 3), DISPOSAL_DONE);
	assert_false(holds(p->backup, box, sizeof box));
	assert_true(holds(p->backup, living, sizeof living));
	assert_int_equal(pending(p), 0);
	struct vault_restore cfg = restore_config(p, p->backup);
	(void)restored(p, &cfg);
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), CALLS - 1);
	json_decref(all);
}

static void backup_out_of_reach_follows_when_it_is_back(void **state)
{
	struct place *p = *state;
	uint8_t box[64];
	backed_up(p);
	slot_of(p, 1, box);
	assert_int_equal(rename(p->backup, p->away), 0);
	destroy(p, 1);
	assert_int_equal(disposed(p, 1), DISPOSAL_LIVE);
	assert_int_equal(pending(p), 1);
	assert_int_equal(test_ask(&p->t, "{'request':'status'}"), RC_OK);
	const json_t *told = json_object_get(test_reply(&p->t, 0), "backups");
	assert_int_equal(test_number(told, "destroyed_live"), 1);
	assert_int_equal(test_number(told, "behind"), 1);
	assert_int_equal(backup_to(p, p->backup, NULL), RC_FAILED);
	assert_true(holds(p->away, box, sizeof box));
	/* A new index knows it too. */
	vault_close(p->t.v);
	char path[200];
	snprintf(path, sizeof path, "%s/vault/index/CURRENT", p->t.path);
	assert_int_equal(unlink(path), 0);
	test_vault_open(&p->t);
	vault_set_clock(p->t.v, test_clock, NULL);
	assert_int_equal(test_ask(&p->t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(disposed(p, 1), DISPOSAL_LIVE);
	assert_int_equal(rename(p->away, p->backup), 0);
	assert_int_equal(test_ask(&p->t, "{'request':'purge'}"), RC_OK);
	assert_int_equal(disposed(p, 1), DISPOSAL_DONE);
	assert_int_equal(pending(p), 0);
	assert_false(holds(p->backup, box, sizeof box));
	assert_int_equal(test_audited(&p->t, "backup-followed", "done"), 1);
}

static void one_of_two_out_of_reach_keeps_it_live(void **state)
{
	struct place *p = *state;
	uint8_t box[64];
	backed_up(p);
	assert_int_equal(backup_to(p, p->away, SECRET), RC_OK);
	slot_of(p, 0, box);
	assert_int_equal(rename(p->away, p->other), 0);
	destroy(p, 0);
	assert_int_equal(disposed(p, 0), DISPOSAL_LIVE);
	assert_false(holds(p->backup, box, sizeof box));
	assert_true(holds(p->other, box, sizeof box));
	/* Given up, it is waited for no more; that takes a reason, and is on record. */
	assert_int_equal(test_ask(&p->t, "{'request':'backup-forget','to':'%s'}", p->away),
			 RC_USAGE);
	assert_int_equal(
		test_ask(&p->t, "{'request':'backup-forget','to':'%s','reason':'lost'}", p->away),
		RC_OK);
	assert_int_equal(disposed(p, 0), DISPOSAL_DONE);
	assert_int_equal(test_audited(&p->t, "backup-forget", "done"), 1);
	/* It lies elsewhere, and belongs to nobody: not to be taken for the one it was. */
	assert_int_equal(backup_to(p, p->other, SECRET), RC_FAILED);
}

static void backup_that_was_moved_is_known_again(void **state)
{
	struct place *p = *state;
	backed_up(p);
	assert_int_equal(rename(p->backup, p->away), 0);
	assert_int_equal(backup_to(p, p->away, NULL), RC_OK);
	json_t *all = ask_all(p, "backup-list");
	assert_int_equal(json_array_size(all), 1);
	assert_string_equal(test_text(json_array_get(all, 0), "path"), p->away);
	json_decref(all);
}

static void destroyed_matter_is_gone_from_the_backup(void **state)
{
	struct place *p = *state;
	uint32_t numbers[2];
	uint8_t before[96], after[96];
	char path[200];
	for (int i = 0; i < 2; i++)
		assert_int_equal(matter_new(p->t.v, &numbers[i], &p->t.err), RC_OK);
	backed_up(p);
	snprintf(path, sizeof path, "%s/matters", p->backup);
	int fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, before, 96, 96 * (off_t)numbers[0]), 96);
	assert_int_equal(matter_destroy(p->t.v, numbers[0], &p->t.err), RC_OK);
	assert_int_equal(pread(fd, after, 96, 96 * (off_t)numbers[0]), 96);
	close(fd);
	assert_memory_not_equal(before, after, 80);
	assert_false(holds(p->backup, before, 80));
	struct vault_restore cfg = restore_config(p, p->backup);
	(void)restored(p, &cfg);
	uint8_t key[KEY_BYTES];
	assert_int_equal(matter_key(p->t.v, numbers[0], key, &p->t.err), RC_NOT_FOUND);
	assert_int_equal(matter_key(p->t.v, numbers[1], key, &p->t.err), RC_OK);
}

/* What is destroyed goes from a backup that comes back while the segment is out of reach here; the others in it stay. */
static void segment_out_of_reach_keeps_the_others(void **state)
{
	struct place *p = *state;
	uint8_t box[64], living[64];
	char folder[200], aside[220];
	snprintf(folder, sizeof folder, "%s/vault/segments", p->t.path);
	snprintf(aside, sizeof aside, "%s.aside", folder);
	backed_up(p);
	slot_of(p, 1, box);
	slot_of(p, 2, living);
	assert_int_equal(rename(p->backup, p->away), 0);
	destroy(p, 1);
	assert_int_equal(rename(p->away, p->backup), 0);
	assert_int_equal(rename(folder, aside), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	backup_follow_all(p->t.v);
	assert_int_equal(disposed(p, 1), DISPOSAL_DONE);
	assert_false(holds(p->backup, box, sizeof box));
	assert_true(holds(p->backup, living, sizeof living));
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(rename(aside, folder), 0);
}

static void segment_that_is_gone_goes_there_too(void **state)
{
	struct place *p = *state;
	char path[200];
	backed_up(p);
	for (unsigned n = 0; n < CALLS; n++)
		destroy(p, n);
	assert_int_equal(test_ask(&p->t, "{'request':'purge'}"), RC_OK); /* removes the segment */
	snprintf(path, sizeof path, "%s/segments", p->backup);
	assert_int_equal(backup_to(p, p->backup, NULL), RC_OK);
	assert_int_equal(test_number(test_reply(&p->t, 0), "removed"), 1);
	DIR *d = opendir(path);
	assert_non_null(d);
	const struct dirent *e;
	while ((e = readdir(d)))
		assert_true(e->d_name[0] == '.');
	closedir(d);
}

/* What whoever has the recorder puts there under a segment's name while the vault's folder is not mounted. */
static void stray_at_the_recorder_is_not_taken_for_a_segment_that_is_away(void **state)
{
	static const char *const parts[] = { ".seg", ".keys" };
	struct place *p = *state;
	char folder[200], aside[220], path[2][512], there[700], stray[2][700];
	size_t len, was_len[2];
	uint8_t *was[2];
	backed_up(p);
	snprintf(folder, sizeof folder, "%s/vault/segments", p->t.path);
	snprintf(aside, sizeof aside, "%s.aside", folder);
	for (int i = 0; i < 2; i++)
		assert_true(test_find(&p->t, "vault/segments", parts[i], path[i]));
	assert_int_equal(rename(folder, aside), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	/* Of the same sizes too, and each of them alone. */
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 2; i++) {
			const char *name = strrchr(path[i], '/');
			snprintf(there, sizeof there, "%s/segments%s", p->backup, name);
			was[i] = read_file(there, &was_len[i]);
			snprintf(stray[i], sizeof stray[i], "%s/recorder%s", p->t.path, name);
			uint8_t *bytes = calloc(1, was_len[i]);
			assert_non_null(bytes);
			if (round > 1 && i == 0)
				memcpy(bytes, was[i],
				       was_len[i]); /* its own records, and slots that are not */
			if (round == 0 || round > 1 || i == 1)
				write_file(stray[i], bytes, round == 0 ? 100 : was_len[i]);
			free(bytes);
		}
		assert_int_equal(backup_to(p, p->backup, NULL), RC_OK);
		for (int i = 0; i < 2; i++) {
			snprintf(there, sizeof there, "%s/segments%s", p->backup,
				 strrchr(path[i], '/'));
			uint8_t *now = read_file(there, &len);
			assert_int_equal(len, was_len[i]);
			assert_memory_equal(now, was[i], len);
			free(now);
			free(was[i]);
			(void)unlink(stray[i]);
			assert_int_not_equal(access(path[i], F_OK), 0);
		}
	}
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(rename(aside, folder), 0);
	assert_int_equal(test_ask(&p->t, "{'request':'verify'}"), RC_OK);
}

static void what_is_written_off_is_gone_from_the_backup(void **state)
{
	struct place *p = *state;
	uint8_t box[CALLS][64];
	char path[512], name[SEGMENT_NAME];
	for (int away = 0; away < 2; away++) {
		if (away)
			test_record(&p->t, CALLS, calls);
		if (away)
			assert_int_equal(backup_to(p, p->backup, NULL), RC_OK);
		else
			backed_up(p);
		for (unsigned n = 0; n < CALLS; n++) {
			slot_of(p, n, box[n]);
			assert_true(holds(p->backup, box[n], sizeof box[n]));
		}
		assert_true(test_find(&p->t, "vault/segments", ".keys", path));
		assert_int_equal(unlink(path), 0);
		assert_true(test_find(&p->t, "vault/segments", ".seg", path));
		assert_int_equal(unlink(path), 0);
		snprintf(name, sizeof name, "%s", strrchr(path, '/') + 1);
		*strrchr(name, '.') = '\0';
		if (away)
			assert_int_equal(rename(p->backup, p->away), 0);
		assert_int_equal(
			test_ask(&p->t,
				 "{'request':'segment-write-off','segment':'%s','reason':'x',"
				 "'yes':true}",
				 name),
			RC_OK);
		assert_int_equal(disposed(p, 0), away ? DISPOSAL_LIVE : DISPOSAL_DONE);
		if (away)
			assert_int_equal(rename(p->away, p->backup), 0);
		assert_int_equal(test_ask(&p->t, "{'request':'purge'}"), RC_OK);
		assert_int_equal(disposed(p, 0), DISPOSAL_DONE);
		for (unsigned n = 0; n < CALLS; n++)
			assert_false(holds(p->backup, box[n], sizeof box[n]));
	}
}

/* The store comes back older than one of its backups: what is only there stays there, and comes back from it. */
static void segment_that_is_nowhere_else_stays(void **state)
{
	struct place *p = *state;
	char to[96];
	struct test_call c;
	assert_int_equal(backup_to(p, p->away, SECRET), RC_OK);
	backed_up(p);
	struct store_writer *w = test_recorder(&p->t);
	test_whole_call(w, &c, 50);
	test_finish(&p->t, w);
	assert_int_equal(backup_to(p, p->away, NULL), RC_OK);
	struct vault_restore cfg = restore_config(p, p->backup);
	(void)restored(p, &cfg);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(backup_to(p, p->away, NULL), RC_OK);
		assert_int_equal(test_number(test_reply(&p->t, 0), "removed"), 0);
		assert_int_equal(test_number(test_reply(&p->t, 0), "unknown"), 1);
		destroy(p, (unsigned)i);
	}
	snprintf(to, sizeof to, "%s-again", p->t.path);
	cfg = restore_config(p, p->away);
	cfg.store = to;
	struct vault_restored r;
	enum rc rc = vault_restore(&cfg, &r, &p->t.err);
	vault_close(p->t.v);
	p->t.v = NULL;
	if (rc != RC_OK || vault_open(&p->t.v, to, 0, &p->t.err) != RC_OK)
		fail_msg("%s", p->t.err.text);
	vault_set_clock(p->t.v, test_clock, NULL);
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), CALLS - 2 + 1);
	json_decref(all);
	remove_tree(to);
}

/* ---- what has happened since ------------------------------------------------------------------------------------- */

static void copy_tree(const char *from, const char *to)
{
	struct error err;
	if (backup_copy_tree(from, to, NULL, NULL, &err) != RC_OK)
		fail_msg("%s", err.text);
}

/* An old copy of the backup, that nobody has registered, brings nothing back that is in the file of disposals. */
static void disposals_since_are_carried_out(void **state)
{
	struct place *p = *state;
	char disposals[128];
	uint8_t box[64];
	backed_up(p);
	copy_tree(p->backup, p->away);
	slot_of(p, 2, box);
	destroy(p, 2);
	destroy(p, 5);
	snprintf(disposals, sizeof disposals, "%s/vault/disposals", p->t.path);
	struct vault_restore cfg = restore_config(p, p->away);
	cfg.disposals = disposals;
	struct vault_restored r = restored(p, &cfg);
	assert_int_equal(r.disposals, 2);
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), CALLS - 2);
	json_decref(all);
	assert_true(disposal_find(p->t.v, &calls[2].r.id, NULL));
	assert_false(holds(p->other, box, sizeof box));
	assert_int_equal(test_ask(&p->t, "{'request':'verify'}"), RC_OK);
}

static void wrong_file_of_disposals_changes_nothing(void **state)
{
	struct place *p = *state;
	char file[128];
	struct vault_restored r;
	backed_up(p);
	snprintf(file, sizeof file, "%s/policy.yaml", p->t.path);
	struct vault_restore cfg = restore_config(p, p->backup);
	cfg.disposals = file;
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_FAILED);
	assert_non_null(strstr(p->t.err.text, "no file of disposals (byte 0)"));
	cfg.disposals = NULL;
	(void)restored(p, &cfg);
}

/* What cannot be read might say that much was destroyed. */
static void disposals_out_of_reach_stop_it(void **state)
{
	struct place *p = *state;
	char file[128];
	struct vault_restored r;
	backed_up(p);
	snprintf(file, sizeof file, "%s/disposals", p->backup);
	(void)unlink(file);
	assert_int_equal(mkdir(file, 0700), 0);
	struct vault_restore cfg = restore_config(p, p->backup);
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_FAILED);
	assert_non_null(strstr(p->t.err.text, "--yes goes on without"));
	cfg.yes = true;
	(void)restored(p, &cfg);
}

static void damaged_store_is_set_aside_and_its_disposals_count(void **state)
{
	struct place *p = *state;
	char path[200];
	struct vault_restored r;
	backed_up(p);
	copy_tree(p->backup, p->away);
	destroy(p, 4);
	vault_close(p->t.v);
	p->t.v = NULL;
	snprintf(path, sizeof path, "%s/vault/index/CURRENT", p->t.path);
	assert_int_equal(unlink(path), 0);
	struct vault_restore cfg = restore_config(p, p->away);
	cfg.store = p->t.path;
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_FAILED);
	cfg.aside = true;
	if (vault_restore(&cfg, &r, &p->t.err) != RC_OK)
		fail_msg("%s", p->t.err.text);
	assert_int_equal(r.disposals, 1);
	test_vault_open(&p->t);
	vault_set_clock(p->t.v, test_clock, NULL);
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), CALLS - 1);
	json_decref(all);
}

static void holds_made_since_stop_it(void **state)
{
	struct place *p = *state;
	struct vault_restored r;
	backed_up(p);
	struct index_batch *b = index_batch_new(p->t.v->index);
	holds_tie(p->t.v, b, &(struct uuid){ { 7 } }, &calls[0].r.id);
	assert_int_equal(audit_commit(p->t.v, b, &p->t.err), RC_OK);
	vault_close(p->t.v);
	p->t.v = NULL;
	struct vault_restore cfg = restore_config(p, p->backup);
	cfg.store = p->t.path;
	cfg.aside = true;
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_FAILED);
	assert_non_null(strstr(p->t.err.text, "after the backup was made"));
	assert_int_equal(vault_open(&p->t.v, p->t.path, 0, &p->t.err), RC_FAILED);
	assert_non_null(strstr(p->t.err.text, "restore again"));
	cfg.yes = true;
	if (vault_restore(&cfg, &r, &p->t.err) != RC_OK)
		fail_msg("%s", p->t.err.text);
	test_vault_open(&p->t);
	vault_set_clock(p->t.v, test_clock, NULL);
}

/* What the first restore took over from the recorder is nowhere else. */
static void restore_of_another_removes_nothing(void **state)
{
	struct place *p = *state;
	struct vault_restored r;
	char path[200], kept[512];
	backed_up(p);
	assert_int_equal(backup_to(p, p->away, SECRET), RC_OK);
	now_us += 35 * DAY_US;
	struct vault_restore cfg = restore_config(p, p->backup);
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_FAILED); /* the purge's guard */
	snprintf(path, sizeof path, "%s/vault/ingested", p->other);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	cfg.backup = p->away;
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_FAILED);
	DIR *d = opendir(p->other);
	assert_non_null(d);
	const struct dirent *e;
	unsigned aside = 0;
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, "vault.damaged-", 14) != 0)
			continue;
		snprintf(kept, sizeof kept, "%s/%.100s/ingested", p->other, e->d_name);
		aside += access(kept, F_OK) == 0;
	}
	closedir(d);
	assert_int_equal(aside, 1);
	cfg.yes = true;
	r = restored(p, &cfg);
	assert_int_equal(r.purged, CALLS);
}

static void expired_ones_are_purged_before_anybody_sees_them(void **state)
{
	struct place *p = *state;
	struct vault_restored r;
	uint8_t box[64];
	backed_up(p);
	slot_of(p, 0, box);
	now_us += 35 * DAY_US; /* their time is up */
	struct vault_restore cfg = restore_config(p, p->backup);
	assert_int_equal(vault_restore(&cfg, &r, &p->t.err), RC_FAILED); /* a guard: all of them */
	struct vault *v;
	struct error err;
	assert_int_equal(vault_open(&v, p->other, 0, &err), RC_FAILED);
	cfg.yes = true;
	r = restored(p, &cfg);
	assert_int_equal(r.purged, CALLS);
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), 0);
	json_decref(all);
	assert_false(holds(p->other, box, sizeof box));
	assert_false(holds(p->backup, box, sizeof box)); /* it is registered there too */
}

/* What a recorder still writes is in it as far as it is on the disk, and is taken for what a recorder left that was
 * stopped. */
static void segment_that_is_being_written_is_in_it(void **state)
{
	struct place *p = *state;
	static struct test_call c;
	struct store_writer *w = test_recorder(&p->t);
	test_call_begin(&c, w, 70);
	test_audio_chunk(w, &c, 0, 0, 0, 25);
	store_writer_tick(w, 5 * NS_PER_S, c.r.start_us * 1000 + 5 * NS_PER_S);
	store_writer_tick(w, 9 * NS_PER_S, c.r.start_us * 1000 + 9 * NS_PER_S);
	backed_up(p);
	assert_int_equal(test_number(test_reply(&p->t, 0), "segments"), 2);
	test_stream(w, &c, 0, 25);
	test_call_end(w, &c, c.r.answer_us + 500000);
	test_finish(&p->t, w);
	struct vault_restore cfg = restore_config(p, p->backup);
	(void)restored(p, &cfg);
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), CALLS + 1);
	json_decref(all);
	if (test_ask(&p->t, "{'request':'verify'}") != RC_OK)
		fail_msg("%s: %s", p->t.err.text, json_dumps(p->t.replies, 0));
}

/* ---- cut short ------------------------------------------------------------------------------------------------------ */

static void backup_of_two_moments_is_made_one(void **state)
{
	struct place *p = *state;
	char path[200];
	backed_up(p);
	snprintf(path, sizeof path, "%s/stale", p->backup);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	struct vault_restore cfg = restore_config(p, p->backup);
	struct vault_restored r = restored(p, &cfg);
	assert_true(r.reindexed);
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), CALLS);
	json_decref(all);
}

static void damaged_index_there_is_made_anew(void **state)
{
	struct place *p = *state;
	char path[200];
	backed_up(p);
	snprintf(path, sizeof path, "%s/state/index/CURRENT", p->backup);
	assert_int_equal(unlink(path), 0);
	struct vault_restore cfg = restore_config(p, p->backup);
	struct vault_restored r = restored(p, &cfg);
	assert_true(r.reindexed);
	json_t *all = ask_all(p, "calls");
	assert_int_equal(json_array_size(all), CALLS);
	json_decref(all);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(restored_store_is_the_one_that_was),
		TEST(only_what_is_new_is_copied_again),
		TEST(secrets_lie_there_sealed_only),
		TEST(passphrase_opens_it_and_nothing_else),
		TEST(wrong_places_are_told_and_left_alone),
		TEST(store_that_is_in_use_is_not_set_aside),
		TEST(destroyed_slot_is_gone_from_the_backup),
		TEST(backup_out_of_reach_follows_when_it_is_back),
		TEST(one_of_two_out_of_reach_keeps_it_live),
		TEST(backup_that_was_moved_is_known_again),
		TEST(destroyed_matter_is_gone_from_the_backup),
		TEST(segment_out_of_reach_keeps_the_others),
		TEST(stray_at_the_recorder_is_not_taken_for_a_segment_that_is_away),
		TEST(what_is_written_off_is_gone_from_the_backup),
		TEST(segment_that_is_nowhere_else_stays),
		TEST(segment_that_is_gone_goes_there_too),
		TEST(disposals_since_are_carried_out),
		TEST(wrong_file_of_disposals_changes_nothing),
		TEST(disposals_out_of_reach_stop_it),
		TEST(damaged_store_is_set_aside_and_its_disposals_count),
		TEST(holds_made_since_stop_it),
		TEST(restore_of_another_removes_nothing),
		TEST(expired_ones_are_purged_before_anybody_sees_them),
		TEST(segment_that_is_being_written_is_in_it),
		TEST(backup_of_two_moments_is_made_one),
		TEST(damaged_index_there_is_made_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
