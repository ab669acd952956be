/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan sample: draw calls to listen to, without bias, and see which were drawn. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

struct sample_words {
	const char *args[2]; /* list, or show and a sample */
	int count;
	const char *n, *since, *until, *group, *least, *seed, *purpose;
	bool per_person, eligible, json;
};

/* ---- for people ---------------------------------------------------------------------------------------- */

static const struct column call_columns[] = {
	{ "STARTED", false, false }, { "FROM", false, true }, { "TO", false, true },
	{ "LENGTH", true, false },   { "ID", false, false },  { "REVIEWS", false, true },
};

static const struct column columns[] = {
	{ "SAMPLE", false, false }, { "DRAWN", false, false },   { "BY", false, true },
	{ "CALLS", true, false },   { "OF", true, false },       { "SEED", true, false },
	{ "GROUP", false, true },   { "PURPOSE", false, false },
};

static void add_call(struct table *t, const json_t *call)
{
	char text[128];
	size_t i, at = 0;
	json_t *review;
	bool there = json_is_true(json_object_get(call, "present"));
	cmd_table_cell(t, there ? cmd_local_time(call, "start", text) : "destroyed since", NULL);
	cmd_table_cell(t, cmd_text(call, "from"), NULL);
	cmd_table_cell(t, cmd_text(call, "to"), NULL);
	cmd_table_cell(
		t, there ? cmd_minutes((double)cmd_number(call, "duration_ms") / 1000, text) : "",
		NULL);
	cmd_table_cell(t, cmd_text(call, "id"), NULL);
	text[0] = '\0';
	json_array_foreach(json_object_get(call, "reviews"), i, review)
	{
		if (at < sizeof text)
			at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? ", " : "",
					       json_string_value(review));
	}
	cmd_table_cell(t, text, NULL);
}

static bool print_sample(void *ctx, const json_t *s)
{
	size_t i;
	json_t *call;
	(void)ctx;
	printf("%s: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
	       " calls drawn, seed %" JSON_INTEGER_FORMAT "\n\n",
	       cmd_text(s, "sample"), cmd_number(s, "drawn_calls"), cmd_number(s, "eligible"),
	       cmd_number(s, "seed"));
	struct table *t = cmd_table_new(call_columns, sizeof call_columns / sizeof call_columns[0]);
	json_array_foreach(json_object_get(s, "calls"), i, call)
	{
		add_call(t, call);
	}
	cmd_table_print(t, stdout);
	cmd_table_free(t);
	return true;
}

static bool print_id(void *ctx, const json_t *o)
{
	(void)ctx;
	return printf("%s\n", cmd_text(o, "id")) > 0;
}

static bool add_sample(void *ctx, const json_t *s)
{
	struct table *t = ctx;
	char time[40];
	cmd_table_cell(t, cmd_text(s, "sample"), NULL);
	cmd_table_cell(t, cmd_local_time(s, "drawn", time), NULL);
	cmd_table_cell(t, cmd_text(s, "by"), NULL);
	cmd_table_number(t, cmd_number(s, "drawn_calls"), NULL);
	cmd_table_number(t, cmd_number(s, "eligible"), NULL);
	cmd_table_number(t, cmd_number(s, "seed"), NULL);
	cmd_table_cell(t, cmd_text(s, "group"), NULL);
	cmd_table_cell(t, cmd_text(s, "purpose"), NULL);
	return true;
}

/* ---- requests --------------------------------------------------------------------------------------------- */

/* Larger than other numbers may be. */
static enum rc put_seed(struct cli *c, json_t *request, const char *text)
{
	char *end;
	if (!text)
		return RC_OK;
	long long n = strtoll(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || n >= INT64_MAX)
		return error_set(&c->err, RC_USAGE, "--seed %.40s: a whole number is wanted", text);
	json_object_set_new(request, "seed", json_integer(n));
	return RC_OK;
}

static enum rc draw(struct cli *c, const struct sample_words *w)
{
	json_t *request = cmd_new_request("sample");
	cmd_put_text(request, "group", w->group);
	cmd_put_text(request, "purpose", w->purpose);
	if (w->per_person)
		json_object_set_new(request, "per_person", json_true());
	if (w->eligible)
		json_object_set_new(request, "eligible", json_true());
	enum rc rc = cmd_put_number(c, request, "count", w->n);
	if (rc == RC_OK)
		rc = cmd_put_time(c, request, "since", w->since);
	if (rc == RC_OK)
		rc = cmd_put_time(c, request, "until", w->until);
	if (rc == RC_OK)
		rc = cmd_put_number(c, request, "min_duration", w->least);
	if (rc == RC_OK)
		rc = put_seed(c, request, w->seed);
	vault_reply people = w->eligible ? print_id : print_sample;
	if (rc == RC_OK)
		rc = cmd_send(c, request, w->json ? cmd_print_json : people, NULL);
	json_decref(request);
	return rc;
}

static enum rc list(struct cli *c, const struct sample_words *w)
{
	static const struct listing samples = { WORDS(columns), add_sample };
	json_t *request = cmd_new_request("sample-list");
	enum rc rc = cmd_list(c, request, w->json, &samples, "No sample has been drawn yet.");
	json_decref(request);
	return rc;
}

static enum rc show(struct cli *c, const struct sample_words *w)
{
	return cmd_ask(c, "sample-show", "sample", w->args[1], w->json, print_sample);
}

enum rc cmd_sample(struct cli *c, int argc, char **argv)
{
	struct sample_words w = { 0 };
	const struct word words[] = {
		{ 0, "count", "N", "draw so many", &w.n, NULL },
		{ 0, "since", "T", "of calls begun at T or later", &w.since, NULL },
		{ 0, "until", "T", "of calls begun at T or earlier", &w.until, NULL },
		{ 0, "group", "NAME", "of calls of a group that the policy names", &w.group, NULL },
		{ 0, "min-duration", "S", "of calls that lasted S seconds at least", &w.least,
		  NULL },
		{ 0, "per-person", NULL, "so many of each of our own lines", NULL, &w.per_person },
		{ 0, "seed", "N", "draw as another draw with this seed did", &w.seed, NULL },
		{ 0, "purpose", "P",
		  "quality-sample (default), training, process-improvement, legal-compliance",
		  &w.purpose, NULL },
		{ 0, "eligible", NULL, "only list what could be drawn", NULL, &w.eligible },
		{ 0, "json", NULL, "one JSON object a line", NULL, &w.json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, w.args, 2, &w.count);
	if (rc != RC_OK)
		return rc;
	bool drawing = w.n || w.since || w.until || w.group || w.least || w.seed || w.purpose ||
		       w.per_person || w.eligible;
	if (w.count == 0)
		return w.n ? draw(c, &w)
			   : error_set(&c->err, RC_USAGE,
				       "how many? sample --count N draws; there are also sample "
				       "list and sample show S-N");
	bool listing = strcmp(w.args[0], "list") == 0, showing = strcmp(w.args[0], "show") == 0;
	if (!listing && !showing)
		return error_set(&c->err, RC_USAGE,
				 "sample %.60s: there are sample --count N, list and show",
				 w.args[0]);
	if (drawing)
		return error_set(&c->err, RC_USAGE,
				 "sample %s draws nothing: only --json goes here", w.args[0]);
	if (w.count != (showing ? 2 : 1))
		return error_set(&c->err, RC_USAGE,
				 showing ? "which sample? (callspan sample show S-N)"
					 : "sample list takes no name");
	return showing ? show(c, &w) : list(c, &w);
}
