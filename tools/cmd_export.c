/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan export: a recording as a file: WAV, FLAC, Opus, or what was captured; plain, or protected with its manifest. */
#include <string.h>
#include <strings.h>

#include "cmd.h"

/* By the file's ending, where no format was asked for; without one it is WAV, and so it is within a ZIP. */
static enum rc format_of(const char *path, bool wrapped, const char **format, struct error *err)
{
	static const char *const formats[] = { "wav", "flac", "opus", "pcap" };
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *dot = *name ? strrchr(name + 1, '.') : NULL;
	*format = formats[0];
	if (!dot || !dot[1])
		return RC_OK;
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		if (strcasecmp(dot + 1, formats[i]) == 0) {
			*format = formats[i];
			return RC_OK;
		}
	}
	if (wrapped)
		return RC_OK;
	return error_set(err, RC_USAGE,
			 "%.20s is no ending of wav, flac, opus or pcap: give --format", dot);
}

static enum rc send_export(struct cli *c, struct opening *o, const char *password_file,
			   const char *recipient_file)
{
	struct protect p;
	enum rc rc = cmd_protect(&p, o, password_file, recipient_file, &c->err);
	if (rc == RC_OK) {
		json_t *request = cmd_new_request("export");
		cmd_put_opening(request, o);
		rc = cmd_write_recording(c, request, o);
		json_decref(request);
	}
	if (rc == RC_OK)
		cmd_protect_tell(&p);
	cmd_protect_forget(&p);
	return rc;
}

enum rc cmd_export(struct cli *c, int argc, char **argv)
{
	struct opening o = { 0 };
	const char *password_file = NULL, *recipient_file = NULL;
	const struct word words[] = {
		{ 'o', "output", "FILE|-", "the file to write", &o.to, NULL },
		{ 0, "purpose", "P", "what it is opened for: one that the policy allows",
		  &o.purpose, NULL },
		{ 0, "reference", "R", "the case or ticket it is opened for", &o.reference, NULL },
		{ 0, "format", "wav|flac|opus|pcap",
		  "default: by the file's ending, wav without one", &o.format, NULL },
		{ 0, "track", "caller|callee", "one voice only, mono", &o.track, NULL },
		{ 0, "conceal", NULL, "fill gaps as a telephone would, instead of with silence",
		  NULL, &o.conceal },
		{ 0, "mute", "SIDE:FROM-TO",
		  "silence caller, callee or both from then to then; may come again", NULL, NULL },
		{ 0, "password-file", "F|-",
		  "write a ZIP (AES-256) under the password in F; -: make one and show it once",
		  &password_file, NULL },
		{ 0, "recipient", "CERT.PEM", "write a CMS envelope that only its holder can open",
		  &recipient_file, NULL },
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
		rc = format_of(o.to, password_file || recipient_file, &o.format, &c->err);
	o.mutes = c->repeated;
	return rc == RC_OK ? send_export(c, &o, password_file, recipient_file) : rc;
}
