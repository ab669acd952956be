/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd_media.c: a recording's way into a file.
 *
 * Of a plain file the manifest comes with the reply and is laid beside it; both get their names when both are whole, the
 * manifest first: alone it is worth nothing, and the recording alone is worth less.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/whole.h"
#include "cmd.h"

#define MANIFEST      ".manifest"
#define MANIFEST_PATH (STORE_PATH + 16)

struct written {
	const struct opening *o;
	json_t *reply; /* owned; told when the file is there */
};

/* What is worth knowing before one listens. */
static void print_voices(const json_t *object)
{
	size_t i;
	json_t *v;
	json_array_foreach(json_object_get(object, "voices"), i, v)
	{
		const json_t *level = json_object_get(v, "level_dbfs");
		if (!cmd_number(v, "frames"))
			continue;
		fprintf(stderr, "  %s: %.0f%% silent", cmd_text(v, "track"),
			100 * json_real_value(json_object_get(v, "silent_share")));
		if (json_is_real(level))
			fprintf(stderr, ", speech at %.0f dBFS", json_real_value(level));
		if (json_real_value(json_object_get(v, "gaps_s")) > 0)
			fprintf(stderr, ", no packets for %.2f s",
				json_real_value(json_object_get(v, "gaps_s")));
		if (cmd_number(v, "clipped"))
			fprintf(stderr, ", %" JSON_INTEGER_FORMAT " samples clipped",
				cmd_number(v, "clipped"));
		if (cmd_number(v, "unauthentic"))
			fprintf(stderr,
				", %" JSON_INTEGER_FORMAT " frames that no key authenticates",
				cmd_number(v, "unauthentic"));
		fputc('\n', stderr);
	}
}

/* What the file is, in a few words. */
static void print_file(const char *file, const json_t *object)
{
	char length[24], size[24];
	const char *protection = cmd_text(object, "protection");
	bool zip = strcmp(protection, "zip") == 0, cms = strcmp(protection, "cms") == 0;
	fprintf(stderr, "%s: %s", file,
		zip   ? "ZIP under a password (AES-256), "
		: cms ? "CMS envelope with a ZIP for the recipient alone, "
		      : "");
	if (json_is_integer(json_object_get(object, "packets")))
		fprintf(stderr,
			"%" JSON_INTEGER_FORMAT " RTP packets, %" JSON_INTEGER_FORMAT
			" SIP messages, ",
			cmd_number(object, "packets"), cmd_number(object, "messages"));
	fputs(cmd_minutes(json_number_value(json_object_get(object, "seconds")), length), stderr);
	if (json_is_integer(json_object_get(object, "bytes")))
		fprintf(stderr, ", %s", cmd_bytes(cmd_number(object, "bytes"), size));
	fputc('\n', stderr);
	if (cms)
		fprintf(stderr, "  recipient's certificate: SHA-256 %s\n",
			cmd_text(object, "recipient"));
}

static void print_manifest(const struct opening *o, const char *file, const json_t *object)
{
	if (strcmp(cmd_text(object, "protection"), "plain") != 0)
		return;
	if (strcmp(o->to, "-") == 0)
		fprintf(stderr, "  no manifest is written where the recording is piped\n");
	else
		fprintf(stderr, "%s" MANIFEST ": what it is and who opened it, signed\n", file);
}

static void print_written(const struct opening *o, const json_t *object)
{
	char *file = cmd_clean(strcmp(o->to, "-") == 0 ? "standard output" : o->to);
	char *silent = cmd_clean(cmd_text(object, "undecoded"));
	print_file(file, object);
	print_voices(object);
	if (*silent)
		fprintf(stderr,
			"%s: silent where this was spoken, for which there is no decoder: %s "
			"(--format pcap exports it as it was sent)\n",
			file, silent);
	print_manifest(o, file, object);
	free(silent);
	free(file);
}

static bool take_reply(void *ctx, const json_t *object)
{
	struct written *w = ctx;
	json_decref(w->reply);
	w->reply = json_deep_copy(object);
	return true;
}

static enum rc send_to(struct cli *c, json_t *request, struct written *w, int fd)
{
	json_object_set_new(request, "fd", json_integer(fd));
	return cmd_send_opening(c, request, w->o->passphrase_file, take_reply, w);
}

static const char *manifest_path(char path[MANIFEST_PATH], const char *of)
{
	snprintf(path, MANIFEST_PATH, "%.*s" MANIFEST, STORE_PATH, of);
	return path;
}

static enum rc fill_manifest(struct draft *d, const char *text, struct error *err)
{
	return whole_write(d->fd, text, strlen(text))
		       ? RC_OK
		       : error_errno(err, RC_FAILED, errno, "%.300s", d->path);
}

/* Both under their names, or neither: what a manifest replaced is gone by then, and with it what belonged to it. */
static enum rc keep_both(struct draft *file, const char *manifest, struct error *err)
{
	struct draft d;
	char path[MANIFEST_PATH];
	enum rc rc = cmd_draft_open(&d, manifest_path(path, file->path), err);
	if (rc == RC_OK)
		rc = fill_manifest(&d, manifest, err);
	if (rc == RC_OK)
		rc = cmd_draft_sync(file, err);
	if (rc == RC_OK)
		rc = cmd_draft_keep(&d, err);
	if (rc == RC_OK) {
		rc = cmd_draft_keep(file, err);
		if (rc != RC_OK)
			unlink(path);
	}
	cmd_draft_drop(&d);
	return rc;
}

/* That the manifest can have its name is known before anything is opened. */
static enum rc check_names(const struct opening *o, struct error *err)
{
	char path[MANIFEST_PATH];
	enum rc rc = cmd_draft_check(o->to, err);
	if (rc != RC_OK || o->password || o->recipient || o->told)
		return rc;
	return cmd_draft_check(manifest_path(path, o->to), err);
}

static enum rc write_file(struct cli *c, json_t *request, struct written *w)
{
	struct draft file;
	enum rc rc = check_names(w->o, &c->err);
	if (rc == RC_OK)
		rc = cmd_draft_open(&file, w->o->to, &c->err);
	if (rc != RC_OK)
		return rc;
	rc = send_to(c, request, w, file.fd);
	const char *manifest = json_string_value(json_object_get(w->reply, "manifest"));
	if (rc == RC_OK)
		rc = manifest ? keep_both(&file, manifest, &c->err)
			      : cmd_draft_keep(&file, &c->err);
	cmd_draft_drop(&file);
	return rc;
}

enum rc cmd_write_recording(struct cli *c, json_t *request, const struct opening *o)
{
	struct written w = { .o = o };
	enum rc rc;
	if (strcmp(o->to, "-") != 0)
		rc = write_file(c, request, &w);
	else if (c->no_output)
		rc = error_set(&c->err, RC_USAGE, "-o -: standard output is closed");
	else if (!o->told && isatty(STDOUT_FILENO))
		rc = error_set(&c->err, RC_USAGE, "-o -: a recording is not written to a terminal");
	else
		rc = send_to(c, request, &w, STDOUT_FILENO);
	if (rc == RC_OK && o->told)
		(void)o->told(NULL, w.reply);
	else if (rc == RC_OK)
		print_written(o, w.reply);
	json_decref(w.reply);
	return rc;
}

void cmd_put_opening(json_t *request, const struct opening *o)
{
	static const char blanks[] = " \t\r\n\v\f";
	const char *reference = o->reference;
	if (reference && !reference[strspn(reference, blanks)])
		reference = NULL; /* blanks name no case */
	cmd_put_text(request, "id", o->id);
	cmd_put_text(request, "purpose", o->purpose);
	cmd_put_text(request, "reference", reference);
	cmd_put_text(request, "track", o->track);
	cmd_put_text(request, "at", o->at);
	cmd_put_text(request, "format", o->format);
	cmd_put_text(request, "password", o->password);
	cmd_put_text(request, "recipient", o->recipient);
	if (o->mutes)
		json_object_set(request, "mute", o->mutes);
	if (o->conceal)
		json_object_set_new(request, "conceal", json_true());
}
