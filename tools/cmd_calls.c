/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan calls: the list of calls. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#define LOSS_SEEN 0.1 /* percent: less is not worth a remark */

static const struct column columns[] = {
	{ "STARTED", false, false }, { "FROM", false, true },     { "TO", false, true },
	{ "LENGTH", true, false },   { "OUTCOME", false, false }, { "AUDIO", false, true },
	{ "ID", false, false },
};

static const char *outcome_of(const json_t *call)
{
	const char *outcome = cmd_text(call, "outcome");
	return *outcome ? outcome : cmd_text(call, "state");
}

static const char *outcome_colour(const char *outcome)
{
	if (strcmp(outcome, "answered") == 0)
		return NULL;
	return strcmp(outcome, "talking") == 0 || strcmp(outcome, "ringing") == 0 ? "32" : "33";
}

/* "PCMU, 2.5% lost; one-sided": codecs of the streams, what is wrong with them, and coverage remarks. */
static void describe_audio(const json_t *call, char *out, size_t room)
{
	size_t i, k, at = 0;
	json_t *stream, *remark;
	json_int_t lost = 0, packets = 0;
	char codecs[64] = "";
	json_array_foreach(json_object_get(call, "streams"), i, stream)
	{
		const char *codec = cmd_text(stream, "codec");
		lost += cmd_number(stream, "lost");
		packets += cmd_number(stream, "packets");
		if (*codec && !strstr(codecs, codec))
			snprintf(codecs + strlen(codecs), sizeof codecs - strlen(codecs), "%s%s",
				 *codecs ? "," : "", codec);
	}
	double percent = packets ? 100.0 * (double)lost / (double)(lost + packets) : 0;
	at += (size_t)snprintf(out, room, "%s", packets ? codecs : "-");
	if (percent >= LOSS_SEEN)
		at += (size_t)snprintf(out + at, room - at, ", %.1f%% lost", percent);
	json_array_foreach(json_object_get(call, "coverage"), k, remark)
	{
		if (at < room)
			at += (size_t)snprintf(out + at, room - at, "; %s",
					       json_string_value(remark));
	}
	if (strcmp(cmd_text(call, "state"), "ended") == 0 &&
	    !json_is_true(json_object_get(call, "attested")) && at < room)
		snprintf(out + at, room - at, "; unattested");
}

/* Number, or what stands in its place. */
static void describe_party(const json_t *call, const char *party, const char *name, char *out,
			   size_t room)
{
	const char *number = cmd_text(call, party), *said = cmd_text(call, name);
	bool both = *number && *said && strcmp(number, said) != 0;
	snprintf(out, room, "%s%s%s%s",
		 *number ? number
		 : *said ? said
			 : "-",
		 both ? " (" : "", both ? said : "", both ? ")" : "");
}

static void add_row(struct table *t, const json_t *call, int id_len)
{
	char text[512], time[40];
	const char *outcome = outcome_of(call);
	cmd_table_cell(t, cmd_local_time(call, "start", time), NULL);
	describe_party(call, "from", "from_name", text, sizeof text);
	cmd_table_cell(t, text, NULL);
	describe_party(call, "to", "to_name", text, sizeof text);
	cmd_table_cell(t, text, NULL);
	json_int_t ms = cmd_number(call, "duration_ms");
	cmd_table_cell(t, ms ? cmd_minutes((double)ms / 1000, time) : "-", NULL);
	cmd_table_cell(t, outcome, outcome_colour(outcome));
	describe_audio(call, text, sizeof text);
	cmd_table_cell(t, text, NULL);
	snprintf(text, sizeof text, "%.*s", id_len, cmd_text(call, "id"));
	cmd_table_cell(t, text, NULL);
}

static bool keep_call(void *ctx, const json_t *call)
{
	json_array_append_new(ctx, json_deep_copy(call));
	return true;
}

static enum rc list(struct cli *c, const json_t *request)
{
	json_t *calls = json_array();
	enum rc rc = cmd_send(c, request, keep_call, calls);
	if (rc == RC_OK && json_array_size(calls) == 0) {
		fprintf(stderr, "No calls%s.\n",
			json_object_size(request) > 1 ? " match" : " have been recorded yet");
	} else if (rc == RC_OK) {
		struct table *t = cmd_table_new(columns, sizeof columns / sizeof columns[0]);
		int id_len = cmd_id_length(calls);
		for (size_t i = 0; i < json_array_size(calls); i++)
			add_row(t, json_array_get(calls, i), id_len);
		cmd_table_print(t, stdout);
		cmd_table_free(t);
	}
	json_decref(calls);
	return rc;
}

enum rc cmd_calls(struct cli *c, int argc, char **argv)
{
	const char *party = NULL, *since = NULL, *until = NULL, *state = NULL, *outcome = NULL,
		   *conversation = NULL, *limit = NULL;
	bool json = false;
	const struct word words[] = {
		{ 0, "party", "N", "calls from or to a number (or its last digits), or a user part",
		  &party, NULL },
		{ 0, "since", "T", "begun at T or later: 2026-11-21, \"2026-11-21 09:30\", -2h",
		  &since, NULL },
		{ 0, "until", "T", "begun at T or earlier", &until, NULL },
		{ 0, "state", "S", "trying, ringing, talking or ended", &state, NULL },
		{ 0, "outcome", "O", "answered, cancelled, failed or unanswered", &outcome, NULL },
		{ 0, "conversation", "ID", "calls tied together by transfer", &conversation, NULL },
		{ 0, "limit", "N", "the newest N (0: all; default 50)", &limit, NULL },
		{ 0, "json", NULL, "one JSON object a line", NULL, &json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, NULL, 0, NULL);
	if (rc != RC_OK)
		return rc;
	json_t *request = cmd_new_request("calls");
	cmd_put_text(request, "party", party);
	cmd_put_text(request, "state", state);
	cmd_put_text(request, "outcome", outcome);
	cmd_put_text(request, "conversation", conversation);
	rc = cmd_put_time(c, request, "since", since);
	if (rc == RC_OK)
		rc = cmd_put_time(c, request, "until", until);
	if (rc == RC_OK)
		rc = cmd_put_number(c, request, "limit", limit);
	if (rc == RC_OK)
		rc = json ? cmd_send(c, request, cmd_print_json, NULL) : list(c, request);
	json_decref(request);
	return rc;
}
