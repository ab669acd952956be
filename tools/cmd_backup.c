/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan backup: a copy of the store in a folder, that forgets what the store forgets. */
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

#define PASSPHRASE_LEAST 8

/* ---- telling ----------------------------------------------------------------------------------------------- */

static bool print_made(void *ctx, const json_t *o)
{
	char size[24];
	(void)ctx;
	char *path = cmd_clean(cmd_text(o, "path"));
	printf("%s: %" JSON_INTEGER_FORMAT " segments, %" JSON_INTEGER_FORMAT " copied (%s)", path,
	       cmd_number(o, "segments"), cmd_number(o, "copied"),
	       cmd_bytes(cmd_number(o, "bytes"), size));
	if (cmd_number(o, "removed"))
		printf(", %" JSON_INTEGER_FORMAT " removed", cmd_number(o, "removed"));
	printf("\n");
	if (cmd_number(o, "unknown"))
		printf("%" JSON_INTEGER_FORMAT
		       " segments there are unknown here, and stay: their recordings "
		       "were not destroyed.\n",
		       cmd_number(o, "unknown"));
	if (json_is_true(json_object_get(o, "first")))
		printf("It is registered: what is destroyed in the store is destroyed there too.\n"
		       "Its passphrase opens it, and nothing else does: keep it where the store is "
		       "not.\n");
	free(path);
	return true;
}

static const struct column columns[] = {
	{ "MADE", false, false },      { "PATH", false, true },    { "SEGMENTS", true, false },
	{ "REACHABLE", false, false }, { "PENDING", true, false }, { "UNKNOWN", true, false },
};

static bool list_row(void *ctx, const json_t *o)
{
	struct table *t = ctx;
	char text[48];
	bool there = json_is_true(json_object_get(o, "reachable"));
	json_int_t pending = cmd_number(o, "pending") + cmd_number(o, "pending_matters");
	const char *made = cmd_local_time(o, "made", text);
	cmd_table_cell(t, *made ? made : "never", NULL);
	cmd_table_cell(t, cmd_text(o, "path"), NULL);
	cmd_table_number(t, cmd_number(o, "segments"), NULL);
	cmd_table_cell(t, there ? "yes" : "no", there ? NULL : "31");
	cmd_table_number(t, pending, pending ? "31" : NULL);
	cmd_table_number(t, cmd_number(o, "unknown"), cmd_number(o, "unknown") ? "31" : NULL);
	return true;
}

static enum rc list(struct cli *c, bool json)
{
	static const struct listing backups = { WORDS(columns), list_row };
	json_t *request = cmd_new_request("backup-list");
	enum rc rc = cmd_list(c, request, json, &backups, "No backup is registered.");
	json_decref(request);
	return rc;
}

/* ---- doing ------------------------------------------------------------------------------------------------- */

/* A folder by its full name, there or not. */
static enum rc full_path(struct cli *c, const char *given, char path[STORE_PATH])
{
	char copy[STORE_PATH], real[STORE_PATH];
	if (!*given || strlen(given) >= sizeof copy - 64)
		return error_set(&c->err, RC_USAGE, "the name of a folder is wanted");
	if (realpath(given, path))
		return RC_OK;
	snprintf(copy, sizeof copy, "%s", given);
	const char *parent = dirname(copy);
	if (!realpath(parent, real))
		return error_set(&c->err, RC_FAILED, "%.300s: there is no such folder", parent);
	snprintf(copy, sizeof copy, "%s", given);
	int n = snprintf(path, STORE_PATH, "%s/%s", strcmp(real, "/") == 0 ? "" : real,
			 basename(copy));
	return n > 0 && n < STORE_PATH
		       ? RC_OK
		       : error_set(&c->err, RC_USAGE, "the folder's name is too long");
}

static enum rc ask_twice(char passphrase[PASSPHRASE_MAX], struct error *err)
{
	char again[PASSPHRASE_MAX];
	enum rc rc = cmd_passphrase_ask("New passphrase, to restore from this backup: ", passphrase,
					err);
	if (rc == RC_OK)
		rc = cmd_passphrase_ask("Once more: ", again, err);
	if (rc == RC_OK && strcmp(passphrase, again) != 0)
		rc = error_set(err, RC_USAGE, "the two passphrases differ: nothing was made");
	explicit_bzero(again, sizeof again);
	return rc;
}

/* The first time it takes a passphrase; afterwards nobody need be there. */
static enum rc first(struct cli *c, json_t *request, const char *file, bool json)
{
	char passphrase[PASSPHRASE_MAX];
	enum rc rc;
	if (file)
		rc = cmd_passphrase_file(file, passphrase, &c->err);
	else if (!isatty(STDIN_FILENO))
		rc = error_set(&c->err, RC_REFUSED,
			       "a new backup takes a passphrase: give --passphrase-file, there is "
			       "no terminal to ask on");
	else
		rc = ask_twice(passphrase, &c->err);
	if (rc == RC_OK && strlen(passphrase) < PASSPHRASE_LEAST)
		rc = error_set(&c->err, RC_USAGE, "the passphrase must have at least %d characters",
			       PASSPHRASE_LEAST);
	if (rc == RC_OK)
		cmd_put_text(request, "passphrase", passphrase);
	explicit_bzero(passphrase, sizeof passphrase);
	if (rc == RC_OK)
		rc = cmd_send(c, request, json ? cmd_print_json : print_made, NULL);
	return rc == RC_AGAIN ? RC_REFUSED : rc;
}

static enum rc make(struct cli *c, const char *to, const char *file, bool allow_cow, bool json)
{
	char path[STORE_PATH];
	enum rc rc = full_path(c, to, path);
	if (rc != RC_OK)
		return rc;
	json_t *request = cmd_new_request("backup");
	cmd_put_text(request, "to", path);
	if (allow_cow)
		json_object_set_new(request, "allow_cow", json_true());
	rc = cmd_send(c, request, json ? cmd_print_json : print_made, NULL);
	if (rc == RC_AGAIN)
		rc = first(c, request, file, json);
	json_decref(request);
	return rc;
}

static bool ignore_reply(void *ctx, const json_t *o)
{
	(void)ctx;
	(void)o;
	return true;
}

static enum rc forget(struct cli *c, const char *to, const char *reason)
{
	char path[STORE_PATH];
	/* It may be long gone: then its name is what it was registered by. */
	if (full_path(c, to, path) != RC_OK)
		snprintf(path, sizeof path, "%s", to);
	json_t *request = cmd_new_request("backup-forget");
	cmd_put_text(request, "to", path);
	cmd_put_text(request, "reason", reason);
	enum rc rc = cmd_send(c, request, ignore_reply, NULL);
	json_decref(request);
	return rc;
}

enum rc cmd_backup(struct cli *c, int argc, char **argv)
{
	const char *words_given[2] = { NULL }, *file = NULL, *reason = NULL;
	int count = 0;
	bool json = false, allow_cow = false;
	const struct word words[] = {
		{ 0, "passphrase-file", "F",
		  "the backup's passphrase, in the first line; taken the first time only", &file,
		  NULL },
		{ 0, "allow-cow", NULL, "although the file system copies on write", NULL,
		  &allow_cow },
		{ 0, "reason", "TEXT", "forget: why", &reason, NULL },
		{ 0, "json", NULL, "one JSON object a line", NULL, &json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, words_given, 2, &count);
	if (rc != RC_OK)
		return rc;
	const char *what = words_given[0];
	if (!what)
		return error_set(&c->err, RC_USAGE, "backup where? A folder is wanted, or list");
	if (strcmp(what, "list") == 0 && count == 1)
		return list(c, json);
	if (strcmp(what, "forget") == 0)
		return count == 2 ? forget(c, words_given[1], reason)
				  : error_set(&c->err, RC_USAGE, "backup forget wants a folder");
	if (count != 1)
		return error_set(&c->err, RC_USAGE, "one word too many: %.100s", words_given[1]);
	return make(c, what, file, allow_cow, json);
}
