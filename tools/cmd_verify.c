/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan verify: are the recordings still what the recorder wrote? */
#include <stdlib.h>

#include "cmd.h"

struct sums {
	json_int_t segments, damaged, calls;
};

/* One line a segment (and for the call asked for). */
static bool print_one(void *ctx, const json_t *one)
{
	struct sums *s = ctx;
	bool ok = json_is_true(json_object_get(one, "ok")), of_call = *cmd_text(one, "call");
	bool tail = json_is_true(json_object_get(one, "unattested_tail"));
	char *name = cmd_clean(cmd_text(one, of_call ? "call" : "segment"));
	char *what = cmd_clean(cmd_text(one, "what"));
	bool colours = cmd_colours();
	printf("%s%-7s%s %s%s", colours ? (ok ? "\033[32m" : "\033[31m") : "",
	       ok ? "ok" : "DAMAGED", colours ? "\033[0m" : "", of_call ? "call " : "", name);
	if (!of_call && ok)
		printf("  %s, calls: %" JSON_INTEGER_FORMAT "%s", cmd_text(one, "state"),
		       cmd_number(one, "calls"), tail ? ", its end is not signed" : "");
	printf("%s%s\n", ok ? "" : ": ", what);
	if (!of_call) {
		s->segments++;
		s->damaged += !ok;
		s->calls += cmd_number(one, "calls");
	}
	free(what);
	free(name);
	return !ferror(stdout);
}

enum rc cmd_verify(struct cli *c, int argc, char **argv)
{
	const char *id = NULL;
	bool json = false;
	struct sums sums = { 0 };
	const struct word words[] = { { 0, "json", NULL, "one JSON object a segment", NULL,
					&json } };
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &id, 1, NULL);
	if (rc != RC_OK)
		return rc;
	json_t *request = cmd_new_request("verify");
	cmd_put_text(request, "id", id);
	rc = cmd_send(c, request, json ? cmd_print_json : print_one, &sums);
	json_decref(request);
	if (!json && (rc == RC_OK || rc == RC_DAMAGED))
		printf("segments: %" JSON_INTEGER_FORMAT ", damaged: %" JSON_INTEGER_FORMAT
		       ", calls: %" JSON_INTEGER_FORMAT "\n",
		       sums.segments, sums.damaged, sums.calls);
	return rc;
}
