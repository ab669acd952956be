/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan audit: who did what, when and why; whether that record is whole; its way to others. */
#include <errno.h>
#include <string.h>

#include "cmd.h"

#define PIECE     1500 /* lines of a file of heads that go into one request */
#define LINE_MOST 256

struct asked {
	const char *since, *until, *limit, *before, *person, *action, *call; /* list */
	const char *head, *head_file;                                        /* verify */
	const char *to;                                                      /* export */
	bool json;
};

/* ---- list ------------------------------------------------------------------------------------- */

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
	cmd_table_number(t, cmd_number(entry, "number"), NULL);
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

static enum rc list(struct cli *c, const struct asked *a)
{
	static const struct listing entries = { WORDS(columns), add_entry };
	json_t *request = cmd_new_request("audit-list");
	enum rc rc = cmd_put_time(c, request, "since", a->since);
	if (rc == RC_OK)
		rc = cmd_put_time(c, request, "until", a->until);
	if (rc == RC_OK)
		rc = cmd_put_number(c, request, "limit", a->limit);
	if (rc == RC_OK)
		rc = cmd_put_number(c, request, "before", a->before);
	cmd_put_text(request, "person", a->person);
	cmd_put_text(request, "action", a->action);
	cmd_put_text(request, "call", a->call);
	if (rc == RC_OK)
		rc = cmd_list(c, request, a->json, &entries,
			      json_object_size(request) > 1 ? "No entries match." : "No entries.");
	json_decref(request);
	return rc;
}

/* ---- verify ----------------------------------------------------------------------------------- */

static void print_whole(const struct asked *a, const json_t *o)
{
	json_int_t anchored = cmd_number(o, "anchored"), after = cmd_number(o, "unanchored");
	bool given = a->head || a->head_file;
	printf("The audit trail is whole: %" JSON_INTEGER_FORMAT
	       " entries, head\n%" JSON_INTEGER_FORMAT
	       " %s\nIts heads are signed by the key of SHA-256 %s.\n",
	       cmd_number(o, "entries") - cmd_number(o, "missing"), cmd_number(o, "entries"),
	       cmd_text(o, "head"), cmd_text(o, "key"));
	if (cmd_number(o, "missing"))
		printf("Entries 1 to %" JSON_INTEGER_FORMAT
		       " are missing: they were lost with a damaged index.\n",
		       cmd_number(o, "missing"));
	if (!given)
		printf("That the whole store was put back, only a head that was kept elsewhere "
		       "shows (--head, --head-file).\n");
	printf("Entries up to %" JSON_INTEGER_FORMAT " are covered by %s", anchored,
	       given ? "the head given" : "the newest anchor");
	if (after)
		printf("; %" JSON_INTEGER_FORMAT " %s written since, not covered yet", after,
		       after == 1 ? "was" : "were");
	printf(".\n");
}

/* The reply, for later: of several the last. */
static bool keep_reply(void *ctx, const json_t *o)
{
	json_t **last = ctx;
	json_decref(*last);
	*last = json_deep_copy(o);
	return true;
}

static enum rc verify_with(struct cli *c, const char *head, const char *heads, size_t line,
			   json_t **last)
{
	json_t *request = cmd_new_request("audit-verify");
	cmd_put_text(request, "head", head);
	cmd_put_text(request, "heads", heads);
	if (heads)
		json_object_set_new(request, "line", json_integer((json_int_t)line));
	enum rc rc = cmd_send(c, request, keep_reply, last);
	json_decref(request);
	return rc;
}

/* Up to PIECE lines.  What no head looks like stays so when it is cut off, and made printable. */
static size_t read_piece(FILE *from, char text[PIECE * (LINE_MOST + 1) + 1])
{
	size_t lines = 0, at = 0, len = 0;
	int ch = 0;
	while (lines < PIECE && (ch = fgetc(from)) != EOF) {
		bool end = ch == '\n';
		if (end || len < LINE_MOST)
			text[at++] = (char)(end || (ch >= ' ' && ch < 0x7f) ? ch : '?');
		len = end ? 0 : len + 1;
		lines += end;
	}
	text[at] = '\0';
	return lines;
}

/* A long file in pieces: a request has its limits. */
static enum rc verify_file(struct cli *c, const char *path, json_t **last)
{
	static char text[PIECE * (LINE_MOST + 1) + 1];
	FILE *from = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	size_t line = 1, lines = PIECE;
	enum rc rc = RC_OK;
	if (!from)
		return error_errno(&c->err, RC_FAILED, errno, "%.300s", path);
	while (rc == RC_OK && lines == PIECE) {
		lines = read_piece(from, text);
		if (ferror(from))
			rc = error_errno(&c->err, RC_FAILED, errno, "%.300s", path);
		else if (lines || line == 1)
			rc = verify_with(c, NULL, text, line, last);
		line += lines;
	}
	if (from != stdin)
		(void)fclose(from);
	return rc;
}

static enum rc verify(struct cli *c, const struct asked *a)
{
	json_t *last = NULL;
	enum rc rc = a->head_file ? verify_file(c, a->head_file, &last)
				  : verify_with(c, a->head, NULL, 0, &last);
	if (rc == RC_OK && a->json)
		(void)cmd_print_json(NULL, last);
	else if (rc == RC_OK)
		print_whole(a, last);
	json_decref(last);
	return rc;
}

/* ---- anchor ----------------------------------------------------------------------------------- */

static bool print_anchor(void *ctx, const json_t *o)
{
	(void)ctx;
	printf("%" JSON_INTEGER_FORMAT " %s\n", cmd_number(o, "anchored"), cmd_text(o, "head"));
	return true;
}

static enum rc anchor(struct cli *c, const struct asked *a)
{
	return cmd_ask(c, "audit-anchor", NULL, NULL, a->json, print_anchor);
}

/* ---- export ----------------------------------------------------------------------------------- */

/* Standard output may be the export itself. */
static bool print_export(void *ctx, const json_t *o)
{
	(void)ctx;
	fprintf(stderr,
		"%" JSON_INTEGER_FORMAT " entries, %" JSON_INTEGER_FORMAT " anchors, head %s\n",
		cmd_number(o, "entries"), cmd_number(o, "anchors"), cmd_text(o, "head"));
	return true;
}

static enum rc export(struct cli *c, const struct asked *a) {
	const struct opening o = { .to = a->to, .told = a->json ? cmd_print_json : print_export };
	if (!a->to) return error_set(&c->err, RC_USAGE,
				     "audit export wants a file: -o FILE (or -o -)");
	if (a->json &&
	    strcmp(a->to, "-") == 0) return error_set(&c->err, RC_USAGE,
						      "--json and -o - both go to standard output");
	json_t *request = cmd_new_request("audit-export");
	enum rc rc = cmd_write_recording(c, request, &o);
	json_decref(request);
	return rc;
}

/* ---- which ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	enum rc (*run)(struct cli *c, const struct asked *a);
} kinds[] = { { "list", list }, { "verify", verify }, { "anchor", anchor }, { "export", export } };

/* An option that another kind has is not passed over in silence. */
static enum rc check_words(struct cli *c, const struct word *words, size_t count, const char *kind)
{
	for (size_t i = 0; i < count; i++) {
		const struct word *w = &words[i];
		size_t len = strcspn(w->prose, ":");
		if (w->value && *w->value &&
		    (strlen(kind) != len || strncmp(w->prose, kind, len) != 0))
			return error_set(&c->err, RC_USAGE, "audit %s: --%s is for audit %.*s",
					 kind, w->name, (int)len, w->prose);
	}
	return RC_OK;
}

enum rc cmd_audit(struct cli *c, int argc, char **argv)
{
	struct asked a = { 0 };
	const char *what = NULL;
	size_t kind = 0;
	const struct word words[] = {
		{ 0, "since", "T", "list: made at T or later", &a.since, NULL },
		{ 0, "until", "T", "list: made at T or earlier", &a.until, NULL },
		{ 0, "person", "NAME", "list: by this person (\"\": by the system)", &a.person,
		  NULL },
		{ 0, "action", "A", "list: of this action", &a.action, NULL },
		{ 0, "call", "ID", "list: about this call", &a.call, NULL },
		{ 0, "limit", "N", "list: the newest N (0: all)", &a.limit, NULL },
		{ 0, "before", "N", "list: with a smaller number than N", &a.before, NULL },
		{ 0, "head", "HEAD",
		  "verify: a head noted elsewhere, \"NUMBER HASH\" or the hash alone", &a.head,
		  NULL },
		{ 0, "head-file", "FILE",
		  "verify: a file that heads were kept in (audit.head-file)", &a.head_file, NULL },
		{ 'o', "output", "FILE", "export: the file to write, - for standard output", &a.to,
		  NULL },
		{ 0, "json", NULL, "one JSON object a line", NULL, &a.json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &what, 1, NULL);
	if (rc == RC_OK)
		rc = cmd_choose(c, "audit", what, CHOICES(kinds), &kind);
	if (rc == RC_OK)
		rc = check_words(c, WORDS(words), kinds[kind].name);
	if (rc == RC_OK && a.head && a.head_file)
		rc = error_set(&c->err, RC_USAGE, "either --head or --head-file, not both");
	return rc == RC_OK ? kinds[kind].run(c, &a) : rc;
}
