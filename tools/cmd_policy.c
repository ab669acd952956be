/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan policy: what the policy says, whether a file is in order and what it would change, putting it in force.
 *
 * A file is read and checked here, so that what is wrong is told with its place; the vault is sent its text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

/* ---- show -------------------------------------------------------------------------------------------------- */

/* The texts of an array, or one member of its objects, with commas between. */
static const char *join(const json_t *list, char *buf, size_t room)
{
	size_t at = 0;
	buf[0] = '\0';
	for (size_t i = 0; i < json_array_size(list) && at < room; i++)
		at += (size_t)snprintf(buf + at, room - at, "%s%s", i ? ", " : "",
				       json_string_value(json_array_get(list, i)));
	return buf;
}

static void print_retention(const char *label, const json_t *retention)
{
	const json_t *classes = json_object_get(retention, "classes"), *c;
	bool calendar = false;
	size_t i;
	json_array_foreach(classes, i, c)
	{
		json_int_t days = cmd_number(c, "days"), months = cmd_number(c, "months");
		calendar |= months > 0;
		cmd_print_line(i ? "" : label, "%-12s %" JSON_INTEGER_FORMAT " %s%s%s",
			       cmd_text(c, "class"), days ? days : months,
			       days ? "day" : "calendar month",
			       (days ? days : months) == 1 ? "" : "s",
			       json_is_true(json_object_get(c, "default"))
				       ? ", where no rule says otherwise"
				       : "");
	}
	const char *zone = cmd_text(retention, "time_zone");
	if (calendar)
		cmd_print_line("", "months by the clock of %s", *zone ? zone : "this machine");
}

static void print_purposes(const json_t *policy)
{
	char text[128];
	const json_t *purposes = json_object_get(policy, "purposes"), *p;
	size_t i;
	json_array_foreach(purposes, i, p)
	{
		cmd_print_line(i ? "" : "opened for", "%-20s %s", cmd_text(p, "purpose"),
			       join(json_object_get(p, "roles"), text, sizeof text));
	}
	if (!json_array_size(purposes))
		cmd_print_line("opened for", "nothing");
}

static void print_record(const json_t *record)
{
	static const char *const calls[][2] = { { "all",
						  "every call that no rule names otherwise" },
						{ "external", "all but internal calls" },
						{ "rules", "only calls that a rule names" } };
	const json_t *groups = json_object_get(record, "groups"), *g;
	size_t i;
	for (i = 0; i < 3; i++) {
		if (strcmp(cmd_text(record, "calls"), calls[i][0]) == 0)
			cmd_print_line("recorded", "%s", calls[i][1]);
	}
	cmd_print_line("", "%zu rules, %" JSON_INTEGER_FORMAT " patterns of lines never recorded",
		       json_array_size(json_object_get(record, "rules")),
		       cmd_number(record, "never_patterns"));
	cmd_print_line("", "digits: %s; SIP messages: %s; media without signalling: %s",
		       cmd_text(record, "dtmf"),
		       json_is_true(json_object_get(record, "signalling")) ? "on" : "off",
		       cmd_text(record, "orphans"));
	json_array_foreach(groups, i, g)
	{
		cmd_print_line(i ? "" : "groups", "%-12s %" JSON_INTEGER_FORMAT " patterns",
			       cmd_text(g, "group"), cmd_number(g, "patterns"));
	}
}

static bool print_policy(void *ctx, const json_t *policy)
{
	char text[128];
	const json_t *edited = json_object_get(policy, "retention_edited");
	(void)ctx;
	cmd_print_line("policy", "%s", cmd_text(policy, "policy"));
	print_retention("kept", json_object_get(policy, "retention"));
	if (cmd_number(policy, "grace_days"))
		cmd_print_line("", "after its last hold %" JSON_INTEGER_FORMAT " days at least",
			       cmd_number(policy, "grace_days"));
	print_purposes(policy);
	const json_t *two = json_object_get(policy, "two_persons");
	cmd_print_line("two persons", "%s",
		       json_array_size(two) ? join(two, text, sizeof text) : "-");
	cmd_print_line("plain export", "%s",
		       json_is_true(json_object_get(policy, "plain_export")) ? "allowed"
									     : "refused");
	cmd_print_line("a purge",
		       "of %" JSON_INTEGER_FORMAT " %% of all recordings at most, unasked",
		       cmd_number(policy, "max_share_percent"));
	print_record(json_object_get(policy, "record"));
	if (*cmd_text(policy, "fault"))
		printf("\nThe file was edited and is wrong, so that what stands above stays in "
		       "force: %s\n",
		       cmd_text(policy, "fault"));
	else if (json_is_true(json_object_get(policy, "edited")))
		printf("\nThe file was edited since the service read it: SIGHUP has it read "
		       "again.\n");
	if (!json_is_object(edited))
		return true;
	printf("\nThe file was edited and is not applied.  Recordings are kept as said above; it "
	       "says:\n");
	print_retention("would be kept", edited);
	printf("callspan policy apply puts that in force.\n");
	return true;
}

/* ---- check and apply --------------------------------------------------------------------------------------- */

static bool print_effect(void *ctx, const json_t *o)
{
	json_int_t shorter = cmd_number(o, "shorter"), unknown = cmd_number(o, "unknown_class");
	*(json_int_t *)ctx = shorter;
	printf("Recordings that live longer: %" JSON_INTEGER_FORMAT
	       ", shorter: %" JSON_INTEGER_FORMAT ", as long as before: %" JSON_INTEGER_FORMAT
	       ".\n",
	       cmd_number(o, "longer"), shorter, cmd_number(o, "same"));
	if (cmd_number(o, "expired"))
		printf("Over at once: %" JSON_INTEGER_FORMAT ", of which %" JSON_INTEGER_FORMAT
		       " are held.\n",
		       cmd_number(o, "expired"), cmd_number(o, "held"));
	if (unknown)
		printf("Of a class that this policy does not have, so kept as its longest: "
		       "%" JSON_INTEGER_FORMAT ".\n",
		       unknown);
	if (!json_is_true(json_object_get(o, "applied")))
		return true;
	printf("The policy %s is in force.\n", cmd_text(o, "policy"));
	if (json_is_true(json_object_get(o, "recorder_running")))
		printf("A recorder is running: send callspand SIGHUP, so that calls that begin "
		       "then are "
		       "judged by it.\n");
	return true;
}

/* What was shown, for the question and for what is sent next. */
struct shown {
	json_int_t shorter;
	char hash[65];
};

static bool print_and_keep(void *ctx, const json_t *o)
{
	struct shown *s = ctx;
	snprintf(s->hash, sizeof s->hash, "%s", cmd_text(o, "to"));
	return print_effect(&s->shorter, o);
}

/* Read a policy file and check it; its text goes into the request. */
static enum rc put_file(struct cli *c, json_t *request, const char *path)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return error_errno(&c->err, RC_FAILED, errno, "%.300s", path);
	char *text = malloc(POLICY_BYTES + 1);
	struct policy *p = malloc(sizeof *p);
	ASSERT(text && p);
	size_t len = fread(text, 1, POLICY_BYTES + 1, f);
	enum rc rc = RC_OK;
	if (ferror(f))
		rc = error_errno(&c->err, RC_FAILED, errno, "%.300s", path);
	else if (len > POLICY_BYTES)
		rc = error_set(&c->err, RC_USAGE, "%.300s:1:1: larger than %u bytes", path,
			       POLICY_BYTES);
	else
		rc = policy_parse(p, text, len, path, &c->err);
	json_t *j = rc == RC_OK ? json_stringn(text, len) : NULL;
	if (rc == RC_OK && !j)
		rc = error_set(&c->err, RC_USAGE, "%.300s:1:1: not UTF-8", path);
	if (j)
		json_object_set_new(request, "text", j);
	(void)fclose(f);
	free(text);
	free(p);
	return rc;
}

/* Was a store named? Then it must be there, and answer. */
static bool names_store(const struct cli *c)
{
	const char *told = getenv("CALLSPAN_STORE");
	return c->store_given || c->config_given || (told && *told);
}

static bool has_store(struct cli *c)
{
	char path[STORE_PATH + 16];
	if (cmd_find_store(c) != RC_OK)
		return false;
	snprintf(path, sizeof path, "%s/VERSION", c->store);
	return access(path, F_OK) == 0;
}

/* What is wrong with a file everybody may know; what it would change only who may ask the store. */
static enum rc check(struct cli *c, const char *file, bool json)
{
	json_int_t shorter = 0;
	bool named = names_store(c);
	json_t *request = cmd_new_request("policy-check");
	enum rc rc = file ? put_file(c, request, file) : RC_OK;
	if (rc == RC_OK && file && !json)
		printf("The file is in order.\n");
	if (rc == RC_OK && (!file || named || has_store(c)))
		rc = cmd_send(c, request, json ? cmd_print_json : print_effect, &shorter);
	json_decref(request);
	if (rc != RC_REFUSED || !file || named)
		return rc;
	fprintf(stderr, "callspan: what it would change is not told: %s\n", c->err.text);
	return RC_OK;
}

static bool says_yes(json_int_t shorter)
{
	char answer[16];
	fflush(stdout);
	fprintf(stderr, "Shorten the life of %" JSON_INTEGER_FORMAT " recordings? [y/N] ", shorter);
	return fgets(answer, sizeof answer, stdin) &&
	       (strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0);
}

/* On a terminal: show what would be, and ask. */
static enum rc ask_first(struct cli *c, json_t *request)
{
	struct shown shown = { 0, "" };
	json_object_set_new(request, "dry_run", json_true());
	enum rc rc = cmd_send(c, request, print_and_keep, &shown);
	json_object_del(request, "dry_run");
	if (rc != RC_OK || !shown.shorter)
		return rc;
	if (!says_yes(shown.shorter))
		return error_set(&c->err, RC_FAILED, "nothing was changed");
	json_object_set_new(request, "yes", json_true());
	cmd_put_text(request, "hash", shown.hash);
	return RC_OK;
}

static enum rc apply(struct cli *c, const char *file, bool dry_run, bool yes, bool json)
{
	json_int_t shorter = 0;
	json_t *request = cmd_new_request("policy-apply");
	enum rc rc = file ? put_file(c, request, file) : RC_OK;
	if (dry_run)
		json_object_set_new(request, "dry_run", json_true());
	if (yes)
		json_object_set_new(request, "yes", json_true());
	if (rc == RC_OK && !dry_run && !yes && !json && isatty(STDIN_FILENO))
		rc = ask_first(c, request);
	if (rc == RC_OK)
		rc = cmd_send(c, request, json ? cmd_print_json : print_effect, &shorter);
	json_decref(request);
	return rc;
}

enum rc cmd_policy(struct cli *c, int argc, char **argv)
{
	static const char *const acts[] = { "show", "check", "apply" };
	const char *arguments[2] = { NULL, NULL };
	size_t act;
	bool dry_run = false, yes = false, json = false;
	const struct word words[] = {
		{ 0, "dry-run", NULL, "apply: tell what would change, and change nothing", NULL,
		  &dry_run },
		{ 0, "yes", NULL, "apply: shorten lives without asking", NULL, &yes },
		{ 0, "json", NULL, "one JSON object", NULL, &json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, arguments, 2, NULL);
	if (rc != RC_OK)
		return rc;
	const char *what = arguments[0], *file = arguments[1];
	bool is_apply = what && strcmp(what, "apply") == 0;
	if ((dry_run || yes) && !is_apply)
		return error_set(&c->err, RC_USAGE, "--%s is for policy apply",
				 dry_run ? "dry-run" : "yes");
	rc = cmd_choose(c, "policy", what, CHOICES(acts), &act);
	if (rc != RC_OK)
		return rc;
	if (is_apply)
		return apply(c, file, dry_run, yes, json);
	if (strcmp(acts[act], "check") == 0)
		return check(c, file, json);
	if (file)
		return error_set(&c->err, RC_USAGE, "policy show takes no file: policy check does");
	return cmd_ask(c, "policy-show", NULL, NULL, json, print_policy);
}
