/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan reindex: build the index anew from segments and slots. */
#include "cmd.h"

static bool print_sums(void *ctx, const json_t *sums)
{
	(void)ctx;
	printf("calls: %" JSON_INTEGER_FORMAT ", segments: %" JSON_INTEGER_FORMAT "\n",
	       cmd_number(sums, "calls"), cmd_number(sums, "segments"));
	return true;
}

enum rc cmd_reindex(struct cli *c, int argc, char **argv)
{
	bool json = false;
	const struct word words[] = { { 0, "json", NULL, "one JSON object", NULL, &json } };
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, NULL, 0, NULL);
	return rc == RC_OK ? cmd_ask(c, "reindex", NULL, NULL, json, print_sums) : rc;
}
