/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* req_status.c: how the store stands, and building its index anew. */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/version.h"
#include "vault/hold.h"
#include "vault/holds.h"
#include "vault/parts.h"
#include "vault/policies.h"
#include "vault/purge.h"

#define MISSING_NAMES 10 /* that are told */
#define DAY_US        (INT64_C(86400) * 1000000)
#define SEGMENTS      100 /* between two turns */

#define NAME_OF_INTERFACE "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-@+"

/* ---- status --------------------------------------------------------------------------------------------------- */

struct tally {
	struct vault *v;
	int64_t now_us;
	json_int_t calls, talking, open_calls, unattested;
	json_int_t open, closed, damaged, missing, bytes;
	json_t *missing_names; /* borrowed: the first of these; NULL: not wanted */
	json_int_t expiring, due, held_past;
	json_int_t holds, asked;
};

static bool tally_hold(void *ctx, const struct hold *h)
{
	struct tally *t = ctx;
	t->holds++;
	t->asked += h->state == HOLD_ASKED;
	return true;
}

/* When the first or the last call began; 0: there is none. */
static int64_t end_of_times(struct vault *v, bool last)
{
	const uint8_t *key, *value;
	size_t key_len, value_len;
	struct index_cursor *c = index_cursor_new(v->index, INDEX_BY_TIME, NULL, 0, last);
	bool any = index_cursor_next(c, &key, &key_len, &value, &value_len) && key_len >= 8;
	int64_t us = any ? catalogue_from_be64(key) : 0;
	index_cursor_free(c);
	return us;
}

/* Timers that have run out, or do so within a day. */
static enum rc tally_timer(void *ctx, int64_t us, const struct uuid *id, struct error *err)
{
	struct tally *t = ctx;
	bool held = false;
	t->expiring++;
	if (us > t->now_us)
		return RC_OK;
	t->due++;
	enum rc rc = holds_held(t->v, id, &held, err);
	t->held_past += held;
	return rc;
}

/* Calls of a segment that is being written, or was not closed in order: of all others everything is known. */
static enum rc tally_unsettled(struct vault *v, const char *name, struct tally *t,
			       struct error *err)
{
	struct segment *s;
	struct error why;
	enum rc rc = RC_OK;
	uint32_t slots = segments_open(v, name, &s, &why) == RC_OK ? segment_slots(s) : 0;
	for (uint32_t n = 0; n < slots && rc == RC_OK; n++) {
		struct slot slot;
		struct call *c;
		if (segment_slot(s, n, &slot, &why) != RC_OK || slot.destroyed ||
		    uuid_is_nil(&slot.call))
			continue;
		rc = catalogue_get(v, &slot.call, &c, err);
		if (rc != RC_OK) {
			rc = rc == RC_NOT_FOUND ? RC_OK : rc;
			continue;
		}
		bool ours = strcmp(c->segment, name) == 0 && c->slot == n;
		t->open_calls += ours && c->r.state != CALL_ENDED;
		t->talking += ours && c->r.state == CALL_TALKING;
		t->unattested += ours && !c->attested;
		call_row_free(c);
	}
	return rc;
}

static enum rc tally_segment(struct vault *v, const char *name, struct tally *t, struct error *err)
{
	struct segment_row row;
	char path[STORE_PATH];
	uint64_t size = 0;
	enum rc rc = segments_get(v, name, &row, err);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	bool there = segments_locate(v, name, path) != SEGMENT_NOWHERE;
	if (!there && rc == RC_NOT_FOUND)
		return RC_OK; /* removed since the names were read */
	if (there)
		(void)disk_is_file(path, &size);
	t->calls += (json_int_t)row.calls;
	t->bytes += (json_int_t)(size + segments_keys_bytes(v, name));
	t->open += !row.done;
	t->closed += row.done;
	t->damaged += row.damaged || (!there && (row.calls || row.closed_bytes));
	if ((row.calls || row.closed_bytes) && segments_missing(v, name, &row) &&
	    t->missing++ < MISSING_NAMES && t->missing_names)
		json_array_append_new(t->missing_names, json_string(name));
	if (row.done && !row.unattested_tail && !row.damaged)
		return RC_OK;
	return tally_unsettled(v, name, t, err);
}

static enum rc tally_segments(const struct request *q, struct tally *t, struct error *err)
{
	char **names;
	size_t count;
	enum rc rc = segments_names(q->v, &names, &count, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < count && rc == RC_OK; i++) {
		rc = tally_segment(q->v, names[i], t, err);
		if (rc == RC_OK && i % SEGMENTS == SEGMENTS - 1)
			rc = requests_rest(q, err);
	}
	segments_names_free(names, count);
	return rc;
}

static json_t *free_bytes(const struct vault *v)
{
	struct statvfs fs;
	if (statvfs(v->store, &fs) != 0)
		return json_null();
	return json_integer((json_int_t)fs.f_bavail * (json_int_t)fs.f_frsize);
}

/* A text of the recorder's, when it is a time; null. */
static void copy_time(json_t *to, const json_t *from, const char *member)
{
	int64_t ns;
	const char *text = json_string_value(json_object_get(from, member));
	bool good = text && clock_parse(text, &ns);
	json_object_set_new(to, member, good ? call_json_time(ns / 1000) : json_null());
}

/* The interfaces whose names are plain, in a state that is known. */
static json_t *copy_interfaces(const json_t *from)
{
	static const char *const states[] = { "up", "no-carrier", "down", "missing", "reopening" };
	json_t *all = json_array(), *one;
	size_t i;

	json_array_foreach(json_object_get(from, "interfaces"), i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		const char *state = json_string_value(json_object_get(one, "state"));
		size_t s = 0;
		while (state && s < sizeof states / sizeof states[0] &&
		       strcmp(state, states[s]) != 0)
			s++;
		if (!name || !state || s == sizeof states / sizeof states[0] || strlen(name) > 63 ||
		    name[strspn(name, NAME_OF_INTERFACE)])
			continue;
		json_t *o = json_pack("{s:s, s:s}", "name", name, "state", states[s]);
		copy_time(o, one, "since");
		json_array_append_new(all, o);
	}
	return all;
}

/* The recorder's folder is the recorder's: nothing is taken from it but times, flags, interfaces' names and states, and the
 * counters that are known. */
json_t *req_status_capture(const struct vault *v)
{
	char path[STORE_PATH], *text;
	size_t len;
	struct error ignored;
	disk_path(path, v->store, "recorder/status.json");
	if (disk_read(path, 65536, &text, &len, &ignored) != RC_OK)
		return json_null();
	json_t *j = json_loadb(text, len, 0, NULL);
	free(text);
	const json_t *counters = json_object_get(j, "counters");
	if (!json_is_object(counters)) {
		json_decref(j);
		return json_null();
	}
	json_t *o = json_object(), *known = json_object();
	json_object_set_new(o, "running",
			    json_boolean(json_is_true(json_object_get(j, "running"))));
	json_object_set_new(o, "live", json_boolean(json_is_true(json_object_get(j, "live"))));
	copy_time(o, j, "started");
	copy_time(o, j, "written");
	copy_time(o, j, "packet_time");
	json_object_set_new(o, "interfaces", copy_interfaces(j));
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		json_t *n = json_object_get(counters, counter_names[i]);
		if (json_is_integer(n))
			json_object_set(known, counter_names[i], n);
	}
	json_object_set_new(o, "counters", known);
	json_decref(j);
	return o;
}

/* ---- what status tells, part by part ------------------------------------------------------------------------------ */

/* How many there are of each role, and who is to open audio and has no passphrase for it. */
static enum rc add_people(const struct request *q, json_t *o, struct error *err)
{
	const struct vault *v = q->v;
	struct person *all = NULL;
	size_t count = 0;
	json_int_t roles[PEOPLE_ROLES] = { 0 }, disabled = 0, without = 0;
	enum rc rc = people_all(v->store, &all, &count, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < count; i++) {
		bool has = v->keys.has_audio ? all[i].has_box : all[i].has_audio;
		disabled += all[i].disabled;
		without += !all[i].disabled && (all[i].role & ROLES_OPEN_AUDIO) && !has;
		for (size_t r = 0; r < PEOPLE_ROLES && !all[i].disabled; r++)
			roles[r] += all[i].role == people_role_named(people_role_names[r]);
	}
	people_free(all, count);
	json_t *people = json_object();
	for (size_t r = 0; r < PEOPLE_ROLES; r++)
		json_object_set_new(people, people_role_names[r], json_integer(roles[r]));
	json_object_set_new(people, "disabled", json_integer(disabled));
	json_object_set_new(people, "without_passphrase", json_integer(without));
	json_object_set_new(o, "people", people);
	json_object_set_new(o, "rotation_unfinished",
			    json_boolean(v->keys.rotation != ROTATION_NONE));
	return RC_OK;
}

static json_t *purge_json(struct vault *v, json_int_t due)
{
	struct purge_memory m;
	purge_memory_get(v, &m);
	json_t *o = json_pack("{s:I, s:I, s:I, s:I}", "due", due, "last_destroyed",
			      (json_int_t)m.destroyed, "last_held", (json_int_t)m.held,
			      "destroyed_total", (json_int_t)v->disposals_count);
	json_object_set_new(o, "last", call_json_time(m.last_us));
	json_object_set_new(o, "refused", call_json_time(m.refused_us));
	json_object_set_new(o, "refused_why", call_json_text(m.refused));
	return o;
}

static enum rc add_store(const struct request *q, json_t *o, struct error *err)
{
	const struct vault *v = q->v;
	char recorder[RECORDER_ID];
	json_t *store = json_string(v->store);
	if (!store)
		return error_set(err, RC_FAILED, "the store's path is not UTF-8");
	store_recorder_id(v->keys.recorder_public, recorder);
	json_object_set_new(o, "store", store);
	json_object_set_new(o, "version", json_string(CALLSPAN_VERSION));
	json_object_set_new(o, "policy", json_string(v->policy.name));
	json_object_set_new(o, "policy_hash", json_string(v->policy.hash));
	json_object_set_new(o, "policy_applied",
			    json_boolean(strcmp(v->policy.hash, v->applied.hash) == 0));
	json_object_set_new(o, "policy_edited", json_boolean(policies_edited(v)));
	json_object_set_new(o, "policy_fault", call_json_text(v->policy_fault.text));
	json_object_set_new(o, "unattended", json_boolean(v->keys.has_audio));
	json_object_set_new(o, "recorder_id", json_string(recorder));
	json_object_set_new(o, "free_bytes", free_bytes(v));
	json_object_set_new(o, "audit", req_audit_json(v));
	json_object_set_new(o, "capture", req_status_capture(v));
	return RC_OK;
}

static enum rc add_calls(const struct request *q, json_t *o, struct error *err)
{
	json_t *names = json_array();
	int64_t now_us = vault_now_us(q->v);
	struct tally t = { .v = q->v, .now_us = now_us, .missing_names = names };
	enum rc rc = tally_segments(q, &t, err);
	json_object_set_new(o, "missing_segments", names);
	if (rc == RC_OK)
		rc = catalogue_walk_times(q->v, q, INDEX_EXPIRY, 0, now_us + DAY_US - 1,
					  tally_timer, &t, err);
	if (rc == RC_OK)
		rc = hold_walk(q->v, false, tally_hold, &t, err);
	if (rc != RC_OK)
		return rc;
	json_object_set_new(o, "calls",
			    json_pack("{s:I, s:I, s:I, s:I}", "total", t.calls, "open",
				      t.open_calls, "talking", t.talking, "unattested",
				      t.unattested));
	json_object_set_new(o, "segments",
			    json_pack("{s:I, s:I, s:I, s:I, s:I}", "open", t.open, "closed",
				      t.closed, "damaged", t.damaged, "missing", t.missing, "bytes",
				      t.bytes));
	json_object_set_new(o, "oldest", call_json_time(end_of_times(q->v, false)));
	json_object_set_new(o, "newest", call_json_time(end_of_times(q->v, true)));
	json_object_set_new(o, "expiring_next_24h", json_integer(t.expiring));
	json_object_set_new(o, "purge", purge_json(q->v, t.due));
	json_object_set_new(o, "holds",
			    json_pack("{s:I, s:I, s:I}", "active", t.holds, "release_asked",
				      t.asked, "calls_past_their_time", t.held_past));
	return RC_OK;
}

static enum rc add_inquiries(const struct request *q, json_t *o, struct error *err)
{
	json_t *inquiries = NULL;
	enum rc rc = req_inquiry_tally(q, &inquiries, err);
	if (rc == RC_OK)
		json_object_set_new(o, "requests", inquiries);
	return rc;
}

static enum rc add_backups(const struct request *q, json_t *o, struct error *err)
{
	json_t *backups = NULL;
	enum rc rc = req_backup_tally(q, &backups, err);
	if (rc == RC_OK)
		json_object_set_new(o, "backups", backups);
	return rc;
}

static enum rc (*const parts[])(const struct request *q, json_t *o, struct error *err) = {
	add_store, add_calls, add_people, add_inquiries, add_backups,
};

enum rc req_status(const struct request *q, struct error *err)
{
	json_t *o = json_object();
	enum rc rc = RC_OK;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0] && rc == RC_OK; i++)
		rc = parts[i](q, o, err);
	if (rc == RC_OK)
		requests_reply(q, o);
	else
		json_decref(o);
	return rc;
}

/* ---- reindex ---------------------------------------------------------------------------------------------------- */

enum rc req_reindex(const struct request *q, struct error *err)
{
	struct tally t = { 0 };
	(void)ingest_wait(q->v, INT64_MAX);
	enum rc rc = reindex_all_there(q->v, err);
	if (rc == RC_OK)
		rc = reindex_begin(q->v, err);
	if (rc == RC_OK)
		rc = ingest_run(q->v, NULL, err);
	if (rc == RC_OK)
		rc = tally_segments(q, &t, err);
	if (rc != RC_OK)
		return rc;
	requests_reply(q, json_pack("{s:I, s:I}", "calls", t.calls, "segments", t.open + t.closed));
	return RC_OK;
}
