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
#include "vault/purge.h"

#define DAY_US (INT64_C(86400) * 1000000)

/* ---- status --------------------------------------------------------------------------------------------------- */

struct tally {
	json_int_t calls, talking, open_calls, unattested;
	json_int_t open, closed, damaged, bytes;
	json_int_t expiring, due, held_past;
	json_int_t holds, asked;
	int64_t oldest_us, newest_us;
};

/* A call whose time is over, and which is there because something holds it. */
static enum rc tally_past(struct vault *v, const struct call *call, struct tally *t,
			  struct error *err)
{
	bool held = false;
	if (!call->expiry_us || call->expiry_us > vault_now_us(v))
		return RC_OK;
	enum rc rc = holds_held(v, &call->r.id, &held, err);
	t->held_past += held;
	return rc;
}

static bool tally_hold(void *ctx, const struct hold *h)
{
	struct tally *t = ctx;
	t->holds++;
	t->asked += h->state == HOLD_ASKED;
	return true;
}

static enum rc tally_calls(struct vault *v, struct tally *t, struct error *err)
{
	struct index_cursor *c = index_cursor_new(v->index, INDEX_CALLS, NULL, 0, false);
	const uint8_t *key, *value;
	size_t key_len, value_len;
	int64_t now = vault_now_us(v), soon = now + DAY_US;
	enum rc rc = RC_OK;
	while (rc == RC_OK && index_cursor_next(c, &key, &key_len, &value, &value_len)) {
		struct call *call = call_row_unpack(value, value_len);
		if (!call) {
			rc = error_set(err, RC_DAMAGED, "a call's row is damaged: reindex");
			continue;
		}
		t->calls++;
		t->open_calls += call->r.state != CALL_ENDED;
		t->talking += call->r.state == CALL_TALKING;
		t->unattested += !call->attested;
		t->due += call->expiry_us && call->expiry_us <= now;
		t->expiring += call->expiry_us && call->expiry_us < soon;
		rc = tally_past(v, call, t, err);
		if (!t->oldest_us || call->r.start_us < t->oldest_us)
			t->oldest_us = call->r.start_us;
		if (call->r.start_us > t->newest_us)
			t->newest_us = call->r.start_us;
		call_row_free(call);
	}
	index_cursor_free(c);
	return rc;
}

static enum rc tally_segments(struct vault *v, struct tally *t, struct error *err)
{
	char **names, path[STORE_PATH];
	size_t count;
	enum rc rc = segments_names(v, &names, &count, err);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < count && rc == RC_OK; i++) {
		struct segment_row row;
		uint64_t size = 0;
		rc = segments_get(v, names[i], &row, err);
		if (rc == RC_NOT_FOUND)
			rc = RC_OK;
		bool there = segments_locate(v, names[i], path) != SEGMENT_NOWHERE;
		if (there)
			(void)disk_is_file(path, &size);
		t->bytes += (json_int_t)(size + segments_keys_bytes(v, names[i]));
		t->open += !row.done;
		t->closed += row.done;
		t->damaged += row.damaged || (!there && (row.calls || row.closed_bytes));
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

/* The recorder's folder is the recorder's: nothing is taken from it but times, flags and the counters that are known. */
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
	struct tally t = { 0 };
	enum rc rc = tally_calls(q->v, &t, err);
	if (rc == RC_OK)
		rc = tally_segments(q->v, &t, err);
	if (rc == RC_OK)
		rc = hold_walk(q->v, false, tally_hold, &t, err);
	if (rc != RC_OK)
		return rc;
	json_object_set_new(o, "calls",
			    json_pack("{s:I, s:I, s:I, s:I}", "total", t.calls, "open",
				      t.open_calls, "talking", t.talking, "unattested",
				      t.unattested));
	json_object_set_new(o, "segments",
			    json_pack("{s:I, s:I, s:I, s:I}", "open", t.open, "closed", t.closed,
				      "damaged", t.damaged, "bytes", t.bytes));
	json_object_set_new(o, "oldest", call_json_time(t.oldest_us));
	json_object_set_new(o, "newest", call_json_time(t.newest_us));
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

static enum rc (*const parts[])(const struct request *q, json_t *o, struct error *err) = {
	add_store,
	add_calls,
	add_people,
	add_inquiries,
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
	enum rc rc = reindex_begin(q->v, err);
	if (rc == RC_OK)
		rc = ingest_run(q->v, NULL, err);
	if (rc == RC_OK)
		rc = tally_calls(q->v, &t, err);
	if (rc == RC_OK)
		rc = tally_segments(q->v, &t, err);
	if (rc != RC_OK)
		return rc;
	requests_reply(q, json_pack("{s:I, s:I}", "calls", t.calls, "segments", t.open + t.closed));
	return RC_OK;
}
