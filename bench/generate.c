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
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/net.h"
#include "load/sink.h"

struct wanted {
	struct load_settings load;
	const char *output, *interface;
	enum sink_pace pace;
	double rate;
	bool nanoseconds, nowhere;
};

/* ---- options ------------------------------------------------------------------------------ */

enum { OPT_TUNNEL = 256 }; /* and the tunnels after it */

static const struct option long_options[] = {
	{ "output", required_argument, NULL, 'o' },
	{ "interface", required_argument, NULL, 'i' },
	{ "nowhere", no_argument, NULL, 'N' },
	{ "rate", required_argument, NULL, 'P' },
	{ "calls", required_argument, NULL, 'c' },
	{ "seconds", required_argument, NULL, 's' },
	{ "waves", required_argument, NULL, 'w' },
	{ "ramp", required_argument, NULL, 'r' },
	{ "churn", required_argument, NULL, 'C' },
	{ "ptime", required_argument, NULL, 'p' },
	{ "codecs", required_argument, NULL, 'k' },
	{ "tcp", required_argument, NULL, 't' },
	{ "vlan", required_argument, NULL, OPT_TUNNEL + WIRE_VLAN },
	{ "vxlan", required_argument, NULL, OPT_TUNNEL + WIRE_VXLAN },
	{ "gre", required_argument, NULL, OPT_TUNNEL + WIRE_GRE },
	{ "erspan", required_argument, NULL, OPT_TUNNEL + WIRE_ERSPAN },
	{ "loss", required_argument, NULL, 'l' },
	{ "reorder", required_argument, NULL, 'R' },
	{ "seed", required_argument, NULL, 'S' },
	{ "nanoseconds", no_argument, NULL, 'n' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char usage_text[] =
	"usage: generate (--output FILE | --interface IF | --nowhere) [options]\n"
	"  --output FILE    a capture file; -: standard output\n"
	"  --interface IF   send at an interface, in real time\n"
	"    --rate N       so many packets a second instead (0: as fast as may be)\n"
	"  --nowhere        make the frames and let them go: what making them costs\n"
	"  --calls N        calls at once (default 200, at most 60000)\n"
	"  --waves N        calls one after the other on each line (1)\n"
	"  --seconds S      audio of each call (10; 0: signalling alone)\n"
	"  --ramp S         the first calls begin within this time (1)\n"
	"  --churn N        set up and end N calls a second: calls are as long as that needs\n"
	"  --ptime MS       10 to 60 (20)\n"
	"  --codecs LIST    of PCMU, PCMA, G722, G729, opus, which lines take in turn (PCMU)\n"
	"  --tcp PERCENT    lines with their signalling on TCP (0)\n"
	"  --vlan, --vxlan, --gre, --erspan PERCENT   lines that are mirrored so (0)\n"
	"  --loss PERCENT   audio packets that never come (0)\n"
	"  --reorder PERCENT  audio packets overtaken by up to 8 later ones (0)\n"
	"  --seed N         another seed, other calls (1)\n"
	"  --nanoseconds    time stamps of the file in nanoseconds (microseconds)\n";

static _Noreturn void die(const struct error *err, enum rc rc)
{
	fprintf(stderr, "generate: %s\n", err->text);
	exit((int)rc);
}

static double number(const char *text, double least, double most)
{
	char *end;
	double v = strtod(text, &end);
	if (end == text || *end != '\0' || !(v >= least && v <= most)) {
		fprintf(stderr, "generate: '%s' is no number from %g to %g\n", text, least, most);
		exit(RC_USAGE);
	}
	return v;
}

static void choose_codecs(bool codecs[LOAD_CODECS], char *list)
{
	memset(codecs, 0, LOAD_CODECS * sizeof *codecs);
	for (char *rest = list, *name; (name = strsep(&rest, ","));) {
		int i = 0;
		while (i < LOAD_CODECS && strcasecmp(name, load_codec_names[i]) != 0)
			i++;
		if (i == LOAD_CODECS) {
			fprintf(stderr,
				"generate: '%s' is no codec of PCMU, PCMA, G722, G729, opus\n",
				name);
			exit(RC_USAGE);
		}
		codecs[i] = true;
	}
}

static void read_option(struct wanted *w, int c)
{
	struct load_settings *s = &w->load;
	switch (c) {
	case 'o': w->output = optarg; break;
	case 'i': w->interface = optarg; break;
	case 'N': w->nowhere = true; break;
	case 'P':
		w->rate = number(optarg, 0, 1e8);
		w->pace = w->rate > 0 ? SINK_RATE : SINK_FLAT_OUT;
		break;
	case 'c': s->lines = (uint32_t)number(optarg, 1, LOAD_MAX_LINES); break;
	case 'w': s->waves = (uint32_t)number(optarg, 1, LOAD_MAX_CALLS); break;
	case 's': s->seconds = number(optarg, 0, 86400); break;
	case 'C': s->churn = number(optarg, 0.01, 1e6); break;
	case 'k': choose_codecs(s->codecs, optarg); break;
	case 't': s->tcp = number(optarg, 0, 100); break;
	case 'r': s->ramp = number(optarg, 0, 86400); break;
	case 'p': s->ptime_ms = (uint32_t)number(optarg, LOAD_MIN_PTIME, LOAD_MAX_PTIME); break;
	case 'l': s->loss = number(optarg, 0, 99); break;
	case 'R': s->reorder = number(optarg, 0, 99); break;
	case 'S': s->seed = (uint64_t)number(optarg, 0, 1e15); break;
	case 'n': w->nanoseconds = true; break;
	case 'h': fputs(usage_text, stdout); exit(RC_OK);
	default:
		if (c < OPT_TUNNEL) {
			fputs(usage_text, stderr);
			exit(RC_USAGE);
		}
		s->tunnel[c - OPT_TUNNEL] = number(optarg, 0, 100);
	}
}

static void read_options(struct wanted *w, int argc, char **argv)
{
	int c;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		read_option(w, c);
	if (!!w->output + !!w->interface + w->nowhere != 1 || optind < argc) {
		fputs(usage_text, stderr);
		exit(RC_USAGE);
	}
}

/* ---- the run ------------------------------------------------------------------------------ */

static void print_figures(FILE *to, const struct load_tally *t, uint32_t calls_at_once)
{
	uint64_t audio = 0, audio_bytes = 0;
	for (int i = 0; i < LOAD_CODECS; i++) {
		audio += t->audio[i].packets;
		audio_bytes += t->audio[i].bytes;
	}
	fprintf(to,
		"{\"packets\": %" PRIu64 ", \"frame_bytes\": %" PRIu64 ", \"rtp_packets\": %" PRIu64
		", \"audio_bytes\": %" PRIu64 ", \"sip_packets\": %" PRIu64
		", \"sip_tcp_packets\": %" PRIu64 ", \"calls\": %" PRIu64 ", \"streams\": %" PRIu64
		", \"calls_at_once\": %" PRIu32 ", \"lost\": %" PRIu64 ", \"reordered\": %" PRIu64
		", \"capture_seconds\": %.6f",
		t->packets, t->bytes, audio, audio_bytes, t->sip, t->sip_tcp, t->calls, t->streams,
		calls_at_once, t->lost, t->reordered,
		(double)(t->last_ns - load_begin_ns()) / (double)NS_PER_S);
	fputs(", \"codecs\": {", to);
	for (int i = 0, told = 0; i < LOAD_CODECS; i++)
		if (t->audio[i].packets)
			fprintf(to, "%s\"%s\": {\"packets\": %" PRIu64 ", \"bytes\": %" PRIu64 "}",
				told++ ? ", " : "", load_codec_names[i], t->audio[i].packets,
				t->audio[i].bytes);
	fputs("}, \"tunnels\": {", to);
	for (int i = 0, told = 0; i < WIRE_TUNNELS; i++)
		if (t->tunnel[i])
			fprintf(to, "%s\"%s\": %" PRIu64, told++ ? ", " : "", wire_tunnel_names[i],
				t->tunnel[i]);
	fputs("}", to);
}

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
		return sink_packet_open(s, w->interface, w->pace, w->rate, err);
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
		print_figures(figures, t, w.load.lines);
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
