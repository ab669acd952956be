/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd_vault.c: sending a request to the vault, and the passphrase that it may want.
 *
 * Where a service holds the store the request goes to it; else the vault is opened here for one request and closed again,
 * so that nobody else waits while a person types.
 * Passphrases are wiped after use; jansson's copies are wiped when they are freed (callspan.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cmd.h"

#define VAULT_WAIT_MS    500
#define VAULT_WAITS      20 /* so often: 10 s */
#define PASSPHRASE_LEAST 8

enum rc cmd_find_store(struct cli *c)
{
	const char *told = getenv("CALLSPAN_STORE"), *store = c->options.store;
	options_default(&c->options);
	if (c->config_given) {
		enum rc rc = options_read(&c->options, c->config_given, &c->err);
		if (rc != RC_OK)
			return rc;
	} else if (told && *told) {
		store = told;
	}
	if (c->store_given)
		store = c->store_given;
	if (!*store || strlen(store) >= sizeof c->store)
		return error_set(&c->err, RC_USAGE, "--store: the name of a directory is wanted");
	snprintf(c->store, sizeof c->store, "%s", store);
	return RC_OK;
}

json_t *cmd_new_request(const char *name)
{
	json_t *request = json_pack("{s:s}", "request", name);
	ASSERT(request);
	return request;
}

const char *cmd_person(void)
{
	const char *sudo = getenv("SUDO_USER");
	if (geteuid() == 0 && sudo && *sudo)
		return sudo;
	const struct passwd *pw = getpwuid(geteuid());
	return pw ? pw->pw_name : "";
}

static enum rc ask(struct cli *c, struct vault *v, const json_t *request, vault_reply reply,
		   void *ctx)
{
	char person[256];
	snprintf(person, sizeof person, "%s", cmd_person());
	struct vault_caller who = { .person = person, .uid = geteuid(), .stop = &c->stop };
	const struct vault_settings settings = { .head_file = c->options.audit_head_file };
	enum rc rc = vault_configure(v, &settings, &c->err);
	return rc == RC_OK ? vault_request(v, &who, request, reply, ctx, &c->err) : rc;
}

/* Whoever holds the store may be a command that will be done soon, or a service that is about to answer. */
enum rc cmd_send(struct cli *c, const json_t *request, vault_reply reply, void *ctx)
{
	struct vault *v;
	enum rc rc = cmd_find_store(c);
	for (int i = 0; rc == RC_OK; i++) {
		rc = cmd_http_send(c, request, reply, ctx);
		if (rc != RC_NOT_FOUND)
			return rc;
		rc = vault_open(&v, c->store, VAULT_WAIT_MS, &c->err);
		if (rc == RC_OK)
			break;
		if (rc == RC_AGAIN)
			rc = i < VAULT_WAITS ? RC_OK : RC_FAILED;
	}
	if (rc != RC_OK)
		return rc;
	rc = ask(c, v, request, reply, ctx);
	vault_close(v);
	return rc;
}

enum rc cmd_ask(struct cli *c, const char *name, const char *member, const char *text, bool json,
		vault_reply print)
{
	json_t *request = cmd_new_request(name);
	if (member)
		cmd_put_text(request, member, text);
	enum rc rc = cmd_send(c, request, json ? cmd_print_json : print, NULL);
	json_decref(request);
	return rc;
}

enum rc cmd_list(struct cli *c, const json_t *request, bool json, const struct listing *l,
		 const char *nothing)
{
	if (json)
		return cmd_send(c, request, cmd_print_json, NULL);
	struct table *t = cmd_table_new(l->columns, l->columns_count);
	enum rc rc = cmd_send(c, request, l->add_row, t);
	if (cmd_table_rows(t) > 0)
		cmd_table_print(t, stdout);
	else if (rc == RC_OK)
		fprintf(stderr, "%s\n", nothing);
	cmd_table_free(t);
	return rc;
}

/* ---- passphrases ----------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
	interrupted = signo;
}

/* One line without its end; false: nothing came, or too much. */
static bool read_line(int fd, char out[PASSPHRASE_MAX])
{
	size_t len = 0;
	char ch = '\0';
	ssize_t n = 1;
	while (len < PASSPHRASE_MAX - 1) {
		n = read(fd, &ch, 1);
		if (n < 0 && errno == EINTR && !interrupted)
			continue;
		if (n <= 0 || ch == '\n')
			break;
		out[len++] = ch;
	}
	if (len > 0 && out[len - 1] == '\r')
		len--;
	out[len] = '\0';
	return len < PASSPHRASE_MAX - 1 && n >= 0 && (len > 0 || n > 0);
}

enum rc cmd_passphrase_file(const char *path, char out[PASSPHRASE_MAX], struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "%.300s", path);
	bool ok = read_line(fd, out);
	close(fd);
	return ok && *out
		       ? RC_OK
		       : error_set(err, RC_FAILED, "%.300s: no passphrase in its first line", path);
}

/* Ask with the echo off; a signal ends the asking, so that the echo comes back on. */
static bool ask_unseen(int fd, const struct termios *seen, const char *prompt,
		       char out[PASSPHRASE_MAX])
{
	struct sigaction end = { .sa_handler = on_interrupt }, old;
	struct termios unseen = *seen;
	unseen.c_lflag &= ~(tcflag_t)ECHO;
	unseen.c_lflag |= ECHONL;
	interrupted = 0;
	sigaction(SIGINT, &end, &old);
	bool ok = tcsetattr(fd, TCSAFLUSH, &unseen) == 0 && dprintf(fd, "%s", prompt) > 0 &&
		  read_line(fd, out);
	(void)tcsetattr(fd, TCSAFLUSH, seen);
	sigaction(SIGINT, &old, NULL);
	if (interrupted)
		raise(SIGINT);
	return ok;
}

enum rc cmd_passphrase_ask(const char *prompt, char out[PASSPHRASE_MAX], struct error *err)
{
	struct termios seen;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "no terminal to ask on");
	bool ok = tcgetattr(fd, &seen) == 0 && ask_unseen(fd, &seen, prompt, out);
	close(fd);
	return ok ? RC_OK : error_set(err, RC_FAILED, "no passphrase was given");
}

enum rc cmd_passphrase_check(const char *passphrase, struct error *err)
{
	size_t characters = 0;
	for (const char *p = passphrase; *p; p++)
		characters += ((unsigned char)*p & 0xc0) != 0x80;
	if (characters < PASSPHRASE_LEAST)
		return error_set(err, RC_USAGE, "the passphrase must have at least %d characters",
				 PASSPHRASE_LEAST);
	return RC_OK;
}

enum rc cmd_passphrase_new(const char *prompt, char out[PASSPHRASE_MAX], struct error *err)
{
	char again[PASSPHRASE_MAX];
	enum rc rc = cmd_passphrase_ask(prompt, out, err);
	if (rc == RC_OK)
		rc = cmd_passphrase_check(out, err);
	if (rc == RC_OK)
		rc = cmd_passphrase_ask("Once more: ", again, err);
	if (rc == RC_OK && strcmp(out, again) != 0)
		rc = error_set(err, RC_USAGE, "the two passphrases differ: nothing was changed");
	explicit_bzero(again, sizeof again);
	return rc;
}

static enum rc send_with(struct cli *c, json_t *request, char passphrase[PASSPHRASE_MAX],
			 vault_reply reply, void *ctx)
{
	cmd_put_text(request, "passphrase", passphrase);
	explicit_bzero(passphrase, PASSPHRASE_MAX);
	enum rc rc = cmd_send(c, request, reply, ctx);
	json_object_del(request, "passphrase");
	return rc == RC_AGAIN ? RC_REFUSED : rc; /* an empty one is none */
}

enum rc cmd_send_opening(struct cli *c, json_t *request, const char *passphrase_file,
			 vault_reply reply, void *ctx)
{
	char passphrase[PASSPHRASE_MAX];
	if (passphrase_file) {
		enum rc rc = cmd_passphrase_file(passphrase_file, passphrase, &c->err);
		return rc == RC_OK ? send_with(c, request, passphrase, reply, ctx) : rc;
	}
	enum rc rc = cmd_send(c, request, reply, ctx);
	if (rc != RC_AGAIN)
		return rc;
	if (!isatty(STDIN_FILENO))
		return error_set(&c->err, RC_REFUSED,
				 "passphrase needed: give --passphrase-file, there is no terminal "
				 "to ask on");
	rc = cmd_passphrase_ask("Passphrase: ", passphrase, &c->err);
	return rc == RC_OK ? send_with(c, request, passphrase, reply, ctx) : RC_REFUSED;
}
