/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* generate.c: many telephone calls at once (bench/load), into a capture file, a pipe or an interface.
 *
 *   generate --calls 1000 --seconds 30 --output FILE
 *   generate --calls 20000 --seconds 60 --output - | callspand --store DIR -r -
 *   generate --calls 2000 --churn 100 --waves 50 --interface veth0
 *
 * What was sent is printed as JSON, to the packet, so that a recording of it can be checked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/net.h"
#include "load/arguments.h"
#include "load/sink.h"

struct wanted {
	struct load_settings load;
	struct pace pace;
	const char *output, *interface;
	bool nanoseconds, nowhere;
};

/* ---- options ------------------------------------------------------------------------------ */

static const struct option long_options[] = {
	{ "output", required_argument, NULL, 'o' },
	{ "interface", required_argument, NULL, 'i' },
	{ "nowhere", no_argument, NULL, 'N' },
	{ "nanoseconds", no_argument, NULL, 'n' },
	{ "help", no_argument, NULL, 'h' },
	ARGUMENTS_LOAD,
	{ NULL, 0, NULL, 0 },
};

static const char usage_text[] =
	"usage: generate (--output FILE | --interface IF | --nowhere) [options]\n"
	"  --output FILE    a capture file; -: standard output\n"
	"  --interface IF   send at an interface, in real time\n"
	"  --nowhere        make the frames and let them go: what making them costs\n"
	"  --nanoseconds    time stamps of the file in nanoseconds (microseconds)\n";

static _Noreturn void die(const struct error *err, enum rc rc)
{
	fprintf(stderr, "generate: %s\n", err->text);
	exit((int)rc);
}

static _Noreturn void usage(FILE *to, enum rc rc)
{
	fputs(usage_text, to);
	fputs(arguments_text, to);
	exit((int)rc);
}

static void read_options(struct wanted *w, int argc, char **argv)
{
	int c;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'o': w->output = optarg; break;
		case 'i': w->interface = optarg; break;
		case 'N': w->nowhere = true; break;
		case 'n': w->nanoseconds = true; break;
		case 'h': usage(stdout, RC_OK);
		default:
			if (!arguments_take(&w->load, &w->pace, c, optarg))
				usage(stderr, RC_USAGE);
		}
	}
	if (!!w->output + !!w->interface + w->nowhere != 1 || optind < argc)
		usage(stderr, RC_USAGE);
}

/* ---- the run ------------------------------------------------------------------------------ */

static enum rc run(struct load *l, struct sink *s, struct error *err)
{
	static uint8_t room[LOAD_BURST][LOAD_FRAME_ROOM];
	struct load_frame frames[LOAD_BURST];
	enum rc rc = RC_OK;
	unsigned n;

	for (unsigned i = 0; i < LOAD_BURST; i++)
		frames[i].bytes = room[i];
	while (rc == RC_OK && (n = load_next(l, frames, LOAD_BURST)) > 0)
		if (s)
			rc = s->burst(s, frames, n, err);
	return rc;
}

static enum rc open_sink(struct sink **s, const struct wanted *w, struct error *err)
{
	*s = NULL;
	if (w->output)
		return sink_file_open(s, w->output, w->nanoseconds, err);
	if (w->interface)
		return sink_packet_open(s, w->interface, &w->pace, err);
	return RC_OK;
}

int main(int argc, char **argv)
{
	struct wanted w = { .load = load_defaults() };
	struct error err = { .text = "" };
	struct load *l;
	struct sink *s = NULL;

	read_options(&w, argc, argv);
	/* Where the capture goes to standard output, what is said of it does not. */
	FILE *figures = w.output && strcmp(w.output, "-") == 0 ? stderr : stdout;
	enum rc rc = load_new(&l, &w.load, &err);
	if (rc == RC_OK)
		rc = open_sink(&s, &w, &err);
	if (rc != RC_OK)
		die(&err, rc);
	int64_t began = clock_mono_ns();
	rc = run(l, s, &err);
	int64_t took = clock_mono_ns() - began;
	const struct load_tally *t = load_told(l);
	if (rc == RC_OK) {
		arguments_print_figures(figures, l, w.load.lines);
		if (s)
			rc = s->finish(s, figures, &err);
		fprintf(figures, ", \"seconds\": %.6f, \"ns_a_packet\": %.1f}\n",
			(double)took / (double)NS_PER_S,
			(double)took / (double)(t->packets ? t->packets : 1));
	}
	if (rc != RC_OK)
		die(&err, rc);
	if (s)
		s->close(s);
	load_free(l);
	return RC_OK;
}
