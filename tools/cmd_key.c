/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan key: the vault's keys. */
#include <string.h>

#include "cmd.h"

struct key_words {
	const char *passphrase_file;
	bool json;
};

static bool print_rotated(void *ctx, const json_t *o)
{
	(void)ctx;
	printf("The keys are exchanged: %" JSON_INTEGER_FORMAT
	       " recordings in %" JSON_INTEGER_FORMAT
	       " segments are sealed anew; the old keys are destroyed.\n",
	       cmd_number(o, "slots"), cmd_number(o, "segments"));
	if (cmd_number(o, "unopened") || cmd_number(o, "damaged"))
		printf("%" JSON_INTEGER_FORMAT
		       " key slots and the slot files of %" JSON_INTEGER_FORMAT
		       " segments could not be opened before either: callspan verify tells more.\n",
		       cmd_number(o, "unopened"), cmd_number(o, "damaged"));
	if (cmd_number(o, "lost"))
		printf("%" JSON_INTEGER_FORMAT
		       " persons who were disabled can open recordings no more.\n",
		       cmd_number(o, "lost"));
	return true;
}

static enum rc run_rotate(struct cli *c, const struct key_words *w)
{
	json_t *request = cmd_new_request("key-rotate");
	enum rc rc = cmd_send_opening(c, request, w->passphrase_file,
				      w->json ? cmd_print_json : print_rotated, NULL);
	json_decref(request);
	return rc;
}

static const struct {
	const char *name;
	enum rc (*run)(struct cli *c, const struct key_words *w);
} acts[] = {
	{ "rotate", run_rotate },
};
#define ACTS (sizeof acts / sizeof acts[0])

enum rc cmd_key(struct cli *c, int argc, char **argv)
{
	struct key_words w = { 0 };
	const char *what = NULL, *names[ACTS];
	char all[64] = "";
	size_t at = 0;
	const struct word words[] = {
		{ 0, "passphrase-file", "F", "rotate: your passphrase, in the first line",
		  &w.passphrase_file, NULL },
		{ 0, "json", NULL, "one JSON object", NULL, &w.json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &what, 1, NULL);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < ACTS; i++) {
		names[i] = acts[i].name;
		at += (size_t)snprintf(all + at, sizeof all - at, " %s", names[i]);
		if (what && strcmp(what, names[i]) == 0)
			return acts[i].run(c, &w);
	}
	const char *near = what ? cmd_nearest(what, names, ACTS) : NULL;
	if (near)
		return error_set(&c->err, RC_USAGE, "key %.60s: did you mean %s?", what, near);
	return error_set(&c->err, RC_USAGE, "key %.60s: there is%s", what ? what : "what", all);
}
