/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* work.c: see work.h. */
#include "vault/work.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

#define REFUSAL_PAUSE_US 100000
#define STREAM_PIECE     65536
#define POLL_US          20000
#define SHARE_NAMELESS   65534 /* nobody's */

struct job {
	struct works *all; /* borrowed */
	struct job *next;
	struct work_caller who;
	json_t *request; /* owned */
	struct spool *spool;
	bool placed; /* it has one of its person's places */
	int fd;      /* where its file goes, owned; -1: nowhere */
};

struct works {
	struct vault *v;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	struct job *jobs;
	bool closing;
};

struct works *works_new(struct vault *v)
{
	struct works *w = calloc(1, sizeof *w);
	ASSERT(w && pthread_mutex_init(&w->lock, NULL) == 0 &&
	       pthread_cond_init(&w->changed, NULL) == 0);
	w->v = v;
	return w;
}

void works_free(struct works *w)
{
	if (!w)
		return;
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* ---- a caller ------------------------------------------------------------------------------------------------- */

void work_caller_name(struct work_caller *who, const char *name)
{
	who->nameless = !name || strlen(name) >= sizeof who->person;
	if (who->nameless)
		snprintf(who->person, sizeof who->person, "uid %u", (unsigned)who->uid);
	else
		snprintf(who->person, sizeof who->person, "%s", name);
}

uid_t work_share(const struct work_caller *who)
{
	return who->nameless && who->uid != 0 ? SHARE_NAMELESS : who->uid;
}

/* ---- a person's places ---------------------------------------------------------------------------------------- */

static unsigned placed(const struct works *w, uid_t share)
{
	unsigned n = 0;
	for (const struct job *j = w->jobs; j; j = j->next)
		n += j->placed && work_share(&j->who) == share;
	return n;
}

static bool has_gone(const struct job *j)
{
	return __atomic_load_n(spool_gone(j->spool), __ATOMIC_RELAXED);
}

/* False: the caller has gone.  Nobody would hear what is opened. */
static bool take_place(struct job *j)
{
	struct works *w = j->all;
	pthread_mutex_lock(&w->lock);
	while (!has_gone(j) && placed(w, work_share(&j->who)) >= WORK_PLACES)
		pthread_cond_wait(&w->changed, &w->lock);
	j->placed = !has_gone(j);
	bool good = j->placed;
	pthread_mutex_unlock(&w->lock);
	return good;
}

static void leave_place(struct job *j)
{
	struct works *w = j->all;
	pthread_mutex_lock(&w->lock);
	j->placed = false;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* ---- the reply ---------------------------------------------------------------------------------------------------- */

/* An object (freed) as a line, owned by the caller. */
static char *line_of(json_t *object, size_t *len)
{
	char *text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	ASSERT(text);
	*len = strlen(text);
	text[(*len)++] = '\n'; /* where the NUL was: a line is bytes */
	return text;
}

static void free_line(char *line, size_t len)
{
	explicit_bzero(line, len);
	free(line);
}

/* A line is put whole or not at all. */
static bool put_line(struct spool *s, json_t *object)
{
	size_t len;
	char *line = line_of(object, &len);
	bool good = spool_put(s, line, len);
	free_line(line, len);
	return good;
}

static bool take_reply(void *ctx, const json_t *object)
{
	const struct job *j = ctx;
	json_t *line = json_object();
	json_object_set(line, "reply", (json_t *)(uintptr_t)object);
	return put_line(j->spool, line);
}

/* A long reply stands between two pages: the person's other requests may go on while this one's caller is slow. */
static void rest(void *ctx)
{
	struct job *j = ctx;
	leave_place(j);
	spool_wait(j->spool);
	(void)take_place(j); /* without one it ends at once: nobody takes its pages */
}

/* What was written to the file, after the replies.  Nobody waits for this caller. */
static enum rc put_stream(struct job *j, struct error *err)
{
	char piece[STREAM_PIECE];
	off_t at = 0, end = lseek(j->fd, 0, SEEK_END);
	bool good = end >= 0 && put_line(j->spool, json_pack("{s:I}", "bytes", (json_int_t)end));
	while (good && at < end) {
		size_t want = end - at < STREAM_PIECE ? (size_t)(end - at) : STREAM_PIECE;
		ssize_t n = pread(j->fd, piece, want, at);
		spool_wait(j->spool);
		good = n > 0 && spool_put(j->spool, piece, (size_t)n);
		at += n > 0 ? n : 0;
	}
	explicit_bzero(piece, sizeof piece);
	return good ? RC_OK : error_set(err, RC_FAILED, "the recording could not be handed over");
}

static char *verdict(enum rc rc, const struct error *err, size_t *len)
{
	static const struct {
		enum rc rc;
		const char *name;
	} names[] = { { RC_OK, "done" },         { RC_USAGE, "usage" }, { RC_REFUSED, "refused" },
		      { RC_DAMAGED, "damaged" }, { RC_AGAIN, "again" }, { RC_FAILED, "failed" } };
	size_t i = 0;
	while (names[i].rc != rc && names[i].rc != RC_FAILED)
		i++;
	json_t *o = json_pack("{s:s}", "verdict", names[i].name);
	ASSERT(o);
	if (rc != RC_OK)
		json_object_set_new(o, "error", call_json_text(err->text));
	return line_of(o, len);
}

/* ---- one request ---------------------------------------------------------------------------------------------------- */

/* "fd" is never the caller's to choose; "stream" is for us, not for the request. */
static enum rc prepare(struct job *j, struct error *err)
{
	const json_t *stream = json_object_get(j->request, "stream");
	if (json_object_get(j->request, "fd"))
		return error_set(err, RC_USAGE,
				 "fd: a descriptor of the service is not yours to name; ask with "
				 "\"stream\": true");
	if (stream && !json_is_boolean(stream) && !json_is_null(stream))
		return error_set(err, RC_USAGE, "stream: true or false is wanted");
	bool wanted = json_is_true(stream);
	json_object_del(j->request, "stream");
	if (!wanted)
		return RC_OK;
	j->fd = memfd_create("callspan", MFD_CLOEXEC);
	if (j->fd < 0)
		return error_errno(err, RC_FAILED, errno, "no file in memory");
	json_object_set_new(j->request, "fd", json_integer(j->fd));
	return RC_OK;
}

static enum rc ask(struct job *j, struct error *err)
{
	const struct vault_caller who = { .person = j->who.person,
					  .uid = j->who.uid,
					  .stop = spool_gone(j->spool),
					  .rest = rest };
	enum rc rc = prepare(j, err);
	if (rc != RC_OK)
		return rc;
	if (!take_place(j))
		return error_set(err, RC_FAILED, "the caller has gone");
	rc = vault_request(j->all->v, &who, j->request, take_reply, j, err);
	if (rc == RC_REFUSED)
		clock_sleep_us(REFUSAL_PAUSE_US);
	leave_place(j);
	if (rc == RC_OK && j->fd >= 0)
		rc = put_stream(j, err);
	if (rc == RC_OK && spool_overflown(j->spool))
		rc = error_set(err, RC_FAILED, "the reply is longer than %zu MiB: ask for less",
			       SPOOL_MOST >> 20);
	return rc;
}

/* Out of the list before the spool may be gone: works_finish() looks at it. */
static void unlist(struct job *j)
{
	struct works *w = j->all;
	pthread_mutex_lock(&w->lock);
	struct job **at = &w->jobs;
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void *run(void *arg)
{
	struct job *j = arg;
	struct error err = { "" };
	size_t len;
	enum rc rc = ask(j, &err);
	char *last = verdict(rc, &err, &len);
	if (j->fd >= 0)
		close(j->fd);
	json_decref(j->request);
	unlist(j);
	spool_end(j->spool, last, len);
	free_line(last, len);
	free(j);
	return NULL;
}

static bool start(struct job *j)
{
	pthread_attr_t detached;
	pthread_t thread;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	bool good = pthread_create(&thread, &detached, run, j) == 0;
	pthread_attr_destroy(&detached);
	return good;
}

static bool has_many(const struct works *w, const struct work_caller *who)
{
	unsigned n = 0;
	for (const struct job *j = w->jobs; j; j = j->next)
		n += work_share(&j->who) == work_share(who);
	return who->uid != 0 && n >= WORK_OF_ONE;
}

struct spool *works_begin(struct works *w, const struct work_caller *who, json_t *request)
{
	struct spool *spool = spool_new();
	struct job *j = calloc(1, sizeof *j);
	ASSERT(j);
	*j = (struct job){ .all = w, .who = *who, .request = request, .spool = spool, .fd = -1 };
	pthread_mutex_lock(&w->lock);
	bool good = spool && !w->closing && !has_many(w, who);
	if (good) {
		j->next = w->jobs;
		w->jobs = j;
		good = start(j);
		if (!good)
			w->jobs = j->next;
	}
	pthread_mutex_unlock(&w->lock);
	/* The job is its thread's now. */
	if (good)
		// cppcheck-suppress memleak
		return spool;
	json_decref(request);
	free(j);
	if (spool) {
		spool_end(spool, "", 0);
		spool_leave(spool);
	}
	return NULL;
}

void works_let_go(struct works *w, struct spool *s)
{
	spool_leave(s);
	pthread_mutex_lock(&w->lock);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

static bool wait_for_none(struct works *w, int patience_ms)
{
	int64_t until_ns = clock_mono_ns() + patience_ms * INT64_C(1000000);
	for (;;) {
		pthread_mutex_lock(&w->lock);
		bool none = !w->jobs;
		pthread_mutex_unlock(&w->lock);
		if (none || clock_mono_ns() >= until_ns)
			return none;
		clock_sleep_us(POLL_US);
	}
}

bool works_finish(struct works *w, int patience_ms)
{
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_mutex_unlock(&w->lock);
	if (wait_for_none(w, patience_ms))
		return true;
	pthread_mutex_lock(&w->lock);
	for (struct job *j = w->jobs; j; j = j->next)
		spool_stop(j->spool);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	return wait_for_none(w, patience_ms);
}
