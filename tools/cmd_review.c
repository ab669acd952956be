/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan review: say how a call was handled, and give it to the person concerned to hear. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

struct review_words {
	const char *args[2];
	int count;
	const char *score, *note, *sample, *person, *days, *passphrase_file, *call, *of;
	bool json;
};

/* ---- for people ---------------------------------------------------------------------------------------- */

static const struct column columns[] = {
	{ "REVIEW", false, false }, { "ADDED", false, false }, { "BY", false, true },
	{ "CALL", false, false },   { "SCORE", true, false },  { "FOR", false, true },
	{ "NOTE", false, true },
};

static bool add_review(void *ctx, const json_t *r)
{
	struct table *t = ctx;
	char text[80];
	cmd_table_cell(t, cmd_text(r, "review"), NULL);
	cmd_table_cell(t, cmd_local_time(r, "added", text), NULL);
	cmd_table_cell(t, cmd_text(r, "by"), NULL);
	cmd_table_cell(t, cmd_text(r, "call"), NULL);
	cmd_table_number(t, cmd_number(r, "score"), NULL);
	cmd_table_cell(t, cmd_text(r, "for"), NULL);
	const char *note = cmd_text(r, "note");
	size_t line = strcspn(note, "\n");
	snprintf(text, sizeof text, "%.*s%s", line < 60 ? (int)line : 60, note,
		 line < 60 && !note[line] ? "" : "...");
	cmd_table_cell(t, text, NULL);
	return true;
}

/* Line by line: what is no line of its own is cleaned away. */
static void print_note(const char *note)
{
	const char *label = "note";
	for (const char *at = note; *at; label = "") {
		int len = (int)strcspn(at, "\n");
		cmd_print_line(label, "%.*s", len < 900 ? len : 900, at);
		at += len < 900 ? len + (at[len] == '\n') : 900;
	}
}

static bool print_review(void *ctx, const json_t *r)
{
	char time[40];
	(void)ctx;
	cmd_print_line("review", "%s", cmd_text(r, "review"));
	cmd_print_line("call", "%s", cmd_text(r, "call"));
	cmd_print_line("score", "%" JSON_INTEGER_FORMAT, cmd_number(r, "score"));
	cmd_print_line("by", "%s, %s", cmd_text(r, "by"), cmd_local_time(r, "added", time));
	if (*cmd_text(r, "sample"))
		cmd_print_line("sample", "%s", cmd_text(r, "sample"));
	if (*cmd_text(r, "for"))
		cmd_print_line(json_is_true(json_object_get(r, "may_hear")) ? "may hear it"
									    : "could hear it",
			       "%s, until %s", cmd_text(r, "for"),
			       cmd_local_time(r, "until", time));
	print_note(cmd_text(r, "note"));
	return true;
}

/* ---- requests --------------------------------------------------------------------------------------------- */

static enum rc add(struct cli *c, const struct review_words *w)
{
	json_t *request = cmd_new_request("review-add");
	cmd_put_text(request, "id", w->args[1]);
	cmd_put_text(request, "note", w->note);
	cmd_put_text(request, "sample", w->sample);
	cmd_put_text(request, "for", w->person);
	enum rc rc = cmd_put_number(c, request, "score", w->score);
	if (rc == RC_OK)
		rc = cmd_put_number(c, request, "days", w->days);
	if (rc == RC_OK)
		rc = cmd_send_opening(c, request, w->passphrase_file,
				      w->json ? cmd_print_json : print_review, NULL);
	json_decref(request);
	return rc;
}

static enum rc list(struct cli *c, const struct review_words *w)
{
	static const struct listing reviews = { WORDS(columns), add_review };
	json_t *request = cmd_new_request("review-list");
	cmd_put_text(request, "call", w->call);
	cmd_put_text(request, "person", w->of);
	enum rc rc = cmd_list(c, request, w->json, &reviews,
			      w->call || w->of ? "No reviews match." : "No reviews yet.");
	json_decref(request);
	return rc;
}

static enum rc show(struct cli *c, const struct review_words *w)
{
	return cmd_ask(c, "review-show", "review", w->args[1], w->json, print_review);
}

static const struct {
	const char *name;
	int arguments; /* with its own name */
	enum rc (*run)(struct cli *c, const struct review_words *w);
} actions[] = {
	{ "add", 2, add },
	{ "list", 1, list },
	{ "show", 2, show },
};

/* An option that the action does not take is a slip: it must not be passed over. */
static enum rc check_words(struct cli *c, size_t action, const struct review_words *w)
{
	bool adding =
		w->score || w->note || w->sample || w->person || w->days || w->passphrase_file;
	if (w->count != actions[action].arguments)
		return error_set(&c->err, RC_USAGE, "review %s: %s", actions[action].name,
				 w->count > 1  ? "one word too many"
				 : action == 0 ? "which recording? An id is wanted"
					       : "which review? (V-N)");
	if (adding && action != 0)
		return error_set(&c->err, RC_USAGE,
				 "review %s: --score, --note, --sample, --for, --days and "
				 "--passphrase-file are for review add",
				 actions[action].name);
	if ((w->call || w->of) && action != 1)
		return error_set(&c->err, RC_USAGE,
				 "review %s: --call and --person are for review list",
				 actions[action].name);
	return RC_OK;
}

enum rc cmd_review(struct cli *c, int argc, char **argv)
{
	struct review_words w = { 0 };
	size_t at = 0;
	const struct word words[] = {
		{ 0, "score", "N", "add: 1 (poor) to 5", &w.score, NULL },
		{ 0, "note", "TEXT", "add: what there is to say", &w.note, NULL },
		{ 0, "sample", "S-N", "add: the sample that drew the call", &w.sample, NULL },
		{ 0, "for", "PERSON", "add: let this member of staff hear the call", &w.person,
		  NULL },
		{ 0, "days", "N", "add --for: for so many days (14)", &w.days, NULL },
		{ 0, "passphrase-file", "F", "add --for: your passphrase, in the first line",
		  &w.passphrase_file, NULL },
		{ 0, "call", "ID", "list: of this call", &w.call, NULL },
		{ 0, "person", "P", "list: that gave this person a call to hear", &w.of, NULL },
		{ 0, "json", NULL, "one JSON object a line", NULL, &w.json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, w.args, 2, &w.count);
	if (rc == RC_OK)
		rc = cmd_choose(c, "review", w.args[0], CHOICES(actions), &at);
	if (rc == RC_OK)
		rc = check_words(c, at, &w);
	return rc == RC_OK ? actions[at].run(c, &w) : rc;
}
