/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd_http.c: a request's way to the service, where one holds the store (docs/http.md).
 *
 * The request is one POST of HTTP/1.0, so that the reply is a status line, headers and then lines until the connection
 * ends; its last line is the verdict, so a reply that was cut off is known.  A library for all of HTTP would bring some
 * thirty more into a process that has passphrases in its memory.
 *
 * Who asks is who the socket says it is: the effective user, and where sudo made that root, the one who called sudo, as in
 * process.  The service must be the store's owner: nobody else is given a passphrase.
 */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/local.h"
#include "base/whole.h"
#include "cmd.h"

#define PIECE     65536
#define LINE_MOST ((size_t)256 << 20)

/* What has come and was not looked at yet. */
struct incoming {
	struct cli *c;
	int fd;
	char *bytes; /* owned */
	size_t from, to, room;
};

static enum rc cut_off(struct incoming *in)
{
	return error_set(&in->c->err, RC_FAILED, "the service has gone in the middle of its reply");
}

/* ---- the connection -------------------------------------------------------------------------------------------- */

/* As the one who called sudo: the socket tells the service who connects. */
static enum rc connect_as(const char *path, int *fd, struct error *err)
{
	const char *sudo = getenv("SUDO_USER");
	const struct passwd *pw = geteuid() == 0 && sudo && *sudo ? getpwnam(sudo) : NULL;
	if (!pw || pw->pw_uid == 0)
		return local_connect(path, fd, err);
	if (seteuid(pw->pw_uid) != 0)
		return error_errno(err, RC_FAILED, errno, "cannot act as the caller of sudo");
	enum rc rc = local_connect(path, fd, err);
	ASSERT(seteuid(0) == 0);
	(void)prctl(PR_SET_DUMPABLE, 0);
	return rc;
}

static enum rc check_service(struct cli *c, int fd)
{
	struct stat st;
	uid_t uid;
	if (local_peer(fd, &uid) && (uid == 0 || (stat(c->store, &st) == 0 && uid == st.st_uid)))
		return RC_OK;
	return error_set(&c->err, RC_REFUSED,
			 "who answers at the store's socket is not the store's owner");
}

/* RC_NOT_FOUND: no service there. */
static enum rc find_service(struct cli *c, int *fd)
{
	char path[STORE_PATH + 32];
	const char *given = c->options.serve_socket;
	bool configured = *given && strcmp(c->store, c->options.store) == 0;
	snprintf(path, sizeof path, "%s%s%s", configured ? given : c->store, configured ? "" : "/",
		 configured ? "" : VAULT_SOCKET);
	enum rc rc = connect_as(path, fd, &c->err);
	if (rc != RC_OK)
		return rc;
	rc = check_service(c, *fd);
	if (rc != RC_OK)
		close(*fd);
	return rc;
}

static enum rc send_all(struct cli *c, int fd, const char *from, size_t len)
{
	while (len) {
		ssize_t n = send(fd, from, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE
				       ? RC_OK /* what it has to say of that comes */
				       : error_errno(&c->err, RC_FAILED, errno, "the service");
		from += n;
		len -= (size_t)n;
	}
	return RC_OK;
}

/* The request without its descriptor: instead, what would be written there is asked for. */
static enum rc send_request(struct cli *c, int fd, const json_t *request)
{
	char head[160];
	json_t *copy = json_copy((json_t *)(uintptr_t)request);
	if (json_object_get(copy, "fd")) {
		json_object_del(copy, "fd");
		json_object_set_new(copy, "stream", json_true());
	}
	char *body = json_dumps(copy, JSON_COMPACT);
	json_decref(copy);
	if (!body)
		return error_set(&c->err, RC_USAGE, "not UTF-8");
	size_t len = strlen(body);
	int n = snprintf(head, sizeof head,
			 "POST /v1/request HTTP/1.0\r\nContent-Type: application/json\r\n"
			 "Content-Length: %zu\r\n\r\n",
			 len);
	enum rc rc = send_all(c, fd, head, (size_t)n);
	if (rc == RC_OK)
		rc = send_all(c, fd, body, len);
	explicit_bzero(body, len);
	free(body);
	return rc;
}

/* ---- what comes back -------------------------------------------------------------------------------------------- */

/* More bytes.  RC_END: the connection has ended, or the person has had enough. */
static enum rc receive(struct incoming *in)
{
	if (in->from > 0) {
		memmove(in->bytes, in->bytes + in->from, in->to - in->from);
		in->to -= in->from;
		in->from = 0;
	}
	if (in->room - in->to < PIECE) {
		if (in->room > LINE_MOST)
			return error_set(&in->c->err, RC_FAILED, "the service's reply is endless");
		in->room = 2 * in->room + PIECE;
		in->bytes = realloc(in->bytes, in->room);
		ASSERT(in->bytes);
	}
	while (!in->c->stop) {
		ssize_t n = recv(in->fd, in->bytes + in->to, in->room - in->to, 0);
		if (n < 0 && errno == EINTR)
			continue;
		in->to += n > 0 ? (size_t)n : 0;
		return n > 0 ? RC_OK : RC_END;
	}
	return RC_END;
}

/* The next line, its end cut off, borrowed until the next call. */
static enum rc next_line(struct incoming *in, char **line)
{
	size_t looked = 0;
	for (;;) {
		char *end = in->to - in->from > looked ? memchr(in->bytes + in->from + looked, '\n',
								in->to - in->from - looked)
						       : NULL;
		if (end) {
			*end = '\0';
			*line = in->bytes + in->from;
			in->from = (size_t)(end - in->bytes) + 1;
			return RC_OK;
		}
		looked = in->to - in->from;
		enum rc rc = receive(in);
		if (rc != RC_OK)
			return rc;
	}
}

/* Status line and headers; *status: of HTTP. */
static enum rc take_head(struct incoming *in, int *status)
{
	char *line, *space;
	enum rc rc = next_line(in, &line);
	if (rc == RC_OK) {
		space = strncmp(line, "HTTP/1.", 7) == 0 ? strchr(line, ' ') : NULL;
		*status = space ? (int)strtol(space, NULL, 10) : 0;
	}
	while (rc == RC_OK && *line && *line != '\r')
		rc = next_line(in, &line);
	return rc == RC_END ? cut_off(in) : rc;
}

static enum rc take_bytes(struct incoming *in, json_int_t count, int to)
{
	while (count > 0) {
		enum rc rc = in->from == in->to ? receive(in) : RC_OK;
		if (rc != RC_OK)
			return rc == RC_END ? cut_off(in) : rc;
		size_t have = in->to - in->from;
		size_t n = (json_int_t)have < count ? have : (size_t)count;
		if (!whole_write(to, in->bytes + in->from, n))
			return error_errno(&in->c->err, RC_FAILED, errno, "what is exported");
		in->from += n;
		count -= (json_int_t)n;
	}
	return RC_OK;
}

static enum rc take_verdict(struct cli *c, const json_t *line)
{
	static const struct {
		const char *name;
		enum rc rc;
	} verdicts[] = { { "done", RC_OK },         { "usage", RC_USAGE },
			 { "refused", RC_REFUSED }, { "damaged", RC_DAMAGED },
			 { "again", RC_AGAIN },     { "failed", RC_FAILED } };
	const char *name = cmd_text(line, "verdict");
	size_t i = 0;
	while (strcmp(verdicts[i].name, name) != 0 && verdicts[i].rc != RC_FAILED)
		i++;
	return error_set(&c->err, verdicts[i].rc, "%s", cmd_text(line, "error"));
}

/* One line of the reply; *more: the verdict is still to come. */
static enum rc take_line(struct incoming *in, const json_t *line, int to, vault_reply reply,
			 void *ctx, bool *more)
{
	const json_t *object = json_object_get(line, "reply");
	const json_t *bytes = json_object_get(line, "bytes");
	if (object) {
		*more = reply(ctx, object);
		return RC_OK;
	}
	if (json_is_integer(bytes) && to >= 0)
		return take_bytes(in, json_integer_value(bytes), to);
	*more = false;
	return take_verdict(in->c, line);
}

static enum rc take_reply(struct incoming *in, int to, vault_reply reply, void *ctx)
{
	bool more = true;
	enum rc rc = RC_OK;
	while (rc == RC_OK && more) {
		char *text;
		rc = next_line(in, &text);
		if (rc == RC_END)
			return in->c->stop ? RC_OK : cut_off(in);
		json_t *line = rc == RC_OK ? json_loads(text, 0, NULL) : NULL;
		if (rc == RC_OK && !line)
			return cut_off(in);
		if (rc == RC_OK)
			rc = take_line(in, line, to, reply, ctx, &more);
		json_decref(line);
	}
	return rc;
}

/* Not taken as a request at all: {"error":"one line"}. */
static enum rc take_refusal(struct incoming *in, int status)
{
	while (receive(in) == RC_OK)
		;
	json_t *o =
		json_loadb(in->bytes + in->from, in->to - in->from, JSON_DISABLE_EOF_CHECK, NULL);
	const char *why = cmd_text(o, "error");
	enum rc rc = error_set(&in->c->err, RC_FAILED, "the service answers %d: %s", status,
			       *why ? why : "no reason given");
	json_decref(o);
	return rc;
}

enum rc cmd_http_send(struct cli *c, const json_t *request, vault_reply reply, void *ctx)
{
	struct incoming in = { .c = c };
	const json_t *fd = json_object_get(request, "fd");
	int status = 0;
	enum rc rc = find_service(c, &in.fd);
	if (rc != RC_OK)
		return rc;
	rc = send_request(c, in.fd, request);
	if (rc == RC_OK)
		rc = take_head(&in, &status);
	if (rc == RC_OK && status != 200)
		rc = take_refusal(&in, status);
	else if (rc == RC_OK)
		rc = take_reply(&in, json_is_integer(fd) ? (int)json_integer_value(fd) : -1, reply,
				ctx);
	close(in.fd);
	if (in.bytes)
		explicit_bzero(in.bytes, in.room);
	free(in.bytes);
	return rc;
}
