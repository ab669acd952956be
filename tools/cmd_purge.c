/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan purge: destroy the recordings whose time is up, or tell which these are. */
#include "cmd.h"

#define N "%" JSON_INTEGER_FORMAT

static const char *date_of(const json_t *o, const char *member, char buf[40])
{
	cmd_local_time(o, member, buf);
	buf[10] = '\0';
	return buf;
}

static void print_classes(const json_t *o, const char *what)
{
	size_t i;
	const json_t *c;
	json_array_foreach(json_object_get(o, "by_class"), i, c)
	{
		char bytes[24], oldest[40], newest[40];
		char *name = cmd_clean(cmd_text(c, "class"));
		printf("  %s: " N " %s, %s", name, cmd_number(c, "count"), what,
		       cmd_bytes(cmd_number(c, "bytes"), bytes));
		if (*cmd_text(c, "oldest"))
			printf(", of %s to %s", date_of(c, "oldest", oldest),
			       date_of(c, "newest", newest));
		printf("\n");
		free(name);
	}
}

static void print_dry(const json_t *o)
{
	printf("Due: " N " of " N " recordings", cmd_number(o, "due"), cmd_number(o, "total"));
	printf(cmd_number(o, "held") ? "; " N " more are held and stay.\n" : ".\n",
	       cmd_number(o, "held"));
	print_classes(o, "due");
	char *why = cmd_clean(cmd_text(o, "would_refuse"));
	if (*why)
		printf("A purge would be refused: %s\n", why);
	free(why);
}

static bool print_purge(void *ctx, const json_t *o)
{
	char bytes[24];
	(void)ctx;
	if (json_is_true(json_object_get(o, "dry_run"))) {
		print_dry(o);
		return true;
	}
	printf("Destroyed: " N " recordings", cmd_number(o, "destroyed"));
	if (cmd_number(o, "held"))
		printf("; " N " more are held and stay", cmd_number(o, "held"));
	printf(".\n");
	print_classes(o, "destroyed");
	printf("Segments removed: " N ", written anew: " N "; %s freed.\n",
	       cmd_number(o, "segments_removed"), cmd_number(o, "segments_rewritten"),
	       cmd_bytes(cmd_number(o, "bytes_freed"), bytes));
	if (json_is_integer(json_object_get(o, "traces")))
		printf("Searched for their " N " sealed keys in every file: %s.\n",
		       cmd_number(o, "searched"),
		       cmd_number(o, "traces") ? "FOUND" : "none is left");
	char *report = cmd_clean(cmd_text(o, "report"));
	printf("Report: %s\n", report);
	free(report);
	return true;
}

enum rc cmd_purge(struct cli *c, int argc, char **argv)
{
	bool dry = false, verify = false, yes = false, json = false;
	const struct word words[] = {
		{ 0, "dry-run", NULL, "destroy nothing, tell what is due", NULL, &dry },
		{ 0, "verify", NULL, "then search every file for what was destroyed", NULL,
		  &verify },
		{ 0, "yes", NULL, "the clock is right, and so is the number of recordings", NULL,
		  &yes },
		{ 0, "json", NULL, "one JSON object", NULL, &json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, NULL, 0, NULL);
	if (rc != RC_OK)
		return rc;
	if (dry && verify)
		return error_set(&c->err, RC_USAGE,
				 "--verify searches for what was destroyed: a dry run destroys "
				 "nothing");
	json_t *request = cmd_new_request("purge");
	json_object_set_new(request, "dry_run", json_boolean(dry));
	json_object_set_new(request, "verify", json_boolean(verify));
	json_object_set_new(request, "yes", json_boolean(yes));
	rc = cmd_send(c, request, json ? cmd_print_json : print_purge, NULL);
	json_decref(request);
	return rc;
}
