/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan export: a recording as a WAV or FLAC file. */
#include <string.h>
#include <strings.h>

#include "cmd.h"

/* By the file's ending, where no format was asked for. */
static const char *format_of(const char *path)
{
	const char *dot = strrchr(path, '.');
	return dot && strcasecmp(dot, ".flac") == 0 ? "flac" : "wav";
}

enum rc cmd_export(struct cli *c, int argc, char **argv)
{
	struct opening o = { 0 };
	const struct word words[] = {
		{ 'o', "output", "FILE|-", "the file to write", &o.to, NULL },
		{ 0, "purpose", "P", "what it is opened for: one that the policy allows",
		  &o.purpose, NULL },
		{ 0, "reference", "R", "the case or ticket it is opened for", &o.reference, NULL },
		{ 0, "format", "wav|flac", "default: by the file's ending, else wav", &o.format,
		  NULL },
		{ 0, "track", "caller|callee", "one voice only, mono", &o.track, NULL },
		{ 0, "passphrase-file", "F", "your passphrase, in the first line",
		  &o.passphrase_file, NULL },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &o.id, 1, NULL);
	if (rc != RC_OK)
		return rc;
	if (!o.to)
		return error_set(&c->err, RC_USAGE,
				 "-o FILE is wanted: where to write the recording");
	if (!o.format)
		o.format = format_of(o.to);
	json_t *request = cmd_new_request("export");
	cmd_put_opening(request, &o);
	rc = cmd_write_recording(c, request, &o);
	json_decref(request);
	return rc;
}
