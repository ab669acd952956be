/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan audit: who did what, when and why; and whether that record is whole. */
#include <string.h>

#include "cmd.h"

static const struct column columns[] = {
	{ "NO", true, false },      { "TIME", false, false },     { "PERSON", false, true },
	{ "ACTION", false, false }, { "OUTCOME", false, false },  { "CALL", false, false },
	{ "PURPOSE", false, true }, { "REFERENCE", false, true }, { "DETAIL", false, true },
};

static bool add_entry(void *ctx, const json_t *entry)
{
	struct table *t = ctx;
	char text[48];
	static const char *const rest[] = { "person", "action", "outcome" };
	static const char *const last[] = { "purpose", "reference", "detail" };
	snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, cmd_number(entry, "number"));
	cmd_table_cell(t, text, NULL);
	cmd_table_cell(t, cmd_local_time(entry, "time", text), NULL);
	for (size_t i = 0; i < 3; i++) {
		const char *word = cmd_text(entry, rest[i]);
		bool bad = i == 2 && (strcmp(word, "refused") == 0 || strcmp(word, "damaged") == 0);
		cmd_table_cell(t, word, bad ? "31" : NULL);
	}
	snprintf(text, sizeof text, "%.36s", cmd_text(entry, "call"));
	cmd_table_cell(t, text, NULL);
	for (size_t i = 0; i < 3; i++)
		cmd_table_cell(t, cmd_text(entry, last[i]), NULL);
	return true;
}

static enum rc list(struct cli *c, const json_t *request)
{
	struct table *t = cmd_table_new(columns, sizeof columns / sizeof columns[0]);
	enum rc rc = cmd_send(c, request, add_entry, t);
	if (cmd_table_rows(t) > 0)
		cmd_table_print(t, stdout);
	else if (rc == RC_OK)
		fprintf(stderr, "No entries%s.\n", json_object_size(request) > 1 ? " match" : "");
	cmd_table_free(t);
	return rc;
}

static bool print_whole(void *ctx, const json_t *o)
{
	(void)ctx;
	printf("The audit trail is whole: %" JSON_INTEGER_FORMAT " entries, head %s\n",
	       cmd_number(o, "entries"), cmd_text(o, "head"));
	if (cmd_number(o, "missing"))
		printf("Entries 1 to %" JSON_INTEGER_FORMAT
		       " are missing: they were lost with a damaged index.\n",
		       cmd_number(o, "missing"));
	return true;
}

enum rc cmd_audit(struct cli *c, int argc, char **argv)
{
	static const char *const choices[] = { "list", "verify" };
	const char *what = NULL, *since = NULL, *until = NULL, *limit = NULL;
	bool json = false;
	const struct word words[] = {
		{ 0, "since", "T", "list: made at T or later", &since, NULL },
		{ 0, "until", "T", "list: made at T or earlier", &until, NULL },
		{ 0, "limit", "N", "list: the newest N (0: all)", &limit, NULL },
		{ 0, "json", NULL, "one JSON object a line", NULL, &json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &what, 1, NULL);
	if (rc != RC_OK)
		return rc;
	bool verify = what && strcmp(what, "verify") == 0;
	if (!verify && (!what || strcmp(what, "list") != 0)) {
		const char *near = what ? cmd_nearest(what, choices, 2) : NULL;
		return error_set(&c->err, RC_USAGE, "audit %.60s: %s%s%s", what ? what : "what",
				 near ? "did you mean " : "there are list and verify",
				 near ? near : "", near ? "?" : "");
	}
	if (verify && (since || until || limit))
		return error_set(&c->err, RC_USAGE,
				 "audit verify checks all entries: --%s is for audit list",
				 since   ? "since"
				 : until ? "until"
					 : "limit");
	json_t *request = cmd_new_request(verify ? "audit-verify" : "audit-list");
	if (!verify) {
		rc = cmd_put_time(c, request, "since", since);
		if (rc == RC_OK)
			rc = cmd_put_time(c, request, "until", until);
		if (rc == RC_OK)
			rc = cmd_put_number(c, request, "limit", limit);
	}
	if (rc == RC_OK && !verify && !json)
		rc = list(c, request);
	else if (rc == RC_OK)
		rc = cmd_send(c, request, json ? cmd_print_json : print_whole, NULL);
	json_decref(request);
	return rc;
}
