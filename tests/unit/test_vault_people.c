/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_people.c: who is listed, as what, and sees what; passphrases, and what is sealed under them. */
#include "vault_help.h"

#define SECOND "another horse, another battery"
#define THIRD  "a third one altogether"

static int make_attended(void **state)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", PASSPHRASE);
	*state = &t;
	return 0;
}

static void expect(struct test_vault *t, enum rc got, enum rc wanted, const char *words)
{
	if (got != wanted || !strstr(t->err.text, words))
		fail_msg("got %d (%s), wanted %d (%s)", got, t->err.text, wanted, words);
}

static struct person person(struct test_vault *t, const char *name)
{
	struct person p;
	if (people_load(t->path, name, &p, &t->err) != RC_OK)
		fail_msg("%s: %s", name, t->err.text);
	return p;
}

/* Does this passphrase of theirs give the store's audio secret? */
static bool opens(struct test_vault *t, const char *name, const char *passphrase)
{
	struct person p = person(t, name);
	struct seal_pair audio = t->v->keys.audio;
	return test_open_audio(&p, passphrase, &audio, &t->err) == RC_OK && seal_pair_fits(&audio);
}

/* The newest audit entry of an action; its detail. */
static const char *detail_of(struct test_vault *t, const char *action)
{
	const char *detail = NULL;
	assert_int_equal(test_ask(t, "{'request':'audit-list'}"), RC_OK);
	for (size_t i = 0; i < json_array_size(t->replies); i++) {
		const json_t *o = test_reply(t, i);
		if (strcmp(test_text(o, "action"), action) == 0)
			detail = json_string_value(json_object_get(o, "detail"));
	}
	return detail ? detail : "";
}

static void entitled_person_is_added_by_who_opens_audio(void **state)
{
	struct test_vault *t = *state;
	expect(t, test_ask(t, "{'request':'person-add','person':'mia','role':'manager'}"), RC_AGAIN,
	       "new passphrase needed");
	expect(t,
	       test_ask(t, "{'request':'person-add','person':'mia','role':'manager',"
			   "'new_passphrase':'" SECOND "'}"),
	       RC_AGAIN, "passphrase needed");
	assert_int_equal(people_load(t->path, "mia", &(struct person){ .name = "" }, &t->err),
			 RC_NOT_FOUND);
	assert_int_equal(test_audited(t, "person-add", NULL), 0);
	expect(t,
	       test_ask(t, "{'request':'person-add','person':'mia','role':'manager',"
			   "'new_passphrase':'" SECOND "','passphrase':'wrong'}"),
	       RC_REFUSED, "wrong");
	assert_int_equal(test_audited(t, "person-add", "refused"), 1);
	assert_int_equal(test_ask(t,
				  "{'request':'person-add','person':'mia','role':'manager',"
				  "'new_passphrase':'" SECOND "','passphrase':'" PASSPHRASE "'}"),
			 RC_OK);
	assert_string_equal(test_text(test_reply(t, 0), "added_by"), "alice");
	assert_true(opens(t, "mia", SECOND));
	assert_false(opens(t, "mia", PASSPHRASE));
	assert_string_equal(detail_of(t, "person-add"), "person=mia role=manager");
	assert_int_equal(test_audited(t, "person-add", "granted"), 1);
}

static void others_may_have_a_passphrase_and_open_no_audio(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, "{'request':'person-add','person':'stan','role':'staff'}"),
			 RC_OK);
	assert_false(person(t, "stan").has_box);
	expect(t, test_ask_as(t, "stan", "{'request':'person-passphrase'}"), RC_AGAIN, "new");
	assert_int_equal(test_ask_as(t, "stan",
				     "{'request':'person-passphrase','new_passphrase':'" SECOND
				     "'}"),
			 RC_OK);
	struct person p = person(t, "stan");
	assert_true(p.has_box);
	assert_false(p.has_audio);
	assert_int_equal(test_prove(&p, SECOND, &t->err), RC_OK);
	assert_int_equal(test_prove(&p, "wrong", &t->err), RC_REFUSED);
	assert_false(opens(t, "stan", SECOND));
}

static void passphrase_is_changed_by_who_knows_the_old_one(void **state)
{
	struct test_vault *t = *state;
	uint8_t public_key[32];
	memcpy(public_key, person(t, "alice").public_key, 32);
	expect(t, test_ask(t, "{'request':'person-passphrase','new_passphrase':'" SECOND "'}"),
	       RC_AGAIN, "passphrase needed");
	expect(t,
	       test_ask(t, "{'request':'person-passphrase','passphrase':'wrong',"
			   "'new_passphrase':'" SECOND "'}"),
	       RC_REFUSED, "wrong");
	expect(t,
	       test_ask(t, "{'request':'person-passphrase','passphrase':'" PASSPHRASE
			   "','new_passphrase':'short'}"),
	       RC_USAGE, "8 characters");
	assert_true(opens(t, "alice", PASSPHRASE));
	assert_int_equal(test_ask(t, "{'request':'person-passphrase','passphrase':'" PASSPHRASE
				     "','new_passphrase':'" SECOND "'}"),
			 RC_OK);
	assert_true(opens(t, "alice", SECOND));
	assert_false(opens(t, "alice", PASSPHRASE));
	assert_memory_equal(public_key, person(t, "alice").public_key, 32);
}

static void lost_passphrase_is_given_anew_by_who_opens_audio(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t,
				  "{'request':'person-add','person':'mia','role':'manager',"
				  "'new_passphrase':'" SECOND "','passphrase':'" PASSPHRASE "'}"),
			 RC_OK);
	expect(t,
	       test_ask(t,
			"{'request':'person-reset','person':'mia','new_passphrase':'" THIRD "'}"),
	       RC_AGAIN, "passphrase needed");
	assert_true(opens(t, "mia", SECOND));
	assert_int_equal(
		test_ask(t, "{'request':'person-reset','person':'mia','new_passphrase':'" THIRD
			    "','passphrase':'" PASSPHRASE "'}"),
		RC_OK);
	assert_true(opens(t, "mia", THIRD));
	assert_false(opens(t, "mia", SECOND));
	expect(t, test_ask_as(t, "mia", "{'request':'person-reset','person':'alice'}"), RC_REFUSED,
	       "manager");
}

static void last_controller_stays(void **state)
{
	struct test_vault *t = *state;
	expect(t, test_ask(t, "{'request':'person-disable','person':'alice'}"), RC_REFUSED,
	       "last controller");
	expect(t, test_ask(t, "{'request':'person-role','person':'alice','role':'operator'}"),
	       RC_REFUSED, "last controller");
	assert_int_equal(test_audited(t, "person-disable", "refused"), 1);
	assert_int_equal(test_audited(t, "person-role", "refused"), 1);
	/* A controller who opens no audio is not enough of one to leave the store to. */
	test_person(t, "carol", ROLE_CONTROLLER);
	expect(t, test_ask(t, "{'request':'person-disable','person':'alice'}"), RC_REFUSED,
	       "last whose passphrase opens audio");
	assert_int_equal(test_ask(t, "{'request':'person-disable','person':'carol'}"), RC_OK);
	expect(t, test_ask(t, "{'request':'person-disable','person':'alice'}"), RC_REFUSED,
	       "last controller");
	assert_false(person(t, "alice").disabled);
}

static void disabled_person_is_refused_everything_and_kept(void **state)
{
	struct test_vault *t = *state;
	test_person(t, "otto", ROLE_OPERATOR);
	assert_int_equal(test_ask_as(t, "otto", "{'request':'status'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'person-disable','person':'otto'}"), RC_OK);
	expect(t, test_ask(t, "{'request':'person-disable','person':'otto'}"), RC_FAILED,
	       "already");
	struct request_right right;
	for (size_t i = 0; requests_right(i, &right); i++)
		expect(t, test_ask_as(t, "otto", "{'request':'%s'}", right.name), RC_REFUSED,
		       "no longer");
	assert_int_equal(test_audited(t, "status", "refused"), 1);
	assert_int_equal(test_ask(t, "{'request':'person-list'}"), RC_OK);
	assert_string_equal(test_text(test_reply(t, 1), "person"), "otto");
	assert_true(json_is_true(json_object_get(test_reply(t, 1), "disabled")));
	assert_int_equal(test_ask(t, "{'request':'person-enable','person':'otto'}"), RC_OK);
	assert_int_equal(test_ask_as(t, "otto", "{'request':'status'}"), RC_OK);
}

static bool file_holds(const struct test_vault *t, const char *name, const char *word)
{
	char path[256];
	size_t len;
	snprintf(path, sizeof path, "%s/vault/people/%s", t->path, name);
	uint8_t *text = read_file(path, &len);
	bool holds = memmem(text, len, word, strlen(word)) != NULL;
	free(text);
	return holds;
}

/* Demoted, a person has the audio secret no more, in no file and in none that was replaced. */
static void who_may_open_no_audio_any_more_has_no_secret_left(void **state)
{
	struct test_vault *t = *state;
	char path[256], hex[2 * sizeof(struct person)];
	assert_int_equal(test_ask(t,
				  "{'request':'person-add','person':'mia','role':'manager',"
				  "'new_passphrase':'" SECOND "','passphrase':'" PASSPHRASE "'}"),
			 RC_OK);
	struct person before = person(t, "mia");
	keys_hex(hex, before.audio, sizeof before.audio);
	assert_true(file_holds(t, "mia", hex));
	snprintf(path, sizeof path, "%s/vault/people/mia", t->path);
	int held = open(path, O_RDONLY); /* the file as it was */
	assert_true(held >= 0);
	assert_int_equal(test_ask(t, "{'request':'person-role','person':'mia','role':'staff'}"),
			 RC_OK);
	assert_false(file_holds(t, "mia", hex));
	char old[4096];
	ssize_t n = pread(held, old, sizeof old, 0);
	close(held);
	assert_true(n > 0);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(old[i], 0);
	assert_false(opens(t, "mia", SECOND));
	assert_true(person(t, "mia").has_box);
	/* Raised again, the pair that they have gets it again: no new passphrase. */
	expect(t, test_ask(t, "{'request':'person-role','person':'mia','role':'manager'}"),
	       RC_AGAIN, "passphrase needed");
	assert_int_equal(test_ask(t, "{'request':'person-role','person':'mia','role':'manager',"
				     "'passphrase':'" PASSPHRASE "'}"),
			 RC_OK);
	assert_true(opens(t, "mia", SECOND));
}

static void bad_words_change_nothing(void **state)
{
	struct test_vault *t = *state;
	static const struct {
		const char *members, *words;
	} wrong[] = {
		{ "", "which person" },
		{ ",'person':'../x','role':'staff'", "as a Unix user is" },
		{ ",'person':'bob'", "which role" },
		{ ",'person':'bob','role':'king'",
		  "controller, manager, staff, auditor, operator" },
		{ ",'person':'bob','role':'staff','scope':'line:1'", "only a manager" },
		{ ",'person':'bob','role':'manager','scope':'lines:1'", "line:PATTERN" },
		{ ",'person':'bob','role':'manager','scope':'line:'", "line:PATTERN" },
		{ ",'person':'bob','role':'manager','scope':'line:a\\u000arole x'",
		  "line:PATTERN" },
		{ ",'person':'bob','role':'manager','scope':'group:none'", "no group" },
		{ ",'person':'bob','role':'staff','new_passphrase':'1234567'", "8 characters" },
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		expect(t, test_ask(t, "{'request':'person-add'%s}", wrong[i].members), RC_USAGE,
		       wrong[i].words);
	expect(t, test_ask(t, "{'request':'person-add','person':'alice','role':'staff'}"),
	       RC_FAILED, "listed already");
	expect(t, test_ask(t, "{'request':'person-role','person':'bob','role':'staff'}"), RC_USAGE,
	       "not listed");
	assert_int_equal(test_ask(t, "{'request':'person-list'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 1);
	assert_int_equal(test_audited(t, "person-add", "failed"),
			 1); /* that of a person who is listed */
	assert_int_equal(test_audited(t, "person-add", NULL), 1);
}

static void no_file_holds_a_passphrase(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t,
				  "{'request':'person-add','person':'mia','role':'manager',"
				  "'new_passphrase':'" SECOND "','passphrase':'" PASSPHRASE "'}"),
			 RC_OK);
	assert_false(file_holds(t, "mia", SECOND));
	assert_int_equal(test_ask(t, "{'request':'audit-list'}"), RC_OK);
	char *all = json_dumps(t->replies, 0);
	assert_null(strstr(all, SECOND));
	assert_null(strstr(all, PASSPHRASE));
	free(all);
}

/* Killed between the second name and the new file, the old name still is the only copy there is. */
static void replacement_that_was_cut_short_loses_nothing(void **state)
{
	struct test_vault *t = *state;
	char live[160], old[160], made[160], folder[128];
	struct stat st;
	snprintf(folder, sizeof folder, "%s/vault/people", t->path);
	snprintf(live, sizeof live, "%s/alice", folder);
	snprintf(old, sizeof old, "%s/.alice.old", folder);
	snprintf(made, sizeof made, "%s/.alice.new", folder);
	assert_int_equal(link(live, old), 0);
	assert_int_equal(disk_wipe_left(folder, &t->err), RC_OK);
	assert_true(opens(t, "alice", PASSPHRASE));
	assert_int_equal(link(live, old), 0);
	assert_int_equal(disk_create(made, "half", 4, 0600, &t->err), RC_OK);
	struct person alice = person(t, "alice");
	assert_int_equal(people_replace(t->path, &alice, &t->err), RC_OK);
	assert_true(opens(t, "alice", PASSPHRASE));
	assert_int_not_equal(lstat(old, &st), 0);
	assert_int_not_equal(lstat(made, &st), 0);
	assert_int_equal(stat(live, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(test_ask(t, "{'request':'person-list'}"), RC_OK);
	assert_int_equal(json_array_size(t->replies), 1);
}

/* ---- scope ------------------------------------------------------------------------------------ */

/* Six calls: of +441632960000 with 2000, +441632960001 with 2001, ... */
static int make_calls(void **state)
{
	static struct test_vault t;
	test_vault_make(&t, "lab", NULL);
	test_record(&t, 6, NULL);
	snprintf(t.v->policy.groups[0].name, sizeof t.v->policy.groups[0].name, "sales");
	t.v->policy.groups[0].count = 2;
	t.v->policy.groups_count = 1;
	snprintf(t.v->policy.members[0], POLICY_PATTERN, "2001");
	snprintf(t.v->policy.members[1], POLICY_PATTERN, "441632960004");
	t.v->policy.members_count = 2;
	*state = &t;
	return 0;
}

static void see(struct test_vault *t, const char *scope)
{
	struct person p = { .role = ROLE_MANAGER };
	snprintf(p.name, sizeof p.name, "mia");
	assert_int_equal(people_scope_read(scope, p.scope, &t->err), RC_OK);
	assert_int_equal(people_replace(t->path, &p, &t->err), RC_OK);
}

/* The last digits of the lines whose calls mia sees, oldest first. */
static const char *seen(struct test_vault *t, const char *members)
{
	static char digits[16];
	size_t n = 0;
	assert_int_equal(test_ask_as(t, "mia", "{'request':'calls'%s}", members), RC_OK);
	for (; n < json_array_size(t->replies); n++)
		digits[n] = test_text(test_reply(t, n), "to")[3];
	digits[n] = '\0';
	return digits;
}

static void manager_sees_the_calls_of_their_lines_and_groups(void **state)
{
	struct test_vault *t = *state;
	see(t, "line:2003");
	assert_string_equal(seen(t, ""), "3");
	see(t, "line:2003,line:+44 1632 96000?");
	assert_string_equal(seen(t, ""), "012345");
	see(t, "group:sales");
	assert_string_equal(seen(t, ""), "14");
	assert_string_equal(seen(t, ",'limit':1"), "4");
	assert_string_equal(seen(t, ",'party':'2002'"), "");
	assert_string_equal(seen(t, ",'party':'2001'"), "1");
	see(t, "group:gone,line:2005");
	assert_string_equal(seen(t, ""), "5");
	see(t, "group:gone");
	assert_string_equal(seen(t, ""), "");
}

static void what_is_out_of_scope_is_not_there(void **state)
{
	static const char *const requests[] = {
		"'show'",
		"'verify'",
		"'export','purpose':'complaint','reference':'r','fd':1",
		"'replay','purpose':'complaint','reference':'r','play':true",
		"'fingerprint','purpose':'complaint','reference':'r'",
		"'digits','purpose':'complaint','reference':'r'",
	};
	struct test_vault *t = *state;
	char id[2][UUID_TEXT];
	see(t, "line:2002");
	assert_int_equal(test_ask(t, "{'request':'calls'}"), RC_OK);
	for (size_t i = 0; i < 2; i++)
		snprintf(id[i], sizeof id[i], "%s", test_text(test_reply(t, 2 + i), "id"));
	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
		expect(t, test_ask_as(t, "mia", "{'request':%s,'id':'%s'}", requests[i], id[1]),
		       RC_USAGE, "no such recording");
	assert_int_equal(test_ask_as(t, "mia", "{'request':'show','id':'%s'}", id[0]), RC_OK);
	char member[80];
	snprintf(member, sizeof member, ",'conversation':'%s'", id[1]);
	assert_string_equal(seen(t, member), "");
	snprintf(member, sizeof member, ",'conversation':'%s'", id[0]);
	assert_string_equal(seen(t, member), "2");
	assert_int_equal(test_ask_as(t, "mia", "{'request':'coverage'}"), RC_OK);
	const json_t *sum =
		json_object_get(test_reply(t, json_array_size(t->replies) - 1), "summary");
	assert_int_equal(test_number(sum, "calls"), 1);
}

static void scope_is_set_by_a_controller_and_audited_without_numbers(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, "{'request':'person-add','person':'mia','role':'manager',"
				     "'scope':'group:sales,line:+44 1632 960003'}"),
			 RC_OK);
	assert_string_equal(test_text(test_reply(t, 0), "scope"), "group:sales,line:441632960003");
	assert_string_equal(seen(t, ""), "134");
	assert_string_equal(detail_of(t, "person-add"),
			    "person=mia role=manager group=sales lines=1");
	assert_int_equal(test_ask(t, "{'request':'person-role','person':'mia','role':'manager'}"),
			 RC_OK);
	assert_string_equal(seen(t, ""), "012345");
}

static void status_tells_of_people(void **state)
{
	struct test_vault *t = *state;
	test_person(t, "mia", ROLE_MANAGER);
	test_person(t, "stan", ROLE_STAFF);
	assert_int_equal(test_ask(t, "{'request':'person-disable','person':'stan'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	const json_t *people = json_object_get(test_reply(t, 0), "people");
	assert_int_equal(test_number(people, "controller"), 1);
	assert_int_equal(test_number(people, "manager"), 1);
	assert_int_equal(test_number(people, "staff"), 0);
	assert_int_equal(test_number(people, "disabled"), 1);
	assert_int_equal(test_number(people, "without_passphrase"), 1);
	assert_true(json_is_false(json_object_get(test_reply(t, 0), "rotation_unfinished")));
}

int main(void)
{
#define ATTENDED(f) cmocka_unit_test_setup_teardown(f, make_attended, test_vault_drop)
#define CALLS(f)    cmocka_unit_test_setup_teardown(f, make_calls, test_vault_drop)
	const struct CMUnitTest tests[] = {
		ATTENDED(entitled_person_is_added_by_who_opens_audio),
		ATTENDED(others_may_have_a_passphrase_and_open_no_audio),
		ATTENDED(passphrase_is_changed_by_who_knows_the_old_one),
		ATTENDED(lost_passphrase_is_given_anew_by_who_opens_audio),
		ATTENDED(last_controller_stays),
		ATTENDED(disabled_person_is_refused_everything_and_kept),
		ATTENDED(who_may_open_no_audio_any_more_has_no_secret_left),
		cmocka_unit_test_setup_teardown(bad_words_change_nothing, test_vault_lab,
						test_vault_drop),
		ATTENDED(no_file_holds_a_passphrase),
		ATTENDED(replacement_that_was_cut_short_loses_nothing),
		CALLS(manager_sees_the_calls_of_their_lines_and_groups),
		CALLS(what_is_out_of_scope_is_not_there),
		CALLS(scope_is_set_by_a_controller_and_audited_without_numbers),
		ATTENDED(status_tells_of_people),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
