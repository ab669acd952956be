/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan key: the keys of a store. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

struct key_words {
	const char *passphrase_file, *to;
	bool json;
};

/* ---- export-public: for strangers, who check what was handed over with it ---------------------------- */

struct keys_text {
	char text[2048];
	bool json;
};

static bool take_keys(void *ctx, const json_t *o)
{
	struct keys_text *k = ctx;
	const json_t *vault = json_object_get(o, "vault"),
		     *recorder = json_object_get(o, "recorder");
	snprintf(k->text, sizeof k->text,
		 "The vault: signs manifests of what is handed over, and heads of the audit trail\n"
		 "SHA-256 %s\n%s"
		 "The recorder %s: signs what it records\n"
		 "SHA-256 %s\n%s",
		 cmd_text(vault, "fingerprint"), cmd_text(vault, "pem"), cmd_text(recorder, "id"),
		 cmd_text(recorder, "fingerprint"), cmd_text(recorder, "pem"));
	return k->json ? cmd_print_json(NULL, o) : true;
}

/* Public it is: everybody may read the file. */
static enum rc write_keys(const char *to, const char *text, struct error *err)
{
	struct draft d;
	size_t len = strlen(text);
	enum rc rc = cmd_draft_open(&d, to, err);
	if (rc == RC_OK && (write(d.fd, text, len) != (ssize_t)len || fchmod(d.fd, 0644) != 0))
		rc = error_errno(err, RC_FAILED, errno, "%.300s", to);
	if (rc == RC_OK)
		rc = cmd_draft_keep(&d, err);
	cmd_draft_drop(&d);
	return rc;
}

static enum rc run_export_public(struct cli *c, const struct key_words *w)
{
	struct keys_text k = { .json = w->json };
	if (w->to && w->json)
		return error_set(&c->err, RC_USAGE, "either -o or --json");
	json_t *request = cmd_new_request("public-keys");
	enum rc rc = cmd_send(c, request, take_keys, &k);
	json_decref(request);
	if (rc == RC_OK && w->to)
		return write_keys(w->to, k.text, &c->err);
	if (rc == RC_OK && !w->json)
		fputs(k.text, stdout);
	return rc;
}

/* ---- rotate: other keys for the vault --------------------------------------------------------------- */

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
	{ "export-public", run_export_public },
	{ "rotate", run_rotate },
};

enum rc cmd_key(struct cli *c, int argc, char **argv)
{
	struct key_words w = { 0 };
	const char *what = NULL;
	size_t at = 0;
	const struct word words[] = {
		{ 'o', "output", "FILE", "export-public: write it there", &w.to, NULL },
		{ 0, "passphrase-file", "F", "rotate: your passphrase, in the first line",
		  &w.passphrase_file, NULL },
		{ 0, "json", NULL, "one JSON object", NULL, &w.json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &what, 1, NULL);
	if (rc == RC_OK)
		rc = cmd_choose(c, "key", what, CHOICES(acts), &at);
	if (rc != RC_OK)
		return rc;
	if (w.to && acts[at].run != run_export_public)
		return error_set(&c->err, RC_USAGE, "-o is of key export-public");
	return acts[at].run(c, &w);
}
