/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan verify-export: is a file what was handed over?
 *
 * Without a store the key says whose it was: one that is given, else the one that stands in the manifest, which is only
 * as good as that.  With a store, its vault must have signed it, and its audit trail must say so.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

struct verdict {
	const char *file;
	const char *key; /* whose: "given", "manifest" or "store" */
	json_t *found;   /* owned: what vault_inspect() says */
	const json_t *manifest;
	bool json;
};

/* ---- telling ---------------------------------------------------------------------------------------- */

static const char *within(const json_t *manifest, const char *part, const char *member)
{
	return cmd_text(json_object_get(manifest, part), member);
}

static void print_key(const struct verdict *v)
{
	const char *fingerprint = cmd_text(v->found, "fingerprint");
	bool lost = strcmp(cmd_text(v->found, "audit"), "lost") == 0;
	if (strcmp(v->key, "store") == 0)
		cmd_print_line("signed by", "this store's vault, %s",
			       lost ? "whose entry of it was lost with a damaged index"
				    : "which has it in its audit trail");
	else if (strcmp(v->key, "given") == 0)
		cmd_print_line("signed by", "the key that was given");
	else
		cmd_print_line("signed by",
			       "the key in its own manifest: only as good as that key");
	cmd_print_line("key", "%s", fingerprint);
	if (strcmp(v->key, "manifest") == 0)
		printf("Compare this fingerprint with the one of whoever handed the file over "
		       "(callspan "
		       "key export-public).\n");
}

static void print_verdict(const struct verdict *v)
{
	char text[40], size[24];
	const json_t *m = v->manifest, *file = json_object_get(m, "file");
	const json_t *opened = json_object_get(m, "opened");
	char *name = cmd_clean(v->file);
	printf("%s is what was handed over.\n", name);
	cmd_print_line("recording", "%s", within(m, "recording", "id"));
	cmd_print_line("began", "%s", cmd_local_time(file, "zero", text));
	cmd_print_line("length", "%s, %s, %s",
		       cmd_minutes(json_number_value(json_object_get(file, "seconds")), text),
		       cmd_text(file, "format"), cmd_bytes(cmd_number(file, "bytes"), size));
	if (json_array_size(json_object_get(file, "mute")))
		cmd_print_line("muted", "%zu stretches",
			       json_array_size(json_object_get(file, "mute")));
	cmd_print_line("opened by", "%s (%s)", cmd_text(opened, "by"), cmd_text(opened, "role"));
	cmd_print_line("when", "%s", cmd_local_time(opened, "at", text));
	cmd_print_line("purpose", "%s, %s", cmd_text(opened, "purpose"),
		       cmd_text(opened, "reference"));
	cmd_print_line("SHA-256", "%s", cmd_text(v->found, "sha256"));
	print_key(v);
	free(name);
}

static void print_json(const struct verdict *v, const struct error *err)
{
	json_t *o = json_object();
	json_object_set_new(o, "file", json_string(v->file));
	json_object_set_new(o, "ok", json_boolean(!err));
	json_object_set_new(o, "what", err ? json_string(err->text) : json_null());
	json_object_set_new(o, "key", err ? json_null() : json_string(v->key));
	if (v->found && !err) {
		json_object_del(v->found, "text");
		json_object_update(o, v->found);
	}
	(void)cmd_print_json(NULL, o);
	json_decref(o);
}

/* ---- with a store ------------------------------------------------------------------------------------- */

static bool take_reply(void *ctx, const json_t *object)
{
	struct verdict *v = ctx;
	json_object_set(v->found, "audit", json_object_get(object, "audit"));
	return true;
}

/* Named, a store must do; the usual one counts where it is there for us. */
static bool has_store(struct cli *c)
{
	char path[STORE_PATH + 32];
	const char *told = getenv("CALLSPAN_STORE");
	if (c->store_given || c->config_given || (told && *told))
		return true;
	if (cmd_find_store(c) != RC_OK)
		return false;
	snprintf(path, sizeof path, "%s/vault/secret", c->store);
	if (access(path, R_OK | X_OK) == 0)
		return true;
	snprintf(path, sizeof path, "%s/" VAULT_SOCKET, c->store);
	return access(path, R_OK | W_OK) == 0;
}

static enum rc ask_store(struct cli *c, struct verdict *v)
{
	json_t *request = cmd_new_request("verify-export");
	cmd_put_text(request, "manifest", cmd_text(v->found, "text"));
	v->key = "store";
	enum rc rc = cmd_send(c, request, take_reply, v);
	json_decref(request);
	return rc;
}

/* ---- without -------------------------------------------------------------------------------------------- */

static enum rc inspect(struct cli *c, struct verdict *v, const char *key, const char *password_file)
{
	char password[PASSPHRASE_MAX] = "";
	struct vault_inspect in = { .path = v->file, .key = key };
	enum rc rc = RC_OK;
	if (password_file) {
		in.password = password;
		rc = cmd_passphrase_file(password_file, password, &c->err);
	}
	if (rc == RC_OK)
		rc = vault_inspect(&in, &v->found, &c->err);
	if (rc == RC_AGAIN && isatty(STDIN_FILENO)) {
		in.password = password;
		rc = cmd_passphrase_ask("Password of the ZIP: ", password, &c->err);
		if (rc == RC_OK)
			rc = vault_inspect(&in, &v->found, &c->err);
	}
	explicit_bzero(password, sizeof password);
	if (rc == RC_AGAIN)
		return error_set(&c->err, RC_FAILED,
				 "the ZIP wants its password: give --password-file, there is no "
				 "terminal to ask on");
	return rc == RC_REFUSED ? RC_FAILED : rc; /* nobody was denied anything */
}

enum rc cmd_verify_export(struct cli *c, int argc, char **argv)
{
	struct verdict v = { .key = "manifest" };
	const char *key_file = NULL, *password_file = NULL;
	char *key = NULL;
	const struct word words[] = {
		{ 0, "key", "PUBLIC.PEM", "the vault's public key (callspan key export-public)",
		  &key_file, NULL },
		{ 0, "password-file", "F", "the ZIP's password, in the first line", &password_file,
		  NULL },
		{ 0, "json", NULL, "print one JSON object", NULL, &v.json },
	};
	enum rc rc = cmd_words(c, WORDS(words), argc, argv, &v.file, 1, NULL);
	if (rc != RC_OK)
		return rc;
	if (!v.file)
		return error_set(&c->err, RC_USAGE, "which file? One that was exported is wanted");
	if (key_file)
		rc = cmd_read_text(key_file, &key, &c->err);
	if (rc == RC_OK)
		rc = inspect(c, &v, key, password_file);
	if (rc == RC_OK) {
		v.manifest = json_object_get(v.found, "manifest");
		v.key = key ? "given" : v.key;
		json_object_set_new(v.found, "audit", json_null());
		if (!key || c->store_given)
			rc = has_store(c) ? ask_store(c, &v) : RC_OK;
	}
	if (v.json && (rc == RC_OK || rc == RC_DAMAGED))
		print_json(&v, rc == RC_OK ? NULL : &c->err);
	else if (rc == RC_OK)
		print_verdict(&v);
	json_decref(v.found);
	free(key);
	return rc;
}
