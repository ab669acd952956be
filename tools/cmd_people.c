/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan person: who may use the store, as what and of which calls; and their passphrases.
 *
 * Two passphrases may be wanted: the new one of the person who is meant, and one's own.  Each comes from a file, or is
 * asked for on the terminal when the vault says that it is needed.
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

struct person_words {
	const char *user, *role; /* by place */
	const char *role_option, *scope, *new_file, *own_file, *next_file;
	bool json;
};

struct person_act {
	const char *name, *request;
	bool wants_user, wants_role;
	const char *options; /* besides --json */
	enum rc (*run)(struct cli *c, json_t *request, const struct person_words *w);
};

/* ---- asking ------------------------------------------------------------------------------------ */

static enum rc put_file(struct cli *c, json_t *request, const char *member, const char *file)
{
	char passphrase[PASSPHRASE_MAX];
	if (!file)
		return RC_OK;
	enum rc rc = cmd_passphrase_file(file, passphrase, &c->err);
	if (rc == RC_OK)
		cmd_put_text(request, member, passphrase);
	explicit_bzero(passphrase, sizeof passphrase);
	return rc;
}

/* What the vault says is needed, from the terminal. */
static enum rc put_asked(struct cli *c, json_t *request)
{
	char passphrase[PASSPHRASE_MAX], prompt[160];
	bool is_new = strncmp(c->err.text, "new ", 4) == 0;
	const char *member = is_new ? "new_passphrase" : "passphrase";
	const char *user = cmd_text(request, "person");
	if (json_object_get(request, member))
		return RC_REFUSED; /* an empty one is none */
	if (!isatty(STDIN_FILENO)) {
		char what[64];
		snprintf(what, sizeof what, "%.60s", c->err.text);
		return error_set(&c->err, RC_REFUSED,
				 "%s: there is no terminal to ask on (callspan person --help tells "
				 "the options)",
				 what);
	}
	snprintf(prompt, sizeof prompt, "New passphrase%s%.64s: ", *user ? " of " : "", user);
	enum rc rc = is_new ? cmd_passphrase_new(prompt, passphrase, &c->err)
			    : cmd_passphrase_ask("Your passphrase: ", passphrase, &c->err);
	if (rc == RC_OK)
		cmd_put_text(request, member, passphrase);
	explicit_bzero(passphrase, sizeof passphrase);
	return rc;
}

static enum rc send(struct cli *c, json_t *request, const char *new_file, const char *own_file,
		    vault_reply reply)
{
	enum rc rc = put_file(c, request, "new_passphrase", new_file);
	if (rc == RC_OK)
		rc = put_file(c, request, "passphrase", own_file);
	if (rc == RC_OK)
		rc = cmd_send(c, request, reply, NULL);
	for (int asked = 0; rc == RC_AGAIN && asked < 2; asked++) {
		rc = put_asked(c, request);
		if (rc == RC_OK)
			rc = cmd_send(c, request, reply, NULL);
	}
	return rc == RC_AGAIN ? RC_REFUSED : rc;
}

/* ---- printing ----------------------------------------------------------------------------------- */

static bool print_person(void *ctx, const json_t *p)
{
	char *scope = cmd_clean(cmd_text(p, "scope"));
	(void)ctx;
	printf("%s: %s%s%s%s", cmd_text(p, "person"), cmd_text(p, "role"), *scope ? ", sees " : "",
	       scope, json_is_true(json_object_get(p, "disabled")) ? ", disabled" : "");
	printf("%s\n", json_is_true(json_object_get(p, "passphrase")) ? ", has a passphrase"
								      : ", has no passphrase");
	free(scope);
	return true;
}

static const struct column columns[] = {
	{ "PERSON", false, false },  { "ROLE", false, false },       { "SEES", false, true },
	{ "STATE", false, false },   { "PASSPHRASE", false, false }, { "SINCE", false, false },
	{ "ADDED BY", false, true },
};

static bool add_row(void *ctx, const json_t *p)
{
	struct table *t = ctx;
	char since[40];
	bool disabled = json_is_true(json_object_get(p, "disabled"));
	bool passphrase = json_is_true(json_object_get(p, "passphrase"));
	bool audio = json_is_true(json_object_get(p, "audio"));
	const char *scope = cmd_text(p, "scope");
	cmd_table_cell(t, cmd_text(p, "person"), NULL);
	cmd_table_cell(t, cmd_text(p, "role"), NULL);
	cmd_table_cell(t, *scope ? scope : "-", NULL);
	cmd_table_cell(t, disabled ? "disabled" : "", disabled ? "31" : NULL);
	cmd_table_cell(t, audio ? "opens audio" : passphrase ? "own" : "none", NULL);
	cmd_table_cell(t, cmd_local_time(p, "since", since), NULL);
	cmd_table_cell(t, cmd_text(p, "added_by"), NULL);
	return true;
}

static enum rc run_list(struct cli *c, json_t *request, const struct person_words *w)
{
	static const struct listing people = { WORDS(columns), add_row };
	return cmd_list(c, request, w->json, &people, "Nobody is listed.");
}

/* ---- changing ------------------------------------------------------------------------------------- */

static enum rc run_change(struct cli *c, json_t *request, const struct person_words *w)
{
	return send(c, request, w->new_file, w->own_file, w->json ? cmd_print_json : print_person);
}

static enum rc run_add(struct cli *c, json_t *request, const struct person_words *w)
{
	enum rc rc = run_change(c, request, w);
	if (rc == RC_OK && !getpwnam(w->user))
		fprintf(stderr,
			"callspan: this machine has no Unix user %s: nobody can be that person "
			"yet\n",
			w->user);
	return rc;
}

static enum rc run_passphrase(struct cli *c, json_t *request, const struct person_words *w)
{
	return send(c, request, w->next_file, w->new_file, w->json ? cmd_print_json : print_person);
}

/* clang-format off */
static const struct person_act acts[] = {
	{ "add",        "person-add",        true,  true,
	  "role scope passphrase-file my-passphrase-file", run_add },
	{ "list",       "person-list",       false, false, "", run_list },
	{ "role",       "person-role",       true,  true,
	  "role scope passphrase-file my-passphrase-file", run_change },
	{ "disable",    "person-disable",    true,  false, "", run_change },
	{ "enable",     "person-enable",     true,  false, "", run_change },
	{ "passphrase", "person-passphrase", false, false,
	  "passphrase-file new-passphrase-file",           run_passphrase },
	{ "reset",      "person-reset",      true,  false,
	  "passphrase-file my-passphrase-file",            run_change },
};
/* clang-format on */

/* ---- words ------------------------------------------------------------------------------------------- */

static bool takes(const struct person_act *act, const char *option)
{
	size_t len = strlen(option);
	const char *at = act->options;
	while ((at = strstr(at, option))) {
		bool begins = at == act->options || at[-1] == ' ';
		if (begins && (at[len] == ' ' || !at[len]))
			return true;
		at += len;
	}
	return false;
}

/* Options that the act would not look at are a misunderstanding. */
static enum rc check_words(struct cli *c, const struct person_act *act, struct person_words *w,
			   int given)
{
	const struct {
		const char *name, *value;
	} options[] = { { "role", w->role_option },
			{ "scope", w->scope },
			{ "passphrase-file", w->new_file },
			{ "my-passphrase-file", w->own_file },
			{ "new-passphrase-file", w->next_file } };
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		if (options[i].value && !takes(act, options[i].name))
			return error_set(&c->err, RC_USAGE, "person %s: --%s is not for this",
					 act->name, options[i].name);
	}
	if (given > 1 + act->wants_user + act->wants_role || (w->role && w->role_option))
		return error_set(&c->err, RC_USAGE, "person %s: one word too many", act->name);
	if (w->role_option)
		w->role = w->role_option;
	if (act->wants_user && !w->user)
		return error_set(&c->err, RC_USAGE, "person %s: which USER?", act->name);
	if (act->wants_role && !w->role)
		return error_set(&c->err, RC_USAGE, "person %s: which role?", act->name);
	return RC_OK;
}

static enum rc run_act(struct cli *c, const struct person_act *act, const struct person_words *w)
{
	json_t *request = cmd_new_request(act->request);
	if (act->wants_user)
		cmd_put_text(request, "person", w->user);
	cmd_put_text(request, "role", w->role);
	cmd_put_text(request, "scope", w->scope);
	enum rc rc = act->run(c, request, w);
	json_decref(request);
	return rc;
}

enum rc cmd_people(struct cli *c, int argc, char **argv)
{
	struct person_words w = { 0 };
	const char *given[3] = { NULL };
	int count = 0;
	size_t at;
	const struct word words[] = {
		{ 0, "role", "R", "add, role: controller, manager, staff, auditor or operator",
		  &w.role_option, NULL },
		{ 0, "scope", "group:NAME,line:PATTERN",
		  "add, role: a manager sees these calls only (default: all)", &w.scope, NULL },
		{ 0, "passphrase-file", "F",
		  "add, role, reset: the person's new passphrase; passphrase: your old one",
		  &w.new_file, NULL },
		{ 0, "my-passphrase-file", "F", "add, role, reset: your own passphrase",
		  &w.own_file, NULL },
		{ 0, "new-passphrase-file", "F", "passphrase: your new one", &w.next_file, NULL },
		{ 0, "json", NULL, "one JSON object a line", NULL, &w.json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, given, 3, &count);
	if (rc == RC_OK)
		rc = cmd_choose(c, "person", given[0], CHOICES(acts), &at);
	if (rc != RC_OK)
		return rc;
	const struct person_act *act = &acts[at];
	w.user = given[1];
	w.role = given[2];
	rc = check_words(c, act, &w, count);
	return rc == RC_OK ? run_act(c, act, &w) : rc;
}
