/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* guard.c: keeping what is in memory in memory, and giving root away.
 *
 * The recorder's memory holds voices.  It leaves no core dump (RLIMIT_CORE 0), may not be traced
 * or dumped by others (PR_SET_DUMPABLE 0), and chunk buffers are locked and kept
 * out of dumps where they are made (base/pool.h).
 */
#include "recorder/parts.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

void guard_memory(void)
{
	struct rlimit none = { 0, 0 };
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
		log_warning("core-dumps-possible", "errno=%d", errno);
	/* Chunk buffers are locked page by page as they are first used. */
	struct rlimit lock;
	if (getrlimit(RLIMIT_MEMLOCK, &lock) != 0)
		return;
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	lock.rlim_cur = lock.rlim_max;
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0 && setrlimit(RLIMIT_MEMLOCK, &lock) == 0 &&
	    lock.rlim_cur != RLIM_INFINITY)
		log_warning("memory-lock-limited",
			    "bytes=%llu hint=\"raise LimitMEMLOCK: audio "
			    "beyond it may be swapped out\"",
			    (unsigned long long)lock.rlim_cur);
}

/* Who the recorder shall be: the configured user, else the owner of STORE/recorder. */
static enum rc find_user(const char *store, const char *user, uid_t *uid, gid_t *gid,
			 struct error *err)
{
	if (*user) {
		const struct passwd *pw = getpwnam(user);
		if (!pw)
			return error_set(err, RC_USAGE, "user: there is no user '%s'", user);
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
		return RC_OK;
	}
	char path[STORE_PATH];
	struct stat st;
	snprintf(path, sizeof path, "%s/recorder", store);
	/* Root without the capability to pass into a folder of 0700 still sees whose the folder is. */
	if (stat(path, &st) != 0 && (errno != EACCES || stat(store, &st) != 0)) {
		enum rc rc = store_check_version(store, err); /* says what is wrong with it */
		return rc != RC_OK ? rc : error_errno(err, RC_FAILED, errno, "%s", path);
	}
	const struct passwd *pw = getpwuid(st.st_uid);
	*uid = st.st_uid;
	*gid = pw ? pw->pw_gid : st.st_gid;
	return RC_OK;
}

enum rc guard_drop_root(const char *store, const char *user, struct error *err)
{
	uid_t uid = 0;
	gid_t gid = 0;

	if (geteuid() != 0)
		return RC_OK;
	enum rc rc = find_user(store, user, &uid, &gid, err);
	if (rc != RC_OK)
		return rc;
	if (uid == 0) {
		log_warning("runs-as-root",
			    "hint=\"give STORE/recorder to a user of its own, or set user:\"");
		return RC_OK;
	}
	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		return error_errno(err, RC_FAILED, errno, "cannot become user %u", (unsigned)uid);
	ASSERT(setuid(0) != 0); /* there is no way back */
	/* Changing the user makes a process dumpable again (prctl(2)). */
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		log_warning("core-dumps-possible", "errno=%d", errno);
	return RC_OK;
}
