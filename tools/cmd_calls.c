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

/* The calls; last of all comes where the next page begins. */
static bool keep_call(void *ctx, const json_t *object)
{
	json_t *calls = ctx;
	json_array_append_new(calls, json_deep_copy(object));
	return true;
}

static void print_table(const json_t *calls)
{
	struct table *t = cmd_table_new(WORDS(columns));
	int id_len = cmd_id_length(calls);
	for (size_t i = 0; i < json_array_size(calls); i++)
		add_row(t, json_array_get(calls, i), id_len);
	cmd_table_print(t, stdout);
	cmd_table_free(t);
}

static enum rc list(struct cli *c, json_t *request, bool filtered)
{
	json_t *calls = json_array(), *page = NULL;
	json_object_set_new(request, "page", json_true());
	enum rc rc = cmd_send(c, request, keep_call, calls);
	size_t count = json_array_size(calls);
	if (rc == RC_OK && count > 0) {
		page = json_incref(json_array_get(calls, count - 1));
		json_array_remove(calls, count - 1);
	}
	if (rc == RC_OK && count <= 1)
		fprintf(stderr, "No calls%s.\n", filtered ? " match" : " have been recorded yet");
	else if (rc == RC_OK)
		print_table(calls);
	if (rc == RC_OK && *cmd_text(page, "next"))
		fprintf(stderr, "There may be older ones: --before %s\n", cmd_text(page, "next"));
	json_decref(page);
	json_decref(calls);
	return rc;
}

static enum rc put_decimal(struct cli *c, json_t *request, const char *word, const char *member,
			   const char *text)
{
	char *end;
	if (!text)
		return RC_OK;
	double n = strtod(text, &end);
	if (end == text || *end || !(n >= 0 && n < 1e12))
		return error_set(&c->err, RC_USAGE, "--%s %.40s: a number is wanted", word, text);
	json_object_set_new(request, member, json_real(n));
	return RC_OK;
}

/* What is asked for by a text, by a time, by a number. */
struct asked {
	const char *party, *state, *outcome, *conversation, *direction, *codec, *class, *before;
	const char *since, *until;
	const char *limit, *min_duration, *max_duration, *min_mos, *max_mos;
	bool held;
};

static enum rc put_numbers(struct cli *c, json_t *request, const struct asked *a)
{
	enum rc rc = cmd_put_number(c, request, "limit", a->limit);
	if (rc == RC_OK)
		rc = put_decimal(c, request, "min-duration", "min_duration", a->min_duration);
	if (rc == RC_OK)
		rc = put_decimal(c, request, "max-duration", "max_duration", a->max_duration);
	if (rc == RC_OK)
		rc = put_decimal(c, request, "min-mos", "min_mos", a->min_mos);
	if (rc == RC_OK)
		rc = put_decimal(c, request, "max-mos", "max_mos", a->max_mos);
	return rc;
}

static enum rc put_asked(struct cli *c, json_t *request, const struct asked *a)
{
	cmd_put_text(request, "party", a->party);
	cmd_put_text(request, "state", a->state);
	cmd_put_text(request, "outcome", a->outcome);
	cmd_put_text(request, "conversation", a->conversation);
	cmd_put_text(request, "direction", a->direction);
	cmd_put_text(request, "codec", a->codec);
	cmd_put_text(request, "class", a->class);
	cmd_put_text(request, "before", a->before);
	if (a->held)
		json_object_set_new(request, "held", json_true());
	enum rc rc = cmd_put_time(c, request, "since", a->since);
	if (rc == RC_OK)
		rc = cmd_put_time(c, request, "until", a->until);
	return rc == RC_OK ? put_numbers(c, request, a) : rc;
}

enum rc cmd_calls(struct cli *c, int argc, char **argv)
{
	struct asked a = { 0 };
	bool json = false;
	const struct word words[] = {
		{ 0, "party", "N",
		  "calls from or to a number (or its last 9, 6 or 4 digits), or a user part; with "
		  "--since "
		  "also a pattern with * and ?",
		  &a.party, NULL },
		{ 0, "since", "T", "begun at T or later: 2026-11-21, \"2026-11-21 09:30\", -2h",
		  &a.since, NULL },
		{ 0, "until", "T", "begun at T or earlier", &a.until, NULL },
		{ 0, "state", "S", "trying, ringing, talking or ended", &a.state, NULL },
		{ 0, "outcome", "O", "answered, cancelled, failed or unanswered", &a.outcome,
		  NULL },
		{ 0, "direction", "D", "inbound, outbound, internal or unknown", &a.direction,
		  NULL },
		{ 0, "conversation", "ID", "calls tied together by transfer", &a.conversation,
		  NULL },
		{ 0, "min-duration", "S", "talked for S seconds or more", &a.min_duration, NULL },
		{ 0, "max-duration", "S", "or less", &a.max_duration, NULL },
		{ 0, "codec", "C", "a voice in this codec: PCMA, opus, ...", &a.codec, NULL },
		{ 0, "min-mos", "X",
		  "the voice that sounds worst has this opinion score or more (1 to 5)", &a.min_mos,
		  NULL },
		{ 0, "max-mos", "X", "or less", &a.max_mos, NULL },
		{ 0, "class", "C", "of this retention class", &a.class, NULL },
		{ 0, "held", NULL, "kept past their time by a hold or request", NULL, &a.held },
		{ 0, "limit", "N", "the newest N (0: all; default 50)", &a.limit, NULL },
		{ 0, "before", "PLACE", "the page before: the place that a list has told",
		  &a.before, NULL },
		{ 0, "json", NULL, "one JSON object a line", NULL, &json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, NULL, 0, NULL);
	if (rc != RC_OK)
		return rc;
	json_t *request = cmd_new_request("calls");
	rc = put_asked(c, request, &a);
	bool filtered = json_object_size(request) > 1;
	if (rc == RC_OK)
		rc = json ? cmd_send(c, request, cmd_print_json, NULL) : list(c, request, filtered);
	json_decref(request);
	return rc;
}
