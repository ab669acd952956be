/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* http.c: see http.h.  The only file that knows libmicrohttpd.
 *
 *   POST /v1/request   a request as JSON; the reply is a stream of lines (work.h)
 *   GET  /v1/status    that there is a service, which version: nothing of the store
 *
 * What is no such request is answered with its HTTP status and {"error":"one line"}.
 */
#include "vault/http.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"

#define BODY_MOST    (1u << 20)
#define REQUEST_S    30u   /* without a byte from a caller who is to send */
#define REPLY_S      3600u /* without a byte taken by a caller who reads in a pager */
#define REPLY_BLOCK  65536
#define HEADER_BYTES 32768

/* A connection: known from when it is given to libmicrohttpd until that has closed it. */
struct client {
	struct client *next;
	int fd;
	struct work_caller who;
};

struct http {
	struct works *works;
	struct MHD_Daemon *daemon;
	pthread_mutex_t lock; /* of the clients */
	struct client *clients;
};

/* One request on a connection. */
struct exchange {
	struct client *client;
	unsigned status; /* 0: good so far */
	const char *wrong;
	bool request; /* POST /v1/request; else status */
	char *body;   /* owned */
	size_t len, room;
	struct spool *spool;
};

/* ---- connections --------------------------------------------------------------------------------------------- */

/* The fewer are free, the fewer one person may have, so that they come to an end for those who have some before they do for those
 * who have none. */
static bool too_many(const struct http *h, const struct work_caller *who)
{
	unsigned roots = 0, others = 0, theirs = 0;
	for (const struct client *c = h->clients; c; c = c->next) {
		*(c->who.uid == 0 ? &roots : &others) += 1;
		theirs += work_share(&c->who) == work_share(who);
	}
	unsigned kept = roots < HTTP_OF_ROOT && who->uid != 0 ? HTTP_OF_ROOT : roots;
	if (kept + others >= HTTP_CONNECTIONS)
		return true;
	unsigned free_ones = HTTP_CONNECTIONS - kept - others;
	return who->uid != 0 && theirs &&
	       (theirs >= HTTP_OF_ONE || theirs * HTTP_PART >= free_ones);
}

static void forget_client(struct http *h, const struct client *c)
{
	pthread_mutex_lock(&h->lock);
	struct client **at = &h->clients;
	while (*at && *at != c)
		at = &(*at)->next;
	if (*at) {
		struct client *gone = *at;
		*at = gone->next;
		free(gone);
	}
	pthread_mutex_unlock(&h->lock);
}

/* A descriptor is one connection's at a time. */
static struct client *client_of(struct http *h, int fd)
{
	pthread_mutex_lock(&h->lock);
	struct client *c = h->clients;
	while (c && c->fd != fd)
		c = c->next;
	pthread_mutex_unlock(&h->lock);
	return c;
}

static void turn_away(int fd)
{
	static const char text[] =
		"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
		"Content-Type: application/json\r\nContent-Length: 57\r\n\r\n"
		"{\"error\":\"too many connections: wait for some of yours\"}\n\n";
	ssize_t n = write(fd, text, sizeof text - 1);
	(void)n; /* its own loss */
	close(fd);
}

void http_connection(struct http *h, int fd, const struct work_caller *who)
{
	static const struct sockaddr local = { .sa_family = AF_UNIX };
	struct client *c = calloc(1, sizeof *c);
	ASSERT(c);
	c->fd = fd;
	c->who = *who;
	pthread_mutex_lock(&h->lock);
	bool many = too_many(h, who);
	if (!many) {
		c->next = h->clients;
		h->clients = c;
	}
	pthread_mutex_unlock(&h->lock);
	if (many) {
		free(c);
		turn_away(fd);
	} else if (MHD_add_connection(h->daemon, fd, &local, sizeof local) != MHD_YES) {
		forget_client(h, c);
	}
}

static void notify_connection(void *cls, struct MHD_Connection *connection, void **client,
			      enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *fd =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*client = client_of(cls, fd->connect_fd);
	else
		forget_client(cls, *client);
}

/* ---- replies ------------------------------------------------------------------------------------------------------ */

static enum MHD_Result reply_json(struct MHD_Connection *connection, unsigned status,
				  json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	ASSERT(text);
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
	free(text);
	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, POST");
	enum MHD_Result done = MHD_queue_response(connection, status, r);
	MHD_destroy_response(r);
	return done;
}

static enum MHD_Result reply_wrong(struct MHD_Connection *connection, unsigned status,
				   const char *wrong)
{
	return reply_json(connection, status, json_pack("{s:s}", "error", wrong));
}

static ssize_t read_reply(void *cls, uint64_t at, char *to, size_t most)
{
	const struct exchange *x = cls;
	(void)at;
	ssize_t n = spool_take(x->spool, x->client->fd, to, most);
	if (n > 0)
		return n;
	return n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static enum MHD_Result reply_stream(struct MHD_Connection *connection, struct exchange *x)
{
	struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, REPLY_BLOCK,
								   read_reply, x, NULL);
	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/x-ndjson");
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	(void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, REPLY_S);
	enum MHD_Result done = MHD_queue_response(connection, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return done;
}

/* The body is whole: begin with it. */
static enum MHD_Result begin(struct http *h, struct MHD_Connection *connection, struct exchange *x)
{
	json_error_t why;
	json_t *request = json_loadb(x->body ? x->body : "", x->len, JSON_REJECT_DUPLICATES, &why);
	if (x->body)
		explicit_bzero(x->body, x->len);
	if (!json_is_object(request)) {
		json_decref(request);
		return reply_wrong(connection, MHD_HTTP_BAD_REQUEST,
				   "the body is not a JSON object");
	}
	x->spool = works_begin(h->works, &x->client->who, request);
	if (!x->spool)
		return reply_wrong(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "the service is too busy to begin with this: try again");
	return reply_stream(connection, x);
}

/* ---- requests ------------------------------------------------------------------------------------------------------- */

static bool is_json(struct MHD_Connection *connection)
{
	static const char json[] = "application/json";
	const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_CONTENT_TYPE);
	size_t len = sizeof json - 1;
	return type && strncasecmp(type, json, len) == 0 &&
	       (type[len] == '\0' || type[len] == ';' || type[len] == ' ');
}

static void refuse(struct exchange *x, unsigned status, const char *wrong)
{
	x->status = status;
	x->wrong = wrong;
}

static void judge(struct exchange *x, struct MHD_Connection *connection, const char *url,
		  const char *method)
{
	x->request = strcmp(url, "/v1/request") == 0;
	const char *due = x->request ? MHD_HTTP_METHOD_POST : MHD_HTTP_METHOD_GET;
	if (!x->request && strcmp(url, "/v1/status") != 0)
		refuse(x, MHD_HTTP_NOT_FOUND, "there are /v1/request and /v1/status");
	else if (strcmp(method, due) != 0)
		refuse(x, MHD_HTTP_METHOD_NOT_ALLOWED,
		       x->request ? "POST is wanted" : "GET is wanted");
	else if (x->request && !is_json(connection))
		refuse(x, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
		       "Content-Type: application/json is wanted");
}

/* A body that will not be used is read too (a caller who is cut off in the middle of it sees no answer), up to a bound. */
static enum MHD_Result take_body(struct exchange *x, const char *data, size_t len)
{
	if (x->len + len > BODY_MOST && !x->status)
		refuse(x, MHD_HTTP_CONTENT_TOO_LARGE, "the request is longer than 1 MiB");
	if (x->status) {
		x->len += len;
		return x->len > 4u * BODY_MOST ? MHD_NO : MHD_YES;
	}
	if (x->len + len > x->room) {
		size_t room = 2 * (x->len + len);
		char *more = malloc(room);
		ASSERT(more);
		if (x->body) {
			memcpy(more, x->body, x->len);
			explicit_bzero(x->body, x->len); /* it may hold a passphrase */
		}
		free(x->body);
		x->body = more;
		x->room = room;
	}
	memcpy(x->body + x->len, data, len);
	x->len += len;
	return MHD_YES;
}

static enum MHD_Result serve(void *cls, struct MHD_Connection *connection, const char *url,
			     const char *method, const char *version, const char *data,
			     size_t *data_len, void **context)
{
	struct http *h = cls;
	struct exchange *x = *context;
	(void)version;
	if (!x) {
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
		*context = x = calloc(1, sizeof *x);
		ASSERT(x);
		x->client = info->socket_context;
		judge(x, connection, url, method);
		return x->client ? MHD_YES : MHD_NO;
	}
	if (*data_len) {
		size_t len = *data_len;
		*data_len = 0;
		return take_body(x, data, len);
	}
	if (x->status)
		return reply_wrong(connection, x->status, x->wrong);
	if (x->request)
		return begin(h, connection, x);
	return reply_json(connection, MHD_HTTP_OK,
			  json_pack("{s:s, s:s, s:i}", "service", "callspan", "version",
				    CALLSPAN_VERSION, "interface", 1));
}

static void completed(void *cls, struct MHD_Connection *connection, void **context,
		      enum MHD_RequestTerminationCode how)
{
	struct exchange *x = *context;
	struct http *h = cls;
	(void)how;
	if (!x)
		return;
	if (x->spool)
		works_let_go(h->works, x->spool);
	if (x->body)
		explicit_bzero(x->body, x->room);
	free(x->body);
	free(x);
	*context = NULL;
	(void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, REQUEST_S);
}

/* ---- the daemon ------------------------------------------------------------------------------------------------------- */

/* What a caller sends is quoted in these; none of it belongs in a log. */
static void say_nothing(void *cls, const char *fmt, va_list args)
{
	(void)cls;
	(void)fmt;
	(void)args;
}

enum rc http_new(struct http **out, struct works *w, struct error *err)
{
	struct http *h = calloc(1, sizeof *h);
	ASSERT(h && pthread_mutex_init(&h->lock, NULL) == 0);
	h->works = w;
	h->daemon = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
			MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG,
		0, NULL, NULL, serve, h, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, notify_connection, h, MHD_OPTION_NOTIFY_COMPLETED,
		completed, h, MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS + 1,
		MHD_OPTION_CONNECTION_TIMEOUT, REQUEST_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)HEADER_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!h->daemon) {
		http_free(h);
		return error_set(err, RC_FAILED, "the HTTP server could not be started");
	}
	*out = h;
	return RC_OK;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	while (h->clients)
		forget_client(h, h->clients);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
