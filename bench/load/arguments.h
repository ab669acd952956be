/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* arguments.h: a load's settings on a command line, and what came of it as JSON: for every program that makes one. */
#ifndef CALLSPAN_BENCH_LOAD_ARGUMENTS_H
#define CALLSPAN_BENCH_LOAD_ARGUMENTS_H

#include <getopt.h>
#include <stdio.h>

#include "load/load.h"
#include "load/pace.h"

/* The values of a program's own options stay below this. */
#define ARGUMENTS_FIRST  1000
#define ARGUMENTS_TUNNEL 1100 /* and the tunnels after it */

enum {
	ARGUMENT_CALLS = ARGUMENTS_FIRST,
	ARGUMENT_WAVES,
	ARGUMENT_SECONDS,
	ARGUMENT_RAMP,
	ARGUMENT_CHURN,
	ARGUMENT_PTIME,
	ARGUMENT_CODECS,
	ARGUMENT_TCP,
	ARGUMENT_LOSS,
	ARGUMENT_REORDER,
	ARGUMENT_SEED,
	ARGUMENT_RATE
};

#define ARGUMENTS_LOAD                                                                             \
	{ "calls", required_argument, NULL, ARGUMENT_CALLS },                                      \
		{ "waves", required_argument, NULL, ARGUMENT_WAVES },                              \
		{ "seconds", required_argument, NULL, ARGUMENT_SECONDS },                          \
		{ "ramp", required_argument, NULL, ARGUMENT_RAMP },                                \
		{ "churn", required_argument, NULL, ARGUMENT_CHURN },                              \
		{ "ptime", required_argument, NULL, ARGUMENT_PTIME },                              \
		{ "codecs", required_argument, NULL, ARGUMENT_CODECS },                            \
		{ "tcp", required_argument, NULL, ARGUMENT_TCP },                                  \
		{ "vlan", required_argument, NULL, ARGUMENTS_TUNNEL + WIRE_VLAN },                 \
		{ "vxlan", required_argument, NULL, ARGUMENTS_TUNNEL + WIRE_VXLAN },               \
		{ "gre", required_argument, NULL, ARGUMENTS_TUNNEL + WIRE_GRE },                   \
		{ "erspan", required_argument, NULL, ARGUMENTS_TUNNEL + WIRE_ERSPAN },             \
		{ "loss", required_argument, NULL, ARGUMENT_LOSS },                                \
		{ "reorder", required_argument, NULL, ARGUMENT_REORDER },                          \
		{ "seed", required_argument, NULL, ARGUMENT_SEED },                                \
	{                                                                                          \
		"rate", required_argument, NULL, ARGUMENT_RATE                                     \
	}

extern const char arguments_text[]; /* their lines of a usage text */

/* Take option `c` with its value; ends the program with one line where that is wrong.  False: it is none of these. */
bool arguments_take(struct load_settings *s, struct pace *p, int c, char *value);

/* Print what was made as the first members of a JSON object, which stays open. */
void arguments_print_figures(FILE *to, const struct load *l, uint32_t calls_at_once);

#endif
