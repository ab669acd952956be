/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* serve.c: the service: it holds a vault, answers at a socket, and does what is due each second.
 *
 *   main thread     accepts, and finds out who that is (SO_PEERCRED); signals; tells systemd how it goes
 *   keeper          each second: what recorders have written is taken in
 *   http.c          a thread for each connection;  work.c  one for each request
 *
 * Whoever may reach the socket is heard; what they may do, the table of requests says.  A socket of another kind (the
 * console's, with accounts instead of Unix users) is one more listener here and one more way to a work_caller.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/local.h"
#include "base/log.h"
#include "vault/http.h"
#include "vault/turn.h"

#define SOCKET_MODE  0666
#define VAULT_WAIT   10000 /* ms for a command that has the store open */
#define PATIENCE_MS  10000 /* for requests, when the service ends */
#define KEEP_MS      1000
#define TICK_MS      500
#define DESCRIPTORS  4096
#define PASSWD_BYTES 4096

struct service {
	const struct vault_serve *cfg;
	char path[STORE_PATH]; /* of the socket */
	ino_t inode;
	int fd;
	struct vault *v;
	struct works *works;
	struct http *http;
	pthread_t keeper;
	volatile int ending;
};

static bool is_set(const volatile int *flag)
{
	return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

/* ---- the socket -------------------------------------------------------------------------------------------------- */

/* Clients pass through STORE to its socket; they cannot list it.  The policy names numbers: it stays its owner's where it was so. */
static enum rc let_through(const char *store, struct error *err)
{
	char policy[STORE_PATH];
	struct stat st;
	if (stat(store, &st) != 0 || (st.st_mode & S_IXOTH))
		return RC_OK; /* what is missing, opening the vault tells */
	disk_path(policy, store, "policy.yaml");
	if (chmod(policy, 0600) != 0 && errno != ENOENT)
		return error_errno(err, RC_FAILED, errno, "%.400s", policy);
	if (chmod(store, (st.st_mode & 07777) | S_IXGRP | S_IXOTH) != 0)
		return error_errno(err, RC_FAILED, errno, "%.400s", store);
	return RC_OK;
}

static enum rc open_socket(struct service *s, struct error *err)
{
	struct stat st;
	const char *given = s->cfg->socket;
	enum rc rc = RC_OK;
	if (strlen(s->cfg->store) + sizeof VAULT_SOCKET >= sizeof s->path)
		return error_set(err, RC_USAGE, "the store's path is too long");
	if (given && *given)
		snprintf(s->path, sizeof s->path, "%s", given);
	else
		disk_path(s->path, s->cfg->store, VAULT_SOCKET);
	rc = vault_check_owner(s->cfg->store, err);
	if (rc == RC_OK)
		rc = local_listen(s->path, SOCKET_MODE, &s->fd, err);
	if (rc == RC_OK && lstat(s->path, &st) == 0)
		s->inode = st.st_ino;
	return rc;
}

/* Who has connected.  A user without a name is nobody's person, and is told so as any other who is not listed. */
static bool caller_of(int fd, struct work_caller *who)
{
	struct passwd pw, *found = NULL;
	char buf[PASSWD_BYTES];
	if (!local_peer(fd, &who->uid))
		return false;
	(void)getpwuid_r(who->uid, &pw, buf, sizeof buf, &found);
	work_caller_name(who, found ? found->pw_name : NULL);
	return true;
}

static void accept_one(struct service *s)
{
	struct work_caller who;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		/* Out of descriptors or memory: what there is must first be used up. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			clock_sleep_us(10000);
		return;
	}
	if (caller_of(fd, &who))
		http_connection(s->http, fd, &who);
	else
		close(fd);
}

/* ---- what is due -------------------------------------------------------------------------------------------------- */

/* The same fault is told once. */
static void tell(char last[sizeof((struct error *)0)->text], enum rc rc, const struct error *err)
{
	if (rc == RC_OK) {
		last[0] = '\0';
	} else if (strcmp(last, err->text) != 0) {
		log_error("ingest", "what=\"%s\"", err->text);
		snprintf(last, sizeof err->text, "%s", err->text);
	}
}

static void *keep(void *arg)
{
	struct service *s = arg;
	struct error err;
	char last[sizeof err.text] = "";
	while (!is_set(&s->ending)) {
		tell(last, vault_keep(s->v, &s->ending, &err), &err);
		for (int ms = 0; ms < KEEP_MS && !is_set(&s->ending); ms += 50)
			clock_sleep_us(50000);
	}
	return NULL;
}

static void reload(struct service *s)
{
	struct error err;
	if (!s->cfg->reload || !__atomic_exchange_n(s->cfg->reload, 0, __ATOMIC_RELAXED))
		return;
	sd_notify(0, "RELOADING=1");
	if (vault_reload(s->v, &err) == RC_OK)
		log_info("policy-read", "policy=%s", "policy.yaml");
	else
		log_error("policy-wrong", "what=\"%s\" hint=\"the one before stays in force\"",
			  err.text);
	sd_notify(0, "READY=1");
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static void raise_limits(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= DESCRIPTORS)
		return;
	r.rlim_cur = r.rlim_max < DESCRIPTORS ? r.rlim_max : DESCRIPTORS;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

/* Signals are the main thread's: they end its poll. */
static enum rc start_threads(struct service *s, sigset_t *usual, struct error *err)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, usual);
	s->works = works_new(s->v);
	enum rc rc = http_new(&s->http, s->works, err);
	if (rc == RC_OK && pthread_create(&s->keeper, NULL, keep, s) != 0) {
		http_free(s->http);
		rc = error_set(err, RC_FAILED, "no thread could be started");
	}
	return rc;
}

static void run(struct service *s, const sigset_t *usual)
{
	const struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };
	sd_notifyf(0, "READY=1\nSTATUS=answering at %s", s->path);
	log_info("serving", "socket=\"%s\"", s->path);
	while (!is_set(s->cfg->stop)) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };
		if (ppoll(&p, 1, &tick, usual) > 0)
			accept_one(s);
		reload(s);
		sd_notify(0, "WATCHDOG=1");
	}
	sd_notify(0, "STOPPING=1");
}

/* Requests may finish.  One that will not, even when told to stop, is left in the middle, as by a kill: nothing that it
 * began is half done after the next start. */
static void stop(struct service *s)
{
	close(s->fd);
	local_remove(s->path, s->inode);
	__atomic_store_n(&s->ending, 1, __ATOMIC_RELAXED);
	if (!works_finish(s->works, PATIENCE_MS)) {
		log_warning("stopped-in-the-middle", "what=\"a request did not end in time\"");
		_exit(RC_FAILED);
	}
	pthread_join(s->keeper, NULL);
	http_free(s->http);
}

static enum rc serve(struct service *s, struct error *err)
{
	sigset_t usual;
	turn_share(s->v);
	enum rc rc = start_threads(s, &usual, err);
	if (rc == RC_OK) {
		run(s, &usual);
		stop(s);
	}
	pthread_sigmask(SIG_SETMASK, &usual, NULL);
	works_free(s->works);
	return rc;
}

enum rc vault_serve(const struct vault_serve *cfg, struct error *err)
{
	struct service *s = calloc(1, sizeof *s);
	ASSERT(s);
	s->cfg = cfg;
	raise_limits();
	/* Callers wait at the socket while the store is being opened, instead of opening it themselves. */
	enum rc rc = open_socket(s, err);
	if (rc != RC_OK) {
		free(s);
		return rc;
	}
	rc = vault_open(&s->v, cfg->store, VAULT_WAIT, err);
	if (rc == RC_OK)
		rc = vault_configure(s->v, &cfg->settings, err);
	if (rc == RC_OK && !*cfg->socket)
		rc = let_through(cfg->store, err);
	if (rc == RC_OK)
		rc = serve(s, err);
	else
		local_remove(s->path, s->inode);
	vault_close(s->v);
	free(s);
	return rc == RC_AGAIN ? RC_FAILED : rc;
}
