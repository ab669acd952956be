/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan show: one call on a card. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static const struct column columns[] = {
	{ "VOICE", false, false },  { "CODEC", false, false },  { "FROM", false, true },
	{ "TO", false, true },      { "PACKETS", true, false }, { "PTIME", true, false },
	{ "REMARKS", false, true },
};

/* How each voice came over: what we counted, and what its receiver reported (RTCP). */
static const struct column quality_columns[] = {
	{ "VOICE", false, false },
	{ "CODEC", false, false },
	{ "MOS", true, false },
	{ "JITTER", true, false },
	{ "LOST", true, false },
	{ "GAPS", true, false },
	{ "LONGEST", true, false },
	{ "RECEIVER LOST", true, false },
	{ "RECEIVER JITTER", true, false },
	{ "PROTECTED", false, true },
};

static void show_party(const json_t *call, const char *label, const char *number, const char *name,
		       const char *uri)
{
	const char *party = cmd_text(call, number), *said = cmd_text(call, name);
	const char *address = cmd_text(call, uri);
	cmd_print_line(label, "%s%s%s%s%s%s%s", party, *party && *said ? "  " : "", said,
		       (*party || *said) && *address ? "  " : "", *address ? "<" : "", address,
		       *address ? ">" : "");
}

static void show_time(const json_t *call, const char *label, const char *member)
{
	char time[40];
	if (*cmd_local_time(call, member, time))
		cmd_print_line(label, "%s", time);
}

static void show_course(const json_t *call)
{
	char length[24];
	json_int_t ms = cmd_number(call, "duration_ms"), status = cmd_number(call, "sip_status");
	const char *by = cmd_text(call, "ended_by"), *outcome = cmd_text(call, "outcome");
	char answer[32] = "";
	if (status)
		snprintf(answer, sizeof answer, " (SIP %" JSON_INTEGER_FORMAT ")", status);
	cmd_print_line("outcome", "%s%s%s%s", *outcome ? outcome : cmd_text(call, "state"), answer,
		       *by ? ", ended by " : "", by);
	show_time(call, "started", "start");
	show_time(call, "rang", "ring");
	show_time(call, "answered", "answer");
	show_time(call, "ended", "end");
	if (ms)
		cmd_print_line("length", "%s", cmd_minutes((double)ms / 1000, length));
	if (cmd_number(call, "dtmf_count"))
		cmd_print_line("digits", "%" JSON_INTEGER_FORMAT " keys were pressed",
			       cmd_number(call, "dtmf_count"));
}

static void stream_remarks(const json_t *s, const json_t *quality, char *out, size_t room)
{
	static const char *const counted[] = { "dropped", "duplicates", "reordered", "late" };
	size_t at = 0;
	out[0] = '\0';
	for (size_t i = 0; i < sizeof counted / sizeof counted[0] && at < room; i++) {
		json_int_t n = cmd_number(s, counted[i]);
		if (n)
			at += (size_t)snprintf(out + at, room - at, "%s%" JSON_INTEGER_FORMAT " %s",
					       at ? ", " : "", n, counted[i]);
	}
	if (cmd_number(quality, "relay_copies") && at < room)
		at += (size_t)snprintf(out + at, room - at, "%sseen again on a relay",
				       at ? ", " : "");
	if (json_is_true(json_object_get(quality, "foreign")) && at < room)
		at += (size_t)snprintf(out + at, room - at, "%sfrom elsewhere, not heard",
				       at ? ", " : "");
	if (json_is_false(json_object_get(quality, "decodable")) && at < room)
		at += (size_t)snprintf(out + at, room - at, "%sno decoder", at ? ", " : "");
	const char *whole = "";
	if (!json_is_true(json_object_get(s, "stored")))
		whole = "not stored";
	else if (!json_is_true(json_object_get(s, "complete")))
		whole = "incomplete";
	if (*whole && at < room)
		snprintf(out + at, room - at, "%s%s", at ? ", " : "", whole);
}

static void stream_row(struct table *t, const json_t *s, const json_t *quality)
{
	char text[160];
	json_int_t packets = cmd_number(s, "packets");
	cmd_table_cell(t, cmd_text(s, "track"), NULL);
	cmd_table_cell(t, *cmd_text(s, "codec") ? cmd_text(s, "codec") : "-", NULL);
	cmd_table_cell(t, cmd_text(s, "src"), NULL);
	cmd_table_cell(t, cmd_text(s, "dst"), NULL);
	cmd_table_number(t, packets, NULL);
	snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT " ms", cmd_number(s, "ptime_ms"));
	cmd_table_cell(t, cmd_number(s, "ptime_ms") ? text : "-", NULL);
	stream_remarks(s, quality, text, sizeof text);
	cmd_table_cell(t, text, NULL);
}

/* A number with its unit, or "-" when it is not known. */
static void quality_cell(struct table *t, const json_t *s, const char *member, const char *unit)
{
	char text[64] = "-";
	const json_t *n = json_object_get(s, member);
	if (json_is_number(n))
		snprintf(text, sizeof text, "%.1f%s", json_number_value(n), unit);
	cmd_table_cell(t, text, NULL);
}

static void quality_row(struct table *t, const json_t *s, const json_t *quality)
{
	char text[64];
	json_int_t packets = cmd_number(s, "packets"), lost = cmd_number(s, "lost");
	cmd_table_cell(t, cmd_text(s, "track"), NULL);
	cmd_table_cell(t, *cmd_text(s, "codec") ? cmd_text(s, "codec") : "-", NULL);
	quality_cell(t, s, "mos", "");
	quality_cell(t, s, "jitter_ms", " ms");
	snprintf(text, sizeof text, "%.1f%%",
		 packets + lost ? 100.0 * (double)lost / (double)(packets + lost) : 0.0);
	cmd_table_cell(t, text, lost ? "33" : NULL);
	cmd_table_number(t, cmd_number(quality, "loss_runs"), NULL);
	cmd_table_number(t, cmd_number(quality, "loss_longest"), NULL);
	snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, cmd_number(quality, "remote_lost"));
	cmd_table_cell(t, cmd_number(quality, "reports") ? text : "-", NULL);
	quality_cell(t, quality, "remote_jitter_ms", " ms");
	cmd_table_cell(t, cmd_text(quality, "protection"), NULL);
}

static void show_quality(const json_t *call)
{
	size_t i;
	json_t *stream;
	const json_t *quality = json_object_get(call, "quality");
	struct table *t = cmd_table_new(WORDS(quality_columns));
	json_array_foreach(json_object_get(call, "streams"), i, stream)
	{
		quality_row(t, stream, json_array_get(quality, i));
	}
	if (cmd_table_rows(t) > 0) {
		printf("\n");
		cmd_table_print(t, stdout);
	}
	cmd_table_free(t);
}

static void show_streams(const json_t *call)
{
	size_t i;
	json_t *stream;
	const json_t *quality = json_object_get(call, "quality");
	struct table *t = cmd_table_new(WORDS(columns));
	json_array_foreach(json_object_get(call, "streams"), i, stream)
	{
		stream_row(t, stream, json_array_get(quality, i));
	}
	printf("\n");
	if (cmd_table_rows(t) > 0)
		cmd_table_print(t, stdout);
	else
		printf("No audio was recorded.\n");
	cmd_table_free(t);
}

/* Its own time, and what keeps it beyond that. */
static void show_retention(const json_t *retention)
{
	char expires[40], held[200] = "";
	size_t i, at = 0;
	json_t *name;
	const char *until = cmd_local_time(retention, "expires", expires);
	cmd_print_line("kept as", "%s%s%s", cmd_text(retention, "class"), *until ? ", until " : "",
		       until);
	json_array_foreach(json_object_get(retention, "holds"), i, name)
	{
		if (at < sizeof held)
			at += (size_t)snprintf(held + at, sizeof held - at, "%s%s", i ? ", " : "",
					       json_string_value(name));
	}
	if (at)
		cmd_print_line("held by", "%s: it is kept beyond its time until released", held);
}

static void show_keeping(const json_t *call)
{
	size_t i;
	json_t *remark;
	show_retention(json_object_get(call, "retention"));
	json_array_foreach(json_object_get(call, "coverage"), i, remark)
	{
		const char *name = json_string_value(remark);
		cmd_print_line(i ? "" : "remarks", "%s: %s", name, vault_remark_prose(name));
	}
	cmd_print_line("evidence", "%s",
		       json_is_true(json_object_get(call, "attested"))
			       ? "signed by the recorder"
			       : "not signed to its end by the recorder");
}

static void show_holds(const json_t *call)
{
	size_t i;
	json_t *hold;
	json_array_foreach(json_object_get(call, "holds_on_wire"), i, hold)
	{
		char from[40], to[40];
		const char *until = cmd_local_time(hold, "to", to);
		cmd_print_line(i ? "" : "on hold", "%s to %s", cmd_local_time(hold, "from", from),
			       *until ? until : "the end");
	}
}

static void show_connections(const json_t *call)
{
	size_t i;
	json_t *id;
	if (*cmd_text(call, "diverted_from"))
		cmd_print_line("diverted from", "%s", cmd_text(call, "diverted_from"));
	if (*cmd_text(call, "referred_by"))
		cmd_print_line("transferred by", "%s", cmd_text(call, "referred_by"));
	if (*cmd_text(call, "other_media"))
		cmd_print_line("not recorded", "%s", cmd_text(call, "other_media"));
	json_array_foreach(json_object_get(call, "conversation_calls"), i, id)
	{
		cmd_print_line(i ? "" : "conversation", "%s", json_string_value(id));
	}
}

/* Is there a voice that was stored and can be decoded? */
static bool can_be_heard(const json_t *call)
{
	size_t i;
	json_t *stream;
	const json_t *quality = json_object_get(call, "quality");
	json_array_foreach(json_object_get(call, "streams"), i, stream)
	{
		if (json_is_true(json_object_get(stream, "stored")) &&
		    json_is_true(json_object_get(json_array_get(quality, i), "decodable")))
			return true;
	}
	return false;
}

static bool show_card(void *ctx, const json_t *call)
{
	(void)ctx;
	cmd_print_line("call", "%s", cmd_text(call, "id"));
	show_party(call, "from", "from", "from_name", "from_uri");
	show_party(call, "to", "to", "to_name", "to_uri");
	cmd_print_line("direction", "%s", cmd_text(call, "direction"));
	show_connections(call);
	show_course(call);
	show_holds(call);
	show_keeping(call);
	show_streams(call);
	show_quality(call);
	if (can_be_heard(call))
		printf("\nTo hear it:  callspan replay %s --purpose PURPOSE --reference CASE\n",
		       cmd_text(call, "id"));
	return true;
}

static bool print_prints(void *ctx, const json_t *reply)
{
	size_t i;
	json_t *s;
	(void)ctx;
	json_array_foreach(json_object_get(reply, "streams"), i, s)
	{
		printf("%s  %s  %s -> %s  %s\n", cmd_text(s, "payload_sha1"), cmd_text(s, "track"),
		       cmd_text(s, "src"), cmd_text(s, "dst"), cmd_text(s, "ssrc"));
	}
	return true;
}

static bool print_digits(void *ctx, const json_t *reply)
{
	size_t i, k;
	json_t *entry, *press;
	(void)ctx;
	json_array_foreach(json_object_get(reply, "digits"), i, entry)
	{
		printf("%s, in %s: %s\n", cmd_text(entry, "track"), cmd_text(entry, "from"),
		       cmd_text(entry, "digits"));
		json_array_foreach(json_object_get(entry, "presses"), k, press)
		{
			char time[40];
			printf("  %s  %s  %" JSON_INTEGER_FORMAT " ms\n",
			       cmd_local_time(press, "time", time), cmd_text(press, "digit"),
			       cmd_number(press, "duration_ms"));
		}
	}
	if (i == 0)
		fprintf(stderr, "No digits were kept of this call.\n");
	return true;
}

/* What is no part of the card because it opens what was said or pressed. */
static enum rc show_opened(struct cli *c, const struct opening *o, const char *name,
			   vault_reply reply)
{
	json_t *request = cmd_new_request(name);
	cmd_put_opening(request, o);
	enum rc rc = cmd_send_opening(c, request, o->passphrase_file, reply, NULL);
	json_decref(request);
	return rc;
}

enum rc cmd_show(struct cli *c, int argc, char **argv)
{
	struct opening o = { 0 };
	bool json = false, prints = false, digits = false;
	const struct word words[] = {
		{ 0, "json", NULL, "one JSON object", NULL, &json },
		{ 0, "digits", NULL,
		  "instead: the keys that were pressed, where they are kept; needs a purpose and "
		  "a reference",
		  NULL, &digits },
		{ 0, "payload-sha1", NULL,
		  "instead: SHA-1 of each stream's recorded payload; opens the audio, so it needs:",
		  NULL, &prints },
		{ 0, "purpose", "P", "what it is opened for: one that the policy allows",
		  &o.purpose, NULL },
		{ 0, "reference", "R", "the case or ticket it is opened for", &o.reference, NULL },
		{ 0, "passphrase-file", "F", "your passphrase, in the first line",
		  &o.passphrase_file, NULL },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &o.id, 1, NULL);
	if (rc != RC_OK)
		return rc;
	if (prints && digits)
		return error_set(&c->err, RC_USAGE, "either --digits or --payload-sha1");
	if (digits)
		return show_opened(c, &o, "digits", json ? cmd_print_json : print_digits);
	if (prints)
		return show_opened(c, &o, "fingerprint", json ? cmd_print_json : print_prints);
	if (o.purpose || o.reference || o.passphrase_file)
		return error_set(
			&c->err, RC_USAGE,
			"--purpose, --reference and --passphrase-file are for --digits and "
			"--payload-sha1: show alone opens nothing");
	json_t *request = cmd_new_request("show");
	cmd_put_text(request, "id", o.id);
	rc = cmd_send(c, request, json ? cmd_print_json : show_card, NULL);
	json_decref(request);
	return rc;
}
