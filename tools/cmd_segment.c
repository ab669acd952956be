/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan segment write-off: give up a segment whose files are lost for good. */
#include <string.h>

#include "cmd.h"

#define N "%" JSON_INTEGER_FORMAT

static bool print_written_off(void *ctx, const json_t *o)
{
	(void)ctx;
	printf("Written off: " N " recordings", cmd_number(o, "recordings"));
	if (cmd_number(o, "kept"))
		printf(", " N " of which something kept", cmd_number(o, "kept"));
	printf(".\n");
	if (cmd_number(o, "unknown"))
		printf(N " more were in it of which the index had lost everything.\n",
		       cmd_number(o, "unknown"));
	return true;
}

enum rc cmd_segment(struct cli *c, int argc, char **argv)
{
	const char *arguments[2] = { NULL, NULL }, *reason = NULL;
	bool yes = false, json = false;
	const struct word words[] = {
		{ 0, "reason", "TEXT", "how it was lost; it names nobody", &reason, NULL },
		{ 0, "yes", NULL, "also what is kept, and where no other segment is there", NULL,
		  &yes },
		{ 0, "json", NULL, "one JSON object", NULL, &json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, arguments, 2, NULL);
	if (rc != RC_OK)
		return rc;
	if (!arguments[1] || strcmp(arguments[0], "write-off") != 0 || !reason)
		return error_set(&c->err, RC_USAGE, "segment write-off NAME --reason TEXT");
	json_t *request = cmd_new_request("segment-write-off");
	cmd_put_text(request, "segment", arguments[1]);
	cmd_put_text(request, "reason", reason);
	if (yes)
		json_object_set_new(request, "yes", json_true());
	rc = cmd_send(c, request, json ? cmd_print_json : print_written_off, NULL);
	json_decref(request);
	return rc;
}
