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
	/* Chunk buffers are locked page by page as they are first used; a limit only makes this fail silently. */
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	if (setrlimit(RLIMIT_MEMLOCK, &all) != 0)
		log_debug("memlock-limited", "errno=%d", errno);
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
	if (stat(path, &st) != 0)
		return error_errno(err, RC_FAILED, errno, "%s", path);
	*uid = st.st_uid;
	*gid = st.st_gid;
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
