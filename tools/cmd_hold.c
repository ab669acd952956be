/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan hold: keep recordings past their time while a complaint or issue is open, and let them go. */
#include <string.h>

#include "cmd.h"

#define IDS_MOST 256

struct hold_words {
	const char *args[1 + IDS_MOST]; /* the action, then what it is about */
	int count;
	const char *reason, *reference, *party, *since, *until, *conversation, *passphrase_file;
	bool standing, confirm, cancel, all, json;
};

/* ---- for people ---------------------------------------------------------------------------------------- */

static const struct column columns[] = {
	{ "HOLD", false, false },  { "STATE", false, false },    { "WHAT", false, true },
	{ "CALLS", true, false },  { "REFERENCE", false, true }, { "REASON", false, true },
	{ "ADDED", false, false }, { "BY", false, true },
};

/* "calls of 01632960003 since 2026-01-01 00:00:00, and those to come" */
static void describe(const json_t *h, char *out, size_t room)
{
	char since[40], until[40];
	const char *kind = cmd_text(h, "kind"), *party = cmd_text(h, "party");
	(void)cmd_local_time(h, "since", since);
	(void)cmd_local_time(h, "until", until);
	bool standing = json_is_true(json_object_get(h, "standing"));
	if (strcmp(kind, "conversation") == 0)
		snprintf(out, room, "conversation %.18s", cmd_text(h, "conversation"));
	else if (strcmp(kind, "party") == 0)
		snprintf(out, room, "%s%s%s%s%s%s%s", *party ? party : "a party",
			 *since ? " since " : "", since, *until ? " until " : "", until,
			 standing ? ", " : "", standing ? "standing" : "");
	else
		snprintf(out, room, "given calls");
}

static bool add_row(void *ctx, const json_t *h)
{
	struct table *t = ctx;
	char text[320];
	const char *state = cmd_text(h, "state");
	cmd_table_cell(t, cmd_text(h, "hold"), NULL);
	cmd_table_cell(t, state, strcmp(state, "release-asked") == 0 ? "33" : NULL);
	describe(h, text, sizeof text);
	cmd_table_cell(t, text, NULL);
	cmd_table_number(t, cmd_number(h, "calls"), NULL);
	cmd_table_cell(t, cmd_text(h, "reference"), NULL);
	cmd_table_cell(t, cmd_text(h, "reason"), NULL);
	cmd_table_cell(t, cmd_local_time(h, "added", text), NULL);
	cmd_table_cell(t, cmd_text(h, "by"), NULL);
	return true;
}

static bool show_card(void *ctx, const json_t *h)
{
	char text[320];
	size_t i;
	json_t *id;
	(void)ctx;
	cmd_print_line("hold", "%s, %s", cmd_text(h, "hold"), cmd_text(h, "state"));
	describe(h, text, sizeof text);
	cmd_print_line("what", "%s", text);
	cmd_print_line("reason", "%s", cmd_text(h, "reason"));
	cmd_print_line("reference", "%s", cmd_text(h, "reference"));
	cmd_print_line("added", "%s by %s", cmd_local_time(h, "added", text), cmd_text(h, "by"));
	if (*cmd_local_time(h, "release_asked", text))
		cmd_print_line("release asked", "%s by %s", text, cmd_text(h, "release_asked_by"));
	if (*cmd_local_time(h, "released", text))
		cmd_print_line("released", "%s by %s", text, cmd_text(h, "released_by"));
	if (*cmd_text(h, "release_reason"))
		cmd_print_line("because", "%s", cmd_text(h, "release_reason"));
	cmd_print_line("calls", "%" JSON_INTEGER_FORMAT, cmd_number(h, "calls"));
	json_array_foreach(json_object_get(h, "held_calls"), i, id)
	{
		cmd_print_line("", "%s", json_string_value(id));
	}
	return true;
}

static bool say_done(void *ctx, const json_t *h)
{
	const char *state = cmd_text(h, "state"), *name = cmd_text(h, "hold");
	json_int_t calls = cmd_number(h, "calls");
	const char *plural = calls == 1 ? "" : "s";
	(void)ctx;
	if (strcmp(state, "release-asked") == 0)
		printf("The release of %s is asked for. Another person confirms it: callspan hold "
		       "release %s --confirm\n",
		       name, name);
	else if (strcmp(state, "active") == 0)
		printf("%s holds %" JSON_INTEGER_FORMAT " recording%s%s.\n", name, calls, plural,
		       json_is_true(json_object_get(h, "standing")) ? ", and those to come" : "");
	else
		printf("%s is released: %" JSON_INTEGER_FORMAT
		       " recording%s held by nothing else go%s when their time is over.\n",
		       name, calls, plural, calls == 1 ? "es" : "");
	return true;
}

/* ---- requests --------------------------------------------------------------------------------------------- */

static enum rc add(struct cli *c, const struct hold_words *w)
{
	json_t *request = cmd_new_request("hold-add"), *ids = json_array();
	for (int i = 1; i < w->count; i++) {
		json_t *id = json_string(w->args[i]);
		json_array_append_new(ids, id ? id : json_string(""));
	}
	if (w->count > 1)
		json_object_set(request, "ids", ids);
	json_decref(ids);
	cmd_put_text(request, "reason", w->reason);
	cmd_put_text(request, "reference", w->reference);
	cmd_put_text(request, "party", w->party);
	cmd_put_text(request, "conversation", w->conversation);
	if (w->standing)
		json_object_set_new(request, "standing", json_true());
	enum rc rc = cmd_put_time(c, request, "since", w->since);
	if (rc == RC_OK)
		rc = cmd_put_time(c, request, "until", w->until);
	if (rc == RC_OK)
		rc = cmd_send(c, request, w->json ? cmd_print_json : say_done, NULL);
	json_decref(request);
	return rc;
}

static enum rc release(struct cli *c, const struct hold_words *w)
{
	json_t *request = cmd_new_request(w->cancel ? "hold-cancel-release" : "hold-release");
	cmd_put_text(request, "hold", w->args[1]);
	cmd_put_text(request, "reason", w->reason);
	if (w->confirm)
		json_object_set_new(request, "confirm", json_true());
	vault_reply reply = w->json ? cmd_print_json : say_done;
	enum rc rc = w->cancel ? cmd_send(c, request, reply, NULL)
			       : cmd_send_opening(c, request, w->passphrase_file, reply, NULL);
	json_decref(request);
	return rc;
}

static enum rc list(struct cli *c, const struct hold_words *w)
{
	static const struct listing holds = { WORDS(columns), add_row };
	json_t *request = cmd_new_request("hold-list");
	if (w->all)
		json_object_set_new(request, "all", json_true());
	enum rc rc = cmd_list(c, request, w->json, &holds,
			      w->all ? "Nothing is held, and nothing was." : "Nothing is held.");
	json_decref(request);
	return rc;
}

static enum rc show(struct cli *c, const struct hold_words *w)
{
	return cmd_ask(c, "hold-show", "hold", w->args[1], w->json, show_card);
}

/* ---- words -------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int least, most; /* arguments behind it */
	enum rc (*run)(struct cli *c, const struct hold_words *w);
} actions[] = {
	{ "add", 0, IDS_MOST, add },
	{ "release", 1, 1, release },
	{ "list", 0, 0, list },
	{ "show", 1, 1, show },
};

/* An option that the action does not take is a slip: it must not be passed over. */
static enum rc check_words(struct cli *c, size_t action, const struct hold_words *w)
{
	bool adding =
		w->party || w->conversation || w->since || w->until || w->standing || w->reference;
	bool releasing = w->confirm || w->cancel || w->passphrase_file;
	const char *name = actions[action].name;
	int given = w->count - 1;
	if (given < actions[action].least)
		return error_set(&c->err, RC_USAGE, "which hold? (callspan hold %s H-N)", name);
	if (given > actions[action].most)
		return error_set(&c->err, RC_USAGE, "one word too many: %.100s",
				 w->args[1 + actions[action].most]);
	if (adding && action != 0)
		return error_set(
			&c->err, RC_USAGE,
			"hold %s: --party, --conversation, --since, --until, --standing and "
			"--reference are for hold add",
			name);
	if (releasing && action != 1)
		return error_set(&c->err, RC_USAGE,
				 "hold %s: --confirm, --cancel and --passphrase-file are for hold "
				 "release",
				 name);
	if ((w->reason && action > 1) || (w->all && action != 2))
		return error_set(&c->err, RC_USAGE, "hold %s takes no --%s", name,
				 w->reason && action > 1 ? "reason" : "all");
	if (w->confirm && w->cancel)
		return error_set(&c->err, RC_USAGE, "either --confirm or --cancel");
	return RC_OK;
}

enum rc cmd_hold(struct cli *c, int argc, char **argv)
{
	struct hold_words w = { 0 };
	const struct word words[] = {
		{ 0, "reason", "TEXT", "add, release: why", &w.reason, NULL },
		{ 0, "reference", "REF", "add: the case or ticket", &w.reference, NULL },
		{ 0, "party", "N", "add: calls from or to a number, or its last digits", &w.party,
		  NULL },
		{ 0, "since", "T", "add --party: begun at T or later", &w.since, NULL },
		{ 0, "until", "T", "add --party: begun at T or earlier", &w.until, NULL },
		{ 0, "standing", NULL, "add --party: and those that will be recorded", NULL,
		  &w.standing },
		{ 0, "conversation", "ID", "add: all calls of a conversation, and what joins it",
		  &w.conversation, NULL },
		{ 0, "confirm", NULL, "release: as the second of two persons", NULL, &w.confirm },
		{ 0, "cancel", NULL, "release: take back that it was asked for", NULL, &w.cancel },
		{ 0, "passphrase-file", "F",
		  "release --confirm: your passphrase, in the first line", &w.passphrase_file,
		  NULL },
		{ 0, "all", NULL, "list: released ones too", NULL, &w.all },
		{ 0, "json", NULL, "one JSON object a line", NULL, &w.json },
	};
	size_t at = 0;
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, w.args, 1 + IDS_MOST, &w.count);
	if (rc == RC_OK)
		rc = cmd_choose(c, "hold", w.args[0], CHOICES(actions), &at);
	if (rc == RC_OK)
		rc = check_words(c, at, &w);
	return rc == RC_OK ? actions[at].run(c, &w) : rc;
}
