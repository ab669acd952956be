/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspan serve: the service that holds a store and answers everybody's commands. */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "cmd.h"

static volatile int stop, reload;

static void on_stop(int signo)
{
	(void)signo;
	stop = 1;
}

static void on_hangup(int signo)
{
	(void)signo;
	reload = 1;
}

static void set_log_level(const char *name)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	for (int i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
			log_set_level((enum log_level)i);
}

enum rc cmd_serve(struct cli *c, int argc, char **argv)
{
	const struct sigaction end = { .sa_handler = on_stop }, again = { .sa_handler = on_hangup };
	enum rc rc = cmd_words(c, NULL, 0, argc, argv, NULL, 0, NULL);
	if (rc == RC_OK)
		rc = cmd_find_store(c);
	if (rc != RC_OK)
		return rc;
	set_log_level(c->options.log_level);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGHUP, &again, NULL);
	umask(0077);
	const struct vault_serve cfg = {
		.store = c->store,
		.socket = c->options.serve_socket,
		.settings = { .head_file = c->options.audit_head_file,
			      .cache_bytes = (size_t)c->options.vault_cache_mib << 20 },
		.stop = &stop,
		.reload = &reload
	};
	return vault_serve(&cfg, &c->err);
}
