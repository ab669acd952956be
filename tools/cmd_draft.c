/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd_draft.c: files that come into being whole or not at all.
 *
 * A draft is made without a name, synced, and gets its name last.  Interrupted, killed or given up, it leaves nothing
 * behind.  Where the file system makes no nameless files it has another name beside its own until then, which only
 * SIGKILL (and a loss of power) leaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

#define NAMES_TRIED 16
#define DRAFTS      2 /* at a time: a recording and its manifest */

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU };
#define ENDING (sizeof ending / sizeof ending[0])

static struct sigaction usual[ENDING];
/* Those that are open, for the signal's handler. */
static struct draft *volatile drafts[DRAFTS];

static void remove_unfinished(int signo)
{
	for (size_t i = 0; i < DRAFTS; i++) {
		const struct draft *d = drafts[i];
		const char *name = d ? d->unfinished : NULL;
		if (name)
			unlink(name);
	}
	signal(signo, SIG_DFL);
	raise(signo);
}

/* What was ignored when we were started (nohup) stays ignored. */
static void catch_signals(void)
{
	const struct sigaction remove = { .sa_handler = remove_unfinished };
	for (size_t i = 0; i < ENDING; i++) {
		sigaction(ending[i], NULL, &usual[i]);
		if (usual[i].sa_handler != SIG_IGN)
			sigaction(ending[i], &remove, NULL);
	}
}

static void release_signals(void)
{
	for (size_t i = 0; i < ENDING; i++)
		sigaction(ending[i], &usual[i], NULL);
}

static bool any_open(void)
{
	for (size_t i = 0; i < DRAFTS; i++) {
		if (drafts[i])
			return true;
	}
	return false;
}

static void enlist(struct draft *d)
{
	size_t i = 0;
	if (!any_open())
		catch_signals();
	while (i < DRAFTS && drafts[i])
		i++;
	ASSERT(i < DRAFTS);
	drafts[i] = d;
}

static void delist(const struct draft *d)
{
	for (size_t i = 0; i < DRAFTS; i++) {
		if (drafts[i] == d)
			drafts[i] = NULL;
	}
	if (!any_open())
		release_signals();
}

enum rc cmd_draft_check(const char *path, struct error *err)
{
	struct stat st;
	if (!*path)
		return error_set(err, RC_USAGE, "-o wants the name of a file");
	if (strlen(path) >= STORE_PATH)
		return error_set(err, RC_USAGE, "-o: the name is too long");
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(err, RC_FAILED, "%.300s is there and is no file", path);
	return RC_OK;
}

/* Another name beside the draft's own, which nobody has or will guess. */
static void name_unfinished(struct draft *d)
{
	uint64_t number;
	d->unfinished = NULL; /* half written, it would be another file's */
	ASSERT(getrandom(&number, sizeof number, 0) == sizeof number);
	snprintf(d->name, sizeof d->name, "%s.%012llx", d->path,
		 (unsigned long long)(number >> 16));
	d->unfinished = d->name;
}

/* A file that has no name yet and can be given one (linkat(2)); -1: there are none here. */
static int open_nameless(const char *path, char self[40])
{
	char copy[STORE_PATH];
	snprintf(copy, sizeof copy, "%s", path);
	int fd = open(dirname(copy), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	snprintf(self, 40, "/proc/self/fd/%d", fd);
	if (fd >= 0 && access(self, F_OK) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int open_named(struct draft *d)
{
	int fd = -1;
	for (int i = 0; i < NAMES_TRIED && fd < 0 && (i == 0 || errno == EEXIST); i++) {
		name_unfinished(d);
		fd = open(d->name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	}
	return fd;
}

enum rc cmd_draft_open(struct draft *d, const char *path, struct error *err)
{
	*d = (struct draft){ .fd = -1 };
	enum rc rc = cmd_draft_check(path, err);
	if (rc != RC_OK)
		return rc;
	snprintf(d->path, sizeof d->path, "%s", path);
	enlist(d);
	d->fd = open_nameless(path, d->self);
	d->nameless = d->fd >= 0;
	if (!d->nameless)
		d->fd = open_named(d);
	if (d->fd >= 0)
		return RC_OK;
	rc = error_errno(err, RC_FAILED, errno, "%.300s", path);
	d->unfinished = NULL;
	delist(d);
	return rc;
}

/* Only what has a name can replace a file (rename(2)). */
static bool give_name(struct draft *d)
{
	if (!d->nameless)
		return rename(d->name, d->path) == 0;
	int rc = linkat(AT_FDCWD, d->self, AT_FDCWD, d->path, AT_SYMLINK_FOLLOW);
	if (rc == 0 || errno != EEXIST)
		return rc == 0;
	for (int i = 0; i < NAMES_TRIED && rc != 0 && errno == EEXIST; i++) {
		name_unfinished(d);
		rc = linkat(AT_FDCWD, d->self, AT_FDCWD, d->name, AT_SYMLINK_FOLLOW);
	}
	return rc == 0 && rename(d->name, d->path) == 0;
}

static enum rc sync_folder(const char *path, struct error *err)
{
	char copy[STORE_PATH];
	snprintf(copy, sizeof copy, "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;
	int why = errno;
	if (fd >= 0)
		close(fd);
	return ok || why == EINVAL ? RC_OK : error_errno(err, RC_FAILED, why, "%.300s", path);
}

enum rc cmd_draft_sync(const struct draft *d, struct error *err)
{
	return fsync(d->fd) == 0 ? RC_OK : error_errno(err, RC_FAILED, errno, "%.300s", d->path);
}

enum rc cmd_draft_keep(struct draft *d, struct error *err)
{
	enum rc rc = cmd_draft_sync(d, err);
	if (rc == RC_OK && !give_name(d))
		rc = error_errno(err, RC_FAILED, errno, "%.300s", d->path);
	if (rc != RC_OK) {
		cmd_draft_drop(d);
		return rc;
	}
	d->unfinished = NULL;
	cmd_draft_drop(d); /* synced: it has nothing more to say */
	return sync_folder(d->path, err);
}

void cmd_draft_drop(struct draft *d)
{
	const char *name = d->unfinished;
	if (d->fd < 0)
		return;
	if (name)
		unlink(name);
	d->unfinished = NULL;
	close(d->fd);
	d->fd = -1;
	delist(d);
}
