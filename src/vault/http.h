/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* http.h: the vault over HTTP/1.1, by libmicrohttpd.  Private to src/vault; docs/http.md tells what is asked and answered.
 *
 * Connections are given to it one by one, with whom they come from: where they come from is not its business.  Each has a
 * thread (libmicrohttpd's) that reads the request and hands on what the worker (work.h) puts into the spool, so that nobody
 * waits for a caller who sends slowly or does not read.
 */
#ifndef CALLSPAN_VAULT_HTTP_H
#define CALLSPAN_VAULT_HTTP_H

#include "vault/work.h"

#define HTTP_CONNECTIONS 256 /* at once, of all */
#define HTTP_OF_ROOT                                                                               \
	16 /* ... of which root alone has so many: whoever looks after the machine gets in */
#define HTTP_OF_ONE 32 /* of one person, or of all without a name; root has no such limit */
#define HTTP_PART                                                                                  \
	4 /* ... and who has some gets more only while they have less than this part of the free ones */

struct http;
/* w: borrowed */
enum rc http_new(struct http **out, struct works *w, struct error *err) MUST_USE;
/* A connection (moved) from this caller.  One too many is told so and closed. */
void http_connection(struct http *h, int fd, const struct work_caller *who);
/* Close all connections, when no request is at work any more. */
void http_free(struct http *h);

#endif
