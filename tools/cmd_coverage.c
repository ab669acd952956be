/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan coverage: which answered calls were recorded whole, and what is missing of the others. */
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "cmd.h"

static const struct column columns[] = {
	{ "STARTED", false, false }, { "FROM", false, true },   { "TO", false, true },
	{ "LENGTH", true, false },   { "WHOLE", false, false }, { "REMARKS", false, true },
	{ "ID", false, false },
};

struct report {
	json_t *calls;   /* owned */
	json_t *summary; /* owned */
};

static void remarks_of(const json_t *call, char *out, size_t room)
{
	size_t i, at = 0;
	json_t *remark;
	out[0] = '\0';
	json_array_foreach(json_object_get(call, "coverage"), i, remark)
	{
		const char *name = json_string_value(remark);
		if (at < room)
			at += (size_t)snprintf(out + at, room - at, "%s%s", at ? ", " : "", name);
		if (at < room && strcmp(name, "gaps") == 0)
			at += (size_t)snprintf(
				out + at, room - at, " (%.1f%% lost)",
				json_number_value(json_object_get(call, "loss_percent")));
	}
}

static bool keep_line(void *ctx, const json_t *o)
{
	struct report *r = ctx;
	json_t *summary = json_object_get(o, "summary");
	if (summary)
		r->summary = json_incref(summary);
	else
		json_array_append_new(r->calls, json_deep_copy(o));
	return true;
}

static void add_row(struct table *t, const json_t *o, int id_len)
{
	char text[512], time[40];
	bool whole = json_is_true(json_object_get(o, "whole"));
	json_int_t ms = cmd_number(o, "duration_ms");
	cmd_table_cell(t, cmd_local_time(o, "start", time), NULL);
	cmd_table_cell(t, *cmd_text(o, "from") ? cmd_text(o, "from") : "-", NULL);
	cmd_table_cell(t, *cmd_text(o, "to") ? cmd_text(o, "to") : "-", NULL);
	cmd_table_cell(t, ms ? cmd_minutes((double)ms / 1000, time) : "-", NULL);
	cmd_table_cell(t, whole ? "yes" : "no", whole ? NULL : "33");
	remarks_of(o, text, sizeof text);
	cmd_table_cell(t, text, NULL);
	snprintf(text, sizeof text, "%.*s", id_len, cmd_text(o, "id"));
	cmd_table_cell(t, text, NULL);
}

static void print_calls(const json_t *calls)
{
	size_t i;
	json_t *call;
	struct table *t = cmd_table_new(WORDS(columns));
	int id_len = cmd_id_length(calls);
	json_array_foreach(calls, i, call)
	{
		add_row(t, call, id_len);
	}
	if (cmd_table_rows(t) > 0) {
		cmd_table_print(t, stdout);
		printf("\nCalls\n");
	}
	cmd_table_free(t);
}

static void print_counts(const json_t *summary)
{
	const char *kind;
	json_t *calls;
	json_object_foreach(json_object_get(summary, "kinds"), kind, calls)
	{
		if (json_integer_value(calls))
			printf("  %6" JSON_INTEGER_FORMAT "  %-16s  %s\n",
			       json_integer_value(calls), kind, vault_remark_prose(kind));
	}
	if (cmd_number(summary, "open"))
		printf("  %6" JSON_INTEGER_FORMAT "  not ended yet, and not judged\n",
		       cmd_number(summary, "open"));
}

static const char *prose_of(const char *counter)
{
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		if (strcmp(counter_names[i], counter) == 0)
			return counter_prose[i];
	}
	return counter;
}

static void print_capture(const json_t *summary)
{
	char time[40];
	const char *counter;
	json_t *n;
	bool any = false;
	const json_t *capture = json_object_get(summary, "capture");
	if (!json_is_object(capture)) {
		printf("The recorder has told nothing of itself yet.\n");
		return;
	}
	printf("The capture, since %s:", cmd_local_time(capture, "started", time));
	json_object_foreach(json_object_get(summary, "losses"), counter, n)
	{
		if (json_integer_value(n))
			printf("\n  %6" JSON_INTEGER_FORMAT "  %s", json_integer_value(n),
			       prose_of(counter));
		any |= json_integer_value(n) != 0;
	}
	printf("%s\n", any ? "" : " nothing was dropped.");
}

static void print_verdict(const json_t *s)
{
	json_int_t answered = cmd_number(s, "answered"), bad = cmd_number(s, "not_whole");
	json_int_t lost = cmd_number(s, "capture_lost");
	json_int_t strange = cmd_number(s, "without_signalling");
	if (!answered)
		printf("No answered calls%s.\n", cmd_number(s, "calls") ? "" : " in this time");
	else if (bad)
		printf("%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
		       " answered calls were not recorded whole.\n",
		       bad, answered);
	else
		printf("All %" JSON_INTEGER_FORMAT " answered calls were recorded whole.\n",
		       answered);
	if (strange)
		printf("%" JSON_INTEGER_FORMAT " calls were heard that no signalling explains: is "
		       "all signalling mirrored?\n",
		       strange);
	if (lost)
		printf("The recorder did not get or could not follow all of it, and calls may be "
		       "missing for that.\n");
}

static enum rc report(struct cli *c, const json_t *request)
{
	struct report r = { .calls = json_array() };
	enum rc rc = cmd_send(c, request, keep_line, &r);
	if (rc == RC_OK && r.summary) {
		print_calls(r.calls);
		print_counts(r.summary);
		print_capture(r.summary);
		print_verdict(r.summary);
	}
	json_decref(r.summary);
	json_decref(r.calls);
	return rc;
}

static enum rc put_gap(struct cli *c, json_t *request, const char *text)
{
	char *end;
	if (!text)
		return RC_OK;
	double gap = strtod(text, &end);
	if (end == text || (*end && strcmp(end, "%") != 0) || !(gap >= 0 && gap <= 100))
		return error_set(&c->err, RC_USAGE, "--gap: a percentage is wanted, 0 to 100");
	json_object_set_new(request, "gap", json_real(gap));
	return RC_OK;
}

enum rc cmd_coverage(struct cli *c, int argc, char **argv)
{
	const char *since = NULL, *until = NULL, *gap = NULL;
	bool json = false;
	const struct word words[] = {
		{ 0, "since", "T", "calls begun at T or later: 2026-11-21, -24h", &since, NULL },
		{ 0, "until", "T", "calls begun at T or earlier", &until, NULL },
		{ 0, "gap", "PERCENT", "loss of a voice that is remarked as gaps (default 1)", &gap,
		  NULL },
		{ 0, "json", NULL, "one JSON object a line, the last sums up", NULL, &json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, NULL, 0, NULL);
	if (rc != RC_OK)
		return rc;
	json_t *request = cmd_new_request("coverage");
	rc = cmd_put_time(c, request, "since", since);
	if (rc == RC_OK)
		rc = cmd_put_time(c, request, "until", until);
	if (rc == RC_OK)
		rc = put_gap(c, request, gap);
	if (rc == RC_OK)
		rc = json ? cmd_send(c, request, cmd_print_json, NULL) : report(c, request);
	json_decref(request);
	return rc;
}
