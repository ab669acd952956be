/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* dpdk_eal.c: DPDK as a whole.
 *
 * It is begun once a process (its own rule).  It may not print: standard output is a program's, and standard error our log's.
 * So its log goes through a stream of ours, and while it begins, when parts of it print whatever they like, so
 * does standard error.  What it complains of then ends up in the one line that says why we cannot begin.
 */
#include "capture/dpdk.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define COMPLAINTS     2048
#define LINES_A_SECOND 10

static struct {
	FILE *log, *err, *null; /* owned: DPDK's log; what it finds as standard error and output, */
	FILE *our_out, *our_err; /* while these are put away */
	_Atomic bool listening;
	char complaints[COMPLAINTS]; /* whole lines, while listening */
	int64_t second;              /* that lines were logged in */
	unsigned lines;
} eal;

/* ---- what DPDK says ---------------------------------------------------------------------------------- */

static void keep_complaint(const char *line, size_t len)
{
	size_t used = strlen(eal.complaints);
	if (used + len + 2 <= sizeof eal.complaints)
		(void)snprintf(eal.complaints + used, sizeof eal.complaints - used, "%.*s\n",
			       (int)len, line);
}

/* A driver that complains of each frame must not fill the disk.  Callers hold the stream's lock. */
static bool too_many_lines(void)
{
	int64_t second = clock_mono_ns() / NS_PER_S;
	if (second != eal.second) {
		eal.second = second;
		eal.lines = 0;
	}
	return ++eal.lines > LINES_A_SECOND;
}

static void take_line(const char *line, size_t len, uint32_t level)
{
	bool listening = atomic_load_explicit(&eal.listening, memory_order_acquire);

	if (len == 0)
		return;
	if (level <= RTE_LOG_ERR && listening)
		keep_complaint(line, len);
	if (too_many_lines())
		return;
	if (level <= RTE_LOG_ERR && !listening)
		log_warning("dpdk", "text=\"%.*s\"", (int)len, line);
	else
		log_debug("dpdk", "text=\"%.*s\"", (int)len, line);
}

static void take_lines(const char *text, size_t size, uint32_t level)
{
	const char *end = text + size, *stop;
	for (; text < end; text = stop + 1) {
		stop = memchr(text, '\n', (size_t)(end - text));
		if (!stop)
			stop = end;
		take_line(text, (size_t)(stop - text), level);
	}
}

/* DPDK flushes after each message, so this is called with whole ones, on the thread that logs. */
static ssize_t write_log(void *cookie, const char *text, size_t size)
{
	(void)cookie;
	take_lines(text, size, (uint32_t)rte_log_cur_msg_loglevel());
	return (ssize_t)size;
}

/* What is printed on standard error: getopt(3)'s words are ours to tell, those of other libraries (libbpf) are gossip. */
static ssize_t write_error(void *cookie, const char *text, size_t size)
{
	(void)cookie;
	bool eal_said = size > 4 && memcmp(text, "EAL:", 4) == 0;
	take_lines(text, size, eal_said ? RTE_LOG_ERR : RTE_LOG_DEBUG);
	return (ssize_t)size;
}

/* DPDK prints its usage on standard output, getopt(3) and libraries below it complain on standard error. */
void dpdk_eal_listen(void)
{
	if (!eal.log || atomic_load_explicit(&eal.listening, memory_order_relaxed))
		return; /* DPDK is not ours, and complains to whoever began it; or we do already */
	flockfile(eal.log);
	eal.complaints[0] = '\0';
	atomic_store_explicit(&eal.listening, true, memory_order_release);
	funlockfile(eal.log);
	(void)fflush(stdout);
	eal.our_out = stdout;
	eal.our_err = stderr;
	stdout = eal.null;
	stderr = eal.err;
}

void dpdk_eal_talk(void)
{
	if (!atomic_load_explicit(&eal.listening, memory_order_relaxed))
		return;
	(void)fflush(stderr);
	stdout = eal.our_out;
	stderr = eal.our_err;
	atomic_store_explicit(&eal.listening, false, memory_order_release);
}

/* What it says, and what to change. */
static const struct {
	const char *said, *change;
} hints[] = {
	{ "hugepage", "reserve huge pages (dpdk-hugepages.py --setup 2G), or add --no-huge" },
	{ "lcore", "name processors in -l that this process may run on" },
	{ "unrecognized option", "docs/dpdk.md has the arguments" },
	{ "Unable to parse device",
	  "no driver has that name: net_pcap, net_af_packet, net_af_xdp, ..." },
	{ "memseg list", "ask for less with -m" },
	{ "Cannot init memory", "give more memory with -m, or more huge pages" },
	{ "Cannot allocate memory", "give more memory with -m, or more huge pages" },
	{ "Permission denied",
	  "start as root, or see docs/dpdk.md for the rights that a card needs" },
	{ "Operation not permitted",
	  "start as root, or see docs/dpdk.md for the rights that a card needs" },
};

/* The line in question of what was complained of, and its hint; the first line without one. */
static const char *find_complaint(size_t *len, const char **change)
{
	const char *line = eal.complaints;
	*change = NULL;
	for (size_t i = 0; i < sizeof hints / sizeof hints[0] && !*change; i++) {
		const char *at = strstr(eal.complaints, hints[i].said);
		if (!at)
			continue;
		*change = hints[i].change;
		for (line = at; line > eal.complaints && line[-1] != '\n';)
			line--;
	}
	*len = strcspn(line, "\n");
	if (*len && line[*len - 1] == '.')
		--*len;
	return line;
}

enum rc dpdk_eal_failed(struct error *err, const char *fmt, ...)
{
	char what[200];
	const char *change;
	size_t len;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(what, sizeof what, fmt, args);
	va_end(args);
	if (eal.log)
		flockfile(eal.log);
	const char *line = find_complaint(&len, &change);
	if (len == 0)
		(void)error_set(err, RC_FAILED, "%s", what);
	else
		(void)error_set(err, RC_FAILED, "%s: %.*s%s%s", what, (int)len, line,
				change ? ": " : "", change ? change : "");
	if (eal.log)
		funlockfile(eal.log);
	return RC_FAILED;
}

/* ---- its arguments ----------------------------------------------------------------------------------- */

static int split(char *text, char **argv)
{
	char *from = text, *to = text;
	int n = 0;

	for (;;) {
		from += strspn(from, " \t\n");
		if (!*from)
			return n;
		if (n == DPDK_ARGUMENTS)
			return -1;
		argv[n++] = to;
		for (char quote = 0; *from && (quote || !strchr(" \t\n", *from)); from++) {
			if (quote ? *from == quote : *from == '"' || *from == '\'')
				quote = quote ? 0 : *from;
			else
				*to++ = *from;
			if (quote && !from[1])
				return -1;
		}
		if (*from)
			from++;
		*to++ = '\0';
	}
}

static bool given(char *const *argv, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return false;
}

/* Some end the program, or wait for another one. */
static const char *not_taken(char *const *argv, int n)
{
	static const char *const never[] = { "-h", "--help", "--proc-type", "--telemetry" };

	for (int i = 0; i < n; i++)
		for (size_t j = 0; j < sizeof never / sizeof never[0]; j++)
			if (strncmp(argv[i], never[j], strlen(never[j])) == 0)
				return argv[i];
	return NULL;
}

/* Our own, beside those that were given: no sockets (telemetry, secondary processes), and no files in which frames
 * would outlive us. */
static int add_our_own(char **argv, int n)
{
	static char telemetry[] = "--no-telemetry", no_conf[] = "--no-shconf",
		    unlink[] = "--huge-unlink", in_memory[] = "--in-memory";
	int given_n = n;

	argv[n++] = telemetry;
	if (given(argv, given_n, "--no-huge")) {
		argv[n++] = no_conf; /* --in-memory is for huge pages only */
	} else if (given(argv, given_n, "--legacy-mem")) {
		argv[n++] = no_conf;
		argv[n++] = unlink;
	} else {
		argv[n++] = in_memory;
	}
	argv[n] = NULL;
	return n;
}

/* ---- its beginning and end --------------------------------------------------------------------------- */

static bool open_streams(void)
{
	cookie_io_functions_t log = { .write = write_log }, error = { .write = write_error };

	if (eal.log)
		return true;
	eal.log = fopencookie(NULL, "w", log);
	eal.err = fopencookie(NULL, "w", error);
	eal.null = fopen("/dev/null", "we");
	if (!eal.log || !eal.err || !eal.null)
		return false;
	(void)setvbuf(eal.err, NULL, _IOLBF, 0);
	return rte_openlog_stream(eal.log) == 0;
}

enum rc dpdk_eal_read(const char *arguments, char text[DPDK_TEXT], char **argv, int *n,
		      struct error *err)
{
	if ((size_t)snprintf(text, DPDK_TEXT, "%s", arguments) >= DPDK_TEXT)
		return error_set(err, RC_USAGE, "capture.dpdk: too long");
	*n = split(text, argv);
	if (*n < 0)
		return error_set(err, RC_USAGE,
				 "capture.dpdk: a quote is open, or too many arguments");
	const char *bad = not_taken(argv, *n);
	if (bad)
		return error_set(err, RC_USAGE, "capture.dpdk: %s is not taken", bad);
	return RC_OK;
}

enum rc dpdk_eal_start(const char *arguments, bool *ours, struct error *err)
{
	static char name[] = "EAL", text[DPDK_TEXT]; /* DPDK keeps pointers into them */
	char *argv[DPDK_ARGUMENTS + 8] = { name };

	*ours = false;
	int n = 0;
	enum rc rc = dpdk_eal_read(arguments, text, argv + 1, &n, err);
	if (rc != RC_OK)
		return rc;
	int argc = add_our_own(argv, n + 1);
	if (!open_streams())
		return error_set(err, RC_FAILED, "DPDK: no memory for its log");
	dpdk_eal_listen();
	rte_errno = 0;
	int taken = rte_eal_init(argc, argv);
	(void)fflush(stderr);
	if (taken < 0 && rte_errno == EALREADY) {
		(void)rte_openlog_stream(NULL); /* it talks to whoever began it */
		eal.complaints[0] = '\0';
		return RC_OK;
	}
	if (taken < 0 && !eal.complaints[0])
		return error_set(err, RC_FAILED, "DPDK: %s", rte_strerror(rte_errno));
	if (taken < 0)
		return dpdk_eal_failed(err, "DPDK");
	*ours = true;
	if (taken < argc - 1)
		return error_set(err, RC_USAGE, "capture.dpdk: '%s' is no EAL argument",
				 argv[taken + 1]);
	return RC_OK;
}

void dpdk_eal_stop(void)
{
	(void)rte_eal_cleanup();
	(void)rte_openlog_stream(NULL);
}
