/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* guard.c: keeping what is in memory in memory, and giving root away.
 *
 * The recorder's memory holds voices.  It leaves no core dump (RLIMIT_CORE 0), may not be traced
 * or dumped by others (PR_SET_DUMPABLE 0), and chunk buffers are locked and kept
 * out of dumps where they are made (base/pool.h).
 *
 * Who listens keeps CAP_NET_RAW, without which an interface that has gone and come back could not be opened again; all other
 * capabilities, however they were come by, are given away.  docs/threats.md says what that leaves to an attacker.
 */
#include "recorder/parts.h"

#include <cap-ng.h>
#include <errno.h>
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

/* The capabilities that are asked for from now on: one, or none. */
static void choose_capabilities(bool listens)
{
	bool has = capng_get_caps_process() == 0 &&
		   capng_have_capability(CAPNG_PERMITTED, CAP_NET_RAW);
	capng_clear(CAPNG_SELECT_CAPS);
	if (has && listens)
		(void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_RAW);
}

enum rc guard_drop_root(const char *store, const char *user, bool listens, struct error *err)
{
	uid_t uid = 0;
	gid_t gid = 0;

	if (geteuid() != 0) {
		choose_capabilities(listens);
		if (capng_apply(CAPNG_SELECT_CAPS) != 0)
			return error_set(err, RC_FAILED, "cannot give capabilities away");
		return RC_OK;
	}
	enum rc rc = find_user(store, user, &uid, &gid, err);
	if (rc != RC_OK)
		return rc;
	if (uid == 0) {
		log_warning("runs-as-root",
			    "hint=\"give STORE/recorder to a user of its own, or set user:\"");
		return RC_OK;
	}
	choose_capabilities(listens);
	if (capng_change_id((int)uid, (int)gid, CAPNG_DROP_SUPP_GRP) != 0)
		return error_errno(err, RC_FAILED, errno, "cannot become user %u", (unsigned)uid);
	ASSERT(setuid(0) != 0); /* there is no way back */
	/* Changing the user makes a process dumpable again (prctl(2)). */
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		log_warning("core-dumps-possible", "errno=%d", errno);
	return RC_OK;
}
