/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan status: how the store stands. */
#include "cmd.h"

static bool print_status(void *ctx, const json_t *status)
{
	(void)ctx;
	cmd_print_card(status);
	if (json_is_true(json_object_get(status, "unattended")))
		printf("\nThe audio key lies in the store unprotected: whoever may read "
		       "STORE/vault may "
		       "hear everything.\n");
	return true;
}

enum rc cmd_status(struct cli *c, int argc, char **argv)
{
	bool json = false;
	const struct word words[] = { { 0, "json", NULL, "one JSON object", NULL, &json } };
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, NULL, 0, NULL);
	if (rc != RC_OK)
		return rc;
	json_t *request = cmd_new_request("status");
	rc = cmd_send(c, request, json ? cmd_print_json : print_status, NULL);
	json_decref(request);
	return rc;
}
