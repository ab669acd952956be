/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* rotate.c: see rotate.h.  On the vault's thread, with the recorder's lock held. */
#include "vault/rotate.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vault/unlock.h"

struct rotation_run {
	const struct request *q;
	struct vault *v;
	struct rotate *r;
	struct seal_pair audio; /* with its secret */
	uint64_t held_up;       /* segments that cannot be read, and have recordings */
};

/* RC_AGAIN: a test wants us killed here. */
static enum rc step(const struct rotation_run *x)
{
	if (!x->r->steps)
		return RC_OK;
	if (!*x->r->steps)
		return RC_AGAIN;
	--*x->r->steps;
	return RC_OK;
}

/* What the files say now; the vault goes by it at once. */
static enum rc reload(struct vault *v, struct error *err)
{
	struct secrets k;
	enum rc rc = keys_load(v->store, &k, err);
	if (rc == RC_OK)
		v->keys = k;
	forget_bytes(&k, sizeof k);
	return rc;
}

/* The audio secret(s), as far as they are needed and can be had. */
static enum rc open_audio(struct rotation_run *x, struct error *err)
{
	x->audio = x->v->keys.audio;
	if (x->v->keys.has_audio)
		return RC_OK;
	return unlock_audio(x->q, &x->audio, err);
}

/* ---- people --------------------------------------------------------------------------------------------------- */

typedef enum rc (*change_person)(struct rotation_run *x, struct person *p, const void *ctx,
				 bool *changed, struct error *err);

static enum rc each_person(struct rotation_run *x, change_person change, const void *ctx,
			   struct error *err)
{
	struct person *all = NULL;
	size_t count = 0;
	enum rc rc = people_all(x->v->store, &all, &count, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < count && rc == RC_OK; i++) {
		bool changed = false;
		rc = change(x, &all[i], ctx, &changed, err);
		if (rc == RC_OK && changed)
			rc = step(x);
		if (rc == RC_OK && changed)
			rc = people_replace(x->v->store, &all[i], err);
	}
	people_free(all, count);
	return rc;
}

static bool keeps_audio(const struct person *p)
{
	return p->has_audio && !p->disabled && (p->role & ROLES_OPEN_AUDIO);
}

static enum rc give_next(struct rotation_run *x, struct person *p, const void *ctx, bool *changed,
			 struct error *err)
{
	(void)x;
	(void)err;
	*changed = keeps_audio(p);
	if (*changed)
		people_give_next(p, ctx);
	return RC_OK;
}

/* The next secret takes the place of the old.  Who was not to have it has none any more. */
static enum rc take_next(struct rotation_run *x, struct person *p, const void *ctx, bool *changed,
			 struct error *err)
{
	(void)ctx;
	(void)err;
	*changed = p->has_audio && (p->has_next || !keeps_audio(p));
	x->r->people += p->has_audio && keeps_audio(p);
	if (!*changed)
		return RC_OK;
	x->r->lost += !(p->has_next && keeps_audio(p));
	p->has_audio = p->has_next && keeps_audio(p);
	p->has_next = false;
	memcpy(p->audio, p->next, sizeof p->audio);
	forget_bytes(p->next, sizeof p->next);
	return RC_OK;
}

/* ---- the three parts -------------------------------------------------------------------------------------------- */

static enum rc begin(struct rotation_run *x, struct error *err)
{
	struct secrets next = { .rotation = ROTATION_NONE };
	seal_pair_new(&next.metadata);
	seal_pair_new(&next.audio);
	enum rc rc = x->v->keys.has_audio ? RC_OK : each_person(x, give_next, &next.audio, err);
	if (rc == RC_OK)
		rc = step(x);
	if (rc == RC_OK)
		rc = keys_rotate_begin(x->v->store, &x->v->keys, &next, err);
	if (rc == RC_OK)
		rc = reload(x->v, err);
	if (rc == RC_OK) {
		next.audio.has_before = true;
		memcpy(next.audio.before_public, x->audio.public_key, 32);
		memcpy(next.audio.before_secret, x->audio.secret_key, 32);
		x->audio = next.audio;
	}
	forget_bytes(&next, sizeof next);
	return rc;
}

/* Nothing is sealed with, and nothing given up for, what is not a pair. */
static enum rc check_pairs(const struct rotation_run *x, struct error *err)
{
	const struct seal_pair *pairs[] = { &x->audio, &x->v->keys.metadata };
	bool good = true;
	for (size_t i = 0; i < 2; i++) {
		struct seal_pair before = { .has_before = false };
		memcpy(before.public_key, pairs[i]->before_public, 32);
		memcpy(before.secret_key, pairs[i]->before_secret, 32);
		good = good && seal_pair_fits(pairs[i]) && seal_pair_fits(&before);
		forget_bytes(&before, sizeof before);
	}
	return good ? RC_OK
		    : error_set(err, RC_DAMAGED,
				"the keys that are to be exchanged do not fit: ask another who "
				"opens audio");
}

/* Do recordings live in it, as far as the index knows? */
static enum rc has_calls(struct rotation_run *x, const char *name, bool *any, struct error *err)
{
	struct segment_row row;
	enum rc rc = segments_get(x->v, name, &row, err);
	*any = rc == RC_OK && row.calls;
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

/* No recording of a segment that is only out of reach may be lost with the keys from before. */
static enum rc check_missed(struct rotation_run *x, const char *name, struct error *err)
{
	bool any;
	enum rc rc = has_calls(x, name, &any, err);
	if (rc != RC_OK || !any)
		return rc;
	return error_set(
		err, RC_FAILED,
		"segment %s is not there: nothing is given up; put it back, or write it off "
		"(callspan segment write-off), and run it again",
		name);
}

static enum rc reseal_segment(struct rotation_run *x, const char *name, struct reseal *how,
			      struct error *err)
{
	char path[STORE_PATH];
	uint64_t before = how->sealed;
	enum segment_place place = segments_locate(x->v, name, path);
	if (place == SEGMENT_NOWHERE)
		return check_missed(x, name, err);
	if (place == SEGMENT_AT_RECORDER)
		return error_set(err, RC_FAILED, "segment %s is still being written: try again",
				 name);
	enum rc rc = segment_reseal(path, how, err);
	x->r->segments += how->sealed > before;
	if (rc != RC_DAMAGED)
		return rc;
	/* What a recorder has put there and no recording came of holds nothing up. */
	bool any;
	rc = has_calls(x, name, &any, err);
	x->r->damaged++;
	x->held_up += any;
	return rc;
}

static enum rc seal_slots(struct rotation_run *x, struct error *err)
{
	char **names = NULL;
	size_t count = 0;
	struct reseal how = { .audio = x->audio,
			      .metadata = x->v->keys.metadata,
			      .vault = &x->v->keys.heads,
			      .steps = x->r->steps };
	segments_forget_open(x->v);
	enum rc rc = segments_names(x->v, &names, &count, err);
	for (size_t i = 0; i < count && rc == RC_OK; i++)
		rc = reseal_segment(x, names[i], &how, err);
	segments_names_free(names, count);
	if (rc == RC_OK && x->held_up)
		rc = error_set(
			err, RC_DAMAGED,
			"segments without slots that can be read (%" PRIu64
			"; verify tells which): nothing is given up; put them back, or write off "
			"what is lost (callspan segment write-off), and run it again",
			x->held_up);
	x->r->slots = how.sealed;
	x->r->closed = how.closed;
	forget_bytes(&how, sizeof how);
	return rc;
}

static enum rc sealing(struct rotation_run *x, struct error *err)
{
	const struct secrets *k = &x->v->keys;
	enum rc rc = check_pairs(x, err);
	if (rc == RC_OK)
		rc = step(x);
	if (rc == RC_OK)
		rc = store_renew_vault_public(x->v->store, k->audio.public_key,
					      k->metadata.public_key, err);
	if (rc == RC_OK)
		rc = seal_slots(x, err);
	if (rc == RC_OK)
		rc = step(x);
	if (rc == RC_OK)
		rc = keys_rotate_end(x->v->store, err);
	return rc == RC_OK ? reload(x->v, err) : rc;
}

static enum rc ending(struct rotation_run *x, struct error *err)
{
	char people[STORE_PATH];
	enum rc rc = step(x);
	if (rc == RC_OK)
		rc = keys_rotate_settle(x->v->store, &x->v->keys, err);
	if (rc == RC_OK)
		rc = each_person(x, take_next, NULL, err);
	disk_path(people, x->v->store, "vault/people");
	if (rc == RC_OK)
		rc = disk_wipe_left(people, err);
	if (rc == RC_OK)
		rc = step(x);
	if (rc == RC_OK)
		rc = keys_rotate_done(x->v->store, err);
	return rc == RC_OK ? reload(x->v, err) : rc;
}

static enum rc note(const struct request *q, const char *outcome, const char *detail,
		    struct error *err)
{
	return audit_write(q->v,
			   &(struct audit_entry){ .person = q->person.name,
						  .role = people_role_name(q->person.role),
						  .action = "key-rotate",
						  .outcome = outcome,
						  .detail = detail },
			   err);
}

static enum rc run_locked(struct rotation_run *x, struct error *err)
{
	/* What a recorder that has just ended left. */
	enum rc rc = ingest_run(x->v, NULL, err);
	if (rc == RC_OK)
		rc = note(x->q, "granted", x->r->resumed ? "resumed" : "begun", err);
	if (rc == RC_OK && x->v->keys.rotation == ROTATION_NONE)
		rc = begin(x, err);
	if (rc == RC_OK && x->v->keys.rotation == ROTATION_SEALING)
		rc = sealing(x, err);
	if (rc == RC_OK && x->v->keys.rotation == ROTATION_ENDING)
		rc = ending(x, err);
	return rc;
}

/* The recorder's lock, which stays the recorder's own file. */
static enum rc lock_recorder(const struct vault *v, int *fd, struct error *err)
{
	char path[STORE_PATH];
	struct stat dir, st;
	struct error why;
	if (store_recorder_lock(v->store, fd, &why) != RC_OK)
		return error_set(err, RC_FAILED, "%.400s: stop it first", why.text);
	disk_path(path, v->store, "recorder");
	if (stat(path, &dir) == 0 && fstat(*fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_nlink == 1 &&
	    (st.st_uid == dir.st_uid || fchown(*fd, dir.st_uid, dir.st_gid) == 0))
		return RC_OK;
	close(*fd);
	return error_set(err, RC_FAILED, "%s/lock is not the recorder's lock", path);
}

enum rc rotate_run(const struct request *q, struct rotate *r, struct error *err)
{
	struct rotation_run x = { .q = q, .v = q->v, .r = r };
	struct error second;
	int lock;
	r->resumed = q->v->keys.rotation != ROTATION_NONE;
	enum rc rc = open_audio(&x, err);
	if (rc == RC_OK)
		rc = lock_recorder(q->v, &lock, err);
	if (rc == RC_OK) {
		rc = run_locked(&x, err);
		close(lock);
		if (rc != RC_OK && reload(q->v, &second) != RC_OK)
			*err = second;
	}
	forget_bytes(&x, sizeof x);
	return rc;
}

/* ---- the request -------------------------------------------------------------------------------------------------- */

enum rc req_key_rotate(const struct request *q, struct error *err)
{
	struct rotate r = { 0 };
	struct error second;
	char detail[256];
	enum rc rc = rotate_run(q, &r, err);
	if (rc == RC_REFUSED || rc == RC_AGAIN)
		return rc;
	snprintf(detail, sizeof detail,
		 "segments=%" PRIu64 " slots=%" PRIu64 " unopened=%" PRIu64 " damaged=%" PRIu64
		 " people=%" PRIu64 " lost=%" PRIu64,
		 r.segments, r.slots, r.closed, r.damaged, r.people, r.lost);
	if (rc == RC_OK)
		rc = note(q, "done", detail, err);
	else if (note(q, rc == RC_DAMAGED ? "damaged" : "failed", err->text, &second) != RC_OK)
		*err = second;
	if (rc == RC_OK)
		requests_reply(q, json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "resumed",
					    (int)r.resumed, "segments", (json_int_t)r.segments,
					    "slots", (json_int_t)r.slots, "unopened",
					    (json_int_t)r.closed, "damaged", (json_int_t)r.damaged,
					    "people", (json_int_t)r.people, "lost",
					    (json_int_t)r.lost));
	return rc;
}
