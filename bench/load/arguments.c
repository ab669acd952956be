/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* arguments.c: settings from text, figures to text. */
#include "load/arguments.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/net.h"

const char arguments_text[] =
	"  --rate N         so many packets a second, not in real time (0: as fast as may be)\n"
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
	"  --seed N         another seed, other calls (1)\n";

static double number(const char *text, double least, double most)
{
	char *end;
	double v = strtod(text, &end);
	if (end == text || *end != '\0' || !(v >= least && v <= most)) {
		fprintf(stderr, "'%s' is no number from %g to %g\n", text, least, most);
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
			fprintf(stderr, "'%s' is no codec of PCMU, PCMA, G722, G729, opus\n", name);
			exit(RC_USAGE);
		}
		codecs[i] = true;
	}
}

bool arguments_take(struct load_settings *s, struct pace *p, int c, char *value)
{
	switch (c) {
	case ARGUMENT_CALLS: s->lines = (uint32_t)number(value, 1, LOAD_MAX_LINES); break;
	case ARGUMENT_WAVES: s->waves = (uint32_t)number(value, 1, LOAD_MAX_CALLS); break;
	case ARGUMENT_SECONDS: s->seconds = number(value, 0, 86400); break;
	case ARGUMENT_RAMP: s->ramp = number(value, 0, 86400); break;
	case ARGUMENT_CHURN: s->churn = number(value, 0.01, 1e6); break;
	case ARGUMENT_PTIME:
		s->ptime_ms = (uint32_t)number(value, LOAD_MIN_PTIME, LOAD_MAX_PTIME);
		break;
	case ARGUMENT_CODECS: choose_codecs(s->codecs, value); break;
	case ARGUMENT_TCP: s->tcp = number(value, 0, 100); break;
	case ARGUMENT_LOSS: s->loss = number(value, 0, 99); break;
	case ARGUMENT_REORDER: s->reorder = number(value, 0, 99); break;
	case ARGUMENT_SEED: s->seed = (uint64_t)number(value, 0, 1e15); break;
	case ARGUMENT_RATE:
		p->rate = number(value, 0, 1e8);
		p->kind = p->rate > 0 ? PACE_RATE : PACE_FLAT_OUT;
		break;
	default:
		if (c <= ARGUMENTS_TUNNEL || c >= ARGUMENTS_TUNNEL + WIRE_TUNNELS)
			return false;
		s->tunnel[c - ARGUMENTS_TUNNEL] = number(value, 0, 100);
	}
	return true;
}

void arguments_print_figures(FILE *to, const struct load *l, uint32_t calls_at_once)
{
	const struct load_tally *t = load_told(l);
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
