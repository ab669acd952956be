/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan request: what persons and authorities ask for: opened, assessed call by call, authorised, given, closed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"

#define CALLS_MOST 64

struct asked {
	const char *words[CALLS_MOST + 2]; /* what to do, which request, which calls */
	int count;
	const char *kind, *party, *since, *until, *received, *reference, *requester, *note, *how,
		*reason, *redact, *withhold, *ground, *listen, *export, *format, *passphrase_file,
		*password_file, *recipient_file;
	bool release, open, overdue, json;
};

struct deed {
	const char *name;
	int least, most; /* words after it */
	const char *wants;
	enum rc (*run)(struct cli *c, const struct asked *a, json_t *request);
};

/* ---- telling ----------------------------------------------------------------------------------------------- */

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static void print_calls_line(const json_t *o)
{
	const json_t *n = json_object_get(o, "calls");
	cmd_print_line(
		"calls",
		"%" JSON_INTEGER_FORMAT " found, %" JSON_INTEGER_FORMAT
		" assessed: %" JSON_INTEGER_FORMAT " released, %" JSON_INTEGER_FORMAT
		" redacted, %" JSON_INTEGER_FORMAT " withheld; %" JSON_INTEGER_FORMAT " given",
		cmd_number(n, "found"), cmd_number(n, "assessed"), cmd_number(n, "released"),
		cmd_number(n, "redacted"), cmd_number(n, "withheld"), cmd_number(n, "given"));
	if (cmd_number(n, "gone"))
		cmd_print_line("gone", "%" JSON_INTEGER_FORMAT " were destroyed since",
			       cmd_number(n, "gone"));
}

static bool print_summary(void *ctx, const json_t *o)
{
	static const char *const texts[] = { "party", "requester", "reference", "note" };
	(void)ctx;
	cmd_print_line(cmd_text(o, "inquiry"), "%s, %s", cmd_text(o, "kind"), cmd_text(o, "state"));
	cmd_print_line("received", "%s", cmd_text(o, "received"));
	cmd_print_line("due", "%s%s%s", cmd_text(o, "due"),
		       json_is_true(json_object_get(o, "extended")) ? ", extended" : "",
		       json_is_true(json_object_get(o, "overdue")) ? ", OVERDUE" : "");
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (*cmd_text(o, texts[i]))
			cmd_print_line(texts[i], "%s", cmd_text(o, texts[i]));
	}
	if (*cmd_text(o, "refusal"))
		cmd_print_line("refused", "%s", cmd_text(o, "refusal"));
	print_calls_line(o);
	return true;
}

static bool print_opened(void *ctx, const json_t *o)
{
	print_summary(ctx, o);
	printf("Its calls are kept until it is closed.  Later calls of the party are not added: "
	       "request refresh %s finds them.\n",
	       cmd_text(o, "inquiry"));
	return true;
}

static const struct column list_columns[] = {
	{ "REQUEST", false, false },  { "KIND", false, false }, { "STATE", false, false },
	{ "RECEIVED", false, false }, { "DUE", false, false },  { "CALLS", true, false },
	{ "ASSESSED", true, false },  { "GIVEN", true, false }, { "PARTY", false, true },
	{ "REFERENCE", false, true },
};

static bool list_row(void *ctx, const json_t *o)
{
	static const char *const counts[] = { "found", "assessed", "given" };
	struct table *t = ctx;
	char text[32];
	bool overdue = json_is_true(json_object_get(o, "overdue"));
	cmd_table_cell(t, cmd_text(o, "inquiry"), NULL);
	cmd_table_cell(t, cmd_text(o, "kind"), NULL);
	cmd_table_cell(t, cmd_text(o, "state"), NULL);
	cmd_table_cell(t, cmd_text(o, "received"), NULL);
	snprintf(text, sizeof text, "%.16s%s", cmd_text(o, "due"), overdue ? " overdue" : "");
	cmd_table_cell(t, text, overdue ? "31" : NULL);
	for (size_t i = 0; i < 3; i++) {
		snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT,
			 cmd_number(json_object_get(o, "calls"), counts[i]));
		cmd_table_cell(t, text, NULL);
	}
	cmd_table_cell(t, or_dash(cmd_text(o, "party")), NULL);
	cmd_table_cell(t, cmd_text(o, "reference"), NULL);
	return true;
}

static const struct column call_columns[] = {
	{ "ID", false, false },    { "START", false, false },   { "FROM", false, true },
	{ "TO", false, true },     { "DECISION", false, true }, { "BY", false, true },
	{ "GIVEN", false, false }, { "NOTE", false, true },
};

static void add_recording(struct table *t, const json_t *o, int id_length)
{
	char text[160];
	size_t at, i;
	const json_t *mute;
	snprintf(text, sizeof text, "%.*s", id_length, cmd_text(o, "id"));
	cmd_table_cell(t, text, NULL);
	cmd_table_cell(t,
		       json_is_true(json_object_get(o, "gone")) ? "destroyed"
								: cmd_local_time(o, "start", text),
		       NULL);
	cmd_table_cell(t, or_dash(cmd_text(o, "from")), NULL);
	cmd_table_cell(t, or_dash(cmd_text(o, "to")), NULL);
	at = (size_t)snprintf(text, sizeof text, "%.20s %.40s", or_dash(cmd_text(o, "decision")),
			      cmd_text(o, "ground"));
	json_array_foreach(json_object_get(o, "redact"), i, mute)
	{
		if (at < sizeof text)
			at += (size_t)snprintf(text + at, sizeof text - at, "%s%.60s", i ? " " : "",
					       json_string_value(mute));
	}
	cmd_table_cell(t, text, NULL);
	cmd_table_cell(t, or_dash(cmd_text(o, "assessed_by")), NULL);
	cmd_table_cell(t, or_dash(cmd_text(o, "given")), NULL);
	cmd_table_cell(t, cmd_text(o, "note"), NULL);
}

static void print_steps(const json_t *steps)
{
	size_t i;
	const json_t *s;
	char when[40];
	json_array_foreach(steps, i, s)
	{
		const char *why =
			*cmd_text(s, "reason") ? cmd_text(s, "reason") : cmd_text(s, "how");
		char *text = cmd_clean(why), *person = cmd_clean(cmd_text(s, "person"));
		printf("  %s  %-15s %s (%s)", cmd_local_time(s, "time", when), cmd_text(s, "step"),
		       person, cmd_text(s, "role"));
		if (cmd_number(s, "calls"))
			printf(", %" JSON_INTEGER_FORMAT " calls", cmd_number(s, "calls"));
		printf("%s%s\n", *text ? ": " : "", text);
		free(text);
		free(person);
	}
}

static bool print_whole(void *ctx, const json_t *o)
{
	size_t i;
	const json_t *call, *calls = json_object_get(o, "recordings");
	print_summary(ctx, o);
	printf("\n");
	print_steps(json_object_get(o, "steps"));
	if (json_array_size(calls)) {
		struct table *t = cmd_table_new(WORDS(call_columns));
		json_array_foreach(calls, i, call)
		{
			add_recording(t, call, cmd_id_length(calls));
		}
		printf("\n");
		cmd_table_print(t, stdout);
		cmd_table_free(t);
	}
	if (cmd_number(o, "unseen"))
		printf("\n%" JSON_INTEGER_FORMAT " more of its calls are not yours to see.\n",
		       cmd_number(o, "unseen"));
	return true;
}

/* ---- doing ------------------------------------------------------------------------------------------------- */

static enum rc send_plain(struct cli *c, const struct asked *a, json_t *request)
{
	return cmd_send(c, request, a->json ? cmd_print_json : print_summary, NULL);
}

static enum rc do_open(struct cli *c, const struct asked *a, json_t *request)
{
	return cmd_send(c, request, a->json ? cmd_print_json : print_opened, NULL);
}

static enum rc do_authorise(struct cli *c, const struct asked *a, json_t *request)
{
	return cmd_send_opening(c, request, a->passphrase_file,
				a->json ? cmd_print_json : print_summary, NULL);
}

static enum rc do_show(struct cli *c, const struct asked *a, json_t *request)
{
	return cmd_send(c, request, a->json ? cmd_print_json : print_whole, NULL);
}

static enum rc do_list(struct cli *c, const struct asked *a, json_t *request)
{
	static const struct listing requests = { WORDS(list_columns), list_row };
	return cmd_list(c, request, a->json, &requests,
			a->open || a->overdue ? "No requests of that kind." : "No requests.");
}

/* SIDE:FROM-TO, several with commas between. */
static json_t *redactions(const char *text)
{
	json_t *list = json_array();
	char *copy = strdup(text), *rest = NULL;
	ASSERT(list && copy);
	for (char *at = strtok_r(copy, ",", &rest); at; at = strtok_r(NULL, ",", &rest)) {
		json_t *one = json_string(at);
		json_array_append_new(list, one ? one : json_string(""));
	}
	free(copy);
	return list;
}

/* Each of the calls named alike; what is wrong with one ends it. */
static enum rc do_assess(struct cli *c, const struct asked *a, json_t *request)
{
	if (a->release + (a->redact != NULL) + (a->withhold != NULL) != 1)
		return error_set(&c->err, RC_USAGE,
				 "one of --release, --redact SIDE:FROM-TO and --withhold GROUND is "
				 "wanted");
	cmd_put_text(request, "decision",
		     a->release  ? "release"
		     : a->redact ? "redact"
				 : "withhold");
	cmd_put_text(request, "ground", a->withhold);
	if (a->redact)
		json_object_set_new(request, "redact", redactions(a->redact));
	enum rc rc = RC_OK;
	for (int i = 2; i < a->count && rc == RC_OK; i++) {
		cmd_put_text(request, "id", a->words[i]);
		rc = send_plain(c, a, request);
	}
	return rc;
}

/* ---- fulfilling it -------------------------------------------------------------------------------------------- */

static bool keep_reply(void *ctx, const json_t *o)
{
	json_t **kept = ctx;
	json_decref(*kept);
	*kept = json_deep_copy(o);
	return true;
}

static bool to_be_given(const json_t *call)
{
	const char *decision = cmd_text(call, "decision");
	bool give = strcmp(decision, "release") == 0 || strcmp(decision, "redact") == 0;
	return give && !json_is_true(json_object_get(call, "gone"));
}

/* The passphrase, once for all of them. */
static enum rc take_passphrase(struct cli *c, const struct asked *a, json_t *request)
{
	char passphrase[PASSPHRASE_MAX];
	enum rc rc = a->passphrase_file
			     ? cmd_passphrase_file(a->passphrase_file, passphrase, &c->err)
			     : cmd_passphrase_ask("Passphrase: ", passphrase, &c->err);
	if (rc == RC_OK)
		cmd_put_text(request, "passphrase", passphrase);
	explicit_bzero(passphrase, sizeof passphrase);
	return rc == RC_OK || a->passphrase_file ? rc : RC_REFUSED;
}

static enum rc export_one(struct cli *c, const struct asked *a, json_t *request,
			  const struct opening *protection, const char *id, int number)
{
	char path[STORE_PATH];
	const char *format = a->format ? a->format : "wav";
	struct opening o = *protection;
	o.id = id;
	o.format = format;
	o.to = path;
	int n = snprintf(path, sizeof path, "%s/%s-%02d.%.8s", a->export, a->words[1], number,
			 o.password    ? "zip"
			 : o.recipient ? "p7m"
				       : format);
	if (n < 0 || (size_t)n >= sizeof path)
		return error_set(&c->err, RC_USAGE, "--export: the name is too long");
	cmd_put_text(request, "id", id);
	cmd_put_text(request, "format", format);
	cmd_put_text(request, "password", o.password);
	cmd_put_text(request, "recipient", o.recipient);
	return cmd_write_recording(c, request, &o);
}

/* *given: so many files there are then. */
static enum rc export_each(struct cli *c, const struct asked *a, json_t *request,
			   const struct opening *protection, const json_t *calls, int *given)
{
	size_t i;
	const json_t *call;
	enum rc rc = RC_OK;
	json_array_foreach(calls, i, call)
	{
		if (!to_be_given(call))
			continue;
		rc = export_one(c, a, request, protection, cmd_text(call, "id"), *given + 1);
		if (rc != RC_OK)
			return rc;
		(*given)++;
	}
	if (!*given)
		fprintf(stderr, "Nothing of %s is to be given.\n", a->words[1]);
	return RC_OK;
}

/* All under one password or for one recipient. */
static enum rc export_all(struct cli *c, const struct asked *a, json_t *request,
			  const json_t *calls)
{
	struct protect p;
	struct opening o = { 0 };
	int given = 0;
	enum rc rc = cmd_protect(&p, &o, a->password_file, a->recipient_file, &c->err);
	if (rc == RC_OK && mkdir(a->export, 0700) != 0 && errno != EEXIST)
		rc = error_errno(&c->err, RC_FAILED, errno, "%.300s", a->export);
	if (rc == RC_OK)
		rc = export_each(c, a, request, &o, calls, &given);
	if (given)
		cmd_protect_tell(&p);
	cmd_protect_forget(&p);
	return rc;
}

static enum rc do_export(struct cli *c, const struct asked *a, json_t *request)
{
	json_t *whole = NULL, *show = cmd_new_request("request-show");
	cmd_put_text(show, "inquiry", a->words[1]);
	enum rc rc = cmd_send(c, show, keep_reply, &whole);
	if (rc == RC_OK && json_is_true(json_object_get(whole, "passphrase")))
		rc = take_passphrase(c, a, request);
	if (rc == RC_OK)
		rc = export_all(c, a, request, json_object_get(whole, "recordings"));
	json_decref(show);
	json_decref(whole);
	return rc;
}

static enum rc do_fulfil(struct cli *c, const struct asked *a, json_t *request)
{
	if ((a->listen != NULL) + (a->export != NULL) != 1)
		return error_set(
			&c->err, RC_USAGE,
			"--listen CALL or --export DIR is wanted: heard here, or handed over");
	if (a->export)
		return do_export(c, a, request);
	const struct opening o = { .id = a->listen, .passphrase_file = a->passphrase_file };
	cmd_put_text(request, "id", a->listen);
	return cmd_replay_play(c, request, &o);
}

/* ---- which of them --------------------------------------------------------------------------------------------- */

static const struct deed deeds[] = {
	{ "open", 0, 0, "no number: it is given one", do_open },
	{ "verify-identity", 1, 1, "its number, as R-7", send_plain },
	{ "extend", 1, 1, "its number, as R-7", send_plain },
	{ "refresh", 1, 1, "its number, as R-7", send_plain },
	{ "assess", 2, CALLS_MOST + 1, "its number, as R-7, and one or more calls", do_assess },
	{ "authorise", 1, 1, "its number, as R-7", do_authorise },
	{ "fulfil", 1, 1, "its number, as R-7", do_fulfil },
	{ "close", 1, 1, "its number, as R-7", send_plain },
	{ "refuse", 1, 1, "its number, as R-7", send_plain },
	{ "list", 0, 0, "nothing more", do_list },
	{ "show", 1, 1, "its number, as R-7", do_show },
};

/* What the vault does not want of these, it says. */
static enum rc put_members(struct cli *c, const struct asked *a, json_t *request)
{
	const struct {
		const char *name, *text;
	} texts[] = {
		{ "inquiry", a->count > 1 ? a->words[1] : NULL },
		{ "kind", a->kind },
		{ "party", a->party },
		{ "reference", a->reference },
		{ "requester", a->requester },
		{ "note", a->note },
		{ "how", a->how },
		{ "reason", a->reason },
		{ "ground", a->ground },
		{ "format", a->format },
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		cmd_put_text(request, texts[i].name, texts[i].text);
	if (a->open)
		json_object_set_new(request, "open", json_true());
	if (a->overdue)
		json_object_set_new(request, "overdue", json_true());
	enum rc rc = cmd_put_time(c, request, "since", a->since);
	if (rc == RC_OK)
		rc = cmd_put_time(c, request, "until", a->until);
	return rc == RC_OK ? cmd_put_time(c, request, "received", a->received) : rc;
}

static enum rc run(struct cli *c, const struct asked *a)
{
	char name[40];
	size_t at;
	enum rc rc = cmd_choose(c, "request", a->words[0], CHOICES(deeds), &at);
	if (rc != RC_OK)
		return rc;
	const struct deed *d = &deeds[at];
	if (a->count - 1 < d->least || a->count - 1 > d->most)
		return error_set(&c->err, RC_USAGE, "request %s wants %s", d->name, d->wants);
	snprintf(name, sizeof name, "request-%s", d->name);
	json_t *request = cmd_new_request(name);
	rc = put_members(c, a, request);
	if (rc == RC_OK)
		rc = d->run(c, a, request);
	json_decref(request);
	return rc;
}

enum rc cmd_request(struct cli *c, int argc, char **argv)
{
	struct asked a = { 0 };
	const struct word words[] = {
		{ 0, "kind", "subject-access|authority", "open: of a person, or of an authority",
		  &a.kind, NULL },
		{ 0, "party", "N", "open: whose calls: a number, its last digits, a user part",
		  &a.party, NULL },
		{ 0, "since", "T", "open: calls that began at T or later", &a.since, NULL },
		{ 0, "until", "T", "open: calls that began at T or earlier", &a.until, NULL },
		{ 0, "received", "DATE", "open: the day it was received", &a.received, NULL },
		{ 0, "reference", "REF", "open: of the paper it came with; stays on record",
		  &a.reference, NULL },
		{ 0, "requester", "TEXT", "open: who asks", &a.requester, NULL },
		{ 0, "note", "TEXT", "open, assess: a note", &a.note, NULL },
		{ 0, "how", "TEXT", "verify-identity: how that was done", &a.how, NULL },
		{ 0, "reason", "TEXT", "extend, close, refuse: why; stays on record", &a.reason,
		  NULL },
		{ 0, "release", NULL, "assess: the call is given whole", NULL, &a.release },
		{ 0, "redact", "SIDE:FROM-TO[,...]",
		  "assess: it is given, but for this (caller, callee or both; M:SS)", &a.redact,
		  NULL },
		{ 0, "withhold", "GROUND", "assess: it is not given", &a.withhold, NULL },
		{ 0, "ground", "GROUND", "refuse: on which ground", &a.ground, NULL },
		{ 0, "listen", "CALL", "fulfil: play the call on the sound device", &a.listen,
		  NULL },
		{ 0, "export", "DIR", "fulfil: write all that is to be given there", &a.export,
		  NULL },
		{ 0, "format", "wav|flac|opus|pcap", "fulfil --export: the files' format (wav)",
		  &a.format, NULL },
		{ 0, "password-file", "F|-",
		  "fulfil --export: ZIPs (AES-256) under the password in F; -: make one",
		  &a.password_file, NULL },
		{ 0, "recipient", "CERT.PEM",
		  "fulfil --export: CMS envelopes that only its holder can open", &a.recipient_file,
		  NULL },
		{ 0, "open", NULL, "list: those that have not ended", NULL, &a.open },
		{ 0, "overdue", NULL, "list: those whose day has passed", NULL, &a.overdue },
		{ 0, "json", NULL, "one JSON object a line", NULL, &a.json },
		{ 0, "passphrase-file", "F", "your passphrase, in the first line",
		  &a.passphrase_file, NULL },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, a.words, CALLS_MOST + 2, &a.count);
	return rc == RC_OK ? run(c, &a) : rc;
}
