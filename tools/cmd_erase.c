/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan erase: destroy one recording ahead of its time. */
#include <string.h>

#include "cmd.h"

static bool print_state(void *ctx, const json_t *o)
{
	const char *state = cmd_text(o, "state");
	(void)ctx;
	if (strcmp(state, "asked") == 0)
		printf("Asked for.  Another controller confirms it: callspan erase %s --confirm\n",
		       cmd_text(o, "id"));
	else
		printf("%s %s\n", cmd_text(o, "id"), state);
	return true;
}

enum rc cmd_erase(struct cli *c, int argc, char **argv)
{
	const char *id = NULL, *reason = NULL, *passphrase_file = NULL;
	bool confirm = false, cancel = false, json = false;
	const struct word words[] = {
		{ 0, "reason", "TEXT", "why it is erased; it names nobody of the call", &reason,
		  NULL },
		{ 0, "confirm", NULL, "what another person has asked for", NULL, &confirm },
		{ 0, "cancel", NULL, "it shall not be erased after all", NULL, &cancel },
		{ 0, "passphrase-file", "F", "confirm: the passphrase is the first line of F",
		  &passphrase_file, NULL },
		{ 0, "json", NULL, "one JSON object", NULL, &json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &id, 1, NULL);
	if (rc != RC_OK)
		return rc;
	if (!id || (reason != NULL) + confirm + cancel != 1)
		return error_set(&c->err, RC_USAGE,
				 "erase ID with one of --reason TEXT, --confirm and --cancel");
	json_t *request = cmd_new_request("erase");
	cmd_put_text(request, "id", id);
	cmd_put_text(request, "reason", reason);
	if (confirm)
		json_object_set_new(request, "confirm", json_true());
	if (cancel)
		json_object_set_new(request, "cancel", json_true());
	vault_reply print = json ? cmd_print_json : print_state;
	rc = confirm ? cmd_send_opening(c, request, passphrase_file, print, NULL)
		     : cmd_send(c, request, print, NULL);
	json_decref(request);
	return rc;
}
