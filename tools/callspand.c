/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* callspand: the recorder: mirror port (or capture files) -> sealed segments. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "base/options.h"
#include "base/version.h"
#include "recorder/recorder.h"

static volatile int stop, reload;

static void on_signal(int signo)
{
	(void)signo;
	stop = 1;
}

static void on_hangup(int signo)
{
	(void)signo;
	reload = 1;
}

static const char usage_text[] =
	"usage: callspand (--store DIR | --config FILE) (-r FILE ... | -i IF ... | --dpdk ARGS)\n"
	"                 [options]\n"
	"\n"
	"Records the telephone calls in capture files or at an interface into a store\n"
	"that `callspan init` has made.  It only listens.\n"
	"\n"
	"      --store DIR        the store to record into\n"
	"      --config FILE      read options from a YAML file (see callspand(8))\n"
	"  -r, --read FILE ...    record capture files (pcap, pcapng; - is standard input),\n"
	"                         several merged in order of time\n"
	"  -i, --interface IF     record from an interface at a mirror port; given again (or as\n"
	"                         A,B): from several, such as the two legs of a tap\n"
	"      --dpdk \"EAL ARGS\"  record from network cards through DPDK (docs/dpdk.md)\n"
	"      --filter BPF       only these frames, in libpcap's filter language\n"
	"      --retain-from import|call\n"
	"                         capture files: the retention period begins when they are\n"
	"                         read (default) or at the end of each call\n"
	"      --set NAME=VALUE   set any option of the configuration file\n"
	"      --counters FILE    at the end, write all counters there as JSON\n"
	"      --check            check configuration, store, keys and policy; record nothing\n"
	"      --options          print all options with their defaults, as a configuration file\n"
	"      --foreground       stay in the foreground; callspand always does\n"
	"      --help, --version\n";

enum {
	OPT_STORE = 256,
	OPT_CONFIG,
	OPT_DPDK,
	OPT_FILTER,
	OPT_RETAIN,
	OPT_SET,
	OPT_COUNTERS,
	OPT_CHECK,
	OPT_OPTIONS,
	OPT_MDOC,
	OPT_FOREGROUND,
	OPT_HELP,
	OPT_VERSION
};

static const struct option long_options[] = {
	{ "store", required_argument, NULL, OPT_STORE },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "read", required_argument, NULL, 'r' },
	{ "interface", required_argument, NULL, 'i' },
	{ "dpdk", required_argument, NULL, OPT_DPDK },
	{ "filter", required_argument, NULL, OPT_FILTER },
	{ "retain-from", required_argument, NULL, OPT_RETAIN },
	{ "set", required_argument, NULL, OPT_SET },
	{ "counters", required_argument, NULL, OPT_COUNTERS },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "options", no_argument, NULL, OPT_OPTIONS },
	{ "options-mdoc", no_argument, NULL, OPT_MDOC },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

struct command_line {
	struct options options;
	const char **files; /* owned */
	size_t files_count;
	const char *counters_path;
	char interfaces[OPTION_TEXT + 1]; /* of the command line, with commas */
	bool store_given, live, dpdk, check, retain_from_call;
};

static int fail(enum rc rc, const char *text)
{
	fprintf(stderr, "callspand: %s\n", text);
	return (int)rc;
}

/* The configuration file comes first, wherever it stands on the line: options given there win over it. */
static enum rc read_config(struct command_line *c, int argc, char **argv, struct error *err)
{
	options_default(&c->options);
	for (int i = 1; i < argc && argv[i]; i++) {
		const char *path = NULL;
		if (strncmp(argv[i], "--config=", 9) == 0)
			path = argv[i] + 9;
		else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			path = argv[i + 1];
		if (!path)
			continue;
		enum rc rc = options_read(&c->options, path, err);
		if (rc != RC_OK)
			return rc;
		c->store_given = true;
	}
	return RC_OK;
}

static enum rc set_pair(struct command_line *c, const char *pair, struct error *err)
{
	char name[64];
	const char *equals = strchr(pair, '=');
	if (!equals || (size_t)(equals - pair) >= sizeof name)
		return error_set(err, RC_USAGE, "--set takes NAME=VALUE, not '%s'", pair);
	snprintf(name, sizeof name, "%.*s", (int)(equals - pair), pair);
	return options_set(&c->options, name, equals + 1, err);
}

/* The first -i takes the place of what the configuration says, each further one is beside it. */
static enum rc add_interface(struct command_line *c, const char *name, struct error *err)
{
	size_t used = strlen(c->interfaces);
	/* What is cut off here is too long for the option all the same. */
	snprintf(c->interfaces + used, sizeof c->interfaces - used, "%s%s", c->live ? "," : "",
		 name);
	c->live = true;
	return options_set(&c->options, "capture.interface", c->interfaces, err);
}

static enum rc take_option(struct command_line *c, int opt, struct error *err)
{
	switch (opt) {
	case OPT_STORE:
		c->store_given = true;
		return options_set(&c->options, "store", optarg, err);
	case OPT_CONFIG: return RC_OK;
	case 'r': c->files[c->files_count++] = optarg; return RC_OK;
	case 'i': return add_interface(c, optarg, err);
	case OPT_DPDK:
		c->dpdk = true;
		if (!optarg[strspn(optarg, " \t")])
			return error_set(
				err, RC_USAGE,
				"--dpdk takes EAL arguments, such as \"-l 0-1 -a 0000:01:00.0\"");
		return options_set(&c->options, "capture.dpdk", optarg, err);
	case OPT_FILTER: return options_set(&c->options, "capture.filter", optarg, err);
	case OPT_SET: return set_pair(c, optarg, err);
	case OPT_COUNTERS: c->counters_path = optarg; return RC_OK;
	case OPT_CHECK: c->check = true; return RC_OK;
	case OPT_FOREGROUND: return RC_OK;
	case OPT_RETAIN:
		c->retain_from_call = strcmp(optarg, "call") == 0;
		if (!c->retain_from_call && strcmp(optarg, "import") != 0)
			return error_set(err, RC_USAGE,
					 "--retain-from takes import or call, not '%s'", optarg);
		return RC_OK;
	default: return error_set(err, RC_USAGE, "see `callspand --help`");
	}
}

static enum rc parse(struct command_line *c, int argc, char **argv, struct error *err)
{
	enum rc rc = read_config(c, argc, argv, err);
	int opt;

	while (rc == RC_OK && (opt = getopt_long(argc, argv, "r:i:", long_options, NULL)) != -1) {
		switch (opt) {
		case OPT_HELP: fputs(usage_text, stdout); exit(0);
		case OPT_VERSION: puts("callspand " CALLSPAN_VERSION); exit(0);
		case OPT_OPTIONS: options_write_yaml(stdout); exit(0);
		case OPT_MDOC: options_write_mdoc(stdout); exit(0);
		default: rc = take_option(c, opt, err);
		}
	}
	/* `-r a b c`: further files follow the first. */
	for (int i = optind; rc == RC_OK && i < argc; i++) {
		if (!c->files_count)
			return error_set(err, RC_USAGE,
					 "'%s' is not an option; see `callspand --help`", argv[i]);
		c->files[c->files_count++] = argv[i];
	}
	return rc;
}

static enum rc complete(struct command_line *c, struct error *err)
{
	if (!c->store_given)
		return error_set(err, RC_USAGE, "which store? give --store DIR or --config FILE");
	if ((c->files_count > 0) + c->live + c->dpdk > 1)
		return error_set(
			err, RC_USAGE,
			"give capture files (-r), an interface (-i) or --dpdk: one of them");
	/* What stands on the line wins over the configuration file. */
	if (c->live)
		c->options.dpdk[0] = '\0';
	if (c->dpdk)
		c->options.interface[0] = '\0';
	if (!c->files_count && c->options.interface[0] && c->options.dpdk[0])
		return error_set(
			err, RC_USAGE,
			"capture.interface and capture.dpdk: only one of them may be given");
	if (!c->files_count && !c->options.interface[0] && !c->options.dpdk[0] && !c->check)
		return error_set(err, RC_USAGE,
				 "what is to be recorded? give -r FILE, -i INTERFACE or --dpdk "
				 "\"EAL ARGUMENTS\"");
	return RC_OK;
}

static void set_log_level(const char *name)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	for (int i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
			log_set_level((enum log_level)i);
}

int main(int argc, char **argv)
{
	(void)fds_fill();
	struct command_line c = { .files = calloc((size_t)argc + 1, sizeof *c.files) };
	struct error err = { "" };
	if (!c.files)
		return fail(RC_FAILED, "not enough memory");

	enum rc rc = parse(&c, argc, argv, &err);
	if (rc == RC_OK)
		rc = complete(&c, &err);
	if (rc != RC_OK) {
		free(c.files);
		return fail(rc, err.text);
	}
	set_log_level(c.options.log_level);

	struct sigaction action = { .sa_handler = on_signal };
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	struct sigaction again = { .sa_handler = on_hangup, .sa_flags = SA_RESTART };
	sigaction(SIGHUP, &again, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is a full disk: write(2) says so */

	struct recorder_config cfg = {
		.options = &c.options,
		.files = c.files_count ? c.files : NULL,
		.files_count = c.files_count,
		.retain_from_call = c.retain_from_call,
		.progress = c.files_count && isatty(STDERR_FILENO),
		.reload = &reload,
		.counters_path = c.counters_path,
	};
	rc = c.check ? recorder_check(&cfg, &err) : recorder_run(&cfg, &stop, &err);
	free(c.files);
	if (rc != RC_OK)
		return fail(rc, err.text);
	if (c.check)
		puts("callspand: configuration, store, keys and policy are in order");
	return 0;
}
