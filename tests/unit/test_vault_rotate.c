/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_rotate.c: the vault's keys exchanged: all that opened opens, nothing opens with the old, wherever it is
 * cut short.
 */
#include <fcntl.h>

#include "vault/rotate.h"
#include "vault/unlock.h"
#include "vault_help.h"

#define CALLS  5
#define SECOND "another horse, another battery"
#define TIMES  2000 /* more writes than a rotation has here */

struct scene {
	struct test_vault t;
	struct seal_pair audio, metadata; /* from before */
	struct call_record calls[2 * CALLS];
	unsigned recorded;
};

static void take_old(struct scene *s)
{
	s->metadata = s->t.v->keys.metadata;
	s->audio = s->t.v->keys.audio;
	s->metadata.has_before = s->audio.has_before = false;
	struct person p;
	if (!s->t.v->keys.has_audio) {
		assert_int_equal(people_load(s->t.path, "alice", &p, &s->t.err), RC_OK);
		assert_int_equal(test_open_audio(&p, PASSPHRASE, &s->audio, &s->t.err), RC_OK);
	}
	assert_true(seal_pair_fits(&s->audio));
	assert_true(seal_pair_fits(&s->metadata));
}

/* Calls into a segment of their own. */
static void record(struct scene *s)
{
	struct store_writer *w = test_recorder(&s->t);
	for (unsigned n = 0; n < CALLS; n++, s->recorded++) {
		struct test_call c;
		test_whole_call(w, &c, s->recorded);
		s->calls[s->recorded] = c.r;
	}
	test_finish(&s->t, w);
}

static int make(void **state, const char *passphrase)
{
	static struct scene s;
	memset(&s, 0, sizeof s);
	test_vault_make(&s.t, "lab", passphrase);
	record(&s);
	assert_int_equal(test_ask(&s.t, "{'request':'calls'}"), RC_OK);
	take_old(&s);
	*state = &s;
	return 0;
}

static int make_attended(void **state)
{
	return make(state, PASSPHRASE);
}

static int make_unattended(void **state)
{
	return make(state, NULL);
}

static int drop(void **state)
{
	struct scene *s = *state;
	test_vault_remove(&s->t);
	return 0;
}

static const char *own(const struct scene *s)
{
	return s->t.v->keys.has_audio ? "" : ",'passphrase':'" PASSPHRASE "'";
}

/* Every call is listed with its parties and can be heard, and the store is whole. */
static void check_readable(struct scene *s, const char *person, const char *passphrase)
{
	struct test_vault *t = &s->t;
	char id[UUID_TEXT];
	assert_int_equal(test_ask(t, "{'request':'calls','limit':0}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), s->recorded);
	for (unsigned n = 0; n < s->recorded; n++)
		assert_string_equal(test_text(test_reply(t, n), "from"), s->calls[n].from);
	for (unsigned n = 0; n < s->recorded; n += CALLS) {
		enum rc rc = test_ask_as(t, person,
					 "{'request':'fingerprint','id':'%s','purpose':'complaint',"
					 "'reference':'r'%s}",
					 uuid_text(&s->calls[n].id, id), passphrase);
		if (rc != RC_OK)
			fail_msg("call %u: %s", n, t->err.text);
		const json_t *streams = json_object_get(test_reply(t, 0), "streams");
		assert_int_equal(json_array_size(streams), 2);
	}
	if (test_ask(t, "{'request':'verify'}") != RC_OK)
		fail_msg("verify: %s", t->err.text);
}

/* Opened from the file: what was mapped before may be old. */
static struct segment *segment_of(struct scene *s, char path[512])
{
	struct segment *x;
	assert_true(test_find(&s->t, "vault/segments", ".seg", path));
	assert_int_equal(segment_open(&x, path, &s->t.err), RC_OK);
	return x;
}

static void check_old_open_nothing(struct scene *s)
{
	char path[512];
	struct call_keys keys;
	struct segment *x = segment_of(s, path);
	for (uint32_t n = 0; n < segment_slots(x); n++) {
		assert_int_equal(segment_keys(x, n, &s->audio, NULL, &keys, &s->t.err), RC_DAMAGED);
		assert_int_equal(segment_keys(x, n, NULL, &s->metadata, &keys, &s->t.err),
				 RC_DAMAGED);
	}
	segment_close(x);
}

static struct scene *searched;

static int no_file_holds(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	size_t len;
	char hex[65];
	(void)st;
	(void)ftw;
	if (type != FTW_F)
		return 0;
	const uint8_t *secrets[] = { searched->audio.secret_key, searched->metadata.secret_key };
	uint8_t *bytes = read_file(path, &len);
	for (size_t i = 0; i < 2; i++) {
		keys_hex(hex, secrets[i], 32);
		if (memmem(bytes, len, hex, 64) || memmem(bytes, len, secrets[i], 32))
			fail_msg("an old secret stands in %s", path);
	}
	free(bytes);
	return 0;
}

static void check_old_are_gone(struct scene *s)
{
	char path[512];
	searched = s;
	assert_int_equal(nftw(s->t.path, no_file_holds, 16, FTW_PHYS), 0);
	assert_false(test_find(&s->t, "vault/secret", ".old", path));
	assert_false(test_find(&s->t, "vault/secret", ".new", path));
	assert_false(test_find(&s->t, "vault/people", ".old", path));
	snprintf(path, sizeof path, "%s/vault/secret/rotation.key", s->t.path);
	assert_int_not_equal(access(path, F_OK), 0);
	snprintf(path, sizeof path, "%s/vault/secret/rotation.done", s->t.path);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void rotate(struct scene *s)
{
	if (test_ask(&s->t, "{'request':'key-rotate'%s}", own(s)) != RC_OK)
		fail_msg("rotate: %s", s->t.err.text);
}

static void check_rotated(struct scene *s)
{
	test_vault_reopen(&s->t);
	check_readable(s, "alice", own(s));
	check_old_open_nothing(s);
	check_old_are_gone(s);
}

static void what_opened_opens_and_nothing_with_the_old_keys(void **state)
{
	struct scene *s = *state;
	rotate(s);
	assert_int_equal(test_number(test_reply(&s->t, 0), "slots"), CALLS);
	assert_int_equal(test_number(test_reply(&s->t, 0), "segments"), 1);
	check_readable(s, "alice", own(s)); /* without opening the store anew */
	check_rotated(s);
	assert_int_equal(test_audited(&s->t, "key-rotate", "granted"), 1);
	assert_int_equal(test_audited(&s->t, "key-rotate", "done"), 1);
	assert_int_equal(test_ask(&s->t, "{'request':'reindex'}"), RC_OK);
	check_readable(s, "alice", own(s));
}

static void what_is_recorded_after_it_is_under_the_new_keys(void **state)
{
	struct scene *s = *state;
	rotate(s);
	record(s);
	check_readable(s, "alice", own(s));
	take_old(s);
	rotate(s); /* a second time: slots sealed anew before, and others */
	assert_int_equal(test_number(test_reply(&s->t, 0), "slots"), 2 * CALLS);
	check_rotated(s);
}

/* One rotation that is stopped after `steps` writes.  True: it came to its end. */
static bool rotate_some(struct scene *s, unsigned steps)
{
	struct person alice;
	const struct vault_caller who = { .person = "alice", .uid = 1000 };
	assert_int_equal(people_load(s->t.path, "alice", &alice, &s->t.err), RC_OK);
	struct unlock u;
	json_t *body = json_pack("{s:s}", "passphrase", PASSPHRASE);
	struct request q = { .v = s->t.v, .who = &who, .person = alice, .body = body };
	struct rotate r = { .steps = &steps };
	unlock_try(&q, &u);
	q.unlock = &u;
	enum rc rc = rotate_run(&q, &r, &s->t.err);
	json_decref(body);
	if (rc != RC_OK && rc != RC_AGAIN)
		fail_msg("%s", s->t.err.text);
	return rc == RC_OK;
}

/* Cut short after every single write, and each time all is readable, also by who comes next; then it is brought to its end. */
static void cut_short_anywhere_it_goes_on(void **state)
{
	struct scene *s = *state;
	unsigned cuts = 0;
	for (unsigned steps = 0; steps < TIMES; steps++) {
		take_old(s);
		if (s->t.v->keys.rotation != ROTATION_NONE)
			fail_msg("the last one is unfinished");
		bool done = rotate_some(s, steps);
		test_vault_reopen(&s->t);
		check_readable(s, "alice", own(s));
		if (!done) {
			cuts++;
			rotate(s);
		}
		check_rotated(s);
		if (done)
			break;
	}
	assert_true(cuts > 2 * CALLS / 2 + 5);
}

/* Cut short again and again, always one write later. */
static void cut_short_again_and_again_it_ends(void **state)
{
	struct scene *s = *state;
	unsigned runs = 0;
	while (!rotate_some(s, runs / 3 + 1)) {
		test_vault_reopen(&s->t);
		check_readable(s, "alice", own(s));
		assert_true(++runs < 100);
	}
	assert_true(runs > 3);
	check_rotated(s);
}

static void calls_recorded_while_it_is_unfinished_are_sealed_too(void **state)
{
	struct scene *s = *state;
	assert_false(rotate_some(s, 5));
	record(s);
	test_vault_reopen(&s->t);
	check_readable(s, "alice", own(s));
	assert_int_equal(test_ask(&s->t, "{'request':'status'}"), RC_OK);
	assert_true(json_is_true(json_object_get(test_reply(&s->t, 0), "rotation_unfinished")));
	rotate(s);
	assert_true(json_is_true(json_object_get(test_reply(&s->t, 0), "resumed")));
	check_rotated(s);
}

static void running_recorder_refuses_it(void **state)
{
	struct scene *s = *state;
	int lock;
	assert_int_equal(store_recorder_lock(s->t.path, &lock, &s->t.err), RC_OK);
	assert_int_equal(test_ask(&s->t, "{'request':'key-rotate'%s}", own(s)), RC_FAILED);
	assert_non_null(strstr(s->t.err.text, "stop it first"));
	close(lock);
	assert_int_equal(test_audited(&s->t, "key-rotate", "granted"), 0);
	check_readable(s, "alice", own(s));
	assert_int_equal(s->t.v->keys.rotation, ROTATION_NONE);
	rotate(s);
}

static void destroyed_recording_stays_destroyed(void **state)
{
	struct scene *s = *state;
	char path[512];
	struct slot slot;
	assert_true(test_find(&s->t, "vault/segments", ".seg", path));
	assert_int_equal(segment_destroy_slot(path, 2, &s->t.err), RC_OK);
	rotate(s);
	assert_int_equal(test_number(test_reply(&s->t, 0), "slots"), CALLS - 1);
	assert_int_equal(test_number(test_reply(&s->t, 0), "unopened"), 0);
	struct segment *x = segment_of(s, path);
	for (uint32_t n = 0; n < CALLS; n++) {
		assert_int_equal(segment_slot(x, n, &slot, &s->t.err), RC_OK);
		assert_int_equal(slot.destroyed, n == 2);
	}
	segment_close(x);
}

/* What is moved away is sealed with keys that must not go: it stops, and goes on when it is back. */
static void check_stops_without(struct scene *s, const char *ext, enum rc wanted)
{
	char path[512], away[520];
	assert_true(test_find(&s->t, "vault/segments", ext, path));
	snprintf(away, sizeof away, "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(test_ask(&s->t, "{'request':'key-rotate'%s}", own(s)), wanted);
	assert_non_null(strstr(s->t.err.text, "nothing is given up"));
	test_vault_reopen(&s->t);
	assert_int_equal(s->t.v->keys.rotation, ROTATION_SEALING);
	assert_int_equal(rename(away, path), 0);
}

static void segment_that_is_away_keeps_the_old_keys(void **state)
{
	struct scene *s = *state;
	check_stops_without(s, ".seg", RC_FAILED);
	check_stops_without(s, ".keys", RC_DAMAGED);
	check_readable(s, "alice", own(s));
	rotate(s);
	check_rotated(s);
}

static void change_byte(const char *path, off_t at)
{
	uint8_t b;
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &b, 1, at), 1);
	b ^= 1;
	assert_int_equal(pwrite(fd, &b, 1, at), 1);
	close(fd);
}

/* A slot that was altered before is left as it is, told, and is no better for it. */
static void altered_slot_is_not_made_good(void **state)
{
	struct scene *s = *state;
	char path[512];
	assert_true(test_find(&s->t, "vault/segments", ".keys", path));
	change_byte(path, 4096 + 256 + 60);
	rotate(s);
	assert_int_equal(test_number(test_reply(&s->t, 0), "unopened"), 1);
	assert_int_equal(test_ask(&s->t, "{'request':'verify'}"), RC_DAMAGED);
	assert_non_null(strstr(s->t.err.text, "altered"));
}

/* Somebody puts a slot of their own making in the place of another, and has the vault seal it anew. */
static void forged_slot_is_found_after_it_too(void **state)
{
	struct scene *s = *state;
	char path[512];
	uint8_t slot[SLOT_BYTES], other[68];
	assert_true(test_find(&s->t, "vault/segments", ".keys", path));
	int fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, slot, sizeof slot, 4096), sizeof slot);
	struct seal_pair audio = s->audio;
	assert_true(seal_open(other, slot + 24, 116, &audio));
	memset(other, 7, 32); /* a key that they know */
	seal_to(slot + 24, other, sizeof other, s->audio.public_key);
	assert_int_equal(pwrite(fd, slot, sizeof slot, 4096), sizeof slot);
	close(fd);
	rotate(s);
	assert_int_equal(test_number(test_reply(&s->t, 0), "unopened"), 0);
	assert_int_equal(test_ask(&s->t, "{'request':'verify'}"), RC_DAMAGED);
	assert_non_null(strstr(s->t.err.text, "slot 0 of the slot file was altered"));
}

static void table_that_is_not_the_vaults_is_found(void **state)
{
	struct scene *s = *state;
	char path[512];
	rotate(s);
	assert_true(test_find(&s->t, "vault/segments", ".reseal", path));
	size_t len;
	free(read_file(path, &len));
	for (off_t at = 0; at < (off_t)len; at += 29) {
		change_byte(path, at);
		assert_int_equal(test_ask(&s->t, "{'request':'verify'}"), RC_DAMAGED);
		assert_non_null(strstr(s->t.err.text, "beside the slots"));
		change_byte(path, at);
	}
	assert_int_equal(test_ask(&s->t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(test_ask(&s->t, "{'request':'verify'}"), RC_DAMAGED);
	assert_non_null(strstr(s->t.err.text, "altered or moved"));
}

static void add(struct scene *s, const char *name, const char *role)
{
	if (test_ask(&s->t,
		     "{'request':'person-add','person':'%s','role':'%s','new_passphrase':'" SECOND
		     "','passphrase':'" PASSPHRASE "'}",
		     name, role) != RC_OK)
		fail_msg("%s: %s", name, s->t.err.text);
}

static void people_keep_what_they_may_and_who_left_loses_it(void **state)
{
	struct scene *s = *state;
	struct person p;
	struct seal_pair audio;
	add(s, "mia", "manager");
	add(s, "max", "manager");
	add(s, "stan", "staff");
	assert_int_equal(test_ask(&s->t, "{'request':'person-disable','person':'max'}"), RC_OK);
	rotate(s);
	assert_int_equal(test_number(test_reply(&s->t, 0), "people"), 2);
	assert_int_equal(test_number(test_reply(&s->t, 0), "lost"), 1);
	check_readable(s, "mia", ",'passphrase':'" SECOND "'");
	assert_int_equal(people_load(s->t.path, "max", &p, &s->t.err), RC_OK);
	assert_true(p.has_box);
	assert_false(p.has_audio);
	assert_int_equal(test_open_audio(&p, SECOND, &audio, &s->t.err), RC_REFUSED);
	assert_int_equal(people_load(s->t.path, "stan", &p, &s->t.err), RC_OK);
	assert_int_equal(test_prove(&p, SECOND, &s->t.err), RC_OK);
}

static void nobody_new_opens_audio_while_it_is_unfinished(void **state)
{
	struct scene *s = *state;
	add(s, "max", "manager");
	assert_int_equal(test_ask(&s->t, "{'request':'person-disable','person':'max'}"), RC_OK);
	assert_false(rotate_some(s, 5));
	assert_int_equal(test_ask(&s->t, "{'request':'person-enable','person':'max'}"), RC_FAILED);
	assert_non_null(strstr(s->t.err.text, "unfinished"));
	assert_int_equal(test_ask(&s->t,
				  "{'request':'person-add','person':'mia','role':'manager',"
				  "'new_passphrase':'" SECOND "','passphrase':'" PASSPHRASE "'}"),
			 RC_FAILED);
	assert_int_equal(test_ask(&s->t, "{'request':'person-passphrase','passphrase':'" PASSPHRASE
					 "','new_passphrase':'" SECOND "'}"),
			 RC_OK);
	check_readable(s, "alice", ",'passphrase':'" SECOND "'");
	assert_int_equal(test_ask(&s->t, "{'request':'key-rotate','passphrase':'" SECOND "'}"),
			 RC_OK);
	check_readable(s, "alice", ",'passphrase':'" SECOND "'");
}

static void wrong_passphrase_begins_nothing(void **state)
{
	struct scene *s = *state;
	assert_int_equal(test_ask(&s->t, "{'request':'key-rotate'}"), RC_AGAIN);
	assert_int_equal(test_ask(&s->t, "{'request':'key-rotate','passphrase':'wrong'}"),
			 RC_REFUSED);
	assert_int_equal(test_audited(&s->t, "key-rotate", "granted"), 0);
	assert_int_equal(s->t.v->keys.rotation, ROTATION_NONE);
	check_readable(s, "alice", own(s));
}

int main(void)
{
#define ATTENDED(f)   cmocka_unit_test_setup_teardown(f, make_attended, drop)
#define UNATTENDED(f) cmocka_unit_test_setup_teardown(f, make_unattended, drop)
	const struct CMUnitTest tests[] = {
		UNATTENDED(what_opened_opens_and_nothing_with_the_old_keys),
		ATTENDED(what_opened_opens_and_nothing_with_the_old_keys),
		UNATTENDED(what_is_recorded_after_it_is_under_the_new_keys),
		UNATTENDED(cut_short_anywhere_it_goes_on),
		UNATTENDED(cut_short_again_and_again_it_ends),
		ATTENDED(cut_short_again_and_again_it_ends),
		UNATTENDED(calls_recorded_while_it_is_unfinished_are_sealed_too),
		ATTENDED(calls_recorded_while_it_is_unfinished_are_sealed_too),
		UNATTENDED(running_recorder_refuses_it),
		UNATTENDED(destroyed_recording_stays_destroyed),
		UNATTENDED(segment_that_is_away_keeps_the_old_keys),
		ATTENDED(segment_that_is_away_keeps_the_old_keys),
		UNATTENDED(altered_slot_is_not_made_good),
		UNATTENDED(forged_slot_is_found_after_it_too),
		UNATTENDED(table_that_is_not_the_vaults_is_found),
		ATTENDED(people_keep_what_they_may_and_who_left_loses_it),
		ATTENDED(nobody_new_opens_audio_while_it_is_unfinished),
		ATTENDED(wrong_passphrase_begins_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
