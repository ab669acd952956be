/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd_media.c: a recording's way into a file.
 *
 * The file is made without a name, for its owner only, synced, and gets its name last: under that name it is whole or not
 * there.  Interrupted, killed or refused, it leaves nothing behind.  Where the file system makes no nameless files it has
 * another name beside its own until then, which only SIGKILL (and a loss of power) leaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

#define NAMES_TRIED 16

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU };
#define ENDING (sizeof ending / sizeof ending[0])

static struct sigaction usual[ENDING];
static char name[STORE_PATH + 16];
/* The file to be removed when a signal ends us: `name`, or NULL. */
static const char *volatile unfinished;

static void remove_unfinished(int signo)
{
	if (unfinished)
		unlink(unfinished);
	signal(signo, SIG_DFL);
	raise(signo);
}

/* What was ignored when we were started (nohup) stays ignored. */
static void catch_signals(void)
{
	const struct sigaction remove = { .sa_handler = remove_unfinished };
	for (size_t i = 0; i < ENDING; i++) {
		sigaction(ending[i], NULL, &usual[i]);
		if (usual[i].sa_handler != SIG_IGN)
			sigaction(ending[i], &remove, NULL);
	}
}

static void release_signals(void)
{
	for (size_t i = 0; i < ENDING; i++)
		sigaction(ending[i], &usual[i], NULL);
}

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

static bool note_written(void *ctx, const json_t *object)
{
	const struct opening *o = ctx;
	char length[24], size[24];
	bool told = json_is_integer(json_object_get(object, "bytes"));
	char *file = cmd_clean(strcmp(o->to, "-") == 0 ? "standard output" : o->to);
	char *silent = cmd_clean(cmd_text(object, "undecoded"));
	fprintf(stderr, "%s: ", file);
	if (json_is_integer(json_object_get(object, "packets")))
		fprintf(stderr,
			"%" JSON_INTEGER_FORMAT " RTP packets, %" JSON_INTEGER_FORMAT
			" SIP messages, ",
			cmd_number(object, "packets"), cmd_number(object, "messages"));
	fprintf(stderr, "%s%s%s\n",
		cmd_minutes(json_number_value(json_object_get(object, "seconds")), length),
		told ? ", " : "", told ? cmd_bytes(cmd_number(object, "bytes"), size) : "");
	print_voices(object);
	if (*silent)
		fprintf(stderr,
			"%s: silent where this was spoken, for which there is no decoder: %s "
			"(--format pcap exports it as it was sent)\n",
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

/* Another name beside `path`, which nobody has or will guess. */
static void name_unfinished(const char *path)
{
	uint64_t number;
	unfinished = NULL; /* half written, it would be another file's */
	ASSERT(getrandom(&number, sizeof number, 0) == sizeof number);
	snprintf(name, sizeof name, "%s.%012llx", path, (unsigned long long)(number >> 16));
	unfinished = name;
}

/* A file that has no name yet and can be given one (linkat(2)); -1: there are none here. */
static int open_nameless(const char *path, char self[40])
{
	char copy[STORE_PATH];
	snprintf(copy, sizeof copy, "%s", path);
	int fd = open(dirname(copy), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	snprintf(self, 40, "/proc/self/fd/%d", fd);
	if (fd >= 0 && access(self, F_OK) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int open_named(const char *path)
{
	int fd = -1;
	for (int i = 0; i < NAMES_TRIED && fd < 0 && (i == 0 || errno == EEXIST); i++) {
		name_unfinished(path);
		fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	}
	return fd;
}

/* Only what has a name can replace a file (rename(2)). */
static bool give_name(const char *self, const char *path)
{
	int rc = linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
	if (rc == 0 || errno != EEXIST)
		return rc == 0;
	for (int i = 0; i < NAMES_TRIED && rc != 0 && errno == EEXIST; i++) {
		name_unfinished(path);
		rc = linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
	}
	return rc == 0 && rename(name, path) == 0;
}

static enum rc fill_file(struct cli *c, json_t *request, const struct opening *o)
{
	char self[40];
	int fd = open_nameless(o->to, self);
	bool nameless = fd >= 0;
	if (!nameless)
		fd = open_named(o->to);
	if (fd < 0)
		return error_errno(&c->err, RC_FAILED, errno, "%.300s", o->to);
	enum rc rc = send_to(c, request, o, fd);
	if (rc == RC_OK &&
	    (fsync(fd) != 0 || (nameless ? !give_name(self, o->to) : rename(name, o->to) != 0)))
		rc = error_errno(&c->err, RC_FAILED, errno, "%.300s", o->to);
	close(fd); /* synced: it has nothing more to say */
	return rc;
}

static enum rc write_file(struct cli *c, json_t *request, const struct opening *o)
{
	enum rc rc = check_target(o->to, &c->err);
	if (rc != RC_OK)
		return rc;
	catch_signals();
	rc = fill_file(c, request, o);
	if (rc != RC_OK && unfinished)
		unlink(unfinished);
	release_signals();
	return rc == RC_OK ? sync_folder(o->to, &c->err) : rc;
}

enum rc cmd_write_recording(struct cli *c, json_t *request, const struct opening *o)
{
	if (strcmp(o->to, "-") != 0)
		return write_file(c, request, o);
	if (c->no_output)
		return error_set(&c->err, RC_USAGE, "-o -: standard output is closed");
	if (isatty(STDOUT_FILENO))
		return error_set(&c->err, RC_USAGE,
				 "-o -: a recording is not written to a terminal");
	return send_to(c, request, o, STDOUT_FILENO);
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
	if (o->conceal)
		json_object_set_new(request, "conceal", json_true());
}
