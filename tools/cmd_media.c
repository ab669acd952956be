/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd_media.c: a recording's way into a file.
 *
 * The file is made under another name beside its own, for its owner only, synced and then renamed: under its own name it is
 * whole or not there.  Interrupted or refused, it leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

static char unfinished[STORE_PATH + 8]; /* the file to be removed when a signal ends us */

static void remove_unfinished(int signo)
{
	unlink(unfinished);
	signal(signo, SIG_DFL);
	raise(signo);
}

static void on_signals(void (*handler)(int))
{
	signal(SIGINT, handler);
	signal(SIGTERM, handler);
	signal(SIGHUP, handler);
}

static bool note_written(void *ctx, const json_t *object)
{
	const struct opening *o = ctx;
	char length[24], size[24];
	bool told = json_is_integer(json_object_get(object, "bytes"));
	char *file = cmd_clean(strcmp(o->to, "-") == 0 ? "standard output" : o->to);
	char *silent = cmd_clean(cmd_text(object, "undecoded"));
	fprintf(stderr, "%s: %s%s%s\n", file,
		cmd_minutes(json_number_value(json_object_get(object, "seconds")), length),
		told ? ", " : "", told ? cmd_bytes(cmd_number(object, "bytes"), size) : "");
	if (*silent)
		fprintf(stderr,
			"%s: silent where this was spoken, for which there is no decoder: %s\n",
			file, silent);
	free(silent);
	free(file);
	return true;
}

static enum rc send_to(struct cli *c, json_t *request, const struct opening *o, int fd)
{
	union {
		const struct opening *in;
		void *out;
	} ctx = { .in = o };
	json_object_set_new(request, "fd", json_integer(fd));
	return cmd_send_opening(c, request, o->passphrase_file, note_written, ctx.out);
}

/* What stands there now may be replaced only if it is a file. */
static enum rc check_target(const char *path, struct error *err)
{
	struct stat st;
	if (!*path)
		return error_set(err, RC_USAGE, "-o wants the name of a file");
	if (strlen(path) >= STORE_PATH)
		return error_set(err, RC_USAGE, "-o: the name is too long");
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(err, RC_FAILED, "%.300s is there and is no file", path);
	return RC_OK;
}

static enum rc sync_folder(const char *path, struct error *err)
{
	char copy[STORE_PATH];
	snprintf(copy, sizeof copy, "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;
	int why = errno;
	if (fd >= 0)
		close(fd);
	return ok || why == EINVAL ? RC_OK : error_errno(err, RC_FAILED, why, "%.300s", path);
}

static enum rc write_file(struct cli *c, json_t *request, const struct opening *o)
{
	enum rc rc = check_target(o->to, &c->err);
	if (rc != RC_OK)
		return rc;
	snprintf(unfinished, sizeof unfinished, "%s.XXXXXX", o->to);
	int fd = mkostemp(unfinished, O_CLOEXEC); /* 0600, and new */
	if (fd < 0)
		return error_errno(&c->err, RC_FAILED, errno, "%.300s", o->to);
	on_signals(remove_unfinished);
	rc = send_to(c, request, o, fd);
	if (rc == RC_OK && fsync(fd) != 0)
		rc = error_errno(&c->err, RC_FAILED, errno, "%.300s", o->to);
	if (close(fd) != 0 && rc == RC_OK)
		rc = error_errno(&c->err, RC_FAILED, errno, "%.300s", o->to);
	if (rc == RC_OK && rename(unfinished, o->to) != 0)
		rc = error_errno(&c->err, RC_FAILED, errno, "%.300s", o->to);
	if (rc != RC_OK)
		unlink(unfinished);
	on_signals(SIG_DFL);
	return rc == RC_OK ? sync_folder(o->to, &c->err) : rc;
}

enum rc cmd_write_recording(struct cli *c, json_t *request, const struct opening *o)
{
	if (strcmp(o->to, "-") != 0)
		return write_file(c, request, o);
	if (isatty(STDOUT_FILENO))
		return error_set(&c->err, RC_USAGE,
				 "-o -: a recording is not written to a terminal");
	return send_to(c, request, o, STDOUT_FILENO);
}

void cmd_put_opening(json_t *request, const struct opening *o)
{
	cmd_put_text(request, "id", o->id);
	cmd_put_text(request, "purpose", o->purpose);
	cmd_put_text(request, "reference", o->reference);
	cmd_put_text(request, "track", o->track);
	cmd_put_text(request, "at", o->at);
	cmd_put_text(request, "format", o->format);
}
